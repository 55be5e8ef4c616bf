/* SPDX-License-Identifier: MIT */
/* Against what PyTorch computed (needs MOTE_SHARED): the MTP module's drafts over 50
 * prompts, and what an FP8 cache costs on held-out text. */
#include "sessions.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two fp32 implementations of this model differ by less than this in a logit: nearer
 * logits are tied (tests/golden/test_tiny.c derives it). */
static const float TIE = 1e-3f;

static mote_model *open_shared(const char *type)
{
    char path[1024];
    mote_model *m;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.n_threads = 2;
    snprintf(path, sizeof path, "%s/models/tiny-v3-%s", shared_path(), type);
    MUST(mote_model_open(&m, path, &o, err));
    return m;
}

static int32_t at(json_t *list, size_t i, size_t j)
{
    return (int32_t)json_integer_value(json_array_get(json_array_get(list, i), j));
}

static uint32_t best(const float *x)
{
    uint32_t b = 0;
    for (uint32_t v = 1; v < VOCAB; v++)
        if (x[v] > x[b])
            b = v;
    return b;
}

/* "acceptance of the first draft over the 50 prompts ... within half a point of the
 * reference's, draft by draft the same wherever logits are not tied" */
static void acceptance(const char *type, double expected)
{
    static float logits[VOCAB];
    static reply r;
    char path[1024];
    snprintf(path, sizeof path, "%s/models/tiny-v3-goldens/%s_mtp50.json",
            shared_path(), type);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    json_t *prompts = json_object_get(root, "prompt_ids"),
           *greedy = json_object_get(root, "greedy_ids"),
           *drafts = json_object_get(root, "draft_ids"),
           *hits = json_object_get(root, "accepted");
    mote_model *m = open_shared(type);
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session *s, *fast = session_new(m, 128, MOTE_KV_F32, MOTE_DRAFT_MTP, 1);
    o.context_tokens = 128;
    o.kv_type = MOTE_KV_F32;
    o.keep_tokens = UINT32_MAX;
    MUST(mote_session_open(&s, m, &o, err));
    uint32_t n_prompts = (uint32_t)json_array_size(prompts), made = 0, accepted = 0,
             accepted_there = 0, tied = 0;
    for (uint32_t p = 0; p < n_prompts; p++) {
        uint32_t n = (uint32_t)json_array_size(json_array_get(prompts, p)),
                 k = (uint32_t)json_array_size(json_array_get(greedy, p));
        int32_t ids[128];
        assert_in_range(n + k, 2, 128);
        for (uint32_t i = 0; i < n + k; i++)
            ids[i] = i < n ? at(prompts, p, i) : at(greedy, p, i - n);
        /* the same greedy text, with drafts of the module */
        generate_from(fast, ids, n, k, NULL, &r);
        for (uint32_t i = 0; i < k; i++)
            assert_int_equal(r.ids[i], ids[n + i]);
        MUST(mote_session_prompt(s, ids, n + k, err));
        uint32_t n_drafts = (uint32_t)json_array_size(json_array_get(drafts, p));
        for (uint32_t i = 0; i < n_drafts && i + 1 < k; i++) {
            MUST(mote_session_mtp_logits(s, n - 1 + i, logits, VOCAB, err));
            uint32_t mine = best(logits), theirs = (uint32_t)at(drafts, p, i);
            if (mine != theirs) {
                if (logits[mine] - logits[theirs] >= TIE)
                    fail_msg("%s prompt %u draft %u: %u, the reference has %u, %g less",
                            type, p, i, mine, theirs,
                            (double)(logits[mine] - logits[theirs]));
                tied++;
            }
            made++;
            accepted += (int32_t)mine == ids[n + i + 1];
            accepted_there += (uint32_t)at(hits, p, i);
        }
    }
    double share = 100.0 * accepted / made;
    mote_session_stats st = MOTE_SESSION_STATS_INIT;
    MUST(mote_session_get_stats(fast, &st, err));
    print_message(
            "%s: %u of %u drafts accepted, %.2f %% (the reference: %.2f %%), %u tied; "
            "while generating %.2f %% in %u passes for %u tokens\n",
            type, accepted, made, share, 100.0 * accepted_there / made, tied,
            100.0 * (double)st.accepted[0] / (double)st.drafted[0], (unsigned)st.passes,
            (unsigned)st.generated_tokens);
    assert_true(fabs(share - expected) <= 0.5);
    mote_session_close(s);
    mote_session_close(fast);
    mote_model_close(m);
    json_decref(root);
}

