/* SPDX-License-Identifier: MIT */
/* Stands before the library and tells what passes between two calls of
 * mote_session_next(): what a program, with its binding, does with a piece, and the way
 * into the library and back. Loaded in the library's place (MOTE_LIBRARY) or before it
 * (LD_PRELOAD). When a generation ends it prints, on stderr, the nanoseconds per piece
 * between calls and within them.
 *
 * Unlike the difference of two programs' times it does not contain the luck of where
 * each has its memory. */
#include <mote/mote.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

typedef mote_status next_fn(mote_session *, mote_piece *, mote_error *);

MOTE_API mote_status mote_session_next(
        mote_session *session, mote_piece *piece, mote_error *err)
{
    static next_fn *next;
    static double left, between, within;
    static unsigned n;
    if (!next) {
        /* a pointer to data is one to a function: POSIX */
        *(void **)(void *)&next = dlsym(RTLD_NEXT, "mote_session_next");
        /* naming something of the library's brings it along */
        if (!next || mote_version_number() != MOTE_VERSION_NUMBER)
            abort();
    }
    double entered = now_ns();
    mote_status st = next(session, piece, err);
    double leaves = now_ns();
    if (st == MOTE_OK) {
        if (left > 0) {
            between += entered - left;
            within += leaves - entered;
            n++;
        }
        left = leaves;
        return st;
    }
    if (n)
        fprintf(stderr, "%.0f %.0f\n", between / n, within / n);
    left = between = within = n = 0;
    return st;
}
