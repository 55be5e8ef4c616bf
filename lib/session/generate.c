/* SPDX-License-Identifier: MIT */
/* Pulled generation: rounds of draft, verify and sample fill a short queue of tokens;
 * each next() takes from it and turns tokens into pieces of text.
 *
 * Why speculation gives exactly the tokens of plain decoding, sampled or greedy: every
 * token is drawn by the sampler from the main model's logits at its place, with the
 * draw that its place has. A draft only decides whether those logits are already known.
 * For a point-mass draft this is rejection sampling: it is accepted with the
 * probability that the model gives it, and what replaces it has the model's
 * distribution without it. */
#include "base/status.h"
#include "session/session.h"

#include "session/round.h"

#include <string.h>

void mote__generation_end(mote_session *s)
{
    mote__generation *g = &s->gen;
    mote__memory *m = &s->model->memory;
    mote__free(m, MOTE_MEM_SCRATCH, g->schema_state, g->schema_bytes);
    mote_decoder_close(g->decoder);
    mote__reply_close(g->reply);
    uint32_t *mask = g->mask;
    memset(g, 0, sizeof *g);
    g->mask = mask;
}

/* Tokens that end the reasoning when its budget is used up: the format's closing tag.
 */
static mote_status think_end(
        mote__generation *g, const mote_tokenizer *t, mote_error *err)
{
    int32_t id = mote_tokenizer_find(t, "</think>", 8);
    if (id >= 0) {
        g->forced[0] = id;
        g->n_forced = 1;
        return MOTE_OK;
    }
    size_t n = 0;
    mote_status st = mote_tokenizer_encode(t, "</think>", 8, 0, g->forced,
            sizeof g->forced / sizeof *g->forced, &n, err);
    if (st >= 0 && n > sizeof g->forced / sizeof *g->forced)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "option think_tokens_max: the closing tag has too many tokens");
    g->n_forced = (uint32_t)n;
    return st;
}

mote_status mote__session_generate(mote_session *s, const mote_generate_options *o,
        const mote_sampler_options *sampler, mote_error *err)
{
    mote__session_settle(s);
    if (s->n_tokens == 0)
        return mote__fail(err, MOTE_E_INVALID,
                "generating needs at least one token in the session (a BOS, say)");
    mote_status st =
            mote__sampler_configure(s->sampler, sampler, (int)o->seed_from_state, err);
    if (st < 0)
        return st;
    mote__generation *g = &s->gen;
    mote__memory *m = &s->model->memory;
    const mote_tokenizer *t = s->model->tokenizer;
    if (o->n_stop && !o->stop)
        return mote__fail(err, MOTE_E_INVALID, "option stop: expected n_stop strings");
    if (!t && (o->n_stop || o->schema || o->format))
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "stop strings, schemas and formats need a model with a tokenizer");
    g->active = 1;
    g->max_tokens = o->max_tokens;
    g->ignore_eos = o->ignore_eos;
    g->think_max = o->think_tokens_max;
    g->schema = o->schema;
    g->format = o->format;
    if (o->schema) {
        g->schema_bytes = mote__schema_state_bytes(o->schema);
        g->schema_state = mote__alloc(m, MOTE_MEM_SCRATCH, g->schema_bytes);
        if (!g->schema_state) {
            st = mote__fail_memory(err, g->schema_bytes, "schema state");
            goto fail;
        }
        mote__schema_start(o->schema, g->schema_state);
    }
    if (t) {
        st = mote_decoder_open(
                &g->decoder, t, o->show_special ? 0 : MOTE_DECODE_SKIP_SPECIAL, err);
        if (st >= 0)
            st = mote__reply_open(&g->reply, m, o->format, t, o->starts_in_reasoning,
                    o->stop, o->n_stop, err);
        if (st >= 0 && g->think_max)
            st = think_end(g, t, err);
        if (st < 0)
            goto fail;
    }
    return MOTE_OK;
