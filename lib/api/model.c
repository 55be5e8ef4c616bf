/* SPDX-License-Identifier: MIT */
/* mote/model.h: check arguments, open what holds the bytes, call down. */
#include "model/model.h"

#include "api/options.h"
#include "api/texts.h"
#include "base/status.h"
#include "model/packing.h"
#include "model/stream.h"
#include "text/tokenizer.h"
#include "text/tokenizer_map.h"

#include <stdlib.h>
#include <string.h>

static mote_status open_tokenizer(
        mote_model *m, const mote__checkpoint *ck, mote_error *err)
{
    mote__tokenizer_texts t;
    if (!mote__tokenizer_texts_of(&t, ck))
        return MOTE_OK; /* a model without text: tokens in, logits out */
    return mote__tokenizer_open_texts(&m->tokenizer, &m->memory, &t, err);
}

static mote_status pack_tokenizer(mote_model *m, mote_error *err)
{
    const mote__pack_file *p = mote__pack_of(m);
    uint8_t *tokenizer = NULL, *config = NULL, *template = NULL;
    mote__tokenizer_texts t = {0};
    size_t n;
    mote_status st = mote__pack_read(p, MOTE__PACK_TOKENIZER_MAP, &tokenizer, &n, err);
    if (st >= 0 && tokenizer) {
        st = mote__tokenizer_open_map(&m->tokenizer, &m->memory, tokenizer, n, err);
        free(tokenizer);
        /* of a newer version: the texts say the same */
        if (st != MOTE_E_MISMATCH || !mote__pack_find(p, MOTE__PACK_TOKENIZER))
            return st;
        st = MOTE_OK;
        tokenizer = NULL;
    }
    if (st >= 0)
        st = mote__pack_read(
                p, MOTE__PACK_TOKENIZER, &tokenizer, &t.tokenizer_size, err);
    if (st >= 0)
        st = mote__pack_read(
                p, MOTE__PACK_TOKENIZER_CONFIG, &config, &t.config_size, err);
    if (st >= 0)
        st = mote__pack_read(
                p, MOTE__PACK_CHAT_TEMPLATE, &template, &t.chat_template_size, err);
    t.tokenizer = (const char *)tokenizer;
    t.config = (const char *)config;
    t.chat_template = (const char *)template;
    if (st >= 0 && tokenizer)
        st = mote__tokenizer_open_texts(&m->tokenizer, &m->memory, &t, err);
    free(tokenizer);
    free(config);
    free(template);
    return st;
}

/* Takes file over. */
static mote_status open_pack(mote_model **out, mote__file *file,
        const mote_model_options *o, mote_error *err)
{
    mote_model *m = NULL;
    mote_status st = mote__model_begin(&m, o, err);
    if (st < 0) {
        mote__file_close(file);
        return st;
    }
    st = mote__pack_load(m, file, o, err);
    if (st >= 0)
        st = pack_tokenizer(m, err);
    if (st < 0) {
        mote__model_close(m);
        return st;
    }
    *out = m;
    return MOTE_OK;
}

/* Takes ck over. */
static mote_status open_checkpoint(mote_model **out, mote__checkpoint *ck,
        const mote_model_options *o, mote_error *err)
{
    mote_model *m = NULL;
    mote_status st = mote__model_begin(&m, o, err);
    if (st >= 0)
        st = open_tokenizer(m, ck, err);
    if (st >= 0)
        st = mote__model_load(m, ck, o, err);
    mote__checkpoint_close(ck); /* loading has repacked everything */
    if (st < 0) {
        mote__model_close(m);
        return st;
    }
    *out = m;
    return MOTE_OK;
}

static mote_status begin(mote_model **out, int have_source, const mote_model_options *o,
        mote_model_options *full, mote_error *err)
{
    if (out)
        *out = NULL;
    if (!out || !have_source)
        return mote__fail(err, MOTE_E_INVALID,
                "expected something to open and a place for the model");
    mote_status st = mote__options_take(MOTE_OPTIONS_MODEL, full, o, err);
    if (st >= 0)
        mote__clear(err);
    return st;
}

