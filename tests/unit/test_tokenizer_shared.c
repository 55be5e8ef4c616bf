/* SPDX-License-Identifier: MIT */
/* The tokenizers of V3, R1, V3.1 and V2 against what the reference implementation says:
 * every line of the shared golden files. Skipped where the shared data is absent. */
#include "mote/tokenizer.h"
#include "test_text.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static mote_tokenizer *v3, *v2, *r1, *v31, *r1_published;

static mote_tokenizer *open_text(const char *text, size_t n)
{
    mote_tokenizer *t = NULL;
    mote_error err;
    if (mote_tokenizer_open_memory(&t, text, n, NULL, 0, &err) < 0)
        fail_msg("%s", err.message);
    return t;
}

static mote_tokenizer *open_zst(const char *name)
{
    size_t n = 0;
    char *text = text_load("MOTE_SHARED", name, &n);
    if (!text)
        return NULL;
    mote_tokenizer *t = open_text(text, n);
    free(text);
    return t;
}

/* R1 and V3.1 are V3 with placeholder tokens renamed. */
static void rename_added(json_t *root, json_int_t id, const char *content)
{
    json_t *added = json_object_get(root, "added_tokens");
    for (size_t i = 0; i < json_array_size(added); i++) {
        json_t *a = json_array_get(added, i);
        if (json_integer_value(json_object_get(a, "id")) != id)
            continue;
        json_object_set_new(a, "content", json_string(content));
        json_object_set_new(a, "normalized", json_true());
        json_object_set_new(a, "special", json_false());
        return;
    }
    fail_msg("no added token %d", (int)id);
}

static mote_tokenizer *open_json(const json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);
    assert_non_null(text);
    mote_tokenizer *t = open_text(text, strlen(text));
    free(text);
    return t;
}

static int setup(void **state)
{
    (void)state;
    size_t n = 0;
    v3 = open_zst("tokenizers/tokenizer.v3.json.zst");
    if (!v3)
        return 0;
    v2 = open_zst("tokenizers/tokenizer.v2.json.zst");
    r1_published = open_zst("tokenizers/tokenizer.r1.json.zst");
    char *text = text_load("MOTE_SHARED", "tokenizers/tokenizer.v3.json.zst", &n);
    json_t *root = json_loadb(text, n, 0, NULL);
    free(text);
    rename_added(root, 128798, "<think>");
    rename_added(root, 128799, "</think>");
    r1 = open_json(root);
    rename_added(root, 128796,
            "<\xef\xbd\x9csearch\xe2\x96\x81"
            "begin\xef\xbd\x9c>");
    rename_added(root, 128797,
            "<\xef\xbd\x9csearch\xe2\x96\x81"
            "end\xef\xbd\x9c>");
    v31 = open_json(root);
    json_decref(root);
    return v2 && r1_published ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mote_tokenizer_close(v3);
    mote_tokenizer_close(v2);
    mote_tokenizer_close(r1);
    mote_tokenizer_close(v31);
    mote_tokenizer_close(r1_published);
    return 0;
}

static void need_shared(void)
{
    if (!v3) {
        print_message("skipped: no shared data (meson setup -Dshared_data=FOLDER)\n");
        skip();
    }
}

/* Encode into a malloc'ed array. */
static int32_t *encode(const mote_tokenizer *t, const char *text, size_t n,
        uint32_t flags, size_t *n_ids, mote_status *status)
{
    mote_error err;
    int32_t *ids = malloc((n + 2) * sizeof *ids);
    assert_non_null(ids);
    mote_status st = mote_tokenizer_encode(t, text, n, flags, ids, n + 2, n_ids, &err);
    if (status)
        *status = st;
    else if (st < 0)
        fail_msg("%s", err.message);
    return ids;
}

static char *decode(const mote_tokenizer *t, const int32_t *ids, size_t n,
        uint32_t flags, size_t *n_bytes)
{
    mote_error err;
    assert_int_equal(
            mote_tokenizer_decode(t, ids, n, flags, NULL, 0, n_bytes, &err), 0);
    char *text = malloc(*n_bytes + 1);
    assert_non_null(text);
    assert_int_equal(
            mote_tokenizer_decode(t, ids, n, flags, text, *n_bytes, n_bytes, &err), 0);
    text[*n_bytes] = '\0';
    return text;
}

