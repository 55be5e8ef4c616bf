/* SPDX-License-Identifier: MIT */
/* Making sessions, and computing tokens into them. */
#include "session/guard.h"
#include "session/session.h"

#include "base/status.h"

#include <math.h>
#include <string.h>
#include <time.h>

uint64_t mote__now_ns(void)
{
    struct timespec t;
#ifdef CLOCK_MONOTONIC
    clock_gettime(CLOCK_MONOTONIC, &t);
#else
    timespec_get(&t, TIME_UTC);
#endif
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t at_least(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

/* A cache of up to this many bytes in float32 is kept so by default. */
static const uint64_t KV_EXACT_MAX = 64u << 20;

/* Put what the zeros mean in their place. */
static mote_status resolve(
        mote_session_options *o, const mote_model *m, mote_error *err)
{
    const mote__config *c = &m->net.config;
    uint32_t longest = c->max_position_embeddings;
    o->context_tokens = at_least(o->context_tokens, longest < 4096 ? longest : 4096);
    if (o->context_tokens > longest)
        return mote__fail(err, MOTE_E_INVALID,
                "option context_tokens: expected at most %u (max_position_embeddings), "
                "found %u",
                longest, o->context_tokens);
    o->prefill_tokens = at_least(o->prefill_tokens, 512);
    if (o->prefill_tokens > o->context_tokens)
        o->prefill_tokens = o->context_tokens;
    if (o->prefill_tokens < MOTE__DRAFT_MAX + 1)
        o->prefill_tokens = MOTE__DRAFT_MAX + 1; /* rows of a verifying pass */
    if (o->kv_type == MOTE_KV_DEFAULT) {
        /* exact where that costs next to nothing */
        uint64_t exact = o->context_tokens *
                         mote__kv_token_bytes(c, m->net.n_layers, MOTE_K_KV_F32);
        o->kv_type = exact <= KV_EXACT_MAX ? MOTE_KV_F32 : MOTE_KV_BF16;
    }
    o->precision = at_least(o->precision, MOTE_PRECISION_FINE);
    if (o->attention == MOTE_ATTENTION_EXPANDED && o->deterministic)
        return mote__fail(err, MOTE_E_INVALID,
                "option attention: expected absorbed with deterministic, found "
                "expanded");
    /* Chunks of fewer rows would make keys and values of the context for too few. */
    if (o->attention == MOTE_ATTENTION_DEFAULT)
        o->attention = o->deterministic || o->prefill_tokens < MOTE_EXPANDED_TOKENS
                               ? MOTE_ATTENTION_ABSORBED
                               : MOTE_ATTENTION_EXPANDED;
    o->keep_tokens = at_least(o->keep_tokens, o->prefill_tokens);
    if (o->keep_tokens > o->context_tokens)
        o->keep_tokens = o->context_tokens;
    if (o->draft == MOTE_DRAFT_MTP && !m->net.mtp)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "option draft: mtp needs a model with its MTP module loaded");
    return MOTE_OK;
}

static uint32_t kv_of(uint32_t kv_type)
{
    return kv_type == MOTE_KV_F32   ? MOTE_K_KV_F32
           : kv_type == MOTE_KV_FP8 ? MOTE_K_KV_FP8
                                    : MOTE_K_KV_BF16;
}

uint32_t mote__session_may_expand(const mote_session_options *o)
{
    return o->attention == MOTE_ATTENTION_EXPANDED &&
           o->context_tokens >= MOTE_EXPANDED_TOKENS;
}

static uint64_t work_bytes(const mote_model *m, const mote_session_options *o)
{
    return mote__work_bytes(&m->net, o->prefill_tokens, mote__pool_threads(m->pool),
            mote__session_may_expand(o), o->context_tokens);
}

/* Arrays of a session, and the one allocation they share. */
static void *carve(uint8_t *base, uint64_t *at, uint64_t n, uint64_t size)
{
    void *p = base ? base + *at : NULL;
    *at += (n * size + 63) / 64 * 64;
    return p;
}

size_t mote__session_mask_words(const mote_session *s)
{
    return ((size_t)s->model->net.config.vocab_size + 31) / 32;
}

static uint64_t arrays(mote_session *s, uint8_t *base)
{
    const mote__config *c = &s->model->net.config;
    uint64_t at = (sizeof *s + 63) / 64 * 64;
    uint64_t rows = s->o.prefill_tokens;
    s->rows = carve(base, &at, rows, sizeof *s->rows);
    s->states = carve(base, &at, rows, sizeof *s->states);
    s->tokens = carve(base, &at, (uint64_t)s->context + MOTE__DRAFT_MAX + 2, 4);
    s->hidden = carve(base, &at, (uint64_t)s->ring * c->hidden_size, 4);
    s->mtp_state = carve(base, &at, c->hidden_size, 4);
    s->logits = carve(base, &at, (uint64_t)MOTE__HEAD_ROWS * c->vocab_size, 4);
    s->rare = carve(base, &at, MOTE__RARE_MAX, sizeof *s->rare);
    s->expanded = carve(base, &at, mote__session_form_words(s), 4);
    s->panel_marks = carve(base, &at, mote_k_panels(c->vocab_size) / 8 + 1, 1);
    s->gen.masks =
            carve(base, &at, (MOTE__DRAFT_MAX + 1) * mote__session_mask_words(s), 4);
    return at;
}

static void size_session(mote_session *s)
{
    s->context = s->o.context_tokens;
    /* Drafts are computed behind what is kept; and the MTP module needs the state
     * before a chunk too. */
    uint32_t least = s->o.prefill_tokens + 4, keep = s->o.keep_tokens;
    s->ring = (keep > least ? keep : least) + MOTE__DRAFT_MAX;
}

mote_status mote__session_plan(const mote_model *m, mote_session_options *o,
        uint64_t *total_bytes, uint64_t *kv_bytes, mote_error *err)
{
    mote_status st = resolve(o, m, err);
    if (st < 0)
        return st;
    const mote__config *c = &m->net.config;
    mote_session s = {.model = (mote_model *)(uintptr_t)m, .o = *o};
    size_session(&s);
    uint64_t kv = mote__kv_plan(m->net.n_layers, o->context_tokens, kv_of(o->kv_type),
            c->kv_lora_rank, c->qk_rope_head_dim);
    *kv_bytes = kv;
    *total_bytes = kv + arrays(&s, NULL) + work_bytes(m, o) +
                   mote__sampler_bytes(c->vocab_size);
    return MOTE_OK;
}

static mote_status open_sized(mote_session **out, mote_model *m,
        const mote_session_options *o, const mote_session *from, mote_error *err)
{
    const mote__config *c = &m->net.config;
    mote_session sized = {.model = m, .o = *o};
    size_session(&sized);
    uint64_t n = arrays(&sized, NULL);
    uint8_t *base = n > SIZE_MAX / 2
                            ? NULL
                            : mote__alloc(&m->memory, MOTE_MEM_SCRATCH, (size_t)n);
    if (!base)
        return mote__fail_memory(err, (size_t)n, "session");
    mote_session *s = (mote_session *)(void *)base;
    memset(s, 0, sizeof *s);
    s->model = m;
    s->o = *o;
    size_session(s);
    arrays(s, base);
    s->fixed_bytes = n;
    s->stats.struct_size = sizeof s->stats;
    s->force_acceptance = -1;
    s->expand_from = MOTE_EXPANDED_TOKENS;
    memset(s->expanded, 0, mote__session_form_words(s) * sizeof *s->expanded);
    atomic_init(&s->cancel, 0);
    atomic_init(&s->busy, 0);
    mote__drafter_init(&s->drafter);
    mote__draft_head_init(s);
    mote_status st = from ? mote__kv_fork(&s->kv, &from->kv, from->n_eval, err)
                          : mote__kv_open(&s->kv, &m->memory, m->net.n_layers,
                                    s->context, kv_of(o->kv_type), c->kv_lora_rank,
                                    c->qk_rope_head_dim, err);
    if (st >= 0)
        st = mote__work_open(&s->work, &m->net, &m->memory, o->prefill_tokens,
                mote__pool_threads(m->pool), mote__session_may_expand(o), s->context,
                err);
    if (st >= 0)
        st = mote__sampler_open(&s->sampler, &m->memory, c->vocab_size, err);
    if (st < 0) {
        mote_session_close(s);
        return st;
    }
    *out = s;
    return MOTE_OK;
}

mote_status mote__session_open(
        mote_session **out, mote_model *m, mote_session_options *o, mote_error *err)
{
    *out = NULL;
    mote_status st = resolve(o, m, err);
    return st < 0 ? st : open_sized(out, m, o, NULL, err);
}

static mote_status fork_session(mote_session **out, mote_session *s, mote_error *err)
{
    if (!out || !s)
        return mote__fail(err, MOTE_E_INVALID, "expected a session and a place for it");
    mote__session_settle(s);
    mote_status st = open_sized(out, s->model, &s->o, s, err);
    if (st < 0)
        return st;
    mote_session *f = *out;
    uint32_t hidden = s->model->net.config.hidden_size;
    memcpy(f->tokens, s->tokens, s->n_tokens * sizeof *s->tokens);
    f->n_tokens = s->n_tokens;
    f->n_eval = s->n_eval;
    f->kept_begin = s->kept_begin;
    f->mtp_base = s->mtp_base;
    f->mtp_eval = s->mtp_eval;
    f->mtp_lost = s->mtp_lost;
    f->drafter = s->drafter;
    memcpy(f->expanded, s->expanded, mote__session_form_words(s) * sizeof *s->expanded);
    for (uint32_t p = s->kept_begin; p < s->n_eval; p++)
        memcpy(f->hidden + (size_t)(p % f->ring) * hidden, mote__session_hidden(s, p),
                hidden * sizeof(float));
    mote__sampler_state state;
    mote__sampler_state_get(s->sampler, &state);
    mote__sampler_state_set(f->sampler, &state);
    return MOTE_OK;
}

mote_status mote_session_fork(mote_session **out, mote_session *s, mote_error *err)
{
    if (out)
        *out = NULL;
    MOTE__GUARDED(s, err, fork_session(out, s, err));
}

void mote_session_close(mote_session *s)
{
    if (!s)
        return;
    mote__memory *m = &s->model->memory;
    mote__generation_end(s);
    if (s->kv.memory)
        mote__kv_close(&s->kv);
    mote__work_close(s->work, m);
    mote__sampler_close(s->sampler, m);
    mote__free(m, MOTE_MEM_SCRATCH, s, (size_t)s->fixed_bytes);
}

const float *mote__session_hidden(const mote_session *s, uint32_t position)
{
    return s->hidden + (size_t)(position % s->ring) * s->model->net.config.hidden_size;
}

uint32_t mote__session_form(const mote_session *s)
{
    return s->o.precision == MOTE_PRECISION_EXACT  ? MOTE_K_ACT_EXACT
           : s->o.precision == MOTE_PRECISION_BF16 ? MOTE_K_ACT_BF16
                                                   : MOTE_K_ACT_FINE;
}

/* Integer weights are for the integer units, unless the reference is asked for: their
 * own rounding is far above that of 8-bit activations with a scale per 32. */
uint32_t mote__session_form_int(const mote_session *s)
{
    return s->o.precision == MOTE_PRECISION_EXACT ? MOTE_K_ACT_EXACT : MOTE_K_ACT_INT8;
}

/* One form whatever the number of rows: prefill, decoding and verifying share their
 * bits. */
mote__pass mote__session_pass(const mote_session *s, uint32_t n)
{
    return (mote__pass){.rows = s->rows,
            .n = n,
            .kv_type = s->kv.type,
            .form = mote__session_form(s),
            .form_int = mote__session_form_int(s),
            .observe = s->observe,
            .observe_user = s->observe_user};
}

/* One pass over tokens[n_eval, n_eval + n). */
static mote_status compute_chunk(mote_session *s, uint32_t n, mote_error *err)
{
    uint32_t hidden = s->model->net.config.hidden_size, begin = s->n_eval;
    mote_status st = mote__model_intact(s->model, err);
    if (st >= 0)
        st = mote__kv_own(&s->kv, begin, begin + n, err);
    if (st < 0)
        return st;
    for (uint32_t i = 0; i < n; i++)
        s->rows[i] = (mote__row){s->tokens[begin + i], begin + i, s->kv.layers};
    mote__pass p = mote__session_pass(s, n);
    p.expanded = s->expanding;
    if (s->taps) {
        s->taps->first = begin;
        p.taps = s->taps;
    }
    st = mote__forward(&s->model->net, s->model->pool, s->work, &p, err);
    if (st < 0)
        return st;
    const float *out = mote__work_out(s->work);
    for (uint32_t i = 0; i < n; i++)
        memcpy(s->hidden + (size_t)((begin + i) % s->ring) * hidden, out + i * hidden,
                hidden * sizeof(float));
    mote__session_computed(s, n);
    return MOTE_OK;
}

void mote__session_computed(mote_session *s, uint32_t n)
{
    for (uint32_t i = s->n_eval; i < s->n_eval + n; i++) {
        const uint32_t bit = 1u << i % 32;
        s->expanded[i / 32] = (s->expanded[i / 32] & ~bit) | (s->expanding ? bit : 0);
    }
    s->n_eval += n;
    if (s->n_eval > s->ring && s->kept_begin < s->n_eval - s->ring)
        s->kept_begin = s->n_eval - s->ring;
}

mote_status mote__session_check_cancel(mote_session *s, mote_error *err)
{
    if (!atomic_load_explicit(&s->cancel, memory_order_relaxed) ||
            !atomic_exchange_explicit(&s->cancel, 0, memory_order_acq_rel))
        return MOTE_OK;
    return mote__fail(err, MOTE_E_CANCELLED, "the session was cancelled");
}

int mote__session_drafts_mtp(const mote_session *s)
{
    return s->model->net.mtp && (s->o.draft == MOTE_DRAFT_AUTO ||
                                        (s->o.draft == MOTE_DRAFT_MTP && !s->mtp_lost));
}

uint32_t mote__session_mtp_window(mote_session *s, uint32_t end)
{
    uint32_t behind = end - s->mtp_eval;
    if (s->o.draft != MOTE_DRAFT_AUTO ||
            (s->mtp_eval >= s->kept_begin && behind <= 2 * MOTE__MTP_WINDOW))
        return behind;
    uint32_t base = end > MOTE__MTP_WINDOW ? end - MOTE__MTP_WINDOW : 0;
    s->mtp_base = s->mtp_eval = base > s->kept_begin ? base : s->kept_begin;
    return end - s->mtp_eval;
}

int mote__session_mtp_whole(mote_session *s)
{
    if (s->mtp_base && !s->kept_begin)
        s->mtp_base = s->mtp_eval = 0;
    return !s->mtp_base &&
           (s->mtp_eval >= s->kept_begin || s->mtp_eval + 1 >= s->n_eval);
}

mote_status mote__session_mtp_catch_up(mote_session *s, uint32_t end, mote_error *err)
{
    while (s->mtp_eval < end) {
        uint32_t n = end - s->mtp_eval, max = mote__work_rows(s->work);
        n = n < max ? n : max;
        mote_status st = mote__session_check_cancel(s, err);
        if (st >= 0)
            st = mote__kv_own(&s->kv, s->mtp_eval - s->mtp_base,
                    s->mtp_eval - s->mtp_base + n, err);
        if (st < 0)
            return st;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t p = s->mtp_eval + i;
            s->rows[i] = (mote__row){s->tokens[p + 1], p - s->mtp_base, s->kv.layers};
            s->states[i] = mote__session_hidden(s, p);
        }
        mote__pass pass = mote__session_pass(s, n);
        st = mote__forward_mtp(
                &s->model->net, s->model->pool, s->work, &pass, s->states, err);
        if (st < 0)
            return st;
        uint32_t hidden = s->model->net.config.hidden_size;
        memcpy(s->mtp_state, mote__work_out(s->work) + (size_t)(n - 1) * hidden,
                hidden * sizeof(float));
        s->mtp_eval += n;
    }
    return MOTE_OK;
}

