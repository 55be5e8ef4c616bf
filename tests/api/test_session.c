/* SPDX-License-Identifier: MIT */
/* The promises of mote/session.h, sentence by sentence: the sequence and its cache. */
#include "sessions.h"
#include "../portable.h"
#include "mote/experimental.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static mote_model *current; /* of the sessions that a test looks at */
static float logits_a[VOCAB], logits_b[VOCAB];

/* The logits after the last token are those of a fresh session with these tokens. */
static void assert_as_fresh(mote_session *s, uint32_t kv)
{
    int32_t ids[512];
    uint32_t n = mote_session_position(s);
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session *fresh;
    for (uint32_t i = 0; i < n; i++)
        ids[i] = mote_session_token(s, i);
    assert_int_equal(mote_session_token(s, n), -1);
    float *a = malloc(VOCAB * sizeof *a), *b = malloc(VOCAB * sizeof *b);
    o.kv_type = kv;
    o.deterministic = 1; /* one call, where the other had many */
    MUST(mote_session_open(&fresh, current, &o, err));
    MUST(mote_session_eval(fresh, ids, n, err));
    MUST(mote_session_logits(s, n - 1, a, VOCAB, err));
    MUST(mote_session_logits(fresh, n - 1, b, VOCAB, err));
    assert_memory_equal(a, b, VOCAB * sizeof *a);
    mote_session_close(fresh);
    free(a);
    free(b);
}
/* "Make the sequence be exactly tokens: keeps the longest common prefix". */
static void test_prompt(void **state)
{
    int32_t a[PROMPT_MAX], b[PROMPT_MAX];
    current = *state;
    uint32_t n = prompt_ids(*state, 0, a);
    for (uint32_t draft = 0; draft <= MOTE_DRAFT_NGRAM; draft++) {
        static reply r, r2;
        mote_session *s = session_new(*state, 200, 0, draft, 0);
        mote_session_stats st = MOTE_SESSION_STATS_INIT;
        memcpy(b, a, sizeof a);
        b[n - 3] = 100;
        MUST(mote_session_prompt(s, a, n, err));
        assert_int_equal(mote_session_position(s), n);
        MUST(mote_session_prompt(s, b, n, err));
        MUST(mote_session_get_stats(s, &st, err));
        assert_int_equal(st.reused_tokens, n - 3);
        assert_int_equal(st.prompt_tokens, n + 3);
        assert_as_fresh(s, 0);
        MUST(mote_session_prompt(s, b, n, err)); /* the same again: nothing to do */
        MUST(mote_session_get_stats(s, &st, err));
        assert_int_equal(st.prompt_tokens, n + 3);
        assert_as_fresh(s, 0);
        MUST(mote_session_prompt(s, b, n - 5, err)); /* shorter */
        assert_int_equal(mote_session_position(s), n - 5);
        assert_as_fresh(s, 0);
        MUST(mote_session_prompt(s, NULL, 0, err)); /* nothing at all */
        assert_int_equal(mote_session_position(s), 0);
        MUST(mote_session_eval(s, NULL, 0, err));
        MUST(mote_session_prompt(s, a, n, err));
        assert_as_fresh(s, 0);
        /* after a reply, with and without it */
        generate_from(s, a, n, 50, NULL, &r);
        MUST(mote_session_prompt(s, a, n, err));
        assert_int_equal(mote_session_position(s), n);
        mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
        g.max_tokens = 50;
        g.ignore_eos = 1;
        generate(s, &g, NULL, &r2);
        assert_same_ids(&r, &r2, "prompted again");
        mote_session_close(s);
    }
}

