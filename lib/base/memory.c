/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <malloc.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { ALIGNMENT = 64 };

void mote__memory_init(
        mote__memory *m, mote_alloc_fn alloc, mote_free_fn free_fn, void *user)
{
    m->alloc = alloc;
    m->free = free_fn;
    m->user = user;
    for (int i = 0; i < MOTE_MEM_TAGS; i++)
        atomic_init(&m->bytes[i], 0);
    atomic_init(&m->n_allocs, 0);
}

static void *system_alloc(size_t size)
{
#ifdef _WIN32
    return _aligned_malloc(size, ALIGNMENT);
#else
    void *p = NULL;
    return posix_memalign(&p, ALIGNMENT, size) == 0 ? p : NULL;
#endif
}

static void system_free(void *ptr)
{
#ifdef _WIN32
    _aligned_free(ptr);
#else
    free(ptr);
#endif
}

void *mote__alloc(mote__memory *m, int32_t tag, size_t size)
{
    size_t n = size ? size : 1;
    if (n > SIZE_MAX / 2)
        return NULL;
    void *p = m && m->alloc ? m->alloc(m->user, n, ALIGNMENT, tag) : system_alloc(n);
    if (p && m) {
        atomic_fetch_add_explicit(&m->bytes[tag], n, memory_order_relaxed);
        atomic_fetch_add_explicit(&m->n_allocs, 1, memory_order_relaxed);
    }
    return p;
}

void *mote__calloc(mote__memory *m, int32_t tag, size_t n, size_t size)
{
    size_t total = mote__mul(n, size);
    void *p = mote__alloc(m, tag, total);
    if (p)
        memset(p, 0, total);
    return p;
}

void mote__free(mote__memory *m, int32_t tag, void *ptr, size_t size)
{
    if (!ptr)
        return;
    size_t n = size ? size : 1;
    if (m)
        atomic_fetch_sub_explicit(&m->bytes[tag], n, memory_order_relaxed);
    if (m && m->alloc)
        m->free(m->user, ptr, n, tag);
    else
        system_free(ptr);
}

int mote__grow(void **ptr, size_t *capacity, size_t need, size_t item)
{
    if (need <= *capacity)
        return 0;
    size_t n = *capacity < 16 ? 16 : *capacity;
    while (n < need) {
        if (n > SIZE_MAX / 4)
            return -1;
        n += n / 2;
    }
    if (mote__mul(n, item) == SIZE_MAX)
        return -1;
    void *p = realloc(*ptr, n * item);
    if (!p)
        return -1;
    *ptr = p;
    *capacity = n;
    return 0;
}

void mote__advise_huge(void *ptr, size_t size)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    uintptr_t a = ((uintptr_t)ptr + 4095) / 4096 * 4096;
    uintptr_t z = ((uintptr_t)ptr + size) / 4096 * 4096;
    if (z > a)
        (void)madvise((void *)a, z - a, MADV_HUGEPAGE);
#else
    (void)ptr;
    (void)size;
#endif
}

size_t mote__mul(size_t a, size_t b)
{
    return b && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}
