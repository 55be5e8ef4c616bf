#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a binding costs per token: compare.py BUILD [PAIRS [NAME]] runs overhead.c and
the same loop in Python and every Lua there is, in turns, and prints the median time per token
and the median of the pairwise overheads. On one thread, one token per pass: the worst case."""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parents[2]
build = pathlib.Path(sys.argv[1]).resolve()
pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 10
wanted = sys.argv[3] if len(sys.argv) > 3 else ""
here = root / "tests/bench"
model = root / "models/tiny-v3"
base = {**os.environ, "MOTE_LIBRARY": str(build / "lib/libmote.so.0"),
        "PYTHONPATH": str(root / "bindings/python"), "LUA_PATH": str(root / "bindings/lua/?.lua")}


class Loop:
    """One of the programs, waiting for a line."""

    def __init__(self, *command, **environment):
        self.times = []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**base, **environment})

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        time, size = self.process.stdout.readline().split()
        self.times.append(float(time))
        return size

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def overhead(*program, **environment):
    """Times per token of C and of a program, and the median overhead, from a fresh pair of
    processes: where their memory lies is luck that lasts as long as they do."""
    c = Loop(build / "tests/bench/overhead", model)
    other = Loop(*program, model, **environment)
    for i in range(12):
        if len({x.step() for x in ((c, other) if i % 2 else (other, c))}) != 1:
            sys.exit(f"{program} wrote another text")
    c.end()
    other.end()
    return (statistics.median(c.times[2:]), statistics.median(other.times[2:]),
            statistics.median(b / a - 1 for a, b in zip(c.times[2:], other.times[2:])))


programs = {"C again": ((build / "tests/bench/overhead",), {}),
            "Python " + sys.version.split()[0]: ((sys.executable, here / "overhead.py"), {})}
for lua in ("lua5.1", "lua5.2", "lua5.3", "lua5.4", "luajit"):
    module = build / f"bindings/lua/{lua[3:]}"
    if shutil.which(lua) and (lua == "luajit" or module.exists()):
        programs[lua] = (lua, here / "overhead.lua"), {"LUA_CPATH": f"{module}/?.so"}
found = {name: [] for name in programs if name.startswith(wanted)}
for _ in range(pairs):
    for name, results in found.items():
        command, environment = programs[name]
        results.append(overhead(*command, **environment))
for name, results in found.items():
    c, other, ratio = zip(*results)
    low, _, high = statistics.quantiles(ratio, n=4)
    print(f"{name:14} {statistics.median(other) / 1000:7.2f} us per token, C "
          f"{statistics.median(c) / 1000:7.2f}: {100 * statistics.median(ratio):5.2f} % more "
          f"(half of the pairs {100 * low:.2f} to {100 * high:.2f})")
