/* SPDX-License-Identifier: MIT */
/* Constrained output, case by case: what each keyword lets through, bounds of numbers
 * by brute force, UTF-8, what is refused by name, and hostile schema texts. The
 * vocabulary is the 256 bytes, so a text is fed byte by byte. */
#include "text/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { EOS = 256 };

static const char *byte_token(const void *user, int32_t token, size_t *n)
{
    *n = token < 256;
    return token < 256 ? (const char *)user + token : NULL;
}

static mote__schema_vocab bytes(void)
{
    static char table[256];
    for (int i = 0; i < 256; i++)
        table[i] = (char)i;
    return (mote__schema_vocab){byte_token, table, 257};
}

static mote_schema *open_schema(const char *json)
{
    mote__schema_vocab v = bytes();
    mote_schema *s;
    mote_error err;
    if (mote__schema_open(&s, &v, NULL, json, json ? strlen(json) : 0, &err) < 0)
        fail_msg("%s: %s", json ? json : "NULL", err.message);
    return s;
}

/* How far a text is taken: -1: to its end, and complete there; -2: to its end,
 * unfinished; else the index of the byte that is refused. */
static int taken(const mote_schema *s, const char *text)
{
    mote__schema_state *st = malloc(mote__schema_state_bytes(s));
    uint32_t bits[9];
    int r = -1;
    mote__schema_start(s, st);
    for (int i = 0; text[i] && r == -1; i++) {
        int byte = (unsigned char)text[i];
        mote__schema_mask(s, st, bits, 257, EOS);
        int allowed = bits[byte / 32] >> (byte % 32) & 1;
        assert_int_equal(mote__schema_accept(s, st, byte), allowed);
        if (!allowed)
            r = i;
    }
    if (r == -1) {
        mote__schema_mask(s, st, bits, 257, EOS);
        assert_int_equal(bits[8] & 1, mote__schema_complete(s, st));
        r = mote__schema_complete(s, st) ? -1 : -2;
    }
    free(st);
    return r;
}

