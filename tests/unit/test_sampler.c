/* SPDX-License-Identifier: MIT */
/* The sampler against a naive float64 implementation, its statistics with fixed seeds,
 * and what it refuses. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "session/sampler.h"
#include "session/sampler_passes.h"
#include "base/cpu.h"
#include "../portable.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VOCAB_MAX = 4096 };

/* ---- a naive implementation: sort everything, double precision ------------------ */

typedef struct entry {
    double z, w;
    int32_t id;
} entry;

static int by_rank(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->z != y->z)
        return x->z > y->z ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_id(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Fills `list` with the kept tokens by id and their probabilities in w; returns how
 * many. *margin: how near (relative) a filter came to deciding otherwise. */
static uint32_t naive(entry *list, uint32_t vocab, const float *logits,
        const mote_sampler_options *o, const int32_t *history, uint32_t n_history,
        const uint32_t *mask, double *margin)
{
    *margin = 1;
    uint32_t window = o->penalty_tokens ? o->penalty_tokens : 256;
    uint32_t first = n_history > window ? n_history - window : 0;
    uint32_t n = 0;
    for (uint32_t id = 0; id < vocab; id++) {
        /* Floats up to here, as the sampler: logits and options are floats. */
        float z = logits[id];
        for (uint32_t i = 0; i < o->n_bias; i++)
            if (o->bias_tokens[i] == (int32_t)id)
                z += o->bias_values[i];
        uint32_t seen = 0;
        for (uint32_t i = first; i < n_history; i++)
            seen += history[i] == (int32_t)id;
        if (seen) {
            float r = o->repetition_penalty > 0 ? o->repetition_penalty : 1;
            z = z > 0 ? z / r : z * r;
            z -= o->presence_penalty + (float)seen * o->frequency_penalty;
        }
        if (mask && !(mask[id / 32] >> (id % 32) & 1))
            continue;
        if (z == -INFINITY)
            continue;
        list[n++] = (entry){(double)z, 0, (int32_t)id};
    }
    if (n == 0)
        return 0;
    qsort(list, n, sizeof *list, by_rank);
    if (o->temperature == 0)
        return 1;
    if (o->top_k && o->top_k < n)
        n = o->top_k;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        list[i].w = exp((list[i].z - list[0].z) / (double)o->temperature);
        sum += list[i].w;
    }
    if (o->top_p > 0 && o->top_p < 1) {
        double target = (double)o->top_p * sum, reached = 0;
        uint32_t kept = 0;
        while (kept < n) {
            reached += list[kept++].w;
            double m = fabs(reached / target - 1);
            *margin = m < *margin ? m : *margin;
            if (reached >= target)
                break;
        }
        n = kept;
    }
    if (o->min_p > 0)
        for (uint32_t i = 0; i < n; i++) {
            double m = fabs(list[i].w / (double)o->min_p - 1);
            *margin = m < *margin ? m : *margin;
            if (list[i].w < (double)o->min_p)
                n = i;
        }
    qsort(list, n, sizeof *list, by_id);
    sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += list[i].w;
    for (uint32_t i = 0; i < n; i++)
        list[i].w /= sum;
    return n;
}

static uint64_t rng_state = 1;
static uint32_t rng(void) /* independent of the generator under test */
{
    rng_state =
            rng_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(rng_state >> 32);
}
static double uniform(void)
{
    return rng() / 4294967296.0;
}
static float normal(void)
{
    double s = 0;
    for (int i = 0; i < 12; i++)
        s += uniform();
    return (float)(s - 6);
}

static mote__sampler *open_sampler(uint32_t vocab)
{
    mote__sampler *s;
    mote_error err;
    assert_int_equal(mote__sampler_open(&s, NULL, vocab, &err), MOTE_OK);
    return s;
}

static void configure(mote__sampler *s, const mote_sampler_options *o)
{
    mote_error err;
    assert_int_equal(mote__sampler_configure(s, o, 0, &err), MOTE_OK);
}

/* ---- tests --------------------------------------------------------------------- */

