/* SPDX-License-Identifier: MIT */
/* The machine behind a schema: nodes (what may come), frames (where we stand in them).
 *
 * Invariants: a concrete node is an object, array, string, number or literal; every
 * node owns a slice of `members`, the concrete nodes a value may start as. A thread is
 * a chain of frames from its top to the root, linked by `parent` (always a lower
 * index), one frame per open container plus the value under way. Several threads are
 * the readings of the bytes so far that are still possible (anyOf). A frame exists only
 * where the value can be completed within `depth_max` frames and by tokens of the
 * vocabulary. */
#ifndef MOTE_TEXT_SCHEMA_MACHINE_H
#define MOTE_TEXT_SCHEMA_MACHINE_H
#include "text/schema.h"

enum {
    SCHEMA_TEXT_MAX = 1 << 20,    /* bytes of schema text */
    SCHEMA_NODES_MAX = 1 << 17,   /* parts of a schema */
    SCHEMA_POOL_MAX = 1 << 21,    /* members, literal characters */
    SCHEMA_JSON_DEPTH_MAX = 128,  /* nesting of the schema text */
    SCHEMA_NESTING = 32,          /* containers around a recursive or free value */
    SCHEMA_NESTING_MAX = 130,     /* frames of a value whose schema bounds it */
    SCHEMA_STRING_DEFAULT = 4096, /* code points where no maxLength is given */
    SCHEMA_KEY_DEFAULT = 256,     /* code points of a free key */
    SCHEMA_ITEMS_DEFAULT = 1024,  /* where no maxItems is given, and free keys */
    SCHEMA_COUNT_MAX = 1000000,   /* largest minItems, maxItems, ... kept */
    SCHEMA_UNION_MAX = 256,       /* branches of one anyOf */
    SCHEMA_THREADS_MAX = 256,     /* readings followed at once */
    SCHEMA_FRAMES_MAX = 2048,     /* frames of a state */
    SCHEMA_TOKEN_MAX = 256,       /* bytes; longer tokens are not offered */
    SCHEMA_FRACTION_DIGITS = 6,   /* of a number with bounds */
    SCHEMA_FREE_INT_DIGITS = 15,  /* of a number without bounds */
    SCHEMA_FREE_FRACTION_DIGITS = 15,
    SCHEMA_FREE_EXPONENT_DIGITS = 2,
};
#define SCHEMA_NONE UINT32_MAX
#define SCHEMA_DEEP UINT32_MAX /* min_depth of a node without any value */

enum schema_kind {
    NODE_OBJECT,
    NODE_ARRAY,
    NODE_STRING,
    NODE_NUMBER,
    NODE_LITERAL,
    NODE_UNION, /* members given by nodes, flattened when compiled */
    NODE_ALIAS, /* $ref */
};

typedef struct schema_node {
    uint8_t kind;
    uint32_t min_depth;               /* frames that its smallest value needs */
    uint32_t member_begin, n_members; /* slice of schema->members */
    union {
        struct {
            uint32_t prop_begin, n_props; /* schema->props, and a sentinel */
            uint32_t keys;                /* literal trie of keys, or NONE */
            uint32_t extra;               /* node of other properties, or NONE */
            uint32_t key;                 /* string node of other keys */
            uint32_t child_depth_max;     /* largest min_depth of a usable property */
        } object;
        struct {
            uint32_t item_begin, n_prefix; /* schema->items */
            uint32_t rest;                 /* node of items after the prefix, or NONE */
            uint32_t min, max;
        } array;
        struct {
            uint32_t min, max; /* code points */
            uint32_t exclude;  /* literal trie of keys it must not equal, or NONE */
        } string;
        struct {
            uint64_t pos_lo, pos_hi; /* magnitudes x scale; lo > hi: none */
            uint64_t neg_lo, neg_hi;
            uint64_t scale; /* 10^digits of fraction; 0: any JSON number */
            uint32_t digits;
        } number;
        struct {
            uint32_t root;                /* literal trie */
            uint32_t text_begin, n_texts; /* while compiling */
        } literal;
        struct {
            uint32_t begin, n; /* while compiling: union branches; alias: n = 1 */
        } list;
    } u;
} schema_node;

typedef struct schema_prop {
    uint32_t node;
    uint32_t next_required; /* first required property from here on, or n_props */
} schema_prop;

/* Node of a trie over the bytes of literals or quoted keys. */
typedef struct schema_lit {
    uint32_t child_begin;
    uint16_t n_children; /* sorted by byte, contiguous */
    uint8_t byte;
    uint8_t is_end;                /* a literal ends here */
    uint32_t value;                /* its index */
    uint32_t index_begin, n_index; /* usable keys below, ascending: schema->key_index */
} schema_lit;

