/* SPDX-License-Identifier: MIT */
#include "model/importance.h"

#include "base/hash.h"
#include "base/status.h"
#include "file/os_file.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* File: "MOTEIMPO", u64 hash of the shape, then per vector: u64 rows seen and its
 * floats (sums of squares), then u64 checksum of all before. */
static const double FLOOR_ROWS = 64, FLOOR_SHARE = 0.1;
static const char magic[8] = {'M', 'O', 'T', 'E', 'I', 'M', 'P', 'O'};

struct mote__importance {
    const mote__layout *layout;
    size_t *first;         /* [n_layers][MOTE__ROLES]: first slot, or n_slots */
    uint32_t *slot_vector; /* [n_slots]: vector of a slot, or UINT32_MAX */
    size_t n_slots, n_vectors;
    size_t *at;     /* [n_vectors + 1] */
    uint64_t *rows; /* [n_vectors] */
    float *sums;    /* all vectors */
};

/* Slots that read the same input share a vector: it is observed under one role. */
static uint32_t observed_role(uint32_t role, int q_lora)
{
    switch (role) {
    case MOTE__ROLE_Q_A:
        return MOTE__ROLE_KV_A;
    case MOTE__ROLE_Q_B:
        return q_lora ? MOTE__ROLE_Q_B : MOTE__ROLE_KV_A;
    case MOTE__ROLE_UP:
        return MOTE__ROLE_GATE;
    case MOTE__ROLE_EXPERT_UP:
        return MOTE__ROLE_EXPERT_GATE;
    case MOTE__ROLE_KV_A:
    case MOTE__ROLE_O:
    case MOTE__ROLE_GATE:
    case MOTE__ROLE_DOWN:
    case MOTE__ROLE_EH_PROJ:
    case MOTE__ROLE_EXPERT_GATE:
    case MOTE__ROLE_EXPERT_DOWN:
        return role;
    default:
        return MOTE__ROLES; /* not observed */
    }
}

/* Slots of a layer lie together, and the experts' follow each other in threes. */
static size_t find_slot(
        const mote__importance *im, uint32_t layer, uint32_t role, uint32_t expert)
{
    if (layer >= im->layout->n_layers || role >= MOTE__ROLES)
        return im->n_slots;
    size_t i = im->first[(size_t)layer * MOTE__ROLES + role];
    if (role >= MOTE__ROLE_EXPERT_GATE && i < im->n_slots)
        i += 3 * (size_t)expert;
    if (i >= im->n_slots)
        return im->n_slots;
    const mote__slot *s = &im->layout->slots[i];
    return s->layer == layer && s->role == role && s->expert == expert ? i
                                                                       : im->n_slots;
}

static int index_slots(mote__importance *im)
{
    size_t n = (size_t)im->layout->n_layers * MOTE__ROLES;
    im->first = malloc(n * sizeof *im->first);
    if (!im->first)
        return -1;
    for (size_t i = 0; i < n; i++)
        im->first[i] = im->n_slots;
    for (size_t i = im->n_slots; i > 0; i--) {
        const mote__slot *s = &im->layout->slots[i - 1];
        im->first[(size_t)s->layer * MOTE__ROLES + s->role] = i - 1;
    }
    return 0;
}

