/* SPDX-License-Identifier: MIT */
/* The list of formats, and what their writers share. */
#include "chat_format.h"

#include <string.h>

static const mote_chat_format formats[] = {
        {.name = "deepseek-v2", .render = mote__chat_render_v2},
        {.name = "deepseek-v3",
                .render = mote__chat_render_v3,
                .dialect = &mote__dialect_v3,
                .calls = MOTE__CALLS_FENCED},
        {.name = "deepseek-v3-0324",
                .render = mote__chat_render_v3,
                .dialect = &mote__dialect_v3_0324,
                .calls = MOTE__CALLS_FENCED},
        {.name = "deepseek-r1",
                .render = mote__chat_render_v3,
                .dialect = &mote__dialect_r1,
                .calls = MOTE__CALLS_FENCED,
                .reasoning = 1},
        {.name = "deepseek-r1-initial",
                .render = mote__chat_render_v3,
                .dialect = &mote__dialect_r1_initial,
                .calls = MOTE__CALLS_FENCED,
                .reasoning = 1},
        {.name = "deepseek-r1-0528",
                .render = mote__chat_render_v3,
                .dialect = &mote__dialect_r1_0528,
                .calls = MOTE__CALLS_FENCED,
                .reasoning = 1},
        {.name = "deepseek-v3.1",
                .render = mote__chat_render_v3,
                .dialect = &mote__dialect_v31,
                .calls = MOTE__CALLS_PLAIN,
                .reasoning = 1},
        {.name = "deepseek-v3.2",
                .alias = "deepseek-v3.2-encoding",
                .render = mote__chat_render_v32,
                .calls = MOTE__CALLS_DSML,
                .reasoning = 1,
                .takes_tools = 1},
        {.name = "moonlight",
                .alias = "moonlight-instruct",
                .render = mote__chat_render_moonlight,
                .calls = MOTE__CALLS_KIMI},
        {.name = "kimi-k2",
                .alias = "kimi-k2-instruct",
                .render = mote__chat_render_kimi,
                .calls = MOTE__CALLS_KIMI,
                .takes_tools = 1},
        {.name = "deepseek-v3-tools",
                .alias = "vllm-deepseekv3-tools",
                .render = mote__chat_render_v3,
                .dialect = &mote__dialect_v3_tools,
                .calls = MOTE__CALLS_FENCED,
                .takes_tools = 1},
        {.name = "deepseek-r1-tools",
                .alias = "vllm-deepseekr1-tools",
                .render = mote__chat_render_v3,
                .dialect = &mote__dialect_r1_tools,
                .calls = MOTE__CALLS_FENCED,
                .reasoning = 1,
                .takes_tools = 1},
        {.name = "deepseek-v3.1-tools",
                .alias = "vllm-deepseekv31-tools",
                .render = mote__chat_render_v3,
                .dialect = &mote__dialect_v31_tools,
                .calls = MOTE__CALLS_PLAIN,
                .reasoning = 1,
                .takes_tools = 1},
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

const mote_chat_format *mote_chat_format_at(uint32_t index)
{
    return index < N_FORMATS ? &formats[index] : NULL;
}

const char *mote_chat_format_name(const mote_chat_format *format)
{
    return format ? format->name : NULL;
}

const mote_chat_format *mote_chat_format_find(const char *name, mote_error *err)
{
    if (!name) {
        mote__fail(err, MOTE_E_INVALID, "the name of a chat format is NULL");
        return NULL;
    }
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0 ||
                (formats[i].alias && strcmp(formats[i].alias, name) == 0))
            return &formats[i];
    mote__fail(err, MOTE_E_NOT_FOUND,
            "no chat format is named \"%.60s\"; mote_chat_format_at() lists them",
            name);
    return NULL;
}

mote_status mote__chat_bad(mote_error *err, size_t i, const char *key,
        const mote__json *value, const char *expected)
{
    static const char *const types[] = {
            "null", "false", "true", "a number", "a text", "an array", "an object"};
    return mote__fail(err, MOTE_E_FORMAT, "message %zu: \"%s\" is %s, expected %s", i,
            key, value ? types[value->type] : "absent", expected);
}

