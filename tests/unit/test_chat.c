/* SPDX-License-Identifier: MIT */
/* Conversations of our own making in every format, hostile input, and (MOTE_SHARED) all
 * renderings that the published templates gave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/json.h"
#include "mote/chat.h"
#include "test_text.h"
#include "text/chat_format.h"
#include "text/json_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOS "<｜begin▁of▁sentence｜>"
#define EOS "<｜end▁of▁sentence｜>"
#define U "<｜User｜>"
#define A "<｜Assistant｜>"
#define CALLS "<｜tool▁calls▁begin｜>"
#define CALLS_END "<｜tool▁calls▁end｜>"
#define CALL "<｜tool▁call▁begin｜>"
#define CALL_END "<｜tool▁call▁end｜>"
#define SEP "<｜tool▁sep｜>"
#define OUTS "<｜tool▁outputs▁begin｜>"
#define OUTS_END "<｜tool▁outputs▁end｜>"
#define OUT "<｜tool▁output▁begin｜>"
#define OUT_END "<｜tool▁output▁end｜>"
#define D "｜DSML｜"

static mote_tokenizer *tiny(void)
{
    mote_tokenizer *t;
    mote_error err;
    char path[4096];
    snprintf(path, sizeof path, "%s/../../models/tiny-v3", getenv("MOTE_TEST_DATA"));
    if (mote_tokenizer_open(&t, path, &err) < 0)
        fail_msg("%s", err.message);
    return t;
}

static const mote_chat_format *format(const char *name)
{
    mote_error err;
    const mote_chat_format *f = mote_chat_format_find(name, &err);
    if (!f)
        fail_msg("%s", err.message);
    return f;
}

/* The rendering, malloc'ed and NUL-terminated, or NULL with the error. */
static char *render(const mote_chat_format *f, const char *messages, uint32_t flags,
        const char *tools, size_t *n, mote_error *err)
{
    size_t tools_n = tools ? strlen(tools) : 0;
    if (mote_chat_render_text(f, messages, strlen(messages), flags, tools, tools_n,
                NULL, 0, n, err) < 0) {
        assert_int_equal(*n, 0);
        return NULL;
    }
    char *text = malloc(*n + 1);
    size_t again;
    assert_int_equal(mote_chat_render_text(f, messages, strlen(messages), flags, tools,
                             tools_n, text, *n, &again, err),
            MOTE_OK);
    assert_int_equal(again, *n);
    text[*n] = '\0';
    return text;
}

/* ---- renderings ---- */