/* The MTP cache follows lazily, but before the states that it needs leave the ring;
 * unless drafts are made only where they pay: then the cache may begin anew. */
mote_status mote__session_mtp_keep_up(mote_session *s, uint32_t coming, mote_error *err)
{
    if (!mote__session_drafts_mtp(s) || s->o.draft == MOTE_DRAFT_AUTO)
        return MOTE_OK;
    if (s->n_eval + coming <= s->mtp_eval + s->ring || s->n_eval == 0)
        return MOTE_OK;
    return mote__session_mtp_catch_up(s, s->n_eval - 1, err);
}

mote_status mote__session_compute(
        mote_session *s, uint32_t end, int prompt, mote_error *err)
{
    uint32_t begin = s->n_eval, chunk = s->o.prefill_tokens;
    while (s->n_eval < end) {
        uint32_t n = end - s->n_eval < chunk ? end - s->n_eval : chunk;
        if (prompt && s->o.progress &&
                s->o.progress(
                        s->o.progress_user, "prefill", s->n_eval - begin, end - begin))
            return mote__fail(err, MOTE_E_CANCELLED, "prefilling was cancelled");
        mote_status st = mote__session_check_cancel(s, err);
        if (st >= 0)
            st = mote__session_mtp_keep_up(s, n, err);
        if (st >= 0)
            st = compute_chunk(s, n, err);
        if (st < 0)
            return st;
    }
    if (prompt && s->o.progress && end > begin)
        (void)s->o.progress(s->o.progress_user, "prefill", end - begin, end - begin);
    return MOTE_OK;
}

