/* SPDX-License-Identifier: MIT */
#include "model/layout.h"

#include "base/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, EXPERT_ALIGN = 4096 };

static const char *const role_names[MOTE__ROLES] = {"embed", "final_norm", "head",
        "attn_norm", "q_a", "q_a_norm", "q_b", "kv_a", "kv_a_norm", "uk", "uv", "o",
        "ffn_norm", "router", "router_bias", "gate", "up", "down", "enorm", "hnorm",
        "eh_proj", "mtp_norm", "expert_gate", "expert_up", "expert_down"};

const char *mote__role_name(uint32_t role)
{
    return role < MOTE__ROLES ? role_names[role] : "?";
}

/* What a builder needs: ck NULL means "from the configuration alone". */
typedef struct builder {
    mote__layout *l;
    const mote__config *c;
    const mote__checkpoint *ck;
    uint32_t type, expert_type;
    mote_error *err;
} builder;

uint64_t mote__slot_sub_bytes(const mote__slot *s)
{
    if (s->form == MOTE__FORM_ROWS_F32)
        return (uint64_t)s->n_rows * s->n_cols * 4;
    if (s->form == MOTE__FORM_ROWS_BF16)
        return (uint64_t)s->n_rows * s->n_cols * 2;
    return mote_k_data_bytes(s->form, s->n_rows, s->n_cols);
}

uint64_t mote__slot_sub_scales(const mote__slot *s)
{
    if (s->form >= MOTE_K_TYPES)
        return 0;
    uint64_t n = mote_k_scale_count(s->form, s->n_rows, s->n_cols);
    /* Sub-matrices are aligned so that each is a valid matrix of its own. */
    return (n * sizeof(float) + ALIGN - 1) / ALIGN * ALIGN;
}

static mote_status push(builder *b, const mote__slot *s)
{
    mote__layout *l = b->l;
    if (mote__grow((void **)&l->slots, &l->capacity, l->n_slots + 1, sizeof *l->slots) <
            0)
        return mote__fail_memory(b->err, l->capacity * sizeof *l->slots, "weight list");
    l->slots[l->n_slots++] = *s;
    return MOTE_OK;
}

/* The tensor `name`, which must be 1-d [cols] (rows 0) or 2-d [rows][cols]. */
static mote_status find(builder *b, const mote__tensor **out, const char *name,
        uint64_t rows, uint64_t cols)
{
    const mote__tensor *t = mote__checkpoint_find(b->ck, name);
    if (!t)
        return mote__fail(b->err, MOTE_E_NOT_FOUND, "tensor %s is missing", name);
    int vec = rows == 0;
    if (t->n_dims != (vec ? 1u : 2u) || t->shape[vec ? 0 : 1] != cols ||
            (!vec && t->shape[0] != rows)) {
        char found[160] = "";
        size_t n = 0;
        for (uint32_t i = 0; i < t->n_dims && n < sizeof found - 24; i++)
            n += (size_t)snprintf(
                    found + n, sizeof found - n, "[%" PRIu64 "]", t->shape[i]);
        if (vec)
            return mote__fail(b->err, MOTE_E_FORMAT,
                    "tensor %s: expected shape [%" PRIu64 "], file has %s", name, cols,
                    found);
        return mote__fail(b->err, MOTE_E_FORMAT,
                "tensor %s: expected shape [%" PRIu64 "][%" PRIu64 "], file has %s",
                name, rows, cols, found);
    }
    *out = t;
    return MOTE_OK;
}

static void weight_name(char *name, size_t size, uint32_t layer, const char *suffix)
{
    if (layer == UINT32_MAX)
        snprintf(name, size, "%s", suffix);
    else
        snprintf(name, size, "model.layers.%u.%s", layer, suffix);
}

