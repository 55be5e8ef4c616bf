/* SPDX-License-Identifier: MIT */
/* Experts that do not all fit in memory: a cache of whole experts, filled piece by
 * piece by file/reads.h, for one open pack.
 *
 * Invariants: a buffer that a session has begun is pinned until it ends the wave; a
 * session that waits for room holds no pins, so sessions cannot lock each other out;
 * the bytes allocated never exceed what was given at opening. Every unit read is
 * checked against its checksum; a failed read fails the sessions that wait for it and
 * is tried again when the expert is next wanted. */
#ifndef MOTE_MODEL_STREAM_H
#define MOTE_MODEL_STREAM_H
#include "file/pack_file.h"
#include "file/reads.h"
#include "model/net.h"
#include "model/units.h"
#include "mote/model.h"

typedef struct mote__stream mote__stream;

/* cache_bytes: memory for experts. All pointers are borrowed for the stream's life. */
typedef struct mote__stream_setup {
    const mote__pack_file *pack;
    const mote__layout *layout; /* of the whole pack */
    const mote__units *units;
    const uint64_t *hashes, *places; /* places NULL: not compressed */
    uint64_t base;                   /* of the weights in the file */
    uint64_t cache_bytes;
    uint32_t n_experts, experts_per_token;
    const mote__file *direct; /* the pack, read past the page cache; NULL: not */
    uint32_t reading;         /* MOTE_READING_... */
} mote__stream_setup;

/* Bytes that a cached expert takes. */
uint64_t mote__stream_expert_bytes(const mote__units *units);
/* Bytes beside the cached experts: tables, and what the readers need. */
uint64_t mote__stream_overhead(const mote__units *units, const uint64_t *places,
        uint32_t n_layers, uint32_t n_experts);
mote_status mote__stream_open(mote__stream **out, const mote__stream_setup *setup,
        mote__memory *m, mote_error *err);
void mote__stream_close(mote__stream *s);
const mote__expert_source *mote__stream_source(const mote__stream *s);
void mote__stream_stats(mote__stream *s, mote_stream_stats *stats);
#endif
