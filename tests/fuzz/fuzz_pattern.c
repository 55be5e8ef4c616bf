/* SPDX-License-Identifier: MIT */
/* A pattern of a pre-tokenizer, then a NUL, then text. The pieces are the text, cut;
 * with and without executable memory in the same places. */
#include "fuzz_target.h"

#include "text/splitter.h"

#include <string.h>

typedef struct pieces {
    const uint8_t *text;
    size_t n, at, count;
    uint64_t hash; /* of the places */
} pieces;

static mote_status take(void *arg, const uint8_t *piece, size_t n)
{
    pieces *p = arg;
    FUZZ_CHECK(n > 0 && n <= p->n - p->at && piece == p->text + p->at);
    p->at += n;
    p->count++;
    p->hash = (p->hash ^ p->at) * 0x9E3779B97F4A7C15u;
    return MOTE_OK;
}

static mote_status split(
        const mote__splitter *s, pieces *p, const uint8_t *text, size_t n)
{
    mote_error err;
    *p = (pieces){.text = text, .n = n};
    mote__split_run run = {.splitter = s, .piece = take, .arg = p, .err = &err};
    mote_status st = mote__split_text(&run, text, n);
    FUZZ_CHECK(st == MOTE_E_UNSUPPORTED || (st == MOTE_OK && p->at == n));
    mote__split_run_free(&run);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t plain[] = "ab1 \n aab\r\n  22x\xff\xc3\xa9 \xe4\xb8\xad!";
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t n_pattern = nul ? (size_t)(nul - data) : size;
    const uint8_t *text = nul ? nul + 1 : plain;
    size_t n = nul ? size - n_pattern - 1 : sizeof plain - 1;
    mote__splitter s;
    mote_error err = {0};
    mote__splitter_init(&s, NULL);
    mote_status st = mote__splitter_add(&s, (const char *)data, n_pattern, false, &err);
    if (st >= 0)
        st = mote__splitter_freeze(&s, &err);
    if (st >= 0 && n < 4096) {
        pieces a, b;
        mote_status first = split(&s, &a, text, n);
        s.stages[0].jit = false;
        mote_status second = split(&s, &b, text, n);
        /* The two engines count their steps differently: only one may give up. */
        if (first >= 0 && second >= 0)
            FUZZ_CHECK(a.count == b.count && a.hash == b.hash);
    } else if (st < 0) {
        FUZZ_CHECK(err.status == st && err.message[0]);
    }
    mote__splitter_free(&s);
    return 0;
}
