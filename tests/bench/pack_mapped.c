/* SPDX-License-Identifier: MIT */
/* The same pack mapped and read into memory, in one process, a few tokens by turns:
 * pack_mapped PACK [TURNS]. Memory whose speed changes from second to second, as on a
 * shared host, then changes for both. Both must fit in memory.
 *
 * The page cache is emptied of the pack and filled as a mapping fills it, so that it
 * lies in runs as large as the file system makes them; how much of it one entry of the
 * page table maps is printed. */
#include "bench_model.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EACH = 8, WARM = 40, TURNS_MAX = 1000 };

static double now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static double tokens(mote_session *s, uint32_t turn, int32_t vocab)
{
    double start = now();
    for (uint32_t i = 0; i < EACH; i++) {
        int32_t id = (int32_t)((turn * EACH + i) * 2654435761u % (uint32_t)vocab);
        if (mote_session_eval(s, &id, 1, NULL) < 0)
            exit(1);
    }
    return now() - start;
}

/* Touch every page of a mapping like the library's. */
static void fill_cache(const char *path)
{
    struct stat info;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &info) != 0)
        return;
    size_t n = (size_t)info.st_size;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    const volatile char *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p != MAP_FAILED) {
#ifdef MADV_HUGEPAGE
        madvise((void *)(uintptr_t)p, n, MADV_HUGEPAGE);
#endif
        for (size_t i = 0; i < n; i += 4096)
            (void)p[i];
        munmap((void *)(uintptr_t)p, n);
    }
    close(fd);
}

/* MB of files that this process maps by large entries. */
static long large_file_mb(void)
{
    char line[128];
    long kb = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "FilePmdMapped:", 14) == 0)
            kb = atol(line + 14);
    if (f)
        fclose(f);
    return kb / 1024;
}

int main(int argc, char **argv)
{
    static double mapped[TURNS_MAX], ratios[TURNS_MAX];
    mote_error err;
    mote_model *m[2];
    mote_session *s[2];
    uint32_t turns = argc > 2 ? (uint32_t)atoi(argv[2]) : 24;
    if (argc < 2 || !turns || turns > TURNS_MAX) {
        fprintf(stderr, "usage: pack_mapped PACK [TURNS]\n");
        return 1;
    }
    fill_cache(argv[1]);
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    for (int i = 0; i < 2; i++) {
        mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
        mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
        o.mapping = i ? MOTE_MAP_OFF : MOTE_MAP_ON;
        so.context_tokens = EACH * (turns + WARM);
        must(mote_model_open(&m[i], argv[1], &o, &err), &err);
        must(mote_model_get_info(m[i], &info, &err), &err);
        must(mote_session_open(&s[i], m[i], &so, &err), &err);
        for (uint32_t t = 0; t < WARM; t++)
            (void)tokens(s[i], t % WARM, (int32_t)info.vocab_size);
    }
    for (uint32_t t = 0; t < turns; t++) {
        double took[2];
        for (int k = 0; k < 2; k++) {
            int i = (k + (int)t) % 2;
            took[i] = tokens(s[i], t % WARM, (int32_t)info.vocab_size);
        }
        mapped[t] = took[0];
        ratios[t] = took[1] / took[0];
    }
    qsort(mapped, turns, sizeof *mapped, ascending);
    qsort(ratios, turns, sizeof *ratios, ascending);
    printf("mapped %.2f tokens/s, %.3f times as fast as in memory (half of the turns "
           "%.3f to %.3f)\n",
            EACH / mapped[turns / 2], ratios[turns / 2], ratios[turns / 4],
            ratios[turns * 3 / 4]);
    printf("%ld MB mapped by large entries\n", large_file_mb());
    for (int i = 0; i < 2; i++) {
        mote_session_close(s[i]);
        mote_model_close(m[i]);
    }
    return 0;
}
