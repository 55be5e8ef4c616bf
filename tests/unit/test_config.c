/* SPDX-License-Identifier: MIT */
/* config.json: the published models' values arrive, and what cannot be computed is
 * refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/config.h"
#include "mote/model.h"

/* ---- configurations with the values the models were published with ---- */

#define COMMON                                                                         \
    "\"attention_bias\": false, \"attention_dropout\": 0.0, \"hidden_act\": \"silu\"," \
    "\"initializer_range\": 0.02, \"use_cache\": true, \"seq_aux\": true,"             \
    "\"aux_loss_alpha\": 0.001, \"ep_size\": 1, \"pretraining_tp\": 1,"                \
    "\"torch_dtype\": \"bfloat16\", \"tie_word_embeddings\": false,"                   \
    "\"moe_layer_freq\": 1, \"kv_lora_rank\": 512, \"qk_nope_head_dim\": 128,"         \
    "\"qk_rope_head_dim\": 64, \"v_head_dim\": 128,"

#define V2                                                                             \
    "{" COMMON "\"architectures\": [\"DeepseekV2ForCausalLM\"],"                       \
    "\"model_type\": \"deepseek_v2\", \"transformers_version\": \"4.39.3\","           \
    "\"auto_map\": {\"AutoConfig\": \"configuration_deepseek.DeepseekV2Config\"},"     \
    "\"vocab_size\": 102400, \"hidden_size\": 5120, \"intermediate_size\": 12288,"     \
    "\"moe_intermediate_size\": 1536, \"num_hidden_layers\": 60,"                      \
    "\"num_attention_heads\": 128, \"num_key_value_heads\": 128, \"q_lora_rank\": "    \
    "1536,"                                                                            \
    "\"n_routed_experts\": 160, \"n_shared_experts\": 2, \"num_experts_per_tok\": 6,"  \
    "\"n_group\": 8, \"topk_group\": 3, \"topk_method\": \"group_limited_greedy\","    \
    "\"scoring_func\": \"softmax\", \"norm_topk_prob\": false,"                        \
    "\"routed_scaling_factor\": 16.0, \"first_k_dense_replace\": 1,"                   \
    "\"max_position_embeddings\": 163840, \"rms_norm_eps\": 1e-06,"                    \
    "\"rope_theta\": 10000, \"rope_scaling\": {\"beta_fast\": 32, \"beta_slow\": 1,"   \
    "\"factor\": 40, \"mscale\": 1.0, \"mscale_all_dim\": 1.0,"                        \
    "\"original_max_position_embeddings\": 4096, \"type\": \"yarn\"},"                 \
    "\"bos_token_id\": 100000, \"eos_token_id\": 100001}"

#define V2_LITE                                                                        \
    "{" COMMON "\"architectures\": [\"DeepseekV2ForCausalLM\"],"                       \
    "\"model_type\": \"deepseek_v2\", \"vocab_size\": 102400, \"hidden_size\": 2048,"  \
    "\"intermediate_size\": 10944, \"moe_intermediate_size\": 1408,"                   \
    "\"num_hidden_layers\": 27, \"num_attention_heads\": 16,"                          \
    "\"num_key_value_heads\": 16, \"q_lora_rank\": null, \"n_routed_experts\": 64,"    \
    "\"n_shared_experts\": 2, \"num_experts_per_tok\": 6, \"n_group\": 1,"             \
    "\"topk_group\": 1, \"topk_method\": \"greedy\", \"scoring_func\": \"softmax\","   \
    "\"norm_topk_prob\": false, \"routed_scaling_factor\": 1.0,"                       \
    "\"first_k_dense_replace\": 1, \"max_position_embeddings\": 163840,"               \
    "\"rms_norm_eps\": 1e-06, \"rope_theta\": 10000, \"rope_scaling\": {"              \
    "\"beta_fast\": 32, \"beta_slow\": 1, \"factor\": 40, \"mscale\": 0.707,"          \
    "\"mscale_all_dim\": 0.707, \"original_max_position_embeddings\": 4096,"           \
    "\"type\": \"yarn\"}, \"bos_token_id\": 100000, \"eos_token_id\": 100001}"

#define V3_QUANT                                                                       \
    "\"quantization_config\": {\"activation_scheme\": \"dynamic\", \"fmt\": \"e4m3\"," \
    "\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}"
#define V31_QUANT                                                                      \
    "\"quantization_config\": {\"activation_scheme\": \"dynamic\", \"fmt\": \"e4m3\"," \
    "\"quant_method\": \"fp8\", \"scale_fmt\": \"ue8m0\","                             \
    "\"weight_block_size\": [128, 128]}"
