/* SPDX-License-Identifier: MIT */
/* Expanded attention of long prompts, through whole models: the float64 vectors of
 * every small checkpoint, and which tokens have which bits. */
#include "golden.h"
#include "session/session.h"

#include <stdlib.h>
#include <string.h>

enum {
    CONTEXT = 400,
    FROM = 128,  /* tokens of a call that attend so; MOTE_EXPANDED_TOKENS elsewhere */
    VOCAB = 4096 /* of the bundled model */
};

/* Those of test_oracle.c, which derives them. (Rounded to bf16, near ties of the router
 * fall the other way in these models: tests/unit/test_expanded.c has that form.) */
static const double EXACT = 1e-4, FINE = 5e-4;

static mote_session *session_of(mote_model *m, uint32_t context, uint32_t precision,
        uint32_t prefill, uint32_t draft)
{
    mote_session *s = golden_session_of(
            m, (mote_session_options){.context_tokens = context,
                       .prefill_tokens = prefill,
                       .kv_type = MOTE_KV_F32,
                       .precision = precision,
                       .draft = draft,
                       .attention = MOTE_ATTENTION_EXPANDED /* in any chunks */});
    s->expand_from = FROM;
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
            mote_session *s = session_of(m, MOTE_EXPANDED_TOKENS,
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
 * call of fewer tokens than it takes has those of the other form. */
static void test_prompt(void **state)
{
    enum { N = 300, MORE = FROM - 38, KEPT = N - FROM };
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
    MUST(mote_session_eval(t, ids, FROM, err));
    MUST(mote_session_eval(t, ids + FROM, N - FROM, err));
    float *found = rows_of(t, N);
    assert_memory_equal(found, want, (size_t)N * VOCAB * sizeof *want);
    free(found);
    /* A few more are absorbed: the same one by one, and in a fork. */
    MUST(mote_session_fork(&fork, t, err));
    MUST(mote_session_rewind(t, KEPT, err));
    MUST(mote_session_prompt(t, ids, N, err)); /* as many new ones as it takes */
    MUST(mote_session_eval(t, ids + N, MORE, err));
    for (uint32_t i = 0; i < MORE; i++)
        MUST(mote_session_eval(fork, ids + N + i, 1, err));
    found = rows_of(t, N + MORE);
    float *one_by_one = malloc(MORE * VOCAB * sizeof(float));
    for (uint32_t i = 0; i < MORE; i++)
        MUST(mote_session_logits(
                fork, N + i, one_by_one + (size_t)i * VOCAB, VOCAB, err));
    assert_memory_equal(found, want, (size_t)N * VOCAB * sizeof *want);
    assert_memory_equal(
            found + (size_t)N * VOCAB, one_by_one, MORE * VOCAB * sizeof(float));
    free(found), free(one_by_one);
    /* One call with a token too few is absorbed, and so are all with `deterministic`.
     */
    MUST(mote_session_rewind(t, KEPT + 1, err));
    MUST(mote_session_prompt(t, ids, N, err));
    found = rows_of(t, N);
    assert_memory_equal(found, want, (size_t)(KEPT + 1) * VOCAB * sizeof *want);
    assert_memory_not_equal(found + (size_t)(KEPT + 1) * VOCAB,
            want + (size_t)(KEPT + 1) * VOCAB, VOCAB * sizeof *want);
    free(found);
    /* The other form differs, within twice the tolerance of either. */
    mote_session *a =
            golden_session_of(m, (mote_session_options){.context_tokens = CONTEXT,
                                         .kv_type = MOTE_KV_F32,
                                         .deterministic = 1});
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
                MUST(mote_session_eval(s, ids, FROM, err));
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

/* How a position was computed is kept until it is computed anew, also in snapshots. */
static void test_forms(void **state)
{
    enum { N = 200, BACK = 10, STEPS = 5 };
    int32_t ids[N];
    static float want[VOCAB], found[VOCAB];
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
    MUST(mote_session_logits(s, BACK / 2 - 1, want, VOCAB, err));
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
    assert_int_equal(expanded_in(s, 0, BACK), BACK);
    assert_int_equal(expanded_in(s, BACK, CONTEXT), 0);
    /* One that has no room for the other form takes the tokens and not their bits. */
    mote_session *a =
            golden_session_of(m, (mote_session_options){.kv_type = MOTE_KV_F32,
                                         .attention = MOTE_ATTENTION_ABSORBED});
    MUST(mote_session_load(a, data, n, err));
    assert_int_equal(expanded_in(a, 0, CONTEXT), 0);
    /* A last token whose state is not there is computed again as it was. */
    for (uint32_t i = 0; i < 2; i++) {
        mote_session *each = i ? a : s;
        MUST(mote_session_rewind(each, BACK / 2, err));
        MUST(mote_session_logits(each, BACK / 2 - 1, found, VOCAB, err));
        if (i)
            assert_memory_not_equal(found, want, sizeof want);
        else
            assert_memory_equal(found, want, sizeof want);
    }
    mote_session_close(a);
    free(data);
    mote_session_close(s);
    mote_model_close(m);
}

/* Which sessions may expand, and that the plan counts their buffers, to the byte. */
static void test_options(void **state)
{
    enum { N = MOTE_EXPANDED_TOKENS };
    static const struct {
        uint32_t context, prefill, attention, deterministic, expands;
    } cases[] = {
            {512, 0, MOTE_ATTENTION_DEFAULT, 0, 1},
            {512, N, MOTE_ATTENTION_DEFAULT, 0, 1},
            {N, 0, MOTE_ATTENTION_DEFAULT, 0, 1},
            {512, 0, MOTE_ATTENTION_DEFAULT, 1, 0},
            {512, N - 1, MOTE_ATTENTION_DEFAULT, 0, 0},
            {N - 1, 0, MOTE_ATTENTION_DEFAULT, 0, 0},
            {512, 0, MOTE_ATTENTION_ABSORBED, 0, 0},
            {512, 0, MOTE_ATTENTION_ABSORBED, 1, 0},
            {512, 20, MOTE_ATTENTION_EXPANDED, 0, 1},
            {N - 1, 0, MOTE_ATTENTION_EXPANDED, 0, 0},
    };
    (void)state;
    mote_model *m = bundled(2);
    mote_session *s;
    int32_t ids[N];
    golden_tokens(ids, N, VOCAB);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
        mote_session_stats stats = MOTE_SESSION_STATS_INIT;
        uint64_t planned, absorbed;
        o.context_tokens = cases[i].context;
        o.prefill_tokens = cases[i].prefill;
        o.attention = MOTE_ATTENTION_ABSORBED;
        MUST(mote_session_plan(m, &o, &absorbed, NULL, err));
        o.attention = cases[i].attention;
        o.deterministic = cases[i].deterministic;
        MUST(mote_session_plan(m, &o, &planned, NULL, err));
        assert_int_equal(planned > absorbed, cases[i].expands);
        MUST(mote_session_open(&s, m, &o, err));
        MUST(mote_session_get_stats(s, &stats, err));
        assert_int_equal(stats.total_bytes, planned);
        if (cases[i].context >= N) {
            MUST(mote_session_eval(s, ids, N, err));
            assert_int_equal(expanded_in(s, 0, N), cases[i].expands ? N : 0);
        }
        mote_session_close(s);
    }
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.attention = MOTE_ATTENTION_EXPANDED;
    o.deterministic = 1;
    mote_error e = {0};
    assert_int_equal(mote_session_open(&s, m, &o, &e), MOTE_E_INVALID);
    assert_non_null(strstr(e.message, "attention"));
    assert_null(s);
    mote_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_oracles),
            cmocka_unit_test(test_prompt),
            cmocka_unit_test(test_generation),
            cmocka_unit_test(test_forms),
            cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
