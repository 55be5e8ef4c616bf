/* SPDX-License-Identifier: MIT */
/* An opened model: a network with its memory, workers and tokenizer. Immutable once
 * opened; sessions borrow it. */
#ifndef MOTE_MODEL_MODEL_H
#define MOTE_MODEL_MODEL_H
#include "base/memory.h"
#include "base/pool.h"
#include "model/net.h"
#include "mote/model.h"

struct mote_model {
    mote__memory memory;
    mote__pool *pool;
    mote__net net;
    mote__layout layout;
    uint8_t *arena; /* where slots lie: allocated, or a mapping owned by `backing` */
    uint64_t arena_size; /* allocated by us; 0: not ours */
    void *backing;       /* what else must be closed (a pack), with backing_close */
    void (*backing_close)(void *backing);
    uint64_t mapped_bytes;
    const struct mote__file *mapped; /* the file that arena is part of, or NULL */
    struct mote__stream *stream;     /* experts come from here; NULL: all in memory */
    uint64_t resident_bytes;         /* weights that always stay */
    mote_tokenizer *tokenizer;       /* or NULL */
    float default_temperature, default_top_p;
    uint32_t mtp_modules; /* in the checkpoint */
    uint64_t fingerprint; /* set before binding: kept */
    mote_log_fn log;
    void *log_user;
    uint8_t *probe; /* buffer of the bandwidth measurement */
    size_t probe_size;
};

/* Steps of opening, in order. options are complete (mote__options_take). */
/* Memory, kernels and workers. On failure *out is NULL. */
mote_status mote__model_begin(
        mote_model **out, const mote_model_options *o, mote_error *err);
/* Configuration is in net.config and layout is set: allocate the arena (unless given),
 * so that it can be filled. */
mote_status mote__model_allocate(mote_model *m, mote_error *err);
/* The arena is filled: bind it. fingerprint covers configuration and samples of every
 * weight. */
mote_status mote__model_bind(mote_model *m, mote_error *err);
/* Before each pass: touching a mapping of a file that has been cut off is a signal. */
mote_status mote__model_intact(const mote_model *m, mote_error *err);
void mote__model_close(mote_model *m);

/* From a checkpoint that is open: configuration, layout, weights. */
mote_status mote__model_load(mote_model *m, const mote__checkpoint *ck,
        const mote_model_options *o, mote_error *err);
/* Shared with planning: parse config.json and lay out. */
mote_status mote__model_configure(mote__config *c, mote__layout *l,
        uint32_t *mtp_modules, const mote__checkpoint *ck, uint32_t mtp,
        mote_error *err);
/* Fill info from configuration and layout. */
void mote__model_describe(
        mote_model_info *info, const mote__config *c, const mote__layout *l);
/* Configuration of a published shape by name; 0 when unknown. */
int mote__preset(mote__config *out, const char *name);
const char *mote__preset_name(uint32_t index);
/* KV bytes of one context token. */
uint64_t mote__kv_token_bytes(const mote__config *c, uint32_t n_layers, uint32_t kv);
#endif
