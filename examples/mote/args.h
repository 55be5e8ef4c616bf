/* SPDX-License-Identifier: MIT */
/* A small, strict option parser. A command lists its options in a set, each with the
 * variable it fills; parsing either fills all of them or says in one sentence what is
 * wrong. Nothing is guessed: unknown options, missing values, bad numbers, values out
 * of bounds and stray words are errors. Forms: -x, -x VALUE, -xVALUE, --name, --name
 * VALUE,
 * --name=VALUE; "--" ends the options. */
#ifndef MOTE_CLI_ARGS_H
#define MOTE_CLI_ARGS_H
#include <stddef.h>
#include <stdint.h>

typedef enum cli_kind {
    CLI_HEADING, /* no option: a line in the help text */
    CLI_FLAG,    /* uint32_t: set to 1 */
    CLI_TEXT,    /* const char *: borrowed from argv */
    CLI_TEXTS,   /* cli_texts: every occurrence */
    CLI_U32,     /* uint32_t within [min, max] */
    CLI_U64,     /* uint64_t within [min, max] */
    CLI_F32,     /* float, finite */
    CLI_LIST,    /* cli_list: numbers within [min, max], separated by commas */
    CLI_CHOICE,  /* uint32_t: 1 + index of the word in `value`, "a|b|c" */
    CLI_FIELD,   /* a field of one of the library's option structs, which checks it */
    CLI_OPERAND  /* const char *: a word that is no option */
} cli_kind;

#define CLI_LIST_MAX 64
typedef struct cli_list {
    uint32_t n;
    uint32_t values[CLI_LIST_MAX];
} cli_list;

#define CLI_TEXTS_MAX 64
typedef struct cli_texts {
    uint32_t n;
    const char *values[CLI_TEXTS_MAX];
} cli_texts;

typedef struct cli_option {
    char letter; /* 0: none */
    cli_kind kind;
    const char *name;  /* without dashes; NULL: none */
    void *out;         /* what the kind says */
    const char *value; /* how the help calls the value */
    const char *help;
    uint64_t min, max;
    int32_t options;   /* CLI_FIELD: MOTE_OPTIONS_... of the struct at `out` */
    const char *field; /* CLI_FIELD */
} cli_option;

#define CLI_OPTIONS_MAX 64
typedef struct cli_set {
    const char *command; /* "run" */
    const char *usage;   /* what follows "mote run" in the usage line */
    const char *about;   /* a sentence or two */
    size_t n;
    cli_option options[CLI_OPTIONS_MAX];
} cli_set;

/* Append an option; beyond CLI_OPTIONS_MAX it is dropped (a test counts them). */
void cli_heading(cli_set *set, const char *text);
void cli_add(cli_set *set, char letter, const char *name, cli_kind kind, void *out,
        const char *value, const char *help);
void cli_add_range(cli_set *set, char letter, const char *name, cli_kind kind,
        void *out, const char *value, uint64_t min, uint64_t max, const char *help);

/* An option that is a field of a library struct: bounds and names are the library's. A
 * help of NULL is the library's sentence. */
void cli_add_field(cli_set *set, char letter, const char *name, int32_t options,
        void *out, const char *field, const char *value, const char *help);
int cli_has(const cli_set *set, char letter);

/* Parse argv[0..argc). 0: done; 1: help was asked for; -1: `message` holds a sentence.
 */
int cli_parse(
        const cli_set *set, int argc, char *const *argv, char *message, size_t size);

/* One number, strictly: 0, or -1. */
int cli_number(const char *text, size_t n, uint64_t min, uint64_t max, uint64_t *out);
int cli_float(const char *text, float *out);
#endif
