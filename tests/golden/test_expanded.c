/* SPDX-License-Identifier: MIT */
/* Option attention = expanded, through whole models: the float64 vectors of every small
 * checkpoint, and which tokens have which bits. */
#include "golden.h"
#include "session/session.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 400, VOCAB = 4096 /* of the bundled model */ };

/* Those of test_oracle.c, which derives them. (Rounded to bf16, near ties of the router
 * fall the other way in these models: tests/unit/test_expanded.c has that form.) */
static const double EXACT = 1e-4, FINE = 5e-4;

static mote_session *session_of(mote_model *m, uint32_t context, uint32_t precision,
        uint32_t prefill, uint32_t draft)
{
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session *s = NULL;
    o.context_tokens = context;
    o.prefill_tokens = prefill;
    o.kv_type = MOTE_KV_F32;
    o.precision = precision;
    o.keep_tokens = UINT32_MAX;
    o.draft = draft;
    o.attention = MOTE_ATTENTION_EXPANDED;
    MUST(mote_session_open(&s, m, &o, err));
    return s;
}

static mote_session *session(
        mote_model *m, uint32_t precision, uint32_t prefill, uint32_t draft)
{
    return session_of(m, CONTEXT, precision, prefill, draft);
}

static const char *const models[] = {"v2-group", "v2-lite-bf16", "v3-f32",
        "v3-fp8-ue8m0", "v3-router-edge", "v3-sharded", "v3-tied", "v3-yarn-long"};

static void test_oracles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const char *dir =
                golden_path("%s/oracle/%s", getenv("MOTE_TEST_DATA"), models[i]);
        golden *g = golden_open(dir);
        mote_model *m = golden_model(dir, NULL, 2);
        const uint32_t vocab = golden_vocab(m);
        const golden_array *tokens = golden_find(g, "a/tokens"),
                           *want = golden_find(g, "a/ref/logits");
        assert_non_null(tokens);
        assert_non_null(want);
        float *found = malloc(want->count * sizeof *found);
        assert_non_null(found);
        for (int fine = 0; fine < 2; fine++) {
            mote_session *s = session_of(m, 160,
                    fine ? MOTE_PRECISION_FINE : MOTE_PRECISION_EXACT, 0,
                    MOTE_DRAFT_AUTO);
            s->expand_from = 1;
            MUST(mote_session_eval(s, tokens->i, tokens->count, err));
            golden_logits(s, (uint32_t)tokens->count, found, vocab);
            golden_compare(golden_path("%s %s", models[i], fine ? "fine" : "exact"),
                    found, want->f, want->count, fine ? FINE : EXACT);
            mote_session_close(s);
        }
        free(found);
        mote_model_close(m);
        golden_close(g);
    }
}

static mote_model *bundled(uint32_t threads)
{
    return golden_model(
            golden_path("%s/../../models/tiny-v3", getenv("MOTE_TEST_DATA")), NULL,
            threads);
}

static float *rows_of(mote_session *s, uint32_t n)
{
    float *x = malloc((size_t)n * VOCAB * sizeof *x);
    assert_non_null(x);
    golden_logits(s, n, x, VOCAB);
    return x;
}

/* A prompt has the same bits in any chunks, on any number of threads, forked or not; a
 * call of fewer than MOTE_EXPANDED_TOKENS tokens has those of the other form. */
static void test_prompt(void **state)
{
    enum { N = 300, MORE = MOTE_EXPANDED_TOKENS - 1 };
    static const uint32_t chunks[] = {1, 5, 37, 64, 128, 250}, threads[] = {1, 2, 3, 7};
    int32_t ids[N + MORE];
    (void)state;
    golden_tokens(ids, N + MORE, VOCAB);
    mote_model *m = bundled(2);
    mote_session *s = session(m, MOTE_PRECISION_FINE, 0, MOTE_DRAFT_OFF), *fork;
    MUST(mote_session_eval(s, ids, N, err));
    float *want = rows_of(s, N);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        mote_model *other = bundled(threads[i % 4]);
        mote_session *t =
                session(other, MOTE_PRECISION_FINE, chunks[i], MOTE_DRAFT_OFF);
        MUST(mote_session_eval(t, ids, N, err));
        float *found = rows_of(t, N);
        assert_memory_equal(found, want, (size_t)N * VOCAB * sizeof *want);
        free(found);
        mote_session_close(t);
        mote_model_close(other);
    }
    /* Calls of 128 and of 172 tokens: still each computed so, still the same bits. */
    mote_session *t = session(m, MOTE_PRECISION_FINE, 0, MOTE_DRAFT_OFF);
    MUST(mote_session_eval(t, ids, MOTE_EXPANDED_TOKENS, err));
    MUST(mote_session_eval(
            t, ids + MOTE_EXPANDED_TOKENS, N - MOTE_EXPANDED_TOKENS, err));
    float *found = rows_of(t, N);
    assert_memory_equal(found, want, (size_t)N * VOCAB * sizeof *want);
    free(found);
    /* A few more are absorbed: the same one by one, and in a fork. */
    MUST(mote_session_fork(&fork, t, err));
    MUST(mote_session_rewind(t, N - 200, err));
    MUST(mote_session_prompt(t, ids, N, err)); /* 200 new ones: expanded */
    MUST(mote_session_eval(t, ids + N, 90, err));
    for (uint32_t i = 0; i < 90; i++)
        MUST(mote_session_eval(fork, ids + N + i, 1, err));
    found = rows_of(t, N + 90);
    float *one_by_one = malloc(90 * VOCAB * sizeof(float));
    for (uint32_t i = 0; i < 90; i++)
        MUST(mote_session_logits(
                fork, N + i, one_by_one + (size_t)i * VOCAB, VOCAB, err));
    assert_memory_equal(found, want, (size_t)N * VOCAB * sizeof *want);
    assert_memory_equal(
            found + (size_t)N * VOCAB, one_by_one, 90 * VOCAB * sizeof(float));
    free(found), free(one_by_one);
    /* The other form differs, within twice the tolerance of either. */
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session *a;
    o.context_tokens = CONTEXT;
    o.kv_type = MOTE_KV_F32;
    o.keep_tokens = UINT32_MAX;
    MUST(mote_session_open(&a, m, &o, err));
    MUST(mote_session_eval(a, ids, N, err));
    found = rows_of(a, N);
    assert_memory_not_equal(found, want, (size_t)N * VOCAB * sizeof *want);
    golden_compare("absorbed and expanded", want, found, (size_t)N * VOCAB, 2 * FINE);
    free(found), free(want);
    mote_session_close(a), mote_session_close(fork);
    mote_session_close(t), mote_session_close(s);
    mote_model_close(m);
}

