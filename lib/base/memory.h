/* SPDX-License-Identifier: MIT */
/* One allocator per model (or tokenizer), tagged so that memory use can be explained.
 * A mote__memory is embedded in the object that owns it and never moves. Passing NULL
 * for `m` uses the C library and counts nothing. */
#ifndef MOTE_BASE_MEMORY_H
#define MOTE_BASE_MEMORY_H
#include "mote/common.h"
#include <stdatomic.h>

typedef struct mote__memory {
    mote_alloc_fn alloc; /* NULL: the C library */
    mote_free_fn free;
    void *user;
    _Atomic uint64_t bytes[MOTE_MEM_TAGS]; /* live bytes by tag */
    _Atomic uint64_t n_allocs; /* calls so far: decoding must not raise it */
} mote__memory;

void mote__memory_init(
        mote__memory *m, mote_alloc_fn alloc, mote_free_fn free, void *user);
/* Uninitialised memory, 64-byte aligned; NULL when there is none. Size 0 gives a valid
 * pointer. The same tag and size go to mote__free. */
void *mote__alloc(mote__memory *m, int32_t tag, size_t size);
/* n * size zeroed bytes, NULL also when the product overflows. */
void *mote__calloc(mote__memory *m, int32_t tag, size_t n, size_t size);
void mote__free(mote__memory *m, int32_t tag, void *ptr, size_t size);

/* Growing byte/item buffers of file- and text-reading code (C library allocator). */
/* Ensure capacity for `need` items of `item` bytes; 0, or -1 leaving *ptr as it was. */
int mote__grow(void **ptr, size_t *capacity, size_t need, size_t item);

/* Ask for large pages under a big block: streaming gigabytes through 4 KB pages costs
 * TLB misses. A hint, which may be refused. */
void mote__advise_huge(void *ptr, size_t size);

/* a * b, or SIZE_MAX when it overflows. */
size_t mote__mul(size_t a, size_t b);
#endif
