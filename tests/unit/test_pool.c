/* SPDX-License-Identifier: MIT */
#include "base/cpu.h"
#include "base/memory.h"
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { N_MAX = 5000 };

static mote__pool *pool_of(uint32_t n_threads)
{
    mote__pool *pool = NULL;
    mote_error err;
    assert_int_equal(
            mote__pool_open(&pool, NULL, n_threads, NULL, NULL, &err), MOTE_OK);
    assert_non_null(pool);
    return pool;
}

/* Plain counters: the thread sanitizer sees any index that two parts share. */
typedef struct coverage {
    uint32_t n, grain, n_threads;
    uint8_t hits[N_MAX];
    _Atomic uint32_t parts, bad;
    _Atomic uint32_t at_work[64];
} coverage;

static void cover(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    coverage *c = arg;
    if (begin >= end || end > c->n || worker >= c->n_threads || begin % c->grain ||
            (end % c->grain && end != c->n)) {
        atomic_fetch_add(&c->bad, 1);
        return;
    }
    atomic_fetch_add(&c->parts, 1);
    if (atomic_fetch_add(&c->at_work[worker], 1) != 0) /* nobody else has its number */
        atomic_fetch_add(&c->bad, 1);
    for (uint32_t i = begin; i < end; i++)
        c->hits[i]++;
    atomic_fetch_sub(&c->at_work[worker], 1);
}

static void run_coverage(
        mote__pool *pool, coverage *c, uint32_t n, uint32_t grain, int fine)
{
    memset(c, 0, sizeof *c);
    c->n = n;
    c->grain = grain ? grain : 1;
    c->n_threads = mote__pool_threads(pool);
    (fine ? mote__pool_run_fine : mote__pool_run)(pool, n, grain, cover, c);
    assert_int_equal(atomic_load(&c->bad), 0);
    assert_true(atomic_load(&c->parts) <= c->n_threads * (fine ? MOTE__POOL_FINE : 1u));
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(c->hits[i], 1);
}

static void every_index_once(void **state)
{
    (void)state;
    static const uint32_t threads[] = {1, 2, 3, 7, 8, 64};
    static const uint32_t sizes[] = {0, 1, 2, 3, 7, 8, 63, 64, 65, 1000, N_MAX};
    static const uint32_t grains[] = {0, 1, 2, 3, 16, 64, 6000};
    static coverage c;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        mote__pool *pool = pool_of(threads[t]);
        assert_int_equal(mote__pool_threads(pool), threads[t]);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++)
                for (int fine = 0; fine < 2; fine++)
                    run_coverage(pool, &c, sizes[s], grains[g], fine);
        mote__pool_close(pool);
    }
}

static void default_is_one_per_core(void **state)
{
    (void)state;
    mote__pool *pool = pool_of(0);
    assert_int_equal(mote__pool_threads(pool), mote__cpu_cores());
    mote__pool_close(pool);
    mote__pool_close(NULL);
}

static void too_many_threads_is_an_error(void **state)
{
    (void)state;
    mote__pool *pool = (mote__pool *)(uintptr_t)1;
    mote_error err = {0};
    assert_int_equal(
            mote__pool_open(&pool, NULL, 1u << 20, NULL, NULL, &err), MOTE_E_INVALID);
    assert_null(pool);
    assert_non_null(strstr(err.message, "1048576"));
}

/* The whole range [0, 2^32) of indices, in large grains. */
static void add_length(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    atomic_fetch_add((_Atomic uint64_t *)arg, (uint64_t)end - begin);
}

static void largest_range(void **state)
{
    (void)state;
    mote__pool *pool = pool_of(7);
    _Atomic uint64_t sum = 0;
    mote__pool_run(pool, UINT32_MAX, 1u << 30, add_length, &sum);
    assert_true(atomic_load(&sum) == UINT32_MAX);
    mote__pool_close(pool);
}

/* Workers that went to sleep come back, and the last to finish wakes the caller. */
static void nap(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    struct timespec t = {0, begin == 0 ? 0 : 500000};
    nanosleep(&t, NULL);
    atomic_fetch_add((_Atomic uint32_t *)arg, end - begin);
}

static void sleeping_and_waking(void **state)
{
    (void)state;
    mote__pool *pool = pool_of(4);
    _Atomic uint32_t sum = 0;
    for (int i = 0; i < 50; i++) {
        mote__pool_run(pool, 100, 1, nap, &sum);
        struct timespec t = {0, (i % 5) * 100000};
        nanosleep(&t, NULL);
    }
    assert_int_equal(atomic_load(&sum), 5000);
    mote__pool_close(pool);
}

/* A range that takes long leaves the others of its share to whoever is done. */
typedef struct held_up {
    _Atomic uint32_t done, seen; /* ranges; those finished when the long one is */
} held_up;

