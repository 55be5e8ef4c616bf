/* SPDX-License-Identifier: MIT */
/* Small random checkpoints of every kind, against vectors computed in float64 by an
 * independent implementation. Each folder under tests/data/oracle, and under
 * $MOTE_SHARED/fixtures/oracle/models where that exists, is one case.
 *
 * TOLERANCE. The unit roundoff of fp32 is 6e-8. A logit is the end of a chain of 8 dot
 * products per layer and 2 to 3 layers, each of 16 to 500 terms whose roundings add up
 * to a few 1e-7 of the result; norms, softmax, gates and the routed scale amplify them.
 * The official implementation in fp32 ends up 5e-6 to 1e-5 of the rms away from float64
 * on these cases, so does our scalar variant (up to 1.3e-5), and 1e-4 leaves room for
 * other orders of summation. A wrong formula is off by 1e-2 and more: the `diag` arrays
 * are such formulas, and are checked to be far away.
 *
 * FINE. The default precision may keep activations as two bf16 terms (contract: error
 * <= 2^-16 an element; 2^-18 with both terms rounded to nearest), so each product
 * carries an error of up to 2^6 fp32 roundoffs, of random sign, where fp32 itself has
 * one per addition. The 1.3e-5 of plain fp32 times 2^6 times the 1/sqrt(3) of a uniform
 * error gives 4.8e-4: 5e-4. */
#include "golden.h"
#include "mote/experimental.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = 1e-4, TOLERANCE_FINE = 5e-4;
enum { CONTEXT = 160, GREEDY = 16 };

typedef struct fixture {
    const char *dir;
    golden *g;
    mote_model *model;
    mote_session *session; /* empty, fp32 cache, all logits kept */
    uint32_t vocab_size;
} fixture;

static void open_fixture(fixture *f, void **state)
{
    f->dir = *state;
    f->g = golden_open(f->dir);
    f->model = golden_model(f->dir, NULL, 2);
    f->session = golden_session(f->model, CONTEXT, MOTE_KV_F32, MOTE_DRAFT_AUTO, 0);
    f->vocab_size = golden_vocab(f->model);
}

static void close_fixture(fixture *f)
{
    mote_session_close(f->session);
    mote_model_close(f->model);
    golden_close(f->g);
}

static float *floats(size_t n)
{
    float *p = malloc((n ? n : 1) * sizeof *p);
    assert_non_null(p);
    return p;
}

/* Logits of a prompt's tokens (and, where `extra` >= 0, of one more), all positions. */
static float *run(
        mote_session *s, const golden_array *tokens, int32_t extra, uint32_t vocab_size)
{
    uint32_t n = (uint32_t)tokens->count;
    mote_session_reset(s);
    MUST(mote_session_eval(s, tokens->i, n, err));
    if (extra >= 0)
        MUST(mote_session_eval(s, &extra, 1, err));
    float *logits = floats((n + (extra >= 0)) * (size_t)vocab_size);
    golden_logits(s, n + (extra >= 0), logits, vocab_size);
    return logits;
}

/* ---- arithmetic -------------------------------------------------------------------
 */

/* "It computes what DeepSeek computes": every prompt, every position. The cases between
 * them have YaRN within and past the original length, both group rules, greedy routing,
 * softmax and sigmoid scores, FP8 with partial blocks, tied heads, shards. */
static void logits(void **state)
{
    fixture f;
    open_fixture(&f, state);
    int n_prompts = 0;
    for (char p = 'a'; p <= 'z'; p++) {
        const golden_array *tokens = golden_find(f.g, "%c/tokens", p);
        const golden_array *expected = golden_find(f.g, "%c/ref/logits", p);
        if (!tokens || !expected)
            continue;
        assert_int_equal(expected->dims[0], tokens->count);
        assert_int_equal(expected->dims[1], f.vocab_size);
        float *found = run(f.session, tokens, -1, f.vocab_size);
        golden_compare(expected->name, found, expected->f, expected->count, TOLERANCE);
        free(found);
        n_prompts++;
    }
    assert_true(n_prompts > 0);
    for (size_t i = 0; i < f.g->n_arrays; i++)
        if (strstr(f.g->arrays[i].name, "/fp8act") &&
                strstr(f.g->arrays[i].name, "/logits"))
            print_message(
                    "             not compared (activations quantised to e4m3 are "
                    "not supported): %s\n",
                    f.g->arrays[i].name);
    close_fixture(&f);
}

