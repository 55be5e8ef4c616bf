/* SPDX-License-Identifier: MIT */
/* Packs: what is written, the ways of opening, and what cannot be written. Damage is in
 * test_pack_damage.c, memory budgets in test_pack_stream.c. */
#include "pack_kit.h"

#include "file/checkpoint.h"
#include "model/importance.h"
#include "model/model.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

static const char *const checkpoints[] = {"v2-group", "v2-lite-bf16", "v3-f32",
        "v3-fp8-ue8m0", "v3-router-edge", "v3-sharded", "v3-tied", "v3-yarn-long"};
enum { N_CHECKPOINTS = sizeof checkpoints / sizeof *checkpoints };

static void same_files(const char *a, const char *b)
{
    size_t n = 0, m = 0;
    void *x = golden_read_file(a, &n), *y = golden_read_file(b, &m);
    assert_non_null(x);
    assert_non_null(y);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

/* "keep: as the checkpoint has it": the same bits, compressed or not. */
static void test_keep_is_identical(void **state)
{
    (void)state;
    for (int i = 0; i < N_CHECKPOINTS; i++) {
        float *logits = kit_logits_of(kit_checkpoint(checkpoints[i]));
        for (int zstd = 0; zstd <= 3; zstd += 3) {
            char *path = kit_make(checkpoints[i], "keep.mote", MOTE_TYPE_KEEP, zstd);
            MUST(mote_pack_verify(path, NULL, NULL, err));
            mote_model *m = golden_model(path, NULL, 2);
            kit_same(m, logits);
            mote_model_close(m);
            free(path);
        }
        free(logits);
    }
}

/* "Packing the same checkpoint with the same options gives the same bytes": again, and
 * on one core as on all. */
static void test_deterministic(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        int zstd;
    } how[] = {{MOTE_TYPE_KEEP, 0}, {MOTE_TYPE_INT4, 0}, {MOTE_TYPE_INT8, 5},
            {MOTE_TYPE_FP8, 1}, {MOTE_TYPE_BF16, 3}};
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        char *a = kit_make("v3-sharded", "a.mote", how[i].type, how[i].zstd);
#ifdef __linux__
        cpu_set_t all, one;
        assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
        CPU_ZERO(&one);
        int cpu = 0;
        while (!CPU_ISSET(cpu, &all))
            cpu++;
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
#endif
        char *b = kit_make("v3-sharded", "b.mote", how[i].type, how[i].zstd);
#ifdef __linux__
        assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
#endif
        same_files(a, b);
        free(a);
        free(b);
    }
}

/* What a compressed pack expands to is, byte for byte, what the other one holds. */
static void test_lossless(void **state)
{
    (void)state;
    for (int i = 0; i < N_CHECKPOINTS; i++)
        for (uint32_t type = 0; type <= MOTE_TYPE_INT4_ALL; type++) {
            char *raw = kit_make(checkpoints[i], "raw.mote", type, 0);
            char *zip = kit_make(checkpoints[i], "zip.mote", type, 3);
            mote_model *a = golden_model(raw, NULL, 1), *b = golden_model(zip, NULL, 1);
            assert_int_equal(a->layout.arena_bytes, b->layout.arena_bytes);
            for (size_t s = 0; s < a->layout.n_slots; s++) {
                const mote__slot *t = &a->layout.slots[s];
                assert_memory_equal(
                        a->arena + t->offset, b->arena + t->offset, (size_t)t->n_bytes);
                assert_memory_equal(a->arena + t->scale_offset,
                        b->arena + t->scale_offset, (size_t)t->scale_bytes);
            }
            mote_model_close(a);
            mote_model_close(b);
            free(raw);
            free(zip);
        }
}

