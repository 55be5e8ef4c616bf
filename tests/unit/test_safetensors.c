/* SPDX-License-Identifier: MIT */
/* One safetensors file: what is accepted, and every way of being hostile that PITFALLS
 * lists: "Header length beyond the file, above 100 MB, or near 2^64; deep JSON nesting;
 * duplicate keys; unpaired surrogates; wrong types; zero, negative or overflowing
 * dimensions; shape x dtype that does not match the byte range; overlapping, gapped,
 * reversed or out-of-file offsets; trailing bytes". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "file/safetensors.h"
#include "make_safetensors.h"

/* Parsing takes a heap copy of exactly `size` bytes, so that a sanitizer sees any read
 * beyond it. */
static mote_status parse_bytes(
        mote__safetensors *s, const uint8_t *bytes, size_t size, mote_error *err)
{
    mote__file f;
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    mote__file_open_memory(&f, copy, size);
    mote_status st = mote__safetensors_parse(s, &f, 3, "x.safetensors", err);
    mote__file_close(&f);
    free(copy);
    return st;
}

static void refuse_bytes(
        const uint8_t *bytes, size_t size, mote_status status, const char *phrase)
{
    mote__safetensors s;
    mote_error err = {MOTE_OK, ""};
    mote_status st = parse_bytes(&s, bytes, size, &err);
    if (st != status || err.status != status || !strstr(err.message, phrase) ||
            !strstr(err.message, "x.safetensors"))
        fail_msg("expected %s with \"%s\", found %s with \"%s\"",
                mote_status_name(status), phrase, mote_status_name(st), err.message);
    assert_null(s.tensors);
    assert_null(s.names);
    assert_null(s.texts);
    assert_int_equal(parse_bytes(&s, bytes, size, NULL), status);
}

static void refuse(const char *header, size_t n_data, const char *phrase)
{
    size_t size;
    uint8_t *b = make_safetensors(header, n_data, &size);
    refuse_bytes(b, size, MOTE_E_FORMAT, phrase);
    free(b);
}

static void refuse_unsupported(const char *header, size_t n_data, const char *phrase)
{
    size_t size;
    uint8_t *b = make_safetensors(header, n_data, &size);
    refuse_bytes(b, size, MOTE_E_UNSUPPORTED, phrase);
    free(b);
}

static mote__safetensors accept(const char *header, size_t n_data)
{
    size_t size;
    mote__safetensors s;
    mote_error err;
    uint8_t *b = make_safetensors(header, n_data, &size);
    if (parse_bytes(&s, b, size, &err) < 0)
        fail_msg("%s", err.message);
    free(b);
    return s;
}

/* A header with one tensor "a". */
static const char *one(const char *dtype, const char *shape, const char *offsets)
{
    static char h[512];
    snprintf(h, sizeof h, "{\"a\":{\"dtype\":%s,\"shape\":%s,\"data_offsets\":%s}}",
            dtype, shape, offsets);
    return h;
}

static void test_good(void **state)
{
    (void)state;
    const char *h =
            "{\"__metadata__\":{\"format\":\"pt\",\"config.json\":\"{\\n}\"},"
            "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],"
            "\"other\":[1]},"
            "\"zero\":{\"dtype\":\"I64\",\"shape\":[0,5],\"data_offsets\":[4,4]},"
            "\"last\":{\"dtype\":\"F8_E4M3\",\"shape\":[1,1,1,1,1,1,1,1],"
            "\"data_offsets\":[16,17]}}   ";
    mote__safetensors s = accept(h, 17);
    uint64_t base = 8 + strlen(h);
    assert_int_equal(s.n_tensors, 4);
    assert_string_equal(s.tensors[0].name, "a");
    assert_int_equal(s.tensors[0].n_dims, 0);
    assert_int_equal(s.tensors[0].offset, base);
    assert_int_equal(s.tensors[0].n_bytes, 4);
    assert_int_equal(s.tensors[0].dtype, MOTE__DTYPE_F32);
    assert_int_equal(s.tensors[0].file, 3);
    assert_string_equal(s.tensors[1].name, "b");
    assert_int_equal(s.tensors[1].n_dims, 2);
    assert_int_equal(s.tensors[1].shape[0], 2);
    assert_int_equal(s.tensors[1].shape[1], 3);
    assert_int_equal(s.tensors[1].offset, base + 4);
    assert_int_equal(s.tensors[1].n_bytes, 12);
    assert_string_equal(s.tensors[2].name, "last");
    assert_int_equal(s.tensors[2].n_dims, 8);
    assert_string_equal(s.tensors[3].name, "zero");
    assert_int_equal(s.tensors[3].n_bytes, 0);
    assert_int_equal(s.n_texts, 1);
    assert_string_equal(s.texts[0].name, "config.json");
    assert_string_equal(s.texts[0].text, "{\n}");
    assert_int_equal(s.texts[0].size, 3);
    mote__safetensors_free(&s);

    s = accept("{}", 0);
    assert_int_equal(s.n_tensors, 0);
    mote__safetensors_free(&s);
    s = accept("{\"__metadata__\":null}", 0);
    assert_int_equal(s.n_tensors, 0);
    mote__safetensors_free(&s);
}

