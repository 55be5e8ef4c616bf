/* SPDX-License-Identifier: MIT */
/* The arena cut into units: what a pack checks, compresses and reads as one. An expert
 * (gate, up, down with their scales) is one unit; other weights are cut at whole panels
 * or heads so that none is much larger than 16 MB. */
#ifndef MOTE_MODEL_UNITS_H
#define MOTE_MODEL_UNITS_H
#include "model/layout.h"

typedef struct mote__unit {
    uint32_t slot, n_slots; /* 3 for an expert, else 1 */
    uint32_t begin, end;    /* of one slot: sub-matrices (stack > 1), panels or rows */
    uint32_t last;          /* 1: the slot's scales are in this unit */
    uint64_t offset, n_bytes; /* in the arena */
} mote__unit;

typedef struct mote__units {
    mote__unit *units;
    size_t n, capacity;
} mote__units;

/* MOTE_E_FORMAT when there would be more than n_max: a hostile configuration must not
 * cost memory. */
mote_status mote__units_of(
        mote__units *out, const mote__layout *l, size_t n_max, mote_error *err);
void mote__units_free(mote__units *u);

/* Lossless compression of one unit (raw -> frame and back). Exponents of fp8 and bf16
 * values are kept apart from signs and mantissas: exponents compress, the rest does
 * not. work: mote__unit_work(n_bytes). */
size_t mote__unit_work(size_t n_bytes);
size_t mote__unit_bound(size_t n_bytes);
mote_status mote__unit_compress(uint8_t *dst, size_t capacity, size_t *length,
        const uint8_t *raw, const mote__unit *u, const mote__layout *l, int level,
        uint8_t *work, mote_error *err);
mote_status mote__unit_expand(uint8_t *raw, const uint8_t *frame, size_t n,
        const mote__unit *u, const mote__layout *l, uint8_t *work, mote_error *err);
/* Norms, routers, their bias, scales and weights of e4m3 must be finite: one that is not
 * makes every token wrong. `raw` holds the unit's bytes. */
mote_status mote__unit_check(const uint8_t *raw, const mote__unit *u,
        const mote__layout *l, mote_error *err);
#endif
