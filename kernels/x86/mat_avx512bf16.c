/* SPDX-License-Identifier: MIT */
/* Matrix kernels for AVX-512 with VBMI, BF16 and VNNI.
 *
 * Why this shape. A group is 16 rows x 4 k, so 64 bytes of e4m3 become two registers of
 * bf16 without any sum across lanes inside the k loop: two 128-entry byte lookups
 * (vpermi2b) give the high and the low byte of the bf16, which holds every e4m3 value
 * exactly, subnormals as normal numbers (vdpbf16ps would flush subnormals).
 * Interleaved, a dword holds (row, k01) or (row, k23) and is multiplied with a 64-bit
 * broadcast of x[k..k+3]; the two dwords of a row are added at the end of a scale
 * block.
 *
 * Activations. EXACT keeps x as three bf16 terms, FINE as two (|error| <= 2^-16 |x|),
 * interleaved per 4 k as high[4] middle[4] low[4]; all products go to the same
 * accumulator. Behind them lies the row in fp32, for F32 weights. BF16 keeps hi alone.
 * INT8 keeps int8 values, and for each 32 columns {scale, -8 sum, -128 sum, 0}: weights
 * enter vpdpbusd unsigned (int8 + 128, nibble + 0), and the accumulator starts at minus
 * the offset times the sum of x.
 *
 * Up to DRIVER_FEW tokens convert weights in registers; more convert a block once into
 * L1 and reuse it, e4m3 beside the products of the block before. Both add in the same
 * order, so the bits of a result do not depend on n.
 */
#define DRIVER_ONE_TOKEN
#define DRIVER_ONE_INT8 1
#define DRIVER_FEW 8 /* tokens up to which weights are converted in registers */
#define DRIVER_KEEPS
#include "kernels/kernels_internal.h"

/* Panels of 128 columns as bf16, in places that take turns (many_avx512bf16.h). */
#define BLOCK_BF16 (MOTE_BLOCK * MOTE_PANEL * 2)
#define BLOCK_PANELS 4
#define BLOCK_SPARE 2
typedef struct kept {
    _Alignas(64) uint8_t buffer[BLOCK_PANELS + BLOCK_SPARE][BLOCK_BF16];
    uint8_t *own[BLOCK_PANELS], *spare[BLOCK_SPARE]; /* of the next block; free ones */
    int begun; /* the next block's first five halves are converted */
} kept;

#include "kernels/mat_driver.h"
#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))
#define TILE 6 /* tokens per tile, of 24 sums (bf16) or 12 sums and 12 totals */

static size_t round64(size_t n)
{
    return (n + 63u) & ~(size_t)63u;
}

/* An odd number of lines, so that rows do not meet in the same sets of L1 and L2. */
static size_t odd_lines(size_t bytes)
{
    return round64(bytes) | 64u;
}

static size_t act_bytes(uint32_t form, uint32_t k)
{
    const size_t k_pad = mote_k_pad(k), groups = (k_pad + 31u) / MOTE_ACT_GROUP;
    switch (form) {
    case MOTE_K_ACT_EXACT:
        return odd_lines(10 * k_pad);
    case MOTE_K_ACT_FINE:
        return odd_lines(8 * k_pad);
    case MOTE_K_ACT_BF16:
        return odd_lines(2 * k_pad);
    default:
        return odd_lines(round64(k_pad) + 16 * groups);
    }
}

ALWAYS __mmask16 first_lanes(uint32_t n)
{
    return n >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1u);
}

ALWAYS __m512 widen(__m256i bf16)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}

