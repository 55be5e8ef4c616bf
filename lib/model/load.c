/* SPDX-License-Identifier: MIT */
#include "model/load.h"

#include "base/status.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Sources are read 16 rows at a time (a panel), or for transposed slots one head's rows
 * at a time; `raw` holds file bytes, `f32` decoded rows. */

static uint32_t work_rows(const mote__slot *s)
{
    return s->transposed ? s->n_cols : MOTE_PANEL;
}

static uint32_t source_cols(const mote__slot *s)
{
    return s->transposed ? s->n_rows : s->n_cols;
}

size_t mote__load_work_bytes(const mote__slot *s)
{
    /* raw rows (at most 4 bytes each), decoded rows, transposed panel rows */
    size_t n = (size_t)work_rows(s) * source_cols(s);
    return n * 8 + (size_t)MOTE_PANEL * s->n_cols * 4 + 64;
}

static void decode(float *dst, const uint8_t *src, uint32_t dtype, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        switch (dtype) {
        case MOTE__DTYPE_F32:
            memcpy(&dst[i], src + 4 * i, 4);
            break;
        case MOTE__DTYPE_F16:
            memcpy(&h, src + 2 * i, 2);
            dst[i] = mote_k_f16_to_f32(h);
            break;
        case MOTE__DTYPE_BF16:
            memcpy(&h, src + 2 * i, 2);
            dst[i] = mote_k_bf16_to_f32(h);
            break;
        default:
            dst[i] = mote_k_e4m3_to_f32(src[i]);
            break;
        }
    }
}

/* The scale of 128x128 block (br, bc). */
static mote_status read_scales(float *dst, const mote__slot *s,
        const mote__checkpoint *ck, uint64_t block_row, mote_error *err)
{
    const mote__tensor *t = s->source_scale;
    uint64_t n = t->shape[1];
    uint32_t size = mote__dtype_bytes(t->dtype);
    uint8_t raw[256 * 4];
    for (uint64_t at = 0; at < n;) {
        uint64_t m = n - at < 256 ? n - at : 256;
        mote_status st = mote__checkpoint_read(
                ck, t, (block_row * n + at) * size, m * size, raw, err);
        if (st < 0)
            return st;
        for (uint64_t i = 0; i < m; i++) {
            float v;
            if (t->dtype == MOTE__DTYPE_F8_E8M0)
                v = raw[i] == 0xff ? NAN : ldexpf(1.0f, (int)raw[i] - 127);
            else
                decode(&v, raw + i * size, t->dtype, 1);
            if (!isfinite(v))
                return mote__fail(err, MOTE_E_FORMAT,
                        "tensor %s: scale of block [%llu][%llu] is not finite", t->name,
                        (unsigned long long)block_row, (unsigned long long)(at + i));
            dst[at + i] = v;
        }
        at += m;
    }
    return MOTE_OK;
}

static mote_status read_rows(const mote__slot *s, const mote__checkpoint *ck,
        uint64_t row, uint32_t n, uint8_t *raw, mote_error *err)
{
    const uint64_t cols = source_cols(s),
                   step = cols * mote__dtype_bytes(s->source->dtype);
    mote_status st =
            mote__checkpoint_read(ck, s->source, row * step, n * step, raw, err);
    if (st < 0 || s->source->dtype != MOTE__DTYPE_F8_E4M3)
        return st;
    const uint64_t count = n * cols, nan = mote_k_e4m3_nan(raw, (size_t)count);
    if (nan < count)
        return mote__fail(err, MOTE_E_FORMAT, "tensor %s: weight [%llu][%llu] is NaN",
                s->source->name, (unsigned long long)(row + nan / cols),
                (unsigned long long)(nan % cols));
    return MOTE_OK;
}

/* Multiply decoded rows by their block scales (for slots kept as floats). */
static mote_status apply_scales(float *rows, const mote__slot *s,
        const mote__checkpoint *ck, uint64_t row, uint32_t n, mote_error *err)
{
    uint32_t cols = source_cols(s);
    float *scale = malloc((size_t)s->source_scale->shape[1] * sizeof *scale);
    if (!scale)
        return mote__fail_memory(err, 0, "scales");
    mote_status st = MOTE_OK;
    for (uint32_t i = 0; i < n && st >= 0; i++) {
        if (i == 0 || (row + i) % MOTE_BLOCK == 0)
            st = read_scales(scale, s, ck, (row + i) / MOTE_BLOCK, err);
        for (uint32_t j = 0; j < cols && st >= 0; j++)
            rows[(size_t)i * cols + j] *= scale[j / MOTE_BLOCK];
    }
    free(scale);
    return st;
}

