/* SPDX-License-Identifier: MIT */
/* Conversions, panels and quantisation: code without variants, so it is tested once,
 * with the scalar table. */
#include "check.h"
#include <math.h>
#include <string.h>

static uint32_t bits_of(float v)
{
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

/* The definition of e4m3, in doubles: s eeee mmm, bias 7, no infinity. */
static double e4m3_value(unsigned v)
{
    const int e = (int)(v >> 3 & 15u), m = (int)(v & 7u);
    double d = e ? ldexp(8 + m, e - 10) : ldexp(m, -9);
    if (e == 15 && m == 7)
        d = (double)NAN;
    return v & 0x80u ? -d : d;
}

/* Nearest e4m3 of a finite v, ties to the even code, found by trying all. */
static unsigned e4m3_nearest(double v)
{
    unsigned best = 0;
    double distance = INFINITY;
    for (unsigned q = 0; q < 0x7f; q++) {
        const double d = fabs(fabs(v) - e4m3_value(q));
        if (d < distance || (d == distance && (q & 1u) == 0)) {
            distance = d;
            best = q;
        }
    }
    return best | (signbit(v) ? 0x80u : 0u);
}

static void check_e4m3(check *c)
{
    uint8_t codes[700];
    for (size_t i = 0; i < sizeof codes; i++)
        codes[i] = (uint8_t)(i % 254 < 127 ? i % 254 : i % 254 + 1);
    check_that(c, mote_k_e4m3_nan(codes, sizeof codes) == sizeof codes, "e4m3: a NaN");
    for (unsigned q = 0; q < 256; q++) {
        const float f = mote_k_e4m3_to_f32((uint8_t)q);
        const size_t at = check_below(c, sizeof codes);
        const uint8_t was = codes[at];
        codes[at] = (uint8_t)q;
        check_that(c,
                mote_k_e4m3_nan(codes, sizeof codes) == (isnan(f) ? at : sizeof codes),
                "e4m3 %02x at %zu: found at %zu", q, at,
                mote_k_e4m3_nan(codes, sizeof codes));
        codes[at] = was;
        const double d = e4m3_value(q);
        check_that(c, isnan(d) ? isnan(f) : (double)f == d, "e4m3 %02x is %g, not %g",
                q, (double)f, d);
        check_that(c, mote_k_f32_to_e4m3(f) == q, "e4m3 %02x does not survive", q);
        if (isnan(d))
            continue;
        /* Halfway to the next code, and one ulp to each side. */
        const float half =
                (float)((d + e4m3_value((q & 0x7fu) < 0x7eu ? q + 1 : q)) / 2);
        const float near[3] = {
                half, nextafterf(half, INFINITY), nextafterf(half, -INFINITY)};
        for (int i = 0; i < 3; i++)
            check_that(c, mote_k_f32_to_e4m3(near[i]) == e4m3_nearest((double)near[i]),
                    "e4m3 of %a is %02x, not %02x", (double)near[i],
                    mote_k_f32_to_e4m3(near[i]), e4m3_nearest((double)near[i]));
    }
    for (int i = 0; i < 20000; i++) {
        const float v = ldexpf(check_normal(c), (int)check_below(c, 30) - 16);
        check_that(c, mote_k_f32_to_e4m3(v) == e4m3_nearest((double)v),
                "e4m3 of %a is %02x, not %02x", (double)v, mote_k_f32_to_e4m3(v),
                e4m3_nearest((double)v));
    }
    check_that(c, mote_k_f32_to_e4m3(INFINITY) == 0x7e, "infinity must saturate");
    check_that(c, mote_k_f32_to_e4m3(-1e30f) == 0xfe, "-1e30 must saturate");
    check_that(c, mote_k_f32_to_e4m3(0x1p-149f) == 0, "the smallest float must give 0");
}

static void check_bf16_f16(check *c)
{
    for (unsigned v = 0; v < 0x10000u; v++) {
        const float f = mote_k_bf16_to_f32((uint16_t)v);
#ifdef __i386__
        if (isnan(f)) /* returned in an x87 register, which makes every NaN a quiet one
                       */
            continue;
#endif
        check_that(c, bits_of(f) == v << 16, "bf16 %04x", v);
        if (!isnan(f))
            check_that(c, mote_k_f32_to_bf16(f) == v,
                    "bf16 %04x does not survive a round trip", v);
        else
            check_that(c, isnan(mote_k_bf16_to_f32(mote_k_f32_to_bf16(f))),
                    "bf16 NaN lost");
        const int e = (int)(v >> 10 & 31u), m = (int)(v & 1023u);
        double d = e == 31 ? (m ? (double)NAN : (double)INFINITY)
                   : e     ? ldexp(1024 + m, e - 25)
                           : ldexp(m, -24);
        if (v & 0x8000u)
            d = -d;
        const float h = mote_k_f16_to_f32((uint16_t)v);
        check_that(c, isnan(d) ? isnan(h) : (double)h == d, "f16 %04x is %g, not %g", v,
                (double)h, d);
    }
    for (int i = 0; i < 20000; i++) {
        const uint32_t b = (uint32_t)check_random(c);
        float v;
        memcpy(&v, &b, sizeof v);
        if (!isfinite(v))
            continue;
        const uint16_t q = mote_k_f32_to_bf16(v);
        const double down = (double)mote_k_bf16_to_f32((uint16_t)(b >> 16));
        const double got = (double)mote_k_bf16_to_f32(q), exact = (double)v;
        /* Distance in units of the step at v, 2^16 float ulps; a tie goes to even. */
        const uint32_t low = b & 0xffffu;
        const int up = low > 0x8000u || (low == 0x8000u && (b >> 16 & 1u));
        check_that(c, q == (uint16_t)((b >> 16) + (unsigned)up),
                "bf16 of %a is %a (down %a)", exact, got, down);
    }
    check_that(c, isnan(mote_k_bf16_to_f32(mote_k_f32_to_bf16(NAN))), "bf16 of NaN");
}

/* The scale of row r, column k of an int4 panel, as kernels.h says where it lies. */
static float int4_scale(const void *panel, uint32_t r, uint32_t k)
{
    uint16_t scale;
    memcpy(&scale, (const char *)panel + k / 64 * 576 + k / 32 % 2 * 32 + 2 * r,
            sizeof scale);
    return mote_k_bf16_to_f32(scale);
}

static void check_panel(check *c, uint32_t n_live, uint32_t n_cols)
{
    const size_t ld = n_cols + 3, n = 16 * ld;
    float *rows = check_alloc(n * 4), *back = check_alloc(n * 4);
    uint16_t *half = check_alloc(n * 2);
    uint8_t *bytes = check_alloc(n);
    for (size_t i = 0; i < n; i++) {
        rows[i] = check_normal(c);
        half[i] = mote_k_f32_to_bf16(rows[i]);
        bytes[i] = (uint8_t)check_random(c);
        if ((bytes[i] & 0x7fu) == 0x7fu)
            bytes[i] = 1;
    }
    for (uint32_t type = 0; type < MOTE_K_TYPES; type++) {
        const size_t size = mote_k_data_bytes(type, n_live, n_cols);
        const size_t n_scales = mote_k_scale_count(type, n_live, n_cols);
        void *panel = check_alloc(size);
        float *scales = check_alloc(n_scales * 4);
        for (uint32_t i = 0; type == MOTE_K_E4M3 && i < n_scales; i++)
            scales[i] = 0.5f + (float)i;
        switch (type) {
        case MOTE_K_F32:
            mote_k_pack_f32(panel, rows, ld, n_live, n_cols);
            break;
        case MOTE_K_BF16:
            mote_k_pack_bf16(panel, half, ld, n_live, n_cols);
            break;
        case MOTE_K_E4M3:
            mote_k_pack_e4m3(panel, bytes, ld, n_live, n_cols);
            break;
        case MOTE_K_I8:
            mote_k_quant_i8(panel, scales, rows, ld, n_live, n_cols, NULL);
            break;
        default:
            mote_k_quant_i4(panel, rows, ld, n_live, n_cols, NULL);
            break;
        }
        check_that(c, check_guards(panel) && check_guards(scales),
                "type %u, %u x %u: wrote past the panel", type, n_live, n_cols);
        const mote_k_matrix w = {panel, scales, n_live, n_cols, type, 0};
        mote_k_unpack(back, ld, &w, 0);
        for (uint32_t r = 0; r < 16; r++)
            for (uint32_t k = 0; k < n_cols; k++) {
                const size_t i = r * ld + k;
                const float got = back[i];
                float want = rows[i], within = 0;
                if (type == MOTE_K_BF16)
                    want = mote_k_bf16_to_f32(half[i]);
                if (type == MOTE_K_E4M3)
                    want = mote_k_e4m3_to_f32(bytes[i]) * (0.5f + (float)(k / 128));
                if (type == MOTE_K_I8 || type == MOTE_K_I4) {
                    /* Half a step of rounding. Refitting the scale moves a code of n
                     * steps by at most n times the change of the scale, which is the
                     * relative rms of the rounding: in total below one step and a half;
                     * a clipped int4 value may lose one more step at the end, and 8
                     * steps times 2^-8 where the scale was rounded to bf16. */
                    const float step = type == MOTE_K_I8 ? scales[k / 64 * 16 + r]
                                                         : int4_scale(panel, r, k);
                    within = (type == MOTE_K_I4 ? 2.5f + 0x1p-5f : 1.5f) * fabsf(step);
                }
                if (r >= n_live)
                    want = within = 0;
                check_that(c, fabsf(got - want) <= within,
                        "type %u, %u x %u, row %u column %u: %g for %g", type, n_live,
                        n_cols, r, k, (double)got, (double)want);
            }
        check_free(panel);
        check_free(scales);
    }
    check_free(rows);
    check_free(back);
    check_free(half);
    check_free(bytes);
}

/* Error of a quantised group, relative to its values. */
static double relative_error(const float *x, const float *y, const float *m, uint32_t n)
{
    double e = 0, s = 0;
    for (uint32_t i = 0; i < n; i++) {
        const double w = m ? (double)m[i] : 1.0, d = (double)x[i] - (double)y[i];
        e += w * d * d;
        s += w * (double)x[i] * (double)x[i];
    }
    return sqrt(e / s);
}

static void check_quantisation(check *c)
{
    enum { COLUMNS = 4096 };
    float *rows = check_alloc(COLUMNS * 4), *back = check_alloc(16 * COLUMNS * 4);
    float *importance = check_alloc(COLUMNS * 4);
    float *scales = check_alloc(mote_k_scale_count(MOTE_K_I8, 16, COLUMNS) * 4);
    void *panel = check_alloc(mote_k_data_bytes(MOTE_K_I8, 16, COLUMNS));
    for (uint32_t k = 0; k < COLUMNS; k++) {
        rows[k] = check_normal(c);
        importance[k] = k % 4 == 0 ? 100.0f : 0.01f;
    }
    mote_k_matrix w = {panel, scales, 1, COLUMNS, MOTE_K_I8, 0};
    mote_k_quant_i8(panel, scales, rows, COLUMNS, 1, COLUMNS, NULL);
    mote_k_unpack(back, COLUMNS, &w, 0);
    /* A step is max/127; max of 64 values of this distribution is below 3.47: the rms
     * rounding error is below 3.47 / 127 / sqrt(12) = 0.0079. */
    check_that(c, relative_error(rows, back, NULL, COLUMNS) < 0.0079, "int8 error %g",
            relative_error(rows, back, NULL, COLUMNS));
    w.type = MOTE_K_I4;
    mote_k_quant_i4(panel, rows, COLUMNS, 1, COLUMNS, NULL);
    mote_k_unpack(back, COLUMNS, &w, 0);
    const double plain = relative_error(rows, back, NULL, COLUMNS);
    const double other = relative_error(rows, back, importance, COLUMNS);
    /* The range alone (step = max/8, max < 3.47) would give at most 0.126. */
    check_that(c, plain < 0.126, "int4 error %g", plain);
    mote_k_quant_i4(panel, rows, COLUMNS, 1, COLUMNS, importance);
    mote_k_unpack(back, COLUMNS, &w, 0);
    check_that(c, relative_error(rows, back, importance, COLUMNS) < other,
            "importance does not lower the weighted error");
    /* Hostile groups: NaN and infinity must show, tiny and zero must give zero. */
    const float hostile[4] = {NAN, INFINITY, 1e-40f, 0.0f};
    for (int h = 0; h < 4; h++)
        for (int type = MOTE_K_I8; type <= MOTE_K_I4; type++) {
            rows[5] = hostile[h];
            for (uint32_t k = 0; h >= 2 && k < 64; k++)
                rows[k] = hostile[h];
            w.type = (uint32_t)type;
            if (type == MOTE_K_I8)
                mote_k_quant_i8(panel, scales, rows, COLUMNS, 1, COLUMNS, NULL);
            else
                mote_k_quant_i4(panel, rows, COLUMNS, 1, COLUMNS, NULL);
            mote_k_unpack(back, COLUMNS, &w, 0);
            check_that(c, h < 2 ? isnan(back[5]) : back[5] == 0,
                    "type %d: %g became %g", type, (double)hostile[h], (double)back[5]);
            check_that(c, isfinite(back[64]), "type %d: %g spread", type,
                    (double)hostile[h]);
        }
    check_free(rows);
    check_free(back);
    check_free(importance);
    check_free(scales);
    check_free(panel);
}

static void pack(void *panel, uint32_t type, const uint8_t *rows, uint32_t n_live,
        uint32_t n_cols)
{
    if (type == MOTE_K_BF16)
        mote_k_pack_bf16(
                panel, (const uint16_t *)(const void *)rows, n_cols, n_live, n_cols);
    else
        mote_k_pack_e4m3(panel, rows, n_cols, n_live, n_cols);
}

/* Panels of a matrix's columns are those of the matrix written the other way round. */
static void check_columns(check *c, uint32_t type, uint32_t n_rows, uint32_t n_cols)
{
    const size_t size = type == MOTE_K_BF16 ? 2 : 1;
    const size_t panel = mote_k_data_bytes(type, MOTE_PANEL, n_cols),
                 turned = mote_k_data_bytes(type, MOTE_PANEL, n_rows);
    uint8_t *values = check_alloc((size_t)n_rows * n_cols * size);
    uint8_t *columns = check_alloc((size_t)n_rows * n_cols * size);
    uint8_t *data = check_alloc(panel * mote_k_panels(n_rows));
    uint8_t *want = check_alloc(turned), *found = check_alloc(turned);
    for (size_t i = 0; i < (size_t)n_rows * n_cols; i++) {
        const uint32_t v = (uint32_t)check_random(c), r = (uint32_t)(i / n_cols),
                       k = (uint32_t)(i % n_cols);
        memcpy(values + i * size, &v, size);
        memcpy(columns + ((size_t)k * n_rows + r) * size, &v, size);
    }
    for (uint32_t r = 0; r < n_rows; r += MOTE_PANEL) {
        const uint32_t live = n_rows - r < MOTE_PANEL ? n_rows - r : MOTE_PANEL;
        pack(data + r / MOTE_PANEL * panel, type, values + (size_t)r * n_cols * size,
                live, n_cols);
    }
    const mote_k_matrix w = {
            .data = data, .n_rows = n_rows, .n_cols = n_cols, .type = type};
    for (uint32_t k = 0; k < n_cols; k += MOTE_PANEL) {
        const uint32_t live = n_cols - k < MOTE_PANEL ? n_cols - k : MOTE_PANEL;
        pack(want, type, columns + (size_t)k * n_rows * size, live, n_rows);
        mote_k_pack_columns(found, &w, k);
        check_that(c, memcmp(found, want, turned) == 0,
                "columns from %u on of %u x %u, type %u", k, n_rows, n_cols, type);
        check_that(c, check_guards(found), "columns: written beyond the panel");
    }
    check_free(values);
    check_free(columns);
    check_free(data);
    check_free(want);
    check_free(found);
}

void check_numbers(check *c)
{
    if (c->table->flags)
        return;
    check_e4m3(c);
    check_bf16_f16(c);
    static const uint32_t sizes[][2] = {
            {1, 1}, {16, 16}, {3, 17}, {16, 31}, {7, 64}, {16, 130}, {15, 257}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check_panel(c, sizes[i][0], sizes[i][1]);
    static const uint32_t shapes[][2] = {{1, 1}, {16, 16}, {24, 20}, {64, 33}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        check_columns(c, MOTE_K_BF16, shapes[i][0], shapes[i][1]);
        check_columns(c, MOTE_K_E4M3, shapes[i][0], shapes[i][1]);
    }
    check_quantisation(c);
    check_that(c, mote__kernels_flags("scalar") == 0, "flags of scalar");
    check_that(c, mote__kernels_flags("no such") == UINT32_MAX,
            "flags of an unknown name");
    check_that(c, mote__kernels_flags(NULL) == UINT32_MAX, "flags of no name");
}
