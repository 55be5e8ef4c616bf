/* SPDX-License-Identifier: MIT */
/* A schema text becomes nodes: which keywords there are, which are refused, and how the
 * ones that combine schemas are read.
 *
 * What is generated may be less than what the schema allows, never more: a schema with
 * "properties" and no "type" gives objects, properties come in the schema's order,
 * values of enum and const in one spelling. A keyword that is not understood is
 * refused, since ignoring it could let an invalid value through. */
#include "text/schema_compile.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum keyword_class {
    KEY_IGNORED = 1,
    KEY_TYPE = 2,
    KEY_OBJECT = 4,
    KEY_ARRAY = 8,
    KEY_STRING = 16,
    KEY_NUMBER = 32,
    KEY_CONSTRAINT = KEY_OBJECT | KEY_ARRAY | KEY_STRING | KEY_NUMBER,
    KEY_ENUM = 64,
    KEY_CONST = 128,
    KEY_REF = 256,
    KEY_ANY_OF = 512,
    KEY_ONE_OF = 1024,
    KEY_ALL_OF = 2048,
    KEY_COMBINE = KEY_ENUM | KEY_CONST | KEY_REF | KEY_ANY_OF | KEY_ONE_OF | KEY_ALL_OF,
};

static const struct {
    const char *name;
    uint32_t class;
} keywords[] = {
        {"type", KEY_TYPE},
        {"properties", KEY_OBJECT},
        {"required", KEY_OBJECT},
        {"additionalProperties", KEY_OBJECT},
        {"items", KEY_ARRAY},
        {"prefixItems", KEY_ARRAY},
        {"minItems", KEY_ARRAY},
        {"maxItems", KEY_ARRAY},
        {"minLength", KEY_STRING},
        {"maxLength", KEY_STRING},
        {"minimum", KEY_NUMBER},
        {"maximum", KEY_NUMBER},
        {"exclusiveMinimum", KEY_NUMBER},
        {"exclusiveMaximum", KEY_NUMBER},
        {"enum", KEY_ENUM},
        {"const", KEY_CONST},
        {"$ref", KEY_REF},
        {"anyOf", KEY_ANY_OF},
        {"oneOf", KEY_ONE_OF},
        {"allOf", KEY_ALL_OF},
        {"title", KEY_IGNORED},
        {"description", KEY_IGNORED},
        {"default", KEY_IGNORED},
        {"examples", KEY_IGNORED},
        {"example", KEY_IGNORED},
        {"deprecated", KEY_IGNORED},
        {"readOnly", KEY_IGNORED},
        {"writeOnly", KEY_IGNORED},
        {"format", KEY_IGNORED}, /* an annotation, as the standard has it */
        {"contentEncoding", KEY_IGNORED},
        {"contentMediaType", KEY_IGNORED},
        {"discriminator", KEY_IGNORED},
        {"$comment", KEY_IGNORED},
        {"$schema", KEY_IGNORED},
        {"$defs", KEY_IGNORED},
        {"definitions", KEY_IGNORED},
};

mote_status mote__schema_fail(
        const schema_compiler *c, mote_status status, const char *format, ...)
{
    char detail[300], where[160];
    size_t n = 0;
    va_list ap;
    va_start(ap, format);
    vsnprintf(detail, sizeof detail, format, ap);
    va_end(ap);
    where[0] = '\0';
    for (uint32_t i = 0; i < c->n_path && n < sizeof where - 1; i++) {
        int k = snprintf(
                where + n, sizeof where - n, "%s%.60s", i ? "/" : "", c->path[i]);
        n += k > 0 ? (size_t)k : 0;
    }
    return mote__fail(c->err, status, "schema at %s: %s", where, detail);
}

mote_status mote__schema_memory(const schema_compiler *c)
{
    return mote__schema_fail(c, MOTE_E_MEMORY, "out of memory");
}

