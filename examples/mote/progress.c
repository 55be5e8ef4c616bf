/* SPDX-License-Identifier: MIT */
/* A bar on stderr while something long runs, only when a person is looking. */
#include "cli.h"
#include <string.h>

static struct {
    double drawn; /* time of the last drawing */
    int visible;
} bar;

static const char *verb(const char *stage)
{
    static const char *const words[][2] = {{"load", "loading"}, {"prefill", "reading"},
            {"pack", "packing"}, {"verify", "checking"}, {"calibrate", "calibrating"}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(stage, words[i][0]))
            return words[i][1];
    return stage;
}

static void draw(const char *stage, uint64_t done, uint64_t total)
{
    const uint32_t columns = cli_terminal_columns();
    const uint32_t width = columns > 60 ? 32 : 12;
    const double share = total ? (double)done / (double)total : 0;
    const uint32_t full = (uint32_t)(share * (double)width + 0.5);
    fprintf(stderr, "\r%-11s [", verb(stage));
    for (uint32_t i = 0; i < width; i++)
        fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %3.0f %%", share * 100);
    if (total >= 1000000000) /* so many are bytes */
        fprintf(stderr, "  %.1f of %.1f GB ", (double)done * 1e-9,
                (double)total * 1e-9);
    fflush(stderr);
}

int32_t cli_progress(void *user, const char *stage, uint64_t done, uint64_t total)
{
    (void)user;
    if (cli_interrupted())
        return 1;
    if (!cli_is_terminal(stderr))
        return 0;
    const double now = cli_seconds();
    /* Ten drawings a second; what ends sooner never shows a bar. */
    if (bar.drawn == 0)
        bar.drawn = now;
    if (now - bar.drawn >= 0.1) {
        bar.drawn = now;
        bar.visible = 1;
        draw(stage, done, total);
    }
    return 0;
}

void cli_progress_end(void)
{
    if (bar.visible)
        fputs("\r\x1b[K", stderr);
    bar.visible = 0;
    bar.drawn = 0;
}
