/* SPDX-License-Identifier: MIT */
/* Drafts from a part of the vocabulary: the best of exactly that part, and the text of
 * plain decoding however small the part is. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 12, REPLY = 120, VOCAB = 4096 };
static const int32_t prompt[N] = {
        0, 930, 4000, 745, 2100, 273, 400, 3333, 342, 3334, 326, 936};

static int setup(void **state)
{
    char path[1024];
    const char *data = getenv("MOTE_TEST_DATA");
    snprintf(path, sizeof path, "%s/../../models/tiny-v3", data ? data : "tests/data");
    mote_model *m = NULL;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.n_threads = 2;
    assert_int_equal(mote_model_open(&m, path, &o, NULL), MOTE_OK);
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    mote_model_close(*state);
    return 0;
}

static mote_session *start(mote_model *m, uint32_t draft, uint32_t first_panels)
{
    mote_session *s;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.draft = draft;
    o.draft_tokens = draft == MOTE_DRAFT_MTP ? 3 : 0;
    assert_int_equal(mote_session_open(&s, m, &o, NULL), MOTE_OK);
    assert_int_equal(s->first_panels, 0); /* a small vocabulary is looked at whole */
    s->first_panels = first_panels;
    assert_int_equal(mote_session_eval(s, prompt, N, NULL), MOTE_OK);
    return s;
}

static void test_best(void **state)
{
    float *full = malloc(VOCAB * sizeof *full);
    assert_non_null(full);
    for (uint32_t panels = 1; panels < 200; panels += 33) {
        mote_session *s = start(*state, MOTE_DRAFT_MTP, panels);
        mote__draft_head_begin(s, N);
        for (uint32_t i = 0; i < s->n_rare; i++) { /* each once, above the part */
            assert_in_range(s->rare[i], panels, VOCAB / MOTE_PANEL - 1);
            for (uint32_t j = 0; j < i; j++)
                assert_int_not_equal(s->rare[i], s->rare[j]);
        }
        for (uint32_t p = 0; p < N; p++) {
            const float *x = mote__session_hidden(s, p);
            assert_int_equal(mote__session_head(s, &x, 1, full, NULL), MOTE_OK);
            uint32_t best = VOCAB;
            for (uint32_t v = 0; v < VOCAB; v++) {
                int in = v < panels * MOTE_PANEL;
                for (uint32_t i = 0; i < N; i++)
                    in |= (uint32_t)prompt[i] / MOTE_PANEL == v / MOTE_PANEL;
                if (in && (best == VOCAB || full[v] > full[best]))
                    best = v;
            }
            for (uint32_t v = 0; v < VOCAB; v++)
                s->logits[v] = 1e9f; /* what was not computed must not be looked at */
            assert_int_equal(mote__draft_best(s, x, NULL), best);
        }
        mote_session_close(s);
    }
    free(full);
}

static void reply(mote_session *s, int32_t out[REPLY])
{
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    mote_piece p = MOTE_PIECE_INIT;
    uint32_t n = 0;
    g.max_tokens = REPLY;
    g.ignore_eos = 1;
    assert_int_equal(mote_session_generate(s, &g, NULL, NULL), MOTE_OK);
    while (mote_session_next(s, &p, NULL) == MOTE_OK)
        for (uint32_t i = 0; i < p.n_tokens; i++)
            out[n++] = p.tokens[i];
    assert_int_equal(n, REPLY);
}

static void test_same_text(void **state)
{
    int32_t plain[REPLY], fast[REPLY];
    mote_session *s = start(*state, MOTE_DRAFT_OFF, 0);
    reply(s, plain);
    mote_session_close(s);
    for (uint32_t panels = 0; panels < 256; panels += 32) {
        mote_session_stats st = MOTE_SESSION_STATS_INIT;
        s = start(*state, MOTE_DRAFT_MTP, panels);
        reply(s, fast);
        assert_memory_equal(plain, fast, sizeof plain);
        assert_int_equal(mote_session_get_stats(s, &st, NULL), MOTE_OK);
        print_message("%u ids in front: %.1f %% of first drafts accepted\n",
                panels * 16, 100.0 * (double)st.accepted[0] / (double)st.drafted[0]);
        assert_true(st.accepted[0] > 0);
        mote_session_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_best),
            cmocka_unit_test(test_same_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
