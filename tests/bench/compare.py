#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a binding costs per token: compare.py BUILD [PAIRS [NAME]] runs overhead.c and the same
loop in Python and every Lua there is, in turns, on one thread, one token per pass: the worst
case.

Prints for each the time between two calls of mote_session_next() (between.c) less
that of C, beside the time within the call; and the median difference of the whole loops' times,
in which the luck of where two processes have their memory is larger than what is sought."""
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
between = build / "tests/bench/libbetween.so"
base = {**os.environ, "MOTE_LIBRARY": str(between), "PYTHONPATH": str(root / "bindings/python"),
        "LUA_PATH": str(root / "bindings/lua/?.lua")}
in_c = (build / "tests/bench/overhead",), {"LD_PRELOAD": str(between)}


class Loop:
    """One of the programs, waiting for a line."""

    def __init__(self, *command, **environment):
        self.times = []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**base, **environment})

    def step(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        time, size = self.process.stdout.readline().split()
        self.times.append(float(time))
        return size

    def end(self):
        """Nanoseconds between and within calls, medians of the generations after the first two."""
        _, told = self.process.communicate()
        generations = [[float(x) for x in line.split()] for line in told.splitlines()]
        return [statistics.median(x) for x in zip(*generations[2:])]


def overhead(program, environment):
    """From a fresh pair of processes: times between and within calls of C and of a program, and
    how much more its loop took."""
    c = Loop(*in_c[0], model, **in_c[1])
    other = Loop(*program, model, **environment)
    for i in range(12):
        if len({x.step() for x in ((c, other) if i % 2 else (other, c))}) != 1:
            sys.exit(f"{program} wrote another text")
    return (*c.end(), *other.end(),
            statistics.median(b / a - 1 for a, b in zip(c.times[2:], other.times[2:])))


def percent(ratios):
    """Median and quartiles."""
    low, middle, high = statistics.quantiles([100 * x for x in ratios], n=4)
    return f"{middle:5.2f} % ({low:.2f} to {high:.2f})"


programs = {"C again": in_c}
for python in dict.fromkeys((sys.executable, "/usr/bin/python3")):
    if shutil.which(python):
        version = subprocess.check_output((python, "--version"), text=True).split()[1]
        programs[f"Python {version}"] = (python, here / "overhead.py"), {}
for lua in ("lua5.1", "lua5.2", "lua5.3", "lua5.4", "luajit"):
    module = build / f"bindings/lua/{lua[3:]}"
    if shutil.which(lua) and (lua == "luajit" or module.exists()):
        programs[lua] = (lua, here / "overhead.lua"), {"LUA_CPATH": f"{module}/?.so"}
found = {name: [] for name in programs if name.startswith(wanted)}
for _ in range(pairs):
    for name, results in found.items():
        results.append(overhead(*programs[name]))
for name, results in found.items():
    more = percent((other - c) / within for c, _, other, within, _ in results)
    whole = percent(ratio for *_, ratio in results)
    c, _, other, within, _ = (statistics.median(x) for x in zip(*results))
    print(f"{name:14} {other / 1000:6.2f} us between calls (C {c / 1000:.2f}), "
          f"{within / 1000:.2f} within: {more} more; whole loop {whole}")
