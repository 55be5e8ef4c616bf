/* SPDX-License-Identifier: MIT */
/* Damaged and hostile packs: each is an error, at opening or by verifying; nothing
 * crashes, hangs or leaks (run under the sanitizers, too). */
#include "pack_kit.h"

#include "base/hash.h"
#include "file/pack_file.h"
#include "model/packing.h"
#include "model/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

/* Verify a pack that lies in memory: by way of a file. */
static mote_status verify(const uint8_t *data, size_t size, mote_error *err)
{
    const char *path = golden_path("%s/verify.mote", kit_folder());
    kit_write(path, data, size);
    return mote_pack_verify(path, NULL, NULL, err);
}

static mote_status open_bytes(
        const uint8_t *data, size_t size, uint32_t mapping, mote_error *err)
{
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_model *m = NULL;
    o.n_threads = 1;
    o.mapping = mapping;
    mote_status st = mote_model_open_memory(&m, data, size, &o, err);
    assert_true((st == MOTE_OK) == (m != NULL));
    /* Whatever opens must also run. */
    if (m && golden_vocab(m) >= 3 && golden_vocab(m) <= 4096) {
        mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
        mote_session *s = NULL;
        static const int32_t tokens[3] = {0, 1, 2};
        so.context_tokens = 4;
        if (mote_session_open(&s, m, &so, NULL) == MOTE_OK)
            (void)mote_session_eval(s, tokens, 3, NULL);
        mote_session_close(s);
    }
    mote_model_close(m);
    return st;
}

static void must_fail(const uint8_t *data, size_t size, const char *part)
{
    mote_error err = {0};
    mote_status st = open_bytes(data, size, MOTE_MAP_AUTO, &err);
    if (st == MOTE_OK || !strstr(err.message, part))
        print_error("expected \"%s\", found %s: %s\n", part, mote_status_name(st),
                err.message);
    assert_true(st < 0);
    assert_non_null(strstr(err.message, part));
    assert_int_equal(verify(data, size, &err), st);
}