mote_status mote__importance_open(
        mote__importance **out, const mote__layout *l, mote_error *err)
{
    *out = NULL;
    mote__importance *im = calloc(1, sizeof *im);
    if (!im)
        return mote__fail_memory(err, sizeof *im, "importance");
    im->layout = l;
    im->n_slots = l->n_slots;
    im->slot_vector = malloc(l->n_slots * sizeof *im->slot_vector);
    im->at = malloc((l->n_slots + 1) * sizeof *im->at);
    if (!im->slot_vector || !im->at || index_slots(im) < 0)
        goto memory;
    size_t total = 0;
    uint32_t layer_q_lora = 0;
    for (size_t i = 0; i < l->n_slots; i++) {
        const mote__slot *s = &l->slots[i];
        im->slot_vector[i] = UINT32_MAX;
        if (s->role == MOTE__ROLE_ATTN_NORM)
            layer_q_lora = 0;
        layer_q_lora |= s->role == MOTE__ROLE_Q_A;
        if (observed_role(s->role, (int)layer_q_lora) == s->role) {
            im->slot_vector[i] = (uint32_t)im->n_vectors;
            im->at[im->n_vectors++] = total;
            total += s->n_cols;
        }
    }
    im->at[im->n_vectors] = total;
    /* Followers come after the slot that is observed, or shortly before it (q before
     * kv_a): look within the layer. */
    layer_q_lora = 0;
    for (size_t i = 0; i < l->n_slots; i++) {
        const mote__slot *s = &l->slots[i];
        if (s->role == MOTE__ROLE_ATTN_NORM)
            layer_q_lora = 0;
        layer_q_lora |= s->role == MOTE__ROLE_Q_A;
        uint32_t role = observed_role(s->role, (int)layer_q_lora);
        if (role == s->role || role == MOTE__ROLES)
            continue;
        for (size_t d = 1; d < 8; d++) {
            size_t j = i + d < l->n_slots && l->slots[i + d].role == role &&
                                       l->slots[i + d].layer == s->layer
                               ? i + d
                       : i >= d && l->slots[i - d].role == role &&
                                       l->slots[i - d].layer == s->layer
                               ? i - d
                               : l->n_slots;
            if (j < l->n_slots && l->slots[j].expert == s->expert) {
                im->slot_vector[i] = im->slot_vector[j];
                break;
            }
        }
    }
    im->rows = calloc(im->n_vectors + 1, sizeof *im->rows);
    im->sums = calloc(total + 1, sizeof *im->sums);
    if (!im->rows || !im->sums)
        goto memory;
    *out = im;
    return MOTE_OK;
memory:
    mote__importance_close(im);
    return mote__fail_memory(err, l->n_slots * 16, "importance");
}

void mote__importance_close(mote__importance *im)
{
    if (!im)
        return;
    free(im->first);
    free(im->slot_vector);
    free(im->at);
    free(im->rows);
    free(im->sums);
    free(im);
}

void mote__importance_observe(void *user, uint32_t layer, uint32_t role,
        uint32_t expert, const float *x, size_t ldx, uint32_t k, uint32_t n)
{
    mote__importance *im = user;
    size_t slot = find_slot(im, layer, role, expert);
    if (slot == im->n_slots || im->slot_vector[slot] == UINT32_MAX)
        return;
    uint32_t v = im->slot_vector[slot];
    if (im->at[v + 1] - im->at[v] != k)
        return;
    float *sum = im->sums + im->at[v];
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < k; j++)
            sum[j] += x[i * ldx + j] * x[i * ldx + j];
    im->rows[v] += n;
}

static uint64_t shape_hash(const mote__importance *im)
{
    mote__hash h;
    mote__hash_begin(&h, im->n_vectors);
    for (size_t i = 0; i < im->n_slots; i++) {
        const mote__slot *s = &im->layout->slots[i];
        uint32_t shape[] = {s->layer, s->role, s->expert, s->n_cols};
        mote__hash_add(&h, shape, sizeof shape);
    }
    return mote__hash_end(&h);
}