static void compare_tap(const fixture *f, uint32_t tap, const char *name)
{
    const golden_array *tokens = golden_find(f->g, "a/tokens");
    const golden_array *expected = golden_find(f->g, "a/ref/%s", name);
    if (!expected)
        return;
    float *found = floats(expected->count);
    size_t length = 0;
    MUST(mote_x_session_tap(f->session, tokens->i, tokens->count, tap, found,
            expected->count, &length, err));
    assert_int_equal(length, expected->count);
    golden_compare(name, found, expected->f, expected->count, TOLERANCE);
    free(found);
}

static void residual_stream(void **state)
{
    fixture f;
    open_fixture(&f, state);
    compare_tap(&f, MOTE_X_TAP_HIDDEN, "hidden");
    compare_tap(&f, MOTE_X_TAP_NORM, "final_norm");
    close_fixture(&f);
}

/* The latent after its norm, the rotary key after RoPE: cos and sin are multiplied by
 * the ratio of mscales, and frequencies blended, at every position and not only at 0.
 */
static void latent_cache(void **state)
{
    fixture f;
    open_fixture(&f, state);
    compare_tap(&f, MOTE_X_TAP_KV_C, "kv_c");
    compare_tap(&f, MOTE_X_TAP_K_PE, "k_pe");
    close_fixture(&f);
}

/* V2 scores a group by its max, V3 by its two best biased scores; outside the chosen
 * groups -inf; the bias selects and the unbiased score weighs; normalisation and scale
 * as in config.json. Ids exactly, weights by id. */
static void routing(void **state)
{
    fixture f;
    open_fixture(&f, state);
    const golden_array *tokens = golden_find(f.g, "a/tokens");
    const golden_array *ids = golden_find(f.g, "a/ref/topk_ids");
    const golden_array *weights = golden_find(f.g, "a/ref/topk_weights");
    if (!ids) {
        close_fixture(&f);
        skip();
    }
    compare_tap(&f, MOTE_X_TAP_SCORES, "router_scores");
    float *found_ids = floats(ids->count), *found = floats(ids->count);
    float *found_sorted = floats(ids->count);
    size_t length = 0, k = ids->dims[2];
    MUST(mote_x_session_tap(f.session, tokens->i, tokens->count, MOTE_X_TAP_TOPK,
            found_ids, ids->count, &length, err));
    assert_int_equal(length, ids->count);
    MUST(mote_x_session_tap(f.session, tokens->i, tokens->count, MOTE_X_TAP_WEIGHTS,
            found, ids->count, &length, err));
    assert_int_equal(length, ids->count);
    for (size_t row = 0; row < ids->count; row += k)
        for (size_t j = 0; j < k; j++) {
            size_t at = 0;
            while (at < k && found_ids[row + at] != (float)ids->i[row + j])
                at++;
            if (at == k)
                print_error("row %zu: expert %d was not chosen\n", row / k,
                        (int)ids->i[row + j]);
            assert_true(at < k);
            found_sorted[row + j] = found[row + at];
        }
    golden_compare("topk_weights", found_sorted, weights->f, ids->count, TOLERANCE);
    free(found_ids);
    free(found);
    free(found_sorted);
    close_fixture(&f);
}

/* Input is eh_proj([enorm(emb(t_{i+1})) ; hnorm(h_i)]), embedding first, h_i after the
 * final norm, position 0 not masked, the head with the module's own norm. The last
 * row's next token is the argmax of the last logits. */
static void mtp_logits(void **state)
{
    fixture f;
    open_fixture(&f, state);
    const golden_array *tokens = golden_find(f.g, "a/tokens");
    const golden_array *next = golden_find(f.g, "a/ref/mtp/input_ids");
    const golden_array *expected = golden_find(f.g, "a/ref/mtp/logits");
    if (!expected) {
        close_fixture(&f);
        skip();
    }
    uint32_t n = (uint32_t)tokens->count;
    free(run(f.session, tokens, next->i[n - 1], f.vocab_size));
    float *found = floats(expected->count);
    for (uint32_t i = 0; i < n; i++)
        MUST(mote_session_mtp_logits(
                f.session, i, found + (size_t)i * f.vocab_size, f.vocab_size, err));
    golden_compare("mtp/logits", found, expected->f, expected->count, TOLERANCE);

    /* The other conventions are far from what we compute. */
    for (size_t i = 0; i < f.g->n_arrays; i++) {
        const golden_array *wrong = &f.g->arrays[i];
        if (strncmp(wrong->name, "a/diag/mtp_logits", 17) != 0)
            continue;
        assert_int_equal(wrong->count, expected->count);
        double d = golden_max_difference(found, wrong->f, wrong->count);
        assert_true(d > 100 * TOLERANCE * golden_rms(expected->f, expected->count));
    }
    free(found);
    close_fixture(&f);
}

/* Experts outside the chosen groups masked with 0.0 instead of -inf, and whatever else
 * `diag` has for the main model: not what we compute. */
