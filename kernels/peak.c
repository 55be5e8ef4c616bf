/* SPDX-License-Identifier: MIT */
/* Twelve independent accumulators: more than latency times throughput of every unit
 * here. Functions carry their own target, since this file is built for the baseline. */
#include "kernels/peak.h"

#include "kernels/cpu_flags.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define TWELVE(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define ADD_PS512(i) total += _mm512_reduce_add_ps(a##i);
#define ADD_I512(i) total += (float)_mm512_reduce_add_epi32(a##i);

__attribute__((target("avx512f"))) static uint64_t f32_512(uint64_t n, float *sink)
{
    __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
#define DECLARE(i) __m512 a##i = _mm512_set1_ps(i);
    TWELVE(DECLARE)
#undef DECLARE
#define STEP(i) a##i = _mm512_fmadd_ps(a##i, x, y);
    for (uint64_t j = 0; j < n; j++) {
        TWELVE(STEP)
    }
#undef STEP
    float total = 0;
    TWELVE(ADD_PS512)
    *sink = total;
    return n * 12 * 16 * 2;
}

__attribute__((target("avx512f,avx512bf16"))) static uint64_t bf16_512(
        uint64_t n, float *sink)
{
    const __m512i bits = _mm512_set1_epi16(0x3c00);
    __m512bh x, y;
    __builtin_memcpy(&x, &bits, sizeof x);
    __builtin_memcpy(&y, &bits, sizeof y);
#define DECLARE(i) __m512 a##i = _mm512_set1_ps(i);
    TWELVE(DECLARE)
#undef DECLARE
#define STEP(i) a##i = _mm512_dpbf16_ps(a##i, x, y);
    for (uint64_t j = 0; j < n; j++) {
        TWELVE(STEP)
    }
#undef STEP
    float total = 0;
    TWELVE(ADD_PS512)
    *sink = total;
    return n * 12 * 32 * 2;
}

__attribute__((target("avx512f,avx512vnni"))) static uint64_t int8_512(
        uint64_t n, float *sink)
{
    __m512i x = _mm512_set1_epi8(1), y = _mm512_set1_epi8((char)(n & 1));
#define DECLARE(i) __m512i a##i = _mm512_set1_epi32(i);
    TWELVE(DECLARE)
#undef DECLARE
#define STEP(i) a##i = _mm512_dpbusd_epi32(a##i, x, y);
    for (uint64_t j = 0; j < n; j++) {
        TWELVE(STEP)
    }
#undef STEP
    float total = 0;
    TWELVE(ADD_I512)
    *sink = total;
    return n * 12 * 64 * 2;
}

__attribute__((target("avx2,fma"))) static float sum_256(__m256 v)
{
    float t[8], s = 0;
    _mm256_storeu_ps(t, v);
    for (int i = 0; i < 8; i++)
        s += t[i];
    return s;
}

__attribute__((target("avx2,fma"))) static uint64_t f32_256(uint64_t n, float *sink)
{
    __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
#define DECLARE(i) __m256 a##i = _mm256_set1_ps(i);
    TWELVE(DECLARE)
#undef DECLARE
#define STEP(i) a##i = _mm256_fmadd_ps(a##i, x, y);
    for (uint64_t j = 0; j < n; j++) {
        TWELVE(STEP)
    }
#undef STEP
    float total = 0;
#define ADD(i) total += sum_256(a##i);
    TWELVE(ADD)
#undef ADD
    *sink = total;
    return n * 12 * 8 * 2;
}

