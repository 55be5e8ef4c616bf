/* SPDX-License-Identifier: MIT */
#ifndef MOTE_PACK_H
#define MOTE_PACK_H
#include "common.h"
MOTE_BEGIN_DECLS
#define MOTE_TYPE_KEEP 0u
#define MOTE_TYPE_BF16 1u
#define MOTE_TYPE_FP8 2u
#define MOTE_TYPE_INT8 3u
#define MOTE_TYPE_INT4 4u
typedef struct mote_pack_options {
    uint32_t struct_size;
    uint32_t type;
    uint32_t expert_type;
    int32_t zstd_level;
    const char *importance;
    mote_progress_fn progress;
    void *progress_user;
} mote_pack_options;
#define MOTE_PACK_OPTIONS_INIT MOTE_STRUCT_INIT(mote_pack_options)
MOTE_API mote_status mote_pack_write(const char *checkpoint, const char *path,
        const mote_pack_options *options, mote_error *err);
MOTE_API mote_status mote_pack_verify(const char *path, mote_progress_fn progress,
        void *progress_user, mote_error *err);
MOTE_API mote_status mote_pack_calibrate(const char *checkpoint, const char *text,
        size_t n_bytes, const char *path, mote_progress_fn progress,
        void *progress_user, mote_error *err);
MOTE_END_DECLS
#endif
