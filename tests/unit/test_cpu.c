/* SPDX-License-Identifier: MIT */
#include "base/cpu.h"
#include "kernels/cpu_flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A flag may be set only together with those it implies, and never across processors.
 */
static void flags_are_consistent(void **state)
{
    (void)state;
    uint32_t f = mote__cpu_flags();
    assert_int_equal(f, mote__cpu_flags());
    if (f & MOTE_CPU_AVX512)
        assert_true(f & MOTE_CPU_AVX2);
    if (f & MOTE_CPU_AVX512BF16)
        assert_true(f & MOTE_CPU_AVX512);
    if (f & MOTE_CPU_NEON_DOT)
        assert_true(f & MOTE_CPU_NEON);
#if defined(__x86_64__)
    assert_false(f & (MOTE_CPU_NEON | MOTE_CPU_NEON_DOT));
    __builtin_cpu_init();
    assert_int_equal(!!(f & MOTE_CPU_AVX2), __builtin_cpu_supports("avx2") &&
                                                    __builtin_cpu_supports("fma") &&
                                                    __builtin_cpu_supports("bmi2"));
    if (f & MOTE_CPU_AVX512)
        assert_true(__builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl"));
#elif defined(__aarch64__)
    assert_true(f & MOTE_CPU_NEON);
#endif
}

static void there_is_a_core(void **state)
{
    (void)state;
    assert_in_range(mote__cpu_cores(), 1, 1u << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(flags_are_consistent),
            cmocka_unit_test(there_is_a_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
