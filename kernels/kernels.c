/* SPDX-License-Identifier: MIT */
/* Dispatch: the table is filled with scalar, then each ISA replaces what it does
 * better. */
#include "kernels/kernels_internal.h"
#include <string.h>

typedef struct variant {
    const char *name;
    uint32_t flags;
    void (*init_mat)(mote_kernels *table);
    void (*init_ops)(mote_kernels *table);
} variant;

#define HAVE_0(function) NULL
#define HAVE_1(function) function
#define MOTE_VARIANT(isa, flags, kmat, kops)                                           \
    {#isa, flags, HAVE_##kmat(mote__kmat_init_##isa),                                  \
            HAVE_##kops(mote__kops_init_##isa)},
static const variant variants[] = {
#include "kernels/variants.inc"
};
#undef MOTE_VARIANT
#define N_VARIANTS (sizeof variants / sizeof variants[0])

void mote__kernels_init(mote_kernels *table, uint32_t flags)
{
    memset(table, 0, sizeof *table);
    for (size_t i = 0; i < N_VARIANTS; i++) {
        const variant *v = &variants[i];
        if ((flags & v->flags) != v->flags)
            continue;
        if (v->init_mat) {
            table->alone = NULL;
            v->init_mat(table);
        }
        if (v->init_ops)
            v->init_ops(table);
        if (v->init_mat || v->init_ops) {
            table->name = v->name;
            table->flags = v->flags;
        }
    }
}

uint32_t mote__kernels_flags(const char *name)
{
    for (size_t i = 0; name && i < N_VARIANTS; i++)
        if (strcmp(name, variants[i].name) == 0)
            return variants[i].flags;
    return UINT32_MAX;
}

size_t mote_k_data_bytes(uint32_t type, uint32_t n_rows, uint32_t n_cols)
{
    return mote__k_panel_bytes(type, n_cols) * mote_k_panels(n_rows);
}

size_t mote_k_scale_count(uint32_t type, uint32_t n_rows, uint32_t n_cols)
{
    return mote__k_panel_scales(type, n_cols) * mote_k_panels(n_rows);
}
