/* SPDX-License-Identifier: MIT */
#include "bpe.h"

#include "base/status.h"

#include <string.h>

/* Pieces up to this many bytes are merged by scanning for the lowest rank; longer ones
 * with a heap. Words are short: the scan touches two cache lines and no memory. */
enum { SHORT = 48 };
#define NO_RANK UINT32_MAX

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0x9E3779B97F4A7C15u;
    h ^= h >> 29;
    return h;
}

static size_t table_size(size_t n)
{
    size_t size = 64;
    while (size < 2 * n)
        size *= 2;
    return size;
}

int mote__bpe_init(
        mote__bpe *b, mote__memory *m, size_t n_ids, size_t blob_size, size_t n_tokens)
{
    memset(b, 0, sizeof *b);
    b->memory = m;
    b->n_ids = n_ids;
    b->blob_size = blob_size;
    b->tokens_size = table_size(n_tokens);
    memset(b->byte_id, 0xff, sizeof b->byte_id);
    b->blob = mote__alloc(m, MOTE_MEM_TOKENIZER, blob_size);
    b->span = mote__calloc(m, MOTE_MEM_TOKENIZER, n_ids, sizeof *b->span);
    b->known = mote__calloc(m, MOTE_MEM_TOKENIZER, n_ids, sizeof *b->known);
    b->tokens = mote__calloc(m, MOTE_MEM_TOKENIZER, b->tokens_size, sizeof *b->tokens);
    b->byte_pairs = mote__alloc(m, MOTE_MEM_TOKENIZER, 65536 * sizeof *b->byte_pairs);
    if (!b->blob || !b->span || !b->known || !b->tokens || !b->byte_pairs)
        return -1;
    b->seed = mix((uintptr_t)b->tokens ^ mix((uintptr_t)b->blob));
    memset(b->byte_pairs, 0xff, 65536 * sizeof *b->byte_pairs);
    return 0;
}

int mote__bpe_init_merges(mote__bpe *b, size_t n_merges)
{
    mote__memory *m = b->memory;
    b->merges_size = table_size(n_merges);
    b->filter_size = b->merges_size / 8; /* 16 to 32 bits a merge */
    b->merges = mote__alloc(m, MOTE_MEM_TOKENIZER, b->merges_size * sizeof *b->merges);
    b->filter = mote__calloc(m, MOTE_MEM_TOKENIZER, b->filter_size, sizeof *b->filter);
    if (!b->merges || !b->filter)
        return -1;
    memset(b->merges, 0xff, b->merges_size * sizeof *b->merges);
    return 0;
}

void mote__bpe_free(mote__bpe *b)
{
    mote__memory *m = b->memory;
    mote__free(m, MOTE_MEM_TOKENIZER, b->blob, b->blob_size);
    mote__free(m, MOTE_MEM_TOKENIZER, b->span, b->n_ids * sizeof *b->span);
    mote__free(m, MOTE_MEM_TOKENIZER, b->known, b->n_ids * sizeof *b->known);
    mote__free(m, MOTE_MEM_TOKENIZER, b->tokens, b->tokens_size * sizeof *b->tokens);
    mote__free(m, MOTE_MEM_TOKENIZER, b->merges, b->merges_size * sizeof *b->merges);
    mote__free(m, MOTE_MEM_TOKENIZER, b->filter, b->filter_size * sizeof *b->filter);
    mote__free(m, MOTE_MEM_TOKENIZER, b->byte_pairs, 65536 * sizeof *b->byte_pairs);
    memset(b, 0, sizeof *b);
}

/* ---- tokens by their bytes ---- */

static uint64_t hash_bytes(uint64_t seed, const uint8_t *s, size_t n)
{
    uint64_t h = seed ^ n * 0x9E3779B97F4A7C15u;
    while (n >= 8) {
        uint64_t w;
        memcpy(&w, s, 8);
        h = mix(h ^ w);
        s += 8;
        n -= 8;
    }
    uint64_t w = 0;
    if (n >= 4) { /* two overlapping halves */
        uint32_t a, z;
        memcpy(&a, s, 4);
        memcpy(&z, s + n - 4, 4);
        w = (uint64_t)a << 32 | z;
    } else if (n) {
        w = (uint64_t)s[0] << 16 | (uint64_t)s[n / 2] << 8 | s[n - 1];
    }
    return mix(mix(h ^ w));
}

void mote__bpe_add_token(mote__bpe *b, uint32_t id)
{
    const uint8_t *s = b->blob + b->span[id][0];
    size_t n = b->span[id][1], mask = b->tokens_size - 1;
    uint64_t h = hash_bytes(b->seed, s, n);
    size_t at = (size_t)h & mask;
    while (b->tokens[at])
        at = (at + 1) & mask;
    b->tokens[at] = (h >> 32) << 32 | (id + 1);
    if (n > b->longest)
        b->longest = n;
    if (n == 1)
        b->byte_id[s[0]] = (int32_t)id;
}

