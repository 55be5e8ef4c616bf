/* SPDX-License-Identifier: MIT */
/**
 * @file pack.h
 * @defgroup pack Packs: one file to ship
 *
 * A pack holds configuration, tokenizer and weights in the layout that the kernels use,
 * so that it is mapped and used in place. doc/pack-format.md describes it byte by byte.
 *
 * @code
 * mote_pack_options o = MOTE_PACK_OPTIONS_INIT;
 * o.expert_type = MOTE_TYPE_INT4;
 * mote_pack_write("DeepSeek-V2-Lite", "v2-lite.mote", &o, &err);
 * @endcode
 * @{
 */
#ifndef MOTE_PACK_H
#define MOTE_PACK_H
#include "common.h"
MOTE_BEGIN_DECLS

#define MOTE_TYPE_KEEP 0u /**< as the checkpoint has it */
#define MOTE_TYPE_BF16 1u /**< bfloat16 */
#define MOTE_TYPE_FP8 2u  /**< e4m3 with a scale per 16x128 block */
#define MOTE_TYPE_INT8 3u /**< int8 with a scale per 64 columns of a row */
#define MOTE_TYPE_INT4 4u /**< int4 with a scale per 32 columns of a row */
#define MOTE_TYPE_INT4_ALL 5u /**< int4 for what INT4 leaves at int8, too */

/** How to pack. Zero means default. */
typedef struct mote_pack_options {
    uint32_t struct_size;       /**< set by ::MOTE_PACK_OPTIONS_INIT */
    uint32_t type;              /**< MOTE_TYPE_... of weight matrices. INT4 applies to
                                     routed experts, the rest becomes int8; INT4_ALL
                                     to all but the MTP module (int8): fewest bytes
                                     per token, more loss */
    uint32_t expert_type;       /**< MOTE_TYPE_... of routed experts; KEEP: as type */
    int32_t zstd_level;         /**< 1..22: compress losslessly; 0: not */
    const char *importance;     /**< file written by mote_pack_calibrate(); NULL: none */
    mote_progress_fn progress;  /**< called while packing; may cancel */
    void *progress_user;        /**< passed to progress */
} mote_pack_options;
/** Initialiser that sets struct_size. */
#define MOTE_PACK_OPTIONS_INIT MOTE_STRUCT_INIT(mote_pack_options)

/** Read a checkpoint directory and write a pack, in bounded memory. The file appears
 *  under its name only when complete. @since 0.1 */
MOTE_API mote_status mote_pack_write(const char *checkpoint, const char *path,
        const mote_pack_options *options, mote_error *err);
/** Check every checksum of a pack. @since 0.1 */
MOTE_API mote_status mote_pack_verify(const char *path, mote_progress_fn progress,
        void *progress_user, mote_error *err);
/** Run text through a model and write how much each input column of each matrix matters,
 *  for mote_pack_options.importance. @since 0.1 */
MOTE_API mote_status mote_pack_calibrate(const char *checkpoint, const char *text,
        size_t n_bytes, const char *path, mote_progress_fn progress,
        void *progress_user, mote_error *err);

MOTE_END_DECLS
/** @} */
#endif
