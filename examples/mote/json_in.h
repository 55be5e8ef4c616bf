/* SPDX-License-Identifier: MIT */
/* Reading one member out of a JSON object on a line: what `tokenize --jsonl` and
 * `detokenize --jsonl` need, checked strictly, without a tree. */
#ifndef MOTE_CLI_JSON_IN_H
#define MOTE_CLI_JSON_IN_H
#include "buffer.h"

/* Find the string member `key` of the object in `line` and append its bytes to `out`.
 * NULL: found. Otherwise what was expected, for a message. */
const char *json_get_text(
        const char *line, size_t n_bytes, const char *key, cli_buffer *out);
/* The same for an array of numbers: its text between the brackets. */
const char *json_get_numbers(
        const char *line, size_t n_bytes, const char *key, cli_buffer *out);
#endif
