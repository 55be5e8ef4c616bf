/* SPDX-License-Identifier: MIT */
/* The memory bandwidth and the clock of a shared machine drift, so each run is compared
 * with what the machine gave just before and just after it, and medians are reported.
 */
#include "bench.h"
#include "bench_bytes.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench {
    mote_model *model;
    const mote_model_info *info;
    const bench_setting *s;
    mote_session *session;
    int32_t *tokens; /* more than any step needs */
    size_t n_tokens;
    mote_error err;
} bench;

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    if (!n)
        return NAN;
    qsort(values, n, sizeof(*values), compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Random ids: repeated text would keep choosing the same experts. */
static int make_tokens(bench *b)
{
    const bench_setting *s = b->s;
    const size_t longest = s->prefill > s->decode ? s->prefill : s->decode;
    b->n_tokens = (size_t)s->depth + longest + 64;
    b->tokens = malloc(b->n_tokens * sizeof(*b->tokens));
    if (!b->tokens)
        return cli_fail("out of memory");
    uint64_t state = s->seed * 2 + 1;
    for (size_t i = 0; i < b->n_tokens; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        b->tokens[i] = (int32_t)((state >> 33) % b->info->vocab_size);
    }
    return CLI_OK;
}

static int open_session(bench *b, mote_session **out, uint32_t draft, uint32_t drafts)
{
    const bench_setting *s = b->s;
    const uint32_t room = s->prefill > s->decode + 32 ? s->prefill : s->decode + 32;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.context_tokens = s->depth + room;
    o.kv_type = s->kv_type;
    o.precision = s->precision;
    o.attention = s->attention;
    o.keep_tokens = 1;
    o.draft = draft;
    o.draft_tokens = drafts;
    if (mote_session_open(out, b->model, &o, &b->err) < 0)
        return cli_fail_with(&b->err, "making a session");
    cli_interrupts_session(*out);
    return CLI_OK;
}

/* Back to `depth` tokens. */
static mote_status go_back(bench *b, mote_session *session, uint32_t depth)
{
    if (depth)
        return mote_session_rewind(session, depth, &b->err);
    mote_session_reset(session);
    return MOTE_OK;
}

static uint32_t peak_kind(const bench *b)
{
    const char type = bench_main_type(b->info);
    if (b->s->precision != MOTE_PRECISION_BF16)
        return MOTE_X_PEAK_F32;
    return type == 'i' || type == '4'
                   ? MOTE_X_PEAK_INT8
                   : (type == 'f' ? MOTE_X_PEAK_F32 : MOTE_X_PEAK_BF16);
}

static mote_status prefill_once(bench *b, mote_session *session, double *rate)
{
    const bench_setting *s = b->s;
    mote_status st = go_back(b, session, s->depth);
    if (st < 0)
        return st;
    const double begin = cli_seconds();
    st = mote_session_eval(session, b->tokens + s->depth, s->prefill, &b->err);
    *rate = s->prefill / (cli_seconds() - begin);
    return st;
}

/* The other form of attention, in a session of its own. */
static mote_status open_absorbed(bench *b, mote_session **out)
{
    const bench_setting *s = b->s;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.context_tokens = s->depth + s->prefill;
    o.kv_type = s->kv_type;
    o.precision = s->precision;
    o.keep_tokens = 1;
    o.draft = MOTE_DRAFT_OFF;
    mote_status st = mote_session_open(out, b->model, &o, &b->err);
    return st >= 0 && s->depth ? mote_session_eval(*out, b->tokens, s->depth, &b->err)
                               : st;
}

static int measure_prefill(bench *b, bench_result *r)
{
    static const char *const names[] = {"f32", "bf16", "int8"};
    const bench_setting *s = b->s;
    double rates[REPEATS_MAX], shares[REPEATS_MAX], peaks[REPEATS_MAX + 1];
    double absorbed[REPEATS_MAX], gains[REPEATS_MAX];
    uint32_t kind = peak_kind(b);
    const double flops = bench_prefill_flops(b->info, s->prefill);
    if (!s->prefill)
        return CLI_OK;
    mote_status st = mote_x_multiply_peak(b->model, kind, &peaks[0], &b->err);
    if (st == MOTE_E_UNSUPPORTED) { /* this ISA has no such units */
        kind = MOTE_X_PEAK_F32;
        st = mote_x_multiply_peak(b->model, kind, &peaks[0], &b->err);
    }
    mote_session *other = NULL;
    if (st >= 0 && s->attention == MOTE_ATTENTION_EXPANDED)
        st = open_absorbed(b, &other);
    for (uint32_t i = 0; i < s->repeats && st >= 0; i++) {
        if (other && i % 2)
            st = prefill_once(b, other, &absorbed[i]);
        if (st >= 0)
            st = prefill_once(b, b->session, &rates[i]);
        if (st >= 0 && other && i % 2 == 0)
            st = prefill_once(b, other, &absorbed[i]);
        if (st < 0)
            break;
        st = mote_x_multiply_peak(b->model, kind, &peaks[i + 1], &b->err);
        shares[i] = flops * rates[i] / s->prefill / ((peaks[i] + peaks[i + 1]) / 2);
        gains[i] = other ? rates[i] / absorbed[i] : 0;
    }
    mote_session_close(other);
    if (st < 0)
        return cli_fail_with(&b->err, "prefilling");
    r->absorbed_rate = other ? median(absorbed, s->repeats) : 0;
    r->expanded_speedup = other ? median(gains, s->repeats) : 0;
    r->prefill_rate = median(rates, s->repeats);
    r->prefill_share = median(shares, s->repeats);
    r->peak = median(peaks, s->repeats + 1);
    r->flops_per_token = flops / s->prefill;
    r->peak_kind = names[kind];
    return CLI_OK;
}

static mote_status decode_once(bench *b, uint32_t base, double *rate)
{
    int32_t ignored;
    mote_status st = go_back(b, b->session, base);
    const double begin = cli_seconds();
    for (uint32_t i = 0; i < b->s->decode && st >= 0; i++) {
        st = mote_session_eval(b->session, b->tokens + base + i, 1, &b->err);
        if (st >= 0)
            st = mote_session_sample(b->session, NULL, &ignored, &b->err);
    }
    *rate = b->s->decode / (cli_seconds() - begin);
    return st;
}

static int measure_decode(bench *b, bench_result *r)
{
    const bench_setting *s = b->s;
    double rates[REPEATS_MAX], shares[REPEATS_MAX], bandwidths[REPEATS_MAX + 1];
    if (!s->decode)
        return CLI_OK;
    mote_stream_stats before = MOTE_STREAM_STATS_INIT, after = MOTE_STREAM_STATS_INIT;
    mote_status st = mote_model_stream_stats(b->model, &before, &b->err);
    if (st >= 0)
        st = mote_x_read_bandwidth(b->model, &bandwidths[0], &b->err);
    if (st >= 0) /* the first one touches its buffer */
        st = mote_x_read_bandwidth(b->model, &bandwidths[0], &b->err);
    for (uint32_t i = 0; i < s->repeats && st >= 0; i++) {
        st = decode_once(b, s->depth, &rates[i]);
        if (st >= 0)
            st = mote_x_read_bandwidth(b->model, &bandwidths[i + 1], &b->err);
        shares[i] = rates[i] * (double)b->info->bytes_active /
                    ((bandwidths[i] + bandwidths[i + 1]) / 2);
    }
    if (st >= 0)
        st = mote_model_stream_stats(b->model, &after, &b->err);
    if (st < 0)
        return cli_fail_with(&b->err, "decoding");
    const double tokens = (double)s->decode * s->repeats;
    const double hits = (double)(after.hits - before.hits);
    r->streamed = after.active != 0;
    r->expert_hits = hits / (hits + (double)(after.misses - before.misses));
    r->stream_bytes = (double)(after.bytes_read - before.bytes_read) / tokens;
    r->stream_stall = (double)(after.stall_ns - before.stall_ns) * 1e-9 / tokens;
    r->decode_rate = median(rates, s->repeats);
    r->decode_share = median(shares, s->repeats);
    r->bandwidth = median(bandwidths, s->repeats + 1);
    r->kv_bytes = bench_kv_bytes(b->info, s->kv_type, s->depth + s->decode / 2);
    return CLI_OK;
}

static uint64_t total_bytes(mote_session *const *sessions, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += mote_x_session_weight_bytes(sessions[i]);
    return sum;
}

/* Make `n` sessions generate from the same point on, all in one pass when n > 1; add
 * the weight bytes that were read. */
static mote_status generate_once(bench *b, mote_session **sessions, uint32_t n,
        uint32_t base, double *rate, uint64_t *bytes)
{
    mote_generate_options o = MOTE_GENERATE_OPTIONS_INIT;
    mote_piece pieces[64];
    mote_status statuses[64], st = MOTE_OK;
    uint64_t tokens = 0;
    o.max_tokens = b->s->decode;
    o.ignore_eos = 1;
    for (uint32_t i = 0; i < n && st >= 0; i++) {
        pieces[i] = (mote_piece)MOTE_PIECE_INIT;
        /* The last token of the prompt is computed again: its logits are wanted. */
        st = go_back(b, sessions[i], base - 1);
        if (st >= 0)
            st = mote_session_eval(sessions[i], b->tokens + base - 1 + i, 1, &b->err);
        if (st >= 0)
            st = mote_session_generate(sessions[i], &o, NULL, &b->err);
    }
    *bytes -= total_bytes(sessions, n);
    const double begin = cli_seconds();
    while (st == MOTE_OK) {
        if (n == 1) {
            st = statuses[0] = mote_session_next(sessions[0], &pieces[0], &b->err);
        } else {
            st = mote_session_next_batch(sessions, n, pieces, statuses, &b->err);
        }
        for (uint32_t i = 0; i < n && st == MOTE_OK; i++)
            tokens += statuses[i] == MOTE_OK ? pieces[i].n_tokens : 0;
    }
    *rate = (double)tokens / (cli_seconds() - begin);
    *bytes += total_bytes(sessions, n);
    return st;
}

static int prepare(bench *b, mote_session *session, uint32_t base, uint32_t variant)
{
    if (mote_session_eval(session, b->tokens + variant, base, &b->err) < 0)
        return cli_fail_with(&b->err, "prefilling");
    return CLI_OK;
}

static int measure_drafts(bench *b, bench_result *r)
{
    const bench_setting *s = b->s;
    const uint32_t base = s->depth ? s->depth : 16;
    double plain[REPEATS_MAX], drafted[REPEATS_MAX], speedups[REPEATS_MAX];
    mote_session *with = NULL;
    mote_session_stats stats = MOTE_SESSION_STATS_INIT;
    int code = open_session(
            b, &with, s->drafts ? MOTE_DRAFT_MTP : MOTE_DRAFT_AUTO, s->drafts);
    if (code != CLI_OK)
        return code;
    mote_session_reset(b->session);
    code = prepare(b, b->session, base, 0);
    if (code == CLI_OK)
        code = prepare(b, with, base, 0);
    if (code == CLI_OK && s->acceptance >= 0)
        mote_x_session_force_acceptance(with, s->acceptance);
    mote_status st = MOTE_OK;
    uint64_t bytes[2] = {0, 0};
    for (uint32_t i = 0; code == CLI_OK && i < s->repeats && st >= 0; i++) {
        /* in turn first and second: what drifts favours neither */
        for (uint32_t k = 0; k < 2 && st >= 0; k++) {
            const int d = (i + k) % 2 == 1;
            mote_session *one = d ? with : b->session;
            st = generate_once(
                    b, &one, 1, base, d ? &drafted[i] : &plain[i], &bytes[d]);
        }
        speedups[i] = drafted[i] / plain[i];
    }
    if (code == CLI_OK && st >= 0)
        st = mote_session_get_stats(with, &stats, &b->err);
    cli_interrupts_session(b->session);
    mote_session_close(with);
    if (code != CLI_OK)
        return code;
    if (st < 0)
        return cli_fail_with(&b->err, "speculating");
    const double passes = stats.passes ? (double)stats.passes : 1;
    r->draft_plain_rate = median(plain, s->repeats);
    r->draft_speedup = median(speedups, s->repeats);
    r->draft_rate = median(drafted, s->repeats);
    r->first_acceptance = stats.drafted[0]
                                  ? (double)stats.accepted[0] / (double)stats.drafted[0]
                                  : NAN;
    r->tokens_per_pass = (double)stats.generated_tokens / passes;
    const double tokens = (double)s->repeats * s->decode;
    r->draft_plain_bytes = (double)bytes[0] / tokens;
    r->draft_round_bytes = (double)bytes[1] / tokens * r->tokens_per_pass;
    r->draft_bound = (double)bytes[0] / (double)bytes[1];
    return CLI_OK;
}

static int measure_batch(bench *b, bench_result *r)
{
    const bench_setting *s = b->s;
    const uint32_t base = s->depth ? s->depth : 16;
    double single[REPEATS_MAX], batch[REPEATS_MAX], speedups[REPEATS_MAX];
    uint64_t bytes[2] = {0, 0};
    mote_session *sessions[64] = {0};
    mote_status st = MOTE_OK;
    int code = CLI_OK;
    for (uint32_t i = 0; i < s->sessions && code == CLI_OK; i++) {
        code = open_session(b, &sessions[i], MOTE_DRAFT_OFF, 0);
        if (code ==
                CLI_OK) /* each begins with another token: other texts, other experts */
            code = prepare(b, sessions[i], base, i % 32);
    }
    for (uint32_t i = 0; code == CLI_OK && i < s->repeats && st >= 0; i++) {
        /* each in turn alone: their texts, and so their experts, differ */
        st = generate_once(
                b, sessions + i % s->sessions, 1, base, &single[i], &bytes[0]);
        if (st >= 0)
            st = generate_once(b, sessions, s->sessions, base, &batch[i], &bytes[1]);
        speedups[i] = batch[i] / single[i];
    }
    cli_interrupts_session(b->session);
    for (uint32_t i = 0; i < s->sessions; i++)
        mote_session_close(sessions[i]);
    if (code != CLI_OK)
        return code;
    if (st < 0)
        return cli_fail_with(&b->err, "decoding in a batch");
    r->batch_single_rate = median(single, s->repeats);
    r->batch_rate = median(batch, s->repeats);
    r->batch_speedup = median(speedups, s->repeats);
    const double passes = (double)s->repeats * s->decode;
    r->batch_single_bytes = (double)bytes[0] / passes;
    r->batch_bytes = (double)bytes[1] / passes;
    r->batch_bound = s->sessions * r->batch_single_bytes / r->batch_bytes;
    return CLI_OK;
}

int bench_measure(mote_model *model, const mote_model_info *info,
        const bench_setting *s, bench_result *r)
{
    bench b = {.model = model, .info = info, .s = s};
    *r = (bench_result){.prefill_rate = NAN,
            .decode_rate = NAN,
            .prefill_share = NAN,
            .decode_share = NAN,
            .bandwidth = NAN,
            .peak = NAN,
            .flops_per_token = NAN,
            .peak_kind = ""};
    int code = make_tokens(&b);
    if (code == CLI_OK)
        code = open_session(&b, &b.session, MOTE_DRAFT_OFF, 0);
    /* Depth first, then a little of each kind of work, so that pages are touched. */
    if (code == CLI_OK &&
            mote_session_eval(b.session, b.tokens, (size_t)s->depth + 8, &b.err) < 0)
        code = cli_fail_with(&b.err, "prefilling");
    if (code == CLI_OK)
        code = measure_prefill(&b, r);
    if (code == CLI_OK)
        code = measure_decode(&b, r);
    if (code == CLI_OK && s->speculate)
        code = measure_drafts(&b, r);
    if (code == CLI_OK && s->sessions > 1)
        code = measure_batch(&b, r);
    cli_close_session(b.session);
    free(b.tokens);
    return cli_interrupted() ? CLI_INTERRUPTED : code;
}
