/* SPDX-License-Identifier: MIT */
#include "args.h"
#include <mote/options.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static int
complain(char *message, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, size, format, args);
    va_end(args);
    return -1;
}

void cli_add_range(cli_set *set, char letter, const char *name, cli_kind kind,
        void *out, const char *value, uint64_t min, uint64_t max, const char *help)
{
    if (set->n == CLI_OPTIONS_MAX)
        return;
    set->options[set->n++] = (cli_option){.letter = letter,
            .kind = kind,
            .name = name,
            .out = out,
            .value = value,
            .help = help,
            .min = min,
            .max = max};
}

void cli_add(cli_set *set, char letter, const char *name, cli_kind kind, void *out,
        const char *value, const char *help)
{
    const uint64_t max = kind == CLI_U64 ? UINT64_MAX : UINT32_MAX;
    cli_add_range(set, letter, name, kind, out, value, 0, max, help);
}

void cli_add_field(cli_set *set, char letter, const char *name, int32_t options,
        void *out, const char *field, const char *value, const char *help)
{
    const char *known, *sentence;
    for (uint32_t i = 0; !help; i++) {
        if (mote_options_describe(options, i, &known, NULL, NULL, &sentence, NULL))
            break;
        if (!strcmp(known, field))
            help = sentence;
    }
    const size_t at = set->n;
    cli_add(set, letter, name, CLI_FIELD, out, value, help ? help : "");
    if (set->n > at) {
        set->options[at].options = options;
        set->options[at].field = field;
    }
}

void cli_heading(cli_set *set, const char *text)
{
    cli_add(set, 0, NULL, CLI_HEADING, NULL, NULL, text);
}

int cli_number(const char *text, size_t n, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (!n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        const uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return -1;
        value = value * 10 + digit;
    }
    if (value < min || value > max)
        return -1;
    *out = value;
    return 0;
}

int cli_float(const char *text, float *out)
{
    /* strtof also takes blanks, hexadecimal, "inf" and "nan": none is meant here. */
    if (!*text || strspn(text, "0123456789+-.eE") != strlen(text))
        return -1;
    char *end;
    const float value = strtof(text, &end);
    if (*end || !isfinite(value))
        return -1;
    *out = value;
    return 0;
}

/* How the user wrote the option, for messages: "-n" or "--threads". */
static const char *label(const cli_option *o, char *buffer, size_t size, int by_letter)
{
    if (by_letter)
        snprintf(buffer, size, "-%c", o->letter);
    else
        snprintf(buffer, size, "--%s", o->name);
    return buffer;
}

static int set_choice(const cli_option *o, const char *text)
{
    uint32_t index = 1;
    const size_t length = strlen(text);
    for (const char *word = o->value;; index++) {
        const size_t n = strcspn(word, "|");
        if (n == length && !memcmp(word, text, n)) {
            *(uint32_t *)o->out = index;
            return 0;
        }
        if (!word[n])
            return -1;
        word += n + 1;
    }
}

static int set_list(const cli_option *o, const char *text)
{
    cli_list list = {0};
    for (const char *item = text;;) {
        const size_t n = strcspn(item, ",");
        uint64_t value;
        if (list.n == CLI_LIST_MAX || cli_number(item, n, o->min, o->max, &value))
            return -1;
        list.values[list.n++] = (uint32_t)value;
        if (!item[n])
            break;
        item += n + 1;
    }
    *(cli_list *)o->out = list;
    return 0;
}

/* The library's message begins with its own name of the field: say the user's instead.
 */
static int set_field(const cli_option *o, const char *name, const char *text,
        char *message, size_t size)
{
    mote_error err;
    if (mote_options_set_text(o->options, o->out, o->field, text, &err) >= 0)
        return 0;
    const size_t n = strlen(o->field);
    const int own = !strncmp(err.message, o->field, n) && err.message[n] == ':';
    return complain(message, size, "%s:%s%s", name, own ? "" : " ",
            err.message + (own ? n + 1 : 0));
}

