/* SPDX-License-Identifier: MIT */
/* JSON as chat templates see it: members in the order given, numbers as they were
 * written (of any size), strings decoded. Written back the way Python's
 * json.dumps(value, ensure_ascii=False) does, because that is what the published
 * templates were rendered with; a library that turns numbers into doubles cannot do
 * that.
 *
 * Invariants: a document never changes after parsing; strings are well-formed UTF-8 and
 * may hold NUL; nesting is at most MOTE__JSON_DEPTH, so walking it may recurse. Of a
 * key given twice the first keeps its place and the last its value, as in Python. */
#ifndef MOTE_TEXT_JSON_VALUE_H
#define MOTE_TEXT_JSON_VALUE_H
#include "mote/common.h"

enum { MOTE__JSON_DEPTH = 200 };

enum {
    MOTE__JSON_NULL,
    MOTE__JSON_FALSE,
    MOTE__JSON_TRUE,
    MOTE__JSON_NUMBER,
    MOTE__JSON_STRING,
    MOTE__JSON_ARRAY,
    MOTE__JSON_OBJECT
};

typedef struct mote__json mote__json;
struct mote__json {
    uint32_t type;
    uint32_t key_bytes;
    const char *key;  /* of a member, else NULL */
    const char *text; /* of a string (decoded) or a number (as written) */
    size_t n;         /* bytes of text; elements of an array or object */
    const mote__json *first;
    const mote__json *next;
};

typedef struct mote__json_doc {
    mote__json *root;
    void *blocks; /* what the values live in */
} mote__json_doc;

/* Parse one value with nothing but white space around it; `what` names the text in
 * messages ("messages"). MOTE_E_FORMAT says what is wrong and at which byte. On failure
 * the document is empty; freeing it is allowed. */
mote_status mote__json_read(mote__json_doc *doc, const char *text, size_t n,
        const char *what, mote_error *err);
void mote__json_free(mote__json_doc *doc);

/* Member of an object, or NULL: absent, or `value` is NULL or not an object. */
const mote__json *mote__json_get(const mote__json *value, const char *key);
/* 1 when `value` is a string equal to `text`. */
int mote__json_equals(const mote__json *value, const char *text);
/* Python's truth of a value; NULL is false. */
int mote__json_truth(const mote__json *value);

/* Where text is written. */
typedef void (*mote__json_sink)(void *user, const char *text, size_t n);
/* json.dumps(value, ensure_ascii=False). */
void mote__json_dump(const mote__json *value, mote__json_sink sink, void *user);
/* Python's repr of a number: points into the value (whole numbers, of any size) or into
 * `scratch`; returns the length. */
enum { MOTE__JSON_NUMBER_SCRATCH = 48 };
size_t mote__json_number(const mote__json *value,
        char scratch[MOTE__JSON_NUMBER_SCRATCH], const char **text);
#endif