/* A vector or small table of floats. */
static mote_status add_rows(builder *b, uint32_t role, uint32_t layer,
        const char *suffix, uint32_t rows, uint32_t cols)
{
    mote__slot s = {.role = role,
            .layer = layer == UINT32_MAX ? 0 : layer,
            .form = MOTE__FORM_ROWS_F32,
            .stack = 1,
            .n_rows = rows ? rows : 1,
            .n_cols = cols};
    if (b->ck) {
        char name[192];
        weight_name(name, sizeof name, layer, suffix);
        mote_status st = find(b, &s.source, name, rows, cols);
        if (st < 0)
            return st;
        uint32_t d = s.source->dtype;
        if (d != MOTE__DTYPE_F32 && d != MOTE__DTYPE_BF16 && d != MOTE__DTYPE_F16)
            return mote__fail(b->err, MOTE_E_UNSUPPORTED,
                    "tensor %s: expected F32, F16 or BF16, file has %s", name,
                    mote__dtype_name(d));
        if (role == MOTE__ROLE_EMBED && d == MOTE__DTYPE_BF16)
            s.form = MOTE__FORM_ROWS_BF16;
    } else if (role == MOTE__ROLE_EMBED) {
        s.form = MOTE__FORM_ROWS_BF16;
    }
    return push(b, &s);
}

/* Can e4m3 blocks of the source serve the panels of this slot? A panel must not
 * straddle two row blocks (or, transposed, a k block two row blocks). */
static int e4m3_fits(const mote__slot *s)
{
    for (uint32_t h = 0; h < s->stack; h++) {
        uint64_t r = s->row0 + (uint64_t)h * s->row_step;
        if (s->transposed) {
            uint64_t last = r + s->n_cols - 1;
            if (r % MOTE_BLOCK != 0 && r / MOTE_BLOCK != last / MOTE_BLOCK)
                return 0;
        } else if (r % MOTE_PANEL != 0 &&
                   r / MOTE_BLOCK != (r + s->n_rows - 1) / MOTE_BLOCK) {
            return 0;
        }
    }
    return 1;
}

typedef struct spec {
    uint32_t role, layer, expert;
    uint32_t stack, n_rows, n_cols; /* of the slot */
    uint32_t row0, row_step, transposed;
    uint32_t src_rows, src_cols; /* of the tensor */
} spec;

static mote_status add_matrix(builder *b, const char *suffix, const spec *p)
{
    mote__slot s = {.role = p->role,
            .layer = p->layer == UINT32_MAX ? 0 : p->layer,
            .expert = p->expert,
            .stack = p->stack,
            .n_rows = p->n_rows,
            .n_cols = p->n_cols,
            .row0 = p->row0,
            .row_step = p->row_step,
            .transposed = p->transposed};
    if (!b->ck) {
        s.form = p->role >= MOTE__ROLE_EXPERT_GATE ? b->expert_type : b->type;
        return push(b, &s);
    }
    char name[192];
    weight_name(name, sizeof name, p->layer, suffix);
    mote_status st = find(b, &s.source, name, p->src_rows, p->src_cols);
    if (st < 0)
        return st;
    switch (s.source->dtype) {
    case MOTE__DTYPE_BF16:
        s.form = MOTE_K_BF16;
        break;
    case MOTE__DTYPE_F32:
    case MOTE__DTYPE_F16:
        s.form = MOTE_K_F32;
        break; /* f16 is not exact in bf16 */
    case MOTE__DTYPE_F8_E4M3: {
        char scale[208];
        snprintf(scale, sizeof scale, "%s_scale_inv", name);
        if (!b->c->fp8_block_rows)
            return mote__fail(b->err, MOTE_E_FORMAT,
                    "tensor %s is F8_E4M3, but config.json has no quantization_config",
                    name);
        st = find(b, &s.source_scale, scale, (p->src_rows + 127) / 128,
                (p->src_cols + 127) / 128);
        if (st < 0)
            return st;
        uint32_t d = s.source_scale->dtype;
        if (d != MOTE__DTYPE_F32 && d != MOTE__DTYPE_BF16 && d != MOTE__DTYPE_F8_E8M0)
            return mote__fail(b->err, MOTE_E_UNSUPPORTED,
                    "tensor %s: expected F32, BF16 or F8_E8M0, file has %s", scale,
                    mote__dtype_name(d));
        s.form = e4m3_fits(&s) ? MOTE_K_E4M3 : MOTE_K_F32;
        break;
    }
    default:
        return mote__fail(b->err, MOTE_E_UNSUPPORTED,
                "tensor %s: expected F32, F16, BF16 or F8_E4M3, file has %s", name,
                mote__dtype_name(s.source->dtype));
    }
    return push(b, &s);
}

