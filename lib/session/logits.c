/* SPDX-License-Identifier: MIT */
/* What follows a position: logits, log-probabilities, the MTP module's guess, a draw.
 */
#include "base/status.h"
#include "session/guard.h"
#include "session/session.h"

#include <math.h>

mote_status mote__session_head(mote_session *s, const float *const *x, uint32_t n,
        float *logits, mote_error *err)
{
    uint32_t vocab = s->model->net.config.vocab_size;
    mote__head(&s->model->net, s->model->pool, s->work, x, n, mote__session_form(s),
            mote__session_form_int(s), logits, vocab);
    for (uint32_t i = 0; i < n; i++) {
        /* One NaN or infinity in the state reaches every logit through the norm: a look
         * at all of them is cheap beside the head and catches bad head rows too. */
        float bad[16] = {0};
        const float *l = logits + (size_t)i * vocab;
        for (uint32_t v = 0; v < vocab; v++)
            bad[v & 15] += l[v] * 0.0f;
        float sum = 0;
        for (int v = 0; v < 16; v++)
            sum += bad[v];
        if (!(sum == 0.0f))
            return mote__fail(err, MOTE_E_NUMERIC,
                    "the model computed NaN or infinity: its weights are damaged");
    }
    return MOTE_OK;
}

/* State of a position, or why there is none. */
static mote_status state_at(
        mote_session *s, uint32_t position, const float **x, mote_error *err)
{
    if (position >= s->n_tokens)
        return mote__fail(err, MOTE_E_INVALID,
                "position: expected one below %u, found %u", s->n_tokens, position);
    if (position + 1 == s->n_tokens) {
        mote_status st = mote__session_settle_last(s, err);
        if (st < 0)
            return st;
    }
    uint32_t oldest =
            s->n_tokens > s->o.keep_tokens ? s->n_tokens - s->o.keep_tokens : 0;
    oldest = oldest > s->kept_begin ? oldest : s->kept_begin;
    if (position < oldest)
        return mote__fail(err, MOTE_E_INVALID,
                "position %u is no longer kept: option keep_tokens keeps from %u on",
                position, oldest);
    *x = mote__session_hidden(s, position);
    return MOTE_OK;
}

static mote_status check_room(
        const mote_session *s, const float *out, size_t capacity, mote_error *err)
{
    if (!s || !out || capacity < s->model->net.config.vocab_size)
        return mote__fail(err, MOTE_E_INVALID, "expected room for %u logits, found %zu",
                s ? s->model->net.config.vocab_size : 0, out ? capacity : 0);
    return MOTE_OK;
}

static mote_status logits_at(mote_session *s, uint32_t position, float *logits,
        size_t capacity, mote_error *err)
{
    const float *x;
    mote_status st = check_room(s, logits, capacity, err);
    if (st < 0)
        return st;
    mote__session_settle(s);
    st = state_at(s, position, &x, err);
    return st < 0 ? st : mote__session_head(s, &x, 1, logits, err);
}

mote_status mote_session_logits(mote_session *s, uint32_t position, float *logits,
        size_t capacity, mote_error *err)
{
    MOTE__GUARDED(s, err, logits_at(s, position, logits, capacity, err));
}

mote_status mote_session_logprobs(mote_session *s, uint32_t position, float *logprobs,
        size_t capacity, mote_error *err)
{
    mote_status st = mote_session_logits(s, position, logprobs, capacity, err);
    if (st < 0)
        return st;
    uint32_t vocab = s->model->net.config.vocab_size;
    float max, lse;
    s->model->net.k.logsumexp(logprobs, vocab, &max, &lse);
    for (uint32_t v = 0; v < vocab; v++)
        logprobs[v] -= lse;
    return MOTE_OK;
}

static mote_status mtp_logits(mote_session *s, uint32_t position, float *logits,
        size_t capacity, mote_error *err)
{
    mote_status st = check_room(s, logits, capacity, err);
    if (st < 0)
        return st;
    if (!s->model->net.mtp)
        return mote__fail(
                err, MOTE_E_UNSUPPORTED, "the model has no MTP module loaded");
    if (s->mtp_lost)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "the snapshot loaded here was saved without the MTP module's cache");
    if (!mote__session_drafts_mtp(s))
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "MTP logits need a session whose draft option is auto or mtp");
    mote__session_settle(s);
    if (s->n_tokens < 2 || position > s->n_tokens - 2)
        return mote__fail(err, MOTE_E_INVALID,
                "MTP logits need the token after the position: expected one below %u, "
                "found %u",
                s->n_tokens < 2 ? 0 : s->n_tokens - 1, position);
    st = mote__session_settle_last(s, err);
    if (st < 0)
        return st;
    const float *x;
    st = state_at(s, position, &x, err);
    if (st < 0)
        return st;
    if (!mote__session_mtp_whole(s))
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "the MTP module's cache begins at token %u: option draft mtp keeps it "
                "whole",
                s->mtp_eval >= s->kept_begin ? s->mtp_base : s->kept_begin);
    st = mote__session_mtp_catch_up(s, s->n_eval - 1, err);
    if (st < 0)
        return st;
    /* Compute that row once more: its cache entry is written with the same values. */
    s->rows[0] = (mote__row){s->tokens[position + 1], position, s->kv.layers};
    mote__pass pass = mote__session_pass(s, 1);
    st = mote__kv_own(&s->kv, position, position + 1, err);
    if (st < 0)
        return st;
    st = mote__forward_mtp(&s->model->net, s->model->pool, s->work, &pass, &x, err);
    if (st < 0)
        return st;
    x = mote__work_out(s->work);
    return mote__session_head(s, &x, 1, logits, err);
}

mote_status mote_session_mtp_logits(mote_session *s, uint32_t position, float *logits,
        size_t capacity, mote_error *err)
{
    MOTE__GUARDED(s, err, mtp_logits(s, position, logits, capacity, err));
}