static int expected(const cli_option *o, const char *name, const char *text,
        char *message, size_t size)
{
    switch (o->kind) {
    case CLI_CHOICE:
        return complain(message, size, "%s: expected one of %s, found '%s'", name,
                o->value, text);
    case CLI_F32:
        return complain(message, size, "%s: expected a number, found '%s'", name, text);
    case CLI_LIST:
        return complain(message, size,
                "%s: expected at most %d numbers from %llu to %llu with commas "
                "between, "
                "found '%s'",
                name, CLI_LIST_MAX, (unsigned long long)o->min,
                (unsigned long long)o->max, text);
    default:
        return complain(message, size,
                "%s: expected a whole number from %llu to %llu, found '%s'", name,
                (unsigned long long)o->min, (unsigned long long)o->max, text);
    }
}

static int set_value(const cli_option *o, const char *name, const char *text,
        char *message, size_t size)
{
    uint64_t value = 0;
    int bad = 0;
    switch (o->kind) {
    case CLI_TEXT:
        *(const char **)o->out = text;
        return 0;
    case CLI_TEXTS: {
        cli_texts *texts = o->out;
        if (texts->n == CLI_TEXTS_MAX)
            return complain(message, size, "%s may be given at most %d times", name,
                    CLI_TEXTS_MAX);
        texts->values[texts->n++] = text;
        return 0;
    }
    case CLI_U32:
        bad = cli_number(text, strlen(text), o->min, o->max, &value);
        if (!bad)
            *(uint32_t *)o->out = (uint32_t)value;
        break;
    case CLI_U64:
        bad = cli_number(text, strlen(text), o->min, o->max, &value);
        if (!bad)
            *(uint64_t *)o->out = value;
        break;
    case CLI_F32:
        bad = cli_float(text, o->out);
        break;
    case CLI_FIELD:
        return set_field(o, name, text, message, size);
    case CLI_LIST:
        bad = set_list(o, text);
        break;
    case CLI_CHOICE:
        bad = set_choice(o, text);
        break;
    case CLI_HEADING:
    case CLI_FLAG:
    case CLI_OPERAND:
        break;
    }
    return bad ? expected(o, name, text, message, size) : 0;
}

static const cli_option *find_long(const cli_set *set, const char *name, size_t n)
{
    for (size_t i = 0; i < set->n; i++) {
        const char *have = set->options[i].name;
        if (have && strlen(have) == n && !memcmp(have, name, n))
            return &set->options[i];
    }
    return NULL;
}

static const cli_option *find_letter(const cli_set *set, char letter)
{
    for (size_t i = 0; i < set->n; i++)
        if (letter && set->options[i].letter == letter)
            return &set->options[i];
    return NULL;
}

int cli_has(const cli_set *set, char letter)
{
    return find_letter(set, letter) != NULL;
}

static int set_operand(
        const cli_set *set, const char *text, size_t index, char *message, size_t size)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->options[i].kind == CLI_OPERAND && index-- == 0) {
            *(const char **)set->options[i].out = text;
            return 0;
        }
    }
    return complain(message, size, "unexpected word '%s'", text);
}

int cli_parse(
        const cli_set *set, int argc, char *const *argv, char *message, size_t size)
{
    size_t operands = 0;
    int literal = 0; /* after "--" */
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        if (literal || arg[0] != '-' || !arg[1]) {
            if (set_operand(set, arg, operands++, message, size))
                return -1;
            continue;
        }
        if (!strcmp(arg, "--")) {
            literal = 1;
            continue;
        }
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h"))
            return 1;
        const int by_letter = arg[1] != '-';
        const char *attached = NULL; /* -xVALUE, --name=VALUE */
        const cli_option *o;
        if (by_letter) {
            o = find_letter(set, arg[1]);
            attached = arg[2] ? arg + 2 : NULL;
        } else {
            const size_t n = strcspn(arg + 2, "=");
            o = find_long(set, arg + 2, n);
            attached = arg[2 + n] ? arg + 2 + n + 1 : NULL;
        }
        if (!o)
            return complain(message, size, "unknown option '%s'", arg);
        char name[64];
        label(o, name, sizeof(name), by_letter);
        if (o->kind == CLI_FLAG) {
            if (attached)
                return complain(
                        message, size, "%s takes no value, found '%s'", name, arg);
            *(uint32_t *)o->out = 1;
            continue;
        }
        /* "--x --y": the value was forgotten. A value that begins so can be attached.
         */
        if (!attached && i + 1 < argc && strncmp(argv[i + 1], "--", 2))
            attached = argv[++i];
        if (!attached)
            return complain(message, size, "%s needs a value (%s)", name, o->value);
        if (set_value(o, name, attached, message, size))
            return -1;
    }
    return 0;
}
