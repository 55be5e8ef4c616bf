/* SPDX-License-Identifier: MIT */
/* Option structs: layout, what is taken and refused, text. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "api/options.h"
#include "mote/mote.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "Fields are only ever appended": sizes and offsets of 0.1 on 64-bit systems. */
#if UINTPTR_MAX > 0xffffffffu
#define SIZE_IS(type, n) _Static_assert(sizeof(type) == (n), #type)
#define AT(type, field, n)                                                             \
    _Static_assert(offsetof(type, field) == (n), #type "." #field)
SIZE_IS(mote_model_options, 112);
AT(mote_model_options, n_threads, 4);
AT(mote_model_options, memory_bytes, 8);
AT(mote_model_options, mapping, 16);
AT(mote_model_options, mtp, 20);
AT(mote_model_options, isa, 24);
AT(mote_model_options, progress, 32);
AT(mote_model_options, progress_user, 40);
AT(mote_model_options, log, 48);
AT(mote_model_options, log_user, 56);
AT(mote_model_options, alloc, 64);
AT(mote_model_options, free, 72);
AT(mote_model_options, alloc_user, 80);
AT(mote_model_options, parallel, 88);
AT(mote_model_options, parallel_user, 96);
AT(mote_model_options, reading, 104);
AT(mote_model_options, reserved, 108);
SIZE_IS(mote_session_options, 64);
AT(mote_session_options, context_tokens, 4);
AT(mote_session_options, prefill_tokens, 8);
AT(mote_session_options, kv_type, 12);
AT(mote_session_options, precision, 16);
AT(mote_session_options, deterministic, 20);
AT(mote_session_options, keep_tokens, 24);
AT(mote_session_options, draft, 28);
AT(mote_session_options, draft_tokens, 32);
AT(mote_session_options, reserved, 36);
AT(mote_session_options, progress, 40);
AT(mote_session_options, progress_user, 48);
AT(mote_session_options, attention, 56);
AT(mote_session_options, reserved_2, 60);
SIZE_IS(mote_sampler_options, 64);
AT(mote_sampler_options, temperature, 4);
AT(mote_sampler_options, top_k, 8);
AT(mote_sampler_options, top_p, 12);
AT(mote_sampler_options, min_p, 16);
AT(mote_sampler_options, repetition_penalty, 20);
AT(mote_sampler_options, presence_penalty, 24);
AT(mote_sampler_options, frequency_penalty, 28);
AT(mote_sampler_options, penalty_tokens, 32);
AT(mote_sampler_options, n_bias, 36);
AT(mote_sampler_options, seed, 40);
AT(mote_sampler_options, bias_tokens, 48);
AT(mote_sampler_options, bias_values, 56);
SIZE_IS(mote_generate_options, 56);
AT(mote_generate_options, max_tokens, 4);
AT(mote_generate_options, ignore_eos, 8);
AT(mote_generate_options, think_tokens_max, 12);
AT(mote_generate_options, starts_in_reasoning, 16);
AT(mote_generate_options, n_stop, 20);
AT(mote_generate_options, show_special, 24);
AT(mote_generate_options, seed_from_state, 28);
AT(mote_generate_options, stop, 32);
AT(mote_generate_options, schema, 40);
AT(mote_generate_options, format, 48);
SIZE_IS(mote_pack_options, 40);
AT(mote_pack_options, type, 4);
AT(mote_pack_options, expert_type, 8);
AT(mote_pack_options, zstd_level, 12);
AT(mote_pack_options, importance, 16);
AT(mote_pack_options, progress, 24);
AT(mote_pack_options, progress_user, 32);
#endif

/* Any kind of struct with room for what a later version might append. */
typedef union any {
    uint32_t struct_size;
    mote_model_options model;
    mote_session_options session;
    mote_sampler_options sampler;
    mote_generate_options generate;
    mote_pack_options pack;
    unsigned char bytes[8192];
} any;

static any make(int32_t kind)
{
    any o;
    memset(&o, 0, sizeof o);
    o.struct_size = mote__options_of(kind)->size;
    return o;
}

/* The list is in the order of the struct and leaves no holes. */
static void list_covers_the_structs(void **state)
{
    (void)state;
    assert_null(mote__options_of(0));
    assert_null(mote__options_of(6));
    assert_null(mote__options_of(-1));
    for (int32_t kind = 1; kind <= 5; kind++) {
        const mote__option_struct *s = mote__options_of(kind);
        uint32_t at = 4;
        for (uint32_t i = 0; i < s->n_options; i++) {
            assert_int_equal(s->options[i].offset, at);
            at += s->options[i].size;
            assert_true(s->options[i].sentence[0] != 0);
            assert_true(s->options[i].min <= 0 && s->options[i].max >= 0);
        }
        assert_true(at == s->size || (sizeof(void *) == 4 && at + 4 == s->size));
        assert_true(s->size_min <= s->size);
    }
}

static void null_means_defaults(void **state)
{
    (void)state;
    for (int32_t kind = 1; kind <= 5; kind++) {
        any o, expected = make(kind);
        memset(&o, 0xab, sizeof o);
        assert_int_equal(mote__options_take(kind, &o, NULL, NULL), MOTE_OK);
        uint32_t n = mote__options_of(kind)->size;
        assert_memory_equal(&o, &expected, n);
        assert_int_equal(o.bytes[n], 0xab); /* and not a byte more */
    }
    any o;
    assert_int_equal(mote__options_take(7, &o, NULL, NULL), MOTE_E_INVALID);
}

/* "The library copies the smaller of the two sizes and refuses a non-zero tail it does
 * not know." */
static void other_versions(void **state)
{
    (void)state;
    mote_error err;
    for (int32_t kind = 1; kind <= 5; kind++) {
        const mote__option_struct *s = mote__options_of(kind);
        any later = make(kind), o;
        later.struct_size = s->size + 24;
        assert_int_equal(mote__options_take(kind, &o, &later, &err), MOTE_OK);
        assert_int_equal(o.struct_size, s->size);
        for (uint32_t at = s->size; at < s->size + 24; at++) {
            later.bytes[at] = 1;
            assert_int_equal(
                    mote__options_take(kind, &o, &later, &err), MOTE_E_INVALID);
            assert_non_null(strstr(err.message, s->name));
            assert_non_null(strstr(err.message, "later version"));
            later.bytes[at] = 0;
        }
        later.bytes[s->size + 24] = 1; /* beyond what the caller claims: not read */
        assert_int_equal(mote__options_take(kind, &o, &later, &err), MOTE_OK);
        const uint32_t bad[] = {0, 1, 4, s->size_min - 1, 4097, 0x7fffffff, UINT32_MAX};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            any wrong = make(kind);
            wrong.struct_size = bad[i];
            memset(&o, 0xab, sizeof o);
            assert_int_equal(
                    mote__options_take(kind, &o, &wrong, &err), MOTE_E_INVALID);
            assert_non_null(strstr(err.message, "struct_size"));
            assert_int_equal(o.struct_size, s->size); /* defaults, not rubbish */
            assert_int_equal(mote_options_set_text(kind, &wrong, "x", "1", &err),
                    MOTE_E_INVALID);
        }
    }
}

