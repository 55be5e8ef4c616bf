/* SPDX-License-Identifier: MIT */
/* Replies written out of known events must give these events back, however they are
 * cut, and any text at all must give the same events however it is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mote/session.h"
#include "text/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- joined events ---- */

enum { EVENTS_MAX = 4096, TEXT_MAX = 1 << 16 };

typedef struct joined {
    size_t n_events, n;
    struct one {
        uint32_t channel, tool_index;
        char name[260];
        size_t begin, end;
    } events[EVENTS_MAX];
    char text[TEXT_MAX];
    int stopped;
} joined;

static void join(joined *j, uint32_t channel, uint32_t tool, const char *name,
        const char *text, size_t n)
{
    struct one *e = j->n_events ? &j->events[j->n_events - 1] : NULL;
    if (!e || e->channel != channel || e->tool_index != tool) {
        assert_true(j->n_events < EVENTS_MAX);
        e = &j->events[j->n_events++];
        e->channel = channel;
        e->tool_index = tool;
        snprintf(e->name, sizeof e->name, "%s", name ? name : "");
        e->begin = j->n;
    }
    assert_string_equal(e->name, name ? name : "");
    assert_true(j->n + n <= TEXT_MAX);
    if (n)
        memcpy(j->text + j->n, text, n);
    j->n += n;
    e->end = j->n;
}

static void drain(mote__reply *r, joined *j)
{
    mote__reply_event e;
    while (mote__reply_next(r, &e)) {
        assert_true((e.channel == MOTE_CHANNEL_TOOL) == (e.tool_name != NULL));
        join(j, e.channel, e.tool_index, e.tool_name, e.text, e.n_bytes);
    }
}

static uint32_t seed = 1;
static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(seed >> 8) * n >> 24);
}

typedef struct setup {
    const char *format;
    uint32_t reasoning;
    const char *const *stop;
    uint32_t n_stop;
} setup;

static mote__reply *open_reply(const setup *s, const mote_tokenizer *t)
{
    mote__reply *r;
    mote_error err;
    const mote_chat_format *f =
            s->format ? mote_chat_format_find(s->format, &err) : NULL;
    assert_true(f || !s->format);
    if (mote__reply_open(&r, NULL, f, t, s->reasoning, s->stop, s->n_stop, &err) < 0)
        fail_msg("%s", err.message);
    return r;
}

/* Parse in pieces of `cut` bytes; 0: of random lengths. */
static joined *parse(const setup *s, const char *text, size_t n, size_t cut)
{
    joined *j = calloc(1, sizeof *j);
    mote__reply *r = open_reply(s, NULL);
    for (size_t i = 0; i < n;) {
        size_t k = cut ? cut : 1 + random_below(12);
        k = k < n - i ? k : n - i;
        /* A copy of its own: reading past the piece shows. */
        char *piece = malloc(k);
        memcpy(piece, text + i, k);
        mote__reply_feed(r, -1, piece, k);
        drain(r, j);
        free(piece);
        i += k;
    }
    mote__reply_finish(r);
    drain(r, j);
    assert_int_equal(mote__reply_held(r), 0);
    j->stopped = mote__reply_stopped(r);
    mote__reply_close(r);
    return j;
}

static void assert_same(const joined *a, const joined *b, const char *what)
{
    if (a->n_events != b->n_events || a->n != b->n ||
            memcmp(a->text, b->text, a->n) != 0 || a->stopped != b->stopped)
        fail_msg("%s: %zu events \"%.*s\" against %zu \"%.*s\"", what, a->n_events,
                (int)a->n, a->text, b->n_events, (int)b->n, b->text);
    for (size_t i = 0; i < a->n_events; i++) {
        const struct one *x = &a->events[i], *y = &b->events[i];
        if (x->channel != y->channel || x->tool_index != y->tool_index ||
                x->begin != y->begin || x->end != y->end ||
                strcmp(x->name, y->name) != 0)
            fail_msg("%s: event %zu differs", what, i);
    }
}

