/* SPDX-License-Identifier: MIT */
/* More than eight tokens by bf16 products: part of mat_avx512bf16.c.
 *
 * A block of 128 columns of four panels becomes bf16 in L1 once and is multiplied with
 * all tokens, in tiles of one panel times four to six tokens, whose 24 sums fill the
 * registers. The conversion of e4m3 takes as long as 2 to 3 tokens' products; its
 * shuffles run on a pipe that products leave free (Zen 4), so it is done beside the
 * tiles, one group of 64 weights per step (two cost as much as before). Everything else
 * is asked for in time: the next tile's activations into L1, the next block's weights
 * into L2. Out of memory 48 tokens reach 90 % of the peak of dot products, in cache 94
 * %; most of the rest is the folding of sums where the scale changes. */
#ifndef MOTE_KERNELS_X86_MANY_AVX512BF16_H
#define MOTE_KERNELS_X86_MANY_AVX512BF16_H

/* n columns from column k0 on in `parts` parts; n == 0: the first columns of the panels
 * that come next. */
ALWAYS ahead ahead_of(const job *j, uint32_t k0, uint32_t n, uint32_t parts)
{
    ahead a = {.at = 0};
    for (uint32_t p = 0; p < DRIVER_PANELS; p++)
        a.from[p] =
                (const char *)(n ? j->panel[p].data + mote__k_panel_bytes(j->type, k0)
                                 : j->next[p].data);
    n = n ? n : j->k_pad;
    a.bytes = (uint32_t)mote__k_panel_bytes(j->type, n < MOTE_BLOCK ? n : MOTE_BLOCK);
    a.step = (a.bytes / 64 + parts - 1) / parts * 64;
    return a;
}

/* The part of one panel. Into L2: the first level is full of what is multiplied. */
ALWAYS void ahead_of_panel(const ahead *a, uint32_t p)
{
    for (uint32_t at = a->at; at < a->at + a->step && at < a->bytes; at += 64)
        _mm_prefetch(a->from[p] + at, _MM_HINT_T1);
}

/* A row of tiles, one for each panel, of the same nt tokens. */
typedef struct tile_row {
    const uint8_t *w[DRIVER_PANELS];
    /* By panel, unit of columns and row. */
    float (*scales)[MOTE_BLOCK / 32][MOTE_PANEL];
    const uint8_t *const *x, *const *next; /* nt tokens, and those of the next row */
    size_t x_at, next_at;                  /* where their columns begin */
    uint32_t np, n, unit;                  /* panels, columns, columns per scale */
    ahead soon;                            /* asked for beside each tile */
    /* What is converted beside each tile, half a panel of e4m3, or NULL. */
    struct {
        const uint8_t *from;
        uint8_t *to;
    } beside[DRIVER_PANELS];
} tile_row;

/* The 24 sums are variables and not an array, since compilers keep a shadow of an array
 * of registers in memory. */
#define FOR_TILE(macro) macro(0) macro(1) macro(2) macro(3) macro(4) macro(5)
#define TILE_BEGIN(i)                                                                  \
    const uint8_t *x##i = i < nt ? rows[i] + x_at : NULL;                              \
    __m512 a##i = zero, b##i = zero, c##i = zero, d##i = zero;                         \
    if (i < nt && type == MOTE_K_E4M3)                                                 \
        _mm_prefetch((const char *)total[i][p], _MM_HINT_T0);
