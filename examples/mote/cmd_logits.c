/* SPDX-License-Identifier: MIT */
/* mote logits: the logits of every position, as raw little-endian float32 rows. */
#include "cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Positions computed at once; their logits are written before the next ones come, so
 * that memory does not grow with the text. */
#define CHUNK 256u

typedef struct rows {
    FILE *file;
    mote_session *session;
    uint32_t vocab_size;
    int mtp;
    float *logits;
    unsigned char *bytes;
} rows;

static int write_row(rows *r, uint32_t position)
{
    mote_error err;
    const mote_status st = r->mtp ? mote_session_mtp_logits(r->session, position,
                                            r->logits, r->vocab_size, &err)
                                  : mote_session_logits(r->session, position, r->logits,
                                            r->vocab_size, &err);
    if (st < 0)
        return cli_fail_with(&err, "logits");
    for (size_t i = 0; i < r->vocab_size; i++) {
        uint32_t bits;
        memcpy(&bits, &r->logits[i], sizeof(bits));
        for (size_t b = 0; b < 4; b++)
            r->bytes[i * 4 + b] = (unsigned char)(bits >> (8 * b));
    }
    if (fwrite(r->bytes, 4, r->vocab_size, r->file) != r->vocab_size)
        return cli_fail("the logits cannot be written: %s", strerror(errno));
    return CLI_OK;
}

static int write_all(rows *r, const int32_t *tokens, size_t n)
{
    mote_error err;
    uint32_t next = 0; /* row to write */
    for (size_t at = 0; at < n;) {
        const size_t count = n - at < CHUNK ? n - at : CHUNK;
        if (mote_session_eval(r->session, tokens + at, count, &err) < 0)
            return cli_fail_with(&err, "computing");
        at += count;
        /* The MTP head needs the token after its position. */
        for (; next < at - (r->mtp ? 1 : 0); next++) {
            const int code = write_row(r, next);
            if (code != CLI_OK)
                return code;
        }
    }
    return CLI_OK;
}

static int compute(mote_model *model, mote_session_options *o, const int32_t *tokens,
        size_t n, int mtp, FILE *file)
{
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    mote_error err;
    rows r = {.file = file, .mtp = mtp};
    if (mote_model_get_info(model, &info, &err) < 0)
        return cli_fail_with(&err, "the model");
    r.vocab_size = info.vocab_size;
    o->keep_tokens = CHUNK + 1;
    if (!o->context_tokens)
        o->context_tokens = n ? (uint32_t)n : 1;
    int code = cli_open_session(&r.session, model, o, n, 1);
    if (code == CLI_OK) {
        r.logits = malloc(r.vocab_size * sizeof(float));
        r.bytes = malloc((size_t)r.vocab_size * 4);
        code = r.logits && r.bytes ? write_all(&r, tokens, n)
                                   : cli_fail("a row of logits does not fit in memory");
    }
    free(r.logits);
    free(r.bytes);
    cli_close_session(r.session);
    return code;
}

static int run(const cli_model_args *args, mote_session_options *o, const char *list,
        int mtp, const char *path)
{
    mote_model *model;
    int32_t *tokens = NULL;
    size_t n = 0;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    mote_error err;
    const int standard = !strcmp(path, "-");
    int code = cli_open_model(&model, args, mtp ? MOTE_MTP_ON : MOTE_MTP_OFF);
    if (code == CLI_OK && mote_model_get_info(model, &info, &err) < 0)
        code = cli_fail_with(&err, "the model");
    if (code == CLI_OK)
        code = cli_parse_ids(list, strlen(list), info.vocab_size, &tokens, &n);
    if (code == CLI_OK) {
        FILE *file = standard ? stdout : fopen(path, "wb");
        if (!file) {
            code = cli_fail("%s cannot be written: %s", path, strerror(errno));
        } else {
            code = compute(model, o, tokens, n, mtp, file);
            if (!standard && fclose(file) && code == CLI_OK)
                code = cli_fail("%s cannot be written: %s", path, strerror(errno));
            if (!standard && code != CLI_OK)
                remove(path); /* no half results */
        }
    }
    free(tokens);
    mote_model_close(model);
    cli_progress_end();
    return code;
}

int cmd_logits(int argc, char **argv)
{
    cli_set set = {.command = "logits",
            .usage = "[-m MODEL] --tokens 1,2,3 [--mtp] -o FILE",
            .about = "Write the logits of every position as raw little-endian float32, "
                     "[n_tokens][vocab_size]: the reference path, with a float32 "
                     "cache."};
    cli_model_args args = {0};
    cli_session_args session = {0};
    const char *list = NULL, *path = NULL;
    uint32_t mtp = 0;
    cli_add(&set, 0, "tokens", CLI_TEXT, &list, "1,2,3",
            "token ids, taken as they are: no BOS is added");
    cli_add(&set, 'o', "output", CLI_TEXT, &path, "FILE", "-: standard output");
    cli_add(&set, 0, "mtp", CLI_FLAG, &mtp, NULL,
            "logits of the MTP module instead: rows 0 to n-2, row i given token i+1");
    cli_add_model(&set, &args);
    cli_add_session(&set, &session, 0);
    const int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    if (!list)
        return cli_usage(&set, "give the tokens with --tokens 1,2,3");
    if (!path)
        return cli_usage(&set, "give a file to write with -o FILE");
    mote_session_options *o = &session.options;
    cli_measuring(o);
    o->draft =
            mtp ? MOTE_DRAFT_MTP : MOTE_DRAFT_OFF; /* only then the MTP cache is kept */
    return run(&args, o, list, (int)mtp, path);
}
