/* SPDX-License-Identifier: MIT */
/* Absorbed attention over the latent cache, with online softmax: after each block the
 * running sum and the weighted latents are rescaled to the largest score so far. */
#include "kernels/mathfn.h"
#include "kernels/scalar/ops_scalar.h"

#include <math.h>

/* One block as floats, scores of one head, then maximum and sum per head. */
typedef struct scratch {
    float *c;      /* [64][kv_lora_rank] */
    float *pe;     /* [64][rope] */
    float *weight; /* [64] */
    float *max;    /* [n_heads] */
    float *sum;    /* [n_heads] */
} scratch;

size_t mote__attend_scratch_scalar(
        uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope)
{
    const size_t n =
            MOTE_KV_BLOCK * ((size_t)kv_lora_rank + rope + 1) + 2 * (size_t)n_heads;
    return (n * sizeof(float) + 63) & ~(size_t)63;
}

static scratch scratch_of(
        float *at, uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope)
{
    scratch s;
    s.c = at;
    s.pe = s.c + MOTE_KV_BLOCK * (size_t)kv_lora_rank;
    s.weight = s.pe + MOTE_KV_BLOCK * (size_t)rope;
    s.max = s.weight + MOTE_KV_BLOCK;
    s.sum = s.max + n_heads;
    return s;
}

/* Scores of one head with the block's n tokens, then its output brought up to date. */
static void attend_block(float *out, const float *q, const float *q_pe, scratch *s,
        uint32_t head, uint32_t n, uint32_t kv_lora_rank, uint32_t rope, float scale)
{
    float max = s->max[head];
    for (uint32_t t = 0; t < n; t++) {
        s->weight[t] =
                scale *
                (mote__dot_scalar(q, s->c + (size_t)t * kv_lora_rank, kv_lora_rank) +
                        mote__dot_scalar(q_pe, s->pe + (size_t)t * rope, rope));
        max = s->weight[t] > max ? s->weight[t] : max;
    }
    const float rescale = mote__exp(s->max[head] - max);
    float sum = 0.0f;
    for (uint32_t i = 0; i < kv_lora_rank; i++)
        out[i] *= rescale;
    for (uint32_t t = 0; t < n; t++) {
        const float p = mote__exp(s->weight[t] - max);
        const float *c = s->c + (size_t)t * kv_lora_rank;
        sum += p;
        for (uint32_t i = 0; i < kv_lora_rank; i++)
            out[i] += p * c[i];
    }
    s->sum[head] = s->sum[head] * rescale + sum;
    s->max[head] = max;
}

void mote__attend_scalar(float *out, size_t ldo, const float *q, size_t ldq,
        const float *q_pe, size_t ldq_pe, const void *const *blocks, uint32_t kv,
        uint32_t n_tokens, uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope,
        float scale, float *stats, uint32_t more, void *memory)
{
    scratch s = scratch_of(memory, n_heads, kv_lora_rank, rope);
    (void)more;
    for (uint32_t h = 0; h < n_heads; h++) {
        s.max[h] = -INFINITY;
        s.sum[h] = 0.0f;
        for (uint32_t i = 0; i < kv_lora_rank; i++)
            out[h * ldo + i] = 0.0f;
    }
    for (uint32_t begin = 0; begin < n_tokens; begin += MOTE_KV_BLOCK) {
        const uint32_t left = n_tokens - begin;
        const uint32_t n = left < MOTE_KV_BLOCK ? left : MOTE_KV_BLOCK;
        const void *block = blocks[begin / MOTE_KV_BLOCK];
        for (uint32_t t = 0; t < n; t++)
            mote__kv_load_scalar(s.c + (size_t)t * kv_lora_rank,
                    s.pe + (size_t)t * rope, block, kv, t, kv_lora_rank, rope);
        for (uint32_t h = 0; h < n_heads; h++)
            attend_block(out + h * ldo, q + h * ldq, q_pe + h * ldq_pe, &s, h, n,
                    kv_lora_rank, rope, scale);
    }
    for (uint32_t h = 0; h < n_heads; h++) {
        if (stats) {
            stats[2 * h] = s.max[h];
            stats[2 * h + 1] = s.sum[h];
        } else if (n_tokens > 0) {
            const float factor = 1.0f / s.sum[h];
            for (uint32_t i = 0; i < kv_lora_rank; i++)
                out[h * ldo + i] *= factor;
        }
    }
}