mote_status mote__schema_node_add(
        schema_compiler *c, const schema_node *node, uint32_t *out)
{
    mote_schema *s = c->s;
    if (s->n_nodes >= SCHEMA_NODES_MAX)
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                "the schema has more than %d parts", SCHEMA_NODES_MAX);
    if (mote__grow((void **)&s->nodes, &s->nodes_cap, s->n_nodes + 1, sizeof *s->nodes))
        return mote__schema_memory(c);
    *out = (uint32_t)s->n_nodes;
    s->nodes[s->n_nodes++] = *node;
    return MOTE_OK;
}

/* Room for n branches in c->list, for an alias or a union. */
static mote_status list_node(schema_compiler *c, uint8_t kind, const uint32_t *nodes,
        uint32_t n, uint32_t *out)
{
    schema_node node = {.kind = kind};
    node.u.list.begin = (uint32_t)c->n_list;
    node.u.list.n = n;
    if (c->n_list + n > SCHEMA_POOL_MAX)
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED, "too many branches");
    if (mote__grow((void **)&c->list, &c->list_cap, c->n_list + n + 1, sizeof *c->list))
        return mote__schema_memory(c);
    for (uint32_t i = 0; i < n; i++)
        c->list[c->n_list + i] = nodes ? nodes[i] : SCHEMA_NONE;
    c->n_list += n;
    return mote__schema_node_add(c, &node, out);
}

mote_status mote__schema_union(
        schema_compiler *c, const uint32_t *nodes, uint32_t n, uint32_t *out)
{
    return list_node(c, NODE_UNION, nodes, n, out);
}

uint32_t mote__schema_type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_NULL:
        return TYPE_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return TYPE_BOOLEAN;
    case JSON_OBJECT:
        return TYPE_OBJECT;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_INTEGER:
        return TYPE_INTEGER;
    case JSON_REAL: {
        double d = json_real_value(v);
        int whole = d >= -9e15 && d <= 9e15 && (double)(int64_t)d == d;
        return whole ? TYPE_INTEGER : TYPE_FRACTION;
    }
    default:
        return 0;
    }
}

static uint32_t type_named(const char *name)
{
    static const struct {
        const char *name;
        uint32_t type;
    } types[] = {{"null", TYPE_NULL}, {"boolean", TYPE_BOOLEAN},
            {"object", TYPE_OBJECT}, {"array", TYPE_ARRAY}, {"string", TYPE_STRING},
            {"integer", TYPE_INTEGER}, {"number", TYPE_NUMBER}};
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0)
            return types[i].type;
    return 0;
}

uint32_t mote__schema_types(const schema_compiler *c, const json_t *type)
{
    uint32_t types = type_named(json_string_value(type));
    int bad = !types;
    if (json_is_array(type)) {
        bad = json_array_size(type) == 0;
        for (size_t i = 0; i < json_array_size(type); i++) {
            uint32_t t = type_named(json_string_value(json_array_get(type, i)));
            bad |= !t;
            types |= t;
        }
    }
    if (!bad)
        return types;
    mote__schema_fail(c, MOTE_E_FORMAT,
            "\"type\": expected null, boolean, object, array, string, integer or "
            "number, "
            "or an array of these");
    return 0;
}

/* Does a value hold a real number? -1: nested too deeply to tell. */
static int has_real(const json_t *v, int depth)
{
    int r = json_is_real(v);
    size_t i;
    const char *name;
    json_t *sub;
    if (depth > SCHEMA_JSON_DEPTH_MAX)
        return -1;
    if (json_is_array(v))
        for (i = 0; i < json_array_size(v) && r >= 0; i++) {
            int k = has_real(json_array_get(v, i), depth + 1);
            r = k < 0 ? k : r | k;
        }
    if (json_is_object(v))
        json_object_foreach((json_t *)(uintptr_t)v, name, sub)
        {
            int k = has_real(sub, depth + 1);
            r = k < 0 || r < 0 ? -1 : r | k;
        }
    return r;
}

