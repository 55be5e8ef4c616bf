/* SPDX-License-Identifier: MIT */
/* Number formats: e4m3 (the "fn" kind: no infinity, 0x7f and 0xff are NaN), bf16, fp16.
 */
#include "kernels/kernels.h"
#include <string.h>

static uint32_t bits_of(float v)
{
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static float float_of(uint32_t b)
{
    float v;
    memcpy(&v, &b, sizeof v);
    return v;
}

float mote_k_e4m3_to_f32(uint8_t v)
{
    const uint32_t sign = (uint32_t)(v & 0x80u) << 24, mag = v & 0x7fu;
    if (mag == 0x7fu)
        return float_of(sign | 0x7fc00000u);
    if (mag < 8u) { /* subnormal: mag * 2^-9 */
        const float f = (float)mag * 0x1p-9f;
        return sign ? -f : f;
    }
    return float_of(sign | ((mag << 20) + (120u << 23)));
}

size_t mote_k_e4m3_nan(const uint8_t *v, size_t n)
{
    enum { RUN = 256 }; /* looked at as a whole, which compilers vectorise */
    for (size_t at = 0; at < n; at += RUN) {
        const size_t m = n - at < RUN ? n - at : RUN;
        uint8_t top = 0;
        for (size_t i = 0; i < m; i++) { /* doubled: the sign leaves, NaN is largest */
            const uint8_t b = (uint8_t)(v[at + i] << 1);
            top = b > top ? b : top;
        }
        for (size_t i = 0; top == 0xfe; i++)
            if ((v[at + i] & 0x7fu) == 0x7fu)
                return at + i;
    }
    return n;
}

uint8_t mote_k_f32_to_e4m3(float v)
{
    const uint32_t b = bits_of(v), mag = b & 0x7fffffffu;
    const uint8_t sign = (uint8_t)(b >> 24 & 0x80u);
    if (mag > 0x7f800000u)
        return sign | 0x7fu;
    if (mag >= bits_of(448.0f))
        return sign | 0x7eu;
    if (mag < bits_of(0x1p-6f)) {
        /* Below the normals the step is 2^-9: adding 1.5 * 2^14 rounds to it, to even.
         */
        const float magic = 0x1.8p14f, r = float_of(mag) + magic;
        return sign | (uint8_t)(bits_of(r) & 0x0fu);
    }
    /* Round 23 bits of mantissa to 3, to even; a carry moves into the exponent. */
    const uint32_t r = mag + 0x7ffffu + (mag >> 20 & 1u);
    return sign | (uint8_t)((r - (120u << 23)) >> 20);
}

float mote_k_bf16_to_f32(uint16_t v)
{
    return float_of((uint32_t)v << 16);
}

uint16_t mote_k_f32_to_bf16(float v)
{
    const uint32_t b = bits_of(v);
    if ((b & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(b >> 16 | 0x40u);
    return (uint16_t)((b + 0x7fffu + (b >> 16 & 1u)) >> 16);
}

float mote_k_f16_to_f32(uint16_t v)
{
    const uint32_t sign = (uint32_t)(v & 0x8000u) << 16, mag = v & 0x7fffu;
    if (mag >= 0x7c00u) /* infinity, NaN */
        return float_of(sign | 0x7f800000u | (mag & 0x3ffu) << 13 |
                        (mag > 0x7c00u ? 0x400000u : 0u));
    if (mag < 0x400u) {
        const float f = (float)mag * 0x1p-24f;
        return sign ? -f : f;
    }
    return float_of(sign | ((mag << 13) + (112u << 23)));
}
