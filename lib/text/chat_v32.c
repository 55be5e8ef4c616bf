/* SPDX-License-Identifier: MIT */
/* DeepSeek-V3.2's format, which was published as an encoder and not as a template.
 * Calls are written as elements whose names begin with ｜DSML｜, one per parameter; the
 * reply that is to come is always opened after a user message or a full set of tool
 * outputs, so MOTE_CHAT_GENERATE changes nothing. */
#include "chat_format.h"

#define DSML "｜DSML｜"

typedef struct writer {
    const mote__chat_input *input;
    mote__chat_out *out;
    mote_error *err;
    size_t i, last_user; /* message at hand; last user or developer message */
    int has_user;        /* last_user means something */
    int thinking;
    /* For tool outputs: the calls they answer, and how many came. */
    const mote__json *calls;
    size_t answered;
    int can_answer; /* the last message that was no tool output is an assistant's */
} writer;

static int after_last_user(const writer *w)
{
    return !w->has_user || w->i > w->last_user;
}

/* content.format(): absent is None as well. */
static mote_status put_any(writer *w, const mote__json *value, const char *key)
{
    if (!value) {
        mote__chat_text(w->out, "None", 4);
        return MOTE_OK;
    }
    return mote__chat_put_any(w->out, value, w->i, key, w->err);
}

/* `value or ""`. */
static mote_status put_if_true(writer *w, const mote__json *value, const char *key)
{
    return mote__json_truth(value) ? put_any(w, value, key) : MOTE_OK;
}

static mote_status put_tools(writer *w, const mote__json *tools)
{
    mote_status st;
    const mote__json *tool;
    if ((st = mote__chat_iterate(&tool, tools, w->i, "tools", w->err)) < 0)
        return st;
    mote__chat_literal(w->out,
            "\n\n## Tools\n\nYou have access to a set of tools you can use to answer "
            "the "
            "user's question.\nYou can invoke functions by writing a \"<" DSML
            "function_calls>\" block like the following as part of your reply to the "
            "user:\n<" DSML "function_calls>\n<" DSML
            "invoke name=\"$FUNCTION_NAME\">\n<" DSML
            "parameter name=\"$PARAMETER_NAME\" "
            "string=\"true|false\">$PARAMETER_VALUE</" DSML "parameter>\n...\n</" DSML
            "invoke>\n<" DSML "invoke name=\"$FUNCTION_NAME2\">\n...\n</" DSML
            "invoke>\n</" DSML
            "function_calls>\n\nString and scalar parameters should be specified as is "
            "without any escaping or quotes, while lists and objects should use JSON "
            "format. The \"string\" attribute should be set to \"true\" for string "
            "type "
            "parameters and \"false\" for other types (numbers, booleans, arrays, "
            "objects).\n\nIf the thinking_mode is enabled, then after function results "
            "you "
            "should strongly consider outputting a thinking block. Here is an "
            "example:\n\n<" DSML "function_calls>\n...\n</" DSML
            "function_calls>\n\n<function_results>\n...\n</function_results>\n\n"
            "<think>...thinking about results</think>\n\nHere are the functions "
            "available "
            "in JSONSchema format:\n<functions>\n");
    for (; tool; tool = tool->next) {
        const mote__json *function = mote__json_get(tool, "function");
        if (!function)
            return mote__chat_bad(
                    w->err, w->i, "function", function, "a tool's function");
        mote__chat_json(w->out, function);
        mote__chat_literal(w->out, "\n");
    }
    mote__chat_literal(w->out, "</functions>\n");
    return MOTE_OK;
}

/* What a system or developer message says of tools and of the form of the answer. */
static mote_status put_means(writer *w, const mote__json *message)
{
    mote_status st;
    const mote__json *tools = mote__json_get(message, "tools");
    const mote__json *form = mote__json_get(message, "response_format");
    if (!mote__json_truth(tools) && w->i == 0)
        tools = w->input->tools; /* given beside the messages: the first one's */
    if (mote__json_truth(tools) && (st = put_tools(w, tools)) < 0)
        return st;
    if (mote__json_truth(form)) {
        mote__chat_literal(w->out,
                "\n\n## Response Format:\n\nYou MUST strictly adhere to "
                "the following schema to reply:\n");
        mote__chat_json(w->out, form);
    }
    return MOTE_OK;
}

