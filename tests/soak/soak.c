/* SPDX-License-Identifier: MIT */
/* Load for as long as one likes: each thread has a session of one model and does what
 * applications do, at random (prompt, generate, be cancelled from outside, fork,
 * rewind, save and load, close and open again), and every token is compared with a run
 * that was recorded before. Memory and file descriptors are watched.
 *
 *     soak MODEL SECONDS SESSIONS [SEED [RECORD]]
 *
 * RECORD is a file: written when absent, compared with the recorded run when present,
 * so that two builds can be held against each other. */
#include "mote/mote.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROMPTS = 6, WAYS = 4, LENGTH = 64, PROMPT_MAX = 32, SESSIONS_MAX = 32 };

/* What the recorded run holds: one continuation for each prompt and way. */
typedef struct record {
    int32_t prompt[PROMPTS][PROMPT_MAX];
    uint32_t n_prompt[PROMPTS];
    int32_t ids[WAYS][PROMPTS][LENGTH];
} record;

/* A way to run: cache, drafting, sampling. Greedy output is the same with any drafts.
 */
static const struct way {
    uint32_t kv_type, draft, draft_tokens;
    float temperature;
} ways[WAYS] = {
        {MOTE_KV_F32, MOTE_DRAFT_MTP, 2, 0},
        {MOTE_KV_BF16, MOTE_DRAFT_NGRAM, 3, 0},
        {MOTE_KV_FP8, MOTE_DRAFT_AUTO, 0, 0},
        {MOTE_KV_F32, MOTE_DRAFT_OFF, 0, 0.8f},
};

enum op {
    OP_START,
    OP_GO_ON,
    OP_FORK,
    OP_REWIND,
    OP_SNAPSHOT,
    OP_REOPEN,
    OP_RESET,
    OPS
};
static const char *const op_names[OPS] = {"prompts", "continuations", "forks",
        "rewinds", "snapshots", "openings", "resets"};

typedef struct soak {
    mote_model *model;
    record recorded;
    atomic_int stop;
    atomic_ulong done[OPS], cancelled, tokens;
} soak;

typedef struct worker {
    soak *all;
    uint64_t random;
    uint32_t way, prompt, n; /* tokens after the prompt; n is 0 without a prompt too */
    int prompted;
    mote_session *session;
    pthread_mutex_t lock; /* the session may be cancelled while this is free to take */
    pthread_t thread;
} worker;

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 33) % below;
}

static void broken(const char *what, const mote_error *e)
{
    fprintf(stderr, "soak: %s%s%s\n", what, e ? ": " : "", e ? e->message : "");
    abort();
}

static mote_session *open_session(mote_model *model, uint32_t way)
{
    mote_error e;
    mote_session *s;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    o.context_tokens = PROMPT_MAX + LENGTH + 8;
    o.prefill_tokens = 8;
    o.kv_type = ways[way].kv_type;
    o.draft = ways[way].draft;
    o.draft_tokens = ways[way].draft_tokens;
    if (mote_session_open(&s, model, &o, &e) < 0)
        broken("open", &e);
    return s;
}

/* A session is replaced or closed only where nobody cancels it. */
static void replace(worker *w, mote_session *s)
{
    mote_session *old = w->session;
    pthread_mutex_lock(&w->lock);
    w->session = s;
    pthread_mutex_unlock(&w->lock);
    mote_session_close(old);
}

static int again(worker *w, mote_status st, const mote_error *e, const char *what)
{
    if (st >= 0)
        return 0;
    if (st != MOTE_E_CANCELLED)
        broken(what, e);
    atomic_fetch_add(&w->all->cancelled, 1);
    return 1;
}

/* The recorded tokens from n on, at most `most` of them; all are checked. */
static void generate(worker *w, uint32_t most, int go_on)
{
    mote_error e;
    mote_status st;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    mote_sampler_options so = MOTE_SAMPLER_OPTIONS_INIT;
    const int32_t *expected = w->all->recorded.ids[w->way][w->prompt];
    if (w->n + most > LENGTH)
        most = LENGTH - w->n;
    if (!most)
        return;
    g.max_tokens = most;
    g.ignore_eos = 1;
    g.seed_from_state = go_on != 0;
    so.temperature = ways[w->way].temperature;
    so.seed = w->prompt + 1;
    if (mote_session_generate(w->session, &g, &so, &e) < 0)
        broken("generate", &e);
    for (;;) {
        mote_piece p = MOTE_PIECE_INIT;
        st = mote_session_next(w->session, &p, &e);
        if (again(w, st, &e, "next"))
            continue;
        if (st == MOTE_DONE)
            break;
        for (uint32_t i = 0; i < p.n_tokens; i++, w->n++)
            if (w->n >= LENGTH || p.tokens[i] != expected[w->n])
                broken("a token differs from the recorded run", NULL);
        atomic_fetch_add(&w->all->tokens, p.n_tokens);
    }
}

