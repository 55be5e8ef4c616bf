/* SPDX-License-Identifier: MIT */
/**
 * @file experimental.h
 * @defgroup experimental Not settled yet
 *
 * Names begin with mote_x_, so that a dependency on them shows; they may change in any
 * release. Not included by mote.h.
 * @{
 */
#ifndef MOTE_EXPERIMENTAL_H
#define MOTE_EXPERIMENTAL_H
#include "common.h"
#include "model.h"
#include "session.h"
MOTE_BEGIN_DECLS

/** Make a model of a known shape with random weights, to learn how fast it would run.
 *  @param preset   "deepseek-v2-lite", "moonlight-16b", "deepseek-v3", "kimi-k2",
 *                  or "tiny-v3", the bundled model's shape
 *  @param n_layers cut the depth; 0: all
 *  @param type     MOTE_TYPE_FP8 (default for 0), BF16, INT8, INT4
 *  @param seed     of the weights
 *  @param options  with mtp = MOTE_MTP_ON there is a draft module in any case @since 0.1 */
MOTE_API mote_status mote_x_model_synthesize(mote_model **out, const char *preset,
        uint32_t n_layers, uint32_t type, uint64_t seed,
        const mote_model_options *options, mote_error *err);
/** Write the same as a pack, in bounded memory: for measuring packs and memory budgets.
 *  @since 0.1 */
MOTE_API mote_status mote_x_pack_synthesize(const char *preset, uint32_t n_layers,
        uint32_t type, uint64_t seed, const char *path, mote_progress_fn progress,
        void *progress_user, mote_error *err);
/** The @p index-th preset name, or NULL. @since 0.1 */
MOTE_API const char *mote_x_preset(uint32_t index);

/** This machine's read bandwidth in bytes/s with @p model's workers: one pass of reads
 * over a buffer larger than the caches (allocated on first use, freed with the model).
 *  @since 0.1 */
MOTE_API mote_status mote_x_read_bandwidth(
        mote_model *model, double *bytes_per_s, mote_error *err);
#define MOTE_X_PEAK_F32 0u  /**< fp32 fused multiply-adds */
#define MOTE_X_PEAK_BF16 1u /**< bf16 dot products into fp32 */
#define MOTE_X_PEAK_INT8 2u /**< int8 dot products */
/** This machine's multiply peak (two operations per product) with @p model's workers,
 * for the ISA in use. @since 0.1 */
MOTE_API mote_status mote_x_multiply_peak(
        mote_model *model, uint32_t kind, double *flops_per_s, mote_error *err);
/** Allocations made so far by a model and its sessions. @since 0.1 */
MOTE_API uint64_t mote_x_allocations(const mote_model *model);

#define MOTE_X_TAP_HIDDEN 0u  /**< [1 + layers][n_tokens][hidden]: the residual stream \
                               */
#define MOTE_X_TAP_NORM 1u    /**< [n_tokens][hidden]: after the final norm */
#define MOTE_X_TAP_KV_C 2u    /**< [layers][n_tokens][kv_lora_rank]: as cached */
#define MOTE_X_TAP_K_PE 3u    /**< [layers][n_tokens][rope]: as cached */
#define MOTE_X_TAP_SCORES 4u  /**< [moe layers][n_tokens][experts]: before the bias */
#define MOTE_X_TAP_TOPK 5u    /**< [moe layers][n_tokens][k]: chosen ids, as floats */
#define MOTE_X_TAP_WEIGHTS 6u /**< [moe layers][n_tokens][k]: their weights */
/** Run @p tokens from position 0 of a reset session and copy out an inner value, for
 *  comparison with a reference. @param capacity floats that fit; @param length receives
 *  the floats there are. @since 0.1 */
MOTE_API mote_status mote_x_session_tap(mote_session *session, const int32_t *tokens,
        size_t n_tokens, uint32_t tap, float *out, size_t capacity, size_t *length,
        mote_error *err);
/** Treat each draft as accepted with this probability, whatever the model says, to
 * measure speed at a given acceptance; output is then meaningless. Negative: off.
 * @since 0.1 */
MOTE_API void mote_x_session_force_acceptance(mote_session *session, float probability);
/** Bytes of weights that the session's passes have read so far, each matrix once a
 * pass: the experts that a pass chose, the draft module and its head where they ran.
 * A batch is counted with the session whose buffers served it. @since 0.1 */
MOTE_API uint64_t mote_x_session_weight_bytes(const mote_session *session);

MOTE_END_DECLS
/** @} */
#endif
