/* SPDX-License-Identifier: MIT */
/* Tokenizers inside the library: opening one from texts that a checkpoint holds, and
 * what the chat formats need to know about it. Everything else is mote/tokenizer.h.
 *
 * Invariant: a mote_tokenizer never changes after opening (its cache of known words is
 * atomic and only remembers what is always true), so any thread may use it. */
#ifndef MOTE_TEXT_TOKENIZER_H
#define MOTE_TEXT_TOKENIZER_H
#include "base/memory.h"
#include "mote/tokenizer.h"

/* The texts of a checkpoint that say how it reads text; all borrowed for the call. */
typedef struct mote__tokenizer_texts {
    const char *tokenizer; /* tokenizer.json, or NULL */
    size_t tokenizer_size;
    const char *tiktoken; /* tiktoken.model, read where there is no tokenizer.json */
    size_t tiktoken_size;
    const char *config; /* tokenizer_config.json, or NULL */
    size_t config_size;
    const char
            *chat_template; /* chat_template.jinja, or NULL; wins over the config's */
    size_t chat_template_size;
} mote__tokenizer_texts;

/* `m` counts and places the memory (MOTE_MEM_TOKENIZER) and must outlive the tokenizer;
 * NULL: the C library. Close with mote_tokenizer_close(). */
mote_status mote__tokenizer_open_texts(mote_tokenizer **out, mote__memory *m,
        const mote__tokenizer_texts *texts, mote_error *err);
/* The chat template (NUL-terminated, borrowed), or NULL when there is none: that of
 * chat_template.jinja, else chat_template of tokenizer_config.json, where it is a
 * string or a list with an entry named "default". `size` may be NULL. */
const char *mote__tokenizer_chat_template(
        const mote_tokenizer *tokenizer, size_t *size);
#endif