static void prompt(worker *w)
{
    mote_error e;
    const record *r = &w->all->recorded;
    mote_status st;
    do
        st = mote_session_prompt(
                w->session, r->prompt[w->prompt], r->n_prompt[w->prompt], &e);
    while (again(w, st, &e, "prompt"));
    w->n = 0;
    w->prompted = 1;
}

static void fork_and_go_on(worker *w)
{
    mote_error e;
    mote_session *s = NULL;
    uint32_t n = w->n;
    mote_status st;
    do
        st = mote_session_fork(&s, w->session, &e);
    while (again(w, st, &e, "fork"));
    generate(w, 8, n != 0); /* the first overwrites what both hold ... */
    replace(w, s);
    w->n = n;
    generate(w, 8, n != 0); /* ... and the second gives the same */
}

static void rewind_and_go_on(worker *w)
{
    mote_error e;
    const record *r = &w->all->recorded;
    uint32_t to = draw(&w->random, r->n_prompt[w->prompt] + w->n) + 1;
    if (mote_session_rewind(w->session, to, &e) < 0)
        broken("rewind", &e);
    prompt(w);
    generate(w, 1 + draw(&w->random, 12), 0);
}

static void save_and_load(worker *w)
{
    mote_error e;
    size_t room = 0, size = 0;
    mote_status st;
    if (mote_session_save(w->session, NULL, 0, &room, &e) < 0)
        broken("save", &e);
    void *bytes = malloc(room);
    if (!bytes)
        broken("no memory", NULL);
    do
        st = mote_session_save(w->session, bytes, room, &size, &e);
    while (again(w, st, &e, "save"));
    replace(w, open_session(w->all->model, w->way));
    ((uint8_t *)bytes)[size / 2] ^= 1;
    do
        st = mote_session_load(w->session, bytes, size, &e);
    while (st == MOTE_E_CANCELLED);
    if (st >= 0)
        broken("a damaged snapshot was loaded", NULL);
    ((uint8_t *)bytes)[size / 2] ^= 1;
    do
        st = mote_session_load(w->session, bytes, size, &e);
    while (again(w, st, &e, "load"));
    free(bytes);
    if (w->prompted)
        generate(w, 8, w->n != 0);
}

static void step(worker *w, enum op op)
{
    switch (op) {
    case OP_START:
        w->prompt = draw(&w->random, PROMPTS);
        prompt(w);
        generate(w, 1 + draw(&w->random, LENGTH), 0);
        break;
    case OP_GO_ON:
        if (w->prompted)
            generate(w, 1 + draw(&w->random, 16), w->n != 0);
        break;
    case OP_FORK:
        if (w->prompted)
            fork_and_go_on(w);
        break;
    case OP_REWIND:
        if (w->prompted)
            rewind_and_go_on(w);
        break;
    case OP_SNAPSHOT:
        save_and_load(w);
        break;
    case OP_REOPEN:
        w->way = draw(&w->random, WAYS);
        replace(w, open_session(w->all->model, w->way));
        w->prompted = 0;
        w->n = 0;
        break;
    default:
        mote_session_reset(w->session);
        w->prompted = 0;
        w->n = 0;
    }
}

static void *work(void *user)
{
    worker *w = user;
    while (!atomic_load(&w->all->stop)) {
        enum op op = (enum op)draw(&w->random, OPS);
        step(w, op);
        atomic_fetch_add(&w->all->done[op], 1);
    }
    return NULL;
}

/* One continuation, alone, each in a session of its own. */
static void make_record(soak *all, record *r)
{
    static const char *const texts[PROMPTS] = {"Once upon a time", "The little dog",
            "One day, Lily went to the park", "There was a big tree",
            "\"Where are you?\" asked Tom", "In the morning"};
    mote_error e;
    for (uint32_t p = 0; p < PROMPTS; p++) {
        size_t n = 0;
        if (mote_tokenizer_encode(mote_model_tokenizer(all->model), texts[p],
                    strlen(texts[p]), MOTE_ENCODE_BOS, r->prompt[p], PROMPT_MAX, &n,
                    &e) < 0)
            broken("encode", &e);
        r->n_prompt[p] = (uint32_t)n;
        for (uint32_t way = 0; way < WAYS; way++) {
            mote_session *s = open_session(all->model, way);
            mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
            mote_sampler_options so = MOTE_SAMPLER_OPTIONS_INIT;
            uint32_t got = 0;
            mote_status st = MOTE_OK;
            g.max_tokens = LENGTH;
            g.ignore_eos = 1;
            so.temperature = ways[way].temperature;
            so.seed = p + 1;
            if (mote_session_eval(s, r->prompt[p], n, &e) < 0 ||
                    mote_session_generate(s, &g, &so, &e) < 0)
                broken("record", &e);
            while (st == MOTE_OK) {
                mote_piece piece = MOTE_PIECE_INIT;
                st = mote_session_next(s, &piece, &e);
                if (st < 0 || piece.n_tokens > LENGTH - got)
                    broken("record", st < 0 ? &e : NULL);
                for (uint32_t i = 0; i < piece.n_tokens; i++)
                    r->ids[way][p][got++] = piece.tokens[i];
            }
            if (got != LENGTH)
                broken("the recorded run is too short", NULL);
            mote_session_close(s);
        }
    }
}

