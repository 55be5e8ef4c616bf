/* SPDX-License-Identifier: MIT */
/* Published shapes, so that speed can be learned before a download. */
#include "model/model.h"

#include <string.h>

#define YARN(original, s)                                                              \
    .yarn = 1, .original_max_position_embeddings = (original), .rope_factor = 40,      \
    .beta_fast = 32, .beta_slow = 1, .mscale = (s), .mscale_all_dim = (s)
#define COMMON                                                                         \
    .moe_layer_freq = 1, .kv_lora_rank = 512, .qk_nope_head_dim = 128,                 \
    .qk_rope_head_dim = 64, .v_head_dim = 128, .rms_norm_eps = 1e-6f,                  \
    .bos_token_id = 0, .eos_token_id = 1

static const struct {
    const char *name;
    mote__config config;
} presets[] = {
        {"deepseek-v2-lite", {.architecture = MOTE_ARCH_DEEPSEEK_V2,
                                     COMMON,
                                     .vocab_size = 102400,
                                     .hidden_size = 2048,
                                     .num_hidden_layers = 27,
                                     .first_k_dense_replace = 1,
                                     .num_attention_heads = 16,
                                     .intermediate_size = 10944,
                                     .moe_intermediate_size = 1408,
                                     .n_routed_experts = 64,
                                     .n_shared_experts = 2,
                                     .num_experts_per_tok = 6,
                                     .n_group = 1,
                                     .topk_group = 1,
                                     .max_position_embeddings = 163840,
                                     .scoring_func = MOTE__SCORING_SOFTMAX,
                                     .topk_method = MOTE__TOPK_GREEDY,
                                     .routed_scaling_factor = 1,
                                     .rope_theta = 10000,
                                     YARN(4096, 0.707)}},
        {"moonlight-16b", {.architecture = MOTE_ARCH_DEEPSEEK_V3,
                                  COMMON,
                                  .vocab_size = 163840,
                                  .hidden_size = 2048,
                                  .num_hidden_layers = 27,
                                  .first_k_dense_replace = 1,
                                  .num_attention_heads = 16,
                                  .intermediate_size = 11264,
                                  .moe_intermediate_size = 1408,
                                  .n_routed_experts = 64,
                                  .n_shared_experts = 2,
                                  .num_experts_per_tok = 6,
                                  .n_group = 1,
                                  .topk_group = 1,
                                  .max_position_embeddings = 8192,
                                  .scoring_func = MOTE__SCORING_SIGMOID,
                                  .topk_method = MOTE__TOPK_NOAUX_TC,
                                  .norm_topk_prob = 1,
                                  .routed_scaling_factor = 2.446f,
                                  .rope_theta = 50000}},
        {"deepseek-v3", {.architecture = MOTE_ARCH_DEEPSEEK_V3,
                                COMMON,
                                .vocab_size = 129280,
                                .hidden_size = 7168,
                                .num_hidden_layers = 61,
                                .first_k_dense_replace = 3,
                                .num_attention_heads = 128,
                                .q_lora_rank = 1536,
                                .intermediate_size = 18432,
                                .moe_intermediate_size = 2048,
                                .n_routed_experts = 256,
                                .n_shared_experts = 1,
                                .num_experts_per_tok = 8,
                                .n_group = 8,
                                .topk_group = 4,
                                .num_nextn_predict_layers = 1,
                                .max_position_embeddings = 163840,
                                .scoring_func = MOTE__SCORING_SIGMOID,
                                .topk_method = MOTE__TOPK_NOAUX_TC,
                                .norm_topk_prob = 1,
                                .routed_scaling_factor = 2.5f,
                                .rope_theta = 10000,
                                YARN(4096, 1.0)}},
        {"kimi-k2", {.architecture = MOTE_ARCH_KIMI_K2,
                            COMMON,
                            .vocab_size = 163840,
                            .hidden_size = 7168,
                            .num_hidden_layers = 61,
                            .first_k_dense_replace = 1,
                            .num_attention_heads = 64,
                            .q_lora_rank = 1536,
                            .intermediate_size = 18432,
                            .moe_intermediate_size = 2048,
                            .n_routed_experts = 384,
                            .n_shared_experts = 1,
                            .num_experts_per_tok = 8,
                            .n_group = 1,
                            .topk_group = 1,
                            .max_position_embeddings = 131072,
                            .scoring_func = MOTE__SCORING_SIGMOID,
                            .topk_method = MOTE__TOPK_NOAUX_TC,
                            .norm_topk_prob = 1,
                            .routed_scaling_factor = 2.827f,
                            .rope_theta = 50000,
                            .yarn = 1,
                            .original_max_position_embeddings = 4096,
                            .rope_factor = 32,
                            .beta_fast = 1,
                            .beta_slow = 1,
                            .mscale = 1,
                            .mscale_all_dim = 1}},
        /* the bundled model's: for trying things out */
        {"tiny-v3", {.architecture = MOTE_ARCH_DEEPSEEK_V3,
                            .vocab_size = 4096,
                            .hidden_size = 256,
                            .num_hidden_layers = 5,
                            .first_k_dense_replace = 1,
                            .moe_layer_freq = 1,
                            .num_attention_heads = 8,
                            .q_lora_rank = 96,
                            .kv_lora_rank = 64,
                            .qk_nope_head_dim = 32,
                            .qk_rope_head_dim = 16,
                            .v_head_dim = 32,
                            .intermediate_size = 512,
                            .moe_intermediate_size = 64,
                            .n_routed_experts = 16,
                            .n_shared_experts = 1,
                            .num_experts_per_tok = 4,
                            .n_group = 4,
                            .topk_group = 2,
                            .num_nextn_predict_layers = 1,
                            .max_position_embeddings = 512,
                            .scoring_func = MOTE__SCORING_SIGMOID,
                            .topk_method = MOTE__TOPK_NOAUX_TC,
                            .norm_topk_prob = 1,
                            .routed_scaling_factor = 2.5f,
                            .rms_norm_eps = 1e-6f,
                            .rope_theta = 10000,
                            .bos_token_id = 0,
                            .eos_token_id = 1}},
};

int mote__preset(mote__config *out, const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (!strcmp(name, presets[i].name)) {
            *out = presets[i].config;
            return 1;
        }
    return 0;
}

const char *mote__preset_name(uint32_t index)
{
    return index < sizeof presets / sizeof *presets ? presets[index].name : NULL;
}
