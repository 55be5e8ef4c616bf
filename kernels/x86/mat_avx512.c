/* SPDX-License-Identifier: MIT */
/* Matrix kernels for AVX-512 (F, BW, VL, DQ) without bf16 products: see mat_fma.h. */
#include <immintrin.h>
#include <stdint.h>

#define VL 16
typedef __m512 V;
typedef __m512i VI;
#define INLINE static inline __attribute__((always_inline))
INLINE V v_zero(void)
{
    return _mm512_setzero_ps();
}
INLINE V v_set1(float a)
{
    return _mm512_set1_ps(a);
}
INLINE V v_load(const uint8_t *p)
{
    return _mm512_loadu_ps(p);
}
INLINE V v_load_bf16(const uint8_t *p)
{
    const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
INLINE V v_broadcast(const uint8_t *p)
{
    return _mm512_set1_ps(*(const float *)(const void *)p);
}
INLINE void v_store(float *p, V a)
{
    _mm512_store_ps(p, a);
}
INLINE void v_store_unaligned(float *p, V a)
{
    _mm512_storeu_ps(p, a);
}
INLINE V v_add(V a, V b)
{
    return _mm512_add_ps(a, b);
}
INLINE V v_sub(V a, V b)
{
    return _mm512_sub_ps(a, b);
}
INLINE V v_mul(V a, V b)
{
    return _mm512_mul_ps(a, b);
}
INLINE V v_div(V a, V b)
{
    return _mm512_div_ps(a, b);
}
INLINE V v_min(V a, V b)
{
    return _mm512_min_ps(a, b);
}
INLINE V v_max(V a, V b)
{
    return _mm512_max_ps(a, b);
}
INLINE V v_fma(V a, V b, V c)
{
    return _mm512_fmadd_ps(a, b, c);
}
INLINE V v_round(V a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT);
}
INLINE V v_times_power(V p, V n)
{
    return _mm512_scalef_ps(p, n);
}
INLINE VI vi_set1(int32_t a)
{
    return _mm512_set1_epi32(a);
}
INLINE VI vi_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}
INLINE VI vi_sll(VI a, int n)
{
    return _mm512_sll_epi32(a, _mm_cvtsi32_si128(n));
}
INLINE VI vi_srl(VI a, int n)
{
    return _mm512_srl_epi32(a, _mm_cvtsi32_si128(n));
}
INLINE VI vi_sra(VI a, int n)
{
    return _mm512_sra_epi32(a, _mm_cvtsi32_si128(n));
}
INLINE VI vi_sra16(VI a, int n)
{
    return _mm512_sra_epi16(a, _mm_cvtsi32_si128(n));
}
INLINE VI vi_and(VI a, VI b)
{
    return _mm512_and_si512(a, b);
}
INLINE VI vi_xor(VI a, VI b)
{
    return _mm512_xor_si512(a, b);
}
INLINE VI vi_add16(VI a, VI b)
{
    return _mm512_add_epi16(a, b);
}
INLINE VI vi_add32(VI a, VI b)
{
    return _mm512_add_epi32(a, b);
}
INLINE VI vi_madd(VI a, VI b)
{
    return _mm512_madd_epi16(a, b);
}
INLINE VI vi_maddubs(VI a, VI b)
{
    return _mm512_maddubs_epi16(a, b);
}
INLINE V vi_float(VI a)
{
    return _mm512_castsi512_ps(a);
}
INLINE V vi_convert(VI a)
{
    return _mm512_cvtepi32_ps(a);
}

/* 16 rows of a bf16 group: dwords of columns 0, 1 and of columns 2, 3. */
INLINE void split_bf16(VI *even, VI *odd, const uint8_t *w)
{
    const VI first = _mm512_setr_epi32(
            0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const VI second = _mm512_or_si512(first, vi_set1(1));
    const VI a = vi_load(w), b = vi_load(w + 64);
    *even = _mm512_permutex2var_epi32(a, first, b);
    *odd = _mm512_permutex2var_epi32(a, second, b);
}
#define rows_in_order(type, a) (a)

#include "kernels/x86/mat_fma.h"

void mote__kmat_init_avx512(mote_kernels *table)
{
    table->act_bytes = act_bytes;
    table->act_pack = act_pack;
    table->matmul = matmul;
    table->gate_up = gate_up;
}
