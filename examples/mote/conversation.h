/* SPDX-License-Identifier: MIT */
/* The messages of a conversation, kept as the JSON array that the chat formats read. */
#ifndef MOTE_CLI_CONVERSATION_H
#define MOTE_CLI_CONVERSATION_H
#include "cli.h"

typedef struct conversation {
    cli_buffer json; /* "[{...},{...}" without the closing bracket */
} conversation;

/* Empty, or with a system message: 0, or -1 for want of memory (in all of these). */
int conversation_begin(conversation *c, const char *system);
void conversation_end(conversation *c);
int conversation_add(conversation *c, const char *role, const cli_buffer *content,
        const cli_buffer *reasoning); /* reasoning may be NULL or empty */
/* Forget what was added since conversation_mark(). */
size_t conversation_mark(const conversation *c);
void conversation_undo(conversation *c, size_t mark);
/* Tokens that prompt a reply (malloc'ed), and whether the reply begins inside
 * reasoning: CLI_OK, or the exit code. */
int conversation_render(conversation *c, const mote_chat_format *format,
        const mote_tokenizer *tokenizer, uint32_t flags, int32_t **tokens, size_t *n,
        uint32_t *in_reasoning);
/* Beside a session's snapshot: CLI_OK, or the exit code with *c unchanged. */
int conversation_save(const conversation *c, const char *path);
int conversation_load(conversation *c, const char *path);
#endif
