/* SPDX-License-Identifier: MIT */
/* A step is cut into parts; a worker prefers its own share of them (so that on machines
 * with several memory nodes it meets the same rows again) and then takes whatever is
 * left. A part that its worker is too late for, because it sleeps or the system runs
 * something else, is done by whoever is free, the caller included: a step waits only
 * for parts that have really begun. That, and never running more threads than cores
 * (n_threads above that only makes the parts finer), is what keeps an oversubscribed
 * machine out of trouble.
 *
 * Claims. `ticket` holds the step's number and its count of parts; claim[p] is the
 * number of the last step whose part p was taken, and taking it is one compare-exchange
 * from a smaller number. All parts of a finished step are taken, so a worker that comes
 * late with an old ticket finds nothing, and a successful claim pins the step: its
 * fields may be read plainly until `remaining` is counted down.
 *
 * A fork()ed child has no workers, and still computes: the caller takes every part. */
#include "pool.h"

#include "cpu.h"
#include "memory.h"
#include "status.h"
#include "wait.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#ifndef _WIN32
#include <signal.h>
#include <unistd.h>
#endif

enum {
    THREADS_MAX = 1024,
    FINE = MOTE__POOL_FINE,
    SPIN_NS = 60000, /* longer than the gaps between the steps of a layer */
    STACK_BYTES = 1 << 20,
    PARTS_BITS = 16,
};
#define PARTS_MASK ((1ull << PARTS_BITS) - 1)
#define WAITER 0x80000000u /* in `remaining`: the caller sleeps on it */

enum { AWAKE, ASLEEP };

typedef struct step {
    mote__pool_fn fn;
    void *arg;
    uint32_t n, grain, parts;
} step;

typedef struct worker {
    _Alignas(64) _Atomic uint32_t state;
    uint32_t index;
    struct mote__pool *pool;
    pthread_t thread;
} worker;

struct mote__pool {
    _Alignas(64) _Atomic uint64_t ticket; /* step number << PARTS_BITS | parts */
    _Atomic uint32_t stop;
    _Alignas(64) _Atomic uint32_t remaining; /* parts not yet finished | WAITER */
    _Alignas(64) _Atomic uint32_t busy;      /* one caller has the workers */
    step step;
    uint32_t n_threads; /* parts of a step; of a fine one FINE times as many */
    uint32_t n_workers; /* threads that work on it, the caller included */
    uint32_t n_started; /* of those, threads of ours that run */
    uint32_t spins;     /* pauses before going to sleep */
    mote__wait wait;
    mote_parallel_fn host;
    void *host_user;
    struct mote__memory *memory;
    size_t bytes;
    long owner; /* process that started the threads */
    worker *workers;
    _Atomic uint64_t claim[]; /* [n_threads * FINE] */
};

