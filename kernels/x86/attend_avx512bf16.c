/* SPDX-License-Identifier: MIT */
/* Attention in products of bf16, for prefill whose activations are bf16 anyway: half
 * the multiplications of the fp32 form (simd_attend.h, which says why blocks are walked
 * as they are). Query, weights and cached values enter as bf16, sums are fp32.
 *
 * Scores: a vector is 32 values of a row, multiplied pair by pair, with nothing to
 * unpack. Weighted sums: the pairs are two tokens, so two rows are interleaved (which
 * leaves the output in the order of unpacklo / unpackhi until the end) and multiplied
 * with the broadcast pair of their weights. The divisor adds up the rounded weights. */
#include "kernels/kernels_internal.h"
#include "kernels/latent.h"
#include "kernels/simd.h"

enum { STEP = 32, BLOCK = MOTE_KV_BLOCK, TILE_H = 6, SKEW = 32 };

#define ALWAYS static inline __attribute__((always_inline))

typedef struct rows {
    const uint16_t *c, *pe;
    size_t c_row, pe_row;        /* values */
    const char *next, *next_end; /* what is left to fetch of the next block */
} rows;

typedef struct state {
    size_t n_c, n_pe; /* padded to a multiple of STEP */
    uint16_t *rows;   /* a converted block: [64][n_c + SKEW], [64][n_pe + SKEW] */
    uint16_t *q;      /* [n_heads][n_c + n_pe] */
    float *sum;       /* [n_heads][n_c] */
    float *p;         /* [n_heads][64]: scores, then 64 weights in bf16 */
    float *top, *total, *rescale; /* [n_heads] */
} state;

static size_t pad(size_t n)
{
    return (n + STEP - 1) / STEP * STEP;
}

static size_t block_bytes(size_t n_c, size_t n_pe)
{
    return BLOCK * (n_c + n_pe + 2 * SKEW) * sizeof(uint16_t);
}

/* Less than attend_scratch() of AVX-512 asks for: the same parts, two of them with half
 * the bytes per value. */
static state state_of(
        void *memory, uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope)
{
    state s;
    char *at = memory;
    s.n_c = pad(kv_lora_rank);
    s.n_pe = pad(rope);
    s.rows = memory;
    at += block_bytes(s.n_c, s.n_pe);
    s.q = (uint16_t *)(void *)at;
    at += n_heads * (s.n_c + s.n_pe) * sizeof(uint16_t);
    s.sum = (float *)(void *)at;
    s.p = s.sum + n_heads * s.n_c;
    s.top = s.p + (size_t)n_heads * BLOCK;
    s.total = s.top + n_heads;
    s.rescale = s.total + n_heads;
    return s;
}

/* n values as bf16, padded with zeros to a multiple of STEP. */
static void to_bf16(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < pad(n); i += VW) {
        const vf x = i + VW <= n ? v_load(src + i)
                     : i < n     ? v_load_n(src + i, n - i)
                                 : v_set1(0);
        _mm256_storeu_si256(
                (__m256i *)(void *)(dst + i), (__m256i)_mm512_cvtneps_pbh(x));
    }
}

/* 32 values of e4m3, in place of float16 after a shift: their exponents are 8 too
 * small, which `scale`, 256 times the true one, makes good. */
