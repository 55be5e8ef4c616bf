/* SPDX-License-Identifier: MIT */
#include "file/pack_file.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, ENTRIES_AT = 40, ENTRY = 32, HASH_AT = MOTE__PACK_HEADER - 8 };
static const char magic[8] = {'M', 'O', 'T', 'E', 'P', 'A', 'C', 'K'};
static const uint64_t SMALL_MAX = (uint64_t)512 << 20;

int mote__pack_is(const mote__file *f)
{
    char start[8];
    return f->size >= sizeof start &&
           mote__file_read(f, 0, sizeof start, start, NULL) >= 0 &&
           memcmp(start, magic, sizeof magic) == 0;
}

static int is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return 0;
    return 1;
}

mote_status mote__pack_check_gap(
        const mote__pack_file *p, uint64_t from, uint64_t to, mote_error *err)
{
    uint8_t gap[MOTE__PACK_PAGE];
    if (to - from >= sizeof gap)
        return mote__fail(err, MOTE_E_FORMAT,
                "the pack has a gap of %llu bytes at byte %llu",
                (unsigned long long)(to - from), (unsigned long long)from);
    mote_status st = mote__file_read(&p->file, from, (size_t)(to - from), gap, err);
    if (st >= 0 && !is_zero(gap, (size_t)(to - from)))
        st = mote__fail(err, MOTE_E_FORMAT,
                "the pack is damaged: expected zeros from byte %llu to %llu",
                (unsigned long long)from, (unsigned long long)to);
    return st;
}

static mote_status check(mote__pack_file *p, const uint8_t *h, mote_error *err)
{
    if (memcmp(h, magic, sizeof magic) != 0)
        return mote__fail(err, MOTE_E_FORMAT, "this is not a mote pack");
    if (mote__get32(h + 8) > VERSION)
        return mote__fail(err, MOTE_E_MISMATCH,
                "pack version: expected at most %d, found %u; a newer library reads it",
                VERSION, mote__get32(h + 8));
    if (mote__get64(h + HASH_AT) != mote__hash_of(h, HASH_AT))
        return mote__fail(
                err, MOTE_E_FORMAT, "the pack's header does not match its checksum");
    if (mote__get64(h + 16) != p->file.size)
        return mote__fail(err, MOTE_E_FORMAT,
                "the pack should have %llu bytes, the file has %llu",
                (unsigned long long)mote__get64(h + 16),
                (unsigned long long)p->file.size);
    p->flags = mote__get32(h + 24);
    p->n_sections = mote__get32(h + 28);
    if (mote__get32(h + 8) == 0 || mote__get32(h + 12) != MOTE__PACK_HEADER ||
            p->n_sections > MOTE__PACK_SECTIONS_MAX ||
            p->flags & ~MOTE__PACK_COMPRESSED || !is_zero(h + 32, ENTRIES_AT - 32))
        return mote__fail(
                err, MOTE_E_FORMAT, "the pack's header has impossible values");
    uint64_t at = MOTE__PACK_HEADER;
    for (uint32_t i = 0; i < p->n_sections; i++) {
        const uint8_t *e = h + ENTRIES_AT + (size_t)i * ENTRY;
        mote__pack_section *s = &p->sections[i];
        *s = (mote__pack_section){mote__get32(e), mote__get32(e + 4),
                mote__get64(e + 8), mote__get64(e + 16), mote__get64(e + 24)};
        if (s->flags || (s->kind == MOTE__PACK_WEIGHTS && s->hash))
            return mote__fail(err, MOTE_E_FORMAT,
                    "section %u of the pack has impossible values", i);
        if (s->offset < at || s->offset % 64 != 0 || s->offset > p->file.size ||
                s->n_bytes > p->file.size - s->offset)
            return mote__fail(err, MOTE_E_FORMAT,
                    "section %u of the pack does not lie inside the file", i);
        for (uint32_t j = 0; j < i; j++)
            if (p->sections[j].kind == s->kind)
                return mote__fail(
                        err, MOTE_E_FORMAT, "section %u of the pack repeats a kind", i);
        mote_status st = mote__pack_check_gap(p, at, s->offset, err);
        if (st < 0)
            return st;
        at = s->offset + s->n_bytes;
    }
    size_t used = ENTRIES_AT + (size_t)p->n_sections * ENTRY;
    if (at != p->file.size || !is_zero(h + used, HASH_AT - used))
        return mote__fail(err, MOTE_E_FORMAT,
                "the pack has bytes that belong to no section, from byte %llu",
                (unsigned long long)(at != p->file.size ? at : used));
    return MOTE_OK;
}

