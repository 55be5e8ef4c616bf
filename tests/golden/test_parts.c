/* SPDX-License-Identifier: MIT */
/* Contexts so long that they are walked in parts (model/attend.h): a token has the same
 * bits alone, with others, as part of a prompt, and on any number of threads, which
 * share parts or heads (7 threads have 2 parts, each for 2 heads or for one); and
 * attention is that of a softmax over the whole context. */
#include "golden.h"
#include "model/attend.h"

#include <stdlib.h>

enum { VOCAB = 128, PROMPT = 2 * MOTE__PART_TOKENS - 20, MORE = 40, N = PROMPT + MORE };

/* Logits of the last MORE of N tokens: a prompt of PROMPT tokens, then calls of `step`.
 */
static void logits_of(float *out, uint32_t threads, uint32_t kv_type,
        uint32_t precision, uint32_t step)
{
    int32_t ids[N];
    golden_tokens(ids, N, VOCAB);
    mote_model *m = golden_model(
            golden_path("%s/oracle/v3-yarn-long", getenv("MOTE_TEST_DATA")), NULL,
            threads);
    mote_session *s = golden_session_of(m, (mote_session_options){.context_tokens = N,
                                                   .kv_type = kv_type,
                                                   .precision = precision,
                                                   .draft = MOTE_DRAFT_OFF});
    MUST(mote_session_eval(s, ids, PROMPT, err));
    for (uint32_t i = PROMPT; i < N; i += step)
        MUST(mote_session_eval(s, ids + i, N - i < step ? N - i : step, err));
    for (uint32_t i = 0; i < MORE; i++)
        MUST(mote_session_logits(s, PROMPT + i, out + (size_t)i * VOCAB, VOCAB, err));
    mote_session_close(s);
    mote_model_close(m);
}

static void test_bits(void **state)
{
    static const struct {
        uint32_t kv, precision;
    } kinds[] = {{MOTE_KV_F32, MOTE_PRECISION_FINE},
            {MOTE_KV_BF16, MOTE_PRECISION_BF16}, {MOTE_KV_FP8, MOTE_PRECISION_BF16}};
    static float want[MORE * VOCAB], found[MORE * VOCAB];
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        logits_of(want, 1, kinds[k].kv, kinds[k].precision, MORE);
        for (uint32_t threads = 1; threads <= 7; threads += threads == 3 ? 4 : 1)
            for (uint32_t step = 1; step <= 8; step += step == 3 ? 5 : 2) {
                logits_of(found, threads, kinds[k].kv, kinds[k].precision, step);
                assert_memory_equal(found, want, sizeof want);
            }
    }
}

/* Two parts are no shorter than MOTE__PART_TOKENS each, more than MOTE__MORE_TOKENS. */
static void test_cut(void **state)
{
    (void)state;
    assert_int_equal(mote__parts_of(1), 1);
    assert_int_equal(mote__parts_of(2 * MOTE__PART_TOKENS - 1), 1);
    assert_int_equal(mote__parts_of(2 * MOTE__PART_TOKENS), 2);
    assert_int_equal(mote__parts_of(4 * MOTE__MORE_TOKENS - 1), 2);
    assert_int_equal(mote__parts_of(4 * MOTE__MORE_TOKENS), 4);
    assert_int_equal(mote__parts_of(UINT32_MAX), MOTE__PARTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_cut),
            cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
