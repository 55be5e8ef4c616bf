/* SPDX-License-Identifier: MIT */
/* mote chat: a conversation of many turns. Ctrl-C stops the reply, not the program. */
#include "conversation.h"
#include "line_edit.h"
#include <stdlib.h>
#include <string.h>

typedef struct chat {
    cli_model_args model_args;
    cli_session_args session_args;
    cli_sampler_args sampler_args;
    const char *system, *format_name;
    mote_generate_options generate;
    uint32_t think, no_think, raw;

    mote_model *model;
    mote_session *session;
    const mote_tokenizer *tokenizer;
    const mote_chat_format *format; /* NULL in raw mode */
    mote_sampler_options sampler;
    conversation messages;
    line_editor editor;
    cli_buffer content, reasoning; /* of the reply */
    int dim;                       /* the terminal is set to dim text */
    int terminal;                  /* stdout is one */
} chat;

static void list_options(cli_set *set, chat *c)
{
    *set = (cli_set){.command = "chat",
            .usage = "[-m MODEL] [--system TEXT] [OPTIONS]",
            .about = "Hold a conversation in the model's own format. /help lists what "
                     "can "
                     "be typed besides messages."};
    cli_add(set, 's', "system", CLI_TEXT, &c->system, "TEXT", "system message");
    cli_add(set, 0, "think", CLI_FLAG, &c->think, NULL,
            "reason before answering, where the format has a switch");
    cli_add(set, 0, "no-think", CLI_FLAG, &c->no_think, NULL, "answer at once");
    c->generate = (mote_generate_options)MOTE_GENERATE_OPTIONS_INIT;
    cli_add_field(set, 0, "think-tokens", MOTE_OPTIONS_GENERATE, &c->generate,
            "think_tokens_max", "N", "close the reasoning after N tokens; 0: no cap");
    cli_add_field(set, 'n', "max-tokens", MOTE_OPTIONS_GENERATE, &c->generate,
            "max_tokens", "N",
            "at most N tokens a reply; 0: until the model or the context ends");
    cli_add(set, 0, "format", CLI_TEXT, &c->format_name, "NAME",
            "chat format, instead of the one the model was published with");
    cli_add(set, 0, "raw", CLI_FLAG, &c->raw, NULL,
            "no format: each line is text that the model writes on from");
    cli_add_model(set, &c->model_args);
    cli_add_session(set, &c->session_args, 1);
    cli_add_sampler(set, &c->sampler_args);
}

static void set_dim(chat *c, int on)
{
    if (c->terminal && c->dim != on)
        fputs(on ? "\x1b[2m" : "\x1b[0m", stdout);
    c->dim = on;
}

/* Answers go to stdout. Reasoning is dimmed on a terminal, and kept out of a pipe. */
static void print_piece(chat *c, const mote_piece *piece)
{
    const int reasoning = piece->channel == MOTE_CHANNEL_REASONING;
    cli_append(reasoning ? &c->reasoning : &c->content, piece->text, piece->n_bytes);
    if (!piece->n_bytes)
        return;
    if (reasoning && !c->terminal) {
        fwrite(piece->text, 1, piece->n_bytes, stderr);
        return;
    }
    if (c->terminal && c->dim && !reasoning)
        fputs("\n", stdout);
    set_dim(c, reasoning);
    fwrite(piece->text, 1, piece->n_bytes, stdout);
    fflush(stdout);
}

/* The reply to the tokens in the session. CLI_INTERRUPTED keeps what was written. */
static int reply(chat *c, uint32_t in_reasoning)
{
    mote_error err;
    mote_status st;
    mote_piece piece = MOTE_PIECE_INIT;
    mote_generate_options o = c->generate;
    o.starts_in_reasoning = in_reasoning;
    o.format = c->format;
    c->content.n = c->reasoning.n = 0;
    if (mote_session_generate(c->session, &o, &c->sampler, &err) < 0)
        return cli_fail_with(&err, "generating");
    c->sampler.seed++; /* another draw for the next reply, still reproducible */
    while ((st = mote_session_next(c->session, &piece, &err)) == MOTE_OK)
        print_piece(c, &piece);
    set_dim(c, 0);
    putchar('\n');
    fflush(stdout);
    return st < 0 ? cli_fail_with(&err, "generating") : CLI_OK;
}

static int set_prompt(chat *c, const int32_t *tokens, size_t n)
{
    mote_error err;
    const mote_status st = mote_session_prompt(c->session, tokens, n, &err);
    cli_progress_end();
    if (st == MOTE_E_CONTEXT_FULL)
        return cli_fail("the conversation no longer fits in %u tokens: /reset it, or "
                        "start with a larger --ctx",
                mote_session_context_tokens(c->session));
    return st < 0 ? cli_fail_with(&err, "reading the message") : CLI_OK;
}

