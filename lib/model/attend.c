/* SPDX-License-Identifier: MIT */
#include "model/attend.h"

#include <math.h>
#include <string.h>

uint32_t mote__parts_of(uint32_t n_tokens)
{
    uint32_t n = 1;
    while (n < MOTE__PARTS &&
            n_tokens / (2 * n) >= (n == 1 ? MOTE__PART_TOKENS : MOTE__MORE_TOKENS))
        n *= 2;
    return n;
}

/* Tokens [begin, end), from a block of the cache on. */
static void attend(const mote__mla_job *j, const mote__row *row, const mote__query *q,
        uint32_t begin, uint32_t end, float *out, size_t ldo, float *stats,
        void *scratch)
{
    const mote__net *net = j->net;
    const mote__config *c = &net->config;
    const mote_kernels *k = &net->k;
    /* Rounded activations need no better attention (a cache of floats asks for it). */
    const int bf16 = j->p->form == MOTE_K_ACT_BF16 && j->p->kv_type != MOTE_K_KV_F32;
    (bf16 ? k->attend_bf16 : k->attend)(out, ldo, q->q_c, q->ldq_c, q->q_pe, q->ldq_pe,
            (const void *const *)row->kv[j->layer] + begin / MOTE_KV_BLOCK,
            j->p->kv_type, end - begin, q->n_heads, c->kv_lora_rank,
            c->qk_rope_head_dim, net->softmax_scale, stats, end <= row->position,
            scratch);
}

void mote__attend_part(const mote__mla_job *j, const mote__row *row,
        const mote__query *q, uint32_t part, uint32_t n_parts, float *sum, size_t ld,
        float *stats, void *scratch)
{
    const uint32_t n = row->position + 1, blocks = n / MOTE_KV_BLOCK;
    const uint32_t begin = blocks * part / n_parts * MOTE_KV_BLOCK,
                   end = blocks * (part + 1) / n_parts * MOTE_KV_BLOCK;
    attend(j, row, q, begin, part + 1 < n_parts ? end : n, sum, ld, stats, scratch);
}

/* A head's sum so far and one more part; stats as mote_kernels.attend has them.
 * Whichever has the lower top is scaled. NaN in a part makes all of them NaN. */
static void join(const mote_kernels *k, float *out, float *stats, const float *sum,
        const float *sum_stats, uint32_t n)
{
    if (sum_stats[0] > stats[0]) {
        const float scale = expf(stats[0] - sum_stats[0]);
        k->scale_add(out, scale, sum, n);
        stats[0] = sum_stats[0];
        stats[1] = stats[1] * scale + sum_stats[1];
    } else {
        const float scale = expf(sum_stats[0] - stats[0]);
        k->axpy(out, scale, sum, n);
        stats[1] += sum_stats[1] * scale;
    }
}

static void divide(float *out, float total, uint32_t n)
{
    const float factor = 1.0f / total;
    for (uint32_t i = 0; i < n; i++)
        out[i] *= factor;
}

void mote__attend_join(const mote__mla_job *j, float *out, const float *sum,
        size_t ld_sum, const float *stats, size_t ld_stats, uint32_t n_parts)
{
    const uint32_t r = j->net->config.kv_lora_rank;
    float all[2] = {stats[0], stats[1]};
    for (uint32_t p = 0; p < n_parts; p++) /* half of them are in other cores' caches */
        mote__ask_for(sum + p * ld_sum, r);
    memcpy(out, sum, r * sizeof *out);
    for (uint32_t p = 1; p < n_parts; p++)
        join(&j->net->k, out, all, sum + p * ld_sum, stats + p * ld_stats, r);
    divide(out, all[1], r);
}

size_t mote__attend_spare(uint32_t n_heads, uint32_t kv_lora_rank)
{
    return (size_t)n_heads * (kv_lora_rank + 4);
}

void mote__attend_row(const mote__mla_job *j, const mote__row *row,
        const mote__query *q, float *out, size_t ldo, float *spare, void *scratch)
{
    const uint32_t n = row->position + 1, n_parts = mote__parts_of(n);
    if (n_parts == 1) {
        attend(j, row, q, 0, n, out, ldo, NULL, scratch);
        return;
    }
    const uint32_t r = j->net->config.kv_lora_rank, nh = q->n_heads;
    float *all = spare + (size_t)nh * r, *stats = all + 2 * nh;
    mote__attend_part(j, row, q, 0, n_parts, out, ldo, all, scratch);
    for (uint32_t p = 1; p < n_parts; p++) {
        mote__attend_part(j, row, q, p, n_parts, spare, r, stats, scratch);
        for (uint32_t h = 0; h < nh; h++)
            join(&j->net->k, out + h * ldo, all + 2 * h, spare + (size_t)h * r,
                    stats + 2 * h, r);
    }
    for (uint32_t h = 0; h < nh; h++)
        divide(out + h * ldo, all[2 * h + 1], r);
}
