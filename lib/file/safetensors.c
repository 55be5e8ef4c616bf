/* SPDX-License-Identifier: MIT */
#include "file/safetensors.h"
#include "base/json.h"
#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const mote__checkpoint_text_names[] = {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tiktoken.model",
        "tokenizer_config.json",
        "chat_template.jinja",
        NULL,
};

void mote__text_free(mote__text *t)
{
    free(t->name);
    free(t->text);
    memset(t, 0, sizeof *t);
}

void mote__safetensors_free(mote__safetensors *s)
{
    for (size_t i = 0; i < s->n_texts; i++)
        mote__text_free(&s->texts[i]);
    free(s->texts);
    free(s->tensors);
    free(s->names);
    memset(s, 0, sizeof *s);
}

int mote__tensor_compare(const void *a, const void *b)
{
    return strcmp(((const mote__tensor *)a)->name, ((const mote__tensor *)b)->name);
}

static int compare_ranges(const void *a, const void *b)
{
    const mote__tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

/* "<where>: tensor NAME", cut where it gets too long to read. */
typedef struct place {
    char s[256];
} place;
static const char *place_of(place *p, const char *where, const char *name)
{
    snprintf(p->s, sizeof p->s, "%.120s: tensor %.100s", where, name);
    return p->s;
}

static int dtype_of(const char *name)
{
    for (uint32_t i = 0; i < MOTE__DTYPES; i++)
        if (strcmp(mote__dtype_name(i), name) == 0)
            return (int)i;
    return -1;
}

/* One header entry. `data` is the number of bytes after the header. On return t->offset
 * counts from the start of the data. */
static mote_status parse_tensor(mote__tensor *t, const json_t *entry, uint64_t data,
        const char *where, mote_error *err)
{
    place p;
    place_of(&p, where, t->name);
    if (!json_is_object(entry)) {
        mote__json_text found;
        return mote__fail(err, MOTE_E_FORMAT, "%s: expected an object, found %s", p.s,
                mote__json_found(&found, entry));
    }

    const json_t *v = json_object_get(entry, "dtype");
    if (!json_is_string(v))
        return mote__json_wrong(p.s, "dtype", "a string", v, err);
    int dtype = dtype_of(json_string_value(v));
    if (dtype < 0)
        return mote__fail(err, MOTE_E_UNSUPPORTED, "%s: unknown dtype %.40s", p.s,
                json_string_value(v));
    t->dtype = (uint32_t)dtype;

    v = json_object_get(entry, "shape");
    if (!json_is_array(v))
        return mote__json_wrong(p.s, "shape", "an array", v, err);
    if (json_array_size(v) > 8)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "%s: shape: expected at most 8 dimensions, found %zu", p.s,
                json_array_size(v));
    t->n_dims = (uint32_t)json_array_size(v);
    uint64_t n_bytes = mote__dtype_bytes(t->dtype);
    for (uint32_t i = 0; i < t->n_dims; i++) {
        const json_t *d = json_array_get(v, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return mote__json_wrong(p.s, "shape", "dimensions of at least 0", d, err);
        t->shape[i] = (uint64_t)json_integer_value(d);
        if (__builtin_mul_overflow(n_bytes, t->shape[i], &n_bytes))
            return mote__fail(err, MOTE_E_FORMAT,
                    "%s: shape: the number of bytes overflows", p.s);
    }

    v = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(v, 0), *end = json_array_get(v, 1);
    if (!json_is_array(v) || json_array_size(v) != 2)
        return mote__json_wrong(p.s, "data_offsets", "an array of 2 integers", v, err);
    if (!json_is_integer(begin) || json_integer_value(begin) < 0)
        return mote__json_wrong(
                p.s, "data_offsets", "integers of at least 0", begin, err);
    if (!json_is_integer(end) || json_integer_value(end) < 0)
        return mote__json_wrong(
                p.s, "data_offsets", "integers of at least 0", end, err);
    uint64_t b = (uint64_t)json_integer_value(begin),
             e = (uint64_t)json_integer_value(end);
    if (b > e)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: data_offsets: reversed, begin %llu is after end %llu", p.s,
                (unsigned long long)b, (unsigned long long)e);
    if (e > data)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: data_offsets: end %llu is outside the file's %llu bytes of data",
                p.s, (unsigned long long)e, (unsigned long long)data);
    if (e - b != n_bytes)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: shape and dtype %s need %llu bytes, data_offsets give %llu", p.s,
                mote__dtype_name(t->dtype), (unsigned long long)n_bytes,
                (unsigned long long)(e - b));
    t->offset = b;
    t->n_bytes = n_bytes;
    return MOTE_OK;
}

/* The ranges must tile [0, data). */
static mote_status check_ranges(
        mote__safetensors *s, uint64_t data, const char *where, mote_error *err)
{
    if (s->n_tensors)
        qsort(s->tensors, s->n_tensors, sizeof *s->tensors, compare_ranges);
    uint64_t end = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const mote__tensor *t = &s->tensors[i];
        place p;
        if (t->offset < end)
            return mote__fail(err, MOTE_E_FORMAT, "%s overlaps tensor %.100s",
                    place_of(&p, where, t->name), s->tensors[i - 1].name);
        if (t->offset > end)
            return mote__fail(err, MOTE_E_FORMAT, "%s: a gap of %llu bytes before it",
                    place_of(&p, where, t->name),
                    (unsigned long long)(t->offset - end));
        end = t->offset + t->n_bytes;
    }
    if (end != data)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: %llu trailing bytes after the last tensor", where,
                (unsigned long long)(data - end));
    return MOTE_OK;
}

