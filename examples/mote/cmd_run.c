/* SPDX-License-Identifier: MIT */
/* mote run: a prompt in, the model's continuation out. */
#include "cli.h"
#include <stdlib.h>
#include <string.h>

typedef struct run_args {
    cli_model_args model;
    cli_session_args session;
    cli_sampler_args sampler;
    const char *prompt, *file, *schema;
    mote_generate_options generate;
    uint32_t ignore_eos, echo, special, ids;
    cli_texts stop;
} run_args;

static void list_options(cli_set *set, run_args *a)
{
    *set = (cli_set){.command = "run",
            .usage = "[-m MODEL] [-p TEXT | -f FILE] [-n N] [OPTIONS]",
            .about = "Write on from a prompt: -p, -f, what is piped in, or else from "
                     "the "
                     "beginning-of-sentence token. The text goes to standard output, "
                     "figures to standard error."};
    cli_add(set, 'p', "prompt", CLI_TEXT, &a->prompt, "TEXT", "the prompt");
    cli_add(set, 'f', "file", CLI_TEXT, &a->file, "FILE",
            "read the prompt from a file; -: standard input");
    a->generate = (mote_generate_options)MOTE_GENERATE_OPTIONS_INIT;
    cli_add_field(set, 'n', "max-tokens", MOTE_OPTIONS_GENERATE, &a->generate,
            "max_tokens", "N",
            "at most N tokens; 0: until the model or the context ends");
    cli_add(set, 0, "ignore-eos", CLI_FLAG, &a->ignore_eos, NULL,
            "go on when the model ends its text");
    cli_add(set, 0, "stop", CLI_TEXTS, &a->stop, "TEXT",
            "end before this text; may be given several times");
    cli_add(set, 0, "json-schema", CLI_TEXT, &a->schema, "FILE",
            "write JSON that satisfies this schema");
    cli_add(set, 0, "echo", CLI_FLAG, &a->echo, NULL, "print the prompt first");
    cli_add(set, 0, "special", CLI_FLAG, &a->special, NULL,
            "read control tokens in the prompt as such, and show them in the text");
    cli_add(set, 0, "ids", CLI_FLAG, &a->ids, NULL, "print token ids instead of text");
    cli_add_model(set, &a->model);
    cli_add_session(set, &a->session, 1);
    cli_add_sampler(set, &a->sampler);
}

static int print_piece(const run_args *a, const mote_piece *piece)
{
    if (a->ids) {
        for (uint32_t i = 0; i < piece->n_tokens; i++)
            printf("%d ", (int)piece->tokens[i]);
    } else {
        fwrite(piece->text, 1, piece->n_bytes, stdout);
    }
    return fflush(stdout);
}

static int generate(const run_args *a, const mote_model *model, mote_session *session,
        const mote_sampler_options *sampler, const mote_schema *schema)
{
    mote_error err;
    mote_status st;
    mote_piece piece = MOTE_PIECE_INIT;
    mote_generate_options o = a->generate;
    o.ignore_eos = a->ignore_eos;
    o.show_special = a->special;
    o.n_stop = a->stop.n;
    o.stop = a->stop.values;
    o.schema = schema;
    if (mote_session_generate(session, &o, sampler, &err) < 0)
        return cli_fail_with(&err, "generating");
    while ((st = mote_session_next(session, &piece, &err)) == MOTE_OK) {
        if (print_piece(a, &piece))
            return CLI_FAILED; /* main says why */
    }
    putchar('\n');
    if (st < 0)
        return cli_fail_with(&err, "generating");
    if (!a->model.quiet)
        cli_report(model, session);
    return CLI_OK;
}

static int read_prompt(const run_args *a, cli_buffer *text)
{
    if (a->prompt)
        return cli_append(text, a->prompt, strlen(a->prompt))
                       ? cli_fail("out of memory")
                       : CLI_OK;
    /* Nobody types a prompt blindly: without one, the model begins by itself. */
    if (!a->file && cli_is_terminal(stdin))
        return cli_append(text, "", 0) ? cli_fail("out of memory") : CLI_OK;
    return cli_read_file(a->file ? a->file : "-", text);
}

static int run(run_args *a, uint32_t mtp)
{
    mote_model *model = NULL;
    mote_session *session = NULL;
    mote_schema *schema = NULL;
    cli_buffer text = {0};
    int32_t *tokens = NULL;
    size_t n_tokens = 0;
    mote_error err;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    mote_sampler_options sampler;

    int code = read_prompt(a, &text);
    if (code == CLI_OK)
        code = cli_open_model(&model, &a->model, mtp);
    if (code != CLI_OK)
        goto out;
    const mote_tokenizer *tokenizer;
    if ((code = cli_tokenizer(&tokenizer, model)) != CLI_OK)
        goto out;
    if (mote_model_get_info(model, &info, &err) < 0) {
        code = cli_fail_with(&err, "the model");
        goto out;
    }
    sampler = cli_sampler(&a->sampler, &info);
    const uint32_t flags = MOTE_ENCODE_BOS | (a->special ? MOTE_ENCODE_SPECIAL : 0);
    code = cli_encode(tokenizer, text.data, text.n, flags, &tokens, &n_tokens);
    /* A prompt that spells BOS out has one already. */
    if (code == CLI_OK && n_tokens > 1 && tokens[0] == tokens[1] &&
            tokens[0] == mote_tokenizer_bos(tokenizer))
        memmove(tokens, tokens + 1, --n_tokens * sizeof(*tokens));
    if (code == CLI_OK && a->schema)
        code = cli_open_schema(&schema, tokenizer, a->schema);
    if (code == CLI_OK)
        code = cli_open_session(
                &session, model, &a->session.options, n_tokens, a->generate.max_tokens);
    if (code != CLI_OK)
        goto out;
    if (mote_session_prompt(session, tokens, n_tokens, &err) < 0) {
        code = cli_fail_with(&err, "reading the prompt");
        goto out;
    }
    cli_progress_end();
    if (a->echo && !a->ids)
        fwrite(text.data, 1, text.n, stdout);
    if (a->model.verbose && sampler.temperature > 0)
        fprintf(stderr, "mote: seed %llu\n", (unsigned long long)sampler.seed);
    code = generate(a, model, session, &sampler, schema);
out:
    cli_close_session(session);
    mote_schema_close(schema);
    mote_model_close(model);
    free(tokens);
    cli_buffer_free(&text);
    return code;
}

int cmd_run(int argc, char **argv)
{
    cli_set set;
    run_args a = {0};
    uint32_t mtp;
    list_options(&set, &a);
    const int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    if (a.prompt && a.file)
        return cli_usage(&set, "give -p or -f, not both");
    if (cli_drafting(&a.session, &mtp))
        return cli_usage(
                &set, "--mtp: expected 1 to 4, auto or off, found '%s'", a.session.mtp);
    if (cli_biases(&a.sampler))
        return cli_usage(&set, "--logit-bias: expected ID=NUMBER or ID=off");
    return run(&a, mtp);
}
