/* SPDX-License-Identifier: MIT */
#include "model/stream.h"

#include "base/hash.h"
#include "base/status.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* READERS: threads that read, check and expand compressed units. PIECE_BYTES: what is
 * asked for at once: a guess that turns out wrong costs the disk no more than the
 * pieces under way. ZSTD_DCTX_BYTES: what decompressing one frame allocates for the
 * while. */
enum {
    READERS = 4,
    READERS_MAX = 8,
    FRAMES = 4,
    PIECES_MAX = 16,
    PIECE_BYTES = 1 << 20,
    ZSTD_DCTX_BYTES = 256 << 10
};
/* Tokens after which a use counts half. A guess is right more often than not, so only
 * an expert that every second token uses is worth more than what is needed next. */
enum { HALF_LIFE = 64 };
static const double WORTH_KEEPING = 0.5 * HALF_LIFE * 1.44;
/* Guesses of a rank (0: the likeliest expert of a layer) that are right less often than
 * this are not read: where the disk is the limit, and where it costs the processor
 * time, what is read for nothing costs more than what a right guess saves. */
enum { RANKS = 16 };
static const float WORTH_READING = 0.6f, RIGHT_STEP = 1.0f / 64;
#define NONE UINT32_MAX
/* QUEUED: pieces are to be read or under way; DROPPED: nobody wants it any more, but
 * pieces are still under way; CHECKING: all are there. */
enum state { EMPTY, QUEUED, DROPPED, CHECKING, READY, FAILED };

typedef struct place {
    uint8_t *data;
    uint32_t expert; /* index into experts, or NONE */
    uint32_t state;  /* enum state */
    uint32_t pins;
    uint32_t urgent;    /* a session waits for it */
    uint32_t guessed;   /* read ahead; its layer has not come yet */
    uint32_t failed;    /* a piece could not be read */
    uint32_t in_flight; /* pieces under way */
    uint32_t frame;     /* index of the buffer for a compressed unit, or NONE */
    size_t asked, read; /* bytes, of those stored */
    uint64_t queued;    /* order in the queue */
} place;

/* Part of a unit under way. */
typedef struct piece {
    mote__read read; /* first: the queue knows only this */
    place *place;    /* NULL: free */
    size_t n;        /* bytes; reading past the page cache takes whole blocks */
} piece;

/* What a reading thread expands units in. */
typedef struct scratch {
    struct mote__stream *stream;
    uint8_t *work;
} scratch;

typedef struct known {
    uint32_t unit;    /* of the pack */
    uint32_t checked; /* 1: its bytes in the file are good, unless the file changes */
    uint32_t place;   /* where it is cached, or NONE */
    uint32_t guess;   /* 1 + rank of a guess whose layer has not come; 0: none */
    uint64_t used;    /* clock of the last use */
    float heat;       /* uses, each half as much every HALF_LIFE tokens; as of `used` */
    double score;     /* log2(heat) + used / half life: compares at any later time */
} known;

