/* SPDX-License-Identifier: MIT */
/* The command's option parser and its JSON reading and writing. */
#include "examples/mote/args.h"
#include "examples/mote/bench_bytes.h"
#include "examples/mote/json_in.h"
#include "examples/mote/json_out.h"
#include <mote/options.h>
#include <math.h>
#include <mote/sampler.h>
#include <mote/session.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct fixture {
    cli_set set;
    uint32_t flag, number, choice;
    uint64_t seed;
    float share;
    const char *text, *operand;
    cli_list list;
    cli_texts texts;
    mote_sampler_options sampler;
    mote_session_options session;
    char message[512];
} fixture;

static void begin(fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->sampler = (mote_sampler_options)MOTE_SAMPLER_OPTIONS_INIT;
    f->session = (mote_session_options)MOTE_SESSION_OPTIONS_INIT;
    f->set.command = "test";
    cli_heading(&f->set, "Heading");
    cli_add(&f->set, 'f', "flag", CLI_FLAG, &f->flag, NULL, "");
    cli_add_range(&f->set, 'n', "number", CLI_U32, &f->number, "N", 1, 100, "");
    cli_add(&f->set, 0, "seed", CLI_U64, &f->seed, "S", "");
    cli_add(&f->set, 0, "share", CLI_F32, &f->share, "P", "");
    cli_add(&f->set, 't', "text", CLI_TEXT, &f->text, "TEXT", "");
    cli_add(&f->set, 0, "stop", CLI_TEXTS, &f->texts, "TEXT", "");
    cli_add_range(&f->set, 'd', "depth", CLI_LIST, &f->list, "N,...", 0, 4096, "");
    cli_add(&f->set, 0, "choice", CLI_CHOICE, &f->choice, "one|two|three", "");
    cli_add_field(&f->set, 0, "temp", MOTE_OPTIONS_SAMPLER, &f->sampler, "temperature",
            "T", NULL);
    cli_add_field(&f->set, 0, "kv", MOTE_OPTIONS_SESSION, &f->session, "kv_type",
            "TYPE", "x");
    cli_add(&f->set, 0, NULL, CLI_OPERAND, &f->operand, "FILE", "");
}

#define MAX_WORDS 8
/* Parse up to MAX_WORDS words, NULL ends them. */
static int parse(fixture *f, const char *const *words)
{
    char *argv[MAX_WORDS];
    int argc = 0;
    while (argc < MAX_WORDS && words[argc]) {
        argv[argc] = (char *)(uintptr_t)words[argc];
        argc++;
    }
    f->message[0] = 0;
    return cli_parse(&f->set, argc, argv, f->message, sizeof(f->message));
}
#define PARSE(f, ...) parse(f, (const char *const[MAX_WORDS + 1]){__VA_ARGS__, NULL})

static void test_forms(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    assert_int_equal(PARSE(&f, "-f", "-n", "7", "--text", "a b",
                             "--seed=18446744073709551615", "-d1,2,4096"),
            0);
    assert_int_equal(f.flag, 1);
    assert_int_equal(f.number, 7);
    assert_string_equal(f.text, "a b");
    assert_true(f.seed == UINT64_MAX);
    assert_int_equal(f.list.n, 3);
    assert_int_equal(f.list.values[0], 1);
    assert_int_equal(f.list.values[2], 4096);

    begin(&f);
    assert_int_equal(
            PARSE(&f, "-n100", "--share", "-0.5e1", "--choice", "two", "-t", "-"), 0);
    assert_int_equal(f.number, 100);
    assert_true(f.share == -5.0f);
    assert_int_equal(f.choice, 2);
    assert_string_equal(f.text, "-");

    begin(&f); /* the last one counts; several texts are all kept */
    assert_int_equal(PARSE(&f, "-n", "1", "-n", "2", "--stop", "x", "--stop=--y"), 0);
    assert_int_equal(f.number, 2);
    assert_int_equal(f.texts.n, 2);
    assert_string_equal(f.texts.values[1], "--y");

    begin(&f); /* after "--" everything is a word */
    assert_int_equal(PARSE(&f, "--", "-f"), 0);
    assert_int_equal(f.flag, 0);
    assert_string_equal(f.operand, "-f");

    begin(&f); /* the library checks fields of its structs */
    assert_int_equal(PARSE(&f, "--temp", "0.25", "--kv", "fp8"), 0);
    assert_true(f.sampler.temperature == 0.25f);
    assert_int_equal(f.session.kv_type, MOTE_KV_FP8);

    begin(&f);
    assert_int_equal(PARSE(&f, "-n", "2", "--help", "--nonsense"), 1);
    assert_int_equal(PARSE(&f, "-h"), 1);
}

