/* SPDX-License-Identifier: MIT */
/* Reading golden vectors, and comparing with them.
 *
 * <dir>/expected/expected.txt has one line per array, `name dtype n_dims dims... offset
 * n_bytes`; expected.bin has the arrays, little-endian, each 16-byte aligned. */
#ifndef MOTE_TESTS_GOLDEN_H
#define MOTE_TESTS_GOLDEN_H
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "mote/mote.h"

typedef struct golden_array {
    char name[80];
    uint32_t n_dims;
    size_t dims[4];
    size_t count;     /* product of dims */
    const float *f;   /* one of the two */
    const int32_t *i; /* is NULL */
} golden_array;

typedef struct golden {
    golden_array *arrays;
    size_t n_arrays;
    void *blob;
} golden;

/* Fails the running test when the files are absent or make no sense. */
golden *golden_open(const char *dir);
void golden_close(golden *g);
/* NULL when there is no such array. The name is built as by printf. */
const golden_array *golden_find(const golden *g, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Root of the mean square of n values. */
double golden_rms(const float *x, size_t n);
/* Largest |a - b|; infinity where one is NaN. */
double golden_max_difference(const float *a, const float *b, size_t n);
/* Fail unless all |found - expected| <= relative * rms(expected); prints the worst. */
void golden_compare(const char *what, const float *found, const float *expected,
        size_t n, double relative);

/* Whole file, or NULL when there is none. */
void *golden_read_file(const char *path, size_t *size);
/* Formatted into one of four static buffers in turn: for paths used at once. */
const char *golden_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Assert MOTE_OK, and print the message otherwise. */
#define MUST(call)                                                                     \
    do {                                                                               \
        mote_error must_err = {0};                                                     \
        mote_error *err = &must_err;                                                   \
        mote_status must_st = (call);                                                  \
        if (must_st != MOTE_OK) {                                                      \
            print_error("%s: %s\n", mote_status_name(must_st), must_err.message);      \
            assert_int_equal(must_st, MOTE_OK);                                        \
        }                                                                              \
    } while (0)

/* Open with the given variant (NULL: $MOTE_TEST_ISA, or the best) and threads. */
mote_model *golden_model(const char *path, const char *isa, uint32_t n_threads);
/* A session that keeps all logits: with these options, or of exact precision. */
mote_session *golden_session_of(mote_model *model, mote_session_options o);
mote_session *golden_session(mote_model *model, uint32_t context_tokens,
        uint32_t kv_type, uint32_t draft, uint32_t deterministic);
/* n ids below vocab that repeat in no simple way, 0 first. */
void golden_tokens(int32_t *ids, uint32_t n, uint32_t vocab);
/* Logits of positions [0, n) into out[n][vocab_size]. */
void golden_logits(mote_session *s, uint32_t n, float *out, size_t vocab_size);
uint32_t golden_vocab(const mote_model *model);
/* Names of kernel variants, NULL-terminated. */
extern const char *const golden_isas[];
/* A model of this variant, or NULL where the CPU (or the build) has none. */
mote_model *golden_model_of_isa(const char *path, const char *isa, uint32_t n_threads);
#endif
