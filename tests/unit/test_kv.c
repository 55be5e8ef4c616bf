/* SPDX-License-Identifier: MIT */
/* The latent cache: blocks alone and several in one allocation, shared by forks in any
 * order of closing, with allocations that fail. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "session/kv.h"

typedef struct shape {
    uint32_t n_layers, tokens, type, kv_lora_rank, rope;
} shape;

/* 590 KB a block, several to an allocation; 6 KB, which are allocated one by one; 10
 * MB, of which two are too many for one allocation. */
static const shape shapes[] = {{8, 2700, MOTE_K_KV_BF16, 512, 64},
        {2, 700, MOTE_K_KV_F32, 16, 8}, {70, 200, MOTE_K_KV_F32, 512, 64}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static int left; /* allocations that succeed; negative: all */

static void *host_alloc(void *user, size_t size, size_t align, int32_t tag)
{
    (void)user, (void)align;
    if (left == 0)
        return NULL;
    left -= left > 0;
    return mote__alloc(NULL, tag, size);
}

static void host_free(void *user, void *ptr, size_t size, int32_t tag)
{
    (void)user;
    mote__free(NULL, tag, ptr, size);
}

static uint64_t in_use(mote__memory *m)
{
    return atomic_load(&m->bytes[MOTE_MEM_KV]);
}

static mote_status open_kv(mote__kv *kv, mote__memory *m, const shape *s, mote_error *e)
{
    return mote__kv_open(
            kv, m, s->n_layers, s->tokens, s->type, s->kv_lora_rank, s->rope, e);
}

/* A mark at both ends of what layer l has in block i. */
static void mark(const mote__kv *kv, uint32_t i, uint32_t l, uint8_t with)
{
    uint8_t *p = kv->layers[l][i];
    p[0] = (uint8_t)(with + i + l);
    p[kv->layer_bytes - 1] = (uint8_t)(with ^ (i + l));
}

static void check_mark(const mote__kv *kv, uint32_t i, uint32_t l, uint8_t with)
{
    const uint8_t *p = kv->layers[l][i];
    assert_int_equal(p[0], (uint8_t)(with + i + l));
    assert_int_equal(p[kv->layer_bytes - 1], (uint8_t)(with ^ (i + l)));
}

static void mark_all(const mote__kv *kv, uint32_t begin, uint8_t with)
{
    for (uint32_t i = begin; i < kv->n_blocks; i++)
        for (uint32_t l = 0; l < kv->n_layers; l++)
            mark(kv, i, l, with);
}

static void check_all(const mote__kv *kv, uint32_t begin, uint32_t end, uint8_t with)
{
    for (uint32_t i = begin; i < end; i++)
        for (uint32_t l = 0; l < kv->n_layers; l++)
            check_mark(kv, i, l, with);
}

static void test_own_memory(void **state)
{
    (void)state;
    for (int k = 0; k < SHAPES; k++) {
        const shape *s = &shapes[k];
        mote__memory m;
        mote__memory_init(&m, host_alloc, host_free, NULL);
        left = -1;
        mote__kv kv;
        assert_int_equal(open_kv(&kv, &m, s, NULL), MOTE_OK);
        assert_int_equal(in_use(&m), mote__kv_plan(s->n_layers, s->tokens, s->type,
                                             s->kv_lora_rank, s->rope));
        assert_int_equal(kv.n_blocks, (s->tokens + MOTE_KV_BLOCK - 1) / MOTE_KV_BLOCK);
        /* No two places overlap: each mark is still there after all are made. */
        mark_all(&kv, 0, 1);
        check_all(&kv, 0, kv.n_blocks, 1);
        for (uint32_t i = 0; i < kv.n_blocks; i++)
            assert_int_equal((uintptr_t)kv.layers[0][i] % 64, 0);
        /* Nothing is shared, so that nothing is allocated. */
        const uint64_t before = in_use(&m);
        assert_int_equal(mote__kv_own(&kv, 0, s->tokens, NULL), MOTE_OK);
        assert_int_equal(in_use(&m), before);
        mote__kv_close(&kv);
        assert_int_equal(in_use(&m), 0);
    }
}

static void test_forks(void **state)
{
    (void)state;
    for (int k = 0; k < SHAPES; k++)
        for (int order = 0; order < 2; order++) {
            const shape *s = &shapes[k];
            const uint32_t n = 2 * MOTE_KV_BLOCK + 10; /* two blocks and a part */
            mote__memory m;
            mote__memory_init(&m, host_alloc, host_free, NULL);
            left = -1;
            mote__kv a, b;
            assert_int_equal(open_kv(&a, &m, s, NULL), MOTE_OK);
            mark_all(&a, 0, 1);
            assert_int_equal(mote__kv_fork(&b, &a, n, NULL), MOTE_OK);
            check_all(&b, 0, 3, 1);
            for (uint32_t i = 0; i < b.n_blocks; i++)
                assert_int_equal(a.layers[0][i] == b.layers[0][i], i < 2);
            /* What either writes behind the shared blocks, the other does not see. */
            mark_all(&b, 2, 2);
            check_all(&a, 0, a.n_blocks, 1);
            /* One side makes a shared block its own, and keeps what was in it. */
            mote__kv *first = order ? &b : &a, *last = order ? &a : &b;
            assert_int_equal(mote__kv_own(first, 70, 71, NULL), MOTE_OK);
            assert_ptr_not_equal(a.layers[0][1], b.layers[0][1]);
            assert_ptr_equal(a.layers[0][0], b.layers[0][0]);
            check_all(first, 0, 2, 1);
            mark(first, 1, 0, 3);
            check_all(last, 0, 2, 1);
            /* A failing copy changes nothing. */
            left = 0;
            assert_int_equal(mote__kv_own(first, 0, 1, NULL), MOTE_E_MEMORY);
            assert_ptr_equal(a.layers[0][0], b.layers[0][0]);
            left = -1;
            mote__kv_close(first);
            check_all(last, 0, 2, 1);
            check_all(last, 2, last->n_blocks, order ? 1 : 2);
            mote__kv_close(last);
            assert_int_equal(in_use(&m), 0);
        }
}

static void test_failing(void **state)
{
    (void)state;
    for (int k = 0; k < SHAPES; k++) {
        const shape *s = &shapes[k];
        mote__memory m;
        mote__memory_init(&m, host_alloc, host_free, NULL);
        mote__kv a, b;
        left = -1;
        assert_int_equal(open_kv(&a, &m, s, NULL), MOTE_OK);
        const uint64_t before = in_use(&m);
        int failed = 0;
        for (int forked = 0; forked < 2; forked++) {
            mote_status st = MOTE_E_MEMORY;
            for (int n = 0; st != MOTE_OK; n++) {
                mote_error err = {0};
                left = n;
                st = forked ? mote__kv_fork(&b, &a, 70, &err)
                            : open_kv(&b, &m, s, &err);
                left = -1;
                if (st == MOTE_OK)
                    continue;
                failed++;
                assert_int_equal(st, MOTE_E_MEMORY);
                assert_true(err.message[0]);
                assert_int_equal(in_use(&m), before);
            }
            mote__kv_close(&b);
            assert_int_equal(in_use(&m), before);
        }
        assert_true(failed > 6);
        mote__kv_close(&a);
        assert_int_equal(in_use(&m), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_own_memory),
            cmocka_unit_test(test_forks), cmocka_unit_test(test_failing)};
    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
