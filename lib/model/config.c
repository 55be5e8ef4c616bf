/* SPDX-License-Identifier: MIT */
/* Defaults are those of the official configuration classes. Shapes have none: a guessed
 * width would only fail later with a worse message. Two departures, on purpose: a
 * missing routed_scaling_factor is 1 (never 0, never 2.5), and a missing
 * num_nextn_predict_layers is 0, since checkpoints saved by newer Transformers leave
 * both the field and the module out. */
#include "model/config.h"
#include "base/json.h"
#include "base/status.h"
#include "mote/model.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char WHERE[] = "config.json";

/* Bounds are generous, but widths fit 32 bits and the bytes of a whole model 64. */
static const double PARAMETERS_MAX = 1e15;
enum {
    REQUIRED = -1,
    HIDDEN_MAX = 1 << 20,
    VOCAB_MAX = 1 << 24,
    LAYERS_MAX = 4096,
    HEADS_MAX = 1 << 16,
    HEAD_DIM_MAX = 1 << 16,
    RANK_MAX = 1 << 20,
    EXPERTS_MAX = 1 << 16,
    WIDTH_MAX = 1 << 24,
    POSITIONS_MAX = 1 << 30,
};

typedef struct int_field {
    const char *name;
    size_t offset;
    int32_t lo, hi;
    int32_t absent_v2, absent_v3; /* REQUIRED: none. null means absent_v2: "none" */
} int_field;
#define FIELD(f) #f, offsetof(mote__config, f)
static const int_field int_fields[] = {
        {FIELD(vocab_size), 1, VOCAB_MAX, REQUIRED, REQUIRED},
        {FIELD(hidden_size), 1, HIDDEN_MAX, REQUIRED, REQUIRED},
        {FIELD(num_hidden_layers), 1, LAYERS_MAX, REQUIRED, REQUIRED},
        {FIELD(num_attention_heads), 1, HEADS_MAX, REQUIRED, REQUIRED},
        {FIELD(kv_lora_rank), 1, RANK_MAX, REQUIRED, REQUIRED},
        {FIELD(qk_nope_head_dim), 1, HEAD_DIM_MAX, REQUIRED, REQUIRED},
        {FIELD(qk_rope_head_dim), 2, HEAD_DIM_MAX, REQUIRED, REQUIRED},
        {FIELD(v_head_dim), 1, HEAD_DIM_MAX, REQUIRED, REQUIRED},
        {FIELD(intermediate_size), 1, HIDDEN_MAX, REQUIRED, REQUIRED},
        {FIELD(num_nextn_predict_layers), 0, 64, 0, 0},
        {FIELD(max_position_embeddings), 1, POSITIONS_MAX, 2048, 4096},
};
static const int_field moe_fields[] = {
        {FIELD(moe_intermediate_size), 1, HIDDEN_MAX, REQUIRED, REQUIRED},
        {FIELD(num_experts_per_tok), 1, EXPERTS_MAX, REQUIRED, 8},
        {FIELD(n_shared_experts), 0, EXPERTS_MAX, 0, 1},
        {FIELD(first_k_dense_replace), 0, LAYERS_MAX, 0, 3},
        {FIELD(moe_layer_freq), 1, LAYERS_MAX, 1, 1},
        {FIELD(n_group), 1, EXPERTS_MAX, 1, 8},
        {FIELD(topk_group), 1, EXPERTS_MAX, 1, 4},
};

int mote__config_is_moe(const mote__config *c, uint32_t layer)
{
    if (!c->n_routed_experts)
        return 0;
    if (layer >= c->num_hidden_layers)
        return 1;
    return layer >= c->first_k_dense_replace && layer % c->moe_layer_freq == 0;
}

static mote_status missing(const char *field, mote_error *err)
{
    return mote__fail(err, MOTE_E_FORMAT, "%s: %s is missing", WHERE, field);
}

static mote_status unsupported(
        const char *field, const char *expected, const json_t *value, mote_error *err)
{
    mote__json_text found;
    return mote__fail(err, MOTE_E_UNSUPPORTED, "%s: %s: expected %s, found %s", WHERE,
            field, expected, mote__json_found(&found, value));
}

