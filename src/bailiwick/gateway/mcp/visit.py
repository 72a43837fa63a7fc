"""One authenticated HTTP request, before it is known to be of an era."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from bailiwick.core.errors import TheirError
from bailiwick.gateway.mcp.core import Where
from bailiwick.gateway.mcp.watch import Watch
from bailiwick.gateway.mcp.wire import Receive, Send
from bailiwick.ports import Authenticator, Caller
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
        authorization: the header as received; kept for long streams, which outlive tokens.
        address: where it came from, "" if that is not known or nothing depends on it.
    """

    where: Where
    caller: Caller
    headers: Headers
    receive: Receive
    send: Send
    authenticator: Authenticator
    authorization: str | None
    address: str = ""
    accepts: Accepts = Accepts.BOTH
    watch: Watch | None = None

    def still_valid(self) -> bool:
        """Whether the same token still names the same authority."""
        try:
            return self.authenticator.authenticate(self.authorization).key == self.caller.key
        except TheirError:
            return False


@lru_cache(maxsize=256)
def accepts(header: bytes | None) -> Accepts:
    """Read an `Accept` header. None, and ranges that hold both, take both."""
    if header is None or len(header) > 1024:
        return Accepts.BOTH
    ranges = {part.partition(b";")[0].strip().lower() for part in header.split(b",")}
    json = bool(ranges & {b"application/json", b"application/*", b"*/*"})
    events = bool(ranges & {b"text/event-stream", b"text/*", b"*/*"})
    return Accepts(json + 2 * events)