fail:
    mote__generation_end(s);
    return st;
}

/* Why the text would end with token `id` chosen as number `n` (from 1). */
static uint32_t ends_with(const mote_session *s, int32_t id, uint32_t n, int *hidden)
{
    const mote__generation *g = &s->gen;
    int32_t eos = s->model->net.config.eos_token_id;
    int32_t other = s->model->tokenizer ? mote_tokenizer_eos(s->model->tokenizer) : -1;
    *hidden = 0;
    if (!g->ignore_eos && id >= 0 && (id == eos || id == other)) {
        *hidden = 1;
        return g->schema ? MOTE_STOP_SCHEMA : MOTE_STOP_EOS;
    }
    if (g->max_tokens && n >= g->max_tokens)
        return MOTE_STOP_LENGTH;
    if (s->n_tokens + g->queued + 1 >= s->context)
        return MOTE_STOP_CONTEXT;
    return MOTE_STOP_NONE;
}

static int32_t eos_of(const mote_session *s)
{
    int32_t eos = s->model->net.config.eos_token_id;
    if (eos < 0 && s->model->tokenizer)
        eos = mote_tokenizer_eos(s->model->tokenizer);
    return eos;
}

/* Choose one token from logits and put it at the end of the queue. */
static mote_status choose(mote_session *s, const float *logits, mote_error *err)
{
    mote__generation *g = &s->gen;
    uint32_t vocab = s->model->net.config.vocab_size;
    mote__queued *q = &g->queue[g->head + g->queued];
    uint32_t n = s->n_tokens + g->queued;
    int32_t id;
    const uint32_t *mask = NULL;
    int thinking = g->reply && g->queued == 0 &&
                   mote__reply_channel(g->reply) == MOTE_CHANNEL_REASONING;
    if (g->schema && !thinking) {
        mote__schema_mask(g->schema, g->schema_state, g->mask, vocab, eos_of(s));
        mask = g->mask;
    }
    if (g->forced_at < g->n_forced && g->think_max && g->n_thought >= g->think_max &&
            (thinking || g->forced_at > 0)) {
        id = g->forced[g->forced_at++];
        float max, lse;
        s->model->net.k.logsumexp(logits, vocab, &max, &lse);
        q->logprob = logits[id] - lse;
    } else {
        mote_status st = mote__sampler_sample(
                s->sampler, logits, s->tokens, n, mask, &id, &q->logprob, err);
        if (st < 0)
            return st;
    }
    int hidden;
    q->ends = ends_with(s, id, g->n_generated + g->queued + 1, &hidden);
    q->hidden_text = (uint32_t)hidden;
    if (mask && !hidden)
        mote__schema_accept(g->schema, g->schema_state, id);
    mote__sampler_state_get(s->sampler, &q->state);
    s->tokens[n] = id;
    g->queued++;
    return MOTE_OK;
}

/* Fill s->tokens behind `n` known tokens with drafts; returns how many. */
static mote_status draft(
        mote_session *s, uint32_t n, uint32_t max, uint32_t *count, mote_error *err)
{
    *count = 0;
    if (s->o.draft == MOTE_DRAFT_NGRAM) {
        *count = mote__draft_ngram(s->tokens, n, s->tokens + n, max);
        return MOTE_OK;
    }
    /* Repair the module's cache from accepted tokens and true states; the row of the
     * last known token is the first draft. */
    mote_status st = mote__session_mtp_catch_up(s, n - 1, err);
    const mote_kernels *k = &s->model->net.k;
    uint32_t vocab = s->model->net.config.vocab_size,
             hidden = s->model->net.config.hidden_size;
    for (uint32_t i = 0; st >= 0 && i < max; i++) {
        const float *x = s->mtp_state;
        if (i > 0) {
            /* a further step: the module's own output instead of the true state */
            uint32_t p = n - 2 + i;
            st = mote__kv_own(&s->kv, p, p + 1, err);
            if (st < 0)
                return st;
            s->rows[0] = (mote__row){s->tokens[p + 1], p, s->kv.layers};
            mote__pass pass = mote__session_pass(s, 1);
            st = mote__forward_mtp(
                    &s->model->net, s->model->pool, s->work, &pass, &x, err);
            if (st < 0)
                return st;
            memcpy(s->mtp_state, mote__work_out(s->work), hidden * sizeof(float));
        }
        mote__head(&s->model->net, s->model->pool, s->work, &x, 1, MOTE_K_ACT_EXACT,
                MOTE_K_ACT_EXACT, s->logits, vocab);
        uint32_t best = k->argmax(s->logits, vocab);
        if (best >= vocab)
            break; /* NaN: the main model will say so */
        s->tokens[n + i] = (int32_t)best;
        *count = i + 1;
    }
    return st;
}

