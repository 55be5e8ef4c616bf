/* SPDX-License-Identifier: MIT */
/* oneOf: exactly one branch may match. It is read as anyOf where no value can match two
 * branches, which is shown from the text: other types, other enum values, ranges apart,
 * or objects that differ in a property that one of them requires. Whatever is not shown
 * here counts as overlapping; `budget` bounds the work on hostile texts. */
#include "text/schema_compile.h"

#include <math.h>

typedef struct proof {
    const schema_compiler *c;
    int budget;
} proof;

enum { BUDGET = 2000000, DEPTH = 12 };

/* Follow $ref and allOf of one (what stands beside them only narrows further); NULL
 * where that leads too far. */
static const json_t *resolved(proof *p, const json_t *a)
{
    for (int i = 0; i < DEPTH; i++) {
        const json_t *ref = json_object_get(a, "$ref"),
                     *all = json_object_get(a, "allOf");
        p->budget--;
        if (ref)
            a = mote__schema_resolve(p->c, ref);
        else if (json_array_size(all) == 1)
            a = json_array_get(all, 0);
        else
            return a;
    }
    return NULL;
}

static const json_t *alternatives(const json_t *a)
{
    const json_t *any = json_object_get(a, "anyOf"), *one = json_object_get(a, "oneOf");
    return any ? any : one;
}

/* Types that a value of the schema can have. */
static uint32_t types_of(proof *p, const json_t *a, int depth)
{
    a = resolved(p, a);
    if (json_is_false(a))
        return 0;
    if (!json_is_object(a) || depth > DEPTH || --p->budget < 0)
        return TYPE_ANY;
    uint32_t types = TYPE_ANY, some = 0;
    const json_t *type = json_object_get(a, "type"), *list = json_object_get(a, "enum");
    const json_t *value = json_object_get(a, "const");
    if (type)
        types &= mote__schema_types(p->c, type);
    if (value)
        types &= mote__schema_type_of(value);
    if (json_is_array(list)) {
        for (size_t i = 0; i < json_array_size(list); i++)
            some |= mote__schema_type_of(json_array_get(list, i));
        p->budget -= (int)json_array_size(list);
        types &= some;
    }
    list = alternatives(a);
    if (json_is_array(list)) {
        some = 0;
        for (size_t i = 0; i < json_array_size(list); i++)
            some |= types_of(p, json_array_get(list, i), depth + 1);
        types &= some;
    }
    return types;
}

/* Can two values be the same to a validator? 1 and 1.0 are. */
static int may_equal(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b))
        return 0;
    return json_is_array(a) || json_is_object(a) || json_equal(a, b);
}

/* The i-th of the values a schema is limited to, by enum or const; NULL after the last.
 */
static const json_t *value_at(const json_t *a, size_t i)
{
    const json_t *list = json_object_get(a, "enum");
    if (list)
        return json_array_get(list, i);
    return i == 0 ? json_object_get(a, "const") : NULL;
}

static int values_apart(proof *p, const json_t *a, const json_t *b)
{
    const json_t *x, *y;
    if (!value_at(a, 0) || !value_at(b, 0))
        return 0;
    for (size_t i = 0; (x = value_at(a, i)); i++)
        for (size_t k = 0; (y = value_at(b, k)); k++)
            if (--p->budget < 0 || may_equal(x, y))
                return 0;
    return 1;
}

/* All numbers of a are below all of b. */
static int numbers_below(const json_t *a, const json_t *b)
{
    const json_t *max = json_object_get(a, "maximum");
    const json_t *min = json_object_get(b, "minimum");
    const json_t *under = json_object_get(a, "exclusiveMaximum");
    const json_t *over = json_object_get(b, "exclusiveMinimum");
    double hi = json_is_number(max) ? json_number_value(max) : INFINITY;
    double lo = json_is_number(min) ? json_number_value(min) : -INFINITY;
    double hi_open = json_is_number(under) ? json_number_value(under) : INFINITY;
    double lo_open = json_is_number(over) ? json_number_value(over) : -INFINITY;
    return hi < lo || hi_open <= lo || hi <= lo_open || hi_open <= lo_open;
}

static int lengths_below(const json_t *a, const json_t *b)
{
    const json_t *max = json_object_get(a, "maxLength");
    const json_t *min = json_object_get(b, "minLength");
    return json_is_number(max) && json_is_number(min) &&
           json_number_value(max) < json_number_value(min);
}

static int apart(proof *p, const json_t *a, const json_t *b, int depth);

