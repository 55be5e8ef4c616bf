/* SPDX-License-Identifier: MIT */
/* Absorbed attention over the latent cache for the vector width of simd.h.
 *
 * Per block of 64 tokens and head there are 64 * 576 multiplications for the scores and
 * 64 * 512 for the weighted sum, and the block is 72 KB as bf16. With 16 heads that is
 * 30 operations per byte: the multipliers are the limit, if the cache's values are not
 * fetched and converted once per head. So
 *  - a block is walked in pieces of 8 or 16 tokens that stay in the first-level cache
 * while all heads pass over them, TILE_H heads at a time;
 *  - scores come in tiles of TILE_H heads x 4 tokens, with one accumulator for each,
 * added up across lanes at the end, four at once;
 *  - the weighted sum keeps TILE_H heads x NV vectors of the output in registers while
 * it goes through the tokens;
 *  - bf16 values are not unpacked in order: a vector of pairs gives the values at even
 *    positions by a shift and those at odd ones by a mask. The query is laid out the
 * same way beforehand and the output put in order afterwards. FP8 blocks, and widths
 * that fill no whole number of vectors, are first converted to floats (rows padded with
 * zeros) in the scratch memory.
 *
 * An output depends on the shape and the tokens only: every accumulator belongs to one
 * head, whatever the tile. */
#ifndef MOTE_KERNELS_SIMD_ATTEND_H
#define MOTE_KERNELS_SIMD_ATTEND_H
#include "kernels/simd.h"
#include "kernels/simd_latent.h"
#include "kernels/simd_ops.h"

#if defined(__AVX512F__) || defined(__aarch64__)
enum { TILE_H = 4 }; /* 16 accumulators of 32 registers */
#else
enum { TILE_H = 2 }; /* 8 of 16 */
#endif
enum {
    PAIR = 2 * VW,
    BLOCK = MOTE_KV_BLOCK,
    SUB_BF16 = 16,
    SUB_F32 = VW > 8 ? 16 : 8,
    SKEW = 16, /* floats between converted rows, so that they fall into different sets
                */
};

#define ATTEND_INLINE static inline __attribute__((always_inline))

/* Rows of one block as the tiles read them. */
typedef struct attend_rows {
    const char *c, *pe;
    size_t c_row, pe_row;        /* bytes */
    const char *next, *next_end; /* what is left to fetch of the next block */
} attend_rows;

typedef struct attend_state {
    size_t n_c, n_pe; /* padded to a multiple of PAIR */
    float *rows;      /* [64][n_c + SKEW], [64][n_pe + SKEW]: a converted block */
    float *q;         /* [n_heads][n_c + n_pe] */
    float *sum;       /* [n_heads][n_c]: weighted sums */
    float *p;         /* [n_heads][64]: scores, then weights */
    float *top;       /* [n_heads]: largest score so far */
    float *total;     /* [n_heads]: sum of weights so far */
    float *rescale;   /* [n_heads]: of this block */
} attend_state;

static size_t attend_pad(size_t n)
{
    return (n + PAIR - 1) / PAIR * PAIR;
}

static size_t attend_scratch(uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope)
{
    const size_t c = attend_pad(kv_lora_rank), pe = attend_pad(rope);
    const size_t per_head = (c + pe) + c + BLOCK + 3;
    return ((BLOCK * (c + pe + 2 * SKEW) + n_heads * per_head) * sizeof(float) + 63) &
           ~(size_t)63;
}

static attend_state attend_state_of(
        float *memory, uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope)
{
    attend_state s;
    s.n_c = attend_pad(kv_lora_rank);
    s.n_pe = attend_pad(rope);
    s.rows = memory;
    s.q = s.rows + BLOCK * (s.n_c + s.n_pe + 2 * SKEW);
    s.sum = s.q + n_heads * (s.n_c + s.n_pe);
    s.p = s.sum + n_heads * s.n_c;
    s.top = s.p + (size_t)n_heads * BLOCK;
    s.total = s.top + n_heads;
    s.rescale = s.total + n_heads;
    return s;
}

/* A query in the order in which rows are read, padded with zeros. */
static void attend_order(float *restrict dst, const float *restrict src, size_t n,
        size_t n_pad, int bf16)
{
    if (bf16) /* n == n_pad */
        for (size_t i = 0; i < n; i += PAIR)
            for (size_t j = 0; j < VW; j++) {
                dst[i + j] = src[i + 2 * j];
                dst[i + VW + j] = src[i + 2 * j + 1];
            }
    else {
        memcpy(dst, src, n * sizeof *dst);
        memset(dst + n, 0, (n_pad - n) * sizeof *dst);
    }
}

/* out = sum / total, in order. */
static void attend_finish(
        float *restrict out, const float *restrict sum, size_t n, float total, int bf16)
{
    const float factor = 1.0f / total;
    if (bf16)
        for (size_t i = 0; i < n; i += PAIR)
            for (size_t j = 0; j < VW; j++) {
                out[i + 2 * j] = sum[i + j] * factor;
                out[i + 2 * j + 1] = sum[i + VW + j] * factor;
            }
    else
        for (size_t i = 0; i < n; i++)
            out[i] = sum[i] * factor;
}

