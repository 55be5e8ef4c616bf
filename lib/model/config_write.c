/* SPDX-License-Identifier: MIT */
/* A configuration as config.json text: what packs of synthetic models carry. */
#include "model/config.h"

#include "mote/model.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const model_types[] = {[MOTE_ARCH_DEEPSEEK_V2] = "deepseek_v2",
        [MOTE_ARCH_DEEPSEEK_V3] = "deepseek_v3",
        [MOTE_ARCH_KIMI_K2] = "kimi_k2"};
static const char *const topk_methods[] = {
        "greedy", "group_limited_greedy", "noaux_tc"};

typedef struct number {
    char text[32];
} number;

/* A number with a point, whatever the host's locale. */
static number of(double v)
{
    number n;
    snprintf(n.text, sizeof n.text, "%.17g", v);
    for (char *p = n.text; *p; p++)
        if (*p == ',')
            *p = '.';
    return n;
}

char *mote__config_write(const mote__config *c)
{
    enum { SIZE = 4096 };
    char *text = malloc(SIZE), q_lora[16] = "null", rope[512] = "null";
    if (!text)
        return NULL;
    if (c->q_lora_rank)
        snprintf(q_lora, sizeof q_lora, "%u", c->q_lora_rank);
    if (c->yarn)
        snprintf(rope, sizeof rope,
                "{\"type\": \"yarn\", \"factor\": %s, \"beta_fast\": %s, "
                "\"beta_slow\": %s, \"mscale\": %s, \"mscale_all_dim\": %s, "
                "\"original_max_position_embeddings\": %u}",
                of(c->rope_factor).text, of(c->beta_fast).text, of(c->beta_slow).text,
                of(c->mscale).text, of(c->mscale_all_dim).text,
                c->original_max_position_embeddings);
    int n = snprintf(text, SIZE,
            "{\"model_type\": \"%s\", \"vocab_size\": %u, \"hidden_size\": %u, "
            "\"num_hidden_layers\": %u, \"first_k_dense_replace\": %u, "
            "\"moe_layer_freq\": %u, \"num_attention_heads\": %u, "
            "\"num_key_value_heads\": %u, \"q_lora_rank\": %s, \"kv_lora_rank\": %u, "
            "\"qk_nope_head_dim\": %u, \"qk_rope_head_dim\": %u, \"v_head_dim\": %u, "
            "\"intermediate_size\": %u, \"moe_intermediate_size\": %u, "
            "\"n_routed_experts\": %u, \"n_shared_experts\": %u, "
            "\"num_experts_per_tok\": %u, \"n_group\": %u, \"topk_group\": %u, "
            "\"num_nextn_predict_layers\": %u, \"max_position_embeddings\": %u, "
            "\"scoring_func\": \"%s\", \"topk_method\": \"%s\", "
            "\"norm_topk_prob\": %s, \"tie_word_embeddings\": %s, "
            "\"routed_scaling_factor\": %s, \"rms_norm_eps\": %s, "
            "\"rope_theta\": %s, \"rope_scaling\": %s, \"hidden_act\": \"silu\", "
            "\"bos_token_id\": %d, \"eos_token_id\": %d}\n",
            model_types[c->architecture], c->vocab_size, c->hidden_size,
            c->num_hidden_layers, c->first_k_dense_replace, c->moe_layer_freq,
            c->num_attention_heads, c->num_attention_heads, q_lora, c->kv_lora_rank,
            c->qk_nope_head_dim, c->qk_rope_head_dim, c->v_head_dim,
            c->intermediate_size, c->moe_intermediate_size, c->n_routed_experts,
            c->n_shared_experts, c->num_experts_per_tok, c->n_group, c->topk_group,
            c->num_nextn_predict_layers, c->max_position_embeddings,
            c->scoring_func == MOTE__SCORING_SIGMOID ? "sigmoid" : "softmax",
            topk_methods[c->topk_method], c->norm_topk_prob ? "true" : "false",
            c->tie_word_embeddings ? "true" : "false",
            of((double)c->routed_scaling_factor).text, of((double)c->rms_norm_eps).text,
            of(c->rope_theta).text, rope, c->bos_token_id, c->eos_token_id);
    if (n < 0 || n >= SIZE) {
        free(text);
        return NULL;
    }
    return text;
}