/* Every listed bound, from both sides, with the field named. */
static void bounds_of_every_field(void **state)
{
    (void)state;
    uint32_t n_checked = 0;
    for (int32_t kind = 1; kind <= 5; kind++) {
        const mote__option_struct *s = mote__options_of(kind);
        for (uint32_t i = 0; i < s->n_options; i++) {
            const mote__option *f = &s->options[i];
            double inside[2] = {f->min, f->max};
            double outside[4] = {f->min - 1, f->max + 1, NAN, INFINITY};
            for (int j = 0; j < 6; j++) {
                double v = j < 2 ? inside[j] : outside[j - 2];
                any o = make(kind), taken;
                char *at = (char *)&o + f->offset;
                if (f->type == MOTE__OPTION_F32) {
                    float x = (float)v;
                    memcpy(at, &x, 4);
                } else if (f->type == MOTE__OPTION_I32) {
                    if (!(v >= INT32_MIN && v <= INT32_MAX))
                        continue;
                    int32_t x = (int32_t)v;
                    memcpy(at, &x, 4);
                } else if (f->type == MOTE__OPTION_U32 ||
                           f->type == MOTE__OPTION_CHOICE ||
                           f->type == MOTE__OPTION_RESERVED) {
                    if (!(v >= 0 && v <= UINT32_MAX))
                        continue;
                    uint32_t x = (uint32_t)v;
                    memcpy(at, &x, 4);
                } else {
                    continue;
                }
                /* Lengths also need their arrays. */
                const char *stops[1024];
                for (int k = 0; k < 1024; k++)
                    stops[k] = "stop";
                static const int32_t ids[1];
                static const float values[1];
                if (kind == MOTE_OPTIONS_GENERATE)
                    o.generate.stop = stops;
                if (kind == MOTE_OPTIONS_SAMPLER) {
                    o.sampler.bias_tokens = ids;
                    o.sampler.bias_values = values;
                }
                mote_error err;
                mote_status st = mote__options_take(kind, &taken, &o, &err);
                assert_int_equal(st, j < 2 ? MOTE_OK : MOTE_E_INVALID);
                if (j >= 2) {
                    assert_ptr_equal(strstr(err.message, f->name), err.message);
                    assert_non_null(strstr(err.message, "expected"));
                    assert_non_null(strstr(err.message, "found"));
                } else {
                    assert_memory_equal(&o, &taken, s->size);
                }
                n_checked++;
            }
        }
    }
    assert_true(n_checked > 80);
}

