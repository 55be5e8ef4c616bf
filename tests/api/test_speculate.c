/* SPDX-License-Identifier: MIT */
/* "Greedy: output identical to plain decoding. Sampling: ... keeps the target
 * distribution exactly": token by token, log-probability by log-probability, the bits
 * of plain decoding, for every drafter, draft length, cache type, schema and sampler.
 * Arguments: prompts and tokens (all 20 x 200 in the suite "extra"). */
#include "sessions.h"
#include "mote/experimental.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t n_prompts = 3, n_tokens = 60;

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

typedef struct way {
    uint32_t draft, draft_tokens;
    const char *name;
} way;

static const way ways[] = {
        {MOTE_DRAFT_MTP, 1, "mtp 1"},
        {MOTE_DRAFT_MTP, 2, "mtp 2"},
        {MOTE_DRAFT_MTP, 3, "mtp 3"},
        {MOTE_DRAFT_MTP, 4, "mtp 4"},
        {MOTE_DRAFT_MTP, 0, "mtp adaptive"},
        {MOTE_DRAFT_AUTO, 0, "auto"},
        {MOTE_DRAFT_AUTO, 2, "auto 2"},
        {MOTE_DRAFT_NGRAM, 4, "ngram 4"},
        {MOTE_DRAFT_NGRAM, 0, "ngram adaptive"},
};
enum { WAYS = sizeof ways / sizeof *ways };

static void compare(mote_model *m, uint32_t kv, const mote_sampler_options *sampler)
{
    static reply plain[PROMPTS], fast;
    int32_t ids[PROMPT_MAX];
    mote_session *s = session_new(m, 320, kv, MOTE_DRAFT_OFF, 0);
    for (uint32_t p = 0; p < n_prompts; p++)
        generate_from(s, ids, prompt_ids(m, p, ids), n_tokens, sampler, &plain[p]);
    mote_session_close(s);
    for (uint32_t w = 0; w < WAYS; w++) {
        s = session_new(m, 320, kv, ways[w].draft, ways[w].draft_tokens);
        for (uint32_t p = 0; p < n_prompts; p++) {
            generate_from(s, ids, prompt_ids(m, p, ids), n_tokens, sampler, &fast);
            assert_same_ids(&plain[p], &fast, ways[w].name);
            assert_int_equal(fast.n, n_tokens);
            assert_int_equal(fast.stop, MOTE_STOP_LENGTH);
        }
        mote_session_stats st = MOTE_SESSION_STATS_INIT;
        MUST(mote_session_get_stats(s, &st, err));
        if (ways[w].draft != MOTE_DRAFT_AUTO) {
            /* drafts were made, and some accepted: this test tested something */
            assert_true(st.drafted[0] > 0);
            assert_true(st.accepted[0] > 0 || ways[w].draft == MOTE_DRAFT_NGRAM);
            assert_true(st.passes <= (uint64_t)n_prompts * n_tokens);
        }
        mote_session_close(s);
    }
}

static const mote_sampler_options sampled = {.struct_size = sizeof sampled,
        .temperature = 0.9f,
        .top_p = 0.95f,
        .repetition_penalty = 1.1f,
        .seed = 11};

static void test_greedy(void **state)
{
    for (uint32_t kv = MOTE_KV_F32; kv <= MOTE_KV_FP8; kv++)
        compare(*state, kv, NULL);
}

static void test_sampled(void **state)
{
    for (uint32_t kv = MOTE_KV_F32; kv <= MOTE_KV_FP8; kv++)
        compare(*state, kv, &sampled);
}

/* With a schema the drafter proposes only what the schema allows. */
static void test_schema(void **state)
{
    static const char text[] =
            "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\","
            "\"maxLength\":12},\"age\":{\"type\":\"integer\",\"minimum\":0,"
            "\"maximum\":120},\"kind\":{\"enum\":[\"fox\",\"hen\",\"hedgehog\"]},"
            "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
            "\"maxLength\":5},\"maxItems\":3}},"
            "\"required\":[\"name\",\"age\",\"kind\",\"tags\"],"
            "\"additionalProperties\":false}";
    static reply plain, fast;
    mote_schema *schema;
    int32_t ids[PROMPT_MAX];
    MUST(mote_schema_open(
            &schema, mote_model_tokenizer(*state), text, sizeof text - 1, err));
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.max_tokens = 150;
    g.schema = schema;
    mote_session *off = session_new(*state, 320, 0, MOTE_DRAFT_OFF, 0);
    uint64_t accepted = 0;
    for (uint32_t w = 0; w < WAYS; w++) {
        mote_session *s =
                session_new(*state, 320, 0, ways[w].draft, ways[w].draft_tokens);
        for (uint32_t p = 0; p < 4; p++) {
            mote_sampler_options o = sampled;
            o.seed = p;
            uint32_t n = prompt_ids(*state, p, ids);
            MUST(mote_session_prompt(off, ids, n, err));
            generate(off, &g, &o, &plain);
            MUST(mote_session_prompt(s, ids, n, err));
            generate(s, &g, &o, &fast);
            assert_same_ids(&plain, &fast, ways[w].name);
            assert_int_equal(fast.stop, MOTE_STOP_SCHEMA);
        }
        mote_session_stats st = MOTE_SESSION_STATS_INIT;
        MUST(mote_session_get_stats(s, &st, err));
        accepted += st.accepted[0];
        mote_session_close(s);
    }
    assert_true(accepted > 100);
    mote_session_close(off);
    mote_schema_close(schema);
}

