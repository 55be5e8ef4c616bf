/* SPDX-License-Identifier: MIT */
/* Digits of a number. With bounds, the digits so far are a range of magnitudes (all
 * numbers that begin so); a digit is taken only while that range still meets the
 * allowed one, so no prefix is a dead end. A number without bounds has a limited count
 * of digits instead. */
#include "text/schema_machine.h"

enum {
    START = PHASE_VALUE,
    SIGN,
    ZERO,
    INTEGER,
    POINT,
    FRACTION,
    EXP,
    EXP_SIGN,
    EXP_DIGITS
};

static int is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Any JSON number, short enough that every reader can hold it. */
static int free_step(const schema_frame *f, uint8_t c, schema_frame *next)
{
    int digit = is_digit(c);
    next->sub = 0;
    switch (f->phase) {
    case START:
        if (c == '-') {
            next->phase = SIGN;
            return 1;
        }
        /* fall through */
    case SIGN:
        next->phase = c == '0' ? ZERO : INTEGER;
        next->sub = 1;
        return digit;
    case INTEGER:
        if (digit && f->sub < SCHEMA_FREE_INT_DIGITS) {
            next->sub = (uint8_t)(f->sub + 1);
            return 1;
        }
        /* fall through */
    case ZERO:
        next->phase = c == '.' ? POINT : EXP;
        return c == '.' || c == 'e' || c == 'E';
    case POINT:
        next->phase = FRACTION;
        next->sub = 1;
        return digit;
    case FRACTION:
        next->sub = (uint8_t)(f->sub + 1);
        if (digit)
            return f->sub < SCHEMA_FREE_FRACTION_DIGITS;
        next->sub = 0;
        next->phase = EXP;
        return c == 'e' || c == 'E';
    case EXP:
        if (c == '+' || c == '-') {
            next->phase = EXP_SIGN;
            return 1;
        }
        /* fall through */
    case EXP_SIGN:
        next->phase = EXP_DIGITS;
        next->sub = 1;
        return digit;
    case EXP_DIGITS:
        next->sub = (uint8_t)(f->sub + 1);
        return digit && f->sub < SCHEMA_FREE_EXPONENT_DIGITS;
    default:
        return 0;
    }
}

static uint64_t power10(uint32_t n)
{
    uint64_t p = 1;
    while (n--)
        p *= 10;
    return p;
}

/* Does [first, last] x scale, with any further digits, meet [lo, hi]? */
static int meets(uint64_t value, uint64_t scale, int may_grow, uint64_t lo, uint64_t hi)
{
    uint64_t first = value, last = value; /* integer parts */
    for (;;) {
        if (first > hi / scale || first * scale > hi)
            return 0;
        /* The largest number with this integer part, saturating. */
        uint64_t top = last > (UINT64_MAX - (scale - 1)) / scale
                               ? UINT64_MAX
                               : last * scale + (scale - 1);
        if (top >= lo)
            return 1;
        if (!may_grow || first > UINT64_MAX / 10)
            return 0;
        first *= 10;
        last = last > (UINT64_MAX - 9) / 10 ? UINT64_MAX : last * 10 + 9;
    }
}

static void range_of(
        const schema_node *node, const schema_frame *f, uint64_t *lo, uint64_t *hi)
{
    *lo = f->acc ? node->u.number.neg_lo : node->u.number.pos_lo;
    *hi = f->acc ? node->u.number.neg_hi : node->u.number.pos_hi;
}

int mote__schema_number_step(
        const schema_node *node, const schema_frame *f, uint8_t c, schema_frame *next)
{
    *next = *f;
    if (!node->u.number.scale)
        return free_step(f, c, next);
    uint64_t scale = node->u.number.scale, lo, hi;
    uint32_t digits = node->u.number.digits;
    if (f->phase == START && c == '-') {
        next->phase = SIGN;
        next->acc = 1;
        return node->u.number.neg_lo <= node->u.number.neg_hi;
    }
    range_of(node, f, &lo, &hi);
    if (lo > hi)
        return 0;
    uint64_t d = (uint64_t)(c - '0');
    switch (f->phase) {
    case START:
    case SIGN:
        next->phase = c == '0' ? ZERO : INTEGER;
        next->u.value = d;
        return is_digit(c) && meets(d, scale, d != 0, lo, hi);
    case INTEGER:
        if (is_digit(c)) {
            if (f->u.value > (UINT64_MAX - d) / 10)
                return 0;
            next->u.value = f->u.value * 10 + d;
            return meets(next->u.value, scale, 1, lo, hi);
        }
        /* fall through */
    case ZERO:
        next->phase = POINT;
        next->sub = 0;
        return c == '.' && digits && meets(f->u.value, scale, 0, lo, hi);
    case POINT:
    case FRACTION:
        if (!is_digit(c) || f->sub >= digits)
            return 0;
        next->phase = FRACTION;
        next->sub = (uint8_t)(f->sub + 1);
        next->u.value = f->u.value * 10 + d; /* <= hi, which fits */
        return meets(next->u.value, power10(digits - next->sub), 0, lo, hi);
    default:
        return 0;
    }
}

int mote__schema_number_end(const schema_node *node, const schema_frame *f)
{
    int digits_seen = f->phase == ZERO || f->phase == INTEGER || f->phase == FRACTION ||
                      f->phase == EXP_DIGITS;
    if (!digits_seen || !node->u.number.scale)
        return digits_seen;
    uint64_t lo, hi;
    range_of(node, f, &lo, &hi);
    uint64_t left = power10(node->u.number.digits - f->sub);
    return f->u.value <= hi / left && f->u.value * left >= lo;
}
