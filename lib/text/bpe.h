/* SPDX-License-Identifier: MIT */
/* Byte-pair encoding over raw bytes: the lowest rank merges first, ties leftmost.
 *
 * Tables are immutable after opening, except `known`: for each token a hint whether its
 * own bytes encode to it alone, found when first needed; every thread would find the
 * same. Ids are unique, and every merge joins two tokens into the token of their joined
 * bytes. Merges of one rank make the same token. */
#ifndef MOTE_TEXT_BPE_H
#define MOTE_TEXT_BPE_H
#include "base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct mote__bpe_merge {
    uint64_t pair; /* left id << 32 | right id */
    uint32_t rank, id;
} mote__bpe_merge;

typedef struct mote__bpe {
    mote__memory *memory;
    /* Bytes of every token, by id. */
    uint8_t *blob;
    size_t blob_size;
    uint32_t (*span)[2]; /* [n_ids] offset, length; length 0: no token */
    size_t n_ids;
    size_t longest; /* bytes of the longest token that text can reach */
    int32_t byte_id[256];
    /* Open addressing, power-of-two sizes, at most half full. The seed is no part of
     * any result; it keeps a file from choosing keys that all fall together. */
    uint64_t seed;
    uint64_t *tokens; /* high half of the hash << 32 | id + 1; 0: free */
    size_t tokens_size;
    mote__bpe_merge *merges; /* rank UINT32_MAX: free */
    size_t merges_size;
    uint64_t *filter;   /* a bit for each pair that may merge: most pairs do not */
    size_t filter_size; /* a power of two */
    mote__bpe_merge
            *byte_pairs;    /* [256][256] merges of single bytes; rank UINT32_MAX */
    _Atomic uint8_t *known; /* [n_ids] 0 not yet, 1 encodes to itself, 2 does not */
    bool ignore_merges;     /* a piece that is a token is never cut */
    bool ranks_are_ids;     /* of the token that a merge makes */
} mote__bpe;

/* Allocate the tables of tokens. 0, or -1 without memory; then mote__bpe_free() is still
 * due. */
int mote__bpe_init(mote__bpe *b, mote__memory *m, size_t n_ids, size_t blob_size,
        size_t n_tokens);
/* Allocate the tables of merges, once, before the first. The same. */
int mote__bpe_init_merges(mote__bpe *b, size_t n_merges);
void mote__bpe_free(mote__bpe *b);
/* Enter a token whose span is set among those text can reach. */
void mote__bpe_add_token(mote__bpe *b, uint32_t id);
/* Id of a token that text can reach, or -1. */
int32_t mote__bpe_find(const mote__bpe *b, const uint8_t *bytes, size_t n);
/* Enter a merge; -1 when the pair has one already. */
int mote__bpe_add_merge(
        mote__bpe *b, uint32_t left, uint32_t right, uint32_t rank, uint32_t id);
/* After the last merge. */
void mote__bpe_freeze(mote__bpe *b);

/* Where ids go, and one thread's work memory; zeroed before first use. */
typedef struct mote__bpe_run {
    const mote__bpe *bpe;
    int32_t *ids; /* at most capacity are written, all are counted */
    size_t capacity, n;
    mote_error *err;
    struct mote__bpe_node *nodes; /* for long pieces */
    uint64_t *heap;
    size_t nodes_capacity, heap_capacity;
} mote__bpe_run;

static inline void mote__bpe_emit(mote__bpe_run *run, uint32_t id)
{
    if (run->n < run->capacity)
        run->ids[run->n] = (int32_t)id;
    run->n++;
}
mote_status mote__bpe_encode(mote__bpe_run *run, const uint8_t *piece, size_t n);
void mote__bpe_run_free(mote__bpe_run *run);
#endif
