/* SPDX-License-Identifier: MIT */
/* mote bench: speed, beside the limits of this machine. */
#include "bench.h"
#include "bench_bytes.h"
#include "json_out.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench_args {
    cli_model_args model;
    const char *preset;
    uint32_t layers, type, repeats, json, sessions;
    mote_session_options session;
    const char *mtp;
    float acceptance;
    uint64_t seed;
    cli_list prefill, decode, depth, threads;
    uint32_t speculate, drafts; /* from mtp */
} bench_args;

static const char *const kv_names[] = {"default", "f32", "bf16", "fp8"};

static void list_options(cli_set *set, bench_args *a)
{
    *set = (cli_set){.command = "bench",
            .usage = "[-m MODEL | --preset NAME [--layers N] [--type T]] [OPTIONS]",
            .about = "Measure prefill and decode, beside this machine's read bandwidth "
                     "and multiply peak. Lists such as -t 1,2 measure every "
                     "combination."};
    cli_add(set, 0, "preset", CLI_TEXT, &a->preset, "NAME",
            "random weights in the shape of deepseek-v2-lite, moonlight-16b, "
            "deepseek-v3, kimi-k2 or tiny-v3");
    cli_add(set, 0, "layers", CLI_U32, &a->layers, "N", "cut the preset to N layers");
    cli_add(set, 0, "type", CLI_CHOICE, &a->type, "bf16|fp8|int8|int4|int4-all",
            "type of the preset's weights; fp8 by default");
    cli_add_range(set, 'p', "prefill", CLI_LIST, &a->prefill, "N,...", 0, 1u << 24,
            "prompt tokens; 512 by default, 0: none");
    cli_add_range(set, 'n', "decode", CLI_LIST, &a->decode, "N,...", 0, 1u << 24,
            "tokens decoded; 64 by default, 0: none");
    cli_add_range(set, 'd', "depth", CLI_LIST, &a->depth, "N,...", 0, 1u << 24,
            "tokens in the context before; 0 by default");
    cli_add_range(set, 't', "threads", CLI_LIST, &a->threads, "N,...", 0, 1024,
            "worker threads; 0: one per usable core");
    cli_add_range(set, 'r', "repeats", CLI_U32, &a->repeats, "N", 1, REPEATS_MAX,
            "how often each is measured; medians are reported (5)");
    a->session = (mote_session_options)MOTE_SESSION_OPTIONS_INIT;
    cli_add_field(set, 0, "kv", MOTE_OPTIONS_SESSION, &a->session, "kv_type",
            "f32|bf16|fp8", NULL);
    cli_add_field(set, 0, "precision", MOTE_OPTIONS_SESSION, &a->session, "precision",
            "exact|fine|bf16", "activations; bf16 by default here");
    cli_add_field(set, 0, "attention", MOTE_OPTIONS_SESSION, &a->session, "attention",
            "absorbed|expanded", "of the prompt; expanded is measured beside absorbed");
    cli_add(set, 0, "mtp", CLI_TEXT, &a->mtp, "N|auto|off",
            "measure speculation too, drafting N tokens; auto: where it pays");
    cli_add(set, 0, "accept", CLI_F32, &a->acceptance, "P",
            "accept drafts with this probability, whatever the model says");
    cli_add_range(set, 0, "sessions", CLI_U32, &a->sessions, "N", 1, 64,
            "measure N sessions advanced together too");
    cli_add(set, 0, "seed", CLI_U64, &a->seed, "S", "of weights and tokens");
    cli_add(set, 0, "json", CLI_FLAG, &a->json, NULL, "as JSON");
    cli_add_model(set, &a->model);
}

static int open_model(mote_model **out, const bench_args *a, uint32_t threads)
{
    const uint32_t mtp = a->speculate ? MOTE_MTP_ON : MOTE_MTP_OFF;
    cli_model_args args = a->model;
    args.options.n_threads = threads;
    if (!a->preset)
        return cli_open_model(out, &args, mtp);
    const mote_model_options o = cli_model_options(&args, mtp);
    mote_error err;
    const mote_status st = mote_x_model_synthesize(
            out, a->preset, a->layers, a->type, a->seed, &o, &err);
    cli_progress_end();
    return st < 0 ? cli_fail_with(&err, a->preset) : CLI_OK;
}

static const char *type_name(const mote_model_info *info)
{
    switch (bench_main_type(info)) {
    case 'b':
        return "bf16";
    case '8':
        return "fp8";
    case 'i':
        return "int8";
    case '4':
        return "int4";
    default:
        return "f32";
    }
}

