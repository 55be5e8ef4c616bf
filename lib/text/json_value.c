/* SPDX-License-Identifier: MIT */
#include "json_value.h"
#include "base/memory.h"
#include "base/status.h"

#include <stdlib.h>
#include <string.h>

/* Values come from blocks that double in size: few allocations, freed together. The
 * first block also holds a copy of the text, in which strings are decoded in place (a
 * decoded string is never longer than what it was written as). */
typedef struct block {
    struct block *next;
    size_t used, capacity; /* values */
    mote__json values[];
} block;

typedef struct parser {
    mote__json_doc *doc;
    char *text, *at, *end;
    const char *what;
    mote_error *err;
    mote__json **sorted; /* scratch for duplicate keys */
    size_t sorted_capacity;
} parser;

static mote_status bad(parser *p, const char *expected)
{
    return mote__fail(p->err, MOTE_E_FORMAT, "%s: not JSON at byte %zu: expected %s",
            p->what, (size_t)(p->at - p->text), expected);
}

static mote__json *new_value(parser *p)
{
    block *b = p->doc->blocks;
    if (b->used == b->capacity) {
        size_t n = b->capacity < 65536 ? b->capacity * 2 : b->capacity;
        block *more = malloc(sizeof *more + n * sizeof more->values[0]);
        if (!more) {
            mote__fail_memory(p->err, n * sizeof more->values[0], p->what);
            return NULL;
        }
        *more = (block){.next = b, .capacity = n};
        p->doc->blocks = b = more;
    }
    mote__json *v = &b->values[b->used++];
    *v = (mote__json){0};
    return v;
}

static void skip_space(parser *p)
{
    while (p->at < p->end &&
            (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

static int hex4(const char *s, const char *end, uint32_t *value)
{
    if (end - s < 4)
        return -1;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        uint32_t d;
        if (c >= '0' && c <= '9')
            d = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            d = (uint32_t)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            d = (uint32_t)(c - 'A') + 10;
        else
            return -1;
        *value = *value << 4 | d;
    }
    return 0;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

/* Length of the well-formed UTF-8 sequence at s (Unicode table 3-7), 0 when there is
 * none. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    unsigned char a = s[0], low = 0x80, high = 0xbf;
    size_t length;
    if (a < 0x80)
        return 1;
    if (a >= 0xc2 && a <= 0xdf)
        length = 2;
    else if (a >= 0xe0 && a <= 0xef)
        length = 3;
    else if (a >= 0xf0 && a <= 0xf4)
        length = 4;
    else
        return 0;
    if (a == 0xe0)
        low = 0xa0;
    if (a == 0xed)
        high = 0x9f;
    if (a == 0xf0)
        low = 0x90;
    if (a == 0xf4)
        high = 0x8f;
    if (n < length || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* The escape at p->at (after the backslash), decoded to *out. */
static mote_status parse_escape(parser *p, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p->at == p->end)
        return bad(p, "the rest of an escape");
    const char *found = *p->at ? strchr(from, *p->at) : NULL;
    if (found) {
        *(*out)++ = to[found - from];
        p->at++;
        return MOTE_OK;
    }
    uint32_t c, low;
    if (*p->at != 'u' || hex4(p->at + 1, p->end, &c) < 0)
        return bad(p, "an escape such as \\n or \\u00e9");
    if (c >= 0xdc00 && c <= 0xdfff)
        return bad(p, "a high surrogate before this low one");
    if (c >= 0xd800 && c <= 0xdbff) {
        if (p->end - p->at < 11 || p->at[5] != '\\' || p->at[6] != 'u' ||
                hex4(p->at + 7, p->end, &low) < 0 || low < 0xdc00 || low > 0xdfff)
            return bad(p, "a low surrogate after this high one");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p->at += 6;
    }
    p->at += 5;
    *out = put_utf8(*out, c);
    return MOTE_OK;
}

/* A string whose opening quote is at p->at. */
static mote_status parse_string(parser *p, const char **text, size_t *n)
{
    mote_status st;
    char *begin = ++p->at, *out = begin;
    for (;;) {
        if (p->at == p->end)
            return bad(p, "the end of a string");
        unsigned char c = (unsigned char)*p->at;
        if (c == '"')
            break;
        if (c < 0x20)
            return bad(p, "control characters in strings to be escaped");
        if (c == '\\') {
            p->at++;
            if ((st = parse_escape(p, &out)) < 0)
                return st;
            continue;
        }
        size_t length =
                utf8_length((const unsigned char *)p->at, (size_t)(p->end - p->at));
        if (!length)
            return bad(p, "well-formed UTF-8");
        memmove(out, p->at, length);
        out += length;
        p->at += length;
    }
    p->at++;
    *text = begin;
    *n = (size_t)(out - begin);
    return MOTE_OK;
}

static int digits(parser *p)
{
    char *begin = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return p->at > begin;
}

static mote_status parse_number(parser *p, mote__json *v)
{
    char *begin = p->at;
    if (*p->at == '-')
        p->at++;
    if (p->at < p->end && *p->at == '0')
        p->at++;
    else if (!digits(p))
        return bad(p, "a value");
    if (p->at < p->end && *p->at == '.') {
        p->at++;
        if (!digits(p))
            return bad(p, "digits after the decimal point");
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
            p->at++;
        if (!digits(p))
            return bad(p, "digits of an exponent");
    }
    v->type = MOTE__JSON_NUMBER;
    v->text = begin;
    v->n = (size_t)(p->at - begin);
    return MOTE_OK;
}

static int compare_keys(const mote__json *a, const mote__json *b)
{
    size_t n = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
    int c = memcmp(a->key, b->key, n);
    return c ? c : (a->key_bytes > b->key_bytes) - (a->key_bytes < b->key_bytes);
}

/* Stable, so that values of one key stay in the order they were given. */
static void merge_sort(mote__json **v, mote__json **scratch, size_t n)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t i = 0; i < n; i += 2 * width) {
            size_t middle = i + width < n ? i + width : n;
            size_t end = i + 2 * width < n ? i + 2 * width : n;
            size_t a = i, b = middle;
            for (size_t k = i; k < end; k++)
                scratch[k] = b == end || (a < middle && compare_keys(v[a], v[b]) <= 0)
                                     ? v[a++]
                                     : v[b++];
        }
        memcpy(v, scratch, n * sizeof *v);
    }
}

