/* SPDX-License-Identifier: MIT */
/* What a snapshot takes beside the prefill that it saves.
 *
 *     snapshot MODEL THREADS TOKENS KV [FILE]
 *
 * MODEL: a path, or PRESET:LAYERS made of random numbers (LAYERS 0: all). FILE: where
 * to write the snapshot; in memory too. For each type of cache. */
#include "bench_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static void measure(mote_model *m, uint32_t kv, const char *name, const int32_t *ids,
        uint32_t n, const char *path)
{
    mote_error e;
    mote_session *s, *t;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.context_tokens = n + 16;
    o.kv_type = kv;
    o.draft = MOTE_DRAFT_OFF;
    o.precision = MOTE_PRECISION_BF16; /* the fastest prefill */
    must(mote_session_open(&s, m, &o, &e), &e);
    must(mote_session_open(&t, m, &o, &e), &e);
    double start = now();
    must(mote_session_eval(s, ids, n, &e), &e);
    double prefill = now() - start;
    mote_session_stats st = MOTE_SESSION_STATS_INIT;
    must(mote_session_get_stats(s, &st, &e), &e);
    size_t size, capacity;
    must(mote_session_save(s, NULL, 0, &capacity, &e), &e);
    uint8_t *data = malloc(capacity);
    if (!data)
        exit(1);
    memset(data, 1, capacity); /* real pages */
    start = now();
    must(mote_session_save(s, data, capacity, &size, &e), &e);
    double save = now() - start;
    start = now();
    must(mote_session_load(t, data, size, &e), &e);
    double load = now() - start;
    printf("%-5s prefill of %u tokens %.2f s; saved in %.3f s, loaded in %.3f s; "
           "%.1f MB of %.1f MB of cache",
            name, n, prefill, save, load, (double)size * 1e-6,
            (double)st.kv_bytes * 1e-6);
    if (path) {
        start = now();
        must(mote_session_save_file(s, path, &e), &e);
        save = now() - start;
        start = now();
        must(mote_session_load_file(t, path, &e), &e);
        printf("; to a file %.3f s, from it %.3f s", save, now() - start);
    }
    int32_t a, b;
    must(mote_session_sample(s, NULL, &a, &e), &e);
    must(mote_session_sample(t, NULL, &b, &e), &e);
    printf("; %s\n", a == b ? "the same next token" : "ANOTHER NEXT TOKEN");
    fflush(stdout);
    free(data);
    mote_session_close(s);
    mote_session_close(t);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"", "f32", "bf16", "fp8"};
    mote_error e;
    mote_model *m;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    if (argc < 5)
        return 2;
    o.n_threads = (uint32_t)atoi(argv[2]);
    uint32_t n = (uint32_t)atoi(argv[3]);
    m = bench_model(argv[1], &o);
    must(mote_model_get_info(m, &info, &e), &e);
    int32_t *ids = malloc((n ? n : 1) * sizeof *ids);
    if (!ids)
        return 1;
    for (uint32_t i = 0; i < n; i++)
        ids[i] = (int32_t)((i * 2654435761u >> 8) % info.vocab_size);
    uint32_t kv = (uint32_t)atoi(argv[4]) % 4;
    measure(m, kv, names[kv], ids, n, argc > 5 ? argv[5] : NULL);
    free(ids);
    mote_model_close(m);
    return 0;
}
