/* SPDX-License-Identifier: MIT */
#include "json_out.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t utf8_sequence(const char *text, size_t n_bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    if (!n_bytes)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t n;
    unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte */
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        n = 2;
    } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
        n = 3;
        low = s[0] == 0xe0 ? 0xa0 : 0x80;  /* no overlong forms */
        high = s[0] == 0xed ? 0x9f : 0xbf; /* no surrogates */
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        n = 4;
        low = s[0] == 0xf0 ? 0x90 : 0x80;
        high = s[0] == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (n > n_bytes || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* One character of a JSON string: its escape in `escape`, or NULL to write it as it is.
 */
static size_t next_char(const char *text, size_t n_bytes, char escape[8])
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const unsigned char c = (unsigned char)text[0];
    const char *special = c ? strchr(plain, c) : NULL;
    escape[0] = 0;
    if (special) {
        snprintf(escape, 8, "\\%c", letters[special - plain]);
        return 1;
    }
    if (c < 0x20 || c == 0x7f) {
        snprintf(escape, 8, "\\u%04x", (unsigned)c);
        return 1;
    }
    const size_t n = utf8_sequence(text, n_bytes);
    if (!n)
        snprintf(escape, 8, "\xef\xbf\xbd");
    return n ? n : 1;
}

void json_quote(FILE *out, const char *text, size_t n_bytes)
{
    char escape[8];
    fputc('"', out);
    while (n_bytes) {
        const size_t n = next_char(text, n_bytes, escape);
        if (escape[0])
            fputs(escape, out);
        else
            fwrite(text, 1, n, out);
        text += n;
        n_bytes -= n;
    }
    fputc('"', out);
}

char *json_quoted(const char *text, size_t n_bytes)
{
    char escape[8];
    if (n_bytes > (SIZE_MAX - 3) / 6)
        return NULL;
    char *quoted = malloc(n_bytes * 6 + 3), *at = quoted;
    if (!quoted)
        return NULL;
    *at++ = '"';
    while (n_bytes) {
        const size_t n = next_char(text, n_bytes, escape);
        const size_t length = escape[0] ? strlen(escape) : n;
        memcpy(at, escape[0] ? escape : text, length);
        at += length;
        text += n;
        n_bytes -= n;
    }
    memcpy(at, "\"", 2);
    return quoted;
}

void json_begin(cli_json *j, FILE *out, int compact)
{
    *j = (cli_json){.out = out, .empty = 1, .compact = compact};
}

static void indent(cli_json *j)
{
    if (!j->compact)
        fprintf(j->out, "\n%*s", j->depth * 2, "");
}

static void begin_value(cli_json *j, const char *key)
{
    if (!j->empty)
        fputc(',', j->out);
    if (j->depth)
        indent(j);
    j->empty = 0;
    if (key) {
        json_quote(j->out, key, strlen(key));
        fputs(j->compact ? ":" : ": ", j->out);
    }
}

void json_open(cli_json *j, const char *key, char bracket)
{
    begin_value(j, key);
    fputc(bracket, j->out);
    j->depth++;
    j->empty = 1;
}

void json_close(cli_json *j, char bracket)
{
    j->depth--;
    if (!j->empty)
        indent(j);
    fputc(bracket, j->out);
    j->empty = 0;
    if (!j->depth)
        fputc('\n', j->out);
}

void json_text(cli_json *j, const char *key, const char *text)
{
    begin_value(j, key);
    json_quote(j->out, text, strlen(text));
}

void json_whole(cli_json *j, const char *key, int64_t value)
{
    begin_value(j, key);
    fprintf(j->out, "%lld", (long long)value);
}

void json_unsigned(cli_json *j, const char *key, uint64_t value)
{
    begin_value(j, key);
    fprintf(j->out, "%llu", (unsigned long long)value);
}

void json_number(cli_json *j, const char *key, double value)
{
    begin_value(j, key);
    if (isfinite(value))
        fprintf(j->out, "%.9g", value);
    else
        fputs("null", j->out);
}

void json_bool(cli_json *j, const char *key, int value)
{
    begin_value(j, key);
    fputs(value ? "true" : "false", j->out);
}