static void wrong_answers_are_not_ours(void **state)
{
    fixture f;
    open_fixture(&f, state);
    const golden_array *tokens = golden_find(f.g, "a/tokens");
    float *found = run(f.session, tokens, -1, f.vocab_size);
    double rms = golden_rms(found, tokens->count * f.vocab_size);
    int n = 0;
    for (size_t i = 0; i < f.g->n_arrays; i++) {
        const golden_array *wrong = &f.g->arrays[i];
        if (strncmp(wrong->name, "a/diag/logits", 13) != 0)
            continue;
        assert_int_equal(wrong->count, tokens->count * f.vocab_size);
        assert_true(golden_max_difference(found, wrong->f, wrong->count) >
                    100 * TOLERANCE * rms);
        n++;
    }
    free(found);
    close_fixture(&f);
    if (n == 0)
        skip();
}

static void greedy_tokens(void **state)
{
    fixture f;
    open_fixture(&f, state);
    const golden_array *tokens = golden_find(f.g, "a/tokens");
    const golden_array *expected = golden_find(f.g, "a/ref/greedy_tokens");
    const golden_array *expected_logits = golden_find(f.g, "a/ref/greedy_logits");
    assert_int_equal(expected->count, GREEDY);
    float *found = floats((size_t)GREEDY * f.vocab_size);
    MUST(mote_session_eval(f.session, tokens->i, tokens->count, err));
    for (uint32_t i = 0; i < GREEDY; i++) {
        int32_t token = -1;
        MUST(mote_session_logits(f.session, mote_session_position(f.session) - 1,
                found + (size_t)i * f.vocab_size, f.vocab_size, err));
        MUST(mote_session_sample(f.session, NULL, &token, err));
        assert_int_equal(token, expected->i[i]);
        MUST(mote_session_eval(f.session, &token, 1, err));
    }
    golden_compare("greedy_logits", found, expected_logits->f, expected_logits->count,
            TOLERANCE);
    free(found);
    close_fixture(&f);
}

/* What a caller who sets nothing gets, fp32 cache apart: the same tokens, and logits to
 * the looser tolerance. */
static void default_precision(void **state)
{
    fixture f;
    open_fixture(&f, state);
    const golden_array *tokens = golden_find(f.g, "a/tokens");
    const golden_array *expected = golden_find(f.g, "a/ref/logits");
    const golden_array *greedy = golden_find(f.g, "a/ref/greedy_tokens");
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.kv_type = MOTE_KV_F32;
    o.context_tokens = CONTEXT;
    mote_session *s = NULL;
    MUST(mote_session_open(&s, f.model, &o, err));
    float *found = run(s, tokens, -1, f.vocab_size);
    golden_compare(
            "default logits", found, expected->f, expected->count, TOLERANCE_FINE);
    free(found);
    for (uint32_t i = 0; i < GREEDY; i++) {
        int32_t token = -1;
        MUST(mote_session_sample(s, NULL, &token, err));
        assert_int_equal(token, greedy->i[i]);
        MUST(mote_session_eval(s, &token, 1, err));
    }
    mote_session_close(s);
    close_fixture(&f);
}

/* ---- reproducibility --------------------------------------------------------------
 */

/* "With deterministic set, also for any prefill chunking." */
static void chunks_give_the_same_bits(void **state)
{
    fixture f;
    open_fixture(&f, state);
    const golden_array *tokens = golden_find(f.g, "c/tokens");
    uint32_t n = (uint32_t)tokens->count;
    size_t n_bytes = (size_t)n * f.vocab_size * sizeof(float);
    mote_session *s = golden_session(f.model, CONTEXT, MOTE_KV_F32, MOTE_DRAFT_OFF, 1);
    float *whole = run(s, tokens, -1, f.vocab_size);
    golden_compare("deterministic logits", whole, golden_find(f.g, "c/ref/logits")->f,
            (size_t)n * f.vocab_size, TOLERANCE);
    float *found = floats((size_t)n * f.vocab_size);
    const uint32_t sizes[] = {1, 3, 7};
    for (size_t k = 0; k < 3; k++) {
        mote_session_reset(s);
        for (uint32_t at = 0; at < n; at += sizes[k])
            MUST(mote_session_eval(
                    s, tokens->i + at, n - at < sizes[k] ? n - at : sizes[k], err));
        golden_logits(s, n, found, f.vocab_size);
        assert_memory_equal(found, whole, n_bytes);
    }
    /* Rewinding and going on. */
    MUST(mote_session_rewind(s, n / 2, err));
    MUST(mote_session_eval(s, tokens->i + n / 2, n - n / 2, err));
    golden_logits(s, n, found, f.vocab_size);
    assert_memory_equal(found, whole, n_bytes);
    mote_session_close(s);
    /* The session's own chunks. */
    for (size_t k = 0; k < 3; k++) {
        mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
        o.context_tokens = CONTEXT;
        o.kv_type = MOTE_KV_F32;
        o.deterministic = 1;
        o.keep_tokens = UINT32_MAX;
        o.precision = MOTE_PRECISION_EXACT;
        o.prefill_tokens = sizes[k];
        MUST(mote_session_open(&s, f.model, &o, err));
        MUST(mote_session_eval(s, tokens->i, n, err));
        golden_logits(s, n, found, f.vocab_size);
        assert_memory_equal(found, whole, n_bytes);
        mote_session_close(s);
    }
    free(found);
    free(whole);
    close_fixture(&f);
}

