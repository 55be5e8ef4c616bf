/* SPDX-License-Identifier: MIT */
/* The whole interface as a state machine: each byte chooses a call, right or wrong, on
 * a few sessions of a random tiny model. What a session must hold is kept beside it as
 * a plain list of tokens; the oracle is a fresh session in which that list is
 * evaluated: the best next token is the same, bit for bit in its logits. */
#include "fuzz_target.h"
#include "tiny_model.h"

#include "mote/mote.h"

#include <string.h>

enum { SESSIONS = 3, ROOM = 40, STEPS = 120, MODELS = 4 };

typedef struct actor {
    mote_session *session;
    int32_t tokens[ROOM + 8]; /* what it must hold */
    uint32_t n;
} actor;

typedef struct world {
    const uint8_t *data;
    size_t size, at;
    mote_model *model;
    mote_schema *schema;
    actor actors[SESSIONS];
    uint8_t *snapshot;
    size_t n_snapshot;
    actor saved; /* what the snapshot holds */
} world;

static uint32_t take(world *w, uint32_t below)
{
    return w->at < w->size ? w->data[w->at++] % below : 0;
}

/* A call that must succeed, or fail with one of two statuses and a sentence. */
static int went(mote_status st, const mote_error *e, mote_status a, mote_status b)
{
    FUZZ_CHECK(st >= 0 || ((st == a || st == b) && e->status == st && e->message[0]));
    return st >= 0;
}

static void check_tokens(const actor *a)
{
    FUZZ_CHECK(mote_session_position(a->session) == a->n);
    for (uint32_t i = 0; i < a->n; i++)
        FUZZ_CHECK(mote_session_token(a->session, i) == a->tokens[i]);
    FUZZ_CHECK(mote_session_token(a->session, a->n) == -1);
}

/* The same list in a fresh session gives the same logits. */
static void check_oracle(world *w, actor *a)
{
    static float found[TINY_VOCAB], expected[TINY_VOCAB];
    mote_session *s = NULL;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_error e;
    check_tokens(a);
    if (!a->n)
        return;
    o.context_tokens = ROOM;
    o.draft = MOTE_DRAFT_OFF;
    FUZZ_CHECK(mote_session_open(&s, w->model, &o, &e) == MOTE_OK);
    FUZZ_CHECK(mote_session_eval(s, a->tokens, a->n, &e) == MOTE_OK);
    mote_status st = mote_session_logits(s, a->n - 1, expected, TINY_VOCAB, &e);
    FUZZ_CHECK(st == MOTE_OK);
    st = mote_session_logits(a->session, a->n - 1, found, TINY_VOCAB, &e);
    FUZZ_CHECK(st == MOTE_OK);
    FUZZ_CHECK(memcmp(found, expected, sizeof found) == 0);
    mote_session_close(s);
}

static void open_session(world *w, actor *a)
{
    mote_error e;
    mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
    mote_session_close(a->session);
    a->n = 0;
    o.context_tokens = ROOM;
    o.prefill_tokens = 1 + take(w, 12);
    o.draft = take(w, 4);
    o.draft_tokens = take(w, 5);
    o.deterministic = take(w, 2);
    o.keep_tokens = take(w, 3);
    mote_status st = mote_session_open(&a->session, w->model, &o, &e);
    if (st == MOTE_E_UNSUPPORTED) { /* no module to draft with */
        FUZZ_CHECK(!a->session && o.draft == MOTE_DRAFT_MTP);
        o.draft = MOTE_DRAFT_OFF;
        st = mote_session_open(&a->session, w->model, &o, &e);
    }
    FUZZ_CHECK(st == MOTE_OK);
}