/* Rows of panel p of sub-matrix h of a slot. */
static void panel_rows(
        float *rows, const mote_model *m, const mote__slot *s, uint32_t h, uint32_t p)
{
    mote_k_matrix w = {.data = m->arena + s->offset + h * mote__slot_sub_bytes(s),
            .n_rows = s->n_rows,
            .n_cols = s->n_cols,
            .type = s->form};
    if (s->scale_bytes)
        w.scales = (const float *)(const void *)(m->arena + s->scale_offset +
                                                 h * mote__slot_sub_scales(s));
    mote_k_unpack(rows, s->n_cols, &w, p);
}

/* Squared error that plain rounding makes in a row: each group of `group` columns to
 * `steps` steps up to its largest magnitude. */
static double plain_error(const float *x, uint32_t n, uint32_t group, double steps)
{
    double sum = 0;
    for (uint32_t k0 = 0; k0 < n; k0 += group) {
        uint32_t end = n - k0 < group ? n : k0 + group;
        double top = 0;
        for (uint32_t k = k0; k < end; k++)
            top = fabs((double)x[k]) > top ? fabs((double)x[k]) : top;
        double d = top / steps;
        for (uint32_t k = k0; k < end && d > 0; k++) {
            double e = (double)x[k] - d * nearbyint((double)x[k] / d);
            sum += e * e;
        }
    }
    return sum;
}

/* "int8 and int4: error-minimising rounding": no row is worse than plain rounding to a
 * symmetric range makes it (127 and 7 steps; the 1e-5 is for sums in float32), but for
 * the rounding of int4's scales to bf16: a scale that is off by 2^-8 adds at most 2^-16
 * of the sum of squares. */
static void quantised(const char *checkpoint)
{
    mote_model *whole = golden_model(kit_checkpoint(checkpoint), NULL, 1);
    const uint32_t mtp_layer = whole->net.config.num_hidden_layers;
    for (uint32_t type = MOTE_TYPE_INT8; type <= MOTE_TYPE_INT4_ALL; type++) {
        char *path = kit_make(checkpoint, "q.mote", type, 0);
        mote_model *m = golden_model(path, NULL, 1);
        size_t n_checked = 0, n_int4 = 0;
        for (size_t i = 0; i < m->layout.n_slots; i++) {
            const mote__slot *from = &whole->layout.slots[i], *to = &m->layout.slots[i];
            int expert = to->role >= MOTE__ROLE_EXPERT_GATE;
            if (to->form >= MOTE_K_TYPES) {
                assert_int_equal(to->form, from->form);
                continue;
            }
            /* "the rest becomes int8", "everything but the MTP module" */
            int four =
                    to->layer != mtp_layer &&
                    (type == MOTE_TYPE_INT4_ALL || (expert && type == MOTE_TYPE_INT4));
            assert_int_equal(to->form, four ? MOTE_K_I4 : MOTE_K_I8);
            uint32_t n = to->n_cols, group = to->form == MOTE_K_I8 ? 64 : 32;
            float *a = malloc(16 * n * sizeof *a), *b = malloc(16 * n * sizeof *b);
            assert_true(a && b);
            for (uint32_t h = 0; h < to->stack; h++)
                for (uint32_t p = 0; p < mote_k_panels(to->n_rows); p++) {
                    panel_rows(a, whole, from, h, p);
                    panel_rows(b, m, to, h, p);
                    for (uint32_t r = 0; r < 16 && p * 16 + r < to->n_rows; r++) {
                        double sum = 0, norm = 0;
                        for (uint32_t k = 0; k < n; k++) {
                            double x = (double)a[r * n + k],
                                   e = x - (double)b[r * n + k];
                            sum += e * e;
                            norm += x * x;
                        }
                        double most = plain_error(
                                a + r * n, n, group, to->form == MOTE_K_I8 ? 127 : 7);
                        double scale = to->form == MOTE_K_I8 ? 1e-12 : 0x1p-16;
                        assert_true(sum <= most * (1 + 1e-5) + norm * scale);
                        n_checked++;
                        n_int4 += to->form == MOTE_K_I4;
                    }
                }
            free(a);
            free(b);
        }
        assert_true(n_checked > 1000);
        assert_true((n_int4 > 0) == (type != MOTE_TYPE_INT8));
        mote_model_close(m);
        free(path);
    }
    mote_model_close(whole);
}

