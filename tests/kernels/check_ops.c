/* SPDX-License-Identifier: MIT */
/* Every operation that is not a matrix product, in every variant that this machine
 * runs: scalar against float64, the others against scalar, with odd sizes, guarded
 * outputs and extreme values. `--bench` times the same calls instead.
 *
 * Tolerances. A sum of n products in fp32 with at least 8 partial sums has a relative
 * error (to the sum of absolute products) of at most (n/8 + 8) * 2^-24; half of that
 * bound is never met with random signs, so nothing is tuned here. */
#include "../portable.h"
#include "base/cpu.h"
#include "kernels/kernels_internal.h"
#include "kernels/latent.h"
#include "kernels/mathfn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t seed = 1;
static int n_failed, n_checked;
static const char *variant_name = "";

#define CHECK(ok, ...)                                                                 \
    do {                                                                               \
        n_checked++;                                                                   \
        if (!(ok) && n_failed++ < 20) {                                                \
            printf("%s:%d (%s): ", __func__, __LINE__, variant_name);                  \
            printf(__VA_ARGS__);                                                       \
            printf("\n");                                                              \
        }                                                                              \
    } while (0)

static uint32_t random_bits(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

static float uniform(void)
{
    return (float)(random_bits() >> 8) * 0x1p-23f - 1.0f;
}

/* Roughly normal, with now and then a large value, as activations have. */
static float sample(void)
{
    const float x = uniform() + uniform() + uniform();
    return random_bits() % 64 == 0 ? 8 * x : x;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = sample();
}

/* Exactly n floats: the sanitizer sees every step outside; `offset` misaligns. */
typedef struct buffer {
    float *base, *at;
    size_t n;
} buffer;

#define GUARD 0x7fabcdefu /* a NaN that nothing computes */

static buffer buffer_of(size_t n, size_t offset)
{
    buffer b;
    const size_t bytes = (n + offset) * sizeof(float) + 1;
    b.base = bytes < PTRDIFF_MAX ? test_aligned_alloc(16, bytes) : NULL;
    if (!b.base)
        exit(2);
    b.at = b.base + offset;
    b.n = n;
    const uint32_t guard = GUARD;
    for (size_t i = 0; i < n + offset; i++)
        memcpy(&b.base[i], &guard, sizeof guard);
    return b;
}

static int is_guard(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits == GUARD;
}

static int same(const float *a, const float *b, size_t n)
{
    return memcmp(a, b, n * sizeof *a) == 0;
}

static void *aligned(size_t bytes)
{
    void *p = test_aligned_alloc(64, bytes ? bytes : 64);
    if (!p)
        exit(2);
    memset(p, 0xff, bytes); /* NaN in every type: nothing stale may be read */
    return p;
}

static double *zeros(size_t n)
{
    double *p = aligned(n * sizeof *p);
    memset(p, 0, n * sizeof *p);
    return p;
}

static double sum_error(size_t n)
{
    return ((double)n / 8 + 8) * 0x1p-24;
}

static const uint32_t sizes[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 63, 64, 100,
        127, 128, 129, 255, 256, 500, 1023, 1024, 1025, 2048, 7168};
#define N_SIZES (sizeof sizes / sizeof *sizes)

static void check_rmsnorm(const mote_kernels *k)
{
    for (size_t s = 0; s < N_SIZES; s++) {
        const uint32_t n = sizes[s];
        buffer x = buffer_of(n, 1), w = buffer_of(n, 2), y = buffer_of(n, 3);
        fill(x.at, n);
        fill(w.at, n);
        k->rmsnorm(y.at, x.at, w.at, n, 1e-6f);
        double sum = 0;
        for (uint32_t i = 0; i < n; i++)
            sum += (double)x.at[i] * (double)x.at[i];
        const double factor = 1 / sqrt(sum / n + (double)1e-6f);
        for (uint32_t i = 0; i < n; i++) {
            const double want = x.at[i] * factor * w.at[i];
            CHECK(fabs(y.at[i] - want) <= fabs(want) * (sum_error(n) + 4 * 0x1p-24),
                    "n %u: y[%u] = %g, expected %g", n, i, (double)y.at[i], want);
        }
        CHECK(is_guard(y.base[2]), "n %u: wrote before y", n);
        k->rmsnorm(x.at, x.at, w.at, n, 1e-6f);
        CHECK(same(x.at, y.at, n), "n %u: in place differs", n);
        test_aligned_free(x.base), test_aligned_free(w.base), test_aligned_free(y.base);
    }
}

static void check_rope(const mote_kernels *k)
{
    static const uint32_t ropes[] = {2, 4, 6, 8, 10, 16, 18, 32, 34, 64, 66, 128};
    for (size_t s = 0; s < sizeof ropes / sizeof *ropes; s++) {
        const uint32_t rope = ropes[s], heads = 3, ld = rope + 5;
        buffer x = buffer_of(heads * ld, 1), before = buffer_of(heads * ld, 1);
        buffer c = buffer_of(rope / 2, 1), z = buffer_of(rope / 2, 3);
        for (uint32_t j = 0; j < rope / 2; j++) {
            const double angle = (double)uniform() * 10;
            c.at[j] = (float)cos(angle);
            z.at[j] = (float)sin(angle);
        }
        for (uint32_t h = 0; h < heads; h++)
            fill(x.at + h * ld, rope);
        memcpy(before.at, x.at, heads * ld * sizeof(float));
        k->rope(x.at, ld, heads, rope, c.at, z.at);
        for (uint32_t h = 0; h < heads; h++) {
            for (uint32_t j = 0; j < rope; j += 2) {
                const double a = before.at[h * ld + j], b = before.at[h * ld + j + 1];
                const double cj = c.at[j / 2], sj = z.at[j / 2];
                const double e = (fabs(a) + fabs(b)) * 0x1p-23;
                CHECK(fabs(x.at[h * ld + j] - (a * cj - b * sj)) <= e, "rope %u", rope);
                CHECK(fabs(x.at[h * ld + j + 1] - (a * sj + b * cj)) <= e, "rope %u",
                        rope);
            }
            for (uint32_t j = rope; j < ld; j++)
                CHECK(is_guard(x.at[h * ld + j]), "rope %u: wrote behind a head", rope);
        }
        test_aligned_free(x.base), test_aligned_free(before.base),
                test_aligned_free(c.base), test_aligned_free(z.base);
    }
}

/* y = a by + other, rounded once or twice, where by is x or what y was. */
static void check_fused(
        void (*op)(float *y, float a, const float *x, uint32_t n), int scales_y)
{
    for (size_t s = 0; s < N_SIZES; s++) {
        const uint32_t n = sizes[s];
        buffer x = buffer_of(n, 1), y = buffer_of(n, 2), old = buffer_of(n, 0);
        fill(x.at, n);
        fill(y.at, n);
        memcpy(old.at, y.at, n * sizeof(float));
        const float *by = scales_y ? old.at : x.at, *other = scales_y ? x.at : old.at;
        const float a = sample();
        op(y.at, a, x.at, n);
        for (uint32_t i = 0; i < n; i++) {
            const double p = (double)a * by[i];
            CHECK(fabs(y.at[i] - (other[i] + p)) <=
                            (fabs((double)other[i]) + 2 * fabs(p)) * 0x1p-24,
                    "n %u: y[%u]", n, i);
        }
        CHECK(is_guard(y.base[1]), "n %u: wrote before y", n);
        test_aligned_free(x.base), test_aligned_free(y.base),
                test_aligned_free(old.base);
    }
}

/* Against float64 in two steps, the second of which raises the maximum or does not;
 * what lies behind n counts for nothing, and neither does how much of it there is in
 * bits.
 *
 * exp has an error of 2 ulp, and an argument off by 2^-23 times itself, at most 88. */
static void check_soften(const mote_kernels *k)
{
    static const uint32_t counts[] = {1, 2, 15, 16, 17, 63, 64, 65, 127, 128};
    for (size_t s = 0; s < sizeof counts / sizeof *counts; s++)
        for (int rise = 0; rise < 2; rise++) {
            const uint32_t n = counts[s], n_pad = 128;
            buffer p = buffer_of(n_pad, 1), raw = buffer_of(n_pad, 0);
            const float scale = 0.37f;
            float top = rise ? -2.0f : 60.0f, total = 3.25f;
            const double old = (double)top, bound = 100 * 0x1p-23;
            fill(raw.at, n);
            memcpy(p.at, raw.at, n * sizeof(float)); /* NaN behind */
            const float factor = k->soften(p.at, n, n_pad, scale, &top, &total);
            double max = old, sum = 0;
            for (uint32_t i = 0; i < n; i++) {
                const double v = (double)scale * raw.at[i];
                max = v > max ? v : max; /* gcc 12 for AArch64 fails on fmax() here */
            }
            CHECK(fabs(top - max) <= fabs(max) * 0x1p-23, "n %u: top %g", n,
                    (double)top);
            for (uint32_t i = 0; i < n_pad; i++) {
                const double want = i < n ? exp((double)scale * raw.at[i] - max) : 0;
                sum += want;
                CHECK(fabs(p.at[i] - want) <= want * bound + 0x1p-120,
                        "n %u: p[%u] = %g, expected %g", n, i, (double)p.at[i], want);
            }
            sum += 3.25 * exp(old - max);
            CHECK(fabs(factor - exp(old - max)) <= exp(old - max) * bound + 0x1p-120,
                    "n %u: factor %g", n, (double)factor);
            CHECK(fabs(total - sum) <= sum * (bound + sum_error(n_pad)),
                    "n %u: total %g, expected %g", n, (double)total, sum);
            CHECK(is_guard(p.base[0]), "n %u: wrote before p", n);
            /* the first step */
            top = -INFINITY, total = 0;
            memcpy(p.at, raw.at, n * sizeof(float));
            CHECK(k->soften(p.at, n, n_pad, scale, &top, &total) == 0.0f &&
                            isfinite(top) && total >= 1.0f,
                    "n %u: first step", n);
            test_aligned_free(p.base), test_aligned_free(raw.base);
        }
}

static void check_router(const mote_kernels *k)
{
    for (size_t s = 0; s < N_SIZES; s++) {
        const uint32_t n = sizes[s], experts = s % 2 ? 9 : 64, rows = 1 + s * 5 % 19;
        const size_t ldx = n + 3, ld = experts + 2;
        buffer x = buffer_of(rows * ldx, 1), w = buffer_of((size_t)experts * n, 3);
        buffer y = buffer_of(rows * ld, 1), one = buffer_of(experts, 0);
        fill(x.at, rows * ldx);
        fill(w.at, (size_t)experts * n);
        k->router(y.at, ld, w.at, x.at, ldx, experts, n, rows);
        for (uint32_t r = 0; r < rows; r++) {
            const float *row = x.at + r * ldx, *found = y.at + r * ld;
            for (uint32_t e = 0; e < experts; e++) {
                double sum = 0, size = 0;
                for (uint32_t i = 0; i < n; i++) {
                    const double p = (double)w.at[(size_t)e * n + i] * row[i];
                    sum += p;
                    size += fabs(p);
                }
                CHECK(fabs(found[e] - sum) <= size * sum_error(n),
                        "k %u: %g, expected %g", n, (double)found[e], sum);
                k->router(one.at + e, 0, w.at + (size_t)e * n, row, 0, 1, n, 1);
            }
            CHECK(same(found, one.at, experts), "k %u: alone differs from together", n);
            CHECK(r + 1 == rows ||
                            (is_guard(found[experts]) && is_guard(found[ld - 1])),
                    "k %u: wrote behind scores", n);
        }
        CHECK(is_guard(y.base[0]), "k %u: wrote before scores", n);
        test_aligned_free(x.base), test_aligned_free(w.base), test_aligned_free(y.base),
                test_aligned_free(one.base);
    }
}

static void check_logsumexp(const mote_kernels *k)
{
    for (size_t s = 0; s < N_SIZES + 1; s++) {
        const uint32_t n = s < N_SIZES ? sizes[s] : 129280;
        buffer x = buffer_of(n, 1);
        static const float spread[] = {1, 30, 1e4f, 1e30f};
        for (size_t d = 0; d < 4; d++) {
            fill(x.at, n);
            double top = -INFINITY, sum = 0;
            for (uint32_t i = 0; i < n; i++) {
                x.at[i] *= spread[d];
                if (i % 7 == 3)
                    x.at[i] = -INFINITY;
                top = x.at[i] > top ? x.at[i] : top;
            }
            for (uint32_t i = 0; i < n; i++)
                sum += exp(x.at[i] - top);
            float max = 0, lse = 0;
            k->logsumexp(x.at, n, &max, &lse);
            CHECK((double)max == top, "n %u: max %g, expected %g", n, (double)max, top);
            /* exp to 4 ulp and an argument rounded at 2^-24 of up to 88; sums of 1024
             */
            const double want = top + log(sum);
            CHECK(fabs(lse - want) <= (1024 + 88 + 4) * 0x1p-24 + fabs(want) * 0x1p-23,
                    "n %u: %g, expected %g", n, (double)lse, want);
        }
        for (uint32_t i = 0; i < n; i++)
            x.at[i] = -INFINITY;
        float max = 0, lse = 0;
        k->logsumexp(x.at, n, &max, &lse);
        CHECK(max == -INFINITY && lse == -INFINITY, "n %u: all -inf gives %g", n,
                (double)lse);
        fill(x.at, n);
        x.at[n / 2] = NAN;
        k->logsumexp(x.at, n, &max, &lse);
        CHECK(lse != lse, "n %u: NaN is lost", n);
        test_aligned_free(x.base);
    }
}

static void check_argmax(const mote_kernels *k)
{
    for (size_t s = 0; s < N_SIZES + 1; s++) {
        const uint32_t n = s < N_SIZES ? sizes[s] : 129280;
        buffer x = buffer_of(n, 1);
        for (uint32_t round = 0; round < 6; round++) {
            const float least = round < 2 ? -2 : -INFINITY;
            for (uint32_t i = 0; i < n; i++)
                x.at[i] = round == 1   ? (float)(random_bits() % 3) /* many ties */
                          : round == 4 ? NAN
                          : round == 5 ? -INFINITY
                                       : sample();
            if (round == 2 || round == 3)
                for (uint32_t i = 0; i < n; i += round)
                    x.at[i] = NAN;
            if (round == 5)
                x.at[0] = n > 1 ? NAN : x.at[0];
            uint32_t best = n;
            float top = least;
            for (uint32_t i = 0; i < n; i++)
                if (x.at[i] == x.at[i] && (best == n || x.at[i] > top)) {
                    best = i;
                    top = x.at[i];
                }
            const uint32_t got = k->argmax(x.at, n);
            CHECK(got == best, "n %u round %u: %u, expected %u", n, round, got, best);
        }
        test_aligned_free(x.base);
    }
}

static void check_exp(const mote_kernels *k)
{
    (void)k;
    for (int i = -110000; i <= 95000; i++) {
        const float x = (float)i * 1e-3f + uniform() * 1e-3f;
        const double want = exp((double)x), got = (double)mote__exp(x);
        if (x > MOTE__EXP_HIGH)
            CHECK(got == (double)INFINITY, "exp(%g) = %g", (double)x, got);
        else if (x < MOTE__EXP_LOW)
            CHECK(got == 0, "exp(%g) = %g", (double)x, got);
        else
            CHECK(fabs(got - want) <= want * 3 * 0x1p-23, "exp(%g) = %g, expected %g",
                    (double)x, got, want);
    }
    const float nan = mote__exp(NAN);
    CHECK(nan != nan && mote__exp(-INFINITY) == 0 && mote__exp(INFINITY) == INFINITY,
            "limits");
}

/* The latent cache and attention: shapes of the real models and odd ones. */
typedef struct shape {
    uint32_t c, pe, heads;
} shape;
static const shape shapes[] = {{512, 64, 16}, {512, 64, 5}, {64, 16, 8}, {136, 16, 3},
        {24, 16, 4}, {16, 32, 2}, {1, 2, 1}, {32, 2, 7}, {100, 6, 9}, {128, 16, 6},
        {96, 64, 1}, {160, 32, 11}, {48, 16, 13}};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

static void check_latent(const mote_kernels *k, const mote_kernels *scalar)
{
    for (size_t s = 0; s < N_SHAPES; s++) {
        const uint32_t c = shapes[s].c, pe = shapes[s].pe;
        for (uint32_t kv = 0; kv < MOTE_K_KVS; kv++) {
            const size_t bytes = mote_k_kv_block_bytes(kv, c, pe);
            CHECK(bytes % 64 == 0, "a block of %zu bytes", bytes);
            void *a = aligned(bytes), *b = aligned(bytes);
            buffer x = buffer_of(c, 1), y = buffer_of(pe, 1);
            buffer x2 = buffer_of(c, 1), y2 = buffer_of(pe, 1);
            for (uint32_t t = 0; t < MOTE_KV_BLOCK; t += 1 + t % 5) {
                fill(x.at, c);
                fill(y.at, pe);
                if (t == 2)
                    memset(x.at, 0, c * sizeof(float));
                if (t == 6)
                    for (uint32_t i = 0; i < c; i++)
                        x.at[i] *= 1e30f;
                if (t == 9)
                    for (uint32_t i = 0; i < c; i++)
                        x.at[i] *= 1e-36f;
                k->kv_store(a, kv, t, x.at, c, y.at, pe);
                scalar->kv_store(b, kv, t, x.at, c, y.at, pe);
                k->kv_load(x2.at, y2.at, a, kv, t, c, pe);
                for (uint32_t i = 0; i < c; i++) {
                    float amax = 0;
                    for (uint32_t j = i & ~127u; j < c && j < (i & ~127u) + 128; j++)
                        amax = fmaxf(amax, fabsf(x.at[j]));
                    const double e =
                            kv == MOTE_K_KV_F32 ? 0
                            : kv == MOTE_K_KV_BF16
                                    ? fabs(x.at[i]) * 0x1p-8
                                    /* half a step, of 2^-9 below the normals */
                                    : fmax(fabs(x.at[i]) * 0x1p-4,
                                              amax * 0x1p-10 / 448) *
                                                      (1 + 0x1p-20) +
                                              1e-30 * 0x1p-10;
                    CHECK(fabs((double)x.at[i] - (double)x2.at[i]) <= e,
                            "kv %u, c %u: [%u] %g is %g", kv, c, i, (double)x.at[i],
                            (double)x2.at[i]);
                }
                for (uint32_t i = 0; i < pe; i++)
                    CHECK(fabs(y.at[i] - y2.at[i]) <=
                                    (kv == MOTE_K_KV_F32 ? 0 : fabs(y.at[i]) * 0x1p-8),
                            "kv %u, rope %u", kv, pe);
            }
            CHECK(memcmp(a, b, bytes) == 0, "kv %u, c %u: bits differ from scalar", kv,
                    c);
            fill(x.at, c);
            fill(y.at, pe);
            x.at[c / 2] = NAN;
            k->kv_store(a, kv, 0, x.at, c, y.at, pe);
            k->kv_load(x2.at, y2.at, a, kv, 0, c, pe);
            CHECK(x2.at[c / 2] != x2.at[c / 2], "kv %u: NaN is lost", kv);
            test_aligned_free(a), test_aligned_free(b);
            test_aligned_free(x.base), test_aligned_free(y.base),
                    test_aligned_free(x2.base), test_aligned_free(y2.base);
        }
    }
}

typedef struct cache {
    void *blocks[65];
    uint32_t n, kv;
    shape s;
} cache;

static cache cache_of(
        const mote_kernels *k, uint32_t kv, shape s, uint32_t n, float size)
{
    cache x = {{0}, n, kv, s};
    float *c = aligned(s.c * sizeof(float)), *pe = aligned(s.pe * sizeof(float));
    for (uint32_t t = 0; t < n; t++) {
        if (t % MOTE_KV_BLOCK == 0)
            x.blocks[t / MOTE_KV_BLOCK] = aligned(mote_k_kv_block_bytes(kv, s.c, s.pe));
        fill(c, s.c);
        fill(pe, s.pe);
        for (uint32_t i = 0; i < s.c; i++)
            c[i] *= size;
        k->kv_store(
                x.blocks[t / MOTE_KV_BLOCK], kv, t % MOTE_KV_BLOCK, c, s.c, pe, s.pe);
    }
    test_aligned_free(c), test_aligned_free(pe);
    return x;
}

static void cache_free(cache *x)
{
    for (size_t b = 0; b < sizeof x->blocks / sizeof *x->blocks; b++)
        test_aligned_free(x->blocks[b]);
}

static void round_bf16(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = mote_k_bf16_to_f32(mote_k_f32_to_bf16(x[i]));
}

/* Attention of one head in float64 over the values that the cache holds; with `bf16`
 * all inputs are rounded first, as attend_bf16 may. `bound`: how far fp32 may be off:
 * an error of the scores' sums (relative to their absolute terms) scales every weight,
 * then the weighted sum adds its own; weights in bf16 are off by 2^-9 each, above and
 * below. */
static void attend_double(double *out, double *bound, const mote_kernels *k,
        const cache *x, const float *q, const float *q_pe, float scale, int bf16)
{
    const shape s = x->s;
    double *score = zeros(x->n + 1), top = -INFINITY, total = 0, worst = 0;
    float *c = aligned(s.c * sizeof(float)), *pe = aligned(s.pe * sizeof(float));
    float *rq = aligned(s.c * sizeof(float)), *rq_pe = aligned(s.pe * sizeof(float));
    if (!score)
        exit(2);
    memcpy(rq, q, s.c * sizeof *q);
    memcpy(rq_pe, q_pe, s.pe * sizeof *q);
    if (bf16) {
        round_bf16(rq, s.c);
        round_bf16(rq_pe, s.pe);
    }
    for (uint32_t t = 0; t < x->n; t++) {
        k->kv_load(c, pe, x->blocks[t / 64], x->kv, t % 64, s.c, s.pe);
        if (bf16) {
            round_bf16(c, s.c);
            round_bf16(pe, s.pe);
        }
        double sum = 0, size = 0;
        for (uint32_t i = 0; i < s.c; i++) {
            sum += (double)rq[i] * c[i];
            size += fabs((double)rq[i] * c[i]);
        }
        for (uint32_t i = 0; i < s.pe; i++) {
            sum += (double)rq_pe[i] * pe[i];
            size += fabs((double)rq_pe[i] * pe[i]);
        }
        score[t] = sum * scale;
        top = score[t] > top ? score[t] : top;
        worst = fmax(worst, size * scale);
    }
    for (uint32_t i = 0; i < s.c; i++)
        out[i] = bound[i] = 0;
    for (uint32_t t = 0; t < x->n; t++) {
        const double p = exp(score[t] - top);
        total += p;
        k->kv_load(c, pe, x->blocks[t / 64], x->kv, t % 64, s.c, s.pe);
        if (bf16)
            round_bf16(c, s.c);
        for (uint32_t i = 0; i < s.c; i++) {
            out[i] += p * c[i];
            bound[i] += p * fabs((double)c[i]);
        }
    }
    const double e =
            2 * worst * sum_error(s.c + s.pe) +      /* scores, and the top's */
            ((double)x->n / 4 + 64 + 16) * 0x1p-24 + /* weights and their sums */
            (bf16 ? 0x1p-9 : 0);
    for (uint32_t i = 0; i < s.c; i++) {
        out[i] /= total;
        bound[i] = bound[i] / total * (2 * e) + 1e-37;
    }
    test_aligned_free(score), test_aligned_free(c), test_aligned_free(pe),
            test_aligned_free(rq), test_aligned_free(rq_pe);
}

typedef void (*attend_function)(float *, size_t, const float *, size_t, const float *,
        size_t, const void *const *, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,
        float, float *, uint32_t, void *);

static void check_attend_with(const mote_kernels *k, const mote_kernels *scalar,
        const cache *x, float scale, int bf16)
{
    const attend_function run = bf16 ? k->attend_bf16 : k->attend;
    const shape s = x->s;
    const size_t ldq = s.c + 3, ldp = s.pe + 1, ldo = s.c + 2;
    buffer q = buffer_of(s.heads * ldq, 1), p = buffer_of(s.heads * ldp, 1);
    buffer o = buffer_of(s.heads * ldo, 1), one = buffer_of(s.heads * ldo, 1);
    double *want = zeros(s.c), *bound = zeros(s.c);
    if (!want || !bound)
        exit(2);
    for (uint32_t h = 0; h < s.heads; h++) {
        fill(q.at + h * ldq, s.c);
        fill(p.at + h * ldp, s.pe);
    }
    void *scratch = aligned(k->attend_scratch(s.heads, s.c, s.pe));
    run(o.at, ldo, q.at, ldq, p.at, ldp, (const void *const *)x->blocks, x->kv, x->n,
            s.heads, s.c, s.pe, scale, NULL, 0, scratch);
    test_aligned_free(scratch);
    for (uint32_t h = 0; h < s.heads; h++) {
        attend_double(
                want, bound, scalar, x, q.at + h * ldq, p.at + h * ldp, scale, bf16);
        for (uint32_t i = 0; i < s.c; i++)
            CHECK(fabs(o.at[h * ldo + i] - want[i]) <= bound[i],
                    "kv %u, c %u, pe %u, n %u, head %u: [%u] %g, expected %g +- %g",
                    x->kv, s.c, s.pe, x->n, h, i, (double)o.at[h * ldo + i], want[i],
                    bound[i]);
        CHECK(is_guard(o.at[h * ldo + s.c]) && is_guard(o.at[h * ldo + s.c + 1]),
                "wrote behind head %u", h);
    }
    /* "A head's result does not depend on n_heads of the call." */
    for (uint32_t h = 0, n = 1; h < s.heads; h += n, n = n % 3 + 1) {
        n = h + n > s.heads ? s.heads - h : n;
        scratch = aligned(k->attend_scratch(n, s.c, s.pe));
        run(one.at + h * ldo, ldo, q.at + h * ldq, ldq, p.at + h * ldp, ldp,
                (const void *const *)x->blocks, x->kv, x->n, n, s.c, s.pe, scale, NULL,
                0, scratch);
        test_aligned_free(scratch);
        for (uint32_t i = h; i < h + n; i++)
            CHECK(same(one.at + i * ldo, o.at + i * ldo, s.c),
                    "kv %u, c %u, n %u: head %u differs in a call of %u", x->kv, s.c,
                    x->n, i, n);
    }
    test_aligned_free(q.base), test_aligned_free(p.base), test_aligned_free(o.base),
            test_aligned_free(one.base);
    test_aligned_free(want), test_aligned_free(bound);
}

/* Two parts of a cache, joined as their stats say, are the whole; undivided sums over
 * their total are what is returned without stats. */
static void check_attend_parts(
        const mote_kernels *k, const mote_kernels *scalar, attend_function run)
{
    const shape s = {64, 16, 3};
    enum { H = 3, C = 64, P = 16, N = 150, CUT = 64 };
    cache x = cache_of(scalar, MOTE_K_KV_BF16, s, N, 1);
    const void *const *blocks = (const void *const *)x.blocks;
    /* Rounded weights (bf16) are rounded relative to another top. */
    const double bound = k->attend_bf16 == run && run != k->attend ? 0x1p-7 : 1e-5;
    float q[H * C], p[H * P], whole[H * C], sum[3][H * C], stats[3][2 * H];
    fill(q, H * C);
    fill(p, H * P);
    void *scratch = aligned(k->attend_scratch(H, C, P));
    run(whole, C, q, C, p, P, blocks, x.kv, N, H, C, P, 0.5f, NULL, 0, scratch);
    run(sum[0], C, q, C, p, P, blocks, x.kv, N, H, C, P, 0.5f, stats[0], 0, scratch);
    run(sum[1], C, q, C, p, P, blocks, x.kv, CUT, H, C, P, 0.5f, stats[1], 1, scratch);
    run(sum[2], C, q, C, p, P, blocks + CUT / 64, x.kv, N - CUT, H, C, P, 0.5f,
            stats[2], 0, scratch);
    for (int h = 0; h < H; h++) {
        const float *a = stats[1] + 2 * h, *b = stats[2] + 2 * h,
                    *all = stats[0] + 2 * h;
        const double top = fmax(a[0], b[0]), wa = exp(a[0] - top), wb = exp(b[0] - top);
        const double total = a[1] * wa + b[1] * wb;
        CHECK(fmaxf(a[0], b[0]) == all[0], "head %d: tops %g and %g, of all %g", h,
                (double)a[0], (double)b[0], (double)all[0]);
        for (int i = h * C; i < (h + 1) * C; i++) {
            const double joined = (sum[1][i] * wa + sum[2][i] * wb) / total;
            CHECK(sum[0][i] * (1.0f / all[1]) == whole[i],
                    "head %d: [%d] %g / %g, not %g", h, i, (double)sum[0][i],
                    (double)all[1], (double)whole[i]);
            CHECK(fabs(joined - whole[i]) <= bound * 8, "head %d: [%d] %g, joined %g",
                    h, i, (double)whole[i], joined);
        }
    }
    test_aligned_free(scratch);
    cache_free(&x);
}

static void check_attend_once(
        const mote_kernels *k, const mote_kernels *scalar, const cache *x, float scale)
{
    check_attend_with(k, scalar, x, scale, 0);
    if (k->attend_bf16 != k->attend)
        check_attend_with(k, scalar, x, scale, 1);
}

/* No token: zeros. A NaN in one query reaches the output of that head alone. */
static void check_attend_limits(
        const mote_kernels *k, const mote_kernels *scalar, attend_function run)
{
    const shape small = {64, 16, 3};
    cache x = cache_of(scalar, MOTE_K_KV_BF16, small, 70, 1);
    float q[3 * 64], p[3 * 16], o[3 * 64];
    fill(q, 3 * 64);
    fill(p, 3 * 16);
    void *scratch = aligned(k->attend_scratch(3, 64, 16));
    memset(o, 0xff, sizeof o);
    run(o, 64, q, 64, p, 16, (const void *const *)x.blocks, x.kv, 0, 3, 64, 16, 1, NULL,
            0, scratch);
    for (int i = 0; i < 3 * 64; i++)
        CHECK(o[i] == 0, "no tokens: out[%d] = %g", i, (double)o[i]);
    q[64 + 5] = NAN;
    run(o, 64, q, 64, p, 16, (const void *const *)x.blocks, x.kv, 70, 3, 64, 16, 1,
            NULL, 0, scratch);
    for (int i = 0; i < 64; i++)
        CHECK(o[i] == o[i] && o[64 + i] != o[64 + i] && o[128 + i] == o[128 + i],
                "NaN in the query of head 1: [%d]", i);
    test_aligned_free(scratch);
    cache_free(&x);
}

static void check_attend(const mote_kernels *k, const mote_kernels *scalar)
{
    static const uint32_t lengths[] = {1, 2, 3, 4, 5, 15, 63, 64, 65, 130, 193};
    for (size_t s = 0; s < N_SHAPES; s++)
        for (uint32_t kv = 0; kv < MOTE_K_KVS; kv++)
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
                if (shapes[s].c > 256 && l % 3 != s % 3)
                    continue;
                cache x = cache_of(scalar, kv, shapes[s], lengths[l], 1);
                check_attend_once(k, scalar, &x, 0.07f);
                cache_free(&x);
            }
    /* A score far above all others, and scores too far below to count. */
    const shape small = {64, 16, 3};
    for (uint32_t kv = 0; kv < MOTE_K_KVS; kv++) {
        cache x = cache_of(scalar, kv, small, 150, 30);
        check_attend_once(k, scalar, &x, 3.0f);
        cache_free(&x);
    }
    check_attend_limits(k, scalar, k->attend);
    check_attend_limits(k, scalar, k->attend_bf16);
    check_attend_parts(k, scalar, k->attend);
    check_attend_parts(k, scalar, k->attend_bf16);
}