static inline void pause_core(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static long process_id(void)
{
#ifdef _WIN32
    return 0;
#else
    return (long)getpid();
#endif
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Pauses that take SPIN_NS. Counted once, so that spinning itself asks for no clock;
 * the fastest of a few tries is the one that nothing interrupted. */
static uint32_t measure_spins(void)
{
    enum { TRIES = 4, PAUSES = 256 };
    double best = 1e12;
    for (int t = 0; t < TRIES; t++) {
        double begin = now_ns();
        for (int i = 0; i < PAUSES; i++)
            pause_core();
        double ns = now_ns() - begin;
        best = ns < best ? ns : best;
    }
    double spins = SPIN_NS * (double)PAUSES / (best < 100 ? 100 : best);
    return (uint32_t)spins;
}

static uint32_t count_parts(uint32_t n, uint32_t grain, uint32_t at_most)
{
    uint32_t units = n / grain + (n % grain != 0);
    return units < at_most ? units : at_most;
}

static uint32_t part_begin(const step *s, uint32_t part)
{
    uint64_t units = s->n / s->grain + (s->n % s->grain != 0);
    uint64_t begin = units * part / s->parts * s->grain;
    return begin < s->n ? (uint32_t)begin : s->n;
}

static void run_part(const step *s, uint32_t part, uint32_t index)
{
    s->fn(s->arg, part_begin(s, part), part_begin(s, part + 1), index);
}

/* Wake the two workers below `index` in a binary tree if the step has parts for them;
 * they wake theirs, so that no single thread pays for all the wake-ups. */
static void wake_children(mote__pool *pool, uint32_t index, uint32_t parts)
{
    for (uint32_t c = 2 * index + 1; c <= 2 * index + 2; c++) {
        if (c >= pool->n_started + 1 || c >= parts)
            return;
        uint32_t asleep = ASLEEP;
        _Atomic uint32_t *state = &pool->workers[c].state;
        if (atomic_load(state) == ASLEEP &&
                atomic_compare_exchange_strong(state, &asleep, AWAKE))
            mote__wake(&pool->wait, state);
    }
}

static int claim_part(mote__pool *pool, uint64_t number, uint32_t part)
{
    uint64_t last = atomic_load_explicit(&pool->claim[part], memory_order_relaxed);
    return last < number &&
           atomic_compare_exchange_strong(&pool->claim[part], &last, number);
}

/* Take and run parts of the step that `ticket` names until none is left. */
static void run_parts(mote__pool *pool, uint64_t ticket, uint32_t index)
{
    uint64_t number = ticket >> PARTS_BITS;
    uint32_t parts = (uint32_t)(ticket & PARTS_MASK);
    uint32_t part = (uint32_t)((uint64_t)index * parts / (pool->n_started + 1));
    for (uint32_t i = 0; i < parts; i++) {
        if (claim_part(pool, number, part)) {
            run_part(&pool->step, part, index);
            if (atomic_fetch_sub(&pool->remaining, 1) == (WAITER | 1u))
                mote__wake(&pool->wait, &pool->remaining);
        }
        part = part + 1 < parts ? part + 1 : 0;
    }
}

/* The next ticket after `seen`, or `seen` itself when it is time to stop. */
static uint64_t await_ticket(worker *w, uint64_t seen)
{
    mote__pool *pool = w->pool;
    for (;;) {
        for (uint32_t i = 0; i <= pool->spins; i++) {
            uint64_t ticket = atomic_load(&pool->ticket);
            if (ticket != seen ||
                    atomic_load_explicit(&pool->stop, memory_order_relaxed))
                return ticket;
            pause_core();
        }
        /* Announce the sleep, then look once more: whoever published a step in between
         * either sees the announcement or is seen here. */
        atomic_store(&w->state, ASLEEP);
        while (atomic_load(&w->state) == ASLEEP) {
            if (atomic_load(&pool->ticket) != seen || atomic_load(&pool->stop)) {
                atomic_store(&w->state, AWAKE);
                break;
            }
            mote__wait_on(&pool->wait, &w->state, ASLEEP);
        }
    }
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    mote__pool *pool = w->pool;
    uint64_t seen = 0;
    for (;;) {
        uint64_t ticket = await_ticket(w, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        seen = ticket;
        wake_children(pool, w->index, (uint32_t)(ticket & PARTS_MASK));
        run_parts(pool, ticket, w->index);
    }
}

/* Threads of ours take no signals: handlers are the host's business. */
static void start_workers(mote__pool *pool)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
#ifndef _WIN32
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
    /* A thread that the system refuses is no error: the others do its parts. */
    for (uint32_t i = 1; i < pool->n_workers; i++) {
        worker *w = &pool->workers[i];
        if (pthread_create(&w->thread, &attr, worker_main, w) != 0)
            break;
        pool->n_started = i;
    }
#ifndef _WIN32
    pthread_sigmask(SIG_SETMASK, &before, NULL);
#endif
    pthread_attr_destroy(&attr);
}

mote_status mote__pool_open(mote__pool **out, struct mote__memory *m,
        uint32_t n_threads, mote_parallel_fn host, void *host_user, mote_error *err)
{
    *out = NULL;
    uint32_t cores = mote__cpu_cores();
    if (n_threads > THREADS_MAX)
        return mote__fail(err, MOTE_E_INVALID, "expected at most %d threads, got %u",
                (int)THREADS_MAX, (unsigned)n_threads);
    if (n_threads == 0)
        n_threads = cores < THREADS_MAX ? cores : THREADS_MAX;
    uint32_t n_workers = host ? 1 : n_threads < cores ? n_threads : cores;

    size_t head = sizeof(mote__pool) + n_threads * FINE * sizeof(_Atomic uint64_t);
    head = (head + 63) & ~(size_t)63;
    size_t bytes = head + n_workers * sizeof(worker);
    mote__pool *pool = mote__alloc(m, MOTE_MEM_OTHER, bytes);
    if (!pool)
        return mote__fail_memory(err, bytes, "a pool of threads");
    memset(pool, 0, bytes);
    if (mote__wait_init(&pool->wait) != 0) {
        mote__free(m, MOTE_MEM_OTHER, pool, bytes);
        return mote__fail(err, MOTE_E_MEMORY, "the system has no room for a mutex");
    }
    pool->memory = m;
    pool->bytes = bytes;
    pool->n_threads = n_threads;
    pool->n_workers = n_workers;
    pool->host = host;
    pool->host_user = host_user;
    pool->owner = process_id();
    pool->workers = (worker *)((char *)pool + head);
    for (uint32_t i = 0; i < n_workers; i++) {
        pool->workers[i].index = i;
        pool->workers[i].pool = pool;
    }
    if (n_workers > 1) {
        pool->spins = measure_spins();
        start_workers(pool);
    }
    *out = pool;
    return MOTE_OK;
}

void mote__pool_close(mote__pool *pool)
{
    if (!pool)
        return;
    if (pool->owner == process_id()) {
        atomic_store(&pool->stop, 1);
        for (uint32_t i = 1; i <= pool->n_started; i++) {
            atomic_store(&pool->workers[i].state, AWAKE);
            mote__wake(&pool->wait, &pool->workers[i].state);
        }
        for (uint32_t i = 1; i <= pool->n_started; i++)
            pthread_join(pool->workers[i].thread, NULL);
        mote__wait_free(&pool->wait);
    }
    mote__free(pool->memory, MOTE_MEM_OTHER, pool, pool->bytes);
}

uint32_t mote__pool_threads(const mote__pool *pool)
{
    return pool->n_threads;
}

static void run_host_part(void *task, uint32_t index)
{
    const step *s = task;
    if (index < s->parts)
        run_part(s, index, index);
}

/* Wait until every part is done: spin, since others are about to finish too, then
 * sleep. */
static void await_parts(mote__pool *pool)
{
    for (uint32_t i = 0; i < pool->spins; i++) {
        if (atomic_load(&pool->remaining) == 0)
            return;
        pause_core();
    }
    for (;;) {
        uint32_t left = atomic_load(&pool->remaining);
        if ((left & ~WAITER) == 0)
            return;
        if (!(left & WAITER) &&
                !atomic_compare_exchange_strong(&pool->remaining, &left, left | WAITER))
            continue;
        mote__wait_on(&pool->wait, &pool->remaining, left | WAITER);
    }
}

static void run_step(mote__pool *pool, uint32_t n, uint32_t grain, uint32_t at_most,
        mote__pool_fn fn, void *arg)
{
    if (n == 0)
        return;
    grain = grain > 0 ? grain : 1;
    step s = {fn, arg, n, grain, count_parts(n, grain, at_most)};
    if (s.parts > 1 && pool->host) {
        pool->host(pool->host_user, s.parts, run_host_part, &s);
        return;
    }
    /* A step within a step, or of another session: done here, whole. */
    if (s.parts == 1 || pool->n_started == 0 || atomic_exchange(&pool->busy, 1)) {
        fn(arg, 0, n, 0);
        return;
    }
    pool->step = s;
    atomic_store_explicit(&pool->remaining, s.parts, memory_order_relaxed);
    uint64_t number = (atomic_load(&pool->ticket) >> PARTS_BITS) + 1;
    uint64_t ticket = number << PARTS_BITS | s.parts;
    atomic_store(&pool->ticket, ticket);
    wake_children(pool, 0, s.parts);
    run_parts(pool, ticket, 0);
    await_parts(pool);
    atomic_store(&pool->busy, 0);
}

void mote__pool_run(
        mote__pool *pool, uint32_t n, uint32_t grain, mote__pool_fn fn, void *arg)
{
    run_step(pool, n, grain, pool->n_threads, fn, arg);
}

void mote__pool_run_fine(
        mote__pool *pool, uint32_t n, uint32_t grain, mote__pool_fn fn, void *arg)
{
    run_step(pool, n, grain, pool->n_threads * (pool->host ? 1 : FINE), fn, arg);
}