static void test_rewind(void **state)
{
    static reply r, r2;
    int32_t ids[PROMPT_MAX];
    current = *state;
    uint32_t n = prompt_ids(*state, 6, ids);
    for (uint32_t kv = MOTE_KV_F32; kv <= MOTE_KV_FP8; kv++) {
        /* states of 13 positions are kept: rewinding further recomputes one */
        mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
        mote_session *s;
        o.context_tokens = 200;
        o.prefill_tokens = 5;
        o.kv_type = kv;
        MUST(mote_session_open(&s, *state, &o, err));
        generate_from(s, ids, n, 100, NULL, &r);
        MUST_FAIL(MOTE_E_INVALID, mote_session_rewind(s, n + 101, err));
        MUST(mote_session_rewind(s, n + 100, err));
        mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
        g.ignore_eos = 1;
        for (uint32_t back = 95; back > 4; back -= 13) {
            MUST(mote_session_rewind(s, n + back, err));
            assert_int_equal(mote_session_position(s), n + back);
            assert_int_equal(mote_session_token(s, n + back), -1);
            g.max_tokens = 100 - back;
            generate(s, &g, NULL, &r2);
            assert_int_equal(r2.n, 100 - back);
            for (uint32_t i = 0; i < r2.n; i++)
                assert_int_equal(r2.ids[i], r.ids[back + i]);
        }
        MUST(mote_session_rewind(s, n + 3, err));
        MUST(mote_session_eval(s, ids, 5, err)); /* another way on */
        assert_as_fresh(s, kv);
        mote_session_reset(s);
        assert_int_equal(mote_session_position(s), 0);
        assert_int_equal(mote_session_token(s, 0), -1);
        generate_from(s, ids, n, 100, NULL, &r2);
        assert_same_ids(&r, &r2, "reset");
        mote_session_close(s);
    }
}

/* "Make a second session with the same tokens": both go on differently, each as if it
 * were alone; closing either leaves the other whole. */
static void test_fork(void **state)
{
    static reply r, r2;
    int32_t ids[PROMPT_MAX];
    current = *state;
    for (uint32_t kv = MOTE_KV_F32; kv <= MOTE_KV_FP8; kv++)
        for (uint32_t length = 0; length < 3; length++) {
            mote_session *s = session_new(*state, 400, kv, MOTE_DRAFT_MTP, 2), *f, *g;
            uint32_t n = prompt_ids(*state, length, ids);
            if (length) /* whole blocks and a rest; or only a rest */
                generate_from(s, ids, n, length * 150, NULL, &r);
            else
                MUST(mote_session_eval(s, ids, n, err));
            uint64_t before = mote_model_memory(*state, MOTE_MEM_KV);
            MUST(mote_session_fork(&f, s, err));
            uint64_t forked = mote_model_memory(*state, MOTE_MEM_KV) - before;
            if (length == 2) /* shared blocks are not there twice */
                assert_true(forked < before / 2);
            MUST(mote_session_fork(&g, f, err)); /* three owners */
            uint32_t at = mote_session_position(s);
            assert_int_equal(mote_session_position(f), at);
            int32_t one = 300, two = 400;
            MUST(mote_session_eval(s, &one, 1, err));
            MUST(mote_session_eval(f, &two, 1, err));
            mote_generate_options o = MOTE_GENERATE_OPTIONS_INIT;
            o.max_tokens = 30;
            o.ignore_eos = 1;
            generate(s, &o, NULL, &r);
            generate(f, &o, NULL, &r2);
            assert_as_fresh(s, kv);
            assert_as_fresh(f, kv);
            /* back into what is shared, and another way */
            MUST(mote_session_rewind(f, 4, err));
            MUST(mote_session_eval(f, ids, 7, err));
            assert_as_fresh(f, kv);
            assert_as_fresh(s, kv);
            mote_session_close(s);
            assert_as_fresh(f, kv);
            assert_int_equal(mote_session_position(g), at);
            mote_session_close(f);
            assert_as_fresh(g, kv);
            mote_session_close(g);
        }
    mote_session *none = session_new(*state, 64, 0, 0, 0), *f; /* of nothing */
    MUST(mote_session_fork(&f, none, err));
    mote_session_close(none);
    MUST(mote_session_eval(f, ids, 5, err));
    assert_as_fresh(f, 0);
    mote_session_close(f);
    MUST_FAIL(MOTE_E_INVALID, mote_session_fork(&f, NULL, err));
    assert_null(f);
}