static void hold_up(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    held_up *h = arg;
    (void)end;
    (void)worker;
    if (begin == 0) {
        struct timespec t = {0, 1000000};
        for (int i = 0; i < 2000 && atomic_load(&h->done) < 2 * MOTE__POOL_FINE - 1;
                i++)
            nanosleep(&t, NULL);
        atomic_store(&h->seen, atomic_load(&h->done));
    }
    atomic_fetch_add(&h->done, 1);
}

static void fine_ranges_are_shared(void **state)
{
    (void)state;
    if (mote__cpu_cores() < 2)
        skip();
    mote__pool *pool = pool_of(2);
    held_up h = {0, 0};
    mote__pool_run_fine(pool, 2 * MOTE__POOL_FINE, 1, hold_up, &h);
    assert_int_equal(atomic_load(&h.done), 2 * MOTE__POOL_FINE);
    assert_int_equal(atomic_load(&h.seen), 2 * MOTE__POOL_FINE - 1);
    mote__pool_close(pool);
}

typedef struct nested {
    mote__pool *pool;
    _Atomic uint64_t sum;
} nested;

static void outer(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    nested *x = arg;
    for (uint32_t i = begin; i < end; i++)
        mote__pool_run(x->pool, 100, 1, add_length, &x->sum);
}

static void a_step_within_a_step(void **state)
{
    (void)state;
    nested x = {pool_of(4), 0};
    mote__pool_run(x.pool, 50, 1, outer, &x);
    assert_true(atomic_load(&x.sum) == 5000);
    mote__pool_close(x.pool);
}

typedef struct session {
    mote__pool *pool;
    coverage c;
    int failed;
    pthread_t thread;
} session;

static void *session_main(void *arg)
{
    session *s = arg;
    for (uint32_t i = 0; i < 500; i++) {
        coverage *c = &s->c;
        memset(c, 0, sizeof *c);
        c->n = 1 + i % 97;
        c->grain = 1 + i % 3;
        c->n_threads = mote__pool_threads(s->pool);
        (i % 2 ? mote__pool_run_fine : mote__pool_run)(
                s->pool, c->n, c->grain, cover, c);
        s->failed |= atomic_load(&c->bad) != 0;
        for (uint32_t k = 0; k < c->n; k++)
            s->failed |= c->hits[k] != 1;
    }
    return NULL;
}

static void sessions_at_once(void **state)
{
    (void)state;
    enum { SESSIONS = 4 };
    static session s[SESSIONS];
    mote__pool *pool = pool_of(3);
    for (int i = 0; i < SESSIONS; i++) {
        s[i].pool = pool;
        assert_int_equal(pthread_create(&s[i].thread, NULL, session_main, &s[i]), 0);
    }
    for (int i = 0; i < SESSIONS; i++) {
        pthread_join(s[i].thread, NULL);
        assert_false(s[i].failed);
    }
    mote__pool_close(pool);
}

/* A host pool may use any order; a wrong index is not passed on. */
typedef struct host {
    uint32_t calls, n_last;
} host;

static void backwards(void *user, uint32_t n, mote_task_fn run, void *task)
{
    host *h = user;
    h->calls++;
    h->n_last = n;
    run(task, n);
    for (uint32_t i = n; i-- > 0;)
        run(task, i);
}

static void host_pool(void **state)
{
    (void)state;
    static coverage c;
    host h = {0, 0};
    mote__pool *pool;
    assert_int_equal(mote__pool_open(&pool, NULL, 5, backwards, &h, NULL), MOTE_OK);
    assert_int_equal(mote__pool_threads(pool), 5);
    run_coverage(pool, &c, 1000, 16, 0);
    run_coverage(pool, &c, 1000, 16, 1);
    assert_int_equal(h.n_last, 5);
    run_coverage(pool, &c, 33, 16, 0);
    assert_int_equal(h.n_last, 3);
    assert_int_equal(h.calls, 3);
    mote__pool_close(pool);
}

static void steps_allocate_nothing(void **state)
{
    (void)state;
    static coverage c;
    mote__memory m;
    mote__memory_init(&m, NULL, NULL, NULL);
    mote__pool *pool;
    assert_int_equal(mote__pool_open(&pool, &m, 4, NULL, NULL, NULL), MOTE_OK);
    uint64_t before = atomic_load(&m.n_allocs);
    for (int i = 0; i < 100; i++)
        run_coverage(pool, &c, 100, 1, i % 2);
    assert_true(atomic_load(&m.n_allocs) == before);
    mote__pool_close(pool);
    assert_true(atomic_load(&m.bytes[MOTE_MEM_OTHER]) == 0);
}

