/* SPDX-License-Identifier: MIT */
/* The system fails the library, once, at every call in turn: allocations (the host's
 * and the C library's), files, mappings, threads. Each public call in which that
 * happens either does without, or returns an error with a sentence and changes nothing:
 * made again, it succeeds, what comes out in the end is byte for byte what comes out
 * without failures, and nothing is left behind.
 *
 * Each run happens twice: with one failure, and with everything failing from there on
 * until the call has returned (so that what cleans up cannot count on memory either).
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../fuzz/tiny_model.h"
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEED = 19, CONTEXT = 64 };

static char dir[64];
static uint64_t budget; /* in which the pack's experts are streamed */

/* ---- what came out ---- */

typedef struct output {
    uint8_t bytes[1 << 16];
    size_t n;
} output;

static void record(output *o, const void *bytes, size_t n)
{
    assert_true(n <= sizeof o->bytes - o->n);
    memcpy(o->bytes + o->n, bytes, n);
    o->n += n;
}

static void record_piece(output *o, const mote_piece *p)
{
    record(o, p->text, p->n_bytes);
    record(o, &p->stop, sizeof p->stop);
    record(o, p->tokens, p->n_tokens * sizeof *p->tokens);
    record(o, p->logprobs, p->n_tokens * sizeof *p->logprobs);
}

/* ---- calls that may fail ---- */

static long survived; /* failing calls so far, in all runs */
static unsigned current_kinds;

static void must_be_a_fault(const char *what, mote_status st, const mote_error *e)
{
    long n = faults_rest();
    if (n == 0)
        fail_msg("%s: %s: %s", what, mote_status_name(st), e->message);
    if (e->status != st || !e->message[0])
        fail_msg("%s: %s, but the error says %s: \"%s\"", what, mote_status_name(st),
                mote_status_name(e->status), e->message);
    int memory = current_kinds == FAULT_HOST || current_kinds == FAULT_MALLOC;
    if (memory && st != MOTE_E_MEMORY)
        fail_msg("%s: expected MOTE_E_MEMORY, found %s: %s", what, mote_status_name(st),
                e->message);
    survived++;
}

