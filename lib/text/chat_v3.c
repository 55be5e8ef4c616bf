/* SPDX-License-Identifier: MIT */
/* The family of DeepSeek-V3's chat template: V3, V3-0324, the R1s, V3.1, and the
 * tool-calling templates derived from them. They share one state machine and differ in
 * the fields of a dialect. What looks odd here (tags that are missing or repeated,
 * white space before tags) is what the published templates do, and what models were
 * served with; a model sees its own format only if the oddities are kept. */
#include "chat_format.h"

#include <string.h>

#define BOS "<｜begin▁of▁sentence｜>"
#define EOS "<｜end▁of▁sentence｜>"
#define USER "<｜User｜>"
#define ASSISTANT "<｜Assistant｜>"
#define CALLS_BEGIN "<｜tool▁calls▁begin｜>"
#define CALLS_END "<｜tool▁calls▁end｜>"
#define CALL_BEGIN "<｜tool▁call▁begin｜>"
#define CALL_END "<｜tool▁call▁end｜>"
#define SEP "<｜tool▁sep｜>"
#define OUTPUTS_BEGIN "<｜tool▁outputs▁begin｜>"
#define OUTPUTS_END "<｜tool▁outputs▁end｜>"
#define OUTPUT_BEGIN "<｜tool▁output▁begin｜>"
#define OUTPUT_END "<｜tool▁output▁end｜>"

/* Who writes the assistant tag. */
enum {
    TAG_BY_REPLY,   /* each reply (V3, R1) */
    TAG_AFTER_USER, /* each user message (V3-0324, R1-0528) */
    TAG_BY_SWITCH   /* the first reply after a user message, with a think tag (V3.1) */
};
/* When an assistant message counts as tool calls. */
enum {
    CALLS_IF_CONTENT_NULL, /* content is null (V3) */
    CALLS_IF_KEY,          /* it has tool_calls, even null (R1) */
    CALLS_IF_VALUE         /* it has tool_calls that are not null */
};
/* Where reasoning is cut from earlier replies. */
enum {
    STRIP_NEVER,
    STRIP_LAST, /* up to the last </think>, in replies that do not follow tools */
    STRIP_ALL,  /* up to the last </think>, always */
    STRIP_FIRST /* up to the first </think>, in replies that do not follow tools */
};
/* How tools are described. */
enum { TOOLS_NONE, TOOLS_V3, TOOLS_R1, TOOLS_V31 };

struct mote__v3_dialect {
    uint8_t tag, calls, strip, tools;
    uint8_t plain_calls;  /* name and arguments without type and fence */
    uint8_t json_args;    /* arguments are written as JSON, whatever they are */
    uint8_t end_per_call; /* V3: the end tags follow every call but the first */
    uint8_t reserved;
    const char *output_gap; /* between the outputs of tools */
    const char *opening;    /* of a generated reply (not for TAG_BY_SWITCH) */
    /* White space that some templates leak, by place. */
    const char *before_bos, *after_bos, *before_outputs_end, *before_first_call,
            *before_call, *before_calls_end, *before_tag, *before_think, *before_reply,
            *before_output, *before_last_outputs_end, *after_last_outputs_end,
            *before_opening, *before_opening_think, *after_all;
};

/* Nothing leaks from the templates that are written in one line. */
#define NO_GAPS                                                                        \
    .before_bos = "", .after_bos = "", .before_outputs_end = "",                       \
    .before_first_call = "", .before_call = "", .before_calls_end = "",                \
    .before_tag = "", .before_think = "", .before_reply = "", .before_output = "",     \
    .before_last_outputs_end = "", .after_last_outputs_end = "", .before_opening = "", \
    .before_opening_think = "", .after_all = ""

const mote__v3_dialect mote__dialect_v3 = {.tag = TAG_BY_REPLY,
        .calls = CALLS_IF_CONTENT_NULL,
        .end_per_call = 1,
        .output_gap = "\n",
        .opening = ASSISTANT,
        NO_GAPS};
const mote__v3_dialect mote__dialect_v3_0324 = {.tag = TAG_AFTER_USER,
        .calls = CALLS_IF_VALUE,
        .output_gap = "\n",
        .opening = ASSISTANT,
        NO_GAPS};
const mote__v3_dialect mote__dialect_r1 = {.tag = TAG_BY_REPLY,
        .calls = CALLS_IF_KEY,
        .strip = STRIP_LAST,
        .output_gap = "",
        .opening = ASSISTANT "<think>\n",
        NO_GAPS};
