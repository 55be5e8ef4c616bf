/* SPDX-License-Identifier: MIT */
/* Reads by io_uring, through its system calls alone: two rings shared with the kernel.
 *
 * The submission ring belongs to the caller's lock, the completion ring to `reaping`:
 * one thread at a time sleeps in the kernel, for a completion or for the event
 * descriptor that wakes it. Kernels that are too old, and sandboxes that forbid it
 * (ENOSYS, EPERM, EACCES), refuse at opening. */
#include "file/reads.h"

#include "base/status.h"
#include "mote/model.h"

#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#include <sys/syscall.h>
#endif
#endif

#if defined(__NR_io_uring_setup) && defined(IORING_FEAT_SINGLE_MMAP) &&                \
        defined(IORING_FEAT_RW_CUR_POS)
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Reads of a megabyte that keep a disk busy: of 4, 6 and 8 the first was fastest on a
 * virtual disk of 1.5 GB/s, and leaves least to wait for when a guess was wrong. One
 * more place is for the poll. */
enum { DEPTH = 4, ENTRIES = 8 };

typedef struct ring {
    mote__reads base;
    int fd, event; /* -1: none */
    void *rings;
    size_t rings_bytes;
    struct io_uring_sqe *sqes;
    size_t sqes_bytes;
    uint32_t *sq_head, *sq_tail, *sq_array, *cq_head, *cq_tail;
    struct io_uring_cqe *cqes;
    uint32_t sq_mask, cq_mask;
    int watching; /* a poll of `event` is under way; of `reaping` */
    pthread_mutex_t submitting, reaping;
} ring;

