/* SPDX-License-Identifier: MIT */
/* What the compiler's files share. Nodes are made from JSON in one pass; $ref makes an
 * alias whose target is compiled later from a work list (once per target and set of
 * types), so recursion follows the text's nesting alone. */
#ifndef MOTE_TEXT_SCHEMA_COMPILE_H
#define MOTE_TEXT_SCHEMA_COMPILE_H
#include "base/status.h"
#include "text/schema_machine.h"
#include <jansson.h>

/* Types a value may have; "number" is both of the last. */
enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_OBJECT = 4,
    TYPE_ARRAY = 8,
    TYPE_STRING = 16,
    TYPE_INTEGER = 32,
    TYPE_FRACTION = 64,
    TYPE_NUMBER = TYPE_INTEGER | TYPE_FRACTION,
    TYPE_ANY = 127,
};

typedef struct schema_job { /* a $ref target to compile */
    json_t *json;
    const char *name; /* the text of the $ref */
    uint32_t types, alias;
} schema_job;

typedef struct literal_text { /* slice of schema_compiler.chars */
    size_t begin, n_bytes;
} literal_text;

typedef struct schema_key { /* name of schema->props[prop] */
    size_t begin, n_bytes;  /* as quoted JSON, slice of chars */
    uint32_t n_characters;
} schema_key;

typedef struct schema_compiler {
    mote_schema *s;
    json_t *root;
    mote_error *err;
    schema_job *jobs;
    size_t n_jobs, jobs_cap;
    uint32_t *job_table; /* hash -> job + 1 */
    size_t job_table_size;
    uint32_t *list; /* branches of unions */
    size_t n_list, list_cap;
    char *chars; /* literals and keys, as they will be generated */
    size_t n_chars, chars_cap;
    literal_text *texts;
    size_t n_texts, texts_cap;
    schema_key *keys; /* by property, sentinels included */
    size_t n_keys, keys_cap;
    json_t *kept;               /* array: branches made while compiling */
    uint32_t any[TYPE_ANY + 1]; /* node of "any value of these types", or NONE */
    const char *path[SCHEMA_JSON_DEPTH_MAX + 2]; /* where we are, for messages */
    uint32_t n_path;
} schema_compiler;

#define SCHEMA_TRY(call)                                                               \
    do {                                                                               \
        mote_status try_status = (call);                                               \
        if (try_status < 0)                                                            \
            return try_status;                                                         \
    } while (0)

/* schema_compile.c */
mote_status mote__schema_fail(const schema_compiler *c, mote_status status,
        const char *format, ...) MOTE__PRINTF(3, 4);
mote_status mote__schema_memory(const schema_compiler *c);
/* Compile a subschema for values of these types. */
mote_status mote__schema_value(schema_compiler *c, json_t *json, uint32_t types,
        const char *name, uint32_t *out);
mote_status mote__schema_node_add(
        schema_compiler *c, const schema_node *node, uint32_t *out);
/* Any value of these types. */
mote_status mote__schema_any(schema_compiler *c, uint32_t types, uint32_t *out);
/* Union of nodes. */
mote_status mote__schema_union(
        schema_compiler *c, const uint32_t *nodes, uint32_t n, uint32_t *out);
/* The text that a literal value is generated as: compact, shortest numbers. */
mote_status mote__schema_text(
        schema_compiler *c, const json_t *value, literal_text *out);
/* Target of a "$ref" within the root, or NULL with an error. */
json_t *mote__schema_resolve(const schema_compiler *c, const json_t *ref);
/* Types named by a "type" keyword, 0 with an error where it is malformed. */
uint32_t mote__schema_types(const schema_compiler *c, const json_t *type);
uint32_t mote__schema_type_of(const json_t *value);

/* schema_keywords.c: one concrete node from the keywords of its type. */
mote_status mote__schema_object(schema_compiler *c, json_t *json, uint32_t *out);
mote_status mote__schema_array(schema_compiler *c, json_t *json, uint32_t *out);
mote_status mote__schema_string(schema_compiler *c, json_t *json, uint32_t *out);
mote_status mote__schema_number(
        schema_compiler *c, json_t *json, int whole, uint32_t *out);

/* schema_exclusive.c: MOTE_OK where no generated value can match two branches of a
 * oneOf. *out: the branches to generate from, a new array. */
mote_status mote__schema_exclusive(schema_compiler *c, json_t *branches, json_t **out);

/* schema_finish.c: unions flattened, depths, tries, sizes. */
mote_status mote__schema_finish(schema_compiler *c);
#endif