/* Every field of the header, right checksum or not. */
static void test_header(void **state)
{
    (void)state;
    char *path = kit_make("v3-f32", "h.mote", MOTE_TYPE_KEEP, 0);
    kit_pack p;
    kit_open(&p, path);
    uint8_t *h = p.data;
    uint8_t good[4096];
    memcpy(good, h, sizeof good);
    uint32_t n = kit_get32(h + 28), last = 40 + 32 * (n - 1);
    static const struct {
        uint32_t at, bytes;
        uint64_t value;
        const char *part;
    } fields[] = {
            {8, 4, 2, "version"},
            {8, 4, 0, "impossible"},
            {8, 4, UINT32_MAX, "version"},
            {12, 4, 4095, "impossible"},
            {12, 4, 0, "impossible"},
            {16, 8, 0, "should have 0 bytes"},
            {16, 8, UINT64_MAX, "should have"},
            {24, 4, 2, "impossible"},
            {24, 4, 1, "list of units"}, /* says compressed */
            {28, 4, 33, "impossible"},
            {28, 4, UINT32_MAX, "impossible"},
            {28, 4, 0, "belong to no section"},
            {28, 4, 1, "belong to no section"},
            {32, 4, 1, "impossible"},
            {39, 1, 1, "impossible"},
            {40, 4, 77, "no configuration"},
            {40, 4, 6, "repeats a kind"},
            {44, 4, 1, "impossible"},
            {48, 8, 0, "inside the file"},
            {48, 8, 4095, "inside the file"},
            {48, 8, 4097, "inside the file"},
            {48, 8, UINT64_MAX, "inside the file"},
            {48, 8, UINT64_MAX - 63, "inside the file"},
            {56, 8, UINT64_MAX, "inside the file"},
            {56, 8, UINT64_MAX - 4095, "inside the file"},
            {56, 8, 1u << 20, "inside the file"},
            {64, 8, 1, "kind 1"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        for (uint32_t b = 0; b < fields[i].bytes; b++)
            h[fields[i].at + b] = (uint8_t)(fields[i].value >> (8 * b));
        if (memcmp(h, good, 4096) != 0 && fields[i].at != 8)
            must_fail(h, p.size, "checksum");
        kit_repair(&p, h, p.size, 0);
        must_fail(h, p.size, fields[i].part);
        memcpy(h, good, sizeof good);
    }
    /* The last section one shorter, the one before it overlapping, bytes after it. */
    kit_put64(h + last + 16, kit_get64(h + last + 16) - 8);
    kit_repair(&p, h, p.size, 0);
    must_fail(h, p.size, "belong to no section");
    memcpy(h, good, sizeof good);
    kit_put64(h + 56, kit_get64(h + 56) + 64);
    kit_repair(&p, h, p.size, 0);
    must_fail(h, p.size, "inside the file");
    memcpy(h, good, sizeof good);
    /* What is not used is zero, up to the checksum. */
    for (uint32_t at = last + 32; at < 4088; at += 191) {
        h[at] = 1;
        kit_repair(&p, h, p.size, 0);
        must_fail(h, p.size, "belong to no section");
        memcpy(h, good, sizeof good);
    }
    /* Each section: an entry that does not match its bytes; a kind that is missing. */
    static const struct {
        uint32_t kind;
        const char *part;
    } needed[] = {{MOTE__PACK_CONFIG, "no configuration"}, {MOTE__PACK_FORMS, "forms"},
            {MOTE__PACK_HASHES, "checksums"}, {MOTE__PACK_WEIGHTS, "no weights"}};
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *e = h + 40 + 32 * i;
        uint32_t kind = kit_get32(e);
        e[24] ^= 1;
        kit_repair(&p, h, p.size, 0);
        must_fail(h, p.size, kind == MOTE__PACK_WEIGHTS ? "impossible" : "checksum");
        memcpy(h, good, sizeof good);
        for (size_t j = 0; j < sizeof needed / sizeof *needed; j++)
            if (kind == needed[j].kind) {
                kit_put32(e, 1000);
                if (kind == MOTE__PACK_WEIGHTS)
                    kit_put64(e + 24, 0);
                kit_repair(&p, h, p.size, 0);
                must_fail(h, p.size, needed[j].part);
                memcpy(h, good, sizeof good);
            }
    }
    mote_error err;
    assert_int_equal(open_bytes(h, p.size, 0, &err), MOTE_OK);
    kit_close(&p);
    free(path);
}

/* Configuration, forms and units that fit their checksums and not each other. */
static void test_contents(void **state)
{
    (void)state;
    for (int zstd = 0; zstd <= 1; zstd++) {
        char *path = kit_make("v3-f32", "c.mote", MOTE_TYPE_KEEP, zstd);
        kit_pack p;
        kit_open(&p, path);
        uint8_t *good = kit_copy(p.data, p.size), *h = p.data;
        mote_error err;
        for (uint32_t i = 0; i < kit_get32(good + 28); i++) {
            const uint8_t *e = good + 40 + 32 * i;
            uint32_t kind = kit_get32(e);
            uint8_t *at = h + kit_get64(e + 8);
            size_t n = (size_t)kit_get64(e + 16);
            if (kind == MOTE__PACK_CONFIG) {
                /* layers and experts that would need more memory than there is */
                static const char *const fields[] = {"\"num_hidden_layers\": ",
                        "\"n_routed_experts\": ", "\"hidden_size\": ",
                        "\"vocab_size\": ", "\"intermediate_size\": "};
                for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
                    char *where = strstr((char *)at, fields[f]);
                    assert_non_null(where);
                    where += strlen(fields[f]);
                    *where = *where == '9' ? '8' : (char)(*where + 1);
                    kit_repair(&p, h, p.size, 1);
                    assert_true(open_bytes(h, p.size, 0, &err) < 0);
                    memcpy(h, good, p.size);
                }
            }
            if (kind == MOTE__PACK_FORMS) {
                for (size_t b = 0; b < n; b++)
                    for (int v = 0; v < 3; v++) {
                        at[b] = (uint8_t)(v == 2 ? 255 : at[b] + 1);
                        kit_repair(&p, h, p.size, 1);
                        assert_true(open_bytes(h, p.size, 0, &err) < 0);
                        memcpy(h, good, p.size);
                    }
                /* The number that int4 had while its scales were floats. */
                at[n - 1] = MOTE__CODE_I4_FLOAT_SCALES;
                kit_repair(&p, h, p.size, 1);
                assert_int_equal(open_bytes(h, p.size, 0, &err), MOTE_E_UNSUPPORTED);
                assert_non_null(strstr(err.message, "float scales"));
                memcpy(h, good, p.size);
            }
            if (kind == MOTE__PACK_UNITS) {
                for (size_t b = 0; b < n; b += 8)
                    for (int v = 0; v < 4; v++) {
                        static const uint64_t bad[] = {0, 64, UINT64_MAX, 1u << 30};
                        uint64_t was = kit_get64(at + b);
                        kit_put64(at + b, v == 0 && !was ? 1 : was + bad[v]);
                        if (kit_get64(at + b) == was)
                            continue;
                        kit_repair(&p, h, p.size, 0);
                        kit_put64(h + 40 + 32 * i + 24, 0);
                        kit_repair(&p, h, p.size, 1);
                        assert_true(open_bytes(h, p.size, 0, &err) < 0);
                        memcpy(h, good, p.size);
                    }
            }
        }
        free(good);
        kit_close(&p);
        free(path);
    }
}

