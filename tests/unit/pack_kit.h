/* SPDX-License-Identifier: MIT */
/* What the tests of packs share: making them, reading them, taking them apart. */
#ifndef MOTE_TESTS_PACK_KIT_H
#define MOTE_TESTS_PACK_KIT_H
#include "../golden/golden.h"
#include "mote/pack.h"

/* One pack in memory, with the places of its parts. */
typedef struct kit_pack {
    uint8_t *data; /* 64-byte aligned */
    size_t size;
    size_t *edges; /* where sections and units begin and end, ascending */
    size_t n_edges;
    size_t *unit_at, *unit_bytes; /* as stored, in the file */
    size_t n_units;
    size_t hashes_at; /* of the section of checksums */
} kit_pack;

/* A folder of this process for files, made when first asked for. */
const char *kit_folder(void);
/* Remove it and what is in it. */
void kit_clean(void);
/* A checkpoint of tests/data/oracle. */
const char *kit_checkpoint(const char *name);
/* Pack a checkpoint into kit_folder(); returns the path, from malloc. */
char *kit_make(const char *checkpoint, const char *name, uint32_t type, int zstd);
void kit_open(kit_pack *p, const char *path);
void kit_close(kit_pack *p);
/* 64-byte aligned copy. */
uint8_t *kit_copy(const void *data, size_t size);
void kit_write(const char *path, const void *data, size_t size);
uint32_t kit_get32(const uint8_t *p);
uint64_t kit_get64(const uint8_t *p);
void kit_put32(uint8_t *p, uint32_t v);
void kit_put64(uint8_t *p, uint64_t v);
/* Make checksums right again: of the header; with `deep` also those of units and
 * sections. data holds what became of p's bytes. */
void kit_repair(const kit_pack *p, uint8_t *data, size_t size, int deep);

enum { KIT_TOKENS = 24 };
/* Logits of KIT_TOKENS tokens [KIT_TOKENS][vocab], from malloc: half of them in one
 * call, half one by one. */
float *kit_logits(mote_model *m);
/* Fail unless the model gives these bits. */
void kit_same(mote_model *m, const float *logits);
/* Logits of a model by path. */
float *kit_logits_of(const char *path);
#endif
