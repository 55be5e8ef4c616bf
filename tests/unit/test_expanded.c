/* SPDX-License-Identifier: MIT */
/* Attention in expanded form (lib/model/mla_expand.c) beside the absorbed form and
 * beside float64, on one layer with random weights: the head shapes of V3 and V2-Lite
 * and odd ones, every cache type, weight type and activation form. Then its bits: any
 * cut of a prompt and any number of threads.
 *
 * The bound. The reference reads the same cache and computes the rest in float64. Let u
 * be the root mean square of an operand's rounding, relative to the root mean square of
 * the operand: fine 2^-16 / sqrt(3), bf16 2^-9 / sqrt(3), int8 a step of 1/127 of the
 * largest of 32 values, some 4 times their rms, over sqrt(12); exact: fp32 sums, at
 * most 72 * 2^-24 (512 products in 8 parts, see check_ops.c). Errors are of random
 * sign, so a product is off by 1.5 u (both operands) of the rms of products of its
 * kind. Of three such steps (query and key, score, value and output) each adds u
 * relative to the output and, for a score, as often as scores have it as rms: which is
 * a quarter of the largest of thousands. Five deviations, since thousands of outputs
 * are compared: 5 * 3 u (1 + largest score / 4), values having variance 1. A wrong
 * formula is off by about 1. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/cpu.h"
#include "base/memory.h"
#include "model/rope.h"
#include "model/work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 300, HIDDEN = 96, N_BLOCKS = 5 };

typedef struct shape {
    const char *name;
    uint32_t heads, nope, rope, v, r, q_lora, yarn;
} shape;

static const shape shapes[] = {
        {"V3", 5, 128, 64, 128, 512, 96, 1},
        {"V2-Lite", 3, 128, 64, 128, 512, 0, 1},
        {"tiny", 4, 32, 16, 32, 64, 48, 0},
        {"odd", 3, 20, 6, 28, 44, 0, 0},
        {"wide", 2, 144, 32, 80, 272, 40, 0},
};

static uint64_t seed = 1;

static float normal(void)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        sum += (float)(seed >> 40) * 0x1p-23f - 1.0f;
    }
    return sum * 0.8660254f; /* of variance 1 */
}

static void *get(size_t n)
{
    void *p = mote__calloc(NULL, MOTE_MEM_OTHER, 1, n ? n : 1);
    assert_non_null(p);
    return p;
}

static void put(void *p)
{
    mote__free(NULL, MOTE_MEM_OTHER, p, 0);
}

/* A random matrix; e4m3 with a scale per panel and block, or one for all. */
static void fill_matrix(mote_k_matrix *w, void *data, float *scales, int one_scale)
{
    const uint32_t k = w->n_cols;
    const size_t bytes = mote_k_data_bytes(w->type, MOTE_PANEL, k),
                 n_scales = mote_k_scale_count(w->type, MOTE_PANEL, k);
    float *rows = get((size_t)MOTE_PANEL * k * 4);
    uint16_t *half = get((size_t)MOTE_PANEL * k * 2);
    uint8_t *eight = get((size_t)MOTE_PANEL * k);
    for (uint32_t p = 0; p < mote_k_panels(w->n_rows); p++) {
        const uint32_t left = w->n_rows - p * MOTE_PANEL;
        const uint32_t live = left < MOTE_PANEL ? left : MOTE_PANEL;
        uint8_t *to = (uint8_t *)data + p * bytes;
        float *s = scales + p * n_scales;
        for (size_t i = 0; i < (size_t)MOTE_PANEL * k; i++) {
            rows[i] = normal() / sqrtf((float)k);
            half[i] = mote_k_f32_to_bf16(rows[i]);
            eight[i] = mote_k_f32_to_e4m3(rows[i] * sqrtf((float)k) * 64);
        }
        if (w->type == MOTE_K_F32)
            mote_k_pack_f32(to, rows, k, live, k);
        else if (w->type == MOTE_K_BF16)
            mote_k_pack_bf16(to, half, k, live, k);
        else if (w->type == MOTE_K_E4M3) {
            mote_k_pack_e4m3(to, eight, k, live, k);
            for (size_t i = 0; i < n_scales; i++)
                s[i] = (one_scale ? 1.1f : 1.0f + 0.1f * (float)(p % 7)) /
                       (64 * sqrtf((float)k));
        } else if (w->type == MOTE_K_I8)
            mote_k_quant_i8(to, s, rows, k, live, k, NULL);
        else
            mote_k_quant_i4(to, rows, k, live, k, NULL);
    }
    put(rows), put(half), put(eight);
}

