/* SPDX-License-Identifier: MIT */
/* The forward pass, in the order of figure 2 of the report. */
#include "model/forward.h"

#include "base/status.h"
#include "model/rope.h"
#include "model/work.h"

#include <string.h>

static void embed(const mote__net *net, float *x, int32_t token)
{
    size_t n = net->config.hidden_size, at = (size_t)token * n;
    if (net->embed_form == MOTE__FORM_ROWS_BF16) {
        const uint16_t *e = (const uint16_t *)net->embed + at;
        for (size_t i = 0; i < n; i++)
            x[i] = mote_k_bf16_to_f32(e[i]);
    } else {
        memcpy(x, (const float *)net->embed + at, n * sizeof *x);
    }
}

static void angles(const mote__net *net, mote__work *w, const mote__pass *p)
{
    uint32_t half = net->config.qk_rope_head_dim / 2;
    for (uint32_t i = 0; i < p->n; i++)
        mote__rope_angles(net->rope_inv_freq, net->rope_mscale, 2 * half,
                p->rows[i].position, w->cos + (size_t)i * half,
                w->sin + (size_t)i * half);
}

static void tap_rows(float *dst, const mote__taps *t, size_t group, const float *src,
        size_t width, uint32_t n)
{
    if (dst)
        memcpy(dst + (group * t->n_total + t->first) * width, src,
                n * width * sizeof(float));
}

static void final_norm(const mote__net *net, mote__pool *pool, mote__work *w,
        const float *weight, uint32_t n)
{
    uint32_t hidden = net->config.hidden_size;
    mote__norm_pack(
            net, pool, w->out, hidden, NULL, 0, w->x, hidden, weight, hidden, n);
}

mote_status mote__forward(const mote__net *net, mote__pool *pool, mote__work *w,
        const mote__pass *p, mote_error *err)
{
    const mote__config *c = &net->config;
    const mote__taps *t = p->taps;
    uint32_t moe_index = 0;

    angles(net, w, p);
    for (uint32_t i = 0; i < p->n; i++)
        embed(net, w->x + (size_t)i * c->hidden_size, p->rows[i].token);
    if (t)
        tap_rows(t->hidden, t, 0, w->x, c->hidden_size, p->n);

    for (uint32_t l = 0; l < c->num_hidden_layers; l++) {
        mote__mla(net, pool, w, p, l);
        mote_status st = mote__ffn(net, pool, w, p, l, moe_index, err);
        if (st < 0)
            return st;
        moe_index += net->layers[l].router != NULL;
        if (t)
            tap_rows(t->hidden, t, l + 1, w->x, c->hidden_size, p->n);
    }
    final_norm(net, pool, w, net->final_norm, p->n);
    if (t)
        tap_rows(t->norm, t, 0, w->out, c->hidden_size, p->n);
    return MOTE_OK;
}

/* Report section 2.2, equations 21 to 23, in the order that the released weights
 * expect: the embedding first, the hidden state taken after the final norm. */
mote_status mote__forward_mtp(const mote__net *net, mote__pool *pool, mote__work *w,
        const mote__pass *p, const float *const *h, mote_error *err)
{
    const mote__config *c = &net->config;
    uint32_t hidden = c->hidden_size, layer = c->num_hidden_layers;
    const mote__layer *y = &net->layers[layer];
    uint32_t form = mote__form_of(p, &y->eh_proj);

    angles(net, w, p);
    for (uint32_t i = 0; i < p->n; i++) {
        float *x = w->xn + (size_t)i * 2 * hidden;
        embed(net, x, p->rows[i].token);
        net->k.rmsnorm(x, x, y->enorm, hidden, c->rms_norm_eps);
        net->k.rmsnorm(x + hidden, h[i], y->hnorm, hidden, c->rms_norm_eps);
    }
    if (p->observe)
        p->observe(p->observe_user, layer, MOTE__ROLE_EH_PROJ, 0, w->xn, 2 * hidden,
                2 * hidden, p->n);
    mote__norm_pack(net, pool, NULL, 0, w->act, form, w->xn, 2 * hidden, NULL,
            2 * hidden, p->n);
    w->weight_bytes += mote__matrix_bytes(&y->eh_proj);
    mote__matmul(net, pool, w->x, hidden, &y->eh_proj, w->act, form, p->n);
    mote__mla(net, pool, w, p, layer);
    mote_status st = mote__ffn(net, pool, w, p, layer, 0, err);
    if (st < 0)
        return st;
    final_norm(net, pool, w, y->mtp_norm, p->n);
    return MOTE_OK;
}

void mote__head(const mote__net *net, mote__pool *pool, mote__work *w,
        const float *const *x, uint32_t n, uint32_t form, uint32_t form_int,
        float *logits, size_t ld)
{
    uint32_t hidden = net->config.hidden_size;
    uint32_t type = net->head.type;
    uint32_t f = mote_k_is_integer(type) ? form_int : form;
    size_t step = net->k.act_bytes(f, hidden);
    for (uint32_t i = 0; i < n; i++)
        net->k.act_pack(w->act + i * step, f, x[i], hidden, hidden, 1);
    w->weight_bytes += mote__matrix_bytes(&net->head);
    mote__matmul(net, pool, logits, ld, &net->head, w->act, f, n);
}

typedef struct some_job {
    const mote__net *net;
    const void *act;
    const uint32_t *list;
    float *logits;
    uint32_t form, n_first;
} some_job;

static void some_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    some_job *j = arg;
    const mote_k_matrix *head = &j->net->head;
    uint32_t first = j->n_first;
    (void)worker;
    if (begin < first)
        j->net->k.matmul(j->logits, head->n_rows, head, begin,
                end < first ? end : first, j->act, j->form, NULL, 1);
    for (uint32_t i = begin > first ? begin : first; i < end; i++) {
        uint32_t panel = j->list[i - first];
        j->net->k.matmul(j->logits, head->n_rows, head, panel, panel + 1, j->act,
                j->form, NULL, 1);
    }
}

void mote__head_some(const mote__net *net, mote__pool *pool, mote__work *w,
        const float *x, uint32_t form, uint32_t form_int, uint32_t n_first,
        const uint32_t *list, uint32_t n_list, float *logits)
{
    uint32_t hidden = net->config.hidden_size, type = net->head.type;
    some_job j = {net, w->act, list, logits, mote_k_is_integer(type) ? form_int : form,
            n_first};
    net->k.act_pack(w->act, j.form, x, hidden, hidden, 1);
    w->weight_bytes += mote__matrix_bytes(&net->head) * (n_first + n_list) /
                       mote_k_panels(net->head.n_rows);
    mote__pool_run(pool, n_first + n_list, 1, some_range, &j);
}