static void refuse(const char *message, const char *const *words)
{
    fixture f;
    begin(&f);
    assert_int_equal(parse(&f, words), -1);
    assert_string_equal(f.message, message);
}
#define REFUSE(message, ...) refuse(message, (const char *const[]){__VA_ARGS__, NULL})

static void test_refusals(void **state)
{
    (void)state;
    REFUSE("unknown option '--nope'", "--nope");
    REFUSE("unknown option '--fla'", "--fla"); /* no guessing at abbreviations */
    REFUSE("unknown option '-x'", "-x");
    REFUSE("--flag takes no value, found '--flag=1'", "--flag=1");
    REFUSE("-f takes no value, found '-f1'", "-f1");
    REFUSE("-n needs a value (N)", "-n");
    REFUSE("--text needs a value (TEXT)", "--text", "--flag");
    REFUSE("-n: expected a whole number from 1 to 100, found '0'", "-n", "0");
    REFUSE("-n: expected a whole number from 1 to 100, found '101'", "-n", "101");
    REFUSE("-n: expected a whole number from 1 to 100, found '-1'", "-n", "-1");
    REFUSE("-n: expected a whole number from 1 to 100, found '1x'", "-n", "1x");
    REFUSE("-n: expected a whole number from 1 to 100, found ''", "-n", "");
    REFUSE("-n: expected a whole number from 1 to 100, found ' 1'", "-n", " 1");
    REFUSE("--number: expected a whole number from 1 to 100, found "
           "'99999999999999999999'",
            "--number=99999999999999999999");
    REFUSE("--seed: expected a whole number from 0 to 18446744073709551615, found "
           "'18446744073709551616'",
            "--seed", "18446744073709551616");
    REFUSE("--share: expected a number, found 'nan'", "--share", "nan");
    REFUSE("--share: expected a number, found 'inf'", "--share", "inf");
    REFUSE("--share: expected a number, found '0x1'", "--share", "0x1");
    REFUSE("--share: expected a number, found '1e99'", "--share", "1e99");
    REFUSE("--share: expected a number, found '1.2.3'", "--share", "1.2.3");
    REFUSE("--choice: expected one of one|two|three, found 'tw'", "--choice", "tw");
    REFUSE("--choice: expected one of one|two|three, found ''", "--choice", "");
    REFUSE("-d: expected at most 64 numbers from 0 to 4096 with commas between, found "
           "'1,,2'",
            "-d", "1,,2");
    REFUSE("-d: expected at most 64 numbers from 0 to 4096 with commas between, found "
           "'1,4097'",
            "-d", "1,4097");
    REFUSE("unexpected word 'b'", "a", "b");
}

/* The library's sentence, under the name that the user typed. */
static void test_field_refusals(void **state)
{
    (void)state;
    fixture f;
    begin(&f);
    assert_int_equal(PARSE(&f, "--temp", "hot"), -1);
    assert_memory_equal(f.message, "--temp: expected ", 17);
    assert_non_null(strstr(f.message, "'hot'"));
    assert_int_equal(PARSE(&f, "--temp", "-1"), -1);
    assert_int_equal(PARSE(&f, "--kv", "int8"), -1);
    assert_string_equal(
            f.message, "--kv: expected default, f32, bf16 or fp8, found 'int8'");
    assert_int_equal(PARSE(&f, "--kv", "4"), -1);
    assert_string_equal(
            f.message, "--kv: expected default, f32, bf16 or fp8, found '4'");
    assert_int_equal(f.session.kv_type, 0);
}

