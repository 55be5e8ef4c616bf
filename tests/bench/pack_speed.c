/* SPDX-License-Identifier: MIT */
/* How fast a pack opens and decodes under a memory budget, beside what memory and disk
 * allow: pack_speed PACK [PERCENT [MAPPING [TOKENS [READING]]]], MAPPING as
 * MOTE_MAP_..., READING as MOTE_READING_...
 *
 * bound = 1 / max(bytes of weights used per token / memory bandwidth,
 *                 bytes missed per token / disk bandwidth).
 * Missed is what was read and used: what was guessed wrongly counts against us. The
 * disk is measured in turns with the tokens, by four threads that read megabytes of
 * whole experts, past the page cache: what the reader itself does.
 *
 * That bound takes memory and disk for two things that do not disturb each other. Both
 * are also measured while both are busy: where the disk takes processor time or memory
 * bandwidth (a virtual machine's), the least time of a token follows from those rates.
 */
#include "mote/experimental.h"
#include "mote/mote.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double peak_mb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

/* One of the readers of the disk. */
enum { THREADS = 4, PIECE = 1 << 20, PER_EXPERT = 8, PIECES = 24 };
static const size_t BUFFERS = (size_t)THREADS * PIECES * PIECE; /* no cache holds it */

typedef struct reader {
    int fd, index;
    unsigned first, n_experts;
    off_t size;
    atomic_size_t bytes;
    atomic_int stop;
    uint8_t *buffer;
} reader;

static void *read_some(void *arg)
{
    reader *r = arg;
    /* each expert by all threads, piece by piece */
    for (unsigned i = 0; i < r->n_experts && !r->stop; i++) {
        uint64_t blocks = (uint64_t)(r->size - PER_EXPERT * PIECE) / 4096,
                 hash = (r->first + i + 1) * 0x9e3779b97f4a7c15u;
        off_t at = (off_t)(hash % blocks * 4096);
        for (int piece = r->index; piece < PER_EXPERT; piece += THREADS) {
            uint8_t *p = r->buffer +
                         (size_t)((i * 2 + (unsigned)piece / THREADS) % PIECES) * PIECE;
            ssize_t n = pread(r->fd, p, PIECE, at + (off_t)piece * PIECE);
            r->bytes += n > 0 ? (size_t)n : 0;
        }
    }
    return NULL;
}

typedef struct disk {
    int fd;
    unsigned done; /* experts */
    off_t size;
    double bytes, seconds;
    uint8_t *buffers;
} disk;

/* Read n experts by THREADS threads; while they do, `meanwhile` (may be NULL) is called
 * and returns a rate, which is returned; then they stop. */
static double read_experts(
        disk *d, unsigned n, double (*meanwhile)(mote_model *), mote_model *m)
{
    static reader r[THREADS];
    pthread_t t[THREADS];
    int made[THREADS];
    double rate = 0;
    if (d->fd < 0 || !d->buffers || d->size < 64 << 20)
        return 0;
    double start = now();
    for (int i = 0; i < THREADS; i++) {
        r[i].fd = d->fd;
        r[i].index = i;
        r[i].first = d->done;
        r[i].n_experts = n;
        r[i].size = d->size;
        r[i].bytes = 0;
        r[i].stop = 0;
        r[i].buffer = d->buffers + (size_t)i * PIECES * PIECE;
        made[i] = pthread_create(&t[i], NULL, read_some, &r[i]) == 0;
    }
    if (meanwhile) {
        rate = meanwhile(m);
        for (int i = 0; i < THREADS; i++)
            d->bytes += (double)r[i].bytes;
        d->seconds += now() - start;
        for (int i = 0; i < THREADS; i++)
            r[i].stop = 1;
    }
    for (int i = 0; i < THREADS; i++)
        if (made[i]) {
            pthread_join(t[i], NULL);
            d->bytes += meanwhile ? 0 : (double)r[i].bytes;
        }
    d->seconds += meanwhile ? 0 : now() - start;
    d->done += n;
    return rate;
}

