#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Damaged, hostile and nonsensical files given to the command: each ends in one sentence on
standard error, exit code 1 (2 where the command line is at fault) and little CPU time; none
in a signal. What a value may still mean (a dropout of 10^9 in a file that is only run) is
allowed to work.

test_hostile.py MOTE MODEL [unittest options]; MODEL is the bundled model.
MOTE_HOSTILE_ALL=1 tries every value of every key instead of a sample; MOTE_SANITIZED=1 is
set by sanitizer builds."""
import base64
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import unittest

MOTE, MODEL = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
ALL = os.environ.get("MOTE_HOSTILE_ALL") == "1"
# Sanitizers slow the command down many times; ordinary builds get the promise's 2 seconds.
CPU_SECONDS = 60.0 if os.environ.get("MOTE_SANITIZED") == "1" else 2.0

with open(os.path.join(MODEL, "config.json"), encoding="utf-8") as opened:
    CONFIG = json.load(opened)
with open(os.path.join(MODEL, "tokenizer.json"), encoding="utf-8") as opened:
    TOKENIZER = opened.read()
with open(os.path.join(MODEL, "model.safetensors"), "rb") as opened:
    WEIGHTS = opened.read()
HEADER_BYTES = struct.unpack("<Q", WEIGHTS[:8])[0]
HEADER = json.loads(WEIGHTS[8:8 + HEADER_BYTES])
DATA = WEIGHTS[8 + HEADER_BYTES:]


def with_header(header, data=DATA):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


class Hostile(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def model(self, **files):
        """The bundled model with some files replaced (None: left out)."""
        at = tempfile.mkdtemp(dir=self.folder.name)
        for name in os.listdir(MODEL):
            if name not in files:
                os.symlink(os.path.join(MODEL, name), os.path.join(at, name))
        for name, content in files.items():
            if content is not None:
                self.write(os.path.join(at, name), content)
        return at

    def write(self, path, content):
        path = os.path.join(self.folder.name, path)
        with open(path, "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)
        return path

    def mote(self, *args, stdin=b""):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        # The deadline in wall time is for hangs; the promise is counted in CPU time.
        done = subprocess.run([MOTE, *args], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, timeout=600)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return done, spent

    def refused(self, what, *args, codes=(1,), **kw):
        done, spent = self.mote(*args, **kw)
        told = done.stderr.decode("utf-8", "strict")
        with self.subTest(what=what):
            self.assertIn(done.returncode, codes, told)
            if done.returncode:
                self.assertRegex(told, r"\Amote[^\n]*: [^\n]+\n", what)
                self.assertNotIn("Sanitizer", told)
                self.assertLess(len(told), 4000)
            self.assertLess(spent, CPU_SECONDS, what)

    def run_model(self, what, at, codes=(1,)):
        self.refused(what, "run", "-m", at, "-p", "Once", "-n", "2", "--temp", "0", "-q",
                     codes=codes)

    def test_config_values(self):
        values = [-1, 0, 1, 3, 10**9, 2**31, 2**63, 0.5, 1e308, "x", "", None, [], {}, True,
                  [[[]]], "é" * 1000]
        tries = [(key, value) for key in CONFIG for value in values]
        random.Random(7).shuffle(tries)
        for key, value in tries if ALL else tries[:150]:
            config = dict(CONFIG)
            config[key] = value
            self.run_model(f"{key} = {value!r:.40}", self.model(
                **{"config.json": json.dumps(config)}), codes=(0, 1))

    def test_config_that_must_fail(self):
        sizes = ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                 "kv_lora_rank", "qk_rope_head_dim", "v_head_dim", "n_routed_experts",
                 "num_experts_per_tok", "moe_intermediate_size", "intermediate_size"]
        for key in sizes:
            for value in [-1, 10**9, 2**32, 2**64, "256", 0.5, []]:
                config = dict(CONFIG)
                config[key] = value
                self.run_model(f"{key} = {value!r}", self.model(
                    **{"config.json": json.dumps(config)}))
        for change in [{"n_group": 3}, {"topk_group": 5}, {"num_experts_per_tok": 17},
                       {"qk_rope_head_dim": 15}, {"scoring_func": "tanh"},
                       {"topk_method": "best"}, {"hidden_act": "gelu_new"},
                       {"model_type": "llama"}, {"rms_norm_eps": -1}, {"rope_theta": 0},
                       {"rope_scaling": {"type": "yarn"}}, {"rope_scaling": {"type": "x"}},
                       {"rope_scaling": {"type": "yarn", "factor": -4,
                                         "original_max_position_embeddings": 4096}}]:
            self.run_model(str(change), self.model(
                **{"config.json": json.dumps({**CONFIG, **change})}))

    def test_config_texts(self):
        text = json.dumps(CONFIG)
        for what, bad in {
                "empty": "", "nul": "\0", "cut": text[:400], "list": "[]", "number": "1",
                "deep": "[" * 100000, "deep objects": '{"a":' * 100000,
                "twice": text[:-1] + ', "hidden_size": 128}', "bytes": b"\xff\xfe" + text.encode(),
                "surrogate": text.replace('"silu"', '"\\ud800"'),
                "trailing": text + "x", "long": " " * 40_000_000 + "{"}.items():
            self.run_model(what, self.model(**{"config.json": bad}))

    def test_missing_files(self):
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            self.run_model("without " + name, self.model(**{name: None}))
        self.run_model("no such folder", os.path.join(self.folder.name, "nothing"))
        self.run_model("an empty folder", tempfile.mkdtemp(dir=self.folder.name))
        self.run_model("a device", "/dev/null")
        os.mkfifo(os.path.join(self.folder.name, "pipe"))
        at = self.model(**{"config.json": None})
        os.mkdir(os.path.join(at, "config.json"))
        self.run_model("a folder as a file", at)

    def weights(self, what, content):
        self.run_model(what, self.model(**{"model.safetensors": content}))

    def test_safetensors_frame(self):
        for n in (0, 1, 7, 8, 9, 8 + HEADER_BYTES - 1, 8 + HEADER_BYTES,
                  8 + HEADER_BYTES + 1, len(WEIGHTS) // 2, len(WEIGHTS) - 1):
            self.weights(f"cut at {n}", WEIGHTS[:n])
        for length in (0, 1, HEADER_BYTES - 1, HEADER_BYTES + 1, len(WEIGHTS), 100_000_001,
                       2**31, 2**32, 2**63, 2**64 - 1, 2**64 - 8):
            self.weights(f"header of {length}", struct.pack("<Q", length) + WEIGHTS[8:])
        self.weights("trailing bytes", WEIGHTS + b"x")
        self.weights("deep header", with_header(b"[" * 1_000_000))
        self.weights("a name twice", with_header(
            json.dumps(HEADER).encode()[:-1] + b"," + json.dumps(
                {"model.norm.weight": HEADER["model.norm.weight"]}).encode()[1:]))

    def test_safetensors_entries(self):
        names = [n for n in HEADER if n != "__metadata__"]
        chance = random.Random(11)
        for name in ["model.embed_tokens.weight", "model.norm.weight"] + chance.sample(
                names, len(names) if ALL else 6):
            entry = HEADER[name]
            begin, end = entry["data_offsets"]
            for what, change in {
                    "reversed": {"data_offsets": [end, begin]},
                    "outside": {"data_offsets": [len(DATA), len(DATA) + end - begin]},
                    "huge": {"data_offsets": [begin, 2**64 - 1]},
                    "negative": {"data_offsets": [-1, end]},
                    "overlap": {"data_offsets": [0, end - begin] if begin else [2, end + 2]},
                    "dtype": {"dtype": "I64"}, "odd dtype": {"dtype": "F6"},
                    "dtype number": {"dtype": 3}, "shape": {"shape": [1]},
                    "overflow": {"shape": [2**32, 2**32]}, "many": {"shape": [1] * 1000},
                    "zero": {"shape": [0]}, "text": {"shape": "x"}, "none": None}.items():
                header = dict(HEADER)
                if change is None:
                    del header[name]
                else:
                    header[name] = {**entry, **change}
                self.weights(f"{name}: {what}", with_header(header))

    def test_scales(self):
        scales = [n for n in HEADER if n.endswith("_scale_inv")]
        chance = random.Random(13)
        for name in chance.sample(scales, 4):
            begin, _ = HEADER[name]["data_offsets"]
            for value in (float("nan"), float("inf"), -float("inf")):
                data = DATA[:begin] + struct.pack("<f", value) + DATA[begin + 4:]
                self.weights(f"{name} = {value}", with_header(HEADER, data))

    def test_index(self):
        names = [n for n in HEADER if n != "__metadata__"]
        for what, shard in {"up": "../model.safetensors", "absolute": "/etc/passwd",
                            "missing": "b.safetensors", "empty": "", "nul": "a\0b",
                            "self": "model.safetensors.index.json", "number": 3}.items():
            index = {"weight_map": {n: shard for n in names}}
            self.run_model(what, self.model(**{
                "model.safetensors": None, "model.safetensors.index.json": json.dumps(index)}))

    def test_tokenizers(self):
        good = json.loads(TOKENIZER)
        def changed(change):
            t = json.loads(TOKENIZER)
            change(t)
            return json.dumps(t)
        some = next(iter(good["model"]["vocab"]))
        for what, bad in {
                "empty": "", "cut": TOKENIZER[:5000], "deep": "[" * 100000,
                "no vocab": changed(lambda t: t["model"].pop("vocab")),
                "vocab list": changed(lambda t: t["model"].update(vocab=[])),
                "negative id": changed(lambda t: t["model"]["vocab"].update({some: -1})),
                "huge id": changed(lambda t: t["model"]["vocab"].update({some: 2**40})),
                "id twice": changed(lambda t: t["model"]["vocab"].update({some: 500})),
                "unknown merge": changed(lambda t: t["model"]["merges"].insert(0, "zzq qqz")),
                "odd merge": changed(lambda t: t["model"]["merges"].insert(0, "x")),
                "merge number": changed(lambda t: t["model"]["merges"].insert(0, 5)),
                "kind": changed(lambda t: t["model"].update(type="WordPiece"))}.items():
            self.run_model(what, self.model(**{"tokenizer.json": bad}))
        for pattern in ("(", "[", "(a*)*b", "(?R)", "\\p{Nonsense}", "(?<=a+)b", "a{1,99999}",
                        "x" * 100000, "(" * 5000 + ")" * 5000, "(?C1)a", "\\C", "(*LIMIT_MATCH=1)a"):
            def split(t, p=pattern):
                t["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
                    {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated",
                     "invert": False}, {"type": "ByteLevel", "add_prefix_space": False,
                                        "trim_offsets": True, "use_regex": False}]}
            # a strange pattern may well be a valid one
            self.refused(pattern[:30], "tokenize", "-m", self.model(**{
                "tokenizer.json": changed(split)}), stdin=b"a" * 200, codes=(0, 1))

    def test_tiktoken(self):
        bytes_only = "".join(f"{base64.b64encode(bytes([i])).decode()} {i}\n" for i in range(256))
        kind = {"tokenizer_class": "TikTokenTokenizer"}
        chance = random.Random(5)
        longest = "".join(f"{base64.b64encode(b'a' * 252 + i.to_bytes(4, 'big')).decode()} {256 + i}\n"
                          for i in range(5000))
        for what, ranks, config, codes in (
                ("empty", "", kind, (1,)), ("no class", bytes_only, {}, (1,)),
                ("other class", bytes_only, {"tokenizer_class": 5}, (1,)),
                ("cut", bytes_only[:1001], kind, (1,)), ("binary", b"\0\xff" * 5000, kind, (1,)),
                ("no rank", "YQ==\n", kind, (1,)), ("rank twice", "YQ== 1\nYg== 1\n", kind, (1,)),
                ("token twice", "YQ== 1\nYQ== 2\n", kind, (1,)),
                ("huge rank", bytes_only + "YWI= 4194303\n", kind, (1,)),
                ("one long line", "A" * 5_000_000, kind, (1,)),
                ("a missing byte", bytes_only.replace("YQ== 97\n", ""), kind, (1,)),
                ("long tokens", bytes_only + longest, kind, (0,)),
                ("control token in the vocabulary", bytes_only,
                 {**kind, "added_tokens_decoder": {"5": {"content": "x"}}}, (1,)),
                ("control tokens of no kind", bytes_only,
                 {**kind, "added_tokens_decoder": [5]}, (1,)),
                ("BOS unknown", bytes_only, {**kind, "bos_token": "<s>"}, (1,)),
                ("random", chance.randbytes(3000), kind, (1,))):
            at = self.model(**{"tokenizer.json": None, "tiktoken.model": ranks,
                               "tokenizer_config.json": json.dumps(config)})
            self.refused("tiktoken " + what, "tokenize", "-m", at, stdin=b"a" * 1000, codes=codes)

    def test_packs(self):
        pack = os.path.join(self.folder.name, "good.mote")
        done, _ = self.mote("pack", "-m", MODEL, "-o", pack)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(pack, "rb") as f:
            good = f.read()
        chance = random.Random(17)
        for n in [0, 1, 8, 63, 64, 4095, 4096] + [chance.randrange(len(good)) for _ in range(10)]:
            self.run_model(f"pack cut at {n}", self.write("cut.mote", good[:n]))
        for _ in range(200 if ALL else 40):
            at = chance.randrange(min(len(good), 60000))
            bad = bytearray(good)
            bad[at] ^= 1 << chance.randrange(8)
            # the tensors' own sums are looked at by --verify; sections' at opening
            self.refused(f"pack bit at {at}", "pack", "--verify", self.write("bit.mote", bad))
        self.run_model("more bytes", self.write("more.mote", good + b"more"))
        self.run_model("another kind of file", self.write("no.mote", b"PK\3\4" + good[4:]))

    def test_texts(self):
        big = b"Once upon a time " * 600_000
        run = ["run", "-m", MODEL, "-n", "2", "-q", "-f"]
        self.refused("10 MB", *run, self.write("big", big))
        self.refused("bad UTF-8", *run, self.write("bad", b"\xff\xc0\x80\xed\xa0\x80"),
                     codes=(0, 1))
        self.refused("zeros", *run, self.write("zero", b"\0" * 100), codes=(0, 1))
        self.refused("empty", *run, self.write("none", b""), codes=(0, 1))
        for what, text in {"not json": "{", "type": '{"type": "x"}', "deep": '{"items":' * 9999,
                           "loop": '{"$ref": "#"}', "missing": '{"$ref": "#/no"}',
                           "huge": '{"type": "string", "minLength": 4000000000}',
                           "list": "[]", "empty": "", "pattern": '{"pattern": "("}'}.items():
            self.refused("schema " + what, "run", "-m", MODEL, "-p", "a", "-n", "2", "-q",
                         "--json-schema", self.write("schema", text), codes=(1, 2))

    def test_command_lines(self):
        for args in (["-n", "-1"], ["-n", "99999999999"], ["--temp", "nan"], ["--temp", "-1"],
                     ["--top-p", "2"], ["--threads", "0x"], ["--nonsense"], ["--mtp", "99"],
                     ["--ctx", "4294967296"], ["--kv", "int3"], ["-m"], ["--seed", "x"]):
            self.refused(" ".join(args), "run", "-m", MODEL, "-p", "a", "-q", *args, codes=(1, 2))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1)
