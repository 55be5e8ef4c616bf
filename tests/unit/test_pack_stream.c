/* SPDX-License-Identifier: MIT */
/* Models larger than their memory budget: experts come from the pack as they are
 * needed. The bits are those of the model in memory, the memory stays within the
 * budget, and a disk that fails is a status. Run under the thread sanitizer, too. */
#include "pack_kit.h"

#include "model/model.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The bundled model: large enough for compressed experts to be worth streaming. */
#define TINY "../../../models/tiny-v3"

/* The least budget, as the error that asks for it says. */
static uint64_t least_budget(const char *path)
{
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_model *m = NULL;
    mote_error err;
    o.memory_bytes = 1;
    assert_int_equal(mote_model_open(&m, path, &o, &err), MOTE_E_BUDGET);
    assert_null(m);
    const char *at = strstr(err.message, "at least ");
    assert_non_null(at);
    return strtoull(at + 9, NULL, 10);
}

static uint64_t weight_bytes(const char *path)
{
    mote_model *m = golden_model(path, NULL, 1);
    mote_stream_stats stats = MOTE_STREAM_STATS_INIT;
    MUST(mote_model_stream_stats(m, &stats, err));
    assert_int_equal(stats.active, 0);
    mote_model_close(m);
    return stats.bytes_resident;
}

/* Whether this system lets us use io_uring. */
static int has_uring(const char *path, uint64_t budget)
{
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_model *m = NULL;
    mote_error err;
    o.memory_bytes = budget;
    o.reading = MOTE_READING_URING;
    mote_status st = mote_model_open(&m, path, &o, &err);
    mote_model_close(m);
    if (st < 0) {
        assert_int_equal(st, MOTE_E_UNSUPPORTED);
        assert_non_null(strstr(err.message, "io_uring"));
    }
    return st >= 0;
}

static uint32_t reading; /* MOTE_READING_... of the models opened */

static mote_model *open_budget(const char *path, uint64_t budget, uint32_t mapping)
{
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_model *m = NULL;
    o.memory_bytes = budget;
    o.mapping = mapping;
    o.reading = reading;
    o.n_threads = 2;
    MUST(mote_model_open(&m, path, &o, err));
    return m;
}

static uint64_t in_use(const mote_model *m)
{
    return mote_model_memory(m, MOTE_MEM_WEIGHTS) +
           mote_model_memory(m, MOTE_MEM_OTHER);
}

/* "The same bits as the all-in-memory run. Never exceeds the budget. A cap that is too
 * small is an error that names the needed size", and that size is enough. */
static void test_budgets(void **state)
{
    (void)state;
    static const char *const names[] = {"v2-group", "v3-tied", "v3-router-edge", TINY};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int zstd = 0; zstd <= 1; zstd++) {
            char *path = kit_make(names[i], "b.mote", MOTE_TYPE_KEEP, zstd);
            float *logits = kit_logits_of(path);
            uint64_t least = least_budget(path), all = weight_bytes(path);
            if (least >= all) { /* the readers' buffers are larger than the experts */
                assert_true(zstd && strcmp(names[i], TINY) != 0);
                free(path);
                free(logits);
                continue;
            }
            mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
            mote_model *none = NULL;
            o.memory_bytes = least - 1;
            assert_int_equal(mote_model_open(&none, path, &o, NULL), MOTE_E_BUDGET);
            uint64_t before = UINT64_MAX;
            for (int part = 0; part <= 4; part++) {
                uint64_t budget = least + (all - 1 - least) * (uint64_t)part / 4;
                mote_model *m = open_budget(
                        path, budget, part % 2 ? MOTE_MAP_DIRECT : MOTE_MAP_AUTO);
                assert_true(in_use(m) <= budget);
                uint64_t allocated = in_use(m);
                kit_same(m, logits);
                kit_same(m, logits);
                assert_int_equal(in_use(m), allocated);
                mote_stream_stats s = MOTE_STREAM_STATS_INIT;
                MUST(mote_model_stream_stats(m, &s, err));
                assert_int_equal(s.active, 1);
                assert_int_equal(s.reading, reading);
                assert_true(s.bytes_unused <= s.bytes_read);
                assert_true(s.hits + s.misses > 0);
                assert_true(s.misses > 0 && s.bytes_read > 0);
                assert_true(s.bytes_resident > 0 && s.bytes_cached > 0);
                assert_true(s.bytes_resident + s.bytes_cached <= budget);
                /* each read was a miss or a guess */
                assert_true(s.bytes_read <= (s.misses + s.prefetched) * all);
                /* more memory, no more reading: with slack for guesses */
                if (part == 4)
                    assert_true(s.bytes_read <= before);
                if (part == 0)
                    before = s.bytes_read;
                mote_model_close(m);
            }
            /* A budget that holds everything streams nothing. */
            mote_model *m = open_budget(path, all, MOTE_MAP_AUTO);
            mote_stream_stats s = MOTE_STREAM_STATS_INIT;
            MUST(mote_model_stream_stats(m, &s, err));
            assert_int_equal(s.active, 0);
            kit_same(m, logits);
            mote_model_close(m);
            free(path);
            free(logits);
        }
}

