/* SPDX-License-Identifier: MIT */
/**
 * @file options.h
 * @defgroup options Options as text
 *
 * Option structs begin with `uint32_t struct_size`, which the `..._INIT` initialisers
 * set; a field that is zero has its default. These functions set fields by name, for
 * configuration files, command lines and bindings.
 * @{
 */
#ifndef MOTE_OPTIONS_H
#define MOTE_OPTIONS_H
#include "common.h"
MOTE_BEGIN_DECLS

#define MOTE_OPTIONS_MODEL 1    /**< ::mote_model_options */
#define MOTE_OPTIONS_SESSION 2  /**< ::mote_session_options */
#define MOTE_OPTIONS_SAMPLER 3  /**< ::mote_sampler_options */
#define MOTE_OPTIONS_GENERATE 4 /**< ::mote_generate_options */
#define MOTE_OPTIONS_PACK 5     /**< ::mote_pack_options */

/** Set one field of an option struct from text.
 *  @param kind     one of MOTE_OPTIONS_...
 *  @param options  the struct, its struct_size set
 *  @param name     field name, such as "context_tokens"
 *  @param value    number, or one of the names the manual lists (such as "bf16");
 *                  borrowed for the call, except that a field of type "text" keeps the
 *                  pointer
 *  @return MOTE_OK; MOTE_E_NOT_FOUND for an unknown name; MOTE_E_INVALID for a value
 *          out of bounds, the struct unchanged.
 *  Thread-safety: any thread, the struct belongs to the caller. @since 0.1 */
MOTE_API mote_status mote_options_set_text(int32_t kind, void *options, const char *name,
        const char *value, mote_error *err);

/** Describe the @p index-th text-settable option of a kind, for manuals and help.
 *  Each output may be NULL; strings are static.
 *  @param type    "u32", "i32", "u64", "f32", "bytes" (a u64 that also reads 512M or 4G),
 *                 "choice" (a u32), "name" or "text" (both const char *)
 *  @param values  range, or "name=value, name=value" for a choice, or names
 *  @return MOTE_OK, or MOTE_DONE past the last one. Any thread. @since 0.1 */
MOTE_API mote_status mote_options_describe(int32_t kind, uint32_t index,
        const char **name, const char **type, const char **values,
        const char **sentence, mote_error *err);

MOTE_END_DECLS
/** @} */
#endif