/* What follows a long prompt is the same with drafts and without, and after the state
 * of the last token was dropped. */
static void test_generation(void **state)
{
    enum { N = 200, NEW = 40 };
    int32_t ids[N], texts[4][NEW];
    (void)state;
    golden_tokens(ids, N, VOCAB);
    mote_model *m = bundled(2);
    for (uint32_t d = 0; d < 4; d++) {
        static const uint32_t drafts[] = {
                MOTE_DRAFT_OFF, MOTE_DRAFT_MTP, MOTE_DRAFT_NGRAM, MOTE_DRAFT_MTP};
        mote_session *s = session(m, MOTE_PRECISION_FINE, d == 3 ? 50 : 0, drafts[d]);
        mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
        mote_piece p = MOTE_PIECE_INIT;
        uint32_t n = 0;
        g.max_tokens = NEW / 2;
        g.ignore_eos = 1;
        MUST(mote_session_eval(s, ids, N, err));
        for (uint32_t turn = 0; turn < 2; turn++) {
            MUST(mote_session_generate(s, &g, NULL, err));
            while (mote_session_next(s, &p, NULL) == MOTE_OK)
                for (uint32_t i = 0; i < p.n_tokens; i++) {
                    assert_in_range(n, 0, NEW - 1);
                    texts[d][n++] = p.tokens[i];
                }
            if (!turn) /* another long prompt behind what was generated */
                MUST(mote_session_eval(s, ids, MOTE_EXPANDED_TOKENS, err));
        }
        assert_int_equal(n, NEW);
        assert_memory_equal(texts[d], texts[0], sizeof texts[0]);
        mote_session_close(s);
    }
    mote_model_close(m);
}

static uint32_t expanded_in(const mote_session *s, uint32_t from, uint32_t to)
{
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++)
        n += s->expanded[i / 32] >> i % 32 & 1;
    return n;
}

/* How a position was computed is forgotten when it is computed anew or loaded. */
static void test_forms(void **state)
{
    enum { N = 200, BACK = 10, STEPS = 5 };
    int32_t ids[N];
    size_t room, n;
    (void)state;
    golden_tokens(ids, N, VOCAB);
    mote_model *m = bundled(2);
    mote_session *s = session(m, MOTE_PRECISION_FINE, 0, MOTE_DRAFT_OFF);
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    mote_piece p = MOTE_PIECE_INIT;
    g.max_tokens = STEPS;
    g.ignore_eos = 1;
    MUST(mote_session_eval(s, ids, N, err));
    assert_int_equal(expanded_in(s, 0, N), N);
    MUST(mote_session_rewind(s, BACK, err));
    MUST(mote_session_generate(s, &g, NULL, err));
    for (uint32_t i = 0; i < STEPS; i++) {
        mote_status st;
        MUST(mote_session_next_batch(&s, 1, &p, &st, err));
        assert_int_equal(st, MOTE_OK);
    }
    assert_int_equal(expanded_in(s, 0, BACK), BACK);
    assert_int_equal(expanded_in(s, BACK, s->n_eval), 0);
    MUST(mote_session_save(s, NULL, 0, &room, err));
    uint8_t *data = malloc(room);
    assert_non_null(data);
    MUST(mote_session_save(s, data, room, &n, err));
    MUST(mote_session_load(s, data, n, err));
    assert_int_equal(expanded_in(s, 0, CONTEXT), 0);
    free(data);
    mote_session_close(s);
    mote_model_close(m);
}

/* The plan counts the buffers of keys and values, to the byte. */
static void test_memory(void **state)
{
    (void)state;
    mote_model *m = bundled(2);
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session_stats stats = MOTE_SESSION_STATS_INIT;
    mote_session *s;
    uint64_t absorbed, expanded;
    o.context_tokens = 512;
    MUST(mote_session_plan(m, &o, &absorbed, NULL, err));
    o.attention = MOTE_ATTENTION_EXPANDED;
    MUST(mote_session_plan(m, &o, &expanded, NULL, err));
    assert_true(expanded > absorbed);
    MUST(mote_session_open(&s, m, &o, err));
    MUST(mote_session_get_stats(s, &stats, err));
    assert_int_equal(stats.total_bytes, expanded);
    mote_session_close(s);
    mote_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_oracles),
            cmocka_unit_test(test_prompt),
            cmocka_unit_test(test_generation),
            cmocka_unit_test(test_forms),
            cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
