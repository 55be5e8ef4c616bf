/* SPDX-License-Identifier: MIT */
#include "schema_validator.h"

#include <math.h>
#include <string.h>

static int equal(json_t *a, json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) {
        if (json_is_integer(a) && json_is_integer(b))
            return json_integer_value(a) == json_integer_value(b);
        return json_number_value(a) == json_number_value(b);
    }
    if (json_typeof(a) != json_typeof(b))
        return 0;
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b))
            return 0;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!equal(json_array_get(a, i), json_array_get(b, i)))
                return 0;
        return 1;
    }
    if (json_is_object(a)) {
        const char *k;
        json_t *v;
        if (json_object_size(a) != json_object_size(b))
            return 0;
        json_object_foreach(a, k, v)
        {
            json_t *w = json_object_get(b, k);
            if (!w || !equal(v, w))
                return 0;
        }
        return 1;
    }
    return json_equal(a, b);
}

static int has_type(const char *type, json_t *v)
{
    if (!strcmp(type, "null"))
        return json_is_null(v);
    if (!strcmp(type, "boolean"))
        return json_is_boolean(v);
    if (!strcmp(type, "object"))
        return json_is_object(v);
    if (!strcmp(type, "array"))
        return json_is_array(v);
    if (!strcmp(type, "string"))
        return json_is_string(v);
    if (!strcmp(type, "number"))
        return json_is_number(v);
    if (!strcmp(type, "integer"))
        return json_is_integer(v) ||
               (json_is_real(v) && floor(json_real_value(v)) == json_real_value(v));
    return -1;
}

static size_t code_points(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* a <= b, exact where both are integers. */
static int at_most(json_t *a, json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) <= json_integer_value(b);
    return json_number_value(a) <= json_number_value(b);
}

static int count_matches(json_t *root, json_t *list, json_t *v)
{
    int n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        int r = schema_valid(root, json_array_get(list, i), v);
        if (r < 0)
            return r;
        n += r;
    }
    return n;
}

static int check_object(json_t *root, json_t *schema, json_t *v)
{
    json_t *props = json_object_get(schema, "properties"), *sub;
    json_t *extra = json_object_get(schema, "additionalProperties");
    json_t *required = json_object_get(schema, "required");
    const char *k;
    for (size_t i = 0; i < json_array_size(required); i++)
        if (!json_object_get(v, json_string_value(json_array_get(required, i))))
            return 0;
    json_object_foreach(v, k, sub)
    {
        json_t *s = json_object_get(props, k);
        int r = s       ? schema_valid(root, s, sub)
                : extra ? schema_valid(root, extra, sub)
                        : 1;
        if (r != 1)
            return r;
    }
    return 1;
}

static int check_array(json_t *root, json_t *schema, json_t *v)
{
    json_t *prefix = json_object_get(schema, "prefixItems");
    json_t *items = json_object_get(schema, "items");
    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *s = i < json_array_size(prefix) ? json_array_get(prefix, i) : items;
        int r = s ? schema_valid(root, s, json_array_get(v, i)) : 1;
        if (r != 1)
            return r;
    }
    return 1;
}

/* One keyword. */
static int check(json_t *root, json_t *schema, const char *key, json_t *arg, json_t *v)
{
    static const char *const elsewhere[] = {"properties", "required",
            "additionalProperties", "items", "prefixItems", "title", "description",
            "default", "format", "$defs", "definitions", "$schema", "examples"};
    (void)schema;
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (!strcmp(key, elsewhere[i]))
            return 1;
    if (!strcmp(key, "type")) {
        if (json_is_string(arg))
            return has_type(json_string_value(arg), v);
        for (size_t i = 0; i < json_array_size(arg); i++)
            if (has_type(json_string_value(json_array_get(arg, i)), v) == 1)
                return 1;
        return 0;
    }
    if (!strcmp(key, "const"))
        return equal(arg, v);
    if (!strcmp(key, "enum")) {
        for (size_t i = 0; i < json_array_size(arg); i++)
            if (equal(json_array_get(arg, i), v))
                return 1;
        return 0;
    }
    if (!strcmp(key, "anyOf") || !strcmp(key, "oneOf") || !strcmp(key, "allOf")) {
        int n = count_matches(root, arg, v);
        if (n < 0)
            return n;
        if (key[1] == 'l')
            return n == (int)json_array_size(arg);
        return key[0] == 'o' ? n == 1 : n > 0;
    }
    if (!strcmp(key, "$ref")) {
        const char *p = json_string_value(arg);
        if (!strcmp(p, "#"))
            return schema_valid(root, root, v);
        if (!strncmp(p, "#/$defs/", 8))
            return schema_valid(
                    root, json_object_get(json_object_get(root, "$defs"), p + 8), v);
        return -1;
    }
    if (!strcmp(key, "minLength"))
        return !json_is_string(v) ||
               code_points(json_string_value(v)) >= (size_t)json_integer_value(arg);
    if (!strcmp(key, "maxLength"))
        return !json_is_string(v) ||
               code_points(json_string_value(v)) <= (size_t)json_integer_value(arg);
    if (!strcmp(key, "minItems"))
        return !json_is_array(v) ||
               json_array_size(v) >= (size_t)json_integer_value(arg);
    if (!strcmp(key, "maxItems"))
        return !json_is_array(v) ||
               json_array_size(v) <= (size_t)json_integer_value(arg);
    if (!strcmp(key, "minimum"))
        return !json_is_number(v) || at_most(arg, v);
    if (!strcmp(key, "maximum"))
        return !json_is_number(v) || at_most(v, arg);
    if (!strcmp(key, "exclusiveMinimum"))
        return !json_is_number(v) || !at_most(v, arg);
    if (!strcmp(key, "exclusiveMaximum"))
        return !json_is_number(v) || !at_most(arg, v);
    return -1;
}

int schema_valid(json_t *root, json_t *schema, json_t *v)
{
    const char *key;
    json_t *arg;
    if (json_is_boolean(schema))
        return json_is_true(schema);
    if (!json_is_object(schema))
        return -1;
    json_object_foreach(schema, key, arg)
    {
        int r = check(root, schema, key, arg, v);
        if (r != 1)
            return r;
    }
    if (json_is_object(v))
        return check_object(root, schema, v);
    return json_is_array(v) ? check_array(root, schema, v) : 1;
}
