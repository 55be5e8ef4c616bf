/* SPDX-License-Identifier: MIT */
#include "bench_bytes.h"
#include <mote/session.h>

double bench_prefill_flops(const mote_model_info *info, uint32_t tokens)
{
    const double head = (double)info->vocab_size * info->hidden_size;
    const double body = (double)info->parameters_active - head;
    return 2 * (body * tokens + head);
}

char bench_main_type(const mote_model_info *info)
{
    const uint64_t bytes[] = {info->bytes_bf16, info->bytes_fp8, info->bytes_int8,
            info->bytes_int4, info->bytes_f32};
    int best = 0;
    for (int i = 1; i < 5; i++)
        if (bytes[i] > bytes[best])
            best = i;
    return "b8i4f"[best];
}

uint64_t bench_kv_bytes(const mote_model_info *info, uint32_t kv_type, uint32_t depth)
{
    const uint64_t per_token = kv_type == MOTE_KV_F32   ? info->kv_bytes_per_token_f32
                               : kv_type == MOTE_KV_FP8 ? info->kv_bytes_per_token_fp8
                                                        : info->kv_bytes_per_token_bf16;
    return per_token * depth;
}