static void test_refused(void **state)
{
    int32_t ids[PROMPT_MAX], token;
    mote_session *s = session_new(*state, 40, 0, 0, 0);
    uint32_t n = prompt_ids(*state, 0, ids);
    MUST_FAIL(MOTE_E_UNSUPPORTED, mote_session_shift(s, 1, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_generate(s, NULL, NULL, err)); /* empty */
    MUST_FAIL(MOTE_E_INVALID, mote_session_sample(s, NULL, &token, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_logits(s, 0, logits_a, VOCAB, err));
    MUST(mote_session_eval(s, ids, n, err));
    MUST_FAIL(MOTE_E_UNSUPPORTED, mote_session_shift(s, 1, err));
    /* an id out of range leaves the session as it was */
    int32_t bad[3] = {5, VOCAB, 6}, negative = -1;
    MUST_FAIL(MOTE_E_INVALID, mote_session_eval(s, bad, 3, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_prompt(s, bad, 3, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_eval(s, &negative, 1, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_eval(s, NULL, 1, err));
    assert_int_equal(mote_session_position(s), n);
    MUST_FAIL(MOTE_E_INVALID, mote_session_logits(s, n, logits_a, VOCAB, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_logits(s, n - 1, logits_a, VOCAB - 1, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_logits(s, n - 1, NULL, VOCAB, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_mtp_logits(s, n - 1, logits_a, VOCAB, err));
    MUST_FAIL(MOTE_E_INVALID,
            mote_session_mtp_logits(s, UINT32_MAX, logits_a, VOCAB, err));
    mote_session_close(s);
    mote_session_close(NULL);
    assert_int_equal(mote_session_position(NULL), 0);
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.context_tokens = 513; /* the model was made for 512 */
    MUST_FAIL(MOTE_E_INVALID, mote_session_open(&s, *state, &o, err));
    assert_null(s);
}

/* Full at every boundary: eval, prompt, generation. */
static void test_context_full(void **state)
{
    static reply r;
    int32_t ids[PROMPT_MAX], many[64];
    current = *state;
    uint32_t n = prompt_ids(*state, 0, ids);
    for (int i = 0; i < 64; i++)
        many[i] = 100 + i;
    for (uint32_t draft = 0; draft <= MOTE_DRAFT_NGRAM; draft++)
        for (uint32_t context = n; context < n + 8; context++) {
            mote_session *s = session_new(*state, context, 0, draft, 0);
            assert_int_equal(mote_session_context_tokens(s), context);
            MUST(mote_session_eval(s, ids, n, err));
            uint32_t room = context - n;
            MUST_FAIL(MOTE_E_CONTEXT_FULL, mote_session_eval(s, many, room + 1, err));
            MUST_FAIL(MOTE_E_CONTEXT_FULL,
                    mote_session_prompt(s, many, context + 1, err));
            assert_int_equal(mote_session_position(s), n);
            /* as many tokens as there is room for, then the end */
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            g.ignore_eos = 1;
            generate(s, &g, NULL, &r);
            assert_int_equal(r.n, room);
            assert_int_equal(r.stop, MOTE_STOP_CONTEXT);
            assert_int_equal(mote_session_position(s), context);
            assert_as_fresh(s, 0);
            generate(s, &g, NULL, &r); /* full already */
            assert_int_equal(r.n, 0);
            assert_int_equal(r.stop, MOTE_STOP_CONTEXT);
            assert_int_equal(mote_session_position(s), context);
            MUST_FAIL(MOTE_E_CONTEXT_FULL, mote_session_eval(s, many, 1, err));
            MUST(mote_session_eval(s, NULL, 0, err));
            MUST(mote_session_rewind(s, context - 1, err));
            MUST(mote_session_eval(s, many, 1, err));
            assert_as_fresh(s, 0);
            mote_session_close(s);
        }
    /* the whole context of the model, and one of a single token */
    mote_session *s = session_new(*state, 512, MOTE_KV_F32, 0, 0);
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.ignore_eos = 1;
    MUST(mote_session_eval(s, ids, n, err));
    generate(s, &g, NULL, &r);
    assert_int_equal(r.n, 512 - n);
    assert_as_fresh(s, MOTE_KV_F32);
    mote_session_close(s);
    s = session_new(*state, 1, 0, 0, 0);
    MUST_FAIL(MOTE_E_CONTEXT_FULL, mote_session_eval(s, ids, 2, err));
    MUST(mote_session_eval(s, ids, 1, err));
    assert_as_fresh(s, 0);
    generate(s, &g, NULL, &r);
    assert_int_equal(r.n, 0);
    mote_session_close(s);
}

/* "last positions whose logits can be asked for": exactly those, with the same bits as
 * when they were last; drafts computed behind them take none away. */
static void test_keep(void **state)
{
    static reply r;
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 2, ids), keep = 40;
    static float each[200][VOCAB];
    mote_session *s = session_new(*state, 200, 0, MOTE_DRAFT_OFF, 0);
    generate_from(s, ids, n, 120, NULL, &r);
    mote_session_close(s);
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.context_tokens = 200;
    o.prefill_tokens = 16;
    o.draft = MOTE_DRAFT_MTP;
    o.draft_tokens = 4;
    o.keep_tokens = UINT32_MAX;
    MUST(mote_session_open(&s, *state, &o, err));
    MUST(mote_session_eval(s, ids, n, err));
    MUST(mote_session_eval(s, r.ids, r.n, err));
    for (uint32_t p = 0; p < n + r.n; p++)
        MUST(mote_session_logits(s, p, each[p], VOCAB, err));
    mote_session_close(s);
    o.keep_tokens = keep;
    MUST(mote_session_open(&s, *state, &o, err));
    for (int way = 0; way < 2; way++) {
        if (way == 0)
            generate_from(s, ids, n, 120, NULL, &r);
        else {
            mote_session_reset(s);
            MUST(mote_session_eval(s, ids, n, err));
            MUST(mote_session_eval(s, r.ids, r.n, err));
        }
        for (uint32_t p = 0; p < n + r.n; p++) {
            if (p < n + r.n - keep) {
                MUST_FAIL(MOTE_E_INVALID,
                        mote_session_logits(s, p, logits_a, VOCAB, err));
                continue;
            }
            MUST(mote_session_logits(s, p, logits_a, VOCAB, err));
            assert_memory_equal(logits_a, each[p], sizeof logits_a);
            /* "The same as natural log-probabilities." */
            MUST(mote_session_logprobs(s, p, logits_b, VOCAB, err));
            double sum = 0, lse = 0;
            for (uint32_t v = 0; v < VOCAB; v++) {
                sum += exp((double)logits_b[v]);
                lse += exp((double)logits_a[v]);
            }
            /* 4096 terms in float32, each log-probability rounded at up to 32 */
            assert_true(fabs(sum - 1) < 4e-6);
            assert_true(fabs(logits_a[7] - log(lse) - (double)logits_b[7]) < 1e-5);
        }
    }
    mote_session_close(s);
}

/* The module's logits at any position, the same whenever they are asked for. */
static void test_mtp_logits(void **state)
{
    static float each[PROMPT_MAX][VOCAB];
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 3, ids);
    for (uint32_t chunk = 5; chunk < 20; chunk += 14) {
        mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
        mote_session *s;
        o.prefill_tokens = chunk;
        o.keep_tokens = UINT32_MAX;
        MUST(mote_session_open(&s, *state, &o, err));
        MUST(mote_session_eval(s, ids, 3, err));
        MUST(mote_session_eval(s, ids + 3, n - 3, err));
        for (uint32_t p = n - 1; p-- > 0;) {
            float *to = chunk == 5 ? each[p] : logits_a;
            MUST(mote_session_mtp_logits(s, p, to, VOCAB, err));
            if (chunk != 5)
                assert_memory_equal(logits_a, each[p], sizeof logits_a);
        }
        mote_session_close(s);
    }
    mote_session *s = session_new(*state, 64, 0, MOTE_DRAFT_OFF, 0);
    MUST(mote_session_eval(s, ids, n, err));
    MUST_FAIL(MOTE_E_UNSUPPORTED, mote_session_mtp_logits(s, 0, logits_a, VOCAB, err));
    mote_session_close(s);
}

/* "Choose a token from the logits at the end of the sequence, without appending it." A
 * loop of sample() and eval() is generation. */
static void test_sample(void **state)
{
    static reply r;
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 9, ids);
    const mote_sampler_options sampled = {
            .struct_size = sizeof sampled, .temperature = 1, .top_k = 50, .seed = 77};
    for (int way = 0; way < 2; way++) {
        const mote_sampler_options *o = way ? &sampled : NULL;
        mote_session *s = session_new(*state, 200, 0, 0, 0);
        generate_from(s, ids, n, 40, o, &r);
        mote_session_close(s);
        s = session_new(*state, 200, 0, 0, 0);
        MUST(mote_session_eval(s, ids, n, err));
        for (uint32_t i = 0; i < 40; i++) {
            int32_t token = -1;
            MUST(mote_session_sample(s, o, &token, err));
            assert_int_equal(token, r.ids[i]);
            assert_int_equal(mote_session_position(s), n + i);
            MUST(mote_session_eval(s, &token, 1, err));
        }
        mote_session_close(s);
    }
    /* leaving generation early, and going on with eval */
    mote_session *s = session_new(*state, 200, 0, MOTE_DRAFT_MTP, 4);
    mote_piece p = MOTE_PIECE_INIT;
    current = *state;
    MUST(mote_session_eval(s, ids, n, err));
    for (uint32_t pieces = 0; pieces < 12; pieces++) {
        MUST(mote_session_generate(s, NULL, NULL, err));
        for (uint32_t i = 0; i < pieces; i++)
            MUST(mote_session_next(s, &p, err));
        MUST(mote_session_eval(s, ids + 1, 3, err));
        assert_int_equal(mote_session_next(s, &p, NULL), MOTE_DONE);
        assert_as_fresh(s, 0);
    }
    mote_session_close(s);
}

/* ---- cancelling ---------------------------------------------------------------- */

typedef struct canceller {
    mote_session *s;
    atomic_int go;
} canceller;

static void *cancel_soon(void *arg)
{
    canceller *c = arg;
    while (!atomic_load(&c->go)) {
    }
    mote_session_cancel(c->s);
    return NULL;
}

/* From another thread, while generating: within one token, and nothing is lost: going
 * on gives the same text. */
static void test_cancel(void **state)
{
    static reply whole;
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 8, ids);
    for (uint32_t draft = 0; draft <= MOTE_DRAFT_NGRAM; draft++) {
        mote_session *s = session_new(*state, 300, 0, draft, 0);
        generate_from(s, ids, n, 200, NULL, &whole);
        MUST(mote_session_prompt(s, ids, n, err));
        mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
        g.max_tokens = 200;
        g.ignore_eos = 1;
        MUST(mote_session_generate(s, &g, NULL, err));
        canceller c = {s, 0};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &c), 0);
        uint32_t tokens = 0, cancelled = 0, after = 0;
        for (;;) {
            mote_piece p = MOTE_PIECE_INIT;
            if (tokens == 20) {
                atomic_store(&c.go, 1);
                pthread_join(thread, NULL);
            }
            mote_status st = mote_session_next(s, &p, NULL);
            if (st == MOTE_E_CANCELLED) {
                assert_int_equal(tokens, 20); /* the very next call */
                cancelled++;
                tokens++; /* join only once */
                continue;
            }
            if (st == MOTE_DONE)
                break;
            assert_int_equal(st, MOTE_OK);
            tokens += p.n_tokens;
            for (uint32_t i = 0; i < p.n_tokens; i++)
                assert_int_equal(p.tokens[i], whole.ids[after++]);
        }
        assert_int_equal(cancelled, 1);
        assert_int_equal(after, 200);
        mote_session_close(s);
    }
}

static int32_t cancel_at_two(
        void *user, const char *stage, uint64_t done, uint64_t total)
{
    uint64_t *calls = user;
    assert_string_equal(stage, "prefill");
    assert_true(done <= total);
    return ++*calls > 2;
}

/* "MOTE_E_CANCELLED with whole chunks kept": by the progress callback, and from another
 * thread in the middle of prefilling. */
static void test_cancel_prefill(void **state)
{
    static int32_t ids[500];
    current = *state;
    for (int i = 0; i < 500; i++)
        ids[i] = 10 + i * 7;
    uint64_t calls = 0;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session *s;
    o.prefill_tokens = 50;
    o.progress = cancel_at_two;
    o.progress_user = &calls;
    MUST(mote_session_open(&s, *state, &o, err));
    MUST_FAIL(MOTE_E_CANCELLED, mote_session_eval(s, ids, 500, err));
    assert_int_equal(mote_session_position(s), 100);
    assert_as_fresh(s, 0);
    mote_session_close(s);

    o.progress = NULL;
    MUST(mote_session_open(&s, *state, &o, err));
    canceller c = {s, 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &c), 0);
    atomic_store(&c.go, 1);
    mote_status st;
    uint32_t rounds = 0;
    do { /* the cancel comes at some time: until then prompts are computed again */
        mote_session_rewind(s, 0, NULL);
        st = mote_session_prompt(s, ids, 500, NULL);
    } while (st == MOTE_OK && ++rounds < 10000);
    pthread_join(thread, NULL);
    assert_int_equal(st, MOTE_E_CANCELLED);
    assert_int_equal(mote_session_position(s) % 50, 0);
    MUST(mote_session_prompt(s, ids, 500, err));
    assert_as_fresh(s, 0);
    /* a cancelled batch step: that session's status, the other goes on */
    mote_session *t = session_new(*state, 100, 0, 0, 0), *both[2] = {s, t};
    mote_piece p[2] = {MOTE_PIECE_INIT, MOTE_PIECE_INIT};
    mote_status sts[2];
    MUST(mote_session_rewind(s, 100, err));
    MUST(mote_session_eval(t, ids, 20, err));
    MUST(mote_session_generate(s, NULL, NULL, err));
    MUST(mote_session_generate(t, NULL, NULL, err));
    mote_session_cancel(t);
    MUST(mote_session_next_batch(both, 2, p, sts, err));
    assert_int_equal(sts[0], MOTE_OK);
    assert_int_equal(sts[1], MOTE_E_CANCELLED);
    MUST(mote_session_next_batch(both, 2, p, sts, err));
    assert_int_equal(sts[1], MOTE_OK);
    mote_session_close(t);
    mote_session_close(s);
}

/* ---- memory -------------------------------------------------------------------- */

static uint64_t live_bytes(const mote_model *m)
{
    return mote_model_memory(m, MOTE_MEM_KV) + mote_model_memory(m, MOTE_MEM_SCRATCH);
}

/* "Bytes that a session with these options would allocate, exactly." */
static void test_plan(void **state)
{
    static const mote_session_options many[] = {
            {.struct_size = sizeof(mote_session_options)},
            {.struct_size = sizeof(mote_session_options), .context_tokens = 1},
            {.struct_size = sizeof(mote_session_options),
                    .context_tokens = 333,
                    .prefill_tokens = 17,
                    .kv_type = MOTE_KV_FP8},
            {.struct_size = sizeof(mote_session_options),
                    .kv_type = MOTE_KV_F32,
                    .keep_tokens = UINT32_MAX,
                    .draft = MOTE_DRAFT_OFF},
    };
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        uint64_t total = 0, kv = 0, before = live_bytes(*state),
                 kv_before = mote_model_memory(*state, MOTE_MEM_KV);
        mote_session *s;
        MUST(mote_session_plan(*state, &many[i], &total, &kv, err));
        MUST(mote_session_open(&s, *state, &many[i], err));
        assert_int_equal(live_bytes(*state) - before, total);
        assert_int_equal(mote_model_memory(*state, MOTE_MEM_KV) - kv_before, kv);
        mote_session_stats st = MOTE_SESSION_STATS_INIT;
        MUST(mote_session_get_stats(s, &st, err));
        assert_int_equal(st.total_bytes, total);
        assert_int_equal(st.kv_bytes, kv);
        mote_session_close(s);
        assert_int_equal(live_bytes(*state), before);
    }
    MUST(mote_session_plan(*state, NULL, NULL, NULL, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_plan(NULL, NULL, NULL, NULL, err));
}

/* "Everything is sized when the session is made: decoding allocates nothing." */
static void test_no_allocation(void **state)
{
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 5, ids);
    uint64_t live = live_bytes(*state);
    for (uint32_t draft = 0; draft <= MOTE_DRAFT_NGRAM; draft++)
        for (int sampled = 0; sampled < 2; sampled++) {
            mote_session *s = session_new(*state, 512, 0, draft, 0);
            mote_sampler_options o = MOTE_SAMPLER_OPTIONS_INIT;
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            o.temperature = sampled ? 1 : 0;
            o.top_p = 0.9f;
            g.ignore_eos = 1;
            g.format = mote_chat_format_find("deepseek-r1", NULL);
            assert_non_null(g.format);
            MUST(mote_session_eval(s, ids, n, err));
            MUST(mote_session_generate(s, &g, &o, err));
            uint64_t count = mote_x_allocations(*state);
            mote_piece p = MOTE_PIECE_INIT;
            for (uint32_t i = 0; i < 300; i++)
                MUST(mote_session_next(s, &p, err));
            assert_int_equal(mote_x_allocations(*state), count);
            mote_session_close(s);
            assert_int_equal(live_bytes(*state), live);
        }
}