static void test_every_dtype(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t bytes;
    } types[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
            {"I8", 1}, {"U8", 1}, {"I16", 2}, {"U16", 2}, {"I32", 4}, {"U32", 4},
            {"I64", 8}, {"U64", 8}, {"F64", 8}, {"BOOL", 1}, {"F8_E5M2", 1}};
    assert_int_equal(sizeof types / sizeof *types, MOTE__DTYPES);
    for (size_t i = 0; i < MOTE__DTYPES; i++) {
        char dtype[16], offsets[32];
        snprintf(dtype, sizeof dtype, "\"%s\"", types[i].name);
        snprintf(offsets, sizeof offsets, "[0,%u]", 3 * types[i].bytes);
        mote__safetensors s = accept(one(dtype, "[3]", offsets), 3 * types[i].bytes);
        assert_int_equal(s.tensors[0].dtype, i);
        assert_string_equal(mote__dtype_name(s.tensors[0].dtype), types[i].name);
        assert_int_equal(mote__dtype_bytes(s.tensors[0].dtype), types[i].bytes);
        mote__safetensors_free(&s);
    }
    assert_string_equal(mote__dtype_name(99), "unknown");
    assert_int_equal(mote__dtype_bytes(99), 0);
    refuse_unsupported(one("\"F4\"", "[2]", "[0,1]"), 1, "tensor a: unknown dtype F4");
    refuse_unsupported(one("\"\"", "[2]", "[0,1]"), 1, "unknown dtype");
}

static void test_header_length(void **state)
{
    (void)state;
    size_t size;
    uint8_t *b = make_safetensors("{}", 0, &size);
    refuse_bytes(b, 0, MOTE_E_FORMAT, "0 bytes is too short");
    refuse_bytes(b, 7, MOTE_E_FORMAT, "7 bytes is too short");
    refuse_bytes(b, 8, MOTE_E_FORMAT, "header of 2 bytes reaches beyond the file of 8");
    refuse_bytes(b, 9, MOTE_E_FORMAT, "header of 2 bytes reaches beyond the file of 9");
    b[0] = 3;
    refuse_bytes(b, size, MOTE_E_FORMAT, "header of 3 bytes reaches beyond");
    b[0] = 0;
    refuse_bytes(b, size, MOTE_E_FORMAT, "does not begin with {");
    memset(b, 0xff, 8); /* 2^64 - 1 */
    refuse_bytes(b, size, MOTE_E_FORMAT,
            "header of 18446744073709551615 bytes, at most 100000000 allowed");
    b[0] = 0xf8; /* adding the 8 bytes before it would wrap to 0 */
    refuse_bytes(b, size, MOTE_E_FORMAT, "at most 100000000 allowed");
    static const uint8_t above[8] = {0x01, 0xe1, 0xf5, 0x05}; /* 100000001 */
    memcpy(b, above, 8);
    refuse_bytes(b, size, MOTE_E_FORMAT, "header of 100000001 bytes, at most");
    static const uint8_t limit[8] = {0x00, 0xe1, 0xf5, 0x05};
    memcpy(b, limit, 8);
    refuse_bytes(b, size, MOTE_E_FORMAT, "header of 100000000 bytes reaches beyond");
    free(b);
}

