/* SPDX-License-Identifier: MIT */
/* Feed-forward: DeepSeekMoE (report section 2.1.2, equations 12 to 16) or a dense
 * SwiGLU, which is treated as one expert that every row goes to.
 *
 * Rows are sorted by expert and each active expert is multiplied once for all its rows.
 * An output element adds its experts in ascending id, the shared ones last: the same
 * order for one row as for many, and for any number of threads. */
#include "base/status.h"
#include "model/router.h"
#include "model/work.h"

#include <string.h>

/* In work->present, 0: on its way. COMPUTED: gate and up; FINISHED: down, too. */
enum { PRESENT = 1, COMPUTED = 2, FINISHED = 3 };

typedef struct moe_job {
    const mote__net *net;
    mote__work *w;
    const mote__pass *p;
    const mote__layer *y;
    uint32_t n_active, in_form, layer;
    uint32_t first, last; /* active experts of this wave */
    uint64_t cost;        /* of all gate/up work, in row-panels */
    uint32_t n_parts;
} moe_job;

static uint32_t rows_of(const mote__work *w, uint32_t a)
{
    return w->begin[w->active[a] + 1] - w->begin[w->active[a]];
}

/* Router logits: by rows when there are many, else by experts. */
static void router_experts(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    moe_job *j = arg;
    const mote__config *c = &j->net->config;
    (void)worker;
    j->net->k.router(j->w->scores + begin, c->n_routed_experts,
            j->y->router + (size_t)begin * c->hidden_size, j->w->xn, c->hidden_size,
            end - begin, c->hidden_size, j->p->n);
}

static void choose_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    moe_job *j = arg;
    const mote__config *c = &j->net->config;
    uint32_t e = c->n_routed_experts, k = c->num_experts_per_tok;
    float *biased = j->w->biased + (size_t)worker * (e + c->n_group + 1);
    for (uint32_t i = begin; i < end; i++)
        mote__route(c, j->w->scores + (size_t)i * e, j->y->router_bias, biased,
                j->w->ids + (size_t)i * k, j->w->weights + (size_t)i * k);
}

static void route_rows(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    moe_job *j = arg;
    const mote__config *c = &j->net->config;
    const uint32_t e = c->n_routed_experts, k = c->hidden_size;
    j->net->k.router(j->w->scores + (size_t)begin * e, e, j->y->router,
            j->w->xn + (size_t)begin * k, k, e, k, end - begin);
    choose_range(arg, begin, end, worker);
}

static void route(moe_job *j, mote__pool *pool)
{
    const mote__config *c = &j->net->config;
    if (j->p->n >= 16) {
        mote__pool_run(pool, j->p->n, 1, route_rows, j);
        return;
    }
    if ((uint64_t)c->n_routed_experts * c->hidden_size < 1u << 15)
        router_experts(j, 0, c->n_routed_experts, 0);
    else
        mote__pool_run(pool, c->n_routed_experts, 8, router_experts, j);
    choose_range(j, 0, j->p->n, 0);
}

/* Counting sort of (row, expert) pairs by expert, rows ascending within one. */
static void sort_rows(moe_job *j)
{
    mote__work *w = j->w;
    const mote__config *c = &j->net->config;
    uint32_t e = j->y->router ? c->n_routed_experts : 0, k = c->num_experts_per_tok,
             n = j->p->n;
    memset(w->begin, 0, (e + 2) * sizeof *w->begin);
    for (uint32_t i = 0; e && i < n * k; i++)
        w->begin[w->ids[i] + 1]++;
    for (uint32_t i = 0; i < e; i++)
        w->begin[i + 1] += w->begin[i];
    /* begin[id] runs ahead while filling and is restored after */
    for (uint32_t i = 0; e && i < n * k; i++) {
        uint32_t at = w->begin[w->ids[i]]++;
        w->list[at] = i / k;
        w->list_weight[at] = w->weights[i];
    }
    for (uint32_t i = e; i > 0; i--)
        w->begin[i] = w->begin[i - 1];
    w->begin[0] = 0;
    uint32_t routed = e ? n * k : 0, shared = j->y->dense.gate.data ? n : 0;
    for (uint32_t i = 0; i < shared; i++) {
        w->list[routed + i] = i;
        w->list_weight[routed + i] = 1;
    }
    w->begin[e] = routed;
    w->begin[e + 1] = routed + shared;
    j->n_active = 0;
    for (uint32_t i = 0; i <= e; i++)
        if (w->begin[i + 1] > w->begin[i])
            w->active[j->n_active++] = i;
}

