/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "base/status.h"

#include "mote/model.h"
#include "mote/pack.h"
#include "mote/sampler.h"
#include "mote/session.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A struct_size above this is damage, not a later version. */
enum { STRUCT_SIZE_MAX = 4096 };

/* ---- the list as a table, checked by the compiler -------------------------------- */

#define CLASS_OF(x)                                                                    \
    _Generic((x), uint32_t : 1, int32_t : 2, float : 3, uint64_t : 4,                  \
             const char * : 5, default                                                 \
             : sizeof(x) == sizeof(void *) ? 6 : 0)
#define CLASS_U32 1
#define CLASS_CHOICE 1
#define CLASS_RESERVED 1
#define CLASS_I32 2
#define CLASS_F32 3
#define CLASS_U64 4
#define CLASS_BYTES 4
#define CLASS_NAME 5
#define CLASS_TEXT 5
#define CLASS_POINTER 6
#define FIELD(type, field) (((type *)0)->field)

#define STRUCT(kind, type, last)
#define OPTION(kind, type, field, t, min, max, names, zero, sentence)                  \
    _Static_assert(CLASS_OF(FIELD(type, field)) == CLASS_##t, #type "." #field);
#include "options.def"
#undef OPTION

/* Every field is listed and there are no holes: the sizes add up. (A struct with
 * pointers may end in a hole where pointers have 4 bytes.) */
#if UINTPTR_MAX > 0xffffffffu
#undef STRUCT
#define STRUCT(kind, type, last) +4 - sizeof(type)
#define OPTION(kind, type, field, t, min, max, names, zero, sentence)                  \
    +sizeof FIELD(type, field)
_Static_assert((0
#include "options.def"
                       ) == 0,
        "options.def does not list the structs as they are");
#undef OPTION
#endif

/* What a person may write: the range, or the names. */
#define RANGE(min, max, names) #min " to " #max names
#define VALUES_U32(min, max, names) RANGE(min, max, names)
#define VALUES_I32(min, max, names) RANGE(min, max, names)
#define VALUES_F32(min, max, names) RANGE(min, max, names)
#define VALUES_U64(min, max, names) "0 to 18446744073709551615"
#define VALUES_BYTES(min, max, names) "a number of bytes, or with K, M, G or T"
#define VALUES_CHOICE(min, max, names) names
#define VALUES_NAME(min, max, names) names
#define VALUES_TEXT(min, max, names) "text"
#define VALUES_POINTER(min, max, names) ""
#define VALUES_RESERVED(min, max, names) ""

#undef STRUCT
#define STRUCT(kind, type, last)
#define OPTION_MODEL(...)
#define OPTION_SESSION(...)
#define OPTION_SAMPLER(...)
#define OPTION_GENERATE(...)
#define OPTION_PACK(...)
#define ROW(type, field, t, min, max, names, zero, sentence)                           \
    {#field, names, VALUES_##t(min, max, names), zero,                                 \
            sentence " (default: " zero ")", min, max, MOTE__OPTION_##t,               \
            (uint32_t)offsetof(type, field), (uint32_t)sizeof FIELD(type, field)},
#define OPTION(kind, ...) OPTION_##kind(__VA_ARGS__)

#undef OPTION_MODEL
#define OPTION_MODEL(...) ROW(__VA_ARGS__)
static const mote__option model_options[] = {
#include "options.def"
};
#undef OPTION_MODEL
#define OPTION_MODEL(...)
#undef OPTION_SESSION
#define OPTION_SESSION(...) ROW(__VA_ARGS__)
static const mote__option session_options[] = {
#include "options.def"
};
#undef OPTION_SESSION
#define OPTION_SESSION(...)
#undef OPTION_SAMPLER
#define OPTION_SAMPLER(...) ROW(__VA_ARGS__)
static const mote__option sampler_options[] = {
#include "options.def"
};
#undef OPTION_SAMPLER
#define OPTION_SAMPLER(...)
#undef OPTION_GENERATE
#define OPTION_GENERATE(...) ROW(__VA_ARGS__)
static const mote__option generate_options[] = {
#include "options.def"
};
#undef OPTION_GENERATE
#define OPTION_GENERATE(...)
#undef OPTION_PACK
#define OPTION_PACK(...) ROW(__VA_ARGS__)
static const mote__option pack_options[] = {
#include "options.def"
};
#undef OPTION

#define ROWS_MODEL model_options
#define ROWS_SESSION session_options
#define ROWS_SAMPLER sampler_options
#define ROWS_GENERATE generate_options
#define ROWS_PACK pack_options
#undef STRUCT
#define OPTION(...)
#define STRUCT(kind, type, last)                                                       \
    [MOTE_OPTIONS_##kind] = {#type, ROWS_##kind,                                       \
            (uint32_t)(sizeof ROWS_##kind / sizeof *ROWS_##kind),                      \
            (uint32_t)sizeof(type),                                                    \
            (uint32_t)(offsetof(type, last) + sizeof FIELD(type, last))},
static const mote__option_struct structs[] = {
#include "options.def"
};

/* The isa that a struct points to after it was set or taken: lives as long as the
 * library. */
static const char *const isa_names[] = {
        "scalar", "avx2", "avx512", "avx512bf16", "neon", "neon_dot"};

const mote__option_struct *mote__options_of(int32_t kind)
{
    return kind >= MOTE_OPTIONS_MODEL && kind <= MOTE_OPTIONS_PACK ? &structs[kind]
                                                                   : NULL;
}

static const char *isa_name(const char *text)
{
    for (size_t i = 0; i < sizeof isa_names / sizeof *isa_names; i++)
        if (strcmp(isa_names[i], text) == 0)
            return isa_names[i];
    return NULL;
}

/* ---- bounds ---------------------------------------------------------------------- */

static int is_settable(const mote__option *o)
{
    return o->type != MOTE__OPTION_POINTER && o->type != MOTE__OPTION_RESERVED;
}

/* Check the value at `field`; NAME fields are replaced by the static name. */
static mote_status check_field(const mote__option *o, void *field, mote_error *err)
{
    double found = 0;
    switch (o->type) {
    case MOTE__OPTION_U32:
    case MOTE__OPTION_CHOICE:
    case MOTE__OPTION_RESERVED: {
        uint32_t v;
        memcpy(&v, field, sizeof v);
        found = v;
        break;
    }
    case MOTE__OPTION_I32: {
        int32_t v;
        memcpy(&v, field, sizeof v);
        found = v;
        break;
    }
    case MOTE__OPTION_F32: {
        float v;
        memcpy(&v, field, sizeof v);
        found = (double)v;
        break;
    }
    case MOTE__OPTION_NAME: {
        const char *v;
        memcpy(&v, field, sizeof v);
        if (!v)
            return MOTE_OK;
        const char *name = isa_name(v);
        if (!name)
            return mote__fail(err, MOTE_E_INVALID,
                    "%s: expected one of %s, found '%.40s'", o->name, o->names, v);
        memcpy(field, &name, sizeof name);
        return MOTE_OK;
    }
    default:
        return MOTE_OK;
    }
    if (found >= o->min && found <= o->max) /* false for NaN */
        return MOTE_OK;
    if (o->type == MOTE__OPTION_CHOICE)
        return mote__fail(err, MOTE_E_INVALID, "%s: expected one of %s, found %.0f",
                o->name, o->names, found);
    return mote__fail(err, MOTE_E_INVALID, "%s: expected %.0f to %.0f, found %.9g",
            o->name, o->min, o->max, found);
}

/* Pointers that belong together. */
static mote_status check_pointers(int32_t kind, const void *dst, mote_error *err)
{
    if (kind == MOTE_OPTIONS_MODEL) {
        const mote_model_options *o = dst;
        if (!o->alloc != !o->free)
            return mote__fail(err, MOTE_E_INVALID,
                    "alloc and free: expected both or neither, found only %s",
                    o->alloc ? "alloc" : "free");
    } else if (kind == MOTE_OPTIONS_SAMPLER) {
        const mote_sampler_options *o = dst;
        if (o->n_bias && (!o->bias_tokens || !o->bias_values))
            return mote__fail(err, MOTE_E_INVALID,
                    "n_bias is %" PRIu32 ": expected %s, found NULL", o->n_bias,
                    o->bias_tokens ? "bias_values" : "bias_tokens");
    } else if (kind == MOTE_OPTIONS_GENERATE) {
        const mote_generate_options *o = dst;
        if (o->n_stop && !o->stop)
            return mote__fail(err, MOTE_E_INVALID,
                    "n_stop is %" PRIu32 ": expected stop, found NULL", o->n_stop);
        for (uint32_t i = 0; i < o->n_stop; i++)
            if (!o->stop[i] || !o->stop[i][0])
                return mote__fail(err, MOTE_E_INVALID,
                        "stop[%" PRIu32 "]: expected text, found %s", i,
                        o->stop[i] ? "an empty string" : "NULL");
    }
    return MOTE_OK;
}

static mote_status check_size(
        const mote__option_struct *s, uint32_t struct_size, mote_error *err)
{
    if (struct_size >= s->size_min && struct_size <= STRUCT_SIZE_MAX)
        return MOTE_OK;
    return mote__fail(err, MOTE_E_INVALID,
            "%s: expected a struct_size of %" PRIu32 " to %d, found %" PRIu32
            " (set by its ..._INIT)",
            s->name, s->size_min, STRUCT_SIZE_MAX, struct_size);
}

static mote_status take(int32_t kind, const mote__option_struct *s, char *dst,
        const char *src, mote_error *err)
{
    uint32_t theirs;
    memcpy(&theirs, src, sizeof theirs);
    mote_status st = check_size(s, theirs, err);
    if (st < 0)
        return st;
    for (uint32_t i = s->size; i < theirs; i++)
        if (src[i])
            return mote__fail(err, MOTE_E_INVALID,
                    "%s: the caller sets an option at byte %" PRIu32
                    " that this library does not have; a later version is needed",
                    s->name, i);
    memcpy(dst, src, theirs < s->size ? theirs : s->size);
    memcpy(dst, &s->size, sizeof s->size);
    for (uint32_t i = 0; i < s->n_options; i++)
        if ((st = check_field(&s->options[i], dst + s->options[i].offset, err)) < 0)
            return st;
    return check_pointers(kind, dst, err);
}

mote_status mote__options_take(
        int32_t kind, void *dst, const void *src, mote_error *err)
{
    const mote__option_struct *s = mote__options_of(kind);
    if (!s)
        return mote__fail(err, MOTE_E_INVALID,
                "expected a kind of options, found %" PRId32, kind);
    memset(dst, 0, s->size);
    memcpy(dst, &s->size, sizeof s->size);
    if (!src)
        return MOTE_OK;
    mote_status st = take(kind, s, dst, src, err);
    if (st < 0) {
        memset(dst, 0, s->size);
        memcpy(dst, &s->size, sizeof s->size);
    }
    return st;
}

/* ---- text ------------------------------------------------------------------------ */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Decimal digits up to `max`; NULL when there are none or too many, else the end. */
static const char *read_digits(const char *p, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (!is_digit(*p))
        return NULL;
    for (; is_digit(*p); p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (v > (max - digit) / 10)
            return NULL;
        v = v * 10 + digit;
    }
    *out = v;
    return p;
}

/* A decimal number, whatever the locale says; -1 when it is none. The first 19 digits
 * count, which is more than a float holds. */
static int read_float(const char *p, float *out)
{
    uint64_t mantissa = 0;
    int32_t exponent = 0, n_digits = 0, negative = *p == '-', point = 0;
    if (*p == '-' || *p == '+')
        p++;
    for (; is_digit(*p) || (*p == '.' && !point); p++) {
        if (*p == '.') {
            point = 1;
            continue;
        }
        if (++n_digits > 400)
            return -1;
        if (mantissa < UINT64_C(1000000000000000000)) {
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
            exponent -= point;
        } else {
            exponent += !point;
        }
    }
    if (n_digits == 0)
        return -1;
    if (*p == 'e' || *p == 'E') {
        int down = *++p == '-';
        uint64_t e;
        if (*p == '-' || *p == '+')
            p++;
        if (!(p = read_digits(p, 1000, &e)))
            return -1;
        exponent += down ? -(int32_t)e : (int32_t)e;
    }
    if (*p)
        return -1;
    double v = (double)mantissa, power = 10;
    uint32_t e = mantissa ? (uint32_t)(exponent < 0 ? -exponent : exponent) : 0;
    for (; e; e >>= 1) {
        if (e & 1)
            v = exponent < 0 ? v / power : v * power;
        power *= power;
    }
    if (!(v <= 3.4028234663852886e38))
        return -1;
    *out = (float)(negative ? -v : v);
    return 0;
}

/* The value that a "name=value, ..." list gives to a name; -1 when it has none. */
static int read_name(const char *names, const char *text, uint64_t *out)
{
    size_t n = strlen(text);
    for (const char *p = names; *p;) {
        while (*p == ',' || *p == ' ')
            p++;
        size_t length = strcspn(p, "=,");
        if (p[length] == '=' && n == length && memcmp(p, text, n) == 0)
            return read_digits(p + length + 1, UINT64_MAX, out) ? 0 : -1;
        p += strcspn(p, ",");
    }
    return -1;
}

/* Read `text` as the option's type into `field` (8 bytes); -1 when it is not of it. */
static int read_value(const mote__option *o, const char *text, void *field)
{
    uint64_t v = 0;
    const char *end = NULL;
    switch (o->type) {
    case MOTE__OPTION_U32:
    case MOTE__OPTION_CHOICE: {
        if (read_name(o->names, text, &v) < 0 &&
                (!(end = read_digits(text, UINT32_MAX, &v)) || *end))
            return -1;
        uint32_t u = (uint32_t)v;
        memcpy(field, &u, sizeof u);
        return 0;
    }
    case MOTE__OPTION_I32: {
        int negative = *text == '-';
        if (!(end = read_digits(text + negative, INT32_MAX, &v)) || *end)
            return -1;
        int32_t i = negative ? -(int32_t)v : (int32_t)v;
        memcpy(field, &i, sizeof i);
        return 0;
    }
    case MOTE__OPTION_F32: {
        float f;
        if (read_float(text, &f) < 0)
            return -1;
        memcpy(field, &f, sizeof f);
        return 0;
    }
    case MOTE__OPTION_U64:
    case MOTE__OPTION_BYTES: {
        if (!(end = read_digits(text, UINT64_MAX, &v)))
            return -1;
        if (*end && o->type == MOTE__OPTION_BYTES) {
            const char *unit = strchr("KMGT", *end++);
            if (!unit)
                return -1;
            int shift = (int)(unit - "KMGT" + 1) * 10;
            if (v > UINT64_MAX >> shift)
                return -1;
            v <<= shift;
        }
        if (*end)
            return -1;
        memcpy(field, &v, sizeof v);
        return 0;
    }
    case MOTE__OPTION_NAME: {
        const char *name = isa_name(text);
        if (!name)
            return -1;
        memcpy(field, &name, sizeof name);
        return 0;
    }
    default:
        memcpy(field, &text, sizeof text);
        return 0;
    }
}

/* What may be written, for a message: the names without the numbers that they stand
 * for, "a, b or c", or the range and then the names. NAME_LIST_MAX holds any of
 * options.def (a test asks every option). */
enum { NAME_LIST_MAX = 160 };
static const char *what_may_be_written(const mote__option *o, char *text)
{
    if (o->type != MOTE__OPTION_NAME && !strchr(o->values, '='))
        return o->values;
    size_t n = 0;
    for (const char *p = o->values; *p && n < NAME_LIST_MAX - 8;) {
        size_t length = strcspn(p, "=,"), entry = strcspn(p, ",");
        const char *next = p + entry + strspn(p + entry, ", ");
        if (n)
            n += (size_t)snprintf(
                    text + n, NAME_LIST_MAX - n, "%s", *next ? ", " : " or ");
        if (length > NAME_LIST_MAX - 8 - n)
            length = NAME_LIST_MAX - 8 - n;
        n += (size_t)snprintf(text + n, NAME_LIST_MAX - n, "%.*s", (int)length, p);
        p = next;
    }
    return text;
}

mote_status mote_options_set_text(int32_t kind, void *options, const char *name,
        const char *value, mote_error *err)
{
    mote__clear(err);
    const mote__option_struct *s = mote__options_of(kind);
    if (!s)
        return mote__fail(err, MOTE_E_INVALID,
                "kind: expected MOTE_OPTIONS_MODEL (1) to MOTE_OPTIONS_PACK (5), found "
                "%" PRId32,
                kind);
    if (!options || !name || !value)
        return mote__fail(err, MOTE_E_INVALID, "%s: expected a pointer, found NULL",
                !options ? "options"
                : !name  ? "name"
                         : "value");
    uint32_t theirs;
    memcpy(&theirs, options, sizeof theirs);
    mote_status st = check_size(s, theirs, err);
    if (st < 0)
        return st;
    const mote__option *o = s->options, *end = o + s->n_options;
    while (o < end && !(is_settable(o) && strcmp(o->name, name) == 0))
        o++;
    if (o == end || o->offset + o->size > theirs)
        return mote__fail(err, MOTE_E_NOT_FOUND,
                "%s: no option '%.60s' that text can set", s->name, name);
    union {
        char bytes[8];
        uint64_t u64;
        const char *text;
    } field = {{0}};
    if (read_value(o, value, &field) < 0 || (st = check_field(o, &field, NULL)) < 0) {
        char text[NAME_LIST_MAX] = "";
        return mote__fail(err, MOTE_E_INVALID, "%s: expected %s, found '%.60s'",
                o->name, what_may_be_written(o, text), value);
    }
    memcpy((char *)options + o->offset, &field, o->size);
    return MOTE_OK;
}

mote_status mote_options_describe(int32_t kind, uint32_t index, const char **name,
        const char **type, const char **values, const char **sentence, mote_error *err)
{
    static const char *const types[] = {[MOTE__OPTION_U32] = "u32",
            [MOTE__OPTION_I32] = "i32",
            [MOTE__OPTION_F32] = "f32",
            [MOTE__OPTION_U64] = "u64",
            [MOTE__OPTION_BYTES] = "bytes",
            [MOTE__OPTION_CHOICE] = "choice",
            [MOTE__OPTION_NAME] = "name",
            [MOTE__OPTION_TEXT] = "text"};
    mote__clear(err);
    const mote__option *found = NULL;
    const mote__option_struct *s = mote__options_of(kind);
    if (s)
        for (uint32_t i = 0; i < s->n_options && !found; i++)
            if (is_settable(&s->options[i]) && index-- == 0)
                found = &s->options[i];
    if (name)
        *name = found ? found->name : NULL;
    if (type)
        *type = found ? types[found->type] : NULL;
    if (values)
        *values = found ? found->values : NULL;
    if (sentence)
        *sentence = found ? found->sentence : NULL;
    if (!s)
        return mote__fail(err, MOTE_E_INVALID,
                "kind: expected MOTE_OPTIONS_MODEL (1) to MOTE_OPTIONS_PACK (5), found "
                "%" PRId32,
                kind);
    return found ? MOTE_OK : MOTE_DONE;
}