/* The state of the sampler after a generation is that of plain decoding, however it
 * ended: going on with it gives the same tokens. */
static void test_state_after(void **state)
{
    static reply first[WAYS + 1], then[WAYS + 1];
    static const char *const stops[] = {"e "};
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 3, ids);
    for (uint32_t w = 0; w <= WAYS; w++) {
        mote_session *s =
                session_new(*state, 320, 0, w ? ways[w - 1].draft : MOTE_DRAFT_OFF,
                        w ? ways[w - 1].draft_tokens : 0);
        mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
        MUST(mote_session_prompt(s, ids, n, err));
        /* by a stop string */
        g.n_stop = 1;
        g.stop = stops;
        generate(s, &g, &sampled, &first[w]);
        assert_int_equal(first[w].stop, MOTE_STOP_STRING);
        /* left early, after 7 pieces */
        g = (mote_generate_options)MOTE_GENERATE_OPTIONS_INIT;
        g.seed_from_state = 1;
        MUST(mote_session_generate(s, &g, &sampled, err));
        for (int i = 0; i < 7; i++) {
            mote_piece p = MOTE_PIECE_INIT;
            MUST(mote_session_next(s, &p, err));
        }
        g.max_tokens = 30;
        g.ignore_eos = 1;
        generate(s, &g, &sampled, &then[w]);
        assert_same_ids(&first[0], &first[w], w ? ways[w - 1].name : "off");
        assert_same_ids(&then[0], &then[w], w ? ways[w - 1].name : "off");
        mote_session_close(s);
    }
}

/* A batch step outruns the ring of states; drafts made after it are as good as ever. */
static void test_after_batch(void **state)
{
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 5, ids);
    float *mtp[2];
    static reply r[2];
    for (int way = 0; way < 2; way++) {
        mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
        o.context_tokens = 320;
        o.prefill_tokens = 8;
        o.draft = MOTE_DRAFT_MTP;
        o.draft_tokens = 1;
        mote_session *s;
        MUST(mote_session_open(&s, *state, &o, err));
        MUST(mote_session_eval(s, ids, n, err));
        mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
        g.max_tokens = 100;
        g.ignore_eos = 1;
        MUST(mote_session_generate(s, &g, NULL, err));
        for (;;) {
            mote_piece p = MOTE_PIECE_INIT;
            mote_status st;
            mote_status each = mote_session_next_batch(&s, 1, &p, &st, NULL);
            if (way == 0)
                each = each == MOTE_DONE ? MOTE_DONE : MOTE_OK;
            if (each == MOTE_DONE)
                break;
            assert_int_equal(st, MOTE_OK);
            if (way == 1 && mote_session_position(s) >= n + 40)
                break; /* then alone */
        }
        for (;;) {
            mote_piece p = MOTE_PIECE_INIT;
            if (mote_session_next(s, &p, NULL) != MOTE_OK)
                break;
        }
        mtp[way] = malloc(VOCAB * sizeof(float));
        MUST(mote_session_mtp_logits(
                s, mote_session_position(s) - 2, mtp[way], VOCAB, err));
        for (uint32_t i = 0; i < 100; i++)
            r[way].ids[i] = mote_session_token(s, n + i);
        mote_session_close(s);
    }
    assert_memory_equal(r[0].ids, r[1].ids, 100 * sizeof(int32_t));
    assert_memory_equal(mtp[0], mtp[1], VOCAB * sizeof(float));
    free(mtp[0]);
    free(mtp[1]);
}

/* However little is accepted, the tokens are the model's (and with acceptance forced
 * they are not: the measurement measures). */
static void test_force(void **state)
{
    static reply plain, forced;
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 1, ids);
    mote_session *s = session_new(*state, 320, 0, MOTE_DRAFT_MTP, 3);
    generate_from(s, ids, n, 80, NULL, &plain);
    mote_x_session_force_acceptance(s, 0);
    generate_from(s, ids, n, 80, NULL, &forced);
    assert_same_ids(&plain, &forced, "acceptance 0");
    mote_session_stats a = MOTE_SESSION_STATS_INIT, b = MOTE_SESSION_STATS_INIT;
    MUST(mote_session_get_stats(s, &a, err));
    mote_x_session_force_acceptance(s, 1);
    generate_from(s, ids, n, 80, NULL, &forced);
    MUST(mote_session_get_stats(s, &b, err));
    /* the first round has no drafts; then four tokens a round */
    assert_int_equal(b.passes - a.passes, 1 + (79 + 3) / 4);
    mote_session_close(s);
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        n_prompts = (uint32_t)atoi(argv[1]);
        n_tokens = (uint32_t)atoi(argv[2]);
    }
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_greedy),
            cmocka_unit_test(test_sampled),
            cmocka_unit_test(test_schema),
            cmocka_unit_test(test_state_after),
            cmocka_unit_test(test_after_batch),
            cmocka_unit_test(test_force),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