static void check_cuts(const setup *s, const char *text, size_t n, const joined *want)
{
    static const size_t cuts[] = {1, 2, 3, 7, 0, 0, SIZE_MAX};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        joined *got = parse(s, text, n, cuts[i]);
        assert_same(want, got, text);
        free(got);
    }
}

/* ---- replies of known meaning ---- */

typedef struct written {
    char text[TEXT_MAX];
    size_t n;
} written;

static void add(written *w, const char *text)
{
    size_t n = strlen(text);
    assert_true(w->n + n < TEXT_MAX);
    memcpy(w->text + w->n, text, n + 1);
    w->n += n;
}

enum { FENCED, PLAIN, KIMI, DSML };

static const struct value {
    const char *written, *json;
    int string;
} values[] = {{"São Paulo", "\"São Paulo\"", 1}, {"", "\"\"", 1},
        {"a \"b\" \\ c\nd\t\r\x01", "\"a \\\"b\\\" \\\\ c\\nd\\t\\r\\u0001\"", 1},
        {"</｜DSML｜", "\"</｜DSML｜\"", 1},
        {"[1, {\"x\": null}]", "[1, {\"x\": null}]", 0}, {"-2.50", "-2.50", 0},
        {"true", "true", 0}};
enum { N_VALUES = sizeof values / sizeof values[0] };

static void add_call(written *w, joined *want, int style, uint32_t tool)
{
    static const char *const names[] = {"f", "get_weather", "é中"};
    static const char *const keys[] = {"a", "the key", "ключ"};
    static const char *const args[] = {"{}", "{\"a\": \"``` <｜tool▁\"}",
            "{\n  \"b\": [1, 2.50],\n  \"c\": \"\\n```\\n\"\n}", ""};
    const char *name = names[random_below(3)];
    char head[256];
    if (style == DSML) {
        snprintf(head, sizeof head, "<｜DSML｜invoke name=\"%s\">\n", name);
        add(w, head);
        join(want, MOTE_CHANNEL_TOOL, tool, name, "{", 1);
        uint32_t n = random_below(4);
        for (uint32_t i = 0; i < n; i++) {
            const struct value *v = &values[random_below(N_VALUES)];
            const char *key = keys[random_below(3)];
            snprintf(head, sizeof head, "<｜DSML｜parameter name=\"%s\" string=\"%s\">",
                    key, v->string ? "true" : "false");
            add(w, head);
            add(w, v->written);
            add(w, "</｜DSML｜parameter>\n");
            int k = snprintf(
                    head, sizeof head, "%s\"%s\": %s", i ? ", " : "", key, v->json);
            join(want, MOTE_CHANNEL_TOOL, tool, name, head, (size_t)k);
        }
        join(want, MOTE_CHANNEL_TOOL, tool, name, "}", 1);
        add(w, n ? "</｜DSML｜invoke>\n" : "\n</｜DSML｜invoke>\n");
        return;
    }
    const char *a = args[random_below(style == FENCED ? 3 : 4)];
    join(want, MOTE_CHANNEL_TOOL, tool, name, a, strlen(a));
    if (style == KIMI)
        snprintf(head, sizeof head,
                "<|tool_call_begin|>functions.%s:%u<|tool_call_argument_begin|>", name,
                (unsigned)tool);
    else
        snprintf(head, sizeof head, "<｜tool▁call▁begin｜>%s%s%s",
                style == FENCED ? "function<｜tool▁sep｜>" : "", name,
                style == FENCED ? "\n```json\n" : "<｜tool▁sep｜>");
    add(w, head);
    add(w, a);
    add(w, style == KIMI      ? "<|tool_call_end|>"
            : style == FENCED ? "\n```<｜tool▁call▁end｜>"
                              : "<｜tool▁call▁end｜>");
    if (random_below(2))
        add(w, "\n");
}

static const char *const texts[] = {"Hello", " world.\n", "é中文😀", "<", "<｜tool",
        "a<b>c", "```json\n{}\n```", "\n\n", "<thin", "</thinking>", "<|", "｜DSML｜",
        "STO"};
enum { N_TEXTS = sizeof texts / sizeof texts[0] };

