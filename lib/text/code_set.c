/* SPDX-License-Identifier: MIT */
#include "code_set.h"

#include <stdlib.h>
#include <string.h>

#include "unicode_classes.inc"

void mote__code_set_free(mote__code_set *set)
{
    free(set->ranges);
    memset(set, 0, sizeof *set);
}

static int reserve(mote__code_set *set, size_t n)
{
    void *ranges = set->ranges;
    if (mote__grow(&ranges, &set->capacity, n, sizeof *set->ranges) < 0)
        return -1;
    set->ranges = ranges;
    return 0;
}

/* Index of the first range that ends at `unit` or later. */
static size_t first_ending_at(const mote__code_set *set, uint32_t unit)
{
    size_t lo = 0, hi = set->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (set->ranges[mid][1] < unit)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int mote__code_set_add(mote__code_set *set, uint32_t first, uint32_t last)
{
    /* The ranges that touch [first, last] become one with it. */
    size_t i = first_ending_at(set, first ? first - 1 : 0), j = i;
    for (; j < set->n && set->ranges[j][0] <= last + 1; j++) {
        first = set->ranges[j][0] < first ? set->ranges[j][0] : first;
        last = set->ranges[j][1] > last ? set->ranges[j][1] : last;
    }
    if (reserve(set, set->n + 1) < 0)
        return -1;
    if (j != i + 1)
        memmove(set->ranges + i + 1, set->ranges + j,
                (set->n - j) * sizeof *set->ranges);
    set->n = set->n - (j - i) + 1;
    set->ranges[i][0] = first;
    set->ranges[i][1] = last;
    return 0;
}

int mote__code_set_add_set(mote__code_set *set, const mote__code_set *other)
{
    mote__code_set out = {0};
    if (reserve(&out, set->n + other->n) < 0)
        return -1;
    /* In order of their beginnings each range joins or follows the one before. */
    for (size_t i = 0, k = 0; i < set->n || k < other->n;) {
        bool mine = k == other->n ||
                    (i < set->n && set->ranges[i][0] <= other->ranges[k][0]);
        const uint32_t *r = mine ? set->ranges[i++] : other->ranges[k++];
        if (out.n && r[0] <= out.ranges[out.n - 1][1] + 1) {
            if (r[1] > out.ranges[out.n - 1][1])
                out.ranges[out.n - 1][1] = r[1];
            continue;
        }
        out.ranges[out.n][0] = r[0];
        out.ranges[out.n++][1] = r[1];
    }
    mote__code_set_free(set);
    *set = out;
    return 0;
}

/* Ranges in order, as a set. */
static int from_table(mote__code_set *set, const uint32_t (*ranges)[2], size_t n)
{
    if (reserve(set, n) < 0)
        return -1;
    memcpy(set->ranges, ranges, n * sizeof *ranges);
    set->n = n;
    return 0;
}

int mote__code_set_add_class(mote__code_set *set, const char *name)
{
    /* A class is all tables of its name. */
    static const struct {
        const char *name;
        const uint32_t (*ranges)[2];
        size_t n;
    } classes[] = {
#define CLASS(name, r) {name, r, sizeof r / sizeof *r}
            CLASS("L", upper_ranges),
            CLASS("L", lower_ranges),
            CLASS("L", title_ranges),
            CLASS("L", modifier_ranges),
            CLASS("L", other_letter_ranges),
            CLASS("Lu", upper_ranges),
            CLASS("Ll", lower_ranges),
            CLASS("Lt", title_ranges),
            CLASS("Lm", modifier_ranges),
            CLASS("Lo", other_letter_ranges),
            CLASS("M", mark_ranges),
            CLASS("N", number_ranges),
            CLASS("Nd", digit_ranges),
            CLASS("P", punctuation_ranges),
            CLASS("S", symbol_ranges),
            CLASS("Han", han_ranges),
            CLASS("space", space_ranges),
#undef CLASS
    };
    int rc = 1;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strcmp(classes[i].name, name) != 0)
            continue;
        mote__code_set table = {0};
        rc = from_table(&table, classes[i].ranges, classes[i].n);
        if (rc == 0)
            rc = mote__code_set_add_set(set, &table);
        mote__code_set_free(&table);
        if (rc < 0)
            return -1;
    }
    return rc;
}

