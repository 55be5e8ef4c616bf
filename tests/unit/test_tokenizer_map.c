/* SPDX-License-Identifier: MIT */
/* Tokenizers as packs hold them: the same ids, and damage is an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mote/tokenizer.h"
#include "test_text.h"
#include "text/tokenizer_map.h"

static mote_tokenizer *open_texts(
        const char *variable, const char *name, const char *config_name)
{
    mote__tokenizer_texts t = {0};
    mote_tokenizer *tokenizer = NULL;
    bool tiktoken = strstr(name, "tiktoken.model");
    size_t n = 0;
    char *text = text_load(variable, name, &n);
    char *config = text ? text_load(variable, config_name, &t.config_size) : NULL;
    mote_error err;
    if (!text)
        return NULL;
    t.tokenizer = tiktoken ? NULL : text;
    t.tokenizer_size = tiktoken ? 0 : n;
    t.tiktoken = tiktoken ? text : NULL;
    t.tiktoken_size = tiktoken ? n : 0;
    t.config = config;
    mote_status st = mote__tokenizer_open_texts(&tokenizer, NULL, &t, &err);
    if (st < 0)
        print_error("%s\n", err.message);
    assert_int_equal(st, MOTE_OK);
    free(text);
    free(config);
    return tokenizer;
}

static const char sample[] =
        "Once upon a time, there were 1234567 \xe4\xbd\xa0\xe5\xa5\xbd "
        "caf\xc3\xa9s.\n\n"
        "\tif (x<=y) { z[0]++; } // don't <|end\xe2\x96\x81of\xe2\x96\x81sentence|>"
        "<\xef\xbd\x9c"
        "User\xef\xbd\x9c>\xff\xfe  trailing   spaces   \r\n"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaa";

static size_t encode(const mote_tokenizer *t, uint32_t flags, int32_t ids[1024])
{
    size_t n = 0, length = sizeof sample - 1;
    mote_error err;
    mote_status st =
            mote_tokenizer_encode(t, sample, length, flags, ids, 1024, &n, &err);
    if (st == MOTE_E_UNSUPPORTED) { /* V2 has no tokens for bytes that no text has */
        length = (size_t)(strchr(sample, '\xff') - sample);
        st = mote_tokenizer_encode(t, sample, length, flags, ids, 1024, &n, &err);
    }
    assert_int_equal(st, MOTE_OK);
    return n;
}

static void same(const mote_tokenizer *a, const mote_tokenizer *b)
{
    int32_t x[1024], y[1024];
    for (uint32_t flags = 0; flags < 4; flags++) {
        size_t n = encode(a, flags, x);
        assert_true(n > 10);
        assert_int_equal(encode(b, flags, y), n);
        assert_memory_equal(x, y, n * sizeof *x);
    }
    size_t n = 0, m = 0;
    const char *s = mote__tokenizer_chat_template(a, &n),
               *t = mote__tokenizer_chat_template(b, &m);
    assert_int_equal(n, m);
    assert_true((s == NULL) == (t == NULL));
    if (s)
        assert_memory_equal(s, t, n + 1);
}

/* Saved, opened and saved again: the same bytes, the same ids. */
static void round_trip(mote_tokenizer *t)
{
    uint8_t *a = NULL, *b = NULL;
    size_t n, m;
    mote_error err;
    mote_tokenizer *u = NULL;
    assert_int_equal(mote__tokenizer_save(t, &a, &n, &err), MOTE_OK);
    mote_status st = mote__tokenizer_open_map(&u, NULL, a, n, &err);
    if (st < 0)
        print_error("%s\n", err.message);
    assert_int_equal(st, MOTE_OK);
    same(t, u);
    assert_int_equal(mote__tokenizer_save(u, &b, &m, &err), MOTE_OK);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
    mote_tokenizer_close(u);
    mote_tokenizer_close(t);
}

static mote_tokenizer *bundled(void)
{
    return open_texts("MOTE_TEST_DATA", "../../models/tiny-v3/tokenizer.json",
            "../../models/tiny-v3/tokenizer_config.json");
}