/* "Same model, prefix, KV type and ISA path: same bits, for any thread count, run after
 * run"; and every variant that this CPU has is right. */
static void threads_give_the_same_bits(void **state)
{
    const char *dir = *state;
    golden *g = golden_open(dir);
    const golden_array *tokens = golden_find(g, "c/tokens");
    const golden_array *expected = golden_find(g, "c/ref/logits");
    const uint32_t n_threads[] = {1, 2, 3, 7, 1};
    int n_variants = 0;
    for (size_t v = 0; golden_isas[v]; v++) {
        float *first = NULL;
        for (size_t t = 0; t < sizeof n_threads / sizeof *n_threads; t++) {
            mote_model *model = golden_model_of_isa(dir, golden_isas[v], n_threads[t]);
            if (!model)
                break;
            assert_int_equal(mote_model_threads(model), n_threads[t]);
            mote_session *s =
                    golden_session(model, CONTEXT, MOTE_KV_F32, MOTE_DRAFT_OFF, 0);
            float *found = run(s, tokens, -1, (uint32_t)expected->dims[1]);
            if (t == 0) {
                golden_compare(
                        golden_isas[v], found, expected->f, expected->count, TOLERANCE);
                first = found;
                n_variants++;
            } else {
                assert_memory_equal(found, first, expected->count * sizeof *found);
                free(found);
            }
            mote_session_close(s);
            mote_model_close(model);
        }
        free(first);
    }
    golden_close(g);
    assert_true(n_variants > 0);
}

/* ---- cases ------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    CMUnitTestFunction run;
} checks[] = {
        {"logits", logits},
        {"residual_stream", residual_stream},
        {"latent_cache", latent_cache},
        {"routing", routing},
        {"mtp_logits", mtp_logits},
        {"wrong_answers_are_not_ours", wrong_answers_are_not_ours},
        {"greedy_tokens", greedy_tokens},
        {"default_precision", default_precision},
        {"chunks_give_the_same_bits", chunks_give_the_same_bits},
        {"threads_give_the_same_bits", threads_give_the_same_bits},
};
enum { N_CHECKS = sizeof checks / sizeof *checks, CASES_MAX = 200 };

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t list_cases(const char *parent, const char *below, char **dirs, size_t n)
{
    size_t first = n;
    char root[900];
    snprintf(root, sizeof root, "%s/%s", parent, below);
    DIR *d = opendir(root);
    if (!d) {
        print_message("no golden cases in %s\n", root);
        return n;
    }
    for (struct dirent *e; (e = readdir(d)) && n < CASES_MAX;)
        if (e->d_name[0] != '.')
            dirs[n++] = strdup(golden_path("%s/%s", root, e->d_name));
    closedir(d);
    qsort(dirs + first, n - first, sizeof *dirs, by_name);
    return n;
}

int main(void)
{
    static char *dirs[CASES_MAX];
    const char *data = getenv("MOTE_TEST_DATA"), *shared = getenv("MOTE_SHARED");
    size_t n = list_cases(data ? data : "tests/data", "oracle", dirs, 0);
    if (shared && shared[0])
        n = list_cases(shared, "fixtures/oracle/models", dirs, n);
    struct CMUnitTest *tests = calloc(n * N_CHECKS + 1, sizeof *tests);
    char(*names)[128] = calloc(n * N_CHECKS + 1, sizeof *names);
    for (size_t i = 0; i < n * N_CHECKS; i++) {
        char *dir = dirs[i / N_CHECKS];
        const char *base = strrchr(dir, '/') + 1;
        snprintf(names[i], sizeof names[i], "%.60s: %s", base,
                checks[i % N_CHECKS].name);
        tests[i] = (struct CMUnitTest){
                names[i], checks[i % N_CHECKS].run, NULL, NULL, dir};
    }
    int rc =
            n == 0 ? 1
                   : _cmocka_run_group_tests("oracle", tests, n * N_CHECKS, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        free(dirs[i]);
    free(names);
    free(tests);
    return rc;
}