/* Offsets of the wave's rows in h and h_act. */
static void place_rows(moe_job *j)
{
    mote__work *w = j->w;
    uint64_t h = 0, act = 0;
    for (uint32_t a = j->first; a < j->last; a++) {
        const mote__expert *x = &w->expert[a];
        uint32_t n = rows_of(w, a);
        w->h_at[a] = h;
        w->act_at[a] = act;
        h += (uint64_t)n * x->gate.n_rows;
        act += (uint64_t)n *
               j->net->k.act_bytes(mote__form_of(j->p, &x->down), x->down.n_cols);
    }
}

/* What a panel costs: products of its rows, or reading it, which takes as long as four
 * products of bf16. Weights are converted beside the products: with a constant for that
 * (3) the thread that had the shared expert worked 3 % longer. */
static uint64_t unit_cost(const moe_job *j, uint32_t rows)
{
    const uint64_t products = (uint64_t)rows * mote_k_terms(j->in_form);
    return products > 4 ? products : 4;
}

/* Panels of the pairs that begin before `cost`. */
static uint32_t pairs_before(uint64_t cost, uint64_t unit)
{
    return (uint32_t)((cost + 2 * unit - 1) / (2 * unit)) * 2;
}

/* gate, up and SwiGLU: part `i` of n_parts takes an equal share of the cost, in whole
 * pairs of panels, since kernels take two of gate and two of up at once. */
static void gate_up_part(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    moe_job *j = arg;
    mote__work *w = j->w;
    (void)worker;
    uint64_t lo = j->cost * begin / j->n_parts, hi = j->cost * end / j->n_parts, at = 0;
    for (uint32_t a = j->first; a < j->last && at < hi; a++) {
        if (w->present[a] != PRESENT)
            continue;
        const mote__expert *x = &w->expert[a];
        uint32_t n = rows_of(w, a), panels = mote_k_panels(x->gate.n_rows);
        uint64_t unit = unit_cost(j, n), next = at + panels * unit;
        if (next > lo) {
            /* a pair belongs to the part in which it begins */
            uint32_t b = lo > at ? pairs_before(lo - at, unit) : 0;
            uint32_t e = hi < next ? pairs_before(hi - at, unit) : panels;
            e = e < panels ? e : panels;
            if (e > b)
                j->net->k.gate_up(w->h + w->h_at[a], x->gate.n_rows, &x->gate, &x->up,
                        b, e, w->act, j->in_form, w->list + w->begin[w->active[a]], n);
        }
        at = next;
    }
}

/* From so many rows on a step is long enough to be shared out in small ranges. */
enum { MANY_ROWS = 64 };

static void gate_up(moe_job *j, mote__pool *pool)
{
    j->cost = 0;
    for (uint32_t a = j->first; a < j->last; a++)
        if (j->w->present[a] == PRESENT)
            j->cost += mote_k_panels(j->w->expert[a].gate.n_rows) *
                       unit_cost(j, rows_of(j->w, a));
    if (!j->cost)
        return;
    j->n_parts = mote__pool_threads(pool);
    if (j->p->n >= MANY_ROWS) {
        j->n_parts *= MOTE__POOL_FINE;
        mote__pool_run_fine(pool, j->n_parts, 1, gate_up_part, j);
    } else {
        mote__pool_run(pool, j->n_parts, 1, gate_up_part, j);
    }
    for (uint32_t a = j->first; a < j->last; a++)
        if (j->w->present[a] == PRESENT)
            j->w->present[a] = COMPUTED;
}

/* Rows [begin, end) of an expert, as its down projection takes them. */
static void pack_rows(const moe_job *j, uint32_t a, uint32_t begin, uint32_t end)
{
    mote__work *w = j->w;
    const mote__expert *x = &w->expert[a];
    uint32_t k = x->down.n_cols, form = mote__form_of(j->p, &x->down);
    j->net->k.act_pack(w->h_act + w->act_at[a] + begin * j->net->k.act_bytes(form, k),
            form, w->h + w->h_at[a] + (size_t)begin * k, k, k, end - begin);
}

