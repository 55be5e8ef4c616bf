/* SPDX-License-Identifier: MIT */
/* "1000 schema-constrained generations with random schemas and seeds: every one parses
 * and validates": through sessions of the bundled model, sampled, with and without
 * drafts, checked by a validator that shares nothing with the library. Argument: how
 * many (200; 1000 in the suite "extra"). */
#include "../unit/random_schema.h"
#include "../unit/schema_validator.h"
#include "sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t n_wanted = 200;

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

/* NULL where nothing satisfies the schema: an empty range, endless recursion. */
static mote_schema *open_schema(const mote_model *m, const char *text)
{
    mote_schema *schema;
    mote_error err;
    mote_status st = mote_schema_open(
            &schema, mote_model_tokenizer(m), text, strlen(text), &err);
    if (st == MOTE_E_FORMAT &&
            (strstr(err.message, "no value") || strstr(err.message, "leads back")))
        return NULL;
    if (st < 0)
        fail_msg("%s: %s", text, err.message);
    return schema;
}

static void test_random(void **state)
{
    static const struct {
        uint32_t draft, draft_tokens;
    } ways[] = {{MOTE_DRAFT_AUTO, 0}, {MOTE_DRAFT_OFF, 0}, {MOTE_DRAFT_MTP, 2},
            {MOTE_DRAFT_NGRAM, 3}};
    enum { WAYS = sizeof ways / sizeof *ways };
    static reply r;
    mote_session *sessions[WAYS];
    uint32_t valid = 0, cut = 0, empty = 0;
    int32_t ids[PROMPT_MAX];
    for (uint32_t w = 0; w < WAYS; w++)
        sessions[w] = session_new(*state, 512, 0, ways[w].draft, ways[w].draft_tokens);
    schema_seed(41);
    for (uint32_t i = 0; valid < n_wanted; i++) {
        json_t *schema = schema_random();
        char *text = json_dumps(schema, JSON_ENCODE_ANY);
        mote_schema *machine = open_schema(*state, text);
        empty += machine == NULL;
        if (machine) {
            mote_session *s = sessions[i % WAYS];
            const mote_sampler_options o = {.struct_size = sizeof o,
                    .temperature = 0.5f + 0.1f * (float)schema_rnd(10),
                    .seed = schema_rnd(1u << 30)};
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            g.schema = machine;
            g.ignore_eos = schema_rnd(2);
            MUST(mote_session_prompt(
                    s, ids, prompt_ids(*state, i % PROMPTS, ids), err));
            generate(s, &g, &o, &r);
            if (r.stop == MOTE_STOP_SCHEMA) {
                json_error_t e;
                json_t *v = json_loadb(r.text, r.n_bytes,
                        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
                if (!v)
                    fail_msg("%s\n%s\n%s", text, r.text, e.text);
                if (schema_valid(schema, schema, v) != 1)
                    fail_msg("%s\nnot valid: %s", text, r.text);
                json_decref(v);
                valid++;
            } else { /* a long string does not end within the context */
                assert_int_equal(r.stop, MOTE_STOP_CONTEXT);
                cut++;
            }
        }
        mote_schema_close(machine);
        free(text);
        json_decref(schema);
    }
    uint64_t accepted = 0;
    for (uint32_t w = 0; w < WAYS; w++) {
        mote_session_stats st = MOTE_SESSION_STATS_INIT;
        MUST(mote_session_get_stats(sessions[w], &st, err));
        accepted += st.accepted[0];
        mote_session_close(sessions[w]);
    }
    print_message("%u valid, %u cut off by the context, %u schemas without values, "
                  "%u drafts accepted\n",
            valid, cut, empty, (unsigned)accepted);
    assert_true(cut <= valid);
    assert_true(accepted > n_wanted);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        n_wanted = (uint32_t)atoi(argv[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
