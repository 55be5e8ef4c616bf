/* SPDX-License-Identifier: MIT */
/* The C side of org.mote.Story: libmote.a in a shared object of the app's own, which
 * exports what Java calls and nothing else (story.map). Text crosses as UTF-8 bytes:
 * the strings of JNI are another encoding. Errors become RuntimeException. */
#include <mote/mote.h>

#include <jni.h>
#include <stdlib.h>
#include <string.h>

typedef struct story {
    mote_model *model;
    mote_session *session;
} story;

static void throw_error(JNIEnv *env, const mote_error *err)
{
    jclass c = (*env)->FindClass(env, "java/lang/RuntimeException");
    if (c)
        (*env)->ThrowNew(env, c, err->message);
}

static void throw_text(JNIEnv *env, const char *message)
{
    jclass c = (*env)->FindClass(env, "java/lang/RuntimeException");
    if (c)
        (*env)->ThrowNew(env, c, message);
}

/* Bytes of Java's, NUL-terminated, from malloc; NULL with an exception. */
static char *copy_bytes(JNIEnv *env, jbyteArray bytes, size_t *n)
{
    const jsize size = (*env)->GetArrayLength(env, bytes);
    char *copy = malloc((size_t)size + 1);
    if (!copy) {
        throw_text(env, "out of memory");
        return NULL;
    }
    (*env)->GetByteArrayRegion(env, bytes, 0, size, (jbyte *)copy);
    copy[size] = 0;
    *n = (size_t)size;
    return copy;
}

static void close_story(story *s)
{
    if (!s)
        return;
    mote_session_close(s->session);
    mote_model_close(s->model);
    free(s);
}

static jlong finish_open(JNIEnv *env, story *s, mote_status st, mote_error *err)
{
    if (st >= 0)
        st = mote_session_open(&s->session, s->model, NULL, err);
    if (st >= 0)
        return (jlong)(intptr_t)s;
    close_story(s);
    throw_error(env, err);
    return 0;
}

JNIEXPORT jlong JNICALL Java_org_mote_Story_openPath(
        JNIEnv *env, jclass class, jbyteArray path)
{
    (void)class;
    size_t n = 0;
    mote_error err = {0};
    story *s = calloc(1, sizeof *s);
    char *name = s ? copy_bytes(env, path, &n) : NULL;
    if (!name) {
        free(s);
        return 0;
    }
    mote_status st = mote_model_open(&s->model, name, NULL, &err);
    free(name);
    return finish_open(env, s, st, &err);
}

JNIEXPORT jlong JNICALL Java_org_mote_Story_openPart(
        JNIEnv *env, jclass class, jint fd, jlong offset, jlong length)
{
    (void)class;
    mote_error err = {0};
    story *s = calloc(1, sizeof *s);
    if (!s) {
        throw_text(env, "out of memory");
        return 0;
    }
    mote_status st = mote_model_open_fd(
            &s->model, fd, (uint64_t)offset, (uint64_t)length, NULL, &err);
    return finish_open(env, s, st, &err);
}

JNIEXPORT void JNICALL Java_org_mote_Story_begin(JNIEnv *env, jclass class,
        jlong handle, jbyteArray prompt, jfloat temperature, jlong seed,
        jint max_tokens)
{
    (void)class;
    story *s = (story *)(intptr_t)handle;
    mote_error err = {0};
    size_t size = 0, n = 0;
    char *text = copy_bytes(env, prompt, &size);
    int32_t *tokens = text ? malloc((size + 8) * sizeof *tokens) : NULL;
    mote_sampler_options sampler = MOTE_SAMPLER_OPTIONS_INIT;
    mote_generate_options options = MOTE_GENERATE_OPTIONS_INIT;
    sampler.temperature = temperature;
    sampler.seed = (uint64_t)seed;
    options.max_tokens = (uint32_t)max_tokens;
    mote_status st = MOTE_E_MEMORY;
    if (tokens)
        st = mote_tokenizer_encode(mote_model_tokenizer(s->model), text, size,
                MOTE_ENCODE_BOS, tokens, size + 8, &n, &err);
    if (st >= 0)
        st = mote_session_prompt(s->session, tokens, n, &err);
    if (st >= 0)
        st = mote_session_generate(s->session, &options, &sampler, &err);
    if (st < 0 && text)
        throw_error(env, &err);
    free(tokens);
    free(text);
}

JNIEXPORT jbyteArray JNICALL Java_org_mote_Story_next(
        JNIEnv *env, jclass class, jlong handle)
{
    (void)class;
    story *s = (story *)(intptr_t)handle;
    mote_error err = {0};
    mote_piece piece = MOTE_PIECE_INIT;
    const mote_status st = mote_session_next(s->session, &piece, &err);
    if (st < 0)
        throw_error(env, &err);
    if (st != MOTE_OK)
        return NULL;
    jbyteArray bytes = (*env)->NewByteArray(env, (jsize)piece.n_bytes);
    if (bytes)
        (*env)->SetByteArrayRegion(
                env, bytes, 0, (jsize)piece.n_bytes, (const jbyte *)piece.text);
    return bytes;
}

JNIEXPORT void JNICALL Java_org_mote_Story_cancel(
        JNIEnv *env, jclass class, jlong handle)
{
    (void)env;
    (void)class;
    mote_session_cancel(((story *)(intptr_t)handle)->session);
}

JNIEXPORT void JNICALL Java_org_mote_Story_close(
        JNIEnv *env, jclass class, jlong handle)
{
    (void)env;
    (void)class;
    close_story((story *)(intptr_t)handle);
}
