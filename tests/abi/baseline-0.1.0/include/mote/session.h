/* SPDX-License-Identifier: MIT */
#ifndef MOTE_SESSION_H
#define MOTE_SESSION_H
#include "common.h"
#include "model.h"
#include "sampler.h"
#include "schema.h"
#include "chat.h"
MOTE_BEGIN_DECLS
typedef struct mote_session mote_session;
#define MOTE_KV_DEFAULT                                                                \
    0u
#define MOTE_KV_F32 1u
#define MOTE_KV_BF16 2u
#define MOTE_KV_FP8 3u
#define MOTE_PRECISION_DEFAULT 0u
#define MOTE_PRECISION_EXACT 1u
#define MOTE_PRECISION_BF16 2u
#define MOTE_PRECISION_FINE 3u
#define MOTE_DRAFT_AUTO 0u
#define MOTE_DRAFT_OFF 1u
#define MOTE_DRAFT_MTP 2u
#define MOTE_DRAFT_NGRAM 3u
typedef struct mote_session_options {
    uint32_t struct_size;
    uint32_t context_tokens;
    uint32_t prefill_tokens;
    uint32_t kv_type;
    uint32_t precision;
    uint32_t deterministic;
    uint32_t keep_tokens;
    uint32_t draft;
    uint32_t draft_tokens;
    uint32_t reserved;
    mote_progress_fn progress;
    void *progress_user;
} mote_session_options;
#define MOTE_SESSION_OPTIONS_INIT MOTE_STRUCT_INIT(mote_session_options)
MOTE_API mote_status mote_session_plan(const mote_model *model,
        const mote_session_options *options, uint64_t *total_bytes, uint64_t *kv_bytes,
        mote_error *err);
MOTE_API mote_status mote_session_open(mote_session **out, mote_model *model,
        const mote_session_options *options, mote_error *err);
MOTE_API void mote_session_close(mote_session *session);
MOTE_API mote_status mote_session_fork(
        mote_session **out, mote_session *session, mote_error *err);
MOTE_API mote_status mote_session_eval(
        mote_session *session, const int32_t *tokens, size_t n_tokens, mote_error *err);
MOTE_API mote_status mote_session_prompt(
        mote_session *session, const int32_t *tokens, size_t n_tokens, mote_error *err);
MOTE_API uint32_t mote_session_position(const mote_session *session);
MOTE_API uint32_t mote_session_context_tokens(const mote_session *session);
MOTE_API int32_t mote_session_token(const mote_session *session, uint32_t position);
MOTE_API mote_status mote_session_rewind(
        mote_session *session, uint32_t position, mote_error *err);
MOTE_API void mote_session_reset(mote_session *session);
MOTE_API mote_status mote_session_shift(
        mote_session *session, uint32_t n_tokens, mote_error *err);
MOTE_API mote_status mote_session_logits(mote_session *session, uint32_t position,
        float *logits, size_t capacity, mote_error *err);
MOTE_API mote_status mote_session_logprobs(mote_session *session, uint32_t position,
        float *logprobs, size_t capacity, mote_error *err);
MOTE_API mote_status mote_session_mtp_logits(mote_session *session, uint32_t position,
        float *logits, size_t capacity, mote_error *err);
MOTE_API mote_status mote_session_sample(mote_session *session,
        const mote_sampler_options *sampler, int32_t *token, mote_error *err);
MOTE_API void mote_session_cancel(mote_session *session);
#define MOTE_CHANNEL_CONTENT 0u
#define MOTE_CHANNEL_REASONING 1u
#define MOTE_CHANNEL_TOOL 2u
#define MOTE_STOP_NONE 0u
#define MOTE_STOP_EOS 1u
#define MOTE_STOP_LENGTH 2u
#define MOTE_STOP_STRING 3u
#define MOTE_STOP_CONTEXT 4u
#define MOTE_STOP_SCHEMA 5u
typedef struct mote_generate_options {
    uint32_t struct_size;
    uint32_t max_tokens;
    uint32_t ignore_eos;
    uint32_t think_tokens_max;
    uint32_t starts_in_reasoning;
    uint32_t n_stop;
    uint32_t show_special;
    uint32_t seed_from_state;
    const char *const *stop;
    const mote_schema *schema;
    const mote_chat_format *format;
} mote_generate_options;
#define MOTE_GENERATE_OPTIONS_INIT MOTE_STRUCT_INIT(mote_generate_options)
typedef struct mote_piece {
    uint32_t struct_size;
    uint32_t channel;
    uint32_t n_bytes;
    uint32_t n_tokens;
    uint32_t stop;
    uint32_t tool_index;
    const char *text;
    const char *tool_name;
    const int32_t *tokens;
    const float *logprobs;
} mote_piece;
#define MOTE_PIECE_INIT MOTE_STRUCT_INIT(mote_piece)
MOTE_API mote_status mote_session_generate(mote_session *session,
        const mote_generate_options *options, const mote_sampler_options *sampler,
        mote_error *err);
MOTE_API mote_status mote_session_next(
        mote_session *session, mote_piece *piece, mote_error *err);
MOTE_API mote_status mote_session_next_batch(mote_session *const *sessions,
        uint32_t n_sessions, mote_piece *pieces, mote_status *statuses,
        mote_error *err);
typedef struct mote_session_stats {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t prompt_tokens;
    uint64_t reused_tokens;
    uint64_t generated_tokens;
    uint64_t prompt_ns;
    uint64_t generate_ns;
    uint64_t passes;
    uint64_t drafted[4];
    uint64_t accepted[4];
    uint64_t reasoning_tokens;
    uint64_t kv_bytes;
    uint64_t total_bytes;
} mote_session_stats;
#define MOTE_SESSION_STATS_INIT MOTE_STRUCT_INIT(mote_session_stats)
MOTE_API mote_status mote_session_get_stats(
        const mote_session *session, mote_session_stats *stats, mote_error *err);
MOTE_API mote_status mote_session_save(mote_session *session, void *buffer,
        size_t capacity, size_t *length, mote_error *err);
MOTE_API mote_status mote_session_save_file(
        mote_session *session, const char *path, mote_error *err);
MOTE_API mote_status mote_session_load(
        mote_session *session, const void *data, size_t size, mote_error *err);
MOTE_API mote_status mote_session_load_file(
        mote_session *session, const char *path, mote_error *err);
MOTE_END_DECLS
#endif
