/* SPDX-License-Identifier: MIT */
/* What tests need and Windows calls otherwise. */
#ifndef MOTE_TESTS_PORTABLE_H
#define MOTE_TESTS_PORTABLE_H
#include <stdlib.h>
#ifdef _WIN32
#include <direct.h>
#include <io.h>
#include <malloc.h>
#include <stdio.h>

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
/* Links need rights there: a copy does. */
static inline int test_symlink(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    char block[65536];
    size_t n;
    int bad = !in || !out;
    while (!bad && (n = fread(block, 1, sizeof block, in)) > 0)
        bad = fwrite(block, 1, n, out) != n;
    bad |= in && (ferror(in) | fclose(in)) != 0;
    bad |= out && fclose(out) != 0;
    return bad ? -1 : 0;
}
#define symlink(from, to) test_symlink(from, to)
#define realpath(path, out) _fullpath(out, path, 0)
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
