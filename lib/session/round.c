/* SPDX-License-Identifier: MIT */
/* Rounds of draft, verify and choose fill a short queue of tokens.
 *
 * Why speculation gives exactly the tokens of plain decoding, sampled or greedy: every
 * token is drawn by the sampler from the main model's logits at its place, with the
 * draw that its place has. A draft only decides whether those logits are already known.
 * For a point-mass draft this is rejection sampling: it is accepted with the
 * probability that the model gives it, and what replaces it has the model's
 * distribution without it. */
#include "session/round.h"
#include "base/status.h"

#include <string.h>

/* Masks of the places ahead depend on the drafts in front of them: they are made here,
 * and serve again for choosing. */
static const uint32_t *draft_mask(mote_session *s, uint32_t place)
{
    mote__generation *g = &s->gen;
    if (!mote__session_masked(s))
        return NULL;
    uint32_t *m = g->masks + place * mote__session_mask_words(s);
    if (place == 0)
        memcpy(g->draft_state, g->schema_state, g->schema_bytes);
    mote__schema_mask(g->schema, g->draft_state, m, s->model->net.config.vocab_size,
            mote__session_eos(s));
    g->n_masks = place + 1;
    return m;
}

static mote_status draft_ngram(
        mote_session *s, uint32_t n, uint32_t max, uint32_t *count)
{
    *count = mote__draft_ngram(s->tokens, n, s->tokens + n, max);
    return MOTE_OK;
}

mote_status mote__session_draft(
        mote_session *s, uint32_t n, uint32_t max, uint32_t *count, mote_error *err)
{
    *count = 0;
    if (s->o.draft == MOTE_DRAFT_NGRAM)
        return draft_ngram(s, n, max, count);
    /* Repair the module's cache from accepted tokens and true states; the row of the
     * last known token is the first draft. */
    mote_status st = mote__session_mtp_catch_up(s, n - 1, err);
    mote__draft_head_begin(s, n);
    uint32_t vocab = s->model->net.config.vocab_size;
    const float *x = s->mtp_state;
    for (uint32_t i = 0; st >= 0 && i < max; i++) {
        if (i > 0) {
            /* a further step: the module's own output instead of the true state */
            uint32_t p = n - 2 + i - s->mtp_base;
            st = mote__kv_own(&s->kv, p, p + 1, err);
            if (st < 0)
                return st;
            s->rows[0] = (mote__row){s->tokens[n - 1 + i], p, s->kv.layers};
            mote__pass pass = mote__session_pass(s, 1);
            st = mote__forward_mtp(
                    &s->model->net, s->model->pool, s->work, &pass, &x, err);
            if (st < 0)
                return st;
            x = mote__work_out(s->work);
        }
        const uint32_t *mask = draft_mask(s, i);
        uint32_t best = mote__draft_best(s, x, mask);
        if (best >= vocab)
            break; /* NaN: the main model will say so */
        s->tokens[n + i] = (int32_t)best;
        *count = i + 1;
        if (mask &&
                !mote__schema_accept(s->gen.schema, s->gen.draft_state, (int32_t)best))
            break; /* the end of the text */
    }
    return st;
}

static uint32_t drafts_wanted(mote_session *s)
{
    const mote__generation *g = &s->gen;
    if (s->o.draft != MOTE_DRAFT_NGRAM && !mote__session_drafts_mtp(s))
        return 0;
    uint32_t max = s->o.draft_tokens ? s->o.draft_tokens : MOTE__DRAFT_MAX;
    uint32_t room = s->context - s->n_tokens; /* pending token is inside */
    max = room < max + 1 ? (room ? room - 1 : 0) : max;
    if (g->max_tokens) {
        uint32_t left = g->max_tokens - g->n_generated;
        max = left < max + 1 ? (left ? left - 1 : 0) : max;
    }
    int fixed = s->o.draft_tokens && s->o.draft != MOTE_DRAFT_AUTO;
    uint32_t behind =
            s->o.draft == MOTE_DRAFT_NGRAM ? 0 : s->n_tokens - 1 - s->mtp_eval;
    if (behind <= MOTE__DRAFT_MAX + 1)
        behind = 0; /* a draft's own */
    else if (s->o.draft == MOTE_DRAFT_AUTO && behind > MOTE__MTP_WINDOW)
        behind = MOTE__MTP_WINDOW;
    uint32_t n = mote__drafter_choose(&s->drafter, max, fixed, behind);
    return n == 0 && max > 0 && s->o.draft == MOTE_DRAFT_MTP ? 1 : n;
}

