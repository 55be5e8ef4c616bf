/* SPDX-License-Identifier: MIT */
#include "line_edit.h"
#include "json_out.h"
#include <stdlib.h>
#include <string.h>

enum {
    CTRL_A = 1,
    CTRL_B,
    CTRL_C,
    CTRL_D,
    CTRL_E,
    CTRL_F,
    BELL,
    CTRL_H,
    TAB,
    NEWLINE,
    CTRL_K,
    CTRL_L,
    RETURN,
    CTRL_N,
    CTRL_P = 16,
    CTRL_U = 21,
    CTRL_W = 23,
    ESCAPE = 27,
    BACKSPACE = 127
};

/* Keys that arrive as escape sequences. */
enum {
    KEY_UP = 256,
    KEY_DOWN,
    KEY_RIGHT,
    KEY_LEFT,
    KEY_HOME,
    KEY_END,
    KEY_DELETE,
    KEY_NONE
};

void line_editor_begin(line_editor *e)
{
    memset(e, 0, sizeof(*e));
    e->interactive = cli_is_terminal(stdin) && cli_is_terminal(stderr);
}

void line_editor_end(line_editor *e)
{
    cli_terminal_keys(CLI_KEYS_COOKED);
    for (size_t i = 0; i < e->n_history; i++)
        free(e->history[i]);
    cli_buffer_free(&e->text);
    memset(e, 0, sizeof(*e));
}

static size_t char_bytes(const char *text, size_t n_bytes)
{
    const size_t n = utf8_sequence(text, n_bytes);
    return n ? n : 1;
}

static uint32_t code_point(const char *text, size_t n)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)text[0] & mask[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)text[i] & 0x3f);
    return c;
}

/* East Asian wide and emoji take two columns, combining marks none: the ranges that
 * matter for moving a cursor, without asking the locale. */
static size_t columns_of(uint32_t c)
{
    static const uint32_t wide[][2] = {{0x1100, 0x115f}, {0x2e80, 0x303e},
            {0x3041, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
            {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff},
            {0x20000, 0x3fffd}};
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x200b && c <= 0x200f) ||
            (c >= 0xfe00 && c <= 0xfe0f))
        return 0;
    for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
        if (c >= wide[i][0] && c <= wide[i][1])
            return 2;
    return 1;
}

size_t line_columns(const char *text, size_t n_bytes)
{
    size_t columns = 0;
    while (n_bytes) {
        const size_t n = char_bytes(text, n_bytes);
        columns += columns_of(n == 1 ? '?' : code_point(text, n));
        text += n;
        n_bytes -= n;
    }
    return columns;
}

static size_t before(const line_editor *e, size_t at)
{
    do
        at--;
    while (at && ((unsigned char)e->text.data[at] & 0xc0) == 0x80);
    return at;
}

/* Draw the prompt and as much of the line around the cursor as one row holds. */
static void redraw(const line_editor *e)
{
    const size_t room = cli_terminal_columns() - 1;
    const size_t prompt = line_columns(e->prompt, strlen(e->prompt));
    const char *text = e->text.data;
    size_t begin = 0, end = e->cursor;
    while (prompt + line_columns(text + begin, end - begin) > room && begin < end)
        begin += char_bytes(text + begin, end - begin);
    while (end < e->text.n) {
        const size_t n = char_bytes(text + end, e->text.n - end);
        if (prompt + line_columns(text + begin, end + n - begin) > room)
            break;
        end += n;
    }
    fprintf(stderr, "\r%s%.*s\x1b[K\r\x1b[%zuC", e->prompt, (int)(end - begin),
            text + begin, prompt + line_columns(text + begin, e->cursor - begin));
    fflush(stderr);
}

static void cut(line_editor *e, size_t begin, size_t end)
{
    memmove(e->text.data + begin, e->text.data + end, e->text.n - end + 1);
    e->text.n -= end - begin;
    e->cursor = begin;
}

static void insert(line_editor *e, const char *bytes, size_t n)
{
    if (cli_append(&e->text, bytes, n))
        return;
    char *at = e->text.data + e->cursor;
    memmove(at + n, at, e->text.n - n - e->cursor);
    memcpy(at, bytes, n);
    e->cursor += n;
}

static void replace(line_editor *e, const char *line)
{
    e->text.n = 0;
    cli_append(&e->text, line, strlen(line));
    e->cursor = e->text.n;
}

