/* SPDX-License-Identifier: MIT */
/* Two to eight tokens by bf16 products: part of mat_avx512bf16.c.
 *
 * A run of panels is read in order, once, and its weights are converted in registers
 * for all tokens: batches of sessions and the verification of drafts have one to eight
 * rows per matrix, and are bound by memory as one token is, or by the dot products
 * alone. Measured beside it (Zen 4, 8 tokens): a conversion into L1 that all tokens
 * read back takes twice as long, since it waits for memory with nothing to multiply.
 *
 * Up to four tokens keep four sums each, and weights of two steps to come. More keep
 * two sums, so that all stay in registers: first the even groups of a unit, then the
 * odd ones. The order of additions is that of tile() and one_unit(). The sums are
 * variables and not an array, since compilers keep a shadow of an array of registers in
 * memory. */
#ifndef MOTE_KERNELS_X86_FEW_AVX512BF16_H
#define MOTE_KERNELS_X86_FEW_AVX512BF16_H

typedef struct few_job {
    const uint8_t *w;
    const float *scales;
    const uint8_t *const *x;            /* one row per token */
    float (*y)[DRIVER_FEW][MOTE_PANEL]; /* per panel */
    const char *next;                   /* read after this run, or NULL */
    uint32_t k_pad, n_panels;
} few_job;

/* From two tokens on multiplying takes longer than reading, and the hardware's
 * prefetcher, which serves one token best alone, falls behind. Weights are asked for
 * this many bytes before they are read, into L2, which waits for more lines at once
 * than L1 does: two tokens read 30 GB/s so, 24 into L1 (Zen 4, one core). */
#define FEW_AHEAD 12288
#define FEW_NEXT 4096 /* of a run elsewhere, before this one ends */
#define FEW_STREAM 4  /* tokens up to which registers last for two steps' weights */

ALWAYS void few_ahead(const uint8_t *w, uint32_t bytes)
{
    for (uint32_t line = 0; line < bytes; line += 64)
        _mm_prefetch((const char *)w + FEW_AHEAD + line, _MM_HINT_T1);
}

/* 4 columns of a panel as bf16: group g of a step of 8. */
ALWAYS void decode_half(
        __m512i *out, const tables *t, uint32_t type, const uint8_t *w, uint32_t g)
{
    if (type == MOTE_K_BF16) {
        out[0] = _mm512_loadu_si512(w + 128 * g);
        out[1] = _mm512_loadu_si512(w + 128 * g + 64);
    } else if (type == MOTE_K_I4) {
        const __m512i v = _mm512_loadu_si512(w), mask = _mm512_set1_epi8(15);
        decode_nibbles(out, t, _mm512_and_si512(g ? _mm512_srli_epi16(v, 4) : v, mask));
    } else {
        decode_group(out, t, type, _mm512_loadu_si512(w + 64 * g));
    }
}

#define FOR_FEW(macro)                                                                 \
    macro(0) macro(1) macro(2) macro(3) macro(4) macro(5) macro(6) macro(7)
#define FEW_BEGIN(i)                                                                   \
    const uint8_t *x##i = i < nt ? rows[i] + x_at : NULL;                              \
    __m512 a##i = zero, b##i = zero;
