/* SPDX-License-Identifier: MIT */
/**
 * @file sampler.h
 * @defgroup sampler Choosing the next token
 *
 * Order of operations: logit bias, repetition / presence / frequency penalties,
 * constraint mask, temperature, top-k, top-p, min-p, draw. Same seed, same logits: same
 * tokens, on every run.
 *
 * @code
 * mote_sampler_options s = MOTE_SAMPLER_OPTIONS_INIT;
 * s.temperature = 0.7f;
 * s.top_p = 0.95f;
 * s.seed = 42;
 * @endcode
 * @{
 */
#ifndef MOTE_SAMPLER_H
#define MOTE_SAMPLER_H
#include "common.h"
MOTE_BEGIN_DECLS

/** How to choose. All zero: greedy. */
typedef struct mote_sampler_options {
    uint32_t struct_size;       /**< set by ::MOTE_SAMPLER_OPTIONS_INIT */
    float temperature;          /**< 0: greedy (the first highest logit) */
    uint32_t top_k;             /**< keep the k likeliest; 0: all */
    float top_p;                /**< keep the likeliest up to this mass; 0 or 1: all */
    float min_p;                /**< drop below this share of the likeliest; 0: none */
    float repetition_penalty;   /**< divides positive, multiplies negative logits of
                                     seen tokens; 0 or 1: none */
    float presence_penalty;     /**< subtracted once for a seen token */
    float frequency_penalty;    /**< subtracted for each time a token was seen */
    uint32_t penalty_tokens;    /**< how many of the last tokens count; 0: 256 */
    uint32_t n_bias;            /**< length of the two arrays below */
    uint64_t seed;              /**< of the generator */
    const int32_t *bias_tokens; /**< token ids; borrowed for the call */
    const float *bias_values;   /**< added to their logits; -INFINITY bans */
} mote_sampler_options;
/** Initialiser that sets struct_size. */
#define MOTE_SAMPLER_OPTIONS_INIT MOTE_STRUCT_INIT(mote_sampler_options)

MOTE_END_DECLS
/** @} */
#endif
