/* SPDX-License-Identifier: MIT */
/* How many tokens to draft, and from what: the policy of speculative decoding.
 *
 * A round of k drafts verifies k + 1 rows in one pass. Its worth is
 * (1 + a1 + a1 a2 + ...) tokens over (time of the pass + time of the drafts); both
 * sides are measured as they happen, so drafting stops where it does not pay (little
 * acceptance, a cold expert cache) and is probed again now and then.
 *
 * An account keeps this honest: what rounds with drafts took beyond the plain passes
 * that their tokens would have taken, trials and catching up included, is owed. Nothing
 * is drafted while more is owed than a few plain passes and a small share of all time,
 * so that is all that speculation can cost, whatever the acceptance and however wrong
 * the estimates. What is generated does not depend on any of it. */
#ifndef MOTE_SESSION_DRAFT_H
#define MOTE_SESSION_DRAFT_H
#include <stdint.h>

/* A moving average that outliers (a descheduled thread, a cold cache) hardly move. */
typedef struct mote__timing {
    double ns;
    uint32_t n; /* samples so far, up to a few */
} mote__timing;

typedef struct mote__drafter {
    double seen[4], hit[4]; /* drafts at depth i whose predecessors were accepted, and
                               how many were accepted too; both fade */
    double guess[4];        /* how many drafts the first guess still counts for */
    mote__timing pass[5];   /* of a pass with i + 1 rows */
    mote__timing draft[5];  /* of making i drafts */
    double row_ns;          /* of a position that the drafter has to catch up with */
    double all_ns, owed_ns; /* of all rounds; lost by drafts, negative: gained */
    uint32_t drafting;      /* the last rounds had drafts because they pay: how many */
    uint32_t first_left;    /* first drafts still to be made */
    uint32_t rounds;        /* without drafts, since the last probe */
    uint32_t wait;          /* rounds to wait before a probe: doubles each time */
} mote__drafter;

void mote__drafter_init(mote__drafter *d);
/* Drafts for the next round: 0 .. max. fixed: always max. behind: positions to catch
 * up with before the first. */
uint32_t mote__drafter_choose(
        mote__drafter *d, uint32_t max, int fixed, uint32_t behind);
/* Catching up with `rows` positions took so long; before the round's learn. */
void mote__drafter_caught_up(mote__drafter *d, uint32_t rows, uint64_t ns);
/* What a round of `drafted` took and how many were accepted. */
void mote__drafter_learn(mote__drafter *d, uint32_t drafted, uint32_t accepted,
        uint64_t pass_ns, uint64_t draft_ns);
/* Prompt lookup: up to `max` tokens that followed the last earlier occurrence of the
 * longest suffix (3, 2 tokens) of tokens[0, n). */
uint32_t mote__draft_ngram(
        const int32_t *tokens, uint32_t n, int32_t *out, uint32_t max);
#endif
