/* SPDX-License-Identifier: MIT */
/* The tokenizer of the bundled model against golden ids, everything mote/tokenizer.h
 * promises, and files that lie.
 *
 * tests/data/tokenizer/tiny.jsonl was made by tests/tools/tokenizer_golden.py, a second
 * implementation that agrees with the reference on the published tokenizers. */
#include "mote/tokenizer.h"
#include "../portable.h"
#include "test_text.h"
#include "text/tokenizer_parts.h"

#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODEL "../../models/tiny-v3"
#define BAR "\xef\xbd\x9c"
#define LOW "\xe2\x96\x81"
#define BOS "<" BAR "begin" LOW "of" LOW "sentence" BAR ">"

static mote_tokenizer *tiny;

static char *load(const char *name, size_t *n)
{
    char *text = text_load("MOTE_TEST_DATA", name, n);
    if (!text)
        fail_msg("%s is missing: is MOTE_TEST_DATA set?", name);
    return text;
}

static int setup(void **state)
{
    (void)state;
    char path[4096];
    mote_error err;
    const char *folder = getenv("MOTE_TEST_DATA");
    snprintf(path, sizeof path, "%s/" MODEL, folder ? folder : "tests/data");
    if (mote_tokenizer_open(&tiny, path, &err) < 0)
        print_error("%s\n", err.message);
    return tiny ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mote_tokenizer_close(tiny);
    return 0;
}

/* ---- golden ids ---- */

static size_t n_golden, n_wrong;

static void golden_line(const mote_tokenizer *t, const json_t *line)
{
    static const char *const keys[] = {"plain", "ids"};
    const json_t *text = json_object_get(line, "text");
    const char *hex = json_string_value(json_object_get(line, "hex"));
    size_t n = text ? json_string_length(text) : strlen(hex) / 2, n_back = 0;
    char *bytes = malloc(n + 1), *back = malloc(n + 1);
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        unsigned b = 0;
        if (!text)
            assert_int_equal(sscanf(hex + 2 * i, "%2x", &b), 1);
        bytes[i] = text ? json_string_value(text)[i] : (char)b;
    }
    for (uint32_t special = 0; special < 2; special++) {
        const json_t *want = json_object_get(line, keys[special]);
        size_t n_ids = 0;
        assert_int_equal(
                mote_tokenizer_encode(t, bytes, n, special ? MOTE_ENCODE_SPECIAL : 0,
                        ids, n + 1, &n_ids, NULL),
                MOTE_OK);
        bool same = n_ids == json_array_size(want);
        for (size_t i = 0; i < n_ids && same; i++)
            same = ids[i] == json_integer_value(json_array_get(want, i));
        n_wrong += !same;
        if (!same)
            print_error("golden case %zu differs (%s)\n", n_golden + 1, keys[special]);
        assert_int_equal(
                mote_tokenizer_decode(t, ids, n_ids, 0, back, n, &n_back, NULL),
                MOTE_OK);
        assert_int_equal(n_back, n);
        assert_memory_equal(back, bytes, n);
    }
    n_golden++;
    free(ids);
    free(bytes);
    free(back);
}

static void run_golden(const mote_tokenizer *t)
{
    size_t n = 0, length = 0;
    char *text = load("tokenizer/tiny.jsonl", &n);
    const char *at = text, *line;
    n_golden = n_wrong = 0;
    while ((line = text_line(&at, text + n, &length))) {
        json_t *v = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
        assert_non_null(v);
        golden_line(t, v);
        json_decref(v);
    }
    free(text);
    assert_true(n_golden > 200);
    assert_int_equal(n_wrong, 0);
}

static void test_golden(void **state)
{
    (void)state;
    run_golden(tiny);
    run_golden(tiny); /* now it knows which words are tokens */
}

/* The same without executable memory. */
static void test_golden_interpreted(void **state)
{
    (void)state;
    bool jit[MOTE__STAGES_MAX];
    for (size_t i = 0; i < tiny->splitter.n_stages; i++) {
        jit[i] = tiny->splitter.stages[i].jit;
        tiny->splitter.stages[i].jit = false;
    }
    run_golden(tiny);
    for (size_t i = 0; i < tiny->splitter.n_stages; i++)
        tiny->splitter.stages[i].jit = jit[i];
}

static void *golden_thread(void *arg)
{
    const mote_tokenizer *t = arg;
    static const char text[] =
            "Once upon a time, there was a big bear named Max. 123 abc";
    int32_t first[128], ids[128];
    size_t n = 0, m = 0;
    mote_tokenizer_encode(t, text, sizeof text - 1, 0, first, 128, &n, NULL);
    for (int i = 0; i < 500; i++) {
        if (mote_tokenizer_encode(t, text, sizeof text - 1, 0, ids, 128, &m, NULL) <
                        0 ||
                m != n || memcmp(ids, first, n * sizeof *ids) != 0)
            return arg;
    }
    return NULL;
}

