/* SPDX-License-Identifier: MIT */
/**
 * @file common.h
 * @defgroup common Status codes, errors and host callbacks
 *
 * Every function that can fail returns a ::mote_status and takes an optional,
 * caller-owned ::mote_error as its last argument. Zero is success, a negative
 * value is an error, a positive value is a normal outcome that is not an error
 * (::MOTE_DONE). The library never prints, aborts or exits.
 *
 * @code
 * mote_error err;
 * mote_model *model;
 * if (mote_model_open(&model, "path/to/checkpoint", NULL, &err) < 0) {
 *     fprintf(stderr, "%s: %s\n", mote_status_name(err.status), err.message);
 *     return 1;
 * }
 * @endcode
 * @{
 */
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

/** Result of a call: zero, a negative error, or a positive normal outcome. */
typedef int32_t mote_status;

#define MOTE_OK 0                /**< success */
#define MOTE_DONE 1              /**< nothing more to deliver; not an error */
#define MOTE_E_INVALID (-1)      /**< a wrong call: argument, option or order */
#define MOTE_E_MEMORY (-2)       /**< an allocation failed */
#define MOTE_E_IO (-3)           /**< the operating system could not read or write */
#define MOTE_E_FORMAT (-4)       /**< a file or text is damaged or inconsistent */
#define MOTE_E_UNSUPPORTED (-5)  /**< well-formed, but not something mote can do */
#define MOTE_E_NOT_FOUND (-6)    /**< a file, name or tensor does not exist */
#define MOTE_E_CONTEXT_FULL (-7) /**< the session has no room for more tokens */
#define MOTE_E_CANCELLED (-8)    /**< stopped by a progress callback or a cancel */
#define MOTE_E_NUMERIC (-9)      /**< the model computed NaN or infinity */
#define MOTE_E_MISMATCH (-10)    /**< made for another model, version or shape */
#define MOTE_E_BUDGET (-11)      /**< memory_bytes is too small; the message says
                                      what is needed */

/** Why a call failed. Owned by the caller; nothing to free. Its layout is frozen. */
typedef struct mote_error {
    mote_status status; /**< the status that the call returned */
    char message[508];  /**< one line, UTF-8, NUL-terminated */
} mote_error;

/** What the ..._INIT initialisers are made of: struct_size is set, the rest is zero. */
#ifdef __cplusplus
#define MOTE_STRUCT_INIT(type) {(uint32_t)sizeof(type)}
#else
#define MOTE_STRUCT_INIT(type) {.struct_size = (uint32_t)sizeof(type)}
#endif

/** Name of a status, for example "MOTE_E_FORMAT"; "unknown status" otherwise.
 *  Thread-safety: any thread. @since 0.1 */
MOTE_API const char *mote_status_name(mote_status status);

/** Called while something long runs (opening, prefilling, packing).
 *  @param stage  what is being done, for example "load" or "prefill"
 *  @param done   units finished, of @p total (bytes, or tokens)
 *  @return 0 to go on; anything else cancels with ::MOTE_E_CANCELLED.
 *  Called on the thread that made the call. */
typedef int32_t (*mote_progress_fn)(
        void *user, const char *stage, uint64_t done, uint64_t total);

#define MOTE_LOG_WARNING 1 /**< something works, but not as well as it could */
#define MOTE_LOG_INFO 2    /**< what was chosen and why */

/** Receives one line without a newline. May be called from any thread that is inside
 *  a call into the library; must not call back into it. */
typedef void (*mote_log_fn)(void *user, int32_t level, const char *message);

/** What a block of memory is for: passed to the host's allocator. */
#define MOTE_MEM_WEIGHTS 0   /**< model parameters */
#define MOTE_MEM_TOKENIZER 1 /**< vocabulary and merge tables */
#define MOTE_MEM_KV 2        /**< latent KV cache of a session */
#define MOTE_MEM_SCRATCH 3   /**< work buffers sized when a session is made */
#define MOTE_MEM_OTHER 4     /**< handles, configuration, names */
#define MOTE_MEM_TAGS 5      /**< number of tags */

/** Host allocator: @p size bytes aligned to @p align (a power of two), or NULL.
 *  May be called from any thread. */
typedef void *(*mote_alloc_fn)(void *user, size_t size, size_t align, int32_t tag);
/** Frees what ::mote_alloc_fn returned; @p size is the size asked for then. */
typedef void (*mote_free_fn)(void *user, void *ptr, size_t size, int32_t tag);

/** One part of a parallel step: run by a host pool for each index once. */
typedef void (*mote_task_fn)(void *task, uint32_t index);
/** Host thread pool: call @p run(task, i) for every i below @p n, in any order, on any
 *  threads, and return when all calls have returned. */
typedef void (*mote_parallel_fn)(void *user, uint32_t n, mote_task_fn run, void *task);

MOTE_END_DECLS
/** @} */
#endif
