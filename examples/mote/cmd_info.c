/* SPDX-License-Identifier: MIT */
/* mote info: what a model is and what it needs, without loading its weights. */
#include "cli.h"
#include "json_out.h"
#include <string.h>

static const char *architecture(const mote_model_info *i)
{
    switch (i->architecture) {
    case MOTE_ARCH_DEEPSEEK_V2:
        return "deepseek_v2";
    case MOTE_ARCH_DEEPSEEK_V3:
        return "deepseek_v3";
    case MOTE_ARCH_KIMI_K2:
        return "kimi_k2";
    default:
        return "unknown";
    }
}

static const char *routing(const mote_model_info *i)
{
    static const char *const names[] = {"greedy", "group_limited_greedy", "noaux_tc"};
    return i->routing < 3 ? names[i->routing] : "unknown";
}

/* Every dimension by its name in config.json, once for both kinds of output. */
typedef struct dimension {
    const char *name;
    uint32_t value;
} dimension;

#define DIMENSIONS 20
static void list_dimensions(const mote_model_info *i, dimension d[DIMENSIONS])
{
    const dimension all[DIMENSIONS] = {{"vocab_size", i->vocab_size},
            {"hidden_size", i->hidden_size},
            {"num_hidden_layers", i->num_hidden_layers},
            {"first_k_dense_replace", i->first_k_dense_replace},
            {"num_attention_heads", i->num_attention_heads},
            {"q_lora_rank", i->q_lora_rank}, {"kv_lora_rank", i->kv_lora_rank},
            {"qk_nope_head_dim", i->qk_nope_head_dim},
            {"qk_rope_head_dim", i->qk_rope_head_dim}, {"v_head_dim", i->v_head_dim},
            {"intermediate_size", i->intermediate_size},
            {"moe_intermediate_size", i->moe_intermediate_size},
            {"n_routed_experts", i->n_routed_experts},
            {"n_shared_experts", i->n_shared_experts},
            {"num_experts_per_tok", i->num_experts_per_tok}, {"n_group", i->n_group},
            {"topk_group", i->topk_group},
            {"num_nextn_predict_layers", i->num_nextn_predict_layers},
            {"max_position_embeddings", i->max_position_embeddings},
            {"tie_word_embeddings", i->tied}};
    memcpy(d, all, sizeof(all));
}

static void print_json(const mote_model_info *i)
{
    dimension d[DIMENSIONS];
    cli_json j;
    list_dimensions(i, d);
    json_begin(&j, stdout, 0);
    json_open(&j, NULL, '{');
    json_text(&j, "architecture", architecture(i));
    for (size_t k = 0; k + 1 < DIMENSIONS; k++)
        json_unsigned(&j, d[k].name, d[k].value);
    json_bool(&j, "tie_word_embeddings", (int)i->tied);
    json_text(&j, "scoring_func", i->scoring ? "sigmoid" : "softmax");
    json_text(&j, "topk_method", routing(i));
    json_number(&j, "routed_scaling_factor", (double)i->routed_scaling_factor);
    json_number(&j, "rope_theta", (double)i->rope_theta);
    json_number(&j, "rope_factor", (double)i->rope_factor);
    json_number(&j, "rms_norm_eps", (double)i->rms_norm_eps);
    json_whole(&j, "bos_token_id", i->bos_token_id);
    json_whole(&j, "eos_token_id", i->eos_token_id);
    json_number(&j, "default_temperature", (double)i->default_temperature);
    json_number(&j, "default_top_p", (double)i->default_top_p);
    json_unsigned(&j, "parameters_total", i->parameters_total);
    json_unsigned(&j, "parameters_active", i->parameters_active);
    json_unsigned(&j, "parameters_mtp", i->parameters_mtp);
    json_open(&j, "bytes_by_type", '{');
    json_unsigned(&j, "f32", i->bytes_f32);
    json_unsigned(&j, "bf16", i->bytes_bf16);
    json_unsigned(&j, "fp8", i->bytes_fp8);
    json_unsigned(&j, "int8", i->bytes_int8);
    json_unsigned(&j, "int4", i->bytes_int4);
    json_close(&j, '}');
    json_unsigned(&j, "active_bytes_per_token", i->bytes_active);
    json_unsigned(&j, "bytes_mapped", i->bytes_mapped);
    json_unsigned(&j, "bytes_allocated", i->bytes_allocated);
    json_open(&j, "kv_bytes_per_token", '{');
    json_unsigned(&j, "f32", i->kv_bytes_per_token_f32);
    json_unsigned(&j, "bf16", i->kv_bytes_per_token_bf16);
    json_unsigned(&j, "fp8", i->kv_bytes_per_token_fp8);
    json_close(&j, '}');
    json_open(&j, "features", '{');
    json_bool(&j, "mtp", i->num_nextn_predict_layers > 0);
    json_bool(&j, "yarn", i->yarn != 0);
    json_bool(&j, "fp8", i->bytes_fp8 > 0);
    json_close(&j, '}');
    char fingerprint[24];
    snprintf(fingerprint, sizeof(fingerprint), "%016llx",
            (unsigned long long)i->fingerprint);
    json_text(&j, "fingerprint", fingerprint);
    json_close(&j, '}');
}

