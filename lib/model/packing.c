/* SPDX-License-Identifier: MIT */
/* Writing packs: units are produced in parallel a few at a time, and written in order.
 */
#include "model/packing.h"

#include "base/hash.h"
#include "base/status.h"
#include "model/importance.h"
#include "model/load.h"
#include "model/units.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_UNITS = 16 };
static const uint64_t BATCH_BYTES = 128u << 20;

/* One unit on its way. */
typedef struct item {
    const mote__unit *unit;
    uint8_t *raw, *frame, *work;
    size_t stored; /* bytes to write */
    uint64_t hash;
} item;

typedef struct packer {
    const mote__checkpoint *ck; /* NULL: random weights */
    const char *config;         /* with random weights: config.json */
    const uint8_t *tokenizer;   /* ready to map, or NULL */
    size_t n_tokenizer;
    uint64_t seed;
    mote__layout from, to; /* as the checkpoint has it; as the pack will */
    mote__units units;
    const mote__importance *importance;
    int level;
    mote__pool *pool;
    item items[BATCH_UNITS];
    float *scales; /* of the slot that is being cut, or NULL */
    uint32_t scales_slot;
    atomic_int failed;
    atomic_flag error_taken;
    mote_error error;
} packer;

/* 16 rows of floats to a panel of another form. */
static void repack(uint8_t *panel, float *scales, uint32_t form, float *rows,
        uint32_t live, uint32_t cols, const float *importance, uint8_t *spare)
{
    switch (form) {
    case MOTE_K_F32:
        mote_k_pack_f32(panel, rows, cols, live, cols);
        break;
    case MOTE_K_BF16: {
        uint16_t *b = (uint16_t *)(void *)spare;
        for (size_t i = 0; i < (size_t)live * cols; i++)
            b[i] = mote_k_f32_to_bf16(rows[i]);
        mote_k_pack_bf16(panel, b, cols, live, cols);
        break;
    }
    case MOTE_K_E4M3:
        for (uint32_t k = 0; k < cols; k += MOTE_BLOCK) {
            uint32_t n = cols - k < MOTE_BLOCK ? cols - k : MOTE_BLOCK;
            float top = 0;
            for (uint32_t r = 0; r < live; r++)
                for (uint32_t j = 0; j < n; j++) {
                    float a = rows[(size_t)r * cols + k + j];
                    a = a < 0 ? -a : a;
                    top = a > top ? a : top;
                }
            float scale = top > 0 ? top / 448.0f : 1.0f;
            scales[k / MOTE_BLOCK] = scale;
            for (uint32_t r = 0; r < live; r++)
                for (uint32_t j = 0; j < n; j++)
                    spare[(size_t)r * cols + k + j] =
                            mote_k_f32_to_e4m3(rows[(size_t)r * cols + k + j] / scale);
        }
        mote_k_pack_e4m3(panel, spare, cols, live, cols);
        break;
    case MOTE_K_I8:
        mote_k_quant_i8(panel, scales, rows, cols, live, cols, importance);
        break;
    default:
        mote_k_quant_i4(panel, rows, cols, live, cols, importance);
        break;
    }
}

/* The part [begin, end) of a slot as a slot of its own. */
static mote__slot part_of(const mote__slot *s, const mote__unit *u)
{
    mote__slot p = *s;
    if (u->n_slots == 3 || (u->begin == 0 && u->last))
        return p;
    if (s->stack > 1) {
        p.row0 += u->begin * s->row_step;
        p.stack = u->end - u->begin;
    } else {
        uint32_t rows = s->form >= MOTE_K_TYPES ? 1 : MOTE_PANEL;
        uint32_t end = u->end * rows;
        p.row0 += u->begin * rows;
        p.n_rows = (end < s->n_rows ? end : s->n_rows) - u->begin * rows;
    }
    return p;
}

