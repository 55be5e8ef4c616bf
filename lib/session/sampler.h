/* SPDX-License-Identifier: MIT */
/* From logits to a token.
 *
 * The order of operations is that of mote/sampler.h. Everything that a call needs is
 * allocated by open and configure: sampling allocates nothing. Ties are always broken
 * towards the lower id, so the kept set and the drawn token depend on logits, options,
 * history, mask and (seed, index) alone, and not on the machine.
 *
 * The generator is counter-based: draw number `index` is a function of seed and index,
 * and every successful sample call takes exactly one draw, whether it needs it or not
 * (greedy too). Sampling ahead for drafts and setting the state back is therefore
 * exact. */
#ifndef MOTE_SESSION_SAMPLER_H
#define MOTE_SESSION_SAMPLER_H
#include "mote/sampler.h"
#include "base/memory.h"

typedef struct mote__sampler mote__sampler;

/* What a snapshot keeps: 16 bytes. */
typedef struct mote__sampler_state {
    uint64_t seed;  /* as in the options */
    uint64_t index; /* draws taken so far */
} mote__sampler_state;

/* Bytes that mote__sampler_open allocates (MOTE_MEM_SCRATCH). */
size_t mote__sampler_bytes(uint32_t vocab_size);
/* A greedy sampler with seed 0. `m` may be NULL and must outlive the sampler. */
mote_status mote__sampler_open(
        mote__sampler **out, mote__memory *m, uint32_t vocab_size, mote_error *err);
void mote__sampler_close(mote__sampler *s, mote__memory *m);

/* Take options: a whole struct of this version (as mote__options_take gives it), or
 * NULL for greedy. The bias is copied; an id named twice gets both values. Allocates
 * only where the bias is longer than any before. keep_state != 0 leaves the generator
 * where it is; otherwise it is seeded from the options. On failure nothing has changed.
 */
mote_status mote__sampler_configure(mote__sampler *s, const mote_sampler_options *o,
        int keep_state, mote_error *err);

/* Choose a token.
 * logits   [vocab_size], not modified; -INFINITY is allowed, NaN and +INFINITY are not
 * history  tokens so far, oldest first: the last penalty_tokens of them count
 * mask     NULL, or (vocab_size + 31) / 32 words: bit (id & 31) of word id / 32 is 1
 * where the token is allowed logprob  may be NULL; else receives the natural
 * log-probability of the chosen token under softmax(logits) as they were given
 * MOTE_E_NUMERIC, taking no draw, for NaN or +INFINITY or when no token is left. */
mote_status mote__sampler_sample(mote__sampler *s, const float *logits,
        const int32_t *history, uint32_t n_history, const uint32_t *mask,
        int32_t *token, float *logprob, mote_error *err);

void mote__sampler_state_get(const mote__sampler *s, mote__sampler_state *state);
void mote__sampler_state_set(mote__sampler *s, const mote__sampler_state *state);
/* Draw number `index` of `seed`: uniform in [0, 1), 53 bits. */
double mote__sampler_uniform(uint64_t seed, uint64_t index);
#endif