static mote__stack stack(
        uint32_t type, uint32_t n, uint32_t rows, uint32_t cols, int one_scale)
{
    mote__stack st = {.first = {.type = type, .n_rows = rows, .n_cols = cols},
            .data_step = (mote_k_data_bytes(type, rows, cols) + 63) / 64 * 64,
            .scale_step = (mote_k_scale_count(type, rows, cols) + 15) / 16 * 16};
    uint8_t *data = get(n * st.data_step);
    float *scales = get(n * st.scale_step * 4);
    for (uint32_t i = 0; i < n; i++)
        fill_matrix(&st.first, data + i * st.data_step, scales + i * st.scale_step,
                one_scale);
    st.first.data = data;
    st.first.scales = st.scale_step ? scales : NULL;
    if (!st.scale_step)
        put(scales);
    return st;
}

static void stack_free(const mote__stack *s)
{
    put((void *)(uintptr_t)s->first.data);
    if (s->first.scales)
        put((void *)(uintptr_t)s->first.scales);
}

typedef struct layer {
    mote__net net;
    mote__layer y;
    mote__stack q_a, kv_a, o;
    float *ones, *x;
    void *blocks[N_BLOCKS];
    void *const *kv[1];
    uint32_t kv_type;
    mote__row rows[ROWS];
    double inv_freq[32];
} layer;

static layer *layer_new(const shape *s, uint32_t type, int one_scale, uint32_t kv_type)
{
    layer *l = get(sizeof *l);
    mote__config *c = &l->net.config;
    *c = (mote__config){.hidden_size = HIDDEN,
            .num_attention_heads = s->heads,
            .q_lora_rank = s->q_lora,
            .kv_lora_rank = s->r,
            .qk_nope_head_dim = s->nope,
            .qk_rope_head_dim = s->rope,
            .v_head_dim = s->v,
            .num_hidden_layers = 1,
            .intermediate_size = HIDDEN,
            .moe_intermediate_size = HIDDEN,
            .n_group = 1,
            .max_position_embeddings = 4096,
            .rms_norm_eps = 1e-6f,
            .rope_theta = 10000,
            .yarn = s->yarn,
            .original_max_position_embeddings = 64,
            .rope_factor = 40,
            .beta_fast = 32,
            .beta_slow = 1,
            .mscale = 1,
            .mscale_all_dim = 1};
    mote__kernels_init(&l->net.k, mote__cpu_flags());
    l->net.n_layers = 1;
    l->net.layers = &l->y;
    l->net.rope_inv_freq = l->inv_freq;
    mote__rope_init(c, l->inv_freq, &l->net.rope_mscale, &l->net.softmax_scale);
    const uint32_t q_in = s->q_lora ? s->q_lora : HIDDEN;
    l->q_a = stack(type, 1, s->q_lora ? s->q_lora : 1, HIDDEN, one_scale);
    l->kv_a = stack(type, 1, s->r + s->rope, HIDDEN, one_scale);
    l->o = stack(MOTE_K_F32, 1, HIDDEN, s->heads * s->v, 1);
    l->y.q_b = stack(type, s->heads, s->nope + s->rope, q_in, one_scale);
    l->y.uk = stack(type, s->heads, s->r, s->nope, one_scale);
    l->y.uv = stack(type, s->heads, s->v, s->r, one_scale);
    if (s->q_lora)
        l->y.q_a = l->q_a.first;
    l->y.kv_a = l->kv_a.first;
    l->y.o = l->o.first;
    l->ones = get(1024 * 4);
    for (int i = 0; i < 1024; i++)
        l->ones[i] = 1;
    l->y.attn_norm = l->y.q_a_norm = l->y.kv_a_norm = l->ones;
    l->x = get((size_t)ROWS * HIDDEN * 4);
    for (size_t i = 0; i < (size_t)ROWS * HIDDEN; i++)
        l->x[i] = normal();
    l->kv_type = kv_type;
    for (int i = 0; i < N_BLOCKS; i++) {
        l->blocks[i] = get(mote_k_kv_block_bytes(kv_type, s->r, s->rope));
        /* NaN in every type: nothing that was not written may count */
        memset(l->blocks[i], 0xff, mote_k_kv_block_bytes(kv_type, s->r, s->rope));
    }
    l->kv[0] = l->blocks;
    for (uint32_t i = 0; i < ROWS; i++)
        l->rows[i] = (mote__row){0, i, l->kv};
    return l;
}