/* PAIR values of a row: two vectors. */
ATTEND_INLINE void attend_pair(const char *row, size_t i, int bf16, vf *a, vf *b)
{
    if (bf16) {
        v_bf16_pair((const uint16_t *)(const void *)row + i, a, b);
    } else {
        *a = v_load((const float *)(const void *)row + i);
        *b = v_load((const float *)(const void *)row + i + VW);
    }
}

/* The next block comes from memory while this one is worked on, a line at a time: the
 * hardware loses track among the rows of a tile and at every page. 4096 tokens, 8
 * heads, out of memory on a Zen 4 core: 1090 us without, 770 with, 680 where it is
 * cached. */
#define ATTEND_FETCH(r)                                                                \
    do {                                                                               \
        V_PREFETCH((r)->next);                                                         \
        (r)->next += (r)->next < (r)->next_end ? 64 : 0;                               \
    } while (0)

ATTEND_INLINE void attend_dots(vf acc[TILE_H][4], const float *q, size_t ldq,
        const char *row[4], size_t n, attend_rows *r, int heads, int bf16)
{
    for (size_t i = 0; i < n; i += PAIR) {
        ATTEND_FETCH(r);
        for (int t = 0; t < 4; t++) {
            vf a, b;
            attend_pair(row[t], i, bf16, &a, &b);
            for (int h = 0; h < heads; h++) {
                const float *x = q + (size_t)h * ldq + i;
                acc[h][t] = v_fma(v_load(x), a, acc[h][t]);
                acc[h][t] = v_fma(v_load(x + VW), b, acc[h][t]);
            }
        }
    }
}

/* Scores of `heads` heads with tokens [begin, end), 4 at a time; where fewer are left
 * the last one is computed again, so that a score never depends on its neighbours. */
ATTEND_INLINE void attend_scores(const attend_state *s, attend_rows *r, size_t head,
        size_t begin, size_t end, int heads, int bf16)
{
    const size_t ldq = s->n_c + s->n_pe;
    const float *q = s->q + head * ldq;
    for (size_t t = begin; t < end; t += 4) {
        vf acc[TILE_H][4];
        const char *c[4], *pe[4];
        for (int i = 0; i < 4; i++) {
            const size_t token = t + (size_t)i < end ? t + (size_t)i : end - 1;
            c[i] = r->c + token * r->c_row;
            pe[i] = r->pe + token * r->pe_row;
        }
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < 4; i++)
                acc[h][i] = v_set1(0);
        attend_dots(acc, q, ldq, c, s->n_c, r, heads, bf16);
        attend_dots(acc, q + s->n_c, ldq, pe, s->n_pe, r, heads, bf16);
        for (int h = 0; h < heads; h++)
            v_sum4(s->p + (head + (size_t)h) * BLOCK + t, acc[h][0], acc[h][1],
                    acc[h][2], acc[h][3]);
    }
}

/* Add the weighted latents of tokens [begin, end) to columns [i, i + nv * VW). */
ATTEND_INLINE void attend_columns(const attend_state *s, attend_rows *r, size_t head,
        size_t begin, size_t end, size_t i, int heads, int nv, int bf16)
{
    vf acc[TILE_H][4];
    float *sum = s->sum + head * s->n_c + i;
    for (int h = 0; h < heads; h++) {
        const vf f = v_set1(begin == 0 ? s->rescale[head + (size_t)h] : 1.0f);
        for (int v = 0; v < nv; v++)
            acc[h][v] = v_mul(f, v_load(sum + (size_t)h * s->n_c + v * VW));
    }
    for (size_t t = begin; t < end; t++) {
        vf c[4];
        ATTEND_FETCH(r);
        for (int v = 0; v < nv; v += 2)
            attend_pair(
                    r->c + t * r->c_row, i + (size_t)v * VW, bf16, &c[v], &c[v + 1]);
        for (int h = 0; h < heads; h++) {
            const vf p = v_set1(s->p[(head + (size_t)h) * BLOCK + t]);
            for (int v = 0; v < nv; v++)
                acc[h][v] = v_fma(p, c[v], acc[h][v]);
        }
    }
    for (int h = 0; h < heads; h++)
        for (int v = 0; v < nv; v++)
            v_store(sum + (size_t)h * s->n_c + v * VW, acc[h][v]);
}

ATTEND_INLINE void attend_sums(const attend_state *s, attend_rows *r, size_t head,
        size_t begin, size_t end, int heads, int bf16)
{
    size_t i = 0;
    for (; i + 2 * PAIR <= s->n_c; i += 2 * PAIR)
        attend_columns(s, r, head, begin, end, i, heads, 4, bf16);
    if (i < s->n_c)
        attend_columns(s, r, head, begin, end, i, heads, 2, bf16);
}

/* Softmax of one head's scores over n tokens, joined to what came before. */
static void attend_softmax(const attend_state *s, size_t head, size_t n, float scale)
{
    s->rescale[head] = ops_soften(s->p + head * BLOCK, (uint32_t)n, BLOCK, scale,
            &s->top[head], &s->total[head]);
}