ALWAYS void e4m3_step(uint16_t *dst, const uint8_t *src, vf scale)
{
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)src);
    const __m512i x = _mm512_slli_epi16(_mm512_cvtepu8_epi16(bytes), 8);
    const __m512i f16 = _mm512_and_si512(
            _mm512_srai_epi16(x, 1), _mm512_set1_epi16((int16_t)0xbf80));
    const vf a = v_mul(_mm512_cvtph_ps(_mm512_castsi512_si256(f16)), scale);
    const vf b = v_mul(_mm512_cvtph_ps(_mm512_extracti64x4_epi64(f16, 1)), scale);
    _mm512_storeu_si512(dst, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

/* A step lies within one scale's 128 columns. */
static void e4m3_to_bf16(
        uint16_t *dst, const uint8_t *src, const float *scales, size_t n)
{
    size_t i = 0;
    for (; i + 128 <= n; i += 128) {
        const vf scale = v_set1(*scales++ * 256.0f);
        for (size_t k = 0; k < 128; k += STEP)
            e4m3_step(dst + i + k, src + i + k, scale);
    }
    for (; i + STEP <= n; i += STEP)
        e4m3_step(dst + i, src + i, v_set1(*scales * 256.0f));
    for (; i < n; i++)
        dst[i] = mote_k_f32_to_bf16(mote_k_e4m3_to_f32(src[i]) * *scales);
    memset(dst + n, 0, (pad(n) - n) * sizeof *dst);
}

/* The first n rows of a block as padded bf16. */
static rows convert(const state *s, const char *block, uint32_t kv, size_t n,
        uint32_t kv_lora_rank, uint32_t rope)
{
    const mote__latent l = mote__latent_of(kv, kv_lora_rank, rope);
    const size_t c_row = s->n_c + SKEW, pe_row = s->n_pe + SKEW;
    uint16_t *c = s->rows, *pe = c + BLOCK * c_row;
    const rows r = {c, pe, c_row, pe_row, NULL, NULL};
    for (size_t t = 0; t < n; t++, c += c_row, pe += pe_row) {
        const void *from = block + t * l.c_row;
        const void *pe_from = block + l.pe_offset + t * l.pe_row;
        if (kv == MOTE_K_KV_F32) {
            to_bf16(c, from, kv_lora_rank);
            to_bf16(pe, pe_from, rope);
            continue;
        }
        memcpy(pe, pe_from, rope * sizeof *pe);
        memset(pe + rope, 0, (s->n_pe - rope) * sizeof *pe);
        if (kv == MOTE_K_KV_FP8) {
            const char *scales = block + l.scale_offset;
            e4m3_to_bf16(c, from, (const float *)(const void *)scales + t * l.n_scales,
                    kv_lora_rank);
        } else {
            memcpy(c, from, kv_lora_rank * sizeof *c);
            memset(c + kv_lora_rank, 0, (s->n_c - kv_lora_rank) * sizeof *c);
        }
    }
    return r;
}

/* Into L1, out of which it falls into L2: 1.5 % faster than into L2 alone. */
#define FETCH(r)                                                                       \
    do {                                                                               \
        __builtin_prefetch((r)->next, 0, 3);                                           \
        (r)->next += (r)->next < (r)->next_end ? 64 : 0;                               \
    } while (0)

ALWAYS vf dot(vf sum, __m512i a, __m512i b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

ALWAYS void dots(vf acc[TILE_H][4], const uint16_t *q, size_t ldq,
        const uint16_t *row[4], size_t n, rows *r, int heads)
{
    for (size_t i = 0; i < n; i += STEP) {
        FETCH(r);
        for (int t = 0; t < 4; t++) {
            const __m512i c = _mm512_loadu_si512(row[t] + i);
            for (int h = 0; h < heads; h++)
                acc[h][t] =
                        dot(acc[h][t], c, _mm512_loadu_si512(q + (size_t)h * ldq + i));
        }
    }
}

ALWAYS void scores(const state *s, rows *r, size_t head, size_t n, int heads)
{
    const size_t ldq = s->n_c + s->n_pe;
    const uint16_t *q = s->q + head * ldq;
    for (size_t t = 0; t < n; t += 4) {
        vf acc[TILE_H][4];
        const uint16_t *c[4], *pe[4];
        for (int i = 0; i < 4; i++) {
            const size_t token = t + (size_t)i < n ? t + (size_t)i : n - 1;
            c[i] = r->c + token * r->c_row;
            pe[i] = r->pe + token * r->pe_row;
        }
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < 4; i++)
                acc[h][i] = v_set1(0);
        dots(acc, q, ldq, c, s->n_c, r, heads);
        dots(acc, q + s->n_c, ldq, pe, s->n_pe, r, heads);
        for (int h = 0; h < heads; h++)
            v_sum4(s->p + (head + (size_t)h) * BLOCK + t, acc[h][0], acc[h][1],
                    acc[h][2], acc[h][3]);
    }
}

ALWAYS const uint16_t *weights(const state *s, size_t head)
{
    return (const uint16_t *)(const void *)(s->p + head * BLOCK);
}

/* Tokens two by two to columns [i, i + nv * VW). A last lone token is paired with
 * itself and the weight 0 that stands behind the last weight. */
ALWAYS void columns(
        const state *s, rows *r, size_t head, size_t n, size_t i, int heads, int nv)
{
    vf acc[TILE_H][4];
    float *sum = s->sum + head * s->n_c + i;
    for (int h = 0; h < heads; h++) {
        const vf f = v_set1(s->rescale[head + (size_t)h]);
        for (int v = 0; v < nv; v++)
            acc[h][v] = v_mul(f, v_load(sum + (size_t)h * s->n_c + v * VW));
    }
    for (size_t t = 0; t < n; t += 2) {
        const uint16_t *c0 = r->c + t * r->c_row + i;
        const uint16_t *c1 = r->c + (t + 1 < n ? t + 1 : t) * r->c_row + i;
        __m512i c[4];
        FETCH(r);
        for (int v = 0; v < nv; v += 2) {
            const __m512i a = _mm512_loadu_si512(c0 + v * VW);
            const __m512i b = _mm512_loadu_si512(c1 + v * VW);
            c[v] = _mm512_unpacklo_epi16(a, b);
            c[v + 1] = _mm512_unpackhi_epi16(a, b);
        }
        for (int h = 0; h < heads; h++) {
            int32_t pair;
            memcpy(&pair, weights(s, head + (size_t)h) + t, sizeof pair);
            const __m512i p = _mm512_set1_epi32(pair);
            for (int v = 0; v < nv; v++)
                acc[h][v] = dot(acc[h][v], c[v], p);
        }
    }
    for (int h = 0; h < heads; h++)
        for (int v = 0; v < nv; v++)
            v_store(sum + (size_t)h * s->n_c + v * VW, acc[h][v]);
}

ALWAYS void sums(const state *s, rows *r, size_t head, size_t n, int heads)
{
    size_t i = 0;
    for (; i + 2 * STEP <= s->n_c; i += 2 * STEP)
        columns(s, r, head, n, i, heads, 4);
    if (i < s->n_c)
        columns(s, r, head, n, i, heads, 2);
}

/* The greatest of a head's scores and of those before. */
ALWAYS float top_of(const state *s, size_t head, size_t n, vf scale)
{
    float *p = s->p + head * BLOCK;
    for (size_t t = n; t < BLOCK; t++)
        p[t] = p[n - 1]; /* changes no maximum */
    vf top = v_set1(s->top[head]);
    for (size_t t = 0; t < n; t += VW)
        top = v_top(top, v_mul(v_load(p + t), scale));
    return v_max(top);
}

/* A head's scores become weights; their sum. */
ALWAYS float weigh(const state *s, size_t head, size_t n, vf scale, float max)
{
    float *p = s->p + head * BLOCK;
    vf total = v_set1(0);
    for (size_t t = 0; t < BLOCK; t += VW) {
        vf x = v_exp(v_sub(v_mul(v_load(p + t), scale), v_set1(max)));
        if (t + VW > n) /* weights behind the last token are 0 */
            x = _mm512_maskz_mov_ps(t < n ? v_mask(n - t) : 0, x);
        const __m256i b = (__m256i)_mm512_cvtneps_pbh(x);
        total = v_add(total,
                _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16)));
        /* In place: two bytes go where four were read. */
        _mm256_storeu_si256((__m256i *)(void *)((uint16_t *)(void *)p + t), b);
    }
    return v_sum(total);
}

