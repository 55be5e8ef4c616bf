/* SPDX-License-Identifier: MIT */
/* Writing JSON. Values are added in order; commas and indentation come by themselves.
 * A key of NULL is an element of an array. */
#ifndef MOTE_CLI_JSON_OUT_H
#define MOTE_CLI_JSON_OUT_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct cli_json {
    FILE *out;
    int depth;
    int empty;   /* nothing yet inside the innermost value */
    int compact; /* one line */
} cli_json;

void json_begin(cli_json *j, FILE *out, int compact);
void json_open(cli_json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(cli_json *j, char bracket);                 /* '}' or ']' */
void json_text(cli_json *j, const char *key, const char *text);
void json_whole(cli_json *j, const char *key, int64_t value);
void json_unsigned(cli_json *j, const char *key, uint64_t value);
void json_number(cli_json *j, const char *key, double value); /* null unless finite */
void json_bool(cli_json *j, const char *key, int value);

/* The text as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD.
 */
void json_quote(FILE *out, const char *text, size_t n_bytes);
/* The same into memory (malloc'ed, NUL-terminated); NULL: no memory. */
char *json_quoted(const char *text, size_t n_bytes);
/* Bytes of the well-formed UTF-8 sequence at the start of text; 0: none. */
size_t utf8_sequence(const char *text, size_t n_bytes);
#endif
