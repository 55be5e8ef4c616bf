/* SPDX-License-Identifier: MIT */
/* Rotary position embedding of the decoupled key (report section 2.1.1), with YaRN
 * (section 4.3; Peng et al., arXiv:2309.00071). */
#ifndef MOTE_MODEL_ROPE_H
#define MOTE_MODEL_ROPE_H
#include "model/config.h"

/* Angular frequencies [rope / 2], the factor on cos and sin, and the softmax scale. */
void mote__rope_init(
        const mote__config *c, double *inv_freq, float *mscale, float *softmax_scale);
/* cos and sin [rope / 2] of one position. */
void mote__rope_angles(const double *inv_freq, float mscale, uint32_t rope,
        uint32_t position, float *cos_out, float *sin_out);
#endif
