/* SPDX-License-Identifier: MIT */
/* The outer loops of the matrix kernels, included by each vector variant, which defines
 * before the inclusion:
 *   act_bytes()   bytes of a packed row
 *   compute()     totals of up to DRIVER_TOKENS tokens against up to DRIVER_PANELS
 * panels silu_times()  h[16] = silu(a[16]) * b[16]
 *
 * Four panels are taken at once: at one token they give enough independent chains of
 * additions, at many tokens the activations are read from L2 once per 64 rows. Tokens
 * are taken up to 192 at once, in equal parts: the totals (48 KiB) live on the stack
 * near the cores, and what is done once per block of weights is shared by many tokens.
 * gate_up is the same with panels gate p, up p, gate p+1, up p+1.
 *
 * A variant may define DRIVER_ONE_TOKEN and one_token(), which multiplies one token by
 * a run of panels of any length (not for F32; for the form INT8 if DRIVER_ONE_INT8),
 * for the speed of reading in order; and DRIVER_FEW and few_tokens(), the same for 2 to
 * DRIVER_FEW tokens (not for the form INT8 either). */
#ifndef MOTE_KERNELS_MAT_DRIVER_H
#define MOTE_KERNELS_MAT_DRIVER_H
#include "kernels/kernels_internal.h"
#include <string.h>

#define DRIVER_TOKENS 192
#define DRIVER_PANELS 4

typedef struct panel_ref {
    const uint8_t *data;
    const float *scales;
} panel_ref;

/* A variant that leaves something defines DRIVER_KEEPS and this, with that field. */
#ifndef DRIVER_KEEPS
typedef struct kept {
    int begun; /* 0: nothing */
} kept;
#endif

typedef struct job {
    uint32_t type, form, k_pad;
    uint32_t n;        /* tokens */
    uint32_t n_panels; /* live panels; the others repeat the last, results unused */
    panel_ref panel[DRIVER_PANELS];
    panel_ref next[DRIVER_PANELS]; /* what will be asked for after these */
    int follows; /* they are next, all of them live, with the same tokens */
    kept *kept;  /* what a job leaves for the one that follows it */
    const uint8_t *x[DRIVER_TOKENS + 1]; /* the last one repeated */
} job;

typedef float totals[DRIVER_PANELS][MOTE_PANEL];

static size_t act_bytes(uint32_t form, uint32_t k);
static void compute(const job *j, totals *total);
static void silu_times(float *h, const float *a, const float *b);

static inline void act_rows(const uint8_t **x, const void *act, size_t bytes,
        const uint32_t *index, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = mote__k_act_row(act, bytes, index, first + i);
}

/* A panel's results, of which `left` rows or more are in the matrix. */
static inline void put_panel(float *to, const float *from, uint32_t left)
{
    if (left >= MOTE_PANEL) /* a size that the compiler knows */
        memcpy(to, from, MOTE_PANEL * sizeof *to);
    else
        memcpy(to, from, left * sizeof *to);
}

#ifdef DRIVER_ONE_TOKEN
static void one_token(float *y, const mote_k_matrix *w, uint32_t begin, uint32_t n,
        const void *x, uint32_t form, const void *next);

static int is_one(const mote_k_matrix *w, uint32_t form, uint32_t n)
{
    return n == 1 && w->type != MOTE_K_F32 &&
           (DRIVER_ONE_INT8 || form != MOTE_K_ACT_INT8);
}

static void matmul_one(float *y, const mote_k_matrix *w, uint32_t begin, uint32_t end,
        const void *x, uint32_t form)
{
    const uint32_t whole = w->n_rows / MOTE_PANEL, last = end < whole ? end : whole;
    if (last > begin)
        one_token(
                y + (size_t)begin * MOTE_PANEL, w, begin, last - begin, x, form, NULL);
    if (end > whole && begin < end) {
        float out[MOTE_PANEL];
        one_token(out, w, whole, 1, x, form, NULL);
        memcpy(y + (size_t)whole * MOTE_PANEL, out,
                (w->n_rows - whole * MOTE_PANEL) * sizeof *y);
    }
}

/* Runs of RUN panels of gate and of up, an expert's as a rule: the totals wait on the
 * stack for each other. With a run of 8, one token reads memory 4 to 7 % slower (Zen
 * 4). */
