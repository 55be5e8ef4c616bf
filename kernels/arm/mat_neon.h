/* SPDX-License-Identifier: MIT */
/* Matrix kernels for AArch64, in fp32 and with int8 activations; mat_neon.c is the
 * baseline, mat_neon_dot.c adds products of bf16 and uses the integer dot products.
 *
 * Why this shape. Four consecutive k of a row are one vector of floats, so a panel
 * needs no broadcast of activations and no sum across lanes inside the loop: lane j of
 * a row's accumulator holds the columns k with k % 4 == j of a scale block, and four
 * rows are folded at its end by pairwise additions. One token converts weights in
 * registers; more convert a block of a panel once into L1 and go over it in tiles of 8
 * rows x 3 tokens (24 of 32 registers). Both add in the same order.
 *
 * Packed activations: k_pad floats (rounded in the BF16 form), or for INT8 k_pad int8
 * padded to 64 bytes and a float scale per 32 columns. */
#ifndef MOTE_KERNELS_ARM_MAT_NEON_H
#define MOTE_KERNELS_ARM_MAT_NEON_H
#include "kernels/mat_driver.h"
#include "kernels/mathfn.h"

#define ALWAYS static inline __attribute__((always_inline))

static size_t round64(size_t n)
{
    return (n + 63u) & ~(size_t)63u;
}

static size_t int8_act_bytes(uint32_t k)
{
    const size_t k_pad = mote_k_pad(k), groups = (k_pad + 31u) / MOTE_ACT_GROUP;
    return round64(k_pad) + round64(groups * sizeof(float));
}

/* As the scalar form, whose rounding (to nearest even) vcvtnq has too. */
static void pack_int8(uint8_t *dst, const float *x, uint32_t k)
{
    const uint32_t k_pad = mote_k_pad(k);
    float *scales = (float *)(void *)(dst + round64(k_pad));
    memset(dst, 0, int8_act_bytes(k));
    for (uint32_t k0 = 0; k0 < k; k0 += MOTE_ACT_GROUP) {
        const uint32_t n = k - k0 < MOTE_ACT_GROUP ? k - k0 : MOTE_ACT_GROUP;
        float part[MOTE_ACT_GROUP] = {0};
        memcpy(part, x + k0, n * sizeof *part);
        uint32x4_t top = vdupq_n_u32(0); /* as integers, so that a NaN is the largest */
        for (int i = 0; i < MOTE_ACT_GROUP; i += 4)
            top = vmaxq_u32(top, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(part + i))));
        const uint32_t bits = vmaxvq_u32(top);
        float max;
        memcpy(&max, &bits, sizeof max);
        if (bits >= 0x7f800000u || max < 0x1p-100f) {
            scales[k0 / MOTE_ACT_GROUP] = 0.0f * max; /* NaN if a value is not finite */
            continue;
        }
        scales[k0 / MOTE_ACT_GROUP] = max / 127.0f;
        int8_t q[MOTE_ACT_GROUP];
        for (int i = 0; i < MOTE_ACT_GROUP; i += 8) {
            const float32x4_t f = vdupq_n_f32(127.0f / max);
            const int16x4_t a =
                    vmovn_s32(vcvtnq_s32_f32(vmulq_f32(vld1q_f32(part + i), f)));
            const int16x4_t b =
                    vmovn_s32(vcvtnq_s32_f32(vmulq_f32(vld1q_f32(part + i + 4), f)));
            vst1_s8(q + i, vqmovn_s16(vcombine_s16(a, b)));
        }
        memcpy(dst + k0, q, n);
    }
}

static void silu_times(float *h, const float *a, const float *b)
{
    for (int i = 0; i < MOTE_PANEL; i += 4) {
        const float32x4_t x = vld1q_f32(a + i);
        const float32x4_t e = vaddq_f32(mote__exp_4(vnegq_f32(x)), vdupq_n_f32(1.0f));
        vst1q_f32(h + i, vmulq_f32(vdivq_f32(x, e), vld1q_f32(b + i)));
    }
}

/* ---- scales ---- */

/* Of 4 rows of int8 or int4. */
ALWAYS float32x4_t row_scales(uint32_t type, const panel_ref *p, uint32_t unit, int row)
{
    if (type == MOTE_K_I8)
        return vld1q_f32(p->scales + (size_t)unit * MOTE_PANEL + row);
    const uint8x8_t half = vld1_u8(p->data + mote__k_i4_scales(unit) + 2 * (size_t)row);
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(half), 16));
}

/* What 4 rows' sums of a unit are multiplied with. e4m3 values are used as value / 256,
 * which is undone first, so that no scale overflows. */
