/* SPDX-License-Identifier: MIT */
/* Checkpoints whose weights are wrong in one place: each is an error that names it, or
 * a numeric error when the wrong value is reached; and activations beyond fp16's range.
 */
#include "golden.h"
#include "mote/experimental.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../portable.h"

/* A checkpoint directory of our own: config.json as it is, model.safetensors in memory
 * to be damaged and written. */
typedef struct damaged {
    char dir[64];
    char *data; /* the file: 8 bytes of header length, the header, the tensors */
    size_t size, n_header;
    char *good;   /* copy of data */
    uint32_t mtp; /* how to open it */
} damaged;

typedef struct tensor {
    char name[120], dtype[16];
    char *entry; /* of the header, at the opening quote of its name */
    unsigned shape[2];
    uint32_t n_dims;
    char *bytes;
    size_t n_bytes;
} tensor;

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static damaged open_damaged(const char *name)
{
    damaged d = {.dir = "weights-XXXXXX"};
    const char *data = getenv("MOTE_TEST_DATA");
    char from[512];
    snprintf(from, sizeof from, "%s/oracle/%s", data ? data : "tests/data", name);
    assert_non_null(mkdtemp(d.dir));
    size_t n = 0;
    char *config = golden_read_file(golden_path("%s/config.json", from), &n);
    assert_non_null(config);
    write_file(golden_path("%s/config.json", d.dir), config, n);
    free(config);
    d.data = golden_read_file(golden_path("%s/model.safetensors", from), &d.size);
    assert_non_null(d.data);
    uint64_t n_header;
    memcpy(&n_header, d.data, 8);
    d.n_header = (size_t)n_header;
    d.good = malloc(d.size);
    memcpy(d.good, d.data, d.size);
    return d;
}

static void close_damaged(damaged *d)
{
    unlink(golden_path("%s/config.json", d->dir));
    unlink(golden_path("%s/model.safetensors", d->dir));
    rmdir(d->dir);
    free(d->data);
    free(d->good);
}

/* The first tensor from `*at` (0: the first of all) whose name ends in `suffix`. */
static int next_tensor(const damaged *d, size_t *at, const char *suffix, tensor *t)
{
    char *header = d->data + 8;
    for (char *p = header + *at;;) {
        p = strstr(p, "\":{\"dtype\":\"");
        if (!p || p >= header + d->n_header)
            return 0;
        char *start = p;
        while (start[-1] != '"')
            start--;
        size_t n = (size_t)(p - start), n_suffix = strlen(suffix);
        p += 12;
        if (n < n_suffix || memcmp(start + n - n_suffix, suffix, n_suffix) != 0)
            continue;
        size_t begin = 0, end = 0;
        memset(t, 0, sizeof *t);
        snprintf(t->name, sizeof t->name, "%.*s", (int)n, start);
        assert_true(sscanf(p, "%15[A-Z0-9_]", t->dtype) == 1);
        char *shape = strstr(p, "\"shape\":["),
             *offsets = strstr(p, "\"data_offsets\":[");
        t->n_dims =
                (uint32_t)sscanf(shape, "\"shape\":[%u,%u", &t->shape[0], &t->shape[1]);
        assert_int_equal(sscanf(offsets, "\"data_offsets\":[%zu,%zu", &begin, &end), 2);
        t->entry = start;
        t->bytes = header + d->n_header + begin;
        t->n_bytes = end - begin;
        *at = (size_t)(p - header);
        return 1;
    }
}

/* Write, open, restore; the status of opening, and the message. */
static mote_status try(damaged *d, mote_model **model, mote_error *err)
{
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    o.n_threads = 2;
    o.mapping = MOTE_MAP_OFF;
    o.mtp = d->mtp;
    write_file(golden_path("%s/model.safetensors", d->dir), d->data, d->size);
    memcpy(d->data, d->good, d->size);
    return mote_model_open(model, d->dir, &o, err);
}

static void must_fail(damaged *d, mote_status expected, const char *name)
{
    mote_model *model = NULL;
    mote_error err = {0};
    mote_status st = try(d, &model, &err);
    if (st != expected || !strstr(err.message, name))
        print_error("%s damaged: %s, %s\n", name, mote_status_name(st), err.message);
    assert_int_equal(st, expected);
    assert_null(model);
    assert_non_null(strstr(err.message, name));
}

