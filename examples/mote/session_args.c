/* SPDX-License-Identifier: MIT */
/* Options of sessions and sampling, and what every session ends with: its report. */
#include "cli.h"
#include <math.h>
#include <string.h>

void cli_add_session(cli_set *set, cli_session_args *args, int drafting)
{
    mote_session_options *o = &args->options;
    *o = (mote_session_options)MOTE_SESSION_OPTIONS_INIT;
    o->progress = cli_progress;
    cli_heading(set, "Session");
    cli_add_field(set, 'c', "ctx", MOTE_OPTIONS_SESSION, o, "context_tokens", "N",
            "room for so many tokens; 0: what the model allows, at most 4096");
    cli_add_field(set, 0, "kv", MOTE_OPTIONS_SESSION, o, "kv_type", "f32|bf16|fp8",
            drafting ? NULL : "type of the latent cache (default: f32)");
    cli_add_field(set, 0, "precision", MOTE_OPTIONS_SESSION, o, "precision",
            "exact|fine|bf16",
            drafting ? NULL
                     : "activations: to fp32 grade, to 2^-16, or rounded to bf16 "
                       "(default: exact)");
    cli_add_field(set, 0, "attention", MOTE_OPTIONS_SESSION, o, "attention",
            "absorbed|expanded", NULL);
    if (!drafting)
        return;
    cli_add(set, 0, "mtp", CLI_TEXT, &args->mtp, "N|auto|off",
            "draft 1 to 4 tokens ahead with the model's MTP module; the text stays the "
            "same");
    cli_add(set, 0, "ngram", CLI_FLAG, &args->ngram, NULL,
            "draft by looking back in the text instead");
}

void cli_measuring(mote_session_options *o)
{
    if (!o->kv_type)
        o->kv_type = MOTE_KV_F32;
    if (!o->precision)
        o->precision = MOTE_PRECISION_EXACT;
}

int cli_drafting(cli_session_args *args, uint32_t *mtp)
{
    mote_session_options *o = &args->options;
    uint64_t n;
    *mtp = MOTE_MTP_AUTO;
    o->draft = args->ngram ? MOTE_DRAFT_NGRAM : MOTE_DRAFT_AUTO;
    if (!args->mtp || !strcmp(args->mtp, "auto"))
        return 0;
    if (!strcmp(args->mtp, "off")) {
        *mtp = MOTE_MTP_OFF;
        if (!args->ngram)
            o->draft = MOTE_DRAFT_OFF;
        return 0;
    }
    if (cli_number(args->mtp, strlen(args->mtp), 1, 4, &n))
        return -1;
    *mtp = MOTE_MTP_ON;
    o->draft = MOTE_DRAFT_MTP;
    o->draft_tokens = (uint32_t)n;
    return 0;
}

void cli_add_sampler(cli_set *set, cli_sampler_args *args)
{
    mote_sampler_options *o = &args->options;
    *o = (mote_sampler_options)MOTE_SAMPLER_OPTIONS_INIT;
    o->temperature = NAN; /* not given: no option reads as NaN */
    o->top_p = NAN;
    o->seed = cli_any_seed();
    cli_heading(set, "Sampling (by default as the model's authors advise)");
    cli_add_field(set, 0, "temp", MOTE_OPTIONS_SAMPLER, o, "temperature", "T",
            "temperature; 0: always the likeliest token");
    cli_add_field(set, 0, "top-k", MOTE_OPTIONS_SAMPLER, o, "top_k", "K", NULL);
    cli_add_field(set, 0, "top-p", MOTE_OPTIONS_SAMPLER, o, "top_p", "P", NULL);
    cli_add_field(set, 0, "min-p", MOTE_OPTIONS_SAMPLER, o, "min_p", "P", NULL);
    cli_add_field(set, 0, "seed", MOTE_OPTIONS_SAMPLER, o, "seed", "S",
            "same seed, same text; without it, another text each time");
    cli_add_field(set, 0, "repetition-penalty", MOTE_OPTIONS_SAMPLER, o,
            "repetition_penalty", "X", NULL);
    cli_add_field(set, 0, "presence-penalty", MOTE_OPTIONS_SAMPLER, o,
            "presence_penalty", "X", NULL);
    cli_add_field(set, 0, "frequency-penalty", MOTE_OPTIONS_SAMPLER, o,
            "frequency_penalty", "X", NULL);
    cli_add_field(set, 0, "penalty-tokens", MOTE_OPTIONS_SAMPLER, o, "penalty_tokens",
            "N", NULL);
    cli_add(set, 0, "logit-bias", CLI_TEXTS, &args->bias, "ID=X",
            "add X to the logit of a token; ID=off bans it");
}

