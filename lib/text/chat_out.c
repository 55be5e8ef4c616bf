/* SPDX-License-Identifier: MIT */
#include "chat_out.h"
#include "base/memory.h"
#include "base/status.h"

#include <stdlib.h>
#include <string.h>

void mote__chat_out_free(mote__chat_out *out)
{
    free(out->text);
    free(out->spans);
    *out = (mote__chat_out){0};
}

void mote__chat_text(mote__chat_out *out, const char *text, size_t n)
{
    if (out->failed || n == 0)
        return;
    if (n > SIZE_MAX - out->n ||
            mote__grow((void **)&out->text, &out->capacity, out->n + n, 1) < 0) {
        out->failed = n;
        return;
    }
    memcpy(out->text + out->n, text, n);
    out->n += n;
}

static void control(mote__chat_out *out, const char *text, size_t n, uint32_t optional)
{
    if (mote__grow((void **)&out->spans, &out->spans_capacity, out->n_spans + 1,
                sizeof *out->spans) < 0)
        out->failed = sizeof *out->spans;
    size_t begin = out->n;
    mote__chat_text(out, text, n);
    if (!out->failed)
        out->spans[out->n_spans++] =
                (mote__chat_span){.begin = begin, .end = out->n, .optional = optional};
}

static int starts_with(const char *text, size_t n, const char *prefix)
{
    size_t length = strlen(prefix);
    return n >= length && memcmp(text, prefix, length) == 0;
}

/* Length of a think tag at the start of the text, or 0. */
static size_t think_tag(const char *text, size_t n)
{
    if (starts_with(text, n, "<think>"))
        return 7;
    return starts_with(text, n, "</think>") ? 8 : 0;
}

/* Length of a control token at the start of a format's own text, or 0. */
static size_t literal_token(const char *text, size_t n, uint32_t *optional)
{
    static const char dsml[] = "｜DSML｜";
    const char *end = NULL;
    *optional = 1;
    size_t tag = think_tag(text, n);
    if (tag)
        return tag;
    if (starts_with(text, n, dsml))
        return sizeof dsml - 1;
    *optional = 0;
    if (starts_with(text, n, "<｜") && !starts_with(text + 1, n - 1, dsml))
        end = strstr(text, "｜>");
    if (end)
        return (size_t)(end - text) + sizeof "｜>" - 1;
    if (starts_with(text, n, "<|"))
        end = strstr(text, "|>");
    return end ? (size_t)(end - text) + 2 : 0;
}

void mote__chat_literal(mote__chat_out *out, const char *text)
{
    size_t n = strlen(text), begin = 0;
    for (size_t i = 0; i < n;) {
        uint32_t optional;
        size_t length = literal_token(text + i, n - i, &optional);
        if (length) {
            mote__chat_text(out, text + begin, i - begin);
            control(out, text + i, length, optional);
            begin = i + length;
        }
        i += length ? length : 1;
    }
    mote__chat_text(out, text + begin, n - begin);
}

void mote__chat_reply(mote__chat_out *out, const char *text, size_t n)
{
    size_t begin = 0;
    for (size_t i = 0; i < n;) {
        const char *next = memchr(text + i, '<', n - i);
        if (!next)
            break;
        i = (size_t)(next - text);
        size_t length = think_tag(next, n - i);
        if (length) {
            mote__chat_text(out, text + begin, i - begin);
            control(out, next, length, 1);
            begin = i + length;
        }
        i += length ? length : 1;
    }
    mote__chat_text(out, text + begin, n - begin);
}

static void json_sink(void *user, const char *text, size_t n)
{
    mote__chat_text(user, text, n);
}

void mote__chat_json(mote__chat_out *out, const mote__json *value)
{
    mote__json_dump(value, json_sink, out);
}

mote_status mote__chat_encode(const mote__chat_out *out,
        const mote_tokenizer *tokenizer, int32_t *tokens, size_t capacity,
        size_t *n_tokens, mote_error *err)
{
    size_t begin = 0, count = 0;
    for (size_t i = 0; i <= out->n_spans; i++) {
        size_t end = out->n, next = out->n;
        int32_t id = -1;
        if (i < out->n_spans) {
            const mote__chat_span *s = &out->spans[i];
            const char *text = out->text + s->begin;
            id = mote_tokenizer_find(tokenizer, text, s->end - s->begin);
            if (id < 0 && s->optional)
                continue; /* part of the text around it */
            if (id < 0)
                return mote__fail(err, MOTE_E_UNSUPPORTED,
                        "the tokenizer has no token %.*s, which this conversation "
                        "needs "
                        "in its chat format",
                        (int)(s->end - s->begin), text);
            end = s->begin;
            next = s->end;
        }
        if (end > begin) {
            size_t n = 0, room = count < capacity ? capacity - count : 0;
            mote_status st = mote_tokenizer_encode(tokenizer, out->text + begin,
                    end - begin, 0, room ? tokens + count : NULL, room, &n, err);
            if (st < 0)
                return st;
            count += n;
        }
        if (id >= 0) {
            if (count < capacity)
                tokens[count] = id;
            count++;
        }
        begin = next;
    }
    *n_tokens = count;
    return MOTE_OK;
}
