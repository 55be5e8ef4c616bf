/* SPDX-License-Identifier: MIT */
/* Decodes, and marks the steady part with two calls of getppid(): for check_steady.sh,
 * which counts the system calls in between. */
#include "mote/mote.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fail(const mote_error *e)
{
    fprintf(stderr, "%s\n", e->message);
    return 1;
}

int main(int argc, char **argv)
{
    mote_error e;
    mote_model *m;
    mote_session *s;
    mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_sampler_options so = MOTE_SAMPLER_OPTIONS_INIT;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    int32_t ids[] = {0, 930, 745, 273, 400};
    if (argc != 3)
        return 2;
    mo.n_threads = 2;
    o.draft = (uint32_t)atoi(argv[2]);
    so.temperature = 1;
    g.ignore_eos = 1;
    if (mote_model_open(&m, argv[1], &mo, &e) < 0 ||
            mote_session_open(&s, m, &o, &e) < 0 ||
            mote_session_eval(s, ids, sizeof ids / sizeof *ids, &e) < 0 ||
            mote_session_generate(s, &g, &so, &e) < 0)
        return fail(&e);
    for (int i = 0; i < 300; i++) {
        mote_piece p = MOTE_PIECE_INIT;
        if (i == 50 || i == 299)
            (void)getppid();
        if (mote_session_next(s, &p, &e) < 0)
            return fail(&e);
    }
    mote_session_close(s);
    mote_model_close(m);
    return 0;
}
