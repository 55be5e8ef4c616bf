/* SPDX-License-Identifier: MIT */
#ifndef MOTE_SCHEMA_H
#define MOTE_SCHEMA_H
#include "common.h"
#include "tokenizer.h"
MOTE_BEGIN_DECLS
typedef struct mote_schema mote_schema;
MOTE_API mote_status mote_schema_open(mote_schema **out, const mote_tokenizer *tokenizer,
        const char *json, size_t n_bytes, mote_error *err);
MOTE_API void mote_schema_close(mote_schema *schema);
MOTE_END_DECLS
#endif
