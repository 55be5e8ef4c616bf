/* SPDX-License-Identifier: MIT */
/* "Snapshots: save and load a session (tokens, cache, sampler state) ... loading a
 * wrong, damaged or truncated one is an error that leaves the session untouched.
 * Resuming gives identical continuations." */
#include "base/bytes.h"
#include "base/hash.h"
#include "sessions.h"

#include <stdio.h>
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

static uint8_t *save(mote_session *s, size_t *n)
{
    size_t most = 0;
    MUST(mote_session_save(s, NULL, 0, &most, err));
    uint8_t *data = malloc(most);
    assert_non_null(data);
    MUST(mote_session_save(s, data, most, n, err));
    assert_true(*n <= most);
    return data;
}

static const mote_sampler_options sampled = {
        .struct_size = sizeof sampled, .temperature = 0.8f, .seed = 5};

/* Generate 40 tokens, leave early, save; go on for 40. A loaded session goes on alike,
 * in this session and another, from memory and from a file. */
static void resume(
        mote_model *m, uint32_t kv, uint32_t draft, const mote_sampler_options *sampler)
{
    static reply first, here, there;
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(m, kv + draft, ids);
    mote_session *s = session_new(m, 256, kv, draft, 0);
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.ignore_eos = 1;
    MUST(mote_session_eval(s, ids, n, err));
    MUST(mote_session_generate(s, &g, sampler, err));
    while (mote_session_position(s) < n + 70) {
        mote_piece p = MOTE_PIECE_INIT;
        MUST(mote_session_next(s, &p, err));
    }
    size_t size;
    uint8_t *data = save(s, &size);
    MUST(mote_session_save_file(s, "snapshot.tmp", err));
    g.max_tokens = 40;
    g.seed_from_state = 1;
    uint32_t position = mote_session_position(s);
    float *logits = malloc(VOCAB * sizeof *logits),
          *again = malloc(VOCAB * sizeof(float));
    MUST(mote_session_logits(s, position - 1, logits, VOCAB, err));
    generate(s, &g, sampler, &here);
    for (int way = 0; way < 3; way++) {
        mote_session *t =
                way == 0 ? s : session_new(m, way == 1 ? 256 : 200, kv, draft, 0);
        if (way == 2)
            MUST(mote_session_load_file(t, "snapshot.tmp", err));
        else
            MUST(mote_session_load(t, data, size, err));
        assert_int_equal(mote_session_position(t), position);
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(mote_session_token(t, i), ids[i]);
        MUST(mote_session_logits(t, position - 1, again, VOCAB, err));
        assert_memory_equal(logits, again, VOCAB * sizeof(float));
        generate(t, &g, sampler, &there);
        assert_same_ids(&here, &there, "resumed");
        /* the cache below is whole: rewound and continued, as a new session would be */
        MUST(mote_session_rewind(t, n, err));
        first.n = 0;
        g.seed_from_state = 0;
        generate(t, &g, NULL, &there);
        mote_session *fresh = session_new(m, 256, kv, draft, 0);
        MUST(mote_session_eval(fresh, ids, n, err));
        generate(fresh, &g, NULL, &first);
        assert_same_ids(&first, &there, "rewound");
        mote_session_close(fresh);
        g.seed_from_state = 1;
        if (way)
            mote_session_close(t);
    }
    mote_session_close(s);
    remove("snapshot.tmp");
    free(logits);
    free(again);
    free(data);
}

static void test_resume(void **state)
{
    for (uint32_t kv = MOTE_KV_F32; kv <= MOTE_KV_FP8; kv++)
        for (uint32_t draft = MOTE_DRAFT_AUTO; draft <= MOTE_DRAFT_NGRAM; draft++) {
            resume(*state, kv, draft, NULL);
            resume(*state, kv, draft, &sampled);
        }
}

/* Saved without an MTP cache: loads, and decodes without MTP drafts until a new start;
 * saving it again does not invent one. */
static void test_without_mtp_cache(void **state)
{
    static reply a, b;
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 2, ids);
    mote_session *off = session_new(*state, 256, 0, MOTE_DRAFT_OFF, 0);
    mote_session *on = session_new(*state, 256, 0, MOTE_DRAFT_MTP, 2);
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.max_tokens = 30;
    g.ignore_eos = 1;
    float *mtp = malloc(VOCAB * sizeof *mtp);
    MUST(mote_session_eval(off, ids, n, err));
    for (int round = 0; round < 2; round++) {
        size_t size;
        uint8_t *data = save(round ? on : off, &size);
        if (round == 0)
            generate(off, &g, NULL, &a);
        MUST(mote_session_load(on, data, size, err));
        MUST_FAIL(MOTE_E_UNSUPPORTED, mote_session_mtp_logits(on, 1, mtp, VOCAB, err));
        generate(on, &g, NULL, &b);
        assert_same_ids(&a, &b, "without an MTP cache");
        MUST(mote_session_rewind(on, n, err));
        free(data);
    }
    mote_session_stats st = MOTE_SESSION_STATS_INIT;
    MUST(mote_session_get_stats(on, &st, err));
    assert_int_equal(st.drafted[0], 0);
    MUST(mote_session_prompt(on, ids + 1, n - 1, err)); /* nothing in common */
    MUST(mote_session_prompt(on, ids, n, err));
    generate(on, &g, NULL, &b);
    assert_same_ids(&a, &b, "with a new MTP cache");
    MUST(mote_session_get_stats(on, &st, err));
    assert_true(st.drafted[0] > 0);
    free(mtp);
    mote_session_close(off);
    mote_session_close(on);
}

