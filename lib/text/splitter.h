/* SPDX-License-Identifier: MIT */
/* The pre-tokenizer: cuts text into the pieces inside which BPE merges.
 *
 * Each stage works on the pieces that the stage before left; a stage's matches and the
 * gaps between them each become one piece, so no byte is ever lost and pieces come in
 * order. Immutable once frozen; any thread may split with its own mote__split_run. */
#ifndef MOTE_TEXT_SPLITTER_H
#define MOTE_TEXT_SPLITTER_H
#include "split_pattern.h"

enum { MOTE__STAGES_MAX = 16 };

typedef struct mote__split_stage {
    /* Patterns of the shape C, C+, C{1,n} and C+$ are matched here, without PCRE2:
     * they are the commonest, and C+$ would be quadratic with any backtracking engine.
     */
    bool plain, at_line_end;
    size_t longest;     /* a match has 1 to `longest` units */
    uint8_t table[256]; /* classes of the set */
    void *code;         /* pcre2_code, when not plain */
    bool jit;
} mote__split_stage;

/* A stage as it was added, for writing tokenizers into packs. */
typedef struct mote__split_source {
    char *text;
    size_t n;
    bool literal;
} mote__split_source;

typedef struct mote__splitter {
    mote__memory *memory;
    mote__partition partition;
    mote__split_stage stages[MOTE__STAGES_MAX];
    mote__split_source source[MOTE__STAGES_MAX];
    size_t n_stages;
    uint8_t newline_class; /* 0 where no pattern has ^ or $ */
    /* Until frozen: */
    mote__pattern patterns[MOTE__STAGES_MAX];
    mote__set_list sets;
} mote__splitter;

void mote__splitter_init(mote__splitter *s, mote__memory *m);
/* Add a stage that isolates the matches of a pattern (literal: exactly this text). */
mote_status mote__splitter_add(mote__splitter *s, const char *pattern, size_t n,
        bool literal, mote_error *err);
/* Build classes and compile the stages. */
mote_status mote__splitter_freeze(mote__splitter *s, mote_error *err);
void mote__splitter_free(mote__splitter *s);

/* Receives pieces in order: a negative status ends the run. */
typedef mote_status (*mote__piece_fn)(void *arg, const uint8_t *piece, size_t n);

/* One thread's work memory; zeroed before first use. */
typedef struct mote__split_run {
    const mote__splitter *splitter;
    mote__piece_fn piece;
    void *arg;
    mote_error *err;
    const uint8_t *text; /* next byte not yet delivered */
    bool one_byte_units;
    uint8_t *classes;
    size_t capacity, n_units;
    void *match_data, *match_context, *jit_stack; /* PCRE2's */
} mote__split_run;

mote_status mote__split_text(mote__split_run *run, const uint8_t *text, size_t n);
void mote__split_run_free(mote__split_run *run);
#endif