static mote_status plain(builder *b, uint32_t role, uint32_t layer, const char *suffix,
        uint32_t rows, uint32_t cols)
{
    spec p = {.role = role,
            .layer = layer,
            .stack = 1,
            .n_rows = rows,
            .n_cols = cols,
            .src_rows = rows,
            .src_cols = cols};
    return add_matrix(b, suffix, &p);
}

#define TRY(x)                                                                         \
    do {                                                                               \
        mote_status st_ = (x);                                                         \
        if (st_ < 0)                                                                   \
            return st_;                                                                \
    } while (0)

static mote_status add_attention(builder *b, uint32_t i)
{
    const mote__config *c = b->c;
    uint32_t heads = c->num_attention_heads, nope = c->qk_nope_head_dim,
             rope = c->qk_rope_head_dim, v = c->v_head_dim, r = c->kv_lora_rank,
             hidden = c->hidden_size;
    TRY(add_rows(b, MOTE__ROLE_ATTN_NORM, i, "input_layernorm.weight", 0, hidden));
    uint32_t q_in = hidden;
    if (c->q_lora_rank) {
        q_in = c->q_lora_rank;
        TRY(plain(b, MOTE__ROLE_Q_A, i, "self_attn.q_a_proj.weight", q_in, hidden));
        TRY(add_rows(
                b, MOTE__ROLE_Q_A_NORM, i, "self_attn.q_a_layernorm.weight", 0, q_in));
    }
    spec q = {.role = MOTE__ROLE_Q_B,
            .layer = i,
            .stack = heads,
            .n_rows = nope + rope,
            .n_cols = q_in,
            .row_step = nope + rope,
            .src_rows = heads * (nope + rope),
            .src_cols = q_in};
    TRY(add_matrix(b,
            c->q_lora_rank ? "self_attn.q_b_proj.weight" : "self_attn.q_proj.weight",
            &q));
    TRY(plain(b, MOTE__ROLE_KV_A, i, "self_attn.kv_a_proj_with_mqa.weight", r + rope,
            hidden));
    TRY(add_rows(b, MOTE__ROLE_KV_A_NORM, i, "self_attn.kv_a_layernorm.weight", 0, r));
    spec uk = {.role = MOTE__ROLE_UK,
            .layer = i,
            .stack = heads,
            .n_rows = r,
            .n_cols = nope,
            .row_step = nope + v,
            .transposed = 1,
            .src_rows = heads * (nope + v),
            .src_cols = r};
    TRY(add_matrix(b, "self_attn.kv_b_proj.weight", &uk));
    spec uv = {.role = MOTE__ROLE_UV,
            .layer = i,
            .stack = heads,
            .n_rows = v,
            .n_cols = r,
            .row0 = nope,
            .row_step = nope + v,
            .src_rows = heads * (nope + v),
            .src_cols = r};
    TRY(add_matrix(b, "self_attn.kv_b_proj.weight", &uv));
    return plain(b, MOTE__ROLE_O, i, "self_attn.o_proj.weight", hidden, heads * v);
}