static void test_limits(void **state)
{
    (void)state;
    fixture f;
    char long_list[CLI_LIST_MAX * 2 + 4] = "0";
    begin(&f);
    for (int i = 1; i < CLI_LIST_MAX; i++)
        strcat(long_list, ",0");
    assert_int_equal(PARSE(&f, "-d", long_list), 0);
    assert_int_equal(f.list.n, CLI_LIST_MAX);
    strcat(long_list, ",0");
    assert_int_equal(PARSE(&f, "-d", long_list), -1);

    char word[4000]; /* a message never overflows */
    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = 0;
    assert_int_equal(PARSE(&f, "-n", word), -1);
    assert_int_equal(strlen(f.message), sizeof(f.message) - 1);

    for (int i = 0; i < CLI_TEXTS_MAX; i++)
        assert_int_equal(PARSE(&f, "--stop", "x"), 0);
    assert_int_equal(PARSE(&f, "--stop", "x"), -1);
    assert_string_equal(f.message, "--stop may be given at most 64 times");
}

static void expect_text(const char *line, const char *text, size_t n)
{
    cli_buffer out = {0};
    assert_null(json_get_text(line, strlen(line), "text", &out));
    assert_int_equal(out.n, n);
    assert_memory_equal(out.data, text, n);
    cli_buffer_free(&out);
}

static void expect_refusal(const char *line, const char *missing)
{
    cli_buffer out = {0};
    const char *wrong = json_get_text(line, strlen(line), "text", &out);
    assert_non_null(wrong);
    assert_string_equal(wrong, missing);
    cli_buffer_free(&out);
}

static void test_json_in(void **state)
{
    (void)state;
    expect_text("{\"text\":\"\"}", "", 0);
    expect_text(
            " {\"id\": [1, {\"a\": []}, -2.5e3, null], \"text\" : \"a\\n\\u00e9\\ud83d"
            "\\ude00\\\"\\/\", \"x\": {}} \r",
            "a\n\xc3\xa9\xf0\x9f\x98\x80\"/", 10);
    expect_text("{\"text\":\"a\\u0000b\"}", "a\0b", 3);
    expect_text("{\"text\":\"first\",\"text\":\"second\"}", "first", 5);
    expect_text("{\"a\":{\"text\":\"inner\"},\"text\":\"outer\"}", "outer", 5);
    expect_refusal("", "an object");
    expect_refusal("[\"text\"]", "an object");
    expect_refusal("{}", "text");
    expect_refusal("{\"other\":\"x\"}", "text");
    expect_refusal("{\"text\":1}", "a string");
    expect_refusal("{\"text\":\"open", "a closed string");
    expect_refusal("{\"text\":\"raw\nnewline\"}", "a closed string");
    expect_refusal("{\"text\":\"\\x\"}", "an escape that JSON knows");
    expect_refusal("{\"text\":\"\\u12g4\"}", "four hexadecimal digits after \\u");
    expect_refusal("{\"text\":\"\\ud800\"}", "surrogates in pairs");
    expect_refusal("{\"text\":\"\\udc00x\"}", "surrogates in pairs");
    expect_refusal("{\"text\":\"\\ud800\\ud800\"}", "surrogates in pairs");
    expect_refusal("{\"text\":\"x\",}", "a string");
    expect_refusal("{\"text\":\"x\"} {", "nothing after the object");
    expect_refusal("{\"text\":\"x\"", "a comma or the end of the object");
    expect_refusal("{\"a\":[1,],\"text\":\"x\"}", "a value after a comma");
    expect_refusal("{\"a\":[1 2],\"text\":\"x\"}", "a comma or the end of a list");
    expect_refusal("{\"a\":[1},\"text\":\"x\"}", "a comma or the end of a list");
    expect_refusal("{\"a\":nul,\"text\":\"x\"}", "a JSON value");
    char deep[400] = "{\"a\":";
    memset(deep + 5, '[', 70);
    expect_refusal(deep, "at most 64 levels of nesting");
    memset(deep + 5 + 64, ']', 64);
    strcpy(deep + 5 + 128, ",\"text\":\"x\"}");
    expect_text(deep, "x", 1);

    cli_buffer out = {0};
    const char *line = "{\"ids\": [1, 2,3]}";
    assert_null(json_get_numbers(line, strlen(line), "ids", &out));
    assert_string_equal(out.data, "1, 2,3");
    cli_buffer_free(&out);
    line = "{\"ids\":[1,[2]]}";
    assert_string_equal(
            json_get_numbers(line, strlen(line), "ids", &out), "an array of ids");
    cli_buffer_free(&out);
}

