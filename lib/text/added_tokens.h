/* SPDX-License-Identifier: MIT */
/* Added (control) tokens: exact texts found in raw text, leftmost-longest.
 *
 * The states of a trie are numbered, its edges hashed, so that a step costs the same
 * however many tokens there are. Immutable after the last add. */
#ifndef MOTE_TEXT_ADDED_TOKENS_H
#define MOTE_TEXT_ADDED_TOKENS_H
#include "base/memory.h"

enum { MOTE__ADDED_BYTES_MAX = 512 }; /* bounds the work per byte of text */

typedef struct mote__added_edge {
    uint64_t key; /* (state << 8 | byte) + 1; 0: free */
    uint32_t state;
} mote__added_edge;

typedef struct mote__added {
    mote__memory *memory;
    mote__added_edge *edges; /* power of two, at most half full */
    size_t edges_size;
    int32_t *id_of; /* [states_max] token that ends here, or -1 */
    size_t states_max;
    uint32_t n_states, n_tokens;
    uint8_t is_first[256]; /* bytes that begin a token */
    int32_t only_first;    /* the one such byte, or -1 */
} mote__added;

/* Room for tokens of `total_bytes` in all. 0, or -1 without memory. */
int mote__added_init(mote__added *a, mote__memory *m, size_t total_bytes);
/* -1 when the text is there already. */
int mote__added_add(mote__added *a, const uint8_t *text, size_t n, int32_t id);
/* Id of exactly this text, or -1. */
int32_t mote__added_find(const mote__added *a, const uint8_t *text, size_t n);
/* The first match in text[at..n): its position (n when there is none), length and id.
 */
size_t mote__added_search(const mote__added *a, const uint8_t *text, size_t at,
        size_t n, size_t *length, int32_t *id);
void mote__added_free(mote__added *a);
#endif