struct mote__stream {
    mote__stream_setup o;
    mote__memory *memory;
    mote__expert_source source;
    known *experts; /* [n_layers][n_experts] */
    size_t n_known;
    place *places;
    uint32_t n_places;
    size_t place_bytes;
    uint8_t *block;
    size_t block_bytes;
    mote__reads *reads;
    pthread_mutex_t lock;
    pthread_cond_t done;
    pthread_t readers[READERS_MAX];
    scratch scratch[READERS_MAX];
    uint8_t *buffers; /* FRAMES frames, then what scratch points into */
    size_t frame_bytes, work_bytes;
    uint32_t frame_used[FRAMES];
    piece pieces[PIECES_MAX];
    uint32_t n_flight; /* pieces under way */
    uint32_t n_readers, stopping;
    uint64_t clock, queue_clock; /* waves begun, reads queued */
    double half_life;            /* in waves */
    float right[RANKS];          /* share of recent guesses that were right, by rank */
    mote_stream_stats stats;
    mote_error error; /* of the last failed read */
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t mote__stream_expert_bytes(const mote__units *units)
{
    uint64_t n = 0;
    for (size_t i = 0; i < units->n; i++)
        if (units->units[i].n_slots == 3 && units->units[i].n_bytes > n)
            n = units->units[i].n_bytes;
    return (n + 4095) / 4096 * 4096;
}

/* Longest stored unit of an expert. */
static uint64_t longest_frame(const mote__units *units, const uint64_t *places)
{
    uint64_t n = 0;
    for (size_t i = 0; places && i < units->n; i++)
        if (units->units[i].n_slots == 3 && places[2 * i + 1] > n)
            n = places[2 * i + 1];
    return n;
}

static uint64_t round64(uint64_t n)
{
    return (n + 63) / 64 * 64;
}

uint64_t mote__stream_overhead(const mote__units *units, const uint64_t *places,
        uint32_t n_layers, uint32_t n_experts)
{
    uint64_t n = sizeof(mote__stream) + 4096 + 256, /* alignment */
            expert = mote__stream_expert_bytes(units);
    n += (uint64_t)n_layers * n_experts * (sizeof(known) + sizeof(place));
    if (places)
        n += FRAMES * round64(longest_frame(units, places)) +
             READERS * (round64(expert) + ZSTD_DCTX_BYTES);
    return n + mote__reads_bytes();
}

/* Where an expert lies in the file, and how many bytes are stored. */
static uint64_t stored(const mote__stream *s, uint32_t expert, size_t *n)
{
    uint32_t unit = s->experts[expert].unit;
    const mote__unit *u = &s->o.units->units[unit];
    const uint64_t *at = s->o.places ? s->o.places + 2 * (size_t)unit : NULL;
    *n = (size_t)(at ? at[1] : u->n_bytes);
    return s->o.base + (at ? at[0] : u->offset);
}

static uint8_t *frame_of(const mote__stream *s, const place *p)
{
    return s->o.places ? s->buffers + p->frame * s->frame_bytes : p->data;
}

static void free_frame(mote__stream *s, place *p)
{
    if (p->frame != NONE)
        s->frame_used[p->frame] = 0;
    p->frame = NONE;
}

/* A compressed unit needs a frame before it is read; 0: there is none. */
static int take_frame(mote__stream *s, place *p)
{
    if (!s->o.places || p->frame != NONE)
        return 1;
    for (uint32_t i = 0; i < FRAMES; i++)
        if (!s->frame_used[i]) {
            s->frame_used[i] = 1;
            p->frame = i;
            return 1;
        }
    return 0;
}

/* The queued place to read next: urgent ones first, oldest first. */
static place *next_queued(mote__stream *s)
{
    place *best = NULL;
    for (uint32_t i = 0; i < s->n_places; i++) {
        place *p = &s->places[i];
        size_t n;
        if (p->state != QUEUED || p->failed)
            continue;
        (void)stored(s, p->expert, &n);
        if (p->asked < n &&
                (!best || p->urgent > best->urgent ||
                        (p->urgent == best->urgent && p->queued < best->queued)))
            best = p;
    }
    return best && take_frame(s, best) ? best : NULL;
}

/* A piece that the queue did not read in full: plainly, which tells what is wrong. */
static mote_status read_plainly(const mote__stream *s, const piece *x, mote_error *err)
{
    return mote__file_read(&s->o.pack->file, x->read.offset, x->n, x->read.dst, err);
}

/* Is what was read what was written? Called without the lock. */
static mote_status check(const mote__stream *s, const scratch *t, const place *p,
        size_t n, mote_error *err)
{
    uint32_t unit = s->experts[p->expert].unit;
    const mote__unit *u = &s->o.units->units[unit];
    const uint8_t *frame = frame_of(s, p);
    int known_good = s->experts[p->expert].checked &&
                     mote__file_unchanged(&s->o.pack->file, NULL) >= 0;
    if (!known_good && mote__hash_of(frame, n) != s->o.hashes[unit])
        return mote__fail(err, MOTE_E_FORMAT,
                "the pack is damaged: an expert of layer %u does not match its "
                "checksum",
                s->o.layout->slots[u->slot].layer);
    mote_status st = MOTE_OK;
    if (s->o.places)
        st = mote__unit_expand(p->data, frame, n, u, s->o.layout, t->work, err);
    if (st >= 0 && !known_good)
        st = mote__unit_check(p->data, u, s->o.layout, err);
    return st;
}

/* A piece has come, or failed with *err. */
static void arrived(mote__stream *s, const scratch *t, piece *x, mote_status st,
        const mote_error *err)
{
    place *p = x->place;
    x->place = NULL;
    s->n_flight--;
    p->in_flight--;
    p->read += x->n;
    s->stats.bytes_read += x->n;
    if (p->state == DROPPED)
        s->stats.bytes_unused += x->n;
    if (st < 0) {
        p->failed = 1;
        s->error = *err;
    }
    if (p->in_flight)
        return;
    size_t n = 0;
    if (p->state == QUEUED) {
        (void)stored(s, p->expert, &n);
        if (!p->failed && p->read < n)
            return;
    }
    if (p->state == DROPPED) {
        p->state = EMPTY;
    } else if (p->failed) {
        p->state = FAILED;
    } else {
        mote_error why;
        p->state = CHECKING;
        pthread_mutex_unlock(&s->lock);
        st = check(s, t, p, n, &why);
        pthread_mutex_lock(&s->lock);
        p->state = st < 0 ? FAILED : READY;
        s->experts[p->expert].checked = st >= 0;
        if (st < 0)
            s->error = why;
    }
    p->urgent = 0;
    free_frame(s, p);
    pthread_cond_broadcast(&s->done);
}

/* Keep the disk busy. The lock is let go while the system is asked. */
static void ask(mote__stream *s, const scratch *t)
{
    place *p;
    while (!s->stopping && s->n_flight < s->reads->depth && (p = next_queued(s))) {
        piece *x = s->pieces;
        while (x->place)
            x++;
        size_t all, left;
        uint64_t at = stored(s, p->expert, &all);
        left = all - p->asked;
        int direct = s->o.direct && !s->o.places;
        *x = (piece){.place = p, .n = left < PIECE_BYTES ? left : PIECE_BYTES};
        x->read = (mote__read){.file = direct ? s->o.direct : &s->o.pack->file,
                .offset = at + p->asked,
                .n = direct ? (x->n + 4095) / 4096 * 4096 : x->n,
                .dst = frame_of(s, p) + p->asked,
                .cached = !direct};
        p->asked += x->n;
        p->in_flight++;
        s->n_flight++;
        pthread_mutex_unlock(&s->lock);
        mote_error err;
        mote_status st = MOTE_OK;
        int refused = s->reads->submit(s->reads, &x->read) < 0;
        if (refused)
            st = read_plainly(s, x, &err);
        pthread_mutex_lock(&s->lock);
        if (refused)
            arrived(s, t, x, st, &err);
    }
}

static void *reader(void *arg)
{
    const scratch *t = arg;
    mote__stream *s = t->stream;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping || s->n_flight) {
        ask(s, t);
        pthread_mutex_unlock(&s->lock);
        mote__read *r = s->reads->wait(s->reads);
        piece *x = (piece *)r;
        mote_error err;
        mote_status st = MOTE_OK;
        if (r && !r->done)
            st = read_plainly(s, x, &err);
        pthread_mutex_lock(&s->lock);
        if (r)
            arrived(s, t, x, st, &err);
    }
    pthread_mutex_unlock(&s->lock);
    s->reads->wake(s->reads); /* the next one */
    return NULL;
}

