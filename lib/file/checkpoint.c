/* SPDX-License-Identifier: MIT */
#include "file/checkpoint.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/status.h"
#include "file/os_file.h"
#include "file/safetensors.h"
#include "mote/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every shard keeps a descriptor open. V3 has 163 shards, Kimi K2 has 61. */
enum { SHARDS_MAX = 4096 };
static const size_t TEXT_MAX = (size_t)256 << 20;
static const char INDEX[] = "model.safetensors.index.json";
static const char SINGLE[] = "model.safetensors";

typedef struct part {
    char *name; /* file name for messages */
    mote__file file;
    char *names; /* tensor names live here */
} part;

struct mote__checkpoint {
    part *parts;
    size_t n_parts;
    mote__tensor *tensors; /* sorted by name */
    size_t n_tensors, capacity;
    mote__text *texts;
    size_t n_texts;
};

static char *copy_string(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = malloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

static mote_status create(mote__checkpoint **out, size_t n_parts, mote_error *err)
{
    mote__checkpoint *c = calloc(1, sizeof *c);
    *out = c;
    if (!c || !(c->parts = calloc(n_parts ? n_parts : 1, sizeof *c->parts)))
        return mote__fail_memory(err, n_parts * sizeof *c->parts, "checkpoint");
    for (size_t i = 0; i < n_parts; i++)
        mote__file_init(&c->parts[i].file);
    c->n_parts = n_parts;
    return MOTE_OK;
}

void mote__checkpoint_close(mote__checkpoint *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_parts; i++) {
        mote__file_close(&c->parts[i].file);
        free(c->parts[i].name);
        free(c->parts[i].names);
    }
    for (size_t i = 0; i < c->n_texts; i++)
        mote__text_free(&c->texts[i]);
    free(c->texts);
    free(c->tensors);
    free(c->parts);
    free(c);
}

/* Parse the opened file of part i and add its tensors. The texts of its metadata become
 * the checkpoint's when asked for: a directory has its own. */
static mote_status add_part(mote__checkpoint *c, size_t i, uint32_t mapping,
        int take_texts, mote_error *err)
{
    part *p = &c->parts[i];
    mote__safetensors s;
    mote_error detail;
    mote_status st = mote__safetensors_parse(&s, &p->file, (uint32_t)i, p->name, err);
    if (st < 0)
        return st;
    p->names = s.names;
    s.names = NULL;
    if (take_texts) {
        c->texts = s.texts;
        c->n_texts = s.n_texts;
        s.texts = NULL;
        s.n_texts = 0;
    }
    if (mote__grow((void **)&c->tensors, &c->capacity, c->n_tensors + s.n_tensors,
                sizeof *c->tensors) < 0) {
        st = mote__fail_memory(err, s.n_tensors * sizeof *c->tensors, "tensor table");
        goto out;
    }
    if (s.n_tensors)
        memcpy(c->tensors + c->n_tensors, s.tensors, s.n_tensors * sizeof *s.tensors);
    c->n_tensors += s.n_tensors;
    /* Weights are copied into panels while loading, so plain reads do as well as a
     * mapping and cannot be hit by SIGBUS: only an explicit wish maps. */
    if (mapping == MOTE_MAP_ON && (st = mote__file_map(&p->file, &detail)) < 0)
        st = mote__fail(err, st, "%s: %s", p->name, detail.message);
out:
    mote__safetensors_free(&s);
    return st;
}

/* Sort all parts' tensors together; a name that two parts have is an error. */
static mote_status sort_tensors(mote__checkpoint *c, mote_error *err)
{
    if (c->n_tensors)
        qsort(c->tensors, c->n_tensors, sizeof *c->tensors, mote__tensor_compare);
    for (size_t i = 1; i < c->n_tensors; i++)
        if (strcmp(c->tensors[i - 1].name, c->tensors[i].name) == 0)
            return mote__fail(err, MOTE_E_FORMAT,
                    "tensor %.120s is in two shards, %.120s and %.120s",
                    c->tensors[i].name, c->parts[c->tensors[i - 1].file].name,
                    c->parts[c->tensors[i].file].name);
    return MOTE_OK;
}

static mote_status check_mapping(uint32_t mapping, mote_error *err)
{
    if (mapping > MOTE_MAP_OFF)
        return mote__fail(
                err, MOTE_E_INVALID, "mapping: expected 0, 1 or 2, found %u", mapping);
    return MOTE_OK;
}

/* ---- texts of a directory ---- */

