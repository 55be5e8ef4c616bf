/* SPDX-License-Identifier: MIT */
/* Wrong calls: every pointer of every public function NULL in turn (a list that is
 * compared with the headers), wrong struct sizes, values at and beyond every limit,
 * calls out of order. Each ends in a status with a sentence, never in a crash, and what
 * the calls were made on still works. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../fuzz/tiny_model.h"
#include "mote/experimental.h"
#include "mote/mote.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *file;
static mote_model *model;
static mote_session *session;

static mote_error the_error;

static void must_be(mote_status expected, mote_status st, const char *what)
{
    if (st != expected || the_error.status != st || !the_error.message[0])
        fail_msg("%s: expected %s, found %s with %s \"%s\"", what,
                mote_status_name(expected), mote_status_name(st),
                mote_status_name(the_error.status), the_error.message);
}

/* ---- NULL ---- */

static char called[256][48]; /* names of functions that were called here */
static unsigned n_called;

static void note(const char *call)
{
    size_t n = strcspn(call, "(");
    assert_true(n < sizeof called[0] && n_called < 256);
    memcpy(called[n_called], call, n);
    called[n_called++][n] = '\0';
}

/* The i-th pointer that must not be NULL is NULL in the round `skip`. */
#define R(i, p) (skip == (i) ? NULL : (p))
/* `n` pointers must not be NULL: MOTE_E_INVALID, also with nowhere to say why. */
#define NULLS(n, call)                                                                 \
    do {                                                                               \
        note(#call);                                                                   \
        for (int skip = 0; skip < (n); skip++) {                                       \
            mote_error *err = &the_error;                                              \
            memset(err, 0, sizeof *err);                                               \
            must_be(MOTE_E_INVALID, (call), #call);                                    \
            err = NULL;                                                                \
            assert_int_equal((call), MOTE_E_INVALID);                                  \
        }                                                                              \
    } while (0)
/* Functions without a status: what they give for NULL. */
#define GIVES(value, call)                                                             \
    do {                                                                               \
        note(#call);                                                                   \
        assert_true((call) == (value));                                                \
    } while (0)
#define SURVIVES(call)                                                                 \
    do {                                                                               \
        note(#call);                                                                   \
        call;                                                                          \
    } while (0)

static void null_texts(void)
{
    const mote_tokenizer *t = mote_model_tokenizer(model);
    const mote_chat_format *f = mote_chat_format_at(0);
    static const char hi[] = "[{\"role\":\"user\",\"content\":\"hi\"}]";
    mote_tokenizer *tok = NULL;
    mote_decoder *d = NULL, *open = NULL;
    mote_schema *schema = NULL;
    int32_t ids[64] = {0};
    char text[64];
    const char *piece;
    size_t n;
    assert_int_equal(mote_decoder_open(&open, t, 0, NULL), MOTE_OK);
    NULLS(2, mote_tokenizer_open(R(0, &tok), R(1, "x"), err));
    NULLS(2, mote_tokenizer_open_memory(R(0, &tok), R(1, "{}"), 2, NULL, 0, err));
    NULLS(4, mote_tokenizer_encode(
                     R(0, t), R(1, "a"), 1, 0, R(2, ids), 64, R(3, &n), err));
    NULLS(4, mote_tokenizer_decode(
                     R(0, t), R(1, ids), 1, 0, R(2, text), 64, R(3, &n), err));
    NULLS(2, mote_decoder_open(R(0, &d), R(1, t), 0, err));
    NULLS(3, mote_decoder_push(R(0, open), 65, R(1, &piece), R(2, &n), err));
    NULLS(3, mote_decoder_finish(R(0, open), R(1, &piece), R(2, &n), err));
    NULLS(4, mote_chat_render_text(R(0, f), R(1, hi), strlen(hi), 0, NULL, 0,
                     R(2, text), 64, R(3, &n), err));
    NULLS(5, mote_chat_render(R(0, f), R(1, t), R(2, hi), strlen(hi), 0, NULL, 0,
                     R(3, ids), 64, R(4, &n), err));
    NULLS(2, mote_schema_open(R(0, &schema), R(1, t), "{}", 2, err));
    GIVES(NULL, mote_tokenizer_token(NULL, 0, &n));
    GIVES(-1, mote_tokenizer_find(NULL, "a", 1));
    GIVES(-1, mote_tokenizer_find(t, NULL, 0));
    GIVES(0, mote_tokenizer_is_special(NULL, 0));
    GIVES(0, mote_tokenizer_size(NULL));
    GIVES(-1, mote_tokenizer_bos(NULL));
    GIVES(-1, mote_tokenizer_eos(NULL));
    GIVES(0, mote_tokenizer_adds_bos(NULL));
    GIVES(NULL, mote_chat_format_find(NULL, NULL));
    GIVES(NULL, mote_chat_format_at(UINT32_MAX));
    GIVES(NULL, mote_chat_format_of(NULL, NULL));
    SURVIVES((void)mote_chat_format_name(NULL));
    note("mote_chat_format_name");
    SURVIVES(mote_tokenizer_close(NULL));
    SURVIVES(mote_decoder_close(NULL));
    SURVIVES(mote_schema_close(NULL));
    mote_decoder_close(open);
}

static void null_models(void)
{
    mote_model *m = NULL;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    mote_stream_stats stats = MOTE_STRUCT_INIT(mote_stream_stats);
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    double rate;
    NULLS(2, mote_model_open(R(0, &m), R(1, "x"), NULL, err));
    NULLS(1, mote_model_open_fd(R(0, &m), 0, 0, 0, NULL, err));
    NULLS(2, mote_model_open_memory(R(0, &m), R(1, "x"), 1, NULL, err));
    NULLS(2, mote_model_get_info(R(0, model), R(1, &info), err));
    NULLS(2, mote_model_plan(R(0, "x"), NULL, R(1, &info), err));
    NULLS(2, mote_model_stream_stats(R(0, model), R(1, &stats), err));
    NULLS(3, mote_options_set_text(
                     MOTE_OPTIONS_SESSION, R(0, &so), R(1, "draft"), R(2, "off"), err));
    SURVIVES(
            mote_options_describe(MOTE_OPTIONS_MODEL, 0, NULL, NULL, NULL, NULL, NULL));
    NULLS(2, mote_pack_write(R(0, "x"), R(1, "y"), NULL, err));
    NULLS(1, mote_pack_verify(R(0, "x"), NULL, NULL, err));
    NULLS(3, mote_pack_calibrate(R(0, "x"), R(1, "t"), 1, R(2, "y"), NULL, NULL, err));
    NULLS(2, mote_x_model_synthesize(R(0, &m), R(1, "x"), 1, 0, 0, NULL, err));
    NULLS(2, mote_x_pack_synthesize(R(0, "x"), 1, 0, 0, R(1, "y"), NULL, NULL, err));
    NULLS(2, mote_x_read_bandwidth(R(0, model), R(1, &rate), err));
    NULLS(2, mote_x_multiply_peak(R(0, model), 0, R(1, &rate), err));
    GIVES(NULL, mote_x_preset(UINT32_MAX));
    GIVES(0, mote_x_allocations(NULL));
    GIVES(NULL, mote_model_tokenizer(NULL));
    GIVES('\0', *mote_model_isa(NULL));
    note("mote_model_isa");
    GIVES(0, mote_model_threads(NULL));
    GIVES(0, mote_model_memory(NULL, 0));
    GIVES(0, mote_model_memory(model, -1));
    GIVES(0, mote_model_memory(model, INT32_MAX));
    SURVIVES(mote_model_close(NULL));
    for (mote_status st = -20; st < 20; st++)
        assert_non_null(mote_status_name(st));
    note("mote_status_name");
    assert_true(mote_version_number() == MOTE_VERSION_NUMBER);
    note("mote_version_number");
    assert_non_null(mote_version_string());
    note("mote_version_string");
    assert_non_null(mote_version_components());
    note("mote_version_components");
    assert_non_null(mote_version_isa());
    note("mote_version_isa");
}

static void null_sessions(void)
{
    mote_session *s = NULL;
    mote_session *const some[] = {session}, *const none[] = {NULL};
    mote_piece piece = MOTE_PIECE_INIT;
    mote_status each;
    mote_session_stats stats = MOTE_SESSION_STATS_INIT;
    int32_t id = 65;
    float logits[TINY_VOCAB];
    uint8_t bytes[64];
    size_t n;
    NULLS(1, mote_session_plan(R(0, model), NULL, NULL, NULL, err));
    NULLS(2, mote_session_open(R(0, &s), R(1, model), NULL, err));
    NULLS(2, mote_session_fork(R(0, &s), R(1, session), err));
    NULLS(2, mote_session_eval(R(0, session), R(1, &id), 1, err));
    NULLS(2, mote_session_prompt(R(0, session), R(1, &id), 1, err));
    NULLS(1, mote_session_rewind(R(0, session), 0, err));
    NULLS(2, mote_session_logits(R(0, session), 0, R(1, logits), TINY_VOCAB, err));
    NULLS(2, mote_session_logprobs(R(0, session), 0, R(1, logits), TINY_VOCAB, err));
    NULLS(2, mote_session_mtp_logits(R(0, session), 0, R(1, logits), TINY_VOCAB, err));
    NULLS(2, mote_session_sample(R(0, session), NULL, R(1, &id), err));
    NULLS(1, mote_session_generate(R(0, session), NULL, NULL, err));
    NULLS(2, mote_session_next(R(0, session), R(1, &piece), err));
    NULLS(3, mote_session_next_batch(R(0, some), 1, R(1, &piece), R(2, &each), err));
    NULLS(1, mote_session_next_batch(none, 1, &piece, &each, err));
    NULLS(2, mote_session_get_stats(R(0, session), R(1, &stats), err));
    NULLS(3, mote_session_save(R(0, session), R(1, bytes), 64, R(2, &n), err));
    NULLS(2, mote_session_save_file(R(0, session), R(1, "x"), err));
    NULLS(2, mote_session_load(R(0, session), R(1, bytes), 64, err));
    NULLS(2, mote_session_load_file(R(0, session), R(1, "x"), err));
    NULLS(3, mote_x_session_tap(
                     R(0, session), R(1, &id), 1, 0, logits, 0, R(2, &n), err));
    memset(&the_error, 0, sizeof the_error);
    must_be(MOTE_E_UNSUPPORTED, mote_session_shift(NULL, 1, &the_error), "shift");
    note("mote_session_shift");
    GIVES(0, mote_session_position(NULL));
    GIVES(0, mote_session_context_tokens(NULL));
    GIVES(-1, mote_session_token(NULL, 0));
    SURVIVES(mote_session_reset(NULL));
    SURVIVES(mote_session_cancel(NULL));
    SURVIVES(mote_session_close(NULL));
    SURVIVES(mote_x_session_force_acceptance(NULL, 1));
    SURVIVES(mote_x_session_weight_bytes(NULL));
}

/* Every function of the headers was called above. */
static void compare_with_headers(void)
{
    static const char *const headers[] = {"common", "version", "tokenizer", "chat",
            "schema", "model", "options", "sampler", "pack", "session", "experimental"};
    unsigned n_functions = 0;
    for (size_t h = 0; h < sizeof headers / sizeof *headers; h++) {
        const char *data = getenv("MOTE_TEST_DATA");
        char path[1024], line[512];
        snprintf(path, sizeof path, "%s/../../include/mote/%s.h",
                data ? data : "tests/data", headers[h]);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f)) {
            char *p = strncmp(line, "MOTE_API ", 9) == 0 ? strchr(line, '(') : NULL;
            if (!p)
                continue;
            *p = '\0';
            while (p > line && (isalnum((unsigned char)p[-1]) || p[-1] == '_'))
                p--;
            n_functions++;
            unsigned i = 0;
            while (i < n_called && strcmp(called[i], p) != 0)
                i++;
            if (i == n_called)
                fail_msg("%s is not called here with wrong arguments", p);
        }
        fclose(f);
    }
    assert_true(n_functions > 70);
}

static void test_null(void **state)
{
    (void)state;
    null_texts();
    null_models();
    null_sessions();
    compare_with_headers();
    assert_int_equal(mote_session_position(session), 0);
}

/* ---- struct sizes ---- */

static void test_struct_sizes(void **state)
{
    static const uint32_t sizes[] = {
            0, 1, 4, 7, 8, 15, 16, 4096, 65536, 0x7fffffff, UINT32_MAX};
    (void)state;
    /* room for a struct of any size that is not refused */
    uint32_t *room = malloc(1 << 17);
    assert_non_null(room);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        mote_session *s = NULL;
        mote_status st, each;
        mote_error *err = &the_error;
#define SIZED (memset(room, 0, 1 << 17), *room = sizes[i], (void *)room)
        st = mote_session_open(&s, model, SIZED, err);
        assert_true(st == MOTE_OK || st == MOTE_E_INVALID);
        mote_session_close(s);
        s = NULL;
        memset(room, 0xff, 1 << 17);
        *room = sizes[i];
        assert_int_equal(
                mote_session_open(&s, model, (void *)room, err), MOTE_E_INVALID);
        assert_null(s);
        mote_model *m = NULL;
        st = mote_model_open_memory(&m, "x", 1, SIZED, err);
        assert_true(st == MOTE_E_FORMAT || st == MOTE_E_INVALID);
        assert_int_equal(mote_session_eval(session, (int32_t[]){65}, 1, err), MOTE_OK);
        st = mote_session_generate(session, SIZED, NULL, err);
        assert_true(st == MOTE_OK || st == MOTE_E_INVALID);
        st = mote_session_next(session, SIZED, err);
        assert_true(st == MOTE_OK || st == MOTE_DONE || st == MOTE_E_INVALID);
        st = mote_session_next_batch(&session, 1, SIZED, &each, err);
        assert_true(st == MOTE_OK || st == MOTE_DONE || st == MOTE_E_INVALID);
        st = mote_session_generate(session, NULL, SIZED, err);
        assert_true(st == MOTE_OK || st == MOTE_E_INVALID);
        mote_session_reset(session);
        st = mote_pack_write("/nowhere", "/nowhere", SIZED, err);
        assert_true(st < 0);
        if (sizes[i] <= 65536) { /* outputs: the size is the caller's word */
            st = mote_model_get_info(model, SIZED, err);
            assert_true(st == MOTE_OK || st == MOTE_E_INVALID);
            st = mote_model_stream_stats(model, SIZED, err);
            assert_true(st == MOTE_OK || st == MOTE_E_INVALID);
        } else {
            assert_int_equal(mote_model_get_info(model, SIZED, err), MOTE_E_INVALID);
            assert_int_equal(
                    mote_model_stream_stats(model, SIZED, err), MOTE_E_INVALID);
            assert_int_equal(
                    mote_session_get_stats(session, SIZED, err), MOTE_E_INVALID);
        }
    }
    free(room);
}

/* ---- every option at and beyond its limits ---- */

static void test_limits(void **state)
{
    static const char *const values[] = {"0", "1", "-1", "2", "4", "64", "65536",
            "16777216", "4294967295", "4294967296", "18446744073709551615",
            "18446744073709551616", "1e38", "1e999", "-1e999", "nan", "inf", "1e-45",
            "0.5", "100", "-100", "", " ", "all", "16777215T", "\xff"};
    (void)state;
    unsigned made = 0, refused = 0, stepped = 0;
    for (int32_t kind = MOTE_OPTIONS_SESSION; kind <= MOTE_OPTIONS_GENERATE; kind++) {
        const char *name;
        for (uint32_t i = 0; mote_options_describe(
                                     kind, i, &name, NULL, NULL, NULL, NULL) == MOTE_OK;
                i++)
            for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
                mote_sampler_options po = MOTE_SAMPLER_OPTIONS_INIT;
                mote_generate_options go = MOTE_GENERATE_OPTIONS_INIT;
                void *const structs[] = {&so, &po, &go};
                mote_session *s = NULL;
                go.max_tokens = 3;
                mote_status st = mote_options_set_text(kind,
                        structs[kind - MOTE_OPTIONS_SESSION], name, values[v],
                        &the_error);
                if (st < 0) {
                    must_be(MOTE_E_INVALID, st, name);
                    refused++;
                    continue;
                }
                st = mote_session_open(&s, model, &so, &the_error);
                if (st < 0) {
                    must_be(st, st, name);
                    assert_null(s);
                    refused++;
                    continue;
                }
                made++;
                mote_piece piece = MOTE_PIECE_INIT;
                unsigned n = mote_session_context_tokens(s);
                assert_int_equal(mote_session_eval(s, (int32_t[]){TINY_BOS, 65, 66},
                                         n < 3 ? n : 3, NULL),
                        MOTE_OK);
                st = mote_session_generate(s, &go, &po, &the_error);
                if (st < 0)
                    must_be(st, st, name);
                n = 0;
                while (st == MOTE_OK && n++ < 200) {
                    st = mote_session_next(s, &piece, &the_error);
                    stepped++;
                }
                assert_true(n < 200);
                mote_session_close(s);
            }
    }
    assert_true(made > 100 && refused > 100 && stepped > 100);
}

