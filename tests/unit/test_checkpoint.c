/* SPDX-License-Identifier: MIT */
/* Checkpoints on disk, behind a descriptor and in memory: what opens, what is found and
 * read, and which directories and indexes are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#ifndef _WIN32
#include <sys/resource.h>
#endif
#include <sys/stat.h>
#include <unistd.h>

#include "file/checkpoint.h"
#include "file/os_file.h"
#include "../portable.h"
#include "make_safetensors.h"
#include "mote/model.h"

#define INDEX "model.safetensors.index.json"
#define U8(name, n, b, e)                                                              \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #n "],\"data_offsets\":[" #b "," #e   \
    "]}"
#define SINGLE_FILE                                                                    \
    "{\"__metadata__\":{\"config.json\":\"{\\\"a\\\":1}\",\"tokenizer.json\":\"[]\","  \
    "\"other\":\"x\"}," U8("w", 5, 0, 5) "," U8("v", 2, 5, 7) "}"

/* ---- a directory per test ---- */

static char dir[256];

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/mote-checkpoint-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char path[1024];
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (unlink(path) != 0)
            rmdir(path);
    }
    if (d)
        closedir(d);
    return rmdir(dir);
}

static const char *in_dir(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const void *bytes, size_t size)
{
    FILE *f = fopen(in_dir(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static void put_tensors(const char *name, const char *header, size_t n_data)
{
    size_t size;
    uint8_t *b = make_safetensors(header, n_data, &size);
    put(name, b, size);
    free(b);
}

static void refuse_path(const char *path, mote_status status, const char *phrase)
{
    mote__checkpoint *c = (mote__checkpoint *)dir; /* any pointer: must become NULL */
    mote_error err = {MOTE_OK, ""};
    mote_status st = mote__checkpoint_open(&c, path, MOTE_MAP_AUTO, &err);
    if (st != status || err.status != status || !strstr(err.message, phrase))
        fail_msg("expected %s with \"%s\", found %s with \"%s\"",
                mote_status_name(status), phrase, mote_status_name(st), err.message);
    assert_null(c);
    assert_int_equal(mote__checkpoint_open(&c, path, MOTE_MAP_ON, NULL), status);
}

static mote__checkpoint *accept_path(const char *path, uint32_t mapping)
{
    mote__checkpoint *c = NULL;
    mote_error err = {-99, "x"};
    if (mote__checkpoint_open(&c, path, mapping, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(err.status, MOTE_OK);
    assert_string_equal(err.message, "");
    return c;
}

/* ---- one file ---- */

/* The two tensors of SINGLE_FILE, wherever they lie. */
static void check_single(const mote__checkpoint *c)
{
    mote_error err;
    uint8_t b[8] = {0};
    size_t size = 99;
    assert_string_equal(mote__checkpoint_text(c, "config.json", &size), "{\"a\":1}");
    assert_int_equal(size, 7);
    assert_string_equal(mote__checkpoint_text(c, "tokenizer.json", NULL), "[]");
    assert_null(mote__checkpoint_text(c, "tokenizer_config.json", &size));
    assert_int_equal(size, 0);
    assert_null(mote__checkpoint_text(c, "other", NULL));
    assert_int_equal(mote__checkpoint_count(c), 2);
    assert_string_equal(mote__checkpoint_at(c, 0)->name, "v");
    assert_string_equal(mote__checkpoint_at(c, 1)->name, "w");
    assert_null(mote__checkpoint_at(c, 2));
    assert_null(mote__checkpoint_find(c, ""));
    assert_null(mote__checkpoint_find(c, "u"));
    assert_null(mote__checkpoint_find(c, "x"));
    const mote__tensor *w = mote__checkpoint_find(c, "w");
    assert_ptr_equal(w, mote__checkpoint_at(c, 1));
    assert_int_equal(mote__checkpoint_read(c, w, 0, 5, b, &err), MOTE_OK);
    assert_memory_equal(b, "\0\1\2\3\4", 5);
    assert_int_equal(mote__checkpoint_read(c, w, 2, 2, b, &err), MOTE_OK);
    assert_memory_equal(b, "\2\3", 2);
    assert_int_equal(mote__checkpoint_read(c, w, 5, 0, b, &err), MOTE_OK);
    const mote__tensor *v = mote__checkpoint_find(c, "v");
    assert_int_equal(mote__checkpoint_read(c, v, 0, 2, b, &err), MOTE_OK);
    assert_memory_equal(b, "\5\6", 2);
    /* a read stays within its tensor */
    assert_int_equal(mote__checkpoint_read(c, w, 0, 6, b, &err), MOTE_E_INVALID);
    assert_non_null(
            strstr(err.message, "tensor w: 6 bytes at 0 lie outside its 5 bytes"));
    assert_int_equal(mote__checkpoint_read(c, w, 6, 0, b, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote__checkpoint_read(c, w, UINT64_MAX, 2, b, &err), MOTE_E_INVALID);
    assert_int_equal(
            mote__checkpoint_read(c, w, 2, UINT64_MAX, b, &err), MOTE_E_INVALID);
}

static void test_memory(void **state)
{
    (void)state;
    size_t size;
    mote_error err;
    mote__checkpoint *c;
    uint8_t *b = make_safetensors(SINGLE_FILE, 7, &size);
    assert_int_equal(mote__checkpoint_open_memory(&c, b, size, &err), MOTE_OK);
    check_single(c);
    assert_int_equal(mote__checkpoint_mapped_bytes(c), 0);
    mote__checkpoint_close(c);
    assert_int_equal(
            mote__checkpoint_open_memory(&c, b, size - 1, &err), MOTE_E_FORMAT);
    assert_non_null(strstr(err.message, "memory: tensor v: data_offsets: end 7"));
    assert_null(c);
    assert_int_equal(mote__checkpoint_open_memory(&c, NULL, 0, &err), MOTE_E_FORMAT);
    free(b);
    b = make_safetensors("{" U8("w", 1, 0, 1) "}", 1, &size);
    assert_int_equal(mote__checkpoint_open_memory(&c, b, size, &err), MOTE_E_FORMAT);
    assert_non_null(strstr(err.message, "needs \"config.json\" in its __metadata__"));
    free(b);
    mote__checkpoint_close(NULL);
}

static void test_single_path(void **state)
{
    (void)state;
    put_tensors("one.safetensors", SINGLE_FILE, 7);
    static const uint32_t modes[] = {MOTE_MAP_AUTO, MOTE_MAP_ON, MOTE_MAP_OFF};
    for (int i = 0; i < 3; i++) {
        mote__checkpoint *c = accept_path(in_dir("one.safetensors"), modes[i]);
        check_single(c);
        assert_int_equal(mote__checkpoint_mapped_bytes(c) > 0, modes[i] == MOTE_MAP_ON);
        mote__checkpoint_close(c);
    }
    mote__checkpoint *c;
    mote_error err;
    assert_int_equal(mote__checkpoint_open(&c, in_dir("one.safetensors"), 3, &err),
            MOTE_E_INVALID);
    assert_non_null(strstr(err.message, "mapping: expected 0, 1 or 2, found 3"));
    put_text("text.safetensors", "hello, I am not a safetensors file");
    refuse_path(in_dir("text.safetensors"), MOTE_E_FORMAT, "safetensors header of");
    put_text("empty.safetensors", "");
    refuse_path(in_dir("empty.safetensors"), MOTE_E_FORMAT, "0 bytes is too short");
}

/* "From a file descriptor with offset and length": an asset inside a larger file. */
static void test_descriptor(void **state)
{
    (void)state;
    size_t size;
    mote_error err;
    mote__checkpoint *c;
    uint8_t *b = make_safetensors(SINGLE_FILE, 7, &size);
    uint8_t *big = malloc(size + 10000);
    assert_non_null(big);
    memset(big, 0xee, size + 10000);
    memcpy(big + 5003, b, size);
    put("assets", big, size + 10000);
    int fd = open(in_dir("assets"), O_RDONLY);
    assert_true(fd >= 0);
    for (uint32_t mapping = 0; mapping < 3; mapping++) {
        assert_int_equal(
                mote__checkpoint_open_fd(&c, fd, 5003, size, mapping, &err), MOTE_OK);
        check_single(c);
        mote__checkpoint_close(c);
    }
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0); /* still open, position untouched */
    assert_int_equal(
            mote__checkpoint_open_fd(&c, fd, 5003, size - 1, 0, &err), MOTE_E_FORMAT);
    assert_int_equal(mote__checkpoint_open_fd(&c, fd, 5003, 0, 0, &err), MOTE_E_FORMAT);
    assert_non_null(strstr(err.message, "trailing bytes"));
    assert_int_equal(
            mote__checkpoint_open_fd(&c, fd, size + 10001, 0, 0, &err), MOTE_E_INVALID);
    assert_non_null(strstr(err.message, "lies outside the file"));
    assert_int_equal(mote__checkpoint_open_fd(&c, fd, 5003, UINT64_MAX, 0, &err),
            MOTE_E_INVALID);
    assert_int_equal(mote__checkpoint_open_fd(&c, fd, UINT64_MAX, UINT64_MAX, 0, &err),
            MOTE_E_INVALID);
    assert_null(c);
    /* The descriptor is duplicated: the caller's may be closed. */
    assert_int_equal(mote__checkpoint_open_fd(&c, fd, 5003, size, 0, &err), MOTE_OK);
    close(fd);
    check_single(c);
    mote__checkpoint_close(c);
    assert_int_equal(mote__checkpoint_open_fd(&c, fd, 0, 0, 0, &err), MOTE_E_IO);
    assert_non_null(strstr(err.message, "cannot use file descriptor"));
    assert_int_equal(mote__checkpoint_open_fd(&c, -1, 0, 0, 0, &err), MOTE_E_IO);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(mote__checkpoint_open_fd(&c, ends[0], 0, 0, 0, &err), MOTE_E_IO);
    assert_non_null(strstr(err.message, "not a regular file"));
    close(ends[0]);
    close(ends[1]);
    put("exact", b, size);
    fd = open(in_dir("exact"), O_RDONLY);
    assert_int_equal(mote__checkpoint_open_fd(&c, fd, 0, 0, 0, &err), MOTE_OK);
    close(fd);
    check_single(c);
    mote__checkpoint_close(c);
    free(big);
    free(b);
}

#ifndef _WIN32
/* PITFALLS: "mmap of a file that is truncated later raises SIGBUS". */
static void test_truncated_meanwhile(void **state)
{
    (void)state;
    for (uint32_t mapping = 0; mapping < 3; mapping++) {
        put_tensors("one.safetensors", SINGLE_FILE, 7);
        mote__checkpoint *c = accept_path(in_dir("one.safetensors"), mapping);
        assert_int_equal(truncate(in_dir("one.safetensors"), 60), 0);
        uint8_t b[8];
        mote_error err;
        assert_int_equal(
                mote__checkpoint_read(c, mote__checkpoint_find(c, "w"), 0, 5, b, &err),
                MOTE_E_IO);
        assert_non_null(strstr(err.message, "truncated"));
        assert_non_null(strstr(err.message, "tensor w"));
        mote__checkpoint_close(c);
    }
}
#endif

/* ---- directories ---- */

static void test_paths(void **state)
{
    (void)state;
    refuse_path(in_dir("nothing"), MOTE_E_NOT_FOUND, "no such file or directory");
    refuse_path("", MOTE_E_NOT_FOUND, "no such file or directory");
    refuse_path(dir, MOTE_E_NOT_FOUND, "there is no config.json");
    put_text("config.json", "{}");
    refuse_path(dir, MOTE_E_NOT_FOUND,
            "there is no model.safetensors and no model.safetensors.index.json");
    refuse_path(in_dir("config.json/x"), MOTE_E_NOT_FOUND, "no such file");
#ifndef _WIN32
    /* A pipe in a file's place must not hang the host. */
    assert_int_equal(mkfifo(in_dir("model.safetensors"), 0600), 0);
    refuse_path(dir, MOTE_E_IO, "not a regular file");
    refuse_path(in_dir("model.safetensors"), MOTE_E_IO, "not a regular file");
    unlink(in_dir("model.safetensors"));
#endif
    assert_int_equal(mkdir(in_dir("model.safetensors"), 0700), 0);
    refuse_path(dir, MOTE_E_IO, "not a regular file");
    rmdir(in_dir("model.safetensors"));
    put_tensors("model.safetensors", "{" U8("w", 1, 0, 1) "}", 1);
    unlink(in_dir("config.json"));
    assert_int_equal(mkdir(in_dir("config.json"), 0700), 0);
    refuse_path(dir, MOTE_E_IO, "config.json: not a regular file");
}

static void test_directory(void **state)
{
    (void)state;
    put_text("config.json", "{\"x\":2}");
    put_text("tokenizer.json", "");
    put_text("chat_template.jinja", "{{ x }}");
    /* Metadata of a file in a directory does not replace the directory's texts. */
    put_tensors("model.safetensors",
            "{\"__metadata__\":{\"config.json\":\"{}\",\"tokenizer_config.json\":\"{}"
            "\"}," U8("w", 5, 0, 5) "}",
            5);
    mote__checkpoint *c = accept_path(dir, MOTE_MAP_AUTO);
    size_t size = 9;
    assert_string_equal(mote__checkpoint_text(c, "config.json", &size), "{\"x\":2}");
    assert_int_equal(size, 7);
    assert_string_equal(mote__checkpoint_text(c, "tokenizer.json", &size), "");
    assert_int_equal(size, 0);
    assert_string_equal(
            mote__checkpoint_text(c, "chat_template.jinja", NULL), "{{ x }}");
    assert_null(mote__checkpoint_text(c, "tokenizer_config.json", NULL));
    assert_int_equal(mote__checkpoint_count(c), 1);
    mote__checkpoint_close(c);
    char slash[300];
    snprintf(slash, sizeof slash, "%s/", dir);
    mote__checkpoint_close(accept_path(slash, MOTE_MAP_ON));
}

/* `mote tokenize`: "a directory that holds only tokenizer.json". */
static void test_texts_only(void **state)
{
    (void)state;
    mote__checkpoint *c = NULL;
    mote_error err;
    assert_int_equal(mote__checkpoint_open_texts(&c, dir, &err), MOTE_OK);
    assert_null(mote__checkpoint_text(c, "tokenizer.json", NULL));
    mote__checkpoint_close(c);
    put_text("tokenizer.json", "{}");
    assert_int_equal(mote__checkpoint_open_texts(&c, dir, &err), MOTE_OK);
    assert_string_equal(mote__checkpoint_text(c, "tokenizer.json", NULL), "{}");
    assert_int_equal(mote__checkpoint_count(c), 0);
    assert_null(mote__checkpoint_at(c, 0));
    assert_null(mote__checkpoint_find(c, "w"));
    mote__checkpoint_close(c);
    put_tensors("one.safetensors", SINGLE_FILE, 7);
    assert_int_equal(
            mote__checkpoint_open_texts(&c, in_dir("one.safetensors"), &err), MOTE_OK);
    assert_string_equal(mote__checkpoint_text(c, "tokenizer.json", NULL), "[]");
    mote__checkpoint_close(c);
    assert_int_equal(
            mote__checkpoint_open_texts(&c, in_dir("nothing"), &err), MOTE_E_NOT_FOUND);
    assert_null(c);
    /* 256 MB is the limit of a text; a sparse file claims more. */
    assert_int_equal(truncate(in_dir("tokenizer.json"), (268435456LL + 1)), 0);
    assert_int_equal(mote__checkpoint_open_texts(&c, dir, &err), MOTE_E_FORMAT);
    assert_non_null(strstr(err.message, "268435457 bytes, at most 268435456 allowed"));
}

/* ---- shards ---- */

static void put_shards(void)
{
    put_text("config.json", "{}");
    put_tensors("one.safetensors", "{" U8("a", 2, 0, 2) "," U8("b", 1, 2, 3) "}", 3);
    put_tensors("two.safetensors", "{" U8("c", 2, 0, 2) "}", 2);
}

static void put_index(const char *map)
{
    char text[4096];
    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":5},\"weight_map\":%s}",
            map);
    put_text(INDEX, text);
}

static void refuse_index(const char *map, mote_status status, const char *phrase)
{
    put_index(map);
    refuse_path(dir, status, phrase);
}

static void test_shards(void **state)
{
    (void)state;
    put_shards();
    put_index("{\"c\":\"two.safetensors\",\"a\":\"one.safetensors\","
              "\"b\":\"one.safetensors\"}");
    mote__checkpoint *c = accept_path(dir, MOTE_MAP_ON);
    assert_int_equal(mote__checkpoint_count(c), 3);
    uint8_t b[2];
    mote_error err;
    const mote__tensor *t = mote__checkpoint_find(c, "c");
    assert_int_equal(mote__checkpoint_read(c, t, 0, 2, b, &err), MOTE_OK);
    assert_memory_equal(b, "\0\1", 2);
    t = mote__checkpoint_find(c, "b");
    assert_int_equal(mote__checkpoint_read(c, t, 0, 1, b, &err), MOTE_OK);
    assert_memory_equal(b, "\2", 1);
    mote__checkpoint_close(c);
    /* A tensor that the index does not mention is still unambiguous. */
    put_index("{\"c\":\"two.safetensors\",\"a\":\"one.safetensors\"}");
    c = accept_path(dir, MOTE_MAP_OFF);
    assert_non_null(mote__checkpoint_find(c, "b"));
    mote__checkpoint_close(c);
    /* One file wins over an index, as in Transformers. */
    put_tensors("model.safetensors", "{" U8("only", 1, 0, 1) "}", 1);
    c = accept_path(dir, MOTE_MAP_OFF);
    assert_int_equal(mote__checkpoint_count(c), 1);
    mote__checkpoint_close(c);
}

/* PITFALLS: "missing or duplicate shards". */
static void test_missing_and_duplicate(void **state)
{
    (void)state;
    put_shards();
    refuse_index("{\"a\":\"one.safetensors\",\"c\":\"three.safetensors\"}",
            MOTE_E_NOT_FOUND, "shard three.safetensors is missing");
    refuse_index("{\"a\":\"one.safetensors\",\"x\":\"two.safetensors\"}", MOTE_E_FORMAT,
            "tensor x is not in its shard two.safetensors");
    refuse_index("{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}", MOTE_E_FORMAT,
            "tensor a is not in its shard two.safetensors");
    put_tensors("copy.safetensors", "{" U8("a", 2, 0, 2) "," U8("b", 1, 2, 3) "}", 3);
    refuse_index("{\"a\":\"one.safetensors\",\"b\":\"copy.safetensors\"}",
            MOTE_E_FORMAT, "tensor a is in two shards, ");
    refuse_index("{\"a\":\"one.safetensors\",\"a\":\"two.safetensors\"}", MOTE_E_FORMAT,
            "duplicate object key");
    put_text("bad.safetensors", "short");
    refuse_index("{\"a\":\"one.safetensors\",\"c\":\"bad.safetensors\"}", MOTE_E_FORMAT,
            "bad.safetensors: 5 bytes is too short");
}

/* PITFALLS: "`../` or absolute paths in an index". */
static void test_index_paths(void **state)
{
    (void)state;
    put_shards();
    static const char *const names[] = {"../one.safetensors", "..", ".", "",
            "/etc/passwd", "sub/one.safetensors", "./one.safetensors",
            "..\\\\one.safetensors", "sub\\\\one.safetensors", "C:one.safetensors",
            "C:\\\\one.safetensors", "one.safetensors/", "a..b", "one\\n.safetensors",
            "\\u0001"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char map[256];
        snprintf(map, sizeof map, "{\"a\":\"one.safetensors\",\"b\":\"%s\"}", names[i]);
        refuse_index(map, MOTE_E_FORMAT, "is not a plain file name");
    }
    char map[700] = "{\"a\":\"";
    memset(map + 6, 'n', 300);
    strcpy(map + 306, "\"}");
    refuse_index(map, MOTE_E_FORMAT, "is not a plain file name");
}

static void test_index_text(void **state)
{
    (void)state;
    put_shards();
    put_text(INDEX, "");
    refuse_path(dir, MOTE_E_FORMAT, "not valid JSON");
    put_text(INDEX, "[]");
    refuse_path(dir, MOTE_E_FORMAT, "weight_map: expected an object");
    put_text(INDEX, "{}");
    refuse_path(dir, MOTE_E_FORMAT, "weight_map: expected an object");
    refuse_index("[]", MOTE_E_FORMAT, "weight_map: expected an object");
    refuse_index("{}", MOTE_E_FORMAT, "weight_map is empty");
    refuse_index(
            "{\"a\":1}", MOTE_E_FORMAT, "a: expected a shard's file name, found 1");
    refuse_index("{\"a\":null}", MOTE_E_FORMAT, "expected a shard's file name");
    char *many = malloc(5000 * 24);
    assert_non_null(many);
    size_t at = (size_t)snprintf(many, 64, "{\"weight_map\":{");
    for (int i = 0; i < 4097; i++)
        at += (size_t)snprintf(many + at, 32, "%s\"t%d\":\"s%d\"", i ? "," : "", i, i);
    strcpy(many + at, "}}");
    put_text(INDEX, many);
    refuse_path(dir, MOTE_E_FORMAT, "4097 shards, at most 4096 allowed");
    free(many);
}

/* Nothing stays open: a hundred failures leave the next descriptor where it was. */
static void test_no_descriptor_leaks(void **state)
{
    (void)state;
    put_shards();
    put_index("{\"a\":\"one.safetensors\",\"x\":\"two.safetensors\"}");
    int before = dup(0);
    assert_true(before >= 0);
    close(before);
    for (int i = 0; i < 100; i++)
        refuse_path(dir, MOTE_E_FORMAT, "tensor x is not in its shard");
    int after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

#ifndef _WIN32
/* A long path leaves room for the reason. */
static void test_long_paths(void **state)
{
    (void)state;
    char path[1024], part[200];
    memset(part, 'd', sizeof part);
    part[0] = '/';
    part[199] = '\0';
    snprintf(path, sizeof path, "%s", dir);
    for (int i = 0; i < 3; i++) {
        strcat(path, part);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    refuse_path(path, MOTE_E_NOT_FOUND, "ddd: there is no config.json");
    strcat(path, part);
    refuse_path(path, MOTE_E_NOT_FOUND, "ddd: no such file or directory");
    for (int i = 0; i < 3; i++) {
        *strrchr(path, '/') = '\0';
        assert_int_equal(rmdir(path), 0);
    }
}
#endif

#ifndef _WIN32
/* Running out of descriptors in the middle is an error like any other. */
static void test_too_many_files(void **state)
{
    (void)state;
    put_shards();
    put_index("{\"c\":\"two.safetensors\",\"a\":\"one.safetensors\"}");
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    low = before;
    low.rlim_cur = (rlim_t)next + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    mote__checkpoint *c;
    mote_error err;
    mote_status st = mote__checkpoint_open(&c, dir, MOTE_MAP_AUTO, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(st, MOTE_E_IO);
    assert_null(c);
    assert_non_null(
            strstr(err.message, "two.safetensors: cannot open: too many open files"));
    mote__checkpoint_close(accept_path(dir, MOTE_MAP_AUTO));
}
#endif

/* Offsets beyond 4 GiB, in a file that occupies a few blocks. */
static void test_large_file(void **state)
{
    (void)state;
    const char *header =
            "{\"__metadata__\":{\"config.json\":\"{}\"},"
            "\"a\":{\"dtype\":\"BF16\",\"shape\":[50000,50000],"
            "\"data_offsets\":[0,5000000000]}," U8("b", 4, 5000000000, 5000000004) "}";
    put_tensors("large.safetensors", header, 0);
    FILE *f = fopen(in_dir("large.safetensors"), "r+b");
    assert_non_null(f);
    if (fseeko(f, (off_t)(8 + strlen(header) + 5000000000), SEEK_SET) != 0 ||
            fwrite("last", 1, 4, f) != 4 || fclose(f) != 0) {
        print_message("no file of 5 GB here\n");
        skip();
    }
    for (uint32_t mapping = 0; mapping < 3; mapping++) {
        char b[5] = "";
        mote_error err;
        mote__checkpoint *c = NULL;
        if (SIZE_MAX <= UINT32_MAX && mapping == MOTE_MAP_ON) {
            assert_int_equal(mote__checkpoint_open(
                                     &c, in_dir("large.safetensors"), mapping, &err),
                    MOTE_E_IO);
            assert_non_null(strstr(err.message, "more than the address space"));
            continue;
        }
        c = accept_path(in_dir("large.safetensors"), mapping);
        const mote__tensor *t = mote__checkpoint_find(c, "b");
        assert_true(t->offset == 8 + strlen(header) + UINT64_C(5000000000));
        assert_int_equal(mote__checkpoint_read(c, t, 0, 4, b, &err), MOTE_OK);
        assert_string_equal(b, "last");
        t = mote__checkpoint_find(c, "a");
        assert_int_equal(mote__checkpoint_read(c, t, 4999999999, 1, b, &err), MOTE_OK);
        assert_int_equal(b[0], 0);
        mote__checkpoint_close(c);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
            T(test_memory),
            T(test_single_path),
            T(test_descriptor),
#ifndef _WIN32
            T(test_truncated_meanwhile),
#endif
            T(test_paths),
            T(test_directory),
            T(test_texts_only),
            T(test_shards),
            T(test_missing_and_duplicate),
            T(test_index_paths),
            T(test_index_text),
            T(test_no_descriptor_leaks),
#ifndef _WIN32
            T(test_long_paths),
            T(test_too_many_files),
#endif
            T(test_large_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
