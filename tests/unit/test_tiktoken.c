/* SPDX-License-Identifier: MIT */
/* tiktoken.model: the ids that the tiktoken engine gives, and what is refused.
 *
 * tests/data/tokenizer/tiktoken was made by tests/tools/tiktoken_golden.cjs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mote/tokenizer.h"
#include "test_text.h"
#include "text/tokenizer.h"

#include <jansson.h>

enum { IDS_MAX = 1024 };

static char *in_data(char path[1024], const char *name)
{
    snprintf(path, 1024, "%s/tokenizer/tiktoken%s", getenv("MOTE_TEST_DATA"), name);
    return path;
}

static void check_ids(
        const mote_tokenizer *t, const json_t *line, const char *key, uint32_t flags)
{
    const json_t *text = json_object_get(line, "text"),
                 *want = json_object_get(line, key);
    size_t n = 0, n_back = 0;
    int32_t ids[IDS_MAX];
    char back[IDS_MAX * 4];
    mote_error err;
    assert_int_equal(mote_tokenizer_encode(t, json_string_value(text),
                             json_string_length(text), flags, ids, IDS_MAX, &n, &err),
            MOTE_OK);
    if (n != json_array_size(want))
        fail_msg("%s: %zu ids, expected %zu", json_string_value(text), n,
                json_array_size(want));
    for (size_t i = 0; i < n; i++)
        if (ids[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("%s: id %zu is %d", json_string_value(text), i, (int)ids[i]);
    assert_int_equal(
            mote_tokenizer_decode(t, ids, n, 0, back, sizeof back, &n_back, &err),
            MOTE_OK);
    assert_int_equal(n_back, json_string_length(text));
    assert_memory_equal(back, json_string_value(text), n_back);
}

static void test_ids(void **state)
{
    (void)state;
    char path[1024];
    mote_tokenizer *t = NULL;
    mote_error err;
    /* the folder, and the file itself */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mote_tokenizer_open(
                                 &t, in_data(path, i ? "/tiktoken.model" : ""), &err),
                MOTE_OK);
        size_t size, n_line, lines = 0;
        char *all =
                text_load("MOTE_TEST_DATA", "tokenizer/tiktoken/golden.jsonl", &size);
        assert_non_null(all);
        const char *at = all, *line;
        while ((line = text_line(&at, all + size, &n_line))) {
            json_t *o = json_loadb(line, n_line, 0, NULL);
            assert_non_null(o);
            check_ids(t, o, "ids", 0);
            check_ids(t, o, "special", MOTE_ENCODE_SPECIAL | MOTE_ENCODE_BOS);
            json_decref(o);
            lines++;
        }
        assert_int_equal(lines, 409);
        free(all);
        /* control tokens: named, not special, reserved */
        assert_int_equal(mote_tokenizer_size(t), 900 + 256);
        assert_int_equal(mote_tokenizer_bos(t), 900);
        assert_int_equal(mote_tokenizer_eos(t), 901);
        assert_int_equal(mote_tokenizer_adds_bos(t), 0);
        assert_int_equal(mote_tokenizer_find(t, "<|tool_call_begin|>", 19), 920);
        assert_int_equal(mote_tokenizer_is_special(t, 920), 0);
        assert_int_equal(mote_tokenizer_find(t, "<|reserved_token_1155|>", 23), 1155);
        assert_int_equal(mote_tokenizer_is_special(t, 1155), 1);
        assert_int_equal(mote_tokenizer_find(t, "<|reserved_token_920|>", 22), -1);
        mote_tokenizer_close(t);
    }
    assert_int_equal(
            mote_tokenizer_open(&t, in_data(path, "/.."), &err), MOTE_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "tokenizer.json or tiktoken.model"));
}

