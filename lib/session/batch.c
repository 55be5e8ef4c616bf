/* SPDX-License-Identifier: MIT */
/* Continuous batching: one pass over the weights advances many sessions. A row's bits
 * do not depend on its neighbours, so each session gets what it would have got alone.
 */
#include "base/status.h"
#include "session/round.h"

static mote_status advance(mote_session *const *sessions, const uint32_t *which,
        uint32_t n, mote_status *statuses, mote_error *err)
{
    mote_session *lead = sessions[which[0]];
    const mote_model *m = lead->model;
    uint32_t vocab = m->net.config.vocab_size, hidden = m->net.config.hidden_size;
    for (uint32_t i = 0; i < n; i++) {
        mote_session *s = sessions[which[i]];
        lead->rows[i] = (mote__row){s->tokens[s->n_eval], s->n_eval, s->kv.layers};
    }
    mote__pass p = mote__session_pass(lead, n);
    p.form = MOTE_K_ACT_EXACT; /* decoding is exact however many rows */
    p.form_int = MOTE_K_ACT_EXACT;
    mote_status st = mote__forward(&m->net, m->pool, lead->work, &p, err);
    if (st < 0)
        return st;
    /* logits of a few rows at a time: the lead's buffer has room for DRAFT_MAX + 1 */
    for (uint32_t b = 0; b < n; b += MOTE__DRAFT_MAX + 1) {
        uint32_t k = n - b < MOTE__DRAFT_MAX + 1 ? n - b : MOTE__DRAFT_MAX + 1;
        for (uint32_t i = 0; i < k; i++)
            lead->states[i] = mote__work_out(lead->work) + (size_t)(b + i) * hidden;
        mote__head(&m->net, m->pool, lead->work, lead->states, k, MOTE_K_ACT_EXACT,
                MOTE_K_ACT_EXACT, lead->logits, vocab);
        for (uint32_t i = 0; i < k; i++)
            statuses[which[b + i]] = mote__round_end(sessions[which[b + i]],
                    lead->states[i], lead->logits + (size_t)i * vocab, err);
    }
    return MOTE_OK;
}

mote_status mote_session_next_batch(mote_session *const *sessions, uint32_t n_sessions,
        mote_piece *pieces, mote_status *statuses, mote_error *err)
{
    if (!n_sessions)
        return MOTE_DONE;
    if (!sessions || !pieces || !statuses)
        return mote__fail(
                err, MOTE_E_INVALID, "expected sessions, pieces and statuses");
    for (uint32_t i = 0; i < n_sessions; i++) {
        if (!sessions[i] || sessions[i]->model != sessions[0]->model)
            return mote__fail(err, MOTE_E_INVALID,
                    "session %u: expected one of the same model", i);
        if (pieces[i].struct_size < 16)
            return mote__fail(
                    err, MOTE_E_INVALID, "piece %u: struct_size is not set", i);
        for (uint32_t j = 0; j < i; j++)
            if (sessions[i] == sessions[j])
                return mote__fail(
                        err, MOTE_E_INVALID, "session %u is the same as %u", i, j);
    }
    uint32_t which[64], going = 0;
    uint64_t start = mote__now_ns();
    mote_status failed = MOTE_OK;
    for (uint32_t first = 0; first < n_sessions;) {
        uint32_t n = 0, max = mote__work_rows(sessions[first]->work);
        max = max < 64 ? max : 64;
        uint32_t begin = first;
        for (; first < n_sessions && n < max; first++) {
            int needs_row = 0;
            statuses[first] = MOTE_OK;
            if (sessions[first]->gen.active)
                statuses[first] = mote__round_begin(sessions[first], &needs_row, err);
            if (statuses[first] >= 0 && needs_row)
                which[n++] = first;
        }
        if (n) {
            /* any of them may lead: its buffers serve the pass */
            uint32_t lead = 0;
            for (uint32_t i = 1; i < n; i++)
                if (mote__work_rows(sessions[which[i]]->work) >
                        mote__work_rows(sessions[which[lead]]->work))
                    lead = i;
            uint32_t t = which[0];
            which[0] = which[lead];
            which[lead] = t;
            mote_status st = advance(sessions, which, n, statuses, err);
            for (uint32_t i = 0; st < 0 && i < n; i++)
                statuses[which[i]] = st;
        }
        for (uint32_t i = begin; i < first; i++) {
            if (statuses[i] >= 0)
                statuses[i] = mote__round_deliver(sessions[i], &pieces[i], err);
            if (statuses[i] < 0)
                failed = statuses[i];
            going += statuses[i] == MOTE_OK;
        }
    }
    for (uint32_t i = 0; i < n_sessions; i++)
        sessions[i]->stats.generate_ns += (mote__now_ns() - start) / n_sessions;
    return going ? MOTE_OK : failed < 0 ? failed : MOTE_DONE;
}
