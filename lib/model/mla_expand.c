/* SPDX-License-Identifier: MIT */
/* Multi-head Latent Attention in expanded form, for long prompts: each head's keys and
 * values are made of the cached latents, a block of positions at a time, and attention
 * runs over them as in report section 2.1.1, equations 1 to 11, as they stand.
 *
 * Why. A query and a cached position cost nope + rope + v multiplications per head
 * instead of the rope + 2 kv_lora_rank of the absorbed form (V3: 320 against 1088), and
 * making keys and values of the latents is shared by all queries of the pass.
 *
 * Bits. A row walks the cache in blocks of BLOCK positions from 0 on, every block whole
 * with weights of 0 behind the row's own position, so that its result depends on its
 * position and the cache alone: not on the rows beside it, where the pass began, the
 * group that a head is in, nor on threads. */
#include "model/work.h"

#include <math.h>
#include <string.h>

enum {
    GROUP = 4,   /* heads that share one look at the latents */
    BLOCK = 128, /* positions expanded at once */
    TILE = 96    /* rows attended at once: their scores stay in the cache */
};

typedef struct expand {
    const mote__mla_job *j;
    uint32_t kv_type; /* of the panels of keys and values */
    size_t q_bytes, p_bytes;
    uint8_t *q_act;       /* [GROUP][rows][q_bytes] */
    float *top, *total;   /* [GROUP][rows]: of the softmax so far */
    float *c, *pe;        /* [BLOCK][kv_lora_rank], [BLOCK][rope] */
    uint8_t *act_k;       /* c packed for W_UK */
    uint8_t *act_v;       /* c packed for W_UV */
    mote_k_matrix *key_w; /* [GROUP]: W_UK from latents to keys */
    uint8_t *key_data;    /* [GROUP][key_bytes] */
    float *key_scales;    /* [GROUP][n_key_scales] */
    size_t key_bytes, n_key_scales;
    float *rows;    /* keys or values as rows, then what is computed of them */
    uint16_t *half; /* the same in bf16 */
    uint8_t *k_data, *v_data; /* panels of one head */
    float *q, *s;             /* [TILE][nope + rope]; [TILE][BLOCK] */
    uint8_t *p_act;           /* [TILE][p_bytes] */
    float *o;                 /* [TILE][v] */
} expand;

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t form_bytes(const mote__net *net, uint32_t k)
{
    size_t n = 64;
    for (uint32_t f = 0; f < MOTE_K_ACTS; f++)
        n = largest(n, net->k.act_bytes(f, k));
    return n;
}

/* Parts of a worker's memory for passes of up to n rows; returns their bytes. */
static size_t place(expand *e, uint8_t *base, const mote__net *net, size_t n)
{
    const mote__config *c = &net->config;
    const uint32_t nope = c->qk_nope_head_dim, rope = c->qk_rope_head_dim,
                   r = c->kv_lora_rank, v = c->v_head_dim, dq = nope + rope;
    size_t at = 0;
    e->key_bytes = (mote_k_data_bytes(MOTE_K_F32, nope, r) + 63) / 64 * 64;
    e->n_key_scales = (mote_k_scale_count(MOTE_K_E4M3, nope, r) + 15) / 16 * 16;
    e->q_act = mote__take(base, &at, GROUP * n * form_bytes(net, dq));
    e->top = mote__take(base, &at, GROUP * n * sizeof(float));
    e->total = mote__take(base, &at, GROUP * n * sizeof(float));
    e->c = mote__take(base, &at, (size_t)BLOCK * r * sizeof(float));
    e->pe = mote__take(base, &at, (size_t)BLOCK * rope * sizeof(float));
    e->act_k = mote__take(base, &at, BLOCK * form_bytes(net, r));
    e->act_v = mote__take(base, &at, BLOCK * form_bytes(net, r));
    e->key_w = mote__take(base, &at, GROUP * sizeof *e->key_w);
    e->key_data = mote__take(base, &at, GROUP * e->key_bytes);
    e->key_scales = mote__take(base, &at, GROUP * e->n_key_scales * sizeof(float));
    const size_t cells = largest(
            largest((size_t)BLOCK * dq, (size_t)BLOCK * v), (size_t)MOTE_PANEL * r);
    e->rows = mote__take(base, &at, cells * sizeof(float));
    e->half = mote__take(base, &at, cells * sizeof(uint16_t));
    e->k_data = mote__take(base, &at, mote_k_data_bytes(MOTE_K_F32, BLOCK, dq));
    e->v_data = mote__take(base, &at, mote_k_data_bytes(MOTE_K_F32, v, BLOCK));
    e->q = mote__take(base, &at, (size_t)TILE * dq * sizeof(float));
    e->s = mote__take(base, &at, (size_t)TILE * BLOCK * sizeof(float));
    e->p_act = mote__take(base, &at, TILE * form_bytes(net, BLOCK));
    e->o = mote__take(base, &at, (size_t)TILE * v * sizeof(float));
    return at;
}