static void layer_free(layer *l)
{
    stack_free(&l->q_a), stack_free(&l->kv_a), stack_free(&l->o);
    stack_free(&l->y.q_b), stack_free(&l->y.uk), stack_free(&l->y.uv);
    put(l->ones), put(l->x);
    for (int i = 0; i < N_BLOCKS; i++)
        put(l->blocks[i]);
    put(l);
}

/* Attention of all rows in passes of `step`: heads' outputs to ctx[ROWS][heads * v]. */
static void run(layer *l, float *ctx, uint32_t form, uint32_t form_int,
        uint32_t expanded, uint32_t step, uint32_t threads)
{
    const mote__config *c = &l->net.config;
    const size_t width = (size_t)c->num_attention_heads * c->v_head_dim;
    mote_error err;
    mote__work *w;
    mote__pool *pool;
    assert_int_equal(mote__pool_open(&pool, NULL, threads, NULL, NULL, &err), MOTE_OK);
    assert_int_equal(
            mote__work_open(&w, &l->net, NULL, step, threads, expanded, ROWS, &err),
            MOTE_OK);
    for (uint32_t b = 0; b < ROWS; b += step) {
        const uint32_t n = ROWS - b < step ? ROWS - b : step;
        mote__pass p = {.rows = l->rows + b,
                .n = n,
                .kv_type = l->kv_type,
                .form = form,
                .form_int = form_int,
                .expanded = expanded};
        memcpy(w->x, l->x + (size_t)b * HIDDEN, (size_t)n * HIDDEN * 4);
        for (uint32_t i = 0; i < n; i++)
            mote__rope_angles(l->inv_freq, l->net.rope_mscale, c->qk_rope_head_dim,
                    b + i, w->cos + (size_t)i * c->qk_rope_head_dim / 2,
                    w->sin + (size_t)i * c->qk_rope_head_dim / 2);
        mote__mla(&l->net, pool, w, &p, 0);
        memcpy(ctx + b * width, w->ctx, n * width * 4);
    }
    mote__work_close(w, NULL);
    mote__pool_close(pool);
}

/* y = W x in float64, of a head's matrix. */
static void times(double *y, const float *w, const double *x, uint32_t n, uint32_t k)
{
    for (uint32_t i = 0; i < n; i++) {
        y[i] = 0;
        for (uint32_t j = 0; j < k; j++)
            y[i] += (double)w[(size_t)i * k + j] * x[j];
    }
}

static float *plain(const mote__stack *s, uint32_t i)
{
    const mote_k_matrix w = mote__stack_at(s, i);
    float *rows = get((size_t)mote_k_panels(w.n_rows) * MOTE_PANEL * w.n_cols * 4);
    for (uint32_t p = 0; p < mote_k_panels(w.n_rows); p++)
        mote_k_unpack(rows + (size_t)p * MOTE_PANEL * w.n_cols, w.n_cols, &w, p);
    return rows;
}

static void unit_norm(double *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (uint32_t i = 0; i < n; i++)
        x[i] /= sqrt(sum / n + 1e-6);
}

