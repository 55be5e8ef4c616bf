/* SPDX-License-Identifier: MIT */
#include "buffer.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int cli_append(cli_buffer *buffer, const void *data, size_t n)
{
    if (n > SIZE_MAX / 2 - buffer->n)
        return -1;
    const size_t need = buffer->n + n + 1;
    if (need > buffer->capacity) {
        const size_t capacity = need < 256 ? 256 : need + need / 2;
        char *grown = realloc(buffer->data, capacity);
        if (!grown)
            return -1;
        buffer->data = grown;
        buffer->capacity = capacity;
    }
    if (n)
        memcpy(buffer->data + buffer->n, data, n);
    buffer->n += n;
    buffer->data[buffer->n] = 0;
    return 0;
}

void cli_buffer_free(cli_buffer *buffer)
{
    free(buffer->data);
    memset(buffer, 0, sizeof(*buffer));
}
