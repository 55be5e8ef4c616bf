/* SPDX-License-Identifier: MIT */
/* mote/experimental.h: models made of random numbers, and looks inside. */
#include "mote/experimental.h"

#include "mote/pack.h"

#include "api/options.h"
#include "base/status.h"
#include "model/load.h"
#include "model/packing.h"
#include "session/session.h"

#include <string.h>

const char *mote_x_preset(uint32_t index)
{
    return mote__preset_name(index);
}

static const uint32_t types[] = {[MOTE_TYPE_KEEP] = MOTE_K_E4M3,
        [MOTE_TYPE_BF16] = MOTE_K_BF16,
        [MOTE_TYPE_FP8] = MOTE_K_E4M3,
        [MOTE_TYPE_INT8] = MOTE_K_I8,
        [MOTE_TYPE_INT4] = MOTE_K_I4,
        [MOTE_TYPE_INT4_ALL] = MOTE_K_I4};

/* A preset cut to n_layers, and the kinds of its weights: int4 keeps everything but
 * routed experts at 8 bits, as packs do. */
static mote_status shape(mote__config *c, uint32_t *dense, uint32_t *expert,
        const char *preset, uint32_t n_layers, uint32_t type, mote_error *err)
{
    if (type >= sizeof types / sizeof *types)
        return mote__fail(
                err, MOTE_E_INVALID, "type: expected MOTE_TYPE_..., found %u", type);
    if (!mote__preset(c, preset))
        return mote__fail(
                err, MOTE_E_NOT_FOUND, "no preset is named \"%.40s\"", preset);
    if (n_layers > c->num_hidden_layers)
        return mote__fail(err, MOTE_E_INVALID, "layers: expected at most %u, found %u",
                c->num_hidden_layers, n_layers);
    if (n_layers)
        c->num_hidden_layers = n_layers;
    if (c->first_k_dense_replace > c->num_hidden_layers)
        c->first_k_dense_replace = c->num_hidden_layers;
    *expert = types[type];
    *dense = type == MOTE_TYPE_INT4 ? MOTE_K_I8 : *expert;
    return MOTE_OK;
}

mote_status mote_x_model_synthesize(mote_model **out, const char *preset,
        uint32_t n_layers, uint32_t type, uint64_t seed,
        const mote_model_options *options, mote_error *err)
{
    mote_model_options o;
    mote_model *m = NULL;
    uint32_t dense = 0, expert = 0;
    if (out)
        *out = NULL;
    if (!out || !preset)
        return mote__fail(
                err, MOTE_E_INVALID, "expected a preset and a place for the model");
    mote_status st = mote__options_take(MOTE_OPTIONS_MODEL, &o, options, err);
    if (st >= 0)
        st = mote__model_begin(&m, &o, err);
    if (st < 0)
        return st;
    mote__config *c = &m->net.config;
    st = shape(c, &dense, &expert, preset, n_layers, type, err);
    /* Asked for, a preset has a draft module even where the published model has none.
     */
    if (st >= 0 && o.mtp == MOTE_MTP_ON && !c->num_nextn_predict_layers)
        c->num_nextn_predict_layers = 1;
    m->mtp_modules = c->num_nextn_predict_layers;
    if (st >= 0)
        st = mote__layout_from_config(&m->layout, c, dense, expert,
                m->mtp_modules && o.mtp != MOTE_MTP_OFF, err);
    if (st >= 0)
        st = mote__model_allocate(m, err);
    if (st >= 0) {
        mote__load_random(m->arena, &m->layout, m->pool, seed);
        st = mote__model_bind(m, err);
    }
    if (st < 0)
        mote__model_close(m);
    else
        *out = m;
    return st;
}

mote_status mote_x_pack_synthesize(const char *preset, uint32_t n_layers, uint32_t type,
        uint64_t seed, const char *path, mote_progress_fn progress, void *progress_user,
        mote_error *err)
{
    mote__config c;
    uint32_t dense = 0, expert = 0;
    if (!preset || !path)
        return mote__fail(err, MOTE_E_INVALID, "expected a preset and a path");
    mote_status st = shape(&c, &dense, &expert, preset, n_layers, type, err);
    return st < 0 ? st
                  : mote__pack_random(&c, path, dense, expert, seed, progress,
                            progress_user, err);
}