static void print_json(cli_json *j, const bench_args *a, mote_model *model,
        const mote_model_info *info, const bench_setting *s, const bench_result *r)
{
    json_open(j, NULL, '{');
    json_text(j, "model", a->preset ? a->preset : cli_model_path(&a->model));
    json_unsigned(j, "layers", info->num_hidden_layers);
    json_text(j, "type", type_name(info));
    json_text(j, "isa", mote_model_isa(model));
    json_text(j, "kv", kv_names[s->kv_type]);
    json_text(j, "precision",
            s->precision == MOTE_PRECISION_BF16    ? "bf16"
            : s->precision == MOTE_PRECISION_EXACT ? "exact"
                                                   : "fine");
    json_unsigned(j, "threads", mote_model_threads(model));
    json_unsigned(j, "repeats", s->repeats);
    json_unsigned(j, "depth", s->depth);
    json_unsigned(j, "prefill_tokens", s->prefill);
    json_number(j, "prefill_tokens_per_s", r->prefill_rate);
    json_unsigned(j, "decode_tokens", s->decode);
    json_number(j, "decode_tokens_per_s", r->decode_rate);
    json_unsigned(j, "active_bytes_per_token", info->bytes_active);
    json_unsigned(j, "cache_bytes_per_token", r->kv_bytes);
    json_number(j, "read_bandwidth_bytes_per_s", r->bandwidth);
    json_number(j, "decode_bandwidth_share", r->decode_share);
    json_number(j, "prefill_flops_per_token", r->flops_per_token);
    json_number(j, "peak_flops_per_s", r->peak);
    json_text(j, "peak_kind", r->peak_kind);
    json_number(j, "prefill_peak_share", r->prefill_share);
    if (r->absorbed_rate > 0) {
        json_number(j, "absorbed_prefill_tokens_per_s", r->absorbed_rate);
        json_number(j, "expanded_speedup", r->expanded_speedup);
    }
    if (r->streamed) {
        json_open(j, "streaming", '{');
        json_number(j, "expert_hit_share", r->expert_hits);
        json_number(j, "disk_bytes_per_token", r->stream_bytes);
        json_number(j, "stall_s_per_token", r->stream_stall);
        json_close(j, '}');
    }
    if (s->speculate) {
        json_open(j, "speculation", '{');
        json_unsigned(j, "draft_tokens", s->drafts);
        json_number(j, "first_draft_acceptance", r->first_acceptance);
        json_number(j, "tokens_per_pass", r->tokens_per_pass);
        json_number(j, "tokens_per_s", r->draft_rate);
        json_number(j, "plain_tokens_per_s", r->draft_plain_rate);
        json_number(j, "speedup", r->draft_speedup);
        json_number(j, "weight_bytes_per_round", r->draft_round_bytes);
        json_number(j, "weight_bytes_per_plain_token", r->draft_plain_bytes);
        json_number(j, "bound_speedup", r->draft_bound);
        json_number(j, "bound_share", r->draft_speedup / r->draft_bound);
        json_close(j, '}');
    }
    if (s->sessions > 1) {
        json_open(j, "batch", '{');
        json_unsigned(j, "sessions", s->sessions);
        json_number(j, "tokens_per_s", r->batch_rate);
        json_number(j, "single_tokens_per_s", r->batch_single_rate);
        json_number(j, "speedup", r->batch_speedup);
        json_number(j, "weight_bytes_per_pass", r->batch_bytes);
        json_number(j, "weight_bytes_per_plain_token", r->batch_single_bytes);
        json_number(j, "bound_speedup", r->batch_bound);
        json_number(j, "bound_share", r->batch_speedup / r->batch_bound);
        json_close(j, '}');
    }
    json_unsigned(j, "peak_rss_bytes", cli_peak_rss());
    json_close(j, '}');
}

static void print_text(mote_model *model, const mote_model_info *info,
        const bench_setting *s, const bench_result *r)
{
    printf("threads %u, depth %u, %s weights, %s cache, %s\n",
            mote_model_threads(model), s->depth, type_name(info), kv_names[s->kv_type],
            mote_model_isa(model));
    if (s->prefill)
        printf("  prefill %5u  %9.1f tokens/s  %5.1f %% of the %s peak, %.0f GFLOP/s\n",
                s->prefill, r->prefill_rate, r->prefill_share * 100, r->peak_kind,
                r->peak * 1e-9);
    if (r->absorbed_rate > 0)
        printf("  absorbed       %9.1f tokens/s; expanded is %.3f times as fast\n",
                r->absorbed_rate, r->expanded_speedup);
    if (s->decode)
        printf("  decode  %5u  %9.1f tokens/s  %5.1f %% of the read bandwidth, %.1f "
               "GB/s "
               "(%.1f MB of weights and %.1f MB of cache a token)\n",
                s->decode, r->decode_rate, r->decode_share * 100, r->bandwidth * 1e-9,
                (double)info->bytes_active * 1e-6, (double)r->kv_bytes * 1e-6);
    if (r->streamed)
        printf("  streaming      %.1f %% of experts in memory, %.2f MB read and %.3f "
               "ms "
               "waited a token\n",
                r->expert_hits * 100, r->stream_bytes * 1e-6, r->stream_stall * 1e3);
    if (s->speculate) {
        char drafts[16] = "auto";
        if (s->drafts)
            snprintf(drafts, sizeof drafts, "%u", s->drafts);
        printf("  mtp     %5s  %9.1f tokens/s  %.3f times plain, %.1f %% of the %.3f "
               "that bytes allow (%.2f tokens and %.2f MB a round, %.2f MB a plain "
               "token; first draft %.1f %%)\n",
                drafts, r->draft_rate, r->draft_speedup,
                100 * r->draft_speedup / r->draft_bound, r->draft_bound,
                r->tokens_per_pass, r->draft_round_bytes * 1e-6,
                r->draft_plain_bytes * 1e-6, r->first_acceptance * 100);
    }
    if (s->sessions > 1)
        printf("  batch   %5u  %9.1f tokens/s  %.2f times one session, %.1f %% of the "
               "%.2f that bytes allow (%.1f MB a pass, %.1f MB alone)\n",
                s->sessions, r->batch_rate, r->batch_speedup,
                100 * r->batch_speedup / r->batch_bound, r->batch_bound,
                r->batch_bytes * 1e-6, r->batch_single_bytes * 1e-6);
}

