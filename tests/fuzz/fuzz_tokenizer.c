/* SPDX-License-Identifier: MIT */
/* tokenizer.json, then a NUL, then text; or, where it does not begin with a brace,
 * tiktoken.model, a NUL, tokenizer_config.json, a NUL and text. What opens gives back
 * every byte it encodes, whole and as a stream, whatever the file says. */
#include "fuzz_target.h"

#include "text/tokenizer.h"

#include <string.h>

static void round_trip(
        const mote_tokenizer *t, const char *text, size_t n, uint32_t flags)
{
    mote_error err;
    size_t n_ids = 0, again = 0, n_back = 0, at = 0;
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    char *back = malloc(n + 1);
    mote_decoder *d = NULL;
    if (!ids || !back)
        abort();
    mote_status st = mote_tokenizer_encode(t, text, n, flags, ids, n + 1, &n_ids, &err);
    if (st < 0) { /* a byte without a token, or a pattern that explodes */
        FUZZ_CHECK(st == MOTE_E_UNSUPPORTED && err.message[0] && n_ids == 0);
        goto out;
    }
    FUZZ_CHECK(n_ids <= n + 1);
    FUZZ_CHECK(
            mote_tokenizer_encode(t, text, n, flags, NULL, 0, &again, &err) == MOTE_OK);
    FUZZ_CHECK(again == n_ids);
    size_t bos = n_ids && (flags & MOTE_ENCODE_BOS) && mote_tokenizer_adds_bos(t);
    FUZZ_CHECK(mote_tokenizer_decode(t, ids + bos, n_ids - bos, 0, back, n, &n_back,
                       &err) == MOTE_OK);
    FUZZ_CHECK(n_back == n && memcmp(back, text, n) == 0);
    if (mote_decoder_open(&d, t, 0, &err) < 0)
        abort();
    for (size_t i = bos; i <= n_ids; i++) {
        const char *piece = NULL;
        size_t length = 0;
        st = i < n_ids ? mote_decoder_push(d, ids[i], &piece, &length, &err)
                       : mote_decoder_finish(d, &piece, &length, &err);
        FUZZ_CHECK(st == MOTE_OK && length <= n - at);
        FUZZ_CHECK(memcmp(piece, text + at, length) == 0);
        at += length;
    }
    FUZZ_CHECK(at == n);
out:
    mote_decoder_close(d);
    free(ids);
    free(back);
}

/* What comes before the next NUL, or everything; *at moves behind it. */
static const char *part(const uint8_t *data, size_t size, size_t *at, size_t *n)
{
    const uint8_t *s = data + *at, *nul = *at < size ? memchr(s, 0, size - *at) : NULL;
    *n = nul ? (size_t)(nul - s) : size - *at;
    *at += *n + (nul ? 1 : 0);
    return (const char *)s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0, n_text = 0, n_file = 0;
    const char *file = part(data, size, &at, &n_file);
    mote_tokenizer *t = NULL;
    mote_error err;
    mote_status st;
    if (n_file > 0 && file[0] != '{') {
        mote__tokenizer_texts texts = {.tiktoken = file, .tiktoken_size = n_file};
        texts.config = part(data, size, &at, &texts.config_size);
        st = mote__tokenizer_open_texts(&t, NULL, &texts, &err);
    } else {
        st = mote_tokenizer_open_memory(&t, file, n_file, NULL, 0, &err);
    }
    const char *text = part(data, size, &at, &n_text);
    if (n_text == 0) {
        text = "ab ab\n  12 <x>ba\xff\xe4\xb8";
        n_text = strlen(text);
    }
    if (st < 0) {
        FUZZ_CHECK(!t && err.status == st && err.message[0]);
        return 0;
    }
    round_trip(t, text, n_text, 0);
    round_trip(t, text, n_text, MOTE_ENCODE_SPECIAL | MOTE_ENCODE_BOS);
    int32_t n_ids = mote_tokenizer_size(t);
    for (int32_t id = -1; id <= n_ids; id++) {
        size_t n = 0;
        const char *bytes = mote_tokenizer_token(t, id, &n);
        FUZZ_CHECK(!bytes == !n && (n == 0 || (id >= 0 && id < n_ids)));
        FUZZ_CHECK(bytes || !mote_tokenizer_is_special(t, id));
    }
    mote_tokenizer_close(t);
    return 0;
}