static mote_status inconsistent(mote_error *err, const char *field,
        const char *expected, uint32_t limit, uint32_t found)
{
    return mote__fail(err, MOTE_E_FORMAT, "%s: %s: expected %s (%u), found %u", WHERE,
            field, expected, limit, found);
}

static mote_status read_ints(mote__config *c, const json_t *root,
        const int_field *fields, size_t n, mote_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const int_field *f = &fields[i];
        int v2 = c->architecture == MOTE_ARCH_DEEPSEEK_V2 ||
                 json_object_get(root, f->name) != NULL;
        int64_t v, absent = v2 ? f->absent_v2 : f->absent_v3;
        mote_status st =
                mote__json_int(&v, root, WHERE, f->name, f->lo, f->hi, absent, err);
        if (st < 0)
            return st;
        if (v < 0)
            return missing(f->name, err);
        uint32_t u = (uint32_t)v;
        memcpy((char *)c + f->offset, &u, sizeof u);
    }
    return MOTE_OK;
}

/* ---- what must have one value ---- */

/* Fields whose other values mean arithmetic that is not implemented. Absent or null
 * always means the supported value. */
static mote_status check_fixed(
        const mote__config *c, const json_t *root, mote_error *err)
{
    static const struct {
        const char *field;
        int value;
    } booleans[] = {
            {"attention_bias", 0},
            {"mlp_bias", 0},
            {"qk_layernorm", 0},
            {"use_mla", 1},
            {"rope_interleave", 1},
            {"is_encoder_decoder", 0},
            {"add_cross_attention", 0},
    };
    for (size_t i = 0; i < sizeof booleans / sizeof *booleans; i++) {
        const json_t *v = mote__json_member(root, booleans[i].field);
        if (v && !json_is_boolean(v))
            return mote__json_wrong(WHERE, booleans[i].field, "true or false", v, err);
        if (v && json_is_true(v) != booleans[i].value)
            return unsupported(
                    booleans[i].field, booleans[i].value ? "true" : "false", v, err);
    }
    /* The sparse attention of V3.2, and other things that the arithmetic below lacks.
     */
    static const char *const absent[] = {"index_topk", "index_n_heads",
            "index_head_dim", "sliding_window", "swiglu_limit", "logit_scale",
            "final_logit_softcapping", "attn_logit_softcapping", "quantization",
            "compression_config"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        const json_t *v = mote__json_member(root, absent[i]);
        if (v)
            return unsupported(absent[i], "no such field", v, err);
    }

    const json_t *v = mote__json_member(root, "hidden_act");
    if (v && (!json_is_string(v) || strcmp(json_string_value(v), "silu") != 0))
        return unsupported("hidden_act", "\"silu\"", v, err);
    v = mote__json_member(root, "pretraining_tp");
    if (v && (!json_is_integer(v) || json_integer_value(v) != 1))
        return unsupported("pretraining_tp", "1", v, err);
    v = mote__json_member(root, "num_key_value_heads");
    if (v && (!json_is_integer(v) || json_integer_value(v) != c->num_attention_heads)) {
        char expected[64];
        snprintf(expected, sizeof expected, "num_attention_heads (%u)",
                c->num_attention_heads);
        return unsupported("num_key_value_heads", expected, v, err);
    }
    return MOTE_OK;
}

static mote_status read_architecture(
        mote__config *c, const json_t *root, mote_error *err)
{
    const json_t *v = mote__json_member(root, "model_type");
    if (!v)
        return missing("model_type", err);
    const char *s = json_is_string(v) ? json_string_value(v) : "";
    if (strcmp(s, "deepseek_v2") == 0)
        c->architecture = MOTE_ARCH_DEEPSEEK_V2;
    else if (strcmp(s, "deepseek_v3") == 0)
        c->architecture = MOTE_ARCH_DEEPSEEK_V3;
    else if (strcmp(s, "kimi_k2") == 0)
        c->architecture = MOTE_ARCH_KIMI_K2;
    else
        return unsupported("model_type",
                "\"deepseek_v3\", \"deepseek_v2\" or \"kimi_k2\"", v, err);
    return MOTE_OK;
}

/* ---- attention ---- */