/* There is something to read. */
static void call_reader(mote__stream *s)
{
    if (s->n_flight < s->reads->depth)
        s->reads->wake(s->reads);
}

static int is_busy(const place *p)
{
    return p->in_flight || p->state == CHECKING;
}

/* A place to overwrite: empty, or the coldest that nobody uses; read-ahead that is not
 * used yet only for what is wanted now. A guess (urgent 0) does not displace what is
 * worth more. */
static place *victim(mote__stream *s, int urgent)
{
    place *best = NULL;
    double coldest = 0;
    for (uint32_t i = 0; i < s->n_places; i++) {
        place *p = &s->places[i];
        if (p->pins || is_busy(p) || (p->guessed && !urgent))
            continue;
        if (p->state == EMPTY || p->state == FAILED)
            return p;
        double score = s->experts[p->expert].score + (p->guessed ? 1e12 : 0);
        if (!best || score < coldest) {
            best = p;
            coldest = score;
        }
    }
    if (best && !urgent &&
            coldest - (double)s->clock / s->half_life > log2(WORTH_KEEPING))
        return NULL;
    return best;
}

static void queue(mote__stream *s, place *p)
{
    p->state = QUEUED;
    p->asked = p->read = 0;
    p->failed = 0;
    p->queued = s->queue_clock++;
}

