/* SPDX-License-Identifier: MIT */
/* Tokens into the tables of a tokenizer, whichever file names them. */
#include "base/status.h"
#include "tokenizer_parts.h"

#include <jansson.h>
#include <string.h>

mote_status mote__tokenizer_tables(mote_tokenizer *t, size_t n_ids, size_t n_bytes,
        size_t n_tokens, const size_t added_bytes[2], mote_error *err)
{
    mote__memory *m = t->memory;
    if (mote__bpe_init(&t->bpe, m, n_ids, n_bytes, n_tokens) < 0 ||
            mote__added_init(&t->added[0], m, added_bytes[0]) < 0 ||
            mote__added_init(&t->added[1], m, added_bytes[1]) < 0 ||
            !(t->flags = mote__calloc(m, MOTE_MEM_TOKENIZER, n_ids, 1)))
        return mote__fail_memory(err, n_bytes, "the tables of a tokenizer");
    t->n_flags = n_ids;
    return MOTE_OK;
}

mote_status mote__tokenizer_merge_table(
        mote_tokenizer *t, size_t n_merges, mote_error *err)
{
    return mote__bpe_init_merges(&t->bpe, n_merges) < 0
                   ? mote__fail_memory(err, n_merges * sizeof(mote__bpe_merge),
                             "the merges of a tokenizer")
                   : MOTE_OK;
}

mote_status mote__tokenizer_put(mote_tokenizer *t, size_t *used, uint32_t id,
        const uint8_t *bytes, size_t n, const char *file, mote_error *err)
{
    mote__bpe *b = &t->bpe;
    if (n == 0 || n > MOTE__TOKEN_BYTES_MAX)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: token %u has %zu bytes: expected 1 to %d", file, id, n,
                MOTE__TOKEN_BYTES_MAX);
    memcpy(b->blob + *used, bytes, n);
    b->span[id][0] = (uint32_t)*used;
    b->span[id][1] = (uint32_t)n;
    *used += n;
    if (n > t->longest_token)
        t->longest_token = n;
    return MOTE_OK;
}

mote_status mote__tokenizer_put_added(mote_tokenizer *t, size_t *used, uint32_t id,
        const char *text, size_t n, bool special, bool normalized, const char *file,
        mote_error *err)
{
    const uint8_t *bytes = (const uint8_t *)text;
    if (t->bpe.span[id][1] == 0) {
        mote_status st = mote__tokenizer_put(t, used, id, bytes, n, file, err);
        if (st < 0)
            return st;
    } else if (t->bpe.span[id][1] != n ||
               memcmp(t->bpe.blob + t->bpe.span[id][0], bytes, n) != 0) {
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: id %u is another token than the added token \"%.100s\"", file, id,
                text);
    }
    if (t->flags[id] & MOTE__TOKEN_ADDED)
        return mote__fail(
                err, MOTE_E_FORMAT, "%s: two added tokens have the id %u", file, id);
    t->flags[id] = MOTE__TOKEN_ADDED;
    if (special)
        t->flags[id] |= MOTE__TOKEN_SPECIAL;
    if (mote__added_find(&t->added[!normalized], bytes, n) >= 0 ||
            mote__added_add(&t->added[normalized], bytes, n, (int32_t)id) < 0)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: the added token \"%.100s\" is there twice", file, text);
    return MOTE_OK;
}

mote_status mote__tokenizer_read_added(mote_tokenizer *t, size_t *used, uint32_t id,
        const json_t *added, const char *file, mote_error *err)
{
    static const char *const refused[] = {"single_word", "lstrip", "rstrip"};
    const json_t *content = json_object_get(added, "content");
    const char *text = json_string_value(content);
    size_t n = json_string_length(content);
    if (n == 0 || n > MOTE__ADDED_BYTES_MAX)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: added token %u has %zu bytes: expected 1 to %d", file, id, n,
                MOTE__ADDED_BYTES_MAX);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (json_is_true(json_object_get(added, refused[i])))
            return mote__fail(err, MOTE_E_UNSUPPORTED,
                    "%s: added token \"%.100s\": %s is not supported", file, text,
                    refused[i]);
    return mote__tokenizer_put_added(t, used, id, text, n,
            json_is_true(json_object_get(added, "special")),
            json_is_true(json_object_get(added, "normalized")), file, err);
}
