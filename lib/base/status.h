/* SPDX-License-Identifier: MIT */
/* Filling in a caller's mote_error. Every failing path of the library ends here. */
#ifndef MOTE_BASE_STATUS_H
#define MOTE_BASE_STATUS_H
#include "mote/common.h"

#if defined(__GNUC__)
#define MOTE__PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define MOTE__PRINTF(f, a)
#endif

/* Record status and message (err may be NULL) and return the status, so that
 * `return mote__fail(err, MOTE_E_FORMAT, "...", ...);` reads well. */
mote_status mote__fail(mote_error *err, mote_status status, const char *format, ...)
        MOTE__PRINTF(3, 4);
/* MOTE_E_MEMORY with a sentence that names what was wanted. */
mote_status mote__fail_memory(mote_error *err, size_t size, const char *what);
/* Empty the message and set MOTE_OK. */
void mote__clear(mote_error *err);
#endif