static void *an_alloc(void *user, size_t size, size_t align, int32_t tag)
{
    (void)user;
    (void)size;
    (void)align;
    (void)tag;
    return NULL;
}

static void pointers_that_belong_together(void **state)
{
    (void)state;
    mote_error err;
    any o = make(MOTE_OPTIONS_MODEL), taken;
    o.model.alloc = an_alloc;
    assert_int_equal(
            mote__options_take(MOTE_OPTIONS_MODEL, &taken, &o, &err), MOTE_E_INVALID);
    assert_non_null(strstr(err.message, "alloc and free"));
    assert_true(taken.model.alloc == NULL);

    o = make(MOTE_OPTIONS_SAMPLER);
    o.sampler.n_bias = 1;
    assert_int_equal(
            mote__options_take(MOTE_OPTIONS_SAMPLER, &taken, &o, &err), MOTE_E_INVALID);
    assert_non_null(strstr(err.message, "bias_tokens"));

    const char *stops[] = {"a", NULL, "b"};
    o = make(MOTE_OPTIONS_GENERATE);
    o.generate.n_stop = 3;
    assert_int_equal(mote__options_take(MOTE_OPTIONS_GENERATE, &taken, &o, &err),
            MOTE_E_INVALID);
    o.generate.stop = stops;
    assert_int_equal(mote__options_take(MOTE_OPTIONS_GENERATE, &taken, &o, &err),
            MOTE_E_INVALID);
    assert_non_null(strstr(err.message, "stop[1]"));
    stops[1] = "";
    assert_int_equal(mote__options_take(MOTE_OPTIONS_GENERATE, &taken, &o, &err),
            MOTE_E_INVALID);
    stops[1] = "c";
    assert_int_equal(
            mote__options_take(MOTE_OPTIONS_GENERATE, &taken, &o, &err), MOTE_OK);
    assert_ptr_equal(taken.generate.stop, stops);

    o = make(MOTE_OPTIONS_MODEL);
    char isa[] = "avx2";
    o.model.isa = isa;
    assert_int_equal(mote__options_take(MOTE_OPTIONS_MODEL, &taken, &o, &err), MOTE_OK);
    isa[0] = 'X'; /* the caller's text may go away */
    assert_string_equal(taken.model.isa, "avx2");
    assert_int_equal(
            mote__options_take(MOTE_OPTIONS_MODEL, &taken, &o, &err), MOTE_E_INVALID);
    assert_non_null(strstr(err.message, "isa: expected one of scalar"));
}