mote_status mote__pack_file_open(mote__pack_file *p, mote__file *file, mote_error *err)
{
    memset(p, 0, sizeof *p);
    p->file = *file;
    mote__file_init(file);
    uint8_t *h = malloc(MOTE__PACK_HEADER);
    mote_status st = MOTE_OK;
    if (!h)
        st = mote__fail_memory(err, MOTE__PACK_HEADER, "the pack's header");
    else if (p->file.size < MOTE__PACK_HEADER)
        st = mote__fail(err, MOTE_E_FORMAT,
                "the pack ends in its header: expected %d bytes, found %llu",
                MOTE__PACK_HEADER, (unsigned long long)p->file.size);
    else
        st = mote__file_read(&p->file, 0, MOTE__PACK_HEADER, h, err);
    if (st >= 0)
        st = check(p, h, err);
    free(h);
    if (st < 0)
        mote__pack_file_close(p);
    return st;
}

void mote__pack_file_close(mote__pack_file *p)
{
    mote__file_close(&p->file);
    p->n_sections = 0;
}

const mote__pack_section *mote__pack_find(const mote__pack_file *p, uint32_t kind)
{
    for (uint32_t i = 0; i < p->n_sections; i++)
        if (p->sections[i].kind == kind)
            return &p->sections[i];
    return NULL;
}

mote_status mote__pack_read(const mote__pack_file *p, uint32_t kind, uint8_t **out,
        size_t *size, mote_error *err)
{
    const mote__pack_section *s = mote__pack_find(p, kind);
    *out = NULL;
    *size = 0;
    if (!s)
        return MOTE_OK;
    if (s->n_bytes > SMALL_MAX)
        return mote__fail(err, MOTE_E_FORMAT,
                "section kind %u of the pack: expected at most %llu bytes, found %llu",
                kind, (unsigned long long)SMALL_MAX, (unsigned long long)s->n_bytes);
    uint8_t *data = malloc((size_t)s->n_bytes + 1);
    if (!data)
        return mote__fail_memory(err, (size_t)s->n_bytes, "a section of the pack");
    mote_status st =
            mote__file_read(&p->file, s->offset, (size_t)s->n_bytes, data, err);
    if (st >= 0 && mote__hash_of(data, (size_t)s->n_bytes) != s->hash)
        st = mote__fail(err, MOTE_E_FORMAT,
                "section kind %u of the pack does not match its checksum", kind);
    if (st < 0) {
        free(data);
        return st;
    }
    data[s->n_bytes] = 0;
    *out = data;
    *size = (size_t)s->n_bytes;
    return MOTE_OK;
}

struct mote__pack_writer {
    FILE *file;
    char *path, *temporary;
    uint64_t at; /* in the file */
    uint32_t flags, n_sections;
    mote__pack_section sections[MOTE__PACK_SECTIONS_MAX];
    mote__hash hash;
};

static mote_status pad(mote__pack_writer *w, uint64_t align, mote_error *err)
{
    static const uint8_t zeros[4096];
    uint64_t n = (align - w->at % align) % align;
    if (n && fwrite(zeros, 1, (size_t)n, w->file) != n)
        return mote__file_not_written(w->temporary, err);
    w->at += n;
    return MOTE_OK;
}

