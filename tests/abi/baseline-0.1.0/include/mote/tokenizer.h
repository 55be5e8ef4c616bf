/* SPDX-License-Identifier: MIT */
#ifndef MOTE_TOKENIZER_H
#define MOTE_TOKENIZER_H
#include "common.h"
MOTE_BEGIN_DECLS
typedef struct mote_tokenizer mote_tokenizer;
typedef struct mote_decoder mote_decoder;
MOTE_API mote_status mote_tokenizer_open(
        mote_tokenizer **out, const char *path, mote_error *err);
MOTE_API mote_status mote_tokenizer_open_memory(mote_tokenizer **out,
        const char *tokenizer_json, size_t tokenizer_json_size, const char *config_json,
        size_t config_json_size, mote_error *err);
MOTE_API void mote_tokenizer_close(mote_tokenizer *tokenizer);
#define MOTE_ENCODE_BOS 1u
#define MOTE_ENCODE_SPECIAL 2u
MOTE_API mote_status mote_tokenizer_encode(const mote_tokenizer *tokenizer,
        const char *text, size_t n_bytes, uint32_t flags, int32_t *tokens,
        size_t capacity, size_t *n_tokens, mote_error *err);
#define MOTE_DECODE_SKIP_SPECIAL 1u
MOTE_API mote_status mote_tokenizer_decode(const mote_tokenizer *tokenizer,
        const int32_t *tokens, size_t n_tokens, uint32_t flags, char *text,
        size_t capacity, size_t *n_bytes, mote_error *err);
MOTE_API const char *mote_tokenizer_token(
        const mote_tokenizer *tokenizer, int32_t token, size_t *n_bytes);
MOTE_API int32_t mote_tokenizer_find(
        const mote_tokenizer *tokenizer, const char *text, size_t n_bytes);
MOTE_API int32_t mote_tokenizer_is_special(
        const mote_tokenizer *tokenizer, int32_t token);
MOTE_API int32_t mote_tokenizer_size(const mote_tokenizer *tokenizer);
MOTE_API int32_t mote_tokenizer_bos(const mote_tokenizer *tokenizer);
MOTE_API int32_t mote_tokenizer_eos(const mote_tokenizer *tokenizer);
MOTE_API int32_t mote_tokenizer_adds_bos(const mote_tokenizer *tokenizer);
MOTE_API mote_status mote_decoder_open(mote_decoder **out,
        const mote_tokenizer *tokenizer, uint32_t flags, mote_error *err);
MOTE_API mote_status mote_decoder_push(mote_decoder *decoder, int32_t token,
        const char **text, size_t *n_bytes, mote_error *err);
MOTE_API mote_status mote_decoder_finish(
        mote_decoder *decoder, const char **text, size_t *n_bytes, mote_error *err);
MOTE_API void mote_decoder_close(mote_decoder *decoder);
MOTE_END_DECLS
#endif
