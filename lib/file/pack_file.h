/* SPDX-License-Identifier: MIT */
/* The container of a pack: a header with a directory of sections, then the sections.
 * What the sections mean is not known here. doc/pack-format.md describes every byte.
 *
 * After opening, every section lies inside the file, in order, without overlap, what is
 * between them is zero, and the header matches its checksum; small sections are checked
 * when they are read. */
#ifndef MOTE_FILE_PACK_FILE_H
#define MOTE_FILE_PACK_FILE_H
#include "file/os_file.h"

enum { MOTE__PACK_HEADER = 4096, MOTE__PACK_PAGE = 4096, MOTE__PACK_SECTIONS_MAX = 32 };

enum mote__pack_kind {
    MOTE__PACK_CONFIG = 1,           /* config.json */
    MOTE__PACK_GENERATION = 2,       /* generation_config.json */
    MOTE__PACK_TOKENIZER = 3,        /* tokenizer.json */
    MOTE__PACK_TOKENIZER_CONFIG = 4, /* tokenizer_config.json */
    MOTE__PACK_CHAT_TEMPLATE = 5,    /* chat_template.jinja */
    MOTE__PACK_FORMS = 6,            /* how each weight is kept */
    MOTE__PACK_HASHES = 7,           /* checksum of each unit of weights, as stored */
    MOTE__PACK_UNITS = 8,            /* where each unit lies, when compressed */
    MOTE__PACK_WEIGHTS = 9,          /* the arena, or its compressed units */
    MOTE__PACK_TOKENIZER_MAP = 10,   /* tokenizer in ready-to-use form */
};

typedef struct mote__pack_section {
    uint32_t kind, flags;
    uint64_t offset, n_bytes, hash; /* hash 0: the section has checksums of its own */
} mote__pack_section;

typedef struct mote__pack_file {
    mote__file file;
    uint32_t flags;
    uint32_t n_sections;
    mote__pack_section sections[MOTE__PACK_SECTIONS_MAX];
} mote__pack_file;

#define MOTE__PACK_COMPRESSED 1u /* weights are zstd frames, one per unit */

/* 1 when the first bytes are those of a pack. */
int mote__pack_is(const mote__file *f);
/* Takes `file` over, also on failure. */
mote_status mote__pack_file_open(mote__pack_file *p, mote__file *file, mote_error *err);
void mote__pack_file_close(mote__pack_file *p);
const mote__pack_section *mote__pack_find(const mote__pack_file *p, uint32_t kind);
/* Bytes that belong to nothing must be zeros, and fewer than a page. */
mote_status mote__pack_check_gap(
        const mote__pack_file *p, uint64_t from, uint64_t to, mote_error *err);
/* Read a whole small section (NUL-terminated, from malloc) and check its hash; *out is
 * NULL where there is none. */
mote_status mote__pack_read(const mote__pack_file *p, uint32_t kind, uint8_t **out,
        size_t *size, mote_error *err);

/* Writing: sections in order, then the header; the file gets its name at the end. */
typedef struct mote__pack_writer mote__pack_writer;
mote_status mote__pack_writer_open(
        mote__pack_writer **out, const char *path, uint32_t flags, mote_error *err);
/* Begin a section, page-aligned when `page` is set (else 64-byte aligned). */
mote_status mote__pack_writer_section(
        mote__pack_writer *w, uint32_t kind, int page, mote_error *err);
mote_status mote__pack_writer_put(
        mote__pack_writer *w, const void *data, size_t n, mote_error *err);
/* Bytes put into the current section. */
uint64_t mote__pack_writer_at(const mote__pack_writer *w);
/* Finish and rename. */
mote_status mote__pack_writer_finish(mote__pack_writer *w, mote_error *err);
/* Remove what was written (if not finished) and free. NULL is allowed. */
void mote__pack_writer_close(mote__pack_writer *w);
#endif