static void test_header_text(void **state)
{
    (void)state;
    refuse(" {}", 0, "does not begin with {");
    refuse("[]", 0, "does not begin with {");
    refuse("{", 0, "not valid JSON");
    refuse("{}x", 0, "not valid JSON");
    refuse("{\"a\":1}", 0, "tensor a: expected an object, found 1");
    refuse("{\"a\":[]}", 0, "tensor a: expected an object, found an array of 0");
    refuse("{\"a\":null}", 0, "tensor a: expected an object, found null");
    refuse("{\"\\ud800\":{}}", 0, "not valid JSON");
    refuse("{\"a\\u0000b\":{}}", 0, "not valid JSON");
    refuse("{\"\xc0\xaf\":{}}", 0, "not valid JSON");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
           "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
            2, "duplicate object key");
    /* the same key, spelled differently */
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
           "\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
            2, "duplicate object key");
    refuse("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],"
           "\"data_offsets\":[0,1]}}",
            1, "duplicate object key");
    char deep[4096];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"a\":", 5);
    deep[sizeof deep - 1] = '\0';
    refuse(deep, 0, "nested deeper than 64 levels");
    refuse("{\"__metadata__\":{\"a\":1}}", 0,
            "__metadata__: expected an object of strings");
    refuse("{\"__metadata__\":\"a\"}", 0,
            "__metadata__: expected an object of strings");
    refuse("{\"__metadata__\":{\"config.json\":{}}}", 0, "__metadata__: expected");
}