#define TILE_EVEN(i)                                                                   \
    if (i < nt) {                                                                      \
        const __m512i v = group_of(x##i + 8 * e);                                      \
        a##i = dot(a##i, w0, v);                                                       \
        b##i = dot(b##i, w1, v);                                                       \
    }
#define TILE_ODD(i)                                                                    \
    if (i < nt) {                                                                      \
        const __m512i v = group_of(x##i + 8 * (terms + e));                            \
        c##i = dot(c##i, w2, v);                                                       \
        d##i = dot(d##i, w3, v);                                                       \
    }
#define TILE_ON(i)                                                                     \
    if (i < nt)                                                                        \
        x##i += 16 * terms;
#define TILE_END(i)                                                                    \
    if (i < nt)                                                                        \
        add_partial(total[i][p], type, a##i, b##i, c##i, d##i, scale);

ALWAYS void convert_group(uint8_t *to, const uint8_t *from, const tables *t)
{
    __m512i b[2];
    decode_group(b, t, MOTE_K_E4M3, _mm512_loadu_si512(from));
    _mm512_store_si512(to, b[0]);
    _mm512_store_si512(to + 64, b[1]);
}

/* One unit of a panel. convert: 64 bytes of e4m3 at `from` in each step, too. */
ALWAYS void tile(totals *total, uint32_t p, const uint8_t *w, __m512 scale,
        const uint8_t *const *rows, size_t x_at, uint32_t steps, const uint8_t *from,
        uint8_t *to, uint32_t nt, uint32_t type, uint32_t terms, int convert,
        const tables *t)
{
    const __m512 zero = _mm512_setzero_ps();
    FOR_TILE(TILE_BEGIN)
    for (; steps; steps--, w += 256) {
        const __m512i w0 = _mm512_load_si512(w), w1 = _mm512_load_si512(w + 64);
        for (uint32_t e = 0; e < terms; e++) {
            FOR_TILE(TILE_EVEN)
        }
        if (convert) {
            convert_group(to, from, t);
            from += 64;
            to += 128;
        }
        const __m512i w2 = _mm512_load_si512(w + 128), w3 = _mm512_load_si512(w + 192);
        for (uint32_t e = 0; e < terms; e++) {
            FOR_TILE(TILE_ODD)
        }
        FOR_TILE(TILE_ON)
    }
    FOR_TILE(TILE_END)
}

ALWAYS void tiles(
        totals *total, const tile_row *r, uint32_t nt, uint32_t type, uint32_t terms)
{
    const uint32_t unit = r->unit;
    const tables t = tables_for(MOTE_K_E4M3);
    for (uint32_t p = 0; p < r->np; p++) {
        /* The activations of the next row come from L2, or L3 when they are long. */
        for (uint32_t i = 0; i < nt; i++)
            for (uint32_t e = 0; e < terms; e++)
                _mm_prefetch(
                        (const char *)r->next[i] + r->next_at + 64 * (p * terms + e),
                        _MM_HINT_T0);
        ahead_of_panel(&r->soon, p);
        if (type == MOTE_K_E4M3 && r->beside[p].from) {
            tile(total, p, r->w[p], _mm512_load_ps(r->scales[p][0]), r->x, r->x_at,
                    MOTE_BLOCK / 8, r->beside[p].from, r->beside[p].to, nt, type, terms,
                    1, &t);
            continue;
        }
        for (uint32_t k = 0, u = 0; k < r->n; k += unit, u++)
            tile(total, p, r->w[p] + (size_t)k * 32, _mm512_load_ps(r->scales[p][u]),
                    r->x, r->x_at + (size_t)k * 2 * terms,
                    (r->n - k < unit ? r->n - k : unit) / 8, NULL, NULL, nt, type,
                    terms, 0, &t);
    }
}

/* Instances of tiles() by number of tokens, layout and number of terms. All types but
 * BF16 have the layout of E4M3 once they are converted. */
#define TILES_INSTANCE(nt, layout, terms)                                              \
    static void tiles_##layout##_##terms##_##nt(totals *total, const tile_row *r)      \
    {                                                                                  \
        tiles(total, r, nt, MOTE_K_##layout, terms);                                   \
    }
#define TILES_INSTANCES(layout, terms)                                                 \
    TILES_INSTANCE(4, layout, terms)                                                   \
    TILES_INSTANCE(5, layout, terms) TILES_INSTANCE(6, layout, terms)
TILES_INSTANCES(E4M3, 1)
TILES_INSTANCES(E4M3, 2)
TILES_INSTANCES(E4M3, 3)
TILES_INSTANCES(BF16, 1)
TILES_INSTANCES(BF16, 2)
TILES_INSTANCES(BF16, 3)

typedef void (*tiles_function)(totals *, const tile_row *);
#define TILES_ROW(layout, terms)                                                       \
    {                                                                                  \
        tiles_##layout##_##terms##_4, tiles_##layout##_##terms##_5,                    \
                tiles_##layout##_##terms##_6                                           \
    }
/* From TILE_LEAST tokens on: more than DRIVER_FEW make no smaller tile. */
#define TILE_LEAST 4
static const tiles_function tiles_of[2][3][TILE - TILE_LEAST + 1] = {
        {TILES_ROW(E4M3, 1), TILES_ROW(E4M3, 2), TILES_ROW(E4M3, 3)},
        {TILES_ROW(BF16, 1), TILES_ROW(BF16, 2), TILES_ROW(BF16, 3)}};

/* 128 columns (or the last) of the panels of a job. */
typedef struct block {
    uint32_t k0, n; /* columns; n == 0: none */
} block;

ALWAYS block block_at(const job *j, uint32_t k0)
{
    const uint32_t left = j->k_pad - k0;
    return (block){.k0 = k0, .n = left < MOTE_BLOCK ? left : MOTE_BLOCK};
}

ALWAYS const uint8_t *block_bytes(
        const job *j, uint32_t p, const block *b, uint32_t type)
{
    return j->panel[p].data + mote__k_column(type, b->k0);
}

ALWAYS void convert_panel(
        uint8_t *out, const job *j, uint32_t p, const block *b, uint32_t type)
{
    const tables t = tables_for(type);
    const uint8_t *w = j->panel[p].data;
    for (uint32_t s = 0; s < b->n / 8; s++) {
        __m512i v[4];
        decode_step(v, &t, type, w + mote__k_column(type, b->k0 + 8 * s));
        for (int i = 0; i < 4; i++)
            _mm512_store_si512(out + (size_t)s * 256 + 64 * i, v[i]);
    }
}

ALWAYS void block_scales(float (*out)[MOTE_BLOCK / 32][MOTE_PANEL], const job *j,
        const block *b, uint32_t type)
{
    const uint32_t unit = mote__k_scale_columns(type);
    for (uint32_t p = 0; p < j->n_panels; p++)
        for (uint32_t k = 0, u = 0; k < b->n; k += unit, u++)
            _mm512_store_ps(out[p][u], scale_of(type, j->panel[p].data,
                                               j->panel[p].scales, (b->k0 + k) / unit));
}

/* Half h of 128 columns of a panel of e4m3, converted beside a tile. */
ALWAYS void convert_beside(
        tile_row *r, uint32_t tile, const void *panel, uint32_t h, uint8_t *to)
{
    r->beside[tile].from = (const uint8_t *)panel + h * (MOTE_BLOCK * MOTE_PANEL / 2);
    r->beside[tile].to = to + h * (BLOCK_BF16 / 2);
}

/* Blocks are converted once, 4 KiB of bf16 per panel, and used by every row of tiles.
 * That of e4m3 is done beside the tiles, half a panel at a time, in the five tiles
 * before the block's first and the first three of its own:
 *
 *     panel 0 0 1 1 2 | 2 3 3
 *
 * into the places of panels that are done with, and two more; the last block does so
 * for the first one of the panels that follow. Tiles are of equal size, as near as can
 * be: a last one of a token or two would cost nearly as much as a full one. */
ALWAYS void dots(const job *j, totals *total, uint32_t terms, uint32_t type)
{
    _Alignas(64) float scales[DRIVER_PANELS][MOTE_BLOCK / 32][MOTE_PANEL];
    const uint32_t n_tiles = (j->n + TILE - 1) / TILE;
    const tiles_function *run = tiles_of[type == MOTE_K_BF16][terms - 1];
    kept *m = j->kept;
    uint8_t **own = m->own, **spare = m->spare;
    if (!m->begun) {
        for (uint32_t p = 0; p < DRIVER_PANELS; p++)
            own[p] = m->buffer[p];
        for (uint32_t p = 0; p < BLOCK_SPARE; p++)
            spare[p] = m->buffer[DRIVER_PANELS + p];
    }
    for (block b = block_at(j, 0), next; b.n; b = next) {
        next = block_at(j, b.k0 + b.n);
        const int overlap = type == MOTE_K_E4M3 && j->n_panels == DRIVER_PANELS &&
                            b.n == MOTE_BLOCK &&
                            (next.n ? next.n == MOTE_BLOCK : j->follows);
        uint8_t *then[DRIVER_PANELS] = {spare[0], spare[1], own[0], own[1]};
        tile_row r = {.scales = scales,
                .np = j->n_panels,
                .n = b.n,
                .unit = mote__k_scale_columns(type),
                .x_at = (size_t)b.k0 * 2 * terms};
        block_scales(scales, j, &b, type);
        for (uint32_t p = 0; p < j->n_panels; p++) {
            r.w[p] = type == MOTE_K_BF16 ? block_bytes(j, p, &b, type) : own[p];
            if (type != MOTE_K_BF16 && !m->begun)
                convert_panel(own[p], j, p, &b, type);
        }
        if (m->begun) {
            convert_beside(&r, 0, block_bytes(j, 2, &b, type), 1, own[2]);
            convert_beside(&r, 1, block_bytes(j, 3, &b, type), 0, own[3]);
            convert_beside(&r, 2, block_bytes(j, 3, &b, type), 1, own[3]);
        }
        const size_t after = next.n ? (size_t)next.k0 * 2 * terms : 0;
        r.soon = ahead_of(j, next.k0, next.n, n_tiles - (uint32_t)overlap);
        for (uint32_t t = 0, i = 0, nt; t < n_tiles; t++, i += nt) {
            nt = (j->n - i + n_tiles - t - 1) / (n_tiles - t);
            r.x = j->x + i;
            r.next = t + 1 < n_tiles ? r.x + nt : j->x;
            r.next_at = t + 1 < n_tiles ? r.x_at : after;
            if (overlap && t + 2 == n_tiles)
                convert_beside(&r, 3, r.soon.from[0], 0, then[0]);
            if (overlap && t + 1 == n_tiles) {
                convert_beside(&r, 0, r.soon.from[0], 1, then[0]);
                convert_beside(&r, 1, r.soon.from[1], 0, then[1]);
                convert_beside(&r, 2, r.soon.from[1], 1, then[1]);
                convert_beside(&r, 3, r.soon.from[2], 0, then[2]);
            }
            run[nt - TILE_LEAST](total + i, &r);
            r.soon.at += r.soon.step;
            memset(r.beside, 0, sizeof r.beside);
        }
        if (overlap) {
            spare[0] = own[2];
            spare[1] = own[3];
            memcpy(own, then, sizeof then);
        }
        m->begun = overlap;
    }
}

static void dots_bf16(const job *j, totals *total, uint32_t terms)
{
    dots(j, total, terms, MOTE_K_BF16);
}
static void dots_e4m3(const job *j, totals *total, uint32_t terms)
{
    dots(j, total, terms, MOTE_K_E4M3);
}
static void dots_i8(const job *j, totals *total, uint32_t terms)
{
    dots(j, total, terms, MOTE_K_I8);
}
static void dots_i4(const job *j, totals *total, uint32_t terms)
{
    dots(j, total, terms, MOTE_K_I4);
}
#endif
