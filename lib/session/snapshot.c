/* SPDX-License-Identifier: MIT */
/* Snapshots: tokens, latent cache, last hidden state and sampler state, so that a
 * conversation survives the process and goes on with the same bits.
 *
 *   0  "MOTESNAP"            8 bytes
 *   8  version               u32, 3
 *  12  kv type               u32
 *  16  layers, kv_lora_rank, rope, hidden_size   4 x u32
 *  32  tokens                u32
 *  36  MTP positions valid   u32
 *  40  model fingerprint     u64
 *  48  sampler seed, index   2 x u64
 *  64  payload bytes         u64, before compression
 *  72  hash of bytes 0..71   u64 (FNV-1a)
 *  80  a zstd frame with checksum: tokens i32[n], a bit per token that attended in
 *      expanded form u32[(n + 31) / 32], the hidden state after the last token
 *      f32[hidden_size], then per layer and block the live rows of each array:
 *      of the MTP module's layer only the positions said above
 *  -8  hash of all bytes before it   u64 (XXH64): zstd's own checksum is of what
 *      comes out, and not every byte of a frame changes that
 * All numbers are little-endian. */
#include "base/bytes.h"
#include "base/hash.h"
#include "base/status.h"
#include "file/os_file.h"
#include "session/guard.h"
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { HEADER = 80, TRAILER = 8, VERSION = 3, CHUNK = 1 << 17, LEVEL = 1 };
static const char magic[8] = {'M', 'O', 'T', 'E', 'S', 'N', 'A', 'P'};