/* q_lora_rank: null means no low-rank path, absent means the class's default. */
static mote_status read_q_lora_rank(
        mote__config *c, const json_t *root, mote_error *err)
{
    int64_t v = 0;
    mote_status st =
            mote__json_int(&v, root, WHERE, "q_lora_rank", 1, RANK_MAX, 0, err);
    if (st < 0)
        return st;
    c->q_lora_rank = json_object_get(root, "q_lora_rank") ? (uint32_t)v : 1536;
    return MOTE_OK;
}

/* Widths that are products of fields, and the whole. */
static mote_status check_sizes(const mote__config *c, mote_error *err)
{
    if (c->qk_rope_head_dim % 2)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: qk_rope_head_dim: expected an even number, found %u", WHERE,
                c->qk_rope_head_dim);
    uint64_t heads = c->num_attention_heads, qk = c->qk_nope_head_dim,
             v = c->v_head_dim;
    uint64_t rope = c->qk_rope_head_dim;
    uint64_t width = heads * (qk + (rope > v ? rope : v));
    if (width > WIDTH_MAX)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: num_attention_heads: expected an attention width of at most %d, "
                "found %llu",
                WHERE, WIDTH_MAX, (unsigned long long)width);
    if ((uint64_t)c->n_shared_experts * c->moe_intermediate_size > HIDDEN_MAX)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: n_shared_experts: expected a shared width of at most %d, found "
                "%u x %u",
                WHERE, HIDDEN_MAX, c->n_shared_experts, c->moe_intermediate_size);
    double layer = (double)c->hidden_size *
                   (3.0 * c->intermediate_size +
                           3.0 * ((double)c->n_routed_experts + c->n_shared_experts) *
                                   c->moe_intermediate_size +
                           3.0 * (double)width + c->q_lora_rank + c->kv_lora_rank);
    double total =
            layer * ((double)c->num_hidden_layers + c->num_nextn_predict_layers) +
            2.0 * c->vocab_size * c->hidden_size;
    if (total > PARAMETERS_MAX)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: expected a model of at most %.0e parameters, found about %.1e",
                WHERE, PARAMETERS_MAX, total);
    return MOTE_OK;
}

/* "rope_scaling" as published, "rope_parameters" as newer Transformers write it: the
 * same members, with rope_theta inside. */
static mote_status read_rope(mote__config *c, const json_t *root, mote_error *err)
{
    static const char *const names[] = {"rope_scaling", "rope_parameters"};
    const json_t *scaling, *parameters, *r;
    mote_status st;
    if ((st = mote__json_object(&scaling, root, WHERE, names[0], err)) < 0 ||
            (st = mote__json_object(&parameters, root, WHERE, names[1], err)) < 0)
        return st;
    if (scaling && json_object_size(scaling) == 0)
        scaling = NULL;
    r = scaling ? scaling : parameters;

    if ((st = mote__json_double(
                 &c->rope_theta, root, WHERE, "rope_theta", 1, 1e12, 10000, err)) < 0)
        return st;
    for (int i = 0; i < 2; i++) {
        const json_t *o = i ? parameters : scaling;
        if (o && (st = mote__json_double(&c->rope_theta, o,
                          i ? "config.json: rope_parameters"
                            : "config.json: rope_scaling",
                          "rope_theta", 1, 1e12, c->rope_theta, err)) < 0)
            return st;
    }
    c->rope_factor = 1;
    if (!r)
        return MOTE_OK;

    char where[48];
    snprintf(where, sizeof where, "%s: %s", WHERE, names[!scaling]);
    const json_t *type = mote__json_member(r, "rope_type");
    const char *field = type ? "rope_type" : "type";
    if (!type)
        type = mote__json_member(r, "type");
    const char *s = json_is_string(type) ? json_string_value(type) : "";
    if (!type && !scaling)
        s = "default";
    if (strcmp(s, "yarn") != 0 && strcmp(s, "default") != 0) {
        mote__json_text found;
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "%s: %s: expected \"yarn\" or \"default\", found %s", where, field,
                mote__json_found(&found, type));
    }

    /* Spellings of Transformers whose values would change the tables. */
    double fraction;
    if ((st = mote__json_double(
                 &fraction, r, where, "partial_rotary_factor", 0, 1, 1, err)) < 0)
        return st;
    if (fraction != 1)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "%s: partial_rotary_factor: expected 1, found %g", where, fraction);
    if (strcmp(s, "default") == 0)
        return MOTE_OK;
    if (mote__json_member(r, "attention_factor"))
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "%s: attention_factor: expected null or no such field", where);
    uint32_t truncate;
    if ((st = mote__json_bool(&truncate, r, where, "truncate", 1, err)) < 0)
        return st;
    if (!truncate)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "%s: truncate: expected true, found false", where);

    int64_t original;
    c->yarn = 1;
    if (!mote__json_member(r, "factor"))
        return mote__fail(err, MOTE_E_FORMAT, "%s: factor is missing", where);
    if ((st = mote__json_double(&c->rope_factor, r, where, "factor", 1, 1e6, 1, err)) <
                    0 ||
            (st = mote__json_double(
                     &c->beta_fast, r, where, "beta_fast", 1e-6, 1e6, 32, err)) < 0 ||
            (st = mote__json_double(
                     &c->beta_slow, r, where, "beta_slow", 1e-6, 1e6, 1, err)) < 0 ||
            (st = mote__json_double(&c->mscale, r, where, "mscale", 0, 1e3, 1, err)) <
                    0 ||
            (st = mote__json_double(&c->mscale_all_dim, r, where, "mscale_all_dim", 0,
                     1e3, 0, err)) < 0 ||
            (st = mote__json_int(&original, r, where,
                     "original_max_position_embeddings", 1, POSITIONS_MAX, 4096, err)) <
                    0)
        return st;
    c->original_max_position_embeddings = (uint32_t)original;
    if (c->beta_slow > c->beta_fast)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: beta_slow: expected at most beta_fast (%g), found %g", where,
                c->beta_fast, c->beta_slow);
    return MOTE_OK;
}