/* Make the last value of a repeated key take the place of the first. */
static mote_status drop_duplicates(parser *p, mote__json *object)
{
    size_t n = object->n, kept = 0;
    if (n < 2)
        return MOTE_OK;
    if (mote__grow((void **)&p->sorted, &p->sorted_capacity, mote__mul(n, 2),
                sizeof *p->sorted) < 0)
        return mote__fail_memory(p->err, n * sizeof *p->sorted, p->what);
    mote__json *v = (mote__json *)object->first;
    for (size_t i = 0; i < n; i++, v = (mote__json *)v->next)
        p->sorted[i] = v;
    merge_sort(p->sorted, p->sorted + n, n);
    int found = 0;
    for (size_t i = 0, end; i < n; i = end) {
        mote__json *first = p->sorted[i], *last;
        for (end = i + 1; end < n && compare_keys(first, p->sorted[end]) == 0; end++)
            found = 1;
        if ((last = p->sorted[end - 1]) != first) {
            first->type = last->type;
            first->text = last->text;
            first->n = last->n;
            first->first = last->first;
            for (size_t k = i + 1; k < end; k++)
                p->sorted[k]->key = NULL;
        }
    }
    if (!found)
        return MOTE_OK;
    const mote__json **link = &object->first;
    for (v = (mote__json *)object->first; v; v = (mote__json *)v->next)
        if (v->key) {
            *link = v;
            link = &v->next;
            kept++;
        }
    *link = NULL;
    object->n = kept;
    return MOTE_OK;
}

static mote_status parse_value(parser *p, mote__json *v, int depth);

