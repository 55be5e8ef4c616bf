/* SPDX-License-Identifier: MIT */
/* "Stream events: pulled pieces carry their channel: reasoning, content, tool call;
 * stop strings; maximum tokens; token ids and log-probabilities per piece; usage at the
 * end."
 *
 * Any text can be forced upon the model: every token wanted gets a bias beyond all
 * others, in order, and a repetition penalty takes it away once it was used. The tokens
 * must differ, so a copy of the bundled model gets eleven added tokens with the texts
 * that a test needs. */
#include "sessions.h"
#include "unit/schema_validator.h"

#include "portable.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THINK = 4083, CLOSE_THINK = 4084, PIECE0 = 4085, EOS = 1, FORCED_MAX = 64 };

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

/* ---- forcing ------------------------------------------------------------------- */

typedef struct forced {
    int32_t ids[FORCED_MAX];
    float bias[FORCED_MAX];
    mote_sampler_options o;
} forced;

static const mote_sampler_options *force(forced *f, const int32_t *ids, uint32_t n)
{
    assert_true(n <= FORCED_MAX);
    memset(f, 0, sizeof *f);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(ids[i], ids[j]);
        f->ids[i] = ids[i];
        f->bias[i] = 20000.0f - 100.0f * (float)i; /* logits lie within 50 */
    }
    f->o.struct_size = sizeof f->o;
    f->o.n_bias = n;
    f->o.bias_tokens = f->ids;
    f->o.bias_values = f->bias;
    f->o.repetition_penalty = 100;
    f->o.penalty_tokens = 512;
    return &f->o;
}

static uint32_t encode(const mote_model *m, const char *text, int32_t *ids)
{
    size_t n = 0;
    MUST(mote_tokenizer_encode(mote_model_tokenizer(m), text, strlen(text),
            MOTE_ENCODE_SPECIAL, ids, FORCED_MAX, &n, err));
    assert_in_range(n, 1, FORCED_MAX);
    return (uint32_t)n;
}

/* The bundled model with these texts as the tokens from PIECE0 on. */
static mote_model *model_with(const char *const *texts, size_t n)
{
    static const char *const names[] = {
            "config.json", "model.safetensors", "tokenizer_config.json"};
    char from[1200], to[64], *cwd = realpath(data_path("../../models/tiny-v3"), NULL);
    assert_non_null(cwd);
    mkdir("stream.tmp", 0777);
    for (int i = 0; i < 3; i++) {
        snprintf(from, sizeof from, "%s/%s", cwd, names[i]);
        snprintf(to, sizeof to, "stream.tmp/%s", names[i]);
        unlink(to);
        assert_int_equal(symlink(from, to), 0);
    }
    snprintf(from, sizeof from, "%s/tokenizer.json", cwd);
    free(cwd);
    json_t *root = json_load_file(from, 0, NULL);
    json_t *added = json_object_get(root, "added_tokens"), *t;
    size_t i;
    json_array_foreach(added, i, t)
    {
        json_int_t id = json_integer_value(json_object_get(t, "id"));
        if (id < PIECE0 || (size_t)id >= PIECE0 + n)
            continue;
        json_object_set_new(t, "content", json_string(texts[id - PIECE0]));
        json_object_set_new(t, "special", json_false());
    }
    assert_int_equal(json_dump_file(root, "stream.tmp/tokenizer.json", 0), 0);
    json_decref(root);
    mote_model *m;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.n_threads = 2;
    MUST(mote_model_open(&m, "stream.tmp", &o, err));
    for (int k = 0; k < 3; k++) {
        snprintf(to, sizeof to, "stream.tmp/%s", names[k]);
        unlink(to);
    }
    unlink("stream.tmp/tokenizer.json");
    rmdir("stream.tmp");
    return m;
}

static const mote_chat_format *format_of(const char *name)
{
    const mote_chat_format *f = mote_chat_format_find(name, NULL);
    assert_non_null(f);
    return f;
}