/* Random options, history, bias and mask: the drawn token must be the one the naive
 * implementation draws with the same uniform number. Where that number falls within
 * 1e-5 of a boundary, or a filter decides by less than 1e-5 (fp32 weights have 2e-7
 * each, their sum as much), either neighbour is right and the case is not counted. */
static void agrees_with_naive(void **state)
{
    (void)state;
    static entry list[VOCAB_MAX];
    static float logits[VOCAB_MAX];
    static uint32_t mask[VOCAB_MAX / 32];
    int32_t history[600], bias_tokens[5];
    float bias_values[5];
    uint32_t counted = 0, close = 0;
    for (int round = 0; round < 2000; round++) {
        uint32_t vocab = round % 40 == 0 ? VOCAB_MAX - rng() % 40 : 1 + rng() % 200;
        float spread = (float)(0.1 + 8 * uniform());
        int coarse = rng() % 4 == 0; /* many exact ties */
        for (uint32_t i = 0; i < vocab; i++) {
            logits[i] = spread * normal();
            if (coarse)
                logits[i] = rintf(logits[i]);
            if (rng() % 50 == 0)
                logits[i] = -INFINITY;
        }
        logits[rng() % vocab] = 1;
        uint32_t n_history = rng() % 600;
        for (uint32_t i = 0; i < n_history; i++)
            history[i] = (int32_t)(rng() % vocab);
        int masked = rng() % 3 == 0;
        for (uint32_t i = 0; i < VOCAB_MAX / 32; i++)
            mask[i] = rng() | rng();
        mote_sampler_options o = MOTE_SAMPLER_OPTIONS_INIT;
        o.temperature = rng() % 8 == 0 ? 0 : (float)(0.2 + 2 * uniform());
        o.top_k = rng() % 2 ? rng() % (vocab + 10) : 0;
        o.top_p = rng() % 2 ? (float)uniform() : (float)(rng() % 2);
        o.min_p = rng() % 2 ? (float)(0.2 * uniform()) : 0;
        o.repetition_penalty = rng() % 2 ? (float)(0.5 + uniform()) : 0;
        o.presence_penalty = rng() % 2 ? (float)(2 * uniform() - 1) : 0;
        o.frequency_penalty = rng() % 2 ? (float)(0.4 * uniform() - 0.2) : 0;
        o.penalty_tokens = rng() % 2 ? rng() % 700 : 0;
        o.n_bias = rng() % (vocab < 6 ? vocab + 1 : 6);
        for (uint32_t i = 0; i < o.n_bias; i++) {
            bias_tokens[i] = (int32_t)(rng() % vocab);
            bias_values[i] = rng() % 3 == 0 ? -INFINITY : normal();
        }
        o.bias_tokens = bias_tokens;
        o.bias_values = bias_values;
        o.seed = rng();
        mote__sampler *s = open_sampler(vocab);
        configure(s, &o);
        double margin;
        uint32_t n = naive(list, vocab, logits, &o, history, n_history,
                masked ? mask : NULL, &margin);
        for (uint64_t i = 0; i < 5; i++) {
            int32_t token;
            mote_error err;
            mote_status st = mote__sampler_sample(s, logits, history, n_history,
                    masked ? mask : NULL, &token, NULL, &err);
            if (n == 0) {
                assert_int_equal(st, MOTE_E_NUMERIC);
                break;
            }
            assert_int_equal(st, MOTE_OK);
            if (margin < 1e-5) {
                close++;
                continue;
            }
            double u = mote__sampler_uniform(o.seed, i), reached = 0;
            uint32_t j = 0;
            if (o.temperature > 0) {
                while (j + 1 < n && u >= reached + list[j].w)
                    reached += list[j++].w;
                if (fabs(u - reached) < 1e-5 || fabs(u - reached - list[j].w) < 1e-5) {
                    close++;
                    continue;
                }
            }
            counted++;
            assert_int_equal(token, list[j].id);
        }
        mote__sampler_close(s, NULL);
    }
    assert_true(counted > 7500);
    assert_true(close < counted / 20);
}

/* Chi-square of 20000 draws against the exact distribution. For d degrees of freedom
 * the statistic has mean d and variance 2d; 4 standard deviations above is a 1 in 10^4
 * event, and the seeds are fixed. */
