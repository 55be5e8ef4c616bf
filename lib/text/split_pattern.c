/* SPDX-License-Identifier: MIT */
#include "split_pattern.h"

#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATTERN_BYTES_MAX = 1 << 14,
    SETS_MAX = 1024,
    DEPTH_MAX = 32,
    REPEAT_MAX = 1000
};

typedef struct reader {
    mote__pattern *p;
    mote__set_list *sets;
    const char *pattern; /* for messages and reading */
    size_t n, at;
    bool may_repeat; /* the item before can take a quantifier */
    mote_error *err;
} reader;

void mote__pattern_free(mote__pattern *p)
{
    free(p->items);
    memset(p, 0, sizeof *p);
}

void mote__set_list_free(mote__set_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        mote__code_set_free(&l->sets[i]);
    free(l->sets);
    memset(l, 0, sizeof *l);
}

static mote_status no_memory(reader *r)
{
    return mote__fail_memory(r->err, r->n, "a pre-tokenizer pattern");
}

/* Refuse what stands at `begin`: `what` says what it is. */
static mote_status refuse(reader *r, size_t begin, const char *what)
{
    size_t n = r->n - begin < 12 ? r->n - begin : 12;
    while (n > 0 && begin + n < r->n && ((uint8_t)r->pattern[begin + n] & 0xC0) == 0x80)
        n--; /* quote whole characters */
    return mote__fail(r->err, MOTE_E_UNSUPPORTED,
            "pre-tokenizer pattern: %s is not supported, at byte %zu: \"%.*s\"", what,
            begin, (int)n, r->pattern + begin);
}

static mote_status add_item(reader *r, int32_t kind, uint32_t set, const char *text)
{
    void *items = r->p->items;
    if (mote__grow(&items, &r->p->capacity, r->p->n + 1, sizeof *r->p->items) < 0)
        return no_memory(r);
    r->p->items = items;
    mote__pattern_item *item = &r->p->items[r->p->n++];
    memset(item, 0, sizeof *item);
    item->kind = kind;
    item->set = set;
    snprintf(item->text, sizeof item->text, "%s", text);
    return MOTE_OK;
}

/* Takes over the set. */
static mote_status intern_set(reader *r, mote__code_set *set, uint32_t *index)
{
    for (size_t i = 0; i < r->sets->n; i++)
        if (mote__code_set_equal(&r->sets->sets[i], set)) {
            mote__code_set_free(set);
            *index = (uint32_t)i;
            return MOTE_OK;
        }
    void *sets = r->sets->sets;
    if (r->sets->n >= SETS_MAX) {
        mote__code_set_free(set);
        return mote__fail(r->err, MOTE_E_UNSUPPORTED,
                "pre-tokenizer patterns: more than %d different sets of characters",
                SETS_MAX);
    }
    if (mote__grow(&sets, &r->sets->capacity, r->sets->n + 1, sizeof *set) < 0) {
        mote__code_set_free(set);
        return no_memory(r);
    }
    r->sets->sets = sets;
    *index = (uint32_t)r->sets->n;
    r->sets->sets[r->sets->n++] = *set;
    memset(set, 0, sizeof *set);
    return MOTE_OK;
}

static mote_status add_set_item(reader *r, mote__code_set *set)
{
    uint32_t index = 0;
    mote_status st = intern_set(r, set, &index);
    if (st < 0)
        return st;
    r->may_repeat = true;
    return add_item(r, MOTE__PATTERN_SET, index, "");
}

/* The character at r->at, moving past it. */
static mote_status read_char(reader *r, uint32_t *code)
{
    const uint8_t *s = (const uint8_t *)r->pattern + r->at;
    size_t left = r->n - r->at;
    uint32_t c = s[0];
    size_t length = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 0;
    if (!length || length > left || c > 0xF4)
        return mote__fail(
                r->err, MOTE_E_FORMAT, "pre-tokenizer pattern: invalid UTF-8");
    if (length > 1)
        c &= 0xFFu >> (length + 1);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return mote__fail(
                    r->err, MOTE_E_FORMAT, "pre-tokenizer pattern: invalid UTF-8");
        c = c << 6 | (s[i] & 0x3F);
    }
    if (c > 0x10FFFF)
        return mote__fail(
                r->err, MOTE_E_FORMAT, "pre-tokenizer pattern: invalid UTF-8");
    r->at += length;
    *code = c;
    return MOTE_OK;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The digits of \xHH, \x{...} or \uHHHH; r->at is after the letter. */
