/* SPDX-License-Identifier: MIT */
/* The loop of overhead.lua in C: overhead MODEL [ROUNDS]. */
#include <mote/mote.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int round_of(mote_model *model, mote_session *session, double *us)
{
    static const char text[] = "Once upon a time";
    int32_t ids[64];
    size_t n;
    unsigned tokens = 0;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    mote_piece piece = MOTE_PIECE_INIT;
    g.max_tokens = 200;
    g.ignore_eos = 1;
    clock_t before = clock();
    if (mote_tokenizer_encode(mote_model_tokenizer(model), text, strlen(text),
                MOTE_ENCODE_BOS, ids, 64, &n, NULL) < 0 ||
            mote_session_prompt(session, ids, n, NULL) < 0 ||
            mote_session_generate(session, &g, NULL, NULL) < 0)
        return -1;
    while (mote_session_next(session, &piece, NULL) == MOTE_OK)
        tokens += piece.n_tokens;
    *us = (double)(clock() - before) / CLOCKS_PER_SEC * 1e6 / (tokens ? tokens : 1);
    return 0;
}

int main(int argc, char **argv)
{
    mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    mote_model *model;
    mote_session *session;
    mote_error err;
    double best = 1e9, us;
    mo.n_threads = 1;
    so.draft = MOTE_DRAFT_OFF;
    if (argc < 2 || mote_model_open(&model, argv[1], &mo, &err) < 0 ||
            mote_session_open(&session, model, &so, &err) < 0)
        return 1;
    for (int i = 0; i < (argc > 2 ? atoi(argv[2]) : 20); i++) {
        if (round_of(model, session, &us) < 0)
            return 1;
        best = us < best ? us : best;
    }
    printf("%-20s %.2f us per token\n", "C", best);
    mote_session_close(session);
    mote_model_close(model);
    return 0;
}
