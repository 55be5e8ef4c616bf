/* SPDX-License-Identifier: MIT */
/* A pool of workers that run one parallel step at a time, deterministically split.
 *
 * Invariants: the calling thread is worker 0; workers spin for a bounded time and then
 * sleep (futex/condition), so eight workers on two cores lose little; a step neither
 * allocates nor makes a system call other than futex waits and wakes. Which indices a
 * worker gets never changes what is computed: bits do not depend on n_threads.
 * Several sessions may call mote__pool_run at once from different threads: whoever does
 * not get the workers runs the whole step on its own thread (no deadlock, same bits). */
#ifndef MOTE_BASE_POOL_H
#define MOTE_BASE_POOL_H
#include "mote/common.h"

typedef struct mote__pool mote__pool;
struct mote__memory;

/* n_threads 0: one per usable core. host != NULL: no threads of our own; steps are handed
 * to the host's parallel-for in n_threads parts. */
mote_status mote__pool_open(mote__pool **out, struct mote__memory *m, uint32_t n_threads,
        mote_parallel_fn host, void *host_user, mote_error *err);
void mote__pool_close(mote__pool *pool);
uint32_t mote__pool_threads(const mote__pool *pool);

/* Run fn(arg, begin, end, worker) over [0, n) cut into contiguous ranges, n_threads at
 * most (worker < n_threads), range sizes multiples of `grain` except the last; returns when
 * all are done. worker numbers are distinct among parts that run at once *within one
 * call*: scratch indexed by worker must belong to the calling session. */
typedef void (*mote__pool_fn)(void *arg, uint32_t begin, uint32_t end, uint32_t worker);
void mote__pool_run(
        mote__pool *pool, uint32_t n, uint32_t grain, mote__pool_fn fn, void *arg);
enum { MOTE__POOL_FINE = 32 };
/* The same for steps of many milliseconds: up to MOTE__POOL_FINE ranges per worker,
 * each worker's in rising order, so that one which is held up leaves little for the
 * others to wait for. A worker calls fn for one range after another. */
void mote__pool_run_fine(
        mote__pool *pool, uint32_t n, uint32_t grain, mote__pool_fn fn, void *arg);
#endif
