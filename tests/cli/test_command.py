#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command from outside: what it prints where, its exit codes, its files.

test_command.py MOTE MODEL [unittest options]; MODEL is the bundled model. With MOTE_SHARED
set, the held-out text and the larger goldens are used too."""
import json
import math
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

MOTE, MODEL = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SHARED = os.environ.get("MOTE_SHARED", "")
VOCAB = 4096
BOS = 0
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"

# From the reference implementation (fp32): greedy, after BOS and the prompt.
STORY_PROMPT = "Once upon a time"
STORY = (", there was a little girl named Lily. She loved to play with her toys and eat "
         "yummy snacks. One day, she went to the park to play with her toys. She saw a "
         "big, red ball and wanted to play with it.\nLily started to draw and make a "
         "pretty dress. She made a big")
PARK_PROMPT = "One day, Lily went to the park with her mom."
PARK_IDS = [367, 443, 261, 424, 676, 342, 769, 1767, 16, 523, 513, 273, 1210, 263, 676, 16,
            378, 878, 273, 1210, 263, 676, 14, 391, 316, 297, 450, 1123, 16, 378, 878, 273,
            1800, 263, 1427, 14, 391, 316, 297, 450, 1123, 314, 930, 567, 326, 459, 14, 344,
            1544, 325, 1739, 263, 676, 14, 1626, 592, 1197, 459, 343, 14, 344, 903, 14, 391]
GREEDY = ["run", "-m", MODEL, "--temp", "0", "-n", "64"]


def mote(*args, stdin=b"", env=None, timeout=120):
    """Run; bytes in and out."""
    if isinstance(stdin, str):
        stdin = stdin.encode()
    return subprocess.run([MOTE, *map(str, args)], input=stdin, env=env, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)
        return self.path(name)

    def ok(self, *args, **more):
        r = mote(*args, **more)
        self.assertEqual(r.returncode, 0, (args, r.stderr))
        return r.stdout

    def refuse(self, code, pattern, *args, **more):
        """An error: its exit code, nothing on stdout, one line that says what."""
        r = mote(*args, **more)
        text = r.stderr.decode()
        self.assertEqual(r.returncode, code, (args, text))
        self.assertRegex(text, pattern)
        self.assertEqual(text.count("\n"), 1, text)
        self.assertTrue(text.startswith("mote"), text)
        return r


class Usage(Case):
    COMMANDS = ["run", "chat", "info", "tokenize", "detokenize", "logits", "perplexity",
                "bench", "pack", "calibrate"]

    def test_help(self):
        out = self.ok("--help").decode()
        for name in self.COMMANDS:
            self.assertIn("\n  " + name + " ", out)
            own = self.ok(name, "--help").decode()
            self.assertTrue(own.startswith("Usage: mote " + name), own)
            self.assertEqual(own, self.ok("help", name).decode())
            self.assertLessEqual(max(map(len, own.splitlines())), 100)
            for line in own.splitlines():  # every option is explained
                self.assertNotRegex(line, r"^ +(-\w, )?--[\w-]+$")
        self.assertIn("mote 0.", self.ok("version").decode())

    def test_wrong_command_lines(self):
        self.assertEqual(mote().returncode, 2)
        self.refuse(2, "unknown command 'walk'", "walk")
        for name in self.COMMANDS:
            self.refuse(2, "unknown option '--nope'", name, "--nope")
            self.refuse(2, "-m needs a value", name, "-m")
            self.refuse(2, "unexpected word 'word'|give a", name, "word")
        self.refuse(2, "not both", "run", "-p", "a", "-f", "b")
        self.refuse(2, "--temp: .*'hot'", "run", "-p", "a", "--temp", "hot")
        self.refuse(2, "--top-p: ", "run", "-p", "a", "--top-p", "2")
        self.refuse(2, "-n: ", "run", "-p", "a", "-n", "-5")
        self.refuse(2, "--kv: ", "run", "-p", "a", "--kv", "int3")
        self.refuse(2, "--mtp: .*'5'", "run", "-p", "a", "--mtp", "5")
        self.refuse(2, "--logit-bias", "run", "-p", "a", "--logit-bias", "7")
        self.refuse(2, "--tokens", "logits", "-o", "x")
        self.refuse(2, "-o", "logits", "--tokens", "1")
        self.refuse(2, "-f", "perplexity")
        self.refuse(2, "not both", "bench", "-m", "x", "--preset", "y")
        self.refuse(2, "-r: ", "bench", "-r", "0")
        self.refuse(2, "not both", "chat", "--think", "--no-think")

    def test_models_that_cannot_be_opened(self):
        empty = self.path("empty")
        os.mkdir(empty)
        self.write("config.json", "{")
        for command in (["run", "-p", "a"], ["info"], ["perplexity", "-f", os.devnull],
                        ["logits", "--tokens", "1", "-o", self.path("x")], ["tokenize"],
                        ["bench"]):
            for path in ("/nonexistent/model", empty, self.folder.name):
                self.refuse(1, ".", *command, "-m", path)
        self.assertFalse(os.path.exists(self.path("x")))

    def test_bundled_model(self):
        """Without -m: MOTE_MODEL, or what lies beside the program."""
        env = dict(os.environ, MOTE_MODEL=MODEL)
        self.assertEqual(self.ok("info", "--json", env=env),
                         self.ok("info", "--json", "-m", MODEL))
        self.refuse(1, "/nonexistent", "info", env=dict(env, MOTE_MODEL="/nonexistent"))
        env.pop("MOTE_MODEL")
        self.ok("info", "--json", env=env)


class Run(Case):
    def test_greedy_text(self):
        r = mote(*GREEDY, "-p", STORY_PROMPT)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(r.stdout.decode(), STORY + "\n")
        self.assertRegex(r.stderr.decode(),
                         r"^prompt: 5 tokens, .* tokens/s; generated: 64 tokens, .*\n$")
        self.assertEqual(mote(*GREEDY, "-q", "-p", STORY_PROMPT).stderr, b"")
        # The prompt in other ways.
        path = self.write("prompt", STORY_PROMPT)
        self.assertEqual(self.ok(*GREEDY, "-f", path).decode(), STORY + "\n")
        self.assertEqual(self.ok(*GREEDY, "-f", "-", stdin=STORY_PROMPT).decode(),
                         STORY + "\n")
        self.assertEqual(self.ok(*GREEDY, stdin=STORY_PROMPT).decode(), STORY + "\n")
        self.assertEqual(self.ok(*GREEDY, "--echo", "-p", STORY_PROMPT).decode(),
                         STORY_PROMPT + STORY + "\n")

    def test_greedy_ids_whatever_the_speed(self):
        for more in ([], ["--mtp", "off"], ["--mtp", "1"], ["--mtp", "4"], ["--ngram"],
                     ["-t", "1"], ["-t", "3"], ["--kv", "f32"], ["--isa", "scalar"],
                     ["--mmap", "off"], ["--ctx", "128"], ["--precision", "exact"]):
            out = self.ok(*GREEDY, "--ids", "-p", PARK_PROMPT, *more)
            self.assertEqual(list(map(int, out.split())), PARK_IDS, more)

    def test_sampling(self):
        def text(*more):
            return self.ok("run", "-m", MODEL, "-p", STORY_PROMPT, "-n", "40", *more)
        one = text("--seed", "1")
        self.assertEqual(one, text("--seed", "1"))
        self.assertEqual(one, text("--seed", "1", "-t", "1"))
        self.assertGreater(len({one} | {text("--seed", s) for s in range(2, 6)}), 1)
        self.assertEqual(text("--temp", "0"), text("--top-k", "1", "--seed", "7"))
        # The model's own defaults are 0.7 and 0.95.
        self.assertEqual(one, text("--seed", "1", "--temp", "0.7", "--top-p", "0.95"))
        ids = self.ok("run", "-m", MODEL, "-p", STORY_PROMPT, "-n", "8", "--temp", "0",
                      "--ids", "--logit-bias", "14=off").split()
        self.assertNotIn(b"14", ids)
        ids = self.ok("run", "-m", MODEL, "-p", STORY_PROMPT, "-n", "8", "--temp", "0",
                      "--ids", "--logit-bias", "77=1000").split()
        self.assertEqual(ids, [b"77"] * 8)

    def test_ends(self):
        out = self.ok(*GREEDY, "-p", STORY_PROMPT, "--stop", " toys", "--stop", "zzz")
        self.assertEqual(out.decode(), STORY[:STORY.index(" toys")] + "\n")
        out = self.ok("run", "-m", MODEL, "-p", STORY_PROMPT, "--temp", "0", "--ids",
                      "--ignore-eos", "--ctx", "100")
        self.assertLessEqual(abs(len(out.split()) - 95), 1)  # up to the end of the context
        self.refuse(1, "context|room|tokens", "run", "-m", MODEL, "-p", "word " * 200,
                    "--ctx", "64")

    def test_control_tokens(self):
        """Text of a control token is text, unless asked for; BOS is never doubled."""
        prompt = USER + "Tell me a story about a cat." + ASSISTANT
        begin = ["run", "-m", MODEL, "--temp", "0", "-n", "4", "--ids", "-p"]
        as_tokens = self.ok(*begin, prompt, "--special")
        self.assertEqual(as_tokens.split(), [b"551", b"502", b"261", b"441"])
        self.assertEqual(as_tokens,
                         self.ok(*begin, "<｜begin▁of▁sentence｜>" + prompt, "--special"))
        self.assertNotEqual(as_tokens, self.ok(*begin, prompt))

    def test_json_schema(self):
        schema = {"type": "object", "properties": {
            "name": {"type": "string", "maxLength": 12},
            "kind": {"enum": ["cat", "dog"]}}, "required": ["name", "kind"],
            "additionalProperties": False}
        path = self.write("schema.json", json.dumps(schema))
        for seed in range(3):
            out = self.ok("run", "-m", MODEL, "-p", "The pet as JSON: ", "--seed", seed,
                          "-n", "200", "--json-schema", path)
            value = json.loads(out)
            self.assertEqual(set(value), {"name", "kind"})
            self.assertIn(value["kind"], ["cat", "dog"])
        bad = self.write("bad.json", "{\"type\": 1}")
        self.refuse(1, "bad.json|type", "run", "-m", MODEL, "-p", "a", "--json-schema", bad)
        self.refuse(1, "cannot be read", "run", "-m", MODEL, "-p", "a", "--json-schema",
                    self.path("none"))

    def test_interrupted(self):
        # The slowest way to write, so that there is something to interrupt.
        with subprocess.Popen([MOTE, "run", "-m", MODEL, "-p", "a", "--ignore-eos", "--isa",
                               "scalar", "-t", "1", "--mtp", "off"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
            p.stdout.read(1)  # it writes
            p.send_signal(signal.SIGINT)
            p.stdout.read()
            self.assertEqual(p.wait(20), 130)

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([MOTE, *GREEDY, "-p", "a"], stdout=full,
                               stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"cannot be written", r.stderr)


class Chat(Case):
    def chat(self, text, *more):
        r = mote("chat", "-m", MODEL, "--temp", "0", "-n", "20", *more, stdin=text)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r

    def test_greedy_reply(self):
        """The reference's 64 tokens; its cache is fp32."""
        r = self.chat("Tell me a story about a cat.\n", "--kv", "f32", "-n", "64")
        self.assertEqual(r.stdout.decode(), (
            "Once upon a time, there was a little girl named Lily. She loved to play with "
            "her toys all day long. One day, Lily's mom told her that it was time to go to "
            "the store to play with her.\nLily was very excited to play with her toys and "
            "listen to her mom. She put on\n"))

    def test_turns(self):
        r = self.chat("Tell me a story about a cat.\n\n/stats\nAnd a dog?\n", "--kv", "f32")
        lines = r.stdout.decode().splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].startswith("Once upon a time, there was a little girl"))
        self.assertIn(b"context: 3", r.stderr)  # 12 of the prompt, 20 of the reply
        self.assertIn(b"reused", r.stderr.splitlines()[-1])
        # A system message, another format and no format give other texts.
        other = self.chat("Hello\n", "--system", "Be brief.").stderr
        self.assertGreater(int(re.search(rb"prompt: (\d+)", other)[1]),
                           int(re.search(rb"prompt: (\d+)", self.chat("Hello\n").stderr)[1]))
        self.assertEqual(self.chat("Once upon\n", "--raw").stdout.decode()[:7], " a time")
        r = mote("chat", "-m", MODEL, "--format", "esperanto")
        self.assertEqual(r.returncode, 1)
        self.assertRegex(r.stderr.decode(), "expected one of .*deepseek-v3.*'esperanto'")

    def test_commands(self):
        saved = self.path("saved")
        begin = "Tell me a story about a cat.\n"
        go_on = "And a dog?\n"
        whole = self.chat(begin + go_on).stdout.splitlines()
        r = self.chat(begin + f"/save {saved}\n/quit\nnever read\n")
        self.assertEqual(r.stdout.splitlines(), whole[:1])
        with open(saved + ".json", encoding="utf-8") as f:
            messages = json.load(f)
        self.assertEqual([m["role"] for m in messages], ["user", "assistant"])
        self.assertEqual(messages[1]["content"].encode(), whole[0])
        # Goes on as if it had never stopped.
        self.assertEqual(self.chat(f"/load {saved}\n" + go_on).stdout.splitlines(),
                         whole[1:])
        self.assertEqual(self.chat(go_on + "/reset\n" + begin).stdout.splitlines()[1],
                         whole[0])
        r = self.chat("/nonsense\n/save\n/load /nonexistent/x\n/exit\n")
        self.assertEqual(r.stdout, b"")
        self.assertIn(b"/reset", r.stderr)
        self.assertIn(b"/save needs the name of a file", r.stderr)
        self.assertIn(b"/nonexistent/x.json cannot be read", r.stderr)
        # A damaged snapshot leaves the conversation as it was.
        with open(saved, "r+b") as f:
            f.seek(40)
            f.write(b"\xff" * 8)
        r = self.chat(begin + f"/load {saved}\n" + go_on)
        self.assertEqual(r.stdout.splitlines(), whole)

    def test_full_context(self):
        r = mote("chat", "-m", MODEL, "--ctx", "32", stdin="word " * 40 + "\n")
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"no longer fits in 32 tokens", r.stderr)

    def test_interrupted_reply(self):
        """Ctrl-C stops the reply, and the conversation goes on."""
        with subprocess.Popen([MOTE, "chat", "-m", MODEL, "--raw", "--isa", "scalar",
                               "-t", "1", "--mtp", "off"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as p:
            p.stdin.write(b"Once upon a time\n")
            p.stdin.flush()
            p.stdout.read(1)
            p.send_signal(signal.SIGINT)
            time.sleep(0.3)
            p.stdin.write(b"/stats\n/quit\n")
            p.stdin.flush()
            _, err = p.communicate(timeout=20)
            self.assertEqual(p.returncode, 0, err)
            self.assertIn(b"context: ", err)


@unittest.skipUnless(sys.platform.startswith("linux"), "needs a pseudo-terminal")
class Terminal(Case):
    def talk(self, keys, *more):
        import pty
        import select
        pid, master = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(MOTE, [MOTE, "chat", "-m", MODEL, "--temp", "0", "-n", "6", *more])
        screen = b""

        def read_until(mark):
            nonlocal screen
            end = time.time() + 30
            while mark not in screen and time.time() < end:
                if select.select([master], [], [], 0.1)[0]:
                    try:
                        screen += os.read(master, 4096)
                    except OSError:
                        break
            self.assertIn(mark, screen)
            # Until the command waits again: what is typed before would be read by the
            # terminal itself.
            while select.select([master], [], [], 0.3)[0]:
                try:
                    if not os.read(master, 4096):
                        break
                except OSError:
                    break

        read_until(b"> ")
        for typed, mark in keys:
            screen = b""
            os.write(master, typed)
            read_until(mark)
        _, status = os.waitpid(pid, 0)
        os.close(master)
        return os.waitstatus_to_exitcode(status)

    def test_editing(self):
        left, up, home, delete = b"\x1b[D", b"\x1b[A", b"\x1b[H", b"\x1b[3~"
        self.assertEqual(self.talk([
            # Insert in the middle, delete at both sides; what is echoed is the line.
            (b"/sats" + left * 3 + b"t", b"/stats"),
            (b"\r", b"context: "),
            (up, b"/stats"),
            (home + delete + b"/", b"/stats"),
            (b"\x05\x15/statx\x7fs\r", b"context: "),
            ("né日".encode() + b"\x7f\x7f\x7f/stats\r", b"context: "),
            (b"nonsense\x03", b"^C"),
            (b"Hello\r", b"\n\r> "),
            (b"\x04", b"generated")]), 0)


class Tokens(Case):
    TEXT = "Once upon a time,\n 1234 caf\u00e9 \u65e5\u672c \U0001f600 don't  stop"

    def test_tokenize(self):
        out = self.ok("tokenize", "-m", MODEL, stdin=STORY_PROMPT)
        self.assertEqual(out, b"0 551 502 261 441\n")
        self.assertEqual(self.ok("tokenize", "-m", MODEL, "--no-bos", stdin=STORY_PROMPT),
                         b"551 502 261 441\n")
        self.assertEqual(self.ok("tokenize", "-m", MODEL, stdin=""), b"0\n")
        self.assertEqual(self.ok("tokenize", "-m", MODEL, "--no-bos", stdin=""), b"\n")
        user = self.ok("tokenize", "-m", MODEL, "--no-bos", stdin=USER)
        self.assertEqual(user, b"4080\n")
        plain = self.ok("tokenize", "-m", MODEL, "--no-bos", "--no-special", stdin=USER)
        self.assertGreater(len(plain.split()), 1)
        # Only tokenizer.json is needed.
        alone = self.path("alone")
        os.mkdir(alone)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            os.symlink(os.path.join(MODEL, name), os.path.join(alone, name))
        self.assertEqual(self.ok("tokenize", "-m", alone, stdin=STORY_PROMPT), out)

    def test_back(self):
        rng = random.Random(1)
        for data in (self.TEXT.encode(), bytes(rng.randrange(256) for _ in range(3000)),
                     b"", b"\x00\xff\xc3"):
            for flags in ([], ["--no-special"]):
                ids = self.ok("tokenize", "-m", MODEL, "--no-bos", *flags, stdin=data)
                self.assertEqual(self.ok("detokenize", "-m", MODEL, stdin=ids), data)
        self.assertEqual(self.ok("detokenize", "-m", MODEL, "--skip-special",
                                 stdin="0,551 502\n"), b"Once upon")
        self.refuse(1, "below 4\\d+, found 'x'", "detokenize", "-m", MODEL, stdin="1 x 2")
        self.refuse(1, "found '99999'", "detokenize", "-m", MODEL, stdin="99999")
        self.refuse(1, "found '-1'", "detokenize", "-m", MODEL, stdin="-1")

    def test_jsonl(self):
        texts = [self.TEXT, "", "a\x00b", "\"\\/\b\f\n\r\t", USER + "x", "\U0001f600"]
        for ascii_only in (True, False):
            lines = "".join(json.dumps({"id": i, "text": t, "more": [{}, [1.5e3, None]]},
                                       ensure_ascii=ascii_only) + "\n"
                            for i, t in enumerate(texts))
            out = self.ok("tokenize", "-m", MODEL, "--no-bos", "--jsonl", stdin=lines)
            rows = [json.loads(line) for line in out.splitlines()]
            self.assertEqual(len(rows), len(texts))
            for text, row in zip(texts, rows):
                self.assertEqual(list(row), ["ids"])
                plain = self.ok("tokenize", "-m", MODEL, "--no-bos", stdin=text)
                self.assertEqual(row["ids"], list(map(int, plain.split())), text)
            back = self.ok("detokenize", "-m", MODEL, "--jsonl", stdin=out)
            self.assertEqual([json.loads(line)["text"] for line in back.splitlines()],
                             texts)
        for line, pattern in (("{", "line 1"), ("[]", "an object"), ("{\"text\":1}", "string"),
                              ("{\"text\":\"\\ud800\"}", "surrogate"),
                              ("{\"other\":\"x\"}", "text"), ("nonsense", "an object")):
            r = mote("tokenize", "-m", MODEL, "--jsonl", stdin=line + "\n")
            self.assertEqual(r.returncode, 1)
            self.assertRegex(r.stderr.decode(), pattern)
        r = mote("tokenize", "-m", MODEL, "--jsonl", stdin="{\"text\":\"a\"}\n\n{}\n")
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"line 3", r.stderr)
        self.assertEqual(r.stdout.count(b"\n"), 1)


class Logits(Case):
    def logits(self, ids, *more):
        path = self.path("logits")
        self.ok("logits", "-m", MODEL, "--tokens", ",".join(map(str, ids)), "-o", path, *more)
        with open(path, "rb") as f:
            data = f.read()
        values = struct.unpack("<%df" % (len(data) // 4), data)
        return [values[i:i + VOCAB] for i in range(0, len(values), VOCAB)]

    def test_rows(self):
        ids = [BOS] + list(map(int, self.ok("tokenize", "-m", MODEL, "--no-bos",
                                            stdin=PARK_PROMPT).split())) + PARK_IDS
        rows = self.logits(ids)
        self.assertEqual(len(rows), len(ids))
        begin = len(ids) - len(PARK_IDS) - 1
        best = [row.index(max(row)) for row in rows[begin:-1]]
        self.assertEqual(best, PARK_IDS)
        mtp = self.logits(ids, "--mtp")
        self.assertEqual(len(mtp), len(ids) - 1)
        # Row i guesses token i+2; the reference accepts about two thirds of first drafts.
        hits = sum(row.index(max(row)) == ids[i + 2]
                   for i, row in enumerate(mtp[begin:-1], begin))
        self.assertGreater(hits, len(PARK_IDS) // 2)
        self.assertEqual(self.logits(ids[:1], "--mtp"), [])

    def test_chunks(self):
        """More positions than are computed at once: the same rows."""
        ids = [BOS] + (PARK_IDS * 5)[:300]
        short, long = self.logits(ids[:40]), self.logits(ids)
        self.assertEqual(len(long), len(ids))
        for a, b in zip(short, long):
            self.assertLess(max(abs(x - y) for x, y in zip(a, b)), 1e-3)
        self.assertEqual(len(self.logits(ids, "--mtp")), len(ids) - 1)

    def test_refusals(self):
        out = self.path("x")
        begin = ["logits", "-m", MODEL, "-o", out, "--tokens"]
        self.refuse(1, "below 4096, found '4096'", *begin, "0,4096")
        self.refuse(1, "found 'x'", *begin, "x")
        self.refuse(1, "found '-1'", *begin, "-1")
        self.assertFalse(os.path.exists(out))
        self.refuse(1, "cannot be written", "logits", "-m", MODEL, "--tokens", "1", "-o",
                    "/nonexistent/x")
        self.assertEqual(len(self.ok("logits", "-m", MODEL, "--tokens", "0", "-o", "-")),
                         VOCAB * 4)

    def test_perplexity(self):
        """Against a sum over the logits, piece by piece."""
        pieces = ["Once upon a time, there was a dog.\nIt was big.", "Lily saw a cat."]
        expected, tokens = 0.0, 0
        for piece in pieces:
            ids = list(map(int, self.ok("tokenize", "-m", MODEL, stdin=piece).split()))
            for row, token in zip(self.logits(ids), ids[1:]):
                top = max(row)
                expected += math.log(sum(math.exp(x - top) for x in row)) + top - row[token]
                tokens += 1
        n_bytes = sum(map(len, pieces))
        for text in ("\n\n".join(pieces), "\n\n" + "\n\n\n\n".join(pieces) + "\n\n\n",
                     "\r\n\r\n".join(pieces)):
            path = self.write("text", text)
            r = json.loads(self.ok("perplexity", "-m", MODEL, "-f", path, "--json"))
            self.assertEqual((r["pieces"], r["bytes"], r["tokens"]), (2, n_bytes, tokens))
            self.assertAlmostEqual(r["nll"], expected, delta=1e-3)
            self.assertAlmostEqual(r["ppl"], math.exp(expected / tokens), delta=1e-3)
            self.assertAlmostEqual(r["bits_per_byte"], expected / math.log(2) / n_bytes,
                                   delta=1e-5)
        # A piece longer than the context is cut, and every token still counts.
        r = json.loads(self.ok("perplexity", "-m", MODEL, "-f", path, "--json", "--ctx",
                               "8"))
        self.assertEqual(r["tokens"], tokens)
        self.assertGreater(r["windows"], 2)
        self.refuse(1, "no token", "perplexity", "-m", MODEL, "-f", os.devnull)
        self.refuse(1, "cannot be read", "perplexity", "-m", MODEL, "-f", self.path("none"))
        self.refuse(1, "directory", "perplexity", "-m", MODEL, "-f", self.folder.name)

    @unittest.skipUnless(SHARED, "needs the shared data")
    def test_held_out_stories(self):
        """The figures that were published with the model."""
        for model in (MODEL, os.path.join(SHARED, "models/tiny-v3-bf16")):
            r = json.loads(self.ok("perplexity", "-m", model, "--json", "-f",
                                   os.path.join(SHARED, "models/valid.txt"), timeout=600))
            self.assertEqual((r["pieces"], r["bytes"], r["tokens"]), (125, 102118, 25792))
            self.assertAlmostEqual(r["bits_per_byte"], 0.8954, delta=0.8954e-3)


class Info(Case):
    def test_json(self):
        info = json.loads(self.ok("info", "-m", MODEL, "--json"))
        with open(os.path.join(MODEL, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        self.assertEqual(info["architecture"], config["model_type"])
        for key in ("vocab_size", "hidden_size", "num_hidden_layers", "q_lora_rank",
                    "first_k_dense_replace", "num_attention_heads", "kv_lora_rank",
                    "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim",
                    "intermediate_size", "moe_intermediate_size", "n_routed_experts",
                    "n_shared_experts", "num_experts_per_tok", "n_group", "topk_group",
                    "num_nextn_predict_layers", "max_position_embeddings",
                    "tie_word_embeddings", "scoring_func", "topk_method",
                    "routed_scaling_factor", "rope_theta", "bos_token_id", "eos_token_id"):
            self.assertEqual(info[key], config[key], key)
        latent = config["kv_lora_rank"] + config["qk_rope_head_dim"]
        self.assertEqual(info["kv_bytes_per_token"]["bf16"], latent * 2 * 6)  # with MTP
        self.assertEqual(info["features"], {"mtp": True, "yarn": False, "fp8": True})
        self.assertEqual(info["parameters_total"] + info["parameters_mtp"],
                         sum(self.tensor_sizes()))
        text = self.ok("info", "-m", MODEL).decode()
        self.assertRegex(text, r"hidden_size +256\n")

    def tensor_sizes(self):
        with open(os.path.join(MODEL, "model.safetensors"), "rb") as f:
            header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        for name, tensor in header.items():
            # Scales are no parameters; the MTP module's copies of embedding and head
            # are the main model's.
            if name == "__metadata__" or name.endswith("_scale_inv") or re.search(
                    r"layers\.5\.(embed_tokens|shared_head\.head)\.", name):
                continue
            yield math.prod(tensor["shape"])


class Pack(Case):
    def pack(self, name, *more):
        path = self.path(name)
        self.ok("pack", "-m", MODEL, "-o", path, *more)
        with open(path, "rb") as f:
            return path, f.read()

    def test_the_same_model(self):
        path, data = self.pack("a.mote")
        self.assertEqual(self.pack("b.mote")[1], data)  # packing is deterministic
        self.assertIn(b"every checksum holds", self.ok("pack", "--verify", path))
        self.ok("pack", "--verify", "-m", path)
        squeezed, smaller = self.pack("c.mote", "--zstd", "3")
        self.assertLess(len(smaller), len(data))
        for pack in (path, squeezed):
            for mmap in ("auto", "off"):
                out = self.ok("run", "-m", pack, "--temp", "0", "-n", "64", "--ids", "-p",
                              PARK_PROMPT, "--mmap", mmap)
                self.assertEqual(list(map(int, out.split())), PARK_IDS)
            self.assertEqual(self.ok("tokenize", "-m", pack, stdin=STORY_PROMPT),
                             b"0 551 502 261 441\n")
            packed, plain = (json.loads(self.ok("info", "--json", "-m", m))
                             for m in (pack, MODEL))
            for key in ("parameters_total", "bytes_by_type", "architecture"):
                self.assertEqual(packed[key], plain[key])

    def test_memory_budget(self):
        """A budget below the size of the pack: experts are read when used, same text."""
        path, _ = self.pack("a.mote")
        begin = ["run", "-m", path, "--temp", "0", "-n", "64", "--ids", "-p", PARK_PROMPT]
        for budget in ("8M", "9M", "1G"):
            r = mote(*begin, "--memory", budget)
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertEqual(list(map(int, r.stdout.split())), PARK_IDS)
            self.assertEqual(b"found in memory" in r.stderr, budget != "1G", r.stderr)
        r = mote("bench", "-m", path, "--memory", "8M", "-p", "8", "-n", "8", "-r", "1",
                 "--json")
        streaming = json.loads(r.stdout)["streaming"]
        self.assertTrue(0 <= streaming["expert_hit_share"] <= 1)
        r = self.refuse(1, r"at least \d+", *begin, "--memory", "1M")
        least = re.search(rb"at least (\d+)", r.stderr)[1].decode()
        self.ok(*begin, "--memory", least)
        self.refuse(1, r"at least", *begin, "--memory", int(least) - 1)

    def test_smaller_types(self):
        _, keep = self.pack("keep.mote")
        text = self.write("text", "Once upon a time, there was a little girl. " * 20)
        importance = self.path("importance")
        self.ok("calibrate", "-m", MODEL, "-f", text, "-o", importance)
        for more in (["--type", "int8"], ["--type", "int4"], ["--type", "int4-all"],
                     ["--expert-type", "int4", "--importance", importance]):
            path, data = self.pack("small.mote", *more)
            if "int8" not in more:
                self.assertLess(len(data), len(keep))
            out = self.ok("run", "-m", path, "--temp", "0", "-n", "8", "-p", STORY_PROMPT)
            self.assertTrue(out.startswith(b", there was a little"), (more, out))

    def test_refusals(self):
        path, data = self.pack("a.mote")
        for at in (0, 100, len(data) // 2, len(data) - 1):
            bad = self.write("bad.mote", data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
            self.refuse(1, "bad.mote|checksum|pack", "pack", "--verify", bad)
        for length in (0, 10, 4096, len(data) - 1):
            cut = self.write("cut.mote", data[:length])
            self.refuse(1, ".", "pack", "--verify", cut)
            self.refuse(1, ".", "run", "-m", cut, "-p", "a")
        self.refuse(2, "-m DIR", "pack", "-o", path)
        self.refuse(2, "verify", "pack", "--verify")
        self.refuse(2, "--type: .*'int3'", "pack", "-m", MODEL, "-o", path, "--type", "int3")
        self.refuse(2, "--zstd: ", "pack", "-m", MODEL, "-o", path, "--zstd", "99")
        self.refuse(1, "/nonexistent", "pack", "-m", "/nonexistent", "-o", self.path("x"))
        self.refuse(1, "/nonexistent", "pack", "-m", MODEL, "-o", "/nonexistent/x")
        self.refuse(1, "importance|none", "pack", "-m", MODEL, "-o", self.path("x"), "--type",
                    "int4", "--importance", self.path("none"))
        self.assertFalse(os.path.exists(self.path("x")))


class Examples(Case):
    """The programs that the pages show do what the pages say."""

    def run_example(self, name, *args):
        path = os.path.join(os.path.dirname(os.path.dirname(MOTE)), name)
        if not os.path.exists(path):
            self.skipTest(f"{path} is not built")
        return subprocess.run([path, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, check=False)

    def test_minimal(self):
        r = self.run_example("minimal", MODEL, STORY_PROMPT)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(r.stdout.decode().startswith(STORY_PROMPT + STORY), r.stdout)
        r = self.run_example("minimal", "/nonexistent", "x")
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"MOTE_E_NOT_FOUND: /nonexistent", r.stderr)
        self.assertEqual(self.run_example("minimal").returncode, 2)

    def test_chat(self):
        r = self.run_example("chat", MODEL, "Tell me a story about a cat.", "And a \"dog\"?")
        self.assertEqual(r.returncode, 0, r.stderr)
        turns = r.stdout.decode().split("> ")
        self.assertEqual(len(turns), 3)
        self.assertTrue(turns[1].startswith("Tell me a story about a cat.\nOnce upon a time"))


class Bench(Case):
    KEYS = ["threads", "prefill_tokens", "prefill_tokens_per_s", "decode_tokens_per_s",
            "depth", "active_bytes_per_token", "read_bandwidth_bytes_per_s",
            "peak_flops_per_s", "decode_bandwidth_share", "prefill_peak_share",
            "peak_rss_bytes"]

    def test_one(self):
        r = json.loads(self.ok("bench", "-m", MODEL, "-p", "32", "-n", "8", "-d", "16", "-r",
                               "2", "-t", "1", "--json"))
        for key in self.KEYS:
            self.assertGreater(r[key], 0, key)
        self.assertEqual((r["threads"], r["prefill_tokens"], r["depth"]), (1, 32, 16))
        info = json.loads(self.ok("info", "-m", MODEL, "--json"))
        self.assertEqual(r["active_bytes_per_token"], info["active_bytes_per_token"])
        # The share is of the neighbouring measurements, so near that of the medians.
        share = (r["decode_tokens_per_s"] * r["active_bytes_per_token"] /
                 r["read_bandwidth_bytes_per_s"])
        self.assertLess(abs(math.log(share / r["decode_bandwidth_share"])), 2)

    def test_several(self):
        rows = json.loads(self.ok("bench", "-m", MODEL, "-p", "8,16", "-n", "4", "-d", "0,8",
                                  "-r", "1", "-t", "1,2", "--json", "--mtp", "1",
                                  "--sessions", "2"))
        self.assertEqual([(r["threads"], r["prefill_tokens"], r["depth"]) for r in rows],
                         [(t, p, d) for t in (1, 2) for p in (8, 16) for d in (0, 8)])
        for r in rows:
            self.assertGreaterEqual(r["speculation"]["tokens_per_pass"], 1)
            self.assertGreater(r["batch"]["tokens_per_s"], 0)
        out = self.ok("bench", "-m", MODEL, "-p", "8", "-n", "4", "-r", "1").decode()
        self.assertRegex(out, r"prefill +8 .* % of the .* peak")
        self.assertRegex(out, r"decode +4 .* % of the read bandwidth")

    def test_refusals(self):
        self.refuse(2, "deepseek-v3, .*'nonesuch'", "bench", "--preset", "nonesuch")
        self.refuse(2, "--preset", "bench", "--layers", "2")
        self.refuse(2, "--accept", "bench", "--accept", "0.5")


class Presets(Case):
    """Random weights of a known shape, measured and packed."""

    def test_bench(self):
        for kind in ("fp8", "bf16", "int8", "int4", "int4-all"):
            done = mote("bench", "--preset", "tiny-v3", "--type", kind, "-p", "24", "-n", "6", "-d",
                        "0,8", "-r", "1", "-t", "1,2", "--mtp", "2", "--accept", "0.8",
                        "--sessions", "3", "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            runs = json.loads(done.stdout)
            self.assertEqual([(r["threads"], r["depth"]) for r in runs],
                             [(1, 0), (1, 8), (2, 0), (2, 8)])
            for r in runs:
                for key in ("prefill_tokens_per_s", "decode_tokens_per_s", "prefill_flops_per_token",
                            "read_bandwidth_bytes_per_s", "peak_flops_per_s", "peak_rss_bytes"):
                    self.assertGreater(r[key], 0, key)
                # all but the embedding, of which a token reads one row, and idle experts
                self.assertGreater(r["active_bytes_per_token"], 1_900_000)
                self.assertLess(r["active_bytes_per_token"], 7_500_000)
                self.assertEqual(r["speculation"]["draft_tokens"], 2)
                self.assertGreaterEqual(r["speculation"]["tokens_per_pass"], 1)
                self.assertEqual(r["batch"]["sessions"], 3)
        text = mote("bench", "--preset", "tiny-v3", "-p", "8", "-n", "2", "-r", "1")
        self.assertEqual(text.returncode, 0, text.stderr)
        self.assertIn(b"of the read bandwidth", text.stdout)

    def test_pack(self):
        for kind in ("fp8", "bf16", "int8", "int4", "int4-all"):
            one, two = self.path("one.mote"), self.path("two.mote")
            for at in (one, two):
                done = mote("pack", "--preset", "tiny-v3", "--type", kind, "-o", at)
                self.assertEqual(done.returncode, 0, done.stderr)
            with open(one, "rb") as a, open(two, "rb") as b:
                self.assertEqual(a.read(), b.read())
            self.assertEqual(mote("pack", "--verify", one).returncode, 0)
            info = mote("info", "-m", one, "--json")
            self.assertEqual(info.returncode, 0, info.stderr)
            self.assertIn(b"4096", info.stdout)
            self.assertEqual(mote("bench", "-m", one, "-p", "8", "-n", "2", "-r", "1").returncode, 0)

    def test_help_lists_every_choice(self):
        """What --help offers is what options.def knows, except the name of the default."""
        root = pathlib.Path(__file__).resolve().parents[2]
        options = (root / "lib/api/options.def").read_text()
        known = {name: [c.split("=")[0] for c in choices.split(", ")] for name, choices in
                 re.findall(r'\w+_options, (\w+), CHOICE, \d+, \d+,\s*"([^"]+)"', options)}
        names = {"kv": "kv_type", "precision": "precision", "mmap": "mapping", "type": "type",
                 "expert-type": "expert_type"}
        seen = set()
        for command in ("run", "chat", "info", "logits", "perplexity", "bench", "pack"):
            help_text = mote(command, "--help").stdout.decode()
            for option, choices in re.findall(r"--([a-z-]+) ([a-z0-9-]+(?:\|[a-z0-9-]+)+)", help_text):
                if option in names:
                    seen.add((option, choices))
                    hidden = {"default"} if option != "type" or command != "bench" else {"keep"}
                    self.assertEqual(set(choices.split("|")), set(known[names[option]]) - hidden,
                                     f"mote {command} --{option}")
        self.assertGreaterEqual(len(seen), 6)

    def test_unknown(self):
        for command in (["bench"], ["pack", "-o", self.path("x.mote")]):
            done = mote(*command, "--preset", "nothing")
            self.assertIn(done.returncode, (1, 2), done.stderr)
            self.assertRegex(done.stderr.decode(), "mote.*preset.*nothing")
        done = mote("bench", "--preset", "deepseek-v3", "--layers", "9999")
        self.assertIn(done.returncode, (1, 2))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
