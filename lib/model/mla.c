/* SPDX-License-Identifier: MIT */
/* Multi-head Latent Attention (report section 2.1.1, equations 1 to 11), absorbed form:
 * W_UK is multiplied into the query and W_UV into the output, so that attention runs
 * over the cached latents themselves and a cached token costs kv_lora_rank + rope
 * values. The other form is in mla_expand.c. */
#include "model/attend.h"
#include "model/rope.h"

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

/* Queries of heads [h0, h0 + nh) of rows [row0, row0 + n), and the same with W_UK
 * multiplied in: q[nh][nope + rope] and q_c[nh][kv_lora_rank] per row, ldq and ldc
 * floats from row to row. act: room for n packed rows. */
static void queries(mla_job *j, uint32_t h0, uint32_t nh, uint32_t row0, uint32_t n,
        float *q, size_t ldq, float *q_c, size_t ldc, void *act)
{
    const mote__config *c = &j->net->config;
    const mote_kernels *k = &j->net->k;
    const uint32_t nope = c->qk_nope_head_dim, rope = c->qk_rope_head_dim,
                   dq = nope + rope, r = c->kv_lora_rank;
    const size_t q_bytes = k->act_bytes(j->q_form, j->y->q_b.first.n_cols);
    for (uint32_t h = 0; h < nh; h++) {
        const mote_k_matrix wq = mote__stack_at(&j->y->q_b, h0 + h);
        k->matmul(q + (size_t)h * dq, ldq, &wq, 0, mote_k_panels(dq),
                (const uint8_t *)j->q_act + row0 * q_bytes, j->q_form, NULL, n);
    }
    for (uint32_t i = 0; i < n; i++)
        k->rope(q + i * ldq + nope, dq, nh, rope,
                j->w->cos + (size_t)(row0 + i) * rope / 2,
                j->w->sin + (size_t)(row0 + i) * rope / 2);
    for (uint32_t h = 0; h < nh; h++) {
        const mote_k_matrix uk = mote__stack_at(&j->y->uk, h0 + h);
        const uint32_t form = mote__form_of(j->p, &uk);
        k->act_pack(act, form, q + (size_t)h * dq, ldq, nope, n);
        k->matmul(
                q_c + (size_t)h * r, ldc, &uk, 0, mote_k_panels(r), act, form, NULL, n);
    }
}

/* The heads' outputs of their mean latents lat[nh][kv_lora_rank] per row. */
static void outputs(mla_job *j, uint32_t h0, uint32_t nh, uint32_t row0, uint32_t n,
        const float *lat, size_t ldc, void *act)
{
    const mote__config *c = &j->net->config;
    const mote_kernels *k = &j->net->k;
    const uint32_t r = c->kv_lora_rank, v = c->v_head_dim;
    const size_t width = (size_t)c->num_attention_heads * v;
    for (uint32_t h = 0; h < nh; h++) {
        const mote_k_matrix uv = mote__stack_at(&j->y->uv, h0 + h);
        const uint32_t form = mote__form_of(j->p, &uv);
        k->act_pack(act, form, lat + (size_t)h * r, ldc, r, n);
        k->matmul(j->w->ctx + row0 * width + (size_t)(h0 + h) * v, width, &uv, 0,
                mote_k_panels(v), act, form, NULL, n);
    }
}

/* Everything between the latents and the heads' outputs, for a group of heads and a
 * tile of rows: nothing here crosses heads, so a worker needs no barrier. */
static void attend_tile(mla_job *j, uint32_t h0, uint32_t nh, uint32_t row0, uint32_t n,
        uint8_t *memory)
{
    const mote__config *c = &j->net->config;
    const uint32_t nope = c->qk_nope_head_dim, dq = nope + c->qk_rope_head_dim,
                   r = c->kv_lora_rank;
    const size_t ldq = (size_t)nh * dq, ldc = (size_t)nh * r;
    size_t at = 0;
    float *q = mote__take(memory, &at, n * ldq * sizeof *q);
    float *q_c = mote__take(memory, &at, n * ldc * sizeof *q_c);
    float *lat = mote__take(memory, &at, n * ldc * sizeof *lat);
    float *spare = mote__take(memory, &at, mote__attend_spare(nh, r) * sizeof *spare);
    void *scratch = memory + at;
    queries(j, h0, nh, row0, n, q, ldq, q_c, ldc, scratch);
    for (uint32_t i = 0; i < n; i++) {
        const mote__query of_row = {q_c + i * ldc, q + i * ldq + nope, r, dq, nh};
        mote__attend_row(
                j, &j->p->rows[row0 + i], &of_row, lat + i * ldc, r, spare, scratch);
    }
    outputs(j, h0, nh, row0, n, lat, ldc, scratch);
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

/* ---- the same for few rows of long context, in three steps ----
 *
 * Queries by heads, then attention by parts of contexts, then outputs by heads. Two
 * barriers more, for which no part of a cache is read by several threads. */

static void queries_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    mla_job *j = arg;
    const mote__config *c = &j->net->config;
    const size_t dq = c->qk_nope_head_dim + c->qk_rope_head_dim, r = c->kv_lora_rank;
    queries(j, begin, end - begin, 0, j->p->n, j->w->heads_q + begin * dq,
            c->num_attention_heads * dq, j->w->heads_c + begin * r,
            c->num_attention_heads * r, j->w->per_worker + worker * j->w->worker_bytes);
}