/* ---- experts ---- */

static mote_status read_routing(mote__config *c, const json_t *root, mote_error *err)
{
    int v2 = c->architecture == MOTE_ARCH_DEEPSEEK_V2;
    const char *scoring, *method;
    double factor;
    mote_status st;
    if ((st = mote__json_string(&scoring, root, WHERE, "scoring_func",
                 v2 ? "softmax" : "sigmoid", err)) < 0 ||
            (st = mote__json_string(&method, root, WHERE, "topk_method",
                     v2 ? "greedy" : "noaux_tc", err)) < 0 ||
            (st = mote__json_bool(&c->norm_topk_prob, root, WHERE, "norm_topk_prob",
                     !v2, err)) < 0 ||
            (st = mote__json_double(&factor, root, WHERE, "routed_scaling_factor", 1e-6,
                     1e6, 1, err)) < 0)
        return st;
    c->routed_scaling_factor = (float)factor;
    if (strcmp(scoring, "softmax") == 0)
        c->scoring_func = MOTE__SCORING_SOFTMAX;
    else if (strcmp(scoring, "sigmoid") == 0)
        c->scoring_func = MOTE__SCORING_SIGMOID;
    else
        return unsupported("scoring_func", "\"sigmoid\" or \"softmax\"",
                json_object_get(root, "scoring_func"), err);
    if (strcmp(method, "noaux_tc") == 0)
        c->topk_method = MOTE__TOPK_NOAUX_TC;
    else if (strcmp(method, "group_limited_greedy") == 0)
        c->topk_method = MOTE__TOPK_GROUP_LIMITED_GREEDY;
    else if (strcmp(method, "greedy") == 0)
        c->topk_method = MOTE__TOPK_GREEDY;
    else
        return unsupported("topk_method",
                "\"noaux_tc\", \"group_limited_greedy\" or \"greedy\"",
                json_object_get(root, "topk_method"), err);
    return MOTE_OK;
}