const mote__v3_dialect mote__dialect_r1_initial = {.tag = TAG_BY_REPLY,
        .calls = CALLS_IF_KEY,
        .strip = STRIP_LAST,
        .output_gap = "",
        .opening = ASSISTANT,
        NO_GAPS};
const mote__v3_dialect mote__dialect_r1_0528 = {.tag = TAG_AFTER_USER,
        .calls = CALLS_IF_VALUE,
        .strip = STRIP_ALL,
        .output_gap = "\n",
        .opening = ASSISTANT,
        NO_GAPS};
const mote__v3_dialect mote__dialect_v31 = {.tag = TAG_BY_SWITCH,
        .calls = CALLS_IF_VALUE,
        .strip = STRIP_FIRST,
        .plain_calls = 1,
        NO_GAPS};
const mote__v3_dialect mote__dialect_r1_tools = {.tag = TAG_AFTER_USER,
        .calls = CALLS_IF_VALUE,
        .strip = STRIP_ALL,
        .tools = TOOLS_R1,
        .json_args = 1,
        .output_gap = "\n",
        .opening = ASSISTANT,
        NO_GAPS};

#define GAP2 "  "
#define GAP4 GAP2 GAP2
#define GAP6 GAP4 GAP2
#define GAP8 GAP4 GAP4
const mote__v3_dialect mote__dialect_v3_tools = {.tag = TAG_AFTER_USER,
        .calls = CALLS_IF_VALUE,
        .tools = TOOLS_V3,
        .json_args = 1,
        .output_gap = "\n",
        .opening = ASSISTANT "\n",
        .before_bos = "\n\n",
        .after_bos = "\n",
        .before_outputs_end = GAP8 GAP4,
        .before_first_call = GAP8 GAP8 GAP4,
        .before_call = GAP8 GAP8,
        .before_calls_end = GAP8,
        .before_tag = "",
        .before_think = "",
        .before_reply = GAP8 GAP4,
        .before_output = GAP8 GAP4,
        .before_last_outputs_end = GAP4,
        .after_last_outputs_end = "\n",
        .before_opening = GAP4,
        .before_opening_think = "",
        .after_all = "\n"};
const mote__v3_dialect mote__dialect_v31_tools = {.tag = TAG_BY_SWITCH,
        .calls = CALLS_IF_VALUE,
        .strip = STRIP_FIRST,
        .tools = TOOLS_V31,
        .plain_calls = 1,
        .json_args = 1,
        .before_bos = "\n\n",
        .after_bos = "",
        .before_outputs_end = "",
        .before_first_call = GAP8 GAP2,
        .before_call = GAP8,
        .before_calls_end = GAP4,
        .before_tag = GAP6,
        .before_think = GAP8,
        .before_reply = GAP6,
        .before_output = "",
        .before_last_outputs_end = "",
        .after_last_outputs_end = "",
        .before_opening = GAP2,
        .before_opening_think = GAP4,
        .after_all = ""};

/* One rendering: the templates' `ns`. */
typedef struct writer {
    const mote__v3_dialect *d;
    const mote__chat_input *input;
    mote__chat_out *out;
    mote_error *err;
    size_t i;                                      /* message at hand */
    int called, in_tool, first_output, after_user; /* is_first, is_tool, ... */
} writer;

/* Text of a reply: borrowed, or not a string at all. */
typedef struct reply_text {
    const mote__json *value;
    const char *text;
    size_t n;
} reply_text;

static reply_text reply_of(const mote__json *content)
{
    int string = content && content->type == MOTE__JSON_STRING;
    return (reply_text){
            content, string ? content->text : NULL, string ? content->n : 0};
}

static mote_status put_reply(writer *w, const reply_text *r)
{
    if (!r->text)
        return mote__chat_bad(w->err, w->i, "content", r->value, "a text");
    mote__chat_reply(w->out, r->text, r->n);
    return MOTE_OK;
}

/* Remove what lies before a </think>: the last one, or the first. */
static mote_status strip_reasoning(writer *w, reply_text *r, int last)
{
    static const char tag[] = "</think>";
    enum { N = sizeof tag - 1 };
    if (!r->text) {
        /* `'</think>' in content` fails for what cannot be looked into. */
        uint32_t type = r->value ? r->value->type : MOTE__JSON_OBJECT;
        if (type == MOTE__JSON_ARRAY || type == MOTE__JSON_OBJECT)
            return MOTE_OK;
        return mote__chat_bad(w->err, w->i, "content", r->value, "a text");
    }
    for (size_t at = 0; at + N <= r->n; at++) {
        const char *found = memchr(r->text + at, '<', r->n - at);
        if (!found)
            break;
        at = (size_t)(found - r->text);
        if (r->n - at >= N && memcmp(found, tag, N) == 0) {
            r->text += at + N;
            r->n -= at + N;
            if (!last)
                break;
            at = SIZE_MAX; /* becomes 0: go on behind the tag */
        }
    }
    return MOTE_OK;
}