/* One block for all heads; `heads` and `bf16` are constants in each copy. */
ATTEND_INLINE void attend_block(const attend_state *s, attend_rows *r, size_t n,
        size_t n_heads, float scale, int bf16)
{
    const size_t sub = bf16 ? SUB_BF16 : SUB_F32;
    for (size_t t = 0; t < n; t += sub) {
        const size_t end = t + sub < n ? t + sub : n;
        size_t h = 0;
        for (; h + TILE_H <= n_heads; h += TILE_H)
            attend_scores(s, r, h, t, end, TILE_H, bf16);
        for (; h + 2 <= n_heads; h += 2)
            attend_scores(s, r, h, t, end, 2, bf16);
        if (h < n_heads)
            attend_scores(s, r, h, t, end, 1, bf16);
    }
    for (size_t h = 0; h < n_heads; h++)
        attend_softmax(s, h, n, scale);
    for (size_t t = 0; t < n; t += sub) {
        const size_t end = t + sub < n ? t + sub : n;
        size_t h = 0;
        for (; h + TILE_H <= n_heads; h += TILE_H)
            attend_sums(s, r, h, t, end, TILE_H, bf16);
        for (; h + 2 <= n_heads; h += 2)
            attend_sums(s, r, h, t, end, 2, bf16);
        if (h < n_heads)
            attend_sums(s, r, h, t, end, 1, bf16);
    }
}

static void attend_block_f32(
        const attend_state *s, attend_rows *r, size_t n, size_t n_heads, float scale)
{
    attend_block(s, r, n, n_heads, scale, 0);
}

static void attend_block_bf16(
        const attend_state *s, attend_rows *r, size_t n, size_t n_heads, float scale)
{
    attend_block(s, r, n, n_heads, scale, 1);
}

/* The first n rows of a block as padded floats. */
static attend_rows attend_convert(const attend_state *s, const void *block, uint32_t kv,
        size_t n, uint32_t kv_lora_rank, uint32_t rope)
{
    const size_t c_row = s->n_c + SKEW, pe_row = s->n_pe + SKEW;
    float *c = s->rows, *pe = c + BLOCK * c_row;
    const attend_rows r = {(const char *)c, (const char *)pe, c_row * sizeof(float),
            pe_row * sizeof(float), NULL, NULL};
    for (size_t t = 0; t < n; t++, c += c_row, pe += pe_row) {
        latent_load(c, pe, block, kv, (uint32_t)t, kv_lora_rank, rope);
        memset(c + kv_lora_rank, 0, (s->n_c - kv_lora_rank) * sizeof *c);
        memset(pe + rope, 0, (s->n_pe - rope) * sizeof *pe);
    }
    return r;
}

static void attend(float *out, size_t ldo, const float *q, size_t ldq,
        const float *q_pe, size_t ldq_pe, const void *const *blocks, uint32_t kv,
        uint32_t n_tokens, uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope,
        float scale, float *stats, uint32_t more, void *scratch)
{
    const attend_state s = attend_state_of(scratch, n_heads, kv_lora_rank, rope);
    const mote__latent l = mote__latent_of(kv, kv_lora_rank, rope);
    const int whole = s.n_c == kv_lora_rank && s.n_pe == rope;
    const int bf16 = kv == MOTE_K_KV_BF16 && whole;
    const int in_place = bf16 || (kv == MOTE_K_KV_F32 && whole);
    for (size_t h = 0; h < n_heads; h++) {
        float *dst = s.q + h * (s.n_c + s.n_pe);
        attend_order(dst, q + h * ldq, kv_lora_rank, s.n_c, bf16);
        attend_order(dst + s.n_c, q_pe + h * ldq_pe, rope, s.n_pe, bf16);
        memset(s.sum + h * s.n_c, 0, s.n_c * sizeof *s.sum);
        s.top[h] = -INFINITY;
        s.total[h] = 0;
    }
    for (size_t begin = 0; begin < n_tokens; begin += BLOCK) {
        const size_t n = n_tokens - begin < BLOCK ? n_tokens - begin : BLOCK;
        const char *block = blocks[begin / BLOCK];
        attend_rows r = {block, block + l.pe_offset, l.c_row, l.pe_row, NULL, NULL};
        if (!in_place)
            r = attend_convert(&s, block, kv, n, kv_lora_rank, rope);
        r.next = r.next_end = block;
        if (begin + BLOCK < n_tokens || more) {
            r.next = blocks[begin / BLOCK + 1];
            r.next_end = r.next + l.bytes;
        }
        (bf16 ? attend_block_bf16 : attend_block_f32)(&s, &r, n, n_heads, scale);
    }
    for (size_t h = 0; h < n_heads; h++)
        attend_finish(out + h * ldo, s.sum + h * s.n_c, kv_lora_rank,
                n_tokens > 0 && !stats ? s.total[h] : 1.0f, bf16);
    for (size_t h = 0; h < n_heads && stats; h++) {
        stats[2 * h] = s.top[h];
        stats[2 * h + 1] = s.total[h];
    }
}
#endif
