/* SPDX-License-Identifier: MIT */
/* text -> added tokens and the text between them -> pieces -> merged tokens. */
#include "tokenizer_parts.h"

#include <string.h>

typedef struct encoder {
    const mote_tokenizer *t;
    mote__split_run split;
    mote__bpe_run bpe;
} encoder;

static mote_status encode_piece(void *arg, const uint8_t *piece, size_t n)
{
    encoder *e = arg;
    return mote__bpe_encode(&e->bpe, piece, n);
}

/* Match one group of added tokens, and the next group in the text between. */
static mote_status encode_added(encoder *e, size_t group, const uint8_t *text, size_t n)
{
    if (group == 2)
        return mote__split_text(&e->split, text, n);
    size_t at = 0;
    while (at < n) {
        size_t length = 0;
        int32_t id = 0;
        size_t found =
                mote__added_search(&e->t->added[group], text, at, n, &length, &id);
        if (found > at) {
            mote_status st = encode_added(e, group + 1, text + at, found - at);
            if (st < 0)
                return st;
        }
        if (found < n)
            mote__bpe_emit(&e->bpe, (uint32_t)id);
        at = found + length;
    }
    return MOTE_OK;
}

mote_status mote__tokenizer_encode(const mote_tokenizer *t, const uint8_t *text,
        size_t n, uint32_t flags, int32_t *ids, size_t capacity, size_t *n_ids,
        mote_error *err)
{
    encoder e = {.t = t};
    e.split.splitter = &t->splitter;
    e.split.piece = encode_piece;
    e.split.arg = &e;
    e.split.err = err;
    e.bpe.bpe = &t->bpe;
    e.bpe.ids = ids;
    e.bpe.capacity = capacity;
    e.bpe.err = err;
    if ((flags & MOTE_ENCODE_BOS) && t->adds_bos)
        mote__bpe_emit(&e.bpe, (uint32_t)t->bos);
    mote_status st = encode_added(&e, flags & MOTE_ENCODE_SPECIAL ? 0 : 2, text, n);
    mote__split_run_free(&e.split);
    mote__bpe_run_free(&e.bpe);
    *n_ids = st < 0 ? 0 : e.bpe.n;
    return st;
}