static void add_texts(written *w, joined *want, uint32_t channel)
{
    for (uint32_t i = random_below(5); i-- > 0;) {
        const char *t = texts[random_below(N_TEXTS)];
        add(w, t);
        join(want, channel, 0, NULL, t, strlen(t));
    }
    /* An end that no tag can continue. */
    add(w, "!");
    join(want, channel, 0, NULL, "!", 1);
}

static void test_known(void **state)
{
    (void)state;
    static const char *const stop[] = {"STOP", "\n\n\n\n\n\n\n\n\n\n\nUser:"};
    static const struct {
        const char *format;
        int style, think;
        const char *open, *close;
    } formats[] = {
            {"deepseek-v3", FENCED, 0, "<｜tool▁calls▁begin｜>",
                    "<｜tool▁calls▁end｜>"},
            {"deepseek-r1", FENCED, 1, "<｜tool▁calls▁begin｜>",
                    "<｜tool▁calls▁end｜>"},
            {"deepseek-v3.1", PLAIN, 1, "<｜tool▁calls▁begin｜>",
                    "<｜tool▁calls▁end｜>"},
            {"kimi-k2", KIMI, 0, "<|tool_calls_section_begin|>",
                    "<|tool_calls_section_end|>"},
            {"deepseek-v3.2", DSML, 1, "\n\n<｜DSML｜function_calls>\n",
                    "</｜DSML｜function_calls>"},
    };
    for (int round = 0; round < 400; round++) {
        size_t k = (size_t)round % (sizeof formats / sizeof formats[0]);
        setup s = {formats[k].format, 0, stop, 2};
        written *w = calloc(1, sizeof *w);
        joined *want = calloc(1, sizeof *want);
        uint32_t tools = 0;
        if (formats[k].think && random_below(2)) {
            s.reasoning = random_below(2);
            if (!s.reasoning)
                add(w, "<think>");
            add_texts(w, want, MOTE_CHANNEL_REASONING);
            add(w, "</think>");
        }
        add_texts(w, want, MOTE_CHANNEL_CONTENT);
        if (random_below(2)) {
            add(w, formats[k].open);
            for (uint32_t n = 1 + random_below(3); n-- > 0;)
                add_call(w, want, formats[k].style, tools++);
            add(w, formats[k].close);
            if (random_below(2))
                add_texts(w, want, MOTE_CHANNEL_CONTENT);
        }
        if (random_below(4) == 0) {
            add_texts(w, want, MOTE_CHANNEL_CONTENT);
            add(w, "STOP");
            want->stopped = 1;
            if (random_below(2))
                add(w, "more<think>");
        }
        check_cuts(&s, w->text, w->n, want);
        free(want);
        free(w);
    }
}

/* ---- texts of any kind ---- */

static void test_any_text(void **state)
{
    (void)state;
    static const char *const formats[] = {NULL, "deepseek-v2", "deepseek-v3",
            "deepseek-r1", "deepseek-v3.1", "deepseek-v3.2", "kimi-k2"};
    static const char *const stop[] = {
            "aab", "aaaab", "\n\n", "é", "\xa9x", "<｜tool▁calls"};
    static const char *const parts[] = {"<think>", "</think>", "<｜tool▁calls▁begin｜>",
            "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>",
            "<｜tool▁sep｜>", "function", "\n", "```json\n", "\n```", "{\"a\":1}", "é",
            "\xc3", "<｜DSML｜function_calls>", "\n\n<｜DSML｜function_calls>",
            "</｜DSML｜function_calls>", "<｜DSML｜invoke name=\"", "\">",
            "</｜DSML｜invoke>", "<｜DSML｜parameter name=\"", "\" string=\"true\">",
            "\" string=\"false\">", "</｜DSML｜parameter>",
            "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>",
            "<|tool_call_begin|>", "functions.", ":0", "<|tool_call_argument_begin|>",
            "<|tool_call_end|>", "a", "aa", "b", "x y", "<", "｜", "\"", "\\",
            "0123456789012345678901234567890123456789012345678901234567890"};
    enum { N_PARTS = sizeof parts / sizeof parts[0] };
    for (int round = 0; round < 1500; round++) {
        written *w = calloc(1, sizeof *w);
        setup s = {formats[round % 7], random_below(3) == 0, stop, random_below(7)};
        for (uint32_t n = random_below(60); n-- > 0;) {
            const char *part = parts[random_below(N_PARTS)];
            if (random_below(8) == 0) { /* a part of a part */
                char some[80];
                size_t k = random_below((uint32_t)strlen(part)) + 1;
                memcpy(some, part, k);
                some[k] = '\0';
                add(w, some);
            } else {
                add(w, part);
            }
        }
        joined *whole = parse(&s, w->text, w->n, SIZE_MAX);
        check_cuts(&s, w->text, w->n, whole);
        /* Without tags to read and strings to stop at, all text is content. */
        if (round % 7 < 2 && !s.reasoning && !s.n_stop) {
            assert_true(whole->n_events <= 1 && whole->n == w->n);
            assert_memory_equal(whole->text, w->text, w->n);
        }
        free(whole);
        free(w);
    }
}

