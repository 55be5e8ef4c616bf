/* SPDX-License-Identifier: MIT */
/* How much each input column of each matrix matters: the mean square of what flows
 * through it over a text. Quantisation weighs its errors by it. */
#ifndef MOTE_MODEL_IMPORTANCE_H
#define MOTE_MODEL_IMPORTANCE_H
#include "model/model.h"

typedef struct mote__importance mote__importance;

mote_status mote__importance_open(
        mote__importance **out, const mote__layout *l, mote_error *err);
void mote__importance_close(mote__importance *i);
/* A mote__observe_fn; user is the importance. */
void mote__importance_observe(void *user, uint32_t layer, uint32_t role,
        uint32_t expert, const float *x, size_t ldx, uint32_t k, uint32_t n);
mote_status mote__importance_save(
        const mote__importance *i, const char *path, mote_error *err);
mote_status mote__importance_load(mote__importance **out, const mote__layout *l,
        const char *path, mote_error *err);
/* [n_cols] for a slot, or NULL where nothing was seen. */
const float *mote__importance_of(const mote__importance *i, uint32_t slot);
#endif
