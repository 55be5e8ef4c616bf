/* SPDX-License-Identifier: MIT */
/* Opening packs: mapped and used in place where that is possible, else read (and
 * expanded) into an arena. */
#include "model/packing.h"

#include "base/hash.h"
#include "base/status.h"
#include "model/stream.h"
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
    /* Before a list of slots is made: each takes a byte of the file here. */
    uint64_t slots = 3;
    for (uint32_t i = 0; i < c->num_hidden_layers + head[1]; i++)
        slots += i >= c->num_hidden_layers || mote__config_is_moe(c, i)
                         ? 3 * (uint64_t)c->n_routed_experts
                         : 3;
    if (slots > head[0]) {
        st = mote__fail(err, MOTE_E_FORMAT,
                "the pack's weights do not fit its configuration: expected at least "
                "%llu, found %u",
                (unsigned long long)slots, head[0]);
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
        uint32_t code = forms[sizeof head + i];
        uint32_t form = code == MOTE__CODE_I4 ? MOTE_K_I4 : code;
        int rows = form == MOTE__FORM_ROWS_F32 || form == MOTE__FORM_ROWS_BF16;
        int fits = s->role == MOTE__ROLE_EMBED ? rows
                   : s->form < MOTE_K_TYPES    ? form < MOTE_K_TYPES
                                               : form == s->form;
        if (code == MOTE__CODE_I4_FLOAT_SCALES)
            st = mote__fail(err, MOTE_E_UNSUPPORTED,
                    "weight %zu (%s) of the pack is int4 with float scales, which were "
                    "given up before version 0.1.0: pack the checkpoint again",
                    i, mote__role_name(s->role));
        else if (!fits)
            st = mote__fail(err, MOTE_E_FORMAT,
                    "weight %zu (%s) of the pack has an impossible form %u", i,
                    mote__role_name(s->role), code);
        s->form = form;
    }
    if (st >= 0)
        st = mote__layout_place(l, err);
    /* Leaving the module out only drops its slots at the end: offsets stay. */
    if (st >= 0 && mtp == MOTE_MTP_OFF && l->mtp) {
        while (l->n_slots && l->slots[l->n_slots - 1].layer == c->num_hidden_layers)
            l->n_slots--;
        const mote__slot *last = &l->slots[l->n_slots - 1];
        uint64_t end = last->scale_bytes ? last->scale_offset + last->scale_bytes
                                         : last->offset + last->n_bytes;
        l->arena_bytes =
                (end + MOTE__PACK_PAGE - 1) / MOTE__PACK_PAGE * MOTE__PACK_PAGE;
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
    memset(s, 0, sizeof *s);
}

/* l must be the full layout of the pack (MTP included). */
static mote_status stored_open(
        stored *s, const mote__pack_file *p, const mote__layout *l, mote_error *err)
{
    memset(s, 0, sizeof *s);
    const mote__pack_section *w = mote__pack_find(p, MOTE__PACK_WEIGHTS);
    int compressed = (p->flags & MOTE__PACK_COMPRESSED) != 0;
    uint8_t *data;
    size_t n;
    if (!w || w->offset % MOTE__PACK_PAGE != 0)
        return mote__fail(
                err, MOTE_E_FORMAT, "the pack has no weights, or not on a page");
    if (!compressed && w->n_bytes != l->arena_bytes)
        return mote__fail(err, MOTE_E_FORMAT,
                "the pack's weights: expected %llu bytes, found %llu",
                (unsigned long long)l->arena_bytes, (unsigned long long)w->n_bytes);
    s->base = w->offset;
    mote_status st = mote__pack_read(p, MOTE__PACK_HASHES, &data, &n, err);
    if (st < 0)
        goto out;
    s->hashes = (uint64_t *)(void *)data;
    if (data)
        st = mote__units_of(&s->units, l, n / 8, err);
    if (st < 0)
        goto out;
    if (!data || n != s->units.n * 8) {
        st = mote__fail(
                err, MOTE_E_FORMAT, "the pack's checksums are missing or cut off");
        goto out;
    }
    if (!compressed)
        goto out;
    st = mote__pack_read(p, MOTE__PACK_UNITS, &data, &n, err);
    if (st < 0)
        goto out;
    s->places = (uint64_t *)(void *)data;
    if (!data || n != s->units.n * 16) {
        st = mote__fail(
                err, MOTE_E_FORMAT, "the pack's list of units is missing or cut off");
        goto out;
    }
    uint64_t at = 0; /* where the unit before ends */
    for (size_t i = 0; i < s->units.n; i++) {
        uint64_t offset = s->places[2 * i], bytes = s->places[2 * i + 1];
        if (offset != (at + 63) / 64 * 64 || offset > w->n_bytes ||
                bytes > w->n_bytes - offset ||
                bytes > mote__unit_bound((size_t)s->units.units[i].n_bytes)) {
            st = mote__fail(err, MOTE_E_FORMAT,
                    "unit %zu of the pack does not lie where it should", i);
            goto out;
        }
        at = offset + bytes;
    }
    if (at != w->n_bytes)
        st = mote__fail(err, MOTE_E_FORMAT,
                "the pack's compressed weights: expected %llu bytes, found %llu",
                (unsigned long long)at, (unsigned long long)w->n_bytes);
out:
    if (st < 0)
        stored_free(s);
    return st;
}

