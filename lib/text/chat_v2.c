/* SPDX-License-Identifier: MIT */
/* DeepSeek-V2's format: roles as plain words. */
#include "chat_format.h"

mote_status mote__chat_render_v2(const void *dialect, const mote__chat_input *input,
        mote__chat_out *out, mote_error *err)
{
    mote_status st;
    size_t i = 0;
    (void)dialect;
    mote__chat_literal(out, "<｜begin▁of▁sentence｜>");
    for (const mote__json *m = input->messages->first; m; m = m->next, i++) {
        const mote__json *role = mote__json_get(m, "role");
        int user = mote__json_equals(role, "user");
        int assistant = mote__json_equals(role, "assistant");
        if (!user && !assistant && !mote__json_equals(role, "system"))
            continue; /* other roles are passed over, as the template does */
        if (user)
            mote__chat_literal(out, "User: ");
        if (assistant)
            mote__chat_literal(out, "Assistant: ");
        if ((st = mote__chat_put_string(
                     out, mote__json_get(m, "content"), i, "content", err)) < 0)
            return st;
        mote__chat_literal(out, assistant ? "<｜end▁of▁sentence｜>" : "\n\n");
    }
    if (input->flags & MOTE_CHAT_GENERATE)
        mote__chat_literal(out, "Assistant:");
    return MOTE_OK;
}