static mote_status put_user(writer *w, const mote__json *message, int developer)
{
    mote_status st;
    const mote__json *content = mote__json_get(message, "content");
    mote__chat_literal(w->out, "<｜User｜>");
    if (developer) {
        if (!mote__json_truth(content))
            return mote__chat_bad(w->err, w->i, "content", content, "a text");
        if ((st = put_means(w, message)) < 0)
            return st;
        mote__chat_literal(w->out, "\n\n# The user's message is: ");
    }
    if ((st = put_any(w, content, "content")) < 0)
        return st;
    mote__chat_literal(w->out, "<｜Assistant｜>");
    mote__chat_literal(
            w->out, w->thinking && w->i == w->last_user ? "<think>" : "</think>");
    return MOTE_OK;
}

static mote_status put_tool_output(writer *w, const mote__json *message)
{
    mote_status st;
    size_t n_calls = w->calls ? w->calls->n : 0;
    if (!w->can_answer || w->answered >= n_calls)
        return mote__fail(w->err, MOTE_E_FORMAT,
                "message %zu: a tool output without a tool call that it answers", w->i);
    if (w->answered == 0)
        mote__chat_literal(w->out, "\n\n<function_results>");
    mote__chat_literal(w->out, "\n<result>");
    if ((st = put_any(w, mote__json_get(message, "content"), "content")) < 0)
        return st;
    mote__chat_literal(w->out, "</result>");
    if (++w->answered == n_calls) {
        int open = w->thinking && after_last_user(w);
        mote__chat_literal(w->out, "\n</function_results>\n\n");
        mote__chat_literal(w->out, open ? "<think>" : "</think>");
    }
    return MOTE_OK;
}

static mote_status put_call(writer *w, const mote__json *call)
{
    mote_status st;
    const mote__json *function = mote__json_get(call, "function");
    const mote__json *name = mote__json_get(function, "name");
    const mote__json *arguments = mote__json_get(function, "arguments");
    mote__json_doc doc;
    if (!name)
        return mote__chat_bad(w->err, w->i, "name", name, "the name of a function");
    if (!arguments || arguments->type != MOTE__JSON_STRING)
        return mote__chat_bad(w->err, w->i, "arguments", arguments, "JSON as a text");
    if ((st = mote__json_read(&doc, arguments->text, arguments->n,
                 "arguments of a tool call", w->err)) < 0)
        return st;
    mote__chat_literal(w->out, "<" DSML "invoke name=\"");
    if ((st = put_any(w, name, "name")) < 0)
        goto out;
    mote__chat_literal(w->out, "\">\n");
    if (doc.root->type != MOTE__JSON_OBJECT) {
        st = mote__chat_bad(
                w->err, w->i, "arguments", doc.root, "an object in the text");
        goto out;
    }
    for (const mote__json *v = doc.root->first; v; v = v->next) {
        int string = v->type == MOTE__JSON_STRING;
        mote__chat_literal(w->out, "<" DSML "parameter name=\"");
        mote__chat_text(w->out, v->key, v->key_bytes);
        mote__chat_literal(
                w->out, string ? "\" string=\"true\">" : "\" string=\"false\">");
        if (string)
            mote__chat_text(w->out, v->text, v->n);
        else
            mote__chat_json(w->out, v);
        mote__chat_literal(w->out, "</" DSML "parameter>");
        if (v->next)
            mote__chat_literal(w->out, "\n");
    }
    mote__chat_literal(w->out, "\n</" DSML "invoke>\n");
out:
    mote__json_free(&doc);
    return st;
}