/* From a descriptor in the middle of a file, and from memory. */
static void test_from_memory(void **state)
{
    (void)state;
    char *path = kit_make("v2-group", "m.mote", MOTE_TYPE_KEEP, 0);
    float *logits = kit_logits_of(path);
    kit_pack p;
    kit_open(&p, path);
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.memory_bytes = (least_budget(path) + weight_bytes(path)) / 2;
    for (size_t at = 0; at < 130; at += 43) {
        uint8_t *wide = calloc(1, p.size + 200);
        assert_non_null(wide);
        memcpy(wide + at, p.data, p.size);
        const char *file = golden_path("%s/wide", kit_folder());
        kit_write(file, wide, p.size + 200);
        mote_model *m = NULL;
        MUST(mote_model_open_memory(&m, wide + at, p.size, &o, err));
        kit_same(m, logits);
        mote_model_close(m);
        FILE *f = fopen(file, "rb");
        assert_non_null(f);
        o.mapping = MOTE_MAP_DIRECT;
        MUST(mote_model_open_fd(&m, fileno(f), at, p.size, &o, err));
        fclose(f);
        kit_same(m, logits);
        mote_model_close(m);
        free(wide);
    }
    kit_close(&p);
    free(path);
    free(logits);
}

/* The MTP module's experts are streamed, too. */
static void mtp_logits(mote_model *m, float *out, uint32_t vocab)
{
    static const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2, 6};
    mote_session *s = golden_session(m, 64, MOTE_KV_F32, MOTE_DRAFT_MTP, 1);
    MUST(mote_session_eval(s, tokens, 8, err));
    for (uint32_t i = 0; i < 7; i++)
        MUST(mote_session_mtp_logits(s, i, out + i * vocab, vocab, err));
    mote_session_close(s);
}

static void test_mtp(void **state)
{
    (void)state;
    char *path = kit_make("v3-sharded", "d.mote", MOTE_TYPE_KEEP, 0);
    mote_model *m = golden_model(path, NULL, 2);
    uint32_t vocab = golden_vocab(m);
    float *expected = malloc(7 * vocab * sizeof *expected),
          *found = malloc(7 * vocab * sizeof *found);
    assert_true(expected && found);
    mtp_logits(m, expected, vocab);
    mote_model_close(m);
    m = open_budget(path, least_budget(path), MOTE_MAP_AUTO);
    mtp_logits(m, found, vocab);
    mote_model_close(m);
    assert_memory_equal(found, expected, 7 * vocab * sizeof *found);
    free(expected);
    free(found);
    free(path);
}

typedef struct other {
    mote_model *model;
    const float *logits;
    float *found;
    mote_status st;
} other;

