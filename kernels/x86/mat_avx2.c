/* SPDX-License-Identifier: MIT */
/* Matrix kernels for AVX2 + FMA: see mat_fma.h. */
#include <immintrin.h>
#include <stdint.h>

#define VL 8
typedef __m256 V;
typedef __m256i VI;
#define INLINE static inline __attribute__((always_inline))
INLINE V v_zero(void)
{
    return _mm256_setzero_ps();
}
INLINE V v_set1(float a)
{
    return _mm256_set1_ps(a);
}
INLINE V v_load(const uint8_t *p)
{
    return _mm256_loadu_ps((const float *)(const void *)p);
}
INLINE V v_broadcast(const uint8_t *p)
{
    return _mm256_broadcast_ss((const float *)(const void *)p);
}
INLINE void v_store(float *p, V a)
{
    _mm256_store_ps(p, a);
}
INLINE void v_store_unaligned(float *p, V a)
{
    _mm256_storeu_ps(p, a);
}
INLINE V v_add(V a, V b)
{
    return _mm256_add_ps(a, b);
}
INLINE V v_sub(V a, V b)
{
    return _mm256_sub_ps(a, b);
}
INLINE V v_mul(V a, V b)
{
    return _mm256_mul_ps(a, b);
}
INLINE V v_div(V a, V b)
{
    return _mm256_div_ps(a, b);
}
INLINE V v_min(V a, V b)
{
    return _mm256_min_ps(a, b);
}
INLINE V v_max(V a, V b)
{
    return _mm256_max_ps(a, b);
}
INLINE V v_fma(V a, V b, V c)
{
    return _mm256_fmadd_ps(a, b, c);
}
INLINE V v_round(V a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE VI vi_set1(int32_t a)
{
    return _mm256_set1_epi32(a);
}
INLINE VI vi_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
INLINE VI vi_sll(VI a, int n)
{
    return _mm256_slli_epi32(a, n);
}
INLINE V v_load_bf16(const uint8_t *p)
{
    const __m128i half = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(vi_sll(_mm256_cvtepu16_epi32(half), 16));
}
INLINE VI vi_srl(VI a, int n)
{
    return _mm256_srli_epi32(a, n);
}
INLINE VI vi_sra(VI a, int n)
{
    return _mm256_srai_epi32(a, n);
}
INLINE VI vi_sra16(VI a, int n)
{
    return _mm256_srai_epi16(a, n);
}
INLINE VI vi_and(VI a, VI b)
{
    return _mm256_and_si256(a, b);
}
INLINE VI vi_xor(VI a, VI b)
{
    return _mm256_xor_si256(a, b);
}
INLINE VI vi_add16(VI a, VI b)
{
    return _mm256_add_epi16(a, b);
}
INLINE VI vi_add32(VI a, VI b)
{
    return _mm256_add_epi32(a, b);
}
INLINE VI vi_madd(VI a, VI b)
{
    return _mm256_madd_epi16(a, b);
}
INLINE VI vi_maddubs(VI a, VI b)
{
    return _mm256_maddubs_epi16(a, b);
}
INLINE V vi_float(VI a)
{
    return _mm256_castsi256_ps(a);
}
INLINE V vi_convert(VI a)
{
    return _mm256_cvtepi32_ps(a);
}

/* p * 2^n, in two steps, since 2^n alone may leave the range of floats. */
INLINE V v_times_power(V p, V n)
{
    const VI i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    const VI rest = _mm256_sub_epi32(i, half), bias = vi_set1(127);
    p = v_mul(p, vi_float(vi_sll(vi_add32(half, bias), 23)));
    return v_mul(p, vi_float(vi_sll(vi_add32(rest, bias), 23)));
}

/* 8 rows of a bf16 group: dwords of columns 0, 1 and of columns 2, 3. Rows come in the
 * order 0 1 4 5 2 3 6 7, which rows_in_order() undoes, once per sum. */
INLINE void split_bf16(VI *even, VI *odd, const uint8_t *w)
{
    const V a = v_load(w), b = v_load(w + 32);
    *even = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
    *odd = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd));
}
#define rows_in_order(type, a) ((type) == MOTE_K_BF16 ? pairs_in_order(a) : (a))
INLINE V pairs_in_order(V a)
{
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(a), 0xd8));
}

#include "kernels/x86/mat_fma.h"

static void alone(mote_kernels *table)
{
    table->matmul = matmul_alone;
    table->gate_up = gate_up_alone;
}

void mote__kmat_init_avx2(mote_kernels *table)
{
    table->act_bytes = act_bytes;
    table->act_pack = act_pack;
    table->matmul = matmul;
    table->gate_up = gate_up;
    table->alone = alone;
}
