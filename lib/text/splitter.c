/* SPDX-License-Identifier: MIT */
#include "splitter.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    /* Bounds for a pattern that explodes. Sound ones take a few steps per match and per
     * unit that they try and give back. */
    MATCH_STEPS = 10000,
    MATCH_STEPS_PER_UNIT = 16,
    HEAP_LIMIT_KIB = 262144,
    JIT_STACK_START = 32768,
    JIT_STACK_MAX = 16 << 20
};

void mote__splitter_init(mote__splitter *s, mote__memory *m)
{
    memset(s, 0, sizeof *s);
    s->memory = m;
}

mote_status mote__splitter_add(
        mote__splitter *s, const char *pattern, size_t n, bool literal, mote_error *err)
{
    if (s->n_stages == MOTE__STAGES_MAX)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "pre_tokenizer: more than %d stages are not supported",
                MOTE__STAGES_MAX);
    mote__pattern *p = &s->patterns[s->n_stages];
    mote_status st = literal ? mote__pattern_literal(p, &s->sets, pattern, n, err)
                             : mote__pattern_parse(p, &s->sets, pattern, n, err);
    if (st < 0)
        return st;
    mote__split_source *source = &s->source[s->n_stages++];
    source->text = mote__alloc(s->memory, MOTE_MEM_TOKENIZER, n);
    if (!source->text)
        return mote__fail_memory(err, n, "a pre-tokenizer pattern");
    memcpy(source->text, pattern, n);
    source->n = n;
    source->literal = literal;
    return MOTE_OK;
}

static void table_fill(
        uint8_t table[256], const mote__partition *p, const mote__code_set *set)
{
    memset(table, 0, 256);
    for (uint32_t c = 0; c < p->n_classes; c++)
        table[c] = mote__code_set_has(set, p->sample[c]);
}

/* Recognise C, C+, C{1,n} and C+$. */
static bool stage_is_plain(const mote__pattern *p, mote__split_stage *stage)
{
    if (p->n == 0 || p->n > 3 || p->items[0].kind != MOTE__PATTERN_SET)
        return false;
    stage->longest = 1;
    if (p->n >= 2) {
        if (p->items[1].kind != MOTE__PATTERN_TEXT)
            return false;
        const char *q = p->items[1].text;
        if (strcmp(q, "+") == 0) {
            stage->longest = SIZE_MAX;
        } else if (strncmp(q, "{1,", 3) == 0 && q[3] != '}' && p->n == 2) {
            char *end;
            stage->longest = strtoul(q + 3, &end, 10);
            if (strcmp(end, "}") != 0 || stage->longest < 1)
                return false;
        } else {
            return false;
        }
    }
    stage->at_line_end = p->n == 3;
    return p->n < 3 || p->items[2].kind == MOTE__PATTERN_LINE_END;
}

static mote_status stage_compile(mote__splitter *s, size_t k, mote_error *err)
{
    mote__split_stage *stage = &s->stages[k];
    char *text = NULL;
    size_t n = 0;
    int rc = 0;
    PCRE2_SIZE at = 0;
    mote_status st = MOTE_OK;
    if (mote__pattern_emit(&s->patterns[k], &s->sets, &s->partition, &text, &n) < 0)
        return mote__fail_memory(err, 0, "a pre-tokenizer pattern");
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, n,
            PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP |
                    PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE,
            &rc, &at, NULL);
    free(text);
    if (!code) {
        PCRE2_UCHAR why[160] = "";
        pcre2_get_error_message(rc, why, sizeof why);
        return mote__fail(err, MOTE_E_UNSUPPORTED, "pre_tokenizer: pattern %zu: %s",
                k + 1, (const char *)why);
    }
    stage->code = code;
    uint32_t empty = 0;
    pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty)
        st = mote__fail(err, MOTE_E_UNSUPPORTED,
                "pre_tokenizer: pattern %zu can match empty text", k + 1);
    /* Without executable memory PCRE2 interprets: slower, the same result. */
    stage->jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
    return st;
}