static void pack_part(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    moe_job *j = arg;
    mote__work *w = j->w;
    (void)worker;
    uint32_t at = 0;
    for (uint32_t a = j->first; a < j->last && at < end; a++) {
        uint32_t n = rows_of(w, a);
        uint32_t b = begin > at ? begin - at : 0, e = end - at < n ? end - at : n;
        if (b < e && w->present[a] != FINISHED)
            pack_rows(j, a, b, e);
        at += n;
    }
}

/* Panels [begin, end) of the down projections whose turn to be added has not come. */
static void early_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    moe_job *j = arg;
    mote__work *w = j->w;
    uint32_t hidden = j->net->config.hidden_size, row = begin * MOTE_PANEL;
    (void)worker;
    for (uint32_t a = j->first; a < j->last; a++) {
        if (w->present[a] != COMPUTED)
            continue;
        mote_k_matrix part = mote__panels_from(&w->expert[a].down, begin, hidden - row);
        j->net->k.matmul(w->early + (size_t)w->begin[w->active[a]] * hidden + row,
                hidden, &part, 0, end - begin, w->h_act + w->act_at[a],
                mote__form_of(j->p, &part), NULL, rows_of(w, a));
    }
}

/* While others are read: the down projections of what is there, for few rows. */
static void down_early(moe_job *j, mote__pool *pool)
{
    mote__work *w = j->w;
    if (!w->early || j->p->n > MOTE__FEW_ROWS)
        return;
    uint32_t n = 0;
    for (uint32_t a = j->first; a < j->last; a++)
        if (w->present[a] == COMPUTED) {
            pack_rows(j, a, 0, rows_of(w, a));
            n++;
        }
    if (!n)
        return;
    mote__pool_run(pool, mote_k_panels(j->net->config.hidden_size), 1, early_range, j);
    for (uint32_t a = j->first; a < j->last; a++)
        if (w->present[a] == COMPUTED)
            w->present[a] = FINISHED;
}

/* down, weighted and added to the residual stream: a worker owns columns of x. */
static void down_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    moe_job *j = arg;
    mote__work *w = j->w;
    const mote__net *net = j->net;
    float *tmp = (float *)(void *)(w->per_worker + worker * w->worker_bytes);
    uint32_t hidden = net->config.hidden_size;
    for (uint32_t b = begin; b < end; b += MOTE__DOWN_CHUNK) {
        uint32_t e = end - b < MOTE__DOWN_CHUNK ? end : b + MOTE__DOWN_CHUNK;
        uint32_t row = b * MOTE_PANEL, width = (e - b) * MOTE_PANEL;
        width = hidden - row < width ? hidden - row : width;
        for (uint32_t a = j->first; a < j->last; a++) {
            uint32_t n = rows_of(w, a), first = w->begin[w->active[a]];
            const float *y = tmp;
            size_t ldy = width;
            if (w->present[a] == FINISHED) {
                y = w->early + (size_t)first * hidden + row;
                ldy = hidden;
            } else {
                mote_k_matrix part = mote__panels_from(&w->expert[a].down, b, width);
                net->k.matmul(tmp, width, &part, 0, e - b, w->h_act + w->act_at[a],
                        mote__form_of(j->p, &part), NULL, n);
            }
            for (uint32_t i = 0; i < n; i++) {
                /* An expert's rows lie far apart: adding to them took twice as long. */
                if (i + 2 < n)
                    mote__ask_for(w->x + (size_t)w->list[first + i + 2] * hidden + row,
                            width);
                net->k.axpy(w->x + (size_t)w->list[first + i] * hidden + row,
                        w->list_weight[first + i], y + i * ldy, width);
            }
        }
    }
}

static void tap_router(const moe_job *j, uint32_t moe_index)
{
    const mote__taps *t = j->p->taps;
    const mote__config *c = &j->net->config;
    uint32_t e = c->n_routed_experts, k = c->num_experts_per_tok;
    size_t at = (size_t)moe_index * t->n_total + t->first;
    if (t->scores)
        memcpy(t->scores + at * e, j->w->scores, (size_t)j->p->n * e * sizeof(float));
    for (uint32_t i = 0; i < j->p->n * k; i++) {
        if (t->topk)
            t->topk[at * k + i] = (float)j->w->ids[i];
        if (t->weights)
            t->weights[at * k + i] = j->w->weights[i];
    }
}