static void eval(world *w, actor *a, int prompt)
{
    mote_error e;
    int32_t ids[ROOM + 8];
    uint32_t n = take(w, ROOM + 8), start = take(w, 256);
    int bad = take(w, 16) == 15;
    for (uint32_t i = 0; i < n; i++)
        ids[i] = (int32_t)((start + i * 7) % TINY_VOCAB);
    if (prompt && a->n && n) /* of which the beginning is there already */
        memcpy(ids, a->tokens, (n < a->n ? n / 2 : a->n) * sizeof *ids);
    if (bad && n)
        ids[n - 1] = TINY_VOCAB;
    mote_status st = prompt ? mote_session_prompt(a->session, ids, n, &e)
                            : mote_session_eval(a->session, ids, n, &e);
    if (!went(st, &e, MOTE_E_CONTEXT_FULL, MOTE_E_INVALID))
        return;
    if (prompt)
        a->n = 0;
    FUZZ_CHECK(!(bad && n) && a->n + n <= ROOM);
    memcpy(a->tokens + a->n, ids, n * sizeof *ids);
    a->n += n;
}

static void begin(world *w, actor *a)
{
    static const char *const stops[] = {"e", "ab"};
    mote_error e;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    mote_sampler_options s = MOTE_SAMPLER_OPTIONS_INIT;
    uint32_t how = take(w, 64);
    g.max_tokens = take(w, 12);
    g.ignore_eos = how & 1;
    g.n_stop = how & 2;
    g.stop = stops;
    g.schema = how & 4 ? w->schema : NULL;
    g.format = how & 8 ? mote_chat_format_at(take(w, 14)) : NULL;
    g.think_tokens_max = how & 16 ? take(w, 4) : 0;
    g.starts_in_reasoning = how >> 5;
    s.temperature = (float)take(w, 3);
    s.top_k = take(w, 5);
    s.top_p = (float)take(w, 3) / 2;
    s.repetition_penalty = (float)take(w, 3);
    s.seed = take(w, 256);
    went(mote_session_generate(a->session, &g, &s, &e), &e, MOTE_E_INVALID,
            MOTE_E_UNSUPPORTED);
}

static void take_piece(actor *a, const mote_piece *p)
{
    FUZZ_CHECK(p->n_tokens <= ROOM - a->n);
    FUZZ_CHECK(p->text || !p->n_bytes);
    memcpy(a->tokens + a->n, p->tokens, p->n_tokens * sizeof *p->tokens);
    a->n += p->n_tokens;
}

static void next(world *w, actor *a)
{
    mote_error e;
    for (uint32_t n = 1 + take(w, 8); n; n--) {
        mote_piece p = MOTE_PIECE_INIT;
        mote_status st = mote_session_next(a->session, &p, &e);
        if (!went(st, &e, MOTE_E_CANCELLED, MOTE_E_NUMERIC) || st == MOTE_DONE)
            return;
        take_piece(a, &p);
    }
}