static void start(mote_session *s, int32_t bos)
{
    MUST(mote_session_prompt(s, &bos, 1, err));
}

/* ---- the plain stream ---------------------------------------------------------- */

static void test_forced(void **state)
{
    static reply r;
    forced f;
    int32_t ids[FORCED_MAX];
    uint32_t n = encode(*state, "A red fox ran home", ids);
    ids[n] = EOS;
    for (uint32_t draft = 0; draft <= MOTE_DRAFT_NGRAM; draft++) {
        mote_session *s = session_new(*state, 100, 0, draft, draft ? 4 : 0);
        start(s, 0);
        generate(s, NULL, force(&f, ids, n + 1), &r);
        assert_string_equal(r.text, "A red fox ran home");
        assert_int_equal(r.stop, MOTE_STOP_EOS);
        assert_int_equal(r.n, n + 1); /* the end token is delivered, without text */
        assert_int_equal(r.ids[n], EOS);
        assert_int_equal(mote_session_token(s, n + 1), EOS);
        mote_session_close(s);
    }
}

static void test_max_tokens(void **state)
{
    static reply r;
    for (uint32_t draft = 0; draft <= MOTE_DRAFT_NGRAM; draft++)
        for (uint32_t most = 1; most < 9; most++) {
            mote_session *s = session_new(*state, 100, 0, draft, draft ? 4 : 0);
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            mote_session_stats st = MOTE_SESSION_STATS_INIT;
            g.max_tokens = most;
            start(s, 0);
            generate(s, &g, NULL, &r);
            assert_int_equal(r.n, most);
            assert_int_equal(r.stop, MOTE_STOP_LENGTH);
            assert_int_equal(mote_session_position(s), 1 + most);
            MUST(mote_session_get_stats(s, &st, err));
            assert_int_equal(st.generated_tokens, most);
            assert_int_equal(st.prompt_tokens, 1);
            assert_int_equal(st.reasoning_tokens, 0);
            mote_session_close(s);
        }
}

/* Any piece of the text as a stop string: the text before its first occurrence. */
static void test_stop(void **state)
{
    static reply whole, r;
    int32_t ids[PROMPT_MAX];
    mote_session *s = session_new(*state, 200, 0, MOTE_DRAFT_MTP, 3);
    uint32_t n = prompt_ids(*state, 2, ids);
    generate_from(s, ids, n, 60, NULL, &whole);
    for (size_t at = 0; at + 7 < whole.n_bytes; at += 13)
        for (size_t length = 1; length < 7; length++) {
            char stop[8] = {0};
            const char *stops[2] = {"\x01never", stop};
            memcpy(stop, whole.text + at, length);
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            g.max_tokens = 60;
            g.ignore_eos = 1;
            g.stop = stops;
            g.n_stop = 2;
            MUST(mote_session_prompt(s, ids, n, err));
            generate(s, &g, NULL, &r);
            assert_int_equal(r.stop, MOTE_STOP_STRING);
            size_t first = (size_t)(strstr(whole.text, stop) - whole.text);
            assert_int_equal(r.n_bytes, first);
            assert_memory_equal(r.text, whole.text, first);
            for (uint32_t i = 0; i < r.n; i++)
                assert_int_equal(r.ids[i], whole.ids[i]);
            /* not a token beyond the one that completes it */
            size_t need = 0, bytes = 0;
            while (need < r.n) {
                size_t b;
                assert_non_null(mote_tokenizer_token(
                        mote_model_tokenizer(*state), whole.ids[need++], &b));
                bytes += b;
                if (bytes >= first + length)
                    break;
            }
            assert_int_equal(r.n, need);
        }
    const char *bad[1] = {""};
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.n_stop = 1;
    MUST_FAIL(MOTE_E_INVALID, mote_session_generate(s, &g, NULL, err)); /* no list */
    g.stop = bad;
    MUST_FAIL(MOTE_E_INVALID, mote_session_generate(s, &g, NULL, err));
    mote_piece p = MOTE_PIECE_INIT;
    assert_int_equal(mote_session_next(s, &p, NULL), MOTE_DONE);
    mote_session_close(s);
}

