/* SPDX-License-Identifier: MIT */
/* Normalisation, rotation, sums and searches over vectors, and the table entry of every
 * operation that is not a matrix product. */
#include "kernels/scalar/ops_scalar.h"
#include "kernels/kernels_internal.h"
#include "kernels/mathfn.h"

#include <math.h>

enum { LANES = 16, CHUNK = 1024 };

float mote__dot_scalar(const float *a, const float *b, size_t n)
{
    float sum[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sum[j] += a[i + j] * b[i + j];
    for (size_t j = 0; i + j < n; j++)
        sum[j] += a[i + j] * b[i + j];
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            sum[j] += sum[j + half];
    return sum[0];
}

static void rmsnorm_scalar(
        float *y, const float *x, const float *w, uint32_t n, float eps)
{
    const float mean = mote__dot_scalar(x, x, n) / (float)n;
    const float factor = 1.0f / sqrtf(mean + eps);
    for (uint32_t i = 0; i < n; i++)
        y[i] = x[i] * factor * w[i];
}

static void rope_scalar(float *x, size_t ld, uint32_t n_heads, uint32_t rope,
        const float *cos, const float *sin)
{
    for (uint32_t h = 0; h < n_heads; h++, x += ld)
        for (uint32_t j = 0; j < rope / 2; j++) {
            const float a = x[2 * j], b = x[2 * j + 1];
            x[2 * j] = a * cos[j] - b * sin[j];
            x[2 * j + 1] = a * sin[j] + b * cos[j];
        }
}

static void axpy_scalar(float *y, float a, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void router_scalar(float *scores, size_t ld, const float *w, const float *x,
        size_t ldx, uint32_t n_experts, uint32_t k, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t e = 0; e < n_experts; e++)
            scores[i * ld + e] = mote__dot_scalar(w + (size_t)e * k, x + i * ldx, k);
}

float mote__lse_of(const float *x, uint32_t n, float max, double sum)
{
    if (max > -INFINITY)
        return max + (float)log(sum);
    for (uint32_t i = 0; i < n; i++)
        if (x[i] != x[i])
            return x[i];
    return max;
}

/* A NaN anywhere makes lse NaN; max is that of the numbers. */
static void logsumexp_scalar(const float *x, uint32_t n, float *max, float *lse)
{
    float top = -INFINITY;
    for (uint32_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    double total = 0.0; /* of fp32 sums over 1024 values each */
    for (uint32_t begin = 0; begin < n; begin += CHUNK) {
        const uint32_t end = n - begin < CHUNK ? n : begin + CHUNK;
        float sum = 0.0f;
        for (uint32_t i = begin; i < end; i++)
            sum += mote__exp(x[i] - top);
        total += (double)sum;
    }
    *max = top;
    *lse = mote__lse_of(x, n, top, total);
}

static void scale_add_scalar(float *y, float a, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = a * y[i] + x[i];
}

static float soften_scalar(
        float *p, uint32_t n, uint32_t n_pad, float scale, float *top, float *total)
{
    float max = *top, sum = 0.0f;
    for (uint32_t i = 0; i < n; i++) {
        p[i] *= scale;
        max = p[i] > max ? p[i] : max;
    }
    for (uint32_t i = 0; i < n_pad; i++) {
        p[i] = i < n ? mote__exp(p[i] - max) : 0.0f;
        sum += p[i];
    }
    const float factor = mote__exp(*top - max);
    *total = *total * factor + sum;
    *top = max;
    return factor;
}

static uint32_t argmax_scalar(const float *x, uint32_t n)
{
    uint32_t best = n;
    float top = 0.0f;
    for (uint32_t i = 0; i < n; i++)
        if (x[i] > top || (best == n && x[i] == x[i])) {
            top = x[i];
            best = i;
        }
    return best;
}

void mote__kops_init_scalar(mote_kernels *table)
{
    table->rmsnorm = rmsnorm_scalar;
    table->rope = rope_scalar;
    table->axpy = axpy_scalar;
    table->scale_add = scale_add_scalar;
    table->soften = soften_scalar;
    table->router = router_scalar;
    table->logsumexp = logsumexp_scalar;
    table->argmax = argmax_scalar;
    table->kv_store = mote__kv_store_scalar;
    table->kv_load = mote__kv_load_scalar;
    table->attend_scratch = mote__attend_scratch_scalar;
    table->attend = mote__attend_scalar;
    table->attend_bf16 = mote__attend_scalar;
}
