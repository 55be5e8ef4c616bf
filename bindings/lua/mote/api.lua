-- SPDX-License-Identifier: MIT
-- Made from include/mote by tools/describe.py: do not edit.
return {
  constants = {
    OK = 0,
    DONE = 1,
    E_INVALID = -1,
    E_MEMORY = -2,
    E_IO = -3,
    E_FORMAT = -4,
    E_UNSUPPORTED = -5,
    E_NOT_FOUND = -6,
    E_CONTEXT_FULL = -7,
    E_CANCELLED = -8,
    E_NUMERIC = -9,
    E_MISMATCH = -10,
    E_BUDGET = -11,
    LOG_WARNING = 1,
    LOG_INFO = 2,
    MEM_WEIGHTS = 0,
    MEM_TOKENIZER = 1,
    MEM_KV = 2,
    MEM_SCRATCH = 3,
    MEM_OTHER = 4,
    MEM_TAGS = 5,
    VERSION_MAJOR = 0,
    VERSION_MINOR = 1,
    VERSION_PATCH = 0,
    VERSION_NUMBER = 1000,
    OPTIONS_MODEL = 1,
    OPTIONS_SESSION = 2,
    OPTIONS_SAMPLER = 3,
    OPTIONS_GENERATE = 4,
    OPTIONS_PACK = 5,
    ENCODE_BOS = 1,
    ENCODE_SPECIAL = 2,
    DECODE_SKIP_SPECIAL = 1,
    CHAT_GENERATE = 1,
    CHAT_THINK = 2,
    CHAT_KEEP_REASONING = 4,
    MAP_AUTO = 0,
    MAP_ON = 1,
    MAP_OFF = 2,
    MAP_DIRECT = 3,
    READING_AUTO = 0,
    READING_THREADS = 1,
    READING_URING = 2,
    MTP_AUTO = 0,
    MTP_ON = 1,
    MTP_OFF = 2,
    ARCH_DEEPSEEK_V2 = 2,
    ARCH_DEEPSEEK_V3 = 3,
    ARCH_KIMI_K2 = 4,
    KV_DEFAULT = 0,
    KV_F32 = 1,
    KV_BF16 = 2,
    KV_FP8 = 3,
    PRECISION_DEFAULT = 0,
    PRECISION_EXACT = 1,
    PRECISION_BF16 = 2,
    PRECISION_FINE = 3,
    DRAFT_AUTO = 0,
    DRAFT_OFF = 1,
    DRAFT_MTP = 2,
    DRAFT_NGRAM = 3,
    ATTENTION_DEFAULT = 0,
    ATTENTION_ABSORBED = 1,
    ATTENTION_EXPANDED = 2,
    EXPANDED_TOKENS = 256,
    CHANNEL_CONTENT = 0,
    CHANNEL_REASONING = 1,
    CHANNEL_TOOL = 2,
    STOP_NONE = 0,
    STOP_EOS = 1,
    STOP_LENGTH = 2,
    STOP_STRING = 3,
    STOP_CONTEXT = 4,
    STOP_SCHEMA = 5,
    TYPE_KEEP = 0,
    TYPE_BF16 = 1,
    TYPE_FP8 = 2,
    TYPE_INT8 = 3,
    TYPE_INT4 = 4,
    TYPE_INT4_ALL = 5,
  },
  option_kinds = {
    mote_model_options = 1,
    mote_session_options = 2,
    mote_sampler_options = 3,
    mote_generate_options = 4,
    mote_pack_options = 5,
  },
  handles = {"mote_tokenizer", "mote_decoder", "mote_chat_format", "mote_model", "mote_schema", "mote_session"},
  structs = {
    mote_error = {
      "i32 status",
      "char message 508",
    },
    mote_model_options = {
      "u32 struct_size",
      "u32 n_threads",
      "u64 memory_bytes",
      "u32 mapping",
      "u32 mtp",
      "string isa",
      "callback progress",
      "pointer progress_user",
      "pointer log",
      "pointer log_user",
      "pointer alloc",
      "pointer free",
      "pointer alloc_user",
      "pointer parallel",
      "pointer parallel_user",
      "u32 reading",
      "u32 reserved",
    },
    mote_model_info = {
      "u32 struct_size",
      "i32 architecture",
      "u32 vocab_size",
      "u32 hidden_size",
      "u32 num_hidden_layers",
      "u32 first_k_dense_replace",
      "u32 num_attention_heads",
      "u32 q_lora_rank",
      "u32 kv_lora_rank",
      "u32 qk_nope_head_dim",
      "u32 qk_rope_head_dim",
      "u32 v_head_dim",
      "u32 intermediate_size",
      "u32 moe_intermediate_size",
      "u32 n_routed_experts",
      "u32 n_shared_experts",
      "u32 num_experts_per_tok",
      "u32 n_group",
      "u32 topk_group",
      "u32 num_nextn_predict_layers",
      "u32 mtp_loaded",
      "u32 max_position_embeddings",
      "u32 yarn",
      "u32 tied",
      "u32 scoring",
      "u32 routing",
      "f32 routed_scaling_factor",
      "f32 rope_theta",
      "f32 rope_factor",
      "f32 rms_norm_eps",
      "i32 bos_token_id",
      "i32 eos_token_id",
      "f32 default_temperature",
      "f32 default_top_p",
      "u64 parameters_total",
      "u64 parameters_active",
      "u64 parameters_mtp",
      "u64 bytes_f32",
      "u64 bytes_bf16",
      "u64 bytes_fp8",
      "u64 bytes_int8",
      "u64 bytes_int4",
      "u64 bytes_active",
      "u64 bytes_mapped",
      "u64 bytes_allocated",
      "u64 kv_bytes_per_token_f32",
      "u64 kv_bytes_per_token_bf16",
      "u64 kv_bytes_per_token_fp8",
      "hash fingerprint",
    },
    mote_stream_stats = {
      "u32 struct_size",
      "u32 active",
      "u64 hits",
      "u64 misses",
      "u64 prefetched",
      "u64 bytes_read",
      "u64 stall_ns",
      "u64 bytes_cached",
      "u64 bytes_resident",
      "u64 prefetch_hits",
      "u64 bytes_unused",
      "u32 reading",
      "u32 reserved",
    },
    mote_sampler_options = {
      "u32 struct_size",
      "f32 temperature",
      "u32 top_k",
      "f32 top_p",
      "f32 min_p",
      "f32 repetition_penalty",
      "f32 presence_penalty",
      "f32 frequency_penalty",
      "u32 penalty_tokens",
      "u32 n_bias",
      "u64 seed",
      "ids bias_tokens n_bias",
      "floats bias_values n_bias",
    },
    mote_session_options = {
      "u32 struct_size",
      "u32 context_tokens",
      "u32 prefill_tokens",
      "u32 kv_type",
      "u32 precision",
      "u32 deterministic",
      "u32 keep_tokens",
      "u32 draft",
      "u32 draft_tokens",
      "u32 reserved",
      "callback progress",
      "pointer progress_user",
      "u32 attention",
      "u32 reserved_2",
    },
    mote_generate_options = {
      "u32 struct_size",
      "u32 max_tokens",
      "u32 ignore_eos",
      "u32 think_tokens_max",
      "u32 starts_in_reasoning",
      "u32 n_stop",
      "u32 show_special",
      "u32 seed_from_state",
      "strings stop n_stop",
      "handle:mote_schema schema",
      "handle:mote_chat_format format",
    },
    mote_piece = {
      "u32 struct_size",
      "u32 channel",
      "u32 n_bytes",
      "u32 n_tokens",
      "u32 stop",
      "u32 tool_index",
      "bytes text n_bytes",
      "string tool_name",
      "ids tokens n_tokens",
      "floats logprobs n_tokens",
    },
    mote_session_stats = {
      "u32 struct_size",
      "u32 reserved",
      "u64 prompt_tokens",
      "u64 reused_tokens",
      "u64 generated_tokens",
      "u64 prompt_ns",
      "u64 generate_ns",
      "u64 passes",
      "u64 drafted 4",
      "u64 accepted 4",
      "u64 reasoning_tokens",
      "u64 kv_bytes",
      "u64 total_bytes",
    },
    mote_pack_options = {
      "u32 struct_size",
      "u32 type",
      "u32 expert_type",
      "i32 zstd_level",
      "string importance",
      "callback progress",
      "pointer progress_user",
    },
  },
  -- result, then parameters; what they mean: src/core.h
  functions = {
    mote_status_name = {"string", "i32"},
    mote_version_number = {"u32"},
    mote_version_string = {"string"},
    mote_version_components = {"string"},
    mote_version_isa = {"string"},
    mote_options_describe = {"status", "i32", "u32", "get_string", "get_string", "get_string", "get_string", "err"},
    mote_tokenizer_open = {"status", "out:mote_tokenizer", "string", "err"},
    mote_tokenizer_open_memory = {"status", "out:mote_tokenizer", "bytes", "bytes", "err"},
    mote_tokenizer_close = {"void", "handle:mote_tokenizer"},
    mote_tokenizer_encode = {"status", "handle:mote_tokenizer", "bytes", "u32", "get_ids", "err"},
    mote_tokenizer_decode = {"status", "handle:mote_tokenizer", "ids", "u32", "get_bytes", "err"},
    mote_tokenizer_token = {"view", "handle:mote_tokenizer", "i32", "length"},
    mote_tokenizer_find = {"i32", "handle:mote_tokenizer", "bytes"},
    mote_tokenizer_is_special = {"i32", "handle:mote_tokenizer", "i32"},
    mote_tokenizer_size = {"i32", "handle:mote_tokenizer"},
    mote_tokenizer_bos = {"i32", "handle:mote_tokenizer"},
    mote_tokenizer_eos = {"i32", "handle:mote_tokenizer"},
    mote_tokenizer_adds_bos = {"i32", "handle:mote_tokenizer"},
    mote_decoder_open = {"status", "out:mote_decoder", "handle:mote_tokenizer", "u32", "err"},
    mote_decoder_push = {"status", "handle:mote_decoder", "i32", "get_view", "err"},
    mote_decoder_finish = {"status", "handle:mote_decoder", "get_view", "err"},
    mote_decoder_close = {"void", "handle:mote_decoder"},
    mote_chat_format_find = {"handle:mote_chat_format", "string", "err"},
    mote_chat_format_at = {"handle:mote_chat_format", "u32"},
    mote_chat_format_of = {"handle:mote_chat_format", "handle:mote_tokenizer", "err"},
    mote_chat_format_name = {"string", "handle:mote_chat_format"},
    mote_chat_render_text = {"status", "handle:mote_chat_format", "bytes", "u32", "bytes", "get_bytes", "err"},
    mote_chat_render = {"status", "handle:mote_chat_format", "handle:mote_tokenizer", "bytes", "u32", "bytes", "get_ids", "err"},
    mote_model_open = {"status", "out:mote_model", "string", "options:mote_model_options", "err"},
    mote_model_open_fd = {"status", "out:mote_model", "i32", "u64", "u64", "options:mote_model_options", "err"},
    mote_model_open_memory = {"status", "out:mote_model", "bytes", "options:mote_model_options", "err"},
    mote_model_close = {"void", "handle:mote_model"},
    mote_model_get_info = {"status", "handle:mote_model", "fill:mote_model_info", "err"},
    mote_model_plan = {"status", "string", "options:mote_model_options", "fill:mote_model_info", "err"},
    mote_model_tokenizer = {"handle:mote_tokenizer", "handle:mote_model"},
    mote_model_isa = {"string", "handle:mote_model"},
    mote_model_threads = {"u32", "handle:mote_model"},
    mote_model_memory = {"u64", "handle:mote_model", "i32"},
    mote_model_stream_stats = {"status", "handle:mote_model", "fill:mote_stream_stats", "err"},
    mote_schema_open = {"status", "out:mote_schema", "handle:mote_tokenizer", "bytes", "err"},
    mote_schema_close = {"void", "handle:mote_schema"},
    mote_session_plan = {"status", "handle:mote_model", "options:mote_session_options", "get_u64", "get_u64", "err"},
    mote_session_open = {"status", "out:mote_session", "handle:mote_model", "options:mote_session_options", "err"},
    mote_session_close = {"void", "handle:mote_session"},
    mote_session_fork = {"status", "out:mote_session", "handle:mote_session", "err"},
    mote_session_eval = {"status", "handle:mote_session", "ids", "err"},
    mote_session_prompt = {"status", "handle:mote_session", "ids", "err"},
    mote_session_position = {"u32", "handle:mote_session"},
    mote_session_context_tokens = {"u32", "handle:mote_session"},
    mote_session_token = {"i32", "handle:mote_session", "u32"},
    mote_session_rewind = {"status", "handle:mote_session", "u32", "err"},
    mote_session_reset = {"void", "handle:mote_session"},
    mote_session_shift = {"status", "handle:mote_session", "u32", "err"},
    mote_session_logits = {"status", "handle:mote_session", "u32", "get_floats", "err"},
    mote_session_logprobs = {"status", "handle:mote_session", "u32", "get_floats", "err"},
    mote_session_mtp_logits = {"status", "handle:mote_session", "u32", "get_floats", "err"},
    mote_session_sample = {"status", "handle:mote_session", "options:mote_sampler_options", "get_i32", "err"},
    mote_session_cancel = {"void", "handle:mote_session"},
    mote_session_generate = {"status", "handle:mote_session", "options:mote_generate_options", "options:mote_sampler_options", "err"},
    mote_session_next = {"status", "handle:mote_session", "fill:mote_piece", "err"},
    mote_session_get_stats = {"status", "handle:mote_session", "fill:mote_session_stats", "err"},
    mote_session_save = {"status", "handle:mote_session", "get_blob", "err"},
    mote_session_save_file = {"status", "handle:mote_session", "string", "err"},
    mote_session_load = {"status", "handle:mote_session", "bytes", "err"},
    mote_session_load_file = {"status", "handle:mote_session", "string", "err"},
    mote_pack_write = {"status", "string", "string", "options:mote_pack_options", "err"},
    mote_pack_verify = {"status", "string", "callback", "err"},
    mote_pack_calibrate = {"status", "string", "bytes", "string", "callback", "err"},
  },
  -- the same declarations for LuaJIT
  cdef = [[
typedef int32_t mote_status;
typedef struct mote_error {
mote_status status;
char message[508];
} mote_error;
const char *mote_status_name(mote_status status);
typedef int32_t (*mote_progress_fn)(
void *user, const char *stage, uint64_t done, uint64_t total);
typedef void (*mote_log_fn)(void *user, int32_t level, const char *message);
typedef void *(*mote_alloc_fn)(void *user, size_t size, size_t align, int32_t tag);
typedef void (*mote_free_fn)(void *user, void *ptr, size_t size, int32_t tag);
typedef void (*mote_task_fn)(void *task, uint32_t index);
typedef void (*mote_parallel_fn)(void *user, uint32_t n, mote_task_fn run, void *task);
uint32_t mote_version_number(void);
const char *mote_version_string(void);
const char *mote_version_components(void);
const char *mote_version_isa(void);
mote_status mote_options_set_text(int32_t kind, void *options, const char *name,
const char *value, mote_error *err);
mote_status mote_options_describe(int32_t kind, uint32_t index,
const char **name, const char **type, const char **values,
const char **sentence, mote_error *err);
typedef struct mote_tokenizer mote_tokenizer;
typedef struct mote_decoder mote_decoder;
mote_status mote_tokenizer_open(
mote_tokenizer **out, const char *path, mote_error *err);
mote_status mote_tokenizer_open_memory(mote_tokenizer **out,
const char *tokenizer_json, size_t tokenizer_json_size, const char *config_json,
size_t config_json_size, mote_error *err);
void mote_tokenizer_close(mote_tokenizer *tokenizer);
mote_status mote_tokenizer_encode(const mote_tokenizer *tokenizer,
const char *text, size_t n_bytes, uint32_t flags, int32_t *tokens,
size_t capacity, size_t *n_tokens, mote_error *err);
mote_status mote_tokenizer_decode(const mote_tokenizer *tokenizer,
const int32_t *tokens, size_t n_tokens, uint32_t flags, char *text,
size_t capacity, size_t *n_bytes, mote_error *err);
const char *mote_tokenizer_token(
const mote_tokenizer *tokenizer, int32_t token, size_t *n_bytes);
int32_t mote_tokenizer_find(
const mote_tokenizer *tokenizer, const char *text, size_t n_bytes);
int32_t mote_tokenizer_is_special(
const mote_tokenizer *tokenizer, int32_t token);
int32_t mote_tokenizer_size(const mote_tokenizer *tokenizer);
int32_t mote_tokenizer_bos(const mote_tokenizer *tokenizer);
int32_t mote_tokenizer_eos(const mote_tokenizer *tokenizer);
int32_t mote_tokenizer_adds_bos(const mote_tokenizer *tokenizer);
mote_status mote_decoder_open(mote_decoder **out,
const mote_tokenizer *tokenizer, uint32_t flags, mote_error *err);
mote_status mote_decoder_push(mote_decoder *decoder, int32_t token,
const char **text, size_t *n_bytes, mote_error *err);
mote_status mote_decoder_finish(
mote_decoder *decoder, const char **text, size_t *n_bytes, mote_error *err);
void mote_decoder_close(mote_decoder *decoder);
typedef struct mote_chat_format mote_chat_format;
const mote_chat_format *mote_chat_format_find(const char *name, mote_error *err);
const mote_chat_format *mote_chat_format_at(uint32_t index);
const mote_chat_format *mote_chat_format_of(
const mote_tokenizer *tokenizer, mote_error *err);
const char *mote_chat_format_name(const mote_chat_format *format);
mote_status mote_chat_render_text(const mote_chat_format *format,
const char *messages, size_t n_bytes, uint32_t flags, const char *tools,
size_t tools_bytes, char *text, size_t capacity, size_t *length,
mote_error *err);
mote_status mote_chat_render(const mote_chat_format *format,
const mote_tokenizer *tokenizer, const char *messages, size_t n_bytes,
uint32_t flags, const char *tools, size_t tools_bytes, int32_t *tokens,
size_t capacity, size_t *n_tokens, mote_error *err);
typedef struct mote_model mote_model;
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
uint32_t reading;
uint32_t reserved;
} mote_model_options;
mote_status mote_model_open(mote_model **out, const char *path,
const mote_model_options *options, mote_error *err);
mote_status mote_model_open_fd(mote_model **out, int32_t fd, uint64_t offset,
uint64_t length, const mote_model_options *options, mote_error *err);
mote_status mote_model_open_memory(mote_model **out, const void *data,
size_t size, const mote_model_options *options, mote_error *err);
void mote_model_close(mote_model *model);
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
mote_status mote_model_get_info(
const mote_model *model, mote_model_info *info, mote_error *err);
mote_status mote_model_plan(const char *path, const mote_model_options *options,
mote_model_info *info, mote_error *err);
const mote_tokenizer *mote_model_tokenizer(const mote_model *model);
const char *mote_model_isa(const mote_model *model);
uint32_t mote_model_threads(const mote_model *model);
uint64_t mote_model_memory(const mote_model *model, int32_t tag);
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
uint64_t bytes_unused;
uint32_t reading;
uint32_t reserved;
} mote_stream_stats;
mote_status mote_model_stream_stats(
const mote_model *model, mote_stream_stats *stats, mote_error *err);
typedef struct mote_sampler_options {
uint32_t struct_size;
float temperature;
uint32_t top_k;
float top_p;
float min_p;
float repetition_penalty;
float presence_penalty;
float frequency_penalty;
uint32_t penalty_tokens;
uint32_t n_bias;
uint64_t seed;
const int32_t *bias_tokens;
const float *bias_values;
} mote_sampler_options;
typedef struct mote_schema mote_schema;
mote_status mote_schema_open(mote_schema **out, const mote_tokenizer *tokenizer,
const char *json, size_t n_bytes, mote_error *err);
void mote_schema_close(mote_schema *schema);
typedef struct mote_session mote_session;
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
uint32_t attention;
uint32_t reserved_2;
} mote_session_options;
mote_status mote_session_plan(const mote_model *model,
const mote_session_options *options, uint64_t *total_bytes, uint64_t *kv_bytes,
mote_error *err);
mote_status mote_session_open(mote_session **out, mote_model *model,
const mote_session_options *options, mote_error *err);
void mote_session_close(mote_session *session);
mote_status mote_session_fork(
mote_session **out, mote_session *session, mote_error *err);
mote_status mote_session_eval(
mote_session *session, const int32_t *tokens, size_t n_tokens, mote_error *err);
mote_status mote_session_prompt(
mote_session *session, const int32_t *tokens, size_t n_tokens, mote_error *err);
uint32_t mote_session_position(const mote_session *session);
uint32_t mote_session_context_tokens(const mote_session *session);
int32_t mote_session_token(const mote_session *session, uint32_t position);
mote_status mote_session_rewind(
mote_session *session, uint32_t position, mote_error *err);
void mote_session_reset(mote_session *session);
mote_status mote_session_shift(
mote_session *session, uint32_t n_tokens, mote_error *err);
mote_status mote_session_logits(mote_session *session, uint32_t position,
float *logits, size_t capacity, mote_error *err);
mote_status mote_session_logprobs(mote_session *session, uint32_t position,
float *logprobs, size_t capacity, mote_error *err);
mote_status mote_session_mtp_logits(mote_session *session, uint32_t position,
float *logits, size_t capacity, mote_error *err);
mote_status mote_session_sample(mote_session *session,
const mote_sampler_options *sampler, int32_t *token, mote_error *err);
void mote_session_cancel(mote_session *session);
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
mote_status mote_session_generate(mote_session *session,
const mote_generate_options *options, const mote_sampler_options *sampler,
mote_error *err);
mote_status mote_session_next(
mote_session *session, mote_piece *piece, mote_error *err);
mote_status mote_session_next_batch(mote_session *const *sessions,
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
mote_status mote_session_get_stats(
const mote_session *session, mote_session_stats *stats, mote_error *err);
mote_status mote_session_save(mote_session *session, void *buffer,
size_t capacity, size_t *length, mote_error *err);
mote_status mote_session_save_file(
mote_session *session, const char *path, mote_error *err);
mote_status mote_session_load(
mote_session *session, const void *data, size_t size, mote_error *err);
mote_status mote_session_load_file(
mote_session *session, const char *path, mote_error *err);
typedef struct mote_pack_options {
uint32_t struct_size;
uint32_t type;
uint32_t expert_type;
int32_t zstd_level;
const char *importance;
mote_progress_fn progress;
void *progress_user;
} mote_pack_options;
mote_status mote_pack_write(const char *checkpoint, const char *path,
const mote_pack_options *options, mote_error *err);
mote_status mote_pack_verify(const char *path, mote_progress_fn progress,
void *progress_user, mote_error *err);
mote_status mote_pack_calibrate(const char *checkpoint, const char *text,
size_t n_bytes, const char *path, mote_progress_fn progress,
void *progress_user, mote_error *err);
]],
}
