/* SPDX-License-Identifier: MIT */
/* Products of integers (vpdpbusd): part of mat_avx512bf16.c.
 *
 * Weights enter unsigned (int8 + 128, nibble + 0), and a sum starts at minus the offset
 * times the sum of x. The scale of activations changes every 32 columns: of 132
 * operations on the multipliers' pipes for 6 tokens and 2 panels 96 multiply.
 *
 * One token runs through panels one after the other, in the order of memory, which
 * binds it (two to four would be slower so: 0.7 to 0.95 times). More take tiles of two
 * panels and up to six tokens, over columns that stay in L1, while those that follow
 * are asked for. */
#ifndef MOTE_KERNELS_X86_INT8_AVX512BF16_H
#define MOTE_KERNELS_X86_INT8_AVX512BF16_H

/* ---- one token ---- */

/* 32 columns (or the last 16) of integer products. */
ALWAYS __m512 one_unit_int8(__m512 y, const uint8_t *w, const uint8_t *x,
        const uint8_t *group, uint32_t steps, __m512 scale, uint32_t type)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80), nibble = _mm512_set1_epi8(15);
    int32_t start, four;
    float by;
    memcpy(&by, group, sizeof by);
    memcpy(&start, group + (type == MOTE_K_I4 ? 4 : 8), sizeof start);
    __m512i sum = _mm512_set1_epi32(start);
    for (uint32_t s = 0; s < steps; s++, x += 8) {
        __m512i b[2];
        if (type == MOTE_K_I4) {
            const __m512i v = _mm512_loadu_si512(w + 64 * (size_t)s);
            b[0] = _mm512_and_si512(v, nibble);
            b[1] = _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble);
        } else {
            b[0] = _mm512_xor_si512(_mm512_loadu_si512(w + 128 * (size_t)s), flip);
            b[1] = _mm512_xor_si512(_mm512_loadu_si512(w + 128 * (size_t)s + 64), flip);
        }
        for (uint32_t h = 0; h < 2; h++) {
            memcpy(&four, x + 4 * h, sizeof four);
            sum = _mm512_dpbusd_epi32(sum, b[h], _mm512_set1_epi32(four));
        }
    }
    return _mm512_fmadd_ps(
            _mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(by)), y);
}

ALWAYS void one_int8(float *y, const one_job *one, uint32_t type)
{
    const one_job j = *one;
    const uint32_t group = mote__k_scale_columns(type);
    const size_t bytes = mote__k_panel_bytes(type, j.k_pad);
    const size_t n_scales = mote__k_panel_scales(type, j.k_pad);
    const uint8_t *w = j.w, *groups = j.x + round64(j.k_pad);
    const float *scales = j.scales;
    for (uint32_t p = 0; p < j.n_panels; p++, w += bytes, scales += n_scales) {
        __m512 sum = _mm512_setzero_ps();
        uint32_t k = 0;
        for (; k + MOTE_ACT_GROUP <= j.k_pad; k += MOTE_ACT_GROUP)
            sum = one_unit_int8(sum, w + mote__k_column(type, k), j.x + k,
                    groups + k / 2, 4, scale_of(type, w, scales, k / group), type);
        if (k < j.k_pad)
            sum = one_unit_int8(sum, w + mote__k_column(type, k), j.x + k,
                    groups + k / 2, 2, scale_of(type, w, scales, k / group), type);
        prefetch_next(&j, j.n_panels - p);
        _mm512_storeu_ps(y + (size_t)p * MOTE_PANEL, sum);
    }
}

static void one_int8_i8(float *y, const one_job *j)
{
    one_int8(y, j, MOTE_K_I8);
}
static void one_int8_i4(float *y, const one_job *j)
{
    one_int8(y, j, MOTE_K_I4);
}

/* ---- more tokens ---- */