static void chi_square(
        const mote_sampler_options *o, const float *logits, uint32_t vocab)
{
    static entry list[VOCAB_MAX];
    static uint32_t seen[VOCAB_MAX];
    double margin;
    uint32_t n = naive(list, vocab, logits, o, NULL, 0, NULL, &margin);
    const uint32_t draws = 20000;
    memset(seen, 0, sizeof seen);
    mote__sampler *s = open_sampler(vocab);
    configure(s, o);
    for (uint32_t i = 0; i < draws; i++) {
        int32_t token;
        assert_int_equal(
                mote__sampler_sample(s, logits, NULL, 0, NULL, &token, NULL, NULL),
                MOTE_OK);
        seen[token]++;
    }
    mote__sampler_close(s, NULL);
    double chi = 0, rest = 0, rest_seen = 0;
    int bins = 0;
    uint32_t total = 0;
    for (uint32_t j = 0; j < n; j++) {
        double expected = list[j].w * draws;
        uint32_t found = seen[list[j].id];
        total += found;
        if (expected < 8) { /* too rare for a bin of its own */
            rest += expected;
            rest_seen += found;
            continue;
        }
        chi += (found - expected) * (found - expected) / expected;
        bins++;
    }
    if (rest >= 8) {
        chi += (rest_seen - rest) * (rest_seen - rest) / rest;
        bins++;
    }
    assert_int_equal(total, draws); /* nothing outside the kept set */
    assert_true(bins > 1);
    double d = bins - 1;
    assert_true(chi < d + 4 * sqrt(2 * d) + 4);
}

static void draws_follow_the_distribution(void **state)
{
    (void)state;
    static float logits[1000];
    for (uint64_t seed = 1; seed <= 5; seed++) {
        for (int i = 0; i < 1000; i++)
            logits[i] = 2 * normal();
        mote_sampler_options o = MOTE_SAMPLER_OPTIONS_INIT;
        o.seed = seed;
        o.temperature = 1;
        chi_square(&o, logits, 1000);
        o.temperature = 0.6f;
        o.top_k = 40;
        chi_square(&o, logits, 1000);
        o.top_k = 0;
        o.top_p = 0.9f;
        chi_square(&o, logits, 1000);
        o.top_p = 0;
        o.min_p = 0.05f;
        chi_square(&o, logits, 1000);
    }
}

/* The raw generator: equal bins, and neighbouring seeds unrelated. */
static void uniform_is_uniform(void **state)
{
    (void)state;
    enum { BINS = 100, DRAWS = 100000 };
    for (uint64_t seed = 0; seed < 4; seed++) {
        uint32_t bin[BINS] = {0};
        double product = 0;
        for (uint64_t i = 0; i < DRAWS; i++) {
            double u = mote__sampler_uniform(seed, i);
            assert_true(u >= 0 && u < 1);
            bin[(int)(u * BINS)]++;
            product += (u - 0.5) * (mote__sampler_uniform(seed + 1, i) - 0.5);
        }
        double chi = 0, expected = (double)DRAWS / BINS;
        for (int b = 0; b < BINS; b++)
            chi += (bin[b] - expected) * (bin[b] - expected) / expected;
        assert_true(chi < (BINS - 1) + 4 * sqrt(2.0 * (BINS - 1)));
        /* Mean of the product of independents: 0, deviation 1/12/sqrt(DRAWS). */
        assert_true(fabs(product / DRAWS) < 4.0 / 12 / sqrt(DRAWS));
    }
}

static void greedy_takes_the_first_maximum(void **state)
{
    (void)state;
    float logits[100];
    for (int i = 0; i < 100; i++)
        logits[i] = -1;
    logits[37] = logits[38] = logits[99] = 2;
    mote__sampler *s = open_sampler(100);
    int32_t token;
    assert_int_equal(mote__sampler_sample(s, logits, NULL, 0, NULL, &token, NULL, NULL),
            MOTE_OK);
    assert_int_equal(token, 37);
    mote__sampler_close(s, NULL);
}