static void test_quantised(void **state)
{
    (void)state;
    quantised("v2-group");     /* bf16 */
    quantised("v3-fp8-ue8m0"); /* e4m3 with scales of 128x128, as published */
}

/* Path, descriptor and memory, at any offset and alignment; mapped, read, and read
 * directly: the same bits. */
static void test_ways_of_opening(void **state)
{
    (void)state;
    for (int zstd = 0; zstd <= 1; zstd++) {
        char *path = kit_make("v3-tied", "ways.mote", MOTE_TYPE_KEEP, zstd);
        float *logits = kit_logits_of(kit_checkpoint("v3-tied"));
        size_t n;
        uint8_t *pack = golden_read_file(path, &n);
        assert_non_null(pack);
        uint8_t *big = calloc(1, n + 16384);
        assert_non_null(big);
        static const size_t offsets[] = {0, 1, 4, 48, 64, 4096, 5000, 8192};
        char wide[128];
        snprintf(wide, sizeof wide, "%s/wide", kit_folder());
        for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
            size_t at = offsets[i];
            memset(big, 0xa5, n + 16384);
            memcpy(big + at, pack, n);
            kit_write(wide, big, n + 16384);
            uint8_t *memory = kit_copy(big, n + 16384);
            int fd = open(wide, O_RDONLY);
            assert_true(fd >= 0);
            for (uint32_t map = MOTE_MAP_AUTO; map <= MOTE_MAP_DIRECT; map++) {
                mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
                o.mapping = map;
                o.n_threads = 2;
                mote_model *m = NULL;
                mote_error err;
                int can = map != MOTE_MAP_ON || (!zstd && at % 64 == 0);
                mote_status st = mote_model_open_fd(&m, fd, at, n, &o, &err);
                assert_int_equal(st, can ? MOTE_OK : MOTE_E_UNSUPPORTED);
                if (can) {
                    mote_model_info info = MOTE_MODEL_INFO_INIT;
                    MUST(mote_model_get_info(m, &info, err));
                    assert_int_equal(info.bytes_mapped > 0,
                            !zstd && at % 64 == 0 && map <= MOTE_MAP_ON);
                    kit_same(m, logits);
                } else {
                    assert_non_null(strstr(err.message, "option mapping"));
                    assert_null(m);
                }
                mote_model_close(m);
                st = mote_model_open_memory(&m, memory + at, n, &o, &err);
                assert_int_equal(st, can ? MOTE_OK : MOTE_E_UNSUPPORTED);
                if (can)
                    kit_same(m, logits);
                mote_model_close(m);
                if (at == 0 && can) {
                    MUST(mote_model_open(&m, path, &o, err));
                    kit_same(m, logits);
                    mote_model_close(m);
                }
            }
            /* "borrowed: the library duplicates it" */
            assert_int_equal(close(fd), 0);
            free(memory);
        }
        free(big);
        free(pack);
        free(path);
        free(logits);
    }
}

/* "A truncated or later-changed file gives an error, not a signal": mapped, the next
 * pass says so; read, nothing happens. */