#define V3_BODY(quant)                                                                 \
    COMMON "\"architectures\": [\"DeepseekV3ForCausalLM\"],"                           \
           "\"model_type\": \"deepseek_v3\", \"vocab_size\": 129280, "                 \
           "\"hidden_size\": 7168,"                                                    \
           "\"intermediate_size\": 18432, \"moe_intermediate_size\": 2048,"            \
           "\"num_hidden_layers\": 61, \"num_nextn_predict_layers\": 1,"               \
           "\"num_attention_heads\": 128, \"num_key_value_heads\": 128, "              \
           "\"q_lora_rank\": 1536,"                                                    \
           "\"n_routed_experts\": 256, \"n_shared_experts\": 1, "                      \
           "\"num_experts_per_tok\": 8,"                                               \
           "\"n_group\": 8, \"topk_group\": 4, \"topk_method\": \"noaux_tc\","         \
           "\"scoring_func\": \"sigmoid\", \"norm_topk_prob\": true,"                  \
           "\"routed_scaling_factor\": 2.5, \"first_k_dense_replace\": 3,"             \
           "\"max_position_embeddings\": 163840, \"rms_norm_eps\": 1e-06,"             \
           "\"rope_theta\": 10000, \"rope_scaling\": {\"beta_fast\": 32, "             \
           "\"beta_slow\": 1,"                                                         \
           "\"factor\": 40, \"mscale\": 1.0, \"mscale_all_dim\": 1.0,"                 \
           "\"original_max_position_embeddings\": 4096, \"type\": \"yarn\"},"          \
           "\"bos_token_id\": 0, \"eos_token_id\": 1," quant
#define V3 "{" V3_BODY(V3_QUANT) "}"
#define V31 "{" V3_BODY(V31_QUANT) "}"
/* V3.2: V3 with sparse attention, in case somebody renames its model_type. */
#define V32                                                                            \
    "{\"index_head_dim\": 128, \"index_n_heads\": 64, \"index_topk\": 2048," V3_BODY(  \
            V31_QUANT) "}"

#define MOONLIGHT                                                                      \
    "{" COMMON "\"architectures\": [\"DeepseekV3ForCausalLM\"],"                       \
    "\"model_type\": \"deepseek_v3\", \"vocab_size\": 163840, \"hidden_size\": 2048,"  \
    "\"intermediate_size\": 11264, \"moe_intermediate_size\": 1408,"                   \
    "\"num_hidden_layers\": 27, \"num_nextn_predict_layers\": 0,"                      \
    "\"num_attention_heads\": 16, \"num_key_value_heads\": 16, \"q_lora_rank\": null," \
    "\"n_routed_experts\": 64, \"n_shared_experts\": 2, \"num_experts_per_tok\": 6,"   \
    "\"n_group\": 1, \"topk_group\": 1, \"topk_method\": \"noaux_tc\","                \
    "\"scoring_func\": \"sigmoid\", \"norm_topk_prob\": true,"                         \
    "\"routed_scaling_factor\": 2.446, \"first_k_dense_replace\": 1,"                  \
    "\"max_position_embeddings\": 8192, \"rms_norm_eps\": 1e-05,"                      \
    "\"rope_theta\": 50000.0, \"bos_token_id\": 163584, \"eos_token_id\": 163586}"

#define KIMI_K2                                                                        \
    "{" COMMON "\"architectures\": [\"DeepseekV3ForCausalLM\"],"                       \
    "\"model_type\": \"kimi_k2\", \"vocab_size\": 163840, \"hidden_size\": 7168,"      \
    "\"intermediate_size\": 18432, \"moe_intermediate_size\": 2048,"                   \
    "\"num_hidden_layers\": 61, \"num_nextn_predict_layers\": 0,"                      \
    "\"num_attention_heads\": 64, \"num_key_value_heads\": 64, \"q_lora_rank\": 1536," \
    "\"n_routed_experts\": 384, \"n_shared_experts\": 1, \"num_experts_per_tok\": 8,"  \
    "\"n_group\": 1, \"topk_group\": 1, \"topk_method\": \"noaux_tc\","                \
    "\"scoring_func\": \"sigmoid\", \"norm_topk_prob\": true,"                         \
    "\"routed_scaling_factor\": 2.827, \"first_k_dense_replace\": 1,"                  \
    "\"max_position_embeddings\": 131072, \"rms_norm_eps\": 1e-06,"                    \
    "\"rope_theta\": 50000.0, \"rope_scaling\": {\"beta_fast\": 1.0, \"beta_slow\": "  \
    "1.0,"                                                                             \
    "\"factor\": 32.0, \"mscale\": 1.0, \"mscale_all_dim\": 1.0,"                      \
    "\"original_max_position_embeddings\": 4096, \"type\": \"yarn\"},"                 \
    "\"bos_token_id\": 163584, \"eos_token_id\": 163586," V3_QUANT "}"

