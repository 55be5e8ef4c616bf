/* SPDX-License-Identifier: MIT */
/* A checkpoint as named tensors and named texts, wherever its bytes lie: a Hugging Face
 * directory (one or many safetensors files), or a single safetensors file, descriptor
 * range or memory block whose metadata carries "config.json", "tokenizer.json", ...
 *
 * After opening, every tensor's byte range lies inside its file, does not overlap
 * another, and its size matches shape x dtype. Thread-safe for reading. */
#ifndef MOTE_FILE_CHECKPOINT_H
#define MOTE_FILE_CHECKPOINT_H
#include "mote/common.h"

enum mote__dtype {
    MOTE__DTYPE_F32,
    MOTE__DTYPE_F16,
    MOTE__DTYPE_BF16,
    MOTE__DTYPE_F8_E4M3,
    MOTE__DTYPE_F8_E8M0,
    MOTE__DTYPE_I8,
    MOTE__DTYPE_U8,
    MOTE__DTYPE_I16,
    MOTE__DTYPE_U16,
    MOTE__DTYPE_I32,
    MOTE__DTYPE_U32,
    MOTE__DTYPE_I64,
    MOTE__DTYPE_U64,
    MOTE__DTYPE_F64,
    MOTE__DTYPE_BOOL,
    MOTE__DTYPE_F8_E5M2,
    MOTE__DTYPES /* how many there are */
};
const char *mote__dtype_name(uint32_t dtype);
uint32_t mote__dtype_bytes(uint32_t dtype);

typedef struct mote__tensor {
    const char *name;
    uint32_t dtype, n_dims, file;
    uint64_t shape[8];
    uint64_t offset, n_bytes; /* within the file */
} mote__tensor;

typedef struct mote__checkpoint mote__checkpoint;

/* mapping: MOTE_MAP_... */
mote_status mote__checkpoint_open(
        mote__checkpoint **out, const char *path, uint32_t mapping, mote_error *err);
mote_status mote__checkpoint_open_fd(mote__checkpoint **out, int32_t fd,
        uint64_t offset, uint64_t length, uint32_t mapping, mote_error *err);
mote_status mote__checkpoint_open_memory(
        mote__checkpoint **out, const void *data, size_t size, mote_error *err);
/* The texts alone: a directory that may hold no more than tokenizer.json, or the
 * metadata of a single file. A checkpoint without tensors; no text is required to
 * exist. */
mote_status mote__checkpoint_open_texts(
        mote__checkpoint **out, const char *path, mote_error *err);
void mote__checkpoint_close(mote__checkpoint *c);

/* Text such as "config.json", "tokenizer.json", "tiktoken.model",
 * "tokenizer_config.json", "generation_config.json", "chat_template.jinja"; borrowed,
 * NUL-terminated after `size` bytes (size may be NULL); NULL when there is none. */
const char *mote__checkpoint_text(
        const mote__checkpoint *c, const char *name, size_t *size);
size_t mote__checkpoint_count(const mote__checkpoint *c);
const mote__tensor *mote__checkpoint_at(const mote__checkpoint *c, size_t index);
const mote__tensor *mote__checkpoint_find(const mote__checkpoint *c, const char *name);
/* Copy part of a tensor's bytes. A file that was truncated meanwhile is an error. */
mote_status mote__checkpoint_read(const mote__checkpoint *c, const mote__tensor *t,
        uint64_t offset, uint64_t n_bytes, void *dst, mote_error *err);
/* 1: `path` names one of the files that tensors are read from. */
int mote__checkpoint_reads(const mote__checkpoint *c, const char *path);
uint64_t mote__checkpoint_mapped_bytes(const mote__checkpoint *c);
#endif
