/* SPDX-License-Identifier: MIT */
/* Continuous batching: one pass over the weights advances many sessions. A row's bits
 * do not depend on its neighbours, so each session gets what it would have got alone.
 */
#include "base/status.h"
#include "session/guard.h"
#include "session/round.h"

enum { ROWS_MAX = 64 }; /* of one pass */

/* Where the next session's error goes: the first one's sentence stays. */
static mote_error *unless_told(mote_error *err)
{
    return err && err->status < 0 ? NULL : err;
}

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
    mote_status st = mote__model_intact(m, err);
    if (st < 0)
        return st;
    /* the form of decoding, however many rows */
    st = mote__forward(&m->net, m->pool, lead->work, &p, err);
    if (st < 0)
        return st;
    for (uint32_t b = 0; b < n; b += MOTE__HEAD_ROWS) {
        uint32_t k = n - b < MOTE__HEAD_ROWS ? n - b : MOTE__HEAD_ROWS;
        const float *states[MOTE__HEAD_ROWS];
        for (uint32_t i = 0; i < k; i++)
            states[i] = mote__work_out(lead->work) + (size_t)(b + i) * hidden;
        mote__head(&m->net, m->pool, lead->work, states, k, p.form, p.form_int,
                lead->logits, vocab);
        for (uint32_t i = 0; i < k; i++)
            statuses[which[b + i]] = mote__round_end(sessions[which[b + i]], states[i],
                    lead->logits + (size_t)i * vocab, unless_told(err));
    }
    return MOTE_OK;
}

/* Pieces lie as far apart as the caller's header says, which may be older or newer. */
static mote_piece *piece_at(mote_piece *pieces, uint32_t i)
{
    return (mote_piece *)(void *)((char *)pieces + (size_t)i * pieces->struct_size);
}

static mote_status check(
        mote_session *const *sessions, uint32_t n, mote_piece *pieces, mote_error *err)
{
    if (!mote__sized(pieces->struct_size, 16) ||
            pieces->struct_size % _Alignof(mote_piece))
        return mote__fail(err, MOTE_E_INVALID, "piece 0: struct_size is not set");
    mote_status st = MOTE_OK;
    uint32_t marked = 0;
    for (; marked < n; marked++) {
        mote_session *s = sessions[marked];
        if (!s || s->model != sessions[0]->model)
            st = mote__fail(err, MOTE_E_INVALID,
                    "session %u: expected one of the same model", marked);
        else if (piece_at(pieces, marked)->struct_size != pieces->struct_size)
            st = mote__fail(err, MOTE_E_INVALID,
                    "piece %u: expected the struct_size of piece 0 (%u), found %u",
                    marked, pieces->struct_size, piece_at(pieces, marked)->struct_size);
        else if (s->batch_mark)
            st = mote__fail(err, MOTE_E_INVALID, "session %u is the same as %u", marked,
                    s->batch_mark - 1);
        if (st < 0)
            break;
        s->batch_mark = marked + 1;
    }
    while (marked > 0)
        sessions[--marked]->batch_mark = 0;
    return st;
}

/* Sessions from *first on, of one cache type and form, as many as one pass can take. */
static void step(mote_session *const *sessions, uint32_t n_sessions, uint32_t *first,
        uint32_t kv_type, uint32_t form, mote_status *statuses, mote_error *err)
{
    uint32_t which[ROWS_MAX], n = 0, lead = 0, max = ROWS_MAX;
    for (; *first < n_sessions && n < max; ++*first) {
        mote_session *s = sessions[*first];
        int needs_row = 0;
        if (!s->gen.active || s->kv.type != kv_type || mote__session_form(s) != form)
            continue;
        statuses[*first] = mote__round_begin(s, &needs_row, unless_told(err));
        if (statuses[*first] < 0 || !needs_row)
            continue;
        /* any of them may lead: its buffers serve the pass */
        uint32_t rows = mote__work_rows(s->work);
        if (n == 0 || rows > max) {
            lead = n;
            max = rows < ROWS_MAX ? rows : ROWS_MAX;
        }
        which[n++] = *first;
    }
    if (!n)
        return;
    uint32_t t = which[0];
    which[0] = which[lead];
    which[lead] = t;
    mote_status st = advance(sessions, which, n, statuses, unless_told(err));
    for (uint32_t i = 0; st < 0 && i < n; i++)
        statuses[which[i]] = st;
}

static mote_status next_batch(mote_session *const *sessions, uint32_t n_sessions,
        mote_piece *pieces, mote_status *statuses, mote_error *err)
{
    mote__clear(err);
    uint64_t start = mote__now_ns();
    for (uint32_t i = 0; i < n_sessions; i++)
        statuses[i] = MOTE_OK;
    for (uint32_t type = 0; type < MOTE_K_KVS; type++)
        for (uint32_t form = 0; form < MOTE_K_ACTS; form++)
            for (uint32_t first = 0; first < n_sessions;)
                step(sessions, n_sessions, &first, type, form, statuses, err);
    uint32_t going = 0;
    mote_status failed = MOTE_OK;
    for (uint32_t i = 0; i < n_sessions; i++) {
        if (statuses[i] >= 0)
            statuses[i] = mote__round_deliver(
                    sessions[i], piece_at(pieces, i), unless_told(err));
        if (statuses[i] < 0)
            failed = statuses[i];
        going += statuses[i] == MOTE_OK;
    }
    uint64_t spent = mote__now_ns() - start;
    for (uint32_t i = 0; i < n_sessions; i++)
        sessions[i]->stats.generate_ns += spent / n_sessions;
    return going ? MOTE_OK : failed < 0 ? failed : MOTE_DONE;
}

mote_status mote_session_next_batch(mote_session *const *sessions, uint32_t n_sessions,
        mote_piece *pieces, mote_status *statuses, mote_error *err)
{
    if (!n_sessions)
        return MOTE_DONE;
    if (!sessions || !pieces || !statuses)
        return mote__fail(
                err, MOTE_E_INVALID, "expected sessions, pieces and statuses");
    mote_status st = check(sessions, n_sessions, pieces, err);
    if (st < 0)
        return st;
    uint32_t inside = 0;
    while (inside < n_sessions && st >= 0) {
        st = mote__session_enter(sessions[inside], err);
        inside += st >= 0;
    }
    if (st >= 0)
        st = next_batch(sessions, n_sessions, pieces, statuses, err);
    while (inside)
        (void)mote__session_leave(sessions[--inside], MOTE_OK);
    return st;
}