/* ---- out of order ---- */

static void test_order(void **state)
{
    (void)state;
    mote_session *s = NULL;
    mote_piece p = MOTE_PIECE_INIT;
    mote_error *err = &the_error;
    int32_t id = 65, bad[] = {-1, TINY_VOCAB, INT32_MAX, INT32_MIN};
    float logits[TINY_VOCAB];
    assert_int_equal(mote_session_open(&s, model, NULL, err), MOTE_OK);
    /* nothing there yet */
    assert_int_equal(mote_session_next(s, &p, err), MOTE_DONE);
    must_be(MOTE_E_INVALID, mote_session_generate(s, NULL, NULL, err), "generate");
    must_be(MOTE_E_INVALID, mote_session_sample(s, NULL, &id, err), "sample");
    must_be(MOTE_E_INVALID, mote_session_logits(s, 0, logits, TINY_VOCAB, err),
            "logits");
    must_be(MOTE_E_INVALID, mote_session_rewind(s, 1, err), "rewind");
    must_be(MOTE_E_INVALID, mote_session_rewind(s, UINT32_MAX, err), "rewind");
    for (size_t i = 0; i < 4; i++) {
        must_be(MOTE_E_INVALID, mote_session_eval(s, &bad[i], 1, err), "eval");
        must_be(MOTE_E_INVALID, mote_session_prompt(s, &bad[i], 1, err), "prompt");
    }
    must_be(MOTE_E_CONTEXT_FULL, mote_session_eval(s, &id, SIZE_MAX, err), "eval");
    must_be(MOTE_E_CONTEXT_FULL, mote_session_prompt(s, &id, SIZE_MAX, err), "prompt");
    assert_int_equal(mote_session_position(s), 0);
    assert_int_equal(mote_session_eval(s, NULL, 0, err), MOTE_OK);
    assert_int_equal(mote_session_prompt(s, NULL, 0, err), MOTE_OK);
    /* after the end */
    assert_int_equal(mote_session_eval(s, &id, 1, err), MOTE_OK);
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.max_tokens = 2;
    g.ignore_eos = 1;
    assert_int_equal(mote_session_generate(s, &g, NULL, err), MOTE_OK);
    while (mote_session_next(s, &p, err) == MOTE_OK) {
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(mote_session_next(s, &p, err), MOTE_DONE);
    /* in the middle of it: every call ends it, and is obeyed */
    assert_int_equal(mote_session_generate(s, &g, NULL, err), MOTE_OK);
    assert_int_equal(mote_session_next(s, &p, err), MOTE_OK);
    assert_int_equal(mote_session_rewind(s, 1, err), MOTE_OK);
    assert_int_equal(mote_session_next(s, &p, err), MOTE_DONE);
    assert_int_equal(mote_session_generate(s, &g, NULL, err), MOTE_OK);
    mote_session_reset(s);
    assert_int_equal(mote_session_next(s, &p, err), MOTE_DONE);
    /* the same session twice in a batch */
    mote_session *const twice[] = {s, s};
    mote_piece pieces[] = {MOTE_PIECE_INIT, MOTE_PIECE_INIT};
    mote_status each[2];
    must_be(MOTE_E_INVALID, mote_session_next_batch(twice, 2, pieces, each, err),
            "batch");
    mote_session_close(s);
}

#ifndef NDEBUG
/* ---- two threads in one session: told in debug builds ---- */

enum { INTRUSIONS = 12 };
static mote_status inside[INTRUSIONS]; /* what the second thread was told */

static void *intrude(void *user)
{
    static float logits[TINY_VOCAB];
    mote_error *err = &the_error;
    mote_session *s = user, *copy = NULL;
    mote_piece piece = MOTE_PIECE_INIT;
    mote_status each = MOTE_OK;
    int32_t id = 65, token;
    size_t n = 0;
    const mote_status told[INTRUSIONS] = {mote_session_eval(s, &id, 1, err),
            mote_session_prompt(s, &id, 1, err), mote_session_rewind(s, 0, err),
            mote_session_fork(&copy, s, err), mote_session_next(s, &piece, err),
            mote_session_next_batch(&s, 1, &piece, &each, err),
            mote_session_generate(s, NULL, NULL, err),
            mote_session_sample(s, NULL, &token, err),
            mote_session_logits(s, 0, logits, TINY_VOCAB, err),
            mote_session_mtp_logits(s, 0, logits, TINY_VOCAB, err),
            mote_session_save(s, NULL, 0, &n, err), mote_session_load(s, &id, 4, err)};
    mote_session_reset(s); /* does nothing */
    assert_null(copy);
    memcpy(inside, told, sizeof inside);
    return NULL;
}

static int32_t start_another(
        void *user, const char *stage, uint64_t done, uint64_t total)
{
    pthread_t thread;
    (void)stage, (void)total;
    if (done == 0 &&
            pthread_create(&thread, NULL, intrude, *(mote_session **)user) == 0)
        pthread_join(thread, NULL);
    return 0;
}

static void test_two_threads(void **state)
{
    (void)state;
    mote_session *s = NULL;
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    int32_t ids[] = {TINY_BOS, 66};
    so.progress = start_another;
    so.progress_user = &s;
    assert_int_equal(mote_session_open(&s, model, &so, NULL), MOTE_OK);
    assert_int_equal(mote_session_eval(s, ids, 2, NULL), MOTE_OK);
    for (int i = 0; i < INTRUSIONS; i++)
        must_be(MOTE_E_INVALID, inside[i], "a second thread");
    assert_non_null(strstr(the_error.message, "thread"));
    assert_int_equal(mote_session_position(s), 2);
    mote_session_close(s);
}
#endif

/* ---- long and odd texts ---- */

static void test_texts(void **state)
{
    static const char *const pieces[] = {"a", "\xff", "\xf4\x8f\xbf\xbf", "\xcc\x81",
            "\xe2\x80\x8d", "\xed\xa0\x80", "\xc0\x80", "<think>", "\r\n",
            "\xe4\xb8\xad", "'s", "\xf0\x9f\x91\xa9\xe2\x80\x8d", "1234567890", " ",
            ""};
    enum { SIZE = 1 << 20 };
    (void)state;
    const mote_tokenizer *t = mote_model_tokenizer(model);
    char *text = malloc(SIZE), *back = malloc(SIZE);
    int32_t *ids = malloc(SIZE * sizeof *ids);
    assert_true(text && back && ids);
    for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
        size_t size = strlen(pieces[k]) ? strlen(pieces[k]) : 1, n, n_back;
        for (size_t i = 0; i < SIZE; i++)
            text[i] = pieces[k][i % size];
        mote_status st = mote_tokenizer_encode(t, text, SIZE, 0, ids, SIZE, &n, NULL);
        assert_int_equal(st, MOTE_OK);
        assert_int_equal(mote_tokenizer_decode(t, ids, n, 0, back, SIZE, &n_back, NULL),
                MOTE_OK);
        assert_int_equal(n_back, SIZE);
        assert_memory_equal(back, text, SIZE);
        /* a megabyte does not fit: said so, and nothing is lost */
        mote_session_reset(session);
        st = mote_session_prompt(session, ids, n, &the_error);
        must_be(MOTE_E_CONTEXT_FULL, st, "prompt");
        assert_int_equal(mote_session_eval(session, ids, 8, NULL), MOTE_OK);
    }
    free(ids);
    free(back);
    free(text);
}

