/* SPDX-License-Identifier: MIT */
/* One pass through the network for a few rows (tokens), which may belong to different
 * sequences. No state but the caches that rows point to; no allocation.
 *
 * Bits of a row's result depend on its token, position, cache, the activation form and
 * the form of attention: never on the other rows, nor on the number of threads. */
#ifndef MOTE_MODEL_FORWARD_H
#define MOTE_MODEL_FORWARD_H
#include "base/memory.h"
#include "base/pool.h"
#include "model/net.h"

typedef struct mote__row {
    int32_t token;
    uint32_t position;
    void *const *const *kv; /* kv[layer][position / MOTE_KV_BLOCK]: cache blocks */
} mote__row;

/* Inner values to copy out, for comparison with references; NULL pointers: not wanted.
 */
typedef struct mote__taps {
    float *hidden, *norm, *kv_c, *k_pe, *scores, *topk, *weights;
    uint32_t n_total, first; /* rows of the whole tap, row of this pass's first */
} mote__taps;

/* Which matrix input columns matter: called with each matrix input (calibration). */
typedef void (*mote__observe_fn)(void *user, uint32_t layer, uint32_t role,
        uint32_t expert, const float *x, size_t ldx, uint32_t k, uint32_t n);

typedef struct mote__pass {
    const mote__row *rows;
    uint32_t n;
    uint32_t kv_type;  /* enum mote_k_kv */
    uint32_t form;     /* enum mote_k_act for bf16 / e4m3 / f32 weights */
    uint32_t form_int; /* the same for int8 / int4 weights */
    /* 1: attention over keys and values made of the latents, in work buffers that were
     * opened for it. Rows are consecutive positions of one sequence. */
    uint32_t expanded;
    const mote__taps *taps;
    mote__observe_fn observe;
    void *observe_user;
} mote__pass;

typedef struct mote__work mote__work;

/* Buffers for passes of up to max_rows rows at positions below `context`; expanded:
 * also for attention that way. */
mote_status mote__work_open(mote__work **out, const mote__net *net, mote__memory *m,
        uint32_t max_rows, uint32_t n_threads, uint32_t expanded, uint32_t context,
        mote_error *err);
void mote__work_close(mote__work *w, mote__memory *m);
uint64_t mote__work_bytes(const mote__net *net, uint32_t max_rows, uint32_t n_threads,
        uint32_t expanded, uint32_t context);
uint32_t mote__work_rows(const mote__work *w);

/* Main model: rows' caches of layers below num_hidden_layers are written at their
 * positions; the hidden state after the final norm is mote__work_out(). */
mote_status mote__forward(const mote__net *net, mote__pool *pool, mote__work *w,
        const mote__pass *p, mote_error *err);
/* MTP module: rows hold t_{i+1} with position i; h[r] is the main model's hidden state
 * of position i after its final norm (or the module's own output, for a second draft).
 * The output is the state after shared_head.norm. */
mote_status mote__forward_mtp(const mote__net *net, mote__pool *pool, mote__work *w,
        const mote__pass *p, const float *const *h, mote_error *err);
/* Bytes of weights that its passes have read so far, each matrix once a pass. */
uint64_t mote__work_weight_bytes(const mote__work *w);
/* [n][hidden] of the last pass. */
const float *mote__work_out(const mote__work *w);
/* logits[r * ld + v] of n states x[r], at most max_rows. */
void mote__head(const mote__net *net, mote__pool *pool, mote__work *w,
        const float *const *x, uint32_t n, uint32_t form, uint32_t form_int,
        float *logits, size_t ld);
/* The same for one state and some panels of the vocabulary: [0, n_first) and those
 * listed, above. Other logits are left as they are. */
void mote__head_some(const mote__net *net, mote__pool *pool, mote__work *w,
        const float *x, uint32_t form, uint32_t form_int, uint32_t n_first,
        const uint32_t *list, uint32_t n_list, float *logits);
#endif
