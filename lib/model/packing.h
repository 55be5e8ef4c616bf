/* SPDX-License-Identifier: MIT */
/* Checkpoint -> pack, and pack -> model. */
#ifndef MOTE_MODEL_PACKING_H
#define MOTE_MODEL_PACKING_H
#include "file/pack_file.h"
#include "model/model.h"
#include "mote/pack.h"

/* Write a pack of `path`'s checkpoint. options complete; memory stays below 1 GB for
 * any model. tokenizer: section 10 (lib/text/tokenizer_map.h), NULL: none. */
mote_status mote__pack_checkpoint(const mote__checkpoint *ck, const char *path,
        const mote_pack_options *o, const uint8_t *tokenizer, size_t n_tokenizer,
        mote_error *err);
/* Write a pack of random weights of a known shape (measurements). */
mote_status mote__pack_random(const mote__config *c, const char *path, uint32_t type,
        uint32_t expert_type, uint64_t seed, mote_progress_fn progress, void *user,
        mote_error *err);
/* Check every unit's checksum. */
mote_status mote__pack_verify(
        mote__pack_file *p, mote_progress_fn progress, void *user, mote_error *err);

/* Open: m is begun (mote__model_begin); `file` is taken over, also on failure. */
const mote__pack_file *mote__pack_of(const mote_model *m);
mote_status mote__pack_load(
        mote_model *m, mote__file *file, const mote_model_options *o, mote_error *err);
/* Configuration and layout of a pack, without weights. */
mote_status mote__pack_describe(const mote__pack_file *p, mote__config *c,
        mote__layout *l, uint32_t mtp, mote_error *err);
#endif