/* As much as the tokens before have read: what the disk does in a burst is another
 * thing.
 */
static void measure_disk(disk *d, uint64_t bytes)
{
    unsigned n = (unsigned)(bytes / (PER_EXPERT * PIECE));
    (void)read_experts(d, n < 16 ? 16 : n, NULL, NULL);
}

/* Half of these while nothing else runs, half while the disk reads. */
enum { PROBES = 8, PASSES = 4 };

static double probe_memory(mote_model *m)
{
    double seconds = 0;
    for (int i = 0; i < PASSES; i++) {
        double rate = 0;
        if (mote_x_read_bandwidth(m, &rate, NULL) < 0 || !(rate > 0))
            return 0;
        seconds += 1 / rate;
    }
    return PASSES / seconds;
}

/* Least seconds for `memory` and `disk` bytes: both at once at the rates of that until
 * one is through, then the other alone; or one after the other, if that is less. */
static double least_time(double memory, double disk, double memory_alone,
        double disk_alone, double memory_both, double disk_both)
{
    double one_by_one = memory / memory_alone + disk / disk_alone,
           t = memory / memory_both, u = disk / disk_both,
           both = t < u ? t + (disk - t * disk_both) / disk_alone
                        : u + (memory - u * memory_both) / memory_alone;
    return both < one_by_one ? both : one_by_one;
}