/* Choose the token after each computed one, until a draft is not what was chosen. */
static mote_status verify(mote_session *s, uint32_t known, uint32_t drafted,
        uint32_t *accepted, mote_error *err)
{
    uint32_t vocab = s->model->net.config.vocab_size;
    int32_t drafts[MOTE__DRAFT_MAX];
    memcpy(drafts, s->tokens + known, drafted * sizeof *drafts);
    *accepted = 0;
    for (uint32_t i = 0;; i++) {
        mote_status st = mote__choose(s, s->logits + (size_t)i * vocab, i, err);
        if (st < 0)
            return i ? MOTE_OK : st; /* first what came before it */
        if (i == drafted)
            return MOTE_OK;
        int32_t *chosen = &s->tokens[known + i];
        int same = *chosen == drafts[i];
        if (s->force_acceptance >= 0) {
            same = mote__sampler_uniform(7, s->stats.passes * 8 + i) <
                   s->force_acceptance;
            if (same)
                *chosen = drafts[i];
        }
        if (!same)
            return MOTE_OK;
        ++*accepted;
        if (s->gen.queue[s->gen.head + s->gen.queued - 1].ends)
            return MOTE_OK;
    }
}

/* 1 when there is no room for a token: the text ends with what it has. */
static int ends_full(mote_session *s)
{
    if (s->n_tokens < s->context)
        return 0;
    s->gen.stop = MOTE_STOP_CONTEXT;
    s->gen.last_pass = 1;
    return 1;
}

mote_status mote__round_run(mote_session *s, mote_error *err)
{
    uint32_t known = s->n_tokens, drafted = 0, want = 0, accepted;
    uint64_t draft_ns = 0, start;
    mote_status st = MOTE_OK;
    if (ends_full(s))
        return MOTE_OK;
    int computes = s->n_eval < known;
    s->gen.n_masks = 0;
    if (computes)
        want = drafts_wanted(s);
    if (want) {
        /* what had been left undone for long is no cost of this draft alone */
        uint32_t behind = mote__session_drafts_mtp(s)
                                  ? mote__session_mtp_window(s, known - 1)
                                  : 0;
        start = mote__now_ns();
        if (behind > MOTE__DRAFT_MAX + 1) {
            st = mote__session_mtp_catch_up(s, known - 2, err);
            mote__drafter_caught_up(&s->drafter, behind - 1, mote__now_ns() - start);
            start = mote__now_ns();
        }
        if (st >= 0)
            st = mote__session_draft(s, known, want, &drafted, err);
        draft_ns = mote__now_ns() - start;
    }
    start = mote__now_ns();
    if (st >= 0) /* straight after a prompt, the last state is there, or is made */
        st = computes ? mote__session_compute(s, known + drafted, 0, err)
                      : mote__session_settle_last(s, err);
    if (st < 0)
        return st;
    s->stats.passes++;
    for (uint32_t i = 0; i <= drafted; i++)
        s->states[i] = mote__session_hidden(s, known - 1 + i);
    st = mote__session_head(s, s->states, drafted + 1, s->logits, err);
    if (st < 0) {
        s->n_eval = known < s->n_eval ? known : s->n_eval;
        return st;
    }
    uint64_t pass_ns = mote__now_ns() - start;
    st = verify(s, known, drafted, &accepted, err);
    for (uint32_t i = 0; i < drafted; i++) {
        s->stats.drafted[i] += i <= accepted;
        s->stats.accepted[i] += i < accepted;
    }
    /* what was computed behind the accepted tokens is not of this sequence */
    if (s->n_eval > known + accepted)
        s->n_eval = known + accepted;
    if (computes)
        mote__drafter_learn(&s->drafter, drafted, accepted, pass_ns, draft_ns);
    return st;
}

mote_status mote__round_begin(mote_session *s, int *needs_row, mote_error *err)
{
    *needs_row = 0;
    mote_status st = mote__session_check_cancel(s, err);
    if (st < 0)
        return st;
    if (s->gen.queued || s->gen.finished || s->gen.last_pass || ends_full(s))
        return MOTE_OK;
    if (s->n_eval >= s->n_tokens)
        return mote__round_run(s, err); /* straight after a prompt */
    s->gen.n_masks = 0;
    st = mote__session_mtp_keep_up(s, 1, err);
    if (st < 0)
        return st;
    *needs_row = 1;
    return mote__kv_own(&s->kv, s->n_eval, s->n_eval + 1, err);
}

mote_status mote__round_end(
        mote_session *s, const float *state, const float *logits, mote_error *err)
{
    uint32_t hidden = s->model->net.config.hidden_size;
    memcpy(s->hidden + (size_t)(s->n_eval % s->ring) * hidden, state,
            hidden * sizeof(float));
    mote__session_computed(s, 1);
    s->stats.passes++;
    return mote__choose(s, logits, 0, err);
}
