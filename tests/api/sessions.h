/* SPDX-License-Identifier: MIT */
/* What the tests of sessions share: the bundled model, prompts, generating to the end.
 */
#ifndef MOTE_TESTS_SESSIONS_H
#define MOTE_TESTS_SESSIONS_H
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "mote/mote.h"

enum { PROMPTS = 20, PROMPT_MAX = 64, VOCAB = 4096 /* of the bundled model */ };

/* Assert MOTE_OK, and print the message otherwise. */
#define MUST(call)                                                                     \
    do {                                                                               \
        mote_error must_err = {0};                                                     \
        mote_error *err = &must_err;                                                   \
        mote_status must_st = (call);                                                  \
        if (must_st != MOTE_OK) {                                                      \
            print_error("%s: %s\n", mote_status_name(must_st), must_err.message);      \
            assert_int_equal(must_st, MOTE_OK);                                        \
        }                                                                              \
    } while (0)

/* Assert this status, and a sentence with it. */
#define MUST_FAIL(expected, call)                                                      \
    do {                                                                               \
        mote_error must_err = {0};                                                     \
        mote_error *err = &must_err;                                                   \
        mote_status must_st = (call);                                                  \
        if (must_st != (expected))                                                     \
            print_error("%s: %s\n", mote_status_name(must_st), must_err.message);      \
        assert_int_equal(must_st, (expected));                                         \
        assert_int_equal(must_err.status, (expected));                                 \
        assert_true(must_err.message[0] != 0);                                         \
    } while (0)

/* Path of a file below the test data: in one of four static buffers, in turn. */
const char *data_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The shared folder, or NULL. */
const char *shared_path(void);
/* The model that comes with mote. */
mote_model *tiny_open(uint32_t n_threads);
/* Tokens of one of PROMPTS prompts, BOS first; returns how many. */
uint32_t prompt_ids(const mote_model *model, uint32_t which, int32_t ids[PROMPT_MAX]);
mote_session *session_new(mote_model *model, uint32_t context, uint32_t kv_type,
        uint32_t draft, uint32_t draft_tokens);

/* What a generation delivered. */
typedef struct reply {
    int32_t ids[1024];
    float logprobs[1024];
    uint32_t n;
    char text[16384]; /* of the content channel, NUL-terminated */
    size_t n_bytes;
    char reasoning[16384];
    size_t n_reasoning;
    char tool[4096]; /* arguments of all calls */
    size_t n_tool;
    char tool_name[64]; /* of the last call */
    uint32_t stop, pieces, tools;
} reply;

/* Take a piece into the reply, checking what a piece must be. */
void reply_take(reply *r, const mote_piece *piece);
/* Generate to the end. */
void generate(mote_session *s, const mote_generate_options *g,
        const mote_sampler_options *sampler, reply *r);
/* The same for n tokens from these ids on a fresh start of the session. */
void generate_from(mote_session *s, const int32_t *ids, uint32_t n_ids, uint32_t n,
        const mote_sampler_options *sampler, reply *r);
/* Fails where the ids differ. */
void assert_same_ids(const reply *a, const reply *b, const char *what);
#endif
