/* SPDX-License-Identifier: MIT */
#include "model/net.h"

#include "base/status.h"
#include "model/rope.h"

#include <string.h>

static mote_k_matrix matrix_of(const mote__slot *s, const uint8_t *arena)
{
    mote_k_matrix w = {.data = arena + s->offset,
            .scales = s->scale_bytes
                              ? (const float *)(const void *)(arena + s->scale_offset)
                              : NULL,
            .n_rows = s->n_rows,
            .n_cols = s->n_cols,
            .type = s->form};
    return w;
}

static mote__stack stack_of(const mote__slot *s, const uint8_t *arena)
{
    mote__stack st = {.first = matrix_of(s, arena),
            .data_step = (size_t)mote__slot_sub_bytes(s),
            .scale_step = (size_t)mote__slot_sub_scales(s) / sizeof(float)};
    return st;
}

mote_k_matrix mote__stack_at(const mote__stack *s, uint32_t i)
{
    mote_k_matrix w = s->first;
    w.data = (const uint8_t *)w.data + i * s->data_step;
    if (w.scales)
        w.scales += i * s->scale_step;
    return w;
}

mote_k_matrix mote__panels_from(const mote_k_matrix *w, uint32_t panel, uint32_t n_rows)
{
    mote_k_matrix part = *w;
    part.data = (const uint8_t *)w->data +
                panel * mote_k_data_bytes(w->type, MOTE_PANEL, w->n_cols);
    if (part.scales)
        part.scales += panel * mote_k_scale_count(w->type, MOTE_PANEL, w->n_cols);
    part.n_rows = n_rows;
    return part;
}

static void bind_slot(mote__net *net, const mote__slot *s, const uint8_t *arena)
{
    mote__layer *y = &net->layers[s->layer];
    const float *rows = (const float *)(const void *)(arena + s->offset);
    switch (s->role) {
    case MOTE__ROLE_EMBED:
        net->embed = arena + s->offset;
        net->embed_form = s->form;
        break;
    case MOTE__ROLE_FINAL_NORM:
        net->final_norm = rows;
        break;
    case MOTE__ROLE_HEAD:
        net->head = matrix_of(s, arena);
        break;
    case MOTE__ROLE_ATTN_NORM:
        y->attn_norm = rows;
        break;
    case MOTE__ROLE_Q_A:
        y->q_a = matrix_of(s, arena);
        break;
    case MOTE__ROLE_Q_A_NORM:
        y->q_a_norm = rows;
        break;
    case MOTE__ROLE_Q_B:
        y->q_b = stack_of(s, arena);
        break;
    case MOTE__ROLE_KV_A:
        y->kv_a = matrix_of(s, arena);
        break;
    case MOTE__ROLE_KV_A_NORM:
        y->kv_a_norm = rows;
        break;
    case MOTE__ROLE_UK:
        y->uk = stack_of(s, arena);
        break;
    case MOTE__ROLE_UV:
        y->uv = stack_of(s, arena);
        break;
    case MOTE__ROLE_O:
        y->o = matrix_of(s, arena);
        break;
    case MOTE__ROLE_FFN_NORM:
        y->ffn_norm = rows;
        break;
    case MOTE__ROLE_ROUTER:
        y->router = rows;
        break;
    case MOTE__ROLE_ROUTER_BIAS:
        y->router_bias = rows;
        break;
    case MOTE__ROLE_GATE:
        y->dense.gate = matrix_of(s, arena);
        break;
    case MOTE__ROLE_UP:
        y->dense.up = matrix_of(s, arena);
        break;
    case MOTE__ROLE_DOWN:
        y->dense.down = matrix_of(s, arena);
        break;
    case MOTE__ROLE_ENORM:
        y->enorm = rows;
        break;
    case MOTE__ROLE_HNORM:
        y->hnorm = rows;
        break;
    case MOTE__ROLE_EH_PROJ:
        y->eh_proj = matrix_of(s, arena);
        break;
    case MOTE__ROLE_MTP_NORM:
        y->mtp_norm = rows;
        break;
    case MOTE__ROLE_EXPERT_GATE:
        y->experts[s->expert].gate = matrix_of(s, arena);
        break;
    case MOTE__ROLE_EXPERT_UP:
        y->experts[s->expert].up = matrix_of(s, arena);
        break;
    case MOTE__ROLE_EXPERT_DOWN:
        y->experts[s->expert].down = matrix_of(s, arena);
        break;
    default:
        break;
    }
}

mote_status mote__net_bind(mote__net *net, const mote__layout *l, const uint8_t *arena,
        mote__memory *m, mote_error *err)
{
    const mote__config *c = &net->config;
    net->n_layers = l->n_layers;
    net->mtp = l->mtp;
    net->layers = mote__calloc(m, MOTE_MEM_OTHER, l->n_layers, sizeof *net->layers);
    net->rope_inv_freq =
            mote__calloc(m, MOTE_MEM_OTHER, c->qk_rope_head_dim / 2, sizeof(double));
    if (!net->layers || !net->rope_inv_freq)
        goto memory;
    for (uint32_t i = 0; i < l->n_layers; i++) {
        if (i < c->num_hidden_layers ? !mote__config_is_moe(c, i)
                                     : !c->n_routed_experts)
            continue;
        net->layers[i].experts = mote__calloc(
                m, MOTE_MEM_OTHER, c->n_routed_experts, sizeof(mote__expert));
        if (!net->layers[i].experts)
            goto memory;
    }
    for (size_t i = 0; i < l->n_slots; i++)
        bind_slot(net, &l->slots[i], arena);
    mote__rope_init(c, net->rope_inv_freq, &net->rope_mscale, &net->softmax_scale);
    return MOTE_OK;
memory:
    mote__net_free(net, m);
    return mote__fail_memory(err, l->n_layers * sizeof *net->layers, "layer table");
}

void mote__net_free(mote__net *net, mote__memory *m)
{
    const mote__config *c = &net->config;
    for (uint32_t i = 0; net->layers && i < net->n_layers; i++)
        mote__free(m, MOTE_MEM_OTHER, net->layers[i].experts,
                c->n_routed_experts * sizeof(mote__expert));
    mote__free(m, MOTE_MEM_OTHER, net->layers, net->n_layers * sizeof *net->layers);
    mote__free(m, MOTE_MEM_OTHER, net->rope_inv_freq,
            c->qk_rope_head_dim / 2 * sizeof(double));
    net->layers = NULL;
    net->rope_inv_freq = NULL;
}
