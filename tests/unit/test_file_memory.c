/* SPDX-License-Identifier: MIT */
/* Every allocation that opening a checkpoint and reading its configuration make fails
 * once, in turn: each time there is MOTE_E_MEMORY, a message, NULL, and nothing left
 * behind.
 *
 * The linker routes the library's malloc, calloc and realloc through this file. Those
 * of the JSON parser are not touched: it does not survive them (see probe_memory()). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <unistd.h>

#include "file/checkpoint.h"
#include "file/safetensors.h"
#include "make_safetensors.h"
#include "model/config.h"
#include "mote/model.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static long fail_at = -1; /* allocations until the one that fails; -1: none does */
static int has_failed;

static int fails(void)
{
    if (fail_at < 0 || fail_at-- > 0)
        return 0;
    has_failed = 1;
    return 1;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

/* Run `open` with every allocation failing in turn, until it succeeds. */
static void fail_everywhere(mote_status (*open)(mote_error *err))
{
    long n = 0;
    for (;; n++) {
        mote_error err = {MOTE_OK, ""};
        assert_true(n < 100000);
        has_failed = 0;
        fail_at = n;
        mote_status st = open(&err);
        fail_at = -1;
        if (!has_failed) {
            if (st < 0)
                fail_msg("%s", err.message);
            break;
        }
        if (st != MOTE_E_MEMORY || err.status != st || !strstr(err.message, "memory"))
            fail_msg("allocation %ld: expected MOTE_E_MEMORY, found %s with \"%s\"", n,
                    mote_status_name(st), err.message);
    }
    assert_true(n > 0);
}

/* ---- what is opened ---- */

#define U8(name) "\"" name "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}"
static uint8_t *single;
static size_t single_size;
static char dir[256];

static mote_status open_memory(mote_error *err)
{
    mote__checkpoint *c = (mote__checkpoint *)dir;
    mote_status st = mote__checkpoint_open_memory(&c, single, single_size, err);
    assert_true((st < 0) == !c);
    mote__checkpoint_close(c);
    return st;
}

static mote_status open_directory(mote_error *err)
{
    mote__checkpoint *c = (mote__checkpoint *)dir;
    mote_status st = mote__checkpoint_open(&c, dir, MOTE_MAP_OFF, err);
    assert_true((st < 0) == !c);
    mote__checkpoint_close(c);
    return st;
}

static const char config[] =
        "{\"model_type\":\"deepseek_v3\",\"vocab_size\":10,\"hidden_size\":8,"
        "\"intermediate_size\":8,\"moe_intermediate_size\":8,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":1,\"kv_lora_rank\":4,\"qk_nope_head_dim\":4,"
        "\"qk_rope_head_dim\":4,\"v_head_dim\":4,\"rope_scaling\":{\"type\":\"yarn\","
        "\"factor\":2.0,\"mscale\":1.0}}";

static mote_status parse_config(mote_error *err)
{
    mote__config c;
    return mote__config_parse(&c, config, strlen(config), err);
}

static void put(const char *name, const void *bytes, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

static void put_tensors(const char *name, const char *header)
{
    size_t size;
    uint8_t *b = make_safetensors(header, 1, &size);
    put(name, b, size);
    free(b);
}

static void test_memory(void **state)
{
    (void)state;
    single = make_safetensors("{\"__metadata__\":{\"config.json\":\"{}\","
                              "\"tokenizer.json\":\"{}\"}," U8("a") "}",
            1, &single_size);
    fail_everywhere(open_memory);
    free(single);
}

static void test_directory(void **state)
{
    (void)state;
    static const char index[] = "{\"weight_map\":{\"a\":\"one.safetensors\","
                                "\"b\":\"two.safetensors\"}}";
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/mote-memory-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
    put("config.json", config, strlen(config));
    put("tokenizer.json", "{}", 2);
    put("model.safetensors.index.json", index, strlen(index));
    put_tensors("one.safetensors", "{" U8("a") "}");
    put_tensors("two.safetensors", "{" U8("b") "}");
    fail_everywhere(open_directory);
    static const char *const names[] = {"config.json", "tokenizer.json",
            "model.safetensors.index.json", "one.safetensors", "two.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void test_config(void **state)
{
    (void)state;
    fail_everywhere(parse_config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_memory),
            cmocka_unit_test(test_directory),
            cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