static void test_unused(void **state)
{
    size_t n;
    mote_session *s = session_new(*state, 64, 0, 0, 0);
    uint8_t *data = save(s, &n);
    int32_t ids[PROMPT_MAX];
    uint32_t k = prompt_ids(*state, 0, ids);
    MUST(mote_session_eval(s, ids, k, err));
    MUST(mote_session_load(s, data, n, err));
    assert_int_equal(mote_session_position(s), 0);
    MUST(mote_session_eval(s, ids, k, err));
    free(data);
    /* the length asked for is enough, one byte less than written is not */
    size_t most, exact, less;
    MUST(mote_session_save(s, NULL, 0, &most, err));
    data = malloc(most);
    MUST(mote_session_save(s, data, most, &exact, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_save(s, data, exact - 1, &less, err));
    assert_true(less >= exact);
    MUST(mote_session_save(s, data, exact, &less, err));
    assert_int_equal(less, exact);
    MUST_FAIL(MOTE_E_IO, mote_session_save_file(s, "no/such/folder/file", err));
    MUST_FAIL(MOTE_E_NOT_FOUND, mote_session_load_file(s, "no-such-file", err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_load(s, NULL, 0, err));
    MUST_FAIL(MOTE_E_FORMAT, mote_session_load(s, data, 0, err));
    free(data);
    mote_session_close(s);
}

/* Two saves of one state are the same bytes. */
static void test_reproducible(void **state)
{
    static reply r;
    int32_t ids[PROMPT_MAX];
    uint8_t *data[2];
    size_t n[2];
    for (int i = 0; i < 2; i++) {
        mote_session *s = session_new(
                *state, 256, MOTE_KV_FP8, i ? MOTE_DRAFT_MTP : MOTE_DRAFT_AUTO, 0);
        generate_from(s, ids, prompt_ids(*state, 1, ids), 50, NULL, &r);
        data[i] = save(s, &n[i]);
        mote_session_close(s);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(data[0], data[1], n[0]);
    free(data[0]);
    free(data[1]);
}

typedef struct untouched {
    int32_t ids[PROMPT_MAX];
    uint32_t n;
    float logits[VOCAB];
} untouched;

static void remember(mote_session *s, untouched *u)
{
    u->n = mote_session_position(s);
    for (uint32_t i = 0; i < u->n; i++)
        u->ids[i] = mote_session_token(s, i);
    MUST(mote_session_logits(s, u->n - 1, u->logits, VOCAB, err));
}

static void assert_untouched(mote_session *s, const untouched *u)
{
    static float logits[VOCAB];
    assert_int_equal(mote_session_position(s), u->n);
    for (uint32_t i = 0; i < u->n; i++)
        assert_int_equal(mote_session_token(s, i), u->ids[i]);
    MUST(mote_session_logits(s, u->n - 1, logits, VOCAB, err));
    assert_memory_equal(logits, u->logits, sizeof logits);
}

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Every truncation, every flipped bit, and 2,000 mutations with checksums made right:
 * an error, and the session as it was. */
static void test_damage(void **state)
{
    static untouched u;
    int32_t ids[PROMPT_MAX];
    size_t n;
    mote_session *s = session_new(*state, 64, MOTE_KV_FP8, 0, 0);
    MUST(mote_session_eval(s, ids, prompt_ids(*state, 4, ids), err));
    uint8_t *data = save(s, &n), *bad = malloc(n + 64);
    MUST(mote_session_prompt(s, ids, prompt_ids(*state, 6, ids), err));
    remember(s, &u);
    for (size_t cut = 0; cut < n; cut++)
        MUST_FAIL(MOTE_E_FORMAT, mote_session_load(s, data, cut, err));
    assert_untouched(s, &u);
    memcpy(bad, data, n);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        mote_status st = mote_session_load(s, bad, n, NULL);
        assert_true(st == MOTE_E_FORMAT || st == MOTE_E_MISMATCH);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_untouched(s, &u);
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 2000; i++) {
        memcpy(bad, data, n);
        /* half of them in the header, the checksum made right or not */
        uint32_t changes = 1 + (uint32_t)(next(&x) % 3);
        for (uint32_t c = 0; c < changes; c++)
            bad[next(&x) % (i % 2 ? n : 80)] ^= (uint8_t)(1 + next(&x) % 255);
        if (i % 4 == 0) {
            uint64_t h = 0xcbf29ce484222325u;
            for (int b = 0; b < 72; b++)
                h = (h ^ bad[b]) * 0x100000001b3u;
            for (int b = 0; b < 8; b++)
                bad[72 + b] = (uint8_t)(h >> (8 * b));
            mote__put64(bad + n - 8, mote__hash_of(bad, n - 8));
            /* the sampler's seed and index may be anything */
            if (memcmp(bad, data, 48) == 0 && memcmp(bad + 64, data + 64, 8) == 0)
                continue;
        }
        if (memcmp(bad, data, n) == 0)
            continue;
        mote_error e = {0};
        mote_status st = mote_session_load(s, bad, n, &e);
        assert_true(st == MOTE_E_FORMAT || st == MOTE_E_MISMATCH ||
                    st == MOTE_E_CONTEXT_FULL);
        assert_int_equal(e.status, st);
        if (i % 100 == 0)
            assert_untouched(s, &u);
    }
    memcpy(bad, data, n);
    bad[n] = 0;
    MUST_FAIL(MOTE_E_FORMAT, mote_session_load(s, bad, n + 1, err));
    assert_untouched(s, &u);
    MUST(mote_session_load(s, data, n, err));
    free(data);
    free(bad);
    mote_session_close(s);
}

static void test_mismatch(void **state)
{
    static untouched u;
    static reply r;
    int32_t ids[PROMPT_MAX];
    size_t n;
    uint32_t k = prompt_ids(*state, 7, ids);
    mote_session *s = session_new(*state, 200, MOTE_KV_BF16, 0, 0);
    generate_from(s, ids, k, 100, NULL, &r);
    uint8_t *data = save(s, &n);
    MUST(mote_session_save_file(s, "mismatch.tmp", err));
    /* another cache type */
    mote_session *other = session_new(*state, 200, MOTE_KV_FP8, 0, 0);
    MUST(mote_session_eval(other, ids, k, err));
    remember(other, &u);
    MUST_FAIL(MOTE_E_MISMATCH, mote_session_load(other, data, n, err));
    assert_untouched(other, &u);
    mote_session_close(other);
    /* a smaller context */
    other = session_new(*state, 64, MOTE_KV_BF16, 0, 0);
    MUST(mote_session_eval(other, ids, k, err));
    remember(other, &u);
    MUST_FAIL(MOTE_E_CONTEXT_FULL, mote_session_load(other, data, n, err));
    MUST_FAIL(MOTE_E_CONTEXT_FULL, mote_session_load_file(other, "mismatch.tmp", err));
    assert_untouched(other, &u);
    mote_session_close(other);
    other = session_new(
            *state, 6, MOTE_KV_BF16, 0, 0); /* the file exceeds any of its */
    MUST_FAIL(MOTE_E_CONTEXT_FULL, mote_session_load_file(other, "mismatch.tmp", err));
    mote_session_close(other);
    /* another model: the same without its MTP module */
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_model *m;
    o.mtp = MOTE_MTP_OFF;
    o.n_threads = 1;
    MUST(mote_model_open(&m, data_path("../../models/tiny-v3"), &o, err));
    other = session_new(m, 200, MOTE_KV_BF16, 0, 0);
    MUST_FAIL(MOTE_E_MISMATCH, mote_session_load(other, data, n, err));
    mote_session_close(other);
    mote_model_close(m);
    /* not a snapshot */
    MUST_FAIL(
            MOTE_E_FORMAT, mote_session_load_file(s,
                                   data_path("../../models/tiny-v3/config.json"), err));
    remove("mismatch.tmp");
    free(data);
    mote_session_close(s);
}

/* A reply of the cache's size, compressed: not above the cache, nor far below. */
static void test_size(void **state)
{
    static reply r;
    int32_t ids[PROMPT_MAX];
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    MUST(mote_model_get_info(*state, &info, err));
    for (uint32_t kv = MOTE_KV_F32; kv <= MOTE_KV_FP8; kv++) {
        mote_session *s = session_new(*state, 320, kv, 0, 0);
        generate_from(s, ids, prompt_ids(*state, 1, ids), 280, NULL, &r);
        size_t n;
        uint64_t token = kv == MOTE_KV_F32    ? info.kv_bytes_per_token_f32
                         : kv == MOTE_KV_BF16 ? info.kv_bytes_per_token_bf16
                                              : info.kv_bytes_per_token_fp8;
        free(save(s, &n));
        print_message("kv %u: %zu bytes of snapshot for %u tokens, cache of %llu\n", kv,
                n, mote_session_position(s),
                (unsigned long long)(token * mote_session_position(s)));
        assert_true(n < token * mote_session_position(s) + 8192);
        assert_true(n > token * mote_session_position(s) / 3);
        mote_session_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_resume),
            cmocka_unit_test(test_without_mtp_cache),
            cmocka_unit_test(test_unused),
            cmocka_unit_test(test_reproducible),
            cmocka_unit_test(test_damage),
            cmocka_unit_test(test_mismatch),
            cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
