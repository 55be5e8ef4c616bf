/* SPDX-License-Identifier: MIT */
/* A tokenizer as plain arrays, for packs: what tokenizer.json and tokenizer_config.json
 * come to, without JSON. doc/pack-format.md describes the bytes (section 10).
 *
 * The hash tables are not stored but built while opening, with a seed of this process:
 * a file cannot choose keys that fall together, and every number that is read is
 * checked before it is used. */
#ifndef MOTE_TEXT_TOKENIZER_MAP_H
#define MOTE_TEXT_TOKENIZER_MAP_H
#include "tokenizer.h"

/* *out is malloc'ed. The same tokenizer gives the same bytes. */
mote_status mote__tokenizer_save(
        const mote_tokenizer *t, uint8_t **out, size_t *size, mote_error *err);
/* `data` is borrowed for the call; m as in mote__tokenizer_open_texts().
 * MOTE_E_MISMATCH when a newer library wrote it. */
mote_status mote__tokenizer_open_map(mote_tokenizer **out, mote__memory *m,
        const uint8_t *data, size_t size, mote_error *err);
#endif