ALWAYS float32x4_t scaled(
        uint32_t type, float32x4_t sum, const panel_ref *p, uint32_t unit, int row)
{
    if (type == MOTE_K_E4M3)
        return vmulq_n_f32(vmulq_n_f32(sum, 256.0f), p->scales[unit]);
    if (type == MOTE_K_I8 || type == MOTE_K_I4)
        return vmulq_f32(sum, row_scales(type, p, unit, row));
    return sum;
}

ALWAYS void add_to(float *y, float32x4_t v)
{
    vst1q_f32(y, vaddq_f32(vld1q_f32(y), v));
}

ALWAYS float32x4_t fold(const float32x4_t *a)
{
    return vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3]));
}

/* ---- weights to floats: one group (4 columns) of 4 rows ---- */

ALWAYS void floats_of_int8(float32x4_t *out, int8x16_t v)
{
    const int16x8_t a = vmovl_s8(vget_low_s8(v)), b = vmovl_high_s8(v);
    out[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(a)));
    out[1] = vcvtq_f32_s32(vmovl_high_s16(a));
    out[2] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(b)));
    out[3] = vcvtq_f32_s32(vmovl_high_s16(b));
}

/* e4m3 bytes become fp16 values / 256: sign, magnitude shifted by one into the high
 * byte, its last bit on top of the low byte. Subnormals come out right. */
ALWAYS void floats_of_e4m3(float32x4_t *out, uint8x16_t v)
{
    const uint8x16_t high =
            vandq_u8(vreinterpretq_u8_s8(vshrq_n_s8(vreinterpretq_s8_u8(v), 1)),
                    vdupq_n_u8(0xbf));
    const uint8x16_t low = vshlq_n_u8(v, 7);
    const float16x8_t a = vreinterpretq_f16_u8(vzip1q_u8(low, high));
    const float16x8_t b = vreinterpretq_f16_u8(vzip2q_u8(low, high));
    out[0] = vcvt_f32_f16(vget_low_f16(a));
    out[1] = vcvt_high_f32_f16(a);
    out[2] = vcvt_f32_f16(vget_low_f16(b));
    out[3] = vcvt_high_f32_f16(b);
}

ALWAYS void floats_of_bf16(float32x4_t *out, const uint8_t *w)
{
    for (int i = 0; i < 2; i++) {
        const uint16x8_t v = vreinterpretq_u16_u8(vld1q_u8(w + 16 * i));
        out[2 * i] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(v), 16));
        out[2 * i + 1] = vreinterpretq_f32_u32(vshll_high_n_u16(v, 16));
    }
}

ALWAYS int8x16_t nibbles(uint8x16_t v, uint32_t odd)
{
    const uint8x16_t n = odd ? vshrq_n_u8(v, 4) : vandq_u8(v, vdupq_n_u8(15));
    return vsubq_s8(vreinterpretq_s8_u8(n), vdupq_n_s8(8));
}

/* Rows [row, row + 4) of the group of columns [k, k + 4). */
ALWAYS void decode_group(
        float32x4_t *out, uint32_t type, const uint8_t *panel, uint32_t k, int row)
{
    const size_t at = (size_t)k * MOTE_PANEL + (size_t)row * 4;
    switch (type) {
    case MOTE_K_BF16:
        floats_of_bf16(out, panel + 2 * at);
        break;
    case MOTE_K_E4M3:
        floats_of_e4m3(out, vld1q_u8(panel + at));
        break;
    case MOTE_K_I8:
        floats_of_int8(out, vreinterpretq_s8_u8(vld1q_u8(panel + at)));
        break;
    default:
        floats_of_int8(out,
                nibbles(vld1q_u8(panel + mote__k_i4_column(k & ~7u) + (size_t)row * 4),
                        k & 4u));
        break;
    }
}

/* ---- products in fp32 ---- */

/* One token, one unit of columns [k0, k0 + n) of a panel. */
ALWAYS void one_unit(float *y, uint32_t type, const panel_ref *p, const float *x,
        uint32_t k0, uint32_t n)
{
    float32x4_t sum[16];
    for (int r = 0; r < 16; r++)
        sum[r] = vdupq_n_f32(0);
    for (uint32_t k = k0; k < k0 + n; k += 4) {
        const float32x4_t v = vld1q_f32(x + k);
        for (int r = 0; r < 16; r += 4) {
            float32x4_t w[4];
            decode_group(w, type, p->data, k, r);
            for (int i = 0; i < 4; i++)
                sum[r + i] = vfmaq_f32(sum[r + i], w[i], v);
        }
    }
    for (int r = 0; r < 16; r += 4)
        add_to(y + r,
                scaled(type, fold(sum + r), p, k0 / mote__k_scale_columns(type), r));
}