static mote_status read_hex(reader *r, size_t begin, char letter, uint32_t *code)
{
    bool braces = letter == 'x' && r->at < r->n && r->pattern[r->at] == '{';
    size_t want = letter == 'u' ? 4 : 2, digits = 0;
    uint32_t c = 0;
    if (braces) {
        r->at++;
        want = 6;
    }
    while (digits < want && r->at < r->n && hex_value(r->pattern[r->at]) >= 0) {
        c = c << 4 | (uint32_t)hex_value(r->pattern[r->at++]);
        digits++;
    }
    if (braces && (digits == 0 || r->at >= r->n || r->pattern[r->at++] != '}'))
        return refuse(r, begin, "this escape");
    /* A two-digit \x above 7F would be a byte, not a character. */
    if (!braces && (digits != want || (letter == 'x' && c > 0x7F)))
        return refuse(r, begin, "this escape");
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return refuse(r, begin, "this escape");
    *code = c;
    return MOTE_OK;
}

/* \p{Name}, \P{Name}, \p{^Name}; r->at is after the letter. Adds to `set`. */
static mote_status read_property(
        reader *r, size_t begin, bool negated, mote__code_set *set)
{
    static const char *const names[][2] = {{"L", "L"}, {"Letter", "L"}, {"Lu", "Lu"},
            {"Uppercase_Letter", "Lu"}, {"Ll", "Ll"}, {"Lowercase_Letter", "Ll"},
            {"Lt", "Lt"}, {"Titlecase_Letter", "Lt"}, {"Lm", "Lm"},
            {"Modifier_Letter", "Lm"}, {"Lo", "Lo"}, {"Other_Letter", "Lo"}, {"M", "M"},
            {"Mark", "M"}, {"N", "N"}, {"Number", "N"}, {"Nd", "Nd"},
            {"Decimal_Number", "Nd"}, {"P", "P"}, {"Punctuation", "P"}, {"S", "S"},
            {"Symbol", "S"}, {"Han", "Han"}};
    if (r->at >= r->n || r->pattern[r->at] != '{')
        return refuse(r, begin, "this property");
    r->at++;
    if (r->at < r->n && r->pattern[r->at] == '^') {
        negated = !negated;
        r->at++;
    }
    const char *name = r->pattern + r->at;
    const char *close = memchr(name, '}', r->n - r->at);
    size_t length = close ? (size_t)(close - name) : 0;
    for (size_t i = 0; close && i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i][0]) != length || memcmp(names[i][0], name, length) != 0)
            continue;
        mote__code_set one = {0};
        r->at += length + 1;
        int rc = mote__code_set_add_class(&one, names[i][1]);
        if (rc == 0 && negated)
            rc = mote__code_set_invert(&one);
        if (rc == 0)
            rc = mote__code_set_add_set(set, &one);
        mote__code_set_free(&one);
        return rc ? no_memory(r) : MOTE_OK;
    }
    return refuse(r, begin, "the property");
}

static mote_status add_shorthand(
        reader *r, const char *name, bool negated, mote__code_set *set)
{
    mote__code_set one = {0};
    int rc = mote__code_set_add_class(&one, name);
    if (rc == 0 && negated)
        rc = mote__code_set_invert(&one);
    if (rc == 0)
        rc = mote__code_set_add_set(set, &one);
    mote__code_set_free(&one);
    return rc ? no_memory(r) : MOTE_OK;
}

/* An escape that stands for a character (*is_char) or a set, which is added to `set`;
 * r->at is at the backslash. */
