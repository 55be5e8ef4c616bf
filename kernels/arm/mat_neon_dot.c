/* SPDX-License-Identifier: MIT */
/* Matrix kernels for AArch64 with dot products, BF16 and I8MM. EXACT stays in fp32 and
 * INT8 takes sdot (both in mat_neon.h); the BF16 form goes through bfmmla.
 *
 * bfmmla multiplies 2 rows x 4 k with 4 k x 2 tokens, which is just how a panel lies in
 * memory: 16 bytes of a converted group are 2 rows. A lone token is paired with itself,
 * so that the order of additions is one and the same. e4m3 becomes bf16 by arithmetic
 * on bytes and a 16-entry lookup for the subnormals, which become normal numbers.
 *
 * Packed activations: as mat_neon.h, but the BF16 form is k_pad bf16 values. */
#include "kernels/arm/mat_neon.h"

#define UNIT_CELLS (MOTE_BLOCK * MOTE_PANEL)

static size_t act_bytes(uint32_t form, uint32_t k)
{
    const size_t k_pad = mote_k_pad(k);
    return form == MOTE_K_ACT_INT8   ? int8_act_bytes(k)
           : form == MOTE_K_ACT_BF16 ? round64(k_pad * 2)
                                     : round64(k_pad * sizeof(float));
}

static void act_pack(
        void *dst, uint32_t form, const float *x, size_t ldx, uint32_t k, uint32_t n)
{
    const size_t bytes = act_bytes(form, k);
    for (uint32_t i = 0; i < n; i++, x += ldx) {
        uint8_t *row = (uint8_t *)dst + bytes * i;
        if (form == MOTE_K_ACT_INT8) {
            pack_int8(row, x, k);
            continue;
        }
        memset(row, 0, bytes);
        if (form != MOTE_K_ACT_BF16) {
            memcpy(row, x, k * sizeof *x);
            continue;
        }
        bfloat16_t *b = (bfloat16_t *)(void *)row;
        uint32_t c = 0;
        for (; c + 4 <= k; c += 4)
            vst1_bf16(b + c, vcvt_bf16_f32(vld1q_f32(x + c)));
        for (; c < k; c++) {
            const uint16_t v = mote_k_f32_to_bf16(x[c]);
            memcpy(b + c, &v, sizeof v);
        }
    }
}

/* ---- weights to bf16: 4 rows of a group are two vectors ---- */

ALWAYS void bf16_of_e4m3(bfloat16x8_t *out, uint8x16_t v)
{
    /* bf16 of m * 2^-9 for m < 8, and of the first normals */
    static const uint8_t high_bytes[16] = {0x00, 0x3b, 0x3b, 0x3b, 0x3c, 0x3c, 0x3c,
            0x3c, 0x3c, 0x3c, 0x3c, 0x3c, 0x3c, 0x3c, 0x3c, 0x3c};
    static const uint8_t low_bytes[16] = {0x00, 0x00, 0x80, 0xc0, 0x00, 0x20, 0x40,
            0x60, 0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0};
    const uint8x16_t m = vandq_u8(v, vdupq_n_u8(0x7f));
    uint8x16_t high = vaddq_u8(vshrq_n_u8(m, 4), vdupq_n_u8(0x3c));
    high = vqtbx1q_u8(high, vld1q_u8(high_bytes), m);
    const uint8x16_t low = vqtbx1q_u8(vshlq_n_u8(v, 4), vld1q_u8(low_bytes), m);
    high = vorrq_u8(high, vandq_u8(v, vdupq_n_u8(0x80)));
    out[0] = vreinterpretq_bf16_u8(vzip1q_u8(low, high));
    out[1] = vreinterpretq_bf16_u8(vzip2q_u8(low, high));
}

/* Small integers are exact in bf16: the upper halves of their floats. */
ALWAYS void bf16_of_int8(bfloat16x8_t *out, int8x16_t v)
{
    float32x4_t f[4];
    floats_of_int8(f, v);
    for (int i = 0; i < 2; i++)
        out[i] = vreinterpretq_bf16_u16(vuzp2q_u16(
                vreinterpretq_u16_f32(f[2 * i]), vreinterpretq_u16_f32(f[2 * i + 1])));
}