/* Padding in front of a unit (index n: behind the last) is not in any checksum. */
static mote_status check_padding(const mote__pack_file *p, const stored *s, size_t i,
        uint64_t arena_bytes, mote_error *err)
{
    const mote__unit *u = s->units.units;
    const uint64_t *at = s->places;
    uint64_t from = 0, to = arena_bytes;
    if (i > 0)
        from = at ? at[2 * i - 2] + at[2 * i - 1] : u[i - 1].offset + u[i - 1].n_bytes;
    if (i < s->units.n)
        to = at ? at[2 * i] : u[i].offset;
    else if (at)
        to = from;
    return mote__pack_check_gap(p, s->base + from, s->base + to, err);
}

#define SKIP UINT64_MAX

typedef struct read_job {
    const mote__pack_file *p;
    const mote__layout *l;
    const stored *s;
    uint8_t *arena;     /* NULL: check only */
    const uint64_t *to; /* offset in the arena by unit, SKIP: not read; NULL: as in l */
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
    size_t n = (size_t)(place ? place[1] : u->n_bytes),
           n_work = mote__unit_work((size_t)u->n_bytes);
    uint8_t *raw = j->arena ? j->arena + (j->to ? j->to[i] : u->offset) : NULL;
    uint8_t *dst = place || !raw ? frame : raw;
    uint8_t *expanded = raw ? raw : work ? work + n_work : NULL;
    mote_status st = MOTE_OK;
    if (!j->arena)
        st = check_padding(j->p, j->s, i, j->l->arena_bytes, err);
    if (st >= 0)
        st = mote__file_read(&j->p->file, at, n, dst, err);
    if (st >= 0 && mote__hash_of(dst, n) != j->s->hashes[i])
        st = mote__fail(err, MOTE_E_FORMAT,
                "the pack is damaged: %s weights of layer %u do not match their "
                "checksum",
                mote__role_name(j->l->slots[u->slot].role), j->l->slots[u->slot].layer);
    if (st >= 0 && place)
        st = mote__unit_expand(expanded, frame, n, u, j->l, work, err);
    return st < 0 ? st : mote__unit_check(place ? expanded : dst, u, j->l, err);
}

static void read_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    read_job *j = arg;
    (void)worker;
    mote_error err;
    for (uint32_t i = begin; i < end && !atomic_load(&j->failed); i++) {
        size_t unit = j->base + i, n = (size_t)j->s->units.units[unit].n_bytes;
        if (j->to && j->to[unit] == SKIP)
            continue;
        int packed = j->s->places != NULL;
        uint8_t *frame = NULL, *work = NULL;
        if (packed || !j->arena)
            frame = malloc(mote__unit_bound(n));
        /* what is only checked is expanded behind the work */
        if (packed)
            work = malloc(mote__unit_work(n) + (j->arena ? 1 : n + 1));
        mote_status st = MOTE_OK;
        if (((packed || !j->arena) && !frame) || (packed && !work))
            st = mote__fail_memory(&err, n, "reading weights");
        else
            st = read_unit(j, unit, frame, work, &err);
        free(frame);
        free(work);
        if (st < 0 && !atomic_flag_test_and_set(&j->error_taken)) {
            j->error = err;
            atomic_store(&j->failed, 1);
        }
    }
}

/* The first n_units units. arena NULL: check them, and the padding between them. l is
 * the layout of the whole pack. */
