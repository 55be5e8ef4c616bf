/* SPDX-License-Identifier: MIT */
/* Buffers of a pass, and the small helpers that mla.c, moe.c and forward.c share. */
#ifndef MOTE_MODEL_WORK_H
#define MOTE_MODEL_WORK_H
#include "model/forward.h"

enum {
    MOTE__FEW_ROWS = 8,   /* of passes that decode */
    MOTE__ROW_TILE = 32,  /* rows whose queries a worker holds at once */
    MOTE__DOWN_CHUNK = 16 /* panels of down projection between accumulations */
};

/* Heads attended together: they share converted cache values. Fewer where many rows'
 * queries have to stay in the cache beside them. */
static inline uint32_t mote__head_group(uint32_t n_rows)
{
    return n_rows <= MOTE__FEW_ROWS ? 16 : 8;
}

/* Floats that are wanted soon, where no prefetcher would look for them: all at once. */
static inline void mote__ask_for(const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 16)
        __builtin_prefetch(x + i);
}

struct mote__work {
    uint32_t max_rows, n_workers;
    uint32_t expanded; /* has room for passes with expanded attention */
    size_t act_row;    /* bytes of the widest packed activation row */
    float *x;          /* [rows][hidden]: residual stream */
    float *xn;         /* [rows][max(hidden, ...)]: normed */
    float *out;        /* [rows][hidden] */
    float *q_a;        /* [rows][q_lora_rank] */
    float *kv_a;       /* [rows][kv_lora_rank + rope] */
    float *ctx;        /* [rows][heads * v] */
    float *cos, *sin;  /* [rows][rope / 2] */
    uint8_t *act;      /* [rows][act_row] */
    uint8_t *act_q;    /* [rows][act_row] */
    /* Parts of contexts that threads share (attend.h); few_rows 0: none */
    uint32_t few_rows, max_parts;
    float *heads_q;    /* [few_rows][heads][nope + rope] */
    float *heads_c;    /* [few_rows][heads][kv_lora_rank]: absorbed queries */
    float *part_sum;   /* [few_rows][max_parts][heads][kv_lora_rank] */
    float *part_stats; /* [few_rows][max_parts][heads][2] */
    /* MoE */
    float *scores;        /* [rows][experts] */
    float *biased;        /* [workers][experts + groups] */
    uint32_t *ids;        /* [rows][k] */
    float *weights;       /* [rows][k] */
    uint32_t *list;       /* [rows * (k + 1)]: rows by expert */
    float *list_weight;   /* their weights */
    uint32_t *begin;      /* [experts + 2]: where an expert's rows begin in list */
    uint32_t *active;     /* [experts + 1]: experts with rows, ascending */
    mote__expert *expert; /* [experts + 1]: their weights */
    uint8_t *present;     /* [experts + 1]: usable now (streaming) */
    uint32_t *guess;      /* [k]: predicted experts of the next layer */
    uint64_t *h_at;       /* [experts + 1]: offset of an expert's rows in h (floats) */
    uint64_t *act_at;     /* the same in h_act (bytes) */
    float *h;             /* [rows * k][inter] + [rows][shared inter] */
    uint8_t *h_act;       /* packed */
    float *early;         /* [few rows * (k + 1)][hidden]; NULL without streaming */
    uint8_t *per_worker;  /* [workers][worker_bytes] */
    size_t worker_bytes;
    uint64_t total_bytes;
    uint64_t weight_bytes; /* read so far: each matrix once a pass */
};

/* The next n bytes of a worker's memory, in whole lines; base NULL: only counted. */
static inline void *mote__take(uint8_t *base, size_t *at, size_t n)
{
    void *p = base ? base + *at : NULL;
    *at += (n + 63) / 64 * 64;
    return p;
}

static inline uint64_t mote__matrix_bytes(const mote_k_matrix *m)
{
    return m->data ? mote_k_data_bytes(m->type, m->n_rows, m->n_cols) +
                             mote_k_scale_count(m->type, m->n_rows, m->n_cols) *
                                     sizeof(float)
                   : 0;
}

/* Activation form for a matrix in this pass. */
static inline uint32_t mote__form_of(const mote__pass *p, const mote_k_matrix *w)
{
    return mote_k_is_integer(w->type) ? p->form_int : p->form;
}

/* Call fn over rows: on this thread when there are few. */
void mote__rows_run(mote__pool *pool, uint32_t n, mote__pool_fn fn, void *arg);
/* Norm (weight NULL: none) and pack rows of x into dst. */
void mote__norm_pack(const mote__net *net, mote__pool *pool, float *xn, size_t ldn,
        void *dst, uint32_t form, const float *x, size_t ldx, const float *weight,
        uint32_t k, uint32_t n);
/* y = W x over all panels. */
void mote__matmul(const mote__net *net, mote__pool *pool, float *y, size_t ldy,
        const mote_k_matrix *w, const void *act, uint32_t form, uint32_t n);

/* Attention of one layer, between its projections. */
typedef struct mote__mla_job {
    const mote__net *net;
    mote__work *w;
    const mote__pass *p;
    const mote__layer *y;
    uint32_t layer, q_form;
    const void *q_act; /* packed input of q_b */
    uint32_t group;    /* heads that meet a part of a context together */
} mote__mla_job;

/* From queries to the heads' outputs for heads [begin, end), in expanded form (a
 * mote__pool_fn), and the bytes of a worker that it needs. */
void mote__mla_expanded_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker);
size_t mote__mla_expanded_bytes(const mote__net *net, uint32_t max_rows);
/* x += attention(norm(x)); layer's cache is written. */
void mote__mla(const mote__net *net, mote__pool *pool, mote__work *w,
        const mote__pass *p, uint32_t layer);
/* x += ffn(norm(x)): dense or mixture of experts. moe_index counts MoE layers (taps).
 */
mote_status mote__ffn(const mote__net *net, mote__pool *pool, mote__work *w,
        const mote__pass *p, uint32_t layer, uint32_t moe_index, mote_error *err);
#endif