/* ---- single promises ---- */

static void expect(const setup *s, const char *text, const char *want)
{
    char got[4096];
    size_t at = 0;
    joined *j = parse(s, text, strlen(text), 1);
    got[0] = '\0';
    for (size_t i = 0; i < j->n_events; i++) {
        const struct one *e = &j->events[i];
        at += (size_t)snprintf(got + at, sizeof got - at, "[%c%s]%.*s",
                "crt"[e->channel], e -> name, (int)(e->end - e->begin),
                j -> text + e -> begin);
    }
    assert_string_equal(got, want);
    free(j);
}

static void test_promises(void **state)
{
    (void)state;
    static const char *const ab[] = {"ab", "abc"};
    setup none = {0}, v3 = {.format = "deepseek-v3"}, r1 = {"deepseek-r1", 1, NULL, 0};
    setup v31 = {.format = "deepseek-v3.1"}, v32 = {.format = "deepseek-v3.2"};
    setup stops = {NULL, 0, ab, 2}, thinking_stops = {NULL, 1, ab, 2};
    expect(&none, "<think>a</think>", "[c]<think>a</think>");
    expect(&v3, "<think>a</think>", "[c]<think>a</think>");
    expect(&r1, "a</think>b</think>", "[r]a[c]b</think>");
    /* A tag that the prompt had written already. */
    expect(&r1, "\n<think>a<think>", "[r]\na<think>");
    /* The first stop string to be complete ends the text; content only. */
    expect(&stops, "xaabcab", "[c]xa");
    expect(&thinking_stops, "ab</think>xab!", "[r]ab[c]x");
    /* What begins like a call and is none is content. */
    expect(&v3, "x<｜tool▁call▁begin｜>function<｜tool",
            "[c]x<｜tool▁call▁begin｜>function<｜tool");
    expect(&v31, "<｜tool▁call▁begin｜><｜tool▁sep｜>{}",
            "[c]<｜tool▁call▁begin｜><｜tool▁sep｜>{}");
    /* A call without arguments; calls without a section; no fence; a lost end tag. */
    expect(&v31, "<｜tool▁call▁begin｜>f<｜tool▁call▁end｜>x", "[tf][c]x");
    expect(&v3, "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n{}<｜tool▁call▁end｜>",
            "[tf]{}");
    expect(&v3,
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<"
            "｜tool▁calls▁end｜>y",
            "[tf]{}[c]y");
    /* Cut off in the arguments. */
    expect(&v31, "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": \"<｜tool",
            "[tf]{\"a\": \"<｜tool");
    /* Text between calls is not lost, white space there is. */
    expect(&v31,
            "<｜tool▁calls▁begin｜> "
            "a\n<｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜> "
            "<｜tool▁calls▁end｜> b",
            "[c]a[tf]{}[c] b");
    /* A value that is no JSON at all becomes null. */
    expect(&v32,
            "<｜DSML｜function_calls><｜DSML｜invoke name=\"f\"><｜DSML｜parameter "
            "name=\"a\" "
            "string=\"false\"></｜DSML｜parameter></｜DSML｜invoke></"
            "｜DSML｜function_calls>",
            "[tf]{\"a\": null}");
}

