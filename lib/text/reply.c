/* SPDX-License-Identifier: MIT */
/* A state machine over bytes. In each state some patterns (tags, stop strings) are
 * looked for at once, each by its own Knuth-Morris-Pratt automaton; what is held back
 * is exactly the longest part of a pattern that the text ends with, so its bytes need
 * no buffer: they are the pattern's own. Whatever falls out of that part is emitted,
 * and where it goes (content, reasoning, arguments, the head of a call) is the state's
 * business. */
#include "reply.h"
#include "base/status.h"
#include "mote/session.h"
#include "text/chat_format.h"

#include <string.h>

enum {
    STOPS_MAX = 64,
    STOP_BYTES_MAX = 4096,
    TAGS_MAX = 16,
    TAG_BYTES_MAX = 64,
    HEAD_MAX = 512, /* bytes of a call before its arguments, tags included */
    NAME_MAX_BYTES = 256,
    SEGMENTS_MAX = 8
};

enum {
    CONTENT,
    REASONING,
    SECTION, /* among tool calls */
    TYPE,    /* before the name of a call */
    NAME,
    FENCE, /* a ```json line may follow */
    ARGUMENTS,
    DSML_BODY, /* among parameters */
    DSML_KEY,
    DSML_STRING,
    DSML_JSON,
    DONE
};
#define IN(state) (1u << (state))

enum {
    OPEN_THINK,
    CLOSE_THINK,
    OPEN_SECTION,
    CLOSE_SECTION,
    OPEN_CALL,
    END_TYPE,
    END_NAME,
    OPEN_FENCE,
    CLOSE_CALL,
    OPEN_PARAMETER,
    STRING_FOLLOWS,
    JSON_FOLLOWS,
    CLOSE_PARAMETER,
    STOP
};

typedef struct tag {
    const char *text;
    uint32_t states; /* where it is looked for */
    uint32_t action;
} tag;

#define CALLS_BEGIN "<｜tool▁calls▁begin｜>"
#define CALLS_END "<｜tool▁calls▁end｜>"
#define CALL_BEGIN "<｜tool▁call▁begin｜>"
#define CALL_END "<｜tool▁call▁end｜>"
#define SEP "<｜tool▁sep｜>"
#define DSML "｜DSML｜"

