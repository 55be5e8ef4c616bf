/* SPDX-License-Identifier: MIT */
/* Matrix kernels in plain C: the specification.
 *
 * Packed activations: EXACT and BF16 are k_pad floats (BF16 rounded). INT8 is k_pad
 * values of int8 padded to 64, then a float scale per 32 columns, padded to 64 bytes.
 *
 * Order of additions for an output: columns that share a weight scale (128 for F32 and
 * BF16) are summed in rising k into a partial; partial * scale is added to the total,
 * block after block. With INT8, 32 columns are summed in integers, and the sum times
 * (weight scale * activation scale) is added to the total. */
#include "kernels/kernels_internal.h"
#include <math.h>
#include <string.h>

#define TOKENS 32 /* tokens that share a decoded block of weights */

static size_t round64(size_t n)
{
    return (n + 63u) & ~(size_t)63u;
}

static size_t act_bytes(uint32_t form, uint32_t k)
{
    const size_t k_pad = mote_k_pad(k), groups = (k_pad + 31u) / MOTE_ACT_GROUP;
    if (form == MOTE_K_ACT_INT8)
        return round64(k_pad) + round64(groups * sizeof(float));
    return round64(k_pad * sizeof(float));
}

static void pack_int8(int8_t *q, float *scales, const float *x, uint32_t k)
{
    for (uint32_t k0 = 0; k0 < k; k0 += MOTE_ACT_GROUP) {
        const uint32_t n = k - k0 < MOTE_ACT_GROUP ? k - k0 : MOTE_ACT_GROUP;
        float max = 0; /* a NaN stays in it, and makes the scale NaN */
        for (uint32_t i = 0; i < n; i++) {
            const float v = fabsf(x[k0 + i]);
            max = v <= max || isnan(max) ? max : v;
        }
        /* Below 2^-100 the inverse would overflow, and the values do not matter. */
        const float inverse = max >= 0x1p-100f && max < INFINITY ? 127.0f / max : 0.0f;
        scales[k0 / MOTE_ACT_GROUP] = max >= 0x1p-100f ? max / 127.0f : 0.0f * max;
        for (uint32_t i = 0; i < n; i++)
            q[k0 + i] = inverse > 0 ? (int8_t)lrintf(x[k0 + i] * inverse) : 0;
    }
}

static void act_pack(
        void *dst, uint32_t form, const float *x, size_t ldx, uint32_t k, uint32_t n)
{
    const size_t bytes = act_bytes(form, k);
    for (uint32_t i = 0; i < n; i++, x += ldx) {
        void *row = (char *)dst + bytes * i;
        float *f = row;
        memset(row, 0, bytes);
        if (form == MOTE_K_ACT_INT8)
            pack_int8(
                    row, (float *)(void *)((char *)row + round64(mote_k_pad(k))), x, k);
        else if (form == MOTE_K_ACT_BF16)
            for (uint32_t j = 0; j < k; j++)
                f[j] = mote_k_bf16_to_f32(mote_k_f32_to_bf16(x[j]));
        else
            memcpy(f, x, k * sizeof *f);
    }
}

/* Columns [k0, k0 + n) of a panel, unscaled, as [k][row]; n is a multiple of 16. */
static void decode_f32(float (*out)[MOTE_PANEL], const void *panel, uint32_t type,
        uint32_t k0, uint32_t n)
{
    const size_t at = (size_t)k0 * MOTE_PANEL;
    if (type == MOTE_K_F32) {
        memcpy(out, (const float *)panel + at, (size_t)n * sizeof *out);
        return;
    }
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t r = 0; r < MOTE_PANEL; r++) {
            const size_t cell = at + (size_t)(k & ~3u) * MOTE_PANEL + r * 4u + (k & 3u);
            if (type == MOTE_K_BF16) {
                out[k][r] = mote_k_bf16_to_f32(((const uint16_t *)panel)[cell]);
            } else if (type == MOTE_K_E4M3) {
                out[k][r] = mote_k_e4m3_to_f32(((const uint8_t *)panel)[cell]);
            } else if (type == MOTE_K_I8) {
                out[k][r] = (float)((const int8_t *)panel)[cell];
            } else {
                const uint8_t *pair =
                        (const uint8_t *)panel + mote__k_i4_column((k0 + k) & ~7u);
                const unsigned byte = pair[r * 4u + (k & 3u)];
                out[k][r] = (float)((int)(k & 4u ? byte >> 4 : byte & 15u) - 8);
            }
        }
}

/* Scales of the rows of a panel in one unit of columns. */
static void row_scales(float *out, const void *panel, const float *scales,
        uint32_t type, uint32_t unit)
{
    uint16_t half[MOTE_PANEL];
    if (type == MOTE_K_I4)
        memcpy(half, (const char *)panel + mote__k_i4_scales(unit), sizeof half);
    for (uint32_t r = 0; r < MOTE_PANEL; r++)
        out[r] = type == MOTE_K_E4M3 ? scales[unit]
                 : type == MOTE_K_I8 ? scales[unit * MOTE_PANEL + r]
                 : type == MOTE_K_I4 ? mote_k_bf16_to_f32(half[r])
                                     : 1.0f;
}