uint64_t mote_x_allocations(const mote_model *model)
{
    return model ? atomic_load_explicit(&model->memory.n_allocs, memory_order_relaxed)
                 : 0;
}

static size_t tap_floats(const mote_model *m, uint32_t tap, size_t n)
{
    const mote__config *c = &m->net.config;
    size_t moe = 0, layers = c->num_hidden_layers;
    for (uint32_t i = 0; i < layers; i++)
        moe += m->net.layers[i].router != NULL;
    switch (tap) {
    case MOTE_X_TAP_HIDDEN:
        return (1 + layers) * n * c->hidden_size;
    case MOTE_X_TAP_NORM:
        return n * c->hidden_size;
    case MOTE_X_TAP_KV_C:
        return layers * n * c->kv_lora_rank;
    case MOTE_X_TAP_K_PE:
        return layers * n * c->qk_rope_head_dim;
    case MOTE_X_TAP_SCORES:
        return moe * n * c->n_routed_experts;
    case MOTE_X_TAP_TOPK:
    case MOTE_X_TAP_WEIGHTS:
        return moe * n * c->num_experts_per_tok;
    default:
        return 0;
    }
}

mote_status mote_x_session_tap(mote_session *s, const int32_t *tokens, size_t n_tokens,
        uint32_t tap, float *out, size_t capacity, size_t *length, mote_error *err)
{
    if (!s || !tokens || !n_tokens || !length || tap > MOTE_X_TAP_WEIGHTS)
        return mote__fail(err, MOTE_E_INVALID, "expected a session, tokens and a tap");
    if (n_tokens > s->context)
        return mote__fail(err, MOTE_E_CONTEXT_FULL,
                "the context holds %u tokens, found %zu", s->context, n_tokens);
    for (size_t i = 0; i < n_tokens; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= s->model->net.config.vocab_size)
            return mote__fail(err, MOTE_E_INVALID, "token %zu is out of range", i);
    *length = tap_floats(s->model, tap, n_tokens);
    if (capacity < *length)
        return MOTE_OK;
    /* The cache's two parts come together: the unwanted one goes to a spare place. */
    size_t spare = tap == MOTE_X_TAP_KV_C
                           ? tap_floats(s->model, MOTE_X_TAP_K_PE, n_tokens)
                           : tap_floats(s->model, MOTE_X_TAP_KV_C, n_tokens);
    float *other = NULL;
    mote__taps t = {.n_total = (uint32_t)n_tokens};
    switch (tap) {
    case MOTE_X_TAP_HIDDEN:
        t.hidden = out;
        break;
    case MOTE_X_TAP_NORM:
        t.norm = out;
        break;
    case MOTE_X_TAP_SCORES:
        t.scores = out;
        break;
    case MOTE_X_TAP_TOPK:
        t.topk = out;
        break;
    case MOTE_X_TAP_WEIGHTS:
        t.weights = out;
        break;
    default:
        other = mote__alloc(&s->model->memory, MOTE_MEM_SCRATCH, spare * sizeof *other);
        if (!other)
            return mote__fail_memory(err, spare * sizeof *other, "tap");
        t.kv_c = tap == MOTE_X_TAP_KV_C ? out : other;
        t.k_pe = tap == MOTE_X_TAP_KV_C ? other : out;
        break;
    }
    mote_session_reset(s);
    memcpy(s->tokens, tokens, n_tokens * sizeof *tokens);
    s->n_tokens = (uint32_t)n_tokens;
    s->taps = &t;
    mote_status st = mote__session_compute(s, s->n_tokens, 0, err);
    s->taps = NULL;
    if (st < 0)
        mote_session_reset(s);
    mote__free(&s->model->memory, MOTE_MEM_SCRATCH, other, spare * sizeof *other);
    return st;
}

void mote_x_session_force_acceptance(mote_session *session, float probability)
{
    if (session)
        session->force_acceptance = probability;
}

uint64_t mote_x_session_weight_bytes(const mote_session *session)
{
    return session ? mote__work_weight_bytes(session->work) : 0;
}
