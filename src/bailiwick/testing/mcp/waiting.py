"""Waiting for what a test is about, without a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

DEADLINE_SECONDS = 5.0


async def eventually(holds: Callable[[], bool]) -> None:
    """Let the loop run until something holds, within the deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0)


async def turns(count: int = 50) -> None:
    """Let everything run that can run now: for what must not happen."""
    for _ in range(count):
        await asyncio.sleep(0)