/* ---- weights that are no numbers ---- */

static void test_not_a_number(void **state)
{
    static const char *const names[] = {"model.embed_tokens.weight",
            "model.norm.weight", "lm_head.weight",
            "model.layers.0.input_layernorm.weight",
            "model.layers.0.self_attn.kv_b_proj.weight",
            "model.layers.0.mlp.down_proj.weight", "model.layers.1.mlp.gate.weight",
            "model.layers.1.mlp.gate.e_score_correction_bias",
            "model.layers.1.mlp.shared_experts.up_proj.weight",
            "model.layers.2.eh_proj.weight"};
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    (void)state;
    unsigned numeric = 0;
    size_t size, n;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
            uint8_t *copy = tiny_model_make(19, 1, &size);
            float *w = tiny_model_tensor(copy, names[k], &n);
            if (!w) { /* another shape of model has it */
                free(copy);
                continue;
            }
            for (size_t i = 0; i < n; i++)
                w[i] = bad[b];
            mote_model *m = NULL;
            mote_session *s = NULL;
            mote_status st = mote_model_open_memory(&m, copy, size, NULL, &the_error);
            /* "norms, routers and their bias must be finite", as this says */
            int refused = !isfinite(bad[b]) &&
                          (strstr(names[k], "norm") || strstr(names[k], "gate."));
            assert_true(!refused || st < 0);
            if (st < 0) {
                must_be(MOTE_E_FORMAT, st, names[k]);
                if (refused) {
                    assert_non_null(strstr(the_error.message, names[k]));
                    assert_non_null(strstr(the_error.message, "value 0 is not finite"));
                }
                free(copy);
                continue;
            }
            assert_int_equal(mote_session_open(&s, m, NULL, NULL), MOTE_OK);
            st = mote_session_eval(s, (int32_t[]){TINY_BOS, 65}, 2, &the_error);
            mote_sampler_options so = MOTE_SAMPLER_OPTIONS_INIT;
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            so.temperature = b & 1 ? 1 : 0;
            g.max_tokens = 8;
            if (st >= 0)
                st = mote_session_generate(s, &g, &so, &the_error);
            mote_piece p = MOTE_PIECE_INIT;
            unsigned steps = 0;
            while (st == MOTE_OK && steps++ < 100)
                st = mote_session_next(s, &p, &the_error);
            assert_true(steps < 100); /* it ends, one way or the other */
            if (st < 0)
                must_be(MOTE_E_NUMERIC, st, names[k]);
            numeric += st == MOTE_E_NUMERIC;
            mote_session_close(s);
            mote_model_close(m);
            free(copy);
        }
    assert_true(numeric >= 10);
}

static int setup(void **state)
{
    (void)state;
    size_t size;
    file = tiny_model_make(19, 1, &size);
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.n_threads = 1;
    return !file || mote_model_open_memory(&model, file, size, &o, NULL) < 0 ||
           mote_session_open(&session, model, NULL, NULL) < 0;
}

static int teardown(void **state)
{
    (void)state;
    mote_session_close(session);
    mote_model_close(model);
    free(file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_null),
            cmocka_unit_test(test_struct_sizes),
            cmocka_unit_test(test_limits),
            cmocka_unit_test(test_order),
            cmocka_unit_test(test_texts),
            cmocka_unit_test(test_not_a_number),
#ifndef NDEBUG
            cmocka_unit_test(test_two_threads),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
