/* SPDX-License-Identifier: MIT */
#include "tiny_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text that grows ---- */

typedef struct text {
    char *bytes;
    size_t n, capacity;
    int failed;
} text;

static void add(text *t, const char *bytes, size_t n)
{
    if (!t->failed && t->n + n + 1 > t->capacity) {
        size_t capacity = (t->n + n + 1) * 2;
        char *more = realloc(t->bytes, capacity);
        t->failed = !more;
        if (more) {
            t->bytes = more;
            t->capacity = capacity;
        }
    }
    if (t->failed)
        return;
    memcpy(t->bytes + t->n, bytes, n);
    t->bytes[t->n += n] = '\0';
}

__attribute__((format(printf, 2, 3))) static void say(text *t, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    add(t, line, (size_t)n);
}

/* As the inside of a JSON string. */
static void quote(text *t, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            add(t, "\\", 1);
        add(t, bytes + i, 1);
    }
}

/* ---- the tokenizer ---- */

#define BAR "\xef\xbd\x9c"   /* the bar of DeepSeek's control tokens */
#define BLANK "\xe2\x96\x81" /* and what stands for a blank in them */

static const char *const controls[] = {"<" BAR "begin" BLANK "of" BLANK "sentence" BAR
                                       ">",
        "<" BAR "end" BLANK "of" BLANK "sentence" BAR ">", "<" BAR "User" BAR ">",
        "<" BAR "Assistant" BAR ">", "<think>", "</think>"};
enum { CONTROLS = sizeof controls / sizeof *controls };

/* Byte-level vocabularies write a byte that does not print as U+0100 and on. */
static unsigned code_of(unsigned byte)
{
    unsigned next = 256;
    for (unsigned b = 0; b < 256; b++) {
        int prints = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        if (b == byte)
            return prints ? b : next;
        next += !prints;
    }
    return 0;
}

static void say_tokenizer(text *t)
{
    say(t, "{\"added_tokens\":[");
    for (unsigned i = 0; i < CONTROLS; i++)
        say(t,
                "%s{\"id\":%u,\"content\":\"%s\",\"single_word\":false,\"lstrip\":"
                "false,"
                "\"rstrip\":false,\"normalized\":false,\"special\":%s}",
                i ? "," : "", 256 + i, controls[i], i < 2 ? "true" : "false");
    say(t, "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\","
           "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false},"
           "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},"
           "\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (unsigned b = 0; b < 256; b++) {
        unsigned c = code_of(b);
        say(t, "%s\"\\u%04x\":%u", b ? "," : "", c, b);
    }
    say(t, "},\"merges\":[]}}");
}

char *tiny_tokenizer_json(size_t *size)
{
    text t = {0};
    say_tokenizer(&t);
    *size = t.n;
    if (!t.failed)
        return t.bytes;
    free(t.bytes);
    return NULL;
}

/* ---- weights ---- */

typedef struct maker {
    text header;
    size_t at; /* bytes of tensors so far */
    uint64_t random;
} maker;

