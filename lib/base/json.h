/* SPDX-License-Identifier: MIT */
/* Reading JSON from files nobody has checked. The text is scanned once before the
 * parser sees it, so that nesting (stack) and the number of values (memory) have limits
 * that do not depend on the parser. Duplicate keys, unpaired surrogates, invalid UTF-8,
 * numbers that overflow and trailing text are errors.
 *
 * The typed getters fail with one sentence that names the place, the field, what was
 * expected and what was found. A field that is absent or null has its default. */
#ifndef MOTE_BASE_JSON_H
#define MOTE_BASE_JSON_H
#include "mote/common.h"

#include <jansson.h>

#define MOTE__JSON_DEPTH_MAX 64u
#define MOTE__JSON_VALUES_MAX 8000000u
#define MOTE__JSON_BYTES_MAX ((size_t)256 << 20)

/* Parse an object or array. `where` names the text in messages ("config.json"). Release
 * with json_decref(). */
mote_status mote__json_parse(json_t **out, const char *text, size_t size,
        const char *where, mote_error *err);

/* A short description of a value for messages: `"abc"`, `-3`, `null`, `an array of 2`.
 */
typedef struct mote__json_text {
    char s[80];
} mote__json_text;
const char *mote__json_found(mote__json_text *t, const json_t *value);
/* "<where>: <field>: expected <expected>, found <value>" with MOTE_E_FORMAT. */
mote_status mote__json_wrong(const char *where, const char *field, const char *expected,
        const json_t *value, mote_error *err);

/* The member, or NULL when it is absent or null. */
const json_t *mote__json_member(const json_t *object, const char *field);
/* An integer from lo to hi; `absent` when there is none. */
mote_status mote__json_int(int64_t *out, const json_t *object, const char *where,
        const char *field, int64_t lo, int64_t hi, int64_t absent, mote_error *err);
/* A finite number (integers count) from lo to hi. */
mote_status mote__json_double(double *out, const json_t *object, const char *where,
        const char *field, double lo, double hi, double absent, mote_error *err);
/* true or false as 1 or 0. */
mote_status mote__json_bool(uint32_t *out, const json_t *object, const char *where,
        const char *field, uint32_t absent, mote_error *err);
/* Borrowed from the parsed tree. */
mote_status mote__json_string(const char **out, const json_t *object, const char *where,
        const char *field, const char *absent, mote_error *err);
/* NULL when absent. */
mote_status mote__json_object(const json_t **out, const json_t *object,
        const char *where, const char *field, mote_error *err);
#endif
