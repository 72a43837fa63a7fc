"""One timer for all connections of a server: deadlines, and the date.

A timer for each request would cost more than the request's parsing. Here a connection writes down
when it is late, in seconds of a clock that is read once a round, and the round looks.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import Protocol

from bailiwick.app.http_response import Fields, encode_constant, status_line

ROUND_SECONDS = 1.0

MAX_HEADS = 256
"""Different heads of responses that are kept within a round."""


class Timed(Protocol):
    """A connection as the round sees it."""

    def look(self, now: float) -> None:
        """Do what has become due. `now` is the loop's time in seconds."""
        ...


class Round:
    """Goes over all connections once in `seconds`, as long as there are any.

    Attributes:
        now: the loop's time at the last round, in seconds; at most one round old.
    """

    def __init__(self, seconds: float = ROUND_SECONDS) -> None:
        self.now = 0.0
        self._seconds = seconds
        self._connections: set[Timed] = set()
        self._heads: dict[tuple[int, Fields], bytes] = {}
        self._date = b""
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connection: Timed) -> None:
        """Look at `connection` from now on."""
        self._connections.add(connection)
        if self._timer is None:
            self._tick(asyncio.get_running_loop())

    def leave(self, connection: Timed) -> None:
        """Look at it no more."""
        self._connections.discard(connection)

    def head(self, status: int, constant: Fields = ()) -> bytes:
        """Status line, `Date` and constant fields of a response that is sent now.

        Args:
            constant: fields as written in the source, of which there are few; kept encoded.

        Raises:
            ValueError: not a final status; fields that are not constant, or none at all.
        """
        head = self._heads.get((status, constant))
        if head is None:
            if len(self._heads) >= MAX_HEADS:
                self._heads.clear()
            head = status_line(status) + self._date + encode_constant(constant)
            self._heads[status, constant] = head
        return head

    def _go(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if not self._connections:
            return
        self._tick(loop)
        for connection in tuple(self._connections):
            connection.look(self.now)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time()
        self._date = b"date: %b\r\n" % formatdate(usegmt=True).encode()
        self._heads.clear()
        self._timer = loop.call_later(self._seconds, self._go, loop)