/* Every 7th row from the cache as it is; returns the largest score. */
static double reference(const layer *l, double *ctx)
{
    const mote__config *c = &l->net.config;
    const uint32_t nope = c->qk_nope_head_dim, rope = c->qk_rope_head_dim,
                   v = c->v_head_dim, r = c->kv_lora_rank, dq = nope + rope,
                   heads = c->num_attention_heads, lora = c->q_lora_rank;
    double *lat = get(ROWS * sizeof(double) * r),
           *pe = get(ROWS * sizeof(double) * rope);
    double *key = get(ROWS * sizeof(double) * nope),
           *val = get(ROWS * sizeof(double) * v);
    double top = 0;
    float c_kv[512], k_pe[64], cosine[32], sine[32];
    for (uint32_t t = 0; t < ROWS; t++) {
        l->net.k.kv_load(c_kv, k_pe, l->blocks[t / MOTE_KV_BLOCK], l->kv_type,
                t % MOTE_KV_BLOCK, r, rope);
        for (uint32_t i = 0; i < r; i++)
            lat[(size_t)t * r + i] = (double)c_kv[i];
        for (uint32_t i = 0; i < rope; i++)
            pe[(size_t)t * rope + i] = (double)k_pe[i];
    }
    float *qa = plain(&l->q_a, 0);
    for (uint32_t h = 0; h < heads; h++) {
        float *qb = plain(&l->y.q_b, h), *uk = plain(&l->y.uk, h),
              *uv = plain(&l->y.uv, h);
        for (uint32_t t = 0; t < ROWS; t++) {
            for (uint32_t i = 0; i < nope; i++) {
                double sum = 0;
                for (uint32_t k = 0; k < r; k++)
                    sum += (double)uk[(size_t)k * nope + i] * lat[(size_t)t * r + k];
                key[(size_t)t * nope + i] = sum;
            }
            times(val + (size_t)t * v, uv, lat + (size_t)t * r, v, r);
        }
        for (uint32_t row = 0; row < ROWS; row += 7) {
            double x[HIDDEN], a[HIDDEN], q[256], s[ROWS], max = -1e300, total = 0;
            double *out = ctx + ((size_t)row * heads + h) * v;
            for (uint32_t i = 0; i < HIDDEN; i++)
                x[i] = (double)l->x[(size_t)row * HIDDEN + i];
            unit_norm(x, HIDDEN);
            if (lora) {
                times(a, qa, x, lora, HIDDEN);
                unit_norm(a, lora);
            }
            times(q, qb, lora ? a : x, dq, lora ? lora : HIDDEN);
            mote__rope_angles(l->inv_freq, l->net.rope_mscale, rope, row, cosine, sine);
            for (uint32_t i = 0; i < rope / 2; i++) {
                double *z = q + nope + 2 * (size_t)i, re = z[0], im = z[1];
                z[0] = re * (double)cosine[i] - im * (double)sine[i];
                z[1] = re * (double)sine[i] + im * (double)cosine[i];
            }
            for (uint32_t t = 0; t <= row; t++) {
                s[t] = 0;
                for (uint32_t i = 0; i < nope; i++)
                    s[t] += q[i] * key[(size_t)t * nope + i];
                for (uint32_t i = 0; i < rope; i++)
                    s[t] += q[nope + i] * pe[(size_t)t * rope + i];
                s[t] *= (double)l->net.softmax_scale;
                max = s[t] > max ? s[t] : max;
                top = fabs(s[t]) > top ? fabs(s[t]) : top;
            }
            memset(out, 0, v * sizeof *out);
            for (uint32_t t = 0; t <= row; t++) {
                const double p = exp(s[t] - max);
                total += p;
                for (uint32_t i = 0; i < v; i++)
                    out[i] += p * val[(size_t)t * v + i];
            }
            for (uint32_t i = 0; i < v; i++)
                out[i] /= total;
        }
        put(qb), put(uk), put(uv);
    }
    put(qa), put(lat), put(pe), put(key), put(val);
    return top;
}

static const char *const forms[] = {"exact", "fine", "bf16", "int8"};
static const char *const types[] = {"F32", "BF16", "E4M3", "I8", "I4"};
static const double roundings[] = {
        72 * 0x1p-24, 0x1p-16 / 1.732, 0x1p-9 / 1.732, 4.0 / 127 / 3.464};

