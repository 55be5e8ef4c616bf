/* SPDX-License-Identifier: MIT */
/* mote/tokenizer.h: arguments are checked here, the work is done in lib/text. */
#include "base/status.h"
#include "file/os_file.h"
#include "text/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- files ---- */

enum { TEXT_BYTES_MAX = 1 << 28 }; /* the largest tokenizer.json in use has 2^25 */

/* A text beside tokenizer.json; *out stays NULL where there is none. */
static mote_status read_beside(char **out, size_t *size, const char *directory,
        const char *name, mote_error *err)
{
    mote_status st = MOTE_OK;
    char *path = mote__path_join(directory, name);
    if (!path)
        return mote__fail_memory(err, strlen(directory), "a path");
    if (mote__path_kind(path) != MOTE__PATH_ABSENT)
        st = mote__file_read_all(out, size, path, TEXT_BYTES_MAX, err);
    free(path);
    return st;
}

/* A path to a file: its directory, from malloc, and its name within `path`. */
static char *split_path(const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
#ifdef _WIN32
    const char *back = strrchr(path, '\\');
    slash = !slash || (back && back > slash) ? back : slash;
#endif
    *name = slash ? slash + 1 : path;
    size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 1;
    char *directory = malloc(n + 1);
    if (directory) {
        memcpy(directory, slash ? path : ".", n);
        directory[n] = '\0';
    }
    return directory;
}

mote_status mote_tokenizer_open(mote_tokenizer **out, const char *path, mote_error *err)
{
    char *text = NULL, *ranks = NULL, *config = NULL, *jinja = NULL, *parent = NULL;
    mote__tokenizer_texts texts = {0};
    /* Names of the files to look for; NULL: not for that. */
    const char *directory = path, *json = "tokenizer.json",
               *tiktoken = "tiktoken.model";
    mote__clear(err);
    if (!out)
        return mote__fail(err, MOTE_E_INVALID, "no place for the tokenizer");
    *out = NULL;
    if (!path || !*path)
        return mote__fail(err, MOTE_E_INVALID, "no path");
    mote_status st = MOTE_OK;
    if (mote__path_kind(path) != MOTE__PATH_DIRECTORY) {
        const char *name;
        directory = parent = split_path(path, &name);
        if (!parent)
            return mote__fail_memory(err, strlen(path), "a path");
        if (strcmp(name, tiktoken) == 0) {
            json = NULL;
        } else {
            json = name;
            tiktoken = NULL;
        }
    }
    if (json &&
            (st = read_beside(&text, &texts.tokenizer_size, directory, json, err)) < 0)
        goto out;
    if (tiktoken && !text &&
            (st = read_beside(&ranks, &texts.tiktoken_size, directory, tiktoken, err)) <
                    0)
        goto out;
    if (!text && !ranks) {
        st = mote__fail(err, MOTE_E_NOT_FOUND, "no file %.100s%s%s in %.300s",
                json ? json : "", json && tiktoken ? " or " : "",
                tiktoken ? tiktoken : "", directory);
        goto out;
    }
    if ((st = read_beside(&config, &texts.config_size, directory,
                 "tokenizer_config.json", err)) < 0)
        goto out;
    if ((st = read_beside(&jinja, &texts.chat_template_size, directory,
                 "chat_template.jinja", err)) < 0)
        goto out;
    texts.tokenizer = text;
    texts.tiktoken = ranks;
    texts.config = config;
    texts.chat_template = jinja;
    st = mote__tokenizer_open_texts(out, NULL, &texts, err);
out:
    free(parent);
    free(text);
    free(ranks);
    free(config);
    free(jinja);
    return st;
}

mote_status mote_tokenizer_open_memory(mote_tokenizer **out, const char *tokenizer_json,
        size_t tokenizer_json_size, const char *config_json, size_t config_json_size,
        mote_error *err)
{
    mote__clear(err);
    if (!out)
        return mote__fail(err, MOTE_E_INVALID, "no place for the tokenizer");
    *out = NULL;
    if (!tokenizer_json || (!config_json && config_json_size))
        return mote__fail(
                err, MOTE_E_INVALID, "no text of tokenizer.json or its config");
    mote__tokenizer_texts texts = {.tokenizer = tokenizer_json,
            .tokenizer_size = tokenizer_json_size,
            .config = config_json,
            .config_size = config_json_size};
    return mote__tokenizer_open_texts(out, NULL, &texts, err);
}

void mote_tokenizer_close(mote_tokenizer *tokenizer)
{
    if (tokenizer)
        mote__tokenizer_close(tokenizer);
}

/* ---- encoding and decoding ---- */

mote_status mote_tokenizer_encode(const mote_tokenizer *tokenizer, const char *text,
        size_t n_bytes, uint32_t flags, int32_t *tokens, size_t capacity,
        size_t *n_tokens, mote_error *err)
{
    mote__clear(err);
    if (n_tokens)
        *n_tokens = 0;
    if (!tokenizer || !n_tokens || (!text && n_bytes) || (!tokens && capacity))
        return mote__fail(err, MOTE_E_INVALID,
                "no tokenizer, no text or no place for its tokens");
    if (flags & ~(MOTE_ENCODE_BOS | MOTE_ENCODE_SPECIAL))
        return mote__fail(err, MOTE_E_INVALID, "unknown flags 0x%X", (unsigned)flags);
    return mote__tokenizer_encode(tokenizer, (const uint8_t *)text, n_bytes, flags,
            tokens, capacity, n_tokens, err);
}