/* Data and scales of (part of) a slot, in the form of the pack. */
static mote_status produce(packer *k, uint32_t slot, const mote__unit *u, uint8_t *data,
        float *scales, mote_error *err)
{
    mote__slot from = part_of(&k->from.slots[slot], u);
    mote__slot to = part_of(&k->to.slots[slot], u);
    if (!k->ck) {
        mote__load_random_slot(data, scales, &to,
                k->seed + slot * 0xd1b54a32d192ed03u + u->begin * 0x9e3779b97f4a7c15u);
        return MOTE_OK;
    }
    void *work = malloc(mote__load_work_bytes(&from));
    uint8_t *tmp = NULL, *spare = NULL;
    float *tmp_scales = NULL, *rows = NULL;
    mote_status st = MOTE_OK;
    if (!work) {
        st = mote__fail_memory(err, mote__load_work_bytes(&from), "packing");
        goto out;
    }
    if (from.form == to.form) {
        st = mote__load_slot(data, scales, &from, k->ck, work, err);
        goto out;
    }
    size_t bytes = (size_t)mote__slot_sub_bytes(&from), n_cols = from.n_cols;
    size_t n_scales = (size_t)mote__slot_sub_scales(&from) / sizeof(float);
    tmp = malloc(bytes * from.stack);
    tmp_scales = malloc(n_scales * from.stack * sizeof(float) + 64);
    rows = malloc(MOTE_PANEL * n_cols * sizeof *rows);
    spare = malloc(MOTE_PANEL * n_cols * 2);
    if (!tmp || !tmp_scales || !rows || !spare) {
        st = mote__fail_memory(err, bytes, "packing");
        goto out;
    }
    st = mote__load_slot(tmp, tmp_scales, &from, k->ck, work, err);
    const float *importance = mote__importance_of(k->importance, slot);
    size_t to_bytes = (size_t)mote__slot_sub_bytes(&to),
           to_scales = (size_t)mote__slot_sub_scales(&to) / sizeof(float),
           panel_bytes = mote_k_data_bytes(to.form, MOTE_PANEL, to.n_cols),
           panel_scales = mote_k_scale_count(to.form, MOTE_PANEL, to.n_cols);
    for (uint32_t h = 0; st >= 0 && h < from.stack; h++) {
        mote_k_matrix w = {.data = tmp + h * bytes,
                .scales = tmp_scales + h * n_scales,
                .n_rows = from.n_rows,
                .n_cols = from.n_cols,
                .type = from.form};
        if (scales)
            memset(scales + h * to_scales, 0, to_scales * sizeof *scales);
        for (uint32_t p = 0; p < mote_k_panels(from.n_rows); p++) {
            uint32_t live = from.n_rows - p * MOTE_PANEL;
            mote_k_unpack(rows, n_cols, &w, p);
            repack(data + h * to_bytes + p * panel_bytes,
                    scales ? scales + h * to_scales + p * panel_scales : NULL, to.form,
                    rows, live < MOTE_PANEL ? live : MOTE_PANEL, from.n_cols,
                    importance, spare);
        }
    }
out:
    free(work);
    free(tmp);
    free(tmp_scales);
    free(rows);
    free(spare);
    return st;
}

static void take_error(packer *k, const mote_error *err)
{
    if (!atomic_flag_test_and_set(&k->error_taken)) {
        k->error = *err;
        atomic_store(&k->failed, 1);
    }
}

/* Offset of a cut part's scales within the slot's. */
static size_t scales_before(const mote__slot *s, const mote__unit *u)
{
    if (s->stack > 1)
        return u->begin * (size_t)mote__slot_sub_scales(s) / sizeof(float);
    return u->begin * mote_k_scale_count(s->form, MOTE_PANEL, s->n_cols);
}

static void produce_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    packer *k = arg;
    (void)worker;
    mote_error err;
    for (uint32_t i = begin; i < end && !atomic_load(&k->failed); i++) {
        item *it = &k->items[i];
        const mote__unit *u = it->unit;
        memset(it->raw, 0, (size_t)u->n_bytes);
        for (uint32_t j = 0; j < u->n_slots; j++) {
            const mote__slot *s = &k->to.slots[u->slot + j];
            int whole = u->n_slots == 3 || (u->begin == 0 && u->last);
            float *scales = NULL;
            if (s->scale_bytes && whole)
                scales = (float *)(void *)(it->raw + (s->scale_offset - u->offset));
            else if (s->scale_bytes)
                scales = k->scales + scales_before(s, u);
            uint8_t *data = whole ? it->raw + (s->offset - u->offset) : it->raw;
            if (produce(k, u->slot + j, u, data, scales, &err) < 0) {
                take_error(k, &err);
                return;
            }
        }
    }
}

static void finish_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    packer *k = arg;
    (void)worker;
    mote_error err;
    for (uint32_t i = begin; i < end; i++) {
        item *it = &k->items[i];
        it->stored = (size_t)it->unit->n_bytes;
        const uint8_t *stored = it->raw;
        /* Weights that are no numbers, of a type in which they may be, show here. */
        if (mote__unit_check(it->raw, it->unit, &k->to, &err) < 0) {
            take_error(k, &err);
            return;
        }
        if (k->level) {
            if (mote__unit_compress(it->frame, mote__unit_bound(it->stored),
                        &it->stored, it->raw, it->unit, &k->to, k->level, it->work,
                        &err) < 0) {
                take_error(k, &err);
                return;
            }
            stored = it->frame;
        }
        it->hash = mote__hash_of(stored, it->stored);
    }
}

