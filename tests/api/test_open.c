/* SPDX-License-Identifier: MIT */
/* A checkpoint in one safetensors file: by path, by descriptor within a larger file and
 * from memory it is the same model, planned as it is then opened; and what calibrating
 * such a model refuses. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../fuzz/tiny_model.h"
#include "mote/mote.h"
#include "portable.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef O_BINARY
#define O_BINARY 0
#endif

enum { AT = 1001, TOKENS = 5 };
static const int32_t tokens[TOKENS] = {TINY_BOS, 'a', 'b', 200, 'c'};

static char folder[64] = "mote-open-XXXXXX";
static uint8_t *file;
static size_t size;

static char *in_folder(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, size_t before, size_t after)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (size_t i = 0; i < before; i++)
        fputc(0xa5, f);
    assert_int_equal(fwrite(file, 1, size, f), size);
    for (size_t i = 0; i < after; i++)
        fputc(0x5a, f);
    assert_int_equal(fclose(f), 0);
}

/* The logits of the last token, and the model is closed. */
static float *logits_of(mote_model *m)
{
    mote_session *s = NULL;
    mote_error err;
    float *logits = malloc(TINY_VOCAB * sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(mote_session_open(&s, m, NULL, &err), MOTE_OK);
    assert_int_equal(mote_session_eval(s, tokens, TOKENS, &err), MOTE_OK);
    assert_int_equal(
            mote_session_logits(s, TOKENS - 1, logits, TINY_VOCAB, &err), MOTE_OK);
    mote_session_close(s);
    mote_model_close(m);
    return logits;
}

static void same(mote_model *m, const float *want)
{
    float *logits = logits_of(m);
    assert_memory_equal(logits, want, TINY_VOCAB * sizeof *want);
    free(logits);
}

static void test_ways(void **state)
{
    (void)state;
    char path[128], wide[128];
    mote_model *m = NULL;
    mote_error err;
    write_file(in_folder(path, "one.safetensors"), 0, 0);
    write_file(in_folder(wide, "wide"), AT, 17);
    assert_int_equal(mote_model_open_memory(&m, file, size, NULL, &err), MOTE_OK);
    float *want = logits_of(m);
    for (uint32_t map = MOTE_MAP_AUTO; map <= MOTE_MAP_OFF; map++) {
        mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
        o.mapping = map;
        assert_int_equal(mote_model_open(&m, path, &o, &err), MOTE_OK);
        same(m, want);
        int fd = open(wide, O_RDONLY | O_BINARY);
        assert_true(fd >= 0);
        assert_int_equal(mote_model_open_fd(&m, fd, AT, size, &o, &err), MOTE_OK);
        assert_int_equal(close(fd), 0); /* "the library duplicates it" */
        same(m, want);
        fd = open(path, O_RDONLY | O_BINARY);
        assert_int_equal(mote_model_open_fd(&m, fd, 0, 0, &o, &err), MOTE_OK);
        same(m, want);
        /* one byte too early, too short, beyond the end, no descriptor */
        assert_true(mote_model_open_fd(&m, fd, 1, 0, &o, &err) < 0);
        assert_null(m);
        assert_int_equal(
                mote_model_open_fd(&m, fd, 0, size - 1, &o, &err), MOTE_E_FORMAT);
        assert_true(err.message[0]);
        assert_true(mote_model_open_fd(&m, fd, size + 1, 0, &o, &err) < 0);
        assert_int_equal(close(fd), 0);
        assert_int_equal(mote_model_open_fd(&m, -1, 0, 0, &o, &err), MOTE_E_INVALID);
        assert_null(m);
    }
    free(want);
}

static void test_plan(void **state)
{
    (void)state;
    char path[128];
    mote_model *m = NULL;
    mote_error err;
    mote_model_info plan = MOTE_MODEL_INFO_INIT, info = MOTE_MODEL_INFO_INIT;
    write_file(in_folder(path, "plan.safetensors"), 0, 0);
    assert_int_equal(mote_model_plan(path, NULL, &plan, &err), MOTE_OK);
    assert_int_equal(mote_model_open(&m, path, NULL, &err), MOTE_OK);
    assert_int_equal(mote_model_get_info(m, &info, &err), MOTE_OK);
    assert_int_equal(plan.vocab_size, info.vocab_size);
    assert_int_equal(plan.num_hidden_layers, info.num_hidden_layers);
    assert_int_equal(plan.hidden_size, info.hidden_size);
    assert_true(plan.bytes_allocated > 0);
    mote_model_close(m);
    plan.struct_size = 3;
    assert_int_equal(mote_model_plan(path, NULL, &plan, &err), MOTE_E_INVALID);
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.mapping = 99;
    assert_int_equal(mote_model_plan(path, &o, &info, &err), MOTE_E_INVALID);
    assert_int_equal(mote_model_plan(in_folder(path, "absent"), NULL, &info, &err),
            MOTE_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "absent"));
}

