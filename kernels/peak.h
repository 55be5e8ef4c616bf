/* SPDX-License-Identifier: MIT */
/* How fast this machine multiplies and reads, measured with nothing but that: the
 * limits that speeds are compared with. */
#ifndef MOTE_KERNELS_PEAK_H
#define MOTE_KERNELS_PEAK_H
#include <stddef.h>
#include <stdint.h>

enum mote_k_peak { MOTE_K_PEAK_F32, MOTE_K_PEAK_BF16, MOTE_K_PEAK_INT8, MOTE_K_PEAKS };

/* Do about n rounds of independent products in registers with the widest instruction
 * that `flags` (MOTE_CPU_...) allow; returns the operations done (two per product).
 * *sink gets something that depends on all of them. BF16 and INT8 fall back to what the
 * ISA would use for such weights. */
uint64_t mote_k_peak_run(uint32_t flags, uint32_t kind, uint64_t n, float *sink);
/* Read n bytes (a multiple of 256) once; returns something that depends on all of them.
 */
uint64_t mote_k_read(uint32_t flags, const void *data, size_t n);
#endif