/* Weights of the active experts of this wave: in memory, or on their way. */
static mote_status bind_experts(moe_job *j, mote_error *err)
{
    const mote__net *net = j->net;
    mote__work *w = j->w;
    uint32_t e = j->y->router ? net->config.n_routed_experts : 0, n_routed = j->last;
    memset(w->present + j->first, 1, j->last - j->first);
    if (j->last > j->first && w->active[j->last - 1] == e)
        w->expert[--n_routed] = j->y->dense;
    if (net->source && n_routed > j->first)
        return net->source->begin(net->source->user, j->layer, w->active + j->first,
                n_routed - j->first, w->expert + j->first, w->present + j->first, err);
    for (uint32_t a = j->first; a < n_routed; a++)
        w->expert[a] = j->y->experts[w->active[a]];
    return MOTE_OK;
}

/* Routed experts of the wave. */
static uint32_t routed_in_wave(const moe_job *j)
{
    uint32_t e = j->y->router ? j->net->config.n_routed_experts : 0;
    uint32_t n = j->last - j->first;
    return n && j->w->active[j->last - 1] == e ? n - 1 : n;
}

/* Up to so many rows, each row's next experts are guessed; beyond, most experts have a
 * row. */
enum { GUESS_ROWS = 8 };

/* The next layer will need about all its experts, in ascending order: the first wave.
 */
static void expect_next(moe_job *j)
{
    const mote__net *net = j->net;
    uint32_t next = j->layer + 1, n = net->config.n_routed_experts;
    if (next >= net->config.num_hidden_layers || !net->layers[next].router)
        return;
    if (n > net->source->wave)
        n = net->source->wave;
    for (uint32_t e = 0; e < n; e++)
        net->source->prefetch(net->source->user, next, &e, 1, 1);
}

/* The next layer's experts, guessed: its router on today's residual stream, which one
 * block's output changes little. The likeliest first. */
static void guess_next(moe_job *j)
{
    const mote__net *net = j->net;
    const mote__config *c = &net->config;
    uint32_t next = j->layer + 1;
    if (next >= c->num_hidden_layers || !net->layers[next].router)
        return;
    mote__work *w = j->w;
    for (uint32_t i = 0; i < j->p->n; i++) {
        /* out and scores are free until the pass ends / were used already */
        net->k.rmsnorm(w->out, w->x + (size_t)i * c->hidden_size,
                net->layers[next].ffn_norm, c->hidden_size, c->rms_norm_eps);
        net->k.router(w->scores, 0, net->layers[next].router, w->out, 0,
                c->n_routed_experts, c->hidden_size, 1);
        float weights[64];
        if (c->num_experts_per_tok > 64)
            return;
        mote__route(c, w->scores, net->layers[next].router_bias, w->biased, w->guess,
                weights);
        net->source->prefetch(
                net->source->user, next, w->guess, c->num_experts_per_tok, 0);
    }
}

static void observe(const moe_job *j)
{
    const mote__pass *p = j->p;
    mote__work *w = j->w;
    uint32_t hidden = j->net->config.hidden_size,
             e = j->y->router ? j->net->config.n_routed_experts : 0;
    for (uint32_t a = j->first; a < j->last; a++) {
        uint32_t id = w->active[a], k = w->expert[a].down.n_cols;
        int routed = id < e;
        for (uint32_t i = w->begin[id]; i < w->begin[id + 1]; i++)
            p->observe(p->observe_user, j->layer,
                    routed ? MOTE__ROLE_EXPERT_GATE : MOTE__ROLE_GATE, routed ? id : 0,
                    w->xn + (size_t)w->list[i] * hidden, hidden, hidden, 1);
        p->observe(p->observe_user, j->layer,
                routed ? MOTE__ROLE_EXPERT_DOWN : MOTE__ROLE_DOWN, routed ? id : 0,
                w->h + w->h_at[a], k, k, rows_of(w, a));
    }
}

/* gate, up, down of one wave; experts that are in memory go first while others are
 * read, and those as they come. */
