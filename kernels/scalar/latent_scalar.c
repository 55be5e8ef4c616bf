/* SPDX-License-Identifier: MIT */
/* Writing and reading one token of the latent cache. */
#include "kernels/latent.h"
#include "kernels/scalar/ops_scalar.h"

#include <math.h>
#include <string.h>

size_t mote_k_kv_block_bytes(uint32_t kv, uint32_t kv_lora_rank, uint32_t rope)
{
    return mote__latent_of(kv, kv_lora_rank, rope).bytes;
}

static void store_bf16(uint16_t *dst, const float *src, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        dst[i] = mote_k_f32_to_bf16(src[i]);
}

static void load_bf16(float *dst, const uint16_t *src, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        dst[i] = mote_k_bf16_to_f32(src[i]);
}

/* One scale per 128 values; a NaN makes the scale NaN,
 * an infinity makes it infinite, so that neither is lost. */
static void store_fp8(uint8_t *dst, float *scales, const float *src, uint32_t n)
{
    for (uint32_t begin = 0; begin < n; begin += 128) {
        const uint32_t end = n - begin < 128 ? n : begin + 128;
        float amax = MOTE__LATENT_AMAX;
        for (uint32_t i = begin; i < end; i++)
            amax = amax != amax || fabsf(src[i]) <= amax ? amax : fabsf(src[i]);
        const float scale = amax / 448.0f;
        scales[begin / 128] = scale;
        for (uint32_t i = begin; i < end; i++)
            dst[i] = mote_k_f32_to_e4m3(src[i] / scale);
    }
}

void mote__kv_store_scalar(void *block, uint32_t kv, uint32_t slot, const float *c_kv,
        uint32_t kv_lora_rank, const float *k_pe, uint32_t rope)
{
    const mote__latent l = mote__latent_of(kv, kv_lora_rank, rope);
    char *base = block;
    void *c = base + slot * l.c_row, *pe = base + l.pe_offset + slot * l.pe_row;
    float *scales = (float *)(void *)(base + l.scale_offset) + slot * l.n_scales;
    switch (kv) {
    case MOTE_K_KV_F32:
        memcpy(c, c_kv, l.c_row);
        memcpy(pe, k_pe, l.pe_row);
        break;
    case MOTE_K_KV_BF16:
        store_bf16(c, c_kv, kv_lora_rank);
        store_bf16(pe, k_pe, rope);
        break;
    default:
        store_fp8(c, scales, c_kv, kv_lora_rank);
        store_bf16(pe, k_pe, rope);
        break;
    }
}

void mote__kv_load_scalar(float *c_kv, float *k_pe, const void *block, uint32_t kv,
        uint32_t slot, uint32_t kv_lora_rank, uint32_t rope)
{
    const mote__latent l = mote__latent_of(kv, kv_lora_rank, rope);
    const char *base = block;
    const void *c = base + slot * l.c_row, *pe = base + l.pe_offset + slot * l.pe_row;
    const float *scales =
            (const float *)(const void *)(base + l.scale_offset) + slot * l.n_scales;
    switch (kv) {
    case MOTE_K_KV_F32:
        memcpy(c_kv, c, l.c_row);
        memcpy(k_pe, pe, l.pe_row);
        break;
    case MOTE_K_KV_BF16:
        load_bf16(c_kv, c, kv_lora_rank);
        load_bf16(k_pe, pe, rope);
        break;
    default:
        for (uint32_t i = 0; i < kv_lora_rank; i++)
            c_kv[i] = mote_k_e4m3_to_f32(((const uint8_t *)c)[i]) * scales[i / 128];
        load_bf16(k_pe, pe, rope);
        break;
    }
}
