/* SPDX-License-Identifier: MIT */
/* "Advance several sessions of one model in one pass over the weights. Each gets
 * exactly what mote_session_next() would have given it"; and sessions in several
 * threads. */
#include "sessions.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
    *state = tiny_open(2);
    return 0;
}

static int teardown(void **state)
{
    mote_model_close(*state);
    return 0;
}

static const char schema_text[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":"
        "8}"
        ",\"b\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0,"
        "\"maximum\":9},\"minItems\":2,\"maxItems\":4}},\"required\":[\"a\",\"b\"],"
        "\"additionalProperties\":false}";

enum { EIGHT = 8, CANCELLED = 5 };

/* Session i of a mixed company: lengths, caches, samplers, schemas, drafters, ends. */
static mote_session *member(
        mote_model *m, const mote_schema *schema, uint32_t i, uint32_t company)
{
    int32_t ids[PROMPT_MAX];
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session *s;
    o.context_tokens = 60 + 20 * (i % 5);
    o.prefill_tokens = company ? 5 : 5 + 7 * (i % 3);
    o.kv_type = company ? MOTE_KV_BF16 : 1 + i % 3;
    o.draft = i % 4;
    o.precision = company || i % 2 ? 0 : MOTE_PRECISION_EXACT;
    MUST(mote_session_open(&s, m, &o, err));
    MUST(mote_session_eval(s, ids, prompt_ids(m, i, ids), err));
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    mote_sampler_options so = MOTE_SAMPLER_OPTIONS_INIT;
    so.temperature = i % 2 ? 1 : 0;
    so.seed = i;
    g.max_tokens = i % 5 == 1 ? 1 + i : 0; /* else to the end of the context */
    g.ignore_eos = 1;
    if (i % 3 == 2)
        g.schema = schema;
    MUST(mote_session_generate(s, &g, &so, err));
    return s;
}

static void company(mote_model *m, uint32_t which, uint32_t n)
{
    mote_schema *schema;
    MUST(mote_schema_open(&schema, mote_model_tokenizer(m), schema_text,
            sizeof schema_text - 1, err));
    mote_session **s = calloc(n, sizeof *s);
    reply *alone = calloc(n, sizeof *alone), *together = calloc(n, sizeof *together);
    mote_piece *p = calloc(n, sizeof *p);
    mote_status *st = calloc(n, sizeof *st), *last = calloc(n, sizeof *last);
    uint32_t *cancels = calloc(n, sizeof *cancels);
    assert_true(s && alone && together && p && st && last && cancels);
    for (uint32_t i = 0; i < n; i++) {
        s[i] = member(m, schema, i, which);
        for (;;) {
            mote_piece piece = MOTE_PIECE_INIT;
            if (mote_session_next(s[i], &piece, NULL) != MOTE_OK)
                break;
            reply_take(&alone[i], &piece);
        }
        assert_int_not_equal(alone[i].stop, MOTE_STOP_NONE);
        mote_session_close(s[i]);
        s[i] = member(m, schema, i, which);
        p[i].struct_size = sizeof *p;
    }
    uint32_t steps = 0;
    for (;; steps++) {
        if (steps == 9)
            mote_session_cancel(s[CANCELLED]);
        if (steps == 14 && which == 0) { /* one goes a bit of its way alone */
            for (int k = 0; k < 5; k++) {
                mote_piece piece = MOTE_PIECE_INIT;
                if (mote_session_next(s[2], &piece, NULL) == MOTE_OK)
                    reply_take(&together[2], &piece);
            }
        }
        mote_status all = mote_session_next_batch(s, n, p, st, NULL);
        uint32_t going = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (st[i] == MOTE_OK)
                reply_take(&together[i], &p[i]);
            else if (st[i] == MOTE_E_CANCELLED)
                cancels[i]++;
            else
                assert_int_equal(st[i], MOTE_DONE);
            if (last[i] == MOTE_DONE)
                assert_int_equal(st[i], MOTE_DONE);
            last[i] = st[i];
            going += st[i] == MOTE_OK;
        }
        if (all == MOTE_DONE) {
            assert_int_equal(going, 0);
            break;
        }
        assert_int_equal(all, MOTE_OK);
    }
    for (uint32_t i = 0; i < n; i++) {
        assert_same_ids(&alone[i], &together[i], "in company");
        assert_int_equal(cancels[i], i == CANCELLED);
        mote_session_close(s[i]);
    }
    free(s);
    free(alone);
    free(together);
    free(p);
    free(st);
    free(last);
    free(cancels);
    mote_schema_close(schema);
}

static void test_eight(void **state)
{
    company(*state, 0, EIGHT);
}

/* More than fit one pass. */
static void test_many(void **state)
{
    company(*state, 1, 70);
}