mote_status mote_tokenizer_decode(const mote_tokenizer *tokenizer,
        const int32_t *tokens, size_t n_tokens, uint32_t flags, char *text,
        size_t capacity, size_t *n_bytes, mote_error *err)
{
    size_t total = 0;
    mote__clear(err);
    if (n_bytes)
        *n_bytes = 0;
    if (!tokenizer || !n_bytes || (!tokens && n_tokens) || (!text && capacity))
        return mote__fail(err, MOTE_E_INVALID,
                "no tokenizer, no tokens or no place for their text");
    if (flags & ~MOTE_DECODE_SKIP_SPECIAL)
        return mote__fail(err, MOTE_E_INVALID, "unknown flags 0x%X", (unsigned)flags);
    for (size_t i = 0; i < n_tokens; i++) {
        size_t n = 0;
        const uint8_t *bytes = mote__tokenizer_bytes(tokenizer, tokens[i], &n);
        if (!bytes)
            return mote__fail(err, MOTE_E_INVALID, "there is no token with id %d",
                    (int)tokens[i]);
        if ((flags & MOTE_DECODE_SKIP_SPECIAL) &&
                (tokenizer->flags[tokens[i]] & MOTE__TOKEN_SPECIAL))
            continue;
        if (total < capacity)
            memcpy(text + total, bytes, n < capacity - total ? n : capacity - total);
        total += n;
    }
    *n_bytes = total;
    return MOTE_OK;
}

/* ---- asking ---- */

const char *mote_tokenizer_token(
        const mote_tokenizer *tokenizer, int32_t token, size_t *n_bytes)
{
    size_t n = 0;
    const uint8_t *bytes =
            tokenizer ? mote__tokenizer_bytes(tokenizer, token, &n) : NULL;
    if (n_bytes)
        *n_bytes = n;
    return (const char *)bytes;
}

int32_t mote_tokenizer_find(
        const mote_tokenizer *tokenizer, const char *text, size_t n_bytes)
{
    return tokenizer && text ? mote__tokenizer_find_added(tokenizer, text, n_bytes)
                             : -1;
}

int32_t mote_tokenizer_is_special(const mote_tokenizer *tokenizer, int32_t token)
{
    return tokenizer && token >= 0 && (size_t)token < tokenizer->n_flags &&
           (tokenizer->flags[token] & MOTE__TOKEN_SPECIAL);
}

int32_t mote_tokenizer_size(const mote_tokenizer *tokenizer)
{
    return tokenizer ? (int32_t)tokenizer->bpe.n_ids : 0;
}

int32_t mote_tokenizer_bos(const mote_tokenizer *tokenizer)
{
    return tokenizer ? tokenizer->bos : -1;
}

int32_t mote_tokenizer_eos(const mote_tokenizer *tokenizer)
{
    return tokenizer ? tokenizer->eos : -1;
}

int32_t mote_tokenizer_adds_bos(const mote_tokenizer *tokenizer)
{
    return tokenizer && tokenizer->adds_bos;
}

/* ---- streams ---- */

mote_status mote_decoder_open(mote_decoder **out, const mote_tokenizer *tokenizer,
        uint32_t flags, mote_error *err)
{
    mote__clear(err);
    if (!out)
        return mote__fail(err, MOTE_E_INVALID, "no place for the decoder");
    *out = NULL;
    if (!tokenizer)
        return mote__fail(err, MOTE_E_INVALID, "no tokenizer");
    if (flags & ~MOTE_DECODE_SKIP_SPECIAL)
        return mote__fail(err, MOTE_E_INVALID, "unknown flags 0x%X", (unsigned)flags);
    return mote__decoder_open(out, tokenizer, flags, err);
}

static mote_status check_decoder(
        mote_decoder *d, const char **text, size_t *n_bytes, mote_error *err)
{
    mote__clear(err);
    if (text)
        *text = "";
    if (n_bytes)
        *n_bytes = 0;
    if (!d || !text || !n_bytes)
        return mote__fail(err, MOTE_E_INVALID, "no decoder or no place for its text");
    return MOTE_OK;
}

mote_status mote_decoder_push(mote_decoder *decoder, int32_t token, const char **text,
        size_t *n_bytes, mote_error *err)
{
    mote_status st = check_decoder(decoder, text, n_bytes, err);
    return st < 0 ? st : mote__decoder_push(decoder, token, text, n_bytes, err);
}

mote_status mote_decoder_finish(
        mote_decoder *decoder, const char **text, size_t *n_bytes, mote_error *err)
{
    mote_status st = check_decoder(decoder, text, n_bytes, err);
    if (st >= 0)
        mote__decoder_finish(decoder, text, n_bytes);
    return st;
}

void mote_decoder_close(mote_decoder *decoder)
{
    if (decoder)
        mote__decoder_close(decoder);
}