/* A head that never ends is given up after a bounded number of bytes. */
static void test_bounded(void **state)
{
    (void)state;
    setup s = {.format = "deepseek-v3.1"};
    mote__reply *r = open_reply(&s, NULL);
    joined *j = calloc(1, sizeof *j);
    size_t n = 0;
    mote__reply_feed(r, -1, "<｜tool▁call▁begin｜>", strlen("<｜tool▁call▁begin｜>"));
    drain(r, j);
    for (; n < 10000; n++) {
        mote__reply_feed(r, -1, "x", 1);
        drain(r, j);
        assert_true(mote__reply_held(r) <= 600);
    }
    assert_int_equal(j->n, strlen("<｜tool▁call▁begin｜>") + n);
    free(j);
    mote__reply_close(r);
}

/* Only what could become a tag or a stop string is held back. */
static void test_held(void **state)
{
    (void)state;
    static const char *const stop[] = {"stop here"};
    setup s = {"deepseek-r1", 1, stop, 1};
    mote__reply *r = open_reply(&s, NULL);
    joined *j = calloc(1, sizeof *j);
    static const struct {
        const char *text;
        size_t out;
        size_t held;
    } steps[] = {{"abc", 3, 0}, {"</th", 3, 4}, {"e", 8, 0}, {"stop", 12, 0},
            {"</think>", 12, 0}, {"stop", 12, 4}, {"x", 17, 0}, {"<", 17, 1},
            {"<｜", 18, 4}};
    assert_int_equal(mote__reply_channel(r), MOTE_CHANNEL_REASONING);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        mote__reply_feed(r, -1, steps[i].text, strlen(steps[i].text));
        drain(r, j);
        assert_int_equal(j->n, steps[i].out);
        assert_int_equal(mote__reply_held(r), steps[i].held);
    }
    assert_int_equal(mote__reply_channel(r), MOTE_CHANNEL_CONTENT);
    mote__reply_finish(r);
    drain(r, j);
    assert_int_equal(j->n, 22);
    free(j);
    mote__reply_close(r);
}

/* Pieces of whole characters come out as whole characters, however long. */
static void test_characters(void **state)
{
    (void)state;
    static const char *const stop[] = {"é!", "中中中x"};
    setup s = {"deepseek-v3.2", 0, stop, 2};
    written *w = calloc(1, sizeof *w);
    static const char *const parts[] = {"é", "中", "😀", "ｚ", "<｜", "<", "\n"};
    while (w->n < 60000)
        add(w, parts[random_below(7)]);
    mote__reply *r = open_reply(&s, NULL);
    mote__reply_event e;
    size_t n = 0;
    mote__reply_feed(r, -1, w->text, w->n);
    mote__reply_finish(r);
    while (mote__reply_next(r, &e)) {
        assert_true(e.n_bytes > 0 && ((unsigned char)e.text[0] & 0xc0) != 0x80);
        assert_memory_equal(e.text, w->text + n, e.n_bytes);
        n += e.n_bytes;
    }
    assert_int_equal(n, w->n);
    mote__reply_close(r);
    free(w);
}