/* Not kit_logits(): assertions belong to the main thread. */
static void *run_other(void *arg)
{
    other *o = arg;
    uint32_t vocab = golden_vocab(o->model);
    for (int times = 0; times < 4 && o->st >= 0; times++) {
        mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
        mote_session *s = NULL;
        so.context_tokens = 64;
        so.kv_type = MOTE_KV_F32;
        so.keep_tokens = UINT32_MAX;
        so.deterministic = 1;
        so.precision = MOTE_PRECISION_EXACT;
        int32_t tokens[KIT_TOKENS];
        for (uint32_t i = 0; i < KIT_TOKENS; i++)
            tokens[i] = (int32_t)((i * 37 + 11) % vocab);
        o->st = mote_session_open(&s, o->model, &so, NULL);
        for (uint32_t i = 0; i < KIT_TOKENS && o->st >= 0; i += times + 1u) {
            uint32_t n = KIT_TOKENS - i < times + 1u ? KIT_TOKENS - i : times + 1u;
            o->st = mote_session_eval(s, tokens + i, n, NULL);
        }
        for (uint32_t i = 0; i < KIT_TOKENS && o->st >= 0; i++)
            o->st = mote_session_logits(s, i, o->found + i * vocab, vocab, NULL);
        mote_session_close(s);
        if (o->st >= 0 &&
                memcmp(o->found, o->logits, KIT_TOKENS * vocab * sizeof(float)) != 0)
            o->st = MOTE_E_NUMERIC;
    }
    return NULL;
}

/* Several sessions share the cache, the smallest that works included: nobody waits for
 * ever, everybody gets the same bits. */
static void test_sessions(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    for (int zstd = 0; zstd <= 1; zstd++) {
        char *path = kit_make(zstd ? TINY : "v2-group", "s.mote", 0, zstd);
        float *logits = kit_logits_of(path);
        uint64_t least = least_budget(path), all = weight_bytes(path);
        for (int part = 0; part <= 2; part++) {
            mote_model *m = open_budget(
                    path, least + (all - 1 - least) * (uint64_t)part / 4, 0);
            other o[THREADS];
            pthread_t threads[THREADS];
            for (int i = 0; i < THREADS; i++) {
                o[i] = (other){.model = m, .logits = logits};
                o[i].found = malloc(KIT_TOKENS * golden_vocab(m) * sizeof(float));
                assert_non_null(o[i].found);
                assert_int_equal(
                        pthread_create(&threads[i], NULL, run_other, &o[i]), 0);
            }
            for (int i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
            for (int i = 0; i < THREADS; i++) {
                assert_int_equal(o[i].st, MOTE_OK);
                free(o[i].found);
            }
            mote_model_close(m);
        }
        free(path);
        free(logits);
    }
}

/* Every expert is damaged after opening: the session gets a status, several at once get
 * it, the model can be closed; once the file is whole again the same model runs. */
static void test_damage(void **state)
{
    (void)state;
    for (int cut = 0; cut <= 1; cut++) {
        char *path = kit_make("v2-group", "x.mote", MOTE_TYPE_KEEP, 0);
        float *logits = kit_logits_of(path);
        kit_pack p;
        kit_open(&p, path);
        mote_model *m = open_budget(path, least_budget(path), MOTE_MAP_OFF);
        uint8_t *bad = kit_copy(p.data, p.size);
        for (size_t i = 0; i < p.n_units; i++)
            bad[p.unit_at[i] + p.unit_bytes[i] / 2] ^= 1;
        /* In place: the same file that the model has open. */
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        if (cut)
            assert_int_equal(ftruncate(fileno(f), 8192), 0);
        else
            assert_int_equal(fwrite(bad, 1, p.size, f), p.size);
        fflush(f);
        mote_session *s = golden_session(m, 64, MOTE_KV_F32, 0, 1);
        mote_error err;
        static const int32_t tokens[4] = {1, 2, 3, 4};
        for (int times = 0; times < 3; times++) {
            assert_int_equal(mote_session_eval(s, tokens, 4, &err),
                    cut ? MOTE_E_IO : MOTE_E_FORMAT);
            assert_non_null(strstr(err.message, cut ? "truncated" : "damaged"));
        }
        other o[2];
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            o[i] = (other){.model = m, .logits = logits};
            o[i].found = malloc(KIT_TOKENS * golden_vocab(m) * sizeof(float));
            assert_int_equal(pthread_create(&threads[i], NULL, run_other, &o[i]), 0);
        }
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(o[i].st, cut ? MOTE_E_IO : MOTE_E_FORMAT);
            free(o[i].found);
        }
        rewind(f);
        assert_int_equal(fwrite(p.data, 1, p.size, f), p.size);
        assert_int_equal(fclose(f), 0);
        mote_session_close(s);
        kit_same(m, logits);
        /* Closing with guesses on their way. */
        mote_model_close(m);
        free(bad);
        kit_close(&p);
        free(path);
        free(logits);
    }
}

