/* SPDX-License-Identifier: MIT */
#include "sessions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *data_path(const char *format, ...)
{
    static char buffers[4][1024];
    static unsigned at;
    const char *data = getenv("MOTE_TEST_DATA");
    char *b = buffers[at++ % 4];
    int n = snprintf(b, sizeof buffers[0], "%s/", data ? data : "tests/data");
    assert_in_range(n, 1, 512);
    va_list args;
    va_start(args, format);
    vsnprintf(b + n, sizeof buffers[0] - (size_t)n, format, args);
    va_end(args);
    return b;
}

const char *shared_path(void)
{
    const char *shared = getenv("MOTE_SHARED");
    return shared && shared[0] ? shared : NULL;
}

mote_model *tiny_open(uint32_t n_threads)
{
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_model *m = NULL;
    o.n_threads = n_threads;
    MUST(mote_model_open(&m, data_path("../../models/tiny-v3"), &o, err));
    return m;
}

static const char *const prompts[PROMPTS] = {
        "Once upon a time there was a little fox who",
        "The old miller had three sons, and",
        "Lily wanted to play with her red ball. She",
        "In the middle of the forest stood a house",
        "\"Where are you going?\" asked the rabbit.",
        "One day, Tom and his mother went to the park",
        "The king called his daughter and said",
        "It was a cold winter morning and the snow",
        "A cat sat by the fire and",
        "There was once a poor woman who lived",
        "The boy looked at the big dog. He was",
        "Far away, where the swallows fly in winter,",
        "Sam found a shiny stone under the tree.",
        "\"I am not afraid,\" said the mouse, \"because",
        "The ship sailed out to sea, and",
        "Mother Bear made a cake for",
        "They walked and walked until they came to",
        "User: Tell me a story about a bird.",
        "Peter Rabbit hopped down the crooked little path",
        "The sun was shining, and the bees",
};

uint32_t prompt_ids(const mote_model *model, uint32_t which, int32_t ids[PROMPT_MAX])
{
    size_t n = 0;
    const char *text = prompts[which % PROMPTS];
    MUST(mote_tokenizer_encode(mote_model_tokenizer(model), text, strlen(text),
            MOTE_ENCODE_BOS, ids, PROMPT_MAX, &n, err));
    assert_in_range(n, 4, PROMPT_MAX);
    return (uint32_t)n;
}

mote_session *session_new(mote_model *model, uint32_t context, uint32_t kv_type,
        uint32_t draft, uint32_t draft_tokens)
{
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session *s = NULL;
    o.context_tokens = context;
    o.kv_type = kv_type;
    o.draft = draft;
    o.draft_tokens = draft_tokens;
    MUST(mote_session_open(&s, model, &o, err));
    return s;
}

static void add(char *text, size_t capacity, size_t *n, const mote_piece *p)
{
    assert_true(*n + p->n_bytes < capacity);
    memcpy(text + *n, p->text, p->n_bytes);
    *n += p->n_bytes;
    text[*n] = 0;
}

void reply_take(reply *r, const mote_piece *p)
{
    assert_int_equal(p->struct_size, sizeof *p);
    assert_int_equal(r->stop, MOTE_STOP_NONE); /* nothing follows the last piece */
    assert_true(r->n + p->n_tokens <= sizeof r->ids / sizeof *r->ids);
    assert_non_null(p->text);
    for (uint32_t i = 0; i < p->n_tokens; i++) {
        r->ids[r->n] = p->tokens[i];
        r->logprobs[r->n++] = p->logprobs[i];
        assert_true(p->logprobs[i] <= 1e-4f);
    }
    if (p->channel == MOTE_CHANNEL_CONTENT) {
        assert_null(p->tool_name);
        add(r->text, sizeof r->text, &r->n_bytes, p);
    } else if (p->channel == MOTE_CHANNEL_REASONING) {
        assert_null(p->tool_name);
        add(r->reasoning, sizeof r->reasoning, &r->n_reasoning, p);
    } else {
        assert_int_equal(p->channel, MOTE_CHANNEL_TOOL);
        assert_non_null(p->tool_name);
        snprintf(r->tool_name, sizeof r->tool_name, "%s", p->tool_name);
        r->tools = p->tool_index + 1;
        add(r->tool, sizeof r->tool, &r->n_tool, p);
    }
    r->pieces++;
    r->stop = p->stop;
}

void generate(mote_session *s, const mote_generate_options *g,
        const mote_sampler_options *sampler, reply *r)
{
    memset(r, 0, sizeof *r);
    MUST(mote_session_generate(s, g, sampler, err));
    for (;;) {
        mote_error e = {0};
        mote_piece p = MOTE_PIECE_INIT;
        mote_status st = mote_session_next(s, &p, &e);
        if (st == MOTE_DONE)
            break;
        if (st < 0)
            print_error("%s\n", e.message);
        assert_int_equal(st, MOTE_OK);
        reply_take(r, &p);
    }
    /* "The last piece has a stop reason and MOTE_OK; after it comes MOTE_DONE." */
    assert_int_not_equal(r->stop, MOTE_STOP_NONE);
}

void generate_from(mote_session *s, const int32_t *ids, uint32_t n_ids, uint32_t n,
        const mote_sampler_options *sampler, reply *r)
{
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    g.max_tokens = n;
    g.ignore_eos = 1;
    mote_session_reset(s);
    MUST(mote_session_eval(s, ids, n_ids, err));
    generate(s, &g, sampler, r);
}

void assert_same_ids(const reply *a, const reply *b, const char *what)
{
    for (uint32_t i = 0; i < a->n && i < b->n; i++)
        if (a->ids[i] != b->ids[i])
            fail_msg("%s: token %u is %d, expected %d", what, i, b->ids[i], a->ids[i]);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->stop, b->stop);
    for (uint32_t i = 0; i < a->n; i++)
        if (memcmp(&a->logprobs[i], &b->logprobs[i], 4) != 0)
            fail_msg("%s: log-probability %u is %.9g, expected %.9g", what, i,
                    (double)b->logprobs[i], (double)a->logprobs[i]);
    assert_string_equal(a->text, b->text);
}
