/* SPDX-License-Identifier: MIT */
/* One vector of floats of the width that the including file is compiled for (AVX-512:
 * 16, AVX2: 8, NEON: 4), with just the operations that simd_ops.h and simd_attend.h
 * need, so that each of them is written once. Everything is static: no two widths meet.
 */
#ifndef MOTE_KERNELS_SIMD_H
#define MOTE_KERNELS_SIMD_H
#include "kernels/mathfn.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__)
typedef __m512 vf;
enum { VW = 16 };

static inline __mmask16 v_mask(size_t n)
{
    return (__mmask16)((1u << n) - 1u);
}
static inline vf v_set1(float x)
{
    return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}
/* The first n < VW elements; the others are 0, and are not touched in memory. */
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(v_mask(n), p);
}
static inline void v_store_n(float *p, vf x, size_t n)
{
    _mm512_mask_storeu_ps(p, v_mask(n), x);
}
static inline vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
/* a * b + c */
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* The larger; `top` where x is NaN. */
static inline vf v_top(vf top, vf x)
{
    return _mm512_max_ps(x, top);
}
static inline int v_any_equal(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ) != 0;
}
static inline vf v_exp(vf x)
{
    return mote__exp_16(x);
}
/* 2 * VW bf16 values: those at even positions, and those at odd ones. */
static inline void v_bf16_pair(const uint16_t *p, vf *even, vf *odd)
{
    const __m512i x = _mm512_loadu_si512(p);
    *even = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
    *odd = _mm512_castsi512_ps(
            _mm512_and_si512(x, _mm512_set1_epi32((int32_t)0xffff0000u)));
}
/* VW e4m3 values / 256 (0x7f and 0xff are 480, not NaN): shifting the magnitude makes
 * fp16 of them, subnormals included, whatever the host has set to be flushed. */
static inline vf v_e4m3(const uint8_t *p)
{
    const __m256i x = _mm256_slli_epi16(
            _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p)), 8);
    return _mm512_cvtph_ps(_mm256_and_si256(
            _mm256_srai_epi16(x, 1), _mm256_set1_epi16((int16_t)0xbf80)));
}
static inline float v_sum(vf x)
{
    const __m256 a =
            _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
static inline float v_max(vf x)
{
    return _mm512_reduce_max_ps(x);
}
/* The sums of four vectors, side by side. */
static inline void v_sum4(float *p, vf a, vf b, vf c, vf d)
{
    const vf ab = v_add(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const vf cd = v_add(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const vf x =
            v_add(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 y =
            _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    _mm_storeu_ps(
            p, _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1)));
}

#elif defined(__AVX2__) && defined(__FMA__)
typedef __m256 vf;
enum { VW = 8 };

static inline __m256i v_mask(size_t n)
{
    return _mm256_cmpgt_epi32(
            _mm256_set1_epi32((int32_t)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf v_set1(float x)
{
    return _mm256_set1_ps(x);
}
static inline vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}
static inline vf v_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, v_mask(n));
}
static inline void v_store_n(float *p, vf x, size_t n)
{
    _mm256_maskstore_ps(p, v_mask(n), x);
}
static inline vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_top(vf top, vf x)
{
    return _mm256_max_ps(x, top);
}
static inline int v_any_equal(vf a, vf b)
{
    return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)) != 0;
}
static inline vf v_exp(vf x)
{
    return mote__exp_8(x);
}
static inline void v_bf16_pair(const uint16_t *p, vf *even, vf *odd)
{
    const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    *even = _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
    *odd = _mm256_castsi256_ps(
            _mm256_and_si256(x, _mm256_set1_epi32((int32_t)0xffff0000u)));
}
static inline vf v_e4m3(const uint8_t *p)
{
    const __m128i x = _mm_slli_epi16(
            _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)p)), 8);
    return _mm256_cvtph_ps(
            _mm_and_si128(_mm_srai_epi16(x, 1), _mm_set1_epi16((int16_t)0xbf80)));
}
static inline float v_sum(vf x)
{
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
static inline float v_max(vf x)
{
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}
static inline void v_sum4(float *p, vf a, vf b, vf c, vf d)
{
    const vf ab = v_add(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    const vf cd = v_add(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    const vf x =
            v_add(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    _mm_storeu_ps(
            p, _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)));
}

#elif defined(__aarch64__)
typedef float32x4_t vf;
enum { VW = 4 };

static inline vf v_set1(float x)
{
    return vdupq_n_f32(x);
}
static inline vf v_load(const float *p)
{
    return vld1q_f32(p);
}
static inline void v_store(float *p, vf x)
{
    vst1q_f32(p, x);
}
static inline vf v_load_n(const float *p, size_t n)
{
    float part[4] = {0};
    memcpy(part, p, n * sizeof *p);
    return vld1q_f32(part);
}
static inline void v_store_n(float *p, vf x, size_t n)
{
    float part[4];
    vst1q_f32(part, x);
    memcpy(p, part, n * sizeof *p);
}
static inline vf v_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
static inline vf v_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
static inline vf v_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
static inline vf v_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
static inline vf v_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
static inline vf v_top(vf top, vf x)
{
    return vmaxnmq_f32(top, x);
}
static inline int v_any_equal(vf a, vf b)
{
    return vmaxvq_u32(vceqq_f32(a, b)) != 0;
}
static inline vf v_exp(vf x)
{
    return mote__exp_4(x);
}
static inline void v_bf16_pair(const uint16_t *p, vf *even, vf *odd)
{
    const uint32x4_t x = vreinterpretq_u32_u16(vld1q_u16(p));
    *even = vreinterpretq_f32_u32(vshlq_n_u32(x, 16));
    *odd = vreinterpretq_f32_u32(vandq_u32(x, vdupq_n_u32(0xffff0000u)));
}
static inline vf v_e4m3(const uint8_t *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    const uint8x8_t b = vreinterpret_u8_u32(vdup_n_u32(four));
    const int16x4_t x = vreinterpret_s16_u16(vget_low_u16(vshll_n_u8(b, 8)));
    const uint16x4_t f =
            vand_u16(vreinterpret_u16_s16(vshr_n_s16(x, 1)), vdup_n_u16(0xbf80));
    return vcvt_f32_f16(vreinterpret_f16_u16(f));
}
static inline float v_sum(vf x)
{
    const float32x2_t y = vadd_f32(vget_low_f32(x), vget_high_f32(x));
    return vget_lane_f32(vpadd_f32(y, y), 0);
}
static inline float v_max(vf x)
{
    return vmaxnmvq_f32(x);
}
static inline void v_sum4(float *p, vf a, vf b, vf c, vf d)
{
    vst1q_f32(p, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}
#else
#error "no vector width for this target"
#endif

/* Into the second-level cache. A macro: gcc takes a function that only prefetches for
 * one without effect and drops it. */
#define V_PREFETCH(p) __builtin_prefetch((p), 0, 2)
#endif
