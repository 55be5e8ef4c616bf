/* SPDX-License-Identifier: MIT */
/* checkkern [--bench] [variant...]: test (or time) all variants, or those named. */
#include "check.h"
#include "../portable.h"
#include "kernels/cpu_flags.h"
#include "base/cpu.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PRINTED_FAILURES 12u
#define GUARD 64u
#define PATTERN 0xff /* as floats a NaN */

static const struct group {
    const char *name;
    void (*check)(check *c);
    void (*bench)(check *c);
} groups[] = {
        {"numbers", check_numbers, NULL},
        {"matrices", check_matrices, bench_matrices},
};
#define N_GROUPS (sizeof groups / sizeof groups[0])

void check_that(check *c, int ok, const char *format, ...)
{
    c->cases++;
    if (ok)
        return;
    if (c->failures++ < PRINTED_FAILURES) {
        va_list args;
        va_start(args, format);
        printf("%s: ", c->variant);
        vprintf(format, args);
        printf("\n");
        va_end(args);
    }
}

uint64_t check_random(check *c)
{
    /* splitmix64 */
    uint64_t z = c->seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t check_below(check *c, uint32_t n)
{
    return (uint32_t)(check_random(c) % n);
}

float check_normal(check *c)
{
    float sum = 0; /* of four uniforms of variance 1/12 each */
    uint64_t bits = check_random(c);
    for (int i = 0; i < 4; i++, bits >>= 16)
        sum += (float)(bits & 0xffffu) * 0x1p-16f - 0.5f;
    return sum * 1.7320508f;
}

/* Layout: [size, padding to 64][guard 64][bytes][guard 64]. */
void *check_alloc(size_t bytes)
{
    const size_t room = (64 + GUARD + bytes + GUARD + 63) & ~(size_t)63;
    char *base = test_aligned_alloc(64, room);
    if (!base) {
        fprintf(stderr, "checkkern: no memory for %zu bytes\n", room);
        exit(2);
    }
    memcpy(base, &bytes, sizeof bytes);
    memset(base + 64, PATTERN, room - 64);
    return base + 64 + GUARD;
}

int check_guards(const void *p)
{
    const unsigned char *at = p, *base = at - 64 - GUARD;
    size_t bytes;
    memcpy(&bytes, base, sizeof bytes);
    for (size_t i = 0; i < GUARD; i++)
        if (at[(ptrdiff_t)i - (ptrdiff_t)GUARD] != PATTERN || at[bytes + i] != PATTERN)
            return 0;
    return 1;
}

void check_free(void *p)
{
    if (p)
        test_aligned_free((char *)p - 64 - GUARD);
}

double check_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const struct variant {
    const char *name;
    uint32_t flags;
} variants[] = {
#define MOTE_VARIANT(isa, flags, kmat, kops) {#isa, flags},
#include "kernels/variants.inc"
#undef MOTE_VARIANT
};

static unsigned check_table(const mote_kernels *scalar, const mote_kernels *table,
        const char *name, int bench)
{
    unsigned failures = 0;
    for (size_t g = 0; g < N_GROUPS; g++) {
        check c = {.scalar = scalar, .table = table, .variant = name, .seed = 1};
        if (bench) {
            if (groups[g].bench)
                groups[g].bench(&c);
            continue;
        }
        groups[g].check(&c);
        printf("%-10s  %-10s %6u checks, %u failed\n", name, groups[g].name, c.cases,
                c.failures);
        failures += c.failures;
    }
    return failures;
}

int main(int argc, char **argv)
{
    const int bench = argc > 1 && strcmp(argv[1], "--bench") == 0;
    const int first = bench ? 2 : 1;
    unsigned failures = 0;
    mote_kernels scalar;
    mote__kernels_init(&scalar, 0);
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        const struct variant *v = &variants[i];
        int wanted = argc == first;
        for (int a = first; a < argc; a++)
            wanted |= strcmp(argv[a], v->name) == 0;
        if (!wanted)
            continue;
        if ((mote__cpu_flags() & v->flags) != v->flags) {
            printf("%-10s  skipped: this CPU lacks it\n", v->name);
            continue;
        }
        mote_kernels table;
        mote__kernels_init(&table, v->flags);
        if (strcmp(table.name, v->name) != 0)
            continue; /* nothing of its own yet */
        failures += check_table(&scalar, &table, v->name, bench);
        if (table.alone) {
            table.alone(&table);
            failures += check_table(&scalar, &table, "  alone", bench);
        }
    }
    return failures ? 1 : 0;
}
