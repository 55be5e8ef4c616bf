/* SPDX-License-Identifier: MIT */
/* Random JSON Schemas of every supported keyword, for the tests of constrained output.
 * One sequence of random numbers a process. */
#ifndef MOTE_TEST_RANDOM_SCHEMA_H
#define MOTE_TEST_RANDOM_SCHEMA_H
#include <jansson.h>
#include <stdint.h>

void schema_seed(uint64_t value);
/* 0 .. n - 1 */
uint32_t schema_rnd(uint32_t n);
/* A whole schema; some have no values at all. */
json_t *schema_random(void);
#endif
