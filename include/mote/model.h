/* SPDX-License-Identifier: MIT */
/**
 * @file model.h
 * @defgroup model Models
 *
 * A model is opened from a Hugging Face checkpoint directory or a single file, is
 * immutable afterwards, and may be used from many threads. It owns the worker threads and
 * the tokenizer. It must outlive its sessions.
 *
 * @code
 * mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
 * o.n_threads = 4;
 * mote_model *model;
 * mote_error err;
 * if (mote_model_open(&model, "DeepSeek-V2-Lite", &o, &err) < 0)
 *     puts(err.message);
 * mote_model_close(model);
 * @endcode
 * @{
 */
#ifndef MOTE_MODEL_H
#define MOTE_MODEL_H
#include "common.h"
#include "tokenizer.h"
MOTE_BEGIN_DECLS

/** Weights, tokenizer and worker threads. */
typedef struct mote_model mote_model;

#define MOTE_MAP_AUTO 0u /**< map files where that is possible and pays */
#define MOTE_MAP_ON 1u   /**< map, or fail */
#define MOTE_MAP_OFF 2u  /**< read with plain reads: safe when a file may change */
#define MOTE_MAP_DIRECT 3u /**< as OFF, and experts that are streamed under memory_bytes
                                are read past the page cache */

#define MOTE_READING_AUTO 0u    /**< threads: as fast, and allowed everywhere */
#define MOTE_READING_THREADS 1u /**< threads with plain reads */
#define MOTE_READING_URING 2u   /**< io_uring, or fail */

#define MOTE_MTP_AUTO 0u /**< load the MTP module when the checkpoint has one */
#define MOTE_MTP_ON 1u   /**< load it, or fail */
#define MOTE_MTP_OFF 2u  /**< leave it out and save its memory */

/** How to open a model. Zero means default. Fields are only ever appended. */
typedef struct mote_model_options {
    uint32_t struct_size;       /**< set by ::MOTE_MODEL_OPTIONS_INIT */
    uint32_t n_threads;         /**< worker threads; 0: one per usable core */
    uint64_t memory_bytes;      /**< budget for weights; 0: no limit. Packs only */
    uint32_t mapping;           /**< MOTE_MAP_... */
    uint32_t mtp;               /**< MOTE_MTP_... */
    const char *isa;            /**< highest kernel variant to use, NULL: the best */
    mote_progress_fn progress;  /**< called while loading; may cancel */
    void *progress_user;        /**< passed to progress */
    mote_log_fn log;            /**< receives remarks; NULL: none */
    void *log_user;             /**< passed to log */
    mote_alloc_fn alloc;        /**< host allocator; NULL: the C library */
    mote_free_fn free;          /**< set together with alloc */
    void *alloc_user;           /**< passed to alloc and free */
    mote_parallel_fn parallel;  /**< host thread pool; NULL: own threads */
    void *parallel_user;        /**< passed to parallel */
    uint32_t reading;           /**< MOTE_READING_...: how experts are read */
    uint32_t reserved;          /**< must be 0 */
} mote_model_options;
/** Initialiser that sets struct_size. */
#define MOTE_MODEL_OPTIONS_INIT MOTE_STRUCT_INIT(mote_model_options)

/** Open a checkpoint directory (config.json, model.safetensors or shards with an index,
 *  tokenizer.json) or a single-file model.
 *  @param out  receives the model; yours until mote_model_close(); NULL on failure
 *  @return MOTE_OK; MOTE_E_NOT_FOUND, MOTE_E_FORMAT, MOTE_E_UNSUPPORTED, MOTE_E_IO,
 *          MOTE_E_MEMORY, MOTE_E_BUDGET, MOTE_E_CANCELLED. @since 0.1 */
MOTE_API mote_status mote_model_open(mote_model **out, const char *path,
        const mote_model_options *options, mote_error *err);
/** Open a single-file model (a pack, or a safetensors file that carries config.json and
 *  tokenizer.json in its metadata) from a descriptor, as Android assets have it.
 *  @param fd      borrowed: the library duplicates it
 *  @param offset  where the model begins
 *  @param length  its length, 0: up to the end of the file @since 0.1 */
MOTE_API mote_status mote_model_open_fd(mote_model **out, int32_t fd, uint64_t offset,
        uint64_t length, const mote_model_options *options, mote_error *err);
/** Open a single-file model from memory. @p data is borrowed until mote_model_close() and
 *  must not change. @since 0.1 */
MOTE_API mote_status mote_model_open_memory(mote_model **out, const void *data,
        size_t size, const mote_model_options *options, mote_error *err);
/** Close; NULL is allowed. Sessions must be closed before. @since 0.1 */
MOTE_API void mote_model_close(mote_model *model);

#define MOTE_ARCH_DEEPSEEK_V2 2 /**< deepseek_v2: V2, V2-Lite */
#define MOTE_ARCH_DEEPSEEK_V3 3 /**< deepseek_v3: V3, R1, V3.1, Moonlight */
#define MOTE_ARCH_KIMI_K2 4     /**< kimi_k2 */