/* "671.0 B", "7.91 M" */
static const char *count(uint64_t n, char *buffer, size_t size)
{
    static const char units[] = " kMBT";
    double value = (double)n;
    size_t unit = 0;
    for (; value >= 1000 && unit + 2 < sizeof(units); unit++)
        value /= 1000;
    if (unit)
        snprintf(buffer, size, "%.3g %c", value, units[unit]);
    else
        snprintf(buffer, size, "%llu", (unsigned long long)n);
    return buffer;
}

static void print_bytes(const char *name, uint64_t n)
{
    if (!n)
        return;
    if (n < 1000000)
        printf("  %-28s %llu bytes\n", name, (unsigned long long)n);
    else
        printf("  %-28s %.1f MB\n", name, (double)n * 1e-6);
}

static void print_text(const mote_model_info *i)
{
    dimension d[DIMENSIONS];
    char a[32];
    list_dimensions(i, d);
    printf("%s\n\nDimensions\n", architecture(i));
    for (size_t k = 0; k < DIMENSIONS; k++)
        printf("  %-28s %u\n", d[k].name, d[k].value);
    printf("  %-28s %s, %s\n", "router", routing(i),
            i->scoring ? "sigmoid" : "softmax");
    printf("  %-28s %g\n", "routed_scaling_factor", (double)i->routed_scaling_factor);
    printf("  %-28s %g\n", "rope_theta", (double)i->rope_theta);
    printf("\nParameters\n  %-28s %s\n", "total",
            count(i->parameters_total, a, sizeof(a)));
    printf("  %-28s %s\n", "active per token",
            count(i->parameters_active, a, sizeof(a)));
    if (i->parameters_mtp)
        printf("  %-28s %s\n", "MTP module", count(i->parameters_mtp, a, sizeof(a)));
    puts("\nMemory");
    print_bytes("weights, f32", i->bytes_f32);
    print_bytes("weights, bf16", i->bytes_bf16);
    print_bytes("weights, fp8", i->bytes_fp8);
    print_bytes("weights, int8", i->bytes_int8);
    print_bytes("weights, int4", i->bytes_int4);
    print_bytes("read per decoded token", i->bytes_active);
    print_bytes("mapped when open", i->bytes_mapped);
    print_bytes("allocated when open", i->bytes_allocated);
    print_bytes("cache per token, bf16", i->kv_bytes_per_token_bf16);
    print_bytes("cache per token, fp8", i->kv_bytes_per_token_fp8);
    printf("\nFeatures\n  MTP %s, YaRN %s, FP8 %s\n",
            i->num_nextn_predict_layers ? "yes" : "no", i->yarn ? "yes" : "no",
            i->bytes_fp8 ? "yes" : "no");
}

int cmd_info(int argc, char **argv)
{
    cli_set set = {.command = "info",
            .usage = "[-m MODEL] [--json]",
            .about = "Say what a model is and what it needs, without loading it."};
    cli_model_args args = {0};
    uint32_t json = 0;
    cli_add(&set, 0, "json", CLI_FLAG, &json, NULL, "as JSON");
    cli_add_model(&set, &args);
    const int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    const char *path = cli_model_path(&args);
    if (!path)
        return CLI_FAILED;
    mote_error err;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    const mote_model_options options = cli_model_options(&args, MOTE_MTP_AUTO);
    if (mote_model_plan(path, &options, &info, &err) < 0)
        return cli_fail_with(&err, path);
    if (json)
        print_json(&info);
    else
        print_text(&info);
    return CLI_OK;
}