/* 8 rows of a converted unit, [k / 4][16 rows][4], times nt tokens. */
ALWAYS void tile(float *const *y, uint32_t type, const float *w, const panel_ref *p,
        uint32_t unit, const float *const *x, uint32_t n, int row, int nt)
{
    float32x4_t sum[3][8];
    for (int i = 0; i < nt; i++)
        for (int r = 0; r < 8; r++)
            sum[i][r] = vdupq_n_f32(0);
    for (uint32_t k = 0; k < n; k += 4) {
        const float *group = w + (size_t)k * MOTE_PANEL + (size_t)row * 4;
        float32x4_t v[3];
        for (int i = 0; i < nt; i++)
            v[i] = vld1q_f32(x[i] + k);
        for (int r = 0; r < 8; r++) {
            const float32x4_t a = vld1q_f32(group + 4 * r);
            for (int i = 0; i < nt; i++)
                sum[i][r] = vfmaq_f32(sum[i][r], a, v[i]);
        }
    }
    for (int i = 0; i < nt; i++)
        for (int r = 0; r < 8; r += 4)
            add_to(y[i] + row + r, scaled(type, fold(sum[i] + r), p, unit, row + r));
}

/* Tokens [0, n_tokens) against one converted unit of panel p. */
ALWAYS void many_unit(const job *j, totals *total, uint32_t type, uint32_t p,
        const float *w, uint32_t k0, uint32_t n)
{
    const uint32_t unit = k0 / mote__k_scale_columns(type);
    const panel_ref *panel = &j->panel[p];
    for (uint32_t i = 0; i < j->n; i += 3) {
        const uint32_t nt = j->n - i < 3 ? j->n - i : 3;
        const float *x[3];
        float *y[3];
        for (uint32_t t = 0; t < 3; t++) {
            const uint32_t token = i + (t < nt ? t : 0);
            x[t] = (const float *)(const void *)j->x[token] + k0;
            y[t] = total[token][p];
        }
        for (int row = 0; row < 16; row += 8)
            if (nt == 3)
                tile(y, type, w, panel, unit, x, n, row, 3);
            else if (nt == 2)
                tile(y, type, w, panel, unit, x, n, row, 2);
            else
                tile(y, type, w, panel, unit, x, n, row, 1);
    }
}

ALWAYS void floats_of_type(const job *j, totals *total, uint32_t type)
{
    _Alignas(64) float buffer[MOTE_BLOCK * MOTE_PANEL];
    const uint32_t columns = mote__k_scale_columns(type);
    for (uint32_t p = 0; p < j->n_panels; p++)
        for (uint32_t k0 = 0; k0 < j->k_pad; k0 += columns) {
            const uint32_t n = j->k_pad - k0 < columns ? j->k_pad - k0 : columns;
            if (j->n == 1) {
                one_unit(total[0][p], type, &j->panel[p],
                        (const float *)(const void *)j->x[0], k0, n);
                continue;
            }
            for (uint32_t k = 0; k < n; k += 4)
                for (int r = 0; r < 16; r += 4) {
                    float32x4_t w[4];
                    decode_group(w, type, j->panel[p].data, k0 + k, r);
                    for (int i = 0; i < 4; i++)
                        vst1q_f32(buffer + (size_t)k * MOTE_PANEL + (r + i) * 4, w[i]);
                }
            many_unit(j, total, type, p, buffer, k0, n);
        }
}

/* F32 weights lie as [k][16 rows]: a vector is four rows of one k. One token's x
 * against n columns. */
ALWAYS void f32_unit(float *y, const float *w, const float *x, uint32_t n)
{
    float32x4_t sum[4];
    for (int r = 0; r < 4; r++)
        sum[r] = vdupq_n_f32(0);
    for (uint32_t k = 0; k < n; k++)
        for (int r = 0; r < 4; r++)
            sum[r] = vfmaq_n_f32(
                    sum[r], vld1q_f32(w + (size_t)k * MOTE_PANEL + 4 * r), x[k]);
    for (int r = 0; r < 4; r++)
        add_to(y + 4 * r, sum[r]);
}

static void f32_weights(const job *j, totals *total)
{
    for (uint32_t p = 0; p < j->n_panels; p++)
        for (uint32_t k0 = 0; k0 < j->k_pad; k0 += MOTE_BLOCK) {
            const uint32_t n = j->k_pad - k0 < MOTE_BLOCK ? j->k_pad - k0 : MOTE_BLOCK;
            const float *w = (const float *)(const void *)j->panel[p].data;
            for (uint32_t i = 0; i < j->n; i++)
                f32_unit(total[i][p], w + (size_t)k0 * MOTE_PANEL,
                        (const float *)(const void *)j->x[i] + k0, n);
        }
}

