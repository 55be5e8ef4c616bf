/* SPDX-License-Identifier: MIT */
#ifndef MOTE_VERSION_H
#define MOTE_VERSION_H
#include "common.h"
#define MOTE_VERSION_MAJOR 0
#define MOTE_VERSION_MINOR 1
#define MOTE_VERSION_PATCH 0
#define MOTE_VERSION_NUMBER 1000
MOTE_BEGIN_DECLS
MOTE_API uint32_t mote_version_number(void);
MOTE_API const char *mote_version_string(void);
MOTE_API const char *mote_version_components(void);
MOTE_API const char *mote_version_isa(void);
MOTE_END_DECLS
#endif