/* bf16 terms of x, largest first, then the row in fp32. */
static void pack_terms(uint8_t *dst, const float *x, uint32_t k, uint32_t terms)
{
    const uint32_t k_pad = mote_k_pad(k);
    const __m512i infinity = _mm512_set1_epi32(0x7f800000);
    for (uint32_t j = 0; j < k_pad; j += 16) {
        const __m512 v = _mm512_maskz_loadu_ps(j < k ? first_lanes(k - j) : 0, x + j);
        __m512 left = v;
        for (uint32_t e = 0; e < terms; e++) {
            const __m256i term = (__m256i)_mm512_cvtneps_pbh(left);
            const __m512 high = widen(term);
            uint64_t four[4];
            _mm256_storeu_si256((void *)four, term);
            for (uint32_t g = 0; g < 4; g++)
                memcpy(dst + ((size_t)(j / 4 + g) * terms + e) * 8, &four[g], 8);
            /* Infinity and NaN have no remainder; inf - inf must not make a NaN. */
            const __mmask16 finite = _mm512_cmplt_epu32_mask(
                    _mm512_and_si512(_mm512_castps_si512(high), infinity), infinity);
            left = _mm512_maskz_sub_ps(finite, left, high);
        }
        _mm512_storeu_ps(dst + 2 * (size_t)k_pad * terms + 4 * (size_t)j, v);
    }
}

static void pack_bf16(uint8_t *dst, const float *x, uint32_t k)
{
    const uint32_t k_pad = mote_k_pad(k);
    for (uint32_t j = 0; j < k_pad; j += 16) {
        const __m512 v = _mm512_maskz_loadu_ps(j < k ? first_lanes(k - j) : 0, x + j);
        _mm256_storeu_si256(
                (void *)(dst + 2 * (size_t)j), (__m256i)_mm512_cvtneps_pbh(v));
    }
}

typedef struct int8_group {
    float scale;
    int32_t minus8, minus128; /* -8 and -128 times the sum of the 32 values */
    int32_t zero;
} int8_group;

static void pack_int8(uint8_t *dst, const float *x, uint32_t k)
{
    const uint32_t k_pad = mote_k_pad(k);
    uint8_t *groups = dst + round64(k_pad);
    for (uint32_t j = 0; j < k_pad; j += 32) {
        const __m512 a = _mm512_maskz_loadu_ps(j < k ? first_lanes(k - j) : 0, x + j);
        const __m512 b = _mm512_maskz_loadu_ps(
                j + 16 < k ? first_lanes(k - j - 16) : 0, x + j + 16);
        /* Compared as integers, so that a NaN is larger than all and stays. */
        const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
        const __m512i ma = _mm512_and_si512(_mm512_castps_si512(a), magnitude);
        const __m512i mb = _mm512_and_si512(_mm512_castps_si512(b), magnitude);
        const int32_t bits = _mm512_reduce_max_epi32(_mm512_max_epi32(ma, mb));
        int8_group g = {0};
        float max;
        memcpy(&max, &bits, sizeof max);
        __m128i qa = _mm_setzero_si128(), qb = qa;
        if (bits < 0x7f800000 && max >= 0x1p-100f) {
            const __m512 inverse = _mm512_set1_ps(127.0f / max);
            const __m512i ia = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
            const __m512i ib = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
            const int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(ia, ib));
            qa = _mm512_cvtsepi32_epi8(ia);
            qb = _mm512_cvtsepi32_epi8(ib);
            g.scale = max / 127.0f;
            g.minus8 = -8 * sum;
            g.minus128 = -128 * sum;
        } else {
            g.scale = 0.0f * max; /* NaN where a value was not finite */
        }
        _mm_storeu_si128((void *)(dst + j), qa);
        if (j + 16 < round64(k_pad))
            _mm_storeu_si128((void *)(dst + j + 16), qb);
        memcpy(groups + j / 32 * sizeof g, &g, sizeof g);
    }
}

static void act_pack(
        void *dst, uint32_t form, const float *x, size_t ldx, uint32_t k, uint32_t n)
{
    const size_t bytes = act_bytes(form, k);
    uint8_t *row = dst;
    for (uint32_t i = 0; i < n; i++, row += bytes, x += ldx) {
        if (form == MOTE_K_ACT_EXACT)
            pack_terms(row, x, k, 3);
        else if (form == MOTE_K_ACT_FINE)
            pack_terms(row, x, k, 2);
        else if (form == MOTE_K_ACT_BF16)
            pack_bf16(row, x, k);
        else
            pack_int8(row, x, k);
    }
}

/* ---- conversion of weights to bf16 ---- */