/* What a guess read for nothing. */
static void give_up(mote__stream *s, place *p)
{
    s->stats.bytes_unused += p->read;
    p->guessed = 0;
}

static void assign(mote__stream *s, place *p, uint32_t expert, int urgent)
{
    if (p->state != EMPTY && p->expert != NONE)
        s->experts[p->expert].place = NONE;
    if (p->guessed)
        give_up(s, p);
    free_frame(s, p);
    p->expert = expert;
    p->urgent = (uint32_t)urgent;
    p->guessed = !urgent;
    queue(s, p);
    s->experts[expert].place = (uint32_t)(p - s->places);
}

static void use(mote__stream *s, known *k)
{
    k->heat =
            k->heat * (float)exp2(-(double)(s->clock - k->used) / s->half_life) + 1.0f;
    k->used = s->clock;
    k->score = log2((double)k->heat) + (double)s->clock / s->half_life;
}

static known *find(mote__stream *s, uint32_t layer, uint32_t expert)
{
    return &s->experts[(size_t)layer * s->o.n_experts + expert];
}

/* A guess, read or not, was right (1) or wrong (0). */
static void learn(mote__stream *s, known *k, float right)
{
    if (!k->guess)
        return;
    float *share = &s->right[k->guess - 1];
    *share += (right - *share) * RIGHT_STEP;
    k->guess = 0;
}

/* A layer's turn has come: guesses about it are over. What is not read of the wrong
 * ones will not be. */
static void settle_guesses(mote__stream *s, uint32_t layer)
{
    for (uint32_t i = 0; i < s->o.n_experts; i++)
        learn(s, find(s, layer, i), 0);
    for (uint32_t i = 0; i < s->n_places; i++) {
        place *p = &s->places[i];
        if (!p->guessed || p->expert / s->o.n_experts != layer)
            continue;
        if (p->pins) {
            p->guessed = 0;
            s->stats.prefetch_hits++;
            continue;
        }
        size_t n;
        (void)stored(s, p->expert, &n);
        give_up(s, p);
        if (p->state != QUEUED || p->asked == n)
            continue;
        s->experts[p->expert].place = NONE;
        p->expert = NONE;
        if (p->in_flight) {
            p->state = DROPPED;
        } else {
            p->state = EMPTY;
            free_frame(s, p);
        }
    }
}

static void describe(const mote__stream *s, const known *k, mote__expert *out)
{
    const mote__unit *u = &s->o.units->units[k->unit];
    const uint8_t *data = s->places[k->place].data;
    mote_k_matrix *w[3] = {&out->gate, &out->up, &out->down};
    for (uint32_t i = 0; i < 3; i++) {
        const mote__slot *t = &s->o.layout->slots[u->slot + i];
        *w[i] = (mote_k_matrix){.data = data + (t->offset - u->offset),
                .scales = t->scale_bytes
                                  ? (const float *)(const void *)(data +
                                                                  (t->scale_offset -
                                                                          u->offset))
                                  : NULL,
                .n_rows = t->n_rows,
                .n_cols = t->n_cols,
                .type = t->form};
    }
}

/* How many of the wanted are cached or can be: enough places that nobody pins? */
static int has_room(
        mote__stream *s, uint32_t layer, const uint32_t *experts, uint32_t n)
{
    uint32_t missing = 0, free_places = 0;
    for (uint32_t i = 0; i < n; i++)
        missing += find(s, layer, experts[i])->place == NONE;
    for (uint32_t i = 0; i < s->n_places; i++)
        free_places += s->places[i].pins == 0 && !is_busy(&s->places[i]);
    /* those of the wanted that are cached and not pinned must not be counted as victims
     */
    for (uint32_t i = 0; i < n; i++) {
        known *k = find(s, layer, experts[i]);
        if (k->place != NONE && s->places[k->place].pins == 0 &&
                !is_busy(&s->places[k->place]))
            free_places--;
    }
    return free_places >= missing;
}

