/* SPDX-License-Identifier: MIT */
/* Helpers of the tests about text: reading files and JSON lines, SHA-256. */
#ifndef MOTE_TEST_TEXT_H
#define MOTE_TEST_TEXT_H
#include <stddef.h>
#include <stdint.h>

/* A file of a folder named by an environment variable (MOTE_SHARED, MOTE_TEST_DATA), or
 * NULL where there is none. A name that ends in .zst is decompressed. malloc'ed, with a
 * NUL after it. */
char *text_load(const char *variable, const char *name, size_t *n);
/* The next line of a text: NULL after the last. */
const char *text_line(const char **at, const char *end, size_t *n);
/* 64 hexadecimal digits and a NUL. */
void text_sha256(const void *data, size_t n, char hex[65]);
#endif
