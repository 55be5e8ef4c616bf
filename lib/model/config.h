/* SPDX-License-Identifier: MIT */
/* config.json as the forward pass needs it. Field names are Hugging Face's. After
 * mote__config_parse every field is in bounds and consistent: nothing below checks again. */
#ifndef MOTE_MODEL_CONFIG_H
#define MOTE_MODEL_CONFIG_H
#include "mote/common.h"

enum mote__scoring { MOTE__SCORING_SOFTMAX, MOTE__SCORING_SIGMOID };
enum mote__topk_method { MOTE__TOPK_GREEDY, MOTE__TOPK_GROUP_LIMITED_GREEDY, MOTE__TOPK_NOAUX_TC };

typedef struct mote__config {
    int32_t architecture; /* MOTE_ARCH_... */
    uint32_t vocab_size, hidden_size, num_hidden_layers, first_k_dense_replace, moe_layer_freq;
    uint32_t num_attention_heads, q_lora_rank /* 0: none */, kv_lora_rank;
    uint32_t qk_nope_head_dim, qk_rope_head_dim, v_head_dim;
    uint32_t intermediate_size, moe_intermediate_size;
    uint32_t n_routed_experts /* 0: dense model */, n_shared_experts, num_experts_per_tok;
    uint32_t n_group, topk_group; /* 1, 1 without groups */
    uint32_t num_nextn_predict_layers;
    uint32_t max_position_embeddings;
    uint32_t scoring_func;   /* enum mote__scoring */
    uint32_t topk_method;    /* enum mote__topk_method */
    uint32_t norm_topk_prob; /* 0 or 1 */
    uint32_t tie_word_embeddings;
    uint32_t attention_bias; /* 0 or 1: q_a/kv_a/o biases present */
    float routed_scaling_factor; /* 1 when absent */
    float rms_norm_eps;
    double rope_theta;
    /* YaRN; yarn == 0: plain RoPE */
    uint32_t yarn, original_max_position_embeddings;
    double rope_factor, beta_fast, beta_slow, mscale, mscale_all_dim;
    /* FP8 checkpoints: weight_block_size, 0 when not quantised */
    uint32_t fp8_block_rows, fp8_block_cols;
    uint32_t scale_ue8m0; /* scale_fmt == "ue8m0" */
    int32_t bos_token_id, eos_token_id; /* -1: none */
} mote__config;

/* 1 when layer (0-based, below num_hidden_layers) has experts; MTP layers always have. */
int mote__config_is_moe(const mote__config *c, uint32_t layer);

/* Parse config.json. An unknown value of a field that changes the arithmetic, a missing
 * required field, a wrong type or an inconsistency is an error that names the field, what
 * was expected and what was found. */
mote_status mote__config_parse(
        mote__config *out, const char *json, size_t size, mote_error *err);
/* config.json text (from malloc) that parses to *c again; NULL when out of memory. */
char *mote__config_write(const mote__config *c);
/* generation_config.json: temperature and top_p (0 when absent or do_sample is false). */
mote_status mote__generation_config_parse(float *temperature, float *top_p,
        const char *json, size_t size, mote_error *err);
#endif
