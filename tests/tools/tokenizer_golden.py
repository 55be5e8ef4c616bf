#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second, slow and simple tokenizer, to make golden ids with.

usage: tokenizer_golden.py make TOKENIZER_JSON CLASSES_JSON > tests/data/tokenizer/tiny.jsonl
       tokenizer_golden.py check TOKENIZER_JSON CLASSES_JSON GOLDEN_JSONL

It shares nothing with lib/text: Python's `re` matches the patterns, with the Unicode 16.0
classes of CLASSES_JSON (see unicode_classes.py) written out as ranges; bytes outside
UTF-8 become lone surrogates, which belong to no class; merging is the textbook loop.
`check` compares it with ids that the reference implementation made for a published
tokenizer: it agrees with all of encode.v3.jsonl and bytes.jsonl.
"""
import json
import random
import re
import sys

SEED = 20261124


class Tokenizer:
    def __init__(self, path, classes_path):
        data = json.load(open(path, encoding="utf-8"))
        self.classes = json.load(open(classes_path, encoding="utf-8"))
        model = data["model"]
        keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
        rest = [b for b in range(256) if b not in keep]
        self.spell = {b: chr(b) for b in keep}
        self.spell.update({b: chr(256 + i) for i, b in enumerate(rest)})
        self.vocab = model["vocab"]
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        self.rank = {tuple(p): i for i, p in enumerate(pairs)}
        self.added = [{}, {}]
        for a in data["added_tokens"]:
            self.added[a["normalized"]][a["content"]] = a["id"]
        self.stages = []
        for step in data["pre_tokenizer"]["pretokenizers"]:
            if step["type"] == "Split":
                assert step["behavior"] == "Isolated"
                self.stages.append(re.compile(self.translate(step["pattern"]["Regex"])))
            elif step["type"] == "Digits":
                assert step["individual_digits"]
                self.stages.append(re.compile(self.translate(r"\p{N}")))
            else:
                assert step["type"] == "ByteLevel" and not step["use_regex"]

    def ranges(self, name):
        return "".join("\\U%08x-\\U%08x" % (lo, hi) for lo, hi in self.classes[name])

    def translate(self, pattern):
        out, i, inside = [], 0, False
        while i < len(pattern):
            c = pattern[i]
            if c == "\\":
                n = pattern[i + 1]
                i += 2
                if n == "p":
                    end = pattern.index("}", i)
                    body = self.ranges(pattern[i + 1:end])
                    i = end + 1
                elif n == "s":
                    body = self.ranges("ws")
                elif n == "S":
                    assert not inside
                    out.append("[^" + self.ranges("ws") + "]")
                    continue
                else:
                    out.append("\\" + n)
                    continue
                out.append(body if inside else "[" + body + "]")
                continue
            if c == "[":
                if inside:
                    out.append("\\")
                inside = True
            elif c == "]":
                inside = False
            elif c == "$" and not inside:
                c = "(?=\\n|\\Z)"
            elif inside and c in "&~|":
                out.append("\\")
            out.append(c)
            i += 1
        return "".join(out)

    def split(self, text):
        pieces = [text]
        for stage in self.stages:
            out = []
            for piece in pieces:
                at = 0
                for m in stage.finditer(piece):
                    out += [piece[at:m.start()], m.group()]
                    at = m.end()
                out.append(piece[at:])
            pieces = [p for p in out if p]
        return pieces

    def merge(self, data):
        parts = [self.spell[b] for b in data]
        while True:
            best = min((self.rank.get(p, 1 << 30), i)
                       for i, p in enumerate(zip(parts, parts[1:] + [""])))
            if best[0] == 1 << 30:
                return [self.vocab[p] for p in parts]
            i = best[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]

    def plain(self, text):
        ids = []
        for piece in self.split(text):
            ids += self.merge(piece.encode("utf-8", "surrogateescape"))
        return ids

    def encode(self, data, special, group=0):
        text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
        if not special or group == 2:
            return self.plain(text) if text else []
        words = sorted(self.added[group], key=lambda w: -len(w))
        if not words:
            return self.encode(text, special, group + 1)
        ids, at = [], 0
        for m in re.finditer("|".join(map(re.escape, words)), text):
            ids += self.encode(text[at:m.start()], special, group + 1)
            ids.append(self.added[group][m.group()])
            at = m.end()
        return ids + self.encode(text[at:], special, group + 1)


TEXTS = [
    "", "a", " ", "\n", "Once upon a time, there was a little girl named Lily.",
    "She said, \"Can't we go to the park?\"  \n\n\"Yes!\" said Mom.\tThey went.",
    "numbers 1 22 333 4444 55555 1234567890 3.14159 1,000,000 x2y3",
    "  leading and   inner    runs of spaces     ", "tabs\t\tand\r\nlines\r\n\r\n  end \n",
    "--- === *** ___ ~~~ ... !!! ?! #hash @at $5 50% a+b=c <tag attr='x'/>",
    "def f(x):\n    return [i**2 for i in range(10) if i % 2]  # squares\n",
    "na\u00efve caf\u00e9 cafe\u0301 \u00dcber stra\u00dfe \u0130stanbul \u01c6 \u1e9e",
    "\u0391\u03b8\u03ae\u03bd\u03b1 \u041c\u043e\u0441\u043a\u0432\u0430 \u05e9\u05dc\u05d5\u05dd \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
    "\u4f60\u597d\u4e16\u754c\uff0c\u4eca\u59292024\u5e745\u6708\u3002", "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c\u30ab\u30bf\u30ab\u30ca\u30fc\u3001\ud55c\uad6d\uc5b4",
    "mixed\u4e2d\u6587english\u3072\u3089123\u30ab\u30bf", "\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1e9\U0001f1ea",
    "a\u0085b\u00a0c\u2003d\u2028e\u3000f\ufeffg\u001ch\u200bi", "\u0660\u0661\u0662\u0663 \u00bd \u2167 \u2460 \U0001d7d8\U0001d7d9\U0001d7da\U0001d7db",
    "\U0001ccf0\U00010d40\U0001e5f1\U0001cc00\U000105c0\u1c89\ua7cb\u0897\U00010ec2",
    "\u0300\u0301combining first", "a\u20dd\u0489 \u0903\u093e",
    "<\uff5cUser\uff5c>Tell me a story.<\uff5cAssistant\uff5c>Once<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<\uff5cbegin\u2581of\u2581sentence\uff5c><think>hm</think> <|EOT|>", "<think", "< think>", "<<think>>",
    "<\uff5cplace\u2581holder\u2581no\u25811\uff5c><\uff5cplace\u2581holder\u2581no\u258110\uff5c><\uff5cplace\u2581holder\u2581no\u258111\uff5c>",
    "<|User|> <\uff5cuser\uff5c>", "a  1", "a  b", "a \n b", "a\n\n\nb", " \n", "\n ", " \r", "\r\r\n\n ", "x\u3000\u3000y",
    "/~x/", "'s 're 'LL I'm you've", "(a)(b)[c]{d}", ".com www.example.org/path?q=1&r=2#x", "A1B2C3",
    "a" * 200, " " * 130, "=" * 100, "\n" * 70, "ab " * 40, "\u00e9" * 60, "the" * 50, "\u4e2d" * 70, "'" * 49,
]
BYTES = [b"\x00", b"\x00\x00a\x00", b"\x7f", b"\x80", b"\xff", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2a",
         b"\xe2\x82", b"\xe2\x82a", b"\xe2\x28\xa1", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80",
         b"\xed\x9f\xbf", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80\xf0\x9f", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80",
         b"\xf4\x8f\xbf\xbf", b"\xf5\x80\x80\x80", b"word\xffword", b" \xff ", b"\xff\xff\xffa1 \xfe2",
         b"a\x80b\x81\n\x82", b"12\x803", b"<think>\xff</think>", b"\xef\xbb\xbfBOM"]


def make(tokenizer):
    rng = random.Random(SEED)
    cases = [t.encode() for t in TEXTS] + BYTES
    pools = [" \n\r\t", "abcXYZ '", "0123456789\u0663\u00b2", ".,;:!?-_()<>|/", "\u4e2d\u6587\u3042\u30a2\ud55c",
             "\u0301\u0300\u093e", "\u00e9\u00df\u0416\u05d0", "\U0001f600\u2764$+^\u20ac", "\u0085\u00a0\u2003\u200b\ufeff"]
    for _ in range(60):
        cases.append("".join(rng.choice(rng.choice(pools)) for _ in range(rng.randrange(1, 24))).encode())
    for _ in range(40):
        cases.append("".join(chr(rng.choice([rng.randrange(0x80), rng.randrange(0x800),
                                             rng.randrange(0xd800), rng.randrange(0x10000, 0x20000)]))
                             for _ in range(rng.randrange(1, 10))).encode())
    for _ in range(30):
        cases.append(bytes(rng.choice([rng.randrange(256), 0xe4, 0x80, 0x61, 0x20]) for _ in range(12)))
    for c in cases:
        case = {}
        try:
            case["text"] = c.decode()
        except UnicodeDecodeError:
            case["hex"] = c.hex()
        case["ids"] = tokenizer.encode(c, True)
        case["plain"] = tokenizer.encode(c, False)
        print(json.dumps(case, separators=(",", ":")))


def check(tokenizer, path):
    n = wrong = 0
    for line in open(path, encoding="utf-8"):
        g = json.loads(line)
        data = bytes.fromhex(g["hex"]) if "hex" in g else g["text"].encode()
        plain = g.get("ids_no_special_parsing", g.get("plain"))
        got = tokenizer.encode(data, True)
        bad = got != g.get("ids", g.get("ids_v3"))
        if plain is not None:
            bad |= tokenizer.encode(data, False) != plain
        if bad:
            print("differs:", line[:120])
        wrong += bad
        n += 1
    print("%d cases, %d differ" % (n, wrong))
    return wrong


def main():
    tokenizer = Tokenizer(sys.argv[2], sys.argv[3])
    if sys.argv[1] == "make":
        make(tokenizer)
    else:
        sys.exit(check(tokenizer, sys.argv[4]) != 0)


main()