/* "may be used from any number of threads" */
static void test_threads(void **state)
{
    (void)state;
#ifdef __EMSCRIPTEN__
    print_message("a page has one thread\n");
    skip();
#endif
    char path[4096];
    mote_tokenizer *t = NULL;
    pthread_t threads[4];
    snprintf(
            path, sizeof path, "%s/" MODEL "/tokenizer.json", getenv("MOTE_TEST_DATA"));
    assert_int_equal(mote_tokenizer_open(&t, path, NULL), MOTE_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, golden_thread, t), 0);
    for (int i = 0; i < 4; i++) {
        void *result = t;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    mote_tokenizer_close(t);
}

/* ---- promises of the header ---- */

static void test_encode_counts(void **state)
{
    (void)state;
    int32_t ids[16], few[4] = {-7, -7, -7, -7};
    size_t n = 0, m = 0;
    static const char text[] = "Once upon a time";
    assert_int_equal(
            mote_tokenizer_encode(tiny, text, 16, MOTE_ENCODE_BOS, ids, 16, &n, NULL),
            0);
    assert_true(n > 3);
    assert_int_equal(ids[0], mote_tokenizer_bos(tiny));
    /* "receives the full count, even when it exceeds capacity" */
    assert_int_equal(
            mote_tokenizer_encode(tiny, text, 16, MOTE_ENCODE_BOS, few, 3, &m, NULL),
            0);
    assert_int_equal(m, n);
    assert_memory_equal(few, ids, 3 * sizeof *few);
    assert_int_equal(few[3], -7);
    assert_int_equal(
            mote_tokenizer_encode(tiny, text, 16, MOTE_ENCODE_BOS, NULL, 0, &m, NULL),
            0);
    assert_int_equal(m, n);
    assert_int_equal(mote_tokenizer_encode(tiny, NULL, 0, 0, NULL, 0, &m, NULL), 0);
    assert_int_equal(m, 0);
    char back[16], part[3];
    assert_int_equal(
            mote_tokenizer_decode(tiny, ids + 1, n - 1, 0, back, 16, &m, NULL), 0);
    assert_int_equal(m, 16);
    assert_memory_equal(back, text, 16);
    assert_int_equal(
            mote_tokenizer_decode(tiny, ids + 1, n - 1, 0, part, 3, &m, NULL), 0);
    assert_int_equal(m, 16);
    assert_memory_equal(part, text, 3);
}

static void test_control_tokens(void **state)
{
    (void)state;
    static const char text[] = BOS "<" BAR "User" BAR ">hi<think>";
    int32_t ids[64];
    size_t n = 0;
    int32_t user = mote_tokenizer_find(tiny, "<" BAR "User" BAR ">", 12);
    assert_int_equal(user, 4080);
    assert_int_equal(mote_tokenizer_find(tiny, "<think>", 7), 4083);
    assert_int_equal(mote_tokenizer_find(tiny, "<think", 6), -1);
    assert_int_equal(mote_tokenizer_find(tiny, "a", 1), -1);
    assert_int_equal(mote_tokenizer_find(tiny, "", 0), -1);
    assert_int_equal(mote_tokenizer_is_special(tiny, 0), 1);
    assert_int_equal(mote_tokenizer_is_special(tiny, user), 0);
    assert_int_equal(mote_tokenizer_is_special(tiny, -1), 0);
    assert_int_equal(mote_tokenizer_is_special(tiny, INT32_MAX), 0);
    assert_int_equal(mote_tokenizer_size(tiny), 4096);
    assert_int_equal(mote_tokenizer_bos(tiny), 0);
    assert_int_equal(mote_tokenizer_eos(tiny), 1);
    assert_int_equal(mote_tokenizer_adds_bos(tiny), 1);
    assert_int_equal(mote_tokenizer_encode(tiny, text, sizeof text - 1,
                             MOTE_ENCODE_SPECIAL, ids, 64, &n, NULL),
            0);
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], user);
    assert_int_equal(ids[n - 1], 4083);
    char back[64];
    size_t m = 0;
    /* only tokens marked special are left out: User and <think> stay */
    assert_int_equal(mote_tokenizer_decode(tiny, ids, n, MOTE_DECODE_SKIP_SPECIAL, back,
                             64, &m, NULL),
            0);
    assert_int_equal(m, sizeof text - sizeof BOS);
    assert_memory_equal(back, text + sizeof BOS - 1, m);
    /* "Without it they stay text." */
    assert_int_equal(
            mote_tokenizer_encode(tiny, text, sizeof text - 1, 0, ids, 64, &n, NULL),
            0);
    for (size_t i = 0; i < n; i++)
        assert_true(ids[i] > 2 && ids[i] < 4080);
}

static void test_token_bytes(void **state)
{
    (void)state;
    size_t n = 99;
    assert_null(mote_tokenizer_token(tiny, -1, &n));
    assert_int_equal(n, 0);
    assert_null(mote_tokenizer_token(tiny, 4096, &n));
    const char *bytes = mote_tokenizer_token(tiny, 4083, &n);
    assert_int_equal(n, 7);
    assert_memory_equal(bytes, "<think>", 7);
    bytes = mote_tokenizer_token(tiny, 0, &n);
    assert_int_equal(n, strlen(BOS));
    assert_memory_equal(bytes, BOS, n);
    /* every byte is a token of its own */
    for (int b = 0; b < 256; b++) {
        char c = (char)b;
        int32_t id = -1;
        assert_int_equal(mote_tokenizer_encode(tiny, &c, 1, 0, &id, 1, &n, NULL), 0);
        assert_int_equal(n, 1);
        bytes = mote_tokenizer_token(tiny, id, &n);
        assert_int_equal(n, 1);
        assert_int_equal(bytes[0], c);
    }
}

