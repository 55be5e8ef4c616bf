/* SPDX-License-Identifier: MIT */
/* One safetensors file: 8 bytes of header length, a JSON header, then the tensors'
 * bytes. After parsing, the byte ranges cover the rest of the file exactly, without
 * overlap, gap or trailing bytes, and each matches shape x dtype: what the reference
 * implementation demands. */
#ifndef MOTE_FILE_SAFETENSORS_H
#define MOTE_FILE_SAFETENSORS_H
#include "file/checkpoint.h"
#include "file/os_file.h"

#define MOTE__SAFETENSORS_HEADER_MAX 100000000u

/* A named text, both from malloc; `text` is NUL-terminated after `size` bytes. */
typedef struct mote__text {
    char *name, *text;
    size_t size;
} mote__text;
void mote__text_free(mote__text *t);

typedef struct mote__safetensors {
    mote__tensor *tensors; /* sorted by name, no name twice */
    size_t n_tensors;
    char *names;       /* what tensors[].name point into */
    mote__text *texts; /* members of __metadata__ that a checkpoint may carry */
    size_t n_texts;
} mote__safetensors;

/* Names of the texts a checkpoint may have, ending with NULL. */
extern const char *const mote__checkpoint_text_names[];

/* `where` names the file in messages; `file` is stored in every tensor. Offsets count
 * from the start of `f`. */
mote_status mote__safetensors_parse(mote__safetensors *out, const mote__file *f,
        uint32_t file, const char *where, mote_error *err);
void mote__safetensors_free(mote__safetensors *s);
/* Order of tensors by name, for qsort. */
int mote__tensor_compare(const void *a, const void *b);
#endif
