/* SPDX-License-Identifier: MIT */
/* Quantisation of weights to int8 and int4 with one scale per row and group of columns.
 *
 * A group is x[n] with weights of importance m[n]; q[n] and a scale d are sought that
 * make sum m (x - d q)^2 small. For a fixed q the best d is sum(m x q) / sum(m q q).
 * int8 takes the range of the group; int4 also tries ranges around it, since clipping
 * the largest value a little often costs less than a coarse step for all others.
 * int4's scale is rounded to bf16, which adds at most 2^-16 of sum(m x^2), and the
 * range is chosen with that in view. */
#include "kernels/kernels_internal.h"
#include <math.h>
#include <string.h>

static int round_clamped(float v, int low, int high)
{
    if (!(v > (float)low)) /* also NaN, which becomes the zero below */
        return v <= (float)low ? low : 0;
    if (v >= (float)high)
        return high;
    return (int)lrintf(v);
}

typedef struct moments {
    double xq, qq; /* sum(m x q), sum(m q q) */
} moments;

/* Round x * inverse to q. */
static moments fit(int *q, const float *x, const float *importance, uint32_t n,
        float inverse, int low, int high)
{
    double xq = 0, qq = 0;
    for (uint32_t i = 0; i < n; i++) {
        const double m = importance ? (double)importance[i] : 1.0;
        q[i] = round_clamped(x[i] * inverse, low, high);
        xq += m * (double)x[i] * q[i];
        qq += m * q[i] * q[i];
    }
    return (moments){xq, qq};
}

static float best_scale(moments m)
{
    return m.qq > 0 ? (float)(m.xq / m.qq) : 0;
}

/* Signed value of largest magnitude, NaN if there is one. */
static float extreme(const float *x, uint32_t n)
{
    float best = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            return x[i];
        if (fabsf(x[i]) > fabsf(best))
            best = x[i];
    }
    return best;
}

/* A group that cannot be scaled: zeros with scale 0, or the non-finite value as the
 * scale, so that broken weights show as NaN instead of as plausible numbers. */
static int degenerate(int *q, float *scale, float max, uint32_t n)
{
    if (isfinite(max) && fabsf(max) >= 0x1p-100f)
        return 0;
    memset(q, 0, n * sizeof *q);
    *scale = isfinite(max) ? 0.0f : NAN;
    return 1;
}

static float quant_group_i8(int *q, const float *x, const float *importance, uint32_t n)
{
    const float max = extreme(x, n);
    float scale;
    if (degenerate(q, &scale, max, n))
        return scale;
    /* 127 steps: refitting d changes it by far less than a step, and can only help. */
    scale = best_scale(fit(q, x, importance, n, 127.0f / fabsf(max), -127, 127));
    return scale > 0 ? scale : fabsf(max) / 127.0f;
}

static uint16_t quant_group_i4(
        int *q, const float *x, const float *importance, uint32_t n)
{
    const float max = extreme(x, n);
    float none;
    if (degenerate(q, &none, max, n))
        return mote_k_f32_to_bf16(none);
    uint16_t scale = 0;
    double best = -1; /* the most of sum(m x^2) that d q explains */
    memset(q, 0, n * sizeof *q);
    int trial[MOTE_I4_GROUP];
    for (int step = -8; step <= 8; step++) {
        /* The value of largest magnitude maps to -8: the side with one step more. */
        const float inverse = -(8.0f + 0.125f * (float)step) / max;
        const moments m = fit(trial, x, importance, n, inverse, -8, 7);
        const uint16_t rounded = mote_k_f32_to_bf16(best_scale(m));
        const double d = (double)mote_k_bf16_to_f32(rounded);
        const double gain = d * (2 * m.xq - d * m.qq);
        if (gain > best) {
            best = gain;
            scale = rounded;
            memcpy(q, trial, n * sizeof *q);
        }
    }
    return scale;
}

void mote_k_quant_i8(void *panel, float *scales, const float *rows, size_t ld,
        uint32_t n_live, uint32_t n_cols, const float *importance)
{
    int8_t *out = panel;
    memset(out, 0, mote__k_panel_bytes(MOTE_K_I8, n_cols));
    memset(scales, 0, mote__k_panel_scales(MOTE_K_I8, n_cols) * sizeof *scales);
    for (uint32_t r = 0; r < n_live; r++)
        for (uint32_t k0 = 0; k0 < n_cols; k0 += MOTE_I8_GROUP) {
            const uint32_t n =
                    n_cols - k0 < MOTE_I8_GROUP ? n_cols - k0 : MOTE_I8_GROUP;
            int q[MOTE_I8_GROUP];
            scales[k0 / MOTE_I8_GROUP * MOTE_PANEL + r] = quant_group_i8(
                    q, rows + r * ld + k0, importance ? importance + k0 : NULL, n);
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t k = k0 + i;
                out[(size_t)(k & ~3u) * MOTE_PANEL + r * 4u + (k & 3u)] = (int8_t)q[i];
            }
        }
}

void mote_k_quant_i4(void *panel, const float *rows, size_t ld, uint32_t n_live,
        uint32_t n_cols, const float *importance)
{
    uint8_t *out = panel;
    memset(out, 0x88, mote__k_panel_bytes(MOTE_K_I4, n_cols));
    for (uint32_t k = 0; k < n_cols; k += MOTE_I4_PART)
        memset(out + mote__k_i4_scales(k / MOTE_I4_GROUP), 0, MOTE_I4_PART_SCALES);
    for (uint32_t r = 0; r < n_live; r++)
        for (uint32_t k0 = 0; k0 < n_cols; k0 += MOTE_I4_GROUP) {
            const uint32_t n =
                    n_cols - k0 < MOTE_I4_GROUP ? n_cols - k0 : MOTE_I4_GROUP;
            int q[MOTE_I4_GROUP];
            const uint16_t scale = quant_group_i4(
                    q, rows + r * ld + k0, importance ? importance + k0 : NULL, n);
            memcpy(out + mote__k_i4_scales(k0 / MOTE_I4_GROUP) + r * sizeof scale,
                    &scale, sizeof scale);
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t k = k0 + i;
                uint8_t *cell = out + mote__k_i4_column(k & ~7u) + r * 4u + (k & 3u);
                const unsigned nibble = (unsigned)(q[i] + 8);
                *cell = (uint8_t)(k & 4u ? (*cell & 0x0fu) | nibble << 4
                                         : (*cell & 0xf0u) | nibble);
            }
        }
}