/* "Deterministic for ties": top_k cuts among equals, the lower ids stay. */
static void ties_keep_the_lower_ids(void **state)
{
    (void)state;
    float logits[64];
    for (int i = 0; i < 64; i++)
        logits[i] = i % 2 ? 0.0f : -0.0f;
    mote_sampler_options o = MOTE_SAMPLER_OPTIONS_INIT;
    o.temperature = 1;
    o.top_k = 5;
    mote__sampler *s = open_sampler(64);
    configure(s, &o);
    uint32_t seen = 0;
    for (int i = 0; i < 200; i++) {
        int32_t token;
        assert_int_equal(
                mote__sampler_sample(s, logits, NULL, 0, NULL, &token, NULL, NULL),
                MOTE_OK);
        assert_in_range(token, 0, 4);
        seen |= 1u << token;
    }
    assert_int_equal(seen, 31);
    o.top_k = 0;
    o.top_p = 3.5f / 64; /* four equal tokens are needed to reach it */
    configure(s, &o);
    seen = 0;
    for (int i = 0; i < 200; i++) {
        int32_t token;
        assert_int_equal(
                mote__sampler_sample(s, logits, NULL, 0, NULL, &token, NULL, NULL),
                MOTE_OK);
        assert_in_range(token, 0, 3);
        seen |= 1u << token;
    }
    assert_int_equal(seen, 15);
    mote__sampler_close(s, NULL);
}

/* fp32 exponentials summed in chunks: relative error of the sum below 1e-6, so 1e-5 in
 * a log-probability is ten times what rounding can do. */
static void logprob_is_of_the_unmodified_model(void **state)
{
    (void)state;
    static float logits[VOCAB_MAX];
    for (int i = 0; i < VOCAB_MAX; i++)
        logits[i] = 3 * normal();
    double sum = 0;
    for (int i = 0; i < VOCAB_MAX; i++)
        sum += exp((double)logits[i]);
    mote_sampler_options o = MOTE_SAMPLER_OPTIONS_INIT;
    int32_t ban[] = {0, 1};
    float value[] = {5, -INFINITY};
    o.temperature = 1.5f;
    o.top_p = 0.9f;
    o.n_bias = 2;
    o.bias_tokens = ban;
    o.bias_values = value;
    mote__sampler *s = open_sampler(VOCAB_MAX);
    configure(s, &o);
    for (int i = 0; i < 50; i++) {
        int32_t token;
        float logprob;
        assert_int_equal(
                mote__sampler_sample(s, logits, NULL, 0, NULL, &token, &logprob, NULL),
                MOTE_OK);
        double expected = (double)logits[token] - log(sum);
        assert_true(fabs((double)logprob - expected) < 1e-5);
    }
    mote__sampler_close(s, NULL);
}

/* exp to 3e-7 wherever the result is normal, and the same bits from every variant, at
 * lengths around the block and the vector width. */
static void passes_agree(void **state)
{
    (void)state;
    static float x[VOCAB_MAX], w[2][VOCAB_MAX], sums[2][VOCAB_MAX], peaks[2][VOCAB_MAX];
    const mote__sampler_passes *variant[2] = {
            mote__sampler_passes_of(0), mote__sampler_passes_of(mote__cpu_flags())};
    for (uint32_t n = 1; n < VOCAB_MAX; n += n < 300 ? 1 : 379) {
        for (uint32_t i = 0; i < n; i++)
            x[i] = (float)(-95 * uniform());
        x[n / 2] = rng() % 2 ? 0 : -INFINITY;
        double total[2];
        for (int v = 0; v < 2; v++) {
            assert_int_equal(variant[v]->copy(w[v], x, n), 0);
            assert_memory_equal(w[v], x, n * sizeof *x);
            float max = variant[v]->peaks(peaks[v], x, n);
            for (uint32_t i = 0; i < n; i++) {
                assert_true(x[i] <= max);
                assert_true(x[i] <= peaks[v][i / MOTE_SAMPLER_BLOCK]);
            }
            total[v] = variant[v]->exponentials(w[v], sums[v], x, n, 0, 1);
        }
        double sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            double e = exp((double)x[i]);
            sum += e;
            if (e < 0x1p-126)
                assert_true(w[0][i] <= 0x1p-125f);
            else
                assert_true(fabs((double)w[0][i] / e - 1) < 3e-7 ||
                            (e < 0x1p-125 && w[0][i] == 0));
        }
        assert_true(fabs(total[0] - sum) <= 1e-6 * sum + 1e-37);
        assert_true(total[0] == total[1]);
        uint32_t n_blocks = mote__sampler_blocks(n);
        assert_memory_equal(w[0], w[1], n * sizeof *x);
        assert_memory_equal(sums[0], sums[1], n_blocks * sizeof *x);
        assert_memory_equal(peaks[0], peaks[1], n_blocks * sizeof *x);
    }
}