/* "A scale tensor that is absent [...] is an error, never scale 1": each of them. */
static void an_absent_scale_is_an_error(void **state)
{
    (void)state;
    damaged d = open_damaged("v3-fp8-ue8m0");
    tensor t;
    int n = 0;
    for (size_t at = 0; next_tensor(&d, &at, ".weight_scale_inv", &t); n++) {
        char *name = strstr(t.entry, "_scale_inv");
        memcpy(name, "_scale_not", 10);
        must_fail(&d, MOTE_E_NOT_FOUND, t.name);
    }
    assert_true(n > 15);
    close_damaged(&d);
}

/* "... or has the wrong shape": rows and columns exchanged, same bytes. */
static void a_scale_of_the_wrong_shape_is_an_error(void **state)
{
    (void)state;
    damaged d = open_damaged("v3-fp8-ue8m0");
    tensor t;
    int n = 0;
    for (size_t at = 0; next_tensor(&d, &at, ".weight_scale_inv", &t);) {
        assert_int_equal(t.n_dims, 2);
        if (t.shape[0] == t.shape[1] || t.shape[0] > 9 || t.shape[1] > 9)
            continue;
        char *shape = strstr(t.entry, "\"shape\":[") + 9;
        shape[0] = (char)('0' + t.shape[1]);
        shape[2] = (char)('0' + t.shape[0]);
        must_fail(&d, MOTE_E_FORMAT, t.name);
        n++;
    }
    assert_true(n > 5);
    close_damaged(&d);
}

static void a_scale_that_is_no_number_is_an_error(void **state)
{
    (void)state;
    damaged d = open_damaged("v3-fp8-ue8m0");
    tensor t;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    int n = 0;
    for (size_t at = 0; next_tensor(&d, &at, ".weight_scale_inv", &t); n++) {
        assert_string_equal(t.dtype, "F32");
        memcpy(t.bytes + (n % 2 ? t.n_bytes - 4 : 0), &bad[n % 3], 4);
        must_fail(&d, MOTE_E_FORMAT, t.name);
    }
    close_damaged(&d);
}

/* e4m3 has no infinity, but NaN: in any weight it is an error on opening. */
static void an_e4m3_weight_that_is_no_number_is_an_error(void **state)
{
    (void)state;
    damaged d = open_damaged("v3-fp8-ue8m0");
    tensor t;
    size_t n = 0;
    for (size_t at = 0; next_tensor(&d, &at, ".weight", &t);) {
        if (strcmp(t.dtype, "F8_E4M3") != 0)
            continue;
        t.bytes[n * 7919 % t.n_bytes] = n % 2 ? 0x7f : (char)0xff;
        must_fail(&d, MOTE_E_FORMAT, t.name);
        n++;
    }
    assert_true(n > 15);
    close_damaged(&d);
}

/* "All shapes are checked against the config before anything is computed." */
static void a_weight_of_the_wrong_shape_is_an_error(void **state)
{
    (void)state;
    damaged d = open_damaged("v3-tied");
    tensor t;
    int n = 0;
    for (size_t at = 0; next_tensor(&d, &at, ".weight", &t);) {
        char *shape = strstr(t.entry, "\"shape\":["), text[40];
        if (t.n_dims == 1) { /* of 64, 64 x 1 */
            continue;
        }
        if (t.shape[0] == t.shape[1])
            continue;
        int length = snprintf(
                text, sizeof text, "\"shape\":[%u,%u]", t.shape[1], t.shape[0]);
        memcpy(shape, text, (size_t)length);
        must_fail(&d, MOTE_E_FORMAT, t.name);
        n++;
    }
    assert_true(n > 20);
    close_damaged(&d);
}