static void expect(const char *json, const char *text, int at)
{
    mote_schema *s = open_schema(json);
    int r = taken(s, text);
    if (r != at)
        fail_msg("%s on %s: %d, expected %d", json ? json : "NULL", text, r, at);
    mote__schema_free(s);
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *text;
        int at; /* -1: taken */
    } cases[] = {
            /* JSON mode: an object or an array */
            {NULL, "{}", -1},
            {NULL, "{\"a\":[1,-2.5e+10,true,null,\"x\\n\\u00e9\"], \"b\": {}}", -1},
            {NULL, "[]", -1},
            {NULL, "[[[]]]", -1},
            {NULL, "\"a\"", 0},
            {NULL, "1", 0},
            {NULL, " {}", 0},
            {NULL, "{ }", 1},
            {NULL, "[1 ,2]", 2},
            {NULL, "[1,  2]", 4},
            {NULL, "{}x", 2},
            {NULL, "[1,]", 3},
            {NULL, "{\"a\":1,}", 7},
            {NULL, "[01]", 2},
            {NULL, "[1.]", 3},
            {NULL, "[.5]", 1},
            {NULL, "[+1]", 1},
            {NULL, "[1e]", 3},
            {NULL, "[1e999]", 5},
            {NULL, "[-]", 2},
            {NULL, "[nul]", 4},
            {NULL, "[\"\t\"]", 2},
            {NULL, "[\"\\x\"]", 3},
            {NULL, "[\"\\ud83d\\ude00\"]", -1},
            {NULL, "[\"\\ud83dx\"]", 8},
            {NULL, "[\"\\ud83d\\u0041\"]", 10},
            {NULL, "[\"\\ude00\"]", 5},
            {NULL, "[\"\\u0000\"]", 7},
            {NULL, "[\"a", -2},
            /* anything */
            {"true", "1", -1},
            {"{}", "\"s\"", -1},
            {"{\"title\":\"t\",\"description\":\"d\",\"default\":1}", "null", -1},
            /* types */
            {"{\"type\":\"null\"}", "null", -1},
            {"{\"type\":\"null\"}", "nul", -2},
            {"{\"type\":\"boolean\"}", "false", -1},
            {"{\"type\":\"boolean\"}", "0", 0},
            {"{\"type\":[\"integer\",\"null\"]}", "12", -1},
            {"{\"type\":[\"integer\",\"null\"]}", "null", -1},
            {"{\"type\":[\"integer\",\"null\"]}", "1.0", 1},
            {"{\"type\":[\"integer\",\"number\"]}", "1.0", -1},
            /* strings: an escape is one character, so is a surrogate pair */
            {"{\"type\":\"string\",\"maxLength\":2}", "\"ab\"", -1},
            {"{\"type\":\"string\",\"maxLength\":2}", "\"abc\"", 3},
            {"{\"type\":\"string\",\"maxLength\":2}", "\"\\n\\u0041\"", -1},
            {"{\"type\":\"string\",\"maxLength\":1}", "\"\\ud83d\\ude00\"", -1},
            {"{\"type\":\"string\",\"maxLength\":1}", "\"\xf0\x9f\x98\x80\"", -1},
            {"{\"type\":\"string\",\"minLength\":2}", "\"\xc3\xa9\"", 3},
            {"{\"type\":\"string\",\"minLength\":2}", "\"\\\"\xc3\xa9\"", -1},
            {"{\"minLength\":1}", "\"a\"", -1},
            {"{\"minLength\":1}", "1", 0},
            {"{\"type\":\"string\",\"format\":\"date\"}", "\"x\"", -1},
            /* enum and const */
            {"{\"enum\":[\"yes\",\"no\"]}", "\"no\"", -1},
            {"{\"enum\":[\"yes\",\"no\"]}", "\"yo\"", 2},
            {"{\"enum\":[1,12,123]}", "1", -1},
            {"{\"enum\":[1,12,123]}", "12", -1},
            {"{\"enum\":[1,12,123]}", "13", 1},
            {"{\"enum\":[1,\"a\",null],\"type\":\"string\"}", "\"a\"", -1},
            {"{\"enum\":[1,\"a\",null],\"type\":\"string\"}", "1", 0},
            {"{\"const\":{\"a\":[1,0.1]}}", "{\"a\":[1,0.1]}", -1},
            {"{\"const\":\"\\u00e9\\\"\"}", "\"\xc3\xa9\\\"\"", -1},
            {"{\"type\":\"array\",\"items\":{\"enum\":[1,12]}}", "[1,12]", -1},
            /* arrays */
            {"{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"minItems\":1}", "[]",
                    1},
            {"{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"maxItems\":1}", "[]",
                    -1},
            {"{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"maxItems\":1}",
                    "[null,null]", 5},
            {"{\"type\":\"array\",\"maxItems\":0}", "[1]", 1},
            {"{\"type\":\"array\",\"items\":false}", "[]", -1},
            {"{\"type\":\"array\",\"items\":false}", "[1]", 1},
            {"{\"prefixItems\":[{\"const\":1},{\"const\":2}]}", "[1,2]", -1},
            {"{\"prefixItems\":[{\"const\":1},{\"const\":2}]}", "[1]", -1},
            {"{\"prefixItems\":[{\"const\":1},{\"const\":2}]}", "[2]", 1},
            {"{\"prefixItems\":[{\"const\":1}],\"items\":{\"const\":3}}", "[1,3,3]",
                    -1},
            {"{\"prefixItems\":[{\"const\":1}],\"minItems\":2}", "[1,[]]", -1},
            /* objects */
            {"{\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}}}", "{}", -1},
            {"{\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}}}",
                    "{\"a\":1,\"b\":2}", -1},
            {"{\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}}}",
                    "{\"a\": 1, \"b\": 2}", -1},
            {"{\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}}}", "{\"b\":2}",
                    -1},
            {"{\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}}}",
                    "{\"b\":2,\"a\":1}", 6},
            {"{\"properties\":{\"a\":{\"const\":1}}}", "{\"c\":1}", 2},
            {"{\"properties\":{\"a\":{},\"b\":{}},\"required\":[\"b\"]}", "{}", 1},
            {"{\"properties\":{\"a\":{\"const\":1},\"b\":{}},\"required\":[\"b\"]}",
                    "{\"a\":1}", 6},
            {"{\"properties\":{\"a\":{},\"ab\":{},\"abc\":{}},\"required\":[\"ab\"]}",
                    "{\"ab\":1}", -1},
            {"{\"properties\":{\"a\":{},\"ab\":{},\"abc\":{}},\"required\":[\"ab\"]}",
                    "{\"abc\":1}", 4},
            {"{\"type\":\"object\",\"required\":[\"z\"]}", "{\"z\":1,\"y\":2}", -1},
            {"{\"type\":\"object\",\"required\":[\"z\"]}", "{\"y\":2}", 2},
            {"{\"type\":\"object\",\"additionalProperties\":false}", "{\"", 1},
            {"{\"type\":\"object\",\"additionalProperties\":{\"const\":1}}",
                    "{\"x\":1,\"y\":1}", -1},
            {"{\"type\":\"object\",\"additionalProperties\":{\"const\":1}}",
                    "{\"x\":2}", 5},
            {"{\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{"
             "\"const\":2}}",
                    "{\"a\":1,\"b\":2}", -1},
            {"{\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{"
             "\"const\":2}}",
                    "{\"ab\":2}", -1},
            {"{\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{"
             "\"const\":2}}",
                    "{\"a\":2}", 5},
            {"{\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{"
             "\"const\":2}}",
                    "{\"b\":2,\"a\"", 9},
            {"{\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{"
             "\"const\":2}}",
                    "{\"\\u0061\"", 2},
            /* combinations */
            {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", "\"a\"", -1},
            {"{\"anyOf\":[{\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},"
             "{\"properties\":{\"a\":{\"const\":2},\"b\":{}},\"required\":[\"a\",\"b\"]"
             "}]}",
                    "{\"a\":2,\"b\":0}", -1},
            {"{\"anyOf\":[{\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},"
             "{\"properties\":{\"a\":{\"const\":2},\"b\":{}},\"required\":[\"a\",\"b\"]"
             "}]}",
                    "{\"a\":1,\"", 6},
            {"{\"anyOf\":[{\"const\":\"a\"},{\"const\":\"b\"},{\"enum\":[3]}]}", "3",
                    -1},
            {"{\"allOf\":[{\"type\":\"null\"}]}", "null", -1},
            {"{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"integer\"}]}", "5", -1},
            {"{\"oneOf\":[{\"type\":\"integer\",\"maximum\":4},{\"type\":\"integer\","
             "\"minimum\":5}]}",
                    "5", -1},
            /* a "kind" that is optional in the schema is what excludes: it must come */
            {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":1}}},"
             "{\"$ref\":\"#/$defs/b\"}],\"$defs\":{\"b\":{\"type\":\"object\","
             "\"properties\":{\"k\":{\"const\":2},\"s\":{}}}}}",
                    "{\"k\":2}", -1},
            {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":1}}},"
             "{\"$ref\":\"#/$defs/b\"}],\"$defs\":{\"b\":{\"type\":\"object\","
             "\"properties\":{\"k\":{\"const\":2},\"s\":{}}}}}",
                    "{}", 1},
            {"{\"$ref\":\"#/$defs/x\",\"$defs\":{\"x\":{\"const\":7}}}", "7", -1},
            {"{\"$ref\":\"#/definitions/a~1b%25\",\"definitions\":{\"a/"
             "b%\":{\"const\":7}}}",
                    "7", -1},
            {"{\"properties\":{\"n\":{\"$ref\":\"#\"}},\"required\":[]}",
                    "{\"n\":{\"n\":{}}}", -1},
            {"{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}", "[[],[[]]]", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].schema, cases[i].text, cases[i].at);
}

