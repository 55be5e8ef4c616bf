/* SPDX-License-Identifier: MIT */
#include "model/units.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { UNIT_BYTES = 16 << 20 };

static mote_status push(
        mote__units *u, const mote__unit *unit, size_t n_max, mote_error *err)
{
    if (u->n == n_max)
        return mote__fail(err, MOTE_E_FORMAT,
                "the pack's weights do not fit its configuration: more than %zu units",
                n_max);
    if (mote__grow((void **)&u->units, &u->capacity, u->n + 1, sizeof *u->units) < 0)
        return mote__fail_memory(err, u->n * sizeof *u->units, "list of units");
    u->units[u->n++] = *unit;
    return MOTE_OK;
}

static uint64_t slot_end(const mote__slot *s)
{
    return s->scale_bytes ? s->scale_offset + s->scale_bytes : s->offset + s->n_bytes;
}

/* What a slot is cut along, how many there are, bytes of one. */
static uint32_t grains(const mote__slot *s, uint64_t *bytes)
{
    if (s->stack > 1) {
        *bytes = mote__slot_sub_bytes(s);
        return s->stack;
    }
    if (s->form >= MOTE_K_TYPES) {
        *bytes = s->n_bytes / s->n_rows;
        return s->n_rows;
    }
    *bytes = mote_k_data_bytes(s->form, MOTE_PANEL, s->n_cols);
    return mote_k_panels(s->n_rows);
}

static mote_status cut(mote__units *u, const mote__slot *s, uint32_t index,
        size_t n_max, mote_error *err)
{
    uint64_t bytes;
    uint32_t n = grains(s, &bytes);
    uint64_t per = UNIT_BYTES / (bytes ? bytes : 1);
    uint32_t step = per < 1 ? 1 : per > n ? n : (uint32_t)per;
    for (uint32_t b = 0; b < n; b += step) {
        uint32_t e = n - b < step ? n : b + step;
        mote__unit unit = {.slot = index,
                .n_slots = 1,
                .begin = b,
                .end = e,
                .last = e == n,
                .offset = s->offset + b * bytes};
        unit.n_bytes = (e == n ? slot_end(s) : s->offset + e * bytes) - unit.offset;
        mote_status st = push(u, &unit, n_max, err);
        if (st < 0)
            return st;
    }
    return MOTE_OK;
}

mote_status mote__units_of(
        mote__units *out, const mote__layout *l, size_t n_max, mote_error *err)
{
    memset(out, 0, sizeof *out);
    mote_status st = MOTE_OK;
    for (uint32_t i = 0; i < l->n_slots && st >= 0; i++) {
        const mote__slot *s = &l->slots[i];
        if (s->role != MOTE__ROLE_EXPERT_GATE) {
            st = cut(out, s, i, n_max, err);
            continue;
        }
        mote__unit unit = {.slot = i,
                .n_slots = 3,
                .last = 1,
                .offset = s->offset,
                .n_bytes = slot_end(&l->slots[i + 2]) - s->offset};
        st = push(out, &unit, n_max, err);
        i += 2;
    }
    if (st < 0)
        mote__units_free(out);
    return st;
}

void mote__units_free(mote__units *u)
{
    free(u->units);
    memset(u, 0, sizeof *u);
}

/* Parts of a unit whose values have exponents. */
typedef struct part {
    size_t at, n; /* within the unit; n even */
    uint32_t form;
} part;

static uint32_t parts_of(part out[3], const mote__unit *u, const mote__layout *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < u->n_slots; i++) {
        const mote__slot *s = &l->slots[u->slot + i];
        if (s->form != MOTE_K_E4M3 && s->form != MOTE_K_BF16 &&
                s->form != MOTE__FORM_ROWS_BF16)
            continue;
        uint64_t b = s->offset > u->offset ? s->offset : u->offset;
        uint64_t e = s->offset + s->n_bytes, end = u->offset + u->n_bytes;
        e = e < end ? e : end;
        if (e > b)
            out[n++] = (part){
                    (size_t)(b - u->offset), (size_t)(e - b) & ~(size_t)1, s->form};
    }
    return n;
}