static mote__config parse(const char *json)
{
    mote__config c;
    mote_error err;
    if (mote__config_parse(&c, json, strlen(json), &err) < 0)
        fail_msg("%s", err.message);
    return c;
}

static void refuse(const char *json, mote_status status, const char *phrase)
{
    mote__config c;
    mote_error err = {MOTE_OK, ""};
    mote_status st = mote__config_parse(&c, json, strlen(json), &err);
    if (st != status || err.status != status || !strstr(err.message, phrase))
        fail_msg("expected %s with \"%s\", found %s with \"%s\"",
                mote_status_name(status), phrase, mote_status_name(st), err.message);
    assert_int_equal(c.vocab_size, 0);
    assert_int_equal(mote__config_parse(&c, json, strlen(json), NULL), status);
}

/* V3 or V2-Lite with one member replaced ("name": value), removed (value NULL) or
 * added. */
static char *edit(const char *base, const char *name, const char *value)
{
    char key[80];
    size_t n = strlen(base) + strlen(name) + (value ? strlen(value) : 0) + 16;
    char *out = malloc(n);
    assert_non_null(out);
    snprintf(key, sizeof key, "\"%s\": ", name);
    const char *at = strstr(base, key);
    if (!at) {
        snprintf(out, n, "{%s%s, %s", key, value, base + 1);
        return out;
    }
    const char *end = at + strlen(key);
    for (int depth = 0; *end && (depth || (*end != ',' && *end != '}')); end++)
        depth += (*end == '{' || *end == '[') - (*end == '}' || *end == ']');
    if (!value && *end == ',')
        end++;
    snprintf(out, n, "%.*s%s%s%s", (int)(at - base), base, value ? key : "",
            value ? value : "", end);
    return out;
}

static void refuse_edit(const char *base, const char *name, const char *value,
        mote_status status, const char *phrase)
{
    char *json = edit(base, name, value);
    refuse(json, status, phrase);
    free(json);
}

static mote__config parse_edit(const char *base, const char *name, const char *value)
{
    char *json = edit(base, name, value);
    mote__config c = parse(json);
    free(json);
    return c;
}

static void test_v3(void **state)
{
    (void)state;
    mote__config c = parse(V3);
    assert_int_equal(c.architecture, MOTE_ARCH_DEEPSEEK_V3);
    assert_int_equal(c.vocab_size, 129280);
    assert_int_equal(c.hidden_size, 7168);
    assert_int_equal(c.num_hidden_layers, 61);
    assert_int_equal(c.first_k_dense_replace, 3);
    assert_int_equal(c.moe_layer_freq, 1);
    assert_int_equal(c.num_attention_heads, 128);
    assert_int_equal(c.q_lora_rank, 1536);
    assert_int_equal(c.kv_lora_rank, 512);
    assert_int_equal(c.qk_nope_head_dim, 128);
    assert_int_equal(c.qk_rope_head_dim, 64);
    assert_int_equal(c.v_head_dim, 128);
    assert_int_equal(c.intermediate_size, 18432);
    assert_int_equal(c.moe_intermediate_size, 2048);
    assert_int_equal(c.n_routed_experts, 256);
    assert_int_equal(c.n_shared_experts, 1);
    assert_int_equal(c.num_experts_per_tok, 8);
    assert_int_equal(c.n_group, 8);
    assert_int_equal(c.topk_group, 4);
    assert_int_equal(c.num_nextn_predict_layers, 1);
    assert_int_equal(c.max_position_embeddings, 163840);
    assert_int_equal(c.scoring_func, MOTE__SCORING_SIGMOID);
    assert_int_equal(c.topk_method, MOTE__TOPK_NOAUX_TC);
    assert_int_equal(c.norm_topk_prob, 1);
    assert_int_equal(c.tie_word_embeddings, 0);
    assert_int_equal(c.attention_bias, 0);
    assert_true(c.routed_scaling_factor == 2.5f);
    assert_true(c.rms_norm_eps == 1e-6f);
    assert_true(c.rope_theta == 10000);
    assert_int_equal(c.yarn, 1);
    assert_int_equal(c.original_max_position_embeddings, 4096);
    assert_true(c.rope_factor == 40 && c.beta_fast == 32 && c.beta_slow == 1);
    assert_true(c.mscale == 1 && c.mscale_all_dim == 1);
    assert_int_equal(c.fp8_block_rows, 128);
    assert_int_equal(c.fp8_block_cols, 128);
    assert_int_equal(c.scale_ue8m0, 0);
    assert_int_equal(c.bos_token_id, 0);
    assert_int_equal(c.eos_token_id, 1);
    assert_int_equal(mote__config_is_moe(&c, 2), 0);
    assert_int_equal(mote__config_is_moe(&c, 3), 1);
    assert_int_equal(mote__config_is_moe(&c, 61), 1); /* the MTP module */
}