static uint32_t drafts_wanted(mote_session *s)
{
    const mote__generation *g = &s->gen;
    int has = s->o.draft == MOTE_DRAFT_NGRAM ||
              (s->model->net.mtp && !s->mtp_lost && s->o.draft != MOTE_DRAFT_OFF);
    /* A schema's next mask depends on each token: drafts still help, but a mask per
     * draft costs; think budgets count delivered text. Both stay exact because choose()
     * runs in order; with a budget we keep to plain decoding while thinking. */
    if (!has || g->think_max || (g->schema && s->gen.format))
        return 0;
    uint32_t max = s->o.draft_tokens ? s->o.draft_tokens : MOTE__DRAFT_MAX;
    uint32_t room = s->context - s->n_tokens; /* pending token is inside */
    max = room < max + 1 ? (room ? room - 1 : 0) : max;
    if (g->max_tokens) {
        uint32_t left = g->max_tokens - g->n_generated;
        max = left < max + 1 ? (left ? left - 1 : 0) : max;
    }
    uint32_t n = mote__drafter_choose(&s->drafter, max, s->o.draft_tokens != 0);
    return n == 0 && max > 0 && s->o.draft == MOTE_DRAFT_MTP ? 1 : n;
}

/* tokens[0, n_tokens) are delivered, the last of them not computed: compute it, with
 * drafts behind it, and choose what follows each accepted one. */
static mote_status round_run(mote_session *s, mote_error *err)
{
    uint32_t known = s->n_tokens, drafted = 0, vocab = s->model->net.config.vocab_size;
    uint64_t start = mote__now_ns(), draft_ns = 0;
    mote_status st;
    if (atomic_exchange_explicit(&s->cancel, 0, memory_order_acq_rel))
        return mote__fail(err, MOTE_E_CANCELLED, "the session was cancelled");
    if (s->n_eval >= known) {
        /* straight after a prompt: its last state is there, or is made */
        st = mote__session_settle_last(s, err);
    } else {
        uint32_t want = drafts_wanted(s);
        if (want) {
            st = draft(s, known, want, &drafted, err);
            if (st < 0)
                return st;
            draft_ns = mote__now_ns() - start;
        }
        st = mote__session_compute(s, known + drafted, 0, err);
    }
    if (st < 0)
        return st;
    s->stats.passes++;
    for (uint32_t i = 0; i <= drafted; i++)
        s->states[i] = mote__session_hidden(s, known - 1 + i);
    st = mote__session_head(s, s->states, drafted + 1, s->logits, err);
    if (st < 0)
        return st;
    int32_t drafts[MOTE__DRAFT_MAX];
    memcpy(drafts, s->tokens + known, drafted * sizeof *drafts);
    uint32_t accepted = 0;
    for (uint32_t i = 0;; i++) {
        st = choose(s, s->logits + (size_t)i * vocab, err);
        if (st < 0)
            break;
        const mote__queued *q = &s->gen.queue[s->gen.head + s->gen.queued - 1];
        if (q->ends || i == drafted)
            break;
        int32_t *chosen = &s->tokens[known + i];
        int same = *chosen == drafts[i];
        if (s->force_acceptance >= 0) {
            same = mote__sampler_uniform(7, s->stats.passes * 8 + i) <
                   s->force_acceptance;
            if (same)
                *chosen = drafts[i];
        }
        if (!same)
            break;
        accepted++;
    }
    for (uint32_t i = 0; i < drafted; i++) {
        s->stats.drafted[i] += i <= accepted;
        s->stats.accepted[i] += i < accepted;
    }
    /* what was computed behind the accepted tokens is not of this sequence */
    if (s->n_eval > known + accepted)
        s->n_eval = known + accepted;
    if (drafted || s->n_eval > 1)
        mote__drafter_learn(&s->drafter, drafted, accepted,
                mote__now_ns() - start - draft_ns, draft_ns);
    return st < 0 && s->gen.queued ? MOTE_OK : st;
}

