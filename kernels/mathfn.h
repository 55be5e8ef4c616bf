/* SPDX-License-Identifier: MIT */
/* exp, the one transcendental function of the kernels: range reduction to +-ln(2)/2 and
 * a polynomial of degree 6 (about 1.5 ulp), in scalar form and for each vector width
 * that the including file is compiled for. Results below 2^-126 are 0; NaN stays NaN.
 * The forms differ from each other by rounding only (vectors fuse multiply and add). */
#ifndef MOTE_KERNELS_MATHFN_H
#define MOTE_KERNELS_MATHFN_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MOTE__EXP_HIGH 88.722839f  /* above: infinity */
#define MOTE__EXP_LOW (-87.33654f) /* below: 0 */
#define MOTE__LOG2E 1.44269504f
#define MOTE__LN2_HIGH 0.693359375f /* few bits, so that n * it is exact */
#define MOTE__LN2_LOW (-2.12194440e-4f)
#define MOTE__EXP_P0 1.9875691500e-4f
#define MOTE__EXP_P1 1.3981999507e-3f
#define MOTE__EXP_P2 8.3334519073e-3f
#define MOTE__EXP_P3 4.1665795894e-2f
#define MOTE__EXP_P4 1.6666665459e-1f
#define MOTE__EXP_P5 5.0000001201e-1f

static inline float mote__exp(float x)
{
    if (!(x >= MOTE__EXP_LOW))
        return x < MOTE__EXP_LOW ? 0.0f : x;
    if (x > MOTE__EXP_HIGH)
        return INFINITY;
    const float y = x * MOTE__LOG2E;
    const int32_t n = (int32_t)(y + (y < 0.0f ? -0.5f : 0.5f));
    const float r = (x - (float)n * MOTE__LN2_HIGH) - (float)n * MOTE__LN2_LOW;
    float p = MOTE__EXP_P0;
    p = p * r + MOTE__EXP_P1;
    p = p * r + MOTE__EXP_P2;
    p = p * r + MOTE__EXP_P3;
    p = p * r + MOTE__EXP_P4;
    p = p * r + MOTE__EXP_P5;
    p = p * (r * r) + r + 1.0f;
    uint32_t bits; /* times 2^n, through the exponent */
    memcpy(&bits, &p, sizeof bits);
    bits += (uint32_t)n << 23;
    memcpy(&p, &bits, sizeof p);
    return p;
}

static inline float mote__silu(float x)
{
    return x / (1.0f + mote__exp(-x));
}

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

static inline __m256 mote__exp_8(__m256 x)
{
    /* The order of operands lets a NaN in x through. */
    __m256 c = _mm256_max_ps(_mm256_set1_ps(MOTE__EXP_LOW), x);
    c = _mm256_min_ps(_mm256_set1_ps(MOTE__EXP_HIGH), c);
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(c, _mm256_set1_ps(MOTE__LOG2E)),
            _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(MOTE__LN2_HIGH), c);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(MOTE__LN2_LOW), r);
    __m256 p = _mm256_set1_ps(MOTE__EXP_P0);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(MOTE__EXP_P1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(MOTE__EXP_P2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(MOTE__EXP_P3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(MOTE__EXP_P4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(MOTE__EXP_P5));
    p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
    const __m256i e = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), e));
    p = _mm256_andnot_ps(
            _mm256_cmp_ps(x, _mm256_set1_ps(MOTE__EXP_LOW), _CMP_LT_OQ), p);
    return _mm256_blendv_ps(p, _mm256_set1_ps(INFINITY),
            _mm256_cmp_ps(x, _mm256_set1_ps(MOTE__EXP_HIGH), _CMP_GT_OQ));
}
#endif

#if defined(__AVX512F__)
static inline __m512 mote__exp_16(__m512 x)
{
    __m512 c = _mm512_max_ps(_mm512_set1_ps(MOTE__EXP_LOW), x);
    c = _mm512_min_ps(_mm512_set1_ps(MOTE__EXP_HIGH), c);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(c, _mm512_set1_ps(MOTE__LOG2E)),
            _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(MOTE__LN2_HIGH), c);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(MOTE__LN2_LOW), r);
    __m512 p = _mm512_set1_ps(MOTE__EXP_P0);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(MOTE__EXP_P1));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(MOTE__EXP_P2));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(MOTE__EXP_P3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(MOTE__EXP_P4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(MOTE__EXP_P5));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    p = _mm512_scalef_ps(p, n);
    p = _mm512_mask_mov_ps(p,
            _mm512_cmp_ps_mask(x, _mm512_set1_ps(MOTE__EXP_LOW), _CMP_LT_OQ),
            _mm512_setzero_ps());
    return _mm512_mask_mov_ps(p,
            _mm512_cmp_ps_mask(x, _mm512_set1_ps(MOTE__EXP_HIGH), _CMP_GT_OQ),
            _mm512_set1_ps(INFINITY));
}
#endif

#if defined(__aarch64__)
#include <arm_neon.h>

static inline float32x4_t mote__exp_4(float32x4_t x)
{
    float32x4_t c = vmaxq_f32(x, vdupq_n_f32(MOTE__EXP_LOW));
    c = vminq_f32(c, vdupq_n_f32(MOTE__EXP_HIGH));
    const float32x4_t n = vrndnq_f32(vmulq_f32(c, vdupq_n_f32(MOTE__LOG2E)));
    float32x4_t r = vfmsq_f32(c, n, vdupq_n_f32(MOTE__LN2_HIGH));
    r = vfmsq_f32(r, n, vdupq_n_f32(MOTE__LN2_LOW));
    float32x4_t p = vdupq_n_f32(MOTE__EXP_P0);
    p = vfmaq_f32(vdupq_n_f32(MOTE__EXP_P1), p, r);
    p = vfmaq_f32(vdupq_n_f32(MOTE__EXP_P2), p, r);
    p = vfmaq_f32(vdupq_n_f32(MOTE__EXP_P3), p, r);
    p = vfmaq_f32(vdupq_n_f32(MOTE__EXP_P4), p, r);
    p = vfmaq_f32(vdupq_n_f32(MOTE__EXP_P5), p, r);
    p = vfmaq_f32(vaddq_f32(r, vdupq_n_f32(1.0f)), p, vmulq_f32(r, r));
    const int32x4_t e = vshlq_n_s32(vcvtnq_s32_f32(n), 23);
    p = vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), e));
    p = vbslq_f32(vcltq_f32(x, vdupq_n_f32(MOTE__EXP_LOW)), vdupq_n_f32(0.0f), p);
    return vbslq_f32(
            vcgtq_f32(x, vdupq_n_f32(MOTE__EXP_HIGH)), vdupq_n_f32(INFINITY), p);
}
#endif
#endif
