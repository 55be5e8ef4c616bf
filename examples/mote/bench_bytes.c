/* SPDX-License-Identifier: MIT */
#include "bench_bytes.h"
#include <math.h>
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

static double bytes_per_expert_weight(const mote_model_info *info)
{
    switch (bench_main_type(info)) {
    case 'b':
        return 2;
    case '8':
        return 1 + 4.0 / (16 * 128); /* a float scale per 16x128 block */
    case 'i':
        return 1 + 4.0 / 64;
    case '4':
        return 0.5 + 4.0 / 32;
    default:
        return 4;
    }
}

static double expert_bytes(const mote_model_info *info)
{
    return 3.0 * info->hidden_size * info->moe_intermediate_size *
           bytes_per_expert_weight(info);
}

/* Distinct experts that `tokens` independent, uniform choices of k hit. */
static double distinct_experts(const mote_model_info *info, double tokens)
{
    const double n = info->n_routed_experts, k = info->num_experts_per_tok;
    return n > 0 ? n * (1 - pow(1 - k / n, tokens)) : 0;
}

double bench_pass_bytes(const mote_model_info *info, double tokens)
{
    const uint32_t dense = info->first_k_dense_replace < info->num_hidden_layers
                                   ? info->first_k_dense_replace
                                   : info->num_hidden_layers;
    const double layers = info->num_hidden_layers - dense;
    const double experts = layers * expert_bytes(info);
    const double fixed =
            (double)info->bytes_active -
            experts * (info->n_routed_experts ? info->num_experts_per_tok : 0);
    return fixed + experts * distinct_experts(info, tokens);
}

double bench_draft_bytes(const mote_model_info *info)
{
    const double h = info->hidden_size, heads = info->num_attention_heads;
    const double qk = (double)info->qk_nope_head_dim + info->qk_rope_head_dim;
    const double q =
            info->q_lora_rank ? info->q_lora_rank * (h + heads * qk) : h * heads * qk;
    const double kv = h * (info->kv_lora_rank + (double)info->qk_rope_head_dim) +
                      info->kv_lora_rank * heads *
                              (info->qk_nope_head_dim + (double)info->v_head_dim);
    const double attention = q + kv + heads * info->v_head_dim * h;
    const double experts =
            ((double)info->num_experts_per_tok + info->n_shared_experts) * 3 * h *
                    info->moe_intermediate_size +
            info->n_routed_experts * h;
    const double head = (double)info->vocab_size * h;
    const double per_weight =
            (double)info->bytes_active / (double)info->parameters_active;
    return (2 * h * h + attention + experts + head) * per_weight;
}

uint64_t bench_kv_bytes(const mote_model_info *info, uint32_t kv_type, uint32_t depth)
{
    const uint64_t per_token = kv_type == MOTE_KV_F32   ? info->kv_bytes_per_token_f32
                               : kv_type == MOTE_KV_FP8 ? info->kv_bytes_per_token_fp8
                                                        : info->kv_bytes_per_token_bf16;
    return per_token * depth;
}