size_t mote__mla_expanded_bytes(const mote__net *net, uint32_t max_rows)
{
    expand e;
    return place(&e, NULL, net, max_rows);
}

/* ---- W_UK the other way round ---- */

/* 1: the scales of 8 panels of W_UK, which are one block of columns here, are equal. */
static int scales_agree(const mote_k_matrix *uk)
{
    const uint32_t kb = (uk->n_cols + MOTE_BLOCK - 1) / MOTE_BLOCK;
    for (uint32_t p = 0; p < mote_k_panels(uk->n_rows); p++)
        for (uint32_t b = 0; b < kb; b++) {
            const uint32_t first =
                    p / (MOTE_BLOCK / MOTE_PANEL) * (MOTE_BLOCK / MOTE_PANEL);
            if (uk->scales[(size_t)p * kb + b] != uk->scales[(size_t)first * kb + b])
                return 0;
        }
    return 1;
}

/* Exact, but for integer weights beside 8-bit activations, which are rounded to bf16.
 */
static uint32_t key_type(const mote__pass *p, const mote_k_matrix *uk)
{
    if (mote_k_is_integer(uk->type))
        return p->form_int == MOTE_K_ACT_INT8 ? MOTE_K_BF16 : MOTE_K_F32;
    if (uk->type == MOTE_K_E4M3 && !scales_agree(uk))
        return MOTE_K_F32;
    return uk->type;
}

