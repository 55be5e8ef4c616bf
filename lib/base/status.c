/* SPDX-License-Identifier: MIT */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>

/* Length of the UTF-8 sequence at p, 0 when it is none (also when it is cut short). */
static size_t utf8_length(const unsigned char *p)
{
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) /* the NUL at the end as well */
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
            (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return n;
}

/* One line of valid UTF-8, whatever text from a file or path was quoted in it and
 * wherever the buffer cut it. */
static void clean(char *message)
{
    unsigned char *p = (unsigned char *)message;
    while (*p) {
        size_t n = utf8_length(p);
        if (n == 0 || *p < 0x20 || *p == 0x7f) {
            *p = '?';
            n = 1;
        }
        p += n;
    }
}

mote_status mote__fail(mote_error *err, mote_status status, const char *format, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->message, sizeof err->message, format, ap);
        va_end(ap);
        err->status = status;
        clean(err->message);
    }
    return status;
}

mote_status mote__fail_memory(mote_error *err, size_t size, const char *what)
{
    return mote__fail(
            err, MOTE_E_MEMORY, "out of memory: %zu bytes for %s", size, what);
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
    case MOTE_OK:
        return "MOTE_OK";
    case MOTE_DONE:
        return "MOTE_DONE";
    case MOTE_E_INVALID:
        return "MOTE_E_INVALID";
    case MOTE_E_MEMORY:
        return "MOTE_E_MEMORY";
    case MOTE_E_IO:
        return "MOTE_E_IO";
    case MOTE_E_FORMAT:
        return "MOTE_E_FORMAT";
    case MOTE_E_UNSUPPORTED:
        return "MOTE_E_UNSUPPORTED";
    case MOTE_E_NOT_FOUND:
        return "MOTE_E_NOT_FOUND";
    case MOTE_E_CONTEXT_FULL:
        return "MOTE_E_CONTEXT_FULL";
    case MOTE_E_CANCELLED:
        return "MOTE_E_CANCELLED";
    case MOTE_E_NUMERIC:
        return "MOTE_E_NUMERIC";
    case MOTE_E_MISMATCH:
        return "MOTE_E_MISMATCH";
    case MOTE_E_BUDGET:
        return "MOTE_E_BUDGET";
    default:
        return "unknown status";
    }
}