static const tag think_tags[] = {
        {"<think>", IN(CONTENT) | IN(REASONING), OPEN_THINK},
        {"</think>", IN(REASONING), CLOSE_THINK},
};
static const tag fenced_tags[] = {
        {CALLS_BEGIN, IN(CONTENT), OPEN_SECTION},
        {CALLS_END, IN(SECTION) | IN(NAME) | IN(FENCE) | IN(ARGUMENTS), CLOSE_SECTION},
        {CALL_BEGIN, IN(CONTENT) | IN(SECTION), OPEN_CALL},
        {SEP, IN(TYPE), END_TYPE},
        {"\n", IN(NAME), END_NAME},
        {"```json\n", IN(FENCE), OPEN_FENCE},
        {"```\n", IN(FENCE), OPEN_FENCE},
        {CALL_END, IN(NAME) | IN(FENCE) | IN(ARGUMENTS), CLOSE_CALL},
        {"```" CALL_END, IN(FENCE) | IN(ARGUMENTS), CLOSE_CALL},
        {"\n```" CALL_END, IN(FENCE) | IN(ARGUMENTS), CLOSE_CALL},
        {"\n```\n" CALL_END, IN(FENCE) | IN(ARGUMENTS), CLOSE_CALL},
        {"\n```" CALLS_END, IN(FENCE) | IN(ARGUMENTS), CLOSE_SECTION},
};
static const tag plain_tags[] = {
        {CALLS_BEGIN, IN(CONTENT), OPEN_SECTION},
        {CALLS_END, IN(SECTION) | IN(NAME) | IN(ARGUMENTS), CLOSE_SECTION},
        {CALL_BEGIN, IN(CONTENT) | IN(SECTION), OPEN_CALL},
        {SEP, IN(NAME), END_NAME},
        {CALL_END, IN(NAME) | IN(ARGUMENTS), CLOSE_CALL},
};
static const tag kimi_tags[] = {
        {"<|tool_calls_section_begin|>", IN(CONTENT), OPEN_SECTION},
        {"<|tool_calls_section_end|>", IN(SECTION) | IN(NAME) | IN(ARGUMENTS),
                CLOSE_SECTION},
        {"<|tool_call_begin|>", IN(CONTENT) | IN(SECTION), OPEN_CALL},
        {"<|tool_call_argument_begin|>", IN(NAME), END_NAME},
        {"<|tool_call_end|>", IN(NAME) | IN(ARGUMENTS), CLOSE_CALL},
};
static const tag dsml_tags[] = {
        {"<" DSML "function_calls>", IN(CONTENT), OPEN_SECTION},
        {"\n\n<" DSML "function_calls>", IN(CONTENT), OPEN_SECTION},
        {"</" DSML "function_calls>", IN(SECTION) | IN(DSML_BODY), CLOSE_SECTION},
        {"<" DSML "invoke name=\"", IN(CONTENT) | IN(SECTION), OPEN_CALL},
        {"\">", IN(NAME), END_NAME},
        {"</" DSML "invoke>", IN(DSML_BODY), CLOSE_CALL},
        {"<" DSML "parameter name=\"", IN(DSML_BODY), OPEN_PARAMETER},
        {"\" string=\"true\">", IN(DSML_KEY), STRING_FOLLOWS},
        {"\" string=\"false\">", IN(DSML_KEY), JSON_FOLLOWS},
        {"\">", IN(DSML_KEY), STRING_FOLLOWS},
        {"</" DSML "parameter>", IN(DSML_STRING) | IN(DSML_JSON), CLOSE_PARAMETER},
};
#define TAGS(t) t, sizeof t / sizeof t[0]
static const struct syntax {
    const tag *tags;
    size_t n;
} syntaxes[] = {
        [MOTE__CALLS_NONE] = {NULL, 0},
        [MOTE__CALLS_FENCED] = {TAGS(fenced_tags)},
        [MOTE__CALLS_PLAIN] = {TAGS(plain_tags)},
        [MOTE__CALLS_KIMI] = {TAGS(kimi_tags)},
        [MOTE__CALLS_DSML] = {TAGS(dsml_tags)},
};

/* Tags that a tokenizer may have as one token, which its decoder may then leave out. */
static const char *const control_tokens[] = {"<think>", "</think>", CALLS_BEGIN,
        CALLS_END, CALL_BEGIN, CALL_END, SEP, DSML, "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>", "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>", "<|tool_call_end|>"};
enum { N_CONTROL = sizeof control_tokens / sizeof control_tokens[0] };

typedef struct pattern {
    const char *text;
    uint16_t *fail; /* [n]: length of the longest border of the first i + 1 bytes */
    uint32_t n, matched, states, action;
} pattern;

/* A run of output of one channel. */
typedef struct segment {
    uint32_t channel, tool_index;
    size_t begin, end;
    uint32_t slot; /* of names */
} segment;

struct mote__reply {
    mote__memory *m;
    size_t size; /* of the whole block */
    uint32_t calls, state;
    uint32_t n_patterns, n_tools, n_segments, name_slot;
    uint32_t held; /* bytes of patterns[held_by].text not yet decided */
    uint32_t held_by;
    uint32_t reasoned; /* the reasoning has begun */
    uint32_t n_parameters;
    uint32_t value_begun; /* a DSML_JSON value is not empty */
    uint32_t finishing;
    const char *input, *extra; /* what is left of the piece; then of a hidden tag */
    size_t n_input, n_extra;
    size_t head_n, name_begin;
    size_t out_n, out_capacity, step_max; /* most bytes that one step can emit */
    char *out;
    int32_t control_ids[N_CONTROL];
    segment segments[SEGMENTS_MAX];
    char names[2][NAME_MAX_BYTES + 1];
    char head[HEAD_MAX + TAG_BYTES_MAX];
    pattern patterns[TAGS_MAX + STOPS_MAX];
};

/* ---- output ---- */

static void put(mote__reply *r, uint32_t channel, const char *text, size_t n)
{
    uint32_t tool = channel == MOTE_CHANNEL_TOOL ? r->n_tools - 1 : 0;
    segment *last = r->n_segments ? &r->segments[r->n_segments - 1] : NULL;
    if (n == 0)
        return;
    if (!last || last->channel != channel || last->tool_index != tool) {
        last = &r->segments[r->n_segments++];
        *last = (segment){channel, tool, r->out_n, r->out_n, r->name_slot};
    }
    memcpy(r->out + r->out_n, text, n);
    r->out_n += n;
    last->end = r->out_n;
}