static mote_status read_texts(mote__checkpoint *c, const char *dir, mote_error *err)
{
    size_t n = 0;
    while (mote__checkpoint_text_names[n])
        n++;
    if (!(c->texts = calloc(n, sizeof *c->texts)))
        return mote__fail_memory(err, n * sizeof *c->texts, "texts");
    for (size_t i = 0; i < n; i++) {
        const char *name = mote__checkpoint_text_names[i];
        char *path = mote__path_join(dir, name);
        if (!path)
            return mote__fail_memory(err, strlen(dir) + strlen(name) + 2, "path");
        if (mote__path_kind(path) == MOTE__PATH_ABSENT) {
            free(path);
            continue;
        }
        mote__text *t = &c->texts[c->n_texts];
        mote_status st = mote__file_read_all(&t->text, &t->size, path, TEXT_MAX, err);
        free(path);
        if (st < 0)
            return st;
        c->n_texts++;
        if (!(t->name = copy_string(name)))
            return mote__fail_memory(err, strlen(name) + 1, "name");
    }
    return MOTE_OK;
}

/* ---- a directory with an index ---- */

/* A shard must lie in the directory itself: an index is not trusted to name any other
 * file of the host. */
static int plain_file_name(const char *s)
{
    if (!*s || strlen(s) > 255 || strcmp(s, ".") == 0 || strstr(s, ".."))
        return 0;
    for (; *s; s++)
        if (*s == '/' || *s == '\\' || *s == ':' || (unsigned char)*s < 0x20)
            return 0;
    return 1;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_part(const void *key, const void *p)
{
    return strcmp(key, ((const part *)p)->name);
}

/* The distinct shard names of the index, sorted, borrowed from the tree. */
static mote_status shard_names(const char ***out, size_t *n_out, json_t *map,
        const char *where, mote_error *err)
{
    size_t n = 0;
    const char **names = malloc((json_object_size(map) + 1) * sizeof *names);
    *out = names;
    if (!names)
        return mote__fail_memory(err, json_object_size(map) * sizeof *names, where);
    const char *key;
    json_t *v;
    json_object_foreach(map, key, v)
    {
        if (!json_is_string(v))
            return mote__json_wrong(where, key, "a shard's file name", v, err);
        if (!plain_file_name(json_string_value(v)))
            return mote__fail(err, MOTE_E_FORMAT,
                    "%s: tensor %.100s: \"%.100s\" is not a plain file name", where,
                    key, json_string_value(v));
        names[n++] = json_string_value(v);
    }
    if (!n)
        return mote__fail(err, MOTE_E_FORMAT, "%s: weight_map is empty", where);
    qsort(names, n, sizeof *names, compare_strings);
    size_t unique = 1;
    for (size_t i = 1; i < n; i++)
        if (strcmp(names[i], names[unique - 1]) != 0)
            names[unique++] = names[i];
    if (unique > SHARDS_MAX)
        return mote__fail(err, MOTE_E_FORMAT, "%s: %zu shards, at most %d allowed",
                where, unique, SHARDS_MAX);
    *n_out = unique;
    return MOTE_OK;
}

static mote_status check_index(
        const mote__checkpoint *c, json_t *map, const char *where, mote_error *err)
{
    const char *key;
    json_t *v;
    json_object_foreach(map, key, v)
    {
        const char *shard = json_string_value(v);
        const part *p =
                bsearch(shard, c->parts, c->n_parts, sizeof *c->parts, compare_part);
        const mote__tensor *t = mote__checkpoint_find(c, key);
        if (!t || &c->parts[t->file] != p)
            return mote__fail(err, MOTE_E_FORMAT,
                    "%s: tensor %.120s is not in its shard %.120s", where, key, shard);
    }
    return MOTE_OK;
}

static mote_status open_shards(mote__checkpoint *c, const char *dir,
        const char *index_path, uint32_t mapping, mote_error *err)
{
    mote__path_text shown;
    const char *index = mote__path_shown(&shown, index_path);
    char *text = NULL;
    size_t size = 0, n = 0;
    const char **names = NULL;
    json_t *root = NULL;
    mote_status st = mote__file_read_all(&text, &size, index_path, TEXT_MAX, err);
    if (st < 0 || (st = mote__json_parse(&root, text, size, index, err)) < 0)
        goto out;
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map)) {
        st = mote__json_wrong(
                index, "weight_map", "an object of tensor and file names", map, err);
        goto out;
    }
    if ((st = shard_names(&names, &n, map, index, err)) < 0)
        goto out;
    free(c->parts);
    c->n_parts = 0;
    if (!(c->parts = calloc(n, sizeof *c->parts))) {
        st = mote__fail_memory(err, n * sizeof *c->parts, "shards");
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        mote__file_init(&c->parts[i].file);
    c->n_parts = n;
    for (size_t i = 0; i < n; i++) {
        char *path = mote__path_join(dir, names[i]);
        if (!path || !(c->parts[i].name = copy_string(names[i]))) {
            free(path);
            st = mote__fail_memory(err, strlen(dir) + strlen(names[i]) + 2, "path");
            goto out;
        }
        if (mote__path_kind(path) == MOTE__PATH_ABSENT)
            st = mote__fail(err, MOTE_E_NOT_FOUND, "%s: shard %.200s is missing", index,
                    names[i]);
        else
            st = mote__file_open(&c->parts[i].file, path, err);
        free(path);
        if (st < 0 || (st = add_part(c, i, mapping, 0, err)) < 0)
            goto out;
    }
    if ((st = sort_tensors(c, err)) < 0)
        goto out;
    st = check_index(c, map, index, err);
out:
    free(names);
    free(text);
    json_decref(root);
    return st;
}

