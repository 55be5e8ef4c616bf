/* SPDX-License-Identifier: MIT */
#include "session/kv.h"

#include "base/status.h"

#include <string.h>

/* Blocks of large models are allocated several at once, so that large pages fit in
 * between: with V2-Lite's widths, 8 layers, 4096 tokens cost 7.0 ms a token on small
 * pages and 5.5 on these. What a layer reads lies together, because attention walks a
 * layer's blocks one after another: 3.0 ms where layers lay between blocks of one,
 * which cost 3.2 (two threads). A run lives as long as one of its blocks does. */
enum { RUN_BYTES = 16 << 20, LARGE_BLOCK = 256 << 10, ALIGN = 64 };

typedef struct run run;

struct mote__kv_block {
    run *run;
    _Atomic uint32_t owners;
};

/* Behind the blocks, from a multiple of ALIGN on: [n_layers][n_blocks] of layer_bytes.
 */
struct run {
    _Atomic uint32_t live; /* blocks with an owner */
    uint32_t n_blocks;
    mote__kv_block blocks[];
};

static size_t block_bytes(const mote__kv *kv)
{
    return kv->n_layers * kv->layer_bytes;
}

static uint32_t blocks_per_run(const mote__kv *kv)
{
    const size_t n = block_bytes(kv);
    return n < LARGE_BLOCK || n > RUN_BYTES ? 1 : (uint32_t)(RUN_BYTES / n);
}

static size_t head_bytes(uint32_t n_blocks)
{
    const size_t n = sizeof(run) + n_blocks * sizeof(mote__kv_block);
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t run_bytes(const mote__kv *kv, uint32_t n_blocks)
{
    return head_bytes(n_blocks) + n_blocks * block_bytes(kv);
}

static void *layer_of(const mote__kv *kv, const mote__kv_block *b, uint32_t layer)
{
    const run *r = b->run;
    const size_t i = (size_t)layer * r->n_blocks + (size_t)(b - r->blocks);
    return (uint8_t *)b->run + head_bytes(r->n_blocks) + i * kv->layer_bytes;
}

static void block_copy(
        const mote__kv *kv, const mote__kv_block *to, const mote__kv_block *from)
{
    for (uint32_t l = 0; l < kv->n_layers; l++)
        memcpy(layer_of(kv, to, l), layer_of(kv, from, l), kv->layer_bytes);
}

/* n blocks with one owner each. */
static run *run_new(const mote__kv *kv, uint32_t n_blocks)
{
    const size_t bytes = run_bytes(kv, n_blocks);
    run *r = mote__alloc(kv->memory, MOTE_MEM_KV, bytes);
    if (!r)
        return NULL;
    if (bytes >= RUN_BYTES / 2)
        mote__advise_huge(r, bytes);
    atomic_init(&r->live, n_blocks);
    r->n_blocks = n_blocks;
    for (uint32_t i = 0; i < n_blocks; i++) {
        r->blocks[i].run = r;
        atomic_init(&r->blocks[i].owners, 1);
    }
    return r;
}

static void block_drop(const mote__kv *kv, mote__kv_block *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->owners, 1, memory_order_acq_rel) != 1)
        return;
    run *r = b->run;
    if (atomic_fetch_sub_explicit(&r->live, 1, memory_order_acq_rel) == 1)
        mote__free(kv->memory, MOTE_MEM_KV, r, run_bytes(kv, r->n_blocks));
}

static void block_set(mote__kv *kv, uint32_t i, mote__kv_block *b)
{
    kv->blocks[i] = b;
    for (uint32_t l = 0; l < kv->n_layers; l++)
        kv->table[(size_t)l * kv->n_blocks + i] = layer_of(kv, b, l);
}

static mote_status tables_open(mote__kv *kv, mote_error *err)
{
    size_t n = kv->n_blocks;
    kv->blocks = mote__calloc(kv->memory, MOTE_MEM_KV, n, sizeof *kv->blocks);
    kv->table =
            mote__calloc(kv->memory, MOTE_MEM_KV, n * kv->n_layers, sizeof *kv->table);
    kv->layers =
            mote__calloc(kv->memory, MOTE_MEM_KV, kv->n_layers, sizeof *kv->layers);
    if (!kv->blocks || !kv->table || !kv->layers) {
        mote__kv_close(kv);
        return mote__fail_memory(
                err, n * kv->n_layers * sizeof *kv->table, "cache tables");
    }
    for (uint32_t l = 0; l < kv->n_layers; l++)
        kv->layers[l] = kv->table + l * n;
    return MOTE_OK;
}

