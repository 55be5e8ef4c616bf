/* SPDX-License-Identifier: MIT */
/* Opening and freeing a schema. */
#include "text/schema_machine.h"

#include "base/status.h"

#include <stdatomic.h>
#include <stdlib.h>

/* The bytes of literals and keys must all have tokens of their own, so that a literal
 * can be spelled from anywhere in it. */
static mote_status check_literals(const mote_schema *s, mote_error *err)
{
    for (size_t i = 0; i < s->n_lits; i++)
        if (s->lits[i].byte >= 0x80 && !s->words->has_byte[s->lits[i].byte])
            return mote__fail(err, MOTE_E_UNSUPPORTED,
                    "schema: a literal has the byte 0x%02x, for which the vocabulary "
                    "has "
                    "no token",
                    s->lits[i].byte);
    return MOTE_OK;
}

/* The vocabulary's part: there, or made now. */
static mote_status find_words(
        mote_schema *s, mote__schema_words *_Atomic *keep, mote_error *err)
{
    mote__schema_words *made, *there = keep ? atomic_load(keep) : NULL;
    s->words = there;
    if (there)
        return MOTE_OK;
    mote_status st = mote__schema_words_open(&made, &s->vocab, err);
    if (st < 0)
        return st;
    s->words = made;
    if (!keep) {
        s->own_words = made;
    } else if (!atomic_compare_exchange_strong(keep, &there, made)) {
        mote__schema_words_close(made); /* another thread was first */
        s->words = there;
    }
    return MOTE_OK;
}

mote_status mote__schema_open(mote_schema **out, const mote__schema_vocab *vocab,
        mote__schema_words *_Atomic *keep, const char *json, size_t n_bytes,
        mote_error *err)
{
    *out = NULL;
    if (vocab->n_tokens < 0)
        return mote__fail(err, MOTE_E_INVALID, "schema: a vocabulary of %d tokens",
                vocab->n_tokens);
    mote_schema *s = calloc(1, sizeof *s);
    if (!s)
        return mote__fail_memory(err, sizeof *s, "a schema");
    s->vocab = *vocab;
    mote_status st = mote__schema_compile(s, json, n_bytes, err);
    if (st == MOTE_OK)
        st = find_words(s, keep, err);
    if (st == MOTE_OK)
        st = check_literals(s, err);
    if (st < 0) {
        mote__schema_free(s);
        return st;
    }
    *out = s;
    return MOTE_OK;
}

void mote__schema_free(mote_schema *s)
{
    if (!s)
        return;
    mote__schema_words_close(s->own_words);
    free(s->nodes);
    free(s->members);
    free(s->items);
    free(s->key_index);
    free(s->props);
    free(s->lits);
    free(s);
}
