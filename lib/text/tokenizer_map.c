/* SPDX-License-Identifier: MIT */
#include "tokenizer_map.h"

#include "base/status.h"
#include "tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 2, /* 1 where RANKS_ARE_IDS is not set */
    HEADER = 48,
    /* of the tokenizer */
    IGNORES_MERGES = 1,
    ADDS_BOS = 2,
    HAS_TEMPLATE = 4,
    RANKS_ARE_IDS = 8,
    /* of a token, beside MOTE__TOKEN_... */
    REACHABLE = 4, /* by merging text */
    NORMALIZED = 8 /* an added token of the second kind */
};
static const char magic[8] = {'M', 'O', 'T', 'E', 'T', 'O', 'K', 'S'};

static uint32_t get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static size_t round4(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* ---- saving ---- */

static int by_rank(const void *a, const void *b)
{
    const mote__bpe_merge *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->pair < y->pair ? -1 : x->pair > y->pair;
}

/* The merges in their order, from malloc. */
static mote__bpe_merge *sorted_merges(const mote__bpe *b, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < b->merges_size; i++)
        *n += b->merges[i].rank != UINT32_MAX;
    mote__bpe_merge *list = malloc((*n + 1) * sizeof *list);
    size_t k = 0;
    for (size_t i = 0; list && i < b->merges_size; i++)
        if (b->merges[i].rank != UINT32_MAX)
            list[k++] = b->merges[i];
    if (list)
        qsort(list, k, sizeof *list, by_rank);
    return list;
}

static void put_tokens(
        const mote_tokenizer *t, uint8_t *lengths, uint8_t *flags, uint8_t *blob)
{
    const mote__bpe *b = &t->bpe;
    for (size_t i = 0; i < b->tokens_size; i++)
        if (b->tokens[i])
            flags[(uint32_t)b->tokens[i] - 1] |= REACHABLE;
    for (size_t id = 0; id < b->n_ids; id++) {
        const uint8_t *bytes = b->blob + b->span[id][0];
        uint32_t n = b->span[id][1];
        put32(lengths + 4 * id, n);
        flags[id] |= t->flags[id];
        if (t->flags[id] & MOTE__TOKEN_ADDED &&
                mote__added_find(&t->added[1], bytes, n) == (int32_t)id)
            flags[id] |= NORMALIZED;
        memcpy(blob, bytes, n);
        blob += n;
    }
}

mote_status mote__tokenizer_save(
        const mote_tokenizer *t, uint8_t **out, size_t *size, mote_error *err)
{
    const mote__bpe *b = &t->bpe;
    const mote__splitter *s = &t->splitter;
    size_t n_merges, blob = 0, stages = 0;
    *out = NULL;
    *size = 0;
    mote__bpe_merge *merges = sorted_merges(b, &n_merges);
    for (size_t id = 0; id < b->n_ids; id++)
        blob += b->span[id][1];
    for (size_t k = 0; k < s->n_stages; k++)
        stages += 8 + round4(s->source[k].n);
    size_t lengths_at = HEADER, flags_at = lengths_at + 4 * b->n_ids,
           merges_at = flags_at + round4(b->n_ids), at = merges_at + 12 * n_merges,
           blob_at = at + stages, template_at = blob_at + round4(blob),
           n = template_at + t->chat_template_size;
    uint8_t *p = merges ? calloc(1, n) : NULL;
    if (!p || t->chat_template_size > UINT32_MAX) {
        free(p);
        free(merges);
        return mote__fail_memory(err, n, "a tokenizer");
    }
    memcpy(p, magic, sizeof magic);
    put32(p + 8, b->ranks_are_ids ? VERSION : 1);
    put32(p + 12, (uint32_t)b->n_ids);
    put32(p + 16, (uint32_t)n_merges);
    put32(p + 20, (uint32_t)s->n_stages);
    put32(p + 24, (b->ignore_merges ? IGNORES_MERGES : 0u) |
                          (t->adds_bos ? ADDS_BOS : 0u) |
                          (t->chat_template ? HAS_TEMPLATE : 0u) |
                          (b->ranks_are_ids ? RANKS_ARE_IDS : 0u));
    put32(p + 28, (uint32_t)t->bos);
    put32(p + 32, (uint32_t)t->eos);
    put32(p + 36, (uint32_t)blob);
    put32(p + 40, (uint32_t)t->chat_template_size);
    put_tokens(t, p + lengths_at, p + flags_at, p + blob_at);
    for (size_t i = 0; i < n_merges; i++) {
        put32(p + merges_at + 12 * i, (uint32_t)(merges[i].pair >> 32));
        put32(p + merges_at + 12 * i + 4, (uint32_t)merges[i].pair);
        put32(p + merges_at + 12 * i + 8, merges[i].id);
    }
    for (size_t k = 0; k < s->n_stages; k++) {
        put32(p + at, s->source[k].literal);
        put32(p + at + 4, (uint32_t)s->source[k].n);
        memcpy(p + at + 8, s->source[k].text, s->source[k].n);
        at += 8 + round4(s->source[k].n);
    }
    if (t->chat_template_size)
        memcpy(p + template_at, t->chat_template, t->chat_template_size);
    free(merges);
    *out = p;
    *size = n;
    return MOTE_OK;
}

