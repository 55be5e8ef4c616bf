/* SPDX-License-Identifier: MIT */
/* Bytes that grow. */
#ifndef MOTE_CLI_BUFFER_H
#define MOTE_CLI_BUFFER_H
#include <stddef.h>

/* `data` is NUL-terminated once anything was added. */
typedef struct cli_buffer {
    char *data;
    size_t n, capacity;
} cli_buffer;
int cli_append(
        cli_buffer *buffer, const void *data, size_t n); /* 0, or -1: no memory */
void cli_buffer_free(cli_buffer *buffer);
#endif