static uint32_t head_groups(const mla_job *j)
{
    return (j->net->config.num_attention_heads + j->group - 1) / j->group;
}

/* Units: row by row, part by part, then groups of heads, which meet the same part. */
static uint32_t row_units(const mla_job *j, uint32_t row)
{
    return mote__parts_of(j->p->rows[row].position + 1) * head_groups(j);
}

static void part_unit(mla_job *j, uint32_t row, uint32_t unit, void *scratch)
{
    mote__work *w = j->w;
    const mote__config *c = &j->net->config;
    const uint32_t heads = c->num_attention_heads, nope = c->qk_nope_head_dim,
                   dq = nope + c->qk_rope_head_dim, r = c->kv_lora_rank,
                   groups = head_groups(j), part = unit / groups,
                   h0 = unit % groups * j->group;
    const size_t query = (size_t)row * heads + h0,
                 sum = ((size_t)row * w->max_parts + part) * heads + h0;
    const mote__query q = {w->heads_c + query * r, w->heads_q + query * dq + nope, r,
            dq, heads - h0 < j->group ? heads - h0 : j->group};
    mote__attend_part(j, &j->p->rows[row], &q, part, row_units(j, row) / groups,
            w->part_sum + sum * r, r, w->part_stats + sum * 2, scratch);
}

static void parts_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    mla_job *j = arg;
    void *scratch = j->w->per_worker + worker * j->w->worker_bytes;
    for (uint32_t row = 0, first = 0; row < j->p->n && first < end; row++) {
        const uint32_t n = row_units(j, row);
        for (uint32_t u = begin > first ? begin - first : 0; u < n && first + u < end;
                u++)
            part_unit(j, row, u, scratch);
        first += n;
    }
}

static void outputs_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    mla_job *j = arg;
    mote__work *w = j->w;
    const uint32_t heads = j->net->config.num_attention_heads,
                   r = j->net->config.kv_lora_rank, n = j->p->n;
    uint8_t *memory = w->per_worker + worker * w->worker_bytes;
    size_t at = 0;
    float *lat = mote__take(memory, &at, (size_t)n * r * sizeof *lat);
    void *scratch = memory + at;
    for (uint32_t h = begin; h < end; h++) {
        for (uint32_t i = 0; i < n; i++) {
            const size_t sum = (size_t)i * w->max_parts * heads + h;
            mote__attend_join(j, lat + (size_t)i * r, w->part_sum + sum * r,
                    (size_t)heads * r, w->part_stats + sum * 2, (size_t)heads * 2,
                    mote__parts_of(j->p->rows[i].position + 1));
        }
        outputs(j, h, 1, 0, n, lat, r, scratch);
    }
}

/* Units of the pass. Groups of heads are smaller where threads would go without: a part
 * read by several costs less than that. No head's bits depend on its group. */
static uint32_t share_out(mla_job *j, uint32_t n_threads)
{
    for (j->group = mote__head_group(j->p->n);; j->group /= 2) {
        uint32_t units = 0;
        for (uint32_t i = 0; i < j->p->n; i++)
            units += row_units(j, i);
        if (units >= n_threads || j->group == 1)
            return units;
    }
}

static void attend_in_parts(mla_job *j, mote__pool *pool)
{
    const uint32_t heads = j->net->config.num_attention_heads;
    const uint32_t units = share_out(j, mote__pool_threads(pool));
    mote__pool_run(pool, heads, 1, queries_range, j);
    mote__pool_run(pool, units, 1, parts_range, j);
    mote__pool_run(pool, heads, 1, outputs_range, j);
}

static void attend(mla_job *j, mote__pool *pool)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < j->p->n; i++)
        longest = j->p->rows[i].position > longest ? j->p->rows[i].position : longest;
    /* A batch may have rows of longer contexts than these buffers were opened for. */
    const uint32_t parts = mote__parts_of(longest + 1);
    if (!j->p->expanded && parts > 1 && parts <= j->w->max_parts &&
            j->p->n <= j->w->few_rows)
        attend_in_parts(j, pool);
    else
        mote__pool_run(pool, j->net->config.num_attention_heads, 1,
                j->p->expanded ? mote__mla_expanded_range : attend_range, j);
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
    mla_job j = {net, w, p, y, layer, 0, w->act, 0};
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
    attend(&j, pool);

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