static void compute_floats(const job *j, totals *total)
{
    switch (j->type) {
    case MOTE_K_F32:
        f32_weights(j, total);
        break;
    case MOTE_K_BF16:
        floats_of_type(j, total, MOTE_K_BF16);
        break;
    case MOTE_K_E4M3:
        floats_of_type(j, total, MOTE_K_E4M3);
        break;
    case MOTE_K_I8:
        floats_of_type(j, total, MOTE_K_I8);
        break;
    default:
        floats_of_type(j, total, MOTE_K_I4);
        break;
    }
}

/* ---- products in integers ---- */

/* sum[0..3] += rows 4i..4i+3 of one group times the 4 activations in every 32 bits of
 * x. Without dot products each row keeps two sums, which the end of the group adds. */
#ifdef __ARM_FEATURE_DOTPROD
#define SUMS 1
ALWAYS void int8_group(int32x4_t *sum, int8x16_t w, int8x16_t x)
{
    sum[0] = vdotq_s32(sum[0], w, x);
}
ALWAYS int32x4_t int8_fold(const int32x4_t *sum)
{
    return sum[0];
}
#else
#define SUMS 2
ALWAYS void int8_group(int32x4_t *sum, int8x16_t w, int8x16_t x)
{
    sum[0] = vpadalq_s16(sum[0], vmull_s8(vget_low_s8(w), vget_low_s8(x)));
    sum[1] = vpadalq_s16(sum[1], vmull_high_s8(w, x));
}
ALWAYS int32x4_t int8_fold(const int32x4_t *sum)
{
    return vpaddq_s32(sum[0], sum[1]);
}
#endif

ALWAYS int8x16_t four_of(const uint8_t *x)
{
    int32_t v;
    memcpy(&v, x, sizeof v);
    return vreinterpretq_s8_s32(vdupq_n_s32(v));
}

/* One panel times nt tokens, 32 columns after the other. */
ALWAYS void int8_tile(const job *j, totals *total, uint32_t type, uint32_t p,
        uint32_t first, uint32_t nt)
{
    const uint8_t *w = j->panel[p].data;
    for (uint32_t k0 = 0; k0 < j->k_pad; k0 += MOTE_ACT_GROUP) {
        const uint32_t left = j->k_pad - k0;
        const uint32_t n = left < MOTE_ACT_GROUP ? left : MOTE_ACT_GROUP;
        float32x4_t scale[4];
        for (int r = 0; r < 4; r++)
            scale[r] = row_scales(
                    type, &j->panel[p], k0 / mote__k_scale_columns(type), 4 * r);
        int32x4_t sum[4][4][SUMS];
        for (uint32_t i = 0; i < nt; i++)
            for (int r = 0; r < 4; r++)
                for (int s = 0; s < SUMS; s++)
                    sum[i][r][s] = vdupq_n_s32(0);
        for (uint32_t k = k0; k < k0 + n; k += 4)
            for (int r = 0; r < 4; r++) {
                const int8x16_t v =
                        type == MOTE_K_I8
                                ? vreinterpretq_s8_u8(
                                          vld1q_u8(w + (size_t)k * MOTE_PANEL + 16 * r))
                                : nibbles(vld1q_u8(w + mote__k_i4_column(k & ~7u) +
                                                   16 * r),
                                          k & 4u);
                for (uint32_t i = 0; i < nt; i++)
                    int8_group(sum[i][r], v, four_of(j->x[first + i] + k));
            }
        for (uint32_t i = 0; i < nt; i++) {
            const uint8_t *scales = j->x[first + i] + round64(j->k_pad);
            float by;
            memcpy(&by, scales + k0 / MOTE_ACT_GROUP * sizeof by, sizeof by);
            for (int r = 0; r < 4; r++)
                add_to(total[first + i][p] + 4 * r,
                        vmulq_f32(vcvtq_f32_s32(int8_fold(sum[i][r])),
                                vmulq_n_f32(scale[r], by)));
        }
    }
}

ALWAYS void int8_of_type(const job *j, totals *total, uint32_t type)
{
    for (uint32_t p = 0; p < j->n_panels; p++) {
        uint32_t i = 0;
        for (; i + 4 <= j->n; i += 4)
            int8_tile(j, total, type, p, i, 4);
        for (; i < j->n; i++)
            int8_tile(j, total, type, p, i, 1);
    }
}

static void compute_int8(const job *j, totals *total)
{
    if (j->type == MOTE_K_I8)
        int8_of_type(j, total, MOTE_K_I8);
    else
        int8_of_type(j, total, MOTE_K_I4);
}
#endif