static uint64_t fnv(const uint8_t *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* Arrays of a cache block: offset, and bytes of one token's row. */
typedef struct segment {
    size_t offset, row;
} segment;

static uint32_t segments(segment out[3], uint32_t type, uint32_t r, uint32_t rope)
{
    size_t c = type == MOTE_K_KV_F32 ? 4u : type == MOTE_K_KV_BF16 ? 2u : 1u;
    size_t k = type == MOTE_K_KV_F32 ? 4 : 2;
    out[0] = (segment){0, r * c};
    out[1] = (segment){(MOTE_KV_BLOCK * r * c + 63) / 64 * 64, rope * k};
    if (type != MOTE_K_KV_FP8)
        return 2;
    out[2] = (segment){out[1].offset + (MOTE_KV_BLOCK * rope * k + 63) / 64 * 64,
            (r + 127) / 128 * sizeof(float)};
    return 3;
}

/* The payload as a list of pieces of memory, in order. */
typedef mote_status (*piece_fn)(void *user, void *data, size_t n, mote_error *err);

/* Positions of a layer that hold something. */
static uint32_t live_rows(
        const mote_session *s, uint32_t layer, uint32_t n_tokens, uint32_t mtp_eval)
{
    return layer < s->model->net.config.num_hidden_layers ? n_tokens : mtp_eval;
}

/* What is not in the cache. */
typedef struct text {
    int32_t *tokens;
    uint32_t *expanded;
    float *state;
} text;

static size_t form_bytes(uint32_t n_tokens)
{
    return ((size_t)n_tokens + 31) / 32 * sizeof(uint32_t);
}

/* Bits behind the last token, of what was there once, tell nothing. */
static void trim_forms(uint32_t *expanded, uint32_t n_tokens)
{
    if (n_tokens % 32)
        expanded[n_tokens / 32] &= (1u << n_tokens % 32) - 1;
}

static mote_status walk(const mote_session *s, const mote__kv *kv, uint32_t n_tokens,
        uint32_t mtp_eval, const text *t, piece_fn fn, void *user, mote_error *err)
{
    const mote__config *c = &s->model->net.config;
    mote_status st = fn(user, t->tokens, n_tokens * sizeof *t->tokens, err);
    if (st >= 0)
        st = fn(user, t->expanded, form_bytes(n_tokens), err);
    if (st >= 0 && n_tokens)
        st = fn(user, t->state, c->hidden_size * sizeof *t->state, err);
    segment seg[3];
    uint32_t n_seg = segments(seg, kv->type, c->kv_lora_rank, c->qk_rope_head_dim);
    for (uint32_t l = 0; l < kv->n_layers; l++) {
        uint32_t rows = live_rows(s, l, n_tokens, mtp_eval);
        for (uint32_t b = 0; (uint64_t)b * MOTE_KV_BLOCK < rows; b++) {
            uint32_t live = rows - b * MOTE_KV_BLOCK;
            live = live < MOTE_KV_BLOCK ? live : MOTE_KV_BLOCK;
            for (uint32_t i = 0; st >= 0 && i < n_seg; i++)
                st = fn(user, (uint8_t *)kv->layers[l][b] + seg[i].offset,
                        live * seg[i].row, err);
        }
    }
    return st;
}

static uint64_t payload_bytes(
        const mote_session *s, uint32_t n_tokens, uint32_t mtp_eval)
{
    const mote__config *c = &s->model->net.config;
    segment seg[3];
    uint32_t n_seg = segments(seg, s->kv.type, c->kv_lora_rank, c->qk_rope_head_dim);
    uint64_t row = 0, rows = 0;
    for (uint32_t i = 0; i < n_seg; i++)
        row += seg[i].row;
    for (uint32_t l = 0; l < s->kv.n_layers; l++)
        rows += live_rows(s, l, n_tokens, mtp_eval);
    return row * rows + n_tokens * sizeof(int32_t) + form_bytes(n_tokens) +
           (n_tokens ? c->hidden_size * sizeof(float) : 0);
}

/* What the snapshot of n tokens can need at most. */
static size_t bound(const mote_session *s, uint32_t n)
{
    return HEADER + ZSTD_compressBound((size_t)payload_bytes(s, n, n)) + 64 + TRAILER;
}

static void header(const mote_session *s, uint8_t h[HEADER], uint32_t mtp_eval)
{
    const mote__config *c = &s->model->net.config;
    mote__sampler_state state;
    mote__sampler_state_get(s->sampler, &state);
    memcpy(h, magic, 8);
    mote__put32(h + 8, VERSION);
    mote__put32(h + 12, s->kv.type);
    mote__put32(h + 16, s->kv.n_layers);
    mote__put32(h + 20, c->kv_lora_rank);
    mote__put32(h + 24, c->qk_rope_head_dim);
    mote__put32(h + 28, c->hidden_size);
    mote__put32(h + 32, s->n_tokens);
    mote__put32(h + 36, mtp_eval);
    mote__put64(h + 40, s->model->fingerprint);
    mote__put64(h + 48, state.seed);
    mote__put64(h + 56, state.index);
    mote__put64(h + 64, payload_bytes(s, s->n_tokens, mtp_eval));
    mote__put64(h + 72, fnv(h, 72));
}

/* Where compressed bytes go. */
typedef struct sink {
    uint8_t *buffer;
    size_t capacity, length;
    FILE *file;
    const char *path; /* of file */
    ZSTD_CCtx *z;
    uint8_t *chunk;
    mote__hash hash;
} sink;

static mote_status emit(sink *k, const void *data, size_t n, mote_error *err)
{
    if (k->file && fwrite(data, 1, n, k->file) != n)
        return mote__file_not_written(k->path, err);
    if (k->buffer) {
        if (n > k->capacity - k->length)
            return mote__fail(err, MOTE_E_INVALID,
                    "the snapshot needs more than the %zu bytes given", k->capacity);
        memcpy(k->buffer + k->length, data, n);
    }
    mote__hash_add(&k->hash, data, n);
    k->length += n;
    return MOTE_OK;
}

static mote_status squeeze(
        sink *k, const void *data, size_t n, ZSTD_EndDirective end, mote_error *err)
{
    ZSTD_inBuffer in = {data, n, 0};
    for (;;) {
        ZSTD_outBuffer out = {k->chunk, CHUNK, 0};
        size_t left = ZSTD_compressStream2(k->z, &out, &in, end);
        if (ZSTD_isError(left))
            return mote__fail(err, MOTE_E_MEMORY, "compressing the snapshot: %s",
                    ZSTD_getErrorName(left));
        mote_status st = emit(k, k->chunk, out.pos, err);
        if (st < 0)
            return st;
        if (end == ZSTD_e_end ? left == 0 : in.pos == in.size)
            return MOTE_OK;
    }
}

static mote_status squeeze_piece(void *user, void *data, size_t n, mote_error *err)
{
    return squeeze(user, data, n, ZSTD_e_continue, err);
}

static mote_status save(mote_session *s, sink *k, mote_error *err)
{
    mote__session_settle(s);
    mote_status st = mote__session_settle_last(s, err);
    /* The states that the MTP module needs are not kept: have its cache complete
     * instead, or leave it out. */
    uint32_t mtp = 0;
    if (st >= 0 && mote__session_drafts_mtp(s) && s->n_tokens &&
            mote__session_mtp_whole(s)) {
        mtp = s->n_tokens - 1;
        st = mote__session_mtp_catch_up(s, mtp, err);
    }
    if (st < 0)
        return st;
    uint8_t h[HEADER];
    header(s, h, mtp);
    k->z = ZSTD_createCCtx();
    k->chunk = malloc(CHUNK);
    if (!k->z || !k->chunk) {
        st = mote__fail_memory(err, CHUNK, "snapshot buffers");
        goto out;
    }
    ZSTD_CCtx_setParameter(k->z, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(k->z, ZSTD_c_checksumFlag, 1);
    mote__hash_begin(&k->hash, 0);
    trim_forms(s->expanded, s->n_tokens);
    st = emit(k, h, HEADER, err);
    const text t = {s->tokens, s->expanded,
            (float *)(uintptr_t)mote__session_hidden(
                    s, s->n_tokens ? s->n_tokens - 1 : 0)};
    if (st >= 0)
        st = walk(s, &s->kv, s->n_tokens, mtp, &t, squeeze_piece, k, err);
    if (st >= 0)
        st = squeeze(k, NULL, 0, ZSTD_e_end, err);
    if (st >= 0) {
        uint8_t trailer[TRAILER];
        mote__put64(trailer, mote__hash_end(&k->hash));
        st = emit(k, trailer, TRAILER, err);
    }
out:
    ZSTD_freeCCtx(k->z);
    free(k->chunk);
    return st;
}

static mote_status save_to_memory(
        mote_session *s, void *buffer, size_t capacity, size_t *length, mote_error *err)
{
    if (!s || !length || (!buffer && capacity))
        return mote__fail(err, MOTE_E_INVALID,
                "expected a session, a buffer and a place for its length");
    if (!buffer) {
        *length = bound(s, s->n_tokens);
        return MOTE_OK;
    }
    sink k = {.buffer = buffer, .capacity = capacity};
    mote_status st = save(s, &k, err);
    *length = st < 0 ? bound(s, s->n_tokens) : k.length;
    return st;
}

mote_status mote_session_save(
        mote_session *s, void *buffer, size_t capacity, size_t *length, mote_error *err)
{
    MOTE__GUARDED(s, err, save_to_memory(s, buffer, capacity, length, err));
}

mote_status mote_session_save_file(mote_session *s, const char *path, mote_error *err)
{
    if (!s || !path)
        return mote__fail(err, MOTE_E_INVALID, "expected a session and a path");
    size_t n = strlen(path) + 8;
    char *temporary = malloc(n);
    if (!temporary)
        return mote__fail_memory(err, n, "a file name");
    snprintf(temporary, n, "%s.part", path);
    sink k = {.file = mote__file_create(temporary), .path = temporary};
    mote_status st;
    if (!k.file) {
        st = mote__file_not_written(temporary, err);
    } else {
        st = save(s, &k, err);
        if (st >= 0 && mote__file_flush(k.file) < 0)
            st = mote__file_not_written(temporary, err);
        if (fclose(k.file) != 0 && st >= 0)
            st = mote__file_not_written(temporary, err);
        if (st >= 0 && mote__file_rename(temporary, path) < 0)
            st = mote__file_not_written(path, err);
        if (st < 0)
            mote__file_remove(temporary);
    }
    free(temporary);
    return st;
}

/* Where decompressed bytes come from. */
typedef struct source {
    ZSTD_DCtx *z;
    ZSTD_inBuffer in;
    size_t left; /* what zstd said last: 0 when the frame has been read to its end */
} source;

static mote_status damaged(mote_error *err, const char *why)
{
    return mote__fail(err, MOTE_E_FORMAT, "the snapshot is damaged: %s", why);
}

static mote_status expand_piece(void *user, void *data, size_t n, mote_error *err)
{
    source *k = user;
    ZSTD_outBuffer out = {data, n, 0};
    while (out.pos < out.size) {
        size_t before_in = k->in.pos, before_out = out.pos;
        size_t r = ZSTD_decompressStream(k->z, &out, &k->in);
        if (ZSTD_isError(r))
            return damaged(err, ZSTD_getErrorName(r));
        if (k->in.pos == before_in && out.pos == before_out)
            return damaged(err, "it ends early");
        k->left = r;
    }
    return MOTE_OK;
}

/* Everything must have been read, and the frame's checksum must have been seen. */
static mote_status expand_end(source *k, mote_error *err)
{
    uint8_t extra;
    ZSTD_outBuffer out = {&extra, 1, 0};
    /* Asked again after its end, zstd would begin another frame. */
    size_t r = k->left;
    while (r != 0) {
        size_t before = k->in.pos;
        r = ZSTD_decompressStream(k->z, &out, &k->in);
        if (ZSTD_isError(r))
            return damaged(err, ZSTD_getErrorName(r));
        if (out.pos)
            return damaged(err, "it holds more than its header says");
        if (r != 0 && k->in.pos == before)
            return damaged(err, "it ends early");
    }
    return k->in.pos == k->in.size ? MOTE_OK : damaged(err, "bytes follow its end");
}

static mote_status check_header(
        const mote_session *s, const uint8_t *h, size_t size, mote_error *err)
{
    const mote__config *c = &s->model->net.config;
    if (size < HEADER || memcmp(h, magic, 8) != 0)
        return mote__fail(err, MOTE_E_FORMAT, "this is not a session snapshot");
    if (mote__get64(h + 72) != fnv(h, 72))
        return damaged(err, "its header does not match its checksum");
    if (mote__get32(h + 8) != VERSION)
        return mote__fail(err, MOTE_E_MISMATCH,
                "snapshot version: expected %d, found %u", VERSION, mote__get32(h + 8));
    if (mote__get64(h + 40) != s->model->fingerprint ||
            mote__get32(h + 16) != s->kv.n_layers ||
            mote__get32(h + 20) != c->kv_lora_rank ||
            mote__get32(h + 24) != c->qk_rope_head_dim ||
            mote__get32(h + 28) != c->hidden_size)
        return mote__fail(
                err, MOTE_E_MISMATCH, "the snapshot was made with another model");
    if (mote__get32(h + 12) != s->kv.type)
        return mote__fail(err, MOTE_E_MISMATCH,
                "the snapshot has another KV type: expected %u, found %u", s->kv.type,
                mote__get32(h + 12));
    uint32_t n = mote__get32(h + 32);
    if (n > s->context)
        return mote__fail(err, MOTE_E_CONTEXT_FULL,
                "the snapshot has %u tokens, the session has room for %u", n,
                s->context);
    uint32_t mtp = mote__get32(h + 36);
    if ((mtp && (mtp + 1 != n || !s->model->net.mtp)) ||
            mote__get64(h + 64) != payload_bytes(s, n, mtp))
        return damaged(err, "its sizes do not agree");
    return MOTE_OK;
}

static mote_status load_from_memory(
        mote_session *s, const void *data, size_t size, mote_error *err)
{
    if (!s || !data)
        return mote__fail(err, MOTE_E_INVALID, "expected a session and a snapshot");
    const uint8_t *h = data;
    mote_status st = check_header(s, h, size, err);
    if (st < 0)
        return st;
    if (size < HEADER + TRAILER ||
            mote__get64(h + size - TRAILER) != mote__hash_of(h, size - TRAILER))
        return damaged(err, "it is cut off or does not match its checksum");
    const mote__config *c = &s->model->net.config;
    uint32_t n = mote__get32(h + 32), mtp = mote__get32(h + 36);
    mote__kv kv = {0};
    text t = {malloc(n * sizeof *t.tokens + 1), malloc(form_bytes(n) + 1),
            malloc(c->hidden_size * sizeof *t.state)};
    source k = {ZSTD_createDCtx(), {h + HEADER, size - HEADER - TRAILER, 0}, 1};
    if (!t.tokens || !t.expanded || !t.state || !k.z) {
        st = mote__fail_memory(err, n * sizeof *t.tokens, "snapshot buffers");
        goto out;
    }
    st = mote__kv_open(&kv, &s->model->memory, s->kv.n_layers, s->context, s->kv.type,
            c->kv_lora_rank, c->qk_rope_head_dim, err);
    if (st >= 0)
        st = walk(s, &kv, n, mtp, &t, expand_piece, &k, err);
    if (st >= 0)
        st = expand_end(&k, err);
    for (uint32_t i = 0; st >= 0 && i < n; i++)
        if (t.tokens[i] < 0 || (uint32_t)t.tokens[i] >= c->vocab_size)
            st = damaged(err, "a token is out of range");
    if (st < 0)
        goto out;
    /* Nothing can fail any more. */
    mote__session_settle(s);
    mote__kv old = s->kv;
    s->kv = kv;
    kv = old;
    memcpy(s->tokens, t.tokens, n * sizeof *t.tokens);
    s->n_tokens = s->n_eval = n;
    memset(s->expanded, 0, mote__session_form_words(s) * sizeof *s->expanded);
    if (mote__session_may_expand(&s->o)) /* else there is no room to compute one so */
        memcpy(s->expanded, t.expanded, form_bytes(n));
    trim_forms(s->expanded, n);
    s->kept_begin = n ? n - 1 : 0;
    s->mtp_base = s->mtp_eval = 0;
    if (mtp)
        s->mtp_eval = mtp;
    else if (s->o.draft == MOTE_DRAFT_AUTO) /* drafts from here on */
        s->mtp_base = s->mtp_eval = s->kept_begin;
    if (n)
        memcpy(s->hidden + (size_t)((n - 1) % s->ring) * c->hidden_size, t.state,
                c->hidden_size * sizeof *t.state);
    mote__sampler_state sampler = {mote__get64(h + 48), mote__get64(h + 56)};
    mote__sampler_state_set(s->sampler, &sampler);
    /* A snapshot taken without drafting has no MTP cache. */
    s->mtp_lost = s->model->net.mtp && n > 1 && mtp + 1 < n;
out:
    if (kv.memory)
        mote__kv_close(&kv);
    ZSTD_freeDCtx(k.z);
    free(t.state);
    free(t.expanded);
    free(t.tokens);
    return st;
}

mote_status mote_session_load(
        mote_session *s, const void *data, size_t size, mote_error *err)
{
    MOTE__GUARDED(s, err, load_from_memory(s, data, size, err));
}

mote_status mote_session_load_file(mote_session *s, const char *path, mote_error *err)
{
    if (!s || !path)
        return mote__fail(err, MOTE_E_INVALID, "expected a session and a path");
    /* At most what a full session can need: a huge file is not read whole. A larger one
     * has more tokens than fit, or is no snapshot: its header says. */
    mote__file f;
    mote_status st = mote__file_open(&f, path, err);
    if (st < 0)
        return st;
    uint8_t h[HEADER];
    uint8_t *data = NULL;
    size_t most = bound(s, s->context), n = f.size < most ? (size_t)f.size : most;
    if (f.size > most) {
        st = mote__file_read(&f, 0, HEADER, h, err);
        if (st >= 0)
            st = check_header(s, h, HEADER, err);
        if (st >= 0)
            st = damaged(err, "bytes follow its end");
        goto out;
    }
    data = malloc(n + 1);
    if (!data) {
        st = mote__fail_memory(err, n, "a snapshot");
        goto out;
    }
    st = mote__file_read(&f, 0, n, data, err);
    if (st >= 0)
        st = mote_session_load(s, data, n, err);
out:
    free(data);
    mote__file_close(&f);
    return st;
}
