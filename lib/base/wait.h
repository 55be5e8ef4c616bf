/* SPDX-License-Identifier: MIT */
/* Sleeping until a 32-bit word changes: a futex where the system has one, otherwise a
 * mutex and a condition that all words of one mote__wait share.
 *
 * mote__wait_on returns when *word was not `expected`, after a mote__wake on it, or for
 * no reason: callers loop. The word is always changed before mote__wake. */
#ifndef MOTE_BASE_WAIT_H
#define MOTE_BASE_WAIT_H
#include <stdatomic.h>
#include <stdint.h>

#if defined(__linux__) && !defined(MOTE_NO_FUTEX)
#define MOTE__FUTEX 1
#else
#define MOTE__FUTEX 0
#endif

#if MOTE__FUTEX
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct mote__wait {
    char unused;
} mote__wait;

static inline int mote__wait_init(mote__wait *w)
{
    w->unused = 0;
    return 0;
}
static inline void mote__wait_free(mote__wait *w)
{
    (void)w;
}
static inline void mote__wait_on(
        mote__wait *w, _Atomic uint32_t *word, uint32_t expected)
{
    (void)w;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}
static inline void mote__wake(mote__wait *w, _Atomic uint32_t *word)
{
    (void)w;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
#else
#include <pthread.h>

typedef struct mote__wait {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} mote__wait;

static inline int mote__wait_init(mote__wait *w)
{
    if (pthread_mutex_init(&w->mutex, NULL) != 0)
        return -1;
    if (pthread_cond_init(&w->changed, NULL) != 0) {
        pthread_mutex_destroy(&w->mutex);
        return -1;
    }
    return 0;
}
static inline void mote__wait_free(mote__wait *w)
{
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
}
static inline void mote__wait_on(
        mote__wait *w, _Atomic uint32_t *word, uint32_t expected)
{
    pthread_mutex_lock(&w->mutex);
    while (atomic_load(word) == expected)
        pthread_cond_wait(&w->changed, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
}
static inline void mote__wake(mote__wait *w, _Atomic uint32_t *word)
{
    (void)word;
    pthread_mutex_lock(&w->mutex);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}
#endif
#endif
