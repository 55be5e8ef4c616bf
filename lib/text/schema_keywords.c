/* SPDX-License-Identifier: MIT */
/* Keywords of objects, arrays, strings and numbers. */
#include "text/schema_compile.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* A count such as minItems: `absent` where it is not given. */
static mote_status count_keyword(const schema_compiler *c, const json_t *json,
        const char *name, uint32_t absent, uint32_t *out)
{
    const json_t *v = json_object_get(json, name);
    *out = absent;
    if (!v)
        return MOTE_OK;
    double d = json_is_number(v) ? json_number_value(v) : -1;
    if (d < 0 || floor(d) < d || d > 9e15)
        return mote__schema_fail(
                c, MOTE_E_FORMAT, "\"%s\": expected a whole number from 0", name);
    int is_max = strncmp(name, "max", 3) == 0;
    if (d > SCHEMA_COUNT_MAX && !is_max)
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                "\"%s\": %.0f is beyond the limit of %d", name, d, SCHEMA_COUNT_MAX);
    *out = d > SCHEMA_COUNT_MAX ? SCHEMA_COUNT_MAX : (uint32_t)d;
    return MOTE_OK;
}

/* max: at least min where it is only a default. */
static mote_status count_range(const schema_compiler *c, const json_t *json,
        const char *min_name, const char *max_name, uint32_t default_max, uint32_t *min,
        uint32_t *max)
{
    SCHEMA_TRY(count_keyword(c, json, min_name, 0, min));
    return count_keyword(
            c, json, max_name, *min > default_max ? *min : default_max, max);
}

mote_status mote__schema_string(schema_compiler *c, json_t *json, uint32_t *out)
{
    schema_node n = {.kind = NODE_STRING};
    n.u.string.exclude = SCHEMA_NONE;
    SCHEMA_TRY(count_range(c, json, "minLength", "maxLength", SCHEMA_STRING_DEFAULT,
            &n.u.string.min, &n.u.string.max));
    if (n.u.string.min > n.u.string.max)
        return mote__schema_union(c, NULL, 0, out);
    return mote__schema_node_add(c, &n, out);
}

/* Bounds on multiples of 10^-digits. */
typedef struct bounds {
    int64_t lo, hi;
    int empty;
} bounds;

/* value x scale as an integer; *exact tells whether it is one, else rounded down. The
 * value is within the limits of bound_keyword. */
static int64_t scaled(const json_t *v, int64_t scale, int *exact)
{
    *exact = 1;
    if (json_is_integer(v))
        return (int64_t)json_integer_value(v) * scale;
    double d = json_real_value(v), r = floor(d);
    if (scale > 1) {
        /* Decimal text of so few digits: the nearest multiple is what was meant. */
        r = nearbyint(d * (double)scale);
        *exact = r / (double)scale == d;
    } else {
        *exact = r == d;
    }
    return (int64_t)r;
}

static mote_status bound_keyword(const schema_compiler *c, const json_t *json,
        const char *name, int whole, bounds *b)
{
    const json_t *v = json_object_get(json, name);
    if (!v)
        return MOTE_OK;
    if (!json_is_number(v))
        return mote__schema_fail(c, MOTE_E_FORMAT, "\"%s\": expected a number", name);
    int is_min = strstr(name, "inimum") != NULL, exclusive = name[0] == 'e', exact;
    double d = json_number_value(v);
    if (!whole && fabs(d) > 1e9)
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                "\"%s\" of a number: %g is beyond the limit of 1e9", name, d);
    if (whole && json_is_real(v) && fabs(d) >= 9.2e18) {
        /* Outside what is generated: empty on one side, no bound on the other. */
        b->empty |= is_min ? d > 0 : d < 0;
        return MOTE_OK;
    }
    int64_t i = scaled(v, whole ? 1 : 1000000, &exact);
    if (!whole && !exact)
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                "\"%s\" of a number: %.17g is not a multiple of 0.000001", name, d);
    if (is_min) {
        if (exclusive || !exact) {
            b->empty |= i == INT64_MAX;
            i += i < INT64_MAX;
        }
        if (i > b->lo)
            b->lo = i;
    } else {
        if (exclusive && exact) {
            b->empty |= i == INT64_MIN;
            i -= i > INT64_MIN;
        }
        if (i < b->hi)
            b->hi = i;
    }
    return MOTE_OK;
}

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