/* ---- opening ---- */

typedef struct map {
    const uint8_t *data;
    size_t size;
    uint32_t n_ids, n_merges, n_stages, flags, blob_bytes, template_bytes;
    int32_t bos, eos;
    const uint8_t *lengths, *token_flags, *merges, *stages, *blob, *template;
    size_t n_reachable, added_bytes[2];
} map;

static mote_status damaged(mote_error *err, const char *what, size_t at)
{
    return mote__fail(
            err, MOTE_E_FORMAT, "the pack's tokenizer is damaged: %s %zu", what, at);
}

/* Where the parts lie. */
static mote_status measure(map *m, mote_error *err)
{
    const uint8_t *p = m->data;
    if (m->size < HEADER || memcmp(p, magic, sizeof magic) != 0)
        return damaged(err, "expected a header, found bytes:", m->size);
    if (get32(p + 8) > VERSION)
        return mote__fail(err, MOTE_E_MISMATCH,
                "the pack's tokenizer: expected version %d, found %u", VERSION,
                get32(p + 8));
    m->n_ids = get32(p + 12);
    m->n_merges = get32(p + 16);
    m->n_stages = get32(p + 20);
    m->flags = get32(p + 24);
    m->bos = (int32_t)get32(p + 28);
    m->eos = (int32_t)get32(p + 32);
    m->blob_bytes = get32(p + 36);
    m->template_bytes = get32(p + 40);
    if (get32(p + 8) == 0 || get32(p + 44) != 0 || m->n_ids == 0 ||
            m->n_ids > MOTE__IDS_MAX || m->n_stages > MOTE__STAGES_MAX ||
            m->blob_bytes > INT32_MAX ||
            m->flags > (IGNORES_MERGES | ADDS_BOS | HAS_TEMPLATE | RANKS_ARE_IDS) ||
            (m->flags & RANKS_ARE_IDS) != (get32(p + 8) == 1 ? 0 : RANKS_ARE_IDS) ||
            (m->template_bytes && !(m->flags & HAS_TEMPLATE)))
        return damaged(err, "impossible values in its header, ids", m->n_ids);
    uint64_t at = HEADER + 4 * (uint64_t)m->n_ids;
    uint64_t flags_at = at, merges_at = at + round4(m->n_ids);
    at = merges_at + 12 * (uint64_t)m->n_merges;
    if (at > m->size)
        return damaged(err, "too short:", m->size);
    m->lengths = p + HEADER;
    m->token_flags = p + flags_at;
    m->merges = p + merges_at;
    m->stages = p + at;
    for (uint32_t k = 0; k < m->n_stages; k++) {
        if (m->size - at < 8 || get32(p + at + 4) > m->size - at - 8 ||
                get32(p + at) > 1)
            return damaged(err, "stage", k);
        at += 8 + (uint64_t)round4(get32(p + at + 4));
        if (at > m->size)
            return damaged(err, "stage", k);
    }
    m->blob = p + at;
    at += round4(m->blob_bytes);
    m->template = p + at;
    if (at > m->size || m->size - at != m->template_bytes)
        return damaged(err, "wrong length:", m->size);
    return MOTE_OK;
}

static mote_status check_tokens(map *m, mote_error *err)
{
    uint64_t sum = 0;
    for (uint32_t id = 0; id < m->n_ids; id++) {
        uint32_t n = get32(m->lengths + 4 * (size_t)id), f = m->token_flags[id];
        int added = (f & MOTE__TOKEN_ADDED) != 0;
        if (n > MOTE__TOKEN_BYTES_MAX || f > 15 || (n == 0 && f) ||
                (!added && f & (MOTE__TOKEN_SPECIAL | NORMALIZED)) ||
                (added && n > MOTE__ADDED_BYTES_MAX))
            return damaged(err, "token", id);
        sum += n;
        m->n_reachable += (f & REACHABLE) != 0;
        if (added)
            m->added_bytes[(f & NORMALIZED) != 0] += n;
    }
    if (sum != m->blob_bytes)
        return damaged(err, "bytes of tokens:", (size_t)sum);
    for (int i = 0; i < 2; i++) {
        int32_t id = i ? m->eos : m->bos;
        if (id != -1 && (id < 0 || (uint32_t)id >= m->n_ids ||
                                get32(m->lengths + 4 * (size_t)id) == 0))
            return damaged(err, "control token", (size_t)i);
    }
    if (m->flags & ADDS_BOS && m->bos < 0)
        return damaged(err, "control token", 0);
    return MOTE_OK;
}

