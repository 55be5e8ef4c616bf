/* SPDX-License-Identifier: MIT */
/* Plain loops that compilers vectorise: no library exp, comparisons as selects, lanes.
 * The same text is compiled for the baseline and, on x86, for AVX2, which halves the
 * time. */
#include "sampler_passes.h"
#include "kernels/cpu_flags.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { LANES = 16, BLOCK = MOTE_SAMPLER_BLOCK };

#if defined(__GNUC__)
#define BODY static inline __attribute__((always_inline))
#else
#define BODY static inline
#endif

BODY uint32_t block_at(uint32_t begin, uint32_t n)
{
    return n - begin < BLOCK ? n - begin : BLOCK;
}

BODY int copy_body(float *restrict dst, const float *restrict src, uint32_t n)
{
    uint32_t bad = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &src[i], 4);
        /* +INFINITY itself, or larger without the sign: NaN. */
        bad |= (uint32_t)((bits & 0x7fffffffu) > 0x7f800000u) |
               (uint32_t)(bits == 0x7f800000u);
        memcpy(&dst[i], &bits, 4);
    }
    return bad != 0;
}

BODY float peaks_body(float *restrict peaks, const float *restrict x, uint32_t n)
{
    float top = -INFINITY;
    for (uint32_t begin = 0, b = 0; begin < n; begin += BLOCK, b++) {
        uint32_t m = block_at(begin, n), i = 0;
        float lane[LANES];
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] = -INFINITY;
        for (; i + LANES <= m; i += LANES)
            for (uint32_t j = 0; j < LANES; j++)
                lane[j] = x[begin + i + j] > lane[j] ? x[begin + i + j] : lane[j];
        for (; i < m; i++)
            lane[0] = x[begin + i] > lane[0] ? x[begin + i] : lane[0];
        for (uint32_t half = LANES / 2; half; half /= 2)
            for (uint32_t j = 0; j < half; j++)
                lane[j] = lane[j + half] > lane[j] ? lane[j + half] : lane[j];
        peaks[b] = lane[0];
        top = lane[0] > top ? lane[0] : top;
    }
    return top;
}

/* exp(x) for LEAST <= x <= 0: reduction by ln 2 in two steps, then the Taylor series on
 * [-ln2/2, ln2/2] to r^6/6!, whose remainder is 1.2e-7 at the ends. */
#define LEAST (-88.0f) /* here 2^n gets exponent bits 0 and is 0 */
BODY float exp_negative(float x)
{
    float t = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    uint32_t bits;
    memcpy(&bits, &t, 4);
    float n = t - 12582912.0f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    bits = (bits + 127u) << 23; /* the magic number's own bits are shifted out */
    float scale;
    memcpy(&scale, &bits, 4);
    return p * scale;
}

BODY double exponentials_body(float *restrict w, float *restrict sums,
        const float *restrict x, uint32_t n, float max, float inverse)
{
    float own[BLOCK];
    double sum = 0;
    for (uint32_t begin = 0, b = 0; begin < n; begin += BLOCK, b++) {
        uint32_t m = block_at(begin, n), i = 0;
        float lane[LANES] = {0};
        float *restrict out = w ? w + begin : own;
        /* Two loops: compilers would turn the clamp and its constant into a branch. */
        for (uint32_t j = 0; j < m; j++) {
            float d = (x[begin + j] - max) * inverse;
            out[j] = d > LEAST ? d : LEAST;
        }
        for (uint32_t j = 0; j < m; j++)
            out[j] = exp_negative(out[j]);
        for (; i + LANES <= m; i += LANES)
            for (uint32_t j = 0; j < LANES; j++)
                lane[j] += out[i + j];
        for (; i < m; i++)
            lane[i % LANES] += out[i];
        for (uint32_t half = LANES / 2; half; half /= 2)
            for (uint32_t j = 0; j < half; j++)
                lane[j] += lane[j + half];
        if (sums)
            sums[b] = lane[0];
        sum += (double)lane[0];
    }
    return sum;
}

#define VARIANT(name, target)                                                          \
    target static int copy_##name(float *dst, const float *src, uint32_t n)            \
    {                                                                                  \
        return copy_body(dst, src, n);                                                 \
    }                                                                                  \
    target static float peaks_##name(float *peaks, const float *x, uint32_t n)         \
    {                                                                                  \
        return peaks_body(peaks, x, n);                                                \
    }                                                                                  \
    target static double exponentials_##name(float *w, float *sums, const float *x,    \
            uint32_t n, float max, float inverse)                                      \
    {                                                                                  \
        return exponentials_body(w, sums, x, n, max, inverse);                         \
    }                                                                                  \
    static const mote__sampler_passes passes_##name = {                                \
            copy_##name, peaks_##name, exponentials_##name};

VARIANT(base, )
#if defined(__GNUC__) && defined(__x86_64__)
VARIANT(avx2, __attribute__((target("avx2"))))
#endif

const mote__sampler_passes *mote__sampler_passes_of(uint32_t cpu_flags)
{
#if defined(__GNUC__) && defined(__x86_64__)
    if (cpu_flags & MOTE_CPU_AVX2)
        return &passes_avx2;
#endif
    (void)cpu_flags;
    return &passes_base;
}
