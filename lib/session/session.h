/* SPDX-License-Identifier: MIT */
/* One conversation. The sequence is tokens[0, n_tokens); the cache holds the first
 * n_eval of them, n_eval >= n_tokens - 1: the last token may not be computed yet (it
 * was chosen, delivered, and is computed when something needs what follows).
 *
 * While generating, tokens[n_tokens, n_tokens + queued) are chosen and not delivered
 * yet; n_eval may reach into them. Any call other than next() drops them, and puts the
 * sampler back to where it was before them.
 *
 * hidden is a ring: the state of position p lies at p % ring, for p in
 * [kept_begin, n_eval). The MTP module's cache holds positions [mtp_base, mtp_eval),
 * computed from true states, position p in slot p - mtp_base; entry p also depends on
 * token p + 1. mtp_base is 0 where drafts are asked for; where they are made only when
 * they pay, the module may begin anywhere, as if the text did: its attention knows
 * distances only, and a session that does not draft pays nothing for it. */
#ifndef MOTE_SESSION_SESSION_H
#define MOTE_SESSION_SESSION_H
#include "model/forward.h"
#include "model/model.h"
#include "mote/session.h"
#include "session/draft.h"
#include "session/kv.h"
#include "session/sampler.h"
#include "text/reply.h"
#include "text/schema.h"

enum {
    MOTE__DRAFT_MAX = 4,
    MOTE__RARE_MAX = 512,  /* panels of the head kept for tokens of the text */
    MOTE__MTP_WINDOW = 64, /* positions that adaptive drafting begins with */
    MOTE__HEAD_ROWS = 8,   /* states whose logits are computed at once */
    MOTE__EXACT_ROWS = 16  /* passes of up to this many rows are always exact */
};

typedef struct mote__queued {
    float logprob;
    uint32_t ends;             /* MOTE_STOP_... that comes with this token, or 0 */
    uint32_t hidden_text;      /* token is not part of the text (end of sentence) */
    mote__sampler_state state; /* of the sampler before it */
} mote__queued;

typedef struct mote__generation {
    int active, finished; /* finished: stop reason delivered */
    int last_pass;        /* the text was finished: flush and stop */
    uint32_t max_tokens, n_generated, ignore_eos, think_max, n_thought, stop;
    uint32_t head, queued; /* queue[head...]: ring free, refilled when empty */
    mote__queued queue[MOTE__DRAFT_MAX + 2];
    const mote_schema *schema;
    mote__schema_state *schema_state; /* after the queued tokens */
    mote__schema_state *draft_state;  /* after the drafts */
    size_t schema_bytes;
    uint32_t schema_begun; /* the value has begun: from here on every token is masked */
    uint32_t *masks;  /* [DRAFT_MAX + 1][mask_words]: of the places of this round */
    uint32_t n_masks; /* of them known since drafting */
    mote_decoder *decoder;
    mote__reply *reply;
    /* The same two once more, fed with tokens as they are chosen: whether a token is
     * part of the reasoning must be known before those in front are delivered. Only
     * with a schema or a budget. */
    mote_decoder *ahead_decoder;
    mote__reply *ahead;
    int32_t piece_token;
    float piece_logprob;
    const char *text;
    int32_t forced[64]; /* tokens that close the reasoning when its budget ends */
    uint32_t n_forced, forced_at;
} mote__generation;

struct mote_session {
    mote_model *model;
    mote_session_options o; /* resolved: no zeros where zero means default */
    mote__kv kv;
    mote__work *work;
    mote__row *rows;      /* [max_rows] */
    const float **states; /* [max_rows] */
    int32_t *tokens;      /* [context + DRAFT_MAX + 2] */
    uint32_t n_tokens, n_eval, context;
    float *hidden; /* [ring][hidden_size] */
    uint32_t ring, kept_begin;
    uint32_t mtp_base, mtp_eval;
    int mtp_lost; /* loaded from a snapshot without the MTP cache: no drafts by it */
    float *mtp_state; /* [hidden_size]: the module's output, for further drafts */
    float *logits;    /* [HEAD_ROWS][vocab] */
    mote__sampler *sampler;
    uint32_t first_panels; /* of the head, computed for every draft; 0: all are */
    uint32_t n_rare;       /* further ones, for tokens that the text has */
    uint32_t *rare;        /* [RARE_MAX] */
    uint8_t *panel_marks;  /* [panels / 8 + 1] */
    uint32_t expanding;    /* 1: tokens computed now attend in expanded form */
    uint32_t expand_from;  /* MOTE_EXPANDED_TOKENS; tests lower it */
    uint32_t *expanded;    /* [form_words]: a bit per position computed so */
    uint32_t batch_mark;   /* place in a batch, from 1; 0 outside */
    mote__drafter drafter;
    mote__generation gen;
    atomic_int cancel;
    atomic_int busy; /* a call is inside: debug builds, see guard.h */
    mote_session_stats stats;
    uint64_t fixed_bytes;
    mote__observe_fn observe; /* while calibrating */
    void *observe_user;
    mote__taps *taps;       /* while a tap is taken */
    float force_acceptance; /* measurements only; negative: off */
};

