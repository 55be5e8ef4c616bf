/* SPDX-License-Identifier: MIT */
/* From compiled nodes to a machine: unions and aliases become slices of concrete nodes,
 * every node learns the depth of its smallest value, tries are built, and the sizes of
 * a state follow. No step recurses: a chain of $ref may be as long as the text. */
#include "text/schema_compile.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { WHITE, GREY, BLACK };

typedef struct visit {
    uint32_t node, next;
} visit;

/* Depth-first walk over the nodes, with its own stack. */
typedef struct walk {
    visit *stack;
    uint8_t *color;
    uint32_t *length; /* frames of the longest value, where there is no cycle */
    uint32_t n;
    int cyclic;
} walk;

static int is_list(const schema_node *n)
{
    return n->kind == NODE_UNION || n->kind == NODE_ALIAS;
}

/* The i-th node that `node` is made of while compiling, or NONE after the last. */
static uint32_t branch_at(const schema_compiler *c, uint32_t node, uint32_t i)
{
    const schema_node *n = &c->s->nodes[node];
    return is_list(n) && i < n->u.list.n ? c->list[n->u.list.begin + i] : SCHEMA_NONE;
}

static mote_status add_member(schema_compiler *c, uint32_t node)
{
    mote_schema *s = c->s;
    if (s->n_members >= SCHEMA_POOL_MAX)
        return mote__schema_fail(c, MOTE_E_UNSUPPORTED, "too many branches");
    if (mote__grow((void **)&s->members, &s->members_cap, s->n_members + 1,
                sizeof *s->members))
        return mote__schema_memory(c);
    s->members[s->n_members++] = node;
    return MOTE_OK;
}

/* One literal node for several: enum of all their values. */
static mote_status merge_literals(
        schema_compiler *c, const uint32_t *nodes, uint32_t n, uint32_t *out)
{
    schema_node merged = {.kind = NODE_LITERAL, .n_members = 1};
    size_t begin = c->n_texts;
    merged.u.literal.text_begin = (uint32_t)begin;
    merged.member_begin = (uint32_t)c->s->n_members;
    for (uint32_t i = 0; i < n; i++) {
        const schema_node *l = &c->s->nodes[nodes[i]];
        size_t k = l->u.literal.n_texts, from = l->u.literal.text_begin;
        if (c->n_texts + k > SCHEMA_POOL_MAX / 2)
            return mote__schema_fail(c, MOTE_E_UNSUPPORTED, "too many literal values");
        if (mote__grow((void **)&c->texts, &c->texts_cap, c->n_texts + k,
                    sizeof *c->texts))
            return mote__schema_memory(c);
        memcpy(&c->texts[c->n_texts], &c->texts[from], k * sizeof *c->texts);
        c->n_texts += k;
    }
    merged.u.literal.n_texts = (uint32_t)(c->n_texts - begin);
    SCHEMA_TRY(mote__schema_node_add(c, &merged, out));
    return add_member(c, *out);
}

/* The members of a list node whose branches have theirs. stamp[m] == node: seen. */
static mote_status flatten_node(schema_compiler *c, uint32_t node, uint32_t *stamp)
{
    mote_schema *s = c->s;
    uint32_t literals[SCHEMA_UNION_MAX * 4], n_literals = 0, branch;
    if (s->nodes[node].kind == NODE_ALIAS) { /* shares its target's slice */
        const schema_node *target = &s->nodes[branch_at(c, node, 0)];
        s->nodes[node].member_begin = target->member_begin;
        s->nodes[node].n_members = target->n_members;
        return MOTE_OK;
    }
    uint32_t others[SCHEMA_UNION_MAX], n_others = 0;
    for (uint32_t i = 0; (branch = branch_at(c, node, i)) != SCHEMA_NONE; i++) {
        for (uint32_t k = 0; k < s->nodes[branch].n_members; k++) {
            uint32_t m = s->members[s->nodes[branch].member_begin + k];
            int literal = s->nodes[m].kind == NODE_LITERAL;
            if (stamp[m] == node)
                continue;
            stamp[m] = node;
            if (literal && n_literals == SCHEMA_UNION_MAX * 4) {
                uint32_t one;
                SCHEMA_TRY(merge_literals(c, literals, n_literals, &one));
                stamp[one] = node;
                literals[0] = one;
                n_literals = 1;
            }
            if (literal)
                literals[n_literals++] = m;
            else if (n_others < SCHEMA_UNION_MAX)
                others[n_others++] = m;
            else
                return mote__schema_fail(c, MOTE_E_UNSUPPORTED,
                        "more than %d alternatives of one value", SCHEMA_UNION_MAX);
        }
    }
    if (n_literals > 1)
        SCHEMA_TRY(merge_literals(c, literals, n_literals, &literals[0]));
    s->nodes[node].member_begin = (uint32_t)s->n_members;
    s->nodes[node].n_members = n_others + (n_literals > 0);
    for (uint32_t i = 0; i < n_others; i++)
        SCHEMA_TRY(add_member(c, others[i]));
    return n_literals ? add_member(c, literals[0]) : MOTE_OK;
}

