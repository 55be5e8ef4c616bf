/* SPDX-License-Identifier: MIT */
/* mote/pack.h */
#include "mote/pack.h"

#include "api/options.h"
#include "api/texts.h"
#include "base/status.h"
#include "file/safetensors.h"
#include "model/importance.h"
#include "model/packing.h"
#include "session/session.h"
#include "text/tokenizer_map.h"

#include <stdlib.h>

/* The checkpoint's tokenizer in the form of packs; *out is NULL where there is none. */
static mote_status save_tokenizer(
        uint8_t **out, size_t *size, const mote__checkpoint *ck, mote_error *err)
{
    mote__tokenizer_texts t;
    mote_tokenizer *tokenizer = NULL;
    if (!mote__tokenizer_texts_of(&t, ck))
        return MOTE_OK;
    mote_status st = mote__tokenizer_open_texts(&tokenizer, NULL, &t, err);
    if (st >= 0)
        st = mote__tokenizer_save(tokenizer, out, size, err);
    mote_tokenizer_close(tokenizer);
    return st;
}

/* 1: `path` names the file `name` of a folder; or a negative status. */
static int is_file_of(
        const char *folder, const char *name, const char *path, mote_error *err)
{
    mote__file f;
    int is = 0;
    char *full = mote__path_join(folder, name);
    if (!full)
        return mote__fail_memory(err, 0, "a file name");
    if (mote__file_open(&f, full, NULL) >= 0)
        is = mote__file_is(&f, path);
    mote__file_close(&f);
    free(full);
    return is;
}

/* A pack must not take the place of what it is made of. */
static mote_status check_output(const mote__checkpoint *ck, const char *checkpoint,
        const char *path, mote_error *err)
{
    int is_input = mote__checkpoint_reads(ck, path);
    for (size_t i = 0; mote__checkpoint_text_names[i] && !is_input; i++)
        is_input = is_file_of(checkpoint, mote__checkpoint_text_names[i], path, err);
    if (!is_input)
        is_input = is_file_of(checkpoint, "model.safetensors.index.json", path, err);
    mote__path_text shown;
    return is_input > 0
                   ? mote__fail(err, MOTE_E_INVALID,
                             "%s is a file of the checkpoint: expected another name",
                             mote__path_shown(&shown, path))
                   : is_input;
}

mote_status mote_pack_write(const char *checkpoint, const char *path,
        const mote_pack_options *options, mote_error *err)
{
    mote_pack_options o;
    mote__checkpoint *ck = NULL;
    if (!checkpoint || !path)
        return mote__fail(err, MOTE_E_INVALID, "expected a checkpoint and a path");
    uint8_t *tokenizer = NULL;
    size_t n = 0;
    mote_status st = mote__options_take(MOTE_OPTIONS_PACK, &o, options, err);
    if (st >= 0)
        st = mote__checkpoint_open(&ck, checkpoint, MOTE_MAP_AUTO, err);
    if (st >= 0)
        st = check_output(ck, checkpoint, path, err);
    if (st >= 0)
        st = save_tokenizer(&tokenizer, &n, ck, err);
    if (st >= 0)
        st = mote__pack_checkpoint(ck, path, &o, tokenizer, n, err);
    free(tokenizer);
    mote__checkpoint_close(ck);
    return st;
}

mote_status mote_pack_verify(const char *path, mote_progress_fn progress,
        void *progress_user, mote_error *err)
{
    mote__file file;
    mote__pack_file p;
    if (!path)
        return mote__fail(err, MOTE_E_INVALID, "expected a path");
    mote_status st = mote__file_open(&file, path, err);
    if (st >= 0)
        st = mote__pack_file_open(&p, &file, err);
    if (st < 0)
        return st;
    st = mote__pack_verify(&p, progress, progress_user, err);
    mote__pack_file_close(&p);
    return st;
}

/* Passes over the text in pieces of this many tokens, each from an empty context. */
enum { CALIBRATE_TOKENS = 512 };

static mote_status observe_tokens(mote_session *s, mote__importance *im,
        const int32_t *ids, size_t n, mote_error *err)
{
    mote_session_reset(s);
    s->observe = mote__importance_observe;
    s->observe_user = im;
    mote_status st = mote_session_eval(s, ids, n, err);
    /* the MTP module sees its own inputs */
    if (st >= 0 && s->model->net.mtp && n > 1)
        st = mote__session_mtp_catch_up(s, (uint32_t)n - 1, err);
    s->observe = NULL;
    return st;
}

mote_status mote_pack_calibrate(const char *checkpoint, const char *text,
        size_t n_bytes, const char *path, mote_progress_fn progress,
        void *progress_user, mote_error *err)
{
    if (!checkpoint || !text || !path)
        return mote__fail(
                err, MOTE_E_INVALID, "expected a checkpoint, text and a path");
    mote_model *m = NULL;
    mote_session *s = NULL;
    mote__importance *im = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    mote_status st = mote_model_open(&m, checkpoint, NULL, err);
    if (st < 0)
        return st;
    so.context_tokens = m->net.config.max_position_embeddings < CALIBRATE_TOKENS
                                ? m->net.config.max_position_embeddings
                                : CALIBRATE_TOKENS;
    st = mote_session_open(&s, m, &so, err);
    if (st >= 0)
        st = mote__importance_open(&im, &m->layout, err);
    if (st >= 0 && !m->tokenizer)
        st = mote__fail(err, MOTE_E_UNSUPPORTED, "the checkpoint has no tokenizer");
    if (st >= 0)
        st = mote_tokenizer_encode(m->tokenizer, text, n_bytes, 0, NULL, 0, &n, err);
    if (st >= 0 && n == 0)
        st = mote__fail(err, MOTE_E_INVALID, "the calibration text is empty");
    if (st >= 0) {
        ids = malloc(n * sizeof *ids);
        st = ids ? mote_tokenizer_encode(
                           m->tokenizer, text, n_bytes, 0, ids, n, &n, err)
                 : mote__fail_memory(err, n * sizeof *ids, "tokens");
    }
    for (size_t at = 0; st >= 0 && at < n; at += so.context_tokens) {
        if (progress && progress(progress_user, "calibrate", at, n))
            st = mote__fail(err, MOTE_E_CANCELLED, "calibrating was cancelled");
        else
            st = observe_tokens(s, im, ids + at,
                    n - at < so.context_tokens ? n - at : so.context_tokens, err);
    }
    if (st >= 0)
        st = mote__importance_save(im, path, err);
    free(ids);
    mote__importance_close(im);
    mote_session_close(s);
    mote_model_close(m);
    return st;
}
