/* SPDX-License-Identifier: MIT */
/* What --help prints: usage, a sentence, and the options in two columns. */
#include "cli.h"
#include <stdio.h>
#include <string.h>

#define COLUMN 28 /* where explanations begin */
#define WIDTH 86

/* Text that begins at a column, wrapped at words. */
static void explain(FILE *out, int begin, const char *text)
{
    size_t column = (size_t)begin;
    while (*text) {
        const size_t n = strcspn(text, " ");
        if (column > (size_t)begin && column + 1 + n > WIDTH) {
            fprintf(out, "\n%*s", begin, "");
            column = (size_t)begin;
        } else if (column > (size_t)begin) {
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
    fprintf(out, "Usage: mote %s %s\n\n", set->command, set->usage);
    explain(out, 0, set->about);
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
        explain(out, COLUMN, o->help);
    }
    fprintf(out, "%-*s", COLUMN, "  -h, --help");
    explain(out, COLUMN, "this text");
}