static int read_bias(const char *text, int32_t *token, float *value)
{
    const char *equals = strchr(text, '=');
    uint64_t id;
    if (!equals || cli_number(text, (size_t)(equals - text), 0, INT32_MAX, &id))
        return -1;
    *token = (int32_t)id;
    if (!strcmp(equals + 1, "off")) {
        *value = -INFINITY;
        return 0;
    }
    return cli_float(equals + 1, value);
}

int cli_biases(cli_sampler_args *args)
{
    for (uint32_t i = 0; i < args->bias.n; i++)
        if (read_bias(
                    args->bias.values[i], &args->bias_tokens[i], &args->bias_values[i]))
            return -1;
    return 0;
}

mote_sampler_options cli_sampler(
        const cli_sampler_args *args, const mote_model_info *info)
{
    mote_sampler_options o = args->options;
    if (isnan(o.temperature))
        o.temperature = info->default_temperature;
    if (isnan(o.top_p))
        o.top_p = info->default_top_p;
    o.n_bias = args->bias.n;
    o.bias_tokens = args->bias_tokens;
    o.bias_values = args->bias_values;
    return o;
}

int cli_open_schema(
        mote_schema **out, const mote_tokenizer *tokenizer, const char *path)
{
    cli_buffer text = {0};
    mote_error err;
    *out = NULL;
    int code = cli_read_file(path, &text);
    if (code == CLI_OK && mote_schema_open(out, tokenizer, text.data, text.n, &err) < 0)
        code = cli_fail_with(&err, path);
    cli_buffer_free(&text);
    return code;
}

int cli_open_session(mote_session **out, mote_model *model, mote_session_options *o,
        size_t prompt_tokens, uint32_t max_tokens)
{
    mote_error err;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    *out = NULL;
    if (mote_model_get_info(model, &info, &err) < 0)
        return cli_fail_with(&err, "the model");
    /* The default room is 4096: take more where the prompt needs it and the model can.
     */
    const uint64_t wish = (uint64_t)prompt_tokens + (max_tokens ? max_tokens : 1024);
    if (!o->context_tokens && wish > 4096)
        o->context_tokens = wish < info.max_position_embeddings
                                    ? (uint32_t)wish
                                    : info.max_position_embeddings;
    if (mote_session_open(out, model, o, &err) < 0)
        return cli_fail_with(&err, "making a session");
    cli_interrupts_session(*out);
    return CLI_OK;
}

void cli_close_session(mote_session *session)
{
    cli_interrupts_session(NULL);
    mote_session_close(session);
}

static double rate(uint64_t tokens, uint64_t ns)
{
    return ns ? (double)tokens * 1e9 / (double)ns : 0;
}

static void report_streaming(const mote_model *model)
{
    mote_stream_stats s = MOTE_STREAM_STATS_INIT;
    if (mote_model_stream_stats(model, &s, NULL) < 0 || !s.active)
        return;
    const double asked = (double)(s.hits + s.misses);
    fprintf(stderr,
            "experts: %.1f %% found in memory, %.1f MB read, %.2f s waited for the "
            "disk\n",
            asked > 0 ? 100 * (double)s.hits / asked : 0, (double)s.bytes_read * 1e-6,
            (double)s.stall_ns * 1e-9);
}

void cli_report(const mote_model *model, const mote_session *session)
{
    mote_session_stats s = MOTE_SESSION_STATS_INIT;
    if (mote_session_get_stats(session, &s, NULL) < 0)
        return;
    fprintf(stderr, "prompt: %llu tokens, %.1f tokens/s",
            (unsigned long long)(s.prompt_tokens + s.reused_tokens),
            rate(s.prompt_tokens, s.prompt_ns));
    if (s.reused_tokens)
        fprintf(stderr, " (%llu reused)", (unsigned long long)s.reused_tokens);
    fprintf(stderr, "; generated: %llu tokens, %.1f tokens/s",
            (unsigned long long)s.generated_tokens,
            rate(s.generated_tokens, s.generate_ns));
    if (s.drafted[0])
        fprintf(stderr, "; drafts: %.0f %% accepted, %.2f tokens a pass",
                100.0 * (double)s.accepted[0] / (double)s.drafted[0],
                s.passes ? (double)s.generated_tokens / (double)s.passes : 0);
    fputc('\n', stderr);
    report_streaming(model);
}