mote_status mote__schema_text(schema_compiler *c, const json_t *v, literal_text *out)
{
    int real = has_real(v, 0);
    if (real < 0)
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                "a value is nested deeper than %d", SCHEMA_JSON_DEPTH_MAX);
    for (int precision = real ? 15 : 17;; precision++) {
        size_t flags =
                JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION((size_t)precision);
        size_t n = json_dumpb(v, NULL, 0, flags);
        if (n == 0 || c->n_chars + n > SCHEMA_POOL_MAX)
            return mote__schema_fail(c, MOTE_E_UNSUPPORTED, "too many literal values");
        if (mote__grow((void **)&c->chars, &c->chars_cap, c->n_chars + n, 1))
            return mote__schema_memory(c);
        json_dumpb(v, c->chars + c->n_chars, n, flags);
        if (precision < 17) { /* the shortest that reads back the same */
            json_t *back = json_loadb(c->chars + c->n_chars, n, JSON_DECODE_ANY, NULL);
            int same = json_equal(back, v);
            json_decref(back);
            if (!same)
                continue;
        }
        *out = (literal_text){c->n_chars, n};
        c->n_chars += n;
        return MOTE_OK;
    }
}

static mote_status add_text(schema_compiler *c, const json_t *v)
{
    literal_text text = {0, 0};
    SCHEMA_TRY(mote__schema_text(c, v, &text));
    if (c->n_texts >= SCHEMA_POOL_MAX)
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED, "too many literal values");
    if (mote__grow((void **)&c->texts, &c->texts_cap, c->n_texts + 1, sizeof *c->texts))
        return mote__schema_memory(c);
    c->texts[c->n_texts++] = text;
    return MOTE_OK;
}

static mote_status literal_node(schema_compiler *c, size_t text_begin, uint32_t *out)
{
    schema_node node = {.kind = NODE_LITERAL};
    node.u.literal.text_begin = (uint32_t)text_begin;
    node.u.literal.n_texts = (uint32_t)(c->n_texts - text_begin);
    if (!node.u.literal.n_texts)
        return mote__schema_union(c, NULL, 0, out);
    return mote__schema_node_add(c, &node, out);
}

/* The nodes of free values. The first one is any value: its parts refer to it. */
static mote_status free_values(schema_compiler *c)
{
    uint32_t all[6], key;
    size_t begin = 0;
    for (int i = 0; i <= TYPE_ANY; i++)
        c->any[i] = SCHEMA_NONE;
    SCHEMA_TRY(mote__schema_union(c, NULL, 6, &c->any[TYPE_ANY]));
    uint32_t any = c->any[TYPE_ANY];
    SCHEMA_TRY(add_text(c, json_null()));
    SCHEMA_TRY(literal_node(c, begin, &c->any[TYPE_NULL]));
    begin = c->n_texts;
    SCHEMA_TRY(add_text(c, json_true()));
    SCHEMA_TRY(add_text(c, json_false()));
    SCHEMA_TRY(literal_node(c, begin, &c->any[TYPE_BOOLEAN]));
    json_t *empty = json_object();
    if (!empty)
        return mote__schema_memory(c);
    mote_status st = mote__schema_string(c, empty, &c->any[TYPE_STRING]);
    if (st == MOTE_OK)
        st = mote__schema_number(c, empty, 1, &c->any[TYPE_INTEGER]);
    if (st == MOTE_OK)
        st = mote__schema_number(c, empty, 0, &c->any[TYPE_NUMBER]);
    json_decref(empty);
    SCHEMA_TRY(st);
    schema_node array = {.kind = NODE_ARRAY};
    array.u.array.rest = any;
    array.u.array.max = SCHEMA_ITEMS_DEFAULT;
    SCHEMA_TRY(mote__schema_node_add(c, &array, &c->any[TYPE_ARRAY]));
    schema_node name = {.kind = NODE_STRING};
    name.u.string.max = SCHEMA_KEY_DEFAULT;
    name.u.string.exclude = SCHEMA_NONE;
    SCHEMA_TRY(mote__schema_node_add(c, &name, &key));
    mote_schema *s = c->s;
    schema_node object = {.kind = NODE_OBJECT};
    object.u.object.prop_begin = (uint32_t)s->n_props;
    object.u.object.keys = SCHEMA_NONE;
    object.u.object.extra = any;
    object.u.object.key = key;
    if (mote__grow(
                (void **)&s->props, &s->props_cap, s->n_props + 1, sizeof *s->props) ||
            mote__grow(
                    (void **)&c->keys, &c->keys_cap, s->n_props + 1, sizeof *c->keys))
        return mote__schema_memory(c);
    memset(&c->keys[s->n_props], 0, sizeof *c->keys);
    s->props[s->n_props++] = (schema_prop){SCHEMA_NONE, 0};
    SCHEMA_TRY(mote__schema_node_add(c, &object, &c->any[TYPE_OBJECT]));
    all[0] = c->any[TYPE_NULL];
    all[1] = c->any[TYPE_BOOLEAN];
    all[2] = c->any[TYPE_OBJECT];
    all[3] = c->any[TYPE_ARRAY];
    all[4] = c->any[TYPE_STRING];
    all[5] = c->any[TYPE_NUMBER];
    memcpy(&c->list[s->nodes[any].u.list.begin], all, sizeof all);
    return MOTE_OK;
}

