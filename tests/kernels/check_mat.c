/* SPDX-License-Identifier: MIT */
/* Matrix kernels: every weight type and form of activations against float64, then bits
 * against themselves (any number of tokens, any range of panels, gathered rows).
 *
 * The bound. With u = 2^-24 and S = sum |w x|, a block of 128 columns costs at most 128
 * roundings of products and 128 of sums (twice that with two bf16 terms), scaling two,
 * and adding up the blocks one each: (4 * 128 + blocks + 4) u S. EXACT may add 2^-16 S
 * (the contract). An ISA whose bf16 unit flushes subnormals loses at most 2^-126 per
 * product and per activation term. */
#include "check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {"F32", "BF16", "E4M3", "I8", "I4"};
static const char *const form_names[] = {"EXACT", "FINE", "BF16", "INT8"};

static int takes(uint32_t type, uint32_t form)
{
    return form != MOTE_K_ACT_INT8 || type == MOTE_K_I8 || type == MOTE_K_I4;
}

/* A random matrix; the caller frees data and scales. */
static mote_k_matrix random_matrix(
        check *c, uint32_t type, uint32_t n_rows, uint32_t n_cols)
{
    char *data = check_alloc(mote_k_data_bytes(type, n_rows, n_cols));
    const size_t n_scales = mote_k_scale_count(type, n_rows, n_cols);
    float *scales = n_scales ? check_alloc(n_scales * sizeof(float)) : NULL;
    const size_t panel = mote_k_data_bytes(type, 16, n_cols);
    const size_t panel_scales = mote_k_scale_count(type, 16, n_cols),
                 cells = 16u * n_cols;
    float *rows = check_alloc(cells * 4);
    for (uint32_t p = 0; p < mote_k_panels(n_rows); p++) {
        const uint32_t live = n_rows - 16 * p < 16 ? n_rows - 16 * p : 16;
        void *to = data + panel * p;
        for (size_t i = 0; i < cells; i++)
            rows[i] = check_normal(c);
        if (type == MOTE_K_F32) {
            mote_k_pack_f32(to, rows, n_cols, live, n_cols);
        } else if (type == MOTE_K_BF16) {
            uint16_t *half = (uint16_t *)(void *)rows;
            for (size_t i = 0; i < cells; i++)
                half[i] = mote_k_f32_to_bf16(rows[i]);
            mote_k_pack_bf16(to, half, n_cols, live, n_cols);
        } else if (type == MOTE_K_E4M3) {
            uint8_t *bytes = (uint8_t *)rows; /* all codes but NaN, subnormals too */
            for (size_t i = 0; i < cells; i++) {
                const uint8_t b = (uint8_t)check_random(c);
                bytes[i] = (b & 0x7fu) == 0x7fu ? 0x81u : b;
            }
            mote_k_pack_e4m3(to, bytes, n_cols, live, n_cols);
            for (size_t i = 0; i < panel_scales; i++)
                scales[panel_scales * p + i] = 0.001f * (1.0f + fabsf(check_normal(c)));
        } else if (type == MOTE_K_I8) {
            mote_k_quant_i8(
                    to, scales + panel_scales * p, rows, n_cols, live, n_cols, NULL);
        } else {
            mote_k_quant_i4(to, rows, n_cols, live, n_cols, NULL);
        }
    }
    check_free(rows);
    return (mote_k_matrix){data, scales, n_rows, n_cols, type, 0};
}

static void free_matrix(mote_k_matrix *w)
{
    check_free((void *)(uintptr_t)w->data);
    check_free((void *)(uintptr_t)w->scales);
}

/* The value that a form gives an activation, as the contract states it. */
static void form_values(double *out, const float *x, uint32_t form, uint32_t k)
{
    for (uint32_t k0 = 0; k0 < k; k0 += 32) {
        const uint32_t n = k - k0 < 32 ? k - k0 : 32;
        float max = 0;
        for (uint32_t i = 0; i < n; i++)
            max = fmaxf(max, fabsf(x[k0 + i]));
        for (uint32_t i = 0; i < n; i++) {
            const float v = x[k0 + i];
            if (form == MOTE_K_ACT_EXACT || form == MOTE_K_ACT_FINE)
                out[k0 + i] = (double)v;
            else if (form == MOTE_K_ACT_BF16)
                out[k0 + i] = (double)mote_k_bf16_to_f32(mote_k_f32_to_bf16(v));
            else if (max < 0x1p-100f)
                out[k0 + i] = 0;
            else
                out[k0 + i] =
                        (double)(max / 127.0f) * (double)rintf(v * (127.0f / max));
        }
    }
}