static void to_bf16(uint16_t *restrict dst, const float *restrict src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t b;
        memcpy(&b, &src[i], sizeof b);
        const uint32_t rounded = (b + 0x7fffu + (b >> 16 & 1u)) >> 16;
        const uint32_t nan = b >> 16 | 0x40u;
        dst[i] = (uint16_t)((b & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
    }
}

/* Column i of W_UK, not bf16, as a row of floats. */
static void column_floats(float *row, const mote_k_matrix *uk, uint32_t i)
{
    const size_t panel = mote_k_data_bytes(uk->type, MOTE_PANEL, uk->n_cols);
    const size_t n_scales = mote_k_scale_count(uk->type, MOTE_PANEL, uk->n_cols);
    const size_t cell = (size_t)(i & ~3u) * MOTE_PANEL + (i & 3u);
    for (uint32_t k = 0; k < uk->n_rows; k++) {
        const uint32_t p = k / MOTE_PANEL, m = k % MOTE_PANEL;
        const uint8_t *from = (const uint8_t *)uk->data + p * panel;
        const float *scales = uk->scales ? uk->scales + p * n_scales : NULL;
        switch (uk->type) {
        case MOTE_K_F32:
            row[k] = ((const float *)(const void *)from)[(size_t)i * MOTE_PANEL + m];
            break;
        case MOTE_K_E4M3:
            row[k] = mote_k_e4m3_to_f32(from[cell + 4 * m]) * scales[i / MOTE_BLOCK];
            break;
        case MOTE_K_I8:
            row[k] = (float)(int8_t)from[cell + 4 * m] *
                     scales[i / MOTE_I8_GROUP * MOTE_PANEL + m];
            break;
        default:
            row[k] = mote_k_i4_value(from, m, i);
            break;
        }
    }
}

/* Head g's matrix from latents to keys: W_UK transposed, in panels. */
static void key_weights(expand *e, uint32_t g, const mote_k_matrix *uk)
{
    const uint32_t r = uk->n_rows, nope = uk->n_cols;
    uint8_t *data = e->key_data + g * e->key_bytes;
    float *scales = e->key_scales + g * e->n_key_scales;
    mote_k_matrix w = {
            .data = data, .n_rows = nope, .n_cols = r, .type = key_type(e->j->p, uk)};
    const size_t panel = mote_k_data_bytes(w.type, MOTE_PANEL, r);
    const int as_bytes = w.type == uk->type && uk->type != MOTE_K_F32;
    for (uint32_t i = 0; i < nope; i += MOTE_PANEL, data += panel) {
        const uint32_t n = nope - i < MOTE_PANEL ? nope - i : MOTE_PANEL;
        if (as_bytes) {
            mote_k_pack_columns(data, uk, i);
            continue;
        }
        for (uint32_t k = 0; k < n; k++)
            column_floats(e->rows + (size_t)k * r, uk, i + k);
        if (w.type == MOTE_K_F32) {
            mote_k_pack_f32(data, e->rows, r, n, r);
        } else {
            to_bf16(e->half, e->rows, (size_t)n * r);
            mote_k_pack_bf16(data, e->half, r, n, r);
        }
    }
    if (w.type == MOTE_K_E4M3) {
        const uint32_t from = (nope + MOTE_BLOCK - 1) / MOTE_BLOCK,
                       to = (r + MOTE_BLOCK - 1) / MOTE_BLOCK;
        for (uint32_t p = 0; p < mote_k_panels(nope); p++)
            for (uint32_t b = 0; b < to; b++)
                scales[(size_t)p * to + b] =
                        uk->scales[(size_t)b * (MOTE_BLOCK / MOTE_PANEL) * from +
                                   p * MOTE_PANEL / MOTE_BLOCK];
        w.scales = scales;
    }
    e->key_w[g] = w;
}

/* ---- queries ---- */

static void queries(expand *e, uint32_t g, uint32_t head)
{
    const mote__mla_job *j = e->j;
    const mote_kernels *k = &j->net->k;
    const mote__config *c = &j->net->config;
    const uint32_t nope = c->qk_nope_head_dim, rope = c->qk_rope_head_dim,
                   dq = nope + rope, rows = j->p->n;
    const size_t in_bytes = k->act_bytes(j->q_form, j->y->q_b.first.n_cols);
    const mote_k_matrix wq = mote__stack_at(&j->y->q_b, head);
    for (uint32_t i = 0; i < rows; i += TILE) {
        const uint32_t n = rows - i < TILE ? rows - i : TILE;
        k->matmul(e->q, dq, &wq, 0, mote_k_panels(dq),
                (const uint8_t *)j->q_act + i * in_bytes, j->q_form, NULL, n);
        for (uint32_t t = 0; t < n; t++)
            k->rope(e->q + (size_t)t * dq + nope, dq, 1, rope,
                    j->w->cos + (size_t)(i + t) * rope / 2,
                    j->w->sin + (size_t)(i + t) * rope / 2);
        k->act_pack(e->q_act + ((size_t)g * rows + i) * e->q_bytes, j->p->form, e->q,
                dq, dq, n);
    }
}

/* ---- keys and values of a block ---- */

/* Latents of positions [begin, begin + n), packed for both matrices. */
static void latents(expand *e, uint32_t begin, uint32_t n, uint32_t form_v)
{
    const mote__mla_job *j = e->j;
    const mote_kernels *k = &j->net->k;
    const mote__config *c = &j->net->config;
    const uint32_t r = c->kv_lora_rank, rope = c->qk_rope_head_dim;
    void *const *blocks = j->p->rows[0].kv[j->layer];
    for (uint32_t t = 0; t < n; t++)
        k->kv_load(e->c + (size_t)t * r, e->pe + (size_t)t * rope,
                blocks[(begin + t) / MOTE_KV_BLOCK], j->p->kv_type,
                (begin + t) % MOTE_KV_BLOCK, r, rope);
    k->act_pack(e->act_k, j->p->form, e->c, r, r, n);
    if (form_v != j->p->form)
        k->act_pack(e->act_v, form_v, e->c, r, r, n);
}

/* Rows of the matrix are positions: what is multiplied with queries. */
static mote_k_matrix keys(expand *e, uint32_t g, uint32_t n)
{
    const mote__config *c = &e->j->net->config;
    const uint32_t nope = c->qk_nope_head_dim, rope = c->qk_rope_head_dim,
                   dq = nope + rope;
    const size_t panel = mote_k_data_bytes(e->kv_type, MOTE_PANEL, dq);
    e->j->net->k.matmul(e->rows, dq, &e->key_w[g], 0, mote_k_panels(nope), e->act_k,
            e->j->p->form, NULL, n);
    for (uint32_t t = 0; t < n; t++)
        memcpy(e->rows + (size_t)t * dq + nope, e->pe + (size_t)t * rope,
                rope * sizeof(float));
    if (e->kv_type == MOTE_K_BF16)
        to_bf16(e->half, e->rows, (size_t)n * dq);
    for (uint32_t t = 0; t < n; t += MOTE_PANEL) {
        const uint32_t live = n - t < MOTE_PANEL ? n - t : MOTE_PANEL;
        uint8_t *to = e->k_data + t / MOTE_PANEL * panel;
        if (e->kv_type == MOTE_K_BF16)
            mote_k_pack_bf16(to, e->half + (size_t)t * dq, dq, live, dq);
        else
            mote_k_pack_f32(to, e->rows + (size_t)t * dq, dq, live, dq);
    }
    return (mote_k_matrix){
            .data = e->k_data, .n_rows = n, .n_cols = dq, .type = e->kv_type};
}

/* Panel p of values in bf16: 16 of a head's values, positions four by four. */
static void value_panel(
        uint16_t *restrict to, const uint16_t *restrict from, size_t ld, uint32_t live)
{
    for (uint32_t t = 0; t < BLOCK; t += 4, from += 4 * ld, to += 4 * MOTE_PANEL)
        for (uint32_t i = 0; i < live; i++) {
            const uint64_t four = from[i] | (uint64_t)from[ld + i] << 16 |
                                  (uint64_t)from[2 * ld + i] << 32 |
                                  (uint64_t)from[3 * ld + i] << 48;
            const uint16_t parts[4] = {(uint16_t)four, (uint16_t)(four >> 16),
                    (uint16_t)(four >> 32), (uint16_t)(four >> 48)};
            memcpy(to + 4 * (size_t)i, parts, sizeof parts);
        }
}

/* Columns of the matrix are positions: what is multiplied with their weights. All BLOCK
 * of them, those behind the n known ones zero. */
static mote_k_matrix values(expand *e, uint32_t head, uint32_t n, uint32_t form_v)
{
    const mote__mla_job *j = e->j;
    const uint32_t v = j->net->config.v_head_dim;
    const mote_k_matrix uv = mote__stack_at(&j->y->uv, head);
    const size_t panel = mote_k_data_bytes(e->kv_type, MOTE_PANEL, BLOCK);
    j->net->k.matmul(e->rows, v, &uv, 0, mote_k_panels(v),
            form_v == j->p->form ? e->act_k : e->act_v, form_v, NULL, n);
    memset(e->rows + (size_t)n * v, 0, (size_t)(BLOCK - n) * v * sizeof(float));
    if (e->kv_type == MOTE_K_BF16)
        to_bf16(e->half, e->rows, (size_t)BLOCK * v);
    for (uint32_t i = 0; i < v; i += MOTE_PANEL) {
        const uint32_t live = v - i < MOTE_PANEL ? v - i : MOTE_PANEL;
        uint8_t *to = e->v_data + i / MOTE_PANEL * panel;
        if (live < MOTE_PANEL)
            memset(to, 0, panel);
        if (e->kv_type == MOTE_K_BF16)
            value_panel((uint16_t *)(void *)to, e->half + i, v, live);
        else
            for (uint32_t t = 0; t < BLOCK; t++)
                memcpy((float *)(void *)to + (size_t)t * MOTE_PANEL,
                        e->rows + (size_t)t * v + i, live * sizeof(float));
    }
    return (mote_k_matrix){
            .data = e->v_data, .n_rows = v, .n_cols = BLOCK, .type = e->kv_type};
}

/* ---- attention ---- */

/* Rows [row0, row0 + n) of head `head` over the block of positions from `begin` on. */
static void attend_tile(expand *e, uint32_t g, uint32_t head, uint32_t begin,
        const mote_k_matrix *k_w, const mote_k_matrix *v_w, uint32_t row0, uint32_t n)
{
    const mote__mla_job *j = e->j;
    const mote_kernels *k = &j->net->k;
    const uint32_t v = j->net->config.v_head_dim, rows = j->p->n,
                   heads = j->net->config.num_attention_heads,
                   first = j->p->rows[0].position;
    /* What lies behind the last row's position counts for none of them. */
    const uint32_t ahead = first + row0 + n - begin;
    const uint32_t used = ahead < k_w->n_rows ? ahead : k_w->n_rows;
    float factor[TILE];
    k->matmul(e->s, BLOCK, k_w, 0, mote_k_panels(used),
            e->q_act + ((size_t)g * rows + row0) * e->q_bytes, j->p->form, NULL, n);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t seen = first + row0 + i - begin + 1;
        const size_t at = (size_t)g * rows + row0 + i;
        factor[i] = k->soften(e->s + (size_t)i * BLOCK, seen < BLOCK ? seen : BLOCK,
                BLOCK, j->net->softmax_scale, &e->top[at], &e->total[at]);
    }
    k->act_pack(e->p_act, j->p->form, e->s, BLOCK, BLOCK, n);
    k->matmul(e->o, v, v_w, 0, mote_k_panels(v), e->p_act, j->p->form, NULL, n);
    for (uint32_t i = 0; i < n; i++)
        k->scale_add(j->w->ctx + ((size_t)(row0 + i) * heads + head) * v, factor[i],
                e->o + (size_t)i * v, v);
}