static void split(uint8_t *hi, uint8_t *lo, const uint8_t *raw, size_t n, uint32_t form)
{
    for (size_t i = 0; i < n / 2; i++) {
        unsigned a = raw[2 * i], b = raw[2 * i + 1];
        if (form == MOTE_K_E4M3) { /* s eeee mmm */
            hi[i] = (uint8_t)((a >> 3 & 15) | (b >> 3 & 15) << 4);
            lo[i] = (uint8_t)((a & 7) | (a >> 7) << 3 | (b & 7) << 4 | (b >> 7) << 7);
        } else { /* s eeeeeeee mmmmmmm, little-endian */
            hi[i] = (uint8_t)(b << 1 | a >> 7);
            lo[i] = (uint8_t)((a & 0x7f) | (b & 0x80));
        }
    }
}

static void join(
        uint8_t *raw, const uint8_t *hi, const uint8_t *lo, size_t n, uint32_t form)
{
    for (size_t i = 0; i < n / 2; i++) {
        unsigned h = hi[i], m = lo[i];
        if (form == MOTE_K_E4M3) {
            raw[2 * i] = (uint8_t)((m & 7) | (m >> 3 & 1) << 7 | (h & 15) << 3);
            raw[2 * i + 1] = (uint8_t)((m >> 4 & 7) | (m >> 7) << 7 | (h >> 4) << 3);
        } else {
            raw[2 * i] = (uint8_t)((m & 0x7f) | (h & 1) << 7);
            raw[2 * i + 1] = (uint8_t)((m & 0x80) | h >> 1);
        }
    }
}

size_t mote__unit_work(size_t n_bytes)
{
    return n_bytes;
}
size_t mote__unit_bound(size_t n_bytes)
{
    return ZSTD_compressBound(n_bytes);
}

/* Planes in the order: exponents of all parts, then the rest of all parts, then what is
 * not in a part (scales, padding), each in order of position. */
static void to_planes(
        uint8_t *dst, const uint8_t *raw, const part *p, uint32_t n, size_t size)
{
    size_t hi = 0, lo = 0, at = 0;
    for (uint32_t i = 0; i < n; i++)
        lo += p[i].n / 2;
    size_t rest = 2 * lo;
    for (uint32_t i = 0; i < n; i++) {
        split(dst + hi, dst + lo, raw + p[i].at, p[i].n, p[i].form);
        hi += p[i].n / 2;
        lo += p[i].n / 2;
        memcpy(dst + rest, raw + at, p[i].at - at);
        rest += p[i].at - at;
        at = p[i].at + p[i].n;
    }
    memcpy(dst + rest, raw + at, size - at);
}

static void from_planes(
        uint8_t *raw, const uint8_t *src, const part *p, uint32_t n, size_t size)
{
    size_t hi = 0, lo = 0, at = 0;
    for (uint32_t i = 0; i < n; i++)
        lo += p[i].n / 2;
    size_t rest = 2 * lo;
    for (uint32_t i = 0; i < n; i++) {
        join(raw + p[i].at, src + hi, src + lo, p[i].n, p[i].form);
        hi += p[i].n / 2;
        lo += p[i].n / 2;
        memcpy(raw + at, src + rest, p[i].at - at);
        rest += p[i].at - at;
        at = p[i].at + p[i].n;
    }
    memcpy(raw + at, src + rest, size - at);
}

mote_status mote__unit_compress(uint8_t *dst, size_t capacity, size_t *length,
        const uint8_t *raw, const mote__unit *u, const mote__layout *l, int level,
        uint8_t *work, mote_error *err)
{
    part p[3];
    uint32_t n = parts_of(p, u, l);
    to_planes(work, raw, p, n, (size_t)u->n_bytes);
    size_t r = ZSTD_compress(dst, capacity, work, (size_t)u->n_bytes, level);
    if (ZSTD_isError(r))
        return mote__fail(
                err, MOTE_E_MEMORY, "compressing weights: %s", ZSTD_getErrorName(r));
    *length = r;
    return MOTE_OK;
}

mote_status mote__unit_expand(uint8_t *raw, const uint8_t *frame, size_t n,
        const mote__unit *u, const mote__layout *l, uint8_t *work, mote_error *err)
{
    /* One frame that says what it holds, and nothing else: no frame makes us allocate a
     * window, and none is decoded that could not be right. */
    if (ZSTD_getFrameContentSize(frame, n) != u->n_bytes ||
            ZSTD_findFrameCompressedSize(frame, n) != n)
        return mote__fail(err, MOTE_E_FORMAT,
                "compressed weights are damaged: expected one frame of %llu bytes",
                (unsigned long long)u->n_bytes);
    size_t r = ZSTD_decompress(work, (size_t)u->n_bytes, frame, n);
    if (ZSTD_isError(r) || r != u->n_bytes)
        return mote__fail(err, MOTE_E_FORMAT, "compressed weights are damaged: %s",
                ZSTD_isError(r) ? ZSTD_getErrorName(r) : "wrong size");
    part p[3];
    uint32_t n_parts = parts_of(p, u, l);
    from_planes(raw, work, p, n_parts, (size_t)u->n_bytes);
    return MOTE_OK;
}

