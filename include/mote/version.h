/* SPDX-License-Identifier: MIT */
/**
 * @file version.h
 * @defgroup version Version of the library
 * Compare ::MOTE_VERSION_NUMBER (the header a program was compiled with) with
 * mote_version_number() (the library it runs with).
 * @{
 */
#ifndef MOTE_VERSION_H
#define MOTE_VERSION_H
#include "common.h"

#define MOTE_VERSION_MAJOR 0 /**< changes when the ABI breaks */
#define MOTE_VERSION_MINOR 1 /**< changes when something is added */
#define MOTE_VERSION_PATCH 0 /**< changes when something is mended */
/** major * 1000000 + minor * 1000 + patch */
#define MOTE_VERSION_NUMBER 1000

MOTE_BEGIN_DECLS
/** Version of the running library, as ::MOTE_VERSION_NUMBER. Any thread. @since 0.1 */
MOTE_API uint32_t mote_version_number(void);
/** Version of the running library, such as "0.1.0". Any thread. @since 0.1 */
MOTE_API const char *mote_version_string(void);
/** What the library was built with and from, one "name version licence" line per
 *  component, for bills of materials. Any thread. @since 0.1 */
MOTE_API const char *mote_version_components(void);
/** Name of the kernel variant this CPU would use, such as "avx512bf16".
 *  Any thread. @since 0.1 */
MOTE_API const char *mote_version_isa(void);
MOTE_END_DECLS
/** @} */
#endif
