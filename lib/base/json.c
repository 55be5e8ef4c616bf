/* SPDX-License-Identifier: MIT */
#include "base/json.h"
#include "base/memory.h"
#include "base/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Depth and number of values, without judging the grammar: that is the parser's work.
 * The parser is recursive, and an empty array costs it some forty times its three
 * bytes, so neither is left to the author of the file. */
static mote_status scan(uint32_t *n_out, const char *text, size_t size,
        const char *where, mote_error *err)
{
    uint32_t depth = 0, n_values = 1;
    int in_string = 0;
    for (size_t i = 0; i < size; i++) {
        char ch = text[i];
        if (in_string) {
            if (ch == '\\')
                i++;
            else if (ch == '"')
                in_string = 0;
            continue;
        }
        switch (ch) {
        case '"':
            in_string = 1;
            break;
        case '[':
        case '{':
            n_values++;
            if (++depth > MOTE__JSON_DEPTH_MAX)
                return mote__fail(err, MOTE_E_FORMAT,
                        "%s: JSON nested deeper than %u levels at byte %zu", where,
                        MOTE__JSON_DEPTH_MAX, i);
            break;
        case ']':
        case '}':
            if (depth)
                depth--;
            break;
        case ',':
            n_values++;
            break;
        default:
            break;
        }
        if (n_values > MOTE__JSON_VALUES_MAX)
            return mote__fail(err, MOTE_E_FORMAT, "%s: more than %u JSON values", where,
                    MOTE__JSON_VALUES_MAX);
    }
    *n_out = n_values;
    return MOTE_OK;
}

/* The parser crashes, or drops letters of a string without a word, when memory runs out
 * below it (jansson 2.14). So ask for as much as it can need, generously, and give that
 * back before it starts. */
static mote_status probe_memory(
        size_t size, uint32_t n_values, const char *where, mote_error *err)
{
    size_t need = mote__mul(n_values, 256);
    if (need > SIZE_MAX / 2 - 4 * size)
        return mote__fail_memory(err, need, where);
    need += 4 * size + 65536;
    char *volatile p = malloc(need); /* volatile: the pair is not optimised away */
    if (!p)
        return mote__fail_memory(err, need, where);
    free(p);
    return MOTE_OK;
}

mote_status mote__json_parse(
        json_t **out, const char *text, size_t size, const char *where, mote_error *err)
{
    *out = NULL;
    if (size > MOTE__JSON_BYTES_MAX)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: %zu bytes of JSON, at most %zu allowed", where, size,
                MOTE__JSON_BYTES_MAX);
    uint32_t n_values = 0;
    mote_status st = scan(&n_values, text, size, where, err);
    if (st < 0 || (st = probe_memory(size, n_values, where, err)) < 0)
        return st;
    json_error_t je;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &je);
    if (*out)
        return MOTE_OK;
    /* Where an allocation fails the parser stops without a word. */
    if (!je.text[0] || json_error_code(&je) == json_error_out_of_memory)
        return mote__fail_memory(err, size, where);
    return mote__fail(err, MOTE_E_FORMAT, "%s: not valid JSON at line %d column %d: %s",
            where, je.line, je.column, je.text);
}

const char *mote__json_found(mote__json_text *t, const json_t *value)
{
    if (!value) {
        snprintf(t->s, sizeof t->s, "nothing");
        return t->s;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        snprintf(t->s, sizeof t->s, "an object of %zu", json_object_size(value));
        break;
    case JSON_ARRAY:
        snprintf(t->s, sizeof t->s, "an array of %zu", json_array_size(value));
        break;
    case JSON_STRING:
        if (json_string_length(value) > 48)
            snprintf(t->s, sizeof t->s, "a string of %zu bytes",
                    json_string_length(value));
        else
            snprintf(t->s, sizeof t->s, "\"%s\"", json_string_value(value));
        break;
    case JSON_INTEGER:
        snprintf(t->s, sizeof t->s, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(t->s, sizeof t->s, "%g", json_real_value(value));
        break;
    case JSON_TRUE:
        snprintf(t->s, sizeof t->s, "true");
        break;
    case JSON_FALSE:
        snprintf(t->s, sizeof t->s, "false");
        break;
    case JSON_NULL:
    default:
        snprintf(t->s, sizeof t->s, "null");
        break;
    }
    return t->s;
}

mote_status mote__json_wrong(const char *where, const char *field, const char *expected,
        const json_t *value, mote_error *err)
{
    mote__json_text found;
    return mote__fail(err, MOTE_E_FORMAT, "%s: %s: expected %s, found %s", where, field,
            expected, mote__json_found(&found, value));
}

const json_t *mote__json_member(const json_t *object, const char *field)
{
    const json_t *v = json_object_get(object, field);
    return v && !json_is_null(v) ? v : NULL;
}

mote_status mote__json_int(int64_t *out, const json_t *object, const char *where,
        const char *field, int64_t lo, int64_t hi, int64_t absent, mote_error *err)
{
    const json_t *v = mote__json_member(object, field);
    if (!v) {
        *out = absent;
        return MOTE_OK;
    }
    if (json_is_integer(v) && json_integer_value(v) >= lo &&
            json_integer_value(v) <= hi) {
        *out = json_integer_value(v);
        return MOTE_OK;
    }
    char expected[80];
    snprintf(expected, sizeof expected, "an integer from %" PRId64 " to %" PRId64, lo,
            hi);
    return mote__json_wrong(where, field, expected, v, err);
}

mote_status mote__json_double(double *out, const json_t *object, const char *where,
        const char *field, double lo, double hi, double absent, mote_error *err)
{
    const json_t *v = mote__json_member(object, field);
    if (!v) {
        *out = absent;
        return MOTE_OK;
    }
    /* Comparisons are false for NaN, which JSON cannot spell anyway. */
    if (json_is_number(v) && json_number_value(v) >= lo && json_number_value(v) <= hi) {
        *out = json_number_value(v);
        return MOTE_OK;
    }
    char expected[80];
    snprintf(expected, sizeof expected, "a number from %g to %g", lo, hi);
    return mote__json_wrong(where, field, expected, v, err);
}

mote_status mote__json_bool(uint32_t *out, const json_t *object, const char *where,
        const char *field, uint32_t absent, mote_error *err)
{
    const json_t *v = mote__json_member(object, field);
    if (v && !json_is_boolean(v))
        return mote__json_wrong(where, field, "true or false", v, err);
    *out = v ? (uint32_t)json_is_true(v) : absent;
    return MOTE_OK;
}

mote_status mote__json_string(const char **out, const json_t *object, const char *where,
        const char *field, const char *absent, mote_error *err)
{
    const json_t *v = mote__json_member(object, field);
    if (v && !json_is_string(v))
        return mote__json_wrong(where, field, "a string", v, err);
    *out = v ? json_string_value(v) : absent;
    return MOTE_OK;
}

mote_status mote__json_object(const json_t **out, const json_t *object,
        const char *where, const char *field, mote_error *err)
{
    const json_t *v = mote__json_member(object, field);
    *out = NULL;
    if (v && !json_is_object(v))
        return mote__json_wrong(where, field, "an object", v, err);
    *out = v;
    return MOTE_OK;
}
