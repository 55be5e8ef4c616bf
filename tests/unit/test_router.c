/* SPDX-License-Identifier: MIT */
/* Routing and rotary embedding, one test per mistake that engines have made with them,
 * and random cases against an independent implementation in float64. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "model/rope.h"
#include "model/router.h"
#include "mote/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { E_MAX = 64, K_MAX = 16 };

static mote__config v3(uint32_t n, uint32_t k, uint32_t n_group, uint32_t topk_group)
{
    mote__config c = {.architecture = MOTE_ARCH_DEEPSEEK_V3,
            .n_routed_experts = n,
            .num_experts_per_tok = k,
            .n_group = n_group,
            .topk_group = topk_group,
            .scoring_func = MOTE__SCORING_SIGMOID,
            .topk_method = MOTE__TOPK_NOAUX_TC,
            .norm_topk_prob = 1,
            .routed_scaling_factor = 2.5f};
    return c;
}

static mote__config v2(uint32_t n, uint32_t k, uint32_t n_group, uint32_t topk_group)
{
    mote__config c = v3(n, k, n_group, topk_group);
    c.architecture = MOTE_ARCH_DEEPSEEK_V2;
    c.scoring_func = MOTE__SCORING_SOFTMAX;
    c.topk_method = MOTE__TOPK_GROUP_LIMITED_GREEDY;
    c.norm_topk_prob = 0;
    c.routed_scaling_factor = 16;
    return c;
}

typedef struct routed {
    float scores[E_MAX], weights[K_MAX];
    uint32_t ids[K_MAX];
} routed;

static routed route(const mote__config *c, const float *logits, const float *bias)
{
    routed r;
    float biased[2 * E_MAX + 1];
    memset(&r, 0, sizeof r);
    memcpy(r.scores, logits, c->n_routed_experts * sizeof *logits);
    mote__route(c, r.scores, bias, biased, r.ids, r.weights);
    return r;
}

static int has(const routed *r, uint32_t k, uint32_t id)
{
    for (uint32_t j = 0; j < k; j++)
        if (r->ids[j] == id)
            return 1;
    return 0;
}

static float logit(double p)
{
    return (float)log(p / (1 - p));
}

/* "V2 scores a group by its max; V3 by the sum of its two best biased scores." Group 0
 * has the single best expert, group 1 the better pair. */
static void group_score_max_in_v2_two_best_in_v3(void **state)
{
    (void)state;
    const float logits[4] = {logit(0.9), logit(0.1), logit(0.7), logit(0.6)};
    mote__config c = v3(4, 1, 2, 1);
    routed r = route(&c, logits, NULL);
    assert_int_equal(r.ids[0], 2);
    c = v2(4, 1, 2, 1);
    r = route(&c, logits, NULL);
    assert_int_equal(r.ids[0], 0);
}

/* "Experts outside the chosen groups are masked with -inf. Masking with 0.0 picks
 * differently as soon as biased scores are negative." */
static void outside_the_groups_is_minus_infinity(void **state)
{
    (void)state;
    const float logits[4] = {0, 0, 0, 0};               /* scores 0.5 */
    const float bias[4] = {-0.9f, -0.8f, -3.0f, -3.0f}; /* all biased scores < 0 */
    mote__config c = v3(4, 2, 2, 1);
    routed r = route(&c, logits, bias);
    assert_true(has(&r, 2, 0) && has(&r, 2, 1));
}

/* "The bias selects; the weight comes from the unbiased score." */
static void bias_selects_unbiased_score_weighs(void **state)
{
    (void)state;
    const float logits[4] = {logit(0.8), logit(0.6), logit(0.2), logit(0.1)};
    const float bias[4] = {-1, 0, 1, 0};
    mote__config c = v3(4, 2, 1, 1);
    routed r = route(&c, logits, bias);
    assert_int_equal(r.ids[0], 2); /* by descending biased score */
    assert_int_equal(r.ids[1], 1);
    assert_true(fabs((double)r.weights[0] - 2.5 * 0.2 / 0.8) < 1e-6);
    assert_true(fabs((double)r.weights[1] - 2.5 * 0.6 / 0.8) < 1e-6);
    assert_true(fabs((double)r.scores[0] - 0.8) < 1e-6); /* left before the bias */
}

