/* SPDX-License-Identifier: MIT */
/* "every one parses and validates": random schemas, random choices among the allowed
 * tokens, an independent validator. Along the way: a mask is never empty, is exactly
 * the set of tokens that accept() takes, and a copied state goes the same way. */
#include "mote/tokenizer.h"
#include "random_schema.h"
#include "schema_validator.h"
#include "text/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- vocabularies ---- */

enum { FAKE_MAX = 400 };
typedef struct fake {
    char text[FAKE_MAX][40];
    size_t n_bytes[FAKE_MAX];
    int32_t n;
} fake;

static const char *fake_token(const void *user, int32_t token, size_t *n)
{
    const fake *f = user;
    *n = f->n_bytes[token];
    return *n ? f->text[token] : NULL;
}

static void fake_add(fake *f, const char *bytes, size_t n)
{
    memcpy(f->text[f->n], bytes, n);
    f->n_bytes[f->n++] = n;
}

/* Bytes and a few awkward pieces: over the edges of values, half characters, escapes.
 */
static void fake_init(fake *f, int all_bytes)
{
    static const char *const pieces[] = {"{\"", "\":", "\": ", "\", \"", "\"}", "]}",
            "},", "}}", "[[", "true", "false", "null", "tru", "alse", "12", "345", "00",
            "-1", "0.", ".5", "e1", "1e", "\\\"", "\\\\", "\\u", "\\ud8", "3d\\u",
            "\\n\\", "ab", "abc", "\xc3\xa9", "\xe2\x82", "\xf0\x9f", "\x98\x80",
            "a\xc3", "\"a\":1,\"", "\"\"", "[]", "{}", "[{\"", "1,2", ", ", ": ", "  ",
            "\n", "x\"}]", "name", "kind", "99", "9999999999", "\",", "\"]", "a\",\"b",
            ":\"", "[\"", "\\", "\xa9\"", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    memset(f, 0, sizeof *f);
    f->n = 2; /* ids 0 and 1: control */
    for (int b = 0; b < 256; b++) {
        char c = (char)b;
        if (b < 0x80 || all_bytes)
            fake_add(f, &c, 1);
    }
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        fake_add(f, pieces[i], strlen(pieces[i]));
    fake_add(f, "ab", 2); /* the same bytes again */
}

static const char *tokenizer_token(const void *user, int32_t token, size_t *n)
{
    return token < 3 ? NULL
                     : mote_tokenizer_token(user, token, n); /* BOS, EOS, padding */
}

/* ---- generation ---- */

typedef struct run {
    const mote__schema_vocab *vocab;
    mote_schema *schema;
    mote__schema_state *state, *copy;
    uint32_t *bits;
    int32_t *allowed;
    char *out;
    size_t n_out, cap;
} run;

static int bit(const uint32_t *bits, int32_t i)
{
    return bits[i >> 5] >> (i & 31) & 1;
}

/* The mask and accept() agree on every token; a refusal leaves the state alone. */
static void check_exact(run *r, int32_t eos)
{
    size_t n = mote__schema_state_bytes(r->schema);
    memcpy(r->copy, r->state, n);
    for (int32_t t = 0; t < r->vocab->n_tokens; t++) {
        if (t == eos)
            continue;
        int ok = mote__schema_accept(r->schema, r->copy, t);
        if (ok != bit(r->bits, t))
            fail_msg("token %d: mask %d, accept %d", t, bit(r->bits, t), ok);
        if (ok) /* a refused token must leave it as it was for the next */
            memcpy(r->copy, r->state, n);
    }
    mote__schema_accept(r->schema, r->copy, -1);
    assert_memory_equal(r->copy, r->state, n);
}

/* A token that closes something, or -1. */
static int32_t closing_token(run *r, uint32_t n)
{
    for (int tries = 0; tries < 64; tries++) {
        size_t len;
        int32_t t = r->allowed[schema_rnd(n)];
        const char *b = r->vocab->token(r->vocab->user, t, &len);
        if (b && (memchr(b, '}', len) || memchr(b, ']', len) || memchr(b, '"', len)))
            return t;
    }
    for (uint32_t i = 0; i < n; i++) {
        size_t len;
        const char *b = r->vocab->token(r->vocab->user, r->allowed[i], &len);
        if (b && len == 1 && strchr("}]\"", b[0]))
            return r->allowed[i];
    }
    return -1;
}

/* Generate one value; returns 0 where it grew too long for the test. */
static int generate(run *r, int32_t eos, int exact_every, char *where)
{
    mote__schema_start(r->schema, r->state);
    r->n_out = 0;
    uint32_t vocab_size =
            (uint32_t)r->vocab->n_tokens + schema_rnd(70); /* models pad theirs */
    for (int step = 0; step < 20000; step++) {
        uint32_t n = 0;
        r->bits[vocab_size / 32 + 1] = 0xdeadbeef;
        mote__schema_mask(r->schema, r->state, r->bits, vocab_size, eos);
        assert_int_equal(r->bits[vocab_size / 32 + 1], 0xdeadbeef);
        for (int32_t t = 0; t < (int32_t)vocab_size; t++)
            if (bit(r->bits, t))
                r->allowed[n++] = t;
        if (!n)
            fail_msg("%s: empty mask after %.*s", where, (int)r->n_out, r->out);
        assert_int_equal(bit(r->bits, eos), mote__schema_complete(r->schema, r->state));
        if (exact_every && step % exact_every == 0)
            check_exact(r, eos);
        int32_t t = r->allowed[schema_rnd(n)];
        if (bit(r->bits, eos) && (n == 1 || schema_rnd(2)))
            return 1;
        if (t == eos)
            return 1;
        if (schema_rnd(100) < (step > 60 ? 90u : 20u)) {
            int32_t c = closing_token(r, n);
            t = c >= 0 && c != eos ? c : t;
        }
        if (step % 7 == 0) { /* a detour that is rolled back */
            size_t size = mote__schema_state_bytes(r->schema);
            memcpy(r->copy, r->state, size);
            assert_int_equal(mote__schema_accept(r->schema, r->state, t), 1);
            memcpy(r->state, r->copy, size);
        }
        size_t len;
        const char *b = r->vocab->token(r->vocab->user, t, &len);
        assert_int_equal(mote__schema_accept(r->schema, r->state, t), 1);
        if (r->n_out + len >= r->cap)
            return 0;
        memcpy(r->out + r->n_out, b, len);
        r->n_out += len;
    }
    return 0;
}

/* n schemas over a vocabulary; returns how many outputs were checked. */
static int many(
        const mote__schema_vocab *vocab, int n_schemas, int n_each, int exact_every)
{
    int checked = 0, refused = 0, long_ones = 0;
    run r = {.vocab = vocab, .cap = 1 << 20};
    size_t words = (size_t)vocab->n_tokens / 32 + 8;
    r.bits = calloc(words, 4);
    r.allowed = calloc((size_t)vocab->n_tokens + 80, 4);
    r.out = malloc(r.cap);
    for (int i = 0; i < n_schemas; i++) {
        char where[64];
        mote_error err;
        snprintf(where, sizeof where, "schema %d", i);
        json_t *schema = schema_random();
        char *text = json_dumps(schema, JSON_ENCODE_ANY);
        mote_status st =
                mote__schema_open(&r.schema, vocab, NULL, text, strlen(text), &err);
        if (st == MOTE_E_FORMAT && strstr(err.message, "no value")) {
            refused++; /* nothing satisfies it: an empty range, endless recursion */
            goto next;
        }
        if (st == MOTE_E_FORMAT && strstr(err.message, "leads back")) {
            refused++;
            goto next;
        }
        if (st == MOTE_E_UNSUPPORTED && strstr(err.message, "0xc3")) {
            refused++; /* the poor vocabulary cannot spell a literal */
            goto next;
        }
        if (st < 0)
            fail_msg("%s: %s", text, err.message);
        size_t size = mote__schema_state_bytes(r.schema);
        r.state = malloc(size);
        r.copy = malloc(size);
        for (int k = 0; k < n_each; k++) {
            if (!generate(&r, 0, exact_every, where)) {
                long_ones++;
                continue;
            }
            json_error_t e;
            json_t *v = json_loadb(r.out, r.n_out, JSON_DECODE_ANY, &e);
            if (!v)
                fail_msg("%s\n%.*s\n%s", text, (int)r.n_out, r.out, e.text);
            if (schema_valid(schema, schema, v) != 1)
                fail_msg("%s\nnot valid: %.*s", text, (int)r.n_out, r.out);
            json_decref(v);
            checked++;
        }
        free(r.state);
        free(r.copy);
        mote__schema_free(r.schema);
    next:
        free(text);
        json_decref(schema);
    }
    free(r.bits);
    free(r.allowed);
    free(r.out);
    print_message(
            "%d outputs checked, %d schemas without values, %d outputs too long\n",
            checked, refused, long_ones);
    assert_true(long_ones * 100 <= checked);
    return checked;
}

static void test_small_vocabulary(void **state)
{
    (void)state;
    fake *f = malloc(sizeof *f);
    fake_init(f, 1);
    mote__schema_vocab v = {fake_token, f, f->n};
    schema_seed(1);
    assert_true(many(&v, 1000, 2, 13) >= 1500);
    free(f);
}

/* No single bytes above 0x7f: whole characters only. */
static void test_poor_vocabulary(void **state)
{
    (void)state;
    fake *f = malloc(sizeof *f);
    fake_init(f, 0);
    mote__schema_vocab v = {fake_token, f, f->n};
    schema_seed(2);
    assert_true(many(&v, 200, 2, 5) >= 200);
    free(f);
}

static void test_tokenizer(void **state)
{
    (void)state;
    char path[1024];
    const char *data = getenv("MOTE_TEST_DATA");
    mote_tokenizer *t;
    mote_error err;
    snprintf(path, sizeof path, "%s/../../models/tiny-v3/tokenizer.json",
            data ? data : ".");
    if (mote_tokenizer_open(&t, path, &err) < 0)
        fail_msg("%s", err.message);
    /* The public way keeps added tokens out. */
    mote_schema *s;
    if (mote_schema_open(&s, t, NULL, 0, &err) < 0)
        fail_msg("%s", err.message);
    size_t n_tokens = (size_t)mote_tokenizer_size(t);
    uint32_t *bits = calloc(n_tokens / 32 + 1, 4);
    mote__schema_state *st = malloc(mote__schema_state_bytes(s));
    mote__schema_start(s, st);
    size_t len;
    for (int i = 0; i < 2; i++) { /* at the start, and inside a string */
        mote__schema_mask(s, st, bits, (uint32_t)n_tokens, mote_tokenizer_eos(t));
        for (int32_t k = 0; k < (int32_t)n_tokens; k++) {
            const char *b = mote_tokenizer_token(t, k, &len);
            if (bit(bits, k) && b && mote_tokenizer_find(t, b, len) == k)
                fail_msg("control token %d is allowed", k);
        }
        for (int32_t k = 0; k < (int32_t)n_tokens; k++) {
            const char *b = mote_tokenizer_token(t, k, &len);
            if (b && len == 1 && b[0] == (i ? 'a' : '['))
                assert_int_equal(mote__schema_accept(s, st, k), 1);
        }
        for (int32_t k = 0; k < (int32_t)n_tokens && !i; k++) {
            const char *b = mote_tokenizer_token(t, k, &len);
            if (b && len == 1 && b[0] == '"')
                assert_int_equal(mote__schema_accept(s, st, k), 1);
        }
        if (i)
            break;
    }
    free(bits);
    free(st);
    mote_schema_close(s);
    mote__schema_vocab v = {tokenizer_token, t, 4080};
    schema_seed(3);
    assert_true(many(&v, 1000, 1, 211) >= 700);
    mote_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_small_vocabulary),
            cmocka_unit_test(test_poor_vocabulary),
            cmocka_unit_test(test_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