static int formatted_turn(chat *c, const cli_buffer *message)
{
    int32_t *tokens = NULL;
    size_t n = 0;
    uint32_t in_reasoning = 0;
    const size_t mark = conversation_mark(&c->messages);
    if (conversation_add(&c->messages, "user", message, NULL))
        return cli_fail("the conversation does not fit in memory");
    const uint32_t flags = MOTE_CHAT_GENERATE | (c->think ? MOTE_CHAT_THINK : 0);
    int code = conversation_render(
            &c->messages, c->format, c->tokenizer, flags, &tokens, &n, &in_reasoning);
    if (code == CLI_OK)
        code = set_prompt(c, tokens, n);
    free(tokens);
    if (code == CLI_OK)
        code = reply(c, in_reasoning);
    else
        c->content.n = 0;
    /* A reply that was stopped stays; a message that got none is taken back. */
    if (code == CLI_OK || (code == CLI_INTERRUPTED && c->content.n)) {
        if (conversation_add(&c->messages, "assistant", &c->content, &c->reasoning))
            code = cli_fail("the conversation does not fit in memory");
    } else {
        conversation_undo(&c->messages, mark);
    }
    return code;
}

static int raw_turn(chat *c, const cli_buffer *message)
{
    mote_error err;
    int32_t *tokens;
    size_t n;
    const uint32_t flags = mote_session_position(c->session) ? 0 : MOTE_ENCODE_BOS;
    int code = cli_encode(c->tokenizer, message->data, message->n, flags, &tokens, &n);
    if (code != CLI_OK)
        return code;
    if (n && mote_session_eval(c->session, tokens, n, &err) < 0)
        code = cli_fail_with(&err, "reading the message");
    cli_progress_end();
    free(tokens);
    return code == CLI_OK ? reply(c, 0) : code;
}

static void save(chat *c, const char *path)
{
    mote_error err;
    char beside[4096];
    snprintf(beside, sizeof(beside), "%s.json", path);
    if (mote_session_save_file(c->session, path, &err) < 0)
        cli_fail_with(&err, path);
    else if (conversation_save(&c->messages, beside) == CLI_OK)
        fprintf(stderr, "saved %s and %s\n", path, beside);
}

static void load(chat *c, const char *path)
{
    mote_error err;
    char beside[4096];
    conversation loaded = {0};
    snprintf(beside, sizeof(beside), "%s.json", path);
    if (conversation_load(&loaded, beside) != CLI_OK)
        return;
    if (mote_session_load_file(c->session, path, &err) < 0) {
        conversation_end(&loaded);
        cli_fail_with(&err, path);
        return;
    }
    conversation_end(&c->messages);
    c->messages = loaded;
    fprintf(stderr, "loaded %s: %u tokens\n", path, mote_session_position(c->session));
}

static void print_stats(const chat *c)
{
    mote_session_stats s = MOTE_SESSION_STATS_INIT;
    cli_report(c->model, c->session);
    if (mote_session_get_stats(c->session, &s, NULL) < 0)
        return;
    fprintf(stderr,
            "context: %u of %u tokens; reasoning: %llu tokens; cache: %.1f MB\n",
            mote_session_position(c->session), mote_session_context_tokens(c->session),
            (unsigned long long)s.reasoning_tokens, (double)s.kv_bytes * 1e-6);
}

/* A line that begins with a slash: 1 to go on, 0 to leave. */
static int command(chat *c, const char *line)
{
    const size_t n = strcspn(line, " ");
    const char *argument = line + n + strspn(line + n, " ");
    const char *names[] = {"/save", "/load", "/reset", "/stats", "/quit", "/exit"};
    size_t which = 0;
    while (which < 6 && (strlen(names[which]) != n || memcmp(names[which], line, n)))
        which++;
    if (which < 2 && !*argument)
        fprintf(stderr, "%s needs the name of a file\n", names[which]);
    else if (which == 0)
        save(c, argument);
    else if (which == 1)
        load(c, argument);
    else if (which == 2 && !conversation_begin(&c->messages, c->system))
        mote_session_reset(c->session);
    else if (which == 3)
        print_stats(c);
    else if (which == 4 || which == 5)
        return 0;
    else {
        if (n != 5 || memcmp(line, "/help", 5))
            fprintf(stderr, "there is no %.*s\n", (int)(n < 40 ? n : 40), line);
        fputs("/save FILE   keep the conversation\n"
              "/load FILE   go on with one that was kept\n"
              "/reset       begin anew\n"
              "/stats       tokens, speed, memory\n"
              "/quit        leave (as Ctrl-D does)\n"
              "Ctrl-C stops a reply.\n",
                stderr);
    }
    return 1;
}

