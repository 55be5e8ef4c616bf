/* SPDX-License-Identifier: MIT */
/* From the texts of a checkpoint to a tokenizer. */
#include "base/json.h"
#include "base/status.h"
#include "schema.h"
#include "tokenizer_parts.h"

#include <string.h>

static mote_status parse(
        json_t **out, const char *text, size_t n, const char *name, mote_error *err)
{
    mote_status st = mote__json_parse(out, text, n, name, err);
    if (st >= 0 && !json_is_object(*out))
        st = mote__json_wrong(name, "the file", "an object", *out, err);
    return st;
}

static mote_status keep_template(
        mote_tokenizer *t, const char *text, size_t n, mote_error *err)
{
    t->chat_template = mote__alloc(t->memory, MOTE_MEM_TOKENIZER, n + 1);
    if (!t->chat_template)
        return mote__fail_memory(err, n, "the chat template");
    memcpy(t->chat_template, text, n);
    t->chat_template[n] = '\0';
    t->chat_template_size = n;
    return MOTE_OK;
}

/* The template itself, or that named "default" in a list of named ones; or NULL. */
static const json_t *find_template(const json_t *v)
{
    if (json_is_string(v))
        return v;
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *item = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        const json_t *text = json_object_get(item, "template");
        if (name && strcmp(name, "default") == 0 && json_is_string(text))
            return text;
    }
    return NULL;
}

/* A control token is written as its text, or as an object that holds it. -1: not given.
 */
static mote_status find_control(mote_tokenizer *t, const json_t *config,
        const char *name, int32_t *id, mote_error *err)
{
    const json_t *v = json_object_get(config, name);
    *id = -1;
    if (!v || json_is_null(v))
        return MOTE_OK;
    if (json_is_object(v))
        v = json_object_get(v, "content");
    if (!json_is_string(v))
        return mote__fail(err, MOTE_E_FORMAT,
                "tokenizer_config.json: %s: expected a string or an object with "
                "content",
                name);
    const char *text = json_string_value(v);
    size_t n = json_string_length(v);
    *id = mote__tokenizer_find_added(t, text, n);
    if (*id < 0)
        *id = mote__bpe_find(&t->bpe, (const uint8_t *)text, n);
    if (*id < 0)
        return mote__fail(err, MOTE_E_FORMAT,
                "tokenizer_config.json: %s \"%.100s\" is not a token of the vocabulary",
                name, text);
    return MOTE_OK;
}

/* tokenizer_class is not looked at: it names a Python class, not what the file does. */
static mote_status read_config(mote_tokenizer *t, const json_t *config, mote_error *err)
{
    mote_status st = find_control(t, config, "bos_token", &t->bos, err);
    if (st >= 0)
        st = find_control(t, config, "eos_token", &t->eos, err);
    if (st < 0)
        return st;
    const json_t *add = json_object_get(config, "add_bos_token");
    if (add && !json_is_boolean(add) && !json_is_null(add))
        return mote__fail(err, MOTE_E_FORMAT,
                "tokenizer_config.json: add_bos_token: expected true or false");
    t->adds_bos = json_is_true(add);
    if (t->adds_bos && t->bos < 0)
        return mote__fail(err, MOTE_E_FORMAT,
                "tokenizer_config.json: add_bos_token is true, but there is no "
                "bos_token");
    const json_t *text = find_template(json_object_get(config, "chat_template"));
    if (text && !t->chat_template)
        return keep_template(t, json_string_value(text), json_string_length(text), err);
    return MOTE_OK;
}

static mote_status read_json(
        mote_tokenizer *t, const char *text, size_t n, mote_error *err)
{
    json_t *root = NULL;
    mote_status st = parse(&root, text, n, "tokenizer.json", err);
    if (st >= 0)
        st = mote__read_pipeline(t, root, err);
    if (st >= 0)
        st = mote__read_vocabulary(t, root, err);
    json_decref(root);
    return st;
}

mote_status mote__tokenizer_open_texts(mote_tokenizer **out, mote__memory *m,
        const mote__tokenizer_texts *texts, mote_error *err)
{
    json_t *config = NULL;
    mote_status st = MOTE_OK;
    *out = NULL;
    mote_tokenizer *t = mote__calloc(m, MOTE_MEM_TOKENIZER, 1, sizeof *t);
    if (!t)
        return mote__fail_memory(err, sizeof *t, "a tokenizer");
    t->memory = m;
    t->bos = t->eos = -1;
    mote__splitter_init(&t->splitter, m);
    if (texts->config && (st = parse(&config, texts->config, texts->config_size,
                                  "tokenizer_config.json", err)) < 0)
        goto out;
    st = texts->tokenizer ? read_json(t, texts->tokenizer, texts->tokenizer_size, err)
                          : mote__read_tiktoken(t, texts->tiktoken,
                                    texts->tiktoken_size, config, err);
    if (st < 0)
        goto out;
    if (texts->chat_template && (st = keep_template(t, texts->chat_template,
                                         texts->chat_template_size, err)) < 0)
        goto out;
    if (config)
        st = read_config(t, config, err);
out:
    json_decref(config);
    if (st < 0)
        mote__tokenizer_close(t);
    else
        *out = t;
    return st;
}

void mote__tokenizer_close(mote_tokenizer *t)
{
    mote__memory *m = t->memory;
    mote__bpe_free(&t->bpe);
    mote__splitter_free(&t->splitter);
    mote__added_free(&t->added[0]);
    mote__added_free(&t->added[1]);
    mote__schema_words_close(t->schema_words);
    mote__free(m, MOTE_MEM_TOKENIZER, t->flags, t->n_flags);
    if (t->chat_template)
        mote__free(m, MOTE_MEM_TOKENIZER, t->chat_template, t->chat_template_size + 1);
    mote__free(m, MOTE_MEM_TOKENIZER, t, sizeof *t);
}

const char *mote__tokenizer_chat_template(const mote_tokenizer *tokenizer, size_t *size)
{
    if (size)
        *size = tokenizer->chat_template_size;
    return tokenizer->chat_template;
}

const uint8_t *mote__tokenizer_bytes(const mote_tokenizer *t, int32_t id, size_t *n)
{
    if (id < 0 || (size_t)id >= t->bpe.n_ids || t->bpe.span[id][1] == 0)
        return NULL;
    *n = t->bpe.span[id][1];
    return t->bpe.blob + t->bpe.span[id][0];
}

int32_t mote__tokenizer_find_added(const mote_tokenizer *t, const char *text, size_t n)
{
    int32_t id = mote__added_find(&t->added[0], (const uint8_t *)text, n);
    return id >= 0 ? id : mote__added_find(&t->added[1], (const uint8_t *)text, n);
}
