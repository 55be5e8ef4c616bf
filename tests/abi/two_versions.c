/* SPDX-License-Identifier: MIT */
/* two_versions MODEL A.so B.so FLAGS SYMBOLS: two libraries in one process, loaded in
 * this order, RTLD_LOCAL or RTLD_GLOBAL as FLAGS says ("LL", "LG", "GL", "GG"). They
 * must not meet: every name leads into its own file, and both write the same story in
 * turns, one going on when the other has closed everything. Prints both versions and
 * the story.
 *
 * This program exports functions of the library's names itself: neither may call them.
 */
#define _GNU_SOURCE
#include <mote/mote.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an unlucky host, or a static copy within it, may offer to everyone. */
__attribute__((visibility("default"))) const char *mote_status_name(mote_status status)
{
    (void)status;
    abort();
}

#define FUNCTIONS(F)                                                                   \
    F(mote_version_string)                                                             \
    F(mote_model_open)                                                                 \
    F(mote_model_close)                                                                \
    F(mote_model_tokenizer)                                                            \
    F(mote_tokenizer_encode)                                                           \
    F(mote_session_open)                                                               \
    F(mote_session_close)                                                              \
    F(mote_session_prompt)                                                             \
    F(mote_session_generate)                                                           \
    F(mote_session_next)
typedef struct library {
    const char *path;
    void *handle;
#define MEMBER(name) __typeof__(&name) name;
    FUNCTIONS(MEMBER)
    mote_model *model;
    mote_session *session;
    char text[1024];
} library;

static void fail(const char *what, const char *why)
{
    printf("%s: %s\n", what, why);
    exit(1);
}

static void load(library *l, const char *path, char flag)
{
    l->path = path;
    l->handle = dlopen(path, RTLD_NOW | (flag == 'G' ? RTLD_GLOBAL : RTLD_LOCAL));
    if (!l->handle)
        fail(path, dlerror());
#define FIND(name)                                                                     \
    *(void **)&l->name = dlsym(l->handle, #name);                                      \
    if (!l->name)                                                                      \
        fail(path, #name);
    FUNCTIONS(FIND)
}

/* Every public name of a library leads into its own file, not the other's. */
static int apart(const library *a, const library *b, const char *symbols)
{
    char name[128];
    int n = 0;
    FILE *f = fopen(symbols, "r");
    if (!f)
        fail(symbols, "cannot be read");
    while (fscanf(f, "%127s", name) == 1) {
        void *x = dlsym(a->handle, name), *y = dlsym(b->handle, name);
        Dl_info i, j;
        if (!x || !y || x == y || !dladdr(x, &i) || !dladdr(y, &j) ||
                i.dli_fbase == j.dli_fbase)
            fail(name, "not apart");
        n++;
    }
    fclose(f);
    return n;
}

static void begin(library *l, const char *model)
{
    static const char prompt[] = "Once upon a time";
    mote_error err;
    mote_model_options o = MOTE_MODEL_OPTIONS_INIT;
    mote_generate_options g = MOTE_GENERATE_OPTIONS_INIT;
    int32_t ids[64];
    size_t n;
    o.n_threads = 2;
    g.max_tokens = 40;
    if (l->mote_model_open(&l->model, model, &o, &err) < 0 ||
            l->mote_tokenizer_encode(l->mote_model_tokenizer(l->model), prompt,
                    strlen(prompt), MOTE_ENCODE_BOS, ids, 64, &n, &err) < 0 ||
            l->mote_session_open(&l->session, l->model, NULL, &err) < 0 ||
            l->mote_session_prompt(l->session, ids, n, &err) < 0 ||
            l->mote_session_generate(l->session, &g, NULL, &err) < 0)
        fail(l->path, err.message);
}

static int step(library *l)
{
    mote_error err;
    mote_piece piece = MOTE_PIECE_INIT;
    mote_status st = l->mote_session_next(l->session, &piece, &err);
    if (st < 0)
        fail(l->path, err.message);
    if (st != MOTE_OK)
        return 0;
    strncat(l->text, piece.text, piece.n_bytes);
    return 1;
}

static void end(library *l)
{
    l->mote_session_close(l->session);
    l->mote_model_close(l->model);
    dlclose(l->handle);
}

int main(int argc, char **argv)
{
    static library a, b;
    if (argc != 6)
        return 2;
    load(&a, argv[2], argv[4][0]);
    load(&b, argv[3], argv[4][1]);
    int n = apart(&a, &b, argv[5]);
    begin(&a, argv[1]);
    begin(&b, argv[1]);
    for (int i = 0; i < 20; i++) {
        step(&a);
        step(&b);
    }
    while (step(&a))
        ;
    printf("%d names apart: %s", n, a.mote_version_string());
    end(&a);
    while (step(&b))
        ;
    printf(" and %s: %s\n", b.mote_version_string(), a.text);
    if (strcmp(a.text, b.text))
        fail("the stories differ", b.text);
    end(&b);
    return 0;
}