mote_status mote__schema_number(
        schema_compiler *c, json_t *json, int whole, uint32_t *out)
{
    static const char *const names[] = {
            "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
    int64_t limit = (int64_t)1e15;
    bounds b = {whole ? INT64_MIN : -limit, whole ? INT64_MAX : limit, 0};
    schema_node n = {.kind = NODE_NUMBER};
    int any = !whole;
    for (int i = 0; i < 4; i++) {
        any &= !json_object_get(json, names[i]);
        SCHEMA_TRY(bound_keyword(c, json, names[i], whole, &b));
    }
    if (any)
        return mote__schema_node_add(c, &n, out);
    if (b.empty || b.lo > b.hi)
        return mote__schema_union(c, NULL, 0, out);
    n.u.number.digits = whole ? 0 : SCHEMA_FRACTION_DIGITS;
    n.u.number.scale = whole ? 1 : 1000000;
    n.u.number.pos_lo = n.u.number.neg_lo = 1;
    if (b.hi >= 0) {
        n.u.number.pos_lo = b.lo > 0 ? (uint64_t)b.lo : 0;
        n.u.number.pos_hi = (uint64_t)b.hi;
    }
    if (b.lo < 0) { /* "-0" is left out */
        n.u.number.neg_lo = b.hi < 0 ? magnitude(b.hi) : 1;
        n.u.number.neg_hi = magnitude(b.lo);
    }
    return mote__schema_node_add(c, &n, out);
}

mote_status mote__schema_array(schema_compiler *c, json_t *json, uint32_t *out)
{
    mote_schema *s = c->s;
    json_t *items = json_object_get(json, "items");
    json_t *prefix = json_object_get(json, "prefixItems");
    schema_node n = {.kind = NODE_ARRAY};
    if (prefix && !json_is_array(prefix))
        return mote__schema_fail(
                c, MOTE_E_FORMAT, "\"prefixItems\": expected an array of schemas");
    if (json_is_array(items))
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                "\"items\" as an array is not supported: use \"prefixItems\"");
    size_t n_prefix = json_array_size(prefix), begin = s->n_items;
    SCHEMA_TRY(count_range(c, json, "minItems", "maxItems", SCHEMA_ITEMS_DEFAULT,
            &n.u.array.min, &n.u.array.max));
    if (mote__grow(
                (void **)&s->items, &s->items_cap, begin + n_prefix, sizeof *s->items))
        return mote__schema_memory(c);
    s->n_items = begin + n_prefix; /* nested arrays come after */
    n.u.array.item_begin = (uint32_t)begin;
    n.u.array.n_prefix = (uint32_t)n_prefix;
    for (size_t i = 0; i < n_prefix; i++) {
        uint32_t item;
        SCHEMA_TRY(mote__schema_value(
                c, json_array_get(prefix, i), TYPE_ANY, "prefixItems", &item));
        s->items[begin + i] = item;
    }
    n.u.array.rest = SCHEMA_NONE;
    if (items)
        SCHEMA_TRY(mote__schema_value(c, items, TYPE_ANY, "items", &n.u.array.rest));
    else if (!prefix || n.u.array.min > n_prefix)
        SCHEMA_TRY(mote__schema_any(c, TYPE_ANY, &n.u.array.rest));
    return mote__schema_node_add(c, &n, out);
}

static mote_status add_key(schema_compiler *c, size_t prop, const char *name)
{
    json_t *string = json_string(name);
    literal_text text = {0, 0};
    if (!string)
        return mote__schema_memory(c);
    mote_status st = mote__schema_text(c, string, &text);
    json_decref(string);
    SCHEMA_TRY(st);
    uint32_t n_characters = 0;
    for (const char *p = name; *p; p++)
        n_characters += ((unsigned char)*p & 0xc0) != 0x80;
    if (mote__grow((void **)&c->keys, &c->keys_cap, prop + 1, sizeof *c->keys))
        return mote__schema_memory(c);
    c->keys[prop] = (schema_key){text.begin, text.n_bytes, n_characters};
    return MOTE_OK;
}

