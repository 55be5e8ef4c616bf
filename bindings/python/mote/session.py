# SPDX-License-Identifier: MIT
"""Sessions: one conversation each."""

from __future__ import annotations

import ctypes as C
import os
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterator,
    List,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Union,
    overload,
)

from . import _native as n
from .errors import check, raise_for
from .tokenizer import id_array

if TYPE_CHECKING:
    from .model import ChatFormat, Messages, Model, Progress, Schema

Prompt = Union[str, bytes, Sequence[int]]

_GENERATE = {"max_tokens", "ignore_eos", "think_tokens_max", "starts_in_reasoning",
             "show_special", "seed_from_state"}
_SAMPLER = {"temperature", "top_k", "top_p", "min_p", "repetition_penalty",
            "presence_penalty", "frequency_penalty", "penalty_tokens", "seed"}


class Piece(NamedTuple):
    """A piece of generated text; ``str(piece)`` is its text.

    channel is "content", "reasoning" or "tool"; stop, in the last piece, says why it is the
    last: "eos", "length", "stop", "context" or "schema". The log-probabilities are natural.
    """

    text: str
    channel: str = "content"
    tokens: Sequence[int] = ()
    logprobs: Sequence[float] = ()
    tool_name: Optional[str] = None
    tool_index: int = 0
    stop: Optional[str] = None

    def __str__(self) -> str:
        return self.text


@dataclass
class Reply:
    """A whole reply, put together from its pieces."""

    content: str = ""
    reasoning: str = ""
    tool_calls: List[Dict[str, str]] = field(default_factory=list)
    tokens: List[int] = field(default_factory=list)
    stop: Optional[str] = None

    def add(self, piece: Piece) -> None:
        """Append a piece."""
        self.tokens += piece.tokens
        self.stop = piece.stop or self.stop
        if piece.channel == "tool":
            while len(self.tool_calls) <= piece.tool_index:
                self.tool_calls.append({"name": piece.tool_name or "", "arguments": ""})
            self.tool_calls[piece.tool_index]["arguments"] += piece.text
        elif piece.channel == "reasoning":
            self.reasoning += piece.text
        else:
            self.content += piece.text

    def message(self) -> Dict[str, Any]:
        """As a message to append to a conversation."""
        m: Dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.tool_calls:
            m["tool_calls"] = [{"type": "function", "function": dict(c)} for c in self.tool_calls]
        return m