static mote_status put_assistant(writer *w, const mote__json *message)
{
    mote_status st;
    const mote__json *call;
    const mote__json *calls = mote__json_get(message, "tool_calls");
    const mote__json *content = mote__json_get(message, "content");
    const mote__json *reasoning = mote__json_get(message, "reasoning_content");
    int calling = mote__json_truth(calls);
    if (w->thinking && after_last_user(w)) {
        if (!mote__json_truth(reasoning) && !calling)
            return mote__fail(w->err, MOTE_E_FORMAT,
                    "message %zu: a thinking reply after the last user message needs "
                    "reasoning_content or tool_calls",
                    w->i);
        if ((st = put_if_true(w, reasoning, "reasoning_content")) < 0)
            return st;
        mote__chat_literal(w->out, "</think>");
    }
    if (content && content->type == MOTE__JSON_STRING)
        mote__chat_reply(w->out, content->text, content->n);
    else if ((st = put_if_true(w, content, "content")) < 0)
        return st;
    if (calling) {
        mote__chat_literal(w->out, "\n\n<" DSML "function_calls>\n");
        if ((st = mote__chat_iterate(&call, calls, w->i, "tool_calls", w->err)) < 0)
            return st;
        for (; call; call = call->next)
            if ((st = put_call(w, call)) < 0)
                return st;
        mote__chat_literal(w->out, "</" DSML "function_calls>");
    }
    mote__chat_literal(w->out, "<｜end▁of▁sentence｜>");
    return MOTE_OK;
}

/* Where the last user message is; in thinking mode also whether the encoder, which
 * drops earlier reasoning by copying the messages it knows, would lose one. */
static mote_status look_ahead(writer *w)
{
    size_t i = 0;
    for (const mote__json *m = w->input->messages->first; m; m = m->next, i++) {
        const mote__json *role = mote__json_get(m, "role");
        if (mote__json_equals(role, "user") || mote__json_equals(role, "developer")) {
            w->has_user = 1;
            w->last_user = i;
        }
    }
    if (!w->thinking || (w->input->flags & MOTE_CHAT_KEEP_REASONING) || !w->has_user)
        return MOTE_OK;
    i = 0;
    for (const mote__json *m = w->input->messages->first; i < w->last_user;
            m = m->next, i++)
        if (mote__json_equals(mote__json_get(m, "role"), "developer"))
            return mote__fail(w->err, MOTE_E_FORMAT,
                    "message %zu: a developer message before the last user message "
                    "cannot "
                    "be kept while earlier reasoning is dropped "
                    "(MOTE_CHAT_KEEP_REASONING)",
                    i);
    return MOTE_OK;
}

mote_status mote__chat_render_v32(const void *dialect, const mote__chat_input *input,
        mote__chat_out *out, mote_error *err)
{
    mote_status st;
    writer w = {.input = input,
            .out = out,
            .err = err,
            .thinking = (input->flags & MOTE_CHAT_THINK) != 0};
    const mote__json *first = input->messages->first;
    (void)dialect;
    if ((st = look_ahead(&w)) < 0)
        return st;
    mote__chat_literal(out, "<｜begin▁of▁sentence｜>");
    if (mote__json_truth(input->tools) &&
            !(first && (mote__json_equals(mote__json_get(first, "role"), "system") ||
                               mote__json_equals(
                                       mote__json_get(first, "role"), "developer"))) &&
            (st = put_tools(&w, input->tools)) < 0)
        return st;
    for (const mote__json *m = first; m; m = m->next, w.i++) {
        const mote__json *role = mote__json_get(m, "role");
        if (mote__json_equals(role, "tool")) {
            if ((st = put_tool_output(&w, m)) < 0)
                return st;
            continue;
        }
        w.calls = NULL;
        w.answered = 0;
        w.can_answer = 0;
        if (mote__json_equals(role, "system")) {
            if ((st = put_if_true(&w, mote__json_get(m, "content"), "content")) >= 0)
                st = put_means(&w, m);
        } else if (mote__json_equals(role, "user")) {
            st = put_user(&w, m, 0);
        } else if (mote__json_equals(role, "developer")) {
            st = put_user(&w, m, 1);
        } else if (mote__json_equals(role, "assistant")) {
            w.calls = mote__json_get(m, "tool_calls");
            w.can_answer = 1;
            st = put_assistant(&w, m);
        } else {
            st = mote__chat_bad(err, w.i, "role", role,
                    "system, developer, user, assistant or tool");
        }
        if (st < 0)
            return st;
    }
    return MOTE_OK;
}