static mote_status stream_begin(void *user, uint32_t layer, const uint32_t *experts,
        uint32_t n, mote__expert *out, uint8_t *present, mote_error *err)
{
    mote__stream *s = user;
    (void)err;
    pthread_mutex_lock(&s->lock);
    while (!has_room(s, layer, experts, n))
        pthread_cond_wait(&s->done, &s->lock);
    s->clock++;
    /* first pin what is there, so that it is not chosen as a victim */
    for (uint32_t i = 0; i < n; i++) {
        known *k = find(s, layer, experts[i]);
        use(s, k);
        learn(s, k, 1);
        /* Reading failed before: once more, in the same place, since another session
         * may hold it still. */
        if (k->place != NONE && s->places[k->place].state == FAILED)
            queue(s, &s->places[k->place]);
        if (k->place != NONE)
            s->places[k->place].pins++;
    }
    settle_guesses(s, layer);
    for (uint32_t i = 0; i < n; i++) {
        known *k = find(s, layer, experts[i]);
        if (k->place == NONE) {
            place *p = victim(s, 1);
            assign(s, p, (uint32_t)(k - s->experts), 1);
            p->pins++;
            s->stats.misses++;
            present[i] = 0;
        } else {
            place *p = &s->places[k->place];
            present[i] = p->state == READY;
            p->urgent = 1;
            s->stats.hits++;
        }
        describe(s, k, &out[i]);
    }
    call_reader(s);
    pthread_mutex_unlock(&s->lock);
    return MOTE_OK;
}

static mote_status stream_wait(void *user, uint32_t layer, const uint32_t *experts,
        uint32_t n, uint8_t *present, mote_error *err)
{
    mote__stream *s = user;
    mote_status st = MOTE_OK;
    uint32_t n_missing, n_new = 0;
    uint64_t start = 0;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        n_missing = 0;
        for (uint32_t i = 0; i < n && st >= 0; i++) {
            if (present[i])
                continue;
            const place *p = &s->places[find(s, layer, experts[i])->place];
            if (p->state == READY) {
                present[i] = 1;
                n_new++;
            } else if (p->state == FAILED) {
                if (err)
                    *err = s->error;
                st = s->error.status;
            } else {
                n_missing++;
            }
        }
        if (st < 0 || n_new || !n_missing)
            break;
        start = start ? start : now_ns();
        pthread_cond_wait(&s->done, &s->lock);
    }
    if (start)
        s->stats.stall_ns += now_ns() - start;
    pthread_mutex_unlock(&s->lock);
    return st;
}

static void stream_end(void *user, uint32_t layer, const uint32_t *experts, uint32_t n)
{
    mote__stream *s = user;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < n; i++)
        s->places[find(s, layer, experts[i])->place].pins--;
    pthread_cond_broadcast(&s->done);
    pthread_mutex_unlock(&s->lock);
}

static void stream_prefetch(void *user, uint32_t layer, const uint32_t *experts,
        uint32_t n, uint32_t certain)
{
    mote__stream *s = user;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < n; i++) {
        known *k = find(s, layer, experts[i]);
        if (k->place != NONE)
            continue;
        if (!certain) {
            uint32_t rank = i < RANKS ? i : RANKS - 1;
            k->guess = rank + 1;
            if (s->right[rank] < WORTH_READING)
                continue;
        }
        place *p = victim(s, 0);
        if (!p)
            break;
        assign(s, p, (uint32_t)(k - s->experts), 0);
        s->stats.prefetched++;
    }
    call_reader(s);
    pthread_mutex_unlock(&s->lock);
}