static void put_text(mote__reply *r, uint32_t channel, const char *text)
{
    put(r, channel, text, strlen(text));
}

/* Part of a JSON string. */
static void put_escaped(mote__reply *r, const char *text, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        char escape[6] = {'\\', (char)c, '0', '0', hex[c >> 4], hex[c & 15]};
        size_t length = 6;
        if (c >= 0x20)
            length = c == '"' || c == '\\' ? 2 : 1;
        else if (c == '\n' || c == '\t' || c == '\r')
            length = 2, escape[1] = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
        else
            escape[1] = 'u';
        put(r, MOTE_CHANNEL_TOOL, length == 1 ? text + i : escape, length);
    }
}

static int is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void head_append(mote__reply *r, const char *text, size_t n)
{
    memcpy(r->head + r->head_n, text, n);
    r->head_n += n;
}

/* Text that belongs to no tag, to where the state wants it. */
static void emit(mote__reply *r, const char *text, size_t n)
{
    switch (r->state) {
    case CONTENT:
        put(r, MOTE_CHANNEL_CONTENT, text, n);
        break;
    case REASONING:
        for (size_t i = 0; i < n && !r->reasoned; i++)
            r->reasoned = !is_space(text[i]);
        put(r, MOTE_CHANNEL_REASONING, text, n);
        break;
    case SECTION:
    case DSML_BODY:
        for (size_t i = 0; i < n; i++)
            if (!is_space(text[i]))
                put(r, MOTE_CHANNEL_CONTENT, text + i, 1);
        break;
    case TYPE:
    case NAME:
        head_append(r, text, n);
        break;
    case FENCE:
    case ARGUMENTS:
        put(r, MOTE_CHANNEL_TOOL, text, n);
        break;
    case DSML_KEY:
    case DSML_STRING:
        put_escaped(r, text, n);
        break;
    case DSML_JSON:
        r->value_begun |= n > 0;
        put(r, MOTE_CHANNEL_TOOL, text, n);
        break;
    default:
        break;
    }
}

/* ---- states ---- */

static void enter(mote__reply *r, uint32_t state)
{
    r->state = state;
    r->held = 0;
    for (uint32_t i = 0; i < r->n_patterns; i++)
        r->patterns[i].matched = 0;
}

static void step(mote__reply *r, char c);

/* What was taken for the head of a call is none: it was content. */
static void malformed(mote__reply *r)
{
    char held[TAG_BYTES_MAX];
    size_t n = r->held;
    memcpy(held, r->patterns[r->held_by].text, n);
    put(r, MOTE_CHANNEL_CONTENT, r->head, r->head_n);
    enter(r, CONTENT);
    for (size_t i = 0; i < n; i++)
        step(r, held[i]);
}

/* The name is complete: announce the call. 0 when there is none. */
static int announce(mote__reply *r)
{
    const char *begin = r->head + r->name_begin, *end = r->head + r->head_n;
    while (begin < end && is_space(*begin))
        begin++;
    while (begin < end && is_space(end[-1]))
        end--;
    if (r->calls == MOTE__CALLS_KIMI) {
        const char *s = end;
        while (s > begin && s[-1] >= '0' && s[-1] <= '9')
            s--;
        if (s < end && s > begin && s[-1] == ':')
            end = s - 1;
        if (end - begin > 10 && memcmp(begin, "functions.", 10) == 0)
            begin += 10;
    }
    size_t n = (size_t)(end - begin);
    if (n == 0 || n > NAME_MAX_BYTES || memchr(begin, '\0', n))
        return 0;
    r->name_slot ^= 1;
    memcpy(r->names[r->name_slot], begin, n);
    r->names[r->name_slot][n] = '\0';
    r->segments[r->n_segments++] = (segment){
            MOTE_CHANNEL_TOOL, r->n_tools++, r->out_n, r->out_n, r->name_slot};
    r->n_parameters = 0;
    return 1;
}

