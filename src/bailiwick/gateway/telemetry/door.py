"""`POST /v1/traces`: where agents send the spans of their own work, by OTLP over HTTP.

The order is that of the other doors, and each step costs an attacker the one before it:

1. `Host` and `Origin`                                            403
2. headers: size, and none that decides stands twice              431, 400
3. who is calling, not too often at once nor in a minute          401, 429
4. method, media type, encoding, body within size and time        405, 415, 413, 408
5. the body is of the format, within bounds                       400
6. each span: its ids, its run, its room                          200, and what was rejected

Answers are OTLP's own, in the encoding of the request. One body is read at a time.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Iterable

from bailiwick.core.errors import BailiwickError, OurError, TheirError
from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.doorman import Doorman
from bailiwick.gateway.mcp.said import read_said
from bailiwick.gateway.mcp.watch import Rounds, Watch
from bailiwick.gateway.mcp.wire import ClientGone, Receive, Scope, Send, read_body, reply
from bailiwick.gateway.telemetry.attaching import Attaching
from bailiwick.gateway.telemetry.keeping import Flood, Keeping
from bailiwick.ports import Authenticator, Caller, Clock
from bailiwick.protocols.http_place import seats_agent
from bailiwick.protocols.mcp.headers import Headers, read_headers
from bailiwick.protocols.otlp.answers import JSON, PROTOBUF, accepted, refused
from bailiwick.protocols.otlp.claims import Claims

_log = logging.getLogger(__name__)

PATH = "/v1/traces"
MAX_IN_FLIGHT = 4
_CHUNK_BYTES = 64 * 1024

_STATUS = {
    "host_not_served": 403,
    "headers_too_large": 431,
    "header_twice": 400,
    "method_not_allowed": 405,
    "content_type_not_otlp": 415,
    "encoding_not_served": 415,
    "body_too_large": 413,
    "body_too_slow": 408,
    "too_many_connections": 503,
    "length_malformed": 400,
    "gzip_malformed": 400,
    "bad_run_words": 400,
    "otlp_malformed": 400,
    "otlp_too_much": 413,
    "too_many_requests": 429,
}
"""Of refusals; all others are about the token."""

_GRPC = {400: 3, 401: 16, 403: 7, 405: 12, 408: 4, 413: 8, 415: 3, 429: 8, 431: 8, 503: 14}
"""`google.rpc.Code` of a status: INVALID_ARGUMENT, UNAUTHENTICATED, PERMISSION_DENIED, …"""

_NOTHING_SAID: dict[str, str] = {}
_UNREADABLE_CLOSES = (408, 413, 415)


class TracesDoor:
    """One ASGI callable.

    Args:
        authenticator: turns the `Authorization` header into a caller.
        attaching, keeping: find runs for spans, and keep them.
        hosts: allowed names (see `Doorman`).
        clock: time.
        limits: bounds of a body, packed or not, and of its time.
    """

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        attaching: Attaching,
        keeping: Keeping,
        hosts: Iterable[str],
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._authenticator = authenticator
        self._attaching = attaching
        self._keeping = keeping
        self._doorman = Doorman(hosts, ())
        self._flood = Flood(clock)
        self._limits = limits
        self._rounds = Rounds(limits.watch_seconds)
        self._in_flight: dict[str, int] = {}
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        kind = _media_type(scope["headers"])
        try:
            headers = read_headers(scope["headers"])
            if not self._doorman.admits(headers.host, headers.origin):
                raise TheirError("host_not_served", "this host or origin is not served")
            told = headers.authorization
            caller = self._authenticator.authenticate(
                None if told is None else told.decode("latin-1")
            )
            if not seats_agent(scope, caller.agent):
                raise TheirError("too_many_connections", "too many connections are open")
            await self._within_bounds(scope, receive, send, caller, headers, kind)
        except ClientGone:
            return
        except TheirError as error:
            await self._refuse(send, kind, _STATUS.get(error.code, 401), error)
        except OurError as error:
            _log.warning("spans could not be kept: %s", error.message)
            again = OurError("not_kept", "the spans could not be recorded: try again later")
            await self._refuse(send, kind, 503, again)

    async def _within_bounds(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        caller: Caller,
        headers: Headers,
        kind: bytes,
    ) -> None:
        flying = self._in_flight
        count = flying.get(caller.key, 0) + 1
        if count > MAX_IN_FLIGHT or not self._flood.admits(caller):
            raise TheirError("too_many_requests", "too many batches: send larger ones, less often")
        flying[caller.key] = count
        try:
            packed = _encoding(scope["headers"])
            body = await self._body(scope, receive, headers, kind)
            claims = await self._take(caller, headers, body, kind, packed=packed)
        finally:
            left = flying[caller.key] - 1
            if left:
                flying[caller.key] = left
            else:
                del flying[caller.key]
        why = "; ".join(f"{count} spans: {why}" for why, count in claims.rejected.items())
        rejected = sum(claims.rejected.values())
        await reply(send, 200, accepted(rejected, why[:2_000], kind), _typed(kind), json=False)

    async def _body(self, scope: Scope, receive: Receive, headers: Headers, kind: bytes) -> bytes:
        """The body as it was sent."""
        if scope["method"] != "POST":
            raise TheirError("method_not_allowed", "this takes POST")
        if _named(headers.content_type) != kind:
            told = "send application/x-protobuf or application/json"
            raise TheirError("content_type_not_otlp", told)
        watch = Watch(self._rounds, receive, self._limits.body_seconds)
        try:
            return await read_body(receive, headers.content_length, self._limits.body_bytes)
        except asyncio.CancelledError:
            if not watch.late:
                raise
            watch.task.uncancel()
            raise TheirError("body_too_slow", "the body came too slowly") from None
        finally:
            watch.stop()

    async def _take(
        self, caller: Caller, headers: Headers, body: bytes, kind: bytes, *, packed: bool
    ) -> Claims:
        said = read_said(headers, _NOTHING_SAID)
        session = (headers.agent_session or b"").decode("latin-1")
        async with self._one_at_a_time:  # unpacked and read, a body takes many times its size
            claims = await asyncio.to_thread(
                _read, body, kind, self._limits.body_bytes if packed else 0
            )
        if not self._flood.takes(caller, len(claims.spans)):
            raise TheirError("too_many_requests", "too many spans in this minute")
        runs = await self._attaching.attach(caller, said.joins, session, claims)
        await self._keeping.keep(caller, runs, claims)
        return claims

    async def _refuse(self, send: Send, kind: bytes, status: int, error: BailiwickError) -> None:
        more = [_typed(kind)]
        if status == 401:
            more.append((b"www-authenticate", b"Bearer"))
        elif status == 405:
            more.append((b"allow", b"POST"))
        elif status in (429, 503):
            more.append((b"retry-after", b"%d" % min(self._flood.seconds_left(), 30)))
        if status in _UNREADABLE_CLOSES:
            # What was not read of the body must not be taken for the next request.
            more.append((b"connection", b"close"))
        text = f"{error.message} ({error.code})"
        await reply(send, status, refused(_GRPC.get(status, 2), text, kind), *more, json=False)


def _typed(kind: bytes) -> tuple[bytes, bytes]:
    return b"content-type", kind


def _media_type(raw: Iterable[tuple[bytes, bytes]]) -> bytes:
    """How to answer: as was asked; in JSON, which people read, where that was in neither."""
    told = next((value for name, value in raw if name == b"content-type"), None)
    return PROTOBUF if _named(told) == PROTOBUF else JSON


def _named(content_type: bytes | None) -> bytes:
    return (content_type or b"").partition(b";")[0].strip().lower()


def _encoding(raw: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the body is packed.

    Raises:
        TheirError: `encoding_not_served`: in a way that is not known, or in several.
    """
    told = [value.strip().lower() for name, value in raw if name == b"content-encoding"]
    if told in ([], [b""], [b"identity"]):
        return False
    if told in ([b"gzip"], [b"x-gzip"]):
        return True
    raise TheirError("encoding_not_served", "send the body as it is, or with gzip")


def _read(body: bytes, kind: bytes, packed: int) -> Claims:
    """`packed`: most bytes of what is packed; 0 if it is not."""
    from bailiwick.protocols.otlp.read import read_json, read_protobuf

    whole = _unpacked(body, packed) if packed else body
    return read_json(whole) if kind == JSON else read_protobuf(whole)


def _unpacked(body: bytes, most: int) -> bytes:
    """A gzip body unpacked, at most `most` bytes: a bomb is noticed while it grows.

    Raises:
        TheirError: `gzip_malformed`, `body_too_large`.
    """
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        whole = unpacking.decompress(body, most + 1)
    except zlib.error as error:
        raise TheirError("gzip_malformed", "the body is not gzip") from error
    if len(whole) > most:
        raise TheirError("body_too_large", f"unpacked, the body is larger than {most} bytes")
    if not unpacking.eof or unpacking.unused_data:
        raise TheirError("gzip_malformed", "the body ends before its gzip does, or goes on after")
    return whole