/* "32 levels" around the innermost value, which may be an empty container. */
static void test_nesting(void **state)
{
    (void)state;
    char text[80];
    memset(text, '[', 32);
    memset(text + 32, ']', 32);
    text[64] = '\0';
    expect(NULL, text, -1);
    memset(text, '[', 40);
    text[40] = '\0';
    expect(NULL, text, 33);
    /* A leaf fits in the 32nd; required members come after the way back. */
    memset(text, '[', 32);
    strcpy(text + 32, "1");
    expect(NULL, text, -2);
    expect("{\"properties\":{\"a\":{\"$ref\":\"#\"},\"b\":{\"const\":1}},"
           "\"required\":[\"b\"]}",
            "{\"a\":{\"a\":{\"b\":1},\"b\":1},\"b\":1}", -1);
}

/* ---- numbers ---- */

static void test_integers(void **state)
{
    (void)state;
    static const int limits[] = {-1000, -101, -100, -99, -12, -10, -1, 0, 1, 7, 9, 10,
            11, 99, 100, 101, 987, 1000};
    enum { N = sizeof limits / sizeof *limits };
    for (int i = 0; i < N; i++)
        for (int k = i; k < N; k += 5) {
            char json[120], text[16];
            snprintf(json, sizeof json,
                    "{\"type\":\"integer\",\"minimum\":%d,\"exclusiveMaximum\":%d}",
                    limits[i], limits[k] + 1);
            mote_schema *s = open_schema(json);
            for (int v = -1100; v <= 1100; v++) {
                snprintf(text, sizeof text, "%d", v);
                int in = v >= limits[i] && v <= limits[k];
                if ((taken(s, text) == -1) != in)
                    fail_msg("%s on %d", json, v);
            }
            mote__schema_free(s);
        }
    static const char *const full = "{\"type\":\"integer\"}";
    expect(full, "9223372036854775807", -1);
    expect(full, "9223372036854775808", 18);
    expect(full, "-9223372036854775808", -1);
    expect(full, "-9223372036854775809", 19);
    expect(full, "-0", 1);
    expect("{\"type\":\"integer\",\"minimum\":-9223372036854775808}",
            "-9223372036854775808", -1);
    expect("{\"type\":\"integer\",\"minimum\":9223372036854775807}",
            "9223372036854775807", -1);
    expect("{\"type\":\"integer\",\"minimum\":0.5,\"maximum\":2.5}", "2", -1);
    expect("{\"type\":\"integer\",\"minimum\":0.5,\"maximum\":2.5}", "0", 0);
    expect("{\"type\":\"integer\",\"exclusiveMaximum\":2.5}", "2", -1);
    expect("{\"type\":\"integer\",\"maximum\":1e300}", "5", -1);
}

