/* SPDX-License-Identifier: MIT */
/* A program as someone may have compiled it long ago: program MODEL. check_versions.py
 * builds it with the headers of the stored baseline and of a made-up later version, and
 * runs each with each library. What it prints must not depend on the library. It exits
 * with 3 where the library wrote past a struct.
 *
 * Compiled with NEXT=1 (the later header) it also knows fields that are appended there:
 * "program MODEL tails" sets them, one struct at a time, and prints what it was told;
 * with NEXT=2 it calls a function that is new there. */
#include <mote/mote.h>

#include <stdio.h>
#include <string.h>

static int overrun;

/* Result structs lie between bytes that nobody else may touch. */
#define GUARDED(type, name)                                                            \
    struct {                                                                           \
        type v;                                                                        \
        unsigned char after[256];                                                      \
    } name;                                                                            \
    memset(&name, 0xA5, sizeof name);                                                  \
    memset(&name.v, 0, sizeof name.v);                                                 \
    name.v.struct_size = sizeof name.v
#define CHECK(name)                                                                    \
    for (size_t i = 0; i < sizeof name.after; i++)                                     \
        if (name.after[i] != 0xA5)                                                     \
    overrun = 1

static int say(const char *what, mote_status st, const mote_error *err)
{
    printf("%s: %s%s%s\n", what, mote_status_name(st), st < 0 ? ": " : "",
            st < 0 ? err->message : "");
    return st < 0;
}

#if NEXT
static int tails(const char *path)
{
    mote_error err;
    mote_model *model;
    mote_session *session;
    mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    mote_sampler_options sa = MOTE_SAMPLER_OPTIONS_INIT;
    mote_generate_options ge = MOTE_GENERATE_OPTIONS_INIT;
    mote_pack_options pa = MOTE_PACK_OPTIONS_INIT;
    int32_t token = 1;
    mo.next_option = so.next_option = sa.next_option = ge.next_option = 5;
    pa.next_option = 5;
    say("model", mote_model_open(&model, path, &mo, &err), &err);
    mote_model_close(model);
    if (mote_model_open(&model, path, NULL, &err) < 0)
        return 1;
    say("session", mote_session_open(&session, model, &so, &err), &err);
    mote_session_close(session);
    if (mote_session_open(&session, model, NULL, &err) < 0 ||
            mote_session_prompt(session, &token, 1, &err) < 0)
        return 1;
    say("sampler", mote_session_sample(session, &sa, &token, &err), &err);
    say("generate", mote_session_generate(session, &ge, NULL, &err), &err);
    /* the options are looked at first */
    say("pack", mote_pack_write("/nowhere", "/nowhere/pack", &pa, &err), &err);
    say("text",
            mote_options_set_text(MOTE_OPTIONS_MODEL, &mo, "next_option", "3", &err),
            &err);
    mote_session_close(session);
    mote_model_close(model);
    return 0;
}
#endif

/* Two sessions at once: pieces lie in an array of this program's stride. */
static mote_status together(mote_session **sessions, mote_error *err)
{
    mote_piece pieces[3];
    mote_status statuses[2], st;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    unsigned n[2] = {0, 0};
    g.max_tokens = 8;
    memset(pieces, 0xA5, sizeof pieces);
    for (int i = 0; i < 2; i++) {
        memset(&pieces[i], 0, sizeof pieces[i]);
        pieces[i].struct_size = sizeof pieces[i];
        if ((st = mote_session_generate(sessions[i], &g, NULL, err)) < 0)
            return st;
    }
    while ((st = mote_session_next_batch(sessions, 2, pieces, statuses, err)) ==
            MOTE_OK)
        for (int i = 0; i < 2; i++)
            if (statuses[i] == MOTE_OK)
                n[i] += pieces[i].n_tokens;
    for (size_t i = 0; i < sizeof *pieces; i++)
        if (((unsigned char *)&pieces[2])[i] != 0xA5)
            overrun = 1;
    printf("together: %u and %u tokens\n", n[0], n[1]);
    return st;
}