static mote_status parse_items(parser *p, mote__json *v, int depth, char close)
{
    mote_status st;
    const mote__json **link = &v->first;
    if (depth >= MOTE__JSON_DEPTH)
        return mote__fail(p->err, MOTE_E_FORMAT,
                "%s: nested deeper than %d levels at byte %zu", p->what,
                MOTE__JSON_DEPTH, (size_t)(p->at - p->text));
    p->at++;
    skip_space(p);
    if (p->at < p->end && *p->at == close) {
        p->at++;
        return MOTE_OK;
    }
    for (;;) {
        mote__json *item = new_value(p);
        if (!item)
            return MOTE_E_MEMORY;
        if (close == '}') {
            size_t n;
            skip_space(p);
            if (p->at == p->end || *p->at != '"')
                return bad(p, "a member name in quotes");
            if ((st = parse_string(p, &item->key, &n)) < 0)
                return st;
            if (n > UINT32_MAX)
                return bad(p, "a shorter name");
            item->key_bytes = (uint32_t)n;
            skip_space(p);
            if (p->at == p->end || *p->at != ':')
                return bad(p, "':'");
            p->at++;
        }
        if ((st = parse_value(p, item, depth + 1)) < 0)
            return st;
        *link = item;
        link = &item->next;
        v->n++;
        skip_space(p);
        if (p->at == p->end || (*p->at != ',' && *p->at != close))
            return bad(p, close == '}' ? "',' or '}'" : "',' or ']'");
        if (*p->at++ == close)
            break;
    }
    return close == '}' ? drop_duplicates(p, v) : MOTE_OK;
}

static mote_status parse_value(parser *p, mote__json *v, int depth)
{
    static const struct {
        const char *text;
        uint32_t n, type;
    } words[] = {{"null", 4, MOTE__JSON_NULL}, {"true", 4, MOTE__JSON_TRUE},
            {"false", 5, MOTE__JSON_FALSE}};
    skip_space(p);
    if (p->at == p->end)
        return bad(p, "a value");
    switch (*p->at) {
    case '{':
        v->type = MOTE__JSON_OBJECT;
        return parse_items(p, v, depth, '}');
    case '[':
        v->type = MOTE__JSON_ARRAY;
        return parse_items(p, v, depth, ']');
    case '"':
        v->type = MOTE__JSON_STRING;
        return parse_string(p, &v->text, &v->n);
    default:
        break;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((size_t)(p->end - p->at) >= words[i].n &&
                memcmp(p->at, words[i].text, words[i].n) == 0) {
            v->type = words[i].type;
            p->at += words[i].n;
            return MOTE_OK;
        }
    return parse_number(p, v);
}

mote_status mote__json_read(mote__json_doc *doc, const char *text, size_t n,
        const char *what, mote_error *err)
{
    enum { FIRST = 64 };
    mote_status st;
    parser p = {.doc = doc, .what = what, .err = err};
    *doc = (mote__json_doc){0};
    if (!text && n)
        return mote__fail(err, MOTE_E_INVALID, "%s: NULL with %zu bytes", what, n);
    size_t values = FIRST * sizeof(mote__json);
    block *b = n < SIZE_MAX / 2 ? malloc(sizeof *b + values + n) : NULL;
    if (!b)
        return mote__fail_memory(err, n, what);
    *b = (block){.capacity = FIRST};
    doc->blocks = b;
    p.text = p.at = (char *)b + sizeof *b + values;
    p.end = p.text + n;
    if (n)
        memcpy(p.text, text, n);
    mote__json *root = new_value(&p);
    if ((st = parse_value(&p, root, 0)) < 0)
        goto out;
    skip_space(&p);
    if (p.at != p.end)
        st = bad(&p, "nothing more");
    doc->root = root;
out:
    free(p.sorted);
    if (st < 0)
        mote__json_free(doc);
    return st;
}

void mote__json_free(mote__json_doc *doc)
{
    for (block *b = doc->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *doc = (mote__json_doc){0};
}

const mote__json *mote__json_get(const mote__json *value, const char *key)
{
    if (!value || value->type != MOTE__JSON_OBJECT)
        return NULL;
    size_t n = strlen(key);
    for (const mote__json *v = value->first; v; v = v->next)
        if (v->key_bytes == n && memcmp(v->key, key, n) == 0)
            return v;
    return NULL;
}

int mote__json_equals(const mote__json *value, const char *text)
{
    return value && value->type == MOTE__JSON_STRING && value->n == strlen(text) &&
           memcmp(value->text, text, value->n) == 0;
}

int mote__json_truth(const mote__json *value)
{
    if (!value)
        return 0;
    switch (value->type) {
    case MOTE__JSON_TRUE:
        return 1;
    case MOTE__JSON_NUMBER:
        for (size_t i = 0; i < value->n; i++) {
            char c = value->text[i];
            if (c >= '1' && c <= '9')
                return 1;
            if (c == 'e' || c == 'E')
                break;
        }
        return 0;
    case MOTE__JSON_STRING:
    case MOTE__JSON_ARRAY:
    case MOTE__JSON_OBJECT:
        return value->n > 0;
    default:
        return 0;
    }
}
