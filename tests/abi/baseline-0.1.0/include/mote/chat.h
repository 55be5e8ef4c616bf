/* SPDX-License-Identifier: MIT */
#ifndef MOTE_CHAT_H
#define MOTE_CHAT_H
#include "common.h"
#include "tokenizer.h"
MOTE_BEGIN_DECLS
typedef struct mote_chat_format mote_chat_format;
MOTE_API const mote_chat_format *mote_chat_format_find(const char *name, mote_error *err);
MOTE_API const mote_chat_format *mote_chat_format_at(uint32_t index);
MOTE_API const mote_chat_format *mote_chat_format_of(
        const mote_tokenizer *tokenizer, mote_error *err);
MOTE_API const char *mote_chat_format_name(const mote_chat_format *format);
#define MOTE_CHAT_GENERATE 1u
#define MOTE_CHAT_THINK 2u
#define MOTE_CHAT_KEEP_REASONING 4u
MOTE_API mote_status mote_chat_render_text(const mote_chat_format *format,
        const char *messages, size_t n_bytes, uint32_t flags, const char *tools,
        size_t tools_bytes, char *text, size_t capacity, size_t *length,
        mote_error *err);
MOTE_API mote_status mote_chat_render(const mote_chat_format *format,
        const mote_tokenizer *tokenizer, const char *messages, size_t n_bytes,
        uint32_t flags, const char *tools, size_t tools_bytes, int32_t *tokens,
        size_t capacity, size_t *n_tokens, mote_error *err);
MOTE_END_DECLS
#endif