/* A norm, router or bias that is not finite makes every token wrong. */
static mote_status check_rows(const float *data, const mote__slot *s, uint64_t row,
        uint32_t n, mote_error *err)
{
    if (s->form != MOTE__FORM_ROWS_F32 || s->role == MOTE__ROLE_EMBED)
        return MOTE_OK;
    for (uint64_t i = row * s->n_cols; i < (row + n) * s->n_cols; i++)
        if (!isfinite(data[i]))
            return mote__fail(err, MOTE_E_FORMAT, "tensor %s: value %llu is not finite",
                    s->source->name, (unsigned long long)(s->row0 * s->n_cols + i));
    return MOTE_OK;
}

static mote_status load_rows(uint8_t *data, const mote__slot *s,
        const mote__checkpoint *ck, uint8_t *raw, mote_error *err)
{
    for (uint64_t row = 0; row < s->n_rows; row += MOTE_PANEL) {
        uint32_t n =
                s->n_rows - row < MOTE_PANEL ? (uint32_t)(s->n_rows - row) : MOTE_PANEL;
        size_t count = (size_t)n * s->n_cols, at = (size_t)row * s->n_cols;
        mote_status st = read_rows(s, ck, s->row0 + row, n, raw, err);
        if (st < 0)
            return st;
        if (s->form == MOTE__FORM_ROWS_BF16)
            memcpy(data + at * 2, raw, count * 2);
        else
            decode((float *)(void *)data + at, raw, s->source->dtype, count);
        st = check_rows((const float *)(const void *)data, s, row, n, err);
        if (st < 0)
            return st;
    }
    return MOTE_OK;
}

typedef struct panel_job {
    const mote__slot *s;
    uint8_t *data;
    float *scales;
    const uint8_t *raw; /* live source rows of this panel, source type */
    float *f32;         /* the same decoded (F32 form only) */
    size_t ld;
    uint32_t panel, n_live;
} panel_job;

static void pack_panel(const panel_job *j)
{
    const mote__slot *s = j->s;
    size_t step = mote_k_data_bytes(s->form, MOTE_PANEL, s->n_cols);
    uint8_t *dst = j->data + j->panel * step;
    switch (s->form) {
    case MOTE_K_BF16:
        mote_k_pack_bf16(dst, (const uint16_t *)(const void *)j->raw, j->ld, j->n_live,
                s->n_cols);
        break;
    case MOTE_K_E4M3:
        mote_k_pack_e4m3(dst, j->raw, j->ld, j->n_live, s->n_cols);
        break;
    default:
        mote_k_pack_f32(dst, j->f32, j->ld, j->n_live, s->n_cols);
        break;
    }
}

static mote_status load_straight(const mote__slot *s, uint8_t *data, float *scales,
        uint64_t first_row, const mote__checkpoint *ck, uint8_t *raw, float *f32,
        mote_error *err)
{
    uint32_t kb = (s->n_cols + MOTE_BLOCK - 1) / MOTE_BLOCK;
    uint32_t panels = mote_k_panels(s->n_rows);
    for (uint32_t p = 0; p < panels; p++) {
        uint32_t live = s->n_rows - p * MOTE_PANEL;
        live = live < MOTE_PANEL ? live : MOTE_PANEL;
        uint64_t row = first_row + (uint64_t)p * MOTE_PANEL;
        mote_status st = read_rows(s, ck, row, live, raw, err);
        if (st >= 0 && s->form == MOTE_K_E4M3)
            st = read_scales(scales + (size_t)p * kb, s, ck, row / MOTE_BLOCK, err);
        if (st >= 0 && s->form == MOTE_K_F32) {
            decode(f32, raw, s->source->dtype, (size_t)live * s->n_cols);
            if (s->source_scale)
                st = apply_scales(f32, s, ck, row, live, err);
        }
        if (st < 0)
            return st;
        panel_job j = {s, data, scales, raw, f32, s->n_cols, p, live};
        pack_panel(&j);
    }
    return MOTE_OK;
}

