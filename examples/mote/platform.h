/* SPDX-License-Identifier: MIT */
/* Everything the command asks of the operating system beyond the C library. */
#ifndef MOTE_CLI_PLATFORM_H
#define MOTE_CLI_PLATFORM_H
#include <mote/session.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int cli_is_terminal(FILE *file);
uint32_t cli_terminal_columns(void); /* of stderr; 80 where it cannot be known */
double cli_seconds(void);            /* of a clock that never jumps */
uint64_t cli_any_seed(void);         /* another one each time */
uint64_t cli_peak_rss(void);         /* bytes, 0 where it cannot be known */
void cli_binary_streams(void);       /* no newline translation on standard streams */
/* Folder of the running program, without a slash at the end: 0, or -1. */
int cli_program_folder(const char *argv0, char *folder, size_t size);
/* 1: a directory, 2: anything else that exists, 0: nothing there. */
int cli_path_kind(const char *path);

/* Ctrl-C. While a session is registered it is cancelled; otherwise a flag is raised
 * that progress callbacks look at. A second Ctrl-C before anybody looked ends the
 * program. */
void cli_interrupts_begin(void);
int cli_interrupted(void); /* 1 since the last cli_interrupts_forget() */
void cli_interrupts_forget(void);
void cli_interrupts_session(mote_session *session); /* NULL before it is closed */

/* How the terminal of standard input hands over keys. Between lines they are kept as
 * they are for the next one, and Ctrl-C interrupts. */
typedef enum cli_keys {
    CLI_KEYS_COOKED, /* as it was found */
    CLI_KEYS_KEPT,   /* neither echoed nor edited; Ctrl-C interrupts */
    CLI_KEYS_RAW     /* the same, and Ctrl-C is a key */
} cli_keys;
int cli_terminal_keys(cli_keys keys); /* 0, or -1 where that is not possible */
int cli_read_byte(void);              /* from standard input, -1 at its end */
#endif
