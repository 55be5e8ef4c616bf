/* SPDX-License-Identifier: MIT */
/* A generation round: draft, compute, choose. For batches it is cut at the point where
 * the model runs, so that one pass can serve many sessions (batch.c). */
#ifndef MOTE_SESSION_ROUND_H
#define MOTE_SESSION_ROUND_H
#include "session/session.h"

/* Choose the token at the end of the queue from the logits of its place, `place` in
 * this round. */
mote_status mote__choose(
        mote_session *s, const float *logits, uint32_t place, mote_error *err);
/* The id that ends a text, or -1. */
int32_t mote__session_eos(const mote_session *s);
/* 1 when the next token to be chosen belongs to the reasoning (known only with a schema
 * or a budget). */
int mote__session_thinking(const mote_session *s);
/* 1 when the next token to be chosen must be one that the schema allows. */
int mote__session_masked(const mote_session *s);
/* Drafts for a round whose known tokens are tokens[0, n): put behind them. */
mote_status mote__session_draft(
        mote_session *s, uint32_t n, uint32_t max, uint32_t *count, mote_error *err);

/* tokens[0, n_tokens) are delivered and at least all but the last computed: compute
 * that one, with drafts behind it, and queue what follows each accepted one. A session
 * that is full queues nothing: it ends. */
mote_status mote__round_run(mote_session *s, mote_error *err);
/* needs_row 1: token n_eval of the session must be computed and mote__round_end called;
 * 0: nothing to compute now. */
mote_status mote__round_begin(mote_session *s, int *needs_row, mote_error *err);
mote_status mote__round_end(
        mote_session *s, const float *state, const float *logits, mote_error *err);
/* A piece from what is queued, or MOTE_DONE when a round is needed (or all has ended).
 */
mote_status mote__round_deliver(mote_session *s, mote_piece *piece, mote_error *err);
#endif
