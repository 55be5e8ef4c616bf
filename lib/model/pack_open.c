/* SPDX-License-Identifier: MIT */
/* Opening packs: mapped and used in place where that is possible, else read (and
 * expanded) into an arena. */
#include "model/packing.h"

#include "base/hash.h"
#include "base/status.h"
#include "model/units.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Arenas up to this size are checked whole when opened; larger ones by verify, or as
 * their units are read. */
static const uint64_t CHECK_MAX = 64u << 20;

mote_status mote__pack_describe(const mote__pack_file *p, mote__config *c,
        mote__layout *l, uint32_t mtp, mote_error *err)
{
    uint8_t *config = NULL, *forms = NULL;
    size_t n;
    memset(l, 0, sizeof *l);
    mote_status st = mote__pack_read(p, MOTE__PACK_CONFIG, &config, &n, err);
    if (st >= 0 && !config)
        st = mote__fail(err, MOTE_E_FORMAT, "the pack has no configuration");
    if (st >= 0)
        st = mote__config_parse(c, (const char *)config, n, err);
    if (st >= 0)
        st = mote__pack_read(p, MOTE__PACK_FORMS, &forms, &n, err);
    if (st < 0)
        goto out;
    uint32_t head[2] = {0, 0};
    if (forms && n >= sizeof head)
        memcpy(head, forms, sizeof head);
    if (!forms || n != sizeof head + head[0] || head[1] > 1 ||
            head[1] > c->num_nextn_predict_layers) {
        st = mote__fail(
                err, MOTE_E_FORMAT, "the pack's list of weight forms is damaged");
        goto out;
    }
    if (mtp == MOTE_MTP_ON && !head[1]) {
        st = mote__fail(
                err, MOTE_E_UNSUPPORTED, "option mtp: the pack holds no MTP module");
        goto out;
    }
    st = mote__layout_from_config(l, c, MOTE_K_E4M3, MOTE_K_E4M3, head[1], err);
    if (st >= 0 && l->n_slots != head[0])
        st = mote__fail(err, MOTE_E_FORMAT,
                "the pack's weights do not fit its configuration: expected %zu, found "
                "%u",
                l->n_slots, head[0]);
    for (size_t i = 0; st >= 0 && i < l->n_slots; i++) {
        mote__slot *s = &l->slots[i];
        uint32_t form = forms[sizeof head + i];
        int rows = form == MOTE__FORM_ROWS_F32 || form == MOTE__FORM_ROWS_BF16;
        int fits = s->role == MOTE__ROLE_EMBED ? rows
                   : s->form < MOTE_K_TYPES    ? form < MOTE_K_TYPES
                                               : form == s->form;
        if (!fits)
            st = mote__fail(err, MOTE_E_FORMAT,
                    "weight %zu (%s) of the pack has an impossible form %u", i,
                    mote__role_name(s->role), form);
        s->form = form;
    }
    if (st >= 0)
        st = mote__layout_place(l, err);
    /* Leaving the module out only drops its slots at the end: offsets stay. */
    if (st >= 0 && mtp == MOTE_MTP_OFF && l->mtp) {
        while (l->n_slots && l->slots[l->n_slots - 1].layer == c->num_hidden_layers)
            l->n_slots--;
        l->mtp = 0;
        l->n_layers = c->num_hidden_layers;
    }
out:
    free(config);
    free(forms);
    if (st < 0)
        mote__layout_free(l);
    return st;
}

/* Where units lie as stored, and their checksums. */
typedef struct stored {
    mote__units units;
    uint64_t *hashes, *places; /* places: offset, bytes; NULL when not compressed */
    uint64_t base;             /* of the weights section */
} stored;

static void stored_free(stored *s)
{
    mote__units_free(&s->units);
    free(s->hashes);
    free(s->places);
}

