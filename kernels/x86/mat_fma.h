/* SPDX-License-Identifier: MIT */
/* Matrix kernels by fp32 multiply-add, for ISAs without bf16 products: included by
 * mat_avx2.c and mat_avx512.c, which define VL (floats in a register), the types V and
 * VI and the operations v_..., vi_... on them.
 *
 * Activations. EXACT, FINE and BF16 are k_pad floats (BF16 rounded), times a power of
 * two that brings the largest near 2^60, then the inverse of that power. INT8 is int8
 * values, then for each 32 columns {scale, -8 sum, -128 sum, 0}.
 *
 * Weights become fp32 in the order [k][row 16], H registers per k, since a lane of a
 * group is a row: byte j of the lane is column j. e4m3 bits moved to the exponent of a
 * float are the value times 2^-120, subnormals too. They are multiplied as
 * they are, 120 being made good by the power of two in x and by another in the scale:
 * decoding is two operations for 8 or 16 values. Up to FUSED tokens convert in
 * registers while one panel is read in order; more convert a block of 128 columns once
 * into L1.
 *
 * Order of additions: columns of a unit (those that share a weight scale; 128 for F32
 * and BF16) in four parts, columns 0 and 2 of every 8, 1 and 3, 4 and 6, 5 and 7, each
 * in rising k; then (((0 + 1) + 2) + 3) * scale is added to the total. (With two parts,
 * one token waited for its chains of multiply-adds.) Packed rows and converted blocks
 * have the columns of a part together, as place_of() says. INT8: integer sums of 32
 * columns, times (weight scale * activation scale).
 *
 * Integer products without VNNI: a weight of int4 is a nibble 0..15, of int8 (plus 128)
 * two nibbles. Pairs of nibble * int8 summed over 32 columns stay below 2^15, so 16-bit
 * sums of maddubs never saturate, and widen once per 32 columns. */
#ifndef MOTE_KERNELS_X86_MAT_FMA_H
#define MOTE_KERNELS_X86_MAT_FMA_H
#define DRIVER_ONE_TOKEN
#define DRIVER_ONE_INT8 0
#include "kernels/mat_driver.h"
#include <math.h>

#define ALWAYS static inline __attribute__((always_inline))
#define H (MOTE_PANEL / VL) /* registers per 16 rows */
#define TILE (12 / H)       /* tokens per tile: 12 sums */
#define FUSED                                                                          \
    (VL == 16 ? 4u : 2u) /* tokens up to which weights convert in registers            \
                          */
#define TILE_INT8 (VL == 16 ? 6u : 3u)

static size_t round64(size_t n)
{
    return (n + 63u) & ~(size_t)63u;
}

/* An odd number of lines, so that rows do not meet in the same sets of L1 and L2. */
static size_t act_bytes(uint32_t form, uint32_t k)
{
    const size_t k_pad = mote_k_pad(k), groups = (k_pad + 31u) / MOTE_ACT_GROUP;
    if (form == MOTE_K_ACT_INT8)
        return (round64(k_pad) + round64(16 * groups)) | 64u;
    return (round64(4 * k_pad) + 64u) | 64u;
}

typedef struct int8_group {
    float scale;
    int32_t minus8, minus128; /* -8 and -128 times the sum of the 32 values */
    int32_t zero;
} int8_group;

static void pack_int8(uint8_t *dst, const float *x, uint32_t k)
{
    const uint32_t k_pad = mote_k_pad(k);
    int8_t *q = (int8_t *)dst;
    uint8_t *groups = dst + round64(k_pad);
    for (uint32_t k0 = 0; k0 < k_pad; k0 += MOTE_ACT_GROUP) {
        float v[MOTE_ACT_GROUP] = {0};
        uint32_t bits[MOTE_ACT_GROUP], max_bits = 0;
        if (k0 < k)
            memcpy(v, x + k0, (k - k0 < 32 ? k - k0 : 32) * sizeof *v);
        memcpy(bits, v, sizeof bits);
        for (int i = 0; i < MOTE_ACT_GROUP; i++) { /* a NaN is above all others */
            const uint32_t b = bits[i] & 0x7fffffffu;
            max_bits = b > max_bits ? b : max_bits;
        }
        float max;
        memcpy(&max, &max_bits, sizeof max);
        int8_group g = {0};
        int32_t sum = 0;
        const uint32_t n = k_pad - k0 < 32 ? 16 : 32;
        if (max_bits < 0x7f800000u && max >= 0x1p-100f) {
            const float inverse = 127.0f / max;
            for (uint32_t i = 0; i < n; i++) {
                const int32_t r = (int32_t)rintf(v[i] * inverse);
                q[k0 + i] = (int8_t)r;
                sum += r;
            }
            g.scale = max / 127.0f;
        } else {
            memset(q + k0, 0, n);
            g.scale = 0.0f * max; /* NaN where a value was not finite */
        }
        g.minus8 = -8 * sum;
        g.minus128 = -128 * sum;
        memcpy(groups + k0 / MOTE_ACT_GROUP * sizeof g, &g, sizeof g);
    }
}