static void free_items(packer *k)
{
    for (uint32_t i = 0; i < BATCH_UNITS; i++) {
        free(k->items[i].raw);
        free(k->items[i].frame);
        free(k->items[i].work);
        memset(&k->items[i], 0, sizeof k->items[i]);
    }
}

static mote_status alloc_item(packer *k, item *it, const mote__unit *u, mote_error *err)
{
    size_t n = (size_t)u->n_bytes;
    it->unit = u;
    it->raw = malloc(n + 64);
    if (k->level) {
        it->frame = malloc(mote__unit_bound(n));
        it->work = malloc(mote__unit_work(n));
    }
    if (!it->raw || (k->level && (!it->frame || !it->work)))
        return mote__fail_memory(err, n, "packing");
    return MOTE_OK;
}

/* Units from `first` that fit a batch: at most one slot among them is cut, so that one
 * buffer of scales serves. */
static size_t batch_end(const packer *k, size_t first)
{
    uint64_t bytes = 0;
    uint32_t cut_slot = UINT32_MAX;
    size_t i = first;
    for (; i < k->units.n && i - first < BATCH_UNITS; i++) {
        const mote__unit *u = &k->units.units[i];
        int cut = u->n_slots == 1 && !(u->begin == 0 && u->last);
        if (cut && cut_slot != UINT32_MAX && cut_slot != u->slot)
            break;
        if (cut)
            cut_slot = u->slot;
        bytes += u->n_bytes;
        if (i > first && bytes > BATCH_BYTES)
            break;
    }
    return i;
}

static mote_status write_weights(packer *k, mote__pack_writer *w, uint64_t *hashes,
        uint64_t *places, const mote_pack_options *o, mote_error *err)
{
    mote_status st = MOTE_OK;
    static const uint8_t zeros[4096];
    for (size_t first = 0; first < k->units.n && st >= 0;) {
        size_t end = batch_end(k, first);
        uint32_t n = (uint32_t)(end - first);
        if (o->progress && o->progress(o->progress_user, "pack",
                                   k->units.units[first].offset, k->to.arena_bytes)) {
            st = mote__fail(err, MOTE_E_CANCELLED, "packing was cancelled");
            break;
        }
        for (uint32_t i = 0; i < n && st >= 0; i++) {
            const mote__unit *u = &k->units.units[first + i];
            st = alloc_item(k, &k->items[i], u, err);
            const mote__slot *s = &k->to.slots[u->slot];
            int cut = u->n_slots == 1 && !(u->begin == 0 && u->last);
            if (st >= 0 && cut && k->scales_slot != u->slot) {
                free(k->scales);
                k->scales_slot = u->slot;
                k->scales = malloc((size_t)s->scale_bytes + 64);
                if (!k->scales)
                    st = mote__fail_memory(err, (size_t)s->scale_bytes, "packing");
                else
                    memset(k->scales, 0, (size_t)s->scale_bytes);
            }
        }
        if (st >= 0) {
            mote__pool_run(k->pool, n, 1, produce_range, k);
            for (uint32_t i = 0; i < n; i++) {
                const mote__unit *u = k->items[i].unit;
                const mote__slot *s = &k->to.slots[u->slot];
                if (u->n_slots == 1 && u->last && u->begin > 0 && s->scale_bytes)
                    memcpy(k->items[i].raw + (s->scale_offset - u->offset), k->scales,
                            (size_t)s->scale_bytes);
            }
            if (!atomic_load(&k->failed))
                mote__pool_run(k->pool, n, 1, finish_range, k);
            if (atomic_load(&k->failed)) {
                if (err)
                    *err = k->error;
                st = k->error.status;
            }
        }
        for (uint32_t i = 0; i < n && st >= 0; i++) {
            item *it = &k->items[i];
            uint64_t at = mote__pack_writer_at(w);
            uint64_t want = k->level ? (at + 63) / 64 * 64 : it->unit->offset;
            while (st >= 0 && at < want) {
                size_t m =
                        want - at < sizeof zeros ? (size_t)(want - at) : sizeof zeros;
                st = mote__pack_writer_put(w, zeros, m, err);
                at += m;
            }
            if (st >= 0)
                st = mote__pack_writer_put(
                        w, k->level ? it->frame : it->raw, it->stored, err);
            hashes[first + i] = it->hash;
            places[2 * (first + i)] = want;
            places[2 * (first + i) + 1] = it->stored;
        }
        free_items(k);
        first = end;
    }
    /* the arena ends on a page, so that mapping it whole is valid */
    while (st >= 0 && !k->level && mote__pack_writer_at(w) < k->to.arena_bytes) {
        uint64_t left = k->to.arena_bytes - mote__pack_writer_at(w);
        st = mote__pack_writer_put(
                w, zeros, left < sizeof zeros ? (size_t)left : sizeof zeros, err);
    }
    if (st >= 0 && o->progress)
        (void)o->progress(
                o->progress_user, "pack", k->to.arena_bytes, k->to.arena_bytes);
    return st;
}

