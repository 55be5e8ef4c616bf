/* SPDX-License-Identifier: MIT */
/* What the library knows of each chat format: how a conversation is written and how a
 * reply is read. Formats are constant tables; chat_formats.c lists them. */
#ifndef MOTE_TEXT_CHAT_FORMAT_H
#define MOTE_TEXT_CHAT_FORMAT_H
#include "base/status.h"
#include "mote/chat.h"
#include "text/chat_out.h"
#include "text/json_value.h"

/* How a reply calls tools. */
enum {
    MOTE__CALLS_NONE,
    MOTE__CALLS_FENCED, /* begin type sep name \n```json\n arguments \n``` end */
    MOTE__CALLS_PLAIN,  /* begin name sep arguments end */
    MOTE__CALLS_KIMI,   /* as PLAIN, the name written functions.NAME:INDEX */
    MOTE__CALLS_DSML    /* elements with ｜DSML｜ in their names, one per parameter */
};

/* One conversation to be written. */
typedef struct mote__chat_input {
    const mote__json *messages; /* array of objects */
    const mote__json *tools;    /* array, or NULL when there are none */
    uint32_t flags;             /* MOTE_CHAT_... */
} mote__chat_input;

struct mote_chat_format {
    const char *name;
    const char *alias; /* a further name, or NULL */
    mote_status (*render)(const void *dialect, const mote__chat_input *input,
            mote__chat_out *out, mote_error *err);
    const void *dialect; /* what `render` needs to know of this format; may be NULL */
    uint8_t calls;       /* MOTE__CALLS_... */
    uint8_t reasoning;   /* replies may hold think tags */
    uint8_t takes_tools; /* prompts can describe tools */
};

/* The writers, one per family. */
mote_status mote__chat_render_v2(const void *dialect, const mote__chat_input *input,
        mote__chat_out *out, mote_error *err);
mote_status mote__chat_render_v3(const void *dialect, const mote__chat_input *input,
        mote__chat_out *out, mote_error *err);
mote_status mote__chat_render_v32(const void *dialect, const mote__chat_input *input,
        mote__chat_out *out, mote_error *err);
mote_status mote__chat_render_moonlight(const void *dialect,
        const mote__chat_input *input, mote__chat_out *out, mote_error *err);
mote_status mote__chat_render_kimi(const void *dialect, const mote__chat_input *input,
        mote__chat_out *out, mote_error *err);

/* Dialects of mote__chat_render_v3(). */
typedef struct mote__v3_dialect mote__v3_dialect;
extern const mote__v3_dialect mote__dialect_v3, mote__dialect_v3_0324, mote__dialect_r1,
        mote__dialect_r1_initial, mote__dialect_r1_0528, mote__dialect_v31,
        mote__dialect_v3_tools, mote__dialect_r1_tools, mote__dialect_v31_tools;

/* Parse, check, render. On failure `out` is empty. */
mote_status mote__chat_write(const mote_chat_format *format, const char *messages,
        size_t n_bytes, uint32_t flags, const char *tools, size_t tools_bytes,
        mote__chat_out *out, mote_error *err);
/* Format that a published template belongs to, or NULL. */
const mote_chat_format *mote__chat_recognise(const char *chat_template, size_t n);

/* Helpers of the writers. `i` is the number of the message, for sentences. */
/* MOTE_E_FORMAT: message i lacks a text where its format needs one. */
mote_status mote__chat_bad(mote_error *err, size_t i, const char *key,
        const mote__json *value, const char *expected);
/* Write a string; anything else is mote__chat_bad(). */
mote_status mote__chat_put_string(mote__chat_out *out, const mote__json *value,
        size_t i, const char *key, mote_error *err);
/* Write a value as Python's str(): absent is nothing, null is None. Arrays and objects
 * are refused. */
mote_status mote__chat_put_any(mote__chat_out *out, const mote__json *value, size_t i,
        const char *key, mote_error *err);
/* The first element to iterate over as a template would: an absent value has none, an
 * array has its elements; null, a number, a non-empty text or object is an error. */
mote_status mote__chat_iterate(const mote__json **first, const mote__json *value,
        size_t i, const char *key, mote_error *err);
#endif
