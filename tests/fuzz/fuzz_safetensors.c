/* SPDX-License-Identifier: MIT */
/* A checkpoint in memory made of the input: as it is, and as the header of a file that
 * has the right header length and 16 bytes of data, so that mutations get past both. */
#include "fuzz_target.h"

#include "file/checkpoint.h"
#include "file/safetensors.h"

#include <string.h>

/* The header file's promises: within the file, no overlap, size = shape x dtype. */
static void check(const mote__safetensors *s, const mote__file *f, uint64_t data)
{
    uint64_t total = 0;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const mote__tensor *t = &s->tensors[i];
        uint64_t n = mote__dtype_bytes(t->dtype);
        FUZZ_CHECK(n && t->n_dims <= 8 && t->file == 0);
        for (uint32_t k = 0; k < t->n_dims; k++)
            n *= t->shape[k];
        FUZZ_CHECK(n == t->n_bytes);
        FUZZ_CHECK(t->offset <= f->size && n <= f->size - t->offset);
        FUZZ_CHECK(!i || strcmp(s->tensors[i - 1].name, t->name) < 0);
        total += n;
        uint8_t *bytes = malloc(n ? (size_t)n : 1);
        FUZZ_CHECK(bytes);
        FUZZ_CHECK(mote__file_read(f, t->offset, (size_t)n, bytes, NULL) == MOTE_OK);
        free(bytes);
    }
    FUZZ_CHECK(total == data);
    for (size_t i = 0; i < s->n_texts; i++)
        FUZZ_CHECK(strlen(s->texts[i].text) == s->texts[i].size);
}

static void parse(const uint8_t *data, size_t size)
{
    mote__file f;
    mote__safetensors s;
    mote__checkpoint *c;
    mote_error err;
    memset(&err, 0x55, sizeof err);
    mote__file_open_memory(&f, data, size);
    mote_status st = mote__safetensors_parse(&s, &f, 0, "input", &err);
    if (st < 0) {
        FUZZ_CHECK(err.status == st && memchr(err.message, 0, sizeof err.message));
        FUZZ_CHECK(!s.tensors && !s.names && !s.texts);
    } else {
        uint64_t n = 0;
        for (int i = 7; i >= 0; i--)
            n = n << 8 | data[i];
        check(&s, &f, size - 8 - n);
        mote__safetensors_free(&s);
    }
    mote__file_close(&f);
    st = mote__checkpoint_open_memory(&c, data, size, &err);
    FUZZ_CHECK((st < 0) == !c);
    for (size_t i = 0; c && i < mote__checkpoint_count(c); i++)
        FUZZ_CHECK(mote__checkpoint_find(c, mote__checkpoint_at(c, i)->name) ==
                   mote__checkpoint_at(c, i));
    mote__checkpoint_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { DATA = 16 };
    parse(data, size);
    uint8_t *file = malloc(8 + size + DATA);
    FUZZ_CHECK(file);
    /* Of a whole file, the header alone. */
    const uint8_t *header = size > 8 && data[8] == '{' ? data + 8 : data;
    size_t n = size - (size_t)(header - data);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < DATA; i++)
        file[8 + n + i] = (uint8_t)i;
    parse(file, 8 + n + DATA);
    free(file);
    return 0;
}
