/* SPDX-License-Identifier: MIT */
/* Which weights a configuration needs, in what form they are kept, and where each lies
 * in one arena. Loading a checkpoint, filling random weights, planning memory and packs
 * all walk the same list of slots.
 *
 * Invariants: slots are in file order; offsets are 64-byte aligned and ascending; the
 * three matrices of a routed expert are neighbours and begin on a page, so that one
 * read fetches an expert. */
#ifndef MOTE_MODEL_LAYOUT_H
#define MOTE_MODEL_LAYOUT_H
#include "base/memory.h"
#include "file/checkpoint.h"
#include "kernels/kernels.h"
#include "model/config.h"

enum mote__role {
    MOTE__ROLE_EMBED,      /* [vocab][hidden], rows (float or bf16) */
    MOTE__ROLE_FINAL_NORM, /* [hidden] */
    MOTE__ROLE_HEAD,       /* [vocab][hidden] panels */
    MOTE__ROLE_ATTN_NORM,  /* [hidden] */
    MOTE__ROLE_Q_A,        /* [q_lora_rank][hidden]; absent without q_lora_rank */
    MOTE__ROLE_Q_A_NORM,   /* [q_lora_rank] */
    MOTE__ROLE_Q_B,        /* heads x [nope + rope][q_lora_rank or hidden] */
    MOTE__ROLE_KV_A,       /* [kv_lora_rank + rope][hidden] */
    MOTE__ROLE_KV_A_NORM,  /* [kv_lora_rank] */
    MOTE__ROLE_UK, /* heads x [kv_lora_rank][nope]: W_UK transposed, absorbed into q */
    MOTE__ROLE_UV, /* heads x [v][kv_lora_rank] */
    MOTE__ROLE_O,  /* [hidden][heads * v] */
    MOTE__ROLE_FFN_NORM,    /* [hidden] */
    MOTE__ROLE_ROUTER,      /* [experts][hidden] rows of float */
    MOTE__ROLE_ROUTER_BIAS, /* [experts]; noaux_tc only */
    MOTE__ROLE_GATE,        /* dense MLP, or the shared experts as one */
    MOTE__ROLE_UP,
    MOTE__ROLE_DOWN,
    MOTE__ROLE_ENORM, /* MTP */
    MOTE__ROLE_HNORM,
    MOTE__ROLE_EH_PROJ, /* [hidden][2 hidden]: embedding first */
    MOTE__ROLE_MTP_NORM,
    MOTE__ROLE_EXPERT_GATE, /* routed experts */
    MOTE__ROLE_EXPERT_UP,
    MOTE__ROLE_EXPERT_DOWN,
    MOTE__ROLES
};

/* How a slot's values lie. The first five are panels of enum mote_k_type. */
enum mote__form { MOTE__FORM_ROWS_F32 = MOTE_K_TYPES, MOTE__FORM_ROWS_BF16 };

/* In a pack a form has its number, but for int4: that of I4 was once a layout with
 * float scales. */
enum { MOTE__CODE_I4_FLOAT_SCALES = MOTE_K_I4, MOTE__CODE_I4 = MOTE__FORM_ROWS_BF16 + 1 };

typedef struct mote__slot {
    uint32_t role, layer, expert; /* layer num_hidden_layers is the MTP module */
    uint32_t form;                /* enum mote_k_type or mote__form */
    uint32_t stack;           /* sub-matrices (heads), each padded to whole panels */
    uint32_t n_rows, n_cols;  /* of one sub-matrix */
    uint64_t offset, n_bytes; /* data in the arena */
    uint64_t scale_offset, scale_bytes;
    /* Where the values come from in a checkpoint: sub-matrix h begins at row
     * row0 + h * row_step of `source`; transposed: it is source rows as columns. */
    const mote__tensor *source, *source_scale;
    uint32_t row0, row_step, transposed;
} mote__slot;

typedef struct mote__layout {
    mote__slot *slots;
    size_t n_slots, capacity;
    uint64_t arena_bytes;
    uint32_t n_layers; /* blocks with weights: num_hidden_layers + MTP modules loaded */
    uint32_t mtp;      /* MTP modules included: 0 or 1 */
} mote__layout;

/* From a checkpoint: every tensor is found and its shape and type are checked. */
mote_status mote__layout_from_checkpoint(mote__layout *out, const mote__config *c,
        const mote__checkpoint *ck, uint32_t mtp, mote_error *err);
/* From nothing: every matrix in `type` (enum mote_k_type), routed experts in
 * `expert_type`. */
mote_status mote__layout_from_config(mote__layout *out, const mote__config *c,
        uint32_t type, uint32_t expert_type, uint32_t mtp, mote_error *err);
/* Check that forms agree where one product reads several matrices, and set offsets
 * (anew after forms were changed). */
mote_status mote__layout_place(mote__layout *l, mote_error *err);
void mote__layout_free(mote__layout *l);
/* Bytes of data and scales of one sub-matrix. */
uint64_t mote__slot_sub_bytes(const mote__slot *s);
uint64_t mote__slot_sub_scales(const mote__slot *s);
const char *mote__role_name(uint32_t role);
#endif