int mote__code_set_intersect(mote__code_set *set, const mote__code_set *other)
{
    mote__code_set out = {0};
    for (size_t i = 0, k = 0; i < set->n && k < other->n;) {
        const uint32_t *a = set->ranges[i], *b = other->ranges[k];
        uint32_t first = a[0] > b[0] ? a[0] : b[0], last = a[1] < b[1] ? a[1] : b[1];
        if (first <= last && mote__code_set_add(&out, first, last) < 0) {
            mote__code_set_free(&out);
            return -1;
        }
        if (a[1] < b[1])
            i++;
        else
            k++;
    }
    mote__code_set_free(set);
    *set = out;
    return 0;
}

int mote__code_set_invert(mote__code_set *set)
{
    mote__code_set out = {0};
    uint32_t next = 0;
    for (size_t i = 0; i < set->n; i++) {
        if (set->ranges[i][0] > next &&
                mote__code_set_add(&out, next, set->ranges[i][0] - 1) < 0)
            goto fail;
        next = set->ranges[i][1] + 1;
    }
    if (next < MOTE__UNITS && mote__code_set_add(&out, next, MOTE__UNITS - 1) < 0)
        goto fail;
    mote__code_set_free(set);
    *set = out;
    return 0;
fail:
    mote__code_set_free(&out);
    return -1;
}

bool mote__code_set_has(const mote__code_set *set, uint32_t unit)
{
    size_t i = first_ending_at(set, unit);
    return i < set->n && set->ranges[i][0] <= unit;
}

bool mote__code_set_equal(const mote__code_set *a, const mote__code_set *b)
{
    return a->n == b->n &&
           (a->n == 0 || memcmp(a->ranges, b->ranges, a->n * sizeof *a->ranges) == 0);
}

/* ---- partition ---- */

/* Intervals on which every set is constant, refined set by set. */
typedef struct intervals {
    uint32_t *start; /* [n] */
    uint16_t *class;
    size_t n;
} intervals;

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int intervals_make(intervals *v, const mote__code_set *sets, size_t n_sets)
{
    size_t n = 2; /* 0 and the invalid byte */
    for (size_t i = 0; i < n_sets; i++)
        n += 2 * sets[i].n;
    v->start = calloc(n, sizeof *v->start);
    v->class = calloc(n, sizeof *v->class);
    if (!v->start || !v->class)
        return -1;
    size_t k = 0;
    v->start[k++] = 0;
    v->start[k++] = MOTE__UNIT_INVALID;
    for (size_t i = 0; i < n_sets; i++)
        for (size_t r = 0; r < sets[i].n; r++) {
            v->start[k++] = sets[i].ranges[r][0];
            v->start[k++] = sets[i].ranges[r][1] + 1;
        }
    qsort(v->start, k, sizeof *v->start, compare_u32);
    for (size_t i = 0; i < k; i++)
        if (v->start[i] < MOTE__UNITS &&
                (v->n == 0 || v->start[v->n - 1] != v->start[i]))
            v->start[v->n++] = v->start[i];
    return 0;
}

/* Split each class into the part inside `set` and the part outside. Returns the new
 * number of classes, or 0 when there are too many. */
static uint32_t intervals_refine(
        intervals *v, const mote__code_set *set, uint32_t n_classes)
{
    uint16_t split[256][2];
    memset(split, 0xff, sizeof split);
    uint32_t n = 0;
    /* The last interval is the invalid byte, always first to be numbered: class 0. */
    for (size_t k = v->n; k-- > 0;) {
        uint16_t old = v->class[k];
        bool in = mote__code_set_has(set, v->start[k]);
        if (old >= n_classes)
            return 0;
        if (split[old][in] == 0xffff) {
            if (n == 256)
                return 0;
            split[old][in] = (uint16_t)n++;
        }
        v->class[k] = split[old][in];
    }
    return n;
}

static int add_page(mote__partition *p, const uint8_t page[256], uint16_t *index)
{
    if (p->n_pages == p->pages_capacity)
        return -1;
    memcpy(p->pages[p->n_pages], page, 256);
    *index = (uint16_t)p->n_pages++;
    return 0;
}