/* Branches first; a list node that contains itself without anything between is an
 * error. */
static mote_status flatten(schema_compiler *c, walk *w, uint32_t *stamp)
{
    mote_schema *s = c->s;
    uint32_t n_before = (uint32_t)s->n_nodes;
    for (uint32_t i = 0; i < n_before; i++)
        if (!is_list(&s->nodes[i])) {
            s->nodes[i].member_begin = (uint32_t)s->n_members;
            s->nodes[i].n_members = 1;
            SCHEMA_TRY(add_member(c, i));
        }
    for (uint32_t i = 0; i < n_before; i++) {
        if (!is_list(&s->nodes[i]) || w->color[i] == BLACK)
            continue;
        w->stack[0] = (visit){i, 0};
        w->color[i] = GREY;
        w->n = 1;
        while (w->n) {
            visit *top = &w->stack[w->n - 1];
            uint32_t branch = branch_at(c, top->node, top->next++);
            if (branch == SCHEMA_NONE) {
                SCHEMA_TRY(flatten_node(c, top->node, stamp));
                w->color[top->node] = BLACK;
                w->n--;
            } else if (is_list(&s->nodes[branch]) && w->color[branch] == GREY) {
                return mote__schema_fail(c, MOTE_E_FORMAT,
                        "a \"$ref\" leads back to itself without a value between");
            } else if (is_list(&s->nodes[branch]) && w->color[branch] == WHITE) {
                w->color[branch] = GREY;
                w->stack[w->n++] = (visit){branch, 0};
            }
        }
    }
    return MOTE_OK;
}

/* The i-th node below: members of a list node, values in a container. */
static uint32_t child_at(const mote_schema *s, uint32_t node, uint32_t i)
{
    const schema_node *n = &s->nodes[node];
    switch (n->kind) {
    case NODE_UNION:
    case NODE_ALIAS:
        return i < n->n_members ? s->members[n->member_begin + i] : SCHEMA_NONE;
    case NODE_OBJECT:
        if (i < n->u.object.n_props)
            return s->props[n->u.object.prop_begin + i].node;
        return i == n->u.object.n_props ? n->u.object.extra : SCHEMA_NONE;
    case NODE_ARRAY:
        if (i < n->u.array.n_prefix)
            return s->items[n->u.array.item_begin + i];
        return i == n->u.array.n_prefix ? n->u.array.rest : SCHEMA_NONE;
    default:
        return SCHEMA_NONE;
    }
}

/* Mark what the root reaches (BLACK) and find the longest nesting. */
static void reach(mote_schema *s, walk *w)
{
    memset(w->color, WHITE, s->n_nodes);
    w->stack[0] = (visit){s->root, 0};
    w->color[s->root] = GREY;
    w->length[s->root] = 0;
    w->n = 1;
    while (w->n) {
        visit *top = &w->stack[w->n - 1];
        uint32_t child = child_at(s, top->node, top->next++), node = top->node;
        if (child == SCHEMA_NONE) {
            w->length[node] += !is_list(&s->nodes[node]);
            w->color[node] = BLACK;
            w->n--;
            if (w->n) {
                uint32_t *up = &w->length[w->stack[w->n - 1].node];
                *up = w->length[node] > *up ? w->length[node] : *up;
            }
        } else if (w->color[child] == WHITE) {
            w->color[child] = GREY;
            w->length[child] = 0;
            w->stack[w->n++] = (visit){child, 0};
        } else if (w->color[child] == GREY) {
            w->cyclic = 1;
        } else if (w->length[child] > w->length[node]) {
            w->length[node] = w->length[child];
        }
    }
}

