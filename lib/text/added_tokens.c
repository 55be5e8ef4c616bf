/* SPDX-License-Identifier: MIT */
#include "added_tokens.h"

#include <string.h>

int mote__added_init(mote__added *a, mote__memory *m, size_t total_bytes)
{
    memset(a, 0, sizeof *a);
    a->memory = m;
    a->only_first = -1;
    if (total_bytes >= UINT32_MAX / 4)
        return -1;
    a->states_max = total_bytes + 1;
    a->edges_size = 64;
    while (a->edges_size < 2 * a->states_max)
        a->edges_size *= 2;
    a->edges = mote__calloc(m, MOTE_MEM_TOKENIZER, a->edges_size, sizeof *a->edges);
    a->id_of = mote__calloc(m, MOTE_MEM_TOKENIZER, a->states_max, sizeof *a->id_of);
    if (!a->edges || !a->id_of)
        return -1;
    a->n_states = 1;
    a->id_of[0] = -1;
    return 0;
}

void mote__added_free(mote__added *a)
{
    mote__free(
            a->memory, MOTE_MEM_TOKENIZER, a->edges, a->edges_size * sizeof *a->edges);
    mote__free(
            a->memory, MOTE_MEM_TOKENIZER, a->id_of, a->states_max * sizeof *a->id_of);
    a->edges = NULL;
    a->id_of = NULL;
}

static mote__added_edge *find_edge(const mote__added *a, uint32_t state, uint8_t byte)
{
    uint64_t key = ((uint64_t)state << 8 | byte) + 1;
    /* Seeded, so that a file cannot choose edges that all fall together. */
    uint64_t h = (key ^ (uintptr_t)a->edges) * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
    size_t mask = a->edges_size - 1, at = (size_t)(h >> 32) & mask;
    while (a->edges[at].key && a->edges[at].key != key)
        at = (at + 1) & mask;
    return &a->edges[at];
}

int mote__added_add(mote__added *a, const uint8_t *text, size_t n, int32_t id)
{
    uint32_t state = 0;
    for (size_t i = 0; i < n; i++) {
        mote__added_edge *e = find_edge(a, state, text[i]);
        if (!e->key) {
            e->key = ((uint64_t)state << 8 | text[i]) + 1;
            e->state = a->n_states;
            a->id_of[a->n_states++] = -1;
        }
        state = e->state;
    }
    if (a->id_of[state] >= 0)
        return -1;
    a->id_of[state] = id;
    a->only_first = a->n_tokens == 0 || a->only_first == text[0] ? text[0] : -1;
    a->is_first[text[0]] = 1;
    a->n_tokens++;
    return 0;
}

int32_t mote__added_find(const mote__added *a, const uint8_t *text, size_t n)
{
    uint32_t state = 0;
    for (size_t i = 0; i < n; i++) {
        const mote__added_edge *e = find_edge(a, state, text[i]);
        if (!e->key)
            return -1;
        state = e->state;
    }
    return a->id_of[state];
}

/* The longest token that begins at text[at]; 0 when none does. */
static size_t longest_at(
        const mote__added *a, const uint8_t *text, size_t at, size_t n, int32_t *id)
{
    uint32_t state = 0;
    size_t length = 0;
    for (size_t i = at; i < n; i++) {
        const mote__added_edge *e = find_edge(a, state, text[i]);
        if (!e->key)
            break;
        state = e->state;
        if (a->id_of[state] >= 0) {
            *id = a->id_of[state];
            length = i + 1 - at;
        }
    }
    return length;
}

size_t mote__added_search(const mote__added *a, const uint8_t *text, size_t at,
        size_t n, size_t *length, int32_t *id)
{
    if (a->n_tokens == 0)
        return n;
    for (; at < n; at++) {
        if (a->only_first >= 0) {
            const uint8_t *p = memchr(text + at, a->only_first, n - at);
            if (!p)
                return n;
            at = (size_t)(p - text);
        } else if (!a->is_first[text[at]]) {
            continue;
        }
        *length = longest_at(a, text, at, n, id);
        if (*length)
            return at;
    }
    return n;
}