/* All decimals of up to three digits of fraction, against the bounds themselves. */
static void test_decimals(void **state)
{
    (void)state;
    static const char *const bounds[] = {
            "-2", "-1.5", "-0.001", "0", "0.25", "1", "1.999", "12"};
    enum { N = sizeof bounds / sizeof *bounds };
    for (int i = 0; i < N; i++)
        for (int k = i + 1; k < N; k++)
            for (int open = 0; open < 4; open++) {
                char json[160], text[32];
                snprintf(json, sizeof json, "{\"type\":\"number\",\"%s\":%s,\"%s\":%s}",
                        open & 1 ? "exclusiveMinimum" : "minimum", bounds[i],
                        open & 2 ? "exclusiveMaximum" : "maximum", bounds[k]);
                mote_schema *s = open_schema(json);
                double lo = atof(bounds[i]), hi = atof(bounds[k]);
                for (int v = -13000; v <= 13000; v += 1 + abs(v) / 40) {
                    int whole = abs(v) / 1000, part = abs(v) % 1000;
                    snprintf(text, sizeof text, "%s%d.%03d", v < 0 ? "-" : "", whole,
                            part);
                    double d = atof(text);
                    int in = (open & 1 ? d > lo : d >= lo) &&
                             (open & 2 ? d < hi : d <= hi);
                    if ((taken(s, text) == -1) != in)
                        fail_msg("%s on %s: %d", json, text, taken(s, text));
                }
                mote__schema_free(s);
            }
    expect("{\"type\":\"number\",\"exclusiveMinimum\":0}", "0.000001", -1);
    expect("{\"type\":\"number\",\"exclusiveMinimum\":0}", "0.000000", 7);
    expect("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", "1.0", -1);
    expect("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", "1.1", 2);
    expect("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", "1e0", 1);
}

/* ---- UTF-8 ---- */