/* "natural log-probability of each under the model": whatever the sampler does. */
static void test_logprobs(void **state)
{
    static reply r;
    static float lp[VOCAB];
    int32_t ids[PROMPT_MAX];
    uint32_t n = prompt_ids(*state, 4, ids);
    const mote_sampler_options o = {.struct_size = sizeof o,
            .temperature = 1.5f,
            .top_k = 100,
            .repetition_penalty = 1.3f,
            .seed = 3};
    for (uint32_t draft = MOTE_DRAFT_OFF; draft <= MOTE_DRAFT_NGRAM; draft++) {
        mote_session *s = session_new(*state, 200, 0, draft, 3);
        generate_from(s, ids, n, 80, draft == MOTE_DRAFT_MTP ? NULL : &o, &r);
        for (uint32_t i = 0; i < r.n; i++) {
            MUST(mote_session_logprobs(s, n - 1 + i, lp, VOCAB, err));
            /* one rounding of a difference of numbers below 64 */
            assert_true(fabsf(lp[r.ids[i]] - r.logprobs[i]) <= 8e-6f);
        }
        mote_session_close(s);
    }
}

/* A piece may be of an older or a newer program. */
static void test_piece_size(void **state)
{
    struct {
        mote_piece piece;
        uint64_t more[4];
    } big;
    mote_session *s = session_new(*state, 100, 0, 0, 0);
    start(s, 0);
    MUST(mote_session_generate(s, NULL, NULL, err));
    memset(&big, 0x55, sizeof big);
    big.piece.struct_size = sizeof big;
    MUST(mote_session_next(s, &big.piece, err));
    assert_int_equal(big.piece.struct_size, sizeof big);
    for (int i = 0; i < 4; i++)
        assert_int_equal(big.more[i], 0);
    memset(&big, 0x55, sizeof big);
    big.piece.struct_size = offsetof(mote_piece, stop);
    MUST(mote_session_next(s, &big.piece, err));
    assert_int_equal(big.piece.struct_size, offsetof(mote_piece, stop));
    assert_int_equal(big.piece.n_tokens, 1);
    assert_int_equal(big.piece.stop, 0x55555555);
    big.piece.struct_size = 8;
    MUST_FAIL(MOTE_E_INVALID, mote_session_next(s, &big.piece, err));
    MUST_FAIL(MOTE_E_INVALID, mote_session_next(s, NULL, err));
    mote_session_close(s);
}

/* ---- channels ------------------------------------------------------------------ */