/* A system message that comes late, a turn with reasoning, two calls, their outputs. */
static const char talk[] =
        "[{\"role\":\"user\",\"content\":\"Hi\"},"
        "{\"role\":\"assistant\",\"content\":\"<think>r</think>Yes?\"},"
        "{\"role\":\"system\",\"content\":\"S1\"},{\"role\":\"system\",\"content\":"
        "\"S2\"},"
        "{\"role\":\"user\",\"content\":\"Sum\"},"
        "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":["
        "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{"
        "\\\"a\\\": "
        "1.50}\"}},"
        "{\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"content\":\"é\"},{\"role\":\"tool\",\"content\":\"2\"}]";
#define FENCED(name, args) CALL "function" SEP name "\n```json\n" args "\n```" CALL_END

static const struct expected {
    const char *format;
    uint32_t flags;
    const char *text;
} expected[] = {
        {"deepseek-v3", MOTE_CHAT_GENERATE,
                BOS "S1\n\nS2" U "Hi" A "<think>r</think>Yes?" EOS U
                    "Sum" A EOS OUTS OUT "é" OUT_END "\n" OUT "2" OUT_END OUTS_END},
        {"deepseek-v3-0324", MOTE_CHAT_GENERATE,
                BOS "S1\n\nS2" U "Hi" A "<think>r</think>Yes?" EOS U
                    "Sum" A CALLS FENCED("f", "{\"a\": 1.50}") "\n" FENCED("g", "{}")
                            CALLS_END EOS OUTS OUT "é" OUT_END "\n" OUT
                                                   "2" OUT_END OUTS_END},
        {"deepseek-r1", MOTE_CHAT_GENERATE,
                BOS "S1\n\nS2" U "Hi" A "Yes?" EOS U "Sum" A CALLS FENCED(
                        "f", "{\"a\": 1.50}") "\n" FENCED("g", "{}")
                        CALLS_END EOS OUTS OUT "é" OUT_END OUT "2" OUT_END OUTS_END},
        {"deepseek-r1-0528", 0,
                BOS "S1\n\nS2" U "Hi" A "Yes?" EOS U "Sum" A CALLS FENCED("f",
                        "{\"a\": 1.50}") "\n" FENCED("g", "{}") CALLS_END EOS OUTS OUT
                "é" OUT_END "\n" OUT "2" OUT_END OUTS_END},
        {"deepseek-v3.1", MOTE_CHAT_GENERATE | MOTE_CHAT_THINK,
                BOS "S1\n\nS2" U "Hi" A "</think>Yes?" EOS U "Sum" A
                    "</think>" CALLS CALL "f" SEP "{\"a\": 1.50}" CALL_END CALL "g" SEP
                    "{}" CALL_END CALLS_END EOS OUT "é" OUT_END OUT "2" OUT_END},
        {"deepseek-v3.2", MOTE_CHAT_THINK,
                BOS U "Hi" A "</think><think>r</think>Yes?" EOS "S1S2" U "Sum" A
                      "<think></think>\n\n<" D "function_calls>\n<" D
                      "invoke name=\"f\">\n<" D
                      "parameter name=\"a\" string=\"false\">1.5</" D "parameter>\n</" D
                      "invoke>\n<" D "invoke name=\"g\">\n\n</" D "invoke>\n</" D
                      "function_calls>" EOS
                      "\n\n<function_results>\n<result>é</result>\n<result>2</result>"
                      "\n</function_results>\n\n<think>"},
        {"deepseek-v2", MOTE_CHAT_GENERATE,
                BOS "User: Hi\n\nAssistant: <think>r</think>Yes?" EOS
                    "S1\n\nS2\n\nUser: Sum\n\nAssistant: " EOS "Assistant:"},
        {"kimi-k2", MOTE_CHAT_GENERATE,
                "<|im_system|>system<|im_middle|>You are a helpful assistant<|im_end|>"
                "<|im_user|>user<|im_middle|>Hi<|im_end|>"
                "<|im_assistant|>assistant<|im_middle|><think>r</think>Yes?<|im_end|>"
                "<|im_system|>system<|im_middle|>S1<|im_end|>"
                "<|im_system|>system<|im_middle|>S2<|im_end|>"
                "<|im_user|>user<|im_middle|>Sum<|im_end|>"
                "<|im_assistant|>assistant<|im_middle|><|tool_calls_section_begin|>"
                "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>\"{"
                "\\\"a\\\": "
                "1.50}\"<|tool_call_end|><|tool_call_begin|>functions.g:1"
                "<|tool_call_argument_begin|>\"{}\"<|tool_call_end|>"
                "<|tool_calls_section_end|><|im_end|>"
                "<|im_system|>tool<|im_middle|>## Return of \\né<|im_end|>"
                "<|im_system|>tool<|im_middle|>## Return of \\n2<|im_end|>"
                "<|im_assistant|>assistant<|im_middle|>"},
};

static void test_renderings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        mote_error err;
        size_t n;
        char *text = render(
                format(expected[i].format), talk, expected[i].flags, NULL, &n, &err);
        if (!text)
            fail_msg("%s: %s", expected[i].format, err.message);
        if (strcmp(text, expected[i].text) != 0)
            fail_msg("%s:\n%s\n%s", expected[i].format, text, expected[i].text);
        free(text);
    }
}

static void test_list(void **state)
{
    (void)state;
    mote_error err;
    uint32_t n = 0;
    for (const mote_chat_format *f; (f = mote_chat_format_at(n)); n++)
        assert_ptr_equal(mote_chat_format_find(mote_chat_format_name(f), NULL), f);
    assert_int_equal(n, 13);
    assert_ptr_equal(format("moonlight-instruct"), format("moonlight"));
    assert_null(mote_chat_format_find("gpt-2", &err));
    assert_int_equal(err.status, MOTE_E_NOT_FOUND);
    assert_null(mote_chat_format_find(NULL, &err));
    assert_int_equal(err.status, MOTE_E_INVALID);
    assert_null(mote_chat_format_name(NULL));
}

/* No messages are a conversation too. */
#define IMAGE "<|media_start|>image<|media_content|><|media_pad|><|media_end|>\n"

static void test_empty(void **state)
{
    (void)state;
    size_t n;
    char *text =
            render(format("deepseek-r1"), "[]", MOTE_CHAT_GENERATE, NULL, &n, NULL);
    assert_string_equal(text, BOS A "<think>\n");
    free(text);
    text = render(format("moonlight"), "[]", 0, NULL, &n, NULL);
    assert_string_equal(text, "");
    free(text);
}

