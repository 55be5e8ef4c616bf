/* SPDX-License-Identifier: MIT */
/* How fast a tokenizer opens, encodes and decodes, on one thread.
 *
 * usage: tokenizer_speed MODEL_OR_TOKENIZER_JSON TEXT_FILE
 *
 * Each figure is the best of several runs; MB are 10^6 bytes of text. "First" is the
 * first encoding by a fresh tokenizer, which does not know yet which words are tokens.
 */
#include "mote/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 7 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *load(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    size_t capacity = (size_t)256 << 20;
    char *text = f ? malloc(capacity) : NULL;
    *n = text ? fread(text, 1, capacity, f) : 0;
    if (f)
        fclose(f);
    return text;
}

int main(int argc, char **argv)
{
    mote_error err;
    mote_tokenizer *t = NULL;
    size_t n = 0, n_ids = 0, n_back = 0;
    char *text = argc == 3 ? load(argv[2], &n) : NULL;
    if (!text || n == 0) {
        fprintf(stderr, "usage: %s MODEL_OR_TOKENIZER_JSON TEXT_FILE\n", argv[0]);
        return 2;
    }
    double open_s = 1e9, encode_s = 1e9, decode_s = 1e9, first_s = 0;
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    char *back = malloc(n);
    for (int i = 0; i < RUNS; i++) {
        mote_tokenizer_close(t);
        double b = now();
        if (mote_tokenizer_open(&t, argv[1], &err) < 0) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        open_s = now() - b < open_s ? now() - b : open_s;
    }
    for (int i = 0; i < RUNS; i++) {
        double a = now();
        if (mote_tokenizer_encode(
                    t, text, n, MOTE_ENCODE_SPECIAL, ids, n + 1, &n_ids, &err) < 0) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        double b = now();
        if (mote_tokenizer_decode(t, ids, n_ids, 0, back, n, &n_back, &err) < 0 ||
                n_back != n) {
            fprintf(stderr, "not decoded to the same length: %s\n", err.message);
            return 1;
        }
        double c = now();
        first_s = i == 0 ? b - a : first_s;
        encode_s = b - a < encode_s ? b - a : encode_s;
        decode_s = c - b < decode_s ? c - b : decode_s;
    }
    double mb = (double)n / 1e6;
    printf("open %.1f ms; %zu bytes, %zu tokens; encode %.2f MB/s (first %.2f), decode "
           "%.0f "
           "MB/s\n",
            open_s * 1e3, n, n_ids, mb / encode_s, mb / first_s, mb / decode_s);
    mote_tokenizer_close(t);
    free(ids);
    free(back);
    free(text);
    return 0;
}
