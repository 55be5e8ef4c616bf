/* SPDX-License-Identifier: MIT */
/* What a pass must read and multiply, from a model's dimensions alone. */
#ifndef MOTE_CLI_BENCH_BYTES_H
#define MOTE_CLI_BENCH_BYTES_H
#include <mote/model.h>

/* Multiply-adds count as two operations. The head is applied to the last token only. */
double bench_prefill_flops(const mote_model_info *info, uint32_t tokens);
/* Bytes of cache that one decoded token reads at a depth. */
uint64_t bench_kv_bytes(const mote_model_info *info, uint32_t kv_type, uint32_t depth);
/* 'f', 'b', '8', 'i', '4': the type that most weights have (f32, bf16, fp8, int8,
 * int4). */
char bench_main_type(const mote_model_info *info);
#endif
