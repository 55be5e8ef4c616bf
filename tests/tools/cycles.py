#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory through create, generate, destroy: cycles.py [CYCLES] prints the resident memory and
the open descriptors after 1000 cycles and at every tenth of the way. The sibling for Lua is
cycles.lua.

MOTE_LIBRARY=build/lib/libmote.so.0 PYTHONPATH=bindings/python tests/tools/cycles.py 200000"""
import os
import platform
import sys

import mote


def resident_kib() -> int:
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def cycle(model: mote.Model, i: int) -> None:
    session = model.session(context_tokens=32, prefill_tokens=16)
    for piece in session.generate("Once", max_tokens=2, stop=["zebra"], seed=i):
        assert isinstance(piece.text, str)
    if i % 10 == 0:
        assert session.save() and len(session.logits())
    if i % 50 == 0:
        schema = model.schema({"enum": ["yes"]})
        assert list(session.generate("Once", max_tokens=2, schema=schema))
    if i % 2 == 0:
        session.close()  # the others are left to the collector


cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
name = f"Python {platform.python_version()}"
with mote.Model(n_threads=1) as model:
    first = 0
    for i in range(1, cycles + 1):
        cycle(model, i)
        if i == 1000 or i % max(cycles // 10, 1) == 0:
            now = resident_kib()
            first = first or now
            fds = len(os.listdir("/proc/self/fd")) - 1  # one lists them
            print(f"{name}: {i} cycles: {now} KiB, {fds} descriptors", flush=True)
print(f"{name}: grew {now - first} KiB")
