/* SPDX-License-Identifier: MIT */
#include "model/work.h"

#include "base/status.h"
#include "model/attend.h"

#include <string.h>

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Walks the buffers twice: first with base NULL to add up, then to place. */
typedef struct placer {
    uint8_t *base;
    uint64_t at;
} placer;

static void *take(placer *p, uint64_t n, uint64_t size)
{
    void *r = p->base ? p->base + p->at : NULL;
    p->at += (n * size + 63) / 64 * 64;
    return r;
}

static size_t widest_act(const mote__net *net)
{
    const mote__config *c = &net->config;
    uint32_t shared = c->moe_intermediate_size * c->n_shared_experts;
    uint32_t widths[] = {net->mtp ? 2 * c->hidden_size : c->hidden_size, c->q_lora_rank,
            c->num_attention_heads * c->v_head_dim, c->intermediate_size, shared,
            c->moe_intermediate_size};
    size_t n = 64;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (uint32_t f = 0; f < MOTE_K_ACTS; f++)
            n = max_size(n, net->k.act_bytes(f, widths[i] ? widths[i] : 1));
    return n;
}

static size_t form_bytes(const mote__net *net, uint32_t k)
{
    size_t n = 64;
    for (uint32_t f = 0; f < MOTE_K_ACTS; f++)
        n = max_size(n, net->k.act_bytes(f, k));
    return n;
}

/* For few rows, of which each part of a context may have another thread. */
static void place_parts(mote__work *w, const mote__net *net, placer *p)
{
    const mote__config *c = &net->config;
    const uint64_t heads = c->num_attention_heads, r = c->kv_lora_rank,
                   dq = c->qk_nope_head_dim + c->qk_rope_head_dim;
    w->few_rows = w->max_rows < MOTE__FEW_ROWS ? w->max_rows : MOTE__FEW_ROWS;
    if (w->n_workers == 1 || w->max_parts == 1)
        w->few_rows = 0;
    w->heads_q = take(p, w->few_rows * heads, dq * 4);
    w->heads_c = take(p, w->few_rows * heads, r * 4);
    w->part_sum = take(p, (uint64_t)w->few_rows * w->max_parts * heads, r * 4);
    w->part_stats = take(p, (uint64_t)w->few_rows * w->max_parts * heads, 2 * 4);
}

static void place(mote__work *w, const mote__net *net, placer *p)
{
    const mote__config *c = &net->config;
    uint64_t n = w->max_rows;
    uint32_t e = c->n_routed_experts, k = c->num_experts_per_tok,
             shared = c->moe_intermediate_size * c->n_shared_experts,
             dense = c->intermediate_size > shared ? c->intermediate_size : shared,
             rope = c->qk_rope_head_dim, heads = c->num_attention_heads,
             dq = c->qk_nope_head_dim + rope, r = c->kv_lora_rank;
    w->act_row = widest_act(net);
    w->x = take(p, n * c->hidden_size, 4);
    w->xn = take(p, n * c->hidden_size * (net->mtp ? 2 : 1), 4);
    w->out = take(p, n * c->hidden_size, 4);
    w->q_a = take(p, n * (c->q_lora_rank + 1), 4);
    w->kv_a = take(p, n * (r + rope), 4);
    w->ctx = take(p, n * heads * c->v_head_dim, 4);
    w->cos = take(p, n * rope, 4);
    w->sin = take(p, n * rope, 4);
    w->act = take(p, n, w->act_row);
    w->act_q = take(p, n, w->act_row);
    place_parts(w, net, p);
    w->scores = take(p, n * (e + 1), 4);
    w->biased = take(p, (uint64_t)w->n_workers * (e + c->n_group + 1), 4);
    w->ids = take(p, n * (k + 1), 4);
    w->weights = take(p, n * (k + 1), 4);
    w->list = take(p, n * (k + 2), 4);
    w->list_weight = take(p, n * (k + 2), 4);
    w->begin = take(p, e + 3, 4);
    w->active = take(p, e + 2, 4);
    w->expert = take(p, e + 2, sizeof *w->expert);
    w->present = take(p, e + 2, 1);
    w->guess = take(p, k + 1, 4);
    w->h_at = take(p, e + 2, 8);
    w->act_at = take(p, e + 2, 8);
    w->h = take(p, n * ((uint64_t)k * c->moe_intermediate_size + dense), 4);
    w->h_act = take(p, n,
            (e ? (uint64_t)k * form_bytes(net, c->moe_intermediate_size) : 0) +
                    form_bytes(net, dense));
    const uint64_t few_rows = n < MOTE__FEW_ROWS ? n : MOTE__FEW_ROWS;
    w->early = net->source ? take(p, few_rows * (k + 1) * c->hidden_size, 4) : NULL;
    /* A worker holds queries, absorbed queries and latents of a head group and row
     * tile; or, in the down projection, one chunk of rows. */
    const uint32_t tile = w->max_rows < MOTE__ROW_TILE ? w->max_rows : MOTE__ROW_TILE;
    /* Passes of fewer rows may come later, with groups of more heads. */
    const uint32_t few = tile < MOTE__FEW_ROWS ? tile : MOTE__FEW_ROWS;
    uint64_t queries = tile * mote__head_group(w->max_rows),
             least = few * mote__head_group(1);
    uint64_t mla = (queries > least ? queries : least) * (dq + 2 * r) * 4 +
                   tile * form_bytes(net, r > dq ? r : dq) +
                   mote__attend_spare(mote__head_group(1), r) * 4 +
                   net->k.attend_scratch(mote__head_group(1), r, rope) + 6 * 64;
    uint64_t down = n * MOTE__DOWN_CHUNK * MOTE_PANEL * 4;
    w->worker_bytes = (size_t)((mla > down ? mla : down) + 63) / 64 * 64;
    if (w->expanded)
        w->worker_bytes =
                max_size(w->worker_bytes, mote__mla_expanded_bytes(net, w->max_rows));
    w->per_worker = take(p, w->n_workers, w->worker_bytes);
}