static void test_utf8(void **state)
{
    (void)state;
    mote_schema *s = open_schema("{\"type\":\"string\",\"maxLength\":1}");
    for (uint32_t c = 0x80; c < 0x110100; c += c < 0x900 ? 1 : 61) {
        char text[8] = "\"";
        size_t n = 1;
        if (c < 0x800) {
            text[n++] = (char)(0xc0 | c >> 6);
        } else if (c < 0x10000) {
            text[n++] = (char)(0xe0 | c >> 12);
            text[n++] = (char)(0x80 | (c >> 6 & 63));
        } else {
            text[n++] = (char)(0xf0 | c >> 18);
            text[n++] = (char)(0x80 | (c >> 12 & 63));
            text[n++] = (char)(0x80 | (c >> 6 & 63));
        }
        text[n++] = (char)(0x80 | (c & 63));
        text[n] = '"';
        int valid = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
        if ((taken(s, text) == -1) != valid)
            fail_msg("U+%04X", c);
    }
    static const char *const bad[] = {"\"\x80", "\"\xbf", "\"\xc0\x80", "\"\xc1\xbf",
            "\"\xe0\x9f\xbf", "\"\xf0\x8f\xbf\xbf", "\"\xf5", "\"\xff", "\"\xc3\"",
            "\"\xe2\x82\"", "\"\xe2\x28", "\"\x1f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(taken(s, bad[i]) >= 0);
    mote__schema_free(s);
}

/* ---- refusals ---- */

static void refuse_text(
        const char *json, size_t n, mote_status status, const char *word)
{
    mote__schema_vocab v = bytes();
    mote_schema *s = (mote_schema *)&v;
    mote_error err;
    mote_status st = mote__schema_open(&s, &v, NULL, json, n, &err);
    if (st != status || s || !strstr(err.message, word))
        fail_msg("%.100s: status %d, %s", json, st, st < 0 ? err.message : "opened");
    /* The same without a place for the message. */
    assert_int_equal(mote__schema_open(&s, &v, NULL, json, n, NULL), status);
}

static void refuse(const char *json, mote_status status, const char *word)
{
    refuse_text(json, strlen(json), status, word);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const unknown[] = {"pattern", "patternProperties", "not", "if",
            "then", "else", "multipleOf", "uniqueItems", "contains", "propertyNames",
            "minProperties", "maxProperties", "dependentRequired", "dependentSchemas",
            "unevaluatedProperties", "unevaluatedItems", "additionalItems",
            "$dynamicRef", "nullable", "minimun"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        char json[120];
        snprintf(json, sizeof json, "{\"properties\":{\"q\":{\"%s\":true}}}",
                unknown[i]);
        refuse(json, MOTE_E_UNSUPPORTED, unknown[i]);
        refuse(json, MOTE_E_UNSUPPORTED, "#/q");
    }
    refuse("", MOTE_E_FORMAT, "JSON");
    refuse("{", MOTE_E_FORMAT, "JSON");
    refuse("{\"type\":\"null\",\"type\":\"null\"}", MOTE_E_FORMAT, "duplicate");
    refuse("3", MOTE_E_FORMAT, "expected a schema");
    refuse("{\"type\":\"text\"}", MOTE_E_FORMAT, "\"type\"");
    refuse("{\"type\":[]}", MOTE_E_FORMAT, "\"type\"");
    refuse("{\"type\":3}", MOTE_E_FORMAT, "\"type\"");
    refuse("{\"properties\":[]}", MOTE_E_FORMAT, "properties");
    refuse("{\"required\":\"a\"}", MOTE_E_FORMAT, "required");
    refuse("{\"required\":[1]}", MOTE_E_FORMAT, "required");
    refuse("{\"enum\":1}", MOTE_E_FORMAT, "enum");
    refuse("{\"anyOf\":[]}", MOTE_E_FORMAT, "anyOf");
    refuse("{\"anyOf\":{}}", MOTE_E_FORMAT, "anyOf");
    refuse("{\"minLength\":-1}", MOTE_E_FORMAT, "minLength");
    refuse("{\"minLength\":1.5}", MOTE_E_FORMAT, "minLength");
    refuse("{\"minLength\":\"1\"}", MOTE_E_FORMAT, "minLength");
    refuse("{\"minItems\":2000000000}", MOTE_E_UNSUPPORTED, "minItems");
    refuse("{\"minimum\":\"1\"}", MOTE_E_FORMAT, "minimum");
    refuse("{\"exclusiveMinimum\":true}", MOTE_E_FORMAT, "exclusiveMinimum");
    refuse("{\"type\":\"number\",\"minimum\":1e12}", MOTE_E_UNSUPPORTED, "minimum");
    refuse("{\"type\":\"number\",\"maximum\":0.0000001}", MOTE_E_UNSUPPORTED,
            "maximum");
    refuse("{\"allOf\":[{},{}]}", MOTE_E_UNSUPPORTED, "allOf");
    refuse("{\"items\":[{}]}", MOTE_E_UNSUPPORTED, "prefixItems");
    refuse("{\"enum\":[1],\"minimum\":0}", MOTE_E_UNSUPPORTED, "together");
    refuse("{\"anyOf\":[{}],\"enum\":[0]}", MOTE_E_UNSUPPORTED, "together");
    refuse("{\"$ref\":\"http://a/b\"}", MOTE_E_UNSUPPORTED, "$ref");
    refuse("{\"$ref\":\"#anchor\"}", MOTE_E_UNSUPPORTED, "$ref");
    refuse("{\"$ref\":\"#/$defs/none\"}", MOTE_E_FORMAT, "no such part");
    refuse("{\"$ref\":\"#/a/%zz\"}", MOTE_E_FORMAT, "no such part");
    refuse("{\"$ref\":1}", MOTE_E_UNSUPPORTED, "$ref");
    /* no value */
    refuse("false", MOTE_E_FORMAT, "no value");
    refuse("{\"enum\":[]}", MOTE_E_FORMAT, "no value");
    refuse("{\"minLength\":3,\"maxLength\":2}", MOTE_E_FORMAT, "no value");
    refuse("{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", MOTE_E_FORMAT,
            "no value");
    refuse("{\"type\":\"integer\",\"minimum\":1e30}", MOTE_E_FORMAT, "no value");
    refuse("{\"type\":\"string\",\"const\":1}", MOTE_E_FORMAT, "no value");
    refuse("{\"items\":false,\"minItems\":1}", MOTE_E_FORMAT, "no value");
    refuse("{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
            MOTE_E_FORMAT, "no value");
    /* loops without a value between */
    refuse("{\"$ref\":\"#\"}", MOTE_E_FORMAT, "leads back");
    refuse("{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#\"}]}", MOTE_E_FORMAT,
            "leads back");
    /* oneOf where branches may overlap */
    refuse("{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}",
            MOTE_E_UNSUPPORTED, "anyOf");
    refuse("{\"oneOf\":[{\"enum\":[1,2]},{\"enum\":[2.0]}]}", MOTE_E_UNSUPPORTED,
            "anyOf");
    refuse("{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}}},"
           "{\"type\":\"object\",\"properties\":{\"b\":{\"const\":2}}}]}",
            MOTE_E_UNSUPPORTED, "anyOf"); /* {} matches both */
    refuse("{\"oneOf\":[{\"type\":[\"object\",\"null\"],\"properties\":{\"a\":{"
           "\"const\":1}}},"
           "{\"type\":[\"object\",\"null\"],\"properties\":{\"a\":{\"const\":2}}}]}",
            MOTE_E_UNSUPPORTED, "anyOf"); /* null matches both */
    /* A is told from B by the "k" that is added, and B (closed) from A by nothing. */
    refuse("{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":1}}},"
           "{\"type\":\"object\",\"properties\":{\"k\":{\"const\":2}}},"
           "{\"type\":\"object\",\"additionalProperties\":false}]}",
            MOTE_E_UNSUPPORTED, "branches 0 and 2");
    refuse("{\"oneOf\":[{\"type\":\"string\"},{\"required\":[\"a\"]}]}",
            MOTE_E_UNSUPPORTED, "anyOf"); /* "x" matches both: no type is given */
}

