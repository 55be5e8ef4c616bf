/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include <string.h>

#define P1 0x9E3779B185EBCA87u
#define P2 0xC2B2AE3D27D4EB4Fu
#define P3 0x165667B19E3779F9u
#define P4 0x85EBCA77C2B2AE63u
#define P5 0x27D4EB2F165667C5u

static uint64_t rotl(uint64_t v, int n)
{
    return v << n | v >> (64 - n);
}

static uint64_t read64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static uint64_t read32(const uint8_t *p)
{
    return p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

static uint64_t round1(uint64_t acc, uint64_t v)
{
    return rotl(acc + v * P2, 31) * P1;
}

static void stripe(mote__hash *h, const uint8_t *p)
{
    for (int i = 0; i < 4; i++)
        h->lane[i] = round1(h->lane[i], read64(p + 8 * i));
}

void mote__hash_begin(mote__hash *h, uint64_t seed)
{
    memset(h, 0, sizeof *h);
    h->seed = seed;
    h->lane[0] = seed + P1 + P2;
    h->lane[1] = seed + P2;
    h->lane[2] = seed;
    h->lane[3] = seed - P1;
}

void mote__hash_add(mote__hash *h, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (!n)
        return;
    h->total += n;
    if (h->n_tail) {
        size_t take = 32 - h->n_tail < n ? 32 - h->n_tail : n;
        memcpy(h->tail + h->n_tail, p, take);
        h->n_tail += (uint32_t)take;
        p += take;
        n -= take;
        if (h->n_tail < 32)
            return;
        stripe(h, h->tail);
        h->n_tail = 0;
    }
    for (; n >= 32; p += 32, n -= 32)
        stripe(h, p);
    memcpy(h->tail, p, n);
    h->n_tail = (uint32_t)n;
}

uint64_t mote__hash_end(const mote__hash *h)
{
    uint64_t v;
    if (h->total >= 32) {
        v = rotl(h->lane[0], 1) + rotl(h->lane[1], 7) + rotl(h->lane[2], 12) +
            rotl(h->lane[3], 18);
        for (int i = 0; i < 4; i++)
            v = (v ^ round1(0, h->lane[i])) * P1 + P4;
    } else {
        v = h->seed + P5;
    }
    v += h->total;
    const uint8_t *p = h->tail;
    uint32_t n = h->n_tail;
    for (; n >= 8; p += 8, n -= 8)
        v = rotl(v ^ round1(0, read64(p)), 27) * P1 + P4;
    if (n >= 4) {
        v = rotl(v ^ read32(p) * P1, 23) * P2 + P3;
        p += 4;
        n -= 4;
    }
    for (; n; p++, n--)
        v = rotl(v ^ *p * P5, 11) * P1;
    v = (v ^ v >> 33) * P2;
    v = (v ^ v >> 29) * P3;
    return v ^ v >> 32;
}

uint64_t mote__hash_of(const void *data, size_t n)
{
    mote__hash h;
    mote__hash_begin(&h, 0);
    mote__hash_add(&h, data, n);
    return mote__hash_end(&h);
}
