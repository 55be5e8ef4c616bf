# SPDX-License-Identifier: MIT
"""Run DeepSeek-V3-class models inside your program.

>>> import mote
>>> with mote.Model() as model, model.session() as session:
...     for piece in session.generate("Once upon a time", max_tokens=40):
...         print(piece, end="")
"""

from __future__ import annotations

from . import aio
from ._native import lib as _lib
from .errors import (
    BudgetError,
    CancelledError,
    ContextFullError,
    FormatError,
    InputOutputError,
    InvalidError,
    MemoryExhaustedError,
    MismatchError,
    MoteError,
    NotFoundError,
    NumericError,
    UnsupportedError,
)
from .model import ChatFormat, Model, Schema, bundled, pack, verify_pack
from .session import Piece, Reply, Session
from .tokenizer import Tokenizer

__version__: str = _lib.mote_version_string().decode()
__all__ = [
    "BudgetError", "CancelledError", "ChatFormat", "ContextFullError", "FormatError",
    "InputOutputError", "InvalidError", "MemoryExhaustedError", "MismatchError", "Model",
    "MoteError", "NotFoundError", "NumericError", "Piece", "Reply", "Schema", "Session",
    "Tokenizer", "UnsupportedError", "aio", "bundled", "pack", "verify_pack",
]
