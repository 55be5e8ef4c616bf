/* SPDX-License-Identifier: MIT */
/* What the subcommands share. The program uses the public headers alone: it is the
 * first user of the library, and a place to copy from.
 *
 * Streams: what was asked for goes to stdout, everything else to stderr. */
#ifndef MOTE_CLI_CLI_H
#define MOTE_CLI_CLI_H
#include "args.h"
#include "buffer.h"
#include "platform.h"
#include <mote/mote.h>
#include <stdio.h>

#define CLI_OK 0
#define CLI_FAILED 1        /* the request was understood, and did not succeed */
#define CLI_USAGE 2         /* the command line is wrong */
#define CLI_INTERRUPTED 130 /* Ctrl-C, as shells report it */

#if defined(__GNUC__)
#define CLI_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define CLI_PRINTF(f, a)
#endif

/* "mote: sentence" on stderr; the exit code to return. */
int cli_fail(const char *format, ...) CLI_PRINTF(1, 2);
/* The library's sentence, with what was being done; CLI_INTERRUPTED after Ctrl-C. */
int cli_fail_with(const mote_error *err, const char *what);
/* "mote run: sentence" and where help is; CLI_USAGE. */
int cli_usage(const cli_set *set, const char *format, ...) CLI_PRINTF(2, 3);
void cli_help(FILE *out, const cli_set *set);
/* Parse, or print help or a complaint. -1: go on; otherwise the exit code. */
int cli_begin(const cli_set *set, int argc, char **argv);
extern const char *cli_argv0;

int cmd_run(int argc, char **argv);
int cmd_chat(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_detokenize(int argc, char **argv);
int cmd_logits(int argc, char **argv);
int cmd_perplexity(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_pack(int argc, char **argv);
int cmd_calibrate(int argc, char **argv);

/* Whole content of a file, "-": standard input. CLI_OK, or the exit code. */
int cli_read_file(const char *path, cli_buffer *out);
/* Next line without its newline: 1, 0 at the end, -1 on failure. */
int cli_read_line(FILE *in, cli_buffer *out);
/* Text to tokens (malloc'ed): CLI_OK, or the exit code. */
int cli_encode(const mote_tokenizer *tokenizer, const char *text, size_t n_bytes,
        uint32_t flags, int32_t **tokens, size_t *n_tokens);
/* "1,2,3" or "1 2 3" to ids below `vocab_size`, same results. */
int cli_parse_ids(const char *text, size_t n_bytes, uint32_t vocab_size,
        int32_t **tokens, size_t *n_tokens);

/* Options that choose and open a model. */
typedef struct cli_model_args {
    const char *path;
    uint32_t verbose;
    uint32_t quiet;
    mote_model_options options;
} cli_model_args;
void cli_add_model(cli_set *set, cli_model_args *args);
/* Path that was given, or of the bundled model; NULL after a message. */
const char *cli_model_path(const cli_model_args *args);
mote_model_options cli_model_options(const cli_model_args *args, uint32_t mtp);
/* Open, with a progress bar. CLI_OK, or the exit code with *out NULL. */
int cli_open_model(mote_model **out, const cli_model_args *args, uint32_t mtp);
/* The model's tokenizer, or the exit code with *out NULL. */
int cli_tokenizer(const mote_tokenizer **out, const mote_model *model);

/* Options of a session. */
typedef struct cli_session_args {
    mote_session_options options;
    uint32_t ngram;
    const char *mtp; /* N, auto, off */
} cli_session_args;
/* Without drafting: for a command that measures, whose defaults cli_measuring() sets. */
void cli_add_session(cli_set *set, cli_session_args *args, int drafting);
void cli_measuring(mote_session_options *o);
/* Read --mtp into the session's options and the model's choice (MOTE_MTP_...): 0, or -1
 * when it cannot be read. */
int cli_drafting(cli_session_args *args, uint32_t *mtp);
/* Open with room for a prompt and max_tokens (0: unknown) more; Ctrl-C then cancels it.
 * CLI_OK, or the exit code with *out NULL. */
int cli_open_session(mote_session **out, mote_model *model, mote_session_options *o,
        size_t prompt_tokens, uint32_t max_tokens);
void cli_close_session(mote_session *session);

/* Options of sampling: what is not given comes from the model. */
typedef struct cli_sampler_args {
    mote_sampler_options options; /* temperature, top_p: NaN until given */
    cli_texts bias;
    int32_t bias_tokens[CLI_TEXTS_MAX];
    float bias_values[CLI_TEXTS_MAX];
} cli_sampler_args;
void cli_add_sampler(cli_set *set, cli_sampler_args *args);
/* Read --logit-bias: 0, or -1 when one cannot be read. */
int cli_biases(cli_sampler_args *args);
/* The options, with the model's defaults where none were given. Borrows from `args`. */
mote_sampler_options cli_sampler(
        const cli_sampler_args *args, const mote_model_info *info);

/* Compile --json-schema FILE: CLI_OK, or the exit code. */
int cli_open_schema(
        mote_schema **out, const mote_tokenizer *tokenizer, const char *path);

/* A bar on stderr when it is a terminal; also stops at Ctrl-C. For options' progress.
 */
int32_t cli_progress(void *user, const char *stage, uint64_t done, uint64_t total);
void cli_progress_end(void); /* wipe the bar */

/* Tokens and tokens per second, drafts, streaming: one or two lines on stderr. */
void cli_report(const mote_model *model, const mote_session *session);
#endif