static uint64_t seed = 7;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

/* n different ids, ascending. */
static void choose(uint32_t *ids, uint32_t n, uint32_t n_all)
{
    for (uint32_t id = 0, left = n; left; id++)
        if (rnd(n_all - id) < left)
            ids[n - left--] = id;
}

static void same_matrix(const mote_k_matrix *a, const mote_k_matrix *b)
{
    assert_int_equal(a->type, b->type);
    assert_memory_equal(
            a->data, b->data, mote_k_data_bytes(a->type, a->n_rows, a->n_cols));
}

/* What is guessed, taken back and needed after all, in any order: the experts that
 * come are those that were asked for. */
static void test_any_order(void **state)
{
    enum { MOST = 8 };
    (void)state;
    char *path = kit_make(TINY, "o.mote", MOTE_TYPE_KEEP, 0);
    mote_model *all = golden_model(path, NULL, 1);
    const uint64_t least = least_budget(path), most = weight_bytes(path);
    for (uint32_t part = 0; part < 3; part++) {
        mote_model *m = open_budget(path, least + (most - least) * part / 4,
                part ? MOTE_MAP_DIRECT : MOTE_MAP_AUTO);
        const mote__expert_source *s = m->net.source;
        const mote__config *c = &m->net.config;
        uint32_t ids[MOST], e = c->n_routed_experts;
        assert_non_null(s);
        for (uint32_t step = 0; step < 4000; step++) {
            uint32_t layer = rnd(c->num_hidden_layers),
                     n = 1 + rnd(e < MOST ? e : MOST);
            if (!m->net.layers[layer].router)
                continue;
            choose(ids, n, e);
            if (rnd(3)) {
                s->prefetch(s->user, layer, ids, n, !rnd(4));
                continue;
            }
            mote__expert x[MOST];
            uint8_t present[MOST];
            n = n < s->wave ? n : s->wave;
            MUST(s->begin(s->user, layer, ids, n, x, present, err));
            while (memchr(present, 0, n))
                MUST(s->wait(s->user, layer, ids, n, present, err));
            for (uint32_t i = 0; i < n; i++) {
                const mote__expert *y = &all->net.layers[layer].experts[ids[i]];
                same_matrix(&x[i].gate, &y->gate);
                same_matrix(&x[i].up, &y->up);
                same_matrix(&x[i].down, &y->down);
            }
            s->end(s->user, layer, ids, n);
        }
        mote_stream_stats stats = MOTE_STREAM_STATS_INIT;
        MUST(mote_model_stream_stats(m, &stats, err));
        assert_true(stats.prefetch_hits > 0);
        assert_true(stats.bytes_unused > 0 && stats.bytes_unused <= stats.bytes_read);
        mote_model_close(m);
    }
    mote_model_close(all);
    free(path);
}

static int done(void **state)
{
    (void)state;
    kit_clean();
    return 0;
}

/* All of them by threads, then by io_uring; what was asked for is what is used. */
int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_budgets),
            cmocka_unit_test(test_from_memory),
            cmocka_unit_test(test_mtp),
            cmocka_unit_test(test_sessions),
            cmocka_unit_test(test_damage),
            cmocka_unit_test(test_any_order),
    };
    reading = MOTE_READING_THREADS;
    int failed = cmocka_run_group_tests_name("pack_stream, threads", tests, NULL, done);
    char *path = kit_make("v2-group", "b.mote", MOTE_TYPE_KEEP, 0);
    int uring = has_uring(path, least_budget(path));
    free(path);
    done(NULL);
    if (!uring) {
        print_message("no io_uring here\n");
        return failed;
    }
    reading = MOTE_READING_URING;
    return failed +
           cmocka_run_group_tests_name("pack_stream, io_uring", tests, NULL, done);
}
