/* SPDX-License-Identifier: MIT */
/* Rows of a matrix to and from panels of 16 rows (the layout is in kernels.h). */
#include "kernels/kernels_internal.h"
#include <string.h>

void mote_k_pack_f32(
        void *panel, const float *rows, size_t ld, uint32_t n_live, uint32_t n_cols)
{
    float *out = panel;
    memset(out, 0, mote__k_panel_bytes(MOTE_K_F32, n_cols));
    for (uint32_t r = 0; r < n_live; r++)
        for (uint32_t k = 0; k < n_cols; k++)
            out[(size_t)k * MOTE_PANEL + r] = rows[r * ld + k];
}

void mote_k_pack_bf16(
        void *panel, const uint16_t *rows, size_t ld, uint32_t n_live, uint32_t n_cols)
{
    uint16_t *out = panel;
    memset(out, 0, mote__k_panel_bytes(MOTE_K_BF16, n_cols));
    for (uint32_t r = 0; r < n_live; r++)
        for (uint32_t k = 0; k < n_cols; k += 4) {
            const uint32_t n = n_cols - k < 4u ? n_cols - k : 4u;
            memcpy(out + (size_t)k * MOTE_PANEL + r * 4u, rows + r * ld + k,
                    n * sizeof *out);
        }
}

void mote_k_pack_e4m3(
        void *panel, const uint8_t *rows, size_t ld, uint32_t n_live, uint32_t n_cols)
{
    uint8_t *out = panel;
    memset(out, 0, mote__k_panel_bytes(MOTE_K_E4M3, n_cols));
    for (uint32_t r = 0; r < n_live; r++)
        for (uint32_t k = 0; k < n_cols; k += 4) {
            const uint32_t n = n_cols - k < 4u ? n_cols - k : 4u;
            memcpy(out + (size_t)k * MOTE_PANEL + r * 4u, rows + r * ld + k, n);
        }
}

/* 16 x 16 values of a panel, [4][16][4], the other way round. */
static inline __attribute__((always_inline)) void turn(
        uint8_t *restrict to, const uint8_t *restrict from, size_t size)
{
    for (size_t g = 0; g < 4; g++)
        for (size_t h = 0; h < 4; h++)
            for (size_t i = 0; i < 4; i++)
                for (size_t k = 0; k < 4; k++)
                    memcpy(to + (64 * h + 16 * g + 4 * k + i) * size,
                            from + (64 * g + 16 * h + 4 * i + k) * size, size);
}

void mote_k_pack_columns(void *panel, const mote_k_matrix *w, uint32_t column)
{
    const size_t from = mote__k_panel_bytes(w->type, w->n_cols),
                 block = mote__k_panel_bytes(w->type, MOTE_PANEL);
    const uint8_t *data = (const uint8_t *)w->data + column / MOTE_PANEL * block;
    uint8_t *to = panel;
    for (uint32_t p = 0; p < mote_k_panels(w->n_rows); p++, data += from, to += block) {
        if (w->type == MOTE_K_BF16)
            turn(to, data, 2);
        else
            turn(to, data, 1);
    }
}

float mote_k_i4_value(const void *panel, uint32_t r, uint32_t k)
{
    const uint8_t *data = panel;
    const unsigned pair = data[mote__k_i4_column(k & ~7u) + r * 4u + (k & 3u)];
    uint16_t scale;
    memcpy(&scale, data + mote__k_i4_scales(k / MOTE_I4_GROUP) + r * sizeof scale,
            sizeof scale);
    return (float)((int)(k & 4u ? pair >> 4 : pair & 15u) - 8) *
           mote_k_bf16_to_f32(scale);
}

/* Value of row r, column k of a panel, before the scale that is not in it. */
static float panel_value(const void *panel, uint32_t type, uint32_t r, uint32_t k)
{
    const size_t cell = (size_t)(k & ~3u) * MOTE_PANEL + r * 4u + (k & 3u);
    switch (type) {
    case MOTE_K_F32:
        return ((const float *)panel)[(size_t)k * MOTE_PANEL + r];
    case MOTE_K_BF16:
        return mote_k_bf16_to_f32(((const uint16_t *)panel)[cell]);
    case MOTE_K_E4M3:
        return mote_k_e4m3_to_f32(((const uint8_t *)panel)[cell]);
    case MOTE_K_I8:
        return (float)((const int8_t *)panel)[cell];
    default:
        return mote_k_i4_value(panel, r, k);
    }
}

void mote_k_unpack(float *rows, size_t ld, const mote_k_matrix *w, uint32_t panel)
{
    const void *data = mote__k_panel(w, panel);
    const float *scales = mote__k_scales(w, panel);
    const uint32_t columns = mote__k_scale_columns(w->type);
    for (uint32_t r = 0; r < MOTE_PANEL; r++)
        for (uint32_t k = 0; k < w->n_cols; k++) {
            float scale = 1.0f;
            if (w->type == MOTE_K_E4M3)
                scale = scales[k / columns];
            else if (w->type == MOTE_K_I8)
                scale = scales[k / columns * MOTE_PANEL + r];
            rows[r * ld + k] = panel_value(data, w->type, r, k) * scale;
        }
}
