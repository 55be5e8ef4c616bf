# SPDX-License-Identifier: MIT
"""One exception per status of the C library."""

from __future__ import annotations

import ctypes as C
from typing import Dict, Type

from . import _native as n


class MoteError(Exception):
    """Something failed; the text says what was expected and what was found."""

    status = 0


class InvalidError(MoteError, ValueError):
    """A wrong call: argument, option or order."""


class MemoryExhaustedError(MoteError, MemoryError):
    """An allocation failed."""


class InputOutputError(MoteError, OSError):
    """The operating system could not read or write."""


class FormatError(MoteError, ValueError):
    """A file or text is damaged or inconsistent."""


class UnsupportedError(MoteError):
    """Well-formed, but not something mote can do."""


class NotFoundError(MoteError, LookupError):
    """A file, name or tensor does not exist."""


class ContextFullError(MoteError):
    """The session has no room for more tokens."""


class CancelledError(MoteError):
    """Stopped by a progress callback or cancel()."""


class NumericError(MoteError, ArithmeticError):
    """The model computed NaN or infinity."""


class MismatchError(MoteError):
    """Made for another model, version or shape."""


class BudgetError(MoteError):
    """The memory budget is too small; the text says what is needed."""


BY_STATUS: Dict[int, Type[MoteError]] = {
    n.E_INVALID: InvalidError,
    n.E_MEMORY: MemoryExhaustedError,
    n.E_IO: InputOutputError,
    n.E_FORMAT: FormatError,
    n.E_UNSUPPORTED: UnsupportedError,
    n.E_NOT_FOUND: NotFoundError,
    n.E_CONTEXT_FULL: ContextFullError,
    n.E_CANCELLED: CancelledError,
    n.E_NUMERIC: NumericError,
    n.E_MISMATCH: MismatchError,
    n.E_BUDGET: BudgetError,
}
for _status, _class in BY_STATUS.items():
    _class.status = _status


def raise_for(status: int, err: n.Error) -> None:
    """Raise what a negative status means."""
    text = err.message.decode("utf-8", "replace")
    raise BY_STATUS.get(status, MoteError)(text)


def check(name: str, *arguments: object) -> int:
    """Call a function of the library that ends in an error argument."""
    err = n.Error()
    status: int = getattr(n.lib, name)(*arguments, C.byref(err))
    if status < 0:
        raise_for(status, err)
    return status