static void test_v31(void **state)
{
    (void)state;
    mote__config c = parse(V31);
    assert_int_equal(c.fp8_block_rows, 128);
    assert_int_equal(c.scale_ue8m0, 1);
}

static void test_v2(void **state)
{
    (void)state;
    mote__config c = parse(V2);
    assert_int_equal(c.architecture, MOTE_ARCH_DEEPSEEK_V2);
    assert_int_equal(c.topk_method, MOTE__TOPK_GROUP_LIMITED_GREEDY);
    assert_int_equal(c.scoring_func, MOTE__SCORING_SOFTMAX);
    assert_int_equal(c.n_routed_experts, 160);
    assert_int_equal(c.n_group, 8);
    assert_int_equal(c.topk_group, 3);
    assert_int_equal(c.norm_topk_prob, 0);
    assert_true(c.routed_scaling_factor == 16);
    assert_int_equal(c.num_nextn_predict_layers, 0);
    assert_int_equal(c.fp8_block_rows, 0);
    assert_int_equal(c.bos_token_id, 100000);
    assert_int_equal(c.eos_token_id, 100001);
}

static void test_v2_lite(void **state)
{
    (void)state;
    mote__config c = parse(V2_LITE);
    assert_int_equal(c.q_lora_rank, 0);
    assert_int_equal(c.topk_method, MOTE__TOPK_GREEDY);
    assert_int_equal(c.n_group, 1);
    assert_true(c.mscale == 0.707 && c.mscale_all_dim == 0.707);
    assert_int_equal(mote__config_is_moe(&c, 0), 0);
    assert_int_equal(mote__config_is_moe(&c, 26), 1);
    /* greedy does not look at groups, whatever the file says about them */
    c = parse_edit(V2_LITE, "n_group", "7");
    assert_int_equal(c.n_group, 1);
    assert_int_equal(c.topk_group, 1);
}

static void test_moonlight(void **state)
{
    (void)state;
    mote__config c = parse(MOONLIGHT);
    assert_int_equal(c.architecture, MOTE_ARCH_DEEPSEEK_V3);
    assert_int_equal(c.q_lora_rank, 0);
    assert_int_equal(c.yarn, 0);
    assert_true(c.rope_factor == 1 && c.rope_theta == 50000);
    assert_true(c.rms_norm_eps == 1e-5f);
    assert_true(c.routed_scaling_factor == 2.446f);
    assert_int_equal(c.num_nextn_predict_layers, 0);
    assert_int_equal(c.eos_token_id, 163586);
}

static void test_kimi_k2(void **state)
{
    (void)state;
    mote__config c = parse(KIMI_K2);
    assert_int_equal(c.architecture, MOTE_ARCH_KIMI_K2);
    assert_int_equal(c.n_routed_experts, 384);
    assert_int_equal(c.num_attention_heads, 64);
    assert_true(c.beta_fast == 1 && c.beta_slow == 1 && c.rope_factor == 32);
    assert_true(c.routed_scaling_factor == 2.827f);
}

/* "The sparse attention of V3.2 is refused by name." */
static void test_v32_refused(void **state)
{
    (void)state;
    refuse(V32, MOTE_E_UNSUPPORTED, "index_topk: expected no such field, found 2048");
    refuse_edit(V32, "model_type", "\"deepseek_v32\"", MOTE_E_UNSUPPORTED,
            "model_type: expected \"deepseek_v3\", \"deepseek_v2\" or \"kimi_k2\", "
            "found "
            "\"deepseek_v32\"");
}

/* A file as Transformers 5 writes it: dtype, rope_parameters, no routing names, no
 * num_nextn_predict_layers, no fmt. */
