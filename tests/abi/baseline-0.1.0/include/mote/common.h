/* SPDX-License-Identifier: MIT */
#ifndef MOTE_COMMON_H
#define MOTE_COMMON_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
#define MOTE_BEGIN_DECLS extern "C" {
#define MOTE_END_DECLS }
#else
#define MOTE_BEGIN_DECLS
#define MOTE_END_DECLS
#endif
#if defined(_WIN32) && defined(MOTE_BUILDING_SHARED)
#define MOTE_API __declspec(dllexport)
#elif defined(_WIN32) && !defined(MOTE_STATIC)
#define MOTE_API __declspec(dllimport)
#elif defined(__GNUC__)
#define MOTE_API __attribute__((visibility("default")))
#else
#define MOTE_API
#endif
MOTE_BEGIN_DECLS
typedef int32_t mote_status;
#define MOTE_OK 0
#define MOTE_DONE 1
#define MOTE_E_INVALID (-1)
#define MOTE_E_MEMORY (-2)
#define MOTE_E_IO (-3)
#define MOTE_E_FORMAT (-4)
#define MOTE_E_UNSUPPORTED (-5)
#define MOTE_E_NOT_FOUND (-6)
#define MOTE_E_CONTEXT_FULL (-7)
#define MOTE_E_CANCELLED (-8)
#define MOTE_E_NUMERIC (-9)
#define MOTE_E_MISMATCH (-10)
#define MOTE_E_BUDGET (-11)
typedef struct mote_error {
    mote_status status;
    char message[508];
} mote_error;
#ifdef __cplusplus
#define MOTE_STRUCT_INIT(type) {(uint32_t)sizeof(type)}
#else
#define MOTE_STRUCT_INIT(type) {.struct_size = (uint32_t)sizeof(type)}
#endif
MOTE_API const char *mote_status_name(mote_status status);
typedef int32_t (*mote_progress_fn)(
        void *user, const char *stage, uint64_t done, uint64_t total);
#define MOTE_LOG_WARNING 1
#define MOTE_LOG_INFO 2
typedef void (*mote_log_fn)(void *user, int32_t level, const char *message);
#define MOTE_MEM_WEIGHTS 0
#define MOTE_MEM_TOKENIZER 1
#define MOTE_MEM_KV 2
#define MOTE_MEM_SCRATCH 3
#define MOTE_MEM_OTHER 4
#define MOTE_MEM_TAGS 5
typedef void *(*mote_alloc_fn)(void *user, size_t size, size_t align, int32_t tag);
typedef void (*mote_free_fn)(void *user, void *ptr, size_t size, int32_t tag);
typedef void (*mote_task_fn)(void *task, uint32_t index);
typedef void (*mote_parallel_fn)(void *user, uint32_t n, mote_task_fn run, void *task);
MOTE_END_DECLS
#endif