static mote_status add_tokens(mote_tokenizer *t, const map *m, mote_error *err)
{
    mote__bpe *b = &t->bpe;
    uint32_t at = 0;
    memcpy(b->blob, m->blob, m->blob_bytes);
    for (uint32_t id = 0; id < m->n_ids; id++) {
        uint32_t n = get32(m->lengths + 4 * (size_t)id), f = m->token_flags[id];
        b->span[id][0] = at;
        b->span[id][1] = n;
        if (n > t->longest_token)
            t->longest_token = n;
        if (f & REACHABLE)
            mote__bpe_add_token(b, id);
        t->flags[id] = (uint8_t)(f & (MOTE__TOKEN_SPECIAL | MOTE__TOKEN_ADDED));
        int second = (f & NORMALIZED) != 0;
        if (f & MOTE__TOKEN_ADDED &&
                (mote__added_find(&t->added[!second], b->blob + at, n) >= 0 ||
                        mote__added_add(
                                &t->added[second], b->blob + at, n, (int32_t)id) < 0))
            return damaged(err, "added twice: token", id);
        at += n;
    }
    return MOTE_OK;
}

/* Every merge joins two tokens into the token of their joined bytes. */
static mote_status add_merges(mote_tokenizer *t, const map *m, mote_error *err)
{
    mote__bpe *b = &t->bpe;
    for (uint32_t i = 0; i < m->n_merges; i++) {
        uint32_t id[3];
        for (int j = 0; j < 3; j++) {
            id[j] = get32(m->merges + 12 * (size_t)i + 4 * (size_t)j);
            if (id[j] >= m->n_ids || !(m->token_flags[id[j]] & REACHABLE))
                return damaged(err, "merge", i);
        }
        const uint32_t *left = b->span[id[0]], *right = b->span[id[1]],
                       *joined = b->span[id[2]];
        if (left[1] + right[1] != joined[1] ||
                memcmp(b->blob + joined[0], b->blob + left[0], left[1]) != 0 ||
                memcmp(b->blob + joined[0] + left[1], b->blob + right[0], right[1]) !=
                        0 ||
                mote__bpe_add_merge(
                        b, id[0], id[1], b->ranks_are_ids ? id[2] : i, id[2]) < 0)
            return damaged(err, "merge", i);
    }
    mote__bpe_freeze(b);
    return MOTE_OK;
}

static mote_status add_stages(mote_tokenizer *t, const map *m, mote_error *err)
{
    const uint8_t *p = m->stages;
    mote_status st = MOTE_OK;
    for (uint32_t k = 0; k < m->n_stages && st >= 0; k++) {
        size_t n = get32(p + 4);
        st = mote__splitter_add(
                &t->splitter, (const char *)p + 8, n, get32(p) != 0, err);
        p += 8 + round4(n);
    }
    return st < 0 ? st : mote__splitter_freeze(&t->splitter, err);
}

mote_status mote__tokenizer_open_map(mote_tokenizer **out, mote__memory *memory,
        const uint8_t *data, size_t size, mote_error *err)
{
    map m = {.data = data, .size = size};
    *out = NULL;
    mote_status st = measure(&m, err);
    if (st >= 0)
        st = check_tokens(&m, err);
    if (st < 0)
        return st;
    mote_tokenizer *t = mote__calloc(memory, MOTE_MEM_TOKENIZER, 1, sizeof *t);
    if (!t)
        return mote__fail_memory(err, sizeof *t, "a tokenizer");
    t->memory = memory;
    t->bos = m.bos;
    t->eos = m.eos;
    t->adds_bos = (m.flags & ADDS_BOS) != 0;
    mote__splitter_init(&t->splitter, memory);
    st = mote__tokenizer_tables(
            t, m.n_ids, m.blob_bytes, m.n_reachable, m.added_bytes, err);
    if (st >= 0)
        st = mote__tokenizer_merge_table(t, m.n_merges, err);
    if (st < 0)
        goto out;
    t->bpe.ignore_merges = (m.flags & IGNORES_MERGES) != 0;
    t->bpe.ranks_are_ids = (m.flags & RANKS_ARE_IDS) != 0;
    st = add_stages(t, &m, err);
    if (st >= 0)
        st = add_tokens(t, &m, err);
    if (st >= 0)
        st = add_merges(t, &m, err);
    if (st < 0 || !(m.flags & HAS_TEMPLATE))
        goto out;
    t->chat_template =
            mote__alloc(memory, MOTE_MEM_TOKENIZER, (size_t)m.template_bytes + 1);
    if (!t->chat_template) {
        st = mote__fail_memory(err, m.template_bytes, "the chat template");
        goto out;
    }
    memcpy(t->chat_template, m.template, m.template_bytes);
    t->chat_template[m.template_bytes] = '\0';
    t->chat_template_size = m.template_bytes;
out:
    if (st < 0)
        mote__tokenizer_close(t);
    else
        *out = t;
    return st;
}