/* Groups and top-k against the number of experts. */
static mote_status check_experts(mote__config *c, mote_error *err)
{
    uint32_t experts = c->n_routed_experts;
    if (c->num_experts_per_tok > experts)
        return inconsistent(err, "num_experts_per_tok", "at most n_routed_experts",
                experts, c->num_experts_per_tok);
    if (c->topk_method == MOTE__TOPK_GREEDY) {
        c->n_group = c->topk_group = 1; /* greedy does not look at groups */
        return MOTE_OK;
    }
    if (c->n_group > experts || experts % c->n_group)
        return inconsistent(
                err, "n_group", "a divisor of n_routed_experts", experts, c->n_group);
    if (c->topk_group > c->n_group)
        return inconsistent(
                err, "topk_group", "at most n_group", c->n_group, c->topk_group);
    uint32_t per_group = experts / c->n_group, chosen = per_group * c->topk_group;
    if (c->num_experts_per_tok > chosen)
        return inconsistent(err, "num_experts_per_tok",
                "at most the experts of topk_group groups", chosen,
                c->num_experts_per_tok);
    /* noaux_tc scores a group by the sum of its two best. */
    if (c->topk_method == MOTE__TOPK_NOAUX_TC && c->n_group > 1 && per_group < 2)
        return inconsistent(err, "n_group", "at least 2 experts per group, so at most",
                experts / 2, c->n_group);
    return MOTE_OK;
}

static mote_status read_experts(mote__config *c, const json_t *root, mote_error *err)
{
    int64_t experts;
    int absent = !json_object_get(root, "n_routed_experts");
    mote_status st =
            mote__json_int(&experts, root, WHERE, "n_routed_experts", 1, EXPERTS_MAX,
                    absent && c->architecture != MOTE_ARCH_DEEPSEEK_V2 ? 256 : 0, err);
    if (st < 0)
        return st;
    c->n_routed_experts = (uint32_t)experts;
    c->routed_scaling_factor = 1;
    if (!experts) { /* a dense model: null */
        c->first_k_dense_replace = c->num_hidden_layers;
        c->moe_layer_freq = c->n_group = c->topk_group = 1;
        return MOTE_OK;
    }
    if ((st = read_ints(c, root, moe_fields, sizeof moe_fields / sizeof *moe_fields,
                 err)) < 0 ||
            (st = read_routing(c, root, err)) < 0 || (st = check_experts(c, err)) < 0)
        return st;
    return MOTE_OK;
}

/* ---- FP8 ---- */

static mote_status read_quantization(
        mote__config *c, const json_t *root, mote_error *err)
{
    static const char where[] = "config.json: quantization_config";
    static const struct {
        const char *field, *value;
        int required;
    } strings[] = {
            {"quant_method", "fp8", 1},
            {"fmt", "e4m3", 0},
            {"activation_scheme", "dynamic", 0},
    };
    const json_t *q;
    mote__json_text found;
    mote_status st = mote__json_object(&q, root, WHERE, "quantization_config", err);
    if (st < 0 || !q)
        return st;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        const json_t *v = mote__json_member(q, strings[i].field);
        if ((v || strings[i].required) &&
                (!json_is_string(v) ||
                        strcmp(json_string_value(v), strings[i].value) != 0))
            return mote__fail(err, MOTE_E_UNSUPPORTED,
                    "%s: %s: expected \"%s\", found %s", where, strings[i].field,
                    strings[i].value, mote__json_found(&found, v));
    }
    const json_t *block = mote__json_member(q, "weight_block_size");
    if (!json_is_array(block) || json_array_size(block) != 2 ||
            json_integer_value(json_array_get(block, 0)) != 128 ||
            json_integer_value(json_array_get(block, 1)) != 128) {
        if (json_is_array(block) && json_array_size(block) == 2) {
            mote__json_text second;
            return mote__fail(err, MOTE_E_UNSUPPORTED,
                    "%s: weight_block_size: expected [128, 128], found [%s, %s]", where,
                    mote__json_found(&found, json_array_get(block, 0)),
                    mote__json_found(&second, json_array_get(block, 1)));
        }
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "%s: weight_block_size: expected [128, 128], found %s", where,
                mote__json_found(&found, block));
    }
    c->fp8_block_rows = c->fp8_block_cols = 128;
    const json_t *scale = mote__json_member(q, "scale_fmt");
    if (scale) {
        const char *s = json_is_string(scale) ? json_string_value(scale) : "";
        if (strcmp(s, "ue8m0") == 0)
            c->scale_ue8m0 = 1;
        else if (strcmp(s, "float") != 0 && strcmp(s, "float32") != 0)
            return mote__fail(err, MOTE_E_UNSUPPORTED,
                    "%s: scale_fmt: expected \"ue8m0\" or null, found %s", where,
                    mote__json_found(&found, scale));
    }
    return MOTE_OK;
}