mote_status mote__schema_any(schema_compiler *c, uint32_t types, uint32_t *out)
{
    uint32_t parts[6], n = 0;
    if (types & TYPE_FRACTION)
        types |= TYPE_NUMBER;
    if (c->any[types] == SCHEMA_NONE) {
        for (uint32_t t = 1; t <= TYPE_STRING; t <<= 1)
            if (types & t)
                parts[n++] = c->any[t];
        if (types & TYPE_NUMBER)
            parts[n++] = c->any[types & TYPE_NUMBER];
        SCHEMA_TRY(mote__schema_union(c, parts, n, &c->any[types]));
    }
    *out = c->any[types];
    return MOTE_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next step of a JSON pointer: "~1" is '/', "~0" is '~', "%41" is 'A'. Writes at
 * most cap bytes and a NUL; returns the length, or -1. */
static int pointer_step(const char **pointer, char *step, size_t cap)
{
    const char *p = *pointer;
    size_t n = 0;
    while (*p && *p != '/') {
        char ch = *p++;
        if (ch == '%') {
            int hi = hex_digit(p[0]), lo = hi < 0 ? -1 : hex_digit(p[1]);
            if (lo < 0)
                return -1;
            ch = (char)(hi * 16 + lo);
            p += 2;
        }
        if (ch == '~') {
            if (*p != '0' && *p != '1')
                return -1;
            ch = *p++ == '1' ? '/' : '~';
        }
        if (n == cap || !ch)
            return -1;
        step[n++] = ch;
    }
    step[n] = '\0';
    *pointer = p;
    return (int)n;
}

json_t *mote__schema_resolve(const schema_compiler *c, const json_t *ref)
{
    const char *text = json_string_value(ref);
    if (!text || text[0] != '#' || (text[1] && text[1] != '/')) {
        mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                "\"$ref\" to \"%.80s\": only \"#\" and \"#/...\" are supported",
                text ? text : "?");
        return NULL;
    }
    json_t *at = c->root;
    const char *p = text + 1;
    while (at && *p == '/') {
        char step[512];
        p++;
        int n = pointer_step(&p, step, sizeof step - 1);
        if (n < 0)
            at = NULL;
        else if (json_is_object(at))
            at = json_object_get(at, step);
        else {
            char *end;
            unsigned long i = strtoul(step, &end, 10);
            int digits = n > 0 && step[0] >= '0' && step[0] <= '9' && !*end;
            at = json_is_array(at) && digits ? json_array_get(at, i) : NULL;
        }
    }
    if (!at)
        mote__schema_fail(
                c, MOTE_E_FORMAT, "\"$ref\" to \"%.80s\": there is no such part", text);
    return at;
}

