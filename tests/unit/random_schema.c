/* SPDX-License-Identifier: MIT */
#include "random_schema.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static uint64_t seed;
void schema_seed(uint64_t value)
{
    seed = value;
}

uint32_t schema_rnd(uint32_t n)
{
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) % n);
}

static const char *const names[] = {
        "a", "ab", "abc", "name", "kind", "x\"y", "\xc3\xa9", "n\nl", "k", "value"};
enum { N_NAMES = sizeof names / sizeof *names };

static json_t *random_schema(int depth, int n_defs);

static json_t *random_literal(void)
{
    static const char *const texts[] = {"null", "true", "false", "0", "-1", "12", "123",
            "1.5", "-0.25", "1e30", "0.1", "\"\"", "\"a\"", "\"ab\"", "\"a\\\"b\"",
            "\"\\u00e9\\ud83d\\ude00\"", "[]", "[1,2]", "{}", "{\"a\":[null]}",
            "9223372036854775807"};
    const char *t = texts[schema_rnd(sizeof texts / sizeof *texts)];
    return json_loads(t, JSON_DECODE_ANY, NULL);
}

static void set(json_t *o, const char *key, json_t *v)
{
    assert_int_equal(json_object_set_new(o, key, v), 0);
}

static json_t *random_object(int depth, int n_defs)
{
    json_t *o = json_object(), *props = json_object(), *required = json_array();
    set(o, "type", json_string("object"));
    uint32_t n = schema_rnd(5);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = names[schema_rnd(N_NAMES)];
        if (json_object_get(props, name))
            continue;
        set(props, name, random_schema(depth - 1, n_defs));
        if (schema_rnd(2))
            json_array_append_new(required, json_string(name));
    }
    if (schema_rnd(8) == 0)
        json_array_append_new(required, json_string("other"));
    if (n || schema_rnd(2))
        set(o, "properties", props);
    else
        json_decref(props);
    if (json_array_size(required) || schema_rnd(2))
        set(o, "required", required);
    else
        json_decref(required);
    switch (schema_rnd(4)) {
    case 0:
        set(o, "additionalProperties", random_schema(depth - 1, n_defs));
        break;
    case 1:
        if (!json_array_size(required) || schema_rnd(4))
            set(o, "additionalProperties", json_boolean(schema_rnd(3) == 0));
        break;
    default:
        break;
    }
    return o;
}

static json_t *random_array(int depth, int n_defs)
{
    json_t *o = json_object();
    set(o, "type", json_string("array"));
    if (schema_rnd(3) == 0) {
        json_t *prefix = json_array();
        for (uint32_t i = schema_rnd(3) + 1; i > 0; i--)
            json_array_append_new(prefix, random_schema(depth - 1, n_defs));
        set(o, "prefixItems", prefix);
    }
    if (schema_rnd(3))
        set(o, "items",
                schema_rnd(10) ? random_schema(depth - 1, n_defs) : json_boolean(0));
    uint32_t min = schema_rnd(3);
    if (schema_rnd(2))
        set(o, "minItems", json_integer(min));
    else
        min = 0;
    if (schema_rnd(2))
        set(o, "maxItems", json_integer(min + schema_rnd(4)));
    return o;
}

static json_t *random_number(int whole)
{
    static const int64_t limits[] = {0, 1, -1, 9, 10, -10, 99, 100, 12345, -987654,
            INT64_MAX, INT64_MIN, INT64_MAX - 5, INT64_MIN + 7, 1000000000};
    json_t *o = json_object();
    set(o, "type", json_string(whole ? "integer" : "number"));
    if (whole) {
        int64_t a = limits[schema_rnd(15)], b = limits[schema_rnd(15)];
        int64_t lo = a < b ? a : b, hi = a < b ? b : a;
        if (schema_rnd(2))
            set(o, schema_rnd(4) ? "minimum" : "exclusiveMinimum", json_integer(lo));
        if (schema_rnd(2))
            set(o, schema_rnd(4) ? "maximum" : "exclusiveMaximum", json_integer(hi));
    } else if (schema_rnd(2)) {
        static const double points[] = {
                0, 1, 0.5, -0.125, 3.25, 0.000001, 1e6, -17, 99.9};
        double a = points[schema_rnd(9)], b = points[schema_rnd(9)];
        set(o, schema_rnd(3) ? "minimum" : "exclusiveMinimum",
                json_real(a < b ? a : b));
        if (schema_rnd(2))
            set(o, schema_rnd(3) ? "maximum" : "exclusiveMaximum",
                    json_real(a < b ? b : a));
    }
    return o;
}

