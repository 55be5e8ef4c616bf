/* SPDX-License-Identifier: MIT */
/* What tests need and Windows calls otherwise. */
#ifndef MOTE_TESTS_PORTABLE_H
#define MOTE_TESTS_PORTABLE_H
#include <stdlib.h>
#ifdef _WIN32
#include <direct.h>
#include <io.h>
#include <malloc.h>

static inline void *test_aligned_alloc(size_t align, size_t size)
{
    return _aligned_malloc(size, align);
}
static inline void test_aligned_free(void *p)
{
    _aligned_free(p);
}
static inline char *test_mkdtemp(char *name)
{
    return _mktemp(name) && _mkdir(name) == 0 ? name : NULL;
}
#define mkdtemp(name) test_mkdtemp(name)
#define mkdir(name, mode) _mkdir(name)
#define pipe(ends) _pipe(ends, 4096, 0)
#else
static inline void *test_aligned_alloc(size_t align, size_t size)
{
    void *p = NULL;
    return posix_memalign(&p, align, size) == 0 ? p : NULL;
}
static inline void test_aligned_free(void *p)
{
    free(p);
}
#endif
#endif