int32_t mote__bpe_find(const mote__bpe *b, const uint8_t *bytes, size_t n)
{
    if (n > b->longest)
        return -1;
    size_t mask = b->tokens_size - 1;
    uint64_t h = hash_bytes(b->seed, bytes, n);
    for (size_t at = (size_t)h & mask; b->tokens[at]; at = (at + 1) & mask) {
        if (b->tokens[at] >> 32 != h >> 32)
            continue;
        uint32_t id = (uint32_t)b->tokens[at] - 1;
        if (b->span[id][1] == n && memcmp(b->blob + b->span[id][0], bytes, n) == 0)
            return (int32_t)id;
    }
    return -1;
}

/* ---- merges ---- */

static const mote__bpe_merge no_merge = {0, NO_RANK, 0};

static uint64_t hash_pair(const mote__bpe *b, uint32_t left, uint32_t right)
{
    return mix((((uint64_t)left << 32 | right) ^ b->seed) * 0xD6E8FEB86659FD93u);
}

static const mote__bpe_merge *find_merge(
        const mote__bpe *b, uint32_t left, uint32_t right)
{
    uint64_t pair = (uint64_t)left << 32 | right, h = hash_pair(b, left, right);
    /* Two thirds of all questions are answered by this bit, and it is in the cache. */
    if (!(b->filter[h >> 38 & (b->filter_size - 1)] >> (h >> 32 & 63) & 1))
        return &no_merge;
    size_t mask = b->merges_size - 1, at = (size_t)h & mask;
    while (b->merges[at].rank != NO_RANK && b->merges[at].pair != pair)
        at = (at + 1) & mask;
    return &b->merges[at]; /* a free slot has rank NO_RANK */
}

int mote__bpe_add_merge(
        mote__bpe *b, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
    uint64_t pair = (uint64_t)left << 32 | right, h = hash_pair(b, left, right);
    size_t mask = b->merges_size - 1, at = (size_t)h & mask;
    for (; b->merges[at].rank != NO_RANK; at = (at + 1) & mask)
        if (b->merges[at].pair == pair)
            return -1;
    b->merges[at] = (mote__bpe_merge){pair, rank, id};
    b->filter[h >> 38 & (b->filter_size - 1)] |= (uint64_t)1 << (h >> 32 & 63);
    return 0;
}

void mote__bpe_freeze(mote__bpe *b)
{
    for (size_t i = 0; i < 256; i++)
        for (size_t k = 0; k < 256; k++)
            if (b->byte_id[i] >= 0 && b->byte_id[k] >= 0)
                b->byte_pairs[i << 8 | k] = *find_merge(
                        b, (uint32_t)b->byte_id[i], (uint32_t)b->byte_id[k]);
}

/* Merge a short piece: `ids` receives at most n ids; returns how many. */
static size_t merge_short(
        const mote__bpe *b, const uint8_t *piece, size_t n, uint32_t ids[SHORT])
{
    uint32_t rank[SHORT], joined[SHORT];
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)b->byte_id[piece[i]];
    for (size_t i = 0; i + 1 < n; i++) {
        const mote__bpe_merge *m = &b->byte_pairs[(size_t)piece[i] << 8 | piece[i + 1]];
        rank[i] = m->rank;
        joined[i] = m->id;
    }
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == NO_RANK)
            break;
        ids[best] = joined[best];
        n--;
        memmove(ids + best + 1, ids + best + 2, (n - best - 1) * sizeof *ids);
        memmove(rank + best, rank + best + 1, (n - best - 1) * sizeof *rank);
        memmove(joined + best, joined + best + 1, (n - best - 1) * sizeof *joined);
        if (best + 1 < n) {
            const mote__bpe_merge *m = find_merge(b, ids[best], ids[best + 1]);
            rank[best] = m->rank;
            joined[best] = m->id;
        }
        if (best > 0) {
            const mote__bpe_merge *m = find_merge(b, ids[best - 1], ids[best]);
            rank[best - 1] = m->rank;
            joined[best - 1] = m->id;
        }
    }
    return n;
}

/* A symbol of a long piece, in a doubly linked list. */
typedef struct mote__bpe_node {
    uint32_t id, previous, next;
    uint32_t rank,
            joined; /* of the merge with `next`; NO_RANK: none, or node is gone */
} node;
#define END UINT32_MAX

static void heap_down(uint64_t *heap, size_t n, size_t at)
{
    uint64_t v = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n)
            break;
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= v)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = v;
}

static void heap_push(uint64_t *heap, size_t n, uint64_t v)
{
    while (n > 0 && heap[(n - 1) / 2] > v) {
        heap[n] = heap[(n - 1) / 2];
        n = (n - 1) / 2;
    }
    heap[n] = v;
}

