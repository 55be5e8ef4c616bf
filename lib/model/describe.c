/* SPDX-License-Identifier: MIT */
/* What a model is, in numbers, from its configuration and layout alone. */
#include "model/model.h"

#include <string.h>

uint64_t mote__kv_token_bytes(const mote__config *c, uint32_t n_layers, uint32_t kv)
{
    return (uint64_t)n_layers *
           mote_k_kv_block_bytes(kv, c->kv_lora_rank, c->qk_rope_head_dim) /
           MOTE_KV_BLOCK;
}

static void count(mote_model_info *info, const mote__config *c, const mote__layout *l)
{
    for (size_t i = 0; i < l->n_slots; i++) {
        const mote__slot *s = &l->slots[i];
        uint64_t params = (uint64_t)s->stack * s->n_rows * s->n_cols,
                 bytes = s->n_bytes + s->scale_bytes;
        switch (s->form) {
        case MOTE_K_E4M3:
            info->bytes_fp8 += bytes;
            break;
        case MOTE_K_I8:
            info->bytes_int8 += bytes;
            break;
        case MOTE_K_I4:
            info->bytes_int4 += bytes;
            break;
        case MOTE_K_BF16:
        case MOTE__FORM_ROWS_BF16:
            info->bytes_bf16 += bytes;
            break;
        default:
            info->bytes_f32 += bytes;
            break;
        }
        if (s->layer >= c->num_hidden_layers) {
            info->parameters_mtp += params;
            continue;
        }
        if (s->role == MOTE__ROLE_EMBED) {
            /* tied: the head is the same parameters */
            info->parameters_total += c->tie_word_embeddings ? 0 : params;
            continue;
        }
        info->parameters_total += params;
        if (s->role < MOTE__ROLE_EXPERT_GATE) {
            info->parameters_active += params;
            info->bytes_active += bytes;
        } else if (s->expert < c->num_experts_per_tok) { /* as many as are chosen */
            info->parameters_active += params;
            info->bytes_active += bytes;
        }
    }
}

void mote__model_describe(
        mote_model_info *info, const mote__config *c, const mote__layout *l)
{
    uint32_t struct_size = info->struct_size;
    memset(info, 0, sizeof *info);
    info->struct_size = struct_size;
    info->architecture = c->architecture;
    info->vocab_size = c->vocab_size;
    info->hidden_size = c->hidden_size;
    info->num_hidden_layers = c->num_hidden_layers;
    info->first_k_dense_replace = c->first_k_dense_replace;
    info->num_attention_heads = c->num_attention_heads;
    info->q_lora_rank = c->q_lora_rank;
    info->kv_lora_rank = c->kv_lora_rank;
    info->qk_nope_head_dim = c->qk_nope_head_dim;
    info->qk_rope_head_dim = c->qk_rope_head_dim;
    info->v_head_dim = c->v_head_dim;
    info->intermediate_size = c->intermediate_size;
    info->moe_intermediate_size = c->moe_intermediate_size;
    info->n_routed_experts = c->n_routed_experts;
    info->n_shared_experts = c->n_shared_experts;
    info->num_experts_per_tok = c->num_experts_per_tok;
    info->n_group = c->n_group;
    info->topk_group = c->topk_group;
    info->num_nextn_predict_layers = c->num_nextn_predict_layers;
    info->mtp_loaded = l->mtp;
    info->max_position_embeddings = c->max_position_embeddings;
    info->yarn = c->yarn;
    info->tied = c->tie_word_embeddings;
    info->scoring = c->scoring_func;
    info->routing = c->topk_method;
    info->routed_scaling_factor = c->routed_scaling_factor;
    info->rope_theta = (float)c->rope_theta;
    info->rope_factor = c->yarn ? (float)c->rope_factor : 1.0f;
    info->rms_norm_eps = c->rms_norm_eps;
    info->bos_token_id = c->bos_token_id;
    info->eos_token_id = c->eos_token_id;
    count(info, c, l);
    info->bytes_allocated = l->arena_bytes;
    info->kv_bytes_per_token_f32 = mote__kv_token_bytes(c, l->n_layers, MOTE_K_KV_F32);
    info->kv_bytes_per_token_bf16 =
            mote__kv_token_bytes(c, l->n_layers, MOTE_K_KV_BF16);
    info->kv_bytes_per_token_fp8 = mote__kv_token_bytes(c, l->n_layers, MOTE_K_KV_FP8);
}
