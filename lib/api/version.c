/* SPDX-License-Identifier: MIT */
#include "mote/version.h"

#include "base/cpu.h"
#include "kernels/kernels.h"

#define STR_(x) #x
#define STR(x) STR_(x)

uint32_t mote_version_number(void)
{
    return MOTE_VERSION_NUMBER;
}

const char *mote_version_string(void)
{
    return STR(MOTE_VERSION_MAJOR) "." STR(MOTE_VERSION_MINOR) "." STR(
            MOTE_VERSION_PATCH);
}

const char *mote_version_components(void)
{
    return "mote " STR(MOTE_VERSION_MAJOR) "." STR(MOTE_VERSION_MINOR) "." STR(
            MOTE_VERSION_PATCH) " MIT\n"
                                "pcre2 " MOTE_PCRE2_VERSION " BSD-3-Clause\n"
                                "jansson " MOTE_JANSSON_VERSION " MIT\n"
                                "zstd " MOTE_ZSTD_VERSION " BSD-3-Clause\n";
}

const char *mote_version_isa(void)
{
    mote_kernels k;
    mote__kernels_init(&k, mote__cpu_flags());
    return k.name;
}