static void check(const shape *s, uint32_t type, int one_scale, uint32_t kv)
{
    layer *l = layer_new(s, type, one_scale, kv);
    const size_t width = (size_t)s->heads * s->v, n = ROWS * width;
    float *expanded = get(n * 4), *absorbed = get(n * 4);
    double *want = get(n * sizeof *want);
    for (uint32_t form = MOTE_K_ACT_EXACT; form <= MOTE_K_ACT_BF16; form++) {
        const int integer = type == MOTE_K_I8 || type == MOTE_K_I4;
        const uint32_t form_int = form == MOTE_K_ACT_EXACT ? form : MOTE_K_ACT_INT8;
        run(l, absorbed, form, form_int, 0, 100, 1);
        run(l, expanded, form, form_int, 1, ROWS, 1);
        const double top = reference(l, want);
        const double u = roundings[integer ? form_int : form];
        double sum = 0, worst = 0, worst_absorbed = 0;
        size_t count = 0;
        for (size_t row = 0; row < ROWS; row += 7)
            for (size_t i = row * width; i < (row + 1) * width; i++, count++) {
                const double e = fabs((double)expanded[i] - want[i]),
                             a = fabs((double)absorbed[i] - want[i]);
                sum += want[i] * want[i];
                worst = e > worst || !(e >= 0) ? e : worst;
                worst_absorbed = a > worst_absorbed ? a : worst_absorbed;
            }
        const double bound = 5 * 3 * u * (1 + top / 4);
        if (!(worst <= bound && worst_absorbed <= bound))
            fail_msg("%s, %s weights, cache %u, %s: off by %g (absorbed %g) of rms %g, "
                     "expected %g at most",
                    s->name, types[type], kv, forms[form], worst, worst_absorbed,
                    sqrt(sum / (double)count), bound);
    }
    put(expanded), put(absorbed), put(want);
    layer_free(l);
}

static void test_float64(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (uint32_t kv = 0; kv < MOTE_K_KVS; kv++)
            check(&shapes[s], s % 2 ? MOTE_K_E4M3 : MOTE_K_BF16, 1, kv);
    for (uint32_t type = 0; type < MOTE_K_TYPES; type++)
        for (size_t s = 2; s < sizeof shapes / sizeof *shapes; s++)
            check(&shapes[s], type, 0, MOTE_K_KV_BF16);
    check(&shapes[0], MOTE_K_I8, 0, MOTE_K_KV_BF16);
}

/* However a prompt is cut, on any number of threads. */
static void test_bits(void **state)
{
    static const uint32_t steps[] = {1, 7, 64, 100, 128, 129, 299};
    static const uint32_t threads[] = {2, 3, 7};
    (void)state;
    for (size_t s = 1; s < 4; s++)
        for (uint32_t form = MOTE_K_ACT_EXACT; form <= MOTE_K_ACT_BF16; form++) {
            const uint32_t kv = (form + (uint32_t)s) % MOTE_K_KVS;
            layer *l = layer_new(&shapes[s], s == 2 ? MOTE_K_I8 : MOTE_K_E4M3, 1, kv);
            const size_t n = (size_t)ROWS * shapes[s].heads * shapes[s].v;
            float *whole = get(n * 4), *other = get(n * 4);
            run(l, whole, form, MOTE_K_ACT_INT8, 1, ROWS, 1);
            for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
                run(l, other, form, MOTE_K_ACT_INT8, 1, ROWS, threads[i]);
                assert_memory_equal(other, whole, n * 4);
            }
            for (size_t i = s == 2 ? 0 : 2; i < sizeof steps / sizeof *steps; i++) {
                for (int b = 0; b < N_BLOCKS; b++) /* what comes later is not there */
                    memset(l->blocks[b], 0xff,
                            mote_k_kv_block_bytes(kv, shapes[s].r, shapes[s].rope));
                run(l, other, form, MOTE_K_ACT_INT8, 1, steps[i], 1 + i % 3);
                assert_memory_equal(other, whole, n * 4);
            }
            put(whole), put(other);
            layer_free(l);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_float64),
            cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
