/* SPDX-License-Identifier: MIT */
/* How fast a pack opens and decodes under a memory budget, beside what memory and disk
 * allow: pack_speed PACK [BUDGET_PERCENT [MAPPING [TOKENS]]], MAPPING as MOTE_MAP_...
 *
 * bound = 1 / max(bytes of weights used per token / memory bandwidth,
 *                 bytes read per token / disk bandwidth): both measured here. */
#include "mote/experimental.h"
#include "mote/mote.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* One of four readers of 8 MB pieces past the page cache. */
typedef struct reader {
    int fd, index;
    off_t size;
    size_t bytes;
} reader;

static void *read_some(void *arg)
{
    reader *r = arg;
    void *p = NULL;
    const size_t piece = 8u << 20;
    if (posix_memalign(&p, 4096, piece) != 0)
        return NULL;
    for (int i = 0; i < 16; i++) {
        off_t at = ((off_t)(i * 4 + r->index) * 7919 * 4096) % (r->size - (off_t)piece);
        ssize_t n = pread(r->fd, p, piece, at / 4096 * 4096);
        r->bytes += n > 0 ? (size_t)n : 0;
    }
    free(p);
    return NULL;
}

static double disk_bandwidth(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECT);
    struct stat s;
    if (fd < 0 || fstat(fd, &s) != 0 || s.st_size < 64 << 20)
        return 0;
    reader r[4];
    pthread_t t[4];
    double start = now(), bytes = 0;
    for (int i = 0; i < 4; i++) {
        r[i] = (reader){.fd = fd, .index = i, .size = s.st_size};
        pthread_create(&t[i], NULL, read_some, &r[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        bytes += (double)r[i].bytes;
    }
    double seconds = now() - start;
    close(fd);
    return bytes / seconds;
}

static int fail(const char *what, const mote_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: pack_speed PACK [BUDGET_PERCENT [MAPPING [TOKENS]]]\n");
        return 1;
    }
    const double percent = argc > 2 ? atof(argv[2]) : 0;
    const uint32_t tokens = argc > 4 ? (uint32_t)atoi(argv[4]) : 64;
    struct stat s;
    mote_error err;
    mote_model *m = NULL;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.mapping = argc > 3 ? (uint32_t)atoi(argv[3]) : MOTE_MAP_AUTO;
    if (stat(argv[1], &s) != 0)
        return 1;
    if (percent > 0)
        o.memory_bytes = (uint64_t)(percent / 100 * (double)s.st_size);
    const double disk = disk_bandwidth(argv[1]);
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
    so.context_tokens = 4 * tokens + 64;
    if (mote_session_open(&session, m, &so, &err) < 0)
        return fail("session", &err);
    mote_stream_stats before = MOTE_STREAM_STATS_INIT, after = MOTE_STREAM_STATS_INIT;
    double seconds = 0;
    /* The first half warms the cache (or the mapping). */
    for (int half = 0; half < 2; half++) {
        mote_model_stream_stats(m, &before, &err);
        start = now();
        for (uint32_t i = 0; i < tokens; i++) {
            int32_t token = (int32_t)((i * 2654435761u + (uint32_t)half * 97u) %
                                      info.vocab_size);
            if (mote_session_eval(session, &token, 1, &err) < 0)
                return fail("decoding", &err);
        }
        seconds = now() - start;
        if (half == 0)
            printf("first %u tokens: %.2f tokens/s\n", tokens, tokens / seconds);
    }
    mote_model_stream_stats(m, &after, &err);
    const double peak = peak_mb();
    printf("next %u tokens: %.2f tokens/s, peak memory %.0f MB\n", tokens,
            tokens / seconds, peak);
    fflush(stdout); /* the measurement that follows needs memory of its own */
    double memory = 0;
    mote_x_read_bandwidth(m, &memory, &err);
    const double read = (double)(after.bytes_read - before.bytes_read) / tokens,
                 used = (double)info.bytes_active,
                 by_memory = memory > 0 ? used / memory : 0,
                 by_disk = disk > 0 ? read / disk : 0,
                 bound = by_memory > by_disk ? by_memory : by_disk;
    printf("pack %.2f GB, budget %.2f GB, opened in %.1f ms, peak memory %.0f MB\n",
            (double)s.st_size / 1e9, (double)o.memory_bytes / 1e9, opened * 1e3, peak);
    printf("memory %.1f GB/s, disk %.2f GB/s; per token: %.0f MB used, %.1f MB read\n",
            memory / 1e9, disk / 1e9, used / 1e6, read / 1e6);
    const double hits = (double)(after.hits - before.hits),
                 misses = (double)(after.misses - before.misses);
    printf("hits %.1f %%, guesses %.1f a token, %.1f right, stalled %.1f ms a token\n",
            hits + misses > 0 ? 100 * hits / (hits + misses) : 100.0,
            (double)(after.prefetched - before.prefetched) / tokens,
            (double)(after.prefetch_hits - before.prefetch_hits) / tokens,
            (double)(after.stall_ns - before.stall_ns) / 1e6 / tokens);
    printf("decode %.2f tokens/s; bound %.2f (memory %.2f, disk %.2f): %.0f %%\n",
            tokens / seconds, 1 / bound, by_memory > 0 ? 1 / by_memory : 0,
            by_disk > 0 ? 1 / by_disk : 0, 100 * bound * tokens / seconds);
    mote_session_close(session);
    mote_model_close(m);
    return 0;
}
