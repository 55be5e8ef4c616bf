# SPDX-License-Identifier: MIT
import asyncio
import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import mote
from mote import _native
from mote.errors import check

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
    assert next(iter(banned)).tokens != (14,)
    stopped = text_of(session.generate("Once upon a time", max_tokens=60, stop=["girl"]))
    assert stopped.endswith("little ") and "girl" not in stopped
    with pytest.raises(TypeError, match="nonsense"):
        session.generate("a", nonsense=1)
    with pytest.raises(mote.InvalidError, match="temperature"):
        session.generate("a", temperature=-1)
    with pytest.raises(mote.NotFoundError):
        session.model.session(no_such_option=1)


@pytest.mark.parametrize("options", [
    {}, {"stop": ["girl", " named Lily. She lo"]}, {"temperature": 3.0, "seed": 5},
    {"format": mote.ChatFormat("deepseek-r1"), "starts_in_reasoning": True,
     "think_tokens_max": 5}], ids=["plain", "stop", "hot", "reasoning"])
def test_pieces_are_those_of_c(session, options):
    """generate() reads most pieces in a way of its own; here each member is asked for."""
    options = {"max_tokens": 40, "ignore_eos": True, **options}
    found = list(session.generate("Once upon a time", **options))
    session.prompt("Once upon a time")
    session._begin(_native.GenerateOptions(), options)
    expected, c = [], _native.CPiece()
    while check("mote_session_next", session._h(), ctypes.byref(c)) == 0:
        text = ctypes.string_at(c.text, c.n_bytes).decode()
        expected.append(mote.Piece(
            text, _native.CHANNELS[c.channel], tuple(c.tokens[i] for i in range(c.n_tokens)),
            tuple(c.logprobs[i] for i in range(c.n_tokens)), None, 0, _native.STOPS[c.stop]))
    assert found == expected
    if "stop" in options:
        assert any(not p.text for p in found)
    if "format" in options:
        assert {p.channel for p in found} == {"reasoning", "content"}


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


def test_ctrl_c(model):
    """Within a long call, and between two pieces."""
    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    with model.session(prefill_tokens=16) as s:
        timer = threading.Timer(0.02, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            for _ in range(100):
                s.reset()
                s.eval([5] * 500)
        timer.join()
        assert s.position % 16 == 0 or s.position == 500
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with pytest.raises(KeyboardInterrupt):
            for i, _ in enumerate(s.generate("Once upon a time", ignore_eos=True)):
                if i == 3:
                    interrupt()
        assert text_of(s.generate("Once upon a time", max_tokens=5))


def test_closing_in_any_order(tmp_path):
    m = mote.Model(ROOT / "models" / "tiny-v3", n_threads=1)
    s, schema = m.session(), m.schema({"enum": [1]})
    pieces = s.generate("Once", schema=schema)
    next(pieces)
    m.close()
    for closed in (lambda: next(pieces), lambda: s.position, lambda: m.info,
                   lambda: m.tokenizer):
        with pytest.raises(ValueError, match="closed"):
            closed()
    s.close()
    schema.close()
    m.close()
    with mote.Model(ROOT / "models" / "tiny-v3") as m, m.session() as s:
        with pytest.raises(ValueError, match="the session is closed"):
            for _ in s.generate("Once"):
                s.close()


def test_exceptions_have_their_status(session):
    for name, kind in vars(mote).items():
        if isinstance(kind, type) and issubclass(kind, mote.MoteError):
            assert (kind.status < 0) == (kind is not mote.MoteError), name
            assert kind.__doc__
    with pytest.raises(mote.MoteError) as e:
        session.generate("a", temperature=-1)
    assert isinstance(e.value, ValueError) and e.value.status == -1


def test_logits_are_not_copied(session):
    numpy = pytest.importorskip("numpy")
    session.prompt("Once upon a time")
    logits = session.logits()
    assert isinstance(logits, numpy.ndarray) and logits.dtype == numpy.float32
    assert not logits.flags.owndata  # a view of the buffer that the library filled


def test_every_public_name_is_documented():
    for name in mote.__all__:
        thing = getattr(mote, name)
        assert thing.__doc__, name
        for member, value in vars(thing).items() if isinstance(thing, type) else ():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert value.__doc__, f"{name}.{member}"


def test_asyncio_chat_and_cancelling(session):
    async def run():
        messages = [{"role": "user", "content": "Tell me a story about a cat."}]
        told = "".join([str(p) async for p in mote.aio.chat(session, messages, max_tokens=9)])
        assert told == session.chat(messages, max_tokens=9).content

        async def endless():
            async for _ in mote.aio.generate(session, "Once", ignore_eos=True):
                pass

        task = asyncio.ensure_future(endless())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    session.reset()
    assert text_of(session.generate("Once upon a time", max_tokens=5))


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


def test_command_whose_reader_leaves():
    with subprocess.Popen([sys.executable, "-m", "mote", "-n", "9"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=ROOT / "bindings" / "python") as p:
        p.stdout.close()
        assert (p.stderr.read(), p.wait()) == (b"", 0)


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
