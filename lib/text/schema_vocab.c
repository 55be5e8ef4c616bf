/* SPDX-License-Identifier: MIT */
/* The vocabulary as the machine wants it: a trie of all tokens in preorder, so that a
 * mismatch skips a subtree, and, for the place where generations spend most of their
 * steps (inside a string), what each token does there, found once.
 *
 * A token is usable when the vocabulary gives its bytes and it has 1..SCHEMA_TOKEN_MAX
 * of them. All printable ASCII must exist as single bytes, since any value is then
 * completable byte by byte; where some UTF-8 continuation byte has no token, tokens may
 * not end inside a character. */
#include "text/schema_machine.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    uint64_t head; /* the first eight bytes as a number: settles most comparisons */
    const uint8_t *bytes;
    uint32_t n_bytes;
    int32_t token;
} entry;

static int entry_compare(const void *pa, const void *pb)
{
    const entry *a = pa, *b = pb;
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    uint32_t n = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes;
    int c = memcmp(a->bytes, b->bytes, n);
    if (c)
        return c;
    if (a->n_bytes != b->n_bytes)
        return a->n_bytes < b->n_bytes ? -1 : 1;
    return a->token < b->token ? -1 : a->token > b->token;
}

static uint64_t head_of(const char *bytes, size_t n)
{
    uint64_t head = 0;
    for (size_t i = 0; i < 8; i++)
        head = head << 8 | (i < n ? (uint8_t)bytes[i] : 0u);
    return head;
}

static uint32_t shared_prefix(const entry *a, const entry *b)
{
    uint32_t n = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes, i = 0;
    while (i < n && a->bytes[i] == b->bytes[i])
        i++;
    return i;
}

/* Trie of sorted entries. */
static int trie_build(schema_trie *t, const entry *e, uint32_t n)
{
    size_t n_nodes = 0;
    for (uint32_t i = 0; i < n; i++)
        n_nodes += e[i].n_bytes - (i ? shared_prefix(&e[i - 1], &e[i]) : 0);
    if (n_nodes >= UINT32_MAX)
        return -1;
    t->nodes = calloc(n_nodes + 1, sizeof *t->nodes);
    t->tokens = calloc(n ? n : 1, sizeof *t->tokens);
    if (!t->nodes || !t->tokens)
        return -1;
    uint32_t path[SCHEMA_TOKEN_MAX + 1]; /* node of each depth */
    uint32_t open = 0, k = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t shared = i ? shared_prefix(&e[i - 1], &e[i]) : 0;
        for (; open > shared; open--)
            t->nodes[path[open]].skip = k;
        for (uint32_t d = shared; d < e[i].n_bytes; d++) {
            t->nodes[k] = (schema_trie_node){.token_begin = i,
                    .depth = (uint16_t)(d + 1),
                    .byte = e[i].bytes[d]};
            path[++open] = k++;
        }
        t->tokens[i] = e[i].token;
        /* Nodes made later begin after this token. */
    }
    for (; open > 0; open--)
        t->nodes[path[open]].skip = k;
    t->nodes[k] = (schema_trie_node){.skip = k, .token_begin = n};
    t->n_nodes = k;
    t->n_tokens = n;
    return 0;
}

static void trie_free(schema_trie *t)
{
    free(t->nodes);
    free(t->tokens);
}

/* What a token does at the start of a character: -1 impossible, 0 the string ends in
 * it, else how many characters it begins. */
static int32_t classify(const mote__schema_words *w, const entry *e)
{
    const mote_schema none = {0}; /* no literals are excluded */
    const schema_node any = {.kind = NODE_STRING,
            .u.string = {.max = UINT32_MAX, .exclude = SCHEMA_NONE}};
    schema_frame f = {.phase = STRING_CONTENT}, next;
    f.u.at.pos = SCHEMA_NONE;
    for (uint32_t i = 0; i < e->n_bytes; i++) {
        int r = mote__schema_string_step(&none, &any, &f, e->bytes[i], &next);
        if (r != 1)
            return r == 2 ? 0 : -1;
        f = next;
    }
    return f.phase == STRING_UTF8 && !w->can_split ? -1 : (int32_t)f.u.at.count;
}

static void set_bit(uint32_t *bits, int32_t i)
{
    bits[i >> 5] |= 1u << (i & 31);
}