/* Go back to `n` tokens, whatever they were. */
static void rewind_to(mote_session *s, uint32_t n)
{
    s->n_tokens = n;
    if (s->n_eval > n)
        s->n_eval = n;
    if (s->kept_begin > s->n_eval)
        s->kept_begin = s->n_eval;
    /* entry p of the MTP cache depends on token p + 1 */
    uint32_t mtp = n ? n - 1 : 0;
    if (s->mtp_eval > mtp)
        s->mtp_eval = mtp;
    if (s->mtp_base > s->mtp_eval)
        s->mtp_base = s->mtp_eval;
    if (s->mtp_eval >= mtp)
        s->mtp_lost = 0;
}

mote_status mote__session_settle_last(mote_session *s, mote_error *err)
{
    if (s->n_eval < s->n_tokens)
        return mote__session_compute(s, s->n_tokens, 0, err);
    if (s->n_tokens && s->kept_begin >= s->n_tokens) {
        /* The state was dropped (a long rewind): compute that token once more, in the
         * form that it had. */
        s->n_eval = s->n_tokens - 1;
        s->kept_begin = s->n_eval;
        s->expanding = s->expanded[s->n_eval / 32] >> s->n_eval % 32 & 1;
        mote_status st = compute_chunk(s, 1, err);
        s->expanding = 0;
        return st;
    }
    return MOTE_OK;
}

