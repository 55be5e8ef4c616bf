/* SPDX-License-Identifier: MIT */
/* Stands in for libFuzzer in ordinary test runs: replays every file of a corpus folder
 * and then a fixed number of mutations of them, the same on every machine.
 *
 *     fuzz_NAME_replay CORPUS [MUTATIONS [SEED]]
 *
 * A target finds an error by crashing or trapping; a sanitizer build finds more. */
#include "fuzz_target.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS_MAX = 1024, SIZE_MAX_INPUT = 1 << 16 };

typedef struct input {
    char *name;
    uint8_t *bytes;
    size_t size;
} input;

static input seeds[SEEDS_MAX];
static size_t n_seeds;
static uint64_t random_state;

static uint64_t random_u64(void) /* splitmix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return n ? (size_t)(random_u64() % n) : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const input *)a)->name, ((const input *)b)->name);
}

static int read_corpus(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d)) && n_seeds < SEEDS_MAX;) {
        char path[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        FILE *f = fopen(path, "rb");
        input *s = &seeds[n_seeds];
        s->name = strdup(e->d_name);
        s->bytes = malloc(SIZE_MAX_INPUT);
        if (!f || !s->name || !s->bytes)
            return -1;
        s->size = fread(s->bytes, 1, SIZE_MAX_INPUT, f);
        fclose(f);
        n_seeds++;
    }
    closedir(d);
    qsort(seeds, n_seeds, sizeof *seeds, by_name);
    return n_seeds ? 0 : -1;
}

/* Replace `cut` bytes at `at` by `n` others. */
static size_t splice(
        uint8_t *b, size_t size, size_t at, size_t cut, const void *with, size_t n)
{
    if (size - cut + n > SIZE_MAX_INPUT)
        return size;
    memmove(b + at + n, b + at + cut, size - at - cut);
    memcpy(b + at, with, n);
    return size - cut + n;
}

static size_t mutate(uint8_t *b, size_t size)
{
    static const char *const words[] = {"{", "}", "[", "]", ",", ":", "\"", "null",
            "true", "false", "0", "-1", "1e999", "18446744073709551615",
            "9223372036854775807", "4294967296", "2147483648", "0.5", "\\ud800",
            "\\u0000", "[[[[[[[[[[", "{}", "\"a\":", "../", "99999999999999999999",
            " "};
    uint8_t chunk[256];
    size_t at = below(size + 1), n = below(size - at + 1);
    switch (below(8)) {
    case 0: /* a bit */
        if (at < size)
            b[at] ^= (uint8_t)(1u << below(8));
        return size;
    case 1: /* a byte */
        if (at < size)
            b[at] = (uint8_t)random_u64();
        return size;
    case 2: /* cut short, or cut out */
        return below(2) ? at : splice(b, size, at, n, "", 0);
    case 3: /* repeat a piece elsewhere */
        n = n < sizeof chunk ? n : sizeof chunk;
        memcpy(chunk, b + at, n);
        return splice(b, size, below(size + 1), 0, chunk, n);
    case 4: /* a piece of another seed */
    {
        const input *s = &seeds[below(n_seeds)];
        size_t from = below(s->size), m = below(s->size - from + 1);
        n = n < 64 ? n : 64;
        return splice(b, size, at, n, s->bytes + from, m < 256 ? m : 256);
    }
    case 5: { /* another number where one stands */
        while (at < size && (b[at] < '0' || b[at] > '9'))
            at++;
        for (n = 0; at + n < size && b[at + n] >= '0' && b[at + n] <= '9';)
            n++;
        if (below(2)) {
            int length = snprintf((char *)chunk, sizeof chunk, "%lld",
                    (long long)(random_u64() >> below(64)));
            return splice(b, size, at, n, chunk, (size_t)length);
        }
    }
        /* fall through */
    default: { /* a word, instead of something or between */
        const char *w = words[below(sizeof words / sizeof *words)];
        return splice(b, size, at, n < 32 && below(2) ? n : 0, w, strlen(w));
    }
    }
}

/* The target gets a heap block of exactly this size. */
static void run(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    if (argc < 2 || read_corpus(argv[1]) < 0) {
        fprintf(stderr, "usage: %s CORPUS [MUTATIONS [SEED]]\n", argv[0]);
        return 2;
    }
    unsigned long n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    random_state = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    for (size_t i = 0; i < n_seeds; i++)
        run(seeds[i].bytes, seeds[i].size);
    static uint8_t b[SIZE_MAX_INPUT];
    for (unsigned long i = 0; i < n; i++) {
        const input *s = &seeds[below(n_seeds)];
        memcpy(b, s->bytes, s->size);
        size_t size = s->size;
        for (size_t k = 1 + below(4); k; k--)
            size = mutate(b, size);
        run(b, size);
    }
    printf("%zu seeds and %lu mutations: no crash\n", n_seeds, n);
    for (size_t i = 0; i < n_seeds; i++) {
        free(seeds[i].name);
        free(seeds[i].bytes);
    }
    return 0;
}