/* total[i][r] for up to TOKENS rows of x against one panel. */
static void panel_times(float (*total)[MOTE_PANEL], const mote_k_matrix *w, uint32_t p,
        const void *const *x, uint32_t form, uint32_t n)
{
    const uint32_t k_pad = mote_k_pad(w->n_cols);
    const uint32_t columns = mote__k_scale_columns(w->type);
    const uint32_t step = form == MOTE_K_ACT_INT8 ? MOTE_ACT_GROUP : columns;
    const void *panel = mote__k_panel(w, p);
    const float *scales = mote__k_scales(w, p);
    float weights[MOTE_BLOCK][MOTE_PANEL];
    memset(total, 0, n * sizeof *total);
    for (uint32_t k0 = 0; k0 < k_pad; k0 += step) {
        const uint32_t count = k_pad - k0 < step ? k_pad - k0 : step;
        float scale[MOTE_PANEL];
        row_scales(scale, panel, scales, w->type, k0 / columns);
        decode_f32(weights, panel, w->type, k0, count);
        for (uint32_t i = 0; i < n; i++) {
            /* Sums of 32 products of int8 are below 2^24: exact in floats too. */
            float sum[MOTE_PANEL] = {0}, by = 1.0f;
            if (form == MOTE_K_ACT_INT8) {
                const int8_t *q = (const int8_t *)x[i] + k0;
                const char *s = (const char *)x[i] + round64(k_pad);
                by = ((const float *)(const void *)s)[k0 / MOTE_ACT_GROUP];
                for (uint32_t k = 0; k < count; k++)
                    for (uint32_t r = 0; r < MOTE_PANEL; r++)
                        sum[r] += weights[k][r] * (float)q[k];
            } else {
                const float *f = (const float *)x[i] + k0;
                for (uint32_t k = 0; k < count; k++)
                    for (uint32_t r = 0; r < MOTE_PANEL; r++)
                        sum[r] += weights[k][r] * f[k];
            }
            for (uint32_t r = 0; r < MOTE_PANEL; r++)
                total[i][r] += sum[r] * (scale[r] * by);
        }
    }
}

static void matmul(float *y, size_t ldy, const mote_k_matrix *w, uint32_t begin,
        uint32_t end, const void *act, uint32_t form, const uint32_t *index, uint32_t n)
{
    const size_t bytes = act_bytes(form, w->n_cols);
    for (uint32_t i0 = 0; i0 < n; i0 += TOKENS) {
        const uint32_t m = n - i0 < TOKENS ? n - i0 : TOKENS;
        const void *x[TOKENS];
        float total[TOKENS][MOTE_PANEL];
        for (uint32_t i = 0; i < m; i++)
            x[i] = mote__k_act_row(act, bytes, index, i0 + i);
        for (uint32_t p = begin; p < end; p++) {
            const uint32_t row = p * MOTE_PANEL, left = w->n_rows - row;
            panel_times(total, w, p, x, form, m);
            for (uint32_t i = 0; i < m; i++)
                memcpy(y + (i0 + i) * ldy + row, total[i],
                        (left < MOTE_PANEL ? left : MOTE_PANEL) * sizeof *y);
        }
    }
}

static void gate_up(float *h, size_t ldh, const mote_k_matrix *gate,
        const mote_k_matrix *up, uint32_t begin, uint32_t end, const void *act,
        uint32_t form, const uint32_t *index, uint32_t n)
{
    const size_t bytes = act_bytes(form, gate->n_cols);
    for (uint32_t i0 = 0; i0 < n; i0 += TOKENS) {
        const uint32_t m = n - i0 < TOKENS ? n - i0 : TOKENS;
        const void *x[TOKENS];
        float a[TOKENS][MOTE_PANEL], b[TOKENS][MOTE_PANEL];
        for (uint32_t i = 0; i < m; i++)
            x[i] = mote__k_act_row(act, bytes, index, i0 + i);
        for (uint32_t p = begin; p < end; p++) {
            const uint32_t row = p * MOTE_PANEL;
            panel_times(a, gate, p, x, form, m);
            panel_times(b, up, p, x, form, m);
            for (uint32_t i = 0; i < m; i++)
                for (uint32_t r = 0; r < MOTE_PANEL && row + r < gate->n_rows; r++)
                    h[(i0 + i) * ldh + row + r] =
                            a[i][r] / (1.0f + expf(-a[i][r])) * b[i][r];
        }
    }
}

void mote__kmat_init_scalar(mote_kernels *table)
{
    table->act_bytes = act_bytes;
    table->act_pack = act_pack;
    table->matmul = matmul;
    table->gate_up = gate_up;
}
