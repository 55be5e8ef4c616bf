/* SPDX-License-Identifier: MIT */
/* mote tokenize, mote detokenize: text to ids and back, as one stream or line by line.
 */
#include "cli.h"
#include "json_in.h"
#include "json_out.h"
#include <stdlib.h>
#include <string.h>

/* A tokenizer needs no weights: a directory or tokenizer.json is opened alone, a pack
 * as a model. */
typedef struct source {
    mote_tokenizer *alone;
    mote_model *model;
    const mote_tokenizer *tokenizer;
} source;

static int open_source(source *s, const cli_model_args *args)
{
    mote_error err;
    const char *path = cli_model_path(args);
    memset(s, 0, sizeof(*s));
    if (!path)
        return CLI_FAILED;
    const size_t n = strlen(path);
    const int json = n >= 5 && !strcmp(path + n - 5, ".json");
    if (cli_path_kind(path) != 2 || json) {
        if (mote_tokenizer_open(&s->alone, path, &err) < 0)
            return cli_fail_with(&err, path);
        s->tokenizer = s->alone;
        return CLI_OK;
    }
    const int code = cli_open_model(&s->model, args, MOTE_MTP_OFF);
    if (code != CLI_OK)
        return code;
    s->tokenizer = mote_model_tokenizer(s->model);
    if (!s->tokenizer) {
        mote_model_close(s->model);
        return cli_fail("%s has no tokenizer", path);
    }
    return CLI_OK;
}

static void close_source(source *s)
{
    mote_tokenizer_close(s->alone);
    mote_model_close(s->model);
}

static int print_ids(const mote_tokenizer *tokenizer, const char *text, size_t n_bytes,
        uint32_t flags, char separator)
{
    int32_t *ids;
    size_t n;
    const int code = cli_encode(tokenizer, text, n_bytes, flags, &ids, &n);
    if (code != CLI_OK)
        return code;
    for (size_t i = 0; i < n; i++) {
        if (i)
            putchar(separator);
        printf("%d", (int)ids[i]);
    }
    free(ids);
    return CLI_OK;
}

typedef int (*line_fn)(const mote_tokenizer *tokenizer, const char *line,
        size_t n_bytes, uint32_t flags, unsigned long long number);

static int tokenize_line(const mote_tokenizer *tokenizer, const char *line,
        size_t n_bytes, uint32_t flags, unsigned long long number)
{
    cli_buffer text = {0};
    const char *wrong = json_get_text(line, n_bytes, "text", &text);
    int code;
    if (wrong) {
        code = cli_fail(
                "line %llu: expected an object with the string \"text\", missing: "
                "%s",
                number, wrong);
    } else {
        fputs("{\"ids\":[", stdout);
        code = print_ids(tokenizer, text.data, text.n, flags, ',');
        if (code == CLI_OK)
            fputs("]}\n", stdout);
    }
    cli_buffer_free(&text);
    return code;
}

/* Ids of n_bytes of text, decoded (malloc'ed). */
static int decode(const mote_tokenizer *tokenizer, const char *list, size_t n_bytes,
        uint32_t flags, char **text, size_t *n_text)
{
    int32_t *ids = NULL;
    size_t n;
    mote_error err;
    *text = NULL;
    int code = cli_parse_ids(
            list, n_bytes, (uint32_t)mote_tokenizer_size(tokenizer), &ids, &n);
    if (code != CLI_OK)
        return code;
    if (mote_tokenizer_decode(tokenizer, ids, n, flags, NULL, 0, n_text, &err) < 0) {
        code = cli_fail_with(&err, "decoding");
    } else if (!(*text = malloc(*n_text + 1))) {
        code = cli_fail("the text does not fit in memory");
    } else if (mote_tokenizer_decode(
                       tokenizer, ids, n, flags, *text, *n_text, n_text, &err) < 0) {
        code = cli_fail_with(&err, "decoding");
    }
    free(ids);
    return code;
}