/* A vocabulary that cannot spell JSON. */
static const char *poor_token(const void *user, int32_t token, size_t *n)
{
    *n = 1;
    return token == '{' ? NULL : (const char *)user + token;
}

static void test_poor_vocabulary(void **state)
{
    (void)state;
    mote__schema_vocab v = bytes();
    mote_schema *s;
    mote_error err;
    v.token = poor_token;
    v.n_tokens = 256;
    assert_int_equal(
            mote__schema_open(&s, &v, NULL, "true", 4, &err), MOTE_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'{'"));
    v.n_tokens = 0;
    assert_int_equal(
            mote__schema_open(&s, &v, NULL, "true", 4, &err), MOTE_E_UNSUPPORTED);
    v.n_tokens = -1;
    assert_int_equal(mote__schema_open(&s, &v, NULL, "true", 4, &err), MOTE_E_INVALID);
}

/* ---- hostile texts ---- */

static char *repeat(const char *head, const char *piece, size_t n, const char *tail)
{
    size_t k = strlen(piece), h = strlen(head);
    char *text = malloc(h + n * k + strlen(tail) + 1);
    memcpy(text, head, h);
    for (size_t i = 0; i < n; i++)
        memcpy(text + h + i * k, piece, k);
    strcpy(text + h + n * k, tail);
    return text;
}

static void refuse_big(char *text, mote_status status, const char *word)
{
    clock_t t = clock();
    refuse(text, status, word);
    double s = (double)(clock() - t) / CLOCKS_PER_SEC;
    if (s > 20) /* twice opened, sanitizers and busy machines included */
        fail_msg("%.60s took %.1f s", text, s);
    free(text);
}

static void test_hostile(void **state)
{
    (void)state;
    refuse_big(repeat("", "[", 100000, ""), MOTE_E_FORMAT, "JSON");
    refuse_big(repeat("", "{\"items\":", 1000, "true"), MOTE_E_FORMAT, "JSON");
    char *deep = repeat("", "{\"items\":", 200, "true");
    char *closed = repeat(deep, "}", 200, "");
    free(deep);
    refuse_big(closed, MOTE_E_UNSUPPORTED, "nested deeper");
    deep = repeat("{\"const\":", "[", 500, "");
    closed = repeat(deep, "]", 500, "}");
    free(deep);
    refuse_big(closed, MOTE_E_UNSUPPORTED, "nested deeper");
    refuse_big(repeat("{\"minLength\":1", "0", 5000, "}"), MOTE_E_FORMAT, "JSON");
    refuse_big(repeat("{\"minimum\":-1", "0", 5000, "}"), MOTE_E_FORMAT, "JSON");
    refuse_big(repeat("", " ", 2000000, "true"), MOTE_E_UNSUPPORTED, "bytes of text");
    refuse_big(repeat("{\"anyOf\":[true", ",true", 100000, "],\"oops\":1}"),
            MOTE_E_UNSUPPORTED, "oops");
    refuse_big(repeat("{\"prefixItems\":[{}", ",false", 150000, "]}"),
            MOTE_E_UNSUPPORTED, "parts");
    refuse_big(repeat("{\"anyOf\":[{}", ",{\"maxItems\":1}", 300, "]}"),
            MOTE_E_UNSUPPORTED, "alternatives");
    refuse("{\"const\":\"\\u0000\"}", MOTE_E_FORMAT, "JSON");
    refuse_text("\"\xff\"", 3, MOTE_E_FORMAT, "JSON");
    refuse_text("true\0", 5, MOTE_E_FORMAT, "JSON");
}

/* d0 = anyOf of two d1, which is anyOf of two d2 ...: 2^100 paths, 101 nodes. */
static void test_blow_up(void **state)
{
    (void)state;
    size_t cap = 1 << 20, n = 0;
    char *text = malloc(cap);
    n += (size_t)snprintf(text, cap, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(text + n, cap - n,
                "\"d%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/"
                "d%d\"},"
                "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/d%d\"}}]},",
                i, i + 1, i + 1, i / 2);
    snprintf(text + n, cap - n, "\"d100\":{\"const\":1}}}");
    expect(text, "[[1],1]", -1);
    /* A chain of 10000 references. */
    n = (size_t)snprintf(text, cap, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 10000; i++)
        n += (size_t)snprintf(
                text + n, cap - n, "\"d%d\":{\"$ref\":\"#/$defs/d%d\"},", i, i + 1);
    snprintf(text + n, cap - n, "\"d10000\":{\"const\":1}}}");
    expect(text, "1", -1);
    /* A chain of 10000 levels that a value would need. */
    n = (size_t)snprintf(text, cap, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 10000; i++)
        n += (size_t)snprintf(text + n, cap - n,
                "\"d%d\":{\"minItems\":1,\"items\":{\"$ref\":\"#/$defs/d%d\"}},", i,
                i + 1);
    snprintf(text + n, cap - n, "\"d10000\":{\"const\":1}}}");
    refuse(text, MOTE_E_FORMAT, "no value");
    /* Many properties and many enum values. */
    n = (size_t)snprintf(text, cap, "{\"properties\":{\"p\":{\"enum\":[0");
    for (int i = 1; i < 20000; i++)
        n += (size_t)snprintf(text + n, cap - n, ",%d", i);
    n += (size_t)snprintf(text + n, cap - n, "]}");
    for (int i = 0; i < 20000; i++)
        n += (size_t)snprintf(text + n, cap - n, ",\"k%d\":{}", i);
    snprintf(text + n, cap - n, "}}");
    expect(text, "{\"p\":19999,\"k7\":1,\"k19999\":1}", -1);
    expect(text, "{\"p\":20000", 9);
    /* Many readings at once, all alive to the end. */
    n = (size_t)snprintf(text, cap, "{\"anyOf\":[{}");
    for (int i = 0; i < 200; i++)
        n += (size_t)snprintf(text + n, cap - n,
                ",{\"properties\":{\"a\":{\"$ref\":\"#\"},\"k%d\":{\"const\":%d}},"
                "\"required\":[\"k%d\"]}",
                i, i, i);
    snprintf(text + n, cap - n, "]}");
    expect(text, "{\"a\":{\"a\":[{\"k7\":7}],\"x\":1},\"k199\":199}", -1);
    free(text);
}

/* The state is what state_bytes says: no more, no less matters. */
static void test_state(void **state)
{
    (void)state;
    mote_schema *s = open_schema("{\"anyOf\":[{\"type\":\"object\"},{\"properties\":"
                                 "{\"a\":{\"type\":\"integer\"}}}]}");
    size_t n = mote__schema_state_bytes(s);
    mote__schema_state *st = malloc(n), *copy = malloc(n);
    mote__schema_start(s, st);
    const char *text = "{\"a\":12,\"b\":[true]}";
    for (int i = 0; text[i]; i++) {
        memcpy(copy, st, n);
        /* Another way from here, then back. */
        mote__schema_accept(s, copy, '"');
        mote__schema_accept(s, copy, '}');
        memcpy(copy, st, n);
        assert_int_equal(mote__schema_accept(s, copy, text[i]), 1);
        memcpy(st, copy, n);
    }
    assert_int_equal(mote__schema_complete(s, st), 1);
    uint32_t bits[9];
    mote__schema_mask(s, st, bits, 257, EOS);
    for (int i = 0; i < 8; i++)
        assert_int_equal(bits[i], 0); /* complete: only eos */
    assert_int_equal(bits[8], 1);
    mote__schema_mask(s, st, bits, 257, -1);
    assert_int_equal(bits[8], 0);
    assert_int_equal(mote__schema_accept(s, st, -1), 0);
    assert_int_equal(mote__schema_accept(s, st, EOS), 0);
    assert_int_equal(mote__schema_accept(s, st, 100000), 0);
    free(st);
    free(copy);
    mote__schema_free(s);
    mote__schema_free(NULL);
    mote_schema_close(NULL);
    mote_error err;
    mote_schema *none = (mote_schema *)&err;
    assert_int_equal(mote_schema_open(NULL, NULL, NULL, 0, &err), MOTE_E_INVALID);
    assert_int_equal(mote_schema_open(&none, NULL, NULL, 0, &err), MOTE_E_INVALID);
    assert_null(none);
}

/* Tokens of many brackets in a schema that reads each of them in many ways: what a walk
 * over such a token keeps outgrows its room and is packed, or the token is looked at by
 * itself. Bytes one by one, which need no such room, say what is right. */
enum { LONG_TOKENS = 60, LONG_VOCAB = 257 + LONG_TOKENS, LONG_BYTES = 250 };

static char long_tokens[LONG_TOKENS][LONG_BYTES + 1];

static const char *long_token(const void *user, int32_t token, size_t *n)
{
    if (token < 257)
        return byte_token(user, token, n);
    *n = strlen(long_tokens[token - 257]);
    return long_tokens[token - 257];
}

static void make_long_tokens(void)
{
    static const char *const pieces[] = {"[", "[]", "[],", "],", "]", "[[", "[[],",
            "[1],", "[\"a\"],", "{\"a\":[", "]},", ","};
    uint32_t seed = 11;
    for (int i = 0; i < LONG_TOKENS; i++) {
        size_t n = 0, most = i < LONG_TOKENS / 2 ? LONG_BYTES : 12;
        const char *piece = pieces[i % 7];
        for (;;) {
            seed = seed * 1664525 + 1013904223;
            if (i % 3) /* else the same piece again and again */
                piece = pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)];
            if (n + strlen(piece) > most)
                break;
            memcpy(long_tokens[i] + n, piece, strlen(piece) + 1);
            n += strlen(piece);
        }
    }
}