/* Columns that are taken in two halves: 64, so that all that is read of weights has one
 * stride, which the hardware's prefetcher follows (int4, 2 to 12 tokens: 1.04 to 1.15
 * times as fast as 32 columns at a time). The half is a constant where this is
 * compiled, and weights are converted here, not in a function that one token's loop
 * shares: 4 and 6 tokens are 3 to 7 % slower otherwise. */
#define PART 64

/* Half a part (32 columns, or 8 * steps) of two panels times nt tokens. */
ALWAYS void half_int8(__m512 (*y)[TILE], const panel_ref *panels,
        const uint8_t *const *rows, size_t plane, uint32_t k, uint32_t half,
        uint32_t steps, uint32_t nt, uint32_t type)
{
    const __m512i flip = _mm512_set1_epi8((char)0x80), nibble = _mm512_set1_epi8(15);
    const size_t at = k / PART * mote__k_panel_bytes(type, PART);
    const uint8_t *w[2], *x[TILE], *group[TILE];
    __m512i sum[2][TILE];
    for (uint32_t p = 0; p < 2; p++)
        w[p] = panels[p].data + at + mote__k_column(type, half * MOTE_ACT_GROUP);
    for (uint32_t i = 0; i < nt; i++) {
        int32_t start;
        x[i] = rows[i] + k + half * MOTE_ACT_GROUP;
        group[i] = rows[i] + plane + (k / MOTE_ACT_GROUP + half) * sizeof(int8_group);
        memcpy(&start, group[i] + (type == MOTE_K_I4 ? 4 : 8), sizeof start);
        for (uint32_t p = 0; p < 2; p++)
            sum[p][i] = _mm512_set1_epi32(start);
    }
    for (size_t s = 0; s < steps; s++) {
        __m512i b[2][2];
        for (uint32_t p = 0; p < 2; p++)
            if (type == MOTE_K_I4) {
                const __m512i v = _mm512_loadu_si512(w[p] + 64 * s);
                b[p][0] = _mm512_and_si512(v, nibble);
                b[p][1] = _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble);
            } else {
                b[p][0] = _mm512_xor_si512(_mm512_loadu_si512(w[p] + 128 * s), flip);
                b[p][1] =
                        _mm512_xor_si512(_mm512_loadu_si512(w[p] + 128 * s + 64), flip);
            }
        for (size_t h = 0; h < 2; h++)
            for (uint32_t i = 0; i < nt; i++) {
                int32_t v;
                memcpy(&v, x[i] + 8 * s + 4 * h, sizeof v);
                for (uint32_t p = 0; p < 2; p++)
                    sum[p][i] = _mm512_dpbusd_epi32(
                            sum[p][i], b[p][h], _mm512_set1_epi32(v));
            }
    }
    for (uint32_t p = 0; p < 2; p++) {
        const __m512 ws =
                type == MOTE_K_I4
                        ? scale_of(type, panels[p].data + at, NULL, half)
                        : scale_of(type, NULL, panels[p].scales, k / MOTE_I8_GROUP);
        for (uint32_t i = 0; i < nt; i++) {
            float by;
            memcpy(&by, group[i], sizeof by);
            y[p][i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[p][i]),
                    _mm512_mul_ps(ws, _mm512_set1_ps(by)), y[p][i]);
        }
    }
}

/* Columns [k, end) of two panels times nt tokens; k is a multiple of a part. */
ALWAYS void columns_int8(__m512 (*y)[TILE], const panel_ref *panels,
        const uint8_t *const *rows, size_t plane, uint32_t k, uint32_t end, uint32_t nt,
        uint32_t type)
{
    for (; k + PART <= end; k += PART) {
        half_int8(y, panels, rows, plane, k, 0, 4, nt, type);
        half_int8(y, panels, rows, plane, k, 1, 4, nt, type);
    }
    if (end - k >= MOTE_ACT_GROUP)
        half_int8(y, panels, rows, plane, k, 0, 4, nt, type);
    if ((end - k) % MOTE_ACT_GROUP)
        half_int8(y, panels, rows, plane, k, end - k > MOTE_ACT_GROUP, 2, nt, type);
}

