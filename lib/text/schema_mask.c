/* SPDX-License-Identifier: MIT */
/* States, and the two questions asked of them: which tokens may come (mask), and what
 * becomes of the state by one (accept).
 *
 * Both follow each thread of the state on its own, with the same limits in the same
 * order, so that they agree token by token. The mask walks the vocabulary trie with the
 * machine and skips a subtree at its first impossible byte; inside a string the trie is
 * left alone, since schema_vocab.c knows what every token does there. */
#include "text/schema_machine.h"

#include <string.h>

/* Work space of one call, on the C stack: 24 + 8 + 8 KiB. */
enum { FRESH_MAX = 1024, TOPS_MAX = 2048 };

/* A state: this head, tops[threads_max], frames[frames_max], forward[frames_max]. */
struct mote__schema_state {
    uint32_t n_threads;
    uint32_t n_frames;
};

static size_t tops_offset(void)
{
    return sizeof(mote__schema_state);
}
static size_t frames_offset(const mote_schema *s)
{
    return tops_offset() + ((size_t)s->threads_max * 4 + 7) / 8 * 8;
}
static size_t forward_offset(const mote_schema *s)
{
    return frames_offset(s) + (size_t)s->frames_max * sizeof(schema_frame);
}

static uint32_t *tops_of(const mote__schema_state *st)
{
    return (uint32_t *)(void *)((char *)(uintptr_t)st + tops_offset());
}
static schema_frame *frames_of(const mote_schema *s, const mote__schema_state *st)
{
    return (schema_frame *)(void *)((char *)(uintptr_t)st + frames_offset(s));
}
static uint32_t *forward_of(const mote_schema *s, const mote__schema_state *st)
{
    return (uint32_t *)(void *)((char *)(uintptr_t)st + forward_offset(s));
}

size_t mote__schema_state_bytes(const mote_schema *s)
{
    return (forward_offset(s) + (size_t)s->frames_max * 4 + 7) / 8 * 8;
}

void mote__schema_start(const mote_schema *s, mote__schema_state *st)
{
    memset(st, 0, mote__schema_state_bytes(s));
    st->n_threads = 1;
    st->n_frames = 1;
    *frames_of(s, st) = (schema_frame){
            .parent = SCHEMA_NONE, .node = s->root, .phase = PHASE_VALUE, .depth = 1};
}

static int thread_complete(const mote_schema *s, const schema_walk *w, uint32_t top)
{
    if (top == SCHEMA_NONE)
        return 1;
    const schema_frame *f = mote__schema_frame(w, top);
    return f->parent == SCHEMA_NONE && mote__schema_may_end(s, f);
}

int mote__schema_complete(const mote_schema *s, const mote__schema_state *st)
{
    schema_walk w = {.schema = s, .base = frames_of(s, st), .n_base = st->n_frames};
    for (uint32_t i = 0; i < st->n_threads; i++)
        if (thread_complete(s, &w, tops_of(st)[i]))
            return 1;
    return 0;
}

/* A token may not end inside a character that no token can finish. */
static uint32_t drop_split(const schema_walk *w, uint32_t *tops, uint32_t n)
{
    uint32_t kept = 0;
    if (w->schema->words->can_split)
        return n;
    for (uint32_t i = 0; i < n; i++)
        if (tops[i] == SCHEMA_NONE ||
                !mote__schema_in_character(w->schema, mote__schema_frame(w, tops[i])))
            tops[kept++] = tops[i];
    return kept;
}

/* Keep only the fresh frames that `tops` reach, sliding them down (a parent always lies
 * below its child). */
