/* SPDX-License-Identifier: MIT */
/* mote/session.h: the calls that take options. */
#include "session/guard.h"
#include "session/session.h"

#include "api/options.h"
#include "base/status.h"

mote_status mote_session_plan(const mote_model *model,
        const mote_session_options *options, uint64_t *total_bytes, uint64_t *kv_bytes,
        mote_error *err)
{
    mote_session_options o;
    uint64_t total, kv;
    if (!model)
        return mote__fail(err, MOTE_E_INVALID, "expected a model");
    mote_status st = mote__options_take(MOTE_OPTIONS_SESSION, &o, options, err);
    if (st >= 0)
        st = mote__session_plan(model, &o, &total, &kv, err);
    if (st < 0)
        return st;
    if (total_bytes)
        *total_bytes = total;
    if (kv_bytes)
        *kv_bytes = kv;
    return MOTE_OK;
}

mote_status mote_session_open(mote_session **out, mote_model *model,
        const mote_session_options *options, mote_error *err)
{
    mote_session_options o;
    if (out)
        *out = NULL;
    if (!out || !model)
        return mote__fail(
                err, MOTE_E_INVALID, "expected a model and a place for the session");
    mote_status st = mote__options_take(MOTE_OPTIONS_SESSION, &o, options, err);
    return st < 0 ? st : mote__session_open(out, model, &o, err);
}

static mote_status generate(mote_session *session, const mote_generate_options *options,
        const mote_sampler_options *sampler, mote_error *err)
{
    mote_generate_options g;
    mote_sampler_options so;
    if (!session)
        return mote__fail(err, MOTE_E_INVALID, "expected a session");
    mote_status st = mote__options_take(MOTE_OPTIONS_GENERATE, &g, options, err);
    if (st >= 0)
        st = mote__options_take(MOTE_OPTIONS_SAMPLER, &so, sampler, err);
    return st < 0 ? st : mote__session_generate(session, &g, &so, err);
}

mote_status mote_session_generate(mote_session *session,
        const mote_generate_options *options, const mote_sampler_options *sampler,
        mote_error *err)
{
    MOTE__GUARDED(session, err, generate(session, options, sampler, err));
}

mote_status mote_session_sample(mote_session *session,
        const mote_sampler_options *sampler, int32_t *token, mote_error *err)
{
    mote_sampler_options so;
    if (!session || !token)
        return mote__fail(
                err, MOTE_E_INVALID, "expected a session and a place for the token");
    mote_status st = mote__options_take(MOTE_OPTIONS_SAMPLER, &so, sampler, err);
    if (st < 0)
        return st;
    MOTE__GUARDED(session, err, mote__session_sample(session, &so, token, err));
}