ALWAYS void bf16_group(
        bfloat16x8_t *out, uint32_t type, const uint8_t *panel, uint32_t k, int row)
{
    const size_t at = (size_t)k * MOTE_PANEL + (size_t)row * 4;
    const uint8_t *half = panel + mote__k_i4_column(k & ~7u) + (size_t)row * 4;
    switch (type) {
    case MOTE_K_BF16:
        out[0] = vreinterpretq_bf16_u8(vld1q_u8(panel + 2 * at));
        out[1] = vreinterpretq_bf16_u8(vld1q_u8(panel + 2 * at + 16));
        break;
    case MOTE_K_E4M3:
        bf16_of_e4m3(out, vld1q_u8(panel + at));
        break;
    case MOTE_K_I8:
        bf16_of_int8(out, vreinterpretq_s8_u8(vld1q_u8(panel + at)));
        break;
    default:
        bf16_of_int8(out, nibbles(vld1q_u8(half), k & 4u));
        break;
    }
}

/* ---- products of bf16 ---- */

/* 4 activations of one token beside 4 of another. */
ALWAYS bfloat16x8_t two_tokens(const uint8_t *a, const uint8_t *b, size_t k)
{
    return vreinterpretq_bf16_u8(vcombine_u8(vld1_u8(a + 2 * k), vld1_u8(b + 2 * k)));
}

/* Sums of a unit to the totals of two tokens; a[r] holds rows 2r, 2r+1 x 2 tokens. */
ALWAYS void add_pair(float *y0, float *y1, uint32_t type, const float32x4_t *a,
        const panel_ref *p, uint32_t unit)
{
    for (int r = 0; r < 16; r += 4) {
        float32x4_t s0 = vuzp1q_f32(a[r / 2], a[r / 2 + 1]);
        float32x4_t s1 = vuzp2q_f32(a[r / 2], a[r / 2 + 1]);
        if (type == MOTE_K_E4M3) {
            s0 = vmulq_n_f32(s0, p->scales[unit]);
            s1 = vmulq_n_f32(s1, p->scales[unit]);
        } else {
            s0 = scaled(type, s0, p, unit, r);
            s1 = scaled(type, s1, p, unit, r);
        }
        add_to(y0 + r, s0);
        if (y1)
            add_to(y1 + r, s1);
    }
}

/* Two tokens (or one, y1 NULL) against columns [k0, k0 + n), converted in registers. */
ALWAYS void pair_unit(float *y0, float *y1, uint32_t type, const panel_ref *p,
        const uint8_t *x0, const uint8_t *x1, uint32_t k0, uint32_t n)
{
    float32x4_t sum[8];
    for (int r = 0; r < 8; r++)
        sum[r] = vdupq_n_f32(0);
    for (uint32_t k = k0; k < k0 + n; k += 4) {
        const bfloat16x8_t x = two_tokens(x0, x1, k);
        for (int r = 0; r < 16; r += 4) {
            bfloat16x8_t w[2];
            bf16_group(w, type, p->data, k, r);
            sum[r / 2] = vbfmmlaq_f32(sum[r / 2], w[0], x);
            sum[r / 2 + 1] = vbfmmlaq_f32(sum[r / 2 + 1], w[1], x);
        }
    }
    add_pair(y0, y1, type, sum, p, k0 / mote__k_scale_columns(type));
}

/* Four tokens against a converted unit, [k / 4][16 rows][4]. */
ALWAYS void four_unit(float *const *y, uint32_t type, const bfloat16_t *w,
        const panel_ref *p, const uint8_t *const *x, uint32_t k0, uint32_t n)
{
    float32x4_t sum[2][8];
    for (int i = 0; i < 2; i++)
        for (int r = 0; r < 8; r++)
            sum[i][r] = vdupq_n_f32(0);
    for (uint32_t k = 0; k < n; k += 4) {
        const bfloat16x8_t x0 = two_tokens(x[0], x[1], k0 + k);
        const bfloat16x8_t x1 = two_tokens(x[2], x[3], k0 + k);
        for (int r = 0; r < 8; r++) {
            const bfloat16x8_t a = vld1q_bf16(w + (size_t)k * MOTE_PANEL + 8 * r);
            sum[0][r] = vbfmmlaq_f32(sum[0][r], a, x0);
            sum[1][r] = vbfmmlaq_f32(sum[1][r], a, x1);
        }
    }
    add_pair(y[0], y[1], type, sum[0], p, k0 / mote__k_scale_columns(type));
    if (y[2])
        add_pair(y[2], y[3], type, sum[1], p, k0 / mote__k_scale_columns(type));
}

