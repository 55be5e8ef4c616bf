/* SPDX-License-Identifier: MIT */
/* The machine's limits, measured with the model's own workers. */
#include "mote/experimental.h"

#include "base/status.h"
#include "kernels/peak.h"
#include "model/model.h"
#include "session/session.h"

#include <string.h>

enum { PROBE_BYTES = 512 << 20, GRAIN = 1 << 16, PEAK_ROUNDS = 1 << 20 };

typedef struct probe {
    const uint8_t *data;
    _Atomic uint64_t sum;
    uint32_t flags, kind;
    _Atomic uint64_t operations;
} probe;

static void read_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    probe *p = arg;
    (void)worker;
    atomic_fetch_add(&p->sum, mote_k_read(p->flags, p->data + (size_t)begin * GRAIN,
                                      (size_t)(end - begin) * GRAIN));
}

mote_status mote_x_read_bandwidth(mote_model *m, double *bytes_per_s, mote_error *err)
{
    if (!m || !bytes_per_s)
        return mote__fail(
                err, MOTE_E_INVALID, "expected a model and a place for the figure");
    if (!m->probe) {
        m->probe = mote__alloc(&m->memory, MOTE_MEM_OTHER, PROBE_BYTES);
        if (!m->probe)
            return mote__fail_memory(err, PROBE_BYTES, "the bandwidth measurement");
        m->probe_size = PROBE_BYTES;
        mote__advise_huge(m->probe, PROBE_BYTES); /* as weights are */
        memset(m->probe, 1, PROBE_BYTES); /* real pages, not the shared zero page */
    }
    probe p = {.data = m->probe, .flags = m->net.k.flags};
    uint64_t start = mote__now_ns();
    mote__pool_run(m->pool, PROBE_BYTES / GRAIN, 1, read_range, &p);
    uint64_t ns = mote__now_ns() - start;
    *bytes_per_s = PROBE_BYTES * 1e9 / (double)(ns ? ns : 1);
    return MOTE_OK;
}

static void peak_range(void *arg, uint32_t begin, uint32_t end, uint32_t worker)
{
    probe *p = arg;
    (void)worker;
    for (uint32_t i = begin; i < end; i++) {
        float sink;
        atomic_fetch_add(
                &p->operations, mote_k_peak_run(p->flags, p->kind, PEAK_ROUNDS, &sink));
        atomic_fetch_add(&p->sum, (uint64_t)(sink > 0));
    }
}

mote_status mote_x_multiply_peak(
        mote_model *m, uint32_t kind, double *flops_per_s, mote_error *err)
{
    if (!m || !flops_per_s || kind > MOTE_X_PEAK_INT8)
        return mote__fail(err, MOTE_E_INVALID,
                "expected a model, a MOTE_X_PEAK_... kind and a place for the figure");
    probe p = {.flags = m->net.k.flags, .kind = kind};
    uint64_t start = mote__now_ns();
    mote__pool_run(m->pool, 4 * mote__pool_threads(m->pool), 4, peak_range, &p);
    uint64_t ns = mote__now_ns() - start;
    *flops_per_s = (double)atomic_load(&p.operations) * 1e9 / (double)(ns ? ns : 1);
    return MOTE_OK;
}