static void test_reasoning(void **state)
{
    static reply r;
    forced f;
    int32_t ids[FORCED_MAX], said[FORCED_MAX];
    uint32_t n = encode(*state, "I see a cat", ids);
    uint32_t m = encode(*state, "The end", said);
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.format = format_of("deepseek-r1");
    mote_session *s = session_new(*state, 100, 0, MOTE_DRAFT_MTP, 4);
    for (int way = 0; way < 4; way++) {
        /* the model opens it; the option says so; the prompt ends with it; and a
         * newline */
        int32_t all[FORCED_MAX], prompt[3] = {0, THINK, 0};
        uint32_t k = 0, n_prompt = way >= 2 ? (uint32_t)way : 1;
        assert_int_equal(encode(*state, "\n", &prompt[2]), 1);
        if (way == 0)
            all[k++] = THINK;
        for (uint32_t i = 0; i < n; i++)
            all[k++] = ids[i];
        all[k++] = CLOSE_THINK;
        for (uint32_t i = 0; i < m; i++)
            all[k++] = said[i];
        all[k++] = EOS;
        mote_session_stats a = MOTE_SESSION_STATS_INIT, b = MOTE_SESSION_STATS_INIT;
        MUST(mote_session_get_stats(s, &a, err));
        MUST(mote_session_prompt(s, prompt, n_prompt, err));
        g.starts_in_reasoning = way == 1;
        const mote_sampler_options *o = force(&f, all, k);
        f.o.penalty_tokens = k; /* not the prompt's newline or tag */
        generate(s, &g, o, &r);
        assert_string_equal(r.reasoning, "I see a cat");
        assert_string_equal(r.text, "The end");
        assert_int_equal(r.stop, MOTE_STOP_EOS);
        MUST(mote_session_get_stats(s, &b, err));
        assert_int_equal(b.reasoning_tokens - a.reasoning_tokens, n + 1);
        assert_int_equal(b.generated_tokens - a.generated_tokens, k);
    }
    /* no format: nothing is read out of the prompt */
    int32_t prompt[2] = {0, THINK};
    g = (mote_generate_options)MOTE_GENERATE_OPTIONS_INIT;
    MUST(mote_session_prompt(s, prompt, 2, err));
    ids[n] = EOS;
    generate(s, &g, force(&f, ids, n + 1), &r);
    assert_string_equal(r.text, "I see a cat");
    /* closed again in the prompt: an answer */
    int32_t closed[3] = {0, THINK, CLOSE_THINK};
    g.format = format_of("deepseek-v3.1");
    MUST(mote_session_prompt(s, closed, 3, err));
    generate(s, &g, force(&f, ids, n + 1), &r);
    assert_string_equal(r.text, "I see a cat");
    assert_int_equal(r.n_reasoning, 0);
    mote_session_close(s);
}

/* "Close the reasoning after so many": exactly so many, with any drafter. */
static void test_budget(void **state)
{
    static reply plain, r;
    int32_t ids[PROMPT_MAX];
    const mote_sampler_options o = {
            .struct_size = sizeof o, .temperature = 0.8f, .seed = 9};
    uint32_t n = prompt_ids(*state, 1, ids);
    ids[n++] = THINK;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.format = format_of("deepseek-r1");
    g.max_tokens = 60;
    g.ignore_eos = 1;
    for (uint32_t budget = 1; budget < 20; budget += 6)
        for (uint32_t draft = MOTE_DRAFT_OFF; draft <= MOTE_DRAFT_NGRAM; draft++) {
            mote_session *s = session_new(*state, 200, 0, draft, draft > 1 ? 4 : 0);
            reply *to = draft == MOTE_DRAFT_OFF ? &plain : &r;
            mote_session_stats st = MOTE_SESSION_STATS_INIT;
            g.think_tokens_max = budget;
            MUST(mote_session_prompt(s, ids, n, err));
            generate(s, &g, &o, to);
            assert_int_equal(to->ids[budget], CLOSE_THINK);
            assert_true(to->n_reasoning > 0);
            assert_true(to->n_bytes > 0);
            MUST(mote_session_get_stats(s, &st, err));
            assert_int_equal(st.reasoning_tokens, budget + 1);
            assert_same_ids(&plain, to, "budget");
            /* going on from the sampler's state is the same, too */
            mote_generate_options h = MOTE_GENERATE_OPTIONS_INIT;
            h.max_tokens = 20;
            h.seed_from_state = 1;
            static reply then, then_plain;
            generate(s, &h, &o, draft == MOTE_DRAFT_OFF ? &then_plain : &then);
            if (draft != MOTE_DRAFT_OFF)
                assert_same_ids(&then_plain, &then, "after a budget");
            mote_session_close(s);
        }
}

/* Left while forced tokens are queued: draws are given back that were taken, no more.
 */
