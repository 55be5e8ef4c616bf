#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sizes, offsets and constants of the public headers are what programs were compiled with.

check_layout.py ROOT COMPILER...  compares with layout-64.txt and layout-32.txt as
far as the compiler can; with --write it writes them. Fields may only be appended, constants only be
added: any other difference breaks programs that exist."""
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import layout  # noqa: E402

arguments = [a for a in sys.argv[1:] if a != "--write"]
root, compiler = pathlib.Path(arguments[0]).resolve(), arguments[1:]
write = "--write" in sys.argv
names = layout.entries(root / "include")
failed, compared = False, 0
for bits in (64, 32):
    found = layout.compiled(root / "include", names, compiler, bits)
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