#define CLASS "\"tokenizer_class\": \"TikTokenTokenizer\""

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model, *config, *named;
        mote_status status;
    } cases[] = {
            {"YQ== 0\n", NULL, "needs a tokenizer_config.json", MOTE_E_UNSUPPORTED},
            {"YQ== 0\n", "{}", "found none", MOTE_E_UNSUPPORTED},
            {"YQ== 0\n", "{\"tokenizer_class\": \"Other\"}", "found Other",
                    MOTE_E_UNSUPPORTED},
            {"YQ== 0\n", "[", "tokenizer_config.json", MOTE_E_FORMAT},
            {"", "{" CLASS "}", "no tokens", MOTE_E_FORMAT},
            {"\n\n", "{" CLASS "}", "no tokens", MOTE_E_FORMAT},
            {"YQ==\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT},
            {"YQ== 0\nYg==  1\n", "{" CLASS "}", "line 2", MOTE_E_FORMAT},
            {"YQ== 0\nYg= 1\n", "{" CLASS "}", "line 2", MOTE_E_FORMAT},
            {"YR== 0\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT}, /* bits cut off */
            {"YWJ= 0\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT},
            {"Y=Q= 0\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT},
            {"==== 0\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT},
            {"Y\xc3\xa9= 0\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT},
            {" 0\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT},
            {"YQ== -1\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT},
            {"YQ== 4194304\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT},
            {"YQ== 99999999999999999999\n", "{" CLASS "}", "line 1", MOTE_E_FORMAT},
            {"YQ== 4194303\n", "{" CLASS "}", "at most", MOTE_E_UNSUPPORTED},
            {"YQ== 0\nYg== 0\n", "{" CLASS "}", "rank 0 is there twice", MOTE_E_FORMAT},
            {"YQ== 0\n", "{" CLASS ", \"added_tokens_decoder\": [1]}",
                    "expected an object", MOTE_E_FORMAT},
            {"YQ== 0\nYQ== 1\n", "{" CLASS "}", "token is there twice", MOTE_E_FORMAT},
            {"YQ== 0\n",
                    "{" CLASS
                    ", \"added_tokens_decoder\": {\"0\": {\"content\": \"x\"}}}",
                    "\"0\"", MOTE_E_FORMAT},
            {"YQ== 0\n",
                    "{" CLASS
                    ", \"added_tokens_decoder\": {\"1x\": {\"content\": \"x\"}}}",
                    "\"1x\"", MOTE_E_FORMAT},
            {"YQ== 0\n", "{" CLASS ", \"added_tokens_decoder\": {\"1\": {}}}", "\"1\"",
                    MOTE_E_FORMAT},
            {"YQ== 0\n",
                    "{" CLASS
                    ", \"added_tokens_decoder\": {\"1\": {\"content\": \"\"}}}",
                    "0 bytes", MOTE_E_FORMAT},
            {"YQ== 0\n",
                    "{" CLASS ", \"added_tokens_decoder\": {\"1\": {\"content\": "
                    "\"x\", \"lstrip\": true}}}",
                    "lstrip", MOTE_E_UNSUPPORTED},
            {"YQ== 0\n",
                    "{" CLASS ", \"added_tokens_decoder\": {\"1\": {\"content\": "
                    "\"x\"}, \"2\": {\"content\": \"x\"}}}",
                    "twice", MOTE_E_FORMAT},
            {"YQ== 0\n",
                    "{" CLASS ", \"added_tokens_decoder\": {\"1\": {\"content\": "
                    "\"x\"}, \"01\": {\"content\": \"x\"}}}",
                    "two added tokens", MOTE_E_FORMAT},
            {"YQ== 0\n",
                    "{" CLASS ", \"added_tokens_decoder\": {\"300\": {\"content\": "
                    "\"<|reserved_token_2|>\"}}}",
                    "twice", MOTE_E_FORMAT},
            {"YQ== 0\n", "{" CLASS ", \"bos_token\": \"[BOS]\"}", "[BOS]",
                    MOTE_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_tokenizer *t = NULL;
        mote_error err = {0};
        mote__tokenizer_texts texts = {.tiktoken = cases[i].model,
                .tiktoken_size = strlen(cases[i].model),
                .config = cases[i].config,
                .config_size = cases[i].config ? strlen(cases[i].config) : 0};
        mote_status st = mote__tokenizer_open_texts(&t, NULL, &texts, &err);
        if (st != cases[i].status || !strstr(err.message, cases[i].named) || t)
            fail_msg("case %zu: %d: %s", i, (int)st, err.message);
    }
}

/* Lines may end as on Windows, the last one not at all, and ranks may have gaps. */
static void test_lines(void **state)
{
    (void)state;
    static const char model[] = "YQ== 0\r\n\r\nYg== 2\r\nYWI= 7";
    static const char config[] = "{" CLASS "}";
    mote__tokenizer_texts texts = {.tiktoken = model,
            .tiktoken_size = sizeof model - 1,
            .config = config,
            .config_size = sizeof config - 1};
    mote_tokenizer *t = NULL;
    mote_error err;
    int32_t ids[8];
    size_t n = 0;
    assert_int_equal(mote__tokenizer_open_texts(&t, NULL, &texts, &err), MOTE_OK);
    assert_int_equal(mote_tokenizer_encode(t, "abba", 4, 0, ids, 8, &n, &err), MOTE_OK);
    assert_int_equal(n, 3);
    assert_int_equal(ids[0], 7);
    assert_int_equal(ids[1], 2);
    assert_int_equal(ids[2], 0);
    assert_int_equal(mote_tokenizer_encode(t, "abc", 3, 0, ids, 8, &n, &err),
            MOTE_E_UNSUPPORTED);
    assert_int_equal(mote_tokenizer_size(t), 8 + 256);
    assert_null(mote_tokenizer_token(t, 1, NULL));
    mote_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_ids),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests_name("tiktoken", tests, NULL, NULL);
}