/* A host allocator that fails at one call: an error, nothing leaked, nothing changed.
 */
typedef struct host {
    atomic_long left; /* calls until one fails; negative: none does */
    atomic_llong live;
} host;

static void *host_alloc(void *user, size_t size, size_t align, int32_t tag)
{
    host *h = user;
    assert_in_range(tag, 0, MOTE_MEM_TAGS - 1);
    if (atomic_fetch_sub(&h->left, 1) == 0)
        return NULL;
    atomic_fetch_add(&h->live, (long long)size);
    return test_aligned_alloc(align, size);
}

static void host_free(void *user, void *ptr, size_t size, int32_t tag)
{
    host *h = user;
    (void)tag;
    if (ptr)
        atomic_fetch_sub(&h->live, (long long)size);
    test_aligned_free(ptr);
}

static void test_memory(void **state)
{
    static reply r, r2;
    host h = {-1, 0};
    int32_t ids[PROMPT_MAX];
    mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
    mote_model *m;
    (void)state;
    mo.n_threads = 1;
    mo.alloc = host_alloc;
    mo.free = host_free;
    mo.alloc_user = &h;
    MUST(mote_model_open(&m, data_path("../../models/tiny-v3"), &mo, err));
    current = m;
    const char *stops[1] = {"\x02"};
    mote_schema *schema;
    MUST(mote_schema_open(&schema, mote_model_tokenizer(m), NULL, 0, err));
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.stop = stops;
    g.n_stop = 1;
    g.schema = schema;
    uint32_t n = prompt_ids(m, 0, ids), failures = 0;
    /* 0: open, 1: fork, 2: generate, 3: a write into shared blocks, 4: load */
    for (int what = 0; what < 5; what++)
        for (long fail = 0;; fail++) {
            mote_session *s = NULL, *f = NULL;
            uint8_t data[1 << 17];
            size_t size = 0;
            if (what)
                s = session_new(m, 256, MOTE_KV_FP8, 0, 0);
            if (what)
                generate_from(s, ids, n, 100, NULL, &r);
            if (what) /* ends the generation, whose memory is then free */
                MUST(mote_session_rewind(s, mote_session_position(s), err));
            if (what == 3)
                MUST(mote_session_fork(&f, s, err));
            if (what == 4) {
                MUST(mote_session_save(s, data, sizeof data, &size, err));
                MUST(mote_session_rewind(s, n, err));
            }
            long long before = atomic_load(&h.live);
            mote_status st;
            mote_error e = {0};
            atomic_store(&h.left, fail);
            if (what == 0)
                st = mote_session_open(&s, m, NULL, &e);
            else if (what == 1)
                st = mote_session_fork(&f, s, &e);
            else if (what == 2)
                st = mote_session_generate(s, &g, NULL, &e);
            else if (what == 3)
                st = (mote_session_rewind(s, 8, &e), mote_session_eval(s, ids, 4, &e));
            else
                st = mote_session_load(s, data, size, &e);
            long untouched = atomic_exchange(&h.left, -1);
            if (st < 0) {
                assert_int_equal(st, MOTE_E_MEMORY);
                assert_int_equal(e.status, st);
                assert_true(what == 3 || atomic_load(&h.live) == before);
                if (what == 0)
                    assert_null(s);
                else if (what == 1)
                    assert_null(f);
                else if (what == 3)
                    assert_int_equal(mote_session_position(s), 8);
                else if (what == 4)
                    assert_int_equal(mote_session_position(s), n);
                failures++;
            }
            if (what == 1 || what == 2) { /* the session is what it was */
                g.schema = NULL;
                g.max_tokens = 20;
                MUST(mote_session_prompt(s, ids, n, err));
                generate(s, &g, NULL, &r2);
                assert_memory_equal(r2.ids, r.ids, 20 * sizeof *r.ids);
                g.schema = schema;
            } else if (s) {
                if (what == 0)
                    MUST(mote_session_eval(s, ids, n, err));
                assert_as_fresh(s, what ? MOTE_KV_FP8 : 0);
            }
            mote_session_close(f);
            mote_session_close(s);
            if (st >= 0) {
                assert_true(untouched >= 0);
                break;
            }
        }
    print_message("%u failing allocations\n", failures);
    assert_true(failures > 20);
    mote_schema_close(schema);
    mote_model_close(m);
    assert_true(atomic_load(&h.live) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_prompt),
            cmocka_unit_test(test_rewind),
            cmocka_unit_test(test_fork),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_context_full),
            cmocka_unit_test(test_keep),
            cmocka_unit_test(test_mtp_logits),
            cmocka_unit_test(test_sample),
            cmocka_unit_test(test_cancel),
            cmocka_unit_test(test_cancel_prefill),
            cmocka_unit_test(test_plan),
            cmocka_unit_test(test_no_allocation),
            cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