static void test_newer_transformers(void **state)
{
    (void)state;
    mote__config c = parse(
            "{\"model_type\": \"deepseek_v3\", \"dtype\": \"bfloat16\", \"head_dim\": "
            "64,"
            "\"vocab_size\": 129280, \"hidden_size\": 7168, \"intermediate_size\": "
            "18432,"
            "\"moe_intermediate_size\": 2048, \"num_hidden_layers\": 61,"
            "\"num_attention_heads\": 128, \"num_key_value_heads\": 128,"
            "\"kv_lora_rank\": 512, \"qk_head_dim\": 192, \"qk_nope_head_dim\": 128,"
            "\"qk_rope_head_dim\": 64, \"v_head_dim\": 128, \"rope_interleave\": true,"
            "\"rope_parameters\": {\"rope_theta\": 20000.0, \"rope_type\": \"yarn\","
            "\"factor\": 40.0, \"beta_fast\": 32.0, \"beta_slow\": 1.0, \"mscale\": "
            "1.0,"
            "\"mscale_all_dim\": 1.0, \"original_max_position_embeddings\": 2048},"
            "\"eos_token_id\": [7, 8], \"pad_token_id\": null,"
            "\"quantization_config\": {\"activation_scheme\": \"dynamic\","
            "\"modules_to_not_convert\": [\"lm_head\"], \"quant_method\": \"fp8\","
            "\"weight_block_size\": [128, 128]}}");
    assert_true(c.rope_theta == 20000 && c.rope_factor == 40);
    assert_int_equal(c.yarn, 1);
    assert_int_equal(c.original_max_position_embeddings, 2048);
    assert_int_equal(c.q_lora_rank, 1536);
    assert_int_equal(c.n_routed_experts, 256);
    assert_int_equal(c.scoring_func, MOTE__SCORING_SIGMOID);
    assert_int_equal(c.topk_method, MOTE__TOPK_NOAUX_TC);
    assert_int_equal(c.norm_topk_prob, 1);
    assert_int_equal(c.n_group, 8);
    assert_int_equal(c.topk_group, 4);
    assert_int_equal(c.num_experts_per_tok, 8);
    assert_int_equal(c.first_k_dense_replace, 3);
    assert_int_equal(c.num_nextn_predict_layers, 0);
    assert_int_equal(c.fp8_block_rows, 128);
    assert_int_equal(c.eos_token_id, 7);
    assert_int_equal(c.bos_token_id, 0);
}

/* "A missing routed_scaling_factor is 1.0, not 0." */
static void test_defaults(void **state)
{
    (void)state;
    mote__config c = parse_edit(V3, "routed_scaling_factor", NULL);
    assert_true(c.routed_scaling_factor == 1.0f);
    c = parse_edit(V2, "routed_scaling_factor", NULL);
    assert_true(c.routed_scaling_factor == 1.0f);
    c = parse_edit(V2_LITE, "topk_method", NULL);
    assert_int_equal(c.topk_method, MOTE__TOPK_GREEDY);
    c = parse_edit(V2, "scoring_func", NULL);
    assert_int_equal(c.scoring_func, MOTE__SCORING_SOFTMAX);
    c = parse_edit(V2, "norm_topk_prob", NULL);
    assert_int_equal(c.norm_topk_prob, 0);
    c = parse_edit(V2, "n_shared_experts", "null");
    assert_int_equal(c.n_shared_experts, 0);
    c = parse_edit(V3, "n_shared_experts", NULL);
    assert_int_equal(c.n_shared_experts, 1);
    c = parse_edit(V3, "n_shared_experts", "null");
    assert_int_equal(c.n_shared_experts, 0);
    c = parse_edit(V3, "moe_layer_freq", NULL);
    assert_int_equal(c.moe_layer_freq, 1);
    c = parse_edit(V3, "rms_norm_eps", NULL);
    assert_true(c.rms_norm_eps == 1e-6f);
    c = parse_edit(V3, "rope_theta", NULL);
    assert_true(c.rope_theta == 10000);
    c = parse_edit(V3, "num_key_value_heads", NULL);
    assert_int_equal(c.num_attention_heads, 128);
    c = parse_edit(V3, "bos_token_id", "null");
    assert_int_equal(c.bos_token_id, -1);
    c = parse_edit(V3, "eos_token_id", NULL);
    assert_int_equal(c.eos_token_id, 1);
    c = parse_edit(V3, "eos_token_id", "[]");
    assert_int_equal(c.eos_token_id, -1);
    c = parse_edit(V3, "eos_token_id", "[5, 6]");
    assert_int_equal(c.eos_token_id, 5);
    c = parse_edit(V3, "tie_word_embeddings", "true");
    assert_int_equal(c.tie_word_embeddings, 1);
    /* YaRN: mscale 1 and mscale_all_dim 0, as in the official code. */
    c = parse_edit(V3, "rope_scaling", "{\"type\": \"yarn\", \"factor\": 4}");
    assert_true(c.mscale == 1 && c.mscale_all_dim == 0);
    assert_true(c.beta_fast == 32 && c.beta_slow == 1);
    assert_int_equal(c.original_max_position_embeddings, 4096);
    c = parse_edit(V3, "rope_scaling", "{}");
    assert_int_equal(c.yarn, 0);
    c = parse_edit(V3, "rope_scaling", "{\"rope_type\": \"default\"}");
    assert_int_equal(c.yarn, 0);
    c = parse_edit(V3, "quantization_config", "null");
    assert_int_equal(c.fp8_block_rows, 0);
}

