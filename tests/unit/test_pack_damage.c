/* SPDX-License-Identifier: MIT */
/* Damaged and hostile packs: each is an error, at opening or by verifying; nothing
 * crashes, hangs or leaks (run under the sanitizers, too). */
#include "pack_kit.h"

#include "file/pack_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    };
    return cmocka_run_group_tests_name("pack_damage", tests, NULL, done);
}