static mote_status read_escape(
        reader *r, uint32_t *code, bool *is_char, mote__code_set *set)
{
    size_t begin = r->at++;
    if (r->at >= r->n)
        return refuse(r, begin, "a lone backslash");
    char c = r->pattern[r->at];
    *is_char = false;
    if (c & 0x80 ||
            !(hex_value(c) >= 0 || (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z'))) {
        *is_char = true; /* an escaped sign stands for itself */
        return read_char(r, code);
    }
    r->at++;
    switch (c) {
    case 's':
        return add_shorthand(r, "space", false, set);
    case 'S':
        return add_shorthand(r, "space", true, set);
    case 'd':
        return add_shorthand(r, "Nd", false, set);
    case 'D':
        return add_shorthand(r, "Nd", true, set);
    case 'p':
        return read_property(r, begin, false, set);
    case 'P':
        return read_property(r, begin, true, set);
    default:
        break;
    }
    *is_char = true;
    switch (c) {
    case 'r':
        *code = '\r';
        return MOTE_OK;
    case 'n':
        *code = '\n';
        return MOTE_OK;
    case 't':
        *code = '\t';
        return MOTE_OK;
    case 'f':
        *code = '\f';
        return MOTE_OK;
    case 'v':
        *code = '\v';
        return MOTE_OK;
    case 'a':
        *code = '\a';
        return MOTE_OK;
    case 'e':
        *code = 0x1B;
        return MOTE_OK;
    case 'x':
    case 'u':
        return read_hex(r, begin, c, code);
    default:
        return refuse(r, begin, "this escape");
    }
}

/* One member of a bracketed class: a character or a set. */
static mote_status read_member(
        reader *r, uint32_t *code, bool *is_char, mote__code_set *set)
{
    *is_char = true;
    if (r->pattern[r->at] == '\\')
        return read_escape(r, code, is_char, set);
    return read_char(r, code);
}

/* A character, a range or a set within brackets, into `set`. */
static mote_status read_range(reader *r, mote__code_set *set)
{
    uint32_t lo = 0, hi = 0;
    bool is_char = false, hi_is_char = true;
    size_t member = r->at;
    mote_status st = read_member(r, &lo, &is_char, set);
    if (st < 0)
        return st;
    hi = lo;
    if (r->at + 1 < r->n && r->pattern[r->at] == '-' && r->pattern[r->at + 1] != ']') {
        r->at++;
        if (r->pattern[r->at] == '[' || r->pattern[r->at] == '&')
            return refuse(r, member, "this range");
        if ((st = read_member(r, &hi, &hi_is_char, set)) < 0)
            return st;
        if (!is_char || !hi_is_char || hi < lo)
            return refuse(r, member, "this range");
    }
    return is_char && mote__code_set_add(set, lo, hi) < 0 ? no_memory(r) : MOTE_OK;
}

static mote_status read_brackets(reader *r, size_t depth, mote__code_set *out);

/* What stands at r->at between brackets, into `set`: not their end and no &&. `first`:
 * nothing stands before it. */
static mote_status read_part(reader *r, bool first, size_t depth, mote__code_set *set)
{
    char c = r->pattern[r->at], next = r->at + 1 < r->n ? r->pattern[r->at + 1] : '\0';
    if (c == '[' && next != ':') {
        mote__code_set inner = {0};
        mote_status st = read_brackets(r, depth + 1, &inner);
        if (st >= 0 && mote__code_set_add_set(set, &inner) < 0)
            st = no_memory(r);
        mote__code_set_free(&inner);
        return st;
    }
    if (c == ']' || c == '[')
        return refuse(r, r->at, "a bracket inside a class");
    if (c == '~' && next == '~')
        return refuse(r, r->at, "a difference of classes");
    /* A hyphen is itself only first or last; elsewhere engines disagree. */
    if (c == '-' && !first && next != ']')
        return refuse(r, r->at, "a hyphen here");
    return read_range(r, set);
}

/* [...] with its members, also bracketed, and intersections, which bind least; r->at is
 * at the opening bracket. */
static mote_status read_brackets(reader *r, size_t depth, mote__code_set *out)
{
    size_t begin = r->at++;
    mote__code_set set = {0}; /* of the members since the last && */
    mote_status st = MOTE_OK;
    bool intersected = false, negated = r->at < r->n && r->pattern[r->at] == '^';
    if (depth == DEPTH_MAX)
        return refuse(r, begin, "nesting this deep");
    if (negated)
        r->at++;
    for (size_t first = r->at; st >= 0;) {
        if (r->at >= r->n) {
            st = mote__fail(r->err, MOTE_E_FORMAT,
                    "pre-tokenizer pattern: class at byte %zu is not closed", begin);
            break;
        }
        bool ends = r->pattern[r->at] == ']',
             meets = r->n - r->at >= 2 && memcmp(r->pattern + r->at, "&&", 2) == 0;
        if (meets && r->at == first) {
            st = refuse(r, r->at, "an intersection without a left side");
        } else if ((ends && r->at > first) || meets) {
            if (intersected ? mote__code_set_intersect(out, &set) < 0
                            : mote__code_set_add_set(out, &set) < 0)
                st = no_memory(r);
            mote__code_set_free(&set);
            r->at += ends ? 1 : 2;
            first = r->at;
            if (ends)
                break;
            intersected = true;
        } else {
            st = read_part(r, r->at == first && !intersected, depth, &set);
        }
    }
    mote__code_set_free(&set);
    if (st >= 0 && negated && mote__code_set_invert(out) < 0)
        st = no_memory(r);
    return st;
}

static mote_status read_class(reader *r)
{
    mote__code_set set = {0};
    mote_status st = read_brackets(r, 0, &set);
    if (st >= 0)
        return add_set_item(r, &set);
    mote__code_set_free(&set);
    return st;
}

static mote_status add_char(reader *r, uint32_t code)
{
    mote__code_set set = {0};
    if (mote__code_set_add(&set, code, code) < 0)
        return no_memory(r);
    return add_set_item(r, &set);
}

/* A decimal number; false when there is none or it is too large. */
static bool read_number(reader *r, uint32_t *value)
{
    size_t begin = r->at;
    *value = 0;
    while (r->at < r->n && r->pattern[r->at] >= '0' && r->pattern[r->at] <= '9') {
        *value = *value * 10 + (uint32_t)(r->pattern[r->at++] - '0');
        if (*value > REPEAT_MAX)
            return false;
    }
    return r->at > begin;
}

static mote_status read_quantifier(reader *r)
{
    size_t begin = r->at;
    char text[16];
    char c = r->pattern[r->at++];
    if (!r->may_repeat)
        return refuse(r, begin, "a quantifier here");
    if (c == '{') {
        uint32_t lo = 0, hi = 0;
        bool has_lo = read_number(r, &lo), has_hi = has_lo, comma = false;
        if (r->at < r->n && r->pattern[r->at] == ',') {
            comma = true;
            r->at++;
            has_hi = read_number(r, &hi);
        }
        if (r->at >= r->n || r->pattern[r->at] != '}' || (!has_lo && !has_hi) ||
                (comma && has_hi && hi < lo))
            return refuse(r, begin, "this quantifier");
        r->at++;
        if (!comma)
            snprintf(text, sizeof text, "{%u}", lo);
        else if (has_hi)
            snprintf(text, sizeof text, "{%u,%u}", lo, hi);
        else
            snprintf(text, sizeof text, "{%u,}", lo);
        /* In Ruby's syntax {n}? and {n,m}+ mean something else than in PCRE2's. */
        if (r->at < r->n &&
                (r->pattern[r->at] == '+' || (!comma && r->pattern[r->at] == '?')))
            return refuse(r, begin, "this quantifier");
    } else {
        snprintf(text, sizeof text, "%c", c);
    }
    if (r->at < r->n && (r->pattern[r->at] == '?' || r->pattern[r->at] == '+')) {
        size_t k = strlen(text);
        text[k] = r->pattern[r->at++];
        text[k + 1] = '\0';
    }
    r->may_repeat = false;
    return add_item(r, MOTE__PATTERN_TEXT, 0, text);
}

/* (?i:...) holds only alternatives of ASCII text. Folding is that of Unicode: s and k
 * have a third form. Sequences that fold to or from one character are refused. */
static mote_status read_folded_group(reader *r)
{
    mote_status st = add_item(r, MOTE__PATTERN_TEXT, 0, "(?:");
    char last = 0;
    while (st >= 0) {
        if (r->at >= r->n)
            return mote__fail(r->err, MOTE_E_FORMAT,
                    "pre-tokenizer pattern: a group is not closed");
        char c = r->pattern[r->at];
        char lower = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (c & 0x80 || strchr("\\[]{}(?*+.^$", c) ||
                (last == 'f' && strchr("fil", lower)) ||
                (last == 's' && strchr("st", lower)))
            return refuse(r, r->at, "this, within (?i:),");
        r->at++;
        last = lower;
        if (c == ')')
            break;
        if (c == '|') {
            st = add_item(r, MOTE__PATTERN_TEXT, 0, "|");
            continue;
        }
        mote__code_set set = {0};
        int rc = mote__code_set_add(&set, (uint8_t)lower, (uint8_t)lower);
        if (rc == 0 && lower >= 'a' && lower <= 'z')
            rc = mote__code_set_add(&set, (uint8_t)(lower - 32), (uint8_t)(lower - 32));
        if (rc == 0 && lower == 's')
            rc = mote__code_set_add(&set, 0x17F, 0x17F);
        if (rc == 0 && lower == 'k')
            rc = mote__code_set_add(&set, 0x212A, 0x212A);
        if (rc < 0) {
            mote__code_set_free(&set);
            return no_memory(r);
        }
        st = add_set_item(r, &set);
    }
    r->may_repeat = true;
    return st < 0 ? st : add_item(r, MOTE__PATTERN_TEXT, 0, ")");
}

/* The opening of a group; *looks is set when it only looks. */
static mote_status read_group(reader *r, bool *looks, bool *folded)
{
    static const char *const openings[] = {"(?:", "(?=", "(?!", "(?>"};
    *looks = *folded = false;
    r->may_repeat = false;
    if (r->n - r->at < 2 || r->pattern[r->at + 1] != '?') {
        r->at++;
        return add_item(r, MOTE__PATTERN_TEXT, 0, "(?:");
    }
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++)
        if (r->n - r->at >= 3 && memcmp(r->pattern + r->at, openings[i], 3) == 0) {
            r->at += 3;
            *looks = i == 1 || i == 2;
            return add_item(r, MOTE__PATTERN_TEXT, 0, openings[i]);
        }
    if (r->n - r->at >= 4 && memcmp(r->pattern + r->at, "(?i:", 4) == 0) {
        r->at += 4;
        *folded = true;
        return read_folded_group(r);
    }
    return refuse(r, r->at, "this group");
}

static mote_status read_anchor(reader *r, int32_t kind)
{
    mote__code_set set = {0};
    r->at++;
    r->may_repeat = false;
    if (mote__code_set_add(&set, '\n', '\n') < 0)
        return no_memory(r);
    mote_status st = intern_set(r, &set, &r->p->newline_set);
    return st < 0 ? st : add_item(r, kind, r->p->newline_set, "");
}

static mote_status read_dot(reader *r)
{
    mote__code_set set = {0};
    r->at++;
    if (mote__code_set_add(&set, '\n', '\n') < 0 || mote__code_set_invert(&set) < 0) {
        mote__code_set_free(&set);
        return no_memory(r);
    }
    return add_set_item(r, &set);
}

static mote_status read_outside_escape(reader *r)
{
    if (r->n - r->at >= 2 &&
            (r->pattern[r->at + 1] == 'A' || r->pattern[r->at + 1] == 'z')) {
        char text[3] = {'\\', r->pattern[r->at + 1], '\0'};
        r->at += 2;
        r->may_repeat = false;
        return add_item(r, MOTE__PATTERN_TEXT, 0, text);
    }
    mote__code_set set = {0};
    uint32_t code = 0;
    bool is_char = false;
    mote_status st = read_escape(r, &code, &is_char, &set);
    if (st >= 0)
        st = is_char ? add_char(r, code) : add_set_item(r, &set);
    mote__code_set_free(&set);
    return st;
}

mote_status mote__pattern_parse(mote__pattern *p, mote__set_list *sets,
        const char *pattern, size_t n, mote_error *err)
{
    reader r = {.p = p, .sets = sets, .pattern = pattern, .n = n, .err = err};
    bool looks[DEPTH_MAX];
    size_t depth = 0;
    mote_status st = MOTE_OK;
    memset(p, 0, sizeof *p);
    if (n > PATTERN_BYTES_MAX)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "pre-tokenizer pattern of %zu bytes: at most %d are supported", n,
                PATTERN_BYTES_MAX);
    while (r.at < n && st >= 0) {
        uint32_t code = 0;
        switch (pattern[r.at]) {
        case '(': {
            bool folded = false;
            if (depth == DEPTH_MAX) {
                st = refuse(&r, r.at, "nesting this deep");
                break;
            }
            st = read_group(&r, &looks[depth], &folded);
            depth += folded ? 0 : 1; /* a folded group was read to its end */
            break;
        }
        case ')':
            if (depth == 0) {
                st = mote__fail(err, MOTE_E_FORMAT,
                        "pre-tokenizer pattern: unmatched ) at byte %zu", r.at);
                break;
            }
            r.at++;
            r.may_repeat = !looks[--depth];
            st = add_item(&r, MOTE__PATTERN_TEXT, 0, ")");
            break;
        case '|':
            r.at++;
            r.may_repeat = false;
            st = add_item(&r, MOTE__PATTERN_TEXT, 0, "|");
            break;
        case '*':
        case '+':
        case '?':
        case '{':
            st = read_quantifier(&r);
            break;
        case '[':
            st = read_class(&r);
            break;
        case '\\':
            st = read_outside_escape(&r);
            break;
        case '.':
            st = read_dot(&r);
            break;
        case '^':
            st = read_anchor(&r, MOTE__PATTERN_LINE_BEGIN);
            break;
        case '$':
            st = read_anchor(&r, MOTE__PATTERN_LINE_END);
            break;
        default:
            if ((st = read_char(&r, &code)) >= 0)
                st = add_char(&r, code);
        }
    }
    if (st >= 0 && depth > 0)
        st = mote__fail(
                err, MOTE_E_FORMAT, "pre-tokenizer pattern: a group is not closed");
    if (st < 0)
        mote__pattern_free(p);
    return st;
}