/* Tokens as a trie in preorder: a mismatch at i goes on at skip. */
typedef struct schema_trie_node {
    uint32_t skip;
    uint32_t token_begin; /* of schema_trie.tokens, to the next node's */
    uint16_t depth;       /* bytes up to and with this one */
    uint8_t byte;
} schema_trie_node;
typedef struct schema_trie {
    schema_trie_node *nodes; /* n_nodes + 1 */
    int32_t *tokens;
    uint32_t n_nodes, n_tokens;
} schema_trie;

/* What every token does inside a string, at the start of a character. */
typedef struct schema_strings {
    uint32_t *content;     /* bit: the token stays inside the string */
    uint32_t *plain;       /* the same, and has no backslash */
    int32_t *by_count;     /* tokens of content by the characters they begin */
    uint32_t *count_begin; /* [SCHEMA_TOKEN_MAX + 2] */
    schema_trie closing;   /* tokens in which the string ends */
} schema_strings;

/* What a vocabulary is to every schema: found once, shared, never changed. */
struct mote__schema_words {
    uint8_t can_split;     /* a token may end inside a UTF-8 character */
    uint8_t has_byte[256]; /* there is a token of this one byte */
    uint32_t *usable;      /* bit: the token may be generated at all */
    schema_trie all;
    schema_strings strings;
};

struct mote_schema {
    mote__schema_vocab vocab;
    const mote__schema_words *words;
    mote__schema_words *own_words; /* the same, where no tokenizer keeps them */
    schema_node *nodes;
    uint32_t *members, *items, *key_index;
    schema_prop *props;
    schema_lit *lits;
    size_t n_nodes, n_members, n_items, n_key_index, n_props, n_lits;
    size_t nodes_cap, members_cap, items_cap, key_index_cap, props_cap, lits_cap;
    uint32_t root;
    uint32_t depth_max;   /* frames of one thread */
    uint32_t threads_max; /* 1 where nothing is ambiguous */
    uint32_t frames_max;
};

typedef struct schema_frame {
    uint32_t parent; /* NONE: the root value */
    uint32_t node;
    uint8_t phase;
    uint8_t sub;
    uint16_t depth; /* 1 for the root value */
    uint32_t acc;
    union {
        struct {
            uint32_t count, pos;
        } at;
        uint64_t value;
    } u;
} schema_frame;

enum { PHASE_VALUE = 0 }; /* nothing of the value seen yet: the root only */

/* One byte at a time over persistent frames: `base` frames belong to a state and are
 * only read; new ones are appended to `fresh`. A thread's top NONE means that the root
 * value is complete. */
typedef struct schema_walk {
    const mote_schema *schema;
    const schema_frame *base;
    uint32_t n_base;
    schema_frame *fresh;
    uint32_t n_fresh, fresh_cap;
    uint32_t *out; /* tops after the byte */
    uint32_t n_out, out_cap;
    int overflow; /* fresh or out was too small: a thread was dropped */
} schema_walk;

static inline const schema_frame *mote__schema_frame(const schema_walk *w, uint32_t i)
{
    return i < w->n_base ? &w->base[i] : &w->fresh[i - w->n_base];
}

/* schema_step.c: append to w->out what thread `top` becomes by a byte. */
void mote__schema_step(schema_walk *w, uint32_t top, uint8_t byte);
/* 1 when the value whose frame this is may end here (numbers, literals). */
int mote__schema_may_end(const mote_schema *schema, const schema_frame *frame);
/* 1 inside a UTF-8 character of a string. */
int mote__schema_in_character(const mote_schema *schema, const schema_frame *frame);
/* 1 inside a string at the start of a character. */
int mote__schema_in_string(const mote_schema *schema, const schema_frame *frame);
uint32_t mote__schema_lit_child(const mote_schema *schema, uint32_t lit, uint8_t byte);

/* schema_number.c: the frame's next value in *next; 0 where the byte does not go on. */
int mote__schema_number_step(const schema_node *node, const schema_frame *frame,
        uint8_t c, schema_frame *next);
int mote__schema_number_end(const schema_node *node, const schema_frame *frame);

/* schema_string.c: the same for the inside of a string; 2: the string ends. */
enum { STRING_CONTENT = 1, STRING_ESCAPE, STRING_HEX, STRING_LOW, STRING_UTF8 };
int mote__schema_string_step(const mote_schema *schema, const schema_node *node,
        const schema_frame *frame, uint8_t c, schema_frame *next);

/* schema_lit.c: build a trie over texts (n may be 0); each value is its index.
 * `usable`, where given, says which indices are listed in the nodes' index slices. */
typedef struct schema_text {
    const char *bytes;
    size_t n_bytes;
    uint32_t value;
} schema_text;
mote_status mote__schema_lit_build(mote_schema *schema, schema_text *texts, size_t n,
        const uint8_t *usable, uint32_t *root, mote_error *err);

/* schema_vocab.c */
mote_status mote__schema_words_open(
        mote__schema_words **out, const mote__schema_vocab *vocab, mote_error *err);
/* schema_compile.c: nodes from text, up to schema->root. */
mote_status mote__schema_compile(
        mote_schema *schema, const char *json, size_t n_bytes, mote_error *err);
#endif