static int fail(const char *what, const mote_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr,
                "usage: pack_speed PACK [PERCENT [MAPPING [TOKENS [READING]]]]\n");
        return 1;
    }
    const double percent = argc > 2 ? atof(argv[2]) : 0;
    const uint32_t tokens = argc > 4 ? (uint32_t)atoi(argv[4]) : 64;
    struct stat s;
    mote_error err;
    mote_model *m = NULL;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.mapping = argc > 3 ? (uint32_t)atoi(argv[3]) : MOTE_MAP_AUTO;
    o.reading = argc > 5 ? (uint32_t)atoi(argv[5]) : MOTE_READING_AUTO;
    if (stat(argv[1], &s) != 0)
        return 1;
    void *buffers = NULL;
    if (percent > 0 && posix_memalign(&buffers, 2 << 20, BUFFERS) == 0) {
        madvise(buffers, BUFFERS, MADV_HUGEPAGE); /* as the expert cache is */
        memset(buffers, 1, BUFFERS);              /* in memory from the start */
    }
    if (percent > 0)
        o.memory_bytes = (uint64_t)(percent / 100 * (double)s.st_size);
    disk d = {.fd = percent > 0 ? open(argv[1], O_RDONLY | O_DIRECT) : -1,
            .size = s.st_size,
            .buffers = buffers};
    /* Cold: none of its pages in the page cache. */
    int fd = open(argv[1], O_RDONLY);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    double start = now();
    if (mote_model_open(&m, argv[1], &o, &err) < 0)
        return fail(argv[1], &err);
    const double opened = now() - start;
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    mote_model_get_info(m, &info, &err);
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    mote_session *session = NULL;
    so.context_tokens = 2 * tokens + 64;
    if (mote_session_open(&session, m, &so, &err) < 0)
        return fail("session", &err);
    mote_stream_stats before = MOTE_STREAM_STATS_INIT, after = MOTE_STREAM_STATS_INIT;
    double seconds = 0;
    enum { TURNS = 8 };
    const uint32_t each = (tokens + TURNS - 1) / TURNS, all = each * TURNS;
    /* The first half warms the cache (or the mapping). */
    for (uint32_t turn = 0; turn < 2 * TURNS; turn++) {
        if (turn == TURNS) {
            printf("first %u tokens: %.2f tokens/s\n", all, all / seconds);
            mote_model_stream_stats(m, &before, &err);
            seconds = 0;
        }
        mote_model_stream_stats(m, &after, &err);
        uint64_t read_before = after.bytes_read;
        start = now();
        for (uint32_t i = 0; i < each; i++) {
            int32_t token =
                    (int32_t)(((turn * each + i) * 2654435761u) % info.vocab_size);
            if (mote_session_eval(session, &token, 1, &err) < 0)
                return fail("decoding", &err);
        }
        seconds += now() - start;
        mote_model_stream_stats(m, &after, &err);
        if (turn >= TURNS)
            measure_disk(&d, after.bytes_read - read_before);
    }
    mote_model_stream_stats(m, &after, &err);
    double peak = peak_mb(); /* ours is not the library's */
    if (buffers)
        peak -= (double)BUFFERS / (1 << 20);
    printf("next %u tokens: %.2f tokens/s, peak memory %.0f MB\n", all, all / seconds,
            peak);
    fflush(stdout); /* the measurement that follows needs memory of its own */
    double memory = 0, memory_both = 0;
    disk both = d;
    both.bytes = both.seconds = 0;
    (void)probe_memory(m); /* its memory is new */
    for (int i = 0; i < PROBES; i++) {
        if (i % 2)
            memory_both += read_experts(&both, 1000000, probe_memory, m) * 2 / PROBES;
        else
            memory += probe_memory(m) * 2 / PROBES;
    }
    const double speed = all / seconds, disk = d.seconds > 0 ? d.bytes / d.seconds : 0,
                 read = (double)(after.bytes_read - before.bytes_read) / all,
                 unused = (double)(after.bytes_unused - before.bytes_unused) / all,
                 used = (double)info.bytes_active,
                 by_memory = memory > 0 ? used / memory : 0,
                 by_disk = disk > 0 ? (read - unused) / disk : 0,
                 bound = by_memory > by_disk ? by_memory : by_disk;
    printf("pack %.2f GB, budget %.2f GB, opened in %.1f ms, peak memory %.0f MB\n",
            (double)s.st_size / 1e9, (double)o.memory_bytes / 1e9, opened * 1e3, peak);
    printf("memory %.1f GB/s, disk %.2f GB/s; per token: %.0f MB used, %.1f MB missed, "
           "%.1f MB read for nothing\n",
            memory / 1e9, disk / 1e9, used / 1e6, (read - unused) / 1e6, unused / 1e6);
    const double hits = (double)(after.hits - before.hits),
                 misses = (double)(after.misses - before.misses),
                 guessed = (double)(after.prefetch_hits - before.prefetch_hits);
    static const char *const readers[] = {"none", "threads", "io_uring"};
    printf("%s: hits %.1f %% (%.1f %% in memory before), guesses %.1f a token, %.1f "
           "right, stalled %.1f of %.1f ms a token\n",
            readers[after.reading % 3],
            hits + misses > 0 ? 100 * hits / (hits + misses) : 100.0,
            hits + misses > 0 ? 100 * (hits - guessed) / (hits + misses) : 100.0,
            (double)(after.prefetched - before.prefetched) / all, guessed / all,
            (double)(after.stall_ns - before.stall_ns) / 1e6 / all, 1e3 / speed);
    if (bound > 0)
        printf("decode %.2f tokens/s; bound %.2f (memory %.2f, disk %.2f): %.0f %%\n",
                speed, 1 / bound, by_memory > 0 ? 1 / by_memory : 0,
                by_disk > 0 ? 1 / by_disk : 0, 100 * bound * speed);
    if (by_disk > 0 && both.bytes > 0 && memory_both > 0) {
        double disk_both = both.bytes / both.seconds,
               least = least_time(
                       used, read - unused, memory, disk, memory_both, disk_both);
        printf("both at once: memory %.1f GB/s, disk %.2f GB/s; bound %.2f tokens/s: "
               "%.0f %%\n",
                memory_both / 1e9, disk_both / 1e9, 1 / least, 100 * least * speed);
    }
    if (d.fd >= 0)
        close(d.fd);
    free(buffers);
    mote_session_close(session);
    mote_model_close(m);
    return 0;
}