static void *no_memory(void *user, size_t size, size_t align, int32_t tag)
{
    (void)user, (void)size, (void)align, (void)tag;
    return NULL;
}

static void free_nothing(void *user, void *ptr, size_t size, int32_t tag)
{
    (void)user, (void)ptr, (void)size, (void)tag;
}

static void out_of_memory_is_an_error(void **state)
{
    (void)state;
    mote__memory m;
    mote__memory_init(&m, no_memory, free_nothing, NULL);
    mote__pool *pool;
    mote_error err;
    assert_int_equal(mote__pool_open(&pool, &m, 4, NULL, NULL, &err), MOTE_E_MEMORY);
    assert_null(pool);
}

#ifndef _WIN32
/* "A forked child has no workers, and still computes." */
static void a_forked_child_computes(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    mote__pool *pool = pool_of(4);
    _Atomic uint64_t sum = 0;
    mote__pool_run(pool, 1000, 1, add_length, &sum);
    struct timespec t = {0, 20000000}; /* workers are asleep, no lock is held */
    nanosleep(&t, NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        atomic_store(&sum, 0);
        mote__pool_run(pool, 1000, 1, add_length, &sum);
        mote__pool_close(pool);
        _exit(atomic_load(&sum) == 1000 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mote__pool_close(pool);
}

#endif

#if defined(__linux__) && defined(__x86_64__)
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Only futex and exit from here on, in every thread; anything else kills the process.
 */
static int allow_only_futex(void)
{
    struct sock_filter rules[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 2, 0),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
                   &program) == 0
                   ? 0
                   : -1;
}

static void steps_make_no_system_call_but_futex(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        mote__pool *pool = NULL;
        if (mote__pool_open(&pool, NULL, 4, NULL, NULL, NULL) < 0)
            _exit(1);
        _Atomic uint64_t sum = 0;
        mote__pool_run(pool, 1000, 1, add_length, &sum);
        struct timespec t = {0, 50000000}; /* threads that start make other calls */
        nanosleep(&t, NULL);
        if (allow_only_futex() < 0)
            _exit(77);
        for (int i = 0; i < 2000; i++) {
            mote__pool_run(pool, 1000, 1, add_length, &sum);
            for (volatile int k = 0; i % 50 == 0 && k < 1000000; k++)
                ; /* long enough that workers sleep now and then */
        }
        syscall(SYS_exit_group, atomic_load(&sum) == 2001000 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* the system allows no filter here */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#endif

/* The oversubscription trap: a pure spin barrier with eight threads on two cores was a
 * hundred times slower than a sleeping one, since threads that wait use up the time of
 * those they wait for. It shows in the processor time, which unlike the time on the
 * wall is the same whatever else the machine does; the bound only tells the trap (tens
 * of times as much) from the rest. */
static void spend(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    (void)worker;
    float *x = arg;
    for (uint32_t i = begin; i < end; i++)
        for (int k = 0; k < 500; k++)
            x[i] = x[i] * 0.999f + 0.001f;
}

static double processor_seconds(mote__pool *pool, float *x)
{
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (int i = 0; i < 200; i++)
        mote__pool_run(pool, 64, 1, spend, x);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    return (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
}

static void too_many_threads_lose_little(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    static float x[64];
    uint32_t cores = mote__cpu_cores();
    if (cores > 16)
        skip();
    mote__pool *few = pool_of(cores), *many = pool_of(4 * cores);
    double a = 0, b = 0;
    int turns = 0;
    /* Long enough for a clock that goes in steps of 10 ms. */
    for (; turns < 7 || (a < 0.1 && turns < 1000); turns++) {
        a += processor_seconds(few, x);
        b += processor_seconds(many, x);
    }
    print_message("%d steps: %.0f ms of processor time with %u threads, %.0f ms with "
                  "%u\n",
            200 * turns, a * 1e3, cores, b * 1e3, 4 * cores);
    assert_true(b < 4 * a);
    mote__pool_close(few);
    mote__pool_close(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_once),
        cmocka_unit_test(default_is_one_per_core),
        cmocka_unit_test(too_many_threads_is_an_error),
        cmocka_unit_test(largest_range),
        cmocka_unit_test(sleeping_and_waking),
        cmocka_unit_test(fine_ranges_are_shared),
        cmocka_unit_test(a_step_within_a_step),
        cmocka_unit_test(sessions_at_once),
        cmocka_unit_test(host_pool),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(out_of_memory_is_an_error),
#ifndef _WIN32
        cmocka_unit_test(a_forked_child_computes),
#endif
#if defined(__linux__) && defined(__x86_64__)
        cmocka_unit_test(steps_make_no_system_call_but_futex),
#endif
        cmocka_unit_test(too_many_threads_lose_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
