/* SPDX-License-Identifier: MIT */
#include "model/rope.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

/* YaRN's attention temperature: 1 for no scaling. */
static double yarn_mscale(double factor, double mscale)
{
    return factor <= 1 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

/* Dimension (in pairs) whose wavelength turns `rotations` times within the original
 * context. */
static double correction_dim(const mote__config *c, double rotations)
{
    return c->qk_rope_head_dim *
           log(c->original_max_position_embeddings / (rotations * 2 * PI)) /
           (2 * log(c->rope_theta));
}

void mote__rope_init(
        const mote__config *c, double *inv_freq, float *mscale, float *softmax_scale)
{
    uint32_t half = c->qk_rope_head_dim / 2;
    double scale = 1 / sqrt((double)c->qk_nope_head_dim + c->qk_rope_head_dim);
    double low = 0, high = 0;
    *mscale = 1;
    if (c->yarn) {
        low = floor(correction_dim(c, c->beta_fast));
        high = ceil(correction_dim(c, c->beta_slow));
        low = low < 0 ? 0 : low;
        high = high > c->qk_rope_head_dim - 1.0 ? c->qk_rope_head_dim - 1.0 : high;
        if (low == high)
            high += 0.001; /* as the reference: no division by zero */
        /* Both corrections are needed: engines have applied one and forgotten the
         * other. */
        double all = yarn_mscale(c->rope_factor, c->mscale_all_dim);
        *mscale = (float)(yarn_mscale(c->rope_factor, c->mscale) / all);
        if (c->mscale_all_dim != 0)
            scale *= all * all;
    }
    for (uint32_t j = 0; j < half; j++) {
        double f = pow(c->rope_theta, -2.0 * j / c->qk_rope_head_dim);
        if (c->yarn) {
            double ramp = (j - low) / (high - low);
            ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
            /* fast dimensions keep their frequency, slow ones are interpolated */
            f = f / c->rope_factor * ramp + f * (1 - ramp);
        }
        inv_freq[j] = f;
    }
    *softmax_scale = (float)scale;
}

void mote__rope_angles(const double *inv_freq, float mscale, uint32_t rope,
        uint32_t position, float *cos_out, float *sin_out)
{
    for (uint32_t j = 0; j < rope / 2; j++) {
        /* In double: at position 100,000 an fp32 angle would be off by 0.006 rad. */
        double angle = position * inv_freq[j];
        cos_out[j] = (float)cos(angle) * mscale;
        sin_out[j] = (float)sin(angle) * mscale;
    }
}
