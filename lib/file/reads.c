/* SPDX-License-Identifier: MIT */
/* Reads by threads: what is submitted waits in a list, and who waits reads it. */
#include "file/reads.h"

#include "base/status.h"
#include "mote/model.h"

#include <pthread.h>
#include <string.h>

/* A virtual or flash disk is at its limit with so many reads of a megabyte. One thread
 * more, so that the disk does not wait while one checks what has come. */
enum { DEPTH = 4, THREADS = 5 };

typedef struct by_threads {
    mote__reads base;
    pthread_mutex_t lock;
    pthread_cond_t work;
    mote__read *first, **last;
    uint32_t wakes;
} by_threads;

static int threads_submit(mote__reads *base, mote__read *r)
{
    by_threads *q = (by_threads *)base;
    r->next = NULL;
    pthread_mutex_lock(&q->lock);
    *q->last = r;
    q->last = &r->next;
    pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

static mote__read *threads_wait(mote__reads *base)
{
    by_threads *q = (by_threads *)base;
    pthread_mutex_lock(&q->lock);
    while (!q->first && !q->wakes)
        pthread_cond_wait(&q->work, &q->lock);
    mote__read *r = NULL;
    if (q->wakes) {
        q->wakes--;
    } else {
        r = q->first;
        q->first = r->next;
        if (!q->first)
            q->last = &q->first;
    }
    pthread_mutex_unlock(&q->lock);
    if (r)
        r->done = mote__file_read(r->file, r->offset, r->n, r->dst, NULL) >= 0;
    return r;
}

static void threads_wake(mote__reads *base)
{
    by_threads *q = (by_threads *)base;
    pthread_mutex_lock(&q->lock);
    q->wakes++;
    pthread_cond_signal(&q->work);
    pthread_mutex_unlock(&q->lock);
}

static void threads_close(mote__reads *base)
{
    by_threads *q = (by_threads *)base;
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->work);
    mote__free(base->memory, MOTE_MEM_OTHER, q, sizeof *q);
}

static mote_status open_threads(mote__reads **out, mote__memory *m, mote_error *err)
{
    by_threads *q = mote__calloc(m, MOTE_MEM_OTHER, 1, sizeof *q);
    if (!q)
        return mote__fail_memory(err, sizeof *q, "reading threads");
    q->base = (mote__reads){.submit = threads_submit,
            .wait = threads_wait,
            .wake = threads_wake,
            .close = threads_close,
            .kind = MOTE_READING_THREADS,
            .n_waiters = THREADS,
            .depth = DEPTH,
            .memory = m};
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->work, NULL);
    q->last = &q->first;
    *out = &q->base;
    return MOTE_OK;
}

mote_status mote__reads_open(mote__reads **out, uint32_t kind, const mote__file *file,
        mote__memory *m, mote_error *err)
{
    *out = NULL;
    /* AUTO takes threads: io_uring is no faster (doc/performance.md), and sandboxes
     * often forbid it. */
    if (kind == MOTE_READING_URING)
        return mote__reads_open_uring(out, file, m, err);
    return open_threads(out, m, err);
}

uint64_t mote__reads_bytes(void)
{
    return 1024; /* by_threads, or the ring's: its queues are the kernel's */
}
