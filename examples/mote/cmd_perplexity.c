/* SPDX-License-Identifier: MIT */
/* mote perplexity: how well a model predicts a text.
 *
 * Protocol (so that figures can be compared): the text is split on blank lines, each
 * piece stands alone as BOS + encode(piece), the negative log-likelihoods of its tokens
 * are summed (no EOS), bits per byte divides by the bytes of the pieces. A piece longer
 * than the context is cut into windows that each begin with BOS. Where a model has no
 * BOS, a piece's first token cannot be predicted and is not counted. */
#include "cli.h"
#include "json_out.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 256u /* positions computed, and their logits kept, at once */

typedef struct scorer {
    const mote_tokenizer *tokenizer;
    mote_session *session;
    float *logprobs;
    int32_t *window;
    uint32_t vocab_size, room; /* tokens of a window */
    uint64_t pieces, windows, tokens, bytes;
    double nll;
} scorer;

/* window[0] is given, the rest is predicted. */
static int score_window(scorer *s, size_t n)
{
    mote_error err;
    s->windows++;
    mote_session_reset(s->session);
    for (size_t at = 0; at + 1 < n;) {
        const size_t count = n - 1 - at < CHUNK ? n - 1 - at : CHUNK;
        if (mote_session_eval(s->session, s->window + at, count, &err) < 0)
            return cli_fail_with(&err, "computing");
        for (size_t i = at; i < at + count; i++) {
            if (mote_session_logprobs(
                        s->session, (uint32_t)i, s->logprobs, s->vocab_size, &err) < 0)
                return cli_fail_with(&err, "computing");
            s->nll -= (double)s->logprobs[s->window[i + 1]];
        }
        at += count;
    }
    s->tokens += n - 1;
    return CLI_OK;
}

static int score_piece(scorer *s, const char *text, size_t n_bytes)
{
    int32_t *tokens;
    size_t n;
    int code = cli_encode(s->tokenizer, text, n_bytes, 0, &tokens, &n);
    if (code != CLI_OK)
        return code;
    const int32_t bos = mote_tokenizer_adds_bos(s->tokenizer)
                                ? mote_tokenizer_bos(s->tokenizer)
                                : -1;
    for (size_t at = 0; at < n && code == CLI_OK;) {
        size_t filled = 0;
        if (bos >= 0)
            s->window[filled++] = bos;
        /* Without BOS the windows overlap by the token that is only given. */
        const size_t begin = bos < 0 && at ? at - 1 : at;
        const size_t rest = n - begin, room = s->room - filled;
        const size_t count = rest < room ? rest : room;
        memcpy(s->window + filled, tokens + begin, count * sizeof(*tokens));
        at = begin + count;
        code = score_window(s, filled + count);
    }
    free(tokens);
    s->pieces++;
    s->bytes += n_bytes;
    return code;
}

/* The next piece at or after *at; 0 when there is none. */
static int next_piece(const cli_buffer *text, size_t *at, size_t *begin, size_t *end)
{
    const char *d = text->data;
    while (*at < text->n && (d[*at] == '\n' || d[*at] == '\r'))
        ++*at;
    *begin = *at;
    while (*at < text->n) {
        const char *line_end = memchr(d + *at, '\n', text->n - *at);
        *at = line_end ? (size_t)(line_end - d) + 1 : text->n;
        const size_t after = *at + (*at < text->n && d[*at] == '\r');
        if (after < text->n && d[after] == '\n')
            break;
    }
    *end = *at;
    while (*end > *begin && (d[*end - 1] == '\n' || d[*end - 1] == '\r'))
        --*end;
    return *end > *begin;
}

static int score_text(scorer *s, const cli_buffer *text)
{
    size_t at = 0, begin, end;
    int code = CLI_OK;
    while (code == CLI_OK && next_piece(text, &at, &begin, &end)) {
        code = score_piece(s, text->data + begin, end - begin);
        if (cli_progress(NULL, "perplexity", at, text->n))
            code = CLI_INTERRUPTED;
    }
    cli_progress_end();
    if (code == CLI_OK && !s->tokens)
        code = cli_fail("the text has no token to predict");
    return code;
}

static void print(const scorer *s, int json)
{
    const double per_token = s->nll / (double)s->tokens;
    const double bits = s->nll / log(2.0) / (double)s->bytes;
    if (!json) {
        printf("%llu pieces, %llu bytes, %llu tokens\n"
               "nll %.6f, ppl %.6f, bits per byte %.6f\n",
                (unsigned long long)s->pieces, (unsigned long long)s->bytes,
                (unsigned long long)s->tokens, s->nll, exp(per_token), bits);
        return;
    }
    cli_json j;
    json_begin(&j, stdout, 0);
    json_open(&j, NULL, '{');
    json_unsigned(&j, "tokens", s->tokens);
    json_number(&j, "nll", s->nll);
    json_number(&j, "ppl", exp(per_token));
    json_number(&j, "bits_per_byte", bits);
    json_number(&j, "nll_per_token", per_token);
    json_unsigned(&j, "bytes", s->bytes);
    json_unsigned(&j, "pieces", s->pieces);
    json_unsigned(&j, "windows", s->windows);
    json_close(&j, '}');
}

static int run(
        const cli_model_args *args, mote_session_options *o, const char *path, int json)
{
    cli_buffer text = {0};
    mote_model *model = NULL;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    mote_error err;
    scorer s = {0};
    int code = cli_read_file(path, &text);
    if (code == CLI_OK)
        code = cli_open_model(&model, args, MOTE_MTP_OFF);
    if (code == CLI_OK && mote_model_get_info(model, &info, &err) < 0)
        code = cli_fail_with(&err, "the model");
    if (code == CLI_OK)
        code = cli_tokenizer(&s.tokenizer, model);
    o->keep_tokens = CHUNK;
    o->progress = NULL; /* one bar for the whole text */
    if (code == CLI_OK)
        code = cli_open_session(&s.session, model, o, 0, 0);
    if (code == CLI_OK) {
        s.vocab_size = info.vocab_size;
        s.room = mote_session_context_tokens(s.session);
        s.logprobs = malloc(s.vocab_size * sizeof(float));
        s.window = malloc(s.room * sizeof(int32_t));
        if (s.room < 2)
            code = cli_fail(
                    "a context of %u tokens is too small to predict anything", s.room);
        else if (!s.logprobs || !s.window)
            code = cli_fail("out of memory");
        else
            code = score_text(&s, &text);
    }
    if (code == CLI_OK)
        print(&s, json);
    free(s.logprobs);
    free(s.window);
    cli_close_session(s.session);
    mote_model_close(model);
    cli_buffer_free(&text);
    return code;
}

int cmd_perplexity(int argc, char **argv)
{
    cli_set set = {.command = "perplexity",
            .usage = "[-m MODEL] -f FILE [--json]",
            .about = "How well a model predicts a text. Pieces between blank lines are "
                     "scored alone, each after BOS; by default on the reference path "
                     "(float32 cache, exact products)."};
    cli_model_args args = {0};
    cli_session_args session = {0};
    const char *path = NULL;
    uint32_t json = 0;
    cli_add(&set, 'f', "file", CLI_TEXT, &path, "FILE", "the text; -: standard input");
    cli_add(&set, 0, "json", CLI_FLAG, &json, NULL, "as JSON");
    cli_add_model(&set, &args);
    cli_add_session(&set, &session, 0);
    const int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    if (!path)
        return cli_usage(&set, "give a text with -f FILE");
    mote_session_options *o = &session.options;
    cli_measuring(o);
    o->draft = MOTE_DRAFT_OFF;
    return run(&args, o, path, (int)json);
}
