/* SPDX-License-Identifier: MIT */
/* The operations over plain vectors, for the width of simd.h. Each reads its arguments
 * once or twice and is bound by the cache or memory they come from. */
#ifndef MOTE_KERNELS_SIMD_OPS_H
#define MOTE_KERNELS_SIMD_OPS_H
#include "kernels/scalar/ops_scalar.h"
#include "kernels/simd.h"

/* Dot products of ne rows of w with nr rows of x, y[r * ld + e]: a value is loaded once
 * for all that it meets. Each has four sums, which hide the latency of the additions,
 * in an order that n alone tells. */
static inline __attribute__((always_inline)) void ops_dots(float *y, size_t ld,
        const float *w, const float *x, size_t ldx, size_t n, int ne, int nr)
{
    vf s[2][2][4];
    for (int e = 0; e < ne; e++)
        for (int r = 0; r < nr; r++)
            for (int q = 0; q < 4; q++)
                s[e][r][q] = v_set1(0);
    size_t i = 0;
    for (; i + 4 * VW <= n; i += 4 * VW)
        for (int q = 0; q < 4; q++) {
            const size_t at = i + (size_t)q * VW;
            for (int e = 0; e < ne; e++) {
                const vf a = v_load(w + (size_t)e * n + at);
                for (int r = 0; r < nr; r++)
                    s[e][r][q] = v_fma(a, v_load(x + (size_t)r * ldx + at), s[e][r][q]);
            }
        }
    for (; i < n; i += VW)
        for (int e = 0; e < ne; e++)
            for (int r = 0; r < nr; r++) {
                const float *a = w + (size_t)e * n + i, *b = x + (size_t)r * ldx + i;
                if (i + VW <= n)
                    s[e][r][0] = v_fma(v_load(a), v_load(b), s[e][r][0]);
                else
                    s[e][r][1] =
                            v_fma(v_load_n(a, n - i), v_load_n(b, n - i), s[e][r][1]);
            }
    for (int e = 0; e < ne; e++)
        for (int r = 0; r < nr; r++) {
            const vf *t = s[e][r];
            y[(size_t)r * ld + (size_t)e] =
                    v_sum(v_add(v_add(t[0], t[1]), v_add(t[2], t[3])));
        }
}

static float ops_dot(const float *a, const float *b, size_t n)
{
    float y;
    ops_dots(&y, 0, a, b, 0, n, 1, 1);
    return y;
}

static void ops_rmsnorm(float *y, const float *x, const float *w, uint32_t n, float eps)
{
    const vf factor = v_set1(1.0f / sqrtf(ops_dot(x, x, n) / (float)n + eps));
    size_t i = 0;
    for (; i + VW <= n; i += VW)
        v_store(y + i, v_mul(v_mul(v_load(x + i), factor), v_load(w + i)));
    if (i < n) {
        const size_t rest = n - i;
        v_store_n(y + i,
                v_mul(v_mul(v_load_n(x + i, rest), factor), v_load_n(w + i, rest)),
                rest);
    }
}

static void ops_axpy(float *y, float a, const float *x, uint32_t n)
{
    const vf va = v_set1(a);
    size_t i = 0;
    for (; i + VW <= n; i += VW)
        v_store(y + i, v_fma(va, v_load(x + i), v_load(y + i)));
    if (i < n) {
        const size_t rest = n - i;
        v_store_n(y + i, v_fma(va, v_load_n(x + i, rest), v_load_n(y + i, rest)), rest);
    }
}

/* Plain C, which the compiler turns into shuffles: one head is a few vectors. */
static void ops_rope(float *restrict x, size_t ld, uint32_t n_heads, uint32_t rope,
        const float *restrict cos, const float *restrict sin)
{
    for (uint32_t h = 0; h < n_heads; h++, x += ld)
        for (size_t j = 0; j < rope / 2; j++) {
            const float a = x[2 * j], b = x[2 * j + 1];
            x[2 * j] = a * cos[j] - b * sin[j];
            x[2 * j + 1] = a * sin[j] + b * cos[j];
        }
}