/* ---- opening ---- */

static mote_status open_single(mote__checkpoint *c, const char *path, uint32_t mapping,
        int take_texts, mote_error *err)
{
    mote__path_text shown;
    if (!(c->parts[0].name = copy_string(mote__path_shown(&shown, path))))
        return mote__fail_memory(err, strlen(path) + 1, "path");
    mote_status st = mote__file_open(&c->parts[0].file, path, err);
    if (st < 0 || (st = add_part(c, 0, mapping, take_texts, err)) < 0)
        return st;
    return sort_tensors(c, err);
}

static mote_status open_directory(
        mote__checkpoint *c, const char *dir, uint32_t mapping, mote_error *err)
{
    mote__path_text shown;
    char *single = mote__path_join(dir, SINGLE), *index = mote__path_join(dir, INDEX);
    mote_status st;
    if (!single || !index)
        st = mote__fail_memory(err, strlen(dir) + sizeof INDEX + 1, "path");
    else if ((st = read_texts(c, dir, err)) < 0)
        ;
    else if (!mote__checkpoint_text(c, "config.json", NULL))
        st = mote__fail(err, MOTE_E_NOT_FOUND, "%s: there is no config.json",
                mote__path_shown(&shown, dir));
    else if (mote__path_kind(single) != MOTE__PATH_ABSENT)
        st = open_single(c, single, mapping, 0, err);
    else if (mote__path_kind(index) != MOTE__PATH_ABSENT)
        st = open_shards(c, dir, index, mapping, err);
    else
        st = mote__fail(err, MOTE_E_NOT_FOUND, "%s: there is no %s and no %s", dir,
                SINGLE, INDEX);
    free(single);
    free(index);
    return st;
}

/* A single file is a whole model: its metadata must say what it is. */
static mote_status need_config(const mote__checkpoint *c, mote_error *err)
{
    if (!mote__checkpoint_text(c, "config.json", NULL))
        return mote__fail(err, MOTE_E_FORMAT,
                "%.200s: a single-file model needs \"config.json\" in its __metadata__",
                c->parts[0].name);
    return MOTE_OK;
}

static mote_status finish(
        mote__checkpoint **out, mote__checkpoint *c, mote_status st, mote_error *err)
{
    if (st < 0) {
        mote__checkpoint_close(c);
        return st;
    }
    mote__clear(err);
    *out = c;
    return MOTE_OK;
}

mote_status mote__checkpoint_open(
        mote__checkpoint **out, const char *path, uint32_t mapping, mote_error *err)
{
    mote__checkpoint *c = NULL;
    mote__path_text shown;
    *out = NULL;
    mote_status st = check_mapping(mapping, err);
    if (st < 0)
        return st;
    enum mote__path_kind kind = mote__path_kind(path);
    if (kind == MOTE__PATH_ABSENT)
        return mote__fail(err, MOTE_E_NOT_FOUND, "%s: no such file or directory",
                mote__path_shown(&shown, path));
    if ((st = create(&c, 1, err)) < 0)
        return finish(out, c, st, err);
    if (kind == MOTE__PATH_DIRECTORY)
        st = open_directory(c, path, mapping, err);
    else if ((st = open_single(c, path, mapping, 1, err)) >= 0)
        st = need_config(c, err);
    return finish(out, c, st, err);
}

