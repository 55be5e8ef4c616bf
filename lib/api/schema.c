/* SPDX-License-Identifier: MIT */
/* mote/schema.h: arguments are checked here, the work is done in lib/text. */
#include "mote/schema.h"

#include "base/status.h"
#include "text/schema.h"
#include "text/tokenizer_parts.h"

/* Added tokens are left out, whether marked special or not: they are control, not text.
 */
static const char *plain_token(const void *user, int32_t token, size_t *n_bytes)
{
    const mote_tokenizer *t = user;
    if ((size_t)token < t->n_flags &&
            t->flags[token] & (MOTE__TOKEN_SPECIAL | MOTE__TOKEN_ADDED))
        return NULL;
    return mote_tokenizer_token(t, token, n_bytes);
}

mote_status mote_schema_open(mote_schema **out, const mote_tokenizer *tokenizer,
        const char *json, size_t n_bytes, mote_error *err)
{
    mote__clear(err);
    if (!out)
        return mote__fail(err, MOTE_E_INVALID, "no place for the schema");
    *out = NULL;
    if (!tokenizer)
        return mote__fail(err, MOTE_E_INVALID, "no tokenizer");
    const mote__schema_vocab vocab = {
            plain_token, tokenizer, mote_tokenizer_size(tokenizer)};
    /* Found once and kept with the tokenizer, which is otherwise never changed. */
    mote_tokenizer *t = (mote_tokenizer *)(uintptr_t)tokenizer;
    return mote__schema_open(out, &vocab, &t->schema_words, json, n_bytes, err);
}

void mote_schema_close(mote_schema *schema)
{
    mote__schema_free(schema);
}