static int reserve(mote__bpe_run *run, size_t n)
{
    mote__memory *m = run->bpe->memory;
    if (n <= run->nodes_capacity)
        return 0;
    mote__bpe_run_free(run);
    /* Each merge pushes at most two and uses one up; n - 1 are there at first. */
    run->nodes = mote__alloc(m, MOTE_MEM_TOKENIZER, mote__mul(n, sizeof *run->nodes));
    run->nodes_capacity = run->nodes ? n : 0;
    run->heap = mote__alloc(m, MOTE_MEM_TOKENIZER, mote__mul(2 * n, sizeof *run->heap));
    run->heap_capacity = run->heap ? 2 * n : 0;
    if (run->nodes && run->heap)
        return 0;
    mote__bpe_run_free(run);
    return -1;
}

void mote__bpe_run_free(mote__bpe_run *run)
{
    mote__memory *m = run->bpe ? run->bpe->memory : NULL;
    mote__free(m, MOTE_MEM_TOKENIZER, run->nodes,
            run->nodes_capacity * sizeof *run->nodes);
    mote__free(
            m, MOTE_MEM_TOKENIZER, run->heap, run->heap_capacity * sizeof *run->heap);
    run->nodes = NULL;
    run->heap = NULL;
    run->nodes_capacity = run->heap_capacity = 0;
}

/* Set the merge of node `at` with its next, and queue it. */
static void queue_merge(mote__bpe_run *run, uint32_t at, size_t *heap_n)
{
    node *v = &run->nodes[at];
    v->rank = NO_RANK;
    if (v->next == END)
        return;
    const mote__bpe_merge *m = find_merge(run->bpe, v->id, run->nodes[v->next].id);
    v->rank = m->rank;
    v->joined = m->id;
    if (m->rank != NO_RANK)
        heap_push(run->heap, (*heap_n)++, (uint64_t)m->rank << 32 | at);
}

/* A heap of (rank, position), so that equal ranks go leftmost first. Entries that no
 * longer hold are recognised by their rank and dropped when they come up. */
static mote_status merge_long(mote__bpe_run *run, const uint8_t *piece, size_t n)
{
    const mote__bpe *b = run->bpe;
    if (n >= END || reserve(run, n) < 0)
        return mote__fail_memory(run->err, n, "merging a long piece of text");
    node *nodes = run->nodes;
    size_t heap_n = 0;
    for (size_t i = 0; i < n; i++) {
        const mote__bpe_merge *m =
                i + 1 < n ? &b->byte_pairs[(size_t)piece[i] << 8 | piece[i + 1]]
                          : &(mote__bpe_merge){0, NO_RANK, 0};
        nodes[i] = (node){.id = (uint32_t)b->byte_id[piece[i]],
                .previous = i ? (uint32_t)i - 1 : END,
                .next = i + 1 < n ? (uint32_t)i + 1 : END,
                .rank = m->rank,
                .joined = m->id};
        if (m->rank != NO_RANK)
            run->heap[heap_n++] = (uint64_t)m->rank << 32 | i;
    }
    for (size_t i = heap_n / 2; i-- > 0;)
        heap_down(run->heap, heap_n, i);
    while (heap_n > 0) {
        uint64_t top = run->heap[0];
        run->heap[0] = run->heap[--heap_n];
        if (heap_n)
            heap_down(run->heap, heap_n, 0);
        uint32_t at = (uint32_t)top;
        node *v = &nodes[at];
        if (v->rank != top >> 32)
            continue;
        node *gone = &nodes[v->next];
        v->id = v->joined;
        v->next = gone->next;
        gone->rank = NO_RANK;
        if (v->next != END)
            nodes[v->next].previous = at;
        queue_merge(run, at, &heap_n);
        if (v->previous != END)
            queue_merge(run, v->previous, &heap_n);
    }
    for (uint32_t at = 0; at != END; at = nodes[at].next)
        mote__bpe_emit(run, nodes[at].id);
    return MOTE_OK;
}

mote_status mote__bpe_encode(mote__bpe_run *run, const uint8_t *piece, size_t n)
{
    const mote__bpe *b = run->bpe;
    uint32_t ids[SHORT];
    size_t before = run->n;
    int32_t id = mote__bpe_find(b, piece, n);
    uint8_t known = 2;
    if (id >= 0) {
        known = b->ignore_merges
                        ? 1
                        : atomic_load_explicit(&b->known[id], memory_order_relaxed);
        if (known == 1) {
            mote__bpe_emit(run, (uint32_t)id);
            return MOTE_OK;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (b->byte_id[piece[i]] < 0)
            return mote__fail(run->err, MOTE_E_UNSUPPORTED,
                    "the vocabulary has no token for the byte 0x%02X", piece[i]);
    if (n > SHORT) {
        mote_status st = merge_long(run, piece, n);
        if (st < 0)
            return st;
    } else {
        n = merge_short(b, piece, n, ids);
        for (size_t i = 0; i < n; i++)
            mote__bpe_emit(run, ids[i]);
    }
    if (known == 0) /* one token with these bytes is this token */
        atomic_store_explicit(
                &b->known[id], run->n - before == 1 ? 1 : 2, memory_order_relaxed);
    return MOTE_OK;
}