mote_status mote__round_begin(mote_session *s, int *needs_row, mote_error *err)
{
    *needs_row = 0;
    if (s->gen.queued || s->gen.finished || !s->gen.active || s->gen.last_pass)
        return MOTE_OK;
    if (atomic_exchange_explicit(&s->cancel, 0, memory_order_acq_rel))
        return mote__fail(err, MOTE_E_CANCELLED, "the session was cancelled");
    if (s->n_eval >= s->n_tokens)
        return round_run(s, err); /* after a prompt: nothing to compute, or a refresh */
    *needs_row = 1;
    return mote__kv_own(&s->kv, s->n_eval, s->n_eval + 1, err);
}

mote_status mote__round_end(
        mote_session *s, const float *state, const float *logits, mote_error *err)
{
    uint32_t hidden = s->model->net.config.hidden_size;
    memcpy(s->hidden + (size_t)(s->n_eval % s->ring) * hidden, state,
            hidden * sizeof(float));
    s->n_eval++;
    if (s->n_eval > s->ring && s->kept_begin < s->n_eval - s->ring)
        s->kept_begin = s->n_eval - s->ring;
    s->stats.passes++;
    return choose(s, logits, err);
}

/* The next event of the text so far; 0 when more tokens are needed. */
static int take_event(mote_session *s, mote_piece *piece)
{
    mote__reply_event e;
    if (!s->gen.reply || !mote__reply_next(s->gen.reply, &e))
        return 0;
    piece->channel = e.channel;
    piece->tool_index = e.tool_index;
    piece->tool_name = e.tool_name;
    piece->text = e.text;
    piece->n_bytes = (uint32_t)e.n_bytes;
    return 1;
}

static void put_piece(mote_piece *dst, const mote_piece *src)
{
    uint32_t size = dst->struct_size < sizeof *src ? dst->struct_size : sizeof *src;
    uint32_t n = dst->struct_size;
    memcpy(dst, src, size);
    if (n > sizeof *src)
        memset((char *)dst + sizeof *src, 0, n - sizeof *src);
    dst->struct_size = n;
}

/* Deliver one queued token into the text. */
static mote_status consume(mote_session *s, mote_piece *piece, mote_error *err)
{
    mote__generation *g = &s->gen;
    mote__queued *q = &g->queue[g->head];
    g->piece_token = s->tokens[s->n_tokens];
    g->piece_logprob = q->logprob;
    piece->n_tokens = 1;
    piece->tokens = &g->piece_token;
    piece->logprobs = &g->piece_logprob;
    s->n_tokens++;
    g->n_generated++;
    s->stats.generated_tokens++;
    if (g->reply && mote__reply_channel(g->reply) == MOTE_CHANNEL_REASONING) {
        g->n_thought++;
        s->stats.reasoning_tokens++;
    }
    uint32_t ends = q->ends, hidden = q->hidden_text;
    g->head++;
    g->queued--;
    if (!g->queued)
        g->head = 0;
    if (g->decoder && !hidden) {
        const char *text;
        size_t n;
        mote_status st = mote_decoder_push(g->decoder, g->piece_token, &text, &n, err);
        if (st < 0)
            return st;
        mote__reply_feed(g->reply, g->piece_token, text, n);
    }
    if (ends) {
        g->last_pass = 1;
        g->stop = ends;
    }
    return MOTE_OK;
}

