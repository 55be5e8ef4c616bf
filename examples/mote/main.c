/* SPDX-License-Identifier: MIT */
/* The command `mote`: chooses the subcommand, and how failures are reported. */
#include "cli.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

const char *cli_argv0;

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} command;

static const command commands[] = {
        {"run", cmd_run, "write on from a prompt"},
        {"chat", cmd_chat, "hold a conversation"},
        {"info", cmd_info, "say what a model is and needs"},
        {"tokenize", cmd_tokenize, "text to token ids"},
        {"detokenize", cmd_detokenize, "token ids to text"},
        {"logits", cmd_logits, "write the logits of every position to a file"},
        {"perplexity", cmd_perplexity, "how well a model predicts a text"},
        {"bench", cmd_bench, "speed, beside the limits of this machine"},
        {"pack", cmd_pack, "make one file of a checkpoint, or check one"},
        {"calibrate", cmd_calibrate,
                "learn from a text which weights matter, for pack"},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

int cli_fail(const char *format, ...)
{
    va_list args;
    cli_progress_end();
    fflush(stdout);
    fputs("mote: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_fail_with(const mote_error *err, const char *what)
{
    if (err->status == MOTE_E_CANCELLED && cli_interrupted()) {
        cli_progress_end();
        return CLI_INTERRUPTED;
    }
    if (strstr(err->message, what)) /* it says so itself */
        return cli_fail("%s", err->message);
    return cli_fail("%s: %s", what, err->message);
}

int cli_usage(const cli_set *set, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "mote %s: ", set->command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " (see mote %s --help)\n", set->command);
    return CLI_USAGE;
}

int cli_begin(const cli_set *set, int argc, char **argv)
{
    char message[512];
    switch (cli_parse(set, argc, argv, message, sizeof(message))) {
    case 0:
        return -1;
    case 1:
        cli_help(stdout, set);
        return CLI_OK;
    default:
        return cli_usage(set, "%s", message);
    }
}

static void print_usage(FILE *out)
{
    fputs("mote runs DeepSeek-V3-class language models.\n\n"
          "Usage: mote COMMAND [OPTIONS]\n\n"
          "Commands\n",
            out);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].about);
    fputs("  version      versions of the library and of what it was built with\n"
          "  help COMMAND the options of a command\n\n"
          "Example: mote run -p \"Once upon a time\"\n\n"
          "Exit codes: 0 done, 1 failed, 2 wrong command line, 130 stopped by "
          "Ctrl-C.\n",
            out);
}

static int print_version(void)
{
    printf("mote %s, kernels for this machine: %s\n%s", mote_version_string(),
            mote_version_isa(), mote_version_components());
    return CLI_OK;
}

static const command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    const int help = !strcmp(name, "help");
    if (!strcmp(name, "version") || !strcmp(name, "--version"))
        return print_version();
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || (help && argc == 2)) {
        print_usage(stdout);
        return CLI_OK;
    }
    if (help)
        name = argv[2];
    const command *c = find_command(name);
    if (!c) {
        fprintf(stderr, "mote: unknown command '%s' (see mote --help)\n", name);
        return CLI_USAGE;
    }
    char word[] = "--help", *only_help[] = {word};
    return help ? c->run(1, only_help) : c->run(argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
    cli_argv0 = argc ? argv[0] : "mote";
    cli_binary_streams();
    cli_interrupts_begin();
    const int code = dispatch(argc, argv);
    /* A full disk shows here at the latest. */
    if (code != CLI_USAGE && (fflush(stdout) || ferror(stdout)))
        return cli_fail("standard output cannot be written: %s", strerror(errno));
    return code;
}
