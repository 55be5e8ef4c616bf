/* SPDX-License-Identifier: MIT */
#include "cpu.h"

#include "kernels/cpu_flags.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sched.h>
#include <stdio.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* The registers that the operating system saves: without that an instruction set is
 * useless, whatever the processor says. */
static uint32_t x86_saved_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}

static int has(uint32_t word, uint32_t bits)
{
    return (word & bits) == bits;
}

uint32_t mote__cpu_flags(void)
{
    uint32_t a, b, c, d, flags = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    /* FMA, OSXSAVE, AVX, F16C */
    if (!has(c, 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29))
        return 0;
    uint32_t saved = x86_saved_state();
    if (!has(saved, 0x6) || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    uint32_t b7 = b, c7 = c;
    /* BMI1, AVX2, BMI2 */
    if (!has(b7, 1u << 3 | 1u << 5 | 1u << 8))
        return 0;
    flags = MOTE_CPU_AVX2;
    /* F, DQ, BW, VL, and the opmask and upper registers saved */
    if (!has(b7, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) || !has(saved, 0xe6))
        return flags;
    flags |= MOTE_CPU_AVX512;
    /* VBMI and VNNI, then BF16 in subleaf 1 */
    if (has(c7, 1u << 1 | 1u << 11) && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
            has(a, 1u << 5))
        flags |= MOTE_CPU_AVX512BF16;
    return flags;
}
#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
uint32_t mote__cpu_flags(void)
{
    const unsigned long dot = 1ul << 20;                    /* AT_HWCAP: ASIMDDP */
    const unsigned long i8mm = 1ul << 13, bf16 = 1ul << 14; /* AT_HWCAP2 */
    uint32_t flags = MOTE_CPU_NEON;
    if ((getauxval(AT_HWCAP) & dot) && (getauxval(AT_HWCAP2) & i8mm) &&
            (getauxval(AT_HWCAP2) & bf16))
        flags |= MOTE_CPU_NEON_DOT;
    return flags;
}
#elif defined(__APPLE__)
#include <sys/sysctl.h>
static int feature(const char *name)
{
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}
uint32_t mote__cpu_flags(void)
{
    uint32_t flags = MOTE_CPU_NEON;
    if (feature("hw.optional.arm.FEAT_DotProd") &&
            feature("hw.optional.arm.FEAT_BF16") &&
            feature("hw.optional.arm.FEAT_I8MM"))
        flags |= MOTE_CPU_NEON_DOT;
    return flags;
}
#else
uint32_t mote__cpu_flags(void)
{
    return MOTE_CPU_NEON;
}
#endif
#else
uint32_t mote__cpu_flags(void)
{
    return 0;
}
#endif

#if defined(__linux__)
/* Cores' worth of time that the control group allows (a container started with a CPU
 * limit sees every core of its host), or 0 where there is no limit. */
static uint32_t quota_cores(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    unsigned long long quota, period;
    uint32_t cores = 0;
    if (fscanf(f, "%llu %llu", &quota, &period) == 2 && period > 0 && quota > 0) {
        unsigned long long whole = quota / period + (quota % period != 0);
        cores = whole > UINT32_MAX ? 0 : (uint32_t)whole;
    }
    fclose(f);
    return cores;
}
#endif

uint32_t mote__cpu_cores(void)
{
    uint32_t cores = 0;
#if defined(__EMSCRIPTEN__) && !defined(__EMSCRIPTEN_PTHREADS__)
    cores = 1; /* whatever the machine has: no thread can be made */
#elif defined(_WIN32)
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    cores = (uint32_t)info.dwNumberOfProcessors;
#else
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = (uint32_t)CPU_COUNT(&set);
#endif
    if (cores == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        cores = online > 0 ? (uint32_t)online : 1;
    }
#if defined(__linux__)
    uint32_t quota = quota_cores();
    if (quota > 0 && quota < cores)
        cores = quota;
#endif
#endif
    return cores > 0 ? cores : 1;
}
