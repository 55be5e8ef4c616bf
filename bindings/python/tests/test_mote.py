# SPDX-License-Identifier: MIT
import asyncio
import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import mote

ROOT = Path(__file__).resolve().parents[3]
STORY = ", there was a little girl named Lily."


def text_of(pieces):
    return "".join(str(p) for p in pieces)


def test_tokenizer(model):
    t = model.tokenizer
    ids = t.encode("Once upon a time", bos=True)
    assert ids == [0, 551, 502, 261, 441]
    assert t.decode(ids, skip_special=True) == "Once upon a time"
    raw = bytes(range(256))
    assert t.decode_bytes(t.encode(raw)) == raw
    control = "<｜User｜>"
    assert t.encode(control, special=True) == [t.find(control)]
    assert t.find(control) not in t.encode(control)
    assert t.bos == 0 and t.is_special(0) and len(t) == 4096
    assert t.token_bytes(10**6) == b""
    with pytest.raises(mote.InvalidError):
        t.decode([10**6])
    with mote.Tokenizer(ROOT / "models" / "tiny-v3") as alone:
        assert alone.encode("Once") == [551]
    with pytest.raises(ValueError):
        alone.encode("closed")


def test_generate_greedy(session):
    pieces = list(session.generate("Once upon a time", max_tokens=10))
    assert text_of(pieces).startswith(STORY[:30])
    assert pieces[-1].stop == "length"
    ids = [t for p in pieces for t in p.tokens]
    assert len(ids) == 10 and session.tokens[-10:] == ids
    assert all(lp <= 0 for p in pieces for lp in p.logprobs)


def test_sampling_is_reproducible(session):
    runs = [text_of(session.generate("Once upon a time", max_tokens=30, temperature=0.8,
                                     top_p=0.95, seed=s)) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_options(session):
    banned = session.generate("Once upon a time", max_tokens=1, logit_bias={14: -math.inf})
    assert next(iter(banned)).tokens != [14]
    stopped = text_of(session.generate("Once upon a time", max_tokens=60, stop=["girl"]))
    assert stopped.endswith("little ") and "girl" not in stopped
    with pytest.raises(TypeError, match="nonsense"):
        session.generate("a", nonsense=1)
    with pytest.raises(mote.InvalidError, match="temperature"):
        session.generate("a", temperature=-1)
    with pytest.raises(mote.NotFoundError):
        session.model.session(no_such_option=1)


def test_logits(session):
    session.prompt("Once upon a time")
    logits = session.logits()
    assert len(logits) == 4096
    assert max(range(4096), key=lambda i: logits[i]) == 14
    logprobs = session.logprobs()
    assert abs(sum(math.exp(v) for v in logprobs) - 1) < 1e-4
    assert len(session.mtp_logits(session.position - 2)) == 4096
    with pytest.raises(mote.InvalidError):
        session.logits(99)


def test_leaving_early_and_going_on(session):
    for piece in session.generate("Once upon a time"):
        if session.position > 12:
            break
    here = session.position
    session.eval(" The end.")
    assert session.position > here
    with pytest.raises(mote.ContextFullError):
        session.eval([5] * 10000)


def test_fork_rewind_snapshot(model, session, tmp_path):
    session.prompt("Once upon a time there was a dog")
    whole = text_of(session.generate(max_tokens=20))
    session.prompt("Once upon a time there was a dog")
    with session.fork() as other:
        assert text_of(other.generate(max_tokens=20)) == whole
    saved = session.save()
    session.save(tmp_path / "s.snap")
    for source in (saved, tmp_path / "s.snap"):
        with model.session(kv_type="f32", precision="exact") as s:
            s.load(source)
            assert text_of(s.generate(max_tokens=20)) == whole
    with model.session(kv_type="bf16") as s:
        with pytest.raises(mote.MismatchError):
            s.load(saved)
        with pytest.raises(mote.FormatError):
            s.load(b"not a snapshot")
    session.rewind(2)
    assert session.position == 2


def test_chat(model, session):
    messages = [{"role": "user", "content": "Tell me a story about a cat."}]
    assert "cat" in model.chat_format.render_text(messages)
    reply = session.chat(messages, max_tokens=20)
    assert reply.content and reply.message()["role"] == "assistant"
    streamed = text_of(session.chat(messages, stream=True, max_tokens=20))
    assert streamed == reply.content
    assert "deepseek-r1" in mote.ChatFormat.names()
    with pytest.raises(mote.NotFoundError):
        mote.ChatFormat("nobody")
    with pytest.raises(mote.FormatError):
        session.chat([5])


def test_schema(model, session):
    schema = model.schema({"type": "object", "properties": {"mood": {"enum": ["sad", "gay"]},
                                                            "n": {"type": "integer"}},
                           "required": ["mood", "n"]})
    text = text_of(session.generate("The answer: ", schema=schema, temperature=1.0, seed=3))
    value = json.loads(text)
    assert value["mood"] in ("sad", "gay") and isinstance(value["n"], int)
    with pytest.raises(mote.UnsupportedError):
        model.schema({"type": "string", "pattern": "a+"})


def test_cancel_from_another_thread(session):
    timer = threading.Timer(0.2, session.cancel)
    timer.start()
    with pytest.raises(mote.CancelledError):
        while True:
            for _ in session.generate("Once upon a time", ignore_eos=True):
                pass
    timer.join()
    assert text_of(session.generate("Once upon a time", max_tokens=5))


def test_progress_may_raise(model):
    with pytest.raises(KeyboardInterrupt):
        mote.Model(ROOT / "models" / "tiny-v3", progress=lambda *a: (_ for _ in ()).throw(
            KeyboardInterrupt()))
    seen = []
    with model.session(progress=lambda *a: seen.append(a)) as s:
        s.prompt("Once upon a time")
    assert seen[0][0] == "prefill"


def test_asyncio(session):
    async def run():
        out = []
        async for piece in mote.aio.generate(session, "Once upon a time", max_tokens=8):
            out.append(str(piece))
        return "".join(out)

    assert STORY.startswith(asyncio.run(run())[:20])


def test_open_errors(tmp_path):
    with pytest.raises(mote.NotFoundError):
        mote.Model(tmp_path / "nothing")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(mote.MoteError, match="config|model"):
        mote.Model(tmp_path)


def test_pack(tmp_path):
    path = tmp_path / "tiny.mote"
    mote.pack(ROOT / "models" / "tiny-v3", path, type="int8", zstd_level=1)
    mote.verify_pack(path)
    with mote.Model(path) as m, m.session() as s:
        assert text_of(s.generate("Once upon a time", max_tokens=5))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(mote.FormatError):
        mote.verify_pack(path)


def test_command():
    out = subprocess.run([sys.executable, "-m", "mote", "Once upon a time", "-n", "9", "--temp",
                          "0"], capture_output=True, text=True, check=True,
                         cwd=ROOT / "bindings" / "python")
    assert out.stdout.startswith("Once upon a time" + STORY[:20])


def test_memory_is_flat(model):
    import resource

    def cycle(count):
        for _ in range(count):
            with model.session(context_tokens=64, prefill_tokens=8) as s:
                for _ in s.generate("Once", max_tokens=2):
                    pass

    cycle(200)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cycle(1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
