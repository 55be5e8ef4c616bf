/* SPDX-License-Identifier: MIT */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>

mote_status mote__fail(mote_error *err, mote_status status, const char *format, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->message, sizeof err->message, format, ap);
        va_end(ap);
        err->status = status;
        /* One line, whatever text from a file was quoted in it. */
        for (char *p = err->message; *p; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                *p = '?';
    }
    return status;
}

mote_status mote__fail_memory(mote_error *err, size_t size, const char *what)
{
    return mote__fail(err, MOTE_E_MEMORY, "out of memory: %zu bytes for %s", size, what);
}

void mote__clear(mote_error *err)
{
    if (err) {
        err->status = MOTE_OK;
        err->message[0] = '\0';
    }
}

const char *mote_status_name(mote_status status)
{
    switch (status) {
    case MOTE_OK: return "MOTE_OK";
    case MOTE_DONE: return "MOTE_DONE";
    case MOTE_E_INVALID: return "MOTE_E_INVALID";
    case MOTE_E_MEMORY: return "MOTE_E_MEMORY";
    case MOTE_E_IO: return "MOTE_E_IO";
    case MOTE_E_FORMAT: return "MOTE_E_FORMAT";
    case MOTE_E_UNSUPPORTED: return "MOTE_E_UNSUPPORTED";
    case MOTE_E_NOT_FOUND: return "MOTE_E_NOT_FOUND";
    case MOTE_E_CONTEXT_FULL: return "MOTE_E_CONTEXT_FULL";
    case MOTE_E_CANCELLED: return "MOTE_E_CANCELLED";
    case MOTE_E_NUMERIC: return "MOTE_E_NUMERIC";
    case MOTE_E_MISMATCH: return "MOTE_E_MISMATCH";
    case MOTE_E_BUDGET: return "MOTE_E_BUDGET";
    default: return "unknown status";
    }
}