/* Every edge of a section or unit, one byte around it, and the pages between. */
static void test_truncation(void **state)
{
    (void)state;
    for (int zstd = 0; zstd <= 1; zstd++) {
        char *path = kit_make("v3-tied", "t.mote", MOTE_TYPE_KEEP, zstd);
        kit_pack p;
        kit_open(&p, path);
        mote_error err;
        for (size_t i = 0; i < p.n_edges; i++)
            for (int d = -1; d <= 1; d++) {
                size_t cut = p.edges[i] + (size_t)d;
                if (cut >= p.size)
                    continue;
                uint8_t *short_one = kit_copy(p.data, cut);
                assert_true(open_bytes(short_one, cut, 0, &err) < 0);
                /* and with a header that says so */
                if (cut >= 4096) {
                    kit_put64(short_one + 16, cut);
                    kit_repair(&p, short_one, cut, 0);
                    assert_true(open_bytes(short_one, cut, 0, &err) < 0);
                }
                free(short_one);
            }
        for (size_t cut = 0; cut < p.size; cut += 1024) {
            uint8_t *short_one = kit_copy(p.data, cut);
            assert_true(open_bytes(short_one, cut, 0, &err) < 0);
            free(short_one);
        }
        /* longer than it says */
        uint8_t *longer = kit_copy(p.data, p.size);
        longer[p.size] = 0; /* kit_copy leaves a byte */
        assert_true(open_bytes(longer, p.size + 1, 0, &err) < 0);
        free(longer);
        kit_close(&p);
        free(path);
    }
}

/* One bit of every byte of the header, and of every seventh byte of the rest: padding,
 * too. */
static void test_flips(void **state)
{
    (void)state;
    for (int zstd = 0; zstd <= 1; zstd++) {
        char *path = kit_make("v3-f32", "f.mote", MOTE_TYPE_KEEP, zstd);
        kit_pack p;
        kit_open(&p, path);
        mote_error err;
        for (size_t i = 0; i < p.size; i += i < 4096 ? 1 : 61) {
            p.data[i] ^= (uint8_t)(1u << (i % 8));
            mote_status st = open_bytes(p.data, p.size, MOTE_MAP_AUTO, &err);
            /* Read into memory, padding is not looked at: verifying finds it. */
            if (st == MOTE_OK) {
                assert_true(zstd);
                st = verify(p.data, p.size, &err);
            }
            if (st >= 0)
                print_error("byte %zu\n", i);
            assert_true(st < 0);
            p.data[i] ^= (uint8_t)(1u << (i % 8));
        }
        assert_int_equal(open_bytes(p.data, p.size, 0, &err), MOTE_OK);
        kit_close(&p);
        free(path);
    }
}

