/* SPDX-License-Identifier: MIT */
/* Shared by the kernel sources only: the functions that fill the table (one for the
 * matrix kernels, one for the other operations, per ISA), and small helpers that every
 * variant of the matrix kernels uses. */
#ifndef MOTE_KERNELS_KERNELS_INTERNAL_H
#define MOTE_KERNELS_KERNELS_INTERNAL_H
#include "kernels/cpu_flags.h"
#include "kernels/kernels.h"

/* Each replaces the entries that its ISA does better; called in the order of
 * variants.inc. */
#define MOTE_VARIANT(isa, flags, kmat, kops)                                           \
    void mote__kmat_init_##isa(mote_kernels *table);                                   \
    void mote__kops_init_##isa(mote_kernels *table);
#include "kernels/variants.inc"
#undef MOTE_VARIANT

#define MOTE_ACT_GROUP 32 /* columns that share a scale in the INT8 form */

/* Columns that share one fp32 partial sum, and one weight scale, of a type. */
static inline uint32_t mote__k_scale_columns(uint32_t type)
{
    return type == MOTE_K_I8   ? MOTE_I8_GROUP
           : type == MOTE_K_I4 ? MOTE_I4_GROUP
                               : MOTE_BLOCK;
}

/* Where column k, a multiple of 8, of an I4 panel begins. */
static inline size_t mote__k_i4_column(uint32_t k)
{
    return (size_t)(k / MOTE_I4_PART) * MOTE_I4_PART_BYTES + MOTE_I4_PART_SCALES +
           (size_t)(k % MOTE_I4_PART) * (MOTE_PANEL / 2);
}

/* Where column k, a multiple of 8, of a panel begins. */
static inline size_t mote__k_column(uint32_t type, uint32_t k)
{
    return type == MOTE_K_I4 ? mote__k_i4_column(k)
                             : (size_t)k * MOTE_PANEL *
                                       (type == MOTE_K_F32           ? 4u
                                               : type == MOTE_K_BF16 ? 2u
                                                                     : 1u);
}

/* Where the 16 bf16 scales of a group of MOTE_I4_GROUP columns of an I4 panel lie. */
static inline size_t mote__k_i4_scales(uint32_t group)
{
    return (size_t)(group / 2u) * MOTE_I4_PART_BYTES +
           (size_t)(group % 2u) * (MOTE_PANEL * 2);
}

/* Bytes of one panel. */
static inline size_t mote__k_panel_bytes(uint32_t type, uint32_t n_cols)
{
    const size_t cells = (size_t)mote_k_pad(n_cols) * MOTE_PANEL;
    switch (type) {
    case MOTE_K_F32:
        return cells * 4u;
    case MOTE_K_BF16:
        return cells * 2u;
    case MOTE_K_I4:
        return (size_t)((n_cols + MOTE_I4_PART - 1u) / MOTE_I4_PART) *
               MOTE_I4_PART_BYTES;
    default:
        return cells;
    }
}

/* Floats of scales per panel that are not in it. */
static inline size_t mote__k_panel_scales(uint32_t type, uint32_t n_cols)
{
    switch (type) {
    case MOTE_K_E4M3:
        return (n_cols + MOTE_BLOCK - 1u) / MOTE_BLOCK;
    case MOTE_K_I8:
        return (size_t)((n_cols + MOTE_I8_GROUP - 1u) / MOTE_I8_GROUP) * MOTE_PANEL;
    default:
        return 0;
    }
}

static inline const void *mote__k_panel(const mote_k_matrix *w, uint32_t panel)
{
    return (const char *)w->data + mote__k_panel_bytes(w->type, w->n_cols) * panel;
}

static inline const float *mote__k_scales(const mote_k_matrix *w, uint32_t panel)
{
    return w->scales ? w->scales + mote__k_panel_scales(w->type, w->n_cols) * panel
                     : NULL;
}

/* Packed row of token i. */
static inline const void *mote__k_act_row(
        const void *act, size_t bytes, const uint32_t *index, uint32_t i)
{
    return (const char *)act + bytes * (index ? index[i] : i);
}
#endif