int main(int argc, char **argv)
{
    static const char prompt[] = "Once upon a time";
    static char snapshot[1 << 22];
    const char *stops[] = {"Lily", "zebra"};
    mote_error err = {0};
    mote_model *model = NULL;
    mote_session *s[2] = {NULL, NULL};
    mote_schema *schema = NULL;
    mote_status st = MOTE_OK;
    int32_t ids[64];
    size_t n = 0, length = 0;
    mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    mote_sampler_options sampler = MOTE_SAMPLER_OPTIONS_INIT;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    GUARDED(mote_model_info, info);
    GUARDED(mote_stream_stats, stream);
    GUARDED(mote_session_stats, stats);
    GUARDED(mote_piece, piece);
    if (argc < 2)
        return 2;
#if NEXT
    if (argc > 2)
        return tails(argv[1]);
#endif
#if NEXT == 2
    printf("next: %u\n", mote_next_function());
#endif
    if (mote_version_number() < MOTE_VERSION_NUMBER)
        fprintf(stderr,
                "this program was made for mote %d.%d or later, and runs with %s\n",
                MOTE_VERSION_MAJOR, MOTE_VERSION_MINOR, mote_version_string());
    mo.n_threads = 1;
    so.context_tokens = 64;
    if ((st = mote_options_set_text(
                 MOTE_OPTIONS_SESSION, &so, "kv_type", "bf16", &err)) < 0 ||
            (st = mote_options_set_text(
                     MOTE_OPTIONS_SAMPLER, &sampler, "temperature", "0.7", &err)) < 0 ||
            (st = mote_model_open(&model, argv[1], &mo, &err)) < 0 ||
            (st = mote_model_get_info(model, &info.v, &err)) < 0 ||
            (st = mote_model_stream_stats(model, &stream.v, &err)) < 0 ||
            (st = mote_tokenizer_encode(mote_model_tokenizer(model), prompt,
                     strlen(prompt), MOTE_ENCODE_BOS, ids, 64, &n, &err)) < 0)
        goto out;
    CHECK(info);
    CHECK(stream);
    printf("%u layers, fingerprint %llx, kv %llu\n", info.v.num_hidden_layers,
            (unsigned long long)info.v.fingerprint,
            (unsigned long long)info.v.kv_bytes_per_token_bf16);
    for (int i = 0; i < 2; i++)
        if ((st = mote_session_open(&s[i], model, &so, &err)) < 0 ||
                (st = mote_session_prompt(s[i], ids, n, &err)) < 0)
            goto out;
    g.max_tokens = 20;
    g.n_stop = 2;
    g.stop = stops;
    if ((st = mote_session_generate(s[0], &g, NULL, &err)) < 0)
        goto out;
    while ((st = mote_session_next(s[0], &piece.v, &err)) == MOTE_OK) {
        CHECK(piece);
        fwrite(piece.v.text, 1, piece.v.n_bytes, stdout);
        if (piece.v.stop)
            printf("\nstop %u\n", piece.v.stop);
    }
    if (st < 0 || (st = mote_session_get_stats(s[0], &stats.v, &err)) < 0)
        goto out;
    CHECK(stats);
    printf("%llu generated\n", (unsigned long long)stats.v.generated_tokens);
    if ((st = mote_session_save(s[0], snapshot, sizeof snapshot, &length, &err)) < 0 ||
            (st = mote_session_load(s[1], snapshot, length, &err)) < 0 ||
            (st = together(s, &err)) < 0)
        goto out;
    if ((st = mote_schema_open(
                 &schema, mote_model_tokenizer(model), "{\"enum\":[7]}", 12, &err)) < 0)
        goto out;
    g.schema = schema;
    g.n_stop = 0;
    if ((st = mote_session_prompt(s[1], ids, n, &err)) < 0 ||
            (st = mote_session_generate(s[1], &g, &sampler, &err)) < 0)
        goto out;
    while ((st = mote_session_next(s[1], &piece.v, &err)) == MOTE_OK)
        fwrite(piece.v.text, 1, piece.v.n_bytes, stdout);
    printf("\n");
    sampler.temperature = -1;
    say("wrong", mote_session_generate(s[1], &g, &sampler, &err), &err);
    say("long", mote_session_eval(s[1], ids, 1000000, &err), &err);
    g.struct_size = 3;
    say("small", mote_session_generate(s[1], &g, NULL, &err), &err);
out:
    if (st < 0)
        say("failed", st, &err);
    mote_session_close(s[0]);
    mote_session_close(s[1]);
    mote_schema_close(schema);
    mote_model_close(model);
    return st < 0 ? 1 : overrun ? 3 : 0;
}