static void test_budget_left(void **state)
{
    static reply r[2];
    int32_t ids[PROMPT_MAX];
    const mote_sampler_options o = {
            .struct_size = sizeof o, .temperature = 1, .seed = 1};
    uint32_t n = prompt_ids(*state, 1, ids);
    ids[n++] = THINK;
    for (uint32_t left = 1; left < 12; left++)
        for (int way = 0; way < 2; way++) {
            mote_session *s = session_new(
                    *state, 200, 0, way ? MOTE_DRAFT_MTP : MOTE_DRAFT_OFF, way ? 4 : 0);
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            mote_piece p = MOTE_PIECE_INIT;
            g.format = format_of("deepseek-r1");
            g.think_tokens_max = 4;
            g.ignore_eos = 1;
            MUST(mote_session_prompt(s, ids, n, err));
            MUST(mote_session_generate(s, &g, &o, err));
            while (mote_session_position(s) < n + left)
                MUST(mote_session_next(s, &p, err));
            mote_generate_options h = MOTE_GENERATE_OPTIONS_INIT;
            h.max_tokens = 15;
            h.ignore_eos = 1;
            h.seed_from_state = 1;
            generate(s, &h, &o, &r[way]);
            assert_same_ids(&r[0], &r[way], "left early");
            mote_session_close(s);
        }
}

