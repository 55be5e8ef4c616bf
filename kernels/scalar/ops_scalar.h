/* SPDX-License-Identifier: MIT */
/* The scalar operations, one by one: the specification, and what a faster variant falls
 * back to. The contract of each is in kernels.h. */
#ifndef MOTE_KERNELS_SCALAR_OPS_SCALAR_H
#define MOTE_KERNELS_SCALAR_OPS_SCALAR_H
#include "kernels/kernels.h"

/* Sum of a[i] * b[i]: 16 partial sums, element i in sum i % 16, then added in pairs. */
float mote__dot_scalar(const float *a, const float *b, size_t n);
/* max + log(sum); where no number is above -inf: NaN if there is one, or -inf. */
float mote__lse_of(const float *x, uint32_t n, float max, double sum);

void mote__kv_store_scalar(void *block, uint32_t kv, uint32_t slot, const float *c_kv,
        uint32_t kv_lora_rank, const float *k_pe, uint32_t rope);
void mote__kv_load_scalar(float *c_kv, float *k_pe, const void *block, uint32_t kv,
        uint32_t slot, uint32_t kv_lora_rank, uint32_t rope);
size_t mote__attend_scratch_scalar(
        uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope);
void mote__attend_scalar(float *out, size_t ldo, const float *q, size_t ldq,
        const float *q_pe, size_t ldq_pe, const void *const *blocks, uint32_t kv,
        uint32_t n_tokens, uint32_t n_heads, uint32_t kv_lora_rank, uint32_t rope,
        float scale, float *stats, uint32_t more, void *scratch);
#endif