/* bf16 bits of the e4m3 magnitude m, and of the integer m, 0 <= m < 128. */
#define E4M3_BF16(m)                                                                   \
    ((m) == 0x7f       ? 0x7fc0                                                        \
            : (m) >= 8 ? ((m) << 4) + (120 << 7)                                       \
            : (m) >= 4 ? 0x3c00 + ((m)-4) * 0x20                                       \
            : (m) >= 2 ? 0x3b80 + ((m)-2) * 0x40                                       \
                       : (m)*0x3b00)
#define INT_STEP(m, e) (((127 + (e)) << 7) + ((m) - (1 << (e))) * 128 / (1 << (e)))
#define INT_BF16(m)                                                                    \
    ((m) >= 64          ? INT_STEP(m, 6)                                               \
            : (m) >= 32 ? INT_STEP(m, 5)                                               \
            : (m) >= 16 ? INT_STEP(m, 4)                                               \
            : (m) >= 8  ? INT_STEP(m, 3)                                               \
            : (m) >= 4  ? INT_STEP(m, 2)                                               \
            : (m) >= 2  ? INT_STEP(m, 1)                                               \
                        : (m)*0x3f80)
#define NIBBLE_BF16(n) ((n) < 8 ? 0x8000 + INT_BF16(8 - (n)) : INT_BF16((n)-8))
#define HIGH_E4M3(m) (uint8_t)(E4M3_BF16(m) >> 8)
#define LOW_E4M3(m) (uint8_t)(E4M3_BF16(m) & 0xff)
#define HIGH_INT(m) (uint8_t)(INT_BF16(m) >> 8)
#define LOW_INT(m) (uint8_t)(INT_BF16(m) & 0xff)
#define HIGH_NIBBLE(m) (uint8_t)(NIBBLE_BF16(m) >> 8)
#define LOW_NIBBLE(m) (uint8_t)(NIBBLE_BF16(m) & 0xff)
#define TABLE_4(f, m) f(m), f((m) + 1), f((m) + 2), f((m) + 3)
#define TABLE_16(f, m)                                                                 \
    TABLE_4(f, m), TABLE_4(f, (m) + 4), TABLE_4(f, (m) + 8), TABLE_4(f, (m) + 12)
#define TABLE_64(f, m)                                                                 \
    TABLE_16(f, m), TABLE_16(f, (m) + 16), TABLE_16(f, (m) + 32), TABLE_16(f, (m) + 48)
#define TABLE_128(f) TABLE_64(f, 0), TABLE_64(f, 64)
#define TABLE_NIBBLES(f) TABLE_16(f, 0), TABLE_16(f, 0), TABLE_16(f, 0), TABLE_16(f, 0)

static const _Alignas(64) uint8_t bytes_e4m3[2][128] = {
        {TABLE_128(HIGH_E4M3)}, {TABLE_128(LOW_E4M3)}};
static const _Alignas(64) uint8_t bytes_int[2][128] = {
        {TABLE_128(HIGH_INT)}, {TABLE_128(LOW_INT)}};
static const _Alignas(64) uint8_t bytes_nibble[2][64] = {
        {TABLE_NIBBLES(HIGH_NIBBLE)}, {TABLE_NIBBLES(LOW_NIBBLE)}};

typedef struct tables {
    __m512i high[2], low[2];
} tables;

ALWAYS tables tables_for(uint32_t type)
{
    tables t;
    if (type == MOTE_K_I4) {
        t.high[0] = t.high[1] = _mm512_load_si512(bytes_nibble[0]);
        t.low[0] = t.low[1] = _mm512_load_si512(bytes_nibble[1]);
        return t;
    }
    const uint8_t(*b)[128] = type == MOTE_K_I8 ? bytes_int : bytes_e4m3;
    for (int i = 0; i < 2; i++) {
        t.high[i] = _mm512_load_si512(b[0] + 64 * i);
        t.low[i] = _mm512_load_si512(b[1] + 64 * i);
    }
    return t;
}

/* Bytes of 8 columns of a panel. */
ALWAYS uint32_t step_bytes(uint32_t type)
{
    return type == MOTE_K_BF16 ? 256 : type == MOTE_K_I4 ? 64 : 128;
}

