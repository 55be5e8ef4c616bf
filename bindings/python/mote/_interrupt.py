# SPDX-License-Identifier: MIT
"""Ctrl-C during a long call.

Python runs signal handlers between its own instructions: within a call into the library,
only where that calls back to report progress. An exception raised just there would be lost,
so for the time of the call the handler's exception is kept, the callback cancels, and the
exception comes out of the call."""

from __future__ import annotations

import signal
import threading
from typing import Any, Optional

_here = threading.local()


def pending() -> bool:
    """Whether the call that this thread is in was interrupted."""
    guard: Optional[Guard] = getattr(_here, "guard", None)
    return guard is not None and guard.raised is not None


class Guard:
    """``with Guard(): call`` raises after the call what SIGINT's handler raised during it."""

    def __init__(self) -> None:
        self.raised: Optional[BaseException] = None
        self._before: Any = None

    def _handle(self, number: int, frame: Any) -> None:
        try:
            self._before(number, frame)
        except BaseException as e:  # noqa: BLE001: raised when the call has returned
            self.raised = e

    def __enter__(self) -> "Guard":
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before) and getattr(_here, "guard", None) is None:
                self._before = before
                _here.guard = self
                signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = _here.guard = None
        if self.raised is not None:
            raise self.raised
