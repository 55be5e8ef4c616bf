/* SPDX-License-Identifier: MIT */
/* tiktoken.model, the vocabulary of Moonlight and Kimi-K2: each line has a token's
 * bytes in base64 and its rank, which is its id. Two neighbours merge where their
 * joined bytes are a token, the lowest rank first.
 *
 * What those checkpoints state in Python and not in data is stated here: the pattern
 * that cuts text, and that the 256 ids after the vocabulary are control tokens, named
 * by added_tokens_decoder of tokenizer_config.json or else <|reserved_token_ID|>. */
#include "base/status.h"
#include "tokenizer_parts.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RESERVED = 256,
    RESERVED_NAME_MAX = 32,
    LINE_BYTES_MAX = 256 /* of a token; bounds the search for merges */
};
static const char model_file[] = "tiktoken.model";
static const char config_file[] = "tokenizer_config.json";
static const char tokenizer_class[] = "TikTokenTokenizer";

/* Words in upper or lower case take one sign before them and an English ending. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define BEFORE "[^\\r\\n\\p{L}\\p{N}]?"
#define ENDING "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
static const char pattern[] =
        "[\\p{Han}]+|" BEFORE UPPER "*" LOWER "+" ENDING "|" BEFORE UPPER "+" LOWER
        "*" ENDING "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
        "\\s+(?!\\S)|\\s+";

/* ---- lines ---- */

typedef struct line {
    uint8_t bytes[LINE_BYTES_MAX];
    size_t n;
    uint32_t rank;
} line;

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 with its padding; false where it is none or too long. */
static bool read_bytes(line *l, const char *s, size_t n)
{
    uint32_t bits = 0;
    size_t pad = 0;
    while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
        pad++;
    l->n = 0;
    if (n == 0 || n % 4 != 0 || n / 4 * 3 - pad > LINE_BYTES_MAX)
        return false;
    for (size_t i = 0; i < n - pad; i++) {
        int v = sextet(s[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 != 0)
            l->bytes[l->n++] = (uint8_t)(bits >> (6 - i % 4 * 2));
    }
    /* What padding cuts off is zero. */
    return pad == 0 || (bits & (pad == 1 ? 3u : 15u)) == 0;
}

static bool read_rank(uint32_t *rank, const char *s, size_t n)
{
    *rank = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *rank = *rank * 10 + (uint32_t)(s[i] - '0');
        if (*rank >= MOTE__IDS_MAX)
            return false;
    }
    return n > 0;
}

/* The line at *at, which moves behind it; 0 at the end of the text. */
static int next_line(line *l, const char *text, size_t size, size_t *at, size_t *number,
        mote_status *st, mote_error *err)
{
    size_t n = 0;
    const char *s = text;
    do { /* empty lines are passed over */
        if (*at >= size)
            return 0;
        s = text + *at;
        const char *end = memchr(s, '\n', size - *at);
        n = end ? (size_t)(end - s) : size - *at;
        *at += n + (end ? 1 : 0);
        n -= n > 0 && s[n - 1] == '\r' ? 1 : 0;
        ++*number;
    } while (n == 0);
    const char *space = memchr(s, ' ', n);
    size_t n_bytes = space ? (size_t)(space - s) : 0;
    if (space && read_bytes(l, s, n_bytes) &&
            read_rank(&l->rank, space + 1, n - n_bytes - 1))
        return 1;
    *st = mote__fail(err, MOTE_E_FORMAT,
            "%s: line %zu: expected base64 of 1 to %d bytes, a space and a rank below "
            "%d",
            model_file, *number, LINE_BYTES_MAX, MOTE__IDS_MAX);
    return 0;
}

/* ---- control tokens ---- */

static mote_status check_class(const json_t *config, mote_error *err)
{
    const json_t *name = json_object_get(config, "tokenizer_class");
    if (json_is_string(name) && strcmp(json_string_value(name), tokenizer_class) == 0)
        return MOTE_OK;
    return mote__fail(err, MOTE_E_UNSUPPORTED,
            "%s needs a %s with tokenizer_class %s (Moonlight, Kimi-K2), found %.100s",
            model_file, config_file, tokenizer_class,
            json_is_string(name) ? json_string_value(name) : "none");
}

/* The id that a key of added_tokens_decoder states; -1: none. */
static int32_t id_of_key(const char *key)
{
    uint32_t id;
    return read_rank(&id, key, strlen(key)) ? (int32_t)id : -1;
}

/* Room for control tokens: ids and bytes. */
static mote_status measure_added(json_t *decoder, size_t n_base, size_t *n_ids,
        size_t *n_bytes, size_t added_bytes[2], mote_error *err)
{
    const char *key;
    json_t *value;
    if (decoder && !json_is_object(decoder))
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: added_tokens_decoder: expected an object", config_file);
    *n_ids = n_base + RESERVED;
    added_bytes[0] = RESERVED * RESERVED_NAME_MAX;
    added_bytes[1] = 0;
    json_object_foreach(decoder, key, value)
    {
        int32_t id = id_of_key(key);
        const json_t *content = json_object_get(value, "content");
        if (id < 0 || (size_t)id < n_base || !json_is_string(content))
            return mote__fail(err, MOTE_E_FORMAT,
                    "%s: added_tokens_decoder: \"%.40s\": expected an id from %zu "
                    "to %d and an object with content",
                    config_file, key, n_base, MOTE__IDS_MAX - 1);
        *n_ids = (size_t)id >= *n_ids ? (size_t)id + 1 : *n_ids;
        added_bytes[json_is_true(json_object_get(value, "normalized"))] +=
                json_string_length(content);
    }
    *n_bytes += added_bytes[0] + added_bytes[1];
    if (*n_ids > MOTE__IDS_MAX || *n_bytes > INT32_MAX)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "%s: %zu tokens of %zu bytes: at most %d of 2^31-1 are supported",
                model_file, *n_ids, *n_bytes, MOTE__IDS_MAX);
    return MOTE_OK;
}