static mote_status put_call(writer *w, const mote__json *call)
{
    mote_status st;
    const mote__v3_dialect *d = w->d;
    const mote__json *function = mote__json_get(call, "function");
    const mote__json *args = mote__json_get(function, "arguments");
    mote__chat_literal(w->out, CALL_BEGIN);
    if (!d->plain_calls) {
        if ((st = mote__chat_put_string(
                     w->out, mote__json_get(call, "type"), w->i, "type", w->err)) < 0)
            return st;
        mote__chat_literal(w->out, SEP);
    }
    if ((st = mote__chat_put_string(
                 w->out, mote__json_get(function, "name"), w->i, "name", w->err)) < 0)
        return st;
    mote__chat_literal(w->out, d->plain_calls ? SEP : "\n```json\n");
    if (!d->json_args)
        st = mote__chat_put_string(w->out, args, w->i, "arguments", w->err);
    else if (args)
        mote__chat_json(w->out, args);
    else
        st = mote__chat_bad(w->err, w->i, "arguments", args, "a value");
    mote__chat_literal(w->out, d->plain_calls ? CALL_END : "\n```" CALL_END);
    return st;
}

static mote_status put_calls(
        writer *w, const mote__json *calls, const reply_text *content)
{
    mote_status st;
    const mote__v3_dialect *d = w->d;
    const mote__json *call;
    if (d->tag == TAG_BY_SWITCH && w->after_user) {
        mote__chat_literal(w->out, d->before_tag);
        mote__chat_literal(w->out, ASSISTANT "</think>");
    }
    if (d->tag == TAG_AFTER_USER) {
        if (w->in_tool) {
            mote__chat_literal(w->out, d->before_outputs_end);
            mote__chat_literal(w->out, OUTPUTS_END);
        }
        w->first_output = 1;
    }
    if (d->tag != TAG_BY_REPLY)
        w->called = 0;
    w->after_user = 0;
    w->in_tool = 0;
    if ((st = mote__chat_iterate(&call, calls, w->i, "tool_calls", w->err)) < 0)
        return st;
    for (; call; call = call->next) {
        int first = !w->called;
        w->called = 1;
        if (first) {
            mote__chat_literal(w->out, d->before_first_call);
            if (d->tag == TAG_BY_REPLY)
                mote__chat_literal(w->out, ASSISTANT);
            /* V3 comes here only when the content is null. */
            if (!(content->value && content->value->type == MOTE__JSON_NULL) &&
                    (st = put_reply(w, content)) < 0)
                return st;
            mote__chat_literal(w->out, CALLS_BEGIN);
        } else {
            mote__chat_literal(w->out, d->before_call);
            if (!d->plain_calls)
                mote__chat_literal(w->out, "\n");
        }
        if ((st = put_call(w, call)) < 0)
            return st;
        if (d->end_per_call && !first)
            mote__chat_literal(w->out, CALLS_END EOS);
    }
    if (!d->end_per_call) {
        mote__chat_literal(w->out, d->before_calls_end);
        mote__chat_literal(w->out, CALLS_END EOS);
    }
    return MOTE_OK;
}

static mote_status put_answer(writer *w, const mote__json *message, reply_text *content)
{
    mote_status st;
    const mote__v3_dialect *d = w->d;
    if (d->tag == TAG_BY_SWITCH && w->after_user) {
        int think = (w->input->flags & MOTE_CHAT_THINK) &&
                    mote__json_truth(mote__json_get(message, "prefix"));
        mote__chat_literal(w->out, d->before_tag);
        mote__chat_literal(w->out, ASSISTANT);
        mote__chat_literal(w->out, d->before_think);
        mote__chat_literal(w->out, think ? "<think>" : "</think>");
    }
    w->after_user = 0;
    if (!w->in_tool && (d->strip == STRIP_LAST || d->strip == STRIP_FIRST) &&
            (st = strip_reasoning(w, content, d->strip == STRIP_LAST)) < 0)
        return st;
    mote__chat_literal(w->out, d->before_reply);
    if (w->in_tool && d->tag != TAG_BY_SWITCH)
        mote__chat_literal(w->out, OUTPUTS_END);
    if (!w->in_tool && d->tag == TAG_BY_REPLY)
        mote__chat_literal(w->out, ASSISTANT);
    w->in_tool = 0;
    if ((st = put_reply(w, content)) < 0)
        return st;
    mote__chat_literal(w->out, EOS);
    return MOTE_OK;
}