/* ---- text ------------------------------------------------------------------------ */

/* A value that is none: the message has every name that the option takes, and not the
 * numbers behind them. */
static void names_in_messages(void **state)
{
    (void)state;
    uint32_t n_named = 0;
    for (int32_t kind = MOTE_OPTIONS_MODEL; kind <= MOTE_OPTIONS_PACK; kind++) {
        const char *name, *values;
        for (uint32_t i = 0; mote_options_describe(kind, i, &name, NULL, &values, NULL,
                                     NULL) == MOTE_OK;
                i++) {
            any o = make(kind);
            mote_error err;
            mote_status st = mote_options_set_text(kind, &o, name, "q5_k_m", &err);
            if (st == MOTE_OK) {
                assert_string_equal(values, "text");
                continue;
            }
            assert_int_equal(st, MOTE_E_INVALID);
            assert_non_null(strstr(err.message, ", found 'q5_k_m'"));
            assert_null(strchr(err.message, '='));
            for (const char *p = values; *p; n_named++) {
                char word[64];
                size_t n = strcspn(p, "=,");
                snprintf(word, sizeof word, "%.*s", (int)n, p);
                assert_non_null(strstr(err.message, word));
                p += strcspn(p, ",");
                p += strspn(p, ", ");
            }
        }
    }
    assert_true(n_named > 60);
    mote_error err;
    any o = make(MOTE_OPTIONS_SESSION);
    mote_options_set_text(MOTE_OPTIONS_SESSION, &o, "keep_tokens", "most", &err);
    assert_string_equal(
            err.message, "keep_tokens: expected 0 to 4294967295 or all, found 'most'");
    mote_options_set_text(MOTE_OPTIONS_SESSION, &o, "precision", "4", &err);
    assert_string_equal(
            err.message, "precision: expected default, exact, bf16 or fine, found '4'");
}

static void describe_lists_what_text_can_set(void **state)
{
    (void)state;
    const char *name, *type, *values, *sentence;
    uint32_t n = 0;
    for (int32_t kind = 1; kind <= 5; kind++)
        for (uint32_t i = 0;; i++) {
            mote_status st = mote_options_describe(
                    kind, i, &name, &type, &values, &sentence, NULL);
            if (st == MOTE_DONE) {
                assert_null(name);
                break;
            }
            assert_int_equal(st, MOTE_OK);
            assert_true(name[0] && type[0] && values[0] && sentence[0]);
            n++;
            /* Every name it lists can be set. */
            if (strcmp(type, "choice") == 0 || strcmp(type, "name") == 0) {
                char list[200], *rest = list;
                snprintf(list, sizeof list, "%s", values);
                for (char *v; (v = strtok_r(rest, ", ", &rest));) {
                    any o = make(kind);
                    v[strcspn(v, "=")] = 0;
                    assert_int_equal(
                            mote_options_set_text(kind, &o, name, v, NULL), MOTE_OK);
                }
            }
        }
    assert_int_equal(n, 6 + 9 + 10 + 7 + 4);
    assert_int_equal(mote_options_describe(1, UINT32_MAX, NULL, NULL, NULL, NULL, NULL),
            MOTE_DONE);
    assert_int_equal(
            mote_options_describe(0, 0, &name, NULL, NULL, NULL, NULL), MOTE_E_INVALID);
    assert_null(name);
    assert_int_equal(
            mote_options_describe(1, 0, NULL, NULL, NULL, &sentence, NULL), MOTE_OK);
    assert_string_equal(sentence, "worker threads (default: one per usable core)");
}

