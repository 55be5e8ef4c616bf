/* SPDX-License-Identifier: MIT */
#ifndef MOTE_OPTIONS_H
#define MOTE_OPTIONS_H
#include "common.h"
MOTE_BEGIN_DECLS
#define MOTE_OPTIONS_MODEL 1
#define MOTE_OPTIONS_SESSION 2
#define MOTE_OPTIONS_SAMPLER 3
#define MOTE_OPTIONS_GENERATE 4
#define MOTE_OPTIONS_PACK 5
MOTE_API mote_status mote_options_set_text(int32_t kind, void *options, const char *name,
        const char *value, mote_error *err);
MOTE_API mote_status mote_options_describe(int32_t kind, uint32_t index,
        const char **name, const char **type, const char **values,
        const char **sentence, mote_error *err);
MOTE_END_DECLS
#endif
