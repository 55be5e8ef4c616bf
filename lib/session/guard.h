/* SPDX-License-Identifier: MIT */
/* A session belongs to one thread at a time. Debug builds notice when a second call
 * comes while one is inside, and refuse it instead of corrupting the session; release
 * builds do not look. Callbacks are inside a call as well: a session must not be used
 * from its own progress function. mote_session_reset(), which has no status, does
 * nothing then. Reading a position or a token is not looked at. */
#ifndef MOTE_SESSION_GUARD_H
#define MOTE_SESSION_GUARD_H
#include "base/status.h"
#include "session/session.h"

#ifndef NDEBUG
static inline mote_status mote__session_enter(mote_session *s, mote_error *err)
{
    if (s && atomic_exchange_explicit(&s->busy, 1, memory_order_acquire))
        return mote__fail(err, MOTE_E_INVALID,
                "the session is in use by another thread, or by the call whose "
                "callback "
                "this is");
    return MOTE_OK;
}
static inline mote_status mote__session_leave(mote_session *s, mote_status st)
{
    if (s)
        atomic_store_explicit(&s->busy, 0, memory_order_release);
    return st;
}
#else
static inline mote_status mote__session_enter(mote_session *s, mote_error *err)
{
    (void)s;
    (void)err;
    return MOTE_OK;
}
static inline mote_status mote__session_leave(mote_session *s, mote_status st)
{
    (void)s;
    return st;
}
#endif

/* Return what `call` gives, unless a call on this session is running. */
#define MOTE__GUARDED(s, err, call)                                                    \
    do {                                                                               \
        mote_status guard_st = mote__session_enter(s, err);                            \
        return guard_st < 0 ? guard_st : mote__session_leave(s, call);                 \
    } while (0)
#endif