/* A tag that comes as a control token counts whether the decoder shows it or not. */
static void test_control_tokens(void **state)
{
    (void)state;
    mote_tokenizer *t;
    mote_error err;
    char path[4096];
    snprintf(path, sizeof path, "%s/../../models/tiny-v3", getenv("MOTE_TEST_DATA"));
    if (mote_tokenizer_open(&t, path, &err) < 0)
        fail_msg("%s", err.message);
    int32_t open = mote_tokenizer_find(t, "<think>", 7);
    int32_t close = mote_tokenizer_find(t, "</think>", 8);
    assert_true(open >= 0 && close >= 0);
    for (int shown = 0; shown < 2; shown++) {
        /* Its tokenizer was made for think tags, so V3's format reads them too. */
        setup s = {.format = "deepseek-v3"};
        mote__reply *r = open_reply(&s, t);
        joined *j = calloc(1, sizeof *j);
        mote__reply_feed(r, open, "<think>", shown ? 7 : 0);
        drain(r, j);
        mote__reply_feed(r, 300, "hm", 2);
        drain(r, j);
        assert_int_equal(mote__reply_channel(r), MOTE_CHANNEL_REASONING);
        /* The decoder may have held bytes of a broken character before the tag. */
        mote__reply_feed(r, close, "\xc3</think>", shown ? 9 : 1);
        drain(r, j);
        mote__reply_feed(r, 301, "so", 2);
        drain(r, j);
        mote__reply_finish(r);
        drain(r, j);
        assert_int_equal(j->n_events, 2);
        assert_int_equal(j->events[0].channel, MOTE_CHANNEL_REASONING);
        assert_int_equal(j->events[0].end, 3);
        assert_int_equal(j->events[1].channel, MOTE_CHANNEL_CONTENT);
        assert_memory_equal(j->text, "hm\xc3so", 5);
        free(j);
        mote__reply_close(r);
    }
    mote_tokenizer_close(t);
}

static void test_refused(void **state)
{
    (void)state;
    mote__reply *r;
    mote_error err;
    char *big = malloc(4098);
    memset(big, 'a', 4097);
    big[4097] = '\0';
    const char *bad[] = {"", NULL, big};
    const char *many[65];
    for (int i = 0; i < 65; i++)
        many[i] = "x";
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mote__reply_open(&r, NULL, NULL, NULL, 0, &bad[i], 1, &err),
                MOTE_E_INVALID);
        assert_null(r);
    }
    assert_int_equal(
            mote__reply_open(&r, NULL, NULL, NULL, 0, many, 65, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote__reply_open(&r, NULL, NULL, NULL, 0, NULL, 1, &err), MOTE_E_INVALID);
    mote__reply_close(NULL);
    free(big);
}

/* Nothing is allocated after opening, and what opening takes is known before. */
static void test_memory(void **state)
{
    (void)state;
    static const char *const stop[] = {"one", "another"};
    mote__memory m;
    mote__reply *r;
    mote__reply_event e;
    mote__memory_init(&m, NULL, NULL, NULL);
    assert_int_equal(
            mote__reply_open(&r, &m, mote_chat_format_find("deepseek-r1", NULL), NULL,
                    1, stop, 2, NULL),
            MOTE_OK);
    assert_int_equal(m.n_allocs, 1);
    assert_int_equal(m.bytes[MOTE_MEM_SCRATCH], mote__reply_bytes(stop, 2));
    for (int i = 0; i < 1000; i++) {
        mote__reply_feed(r, -1, "some text</think>", 17);
        while (mote__reply_next(r, &e)) {
        }
    }
    assert_int_equal(m.n_allocs, 1);
    mote__reply_close(r);
    assert_int_equal(m.bytes[MOTE_MEM_SCRATCH], 0);
}

/* The worst stop string for a naive search: time must stay linear. 8 MB take well under
 * a second; 30 s of processor time would mean that it is not. */
static void test_linear(void **state)
{
    (void)state;
    enum { N = 8 << 20 };
    char *stop = malloc(4097), *text = malloc(N);
    memset(stop, 'a', 4096);
    stop[4095] = 'b';
    stop[4096] = '\0';
    memset(text, 'a', N);
    setup s = {"deepseek-v3", 0, (const char *const[]){stop}, 1};
    mote__reply *r = open_reply(&s, NULL);
    mote__reply_event e;
    size_t n = 0;
    clock_t begin = clock();
    mote__reply_feed(r, -1, text, N);
    mote__reply_finish(r);
    while (mote__reply_next(r, &e))
        n += e.n_bytes;
    assert_int_equal(n, N);
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 30);
    mote__reply_close(r);
    free(stop);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_known),
            cmocka_unit_test(test_any_text),
            cmocka_unit_test(test_promises),
            cmocka_unit_test(test_bounded),
            cmocka_unit_test(test_held),
            cmocka_unit_test(test_characters),
            cmocka_unit_test(test_control_tokens),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_memory),
            cmocka_unit_test(test_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
