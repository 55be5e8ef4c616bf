/* SPDX-License-Identifier: MIT */
/* Writing JSON the way Python does. */
#include "json_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 17 };

/* The decimal digits of d (d > 0, finite), as few as read back as d, without trailing
 * zeros; d = 0.DIGITS * 10^*point. Only digits are looked at in what the C library
 * prints, and no decimal point is given to strtod: no locale matters. */
static size_t shortest(double d, char out[DIGITS_MAX + 1], int *point)
{
    char text[64], again[64];
    /* Any 15 digits survive a normal double; a subnormal has fewer to give. */
    for (int precision = d < 1e-300 ? 1 : 15; precision <= DIGITS_MAX; precision++) {
        size_t n = 0;
        snprintf(text, sizeof text, "%.*e", precision - 1, d);
        const char *s = text;
        for (; *s && *s != 'e'; s++)
            if (*s >= '0' && *s <= '9' && n < DIGITS_MAX)
                out[n++] = *s;
        out[n] = '\0';
        int exponent = (int)strtol(s + (*s == 'e'), NULL, 10);
        *point = exponent + 1;
        snprintf(again, sizeof again, "%se%d", out, exponent - (int)n + 1);
        if (precision == DIGITS_MAX || strtod(again, NULL) == d) {
            while (n > 1 && out[n - 1] == '0')
                n--;
            out[n] = '\0';
            return n;
        }
    }
    return 0;
}

/* repr() of a double that is not NaN. */
static size_t put_double(double d, int negative, char *out)
{
    char digits[DIGITS_MAX + 1];
    int point;
    char *o = out;
    if (negative)
        *o++ = '-';
    if (d == 0) {
        memcpy(o, "0.0", 3);
        return (size_t)(o - out) + 3;
    }
    if (isinf(d)) {
        memcpy(o, "Infinity", 8);
        return (size_t)(o - out) + 8;
    }
    int n = (int)shortest(d, digits, &point);
    if (point <= -4 || point > 16) {
        *o++ = digits[0];
        if (n > 1) {
            *o++ = '.';
            memcpy(o, digits + 1, (size_t)n - 1);
            o += n - 1;
        }
        int e = point - 1;
        *o++ = 'e';
        *o++ = e < 0 ? '-' : '+';
        e = e < 0 ? -e : e;
        if (e >= 100)
            *o++ = (char)('0' + e / 100);
        *o++ = (char)('0' + e / 10 % 10);
        *o++ = (char)('0' + e % 10);
        return (size_t)(o - out);
    }
    if (point <= 0) {
        *o++ = '0';
        *o++ = '.';
        for (int i = point; i < 0; i++)
            *o++ = '0';
        memcpy(o, digits, (size_t)n);
        return (size_t)(o + n - out);
    }
    for (int i = 0; i < point || i < n; i++) {
        if (i == point)
            *o++ = '.';
        *o++ = i < n ? digits[i] : '0';
    }
    if (n <= point) {
        *o++ = '.';
        *o++ = '0';
    }
    return (size_t)(o - out);
}

/* The value of an unsigned JSON number. At most 800 significant digits decide. */
static double read_double(const char *text, size_t n)
{
    enum { KEEP = 800, FAR = 100000 };
    char buffer[KEEP + 16];
    size_t kept = 0, i = 0;
    int64_t exponent = 0;
    int fraction = 0, more = 0;
    for (; i < n && text[i] != 'e' && text[i] != 'E'; i++) {
        if (text[i] == '.') {
            fraction = 1;
        } else {
            if (kept == 0 && text[i] == '0') {
                exponent -= fraction;
                continue;
            }
            if (kept < KEEP) {
                buffer[kept++] = text[i];
                exponent -= fraction;
            } else {
                more |= text[i] != '0';
                exponent += !fraction;
            }
        }
    }
    if (kept == 0)
        return 0;
    /* What was cut off still says on which side of a tie the number lies. */
    if (more && buffer[kept - 1] == '0')
        buffer[kept - 1] = '1';
    if (i < n) {
        int64_t e = 0;
        int negative = text[++i] == '-';
        i += text[i] == '-' || text[i] == '+';
        for (; i < n; i++)
            e = e < FAR * 1000000LL ? e * 10 + (text[i] - '0') : e;
        exponent += negative ? -e : e;
    }
    if (exponent > FAR)
        exponent = FAR;
    if (exponent < -FAR)
        exponent = -FAR;
    snprintf(buffer + kept, 16, "e%d", (int)exponent);
    return strtod(buffer, NULL);
}

size_t mote__json_number(const mote__json *value,
        char scratch[MOTE__JSON_NUMBER_SCRATCH], const char **text)
{
    const char *s = value->text;
    size_t n = value->n;
    int negative = s[0] == '-';
    *text = scratch;
    if (memchr(s, '.', n) || memchr(s, 'e', n) || memchr(s, 'E', n))
        return put_double(
                read_double(s + negative, n - (size_t)negative), negative, scratch);
    *text = n == 2 && memcmp(s, "-0", 2) == 0 ? s + 1 : s;
    return n - (size_t)(*text - s);
}

static void dump_string(const char *text, size_t n, mote__json_sink sink, void *user)
{
    static const char hex[] = "0123456789abcdef";
    size_t begin = 0;
    sink(user, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        char escape[6] = {'\\', 0, '0', '0', 0, 0};
        size_t length = 2;
        switch (c) {
        case '\n':
            escape[1] = 'n';
            break;
        case '\r':
            escape[1] = 'r';
            break;
        case '\t':
            escape[1] = 't';
            break;
        case '\b':
            escape[1] = 'b';
            break;
        case '\f':
            escape[1] = 'f';
            break;
        case '"':
        case '\\':
            escape[1] = (char)c;
            break;
        default:
            escape[1] = 'u';
            escape[4] = hex[c >> 4];
            escape[5] = hex[c & 15];
            length = 6;
        }
        sink(user, text + begin, i - begin);
        sink(user, escape, length);
        begin = i + 1;
    }
    sink(user, text + begin, n - begin);
    sink(user, "\"", 1);
}

void mote__json_dump(const mote__json *value, mote__json_sink sink, void *user)
{
    int object = value->type == MOTE__JSON_OBJECT;
    char scratch[MOTE__JSON_NUMBER_SCRATCH];
    const char *text;
    size_t n;
    switch (value->type) {
    case MOTE__JSON_NULL:
        sink(user, "null", 4);
        break;
    case MOTE__JSON_FALSE:
        sink(user, "false", 5);
        break;
    case MOTE__JSON_TRUE:
        sink(user, "true", 4);
        break;
    case MOTE__JSON_STRING:
        dump_string(value->text, value->n, sink, user);
        break;
    case MOTE__JSON_NUMBER:
        n = mote__json_number(value, scratch, &text);
        sink(user, text, n);
        break;
    default:
        sink(user, object ? "{" : "[", 1);
        for (const mote__json *v = value->first; v; v = v->next) {
            if (object) {
                dump_string(v->key, v->key_bytes, sink, user);
                sink(user, ": ", 2);
            }
            mote__json_dump(v, sink, user);
            if (v->next)
                sink(user, ", ", 2);
        }
        sink(user, object ? "}" : "]", 1);
    }
}