/* Where a template writes a value as it is, the value looks as in Python; parts of a
 * message that are no text have a place. */
static void test_values(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
            {"moonlight",
                    "[{\"role\":\"system\",\"content\":null},{\"role\":\"user\","
                    "\"content\":true},{\"role\":7,\"content\":false},{\"role\":"
                    "\"user\",\"content\":1.50}]",
                    "<|im_system|>system<|im_middle|>None<|im_end|>"
                    "<|im_user|>user<|im_middle|>True<|im_end|>"
                    "7<|im_middle|>False<|im_end|>"
                    "<|im_user|>user<|im_middle|>1.5<|im_end|>"},
            {"kimi-k2",
                    "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\","
                    "\"content\":[{\"type\":\"image\"},{\"type\":\"text\",\"text\":"
                    "\"t\"},{\"image_url\":\"u\"}]},{\"role\":\"assistant\","
                    "\"content\":\"c\",\"tool_calls\":[{\"function\":{\"name\":"
                    "\"f\",\"arguments\":{}}}]}]",
                    "<|im_system|>system<|im_middle|>S<|im_end|>"
                    "<|im_user|>user<|im_middle|>" IMAGE "t" IMAGE "<|im_end|>"
                    "<|im_assistant|>assistant<|im_middle|>c"
                    "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
                    "<|tool_call_argument_begin|>{}<|tool_call_end|>"
                    "<|tool_calls_section_end|><|im_end|>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n;
        mote_error err = {0};
        char *text = render(format(cases[i][0]), cases[i][1], 0, NULL, &n, &err);
        if (!text)
            fail_msg("%s: %s", cases[i][0], err.message);
        assert_string_equal(text, cases[i][2]);
        free(text);
    }
}

/* Tools given beside the messages, or with the first. */
static void test_tools(void **state)
{
    (void)state;
    static const char tools[] =
            "[{\"type\":\"function\",\"function\":{\"name\":\"f\","
            "\"description\":\"<d>\",\"parameters\":{\"b\":1E2,\"a\":"
            "\"\\u00e9\"}}}]";
    static const char with[] =
            "[{\"role\":\"system\",\"content\":\"S\",\"tools\":[{"
            "\"type\":\"function\",\"function\":{\"name\":\"f\","
            "\"description\":\"<d>\",\"parameters\":{\"b\":1E2,\"a\":"
            "\"\\u00e9\"}}}]},{\"role\":\"user\",\"content\":\"u\"}]";
    static const char without[] = "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":"
                                  "\"user\",\"content\":\"u\"}]";
    mote_error err;
    size_t n;
    for (uint32_t i = 0; i < 13; i++) {
        const mote_chat_format *f = mote_chat_format_at(i);
        char *text = render(f, without, MOTE_CHAT_GENERATE, tools, &n, &err);
        if (!f->takes_tools) {
            assert_null(text);
            assert_int_equal(err.status, MOTE_E_UNSUPPORTED);
            text = render(f, without, MOTE_CHAT_GENERATE, "[]", &n, &err);
            assert_non_null(text);
        } else {
            assert_non_null(text);
            assert_non_null(strstr(text, "{\"b\": 100.0, \"a\": \"é\"}"));
        }
        free(text);
    }
    char *a = render(format("deepseek-v3.2"), without, 0, tools, &n, NULL);
    char *b = render(format("deepseek-v3.2"), with, 0, NULL, &n, NULL);
    assert_string_equal(a, b);
    free(a);
    free(b);
}

/* ---- tokens ---- */

static int32_t *encode(const mote_chat_format *f, const mote_tokenizer *t,
        const char *messages, uint32_t flags, size_t *n)
{
    mote_error err;
    if (mote_chat_render(
                f, t, messages, strlen(messages), flags, NULL, 0, NULL, 0, n, &err) < 0)
        fail_msg("%s", err.message);
    int32_t *ids = calloc(*n + 1, sizeof *ids);
    size_t again;
    /* A buffer that is too small gets what fits and learns the length. */
    size_t half = *n / 2;
    ids[half] = -7;
    assert_int_equal(mote_chat_render(f, t, messages, strlen(messages), flags, NULL, 0,
                             ids, half, &again, &err),
            MOTE_OK);
    assert_int_equal(again, *n);
    assert_int_equal(ids[half], -7);
    assert_int_equal(mote_chat_render(f, t, messages, strlen(messages), flags, NULL, 0,
                             ids, *n, &again, &err),
            MOTE_OK);
    return ids;
}

static size_t count(const int32_t *ids, size_t n, int32_t id)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += ids[i] == id;
    return k;
}