ALWAYS void interleave(__m512i *out, __m512i high, __m512i low)
{
    out[0] = _mm512_unpacklo_epi8(low, high);
    out[1] = _mm512_unpackhi_epi8(low, high);
}

ALWAYS void decode_group(__m512i *out, const tables *t, uint32_t type, __m512i v)
{
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    const __m512i m = type == MOTE_K_I8 ? _mm512_abs_epi8(v) : v;
    const __m512i high = _mm512_permutex2var_epi8(t->high[0], m, t->high[1]);
    const __m512i low = _mm512_permutex2var_epi8(t->low[0], m, t->low[1]);
    /* Added, not ORed: a compiler makes one vpternlog of and + or, which costs the
     * pipes of the dot product 1.5 times what the two simple operations cost (Zen 4).
     */
    interleave(out, _mm512_add_epi8(_mm512_and_si512(v, sign), high), low);
}

ALWAYS void decode_nibbles(__m512i *out, const tables *t, __m512i n)
{
    interleave(
            out, _mm512_shuffle_epi8(t->high[0], n), _mm512_shuffle_epi8(t->low[0], n));
}

/* 8 columns of a panel as bf16: out[0..1] for k, out[2..3] for k + 4. */
ALWAYS void decode_step(__m512i *out, const tables *t, uint32_t type, const uint8_t *w)
{
    if (type == MOTE_K_BF16) {
        for (int i = 0; i < 4; i++)
            out[i] = _mm512_loadu_si512(w + 64 * i);
    } else if (type == MOTE_K_I4) {
        const __m512i v = _mm512_loadu_si512(w), mask = _mm512_set1_epi8(15);
        decode_nibbles(out, t, _mm512_and_si512(v, mask));
        decode_nibbles(out + 2, t, _mm512_and_si512(_mm512_srli_epi16(v, 4), mask));
    } else {
        decode_group(out, t, type, _mm512_loadu_si512(w));
        decode_group(out + 2, t, type, _mm512_loadu_si512(w + 64));
    }
}

/* ---- products of bf16 ---- */

ALWAYS __m512 dot(__m512 sum, __m512i w, __m512i x)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x);
}

/* The 4 activations of a group, or of its low term, in all lanes. */
ALWAYS __m512i group_of(const uint8_t *x)
{
    int64_t v;
    memcpy(&v, x, sizeof v);
    return _mm512_set1_epi64(v);
}

