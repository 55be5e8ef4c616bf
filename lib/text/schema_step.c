/* SPDX-License-Identifier: MIT */
/* One byte: what may follow in objects, arrays and the values in them. Compact JSON,
 * with at most one space after ':' and ','. A frame's phase says what it waits for; a
 * parent is moved on before its child is pushed, so that a child's end is a pop. */
#include "text/schema_machine.h"

enum {
    OBJ_OPEN = 1,
    OBJ_KEY,
    OBJ_COLON,
    OBJ_SPACE,
    OBJ_VALUE,
    OBJ_AFTER,
    OBJ_COMMA,
    OBJ_NAME
};
enum { ARR_OPEN = 1, ARR_AFTER, ARR_COMMA, ARR_ITEM };

/* Append a frame; NONE when there is no room. */
static uint32_t push(schema_walk *w, const schema_frame *f)
{
    if (w->n_fresh == w->fresh_cap) {
        w->overflow = 1;
        return SCHEMA_NONE;
    }
    w->fresh[w->n_fresh] = *f;
    return w->n_base + w->n_fresh++;
}

static int same_frame(const schema_frame *a, const schema_frame *b)
{
    return a->parent == b->parent && a->node == b->node && a->phase == b->phase &&
           a->sub == b->sub && a->acc == b->acc && a->u.value == b->u.value;
}

/* The thread goes on with this top, unless another already reads the same. */
static void emit_top(schema_walk *w, uint32_t top)
{
    for (uint32_t i = 0; i < w->n_out; i++)
        if (w->out[i] == top)
            return;
    if (w->n_out == w->out_cap) {
        w->overflow = 1;
        return;
    }
    w->out[w->n_out++] = top;
}

static void emit(schema_walk *w, const schema_frame *f)
{
    for (uint32_t i = 0; i < w->n_out; i++)
        if (w->out[i] != SCHEMA_NONE && same_frame(mote__schema_frame(w, w->out[i]), f))
            return;
    if (w->n_out == w->out_cap) {
        w->overflow = 1;
        return;
    }
    uint32_t top = push(w, f);
    if (top != SCHEMA_NONE)
        w->out[w->n_out++] = top;
}

uint32_t mote__schema_lit_child(const mote_schema *s, uint32_t lit, uint8_t byte)
{
    const schema_lit *l = &s->lits[lit];
    uint32_t lo = l->child_begin, hi = lo + l->n_children;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->lits[mid].byte < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    int found = lo < l->child_begin + l->n_children && s->lits[lo].byte == byte;
    return found ? lo : SCHEMA_NONE;
}

/* May a child of `node` be opened under a frame of this depth? */
static int fits(const mote_schema *s, uint32_t node, uint32_t depth)
{
    return s->nodes[node].min_depth <= s->depth_max - depth;
}

static void emit_literal(schema_walk *w, const schema_frame *f, uint32_t lit)
{
    const schema_lit *l = &w->schema->lits[lit];
    if (!l->n_children) {
        emit_top(w, f->parent);
        return;
    }
    schema_frame next = *f;
    next.u.at.pos = lit;
    emit(w, &next);
}

/* First byte of a value: each concrete node that takes it becomes a thread. */
static void begin_value(
        schema_walk *w, uint32_t node, uint32_t parent, uint32_t depth, uint8_t c)
{
    const mote_schema *s = w->schema;
    const schema_node *n = &s->nodes[node];
    for (uint32_t i = 0; i < n->n_members; i++) {
        uint32_t k = s->members[n->member_begin + i];
        const schema_node *m = &s->nodes[k];
        if (m->min_depth > s->depth_max - (depth - 1))
            continue;
        schema_frame f = {.parent = parent, .node = k, .depth = (uint16_t)depth};
        schema_frame next;
        switch (m->kind) {
        case NODE_OBJECT:
            f.phase = OBJ_OPEN;
            if (c == '{')
                emit(w, &f);
            break;
        case NODE_ARRAY:
            f.phase = ARR_OPEN;
            if (c == '[')
                emit(w, &f);
            break;
        case NODE_STRING:
            f.phase = STRING_CONTENT;
            f.u.at.pos = SCHEMA_NONE; /* only free keys exclude anything */
            if (c == '"')
                emit(w, &f);
            break;
        case NODE_NUMBER:
            if (mote__schema_number_step(m, &f, c, &next))
                emit(w, &next);
            break;
        case NODE_LITERAL: {
            uint32_t lit = mote__schema_lit_child(s, m->u.literal.root, c);
            f.phase = 1;
            if (lit != SCHEMA_NONE)
                emit_literal(w, &f, lit);
            break;
        }
        default:
            break;
        }
    }
}

