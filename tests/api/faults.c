/* SPDX-License-Identifier: MIT */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_uint armed;
static int stuck;
static atomic_long until = -1, failed, live;

void faults_arm(unsigned kinds, long nth, int sticky)
{
    stuck = sticky;
    atomic_store(&failed, 0);
    atomic_store(&until, nth);
    armed = kinds;
}

long faults_rest(void)
{
    armed = 0;
    return atomic_load(&failed);
}

long faults_seen(void)
{
    return atomic_load(&failed);
}

long faults_live(void)
{
    return atomic_load(&live);
}

static int fails(unsigned kind)
{
    if (!(armed & kind))
        return 0;
    long n = atomic_fetch_sub(&until, 1);
    if (n > 0 || (n < 0 && !stuck))
        return 0;
    atomic_fetch_add(&failed, 1);
    return 1;
}

/* ---- the C library ---- */

#define WRAP(type, name, ...)                                                          \
    type __real_##name(__VA_ARGS__);                                                   \
    type __wrap_##name(__VA_ARGS__);                                                   \
    type __wrap_##name(__VA_ARGS__)

static void *held(void *p)
{
    if (p)
        atomic_fetch_add(&live, 1);
    return p;
}

WRAP(void *, malloc, size_t size)
{
    return fails(FAULT_MALLOC) ? NULL : held(__real_malloc(size));
}

WRAP(void *, calloc, size_t n, size_t size)
{
    return fails(FAULT_MALLOC) ? NULL : held(__real_calloc(n, size));
}

WRAP(void *, realloc, void *p, size_t size)
{
    if (fails(FAULT_MALLOC))
        return NULL;
    void *q = __real_realloc(p, size);
    return p ? q : held(q);
}

WRAP(int, posix_memalign, void **p, size_t align, size_t size)
{
    if (fails(FAULT_MALLOC))
        return ENOMEM;
    int st = __real_posix_memalign(p, align, size);
    if (st == 0)
        held(*p);
    return st;
}

WRAP(void, free, void *p)
{
    if (p)
        atomic_fetch_sub(&live, 1);
    __real_free(p);
}

#define REFUSE(kind, code, value)                                                      \
    if (fails(kind)) {                                                                 \
        errno = code;                                                                  \
        return value;                                                                  \
    }

WRAP(size_t, fwrite, const void *p, size_t size, size_t n, FILE *f)
{
    REFUSE(FAULT_FILE, ENOSPC, 0)
    return __real_fwrite(p, size, n, f);
}

WRAP(int, fclose, FILE *f)
{
    int st = __real_fclose(f);
    REFUSE(FAULT_FILE, EIO, EOF)
    return st;
}

/* Not done in earnest: a test has nothing to lose, and hundreds of files to write. */
WRAP(int, fsync, int fd)
{
    (void)fd;
    REFUSE(FAULT_FILE, EIO, -1)
    return 0;
}

WRAP(int, rename, const char *from, const char *to)
{
    REFUSE(FAULT_FILE, EACCES, -1)
    return __real_rename(from, to);
}

/* io_uring has no functions of its own. */
WRAP(long, syscall, long number, ...)
{
    va_list args;
    long a[6];
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
#ifdef SYS_io_uring_setup
    if (number == SYS_io_uring_setup)
        REFUSE(FAULT_FILE, ENOSYS, -1)
    if (number == SYS_io_uring_enter)
        REFUSE(FAULT_FILE, EAGAIN, -1)
#endif
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* With 64-bit file offsets these have two names each. */
#define FILE_CALLS(fopen, pread, open, mmap)                                           \
    WRAP(FILE *, fopen, const char *path, const char *mode)                            \
    {                                                                                  \
        REFUSE(FAULT_FILE, EMFILE, NULL)                                               \
        return __real_##fopen(path, mode);                                             \
    }                                                                                  \
    WRAP(ssize_t, pread, int fd, void *p, size_t n, off_t at)                          \
    {                                                                                  \
        REFUSE(FAULT_FILE, EIO, -1)                                                    \
        return __real_##pread(fd, p, n, at);                                           \
    }                                                                                  \
    WRAP(int, open, const char *path, int flags, ...)                                  \
    {                                                                                  \
        va_list args;                                                                  \
        va_start(args, flags);                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;                      \
        va_end(args);                                                                  \
        REFUSE(FAULT_FILE, EMFILE, -1)                                                 \
        return __real_##open(path, flags, mode);                                       \
    }                                                                                  \
    WRAP(void *, mmap, void *at, size_t n, int protection, int flags, int fd,          \
            off_t offset)                                                              \
    {                                                                                  \
        REFUSE(FAULT_MAP, ENOMEM, MAP_FAILED)                                          \
        return __real_##mmap(at, n, protection, flags, fd, offset);                    \
    }
FILE_CALLS(fopen, pread, open, mmap)
FILE_CALLS(fopen64, pread64, open64, mmap64)

WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes,
        void *(*run)(void *), void *user)
{
    return fails(FAULT_THREAD) ? EAGAIN
                               : __real_pthread_create(thread, attributes, run, user);
}

/* ---- the host's allocator ---- */

/* Before each block: what was asked for, so that freeing can be checked. */
typedef struct asked {
    size_t size;
    int32_t tag;
    uint32_t alive;
} asked;

enum { ALIVE = 0x600dcafe, ROOM = 64 /* and the alignment */ };

static void *host_alloc(void *user, size_t size, size_t align, int32_t tag)
{
    void *p = NULL;
    (void)user;
    if (align != ROOM)
        abort();
    if (fails(FAULT_HOST) || __real_posix_memalign(&p, align, size + ROOM) != 0)
        return NULL;
    held(p);
    asked a = {size, tag, ALIVE};
    char *block = (char *)p + ROOM;
    memcpy(block - sizeof a, &a, sizeof a);
    memset(block, 0xa5, size);
    return block;
}

/* "size is the size asked for then": a host that counts on it must be able to. */
static void host_free(void *user, void *ptr, size_t size, int32_t tag)
{
    asked a;
    (void)user;
    if (!ptr)
        abort();
    memcpy(&a, (char *)ptr - sizeof a, sizeof a);
    if (a.alive != ALIVE || a.size != size || a.tag != tag)
        abort();
    a.alive = 0;
    memcpy((char *)ptr - sizeof a, &a, sizeof a);
    atomic_fetch_sub(&live, 1);
    __real_free((char *)ptr - ROOM);
}

void faults_options(mote_model_options *o)
{
    o->alloc = host_alloc;
    o->free = host_free;
}