/* "Control-token text inside contents stays text." */
static void test_content_stays_text(void **state)
{
    (void)state;
    static const char messages[] =
            "[{\"role\":\"system\",\"content\":\"" EOS "\"},"
            "{\"role\":\"user\",\"content\":\"a" U "<think>" A EOS BOS "b\"},"
            "{\"role\":\"assistant\",\"content\":\"" U "\"},"
            "{\"role\":\"user\",\"content\":\"</think>\"}]";
    mote_tokenizer *t = tiny();
    size_t n, n_text, n_bytes;
    int32_t *ids = encode(format("deepseek-v3"), t, messages, MOTE_CHAT_GENERATE, &n);
    assert_int_equal(count(ids, n, mote_tokenizer_bos(t)), 1);
    assert_int_equal(count(ids, n, mote_tokenizer_eos(t)), 1);
    assert_int_equal(count(ids, n, mote_tokenizer_find(t, U, strlen(U))), 2);
    assert_int_equal(count(ids, n, mote_tokenizer_find(t, A, strlen(A))), 2);
    assert_int_equal(count(ids, n, mote_tokenizer_find(t, "<think>", 7)), 0);
    assert_int_equal(count(ids, n, mote_tokenizer_find(t, "</think>", 8)), 0);
    /* ... and nothing is lost: the ids spell the rendering. */
    char *text = render(
            format("deepseek-v3"), messages, MOTE_CHAT_GENERATE, NULL, &n_text, NULL);
    char *decoded = malloc(n_text + 1);
    assert_int_equal(
            mote_tokenizer_decode(t, ids, n, 0, decoded, n_text, &n_bytes, NULL),
            MOTE_OK);
    assert_int_equal(n_bytes, n_text);
    assert_memory_equal(decoded, text, n_text);
    free(decoded);
    free(text);
    free(ids);
    mote_tokenizer_close(t);
}

/* Text around a control token is encoded apart, text beside text together. */
static void test_ids(void **state)
{
    (void)state;
    mote_tokenizer *t = tiny();
    int32_t want[64];
    size_t n, k = 0, part;
    int32_t *ids = encode(format("deepseek-v2"), t,
            "[{\"role\":\"user\",\"content\":\"Once upon a time\"}]",
            MOTE_CHAT_GENERATE, &n);
    static const char text[] = "User: Once upon a time\n\nAssistant:";
    want[k++] = mote_tokenizer_bos(t);
    assert_int_equal(mote_tokenizer_encode(t, text, sizeof text - 1, 0, want + k,
                             64 - k, &part, NULL),
            MOTE_OK);
    assert_int_equal(n, k + part);
    assert_memory_equal(ids, want, n * sizeof *ids);
    free(ids);
    /* An assistant's own think tags are tags. */
    ids = encode(format("deepseek-v3"), t,
            "[{\"role\":\"assistant\",\"content\":\"<think>a</think>b\"}]", 0, &n);
    assert_int_equal(count(ids, n, mote_tokenizer_find(t, "<think>", 7)), 1);
    assert_int_equal(count(ids, n, mote_tokenizer_find(t, "</think>", 8)), 1);
    free(ids);
    /* A token that the tokenizer lacks is named. */
    mote_error err;
    assert_int_equal(mote_chat_render(format("deepseek-v3-0324"), t, talk,
                             sizeof talk - 1, 0, NULL, 0, NULL, 0, &n, &err),
            MOTE_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, CALLS));
    mote_tokenizer_close(t);
}

static void test_format_of(void **state)
{
    (void)state;
    mote_error err;
    mote_tokenizer *t = tiny();
    assert_ptr_equal(mote_chat_format_of(t, &err), format("deepseek-v3"));
    mote_tokenizer_close(t);
    assert_null(mote_chat_format_of(NULL, &err));
    assert_int_equal(err.status, MOTE_E_INVALID);
    static const char *const unknown[] = {"", "{{ messages }}", "<｜User｜>",
            "{% if enable_thinking %}<|im_start|>{% endif %}",
            "{{'<｜User｜>' + message['content']}}{% if enable_thinking %}<think>"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_null(mote__chat_recognise(unknown[i], strlen(unknown[i])));
    /* Without a template, or with one nobody knows: a sentence that shows the way. */
    static const char *const configs[] = {
            "{}", "{\"chat_template\": \"{{ messages }}\"}"};
    char path[4096];
    size_t n;
    snprintf(path, sizeof path, "../../models/tiny-v3/tokenizer.json");
    char *json = text_load("MOTE_TEST_DATA", path, &n);
    assert_non_null(json);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mote_tokenizer_open_memory(
                                 &t, json, n, configs[i], strlen(configs[i]), &err),
                MOTE_OK);
        assert_null(mote_chat_format_of(t, &err));
        assert_int_equal(err.status, MOTE_E_UNSUPPORTED);
        assert_non_null(strstr(err.message, "raw"));
        mote_tokenizer_close(t);
    }
    free(json);
}

