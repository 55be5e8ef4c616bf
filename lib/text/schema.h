/* SPDX-License-Identifier: MIT */
/* Constrained output as the session uses it: a schema is an immutable machine over
 * bytes, a state is plain memory that says where one generation stands in it.
 *
 * Invariants: a state is mote__schema_state_bytes(schema) bytes without pointers,
 * aligned to 8; memcpy copies it, so fork, speculation and rollback are copies. Nothing
 * here allocates after opening. From every state that accept() can reach, some allowed
 * token leads on to a complete value, so a mask is never empty (given an eos). Any
 * number of threads may use one schema, each with its own state. */
#ifndef MOTE_TEXT_SCHEMA_H
#define MOTE_TEXT_SCHEMA_H
#include "mote/schema.h"

typedef struct mote__schema_state mote__schema_state;

/* Where the token bytes come from: the tokenizer, or a test's own vocabulary. */
typedef struct mote__schema_vocab {
    /* Bytes of a token, living as long as the schema; NULL for an id that must never be
     * generated (no token, or an added/control token). */
    const char *(*token)(const void *user, int32_t token, size_t *n_bytes);
    const void *user;
    int32_t n_tokens; /* ids are below this */
} mote__schema_vocab;

/* What all schemas over one vocabulary share. */
typedef struct mote__schema_words mote__schema_words;
void mote__schema_words_close(mote__schema_words *words); /* NULL is allowed */

/* mote_schema_open() over any vocabulary; *vocab is copied. json NULL: any object or
 * array. keep: where the vocabulary's part is found, or left when it is not there yet
 * (by whichever thread is first), to be closed after every schema; NULL: the schema has
 * its own. */
mote_status mote__schema_open(mote_schema **out, const mote__schema_vocab *vocab,
        mote__schema_words *_Atomic *keep, const char *json, size_t n_bytes,
        mote_error *err);

void mote__schema_free(mote_schema *schema); /* NULL is allowed */

size_t mote__schema_state_bytes(const mote_schema *schema);
/* Nothing generated yet. */
void mote__schema_start(const mote_schema *schema, mote__schema_state *state);
/* Write bits[(vocab_size + 31) / 32]: bit i set where token i keeps the output
 * completable (exactly the tokens that accept() takes). eos (-1: none) is set when the
 * value may end here, and is then the only bit unless the value could also go on (a
 * number). */
void mote__schema_mask(const mote_schema *schema, const mote__schema_state *state,
        uint32_t *bits, uint32_t vocab_size, int32_t eos);
/* Advance by a token that is not eos: 1, or 0 (state unchanged) where it is not
 * allowed. The end itself is the caller's: eos is allowed when mote__schema_complete().
 */
int mote__schema_accept(
        const mote_schema *schema, mote__schema_state *state, int32_t token);
/* 1 when the bytes so far are a valid value. */
int mote__schema_complete(const mote_schema *schema, const mote__schema_state *state);
#endif
