/* SPDX-License-Identifier: MIT */
/* kv_store and kv_load without branches, so that the compiler makes vectors of it. Bits
 * are those of the scalar form: quantisation is exact in every variant. */
#ifndef MOTE_KERNELS_SIMD_LATENT_H
#define MOTE_KERNELS_SIMD_LATENT_H
#include "kernels/latent.h"
#include "kernels/scalar/ops_scalar.h"
#include "kernels/simd.h"

#include <string.h>

static inline uint32_t latent_bits(float x)
{
    uint32_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static inline float latent_float(uint32_t b)
{
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}

static void latent_store_bf16(
        uint16_t *restrict dst, const float *restrict src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t b = latent_bits(src[i]);
        const uint32_t rounded = (b + 0x7fffu + (b >> 16 & 1u)) >> 16;
        const uint32_t nan = b >> 16 | 0x40u;
        dst[i] = (uint16_t)((b & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
    }
}

static inline uint32_t latent_e4m3(float v)
{
    const uint32_t b = latent_bits(v), mag = b & 0x7fffffffu, sign = b >> 24 & 0x80u;
    const uint32_t low = latent_bits(latent_float(mag) + 0x1.8p14f) & 0x0fu;
    uint32_t code = (mag + 0x7ffffu + (mag >> 20 & 1u) - (120u << 23)) >> 20;
    code = mag < 0x3c800000u ? low : code;    /* below 2^-6: a multiple of 2^-9 */
    code = mag >= 0x43e00000u ? 0x7eu : code; /* 448 and above */
    code = mag > 0x7f800000u ? 0x7fu : code;
    return sign | code;
}

static void latent_store_fp8(uint8_t *restrict dst, float *restrict scales,
        const float *restrict src, size_t n)
{
    for (size_t begin = 0; begin < n; begin += 128) {
        const size_t m = n - begin < 128 ? n - begin : 128;
        uint32_t amax = latent_bits(MOTE__LATENT_AMAX);
        for (size_t i = 0; i < m; i++) {
            const uint32_t mag = latent_bits(src[begin + i]) & 0x7fffffffu;
            amax = mag > amax ? mag : amax;
        }
        const float scale = latent_float(amax) / 448.0f;
        scales[begin / 128] = scale;
        for (size_t i = 0; i < m; i++)
            dst[begin + i] = (uint8_t)latent_e4m3(src[begin + i] / scale);
    }
}

static void latent_store(void *block, uint32_t kv, uint32_t slot, const float *c_kv,
        uint32_t kv_lora_rank, const float *k_pe, uint32_t rope)
{
    const mote__latent l = mote__latent_of(kv, kv_lora_rank, rope);
    char *base = block;
    void *c = base + slot * l.c_row, *pe = base + l.pe_offset + slot * l.pe_row;
    if (kv == MOTE_K_KV_F32) {
        memcpy(c, c_kv, l.c_row);
        memcpy(pe, k_pe, l.pe_row);
        return;
    }
    if (kv == MOTE_K_KV_BF16)
        latent_store_bf16(c, c_kv, kv_lora_rank);
    else
        latent_store_fp8(c,
                (float *)(void *)(base + l.scale_offset) + slot * l.n_scales, c_kv,
                kv_lora_rank);
    latent_store_bf16(pe, k_pe, rope);
}

static void latent_load_bf16(
        float *restrict dst, const uint16_t *restrict src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = latent_float((uint32_t)src[i] << 16);
}

static void latent_load_fp8(float *restrict dst, const uint8_t *restrict src,
        const float *restrict scales, size_t n)
{
    for (size_t begin = 0; begin < n; begin += 128) {
        const size_t end = n - begin < 128 ? n : begin + 128;
        const float scale = scales[begin / 128];
        const vf factor = v_set1(scale * 256.0f);
        size_t i = begin;
        for (; i + VW <= end; i += VW)
            v_store(dst + i, v_mul(v_e4m3(src + i), factor));
        for (; i < end; i++)
            dst[i] = mote_k_e4m3_to_f32(src[i]) * scale;
    }
}

static void latent_load(float *c_kv, float *k_pe, const void *block, uint32_t kv,
        uint32_t slot, uint32_t kv_lora_rank, uint32_t rope)
{
    const mote__latent l = mote__latent_of(kv, kv_lora_rank, rope);
    const char *base = block;
    const void *c = base + slot * l.c_row, *pe = base + l.pe_offset + slot * l.pe_row;
    if (kv == MOTE_K_KV_F32) {
        memcpy(c_kv, c, l.c_row);
        memcpy(k_pe, pe, l.pe_row);
        return;
    }
    if (kv == MOTE_K_KV_BF16)
        latent_load_bf16(c_kv, c, kv_lora_rank);
    else
        latent_load_fp8(c_kv, c,
                (const float *)(const void *)(base + l.scale_offset) +
                        slot * l.n_scales,
                kv_lora_rank);
    latent_load_bf16(k_pe, pe, rope);
}
#endif