/* Draw i depends on seed and i alone, one per call whatever the options. */
static void one_draw_per_call(void **state)
{
    (void)state;
    float logits[300];
    for (int i = 0; i < 300; i++)
        logits[i] = normal();
    mote_sampler_options o = MOTE_SAMPLER_OPTIONS_INIT;
    o.temperature = 1;
    o.seed = 77;
    mote__sampler *s = open_sampler(300);
    configure(s, &o);
    int32_t plain[20], again;
    for (int i = 0; i < 20; i++)
        mote__sampler_sample(s, logits, NULL, 0, NULL, &plain[i], NULL, NULL);
    mote__sampler_state at;
    mote__sampler_state_get(s, &at);
    assert_int_equal(at.index, 20);
    assert_int_equal(at.seed, 77);
    at.index = 7;
    mote__sampler_state_set(s, &at);
    for (int i = 7; i < 20; i++) {
        mote__sampler_sample(s, logits, NULL, 0, NULL, &again, NULL, NULL);
        assert_int_equal(again, plain[i]);
    }
    /* keep_state: going greedy and back does not disturb the sequence. */
    assert_int_equal(mote__sampler_configure(s, NULL, 1, NULL), MOTE_OK);
    mote__sampler_state_get(s, &at);
    assert_int_equal(at.index, 20);
    mote__sampler_sample(s, logits, NULL, 0, NULL, &again, NULL, NULL);
    mote__sampler_state_get(s, &at);
    assert_int_equal(at.index, 21);
    configure(s, &o);
    mote__sampler_sample(s, logits, NULL, 0, NULL, &again, NULL, NULL);
    assert_int_equal(again, plain[0]);
    mote__sampler_close(s, NULL);
}

static void hostile_logits(void **state)
{
    (void)state;
    float logits[70];
    uint32_t none[3] = {0}, one[3] = {0, 0, 1u << 5};
    int32_t token;
    mote_error err;
    mote_sampler_options o = MOTE_SAMPLER_OPTIONS_INIT;
    for (int hot = 0; hot < 2; hot++) {
        o.temperature = hot ? 0.8f : 0;
        mote__sampler *s = open_sampler(70);
        configure(s, &o);
        const float bad[] = {NAN, -NAN, INFINITY};
        for (int b = 0; b < 3; b++)
            for (int at = 0; at < 70; at += 23) {
                memset(logits, 0, sizeof logits);
                logits[at] = bad[b];
                err.message[0] = 0;
                assert_int_equal(mote__sampler_sample(
                                         s, logits, NULL, 0, NULL, &token, NULL, &err),
                        MOTE_E_NUMERIC);
                assert_int_equal(token, -1);
                char name[20];
                snprintf(name, sizeof name, "logit %d:", at);
                assert_non_null(strstr(err.message, name));
            }
        memset(logits, 0, sizeof logits);
        assert_int_equal(
                mote__sampler_sample(s, logits, NULL, 0, none, &token, NULL, &err),
                MOTE_E_NUMERIC);
        assert_int_equal(
                mote__sampler_sample(s, logits, NULL, 0, one, &token, NULL, &err),
                MOTE_OK);
        assert_int_equal(token, 69);
        for (int i = 0; i < 70; i++)
            logits[i] = -INFINITY;
        assert_int_equal(
                mote__sampler_sample(s, logits, NULL, 0, NULL, &token, NULL, &err),
                MOTE_E_NUMERIC);
        mote__sampler_state at;
        mote__sampler_state_get(s, &at);
        assert_int_equal(at.index, 1); /* only the success took a draw */
        /* The widest finite range, with the smallest temperature. */
        o.temperature = hot ? FLT_TRUE_MIN : 0;
        configure(s, &o);
        for (int i = 0; i < 70; i++)
            logits[i] = -FLT_MAX;
        logits[41] = FLT_MAX;
        float logprob;
        assert_int_equal(
                mote__sampler_sample(s, logits, NULL, 0, NULL, &token, &logprob, &err),
                MOTE_OK);
        assert_int_equal(token, 41);
        assert_true(logprob == 0);
        int32_t history[] = {3, 70};
        o.presence_penalty = 1;
        configure(s, &o);
        assert_int_equal(
                mote__sampler_sample(s, logits, history, 2, NULL, &token, NULL, &err),
                MOTE_E_INVALID);
        mote__sampler_close(s, NULL);
    }
}