static void test_dense_and_frequency(void **state)
{
    (void)state;
    mote__config c = parse_edit(V2_LITE, "n_routed_experts", "null");
    assert_int_equal(c.n_routed_experts, 0);
    for (uint32_t i = 0; i < c.num_hidden_layers; i++)
        assert_int_equal(mote__config_is_moe(&c, i), 0);
    c = parse_edit(V3, "moe_layer_freq", "2");
    assert_int_equal(mote__config_is_moe(&c, 3), 0);
    assert_int_equal(mote__config_is_moe(&c, 4), 1);
    assert_int_equal(mote__config_is_moe(&c, 5), 0);
}

/* "Every field that changes the arithmetic is honoured or refused by name." */
static void test_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *field, *value, *phrase;
    } cases[] = {
            {"model_type", "\"llama\"", "model_type: expected"},
            {"model_type", "3", "model_type: expected"},
            {"hidden_act", "\"gelu\"", "hidden_act: expected \"silu\", found \"gelu\""},
            {"attention_bias", "true", "attention_bias: expected false, found true"},
            {"mlp_bias", "true", "mlp_bias: expected false"},
            {"qk_layernorm", "true", "qk_layernorm: expected false"},
            {"use_mla", "false", "use_mla: expected true"},
            {"rope_interleave", "false", "rope_interleave: expected true"},
            {"sliding_window", "4096", "sliding_window: expected no such field"},
            {"quantization", "{\"bits\": 4}", "quantization: expected no such field"},
            {"pretraining_tp", "2", "pretraining_tp: expected 1, found 2"},
            {"num_key_value_heads", "8",
                    "num_key_value_heads: expected num_attention_heads (128), found 8"},
            {"scoring_func", "\"tanh\"",
                    "scoring_func: expected \"sigmoid\" or \"softmax\", found "
                    "\"tanh\""},
            {"topk_method", "\"best\"", "topk_method: expected"},
            {"rope_scaling", "{\"type\": \"linear\", \"factor\": 2}",
                    "rope_scaling: type: expected \"yarn\" or \"default\", found "
                    "\"linear\""},
            {"rope_scaling", "{\"rope_type\": \"dynamic\", \"factor\": 2}",
                    "rope_type: expected \"yarn\" or \"default\", found \"dynamic\""},
            {"rope_scaling", "{\"factor\": 2}", "type: expected \"yarn\""},
            {"rope_scaling",
                    "{\"type\": \"yarn\", \"factor\": 2, \"attention_factor\": 1.5}",
                    "attention_factor"},
            {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 2, \"truncate\": false}",
                    "truncate: expected true"},
            {"rope_scaling",
                    "{\"rope_type\": \"default\", \"partial_rotary_factor\": 0.5}",
                    "partial_rotary_factor: expected 1, found 0.5"},
            {"quantization_config", "{\"quant_method\": \"gptq\"}",
                    "quantization_config: quant_method: expected \"fp8\", found "
                    "\"gptq\""},
            {"quantization_config", "{}",
                    "quant_method: expected \"fp8\", found nothing"},
            {"quantization_config", "{\"quant_method\": \"fp8\", \"fmt\": \"e5m2\"}",
                    "fmt: expected \"e4m3\", found \"e5m2\""},
            {"quantization_config",
                    "{\"quant_method\": \"fp8\", \"activation_scheme\": \"static\"}",
                    "activation_scheme: expected \"dynamic\""},
            {"quantization_config", "{\"quant_method\": \"fp8\"}",
                    "weight_block_size: expected [128, 128], found nothing"},
            {"quantization_config",
                    "{\"quant_method\": \"fp8\", \"weight_block_size\": [64, 128]}",
                    "weight_block_size: expected [128, 128], found [64, 128]"},
            {"quantization_config",
                    "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128],"
                    "\"scale_fmt\": \"int\"}",
                    "scale_fmt: expected \"ue8m0\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse_edit(V3, cases[i].field, cases[i].value, MOTE_E_UNSUPPORTED,
                cases[i].phrase);
}

/* PITFALLS, hostile files: "inconsistent config (groups that do not divide experts,
 * top-k above experts or above, 0 or 10^9 layers, odd rope dim)", wrong types. */
