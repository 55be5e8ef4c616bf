/* SPDX-License-Identifier: MIT */
/* What a tokenizer is made of, for the files that build and use it. */
#ifndef MOTE_TEXT_TOKENIZER_PARTS_H
#define MOTE_TEXT_TOKENIZER_PARTS_H
#include "added_tokens.h"
#include "bpe.h"
#include "splitter.h"
#include "tokenizer.h"

enum {
    /* flags of a token */
    MOTE__TOKEN_SPECIAL = 1,
    MOTE__TOKEN_ADDED = 2,
    /* limits */
    MOTE__IDS_MAX = 1 << 22, /* sixteen times the largest vocabulary in use */
    MOTE__TOKEN_BYTES_MAX = 1 << 16
};

struct mote_tokenizer {
    mote__memory *memory; /* NULL: the C library */
    mote__bpe bpe;
    mote__splitter splitter;
    /* Added tokens that match before normalisation, then the others in what is left:
     * the order of the reference implementation, which matters where two overlap. */
    mote__added added[2];
    uint8_t *flags; /* [bpe.n_ids] MOTE__TOKEN_... */
    size_t n_flags;
    size_t longest_token; /* bytes, of any token */
    int32_t bos, eos;
    bool adds_bos;
    char *chat_template; /* NUL-terminated, or NULL */
    size_t chat_template_size;
    /* Of the vocabulary, for schemas: made when the first one is opened. */
    struct mote__schema_words *_Atomic schema_words;
};

struct mote_decoder {
    const mote_tokenizer *tokenizer;
    uint32_t flags;
    size_t held; /* bytes kept for later, at buffer[at] */
    size_t at;
    size_t capacity;
    uint8_t *buffer; /* [capacity]: the longest token after three held bytes */
};

/* Bytes of a token, or NULL. */
const uint8_t *mote__tokenizer_bytes(const mote_tokenizer *t, int32_t id, size_t *n);
/* Id of an added token by its text, or -1. */
int32_t mote__tokenizer_find_added(const mote_tokenizer *t, const char *text, size_t n);
/* Encode; see mote_tokenizer_encode(). */
mote_status mote__tokenizer_encode(const mote_tokenizer *t, const uint8_t *text,
        size_t n, uint32_t flags, int32_t *ids, size_t capacity, size_t *n_ids,
        mote_error *err);
void mote__tokenizer_close(mote_tokenizer *t);

/* See mote_decoder_...(); arguments were checked. */
mote_status mote__decoder_open(mote_decoder **out, const mote_tokenizer *tokenizer,
        uint32_t flags, mote_error *err);
mote_status mote__decoder_push(mote_decoder *d, int32_t token, const char **text,
        size_t *n_bytes, mote_error *err);
void mote__decoder_finish(mote_decoder *d, const char **text, size_t *n_bytes);
void mote__decoder_close(mote_decoder *d);

/* ---- opening: each reads one part of a file into a zeroed tokenizer ---- */
struct json_t;
/* Allocate the tables of tokens and added tokens, but not of merges; added_bytes: of
 * those that match before normalisation, then of the others. */
mote_status mote__tokenizer_tables(mote_tokenizer *t, size_t n_ids, size_t n_bytes,
        size_t n_tokens, const size_t added_bytes[2], mote_error *err);
mote_status mote__tokenizer_merge_table(
        mote_tokenizer *t, size_t n_merges, mote_error *err);
/* Enter the bytes of a token whose tables are there; `used` counts bytes of the blob.
 */
mote_status mote__tokenizer_put(mote_tokenizer *t, size_t *used, uint32_t id,
        const uint8_t *bytes, size_t n, const char *file, mote_error *err);
/* Enter an added token, whose bytes may be there already. */
mote_status mote__tokenizer_put_added(mote_tokenizer *t, size_t *used, uint32_t id,
        const char *text, size_t n, bool special, bool normalized, const char *file,
        mote_error *err);
/* The same, as JSON states it: content, special, normalized. */
mote_status mote__tokenizer_read_added(mote_tokenizer *t, size_t *used, uint32_t id,
        const struct json_t *added, const char *file, mote_error *err);
/* The whole of tiktoken.model, with the control tokens of tokenizer_config.json. */
mote_status mote__read_tiktoken(mote_tokenizer *t, const char *text, size_t size,
        const struct json_t *config, mote_error *err);
/* vocab, merges and added_tokens */
mote_status mote__read_vocabulary(
        mote_tokenizer *t, const struct json_t *root, mote_error *err);
/* normalizer, pre_tokenizer, post_processor, decoder */
mote_status mote__read_pipeline(
        mote_tokenizer *t, const struct json_t *root, mote_error *err);
#endif
