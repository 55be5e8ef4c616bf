# SPDX-License-Identifier: MIT
"""Models, chat formats, schemas and packs."""

from __future__ import annotations

import ctypes as C
import json
import os
import weakref
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from . import _interrupt
from . import _native as n
from .errors import CancelledError, UnsupportedError, check, raise_for
from .session import Session
from .tokenizer import Tokenizer

PathLike = Union[str, "os.PathLike[str]"]
#: progress(stage, done, total); returning a true value (or raising) cancels.
Progress = Callable[[str, int, int], Any]
Messages = Sequence[Mapping[str, Any]]

BUNDLED = n.HERE / "models" / "tiny-v3"


class Callback:
    """A progress callback that carries exceptions over the C boundary, and Ctrl-C."""

    def __init__(self, progress: Optional[Progress]) -> None:
        self.raised: Optional[BaseException] = None
        self.function: Any = _quiet
        if progress is None:
            return
        report = progress

        def call(_user: Any, stage: bytes, done: int, total: int) -> int:
            try:
                return 1 if report(stage.decode(), done, total) or _interrupt.pending() else 0
            except BaseException as e:  # noqa: BLE001: delivered by run()
                self.raised = e
                return 1

        self.function = n.ProgressFn(call)

    def run(self, name: str, *arguments: object) -> None:
        """Call a function of the library that may call back."""
        self.raised = None
        try:
            with _interrupt.Guard():
                check(name, *arguments)
        except CancelledError:
            if self.raised is not None:
                raise self.raised from None
            raise


def _no_progress(_user: Any, _stage: bytes, _done: int, _total: int) -> int:
    return int(_interrupt.pending())


_quiet = n.ProgressFn(_no_progress)


def set_options(kind: int, struct: C.Structure, values: Mapping[str, Any]) -> None:
    """Set options by name, as text, so that names like "bf16" work."""
    for name, value in values.items():
        if value is None:
            continue
        text = str(int(value)) if isinstance(value, bool) else str(value)
        check("mote_options_set_text", kind, C.byref(struct), name.encode(), text.encode())


class ChatFormat:
    """A built-in chat format, by name; see ``ChatFormat.names()``."""

    def __init__(self, name: str, *, _handle: Optional[int] = None) -> None:
        if _handle is None:
            err = n.Error()
            _handle = n.lib.mote_chat_format_find(name.encode(), C.byref(err))
            if not _handle:
                raise_for(err.status, err)
        self._handle = _handle

    @staticmethod
    def names() -> List[str]:
        """Every format there is."""
        found: List[str] = []
        while True:
            f = n.lib.mote_chat_format_at(len(found))
            if not f:
                return found
            found.append(n.lib.mote_chat_format_name(f).decode())

    @staticmethod
    def of(tokenizer: Tokenizer) -> "ChatFormat":
        """The format a checkpoint was published with."""
        err = n.Error()
        f = n.lib.mote_chat_format_of(tokenizer._h(), C.byref(err))
        if not f:
            raise_for(err.status, err)
        return ChatFormat("", _handle=f)

    @property
    def name(self) -> str:
        """Name of the format."""
        return str(n.lib.mote_chat_format_name(self._handle).decode())

    @staticmethod
    def _arguments(messages: Messages, tools: Optional[Sequence[Any]], generate: bool,
                   think: bool, keep_reasoning: bool) -> Tuple[Any, ...]:
        flags = (
            (n.CHAT_GENERATE if generate else 0)
            | (n.CHAT_THINK if think else 0)
            | (n.CHAT_KEEP_REASONING if keep_reasoning else 0)
        )
        m = json.dumps(list(messages), ensure_ascii=False).encode("utf-8", "surrogatepass")
        t = None if tools is None else json.dumps(list(tools), ensure_ascii=False).encode()
        return m, len(m), flags, t, len(t) if t else 0

    def render_text(self, messages: Messages, *, tools: Optional[Sequence[Any]] = None,
                    generate: bool = True, think: bool = False,
                    keep_reasoning: bool = False) -> str:
        """Messages as text, control tokens spelled out."""
        a = self._arguments(messages, tools, generate, think, keep_reasoning)
        size = C.c_size_t()
        check("mote_chat_render_text", self._handle, *a, None, 0, C.byref(size))
        buffer = C.create_string_buffer(size.value + 1)
        check("mote_chat_render_text", self._handle, *a, buffer, size.value, C.byref(size))
        return buffer.raw[: size.value].decode("utf-8", "replace")

    def render(self, tokenizer: Tokenizer, messages: Messages, *,
               tools: Optional[Sequence[Any]] = None, generate: bool = True,
               think: bool = False, keep_reasoning: bool = False) -> List[int]:
        """Messages straight as tokens; control-token text in contents stays text."""
        a = self._arguments(messages, tools, generate, think, keep_reasoning)
        size = C.c_size_t()
        check("mote_chat_render", self._handle, tokenizer._h(), *a, None, 0, C.byref(size))
        ids = (C.c_int32 * (size.value + 1))()
        check("mote_chat_render", self._handle, tokenizer._h(), *a, ids, size.value,
              C.byref(size))
        return ids[: size.value]


