/* SPDX-License-Identifier: MIT */
/* Absorbed attention of one row over its cached latents, in parts.
 *
 * From 2 * MOTE__PART_TOKENS positions on, a row's context is cut into parts of about
 * equal size, whose weighted sums are joined in order. Where parts begin follows from
 * the row's position alone, so a row has the same bits whether one thread walks its
 * parts or several do, each for all heads: then each reads only its share of the cache,
 * which threads that share heads would each read whole. */
#ifndef MOTE_MODEL_ATTEND_H
#define MOTE_MODEL_ATTEND_H
#include "model/work.h"

/* Queries of n_heads heads of one row. */
typedef struct mote__query {
    const float *q_c, *q_pe;
    size_t ldq_c, ldq_pe; /* between heads */
    uint32_t n_heads;
} mote__query;

enum {
    MOTE__PARTS = 16,         /* of a row at most */
    MOTE__PART_TOKENS = 1024, /* of each of two parts at least */
    MOTE__MORE_TOKENS = 2048  /* of each of more: to join them costs, too */
};

/* Parts of a context of n_tokens. */
uint32_t mote__parts_of(uint32_t n_tokens);
/* Part `part` of n_parts of a row, whole blocks but for the end of the last one:
 * sum[n_heads] rows of kv_lora_rank, ld floats apart, and stats[n_heads][2], as
 * mote_kernels.attend has them. */
void mote__attend_part(const mote__mla_job *j, const mote__row *row,
        const mote__query *q, uint32_t part, uint32_t n_parts, float *sum, size_t ld,
        float *stats, void *scratch);
/* One head's result out[kv_lora_rank]: n_parts sums joined, the first at sum and stats,
 * the next ld_sum and ld_stats floats behind. */
void mote__attend_join(const mote__mla_job *j, float *out, const float *sum,
        size_t ld_sum, const float *stats, size_t ld_stats, uint32_t n_parts);
/* The same of all parts and heads, one after another: out + h * ldo. spare: floats that
 * mote__attend_spare() counts. */
size_t mote__attend_spare(uint32_t n_heads, uint32_t kv_lora_rank);
void mote__attend_row(const mote__mla_job *j, const mote__row *row,
        const mote__query *q, float *out, size_t ldo, float *spare, void *scratch);
#endif