static uint64_t random_u64(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned below(uint64_t *state, unsigned n)
{
    return (unsigned)(random_u64(state) >> 33) % n;
}

/* A tensor of rows x columns; 0 columns: a vector. */
static void tensor(
        maker *m, const char *prefix, const char *name, unsigned rows, unsigned columns)
{
    size_t n = (size_t)rows * (columns ? columns : 1) * sizeof(float);
    say(&m->header, ",\"%s%s\":{\"dtype\":\"F32\",\"shape\":[%u", prefix, name, rows);
    if (columns)
        say(&m->header, ",%u", columns);
    say(&m->header, "],\"data_offsets\":[%zu,%zu]}", m->at, m->at + n);
    m->at += n;
}

typedef struct shape {
    unsigned hidden, heads, q_lora, kv_lora, nope, rope, v, inner, experts, top, layers;
} shape;

static void mlp(maker *m, const char *prefix, const char *which, unsigned hidden,
        unsigned inner)
{
    char at[128];
    snprintf(at, sizeof at, "%s%s", prefix, which);
    tensor(m, at, "gate_proj.weight", inner, hidden);
    tensor(m, at, "up_proj.weight", inner, hidden);
    tensor(m, at, "down_proj.weight", hidden, inner);
}

static void block(maker *m, const shape *s, unsigned layer, int dense)
{
    char p[64], which[64];
    unsigned q = s->heads * (s->nope + s->rope), kv = s->heads * (s->nope + s->v);
    snprintf(p, sizeof p, "model.layers.%u.", layer);
    tensor(m, p, "input_layernorm.weight", s->hidden, 0);
    if (s->q_lora) {
        tensor(m, p, "self_attn.q_a_proj.weight", s->q_lora, s->hidden);
        tensor(m, p, "self_attn.q_a_layernorm.weight", s->q_lora, 0);
        tensor(m, p, "self_attn.q_b_proj.weight", q, s->q_lora);
    } else {
        tensor(m, p, "self_attn.q_proj.weight", q, s->hidden);
    }
    tensor(m, p, "self_attn.kv_a_proj_with_mqa.weight", s->kv_lora + s->rope,
            s->hidden);
    tensor(m, p, "self_attn.kv_a_layernorm.weight", s->kv_lora, 0);
    tensor(m, p, "self_attn.kv_b_proj.weight", kv, s->kv_lora);
    tensor(m, p, "self_attn.o_proj.weight", s->hidden, s->heads * s->v);
    tensor(m, p, "post_attention_layernorm.weight", s->hidden, 0);
    if (dense) {
        mlp(m, p, "mlp.", s->hidden, s->inner);
        return;
    }
    tensor(m, p, "mlp.gate.weight", s->experts, s->hidden);
    tensor(m, p, "mlp.gate.e_score_correction_bias", s->experts, 0);
    for (unsigned e = 0; e < s->experts; e++) {
        snprintf(which, sizeof which, "mlp.experts.%u.", e);
        mlp(m, p, which, s->hidden, 8);
    }
    mlp(m, p, "mlp.shared_experts.", s->hidden, 8);
}

static void say_config(text *t, const shape *s, int mtp)
{
    char q[16];
    snprintf(q, sizeof q, "%u", s->q_lora);
    say(t,
            "{\"model_type\":\"deepseek_v3\",\"vocab_size\":%u,\"hidden_size\":%u,"
            "\"intermediate_size\":%u,\"moe_intermediate_size\":8,"
            "\"num_hidden_layers\":%u,\"num_attention_heads\":%u,"
            "\"num_key_value_heads\":%u,\"q_lora_rank\":%s,\"kv_lora_rank\":%u,"
            "\"qk_nope_head_dim\":%u,\"qk_rope_head_dim\":%u,\"v_head_dim\":%u,"
            "\"n_routed_experts\":%u,\"n_shared_experts\":1,\"num_experts_per_tok\":%u,"
            "\"n_group\":1,\"topk_group\":1,\"first_k_dense_replace\":1,"
            "\"moe_layer_freq\":1,\"norm_topk_prob\":true,\"routed_scaling_factor\":1."
            "5,"
            "\"scoring_func\":\"sigmoid\",\"topk_method\":\"noaux_tc\","
            "\"num_nextn_predict_layers\":%d,\"max_position_embeddings\":%d,"
            "\"rms_norm_eps\":1e-6,\"rope_theta\":10000,\"rope_scaling\":null,"
            "\"hidden_act\":\"silu\",\"attention_bias\":false,"
            "\"tie_word_embeddings\":false,\"bos_token_id\":%d,\"eos_token_id\":%d}",
            TINY_VOCAB, s->hidden, s->inner, s->layers, s->heads, s->heads,
            s->q_lora ? q : "null", s->kv_lora, s->nope, s->rope, s->v, s->experts,
            s->top, mtp, TINY_CONTEXT, TINY_BOS, TINY_EOS);
}

static void say_texts(text *t, const shape *s, int mtp)
{
    text inner = {0};
    say(t, "\"__metadata__\":{\"config.json\":\"");
    say_config(&inner, s, mtp);
    quote(t, inner.bytes ? inner.bytes : "", inner.n);
    inner.n = 0;
    say(t, "\",\"tokenizer.json\":\"");
    say_tokenizer(&inner);
    quote(t, inner.bytes ? inner.bytes : "", inner.n);
    say(t,
            "\",\"tokenizer_config.json\":\"{\\\"add_bos_token\\\":true,"
            "\\\"bos_token\\\":\\\"%s\\\",\\\"eos_token\\\":\\\"%s\\\"}\"}",
            controls[0], controls[1]);
    t->failed |= inner.failed;
    free(inner.bytes);
}

static void say_tensors(maker *m, const shape *s, int mtp)
{
    tensor(m, "model.", "embed_tokens.weight", TINY_VOCAB, s->hidden);
    for (unsigned l = 0; l < s->layers; l++)
        block(m, s, l, l == 0);
    tensor(m, "model.", "norm.weight", s->hidden, 0);
    tensor(m, "", "lm_head.weight", TINY_VOCAB, s->hidden);
    if (!mtp)
        return;
    char p[64];
    snprintf(p, sizeof p, "model.layers.%u.", s->layers);
    tensor(m, p, "enorm.weight", s->hidden, 0);
    tensor(m, p, "hnorm.weight", s->hidden, 0);
    tensor(m, p, "eh_proj.weight", s->hidden, 2 * s->hidden);
    block(m, s, s->layers, 0);
    tensor(m, p, "shared_head.norm.weight", s->hidden, 0);
    tensor(m, p, "embed_tokens.weight", TINY_VOCAB, s->hidden);
    tensor(m, p, "shared_head.head.weight", TINY_VOCAB, s->hidden);
}

static shape shape_of(uint64_t *r)
{
    return (shape){.hidden = 16 + 8 * below(r, 4),
            .heads = 1 + below(r, 3),
            .q_lora = below(r, 2) * 12,
            .kv_lora = 8 + 8 * below(r, 2),
            .nope = 4 + 4 * below(r, 3),
            .rope = 4 + 4 * below(r, 2),
            .v = 4 + 4 * below(r, 3),
            .inner = 16 + 8 * below(r, 3),
            .experts = 2 + below(r, 5),
            .top = 1 + below(r, 2),
            .layers = 1 + below(r, 3)};
}

char *tiny_config_json(uint64_t seed, int mtp, size_t *size)
{
    text t = {0};
    const shape s = shape_of(&seed);
    say_config(&t, &s, mtp);
    *size = t.n;
    if (!t.failed)
        return t.bytes;
    free(t.bytes);
    return NULL;
}

uint8_t *tiny_model_make(uint64_t seed, int mtp, size_t *size)
{
    maker m = {.random = seed};
    uint64_t *r = &m.random;
    const shape s = shape_of(r);
    say(&m.header, "{");
    say_texts(&m.header, &s, mtp);
    say_tensors(&m, &s, mtp);
    say(&m.header, "}");
    while (!m.header.failed && m.header.n % 8)
        add(&m.header, " ", 1);
    uint8_t *file = NULL;
    uint64_t n_header = m.header.n;
    *size = 8 + m.header.n + m.at;
    if (!m.header.failed)
        file = malloc(*size);
    if (file) {
        memcpy(file, &n_header, 8);
        memcpy(file + 8, m.header.bytes, m.header.n);
        for (size_t i = 0; i < m.at; i += sizeof(float)) {
            float v = (float)((int)below(r, 2001) - 1000) / 2000.0f;
            memcpy(file + 8 + m.header.n + i, &v, sizeof v);
        }
    }
    free(m.header.bytes);
    return file;
}

float *tiny_model_tensor(uint8_t *file, const char *name, size_t *n_values)
{
    char key[128];
    uint64_t n_header;
    size_t begin, end;
    memcpy(&n_header, file, 8);
    char *header = (char *)file + 8;
    snprintf(key, sizeof key, ",\"%s\":{", name);
    size_t n = strlen(key);
    for (size_t at = 0; at + n < n_header; at++) {
        if (memcmp(header + at, key, n) != 0)
            continue;
        const char *offsets = strstr(header + at, "\"data_offsets\":[");
        if (!offsets ||
                sscanf(offsets, "\"data_offsets\":[%zu,%zu]", &begin, &end) != 2)
            return NULL;
        *n_values = (end - begin) / sizeof(float);
        return (float *)(void *)(file + 8 + n_header + begin);
    }
    return NULL;
}
