/* SPDX-License-Identifier: MIT */
/* CPU features that kernels depend on. A variant may use exactly what its flag implies. */
#ifndef MOTE_KERNELS_CPU_FLAGS_H
#define MOTE_KERNELS_CPU_FLAGS_H
#define MOTE_CPU_AVX2 1u       /* AVX2 + FMA + F16C + BMI2 */
#define MOTE_CPU_AVX512 2u     /* AVX-512 F, BW, VL, DQ (implies AVX2) */
#define MOTE_CPU_AVX512BF16 4u /* + VBMI, BF16, VNNI (implies AVX512) */
#define MOTE_CPU_NEON 8u       /* AArch64 baseline */
#define MOTE_CPU_NEON_DOT 16u  /* + dot product, bf16, i8mm */
#endif
