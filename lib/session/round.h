/* SPDX-License-Identifier: MIT */
/* A generation round cut at the point where the model runs, so that one pass can serve
 * many sessions (batch.c). */
#ifndef MOTE_SESSION_ROUND_H
#define MOTE_SESSION_ROUND_H
#include "session/session.h"

/* needs_row 1: token n_eval of the session must be computed and mote__round_end called;
 * 0: nothing to compute now. */
mote_status mote__round_begin(mote_session *s, int *needs_row, mote_error *err);
mote_status mote__round_end(
        mote_session *s, const float *state, const float *logits, mote_error *err);
/* A piece from what is queued, or MOTE_DONE when a round is needed (or all has ended).
 */
mote_status mote__round_deliver(mote_session *s, mote_piece *piece, mote_error *err);
#endif