static void against_file(const record *r, const char *path)
{
    static record other;
    FILE *f = fopen(path, "rb");
    if (f) {
        if (fread(&other, sizeof other, 1, f) != 1 || memcmp(&other, r, sizeof other))
            broken("this build's run differs from the recorded file", NULL);
    } else {
        f = fopen(path, "wb");
        if (!f || fwrite(r, sizeof *r, 1, f) != 1)
            broken("cannot write the record", NULL);
    }
    fclose(f);
}

static long resident_kb(void)
{
    long pages = 0, all = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%ld %ld", &all, &pages) != 2)
            pages = 0;
        fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static soak all;
    static worker workers[SESSIONS_MAX];
    mote_error e;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    if (argc < 4)
        return fprintf(stderr, "usage: soak MODEL SECONDS SESSIONS [SEED [RECORD]]\n"),
               2;
    double seconds = atof(argv[2]);
    uint32_t n = (uint32_t)atoi(argv[3]);
    uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    if (seconds <= 0 || n < 1 || n > SESSIONS_MAX)
        return fprintf(stderr, "soak: seconds > 0, 1 to %d sessions\n", SESSIONS_MAX),
               2;
    o.n_threads = 2;
    if (mote_model_open(&all.model, argv[1], &o, &e) < 0)
        broken("open", &e);
    make_record(&all, &all.recorded);
    if (argc > 5)
        against_file(&all.recorded, argv[5]);
    for (uint32_t i = 0; i < n; i++) {
        worker *w = &workers[i];
        w->all = &all;
        w->random = (seed + i) * 0x9E3779B97F4A7C15u | 1;
        w->way = i % WAYS;
        w->session = open_session(all.model, w->way);
        pthread_mutex_init(&w->lock, NULL);
        if (pthread_create(&w->thread, NULL, work, w))
            broken("cannot start a thread", NULL);
    }
    /* After a sixth of the time, memory should not grow any more. */
    double start = now();
    uint64_t random = seed * 77 + 5;
    long warm = 0, most = 0;
    int fds = 0, most_fds = 0;
    while (now() - start < seconds) {
        struct timespec pause = {0, 20000000};
        nanosleep(&pause, NULL);
        worker *w = &workers[draw(&random, n)];
        pthread_mutex_lock(&w->lock);
        mote_session_cancel(w->session);
        pthread_mutex_unlock(&w->lock);
        long kb = resident_kb();
        int open_now = descriptors();
        if (now() - start < seconds / 6) {
            warm = kb > warm ? kb : warm;
            fds = open_now > fds ? open_now : fds;
        } else {
            most = kb > most ? kb : most;
            most_fds = open_now > most_fds ? open_now : most_fds;
        }
    }
    atomic_store(&all.stop, 1);
    for (uint32_t i = 0; i < n; i++) {
        pthread_join(workers[i].thread, NULL);
        mote_session_close(workers[i].session);
        pthread_mutex_destroy(&workers[i].lock);
    }
    mote_model_close(all.model);
    printf("%.0f s, %u sessions: %lu tokens as recorded, %lu calls cancelled", seconds,
            n, atomic_load(&all.tokens), atomic_load(&all.cancelled));
    for (int i = 0; i < OPS; i++)
        printf(", %lu %s", atomic_load(&all.done[i]), op_names[i]);
    printf("\nresident memory at most %ld KB in the first sixth, %ld KB after; "
           "descriptors "
           "%d and %d\n",
            warm, most, fds, most_fds);
    /* Sessions come and go: what is resident varies by a few of them. The first sixth
     * of a short run is too little to tell, the more so where a sanitizer keeps freed
     * memory. */
    if ((seconds >= 60 && most > warm + warm / 8 + 16384) || most_fds > fds)
        broken("memory or descriptors grew", NULL);
    return 0;
}
