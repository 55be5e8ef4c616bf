/* SPDX-License-Identifier: MIT */
/* Tester of the kernels in the manner of checkasm. For every variant of variants.inc
 * that this CPU can run, each group of operations is compared with scalar or with
 * float64, on random and hostile inputs, odd sizes and guarded buffers. A group is a
 * function that takes the tables and reports failures; with --bench the same tables are
 * timed. */
#ifndef MOTE_TESTS_KERNELS_CHECK_H
#define MOTE_TESTS_KERNELS_CHECK_H
#include "kernels/kernels.h"

typedef struct check {
    const mote_kernels *scalar; /* the specification */
    const mote_kernels *table;  /* the variant under test (scalar itself at first) */
    const char *variant;
    uint64_t seed;     /* of check_random() */
    unsigned cases;    /* comparisons made */
    unsigned failures; /* and failed */
} check;

/* Count a comparison; a false one prints the sentence (the first few of a variant). */
void check_that(check *c, int ok, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

uint64_t check_random(check *c);
/* Uniform integer in [0, n). */
uint32_t check_below(check *c, uint32_t n);
/* Roughly normal, variance 1. */
float check_normal(check *c);

/* 64-byte aligned buffer with guards of 64 bytes before and after; check_guards() tells
 * whether both are untouched. Filled with a pattern that is NaN as floats. */
void *check_alloc(size_t bytes);
int check_guards(const void *p);
void check_free(void *p);

/* Seconds on the monotonic clock. */
double check_seconds(void);

/* Groups of operations. */
void check_numbers(check *c); /* conversions, panels, quantisation: not in the table */
void check_matrices(check *c);
void bench_matrices(check *c);
#endif