/* "Softmax scoring is taken before any masking": weights do not add up to one. */
static void softmax_is_taken_over_all(void **state)
{
    (void)state;
    const float logits[4] = {2, 1, 0, -1};
    double sum = exp(2) + exp(1) + 1 + exp(-1);
    mote__config c = v2(4, 2, 2, 1);
    routed r = route(&c, logits, NULL);
    assert_int_equal(r.ids[0], 0);
    assert_int_equal(r.ids[1], 1);
    assert_true(fabs((double)r.weights[0] - 16 * exp(2) / sum) < 1e-5);
    assert_true(fabs((double)r.weights[1] - 16 * exp(1) / sum) < 1e-5);
}

/* "Scoring function, normalisation and scale come from config.json": all combinations,
 * whatever the architecture would have by default. V2 scales only what it has not
 * normalised; V3 always. */
static void scoring_and_scale_follow_the_config(void **state)
{
    (void)state;
    const float logits[4] = {2, 1, 0, -1};
    double soft = exp(2) + exp(1) + 1 + exp(-1);
    for (int bits = 0; bits < 8; bits++) {
        mote__config c = bits & 1 ? v2(4, 2, 1, 1) : v3(4, 2, 1, 1);
        c.scoring_func = bits & 2 ? MOTE__SCORING_SOFTMAX : MOTE__SCORING_SIGMOID;
        c.norm_topk_prob = bits >> 2;
        c.routed_scaling_factor = 3;
        double s[2];
        for (int j = 0; j < 2; j++) {
            double x = (double)logits[j];
            s[j] = bits & 2 ? exp(x) / soft : 1 / (1 + exp(-x));
        }
        double norm = c.norm_topk_prob ? s[0] + s[1] : 1;
        double scale = c.norm_topk_prob && bits & 1 ? 1 : 3;
        routed r = route(&c, logits, NULL);
        for (int j = 0; j < 2; j++)
            assert_true(fabs((double)r.weights[j] - scale * s[j] / norm) < 1e-5);
    }
}

/* "Normalisation epsilon differs between engines (1e-20 against a clamp at 6e-5)":
 * scores of 1e-8 still give weights that add up to the scale. */
static void tiny_scores_are_normalised(void **state)
{
    (void)state;
    const float logits[4] = {-18.5f, -18.0f, -30, -30};
    mote__config c = v3(4, 2, 1, 1);
    routed r = route(&c, logits, NULL);
    assert_true(fabs((double)(r.weights[0] + r.weights[1]) - 2.5) < 1e-5);
}

static void ties_go_to_the_lower_id(void **state)
{
    (void)state;
    const float logits[8] = {0};
    mote__config c = v3(8, 3, 4, 2);
    routed r = route(&c, logits, NULL);
    for (uint32_t j = 0; j < 3; j++)
        assert_int_equal(r.ids[j], j);
}

/* Whatever is NaN, ids are distinct and below the number of experts. */
static void nan_stays_in_bounds(void **state)
{
    (void)state;
    for (uint32_t pattern = 0; pattern < 256; pattern++)
        for (int where = 0; where < 3; where++) {
            float logits[8], bias[8];
            for (uint32_t i = 0; i < 8; i++) {
                int is_nan = (int)(pattern >> i & 1);
                float bad = where == 2 ? INFINITY : NAN;
                logits[i] = is_nan && where != 1 ? bad : (float)i;
                bias[i] = is_nan && where ? bad : 0;
            }
            for (int arch = 0; arch < 2; arch++) {
                mote__config c = arch ? v2(8, 4, 2, 1) : v3(8, 4, 4, 2);
                routed r = route(&c, logits, bias);
                uint32_t seen = 0;
                for (uint32_t j = 0; j < 4; j++) {
                    assert_true(r.ids[j] < 8);
                    assert_false(seen >> r.ids[j] & 1);
                    seen |= 1u << r.ids[j];
                }
            }
        }
}

/* ---- against float64 --------------------------------------------------------------
 */

static uint64_t rng_state = 5;
static double uniform(void)
{
    rng_state =
            rng_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(rng_state >> 33) / 2147483648.0;
}

/* Report equations 13 to 16, by ranks. *margin: the smallest distance by which anything
 * was decided. */