ALWAYS void bf16_of_type(const job *j, totals *total, uint32_t type)
{
    _Alignas(64) bfloat16_t buffer[UNIT_CELLS];
    const uint32_t columns = mote__k_scale_columns(type);
    for (uint32_t p = 0; p < j->n_panels; p++)
        for (uint32_t k0 = 0; k0 < j->k_pad; k0 += columns) {
            const uint32_t n = j->k_pad - k0 < columns ? j->k_pad - k0 : columns;
            if (j->n <= 2) {
                pair_unit(total[0][p], j->n == 2 ? total[1][p] : NULL, type,
                        &j->panel[p], j->x[0], j->x[j->n - 1], k0, n);
                continue;
            }
            for (uint32_t k = 0; k < n; k += 4)
                for (int r = 0; r < 16; r += 4) {
                    bfloat16x8_t w[2];
                    bf16_group(w, type, j->panel[p].data, k0 + k, r);
                    vst1q_bf16(buffer + (size_t)k * MOTE_PANEL + r * 4, w[0]);
                    vst1q_bf16(buffer + (size_t)k * MOTE_PANEL + r * 4 + 8, w[1]);
                }
            for (uint32_t i = 0; i < j->n; i += 4) {
                const uint8_t *x[4];
                float *y[4];
                for (uint32_t t = 0; t < 4; t++) {
                    x[t] = j->x[i + t < j->n ? i + t : i];
                    y[t] = i + t < j->n ? total[i + t][p] : NULL;
                }
                four_unit(y, type, buffer, &j->panel[p], x, k0, n);
            }
        }
}

/* F32 weights take the rounded values as floats. */
static void bf16_times_f32(const job *j, totals *total)
{
    for (uint32_t i = 0; i < j->n; i++)
        for (uint32_t k0 = 0; k0 < j->k_pad; k0 += MOTE_BLOCK) {
            const uint32_t n = j->k_pad - k0 < MOTE_BLOCK ? j->k_pad - k0 : MOTE_BLOCK;
            float x[MOTE_BLOCK];
            for (uint32_t k = 0; k < n; k += 4) {
                const uint8x8_t v = vld1_u8(j->x[i] + 2 * ((size_t)k0 + k));
                vst1q_f32(x + k,
                        vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(v), 16)));
            }
            for (uint32_t p = 0; p < j->n_panels; p++) {
                const float *w = (const float *)(const void *)j->panel[p].data;
                f32_unit(total[i][p], w + (size_t)k0 * MOTE_PANEL, x, n);
            }
        }
}

static void compute(const job *j, totals *total)
{
    memset(total, 0, j->n * sizeof *total);
    if (j->form == MOTE_K_ACT_INT8) {
        compute_int8(j, total);
        return;
    }
    if (j->form != MOTE_K_ACT_BF16) {
        compute_floats(j, total);
        return;
    }
    switch (j->type) {
    case MOTE_K_F32:
        bf16_times_f32(j, total);
        break;
    case MOTE_K_BF16:
        bf16_of_type(j, total, MOTE_K_BF16);
        break;
    case MOTE_K_E4M3:
        bf16_of_type(j, total, MOTE_K_E4M3);
        break;
    case MOTE_K_I8:
        bf16_of_type(j, total, MOTE_K_I8);
        break;
    default:
        bf16_of_type(j, total, MOTE_K_I4);
        break;
    }
}

void mote__kmat_init_neon_dot(mote_kernels *table)
{
    table->act_bytes = act_bytes;
    table->act_pack = act_pack;
    table->matmul = matmul;
    table->gate_up = gate_up;
}