/** What a model is. Filled by the library up to the caller's struct_size. */
typedef struct mote_model_info {
    uint32_t struct_size;             /**< set by ::MOTE_MODEL_INFO_INIT */
    int32_t architecture;             /**< MOTE_ARCH_... */
    uint32_t vocab_size;              /**< logits per position */
    uint32_t hidden_size;             /**< width of the residual stream */
    uint32_t num_hidden_layers;       /**< blocks, without MTP modules */
    uint32_t first_k_dense_replace;   /**< leading blocks without experts */
    uint32_t num_attention_heads;     /**< MLA heads */
    uint32_t q_lora_rank;             /**< query latent width, 0: none */
    uint32_t kv_lora_rank;            /**< compressed latent width (c_kv) */
    uint32_t qk_nope_head_dim;        /**< per head, without position */
    uint32_t qk_rope_head_dim;        /**< rotary part, shared by heads */
    uint32_t v_head_dim;              /**< value width per head */
    uint32_t intermediate_size;       /**< width of dense MLPs */
    uint32_t moe_intermediate_size;   /**< width of one expert */
    uint32_t n_routed_experts;        /**< experts per MoE block */
    uint32_t n_shared_experts;        /**< always active */
    uint32_t num_experts_per_tok;     /**< routed experts chosen per token */
    uint32_t n_group;                 /**< expert groups */
    uint32_t topk_group;              /**< groups that may be chosen from */
    uint32_t num_nextn_predict_layers; /**< MTP modules in the checkpoint */
    uint32_t mtp_loaded;              /**< MTP modules in memory (0 or 1) */
    uint32_t max_position_embeddings; /**< longest context the model was made for */
    uint32_t yarn;                    /**< 1: YaRN scaling */
    uint32_t tied;                    /**< 1: the head is the embedding */
    uint32_t scoring;                 /**< 0 softmax, 1 sigmoid */
    uint32_t routing; /**< 0 greedy, 1 group_limited_greedy, 2 noaux_tc */
    float routed_scaling_factor;      /**< gate factor */
    float rope_theta;                 /**< rotary base */
    float rope_factor;                /**< YaRN factor, 1 without */
    float rms_norm_eps;               /**< epsilon of RMSNorm */
    int32_t bos_token_id;             /**< from config, -1: none */
    int32_t eos_token_id;             /**< from config, -1: none */
    float default_temperature;        /**< from generation_config.json; 0: greedy */
    float default_top_p;              /**< from generation_config.json; 0: none */
    uint64_t parameters_total;        /**< without MTP modules */
    uint64_t parameters_active;       /**< used per token, without input embedding */
    uint64_t parameters_mtp;          /**< of MTP modules, without shared tensors */
    uint64_t bytes_f32;               /**< of weights kept as float32 */
    uint64_t bytes_bf16;              /**< of weights kept as bfloat16 */
    uint64_t bytes_fp8;               /**< of weights kept as e4m3, with scales */
    uint64_t bytes_int8;              /**< of int8 weights, with scales */
    uint64_t bytes_int4;              /**< of int4 weights, with scales */
    uint64_t bytes_active;            /**< weight bytes read per decoded token */
    uint64_t bytes_mapped;            /**< of files mapped now */
    uint64_t bytes_allocated;         /**< of memory allocated now */
    uint64_t kv_bytes_per_token_f32;  /**< latent cache per context token */
    uint64_t kv_bytes_per_token_bf16; /**< the same in bf16 */
    uint64_t kv_bytes_per_token_fp8;  /**< the same in FP8 */
    uint64_t fingerprint;             /**< of configuration and weights */
} mote_model_info;
/** Initialiser that sets struct_size. */
#define MOTE_MODEL_INFO_INIT MOTE_STRUCT_INIT(mote_model_info)

/** Describe an open model. Any thread. @since 0.1 */
MOTE_API mote_status mote_model_get_info(
        const mote_model *model, mote_model_info *info, mote_error *err);
/** Describe a model without loading its weights: what it is and what it would need
 *  (bytes_mapped and bytes_allocated are what opening with @p options would take).
 *  @since 0.1 */
MOTE_API mote_status mote_model_plan(const char *path, const mote_model_options *options,
        mote_model_info *info, mote_error *err);
/** Tokenizer of a model, borrowed, or NULL where the checkpoint has none. @since 0.1 */
MOTE_API const mote_tokenizer *mote_model_tokenizer(const mote_model *model);
/** Kernel variant in use, such as "avx512bf16". Borrowed. @since 0.1 */
MOTE_API const char *mote_model_isa(const mote_model *model);
/** Worker threads in use. @since 0.1 */
MOTE_API uint32_t mote_model_threads(const mote_model *model);
/** Live bytes allocated by this model and its sessions for one MOTE_MEM_... tag.
 *  Any thread. @since 0.1 */
MOTE_API uint64_t mote_model_memory(const mote_model *model, int32_t tag);

/** Expert streaming under a memory budget, since opening. */
typedef struct mote_stream_stats {
    uint32_t struct_size;   /**< set by ::MOTE_STREAM_STATS_INIT */
    uint32_t active;        /**< 1: experts are streamed */
    uint64_t hits;          /**< experts found in memory, or on their way to it */
    uint64_t misses;        /**< experts that had to be read */
    uint64_t prefetched;    /**< experts asked for ahead of use */
    uint64_t bytes_read;    /**< from disk */
    uint64_t stall_ns;      /**< time that computation waited for the disk */
    uint64_t bytes_cached;  /**< experts in memory now */
    uint64_t bytes_resident; /**< weights that always stay */
    uint64_t prefetch_hits; /**< of the prefetched, those that were then used */
    uint64_t bytes_unused;  /**< read for prefetches that were not */
    uint32_t reading;       /**< MOTE_READING_THREADS or MOTE_READING_URING */
    uint32_t reserved;      /**< 0 */
} mote_stream_stats;
/** Initialiser that sets struct_size. */
#define MOTE_STREAM_STATS_INIT MOTE_STRUCT_INIT(mote_stream_stats)
/** Read the streaming statistics. Any thread. @since 0.1 */
MOTE_API mote_status mote_model_stream_stats(
        const mote_model *model, mote_stream_stats *stats, mote_error *err);

MOTE_END_DECLS
/** @} */
#endif
