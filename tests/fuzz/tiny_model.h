/* SPDX-License-Identifier: MIT */
/* Models of a few kilobytes, made in memory: a whole checkpoint (configuration,
 * tokenizer of single bytes, random weights) in one safetensors file. Small enough that
 * a test can open hundreds of them. */
#ifndef MOTE_TESTS_TINY_MODEL_H
#define MOTE_TESTS_TINY_MODEL_H
#include <stddef.h>
#include <stdint.h>

/* Token ids 0..255 are the bytes; then come the control tokens. */
enum {
    TINY_BOS = 256,
    TINY_EOS,
    TINY_USER,
    TINY_ASSISTANT,
    TINY_THINK,
    TINY_THINK_END,
    TINY_VOCAB = 272, /* logits; the rest have no token */
    TINY_CONTEXT = 96 /* max_position_embeddings */
};

/* The same seed gives the same bytes. Shapes follow from the seed as well; mtp 1 adds a
 * draft module. From malloc; NULL without memory. */
uint8_t *tiny_model_make(uint64_t seed, int mtp, size_t *size);
/* The float values of one tensor inside the file, by its exact name, or NULL. */
float *tiny_model_tensor(uint8_t *file, const char *name, size_t *n_values);
/* The config.json text in it; from malloc. */
char *tiny_config_json(uint64_t seed, int mtp, size_t *size);
/* The tokenizer.json text in it; from malloc. */
char *tiny_tokenizer_json(size_t *size);
#endif