static void test_wrong_calls(void **state)
{
    (void)state;
    mote_error err;
    mote_tokenizer *t = tiny;
    mote_decoder *d = NULL;
    int32_t id = 4096;
    size_t n = 5;
    const char *text = NULL;
    assert_int_equal(mote_tokenizer_open(NULL, "x", &err), MOTE_E_INVALID);
    assert_int_equal(mote_tokenizer_open(&t, NULL, &err), MOTE_E_INVALID);
    assert_null(t);
    assert_int_equal(
            mote_tokenizer_open(&t, "/no/such/folder", &err), MOTE_E_NOT_FOUND);
    assert_int_equal(
            mote_tokenizer_open_memory(&t, NULL, 0, NULL, 0, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote_tokenizer_encode(NULL, "a", 1, 0, &id, 1, &n, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote_tokenizer_encode(tiny, NULL, 1, 0, &id, 1, &n, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote_tokenizer_encode(tiny, "a", 1, 64, &id, 1, &n, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote_tokenizer_encode(tiny, "a", 1, 0, NULL, 1, &n, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote_tokenizer_encode(tiny, "a", 1, 0, &id, 1, NULL, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote_tokenizer_decode(tiny, &id, 1, 0, NULL, 0, &n, &err), MOTE_E_INVALID);
    assert_string_equal(err.message, "there is no token with id 4096");
    assert_int_equal(n, 0);
    assert_int_equal(
            mote_tokenizer_decode(tiny, &id, 1, 2, NULL, 0, &n, &err), MOTE_E_INVALID);
    assert_int_equal(mote_decoder_open(&d, NULL, 0, &err), MOTE_E_INVALID);
    assert_int_equal(mote_decoder_open(&d, tiny, 2, &err), MOTE_E_INVALID);
    assert_int_equal(mote_decoder_open(&d, tiny, 0, &err), MOTE_OK);
    assert_int_equal(mote_decoder_push(d, 4096, &text, &n, &err), MOTE_E_INVALID);
    assert_int_equal(mote_decoder_push(NULL, 0, &text, &n, &err), MOTE_E_INVALID);
    assert_int_equal(mote_decoder_finish(d, NULL, &n, &err), MOTE_E_INVALID);
    mote_decoder_close(d);
    mote_decoder_close(NULL);
    mote_tokenizer_close(NULL);
}

/* ---- streams ---- */

static int32_t byte_token(int b)
{
    return tiny->bpe.byte_id[b];
}

/* Push bytes one token each; what comes out each time is joined with |. */
static void stream(const char *bytes, size_t n, const char *expected)
{
    char got[256];
    size_t at = 0, length = 0;
    const char *text = NULL;
    mote_decoder *d = NULL;
    assert_int_equal(mote_decoder_open(&d, tiny, 0, NULL), MOTE_OK);
    for (size_t i = 0; i <= n; i++) {
        mote_status st = i < n ? mote_decoder_push(d, byte_token((uint8_t)bytes[i]),
                                         &text, &length, NULL)
                               : mote_decoder_finish(d, &text, &length, NULL);
        assert_int_equal(st, MOTE_OK);
        memcpy(got + at, text, length);
        at += length;
        got[at++] = '|';
    }
    got[at] = '\0';
    mote_decoder_close(d);
    assert_string_equal(got, expected);
}

static void test_stream(void **state)
{
    (void)state;
    stream("ab", 2, "a|b||");
    stream("\xc3\xa9!", 3, "|\xc3\xa9|!||");
    stream("\xe4\xb8\xad", 3, "||\xe4\xb8\xad||");
    stream("\xf0\x9f\x98\x80", 4, "|||\xf0\x9f\x98\x80||");
    /* certain to be invalid: passed on at once */
    stream("\xff\x80", 2, "\xff|\x80||");
    stream("\xc0\xaf", 2, "\xc0|\xaf||");
    stream("\xe0\x80", 2, "|\xe0\x80||");
    stream("\xed\xa0\x80", 3, "|\xed\xa0|\x80||");
    stream("\xf4\x90", 2, "|\xf4\x90||");
    stream("\xf0\x80", 2, "|\xf0\x80||");
    stream("\xe4\xb8"
           "a",
            3,
            "||\xe4\xb8"
            "a||");
    stream("\xe4\xc3\xa9", 3, "|\xe4|\xc3\xa9||");
    stream("\xf0\x9f\x98\xf0\x9f\x98\x80", 7, "|||\xf0\x9f\x98|||\xf0\x9f\x98\x80||");
    /* "the bytes still held back, as they are" */
    stream("\xe4\xb8", 2, "||\xe4\xb8|");
    stream("\xf0\x9f\x98", 3, "|||\xf0\x9f\x98|");
}

static void test_stream_reused(void **state)
{
    (void)state;
    const char *text = NULL;
    size_t n = 0;
    mote_decoder *d = NULL;
    assert_int_equal(
            mote_decoder_open(&d, tiny, MOTE_DECODE_SKIP_SPECIAL, NULL), MOTE_OK);
    assert_int_equal(mote_decoder_push(d, byte_token(0xC3), &text, &n, NULL), MOTE_OK);
    assert_int_equal(n, 0);
    /* an id without a token changes nothing; a skipped one neither */
    assert_int_equal(mote_decoder_push(d, -1, &text, &n, NULL), MOTE_E_INVALID);
    assert_int_equal(mote_decoder_push(d, 0, &text, &n, NULL), MOTE_OK);
    assert_int_equal(n, 0);
    assert_int_equal(mote_decoder_push(d, byte_token(0xA9), &text, &n, NULL), MOTE_OK);
    assert_int_equal(n, 2);
    assert_int_equal(mote_decoder_push(d, byte_token(0xE4), &text, &n, NULL), MOTE_OK);
    assert_int_equal(mote_decoder_finish(d, &text, &n, NULL), MOTE_OK);
    assert_int_equal(n, 1);
    /* "The decoder is then as new." */
    assert_int_equal(mote_decoder_finish(d, &text, &n, NULL), MOTE_OK);
    assert_int_equal(n, 0);
    assert_int_equal(mote_decoder_push(d, byte_token('x'), &text, &n, NULL), MOTE_OK);
    assert_int_equal(n, 1);
    assert_memory_equal(text, "x", 1);
    mote_decoder_close(d);
}

/* ---- tokenizer_config.json and templates ---- */

static mote_status open_texts(
        mote_tokenizer **t, const char *config, const char *jinja, mote_error *err)
{
    size_t n = 0;
    char *text = load(MODEL "/tokenizer.json", &n);
    mote__tokenizer_texts texts = {.tokenizer = text,
            .tokenizer_size = n,
            .config = config,
            .config_size = config ? strlen(config) : 0,
            .chat_template = jinja,
            .chat_template_size = jinja ? strlen(jinja) : 0};
    mote_status st = mote__tokenizer_open_texts(t, NULL, &texts, err);
    free(text);
    return st;
}

static void test_config(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        mote_status status;
        int32_t bos, eos, adds;
    } cases[] = {
            {NULL, MOTE_OK, -1, -1, 0},
            {"{}", MOTE_OK, -1, -1, 0},
            {"{\"add_bos_token\":true,\"bos_token\":\"" BOS "\"}", MOTE_OK, 0, -1, 1},
            {"{\"add_bos_token\":false,\"bos_token\":{\"content\":\"" BOS "\"}}",
                    MOTE_OK, 0, -1, 0},
            {"{\"bos_token\":\"" BOS "\",\"eos_token\":\"<|EOT|>\"}", MOTE_OK, 0, 4082,
                    0},
            {"{\"bos_token\":null,\"add_bos_token\":null}", MOTE_OK, -1, -1, 0},
            {"{\"add_bos_token\":true}", MOTE_E_FORMAT, 0, 0, 0},
            {"{\"add_bos_token\":1}", MOTE_E_FORMAT, 0, 0, 0},
            {"{\"bos_token\":\"<none>\"}", MOTE_E_FORMAT, 0, 0, 0},
            {"{\"bos_token\":{}}", MOTE_E_FORMAT, 0, 0, 0},
            {"{\"bos_token\":7}", MOTE_E_FORMAT, 0, 0, 0},
            {"[]", MOTE_E_FORMAT, 0, 0, 0},
            {"{", MOTE_E_FORMAT, 0, 0, 0},
            {"", MOTE_E_FORMAT, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_tokenizer *t = tiny;
        mote_error err = {0};
        mote_status st = open_texts(&t, cases[i].config, NULL, &err);
        if (st != cases[i].status)
            fail_msg("case %zu: %d: %s", i, (int)st, err.message);
        if (st < 0) {
            assert_null(t);
            assert_true(err.message[0]);
            continue;
        }
        assert_int_equal(mote_tokenizer_bos(t), cases[i].bos);
        assert_int_equal(mote_tokenizer_eos(t), cases[i].eos);
        assert_int_equal(mote_tokenizer_adds_bos(t), cases[i].adds);
        /* without add_bos_token the flag adds nothing */
        size_t n = 0;
        assert_int_equal(
                mote_tokenizer_encode(t, "", 0, MOTE_ENCODE_BOS, NULL, 0, &n, NULL), 0);
        assert_int_equal(n, cases[i].adds);
        mote_tokenizer_close(t);
    }
}

static void test_chat_template(void **state)
{
    (void)state;
    static const char listed[] =
            "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"T\"},"
            "{\"name\":\"default\",\"template\":\"D\"}]}";
    static const struct {
        const char *config, *jinja, *expected;
    } cases[] = {{NULL, NULL, NULL}, {"{}", NULL, NULL},
            {"{\"chat_template\":\"S\"}", NULL, "S"}, {listed, NULL, "D"},
            {"{\"chat_template\":[{\"name\":\"x\"}]}", NULL, NULL},
            {"{\"chat_template\":7}", NULL, NULL},
            {"{\"chat_template\":\"S\"}", "J", "J"}, {NULL, "J", "J"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_tokenizer *t = NULL;
        mote_error err = {0};
        size_t n = 99;
        if (open_texts(&t, cases[i].config, cases[i].jinja, &err) < 0)
            fail_msg("case %zu: %s", i, err.message);
        const char *text = mote__tokenizer_chat_template(t, &n);
        if (cases[i].expected)
            assert_string_equal(text, cases[i].expected);
        else
            assert_null(text);
        assert_int_equal(n, cases[i].expected ? 1 : 0);
        mote_tokenizer_close(t);
    }
    assert_non_null(mote__tokenizer_chat_template(tiny, NULL));
}

/* ---- small tokenizers, written out ---- */

#define BYTE_LEVEL                                                                     \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define PIPE "\"pre_tokenizer\":" BYTE_LEVEL ",\"decoder\":{\"type\":\"ByteLevel\"},"
#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"aba\":3,\"c\":4}"
#define MERGES "\"merges\":[\"a b\",[\"ab\",\"a\"]]"
#define BPE "\"model\":{\"type\":\"BPE\"," VOCAB "," MERGES "}"
#define ADDED(members) "\"added_tokens\":[" members "],"
#define SMALL "{" PIPE BPE "}"

static mote_status open_small(mote_tokenizer **t, const char *text, mote_error *err)
{
    return mote_tokenizer_open_memory(t, text, strlen(text), NULL, 0, err);
}

static void check_small(const char *tokenizer, const char *text, const char *expected)
{
    mote_tokenizer *t = NULL;
    mote_error err = {0};
    int32_t ids[64];
    char got[256] = "";
    size_t n = 0, at = 0;
    if (open_small(&t, tokenizer, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(mote_tokenizer_encode(t, text, strlen(text), MOTE_ENCODE_SPECIAL,
                             ids, 64, &n, NULL),
            0);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(
                got + at, sizeof got - at, i ? " %d" : "%d", (int)ids[i]);
    assert_string_equal(got, expected);
    mote_tokenizer_close(t);
}

static void test_small(void **state)
{
    (void)state;
    check_small(SMALL, "ababaab", "2 3 2"); /* ab ab a ab: the lowest rank first */
    check_small(SMALL, "abaab", "3 2");
    check_small("{" PIPE
                "\"model\":{\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"a a\"]}}",
            "aaaaa", "1 1 0");
    /* with ignore_merges a piece that is a token is never cut */
    check_small("{" PIPE
                "\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[]}}",
            "ab", "0 1");
    check_small(
            "{" PIPE
            "\"model\":{\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
            "\"merges\":[]}}",
            "ab", "2");
    /* leftmost, then longest */
    check_small(
            "{" ADDED("{\"id\":7,\"content\":\"ca\"},{\"id\":8,\"content\":\"cab\"},"
                      "{\"id\":9,\"content\":\"bcc\"}") PIPE BPE "}",
            "aacabcca", "0 0 8 4 7");
    /* those that match before normalisation go first, wherever they are */
    check_small("{" ADDED("{\"id\":7,\"content\":\"cb\",\"normalized\":true},"
                          "{\"id\":8,\"content\":\"bc\"}") PIPE BPE "}",
            "cbcab", "4 8 2");
    /* an added token that is also made by merges, and ids with gaps */
    check_small(
            "{" ADDED("{\"id\":3,\"content\":\"aba\"},{\"id\":100,\"content\":\"!\"}")
                    PIPE BPE "}",
            "abaab!", "3 2 100");
    /* Split by a text, GPT-2's pattern, digits */
    check_small("{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{"
                "\"type\":\"Split\","
                "\"pattern\":{\"String\":\"b\"},\"behavior\":\"Isolated\",\"invert\":"
                "true}," BYTE_LEVEL "]},\"decoder\":{\"type\":\"ByteLevel\"}," BPE "}",
            "abab", "0 1 0 1");
    check_small(
            "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
            "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"a\":0,\"1\":"
            "1,\"a1\":2,"
            "\"aa\":3},\"merges\":[\"a 1\",\"a a\"]}}",
            "aa1", "3 1");
    check_small("{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{"
                "\"type\":\"Digits\"}," BYTE_LEVEL
                "]},\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"1\":0,"
                "\"11\":1,\"a\":2},\"merges\":[\"1 1\"]}}",
            "11a1", "1 2 0");
}

/* A byte without a token is an error, not a loss. */
static void test_missing_byte(void **state)
{
    (void)state;
    mote_tokenizer *t = NULL;
    mote_error err;
    size_t n = 5;
    assert_int_equal(open_small(&t, SMALL, &err), MOTE_OK);
    assert_int_equal(mote_tokenizer_encode(t, "ax", 2, 0, NULL, 0, &n, &err),
            MOTE_E_UNSUPPORTED);
    assert_string_equal(err.message, "the vocabulary has no token for the byte 0x78");
    assert_int_equal(n, 0);
    mote_tokenizer_close(t);
}

#define MODEL_WITH(members) "{" PIPE "\"model\":{" members "}}"
#define WITH_VOCAB(vocab) MODEL_WITH("\"vocab\":{" vocab "},\"merges\":[]")
#define WITH_MERGES(merges) MODEL_WITH(VOCAB ",\"merges\":" merges)
#define WITH_ADDED(members) "{" ADDED(members) PIPE BPE "}"
#define WITH_PRE(pre)                                                                  \
    "{\"pre_tokenizer\":" pre ",\"decoder\":{\"type\":\"ByteLevel\"}," BPE "}"

static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *text, *named;
        mote_status status;
    } cases[] = {
            {"", "", MOTE_E_FORMAT},
            {"[]", "object", MOTE_E_FORMAT},
            {"{}", "decoder", MOTE_E_UNSUPPORTED},
            {"{" PIPE "\"model\":null}", "model", MOTE_E_FORMAT},
            {"{\"a\":1,\"a\":1}", "", MOTE_E_FORMAT},
            {"{\"a\":\"\\ud800\"}", "", MOTE_E_FORMAT},
            {SMALL "x", "", MOTE_E_FORMAT},
            {WITH_VOCAB(""), "no tokens", MOTE_E_FORMAT},
            {WITH_VOCAB("\"a\":-1"), "\"a\"", MOTE_E_FORMAT},
            {WITH_VOCAB("\"a\":4194304"), "4194304", MOTE_E_FORMAT},
            {WITH_VOCAB("\"a\":99999999999999999999"), "", MOTE_E_FORMAT},
            {WITH_VOCAB("\"a\":1.5"), "\"a\"", MOTE_E_FORMAT},
            {WITH_VOCAB("\"a\":\"1\""), "\"a\"", MOTE_E_FORMAT},
            {WITH_VOCAB("\"a\":1,\"b\":1"), "id 1", MOTE_E_FORMAT},
            {WITH_VOCAB("\"\":1"), "0 bytes", MOTE_E_FORMAT},
            {WITH_VOCAB("\"a\":0,\"a\":1"), "", MOTE_E_FORMAT},
            {WITH_MERGES("[\"a x\"]"), "the second is not in the vocabulary",
                    MOTE_E_FORMAT},
            {WITH_MERGES("[\"x a\"]"), "the first is not", MOTE_E_FORMAT},
            {WITH_MERGES("[\"b a\"]"), "the result is not", MOTE_E_FORMAT},
            {WITH_MERGES("[\"a b\",\"a b\"]"), "merge 1 repeats", MOTE_E_FORMAT},
            {WITH_MERGES("[\"a b c\"]"), "merge 0", MOTE_E_FORMAT},
            {WITH_MERGES("[\"ab\"]"), "merge 0", MOTE_E_FORMAT},
            {WITH_MERGES("[\" b\"]"), "merge 0", MOTE_E_FORMAT},
            {WITH_MERGES("[\"a \"]"), "merge 0", MOTE_E_FORMAT},
            {WITH_MERGES("[[\"a\"]]"), "merge 0", MOTE_E_FORMAT},
            {WITH_MERGES("[[\"a\",1]]"), "merge 0", MOTE_E_FORMAT},
            {WITH_MERGES("[3]"), "merge 0", MOTE_E_FORMAT},
            {WITH_MERGES("{}"), "merges", MOTE_E_FORMAT},
            {MODEL_WITH("\"vocab\":[],\"merges\":[]"), "vocab", MOTE_E_FORMAT},
            {MODEL_WITH("\"type\":\"Unigram\"," VOCAB "," MERGES), "Unigram",
                    MOTE_E_UNSUPPORTED},
            {MODEL_WITH("\"dropout\":0.1," VOCAB "," MERGES), "dropout",
                    MOTE_E_UNSUPPORTED},
            {MODEL_WITH("\"byte_fallback\":true," VOCAB "," MERGES), "byte_fallback",
                    MOTE_E_UNSUPPORTED},
            {MODEL_WITH("\"unk_token\":\"a\"," VOCAB "," MERGES), "unk_token",
                    MOTE_E_UNSUPPORTED},
            {MODEL_WITH("\"end_of_word_suffix\":\"</w>\"," VOCAB "," MERGES),
                    "end_of_word_suffix", MOTE_E_UNSUPPORTED},
            {MODEL_WITH("\"continuing_subword_prefix\":\"##\"," VOCAB "," MERGES),
                    "continuing_subword_prefix", MOTE_E_UNSUPPORTED},
            {WITH_ADDED("{\"id\":9}"), "content", MOTE_E_FORMAT},
            {WITH_ADDED("{\"content\":\"x\"}"), "\"x\"", MOTE_E_FORMAT},
            {WITH_ADDED("{\"id\":9,\"content\":\"\"}"), "0 bytes", MOTE_E_FORMAT},
            {WITH_ADDED("7"), "content", MOTE_E_FORMAT},
            {WITH_ADDED("{\"id\":0,\"content\":\"x\"}"), "id 0 is another",
                    MOTE_E_FORMAT},
            {WITH_ADDED("{\"id\":9,\"content\":\"x\"},{\"id\":9,\"content\":\"y\"}"),
                    "id 9 is another", MOTE_E_FORMAT},
            {WITH_ADDED("{\"id\":9,\"content\":\"x\"},{\"id\":9,\"content\":\"x\"}"),
                    "id 9", MOTE_E_FORMAT},
            {WITH_ADDED("{\"id\":9,\"content\":\"x\"},{\"id\":10,\"content\":\"x\"}"),
                    "twice", MOTE_E_FORMAT},
            {WITH_ADDED("{\"id\":9,\"content\":\"x\"},"
                        "{\"id\":10,\"content\":\"x\",\"normalized\":true}"),
                    "twice", MOTE_E_FORMAT},
            {WITH_ADDED("{\"id\":9,\"content\":\"a\"}"), "\"a\"", MOTE_E_FORMAT},
            {WITH_ADDED("{\"id\":9,\"content\":\"x\",\"lstrip\":true}"), "lstrip",
                    MOTE_E_UNSUPPORTED},
            {WITH_ADDED("{\"id\":9,\"content\":\"x\",\"single_word\":true}"),
                    "single_word", MOTE_E_UNSUPPORTED},
            {"{\"added_tokens\":{}," PIPE BPE "}", "added_tokens", MOTE_E_FORMAT},
            {"{\"normalizer\":{\"type\":\"NFC\"}," PIPE BPE "}", "NFC",
                    MOTE_E_UNSUPPORTED},
            {"{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
             "\"NFC\"}]}," PIPE BPE "}",
                    "normalizer", MOTE_E_UNSUPPORTED},
            {"{\"post_processor\":{\"type\":\"TemplateProcessing\"}," PIPE BPE "}",
                    "TemplateProcessing", MOTE_E_UNSUPPORTED},
            {"{\"pre_tokenizer\":" BYTE_LEVEL
             ",\"decoder\":{\"type\":\"WordPiece\"}," BPE "}",
                    "WordPiece", MOTE_E_UNSUPPORTED},
            {WITH_PRE("null"), "without ByteLevel", MOTE_E_UNSUPPORTED},
            {WITH_PRE("{\"type\":\"Whitespace\"}"), "Whitespace", MOTE_E_UNSUPPORTED},
            {WITH_PRE("{\"type\":\"Metaspace\"}"), "Metaspace", MOTE_E_UNSUPPORTED},
            {WITH_PRE("{\"type\":\"ByteLevel\",\"add_prefix_space\":true}"),
                    "add_prefix_space", MOTE_E_UNSUPPORTED},
            {WITH_PRE("{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL
                      "," BYTE_LEVEL "]}"),
                    "last", MOTE_E_UNSUPPORTED},
            {WITH_PRE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":"
                      "\"Removed\"}"),
                    "Removed", MOTE_E_UNSUPPORTED},
            {WITH_PRE("{\"type\":\"Split\",\"behavior\":\"Isolated\"}"), "pattern",
                    MOTE_E_FORMAT},
            {WITH_PRE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{Greek}\"},"
                      "\"behavior\":\"Isolated\"}"),
                    "\\p{Greek}", MOTE_E_UNSUPPORTED},
            {WITH_PRE("7"), "\"?\"", MOTE_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_tokenizer *t = tiny;
        mote_error err = {0};
        mote_status st = open_small(&t, cases[i].text, &err);
        if (st != cases[i].status || !strstr(err.message, cases[i].named))
            fail_msg("%s: %d: %s", cases[i].text, (int)st, err.message);
        assert_null(t);
    }
}

static void test_deep(void **state)
{
    (void)state;
    enum { DEPTH = 1 << 20 };
    char *text = malloc(DEPTH);
    mote_tokenizer *t = NULL;
    memset(text, '[', DEPTH);
    assert_int_equal(
            mote_tokenizer_open_memory(&t, text, DEPTH, NULL, 0, NULL), MOTE_E_FORMAT);
    free(text);
}

/* ---- damage ---- */

static uint32_t seed = 2026;

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)seed * n >> 32);
}

/* 10,000 damaged files: each opens or gives a sentence, and what opens still gives back
 * every byte. Sanitizers watch. */
static void test_mutations(void **state)
{
    (void)state;
    static const char good[] =
            "{" ADDED("{\"id\":7,\"content\":\"<x>\",\"special\":"
                      "true}") "\"normalizer\":{\"type\":"
                               "\"Sequence\",\"normalizers\":[]},"
                               "\"pre_tokenizer\":{\"type\":"
                               "\"Sequence\",\"pretokenizers\":[{"
                               "\"type\":\"Split\","
                               "\"pattern\":{\"Regex\":\"[^"
                               "\\\\r\\\\n\\\\p{L}]?(a|b{1,3})+| "
                               "?\\\\s+(?!\\\\S)|c$\"},"
                               "\"behavior\":\"Isolated\","
                               "\"invert\":false},{\"type\":"
                               "\"Digits\","
                               "\"individual_digits\":true}"
                               "," BYTE_LEVEL "]},\"decoder\":{\"type\":"
                               "\"ByteLevel\"}," BPE "}";
    static const char text[] = "abaab c<x>abc ab cc\xff\xc3\xa9";
    static const char *const words[] = {"\"", "{", "}", "[", "]", ",", ":", "0", "-1",
            "1e9", "null", "true", "\\\\p{N}", "(?:", ")", "*", "+", "{1,9}", "|", "$",
            "\\u0000", "\xff"};
    char damaged[2 * sizeof good];
    int opened = 0;
    for (int round = 0; round < 10000; round++) {
        size_t n = sizeof good - 1;
        memcpy(damaged, good, n);
        for (uint32_t k = 1 + random_below(3); k > 0; k--) {
            size_t at = random_below((uint32_t)n), length = random_below(8);
            switch (random_below(4)) {
            case 0:
                damaged[at] = (char)random_below(256);
                break;
            case 1: /* drop */
                length = length > n - at ? n - at : length;
                memmove(damaged + at, damaged + at + length, n - at - length);
                n -= length;
                break;
            case 2: /* copy a part elsewhere */
                length = length > n - at ? n - at : length;
                memmove(damaged + random_below((uint32_t)(n - length + 1)),
                        damaged + at, length);
                break;
            default: { /* put in a word */
                const char *w = words[random_below(sizeof words / sizeof *words)];
                length = strlen(w);
                memmove(damaged + at + length, damaged + at, n - at);
                memcpy(damaged + at, w, length);
                n += length;
            }
            }
            if (n == 0)
                break;
        }
        mote_tokenizer *t = NULL;
        mote_error err = {0};
        int32_t ids[64];
        char back[128];
        size_t n_ids = 0, n_back = 0;
        mote_status st = mote_tokenizer_open_memory(&t, damaged, n, NULL, 0, &err);
        if (st < 0) {
            assert_null(t);
            assert_true(err.status == st && err.message[0]);
            continue;
        }
        opened++;
        st = mote_tokenizer_encode(
                t, text, sizeof text - 1, MOTE_ENCODE_SPECIAL, ids, 64, &n_ids, &err);
        if (st >= 0) {
            assert_int_equal(mote_tokenizer_decode(t, ids, n_ids, 0, back, sizeof back,
                                     &n_back, &err),
                    0);
            assert_int_equal(n_back, sizeof text - 1);
            assert_memory_equal(back, text, n_back);
        }
        mote_tokenizer_close(t);
    }
    print_message("%d of 10000 damaged files still open\n", opened);
    assert_true(opened > 100 && opened < 9900);
}

/* ---- memory ---- */

typedef struct failing {
    int left;
} failing;

static void *failing_alloc(void *user, size_t size, size_t align, int32_t tag)
{
    failing *f = user;
    assert_int_equal(tag, MOTE_MEM_TOKENIZER);
    if (f->left-- <= 0)
        return NULL;
    return test_aligned_alloc(align, size);
}

static void failing_free(void *user, void *ptr, size_t size, int32_t tag)
{
    (void)user;
    (void)size;
    (void)tag;
    test_aligned_free(ptr);
}

/* Each allocation fails once: an error, nothing lost. */
static void no_memory(const mote__tokenizer_texts *texts)
{
    int step = 0;
    mote_status st = MOTE_E_MEMORY;
    for (; st == MOTE_E_MEMORY; step++) {
        failing f = {.left = step};
        mote__memory m;
        mote_tokenizer *t = NULL;
        mote_decoder *d = NULL;
        mote_error err = {0};
        size_t n = 0;
        mote__memory_init(&m, failing_alloc, failing_free, &f);
        st = mote__tokenizer_open_texts(&t, &m, texts, &err);
        if (st >= 0) {
            char text[101];
            memset(text, 'a', 100);
            st = mote_tokenizer_encode(t, text, 100, 0, NULL, 0, &n, &err);
            if (st >= 0)
                st = mote_decoder_open(&d, t, 0, &err);
            mote_decoder_close(d);
            mote_tokenizer_close(t);
        } else {
            assert_null(t);
        }
        assert_int_equal(m.bytes[MOTE_MEM_TOKENIZER], 0);
    }
    assert_int_equal(st, MOTE_OK);
    assert_true(step > 10);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char config[] = "{\"chat_template\":\"S\", "
                                 "\"tokenizer_class\":\"TikTokenTokenizer\"}";
    static const char ranks[] = "YQ== 0\nYWE= 1\n";
    mote__tokenizer_texts texts = {.tokenizer = SMALL,
            .tokenizer_size = strlen(SMALL),
            .config = config,
            .config_size = strlen(config)};
    no_memory(&texts);
    texts.tokenizer = NULL;
    texts.tiktoken = ranks;
    texts.tiktoken_size = strlen(ranks);
    no_memory(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_golden),
            cmocka_unit_test(test_golden_interpreted),
            cmocka_unit_test(test_threads),
            cmocka_unit_test(test_encode_counts),
            cmocka_unit_test(test_control_tokens),
            cmocka_unit_test(test_token_bytes),
            cmocka_unit_test(test_wrong_calls),
            cmocka_unit_test(test_stream),
            cmocka_unit_test(test_stream_reused),
            cmocka_unit_test(test_config),
            cmocka_unit_test(test_chat_template),
            cmocka_unit_test(test_small),
            cmocka_unit_test(test_missing_byte),
            cmocka_unit_test(test_hostile),
            cmocka_unit_test(test_deep),
            cmocka_unit_test(test_mutations),
            cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