/* One head of W_UK: n_cols source rows of n_rows values become 16-row panels. */
static mote_status load_transposed(const mote__slot *s, uint8_t *data, float *scales,
        uint64_t first_row, const mote__checkpoint *ck, uint8_t *raw, float *f32,
        uint8_t *panel_rows, mote_error *err)
{
    uint32_t size = mote__dtype_bytes(s->source->dtype), src_cols = s->n_rows;
    mote_status st = read_rows(s, ck, first_row, s->n_cols, raw, err);
    if (st < 0)
        return st;
    if (s->form == MOTE_K_F32) {
        decode(f32, raw, s->source->dtype, (size_t)s->n_cols * src_cols);
        if (s->source_scale) {
            st = apply_scales(f32, s, ck, first_row, s->n_cols, err);
            if (st < 0)
                return st;
        }
        raw = (uint8_t *)f32;
        size = 4;
    }
    uint32_t kb = (s->n_cols + MOTE_BLOCK - 1) / MOTE_BLOCK;
    float *block = NULL;
    if (s->form == MOTE_K_E4M3) {
        block = malloc((size_t)s->source_scale->shape[1] * sizeof *block);
        if (!block)
            return mote__fail_memory(err, 0, "scales");
        for (uint32_t b = 0; b < kb; b++) {
            st = read_scales(block, s, ck, first_row / MOTE_BLOCK + b, err);
            if (st < 0)
                goto out;
            for (uint32_t p = 0; p < mote_k_panels(s->n_rows); p++)
                scales[(size_t)p * kb + b] = block[p * MOTE_PANEL / MOTE_BLOCK];
        }
    }
    for (uint32_t p = 0; p < mote_k_panels(s->n_rows); p++) {
        uint32_t live = s->n_rows - p * MOTE_PANEL;
        live = live < MOTE_PANEL ? live : MOTE_PANEL;
        for (uint32_t r = 0; r < live; r++)
            for (uint32_t k = 0; k < s->n_cols; k++)
                memcpy(panel_rows + ((size_t)r * s->n_cols + k) * size,
                        raw + ((size_t)k * src_cols + p * MOTE_PANEL + r) * size, size);
        panel_job j = {s, data, scales, panel_rows, (float *)(void *)panel_rows,
                s->n_cols, p, live};
        pack_panel(&j);
    }
out:
    free(block);
    return st;
}

mote_status mote__load_slot(uint8_t *data, float *scales, const mote__slot *s,
        const mote__checkpoint *ck, void *work, mote_error *err)
{
    size_t n = (size_t)work_rows(s) * source_cols(s);
    float *f32 = work;
    uint8_t *raw = (uint8_t *)(f32 + n), *panel_rows = raw + n * 4;
    if (s->form >= MOTE_K_TYPES)
        return load_rows(data, s, ck, raw, err);
    size_t data_step = (size_t)mote__slot_sub_bytes(s),
           scale_step = (size_t)mote__slot_sub_scales(s) / sizeof(float);
    for (uint32_t h = 0; h < s->stack; h++) {
        uint64_t row = s->row0 + (uint64_t)h * s->row_step;
        uint8_t *d = data + h * data_step;
        float *sc = scales ? scales + h * scale_step : NULL;
        mote_status st =
                s->transposed
                        ? load_transposed(s, d, sc, row, ck, raw, f32, panel_rows, err)
                        : load_straight(s, d, sc, row, ck, raw, f32, err);
        if (st < 0)
            return st;
    }
    return MOTE_OK;
}

typedef struct load_job {
    uint8_t *arena;
    const mote__layout *l;
    const mote__checkpoint *ck;
    size_t work_bytes, base;
    atomic_int failed;
    mote_error error;
    atomic_flag error_taken;
    uint64_t seed;
} load_job;

static void load_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    load_job *j = arg;
    (void)worker;
    void *work = malloc(j->work_bytes);
    mote_error err;
    mote_status st = work ? MOTE_OK : mote__fail_memory(&err, j->work_bytes, "loading");
    for (uint32_t i = begin; i < end && st >= 0 && !atomic_load(&j->failed); i++) {
        const mote__slot *s = &j->l->slots[j->base + i];
        st = mote__load_slot(j->arena + s->offset,
                s->scale_bytes ? (float *)(void *)(j->arena + s->scale_offset) : NULL,
                s, j->ck, work, &err);
    }
    if (st < 0 && !atomic_flag_test_and_set(&j->error_taken)) {
        j->error = err;
        atomic_store(&j->failed, 1);
    }
    free(work);
}

mote_status mote__load(uint8_t *arena, const mote__layout *l,
        const mote__checkpoint *ck, mote__pool *pool, mote_progress_fn progress,
        void *user, mote_error *err)
{
    load_job j = {.arena = arena, .l = l, .ck = ck, .error_taken = ATOMIC_FLAG_INIT};
    atomic_init(&j.failed, 0);
    for (size_t i = 0; i < l->n_slots; i++) {
        size_t n = mote__load_work_bytes(&l->slots[i]);
        j.work_bytes = n > j.work_bytes ? n : j.work_bytes;
    }
    /* Steps of about 64 MB, so that progress moves and cancelling is prompt. */
    for (j.base = 0; j.base < l->n_slots;) {
        size_t n = 0;
        uint64_t bytes = 0;
        while (j.base + n < l->n_slots && bytes < (64u << 20))
            bytes += l->slots[j.base + n++].n_bytes;
        if (progress && progress(user, "load", l->slots[j.base].offset, l->arena_bytes))
            return mote__fail(err, MOTE_E_CANCELLED, "loading was cancelled");
        mote__pool_run(pool, (uint32_t)n, 1, load_range, &j);
        if (atomic_load(&j.failed)) {
            if (err)
                *err = j.error;
            return j.error.status;
        }
        j.base += n;
    }
    if (progress && progress(user, "load", l->arena_bytes, l->arena_bytes))
        return mote__fail(err, MOTE_E_CANCELLED, "loading was cancelled");
    return MOTE_OK;
}

