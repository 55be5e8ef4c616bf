/* SPDX-License-Identifier: MIT */
/* One line of input with editing and history when standard input is a terminal, plain
 * otherwise. Keys: arrows, Home/End (also Ctrl-A/E), Backspace/Delete, Ctrl-U/K/W to
 * cut, Ctrl-L to clear the screen, Ctrl-C to discard the line, Ctrl-D to end. */
#ifndef MOTE_CLI_LINE_EDIT_H
#define MOTE_CLI_LINE_EDIT_H
#include "cli.h"

#define HISTORY_MAX 200

typedef struct line_editor {
    char *history[HISTORY_MAX];
    size_t n_history;
    int interactive;
    /* The line being edited. */
    cli_buffer text;
    size_t cursor; /* byte offset, always between characters */
    const char *prompt;
} line_editor;

void line_editor_begin(line_editor *e);
void line_editor_end(line_editor *e);
/* The next line, borrowed until the next call (length in *n); NULL at the end of input.
 * A line discarded by Ctrl-C comes back empty. */
const char *line_editor_read(line_editor *e, const char *prompt, size_t *n);
/* Columns a UTF-8 text takes on a terminal. */
size_t line_columns(const char *text, size_t n_bytes);
#endif
