/* SPDX-License-Identifier: MIT */
/* What options.def says, as a table, and the one way in which a caller's option struct
 * is taken: after mote__options_take every listed field is within its bounds. */
#ifndef MOTE_API_OPTIONS_H
#define MOTE_API_OPTIONS_H
#include "mote/options.h"

enum mote__option_type {
    MOTE__OPTION_U32,
    MOTE__OPTION_I32,
    MOTE__OPTION_F32,
    MOTE__OPTION_U64,
    MOTE__OPTION_BYTES,
    MOTE__OPTION_CHOICE,
    MOTE__OPTION_NAME,
    MOTE__OPTION_TEXT,
    MOTE__OPTION_POINTER,
    MOTE__OPTION_RESERVED,
};

typedef struct mote__option {
    const char *name;
    const char *names;    /* "name=value, ..." or "" */
    const char *values;   /* for people: range and names */
    const char *zero;     /* what 0 means */
    const char *sentence; /* with what 0 means */
    double min, max;
    uint32_t type; /* enum mote__option_type */
    uint32_t offset, size;
} mote__option;

typedef struct mote__option_struct {
    const char *name; /* "mote_model_options" */
    const mote__option *options;
    uint32_t n_options;
    uint32_t size, size_min;
} mote__option_struct;

/* The struct of a kind (MOTE_OPTIONS_...), or NULL. */
const mote__option_struct *mote__options_of(int32_t kind);

/* Copy a caller's option struct of any version into `dst`, a whole struct of this
 * version whose struct_size becomes this version's. src NULL: all defaults (zero). The
 * smaller of the two sizes is copied. MOTE_E_INVALID, dst being all defaults, for a
 * struct_size below the first version's or absurdly large, for a tail unknown here that
 * is not zero, for a field out of its bounds (which is named, with what was expected
 * and found), and for pointers that must come together and do not. Pointers are copied,
 * not followed, except isa, which ends up pointing to a static name. */
mote_status mote__options_take(
        int32_t kind, void *dst, const void *src, mote_error *err);
#endif