/* Returns 1 in the call whose number *user counts down to. */
static int32_t stop_later(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    assert_true(done <= total);
    return --*(int *)user == 0;
}

static void test_refused(void **state)
{
    (void)state;
    mote_model *m = NULL;
    mote_session *s = NULL;
    mote_error err;
    float logits[TINY_VOCAB];
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.mtp = MOTE_MTP_ON; /* this model has none */
    assert_int_equal(
            mote_model_open_memory(&m, file, size, &o, &err), MOTE_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "option mtp"));
    o.mtp = 0;
    o.memory_bytes = 1000; /* a checkpoint's weights stay in memory */
    assert_int_equal(mote_model_open_memory(&m, file, size, &o, &err), MOTE_E_BUDGET);
    assert_non_null(strstr(err.message, "memory_bytes"));
    assert_null(m);
    o.memory_bytes = 0;
    /* cancelled in each call of the report, the last one too */
    int calls = 1, left = 0;
    o.progress = stop_later;
    o.progress_user = &left;
    for (;; calls++) {
        left = calls;
        mote_status st = mote_model_open_memory(&m, file, size, &o, &err);
        if (st == MOTE_OK)
            break;
        assert_int_equal(st, MOTE_E_CANCELLED);
        assert_null(m);
    }
    assert_true(calls > 2);
    assert_int_equal(mote_session_open(&s, m, NULL, &err), MOTE_OK);
    assert_int_equal(mote_session_eval(s, tokens, TOKENS, &err), MOTE_OK);
    assert_int_equal(mote_session_mtp_logits(s, 0, logits, TINY_VOCAB, &err),
            MOTE_E_UNSUPPORTED);
    mote_session_close(s);
    mote_model_close(m);
}

/* Nothing is left where calibrating fails. */
static void test_calibrate(void **state)
{
    (void)state;
    char path[128], out[128];
    mote_error err;
    int left = 1;
    write_file(in_folder(path, "c.safetensors"), 0, 0);
    in_folder(out, "importance");
    assert_int_equal(
            mote_pack_calibrate(path, "", 0, out, NULL, NULL, &err), MOTE_E_INVALID);
    assert_non_null(strstr(err.message, "empty"));
    assert_int_equal(mote_pack_calibrate(path, "abc", 3, out, stop_later, &left, &err),
            MOTE_E_CANCELLED);
    assert_int_equal(left, 0); /* it was asked once */
    assert_int_equal(mote_pack_calibrate(path, "abc", 3,
                             in_folder(out, "no/such/folder"), NULL, NULL, &err),
            MOTE_E_IO);
    assert_null(fopen(in_folder(out, "importance"), "rb"));
    assert_int_equal(
            mote_pack_calibrate(path, "abc", 3, out, NULL, NULL, &err), MOTE_OK);
    FILE *f = fopen(out, "rb");
    assert_non_null(f);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    file = tiny_model_make(23, 0, &size);
    return !file || !mkdtemp(folder);
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"one.safetensors", "wide", "plan.safetensors",
            "c.safetensors", "importance"};
    char path[128];
    free(file);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(in_folder(path, names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_ways),
            cmocka_unit_test(test_plan),
            cmocka_unit_test(test_refused),
            cmocka_unit_test(test_calibrate),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