/* Of this thread alone, so that a busy machine disturbs less. */
static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Median of several runs of a few milliseconds each. */
#define BENCH(label, unit, work, ...)                                                  \
    do {                                                                               \
        double runs[9];                                                                \
        int times = 1;                                                                 \
        for (int r = -1; r < 9; r++) {                                                 \
            const double begin = seconds();                                            \
            for (int i = 0; i < times; i++)                                            \
                __VA_ARGS__;                                                           \
            const double took = (seconds() - begin) / times;                           \
            if (r < 0)                                                                 \
                times = took > 4e-3 ? 1 : (int)(4e-3 / (took > 1e-9 ? took : 1e-9));   \
            else                                                                       \
                runs[r] = took;                                                        \
        }                                                                              \
        qsort(runs, 9, sizeof *runs, by_size);                                         \
        printf("%-11s %-24s %10.2f us %8.1f %s\n", variant_name, label, runs[4] * 1e6, \
                (work) / runs[4] * 1e-9, unit);                                        \
    } while (0)

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void bench(const mote_kernels *k)
{
    enum { N = 7168, VOCAB = 129280 };
    float *x = aligned(VOCAB * 4), *y = aligned(N * 4), *w = aligned(256 * N * 4);
    fill(x, VOCAB);
    fill(y, N);
    fill(w, 256 * N);
    float max, lse;
    BENCH("rmsnorm 7168", "GB/s", N * 8.0, k->rmsnorm(y, x, w, N, 1e-6f));
    BENCH("axpy 7168", "GB/s", N * 12.0, k->axpy(y, 1e-9f, x, N));
    BENCH("rope 128x64", "GB/s", 128 * 64 * 8.0, k->rope(w, 192, 128, 64, x, y));
    BENCH("router 64x2048", "GB/s", 64 * 2048 * 4.0,
            k->router(y, 64, w, x, 2048, 64, 2048, 1));
    BENCH("router 256x7168", "GB/s", 256 * N * 4.0,
            k->router(y, 256, w, x, N, 256, N, 1));
    BENCH("router 256x7168, 16 rows", "GFLOP/s", 16 * 256 * N * 2.0,
            k->router(y, 256, w, x, N, 256, N, 16));
    BENCH("logsumexp 129280", "Gval/s", VOCAB, k->logsumexp(x, VOCAB, &max, &lse));
    BENCH("argmax 129280", "Gval/s", VOCAB, x[0] += (float)k->argmax(x, VOCAB) * 0.0f);
    static const char *const kvs[] = {"f32", "bf16", "fp8"};
    for (uint32_t kv = 0; kv < MOTE_K_KVS; kv++) {
        static const uint32_t heads[] = {1, 8, 16, 64};
        for (size_t h = 0; h < 4; h++) {
            const shape s = {512, 64, heads[h]};
            cache c = cache_of(k, kv, s, 4096, 1);
            void *scratch = aligned(k->attend_scratch(s.heads, 512, 64));
            char label[64];
            snprintf(label, sizeof label, "attend %s %ux4096", kvs[kv], s.heads);
            BENCH(label, "GFLOP/s", 4096.0 * s.heads * (576 + 512) * 2,
                    k->attend(w, 512, w + 65536, 512, w + 131072, 64,
                            (const void *const *)c.blocks, kv, 4096, s.heads, 512, 64,
                            0.07f, NULL, 0, scratch));
            snprintf(label, sizeof label, "attend_bf16 %s %ux4096", kvs[kv], s.heads);
            if (k->attend_bf16 != k->attend)
                BENCH(label, "GFLOP/s", 4096.0 * s.heads * (576 + 512) * 2,
                        k->attend_bf16(w, 512, w + 65536, 512, w + 131072, 64,
                                (const void *const *)c.blocks, kv, 4096, s.heads, 512,
                                64, 0.07f, NULL, 0, scratch));
            test_aligned_free(scratch);
            cache_free(&c);
        }
        const shape s = {512, 64, 1};
        cache c = cache_of(k, kv, s, 64, 1);
        BENCH("kv_store", "Gval/s", 576,
                k->kv_store(c.blocks[0], kv, 3, x, 512, y, 64));
        cache_free(&c);
    }
    test_aligned_free(x), test_aligned_free(y), test_aligned_free(w);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint32_t flags;
    } variants[] = {
#define MOTE_VARIANT(isa, flags, kmat, kops) {#isa, flags},
#include "kernels/variants.inc"
#undef MOTE_VARIANT
    };
    const uint32_t cpu = mote__cpu_flags();
    const char *only = argc > 2 ? argv[2] : NULL;
    mote_kernels scalar;
    mote__kernels_init(&scalar, 0);
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        if ((cpu & variants[v].flags) != variants[v].flags ||
                (only && strcmp(only, variants[v].name) != 0))
            continue;
        mote_kernels k;
        mote__kernels_init(&k, variants[v].flags);
        variant_name = variants[v].name;
        if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
            bench(&k);
            continue;
        }
        const int before = n_failed;
        check_exp(&k);
        check_rmsnorm(&k);
        check_rope(&k);
        check_fused(k.axpy, 0);
        check_fused(k.scale_add, 1);
        check_soften(&k);
        check_router(&k);
        check_logsumexp(&k);
        check_argmax(&k);
        check_latent(&k, &scalar);
        check_attend(&k, &scalar);
        printf("%-11s %s\n", variant_name, n_failed == before ? "ok" : "FAILED");
    }
    printf("%d checks, %d failed\n", n_checked, n_failed);
    return n_failed != 0;
}