/* ---- the rest ---- */

/* A number, or a list of which the first counts. A default that the vocabulary does not
 * reach is none. */
static mote_status read_token_id(int32_t *out, const json_t *root, const char *field,
        uint32_t vocab_size, uint32_t absent, mote_error *err)
{
    const json_t *v = json_object_get(root, field);
    *out = !v && absent < vocab_size ? (int32_t)absent : -1;
    if (json_is_array(v))
        v = json_array_get(v, 0); /* NULL when empty */
    if (!v || json_is_null(v))
        return MOTE_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 0 ||
            json_integer_value(v) >= vocab_size) {
        char expected[64];
        snprintf(
                expected, sizeof expected, "a token below vocab_size (%u)", vocab_size);
        return mote__json_wrong(WHERE, field, expected, v, err);
    }
    *out = (int32_t)json_integer_value(v);
    return MOTE_OK;
}

static mote_status read_config(mote__config *c, const json_t *root, mote_error *err)
{
    mote_status st;
    double eps;
    if ((st = read_architecture(c, root, err)) < 0 ||
            (st = read_ints(c, root, int_fields, sizeof int_fields / sizeof *int_fields,
                     err)) < 0 ||
            (st = check_fixed(c, root, err)) < 0 ||
            (st = read_q_lora_rank(c, root, err)) < 0 ||
            (st = read_rope(c, root, err)) < 0 ||
            (st = read_experts(c, root, err)) < 0 || (st = check_sizes(c, err)) < 0 ||
            (st = read_quantization(c, root, err)) < 0 ||
            (st = mote__json_bool(&c->tie_word_embeddings, root, WHERE,
                     "tie_word_embeddings", 0, err)) < 0 ||
            (st = mote__json_double(
                     &eps, root, WHERE, "rms_norm_eps", 1e-30, 1, 1e-6, err)) < 0)
        return st;
    c->rms_norm_eps = (float)eps;
    int v2 = c->architecture == MOTE_ARCH_DEEPSEEK_V2;
    if ((st = read_token_id(&c->bos_token_id, root, "bos_token_id", c->vocab_size,
                 v2 ? 100000 : 0, err)) < 0)
        return st;
    return read_token_id(&c->eos_token_id, root, "eos_token_id", c->vocab_size,
            v2 ? 100001 : 1, err);
}

mote_status mote__config_parse(
        mote__config *out, const char *json, size_t size, mote_error *err)
{
    json_t *root = NULL;
    mote__config c;
    memset(out, 0, sizeof *out);
    memset(&c, 0, sizeof c);
    mote_status st = mote__json_parse(&root, json, size, WHERE, err);
    if (st < 0)
        return st;
    if (!json_is_object(root))
        st = mote__fail(
                err, MOTE_E_FORMAT, "%s: expected an object, found an array", WHERE);
    else
        st = read_config(&c, root, err);
    if (st >= 0)
        *out = c;
    json_decref(root);
    return st;
}

mote_status mote__generation_config_parse(float *temperature, float *top_p,
        const char *json, size_t size, mote_error *err)
{
    static const char where[] = "generation_config.json";
    json_t *root = NULL;
    double t = 0, p = 0;
    uint32_t sample = 0;
    *temperature = *top_p = 0;
    mote_status st = mote__json_parse(&root, json, size, where, err);
    if (st < 0)
        return st;
    if (!json_is_object(root))
        st = mote__fail(
                err, MOTE_E_FORMAT, "%s: expected an object, found an array", where);
    else if ((st = mote__json_bool(&sample, root, where, "do_sample", 1, err)) >= 0 &&
             (st = mote__json_double(&t, root, where, "temperature", 0, 100, 0, err)) >=
                     0)
        st = mote__json_double(&p, root, where, "top_p", 0, 1, 0, err);
    if (st >= 0 && sample) {
        *temperature = (float)t;
        *top_p = (float)p;
    }
    json_decref(root);
    return st;
}
