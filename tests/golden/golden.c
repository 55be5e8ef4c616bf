/* SPDX-License-Identifier: MIT */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const golden_isas[] = {
        "scalar", "avx2", "avx512", "avx512bf16", "neon", "neon_dot", NULL};

const char *golden_path(const char *format, ...)
{
    static char buffers[4][1024];
    static int next;
    char *p = buffers[next++ % 4];
    va_list ap;
    va_start(ap, format);
    vsnprintf(p, sizeof buffers[0], format, ap);
    va_end(ap);
    return p;
}

void *golden_read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *data = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (data) {
        *size = fread(data, 1, (size_t)n, f);
        data[*size] = 0;
    }
    fclose(f);
    return data;
}

golden *golden_open(const char *dir)
{
    size_t n_text = 0, n_blob = 0;
    char *text =
            golden_read_file(golden_path("%s/expected/expected.txt", dir), &n_text);
    golden *g = calloc(1, sizeof *g);
    assert_non_null(text);
    g->blob = golden_read_file(golden_path("%s/expected/expected.bin", dir), &n_blob);
    assert_non_null(g->blob);
    char *lines, *words;
    for (char *line = strtok_r(text, "\n", &lines); line;
            line = strtok_r(NULL, "\n", &lines)) {
        golden_array a = {.count = 1};
        snprintf(a.name, sizeof a.name, "%s", strtok_r(line, " ", &words));
        int is_float = strcmp(strtok_r(NULL, " ", &words), "f32") == 0;
        a.n_dims = (uint32_t)strtoul(strtok_r(NULL, " ", &words), NULL, 10);
        assert_in_range(a.n_dims, 1, 4);
        for (uint32_t d = 0; d < a.n_dims; d++) {
            a.dims[d] = strtoul(strtok_r(NULL, " ", &words), NULL, 10);
            a.count *= a.dims[d];
        }
        size_t offset = strtoul(strtok_r(NULL, " ", &words), NULL, 10);
        size_t n_bytes = strtoul(strtok_r(NULL, " ", &words), NULL, 10);
        assert_int_equal(n_bytes, a.count * 4);
        assert_true(offset % 4 == 0 && offset + n_bytes <= n_blob);
        const void *at = (const char *)g->blob + offset;
        if (is_float)
            a.f = at;
        else
            a.i = at;
        g->arrays = realloc(g->arrays, (g->n_arrays + 1) * sizeof a);
        g->arrays[g->n_arrays++] = a;
    }
    free(text);
    return g;
}

void golden_close(golden *g)
{
    free(g->arrays);
    free(g->blob);
    free(g);
}

const golden_array *golden_find(const golden *g, const char *format, ...)
{
    char name[80];
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    for (size_t i = 0; i < g->n_arrays; i++)
        if (strcmp(g->arrays[i].name, name) == 0)
            return &g->arrays[i];
    return NULL;
}

double golden_rms(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)n);
}

double golden_max_difference(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst))
            worst = isnan(d) ? (double)INFINITY : d;
    }
    return worst;
}

void golden_compare(const char *what, const float *found, const float *expected,
        size_t n, double relative)
{
    double worst = golden_max_difference(found, expected, n) / golden_rms(expected, n);
    if (!(worst <= relative)) {
        size_t at = 0;
        double limit = relative * golden_rms(expected, n);
        while (fabs((double)found[at] - (double)expected[at]) <= limit)
            at++;
        print_error(
                "%s: off by up to %.2e of the rms, expected at most %.2e; first at %zu "
                "of %zu: %.9g instead of %.9g\n",
                what, worst, relative, at, n, (double)found[at], (double)expected[at]);
        fail();
    }
    if (getenv("MOTE_VERBOSE"))
        print_message("             %-24s %.1e of the rms\n", what, worst);
}

/* ---- the library ------------------------------------------------------------------
 */

mote_model *golden_model(const char *path, const char *isa, uint32_t n_threads)
{
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.isa = isa ? isa : getenv("MOTE_TEST_ISA");
    o.n_threads = n_threads;
    mote_model *model = NULL;
    MUST(mote_model_open(&model, path, &o, err));
    return model;
}

mote_model *golden_model_of_isa(const char *path, const char *isa, uint32_t n_threads)
{
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.isa = isa;
    o.n_threads = n_threads;
    mote_model *model = NULL;
    mote_error err;
    mote_status st = mote_model_open(&model, path, &o, &err);
    if (st == MOTE_E_UNSUPPORTED)
        return NULL; /* another architecture's variant */
    if (st != MOTE_OK)
        print_error("%s\n", err.message);
    assert_int_equal(st, MOTE_OK);
    if (strcmp(mote_model_isa(model), isa) != 0) {
        mote_model_close(model);
        return NULL;
    }
    return model;
}

mote_session *golden_session_of(mote_model *model, mote_session_options o)
{
    mote_session *s = NULL;
    o.struct_size = sizeof o;
    o.keep_tokens = UINT32_MAX;
    MUST(mote_session_open(&s, model, &o, err));
    return s;
}

mote_session *golden_session(mote_model *model, uint32_t context_tokens,
        uint32_t kv_type, uint32_t draft, uint32_t deterministic)
{
    return golden_session_of(
            model, (mote_session_options){.context_tokens = context_tokens,
                           .kv_type = kv_type,
                           .precision = MOTE_PRECISION_EXACT,
                           .deterministic = deterministic,
                           .draft = draft});
}

void golden_tokens(int32_t *ids, uint32_t n, uint32_t vocab)
{
    for (uint32_t i = 0; i < n; i++)
        ids[i] = (int32_t)(i ? (i * 2654435761u >> 7) % vocab : 0);
}

void golden_logits(mote_session *s, uint32_t n, float *out, size_t vocab_size)
{
    for (uint32_t i = 0; i < n; i++)
        MUST(mote_session_logits(s, i, out + i * vocab_size, vocab_size, err));
}

uint32_t golden_vocab(const mote_model *model)
{
    mote_model_info info = MOTE_MODEL_INFO_INIT;
    MUST(mote_model_get_info(model, &info, err));
    return info.vocab_size;
}
