/* SPDX-License-Identifier: MIT */
/* Measuring: one setting in, one set of figures out. */
#ifndef MOTE_CLI_BENCH_H
#define MOTE_CLI_BENCH_H
#include "cli.h"
#include <mote/experimental.h>

#define REPEATS_MAX 101

typedef struct bench_setting {
    uint32_t prefill, decode, depth; /* tokens */
    uint32_t repeats;
    uint32_t kv_type, precision;
    uint32_t attention; /* expanded: prefill is measured absorbed too, in turns */
    uint32_t speculate; /* measure it too */
    uint32_t drafts;    /* 0: adaptive, as sessions are by default */
    float acceptance;   /* forced; negative: as the model has it */
    uint32_t sessions;  /* 0 or 1: no measurement of batches */
    uint64_t seed;
} bench_setting;

typedef struct bench_result {
    double prefill_rate, decode_rate;   /* tokens/s, medians */
    double absorbed_rate, expanded_speedup; /* median of the pairs; 0: not measured */
    double prefill_share, decode_share; /* of peak and bandwidth, medians of pairs */
    double bandwidth, peak;             /* medians */
    double flops_per_token;             /* of a prompt of this length */
    uint64_t kv_bytes; /* of cache read per decoded token, beside the weights */
    const char *peak_kind;

    int streamed;        /* the three below count, over the decode runs */
    double expert_hits;  /* share of experts found in memory */
    double stream_bytes; /* read from disk per token */
    double stream_stall; /* seconds waited for the disk per token */

    double draft_rate, draft_plain_rate; /* tokens/s */
    double draft_speedup;                /* median of the pairs */
    double first_acceptance, tokens_per_pass;
    double draft_plain_bytes, draft_round_bytes; /* of weights, as they were read */
    double draft_bound;                          /* speed-up that these allow */

    double batch_rate, batch_single_rate;   /* tokens/s, all sessions together */
    double batch_speedup;                   /* median of the pairs */
    double batch_single_bytes, batch_bytes; /* of weights, of a pass */
    double batch_bound;
} bench_result;

/* CLI_OK, or the exit code. */
int bench_measure(mote_model *model, const mote_model_info *info,
        const bench_setting *s, bench_result *r);
#endif
