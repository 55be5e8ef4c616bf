/* SPDX-License-Identifier: MIT */
/* vocab, merges and added tokens of tokenizer.json, as tables over raw bytes.
 *
 * Byte-level vocabularies spell each byte as a printable character; that spelling is
 * undone here, once, so that nothing later knows of it. */
#include "base/status.h"
#include "tokenizer_parts.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { SPELLING_END = 0x100 + 68 /* one past the last character of the spelling */ };

typedef struct reader {
    mote_tokenizer *t;
    int16_t byte_of[SPELLING_END]; /* by code point; -1: spells no byte */
    uint8_t *scratch;              /* bytes of one key or merge */
    size_t scratch_capacity;
    size_t blob_used;
    mote_error *err;
} reader;

static void spelling_init(reader *r)
{
    int next = 0x100;
    memset(r->byte_of, 0xff, sizeof r->byte_of);
    for (int b = 0; b < 256; b++) {
        bool itself = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        r->byte_of[itself ? b : next++] = (int16_t)b;
    }
}

/* Undo the spelling of s[0..n): the number of bytes, or -1 where a character spells
 * none. `out` has room for n bytes. */
static ptrdiff_t unspell(const reader *r, const char *s, size_t n, uint8_t *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c = (uint8_t)s[i++];
        if (c >= 0xC2 && c <= 0xC5 && i < n) /* two bytes: up to U+017F */
            c = (c & 0x1F) << 6 | ((uint8_t)s[i++] & 0x3F);
        else if (c >= 0x80)
            return -1;
        if (c >= SPELLING_END || r->byte_of[c] < 0)
            return -1;
        out[k++] = (uint8_t)r->byte_of[c];
    }
    return (ptrdiff_t)k;
}

static mote_status reserve_scratch(reader *r, size_t n)
{
    void *p = r->scratch;
    if (mote__grow(&p, &r->scratch_capacity, n, 1) < 0)
        return mote__fail_memory(r->err, n, "a token");
    r->scratch = p;
    return MOTE_OK;
}

static mote_status set_token(reader *r, uint32_t id, const uint8_t *bytes, size_t n)
{
    return mote__tokenizer_put(
            r->t, &r->blob_used, id, bytes, n, "tokenizer.json", r->err);
}

/* ---- sizes first ---- */

static mote_status check_id(
        reader *r, const json_t *id, const char *text, uint32_t *out)
{
    json_int_t v = json_is_integer(id) ? json_integer_value(id) : -1;
    if (v < 0 || v >= MOTE__IDS_MAX)
        return mote__fail(r->err, MOTE_E_FORMAT,
                "tokenizer.json: id of \"%.100s\": expected 0 to %d, found %s%lld",
                text, MOTE__IDS_MAX - 1, json_is_integer(id) ? "" : "no integer ",
                json_is_integer(id) ? (long long)v : 0);
    *out = (uint32_t)v;
    return MOTE_OK;
}

static mote_status measure(reader *r, json_t *vocab, const json_t *added, size_t *n_ids,
        size_t *n_bytes, size_t added_bytes[2])
{
    const char *key;
    json_t *value;
    uint32_t id = 0;
    *n_ids = *n_bytes = added_bytes[0] = added_bytes[1] = 0;
    json_object_foreach(vocab, key, value)
    {
        mote_status st = check_id(r, value, key, &id);
        if (st < 0)
            return st;
        *n_ids = id >= *n_ids ? (size_t)id + 1 : *n_ids;
        *n_bytes += strlen(key);
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *a = json_array_get(added, i);
        const json_t *content = json_object_get(a, "content");
        if (!json_is_string(content))
            return mote__fail(r->err, MOTE_E_FORMAT,
                    "tokenizer.json: added token %zu has no content", i);
        mote_status st =
                check_id(r, json_object_get(a, "id"), json_string_value(content), &id);
        if (st < 0)
            return st;
        *n_ids = id >= *n_ids ? (size_t)id + 1 : *n_ids;
        *n_bytes += json_string_length(content);
        added_bytes[json_is_true(json_object_get(a, "normalized"))] +=
                json_string_length(content);
    }
    if (*n_ids == 0)
        return mote__fail(r->err, MOTE_E_FORMAT, "tokenizer.json: no tokens");
    if (*n_bytes > INT32_MAX)
        return mote__fail(r->err, MOTE_E_UNSUPPORTED,
                "tokenizer.json: vocabulary of %zu bytes: at most 2^31-1 are supported",
                *n_bytes);
    return MOTE_OK;
}