/* Two accumulators of (row, k01), (row, k23) to one sum per row, rows in order. */
ALWAYS __m512 fold(uint32_t type, __m512 a, __m512 b)
{
    if (type == MOTE_K_BF16) { /* rows 0-7 and 8-15 */
        const __m512i even = _mm512_setr_epi32(
                0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
        return _mm512_add_ps(
                _mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b));
    }
    /* unpacked per 128 bits: rows 4l, 4l+1 and 4l+2, 4l+3 */
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

/* Columns that share a scale (a unit) are summed in two halves, groups of even and of
 * odd number, added at the end. One token so gets four independent chains from a single
 * panel read in order, which is what the hardware prefetcher follows best: 2 or 4
 * panels at once, two places of one panel, or software prefetch were all slower, by 10
 * to 60 % (Zen 4). */
ALWAYS __m512 scale_of(
        uint32_t type, const uint8_t *panel, const float *scales, uint32_t unit)
{
    if (type == MOTE_K_BF16)
        return _mm512_set1_ps(1.0f);
    if (type == MOTE_K_E4M3)
        return _mm512_set1_ps(scales[unit]);
    if (type == MOTE_K_I4)
        return widen(
                _mm256_loadu_si256((const void *)(panel + mote__k_i4_scales(unit))));
    return _mm512_loadu_ps(scales + (size_t)unit * MOTE_PANEL);
}

/* y + partial * scale */
ALWAYS __m512 with_partial(__m512 y, uint32_t type, __m512 even0, __m512 even1,
        __m512 odd0, __m512 odd1, __m512 scale)
{
    const __m512 sum =
            fold(type, _mm512_add_ps(even0, odd0), _mm512_add_ps(even1, odd1));
    return _mm512_fmadd_ps(sum, scale, y);
}

ALWAYS void add_partial(float *y, uint32_t type, __m512 even0, __m512 even1,
        __m512 odd0, __m512 odd1, __m512 scale)
{
    _mm512_store_ps(
            y, with_partial(_mm512_load_ps(y), type, even0, even1, odd0, odd1, scale));
}

/* Panels read in order, a step of 8 columns at a time. What is multiplied was converted
 * two steps before: in order of the program, not only of the data, since the processor
 * deals its pipes out in that order. In cache one token is 7 % faster by that, two are
 * 16 % (Zen 4). */
typedef struct stream {
    const uint8_t *next, *last; /* the step to convert, and the last there is */
    __m512i w[2][4];            /* converted */
    const uint8_t *panel;       /* I4, whose steps have scales in between: that of */
    uint32_t k, k_pad;          /* column k */
} stream;

ALWAYS void stream_convert(__m512i *out, stream *s, const tables *t, uint32_t type)
{
    decode_step(out, t, type, s->next);
    if (type != MOTE_K_I4) {
        s->next += s->next < s->last ? step_bytes(type) : 0;
    } else if (s->next < s->last) {
        s->k += 8;
        if (s->k == s->k_pad) {
            s->k = 0;
            s->panel += mote__k_panel_bytes(type, s->k_pad);
        }
        s->next = s->panel + mote__k_i4_column(s->k);
    }
}

ALWAYS stream stream_of(const uint8_t *w, uint32_t k_pad, uint32_t n_panels,
        const tables *t, uint32_t type)
{
    stream s = {.next = w + mote__k_column(type, 0),
            .last = w + (n_panels - 1) * mote__k_panel_bytes(type, k_pad) +
                    mote__k_column(type, k_pad - 8),
            .panel = w,
            .k_pad = k_pad};
    if (type != MOTE_K_BF16) {
        stream_convert(s.w[0], &s, t, type);
        stream_convert(s.w[1], &s, t, type);
    }
    return s;
}

ALWAYS void stream_step(__m512i *out, stream *s, const tables *t, uint32_t type)
{
    __m512i w[4];
    stream_convert(type == MOTE_K_BF16 ? out : w, s, t, type);
    if (type == MOTE_K_BF16)
        return;
    for (int i = 0; i < 4; i++) {
        __asm__ volatile("" : "+v"(w[i])); /* not moved behind the products */
        out[i] = s->w[0][i];
        s->w[0][i] = s->w[1][i];
        s->w[1][i] = w[i];
    }
}

#include "kernels/x86/few_avx512bf16.h"

/* Where the bytes of the next block of weights lie: they come from memory, in pieces
 * that no hardware prefetcher follows, and are asked for while this block is
 * multiplied. */
typedef struct ahead {
    const char *from[DRIVER_PANELS];
    uint32_t bytes, at, step; /* of each panel */
} ahead;

#include "kernels/x86/many_avx512bf16.h"

/* ---- F32 weights: exact products, 4 panels x nt tokens ---- */

ALWAYS __m512 x_f32(const uint8_t *x, uint32_t k, uint32_t form)
{
    if (form == MOTE_K_ACT_BF16) {
        uint16_t v;
        memcpy(&v, x + 2 * (size_t)k, sizeof v);
        return _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)((uint32_t)v << 16)));
    }
    float v;
    memcpy(&v, x + 4 * (size_t)k, sizeof v);
    return _mm512_set1_ps(v);
}

ALWAYS void tile_f32(
        const job *j, totals *total, uint32_t i0, uint32_t nt, uint32_t form)
{
    const size_t plane = form == MOTE_K_ACT_EXACT  ? 6 * (size_t)j->k_pad
                         : form == MOTE_K_ACT_FINE ? 4 * (size_t)j->k_pad
                                                   : 0;
    for (uint32_t k0 = 0; k0 < j->k_pad; k0 += MOTE_BLOCK) {
        const uint32_t n = j->k_pad - k0 < MOTE_BLOCK ? j->k_pad - k0 : MOTE_BLOCK;
        __m512 sum[4][4];
        for (uint32_t p = 0; p < 4; p++)
            for (uint32_t i = 0; i < nt; i++)
                sum[p][i] = _mm512_setzero_ps();
        for (uint32_t k = k0; k < k0 + n; k++) {
            __m512 x[4];
            for (uint32_t i = 0; i < nt; i++)
                x[i] = x_f32(j->x[i0 + i] + plane, k, form);
            for (uint32_t p = 0; p < 4; p++) {
                const uint8_t *w = j->panel[p].data + (size_t)k * 64;
                for (uint32_t i = 0; i < nt; i++)
                    sum[p][i] = _mm512_fmadd_ps(_mm512_loadu_ps(w), x[i], sum[p][i]);
            }
        }
        for (uint32_t p = 0; p < 4; p++)
            for (uint32_t i = 0; i < nt; i++) {
                float *y = total[i0 + i][p];
                _mm512_store_ps(y, _mm512_add_ps(sum[p][i], _mm512_load_ps(y)));
            }
    }
}

