/* SPDX-License-Identifier: MIT */
/* Tokens to text, one at a time. What is held back between two tokens is a proper
 * beginning of a character, at most three bytes; bytes that can no longer become part
 * of one are passed on as they are. */
#include "base/status.h"
#include "tokenizer_parts.h"

#include <string.h>

mote_status mote__decoder_open(mote_decoder **out, const mote_tokenizer *tokenizer,
        uint32_t flags, mote_error *err)
{
    size_t capacity = tokenizer->longest_token + 3;
    size_t size = sizeof(mote_decoder) + capacity;
    mote_decoder *d = mote__calloc(tokenizer->memory, MOTE_MEM_TOKENIZER, 1, size);
    if (!d)
        return mote__fail_memory(err, size, "a decoder");
    d->tokenizer = tokenizer;
    d->flags = flags;
    d->capacity = capacity;
    d->buffer = (uint8_t *)(d + 1);
    *out = d;
    return MOTE_OK;
}

void mote__decoder_close(mote_decoder *d)
{
    mote__free(d->tokenizer->memory, MOTE_MEM_TOKENIZER, d, sizeof *d + d->capacity);
}

/* Length of the incomplete character that s[0..n) ends with, 0 when it ends with none:
 * the beginning of a well-formed sequence, of which nothing but the end is missing. */
static size_t incomplete_tail(const uint8_t *s, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        uint8_t b = s[n - k];
        if ((b & 0xC0) == 0x80)
            continue;
        size_t want = b >= 0xC2 && b <= 0xDF   ? 2
                      : (b & 0xF0) == 0xE0     ? 3
                      : b >= 0xF0 && b <= 0xF4 ? 4
                                               : 1;
        if (k >= want)
            return 0;
        if (k > 1) { /* the second byte has narrower bounds after these first bytes */
            uint8_t c = s[n - k + 1];
            uint8_t lo = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
            uint8_t hi = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
            if (c < lo || c > hi)
                return 0;
        }
        return k;
    }
    return 0;
}

mote_status mote__decoder_push(mote_decoder *d, int32_t token, const char **text,
        size_t *n_bytes, mote_error *err)
{
    size_t n = 0;
    const uint8_t *bytes = mote__tokenizer_bytes(d->tokenizer, token, &n);
    if (!bytes)
        return mote__fail(
                err, MOTE_E_INVALID, "there is no token with id %d", (int)token);
    if ((d->flags & MOTE_DECODE_SKIP_SPECIAL) &&
            (d->tokenizer->flags[token] & MOTE__TOKEN_SPECIAL))
        return MOTE_OK;
    memmove(d->buffer, d->buffer + d->at, d->held);
    memcpy(d->buffer + d->held, bytes, n);
    size_t total = d->held + n;
    d->held = incomplete_tail(d->buffer, total);
    d->at = total - d->held;
    *text = (const char *)d->buffer;
    *n_bytes = d->at;
    return MOTE_OK;
}

void mote__decoder_finish(mote_decoder *d, const char **text, size_t *n_bytes)
{
    *text = (const char *)d->buffer + d->at;
    *n_bytes = d->held;
    d->held = 0;
}