class Session:
    """A token sequence with its cache. One thread at a time; cancel() from any."""

    def __init__(self, model: "Model", *, progress: Optional["Progress"] = None,
                 _handle: Optional[int] = None, **options: Any) -> None:
        from .model import Callback, set_options

        self._handle: Optional[int] = None
        self._model = model
        self._callback = Callback(progress)
        self._generation = 0
        self._keep: List[Any] = []  # what a running generation borrows
        if _handle is not None:
            self._handle = _handle
            model._made.add(self)
            return
        o = n.SessionOptions()
        set_options(n.OPTIONS_SESSION, o, options)
        o.progress = self._callback.function
        out = C.c_void_p()
        check("mote_session_open", C.byref(out), model._h(), C.byref(o))
        self._handle = out.value
        model._made.add(self)

    def _h(self) -> int:
        if self._handle is None:
            raise ValueError("the session is closed")
        return self._handle

    def close(self) -> None:
        """Free it; again does nothing. Closing the model closes its sessions first."""
        handle, self._handle = self._handle, None
        self._generation = -1  # ends a running loop
        if handle is not None:
            n.lib.mote_session_close(handle)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @property
    def model(self) -> "Model":
        """The model it runs on."""
        return self._model

    def _call(self, name: str, *arguments: object) -> None:
        self._callback.run(name, self._h(), *arguments)

    def _ids(self, prompt: Prompt, bos: bool) -> List[int]:
        if isinstance(prompt, (str, bytes)):
            return self._model.tokenizer.encode(prompt, bos=bos)
        return list(prompt)

    def eval(self, tokens: Prompt) -> None:
        """Append tokens (or text) and compute them."""
        ids = self._ids(tokens, bos=self.position == 0)
        self._call("mote_session_eval", id_array(ids), len(ids))

    def prompt(self, tokens: Prompt) -> None:
        """Make the sequence be exactly this, reusing the longest common prefix."""
        ids = self._ids(tokens, bos=True)
        self._call("mote_session_prompt", id_array(ids), len(ids))

    @property
    def position(self) -> int:
        """Tokens in the session."""
        return int(n.lib.mote_session_position(self._h()))

    @property
    def context_tokens(self) -> int:
        """Most tokens it can hold."""
        return int(n.lib.mote_session_context_tokens(self._h()))

    @property
    def tokens(self) -> List[int]:
        """The whole sequence."""
        h = self._h()
        return [n.lib.mote_session_token(h, i) for i in range(self.position)]

    def rewind(self, position: int) -> None:
        """Forget everything from a position on."""
        self._call("mote_session_rewind", position)

    def reset(self) -> None:
        """Forget everything."""
        n.lib.mote_session_reset(self._h())

    def fork(self) -> "Session":
        """A second session with the same past."""
        out = C.c_void_p()
        check("mote_session_fork", C.byref(out), self._h())
        # Both report to the same callback.
        other = Session(self._model, _handle=out.value)
        other._callback = self._callback
        return other

    def cancel(self) -> None:
        """Make a running call stop; may be called from another thread."""
        n.lib.mote_session_cancel(self._h())

    def _floats(self, name: str, position: Optional[int]) -> Any:
        if position is None:
            position = self.position - 1
        vocab = self._model.info["vocab_size"]
        out = (C.c_float * vocab)()
        self._call(name, position, out, vocab)
        try:
            import numpy
        except ImportError:
            return memoryview(out).cast("B").cast("f")
        return numpy.frombuffer(out, dtype=numpy.float32)

    def logits(self, position: Optional[int] = None) -> Any:
        """Logits after a position (default: the last): a numpy array if numpy is there,
        else a memoryview of floats. Not copied."""
        return self._floats("mote_session_logits", position)

    def logprobs(self, position: Optional[int] = None) -> Any:
        """The same as natural log-probabilities."""
        return self._floats("mote_session_logprobs", position)

    def mtp_logits(self, position: int) -> Any:
        """What the MTP module expects at position + 2."""
        return self._floats("mote_session_mtp_logits", position)

    def _begin(self, o: n.GenerateOptions, options: Mapping[str, Any]) -> None:
        from .model import set_options

        unknown = set(options) - _GENERATE - _SAMPLER - {"logit_bias", "stop", "schema", "format"}
        if unknown:
            raise TypeError("unknown option " + ", ".join(sorted(unknown)))
        s = n.SamplerOptions()
        set_options(n.OPTIONS_SAMPLER, s, {k: v for k, v in options.items() if k in _SAMPLER})
        set_options(n.OPTIONS_GENERATE, o, {k: v for k, v in options.items() if k in _GENERATE})
        keep: List[Any] = []
        bias: Optional[Mapping[int, float]] = options.get("logit_bias")
        if bias:
            s.n_bias = len(bias)
            s.bias_tokens = id_array(list(bias))
            s.bias_values = (C.c_float * len(bias))(*bias.values())
        stop = options.get("stop")
        if stop:
            texts = [stop] if isinstance(stop, str) else list(stop)
            o.n_stop = len(texts)
            o.stop = (C.c_char_p * len(texts))(*[t.encode() for t in texts])
        schema: Optional["Schema"] = options.get("schema")
        if schema is not None:
            o.schema = schema._handle
            keep.append(schema)
        form: Optional["ChatFormat"] = options.get("format")
        if form is not None:
            o.format = form._handle
        check("mote_session_generate", self._h(), C.byref(o), C.byref(s))
        self._keep = keep

    def generate(self, prompt: Optional[Prompt] = None, **options: Any) -> Iterator[Piece]:
        """Generate, piece by piece. Leaving the loop early is fine.

        prompt: set first, as prompt(); None: go on after the current sequence. Options:
        max_tokens, temperature, top_k, top_p, min_p, seed, repetition_penalty,
        presence_penalty, frequency_penalty, logit_bias, stop, schema, format,
        think_tokens_max, starts_in_reasoning, ignore_eos, show_special.
        """
        if prompt is not None:
            self.prompt(prompt)
        self._begin(n.GenerateOptions(), options)
        self._generation += 1
        return self._pieces(self._generation)

    def _pieces(self, generation: int) -> Iterator[Piece]:
        # What runs for every token does little and touches little memory, since the model's
        # weights have just gone through the caches. No argument is converted; and of a piece
        # of one token whose struct is what an earlier one's was, byte by byte, only the text,
        # the token and its log-probability are read, through the objects made then.
        memory, err = bytearray(C.sizeof(n.CPiece)), n.Error()
        piece = n.CPiece.from_buffer(memory)
        piece.struct_size = len(memory)
        handle = C.byref(C.c_char.from_address(self._h()))
        by_piece, by_err = C.byref(piece), C.byref(err)
        advance, new = n.session_next, tuple.__new__
        known: Dict[bytes, Any] = {}
        find = known.get
        while generation == self._generation:  # else closed, or a later generate()
            status = advance(handle, by_piece, by_err)
            if status:
                if status < 0:
                    raise_for(status, err)
                return
            like = find(bytes(memory))
            if like:
                text, channel, an_id, a_value = like
                yield new(Piece, (str(text, "utf-8", "replace"), channel, (an_id.value,),
                                  (a_value.value,), None, 0, None))
                continue
            text = (C.c_char * piece.n_bytes).from_address(piece.text or 0)
            channel, count, tool = n.CHANNELS[piece.channel], piece.n_tokens, piece.tool_name
            if count == 1 and not (tool or piece.tool_index or piece.stop):
                known[bytes(memory)] = (
                    text, channel, piece.tokens.contents, piece.logprobs.contents)
            yield new(Piece, (
                str(text, "utf-8", "replace"), channel,
                tuple(piece.tokens[:count]) if count else (),
                tuple(piece.logprobs[:count]) if count else (),
                tool.decode("utf-8", "replace") if tool else None,
                piece.tool_index, n.STOPS[piece.stop]))
        self._h()  # says so where the session was closed

    @overload
    def chat(self, messages: "Messages", *, stream: Literal[True],
             tools: Optional[Sequence[Any]] = ..., think: bool = ...,
             keep_reasoning: bool = ..., format: Optional["ChatFormat"] = ...,
             **options: Any) -> Iterator[Piece]: ...

    @overload
    def chat(self, messages: "Messages", *, stream: Literal[False] = ...,
             tools: Optional[Sequence[Any]] = ..., think: bool = ...,
             keep_reasoning: bool = ..., format: Optional["ChatFormat"] = ...,
             **options: Any) -> Reply: ...

    def chat(self, messages: "Messages", *, stream: bool = False,
             tools: Optional[Sequence[Any]] = None, think: bool = False,
             keep_reasoning: bool = False,
             format: Optional["ChatFormat"] = None,  # noqa: A002
             **options: Any) -> Union[Reply, Iterator[Piece]]:
        """Answer a conversation ``[{"role": "user", "content": "Hello"}]``.

        What earlier calls computed is reused where the messages begin the same. With
        stream, an iterator of pieces; otherwise a Reply. tools, think and keep_reasoning go
        to the chat format, which is the checkpoint's own unless one is given; the other
        options are those of generate().
        """
        form = format or self._model.chat_format
        ids = form.render(self._model.tokenizer, messages, tools=tools, think=think,
                          keep_reasoning=keep_reasoning)
        pieces = self.generate(ids, format=form, **options)
        if stream:
            return pieces
        reply = Reply()
        for piece in pieces:
            reply.add(piece)
        return reply

    @property
    def stats(self) -> Dict[str, Any]:
        """Counts and times since the session was made."""
        s = n.CSessionStats()
        check("mote_session_get_stats", self._h(), C.byref(s))
        return {
            name: list(v) if isinstance(v := getattr(s, name), C.Array) else v
            for name, *_ in s._fields_
            if name not in ("struct_size", "reserved")
        }

    def save(self, path: Union[str, "os.PathLike[str]", None] = None) -> bytes:
        """Snapshot to a file, or (without a path) as bytes."""
        if path is not None:
            self._call("mote_session_save_file", os.fsencode(path))
            return b""
        size = C.c_size_t()
        self._call("mote_session_save", None, 0, C.byref(size))
        buffer = C.create_string_buffer(size.value)
        self._call("mote_session_save", buffer, size.value, C.byref(size))
        return buffer.raw[: size.value]

    def load(self, snapshot: Union[bytes, str, "os.PathLike[str]"]) -> None:
        """Load a snapshot from bytes or a file; on any error nothing changes."""
        if isinstance(snapshot, (bytes, bytearray, memoryview)):
            data = bytes(snapshot)
            self._call("mote_session_load", data, len(data))
        else:
            self._call("mote_session_load_file", os.fsencode(snapshot))

