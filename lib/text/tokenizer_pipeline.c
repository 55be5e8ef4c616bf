/* SPDX-License-Identifier: MIT */
/* The steps around BPE in tokenizer.json. Each is either done exactly or refused by
 * name: a tokenizer that is nearly right is worse than none. */
#include "base/status.h"
#include "tokenizer_parts.h"

#include <jansson.h>
#include <string.h>

/* GPT-2's pattern, which ByteLevel stands for with use_regex. */
static const char byte_level_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| "
                                         "?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static bool is_absent(const json_t *v)
{
    return !v || json_is_null(v);
}

static const char *type_of(const json_t *v)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    return is_absent(v) ? "null" : type ? type : "?";
}

static bool is_type(const json_t *v, const char *type)
{
    return strcmp(type_of(v), type) == 0;
}

static mote_status refuse(mote_error *err, const char *what, const json_t *v)
{
    return mote__fail(err, MOTE_E_UNSUPPORTED,
            "tokenizer.json: %s of type \"%.100s\" is not supported", what, type_of(v));
}

/* `v` itself, or the members of the Sequence that it is; `v` at index 0 otherwise. */
static const json_t *step_at(const json_t *v, const char *list, size_t index)
{
    if (is_absent(v))
        return NULL;
    if (is_type(v, "Sequence"))
        return json_array_get(json_object_get(v, list), index);
    return index == 0 ? v : NULL;
}

static mote_status add_split(mote_tokenizer *t, const json_t *step, mote_error *err)
{
    const json_t *pattern = json_object_get(step, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *literal = json_object_get(pattern, "String");
    const char *behavior = json_string_value(json_object_get(step, "behavior"));
    const json_t *text = regex ? regex : literal;
    if (!json_is_string(text))
        return mote__fail(err, MOTE_E_FORMAT,
                "tokenizer.json: Split: expected a pattern {\"Regex\": ...} or "
                "{\"String\": ...}");
    /* `invert` only exchanges matches and gaps, and Isolated keeps both alike. */
    if (!behavior || strcmp(behavior, "Isolated") != 0)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "tokenizer.json: Split with behavior \"%.100s\" is not supported",
                behavior ? behavior : "?");
    return mote__splitter_add(&t->splitter, json_string_value(text),
            json_string_length(text), !regex, err);
}

static mote_status add_byte_level(
        mote_tokenizer *t, const json_t *step, mote_error *err)
{
    /* Both are true where they are not given. */
    if (!json_is_false(json_object_get(step, "add_prefix_space")))
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "tokenizer.json: pre_tokenizer ByteLevel: add_prefix_space is not "
                "supported");
    if (json_is_false(json_object_get(step, "use_regex")))
        return MOTE_OK;
    return mote__splitter_add(&t->splitter, byte_level_pattern,
            sizeof byte_level_pattern - 1, false, err);
}

static mote_status read_pre_tokenizer(
        mote_tokenizer *t, const json_t *v, mote_error *err)
{
    bool byte_level = false;
    const json_t *step;
    mote_status st = MOTE_OK;
    for (size_t i = 0; (step = step_at(v, "pretokenizers", i)) && st >= 0; i++) {
        if (byte_level)
            return mote__fail(err, MOTE_E_UNSUPPORTED,
                    "tokenizer.json: pre_tokenizer: ByteLevel must be the last step");
        if (is_type(step, "Split")) {
            st = add_split(t, step, err);
        } else if (is_type(step, "Digits")) {
            bool each = json_is_true(json_object_get(step, "individual_digits"));
            const char *pattern = each ? "\\p{N}" : "\\p{N}+";
            st = mote__splitter_add(&t->splitter, pattern, strlen(pattern), false, err);
        } else if (is_type(step, "ByteLevel")) {
            st = add_byte_level(t, step, err);
            byte_level = true;
        } else {
            return refuse(err, "pre_tokenizer", step);
        }
    }
    if (st >= 0 && !byte_level)
        return mote__fail(err, MOTE_E_UNSUPPORTED,
                "tokenizer.json: pre_tokenizer without ByteLevel is not supported");
    return st < 0 ? st : mote__splitter_freeze(&t->splitter, err);
}

mote_status mote__read_pipeline(
        mote_tokenizer *t, const struct json_t *root, mote_error *err)
{
    /* truncation and padding are for training batches: no encoding here applies them.
     */
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *post = json_object_get(root, "post_processor");
    const json_t *decoder = json_object_get(root, "decoder");
    const json_t *step;
    if (!is_absent(normalizer) &&
            !(is_type(normalizer, "Sequence") &&
                    json_array_size(json_object_get(normalizer, "normalizers")) == 0))
        return refuse(err, "normalizer", normalizer);
    /* ByteLevel as post-processor moves offsets only, which nobody asks for here. */
    for (size_t i = 0; (step = step_at(post, "processors", i)); i++)
        if (!is_type(step, "ByteLevel"))
            return refuse(err, "post_processor", step);
    if (!is_type(decoder, "ByteLevel") &&
            !(is_type(decoder, "Sequence") &&
                    json_array_size(json_object_get(decoder, "decoders")) == 1 &&
                    is_type(step_at(decoder, "decoders", 0), "ByteLevel")))
        return refuse(err, "decoder", decoder);
    return read_pre_tokenizer(t, json_object_get(root, "pre_tokenizer"), err);
}