/* l must be the full layout of the pack (MTP included). */
static mote_status stored_open(
        stored *s, const mote__pack_file *p, const mote__layout *l, mote_error *err)
{
    memset(s, 0, sizeof *s);
    const mote__pack_section *w = mote__pack_find(p, MOTE__PACK_WEIGHTS);
    uint8_t *data;
    size_t n;
    mote_status st = mote__units_of(&s->units, l, err);
    if (st >= 0)
        st = mote__pack_read(p, MOTE__PACK_HASHES, &data, &n, err);
    if (st < 0)
        goto out;
    s->hashes = (uint64_t *)(void *)data;
    if (!w || !data || n != s->units.n * 8) {
        st = mote__fail(
                err, MOTE_E_FORMAT, "the pack's checksums are missing or cut off");
        goto out;
    }
    s->base = w->offset;
    if (!(p->flags & MOTE__PACK_COMPRESSED)) {
        if (w->n_bytes != l->arena_bytes || w->offset % MOTE__PACK_PAGE != 0)
            st = mote__fail(err, MOTE_E_FORMAT,
                    "the pack's weights: expected %llu bytes, found %llu",
                    (unsigned long long)l->arena_bytes, (unsigned long long)w->n_bytes);
        goto out;
    }
    st = mote__pack_read(p, MOTE__PACK_UNITS, &data, &n, err);
    if (st < 0)
        goto out;
    s->places = (uint64_t *)(void *)data;
    if (!data || n != s->units.n * 16) {
        st = mote__fail(
                err, MOTE_E_FORMAT, "the pack's list of units is missing or cut off");
        goto out;
    }
    for (size_t i = 0; i < s->units.n; i++)
        if (s->places[2 * i] > w->n_bytes ||
                s->places[2 * i + 1] > w->n_bytes - s->places[2 * i] ||
                s->places[2 * i + 1] >
                        mote__unit_bound((size_t)s->units.units[i].n_bytes)) {
            st = mote__fail(err, MOTE_E_FORMAT,
                    "unit %zu of the pack does not lie inside its weights", i);
            goto out;
        }
out:
    if (st < 0)
        stored_free(s);
    return st;
}

typedef struct read_job {
    const mote__pack_file *p;
    const mote__layout *l;
    const stored *s;
    uint8_t *arena; /* NULL: check only */
    uint32_t base;
    atomic_int failed;
    atomic_flag error_taken;
    mote_error error;
} read_job;

static mote_status read_unit(
        read_job *j, size_t i, uint8_t *frame, uint8_t *work, mote_error *err)
{
    const mote__unit *u = &j->s->units.units[i];
    const uint64_t *place = j->s->places ? j->s->places + 2 * i : NULL;
    uint64_t at = j->s->base + (place ? place[0] : u->offset);
    size_t n = (size_t)(place ? place[1] : u->n_bytes);
    uint8_t *dst = place || !j->arena ? frame : j->arena + u->offset;
    mote_status st = mote__file_read(&j->p->file, at, n, dst, err);
    if (st >= 0 && mote__hash_of(dst, n) != j->s->hashes[i])
        st = mote__fail(err, MOTE_E_FORMAT,
                "the pack is damaged: %s weights of layer %u do not match their "
                "checksum",
                mote__role_name(j->l->slots[u->slot].role), j->l->slots[u->slot].layer);
    if (st >= 0 && place && j->arena)
        st = mote__unit_expand(j->arena + u->offset, frame, n, u, j->l, work, err);
    return st;
}

static void read_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    read_job *j = arg;
    (void)worker;
    mote_error err;
    for (uint32_t i = begin; i < end && !atomic_load(&j->failed); i++) {
        size_t unit = j->base + i, n = (size_t)j->s->units.units[unit].n_bytes;
        uint8_t *frame = malloc(mote__unit_bound(n)),
                *work = malloc(mote__unit_work(n) + 1);
        mote_status st = frame && work ? read_unit(j, unit, frame, work, &err)
                                       : mote__fail_memory(&err, n, "reading weights");
        free(frame);
        free(work);
        if (st < 0 && !atomic_flag_test_and_set(&j->error_taken)) {
            j->error = err;
            atomic_store(&j->failed, 1);
        }
    }
}

static mote_status read_units(const mote__pack_file *p, const mote__layout *l,
        const stored *s, uint8_t *arena, mote__pool *pool, mote_progress_fn progress,
        void *user, const char *stage, mote_error *err)
{
    read_job j = {
            .p = p, .l = l, .s = s, .arena = arena, .error_taken = ATOMIC_FLAG_INIT};
    enum { STEP = 32 };
    for (size_t i = 0; i < s->units.n; i += STEP) {
        size_t n = s->units.n - i < STEP ? s->units.n - i : STEP;
        if (progress && progress(user, stage, s->units.units[i].offset, l->arena_bytes))
            return mote__fail(err, MOTE_E_CANCELLED, "reading was cancelled");
        j.base = (uint32_t)i;
        mote__pool_run(pool, (uint32_t)n, 1, read_range, &j);
        if (atomic_load(&j.failed)) {
            if (err)
                *err = j.error;
            return j.error.status;
        }
    }
    if (progress && progress(user, stage, l->arena_bytes, l->arena_bytes))
        return mote__fail(err, MOTE_E_CANCELLED, "reading was cancelled");
    return MOTE_OK;
}