/* Up to VW heads, step by step, so that none waits for another's chain of operations.
 */
static void softmax(const state *s, size_t head, size_t n_heads, size_t n, float scale)
{
    const vf vscale = v_set1(scale);
    float top[VW], total[VW];
    for (size_t h = 0; h < n_heads; h++)
        top[h] = top_of(s, head + h, n, vscale);
    const vf vtop = v_load_n(top, n_heads),
             rescale = v_exp(v_sub(v_load_n(s->top + head, n_heads), vtop));
    for (size_t h = 0; h < n_heads; h++)
        total[h] = weigh(s, head + h, n, vscale, top[h]);
    v_store_n(s->total + head,
            v_add(v_mul(v_load_n(s->total + head, n_heads), rescale),
                    v_load_n(total, n_heads)),
            n_heads);
    v_store_n(s->top + head, vtop, n_heads);
    v_store_n(s->rescale + head, rescale, n_heads);
}

/* Heads that share what is loaded: as equal parts of up to TILE_H as can be. */
#define FOR_TILES(part)                                                                \
    for (size_t h = 0, tiles = (n_heads + TILE_H - 1) / TILE_H, nh; tiles;             \
            h += nh, tiles--) {                                                        \
        nh = (n_heads - h + tiles - 1) / tiles;                                        \
        switch (nh) {                                                                  \
        case 6:                                                                        \
            part(s, r, h, n, 6);                                                       \
            break;                                                                     \
        case 5:                                                                        \
            part(s, r, h, n, 5);                                                       \
            break;                                                                     \
        case 4:                                                                        \
            part(s, r, h, n, 4);                                                       \
            break;                                                                     \
        default:                                                                       \
            for (size_t i = 0; i < nh; i++)                                            \
                part(s, r, h + i, n, 1);                                               \
            break;                                                                     \
        }                                                                              \
    }