/* maddubs + madd + add: what int8 products cost without VNNI. */
__attribute__((target("avx2"))) static uint64_t int8_256(uint64_t n, float *sink)
{
    __m256i x = _mm256_set1_epi8(1), y = _mm256_set1_epi8((char)(n & 1)),
            one = _mm256_set1_epi16(1);
#define DECLARE(i) __m256i a##i = _mm256_set1_epi32(i);
    TWELVE(DECLARE)
#undef DECLARE
#define STEP(i)                                                                        \
    a##i = _mm256_add_epi32(                                                           \
            a##i, _mm256_madd_epi16(                                                   \
                          _mm256_maddubs_epi16(x, _mm256_xor_si256(y, a##i)), one));
    for (uint64_t j = 0; j < n; j++) {
        TWELVE(STEP)
    }
#undef STEP
    int32_t t[8], total = 0;
#define ADD(i)                                                                         \
    _mm256_storeu_si256((__m256i *)(void *)t, a##i);                                   \
    for (int k = 0; k < 8; k++)                                                        \
        total ^= t[k];
    TWELVE(ADD)
#undef ADD
    *sink = (float)total;
    return n * 12 * 32 * 2;
}

static uint64_t simd(uint32_t flags, uint32_t kind, uint64_t n, float *sink)
{
    if (flags & MOTE_CPU_AVX512BF16)
        return kind == MOTE_K_PEAK_BF16   ? bf16_512(n, sink)
               : kind == MOTE_K_PEAK_INT8 ? int8_512(n, sink)
                                          : f32_512(n, sink);
    if (flags & MOTE_CPU_AVX512 && kind != MOTE_K_PEAK_INT8)
        return f32_512(n, sink);
    if (flags & MOTE_CPU_AVX2)
        return kind == MOTE_K_PEAK_INT8 ? int8_256(n, sink) : f32_256(n, sink);
    return 0;
}
#elif defined(__aarch64__)
#include <arm_neon.h>

static uint64_t simd(uint32_t flags, uint32_t kind, uint64_t n, float *sink)
{
    (void)kind;
    if (!(flags & MOTE_CPU_NEON))
        return 0;
    float32x4_t x = vdupq_n_f32(0.999f), a[12];
    for (int i = 0; i < 12; i++)
        a[i] = vdupq_n_f32((float)i);
    for (uint64_t j = 0; j < n; j++)
        for (int i = 0; i < 12; i++)
            a[i] = vfmaq_f32(x, a[i], x);
    float total = 0;
    for (int i = 0; i < 12; i++)
        total += vaddvq_f32(a[i]);
    *sink = total;
    return n * 12 * 4 * 2;
}
#else
static uint64_t simd(uint32_t flags, uint32_t kind, uint64_t n, float *sink)
{
    (void)flags;
    (void)kind;
    (void)n;
    (void)sink;
    return 0;
}
#endif

uint64_t mote_k_peak_run(uint32_t flags, uint32_t kind, uint64_t n, float *sink)
{
    uint64_t done = simd(flags, kind, n, sink);
    if (done)
        return done;
    float a[16];
    for (int i = 0; i < 16; i++)
        a[i] = (float)i;
    for (uint64_t j = 0; j < n; j++)
        for (int i = 0; i < 16; i++)
            a[i] = a[i] * 0.999f + 1e-3f;
    float total = 0;
    for (int i = 0; i < 16; i++)
        total += a[i];
    *sink = total;
    return n * 16 * 2;
}

#if defined(__x86_64__) && defined(__GNUC__)
/* Whole vectors, in order and without hints: what the hardware prefetcher follows best.
 */
__attribute__((target("avx512f"))) static uint64_t read_512(const void *data, size_t n)
{
    const char *p = data;
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i + 256 <= n; i += 256) {
        a = _mm512_xor_si512(a, _mm512_loadu_si512(p + i));
        b = _mm512_xor_si512(b, _mm512_loadu_si512(p + i + 64));
        c = _mm512_xor_si512(c, _mm512_loadu_si512(p + i + 128));
        d = _mm512_xor_si512(d, _mm512_loadu_si512(p + i + 192));
    }
    return (uint64_t)_mm512_reduce_add_epi64(
            _mm512_xor_si512(_mm512_xor_si512(a, b), _mm512_xor_si512(c, d)));
}

__attribute__((target("avx2"))) static uint64_t read_256(const void *data, size_t n)
{
    const char *p = data;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i + 128 <= n; i += 128) {
        a = _mm256_xor_si256(a, _mm256_loadu_si256((const void *)(p + i)));
        b = _mm256_xor_si256(b, _mm256_loadu_si256((const void *)(p + i + 32)));
        c = _mm256_xor_si256(c, _mm256_loadu_si256((const void *)(p + i + 64)));
        d = _mm256_xor_si256(d, _mm256_loadu_si256((const void *)(p + i + 96)));
    }
    uint64_t t[4];
    _mm256_storeu_si256((void *)t,
            _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d)));
    return t[0] + t[1] + t[2] + t[3];
}
#endif

uint64_t mote_k_read(uint32_t flags, const void *data, size_t n)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (flags & MOTE_CPU_AVX512)
        return read_512(data, n);
    if (flags & MOTE_CPU_AVX2)
        return read_256(data, n);
#endif
    (void)flags;
    const uint64_t *p = data;
    uint64_t a[16] = {0};
    for (size_t i = 0; i + 16 <= n / 8; i += 16)
        for (size_t k = 0; k < 16; k++)
            a[k] += p[i + k];
    uint64_t total = 0;
    for (size_t k = 0; k < 16; k++)
        total += a[k];
    return total;
}
