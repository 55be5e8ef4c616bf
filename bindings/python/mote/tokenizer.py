# SPDX-License-Identifier: MIT
"""Text to tokens and back."""

from __future__ import annotations

import ctypes as C
import os
from typing import Any, List, Optional, Sequence, Union

from . import _native as n
from .errors import check

Text = Union[str, bytes]


def as_bytes(text: Text) -> bytes:
    """UTF-8 of a str (lone surrogates included), or the bytes themselves."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def id_array(tokens: Sequence[int]) -> Any:
    """Token ids as a C array."""
    return (C.c_int32 * len(tokens))(*tokens)


class Tokenizer:
    """A tokenizer: ``Tokenizer(path)`` opens one alone; ``model.tokenizer`` is a model's."""

    def __init__(self, path: Union[str, "os.PathLike[str]", None] = None, *,
                 _handle: Optional[int] = None, _owner: object = None) -> None:
        self._owner = _owner  # keeps a model alive
        self._owned = _handle is None
        if _handle is not None:
            self._handle: Optional[int] = _handle
            return
        if path is None:
            raise TypeError("expected a path")
        self._handle = None
        out = C.c_void_p()
        check("mote_tokenizer_open", C.byref(out), os.fsencode(path))
        self._handle = out.value

    def _h(self) -> int:
        if self._handle is None:
            raise ValueError("the tokenizer is closed")
        return self._handle

    def close(self) -> None:
        """Free it; a model's tokenizer lives with its model."""
        if self._owned and self._handle is not None:
            n.lib.mote_tokenizer_close(self._handle)
        self._handle = None

    def __enter__(self) -> "Tokenizer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_owned", False):
            self.close()

    def encode(self, text: Text, *, bos: bool = False, special: bool = False) -> List[int]:
        """Token ids of a text.

        bos: begin with BOS where the model wants it. special: the text of control tokens
        becomes those tokens; otherwise it stays text.
        """
        data = as_bytes(text)
        flags = (n.ENCODE_BOS if bos else 0) | (n.ENCODE_SPECIAL if special else 0)
        capacity = len(data) + 1
        ids = (C.c_int32 * capacity)()
        count = C.c_size_t()
        check("mote_tokenizer_encode", self._h(), data, len(data), flags, ids, capacity,
              C.byref(count))
        return ids[: count.value]

    def decode_bytes(self, tokens: Sequence[int], *, skip_special: bool = False) -> bytes:
        """The exact bytes of tokens."""
        ids = id_array(tokens)
        flags = n.DECODE_SKIP_SPECIAL if skip_special else 0
        size = C.c_size_t()
        check("mote_tokenizer_decode", self._h(), ids, len(ids), flags, None, 0, C.byref(size))
        buffer = C.create_string_buffer(size.value + 1)
        check("mote_tokenizer_decode", self._h(), ids, len(ids), flags, buffer, size.value,
              C.byref(size))
        return buffer.raw[: size.value]

    def decode(self, tokens: Sequence[int], *, skip_special: bool = False) -> str:
        """The text of tokens; bytes that are not UTF-8 become replacement characters."""
        return self.decode_bytes(tokens, skip_special=skip_special).decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """Bytes of one token; empty for an id without one."""
        size = C.c_size_t()
        p = n.lib.mote_tokenizer_token(self._h(), token, C.byref(size))
        return C.string_at(p, size.value) if p else b""

    def find(self, text: Text) -> Optional[int]:
        """Id of a control token by its exact text."""
        data = as_bytes(text)
        found: int = n.lib.mote_tokenizer_find(self._h(), data, len(data))
        return None if found < 0 else found

    def is_special(self, token: int) -> bool:
        """Whether a token is marked special (BOS, EOS, padding ...)."""
        return bool(n.lib.mote_tokenizer_is_special(self._h(), token))

    def __len__(self) -> int:
        return int(n.lib.mote_tokenizer_size(self._h()))

    @property
    def bos(self) -> Optional[int]:
        """Beginning-of-sentence id."""
        found: int = n.lib.mote_tokenizer_bos(self._h())
        return None if found < 0 else found

    @property
    def eos(self) -> Optional[int]:
        """End-of-sentence id."""
        found: int = n.lib.mote_tokenizer_eos(self._h())
        return None if found < 0 else found
