/* SPDX-License-Identifier: MIT */
/* The patterns of a Split pre-tokenizer, read strictly.
 *
 * tokenizer.json writes its patterns for one particular engine (Oniguruma, Ruby syntax,
 * the Unicode version of the day). Here a pattern is read into a list of items, where
 * everything that matches one unit of text is a set; what this reader does not know to
 * mean the same is refused by name rather than guessed. Once all sets of a tokenizer
 * are known, units are reduced to the classes that the sets tell apart (code_set.h),
 * and the pattern is written out again over classes, one byte each, for PCRE2 without
 * Unicode. */
#ifndef MOTE_TEXT_SPLIT_PATTERN_H
#define MOTE_TEXT_SPLIT_PATTERN_H
#include "code_set.h"

typedef struct mote__set_list {
    mote__code_set *sets;
    size_t n, capacity;
} mote__set_list;

enum mote__pattern_kind {
    MOTE__PATTERN_TEXT, /* the same in both notations: groups, quantifiers, | */
    MOTE__PATTERN_SET,
    MOTE__PATTERN_LINE_BEGIN, /* ^ */
    MOTE__PATTERN_LINE_END    /* $ */
};

typedef struct mote__pattern_item {
    int32_t kind;
    uint32_t set;  /* index in the list of sets */
    char text[16]; /* NUL-terminated */
} mote__pattern_item;

typedef struct mote__pattern {
    mote__pattern_item *items;
    size_t n, capacity;
    uint32_t newline_set; /* where ^ or $ occurs */
} mote__pattern;

/* Read a pattern; its sets are added to the list (equal sets once). */
mote_status mote__pattern_parse(mote__pattern *p, mote__set_list *sets,
        const char *pattern, size_t n, mote_error *err);
/* A pattern that matches exactly this text. */
mote_status mote__pattern_literal(mote__pattern *p, mote__set_list *sets,
        const char *text, size_t n, mote_error *err);
/* Write the pattern over class bytes; *out is malloc'ed. 0, or -1 without memory. */
int mote__pattern_emit(const mote__pattern *p, const mote__set_list *sets,
        const mote__partition *partition, char **out, size_t *n);
void mote__pattern_free(mote__pattern *p);
void mote__set_list_free(mote__set_list *l);
#endif
