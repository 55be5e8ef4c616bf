/* SPDX-License-Identifier: MIT */
/* Files, lines, texts and lists of ids on their way in. */
#include "cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cli_read_file(const char *path, cli_buffer *out)
{
    const int standard = !strcmp(path, "-");
    const char *name = standard ? "standard input" : path;
    if (!standard && cli_path_kind(path) == 1)
        return cli_fail("%s is a directory, expected a file", path);
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file)
        return cli_fail("%s cannot be read: %s", name, strerror(errno));
    int code = CLI_OK;
    char block[65536];
    size_t n;
    do {
        n = fread(block, 1, sizeof(block), file);
        if (cli_append(out, block, n))
            code = cli_fail("%s does not fit in memory", name);
    } while (n == sizeof(block) && code == CLI_OK);
    if (code == CLI_OK && ferror(file))
        code = cli_fail("%s cannot be read: %s", name, strerror(errno));
    if (!standard)
        fclose(file);
    return code;
}

int cli_read_line(FILE *in, cli_buffer *out)
{
    out->n = 0;
    int c;
    char block[512];
    size_t n = 0;
    int any = 0;
    while ((c = getc(in)) != EOF) {
        any = 1;
        if (c == '\n')
            break;
        block[n++] = (char)c;
        if (n == sizeof(block)) {
            if (cli_append(out, block, n))
                return -1;
            n = 0;
        }
    }
    if (cli_append(out, block, n) || ferror(in))
        return -1;
    return any;
}

int cli_encode(const mote_tokenizer *tokenizer, const char *text, size_t n_bytes,
        uint32_t flags, int32_t **tokens, size_t *n_tokens)
{
    mote_error err;
    *tokens = NULL;
    *n_tokens = 0;
    /* No text has more tokens than bytes, but control tokens; a guess saves a pass. */
    size_t capacity = n_bytes / 3 + 16;
    for (;;) {
        int32_t *grown = realloc(*tokens, capacity * sizeof(**tokens));
        if (!grown) {
            free(*tokens);
            *tokens = NULL;
            return cli_fail("the text does not fit in memory");
        }
        *tokens = grown;
        const mote_status st = mote_tokenizer_encode(
                tokenizer, text, n_bytes, flags, grown, capacity, n_tokens, &err);
        if (st < 0) {
            free(*tokens);
            *tokens = NULL;
            return cli_fail_with(&err, "encoding the text");
        }
        if (*n_tokens <= capacity)
            return CLI_OK;
        capacity = *n_tokens;
    }
}

int cli_parse_ids(const char *text, size_t n_bytes, uint32_t vocab_size,
        int32_t **tokens, size_t *n_tokens)
{
    static const char separators[] = ", \t\r\n";
    *n_tokens = 0;
    *tokens = malloc((n_bytes / 2 + 1) * sizeof(**tokens));
    if (!*tokens)
        return cli_fail("the token ids do not fit in memory");
    size_t at = 0;
    while (at < n_bytes) {
        if (memchr(separators, text[at], sizeof(separators) - 1)) {
            at++;
            continue;
        }
        size_t end = at;
        while (end < n_bytes && !memchr(separators, text[end], sizeof(separators) - 1))
            end++;
        uint64_t id;
        if (!vocab_size || cli_number(text + at, end - at, 0, vocab_size - 1, &id)) {
            const int shown = end - at > 40 ? 40 : (int)(end - at);
            free(*tokens);
            *tokens = NULL;
            return cli_fail("expected a token id below %u, found '%.*s'", vocab_size,
                    shown, text + at);
        }
        (*tokens)[(*n_tokens)++] = (int32_t)id;
        at = end;
    }
    return CLI_OK;
}