mote_status mote__chat_put_string(mote__chat_out *out, const mote__json *value,
        size_t i, const char *key, mote_error *err)
{
    if (!value || value->type != MOTE__JSON_STRING)
        return mote__chat_bad(err, i, key, value, "a text");
    mote__chat_text(out, value->text, value->n);
    return MOTE_OK;
}

mote_status mote__chat_put_any(mote__chat_out *out, const mote__json *value, size_t i,
        const char *key, mote_error *err)
{
    char scratch[MOTE__JSON_NUMBER_SCRATCH];
    const char *text;
    size_t n;
    if (!value)
        return MOTE_OK;
    switch (value->type) {
    case MOTE__JSON_NULL:
        mote__chat_text(out, "None", 4);
        break;
    case MOTE__JSON_FALSE:
        mote__chat_text(out, "False", 5);
        break;
    case MOTE__JSON_TRUE:
        mote__chat_text(out, "True", 4);
        break;
    case MOTE__JSON_STRING:
        mote__chat_text(out, value->text, value->n);
        break;
    case MOTE__JSON_NUMBER:
        n = mote__json_number(value, scratch, &text);
        mote__chat_text(out, text, n);
        break;
    default:
        return mote__chat_bad(err, i, key, value, "a text");
    }
    return MOTE_OK;
}

mote_status mote__chat_iterate(const mote__json **first, const mote__json *value,
        size_t i, const char *key, mote_error *err)
{
    *first = NULL;
    if (!value)
        return MOTE_OK;
    if (value->type == MOTE__JSON_ARRAY)
        *first = value->first;
    else if (value->n > 0 ||
             (value->type != MOTE__JSON_STRING && value->type != MOTE__JSON_OBJECT))
        return mote__chat_bad(err, i, key, value, "an array");
    return MOTE_OK;
}

mote_status mote__chat_write(const mote_chat_format *format, const char *messages,
        size_t n_bytes, uint32_t flags, const char *tools, size_t tools_bytes,
        mote__chat_out *out, mote_error *err)
{
    mote_status st;
    size_t i = 0;
    mote__json_doc talk = {0}, described = {0};
    mote__chat_input input = {.flags = flags};
    *out = (mote__chat_out){0};
    if ((st = mote__json_read(&talk, messages, n_bytes, "messages", err)) < 0)
        goto out;
    if (tools && tools_bytes &&
            (st = mote__json_read(&described, tools, tools_bytes, "tools", err)) < 0)
        goto out;
    input.messages = talk.root;
    if (talk.root->type != MOTE__JSON_ARRAY) {
        st = mote__fail(err, MOTE_E_FORMAT, "messages: expected an array of objects");
        goto out;
    }
    for (const mote__json *m = talk.root->first; m; m = m->next, i++)
        if (m->type != MOTE__JSON_OBJECT) {
            st = mote__fail(err, MOTE_E_FORMAT, "message %zu: expected an object", i);
            goto out;
        }
    if (described.root && described.root->type != MOTE__JSON_NULL) {
        input.tools = described.root;
        if (input.tools->type != MOTE__JSON_ARRAY) {
            st = mote__fail(err, MOTE_E_FORMAT, "tools: expected an array of objects");
            goto out;
        }
        if (!format->takes_tools && input.tools->n > 0) {
            st = mote__fail(err, MOTE_E_UNSUPPORTED,
                    "chat format %s has no place for tool descriptions; use one that "
                    "has "
                    "(deepseek-v3-tools, deepseek-r1-tools, deepseek-v3.1-tools) or "
                    "describe them in a system message",
                    format->name);
            goto out;
        }
    }
    st = format->render(format->dialect, &input, out, err);
    if (st >= 0 && out->failed)
        st = mote__fail_memory(err, out->failed, "a rendered conversation");
out:
    mote__json_free(&described);
    mote__json_free(&talk);
    if (st < 0)
        mote__chat_out_free(out);
    return st;
}