static uint32_t job_hash(const json_t *json, uint32_t types)
{
    uint64_t h = ((uint64_t)(uintptr_t)json >> 4) * 128 + types;
    return (uint32_t)((h * 0x9e3779b97f4a7c15u) >> 32);
}

static mote_status job_table_grow(schema_compiler *c)
{
    size_t size = c->job_table_size ? c->job_table_size * 2 : 64;
    if (c->n_jobs * 2 < c->job_table_size)
        return MOTE_OK;
    uint32_t *table = calloc(size, sizeof *table);
    if (!table)
        return mote__schema_memory(c);
    for (size_t i = 0; i < c->n_jobs; i++) {
        size_t at = job_hash(c->jobs[i].json, c->jobs[i].types) & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = (uint32_t)i + 1;
    }
    free(c->job_table);
    c->job_table = table;
    c->job_table_size = size;
    return MOTE_OK;
}

/* The alias of a $ref target, which is compiled later. */
static mote_status reference(
        schema_compiler *c, const json_t *ref, uint32_t types, uint32_t *out)
{
    json_t *target = mote__schema_resolve(c, ref);
    if (!target)
        return c->err ? c->err->status : MOTE_E_FORMAT;
    SCHEMA_TRY(job_table_grow(c));
    size_t mask = c->job_table_size - 1, at = job_hash(target, types) & mask;
    for (; c->job_table[at]; at = (at + 1) & mask) {
        const schema_job *job = &c->jobs[c->job_table[at] - 1];
        if (job->json == target && job->types == types) {
            *out = job->alias;
            return MOTE_OK;
        }
    }
    SCHEMA_TRY(list_node(c, NODE_ALIAS, NULL, 1, out));
    if (mote__grow((void **)&c->jobs, &c->jobs_cap, c->n_jobs + 1, sizeof *c->jobs))
        return mote__schema_memory(c);
    c->jobs[c->n_jobs++] = (schema_job){target, json_string_value(ref), types, *out};
    c->job_table[at] = (uint32_t)c->n_jobs;
    return MOTE_OK;
}

/* Values of enum that have one of the types. */
static mote_status enumeration(
        schema_compiler *c, const json_t *values, uint32_t types, uint32_t *out)
{
    size_t begin = c->n_texts;
    if (!json_is_array(values))
        return mote__schema_fail(c, MOTE_E_FORMAT, "\"enum\": expected an array");
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *v = json_array_get(values, i);
        if (mote__schema_type_of(v) & types)
            SCHEMA_TRY(add_text(c, v));
    }
    return literal_node(c, begin, out);
}

/* anyOf, oneOf, and allOf of one. */
static mote_status branches(schema_compiler *c, json_t *list, const char *name,
        uint32_t types, uint32_t *out)
{
    size_t n = json_array_size(list);
    if (n == 0)
        return mote__schema_fail(c, MOTE_E_FORMAT,
                "\"%s\": expected a non-empty array of schemas", name);
    if (name[1] == 'l' && n > 1) /* allOf */
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                "\"allOf\" of more than one schema is not supported");
    if (name[0] == 'o') {
        SCHEMA_TRY(mote__schema_exclusive(c, list, &list));
        if (json_array_append_new(c->kept, list))
            return mote__schema_memory(c);
    }
    SCHEMA_TRY(list_node(c, NODE_UNION, NULL, (uint32_t)n, out));
    size_t begin = c->s->nodes[*out].u.list.begin;
    for (size_t i = 0; i < n; i++) {
        uint32_t branch;
        SCHEMA_TRY(
                mote__schema_value(c, json_array_get(list, i), types, name, &branch));
        c->list[begin + i] = branch;
    }
    return MOTE_OK;
}

