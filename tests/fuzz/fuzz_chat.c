/* SPDX-License-Identifier: MIT */
/* Conversations: format, flags, messages, NUL, tools. Refused with a sentence, or the
 * tokens spell the text; the same bytes as a reply are cut into pieces of UTF-8. */
#include "fuzz_target.h"
#include "tiny_model.h"

#include "mote/chat.h"
#include "text/reply.h"

#include <string.h>

static void render(const mote_chat_format *f, const mote_tokenizer *t, uint32_t flags,
        const char *messages, size_t n, const char *tools, size_t n_tools)
{
    mote_error e;
    size_t length = 0, again = 0, n_ids = 0;
    mote_status st = mote_chat_render_text(
            f, messages, n, flags, tools, n_tools, NULL, 0, &length, &e);
    if (st < 0) {
        FUZZ_CHECK(e.status == st && e.message[0] && st != MOTE_E_MEMORY);
        return;
    }
    FUZZ_CHECK(length <= 100 * (n + n_tools) + 65536);
    char *text = malloc(length + 1);
    FUZZ_CHECK(text != NULL);
    st = mote_chat_render_text(
            f, messages, n, flags, tools, n_tools, text, length, &again, &e);
    FUZZ_CHECK(st == MOTE_OK && again == length);
    /* not every format's control tokens are in this vocabulary */
    st = mote_chat_render(
            f, t, messages, n, flags, tools, n_tools, NULL, 0, &n_ids, &e);
    FUZZ_CHECK(st == MOTE_OK ? n_ids <= length : e.message[0] != 0);
    free(text);
}

/* Bytes as a model's reply, a few at a time. */
static void read_reply(const mote_chat_format *f, const mote_tokenizer *t,
        const uint8_t *bytes, size_t n)
{
    static const char *const stop[] = {"ab", "</"};
    mote_error e;
    mote__reply *r = NULL;
    mote__memory memory;
    size_t given = 0;
    mote__memory_init(&memory, NULL, NULL, NULL);
    mote_status st = mote__reply_open(&r, &memory, f, t, n & 1, stop, n % 3, &e);
    if (st < 0) {
        FUZZ_CHECK(!r && e.message[0]);
        return;
    }
    mote__reply_event event;
    for (size_t i = 0; i < n && !mote__reply_stopped(r); i++) {
        mote__reply_feed(r, bytes[i], (const char *)bytes + i, 1);
        while (mote__reply_next(r, &event)) {
            given += event.n_bytes;
            FUZZ_CHECK(event.text || !event.n_bytes);
        }
    }
    mote__reply_finish(r);
    for (size_t i = 0; mote__reply_next(r, &event); i++) {
        given += event.n_bytes;
        FUZZ_CHECK(i <= n + 8);
    }
    FUZZ_CHECK(given <= 6 * n + 64);
    mote__reply_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mote_tokenizer *t;
    mote_error e;
    if (!t) {
        size_t n;
        char *json = tiny_tokenizer_json(&n);
        FUZZ_CHECK(json &&
                   mote_tokenizer_open_memory(&t, json, n, NULL, 0, &e) == MOTE_OK);
        free(json);
    }
    if (size < 2)
        return 0;
    uint32_t n_formats = 0;
    while (mote_chat_format_at(n_formats))
        n_formats++;
    const mote_chat_format *f = mote_chat_format_at(data[0] % n_formats);
    uint32_t flags = data[1] % 8;
    const char *messages = (const char *)data + 2;
    const char *nul = memchr(messages, 0, size - 2);
    size_t n = nul ? (size_t)(nul - messages) : size - 2;
    size_t n_tools = nul ? size - 3 - n : 0;
    render(f, t, flags, messages, n, nul ? nul + 1 : NULL, n_tools);
    read_reply(f, t, data + 2, size - 2);
    return 0;
}