/* ---- filling in ---- */

static mote_status read_vocab(reader *r, json_t *vocab)
{
    mote__bpe *b = &r->t->bpe;
    const char *key;
    json_t *value;
    json_object_foreach(vocab, key, value)
    {
        uint32_t id = (uint32_t)json_integer_value(value);
        size_t n = strlen(key);
        mote_status st = reserve_scratch(r, n + 1);
        if (st < 0)
            return st;
        if (b->span[id][1])
            return mote__fail(r->err, MOTE_E_FORMAT,
                    "tokenizer.json: id %u belongs to two tokens, one is \"%.100s\"",
                    id, key);
        ptrdiff_t length = unspell(r, key, n, r->scratch);
        /* A key with other characters is no text that merging can make: only a control
         * token, which stands for its own characters. */
        if (length < 0)
            st = set_token(r, id, (const uint8_t *)key, n);
        else if ((st = set_token(r, id, r->scratch, (size_t)length)) >= 0)
            mote__bpe_add_token(b, id);
        if (st < 0)
            return st;
    }
    return MOTE_OK;
}

static mote_status read_merge(reader *r, const json_t *merge, size_t rank)
{
    mote__bpe *b = &r->t->bpe;
    const char *left = NULL, *right = NULL;
    size_t n_left = 0, n_right = 0;
    if (json_is_string(merge)) {
        left = json_string_value(merge);
        const char *space = strchr(left, ' ');
        right = space ? space + 1 : NULL;
        n_left = space ? (size_t)(space - left) : 0;
        n_right = space ? json_string_length(merge) - n_left - 1 : 0;
        if (right && memchr(right, ' ', n_right))
            right = NULL;
    } else if (json_is_array(merge) && json_array_size(merge) == 2) {
        left = json_string_value(json_array_get(merge, 0));
        right = json_string_value(json_array_get(merge, 1));
        n_left = json_string_length(json_array_get(merge, 0));
        n_right = json_string_length(json_array_get(merge, 1));
    }
    if (!left || !right || !n_left || !n_right)
        return mote__fail(r->err, MOTE_E_FORMAT,
                "tokenizer.json: merge %zu: expected \"a b\" or [\"a\", \"b\"]", rank);
    mote_status st = reserve_scratch(r, n_left + n_right);
    if (st < 0)
        return st;
    ptrdiff_t a = unspell(r, left, n_left, r->scratch);
    ptrdiff_t c = a < 0 ? -1 : unspell(r, right, n_right, r->scratch + a);
    int32_t left_id = -1, right_id = -1, id = -1;
    if (c > 0) {
        left_id = mote__bpe_find(b, r->scratch, (size_t)a);
        right_id = mote__bpe_find(b, r->scratch + a, (size_t)c);
        id = mote__bpe_find(b, r->scratch, (size_t)(a + c));
    }
    if (left_id < 0 || right_id < 0 || id < 0)
        return mote__fail(r->err, MOTE_E_FORMAT,
                "tokenizer.json: merge %zu, \"%.*s\" with \"%.*s\": %s is not in the "
                "vocabulary",
                rank, n_left > 80 ? 80 : (int)n_left, left,
                n_right > 80 ? 80 : (int)n_right, right,
                left_id < 0    ? "the first"
                : right_id < 0 ? "the second"
                               : "the result");
    if (mote__bpe_add_merge(b, (uint32_t)left_id, (uint32_t)right_id, (uint32_t)rank,
                (uint32_t)id) < 0)
        return mote__fail(r->err, MOTE_E_FORMAT,
                "tokenizer.json: merge %zu repeats an earlier one", rank);
    return MOTE_OK;
}

static mote_status read_added(reader *r, const json_t *vocab, const json_t *a)
{
    const char *text = json_string_value(json_object_get(a, "content"));
    uint32_t id = (uint32_t)json_integer_value(json_object_get(a, "id"));
    /* A token may stand in the vocabulary as well, if it is the same there. */
    const json_t *twin = json_object_get(vocab, text);
    if (twin && json_integer_value(twin) != (json_int_t)id)
        return mote__fail(r->err, MOTE_E_FORMAT,
                "tokenizer.json: the added token \"%.100s\" has id %u, and %lld in the "
                "vocabulary",
                text, id, (long long)json_integer_value(twin));
    return mote__tokenizer_read_added(
            r->t, &r->blob_used, id, a, "tokenizer.json", r->err);
}