static size_t wrong;

static void check_ids(const mote_tokenizer *t, const char *id, const char *text,
        size_t n, uint32_t flags, const json_t *expected)
{
    size_t n_ids = 0;
    int32_t *ids = encode(t, text, n, flags, &n_ids, NULL);
    bool same = n_ids == json_array_size(expected);
    for (size_t i = 0; same && i < n_ids; i++)
        same = ids[i] == json_integer_value(json_array_get(expected, i));
    if (!same) {
        wrong++;
        print_error("%s: wrong ids (flags %u)\n", id, (unsigned)flags);
    }
    size_t back_n = 0;
    char *back = decode(t, ids, n_ids, 0, &back_n);
    if (back_n != n || memcmp(back, text, n) != 0) {
        wrong++;
        print_error("%s: does not decode to itself (flags %u)\n", id, (unsigned)flags);
    }
    free(back);
    free(ids);
}

typedef void (*line_fn)(void *arg, const json_t *line);

static size_t for_lines(const char *name, line_fn fn, void *arg)
{
    char path[256];
    size_t n = 0, lines = 0, length = 0;
    snprintf(path, sizeof path, "fixtures/tokenizer/%s", name);
    char *text = text_load("MOTE_SHARED", path, &n);
    if (!text)
        fail_msg("%s is missing", path);
    const char *at = text, *line;
    while ((line = text_line(&at, text + n, &length))) {
        json_t *v = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
        if (!v)
            fail_msg("%s: line %zu is not JSON", name, lines + 1);
        fn(arg, v);
        json_decref(v);
        lines++;
    }
    free(text);
    return lines;
}

static void encode_line(void *arg, const json_t *line)
{
    const mote_tokenizer *t = arg;
    const json_t *text = json_object_get(line, "text");
    const char *id = json_string_value(json_object_get(line, "id"));
    const char *s = json_string_value(text);
    size_t n = json_string_length(text);
    check_ids(t, id, s, n, MOTE_ENCODE_SPECIAL, json_object_get(line, "ids"));
    check_ids(t, id, s, n, 0, json_object_get(line, "ids_no_special_parsing"));
}

static void test_encode(void **state)
{
    (void)state;
    need_shared();
    wrong = 0;
    size_t lines = for_lines("encode.v3.jsonl", encode_line, v3);
    lines += for_lines("encode.v2.jsonl", encode_line, v2);
    lines += for_lines("encode.r1.jsonl", encode_line, r1);
    lines += for_lines("encode.r1.jsonl", encode_line, r1_published);
    print_message("%zu lines, %zu wrong\n", lines, wrong);
    assert_int_equal(wrong, 0);
    assert_true(lines > 800);
}

static void bytes_line(void *arg, const json_t *line)
{
    (void)arg;
    const char *hex = json_string_value(json_object_get(line, "hex"));
    const char *id = json_string_value(json_object_get(line, "id"));
    const json_t *ids_v2 = json_object_get(line, "ids_v2");
    size_t n = strlen(hex) / 2;
    char *bytes = malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        unsigned b = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &b), 1);
        bytes[i] = (char)b;
    }
    check_ids(v3, id, bytes, n, MOTE_ENCODE_SPECIAL, json_object_get(line, "ids_v3"));
    if (json_is_null(ids_v2)) {
        mote_status st = 0;
        size_t n_ids = 0;
        free(encode(v2, bytes, n, MOTE_ENCODE_SPECIAL, &n_ids, &st));
        assert_int_equal(st, MOTE_E_UNSUPPORTED);
    } else {
        check_ids(v2, id, bytes, n, MOTE_ENCODE_SPECIAL, ids_v2);
    }
    free(bytes);
}

