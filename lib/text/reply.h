/* SPDX-License-Identifier: MIT */
/* Reads a model's reply as it comes: which of it is reasoning, which the answer, which
 * a tool call. The parser sees bytes; a control token counts as its text, whether the
 * decoder showed it or not, so tags may come as control tokens or as text, cut
 * anywhere.
 *
 * Invariants:
 * - Events joined by (channel, tool_index) do not depend on how the reply was cut.
 * - Every byte that is not part of a tag, of white space between tool calls or of what
 *   follows a stop string is delivered once. A tool call whose head is malformed is
 *   delivered as content, tags included.
 * - Only bytes that could still become a tag or a stop string are held back.
 * - Nothing is allocated after opening; time is linear in the text (times the number of
 *   stop strings). Pieces fed as whole characters are delivered as whole characters.
 *
 * Pull: feed one piece, then call mote__reply_next() until it returns 0.
 *
 *     mote__reply_feed(r, token, text, n_bytes);
 *     while (mote__reply_next(r, &event))
 *         deliver(&event);
 *     if (mote__reply_stopped(r)) ... a stop string appeared: end with MOTE_STOP_STRING
 *     ...
 *     mote__reply_finish(r);   // at EOS, length, context: what was held back
 *     while (mote__reply_next(r, &event)) ...
 *
 * Think tags are read in formats that have reasoning, and in any format (or none) when
 * the reply starts in reasoning. Stop strings are looked for in content only: not in
 * reasoning, not in tool calls. */
#ifndef MOTE_TEXT_REPLY_H
#define MOTE_TEXT_REPLY_H
#include "base/memory.h"
#include "mote/chat.h"
#include "mote/tokenizer.h"

typedef struct mote__reply mote__reply;

typedef struct mote__reply_event {
    uint32_t channel;      /* MOTE_CHANNEL_... of mote/session.h */
    uint32_t tool_index;   /* number of the tool call in this reply, from 0 */
    size_t n_bytes;        /* may be 0 in the first event of a tool call */
    const char *text;      /* borrowed until the next call on the parser */
    const char *tool_name; /* NUL-terminated when channel is TOOL, else NULL */
} mote__reply_event;

/* All texts are borrowed for the call only; `format` and `tokenizer` (both may be NULL)
 * must outlive the parser. `m`: who counts the memory (MOTE_MEM_SCRATCH); may be NULL.
 * MOTE_E_INVALID for an empty stop string, or more than 64, or one above 4096 bytes. */
mote_status mote__reply_open(mote__reply **out, mote__memory *m,
        const mote_chat_format *format, const mote_tokenizer *tokenizer,
        uint32_t starts_in_reasoning, const char *const *stop, uint32_t n_stop,
        mote_error *err);
void mote__reply_close(mote__reply *reply);

/* Bytes that mote__reply_open() would allocate (for exact plans). */
size_t mote__reply_bytes(const char *const *stop, uint32_t n_stop);

/* One token and the text that the decoder gave for it (any length, also 0). `token` -1:
 * text alone. The text is borrowed until mote__reply_next() has returned 0. */
void mote__reply_feed(
        mote__reply *reply, int32_t token, const char *text, size_t n_bytes);
/* The reply has ended: what is still held back becomes events. */
void mote__reply_finish(mote__reply *reply);
/* 1 and the next event, or 0 when all that was fed has been used. */
int mote__reply_next(mote__reply *reply, mote__reply_event *event);

/* 1 once a stop string has appeared; nothing more is delivered then. */
int mote__reply_stopped(const mote__reply *reply);
/* Channel that the next byte would belong to, for counting and for the budget of
 * reasoning: MOTE_CHANNEL_REASONING until the closing tag is complete. */
uint32_t mote__reply_channel(const mote__reply *reply);
/* Bytes held back at the moment. */
size_t mote__reply_held(const mote__reply *reply);
#endif
