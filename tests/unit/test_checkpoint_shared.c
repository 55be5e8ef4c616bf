/* SPDX-License-Identifier: MIT */
/* Every checkpoint of the golden data opens, its configuration parses, and its bytes
 * are where plain file arithmetic says they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "file/checkpoint.h"
#include "model/config.h"
#include "mote/model.h"

static void open_one(const char *dir)
{
    mote_error err;
    mote__checkpoint *c = NULL;
    mote__config config;
    if (mote__checkpoint_open(&c, dir, MOTE_MAP_AUTO, &err) < 0)
        fail_msg("%s", err.message);
    size_t size = 0;
    const char *text = mote__checkpoint_text(c, "config.json", &size);
    assert_non_null(text);
    assert_int_equal(strlen(text), size);
    if (mote__config_parse(&config, text, size, &err) < 0)
        fail_msg("%s: %s", dir, err.message);
    const mote__tensor *t = mote__checkpoint_find(c, "model.embed_tokens.weight");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->shape[0], config.vocab_size);
    assert_int_equal(t->shape[1], config.hidden_size);
    assert_null(mote__checkpoint_find(c, "model.embed_tokens.weigh"));
    assert_int_equal(mote__checkpoint_mapped_bytes(c), 0);

    /* Mapped and plain reads agree, for every tensor. */
    mote__checkpoint *m = NULL;
    assert_int_equal(mote__checkpoint_open(&m, dir, MOTE_MAP_ON, &err), MOTE_OK);
    assert_true(mote__checkpoint_mapped_bytes(m) > t->n_bytes);
    assert_int_equal(mote__checkpoint_count(m), mote__checkpoint_count(c));
    for (size_t i = 0; i < mote__checkpoint_count(c); i++) {
        const mote__tensor *a = mote__checkpoint_at(c, i),
                           *b = mote__checkpoint_at(m, i);
        assert_ptr_equal(mote__checkpoint_find(c, a->name), a);
        assert_string_equal(a->name, b->name);
        char *x = malloc(a->n_bytes + 1), *y = malloc(a->n_bytes + 1);
        assert_int_equal(mote__checkpoint_read(c, a, 0, a->n_bytes, x, &err), MOTE_OK);
        assert_int_equal(mote__checkpoint_read(m, b, 0, b->n_bytes, y, &err), MOTE_OK);
        assert_memory_equal(x, y, a->n_bytes);
        free(x);
        free(y);
    }
    mote__checkpoint_close(m);
    mote__checkpoint_close(c);
}

static void test_goldens_open(void **state)
{
    (void)state;
    static const char *const models[] = {"fixtures/oracle/models/v2-group",
            "fixtures/oracle/models/v2-lite-bf16", "fixtures/oracle/models/v3-bf16",
            "fixtures/oracle/models/v3-f32", "fixtures/oracle/models/v3-fp8",
            "fixtures/oracle/models/v3-fp8-k128", "fixtures/oracle/models/v3-fp8-ue8m0",
            "fixtures/oracle/models/v3-router-edge",
            "fixtures/oracle/models/v3-sharded", "fixtures/oracle/models/v3-tied",
            "fixtures/oracle/models/v3-yarn-long", "models/tiny-v3-bf16",
            "models/tiny-v3-fp8"};
    const char *shared = getenv("MOTE_SHARED");
    if (!shared || !*shared) {
        print_message("the shared golden data is not configured\n");
        skip();
    }
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", shared, models[i]);
        open_one(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens_open)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