static void hostile_options(void **state)
{
    (void)state;
    mote__sampler *s = open_sampler(10);
    mote_error err;
    const mote_sampler_options fresh = MOTE_SAMPLER_OPTIONS_INIT;
    const float bad[] = {NAN, -0.5f, 101, INFINITY, -INFINITY};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
        mote_sampler_options o = fresh;
        o.temperature = bad[b];
        assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
        assert_non_null(strstr(err.message, "temperature"));
        o = fresh;
        o.top_p = bad[b];
        assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
        o = fresh;
        o.min_p = bad[b];
        assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
        o = fresh;
        o.repetition_penalty = bad[b];
        assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
        if (bad[b] != -0.5f) {
            o = fresh;
            o.presence_penalty = bad[b];
            assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
            o = fresh;
            o.frequency_penalty = bad[b];
            assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
        }
    }
    int32_t id = 10;
    float value = 1;
    mote_sampler_options o = fresh;
    o.n_bias = 1;
    assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
    o.bias_tokens = &id;
    assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
    o.bias_values = &value;
    assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
    assert_non_null(strstr(err.message, "below 10, found 10"));
    id = -1;
    assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
    id = 9;
    value = NAN;
    assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
    value = INFINITY;
    assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
    o.n_bias = 11;
    assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_INVALID);
    mote__sampler_close(s, NULL);
    mote__sampler_close(NULL, NULL);
    assert_int_equal(mote__sampler_open(&s, NULL, 0, &err), MOTE_E_INVALID);
    assert_null(s);
    assert_int_equal(mote__sampler_open(&s, NULL, UINT32_MAX, &err), MOTE_E_INVALID);
}

/* ---- memory ---------------------------------------------------------------------- */

static int fail_now;
static void *counted_alloc(void *user, size_t size, size_t align, int32_t tag)
{
    (void)user;
    (void)tag;
    return fail_now ? NULL : test_aligned_alloc(align, size);
}
static void counted_free(void *user, void *ptr, size_t size, int32_t tag)
{
    (void)user;
    (void)size;
    (void)tag;
    test_aligned_free(ptr);
}