/* Make a call; where it failed by our doing, once more. */
#define TRY(call)                                                                      \
    do {                                                                               \
        mote_error try_err = {0};                                                      \
        mote_error *err = &try_err;                                                    \
        mote_status try_st = (call);                                                   \
        if (try_st < 0) {                                                              \
            must_be_a_fault(#call, try_st, err);                                       \
            memset(err, 0, sizeof *err);                                               \
            try_st = (call);                                                           \
            if (try_st < 0)                                                            \
                fail_msg("%s again: %s: %s", #call, mote_status_name(try_st),          \
                        err->message);                                                 \
        }                                                                              \
    } while (0)

static const char *at(const char *name)
{
    static char paths[4][128];
    static unsigned which;
    char *p = paths[which++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static void generate(mote_session *s, const mote_generate_options *g,
        const mote_sampler_options *sampler, output *o)
{
    TRY(mote_session_generate(s, g, sampler, err));
    for (int i = 0;; i++) {
        mote_error e = {0};
        mote_piece p = MOTE_PIECE_INIT;
        mote_status st = mote_session_next(s, &p, &e);
        assert_true(i < 1000);
        if (st == MOTE_DONE)
            return;
        if (st < 0)
            must_be_a_fault("mote_session_next", st, &e); /* and go on */
        else
            record_piece(o, &p);
    }
}

static void batch(mote_session *a, mote_session *b, const mote_generate_options *g,
        output *of_a, output *of_b)
{
    mote_session *const sessions[] = {a, b};
    output *const outputs[] = {of_a, of_b};
    TRY(mote_session_generate(a, g, NULL, err));
    TRY(mote_session_generate(b, g, NULL, err));
    for (int i = 0;; i++) {
        mote_error e = {0};
        mote_piece p[] = {MOTE_PIECE_INIT, MOTE_PIECE_INIT};
        mote_status each[2] = {0};
        mote_status st = mote_session_next_batch(sessions, 2, p, each, &e);
        assert_true(i < 1000);
        for (int k = 0; k < 2; k++) {
            if (each[k] < 0)
                must_be_a_fault("mote_session_next_batch", each[k], &e);
            else if (each[k] == MOTE_OK && st == MOTE_OK)
                record_piece(outputs[k], &p[k]);
        }
        if (st < 0 && each[0] >= 0 && each[1] >= 0)
            must_be_a_fault("mote_session_next_batch", st, &e);
        if (st == MOTE_DONE)
            return;
    }
}

/* ---- a conversation, from opening to closing ---- */

static const char schema_text[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"xx\",\"y\"]},\"b\":"
        "{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"maxItems\":2}},"
        "\"required\":[\"a\",\"b\"],\"additionalProperties\":false}";
static const char messages[] = "[{\"role\":\"user\",\"content\":\"hi <x>\"}]";

static void with_snapshots(mote_model *m, mote_session *s, output *o)
{
    mote_session *second = NULL;
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    static uint8_t snapshot[1 << 18];
    size_t n = 0, capacity = 0;
    so.context_tokens = CONTEXT;
    TRY(mote_session_save(s, NULL, 0, &capacity, err));
    assert_true(capacity <= sizeof snapshot);
    TRY(mote_session_save(s, snapshot, capacity, &n, err));
    record(o, snapshot, n);
    TRY(mote_session_save_file(s, at("snapshot"), err));
    TRY(mote_session_open(&second, m, &so, err));
    TRY(mote_session_load(second, snapshot, n, err));
    record(o, &(uint32_t){mote_session_position(second)}, 4);
    TRY(mote_session_load_file(second, at("snapshot"), err));
    record(o, &(uint32_t){mote_session_position(second)}, 4);
    mote_session_close(second);
}

static void converse(mote_model *m, output *o, output *o2)
{
    mote_session *s = NULL, *fork = NULL;
    mote_schema *schema = NULL;
    int32_t ids[CONTEXT];
    size_t n = 0;
    const mote_tokenizer *t = mote_model_tokenizer(m);
    const mote_chat_format *format = mote_chat_format_find("deepseek-r1", NULL);
    const char *const stop[] = {"never this", "nor that"};
    mote_session_options so = MOTE_SESSION_OPTIONS_INIT;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    mote_sampler_options sampler = MOTE_SAMPLER_OPTIONS_INIT;
    so.context_tokens = CONTEXT;
    so.prefill_tokens = 8;
    /* The default drafts where time says that it pays, and a snapshot holds the draft
     * module's cache only if it is whole: with it, bytes would depend on how long a
     * failing call takes. */
    so.draft = MOTE_DRAFT_MTP;
    so.draft_tokens = 1;
    TRY(mote_chat_render(format, t, messages, strlen(messages), MOTE_CHAT_GENERATE,
            NULL, 0, ids, CONTEXT, &n, err));
    assert_true(n > 4 && n < CONTEXT / 2);
    record(o, ids, n * sizeof *ids);
    TRY(mote_schema_open(&schema, t, schema_text, strlen(schema_text), err));
    TRY(mote_session_open(&s, m, &so, err));
    TRY(mote_session_prompt(s, ids, n, err));
    g.max_tokens = 10;
    g.ignore_eos = 1;
    g.n_stop = 2;
    g.stop = stop;
    g.format = format;
    sampler.temperature = 1;
    sampler.seed = 3;
    sampler.repetition_penalty = 1.1f;
    generate(s, &g, &sampler, o);
    TRY(mote_session_fork(&fork, s, err));
    TRY(mote_session_rewind(fork, (uint32_t)n - 2, err));
    g.max_tokens = 6;
    g.format = NULL;
    batch(s, fork, &g, o, o2);
    TRY(mote_session_rewind(s, (uint32_t)n, err));
    with_snapshots(m, s, o);
    g.max_tokens = 0;
    g.schema = schema;
    generate(s, &g, &sampler, o);
    mote_session_close(fork);
    mote_session_close(s);
    mote_schema_close(schema);
}

/* How a model may come. streamed 2: by io_uring, where the system allows it. */
static const struct {
    const char *name, *file;
    uint32_t mapping, streamed;
} ways[] = {{"directory", "directory", MOTE_MAP_OFF, 0},
        {"file", "file.safetensors", MOTE_MAP_AUTO, 0},
        {"pack, mapped", "plain.mote", MOTE_MAP_AUTO, 0},
        {"pack, read", "plain.mote", MOTE_MAP_OFF, 0},
        {"pack, compressed", "zstd.mote", MOTE_MAP_AUTO, 0},
        {"pack, budget", "plain.mote", MOTE_MAP_AUTO, 1},
        {"pack, direct", "plain.mote", MOTE_MAP_DIRECT, 1},
        {"pack, io_uring", "plain.mote", MOTE_MAP_DIRECT, 2}};
enum { WAYS = sizeof ways / sizeof *ways };
static size_t n_ways = WAYS;

static void run(size_t way, output *o, output *o2)
{
    mote_model *m = NULL;
    mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
    mo.n_threads = 2;
    mo.mapping = ways[way].mapping;
    mo.memory_bytes = ways[way].streamed ? budget : 0;
    if (ways[way].streamed)
        mo.reading =
                ways[way].streamed == 2 ? MOTE_READING_URING : MOTE_READING_THREADS;
    faults_options(&mo);
    o->n = o2->n = 0;
    TRY(mote_model_open(&m, at(ways[way].file), &mo, err));
    assert_non_null(m);
    converse(m, o, o2);
    mote_model_close(m);
}

/* Every call of these kinds fails in turn, up to `limit` of them, evenly chosen. */
static void fail_in_turn(size_t way, unsigned kinds, long limit)
{
    static output expected, expected2, found, found2;
    current_kinds = kinds;
    long before = faults_live();
    run(way, &expected, &expected2);
    assert_int_equal(faults_live(), before);
    /* a run in which none fails counts the calls */
    long most = 1 << 20, calls = 0, step = 1, kept = survived;
    for (int sticky = 0; sticky < 2; sticky++) {
        for (long n = 0;; n += step + sticky) {
            faults_arm(kinds, n, sticky);
            run(way, &found, &found2);
            long hit = faults_rest();
            if (faults_live() != before)
                fail_msg("%s: failing call %ld leaves %ld blocks", ways[way].name, n,
                        faults_live() - before);
            if (found.n != expected.n || found2.n != expected2.n ||
                    memcmp(found.bytes, expected.bytes, found.n) != 0 ||
                    memcmp(found2.bytes, expected2.bytes, found2.n) != 0)
                fail_msg("%s: failing call %ld changes what comes out", ways[way].name,
                        n);
            if (!hit)
                break;
            assert_true(++calls < most);
            if (calls > limit)
                step = 1 + n / 8;
        }
        step = 1;
    }
    print_message(
            "%s: %ld places, %ld errors\n", ways[way].name, calls, survived - kept);
}

static void test_host_allocator(void **state)
{
    (void)state;
    for (size_t w = 0; w < n_ways; w++)
        fail_in_turn(w, FAULT_HOST, 500);
}

static void test_c_library(void **state)
{
    (void)state;
    for (size_t w = 0; w < n_ways; w++)
        fail_in_turn(w, FAULT_MALLOC, 500);
}

static void test_files(void **state)
{
    (void)state;
    for (size_t w = 0; w < n_ways; w++)
        fail_in_turn(w, FAULT_FILE, ways[w].streamed == 2 ? 1000 : 100);
}

static void test_mappings_and_threads(void **state)
{
    (void)state;
    for (size_t w = 0; w < n_ways; w++)
        fail_in_turn(w, FAULT_MAP | FAULT_THREAD, 100);
}

/* ---- packs are written, checked and calibrated ---- */

static void write_pack(const char *to, int zstd, uint32_t expert_type)
{
    mote_pack_options po = MOTE_PACK_OPTIONS_INIT;
    po.zstd_level = zstd;
    po.expert_type = expert_type;
    TRY(mote_pack_write(at("directory"), at(to), &po, err));
    TRY(mote_pack_verify(at(to), NULL, NULL, err));
}

static void *read_whole(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    void *p = malloc(1 << 20);
    assert_non_null(p);
    *n = fread(p, 1, 1 << 20, f);
    fclose(f);
    assert_true(*n > 0 && *n < 1 << 20);
    return p;
}

/* Each call of making a file fails in turn; made again, its bytes are those expected.
 */
static void fail_making(const char *expected_name, const char *found_name,
        void (*make)(const char *name))
{
    static const unsigned kinds[] = {
            FAULT_MALLOC, FAULT_FILE, FAULT_MAP | FAULT_THREAD};
    char part[32];
    snprintf(part, sizeof part, "%s.part", found_name);
    current_kinds = 0;
    make(expected_name);
    size_t n_expected, n;
    void *expected = read_whole(at(expected_name), &n_expected);
    for (size_t k = 0; k < 3; k++)
        for (int sticky = 0; sticky < 2; sticky++)
            for (long i = 0;; i += i < 40 ? 1 : 1 + i / 8) {
                long before = faults_live();
                current_kinds = kinds[k];
                faults_arm(kinds[k], i, sticky);
                make(found_name);
                long hit = faults_rest();
                if (faults_live() != before)
                    fail_msg("kind %u: failing call %ld leaves %ld blocks", kinds[k], i,
                            faults_live() - before);
                void *found = read_whole(at(found_name), &n);
                assert_int_equal(n, n_expected);
                assert_memory_equal(found, expected, n);
                free(found);
                unlink(at(found_name));
                /* nothing half-written stays, under any name */
                assert_int_not_equal(access(at(part), F_OK), 0);
                if (!hit)
                    break;
            }
    free(expected);
}

static void make_pack(const char *name)
{
    write_pack(name, 3, MOTE_TYPE_INT8);
}

static void test_writing_packs(void **state)
{
    (void)state;
    fail_making("expected.mote", "found.mote", make_pack);
}

static void make_importance(const char *name)
{
    static const char text[] = "once upon a time";
    TRY(mote_pack_calibrate(
            at("directory"), text, strlen(text), at(name), NULL, NULL, err));
}

static void test_calibrating(void **state)
{
    (void)state;
    fail_making("expected.imp", "found.imp", make_importance);
}

/* A disk that is full from the first byte on. */
static void test_full_disk(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    current_kinds = 0;
    mote_model *m = NULL;
    mote_session *s = NULL;
    int32_t id = TINY_BOS;
    TRY(mote_model_open(&m, at("file.safetensors"), NULL, err));
    TRY(mote_session_open(&s, m, NULL, err));
    TRY(mote_session_eval(s, &id, 1, err));
    /* what is written first has this name */
    assert_int_equal(symlink("/dev/full", at("full.part")), 0);
    mote_error e = {0};
    mote_status st = mote_session_save_file(s, at("full"), &e);
    assert_int_equal(st, MOTE_E_IO);
    assert_non_null(strstr(e.message, "no space left"));
    assert_int_not_equal(access(at("full"), F_OK), 0);
    /* the session goes on */
    TRY(mote_session_eval(s, &id, 1, err));
    TRY(mote_session_save_file(s, at("full"), err));
    assert_int_equal(mote_session_position(s), 2);
    mote_session_close(s);
    mote_model_close(m);
    unlink(at("full"));
    unlink(at("full.part"));
    assert_int_equal(symlink("/dev/full", at("full.part")), 0);
    st = mote_pack_write(at("directory"), at("full"), NULL, &e);
    assert_int_equal(st, MOTE_E_IO);
    assert_non_null(strstr(e.message, "no space left"));
    assert_int_not_equal(access(at("full"), F_OK), 0);
    unlink(at("full.part"));
}

/* ---- texts alone ---- */

static void test_tokenizer(void **state)
{
    static const char config[] = "{\"add_bos_token\":false}";
    (void)state;
    size_t size, n;
    char *json = tiny_tokenizer_json(&size);
    assert_non_null(json);
    current_kinds = FAULT_MALLOC;
    for (int sticky = 0; sticky < 2; sticky++)
        for (long i = 0;; i++) {
            mote_tokenizer *t = NULL;
            mote_schema *schema = NULL;
            mote_decoder *d = NULL;
            int32_t ids[CONTEXT];
            char back[CONTEXT];
            const char *text;
            long before = faults_live();
            faults_arm(FAULT_MALLOC, i, sticky);
            TRY(mote_tokenizer_open_memory(
                    &t, json, size, config, strlen(config), err));
            TRY(mote_tokenizer_encode(t, "a b\xff", 4, 0, ids, CONTEXT, &n, err));
            assert_int_equal(n, 4);
            TRY(mote_tokenizer_decode(t, ids, n, 0, back, sizeof back, &n, err));
            assert_int_equal(n, 4);
            assert_memory_equal(back, "a b\xff", 4);
            TRY(mote_decoder_open(&d, t, 0, err));
            TRY(mote_decoder_push(d, 'a', &text, &n, err));
            mote_decoder_close(d);
            TRY(mote_schema_open(&schema, t, schema_text, strlen(schema_text), err));
            mote_schema_close(schema);
            TRY(mote_chat_render_text(mote_chat_format_find("deepseek-v3.2", NULL),
                    messages, strlen(messages), 0, NULL, 0, back, 0, &n, err));
            mote_tokenizer_close(t);
            long hit = faults_rest();
            if (faults_live() != before)
                fail_msg("failing call %ld leaves %ld blocks", i,
                        faults_live() - before);
            if (!hit)
                break;
        }
    free(json);
}

/* ---- files ---- */

static void put(const char *name, const void *bytes, size_t size)
{
    FILE *f = fopen(at(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

/* The smallest budget that will do. */
static int find_budget(const char *name)
{
    for (budget = 4096; budget < 1 << 24; budget += 1024) {
        mote_model *m = NULL;
        mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
        mo.memory_bytes = budget;
        mote_status st = mote_model_open(&m, at(name), &mo, NULL);
        mote_stream_stats stats = MOTE_STRUCT_INIT(mote_stream_stats);
        if (st >= 0)
            st = mote_model_stream_stats(m, &stats, NULL);
        mote_model_close(m);
        if (st >= 0)
            return stats.active ? 0 : -1;
    }
    return -1;
}

static int has_uring(void)
{
    mote_model *m = NULL;
    mote_model_options mo = MOTE_MODEL_OPTIONS_INIT;
    mo.memory_bytes = budget;
    mo.reading = MOTE_READING_URING;
    mote_status st = mote_model_open(&m, at("plain.mote"), &mo, NULL);
    mote_model_close(m);
    return st >= 0;
}

static int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%.40s/mote-faults-XXXXXX", tmp ? tmp : "/tmp");
    char command[128];
    if (!mkdtemp(dir))
        return -1;
    snprintf(command, sizeof command, "mkdir %s/directory", dir);
    if (system(command) != 0)
        return -1;
    size_t n;
    void *b = tiny_model_make(SEED, 1, &n);
    put("file.safetensors", b, n);
    put("directory/model.safetensors", b, n);
    free(b);
    b = tiny_config_json(SEED, 1, &n);
    put("directory/config.json", b, n);
    free(b);
    b = tiny_tokenizer_json(&n);
    put("directory/tokenizer.json", b, n);
    free(b);
    write_pack("plain.mote", 0, 0);
    write_pack("zstd.mote", 3, 0);
    if (find_budget("plain.mote") != 0)
        return -1;
    if (!has_uring()) {
        print_message("no io_uring here: that way is left out\n");
        n_ways--; /* the last */
    }
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_tokenizer),
            cmocka_unit_test(test_host_allocator),
            cmocka_unit_test(test_c_library),
            cmocka_unit_test(test_files),
            cmocka_unit_test(test_mappings_and_threads),
            cmocka_unit_test(test_writing_packs),
            cmocka_unit_test(test_calibrating),
            cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
