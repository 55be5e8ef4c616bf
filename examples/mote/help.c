/* SPDX-License-Identifier: MIT */
/* What --help prints: usage, a sentence, and the options in two columns. */
#include "cli.h"
#include <stdio.h>
#include <string.h>

#define COLUMN 28 /* where explanations begin */
#define WIDTH 86

/* Explanation, wrapped at words into the right-hand column. */
static void explain(FILE *out, const char *text)
{
    size_t column = COLUMN;
    while (*text) {
        const size_t n = strcspn(text, " ");
        if (column > COLUMN && column + 1 + n > WIDTH) {
            fprintf(out, "\n%*s", COLUMN, "");
            column = COLUMN;
        } else if (column > COLUMN) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)n, text);
        column += n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', out);
}

void cli_help(FILE *out, const cli_set *set)
{
    fprintf(out, "Usage: mote %s %s\n\n%s\n", set->command, set->usage, set->about);
    int headed = 0;
    for (size_t i = 0; i < set->n; i++) {
        const cli_option *o = &set->options[i];
        if (o->kind == CLI_HEADING) {
            fprintf(out, "\n%s\n", o->help);
            headed = 1;
            continue;
        }
        if (!headed) {
            fputs("\nOptions\n", out);
            headed = 1;
        }
        char left[96];
        int n = 0;
        if (o->kind == CLI_OPERAND)
            n = snprintf(left, sizeof(left), "  %s", o->value);
        else
            n = snprintf(left, sizeof(left), "  %c%c%s%s%s%s%s", o->letter ? '-' : ' ',
                    o->letter ? o->letter : ' ',
                    !o->name ? "" : (o->letter ? ", " : "  "), o->name ? "--" : "",
                    o->name ? o->name : "", o->value ? " " : "",
                    o->value ? o->value : "");
        if (n < COLUMN - 1)
            fprintf(out, "%-*s", COLUMN, left);
        else
            fprintf(out, "%s\n%*s", left, COLUMN, "");
        explain(out, o->help);
    }
    fprintf(out, "%-*s", COLUMN, "  -h, --help");
    explain(out, "this text");
}