static void texts_that_set(void **state)
{
    (void)state;
    mote_model_options m = MOTE_MODEL_OPTIONS_INIT;
    mote_session_options s = MOTE_SESSION_OPTIONS_INIT;
    mote_sampler_options p = MOTE_SAMPLER_OPTIONS_INIT;
    mote_pack_options k = MOTE_PACK_OPTIONS_INIT;
    mote_error err;
    char isa[] = "avx512";
#define SET(kind, o, name, text)                                                       \
    assert_int_equal(mote_options_set_text(kind, &(o), name, text, &err), MOTE_OK)
    SET(MOTE_OPTIONS_MODEL, m, "n_threads", "12");
    SET(MOTE_OPTIONS_MODEL, m, "mtp", "off");
    SET(MOTE_OPTIONS_MODEL, m, "mapping", "1");
    SET(MOTE_OPTIONS_MODEL, m, "memory_bytes", "3G");
    SET(MOTE_OPTIONS_MODEL, m, "isa", isa);
    isa[0] = 'X';
    assert_int_equal(m.n_threads, 12);
    assert_int_equal(m.mtp, MOTE_MTP_OFF);
    assert_int_equal(m.mapping, MOTE_MAP_ON);
    assert_true(m.memory_bytes == UINT64_C(3) << 30);
    assert_string_equal(m.isa, "avx512");
    SET(MOTE_OPTIONS_MODEL, m, "memory_bytes", "18446744073709551615");
    assert_true(m.memory_bytes == UINT64_MAX);
    SET(MOTE_OPTIONS_SESSION, s, "kv_type", "fp8");
    SET(MOTE_OPTIONS_SESSION, s, "keep_tokens", "all");
    SET(MOTE_OPTIONS_SESSION, s, "deterministic", "on");
    SET(MOTE_OPTIONS_SESSION, s, "draft", "ngram");
    assert_int_equal(s.kv_type, MOTE_KV_FP8);
    assert_true(s.keep_tokens == UINT32_MAX);
    assert_int_equal(s.deterministic, 1);
    assert_int_equal(s.draft, MOTE_DRAFT_NGRAM);
    SET(MOTE_OPTIONS_SAMPLER, p, "seed", "18446744073709551615");
    assert_true(p.seed == UINT64_MAX);
    SET(MOTE_OPTIONS_PACK, k, "importance", "file.imp");
    SET(MOTE_OPTIONS_PACK, k, "expert_type", "int4");
    SET(MOTE_OPTIONS_PACK, k, "zstd_level", "22");
    assert_string_equal(k.importance, "file.imp");
    assert_int_equal(k.expert_type, MOTE_TYPE_INT4);
    assert_int_equal(k.zstd_level, 22);
    /* Numbers read the same in every locale, to the last bit of a float. */
    setlocale(LC_ALL, "de_DE.UTF-8");
    static const char *const numbers[] = {"0.7", "0.95", ".5", "1.", "1e1", "25e-2",
            "0.1000000000000000055511151231257827", "1E+2", "0.000000000001", "99.9999",
            "1e-30", "0e999", "0.33333334", "3.14159274101257324"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        SET(MOTE_OPTIONS_SAMPLER, p, "temperature", numbers[i]);
        setlocale(LC_ALL, "C");
        assert_true(p.temperature == strtof(numbers[i], NULL));
        setlocale(LC_ALL, "de_DE.UTF-8");
    }
    setlocale(LC_ALL, "C");
    SET(MOTE_OPTIONS_SAMPLER, p, "presence_penalty", "-1.5");
    assert_true(p.presence_penalty == -1.5f);
}

