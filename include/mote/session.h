/* SPDX-License-Identifier: MIT */
/**
 * @file session.h
 * @defgroup session Sessions: one conversation each
 *
 * A session holds one token sequence with its latent KV cache. It belongs to one thread
 * at a time (only mote_session_cancel() may be called from another); several sessions
 * of one model may run at once from different threads. Everything is sized when the
 * session is made: decoding allocates nothing.
 *
 * Generation is pulled:
 * @code
 * mote_session_prompt(s, ids, n, &err);
 * mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
 * g.max_tokens = 100;
 * mote_session_generate(s, &g, NULL, &err);
 * mote_piece piece = MOTE_PIECE_INIT;
 * while (mote_session_next(s, &piece, &err) == MOTE_OK)
 *     fwrite(piece.text, 1, piece.n_bytes, stdout);
 * @endcode
 * Any other call that computes, changes, copies or saves the session ends the
 * generation: tokens chosen and not delivered yet are forgotten, and the sampler stands
 * where it stood before them.
 * @{
 */
#ifndef MOTE_SESSION_H
#define MOTE_SESSION_H
#include "common.h"
#include "model.h"
#include "sampler.h"
#include "schema.h"
#include "chat.h"
MOTE_BEGIN_DECLS

/** A token sequence, its cache and its generator. */
typedef struct mote_session mote_session;

#define MOTE_KV_DEFAULT                                                                \
    0u /**< float32 where the whole cache then takes at most 64 MB, else               \
             bf16 */
#define MOTE_KV_F32 1u  /**< float32: the reference */
#define MOTE_KV_BF16 2u /**< bfloat16 */
#define MOTE_KV_FP8 3u  /**< e4m3 with a scale per 128 values, rotary part bf16 */

#define MOTE_PRECISION_DEFAULT 0u /**< fine */
#define MOTE_PRECISION_EXACT 1u   /**< activations to fp32 grade: the reference */
#define MOTE_PRECISION_BF16 2u    /**< rounded to bf16: the fastest prefill */
/** Activations to 2^-16, relative. With this and with bf16, int8 and int4 weights go
 * through the integer units, activations having 8 bits and a scale per 32. */
#define MOTE_PRECISION_FINE 3u

#define MOTE_DRAFT_AUTO 0u  /**< MTP where the model has it and it pays */
#define MOTE_DRAFT_OFF 1u   /**< one token per pass */
#define MOTE_DRAFT_MTP 2u   /**< always draft with the MTP module */
#define MOTE_DRAFT_NGRAM 3u /**< draft by looking back in the text */

/** Expanded; absorbed with `deterministic`, or with prefill_tokens (or a context) below
 * ::MOTE_EXPANDED_TOKENS. */
#define MOTE_ATTENTION_DEFAULT 0u
#define MOTE_ATTENTION_ABSORBED 1u /**< over the latents: one form for every token */
/** Over keys and values made of the latents, for tokens that one call of
 * mote_session_eval() or mote_session_prompt() computes ::MOTE_EXPANDED_TOKENS or more
 * of; other tokens absorbed. Long prompts are faster; the two forms round differently.
 * Not with `deterministic`. */
#define MOTE_ATTENTION_EXPANDED 2u
#define MOTE_EXPANDED_TOKENS 256u /**< new tokens of a call that attend expanded */

/** How to make a session. Zero means default. Fields are only ever appended. */
typedef struct mote_session_options {
    uint32_t struct_size;      /**< set by ::MOTE_SESSION_OPTIONS_INIT */
    uint32_t context_tokens;   /**< room; 0: the model's maximum, at most 4096 */
    uint32_t prefill_tokens;   /**< tokens computed at once; 0: 512 */
    uint32_t kv_type;          /**< MOTE_KV_... */
    uint32_t precision;        /**< MOTE_PRECISION_... */
    uint32_t deterministic;    /**< 1: same bits however a text is fed */
    uint32_t keep_tokens;      /**< last positions whose logits can be asked for; 0: as
                                    prefill_tokens; UINT32_MAX: all */
    uint32_t draft;            /**< MOTE_DRAFT_... */
    uint32_t draft_tokens;     /**< most tokens drafted at once, 1..4; 0: adaptive */
    uint32_t reserved;         /**< 0 */
    mote_progress_fn progress; /**< called while prefilling; may cancel */
    void *progress_user;       /**< passed to progress */
    uint32_t attention;        /**< MOTE_ATTENTION_... */
    uint32_t reserved_2;       /**< 0 */
} mote_session_options;
/** Initialiser that sets struct_size. */
#define MOTE_SESSION_OPTIONS_INIT MOTE_STRUCT_INIT(mote_session_options)