static void gate_up_one(float *h, const mote_k_matrix *gate, const mote_k_matrix *up,
        uint32_t begin, uint32_t end, const void *x, uint32_t form)
{
    enum { RUN = 128 };
    _Alignas(64) float a[RUN][MOTE_PANEL], b[RUN][MOTE_PANEL];
    for (uint32_t p = begin; p < end; p += RUN) {
        const uint32_t n = end - p < RUN ? end - p : RUN;
        one_token(a[0], gate, p, n, x, form, mote__k_panel(up, p));
        one_token(b[0], up, p, n, x, form,
                p + n < end ? mote__k_panel(gate, p + n) : NULL);
        for (uint32_t s = 0; s < n; s++) {
            const uint32_t row = (p + s) * MOTE_PANEL, left = gate->n_rows - row;
            float out[MOTE_PANEL];
            silu_times(out, a[s], b[s]);
            put_panel(h + row, out, left);
        }
    }
}
#endif

#ifdef DRIVER_FEW
static void few_tokens(float (*y)[DRIVER_FEW][MOTE_PANEL], const mote_k_matrix *w,
        uint32_t begin, uint32_t n, const uint8_t *const *x, uint32_t nt, uint32_t form,
        const void *next);

static int is_few(const mote_k_matrix *w, uint32_t form, uint32_t n)
{
    return n >= 2 && n <= DRIVER_FEW && w->type != MOTE_K_F32 &&
           form != MOTE_K_ACT_INT8;
}

static void matmul_few(float *y, size_t ldy, const mote_k_matrix *w, uint32_t begin,
        uint32_t end, const uint8_t *const *x, uint32_t form, uint32_t n)
{
    enum { RUN = 16 };
    _Alignas(64) float out[RUN][DRIVER_FEW][MOTE_PANEL];
    for (uint32_t p = begin; p < end; p += RUN) {
        const uint32_t count = end - p < RUN ? end - p : RUN;
        few_tokens(out, w, p, count, x, n, form, NULL);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t s = 0; s < count; s++) {
                const uint32_t row = (p + s) * MOTE_PANEL, left = w->n_rows - row;
                put_panel(y + i * ldy + row, out[s][i], left);
            }
    }
}

static void gate_up_few(float *h, size_t ldh, const mote_k_matrix *gate,
        const mote_k_matrix *up, uint32_t begin, uint32_t end, const uint8_t *const *x,
        uint32_t form, uint32_t n)
{
    enum { RUN = 8 };
    _Alignas(64) float a[RUN][DRIVER_FEW][MOTE_PANEL], b[RUN][DRIVER_FEW][MOTE_PANEL];
    for (uint32_t p = begin; p < end; p += RUN) {
        const uint32_t count = end - p < RUN ? end - p : RUN;
        few_tokens(a, gate, p, count, x, n, form, mote__k_panel(up, p));
        few_tokens(b, up, p, count, x, n, form,
                p + count < end ? mote__k_panel(gate, p + count) : NULL);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t s = 0; s < count; s++) {
                const uint32_t row = (p + s) * MOTE_PANEL, left = gate->n_rows - row;
                float out[MOTE_PANEL];
                silu_times(out, a[s][i], b[s][i]);
                put_panel(h + i * ldh + row, out, left);
            }
    }
}
#endif

static job driver_job(const mote_k_matrix *w, uint32_t form, kept *between)
{
    between->begun = 0;
    return (job){.type = w->type,
            .form = form,
            .k_pad = mote_k_pad(w->n_cols),
            .kept = between};
}

static void driver_panel(
        panel_ref *ref, const mote_k_matrix *w, uint32_t p, uint32_t last)
{
    ref->data = mote__k_panel(w, p < last ? p : last);
    ref->scales = mote__k_scales(w, p < last ? p : last);
}

static void driver_rows(job *j, const void *act, size_t bytes, const uint32_t *index,
        uint32_t first, uint32_t n)
{
    const uint32_t left = n - first, parts = (left + DRIVER_TOKENS - 1) / DRIVER_TOKENS;
    j->n = (left + parts - 1) / parts;
    act_rows(j->x, act, bytes, index, first, j->n);
    j->x[j->n] = j->x[j->n - 1];
}

