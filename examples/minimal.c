/* SPDX-License-Identifier: MIT */
/* The least that writes text: minimal MODEL "Once upon a time"
 * cc minimal.c $(pkg-config --cflags --libs mote) */
#include <mote/mote.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    mote_error err = {0};
    mote_model *model = NULL;
    mote_session *session = NULL;
    mote_generate_options options = MOTE_GENERATE_OPTIONS_INIT;
    mote_piece piece = MOTE_PIECE_INIT;
    int32_t tokens[256];
    size_t n = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: minimal MODEL PROMPT\n");
        return 2;
    }
    if (mote_model_open(&model, argv[1], NULL, &err) < 0)
        goto failed;
    if (mote_tokenizer_encode(mote_model_tokenizer(model), argv[2], strlen(argv[2]),
                MOTE_ENCODE_BOS, tokens, 256, &n, &err) < 0)
        goto failed;
    if (n > 256) {
        fprintf(stderr, "the prompt has %zu tokens, this example has room for 256\n",
                n);
        goto out;
    }
    if (mote_session_open(&session, model, NULL, &err) < 0 ||
            mote_session_prompt(session, tokens, n, &err) < 0)
        goto failed;

    options.max_tokens = 100;
    if (mote_session_generate(session, &options, NULL, &err) < 0)
        goto failed;
    fputs(argv[2], stdout);
    while (mote_session_next(session, &piece, &err) == MOTE_OK)
        fwrite(piece.text, 1, piece.n_bytes, stdout);
    putchar('\n');
    if (err.status >= 0)
        goto out;
failed:
    fprintf(stderr, "%s: %s\n", mote_status_name(err.status), err.message);
out:
    mote_session_close(session);
    mote_model_close(model);
    return err.status < 0 || n > 256;
}