/* Compute tokens[n_eval, end). Keeps whole chunks on an error or cancellation. prompt:
 * progress is reported and chunks are prefilled. */
mote_status mote__session_compute(
        mote_session *s, uint32_t end, int prompt, mote_error *err);
/* Make the hidden state of the last token available (computing it if it is not). */
mote_status mote__session_settle_last(mote_session *s, mote_error *err);
/* End generation: forget what was not delivered. */
void mote__session_settle(mote_session *s);
const float *mote__session_hidden(const mote_session *s, uint32_t position);
/* logits of n states into s->logits (or elsewhere). */
mote_status mote__session_head(mote_session *s, const float *const *x, uint32_t n,
        float *logits, mote_error *err);
/* Before drafting behind position `end`: where the module's cache is far behind, let it
 * begin anew a little before. Returns the positions left to compute. */
uint32_t mote__session_mtp_window(mote_session *s, uint32_t end);
/* 1 when the module's cache can hold the whole text up to now; then catch_up does it.
 */
int mote__session_mtp_whole(mote_session *s);
/* Bring the MTP cache up to [mtp_base, n_eval - 1) where tokens are known. */
mote_status mote__session_mtp_catch_up(mote_session *s, uint32_t end, mote_error *err);
/* Words of one mask over the vocabulary. */
size_t mote__session_mask_words(const mote_session *s);
/* Activation form of every pass, for float and for integer weights. */
uint32_t mote__session_form(const mote_session *s);
uint32_t mote__session_form_int(const mote_session *s);
/* Pass description for n rows. */
mote__pass mote__session_pass(const mote_session *s, uint32_t n);
/* 1 when the MTP module's cache is kept up: it may draft. */
int mote__session_drafts_mtp(const mote_session *s);
/* Before `coming` more positions are computed: see that no state leaves the ring that
 * the MTP module still needs. */
mote_status mote__session_mtp_keep_up(
        mote_session *s, uint32_t coming, mote_error *err);
/* MOTE_E_CANCELLED, once, when mote_session_cancel() was called. */
mote_status mote__session_check_cancel(mote_session *s, mote_error *err);
/* The state of position n_eval is known and stored: advance. */
void mote__session_computed(mote_session *s, uint32_t n);
/* 1: a call may be long enough for expanded attention, for which there is room. */
uint32_t mote__session_may_expand(const mote_session_options *o);
/* Words of the bits that tell positions' form of attention. */
static inline uint32_t mote__session_form_words(const mote_session *s)
{
    return s->context / 32 + 1;
}
/* Decide whether drafts look at a part of the vocabulary (draft_head.c). */
void mote__draft_head_init(mote_session *s);
/* A round whose known tokens are tokens[0, n) begins. */
void mote__draft_head_begin(mote_session *s, uint32_t n);
/* The likeliest token after state x, of those in the mask (NULL: of all), ties to the
 * lower id; vocab_size when there is none. */
uint32_t mote__draft_best(mote_session *s, const float *x, const uint32_t *mask);
/* 1 when a caller's struct_size can be meant: garbage must not say how far to write. */
static inline int mote__sized(uint32_t struct_size, uint32_t least)
{
    return struct_size >= least && struct_size <= 65536;
}
uint64_t mote__now_ns(void);
/* What the public calls do once their options are complete (mote__options_take). */
mote_status mote__session_open(
        mote_session **out, mote_model *m, mote_session_options *o, mote_error *err);
mote_status mote__session_plan(const mote_model *m, mote_session_options *o,
        uint64_t *total_bytes, uint64_t *kv_bytes, mote_error *err);
mote_status mote__session_generate(mote_session *s, const mote_generate_options *o,
        const mote_sampler_options *sampler, mote_error *err);
mote_status mote__session_sample(mote_session *s, const mote_sampler_options *sampler,
        int32_t *token, mote_error *err);
/* Free a generation's resources. */
void mote__generation_end(mote_session *s);
#endif
