/* SPDX-License-Identifier: MIT */
/* Safetensors bytes for tests: header length, header, and data whose byte i is i mod
 * 251. */
#ifndef MOTE_TESTS_MAKE_SAFETENSORS_H
#define MOTE_TESTS_MAKE_SAFETENSORS_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* From malloc; *size receives the length. */
static inline uint8_t *make_safetensors(const char *header, size_t n_data, size_t *size)
{
    size_t n = strlen(header);
    uint8_t *p = malloc(8 + n + n_data);
    if (!p)
        abort();
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(p + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        p[8 + n + i] = (uint8_t)(i % 251);
    *size = 8 + n + n_data;
    return p;
}
#endif
