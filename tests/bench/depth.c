/* SPDX-License-Identifier: MIT */
/* What a long context costs a token.
 *
 *     depth MODEL THREADS TOKENS KV PAIRS
 *
 * MODEL: a path, or PRESET:LAYERS made of random numbers (LAYERS 0: all). KV: f32, bf16
 * or fp8. Two sessions, one of TOKENS tokens and one that begins, are decoded in turns,
 * so that each pair has memory of one speed. */
#include "bench_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double next_token(mote_session *s, int32_t id)
{
    mote_error e;
    const double start = seconds_of(CLOCK_MONOTONIC);
    must(mote_session_eval(s, &id, 1, &e), &e);
    return seconds_of(CLOCK_MONOTONIC) - start;
}

int main(int argc, char **argv)
{
    mote_error e;
    mote_model *m;
    mote_session *deep, *empty;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    if (argc < 6)
        return 2;
    o.n_threads = (uint32_t)atoi(argv[2]);
    const uint32_t n = (uint32_t)atoi(argv[3]), pairs = (uint32_t)atoi(argv[5]);
    must(mote_options_set_text(MOTE_OPTIONS_SESSION, &so, "kv_type", argv[4], &e), &e);
    so.context_tokens = n + pairs + 16;
    so.draft = MOTE_DRAFT_OFF;
    so.precision = MOTE_PRECISION_BF16;
    m = bench_model(argv[1], &o);
    must(mote_model_get_info(m, &info, &e), &e);
    must(mote_session_open(&deep, m, &so, &e), &e);
    must(mote_session_open(&empty, m, &so, &e), &e);
    int32_t *ids = malloc(n * sizeof *ids);
    double *more = malloc(pairs * sizeof *more), *all = malloc(pairs * sizeof *all);
    if (!ids || !more || !all || !n || !pairs)
        return 1;
    for (uint32_t i = 0; i < n; i++)
        ids[i] = (int32_t)(i * 7919u % info.vocab_size);
    must(mote_session_eval(deep, ids, n, &e), &e);
    must(mote_session_eval(empty, ids, 1, &e), &e);
    for (uint32_t i = 0; i < pairs; i++) {
        const int32_t id = (int32_t)(i * 104729u % info.vocab_size);
        double t[2];
        for (uint32_t k = 0; k < 2; k++)
            t[k ^ (i & 1)] = next_token(k ^ (i & 1) ? deep : empty, id);
        all[i] = t[0];
        more[i] = t[1] - t[0];
    }
    qsort(all, pairs, sizeof *all, ascending);
    qsort(more, pairs, sizeof *more, ascending);
    printf("empty: median %.2f ms; after %u tokens: %.2f ms more, half of the pairs "
           "within %.2f to %.2f\n",
            1e3 * all[pairs / 2], n, 1e3 * more[pairs / 2], 1e3 * more[pairs / 4],
            1e3 * more[pairs - 1 - pairs / 4]);
    mote_session_close(deep);
    mote_session_close(empty);
    mote_model_close(m);
    free(ids), free(more), free(all);
    return 0;
}