/* New blocks from index `first` on. */
static mote_status fill(mote__kv *kv, uint32_t first, mote_error *err)
{
    for (uint32_t at = first, n; at < kv->n_blocks; at += n) {
        n = blocks_per_run(kv);
        n = kv->n_blocks - at < n ? kv->n_blocks - at : n;
        run *r = run_new(kv, n);
        if (!r) {
            size_t size = block_bytes(kv) * kv->n_blocks;
            mote__kv_close(kv);
            return mote__fail_memory(err, size, "latent cache");
        }
        for (uint32_t i = 0; i < n; i++)
            block_set(kv, at + i, &r->blocks[i]);
    }
    return MOTE_OK;
}

static uint32_t blocks_for(uint32_t tokens)
{
    return tokens / MOTE_KV_BLOCK + (tokens % MOTE_KV_BLOCK != 0);
}

mote_status mote__kv_open(mote__kv *kv, mote__memory *m, uint32_t n_layers,
        uint32_t context_tokens, uint32_t type, uint32_t kv_lora_rank, uint32_t rope,
        mote_error *err)
{
    memset(kv, 0, sizeof *kv);
    kv->memory = m;
    kv->n_layers = n_layers;
    kv->n_blocks = blocks_for(context_tokens);
    kv->type = type;
    kv->layer_bytes = mote_k_kv_block_bytes(type, kv_lora_rank, rope);
    mote_status st = tables_open(kv, err);
    return st < 0 ? st : fill(kv, 0, err);
}

uint64_t mote__kv_plan(uint32_t n_layers, uint32_t context_tokens, uint32_t type,
        uint32_t kv_lora_rank, uint32_t rope)
{
    mote__kv kv = {.n_layers = n_layers,
            .layer_bytes = mote_k_kv_block_bytes(type, kv_lora_rank, rope)};
    const uint32_t n = blocks_for(context_tokens), per_run = blocks_per_run(&kv),
                   last = n % per_run;
    return (uint64_t)(n / per_run) * run_bytes(&kv, per_run) +
           (last ? run_bytes(&kv, last) : 0) +
           (uint64_t)n * (sizeof *kv.blocks + n_layers * sizeof *kv.table) +
           n_layers * sizeof *kv.layers;
}

void mote__kv_close(mote__kv *kv)
{
    for (uint32_t i = 0; kv->blocks && i < kv->n_blocks; i++)
        block_drop(kv, kv->blocks[i]);
    size_t n = kv->n_blocks;
    mote__free(kv->memory, MOTE_MEM_KV, kv->blocks, n * sizeof *kv->blocks);
    mote__free(
            kv->memory, MOTE_MEM_KV, kv->table, n * kv->n_layers * sizeof *kv->table);
    mote__free(kv->memory, MOTE_MEM_KV, kv->layers, kv->n_layers * sizeof *kv->layers);
    memset(kv, 0, sizeof *kv);
}

mote_status mote__kv_fork(
        mote__kv *kv, const mote__kv *from, uint32_t n_tokens, mote_error *err)
{
    *kv = *from;
    kv->blocks = NULL;
    kv->table = NULL;
    kv->layers = NULL;
    mote_status st = tables_open(kv, err);
    if (st < 0)
        return st;
    uint32_t full = n_tokens / MOTE_KV_BLOCK;
    for (uint32_t i = 0; i < full; i++) {
        atomic_fetch_add_explicit(&from->blocks[i]->owners, 1, memory_order_relaxed);
        block_set(kv, i, from->blocks[i]);
    }
    st = fill(kv, full, err);
    if (st >= 0 && n_tokens % MOTE_KV_BLOCK)
        block_copy(kv, kv->blocks[full], from->blocks[full]);
    return st;
}

mote_status mote__kv_own(mote__kv *kv, uint32_t begin, uint32_t end, mote_error *err)
{
    for (uint32_t i = begin / MOTE_KV_BLOCK; i < blocks_for(end); i++) {
        mote__kv_block *b = kv->blocks[i];
        if (atomic_load_explicit(&b->owners, memory_order_acquire) == 1)
            continue;
        run *r = run_new(kv, 1);
        if (!r)
            return mote__fail_memory(err, run_bytes(kv, 1), "a copy of shared cache");
        mote__kv_block *mine = &r->blocks[0];
        block_copy(kv, mine, b);
        block_drop(kv, b);
        block_set(kv, i, mine);
    }
    return MOTE_OK;
}