static int pages_fill(mote__partition *p, const intervals *v)
{
    uint8_t page[256];
    uint16_t even[256]; /* the page that is all of one class */
    size_t at = 0;
    memset(even, 0xff, sizeof even);
    for (uint32_t base = 0; base < 0x110000; base += 256) {
        uint16_t *index = &p->page_of[base >> 8];
        while (at + 1 < v->n && v->start[at + 1] <= base)
            at++;
        uint16_t first = v->class[at];
        if (at + 1 == v->n || v->start[at + 1] > base + 255) {
            memset(page, first, sizeof page);
            if (even[first] == 0xffff && add_page(p, page, &even[first]) < 0)
                return -1;
            *index = even[first];
            continue;
        }
        for (uint32_t i = 0; i < 256; i++) {
            while (at + 1 < v->n && v->start[at + 1] <= base + i)
                at++;
            page[i] = (uint8_t)v->class[at];
        }
        if (add_page(p, page, index) < 0)
            return -1;
    }
    return 0;
}

int mote__partition_make(
        mote__partition *p, mote__memory *m, const mote__code_set *sets, size_t n_sets)
{
    memset(p, 0, sizeof *p);
    p->memory = m;
    intervals v = {0};
    int rc = -1;
    mote__code_set invalid = {0};
    if (mote__code_set_add(&invalid, MOTE__UNIT_INVALID, MOTE__UNIT_INVALID) < 0 ||
            intervals_make(&v, sets, n_sets) < 0)
        goto out;
    p->n_classes = intervals_refine(&v, &invalid, 1);
    for (size_t i = 0; i < n_sets && p->n_classes; i++)
        p->n_classes = intervals_refine(&v, &sets[i], p->n_classes);
    if (!p->n_classes) {
        rc = 1;
        goto out;
    }
    for (size_t k = v.n; k-- > 0;)
        p->sample[v.class[k]] = v.start[k];
    /* A page is all of one class, or an interval starts in it. */
    p->pages_capacity = v.n + p->n_classes;
    if (p->pages_capacity > sizeof p->page_of / sizeof *p->page_of)
        p->pages_capacity = sizeof p->page_of / sizeof *p->page_of;
    p->pages = mote__calloc(m, MOTE_MEM_TOKENIZER, p->pages_capacity, sizeof *p->pages);
    if (!p->pages || pages_fill(p, &v) < 0)
        goto out;
    memcpy(p->ascii, p->pages[p->page_of[0]], sizeof p->ascii);
    rc = 0;
out:
    mote__code_set_free(&invalid);
    free(v.start);
    free(v.class);
    if (rc)
        mote__partition_free(p);
    return rc;
}

void mote__partition_free(mote__partition *p)
{
    mote__free(p->memory, MOTE_MEM_TOKENIZER, p->pages,
            p->pages_capacity * sizeof *p->pages);
    p->pages = NULL;
    p->n_pages = p->pages_capacity = 0;
}

static inline bool is_tail(uint8_t b)
{
    return (b & 0xC0) == 0x80;
}

size_t mote__partition_map(
        const mote__partition *p, const uint8_t *text, size_t n, uint8_t *classes)
{
    uint8_t *out = classes;
    size_t i = 0;
    while (i < n) {
        uint8_t b = text[i];
        if (b < 0x80) {
            *out++ = p->ascii[b];
            i++;
            continue;
        }
        uint32_t code = 0, length = 0;
        if (b >= 0xC2 && b <= 0xDF && n - i >= 2 && is_tail(text[i + 1])) {
            code = (uint32_t)(b & 0x1F) << 6 | (text[i + 1] & 0x3F);
            length = 2;
        } else if ((b & 0xF0) == 0xE0 && n - i >= 3 && is_tail(text[i + 1]) &&
                   is_tail(text[i + 2])) {
            code = (uint32_t)(b & 0x0F) << 12 | (uint32_t)(text[i + 1] & 0x3F) << 6 |
                   (text[i + 2] & 0x3F);
            length = code < 0x800 || (code >= 0xD800 && code <= 0xDFFF) ? 0 : 3;
        } else if (b >= 0xF0 && b <= 0xF4 && n - i >= 4 && is_tail(text[i + 1]) &&
                   is_tail(text[i + 2]) && is_tail(text[i + 3])) {
            code = (uint32_t)(b & 0x07) << 18 | (uint32_t)(text[i + 1] & 0x3F) << 12 |
                   (uint32_t)(text[i + 2] & 0x3F) << 6 | (text[i + 3] & 0x3F);
            length = code < 0x10000 || code > 0x10FFFF ? 0 : 4;
        }
        *out++ = length ? mote__partition_class(p, code) : 0;
        i += length ? length : 1;
    }
    return (size_t)(out - classes);
}