/** Bytes that a session with these options would allocate, exactly.
 *  @param kv_bytes  of them, the latent cache; may be NULL @since 0.1 */
MOTE_API mote_status mote_session_plan(const mote_model *model,
        const mote_session_options *options, uint64_t *total_bytes, uint64_t *kv_bytes,
        mote_error *err);
/** Make an empty session. @param options NULL: defaults @since 0.1 */
MOTE_API mote_status mote_session_open(mote_session **out, mote_model *model,
        const mote_session_options *options, mote_error *err);
/** Close; NULL is allowed. @since 0.1 */
MOTE_API void mote_session_close(mote_session *session);
/** Make a second session with the same tokens, cache and options. Full cache blocks are
 *  shared and copied only when one side overwrites them. With a large model up to 16 MB
 *  of the cache of a closed session stay with each block that is still shared.
 *  @since 0.1 */
MOTE_API mote_status mote_session_fork(
        mote_session **out, mote_session *session, mote_error *err);

/** Append tokens and compute them (prefill in chunks, decode for a few).
 *  @param tokens  borrowed for the call
 *  @return MOTE_OK; MOTE_E_CONTEXT_FULL, MOTE_E_INVALID (an id out of range) with the
 *          session unchanged; MOTE_E_CANCELLED with whole chunks kept. @since 0.1 */
MOTE_API mote_status mote_session_eval(
        mote_session *session, const int32_t *tokens, size_t n_tokens, mote_error *err);
/** Make the sequence be exactly @p tokens: keeps the longest common prefix, rewinds the
 *  rest and computes what is new. Returns as mote_session_eval(). @since 0.1 */
MOTE_API mote_status mote_session_prompt(
        mote_session *session, const int32_t *tokens, size_t n_tokens, mote_error *err);
/** Tokens in the session. @since 0.1 */
MOTE_API uint32_t mote_session_position(const mote_session *session);
/** Most tokens the session can hold. @since 0.1 */
MOTE_API uint32_t mote_session_context_tokens(const mote_session *session);
/** Token at @p position, or -1. @since 0.1 */
MOTE_API int32_t mote_session_token(const mote_session *session, uint32_t position);
/** Forget everything from @p position on. MOTE_E_INVALID when it lies ahead. @since 0.1
 */
MOTE_API mote_status mote_session_rewind(
        mote_session *session, uint32_t position, mote_error *err);
/** Forget everything, end any generation. @since 0.1 */
MOTE_API void mote_session_reset(mote_session *session);
/** Drop @p n_tokens at the front and go on. The latent cache has absolute positions in
 * it: always MOTE_E_UNSUPPORTED, with the sentence that says to prompt again. @since
 * 0.1 */
MOTE_API mote_status mote_session_shift(
        mote_session *session, uint32_t n_tokens, mote_error *err);

/** Logits that follow the token at @p position (as the model gives them).
 *  @param logits    receives vocab_size floats
 *  @param capacity  floats that fit; fewer than vocab_size is MOTE_E_INVALID
 *  @return MOTE_E_INVALID for a position not in the session or no longer kept
 *          (keep_tokens); MOTE_E_NUMERIC for NaN or infinity. @since 0.1 */
MOTE_API mote_status mote_session_logits(mote_session *session, uint32_t position,
        float *logits, size_t capacity, mote_error *err);
/** The same as natural log-probabilities. @since 0.1 */
MOTE_API mote_status mote_session_logprobs(mote_session *session, uint32_t position,
        float *logprobs, size_t capacity, mote_error *err);
