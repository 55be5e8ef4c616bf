/* SPDX-License-Identifier: MIT */
/* XXH64 (Collet's published specification): a fast checksum, not a secret. */
#ifndef MOTE_BASE_HASH_H
#define MOTE_BASE_HASH_H
#include <stddef.h>
#include <stdint.h>

typedef struct mote__hash {
    uint64_t lane[4], total, seed;
    uint8_t tail[32];
    uint32_t n_tail;
} mote__hash;

void mote__hash_begin(mote__hash *h, uint64_t seed);
void mote__hash_add(mote__hash *h, const void *data, size_t n);
uint64_t mote__hash_end(const mote__hash *h);
uint64_t mote__hash_of(const void *data, size_t n);
#endif