static mote_status read_units(const mote__pack_file *p, const mote__layout *l,
        const stored *s, size_t n_units, uint8_t *arena, const uint64_t *to,
        mote__pool *pool, mote_progress_fn progress, void *user, const char *stage,
        mote_error *err)
{
    read_job j = {.p = p,
            .l = l,
            .s = s,
            .arena = arena,
            .to = to,
            .error_taken = ATOMIC_FLAG_INIT};
    atomic_init(&j.failed, 0);
    enum { STEP = 32 };
    for (size_t i = 0; i < n_units; i += STEP) {
        size_t n = n_units - i < STEP ? n_units - i : STEP;
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
    if (!arena && n_units == s->units.n) {
        mote_status st = check_padding(p, s, n_units, l->arena_bytes, err);
        if (st < 0)
            return st;
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
            st = read_units(p, &l, &s, s.units.n, NULL, NULL, pool, progress, user,
                    "verify", err);
        mote__pool_close(pool);
        stored_free(&s);
    }
    mote__layout_free(&l);
    return st;
}

/* What an open pack keeps until the model closes. */
typedef struct backing {
    mote__pack_file pack;
    mote__layout full; /* of the whole pack: streamed units refer to it */
    stored s;
    mote__file direct;
} backing;

static void close_backing(void *arg)
{
    backing *b = arg;
    stored_free(&b->s);
    mote__layout_free(&b->full);
    mote__file_close(&b->direct);
    mote__pack_file_close(&b->pack);
    free(b);
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

/* Use the file's pages (or the caller's memory) themselves. */
static mote_status map_weights(mote_model *m, mote__pack_file *p, const stored *s,
        const mote__layout *full, mote_error *err)
{
    if (full->arena_bytes <= CHECK_MAX) {
        mote_status st = read_units(
                p, full, s, s->units.n, NULL, NULL, m->pool, NULL, NULL, "load", err);
        if (st < 0)
            return st;
    }
    m->arena = (uint8_t *)(uintptr_t)(p->file.data + s->base);
    m->arena_size = 0;
    m->mapped_bytes = p->file.map ? p->file.size : 0;
    m->mapped = p->file.map ? &p->file : NULL;
    return MOTE_OK;
}

/* Read resident units into a compact arena, of `slots`: the model's without experts. */
static mote_status read_resident(mote_model *m, const backing *b,
        const mote__slot *slots, size_t n_slots, const mote_model_options *o,
        mote_error *err)
{
    size_t n = b->s.units.n,
           at = 0; /* slot in `slots` that corresponds to the unit's */
    uint64_t *to = malloc(n * sizeof *to);
    if (!to)
        return mote__fail_memory(err, n * sizeof *to, "reading weights");
    for (size_t i = 0; i < n; i++) {
        const mote__unit *u = &b->s.units.units[i];
        const mote__slot *from = &b->full.slots[u->slot];
        to[i] = SKIP; /* an expert, or the MTP module that was left out */
        if (u->n_slots == 3)
            continue;
        while (at < n_slots &&
                (slots[at].role != from->role || slots[at].layer != from->layer))
            at++;
        /* within its slot, a unit lies where it lies in the whole arena */
        if (at < n_slots)
            to[i] = slots[at].offset + (u->offset - from->offset);
    }
    mote_status st = read_units(&b->pack, &b->full, &b->s, n, m->arena, to, m->pool,
            o->progress, o->progress_user, "load", err);
    free(to);
    return st;
}

/* Everything but routed experts in memory; those through a cache of what is left of the
 * budget. */
static mote_status open_stream(
        mote_model *m, backing *b, const mote_model_options *o, mote_error *err)
{
    const mote__config *c = &m->net.config;
    mote__layout resident = m->layout;
    resident.capacity = resident.n_slots;
    resident.slots = malloc(resident.n_slots * sizeof *resident.slots);
    if (!resident.slots)
        return mote__fail_memory(
                err, resident.n_slots * sizeof *resident.slots, "layout");
    resident.n_slots = 0;
    for (size_t i = 0; i < m->layout.n_slots; i++)
        if (m->layout.slots[i].role < MOTE__ROLE_EXPERT_GATE)
            resident.slots[resident.n_slots++] = m->layout.slots[i];
    mote_status st = mote__layout_place(&resident, err);
    uint64_t expert = mote__stream_expert_bytes(&b->s.units);
    /* beside both: the model itself, and the bound layers */
    uint64_t overhead =
            mote__stream_overhead(
                    &b->s.units, b->s.places, b->full.n_layers, c->n_routed_experts) +
            (64u << 10) +
            b->full.n_layers *
                    (sizeof(mote__layer) + c->n_routed_experts * sizeof(mote__expert));
    uint64_t least = resident.arena_bytes + overhead + c->num_experts_per_tok * expert;
    if (st >= 0 && o->memory_bytes < least)
        st = mote__fail(err, MOTE_E_BUDGET,
                "option memory_bytes: expected at least %llu (what must stay, and the "
                "experts of one token), found %llu",
                (unsigned long long)least, (unsigned long long)o->memory_bytes);
    if (st < 0)
        goto out;
    m->resident_bytes = resident.arena_bytes;
    mote__layout whole = m->layout; /* info describes the whole model */
    m->layout.arena_bytes = resident.arena_bytes;
    st = mote__model_allocate(m, err);
    m->layout = whole;
    if (st >= 0)
        st = read_resident(m, b, resident.slots, resident.n_slots, o, err);
    if (st < 0)
        goto out;
    if (o->mapping == MOTE_MAP_DIRECT && !b->s.places)
        (void)mote__file_open_direct(&b->direct, &b->pack.file, NULL);
    mote__stream_setup setup = {.pack = &b->pack,
            .layout = &b->full,
            .units = &b->s.units,
            .hashes = b->s.hashes,
            .places = b->s.places,
            .base = b->s.base,
            .cache_bytes = o->memory_bytes - resident.arena_bytes - overhead,
            .n_experts = c->n_routed_experts,
            .experts_per_token = c->num_experts_per_tok,
            .reading = o->reading,
            .direct = b->direct.handle >= 0 ? &b->direct : NULL};
    st = mote__stream_open(&m->stream, &setup, &m->memory, err);
    if (st < 0)
        goto out;
    m->net.source = mote__stream_source(m->stream);
    m->layout = resident;
    st = mote__model_bind(m, err);
    m->layout = whole;
out:
    free(resident.slots);
    return st;
}

/* In place where that is possible, else read. */
static mote_status open_whole(
        mote_model *m, backing *b, const mote_model_options *o, mote_error *err)
{
    mote__pack_file *p = &b->pack;
    /* Kernels read whole cache lines: an asset in the middle of another file may begin
     * anywhere. Mappings begin on pages. */
    uint64_t start = p->file.data ? (uintptr_t)p->file.data : p->file.base;
    int aligned = (start + b->s.base) % 64 == 0;
    if (o->mapping == MOTE_MAP_ON && (b->s.places || !aligned))
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                b->s.places ? "option mapping: compressed packs cannot be mapped"
                            : "option mapping: the pack does not begin at a multiple "
                              "of 64 bytes");
    mote_status st = MOTE_OK;
    if (!b->s.places && aligned && o->mapping < MOTE_MAP_OFF) {
        st = mote__file_map(&p->file, err);
        if (st >= 0) {
            st = map_weights(m, p, &b->s, &b->full, err);
            return st < 0 ? st : mote__model_bind(m, err);
        }
        if (o->mapping == MOTE_MAP_ON)
            return st;
    }
    /* Units of an MTP module that is left out lie at the end. */
    size_t n = b->s.units.n;
    while (n && b->s.units.units[n - 1].slot >= m->layout.n_slots)
        n--;
    st = mote__model_allocate(m, err);
    if (st >= 0)
        st = read_units(p, &b->full, &b->s, n, m->arena, NULL, m->pool, o->progress,
                o->progress_user, "load", err);
    return st < 0 ? st : mote__model_bind(m, err);
}

mote_status mote__pack_load(
        mote_model *m, mote__file *file, const mote_model_options *o, mote_error *err)
{
    backing *b = calloc(1, sizeof *b);
    if (!b) {
        mote__file_close(file);
        return mote__fail_memory(err, sizeof *b, "pack");
    }
    mote__file_init(&b->direct);
    mote_status st = mote__pack_file_open(&b->pack, file, err);
    if (st < 0) {
        free(b);
        return st;
    }
    m->backing = b;
    m->backing_close = close_backing;
    const mote__pack_file *p = &b->pack;
    st = mote__pack_describe(p, &m->net.config, &b->full, MOTE_MTP_AUTO, err);
    if (st >= 0)
        st = mote__pack_describe(p, &m->net.config, &m->layout, o->mtp, err);
    if (st >= 0)
        st = stored_open(&b->s, p, &b->full, err);
    if (st >= 0)
        st = read_generation(m, p, err);
    if (st < 0)
        return st;
    m->mtp_modules = m->net.config.num_nextn_predict_layers;
    /* From the checksums: no page of the weights is touched for it. */
    const mote__pack_section *forms = mote__pack_find(p, MOTE__PACK_FORMS);
    m->fingerprint = (mote__hash_of(b->s.hashes, b->s.units.n * sizeof *b->s.hashes) ^
                             forms->hash) |
                     1;
    if (o->memory_bytes && m->layout.arena_bytes > o->memory_bytes)
        return open_stream(m, b, o, err);
    return open_whole(m, b, o, err);
}

const mote__pack_file *mote__pack_of(const mote_model *m)
{
    return &((const backing *)m->backing)->pack;
}