mote_status mote__importance_save(
        const mote__importance *im, const char *path, mote_error *err)
{
    FILE *f = mote__file_create(path);
    if (!f)
        return mote__file_not_written(path, err);
    uint64_t shape = shape_hash(im);
    size_t total = im->at[im->n_vectors];
    mote__hash h;
    mote__hash_begin(&h, 0);
    mote__hash_add(&h, im->rows, im->n_vectors * sizeof *im->rows);
    mote__hash_add(&h, im->sums, total * sizeof *im->sums);
    uint64_t sum = mote__hash_end(&h);
    int ok = fwrite(magic, 1, 8, f) == 8 && fwrite(&shape, 8, 1, f) == 1 &&
             fwrite(im->rows, sizeof *im->rows, im->n_vectors, f) == im->n_vectors &&
             fwrite(im->sums, sizeof *im->sums, total, f) == total &&
             fwrite(&sum, 8, 1, f) == 1;
    ok &= fclose(f) == 0;
    if (!ok) {
        mote_status st = mote__file_not_written(path, err);
        mote__file_remove(path);
        return st;
    }
    return MOTE_OK;
}

/* A text says little about columns that it hardly uses, and a column of weight zero
 * would be rounded to anything: mix in the mean, more of it the fewer rows were seen.
 */
static void temper(mote__importance *im)
{
    for (size_t v = 0; v < im->n_vectors; v++) {
        size_t n = im->at[v + 1] - im->at[v];
        float *x = im->sums + im->at[v];
        double mean = 0;
        for (size_t i = 0; i < n; i++)
            mean += x[i];
        mean /= (double)(n ? n : 1);
        double rows = (double)im->rows[v];
        double share = (FLOOR_ROWS + FLOOR_SHARE * rows) / (FLOOR_ROWS + rows);
        for (size_t i = 0; i < n; i++)
            x[i] = mean > 0 ? (float)(x[i] / mean * (1 - share) + share) : 1.0f;
    }
}

mote_status mote__importance_load(mote__importance **out, const mote__layout *l,
        const char *path, mote_error *err)
{
    mote__importance *im;
    *out = NULL;
    mote_status st = mote__importance_open(&im, l, err);
    if (st < 0)
        return st;
    size_t total = im->at[im->n_vectors], rows = im->n_vectors * sizeof *im->rows,
           sums = total * sizeof *im->sums, want = 16 + rows + sums + 8;
    char *data = malloc(want);
    mote__file f;
    mote__file_init(&f);
    if (!data)
        st = mote__fail_memory(err, want, "importance");
    if (st >= 0)
        st = mote__file_open(&f, path, err);
    if (st >= 0 && f.size != want)
        st = mote__fail(err, MOTE_E_MISMATCH,
                "%.300s was not gathered with a model of this shape: expected %zu "
                "bytes, found %llu",
                path, want, (unsigned long long)f.size);
    if (st >= 0)
        st = mote__file_read(&f, 0, want, data, err);
    mote__file_close(&f);
    if (st >= 0) {
        uint64_t shape = shape_hash(im), sum;
        if (memcmp(data, magic, 8) != 0 || memcmp(data + 8, &shape, 8) != 0) {
            st = mote__fail(err, MOTE_E_MISMATCH,
                    "%.300s was not gathered with a model of this shape", path);
        } else {
            memcpy(&sum, data + want - 8, 8);
            if (sum != mote__hash_of(data + 16, rows + sums))
                st = mote__fail(err, MOTE_E_FORMAT, "%.300s is damaged", path);
            memcpy(im->rows, data + 16, rows);
            memcpy(im->sums, data + 16 + rows, sums);
            for (size_t i = 0; st >= 0 && i < total; i++)
                if (!(im->sums[i] >= 0 && im->sums[i] <= FLT_MAX))
                    st = mote__fail(err, MOTE_E_FORMAT,
                            "%.300s: value %zu is not a finite sum of squares", path,
                            i);
            if (st >= 0)
                temper(im);
        }
    }
    free(data);
    if (st < 0) {
        mote__importance_close(im);
        return st;
    }
    *out = im;
    return MOTE_OK;
}

const float *mote__importance_of(const mote__importance *im, uint32_t slot)
{
    if (!im || im->slot_vector[slot] == UINT32_MAX || !im->rows[im->slot_vector[slot]])
        return NULL;
    return im->sums + im->at[im->slot_vector[slot]];
}