static int detokenize_line(const mote_tokenizer *tokenizer, const char *line,
        size_t n_bytes, uint32_t flags, unsigned long long number)
{
    cli_buffer list = {0};
    char *text = NULL;
    size_t n_text = 0;
    const char *wrong = json_get_numbers(line, n_bytes, "ids", &list);
    int code;
    if (wrong)
        code = cli_fail(
                "line %llu: expected an object with the array \"ids\", missing: %s",
                number, wrong);
    else
        code = decode(tokenizer, list.data, list.n, flags, &text, &n_text);
    if (code == CLI_OK) {
        fputs("{\"text\":", stdout);
        json_quote(stdout, text, n_text);
        fputs("}\n", stdout);
    }
    free(text);
    cli_buffer_free(&list);
    return code;
}

static int each_line(const mote_tokenizer *tokenizer, uint32_t flags, line_fn fn)
{
    cli_buffer line = {0};
    int code = CLI_OK, more;
    for (unsigned long long number = 1; code == CLI_OK; number++) {
        more = cli_read_line(stdin, &line);
        if (more < 0)
            code = cli_fail("line %llu cannot be read", number);
        if (more <= 0)
            break;
        if (line.n && strspn(line.data, " \t\r") < line.n)
            code = fn(tokenizer, line.data, line.n, flags, number);
    }
    cli_buffer_free(&line);
    return code;
}

int cmd_tokenize(int argc, char **argv)
{
    cli_set set = {.command = "tokenize",
            .usage = "[-m MODEL] [--no-bos] [--no-special] [--jsonl] < TEXT",
            .about = "Read text from standard input, print its token ids. MODEL may "
                     "also be a folder that holds tokenizer.json alone, or "
                     "tiktoken.model with tokenizer_config.json, or that file."};
    cli_model_args args = {0};
    uint32_t no_bos = 0, no_special = 0, jsonl = 0;
    cli_add(&set, 0, "no-bos", CLI_FLAG, &no_bos, NULL,
            "no beginning-of-sentence token");
    cli_add(&set, 0, "no-special", CLI_FLAG, &no_special, NULL,
            "the text of control tokens stays text");
    cli_add(&set, 0, "jsonl", CLI_FLAG, &jsonl, NULL,
            "each line {\"text\":...} gives a line {\"ids\":[...]}");
    cli_add_model(&set, &args);
    int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    source s;
    code = open_source(&s, &args);
    if (code != CLI_OK)
        return code;
    const uint32_t flags =
            (no_bos ? 0 : MOTE_ENCODE_BOS) | (no_special ? 0 : MOTE_ENCODE_SPECIAL);
    if (jsonl) {
        code = each_line(s.tokenizer, flags, tokenize_line);
    } else {
        cli_buffer text = {0};
        code = cli_read_file("-", &text);
        if (code == CLI_OK)
            code = print_ids(s.tokenizer, text.data, text.n, flags, ' ');
        if (code == CLI_OK)
            putchar('\n');
        cli_buffer_free(&text);
    }
    close_source(&s);
    return code;
}

int cmd_detokenize(int argc, char **argv)
{
    cli_set set = {.command = "detokenize",
            .usage = "[-m MODEL] [--skip-special] [--jsonl] < IDS",
            .about = "Read token ids from standard input, separated by blanks or "
                     "commas, "
                     "and print exactly the bytes they stand for."};
    cli_model_args args = {0};
    uint32_t skip_special = 0, jsonl = 0;
    cli_add(&set, 0, "skip-special", CLI_FLAG, &skip_special, NULL,
            "leave out special control tokens");
    cli_add(&set, 0, "jsonl", CLI_FLAG, &jsonl, NULL,
            "each line {\"ids\":[...]} gives a line {\"text\":...}");
    cli_add_model(&set, &args);
    int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    source s;
    code = open_source(&s, &args);
    if (code != CLI_OK)
        return code;
    const uint32_t flags = skip_special ? MOTE_DECODE_SKIP_SPECIAL : 0;
    if (jsonl) {
        code = each_line(s.tokenizer, flags, detokenize_line);
    } else {
        cli_buffer list = {0};
        char *text = NULL;
        size_t n_text = 0;
        code = cli_read_file("-", &list);
        if (code == CLI_OK)
            code = decode(s.tokenizer, list.data, list.n, flags, &text, &n_text);
        if (code == CLI_OK)
            fwrite(text, 1, n_text, stdout);
        free(text);
        cli_buffer_free(&list);
    }
    close_source(&s);
    return code;
}
