/* SPDX-License-Identifier: MIT */
/* Options that choose a model, and where the bundled one lies. */
#include "cli.h"
#include <stdlib.h>

#ifndef MOTE_DATADIR
#define MOTE_DATADIR "/usr/local/share/mote"
#endif

void cli_add_model(cli_set *set, cli_model_args *args)
{
    mote_model_options *o = &args->options;
    *o = (mote_model_options)MOTE_MODEL_OPTIONS_INIT;
    cli_heading(set, "Model");
    cli_add(set, 'm', "model", CLI_TEXT, &args->path, "MODEL",
            "checkpoint directory or pack; without it, the bundled model");
    if (!cli_has(set, 't')) /* bench takes a list of them */
        cli_add_field(set, 't', "threads", MOTE_OPTIONS_MODEL, o, "n_threads", "N",
                "worker threads; 0: one per usable core");
    cli_add_field(set, 0, "memory", MOTE_OPTIONS_MODEL, o, "memory_bytes", "SIZE",
            "budget for a pack's weights, such as 8G: experts stream from disk beyond "
            "it");
    cli_add_field(set, 0, "mmap", MOTE_OPTIONS_MODEL, o, "mapping",
            "auto|on|off|direct",
            "map files, or read them: safe where a file may change");
    cli_add_field(set, 0, "isa", MOTE_OPTIONS_MODEL, o, "isa", "NAME",
            "highest kernel variant to use, such as avx2");
    cli_add(set, 'v', "verbose", CLI_FLAG, &args->verbose, NULL,
            "say what was chosen and why");
    cli_add(set, 'q', "quiet", CLI_FLAG, &args->quiet, NULL,
            "no remarks and no statistics");
}

static const char *bundled(void)
{
    static char path[4096];
    static const char *const names[] = {"tiny-v3.mote", "tiny-v3"};
    /* Installed elsewhere than configured, then the build tree of the sources. */
    static const char *const places[] = {"../share/mote/models", "../../../../models",
            "../../../models", "../../models", "../models"};
    const char *chosen = getenv("MOTE_MODEL");
    if (chosen && *chosen)
        return chosen;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/models/%s", MOTE_DATADIR, names[i]);
        if (cli_path_kind(path))
            return path;
    }
    char folder[3072];
    if (cli_program_folder(cli_argv0, folder, sizeof(folder)))
        return NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
            snprintf(path, sizeof(path), "%s/%s/%s", folder, places[p], names[i]);
            if (cli_path_kind(path))
                return path;
        }
    return NULL;
}

const char *cli_model_path(const cli_model_args *args)
{
    if (args->path)
        return args->path;
    const char *path = bundled();
    if (!path)
        cli_fail("the bundled model was not found: name a model with -m, or set "
                 "MOTE_MODEL");
    return path;
}

static void on_log(void *user, int32_t level, const char *message)
{
    const cli_model_args *args = user;
    if (args->quiet || (level != MOTE_LOG_WARNING && !args->verbose))
        return;
    cli_progress_end();
    fprintf(stderr, "mote: %s%s\n", level == MOTE_LOG_WARNING ? "warning: " : "",
            message);
}

mote_model_options cli_model_options(const cli_model_args *args, uint32_t mtp)
{
    mote_model_options o = args->options;
    o.mtp = mtp;
    o.progress = cli_progress;
    o.log = on_log;
    o.log_user = (void *)(uintptr_t)args;
    return o;
}

int cli_open_model(mote_model **out, const cli_model_args *args, uint32_t mtp)
{
    *out = NULL;
    const char *path = cli_model_path(args);
    if (!path)
        return CLI_FAILED;
    const mote_model_options o = cli_model_options(args, mtp);
    mote_error err;
    const mote_status st = mote_model_open(out, path, &o, &err);
    cli_progress_end();
    return st < 0 ? cli_fail_with(&err, path) : CLI_OK;
}

int cli_tokenizer(const mote_tokenizer **out, const mote_model *model)
{
    *out = mote_model_tokenizer(model);
    return *out ? CLI_OK
                : cli_fail("this model has no tokenizer (tokenizer.json or "
                           "tiktoken.model): it cannot read text");
}
