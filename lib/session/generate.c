/* SPDX-License-Identifier: MIT */
/* Pulled generation: rounds (round.c) fill a short queue of tokens; each next() takes
 * from it and turns tokens into pieces of text. */
#include "base/status.h"
#include "session/guard.h"
#include "session/round.h"

#include <string.h>

void mote__generation_end(mote_session *s)
{
    mote__generation *g = &s->gen;
    mote__memory *m = &s->model->memory;
    mote__free(m, MOTE_MEM_SCRATCH, g->schema_state, 2 * g->schema_bytes);
    mote_decoder_close(g->decoder);
    mote_decoder_close(g->ahead_decoder);
    mote__reply_close(g->reply);
    mote__reply_close(g->ahead);
    uint32_t *masks = g->masks;
    memset(g, 0, sizeof *g);
    g->masks = masks;
}

/* Tokens that end the reasoning when its budget is used up: the format's closing tag.
 */
static mote_status think_end(mote_session *s, const mote_tokenizer *t, mote_error *err)
{
    mote__generation *g = &s->gen;
    size_t n = 1, most = sizeof g->forced / sizeof *g->forced;
    mote_status st = MOTE_OK;
    g->forced[0] = mote_tokenizer_find(t, "</think>", 8);
    if (g->forced[0] < 0)
        st = mote_tokenizer_encode(t, "</think>", 8, 0, g->forced, most, &n, err);
    if (st < 0)
        return st;
    for (size_t i = 0; i < n && n <= most; i++)
        if ((uint32_t)g->forced[i] >= s->model->net.config.vocab_size)
            n = 0;
    if (n == 0 || n > most)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "option think_tokens_max: the model has no tokens for </think>");
    g->n_forced = (uint32_t)n;
    return MOTE_OK;
}

/* 1 when the prompt ends by opening the reasoning, as some formats' prompts do. */
static int prompt_opens_reasoning(const mote_session *s, const mote_tokenizer *t)
{
    static const char tag[] = "<think>";
    char text[512];
    uint32_t n = s->n_tokens < 16 ? s->n_tokens : 16; /* the tag may be letters */
    for (size_t length; n > 0; n--) {
        if (mote_tokenizer_decode(t, s->tokens + s->n_tokens - n, n, 0, text,
                    sizeof text, &length, NULL) < 0 ||
                length > sizeof text)
            continue; /* fewer of them */
        while (length && (text[length - 1] == '\n' || text[length - 1] == ' '))
            length--;
        return length >= sizeof tag - 1 &&
               memcmp(text + length - (sizeof tag - 1), tag, sizeof tag - 1) == 0;
    }
    return 0;
}

/* A decoder and a parser; the pair that delivers, or the one that looks ahead. */
static mote_status open_text(mote_session *s, const mote_generate_options *o,
        uint32_t in_reasoning, mote_decoder **decoder, mote__reply **reply,
        mote_error *err)
{
    const mote_tokenizer *t = s->model->tokenizer;
    mote_status st = mote_decoder_open(
            decoder, t, o->show_special ? 0 : MOTE_DECODE_SKIP_SPECIAL, err);
    return st < 0 ? st
                  : mote__reply_open(reply, &s->model->memory, o->format, t,
                            in_reasoning, o->stop, o->n_stop, err);
}

static mote_status open_schema(
        mote_session *s, const mote_schema *schema, mote_error *err)
{
    mote__generation *g = &s->gen;
    size_t n = (mote__schema_state_bytes(schema) + 7) / 8 * 8;
    uint8_t *states = mote__alloc(&s->model->memory, MOTE_MEM_SCRATCH, 2 * n);
    if (!states)
        return mote__fail_memory(err, 2 * n, "schema state");
    g->schema = schema;
    g->schema_bytes = n;
    g->schema_state = (mote__schema_state *)(void *)states;
    g->draft_state = (mote__schema_state *)(void *)(states + n);
    mote__schema_start(schema, g->schema_state);
    return MOTE_OK;
}

mote_status mote__session_generate(mote_session *s, const mote_generate_options *o,
        const mote_sampler_options *sampler, mote_error *err)
{
    const mote_tokenizer *t = s->model->tokenizer;
    mote__session_settle(s);
    if (s->n_tokens == 0)
        return mote__fail(err, MOTE_E_INVALID,
                "generating needs at least one token in the session (a BOS, say)");
    if (!t && (o->n_stop || o->schema || o->format || o->think_tokens_max))
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "stop strings, schemas, formats and budgets need a model with a "
                "tokenizer");
    mote__generation *g = &s->gen;
    g->active = 1;
    g->max_tokens = o->max_tokens;
    g->ignore_eos = o->ignore_eos;
    g->think_max = o->think_tokens_max;
    uint32_t in_reasoning =
            o->starts_in_reasoning || (o->format && prompt_opens_reasoning(s, t));
    mote_status st = MOTE_OK;
    if (o->schema)
        st = open_schema(s, o->schema, err);
    if (st >= 0 && t)
        st = open_text(s, o, in_reasoning, &g->decoder, &g->reply, err);
    if (st >= 0 && t && (o->schema || o->think_tokens_max))
        st = open_text(s, o, in_reasoning, &g->ahead_decoder, &g->ahead, err);
    if (st >= 0 && g->think_max)
        st = think_end(s, t, err);
    if (st >= 0)
        st = mote__sampler_configure(s->sampler, sampler, (int)o->seed_from_state, err);
    if (st < 0)
        mote__generation_end(s);
    return st;
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
    if (g->reply && mote__reply_channel(g->reply) == MOTE_CHANNEL_REASONING)
        s->stats.reasoning_tokens++;
    uint32_t ends = q->ends, hidden = q->hidden_text;
    g->head++;
    g->queued--;
    if (!g->queued)
        g->head = 0;
    /* A model may have more logits than its tokenizer has tokens: those are no text. */
    size_t n;
    if (g->decoder && !hidden &&
            mote_tokenizer_token(s->model->tokenizer, g->piece_token, &n)) {
        const char *text;
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

static mote_status next(mote_session *s, mote_piece *piece, mote_error *err)
{
    if (!s || !piece || !mote__sized(piece->struct_size, 16))
        return mote__fail(err, MOTE_E_INVALID,
                "expected a session and a piece with struct_size set");
    if (!s->gen.active)
        return MOTE_DONE;
    uint64_t start = mote__now_ns();
    mote_status st = mote__session_check_cancel(s, err);
    while (st >= 0 && (st = deliver(s, piece, err)) == MOTE_DONE)
        st = mote__round_run(s, err);
    s->stats.generate_ns += mote__now_ns() - start;
    return st;
}

mote_status mote_session_next(mote_session *s, mote_piece *piece, mote_error *err)
{
    MOTE__GUARDED(s, err, next(s, piece, err));
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
    /* Calls with one seed go on with its draws; greedy ones have no seed of their own.
     */
    mote__sampler_state state;
    mote__sampler_state_get(s->sampler, &state);
    st = mote__sampler_configure(s->sampler, sampler,
            sampler->temperature == 0 || state.seed == sampler->seed, err);
    if (st < 0)
        return st;
    const float *x = mote__session_hidden(s, s->n_tokens - 1);
    st = mote__session_head(s, &x, 1, s->logits, err);
    return st < 0 ? st
                  : mote__sampler_sample(s->sampler, s->logits, s->tokens, s->n_tokens,
                            NULL, token, NULL, err);
}