static void test_bytes(void **state)
{
    (void)state;
    need_shared();
    wrong = 0;
    size_t lines = for_lines("bytes.jsonl", bytes_line, NULL);
    print_message("%zu lines, %zu wrong\n", lines, wrong);
    assert_int_equal(wrong, 0);
}

static void stress_one(const mote_tokenizer *t, const char *name, const json_t *line,
        const char *text, size_t n)
{
    const json_t *expected = json_object_get(line, name);
    size_t n_ids = 0, at = 0;
    char hex[65];
    clock_t begin = clock();
    int32_t *ids = encode(t, text, n, MOTE_ENCODE_SPECIAL, &n_ids, NULL);
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    print_message("%s %s x %d: %.0f ms\n", name,
            json_string_value(json_object_get(line, "unit")),
            (int)json_integer_value(json_object_get(line, "count")), seconds * 1e3);
    /* "A megabyte of one letter takes seconds at most"; quadratic merging takes hours.
     */
    assert_true(seconds < 20);
    assert_int_equal(n_ids, json_integer_value(json_object_get(expected, "n_ids")));
    char *csv = malloc(12 * n_ids + 1);
    for (size_t i = 0; i < n_ids; i++)
        at += (size_t)snprintf(csv + at, 12, i ? ",%d" : "%d", (int)ids[i]);
    text_sha256(csv, at, hex);
    assert_string_equal(
            hex, json_string_value(json_object_get(expected, "sha256_ids_csv")));
    free(csv);
    free(ids);
}

static void stress_line(void *arg, const json_t *line)
{
    (void)arg;
    const json_t *unit = json_object_get(line, "unit");
    size_t k = json_string_length(unit);
    size_t count = (size_t)json_integer_value(json_object_get(line, "count"));
    char *text = malloc(k * count + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * k, json_string_value(unit), k);
    stress_one(v3, "v3", line, text, k * count);
    stress_one(v2, "v2", line, text, k * count);
    free(text);
}

static void test_stress(void **state)
{
    (void)state;
    need_shared();
    assert_true(for_lines("stress.jsonl", stress_line, NULL) > 0);
}

static const mote_tokenizer *by_name(const json_t *name)
{
    const char *s = json_string_value(name);
    assert_non_null(s);
    return strcmp(s, "v3") == 0   ? v3
           : strcmp(s, "v2") == 0 ? v2
           : strcmp(s, "r1") == 0 ? r1
                                  : v31;
}

static void decode_line(void *arg, const json_t *line)
{
    (void)arg;
    static const char *const keys[] = {"decoded", "decoded_skip_special"};
    const mote_tokenizer *t = by_name(json_object_get(line, "tokenizer"));
    const json_t *list = json_object_get(line, "ids");
    int32_t ids[64];
    size_t n = json_array_size(list), length = 0;
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    for (uint32_t k = 0; k < 2; k++) {
        char *text = decode(t, ids, n, k ? MOTE_DECODE_SKIP_SPECIAL : 0, &length);
        assert_string_equal(text, json_string_value(json_object_get(line, keys[k])));
        free(text);
    }
}

static void test_decode_special(void **state)
{
    (void)state;
    need_shared();
    assert_true(for_lines("decode_special.jsonl", decode_line, NULL) > 0);
}

/* What V3, R1 and V3.1 do not share: reasoning and search tags. */
static void test_tags(void **state)
{
    (void)state;
    need_shared();
    static const char search[] = "<\xef\xbd\x9csearch\xe2\x96\x81"
                                 "begin\xef\xbd\x9c>";
    size_t n = sizeof search - 1;
    assert_int_equal(mote_tokenizer_find(v3, "<think>", 7), -1);
    assert_int_equal(mote_tokenizer_find(r1, "<think>", 7), 128798);
    assert_int_equal(mote_tokenizer_find(r1_published, "</think>", 8), 128799);
    assert_int_equal(mote_tokenizer_find(r1, search, n), -1);
    assert_int_equal(mote_tokenizer_find(v31, search, n), 128796);
    assert_int_equal(mote_tokenizer_find(v31, "<think>", 7), 128798);
    assert_int_equal(mote_tokenizer_is_special(v31, 128796), 0);
    assert_int_equal(mote_tokenizer_is_special(v3, 128796), 1);
}