/* Frames that the smallest value needs, as far as the children are known. */
static uint32_t depth_needed(const mote_schema *s, const schema_node *n)
{
    uint32_t most = 0;
    if (n->kind == NODE_OBJECT) {
        const schema_prop *props = &s->props[n->u.object.prop_begin];
        for (uint32_t i = props[0].next_required; i < n->u.object.n_props;
                i = props[i + 1].next_required) {
            uint32_t d = s->nodes[props[i].node].min_depth;
            most = d > most ? d : most;
        }
    } else if (n->kind == NODE_ARRAY) {
        for (uint32_t i = 0; i < n->u.array.n_prefix && i < n->u.array.min; i++) {
            uint32_t d = s->nodes[s->items[n->u.array.item_begin + i]].min_depth;
            most = d > most ? d : most;
        }
        if (n->u.array.min > n->u.array.n_prefix) {
            uint32_t rest = n->u.array.rest;
            uint32_t d = rest == SCHEMA_NONE ? SCHEMA_DEEP : s->nodes[rest].min_depth;
            most = d > most ? d : most;
        }
        if (n->u.array.min > n->u.array.max)
            most = SCHEMA_DEEP;
    }
    return most == SCHEMA_DEEP ? most : most + 1;
}

/* min_depth of every reached node, the shallow first: depth d needs children below d.
 */
static void measure(mote_schema *s, const walk *w)
{
    int changed = 1;
    for (uint32_t i = 0; i < s->n_nodes; i++)
        s->nodes[i].min_depth = SCHEMA_DEEP;
    for (uint32_t depth = 1; depth <= SCHEMA_NESTING_MAX && changed; depth++) {
        changed = 0;
        for (uint32_t i = 0; i < s->n_nodes; i++) {
            schema_node *n = &s->nodes[i];
            if (n->min_depth != SCHEMA_DEEP || w->color[i] != BLACK || is_list(n))
                continue;
            if (depth_needed(s, n) == depth) {
                n->min_depth = depth;
                changed = 1;
            }
        }
        for (uint32_t i = 0; i < s->n_nodes; i++) {
            schema_node *n = &s->nodes[i];
            if (n->min_depth != SCHEMA_DEEP || w->color[i] != BLACK || !is_list(n))
                continue;
            for (uint32_t k = 0; k < n->n_members; k++)
                if (s->nodes[s->members[n->member_begin + k]].min_depth != SCHEMA_DEEP)
                    n->min_depth = depth;
        }
    }
}

static mote_status build_literal(schema_compiler *c, schema_node *n)
{
    uint32_t k = n->u.literal.n_texts;
    schema_text *texts = calloc(k ? k : 1, sizeof *texts);
    if (!texts)
        return mote__schema_memory(c);
    for (uint32_t i = 0; i < k; i++) {
        const literal_text *t = &c->texts[n->u.literal.text_begin + i];
        texts[i] = (schema_text){c->chars + t->begin, t->n_bytes, i};
    }
    mote_status st =
            mote__schema_lit_build(c->s, texts, k, NULL, &n->u.literal.root, c->err);
    free(texts);
    return st;
}

/* Trie of an object's keys, listing those whose value exists; limits of other keys. */
static mote_status build_object(schema_compiler *c, schema_node *n)
{
    mote_schema *s = c->s;
    uint32_t k = n->u.object.n_props, longest = 0;
    const schema_prop *props = &s->props[n->u.object.prop_begin];
    if (n->u.object.extra != SCHEMA_NONE &&
            s->nodes[n->u.object.extra].min_depth == SCHEMA_DEEP)
        n->u.object.extra = SCHEMA_NONE;
    if (!k)
        return MOTE_OK;
    schema_text *texts = calloc(k, sizeof *texts);
    uint8_t *usable = calloc(k, 1);
    mote_status st = texts && usable ? MOTE_OK : mote__schema_memory(c);
    for (uint32_t i = 0; i < k && st == MOTE_OK; i++) {
        const schema_key *key = &c->keys[n->u.object.prop_begin + i];
        uint32_t depth = s->nodes[props[i].node].min_depth;
        texts[i] = (schema_text){c->chars + key->begin, key->n_bytes, i};
        longest = key->n_characters > longest ? key->n_characters : longest;
        usable[i] = depth != SCHEMA_DEEP;
        if (usable[i] && depth > n->u.object.child_depth_max)
            n->u.object.child_depth_max = depth;
    }
    if (st == MOTE_OK)
        st = mote__schema_lit_build(s, texts, k, usable, &n->u.object.keys, c->err);
    free(texts);
    free(usable);
    if (st == MOTE_OK && n->u.object.extra != SCHEMA_NONE) {
        schema_node *key = &s->nodes[n->u.object.key];
        key->u.string.exclude = n->u.object.keys;
        /* A key that equals a listed one can always grow past it. */
        if (key->u.string.max <= longest)
            key->u.string.max = longest + 1;
    }
    return st;
}