static void expect_quoted(const char *text, size_t n, const char *quoted)
{
    char *out = json_quoted(text, n);
    assert_non_null(out);
    assert_string_equal(out, quoted);
    free(out);
}

static void test_json_out(void **state)
{
    (void)state;
    expect_quoted("", 0, "\"\"");
    expect_quoted("a\"\\\n\t\x01\x7f", 7, "\"a\\\"\\\\\\n\\t\\u0001\\u007f\"");
    expect_quoted("a\0b", 3, "\"a\\u0000b\"");
    expect_quoted("\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    /* Half a character, an overlong form, a surrogate: replaced, never passed on. */
    expect_quoted("\xc3", 1, "\"\xef\xbf\xbd\"");
    expect_quoted("\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    expect_quoted("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");

    char text[256] = "";
    FILE *file = tmpfile();
    cli_json j;
    assert_non_null(file);
    json_begin(&j, file, 1);
    json_open(&j, NULL, '{');
    json_unsigned(&j, "a", UINT64_MAX);
    json_open(&j, "b", '[');
    json_number(&j, NULL, 0.5);
    json_number(&j, NULL, (double)NAN);
    json_close(&j, ']');
    json_open(&j, "c", '{');
    json_close(&j, '}');
    json_bool(&j, "d", 1);
    json_whole(&j, "e", -1);
    json_close(&j, '}');
    rewind(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    assert_string_equal(text, "{\"a\":18446744073709551615,\"b\":[0.5,null],\"c\":{},"
                              "\"d\":true,\"e\":-1}\n");
}

/* DeepSeek-V2-Lite cut to 8 layers in FP8: the figures of the report's shape, by hand.
 */
static void test_bench_bytes(void **state)
{
    (void)state;
    mote_model_info v2_lite = MOTE_MODEL_INFO_INIT;
    v2_lite.vocab_size = 102400;
    v2_lite.hidden_size = 2048;
    v2_lite.num_hidden_layers = 8;
    v2_lite.first_k_dense_replace = 1;
    v2_lite.moe_intermediate_size = 1408;
    v2_lite.n_routed_experts = 64;
    v2_lite.num_experts_per_tok = 6;
    v2_lite.parameters_active = 872000000;
    v2_lite.bytes_active = 872000000;
    v2_lite.bytes_fp8 = 4600000000u;
    v2_lite.bytes_bf16 = 420000000;
    v2_lite.kv_bytes_per_token_bf16 = 8 * 576 * 2;
    assert_int_equal(bench_main_type(&v2_lite), '8');
    /* 872 M less the head's 209.7 M are multiplied per token of a prompt, the head
     * once. */
    assert_true(fabs(bench_prefill_flops(&v2_lite, 512) / 512 / 2 - 662.7e6) < 0.5e6);
    assert_true(fabs(bench_prefill_flops(&v2_lite, 1) - 2 * 872e6) < 1);
    assert_true(bench_kv_bytes(&v2_lite, MOTE_KV_DEFAULT, 4096) == 4096u * 9216);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms),
            cmocka_unit_test(test_refusals), cmocka_unit_test(test_field_refusals),
            cmocka_unit_test(test_limits), cmocka_unit_test(test_json_in),
            cmocka_unit_test(test_json_out), cmocka_unit_test(test_bench_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