void mote__session_settle(mote_session *s)
{
    /* tokens behind n_tokens were never seen: forget them, and their draws */
    if (s->gen.queued)
        mote__sampler_state_set(s->sampler, &s->gen.queue[s->gen.head].state);
    mote__generation_end(s);
    rewind_to(s, s->n_tokens);
}

static mote_status check_tokens(
        const mote_session *s, const int32_t *tokens, size_t n, mote_error *err)
{
    uint32_t vocab = s->model->net.config.vocab_size;
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= vocab)
            return mote__fail(err, MOTE_E_INVALID,
                    "token %zu: expected an id below %u, found %d", i, vocab,
                    tokens[i]);
    return MOTE_OK;
}

static mote_status eval(
        mote_session *s, const int32_t *tokens, size_t n_tokens, mote_error *err)
{
    if (!s || (!tokens && n_tokens))
        return mote__fail(err, MOTE_E_INVALID, "expected a session and tokens");
    if (n_tokens > s->context - s->n_tokens)
        return mote__fail(err, MOTE_E_CONTEXT_FULL,
                "the session has room for %u more tokens, found %zu",
                s->context - s->n_tokens, n_tokens);
    mote_status st = check_tokens(s, tokens, n_tokens, err);
    if (st < 0)
        return st;
    mote__session_settle(s);
    uint32_t old = s->n_tokens;
    if (n_tokens)
        memcpy(s->tokens + old, tokens, n_tokens * sizeof *tokens);
    uint64_t start = mote__now_ns();
    const int expand =
            s->o.attention == MOTE_ATTENTION_EXPANDED && n_tokens >= s->expand_from;
    /* The MTP entry of the last old token needs its state: have it before going on. */
    if (n_tokens && mote__session_drafts_mtp(s))
        st = mote__session_settle_last(s, err);
    else if (expand) /* a token that was generated is computed as such */
        st = mote__session_compute(s, old, 0, err);
    s->n_tokens = old + (uint32_t)n_tokens;
    s->expanding = (uint32_t)expand;
    if (st >= 0)
        st = mote__session_compute(s, s->n_tokens, 1, err);
    s->expanding = 0;
    if (st < 0)
        rewind_to(s, s->n_eval > old ? s->n_eval : old);
    s->stats.prompt_tokens += s->n_tokens - old;
    s->stats.prompt_ns += mote__now_ns() - start;
    return st;
}