typedef struct exact {
    double value, bound;
} exact;

/* float64 product of all rows with one x, and the bound of its error in a variant. */
static void reference(exact *out, const float *rows, const mote_k_matrix *w,
        const float *x, uint32_t form, double *values)
{
    const uint32_t k_pad = mote_k_pad(w->n_cols);
    const double u = 0x1p-24, blocks = (double)(k_pad / 32 + 1);
    form_values(values, x, form, w->n_cols);
    for (uint32_t r = 0; r < w->n_rows; r++) {
        double sum = 0, size = 0, largest = 0;
        for (uint32_t k = 0; k < w->n_cols; k++) {
            const double v = (double)rows[(size_t)r * w->n_cols + k];
            sum += v * values[k];
            size += fabs(v * values[k]);
            largest = fmax(largest, fabs(v));
        }
        out[r].value = sum;
        out[r].bound = (4 * 128 + blocks + 4) * u * size +
                       (double)k_pad * 0x1p-126 * 4 * (1 + largest);
        if (form == MOTE_K_ACT_FINE)
            out[r].bound += 0x1p-16 * size;
        if (form == MOTE_K_ACT_EXACT) /* 24 bits in three terms; more additions */
            out[r].bound += (3 * 128 + 2) * u * size;
    }
}

static float *unpacked(const mote_k_matrix *w)
{
    float *rows = check_alloc((size_t)mote_k_panels(w->n_rows) * 16 * w->n_cols * 4);
    for (uint32_t p = 0; p < mote_k_panels(w->n_rows); p++)
        mote_k_unpack(rows + (size_t)p * 16 * w->n_cols, w->n_cols, w, p);
    return rows;
}

/* Rows of activations that have hurt: ordinary, huge, tiny, sparse, one outlier. */
static void fill_activations(check *c, float *x, size_t ldx, uint32_t k, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < k; j++) {
            float v = check_normal(c);
            switch (i % 7) {
            case 1:
                v *= 1e30f;
                break;
            case 2:
                v *= 1e-28f;
                break;
            case 3:
                v = check_below(c, 8) ? 0.0f : v;
                break;
            case 4:
                v = j == k / 2 ? v * 1e4f : v;
                break;
            case 5:
                v *= 1e-41f;
                break;
            default:
                break;
            }
            x[i * ldx + j] = v;
        }
}

