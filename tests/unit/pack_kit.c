/* SPDX-License-Identifier: MIT */
#include "pack_kit.h"

#include "base/hash.h"
#include "file/pack_file.h"
#include "model/packing.h"
#include "model/units.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

const char *kit_folder(void)
{
    if (!folder[0]) {
        strcpy(folder, "/tmp/mote-test-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    return folder;
}

void kit_clean(void)
{
    DIR *d = folder[0] ? opendir(folder) : NULL;
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            remove(golden_path("%s/%s", folder, e->d_name));
    if (d)
        closedir(d);
    rmdir(folder);
    folder[0] = 0;
}

const char *kit_checkpoint(const char *name)
{
    const char *data = getenv("MOTE_TEST_DATA");
    return golden_path("%s/oracle/%s", data ? data : "tests/data", name);
}

char *kit_make(const char *checkpoint, const char *name, uint32_t type, int zstd)
{
    mote_pack_options o = MOTE_PACK_OPTIONS_INIT;
    o.type = type;
    o.zstd_level = zstd;
    char *path = strdup(golden_path("%s/%s", kit_folder(), name));
    assert_non_null(path);
    MUST(mote_pack_write(kit_checkpoint(checkpoint), path, &o, err));
    return path;
}

uint32_t kit_get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t kit_get64(const uint8_t *p)
{
    return kit_get32(p) | (uint64_t)kit_get32(p + 4) << 32;
}

void kit_put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

void kit_put64(uint8_t *p, uint64_t v)
{
    kit_put32(p, (uint32_t)v);
    kit_put32(p + 4, (uint32_t)(v >> 32));
}

uint8_t *kit_copy(const void *data, size_t size)
{
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, 64, size + 1), 0);
    memcpy(p, data, size);
    return p;
}

void kit_write(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

void kit_open(kit_pack *p, const char *path)
{
    memset(p, 0, sizeof *p);
    void *raw = golden_read_file(path, &p->size);
    assert_non_null(raw);
    p->data = kit_copy(raw, p->size);
    free(raw);
    mote__file file;
    mote__pack_file pack;
    mote__config c;
    mote__layout l;
    mote__units u;
    mote__file_open_memory(&file, p->data, p->size);
    MUST(mote__pack_file_open(&pack, &file, err));
    MUST(mote__pack_describe(&pack, &c, &l, MOTE_MTP_AUTO, err));
    MUST(mote__units_of(&u, &l, SIZE_MAX, err));
    p->n_units = u.n;
    p->unit_at = calloc(u.n, sizeof(size_t));
    p->unit_bytes = calloc(u.n, sizeof(size_t));
    p->edges = calloc(2 * (u.n + pack.n_sections), sizeof(size_t));
    size_t base = (size_t)mote__pack_find(&pack, MOTE__PACK_WEIGHTS)->offset;
    const mote__pack_section *places = mote__pack_find(&pack, MOTE__PACK_UNITS);
    p->hashes_at = (size_t)mote__pack_find(&pack, MOTE__PACK_HASHES)->offset;
    for (size_t i = 0; i < u.n; i++) {
        const uint8_t *at = places ? p->data + places->offset + 16 * i : NULL;
        p->unit_at[i] = base + (size_t)(at ? kit_get64(at) : u.units[i].offset);
        p->unit_bytes[i] = (size_t)(at ? kit_get64(at + 8) : u.units[i].n_bytes);
        p->edges[p->n_edges++] = p->unit_at[i];
        p->edges[p->n_edges++] = p->unit_at[i] + p->unit_bytes[i];
    }
    for (uint32_t i = 0; i < pack.n_sections; i++) {
        p->edges[p->n_edges++] = (size_t)pack.sections[i].offset;
        p->edges[p->n_edges++] =
                (size_t)(pack.sections[i].offset + pack.sections[i].n_bytes);
    }
    qsort(p->edges, p->n_edges, sizeof(size_t), by_size);
    mote__units_free(&u);
    mote__layout_free(&l);
    mote__pack_file_close(&pack);
}

void kit_close(kit_pack *p)
{
    free(p->data);
    free(p->edges);
    free(p->unit_at);
    free(p->unit_bytes);
}

void kit_repair(const kit_pack *p, uint8_t *data, size_t size, int deep)
{
    for (size_t i = 0; deep && i < p->n_units; i++)
        if (p->unit_at[i] + p->unit_bytes[i] <= size &&
                p->hashes_at + 8 * i + 8 <= size)
            kit_put64(data + p->hashes_at + 8 * i,
                    mote__hash_of(data + p->unit_at[i], p->unit_bytes[i]));
    uint32_t n = size >= 4096 ? kit_get32(data + 28) : 0;
    for (uint32_t i = 0; deep && i < n && i < 32; i++) {
        uint8_t *e = data + 40 + 32 * i;
        uint64_t at = kit_get64(e + 8), bytes = kit_get64(e + 16);
        if (kit_get32(e) != MOTE__PACK_WEIGHTS && at <= size && bytes <= size - at)
            kit_put64(e + 24, mote__hash_of(data + at, (size_t)bytes));
    }
    if (size >= 4096)
        kit_put64(data + 4088, mote__hash_of(data, 4088));
}

float *kit_logits(mote_model *m)
{
    uint32_t vocab = golden_vocab(m);
    int32_t tokens[KIT_TOKENS];
    for (uint32_t i = 0; i < KIT_TOKENS; i++)
        tokens[i] = (int32_t)((i * 37 + 11) % vocab);
    float *logits = malloc(KIT_TOKENS * vocab * sizeof *logits);
    assert_non_null(logits);
    mote_session *s = golden_session(m, 64, MOTE_KV_F32, 0, 1);
    MUST(mote_session_eval(s, tokens, KIT_TOKENS / 2, err));
    for (uint32_t i = KIT_TOKENS / 2; i < KIT_TOKENS; i++)
        MUST(mote_session_eval(s, tokens + i, 1, err));
    golden_logits(s, KIT_TOKENS, logits, vocab);
    mote_session_close(s);
    return logits;
}

void kit_same(mote_model *m, const float *logits)
{
    float *found = kit_logits(m);
    assert_memory_equal(found, logits, KIT_TOKENS * golden_vocab(m) * sizeof *logits);
    free(found);
}

float *kit_logits_of(const char *path)
{
    mote_model *m = golden_model(path, NULL, 2);
    float *logits = kit_logits(m);
    mote_model_close(m);
    return logits;
}