/* All 64 tokens at once: 72 KB stream from L2, which costs less than taking the sums in
 * and out of registers for every 16 tokens (183 GFLOP/s against 168). */
static void attend_block(const state *s, rows *r, size_t n, size_t n_heads, float scale)
{
    FOR_TILES(scores)
    for (size_t h = 0; h < n_heads; h += VW)
        softmax(s, h, n_heads - h < VW ? n_heads - h : VW, n, scale);
    FOR_TILES(sums)
}

ALWAYS void store_up_to(float *p, vf x, size_t n)
{
    if (n < VW)
        v_store_n(p, x, n);
    else
        v_store(p, x);
}

/* Undo the interleaving: unpacklo holds values 0-3 of each 8, unpackhi 4-7. */
static void finish(float *out, const float *sum, size_t n, float total)
{
    const __m512i first =
            _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    const vf factor = v_set1(1.0f / total);
    for (size_t i = 0; i < n; i += STEP) {
        const vf low = v_mul(v_load(sum + i), factor);
        const vf high = v_mul(v_load(sum + i + VW), factor);
        store_up_to(out + i, _mm512_permutex2var_ps(low, first, high), n - i);
        if (n - i > VW)
            store_up_to(out + i + VW, _mm512_permutex2var_ps(low, second, high),
                    n - i - VW);
    }
}

static void attend_bf16(float *out, size_t ldo, const float *q, size_t ldq,
        const float *q_pe, size_t ldq_pe, const void *const *blocks, uint32_t kv,
        uint32_t n_tokens, uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope,
        float scale, float *stats, uint32_t more, void *scratch)
{
    const state s = state_of(scratch, n_heads, kv_lora_rank, rope);
    const mote__latent l = mote__latent_of(kv, kv_lora_rank, rope);
    const int in_place =
            kv == MOTE_K_KV_BF16 && s.n_c == kv_lora_rank && s.n_pe == rope;
    for (size_t h = 0; h < n_heads; h++) {
        uint16_t *dst = s.q + h * (s.n_c + s.n_pe);
        to_bf16(dst, q + h * ldq, kv_lora_rank);
        to_bf16(dst + s.n_c, q_pe + h * ldq_pe, rope);
        memset(s.sum + h * s.n_c, 0, s.n_c * sizeof *s.sum);
        s.top[h] = -INFINITY;
        s.total[h] = 0;
    }
    for (size_t begin = 0; begin < n_tokens; begin += BLOCK) {
        const size_t n = n_tokens - begin < BLOCK ? n_tokens - begin : BLOCK;
        const char *block = blocks[begin / BLOCK];
        rows r = {(const uint16_t *)(const void *)block,
                (const uint16_t *)(const void *)(block + l.pe_offset), kv_lora_rank,
                rope, NULL, NULL};
        if (!in_place)
            r = convert(&s, block, kv, n, kv_lora_rank, rope);
        r.next = r.next_end = block;
        if (begin + BLOCK < n_tokens || more) {
            r.next = blocks[begin / BLOCK + 1];
            r.next_end = r.next + l.bytes;
        }
        attend_block(&s, &r, n, n_heads, scale);
    }
    for (size_t h = 0; h < n_heads; h++)
        finish(out + h * ldo, s.sum + h * s.n_c, kv_lora_rank,
                n_tokens > 0 && !stats ? s.total[h] : 1.0f);
    for (size_t h = 0; h < n_heads && stats; h++) {
        stats[2 * h] = s.top[h];
        stats[2 * h + 1] = s.total[h];
    }
}

void mote__kops_init_avx512bf16(mote_kernels *table)
{
    table->attend_bf16 = attend_bf16;
}
