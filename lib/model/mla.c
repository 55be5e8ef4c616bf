/* SPDX-License-Identifier: MIT */
/* Multi-head Latent Attention (report section 2.1.1, equations 1 to 11), absorbed form:
 * W_UK is multiplied into the query and W_UV into the output, so that attention runs
 * over the cached latents themselves and a cached token costs kv_lora_rank + rope
 * values. The other form is in mla_expand.c. */
#include "model/rope.h"
#include "model/work.h"

#include <string.h>

typedef mote__mla_job mla_job;

/* First projections, both reading the normed x: panels of W_DQ, then of W_DKV. */
static void down_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    mla_job *j = arg;
    const mote__net *net = j->net;
    const mote__config *c = &net->config;
    uint32_t split = j->y->q_a.data ? mote_k_panels(j->y->q_a.n_rows) : 0;
    (void)worker;
    if (begin < split)
        net->k.matmul(j->w->q_a, c->q_lora_rank, &j->y->q_a, begin,
                end < split ? end : split, j->w->act, mote__form_of(j->p, &j->y->q_a),
                NULL, j->p->n);
    if (end > split)
        net->k.matmul(j->w->kv_a, c->kv_lora_rank + c->qk_rope_head_dim, &j->y->kv_a,
                begin > split ? begin - split : 0, end - split, j->w->act,
                mote__form_of(j->p, &j->y->kv_a), NULL, j->p->n);
}

/* c_kv is normed, k_pe rotated, and both go to the cache. */
static void store_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    mla_job *j = arg;
    const mote__net *net = j->net;
    const mote__config *c = &net->config;
    uint32_t r = c->kv_lora_rank, rope = c->qk_rope_head_dim;
    (void)worker;
    for (uint32_t i = begin; i < end; i++) {
        const mote__row *row = &j->p->rows[i];
        float *c_kv = j->w->kv_a + (size_t)i * (r + rope), *k_pe = c_kv + r;
        net->k.rmsnorm(c_kv, c_kv, j->y->kv_a_norm, r, c->rms_norm_eps);
        net->k.rope(k_pe, rope, 1, rope, j->w->cos + (size_t)i * rope / 2,
                j->w->sin + (size_t)i * rope / 2);
        void *block = row->kv[j->layer][row->position / MOTE_KV_BLOCK];
        uint32_t slot = row->position % MOTE_KV_BLOCK;
        net->k.kv_store(block, j->p->kv_type, slot, c_kv, r, k_pe, rope);
        const mote__taps *t = j->p->taps;
        if (t && t->kv_c && t->k_pe) {
            size_t at = (size_t)j->layer * t->n_total + t->first + i;
            net->k.kv_load(t->kv_c + at * r, t->k_pe + at * rope, block, j->p->kv_type,
                    slot, r, rope);
        }
    }
}

/* Everything between the latents and the heads' outputs, for a group of heads and a
 * tile of rows: nothing here crosses heads, so a worker needs no barrier. */
static void attend_tile(mla_job *j, uint32_t h0, uint32_t nh, uint32_t row0, uint32_t n,
        uint8_t *scratch)
{
    const mote__net *net = j->net;
    const mote__config *c = &net->config;
    const mote_kernels *k = &net->k;
    uint32_t nope = c->qk_nope_head_dim, rope = c->qk_rope_head_dim, dq = nope + rope,
             r = c->kv_lora_rank, v = c->v_head_dim;
    size_t ldq = (size_t)nh * dq, ldc = (size_t)nh * r;
    float *q = (float *)(void *)scratch;         /* [n][nh][nope + rope] */
    float *q_c = q + (n * ldq + 15) / 16 * 16;   /* [n][nh][kv_lora_rank] */
    float *lat = q_c + (n * ldc + 15) / 16 * 16; /* the same */
    uint8_t *act = (uint8_t *)(lat + (n * ldc + 15) / 16 * 16);
    size_t q_bytes = k->act_bytes(j->q_form, j->y->q_b.first.n_cols);

    for (uint32_t h = 0; h < nh; h++) {
        mote_k_matrix wq = mote__stack_at(&j->y->q_b, h0 + h);
        k->matmul(q + h * dq, ldq, &wq, 0, mote_k_panels(dq),
                (const uint8_t *)j->q_act + row0 * q_bytes, j->q_form, NULL, n);
    }
    for (uint32_t i = 0; i < n; i++)
        k->rope(q + i * ldq + nope, dq, nh, rope,
                j->w->cos + (size_t)(row0 + i) * rope / 2,
                j->w->sin + (size_t)(row0 + i) * rope / 2);
    for (uint32_t h = 0; h < nh; h++) {
        mote_k_matrix uk = mote__stack_at(&j->y->uk, h0 + h);
        uint32_t form = mote__form_of(j->p, &uk);
        k->act_pack(act, form, q + h * dq, ldq, nope, n);
        k->matmul(q_c + h * r, ldc, &uk, 0, mote_k_panels(r), act, form, NULL, n);
    }
    /* Rounded activations need no better attention (a cache of floats asks for it). */
    const int bf16 = j->p->form == MOTE_K_ACT_BF16 && j->p->kv_type != MOTE_K_KV_F32;
    for (uint32_t i = 0; i < n; i++) {
        const mote__row *row = &j->p->rows[row0 + i];
        uint8_t *s = act; /* not in use now */
        (bf16 ? k->attend_bf16 : k->attend)(lat + i * ldc, r, q_c + i * ldc, r,
                q + i * ldq + nope, dq, (const void *const *)row->kv[j->layer],
                j->p->kv_type, row->position + 1, nh, r, rope, net->softmax_scale, s);
    }
    for (uint32_t h = 0; h < nh; h++) {
        mote_k_matrix uv = mote__stack_at(&j->y->uv, h0 + h);
        uint32_t form = mote__form_of(j->p, &uv);
        k->act_pack(act, form, lat + h * r, ldc, r, n);
        k->matmul(j->w->ctx + ((size_t)row0 * c->num_attention_heads + h0 + h) * v,
                (size_t)c->num_attention_heads * v, &uv, 0, mote_k_panels(v), act, form,
                NULL, n);
    }
}

