/* SPDX-License-Identifier: MIT */
#include "conversation.h"
#include "json_out.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add_text(cli_buffer *out, const char *text)
{
    return cli_append(out, text, strlen(text));
}

static int add_quoted(cli_buffer *out, const cli_buffer *text)
{
    char *quoted = json_quoted(text->n ? text->data : "", text->n);
    const int bad = !quoted || add_text(out, quoted);
    free(quoted);
    return bad ? -1 : 0;
}

int conversation_add(conversation *c, const char *role, const cli_buffer *content,
        const cli_buffer *reasoning)
{
    const size_t mark = conversation_mark(c);
    int bad = add_text(&c->json, c->json.n > 1 ? ",{\"role\":\"" : "{\"role\":\"") ||
              add_text(&c->json, role) || add_text(&c->json, "\",\"content\":") ||
              add_quoted(&c->json, content);
    if (!bad && reasoning && reasoning->n)
        bad = add_text(&c->json, ",\"reasoning_content\":") ||
              add_quoted(&c->json, reasoning);
    if (bad || add_text(&c->json, "}")) {
        conversation_undo(c, mark);
        return -1;
    }
    return 0;
}

int conversation_begin(conversation *c, const char *system)
{
    c->json.n = 0;
    if (add_text(&c->json, "["))
        return -1;
    if (!system)
        return 0;
    cli_buffer text = {0};
    const int bad =
            add_text(&text, system) || conversation_add(c, "system", &text, NULL);
    cli_buffer_free(&text);
    return bad ? -1 : 0;
}

void conversation_end(conversation *c)
{
    cli_buffer_free(&c->json);
}

size_t conversation_mark(const conversation *c)
{
    return c->json.n;
}

void conversation_undo(conversation *c, size_t mark)
{
    c->json.n = mark;
    c->json.data[mark] = 0;
}

/* The formats that force reasoning end their prompt with the opening tag. */
static int ends_in_reasoning(const char *text, size_t n)
{
    static const char tag[] = "<think>";
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    return n >= sizeof(tag) - 1 &&
           !memcmp(text + n - (sizeof(tag) - 1), tag, sizeof(tag) - 1);
}

static int render_text(const conversation *c, const mote_chat_format *format,
        uint32_t flags, uint32_t *in_reasoning)
{
    mote_error err;
    size_t n = 0;
    char *text = NULL;
    int code = CLI_OK;
    mote_status st = mote_chat_render_text(
            format, c->json.data, c->json.n, flags, NULL, 0, NULL, 0, &n, &err);
    if (st >= 0 && !(text = malloc(n + 1)))
        code = cli_fail("the conversation does not fit in memory");
    else if (st >= 0)
        st = mote_chat_render_text(
                format, c->json.data, c->json.n, flags, NULL, 0, text, n, &n, &err);
    if (st < 0)
        code = cli_fail_with(&err, "the conversation");
    else if (code == CLI_OK)
        *in_reasoning = (uint32_t)ends_in_reasoning(text, n);
    free(text);
    return code;
}

int conversation_render(conversation *c, const mote_chat_format *format,
        const mote_tokenizer *tokenizer, uint32_t flags, int32_t **tokens, size_t *n,
        uint32_t *in_reasoning)
{
    mote_error err;
    const size_t mark = conversation_mark(c);
    *tokens = NULL;
    if (add_text(&c->json, "]"))
        return cli_fail("the conversation does not fit in memory");
    int code = render_text(c, format, flags, in_reasoning);
    mote_status st = MOTE_OK;
    if (code == CLI_OK)
        st = mote_chat_render(format, tokenizer, c->json.data, c->json.n, flags, NULL,
                0, NULL, 0, n, &err);
    if (code == CLI_OK && st >= 0 && !(*tokens = malloc((*n + 1) * sizeof(**tokens))))
        code = cli_fail("the conversation does not fit in memory");
    if (code == CLI_OK && st >= 0)
        st = mote_chat_render(format, tokenizer, c->json.data, c->json.n, flags, NULL,
                0, *tokens, *n, n, &err);
    if (st < 0) {
        free(*tokens);
        *tokens = NULL;
        code = cli_fail_with(&err, "the conversation");
    }
    conversation_undo(c, mark);
    return code;
}

int conversation_save(const conversation *c, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return cli_fail("%s cannot be written: %s", path, strerror(errno));
    const int bad = fwrite(c->json.data, 1, c->json.n, file) != c->json.n ||
                    fputs("]\n", file) == EOF;
    if (fclose(file) || bad)
        return cli_fail("%s cannot be written: %s", path, strerror(errno));
    return CLI_OK;
}

int conversation_load(conversation *c, const char *path)
{
    cli_buffer text = {0};
    const int code = cli_read_file(path, &text);
    if (code != CLI_OK) {
        cli_buffer_free(&text);
        return code;
    }
    while (text.n && strchr(" \t\r\n", text.data[text.n - 1]))
        text.n--;
    if (text.n < 2 || text.data[0] != '[' || text.data[text.n - 1] != ']') {
        cli_buffer_free(&text);
        return cli_fail("%s: expected a JSON array of messages", path);
    }
    text.data[--text.n] = 0; /* the bracket: what follows is appended */
    cli_buffer_free(&c->json);
    c->json = text;
    return CLI_OK;
}