static void check_product(check *c, uint32_t type, uint32_t form, uint32_t n_rows,
        uint32_t n_cols, uint32_t n)
{
    const mote_kernels *t = c->table;
    mote_k_matrix w = random_matrix(c, type, n_rows, n_cols);
    const size_t ldx = n_cols + 5, ldy = n_rows + 3, bytes = t->act_bytes(form, n_cols);
    const uint32_t panels = mote_k_panels(n_rows);
    float *x = check_alloc(n * ldx * 4), *y = check_alloc(n * ldy * 4);
    float *rows = unpacked(&w), *z = check_alloc(n * ldy * 4);
    char *act = check_alloc(n * bytes);
    double *values = check_alloc(n_cols * sizeof *values);
    exact *want = check_alloc(n_rows * sizeof *want);
    uint32_t *index = check_alloc(n * sizeof *index);
    const char *tn = type_names[type], *fn = form_names[form];

    check_that(c, bytes % 64 == 0 && bytes > 0, "%s: act_bytes %zu", fn, bytes);
    fill_activations(c, x, ldx, n_cols, n);
    t->act_pack(act, form, x, ldx, n_cols, n);
    t->matmul(y, ldy, &w, 0, panels, act, form, NULL, n);
    check_that(c, check_guards(act), "%s %ux%u: act_pack wrote past", fn, n, n_cols);
    check_that(c, check_guards(y), "%s %s: wrote past y", tn, fn);
    for (uint32_t i = 0; i < n; i++) {
        reference(want, rows, &w, x + i * ldx, form, values);
        for (uint32_t r = 0; r < n_rows; r++) {
            const double got = (double)y[i * ldy + r];
            check_that(c, fabs(got - want[r].value) <= want[r].bound,
                    "%s %s %ux%u n=%u: y[%u][%u] is %g, not %g within %g", tn, fn,
                    n_rows, n_cols, n, i, r, got, want[r].value, want[r].bound);
        }
        for (uint32_t r = n_rows; r < ldy; r++)
            check_that(
                    c, isnan(y[i * ldy + r]), "%s %s: wrote between rows of y", tn, fn);
    }
    /* One token at a time, packed one at a time, each panel on its own: the same bits.
     */
    for (uint32_t i = 0; i < n; i++) {
        t->act_pack(act, form, x + i * ldx, ldx, n_cols, 1);
        for (uint32_t p = 0; p < panels; p++)
            t->matmul(z + i * ldy, ldy, &w, p, p + 1, act, form, NULL, 1);
    }
    check_that(c, memcmp(y, z, n * ldy * 4) == 0, "%s %s %ux%u: n=%u differs from n=1",
            tn, fn, n_rows, n_cols, n);
    /* Gathered rows and a range of panels: exactly those, nothing else is touched. */
    t->act_pack(act, form, x, ldx, n_cols, n);
    memset(z, 0xff, n * ldy * 4);
    for (uint32_t i = 0; i < n; i++)
        index[i] = check_below(c, n);
    const uint32_t begin = check_below(c, panels), m = 1 + check_below(c, n);
    const uint32_t end = begin + 1 + check_below(c, panels - begin);
    t->matmul(z, ldy, &w, begin, end, act, form, index, m);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t r = 0; r < ldy; r++) {
            const float got = z[i * ldy + r];
            const int inside = i < m && r >= begin * 16 && r < end * 16 && r < n_rows;
            check_that(c,
                    inside ? memcmp(&got, &y[index[i] * ldy + r], 4) == 0 : isnan(got),
                    "%s %s %ux%u panels %u-%u of %u gathered tokens: [%u][%u] is %g",
                    tn, fn, n_rows, n_cols, begin, end, m, i, r, (double)got);
        }
    check_that(c, check_guards(z), "%s %s: wrote past z", tn, fn);
    check_free(x);
    check_free(y);
    check_free(z);
    check_free(rows);
    check_free(act);
    check_free(values);
    check_free(want);
    check_free(index);
    free_matrix(&w);
}

/* gate_up against the same table's matmul and silu in float64. */
static void check_gate_up(check *c, uint32_t type, uint32_t form, uint32_t n_rows,
        uint32_t n_cols, uint32_t n)
{
    const mote_kernels *t = c->table;
    mote_k_matrix gate = random_matrix(c, type, n_rows, n_cols);
    mote_k_matrix up = random_matrix(c, type, n_rows, n_cols);
    const size_t ld = n_rows + 1, bytes = t->act_bytes(form, n_cols);
    const uint32_t panels = mote_k_panels(n_rows);
    float *x = check_alloc((size_t)n * n_cols * 4), *h = check_alloc(n * ld * 4);
    float *a = check_alloc(n * ld * 4), *b = check_alloc(n * ld * 4);
    float *h1 = check_alloc(n * ld * 4);
    char *act = check_alloc(n * bytes);
    const char *tn = type_names[type], *fn = form_names[form];
    for (uint32_t i = 0; i < n; i++) /* silu from nothing to everything */
        for (uint32_t k = 0; k < n_cols; k++)
            x[(size_t)i * n_cols + k] = check_normal(c) * ldexpf(1, (int)(i % 9) - 4);
    t->act_pack(act, form, x, n_cols, n_cols, n);
    t->matmul(a, ld, &gate, 0, panels, act, form, NULL, n);
    t->matmul(b, ld, &up, 0, panels, act, form, NULL, n);
    t->gate_up(h, ld, &gate, &up, 0, panels, act, form, NULL, n);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t r = 0; r < ld; r++) {
            const double g = (double)a[i * ld + r], u = (double)b[i * ld + r];
            const double want = g / (1 + exp(-g)) * u, got = (double)h[i * ld + r];
            /* Four operations, and exp to 2^-21; at -88 and below 1 + exp(-g) grows
             * past floats and what is left is a subnormal or zero. */
            const double bound = fabs(want) * 0x1p-20 + fabs(u * g) * 0x1p-126;
            check_that(c, r < n_rows ? fabs(got - want) <= bound : isnan(got),
                    "gate_up %s %s %ux%u: h[%u][%u] is %g, not %g", tn, fn, n_rows,
                    n_cols, i, r, got, want);
        }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t p = panels; p-- > 0;)
            t->gate_up(h1 + i * ld, ld, &gate, &up, p, p + 1, act, form, &i, 1);
    check_that(c, memcmp(h, h1, n * ld * 4) == 0, "gate_up %s %s %ux%u: n=%u differs",
            tn, fn, n_rows, n_cols, n);
    check_that(c, check_guards(h) && check_guards(h1), "gate_up %s %s: wrote past", tn,
            fn);
    check_free(x);
    check_free(h);
    check_free(h1);
    check_free(a);
    check_free(b);
    check_free(act);
    free_matrix(&gate);
    free_matrix(&up);
}