static mote_status put_control(mote_tokenizer *t, json_t *decoder, size_t n_base,
        size_t *used, mote_error *err)
{
    const char *key;
    json_t *value;
    mote_status st = MOTE_OK;
    json_object_foreach(decoder, key, value)
    {
        st = mote__tokenizer_read_added(
                t, used, (uint32_t)id_of_key(key), value, config_file, err);
        if (st < 0)
            return st;
    }
    for (uint32_t id = (uint32_t)n_base; id < n_base + RESERVED && st >= 0; id++) {
        char name[RESERVED_NAME_MAX];
        int n = snprintf(name, sizeof name, "<|reserved_token_%u|>", (unsigned)id);
        if (t->bpe.span[id][1] == 0)
            st = mote__tokenizer_put_added(
                    t, used, id, name, (size_t)n, true, false, model_file, err);
    }
    return st;
}

/* ---- merges ---- */

typedef struct cut {
    uint32_t left, right, id;
} cut;

/* Each way to cut a token into two tokens is a merge of the token's rank. */
static int find_cuts(cut **cuts, size_t *n_cuts, const mote__bpe *b, size_t n_base)
{
    size_t capacity = 0;
    for (size_t id = 0; id < n_base; id++) {
        const uint8_t *s = b->blob + b->span[id][0];
        size_t n = b->span[id][1];
        for (size_t k = 1; k < n; k++) {
            int32_t left = mote__bpe_find(b, s, k);
            int32_t right = left < 0 ? -1 : mote__bpe_find(b, s + k, n - k);
            if (right < 0)
                continue;
            void *p = *cuts;
            if (mote__grow(&p, &capacity, *n_cuts + 1, sizeof **cuts) < 0)
                return -1;
            *cuts = p;
            (*cuts)[(*n_cuts)++] = (cut){(uint32_t)left, (uint32_t)right, (uint32_t)id};
        }
    }
    return 0;
}

static mote_status add_merges(mote_tokenizer *t, size_t n_base, mote_error *err)
{
    cut *cuts = NULL;
    size_t n = 0;
    mote_status st = find_cuts(&cuts, &n, &t->bpe, n_base) < 0
                             ? mote__fail_memory(err, n * sizeof *cuts,
                                       "the merges of a tokenizer")
                             : mote__tokenizer_merge_table(t, n, err);
    /* Two tokens join to one token only: no pair comes twice. */
    for (size_t i = 0; i < n && st >= 0; i++)
        (void)mote__bpe_add_merge(
                &t->bpe, cuts[i].left, cuts[i].right, cuts[i].id, cuts[i].id);
    free(cuts);
    return st;
}

/* ---- the whole ---- */

static mote_status read_tokens(
        mote_tokenizer *t, const char *text, size_t size, size_t *used, mote_error *err)
{
    line l;
    size_t at = 0, number = 0;
    mote_status st = MOTE_OK;
    while (next_line(&l, text, size, &at, &number, &st, err)) {
        if (t->bpe.span[l.rank][1])
            return mote__fail(err, MOTE_E_FORMAT,
                    "%s: line %zu: the rank %u is there twice", model_file, number,
                    (unsigned)l.rank);
        if (mote__bpe_find(&t->bpe, l.bytes, l.n) >= 0)
            return mote__fail(err, MOTE_E_FORMAT,
                    "%s: line %zu: the token is there twice", model_file, number);
        st = mote__tokenizer_put(t, used, l.rank, l.bytes, l.n, model_file, err);
        if (st < 0)
            return st;
        mote__bpe_add_token(&t->bpe, l.rank);
    }
    return st;
}

mote_status mote__read_tiktoken(mote_tokenizer *t, const char *text, size_t size,
        const json_t *config, mote_error *err)
{
    line l;
    json_t *decoder = json_object_get(config, "added_tokens_decoder");
    size_t at = 0, number = 0, n_tokens = 0, n_base = 0, n_ids = 0, n_bytes = 0,
           added_bytes[2], used = 0;
    mote_status st = check_class(config, err);
    while (st >= 0 && next_line(&l, text, size, &at, &number, &st, err)) {
        n_base = l.rank >= n_base ? (size_t)l.rank + 1 : n_base;
        n_bytes += l.n;
        n_tokens++;
    }
    if (st >= 0 && n_tokens == 0)
        st = mote__fail(err, MOTE_E_FORMAT, "%s: no tokens", model_file);
    if (st >= 0)
        st = measure_added(decoder, n_base, &n_ids, &n_bytes, added_bytes, err);
    if (st < 0)
        return st;
    st = mote__tokenizer_tables(t, n_ids, n_bytes, n_tokens, added_bytes, err);
    if (st < 0)
        return st;
    t->bpe.ignore_merges = true; /* a piece that is a token is taken as it is */
    t->bpe.ranks_are_ids = true;
    if ((st = read_tokens(t, text, size, &used, err)) < 0 ||
            (st = put_control(t, decoder, n_base, &used, err)) < 0 ||
            (st = add_merges(t, n_base, err)) < 0)
        return st;
    mote__bpe_freeze(&t->bpe);
    st = mote__splitter_add(&t->splitter, pattern, sizeof pattern - 1, false, err);
    return st < 0 ? st : mote__splitter_freeze(&t->splitter, err);
}