/* Branches with another "kind" each: exclusive. */
static json_t *random_one_of(int depth, int n_defs)
{
    json_t *list = json_array(), *o = json_object();
    for (uint32_t i = 0, n = schema_rnd(3) + 1; i < n; i++) {
        char kind[2] = {(char)('a' + i), 0};
        json_t *b = random_object(depth, n_defs), *kinds = json_object();
        json_t *props = json_object_get(b, "properties");
        if (!props) {
            props = json_object();
            set(b, "properties", props);
        }
        set(kinds, "const", json_string(kind));
        set(props, "kind", kinds);
        if (schema_rnd(2))
            set(b, "required", json_pack("[s]", "kind"));
        else
            json_object_del(b, "required");
        json_array_append_new(list, b);
    }
    if (schema_rnd(2))
        json_array_append_new(list, json_pack("{s:s}", "type", "null"));
    set(o, "oneOf", list);
    return o;
}

static json_t *random_schema(int depth, int n_defs)
{
    json_t *o, *list;
    switch (depth <= 0 ? schema_rnd(8) : schema_rnd(16)) {
    case 0:
        return json_pack("{s:s}", "type", schema_rnd(2) ? "boolean" : "null");
    case 1:
    case 2:
        o = json_pack("{s:s}", "type", "string");
        uint32_t min = schema_rnd(4);
        if (schema_rnd(2))
            set(o, "minLength", json_integer(min));
        if (schema_rnd(3))
            set(o, "maxLength", json_integer(min + schema_rnd(12)));
        if (schema_rnd(4) == 0)
            set(o, "format", json_string("date-time"));
        return o;
    case 3:
        return random_number(1);
    case 4:
        return random_number(0);
    case 5:
        list = json_array();
        for (uint32_t i = schema_rnd(5) + 1; i > 0; i--)
            json_array_append_new(list, random_literal());
        return json_pack("{s:o}", "enum", list);
    case 6:
        return json_pack("{s:o}", "const", random_literal());
    case 7:
        if (!n_defs)
            return json_true();
        char ref[40];
        snprintf(ref, sizeof ref, "#/$defs/d%u", schema_rnd((uint32_t)n_defs));
        return json_pack("{s:s}", "$ref", ref);
    case 8:
    case 9:
    case 10:
        return random_object(depth, n_defs);
    case 11:
    case 12:
        return random_array(depth, n_defs);
    case 13:
        list = json_array();
        for (uint32_t i = schema_rnd(4) + 1; i > 0; i--)
            json_array_append_new(list, random_schema(depth - 1, n_defs));
        return json_pack("{s:o}",
                schema_rnd(5) || json_array_size(list) > 1 ? "anyOf" : "allOf", list);
    case 14:
        return random_one_of(depth, n_defs);
    default:
        return json_pack("{s:[s,s],s:i}", "type", schema_rnd(2) ? "integer" : "null",
                schema_rnd(2) ? "string" : "number", "maxLength", (int)schema_rnd(5));
    }
}

json_t *schema_random(void)
{
    int n_defs = (int)schema_rnd(3);
    json_t *root = random_schema(4, n_defs);
    if (!n_defs || !json_is_object(root))
        return root;
    json_t *defs = json_object();
    for (int i = 0; i < n_defs; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        set(defs, name, random_schema(2, n_defs));
    }
    set(root, "$defs", defs);
    return root;
}