/* A pattern is complete. */
static void act(mote__reply *r, const pattern *p)
{
    uint32_t state = r->state;
    switch (p->action) {
    case OPEN_THINK:
        /* In reasoning that the prompt opened, a model may open it again. */
        if (state == REASONING && r->reasoned)
            put(r, MOTE_CHANNEL_REASONING, p->text, p->n);
        r->reasoned &= state == REASONING;
        enter(r, REASONING);
        break;
    case CLOSE_THINK:
        enter(r, CONTENT);
        break;
    case OPEN_SECTION:
        enter(r, SECTION);
        break;
    case OPEN_CALL:
        r->head_n = 0;
        head_append(r, p->text, p->n);
        r->name_begin = r->head_n;
        enter(r, r->calls == MOTE__CALLS_FENCED ? TYPE : NAME);
        break;
    case END_TYPE:
        head_append(r, p->text, p->n);
        r->name_begin = r->head_n;
        enter(r, NAME);
        break;
    case END_NAME:
        r->held = 0;
        if (announce(r)) {
            enter(r, r->calls == MOTE__CALLS_FENCED ? FENCE
                     : r->calls == MOTE__CALLS_DSML ? DSML_BODY
                                                    : ARGUMENTS);
        } else {
            head_append(r, p->text, p->n);
            malformed(r);
        }
        break;
    case OPEN_FENCE:
        enter(r, ARGUMENTS);
        break;
    case CLOSE_CALL:
    case CLOSE_SECTION:
        r->held = 0;
        if (state == NAME && !announce(r)) { /* a call without arguments, or none */
            head_append(r, p->text, p->n);
            malformed(r);
            break;
        }
        if (state == DSML_BODY)
            put_text(r, MOTE_CHANNEL_TOOL, r->n_parameters ? "}" : "{}");
        enter(r, p->action == CLOSE_CALL ? SECTION : CONTENT);
        break;
    case OPEN_PARAMETER:
        put_text(r, MOTE_CHANNEL_TOOL, r->n_parameters++ ? ", \"" : "{\"");
        enter(r, DSML_KEY);
        break;
    case STRING_FOLLOWS:
        put_text(r, MOTE_CHANNEL_TOOL, "\": \"");
        enter(r, DSML_STRING);
        break;
    case JSON_FOLLOWS:
        put_text(r, MOTE_CHANNEL_TOOL, "\": ");
        r->value_begun = 0;
        enter(r, DSML_JSON);
        break;
    case CLOSE_PARAMETER:
        if (state == DSML_STRING || !r->value_begun)
            put_text(r, MOTE_CHANNEL_TOOL, state == DSML_STRING ? "\"" : "null");
        enter(r, DSML_BODY);
        break;
    default:
        enter(r, DONE);
        break;
    }
}

/* Recompute which pattern the text's end could be part of. */
static void hold(mote__reply *r)
{
    r->held = 0;
    for (uint32_t i = 0; i < r->n_patterns; i++)
        if (r->patterns[i].matched > r->held) {
            r->held = r->patterns[i].matched;
            r->held_by = i;
        }
}

static void step(mote__reply *r, char c)
{
    if (r->state == DONE)
        return;
    if ((r->state == TYPE || r->state == NAME) && r->head_n + r->held + 1 > HEAD_MAX)
        malformed(r);
    uint32_t mask = IN(r->state), held = r->held;
    const char *held_text = r->patterns[r->held_by].text;
    const pattern *complete = NULL;
    for (uint32_t i = 0; i < r->n_patterns; i++) {
        pattern *p = &r->patterns[i];
        if (!(p->states & mask))
            continue;
        while (p->matched && p->text[p->matched] != c)
            p->matched = p->fail[p->matched - 1];
        p->matched += p->text[p->matched] == c;
        if (p->matched == p->n && (!complete || p->n > complete->n))
            complete = p;
    }
    if (complete) {
        emit(r, held_text, held + 1 - complete->n);
        act(r, complete);
        return;
    }
    hold(r);
    if (r->state == FENCE && r->held < held + 1) {
        /* Arguments have begun without a fence: forget the fence alone. */
        r->state = ARGUMENTS;
        for (uint32_t i = 0; i < r->n_patterns; i++)
            if (!(r->patterns[i].states & IN(ARGUMENTS)))
                r->patterns[i].matched = 0;
        hold(r);
    }
    if (r->held <= held) {
        uint32_t out = held + 1 - r->held;
        emit(r, held_text, out < held ? out : held);
        if (out > held)
            emit(r, &c, 1);
    }
}

