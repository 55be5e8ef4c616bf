/* SPDX-License-Identifier: MIT */
/* mote/chat.h: checks and calls. Names and lists are in text/chat_formats.c. */
#include "mote/chat.h"
#include "base/status.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"

#include <string.h>

enum { KNOWN_FLAGS = MOTE_CHAT_GENERATE | MOTE_CHAT_THINK | MOTE_CHAT_KEEP_REASONING };

const mote_chat_format *mote_chat_format_of(
        const mote_tokenizer *tokenizer, mote_error *err)
{
    size_t n = 0;
    const char *text = tokenizer ? mote__tokenizer_chat_template(tokenizer, &n) : NULL;
    const mote_chat_format *format = text ? mote__chat_recognise(text, n) : NULL;
    if (!tokenizer)
        mote__fail(err, MOTE_E_INVALID, "the tokenizer is NULL");
    else if (!text)
        mote__fail(err, MOTE_E_UNSUPPORTED,
                "the checkpoint has no chat template: name a format "
                "(mote_chat_format_find), or use the model raw, encoding text with "
                "mote_tokenizer_encode");
    else if (!format)
        mote__fail(err, MOTE_E_UNSUPPORTED,
                "the checkpoint's chat template is not one of the built-in formats: "
                "name "
                "a format (mote_chat_format_find), or use the model raw, encoding text "
                "with mote_tokenizer_encode and MOTE_ENCODE_SPECIAL");
    return format;
}

/* Checks that both renderings share, then the conversation itself. */
static mote_status write_checked(const mote_chat_format *format, const char *messages,
        size_t n_bytes, uint32_t flags, const char *tools, size_t tools_bytes,
        mote__chat_out *out, mote_error *err)
{
    *out = (mote__chat_out){0};
    if (!format)
        return mote__fail(err, MOTE_E_INVALID, "the chat format is NULL");
    if (!messages)
        return mote__fail(err, MOTE_E_INVALID, "the messages are NULL");
    if (!tools && tools_bytes)
        return mote__fail(
                err, MOTE_E_INVALID, "the tools are NULL with %zu bytes", tools_bytes);
    if (flags & ~(uint32_t)KNOWN_FLAGS)
        return mote__fail(err, MOTE_E_INVALID,
                "flags 0x%x: only MOTE_CHAT_GENERATE, _THINK and _KEEP_REASONING exist",
                (unsigned)flags);
    return mote__chat_write(
            format, messages, n_bytes, flags, tools, tools_bytes, out, err);
}

mote_status mote_chat_render_text(const mote_chat_format *format, const char *messages,
        size_t n_bytes, uint32_t flags, const char *tools, size_t tools_bytes,
        char *text, size_t capacity, size_t *length, mote_error *err)
{
    mote__chat_out out;
    if (length)
        *length = 0;
    if (!length || (!text && capacity))
        return mote__fail(
                err, MOTE_E_INVALID, "%s is NULL", length ? "text" : "length");
    mote_status st = write_checked(
            format, messages, n_bytes, flags, tools, tools_bytes, &out, err);
    if (st < 0)
        return st;
    *length = out.n;
    if (out.n && capacity)
        memcpy(text, out.text, out.n < capacity ? out.n : capacity);
    mote__chat_out_free(&out);
    return MOTE_OK;
}

mote_status mote_chat_render(const mote_chat_format *format,
        const mote_tokenizer *tokenizer, const char *messages, size_t n_bytes,
        uint32_t flags, const char *tools, size_t tools_bytes, int32_t *tokens,
        size_t capacity, size_t *n_tokens, mote_error *err)
{
    mote__chat_out out;
    if (n_tokens)
        *n_tokens = 0;
    if (!n_tokens || !tokenizer || (!tokens && capacity))
        return mote__fail(err, MOTE_E_INVALID, "%s is NULL",
                !n_tokens    ? "n_tokens"
                : !tokenizer ? "the tokenizer"
                             : "tokens");
    mote_status st = write_checked(
            format, messages, n_bytes, flags, tools, tools_bytes, &out, err);
    if (st < 0)
        return st;
    st = mote__chat_encode(&out, tokenizer, tokens, capacity, n_tokens, err);
    mote__chat_out_free(&out);
    return st;
}
