/* SPDX-License-Identifier: MIT */
/**
 * @file tokenizer.h
 * @defgroup tokenizer Text to tokens and back
 *
 * A tokenizer is immutable after opening and may be used from any number of threads.
 * A model that has a tokenizer owns it (mote_model_tokenizer()); one may also be opened
 * alone. Encoding is byte-level BPE as tokenizer.json or tiktoken.model states it;
 * decoding gives back the exact bytes.
 *
 * @code
 * mote_tokenizer *tok;
 * int32_t ids[64];
 * size_t n;
 * mote_tokenizer_open(&tok, "path/to/checkpoint", NULL);
 * mote_tokenizer_encode(tok, "Hello", 5, MOTE_ENCODE_BOS, ids, 64, &n, NULL);
 * mote_tokenizer_close(tok);
 * @endcode
 * @{
 */
#ifndef MOTE_TOKENIZER_H
#define MOTE_TOKENIZER_H
#include "common.h"
MOTE_BEGIN_DECLS

/** A vocabulary with its merges and added tokens. */
typedef struct mote_tokenizer mote_tokenizer;
/** Turns a stream of tokens into text, never splitting a character. */
typedef struct mote_decoder mote_decoder;

/** Open from a directory that holds tokenizer.json and, if present,
 *  tokenizer_config.json, or tiktoken.model with tokenizer_config.json (Moonlight,
 *  Kimi-K2), or from the path of a tokenizer.json or tiktoken.model.
 *  @param out  receives the tokenizer; yours until mote_tokenizer_close()
 *  @since 0.1 */
MOTE_API mote_status mote_tokenizer_open(
        mote_tokenizer **out, const char *path, mote_error *err);
/** Open from the text of tokenizer.json and, optionally (NULL, 0), of
 *  tokenizer_config.json. The texts are borrowed for the call. @since 0.1 */
MOTE_API mote_status mote_tokenizer_open_memory(mote_tokenizer **out,
        const char *tokenizer_json, size_t tokenizer_json_size, const char *config_json,
        size_t config_json_size, mote_error *err);
/** Close a tokenizer that was opened alone. NULL is allowed. @since 0.1 */
MOTE_API void mote_tokenizer_close(mote_tokenizer *tokenizer);

/** Put BOS first where tokenizer_config.json asks for it (add_bos_token). */
#define MOTE_ENCODE_BOS 1u
/** Read the text of control tokens as those tokens. Without it they stay text. */
#define MOTE_ENCODE_SPECIAL 2u

/** Encode @p n_bytes of text; any bytes are allowed.
 *  @param flags     MOTE_ENCODE_... or 0
 *  @param tokens    receives at most @p capacity ids; may be NULL when capacity is 0
 *  @param n_tokens  receives the full count, even when it exceeds @p capacity
 *  @return MOTE_OK also when the ids did not fit: compare @p n_tokens with
 *          @p capacity. MOTE_E_UNSUPPORTED where the vocabulary lacks a byte.
 *  Thread-safety: any thread. @since 0.1 */
MOTE_API mote_status mote_tokenizer_encode(const mote_tokenizer *tokenizer,
        const char *text, size_t n_bytes, uint32_t flags, int32_t *tokens,
        size_t capacity, size_t *n_tokens, mote_error *err);

/** Leave out added tokens that are marked special (BOS, EOS, padding, tool tags ...).
 */
#define MOTE_DECODE_SKIP_SPECIAL 1u

/** Decode tokens to bytes (not NUL-terminated).
 *  @param n_bytes  receives the full length, even when it exceeds @p capacity
 *  @return MOTE_OK, or MOTE_E_INVALID for an id without a token. Any thread. @since 0.1
 */
MOTE_API mote_status mote_tokenizer_decode(const mote_tokenizer *tokenizer,
        const int32_t *tokens, size_t n_tokens, uint32_t flags, char *text,
        size_t capacity, size_t *n_bytes, mote_error *err);

/** Bytes of one token, borrowed from the tokenizer, or NULL for an id without a token.
 *  @param n_bytes  receives the length. Any thread. @since 0.1 */
MOTE_API const char *mote_tokenizer_token(
        const mote_tokenizer *tokenizer, int32_t token, size_t *n_bytes);
/** Id of an added (control) token by its exact text, or -1. Any thread. @since 0.1 */
MOTE_API int32_t mote_tokenizer_find(
        const mote_tokenizer *tokenizer, const char *text, size_t n_bytes);
/** 1 when the token is an added token marked special, else 0. Any thread. @since 0.1 */
MOTE_API int32_t mote_tokenizer_is_special(
        const mote_tokenizer *tokenizer, int32_t token);
/** One more than the highest id that has a token. Any thread. @since 0.1 */
MOTE_API int32_t mote_tokenizer_size(const mote_tokenizer *tokenizer);
/** Id of the beginning-of-sentence token, or -1. Any thread. @since 0.1 */
MOTE_API int32_t mote_tokenizer_bos(const mote_tokenizer *tokenizer);
/** Id of the end-of-sentence token, or -1. Any thread. @since 0.1 */
MOTE_API int32_t mote_tokenizer_eos(const mote_tokenizer *tokenizer);
/** 1 when ::MOTE_ENCODE_BOS adds a token. Any thread. @since 0.1 */
MOTE_API int32_t mote_tokenizer_adds_bos(const mote_tokenizer *tokenizer);

/** Begin decoding a stream. @param flags MOTE_DECODE_... or 0. The tokenizer must
 *  outlive the decoder. One thread at a time. @since 0.1 */
MOTE_API mote_status mote_decoder_open(mote_decoder **out,
        const mote_tokenizer *tokenizer, uint32_t flags, mote_error *err);
/** Add a token; receive the text that is now complete.
 *  @param text     receives a pointer, borrowed until the next call on the decoder
 *  @param n_bytes  receives its length, 0 while a character is incomplete
 *  @since 0.1 */
MOTE_API mote_status mote_decoder_push(mote_decoder *decoder, int32_t token,
        const char **text, size_t *n_bytes, mote_error *err);
/** Receive the bytes still held back (an incomplete character), as they are.
 *  The decoder is then as new. @since 0.1 */
MOTE_API mote_status mote_decoder_finish(
        mote_decoder *decoder, const char **text, size_t *n_bytes, mote_error *err);
/** Close; NULL is allowed. @since 0.1 */
MOTE_API void mote_decoder_close(mote_decoder *decoder);

MOTE_END_DECLS
/** @} */
#endif