static void test_acceptance(void **state)
{
    (void)state;
    if (!shared_path()) {
        print_message("MOTE_SHARED is not set\n");
        skip();
    }
    acceptance("bf16", 69.1);
    acceptance("fp8", 68.8);
}

/* Bits per byte of a text whose pieces are split on blank lines, each alone after BOS.
 */
static double bits_per_byte(mote_model *m, const char *text, size_t size, uint32_t kv)
{
    static float lp[VOCAB];
    int32_t ids[512];
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session *s;
    double sum = 0;
    size_t bytes = 0;
    o.context_tokens = 512;
    o.kv_type = kv;
    o.draft = MOTE_DRAFT_OFF;
    MUST(mote_session_open(&s, m, &o, err));
    for (size_t begin = 0; begin < size;) {
        const char *gap = memmem(text + begin, size - begin, "\n\n", 2);
        size_t n = gap ? (size_t)(gap - text) - begin : size - begin, count = 0;
        MUST(mote_tokenizer_encode(mote_model_tokenizer(m), text + begin, n,
                MOTE_ENCODE_BOS, ids, 512, &count, err));
        if (n && count > 1 && count <= 512) {
            mote_session_reset(s);
            MUST(mote_session_eval(s, ids, count, err));
            for (uint32_t i = 0; i + 1 < count; i++) {
                MUST(mote_session_logprobs(s, i, lp, VOCAB, err));
                sum -= (double)lp[ids[i + 1]];
            }
            bytes += n;
        }
        begin += n + 2;
    }
    mote_session_close(s);
    return sum / log(2.0) / (double)bytes;
}

/* "FP8 cache: perplexity on valid.txt within 0.5 % of bf16's; half the bytes." */
static void test_fp8_cache(void **state)
{
    (void)state;
    if (!shared_path()) {
        print_message("MOTE_SHARED is not set\n");
        skip();
    }
    char path[1024];
    snprintf(path, sizeof path, "%s/models/valid.txt", shared_path());
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = malloc(1 << 18);
    size_t size = fread(text, 1, 1 << 18, f);
    fclose(f);
    mote_model *m = open_shared("bf16");
    double bits[4];
    for (uint32_t kv = MOTE_KV_F32; kv <= MOTE_KV_FP8; kv++) {
        bits[kv] = bits_per_byte(m, text, size, kv);
        print_message("kv %u: %.5f bits per byte\n", kv, bits[kv]);
    }
    /* perplexity per byte is 2^bits; what is asked of it is asked of the bits as well
     */
    assert_true(fabs(exp2(bits[MOTE_KV_FP8] - bits[MOTE_KV_BF16]) - 1) < 0.005);
    assert_true(fabs(bits[MOTE_KV_FP8] / bits[MOTE_KV_BF16] - 1) < 0.005);
    assert_true(fabs(bits[MOTE_KV_F32] - 0.8954) < 0.0002); /* the reference's */
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    MUST(mote_model_get_info(m, &info, err));
    /* per layer 64 values, a scale and 16 rotary values of two bytes */
    assert_int_equal(info.kv_bytes_per_token_bf16, 6 * (64 + 16) * 2);
    assert_int_equal(info.kv_bytes_per_token_fp8, 6 * (64 + 4 + 32));
    free(text);
    mote_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_acceptance),
            cmocka_unit_test(test_fp8_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