static void test_members(void **state)
{
    (void)state;
    refuse("{\"a\":{}}", 0, "tensor a: dtype: expected a string, found nothing");
    refuse(one("3", "[1]", "[0,1]"), 1, "dtype: expected a string, found 3");
    refuse(one("\"U8\"", "1", "[0,1]"), 1, "shape: expected an array, found 1");
    refuse(one("\"U8\"", "{}", "[0,1]"), 1, "shape: expected an array");
    refuse(one("\"U8\"", "[\"1\"]", "[0,1]"), 1, "shape: expected dimensions");
    refuse(one("\"U8\"", "[1.0]", "[0,1]"), 1, "shape: expected dimensions");
    refuse(one("\"U8\"", "[null]", "[0,1]"), 1, "shape: expected dimensions");
    refuse(one("\"U8\"", "[-1]", "[0,1]"), 1,
            "shape: expected dimensions of at least 0, found -1");
    refuse(one("\"U8\"", "[-1,-1]", "[0,1]"), 1, "found -1");
    refuse(one("\"U8\"", "[99999999999999999999]", "[0,1]"), 1, "not valid JSON");
    refuse_unsupported(one("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1,
            "at most 8 dimensions, found 9");
    refuse(one("\"U8\"", "[1]", "1"), 1,
            "data_offsets: expected an array of 2 integers");
    refuse(one("\"U8\"", "[1]", "[0]"), 1, "data_offsets: expected an array of 2");
    refuse(one("\"U8\"", "[1]", "[0,1,2]"), 1, "data_offsets: expected an array of 2");
    refuse(one("\"U8\"", "[1]", "[0,\"1\"]"), 1, "integers of at least 0, found \"1\"");
    refuse(one("\"U8\"", "[1]", "[0.0,1]"), 1, "integers of at least 0");
    refuse(one("\"U8\"", "[1]", "[-1,0]"), 1, "integers of at least 0, found -1");
    refuse(one("\"U8\"", "[1]", "[0,-1]"), 1, "integers of at least 0, found -1");
}

static void test_sizes(void **state)
{
    (void)state;
    refuse(one("\"F32\"", "[2]", "[0,4]"), 4,
            "shape and dtype F32 need 8 bytes, data_offsets give 4");
    refuse(one("\"F32\"", "[2,0]", "[0,4]"), 4, "need 0 bytes, data_offsets give 4");
    refuse(one("\"F32\"", "[]", "[0,0]"), 0, "need 4 bytes, data_offsets give 0");
    /* products that wrap around 2^64, to small numbers among them */
    refuse(one("\"F32\"", "[4611686018427387905]", "[0,4]"), 4, "overflows");
    refuse(one("\"U8\"", "[4294967296,4294967296]", "[0,0]"), 0, "overflows");
    refuse(one("\"BF16\"", "[9223372036854775807,2]", "[0,4]"), 4, "overflows");
    refuse(one("\"U8\"", "[4294967296,4294967296,0]", "[0,0]"), 0, "overflows");
    refuse(one("\"U8\"", "[9223372036854775807]", "[0,1]"), 1,
            "need 9223372036854775807 bytes");
}

static void test_offsets(void **state)
{
    (void)state;
#define U8(name, n, b, e)                                                              \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #n "],\"data_offsets\":[" #b "," #e   \
    "]}"
    refuse("{" U8("a", 2, 3, 1) "}", 4,
            "data_offsets: reversed, begin 3 is after end 1");
    refuse("{" U8("a", 4, 0, 4) "}", 3, "end 4 is outside the file's 3 bytes of data");
    refuse("{" U8("a", 1, 9223372036854775806, 9223372036854775807) "}", 3,
            "end 9223372036854775807 is outside");
    refuse("{" U8("a", 2, 0, 2) "," U8("b", 2, 1, 3) "}", 3,
            "tensor b overlaps tensor a");
    refuse("{" U8("a", 3, 0, 3) "," U8("b", 1, 1, 2) "}", 3, "overlaps");
    refuse("{" U8("a", 2, 0, 2) "," U8("b", 2, 0, 2) "}", 2, "overlaps");
    refuse("{" U8("a", 1, 0, 1) "," U8("b", 1, 2, 3) "}", 3,
            "tensor b: a gap of 1 bytes before it");
    refuse("{" U8("a", 1, 1, 2) "}", 2, "tensor a: a gap of 1 bytes before it");
    refuse("{" U8("z", 0, 5, 5) "," U8("a", 1, 0, 1) "}", 5, "a gap");
    refuse("{" U8("a", 1, 0, 1) "}", 4, "3 trailing bytes after the last tensor");
    refuse("{}", 1, "1 trailing bytes");
#undef U8
}

/* Names may be long or strange; messages stay one line. */
static void test_long_names(void **state)
{
    (void)state;
    char h[6000], name[5000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(h, sizeof h,
            "{\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", name);
    mote__safetensors s = accept(h, 1);
    assert_string_equal(s.tensors[0].name, name);
    mote__safetensors_free(&s);
    refuse(h, 2, "trailing");
    snprintf(h, sizeof h,
            "{\"%s\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}", name);
    refuse(h, 1, "tensor nnnnnnnn");
    refuse("{\"\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1,
            "tensor :");
    refuse("{\"a\\nb\":1}", 0, "tensor a?b: expected an object");
    refuse("{\"%s%n\":1}", 0, "tensor %s%n: expected an object");
}

/* Thousands of tensors: sorted, found, and not quadratic. */
static void test_many(void **state)
{
    (void)state;
    enum { N = 50000 };
    size_t capacity = N * 80 + 10, at = 1, size;
    char *h = malloc(capacity);
    assert_non_null(h);
    h[0] = '{';
    for (int i = 0; i < N; i++)
        at += (size_t)snprintf(h + at, capacity - at,
                "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                i ? "," : "", N - i, i, i + 1);
    snprintf(h + at, capacity - at, "}");
    uint8_t *b = make_safetensors(h, N, &size);
    mote__safetensors s;
    mote_error err;
    assert_int_equal(parse_bytes(&s, b, size, &err), MOTE_OK);
    assert_int_equal(s.n_tensors, N);
    for (size_t i = 1; i < N; i++)
        assert_true(strcmp(s.tensors[i - 1].name, s.tensors[i].name) < 0);
    mote__safetensors_free(&s);
    free(b);
    free(h);
}

/* Every prefix of a good file is an error, and so is every single byte too many. */
static void test_truncation(void **state)
{
    (void)state;
    size_t size;
    uint8_t *b = make_safetensors(
            "{\"__metadata__\":{\"config.json\":\"{}\"},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}",
            16, &size);
    for (size_t n = 0; n < size; n++) {
        mote__safetensors s;
        mote_error err;
        assert_int_equal(parse_bytes(&s, b, n, &err), MOTE_E_FORMAT);
    }
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_good),
            cmocka_unit_test(test_every_dtype),
            cmocka_unit_test(test_header_length),
            cmocka_unit_test(test_header_text),
            cmocka_unit_test(test_members),
            cmocka_unit_test(test_sizes),
            cmocka_unit_test(test_offsets),
            cmocka_unit_test(test_long_names),
            cmocka_unit_test(test_many),
            cmocka_unit_test(test_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
