/* SPDX-License-Identifier: MIT */
/* The texts of a checkpoint that make its tokenizer. */
#ifndef MOTE_API_TEXTS_H
#define MOTE_API_TEXTS_H
#include "file/checkpoint.h"
#include "text/tokenizer.h"

#include <stdbool.h>

/* False where the checkpoint has no tokenizer. The texts are the checkpoint's. */
static inline bool mote__tokenizer_texts_of(
        mote__tokenizer_texts *t, const mote__checkpoint *ck)
{
    *t = (mote__tokenizer_texts){0};
    t->tokenizer = mote__checkpoint_text(ck, "tokenizer.json", &t->tokenizer_size);
    t->tiktoken = mote__checkpoint_text(ck, "tiktoken.model", &t->tiktoken_size);
    t->config = mote__checkpoint_text(ck, "tokenizer_config.json", &t->config_size);
    t->chat_template =
            mote__checkpoint_text(ck, "chat_template.jinja", &t->chat_template_size);
    return t->tokenizer || t->tiktoken;
}
#endif