/** Logits of the MTP module at @p position, given the token at @p position + 1: its
 * guess at the token at @p position + 2. MOTE_E_UNSUPPORTED without an MTP module, or
 * where the draft option is off or ngram: its cache is not kept then; with auto it may
 * begin late in a long text, with mtp it is whole. @since 0.1 */
MOTE_API mote_status mote_session_mtp_logits(mote_session *session, uint32_t position,
        float *logits, size_t capacity, mote_error *err);
/** Choose a token from the logits at the end of the sequence, without appending it.
 *  The generator's state advances by one draw.
 *  @param sampler  NULL: greedy @since 0.1 */
MOTE_API mote_status mote_session_sample(mote_session *session,
        const mote_sampler_options *sampler, int32_t *token, mote_error *err);
/** Make a running call stop with MOTE_E_CANCELLED within one token (or one prefill
 * chunk). Between two calls, it stops the next one that computes or delivers;
 * mote_session_reset() forgets it. Nothing is lost: a cancelled generation goes on when
 * asked for its next piece. The only function that another thread may call. @since 0.1
 */
MOTE_API void mote_session_cancel(mote_session *session);

#define MOTE_CHANNEL_CONTENT 0u   /**< the answer */
#define MOTE_CHANNEL_REASONING 1u /**< between think tags */
#define MOTE_CHANNEL_TOOL 2u      /**< a tool call: tool_name, then arguments as JSON */

#define MOTE_STOP_NONE 0u    /**< still going */
#define MOTE_STOP_EOS 1u     /**< the model ended its text */
#define MOTE_STOP_LENGTH 2u  /**< max_tokens reached */
#define MOTE_STOP_STRING 3u  /**< a stop string appeared */
#define MOTE_STOP_CONTEXT 4u /**< the context is full */
#define MOTE_STOP_SCHEMA 5u  /**< the constrained value is complete */

/** How to generate. Zero means default. Fields are only ever appended. */
typedef struct mote_generate_options {
    uint32_t struct_size;         /**< set by ::MOTE_GENERATE_OPTIONS_INIT */
    uint32_t max_tokens;          /**< 0: until the model or the context ends */
    uint32_t ignore_eos;          /**< 1: go on past the end-of-sentence token */
    uint32_t think_tokens_max;    /**< close the reasoning after so many; 0: no cap */
    uint32_t starts_in_reasoning; /**< 1: the prompt has opened the reasoning already;
                                       with a format, a prompt that ends with the
                                     opening tag says so itself */
    uint32_t n_stop;              /**< length of stop */
    uint32_t show_special;        /**< 1: control tokens appear in the text */
    uint32_t seed_from_state;     /**< 1: go on with the sampler's state instead of
                                       seeding anew */
    const char *const *stop;      /**< UTF-8 strings that end the text; borrowed for the
                                       call */
    const mote_schema *schema; /**< constraint; NULL: none. Must outlive generation */
    const mote_chat_format *format; /**< how to read reasoning and tool calls; NULL: all
                                       text is content */
} mote_generate_options;
/** Initialiser that sets struct_size. */
#define MOTE_GENERATE_OPTIONS_INIT MOTE_STRUCT_INIT(mote_generate_options)

/** What mote_session_next() delivers. Pointers are borrowed until the next call on the
 *  session. */
typedef struct mote_piece {
    uint32_t struct_size;  /**< set by ::MOTE_PIECE_INIT */
    uint32_t channel;      /**< MOTE_CHANNEL_... */
    uint32_t n_bytes;      /**< length of text; may be 0 */
    uint32_t n_tokens;     /**< tokens that this piece consumed */
    uint32_t stop;         /**< MOTE_STOP_...: not 0 in the last piece */
    uint32_t tool_index;   /**< number of the tool call, from 0 */
    const char *text;      /**< whole UTF-8 characters, not NUL-terminated */
    const char *tool_name; /**< NUL-terminated when channel is TOOL, else NULL */
    const int32_t *tokens; /**< ids, n_tokens of them */
    const float *logprobs; /**< natural log-probability of each under the model */
} mote_piece;
/** Initialiser that sets struct_size. */
#define MOTE_PIECE_INIT MOTE_STRUCT_INIT(mote_piece)

