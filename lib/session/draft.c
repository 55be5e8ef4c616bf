/* SPDX-License-Identifier: MIT */
#include "session/draft.h"

#include <string.h>

enum {
    PLAIN_FIRST =
            2,  /* plain passes timed before the first draft: what to compare with */
    STEADY = 4, /* samples until a timing is an average; before, it is the least */
    LASTING = 10,
    FIRST_DRAFTS = 3, /* made in any case, to know something */
    FIRST_WAIT = 64,
    LAST_WAIT = 4096,
    LOOK_EVERY = 64 /* rounds with drafts; then a plain one, to compare */
};
static const double START = 1.02, STAY = 0.999; /* of plain decoding's worth */
static const double KEEP = 0.95;                /* of the moving averages */
static const double FIRST_GUESS = 0.7; /* acceptance that the report observes */
static const double DEEPER = 0.9;      /* guess at a depth, of that of the one before */
static const double GUESS_WEIGHT = 2;  /* drafts that a guess counts for; it fades */
static const double PROBE_KEEP = 0.1;  /* evidence left when it is time to try again */
static const double LEND = 4, LEND_SHARE = 0.007; /* plain passes, share of all time */
static const double UNSEEN = 1.01; /* costs of a round beside what is timed */
static const double SAVE = 8;      /* plain passes: most that a gain is kept */
static const double SPIKE =
        1.5; /* of the usual time: what is longer is not the drafts' */

void mote__drafter_init(mote__drafter *d)
{
    memset(d, 0, sizeof *d);
    d->wait = FIRST_WAIT;
    d->first_left = FIRST_DRAFTS;
    for (int i = 0; i < 4; i++)
        d->guess[i] = GUESS_WEIGHT;
}

/* Shares of drafts that are accepted, by depth: evidence, and a guess where there is
 * little. */
static void acceptances(const mote__drafter *d, double out[4])
{
    double guess = FIRST_GUESS;
    for (int i = 0; i < 4; i++) {
        double w = d->guess[i];
        out[i] = (d->hit[i] + guess * w) / (d->seen[i] + w);
        guess = DEEPER * out[i];
    }
}

/* Time of a pass with n rows; unmeasured ones are taken as growing by a tenth per row,
 * optimistic enough to be tried. More than that of n passes is a spike. */
static double pass_time(const mote__drafter *d, uint32_t n)
{
    double most = n * d->pass[0].ns;
    for (uint32_t i = n; i > 0; i--)
        if (d->pass[i - 1].n) {
            double ns = d->pass[i - 1].ns * (1 + 0.1 * (n - i));
            return ns < most ? ns : most;
        }
    return 1;
}

static double draft_time(const mote__drafter *d, uint32_t k)
{
    for (uint32_t i = k; i > 0; i--)
        if (d->draft[i].n)
            return d->draft[i].ns * k / i;
    return 0;
}

static double worth(const mote__drafter *d, uint32_t k)
{
    double tokens = 1, p = 1, accept[4];
    acceptances(d, accept);
    for (uint32_t i = 0; i < k; i++) {
        p *= accept[i];
        tokens += p;
    }
    return tokens / (pass_time(d, k + 1) + draft_time(d, k));
}

/* 1 when k drafts could pay if all were accepted. */
static int could_pay(const mote__drafter *d, uint32_t k)
{
    return (k + 1) * pass_time(d, 1) > (pass_time(d, k + 1) + draft_time(d, k)) * START;
}

/* 1 when a round with a draft may lose `loss` more. */
static int may_lose(const mote__drafter *d, double loss)
{
    return d->owed_ns + loss <= LEND * d->pass[0].ns + LEND_SHARE * d->all_ns;
}