mote_status mote__splitter_freeze(mote__splitter *s, mote_error *err)
{
    mote_status st = MOTE_OK;
    int rc = mote__partition_make(&s->partition, s->memory, s->sets.sets, s->sets.n);
    if (rc < 0)
        return mote__fail_memory(err, 0, "classes of characters");
    if (rc > 0)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "pre_tokenizer: its patterns tell more than 256 classes of characters "
                "apart");
    s->newline_class = mote__partition_class(&s->partition, '\n');
    for (size_t k = 0; k < s->n_stages && st >= 0; k++) {
        mote__split_stage *stage = &s->stages[k];
        stage->plain = stage_is_plain(&s->patterns[k], stage);
        if (stage->plain)
            table_fill(stage->table, &s->partition,
                    &s->sets.sets[s->patterns[k].items[0].set]);
        else
            st = stage_compile(s, k, err);
    }
    for (size_t k = 0; k < s->n_stages; k++)
        mote__pattern_free(&s->patterns[k]);
    mote__set_list_free(&s->sets);
    return st;
}

void mote__splitter_free(mote__splitter *s)
{
    for (size_t k = 0; k < MOTE__STAGES_MAX; k++) {
        mote__pattern_free(&s->patterns[k]);
        pcre2_code_free(s->stages[k].code);
        mote__free(s->memory, MOTE_MEM_TOKENIZER, s->source[k].text, s->source[k].n);
    }
    mote__set_list_free(&s->sets);
    mote__partition_free(&s->partition);
}

/* ---- running ---- */

void mote__split_run_free(mote__split_run *run)
{
    mote__memory *m = run->splitter ? run->splitter->memory : NULL;
    mote__free(m, MOTE_MEM_TOKENIZER, run->classes, run->capacity);
    pcre2_match_data_free(run->match_data);
    pcre2_match_context_free(run->match_context);
    pcre2_jit_stack_free(run->jit_stack);
    run->classes = NULL;
    run->match_data = run->match_context = run->jit_stack = NULL;
}

/* The end of the run of C in [at, end) that begins at `at`. */
static size_t run_end(
        const mote__split_stage *stage, const uint8_t *classes, size_t at, size_t end)
{
    while (at < end && stage->table[classes[at]])
        at++;
    return at;
}

/* Find the first plain match in [*at, end): true, and [*at, *to). */
static bool plain_match(const mote__split_stage *stage, uint8_t newline,
        const uint8_t *classes, size_t *at, size_t end, size_t *to)
{
    size_t p = *at;
    for (;;) {
        while (p < end && !stage->table[classes[p]])
            p++;
        if (p == end)
            return false;
        if (!stage->at_line_end) {
            size_t limit = end - p > stage->longest ? p + stage->longest : end;
            *to = run_end(stage, classes, p, limit);
            break;
        }
        /* C+$: the longest part of this run that ends at a newline or at the end; if
         * there is none from here, there is none from any later unit of the run. */
        size_t e = run_end(stage, classes, p, end), q = e;
        if (q < end && classes[q] != newline)
            for (q--; q > p && classes[q] != newline;)
                q--;
        if (q > p) {
            *to = q;
            break;
        }
        p = e;
    }
    *at = p;
    return true;
}

static mote_status match_failed(mote__split_run *run, int rc)
{
    if (rc == PCRE2_ERROR_NOMEMORY)
        return mote__fail_memory(run->err, 0, "matching a pre-tokenizer pattern");
    if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT ||
            rc == PCRE2_ERROR_HEAPLIMIT)
        return mote__fail(run->err, MOTE_E_UNSUPPORTED,
                "pre_tokenizer: a pattern needs too many steps on this text");
    return mote__fail(run->err, MOTE_E_UNSUPPORTED,
            "pre_tokenizer: a pattern could not be matched (PCRE2 error %d)", rc);
}

/* Find the first match of a compiled pattern in the units [begin, end), from *at on:
 * 1 and [*at, *to), 0 when there is none, or a negative status. */