uint64_t mote__work_bytes(const mote__net *net, uint32_t max_rows, uint32_t n_threads,
        uint32_t expanded, uint32_t context)
{
    mote__work w = {.max_rows = max_rows,
            .n_workers = n_threads,
            .expanded = expanded,
            .max_parts = mote__parts_of(context)};
    placer p = {NULL, (sizeof w + 63) / 64 * 64};
    place(&w, net, &p);
    return p.at;
}

mote_status mote__work_open(mote__work **out, const mote__net *net, mote__memory *m,
        uint32_t max_rows, uint32_t n_threads, uint32_t expanded, uint32_t context,
        mote_error *err)
{
    uint64_t n = mote__work_bytes(net, max_rows, n_threads, expanded, context);
    uint8_t *base =
            n > SIZE_MAX / 2 ? NULL : mote__alloc(m, MOTE_MEM_SCRATCH, (size_t)n);
    if (!base)
        return mote__fail_memory(err, (size_t)n, "work buffers");
    mote__work *w = (mote__work *)(void *)base;
    memset(w, 0, sizeof *w);
    w->max_rows = max_rows;
    w->n_workers = n_threads;
    w->expanded = expanded;
    w->max_parts = mote__parts_of(context);
    w->total_bytes = n;
    placer p = {base, (sizeof *w + 63) / 64 * 64};
    place(w, net, &p);
    *out = w;
    return MOTE_OK;
}

void mote__work_close(mote__work *w, mote__memory *m)
{
    if (w)
        mote__free(m, MOTE_MEM_SCRATCH, w, (size_t)w->total_bytes);
}

uint32_t mote__work_rows(const mote__work *w)
{
    return w->max_rows;
}
uint64_t mote__work_weight_bytes(const mote__work *w)
{
    return w->weight_bytes;
}
const float *mote__work_out(const mote__work *w)
{
    return w->out;
}

void mote__rows_run(mote__pool *pool, uint32_t n, mote__pool_fn fn, void *arg)
{
    if (n < 4)
        fn(arg, 0, n, 0);
    else
        mote__pool_run(pool, n, 1, fn, arg);
}

typedef struct norm_job {
    const mote__net *net;
    float *xn;
    uint8_t *dst;
    const float *x, *weight;
    size_t ldn, ldx, act_bytes;
    uint32_t form, k;
} norm_job;

static void norm_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    norm_job *j = arg;
    (void)worker;
    const float *x = j->x;
    size_t ld = j->ldx;
    if (j->weight) {
        for (uint32_t i = begin; i < end; i++)
            j->net->k.rmsnorm(j->xn + i * j->ldn, j->x + i * j->ldx, j->weight, j->k,
                    j->net->config.rms_norm_eps);
        x = j->xn;
        ld = j->ldn;
    }
    if (j->dst)
        j->net->k.act_pack(j->dst + begin * j->act_bytes, j->form, x + begin * ld, ld,
                j->k, end - begin);
}

void mote__norm_pack(const mote__net *net, mote__pool *pool, float *xn, size_t ldn,
        void *dst, uint32_t form, const float *x, size_t ldx, const float *weight,
        uint32_t k, uint32_t n)
{
    norm_job j = {
            net, xn, dst, x, weight, ldn, ldx, net->k.act_bytes(form, k), form, k};
    mote__rows_run(pool, n, norm_range, &j);
}

typedef struct matmul_job {
    const mote__net *net;
    float *y;
    size_t ldy;
    const mote_k_matrix *w;
    const void *act;
    uint32_t form, n;
} matmul_job;

static void matmul_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    matmul_job *j = arg;
    (void)worker;
    j->net->k.matmul(j->y, j->ldy, j->w, begin, end, j->act, j->form, NULL, j->n);
}

void mote__matmul(const mote__net *net, mote__pool *pool, float *y, size_t ldy,
        const mote_k_matrix *w, const void *act, uint32_t form, uint32_t n)
{
    matmul_job j = {net, y, ldy, w, act, form, n};
    mote__pool_run(pool, mote_k_panels(w->n_rows), 1, matmul_range, &j);
}