static void test_token_bytes(void **state)
{
    (void)state;
    need_shared();
    size_t n = 0;
    char *text = text_load("MOTE_SHARED", "fixtures/tokenizer/token_bytes.json", &n);
    assert_non_null(text);
    json_t *root = json_loadb(text, n, 0, NULL);
    free(text);
    assert_true(json_array_size(root) > 0);
    for (size_t k = 0; k < json_array_size(root); k++) {
        const json_t *v = json_array_get(root, k);
        const mote_tokenizer *t = by_name(json_object_get(v, "tokenizer"));
        int32_t n_ids = (int32_t)json_integer_value(json_object_get(v, "n_ids"));
        const json_t *samples = json_object_get(v, "samples");
        char hex[65];
        size_t at = 0, capacity = 1u << 24;
        uint8_t *all = malloc(capacity);
        assert_int_equal(mote_tokenizer_size(t), n_ids);
        for (int32_t id = 0; id < n_ids; id++) {
            size_t length = 0;
            const char *bytes = mote_tokenizer_token(t, id, &length);
            for (int i = 0; i < 4; i++)
                all[at++] = (uint8_t)(length >> 8 * i);
            assert_true(at + length + 4 < capacity);
            if (bytes)
                memcpy(all + at, bytes, length);
            at += length;
        }
        text_sha256(all, at, hex);
        free(all);
        assert_string_equal(hex, json_string_value(json_object_get(
                                         v, "sha256_len_prefixed_token_bytes")));
        for (size_t i = 0; i < json_array_size(samples); i++) {
            const json_t *s = json_array_get(samples, i);
            const char *want = json_string_value(json_object_get(s, "hex"));
            size_t length = 0;
            const char *bytes = mote_tokenizer_token(
                    t, (int32_t)json_integer_value(json_object_get(s, "id")), &length);
            assert_int_equal(length * 2, strlen(want));
            for (size_t b = 0; b < length; b++) {
                char two[3];
                snprintf(two, sizeof two, "%02x", (uint8_t)bytes[b]);
                assert_memory_equal(two, want + 2 * b, 2);
            }
        }
    }
    json_decref(root);
}

/* A whole stream of every kind of text: the decoder gives the same bytes, and never
 * ends a piece inside a character. */
static void stream_line(void *arg, const json_t *line)
{
    const mote_tokenizer *t = arg;
    const json_t *text = json_object_get(line, "text");
    const char *s = json_string_value(text), *piece;
    size_t n = json_string_length(text), n_ids = 0, at = 0, length = 0;
    mote_decoder *d = NULL;
    int32_t *ids = encode(t, s, n, MOTE_ENCODE_SPECIAL, &n_ids, NULL);
    assert_int_equal(mote_decoder_open(&d, t, 0, NULL), 0);
    for (size_t i = 0; i < n_ids; i++) {
        assert_int_equal(mote_decoder_push(d, ids[i], &piece, &length, NULL), 0);
        assert_true(at + length <= n);
        assert_memory_equal(piece, s + at, length);
        at += length;
        /* the text is valid UTF-8: what follows begins a character */
        assert_true(at == n || ((uint8_t)s[at] & 0xC0) != 0x80);
    }
    assert_int_equal(mote_decoder_finish(d, &piece, &length, NULL), 0);
    assert_int_equal(length, 0);
    assert_int_equal(at, n);
    mote_decoder_close(d);
    free(ids);
}

static void test_stream(void **state)
{
    (void)state;
    need_shared();
    assert_true(for_lines("encode.v3.jsonl", stream_line, v3) > 0);
    assert_true(for_lines("encode.v2.jsonl", stream_line, v2) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_encode),
            cmocka_unit_test(test_bytes),
            cmocka_unit_test(test_stress),
            cmocka_unit_test(test_decode_special),
            cmocka_unit_test(test_tags),
            cmocka_unit_test(test_token_bytes),
            cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