static int converse(chat *c)
{
    int code = CLI_OK;
    const char *line;
    size_t n;
    for (;;) {
        line = line_editor_read(&c->editor, "> ", &n);
        if (!line && !cli_interrupted())
            break;
        if (!line && !c->editor.interactive)
            return CLI_INTERRUPTED;
        cli_interrupts_forget();
        if (!line || !n)
            continue;
        if (line[0] == '/') {
            if (!command(c, line))
                break;
            continue;
        }
        const cli_buffer message = {.data = (char *)(uintptr_t)line, .n = n};
        code = c->format ? formatted_turn(c, &message) : raw_turn(c, &message);
        cli_interrupts_forget();
        /* A person can go on after a failure; a script should hear of it. */
        if (code == CLI_INTERRUPTED || (code != CLI_OK && c->editor.interactive))
            code = CLI_OK;
        else if (code != CLI_OK)
            break;
    }
    return code;
}

static int choose_format(chat *c)
{
    mote_error err;
    if (c->raw)
        return CLI_OK;
    c->format = c->format_name ? mote_chat_format_find(c->format_name, &err)
                               : mote_chat_format_of(c->tokenizer, &err);
    if (c->format)
        return CLI_OK;
    if (!c->format_name)
        return cli_fail("%s; choose a --format, or --raw for none", err.message);
    char names[512];
    size_t n = 0;
    for (uint32_t i = 0; n < sizeof(names); i++) {
        const mote_chat_format *f = mote_chat_format_at(i);
        if (!f)
            break;
        n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? ", " : "",
                mote_chat_format_name(f));
    }
    return cli_fail("--format: expected one of %s, found '%s'", names, c->format_name);
}

/* 1 when the format writes a prompt differently for a reply with reasoning. */
static int has_switch(const mote_chat_format *format)
{
    static const char hi[] = "[{\"role\":\"user\",\"content\":\"Hi\"}]";
    char text[2][512];
    size_t n[2];
    for (uint32_t i = 0; i < 2; i++)
        if (mote_chat_render_text(format, hi, sizeof hi - 1,
                    MOTE_CHAT_GENERATE | (i ? MOTE_CHAT_THINK : 0), NULL, 0, text[i],
                    sizeof text[i], &n[i], NULL) < 0 ||
                n[i] > sizeof text[i])
            return 1; /* not known to have none */
    return n[0] != n[1] || memcmp(text[0], text[1], n[0]) != 0;
}

static int run(chat *c, uint32_t mtp)
{
    mote_error err;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    int code = cli_open_model(&c->model, &c->model_args, mtp);
    if (code == CLI_OK && mote_model_get_info(c->model, &info, &err) < 0)
        code = cli_fail_with(&err, "the model");
    if (code == CLI_OK)
        code = cli_tokenizer(&c->tokenizer, c->model);
    if (code == CLI_OK)
        code = choose_format(c);
    if (code == CLI_OK && c->format && (c->think || c->no_think) &&
            !c->model_args.quiet && !has_switch(c->format))
        fprintf(stderr,
                "chat format %s has no switch for reasoning: %s changes nothing\n",
                mote_chat_format_name(c->format), c->think ? "--think" : "--no-think");
    if (code == CLI_OK) {
        c->sampler = cli_sampler(&c->sampler_args, &info);
        code = cli_open_session(&c->session, c->model, &c->session_args.options, 0, 0);
    }
    if (code == CLI_OK && conversation_begin(&c->messages, c->system))
        code = cli_fail("out of memory");
    if (code == CLI_OK) {
        c->terminal = cli_is_terminal(stdout);
        line_editor_begin(&c->editor);
        if (c->editor.interactive && !c->model_args.quiet)
            fprintf(stderr, "%s; /help says what else can be typed\n",
                    c->format ? mote_chat_format_name(c->format) : "raw text");
        code = converse(c);
        if (!c->model_args.quiet)
            cli_report(c->model, c->session);
        line_editor_end(&c->editor);
    }
    conversation_end(&c->messages);
    cli_buffer_free(&c->content);
    cli_buffer_free(&c->reasoning);
    cli_close_session(c->session);
    mote_model_close(c->model);
    return code;
}

int cmd_chat(int argc, char **argv)
{
    cli_set set;
    chat c = {0};
    uint32_t mtp;
    list_options(&set, &c);
    const int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    if (c.think && c.no_think)
        return cli_usage(&set, "give --think or --no-think, not both");
    if (c.raw && (c.system || c.format_name || c.think || c.no_think))
        return cli_usage(&set, "--raw has no format, system message or reasoning");
    if (cli_drafting(&c.session_args, &mtp))
        return cli_usage(&set, "--mtp: expected 1 to 4, auto or off, found '%s'",
                c.session_args.mtp);
    if (cli_biases(&c.sampler_args))
        return cli_usage(&set, "--logit-bias: expected ID=NUMBER or ID=off");
    return run(&c, mtp);
}
