/* SPDX-License-Identifier: MIT */
/* A network: configuration and weights bound to the names of the report, ready to
 * compute. Immutable once bound; shared by every session. */
#ifndef MOTE_MODEL_NET_H
#define MOTE_MODEL_NET_H
#include "kernels/kernels.h"
#include "model/config.h"
#include "model/layout.h"

/* `n` equal matrices behind each other (heads). */
typedef struct mote__stack {
    mote_k_matrix first;
    size_t data_step, scale_step; /* bytes; floats */
} mote__stack;

typedef struct mote__expert {
    mote_k_matrix gate, up, down;
} mote__expert;

typedef struct mote__layer {
    const float *attn_norm, *q_a_norm, *kv_a_norm, *ffn_norm;
    mote_k_matrix q_a; /* data NULL without q_lora_rank */
    mote__stack q_b, uk, uv;
    mote_k_matrix kv_a, o;
    /* Dense MLP, or the shared experts seen as one; data NULL when there are none. */
    mote__expert dense;
    /* MoE: */
    const float *router, *router_bias; /* router NULL: dense block */
    mote__expert *experts;             /* [n_routed_experts] */
    /* MTP module: */
    const float *enorm, *hnorm, *mtp_norm;
    mote_k_matrix eh_proj;
} mote__layer;

/* Where routed experts come from when they do not all stay in memory; NULL: they do.
 * A wave of experts of one layer is begun (those in memory are pinned, reads of the
 * others are started), awaited and ended. A session holds one wave at a time. */
typedef struct mote__expert_source {
    void *user;
    uint32_t wave; /* most experts in a wave */
    /* present[i] = 1: out[i] may be used at once, 0: after wait(). */
    mote_status (*begin)(void *user, uint32_t layer, const uint32_t *experts,
            uint32_t n, mote__expert *out, uint8_t *present, mote_error *err);
    /* Sleep until one more is there, or all are; present[i] becomes 1 for those. */
    mote_status (*wait)(void *user, uint32_t layer, const uint32_t *experts, uint32_t n,
            uint8_t *present, mote_error *err);
    void (*end)(void *user, uint32_t layer, const uint32_t *experts, uint32_t n);
    /* What comes next, to be read if there is nothing better to do. certain 0: a guess,
     * the likeliest first. */
    void (*prefetch)(void *user, uint32_t layer, const uint32_t *experts, uint32_t n,
            uint32_t certain);
} mote__expert_source;

typedef struct mote__net {
    mote__config config;
    mote_kernels k;
    uint32_t n_layers; /* bound, MTP included */
    uint32_t mtp;      /* 1: layer num_hidden_layers is the MTP module */
    const void *embed; /* rows */
    uint32_t embed_form;
    const float *final_norm;
    mote_k_matrix head;
    mote__layer *layers;
    const mote__expert_source *source;
    double *rope_inv_freq; /* [rope / 2] */
    float rope_mscale;     /* multiplies cos and sin */
    float softmax_scale;
} mote__net;

/* Bind slots whose data lies at `arena`. config and k are copied in before by the
 * caller. */
mote_status mote__net_bind(mote__net *net, const mote__layout *l, const uint8_t *arena,
        mote__memory *m, mote_error *err);
void mote__net_free(mote__net *net, mote__memory *m);
mote_k_matrix mote__stack_at(const mote__stack *s, uint32_t i);
/* The part of a matrix that begins at panel `panel` and has n_rows rows. */
mote_k_matrix mote__panels_from(
        const mote_k_matrix *w, uint32_t panel, uint32_t n_rows);
#endif