static void compact(schema_walk *w, uint32_t *tops, uint32_t n)
{
    uint16_t to[FRESH_MAX];
    memset(to, 0, w->n_fresh * sizeof *to);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t t = tops[i];
                t != SCHEMA_NONE && t >= w->n_base && !to[t - w->n_base];
                t = w->fresh[t - w->n_base].parent)
            to[t - w->n_base] = 1;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->n_fresh; i++) {
        if (!to[i])
            continue;
        schema_frame f = w->fresh[i];
        if (f.parent != SCHEMA_NONE && f.parent >= w->n_base)
            f.parent = w->n_base + to[f.parent - w->n_base];
        to[i] = (uint16_t)kept;
        w->fresh[kept++] = f;
    }
    w->n_fresh = kept;
    for (uint32_t i = 0; i < n; i++)
        if (tops[i] != SCHEMA_NONE && tops[i] >= w->n_base)
            tops[i] = w->n_base + to[tops[i] - w->n_base];
}

/* tops[keep..] = what one thread becomes by a token; the first `keep` tops stay valid.
 * Returns the count with them. tops has room for TOPS_MAX. */
static uint32_t run_token(schema_walk *w, uint32_t top, const uint8_t *bytes,
        size_t len, uint32_t *tops, uint32_t keep)
{
    const uint32_t cap = w->schema->threads_max;
    uint32_t next[SCHEMA_THREADS_MAX];
    uint32_t n = 1;
    tops[keep] = top;
    for (size_t i = 0; i < len && n; i++) {
        if (w->fresh_cap - w->n_fresh < 2 * cap + 2)
            compact(w, tops, keep + n);
        w->out = next;
        w->n_out = 0;
        w->out_cap = cap;
        for (uint32_t t = 0; t < n; t++)
            mote__schema_step(w, tops[keep + t], bytes[i]);
        n = w->n_out;
        memcpy(tops + keep, next, n * sizeof *next);
    }
    return keep + drop_split(w, tops + keep, n);
}

static int usable(const mote_schema *s, int32_t token)
{
    return token >= 0 && token < s->vocab.n_tokens &&
           s->words->usable[token >> 5] >> (token & 31) & 1;
}

/* Copy what the tops reach from (state, fresh) back into the state. */
static void store(const mote_schema *s, mote__schema_state *st, schema_walk *w,
        const uint32_t *tops, uint32_t n)
{
    uint32_t *forward = forward_of(s, st), *to = tops_of(st);
    schema_frame *frames = frames_of(s, st);
    uint16_t fresh_to[FRESH_MAX];
    uint32_t room = s->frames_max, n_kept = 0;
    enum { UNSEEN = 0xffff, SEEN = 0xfffe };
    memset(forward, 0xff, st->n_frames * sizeof *forward);
    memset(fresh_to, 0xff, w->n_fresh * sizeof *fresh_to);
    for (uint32_t i = 0; i < n && n_kept < s->threads_max; i++) {
        uint32_t need = 0;
        for (uint32_t t = tops[i]; t != SCHEMA_NONE;
                t = mote__schema_frame(w, t)->parent) {
            if (t < w->n_base ? forward[t] != SCHEMA_NONE
                              : fresh_to[t - w->n_base] == SEEN)
                break;
            need++;
        }
        if (need > room)
            break; /* the last readings of too many are given up */
        for (uint32_t t = tops[i]; need; need--, room--) {
            uint32_t parent = mote__schema_frame(w, t)->parent;
            if (t < w->n_base)
                forward[t] = 0;
            else
                fresh_to[t - w->n_base] = SEEN;
            t = parent;
        }
        to[n_kept++] = tops[i];
    }
    uint32_t k = 0;
    for (uint32_t i = 0; i < w->n_base; i++) {
        if (forward[i] == SCHEMA_NONE)
            continue;
        schema_frame f = frames[i];
        if (f.parent != SCHEMA_NONE)
            f.parent = forward[f.parent];
        forward[i] = k;
        frames[k++] = f;
    }
    for (uint32_t i = 0; i < w->n_fresh; i++) {
        if (fresh_to[i] == UNSEEN)
            continue;
        schema_frame f = w->fresh[i];
        if (f.parent != SCHEMA_NONE)
            f.parent = f.parent < w->n_base ? forward[f.parent]
                                            : fresh_to[f.parent - w->n_base];
        fresh_to[i] = (uint16_t)k;
        frames[k++] = f;
    }
    for (uint32_t i = 0; i < n_kept; i++)
        if (to[i] != SCHEMA_NONE)
            to[i] = to[i] < w->n_base ? forward[to[i]] : fresh_to[to[i] - w->n_base];
    st->n_threads = n_kept;
    st->n_frames = k;
}