/* ---- hostile input ---- */

static void test_calls(void **state)
{
    (void)state;
    const mote_chat_format *f = format("deepseek-v3");
    mote_tokenizer *t = tiny();
    size_t n = 1;
    char text[8];
    mote_error err;
    assert_int_equal(
            mote_chat_render_text(NULL, "[]", 2, 0, NULL, 0, text, 8, &n, &err),
            MOTE_E_INVALID);
    assert_int_equal(mote_chat_render_text(f, NULL, 0, 0, NULL, 0, text, 8, &n, &err),
            MOTE_E_INVALID);
    assert_int_equal(mote_chat_render_text(f, "[]", 2, 8, NULL, 0, text, 8, &n, &err),
            MOTE_E_INVALID);
    assert_int_equal(mote_chat_render_text(f, "[]", 2, 0, NULL, 1, text, 8, &n, &err),
            MOTE_E_INVALID);
    assert_int_equal(mote_chat_render_text(f, "[]", 2, 0, NULL, 0, NULL, 8, &n, &err),
            MOTE_E_INVALID);
    assert_int_equal(mote_chat_render_text(f, "[]", 2, 0, NULL, 0, text, 8, NULL, &err),
            MOTE_E_INVALID);
    assert_int_equal(mote_chat_render(f, NULL, "[]", 2, 0, NULL, 0, NULL, 0, &n, NULL),
            MOTE_E_INVALID);
    assert_int_equal(mote_chat_render(f, t, "[]", 2, 0, NULL, 0, NULL, 4, &n, NULL),
            MOTE_E_INVALID);
    assert_int_equal(mote_chat_render(f, t, "[]", 2, 0, NULL, 0, NULL, 0, NULL, NULL),
            MOTE_E_INVALID);
    mote_tokenizer_close(t);
}

static void test_bad_messages(void **state)
{
    (void)state;
    static const struct {
        const char *format, *messages, *says;
    } bad[] = {
            {"deepseek-v3", "", "messages: not JSON at byte 0"},
            {"deepseek-v3", "{}", "expected an array"},
            {"deepseek-v3", "[1]", "message 0: expected an object"},
            {"deepseek-v3", "[{\"role\":\"user\"}]", "\"content\" is absent"},
            {"deepseek-v3", "[{\"role\":\"user\",\"content\":null}]", "is null"},
            {"deepseek-v3", "[{\"role\":\"user\",\"content\":[1]}]", "is an array"},
            {"deepseek-v3",
                    "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":3}]",
                    "\"tool_calls\" is a number"},
            {"deepseek-r1",
                    "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":null}]",
                    "\"tool_calls\" is null"},
            {"deepseek-r1-0528",
                    "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}]",
                    "\"content\" is null"},
            {"deepseek-v3.1",
                    "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]}]",
                    "\"name\" is absent"},
            {"deepseek-v3.2", "[{\"role\":\"tool\",\"content\":\"\"}]",
                    "message 0: a tool"},
            {"deepseek-v3.2", "[{\"role\":\"fool\",\"content\":\"\"}]",
                    "\"role\" is a text"},
            {"deepseek-v3.2",
                    "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":"
                    "\"f\","
                    "\"arguments\":\"[\"}}]}]",
                    "arguments of a tool call: not JSON at byte 1"},
            {"deepseek-v3.2",
                    "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":"
                    "\"f\","
                    "\"arguments\":\"[]\"}}]}]",
                    "\"arguments\" is an array"},
            {"moonlight", "[{\"role\":\"user\",\"content\":{\"a\":1}}]",
                    "is an object"},
            {"kimi-k2", "[{\"role\":\"user\",\"content\":[\"a\"]}]",
                    "objects in the array"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mote_error err;
        size_t n;
        char *text = render(format(bad[i].format), bad[i].messages, 0, NULL, &n, &err);
        assert_null(text);
        assert_int_equal(err.status, MOTE_E_FORMAT);
        if (!strstr(err.message, bad[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].messages, err.message,
                    bad[i].says);
    }
    mote_error err;
    size_t n;
    assert_null(render(format("kimi-k2"), "[]", 0, "{}", &n, &err));
    assert_int_equal(err.status, MOTE_E_FORMAT);
    assert_non_null(strstr(err.message, "tools: expected an array"));
}

