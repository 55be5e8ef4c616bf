/* SPDX-License-Identifier: MIT */
/**
 * @file chat.h
 * @defgroup chat Conversations in the model's own format
 *
 * A chat format turns a list of messages into the tokens a model was trained on, and
 * tells how to read its reply (where reasoning ends, how tools are called). Formats are
 * built in and known by name; a checkpoint's own is found from the template in its
 * tokenizer_config.json. Messages and tools are JSON in the shape everybody knows:
 * `[{"role":"user","content":"Hello"}]`.
 *
 * @code
 * const mote_chat_format *f = mote_chat_format_find("deepseek-r1", NULL);
 * mote_chat_render(f, tok, "[{\"role\":\"user\",\"content\":\"Hi\"}]", 34,
 *         MOTE_CHAT_GENERATE, NULL, 0, ids, 64, &n, NULL);
 * @endcode
 * @{
 */
#ifndef MOTE_CHAT_H
#define MOTE_CHAT_H
#include "common.h"
#include "tokenizer.h"
MOTE_BEGIN_DECLS

/** A built-in chat format. Static: lives as long as the library; any thread. */
typedef struct mote_chat_format mote_chat_format;

/** Format by name: "deepseek-v2", "deepseek-v3", "deepseek-v3-0324", "deepseek-r1",
 *  "deepseek-r1-initial", "deepseek-r1-0528", "deepseek-v3.1", "deepseek-v3.2",
 *  "moonlight", "kimi-k2", and the tool-calling variants "deepseek-v3-tools",
 *  "deepseek-r1-tools", "deepseek-v3.1-tools". NULL with @p err filled when the name is
 *  not known. @since 0.1 */
MOTE_API const mote_chat_format *mote_chat_format_find(const char *name, mote_error *err);
/** The @p index-th format, or NULL past the last. @since 0.1 */
MOTE_API const mote_chat_format *mote_chat_format_at(uint32_t index);
/** Format that a checkpoint's tokenizer was published with, recognised by its template.
 *  NULL with @p err filled (MOTE_E_UNSUPPORTED) when it has none or an unknown one.
 *  @since 0.1 */
MOTE_API const mote_chat_format *mote_chat_format_of(
        const mote_tokenizer *tokenizer, mote_error *err);
/** Name of a format. @since 0.1 */
MOTE_API const char *mote_chat_format_name(const mote_chat_format *format);

#define MOTE_CHAT_GENERATE 1u /**< end with the opening of an assistant reply */
#define MOTE_CHAT_THINK 2u    /**< reasoning on, where the format has a switch */
/** Keep the reasoning of earlier turns, where the format would drop it. */
#define MOTE_CHAT_KEEP_REASONING 4u

/** Render messages as text, control tokens spelled out (for logs and tests).
 *  @param messages  JSON array of messages, @p n_bytes long, borrowed
 *  @param flags     MOTE_CHAT_...; those that mean nothing to a format are passed over
 *  @param tools     JSON array of tool descriptions, or NULL and 0
 *  @param text      receives at most @p capacity bytes, not NUL-terminated
 *  @param length    receives the full length
 *  @return MOTE_OK; MOTE_E_FORMAT for JSON or messages the format cannot express;
 *          MOTE_E_UNSUPPORTED for tools where the format has no place for them.
 *  @since 0.1 */
MOTE_API mote_status mote_chat_render_text(const mote_chat_format *format,
        const char *messages, size_t n_bytes, uint32_t flags, const char *tools,
        size_t tools_bytes, char *text, size_t capacity, size_t *length,
        mote_error *err);

/** Render messages straight to tokens. Control-token text inside contents stays text
 *  (only the think tags in an assistant's own content are its tags again).
 *  BOS is included where the format has it: do not add another.
 *  @param tokens    receives at most @p capacity ids
 *  @param n_tokens  receives the full count
 *  @return MOTE_OK; MOTE_E_UNSUPPORTED where the tokenizer lacks a control token of the
 *          format. @since 0.1 */
MOTE_API mote_status mote_chat_render(const mote_chat_format *format,
        const mote_tokenizer *tokenizer, const char *messages, size_t n_bytes,
        uint32_t flags, const char *tools, size_t tools_bytes, int32_t *tokens,
        size_t capacity, size_t *n_tokens, mote_error *err);

MOTE_END_DECLS
/** @} */
#endif