/* Do two threads, seen through w, read the same? Their tops' equality is enough: chains
 * that went apart have different parents. */
static int same_top(const schema_walk *w, uint32_t a, uint32_t b)
{
    if (a == b || a == SCHEMA_NONE || b == SCHEMA_NONE)
        return a == b;
    const schema_frame *x = mote__schema_frame(w, a), *y = mote__schema_frame(w, b);
    return x->parent == y->parent && x->node == y->node && x->phase == y->phase &&
           x->sub == y->sub && x->acc == y->acc && x->u.value == y->u.value;
}

int mote__schema_accept(const mote_schema *s, mote__schema_state *st, int32_t token)
{
    schema_frame fresh[FRESH_MAX];
    uint32_t tops[TOPS_MAX];
    uint32_t n = 0;
    size_t len = 0;
    if (!usable(s, token))
        return 0;
    const char *bytes = s->vocab.token(s->vocab.user, token, &len);
    schema_walk w = {.schema = s,
            .base = frames_of(s, st),
            .n_base = st->n_frames,
            .fresh = fresh,
            .fresh_cap = FRESH_MAX};
    for (uint32_t i = 0; i < st->n_threads && n < s->threads_max; i++) {
        uint32_t end =
                run_token(&w, tops_of(st)[i], (const uint8_t *)bytes, len, tops, n);
        for (uint32_t t = n; t < end; t++) {
            uint32_t j = 0;
            while (j < n && !same_top(&w, tops[j], tops[t]))
                j++;
            if (j == n)
                tops[n++] = tops[t];
        }
    }
    if (!n)
        return 0;
    store(s, st, &w, tops, n);
    return 1;
}

/* The mask under construction. */
typedef struct mask {
    uint32_t *bits;
    uint32_t n_bits;
} mask;

static void allow(mask *m, int32_t token)
{
    if ((uint32_t)token < m->n_bits)
        m->bits[token >> 5] |= 1u << (token & 31);
}

static void allow_words(mask *m, const mote_schema *s, const uint32_t *words)
{
    uint32_t n = ((uint32_t)s->vocab.n_tokens + 31) / 32, most = (m->n_bits + 31) / 32;
    for (uint32_t i = 0; i < n && i < most; i++)
        m->bits[i] |= words[i];
}

/* Tokens of a subtree, each run on its own: where the walk's own space is too small. */
static void walk_slowly(const mote_schema *s, const schema_walk *from,
        const schema_trie *trie, uint32_t node, uint32_t top, mask *m)
{
    schema_frame fresh[FRESH_MAX];
    uint32_t tops[TOPS_MAX];
    schema_walk w = *from;
    w.fresh = fresh;
    w.fresh_cap = FRESH_MAX;
    uint32_t end = trie->nodes[trie->nodes[node].skip].token_begin;
    for (uint32_t k = trie->nodes[node].token_begin; k < end; k++) {
        size_t len = 0;
        int32_t token = trie->tokens[k];
        const char *bytes = s->vocab.token(s->vocab.user, token, &len);
        w.n_fresh = 0;
        if (run_token(&w, top, (const uint8_t *)bytes, len, tops, 0))
            allow(m, token);
    }
}