static void sampling_allocates_nothing(void **state)
{
    (void)state;
    mote__memory m;
    mote__memory_init(&m, counted_alloc, counted_free, NULL);
    mote__sampler *s;
    mote_error err;
    fail_now = 1;
    assert_int_equal(mote__sampler_open(&s, &m, 1000, &err), MOTE_E_MEMORY);
    assert_null(s);
    fail_now = 0;
    assert_int_equal(mote__sampler_open(&s, &m, 1000, &err), MOTE_OK);
    assert_int_equal(
            atomic_load(&m.bytes[MOTE_MEM_SCRATCH]), mote__sampler_bytes(1000));
    int32_t ids[100];
    float values[100], logits[1000];
    for (int i = 0; i < 100; i++) {
        ids[i] = i;
        values[i] = -INFINITY;
    }
    for (int i = 0; i < 1000; i++)
        logits[i] = normal();
    mote_sampler_options o = MOTE_SAMPLER_OPTIONS_INIT;
    o.temperature = 1;
    o.top_k = 50;
    o.top_p = 0.9f;
    o.repetition_penalty = 1.1f;
    o.n_bias = 100;
    o.bias_tokens = ids;
    o.bias_values = values;
    fail_now = 1;
    assert_int_equal(mote__sampler_configure(s, &o, 0, &err), MOTE_E_MEMORY);
    fail_now = 0;
    configure(s, &o);
    uint64_t before = atomic_load(&m.n_allocs);
    o.n_bias = 50; /* a shorter bias fits where the longer one was */
    configure(s, &o);
    for (int i = 0; i < 100; i++) {
        int32_t token;
        assert_int_equal(
                mote__sampler_sample(s, logits, ids, 100, NULL, &token, NULL, &err),
                MOTE_OK);
        assert_true(token >= 50);
    }
    assert_int_equal(atomic_load(&m.n_allocs), before);
    mote__sampler_close(s, &m);
    assert_int_equal(atomic_load(&m.bytes[MOTE_MEM_SCRATCH]), 0);
}

/* With MOTE_BENCH set, prints microseconds per call at a vocabulary of 129280. */
static void speed(void **state)
{
    (void)state;
    if (!getenv("MOTE_BENCH"))
        skip();
    enum { V = 129280 };
    float *logits = malloc(V * sizeof *logits);
    for (int flat = 0; flat < 2; flat++) {
        for (int i = 0; i < V; i++)
            logits[i] = (flat ? 0.3f : 2.5f) * normal();
        if (!flat)
            for (int i = 0; i < 12; i++)
                logits[rng() % V] = 16 + 0.5f * normal();
        const struct {
            const char *name;
            float temperature, top_p, min_p;
            uint32_t top_k;
            int logprob;
        } cases[] = {{"greedy", 0, 0, 0, 0, 0}, {"greedy logprob", 0, 0, 0, 0, 1},
                {"plain", 1, 0, 0, 0, 0}, {"top-p 0.95", 0.7f, 0.95f, 0, 0, 0},
                {"top-p 0.95 logprob", 0.7f, 0.95f, 0, 0, 1},
                {"top-k 40", 0.7f, 0, 0, 40, 0}, {"min-p 0.05", 0.7f, 0, 0.05f, 0, 0}};
        mote__sampler *s = open_sampler(V);
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            mote_sampler_options o = MOTE_SAMPLER_OPTIONS_INIT;
            o.temperature = cases[c].temperature;
            o.top_p = cases[c].top_p;
            o.min_p = cases[c].min_p;
            o.top_k = cases[c].top_k;
            configure(s, &o);
            double best = 1e9;
            for (int i = 0; i < 30; i++) {
                struct timespec a, b;
                int32_t token;
                float logprob;
                clock_gettime(CLOCK_MONOTONIC, &a);
                mote__sampler_sample(s, logits, NULL, 0, NULL, &token,
                        cases[c].logprob ? &logprob : NULL, NULL);
                clock_gettime(CLOCK_MONOTONIC, &b);
                double us = (double)(b.tv_sec - a.tv_sec) * 1e6 +
                            (double)(b.tv_nsec - a.tv_nsec) / 1e3;
                best = us < best ? us : best;
            }
            print_message("%s %-20s %.0f us\n", flat ? "flat  " : "peaked",
                    cases[c].name, best);
        }
        mote__sampler_close(s, NULL);
    }
    free(logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(agrees_with_naive),
            cmocka_unit_test(draws_follow_the_distribution),
            cmocka_unit_test(uniform_is_uniform),
            cmocka_unit_test(greedy_takes_the_first_maximum),
            cmocka_unit_test(ties_keep_the_lower_ids),
            cmocka_unit_test(logprob_is_of_the_unmodified_model),
            cmocka_unit_test(passes_agree),
            cmocka_unit_test(one_draw_per_call),
            cmocka_unit_test(hostile_logits),
            cmocka_unit_test(hostile_options),
            cmocka_unit_test(sampling_allocates_nothing),
            cmocka_unit_test(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