ALWAYS void all_f32(const job *j, totals *total, uint32_t form)
{
    uint32_t i = 0;
    for (; i + 4 <= j->n; i += 4)
        tile_f32(j, total, i, 4, form);
    for (; i < j->n; i++)
        tile_f32(j, total, i, 1, form);
}

/* ---- one token ----
 *
 * Decoding is bound by memory, and memory is fastest when read in order without a
 * break: so a whole run of panels is one loop, with its total in a register, and
 * nothing in between (a call, totals in memory, pointers per token for every four
 * panels: each cost 3 to 10 % of the speed). The order of additions is that of
 * tile() and tile_int8(). */

typedef struct one_job {
    const uint8_t *w;
    const float *scales;
    const uint8_t *x;
    const char *next; /* read after this run, or NULL */
    uint32_t k_pad, n_panels;
} one_job;

/* The hardware's prefetcher begins anew at a jump: the first KiB is asked for. */
ALWAYS void prefetch_next(const one_job *j, uint32_t left)
{
    if (left == 1 && j->next)
        for (uint32_t line = 0; line < 1024; line += 64)
            _mm_prefetch(j->next + line, _MM_HINT_T0);
}

ALWAYS __m512 one_unit(__m512 y, stream *w, const uint8_t *x, uint32_t steps,
        __m512 scale, uint32_t type, uint32_t terms, const tables *t)
{
    __m512 even0 = _mm512_setzero_ps(), even1 = even0, odd0 = even0, odd1 = even0;
    for (uint32_t s = 0; s < steps; s++, x += 16 * terms) {
        __m512i b[4];
        stream_step(b, w, t, type);
        for (uint32_t e = 0; e < terms; e++) {
            const __m512i v = group_of(x + 8 * e), u = group_of(x + 8 * (terms + e));
            even0 = dot(even0, b[0], v);
            even1 = dot(even1, b[1], v);
            odd0 = dot(odd0, b[2], u);
            odd1 = dot(odd1, b[3], u);
        }
    }
    return with_partial(y, type, even0, even1, odd0, odd1, scale);
}

ALWAYS void one_dots(float *y, const one_job *one, uint32_t type, uint32_t terms)
{
    const one_job j = *one;
    const tables t = tables_for(type);
    const uint32_t unit = mote__k_scale_columns(type);
    const size_t bytes = mote__k_panel_bytes(type, j.k_pad);
    const size_t n_scales = mote__k_panel_scales(type, j.k_pad);
    const uint8_t *panel = j.w;
    const float *scales = j.scales;
    stream w = stream_of(j.w, j.k_pad, j.n_panels, &t, type);
    for (uint32_t p = 0; p < j.n_panels; p++, panel += bytes, scales += n_scales) {
        const uint8_t *x = j.x;
        __m512 sum = _mm512_setzero_ps();
        for (uint32_t k = 0, u = 0; k < j.k_pad; k += unit, u++) {
            const uint32_t n = j.k_pad - k < unit ? j.k_pad - k : unit;
            sum = one_unit(sum, &w, x, n / 8, scale_of(type, panel, scales, u), type,
                    terms, &t);
            x += (size_t)n * 2 * terms;
        }
        prefetch_next(&j, j.n_panels - p);
        _mm512_storeu_ps(y + (size_t)p * MOTE_PANEL, sum);
    }
}

