/* SPDX-License-Identifier: MIT */
/* Packs: the input as a file, and the input as changes to packs of our own (plain and
 * compressed) whose checksums are made right again, so that what is behind them is
 * reached. Refused with a sentence, or a model that computes something or says why
 * not. */
#include "../portable.h"
#include "fuzz_target.h"
#include "tiny_model.h"

#include "base/hash.h"
#include "file/pack_file.h"
#include "mote/mote.h"

#include <string.h>
#include <unistd.h>

typedef struct kept {
    uint8_t *good, *changed;
    size_t n;
} kept;

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void use(const uint8_t *bytes, size_t n)
{
    mote_model *m = NULL;
    mote_session *s = NULL;
    mote_error e;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.n_threads = 1;
    mote_status st = mote_model_open_memory(&m, bytes, n, &o, &e);
    if (st < 0) {
        FUZZ_CHECK(!m && e.status == st && e.message[0]);
        FUZZ_CHECK(st != MOTE_E_MEMORY); /* no size in a file is believed */
        return;
    }
    st = mote_session_open(&s, m, NULL, &e);
    if (st >= 0)
        st = mote_session_eval(s, (int32_t[]){1, 2}, 2, &e);
    int32_t id;
    if (st >= 0)
        st = mote_session_sample(s, NULL, &id, &e);
    FUZZ_CHECK(st >= 0 || e.message[0]);
    mote_session_close(s);
    mote_model_close(m);
}

/* Write a pack of a tiny model and read it back. */
static void make(kept *k, int zstd)
{
    char from[] = "/tmp/mote-fuzz-XXXXXX", to[64];
    size_t n;
    mote_error e;
    mote_pack_options o = MOTE_PACK_OPTIONS_INIT;
    uint8_t *file = tiny_model_make(19, 1, &n);
    int fd = mkstemp(from);
    FUZZ_CHECK(file && fd >= 0 && write(fd, file, n) == (ssize_t)n);
    close(fd);
    free(file);
    snprintf(to, sizeof to, "%s.mote", from);
    o.zstd_level = zstd;
    FUZZ_CHECK(mote_pack_write(from, to, &o, &e) == MOTE_OK);
    FILE *f = fopen(to, "rb");
    k->good = malloc(1 << 22);
    FUZZ_CHECK(f && k->good);
    k->n = fread(k->good, 1, 1 << 22, f);
    fclose(f);
    unlink(from);
    unlink(to);
    k->changed = test_aligned_alloc(64, k->n);
    FUZZ_CHECK(k->changed);
}

/* Of the small sections and of the header. */
static void mend(uint8_t *b, size_t n)
{
    for (uint32_t i = 0; i < MOTE__PACK_SECTIONS_MAX; i++) {
        uint8_t *s = b + 40 + 32 * (size_t)i;
        uint64_t at = get64(s + 8), size = get64(s + 16), hash;
        if (!get64(s + 24) || at > n || size > n - at)
            continue;
        hash = mote__hash_of(b + at, (size_t)size);
        memcpy(s + 24, &hash, sizeof hash);
    }
    uint64_t hash = mote__hash_of(b, MOTE__PACK_HEADER - 8);
    memcpy(b + MOTE__PACK_HEADER - 8, &hash, sizeof hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kept packs[2];
    use(data, size);
    if (!size)
        return 0;
    kept *k = &packs[data[0] & 1];
    if (!k->good)
        make(k, data[0] & 1 ? 3 : 0);
    memcpy(k->changed, k->good, k->n);
    /* place (in the header, or anywhere) and value */
    for (size_t i = 1; i + 4 <= size && i < 65; i += 4) {
        size_t at = data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16;
        k->changed[at % (data[0] & 2 ? MOTE__PACK_HEADER : k->n)] ^= data[i + 3];
    }
    if (data[0] & 4)
        mend(k->changed, k->n);
    use(k->changed, k->n);
    return 0;
}