static mote_tokenizer *tiktoken(void)
{
    return open_texts("MOTE_TEST_DATA", "tokenizer/tiktoken/tiktoken.model",
            "tokenizer/tiktoken/tokenizer_config.json");
}

static void test_bundled(void **state)
{
    (void)state;
    mote_tokenizer *t = bundled();
    assert_non_null(t);
    round_trip(t);
}

/* Its ranks are ids, which several merges share. */
static void test_tiktoken(void **state)
{
    (void)state;
    mote_tokenizer *t = tiktoken();
    assert_non_null(t);
    round_trip(t);
}

static void test_published(void **state)
{
    (void)state;
    static const char *const names[] = {"v2", "v3", "r1"};
    for (int i = 0; i < 3; i++) {
        char name[64], config[64];
        snprintf(name, sizeof name, "tokenizers/tokenizer.%s.json.zst", names[i]);
        snprintf(
                config, sizeof config, "tokenizers/tokenizer_config.%s.json", names[i]);
        mote_tokenizer *t = open_texts("MOTE_SHARED", name, config);
        if (!t) {
            print_message("no %s: skipped\n", name);
            skip();
        }
        round_trip(t);
    }
}

static uint64_t random_state = 1;
static uint64_t random_next(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 24;
}

/* There is no checksum in this form: what damage leaves open must still work. */
static void damage(mote_tokenizer *t, uint8_t version)
{
    mote_tokenizer *u = NULL;
    uint8_t *good = NULL;
    size_t n, n_failed = 0;
    mote_error err;
    assert_int_equal(mote__tokenizer_save(t, &good, &n, &err), MOTE_OK);
    mote_tokenizer_close(t);
    for (size_t cut = 0; cut < n; cut += cut < 64 ? 1 : 997) {
        uint8_t *exact = malloc(cut + 1); /* its end is watched by the sanitizer */
        memcpy(exact, good, cut);
        assert_int_equal(
                mote__tokenizer_open_map(&u, NULL, exact, cut, &err), MOTE_E_FORMAT);
        assert_null(u);
        free(exact);
    }
    uint8_t *bad = malloc(n);
    for (int i = 0; i < 3000; i++) {
        memcpy(bad, good, n);
        for (uint64_t times = 1 + random_next() % 4; times; times--) {
            size_t at = random_next() % 3 ? random_next() % n : random_next() % 64;
            if (random_next() % 2)
                bad[at] ^= (uint8_t)(1u << (random_next() % 8));
            else if (at + 4 <= n)
                memset(bad + at, random_next() % 2 ? 0xff : 0, 4);
        }
        mote_status st = mote__tokenizer_open_map(&u, NULL, bad, n, &err);
        if (st < 0) {
            n_failed++;
            assert_null(u);
            continue;
        }
        int32_t ids[1024];
        size_t k = 0;
        if (mote_tokenizer_encode(
                    u, sample, sizeof sample - 1, 3, ids, 1024, &k, &err) == MOTE_OK)
            assert_true(k > 0);
        mote_tokenizer_close(u);
    }
    assert_true(n_failed > 500);
    /* "MOTE_E_MISMATCH when a newer library wrote it" */
    memcpy(bad, good, n);
    assert_int_equal(bad[8], version);
    bad[8] = 3;
    assert_int_equal(mote__tokenizer_open_map(&u, NULL, bad, n, &err), MOTE_E_MISMATCH);
    bad[8] = 3 - version; /* says that ranks are what they are not */
    assert_int_equal(mote__tokenizer_open_map(&u, NULL, bad, n, &err), MOTE_E_FORMAT);
    free(bad);
    free(good);
}

static void test_damage(void **state)
{
    (void)state;
    damage(bundled(), 1);
    damage(tiktoken(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_bundled),
            cmocka_unit_test(test_tiktoken),
            cmocka_unit_test(test_published),
            cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests_name("tokenizer_map", tests, NULL, NULL);
}
