"""One authenticated HTTP request, before it is known to be of an era."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

import msgspec

from bailiwick.core.canonical import Json
from bailiwick.core.errors import TheirError
from bailiwick.gateway.gate import Asked, Said
from bailiwick.gateway.mcp.catalog import Entry, Shelf
from bailiwick.gateway.mcp.core import Where
from bailiwick.gateway.mcp.watch import Watch
from bailiwick.gateway.mcp.wire import Receive, Send
from bailiwick.ports import Alike, Authenticator, Caller, ClientFacts, ServerFacts
from bailiwick.protocols.mcp.frame import Frame
from bailiwick.protocols.mcp.headers import Headers


class Accepts(Enum):
    """What the client takes as an answer to a POST."""

    NOTHING = 0
    JSON = 1
    EVENTS = 2
    BOTH = 3


class Understood(msgspec.Struct, frozen=True):
    """What a request of the stateless era says of its sender, every rung of the ladder passed.

    All of it follows from the head, the caller and the members up to `forgotten`: the next request
    with the same head in which these are the same means the same, and need not climb.

    Attributes:
        named_by: the field of `params` that `Mcp-Name` repeats; "" for a method that has none.
        named: what it said.
        meta: `_meta`, as JSON. Equal values may differ (`1` and `true`); their JSON does not.
        forgotten: how many clients had been forgotten (`Core.forgotten`).
        facts: the client as upstreams may know it.
        says_more: `_meta` may hold something for the gateway (`said.says_more`).
        names_of_model: tools go by names that a model takes.
    """

    caller: Caller
    method: str
    named_by: str
    named: Json
    meta: bytes
    forgotten: int
    facts: ClientFacts
    said: Said
    run_key: str
    says_more: bool
    log_level: str | None
    progress_token: str | int | None
    names_of_model: bool


class Aim(msgspec.Struct, frozen=True):
    """Where a judged request went, for others that differ from it in their arguments alone.

    Attributes:
        server: what it had said of itself.
        entry: what was known of the thing it used, which could be used.
        name: the server's own of that.
        asked: what the gate was asked, but for the arguments.
    """

    shelf: Shelf
    server: ServerFacts
    entry: Entry
    name: str
    asked: Asked


class Framed(Alike):
    """What requests of one frame have in common, as they were met last."""

    __slots__ = ("aim",)

    def __init__(self) -> None:
        super().__init__()
        self.aim: Aim | None = None


class Knock(msgspec.Struct):
    """What a head that the edge has looked at says, and whose it was when it came last.

    Attributes:
        headers: not for `content_length`, which is each request's own.
        authorization: the header as received.
        refused: the status that a POST is refused with, 0 for none: it must be JSON, and take an
            answer that we give.
        json, events: whether one JSON body, or an event stream, will do as an answer to a POST.
        modern: whether it names a version of the stateless era; None where it names none.
        caller: as its token was read; to be renewed before each use. None before the first.
        run_key: of the run of that caller, as far as the head says which.
        understood: the last request of the stateless era that came with it.
        frame: of its text, once the same was said again; what fits it says the same.
        framed: what all requests that fit `frame` have in common, where their arguments are what is
            judged of them.
        strangers: how many frames were made: a client that never says the same twice gets no more.
    """

    where: Where
    headers: Headers
    authorization: str | None
    refused: int
    json: bool
    events: bool
    modern: bool | None
    caller: Caller | None = None
    run_key: str = ""
    understood: Understood | None = None
    frame: Frame | None = None
    framed: Framed | None = None
    strangers: int = 0


class Visit(msgspec.Struct):
    """One request that passed the door.

    Attributes:
        address: where it came from, "" if that is not known or nothing depends on it.
        body: of a POST, where it may be the first of many that are alike; else empty.
    """

    knock: Knock
    caller: Caller
    receive: Receive
    send: Send
    authenticator: Authenticator
    address: str
    watch: Watch | None = None
    body: bytes = b""

    def still_valid(self) -> bool:
        """Whether the same token still names the same authority."""
        try:
            return self.authenticator.renew(self.caller).key == self.caller.key
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