static int read_key(void)
{
    const int c = cli_read_byte();
    if (c != ESCAPE)
        return c;
    const int kind = cli_read_byte();
    if (kind != '[' && kind != 'O')
        return KEY_NONE;
    int final = cli_read_byte(), number = 0;
    while ((final >= '0' && final <= '9') || final == ';') {
        number = final == ';' ? 0 : number % 100 * 10 + final - '0';
        final = cli_read_byte();
    }
    switch (final) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'C':
        return KEY_RIGHT;
    case 'D':
        return KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    case '~':
        return number == 3 ? KEY_DELETE
                           : (number == 1 || number == 7
                                             ? KEY_HOME
                                             : (number == 4 || number == 8 ? KEY_END
                                                                           : KEY_NONE));
    default:
        return KEY_NONE;
    }
}

static void remember(line_editor *e)
{
    if (!e->text.n ||
            (e->n_history && !strcmp(e->history[e->n_history - 1], e->text.data)))
        return;
    char *copy = malloc(e->text.n + 1);
    if (!copy)
        return;
    memcpy(copy, e->text.data, e->text.n + 1);
    if (e->n_history == HISTORY_MAX) {
        free(e->history[0]);
        memmove(e->history, e->history + 1, (HISTORY_MAX - 1) * sizeof(e->history[0]));
        e->n_history--;
    }
    e->history[e->n_history++] = copy;
}

static void walk_history(line_editor *e, size_t *shown, int step)
{
    if (step < 0 ? *shown == 0 : *shown >= e->n_history)
        return;
    *shown = step < 0 ? *shown - 1 : *shown + 1;
    replace(e, *shown < e->n_history ? e->history[*shown] : "");
}

/* Erase the blanks before the cursor, and the word before them. */
static void cut_word(line_editor *e)
{
    size_t begin = e->cursor;
    while (begin && e->text.data[begin - 1] == ' ')
        begin--;
    while (begin && e->text.data[begin - 1] != ' ')
        begin--;
    cut(e, begin, e->cursor);
}

/* A key that moves or cuts; anything else is ignored. */
static void edit(line_editor *e, int key, size_t *shown)
{
    const size_t n = e->text.n, at = e->cursor;
    if ((key == KEY_LEFT || key == CTRL_B) && at)
        e->cursor = before(e, at);
    else if ((key == KEY_RIGHT || key == CTRL_F) && at < n)
        e->cursor += char_bytes(e->text.data + at, n - at);
    else if (key == KEY_HOME || key == CTRL_A)
        e->cursor = 0;
    else if (key == KEY_END || key == CTRL_E)
        e->cursor = n;
    else if ((key == BACKSPACE || key == CTRL_H) && at)
        cut(e, before(e, at), at);
    else if ((key == KEY_DELETE || key == CTRL_D) && at < n)
        cut(e, at, at + char_bytes(e->text.data + at, n - at));
    else if (key == CTRL_U)
        cut(e, 0, at);
    else if (key == CTRL_K)
        cut(e, at, n), e->cursor = at;
    else if (key == CTRL_W)
        cut_word(e);
    else if (key == CTRL_L)
        fputs("\x1b[H\x1b[2J", stderr);
    else if (key == KEY_UP || key == CTRL_P)
        walk_history(e, shown, -1);
    else if (key == KEY_DOWN || key == CTRL_N)
        walk_history(e, shown, 1);
}

static void type(line_editor *e, int key)
{
    /* Take a whole character, so that the cursor never stands inside one. */
    char bytes[4] = {(char)key};
    const size_t n = key >= 0xf0 ? 4 : (key >= 0xe0 ? 3 : (key >= 0xc0 ? 2 : 1));
    for (size_t i = 1; i < n; i++)
        bytes[i] = (char)cli_read_byte();
    if (key == TAB)
        bytes[0] = ' ';
    if (utf8_sequence(bytes, n) == n)
        insert(e, bytes, n);
}

static int edit_line(line_editor *e)
{
    size_t shown = e->n_history;
    for (;;) {
        redraw(e);
        const int key = read_key();
        if (key == RETURN || key == NEWLINE)
            return 1;
        if (key < 0 || (key == CTRL_D && !e->text.n))
            return 0;
        if (key == CTRL_C) {
            fputs("^C", stderr);
            e->text.n = 0;
            e->text.data[0] = 0;
            return 1;
        }
        if (key == TAB || (key >= ' ' && key < 256 && key != BACKSPACE))
            type(e, key);
        else
            edit(e, key, &shown);
    }
}

const char *line_editor_read(line_editor *e, const char *prompt, size_t *n)
{
    int more;
    e->text.n = e->cursor = 0;
    e->prompt = prompt;
    *n = 0;
    if (!e->interactive || cli_append(&e->text, "", 0) ||
            cli_terminal_keys(CLI_KEYS_RAW)) {
        more = cli_read_line(stdin, &e->text);
    } else {
        more = edit_line(e);
        cli_terminal_keys(CLI_KEYS_KEPT);
        fputc('\n', stderr);
        remember(e);
    }
    if (more <= 0)
        return NULL;
    *n = e->text.n;
    return e->text.data;
}
