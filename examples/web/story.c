/* SPDX-License-Identifier: MIT */
/* What a web page calls: three functions, and a piece of text at a time, so that the
 * browser draws in between. story.html is the page. */
#include <mote/mote.h>

#include <emscripten.h>
#include <stdio.h>
#include <string.h>

static mote_model *model;
static mote_session *session;
static char text[4096];
static mote_error err;

/* The sentence about what went wrong; "" where nothing did. */
EMSCRIPTEN_KEEPALIVE const char *story_error(void)
{
    return err.status < 0 ? err.message : "";
}

/* The model lies in the page's own file system; 0, or a negative status. */
EMSCRIPTEN_KEEPALIVE int story_open(const char *path)
{
    if (mote_model_open(&model, path, NULL, &err) < 0)
        return err.status;
    return mote_session_open(&session, model, NULL, &err);
}

/* Begin a story; temperature 0 always writes the same one. */
EMSCRIPTEN_KEEPALIVE int story_begin(
        const char *prompt, double temperature, double seed, int max_tokens)
{
    static int32_t tokens[1024];
    size_t n = 0;
    mote_sampler_options sampler = MOTE_SAMPLER_OPTIONS_INIT;
    mote_generate_options options = MOTE_GENERATE_OPTIONS_INIT;
    sampler.temperature = (float)temperature;
    sampler.seed = (uint64_t)seed;
    options.max_tokens = (uint32_t)max_tokens;
    mote_status st = mote_tokenizer_encode(mote_model_tokenizer(model), prompt,
            strlen(prompt), MOTE_ENCODE_BOS, tokens, 1024, &n, &err);
    if (st >= 0)
        st = mote_session_prompt(session, tokens, n < 1024 ? n : 1024, &err);
    return st < 0 ? st : mote_session_generate(session, &options, &sampler, &err);
}

/* The next piece; NULL at the end, or where story_error() says why. */
EMSCRIPTEN_KEEPALIVE const char *story_next(void)
{
    mote_piece piece = MOTE_PIECE_INIT;
    if (mote_session_next(session, &piece, &err) != MOTE_OK)
        return NULL;
    const size_t n = piece.n_bytes < sizeof text - 1 ? piece.n_bytes : sizeof text - 1;
    memcpy(text, piece.text, n);
    text[n] = 0;
    return text;
}
