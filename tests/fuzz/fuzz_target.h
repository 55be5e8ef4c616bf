/* SPDX-License-Identifier: MIT */
/* What every fuzz target defines: libFuzzer's entry point. */
#ifndef MOTE_TESTS_FUZZ_TARGET_H
#define MOTE_TESTS_FUZZ_TARGET_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise is a crash, so that either driver notices. */
#define FUZZ_CHECK(x)                                                                  \
    do {                                                                               \
        if (!(x)) {                                                                    \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #x);            \
            abort();                                                                   \
        }                                                                              \
    } while (0)
#endif
