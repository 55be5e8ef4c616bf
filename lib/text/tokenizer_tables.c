/* SPDX-License-Identifier: MIT */
/* Tokens into the tables of a tokenizer, whichever file names them. */
#include "base/status.h"
#include "tokenizer_parts.h"

#include <jansson.h>
#include <string.h>

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
        const json_t *added, const char *file, mote_error *err)
{
    static const char *const refused[] = {"single_word", "lstrip", "rstrip"};
    const json_t *content = json_object_get(added, "content");
    const uint8_t *text = (const uint8_t *)json_string_value(content);
    size_t n = json_string_length(content);
    if (n == 0 || n > MOTE__ADDED_BYTES_MAX)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: added token %u has %zu bytes: expected 1 to %d", file, id, n,
                MOTE__ADDED_BYTES_MAX);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (json_is_true(json_object_get(added, refused[i])))
            return mote__fail(err, MOTE_E_UNSUPPORTED,
                    "%s: added token \"%.100s\": %s is not supported", file,
                    (const char *)text, refused[i]);
    if (t->bpe.span[id][1] == 0) {
        mote_status st = mote__tokenizer_put(t, used, id, text, n, file, err);
        if (st < 0)
            return st;
    } else if (t->bpe.span[id][1] != n ||
               memcmp(t->bpe.blob + t->bpe.span[id][0], text, n) != 0) {
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: id %u is another token than the added token \"%.100s\"", file, id,
                (const char *)text);
    }
    if (t->flags[id] & MOTE__TOKEN_ADDED)
        return mote__fail(
                err, MOTE_E_FORMAT, "%s: two added tokens have the id %u", file, id);
    t->flags[id] = MOTE__TOKEN_ADDED;
    if (json_is_true(json_object_get(added, "special")))
        t->flags[id] |= MOTE__TOKEN_SPECIAL;
    bool normalized = json_is_true(json_object_get(added, "normalized"));
    if (mote__added_find(&t->added[!normalized], text, n) >= 0 ||
            mote__added_add(&t->added[normalized], text, n, (int32_t)id) < 0)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: the added token \"%.100s\" is there twice", file,
                (const char *)text);
    return MOTE_OK;
}