static void test_changed_later(void **state)
{
    (void)state;
    static const int32_t tokens[3] = {1, 2, 3};
    for (uint32_t map = MOTE_MAP_ON; map <= MOTE_MAP_OFF; map++) {
        char *path = kit_make("v3-tied", "later.mote", MOTE_TYPE_KEEP, 0);
        size_t n;
        uint8_t *pack = golden_read_file(path, &n);
        assert_non_null(pack);
        mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
        mote_model *m = NULL;
        mote_error err;
        o.mapping = map;
        MUST(mote_model_open(&m, path, &o, err));
        mote_session *s = golden_session(m, 64, MOTE_KV_F32, 0, 1);
        MUST(mote_session_eval(s, tokens, 3, err));
        for (int written = 0; written <= 1; written++) {
            if (written)
                kit_write(path, pack, n); /* in place, with the same bytes */
            else
                assert_int_equal(truncate(path, 4096), 0);
            mote_status st = mote_session_eval(s, tokens, 3, &err);
            assert_int_equal(st, map == MOTE_MAP_ON ? MOTE_E_IO : MOTE_OK);
            if (st < 0)
                assert_non_null(strstr(
                        err.message, written ? "written to" : "truncated to 4096"));
        }
        assert_int_equal(mote_session_position(s), map == MOTE_MAP_ON ? 3 : 9);
        mote_session_close(s);
        mote_model_close(m);
        free(pack);
        free(path);
    }
}

/* The MTP module can be left out of a pack that has one, mapped or read; its absence
 * from a pack is named. */
static void test_mtp(void **state)
{
    (void)state;
    float *logits = kit_logits_of(kit_checkpoint("v3-tied"));
    for (int zstd = 0; zstd <= 1; zstd++) {
        char *path = kit_make("v3-tied", "mtp.mote", MOTE_TYPE_KEEP, zstd);
        for (uint32_t map = MOTE_MAP_AUTO; map <= MOTE_MAP_OFF; map += MOTE_MAP_OFF) {
            uint64_t bytes[2];
            for (uint32_t off = 0; off <= 1; off++) {
                mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
                mote_model_info info = MOTE_MODEL_INFO_INIT;
                mote_model *m = NULL;
                o.mtp = off ? MOTE_MTP_OFF : MOTE_MTP_ON;
                o.mapping = map;
                MUST(mote_model_open(&m, path, &o, err));
                MUST(mote_model_get_info(m, &info, err));
                assert_int_equal(info.num_nextn_predict_layers, 1);
                assert_int_equal(info.mtp_loaded, !off);
                bytes[off] = mote_model_memory(m, MOTE_MEM_WEIGHTS);
                kit_same(m, logits);
                mote_model_close(m);
            }
            /* "leave it out and save its memory" */
            if (zstd || map == MOTE_MAP_OFF)
                assert_true(bytes[1] < bytes[0]);
        }
        free(path);
    }
    free(logits);
    char *path = kit_make("v2-group", "none.mote", MOTE_TYPE_KEEP, 0);
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_model *m = NULL;
    mote_error err;
    o.mtp = MOTE_MTP_ON;
    assert_int_equal(mote_model_open(&m, path, &o, &err), MOTE_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "MTP"));
    free(path);
}

static int32_t cancel_later(
        void *user, const char *stage, uint64_t done, uint64_t total)
{
    int *left = user;
    assert_non_null(stage);
    assert_true(done <= total);
    return (*left)-- <= 0;
}

static void test_cancel(void **state)
{
    (void)state;
    mote_error err;
    mote_pack_options o = MOTE_PACK_OPTIONS_INIT;
    const char *path = golden_path("%s/cancelled.mote", kit_folder());
    int left = 1;
    o.progress = cancel_later;
    o.progress_user = &left;
    assert_int_equal(mote_pack_write(kit_checkpoint("v3-sharded"), path, &o, &err),
            MOTE_E_CANCELLED);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(golden_path("%s.part", path), F_OK), -1);
    char *good = kit_make("v3-sharded", "good.mote", MOTE_TYPE_KEEP, 0);
    left = 1;
    assert_int_equal(
            mote_pack_verify(good, cancel_later, &left, &err), MOTE_E_CANCELLED);
    mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
    mote_model *m = NULL;
    mo.progress = cancel_later;
    mo.progress_user = &left;
    mo.mapping = MOTE_MAP_OFF;
    left = 1;
    assert_int_equal(mote_model_open(&m, good, &mo, &err), MOTE_E_CANCELLED);
    mo.memory_bytes = 1000000;
    left = 1;
    assert_int_equal(mote_model_open(&m, good, &mo, &err), MOTE_E_CANCELLED);
    assert_null(m);
    free(good);
}

