/* SPDX-License-Identifier: MIT */
/* Several reads under way at once, finished in any order: by io_uring where the system
 * has and allows it, else by the waiting threads themselves with plain reads.
 *
 * Submitting is for one thread at a time (the caller holds a lock of its own) and never
 * waits for the disk; any number of threads may wait. A read that the ring did not do
 * in full is not an error yet: done is 0, and the caller reads those bytes plainly. */
#ifndef MOTE_FILE_READS_H
#define MOTE_FILE_READS_H
#include "base/memory.h"
#include "file/os_file.h"

typedef struct mote__read {
    const mote__file *file;
    uint64_t offset;
    size_t n;
    void *dst;
    uint32_t cached; /* 1: through the page cache, which means copying */
    uint32_t done;   /* 1: all n bytes are there */
    struct mote__read *next;
} mote__read;

typedef struct mote__reads mote__reads;
struct mote__reads {
    /* 0, or -1: the system refused; nothing is under way. */
    int (*submit)(mote__reads *q, mote__read *r);
    /* Sleep until a read is finished, or NULL after wake(). Thread-safe. */
    mote__read *(*wait)(mote__reads *q);
    /* One waiting thread, now or the next to come, returns NULL. Thread-safe. */
    void (*wake)(mote__reads *q);
    /* Nothing is under way and nobody waits. */
    void (*close)(mote__reads *q);
    uint32_t kind;      /* MOTE_READING_THREADS or MOTE_READING_URING */
    uint32_t n_waiters; /* threads that it pays to wait with */
    uint32_t depth;     /* most reads under way */
    mote__memory *memory;
};

/* kind: MOTE_READING_... Ring or nothing with MOTE_READING_URING, else what there is.
 */
mote_status mote__reads_open(mote__reads **out, uint32_t kind, const mote__file *file,
        mote__memory *m, mote_error *err);
/* MOTE_E_UNSUPPORTED where there is no io_uring, in this build or now. */
mote_status mote__reads_open_uring(
        mote__reads **out, const mote__file *file, mote__memory *m, mote_error *err);
/* Bytes from `m` that either takes, at most. */
uint64_t mote__reads_bytes(void);
#endif
