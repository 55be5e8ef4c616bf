/* SPDX-License-Identifier: MIT */
#include "model/router.h"

#include "mote/model.h"

#include <math.h>
#include <string.h>

static void score(uint32_t scoring, float *s, uint32_t n)
{
    if (scoring == MOTE__SCORING_SIGMOID) {
        for (uint32_t i = 0; i < n; i++)
            s[i] = 1.0f / (1.0f + expf(-s[i]));
        return;
    }
    float max = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++)
        max = s[i] > max ? s[i] : max;
    for (uint32_t i = 0; i < n; i++)
        sum += s[i] = expf(s[i] - max);
    for (uint32_t i = 0; i < n; i++)
        s[i] /= sum;
}

/* V3 ranks a group by the sum of its two best biased scores, V2 by its best. */
static float group_score(const float *s, uint32_t n, int two)
{
    float first = -INFINITY, second = -INFINITY;
    for (uint32_t i = 0; i < n; i++) {
        if (s[i] > first) {
            second = first;
            first = s[i];
        } else if (s[i] > second) {
            second = s[i];
        }
    }
    return two && n > 1 ? first + second : first;
}

/* The lowest index that is not among the first n of `ids`. Reached only with NaN
 * weights, when any choice will do: the logits will be NaN and are reported as such. */
static uint32_t not_among(const uint32_t *ids, uint32_t n)
{
    for (uint32_t i = 0;; i++) {
        uint32_t j = 0;
        while (j < n && ids[j] != i)
            j++;
        if (j == n)
            return i;
    }
}

/* Indices of the k largest, descending, ties to the lower index. Chosen entries of `s`
 * become NaN, which compares as taken. */
static void top_k(float *s, uint32_t n, uint32_t k, uint32_t *out)
{
    for (uint32_t j = 0; j < k; j++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < n; i++)
            if (!isnan(s[i]) && (best == UINT32_MAX || s[i] > s[best]))
                best = i;
        if (best == UINT32_MAX) /* only NaN is left */
            best = not_among(out, j);
        out[j] = best;
        s[best] = NAN;
    }
}

static void mask_groups(const mote__config *c, float *biased)
{
    uint32_t n = c->n_routed_experts / c->n_group;
    float *groups = biased + c->n_routed_experts;
    int two = c->topk_method == MOTE__TOPK_NOAUX_TC;
    for (uint32_t g = 0; g < c->n_group; g++)
        groups[g] = group_score(biased + g * n, n, two);
    for (uint32_t left = c->topk_group; left > 0; left--) {
        uint32_t best = UINT32_MAX;
        for (uint32_t g = 0; g < c->n_group; g++)
            if (!isnan(groups[g]) && (best == UINT32_MAX || groups[g] > groups[best]))
                best = g;
        if (best == UINT32_MAX)
            break;
        groups[best] = NAN; /* kept */
    }
    for (uint32_t g = 0; g < c->n_group; g++)
        if (!isnan(groups[g]))
            for (uint32_t i = 0; i < n; i++)
                biased[g * n + i] = -INFINITY;
}

void mote__route(const mote__config *c, float *scores, const float *bias, float *biased,
        uint32_t *ids, float *weights)
{
    uint32_t n = c->n_routed_experts, k = c->num_experts_per_tok;
    score(c->scoring_func, scores, n);
    for (uint32_t i = 0; i < n; i++)
        biased[i] = scores[i] + (bias ? bias[i] : 0.0f);
    if (c->topk_method != MOTE__TOPK_GREEDY && c->n_group > 1)
        mask_groups(c, biased);
    top_k(biased, n, k, ids);
    /* The bias selects; the weight is the unbiased score. */
    float sum = 0;
    for (uint32_t j = 0; j < k; j++)
        sum += weights[j] = scores[ids[j]];
    float scale = c->routed_scaling_factor;
    if (c->norm_topk_prob && k > 1) {
        for (uint32_t j = 0; j < k; j++)
            weights[j] /= sum + 1e-20f;
        if (c->architecture == MOTE_ARCH_DEEPSEEK_V2)
            scale = 1; /* V2 scales only what it has not normalised */
    }
    for (uint32_t j = 0; j < k; j++)
        weights[j] *= scale;
}
