# SPDX-License-Identifier: MIT
"""asyncio: pieces as an async iterator, computed in a thread."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Callable, Iterator, Optional, TypeVar

from .model import Messages
from .session import Piece, Prompt, Session

T = TypeVar("T")


async def generate(session: Session, prompt: Optional[Prompt] = None,
                   **options: Any) -> AsyncIterator[Piece]:
    """``async for piece in mote.aio.generate(session, "Once upon a time"): ...``

    Options as Session.generate(). The event loop goes on while a token is computed.
    Cancelling the task cancels the computation within one token.
    """
    async for piece in _stream(session, lambda: session.generate(prompt, **options)):
        yield piece


async def chat(session: Session, messages: Messages, **options: Any) -> AsyncIterator[Piece]:
    """``async for piece in mote.aio.chat(session, messages): ...``: Session.chat(stream=True)."""
    async for piece in _stream(session, lambda: session.chat(messages, stream=True, **options)):
        yield piece


async def _in_thread(session: Session, work: Callable[[], T]) -> T:
    step = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        if not step.done():
            session.cancel()
            await asyncio.wait([step])
        if not step.cancelled():
            step.exception()  # seen
        raise


async def _stream(session: Session, begin: Callable[[], Iterator[Piece]]) -> AsyncIterator[Piece]:
    pieces = await _in_thread(session, begin)
    while True:
        piece = await _in_thread(session, lambda: next(pieces, None))
        if piece is None:
            return
        yield piece