static mote_status put_assistant(writer *w, const mote__json *message)
{
    mote_status st;
    const mote__json *calls = mote__json_get(message, "tool_calls");
    reply_text content = reply_of(mote__json_get(message, "content"));
    if (w->d->strip == STRIP_ALL && (st = strip_reasoning(w, &content, 1)) < 0)
        return st;
    int calling =
            calls && (w->d->calls == CALLS_IF_KEY || calls->type != MOTE__JSON_NULL);
    if (w->d->calls == CALLS_IF_CONTENT_NULL)
        calling = content.value && content.value->type == MOTE__JSON_NULL;
    return calling ? put_calls(w, calls, &content) : put_answer(w, message, &content);
}

static mote_status put_tool_output(writer *w, const mote__json *message)
{
    mote_status st;
    w->after_user = 0;
    w->in_tool = 1;
    if (w->d->tag != TAG_BY_SWITCH) {
        mote__chat_literal(w->out, w->d->before_output);
        mote__chat_literal(w->out, w->first_output ? OUTPUTS_BEGIN : w->d->output_gap);
        w->first_output = 0;
    }
    mote__chat_literal(w->out, OUTPUT_BEGIN);
    if ((st = mote__chat_put_string(w->out, mote__json_get(message, "content"), w->i,
                 "content", w->err)) < 0)
        return st;
    mote__chat_literal(w->out, OUTPUT_END);
    return MOTE_OK;
}

static mote_status put_user(writer *w, const mote__json *message)
{
    mote_status st;
    w->in_tool = 0;
    if (w->d->tag != TAG_BY_REPLY) {
        w->called = 0;
        w->after_user = 1;
    }
    mote__chat_literal(w->out, USER);
    if ((st = mote__chat_put_string(w->out, mote__json_get(message, "content"), w->i,
                 "content", w->err)) < 0)
        return st;
    if (w->d->tag == TAG_AFTER_USER)
        mote__chat_literal(w->out, ASSISTANT);
    return MOTE_OK;
}

static void put_tools_v3(mote__chat_out *out, const mote__json *tools)
{
    mote__chat_literal(out, GAP4 "\n\n# Tools\n\nYou may call one or more functions to "
                                 "assist with the user query.");
    for (const mote__json *tool = tools->first; tool; tool = tool->next) {
        mote__chat_literal(out, "\n");
        mote__chat_json(out, tool);
    }
    mote__chat_literal(out, GAP4
            "\n</tools>\n\n\n\n" GAP4
            "For function call returns, you should first print " CALLS_BEGIN "\n\n" GAP4
            "For each function call, you should return object like:\n\n" GAP4 CALL_BEGIN
            "function" SEP "<function_name>\n```json\n"
            "<function_arguments_in_json_format>\n```" CALL_END "\n\n" GAP4
            "At the end of function call returns, you should print " CALLS_END EOS);
}

static void put_tools_r1(mote__chat_out *out, const mote__json *tools)
{
    mote__chat_literal(out,
            "\n\nYou are a helpful assistant with tool calling capabilities. When a "
            "tool "
            "call is needed, you MUST use the following format to issue the "
            "call:\n" CALLS_BEGIN CALL_BEGIN "function" SEP "FUNCTION_NAME\n```json\n"
            "{\"param1\": \"value1\", \"param2\": \"value2\"}\n```" CALL_END CALLS_END
            "\n\nMake sure the JSON is valid.## Tools\n\n### Function\n\nYou have the "
            "following functions available:\n\n");
    for (const mote__json *tool = tools->first; tool; tool = tool->next) {
        mote__chat_literal(out, "\n```json\n");
        mote__chat_json(out, tool);
        mote__chat_literal(out, "\n```\n");
    }
}