/* The reply has ended. */
static void flush(mote__reply *r)
{
    if (r->state == TYPE || r->state == NAME)
        malformed(r);
    emit(r, r->patterns[r->held_by].text, r->held);
    enter(r, r->state);
}

/* ---- the calls ---- */

static size_t stops_bytes(const char *const *stop, uint32_t n_stop, size_t *longest)
{
    size_t sum = 0;
    *longest = 0;
    for (uint32_t i = 0; i < n_stop; i++) {
        size_t n = strnlen(stop[i], STOP_BYTES_MAX + 1);
        sum += n;
        *longest = n > *longest ? n : *longest;
    }
    return sum;
}

/* Most bytes that one step emits: a broken pattern, a head, or an escaped tag. */
static size_t step_bytes(size_t longest)
{
    enum { HEAD_STEP = HEAD_MAX + 3 * TAG_BYTES_MAX, DSML_STEP = 8 * TAG_BYTES_MAX };
    size_t n = (size_t)HEAD_STEP > DSML_STEP ? HEAD_STEP : DSML_STEP;
    return longest + 1 > n ? longest + 1 : n;
}

size_t mote__reply_bytes(const char *const *stop, uint32_t n_stop)
{
    size_t longest, sum = stops_bytes(stop, n_stop, &longest);
    return sizeof(mote__reply) + 3 * sum + TAGS_MAX * TAG_BYTES_MAX * sizeof(uint16_t) +
           6 * step_bytes(longest);
}

static void add_pattern(mote__reply *r, const char *text, size_t n, uint32_t states,
        uint32_t action, uint16_t **pool)
{
    pattern *p = &r->patterns[r->n_patterns++];
    *p = (pattern){.text = text,
            .fail = *pool,
            .n = (uint32_t)n,
            .states = states,
            .action = action};
    *pool += n;
    p->fail[0] = 0;
    for (size_t i = 1; i < n; i++) {
        uint16_t k = p->fail[i - 1];
        while (k && text[k] != text[i])
            k = p->fail[k - 1];
        p->fail[i] = (uint16_t)(k + (text[k] == text[i]));
    }
}

mote_status mote__reply_open(mote__reply **out, mote__memory *m,
        const mote_chat_format *format, const mote_tokenizer *tokenizer,
        uint32_t starts_in_reasoning, const char *const *stop, uint32_t n_stop,
        mote_error *err)
{
    size_t longest;
    *out = NULL;
    if (n_stop > STOPS_MAX || (n_stop && !stop))
        return mote__fail(err, MOTE_E_INVALID,
                "%u stop strings: at most %d, and not NULL", (unsigned)n_stop,
                STOPS_MAX);
    for (uint32_t i = 0; i < n_stop; i++)
        if (!stop[i] || !stop[i][0] ||
                strnlen(stop[i], STOP_BYTES_MAX + 1) > STOP_BYTES_MAX)
            return mote__fail(err, MOTE_E_INVALID,
                    "stop string %u: expected 1 to %d bytes", (unsigned)i,
                    STOP_BYTES_MAX);
    stops_bytes(stop, n_stop, &longest);
    size_t size = mote__reply_bytes(stop, n_stop);
    mote__reply *r = mote__alloc(m, MOTE_MEM_SCRATCH, size);
    if (!r)
        return mote__fail_memory(err, size, "the parser of replies");
    memset(r, 0, sizeof *r);
    r->m = m;
    r->size = size;
    r->calls = format ? format->calls : MOTE__CALLS_NONE;
    for (size_t i = 0; i < N_CONTROL; i++)
        r->control_ids[i] = tokenizer
                                    ? mote_tokenizer_find(tokenizer, control_tokens[i],
                                              strlen(control_tokens[i]))
                                    : -1;
    /* The block: the parser, tables of the patterns, texts of the stop strings, output.
     */
    uint16_t *pool = (uint16_t *)(r + 1);
    size_t sum = stops_bytes(stop, n_stop, &longest);
    char *texts = (char *)(pool + TAGS_MAX * TAG_BYTES_MAX + sum);
    r->out = texts + sum;
    r->step_max = step_bytes(longest);
    r->out_capacity = 6 * r->step_max;

    /* A format without reasoning has none to read, unless its tokenizer was made for it
     * (both tags are tokens) or the caller says so. */
    int thinks = starts_in_reasoning || (format && format->reasoning) ||
                 (format && r->control_ids[0] >= 0 && r->control_ids[1] >= 0);
    for (size_t i = 0; thinks && i < sizeof think_tags / sizeof think_tags[0]; i++)
        add_pattern(r, think_tags[i].text, strlen(think_tags[i].text),
                think_tags[i].states, think_tags[i].action, &pool);
    const struct syntax *syntax = &syntaxes[r->calls];
    for (size_t i = 0; i < syntax->n; i++)
        add_pattern(r, syntax->tags[i].text, strlen(syntax->tags[i].text),
                syntax->tags[i].states, syntax->tags[i].action, &pool);
    for (uint32_t i = 0; i < n_stop; i++) {
        size_t n = strlen(stop[i]);
        memcpy(texts, stop[i], n);
        add_pattern(r, texts, n, IN(CONTENT), STOP, &pool);
        texts += n;
    }
    if (!r->n_patterns) /* held_by must name one; this one is never looked for */
        add_pattern(r, "\n", 1, 0, STOP, &pool);
    r->state = starts_in_reasoning ? REASONING : CONTENT;
    *out = r;
    return MOTE_OK;
}

