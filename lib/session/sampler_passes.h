/* SPDX-License-Identifier: MIT */
/* The sampler's passes over a whole vocabulary. Maxima and sums are kept in a fixed
 * number of lanes and nothing is contracted, so that every variant gives the same bits.
 */
#ifndef MOTE_SESSION_SAMPLER_PASSES_H
#define MOTE_SESSION_SAMPLER_PASSES_H
#include <stdint.h>

#define MOTE_SAMPLER_BLOCK 128u /* logits that share a maximum and a sum */

static inline uint32_t mote__sampler_blocks(uint32_t n)
{
    return n / MOTE_SAMPLER_BLOCK + (n % MOTE_SAMPLER_BLOCK != 0);
}

typedef struct mote__sampler_passes {
    /* Copy; 1 when NaN or +INFINITY was among the values. */
    int (*copy)(float *dst, const float *src, uint32_t n);
    /* Maximum of each block, and of all; -INFINITY for none. Never sees NaN. */
    float (*peaks)(float *peaks, const float *x, uint32_t n);
    /* w[i] = exp((x[i] - max) * inverse), 0 where that would be subnormal, with a
     * relative error below 3e-7; x[i] <= max < INFINITY. The sum of each block (fp32),
     * and of all, blocks added as doubles: the error does not grow with n. w and sums
     * may be NULL. */
    double (*exponentials)(float *w, float *sums, const float *x, uint32_t n, float max,
            float inverse);
} mote__sampler_passes;

/* The widest variant for MOTE_CPU_... flags. */
const mote__sampler_passes *mote__sampler_passes_of(uint32_t cpu_flags);
#endif
