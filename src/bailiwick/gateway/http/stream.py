"""A response body that is handed over as it arrives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from bailiwick.core.errors import UpstreamBroken

_STREAM_HIGH_BYTES = 256 * 1024
_STREAM_LOW_BYTES = 64 * 1024


class Source(Protocol):
    """What a stream needs of the connection that feeds it."""

    def pause(self) -> None:
        """Stop reading."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def drain(self) -> None:
        """Discard the rest of the body, for a short while."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...

    def set_idle_seconds(self, seconds: float) -> None:
        """Allow silence of `seconds` from now on."""
        ...


class BodyStream:
    """A response body as it arrives. Reading from the socket pauses while nobody takes chunks."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_ended",
        "_error",
        "_held_bytes",
        "_loop",
        "_paused",
        "_taker",
        "_waiter",
    )

    def __init__(self, connection: Source) -> None:
        self._connection: Source | None = connection
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._paused = False
        self._ended = False
        self._error: UpstreamBroken | None = None
        self._taker: Callable[[bytes], bool] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()  # once: it asks the kernel for the process

    def __aiter__(self) -> BodyStream:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk.

        Raises:
            UpstreamBroken: the connection ended before the body did, or stayed silent too long.
        """
        while not self._chunks:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._waiter = waiter = self._loop.create_future()
            await waiter
        chunk = self._chunks.popleft()
        self._held_bytes -= len(chunk)
        if self._paused and self._held_bytes <= _STREAM_LOW_BYTES and self._connection:
            self._paused = False
            self._connection.resume()
        return chunk

    @property
    def has_more(self) -> bool:
        """Whether the next chunk is here already: nobody would wait for it."""
        return bool(self._chunks)

    @property
    def is_over(self) -> bool:
        """Whether all of it has come and been taken."""
        return self._ended and not self._chunks

    def set_idle_seconds(self, seconds: float) -> None:
        """Allow silence of `seconds` from now on; `inf` while the server waits for us."""
        if self._connection is not None:
            self._connection.set_idle_seconds(seconds)

    def close(self) -> None:
        """Give up what is still to come; the other side sees the connection end."""
        connection, self._connection = self._connection, None
        if connection is not None and not self._ended:
            connection.abort()

    def fail(self, error: UpstreamBroken) -> None:
        """Give up what is still to come: whoever reads gets `error` after what has arrived."""
        if self._ended:
            return
        self._ended, self._error = True, error
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        self._wake()

    def finish(self) -> None:
        """Nothing more is wanted: reuse the connection if the body ends soon, else close it."""
        connection, self._connection = self._connection, None
        self._chunks.clear()
        if connection is not None and not self._ended:
            connection.drain()

    def hand_to(self, taker: Callable[[bytes], bool] | None) -> None:
        """Hand what arrives to `taker` at once, whenever the reader waits for it.

        Args:
            taker: says whether all is done that the chunk asks for. If not, the reader gets an
                empty chunk. What it raises the reader gets, as if the connection had broken.
                None: no longer.
        """
        self._taker = taker

    def push(self, chunk: bytes) -> None:
        """For the connection: more has arrived. Of a stream that was given up nothing is kept."""
        if self._ended:
            return
        waiter = self._waiter
        waits = waiter is not None and not waiter.done()
        if waits and self._taker is not None:
            try:
                if self._taker(chunk):
                    return
            except UpstreamBroken as error:
                self.fail(error)
                return
            chunk = b""
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes > _STREAM_HIGH_BYTES and not self._paused and self._connection:
            self._paused = True
            self._connection.pause()
        if waiter is not None and waits:
            waiter.set_result(None)

    def end(self, error: UpstreamBroken | None) -> None:
        """For the connection: the body is complete, or lost to `error`."""
        if not self._ended:
            self._error = error
        self._ended = True
        connection, self._connection = self._connection, None
        if self._paused and connection is not None:
            # The connection goes on to serve others.
            self._paused = False
            connection.resume()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