static mote_status put_tools_v31(
        mote__chat_out *out, const mote__json *tools, mote_error *err)
{
    size_t i = 0;
    mote__chat_literal(out, "\n\n## Tools\nYou have access to the following tools:\n");
    for (const mote__json *tool = tools->first; tool; tool = tool->next, i++) {
        const mote__json *function = mote__json_get(tool, "function");
        const mote__json *name = mote__json_get(function, "name");
        const mote__json *description = mote__json_get(function, "description");
        const mote__json *parameters = mote__json_get(function, "parameters");
        if (!name || name->type != MOTE__JSON_STRING || !description ||
                description->type != MOTE__JSON_STRING || !parameters)
            return mote__fail(err, MOTE_E_FORMAT,
                    "tool %zu: expected a function with name, description and "
                    "parameters",
                    i);
        mote__chat_literal(out, "\n### ");
        mote__chat_text(out, name->text, name->n);
        mote__chat_literal(out, "\nDescription: ");
        mote__chat_text(out, description->text, description->n);
        mote__chat_literal(out, "\n\nParameters: ");
        mote__chat_json(out, parameters);
        mote__chat_literal(out, "\n");
    }
    mote__chat_literal(out,
            "\nIMPORTANT: ALWAYS adhere to this exact format for tool "
            "use:\n" CALLS_BEGIN CALL_BEGIN "tool_call_name" SEP
            "tool_call_arguments" CALL_END "{{additional_tool_calls}}" CALLS_END
            "\n\nWhere:\n\n"
            "- `tool_call_name` must be an exact match to one of the available tools\n"
            "- `tool_call_arguments` must be valid JSON that strictly follows the "
            "tool's "
            "Parameters Schema\n"
            "- For multiple tool calls, chain them directly without separators or "
            "spaces\n");
    return MOTE_OK;
}

/* BOS, every system message wherever it stands, and the tools. */
static mote_status put_system(writer *w)
{
    mote_status st = MOTE_OK;
    const mote__json *tools = w->input->tools;
    int first = 1;
    mote__chat_literal(w->out, w->d->before_bos);
    mote__chat_literal(w->out, BOS);
    mote__chat_literal(w->out, w->d->after_bos);
    w->i = 0;
    for (const mote__json *m = w->input->messages->first; m; m = m->next, w->i++) {
        if (!mote__json_equals(mote__json_get(m, "role"), "system"))
            continue;
        if (!first)
            mote__chat_literal(w->out, "\n\n");
        first = 0;
        if ((st = mote__chat_put_string(w->out, mote__json_get(m, "content"), w->i,
                     "content", w->err)) < 0)
            return st;
    }
    if (w->d->tools == TOOLS_V3 && tools && tools->n > 0)
        put_tools_v3(w->out, tools);
    else if (w->d->tools == TOOLS_R1 && tools)
        put_tools_r1(w->out, tools);
    else if (w->d->tools == TOOLS_V31 && tools)
        st = put_tools_v31(w->out, tools, w->err);
    return st;
}

static void put_opening(writer *w)
{
    const mote__v3_dialect *d = w->d;
    int generate = (w->input->flags & MOTE_CHAT_GENERATE) != 0;
    if (d->tag == TAG_BY_SWITCH) {
        if (generate && w->after_user) {
            mote__chat_literal(w->out, d->before_opening);
            mote__chat_literal(w->out, ASSISTANT);
            mote__chat_literal(w->out, d->before_opening_think);
            mote__chat_literal(
                    w->out, w->input->flags & MOTE_CHAT_THINK ? "<think>" : "</think>");
        }
        return;
    }
    if (w->in_tool) {
        mote__chat_literal(w->out, d->before_last_outputs_end);
        mote__chat_literal(w->out, OUTPUTS_END);
        mote__chat_literal(w->out, d->after_last_outputs_end);
    }
    mote__chat_literal(w->out, d->after_all);
    if (generate && !w->after_user && !w->in_tool) {
        mote__chat_literal(w->out, d->before_opening);
        mote__chat_literal(w->out, d->opening);
    }
}

mote_status mote__chat_render_v3(const void *dialect, const mote__chat_input *input,
        mote__chat_out *out, mote_error *err)
{
    mote_status st;
    writer w = {
            .d = dialect, .input = input, .out = out, .err = err, .first_output = 1};
    if ((st = put_system(&w)) < 0)
        return st;
    w.i = 0;
    for (const mote__json *m = input->messages->first; m; m = m->next, w.i++) {
        const mote__json *role = mote__json_get(m, "role");
        if (mote__json_equals(role, "user"))
            st = put_user(&w, m);
        else if (mote__json_equals(role, "assistant"))
            st = put_assistant(&w, m);
        else if (mote__json_equals(role, "tool"))
            st = put_tool_output(&w, m);
        /* Other roles are passed over, as the templates do. */
        if (st < 0)
            return st;
    }
    put_opening(&w);
    return MOTE_OK;
}