/* Keywords of an object schema by class; an error for those that are not understood. */
static mote_status classify(const schema_compiler *c, json_t *json, uint32_t *classes,
        const char **constraint)
{
    const char *name;
    json_t *value;
    *classes = 0;
    json_object_foreach(json, name, value)
    {
        uint32_t class = 0;
        for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
            if (strcmp(name, keywords[i].name) == 0)
                class = keywords[i].class;
        /* "$id" moves what "$ref" starts from, except at the root. */
        int no_op = strncmp(name, "x-", 2) == 0 ||
                    (strcmp(name, "$id") == 0 && json == c->root) ||
                    (strcmp(name, "uniqueItems") == 0 && json_is_false(value)) ||
                    (strcmp(name, "minProperties") == 0 && json_is_integer(value) &&
                            json_integer_value(value) == 0);
        if (!class && !no_op)
            return mote__schema_fail(
                    c, MOTE_E_UNSUPPORTED, "keyword \"%.60s\" is not supported", name);
        if (class & KEY_CONSTRAINT)
            *constraint = name;
        *classes |= class;
    }
    return MOTE_OK;
}

static mote_status combined(
        schema_compiler *c, json_t *json, uint32_t class, uint32_t types, uint32_t *out)
{
    switch (class) {
    case KEY_ENUM:
        return enumeration(c, json_object_get(json, "enum"), types, out);
    case KEY_REF:
        return reference(c, json_object_get(json, "$ref"), types, out);
    case KEY_ANY_OF:
        return branches(c, json_object_get(json, "anyOf"), "anyOf", types, out);
    case KEY_ONE_OF:
        return branches(c, json_object_get(json, "oneOf"), "oneOf", types, out);
    case KEY_ALL_OF:
        return branches(c, json_object_get(json, "allOf"), "allOf", types, out);
    default: {
        size_t begin = c->n_texts;
        const json_t *v = json_object_get(json, "const");
        if (mote__schema_type_of(v) & types)
            SCHEMA_TRY(add_text(c, v));
        return literal_node(c, begin, out);
    }
    }
}

/* The schema's types one by one, with their keywords. */
static mote_status typed(schema_compiler *c, json_t *json, uint32_t classes,
        uint32_t types, uint32_t *out)
{
    uint32_t parts[6], n = 0;
    uint32_t plain = types; /* types without keywords of their own */
    if (types & TYPE_OBJECT && classes & KEY_OBJECT) {
        SCHEMA_TRY(mote__schema_object(c, json, &parts[n++]));
        plain &= ~(uint32_t)TYPE_OBJECT;
    }
    if (types & TYPE_ARRAY && classes & KEY_ARRAY) {
        SCHEMA_TRY(mote__schema_array(c, json, &parts[n++]));
        plain &= ~(uint32_t)TYPE_ARRAY;
    }
    if (types & TYPE_STRING && classes & KEY_STRING) {
        SCHEMA_TRY(mote__schema_string(c, json, &parts[n++]));
        plain &= ~(uint32_t)TYPE_STRING;
    }
    if (types & TYPE_NUMBER && classes & KEY_NUMBER) {
        int whole = !(types & TYPE_FRACTION);
        SCHEMA_TRY(mote__schema_number(c, json, whole, &parts[n++]));
        plain &= ~(uint32_t)TYPE_NUMBER;
    }
    if (plain)
        SCHEMA_TRY(mote__schema_any(c, plain, &parts[n++]));
    if (n == 1) {
        *out = parts[0];
        return MOTE_OK;
    }
    return mote__schema_union(c, parts, n, out);
}