/* A copy with a NUL after it. */
static char *copy_text(const char *text, size_t size)
{
    char *p = malloc(size + 1);
    if (p) {
        memcpy(p, text, size);
        p[size] = '\0';
    }
    return p;
}

static mote_status parse_metadata(
        mote__safetensors *s, json_t *meta, const char *where, mote_error *err)
{
    if (json_is_null(meta))
        return MOTE_OK;
    if (!json_is_object(meta))
        return mote__json_wrong(
                where, "__metadata__", "an object of strings", meta, err);
    const char *key;
    json_t *v;
    json_object_foreach(meta, key, v)
    {
        if (!json_is_string(v))
            return mote__json_wrong(
                    where, "__metadata__", "an object of strings", v, err);
        (void)key;
    }
    size_t n_names = 0;
    while (mote__checkpoint_text_names[n_names])
        n_names++;
    s->texts = calloc(n_names, sizeof *s->texts);
    if (!s->texts)
        return mote__fail_memory(err, n_names * sizeof *s->texts, "texts");
    for (size_t i = 0; i < n_names; i++) {
        const char *name = mote__checkpoint_text_names[i];
        if (!(v = json_object_get(meta, name)))
            continue;
        mote__text *t = &s->texts[s->n_texts++];
        t->size = json_string_length(v);
        t->name = copy_text(name, strlen(name));
        t->text = copy_text(json_string_value(v), t->size);
        if (!t->name || !t->text)
            return mote__fail_memory(err, t->size + 1, name);
    }
    return MOTE_OK;
}

static mote_status parse_header(mote__safetensors *s, json_t *root, uint64_t data,
        uint32_t file, const char *where, mote_error *err)
{
    if (!json_is_object(root))
        return mote__fail(
                err, MOTE_E_FORMAT, "%s: the header is not a JSON object", where);
    json_t *meta = json_object_get(root, "__metadata__");
    mote_status st = meta ? parse_metadata(s, meta, where, err) : MOTE_OK;
    if (st < 0)
        return st;

    size_t n = json_object_size(root) - (meta != NULL), names = 0;
    const char *key;
    json_t *v;
    json_object_foreach(root, key, v) names += strlen(key) + 1;
    s->tensors = calloc(n ? n : 1, sizeof *s->tensors);
    s->names = malloc(names ? names : 1);
    if (!s->tensors || !s->names)
        return mote__fail_memory(err, n * sizeof *s->tensors + names, "tensor table");

    char *to = s->names;
    json_object_foreach(root, key, v)
    {
        if (v == meta)
            continue;
        mote__tensor *t = &s->tensors[s->n_tensors++];
        size_t length = strlen(key) + 1;
        memcpy(to, key, length);
        t->name = to;
        t->file = file;
        to += length;
        if ((st = parse_tensor(t, v, data, where, err)) < 0)
            return st;
    }
    return MOTE_OK;
}

mote_status mote__safetensors_parse(mote__safetensors *out, const mote__file *f,
        uint32_t file, const char *where, mote_error *err)
{
    unsigned char raw[8];
    char *text = NULL;
    json_t *root = NULL;
    mote_error detail;
    mote_status st;
    memset(out, 0, sizeof *out);
    if (f->size < sizeof raw)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: %llu bytes is too short for a safetensors file", where,
                (unsigned long long)f->size);
    if ((st = mote__file_read(f, 0, sizeof raw, raw, &detail)) < 0)
        return mote__fail(err, st, "%s: %s", where, detail.message);
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | raw[i];
    if (n > MOTE__SAFETENSORS_HEADER_MAX)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: safetensors header of %llu bytes, at most %u allowed", where,
                (unsigned long long)n, MOTE__SAFETENSORS_HEADER_MAX);
    if (n > f->size - sizeof raw)
        return mote__fail(err, MOTE_E_FORMAT,
                "%s: safetensors header of %llu bytes reaches beyond the file of %llu "
                "bytes",
                where, (unsigned long long)n, (unsigned long long)f->size);

    text = malloc(n ? (size_t)n : 1);
    if (!text)
        return mote__fail_memory(err, (size_t)n, "safetensors header");
    if ((st = mote__file_read(f, sizeof raw, (size_t)n, text, &detail)) < 0) {
        st = mote__fail(err, st, "%s: %s", where, detail.message);
        goto out;
    }
    if (!n || text[0] != '{') {
        st = mote__fail(err, MOTE_E_FORMAT,
                "%s: the safetensors header does not begin with {", where);
        goto out;
    }
    if ((st = mote__json_parse(&root, text, (size_t)n, where, err)) < 0)
        goto out;
    free(text); /* the tree has its own copy: do not hold both and the table */
    text = NULL;
    uint64_t data = f->size - sizeof raw - n;
    if ((st = parse_header(out, root, data, file, where, err)) < 0)
        goto out;
    if ((st = check_ranges(out, data, where, err)) < 0)
        goto out;
    for (size_t i = 0; i < out->n_tensors; i++)
        out->tensors[i].offset += sizeof raw + n;
    if (out->n_tensors)
        qsort(out->tensors, out->n_tensors, sizeof *out->tensors, mote__tensor_compare);
out:
    free(text);
    json_decref(root);
    if (st < 0)
        mote__safetensors_free(out);
    return st;
}