mote_status mote__checkpoint_open_texts(
        mote__checkpoint **out, const char *path, mote_error *err)
{
    mote__checkpoint *c = NULL;
    mote__path_text shown;
    *out = NULL;
    enum mote__path_kind kind = mote__path_kind(path);
    if (kind == MOTE__PATH_ABSENT)
        return mote__fail(err, MOTE_E_NOT_FOUND, "%s: no such file or directory",
                mote__path_shown(&shown, path));
    mote_status st = create(&c, kind == MOTE__PATH_DIRECTORY ? 0 : 1, err);
    if (st >= 0 && kind == MOTE__PATH_DIRECTORY)
        st = read_texts(c, path, err);
    else if (st >= 0)
        st = open_single(c, path, MOTE_MAP_OFF, 1, err);
    return finish(out, c, st, err);
}

mote_status mote__checkpoint_open_fd(mote__checkpoint **out, int32_t fd,
        uint64_t offset, uint64_t length, uint32_t mapping, mote_error *err)
{
    mote__checkpoint *c = NULL;
    *out = NULL;
    mote_status st = check_mapping(mapping, err);
    if (st < 0)
        return st;
    if ((st = create(&c, 1, err)) < 0)
        return finish(out, c, st, err);
    char name[40];
    snprintf(name, sizeof name, "descriptor %d", fd);
    if (!(c->parts[0].name = copy_string(name)))
        st = mote__fail_memory(err, sizeof name, "name");
    else if ((st = mote__file_open_fd(&c->parts[0].file, fd, offset, length, err)) >=
                     0 &&
             (st = add_part(c, 0, mapping, 1, err)) >= 0 &&
             (st = sort_tensors(c, err)) >= 0)
        st = need_config(c, err);
    return finish(out, c, st, err);
}

mote_status mote__checkpoint_open_memory(
        mote__checkpoint **out, const void *data, size_t size, mote_error *err)
{
    mote__checkpoint *c = NULL;
    *out = NULL;
    mote_status st = create(&c, 1, err);
    if (st < 0)
        return finish(out, c, st, err);
    mote__file_open_memory(&c->parts[0].file, data, size);
    if (!(c->parts[0].name = copy_string("memory")))
        st = mote__fail_memory(err, 7, "name");
    else if ((st = add_part(c, 0, MOTE_MAP_OFF, 1, err)) >= 0 &&
             (st = sort_tensors(c, err)) >= 0)
        st = need_config(c, err);
    return finish(out, c, st, err);
}

/* ---- looking ---- */

const char *mote__checkpoint_text(
        const mote__checkpoint *c, const char *name, size_t *size)
{
    for (size_t i = 0; i < c->n_texts; i++)
        if (strcmp(c->texts[i].name, name) == 0) {
            if (size)
                *size = c->texts[i].size;
            return c->texts[i].text;
        }
    if (size)
        *size = 0;
    return NULL;
}

size_t mote__checkpoint_count(const mote__checkpoint *c)
{
    return c->n_tensors;
}

const mote__tensor *mote__checkpoint_at(const mote__checkpoint *c, size_t index)
{
    return index < c->n_tensors ? &c->tensors[index] : NULL;
}

const mote__tensor *mote__checkpoint_find(const mote__checkpoint *c, const char *name)
{
    const mote__tensor key = {.name = name};
    return c->n_tensors ? bsearch(&key, c->tensors, c->n_tensors, sizeof key,
                                  mote__tensor_compare)
                        : NULL;
}

mote_status mote__checkpoint_read(const mote__checkpoint *c, const mote__tensor *t,
        uint64_t offset, uint64_t n_bytes, void *dst, mote_error *err)
{
    const part *p = &c->parts[t->file];
    mote_error detail;
    if (offset > t->n_bytes || n_bytes > t->n_bytes - offset || n_bytes > SIZE_MAX)
        return mote__fail(err, MOTE_E_INVALID,
                "tensor %.120s: %llu bytes at %llu lie outside its %llu bytes", t->name,
                (unsigned long long)n_bytes, (unsigned long long)offset,
                (unsigned long long)t->n_bytes);
    mote_status st = mote__file_read(
            &p->file, t->offset + offset, (size_t)n_bytes, dst, &detail);
    if (st < 0)
        return mote__fail(
                err, st, "%.200s: tensor %.120s: %s", p->name, t->name, detail.message);
    return MOTE_OK;
}

int mote__checkpoint_reads(const mote__checkpoint *c, const char *path)
{
    for (size_t i = 0; i < c->n_parts; i++)
        if (mote__file_is(&c->parts[i].file, path))
            return 1;
    return 0;
}

uint64_t mote__checkpoint_mapped_bytes(const mote__checkpoint *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->n_parts; i++)
        n += c->parts[i].file.map_size;
    return n;
}
