/* SPDX-License-Identifier: MIT */
#ifndef MOTE_MODEL_H
#define MOTE_MODEL_H
#include "common.h"
#include "tokenizer.h"
MOTE_BEGIN_DECLS
typedef struct mote_model mote_model;
#define MOTE_MAP_AUTO 0u
#define MOTE_MAP_ON 1u
#define MOTE_MAP_OFF 2u
#define MOTE_MAP_DIRECT 3u
#define MOTE_MTP_AUTO 0u
#define MOTE_MTP_ON 1u
#define MOTE_MTP_OFF 2u
typedef struct mote_model_options {
    uint32_t struct_size;
    uint32_t n_threads;
    uint64_t memory_bytes;
    uint32_t mapping;
    uint32_t mtp;
    const char *isa;
    mote_progress_fn progress;
    void *progress_user;
    mote_log_fn log;
    void *log_user;
    mote_alloc_fn alloc;
    mote_free_fn free;
    void *alloc_user;
    mote_parallel_fn parallel;
    void *parallel_user;
} mote_model_options;
#define MOTE_MODEL_OPTIONS_INIT MOTE_STRUCT_INIT(mote_model_options)
MOTE_API mote_status mote_model_open(mote_model **out, const char *path,
        const mote_model_options *options, mote_error *err);
MOTE_API mote_status mote_model_open_fd(mote_model **out, int32_t fd, uint64_t offset,
        uint64_t length, const mote_model_options *options, mote_error *err);
MOTE_API mote_status mote_model_open_memory(mote_model **out, const void *data,
        size_t size, const mote_model_options *options, mote_error *err);
MOTE_API void mote_model_close(mote_model *model);
#define MOTE_ARCH_DEEPSEEK_V2 2
#define MOTE_ARCH_DEEPSEEK_V3 3
#define MOTE_ARCH_KIMI_K2 4
typedef struct mote_model_info {
    uint32_t struct_size;
    int32_t architecture;
    uint32_t vocab_size;
    uint32_t hidden_size;
    uint32_t num_hidden_layers;
    uint32_t first_k_dense_replace;
    uint32_t num_attention_heads;
    uint32_t q_lora_rank;
    uint32_t kv_lora_rank;
    uint32_t qk_nope_head_dim;
    uint32_t qk_rope_head_dim;
    uint32_t v_head_dim;
    uint32_t intermediate_size;
    uint32_t moe_intermediate_size;
    uint32_t n_routed_experts;
    uint32_t n_shared_experts;
    uint32_t num_experts_per_tok;
    uint32_t n_group;
    uint32_t topk_group;
    uint32_t num_nextn_predict_layers;
    uint32_t mtp_loaded;
    uint32_t max_position_embeddings;
    uint32_t yarn;
    uint32_t tied;
    uint32_t scoring;
    uint32_t routing;
    float routed_scaling_factor;
    float rope_theta;
    float rope_factor;
    float rms_norm_eps;
    int32_t bos_token_id;
    int32_t eos_token_id;
    float default_temperature;
    float default_top_p;
    uint64_t parameters_total;
    uint64_t parameters_active;
    uint64_t parameters_mtp;
    uint64_t bytes_f32;
    uint64_t bytes_bf16;
    uint64_t bytes_fp8;
    uint64_t bytes_int8;
    uint64_t bytes_int4;
    uint64_t bytes_active;
    uint64_t bytes_mapped;
    uint64_t bytes_allocated;
    uint64_t kv_bytes_per_token_f32;
    uint64_t kv_bytes_per_token_bf16;
    uint64_t kv_bytes_per_token_fp8;
    uint64_t fingerprint;
} mote_model_info;
#define MOTE_MODEL_INFO_INIT MOTE_STRUCT_INIT(mote_model_info)
MOTE_API mote_status mote_model_get_info(
        const mote_model *model, mote_model_info *info, mote_error *err);
MOTE_API mote_status mote_model_plan(const char *path, const mote_model_options *options,
        mote_model_info *info, mote_error *err);
MOTE_API const mote_tokenizer *mote_model_tokenizer(const mote_model *model);
MOTE_API const char *mote_model_isa(const mote_model *model);
MOTE_API uint32_t mote_model_threads(const mote_model *model);
MOTE_API uint64_t mote_model_memory(const mote_model *model, int32_t tag);
typedef struct mote_stream_stats {
    uint32_t struct_size;
    uint32_t active;
    uint64_t hits;
    uint64_t misses;
    uint64_t prefetched;
    uint64_t bytes_read;
    uint64_t stall_ns;
    uint64_t bytes_cached;
    uint64_t bytes_resident;
    uint64_t prefetch_hits;
} mote_stream_stats;
#define MOTE_STREAM_STATS_INIT MOTE_STRUCT_INIT(mote_stream_stats)
MOTE_API mote_status mote_model_stream_stats(
        const mote_model *model, mote_stream_stats *stats, mote_error *err);
MOTE_END_DECLS
#endif