static void naive(const mote__config *c, const float *logits, const float *bias,
        uint32_t *ids, double *weights, double *margin)
{
    double s[E_MAX], b[E_MAX], g[E_MAX], sum = 0;
    uint32_t n = c->n_routed_experts, per = n / c->n_group;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logits[i]);
    for (uint32_t i = 0; i < n; i++) {
        s[i] = c->scoring_func == MOTE__SCORING_SOFTMAX
                       ? exp((double)logits[i]) / sum
                       : 1 / (1 + exp(-(double)logits[i]));
        b[i] = s[i] + (bias ? (double)bias[i] : 0);
    }
    *margin = 1;
    for (uint32_t i = 0; i < c->n_group; i++) {
        double first = -1e9, second = -1e9;
        for (uint32_t j = 0; j < per; j++) {
            double v = b[i * per + j];
            if (v > first) {
                second = first;
                first = v;
            } else if (v > second) {
                second = v;
            }
        }
        g[i] = c->topk_method == MOTE__TOPK_NOAUX_TC && per > 1 ? first + second
                                                                : first;
    }
    for (uint32_t i = 0; i < c->n_group; i++) {
        uint32_t above = 0;
        for (uint32_t j = 0; j < c->n_group; j++) {
            above += g[j] > g[i] || (g[j] == g[i] && j < i);
            if (j != i && fabs(g[j] - g[i]) < *margin)
                *margin = fabs(g[j] - g[i]);
        }
        if (above >= c->topk_group && c->topk_method != MOTE__TOPK_GREEDY)
            for (uint32_t j = 0; j < per; j++)
                b[i * per + j] = -1e9;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (b[i] == -1e9)
            continue;
        uint32_t rank = 0;
        for (uint32_t j = 0; j < n; j++) {
            rank += b[j] > b[i] || (b[j] == b[i] && j < i);
            if (j != i && fabs(b[j] - b[i]) < *margin)
                *margin = fabs(b[j] - b[i]);
        }
        if (rank < c->num_experts_per_tok) {
            ids[rank] = i;
            weights[rank] = s[i];
        }
    }
    sum = 0;
    for (uint32_t j = 0; j < c->num_experts_per_tok; j++)
        sum += weights[j];
    int is_normal = c->norm_topk_prob && c->num_experts_per_tok > 1;
    for (uint32_t j = 0; j < c->num_experts_per_tok; j++) {
        weights[j] = is_normal ? weights[j] / sum : weights[j];
        if (!is_normal || c->architecture != MOTE_ARCH_DEEPSEEK_V2)
            weights[j] *= (double)c->routed_scaling_factor;
    }
}

/* Decisions closer than 1e-6 (scores are fp32, below 1) may go either way. */
static void agrees_with_float64(void **state)
{
    (void)state;
    static const uint32_t shapes[][4] = {{16, 4, 4, 2}, {64, 8, 8, 4}, {12, 3, 4, 2},
            {8, 2, 1, 1}, {64, 6, 8, 3}, {6, 1, 3, 1}, {32, 8, 32, 8}, {4, 4, 2, 2}};
    uint32_t n_checked = 0;
    for (int round = 0; round < 8000; round++) {
        const uint32_t *shape = shapes[round % 8];
        mote__config c = round & 8 ? v2(shape[0], shape[1], shape[2], shape[3])
                                   : v3(shape[0], shape[1], shape[2], shape[3]);
        c.scoring_func = round & 16 ? MOTE__SCORING_SOFTMAX : MOTE__SCORING_SIGMOID;
        c.norm_topk_prob = round >> 5 & 1;
        if (round & 64 && shape[2] == 1)
            c.topk_method = MOTE__TOPK_GREEDY;
        float logits[E_MAX], bias[E_MAX];
        for (uint32_t i = 0; i < shape[0]; i++) {
            logits[i] = (float)(6 * uniform() - 3);
            bias[i] = (float)(2 * uniform() - 1.5);
        }
        const float *b = round & 128 ? bias : NULL;
        uint32_t ids[K_MAX];
        double weights[K_MAX], margin;
        naive(&c, logits, b, ids, weights, &margin);
        if (margin < 1e-6)
            continue;
        routed r = route(&c, logits, b);
        for (uint32_t j = 0; j < c.num_experts_per_tok; j++) {
            assert_int_equal(r.ids[j], ids[j]);
            assert_true(fabs((double)r.weights[j] - weights[j]) <= 2e-6 * weights[j]);
        }
        n_checked++;
    }
    assert_true(n_checked > 7500);
}