mote_status mote_model_open(mote_model **out, const char *path,
        const mote_model_options *options, mote_error *err)
{
    mote_model_options o;
    mote__checkpoint *ck = NULL;
    mote_status st = begin(out, path != NULL, options, &o, err);
    if (st >= 0 && mote__path_kind(path) == MOTE__PATH_FILE) {
        mote__file file;
        st = mote__file_open(&file, path, err);
        if (st >= 0 && mote__pack_is(&file))
            return open_pack(out, &file, &o, err);
        if (st >= 0)
            mote__file_close(&file);
    }
    if (st >= 0)
        st = mote__checkpoint_open(&ck, path, o.mapping, err);
    return st < 0 ? st : open_checkpoint(out, ck, &o, err);
}

mote_status mote_model_open_fd(mote_model **out, int32_t fd, uint64_t offset,
        uint64_t length, const mote_model_options *options, mote_error *err)
{
    mote_model_options o;
    mote__checkpoint *ck = NULL;
    mote_status st = begin(out, fd >= 0, options, &o, err);
    if (st >= 0) {
        mote__file file;
        st = mote__file_open_fd(&file, fd, offset, length, err);
        if (st >= 0 && mote__pack_is(&file))
            return open_pack(out, &file, &o, err);
        if (st >= 0)
            mote__file_close(&file);
    }
    if (st >= 0)
        st = mote__checkpoint_open_fd(&ck, fd, offset, length, o.mapping, err);
    return st < 0 ? st : open_checkpoint(out, ck, &o, err);
}

mote_status mote_model_open_memory(mote_model **out, const void *data, size_t size,
        const mote_model_options *options, mote_error *err)
{
    mote_model_options o;
    mote__checkpoint *ck = NULL;
    mote_status st = begin(out, data != NULL, options, &o, err);
    if (st >= 0) {
        mote__file file;
        mote__file_open_memory(&file, data, size);
        if (mote__pack_is(&file))
            return open_pack(out, &file, &o, err);
    }
    if (st >= 0)
        st = mote__checkpoint_open_memory(&ck, data, size, err);
    return st < 0 ? st : open_checkpoint(out, ck, &o, err);
}

void mote_model_close(mote_model *model)
{
    mote__model_close(model);
}

/* Hand a whole struct to a caller who may know a shorter or longer one. */
static mote_status give(void *dst, uint32_t size, const void *src, uint32_t full,
        const char *what, mote_error *err)
{
    if (size < 8 || size > 65536)
        return mote__fail(err, MOTE_E_INVALID,
                "%s: struct_size is not set (expected %u, found %u)", what, full, size);
    memcpy(dst, src, size < full ? size : full);
    if (size > full)
        memset((char *)dst + full, 0, size - full);
    memcpy(dst, &size, sizeof size);
    return MOTE_OK;
}

static uint64_t live_bytes(const mote_model *m)
{
    uint64_t n = 0;
    for (int32_t t = 0; t < MOTE_MEM_TAGS; t++)
        n += mote_model_memory(m, t);
    return n;
}

mote_status mote_model_get_info(
        const mote_model *model, mote_model_info *info, mote_error *err)
{
    if (!model || !info)
        return mote__fail(err, MOTE_E_INVALID, "expected a model and a place for info");
    mote_model_info full = {.struct_size = sizeof full};
    mote__model_describe(&full, &model->net.config, &model->layout);
    full.num_nextn_predict_layers = model->mtp_modules;
    full.default_temperature = model->default_temperature;
    full.default_top_p = model->default_top_p;
    full.bytes_mapped = model->mapped_bytes;
    full.bytes_allocated = live_bytes(model);
    full.fingerprint = model->fingerprint;
    return give(info, info->struct_size, &full, sizeof full, "mote_model_info", err);
}