static void an_absent_weight_is_an_error(void **state)
{
    (void)state;
    damaged d = open_damaged("v3-tied");
    d.mtp = MOTE_MTP_ON; /* without it, a checkpoint whose MTP module is cut off opens
                          */
    tensor t;
    int n = 0;
    for (size_t at = 0; next_tensor(&d, &at, "", &t);) {
        /* Of the MTP layer, embedding and head may be shared instead of repeated. */
        if (strstr(t.name, "layers.2.embed_tokens") ||
                strstr(t.name, "shared_head.head") || strstr(t.name, "lm_head") ||
                strstr(t.name, "rotary"))
            continue;
        t.entry[0] = 'X';
        mote_model *model = NULL;
        mote_error err = {0};
        mote_status st = try(&d, &model, &err);
        if (st >= 0)
            print_error("%s is absent, and the model opens\n", t.name);
        assert_true(st < 0);
        assert_null(model);
        assert_non_null(strstr(err.message, t.name));
        n++;
    }
    assert_true(n > 50);
    close_damaged(&d);
}

/* One product reads gate and up, and one set of activations all experts of a layer: a
 * matrix whose type differs from its neighbours' would be read as what it is not. */
static void weights_that_do_not_go_together_are_an_error(void **state)
{
    (void)state;
    damaged d = open_damaged("v2-lite-bf16");
    tensor t;
    int n = 0;
    for (size_t at = 0; next_tensor(&d, &at, "_proj.weight", &t);) {
        char *dtype = strstr(t.entry, "\"BF16\"");
        if (!strstr(t.name, ".mlp.") || strcmp(t.dtype, "BF16") != 0)
            continue;
        memcpy(dtype, "\"F16\" ", 6);
        mote_model *model = NULL;
        mote_error err = {0};
        mote_status st = try(&d, &model, &err);
        /* down of a dense MLP or of shared experts stands alone */
        int alone = strstr(t.name, "down_proj") && !strstr(t.name, ".experts.");
        if (st != (alone ? MOTE_OK : MOTE_E_UNSUPPORTED))
            print_error("%s: %s\n", t.name, err.message);
        assert_int_equal(st, alone ? MOTE_OK : MOTE_E_UNSUPPORTED);
        assert_true(alone || (!model && strstr(err.message, "expected")));
        mote_model_close(model);
        n++;
    }
    assert_true(n > 20);
    close_damaged(&d);
}

/* NaN anywhere in the weights reaches the logits as an error, or was refused on
 * opening; never a crash, never a wrong number. */
static void nan_weights_are_a_numeric_error(void **state)
{
    (void)state;
    damaged d = open_damaged("v3-f32");
    tensor t;
    const float nan = NAN;
    int n_refused = 0, n_numeric = 0, n_untouched = 0;
    const int32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    for (size_t at = 0; next_tensor(&d, &at, "", &t);) {
        for (size_t i = 0; i < t.n_bytes; i += 4)
            memcpy(t.bytes + i, &nan, 4);
        mote_model *model = NULL;
        mote_error err = {0};
        mote_status st = try(&d, &model, &err);
        if (st < 0) {
            assert_int_equal(st, MOTE_E_FORMAT);
            assert_non_null(strstr(err.message, t.name));
            n_refused++;
            continue;
        }
        mote_session *s = golden_session(model, 32, MOTE_KV_F32, MOTE_DRAFT_OFF, 0);
        float logits[96];
        st = mote_session_eval(s, tokens, 12, &err);
        if (st == MOTE_OK)
            st = mote_session_logits(s, 11, logits, 96, &err);
        if (st == MOTE_OK) {
            /* Only an expert to which no token went may be NaN without consequence, or
             * the bias: NaN is never chosen. */
            if (!strstr(t.name, "mlp.experts.") &&
                    !strstr(t.name, "e_score_correction"))
                print_error("%s is NaN, and logits are not\n", t.name);
            assert_true(strstr(t.name, "mlp.experts.") ||
                        strstr(t.name, "e_score_correction"));
            n_untouched++;
        } else {
            assert_int_equal(st, MOTE_E_NUMERIC);
            n_numeric++;
        }
        mote_session_close(s);
        mote_model_close(model);
    }
    assert_true(n_numeric + n_refused > 20 && n_untouched < 30);
    close_damaged(&d);
}