uint32_t mote__drafter_choose(
        mote__drafter *d, uint32_t max, int fixed, uint32_t behind)
{
    if (fixed || max == 0)
        return max;
    if (d->pass[0].n < PLAIN_FIRST)
        return 0;
    double late = behind * d->row_ns;
    uint32_t best = 0;
    for (uint32_t k = 1; k <= max; k++) {
        /* to begin takes a clear advantage, to go on takes no clear disadvantage: near
         * the edge, evidence swings */
        double edge = best ? 1.01 : d->drafting ? STAY : START;
        if (worth(d, k) > worth(d, best) * edge)
            best = k;
        if (!d->pass[k].n)
            break; /* one step beyond what has been measured */
    }
    if (best > 0 && may_lose(d, late)) {
        if (d->seen[0] > LASTING)
            d->wait = FIRST_WAIT; /* it has paid: look again soon when it stops */
        d->rounds = 0;
        if (++d->drafting % LOOK_EVERY == 0)
            return 0;
        return best;
    }
    d->drafting = 0;
    int hope = 0;
    for (uint32_t k = 1; k <= max && !hope; k++)
        hope = could_pay(d, k);
    double loss = late + pass_time(d, 2) + draft_time(d, 1) - d->pass[0].ns;
    if (d->first_left && hope && may_lose(d, 0)) {
        d->first_left--;
        return 1;
    }
    if (++d->rounds < d->wait || !may_lose(d, loss))
        return 0;
    d->rounds = 0;
    d->wait = d->wait < LAST_WAIT ? d->wait * 2 : LAST_WAIT;
    for (int i = 0; i < 4; i++) {
        d->hit[i] *= PROBE_KEEP;
        d->seen[i] *= PROBE_KEEP;
    }
    return 1;
}

static void time_learn(mote__timing *t, double ns)
{
    if (t->n < STEADY) {
        t->ns = t->n == 0 || ns < t->ns ? ns : t->ns;
        t->n++;
        return;
    }
    /* A spike counts for no more than a small difference: what is sought is the usual
     * time, for all numbers of rows alike. */
    double off = ns - t->ns, most = 0.1 * t->ns;
    off = off > most ? most : off < -most ? -most : off;
    t->ns += (1 - KEEP) * off;
}

void mote__drafter_caught_up(mote__drafter *d, uint32_t rows, uint64_t ns)
{
    d->row_ns = (double)ns / rows;
    d->all_ns += (double)ns;
    d->owed_ns += (double)ns;
}

/* A round's time, without what cannot be the drafts' doing. */
static double usual(const mote__timing *t, double ns)
{
    return t->n && ns > SPIKE * t->ns ? SPIKE * t->ns : ns;
}

void mote__drafter_learn(mote__drafter *d, uint32_t drafted, uint32_t accepted,
        uint64_t pass_ns, uint64_t draft_ns)
{
    double ns = usual(&d->pass[drafted], (double)pass_ns);
    if (drafted && ns > (1 + drafted) * d->pass[0].ns)
        ns = (1 + drafted) *
             d->pass[0].ns; /* a spike with nothing to compare it with */
    if (drafted)
        ns += usual(&d->draft[drafted], (double)draft_ns);
    d->all_ns += ns;
    if (drafted) {
        double least = -SAVE * d->pass[0].ns;
        d->owed_ns += ns * UNSEEN - (1 + accepted) * d->pass[0].ns;
        d->owed_ns = d->owed_ns < least ? least : d->owed_ns;
    }
    time_learn(&d->pass[drafted], (double)pass_ns);
    if (drafted)
        time_learn(&d->draft[drafted], (double)draft_ns);
    for (uint32_t i = 0; i < drafted && i <= accepted; i++) {
        d->seen[i] = KEEP * d->seen[i] + 1;
        d->hit[i] = KEEP * d->hit[i] + (i < accepted);
        d->guess[i] *= KEEP;
    }
}

uint32_t mote__draft_ngram(
        const int32_t *tokens, uint32_t n, int32_t *out, uint32_t max)
{
    /* The last 4096 positions are searched: bounded work per token. */
    uint32_t from = n > 4096 ? n - 4096 : 0;
    for (uint32_t len = 3; len >= 2; len--) {
        if (n < len + 1)
            continue;
        const int32_t *suffix = tokens + n - len;
        for (uint32_t i = n - len; i-- > from;) {
            if (memcmp(tokens + i, suffix, len * sizeof *tokens))
                continue;
            uint32_t k = 0;
            for (uint32_t j = i + len; j < n && k < max; j++)
                out[k++] = tokens[j];
            return k;
        }
    }
    return 0;
}