mote_status mote__pattern_literal(mote__pattern *p, mote__set_list *sets,
        const char *text, size_t n, mote_error *err)
{
    reader r = {.p = p, .sets = sets, .pattern = text, .n = n, .err = err};
    mote_status st = MOTE_OK;
    memset(p, 0, sizeof *p);
    if (n == 0 || n > PATTERN_BYTES_MAX)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "pre-tokenizer text of %zu bytes: 1 to %d are supported", n,
                PATTERN_BYTES_MAX);
    while (r.at < n && st >= 0) {
        uint32_t code = 0;
        if ((st = read_char(&r, &code)) >= 0)
            st = add_char(&r, code);
    }
    if (st < 0)
        mote__pattern_free(p);
    return st;
}

/* ---- writing ---- */

typedef struct text {
    char *s;
    size_t n, capacity;
} text;

static int put(text *t, const char *s)
{
    size_t n = strlen(s);
    void *p = t->s;
    if (mote__grow(&p, &t->capacity, t->n + n + 1, 1) < 0)
        return -1;
    t->s = p;
    memcpy(t->s + t->n, s, n + 1);
    t->n += n;
    return 0;
}

static int put_set(text *t, const mote__code_set *set, const mote__partition *partition)
{
    char hex[16];
    size_t n = 0;
    int rc = put(t, "[");
    for (uint32_t c = 0; c < partition->n_classes && rc == 0; c++)
        if (mote__code_set_has(set, partition->sample[c])) {
            snprintf(hex, sizeof hex, "\\x%02x", c);
            rc = put(t, hex);
            n++;
        }
    if (rc == 0 && n == 0) { /* a class without members: matches nothing */
        t->n--;
        return put(t, "(?!)");
    }
    return rc ? rc : put(t, "]");
}

int mote__pattern_emit(const mote__pattern *p, const mote__set_list *sets,
        const mote__partition *partition, char **out, size_t *n)
{
    text t = {0};
    int rc = put(&t, "");
    for (size_t i = 0; i < p->n && rc == 0; i++) {
        const mote__pattern_item *item = &p->items[i];
        /* a pattern of groups alone has no sets at all */
        const mote__code_set *set =
                item->kind == MOTE__PATTERN_TEXT ? NULL : &sets->sets[item->set];
        switch (item->kind) {
        case MOTE__PATTERN_TEXT:
            rc = put(&t, item->text);
            break;
        case MOTE__PATTERN_SET:
            rc = put_set(&t, set, partition);
            break;
        case MOTE__PATTERN_LINE_BEGIN: /* not after a newline that ends the text */
            rc = put(&t, "(?:\\A|(?<=") || put_set(&t, set, partition) ||
                 put(&t, ")(?!\\z))");
            break;
        default: /* before every newline, and at the end */
            rc = put(&t, "(?=") || put_set(&t, set, partition) || put(&t, "|\\z)");
        }
    }
    if (rc) {
        free(t.s);
        return -1;
    }
    *out = t.s;
    *n = t.n;
    return 0;
}
