/* SPDX-License-Identifier: MIT */
/* mote pack, mote calibrate: from a checkpoint to one file. */
#include "cli.h"
#include "mote/experimental.h"

static int verify(const char *path)
{
    mote_error err;
    const mote_status st = mote_pack_verify(path, cli_progress, NULL, &err);
    cli_progress_end();
    if (st < 0)
        return cli_fail_with(&err, path);
    printf("%s: every checksum holds\n", path);
    return CLI_OK;
}

int cmd_pack(int argc, char **argv)
{
    cli_set set = {.command = "pack",
            .usage = "-m DIR -o FILE [OPTIONS]  or  mote pack --verify FILE",
            .about = "Make one file of a checkpoint, in the layout that the kernels "
                     "use: "
                     "it is mapped and used in place."};
    const char *model = NULL, *output = NULL, *operand = NULL, *preset = NULL;
    uint32_t check = 0, layers = 0;
    mote_pack_options o = MOTE_PACK_OPTIONS_INIT;
    cli_add(&set, 'm', "model", CLI_TEXT, &model, "DIR", "checkpoint directory");
    cli_add(&set, 'o', "output", CLI_TEXT, &output, "FILE", "the pack to write");
    cli_add_field(&set, 0, "type", MOTE_OPTIONS_PACK, &o, "type",
            "keep|bf16|fp8|int8|int4|int4-all", NULL);
    cli_add_field(&set, 0, "expert-type", MOTE_OPTIONS_PACK, &o, "expert_type",
            "keep|bf16|fp8|int8|int4|int4-all", NULL);
    cli_add_field(&set, 0, "zstd", MOTE_OPTIONS_PACK, &o, "zstd_level", "LEVEL",
            "compress losslessly, 1 to 22; 0: not");
    cli_add_field(&set, 0, "importance", MOTE_OPTIONS_PACK, &o, "importance", "FILE",
            "what mote calibrate wrote: rounds what matters more with more care");
    cli_add(&set, 0, "preset", CLI_TEXT, &preset, "NAME",
            "random weights of a known shape, to measure with; takes --type, no "
            "other option");
    cli_add(&set, 0, "layers", CLI_U32, &layers, "N", "cut the preset to N layers");
    cli_add(&set, 0, "verify", CLI_FLAG, &check, NULL,
            "check every checksum of a pack");
    cli_add(&set, 0, NULL, CLI_OPERAND, &operand, "FILE", "the pack to verify");
    const int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    if (check) {
        const char *path = operand ? operand : (model ? model : output);
        return path ? verify(path) : cli_usage(&set, "give the pack to verify");
    }
    if (operand)
        return cli_usage(&set, "unexpected word '%s'", operand);
    if ((!model && !preset) || !output)
        return cli_usage(&set, "give a checkpoint with -m DIR and a pack with -o FILE");
    if (preset && (model || o.expert_type || o.zstd_level || o.importance))
        return cli_usage(
                &set, "--preset: of the other options only --type belongs to it");
    if (layers && !preset)
        return cli_usage(&set, "--layers belongs to a --preset");
    o.progress = cli_progress;
    mote_error err;
    const mote_status st = preset ? mote_x_pack_synthesize(preset, layers, o.type, 1,
                                            output, cli_progress, NULL, &err)
                                  : mote_pack_write(model, output, &o, &err);
    cli_progress_end();
    return st < 0 ? cli_fail_with(&err, "packing") : CLI_OK;
}

int cmd_calibrate(int argc, char **argv)
{
    cli_set set = {.command = "calibrate",
            .usage = "-m DIR -f FILE -o FILE",
            .about = "Run a text through a model and write which weights matter, for "
                     "mote pack --importance."};
    const char *model = NULL, *file = NULL, *output = NULL;
    cli_add(&set, 'm', "model", CLI_TEXT, &model, "DIR", "checkpoint directory");
    cli_add(&set, 'f', "file", CLI_TEXT, &file, "FILE", "the text; -: standard input");
    cli_add(&set, 'o', "output", CLI_TEXT, &output, "FILE", "the file to write");
    int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    if (!model || !file || !output)
        return cli_usage(
                &set, "give a checkpoint with -m, a text with -f, a file with -o");
    cli_buffer text = {0};
    mote_error err;
    code = cli_read_file(file, &text);
    if (code == CLI_OK && mote_pack_calibrate(model, text.data, text.n, output,
                                  cli_progress, NULL, &err) < 0)
        code = cli_fail_with(&err, "calibrating");
    cli_progress_end();
    cli_buffer_free(&text);
    return code;
}