class Schema:
    """A constraint on output: JSON Schema as a dict or text; None: any object or array."""

    def __init__(self, tokenizer: Tokenizer, schema: Union[Mapping[str, Any], str, None]) -> None:
        self._handle: Optional[int] = None
        self._tokenizer = tokenizer
        out = C.c_void_p()
        if schema is None:
            data = None
        else:
            data = (schema if isinstance(schema, str) else json.dumps(schema)).encode()
        check("mote_schema_open", C.byref(out), tokenizer._h(), data, len(data) if data else 0)
        self._handle = out.value

    def close(self) -> None:
        """Free it; no generation may be using it."""
        if self._handle is not None:
            n.lib.mote_schema_close(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self.close()


class Model:
    """A model, immutable and shared by its sessions.

    Model() opens the bundled model; Model(path) a checkpoint directory or a pack. Options
    are those of the C library by name: n_threads, memory_bytes, mapping, mtp, isa.
    """

    def __init__(self, path: Optional[PathLike] = None, *,
                 progress: Optional[Progress] = None, **options: Any) -> None:
        self._handle: Optional[int] = None
        if path is None:
            path = os.environ.get("MOTE_MODEL") or bundled()
        o = n.ModelOptions()
        set_options(n.OPTIONS_MODEL, o, options)
        callback = Callback(progress)
        o.progress = callback.function
        out = C.c_void_p()
        callback.run("mote_model_open", C.byref(out), os.fsencode(path), C.byref(o))
        self._handle = out.value
        tokenizer = n.lib.mote_model_tokenizer(self._handle)
        self._tokenizer = Tokenizer(_handle=tokenizer, _owner=self) if tokenizer else None
        self._format: Optional[ChatFormat] = None
        #: what must be closed before: sessions and schemas
        self._made: "weakref.WeakSet[Any]" = weakref.WeakSet()

    def _h(self) -> int:
        if self._handle is None:
            raise ValueError("the model is closed")
        return self._handle

    def close(self) -> None:
        """Free it, and before it what was made from it: sessions and schemas."""
        if self._handle is not None:
            for made in sorted(self._made, key=lambda m: isinstance(m, Schema)):
                made.close()
            if self._tokenizer is not None:
                self._tokenizer._handle = None
            n.lib.mote_model_close(self._handle)
            self._handle = None

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        self._h()
        if self._tokenizer is None:
            raise UnsupportedError("the checkpoint has no tokenizer")
        return self._tokenizer

    @property
    def info(self) -> Dict[str, Any]:
        """What the model is: dimensions, parameters, bytes, features."""
        i = n.ModelInfo()
        check("mote_model_get_info", self._h(), C.byref(i))
        return {name: getattr(i, name) for name, *_ in i._fields_ if name != "struct_size"}

    @property
    def isa(self) -> str:
        """Kernel variant in use."""
        return str(n.lib.mote_model_isa(self._h()).decode())

    @property
    def threads(self) -> int:
        """Worker threads in use."""
        return int(n.lib.mote_model_threads(self._h()))

    @property
    def chat_format(self) -> ChatFormat:
        """The chat format that the checkpoint was published with."""
        if self._format is None:
            self._format = ChatFormat.of(self.tokenizer)
        return self._format

    def session(self, *, progress: Optional[Progress] = None, **options: Any) -> Session:
        """A new, empty session.

        Options by name: context_tokens, prefill_tokens, kv_type ("f32", "bf16", "fp8"),
        precision ("exact", "fine", "bf16"), deterministic, keep_tokens, draft ("auto",
        "off", "mtp", "ngram"), draft_tokens, attention ("absorbed", "expanded").
        """
        return Session(self, progress=progress, **options)

    def schema(self, schema: Union[Mapping[str, Any], str, None] = None) -> Schema:
        """Compile a constraint for this model's vocabulary."""
        made = Schema(self.tokenizer, schema)
        self._made.add(made)
        return made


def bundled() -> Path:
    """The model that comes with the package or the installed library."""
    for p in (BUNDLED, n.HERE.parents[2] / "models" / "tiny-v3",
              Path("/usr/local/share/mote/models/tiny-v3"),
              Path("/usr/share/mote/models/tiny-v3")):
        if p.is_dir():
            return p
    raise FileNotFoundError("no bundled model was found: give a path, or set MOTE_MODEL")


def pack(checkpoint: PathLike, path: PathLike, *, progress: Optional[Progress] = None,
         **options: Any) -> None:
    """Write a pack. Options by name: type, expert_type ("keep", "bf16", "fp8", "int8",
    "int4", "int4-all"), zstd_level, importance."""
    o = n.PackOptions()
    importance = options.pop("importance", None)
    set_options(n.OPTIONS_PACK, o, options)
    if importance is not None:
        o.importance = os.fsencode(importance)
    callback = Callback(progress)
    o.progress = callback.function
    callback.run("mote_pack_write", os.fsencode(checkpoint), os.fsencode(path), C.byref(o))


def verify_pack(path: PathLike, *, progress: Optional[Progress] = None) -> None:
    """Check every checksum of a pack."""
    callback = Callback(progress)
    callback.run("mote_pack_verify", os.fsencode(path), callback.function, None)