#define FEW_ODD_BEGIN(i) __m512 c##i = zero, d##i = zero;
#define FEW_TERM(i)                                                                    \
    if (i < nt) {                                                                      \
        const __m512i v = group_of(x##i + at);                                         \
        a##i = dot(a##i, w[0], v);                                                     \
        b##i = dot(b##i, w[1], v);                                                     \
    }
#define FEW_ODD_TERM(i)                                                                \
    if (i < nt) {                                                                      \
        const __m512i v = group_of(x##i + at);                                         \
        c##i = dot(c##i, w[2], v);                                                     \
        d##i = dot(d##i, w[3], v);                                                     \
    }
#define FEW_TURN(i)                                                                    \
    if (i < nt) {                                                                      \
        even[i][0] = a##i;                                                             \
        even[i][1] = b##i;                                                             \
        a##i = b##i = zero;                                                            \
    }
#define FEW_END(i)                                                                     \
    if (i < nt)                                                                        \
        add_partial(y[i], type, a##i, b##i, c##i, d##i, scale);
#define FEW_TURN_END(i)                                                                \
    if (i < nt)                                                                        \
        add_partial(y[i], type, even[i][0], even[i][1], a##i, b##i, scale);

/* One unit of one panel, of up to FEW_STREAM tokens. */
ALWAYS void few_unit_stream(float (*y)[MOTE_PANEL], stream *from,
        const uint8_t *const *rows, size_t x_at, size_t steps, __m512 scale,
        uint32_t nt, uint32_t type, uint32_t terms, const tables *t)
{
    const __m512 zero = _mm512_setzero_ps();
    FOR_FEW(FEW_BEGIN)
    FOR_FEW(FEW_ODD_BEGIN)
    for (size_t s = 0; s < steps; s++) {
        __m512i w[4];
        if (type != MOTE_K_BF16 || nt * terms > 6) /* else reading takes longer */
            few_ahead(from->next, step_bytes(type));
        stream_step(w, from, t, type);
        size_t at = 16 * terms * s;
        for (uint32_t e = 0; e < terms; e++, at += 8) {
            FOR_FEW(FEW_TERM)
        }
        for (uint32_t e = 0; e < terms; e++, at += 8) {
            FOR_FEW(FEW_ODD_TERM)
        }
    }
    FOR_FEW(FEW_END)
}

/* Of more tokens: the even groups, then the odd ones. */
ALWAYS void few_unit_twice(float (*y)[MOTE_PANEL], const uint8_t *panel,
        const uint8_t *const *rows, size_t x_at, size_t steps, __m512 scale,
        uint32_t nt, uint32_t type, uint32_t terms, const tables *t)
{
    const __m512 zero = _mm512_setzero_ps();
    const uint32_t bytes = step_bytes(type);
    const uint32_t half = type == MOTE_K_I4 ? bytes : bytes / 2;
    __m512 even[DRIVER_FEW][2];
    __m512i w[2];
    FOR_FEW(FEW_BEGIN)
    for (size_t s = 0; s < steps; s++) {
        decode_half(w, t, type, panel + s * bytes, 0);
        few_ahead(panel + s * bytes, half);
        size_t at = 16 * terms * s;
        for (uint32_t e = 0; e < terms; e++, at += 8) {
            FOR_FEW(FEW_TERM)
        }
    }
    FOR_FEW(FEW_TURN)
    for (size_t s = 0; s < steps; s++) {
        decode_half(w, t, type, panel + s * bytes, 1);
        few_ahead(panel + s * bytes + half, bytes - half);
        size_t at = 16 * terms * s + 8 * terms;
        for (uint32_t e = 0; e < terms; e++, at += 8) {
            FOR_FEW(FEW_TERM)
        }
    }
    FOR_FEW(FEW_TURN_END)
}

ALWAYS void few_run(const few_job *few, uint32_t nt, uint32_t type, uint32_t terms)
{
    const few_job j = *few;
    const tables t = tables_for(type);
    const uint32_t unit = mote__k_scale_columns(type);
    const size_t bytes = mote__k_panel_bytes(type, j.k_pad);
    const size_t n_scales = mote__k_panel_scales(type, j.k_pad);
    const uint8_t *w = j.w;
    const float *scales = j.scales;
    stream from;
    if (nt <= FEW_STREAM)
        from = stream_of(j.w, j.k_pad, j.n_panels, &t, type);
    for (uint32_t p = 0; p < j.n_panels; p++, w += bytes, scales += n_scales) {
        float(*y)[MOTE_PANEL] = j.y[p];
        for (uint32_t i = 0; i < nt; i++)
            _mm512_store_ps(y[i], _mm512_setzero_ps());
        if (j.n_panels - p == 1 && j.next)
            for (uint32_t line = 0; line < FEW_NEXT; line += 64)
                _mm_prefetch(j.next + line, _MM_HINT_T0);
        for (uint32_t k = 0, u = 0; k < j.k_pad; k += unit, u++) {
            const uint32_t n = j.k_pad - k < unit ? j.k_pad - k : unit;
            const size_t x_at = (size_t)k * 2 * terms;
            const __m512 scale = scale_of(type, w, scales, u);
            if (nt <= FEW_STREAM)
                few_unit_stream(y, &from, j.x, x_at, n / 8, scale, nt, type, terms, &t);
            else
                few_unit_twice(y, w + mote__k_column(type, k), j.x, x_at, n / 8, scale,
                        nt, type, terms, &t);
        }
    }
}

/* Functions of their own, so that each keeps its registers. */
#define FEW_INSTANCE(nt, type, terms)                                                  \
    static void few_##type##_##terms##_##nt(const few_job *j)                          \
    {                                                                                  \
        few_run(j, nt, MOTE_K_##type, terms);                                          \
    }
#define FEW_TERMS(type, terms)                                                         \
    FEW_INSTANCE(2, type, terms)                                                       \
    FEW_INSTANCE(3, type, terms)                                                       \
    FEW_INSTANCE(4, type, terms)                                                       \
    FEW_INSTANCE(5, type, terms)                                                       \
    FEW_INSTANCE(6, type, terms)                                                       \
    FEW_INSTANCE(7, type, terms) FEW_INSTANCE(8, type, terms)
#define FEW_TYPE(type) FEW_TERMS(type, 1) FEW_TERMS(type, 2) FEW_TERMS(type, 3)
FEW_TYPE(BF16)
FEW_TYPE(E4M3)
FEW_TERMS(I8, 3)
FEW_TERMS(I4, 3)

/* y[i][token]: panels begin and up of a matrix, n of them. next: what is read then. */
static void few_tokens(float (*y)[DRIVER_FEW][MOTE_PANEL], const mote_k_matrix *w,
        uint32_t begin, uint32_t n, const uint8_t *const *x, uint32_t nt, uint32_t form,
        const void *next)
{
#define FEW_ROW(type, terms)                                                           \
    {                                                                                  \
        few_##type##_##terms##_2, few_##type##_##terms##_3, few_##type##_##terms##_4,  \
                few_##type##_##terms##_5, few_##type##_##terms##_6,                    \
                few_##type##_##terms##_7, few_##type##_##terms##_8                     \
    }
#define FEW_ROWS(type)                                                                 \
    {                                                                                  \
        FEW_ROW(type, 3), FEW_ROW(type, 2), FEW_ROW(type, 1)                           \
    }
    static void (*const run[MOTE_K_TYPES][3][DRIVER_FEW - 1])(const few_job *) = {
            [MOTE_K_BF16] = FEW_ROWS(BF16),
            [MOTE_K_E4M3] = FEW_ROWS(E4M3),
            [MOTE_K_I8] = {FEW_ROW(I8, 3)},
            [MOTE_K_I4] = {FEW_ROW(I4, 3)}};
    if (!run[w->type][form][0]) {
        /* Integers with one or two terms: nothing asks for them, so that they are not
         * worth 50 KB of code. */
        for (uint32_t p = 0; p < n; p++)
            for (uint32_t i = 0; i < nt; i++)
                one_token(y[p][i], w, begin + p, 1, x[i], form, NULL);
        return;
    }
    const few_job j = {.w = mote__k_panel(w, begin),
            .scales = mote__k_scales(w, begin),
            .x = x,
            .y = y,
            .next = next,
            .k_pad = mote_k_pad(w->n_cols),
            .n_panels = n};
    run[w->type][form][nt - 2](&j);
}
#endif
