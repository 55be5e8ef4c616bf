/* SPDX-License-Identifier: MIT */
#ifndef MOTE_SAMPLER_H
#define MOTE_SAMPLER_H
#include "common.h"
MOTE_BEGIN_DECLS
typedef struct mote_sampler_options {
    uint32_t struct_size;
    float temperature;
    uint32_t top_k;
    float top_p;
    float min_p;
    float repetition_penalty;
    float presence_penalty;
    float frequency_penalty;
    uint32_t penalty_tokens;
    uint32_t n_bias;
    uint64_t seed;
    const int32_t *bias_tokens;
    const float *bias_values;
} mote_sampler_options;
#define MOTE_SAMPLER_OPTIONS_INIT MOTE_STRUCT_INIT(mote_sampler_options)
MOTE_END_DECLS
#endif