/* What a unit has of bytes [begin, end) of the arena: *n of them, from *at on; returns
 * where they lie in `raw`, the unit's bytes. */
static const uint8_t *bytes_in(const uint8_t *raw, const mote__unit *u, uint64_t begin,
        uint64_t end, uint64_t *at, size_t *n)
{
    const uint64_t last = u->offset + u->n_bytes;
    *at = begin > u->offset ? begin : u->offset;
    end = end < last ? end : last;
    *n = end > *at ? (size_t)(end - *at) : 0;
    return *n ? raw + (*at - u->offset) : raw;
}

/* Each of these returns the index, in its slot, of the first number in unit u that is
 * not finite; UINT64_MAX: there is none. Floats in [begin, end) of the arena: */
static uint64_t bad_float(
        const uint8_t *raw, const mote__unit *u, uint64_t begin, uint64_t end)
{
    uint64_t at;
    size_t n;
    const uint8_t *bytes = bytes_in(raw, u, begin, end, &at, &n);
    for (size_t i = 0; i + 4 <= n; i += 4) {
        uint32_t bits;
        memcpy(&bits, bytes + i, 4);
        if ((bits & 0x7f800000u) == 0x7f800000u)
            return (at - begin + i) / 4;
    }
    return UINT64_MAX;
}

static uint64_t bad_e4m3(const uint8_t *raw, const mote__unit *u, const mote__slot *s)
{
    uint64_t at;
    size_t n;
    const uint8_t *bytes = bytes_in(raw, u, s->offset, s->offset + s->n_bytes, &at, &n);
    const size_t nan = mote_k_e4m3_nan(bytes, n);
    return nan < n ? at - s->offset + nan : UINT64_MAX;
}

/* Scales of int4 lie before the columns that they scale. */
static uint64_t bad_int4_scale(
        const uint8_t *raw, const mote__unit *u, const mote__slot *s)
{
    uint64_t at;
    size_t n;
    const uint8_t *bytes = bytes_in(raw, u, s->offset, s->offset + s->n_bytes, &at, &n);
    for (size_t p = 0; p + MOTE_I4_PART_BYTES <= n; p += MOTE_I4_PART_BYTES)
        for (size_t i = 0; i < MOTE_I4_PART_SCALES; i += 2) {
            uint16_t bits;
            memcpy(&bits, bytes + p + i, 2);
            if ((bits & 0x7f80u) == 0x7f80u)
                return (at - s->offset + p) / MOTE_I4_PART_BYTES *
                               (MOTE_I4_PART_SCALES / 2) +
                       i / 2;
        }
    return UINT64_MAX;
}

mote_status mote__unit_check(
        const uint8_t *raw, const mote__unit *u, const mote__layout *l, mote_error *err)
{
    for (uint32_t i = 0; i < u->n_slots; i++) {
        const mote__slot *s = &l->slots[u->slot + i];
        uint64_t bad = UINT64_MAX;
        const char *what = "scale";
        if (s->scale_bytes)
            bad = bad_float(raw, u, s->scale_offset, s->scale_offset + s->scale_bytes);
        else if (s->form == MOTE_K_I4)
            bad = bad_int4_scale(raw, u, s);
        if (bad == UINT64_MAX && s->form == MOTE_K_E4M3) {
            bad = bad_e4m3(raw, u, s);
            what = "weight";
        } else if (s->form == MOTE__FORM_ROWS_F32 && s->role != MOTE__ROLE_EMBED) {
            bad = bad_float(raw, u, s->offset, s->offset + s->n_bytes);
            what = "value";
        }
        if (bad != UINT64_MAX)
            return mote__fail(err, MOTE_E_FORMAT,
                    "the pack's %s weights of layer %u: %s %llu is not finite",
                    mote__role_name(s->role), s->layer, what, (unsigned long long)bad);
    }
    return MOTE_OK;
}
