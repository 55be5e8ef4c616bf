/* SPDX-License-Identifier: MIT */
/* Which token comes next: the sampler's choice from what the schema allows, or the tag
 * that closes a reasoning whose budget is used up; and whether the text ends with it.
 */
#include "base/status.h"
#include "session/round.h"

int32_t mote__session_eos(const mote_session *s)
{
    int32_t eos = s->model->net.config.eos_token_id;
    if (eos < 0 && s->model->tokenizer)
        eos = mote_tokenizer_eos(s->model->tokenizer);
    return eos;
}

int mote__session_thinking(const mote_session *s)
{
    return s->gen.ahead && mote__reply_channel(s->gen.ahead) == MOTE_CHANNEL_REASONING;
}

int mote__session_masked(const mote_session *s)
{
    /* A think tag inside the value is only text: what has begun is masked to its end.
     */
    return s->gen.schema && (s->gen.schema_begun || !mote__session_thinking(s));
}

/* Why the text would end with token `id` chosen as number `n` (from 1). */
static uint32_t ends_with(
        const mote_session *s, int32_t id, uint32_t n, int masked, uint32_t *hidden)
{
    const mote__generation *g = &s->gen;
    int32_t eos = s->model->net.config.eos_token_id;
    int32_t other = s->model->tokenizer ? mote_tokenizer_eos(s->model->tokenizer) : -1;
    *hidden = 0;
    /* a complete value leaves nothing to go on with, whatever the options say */
    if ((!g->ignore_eos || masked) && id >= 0 && (id == eos || id == other)) {
        *hidden = 1;
        return masked ? MOTE_STOP_SCHEMA : MOTE_STOP_EOS;
    }
    if (g->max_tokens && n >= g->max_tokens)
        return MOTE_STOP_LENGTH;
    if (s->n_tokens + g->queued + 1 >= s->context)
        return MOTE_STOP_CONTEXT;
    return MOTE_STOP_NONE;
}

/* The parser in front learns of the chosen token. */
static mote_status look_ahead(mote_session *s, int32_t id, mote_error *err)
{
    mote__generation *g = &s->gen;
    const char *text;
    size_t n;
    mote__reply_event e;
    if (!mote_tokenizer_token(s->model->tokenizer, id, &n))
        return MOTE_OK;
    mote_status st = mote_decoder_push(g->ahead_decoder, id, &text, &n, err);
    if (st < 0)
        return st;
    mote__reply_feed(g->ahead, id, text, n);
    while (mote__reply_next(g->ahead, &e)) {
    }
    return MOTE_OK;
}

mote_status mote__choose(
        mote_session *s, const float *logits, uint32_t place, mote_error *err)
{
    mote__generation *g = &s->gen;
    uint32_t vocab = s->model->net.config.vocab_size;
    mote__queued *q = &g->queue[g->head + g->queued];
    uint32_t n = s->n_tokens + g->queued;
    int32_t id;
    int thinking = mote__session_thinking(s), masked = mote__session_masked(s);
    mote__sampler_state_get(s->sampler, &q->state);
    if (!thinking)
        g->forced_at = 0;
    if (thinking && !masked && g->think_max &&
            (g->forced_at || g->n_thought >= g->think_max)) {
        id = g->forced[g->forced_at];
        g->forced_at = (g->forced_at + 1) % g->n_forced;
        float max, lse;
        s->model->net.k.logsumexp(logits, vocab, &max, &lse);
        q->logprob = logits[id] - lse;
    } else {
        const uint32_t *mask = NULL;
        if (masked) {
            uint32_t *m = g->masks + place * mote__session_mask_words(s);
            if (place >= g->n_masks)
                mote__schema_mask(
                        g->schema, g->schema_state, m, vocab, mote__session_eos(s));
            mask = m;
        }
        mote_status st = mote__sampler_sample(
                s->sampler, logits, s->tokens, n, mask, &id, &q->logprob, err);
        if (st < 0)
            return st;
    }
    q->ends = ends_with(s, id, g->n_generated + g->queued + 1, masked, &q->hidden_text);
    if (masked && !q->hidden_text) {
        mote__schema_accept(g->schema, g->schema_state, id);
        g->schema_begun = 1;
        /* without a token that ends the text, the complete value does */
        if (mote__session_eos(s) < 0 &&
                mote__schema_complete(g->schema, g->schema_state))
            q->ends = MOTE_STOP_SCHEMA;
    }
    if (g->ahead && !q->hidden_text) {
        mote_status st = look_ahead(s, id, err);
        if (st < 0)
            return st;
    }
    g->n_thought += (uint32_t)thinking;
    s->tokens[n] = id;
    g->queued++;
    return MOTE_OK;
}