mote_status mote_model_plan(const char *path, const mote_model_options *options,
        mote_model_info *info, mote_error *err)
{
    mote_model_options o;
    if (!path || !info)
        return mote__fail(err, MOTE_E_INVALID, "expected a path and a place for info");
    mote_status st = mote__options_take(MOTE_OPTIONS_MODEL, &o, options, err);
    if (st < 0)
        return st;
    mote__checkpoint *ck = NULL;
    mote__config c;
    mote__layout l = {0};
    uint32_t modules = 0;
    float temperature = 0, top_p = 0;
    uint8_t *owned = NULL;
    const char *generation = NULL;
    size_t size = 0;
    mote__pack_file pack = {0};
    mote__file_init(&pack.file);
    int is_pack = 0;
    if (mote__path_kind(path) == MOTE__PATH_FILE) {
        mote__file file;
        st = mote__file_open(&file, path, err);
        if (st < 0)
            return st;
        is_pack = mote__pack_is(&file);
        if (is_pack)
            st = mote__pack_file_open(&pack, &file, err);
        else
            mote__file_close(&file);
    }
    if (st >= 0 && is_pack) {
        st = mote__pack_describe(&pack, &c, &l, o.mtp, err);
        modules = c.num_nextn_predict_layers;
        if (st >= 0)
            st = mote__pack_read(&pack, MOTE__PACK_GENERATION, &owned, &size, err);
        generation = (const char *)owned;
    } else if (st >= 0) {
        st = mote__checkpoint_open(&ck, path, o.mapping, err);
        if (st >= 0)
            st = mote__model_configure(&c, &l, &modules, ck, o.mtp, err);
        if (st >= 0)
            generation = mote__checkpoint_text(ck, "generation_config.json", &size);
    }
    if (st >= 0 && generation)
        st = mote__generation_config_parse(&temperature, &top_p, generation, size, err);
    if (st >= 0) {
        mote_model_info full = {.struct_size = sizeof full};
        mote__model_describe(&full, &c, &l);
        full.num_nextn_predict_layers = modules;
        full.default_temperature = temperature;
        full.default_top_p = top_p;
        if (is_pack && !(pack.flags & MOTE__PACK_COMPRESSED) &&
                o.mapping < MOTE_MAP_OFF) {
            full.bytes_mapped = pack.file.size;
            full.bytes_allocated = 0;
        }
        st = give(info, info->struct_size, &full, sizeof full, "mote_model_info", err);
    }
    free(owned);
    mote__pack_file_close(&pack);
    mote__layout_free(&l);
    mote__checkpoint_close(ck);
    return st;
}

const mote_tokenizer *mote_model_tokenizer(const mote_model *model)
{
    return model ? model->tokenizer : NULL;
}

const char *mote_model_isa(const mote_model *model)
{
    return model ? model->net.k.name : "";
}

uint32_t mote_model_threads(const mote_model *model)
{
    return model ? mote__pool_threads(model->pool) : 0;
}

uint64_t mote_model_memory(const mote_model *model, int32_t tag)
{
    if (!model || tag < 0 || tag >= MOTE_MEM_TAGS)
        return 0;
    return atomic_load_explicit(&model->memory.bytes[tag], memory_order_relaxed);
}

mote_status mote_model_stream_stats(
        const mote_model *model, mote_stream_stats *stats, mote_error *err)
{
    if (!model || !stats)
        return mote__fail(
                err, MOTE_E_INVALID, "expected a model and a place for stats");
    mote_stream_stats full = {0};
    if (model->stream)
        mote__stream_stats(model->stream, &full);
    full.struct_size = sizeof full;
    full.bytes_resident =
            model->stream ? model->resident_bytes : model->layout.arena_bytes;
    return give(
            stats, stats->struct_size, &full, sizeof full, "mote_stream_stats", err);
}