static void attend_heads(expand *e, uint32_t h0, uint32_t nh)
{
    const mote__mla_job *j = e->j;
    const mote__config *c = &j->net->config;
    const uint32_t v = c->v_head_dim, heads = c->num_attention_heads, rows = j->p->n,
                   first = j->p->rows[0].position, end = first + rows;
    const uint32_t form_v = mote__form_of(j->p, &j->y->uv.first);
    for (uint32_t g = 0; g < nh; g++) {
        const mote_k_matrix uk = mote__stack_at(&j->y->uk, h0 + g);
        key_weights(e, g, &uk);
        queries(e, g, h0 + g);
        for (uint32_t i = 0; i < rows; i++) {
            e->top[(size_t)g * rows + i] = -INFINITY;
            e->total[(size_t)g * rows + i] = 0;
            memset(j->w->ctx + ((size_t)i * heads + h0 + g) * v, 0, v * sizeof(float));
        }
    }
    for (uint32_t b = 0; b < end; b += BLOCK) {
        const uint32_t n = end - b < BLOCK ? end - b : BLOCK;
        const uint32_t row0 = b > first ? b - first : 0;
        latents(e, b, n, form_v);
        for (uint32_t g = 0; g < nh; g++) {
            const mote_k_matrix k_w = keys(e, g, n), v_w = values(e, h0 + g, n, form_v);
            for (uint32_t i = row0; i < rows; i += TILE)
                attend_tile(e, g, h0 + g, b, &k_w, &v_w, i,
                        rows - i < TILE ? rows - i : TILE);
        }
    }
    for (uint32_t g = 0; g < nh; g++)
        for (uint32_t i = 0; i < rows; i++) {
            float *out = j->w->ctx + ((size_t)i * heads + h0 + g) * v;
            const float by = 1.0f / e->total[(size_t)g * rows + i];
            for (uint32_t t = 0; t < v; t++)
                out[t] *= by;
        }
}

void mote__mla_expanded_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    const mote__mla_job *j = arg;
    const mote__config *c = &j->net->config;
    expand e;
    (void)place(
            &e, j->w->per_worker + worker * j->w->worker_bytes, j->net, j->w->max_rows);
    e.j = j;
    e.kv_type = j->p->form == MOTE_K_ACT_BF16 ? MOTE_K_BF16 : MOTE_K_F32;
    e.q_bytes =
            j->net->k.act_bytes(j->p->form, c->qk_nope_head_dim + c->qk_rope_head_dim);
    for (uint32_t h = begin; h < end; h += GROUP)
        attend_heads(&e, h, end - h < GROUP ? end - h : GROUP);
}