/* Every combination of prompt, decode and depth on one open model. */
static int measure_model(bench_args *a, mote_model *model, cli_json *j)
{
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    mote_error err;
    if (mote_model_get_info(model, &info, &err) < 0)
        return cli_fail_with(&err, "the model");
    bench_setting s = {.repeats = a->repeats,
            .kv_type = a->session.kv_type,
            .precision = a->session.precision,
            .attention = a->session.attention,
            .speculate = a->speculate,
            .drafts = a->drafts,
            .acceptance = a->acceptance,
            .sessions = a->sessions,
            .seed = a->seed};
    for (uint32_t p = 0; p < a->prefill.n; p++) {
        for (uint32_t n = 0; n < a->decode.n; n++) {
            for (uint32_t d = 0; d < a->depth.n; d++) {
                bench_result r;
                s.prefill = a->prefill.values[p];
                s.decode = a->decode.values[n];
                s.depth = a->depth.values[d];
                const int code = bench_measure(model, &info, &s, &r);
                if (code != CLI_OK)
                    return code;
                if (a->json)
                    print_json(j, a, model, &info, &s, &r);
                else
                    print_text(model, &info, &s, &r);
                fflush(stdout);
            }
        }
    }
    return CLI_OK;
}

static int measure_all(bench_args *a)
{
    const uint64_t settings =
            (uint64_t)a->prefill.n * a->decode.n * a->depth.n * a->threads.n;
    cli_json j;
    int code = CLI_OK;
    json_begin(&j, stdout, 0);
    if (a->json && settings > 1)
        json_open(&j, NULL, '[');
    for (uint32_t t = 0; t < a->threads.n && code == CLI_OK; t++) {
        mote_model *model;
        code = open_model(&model, a, a->threads.values[t]);
        if (code == CLI_OK)
            code = measure_model(a, model, &j);
        mote_model_close(model);
    }
    if (a->json && settings > 1)
        json_close(&j, ']');
    return code;
}

static void set_default(cli_list *list, uint32_t value)
{
    if (!list->n)
        *list = (cli_list){.n = 1, .values = {value}};
}

/* 1, or 0 with the names that there are. */
static int known_preset(const char *name, char *names, size_t size)
{
    const char *known;
    size_t n = 0;
    for (uint32_t i = 0; (known = mote_x_preset(i)) && n < size; i++) {
        if (!strcmp(known, name))
            return 1;
        n += (size_t)snprintf(names + n, size - n, "%s%s", i ? ", " : "", known);
    }
    return 0;
}

int cmd_bench(int argc, char **argv)
{
    cli_set set;
    bench_args a = {.repeats = 5, .acceptance = NAN, .seed = 1};
    uint64_t drafts;
    char names[256];
    list_options(&set, &a);
    const int code = cli_begin(&set, argc, argv);
    if (code >= 0)
        return code;
    if (a.preset && a.model.path)
        return cli_usage(&set, "give -m or --preset, not both");
    if (a.preset && !known_preset(a.preset, names, sizeof(names)))
        return cli_usage(
                &set, "--preset: expected one of %s, found '%s'", names, a.preset);
    if (!a.preset && (a.layers || a.type))
        return cli_usage(&set, "--layers and --type belong to a --preset");
    if (a.mtp && strcmp(a.mtp, "off")) {
        a.speculate = 1;
        if (!strcmp(a.mtp, "auto"))
            drafts = 0;
        else if (cli_number(a.mtp, strlen(a.mtp), 1, 4, &drafts))
            return cli_usage(
                    &set, "--mtp: expected 1 to 4, auto or off, found '%s'", a.mtp);
        a.drafts = (uint32_t)drafts;
    }
    if (!isnan(a.acceptance) && !a.speculate)
        return cli_usage(&set, "--accept belongs to --mtp");
    if (a.acceptance < 0 || a.acceptance > 1)
        return cli_usage(&set, "--accept: expected a share from 0 to 1");
    if (isnan(a.acceptance))
        a.acceptance = -1;
    if (!a.session.precision)
        a.session.precision = MOTE_PRECISION_BF16;
    set_default(&a.prefill, 512);
    set_default(&a.decode, 64);
    set_default(&a.depth, 0);
    set_default(&a.threads, 0);
    return measure_all(&a);
}
