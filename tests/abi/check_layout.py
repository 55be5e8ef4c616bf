#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sizes, offsets and constants of the public headers are what programs were compiled with.

check_layout.py ROOT COMPILER...  compares with layout-64.txt and layout-32.txt as
far as the compiler can; with --write it writes them. Fields may only be appended, constants only be
added: any other difference breaks programs that exist."""
import pathlib
import re
import subprocess
import sys

arguments = [a for a in sys.argv[1:] if a != "--write"]
root, compiler = pathlib.Path(arguments[0]).resolve(), arguments[1:]
write = "--write" in sys.argv
headers = sorted((root / "include/mote").glob("*.h"))
text = "\n".join(h.read_text() for h in headers)
text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)

# Each entry: what is printed before its numbers, and the numbers as C expressions.
entries = []
for name, body in re.findall(r"typedef struct (mote_\w+) \{(.*?)\} \1;", text, flags=re.S):
    entries.append((name, [f"sizeof({name})"]))
    for field in filter(None, (f.strip() for f in body.split(";"))):
        for part in field.split(","):
            member = re.search(r"(\w+)(?:\[[^\]]*\])?$", part.strip())[1]
            entries.append((f"  {member}", [f"offsetof({name}, {member})",
                                           f"sizeof((({name} *)0)->{member})"]))
for name in re.findall(r"^#define (MOTE_\w+)[ \t]+\(?-?\d+u?\)?[ \t]*$", text, flags=re.M):
    if not name.startswith("MOTE_VERSION_"):
        entries.append((name, [name]))

# A table that is compiled and never run, so that 32 bits need no 32-bit system. The bias
# keeps every number positive and its spelling in the assembly predictable.
BIAS = 1000000
table = ",\n".join(f"(int)({BIAS} + (int)({e}))" for _, values in entries for e in values)
source = ("#include <mote/mote.h>\n#include <mote/experimental.h>\n#include <stddef.h>\n"
          f"const int layout[] = {{\n{table}}};\n")


def compiled(bits):
    """The lines for a word size, or None where the compiler cannot."""
    r = subprocess.run([*compiler, f"-m{bits}", "-ffreestanding", "-I", root / "include",
                        "-x", "c", "-S", "-o", "-", "-"], input=source, text=True,
                       capture_output=True, check=False)
    numbers = [int(n) - BIAS for n in re.findall(r"^\s+\.long\s+(\d+)", r.stdout, flags=re.M)]
    if r.returncode or len(numbers) != sum(len(values) for _, values in entries):
        return None
    numbers = iter(numbers)
    return ["".join([label, *(f" {next(numbers)}" for _ in values)])
            for label, values in entries]


failed, compared = False, 0
for bits in (64, 32):
    found = compiled(bits)
    if found is None:
        print(f"{bits} bits: not possible with {compiler}")
        continue
    stored = root / f"tests/abi/layout-{bits}.txt"
    if write:
        stored.write_text("\n".join(found) + "\n")
    expected = stored.read_text().splitlines()
    compared += 1
    for line in expected:
        if line not in found:
            print(f"{bits} bits: '{line.strip()}' has changed or is gone")
    if found != expected:
        print(f"{bits} bits: differs from {stored.name}; where it only grew, write it anew "
              "with --write")
        failed = True
    else:
        print(f"{bits} bits: {len(expected)} sizes, offsets and constants, as stored")
sys.exit(1 if failed else 0 if compared else 77)