static const uint32_t kinds[] = {[MOTE_TYPE_BF16] = MOTE_K_BF16,
        [MOTE_TYPE_FP8] = MOTE_K_E4M3,
        [MOTE_TYPE_INT8] = MOTE_K_I8,
        [MOTE_TYPE_INT4] = MOTE_K_I4,
        [MOTE_TYPE_INT4_ALL] = MOTE_K_I4};

/* Forms of the pack: experts at the chosen type, everything else at 8 bits or more
 * unless asked for (a 4-bit head loses more than experts do); the MTP module always
 * (its drafts are worth more than its bytes). */
static void choose_forms(mote__layout *to, const mote_pack_options *o)
{
    uint32_t dense = o->type, expert = o->expert_type ? o->expert_type : o->type;
    if (dense == MOTE_TYPE_INT4)
        dense = MOTE_TYPE_INT8;
    for (size_t i = 0; i < to->n_slots; i++) {
        mote__slot *s = &to->slots[i];
        uint32_t type = s->role >= MOTE__ROLE_EXPERT_GATE ? expert : dense;
        int of_mtp = to->mtp && s->layer + to->mtp >= to->n_layers;
        if (of_mtp && (type == MOTE_TYPE_INT4 || type == MOTE_TYPE_INT4_ALL))
            type = MOTE_TYPE_INT8;
        if (s->form < MOTE_K_TYPES && type != MOTE_TYPE_KEEP)
            s->form = kinds[type];
    }
}

static mote_status put_text(mote__pack_writer *w, uint32_t kind,
        const mote__checkpoint *ck, const char *name, mote_error *err)
{
    size_t n;
    const char *text = ck ? mote__checkpoint_text(ck, name, &n) : NULL;
    if (!text)
        return MOTE_OK;
    mote_status st = mote__pack_writer_section(w, kind, 0, err);
    return st < 0 ? st : mote__pack_writer_put(w, text, n, err);
}

/* Forms: u32 slots, u32 MTP modules, one byte per slot. */
static mote_status put_forms(
        mote__pack_writer *w, const mote__layout *l, mote_error *err)
{
    uint32_t head[2] = {(uint32_t)l->n_slots, l->mtp};
    mote_status st = mote__pack_writer_section(w, MOTE__PACK_FORMS, 0, err);
    if (st >= 0)
        st = mote__pack_writer_put(w, head, sizeof head, err);
    for (size_t i = 0; i < l->n_slots && st >= 0; i++) {
        uint32_t form = l->slots[i].form;
        uint8_t code = (uint8_t)(form == MOTE_K_I4 ? MOTE__CODE_I4 : form);
        st = mote__pack_writer_put(w, &code, 1, err);
    }
    return st;
}