static mote_status add_experts(builder *b, uint32_t i)
{
    const mote__config *c = b->c;
    uint32_t hidden = c->hidden_size, inter = c->moe_intermediate_size;
    TRY(add_rows(
            b, MOTE__ROLE_ROUTER, i, "mlp.gate.weight", c->n_routed_experts, hidden));
    if (c->topk_method == MOTE__TOPK_NOAUX_TC)
        TRY(add_rows(b, MOTE__ROLE_ROUTER_BIAS, i, "mlp.gate.e_score_correction_bias",
                0, c->n_routed_experts));
    if (c->n_shared_experts) {
        uint32_t w = inter * c->n_shared_experts;
        TRY(plain(b, MOTE__ROLE_GATE, i, "mlp.shared_experts.gate_proj.weight", w,
                hidden));
        TRY(plain(b, MOTE__ROLE_UP, i, "mlp.shared_experts.up_proj.weight", w, hidden));
        TRY(plain(b, MOTE__ROLE_DOWN, i, "mlp.shared_experts.down_proj.weight", hidden,
                w));
    }
    for (uint32_t e = 0; e < c->n_routed_experts; e++) {
        static const char *const parts[3] = {"gate", "up", "down"};
        for (uint32_t j = 0; j < 3; j++) {
            char suffix[64];
            snprintf(suffix, sizeof suffix, "mlp.experts.%u.%s_proj.weight", e,
                    parts[j]);
            uint32_t rows = j == 2 ? hidden : inter, cols = j == 2 ? inter : hidden;
            spec p = {.role = MOTE__ROLE_EXPERT_GATE + j,
                    .layer = i,
                    .expert = e,
                    .stack = 1,
                    .n_rows = rows,
                    .n_cols = cols,
                    .src_rows = rows,
                    .src_cols = cols};
            TRY(add_matrix(b, suffix, &p));
        }
    }
    return MOTE_OK;
}

static mote_status add_ffn(builder *b, uint32_t i)
{
    const mote__config *c = b->c;
    uint32_t hidden = c->hidden_size, inter = c->intermediate_size;
    TRY(add_rows(
            b, MOTE__ROLE_FFN_NORM, i, "post_attention_layernorm.weight", 0, hidden));
    if (i >= c->num_hidden_layers ? c->n_routed_experts > 0 : mote__config_is_moe(c, i))
        return add_experts(b, i);
    TRY(plain(b, MOTE__ROLE_GATE, i, "mlp.gate_proj.weight", inter, hidden));
    TRY(plain(b, MOTE__ROLE_UP, i, "mlp.up_proj.weight", inter, hidden));
    return plain(b, MOTE__ROLE_DOWN, i, "mlp.down_proj.weight", hidden, inter);
}

static mote_status add_mtp(builder *b, uint32_t i)
{
    uint32_t hidden = b->c->hidden_size;
    TRY(add_rows(b, MOTE__ROLE_ENORM, i, "enorm.weight", 0, hidden));
    TRY(add_rows(b, MOTE__ROLE_HNORM, i, "hnorm.weight", 0, hidden));
    TRY(plain(b, MOTE__ROLE_EH_PROJ, i, "eh_proj.weight", hidden, 2 * hidden));
    return add_rows(b, MOTE__ROLE_MTP_NORM, i, "shared_head.norm.weight", 0, hidden);
}

static mote_status build(builder *b)
{
    const mote__config *c = b->c;
    TRY(add_rows(b, MOTE__ROLE_EMBED, UINT32_MAX, "model.embed_tokens.weight",
            c->vocab_size, c->hidden_size));
    TRY(add_rows(b, MOTE__ROLE_FINAL_NORM, UINT32_MAX, "model.norm.weight", 0,
            c->hidden_size));
    TRY(plain(b, MOTE__ROLE_HEAD, UINT32_MAX,
            c->tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight",
            c->vocab_size, c->hidden_size));
    for (uint32_t i = 0; i < b->l->n_layers; i++) {
        TRY(add_attention(b, i));
        TRY(add_ffn(b, i));
        if (i >= c->num_hidden_layers)
            TRY(add_mtp(b, i));
    }
    return mote__layout_place(b->l, b->err);
}

static const char *form_name(uint32_t form)
{
    static const char *const names[] = {[MOTE_K_F32] = "f32",
            [MOTE_K_BF16] = "bf16",
            [MOTE_K_E4M3] = "fp8",
            [MOTE_K_I8] = "int8",
            [MOTE_K_I4] = "int4"};
    return form < MOTE_K_TYPES ? names[form] : "rows";
}

