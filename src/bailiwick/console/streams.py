"""Server-sent events: live changes for one reader, with a heartbeat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from starlette.responses import StreamingResponse

from bailiwick.core.canonical import JsonObject

HEARTBEAT_SECONDS = 15.0

StillWelcome = Callable[[], bool]
"""Whether the reader may go on reading; asked before anything is sent."""


def event_stream(
    events: AsyncIterator[JsonObject],
    still_welcome: StillWelcome,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> StreamingResponse:
    """Answer with `events` as they come, until they end or the reader goes or is unwelcome."""
    return StreamingResponse(
        _frames(events, still_welcome, heartbeat_seconds),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _frames(
    events: AsyncIterator[JsonObject], still_welcome: StillWelcome, heartbeat_seconds: float
) -> AsyncIterator[bytes]:
    upcoming = asyncio.ensure_future(anext(events, None))
    try:
        yield b"retry: 2000\n\n"
        while True:
            await asyncio.wait((upcoming,), timeout=heartbeat_seconds)
            if not still_welcome():
                return
            if not upcoming.done():
                yield b": still here\n\n"
                continue
            event = upcoming.result()
            if event is None:
                return
            upcoming = asyncio.ensure_future(anext(events, None))
            yield frame(event)
    finally:
        await _close(events, upcoming)


async def _close(
    events: AsyncIterator[JsonObject], upcoming: asyncio.Future[JsonObject | None]
) -> None:
    upcoming.cancel()
    await asyncio.gather(upcoming, return_exceptions=True)
    closing = getattr(events, "aclose", None)  # an AsyncIterator need not be a generator
    if closing is not None:
        await closing()


def frame(event: JsonObject) -> bytes:
    """One event on the wire. JSON has no raw line ends, so nothing can break out of `data`."""
    name = "hold" if event.get("event") == "hold" else "call"
    data = json.dumps({key: value for key, value in event.items() if key != "event"})
    return f"event: {name}\ndata: {data}\n\n".encode()