static void next_batch(world *w)
{
    mote_error e;
    mote_session *sessions[SESSIONS];
    mote_piece pieces[SESSIONS];
    mote_status each[SESSIONS];
    uint32_t n = 1 + take(w, SESSIONS), twice = take(w, 8) == 7;
    for (uint32_t i = 0; i < n; i++) {
        sessions[i] = w->actors[twice ? 0 : i].session;
        pieces[i] = (mote_piece)MOTE_PIECE_INIT;
        each[i] = MOTE_DONE;
    }
    mote_status st = mote_session_next_batch(sessions, n, pieces, each, &e);
    if (twice && n > 1) {
        FUZZ_CHECK(st == MOTE_E_INVALID);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        if (went(each[i], &e, MOTE_E_CANCELLED, MOTE_E_NUMERIC) && each[i] == MOTE_OK)
            take_piece(&w->actors[i], &pieces[i]);
}

static void save(world *w, actor *a)
{
    mote_error e;
    size_t room = 0, n = 0;
    FUZZ_CHECK(mote_session_save(a->session, NULL, 0, &room, &e) == MOTE_OK);
    free(w->snapshot);
    w->snapshot = malloc(room);
    FUZZ_CHECK(w->snapshot != NULL);
    w->n_snapshot = 0;
    mote_status st = mote_session_save(a->session, w->snapshot, room, &n, &e);
    if (!went(st, &e, MOTE_E_CANCELLED, MOTE_E_CANCELLED))
        return;
    FUZZ_CHECK(n <= room);
    w->n_snapshot = n;
    memcpy(w->saved.tokens, a->tokens, sizeof a->tokens);
    w->saved.n = a->n;
}

static void load(world *w, actor *a)
{
    mote_error e;
    size_t n = w->n_snapshot;
    if (!w->snapshot || !n)
        return;
    uint32_t damage = take(w, 4);
    size_t where = take(w, 256) * n / 256;
    if (damage == 1)
        w->snapshot[where] ^= 0x40;
    mote_status st =
            mote_session_load(a->session, w->snapshot, damage == 2 ? where : n, &e);
    if (damage == 1)
        w->snapshot[where] ^= 0x40;
    if (st < 0) {
        FUZZ_CHECK(damage == 1 || damage == 2);
        FUZZ_CHECK(e.status == st && e.message[0]);
        return;
    }
    FUZZ_CHECK(damage != 1 && damage != 2);
    memcpy(a->tokens, w->saved.tokens, sizeof a->tokens);
    a->n = w->saved.n;
}

static void fork_session(world *w, actor *a)
{
    mote_error e;
    actor *b = &w->actors[take(w, SESSIONS)];
    if (a == b)
        return;
    mote_session_close(b->session);
    b->session = NULL;
    FUZZ_CHECK(mote_session_fork(&b->session, a->session, &e) == MOTE_OK);
    memcpy(b->tokens, a->tokens, sizeof a->tokens);
    b->n = a->n;
}

static void step(world *w)
{
    mote_error e;
    actor *a = &w->actors[take(w, SESSIONS)];
    int32_t id = -1;
    uint32_t to;
    switch (take(w, 16)) {
    case 0:
        open_session(w, a);
        break;
    case 1:
    case 2:
        eval(w, a, 0);
        break;
    case 3:
    case 4:
        eval(w, a, 1);
        break;
    case 5:
        begin(w, a);
        break;
    case 6:
    case 7:
        next(w, a);
        break;
    case 8:
        next_batch(w);
        break;
    case 9:
        to = take(w, ROOM + 4);
        if (went(mote_session_rewind(a->session, to, &e), &e, MOTE_E_INVALID, 0))
            a->n = to;
        break;
    case 10:
        mote_session_reset(a->session);
        a->n = 0;
        break;
    case 11:
        fork_session(w, a);
        break;
    case 12:
        save(w, a);
        break;
    case 13:
        load(w, a);
        break;
    case 14:
        went(mote_session_sample(a->session, NULL, &id, &e), &e, MOTE_E_INVALID,
                MOTE_E_CANCELLED);
        break;
    default:
        if (take(w, 8) == 0) {
            mote_session_cancel(a->session);
            /* an evaluation in several chunks may stop between them: start over */
            mote_session_reset(a->session);
            a->n = 0;
        }
        check_oracle(w, a);
    }
    check_tokens(a);
}

/* Models are made once. */
static mote_model *model_of(uint32_t which)
{
    static mote_model *models[MODELS];
    static uint8_t *files[MODELS]; /* borrowed until closing */
    if (!models[which]) {
        size_t size;
        mote_error e;
        mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
        o.n_threads = 1;
        uint8_t *file = files[which] = tiny_model_make(19 + which, which % 2, &size);
        FUZZ_CHECK(file && mote_model_open_memory(&models[which], file, size, &o, &e) ==
                                   MOTE_OK);
    }
    return models[which];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char schema[] =
            "{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"maxItems\":2}";
    world w = {.data = data, .size = size};
    mote_error e;
    w.model = model_of(take(&w, MODELS));
    FUZZ_CHECK(mote_schema_open(&w.schema, mote_model_tokenizer(w.model), schema,
                       strlen(schema), &e) == MOTE_OK);
    for (int i = 0; i < SESSIONS; i++)
        open_session(&w, &w.actors[i]);
    for (int i = 0; i < STEPS && w.at < w.size; i++)
        step(&w);
    for (int i = 0; i < SESSIONS; i++) {
        check_oracle(&w, &w.actors[i]);
        mote_session_close(w.actors[i].session);
    }
    mote_schema_close(w.schema);
    free(w.snapshot);
    return 0;
}