static void test_tools(void **state)
{
    static const char *const texts[] = {"Sure.<｜tool▁calls▁begin｜><｜tool▁call",
            "▁begin｜>func", "tion<｜tool▁sep｜>get_", "weather\n```json\n{\"ci",
            "ty\":\"R", "ome\"}", "\n```<｜tool▁call▁end｜>\n",
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```",
            "<｜tool▁call▁end｜><｜tool▁calls▁", "end｜>"};
    enum { N = sizeof texts / sizeof *texts };
    static reply r;
    forced f;
    int32_t ids[N + 1];
    (void)state;
    mote_model *m = model_with(texts, N);
    for (int i = 0; i < N; i++)
        ids[i] = PIECE0 + i;
    ids[N] = EOS;
    for (uint32_t draft = MOTE_DRAFT_OFF; draft <= MOTE_DRAFT_MTP; draft++) {
        mote_session *s = session_new(m, 100, 0, draft, draft > 1 ? 4 : 0);
        mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
        g.format = format_of("deepseek-v3-tools");
        start(s, 0);
        generate(s, &g, force(&f, ids, N + 1), &r);
        assert_string_equal(r.text, "Sure.");
        assert_int_equal(r.tools, 2);
        assert_string_equal(r.tool_name, "now");
        assert_string_equal(r.tool, "{\"city\":\"Rome\"}{}");
        assert_int_equal(r.stop, MOTE_STOP_EOS);
        assert_int_equal(r.n, N + 1);
        /* without a format all text is content */
        g.format = NULL;
        start(s, 0);
        generate(s, &g, force(&f, ids, N + 1), &r);
        assert_non_null(strstr(r.text, "<｜tool▁call▁begin｜>function"));
        assert_int_equal(r.tools, 0);
        mote_session_close(s);
    }
    mote_model_close(m);
}

/* ---- constrained --------------------------------------------------------------- */

static json_t *parse(const char *text, size_t n)
{
    json_error_t e;
    json_t *v = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!v)
        print_error("%s in %.*s\n", e.text, (int)n, text);
    assert_non_null(v);
    return v;
}

/* JSON mode and a schema, at temperature 1: what ends is valid. */
static void test_schema(void **state)
{
    static const char *const texts[] = {NULL,
            "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\","
            "\"minLength\":1,\"maxLength\":10},\"size\":{\"type\":\"integer\","
            "\"minimum\":-5,\"maximum\":99},\"colour\":{\"enum\":[\"red\",\"blue\","
            "\"white\"]},\"friends\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":3,"
            "\"items\":{\"type\":\"object\",\"properties\":{\"good\":{\"type\":"
            "\"boolean\"}},\"required\":[\"good\"],\"additionalProperties\":false}}},"
            "\"required\":[\"name\",\"size\",\"colour\",\"friends\"],"
            "\"additionalProperties\":false}"};
    static reply r;
    int32_t ids[PROMPT_MAX];
    mote_session *s = session_new(*state, 300, 0, 0, 0);
    for (int which = 0; which < 2; which++) {
        mote_schema *schema;
        uint32_t ended = 0;
        const char *text = texts[which];
        json_t *j = text ? parse(text, strlen(text)) : NULL;
        MUST(mote_schema_open(&schema, mote_model_tokenizer(*state), text,
                text ? strlen(text) : 0, err));
        for (uint32_t i = 0; i < 100; i++) {
            const mote_sampler_options o = {
                    .struct_size = sizeof o, .temperature = 1, .seed = i};
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            g.schema = schema;
            g.ignore_eos = i % 2;
            g.max_tokens = 200;
            MUST(mote_session_prompt(s, ids, prompt_ids(*state, i, ids), err));
            generate(s, &g, &o, &r);
            if (r.stop != MOTE_STOP_SCHEMA) {
                assert_int_equal(r.stop, MOTE_STOP_LENGTH);
                assert_int_equal(which, 0); /* the schema bounds everything */
                continue;
            }
            ended++;
            assert_int_equal(r.ids[r.n - 1], EOS);
            json_t *v = parse(r.text, r.n_bytes);
            if (j)
                assert_int_equal(schema_valid(j, j, v), 1);
            else
                assert_true(json_is_object(v) || json_is_array(v));
            json_decref(v);
        }
        print_message("%u of 100 ended\n", ended);
        assert_true(ended >= (which ? 100u : 30u));
        json_decref(j);
        mote_schema_close(schema);
    }
    mote_session_close(s);
}

/* Reasoning is free, the answer is constrained; with a budget, and any drafter. */
static void test_schema_reasoning(void **state)
{
    static const char text[] = "{\"type\":\"array\",\"items\":{\"enum\":[\"<think>\","
                               "\"fox\",12]},\"minItems\":2,\"maxItems\":6}";
    static reply plain, r;
    int32_t ids[PROMPT_MAX];
    mote_schema *schema;
    MUST(mote_schema_open(
            &schema, mote_model_tokenizer(*state), text, sizeof text - 1, err));
    uint32_t n = prompt_ids(*state, 1, ids);
    for (uint32_t seed = 0; seed < 8; seed++)
        for (uint32_t draft = MOTE_DRAFT_OFF; draft <= MOTE_DRAFT_NGRAM; draft++) {
            const mote_sampler_options o = {
                    .struct_size = sizeof o, .temperature = 1, .seed = seed};
            mote_session *s = session_new(*state, 300, 0, draft, draft > 1 ? 4 : 0);
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            reply *to = draft == MOTE_DRAFT_OFF ? &plain : &r;
            g.schema = schema;
            g.format = seed % 2 ? format_of("deepseek-r1") : NULL;
            g.starts_in_reasoning = 1;
            g.think_tokens_max = 10;
            g.max_tokens = 200;
            MUST(mote_session_prompt(s, ids, n, err));
            generate(s, &g, &o, to);
            if (to->stop == MOTE_STOP_EOS) { /* it ended while thinking */
                assert_int_equal(to->n_bytes, 0);
            } else {
                assert_int_equal(to->stop, MOTE_STOP_SCHEMA);
                assert_int_equal(to->text[0] == '[' || to->text[0] <= ' ', 1);
            }
            assert_same_ids(&plain, to, "schema after reasoning");
            mote_session_close(s);
        }
    mote_schema_close(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_forced),
            cmocka_unit_test(test_max_tokens),
            cmocka_unit_test(test_stop),
            cmocka_unit_test(test_logprobs),
            cmocka_unit_test(test_piece_size),
            cmocka_unit_test(test_reasoning),
            cmocka_unit_test(test_budget),
            cmocka_unit_test(test_budget_left),
            cmocka_unit_test(test_tools),
            cmocka_unit_test(test_schema),
            cmocka_unit_test(test_schema_reasoning),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
