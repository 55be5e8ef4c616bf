/* SPDX-License-Identifier: MIT */
/* The loop that bindings are compared with: overhead MODEL. For every line read from
 * stdin it generates 200 tokens on one thread and prints the processor's nanoseconds
 * per token. overhead.py and overhead.lua are the same; compare.py runs them in turns.
 */
#include <mote/mote.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int round_of(mote_model *model, mote_session *session, mote_error *err)
{
    static const char text[] = "Once upon a time";
    int32_t ids[64];
    size_t n, bytes = 0;
    unsigned tokens = 0;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    mote_piece piece = MOTE_PIECE_INIT;
    mote_status st;
    g.max_tokens = 200;
    g.ignore_eos = 1;
    double before = now_ns();
    if (mote_tokenizer_encode(mote_model_tokenizer(model), text, strlen(text),
                MOTE_ENCODE_BOS, ids, 64, &n, err) < 0 ||
            mote_session_prompt(session, ids, n, err) < 0 ||
            mote_session_generate(session, &g, NULL, err) < 0)
        return -1;
    while ((st = mote_session_next(session, &piece, err)) == MOTE_OK) {
        tokens += piece.n_tokens;
        bytes += piece.n_bytes;
    }
    if (st < 0)
        return -1;
    printf("%.0f %zu\n", (now_ns() - before) / (tokens ? tokens : 1), bytes);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    char line[16];
    mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    mote_model *model = NULL;
    mote_session *session = NULL;
    mote_error err = {0};
    mo.n_threads = 1;
    so.draft = MOTE_DRAFT_OFF;
    if (argc < 2)
        return 2;
    if (mote_model_open(&model, argv[1], &mo, &err) == MOTE_OK &&
            mote_session_open(&session, model, &so, &err) == MOTE_OK)
        while (fgets(line, sizeof line, stdin) && round_of(model, session, &err) == 0)
            ;
    if (err.status < 0)
        fprintf(stderr, "%s\n", err.message);
    mote_session_close(session);
    mote_model_close(model);
    return err.status < 0;
}