static mote_status object_schema(
        schema_compiler *c, json_t *json, uint32_t types, uint32_t *out)
{
    uint32_t classes;
    const char *constraint = NULL;
    SCHEMA_TRY(classify(c, json, &classes, &constraint));
    if (classes & KEY_TYPE) {
        uint32_t named = mote__schema_types(c, json_object_get(json, "type"));
        if (!named)
            return MOTE_E_FORMAT;
        types &= named;
    }
    uint32_t combine = classes & KEY_COMBINE;
    if (combine) {
        const char *name = "";
        for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
            if (keywords[i].class & combine &&
                    json_object_get(json, keywords[i].name)) {
                if (*name)
                    constraint = keywords[i].name;
                else
                    name = keywords[i].name;
            }
        if (constraint)
            return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                    "\"%s\" together with \"%s\" is not supported", name, constraint);
        return combined(c, json, combine, types, out);
    }
    if (!(classes & KEY_TYPE) && classes & KEY_CONSTRAINT)
        types &= (classes & KEY_OBJECT ? TYPE_OBJECT : 0u) |
                 (classes & KEY_ARRAY ? TYPE_ARRAY : 0u) |
                 (classes & KEY_STRING ? TYPE_STRING : 0u) |
                 (classes & KEY_NUMBER ? TYPE_NUMBER : 0u);
    return typed(c, json, classes, types, out);
}

mote_status mote__schema_value(schema_compiler *c, json_t *json, uint32_t types,
        const char *name, uint32_t *out)
{
    mote_status st;
    if (c->n_path > SCHEMA_JSON_DEPTH_MAX)
        return mote__schema_fail(
                c, MOTE_E_UNSUPPORTED, "nested deeper than %d", SCHEMA_JSON_DEPTH_MAX);
    c->path[c->n_path++] = name;
    if (json_is_true(json))
        st = mote__schema_any(c, types, out);
    else if (json_is_false(json))
        st = mote__schema_union(c, NULL, 0, out);
    else if (json_is_object(json))
        st = object_schema(c, json, types, out);
    else
        st = mote__schema_fail(
                c, MOTE_E_FORMAT, "expected a schema: an object, true or false");
    c->n_path--;
    return st;
}

static mote_status compile_root(schema_compiler *c, const char *json, size_t n_bytes)
{
    mote_schema *s = c->s;
    json_error_t parse;
    c->kept = json_array();
    if (!c->kept)
        return mote__schema_memory(c);
    SCHEMA_TRY(free_values(c));
    if (!json) {
        SCHEMA_TRY(mote__schema_any(c, TYPE_OBJECT | TYPE_ARRAY, &s->root));
        return mote__schema_finish(c);
    }
    if (n_bytes > SCHEMA_TEXT_MAX)
        return mote__fail(c->err, MOTE_E_UNSUPPORTED,
                "schema: %zu bytes of text, at most %d are read", n_bytes,
                SCHEMA_TEXT_MAX);
    if (memchr(json, '\0', n_bytes)) /* the parser would take it for the end */
        return mote__fail(c->err, MOTE_E_FORMAT, "schema: not JSON: a NUL byte");
    c->root =
            json_loadb(json, n_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &parse);
    if (!c->root)
        return mote__fail(c->err, MOTE_E_FORMAT,
                "schema: not JSON: line %d, column %d: %s", parse.line, parse.column,
                parse.text);
    SCHEMA_TRY(mote__schema_value(c, c->root, TYPE_ANY, "#", &s->root));
    for (size_t i = 0; i < c->n_jobs; i++) {
        schema_job job = c->jobs[i];
        uint32_t node;
        SCHEMA_TRY(mote__schema_value(c, job.json, job.types, job.name, &node));
        c->list[s->nodes[job.alias].u.list.begin] = node;
    }
    return mote__schema_finish(c);
}

mote_status mote__schema_compile(
        mote_schema *s, const char *json, size_t n_bytes, mote_error *err)
{
    mote_error local;
    schema_compiler *c = calloc(1, sizeof *c);
    if (!c)
        return mote__fail_memory(err, sizeof *c, "the schema compiler");
    c->s = s;
    c->err = err ? err : &local;
    mote_status st = compile_root(c, json, n_bytes);
    json_decref(c->kept);
    json_decref(c->root);
    free(c->jobs);
    free(c->job_table);
    free(c->list);
    free(c->chars);
    free(c->texts);
    free(c->keys);
    free(c);
    return st;
}
