/* SPDX-License-Identifier: MIT */
#include "session/draft.h"

#include <string.h>

enum { PROBE_ROUNDS = 8, FIRST_WAIT = 64, LAST_WAIT = 4096 };
static const double KEEP = 0.95; /* of the moving averages */

void mote__drafter_init(mote__drafter *d)
{
    memset(d, 0, sizeof *d);
    for (int i = 0; i < 4; i++)
        d->accept[i] = i ? 0.5 : 0.7; /* what the report and peers observe at first */
    d->probe_left = PROBE_ROUNDS;
    d->wait = FIRST_WAIT;
}

/* Time of a pass with n rows; unmeasured ones are taken as growing by a tenth per row,
 * optimistic enough to be tried. */
static double pass_time(const mote__drafter *d, uint32_t n)
{
    if (d->pass_ns[n - 1] > 0)
        return d->pass_ns[n - 1];
    for (uint32_t i = n - 1; i > 0; i--)
        if (d->pass_ns[i - 1] > 0)
            return d->pass_ns[i - 1] * (1 + 0.1 * (n - i));
    return 1;
}

static double worth(const mote__drafter *d, uint32_t k)
{
    double tokens = 1, p = 1;
    for (uint32_t i = 0; i < k; i++) {
        p *= d->accept[i];
        tokens += p;
    }
    return tokens / (pass_time(d, k + 1) + k * d->draft_ns);
}

uint32_t mote__drafter_choose(mote__drafter *d, uint32_t max, int fixed)
{
    if (fixed || max == 0)
        return max;
    /* A plain pass must have been timed once, else there is nothing to compare with. */
    if (d->pass_ns[0] <= 0)
        return 0;
    uint32_t best = 0;
    for (uint32_t k = 1; k <= max; k++)
        if (worth(d, k) > worth(d, best) * 1.01)
            best = k;
    if (best > 0) {
        d->wait = FIRST_WAIT;
        d->rounds = 0;
        return best;
    }
    if (d->probe_left > 0) {
        d->probe_left--;
        return 1;
    }
    if (++d->rounds >= d->wait) {
        d->rounds = 0;
        d->probe_left = 2;
        d->wait = d->wait < LAST_WAIT ? d->wait * 2 : LAST_WAIT;
    }
    return 0;
}

static void learn(double *average, double value)
{
    *average = *average > 0 ? KEEP * *average + (1 - KEEP) * value : value;
}

void mote__drafter_learn(mote__drafter *d, uint32_t drafted, uint32_t accepted,
        uint64_t pass_ns, uint64_t draft_ns)
{
    learn(&d->pass_ns[drafted], (double)pass_ns);
    if (drafted)
        learn(&d->draft_ns, (double)draft_ns / drafted);
    for (uint32_t i = 0; i < drafted && i <= accepted; i++)
        d->accept[i] = KEEP * d->accept[i] + (1 - KEEP) * (i < accepted);
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
