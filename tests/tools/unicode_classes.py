#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write lib/text/unicode_classes.inc from a JSON file of code point ranges.

usage: unicode_classes.py classes.json > lib/text/unicode_classes.inc

The input maps a class name (Lu, Ll, Lt, Lm, Lo, M, N, P, S, ws, d, Han) to
[[first, last], ...]. It holds the Unicode 16.0 classes as the reference tokenizers'
pattern engine really matches them, found by asking that engine about every code point:
a vocabulary of the 256 bytes and the pattern \\p{Lu}, say, give back exactly the bytes
of the characters that match. (The engine of Hugging Face's tokenizers and that of
tiktoken give the same L, M, N, P, S, white space and digits.)
"""
import json
import sys

NAMES = [("Lu", "upper"), ("Ll", "lower"), ("Lt", "title"), ("Lm", "modifier"),
         ("Lo", "other_letter"), ("M", "mark"), ("N", "number"), ("P", "punctuation"),
         ("S", "symbol"), ("ws", "space"), ("d", "digit"), ("Han", "han")]


def main():
    data = json.load(open(sys.argv[1], encoding="utf-8"))
    out = ["/* SPDX-License-Identifier: MIT */",
           "/* Made by tests/tools/unicode_classes.py: Unicode 16.0; do not edit. */"]
    for key, name in NAMES:
        ranges = data[key]
        last = -2
        for lo, hi in ranges:
            assert last + 1 < lo <= hi < 0x110000, (key, lo, hi)
            last = hi
        out.append("static const uint32_t %s_ranges[%d][2] = {" % (name, len(ranges)))
        line = "   "
        for lo, hi in ranges:
            item = " {0x%X, 0x%X}," % (lo, hi)
            if len(line) + len(item) > 90:
                out.append(line)
                line = "   "
            line += item
        out += [line, "};"]
    print("\n".join(out))


main()