mote_status mote__pack_writer_open(
        mote__pack_writer **out, const char *path, uint32_t flags, mote_error *err)
{
    *out = NULL;
    mote__pack_writer *w = calloc(1, sizeof *w);
    size_t n = strlen(path);
    if (w) {
        w->path = malloc(n + 1);
        w->temporary = malloc(n + 6);
    }
    if (!w || !w->path || !w->temporary) {
        mote__pack_writer_close(w);
        return mote__fail_memory(err, n, "a file name");
    }
    memcpy(w->path, path, n + 1);
    snprintf(w->temporary, n + 6, "%s.part", path);
    w->flags = flags;
    w->file = mote__file_create(w->temporary);
    if (!w->file) {
        mote_status st = mote__file_not_written(w->temporary, err);
        mote__pack_writer_close(w);
        return st;
    }
    mote_status st = MOTE_OK;
    static const uint8_t zeros[MOTE__PACK_HEADER];
    if (fwrite(zeros, 1, sizeof zeros, w->file) != sizeof zeros)
        st = mote__file_not_written(w->temporary, err);
    w->at = sizeof zeros;
    if (st < 0) {
        mote__pack_writer_close(w);
        return st;
    }
    *out = w;
    return MOTE_OK;
}

/* The weights carry a checksum per unit: hashing them again as a section would make
 * every open or verify read them twice. */
static void end_section(mote__pack_writer *w)
{
    if (!w->n_sections)
        return;
    mote__pack_section *s = &w->sections[w->n_sections - 1];
    s->n_bytes = w->at - s->offset;
    s->hash = s->kind == MOTE__PACK_WEIGHTS ? 0 : mote__hash_end(&w->hash);
}

mote_status mote__pack_writer_section(
        mote__pack_writer *w, uint32_t kind, int page, mote_error *err)
{
    if (w->n_sections == MOTE__PACK_SECTIONS_MAX)
        return mote__fail(err, MOTE_E_INVALID, "too many sections for one pack");
    end_section(w);
    mote_status st = pad(w, page ? MOTE__PACK_PAGE : 64, err);
    if (st < 0)
        return st;
    w->sections[w->n_sections++] = (mote__pack_section){.kind = kind, .offset = w->at};
    mote__hash_begin(&w->hash, 0);
    return MOTE_OK;
}

mote_status mote__pack_writer_put(
        mote__pack_writer *w, const void *data, size_t n, mote_error *err)
{
    if (n && fwrite(data, 1, n, w->file) != n)
        return mote__file_not_written(w->temporary, err);
    if (w->sections[w->n_sections - 1].kind != MOTE__PACK_WEIGHTS)
        mote__hash_add(&w->hash, data, n);
    w->at += n;
    return MOTE_OK;
}

uint64_t mote__pack_writer_at(const mote__pack_writer *w)
{
    return w->at - w->sections[w->n_sections - 1].offset;
}

mote_status mote__pack_writer_finish(mote__pack_writer *w, mote_error *err)
{
    end_section(w);
    uint8_t h[MOTE__PACK_HEADER] = {0};
    memcpy(h, magic, sizeof magic);
    mote__put32(h + 8, VERSION);
    mote__put32(h + 12, MOTE__PACK_HEADER);
    mote__put64(h + 16, w->at);
    mote__put32(h + 24, w->flags);
    mote__put32(h + 28, w->n_sections);
    for (uint32_t i = 0; i < w->n_sections; i++) {
        uint8_t *e = h + ENTRIES_AT + (size_t)i * ENTRY;
        const mote__pack_section *s = &w->sections[i];
        mote__put32(e, s->kind);
        mote__put32(e + 4, s->flags);
        mote__put64(e + 8, s->offset);
        mote__put64(e + 16, s->n_bytes);
        mote__put64(e + 24, s->hash);
    }
    mote__put64(h + HASH_AT, mote__hash_of(h, HASH_AT));
    int bad = fseek(w->file, 0, SEEK_SET) != 0 ||
              fwrite(h, 1, sizeof h, w->file) != sizeof h;
    bad |= mote__file_flush(w->file) < 0;
    bad |= fclose(w->file) != 0;
    w->file = NULL;
    if (bad || mote__file_rename(w->temporary, w->path) < 0) {
        mote_status st = mote__file_not_written(w->path, err);
        mote__file_remove(w->temporary);
        return st;
    }
    return MOTE_OK;
}

void mote__pack_writer_close(mote__pack_writer *w)
{
    if (!w)
        return;
    if (w->file) {
        fclose(w->file);
        mote__file_remove(w->temporary);
    }
    free(w->path);
    free(w->temporary);
    free(w);
}