/* "The file appears under its name only when complete": a disk that is full, a folder
 * that is not there, a name that is taken. What was there before stays. */
static void test_failing_disk(void **state)
{
    (void)state;
    mote_error err;
    mote_pack_options o = MOTE_PACK_OPTIONS_INIT;
    char path[256], part[300];
    snprintf(path, sizeof path, "%s/full.mote", kit_folder());
    snprintf(part, sizeof part, "%s.part", path);
    for (o.zstd_level = 0; o.zstd_level <= 1; o.zstd_level++) {
        kit_write(path, "old", 3);
        if (access("/dev/full", W_OK) == 0) {
            assert_int_equal(symlink("/dev/full", part), 0);
            assert_int_equal(mote_pack_write(kit_checkpoint("v3-tied"), path, &o, &err),
                    MOTE_E_IO);
            assert_non_null(strstr(err.message, "full.mote"));
            assert_int_equal(access(part, F_OK), -1);
        }
        /* A limit is met in the middle of the weights. */
        struct rlimit before, limit;
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = before;
        limit.rlim_cur = 60000;
        void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        mote_status st = mote_pack_write(kit_checkpoint("v3-tied"), path, &o, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        signal(SIGXFSZ, handler);
        assert_int_equal(st, MOTE_E_IO);
        assert_int_equal(access(part, F_OK), -1);
        size_t n;
        char *old = golden_read_file(path, &n);
        assert_int_equal(n, 3);
        assert_memory_equal(old, "old", 3);
        free(old);
    }
    o.zstd_level = 0;
    const char *nowhere = golden_path("%s/no/such/folder.mote", kit_folder());
    assert_int_equal(
            mote_pack_write(kit_checkpoint("v3-tied"), nowhere, &o, &err), MOTE_E_IO);
    /* The name is a folder's. */
    char folder[256];
    snprintf(folder, sizeof folder, "%s/folder.mote", kit_folder());
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(
            mote_pack_write(kit_checkpoint("v3-tied"), folder, &o, &err), MOTE_E_IO);
    assert_int_equal(access(golden_path("%s.part", folder), F_OK), -1);
    rmdir(folder);
    /* Replacing works. */
    MUST(mote_pack_write(kit_checkpoint("v3-tied"), path, &o, err));
    MUST(mote_pack_verify(path, NULL, NULL, err));
}

static void test_wrong_calls(void **state)
{
    (void)state;
    mote_error err;
    const char *to = golden_path("%s/x.mote", kit_folder());
    mote_pack_options o = MOTE_PACK_OPTIONS_INIT;
    assert_int_equal(mote_pack_write(NULL, to, &o, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote_pack_write(kit_checkpoint("v3-tied"), NULL, &o, &err), MOTE_E_INVALID);
    /* Over its own input: by links, since who fails this test must not lose a model. */
    static const char *const inputs[] = {"model.safetensors", "config.json"};
    for (size_t i = 0; i < 2; i++) {
        char input[1100], again[256];
        snprintf(input, sizeof input, "%s/%s", kit_checkpoint("v3-tied"), inputs[i]);
        snprintf(again, sizeof again, "%s/again", kit_folder());
        assert_int_equal(symlink(input, again), 0);
        assert_int_equal(mote_pack_write(kit_checkpoint("v3-tied"), again, &o, &err),
                MOTE_E_INVALID);
        assert_non_null(strstr(err.message, "file of the checkpoint"));
        assert_int_equal(unlink(again), 0);
    }
    o.type = 77;
    assert_int_equal(
            mote_pack_write(kit_checkpoint("v3-tied"), to, &o, &err), MOTE_E_INVALID);
    o.type = 0;
    o.zstd_level = 99;
    assert_int_equal(
            mote_pack_write(kit_checkpoint("v3-tied"), to, &o, &err), MOTE_E_INVALID);
    assert_int_equal(mote_pack_write(kit_folder(), to, NULL, &err), MOTE_E_NOT_FOUND);
    assert_int_equal(mote_pack_verify(NULL, NULL, NULL, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote_pack_verify(golden_path("%s/none", kit_folder()), NULL, NULL, &err),
            MOTE_E_NOT_FOUND);
    assert_int_equal(access(to, F_OK), -1);
}

/* --- importance ----------------------------------------------------------------- */

static void layout_of(mote__layout *l, mote__checkpoint **ck, const char *name)
{
    mote__config c;
    uint32_t modules;
    MUST(mote__checkpoint_open(ck, kit_checkpoint(name), MOTE_MAP_AUTO, err));
    MUST(mote__model_configure(&c, l, &modules, *ck, MOTE_MTP_AUTO, err));
}

static void test_importance(void **state)
{
    (void)state;
    mote__layout l, other;
    mote__checkpoint *ck, *other_ck;
    mote__importance *a, *b = NULL;
    mote_error err;
    layout_of(&l, &ck, "v3-sharded");
    layout_of(&other, &other_ck, "v3-tied");
    MUST(mote__importance_open(&a, &l, err));
    /* Column 0 of layer 1, expert 2 gets four times the weight of all others. */
    float x[2][96];
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 96; k++)
            x[i][k] = k ? 1 : 2;
    for (int times = 0; times < 1000; times++)
        mote__importance_observe(a, 1, MOTE__ROLE_EXPERT_GATE, 2, x[0], 96, 96, 2);
    /* Of another width, layer or role: passed over. */
    mote__importance_observe(a, 1, MOTE__ROLE_EXPERT_GATE, 2, x[0], 96, 95, 2);
    mote__importance_observe(a, 99, MOTE__ROLE_EXPERT_GATE, 2, x[0], 96, 96, 2);
    mote__importance_observe(a, 1, MOTE__ROLE_EXPERT_GATE, 99, x[0], 96, 96, 2);
    mote__importance_observe(a, 1, 99, 0, x[0], 96, 96, 2);
    char path[256];
    snprintf(path, sizeof path, "%s/importance", kit_folder());
    MUST(mote__importance_save(a, path, err));
    MUST(mote__importance_load(&b, &l, path, err));
    size_t seen = 0;
    for (uint32_t i = 0; i < l.n_slots; i++) {
        const mote__slot *s = &l.slots[i];
        const float *m = mote__importance_of(b, i);
        int mine =
                s->layer == 1 && s->expert == 2 &&
                (s->role == MOTE__ROLE_EXPERT_GATE || s->role == MOTE__ROLE_EXPERT_UP);
        assert_int_equal(m != NULL, mine);
        if (!m)
            continue;
        seen++;
        assert_true(m[0] > 2 * m[1]);
        /* "a column of weight zero would be rounded to anything" */
        for (int k = 0; k < 96; k++)
            assert_true(m[k] > 0.05f && m[k] < 10);
    }
    assert_int_equal(seen, 2);
    mote__importance_close(b);
    /* It changes what is packed. */
    mote_pack_options o = MOTE_PACK_OPTIONS_INIT;
    o.type = MOTE_TYPE_INT4;
    o.importance = path;
    char with[256];
    snprintf(with, sizeof with, "%s/with.mote", kit_folder());
    MUST(mote_pack_write(kit_checkpoint("v3-sharded"), with, &o, err));
    char *without = kit_make("v3-sharded", "without.mote", MOTE_TYPE_INT4, 0);
    size_t n, n2;
    uint8_t *p = golden_read_file(with, &n), *q = golden_read_file(without, &n2);
    assert_int_equal(n, n2);
    assert_true(memcmp(p, q, n) != 0);
    free(p);
    free(q);
    free(without);
    /* Another model's, a damaged one, one that is not there, values that are none. */
    assert_int_equal(mote__importance_load(&b, &other, path, &err), MOTE_E_MISMATCH);
    assert_null(b);
    assert_int_equal(mote_pack_write(kit_checkpoint("v3-tied"), with, &o, &err),
            MOTE_E_MISMATCH);
    uint8_t *file = golden_read_file(path, &n);
    for (size_t i = 0; i < n; i += 101) {
        file[i] ^= 4;
        kit_write(path, file, n);
        mote_status st = mote__importance_load(&b, &l, path, &err);
        assert_true(st == MOTE_E_MISMATCH || st == MOTE_E_FORMAT);
        assert_null(b);
        file[i] ^= 4;
    }
    for (size_t cut = 0; cut < n; cut += n / 7) {
        kit_write(path, file, cut);
        assert_int_equal(mote__importance_load(&b, &l, path, &err), MOTE_E_MISMATCH);
    }
    free(file);
    x[0][5] = -INFINITY;
    mote__importance_observe(a, 1, MOTE__ROLE_EXPERT_GATE, 2, x[0], 96, 96, 2);
    MUST(mote__importance_save(a, path, err));
    assert_int_equal(mote__importance_load(&b, &l, path, &err), MOTE_E_FORMAT);
    assert_int_equal(
            mote__importance_load(&b, &l, golden_path("%s/none", kit_folder()), &err),
            MOTE_E_NOT_FOUND);
    mote__importance_close(a);
    mote__layout_free(&l);
    mote__layout_free(&other);
    mote__checkpoint_close(ck);
    mote__checkpoint_close(other_ck);
}

/* "Later versions of the library read version 1": packs made by the first one. The
 * first is compared with the reference's logits at the tolerance that
 * tests/golden/test_oracle.c derives; the quantised one with what that version computed
 * (the same arithmetic in another order: the same tolerance). */
static void test_kept_packs(void **state)
{
    (void)state;
    const char *data = getenv("MOTE_TEST_DATA");
    golden *g = golden_open(kit_checkpoint("v3-tied"));
    golden *q = golden_open(golden_path("%s/pack", data ? data : "tests/data"));
    static const char *const names[] = {"v1.mote", "v1-int4.mote"};
    for (int i = 0; i < 2; i++) {
        char path[1100];
        snprintf(path, sizeof path, "%s/pack/%s", data ? data : "tests/data", names[i]);
        MUST(mote_pack_verify(path, NULL, NULL, err));
        mote_model *m = golden_model(path, NULL, 2);
        const golden_array *ids = golden_find(g, "a/tokens"),
                           *want = i ? golden_find(q, "int4/a/logits")
                                     : golden_find(g, "a/ref/logits");
        assert_non_null(ids);
        assert_non_null(want);
        uint32_t n = (uint32_t)ids->count, vocab = golden_vocab(m);
        float *found = malloc(n * vocab * sizeof *found);
        mote_session *s = golden_session(m, 64, MOTE_KV_F32, 0, 1);
        MUST(mote_session_eval(s, ids->i, n, err));
        golden_logits(s, n, found, vocab);
        assert_int_equal(want->count, n * vocab);
        golden_compare(names[i], found, want->f, n * vocab, 1e-4);
        free(found);
        mote_session_close(s);
        mote_model_close(m);
    }
    golden_close(g);
    golden_close(q);
}

static int done(void **state)
{
    (void)state;
    kit_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_keep_is_identical),
            cmocka_unit_test(test_deterministic),
            cmocka_unit_test(test_lossless),
            cmocka_unit_test(test_quantised),
            cmocka_unit_test(test_ways_of_opening),
            cmocka_unit_test(test_changed_later),
            cmocka_unit_test(test_mtp),
            cmocka_unit_test(test_cancel),
            cmocka_unit_test(test_failing_disk),
            cmocka_unit_test(test_wrong_calls),
            cmocka_unit_test(test_importance),
            cmocka_unit_test(test_kept_packs),
    };
    return cmocka_run_group_tests_name("pack", tests, NULL, done);
}