static const schema_prop *props_of(const mote_schema *s, const schema_node *n)
{
    return &s->props[n->u.object.prop_begin];
}

/* Is there below `lit` a key that may come now: not before f's next property, not past
 * a required one, and with a value that fits? */
static int key_below(
        const mote_schema *s, const schema_node *n, const schema_frame *f, uint32_t lit)
{
    const schema_lit *l = &s->lits[lit];
    if (!l->n_index)
        return 0;
    const uint32_t *index = &s->key_index[l->index_begin];
    const schema_prop *props = props_of(s, n);
    uint32_t next = f->u.at.count, last = props[next].next_required;
    uint32_t lo = 0, hi = l->n_index;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (index[mid] < next)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < l->n_index && index[lo] <= last; lo++)
        if (n->u.object.child_depth_max <= s->depth_max - f->depth ||
                fits(s, props[index[lo]].node, f->depth))
            return 1;
    return 0;
}

/* Trie node of an opening quote under which some listed key may come, or NONE. */
static uint32_t listed_key(
        const mote_schema *s, const schema_node *n, const schema_frame *f)
{
    if (n->u.object.keys == SCHEMA_NONE)
        return SCHEMA_NONE;
    uint32_t lit = mote__schema_lit_child(s, n->u.object.keys, '"');
    return lit != SCHEMA_NONE && key_below(s, n, f, lit) ? lit : SCHEMA_NONE;
}

static int can_close(const mote_schema *s, const schema_node *n, const schema_frame *f)
{
    return props_of(s, n)[f->u.at.count].next_required == n->u.object.n_props;
}

/* Other keys follow the listed ones. */
static int extra_key(const mote_schema *s, const schema_node *n, const schema_frame *f)
{
    return n->u.object.extra != SCHEMA_NONE && f->acc < SCHEMA_ITEMS_DEFAULT &&
           can_close(s, n, f) && fits(s, n->u.object.extra, f->depth);
}

static void begin_key(schema_walk *w, const schema_node *n, const schema_frame *f)
{
    const mote_schema *s = w->schema;
    uint32_t lit = listed_key(s, n, f);
    schema_frame next = *f;
    if (lit != SCHEMA_NONE) {
        next.phase = OBJ_KEY;
        next.u.at.pos = lit;
        emit(w, &next);
    }
    if (!extra_key(s, n, f))
        return;
    next = *f;
    next.phase = OBJ_COLON;
    next.sub = 1;
    next.acc = f->acc + 1;
    next.u.at.count = n->u.object.n_props;
    uint32_t parent = push(w, &next);
    if (parent == SCHEMA_NONE)
        return;
    uint32_t exclude = s->nodes[n->u.object.key].u.string.exclude;
    schema_frame key = {.parent = parent,
            .node = n->u.object.key,
            .phase = STRING_CONTENT,
            .depth = (uint16_t)(f->depth + 1)};
    key.u.at.pos = exclude == SCHEMA_NONE ? SCHEMA_NONE
                                          : mote__schema_lit_child(s, exclude, '"');
    emit(w, &key);
}

static void object_step(schema_walk *w, const schema_frame *f, uint8_t c)
{
    const mote_schema *s = w->schema;
    const schema_node *n = &s->nodes[f->node];
    schema_frame next = *f;
    switch (f->phase) {
    case OBJ_OPEN:
        if (c == '"')
            begin_key(w, n, f);
        else if (c == '}' && can_close(s, n, f))
            emit_top(w, f->parent);
        return;
    case OBJ_KEY: {
        uint32_t lit = mote__schema_lit_child(s, f->u.at.pos, c);
        if (lit == SCHEMA_NONE || !key_below(s, n, f, lit))
            return;
        next.u.at.pos = lit;
        if (s->lits[lit].is_end) {
            next.phase = OBJ_COLON;
            next.sub = 0;
            next.u.at.count = s->lits[lit].value;
            next.u.at.pos = 0;
        }
        emit(w, &next);
        return;
    }
    case OBJ_COLON:
        next.phase = OBJ_SPACE;
        if (c == ':')
            emit(w, &next);
        return;
    case OBJ_SPACE:
        if (c == ' ') {
            next.phase = OBJ_VALUE;
            emit(w, &next);
            return;
        }
        /* fall through */
    case OBJ_VALUE: {
        uint32_t value =
                f->sub ? n->u.object.extra : props_of(s, n)[f->u.at.count].node;
        next.phase = OBJ_AFTER;
        next.sub = 0;
        next.u.at.count += f->sub ? 0 : 1;
        uint32_t parent = push(w, &next);
        if (parent != SCHEMA_NONE)
            begin_value(w, value, parent, f->depth + 1u, c);
        return;
    }
    case OBJ_AFTER:
        next.phase = OBJ_COMMA;
        if (c == '}' && can_close(s, n, f))
            emit_top(w, f->parent);
        else if (c == ',' && (extra_key(s, n, f) || listed_key(s, n, f) != SCHEMA_NONE))
            emit(w, &next);
        return;
    case OBJ_COMMA:
        if (c == ' ') {
            next.phase = OBJ_NAME;
            emit(w, &next);
            return;
        }
        /* fall through */
    case OBJ_NAME:
        if (c == '"')
            begin_key(w, n, f);
        return;
    default:
        return;
    }
}