static mote_status disagree(const mote__slot *first, const mote__slot *s,
        const char *expected, mote_error *err)
{
    return mote__fail(err, MOTE_E_UNSUPPORTED,
            "weights of layer %u: expected %s (expert %u) %s %s, which are %s, found "
            "%s",
            s->layer, mote__role_name(s->role), s->expert, expected,
            mote__role_name(first->role), form_name(first->form), form_name(s->form));
}

/* Kernels multiply gate and up in one pass and take one form of activations for what
 * reads the same ones: such matrices must be alike. A file may say otherwise. */
static mote_status agree(const mote__layout *l, mote_error *err)
{
    const mote__slot *q = NULL, *gate = NULL, *down = NULL;
    for (size_t i = 0; i < l->n_slots; i++) {
        const mote__slot *s = &l->slots[i];
        switch (s->role) {
        case MOTE__ROLE_Q_A:
            q = s;
            break;
        case MOTE__ROLE_Q_B:
            if (!q || q->layer != s->layer)
                q = s;
            break;
        case MOTE__ROLE_KV_A:
            if (q && mote_k_is_integer(s->form) != mote_k_is_integer(q->form))
                return disagree(q, s, "integers or not like", err);
            break;
        case MOTE__ROLE_GATE:
            gate = s;
            break;
        case MOTE__ROLE_EXPERT_GATE:
            if (s->expert == 0)
                gate = s;
            if (gate && s->form != gate->form)
                return disagree(gate, s, "in the form of", err);
            break;
        case MOTE__ROLE_UP:
        case MOTE__ROLE_EXPERT_UP:
            if (gate && s->form != gate->form)
                return disagree(gate, s, "in the form of", err);
            break;
        case MOTE__ROLE_EXPERT_DOWN:
            if (s->expert == 0)
                down = s;
            if (down && s->form != down->form)
                return disagree(down, s, "in the form of", err);
            break;
        default:
            break;
        }
    }
    return MOTE_OK;
}

mote_status mote__layout_place(mote__layout *l, mote_error *err)
{
    uint64_t at = 0;
    mote_status st = agree(l, err);
    if (st < 0)
        return st;
    for (size_t i = 0; i < l->n_slots; i++) {
        mote__slot *s = &l->slots[i];
        uint64_t align = s->role == MOTE__ROLE_EXPERT_GATE ? EXPERT_ALIGN : ALIGN;
        at = (at + align - 1) / align * align;
        s->offset = at;
        s->n_bytes = mote__slot_sub_bytes(s) * s->stack;
        at += (s->n_bytes + ALIGN - 1) / ALIGN * ALIGN;
        s->scale_offset = at;
        s->scale_bytes = mote__slot_sub_scales(s) * s->stack;
        at += s->scale_bytes;
        if (at > UINT64_MAX / 4)
            return mote__fail(
                    err, MOTE_E_UNSUPPORTED, "the model is too large to address");
    }
    l->arena_bytes = (at + EXPERT_ALIGN - 1) / EXPERT_ALIGN * EXPERT_ALIGN;
    return MOTE_OK;
}

static mote_status run_builder(builder *b, uint32_t mtp)
{
    memset(b->l, 0, sizeof *b->l);
    b->l->mtp = mtp;
    b->l->n_layers = b->c->num_hidden_layers + mtp;
    mote_status st = build(b);
    if (st < 0)
        mote__layout_free(b->l);
    return st;
}

mote_status mote__layout_from_checkpoint(mote__layout *out, const mote__config *c,
        const mote__checkpoint *ck, uint32_t mtp, mote_error *err)
{
    builder b = {.l = out, .c = c, .ck = ck, .err = err};
    return run_builder(&b, mtp);
}

mote_status mote__layout_from_config(mote__layout *out, const mote__config *c,
        uint32_t type, uint32_t expert_type, uint32_t mtp, mote_error *err)
{
    builder b = {
            .l = out, .c = c, .type = type, .expert_type = expert_type, .err = err};
    return run_builder(&b, mtp);
}

void mote__layout_free(mote__layout *l)
{
    free(l->slots);
    memset(l, 0, sizeof *l);
}
