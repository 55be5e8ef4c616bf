/* SPDX-License-Identifier: MIT */
#include "kernels/simd_table.h"

void mote__kops_init_neon(mote_kernels *table)
{
    simd_table(table);
}
