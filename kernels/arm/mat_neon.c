/* SPDX-License-Identifier: MIT */
/* Matrix kernels for every AArch64: fp32 for all forms but INT8. */
#include "kernels/arm/mat_neon.h"

static size_t act_bytes(uint32_t form, uint32_t k)
{
    return form == MOTE_K_ACT_INT8 ? int8_act_bytes(k)
                                   : round64(mote_k_pad(k) * sizeof(float));
}

static void act_pack(
        void *dst, uint32_t form, const float *x, size_t ldx, uint32_t k, uint32_t n)
{
    const size_t bytes = act_bytes(form, k);
    for (uint32_t i = 0; i < n; i++, x += ldx) {
        uint8_t *row = (uint8_t *)dst + bytes * i;
        float *f = (float *)(void *)row;
        if (form == MOTE_K_ACT_INT8) {
            pack_int8(row, x, k);
            continue;
        }
        memset(row, 0, bytes);
        if (form == MOTE_K_ACT_BF16)
            for (uint32_t c = 0; c < k; c++)
                f[c] = mote_k_bf16_to_f32(mote_k_f32_to_bf16(x[c]));
        else
            memcpy(f, x, k * sizeof *f);
    }
}

static void compute(const job *j, totals *total)
{
    memset(total, 0, j->n * sizeof *total);
    if (j->form == MOTE_K_ACT_INT8)
        compute_int8(j, total);
    else
        compute_floats(j, total);
}

void mote__kmat_init_neon(mote_kernels *table)
{
    table->act_bytes = act_bytes;
    table->act_pack = act_pack;
    table->matmul = matmul;
    table->gate_up = gate_up;
}