mote_status mote__stream_open(mote__stream **out, const mote__stream_setup *setup,
        mote__memory *m, mote_error *err)
{
    *out = NULL;
    mote__stream *s = mote__calloc(m, MOTE_MEM_OTHER, 1, sizeof *s);
    if (!s)
        return mote__fail_memory(err, sizeof *s, "expert cache");
    s->o = *setup;
    s->memory = m;
    s->place_bytes = (size_t)mote__stream_expert_bytes(setup->units);
    s->half_life = (double)HALF_LIFE * setup->layout->n_layers;
    uint64_t n = s->place_bytes ? setup->cache_bytes / s->place_bytes : 0;
    uint32_t layers = setup->layout->n_layers;
    s->n_known = (size_t)layers * setup->n_experts;
    s->n_places = n > s->n_known ? (uint32_t)s->n_known : (uint32_t)n;
    s->block_bytes = s->n_places * s->place_bytes + 4096;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->done, NULL);
    s->experts = mote__calloc(m, MOTE_MEM_OTHER, s->n_known, sizeof *s->experts);
    s->places = mote__calloc(m, MOTE_MEM_OTHER, s->n_places, sizeof *s->places);
    s->block = mote__alloc(m, MOTE_MEM_WEIGHTS, s->block_bytes);
    if (setup->places) {
        s->frame_bytes = (size_t)round64(longest_frame(setup->units, setup->places));
        s->work_bytes = (size_t)round64(s->place_bytes);
    }
    s->buffers = mote__alloc(
            m, MOTE_MEM_OTHER, FRAMES * s->frame_bytes + READERS * s->work_bytes);
    mote_status st = MOTE_OK;
    if (!s->experts || !s->places || !s->block || !s->buffers) {
        st = mote__fail_memory(err, s->block_bytes, "expert cache");
        goto out;
    }
    /* Long runs of memory: fewer pieces for the disk to scatter, fewer pages to hold.
     */
    mote__advise_huge(s->block, s->block_bytes);
    uint8_t *data = (uint8_t *)(((uintptr_t)s->block + 4095) / 4096 * 4096);
    for (uint32_t i = 0; i < s->n_places; i++)
        s->places[i] = (place){
                .data = data + i * s->place_bytes, .expert = NONE, .frame = NONE};
    for (uint32_t i = 0; i < RANKS; i++)
        s->right[i] = 1; /* until we know better */
    for (size_t i = 0; i < s->n_known; i++)
        s->experts[i] = (known){.unit = NONE, .place = NONE};
    for (size_t i = 0; i < setup->units->n; i++) {
        const mote__unit *u = &setup->units->units[i];
        const mote__slot *t = &setup->layout->slots[u->slot];
        if (u->n_slots == 3)
            find(s, t->layer, t->expert)->unit = (uint32_t)i;
    }
    st = mote__reads_open(&s->reads, setup->reading, &setup->pack->file, m, err);
    if (st < 0)
        goto out;
    /* Expanding takes longer than reading. */
    uint32_t threads = setup->places ? READERS : s->reads->n_waiters;
    for (; s->n_readers < threads && s->n_readers < READERS_MAX; s->n_readers++) {
        scratch *t = &s->scratch[s->n_readers];
        t->stream = s;
        t->work = s->buffers + FRAMES * s->frame_bytes + s->n_readers * s->work_bytes;
        if (pthread_create(&s->readers[s->n_readers], NULL, reader, t) != 0)
            break;
    }
    if (!s->n_readers) {
        st = mote__fail(err, MOTE_E_MEMORY, "no thread for reading experts");
        goto out;
    }
    s->stats.reading = s->reads->kind;
    s->source = (mote__expert_source){.user = s,
            .wave = s->n_places,
            .begin = stream_begin,
            .wait = stream_wait,
            .end = stream_end,
            .prefetch = stream_prefetch};
    /* In prefill, leave places for the next wave's reads while this one computes. */
    if (s->n_places >= 4 * setup->experts_per_token)
        s->source.wave = s->n_places / 2;
    *out = s;
    return MOTE_OK;
out:
    mote__stream_close(s);
    return st;
}

void mote__stream_close(mote__stream *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = 1;
    pthread_mutex_unlock(&s->lock);
    if (s->n_readers)
        s->reads->wake(s->reads);
    for (uint32_t i = 0; i < s->n_readers; i++)
        pthread_join(s->readers[i], NULL);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->done);
    if (s->reads)
        s->reads->close(s->reads);
    mote__memory *m = s->memory;
    mote__free(m, MOTE_MEM_WEIGHTS, s->block, s->block_bytes);
    mote__free(m, MOTE_MEM_OTHER, s->buffers,
            FRAMES * s->frame_bytes + READERS * s->work_bytes);
    mote__free(m, MOTE_MEM_OTHER, s->places, s->n_places * sizeof *s->places);
    mote__free(m, MOTE_MEM_OTHER, s->experts, s->n_known * sizeof *s->experts);
    mote__free(m, MOTE_MEM_OTHER, s, sizeof *s);
}

const mote__expert_source *mote__stream_source(const mote__stream *s)
{
    return &s->source;
}

void mote__stream_stats(mote__stream *s, mote_stream_stats *stats)
{
    pthread_mutex_lock(&s->lock);
    *stats = s->stats;
    for (uint32_t i = 0; i < s->n_places; i++)
        if (s->places[i].state == READY)
            stats->bytes_cached += s->place_bytes;
    pthread_mutex_unlock(&s->lock);
    stats->active = 1;
}
