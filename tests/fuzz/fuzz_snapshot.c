/* SPDX-License-Identifier: MIT */
/* Snapshots: the input, and the input as changes to a snapshot of our own whose header
 * and checksum are made right again. Refused, or loaded into a session that then works;
 * a session that refused is as it was. */
#include "fuzz_target.h"
#include "tiny_model.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "mote/mote.h"

#include <string.h>

enum { HEADER = 80, TRAILER = 8, ROOM = 48 };

static void load(mote_session *s, const uint8_t *bytes, size_t n)
{
    static float logits[TINY_VOCAB];
    mote_error e;
    uint32_t before = mote_session_position(s);
    mote_status st = mote_session_load(s, bytes, n, &e);
    if (st < 0) {
        FUZZ_CHECK(
                e.status == st && e.message[0] && mote_session_position(s) == before);
        FUZZ_CHECK(st != MOTE_E_MEMORY); /* no size in a file is believed */
    }
    uint32_t at = mote_session_position(s);
    FUZZ_CHECK(at <= ROOM);
    if (at) {
        st = mote_session_logits(s, at - 1, logits, TINY_VOCAB, &e);
        FUZZ_CHECK(st == MOTE_OK || st == MOTE_E_NUMERIC);
    }
    if (at < ROOM) {
        st = mote_session_eval(s, (int32_t[]){65}, 1, &e);
        FUZZ_CHECK(st == MOTE_OK || st == MOTE_E_NUMERIC);
    }
}

/* The header's FNV-1a. */
static void mend_header(uint8_t *h)
{
    uint64_t x = 0xcbf29ce484222325u;
    for (int i = 0; i < HEADER - 8; i++)
        x = (x ^ h[i]) * 0x100000001b3u;
    mote__put64(h + HEADER - 8, x);
}

/* The checksum of everything, so that the zstd frame is looked at. */
static void mend(uint8_t *h, size_t n)
{
    mote__put64(h + n - TRAILER, mote__hash_of(h, n - TRAILER));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mote_model *model;
    static uint8_t *good, *changed;
    static size_t n_good;
    mote_error e;
    mote_session *s = NULL;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.context_tokens = ROOM;
    if (!model) {
        size_t n;
        mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
        mo.n_threads = 1;
        /* borrowed by the model, which is never closed; volatile: the leak checker
         * looks */
        static uint8_t *volatile file;
        file = tiny_model_make(19, 1, &n);
        FUZZ_CHECK(file && mote_model_open_memory(&model, file, n, &mo, &e) == MOTE_OK);
    }
    FUZZ_CHECK(mote_session_open(&s, model, &o, &e) == MOTE_OK);
    FUZZ_CHECK(mote_session_eval(s, (int32_t[]){TINY_BOS, 65, 66}, 3, &e) == MOTE_OK);
    if (!good) {
        FUZZ_CHECK(mote_session_save(s, NULL, 0, &n_good, &e) == MOTE_OK);
        good = malloc(n_good);
        changed = malloc(n_good);
        FUZZ_CHECK(good && changed);
        FUZZ_CHECK(mote_session_save(s, good, n_good, &n_good, &e) == MOTE_OK);
    }
    load(s, data, size);
    /* pairs of place and value */
    memcpy(changed, good, n_good);
    for (size_t i = 0; i + 3 <= size && i < 96; i += 3)
        changed[(data[i] | (size_t)data[i + 1] << 8) % n_good] ^= data[i + 2];
    load(s, changed, n_good);
    mend(changed, n_good);
    load(s, changed, n_good);
    mend_header(changed);
    mend(changed, n_good);
    load(s, changed, n_good);
    load(s, changed, size < n_good ? size : n_good);
    mote_session_close(s);
    return 0;
}
