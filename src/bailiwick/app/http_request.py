"""Reads the requests of one connection strictly: bytes in, scopes and bodies out.

httptools parses. It is strict, and what it lets through that two readers could take for two things
is refused here, so that nobody before or behind the gateway sees other requests in the same bytes
(RFC 9112 sections 2.2, 3.2, 6.1, 6.3):

1. the version is 1.0 or 1.1, the method one of `_METHODS`                       505, 501
2. request line, number and size of fields within bounds                         414, 431
3. one `Host`, the same as in a target that names one                            400
4. at most one of `Content-Length` and `Transfer-Encoding`, once;                400
   the latter `chunked`, and not of 1.0
5. an `Upgrade` is ignored, and nothing after it is read; with a body            400
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Protocol
from urllib.parse import unquote

import httptools

from bailiwick.app.http_known import KnownHeads
from bailiwick.protocols.http_place import PLACE, Place

MAX_TARGET_BYTES = 8 * 1024
MAX_HEAD_BYTES = 64 * 1024
MAX_FIELDS = 200

_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_WATCHED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_USUAL = ([b"host", b"content-length"], [b"host"], [b"content-length", b"host"])


class Refused(Exception):
    """The request under way cannot be served."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Listener(Protocol):
    """Who is told what was read, as it is read."""

    def request_begun(self) -> None:
        """The first byte of a request."""
        ...

    def take_head(self, scope: dict[str, Any], *, closes: bool, expects_continue: bool) -> None:
        """A head that is in order.

        Args:
            closes: the request is the last of its connection.
            expects_continue: its body comes once it is asked for.

        Raises:
            Refused: it is not to be served all the same.
        """
        ...

    def take_body(self, data: bytes) -> None:
        """A piece of its body."""
        ...

    def request_complete(self) -> None:
        """All of it is here."""
        ...


class RequestReader:
    """The requests of one connection; `feed` it until it refuses one.

    Args:
        listener: is told.
        heads: learn those that are worth it.
        server, client: the ends of the connection.
        place: what requests tell whom they are from.

    Attributes:
        rests: nothing was read of a request that is not complete.
        gathered_bytes: how much was read since the listener was told something last.
    """

    __slots__ = (
        "_client", "_fields", "_first", "_heads", "_listener", "_parser", "_path", "_place",
        "_server", "_target", "_target_known", "_watched", "gathered_bytes", "rests",
    )  # fmt: skip

    def __init__(
        self,
        listener: Listener,
        heads: KnownHeads,
        server: tuple[str, int] | None,
        client: tuple[str, int] | None,
        place: Place,
    ) -> None:
        self._listener = listener
        self._heads = heads
        self._server = server
        self._client = client
        self._place = place
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._watched: list[bytes] = []
        self._target_known = b""
        self._path: tuple[str, bytes, bytes] = ("", b"", b"")
        self._first = b""  # the piece that the next head begins with
        self.rests = True
        self.gathered_bytes = 0

    def feed(self, data: bytes) -> int | None:
        """Read on; the status to refuse with what was read, 0 to end without a word."""
        self._first = data if self.rests else b""
        self.gathered_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return 0
        except httptools.HttpParserError as error:
            cause = error.__context__
            return cause.status if isinstance(cause, Refused) else 400
        return None

    # --- httptools callbacks -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.rests = False
        self._listener.request_begun()

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._target += url
        if len(self._target) > MAX_TARGET_BYTES:
            raise Refused(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field; after a chunked body a trailer, which goes nowhere."""
        name = name.lower()
        if name in _WATCHED:
            self._watched.append(name)
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is here: check it, and hand it over."""
        method = _METHODS.get(self._parser.get_method())
        if method is None:
            raise Refused(501)
        version = self._parser.get_http_version()
        if version != "1.1" and version != "1.0":
            raise Refused(505)
        fields, self._fields = self._fields, []
        if len(fields) > MAX_FIELDS or _too_large(fields):
            raise Refused(431)
        watched, self._watched = self._watched, []
        expects_continue = False
        usual = watched in _USUAL
        if not usual:
            _check_framing(watched, fields, version)
            expects_continue = b"expect" in watched and version == "1.1"
        target, self._target = self._target, b""
        if target != self._target_known:
            self._path = _read_target(target, fields)
            # One that names a host is held against `Host` each time.
            self._target_known = target if target.startswith(b"/") else b""
        closes = version == "1.0" or not self._parser.should_keep_alive()
        if self._parser.should_upgrade():
            if b"content-length" in watched or b"transfer-encoding" in watched:
                raise Refused(400)  # the parser would take the body for the other protocol
            closes = True
        scope = self._scope(version, method, fields)
        first, self._first = self._first, b""
        # Nor is the head of a HEAD learned: where its answer ends is known from its method alone,
        # which nobody looks at where a head is found.
        if first and usual and not closes and method != "HEAD" and b"content-length" in watched:
            self._heads.learn(first, scope)
        self.gathered_bytes = 0
        self._listener.take_head(scope, closes=closes, expects_continue=expects_continue)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self.gathered_bytes = 0
        self._listener.take_body(data)

    def on_message_complete(self) -> None:
        """The request is all here."""
        self.gathered_bytes = 0
        if self._fields:  # trailers are nobody's fields
            self._fields = []
            self._watched = []
        self.rests = True
        self._listener.request_complete()

    def _scope(
        self, version: str, method: str, fields: list[tuple[bytes, bytes]]
    ) -> dict[str, Any]:
        path, raw_path, query = self._path
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "method": method,
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": fields,
            "state": {},
            PLACE: self._place,
        }


def _check_framing(watched: list[bytes], fields: list[tuple[bytes, bytes]], version: str) -> None:
    hosts = watched.count(b"host")
    if hosts > 1 or (not hosts and version == "1.1"):
        raise Refused(400)
    if watched.count(b"content-length") + watched.count(b"transfer-encoding") > 1:
        raise Refused(400)
    for name, value in fields:
        if name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
            raise Refused(400)
        if name == b"expect" and value.lower() != b"100-continue":
            raise Refused(417)


def _read_target(target: bytes, fields: list[tuple[bytes, bytes]]) -> tuple[str, bytes, bytes]:
    """Path, raw path and query of a request's target."""
    # Its types say that every part is there; an absent one is None.
    parsed: Any = httptools.parse_url(target)
    if parsed.fragment or parsed.userinfo or b"#" in target or not parsed.path:
        raise Refused(400)
    if parsed.host:
        # RFC 9112 section 3.2.2: the target decides; `Host`, which others decide by, must agree.
        authority = target.partition(b"://")[2].partition(b"/")[0]
        if (b"host", authority) not in fields:
            raise Refused(400)
    return unquote(parsed.path.decode("ascii")), parsed.path, parsed.query or b""


def _too_large(fields: list[tuple[bytes, bytes]]) -> bool:
    # No Python in between: this is for each head, however little of it came in a piece of its own.
    return sum(map(len, chain.from_iterable(fields))) + 4 * len(fields) > MAX_HEAD_BYTES