/* Every prefix of a conversation, and every byte of it changed, in every format: an
 * answer or an error, never more. */
static void test_mutations(void **state)
{
    (void)state;
    char copy[sizeof talk];
    size_t n, ok = 0, refused = 0;
    for (uint32_t f = 0; f < 13; f++) {
        const mote_chat_format *format = mote_chat_format_at(f);
        for (size_t i = 0; i < sizeof talk - 1; i++)
            assert_int_equal(mote_chat_render_text(
                                     format, talk, i, 3, NULL, 0, NULL, 0, &n, NULL),
                    MOTE_E_FORMAT);
        for (size_t i = 0; i < sizeof talk - 1; i++) {
            static const char with[] = {0, '"', '\\', '{', '[', ']', '1', (char)0x80};
            for (size_t k = 0; k < sizeof with; k++) {
                memcpy(copy, talk, sizeof talk);
                copy[i] = with[k];
                mote_status st = mote_chat_render_text(
                        format, copy, sizeof talk - 1, 3, NULL, 0, NULL, 0, &n, NULL);
                ok += st == MOTE_OK;
                refused += st == MOTE_E_FORMAT;
            }
        }
    }
    assert_int_equal(ok + refused, 13 * (sizeof talk - 1) * 8);
    assert_true(ok > 0 && refused > ok);
}

/* ---- JSON values ---- */

static void append(void *user, const char *text, size_t n)
{
    char *out = user;
    size_t at = strlen(out);
    memcpy(out + at, text, n);
    out[at + n] = '\0';
}

static void test_json_dump(void **state)
{
    (void)state;
    /* What Python's json.dumps(json.loads(x), ensure_ascii=False) gives. */
    static const char *const pairs[][2] = {
            {"[1,-0,0,-12,123456789012345678901234567890]",
                    "[1, 0, 0, -12, 123456789012345678901234567890]"},
            {"[1.0,-0.0,1.50,100.0,0.1,1E2,1e0]",
                    "[1.0, -0.0, 1.5, 100.0, 0.1, 100.0, 1.0]"},
            {"[1e15,1e16,1e17,123456789012345680.0,1e22,1e-4,1e-5,0.00001234]",
                    "[1000000000000000.0, 1e+16, 1e+17, 1.2345678901234568e+17, 1e+22, "
                    "0.0001, 1e-05, 1.234e-05]"},
            {"[5e-324,4.9e-324,2.5e-310,1.7976931348623157e308,1e400,-1e400,1e-400]",
                    "[5e-324, 5e-324, 2.5e-310, 1.7976931348623157e+308, Infinity, "
                    "-Infinity, 0.0]"},
            {"[0.30000000000000004,0.1000000000000000055511151231257827,2.675]",
                    "[0.30000000000000004, 0.1, 2.675]"},
            {"[9007199254740993.0,0.000000000000000000000000001,"
             "1e00000000000000000001]",
                    "[9007199254740992.0, 1e-27, 10.0]"},
            {"{\"b\":1,\"a\":2,\"b\":{\"c\":[]}}", "{\"b\": {\"c\": []}, \"a\": 2}"},
            {"\"\\u00e9\\ud83d\\ude00\\n\\t\\\"\\\\\\/\\u001f\\u007f<&>\"",
                    "\"é😀\\n\\t\\\"\\\\/\\u001f\x7f<&>\""},
            {"\"\\u4F60\\u597d\\r\\b\\f\"", "\"你好\\r\\b\\f\""},
            {"[1.0000000000000000000000000000000000000000000000000000000000000001]",
                    "[1.0]"},
            {" [ true , false,null , {} ] ", "[true, false, null, {}]"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        mote__json_doc doc;
        mote_error err;
        char out[512] = "";
        if (mote__json_read(&doc, pairs[i][0], strlen(pairs[i][0]), "x", &err) < 0)
            fail_msg("%s: %s", pairs[i][0], err.message);
        mote__json_dump(doc.root, append, out);
        assert_string_equal(out, pairs[i][1]);
        mote__json_free(&doc);
    }
}

static void test_json_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " ", "[", "]", "[1,]", "[,1]", "{\"a\"}",
            "{1:2}", "{\"a\":1,}", "{\"a\" 1}", "01", "1.", ".5", "1e", "+1", "-",
            "NaN", "Infinity", "tru", "nulL", "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"",
            "\"\\u12g4\"", "\"\n\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
            "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
            "\"\xe2\x82\"", "1 2", "[] []", "'a'", "\xef\xbb\xbf[]"};
    mote__json_doc doc;
    mote_error err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (mote__json_read(&doc, bad[i], strlen(bad[i]), "x", &err) != MOTE_E_FORMAT)
            fail_msg("accepted: %s", bad[i]);
        assert_null(doc.root);
        mote__json_free(&doc);
    }
    /* Nesting: 200 levels are read, 201 are not, a million are refused at once. */
    size_t n = 1000000;
    char *deep = malloc(n);
    memset(deep, '[', n);
    assert_int_equal(mote__json_read(&doc, deep, n, "x", &err), MOTE_E_FORMAT);
    assert_non_null(strstr(err.message, "deeper"));
    for (size_t levels = 200; levels <= 201; levels++) {
        memset(deep, '[', levels);
        memset(deep + levels, ']', levels);
        assert_int_equal(mote__json_read(&doc, deep, 2 * levels, "x", &err),
                levels == 200 ? MOTE_OK : MOTE_E_FORMAT);
        mote__json_free(&doc);
    }
    free(deep);
}

