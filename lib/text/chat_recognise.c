/* SPDX-License-Identifier: MIT */
/* Which format a checkpoint's template is. The templates are programs; they are not run
 * but recognised by what only they contain. The first line of the list whose marks are
 * all there decides; where a template has a tag of the DeepSeek family but none of the
 * lines fit, it is unknown and not guessed at. */
#include "chat_format.h"

#include <string.h>

enum { MARKS_MAX = 4 };

static const struct mark {
    const char *format;
    const char *has[MARKS_MAX];   /* all of these */
    const char *lacks[MARKS_MAX]; /* none of these */
} marks[] = {
        /* Moonshot. */
        {"kimi-k2", {"<|im_middle|>", "<|tool_calls_section_begin|>"}, {0}},
        {"moonlight", {"<|im_middle|>", "<|im_user|>"}, {"tool"}},
        /* V3.1: a thinking switch that closes or opens the tag. */
        {"deepseek-v3.1-tools",
                {"<｜User｜>", "<｜Assistant｜>", "thinking is defined",
                        "additional_tool_calls"},
                {0}},
        {"deepseek-v3.1",
                {"<｜User｜>", "<｜Assistant｜>", "thinking is defined", "'</think>'"},
                {"tojson", "enable_thinking"}},
        /* Tools described in the prompt. */
        {"deepseek-r1-tools",
                {"<｜User｜>", "with tool calling capabilities",
                        "'</think>' in content", "tojson"},
                {0}},
        {"deepseek-v3-tools", {"<｜User｜>", "# Tools", "</tools>", "tojson"},
                {"think>"}},
        /* The assistant tag after each user message. */
        {"deepseek-r1-0528",
                {"<｜User｜>", "is_last_user", "'</think>' in content",
                        "<｜tool▁calls▁begin｜>"},
                {"tojson", "thinking"}},
        {"deepseek-v3-0324", {"<｜User｜>", "is_last_user", "<｜tool▁calls▁begin｜>"},
                {"tojson", "think"}},
        /* The assistant tag with each reply. */
        {"deepseek-r1",
                {"<｜User｜>", "'</think>' in content", "'<｜Assistant｜><think>\\n'"},
                {"tojson", "is_last_user", "thinking"}},
        {"deepseek-r1-initial",
                {"<｜User｜>", "'</think>' in content", "<｜tool▁calls▁begin｜>"},
                {"tojson", "is_last_user", "thinking", "<think>"}},
        {"deepseek-v3", {"<｜User｜>", "<｜Assistant｜>", "message['content']"},
                {"tojson", "is_last_user", "think"}},
        /* Roles as words. */
        {"deepseek-v2", {"'User: '", "'Assistant: '", "'Assistant:'"}, {"｜", "think"}},
};

static int contains(const char *text, size_t n, const char *mark)
{
    size_t length = strlen(mark);
    const char *end = text + n;
    while ((size_t)(end - text) >= length) {
        const char *found = memchr(text, mark[0], (size_t)(end - text) - length + 1);
        if (!found)
            return 0;
        if (memcmp(found, mark, length) == 0)
            return 1;
        text = found + 1;
    }
    return 0;
}

const mote_chat_format *mote__chat_recognise(const char *chat_template, size_t n)
{
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        int fits = 1;
        for (int k = 0; fits && k < MARKS_MAX && marks[i].has[k]; k++)
            fits = contains(chat_template, n, marks[i].has[k]);
        for (int k = 0; fits && k < MARKS_MAX && marks[i].lacks[k]; k++)
            fits = !contains(chat_template, n, marks[i].lacks[k]);
        if (fits)
            return mote_chat_format_find(marks[i].format, NULL);
    }
    return NULL;
}