static uint32_t bits_of(float v)
{
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static float float_of(uint32_t b)
{
    float v;
    memcpy(&v, &b, sizeof v);
    return v;
}

static float rounded_bf16(float v)
{
    const uint32_t b = bits_of(v), rounded = b + 0x7fffu + (b >> 16 & 1u);
    const uint32_t quiet = b | 0x400000u;
    return float_of(((b & 0x7fffffffu) > 0x7f800000u ? quiet : rounded) & 0xffff0000u);
}

/* Where column k stands in a packed row: within 16, the columns of a part together. */
ALWAYS uint32_t place_of(uint32_t k)
{
    return (k & ~15u) | (k & 4) << 1 | (k & 1) << 2 | (k & 8) >> 2 | (k & 2) >> 1;
}

static void pack_floats(float *dst, const float *x, uint32_t form, uint32_t k)
{
    const uint32_t k_pad = mote_k_pad(k);
    uint32_t max = 0;
    for (uint32_t i = 0; i < k; i++) {
        const uint32_t b = bits_of(x[i]) & 0x7fffffffu;
        max = b > max ? b : max;
    }
    /* Exponent field of the power: 60 less the exponent of max; both it and its inverse
     * must be normal numbers. Rows with infinity or NaN stay as they are. */
    uint32_t field = 127u + 60u + 127u - (max >> 23);
    field = field > 253u ? 253u : field;
    field = max >= 0x7f800000u ? 127u : field;
    const float power = float_of(field << 23), inverse = float_of((254u - field) << 23);
    for (uint32_t k0 = 0; k0 < k_pad; k0 += 16) {
        float v[16] = {0};
        memcpy(v, x + k0, (k - k0 < 16 ? k - k0 : 16) * sizeof *v);
        if (form == MOTE_K_ACT_BF16)
            for (uint32_t i = 0; i < 16; i++)
                v[i] = rounded_bf16(v[i]);
        for (uint32_t i = 0; i < 16; i++)
            dst[k0 + place_of(i)] = v[i] * power;
    }
    dst[round64(4 * (size_t)k_pad) / 4] = inverse;
}

static void act_pack(
        void *dst, uint32_t form, const float *x, size_t ldx, uint32_t k, uint32_t n)
{
    const size_t bytes = act_bytes(form, k);
    for (uint32_t i = 0; i < n; i++, x += ldx) {
        char *row = (char *)dst + i * bytes;
        if (form == MOTE_K_ACT_INT8)
            pack_int8((uint8_t *)row, x, k);
        else
            pack_floats((float *)(void *)row, x, form, k);
    }
}

/* ---- weights to fp32 ---- */

/* Bytes of 8 columns of a panel. */
ALWAYS uint32_t step_bytes(uint32_t type)
{
    return type == MOTE_K_F32    ? 512
           : type == MOTE_K_BF16 ? 256
           : type == MOTE_K_I4   ? 64
                                 : 128;
}

/* Byte j of each lane to the top of the lane. */
ALWAYS VI top_byte(VI v, uint32_t j)
{
    return j == 3 ? v : vi_sll(v, 24 - 8 * (int)j);
}

/* A group of 4 columns as loaded, then column by column as fp32: so few registers are
 * needed that AVX2 keeps all of them. e4m3 is 2^-120 of its value. */
typedef struct raw_group {
    const uint8_t *w;   /* F32 */
    VI even[H], odd[H]; /* BF16: columns 0, 1 and 2, 3; others: even alone */
} raw_group;

ALWAYS raw_group load_group(uint32_t type, const uint8_t *step, uint32_t g)
{
    raw_group r = {.w = step + 256 * g};
    for (int h = 0; h < H; h++) {
        if (type == MOTE_K_BF16) {
            split_bf16(&r.even[h], &r.odd[h], step + 128 * g + 8 * VL * h);
        } else if (type == MOTE_K_E4M3 || type == MOTE_K_I8) {
            r.even[h] = vi_load(step + 64 * g + 4 * VL * h);
            /* Not read from memory once more by each use: 4 % (AVX2, in cache). */
            if (type == MOTE_K_E4M3)
                __asm__("" : "+v"(r.even[h]));
        } else if (type == MOTE_K_I4) {
            /* nibble - 8 is the nibble with its top bit turned, as a signed number */
            const VI v =
                    vi_xor(vi_load(step + 4 * VL * h), vi_set1((int32_t)0x88888888));
            r.even[h] = g == 0 ? vi_sll(v, 4) : v;
        }
    }
    return r;
}

ALWAYS V column_of(const raw_group *r, uint32_t type, uint32_t j, int h)
{
    switch (type) {
    case MOTE_K_F32:
        return v_load(r->w + 64 * j + 4 * VL * h);
    case MOTE_K_BF16: {
        const VI pair = j < 2 ? r->even[h] : r->odd[h];
        return vi_float(
                j % 2 ? vi_and(pair, vi_set1((int32_t)0xffff0000)) : vi_sll(pair, 16));
    }
    case MOTE_K_E4M3: {
        /* Two columns at once, in 16-bit lanes: 16 times the even bytes, as signed
         * numbers, or the odd ones moved right by 4, with what lies below them. */
        const VI v = j % 2 ? vi_sra16(r->even[h], 4)
                           : vi_maddubs(vi_set1(0x00100010), r->even[h]);
        return vi_float(
                vi_and(j < 2 ? vi_sll(v, 16) : v, vi_set1((int32_t)0x87f00000)));
    }
    case MOTE_K_I8:
        return vi_convert(vi_sra(top_byte(r->even[h], j), 24));
    default:
        return vi_convert(vi_sra(top_byte(r->even[h], j), 28));
    }
}

/* Weight scale of a unit for rows VL * h and up. */
ALWAYS V scale_of(
        uint32_t type, const uint8_t *panel, const float *scales, uint32_t unit, int h)
{
    if (type == MOTE_K_F32 || type == MOTE_K_BF16)
        return v_set1(1.0f);
    if (type == MOTE_K_E4M3)
        return v_set1(scales[unit] * 0x1p60f);
    if (type == MOTE_K_I4)
        return v_load_bf16(panel + mote__k_i4_scales(unit) + 2 * VL * h);
    return v_load((const uint8_t *)(scales + (size_t)unit * MOTE_PANEL + VL * h));
}

#define PARTS 4
/* Loops over 16 columns must disappear, or the sums are an array in memory. */
#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 4")
#endif
ALWAYS V parts_sum(V a, V b, V c, V d)
{
    return v_add(v_add(v_add(a, b), c), d);
}

/* total += sum * scale */
ALWAYS void add_partial(float *y, V sum, V scale)
{
    v_store(y, v_fma(sum, scale, v_load((const uint8_t *)y)));
}

/* ---- one token ----
 *
 * A run of panels is one loop that reads in order, with the total in registers; sums
 * are added in the order of few_unit(). */

typedef struct one_job {
    const uint8_t *w, *x;
    const float *scales;
    const uint8_t *next; /* read after this run, or NULL */
    uint32_t k_pad, n_panels;
} one_job;

/* ahead: bytes, 0 for nothing. */
ALWAYS void one_unit(V *y, const uint8_t *panel, const uint8_t *x, uint32_t steps,
        const float *scales, uint32_t unit, uint32_t type, uint32_t ahead)
{
    const uint32_t bytes = step_bytes(type);
    const uint8_t *w = panel + mote__k_column(type, unit * mote__k_scale_columns(type));
    V sum[PARTS][H];
    for (int h = 0; h < H; h++)
        for (int i = 0; i < PARTS; i++)
            sum[i][h] = v_zero();
    for (uint32_t s = 0; s < steps; s += 2, w += 2 * bytes, x += 64) {
        if (type > MOTE_K_E4M3)
            for (uint32_t line = 0; line < 2 * bytes; line += 64)
                _mm_prefetch((const char *)w + 2048 + line, _MM_HINT_T0);
        if (ahead > 0)
            for (uint32_t line = 0; line < 2 * bytes; line += 64)
                _mm_prefetch((const char *)w + ahead + line, _MM_HINT_T1);
        UNROLLED
        for (uint32_t g = 0; g < 4; g++) {
            const raw_group r = load_group(type, w + g / 2 * bytes, g % 2);
            UNROLLED
            for (uint32_t k = 0; k < 4; k++) {
                const uint32_t at = place_of(4 * g + k);
                for (int h = 0; h < H; h++)
                    sum[at / 4][h] = v_fma(column_of(&r, type, k, h),
                            v_broadcast(x + 4 * at), sum[at / 4][h]);
            }
        }
    }
    for (int h = 0; h < H; h++)
        y[h] = v_fma(rows_in_order(type,
                             parts_sum(sum[0][h], sum[1][h], sum[2][h], sum[3][h])),
                scale_of(type, panel, scales, unit, h), y[h]);
}

ALWAYS void one_run(float *y, const one_job *one, uint32_t type, uint32_t ahead)
{
    const one_job j = *one;
    const uint32_t columns = mote__k_scale_columns(type);
    const size_t bytes = mote__k_panel_bytes(type, j.k_pad);
    const size_t n_scales = mote__k_panel_scales(type, j.k_pad);
    const V e4m3 = v_set1(type == MOTE_K_E4M3 ? 0x1p60f : 1.0f);
    const V inverse = v_broadcast(j.x + round64(4 * (size_t)j.k_pad));
    const uint8_t *w = j.w;
    const float *scales = j.scales;
    for (uint32_t p = 0; p < j.n_panels; p++, w += bytes, scales += n_scales) {
        V sum[H];
        for (int h = 0; h < H; h++)
            sum[h] = v_zero();
        if (j.n_panels - p == 1 && j.next)
            for (uint32_t line = 0; line < 2048; line += 64)
                _mm_prefetch((const char *)j.next + line, _MM_HINT_T0);
        for (uint32_t k = 0, u = 0; k < j.k_pad; k += columns, u++) {
            const uint32_t steps = (j.k_pad - k < columns ? j.k_pad - k : columns) / 8;
            one_unit(sum, w, j.x + 4 * (size_t)k, steps, scales, u, type, ahead);
        }
        for (int h = 0; h < H; h++)
            v_store_unaligned(y + (size_t)p * MOTE_PANEL + VL * h,
                    v_mul(v_mul(sum[h], e4m3), inverse));
    }
}

#define ONE_INSTANCE(name, type, ahead)                                                \
    static void one_##name(float *y, const one_job *j)                                 \
    {                                                                                  \
        one_run(y, j, MOTE_K_##type, ahead);                                           \
    }
ONE_INSTANCE(BF16, BF16, 0)
ONE_INSTANCE(E4M3, E4M3, 0)
ONE_INSTANCE(I8, I8, 0)
ONE_INSTANCE(I4, I4, 0)

/* Where converting takes about as long as reading, and memory has more to give, weights
 * asked for far ahead come 4 % faster; near (2 to 14 KB) it costs up to a third, and
 * where other threads saturate memory 7 %. So it is for the table of one thread, and a
 * bit of `form` says so, which all else takes for a form of floats, as it is. */
#if VL == 8
#define ONE_ALONE 0x100u
ONE_INSTANCE(E4M3_alone, E4M3, 28672)
#endif

static void one_token(float *y, const mote_k_matrix *w, uint32_t begin, uint32_t n,
        const void *x, uint32_t form, const void *next)
{
    static void (*const run[MOTE_K_TYPES])(float *, const one_job *) = {
            NULL, one_BF16, one_E4M3, one_I8, one_I4};
    const one_job j = {.w = mote__k_panel(w, begin),
            .x = x,
            .scales = mote__k_scales(w, begin),
            .next = next,
            .k_pad = mote_k_pad(w->n_cols),
            .n_panels = n};
#if VL == 8
    if (form & ONE_ALONE && w->type == MOTE_K_E4M3) {
        one_E4M3_alone(y, &j);
        return;
    }
#endif
    (void)form;
    run[w->type](y, &j);
}

#if VL == 8
ALWAYS uint32_t form_alone(uint32_t form)
{
    return form == MOTE_K_ACT_INT8 ? form : form | ONE_ALONE;
}

static void matmul_alone(float *y, size_t ldy, const mote_k_matrix *w, uint32_t begin,
        uint32_t end, const void *act, uint32_t form, const uint32_t *index, uint32_t n)
{
    matmul(y, ldy, w, begin, end, act, form_alone(form), index, n);
}

static void gate_up_alone(float *h, size_t ldh, const mote_k_matrix *gate,
        const mote_k_matrix *up, uint32_t begin, uint32_t end, const void *act,
        uint32_t form, const uint32_t *index, uint32_t n)
{
    gate_up(h, ldh, gate, up, begin, end, act, form_alone(form), index, n);
}
#endif

/* ---- few tokens: weights convert in registers ---- */

/* AVX2 converts so slowly that near is far enough; with AVX-512 two to four tokens are
 * 5 to 14 % faster this way. */
#if VL == 16
#define FEW_PREFETCH(p) _mm_prefetch((p) + 6144, _MM_HINT_T1)
#else
#define FEW_PREFETCH(p) _mm_prefetch((p) + 2048, _MM_HINT_T0)
#endif

/* Registers [h0, h0 + nh) of 16 rows. */
ALWAYS void few_unit(const job *j, totals *total, uint32_t p, uint32_t k0,
        uint32_t steps, uint32_t nt, uint32_t type, int h0, int nh)
{
    const uint32_t bytes = step_bytes(type);
    const panel_ref *panel = &j->panel[p];
    const uint8_t *w = panel->data + mote__k_column(type, k0);
    const uint8_t *x[FUSED];
    V sum[FUSED][PARTS][H];
    for (uint32_t i = 0; i < nt; i++) {
        x[i] = j->x[i] + (size_t)k0 * 4;
        for (int q = 0; q < PARTS; q++)
            for (int h = 0; h < nh; h++)
                sum[i][q][h] = v_zero();
    }
    for (size_t s = 0; s < steps; s += 2) {
        /* Where converting takes longer than reading, the hardware's prefetcher falls
         * behind; where it does not, it is best left alone. */
        if (type > MOTE_K_BF16 && h0 == 0)
            for (uint32_t line = 0; line < 2 * bytes; line += 64)
                FEW_PREFETCH((const char *)w + s * bytes + line);
        UNROLLED
        for (uint32_t g = 0; g < 4; g++) {
            const raw_group r = load_group(type, w + (s + g / 2) * bytes, g % 2);
            UNROLLED
            for (uint32_t k = 0; k < 4; k++) {
                const uint32_t at = place_of(4 * g + k);
                for (int h = 0; h < nh; h++) {
                    const V b = column_of(&r, type, k, h0 + h);
                    for (uint32_t i = 0; i < nt; i++)
                        sum[i][at / 4][h] = v_fma(b,
                                v_broadcast(x[i] + 32 * s + 4 * at), sum[i][at / 4][h]);
                }
            }
        }
    }
    for (uint32_t i = 0; i < nt; i++)
        for (int h = 0; h < nh; h++)
            add_partial(total[i][p] + VL * (h0 + h),
                    rows_in_order(type, parts_sum(sum[i][0][h], sum[i][1][h],
                                                sum[i][2][h], sum[i][3][h])),
                    scale_of(type, panel->data, panel->scales,
                            k0 / mote__k_scale_columns(type), h0 + h));
}

ALWAYS void few_panels(const job *j, totals *total, uint32_t nt, uint32_t type)
{
    const uint32_t unit = mote__k_scale_columns(type);
    for (uint32_t p = 0; p < j->n_panels; p++)
        for (uint32_t k = 0; k < j->k_pad; k += unit) {
            const uint32_t steps = (j->k_pad - k < unit ? j->k_pad - k : unit) / 8;
            if (H == 2 && nt > 1) { /* AVX2 has registers for 8 sums */
                few_unit(j, total, p, k, steps, nt, type, 0, 1);
                few_unit(j, total, p, k, steps, nt, type, 1, 1);
            } else {
                few_unit(j, total, p, k, steps, nt, type, 0, H);
            }
        }
}

ALWAYS void few(const job *j, totals *total, uint32_t type)
{
    switch (j->n) {
    case 1: /* one_token() has the others */
        if (type == MOTE_K_F32)
            few_panels(j, total, 1, type);
        break;
#if VL == 16
    case 3:
        few_panels(j, total, 3, type);
        break;
    case 4:
        few_panels(j, total, 4, type);
        break;
#endif
    default:
        few_panels(j, total, 2, type);
        break;
    }
}

/* ---- many tokens ---- */

/* One unit of a panel as fp32 [place][row] times nt tokens, part by part. The sums are
 * variables and not an array, since compilers keep a shadow of an array of registers in
 * memory. */
#if VL == 16
#define FOR_TILE(macro)                                                                \
    macro(0) macro(1) macro(2) macro(3) macro(4) macro(5) macro(6) macro(7) macro(8)   \
            macro(9) macro(10) macro(11)
#else
#define FOR_TILE(macro) macro(0) macro(1) macro(2) macro(3) macro(4) macro(5)
#endif
#define TILE_BEGIN(i)                                                                  \
    const uint8_t *x##i = i < nt ? rows[i] + x_at : NULL;                              \
    V a##i = v_zero(), b##i = a##i;
#define TILE_TERM(i)                                                                   \
    if (i < nt) {                                                                      \
        const V v = v_broadcast(x##i + at + 4 * k);                                    \
        a##i = v_fma(w0, v, a##i);                                                     \
        if (H == 2)                                                                    \
            b##i = v_fma(w1, v, b##i);                                                 \
    }
#define TILE_FIRST(i)                                                                  \
    if (i < nt) {                                                                      \
        sum[i][0] = a##i;                                                              \
        sum[i][H - 1] = H == 2 ? b##i : a##i;                                          \
        a##i = b##i = v_zero();                                                        \
    }
#define TILE_TURN(i)                                                                   \
    if (i < nt) {                                                                      \
        sum[i][0] = v_add(sum[i][0], a##i);                                            \
        if (H == 2)                                                                    \
            sum[i][H - 1] = v_add(sum[i][H - 1], b##i);                                \
        a##i = b##i = v_zero();                                                        \
    }
#define TILE_END(i)                                                                    \
    if (i < nt) {                                                                      \
        add_partial(total[i][p], v_add(sum[i][0], a##i), scale[0]);                    \
        if (H == 2)                                                                    \
            add_partial(total[i][p] + VL, v_add(sum[i][H - 1], b##i), scale[H - 1]);   \
    }
/* Left alone, gcc unrolls four columns and loads so far ahead that AVX2's registers do
 * not suffice: 3 to 11 % slower. One at a time is as fast as two only while the core's
 * other thread sleeps. */
#if VL == 8 && defined(__GNUC__) && !defined(__clang__)
#define TILE_ROLLED _Pragma("GCC unroll 2")
#else
#define TILE_ROLLED
#endif
/* The columns of one part of a unit: 4 places of every 16, from `first` on. */
#define TILE_PART(first)                                                               \
    for (size_t at = 4 * (first); at < 4 * columns; at += 64) {                        \
        const uint8_t *from = (const uint8_t *)w + at * MOTE_PANEL;                    \
        TILE_ROLLED                                                                    \
        for (uint32_t k = 0; k < 4; k++, from += 4 * MOTE_PANEL) {                     \
            const V w0 = v_load(from), w1 = v_load(from + 4 * (MOTE_PANEL - VL));      \
            (void)w1;                                                                  \
            FOR_TILE(TILE_TERM)                                                        \
        }                                                                              \
    }
ALWAYS void tile_rows(totals *total, uint32_t p, const float *w, const V *scale,
        const uint8_t *const *rows, size_t x_at, size_t columns, uint32_t nt)
{
    V sum[TILE][H];
    FOR_TILE(TILE_BEGIN)
    TILE_PART(0)
    FOR_TILE(TILE_FIRST)
    TILE_PART(4)
    FOR_TILE(TILE_TURN)
    TILE_PART(8)
    FOR_TILE(TILE_TURN)
    TILE_PART(12)
    FOR_TILE(TILE_END)
}

#define TILE_INSTANCE(nt)                                                              \
    static void tile_##nt(totals *total, uint32_t p, const float *w, const V *scale,   \
            const uint8_t *const *rows, size_t x_at, size_t columns)                   \
    {                                                                                  \
        tile_rows(total, p, w, scale, rows, x_at, columns, nt);                        \
    }
TILE_INSTANCE(1)
TILE_INSTANCE(2)
TILE_INSTANCE(3)
TILE_INSTANCE(4)
TILE_INSTANCE(5)
TILE_INSTANCE(6)
#if VL == 16
TILE_INSTANCE(8)
TILE_INSTANCE(12)
#endif
typedef void (*tile_function)(totals *, uint32_t, const float *, const V *,
        const uint8_t *const *, size_t, size_t);

/* The size of the next tile when n tokens are left: the largest, or where there is one
 * of each size equal ones, as near as can be (a tile of two has too few sums at once).
 */
static uint32_t tile_for(tile_function *run, uint32_t n)
{
    static const tile_function small[] = {
            NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};
#if VL == 16
    if (n >= 8) {
        *run = n >= 12 ? tile_12 : tile_8;
        return n >= 12 ? 12 : 8;
    }
    const uint32_t nt = n < 6 ? n : 6;
#else
    const uint32_t n_tiles = (n + TILE - 1) / TILE, nt = (n + n_tiles - 1) / n_tiles;
#endif
    *run = small[nt];
    return nt;
}

/* n columns of a panel as [place][row]. The next ones are asked for, into L2: they are
 * read after all tokens have been multiplied with these, when the hardware's prefetcher
 * has long stopped (out of memory, AVX2, 4 tokens are 1.4 times as fast, 24 1.1 times).
 */
ALWAYS void decode_block(
        float *out, const uint8_t *panel, uint32_t k0, uint32_t n, uint32_t type)
{
    const size_t bytes = step_bytes(type);
    const size_t block = mote__k_column(type, MOTE_BLOCK) - mote__k_column(type, 0);
    for (uint32_t k = 0; k < n; k += 16) {
        const uint8_t *w = panel + mote__k_column(type, k0 + k);
        for (uint32_t line = 0; line < 2 * bytes; line += 64)
            _mm_prefetch((const char *)w + block + line, _MM_HINT_T1);
        UNROLLED
        for (uint32_t g = 0; g < 4; g++) {
            const raw_group r = load_group(type, w + g / 2 * bytes, g % 2);
            UNROLLED
            for (uint32_t c = 0; c < 4; c++)
                for (int h = 0; h < H; h++)
                    v_store(out + (k + place_of(4 * g + c)) * MOTE_PANEL + VL * h,
                            rows_in_order(type, column_of(&r, type, c, h)));
        }
    }
}

static void buffered(const job *j, totals *total)
{
    _Alignas(64) float buffer[MOTE_BLOCK * MOTE_PANEL];
    const uint32_t unit = mote__k_scale_columns(j->type);
    for (uint32_t p = 0; p < j->n_panels; p++)
        for (uint32_t k0 = 0; k0 < j->k_pad; k0 += MOTE_BLOCK) {
            const uint32_t n = j->k_pad - k0 < MOTE_BLOCK ? j->k_pad - k0 : MOTE_BLOCK;
            const uint8_t *panel = j->panel[p].data;
            switch (j->type) {
            case MOTE_K_F32:
                decode_block(buffer, panel, k0, n, MOTE_K_F32);
                break;
            case MOTE_K_BF16:
                decode_block(buffer, panel, k0, n, MOTE_K_BF16);
                break;
            case MOTE_K_E4M3:
                decode_block(buffer, panel, k0, n, MOTE_K_E4M3);
                break;
            case MOTE_K_I8:
                decode_block(buffer, panel, k0, n, MOTE_K_I8);
                break;
            default:
                decode_block(buffer, panel, k0, n, MOTE_K_I4);
                break;
            }
            tile_function run;
            for (uint32_t i = 0, nt; i < j->n; i += nt) {
                nt = tile_for(&run, j->n - i);
                for (uint32_t c = 0; c < n; c += unit) {
                    V scale[H];
                    for (int h = 0; h < H; h++)
                        scale[h] = scale_of(
                                j->type, panel, j->panel[p].scales, (k0 + c) / unit, h);
                    run(total + i, p, buffer + (size_t)c * MOTE_PANEL, scale, j->x + i,
                            (size_t)(k0 + c) * 4, n - c < unit ? n - c : unit);
                }
            }
        }
}

/* ---- integer products ---- */

/* 32 columns (or the last 16) of one panel times nt tokens. */
ALWAYS void unit_int8(const job *j, totals *total, uint32_t p, uint32_t i0, uint32_t k,
        uint32_t steps, uint32_t nt, uint32_t type)
{
    const size_t plane = round64(j->k_pad);
    const VI nibble = vi_set1(0x0f0f0f0f), ones = vi_set1(0x00010001);
    const VI flip = vi_set1((int32_t)0x80808080), sixteens = vi_set1(0x00100010);
    const panel_ref *panel = &j->panel[p];
    const uint8_t *w = panel->data + mote__k_column(type, k);
    const uint8_t *x[TILE_INT8];
    VI low[TILE_INT8][H], high[TILE_INT8][H];
    for (uint32_t i = 0; i < nt; i++) {
        x[i] = j->x[i0 + i] + k;
        for (int h = 0; h < H; h++)
            low[i][h] = high[i][h] = vi_set1(0);
    }
    for (uint32_t s = 0; s < steps; s++)
        for (uint32_t g = 0; g < 2; g++) {
            VI a[H], b[H];
            for (int h = 0; h < H; h++) {
                if (type == MOTE_K_I4) {
                    const VI v = vi_load(w + 64 * s + 4 * VL * h);
                    a[h] = vi_and(g ? vi_srl(v, 4) : v, nibble);
                    b[h] = a[h];
                } else {
                    const VI v =
                            vi_xor(vi_load(w + 128 * s + 64 * g + 4 * VL * h), flip);
                    a[h] = vi_and(v, nibble);
                    b[h] = vi_and(vi_srl(v, 4), nibble);
                }
            }
            for (uint32_t i = 0; i < nt; i++) {
                int32_t four;
                memcpy(&four, x[i] + 8 * s + 4 * g, sizeof four);
                const VI v = vi_set1(four);
                for (int h = 0; h < H; h++) {
                    low[i][h] = vi_add16(low[i][h], vi_maddubs(a[h], v));
                    if (type != MOTE_K_I4)
                        high[i][h] = vi_add16(high[i][h], vi_maddubs(b[h], v));
                }
            }
        }
    for (uint32_t i = 0; i < nt; i++) {
        int8_group group;
        memcpy(&group, j->x[i0 + i] + plane + k / MOTE_ACT_GROUP * sizeof group,
                sizeof group);
        const VI start = vi_set1(type == MOTE_K_I4 ? group.minus8 : group.minus128);
        for (int h = 0; h < H; h++) {
            const V ws = scale_of(type, panel->data, panel->scales,
                    k / mote__k_scale_columns(type), h);
            VI sum = vi_add32(start, vi_madd(low[i][h], ones));
            if (type != MOTE_K_I4)
                sum = vi_add32(sum, vi_madd(high[i][h], sixteens));
            float *y = total[i0 + i][p] + VL * h;
            v_store(y, v_fma(vi_convert(sum), v_mul(ws, v_set1(group.scale)),
                               v_load((const uint8_t *)y)));
        }
    }
}

ALWAYS void tile_int8(const job *j, totals *total, uint32_t p, uint32_t i0, uint32_t k0,
        uint32_t columns, uint32_t nt, uint32_t type)
{
    uint32_t k = k0;
    for (; k + MOTE_ACT_GROUP <= k0 + columns; k += MOTE_ACT_GROUP)
        unit_int8(j, total, p, i0, k, 4, nt, type);
    if (k < k0 + columns)
        unit_int8(j, total, p, i0, k, 2, nt, type);
}

/* 512 columns of a panel (8 KiB) stay in L1 for all tiles. */
ALWAYS void all_int8(const job *j, totals *total, uint32_t type)
{
    const uint32_t columns = 512;
    for (uint32_t p = 0; p < j->n_panels; p++)
        for (uint32_t k = 0; k < j->k_pad; k += columns) {
            const uint32_t c = j->k_pad - k < columns ? j->k_pad - k : columns;
            uint32_t i = 0;
            for (; i + TILE_INT8 <= j->n; i += TILE_INT8)
                tile_int8(j, total, p, i, k, c, TILE_INT8, type);
            for (; i + 2 <= j->n; i += 2)
                tile_int8(j, total, p, i, k, c, 2, type);
            if (i < j->n)
                tile_int8(j, total, p, i, k, c, 1, type);
        }
}

/* Functions of their own, so that each type keeps its registers. */
#define TYPE_INSTANCES(type)                                                           \
    static void few_##type(const job *j, totals *total)                                \
    {                                                                                  \
        few(j, total, MOTE_K_##type);                                                  \
    }
TYPE_INSTANCES(F32)
TYPE_INSTANCES(BF16)
TYPE_INSTANCES(E4M3)
TYPE_INSTANCES(I8)
TYPE_INSTANCES(I4)
static void int8_i8(const job *j, totals *total)
{
    all_int8(j, total, MOTE_K_I8);
}
static void int8_i4(const job *j, totals *total)
{
    all_int8(j, total, MOTE_K_I4);
}

/* Takes back the powers of two: of e4m3 (what the scale did not), and of the row. */
static void unscale(const job *j, totals *total)
{
    const V e4m3 = v_set1(j->type == MOTE_K_E4M3 ? 0x1p60f : 1.0f);
    for (uint32_t i = 0; i < j->n; i++) {
        const V inverse = v_broadcast(j->x[i] + round64(4 * (size_t)j->k_pad));
        for (uint32_t p = 0; p < j->n_panels; p++)
            for (int h = 0; h < H; h++) {
                float *y = total[i][p] + VL * h;
                v_store(y, v_mul(v_mul(v_load((const uint8_t *)y), e4m3), inverse));
            }
    }
}

static void compute(const job *j, totals *total)
{
    static void (*const few_tokens[MOTE_K_TYPES])(const job *, totals *) = {
            few_F32, few_BF16, few_E4M3, few_I8, few_I4};
    memset(total, 0, j->n * sizeof *total);
    if (j->form == MOTE_K_ACT_INT8) {
        if (j->type == MOTE_K_I4)
            int8_i4(j, total);
        else
            int8_i8(j, total);
        return;
    }
    if (j->n <= FUSED)
        few_tokens[j->type](j, total);
    else
        buffered(j, total);
    unscale(j, total);
}

/* exp(x) for silu: 2^n * p(r), |r| <= ln 2 / 2, relative error below 2^-22. */
ALWAYS V exp_v(V x)
{
    x = v_min(v_set1(100.0f), x); /* NaN in x stays: second operand */
    x = v_max(v_set1(-104.0f), x);
    const V n = v_round(v_mul(x, v_set1(0x1.715476p0f)));
    V r = v_fma(n, v_set1(-0x1.62e4p-1f), x);
    r = v_fma(n, v_set1(-0x1.7f7d1cp-20f), r);
    V p = v_set1(0x1.6c16c2p-10f);
    p = v_fma(p, r, v_set1(0x1.111112p-7f));
    p = v_fma(p, r, v_set1(0x1.555556p-5f));
    p = v_fma(p, r, v_set1(0x1.555556p-3f));
    p = v_fma(p, r, v_set1(0.5f));
    p = v_fma(p, r, v_set1(1.0f));
    p = v_fma(p, r, v_set1(1.0f));
    return v_times_power(p, n);
}

static void silu_times(float *out, const float *a, const float *b)
{
    for (int h = 0; h < H; h++) {
        const V x = v_load((const uint8_t *)(a + VL * h)), one = v_set1(1.0f);
        const V e = exp_v(v_sub(v_zero(), x));
        v_store_unaligned(out + VL * h,
                v_mul(v_div(x, v_add(one, e)), v_load((const uint8_t *)(b + VL * h))));
    }
}
#endif