mote_status mote__pack_verify(
        mote__pack_file *p, mote_progress_fn progress, void *user, mote_error *err)
{
    mote__config c;
    mote__layout l;
    stored s;
    mote__pool *pool = NULL;
    /* sections that describe do not touch */
    for (uint32_t i = 0; i < p->n_sections; i++) {
        uint8_t *data;
        size_t n;
        if (p->sections[i].kind == MOTE__PACK_WEIGHTS)
            continue;
        mote_status st = mote__pack_read(p, p->sections[i].kind, &data, &n, err);
        if (st < 0)
            return st;
        free(data);
    }
    mote_status st = mote__pack_describe(p, &c, &l, MOTE_MTP_AUTO, err);
    if (st < 0)
        return st;
    st = stored_open(&s, p, &l, err);
    if (st >= 0) {
        st = mote__pool_open(&pool, NULL, 0, NULL, NULL, err);
        if (st >= 0)
            st = read_units(p, &l, &s, NULL, pool, progress, user, "verify", err);
        mote__pool_close(pool);
        stored_free(&s);
    }
    mote__layout_free(&l);
    return st;
}

static void close_backing(void *backing)
{
    mote__pack_file_close(backing);
    free(backing);
}

static mote_status read_generation(
        mote_model *m, const mote__pack_file *p, mote_error *err)
{
    uint8_t *text;
    size_t n;
    mote_status st = mote__pack_read(p, MOTE__PACK_GENERATION, &text, &n, err);
    if (st >= 0 && text)
        st = mote__generation_config_parse(
                &m->default_temperature, &m->default_top_p, (const char *)text, n, err);
    free(text);
    return st;
}

/* Use the file's pages themselves. */
static mote_status map_weights(mote_model *m, mote__pack_file *p, const stored *s,
        const mote__layout *full, mote_error *err)
{
    mote_status st = mote__file_map(&p->file, err);
    if (st < 0)
        return st;
    if (full->arena_bytes <= CHECK_MAX) {
        st = read_units(p, full, s, NULL, m->pool, NULL, NULL, "load", err);
        if (st < 0)
            return st;
    }
    m->arena = (uint8_t *)(uintptr_t)(p->file.data + s->base);
    m->arena_size = 0;
    m->mapped_bytes = p->file.map ? p->file.size : 0;
    return MOTE_OK;
}

mote_status mote__pack_load(
        mote_model *m, mote__file *file, const mote_model_options *o, mote_error *err)
{
    mote__pack_file *p = malloc(sizeof *p);
    if (!p) {
        mote__file_close(file);
        return mote__fail_memory(err, sizeof *p, "pack");
    }
    mote_status st = mote__pack_file_open(p, file, err);
    if (st < 0) {
        free(p);
        return st;
    }
    m->backing = p;
    m->backing_close = close_backing;
    mote__layout full = {0};
    stored s = {0};
    st = mote__pack_describe(p, &m->net.config, &full, MOTE_MTP_AUTO, err);
    if (st >= 0)
        st = mote__pack_describe(p, &m->net.config, &m->layout, o->mtp, err);
    if (st >= 0)
        st = stored_open(&s, p, &full, err);
    if (st >= 0)
        st = read_generation(m, p, err);
    if (st < 0)
        goto out;
    m->mtp_modules = m->net.config.num_nextn_predict_layers;
    /* In place: not compressed, aligned in memory, and mapping not refused. */
    int can_map = !s.places && o->mapping != MOTE_MAP_OFF;
    if (p->file.data && ((uintptr_t)p->file.data + s.base) % 64 != 0)
        can_map = 0;
    if (s.places && o->mapping == MOTE_MAP_ON) {
        st = mote__fail(err, MOTE_E_UNSUPPORTED,
                "option mapping: compressed packs cannot be mapped");
        goto out;
    }
    if (can_map) {
        st = map_weights(m, p, &s, &full, err);
        if (st < 0 && o->mapping == MOTE_MAP_AUTO && st == MOTE_E_UNSUPPORTED)
            can_map = 0; /* no mapping on this system: read instead */
        else if (st < 0)
            goto out;
    }
    if (!can_map) {
        st = mote__model_allocate(m, err);
        if (st >= 0)
            st = read_units(p, &full, &s, m->arena, m->pool, o->progress,
                    o->progress_user, "load", err);
        if (st < 0)
            goto out;
    }
    /* From the checksums: no page of the weights is touched for it. */
    const mote__pack_section *forms = mote__pack_find(p, MOTE__PACK_FORMS);
    m->fingerprint =
            (mote__hash_of(s.hashes, s.units.n * sizeof *s.hashes) ^ forms->hash) | 1;
    st = mote__model_bind(m, err);
out:
    stored_free(&s);
    mote__layout_free(&full);
    return st;
}