/* All tokens of the trie that one thread takes. */
static void walk_trie(const mote_schema *s, const mote__schema_state *st, uint32_t top,
        const schema_trie *trie, mask *m)
{
    schema_frame fresh[FRESH_MAX];
    uint32_t tops[TOPS_MAX];
    struct {
        uint16_t top_begin, top_end, n_fresh;
    } at[SCHEMA_TOKEN_MAX + 1]; /* by depth: threads after that many bytes */
    schema_walk w = {.schema = s,
            .base = frames_of(s, st),
            .n_base = st->n_frames,
            .fresh = fresh,
            .fresh_cap = FRESH_MAX};
    tops[0] = top;
    at[0].top_begin = 0;
    at[0].top_end = 1;
    at[0].n_fresh = 0;
    for (uint32_t i = 0; i < trie->n_nodes;) {
        const schema_trie_node *node = &trie->nodes[i];
        uint32_t d = node->depth, begin = at[d - 1].top_begin, end = at[d - 1].top_end;
        w.n_fresh = at[d - 1].n_fresh;
        w.out = tops + end;
        w.n_out = 0;
        w.out_cap = TOPS_MAX - end < s->threads_max ? TOPS_MAX - end : s->threads_max;
        w.overflow = 0;
        for (uint32_t t = begin; t < end; t++)
            mote__schema_step(&w, tops[t], node->byte);
        if (w.overflow && (w.n_fresh == w.fresh_cap || w.out_cap < s->threads_max)) {
            walk_slowly(s, &w, trie, i, top, m);
            i = node->skip;
            continue;
        }
        if (!w.n_out) {
            i = node->skip;
            continue;
        }
        at[d].top_begin = (uint16_t)end;
        at[d].top_end = (uint16_t)(end + w.n_out);
        at[d].n_fresh = (uint16_t)w.n_fresh;
        uint32_t k = node->token_begin, last = node[1].token_begin;
        if (k < last) {
            uint32_t copy[SCHEMA_THREADS_MAX];
            memcpy(copy, w.out, w.n_out * sizeof *copy);
            if (s->words->can_split || drop_split(&w, copy, w.n_out))
                for (; k < last; k++)
                    allow(m, trie->tokens[k]);
        }
        i++;
    }
}

/* Tokens that stay inside a string with room for `left` more characters. */
static void allow_content(const mote_schema *s, uint32_t left, int plain, mask *m)
{
    const schema_strings *g = &s->words->strings;
    const uint32_t *words = plain ? g->plain : g->content;
    uint32_t most = left < SCHEMA_TOKEN_MAX ? left : SCHEMA_TOKEN_MAX;
    uint32_t n = g->count_begin[most + 1], n_all = g->count_begin[SCHEMA_TOKEN_MAX + 1];
    if (n == n_all) {
        allow_words(m, s, words);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        int32_t t = g->by_count[i];
        if (words[t >> 5] >> (t & 31) & 1)
            allow(m, t);
    }
}

void mote__schema_mask(const mote_schema *s, const mote__schema_state *st,
        uint32_t *bits, uint32_t vocab_size, int32_t eos)
{
    mask m = {bits, vocab_size};
    memset(bits, 0, ((size_t)vocab_size + 31) / 32 * 4);
    for (uint32_t i = 0; i < st->n_threads; i++) {
        uint32_t top = tops_of(st)[i];
        if (top == SCHEMA_NONE)
            continue;
        const schema_frame *f = &frames_of(s, st)[top];
        if (!mote__schema_in_string(s, f)) {
            walk_trie(s, st, top, &s->words->all, &m);
            continue;
        }
        const schema_node *n = &s->nodes[f->node];
        allow_content(s, n->u.string.max - f->u.at.count,
                n->u.string.exclude != SCHEMA_NONE, &m);
        walk_trie(s, st, top, &s->words->strings.closing, &m);
    }
    if (vocab_size & 31)
        bits[vocab_size / 32] &= (1u << (vocab_size & 31)) - 1;
    if (eos >= 0 && mote__schema_complete(s, st))
        allow(&m, eos);
}