/* Is the text of a token taken byte by byte after `at`? */
static int spelled(const mote_schema *s, const mote__schema_state *at, const char *text)
{
    size_t n = mote__schema_state_bytes(s);
    mote__schema_state *st = malloc(n);
    int ok = 1;
    memcpy(st, at, n);
    for (size_t i = 0; text[i] && ok; i++)
        ok = mote__schema_accept(s, st, (unsigned char)text[i]);
    free(st);
    return ok;
}

static void check_long_tokens(const char *json)
{
    mote__schema_vocab v = bytes();
    v.token = long_token;
    v.n_tokens = LONG_VOCAB;
    mote_schema *s;
    mote_error err;
    if (mote__schema_open(&s, &v, NULL, json, strlen(json), &err) < 0)
        fail_msg("%s", err.message);
    size_t n = mote__schema_state_bytes(s), n_allowed = 0;
    mote__schema_state *st = malloc(n), *copy = malloc(n);
    uint32_t bits[(LONG_VOCAB + 31) / 32], seed = 3;
    for (int round = 0; round < 8; round++) {
        mote__schema_start(s, st);
        for (int step = 0; step < 6; step++) {
            int allowed[LONG_TOKENS], k = 0;
            mote__schema_mask(s, st, bits, LONG_VOCAB, EOS);
            for (int i = 0; i < LONG_TOKENS; i++) {
                int id = 257 + i, may = bits[id / 32] >> (id % 32) & 1;
                memcpy(copy, st, n);
                if (spelled(s, st, long_tokens[i]) != may ||
                        mote__schema_accept(s, copy, id) != may)
                    fail_msg("%s: %s is %sallowed", json, long_tokens[i],
                            may ? "" : "not ");
                if (may)
                    allowed[k++] = id;
            }
            n_allowed += (size_t)k;
            if (k == 0)
                break;
            seed = seed * 1664525 + 1013904223;
            assert_int_equal(
                    mote__schema_accept(s, st, allowed[(seed >> 16) % (uint32_t)k]), 1);
        }
    }
    assert_true(n_allowed > 100);
    free(st);
    free(copy);
    mote__schema_free(s);
}

static void test_long_tokens(void **state)
{
    (void)state;
    make_long_tokens();
    check_long_tokens("{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}");
    check_long_tokens("{\"anyOf\":[{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}},"
                      "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"maxItems\":9},"
                      "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"maxItems\":8},"
                      "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"minItems\":3},"
                      "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#\"}},"
                      "{\"type\":[\"integer\",\"string\"]}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_values),
            cmocka_unit_test(test_nesting),
            cmocka_unit_test(test_integers),
            cmocka_unit_test(test_decimals),
            cmocka_unit_test(test_utf8),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_poor_vocabulary),
            cmocka_unit_test(test_long_tokens),
            cmocka_unit_test(test_hostile),
            cmocka_unit_test(test_blow_up),
            cmocka_unit_test(test_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