/* First bytes of a concrete node, added to `seen`; 1 where some were there already. */
static int first_bytes(const mote_schema *s, const schema_node *n, uint8_t *seen)
{
    int overlap = 0;
    for (int b = 0; b < 256; b++) {
        int first = 0;
        schema_frame f = {.phase = PHASE_VALUE}, next;
        switch (n->kind) {
        case NODE_OBJECT:
            first = b == '{';
            break;
        case NODE_ARRAY:
            first = b == '[';
            break;
        case NODE_STRING:
            first = b == '"';
            break;
        case NODE_NUMBER:
            first = mote__schema_number_step(n, &f, (uint8_t)b, &next);
            break;
        default:
            first = mote__schema_lit_child(s, n->u.literal.root, (uint8_t)b) !=
                    SCHEMA_NONE;
            break;
        }
        overlap |= first && seen[b];
        seen[b] |= (uint8_t)first;
    }
    return overlap;
}

/* Can two readings of the same bytes be open at once? Also the widest union. */
static int is_ambiguous(const mote_schema *s, const walk *w, uint32_t *widest)
{
    int ambiguous = 0;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        const schema_node *n = &s->nodes[i];
        if (w->color[i] != BLACK)
            continue;
        if (n->kind == NODE_OBJECT)
            ambiguous |= n->u.object.n_props && n->u.object.extra != SCHEMA_NONE;
        if (!is_list(n) || n->n_members < 2)
            continue;
        *widest = n->n_members > *widest ? n->n_members : *widest;
        uint8_t seen[256] = {0};
        for (uint32_t k = 0; k < n->n_members; k++)
            ambiguous |=
                    first_bytes(s, &s->nodes[s->members[n->member_begin + k]], seen);
    }
    return ambiguous;
}

static mote_status build(schema_compiler *c, walk *w)
{
    mote_schema *s = c->s;
    uint32_t widest = 1;
    reach(s, w);
    measure(s, w);
    uint32_t root_depth = s->nodes[s->root].min_depth;
    if (root_depth == SCHEMA_DEEP)
        return mote__schema_fail(c, MOTE_E_FORMAT,
                "no value of at most %d levels satisfies the schema",
                SCHEMA_NESTING_MAX);
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (w->color[i] != BLACK)
            continue;
        if (s->nodes[i].kind == NODE_LITERAL)
            SCHEMA_TRY(build_literal(c, &s->nodes[i]));
        else if (s->nodes[i].kind == NODE_OBJECT)
            SCHEMA_TRY(build_object(c, &s->nodes[i]));
    }
    s->depth_max = SCHEMA_NESTING + 1;
    if (!w->cyclic)
        s->depth_max = w->length[s->root] < SCHEMA_NESTING_MAX ? w->length[s->root]
                                                               : SCHEMA_NESTING_MAX;
    if (s->depth_max < root_depth)
        s->depth_max = root_depth;
    s->threads_max = 1;
    if (is_ambiguous(s, w, &widest)) {
        s->threads_max = widest * 2 > 32 ? widest * 2 : 32;
        if (s->threads_max > SCHEMA_THREADS_MAX)
            s->threads_max = SCHEMA_THREADS_MAX;
    }
    s->frames_max = s->threads_max * s->depth_max + 1;
    if (s->frames_max > SCHEMA_FRAMES_MAX)
        s->frames_max = SCHEMA_FRAMES_MAX;
    return MOTE_OK;
}

mote_status mote__schema_finish(schema_compiler *c)
{
    /* Flattening adds at most one literal per union, and one per full list of them. */
    size_t most = SCHEMA_NODES_MAX + 1;
    walk w = {0};
    mote_status st = MOTE_E_MEMORY;
    w.stack = malloc(most * sizeof *w.stack);
    w.color = calloc(most, 1);
    w.length = calloc(most, sizeof *w.length);
    uint32_t *stamp = malloc(most * sizeof *stamp);
    if (!w.stack || !w.color || !w.length || !stamp) {
        st = mote__schema_memory(c);
        goto out;
    }
    memset(stamp, 0xff, most * sizeof *stamp);
    st = flatten(c, &w, stamp);
    if (st == MOTE_OK)
        st = build(c, &w);
out:
    free(w.stack);
    free(w.color);
    free(w.length);
    free(stamp);
    return st;
}