/* A weight that is no number, where the pack's type can say so: packing is refused. */
static void packing_nan_weights_is_an_error(void **state)
{
    static const uint32_t types[] = {
            MOTE_TYPE_FP8, MOTE_TYPE_INT8, MOTE_TYPE_INT4, MOTE_TYPE_INT4_ALL};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    damaged d = open_damaged("v3-f32");
    tensor t;
    size_t n = 0;
    for (size_t at = 0; next_tensor(&d, &at, "_proj.weight", &t); n++) {
        mote_pack_options o = MOTE_PACK_OPTIONS_INIT;
        o.type = types[n % 4];
        memcpy(t.bytes + n * 7919 % (t.n_bytes / 4) * 4, &bad[n % 3], 4);
        write_file(golden_path("%s/model.safetensors", d.dir), d.data, d.size);
        memcpy(d.data, d.good, d.size);
        char path[80];
        snprintf(path, sizeof path, "%s/nan.mote", d.dir);
        mote_error err = {0};
        assert_int_equal(mote_pack_write(d.dir, path, &o, &err), MOTE_E_FORMAT);
        if (!strstr(err.message, "is not finite"))
            print_error("%s: %s\n", t.name, err.message);
        assert_non_null(strstr(err.message, "is not finite"));
        assert_int_equal(access(path, F_OK), -1);
    }
    assert_true(n > 20);
    close_damaged(&d);
}

/* "fp16 overflows on this family": a residual stream of 10^6, far above 65504, through
 * every cache type and precision. */
static void activations_beyond_fp16(void **state)
{
    (void)state;
    damaged d = open_damaged("v3-f32");
    tensor t;
    size_t at = 0;
    assert_true(next_tensor(&d, &at, "embed_tokens.weight", &t));
    assert_string_equal(t.dtype, "F32");
    for (size_t i = 0; i < t.n_bytes; i += 4) {
        float x;
        memcpy(&x, t.bytes + i, 4);
        x *= 0x1p20f;
        memcpy(t.bytes + i, &x, 4);
    }
    mote_model *model = NULL;
    mote_error err = {0};
    assert_int_equal(try(&d, &model, &err), MOTE_OK);
    const int32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8};
    static float hidden[16 * 8 * 48], reference[96], logits[96];
    size_t length = 0;
    for (uint32_t kv = MOTE_KV_F32; kv <= MOTE_KV_FP8; kv++)
        for (uint32_t precision = MOTE_PRECISION_EXACT;
                precision <= MOTE_PRECISION_BF16; precision++) {
            mote_session_options o = MOTE_SESSION_OPTIONS_INIT;
            o.context_tokens = 32;
            o.kv_type = kv;
            o.precision = precision;
            mote_session *s = NULL;
            MUST(mote_session_open(&s, model, &o, err));
            MUST(mote_x_session_tap(s, tokens, 8, MOTE_X_TAP_HIDDEN, hidden,
                    sizeof hidden / sizeof *hidden, &length, err));
            assert_true(golden_rms(hidden, length) > 65504);
            mote_session_reset(s);
            MUST(mote_session_eval(s, tokens, 8, err));
            MUST(mote_session_logits(s, 7, logits, 96, err));
            if (kv == MOTE_KV_F32 && precision == MOTE_PRECISION_EXACT)
                memcpy(reference, logits, sizeof logits);
            /* The embedding outweighs what the blocks add by 2^20, so rounding of the
             * head's input is all that is left: 2^-8 of bf16. */
            assert_true(golden_max_difference(logits, reference, 96) <=
                        0x1p-6 * golden_rms(reference, 96));
            mote_session_close(s);
        }
    mote_model_close(model);
    close_damaged(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(an_absent_scale_is_an_error),
            cmocka_unit_test(a_scale_of_the_wrong_shape_is_an_error),
            cmocka_unit_test(a_scale_that_is_no_number_is_an_error),
            cmocka_unit_test(an_e4m3_weight_that_is_no_number_is_an_error),
            cmocka_unit_test(a_weight_of_the_wrong_shape_is_an_error),
            cmocka_unit_test(an_absent_weight_is_an_error),
            cmocka_unit_test(weights_that_do_not_go_together_are_an_error),
            cmocka_unit_test(nan_weights_are_a_numeric_error),
            cmocka_unit_test(packing_nan_weights_is_an_error),
            cmocka_unit_test(activations_beyond_fp16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
