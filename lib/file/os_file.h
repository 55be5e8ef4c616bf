/* SPDX-License-Identifier: MIT */
/* The only file that talks to the operating system about files. A mote__file is a range
 * of readable bytes: a whole file, part of a descriptor, or memory of the caller's.
 * Reading is thread-safe and never moves a file position. Text names are UTF-8. */
#ifndef MOTE_FILE_OS_FILE_H
#define MOTE_FILE_OS_FILE_H
#include "mote/common.h"

#include <stdio.h>

typedef struct mote__file {
    intptr_t handle;     /* descriptor or HANDLE; -1: memory, or not open */
    uint64_t base, size; /* the range within the descriptor */
    const uint8_t *data; /* the range, when in memory or mapped */
    void *map;           /* what to unmap, NULL when not mapped */
    size_t map_size;
    uint64_t changed; /* when it was last written, as of opening */
} mote__file;

/* A file that is not open: closing it does nothing. */
void mote__file_init(mote__file *f);
mote_status mote__file_open(mote__file *f, const char *path, mote_error *err);
/* `fd` is borrowed and duplicated; length 0 means up to the end. */
mote_status mote__file_open_fd(
        mote__file *f, int32_t fd, uint64_t offset, uint64_t length, mote_error *err);
void mote__file_open_memory(mote__file *f, const void *data, size_t size);
/* Map the range read-only; nothing to do for memory. */
mote_status mote__file_map(mote__file *f, mote_error *err);
/* Copy bytes; a range that the file no longer has is MOTE_E_IO. */
mote_status mote__file_read(
        const mote__file *f, uint64_t offset, size_t n, void *dst, mote_error *err);
/* MOTE_E_IO when the file is shorter, or was written to, since it was opened. */
mote_status mote__file_unchanged(const mote__file *f, mote_error *err);
/* 1: `path` names the very file that is open as f. */
int mote__file_is(const mote__file *f, const char *path);
void mote__file_close(mote__file *f);
/* The same range once more, read past the page cache: offsets, sizes and addresses must
 * then be multiples of 4096. MOTE_E_UNSUPPORTED where the system cannot. */
mote_status mote__file_open_direct(
        mote__file *out, const mote__file *from, mote_error *err);

/* Writing goes through stdio. Create or empty a file (binary); NULL sets errno. */
FILE *mote__file_create(const char *path);
void mote__file_remove(const char *path);
/* Everything to the disk itself, so that a rename that
 * follows never shows an incomplete file; 0, or -1. */
int mote__file_flush(FILE *f);
/* Rename, replacing what has the name; 0, or -1. */
int mote__file_rename(const char *from, const char *to);
/* Writing, creating or renaming failed: MOTE_E_IO with errno's reason. Call it before
 * anything else changes errno. */
mote_status mote__file_not_written(const char *path, mote_error *err);

enum mote__path_kind {
    MOTE__PATH_ABSENT,
    MOTE__PATH_FILE,
    MOTE__PATH_DIRECTORY,
    MOTE__PATH_OTHER /* a device, a pipe, or something we may not look at */
};
enum mote__path_kind mote__path_kind(const char *path);
/* A path for messages: its last part where the whole would leave no room for the
 * reason. */
typedef struct mote__path_text {
    char s[204];
} mote__path_text;
const char *mote__path_shown(mote__path_text *t, const char *path);
/* "dir/name", from malloc; NULL when there is no memory. */
char *mote__path_join(const char *dir, const char *name);
/* A whole file of at most `limit` bytes, NUL-terminated, from malloc. */
mote_status mote__file_read_all(
        char **out, size_t *size, const char *path, size_t limit, mote_error *err);
#endif