/* Options of a BPE model. What would change the result is refused by name. */
static mote_status check_model(reader *r, const json_t *model)
{
    const json_t *type = json_object_get(model, "type");
    const json_t *dropout = json_object_get(model, "dropout");
    static const char *const affixes[] = {
            "continuing_subword_prefix", "end_of_word_suffix"};
    if (!json_is_object(model))
        return mote__fail(r->err, MOTE_E_FORMAT, "tokenizer.json: no model");
    if (type && (!json_is_string(type) || strcmp(json_string_value(type), "BPE") != 0))
        return mote__fail(r->err, MOTE_E_UNSUPPORTED,
                "tokenizer.json: model type \"%.100s\" is not supported: expected BPE",
                json_is_string(type) ? json_string_value(type) : "?");
    if (dropout && !json_is_null(dropout) &&
            !(json_is_number(dropout) && json_number_value(dropout) == 0))
        return mote__fail(
                r->err, MOTE_E_UNSUPPORTED, "tokenizer.json: dropout is not supported");
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_object_get(model, affixes[i]);
        if (v && !json_is_null(v) && !(json_is_string(v) && json_string_length(v) == 0))
            return mote__fail(r->err, MOTE_E_UNSUPPORTED,
                    "tokenizer.json: %s is not supported", affixes[i]);
    }
    if (!json_is_object(json_object_get(model, "vocab")) ||
            !json_is_array(json_object_get(model, "merges")))
        return mote__fail(r->err, MOTE_E_FORMAT,
                "tokenizer.json: expected an object model.vocab and an array "
                "model.merges");
    return MOTE_OK;
}

/* An unknown token or byte fallback comes in only where a byte has no token. */
static mote_status check_fallback(reader *r, const json_t *model)
{
    const json_t *unk = json_object_get(model, "unk_token");
    bool fallback = json_is_true(json_object_get(model, "byte_fallback"));
    if (!fallback && (!unk || json_is_null(unk)))
        return MOTE_OK;
    for (int i = 0; i < 256; i++)
        if (r->t->bpe.byte_id[i] < 0)
            return mote__fail(r->err, MOTE_E_UNSUPPORTED,
                    "tokenizer.json: %s is not supported (the byte 0x%02X has no "
                    "token)",
                    fallback ? "byte_fallback" : "unk_token", i);
    return MOTE_OK;
}

mote_status mote__read_vocabulary(
        mote_tokenizer *t, const struct json_t *root, mote_error *err)
{
    reader r = {.t = t, .err = err};
    const json_t *model = json_object_get(root, "model");
    const json_t *added = json_object_get(root, "added_tokens");
    size_t n_ids = 0, n_bytes = 0, added_bytes[2];
    mote_status st = check_model(&r, model);
    if (st < 0)
        return st;
    if (added && !json_is_null(added) && !json_is_array(added))
        return mote__fail(
                err, MOTE_E_FORMAT, "tokenizer.json: added_tokens: expected an array");
    json_t *vocab = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges");
    spelling_init(&r);
    if ((st = measure(&r, vocab, added, &n_ids, &n_bytes, added_bytes)) < 0)
        return st;
    st = mote__tokenizer_tables(
            t, n_ids, n_bytes, json_object_size(vocab), added_bytes, err);
    if (st >= 0)
        st = mote__tokenizer_merge_table(t, json_array_size(merges), err);
    if (st < 0)
        return st;
    t->bpe.ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    st = read_vocab(&r, vocab);
    for (size_t i = 0; i < json_array_size(merges) && st >= 0; i++)
        st = read_merge(&r, json_array_get(merges, i), i);
    for (size_t i = 0; i < json_array_size(added) && st >= 0; i++)
        st = read_added(&r, vocab, json_array_get(added, i));
    if (st >= 0)
        st = check_fallback(&r, model);
    if (st >= 0)
        mote__bpe_freeze(&t->bpe);
    free(r.scratch);
    return st;
}