mote_status mote_session_eval(
        mote_session *s, const int32_t *tokens, size_t n_tokens, mote_error *err)
{
    MOTE__GUARDED(s, err, eval(s, tokens, n_tokens, err));
}

static mote_status prompt(
        mote_session *s, const int32_t *tokens, size_t n_tokens, mote_error *err)
{
    if (!s || (!tokens && n_tokens))
        return mote__fail(err, MOTE_E_INVALID, "expected a session and tokens");
    if (n_tokens > s->context)
        return mote__fail(err, MOTE_E_CONTEXT_FULL,
                "the context holds %u tokens, the prompt has %zu", s->context,
                n_tokens);
    mote_status st = check_tokens(s, tokens, n_tokens, err);
    if (st < 0)
        return st;
    mote__session_settle(s);
    uint32_t same = 0;
    while (same < s->n_tokens && same < n_tokens && s->tokens[same] == tokens[same])
        same++;
    rewind_to(s, same);
    s->stats.reused_tokens += same;
    return eval(s, same ? tokens + same : tokens, n_tokens - same, err);
}

mote_status mote_session_prompt(
        mote_session *s, const int32_t *tokens, size_t n_tokens, mote_error *err)
{
    MOTE__GUARDED(s, err, prompt(s, tokens, n_tokens, err));
}