static int strings_build(
        mote__schema_words *w, size_t words, const entry *e, uint32_t n)
{
    schema_strings *g = &w->strings;
    entry *closing = malloc((n ? n : 1) * sizeof *closing);
    int32_t *count = malloc((n ? n : 1) * sizeof *count);
    uint32_t n_closing = 0;
    int bad = -1;
    g->content = calloc(words ? words : 1, 4);
    g->plain = calloc(words ? words : 1, 4);
    g->count_begin = calloc(SCHEMA_TOKEN_MAX + 2, 4);
    g->by_count = calloc(n ? n : 1, 4);
    if (!closing || !count || !g->content || !g->plain || !g->count_begin ||
            !g->by_count)
        goto out;
    for (uint32_t i = 0; i < n; i++) {
        count[i] = classify(w, &e[i]);
        if (count[i] == 0)
            closing[n_closing++] = e[i];
        if (count[i] <= 0)
            continue;
        set_bit(g->content, e[i].token);
        if (!memchr(e[i].bytes, '\\', e[i].n_bytes))
            set_bit(g->plain, e[i].token);
        g->count_begin[count[i] + 1]++;
    }
    for (int c = 0; c <= SCHEMA_TOKEN_MAX; c++)
        g->count_begin[c + 1] += g->count_begin[c];
    /* Counting sort; count_begin[c] moves to the end of c and is then moved back. */
    for (uint32_t i = 0; i < n; i++)
        if (count[i] > 0)
            g->by_count[g->count_begin[count[i]]++] = e[i].token;
    for (int c = SCHEMA_TOKEN_MAX; c > 0; c--)
        g->count_begin[c] = g->count_begin[c - 1];
    g->count_begin[0] = 0;
    bad = trie_build(&g->closing, closing, n_closing);
out:
    free(closing);
    free(count);
    return bad;
}

static mote_status build(
        mote__schema_words *w, const mote__schema_vocab *vocab, mote_error *err)
{
    uint32_t n = 0;
    size_t n_tokens = (size_t)vocab->n_tokens, words = (n_tokens + 31) / 32;
    mote_status st = MOTE_OK;
    entry *e = malloc((n_tokens ? n_tokens : 1) * sizeof *e);
    w->usable = calloc(words + 1, 4);
    if (!e || !w->usable)
        goto memory;
    for (int32_t i = 0; i < vocab->n_tokens; i++) {
        size_t len = 0;
        const char *bytes = vocab->token(vocab->user, i, &len);
        if (!bytes || len == 0 || len > SCHEMA_TOKEN_MAX)
            continue;
        e[n++] = (entry){head_of(bytes, len), (const uint8_t *)bytes, (uint32_t)len, i};
        set_bit(w->usable, i);
        if (len == 1)
            w->has_byte[(uint8_t)bytes[0]] = 1;
    }
    for (int c = 0x20; c < 0x7f; c++)
        if (!w->has_byte[c]) {
            st = mote__fail(err, MOTE_E_UNSUPPORTED,
                    "schema: the vocabulary has no token for the single byte '%c', "
                    "which "
                    "constrained output needs",
                    c);
            goto out;
        }
    w->can_split = 1;
    for (int c = 0x80; c < 0xc0; c++)
        w->can_split &= w->has_byte[c];
    qsort(e, n, sizeof *e, entry_compare);
    if (trie_build(&w->all, e, n) || strings_build(w, words, e, n))
        goto memory;
out:
    free(e);
    return st;
memory:
    st = mote__fail_memory(err, n_tokens * 32, "the vocabulary of a schema");
    goto out;
}

mote_status mote__schema_words_open(
        mote__schema_words **out, const mote__schema_vocab *vocab, mote_error *err)
{
    mote__schema_words *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return mote__fail_memory(err, sizeof *w, "the vocabulary of a schema");
    mote_status st = build(w, vocab, err);
    if (st < 0)
        mote__schema_words_close(w);
    else
        *out = w;
    return st;
}

void mote__schema_words_close(mote__schema_words *w)
{
    if (!w)
        return;
    trie_free(&w->all);
    trie_free(&w->strings.closing);
    free(w->usable);
    free(w->strings.content);
    free(w->strings.plain);
    free(w->strings.count_begin);
    free(w->strings.by_count);
    free(w);
}
