/* SPDX-License-Identifier: MIT */
/* What speculation brings: plain decoding and drafting side by side, pair by pair, in
 * one session each; medians of the ratios.
 *
 *     speculation MODEL THREADS TOKENS PAIRS [ACCEPTANCE ...] [-WAY ...]
 *
 * WAY: leave it out (auto, mtp1, ...). MODEL: a path, or PRESET:LAYERS made of random
 * numbers (LAYERS 0: all). ACCEPTANCE: what the model accepts (real), or a forced
 * share. With one thread, its processor time is what counts: on a machine that others
 * use, too. */
#include "bench_model.h"
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS_MAX = 64 };
static uint32_t n_tokens;
static int one_thread;

static double now(void)
{
    return seconds_of(one_thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC);
}

static mote_session *open(mote_model *m, uint32_t draft, uint32_t k, double force)
{
    mote_error e;
    mote_session *s;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.context_tokens = n_tokens + 64;
    o.draft = draft;
    o.draft_tokens = k;
    must(mote_session_open(&s, m, &o, &e), &e);
    mote_x_session_force_acceptance(s, (float)force);
    return s;
}

/* Seconds for n_tokens after a prompt of 24; the prompt's own time is not counted. */
static double run(mote_session *s, uint32_t round)
{
    mote_error e;
    int32_t ids[24];
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    mote_piece p = MOTE_PIECE_INIT;
    for (uint32_t i = 0; i < 24; i++)
        ids[i] = (int32_t)(100 + (i * 131 + round * 977) % 3900);
    must(mote_session_prompt(s, ids, 24, &e), &e);
    g.ignore_eos = 1;
    g.max_tokens = n_tokens;
    must(mote_session_generate(s, &g, NULL, &e), &e);
    must(mote_session_next(s, &p, &e), &e);
    double start = now();
    mote_status st;
    while ((st = mote_session_next(s, &p, &e)) == MOTE_OK) {
    }
    must(st, &e);
    return now() - start;
}

static double median(double *x, uint32_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

int main(int argc, char **argv)
{
    mote_error e;
    mote_model *m;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    if (argc < 5)
        return 2;
    o.n_threads = (uint32_t)atoi(argv[2]);
    o.mtp = MOTE_MTP_ON;
    one_thread = o.n_threads == 1;
    n_tokens = (uint32_t)atoi(argv[3]);
    uint32_t pairs = (uint32_t)atoi(argv[4]);
    pairs = pairs < 1 ? 1 : pairs > PAIRS_MAX ? PAIRS_MAX : pairs;
    m = bench_model(argv[1], &o);
    static const struct {
        const char *name;
        uint32_t draft, k;
    } ways[] = {{"auto", MOTE_DRAFT_AUTO, 0}, {"mtp1", MOTE_DRAFT_MTP, 1},
            {"mtp2", MOTE_DRAFT_MTP, 2}, {"mtp4", MOTE_DRAFT_MTP, 4},
            {"ngram", MOTE_DRAFT_NGRAM, 0}};
    for (int a = 5; a < argc || a == 5; a++) {
        double force = a < argc && strcmp(argv[a], "real") ? atof(argv[a]) : -1;
        if (a < argc && argv[a][0] == '-')
            continue;
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            int left_out = 0;
            for (int i = 5; i < argc; i++)
                left_out |= argv[i][0] == '-' && !strcmp(argv[i] + 1, ways[w].name);
            if (left_out)
                continue;
            if (force >= 0 && ways[w].draft == MOTE_DRAFT_NGRAM)
                continue;
            double ratio[PAIRS_MAX], plain[PAIRS_MAX];
            uint64_t bytes[2];
            mote_session *p = open(m, MOTE_DRAFT_OFF, 0, -1),
                         *d = open(m, ways[w].draft, ways[w].k, force);
            for (uint32_t i = 0; i < pairs; i++) {
                /* A new session each time is what an application without habits has. */
                double fast;
                if (i % 2) {
                    fast = run(d, i);
                    plain[i] = run(p, i);
                } else {
                    plain[i] = run(p, i);
                    fast = run(d, i);
                }
                ratio[i] = plain[i] / fast;
            }
            bytes[0] = mote_x_session_weight_bytes(p);
            bytes[1] = mote_x_session_weight_bytes(d);
            double bound = (double)bytes[0] / (double)bytes[1];
            double gain = median(ratio, pairs);
            mote_session_stats st = MOTE_SESSION_STATS_INIT;
            must(mote_session_get_stats(d, &st, &e), &e);
            printf("%-5s %-6s plain %8.1f tokens/s, %.3f times that, bytes allow %.3f "
                   "(%.1f %%); %.2f tokens/pass, accepted",
                    force >= 0 ? argv[a] : "real", ways[w].name,
                    n_tokens / median(plain, pairs), gain, bound, 100 * gain / bound,
                    (double)st.generated_tokens / (double)st.passes);
            for (int i = 0; i < 4; i++)
                printf(" %llu/%llu", (unsigned long long)st.accepted[i],
                        (unsigned long long)st.drafted[i]);
            printf(";");
            for (int i = 0; i < 5; i++) /* microseconds of passes and of drafts */
                printf(" %.1f+%.1f", d->drafter.pass[i].ns * 1e-3,
                        d->drafter.draft[i].ns * 1e-3);
            printf("\n");
            fflush(stdout);
            mote_session_close(p);
            mote_session_close(d);
        }
    }
    mote_model_close(m);
    return 0;
}
