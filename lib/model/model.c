/* SPDX-License-Identifier: MIT */
#include "model/model.h"

#include "base/cpu.h"
#include "base/status.h"
#include "model/load.h"
#include "model/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mote_status mote__model_begin(
        mote_model **out, const mote_model_options *o, mote_error *err)
{
    *out = NULL;
    uint32_t flags = mote__cpu_flags();
    if (o->isa) {
        uint32_t want = mote__kernels_flags(o->isa);
        if (want == UINT32_MAX)
            return mote__fail(err, MOTE_E_UNSUPPORTED,
                    "option isa: this build has no variant %.40s", o->isa);
        if (want & ~flags)
            return mote__fail(err, MOTE_E_UNSUPPORTED,
                    "option isa: this CPU cannot run %.40s", o->isa);
        flags = want;
    }
    if ((o->alloc == NULL) != (o->free == NULL))
        return mote__fail(err, MOTE_E_INVALID,
                "options alloc and free: expected both or neither");
    mote__memory first;
    mote__memory_init(&first, o->alloc, o->free, o->alloc_user);
    mote_model *m = mote__calloc(&first, MOTE_MEM_OTHER, 1, sizeof *m);
    if (!m)
        return mote__fail_memory(err, sizeof *m, "model");
    mote__memory_init(&m->memory, o->alloc, o->free, o->alloc_user);
    atomic_fetch_add(&m->memory.bytes[MOTE_MEM_OTHER], sizeof *m);
    m->log = o->log;
    m->log_user = o->log_user;
    mote__kernels_init(&m->net.k, flags);
    mote_status st = mote__pool_open(
            &m->pool, &m->memory, o->n_threads, o->parallel, o->parallel_user, err);
    if (st < 0) {
        mote__model_close(m);
        return st;
    }
    if (mote__pool_threads(m->pool) == 1 && m->net.k.alone)
        m->net.k.alone(&m->net.k);
    *out = m;
    return MOTE_OK;
}

mote_status mote__model_allocate(mote_model *m, mote_error *err)
{
    uint64_t n = m->layout.arena_bytes;
    m->arena = n > SIZE_MAX / 2 ? NULL
                                : mote__alloc(&m->memory, MOTE_MEM_WEIGHTS, (size_t)n);
    if (!m->arena)
        return mote__fail(err, MOTE_E_MEMORY,
                "out of memory: the weights need %llu bytes", (unsigned long long)n);
    m->arena_size = n;
    mote__advise_huge(m->arena, (size_t)n);
    return MOTE_OK;
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* Shape, and 64 bytes of every slot: enough to tell models apart, cheap for any size.
 */
static uint64_t fingerprint(const mote_model *m)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < m->layout.n_slots; i++) {
        const mote__slot *s = &m->layout.slots[i];
        uint32_t shape[] = {
                s->role, s->layer, s->expert, s->form, s->n_rows, s->n_cols};
        h = hash_bytes(h, shape, sizeof shape);
        /* experts may not be in memory: their shapes count, the rest is sampled */
        if (s->role < MOTE__ROLE_EXPERT_GATE)
            h = hash_bytes(
                    h, m->arena + s->offset, s->n_bytes < 64 ? (size_t)s->n_bytes : 64);
    }
    const mote__config *c = &m->net.config;
    h = hash_bytes(h, &c->rope_theta, sizeof c->rope_theta);
    h = hash_bytes(h, &c->rope_factor, sizeof c->rope_factor);
    return hash_bytes(h, &c->routed_scaling_factor, sizeof c->routed_scaling_factor);
}

mote_status mote__model_bind(mote_model *m, mote_error *err)
{
    mote_status st = mote__net_bind(&m->net, &m->layout, m->arena, &m->memory, err);
    if (st >= 0 && !m->fingerprint)
        m->fingerprint = fingerprint(m);
    return st;
}

mote_status mote__model_configure(mote__config *c, mote__layout *l,
        uint32_t *mtp_modules, const mote__checkpoint *ck, uint32_t mtp,
        mote_error *err)
{
    size_t size;
    const char *text = mote__checkpoint_text(ck, "config.json", &size);
    if (!text)
        return mote__fail(err, MOTE_E_NOT_FOUND, "config.json is missing");
    mote_status st = mote__config_parse(c, text, size, err);
    if (st < 0)
        return st;
    *mtp_modules = c->num_nextn_predict_layers;
    if (mtp == MOTE_MTP_ON && !*mtp_modules)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "option mtp: expected a checkpoint with an MTP module, "
                "num_nextn_predict_layers is 0");
    /* Some releases keep the field in config.json but leave the module out. */
    char name[64];
    snprintf(name, sizeof name, "model.layers.%u.eh_proj.weight", c->num_hidden_layers);
    if (*mtp_modules && mtp != MOTE_MTP_ON && !mote__checkpoint_find(ck, name))
        mtp = MOTE_MTP_OFF;
    uint32_t load = *mtp_modules && mtp != MOTE_MTP_OFF;
    return mote__layout_from_checkpoint(l, c, ck, load, err);
}

mote_status mote__model_load(mote_model *m, const mote__checkpoint *ck,
        const mote_model_options *o, mote_error *err)
{
    mote_status st = mote__model_configure(
            &m->net.config, &m->layout, &m->mtp_modules, ck, o->mtp, err);
    if (st < 0)
        return st;
    size_t size;
    const char *text = mote__checkpoint_text(ck, "generation_config.json", &size);
    if (text) {
        st = mote__generation_config_parse(
                &m->default_temperature, &m->default_top_p, text, size, err);
        if (st < 0)
            return st;
    }
    if (o->memory_bytes && m->layout.arena_bytes > o->memory_bytes)
        return mote__fail(err, MOTE_E_BUDGET,
                "option memory_bytes: the weights need %llu bytes, found %llu; a pack "
                "can "
                "run in less",
                (unsigned long long)m->layout.arena_bytes,
                (unsigned long long)o->memory_bytes);
    st = mote__model_allocate(m, err);
    if (st >= 0)
        st = mote__load(
                m->arena, &m->layout, ck, m->pool, o->progress, o->progress_user, err);
    if (st >= 0)
        st = mote__model_bind(m, err);
    return st;
}

mote_status mote__model_intact(const mote_model *m, mote_error *err)
{
    return m->mapped ? mote__file_unchanged(m->mapped, err) : MOTE_OK;
}

void mote__model_close(mote_model *m)
{
    if (!m)
        return;
    mote__pool_close(m->pool);
    mote__stream_close(m->stream);
    mote__net_free(&m->net, &m->memory);
    mote__layout_free(&m->layout);
    mote__free(&m->memory, MOTE_MEM_OTHER, m->probe, m->probe_size);
    if (m->arena_size)
        mote__free(&m->memory, MOTE_MEM_WEIGHTS, m->arena, (size_t)m->arena_size);
    if (m->backing_close)
        m->backing_close(m->backing);
    mote_tokenizer_close(m->tokenizer);
    mote__memory last = {
            .alloc = m->memory.alloc, .free = m->memory.free, .user = m->memory.user};
    mote__free(&last, MOTE_MEM_OTHER, m, sizeof *m);
}
