/* SPDX-License-Identifier: MIT */
/* A rendered conversation: one text in which the control tokens that the format itself
 * wrote are marked, so that the same letters in a message's content stay text.
 *
 * Invariants: spans lie in order and do not overlap; everything between them is text.
 * Errors of memory are remembered and reported once, at the end. */
#ifndef MOTE_TEXT_CHAT_OUT_H
#define MOTE_TEXT_CHAT_OUT_H
#include "mote/tokenizer.h"
#include "text/json_value.h"

typedef struct mote__chat_span {
    size_t begin, end;
    uint32_t optional; /* stays text where the tokenizer has no such token */
    uint32_t reserved;
} mote__chat_span;

typedef struct mote__chat_out {
    char *text;
    size_t n, capacity;
    mote__chat_span *spans;
    size_t n_spans, spans_capacity;
    size_t failed; /* bytes that could not be had */
} mote__chat_out;

void mote__chat_out_free(mote__chat_out *out);

/* Text of a message: never a control token. */
void mote__chat_text(mote__chat_out *out, const char *text, size_t n);
/* The format's own text: <｜...｜> and <|...|> in it are control tokens; <think>,
 * </think> and ｜DSML｜ are where the tokenizer has them. */
void mote__chat_literal(mote__chat_out *out, const char *text);
/* What the model itself said before: its think tags are tags again, all else is text.
 */
void mote__chat_reply(mote__chat_out *out, const char *text, size_t n);
/* A JSON value as Python's json.dumps(value, ensure_ascii=False) writes it. */
void mote__chat_json(mote__chat_out *out, const mote__json *value);

/* Encode. Tokens, capacity and count as mote_tokenizer_encode(). MOTE_E_UNSUPPORTED
 * names a control token that the tokenizer lacks. */
mote_status mote__chat_encode(const mote__chat_out *out,
        const mote_tokenizer *tokenizer, int32_t *tokens, size_t capacity,
        size_t *n_tokens, mote_error *err);
#endif
