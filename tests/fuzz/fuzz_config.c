/* SPDX-License-Identifier: MIT */
/* config.json and generation_config.json: whatever is accepted is in bounds and
 * consistent, since nothing below checks again. */
#include "fuzz_target.h"

#include "model/config.h"
#include "mote/model.h"

#include <math.h>
#include <string.h>

static void check(const mote__config *c)
{
    FUZZ_CHECK(c->architecture >= MOTE_ARCH_DEEPSEEK_V2 &&
               c->architecture <= MOTE_ARCH_KIMI_K2);
    FUZZ_CHECK(c->vocab_size && c->vocab_size <= 1u << 24);
    FUZZ_CHECK(c->hidden_size && c->hidden_size <= 1u << 20);
    FUZZ_CHECK(c->intermediate_size && c->intermediate_size <= 1u << 20);
    FUZZ_CHECK(c->num_hidden_layers && c->num_hidden_layers <= 4096);
    FUZZ_CHECK(c->num_nextn_predict_layers <= 64);
    FUZZ_CHECK(c->max_position_embeddings && c->max_position_embeddings <= 1u << 30);
    FUZZ_CHECK(c->num_attention_heads && c->kv_lora_rank && c->qk_nope_head_dim);
    FUZZ_CHECK(c->v_head_dim && c->qk_rope_head_dim && c->qk_rope_head_dim % 2 == 0);
    FUZZ_CHECK((uint64_t)c->num_attention_heads *
                       (c->qk_nope_head_dim + c->qk_rope_head_dim) <=
               1u << 24);
    FUZZ_CHECK(
            (uint64_t)c->num_attention_heads * (c->qk_nope_head_dim + c->v_head_dim) <=
            1u << 24);
    FUZZ_CHECK(c->attention_bias == 0 && c->tie_word_embeddings <= 1);
    FUZZ_CHECK(c->rms_norm_eps > 0 && isfinite(c->rope_theta) && c->rope_theta >= 1);
    FUZZ_CHECK(c->n_group && c->topk_group && c->moe_layer_freq);
    FUZZ_CHECK(c->routed_scaling_factor > 0 && isfinite(c->routed_scaling_factor));
    if (c->n_routed_experts) {
        FUZZ_CHECK(c->n_routed_experts <= 65536 && c->moe_intermediate_size);
        FUZZ_CHECK(c->n_routed_experts % c->n_group == 0);
        FUZZ_CHECK(c->topk_group <= c->n_group);
        FUZZ_CHECK(c->num_experts_per_tok &&
                   c->num_experts_per_tok <=
                           c->n_routed_experts / c->n_group * c->topk_group);
        FUZZ_CHECK(c->topk_method <= MOTE__TOPK_NOAUX_TC && c->norm_topk_prob <= 1);
        FUZZ_CHECK(c->scoring_func <= MOTE__SCORING_SIGMOID);
        FUZZ_CHECK(c->topk_method != MOTE__TOPK_NOAUX_TC || c->n_group == 1 ||
                   c->n_routed_experts / c->n_group >= 2);
    }
    if (c->yarn) {
        FUZZ_CHECK(c->rope_factor >= 1 && isfinite(c->rope_factor));
        FUZZ_CHECK(c->beta_slow > 0 && c->beta_fast >= c->beta_slow);
        FUZZ_CHECK(c->original_max_position_embeddings > 0);
        FUZZ_CHECK(c->mscale >= 0 && c->mscale_all_dim >= 0);
    }
    FUZZ_CHECK(c->fp8_block_rows == c->fp8_block_cols);
    FUZZ_CHECK(c->fp8_block_rows == 0 || c->fp8_block_rows == 128);
    FUZZ_CHECK(c->bos_token_id >= -1 && c->bos_token_id < (int32_t)c->vocab_size);
    FUZZ_CHECK(c->eos_token_id >= -1 && c->eos_token_id < (int32_t)c->vocab_size);
    for (uint32_t i = 0; i < c->num_hidden_layers + c->num_nextn_predict_layers; i++)
        FUZZ_CHECK(!mote__config_is_moe(c, i) || c->n_routed_experts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mote__config c;
    mote_error err;
    const char *text = (const char *)data;
    mote_status st = mote__config_parse(&c, text, size, &err);
    if (st < 0) {
        FUZZ_CHECK(err.status == st && memchr(err.message, 0, sizeof err.message));
        FUZZ_CHECK(c.vocab_size == 0);
    } else {
        check(&c);
    }
    float t, p;
    if (mote__generation_config_parse(&t, &p, text, size, NULL) >= 0)
        FUZZ_CHECK(t >= 0 && t <= 100 && p >= 0 && p <= 1);
    else
        FUZZ_CHECK(t == 0 && p == 0);
    return 0;
}