void mote__reply_close(mote__reply *r)
{
    if (r)
        mote__free(r->m, MOTE_MEM_SCRATCH, r, r->size);
}

void mote__reply_feed(mote__reply *r, int32_t token, const char *text, size_t n_bytes)
{
    r->input = text;
    r->n_input = n_bytes;
    r->n_extra = 0;
    for (size_t i = 0; token >= 0 && i < N_CONTROL; i++) {
        size_t n = strlen(control_tokens[i]);
        if (r->control_ids[i] != token ||
                (n_bytes >= n && memcmp(text + n_bytes - n, control_tokens[i], n) == 0))
            continue;
        r->extra = control_tokens[i];
        r->n_extra = n;
        break;
    }
}

void mote__reply_finish(mote__reply *r)
{
    r->finishing = 1;
}

static int is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

int mote__reply_next(mote__reply *r, mote__reply_event *event)
{
    if (!r->n_segments)
        r->out_n = 0;
    while (r->n_segments < 2) {
        if (!r->n_input) {
            r->input = r->extra;
            r->n_input = r->n_extra;
            r->n_extra = 0;
        }
        size_t free_bytes = r->out_capacity - r->out_n;
        if (!r->n_input && !r->finishing)
            break;
        /* Stop where a character ends, unless the text has no such place. */
        if (free_bytes < r->step_max ||
                (free_bytes < 2 * r->step_max &&
                        !(r->n_input && is_continuation(*r->input))))
            break;
        if (r->n_input) {
            r->n_input--;
            step(r, *r->input++);
        } else {
            flush(r);
            r->finishing = 0;
        }
    }
    if (!r->n_segments)
        return 0;
    const segment *s = &r->segments[0];
    *event = (mote__reply_event){
            .channel = s->channel,
            .tool_index = s->tool_index,
            .n_bytes = s->end - s->begin,
            .text = r->out + s->begin,
            .tool_name = s->channel == MOTE_CHANNEL_TOOL ? r->names[s->slot] : NULL,
    };
    r->n_segments--;
    memmove(r->segments, r->segments + 1, r->n_segments * sizeof *r->segments);
    return 1;
}

int mote__reply_stopped(const mote__reply *r)
{
    return r->state == DONE;
}

uint32_t mote__reply_channel(const mote__reply *r)
{
    switch (r->state) {
    case REASONING:
        return MOTE_CHANNEL_REASONING;
    case CONTENT:
    case SECTION:
    case DONE:
        return MOTE_CHANNEL_CONTENT;
    default:
        return MOTE_CHANNEL_TOOL;
    }
}

size_t mote__reply_held(const mote__reply *r)
{
    return r->held + (r->state == TYPE || r->state == NAME ? r->head_n : 0);
}