static mote_status check_required(const schema_compiler *c, const json_t *required)
{
    if (required && !json_is_array(required))
        return mote__schema_fail(
                c, MOTE_E_FORMAT, "\"required\": expected an array of strings");
    for (size_t i = 0; i < json_array_size(required); i++)
        if (!json_is_string(json_array_get(required, i)))
            return mote__schema_fail(
                    c, MOTE_E_FORMAT, "\"required\": expected an array of strings");
    return MOTE_OK;
}

/* The list of properties: those of "properties" in order, then the required others. The
 * object's own set of names makes each lookup constant. */
static mote_status object_props(schema_compiler *c, json_t *properties, json_t *names,
        uint32_t extra, uint32_t *begin_out, uint32_t *n_out)
{
    mote_schema *s = c->s;
    size_t n = json_object_size(names), begin = s->n_props;
    if (mote__grow(
                (void **)&s->props, &s->props_cap, begin + n + 1, sizeof *s->props) ||
            mote__grow((void **)&c->keys, &c->keys_cap, begin + n + 1, sizeof *c->keys))
        return mote__schema_memory(c);
    s->n_props = begin + n + 1;
    memset(&c->keys[begin], 0, (n + 1) * sizeof *c->keys);
    size_t i = begin;
    const char *name;
    json_t *mark; /* true: required */
    json_object_foreach(names, name, mark)
    {
        json_t *sub = json_object_get(properties, name);
        uint32_t node = extra;
        SCHEMA_TRY(add_key(c, i, name));
        if (sub)
            SCHEMA_TRY(mote__schema_value(c, sub, TYPE_ANY, name, &node));
        else if (node == SCHEMA_NONE)
            SCHEMA_TRY(mote__schema_any(c, TYPE_ANY, &node));
        s->props[i].node = node;
        /* Whether it is required, until the loop below. */
        s->props[i++].next_required = (uint32_t)json_is_true(mark);
    }
    s->props[i].node = SCHEMA_NONE;
    s->props[i].next_required = (uint32_t)n;
    for (size_t k = n; k-- > 0;)
        s->props[begin + k].next_required =
                s->props[begin + k].next_required
                        ? (uint32_t)k
                        : s->props[begin + k + 1].next_required;
    *begin_out = (uint32_t)begin;
    *n_out = (uint32_t)n;
    return MOTE_OK;
}

mote_status mote__schema_object(schema_compiler *c, json_t *json, uint32_t *out)
{
    json_t *properties = json_object_get(json, "properties");
    json_t *required = json_object_get(json, "required");
    json_t *additional = json_object_get(json, "additionalProperties");
    schema_node n = {.kind = NODE_OBJECT};
    const char *name;
    json_t *sub;
    if (properties && !json_is_object(properties))
        return mote__schema_fail(
                c, MOTE_E_FORMAT, "\"properties\": expected an object");
    SCHEMA_TRY(check_required(c, required));
    n.u.object.keys = n.u.object.key = n.u.object.extra = SCHEMA_NONE;
    if (additional)
        SCHEMA_TRY(mote__schema_value(
                c, additional, TYPE_ANY, "additionalProperties", &n.u.object.extra));
    else if (json_object_size(properties) == 0)
        SCHEMA_TRY(mote__schema_any(c, TYPE_ANY, &n.u.object.extra));
    json_t *names = json_object();
    int bad = !names;
    json_object_foreach(properties, name, sub) bad |=
            json_object_set_new(names, name, json_false());
    for (size_t i = 0; i < json_array_size(required); i++)
        bad |= json_object_set_new(
                names, json_string_value(json_array_get(required, i)), json_true());
    mote_status st = bad ? mote__schema_memory(c)
                         : object_props(c, properties, names, n.u.object.extra,
                                   &n.u.object.prop_begin, &n.u.object.n_props);
    json_decref(names);
    SCHEMA_TRY(st);
    schema_node key = {.kind = NODE_STRING};
    key.u.string.max = SCHEMA_KEY_DEFAULT;
    key.u.string.exclude = SCHEMA_NONE;
    if (n.u.object.extra != SCHEMA_NONE)
        SCHEMA_TRY(mote__schema_node_add(c, &key, &n.u.object.key));
    return mote__schema_node_add(c, &n, out);
}
