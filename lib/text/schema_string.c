/* SPDX-License-Identifier: MIT */
/* The inside of a JSON string: valid UTF-8, JSON escapes, characters counted when they
 * begin (an escape or a surrogate pair is one), so that the limit holds before a
 * character is complete. Lone surrogates and \u0000 are left out: half of all readers
 * refuse them. */
#include "text/schema_machine.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Lead byte: continuation bytes left in sub, allowed range of the next in acc. */
static int lead_byte(uint8_t c, schema_frame *next)
{
    uint32_t lo = 0x80, hi = 0xbf;
    if (c >= 0xc2 && c <= 0xdf)
        next->sub = 1;
    else if (c >= 0xe0 && c <= 0xef)
        next->sub = 2;
    else if (c >= 0xf0 && c <= 0xf4)
        next->sub = 3;
    else
        return 0;
    if (c == 0xe0)
        lo = 0xa0;
    else if (c == 0xed)
        hi = 0x9f;
    else if (c == 0xf0)
        lo = 0x90;
    else if (c == 0xf4)
        hi = 0x8f;
    next->phase = STRING_UTF8;
    next->acc = lo | hi << 8;
    return 1;
}

/* acc: digits so far; bit 16: this is the second half of a pair. */
static int hex_step(const schema_frame *f, uint8_t c, schema_frame *next)
{
    int h = hex_value(c);
    if (h < 0)
        return 0;
    int low = f->acc >> 16 & 1;
    uint32_t v = (f->acc & 0xffff) << 4 | (uint32_t)h;
    next->acc = v | (uint32_t)low << 16;
    next->sub = (uint8_t)(f->sub + 1);
    if (next->sub == 1)
        return !low || v == 0xd;
    if (next->sub == 2)
        return low ? v >= 0xdc : v < 0xdc || v > 0xdf;
    if (next->sub < 4)
        return 1;
    if (v == 0)
        return 0;
    int high = v >= 0xd800 && v <= 0xdbff;
    next->phase = high ? STRING_LOW : STRING_CONTENT;
    next->sub = 0;
    next->acc = 0;
    return 1;
}

int mote__schema_string_step(const mote_schema *s, const schema_node *node,
        const schema_frame *f, uint8_t c, schema_frame *next)
{
    *next = *f;
    uint32_t *count = &next->u.at.count, *pos = &next->u.at.pos;
    uint32_t exclude = node->u.string.exclude;
    switch (f->phase) {
    case STRING_CONTENT:
        if (c == '"') {
            if (*count < node->u.string.min)
                return 0;
            if (*pos != SCHEMA_NONE) {
                uint32_t end = mote__schema_lit_child(s, *pos, c);
                if (end != SCHEMA_NONE && s->lits[end].is_end)
                    return 0;
            }
            return 2;
        }
        if (c < 0x20 || *count >= node->u.string.max)
            return 0;
        ++*count;
        if (c == '\\') {
            next->phase = STRING_ESCAPE;
            return exclude == SCHEMA_NONE; /* such keys are compared as bytes */
        }
        if (*pos != SCHEMA_NONE)
            *pos = mote__schema_lit_child(s, *pos, c);
        return c < 0x80 || lead_byte(c, next);
    case STRING_UTF8:
        if (c < (f->acc & 0xff) || c > f->acc >> 8)
            return 0;
        if (*pos != SCHEMA_NONE)
            *pos = mote__schema_lit_child(s, *pos, c);
        next->sub = (uint8_t)(f->sub - 1);
        next->acc = next->sub ? 0x80 | 0xbf << 8 : 0;
        next->phase = next->sub ? STRING_UTF8 : STRING_CONTENT;
        return 1;
    case STRING_ESCAPE:
        next->phase = STRING_CONTENT;
        switch (c) {
        case 'u':
            next->phase = STRING_HEX;
            next->sub = 0;
            next->acc = 0;
            return 1;
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            return 1;
        default:
            return 0;
        }
    case STRING_HEX:
        return hex_step(f, c, next);
    case STRING_LOW: /* between the halves of a pair: \u */
        if (f->sub == 0) {
            next->sub = 1;
            return c == '\\';
        }
        next->phase = STRING_HEX;
        next->sub = 0;
        next->acc = 1u << 16;
        return c == 'u';
    default:
        return 0;
    }
}
