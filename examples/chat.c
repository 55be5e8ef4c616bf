/* SPDX-License-Identifier: MIT */
/* A conversation in the model's own format: chat MODEL "first message" "second" ...
 * Each argument is a turn; the cache of the earlier ones is used again. */
#include <mote/mote.h>
#include <stdio.h>
#include <string.h>

/* Append text to a JSON document as a string. A real program has a JSON library. */
static int quote(char *out, size_t size, const char *text, size_t n_bytes)
{
    size_t n = strlen(out);
    for (size_t i = 0; i < n_bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (n + 8 > size)
            return -1;
        n += (size_t)(c < 0x20 || c == '"' || c == '\\'
                              ? snprintf(out + n, size - n, "\\u%04x", (unsigned)c)
                              : snprintf(out + n, size - n, "%c", c));
    }
    return 0;
}

static int add_message(
        char *json, size_t size, const char *role, const char *text, size_t n_bytes)
{
    const size_t n = strlen(json);
    if (n + 64 > size)
        return -1;
    snprintf(json + n, size - n, "%s{\"role\":\"%s\",\"content\":\"", n > 1 ? "," : "",
            role);
    if (quote(json, size - 4, text, n_bytes))
        return -1;
    strcat(json, "\"}");
    return 0;
}

/* The reply to all messages so far, printed as it comes and added to them. */
static mote_status reply(mote_session *session, const mote_model *model,
        const mote_chat_format *format, char *json, size_t size, mote_error *err)
{
    static int32_t tokens[4096];
    static char text[16384];
    size_t n = 0, n_text = 0;
    mote_status st;
    mote_piece piece = MOTE_PIECE_INIT;
    mote_generate_options options = MOTE_GENERATE_OPTIONS_INIT;
    options.max_tokens = 120;
    options.format = format; /* tells reasoning and tool calls from the answer */

    strcat(json, "]");
    st = mote_chat_render(format, mote_model_tokenizer(model), json, strlen(json),
            MOTE_CHAT_GENERATE, NULL, 0, tokens, 4096, &n, err);
    json[strlen(json) - 1] = 0;
    if (st < 0)
        return st;
    if (n > 4096)
        return MOTE_E_CONTEXT_FULL;
    /* What the session holds already is kept: only the new turn is computed. */
    if ((st = mote_session_prompt(session, tokens, n, err)) < 0 ||
            (st = mote_session_generate(session, &options, NULL, err)) < 0)
        return st;
    while ((st = mote_session_next(session, &piece, err)) == MOTE_OK) {
        fwrite(piece.text, 1, piece.n_bytes, stdout);
        fflush(stdout);
        if (piece.channel == MOTE_CHANNEL_CONTENT &&
                n_text + piece.n_bytes <= sizeof(text)) {
            memcpy(text + n_text, piece.text, piece.n_bytes);
            n_text += piece.n_bytes;
        }
    }
    putchar('\n');
    if (st >= 0 && add_message(json, size, "assistant", text, n_text))
        return MOTE_E_MEMORY;
    return st;
}

int main(int argc, char **argv)
{
    static char json[65536] = "[";
    mote_error err = {0};
    mote_model *model = NULL;
    mote_session *session = NULL;
    const mote_chat_format *format = NULL;
    mote_status st = MOTE_OK;

    if (argc < 3) {
        fprintf(stderr, "usage: chat MODEL MESSAGE...\n");
        return 2;
    }
    st = mote_model_open(&model, argv[1], NULL, &err);
    if (st >= 0)
        st = mote_session_open(&session, model, NULL, &err);
    if (st >= 0 && !(format = mote_chat_format_of(mote_model_tokenizer(model), &err)))
        st = err.status;
    for (int i = 2; i < argc && st >= 0; i++) {
        printf("> %s\n", argv[i]);
        if (add_message(json, sizeof(json) - 2, "user", argv[i], strlen(argv[i])))
            st = MOTE_E_MEMORY;
        else
            st = reply(session, model, format, json, sizeof(json) - 2, &err);
    }
    if (st < 0)
        fprintf(stderr, "%s: %s\n", mote_status_name(st), err.message);
    mote_session_close(session);
    mote_model_close(model);
    return st < 0;
}
