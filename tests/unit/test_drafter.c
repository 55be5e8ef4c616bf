/* SPDX-License-Identifier: MIT */
/* The policy of drafting, on machines made of numbers: what a pass of n rows and a
 * draft cost, and how often drafts are right, is given; only the choices are the
 * drafter's. "Never more than 2 % slower than plain decoding with the adaptive default,
 * whatever the acceptance", and close to the best it could have chosen. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "session/draft.h"
#include "session/sampler.h"

#include <string.h>

typedef struct machine {
    double row;      /* time of each further row, the first being 1 */
    double draft;    /* of one draft */
    double noise;    /* times are up to this share longer */
    double spikes;   /* share of passes that take ten times as long */
    double accepted; /* share of drafts */
} machine;

/* Time for n tokens; k < 0: the drafter chooses. */
static double run(const machine *m, uint32_t n, int k, uint64_t seed)
{
    mote__drafter d;
    double total = 0;
    uint64_t draw = 0;
    mote__drafter_init(&d);
    for (uint32_t made = 0; made < n;) {
        uint32_t drafts = k < 0 ? mote__drafter_choose(&d, 4, 0, 0) : (uint32_t)k,
                 hits = 0;
        assert_in_range(drafts, 0, 4);
        while (hits < drafts && mote__sampler_uniform(seed, draw++) < m->accepted)
            hits++;
        double pass = 1 + m->row * drafts, draft = m->draft * drafts;
        double longer = 1 + m->noise * mote__sampler_uniform(seed + 1, draw++);
        if (mote__sampler_uniform(seed + 2, draw++) < m->spikes)
            longer *= 10;
        /* what a spike costs is not the drafter's doing: it is not counted */
        total += pass + draft;
        mote__drafter_learn(&d, drafts, hits, (uint64_t)(1e6 * pass * longer),
                (uint64_t)(1e6 * draft * longer));
        made += hits + 1;
    }
    return total;
}

static void each(double noise, double spikes, double limit, double slack)
{
    static const double rows[] = {0.02, 0.1, 0.3, 0.6, 0.9, 1.0};
    static const double drafts[] = {0.01, 0.05, 0.15, 0.5};
    double worst = 0, furthest = 0;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t c = 0; c < sizeof drafts / sizeof *drafts; c++)
            for (int a = 0; a <= 10; a++) {
                machine m = {rows[r], drafts[c], noise, spikes, a / 10.0};
                double mine = 0, plain = 0, best = 0;
                for (uint64_t seed = 0; seed < 20; seed++) {
                    double fastest = 0;
                    for (int k = 0; k <= 4; k++) {
                        double t = run(&m, 1000, k, seed * 10);
                        plain += k ? 0 : t;
                        fastest = k == 0 || t < fastest ? t : fastest;
                    }
                    best += fastest;
                    mine += run(&m, 1000, -1, seed * 10);
                }
                if (mine / plain > worst)
                    worst = mine / plain;
                if (mine / best > furthest)
                    furthest = mine / best;
                if (mine > plain * limit || mine > best * slack)
                    print_error(
                            "row %g draft %g accepted %g: %.3f of plain, best %.3f\n",
                            m.row, m.draft, m.accepted, mine / plain, best / plain);
            }
    print_message("noise %g, spikes %g: at worst %.3f of plain, %.3f of the best\n",
            noise, spikes, worst, furthest);
    assert_true(worst <= limit);
    assert_true(furthest <= slack);
}

static void test_quiet(void **state)
{
    (void)state;
    each(0, 0, 1.02, 1.12);
}

static void test_noise(void **state)
{
    (void)state;
    each(0.1, 0, 1.02, 1.12);
}

static void test_spikes(void **state)
{
    (void)state;
    each(0.1, 0.02, 1.02, 1.12);
}

/* Acceptance changes: the drafter follows within a few hundred tokens. */
static void test_follows(void **state)
{
    (void)state;
    mote__drafter d;
    uint64_t draw = 0;
    mote__drafter_init(&d);
    for (int phase = 0; phase < 4; phase++) {
        double accepted = phase % 2 ? 0.95 : 0.02;
        uint32_t late = 0;
        for (uint32_t i = 0; i < 3000; i++) {
            uint32_t k = mote__drafter_choose(&d, 4, 0, 0), hits = 0;
            while (hits < k && mote__sampler_uniform(5, draw++) < accepted)
                hits++;
            mote__drafter_learn(&d, k, hits, 1000000u + 200000u * k, 50000u * k);
            if (i >= 2000)
                late += k > 0;
        }
        if (phase % 2)
            assert_true(late > 900);
        else
            assert_true(late < 50);
    }
}

static void test_limits(void **state)
{
    (void)state;
    mote__drafter d;
    mote__drafter_init(&d);
    for (uint32_t max = 0; max <= 4; max++)
        assert_int_equal(mote__drafter_choose(&d, max, 1, 0), max);
    assert_int_equal(mote__drafter_choose(&d, 4, 0, 0), 0); /* nothing to compare with */
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t max = i % 5, k = mote__drafter_choose(&d, max, 0, 0);
        assert_true(k <= max);
        mote__drafter_learn(&d, k, k, 0, 0); /* a clock that stands still */
    }
}

static void test_ngram(void **state)
{
    (void)state;
    int32_t t[] = {1, 2, 3, 4, 5, 9, 2, 3, 4, 6, 7, 2, 3, 4}, out[4];
    enum { N = sizeof t / sizeof *t };
    assert_int_equal(mote__draft_ngram(t, N, out, 4), 4); /* the last, not the first */
    assert_memory_equal(out, t + 9, 4 * sizeof *t);
    assert_int_equal(mote__draft_ngram(t, N, out, 2), 2);
    assert_int_equal(mote__draft_ngram(t, 5, out, 4), 0); /* nothing again */
    assert_int_equal(mote__draft_ngram(t, 1, out, 4), 0);
    assert_int_equal(mote__draft_ngram(t, 0, out, 4), 0);
    int32_t same[] = {8, 8, 8, 8};
    assert_int_equal(
            mote__draft_ngram(same, 4, out, 4), 1); /* all there is behind it */
    assert_int_equal(out[0], 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_quiet),
            cmocka_unit_test(test_noise),
            cmocka_unit_test(test_spikes),
            cmocka_unit_test(test_follows),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_ngram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