/** Begin generating after the current sequence, which must not be empty. In a full
 * context the only piece has no token and says MOTE_STOP_CONTEXT.
 *  @param options  NULL: defaults
 *  @param sampler  NULL: greedy @since 0.1 */
MOTE_API mote_status mote_session_generate(mote_session *session,
        const mote_generate_options *options, const mote_sampler_options *sampler,
        mote_error *err);
/** Next piece of text. The last piece has a stop reason and MOTE_OK; after it comes
 *  MOTE_DONE. Leaving early needs no call.
 *  @return MOTE_OK, MOTE_DONE, or an error such as MOTE_E_CANCELLED. @since 0.1 */
MOTE_API mote_status mote_session_next(
        mote_session *session, mote_piece *piece, mote_error *err);
/** Advance several sessions of one model in one pass over the weights. Each gets
 * exactly what mote_session_next() would have given it (drafting aside). All must have
 * the same precision and KV type.
 *  @param pieces    one per session, struct_size set and the same in each
 *  @param statuses  receives one status per session
 *  @return MOTE_OK when at least one went on; MOTE_DONE when all had ended. @since 0.1
 */
MOTE_API mote_status mote_session_next_batch(mote_session *const *sessions,
        uint32_t n_sessions, mote_piece *pieces, mote_status *statuses,
        mote_error *err);

/** What a session has done since it was made. */
typedef struct mote_session_stats {
    uint32_t struct_size;      /**< set by ::MOTE_SESSION_STATS_INIT */
    uint32_t reserved;         /**< 0 */
    uint64_t prompt_tokens;    /**< tokens computed as prompt */
    uint64_t reused_tokens;    /**< prompt tokens found in the cache */
    uint64_t generated_tokens; /**< tokens delivered */
    uint64_t prompt_ns;        /**< time spent on prompts */
    uint64_t generate_ns;      /**< time spent generating */
    uint64_t passes;           /**< passes through the model while generating */
    uint64_t drafted[4];       /**< drafts made at depth 1..4 */
    uint64_t accepted[4];      /**< of them accepted */
    uint64_t reasoning_tokens; /**< of the generated, on the reasoning channel */
    uint64_t kv_bytes;         /**< latent cache */
    uint64_t total_bytes;      /**< all memory of the session */
} mote_session_stats;
/** Initialiser that sets struct_size. */
#define MOTE_SESSION_STATS_INIT MOTE_STRUCT_INIT(mote_session_stats)
/** Read the statistics. @since 0.1 */
MOTE_API mote_status mote_session_get_stats(
        const mote_session *session, mote_session_stats *stats, mote_error *err);

/** Save tokens, cache and sampler state to memory. Call with NULL, 0 for the length: an
 *  upper bound is then reported. @param length receives the bytes written, or the bound
 *  when they did not fit (MOTE_E_INVALID). @since 0.1 */
MOTE_API mote_status mote_session_save(mote_session *session, void *buffer,
        size_t capacity, size_t *length, mote_error *err);
/** Save to a file, atomically (a temporary file is renamed). @since 0.1 */
MOTE_API mote_status mote_session_save_file(
        mote_session *session, const char *path, mote_error *err);
/** Load what mote_session_save() wrote. On any error the session is unchanged.
 *  @return MOTE_E_MISMATCH for another model's, version's or KV type's snapshot;
 *          MOTE_E_FORMAT for a damaged one; MOTE_E_CONTEXT_FULL when it does not fit.
 *  @since 0.1 */
MOTE_API mote_status mote_session_load(
        mote_session *session, const void *data, size_t size, mote_error *err);
/** Load from a file. @since 0.1 */
MOTE_API mote_status mote_session_load_file(
        mote_session *session, const char *path, mote_error *err);

MOTE_END_DECLS
/** @} */
#endif