/* Node of the next item, or NONE where there may be none. */
static uint32_t next_item(
        const mote_schema *s, const schema_node *n, const schema_frame *f)
{
    uint32_t i = f->u.at.count;
    if (i >= n->u.array.max)
        return SCHEMA_NONE;
    uint32_t item = i < n->u.array.n_prefix ? s->items[n->u.array.item_begin + i]
                                            : n->u.array.rest;
    return item != SCHEMA_NONE && fits(s, item, f->depth) ? item : SCHEMA_NONE;
}

static void array_step(schema_walk *w, const schema_frame *f, uint8_t c)
{
    const mote_schema *s = w->schema;
    const schema_node *n = &s->nodes[f->node];
    uint32_t item = next_item(s, n, f);
    schema_frame next = *f;
    switch (f->phase) {
    case ARR_OPEN:
    case ARR_AFTER:
        if (c == ']') {
            if (f->u.at.count >= n->u.array.min)
                emit_top(w, f->parent);
            return;
        }
        if (item == SCHEMA_NONE)
            return;
        if (f->phase == ARR_OPEN)
            break;
        next.phase = ARR_COMMA;
        if (c == ',')
            emit(w, &next);
        return;
    case ARR_COMMA:
        if (c == ' ') {
            next.phase = ARR_ITEM;
            emit(w, &next);
            return;
        }
        break;
    default:
        break;
    }
    if (item == SCHEMA_NONE)
        return;
    next.phase = ARR_AFTER;
    next.u.at.count++;
    uint32_t parent = push(w, &next);
    if (parent != SCHEMA_NONE)
        begin_value(w, item, parent, f->depth + 1u, c);
}

int mote__schema_may_end(const mote_schema *s, const schema_frame *f)
{
    const schema_node *n = &s->nodes[f->node];
    if (f->phase == PHASE_VALUE)
        return 0;
    if (n->kind == NODE_NUMBER)
        return mote__schema_number_end(n, f);
    return n->kind == NODE_LITERAL && s->lits[f->u.at.pos].is_end;
}

int mote__schema_in_character(const mote_schema *s, const schema_frame *f)
{
    return s->nodes[f->node].kind == NODE_STRING && f->phase == STRING_UTF8;
}

int mote__schema_in_string(const mote_schema *s, const schema_frame *f)
{
    return s->nodes[f->node].kind == NODE_STRING && f->phase == STRING_CONTENT;
}

void mote__schema_step(schema_walk *w, uint32_t top, uint8_t c)
{
    const mote_schema *s = w->schema;
    while (top != SCHEMA_NONE) {
        schema_frame f = *mote__schema_frame(w, top), next;
        const schema_node *n = &s->nodes[f.node];
        if (f.phase == PHASE_VALUE) {
            begin_value(w, f.node, f.parent, f.depth, c);
            return;
        }
        switch (n->kind) {
        case NODE_OBJECT:
            object_step(w, &f, c);
            return;
        case NODE_ARRAY:
            array_step(w, &f, c);
            return;
        case NODE_STRING:
            switch (mote__schema_string_step(s, n, &f, c, &next)) {
            case 1:
                emit(w, &next);
                return;
            case 2:
                emit_top(w, f.parent);
                return;
            default:
                return;
            }
        case NODE_NUMBER:
            if (mote__schema_number_step(n, &f, c, &next)) {
                emit(w, &next);
                return;
            }
            break;
        case NODE_LITERAL: {
            uint32_t lit = mote__schema_lit_child(s, f.u.at.pos, c);
            if (lit != SCHEMA_NONE) {
                emit_literal(w, &f, lit);
                return;
            }
            break;
        }
        default:
            return;
        }
        if (!mote__schema_may_end(s, &f))
            return;
        top = f.parent; /* the value ended before this byte */
    }
}
