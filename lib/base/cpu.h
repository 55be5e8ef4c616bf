/* SPDX-License-Identifier: MIT */
/* What the running CPU can do, as MOTE_CPU_... bits of kernels/cpu_flags.h. */
#ifndef MOTE_BASE_CPU_H
#define MOTE_BASE_CPU_H
#include <stdint.h>
uint32_t mote__cpu_flags(void);
uint32_t mote__cpu_cores(void); /* cores this process may run on, at least 1 */
#endif