/* Pieces from what is queued. MOTE_DONE: the queue is empty and the text goes on. */
static mote_status deliver(mote_session *s, mote_piece *out, mote_error *err)
{
    mote__generation *g = &s->gen;
    mote_piece piece = {.struct_size = sizeof piece, .text = ""};
    for (;;) {
        if (take_event(s, &piece)) {
            put_piece(out, &piece);
            return MOTE_OK;
        }
        if (g->reply && mote__reply_stopped(g->reply) && !g->finished) {
            g->stop = MOTE_STOP_STRING;
            g->finished = 1;
        }
        if (g->last_pass && !g->finished) {
            /* the end: bytes of an incomplete character, then what the parser held */
            if (g->decoder) {
                const char *text;
                size_t n;
                mote_status st = mote_decoder_finish(g->decoder, &text, &n, err);
                if (st < 0)
                    return st;
                mote__reply_feed(g->reply, -1, text, n);
                while (take_event(s, &piece) && piece.n_bytes == 0) {
                }
                if (piece.n_bytes) {
                    put_piece(out, &piece);
                    return MOTE_OK;
                }
                if (g->last_pass == 1) {
                    g->last_pass = 2;
                    mote__reply_finish(g->reply);
                    continue;
                }
            }
            g->finished = 1;
        }
        if (g->finished) {
            piece.stop = g->stop;
            put_piece(out, &piece);
            g->active = 0;
            return MOTE_OK;
        }
        if (piece.n_tokens) {
            /* a token without text (yet): its own piece, so that ids are never late */
            put_piece(out, &piece);
            return MOTE_OK;
        }
        if (!g->queued)
            return MOTE_DONE;
        mote_status st = consume(s, &piece, err);
        if (st < 0)
            return st;
    }
}

mote_status mote_session_next(mote_session *s, mote_piece *piece, mote_error *err)
{
    if (!s || !piece || piece->struct_size < 16)
        return mote__fail(err, MOTE_E_INVALID,
                "expected a session and a piece with struct_size set");
    if (!s->gen.active)
        return MOTE_DONE;
    uint64_t start = mote__now_ns();
    mote_status st;
    while ((st = deliver(s, piece, err)) == MOTE_DONE) {
        st = round_run(s, err);
        if (st < 0)
            break;
    }
    s->stats.generate_ns += mote__now_ns() - start;
    return st;
}

mote_status mote__round_deliver(mote_session *s, mote_piece *piece, mote_error *err)
{
    return s->gen.active ? deliver(s, piece, err) : MOTE_DONE;
}

mote_status mote__session_sample(mote_session *s, const mote_sampler_options *sampler,
        int32_t *token, mote_error *err)
{
    mote__session_settle(s);
    if (!s->n_tokens)
        return mote__fail(err, MOTE_E_INVALID, "sampling needs at least one token");
    mote_status st = mote__session_settle_last(s, err);
    if (st < 0)
        return st;
    /* calls with one seed go on with its draws */
    mote__sampler_state state;
    mote__sampler_state_get(s->sampler, &state);
    st = mote__sampler_configure(s->sampler, sampler, state.seed == sampler->seed, err);
    if (st < 0)
        return st;
    const float *x = mote__session_hidden(s, s->n_tokens - 1);
    st = mote__session_head(s, &x, 1, s->logits, err);
    return st < 0 ? st
                  : mote__sampler_sample(s->sampler, s->logits, s->tokens, s->n_tokens,
                            NULL, token, NULL, err);
}
