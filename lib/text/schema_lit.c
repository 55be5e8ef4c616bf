/* SPDX-License-Identifier: MIT */
/* Tries over the texts of enums and keys. Built level by level from sorted texts, so
 * that the children of a node lie side by side; a node of a key trie also lists the
 * usable keys below it, which makes "may one of these still come?" a binary search. */
#include "text/schema_machine.h"

#include "base/memory.h"
#include "base/status.h"

#include <stdlib.h>
#include <string.h>

typedef struct span {
    uint32_t begin, end; /* texts that share the path */
    uint32_t depth;      /* its length */
} span;

static int text_compare(const void *pa, const void *pb)
{
    const schema_text *a = pa, *b = pb;
    size_t n = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes;
    int c = n ? memcmp(a->bytes, b->bytes, n) : 0;
    if (c)
        return c;
    if (a->n_bytes != b->n_bytes)
        return a->n_bytes < b->n_bytes ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

static int index_compare(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* Equal texts become one; the first value stays. */
static size_t remove_duplicates(schema_text *texts, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const schema_text *last = kept ? &texts[kept - 1] : NULL;
        if (last && last->n_bytes == texts[i].n_bytes &&
                memcmp(last->bytes, texts[i].bytes, last->n_bytes) == 0)
            continue;
        texts[kept++] = texts[i];
    }
    return kept;
}

static int add_node(mote_schema *s, span **spans, size_t *spans_cap, uint32_t root,
        const span *sp, uint8_t byte)
{
    size_t i = s->n_lits - root;
    if (s->n_lits >= SCHEMA_POOL_MAX ||
            mote__grow(
                    (void **)&s->lits, &s->lits_cap, s->n_lits + 1, sizeof *s->lits) ||
            mote__grow((void **)spans, spans_cap, i + 1, sizeof **spans))
        return -1;
    s->lits[s->n_lits++] = (schema_lit){.byte = byte};
    (*spans)[i] = *sp;
    return 0;
}

/* The usable values of texts [begin, end), sorted, into key_index. */
static int list_keys(
        mote_schema *s, const schema_text *texts, const span *sp, const uint8_t *usable)
{
    size_t first = s->n_key_index, need = first + (sp->end - sp->begin);
    schema_lit *l = &s->lits[s->n_lits - 1];
    if (need > SCHEMA_POOL_MAX || mote__grow((void **)&s->key_index, &s->key_index_cap,
                                          need, sizeof *s->key_index))
        return -1;
    for (uint32_t i = sp->begin; i < sp->end; i++)
        if (usable[texts[i].value])
            s->key_index[s->n_key_index++] = texts[i].value;
    l->index_begin = (uint32_t)first;
    l->n_index = (uint32_t)(s->n_key_index - first);
    if (l->n_index > 1)
        qsort(&s->key_index[first], l->n_index, sizeof *s->key_index, index_compare);
    return 0;
}

mote_status mote__schema_lit_build(mote_schema *s, schema_text *texts, size_t n,
        const uint8_t *usable, uint32_t *out_root, mote_error *err)
{
    span *spans = NULL;
    size_t spans_cap = 0;
    uint32_t root = (uint32_t)s->n_lits;
    if (n > 1)
        qsort(texts, n, sizeof *texts, text_compare);
    n = remove_duplicates(texts, n);
    span all = {0, (uint32_t)n, 0};
    int bad = add_node(s, &spans, &spans_cap, root, &all, 0) ||
              (usable && list_keys(s, texts, &all, usable));
    for (uint32_t i = root; !bad && i < s->n_lits; i++) {
        span sp = spans[i - root];
        uint32_t t = sp.begin;
        if (t < sp.end && texts[t].n_bytes == sp.depth) {
            s->lits[i].is_end = 1;
            s->lits[i].value = texts[t++].value;
        }
        s->lits[i].child_begin = (uint32_t)s->n_lits;
        while (!bad && t < sp.end) {
            uint8_t byte = (uint8_t)texts[t].bytes[sp.depth];
            span child = {t, t, sp.depth + 1};
            while (child.end < sp.end &&
                    (uint8_t)texts[child.end].bytes[sp.depth] == byte)
                child.end++;
            t = child.end;
            bad = add_node(s, &spans, &spans_cap, root, &child, byte) ||
                  (usable && list_keys(s, texts, &child, usable));
        }
        s->lits[i].n_children = (uint16_t)(s->n_lits - s->lits[i].child_begin);
    }
    free(spans);
    *out_root = root;
    if (!bad)
        return MOTE_OK;
    return mote__fail(err, MOTE_E_MEMORY,
            "schema: no room for its literals (at most %d characters)",
            SCHEMA_POOL_MAX);
}