#include "kernels/x86/int8_avx512bf16.h"

#define ONE_INSTANCE(type, terms)                                                      \
    static void one_##type##_##terms(float *y, const one_job *j)                       \
    {                                                                                  \
        one_dots(y, j, MOTE_K_##type, terms);                                          \
    }
#define ONE_INSTANCES(type)                                                            \
    ONE_INSTANCE(type, 1) ONE_INSTANCE(type, 2) ONE_INSTANCE(type, 3)
ONE_INSTANCES(BF16)
ONE_INSTANCES(E4M3)
ONE_INSTANCES(I8)
ONE_INSTANCES(I4)

/* y[16 * i + r]: panels begin and up of a matrix, n of them. next: what is read then.
 */
static void one_token(float *y, const mote_k_matrix *w, uint32_t begin, uint32_t n,
        const void *x, uint32_t form, const void *next)
{
#define ONE_ROW(type)                                                                  \
    {                                                                                  \
        one_##type##_3, one_##type##_2, one_##type##_1                                 \
    }
    static void (*const run[MOTE_K_TYPES][MOTE_K_ACTS])(float *, const one_job *) = {
            [MOTE_K_BF16] = ONE_ROW(BF16),
            [MOTE_K_E4M3] = ONE_ROW(E4M3),
            [MOTE_K_I8] = {one_I8_3, one_I8_2, one_I8_1, one_int8_i8},
            [MOTE_K_I4] = {one_I4_3, one_I4_2, one_I4_1, one_int8_i4}};
    const one_job j = {.w = mote__k_panel(w, begin),
            .scales = mote__k_scales(w, begin),
            .x = x,
            .next = next,
            .k_pad = mote_k_pad(w->n_cols),
            .n_panels = n};
    run[w->type][form](y, &j);
}

static void compute(const job *j, totals *total)
{
    memset(total, 0, j->n * sizeof *total);
    const uint32_t terms = mote_k_terms(j->form);
    if (j->type == MOTE_K_F32) {
        if (j->form == MOTE_K_ACT_EXACT)
            all_f32(j, total, MOTE_K_ACT_EXACT);
        else if (j->form == MOTE_K_ACT_FINE)
            all_f32(j, total, MOTE_K_ACT_FINE);
        else
            all_f32(j, total, MOTE_K_ACT_BF16);
    } else if (j->form == MOTE_K_ACT_INT8) {
        if (j->type == MOTE_K_I4)
            int8_i4(j, total);
        else
            int8_i8(j, total);
    } else if (j->type == MOTE_K_BF16) {
        dots_bf16(j, total, terms);
    } else if (j->type == MOTE_K_E4M3) {
        dots_e4m3(j, total, terms);
    } else if (j->type == MOTE_K_I8) {
        dots_i8(j, total, terms);
    } else {
        dots_i4(j, total, terms);
    }
}

/* exp(x) for silu: 2^n * p(r), |r| <= ln 2 / 2, relative error below 2^-22. */
ALWAYS __m512 exp512(__m512 x)
{
    x = _mm512_min_ps(_mm512_set1_ps(100.0f), x); /* NaN in x stays: second operand */
    x = _mm512_max_ps(_mm512_set1_ps(-104.0f), x);
    const __m512 n = _mm512_roundscale_ps(
            _mm512_mul_ps(x, _mm512_set1_ps(0x1.715476p0f)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e4p-1f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);
    __m512 p = _mm512_set1_ps(0x1.6c16c2p-10f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.111112p-7f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.555556p-5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.555556p-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

static void silu_times(float *h, const float *a, const float *b)
{
    const __m512 x = _mm512_load_ps(a), one = _mm512_set1_ps(1.0f);
    const __m512 e = exp512(_mm512_sub_ps(_mm512_setzero_ps(), x));
    _mm512_storeu_ps(h,
            _mm512_mul_ps(_mm512_div_ps(x, _mm512_add_ps(one, e)), _mm512_load_ps(b)));
}

void mote__kmat_init_avx512bf16(mote_kernels *table)
{
    table->act_bytes = act_bytes;
    table->act_pack = act_pack;
    table->matmul = matmul;
    table->gate_up = gate_up;
}