/* splitmix64 */
static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void random_panels(
        uint8_t *data, float *scales, const mote__slot *s, uint64_t *rng)
{
    uint64_t n = mote__slot_sub_bytes(s) * s->stack;
    /* uniform in +-a has variance a^2 / 3: keep the variance of W x at that of x */
    float a = sqrtf(3.0f / (float)s->n_cols), top = 1;
    switch (s->form) {
    case MOTE_K_F32:
        for (uint64_t i = 0; i < n / 4; i++)
            ((float *)(void *)data)[i] =
                    a * ((float)(mix(rng) >> 40) / 8388608.0f - 1.0f);
        return;
    case MOTE_K_BF16:
        for (uint64_t i = 0; i < n / 2; i += 4) {
            uint64_t r = mix(rng);
            for (uint64_t j = 0; j < 4 && i + j < n / 2; j++, r >>= 16)
                ((uint16_t *)(void *)data)[i + j] =
                        mote_k_f32_to_bf16(a * ((float)(r & 0xffff) / 32768.0f - 1.0f));
        }
        return;
    case MOTE_K_E4M3: {
        /* e4m3 of U(-1,1)*448 from a table of 256 quantiles */
        uint8_t table[256];
        for (int i = 0; i < 256; i++)
            table[i] = mote_k_f32_to_e4m3(448.0f * ((float)i - 127.5f) / 128.0f);
        for (uint64_t i = 0; i < n; i += 8) {
            uint64_t r = mix(rng);
            for (uint64_t j = 0; j < 8 && i + j < n; j++, r >>= 8)
                data[i + j] = table[r & 255];
        }
        top = 448;
        break;
    }
    case MOTE_K_I8:
        for (uint64_t i = 0; i < n; i += 8) {
            uint64_t r = mix(rng);
            for (uint64_t j = 0; j < 8 && i + j < n; j++, r >>= 8) {
                int8_t v = (int8_t)(r & 255);
                data[i + j] = (uint8_t)(v == -128 ? 0 : v);
            }
        }
        top = 127;
        break;
    default: { /* I4 */
        for (uint64_t i = 0; i + 8 <= n; i += 8) {
            uint64_t r = mix(rng);
            memcpy(data + i, &r, 8);
        }
        const uint16_t scale = mote_k_f32_to_bf16(a / 7.5f);
        for (uint64_t part = 0; part < n; part += MOTE_I4_PART_BYTES)
            for (uint64_t i = 0; i < MOTE_I4_PART_SCALES; i += 2)
                memcpy(data + part + i, &scale, 2);
        return;
    }
    }
    uint64_t ns = mote__slot_sub_scales(s) / sizeof(float) * s->stack;
    for (uint64_t i = 0; i < ns; i++)
        scales[i] = a / top;
}

void mote__load_random_slot(
        uint8_t *data, float *scales, const mote__slot *s, uint64_t seed)
{
    uint64_t rng = seed;
    if (s->form < MOTE_K_TYPES) {
        random_panels(data, scales, s, &rng);
        return;
    }
    uint64_t n = (uint64_t)s->n_rows * s->n_cols;
    if (s->form == MOTE__FORM_ROWS_BF16) {
        for (uint64_t k = 0; k < n; k++)
            ((uint16_t *)(void *)data)[k] =
                    mote_k_f32_to_bf16((float)(mix(&rng) >> 40) / 8388608.0f - 1.0f);
        return;
    }
    int router = s->role == MOTE__ROLE_ROUTER;
    float a = router ? sqrtf(3.0f / (float)s->n_cols) : 0.1f;
    float mid = router || s->role == MOTE__ROLE_ROUTER_BIAS ? 0.0f : 1.0f;
    for (uint64_t k = 0; k < n; k++)
        ((float *)(void *)data)[k] =
                mid + a * ((float)(mix(&rng) >> 40) / 8388608.0f - 1.0f);
}

static void random_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    load_job *j = arg;
    (void)worker;
    for (uint32_t i = begin; i < end; i++) {
        const mote__slot *s = &j->l->slots[i];
        mote__load_random_slot(j->arena + s->offset,
                (float *)(void *)(j->arena + s->scale_offset), s,
                j->seed * 0x9e3779b97f4a7c15u + i * 0xd1b54a32d192ed03u);
    }
}

void mote__load_random(
        uint8_t *arena, const mote__layout *l, mote__pool *pool, uint64_t seed)
{
    load_job j = {.arena = arena, .l = l, .seed = seed};
    mote__pool_run(pool, (uint32_t)l->n_slots, 1, random_range, &j);
}