static mote_status run_wave(moe_job *j, mote__pool *pool, mote_error *err)
{
    mote__work *w = j->w;
    const mote__expert_source *source = j->y->router ? j->net->source : NULL;
    uint32_t n_routed = routed_in_wave(j);
    place_rows(j);
    for (uint32_t a = j->first; a < j->last; a++)
        w->weight_bytes += mote__matrix_bytes(&w->expert[a].gate) +
                           mote__matrix_bytes(&w->expert[a].up) +
                           mote__matrix_bytes(&w->expert[a].down);
    gate_up(j, pool);
    while (source && memchr(w->present + j->first, 0, n_routed)) {
        down_early(j, pool);
        mote_status st = source->wait(source->user, j->layer, w->active + j->first,
                n_routed, w->present + j->first, err);
        if (st < 0)
            return st;
        gate_up(j, pool);
    }
    if (j->p->observe)
        observe(j);
    uint32_t total = 0;
    for (uint32_t a = j->first; a < j->last; a++)
        total += rows_of(w, a);
    if (total < 32)
        pack_part(j, 0, total, 0);
    else
        mote__pool_run_fine(pool, total, 16, pack_part, j);
    mote__pool_run(pool, mote_k_panels(j->net->config.hidden_size), 1, down_range, j);
    return MOTE_OK;
}

/* All active experts, in as many waves as the source's memory needs. Waves ascend, so
 * the order in which an output element adds its experts is the same for any wave size.
 */
static mote_status run_experts(moe_job *j, mote__pool *pool, mote_error *err)
{
    const mote__expert_source *source = j->y->router ? j->net->source : NULL;
    uint32_t wave = source ? source->wave : j->n_active,
             hidden = j->net->config.hidden_size;
    int packed = !j->y->router;
    for (j->first = 0; j->first < j->n_active; j->first = j->last) {
        j->last = j->n_active - j->first < wave ? j->n_active : j->first + wave;
        mote_status st = bind_experts(j, err);
        if (st < 0)
            return st;
        if (!packed) {
            /* One form for all; where types are mixed, the one that every type takes.
             */
            j->in_form = mote__form_of(j->p, &j->w->expert[0].gate);
            const mote_k_matrix *shared = &j->y->dense.gate;
            if (shared->data && mote__form_of(j->p, shared) != j->in_form)
                j->in_form = MOTE_K_ACT_EXACT;
            mote__norm_pack(j->net, pool, NULL, 0, j->w->act, j->in_form, j->w->xn,
                    hidden, NULL, hidden, j->p->n);
            packed = 1;
            if (source && j->p->n <= GUESS_ROWS)
                guess_next(j);
        }
        uint32_t left = j->n_active - j->last;
        if (source && !left && j->p->n > GUESS_ROWS)
            expect_next(j);
        if (source && left) {
            if (j->w->active[j->n_active - 1] == j->net->config.n_routed_experts)
                left--;
            source->prefetch(source->user, j->layer, j->w->active + j->last,
                    left < wave ? left : wave, 1);
        }
        st = run_wave(j, pool, err);
        if (source)
            source->end(
                    source->user, j->layer, j->w->active + j->first, routed_in_wave(j));
        if (st < 0)
            return st;
    }
    return MOTE_OK;
}

mote_status mote__ffn(const mote__net *net, mote__pool *pool, mote__work *w,
        const mote__pass *p, uint32_t layer, uint32_t moe_index, mote_error *err)
{
    const mote__config *c = &net->config;
    const mote__layer *y = &net->layers[layer];
    moe_job j = {.net = net, .w = w, .p = p, .y = y, .layer = layer};
    if (y->router) {
        w->weight_bytes +=
                (uint64_t)c->n_routed_experts * c->hidden_size * sizeof(float);
        /* The router and every expert read the same normed x. */
        mote__norm_pack(net, pool, w->xn, c->hidden_size, NULL, 0, w->x, c->hidden_size,
                y->ffn_norm, c->hidden_size, p->n);
        route(&j, pool);
        if (p->taps)
            tap_router(&j, moe_index);
    } else {
        j.in_form = mote__form_of(p, &y->dense.gate);
        mote__norm_pack(net, pool, w->xn, c->hidden_size, w->act, j.in_form, w->x,
                c->hidden_size, y->ffn_norm, c->hidden_size, p->n);
    }
    /* Nothing to read for a dense layer: the disk has time for the next one. */
    if (!y->router && net->source && p->n <= GUESS_ROWS)
        guess_next(&j);
    sort_rows(&j);
    return run_experts(&j, pool, err);
}