/* 100,000 members of which every name is given twice: sorted, not compared pairwise. */
static void test_json_many(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *text = malloc(N * 24), *at = text;
    *at++ = '{';
    for (int i = 0; i < N; i++)
        at += snprintf(at, 24, "%s\"%d\":%d", i ? "," : "", i % (N / 2), i);
    *at++ = '}';
    mote__json_doc doc;
    assert_int_equal(
            mote__json_read(&doc, text, (size_t)(at - text), "x", NULL), MOTE_OK);
    assert_int_equal(doc.root->n, N / 2);
    int i = 0;
    for (const mote__json *v = doc.root->first; v; v = v->next, i++)
        assert_int_equal(strtol(v->text, NULL, 10), N / 2 + i);
    assert_int_equal(i, N / 2);
    mote__json_free(&doc);
    free(text);
}

/* ---- the published templates' own renderings ---- */

typedef struct goldens {
    mote_tokenizer *v3, *r1, *v2;
} goldens;

static mote_tokenizer *open_shared(const char *name)
{
    mote_tokenizer *t;
    mote_error err;
    size_t n;
    char *json = text_load("MOTE_SHARED", name, &n);
    assert_non_null(json);
    if (mote_tokenizer_open_memory(&t, json, n, NULL, 0, &err) < 0)
        fail_msg("%s: %s", name, err.message);
    free(json);
    return t;
}

/* Golden ids were made with control tokens read everywhere; ours are not where someone
 * else than the assistant wrote such text. */
static int has_control_text(const json_t *messages, const char *dumped)
{
    size_t i;
    json_t *m;
    if (strstr(dumped, "<｜") || strstr(dumped, "<|"))
        return 1;
    json_array_foreach(messages, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));
        const char *content = json_string_value(json_object_get(m, "content"));
        if (content && (!role || strcmp(role, "assistant") != 0) &&
                strstr(content, "think>"))
            return 1;
    }
    return 0;
}