static mote_status write_pack(
        packer *k, const char *path, const mote_pack_options *o, mote_error *err)
{
    mote__pack_writer *w = NULL;
    uint64_t *hashes = calloc(k->units.n + 1, sizeof *hashes),
             *places = calloc(k->units.n * 2 + 1, sizeof *places);
    mote_status st;
    if (!hashes || !places) {
        st = mote__fail_memory(err, k->units.n * 24, "list of units");
        goto out;
    }
    st = mote__pack_writer_open(&w, path, k->level ? MOTE__PACK_COMPRESSED : 0, err);
    if (st >= 0 && k->ck)
        st = put_text(w, MOTE__PACK_CONFIG, k->ck, "config.json", err);
    if (st >= 0 && !k->ck)
        st = mote__pack_writer_section(w, MOTE__PACK_CONFIG, 0, err);
    if (st >= 0 && !k->ck)
        st = mote__pack_writer_put(w, k->config, strlen(k->config), err);
    if (st >= 0)
        st = put_text(w, MOTE__PACK_GENERATION, k->ck, "generation_config.json", err);
    if (st >= 0)
        st = put_text(w, MOTE__PACK_TOKENIZER, k->ck, "tokenizer.json", err);
    if (st >= 0)
        st = put_text(
                w, MOTE__PACK_TOKENIZER_CONFIG, k->ck, "tokenizer_config.json", err);
    if (st >= 0)
        st = put_text(w, MOTE__PACK_CHAT_TEMPLATE, k->ck, "chat_template.jinja", err);
    if (st >= 0 && k->tokenizer)
        st = mote__pack_writer_section(w, MOTE__PACK_TOKENIZER_MAP, 0, err);
    if (st >= 0 && k->tokenizer)
        st = mote__pack_writer_put(w, k->tokenizer, k->n_tokenizer, err);
    if (st >= 0)
        st = put_forms(w, &k->to, err);
    if (st >= 0)
        st = mote__pack_writer_section(w, MOTE__PACK_WEIGHTS, 1, err);
    if (st >= 0)
        st = write_weights(k, w, hashes, places, o, err);
    if (st >= 0)
        st = mote__pack_writer_section(w, MOTE__PACK_HASHES, 0, err);
    if (st >= 0)
        st = mote__pack_writer_put(w, hashes, k->units.n * sizeof *hashes, err);
    if (st >= 0 && k->level) {
        st = mote__pack_writer_section(w, MOTE__PACK_UNITS, 0, err);
        if (st >= 0)
            st = mote__pack_writer_put(w, places, k->units.n * 2 * sizeof *places, err);
    }
    if (st >= 0)
        st = mote__pack_writer_finish(w, err);
out:
    mote__pack_writer_close(w);
    free(hashes);
    free(places);
    return st;
}

/* Units, workers, writing: what follows once both layouts are there. */
static mote_status run(
        packer *k, const char *path, const mote_pack_options *o, mote_error *err)
{
    mote_status st = mote__layout_place(&k->to, err);
    if (st >= 0)
        st = mote__units_of(&k->units, &k->to, SIZE_MAX, err);
    if (st >= 0)
        st = mote__pool_open(&k->pool, NULL, 0, NULL, NULL, err);
    return st < 0 ? st : write_pack(k, path, o, err);
}

static packer *packer_new(mote_error *err)
{
    packer *k = calloc(1, sizeof *k);
    if (!k) {
        mote__fail_memory(err, sizeof *k, "packing");
        return NULL;
    }
    k->scales_slot = UINT32_MAX;
    atomic_flag_clear(&k->error_taken);
    return k;
}

static void packer_free(packer *k)
{
    free_items(k);
    free(k->scales);
    mote__pool_close(k->pool);
    mote__units_free(&k->units);
    mote__layout_free(&k->from);
    mote__layout_free(&k->to);
    free(k);
}

mote_status mote__pack_checkpoint(const mote__checkpoint *ck, const char *path,
        const mote_pack_options *o, const uint8_t *tokenizer, size_t n_tokenizer,
        mote_error *err)
{
    mote__config c;
    uint32_t modules;
    mote__importance *importance = NULL;
    packer *k = packer_new(err);
    if (!k)
        return MOTE_E_MEMORY;
    k->ck = ck;
    k->level = o->zstd_level;
    k->tokenizer = tokenizer;
    k->n_tokenizer = n_tokenizer;
    mote_status st =
            mote__model_configure(&c, &k->from, &modules, ck, MOTE_MTP_AUTO, err);
    if (st >= 0)
        st = mote__model_configure(&c, &k->to, &modules, ck, MOTE_MTP_AUTO, err);
    if (st >= 0 && o->importance) {
        st = mote__importance_load(&importance, &k->from, o->importance, err);
        k->importance = importance;
    }
    if (st >= 0) {
        choose_forms(&k->to, o);
        st = run(k, path, o, err);
    }
    packer_free(k);
    mote__importance_close(importance);
    return st;
}

mote_status mote__pack_random(const mote__config *c, const char *path, uint32_t type,
        uint32_t expert_type, uint64_t seed, mote_progress_fn progress, void *user,
        mote_error *err)
{
    mote_pack_options o = {
            .struct_size = sizeof o, .progress = progress, .progress_user = user};
    packer *k = packer_new(err);
    if (!k)
        return MOTE_E_MEMORY;
    char *config = mote__config_write(c);
    mote_status st = config ? MOTE_OK : mote__fail_memory(err, 4096, "configuration");
    k->config = config;
    k->seed = seed;
    uint32_t mtp = c->num_nextn_predict_layers > 0;
    if (st >= 0)
        st = mote__layout_from_config(&k->from, c, type, expert_type, mtp, err);
    if (st >= 0)
        st = mote__layout_from_config(&k->to, c, type, expert_type, mtp, err);
    if (st >= 0)
        st = run(k, path, &o, err);
    packer_free(k);
    free(config);
    return st;
}