static void attend_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    mla_job *j = arg;
    uint8_t *scratch = j->w->per_worker + worker * j->w->worker_bytes;
    const uint32_t group = mote__head_group(j->p->n);
    for (uint32_t h = begin; h < end; h += group) {
        uint32_t nh = end - h < group ? end - h : group;
        for (uint32_t i = 0; i < j->p->n; i += MOTE__ROW_TILE) {
            uint32_t n = j->p->n - i < MOTE__ROW_TILE ? j->p->n - i : MOTE__ROW_TILE;
            attend_tile(j, h, nh, i, n, scratch);
        }
    }
}

typedef struct out_job {
    const mote__net *net;
    mote__work *w;
    const mote__layer *y;
    uint32_t form, n;
} out_job;

/* Output projection, added to the residual stream. */
static void out_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    out_job *j = arg;
    const mote__net *net = j->net;
    float *tmp = (float *)(void *)(j->w->per_worker + worker * j->w->worker_bytes);
    uint32_t hidden = net->config.hidden_size;
    for (uint32_t b = begin; b < end; b += MOTE__DOWN_CHUNK) {
        uint32_t e = end - b < MOTE__DOWN_CHUNK ? end : b + MOTE__DOWN_CHUNK;
        uint32_t row = b * MOTE_PANEL, width = (e - b) * MOTE_PANEL;
        width = hidden - row < width ? hidden - row : width;
        /* matmul indexes rows of W from 0: shift y so that row `row` lands in tmp[0] */
        mote_k_matrix part = mote__panels_from(&j->y->o, b, width);
        net->k.matmul(tmp, width, &part, 0, e - b, j->w->act, j->form, NULL, j->n);
        for (uint32_t i = 0; i < j->n; i++)
            net->k.axpy(j->w->x + (size_t)i * hidden + row, 1.0f,
                    tmp + (size_t)i * width, width);
    }
}

void mote__mla(const mote__net *net, mote__pool *pool, mote__work *w,
        const mote__pass *p, uint32_t layer)
{
    const mote__config *c = &net->config;
    const mote__layer *y = &net->layers[layer];
    mla_job j = {net, w, p, y, layer, 0, w->act};
    const mote_k_matrix *first = y->q_a.data ? &y->q_a : &y->q_b.first;
    uint32_t form = mote__form_of(p, first);

    mote__norm_pack(net, pool, w->xn, c->hidden_size, w->act, form, w->x,
            c->hidden_size, y->attn_norm, c->hidden_size, p->n);
    if (p->observe)
        p->observe(p->observe_user, layer, MOTE__ROLE_KV_A, 0, w->xn, c->hidden_size,
                c->hidden_size, p->n);
    mote__pool_run(pool,
            (y->q_a.data ? mote_k_panels(y->q_a.n_rows) : 0) +
                    mote_k_panels(y->kv_a.n_rows),
            1, down_range, &j);
    mote__rows_run(pool, p->n, store_range, &j);
    j.q_form = mote__form_of(p, &y->q_b.first);
    if (y->q_a.data) {
        mote__norm_pack(net, pool, w->q_a, c->q_lora_rank, w->act_q, j.q_form, w->q_a,
                c->q_lora_rank, y->q_a_norm, c->q_lora_rank, p->n);
        if (p->observe)
            p->observe(p->observe_user, layer, MOTE__ROLE_Q_B, 0, w->q_a,
                    c->q_lora_rank, c->q_lora_rank, p->n);
        j.q_act = w->act_q;
    }
    mote__pool_run(pool, c->num_attention_heads, 1,
            p->expanded ? mote__mla_expanded_range : attend_range, &j);

    uint32_t width = c->num_attention_heads * c->v_head_dim;
    w->weight_bytes +=
            mote__matrix_bytes(&y->q_a) + mote__matrix_bytes(&y->kv_a) +
            mote__matrix_bytes(&y->o) +
            c->num_attention_heads * (mote__matrix_bytes(&y->q_b.first) +
                                             mote__matrix_bytes(&y->uk.first) +
                                             mote__matrix_bytes(&y->uv.first));
    out_job o = {net, w, y, mote__form_of(p, &y->o), p->n};
    if (p->observe)
        p->observe(p->observe_user, layer, MOTE__ROLE_O, 0, w->ctx, width, width, p->n);
    mote__norm_pack(
            net, pool, NULL, 0, w->act, o.form, w->ctx, width, NULL, width, p->n);
    mote__pool_run(pool, mote_k_panels(c->hidden_size), 1, out_range, &o);
}
