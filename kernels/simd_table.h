/* SPDX-License-Identifier: MIT */
/* The table entries of simd_ops.h, simd_latent.h and simd_attend.h. */
#ifndef MOTE_KERNELS_SIMD_TABLE_H
#define MOTE_KERNELS_SIMD_TABLE_H
#include "kernels/kernels_internal.h"
#include "kernels/simd_attend.h"
#include "kernels/simd_ops.h"

static void simd_table(mote_kernels *table)
{
    table->rmsnorm = ops_rmsnorm;
    table->rope = ops_rope;
    table->axpy = ops_axpy;
    table->scale_add = ops_scale_add;
    table->soften = ops_soften;
    table->router = ops_router;
    table->logsumexp = ops_logsumexp;
    table->argmax = ops_argmax;
    table->kv_store = latent_store;
    table->kv_load = latent_load;
    table->attend_scratch = attend_scratch;
    table->attend = attend;
    table->attend_bf16 = attend;
}
#endif
