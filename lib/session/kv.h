/* SPDX-License-Identifier: MIT */
/* The latent cache of one sequence: blocks of MOTE_KV_BLOCK tokens over all layers,
 * which forks share until one side writes.
 *
 * Invariants: every table entry points at a block; a block with more than one owner is
 * never written. */
#ifndef MOTE_SESSION_KV_H
#define MOTE_SESSION_KV_H
#include "base/memory.h"
#include "kernels/kernels.h"

typedef struct mote__kv_block mote__kv_block;

typedef struct mote__kv {
    mote__memory *memory;
    uint32_t n_layers, n_blocks, type; /* type: enum mote_k_kv */
    size_t layer_bytes;                /* of one block */
    mote__kv_block **blocks;           /* [n_blocks] */
    void **table;                      /* [n_layers][n_blocks] */
    void *const **layers;              /* [n_layers]: rows of table */
} mote__kv;

mote_status mote__kv_open(mote__kv *kv, mote__memory *m, uint32_t n_layers,
        uint32_t context_tokens, uint32_t type, uint32_t kv_lora_rank, uint32_t rope,
        mote_error *err);
void mote__kv_close(mote__kv *kv);
uint64_t mote__kv_plan(uint32_t n_layers, uint32_t context_tokens, uint32_t type,
        uint32_t kv_lora_rank, uint32_t rope);
/* A cache with the first n_tokens of `from`: full blocks shared, the last one copied.
 */
mote_status mote__kv_fork(
        mote__kv *kv, const mote__kv *from, uint32_t n_tokens, mote_error *err);
/* Make the blocks that hold positions [begin, end) ours alone. Allocates only where a
 * block is shared; on failure nothing has changed. */
mote_status mote__kv_own(mote__kv *kv, uint32_t begin, uint32_t end, mote_error *err);
#endif