ALWAYS void tile_int8(const job *j, totals *total, uint32_t first, uint32_t i0,
        uint32_t k, uint32_t columns, uint32_t nt, uint32_t type)
{
    __m512 y[2][TILE];
    for (uint32_t p = 0; p < 2; p++)
        for (uint32_t i = 0; i < nt; i++)
            y[p][i] = _mm512_load_ps(total[i0 + i][first + p]);
    columns_int8(y, j->panel + first, j->x + i0, round64(j->k_pad), k, k + columns, nt,
            type);
    for (uint32_t p = 0; p < 2; p++)
        for (uint32_t i = 0; i < nt; i++)
            _mm512_store_ps(total[i0 + i][first + p], y[p][i]);
}

/* What follows column k of panels p and p + 1. */
ALWAYS ahead ahead_int8(const job *j, uint32_t p, uint32_t k, uint32_t columns,
        uint32_t parts, uint32_t type)
{
    const uint32_t left = j->k_pad - k, n = left ? left : j->k_pad;
    ahead a = {.at = 0};
    for (uint32_t i = 0; i < 2; i++)
        a.from[i] = (const char *)(left ? j->panel[p + i].data +
                                                   mote__k_panel_bytes(type, k)
                                   : p + 2 < j->n_panels ? j->panel[p + 2 + i].data
                                                         : j->next[i].data);
    a.bytes = (uint32_t)mote__k_panel_bytes(type, n < columns ? n : columns);
    a.step = (a.bytes / 64 + parts - 1) / parts * 64;
    return a;
}

/* The part of both panels, which are read together. */
ALWAYS void ahead_part(ahead *a)
{
    for (uint32_t i = 0; i < a->step && a->at < a->bytes; i += 64, a->at += 64)
        for (uint32_t p = 0; p < 2; p++)
            _mm_prefetch(a->from[p] + a->at, _MM_HINT_T1);
}

ALWAYS void all_int8(const job *j, totals *total, uint32_t type)
{
    /* Columns of two panels that stay in L1 for all tiles. With many tokens the next
     * ones are asked for; with few the hardware's prefetcher does better alone, on
     * longer runs (int8, 12 tokens: 250 GOP/s against 237; 13: 244 against 287. int4, 5
     * tokens: 290 against 254; 8: 265 against 322). */
    const uint32_t n_tiles = (j->n + TILE - 1) / TILE;
    const int early = n_tiles > (type == MOTE_K_I4 ? 1 : 2);
    const uint32_t columns = early ? 256 : 512;
    for (uint32_t p = 0; p < j->n_panels; p += 2)
        for (uint32_t k = 0; k < j->k_pad; k += columns) {
            const uint32_t c = j->k_pad - k < columns ? j->k_pad - k : columns;
            ahead next = ahead_int8(j, p, k + c, columns, n_tiles, type);
            uint32_t i = 0;
            for (uint32_t t = 0; t < n_tiles; t++) {
                const uint32_t nt = (j->n - i + n_tiles - t - 1) / (n_tiles - t);
                if (early)
                    ahead_part(&next);
                if (nt == 6)
                    tile_int8(j, total, p, i, k, c, 6, type);
                else if (nt == 5)
                    tile_int8(j, total, p, i, k, c, 5, type);
                else if (nt == 4)
                    tile_int8(j, total, p, i, k, c, 4, type);
                else if (nt == 3)
                    tile_int8(j, total, p, i, k, c, 3, type);
                else
                    tile_int8(j, total, p, i, k, c, 2, type);
                i += nt;
            }
        }
}

static void int8_i8(const job *j, totals *total)
{
    all_int8(j, total, MOTE_K_I8);
}
static void int8_i4(const job *j, totals *total)
{
    all_int8(j, total, MOTE_K_I4);
}
#endif