/* A few rows stay in L2 while all of w passes by. */
static void ops_router(float *scores, size_t ld, const float *w, const float *x,
        size_t ldx, uint32_t n_experts, uint32_t k, uint32_t n)
{
    enum { ROWS = 16, PAIR = VW == 8 ? 1 : 2 /* AVX2 has registers for 8 sums */ };
    for (uint32_t i0 = 0; i0 < n; i0 += ROWS) {
        const uint32_t end = n - i0 < ROWS ? n : i0 + ROWS;
        for (uint32_t e = 0; e < n_experts; e += 2) {
            const float *we = w + (size_t)e * k;
            uint32_t i = i0;
            if (n_experts - e > 1) {
                for (; i + PAIR <= end; i += PAIR)
                    ops_dots(scores + i * ld + e, ld, we, x + i * ldx, ldx, k, 2, PAIR);
                for (; i < end; i++)
                    ops_dots(scores + i * ld + e, ld, we, x + i * ldx, ldx, k, 2, 1);
            }
            for (; i < end; i++)
                ops_dots(scores + i * ld + e, ld, we, x + i * ldx, ldx, k, 1, 1);
        }
    }
}

/* The largest number; NaN is passed over; -inf where there is none. */
static float ops_max(const float *x, size_t n)
{
    const vf least = v_set1(-INFINITY);
    vf t0 = least, t1 = least;
    size_t i = 0;
    for (; i + 2 * VW <= n; i += 2 * VW) {
        t0 = v_top(t0, v_load(x + i));
        t1 = v_top(t1, v_load(x + i + VW));
    }
    float top = v_max(v_top(t0, t1));
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* fp32 sums over 1024 values, added up in double: a long row loses no accuracy. */
static void ops_logsumexp(const float *x, uint32_t n, float *max, float *lse)
{
    enum { CHUNK = 1024 };
    const float top = ops_max(x, n);
    const vf vtop = v_set1(top);
    double total = 0;
    for (size_t begin = 0; begin < n; begin += CHUNK) {
        const size_t end = n - begin < CHUNK ? n : begin + CHUNK;
        vf s0 = v_set1(0), s1 = s0;
        size_t i = begin;
        for (; i + 2 * VW <= end; i += 2 * VW) {
            s0 = v_add(s0, v_exp(v_sub(v_load(x + i), vtop)));
            s1 = v_add(s1, v_exp(v_sub(v_load(x + i + VW), vtop)));
        }
        float sum = v_sum(v_add(s0, s1));
        for (; i < end; i++)
            sum += mote__exp(x[i] - top);
        total += (double)sum;
    }
    *max = top;
    *lse = mote__lse_of(x, n, top, total);
}

static void ops_scale_add(float *y, float a, const float *x, uint32_t n)
{
    const vf va = v_set1(a);
    size_t i = 0;
    for (; i + VW <= n; i += VW)
        v_store(y + i, v_fma(va, v_load(y + i), v_load(x + i)));
    if (i < n) /* fused like the others */
        v_store_n(y + i, v_fma(va, v_load_n(y + i, n - i), v_load_n(x + i, n - i)),
                n - i);
}

static float ops_soften(
        float *p, uint32_t n, uint32_t n_pad, float scale, float *top, float *total)
{
    const vf vscale = v_set1(scale);
    for (size_t i = n; i < n_pad; i++)
        p[i] = p[n - 1]; /* changes no maximum */
    vf t = v_set1(*top);
    for (size_t i = 0; i < n; i += VW) {
        const vf x = v_mul(v_load(p + i), vscale);
        v_store(p + i, x);
        t = v_top(t, x);
    }
    const float max = v_max(t);
    for (size_t i = n; i < n_pad; i++)
        p[i] = -INFINITY; /* weight 0 */
    const vf vmax = v_set1(max);
    vf sum = v_set1(0);
    for (size_t i = 0; i < n_pad; i += VW) {
        const vf x = v_exp(v_sub(v_load(p + i), vmax));
        v_store(p + i, x);
        sum = v_add(sum, x);
    }
    const float factor = mote__exp(*top - max);
    *total = *total * factor + v_sum(sum);
    *top = max;
    return factor;
}

/* Find the maximum, then where it first stands: both passes run at the cache's speed.
 */
static uint32_t ops_argmax(const float *x, uint32_t n)
{
    const float top = ops_max(x, n);
    const vf vtop = v_set1(top);
    size_t i = 0;
    while (i + VW <= n && !v_any_equal(v_load(x + i), vtop))
        i += VW;
    while (i < n && !(x[i] == top))
        i++;
    return (uint32_t)i;
}
#endif