/* Infinities and NaN stay in their token or row, and are seen there as scalar sees
 * them; but NaN of e4m3, which no loader lets in, may be a number there. */
static void check_non_finite(check *c, uint32_t type, uint32_t form)
{
    enum { ROWS = 20, COLUMNS = 150, TOKENS = 7 };
    static const float poison[3] = {NAN, INFINITY, -INFINITY};
    mote_k_matrix w = random_matrix(c, type, ROWS, COLUMNS);
    if (type == MOTE_K_E4M3) /* row 3, column 4: both NaNs */
        ((uint8_t *)(uintptr_t)w.data)[64 + 3 * 4] = check_below(c, 2) ? 0x7f : 0xff;
    float x[TOKENS][COLUMNS], y[2][TOKENS][ROWS];
    for (uint32_t i = 0; i < TOKENS; i++) {
        for (uint32_t k = 0; k < COLUMNS; k++)
            x[i][k] = 1.0f + fabsf(check_normal(c));
        if (i % 2)
            x[i][check_below(c, COLUMNS)] = poison[i / 2];
    }
    for (int v = 0; v < 2; v++) {
        const mote_kernels *t = v ? c->table : c->scalar;
        char *act = check_alloc(TOKENS * t->act_bytes(form, COLUMNS));
        t->act_pack(act, form, x[0], COLUMNS, COLUMNS, TOKENS);
        t->matmul(y[v][0], ROWS, &w, 0, 2, act, form, NULL, TOKENS);
        check_free(act);
    }
    for (uint32_t i = 0; i < TOKENS; i++)
        for (uint32_t r = 0; r < ROWS; r++) {
            const float want = y[0][i][r], got = y[1][i][r];
            if (type == MOTE_K_E4M3 && r == 3)
                continue;
            const int finite = i % 2 == 0;
            check_that(c,
                    finite == (isfinite(want) != 0) &&
                            (isnan(want)             ? isnan(got)
                                    : isfinite(want) ? isfinite(got)
                                                     : want == got),
                    "%s %s: token %u row %u is %g, scalar %g", type_names[type],
                    form_names[form], i, r, (double)got, (double)want);
        }
    free_matrix(&w);
}

void check_matrices(check *c)
{
    static const uint32_t sizes[][3] = {/* rows, columns, tokens */
            {1, 1, 1}, {16, 16, 2}, {17, 48, 3}, {33, 130, 4}, {48, 128, 5},
            {64, 200, 6}, {80, 264, 7}, {100, 384, 8}, {129, 520, 13}, {40, 1100, 9},
            {24, 560, 100}, {70, 2048, 3}};
    for (uint32_t type = 0; type < MOTE_K_TYPES; type++)
        for (uint32_t form = 0; form < MOTE_K_ACTS; form++) {
            if (!takes(type, form))
                continue;
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
                check_product(c, type, form, sizes[i][0], sizes[i][1], sizes[i][2]);
            check_gate_up(c, type, form, 37, 272, 9);
            check_gate_up(c, type, form, 64, 96, 1);
            check_gate_up(c, type, form, 16, 144, 101);
            check_non_finite(c, type, form);
        }
}