static mote_status rewind_session(mote_session *s, uint32_t position, mote_error *err)
{
    if (!s || position > s->n_tokens)
        return mote__fail(err, MOTE_E_INVALID,
                "rewind: expected a position up to %u, found %u", s ? s->n_tokens : 0,
                position);
    mote__session_settle(s);
    rewind_to(s, position);
    return MOTE_OK;
}

mote_status mote_session_rewind(mote_session *s, uint32_t position, mote_error *err)
{
    MOTE__GUARDED(s, err, rewind_session(s, position, err));
}

void mote_session_reset(mote_session *s)
{
    if (s && mote__session_enter(s, NULL) >= 0) {
        mote__session_settle(s);
        rewind_to(s, 0);
        atomic_store_explicit(&s->cancel, 0, memory_order_relaxed);
        (void)mote__session_leave(s, MOTE_OK);
    }
}

mote_status mote_session_shift(mote_session *s, uint32_t n_tokens, mote_error *err)
{
    (void)s;
    (void)n_tokens;
    return mote__fail(err, MOTE_E_UNSUPPORTED,
            "tokens cannot be dropped from the front: cached keys carry their "
            "position; "
            "use mote_session_prompt() with the shortened conversation");
}

uint32_t mote_session_position(const mote_session *s)
{
    return s ? s->n_tokens : 0;
}

uint32_t mote_session_context_tokens(const mote_session *s)
{
    return s ? s->context : 0;
}

int32_t mote_session_token(const mote_session *s, uint32_t position)
{
    return s && position < s->n_tokens ? s->tokens[position] : -1;
}

void mote_session_cancel(mote_session *s)
{
    if (s)
        atomic_store_explicit(&s->cancel, 1, memory_order_release);
}

mote_status mote_session_get_stats(
        const mote_session *s, mote_session_stats *stats, mote_error *err)
{
    if (!s || !stats || !mote__sized(stats->struct_size, 8))
        return mote__fail(err, MOTE_E_INVALID,
                "expected a session and stats with struct_size set");
    mote_session_stats full = s->stats;
    uint32_t size = stats->struct_size;
    full.struct_size = size;
    full.kv_bytes = mote__kv_plan(s->kv.n_layers, s->context, s->kv.type,
            s->model->net.config.kv_lora_rank, s->model->net.config.qk_rope_head_dim);
    full.total_bytes = full.kv_bytes + s->fixed_bytes + work_bytes(s->model, &s->o) +
                       mote__sampler_bytes(s->model->net.config.vocab_size);
    if (size > sizeof full)
        memset((char *)stats + sizeof full, 0, size - sizeof full);
    memcpy(stats, &full, size < sizeof full ? size : sizeof full);
    return MOTE_OK;
}