static mote_status code_match(mote__split_run *run, const mote__split_stage *stage,
        size_t begin, size_t end, size_t *at, size_t *to)
{
    const uint8_t *subject = run->classes + begin;
    uint64_t steps = MATCH_STEPS + MATCH_STEPS_PER_UNIT * (uint64_t)(end - begin);
    pcre2_set_match_limit(
            run->match_context, steps > UINT32_MAX ? UINT32_MAX : (uint32_t)steps);
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;
    if (stage->jit)
        rc = pcre2_jit_match(stage->code, subject, end - begin, *at - begin, 0,
                run->match_data, run->match_context);
    if (stage->jit && rc == PCRE2_ERROR_JIT_STACKLIMIT && !run->jit_stack) {
        run->jit_stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
        if (run->jit_stack) {
            pcre2_jit_stack_assign(run->match_context, NULL, run->jit_stack);
            rc = pcre2_jit_match(stage->code, subject, end - begin, *at - begin, 0,
                    run->match_data, run->match_context);
        }
    }
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(stage->code, subject, end - begin, *at - begin, PCRE2_NO_JIT,
                run->match_data, run->match_context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return match_failed(run, rc);
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(run->match_data);
    *at = begin + span[0];
    *to = begin + span[1];
    return *to > *at; /* freeze refused patterns that match nothing */
}

/* Deliver units as one piece: they follow those delivered before. */
static mote_status deliver(mote__split_run *run, size_t begin, size_t end)
{
    size_t n = end - begin;
    if (!run->one_byte_units) {
        static const uint8_t lengths[16] = {
                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
        n = 0;
        for (size_t i = begin; i < end; i++)
            n += run->classes[i] ? lengths[run->text[n] >> 4] : 1;
    }
    const uint8_t *piece = run->text;
    run->text += n;
    return run->piece(run->arg, piece, n);
}

/* Recursion is as deep as there are stages. */
static mote_status run_stage(mote__split_run *run, size_t k, size_t begin, size_t end)
{
    if (k == run->splitter->n_stages)
        return deliver(run, begin, end);
    const mote__split_stage *stage = &run->splitter->stages[k];
    size_t done = begin;
    while (done < end) {
        size_t at = done, to = end;
        mote_status found = stage->plain
                                    ? plain_match(stage, run->splitter->newline_class,
                                              run->classes, &at, end, &to)
                                    : code_match(run, stage, begin, end, &at, &to);
        if (found < 0)
            return found;
        if (!found)
            at = to = end;
        mote_status st = MOTE_OK;
        if (at > done)
            st = run_stage(run, k + 1, done, at);
        if (st >= 0 && to > at)
            st = run_stage(run, k + 1, at, to);
        if (st < 0)
            return st;
        done = to;
    }
    return MOTE_OK;
}

static mote_status prepare(mote__split_run *run, size_t n)
{
    mote__memory *m = run->splitter->memory;
    if (n > run->capacity) {
        mote__free(m, MOTE_MEM_TOKENIZER, run->classes, run->capacity);
        run->capacity = 0;
        run->classes = mote__alloc(m, MOTE_MEM_TOKENIZER, n);
        if (!run->classes)
            return mote__fail_memory(run->err, n, "splitting text");
        run->capacity = n;
    }
    if (!run->match_data) {
        run->match_data = pcre2_match_data_create(1, NULL);
        run->match_context = pcre2_match_context_create(NULL);
        if (!run->match_data || !run->match_context)
            return mote__fail_memory(run->err, 0, "splitting text");
        pcre2_set_heap_limit(run->match_context, HEAP_LIMIT_KIB);
    }
    return MOTE_OK;
}

mote_status mote__split_text(mote__split_run *run, const uint8_t *text, size_t n)
{
    mote_status st = prepare(run, n);
    if (st < 0 || n == 0)
        return st;
    run->text = text;
    run->n_units =
            mote__partition_map(&run->splitter->partition, text, n, run->classes);
    run->one_byte_units = run->n_units == n;
    return run_stage(run, 0, 0, run->n_units);
}
