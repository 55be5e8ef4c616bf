/* SPDX-License-Identifier: MIT */
/* Everything that the library asks the system for, made to fail on purpose: the linker
 * routes its calls through faults.c (-Wl,--wrap), and the host allocator is ours.
 * Libraries it stands on (jansson, zstd, PCRE2) call the system directly and are not
 * touched: jansson does not survive failing allocations. */
#ifndef MOTE_TESTS_FAULTS_H
#define MOTE_TESTS_FAULTS_H
#include "mote/mote.h"

enum {
    FAULT_HOST = 1,    /* mote_model_options.alloc */
    FAULT_MALLOC = 2,  /* malloc, calloc, realloc, posix_memalign */
    FAULT_FILE = 4,    /* open, fopen, pread, fwrite, fclose, fsync, rename, io_uring */
    FAULT_MAP = 8,     /* mmap */
    FAULT_THREAD = 16, /* pthread_create */
    FAULT_KINDS = 5
};

/* The n-th call (from 0) of one of `kinds` fails; sticky: all later ones as well, until
 * faults_rest(). */
void faults_arm(unsigned kinds, long nth, int sticky);
/* No more failures; returns how many calls have failed since faults_arm(). */
long faults_rest(void);
/* Calls that have failed so far. */
long faults_seen(void);
/* Blocks that the library holds now: of the host allocator, and of the C library. */
long faults_live(void);
/* Have the model use the host allocator that is watched. */
void faults_options(mote_model_options *o);
#endif