static void texts_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        int32_t kind;
        const char *name, *value;
        mote_status status;
    } cases[] = {
            {0, "n_threads", "1", MOTE_E_INVALID},
            {6, "n_threads", "1", MOTE_E_INVALID},
            {1, "", "1", MOTE_E_NOT_FOUND},
            {1, "N_threads", "1", MOTE_E_NOT_FOUND},
            {1, "context_tokens", "1", MOTE_E_NOT_FOUND},
            {1, "struct_size", "1", MOTE_E_NOT_FOUND},
            {1, "progress", "1", MOTE_E_NOT_FOUND},
            {2, "reserved", "1", MOTE_E_NOT_FOUND},
            {3, "bias_tokens", "1", MOTE_E_NOT_FOUND},
            {1, "n_threads", "", MOTE_E_INVALID},
            {1, "n_threads", " 1", MOTE_E_INVALID},
            {1, "n_threads", "1 ", MOTE_E_INVALID},
            {1, "n_threads", "-1", MOTE_E_INVALID},
            {1, "n_threads", "+1", MOTE_E_INVALID},
            {1, "n_threads", "0x10", MOTE_E_INVALID},
            {1, "n_threads", "1025", MOTE_E_INVALID},
            {1, "n_threads", "4294967297", MOTE_E_INVALID},
            {1, "n_threads", "99999999999999999999999999", MOTE_E_INVALID},
            {1, "n_threads", "4\n", MOTE_E_INVALID},
            {1, "mtp", "maybe", MOTE_E_INVALID},
            {1, "mtp", "on=1", MOTE_E_INVALID},
            {1, "mtp", "auto=0, on", MOTE_E_INVALID},
            {1, "mtp", "", MOTE_E_INVALID},
            {1, "mtp", "3", MOTE_E_INVALID},
            {1, "isa", "sse9", MOTE_E_INVALID},
            {1, "isa", "", MOTE_E_INVALID},
            {1, "memory_bytes", "G", MOTE_E_INVALID},
            {1, "memory_bytes", "1GB", MOTE_E_INVALID},
            {1, "memory_bytes", "1X", MOTE_E_INVALID},
            {1, "memory_bytes", "18446744073709551616", MOTE_E_INVALID},
            {1, "memory_bytes", "16777216T", MOTE_E_INVALID},
            {3, "temperature", "nan", MOTE_E_INVALID},
            {3, "temperature", "inf", MOTE_E_INVALID},
            {3, "temperature", "1e999", MOTE_E_INVALID},
            {3, "temperature", "1e99999999999", MOTE_E_INVALID},
            {3, "temperature", "-0.1", MOTE_E_INVALID},
            {3, "temperature", "1,5", MOTE_E_INVALID},
            {3, "temperature", "1.5.5", MOTE_E_INVALID},
            {3, "temperature", ".", MOTE_E_INVALID},
            {3, "temperature", "1e", MOTE_E_INVALID},
            {3, "temperature", "--1", MOTE_E_INVALID},
            {3, "top_p", "1.0001", MOTE_E_INVALID},
            {5, "zstd_level", "23", MOTE_E_INVALID},
            {5, "zstd_level", "-1", MOTE_E_INVALID},
            {5, "zstd_level", "--1", MOTE_E_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        any o = make(cases[i].kind >= 1 && cases[i].kind <= 5 ? cases[i].kind : 1);
        any before = o;
        mote_error err;
        err.message[0] = 0;
        assert_int_equal(mote_options_set_text(cases[i].kind, &o, cases[i].name,
                                 cases[i].value, &err),
                cases[i].status);
        assert_memory_equal(&o, &before, sizeof o); /* "the struct unchanged" */
        assert_true(err.message[0] != 0);
        assert_int_equal(err.status, cases[i].status);
    }
    any o = make(1);
    assert_int_equal(mote_options_set_text(1, NULL, "mtp", "on", NULL), MOTE_E_INVALID);
    assert_int_equal(mote_options_set_text(1, &o, NULL, "on", NULL), MOTE_E_INVALID);
    assert_int_equal(mote_options_set_text(1, &o, "mtp", NULL, NULL), MOTE_E_INVALID);
    char *flood = malloc(1000001);
    memset(flood, '1', 1000000);
    flood[1000000] = 0;
    any s = make(3);
    assert_int_equal(
            mote_options_set_text(3, &s, "temperature", flood, NULL), MOTE_E_INVALID);
    assert_int_equal(mote_options_set_text(3, &s, flood, "1", NULL), MOTE_E_NOT_FOUND);
    free(flood);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(list_covers_the_structs),
            cmocka_unit_test(null_means_defaults),
            cmocka_unit_test(other_versions),
            cmocka_unit_test(bounds_of_every_field),
            cmocka_unit_test(names_in_messages),
            cmocka_unit_test(pointers_that_belong_together),
            cmocka_unit_test(describe_lists_what_text_can_set),
            cmocka_unit_test(texts_that_set),
            cmocka_unit_test(texts_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