/* ---- rotary embedding -------------------------------------------------------------
 */

static mote__config yarn(double factor, double mscale, double mscale_all_dim)
{
    mote__config c = {.qk_nope_head_dim = 128,
            .qk_rope_head_dim = 64,
            .kv_lora_rank = 512,
            .rope_theta = 10000,
            .yarn = factor > 0,
            .rope_factor = factor,
            .beta_fast = 32,
            .beta_slow = 1,
            .mscale = mscale,
            .mscale_all_dim = mscale_all_dim,
            .original_max_position_embeddings = 4096};
    return c;
}

/* "Softmax scale is 1/sqrt(qk_nope + qk_rope), never the latent width"; "multiplied by
 * mscale(factor, mscale_all_dim)^2; cos/sin by the ratio". */
static void yarn_scales_softmax_and_angles(void **state)
{
    (void)state;
    double inv_freq[32];
    float mscale, scale;
    mote__config c = yarn(0, 0, 0);
    mote__rope_init(&c, inv_freq, &mscale, &scale);
    assert_true(fabs((double)scale - 1 / sqrt(192)) < 1e-8 && mscale == 1);
    static const double cases[][3] = {{40, 1, 1}, {40, 0.707, 0.707}, {40, 1, 0},
            {40, 1, 0.5}, {4, 0.707, 1}, {1, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double factor = cases[i][0], m = cases[i][1], all = cases[i][2];
        double ln = factor > 1 ? log(factor) : 0;
        double by_all = 0.1 * all * ln + 1, by_m = 0.1 * m * ln + 1;
        c = yarn(factor, m, all);
        mote__rope_init(&c, inv_freq, &mscale, &scale);
        assert_true(fabs((double)scale - by_all * by_all / sqrt(192)) < 1e-8);
        assert_true(fabs((double)mscale - by_m / by_all) < 1e-7);
        /* ... at every position, 0 and others. */
        for (uint32_t at = 0; at < 200000; at = at * 7 + 1) {
            float cosine[32], sine[32];
            mote__rope_angles(inv_freq, mscale, 64, at, cosine, sine);
            for (int j = 0; j < 32; j++) {
                double angle = at * inv_freq[j];
                assert_true(
                        fabs((double)cosine[j] - cos(angle) * (double)mscale) < 1e-6);
                assert_true(fabs((double)sine[j] - sin(angle) * (double)mscale) < 1e-6);
            }
        }
    }
}

/* Fast dimensions keep their frequency, slow ones are divided by the factor, between
 * the corrections a ramp: 10.47 and 22.5 for V3, so 10 and 23. */
static void yarn_blends_frequencies(void **state)
{
    (void)state;
    double inv_freq[32];
    float mscale, scale;
    mote__config c = yarn(40, 1, 1);
    mote__rope_init(&c, inv_freq, &mscale, &scale);
    for (int j = 0; j < 32; j++) {
        double plain = pow(10000, -2.0 * j / 64);
        double ramp = j <= 10 ? 0 : j >= 23 ? 1 : (j - 10) / 13.0;
        double expected = plain / 40 * ramp + plain * (1 - ramp);
        assert_true(fabs(inv_freq[j] / expected - 1) < 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(group_score_max_in_v2_two_best_in_v3),
            cmocka_unit_test(outside_the_groups_is_minus_infinity),
            cmocka_unit_test(bias_selects_unbiased_score_weighs),
            cmocka_unit_test(softmax_is_taken_over_all),
            cmocka_unit_test(scoring_and_scale_follow_the_config),
            cmocka_unit_test(tiny_scores_are_normalised),
            cmocka_unit_test(ties_go_to_the_lower_id),
            cmocka_unit_test(nan_stays_in_bounds),
            cmocka_unit_test(agrees_with_float64),
            cmocka_unit_test(yarn_scales_softmax_and_angles),
            cmocka_unit_test(yarn_blends_frequencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