static void matmul(float *y, size_t ldy, const mote_k_matrix *w, uint32_t begin,
        uint32_t end, const void *act, uint32_t form, const uint32_t *index, uint32_t n)
{
    const size_t bytes = act_bytes(form, w->n_cols);
#ifdef DRIVER_ONE_TOKEN
    if (is_one(w, form, n)) {
        matmul_one(y, w, begin, end, mote__k_act_row(act, bytes, index, 0), form);
        return;
    }
#endif
#ifdef DRIVER_FEW
    if (is_few(w, form, n)) {
        const uint8_t *x[DRIVER_FEW];
        act_rows(x, act, bytes, index, 0, n);
        matmul_few(y, ldy, w, begin, end, x, form, n);
        return;
    }
#endif
    _Alignas(64) totals total[DRIVER_TOKENS];
    kept between;
    job j = driver_job(w, form, &between);
    for (uint32_t p = begin; p < end; p += DRIVER_PANELS) {
        j.n_panels = end - p < DRIVER_PANELS ? end - p : DRIVER_PANELS;
        for (uint32_t s = 0; s < DRIVER_PANELS; s++)
            driver_panel(&j.panel[s], w, p + s, end - 1);
        for (uint32_t s = 0; s < DRIVER_PANELS; s++)
            driver_panel(&j.next[s], w, p + DRIVER_PANELS + s, end - 1);
        for (uint32_t i0 = 0; i0 < n; i0 += j.n) {
            driver_rows(&j, act, bytes, index, i0, n);
            j.follows = j.n == n && end - p >= 2 * DRIVER_PANELS;
            compute(&j, total);
            for (uint32_t i = 0; i < j.n; i++) {
                const uint32_t left = w->n_rows - p * MOTE_PANEL;
                const uint32_t rows = j.n_panels * MOTE_PANEL;
                float *to = y + (i0 + i) * ldy + (size_t)p * MOTE_PANEL;
                if (left >= rows && rows == DRIVER_PANELS * MOTE_PANEL)
                    memcpy(to, total[i], sizeof total[i]);
                else
                    memcpy(to, total[i], (left < rows ? left : rows) * sizeof *y);
            }
        }
    }
}

static void gate_up(float *h, size_t ldh, const mote_k_matrix *gate,
        const mote_k_matrix *up, uint32_t begin, uint32_t end, const void *act,
        uint32_t form, const uint32_t *index, uint32_t n)
{
    const size_t bytes = act_bytes(form, gate->n_cols);
#ifdef DRIVER_ONE_TOKEN
    if (is_one(gate, form, n)) {
        gate_up_one(
                h, gate, up, begin, end, mote__k_act_row(act, bytes, index, 0), form);
        return;
    }
#endif
#ifdef DRIVER_FEW
    if (is_few(gate, form, n)) {
        const uint8_t *x[DRIVER_FEW];
        act_rows(x, act, bytes, index, 0, n);
        gate_up_few(h, ldh, gate, up, begin, end, x, form, n);
        return;
    }
#endif
    _Alignas(64) totals total[DRIVER_TOKENS];
    kept between;
    job j = driver_job(gate, form, &between);
    for (uint32_t p = begin; p < end; p += 2) {
        j.n_panels = end - p < 2 ? 2 : 4;
        for (uint32_t s = 0; s < 2; s++) {
            driver_panel(&j.panel[2 * s], gate, p + s, end - 1);
            driver_panel(&j.panel[2 * s + 1], up, p + s, end - 1);
            driver_panel(&j.next[2 * s], gate, p + 2 + s, end - 1);
            driver_panel(&j.next[2 * s + 1], up, p + 2 + s, end - 1);
        }
        for (uint32_t i0 = 0; i0 < n; i0 += j.n) {
            driver_rows(&j, act, bytes, index, i0, n);
            j.follows = j.n == n && end - p >= 4;
            compute(&j, total);
            for (uint32_t i = 0; i < j.n; i++)
                for (uint32_t s = 0; s < j.n_panels; s += 2) {
                    const uint32_t row = (p + s / 2) * MOTE_PANEL;
                    const uint32_t left = gate->n_rows - row;
                    float out[MOTE_PANEL];
                    silu_times(out, total[i][s], total[i][s + 1]);
                    put_panel(h + (i0 + i) * ldh + row, out, left);
                }
        }
    }
}
#endif
