/* SPDX-License-Identifier: MIT */
#include "file/checkpoint.h"

static const struct {
    const char *name;
    uint32_t bytes;
} dtypes[] = {
        [MOTE__DTYPE_F32] = {"F32", 4},
        [MOTE__DTYPE_F16] = {"F16", 2},
        [MOTE__DTYPE_BF16] = {"BF16", 2},
        [MOTE__DTYPE_F8_E4M3] = {"F8_E4M3", 1},
        [MOTE__DTYPE_F8_E8M0] = {"F8_E8M0", 1},
        [MOTE__DTYPE_I8] = {"I8", 1},
        [MOTE__DTYPE_U8] = {"U8", 1},
        [MOTE__DTYPE_I16] = {"I16", 2},
        [MOTE__DTYPE_U16] = {"U16", 2},
        [MOTE__DTYPE_I32] = {"I32", 4},
        [MOTE__DTYPE_U32] = {"U32", 4},
        [MOTE__DTYPE_I64] = {"I64", 8},
        [MOTE__DTYPE_U64] = {"U64", 8},
        [MOTE__DTYPE_F64] = {"F64", 8},
        [MOTE__DTYPE_BOOL] = {"BOOL", 1},
        [MOTE__DTYPE_F8_E5M2] = {"F8_E5M2", 1},
};

const char *mote__dtype_name(uint32_t dtype)
{
    return dtype < MOTE__DTYPES ? dtypes[dtype].name : "unknown";
}

uint32_t mote__dtype_bytes(uint32_t dtype)
{
    return dtype < MOTE__DTYPES ? dtypes[dtype].bytes : 0;
}