static int enter(const ring *q, uint32_t submit, uint32_t want)
{
    long r;
    do
        r = syscall(__NR_io_uring_enter, q->fd, submit, want,
                want ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
    while (r < 0 && errno == EINTR && submit);
    return (int)r;
}

static int submit(ring *q, const struct io_uring_sqe *sqe)
{
    pthread_mutex_lock(&q->submitting);
    uint32_t tail = *q->sq_tail, i = tail & q->sq_mask;
    int st = -1;
    if (tail - __atomic_load_n(q->sq_head, __ATOMIC_ACQUIRE) <= q->sq_mask) {
        q->sqes[i] = *sqe;
        q->sq_array[i] = i;
        __atomic_store_n(q->sq_tail, tail + 1, __ATOMIC_RELEASE);
        /* The kernel looks at the ring in this call only: what it did not take can be
         * taken back. */
        if (enter(q, 1, 0) == 1)
            st = 0;
        else if (__atomic_load_n(q->sq_head, __ATOMIC_ACQUIRE) == tail + 1)
            st = 0;
        else
            __atomic_store_n(q->sq_tail, tail, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&q->submitting);
    return st;
}

/* Have a completion (of user_data 0) when the event descriptor is written to. */
static int watch_event(ring *q)
{
    struct io_uring_sqe sqe;
    memset(&sqe, 0, sizeof sqe);
    sqe.opcode = IORING_OP_POLL_ADD;
    sqe.fd = q->event;
    sqe.poll_events = 1; /* POLLIN */
    return submit(q, &sqe);
}

static int ring_submit(mote__reads *base, mote__read *r)
{
    ring *q = (ring *)base;
    struct io_uring_sqe sqe;
    memset(&sqe, 0, sizeof sqe);
    if (r->file->handle < 0 || r->n > UINT32_MAX)
        return -1;
    sqe.opcode = IORING_OP_READ;
    sqe.fd = (int)r->file->handle;
    sqe.off = r->file->base + r->offset;
    sqe.addr = (uint64_t)(uintptr_t)r->dst;
    sqe.len = (uint32_t)r->n;
    /* Copying is for the kernel's threads, not for who submits. */
    sqe.flags = r->cached ? IOSQE_ASYNC : 0;
    sqe.user_data = (uint64_t)(uintptr_t)r;
    /* What this thread wrote into r is seen by the one that takes its completion: the
     * kernel orders them, which the language (and a race detector) cannot know. */
    __atomic_store_n(&r->done, 0, __ATOMIC_RELEASE);
    return submit(q, &sqe);
}

/* What a completion says, or 0: there is none. */
static int take(ring *q, struct io_uring_cqe *out)
{
    uint32_t head = *q->cq_head;
    if (head == __atomic_load_n(q->cq_tail, __ATOMIC_ACQUIRE))
        return 0;
    *out = q->cqes[head & q->cq_mask];
    __atomic_store_n(q->cq_head, head + 1, __ATOMIC_RELEASE);
    return 1;
}

/* Has wake() been called? Reading takes the calls back. */
static int was_woken(const ring *q)
{
    uint64_t count;
    ssize_t got;
    do
        got = read(q->event, &count, sizeof count);
    while (got < 0 && errno == EINTR);
    return got > 0;
}

static mote__read *ring_wait(mote__reads *base)
{
    ring *q = (ring *)base;
    struct io_uring_cqe c;
    mote__read *r = NULL;
    pthread_mutex_lock(&q->reaping);
    while (!take(q, &c)) {
        if (!q->watching)
            q->watching = watch_event(q) >= 0;
        if (!q->watching && was_woken(q))
            goto out;
        /* A system that refuses, out of memory perhaps, is looked after by hand: what
         * is under way completes all the same. */
        if (!q->watching || (enter(q, 0, 1) < 0 && errno != EINTR)) {
            struct timespec pause = {0, 1000000};
            nanosleep(&pause, NULL);
        }
    }
    r = (mote__read *)(uintptr_t)c.user_data;
    if (!r) {
        q->watching = 0;
        (void)was_woken(q);
    }
out:
    pthread_mutex_unlock(&q->reaping);
    if (r) {
        (void)__atomic_load_n(&r->done, __ATOMIC_ACQUIRE); /* beside ring_submit() */
        r->done = c.res >= 0 && (size_t)c.res == r->n;
    }
    return r;
}

static void ring_wake(mote__reads *base)
{
    ring *q = (ring *)base;
    const uint64_t one = 1;
    ssize_t put;
    do
        put = write(q->event, &one, sizeof one);
    while (put < 0 && errno == EINTR);
}

static void ring_close(mote__reads *base)
{
    ring *q = (ring *)base;
    if (q->sqes)
        munmap(q->sqes, q->sqes_bytes);
    if (q->rings)
        munmap(q->rings, q->rings_bytes);
    if (q->fd >= 0)
        close(q->fd);
    if (q->event >= 0)
        close(q->event);
    pthread_mutex_destroy(&q->submitting);
    pthread_mutex_destroy(&q->reaping);
    mote__free(base->memory, MOTE_MEM_OTHER, q, sizeof *q);
}

/* The rings, mapped; 0, or -1. */
static int map_rings(ring *q)
{
    struct io_uring_params p;
    memset(&p, 0, sizeof p);
    q->fd = (int)syscall(__NR_io_uring_setup, ENTRIES, &p);
    /* FEAT_RW_CUR_POS came with IORING_OP_READ (5.6). */
    if (q->fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP) ||
            !(p.features & IORING_FEAT_RW_CUR_POS))
        return -1;
    (void)fcntl(q->fd, F_SETFD, FD_CLOEXEC);
    size_t sq = p.sq_off.array + p.sq_entries * sizeof(uint32_t),
           cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    q->rings_bytes = sq > cq ? sq : cq;
    q->sqes_bytes = p.sq_entries * sizeof(struct io_uring_sqe);
    void *rings = mmap(NULL, q->rings_bytes, PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_POPULATE, q->fd, IORING_OFF_SQ_RING);
    if (rings == MAP_FAILED)
        return -1;
    q->rings = rings;
    void *sqes = mmap(NULL, q->sqes_bytes, PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_POPULATE, q->fd, (off_t)IORING_OFF_SQES);
    if (sqes == MAP_FAILED)
        return -1;
    q->sqes = sqes;
    uint8_t *at = rings;
    q->sq_head = (uint32_t *)(void *)(at + p.sq_off.head);
    q->sq_tail = (uint32_t *)(void *)(at + p.sq_off.tail);
    q->sq_array = (uint32_t *)(void *)(at + p.sq_off.array);
    q->cq_head = (uint32_t *)(void *)(at + p.cq_off.head);
    q->cq_tail = (uint32_t *)(void *)(at + p.cq_off.tail);
    q->cqes = (struct io_uring_cqe *)(void *)(at + p.cq_off.cqes);
    q->sq_mask = p.sq_entries - 1;
    q->cq_mask = p.cq_entries - 1;
    return 0;
}

mote_status mote__reads_open_uring(
        mote__reads **out, const mote__file *file, mote__memory *m, mote_error *err)
{
    *out = NULL;
    if (file->handle < 0)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "option reading: io_uring reads files, not memory");
    ring *q = mote__calloc(m, MOTE_MEM_OTHER, 1, sizeof *q);
    if (!q)
        return mote__fail_memory(err, sizeof *q, "io_uring");
    q->base = (mote__reads){.submit = ring_submit,
            .wait = ring_wait,
            .wake = ring_wake,
            .close = ring_close,
            .kind = MOTE_READING_URING,
            .n_waiters = 2, /* one checks what has come while the other waits */
            .depth = DEPTH,
            .memory = m};
    q->fd = -1;
    q->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&q->submitting, NULL);
    pthread_mutex_init(&q->reaping, NULL);
    if (q->event < 0 || map_rings(q) < 0) {
        ring_close(&q->base);
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "option reading: this system has no io_uring, or forbids it");
    }
    *out = &q->base;
    return MOTE_OK;
}

#else

mote_status mote__reads_open_uring(
        mote__reads **out, const mote__file *file, mote__memory *m, mote_error *err)
{
    (void)file;
    (void)m;
    *out = NULL;
    return mote__fail(
            err, MOTE_E_UNSUPPORTED, "option reading: this build has no io_uring");
}

#endif