/* ---- timing ---- */

/* Zeros would be fast nowhere, but random bits of NaN or huge scales may: fill with
 * plausible values, cheaply. */
static mote_k_matrix bench_matrix(
        check *c, uint32_t type, uint32_t n_rows, uint32_t n_cols)
{
    mote_k_matrix w = random_matrix(c, type, 64, n_cols);
    const size_t some = mote_k_data_bytes(type, 64, n_cols);
    const size_t all = mote_k_data_bytes(type, n_rows, n_cols);
    const size_t some_scales = mote_k_scale_count(type, 64, n_cols) * 4;
    const size_t all_scales = mote_k_scale_count(type, n_rows, n_cols) * 4;
    char *data = check_alloc(all), *scales = check_alloc(all_scales);
    for (size_t i = 0; i < all; i += some)
        memcpy(data + i, w.data, all - i < some ? all - i : some);
    for (size_t i = 0; i < all_scales; i += some_scales)
        memcpy(scales + i, w.scales,
                all_scales - i < some_scales ? all_scales - i : some_scales);
    free_matrix(&w);
    return (mote_k_matrix){
            data, all_scales ? (float *)(void *)scales : NULL, n_rows, n_cols, type, 0};
}

static void bench_one(check *c, mote_k_matrix *w, uint32_t form, uint32_t n)
{
    const mote_kernels *t = c->table;
    const uint32_t k = w->n_cols, panels = mote_k_panels(w->n_rows);
    float *x = check_alloc((size_t)n * k * 4),
          *y = check_alloc((size_t)n * w->n_rows * 4);
    char *act = check_alloc(n * t->act_bytes(form, k));
    for (size_t i = 0; i < (size_t)n * k; i++)
        x[i] = check_normal(c);
    t->act_pack(act, form, x, k, k, n);
    double best = 1e9;
    for (int round = 0; round < 4; round++) { /* the first warms up */
        const double start = check_seconds();
        t->matmul(y, w->n_rows, w, 0, panels, act, form, NULL, n);
        const double took = check_seconds() - start;
        if (round > 0 && took < best)
            best = took;
    }
    const double bytes = (double)mote_k_data_bytes(w->type, w->n_rows, k) +
                         4.0 * (double)mote_k_scale_count(w->type, w->n_rows, k);
    const double flops = 2.0 * (double)w->n_rows * k * n;
    printf("%-10s  matmul %-4s %-5s  n=%-4u %5ux%-5u %8.2f GB/s %8.1f GFLOP/s\n",
            c->variant, type_names[w->type], form_names[form], n, w->n_rows, k,
            bytes / best * 1e-9, flops / best * 1e-9);
    fflush(stdout);
    check_free(x);
    check_free(y);
    check_free(act);
}

void bench_matrices(check *c)
{
    static const uint32_t tokens[] = {1, 2, 4, 8, 48, 512};
    for (uint32_t type = 0; type < MOTE_K_TYPES; type++) {
        const uint32_t k = 2048;
        const size_t per_row = mote_k_data_bytes(type, 16, k) / 16;
        /* Few tokens read memory: 160 MB, many times the caches. */
        mote_k_matrix large =
                bench_matrix(c, type, (uint32_t)((160u << 20) / per_row) & ~63u, k);
        mote_k_matrix small = bench_matrix(c, type, 1408, k);
        for (uint32_t form = 0; form < MOTE_K_ACTS; form++)
            for (size_t i = 0;
                    takes(type, form) && i < sizeof tokens / sizeof tokens[0]; i++)
                bench_one(c, tokens[i] <= 4 && c->table->flags ? &large : &small, form,
                        tokens[i]);
        free_matrix(&large);
        free_matrix(&small);
    }
}
