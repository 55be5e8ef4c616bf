# SPDX-License-Identifier: MIT
"""asyncio: pieces as an async iterator, computed in a thread."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Iterator, Optional

from .session import Piece, Prompt, Session


def _next(pieces: Iterator[Piece]) -> Optional[Piece]:
    return next(pieces, None)


async def generate(session: Session, prompt: Optional[Prompt] = None,
                   **options: Any) -> AsyncIterator[Piece]:
    """``async for piece in mote.aio.generate(session, "Once"): ...``

    Cancelling the task cancels the computation within one token.
    """
    loop = asyncio.get_running_loop()
    pieces = await loop.run_in_executor(None, lambda: session.generate(prompt, **options))
    while True:
        step = loop.run_in_executor(None, _next, pieces)
        try:
            piece = await asyncio.shield(step)
        except asyncio.CancelledError:
            session.cancel()
            await asyncio.wait([step])
            step.exception()  # seen
            raise
        if piece is None:
            return
        yield piece
