/* SPDX-License-Identifier: MIT */
#include "json_in.h"
#include <stdint.h>
#include <string.h>

#define DEPTH_MAX 64

typedef struct reader {
    const char *at, *end;
    cli_buffer scratch; /* the string read last */
    const char *wrong;  /* what was expected */
} reader;

static void skip_blanks(reader *r)
{
    while (r->at < r->end && memchr(" \t\r\n", *r->at, 4))
        r->at++;
}

static int fail(reader *r, const char *wrong)
{
    if (!r->wrong)
        r->wrong = wrong;
    return -1;
}

static int take(reader *r, char c, const char *wrong)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c)
        return fail(r, wrong);
    r->at++;
    return 0;
}

static int peek(reader *r)
{
    skip_blanks(r);
    return r->at < r->end ? (unsigned char)*r->at : -1;
}

static int read_hex4(reader *r, uint32_t *out)
{
    uint32_t value = 0;
    if (r->end - r->at < 4)
        return fail(r, "four hexadecimal digits after \\u");
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef";
        const char c = *r->at++;
        const char lower = c >= 'A' && c <= 'F' ? (char)(c + 32) : c;
        const char *digit = lower ? strchr(digits, lower) : NULL;
        if (!digit)
            return fail(r, "four hexadecimal digits after \\u");
        value = value * 16 + (uint32_t)(digit - digits);
    }
    *out = value;
    return 0;
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : (c < 0x10000 ? 3 : 4);
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}

static int read_escape(reader *r)
{
    static const char letters[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    char bytes[4];
    size_t n = 1;
    if (r->at == r->end)
        return fail(r, "a closed string");
    const char c = *r->at++;
    const char *letter = c ? strchr(letters, c) : NULL;
    if (letter) {
        bytes[0] = plain[letter - letters];
    } else if (c == 'u') {
        uint32_t unit, low;
        if (read_hex4(r, &unit))
            return -1;
        if (unit >= 0xd800 && unit < 0xe000) {
            if (unit >= 0xdc00 || r->end - r->at < 2 || memcmp(r->at, "\\u", 2))
                return fail(r, "surrogates in pairs");
            r->at += 2;
            if (read_hex4(r, &low))
                return -1;
            if (low < 0xdc00 || low >= 0xe000)
                return fail(r, "surrogates in pairs");
            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
        n = put_utf8(unit, bytes);
    } else {
        return fail(r, "an escape that JSON knows");
    }
    return cli_append(&r->scratch, bytes, n) ? fail(r, "enough memory") : 0;
}

/* A string into scratch. */
static int read_string(reader *r)
{
    r->scratch.n = 0;
    if (take(r, '"', "a string"))
        return -1;
    for (;;) {
        const char *begin = r->at;
        while (r->at < r->end && *r->at != '"' && *r->at != '\\' &&
                (unsigned char)*r->at >= 0x20)
            r->at++;
        if (cli_append(&r->scratch, begin, (size_t)(r->at - begin)))
            return fail(r, "enough memory");
        if (r->at == r->end || (unsigned char)*r->at < 0x20)
            return fail(r, "a closed string");
        if (*r->at++ == '"')
            return 0;
        if (read_escape(r))
            return -1;
    }
}

static int skip_scalar(reader *r)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        const size_t n = strlen(words[i]);
        if ((size_t)(r->end - r->at) >= n && !memcmp(r->at, words[i], n)) {
            r->at += n;
            return 0;
        }
    }
    const char *begin = r->at;
    while (r->at < r->end && *r->at && strchr("+-.0123456789eE", *r->at))
        r->at++;
    return r->at > begin ? 0 : fail(r, "a JSON value");
}

/* Any value. Nesting is counted, not recursed into: bit i of `objects` is level i. */
static int skip_value(reader *r)
{
    uint64_t objects = 0;
    int depth = 0;
    do {
        int c = peek(r);
        const int closing = depth && c == ((objects & 1) ? '}' : ']');
        if (closing) {
            r->at++;
            objects >>= 1;
            depth--;
        } else {
            if (depth && (objects & 1)) {
                if (read_string(r) || take(r, ':', "a colon after a key"))
                    return -1;
                c = peek(r);
            }
            if (c == '{' || c == '[') {
                if (depth == DEPTH_MAX)
                    return fail(r, "at most 64 levels of nesting");
                objects = objects << 1 | (c == '{');
                depth++;
                r->at++;
                continue; /* the first member, or the end, comes next */
            }
            if (c == '"' ? read_string(r) : skip_scalar(r))
                return -1;
        }
        /* After a whole value: a comma and the next one, or the end of its parent. */
        if (depth) {
            c = peek(r);
            if (c == ',') {
                r->at++;
                c = peek(r);
                if (c == ']' || c == '}')
                    return fail(r, "a value after a comma");
            } else if (c != ((objects & 1) ? '}' : ']')) {
                return fail(r, "a comma or the end of a list");
            }
        }
    } while (depth);
    return 0;
}

/* Walk the members of the object; at `key`, call `read` with the reader before the
 * value. The first member of that name counts; all of the line must be well-formed. */
static const char *find(const char *line, size_t n_bytes, const char *key,
        cli_buffer *out, int (*read)(reader *, cli_buffer *))
{
    reader r = {.at = line, .end = line + n_bytes};
    int found = 0, bad = take(&r, '{', "an object");
    if (!bad && peek(&r) == '}') {
        r.at++;
    } else {
        while (!bad) {
            bad = read_string(&r);
            const int wanted = !bad && !found && r.scratch.n == strlen(key) &&
                               !memcmp(r.scratch.data, key, r.scratch.n);
            bad = bad || take(&r, ':', "a colon after a key");
            bad = bad || (wanted ? read(&r, out) : skip_value(&r));
            found |= wanted;
            if (bad || peek(&r) != ',')
                break;
            r.at++;
        }
        bad = bad || take(&r, '}', "a comma or the end of the object");
    }
    if (!bad && peek(&r) != -1)
        bad = fail(&r, "nothing after the object");
    cli_buffer_free(&r.scratch);
    return bad ? r.wrong : (found ? NULL : key);
}

static int read_text(reader *r, cli_buffer *out)
{
    if (read_string(r))
        return -1;
    return cli_append(out, r->scratch.data, r->scratch.n) ? fail(r, "enough memory")
                                                          : 0;
}

static int read_numbers(reader *r, cli_buffer *out)
{
    if (peek(r) != '[')
        return fail(r, "an array of ids");
    const char *begin = r->at + 1;
    if (skip_value(r))
        return -1;
    const size_t n = (size_t)(r->at - begin) - 1;
    if (memchr(begin, '[', n) || memchr(begin, '{', n) || memchr(begin, '"', n))
        return fail(r, "an array of ids");
    return cli_append(out, begin, n) ? fail(r, "enough memory") : 0;
}

const char *json_get_text(
        const char *line, size_t n_bytes, const char *key, cli_buffer *out)
{
    return find(line, n_bytes, key, out, read_text);
}

const char *json_get_numbers(
        const char *line, size_t n_bytes, const char *key, cli_buffer *out)
{
    return find(line, n_bytes, key, out, read_numbers);
}