/* a requires a property that b forbids or wants otherwise. */
static int required_apart(proof *p, const json_t *a, const json_t *b, int depth)
{
    const json_t *required = json_object_get(a, "required");
    const json_t *pa = json_object_get(a, "properties");
    const json_t *pb = json_object_get(b, "properties");
    int closed = json_is_false(json_object_get(b, "additionalProperties"));
    for (size_t i = 0; i < json_array_size(required) && p->budget > 0; i++) {
        const char *name = json_string_value(json_array_get(required, i));
        const json_t *sa = name ? json_object_get(pa, name) : NULL;
        const json_t *sb = name ? json_object_get(pb, name) : NULL;
        p->budget--;
        if (name && !sb && closed)
            return 1;
        if (sa && sb && apart(p, sa, sb, depth + 1))
            return 1;
    }
    return 0;
}

/* Every alternative of a is apart from b. */
static int alternatives_apart(proof *p, const json_t *a, const json_t *b, int depth)
{
    const json_t *list = alternatives(a);
    if (json_array_size(list) == 0)
        return 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!apart(p, json_array_get(list, i), b, depth + 1))
            return 0;
    return 1;
}

static int apart(proof *p, const json_t *a, const json_t *b, int depth)
{
    a = resolved(p, a);
    b = resolved(p, b);
    if (!a || !b || depth > DEPTH || --p->budget < 0)
        return 0;
    uint32_t common = types_of(p, a, 0) & types_of(p, b, 0);
    if (!common)
        return 1;
    if (!json_is_object(a) || !json_is_object(b))
        return 0;
    if (values_apart(p, a, b))
        return 1;
    if (common == TYPE_OBJECT &&
            (required_apart(p, a, b, depth) || required_apart(p, b, a, depth)))
        return 1;
    if (!(common & ~(uint32_t)TYPE_NUMBER) &&
            (numbers_below(a, b) || numbers_below(b, a)))
        return 1;
    if (common == TYPE_STRING && (lengths_below(a, b) || lengths_below(b, a)))
        return 1;
    return alternatives_apart(p, a, b, depth) || alternatives_apart(p, b, a, depth);
}

/* The object schema that a branch stands for, where nothing else narrows it, or NULL.
 */
static const json_t *object_of(proof *p, const json_t *a)
{
    for (int i = 0; i < DEPTH && json_object_get(a, "$ref"); i++)
        a = json_object_get(a, "type")
                    ? NULL
                    : mote__schema_resolve(p->c, json_object_get(a, "$ref"));
    return json_object_get(a, "$ref") ? NULL : a;
}

/* A property that tells two object schemas apart whenever it is there. */
static const char *telling_property(proof *p, const json_t *a, const json_t *b)
{
    const json_t *pb = json_object_get(b, "properties");
    json_t *pa = json_object_get(a, "properties"), *sa;
    const char *name;
    if (!json_is_object(pa) || types_of(p, a, 0) != TYPE_OBJECT ||
            types_of(p, b, 0) != TYPE_OBJECT)
        return NULL;
    json_object_foreach(pa, name, sa)
    {
        const json_t *sb = json_object_get(pb, name);
        if (sb && p->budget > 0 && apart(p, sa, sb, 1))
            return name;
    }
    return NULL;
}

/* Replace branch i of `list` by a copy that requires `name` as well. */
static int require(proof *p, json_t *list, size_t i, const char *name)
{
    const json_t *a = object_of(p, json_array_get(list, i));
    json_t *copy = json_copy((json_t *)(uintptr_t)a);
    json_t *old = json_object_get(copy, "required"), *required = json_array();
    for (size_t k = 0; k < json_array_size(old); k++)
        json_array_append(required, json_array_get(old, k));
    int bad = json_array_append_new(required, json_string(name)) ||
              json_object_set(copy, "required", required) ||
              json_array_set(list, i, copy);
    json_decref(required);
    json_decref(copy);
    return bad;
}

mote_status mote__schema_exclusive(schema_compiler *c, json_t *list, json_t **out)
{
    proof p = {c, BUDGET};
    size_t n = json_array_size(list);
    *out = NULL;
    if (n > SCHEMA_UNION_MAX)
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                "\"oneOf\" has %zu branches, at most %d are read", n, SCHEMA_UNION_MAX);
    json_t *copy = json_copy(list); /* its branches are shared until one is replaced */
    if (!copy)
        return mote__schema_memory(c);
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
            /* The schema as it stands: a validator knows nothing of what was added. */
            const json_t *a = json_array_get(list, i), *b = json_array_get(list, k);
            if (apart(&p, a, b, 0))
                continue;
            const char *name = telling_property(&p, object_of(&p, a), object_of(&p, b));
            if (name && (require(&p, copy, i, name) || require(&p, copy, k, name))) {
                json_decref(copy);
                return mote__schema_memory(c);
            }
            if (name)
                continue;
            json_decref(copy);
            return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                    "\"oneOf\": branches %zu and %zu are not seen to exclude each "
                    "other; if either may match, write \"anyOf\"",
                    i, k);
        }
    *out = copy;
    return MOTE_OK;
}