static uint64_t random_state = 0x243f6a8885a308d3u;
static uint64_t random_next(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A place: often in the header or near an edge, where decisions are made. */
static size_t random_place(const kit_pack *p, size_t size)
{
    uint64_t r = random_next();
    size_t at = (size_t)(random_next() % size);
    if (r % 4 == 0)
        at = (size_t)(random_next() % 400);
    else if (r % 4 == 1)
        at = p->edges[random_next() % p->n_edges] + (size_t)(random_next() % 64);
    return at < size ? at : size - 1;
}

/* 10,000 of them. Unrepaired, each is an error; with checksums made right again what
 * comes out may be a pack (of other numbers), and must then run. */
static void test_mutations(void **state)
{
    (void)state;
    size_t n_opened = 0, n_deep = 0;
    for (int which = 0; which < 4; which++) {
        char *path = kit_make(which & 1 ? "v3-f32" : "v3-tied", "m.mote",
                which & 2 ? MOTE_TYPE_INT4 : MOTE_TYPE_KEEP, which >= 1);
        kit_pack p;
        kit_open(&p, path);
        uint8_t *data = kit_copy(p.data, p.size);
        for (int i = 0; i < 2500; i++) {
            size_t size = p.size;
            memcpy(data, p.data, p.size);
            for (uint64_t times = 1 + random_next() % 3; times; times--) {
                size_t at = random_place(&p, size), left = size - at;
                uint64_t v = random_next();
                static const uint64_t extremes[] = {0, 1, 63, 4096, UINT32_MAX,
                        UINT64_MAX, (uint64_t)1 << 63, 1u << 31};
                switch (random_next() % 6) {
                case 0:
                    data[at] ^= (uint8_t)(1u << (v % 8));
                    break;
                case 1:
                    data[at] = (uint8_t)v;
                    break;
                case 2:
                    at &= ~(size_t)7;
                    if (size - at >= 8)
                        kit_put64(data + at, extremes[v % 8]);
                    break;
                case 3:
                    memset(data + at, (int)(v & 255), left < v % 300 ? left : v % 300);
                    break;
                case 4: {
                    size_t from = random_place(&p, size), n = v % 200;
                    size_t most = size - (from > at ? from : at);
                    memmove(data + at, data + from, n < most ? n : most);
                    break;
                }
                default:
                    if (v % 4 == 0)
                        size = at > 0 ? at : 1;
                    break;
                }
            }
            int repair = (int)(random_next() % 4); /* 0, 1: none; 2: header; 3: all */
            if (repair >= 2 && size >= 4096 && size != p.size)
                kit_put64(data + 16, size);
            if (repair >= 2)
                kit_repair(&p, data, size, repair == 3);
            mote_error err;
            int same = size == p.size && memcmp(data, p.data, size) == 0;
            mote_status st = open_bytes(data, size, MOTE_MAP_AUTO, &err);
            if (st == MOTE_OK && !same && repair < 2)
                st = verify(data, size, &err);
            if (!same && repair < 2)
                assert_true(st < 0);
            if (same)
                assert_int_equal(st, MOTE_OK);
            n_opened += st == MOTE_OK && !same;
            n_deep += repair == 3 && st < 0;
        }
        free(data);
        kit_close(&p);
        free(path);
    }
    /* The repairing reached what lies behind the checksums. */
    assert_true(n_opened > 200);
    assert_true(n_deep > 200);
}

/* --- frames that are not what they should be -------------------------------------- */

/* A frame's header: no checksum; `window`: its window byte, 0: single segment; fcs:
 * bytes it claims to hold (8 bytes of header), or none. */
static size_t frame_header(uint8_t *f, uint8_t window, const uint64_t *fcs)
{
    static const uint8_t zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    size_t n = 5;
    memcpy(f, zstd_magic, 4);
    f[4] = (uint8_t)((fcs ? 3 << 6 : 0) | (window ? 0 : 1 << 5));
    if (window)
        f[n++] = window;
    if (fcs) {
        kit_put64(f + n, *fcs);
        n += 8;
    }
    return n;
}

/* Run-length blocks of 128 KB, as many as fit, the last one marked. */
static size_t rle_blocks(uint8_t *f, size_t room)
{
    size_t n = room / 4;
    for (size_t i = 0; i < n; i++) {
        uint32_t h = (i + 1 == n) | 1u << 1 | (128u << 10) << 3;
        f[4 * i] = (uint8_t)h;
        f[4 * i + 1] = (uint8_t)(h >> 8);
        f[4 * i + 2] = (uint8_t)(h >> 16);
        f[4 * i + 3] = 0x5a;
    }
    return 4 * n;
}

/* A skippable frame of n >= 8 bytes. */
static void skippable(uint8_t *f, size_t n)
{
    memset(f, 0, n);
    kit_put32(f, 0x184d2a50u);
    kit_put32(f + 4, (uint32_t)(n - 8));
}

enum bomb {
    CLAIMS_HUGE,    /* 2^62 bytes in a header, nothing behind */
    CLAIMS_UNKNOWN, /* a good frame but for the size, which it does not say */
    CLAIMS_RIGHT,   /* the right size, and blocks that make a thousand times more */
    PRODUCES_MORE,  /* no size, and as many run-length blocks as fit */
    WINDOW_HUGE,    /* a window of 2 TB */
    EMPTY_FRAMES,   /* thousands of frames of nothing */
    SKIPPABLE,      /* one skippable frame */
    GOOD_AND_EMPTY, /* the right frame, then empty ones */
    SKIPPED_THEN_GOOD,
    NESTED, /* a frame that holds the right frame */
    BOMBS
};

/* `frame` has room for n bytes, all of which are to be used; raw: what was there. */
static void make_bomb(enum bomb b, uint8_t *frame, size_t n, const uint8_t *raw,
        size_t n_raw, uint64_t expected)
{
    const uint64_t huge = (uint64_t)1 << 62;
    uint8_t empty[128]; /* compressing nothing asks for 64 */
    size_t at = 0, n_empty = ZSTD_compress(empty, sizeof empty, "", 0, 1);
    assert_true(n_empty < 16);
    memset(frame, 0, n);
    switch (b) {
    case CLAIMS_HUGE:
        (void)frame_header(frame, 0, &huge);
        return;
    case CLAIMS_UNKNOWN:
        /* raw blocks of what expands to about the right size */
        at = frame_header(frame, 0x58, NULL);
        (void)rle_blocks(frame + at, 4 * (size_t)(expected / (128 << 10) + 1));
        return;
    case CLAIMS_RIGHT:
        at = frame_header(frame, 0x58, &expected);
        (void)rle_blocks(frame + at, n - at);
        return;
    case PRODUCES_MORE:
        at = frame_header(frame, 0x58, NULL);
        (void)rle_blocks(frame + at, n - at);
        return;
    case WINDOW_HUGE:
        at = frame_header(frame, 0xff, &expected);
        (void)rle_blocks(frame + at, n - at);
        return;
    case EMPTY_FRAMES:
        for (; at + n_empty + 8 <= n; at += n_empty)
            memcpy(frame + at, empty, n_empty);
        if (n - at >= 8)
            skippable(frame + at, n - at);
        return;
    case SKIPPABLE:
        skippable(frame, n);
        return;
    case GOOD_AND_EMPTY:
        memcpy(frame, raw, n_raw);
        for (at = n_raw; at + n_empty <= n; at += n_empty)
            memcpy(frame + at, empty, n_empty);
        return;
    case SKIPPED_THEN_GOOD:
        skippable(frame, n - n_raw);
        memcpy(frame + n - n_raw, raw, n_raw);
        return;
    default:
        (void)ZSTD_compress(frame, n, raw, n_raw, 1);
        return;
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Frames that claim or make more than there is, with windows that nobody has, thousands
 * of them: an error at once, when read whole, when verified and when streamed. One
 * expert's frame of a compressed pack is followed by room for the bomb: its place is
 * made longer and what follows moves. */
static void test_bombs(void **state)
{
    (void)state;
    char *path = kit_make("v2-group", "b.mote", MOTE_TYPE_KEEP, 3);
    mote__pack_file p;
    mote__file f;
    mote__config c;
    mote__layout l;
    mote__units units;
    kit_pack k;
    kit_open(&k, path);
    MUST(mote__file_open(&f, path, err));
    MUST(mote__pack_file_open(&p, &f, err));
    MUST(mote__pack_describe(&p, &c, &l, MOTE_MTP_AUTO, err));
    MUST(mote__units_of(&units, &l, SIZE_MAX, err));
    assert_int_equal(units.n, k.n_units);
    size_t victim = 0;
    while (units.units[victim].n_slots != 3)
        victim++;
    const mote__unit *u = &units.units[victim];
    size_t n_old = k.unit_bytes[victim], n_most = mote__unit_bound((size_t)u->n_bytes);
    size_t more = (n_most - n_old) / 64 * 64;
    assert_true(more >= 64);
    uint8_t *bad = calloc(1, k.size + more + 64);
    assert_non_null(bad);
    for (enum bomb b = 0; b < BOMBS; b++) {
        size_t n_new = n_old + more, size = k.size + more,
               tail = k.unit_at[victim] + (n_old + 63) / 64 * 64;
        memcpy(bad, k.data, k.unit_at[victim]);
        memset(bad + k.unit_at[victim], 0, more + 64);
        make_bomb(b, bad + k.unit_at[victim], n_new, k.data + k.unit_at[victim], n_old,
                u->n_bytes);
        memcpy(bad + tail + more, k.data + tail, k.size - tail);
        kit_put64(bad + 16, size);
        /* sections behind, the weights' length, places, hashes */
        for (uint32_t i = 0; i < kit_get32(bad + 28); i++) {
            uint8_t *e = bad + 40 + 32 * i;
            uint32_t kind = kit_get32(e);
            if (kind == MOTE__PACK_WEIGHTS)
                kit_put64(e + 16, kit_get64(e + 16) + more);
            if (kit_get64(e + 8) > k.unit_at[victim])
                kit_put64(e + 8, kit_get64(e + 8) + more);
            uint8_t *data = bad + kit_get64(e + 8);
            if (kind == MOTE__PACK_UNITS) {
                kit_put64(data + 16 * victim + 8, n_new);
                for (size_t j = victim + 1; j < k.n_units; j++)
                    kit_put64(data + 16 * j, kit_get64(data + 16 * j) + more);
            }
            if (kind == MOTE__PACK_HASHES)
                kit_put64(data + 8 * victim,
                        mote__hash_of(bad + k.unit_at[victim], n_new));
            if (kind == MOTE__PACK_UNITS || kind == MOTE__PACK_HASHES)
                kit_put64(e + 24, mote__hash_of(data, (size_t)kit_get64(e + 16)));
        }
        kit_put64(bad + 4088, mote__hash_of(bad, 4088));
        double start = seconds();
        mote_error err = {0};
        assert_int_equal(open_bytes(bad, size, MOTE_MAP_AUTO, &err), MOTE_E_FORMAT);
        if (!strstr(err.message, "compressed weights"))
            print_error("bomb %d: %s\n", (int)b, err.message);
        assert_non_null(strstr(err.message, "compressed weights"));
        assert_int_equal(verify(bad, size, &err), MOTE_E_FORMAT);
        assert_non_null(strstr(err.message, "compressed weights"));
        assert_true(seconds() - start < 5);
    }
    free(bad);
    mote__units_free(&units);
    mote__layout_free(&l);
    mote__pack_file_close(&p);
    kit_close(&k);
    free(path);
}

/* n bytes that are no number, with every checksum right, are refused however the pack
 * is opened. */
static void must_refuse(kit_pack *k, uint8_t *at, const void *bad, size_t n,
        uint32_t role, const char *what)
{
    uint8_t was[4];
    mote_error err = {0};
    memcpy(was, at, n);
    memcpy(at, bad, n);
    kit_repair(k, k->data, k->size, 1);
    for (uint32_t map = MOTE_MAP_AUTO; map <= MOTE_MAP_OFF; map += MOTE_MAP_OFF) {
        assert_int_equal(open_bytes(k->data, k->size, map, &err), MOTE_E_FORMAT);
        assert_non_null(strstr(err.message, "is not finite"));
        assert_non_null(strstr(err.message, mote__role_name(role)));
    }
    assert_int_equal(verify(k->data, k->size, &err), MOTE_E_FORMAT);
    assert_non_null(strstr(err.message, what));
    memcpy(at, was, n);
}

/* A norm, router, bias, scale or weight of e4m3 that is no number. */
static void test_numbers(void **state)
{
    (void)state;
    uint32_t n_weights = 0;
    for (uint32_t type = MOTE_TYPE_KEEP; type <= MOTE_TYPE_INT4_ALL; type++) {
        char *path = kit_make("v3-tied", "n.mote", type, 0);
        mote__pack_file p;
        mote__file f;
        mote__config c;
        mote__layout l;
        kit_pack k;
        kit_open(&k, path);
        MUST(mote__file_open(&f, path, err));
        MUST(mote__pack_file_open(&p, &f, err));
        MUST(mote__pack_describe(&p, &c, &l, MOTE_MTP_AUTO, err));
        uint64_t base = mote__pack_find(&p, MOTE__PACK_WEIGHTS)->offset;
        uint32_t n_values = 0, n_scales = 0, seen[MOTE__ROLES] = {0};
        for (size_t i = 0; i < l.n_slots; i++) {
            const mote__slot *s = &l.slots[i];
            int rows = s->form == MOTE__FORM_ROWS_F32 && s->role != MOTE__ROLE_EMBED;
            if ((!rows && !s->scale_bytes && s->form != MOTE_K_I4) ||
                    seen[s->role]++ > 1)
                continue;
            static const float no[] = {NAN, INFINITY, -INFINITY};
            if (s->form == MOTE_K_I4) { /* the last scale of a part, bf16 */
                const uint64_t part = s->n_bytes / MOTE_I4_PART_BYTES * (i % 4) / 4;
                const uint16_t bits = mote_k_f32_to_bf16(no[i % 3]);
                must_refuse(&k,
                        k.data + base + s->offset + part * MOTE_I4_PART_BYTES +
                                MOTE_I4_PART_SCALES - 2,
                        &bits, 2, s->role, "scale");
                n_scales++;
                continue;
            }
            must_refuse(&k,
                    k.data + base +
                            (rows ? s->offset + s->n_bytes - 4
                                  : s->scale_offset + s->scale_bytes - 4),
                    &no[i % 3], 4, s->role, rows ? "value" : "scale");
            n_values += (uint32_t)rows;
            n_scales += (uint32_t)!rows;
            if (s->form == MOTE_K_E4M3) {
                static const uint8_t nan[] = {0x7f, 0xff};
                must_refuse(&k, k.data + base + s->offset + s->n_bytes * (i % 3) / 3,
                        &nan[i % 2], 1, s->role, "weight");
                n_weights++;
            }
        }
        assert_true(n_values >= 8);
        assert_true(type < MOTE_TYPE_INT8 || n_scales >= 8);
        kit_repair(&k, k.data, k.size, 1);
        assert_int_equal(open_bytes(k.data, k.size, 0, NULL), MOTE_OK);
        mote__layout_free(&l);
        mote__pack_file_close(&p);
        kit_close(&k);
        free(path);
    }
    assert_true(n_weights >= 8);
}

static int done(void **state)
{
    (void)state;
    kit_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_header),
            cmocka_unit_test(test_contents),
            cmocka_unit_test(test_truncation),
            cmocka_unit_test(test_flips),
            cmocka_unit_test(test_mutations),
            cmocka_unit_test(test_bombs),
            cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests_name("pack_damage", tests, NULL, done);
}