static void test_calls(void **state)
{
    int32_t ids[PROMPT_MAX];
    mote_session *s[2] = {session_new(*state, 64, 0, 0, 0), NULL};
    mote_piece p[2] = {MOTE_PIECE_INIT, MOTE_PIECE_INIT};
    mote_status st[2];
    MUST(mote_session_eval(s[0], ids, prompt_ids(*state, 0, ids), err));
    assert_int_equal(mote_session_next_batch(NULL, 0, NULL, NULL, NULL), MOTE_DONE);
    assert_int_equal(mote_session_next_batch(s, 1, p, st, NULL), MOTE_DONE); /* idle */
    assert_int_equal(st[0], MOTE_DONE);
    MUST(mote_session_generate(s[0], NULL, NULL, err));
    MUST_FAIL(
            MOTE_E_INVALID, mote_session_next_batch(s, 2, p, st, err)); /* no second */
    s[1] = s[0];
    MUST_FAIL(MOTE_E_INVALID, mote_session_next_batch(s, 2, p, st, err)); /* twice */
    MUST_FAIL(MOTE_E_INVALID, mote_session_next_batch(s, 1, NULL, st, err));
    mote_model *m = tiny_open(1);
    s[1] = session_new(m, 64, 0, 0, 0);
    MUST_FAIL(MOTE_E_INVALID, mote_session_next_batch(s, 2, p, st, err));
    mote_session_close(s[1]);
    mote_model_close(m);
    s[1] = session_new(*state, 64, 0, 0, 0);
    p[1].struct_size = 4;
    MUST_FAIL(MOTE_E_INVALID, mote_session_next_batch(s, 2, p, st, err));
    p[1].struct_size = sizeof p[1];
    MUST(mote_session_next_batch(s, 2, p, st, err)); /* all is well again */
    assert_int_equal(st[1], MOTE_DONE);
    mote_session_close(s[0]);
    mote_session_close(s[1]);
}

/* Four threads with a session each on one model: the tokens of one alone. */
enum { THREADS = 4, ROUNDS = 3 };
typedef struct worker {
    mote_model *m;
    uint32_t i;
    reply r[ROUNDS];
    int failed;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session *s = NULL;
    o.context_tokens = 128;
    o.kv_type = 1 + w->i % 3;
    w->failed = mote_session_open(&s, w->m, &o, NULL) < 0;
    for (uint32_t k = 0; !w->failed && k < ROUNDS; k++) {
        int32_t ids[32];
        mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
        mote_sampler_options so = MOTE_SAMPLER_OPTIONS_INIT;
        for (uint32_t i = 0; i < 32; i++)
            ids[i] = (int32_t)((i * 37 + k * 101 + w->i * 7) % VOCAB);
        so.temperature = 1;
        so.seed = w->i;
        g.max_tokens = 40;
        g.ignore_eos = 1;
        w->failed |= mote_session_prompt(s, ids, 32, NULL) < 0;
        w->failed |= mote_session_generate(s, &g, &so, NULL) < 0;
        for (;;) {
            mote_piece p = MOTE_PIECE_INIT;
            mote_status st = mote_session_next(s, &p, NULL);
            if (st != MOTE_OK) {
                w->failed |= st < 0;
                break;
            }
            for (uint32_t t = 0; t < p.n_tokens && w->r[k].n < 1024; t++)
                w->r[k].ids[w->r[k].n++] = p.tokens[t];
        }
    }
    mote_session_close(s);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t thread[THREADS];
    worker *alone = calloc(THREADS, sizeof *alone),
           *together = calloc(THREADS, sizeof *alone);
    for (uint32_t i = 0; i < THREADS; i++) {
        alone[i] = (worker){.m = *state, .i = i};
        together[i] = alone[i];
        work(&alone[i]);
        assert_false(alone[i].failed);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work, &together[i]), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_false(together[i].failed);
        for (uint32_t k = 0; k < ROUNDS; k++) {
            assert_int_equal(together[i].r[k].n, 40);
            assert_memory_equal(together[i].r[k].ids, alone[i].r[k].ids, 40 * 4);
        }
    }
    free(alone);
    free(together);
}

/* A fork and its origin in two threads: blocks are copied on whichever writes. */
static void *rewrite(void *arg)
{
    mote_session *s = arg;
    int32_t ids[24];
    for (int32_t i = 0; i < 24; i++)
        ids[i] = 200 + i;
    for (uint32_t back = 60; back >= 20; back -= 20)
        if (mote_session_rewind(s, back, NULL) < 0 ||
                mote_session_eval(s, ids, 24, NULL) < 0)
            return s;
    return NULL;
}

static void test_fork_threads(void **state)
{
    static float a[VOCAB], b[VOCAB];
    int32_t ids[100];
    for (int32_t i = 0; i < 100; i++)
        ids[i] = 10 + i * 3;
    for (int round = 0; round < 10; round++) {
        mote_session *s = session_new(*state, 128, 0, 0, 0), *f;
        pthread_t t[2];
        void *bad[2];
        MUST(mote_session_eval(s, ids, 100, err));
        MUST(mote_session_fork(&f, s, err));
        pthread_create(&t[0], NULL, rewrite, s);
        pthread_create(&t[1], NULL, rewrite, f);
        for (int i = 0; i < 2; i++) {
            pthread_join(t[i], &bad[i]);
            assert_null(bad[i]);
        }
        MUST(mote_session_logits(s, 43, a, VOCAB, err));
        MUST(mote_session_logits(f, 43, b, VOCAB, err));
        assert_memory_equal(a, b, sizeof a);
        mote_session_close(s);
        mote_session_close(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_eight),
            cmocka_unit_test(test_many),
            cmocka_unit_test(test_calls),
            cmocka_unit_test(test_threads),
            cmocka_unit_test(test_fork_threads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