static void test_goldens(void **state)
{
    (void)state;
    size_t size, n_line, n_text = 0, n_ids = 0, n_errors = 0;
    char *all = text_load("MOTE_SHARED", "fixtures/chat/templates.jsonl", &size);
    if (!all) {
        print_message("MOTE_SHARED has no fixtures/chat: skipped\n");
        skip();
    }
    goldens g = {open_shared("tokenizers/tokenizer.v3.json.zst"),
            open_shared("tokenizers/tokenizer.r1.json.zst"),
            open_shared("tokenizers/tokenizer.v2.json.zst")};
    const char *at = all, *line;
    while ((line = text_line(&at, all + size, &n_line))) {
        json_t *r = json_loadb(line, n_line, 0, NULL);
        assert_non_null(r);
        const char *id = json_string_value(json_object_get(r, "id"));
        const json_t *o = json_object_get(r, "options"), *v;
        const json_t *talk_json = json_object_get(r, "messages");
        char *messages = json_dumps(talk_json, JSON_COMPACT);
        char *tools = (v = json_object_get(o, "tools")) ? json_dumps(v, 0) : NULL;
        const char *mode = json_string_value(json_object_get(o, "thinking_mode"));
        uint32_t flags = json_is_true(json_object_get(o, "add_generation_prompt"))
                                 ? MOTE_CHAT_GENERATE
                                 : 0;
        if (json_is_true(json_object_get(o, "thinking")) ||
                (mode && strcmp(mode, "thinking") == 0))
            flags |= MOTE_CHAT_THINK;
        if (json_is_false(json_object_get(o, "drop_thinking")))
            flags |= MOTE_CHAT_KEEP_REASONING;
        const mote_chat_format *f =
                format(json_string_value(json_object_get(r, "template")));
        const char *want = json_string_value(json_object_get(r, "rendered"));
        mote_error err;
        size_t n;
        char *text = render(f, messages, flags, tools, &n, &err);
        if (!want) {
            if (text)
                fail_msg("%s: expected an error, got %s", id, text);
            assert_int_equal(err.status, MOTE_E_FORMAT);
            n_errors++;
        } else {
            if (!text)
                fail_msg("%s: %s", id, err.message);
            if (strcmp(text, want) != 0)
                fail_msg("%s: expected\n%s\ngot\n%s", id, want, text);
            n_text++;
        }
        const char *which = json_string_value(json_object_get(r, "tokenizer"));
        if (text && which && !has_control_text(talk_json, messages)) {
            /* V3.1's tokenizer is R1's with two more tokens, for search. */
            const mote_tokenizer *t = strcmp(which, "v3") == 0   ? g.v3
                                      : strcmp(which, "v2") == 0 ? g.v2
                                                                 : g.r1;
            const json_t *ids = json_object_get(r, "ids");
            size_t capacity = n + 1; /* a token is at least a byte */
            int32_t *tokens = calloc(capacity, sizeof *tokens);
            size_t tools_n = tools ? strlen(tools) : 0;
            if (mote_chat_render(f, t, messages, strlen(messages), flags, tools,
                        tools_n, tokens, capacity, &n, &err) < 0)
                fail_msg("%s: %s", id, err.message);
            if (n != json_array_size(ids))
                fail_msg("%s: %zu ids, expected %zu", id, n, json_array_size(ids));
            for (size_t i = 0; i < n; i++)
                if (tokens[i] != json_integer_value(json_array_get(ids, i)))
                    fail_msg("%s: id %zu is %d", id, i, (int)tokens[i]);
            free(tokens);
            n_ids++;
        }
        free(text);
        free(tools);
        free(messages);
        json_decref(r);
    }
    print_message("%zu texts, %zu lists of ids, %zu errors\n", n_text, n_ids, n_errors);
    assert_true(n_text > 0 && n_ids > 0);
    mote_tokenizer_close(g.v3);
    mote_tokenizer_close(g.r1);
    mote_tokenizer_close(g.v2);
    free(all);
}

static void test_shared_templates(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"deepseek-v2", "deepseek-v2"},
            {"deepseek-v3", "deepseek-v3"}, {"deepseek-v3-0324", "deepseek-v3-0324"},
            {"deepseek-r1", "deepseek-r1"},
            {"deepseek-r1-initial", "deepseek-r1-initial"},
            {"deepseek-r1-0528", "deepseek-r1-0528"},
            {"deepseek-v3.1", "deepseek-v3.1"}, {"moonlight-instruct", "moonlight"},
            {"kimi-k2", "kimi-k2"}, {"vllm-deepseekv3-tools", "deepseek-v3-tools"},
            {"vllm-deepseekr1-tools", "deepseek-r1-tools"},
            {"vllm-deepseekv31-tools", "deepseek-v3.1-tools"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[128];
        size_t n;
        snprintf(name, sizeof name, "tokenizers/templates/%s.jinja", names[i][0]);
        char *text = text_load("MOTE_SHARED", name, &n);
        if (!text) {
            print_message("MOTE_SHARED has no tokenizers/templates: skipped\n");
            skip();
        }
        const mote_chat_format *f = mote__chat_recognise(text, n);
        if (!f || strcmp(mote_chat_format_name(f), names[i][1]) != 0)
            fail_msg("%s is taken for %s", name,
                    f ? mote_chat_format_name(f) : "nothing");
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_renderings),
            cmocka_unit_test(test_list),
            cmocka_unit_test(test_empty),
            cmocka_unit_test(test_tools),
            cmocka_unit_test(test_content_stays_text),
            cmocka_unit_test(test_ids),
            cmocka_unit_test(test_format_of),
            cmocka_unit_test(test_calls),
            cmocka_unit_test(test_values),
            cmocka_unit_test(test_bad_messages),
            cmocka_unit_test(test_mutations),
            cmocka_unit_test(test_json_dump),
            cmocka_unit_test(test_json_refused),
            cmocka_unit_test(test_json_many),
            cmocka_unit_test(test_goldens),
            cmocka_unit_test(test_shared_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