static void test_inconsistent(void **state)
{
    (void)state;
    static const struct {
        const char *field, *value, *phrase;
    } cases[] = {
            {"n_group", "7",
                    "n_group: expected a divisor of n_routed_experts (256), found 7"},
            {"n_group", "512", "n_group: expected a divisor"},
            {"n_group", "0", "n_group: expected an integer from 1"},
            {"topk_group", "9", "topk_group: expected at most n_group (8), found 9"},
            {"num_experts_per_tok", "257",
                    "num_experts_per_tok: expected at most n_routed_experts (256), "
                    "found "
                    "257"},
            {"num_experts_per_tok", "129", "the experts of topk_group groups (128)"},
            {"num_experts_per_tok", "0",
                    "num_experts_per_tok: expected an integer from 1"},
            {"num_hidden_layers", "0",
                    "num_hidden_layers: expected an integer from 1 to 4096, found 0"},
            {"num_hidden_layers", "1000000000",
                    "num_hidden_layers: expected an integer from 1 to 4096, found "
                    "1000000000"},
            {"num_hidden_layers", "-61", "found -61"},
            {"num_hidden_layers", "61.0", "an integer from 1 to 4096, found 61"},
            {"num_hidden_layers", "\"61\"", "found \"61\""},
            {"num_hidden_layers", "[61]", "found an array of 1"},
            {"num_hidden_layers", "{}", "found an object of 0"},
            {"num_hidden_layers", "true", "found true"},
            {"num_hidden_layers", "null", "num_hidden_layers is missing"},
            {"num_hidden_layers", NULL, "num_hidden_layers is missing"},
            {"num_hidden_layers", "99999999999999999999", "not valid JSON"},
            {"vocab_size", "16777217",
                    "vocab_size: expected an integer from 1 to 16777216"},
            {"vocab_size", NULL, "vocab_size is missing"},
            {"model_type", NULL, "model_type is missing"},
            {"moe_intermediate_size", NULL, "moe_intermediate_size is missing"},
            {"hidden_size", "1048577",
                    "hidden_size: expected an integer from 1 to 1048576"},
            {"qk_rope_head_dim", "63",
                    "qk_rope_head_dim: expected an even number, found 63"},
            {"n_shared_experts", "65536", "n_shared_experts: expected a shared width"},
            {"q_lora_rank", "0", "q_lora_rank: expected an integer from 1"},
            {"norm_topk_prob", "1", "norm_topk_prob: expected true or false, found 1"},
            {"tie_word_embeddings", "\"no\"",
                    "tie_word_embeddings: expected true or false"},
            {"attention_bias", "0", "attention_bias: expected true or false, found 0"},
            {"scoring_func", "1", "scoring_func: expected a string, found 1"},
            {"routed_scaling_factor", "\"2.5\"",
                    "routed_scaling_factor: expected a number"},
            {"routed_scaling_factor", "-1", "routed_scaling_factor: expected a number"},
            {"routed_scaling_factor", "1e999", "not valid JSON"},
            {"rms_norm_eps", "0", "rms_norm_eps: expected a number"},
            {"rope_theta", "0", "rope_theta: expected a number from 1"},
            {"rope_scaling", "[]",
                    "rope_scaling: expected an object, found an array of 0"},
            {"rope_scaling", "{\"type\": \"yarn\"}", "rope_scaling: factor is missing"},
            {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 0}",
                    "factor: expected a number from 1"},
            {"rope_scaling",
                    "{\"type\": \"yarn\", \"factor\": 4, \"beta_fast\": 1, "
                    "\"beta_slow\": 2}",
                    "beta_slow: expected at most beta_fast (1), found 2"},
            {"quantization_config", "\"fp8\"",
                    "quantization_config: expected an object"},
            {"eos_token_id", "129280",
                    "eos_token_id: expected a token below vocab_size (129280), found "
                    "129280"},
            {"eos_token_id", "-1", "eos_token_id: expected a token"},
            {"eos_token_id", "[\"x\"]", "eos_token_id: expected a token"},
            {"num_nextn_predict_layers", "65", "num_nextn_predict_layers: expected"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse_edit(V3, cases[i].field, cases[i].value, MOTE_E_FORMAT, cases[i].phrase);
    char *a = edit(V3, "n_group", "256"), *b = edit(a, "topk_group", "8");
    refuse(b, MOTE_E_FORMAT, "n_group: expected at least 2 experts per group");
    free(a);
    free(b);
    refuse_edit(V2, "num_experts_per_tok", NULL, MOTE_E_FORMAT,
            "num_experts_per_tok is missing");
}

static void test_width_bound(void **state)
{
    (void)state;
    char *a = edit(V3, "num_attention_heads", "65536");
    char *b = edit(a, "v_head_dim", "129");
    refuse_edit(b, "num_key_value_heads", "65536", MOTE_E_FORMAT,
            "num_attention_heads: expected an attention width of at most 16777216");
    free(a);
    free(b);
}

static void test_total_bound(void **state)
{
    (void)state;
    char *a = edit(V3, "moe_intermediate_size", "1048576");
    refuse_edit(a, "n_routed_experts", "65536", MOTE_E_FORMAT,
            "expected a model of at most 1e+15 parameters");
    free(a);
}

static void test_broken_json(void **state)
{
    (void)state;
    refuse("", MOTE_E_FORMAT, "config.json: not valid JSON");
    refuse("{", MOTE_E_FORMAT, "not valid JSON");
    refuse("[]", MOTE_E_FORMAT, "expected an object, found an array");
    refuse("{} x", MOTE_E_FORMAT, "not valid JSON");
    refuse("{\"model_type\": \"deepseek_v3\", \"model_type\": \"deepseek_v2\"}",
            MOTE_E_FORMAT, "duplicate object key");
    refuse("{\"a\": \"\\ud800\"}", MOTE_E_FORMAT, "not valid JSON");
    refuse("{\"a\": \"\\udc00\\ud800\"}", MOTE_E_FORMAT, "not valid JSON");
    refuse("{\"a\": \"\xff\"}", MOTE_E_FORMAT, "not valid JSON");
    refuse("{\"a\": NaN}", MOTE_E_FORMAT, "not valid JSON");
    refuse("{\"a\nb", MOTE_E_FORMAT, "not valid JSON");

    /* Deep nesting meets our limit before the parser's, in any mixture. */
    static char deep[2000001];
    memset(deep, '[', sizeof deep - 1);
    refuse(deep, MOTE_E_FORMAT, "nested deeper than 64 levels");
    for (size_t i = 0; i + 5 < sizeof deep; i += 5)
        memcpy(deep + i, "{\"a\":", 5);
    refuse(deep, MOTE_E_FORMAT, "nested deeper than 64 levels");
    char *s = edit(V3, "auto_map", "[[[[[[\"a]]]\\\"]]\"]]]]]]");
    parse(s);
    free(s);
    /* Neither can many small values take all memory. */
    char *many = malloc(16000010);
    assert_non_null(many);
    many[0] = '[';
    for (size_t i = 0; i < 8000002; i++)
        memcpy(many + 1 + 2 * i, "1,", 2);
    strcpy(many + 16000005, "1]");
    refuse(many, MOTE_E_FORMAT, "more than 8000000 JSON values");
    free(many);
}

/* Messages are one line of valid UTF-8, also where they are cut. */
static void test_messages_are_text(void **state)
{
    (void)state;
    char json[600] = "{\"model_type\": \"";
    for (int i = 0; i < 16; i++)
        strcat(json, "\xe6\xb7\xb1");
    strcat(json, "\"}");
    refuse(json, MOTE_E_UNSUPPORTED, "found \"\xe6\xb7\xb1");
    refuse("{\"model_type\": \"a\\nb\"}", MOTE_E_UNSUPPORTED, "found \"a?b\"");
}

static void test_generation_config(void **state)
{
    (void)state;
    float t = -1, p = -1;
    mote_error err;
    const char *s = "{\"_from_model_config\": true, \"do_sample\": true,"
                    "\"temperature\": 0.6, \"top_p\": 0.95, \"eos_token_id\": 1}";
    assert_int_equal(
            mote__generation_config_parse(&t, &p, s, strlen(s), &err), MOTE_OK);
    assert_true(t == 0.6f && p == 0.95f);
    s = "{\"do_sample\": false, \"temperature\": 0.6, \"top_p\": 0.95}";
    assert_int_equal(
            mote__generation_config_parse(&t, &p, s, strlen(s), &err), MOTE_OK);
    assert_true(t == 0 && p == 0);
    s = "{}";
    assert_int_equal(
            mote__generation_config_parse(&t, &p, s, strlen(s), &err), MOTE_OK);
    assert_true(t == 0 && p == 0);
    s = "{\"temperature\": -1}";
    assert_int_equal(
            mote__generation_config_parse(&t, &p, s, strlen(s), &err), MOTE_E_FORMAT);
    assert_non_null(
            strstr(err.message, "generation_config.json: temperature: expected"));
    s = "{\"top_p\": 1.5}";
    assert_int_equal(
            mote__generation_config_parse(&t, &p, s, strlen(s), &err), MOTE_E_FORMAT);
    s = "[";
    assert_int_equal(
            mote__generation_config_parse(&t, &p, s, strlen(s), &err), MOTE_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_v3),
            cmocka_unit_test(test_v31),
            cmocka_unit_test(test_v2),
            cmocka_unit_test(test_v2_lite),
            cmocka_unit_test(test_moonlight),
            cmocka_unit_test(test_kimi_k2),
            cmocka_unit_test(test_v32_refused),
            cmocka_unit_test(test_newer_transformers),
            cmocka_unit_test(test_defaults),
            cmocka_unit_test(test_dense_and_frequency),
            cmocka_unit_test(test_refused_by_name),
            cmocka_unit_test(test_inconsistent),
            cmocka_unit_test(test_width_bound),
            cmocka_unit_test(test_total_bound),
            cmocka_unit_test(test_broken_json),
            cmocka_unit_test(test_messages_are_text),
            cmocka_unit_test(test_generation_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
