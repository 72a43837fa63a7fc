"""One authenticated HTTP request, before it is known to be of an era."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from bailiwick.gateway.mcp.core import Where
from bailiwick.gateway.mcp.wire import Receive, Send
from bailiwick.ports import Caller
from bailiwick.protocols.mcp.headers import Headers


class Accepts(Enum):
    """What the client takes as an answer to a POST."""

    NOTHING = 0
    JSON = 1
    EVENTS = 2
    BOTH = 3

    @property
    def json(self) -> bool:
        """Whether one JSON body will do."""
        return self in (Accepts.JSON, Accepts.BOTH)

    @property
    def events(self) -> bool:
        """Whether an event stream will do."""
        return self in (Accepts.EVENTS, Accepts.BOTH)


@dataclass(slots=True)
class Visit:
    """One request that passed the door.

    Attributes:
        still_valid: whether the same token still names the same authority; for long streams.
    """

    where: Where
    caller: Caller
    headers: Headers
    receive: Receive
    send: Send
    still_valid: Callable[[], bool]
    accepts: Accepts = Accepts.BOTH


@lru_cache(maxsize=256)
def accepts(header: bytes | None) -> Accepts:
    """Read an `Accept` header. None, and ranges that hold both, take both."""
    if header is None or len(header) > 1024:
        return Accepts.BOTH
    ranges = {part.partition(b";")[0].strip().lower() for part in header.split(b",")}
    json = bool(ranges & {b"application/json", b"application/*", b"*/*"})
    events = bool(ranges & {b"text/event-stream", b"text/*", b"*/*"})
    return Accepts(json + 2 * events)
