/* SPDX-License-Identifier: MIT */
/* Moonshot's formats: Moonlight and Kimi-K2. */
#include "chat_format.h"

#define SYSTEM "<|im_system|>"
#define USER "<|im_user|>"
#define ASSISTANT "<|im_assistant|>"
#define MIDDLE "<|im_middle|>"
#define END "<|im_end|>"
#define DEFAULT_SYSTEM SYSTEM "system" MIDDLE "You are a helpful assistant" END
#define OPENING ASSISTANT "assistant" MIDDLE

static int first_is_system(const mote__chat_input *input)
{
    const mote__json *first = input->messages->first;
    return !first || mote__json_equals(mote__json_get(first, "role"), "system");
}

mote_status mote__chat_render_moonlight(const void *dialect,
        const mote__chat_input *input, mote__chat_out *out, mote_error *err)
{
    mote_status st;
    size_t i = 0;
    (void)dialect;
    if (!first_is_system(input))
        mote__chat_literal(out, DEFAULT_SYSTEM);
    for (const mote__json *m = input->messages->first; m; m = m->next, i++) {
        const mote__json *role = mote__json_get(m, "role");
        if (mote__json_equals(role, "system"))
            mote__chat_literal(out, SYSTEM);
        else if (mote__json_equals(role, "user"))
            mote__chat_literal(out, USER);
        else if (mote__json_equals(role, "assistant"))
            mote__chat_literal(out, ASSISTANT);
        /* Any other role is written without a tag of its own. */
        if ((st = mote__chat_put_any(out, role, i, "role", err)) < 0)
            return st;
        mote__chat_literal(out, MIDDLE);
        if ((st = mote__chat_put_any(
                     out, mote__json_get(m, "content"), i, "content", err)) < 0)
            return st;
        mote__chat_literal(out, END);
    }
    if (input->flags & MOTE_CHAT_GENERATE)
        mote__chat_literal(out, OPENING);
    return MOTE_OK;
}

static mote_status put_calls(mote__chat_out *out, const mote__json *m,
        const mote__json *calls, size_t i, mote_error *err)
{
    mote_status st;
    const mote__json *call, *content = mote__json_get(m, "content");
    if (mote__json_truth(content) &&
            (st = mote__chat_put_any(out, content, i, "content", err)) < 0)
        return st;
    mote__chat_literal(out, "<|tool_calls_section_begin|>");
    if ((st = mote__chat_iterate(&call, calls, i, "tool_calls", err)) < 0)
        return st;
    for (uint64_t index = 0; call; call = call->next, index++) {
        const mote__json *function = mote__json_get(call, "function");
        const mote__json *args = mote__json_get(function, "arguments");
        mote__chat_literal(out, "<|tool_call_begin|>functions.");
        if ((st = mote__chat_put_string(
                     out, mote__json_get(function, "name"), i, "name", err)) < 0)
            return st;
        char number[24], *end = number + sizeof number, *s = end;
        uint64_t rest = index;
        do
            *--s = (char)('0' + rest % 10);
        while (rest /= 10);
        *--s = ':';
        mote__chat_text(out, s, (size_t)(end - s));
        mote__chat_literal(out, "<|tool_call_argument_begin|>");
        if (!args)
            return mote__chat_bad(err, i, "arguments", args, "a value");
        mote__chat_json(out, args);
        mote__chat_literal(out, "<|tool_call_end|>");
    }
    mote__chat_literal(out, "<|tool_calls_section_end|>");
    return MOTE_OK;
}

/* A list of texts and images. An image is its placeholder: what fills it is not text.
 */
static mote_status put_parts(
        mote__chat_out *out, const mote__json *content, size_t i, mote_error *err)
{
    mote_status st;
    const mote__json *part;
    if ((st = mote__chat_iterate(&part, content, i, "content", err)) < 0)
        return st;
    for (; part; part = part->next) {
        if (part->type != MOTE__JSON_OBJECT)
            return mote__chat_bad(err, i, "content", part, "objects in the array");
        if (mote__json_equals(mote__json_get(part, "type"), "image") ||
                mote__json_get(part, "image") || mote__json_get(part, "image_url"))
            mote__chat_literal(out, "<|media_start|>image<|media_content|><|media_pad|>"
                                    "<|media_end|>\n");
        else if ((st = mote__chat_put_any(
                          out, mote__json_get(part, "text"), i, "text", err)) < 0)
            return st;
    }
    return MOTE_OK;
}

mote_status mote__chat_render_kimi(const void *dialect, const mote__chat_input *input,
        mote__chat_out *out, mote_error *err)
{
    mote_status st;
    size_t i = 0;
    (void)dialect;
    if (input->tools && input->tools->n > 0) {
        mote__chat_literal(out, SYSTEM "tool_declare" MIDDLE);
        mote__chat_json(out, input->tools);
        mote__chat_literal(out, END);
    }
    if (!first_is_system(input))
        mote__chat_literal(out, DEFAULT_SYSTEM);
    for (const mote__json *m = input->messages->first; m; m = m->next, i++) {
        const mote__json *role = mote__json_get(m, "role");
        const mote__json *content = mote__json_get(m, "content");
        const mote__json *calls = mote__json_get(m, "tool_calls");
        int assistant = mote__json_equals(role, "assistant");
        int tool = mote__json_equals(role, "tool");
        if (mote__json_equals(role, "system"))
            mote__chat_literal(out, SYSTEM "system" MIDDLE);
        else if (mote__json_equals(role, "user"))
            mote__chat_literal(out, USER "user" MIDDLE);
        else if (assistant)
            mote__chat_literal(out, OPENING);
        else if (tool)
            mote__chat_literal(out, SYSTEM "tool" MIDDLE);
        if (assistant && mote__json_truth(calls)) {
            st = put_calls(out, m, calls, i, err);
        } else if (tool) {
            mote__chat_literal(out, "## Return of ");
            st = mote__chat_put_any(
                    out, mote__json_get(m, "tool_call_id"), i, "tool_call_id", err);
            mote__chat_literal(out, "\\n"); /* two letters, as published */
            if (st >= 0)
                st = mote__chat_put_any(out, content, i, "content", err);
        } else if (content && content->type == MOTE__JSON_STRING) {
            mote__chat_text(out, content->text, content->n);
            st = MOTE_OK;
        } else if (content && content->type == MOTE__JSON_NULL) {
            st = MOTE_OK;
        } else {
            st = put_parts(out, content, i, err);
        }
        if (st < 0)
            return st;
        mote__chat_literal(out, END);
    }
    if (input->flags & MOTE_CHAT_GENERATE)
        mote__chat_literal(out, OPENING);
    return MOTE_OK;
}
