/* SPDX-License-Identifier: MIT */
/* Filling an arena: from a checkpoint, or with random weights. */
#ifndef MOTE_MODEL_LOAD_H
#define MOTE_MODEL_LOAD_H
#include "base/pool.h"
#include "model/layout.h"

/* Read every slot's tensor and repack it into panels, in parallel. The progress
 * callback is called on the calling thread; a non-zero answer gives MOTE_E_CANCELLED.
 */
mote_status mote__load(uint8_t *arena, const mote__layout *l,
        const mote__checkpoint *ck, mote__pool *pool, mote_progress_fn progress,
        void *user, mote_error *err);
/* Load one slot (a whole stack) into data/scales. work: mote__load_work_bytes. */
mote_status mote__load_slot(uint8_t *data, float *scales, const mote__slot *s,
        const mote__checkpoint *ck, void *work, mote_error *err);
size_t mote__load_work_bytes(const mote__slot *s);

/* Random values of a trained model's scale: weights ~ U(-1,1) sqrt(3 / n_cols), norms
 * near
 * 1. The bits depend on seed and slot alone. */
void mote__load_random(
        uint8_t *arena, const mote__layout *l, mote__pool *pool, uint64_t seed);
/* One slot (or a part of one). */
void mote__load_random_slot(
        uint8_t *data, float *scales, const mote__slot *s, uint64_t seed);
#endif
