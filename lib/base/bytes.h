/* SPDX-License-Identifier: MIT */
/* Little-endian numbers in files, whatever the machine. */
#ifndef MOTE_BASE_BYTES_H
#define MOTE_BASE_BYTES_H
#include <stdint.h>

static inline void mote__put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void mote__put64(uint8_t *p, uint64_t v)
{
    mote__put32(p, (uint32_t)v);
    mote__put32(p + 4, (uint32_t)(v >> 32));
}

static inline uint32_t mote__get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t mote__get64(const uint8_t *p)
{
    return mote__get32(p) | (uint64_t)mote__get32(p + 4) << 32;
}
#endif
