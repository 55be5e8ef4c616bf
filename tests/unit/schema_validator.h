/* SPDX-License-Identifier: MIT */
/* A JSON Schema validator for the tests of constrained output. It is written from the
 * standard, on parsed values, and shares nothing with the library. */
#ifndef MOTE_TEST_SCHEMA_VALIDATOR_H
#define MOTE_TEST_SCHEMA_VALIDATOR_H
#include <jansson.h>

/* 1: valid; 0: not; -1: a keyword that this validator does not know. */
int schema_valid(json_t *root, json_t *schema, json_t *value);
#endif
