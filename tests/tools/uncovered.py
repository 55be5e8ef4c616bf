#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lines of lib/ that no test reaches, held against the list of those that are known.

usage: uncovered.py BUILD [--write]

BUILD is a build folder with coverage whose tests have run (tests/tools/coverage.sh).
tests/tools/uncovered.txt has a line for each function with such lines: file, function
and reason. A function that is not listed, or a listed one whose lines are all reached by
now, is told, and the exit code is 1. With --write, functions are added to the list
without a reason and those not needed any more are taken out.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LIST = os.path.join(HERE, "uncovered.txt")


def read_counts(build):
    """{file: {line: [count, function]}}, the best count of all objects."""
    counts = {}
    for folder, _, names in os.walk(os.path.join(build, "lib")):
        for name in sorted(names):
            if not name.endswith(".gcda"):
                continue
            text = subprocess.run(["gcov", "--json-format", "--stdout", os.path.join(folder, name)],
                                  cwd=build, capture_output=True, check=True).stdout
            for part in text.splitlines():
                for entry in json.loads(part)["files"]:
                    path = os.path.normpath(os.path.join(build, entry["file"]))
                    path = os.path.relpath(path, ROOT)
                    if not path.startswith("lib/"):
                        continue
                    lines = counts.setdefault(path, {})
                    for line in entry["lines"]:
                        best = lines.setdefault(line["line_number"], [0, line.get("function_name", "?")])
                        best[0] = max(best[0], line["count"])
    return counts


def main():
    build = os.path.abspath(sys.argv[1])
    counts = read_counts(build)
    missed = {}
    total = 0
    for path, lines in counts.items():
        total += len(lines)
        for number, (count, function) in sorted(lines.items()):
            if count == 0:
                missed.setdefault((path, function), []).append(number)
    n_missed = sum(map(len, missed.values()))
    print("%d of %d lines of lib/ are not reached (%.1f %% are)" %
          (n_missed, total, 100 - 100 * n_missed / max(total, 1)))
    listed = {}
    if os.path.exists(LIST):
        with open(LIST, encoding="utf-8") as file:
            for line in file:
                if line.strip() and not line.startswith("#"):
                    path, function, *reason = line.rstrip("\n").split(None, 2)
                    listed[path, function] = "".join(reason)
    status = 0
    for key in sorted(missed):
        if listed.get(key):
            continue
        status = 1
        print("%s %s: not listed, or without a reason" % key)
        with open(os.path.join(ROOT, key[0]), encoding="utf-8") as file:
            source = file.read().split("\n")
        for number in missed[key]:
            print("  %5d  %s" % (number, source[number - 1].strip()))
    for key in sorted(set(listed) - set(missed)):
        status = 1
        print("%s %s: listed, and reached" % key)
    if "--write" in sys.argv:
        with open(LIST, encoding="utf-8") as file:
            head = [line for line in file if line.startswith("#")]
        with open(LIST, "w", encoding="utf-8") as file:
            file.writelines(head)
            for key in sorted(missed):
                file.write("%s %s %s\n" % (*key, listed.get(key, "")))
    return status


sys.exit(main())
