/* SPDX-License-Identifier: MIT */
/* Sets of text units, and the partition of all units that a few sets make.
 *
 * A unit is a code point, or one byte outside well-formed UTF-8: the latter is the
 * number MOTE__UNIT_INVALID, one past the last code point. Ranges are kept sorted,
 * apart from each other and never adjacent, so that equal sets have equal ranges. */
#ifndef MOTE_TEXT_CODE_SET_H
#define MOTE_TEXT_CODE_SET_H
#include "base/memory.h"

#include <stdbool.h>

enum { MOTE__UNIT_INVALID = 0x110000, MOTE__UNITS = 0x110001 };

typedef struct mote__code_set {
    uint32_t (*ranges)[2]; /* [n][first, last] */
    size_t n, capacity;
} mote__code_set;

void mote__code_set_free(mote__code_set *set);
/* All return 0, or -1 without memory. */
int mote__code_set_add(mote__code_set *set, uint32_t first, uint32_t last);
int mote__code_set_add_set(mote__code_set *set, const mote__code_set *other);
/* Keep what is in both. */
int mote__code_set_intersect(mote__code_set *set, const mote__code_set *other);
/* Add a Unicode 16.0 class by name: L, Lu, Ll, Lt, Lm, Lo, M, N, Nd, P, S, Han, "space";
 * 1 when the name is not known. */
int mote__code_set_add_class(mote__code_set *set, const char *name);
int mote__code_set_invert(mote__code_set *set);
bool mote__code_set_has(const mote__code_set *set, uint32_t unit);
bool mote__code_set_equal(const mote__code_set *a, const mote__code_set *b);

/* Every unit belongs to one class; each set given to mote__partition_make is a union of
 * classes. Class 0 is the invalid byte alone. */
typedef struct mote__partition {
    mote__memory *memory;
    uint8_t ascii[128];              /* class of the ASCII characters */
    uint16_t page_of[0x110000 >> 8]; /* code point >> 8 -> page */
    uint8_t (*pages)[256];           /* [n_pages] classes by code point & 255 */
    size_t n_pages, pages_capacity;
    uint32_t sample[256]; /* a member of each class */
    uint32_t n_classes;   /* at most 256 */
} mote__partition;

/* 0; -1 without memory; 1 when more than 256 classes would be needed. */
int mote__partition_make(
        mote__partition *p, mote__memory *m, const mote__code_set *sets, size_t n_sets);
void mote__partition_free(mote__partition *p);

static inline uint8_t mote__partition_class(const mote__partition *p, uint32_t code)
{
    return p->pages[p->page_of[code >> 8]][code & 255];
}
/* Map n bytes to one class per unit; `classes` has room for n. Returns the number of
 * units. Each byte outside a well-formed sequence is one unit of class 0. */
size_t mote__partition_map(
        const mote__partition *p, const uint8_t *text, size_t n, uint8_t *classes);
#endif
