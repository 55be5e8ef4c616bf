/* SPDX-License-Identifier: MIT */
/* Where things lie in a block of the latent cache (the layout is stated in kernels.h).
 */
#ifndef MOTE_KERNELS_LATENT_H
#define MOTE_KERNELS_LATENT_H
#include "kernels/kernels.h"

/* 128 zeros still need an FP8 scale that divides. */
#define MOTE__LATENT_AMAX 1e-30f

typedef struct mote__latent {
    size_t c_row;     /* bytes of one token's latent */
    size_t pe_offset; /* of the rotary keys */
    size_t pe_row;    /* bytes of one token's rotary key */
    size_t scale_offset;
    size_t n_scales; /* per token; FP8 only */
    size_t bytes;    /* of the block */
} mote__latent;

static inline mote__latent mote__latent_of(
        uint32_t kv, uint32_t kv_lora_rank, uint32_t rope)
{
    const size_t c_size = kv == MOTE_K_KV_F32 ? 4u : kv == MOTE_K_KV_BF16 ? 2u : 1u;
    const size_t pe_size = kv == MOTE_K_KV_F32 ? 4u : 2u;
    mote__latent l;
    l.c_row = kv_lora_rank * c_size;
    l.pe_row = rope * pe_size;
    l.n_scales = kv == MOTE_K_KV_FP8 ? ((size_t)kv_lora_rank + 127u) / 128u : 0u;
    /* 64 rows of whole bytes: each array is a multiple of 64 by itself. */
    l.pe_offset = MOTE_KV_BLOCK * l.c_row;
    l.scale_offset = l.pe_offset + MOTE_KV_BLOCK * l.pe_row;
    l.bytes = l.scale_offset + MOTE_KV_BLOCK * l.n_scales * sizeof(float);
    return l;
}
#endif
