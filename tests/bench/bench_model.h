/* SPDX-License-Identifier: MIT */
/* What the measuring programs share: a clock, the order of figures, ending on errors,
 * and naming a model. */
#ifndef MOTE_TESTS_BENCH_MODEL_H
#define MOTE_TESTS_BENCH_MODEL_H
#include "mote/experimental.h"
#include "mote/mote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* For qsort() of doubles. */
static inline int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static inline void must(mote_status st, const mote_error *e)
{
    if (st >= 0)
        return;
    fprintf(stderr, "%s\n", e->message);
    exit(1);
}

/* A path, or PRESET:LAYERS made of random numbers (LAYERS 0: all); `name` is cut. */
static inline mote_model *bench_model(char *name, const mote_model_options *o)
{
    mote_error e;
    mote_model *m;
    char *colon = strchr(name, ':');
    if (colon) {
        *colon = 0;
        must(mote_x_model_synthesize(&m, name, (uint32_t)atoi(colon + 1), 0, 1, o, &e),
                &e);
    } else {
        must(mote_model_open(&m, name, o, &e), &e);
    }
    return m;
}
#endif
