"""What comes back: a status, headers, and a body that is whole or still arriving."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from types import MappingProxyType

import msgspec

from bailiwick.gateway.http.stream import BodyStream

_CONTENT_TYPES = {
    b"application/json": "application/json",
    b"text/event-stream": "text/event-stream",
}


def _media_type(value: bytes) -> str:
    return value.decode("latin-1").partition(";")[0].strip().lower()


def _keep_seconds(said: bytes) -> float:
    """What a `Keep-Alive` header says; `inf` for nothing that can be used."""
    seconds = said[8:].partition(b",")[0]
    return float(seconds[:6]) if said.startswith(b"timeout=") and seconds.isdigit() else inf


class Response(msgspec.Struct):
    """Status, headers and either a whole `body` or an open `stream`.

    Attributes:
        content_type: the media type alone, lower case, without parameters, or "".
        keep_seconds: for how long the server keeps the connection; `inf` if it does not say.
    """

    status: int
    _headers: Mapping[bytes, bytes]
    body: bytes = b""
    stream: BodyStream | None = None
    content_type: str = ""
    keep_seconds: float = inf
    _length: bytes = b""

    def __post_init__(self) -> None:
        """Read what of the headers is asked for each time."""
        kind = self._headers.get(b"content-type", b"")
        self.content_type = _CONTENT_TYPES.get(kind) or _media_type(kind)
        kept = self._headers.get(b"keep-alive")
        if kept is not None:
            self.keep_seconds = _keep_seconds(kept)

    def again(self, length: bytes, body: bytes) -> Response:
        """Another response with this head, but for its `Content-Length`, and a whole `body`."""
        # A copy of all its parts at once: nothing is read anew.
        other: Response = self.__copy__()  # type: ignore[attr-defined]  # the stubs lack it
        other.body = body
        other._length = length
        return other

    def kept(self) -> Response:
        """One without a body, to make others of: they share headers that nobody can write to."""
        return Response(self.status, MappingProxyType(dict(self._headers)))

    def fields(self) -> Iterable[tuple[bytes, bytes]]:
        """All headers, names in lower case, repeated ones joined with a comma."""
        if self._length:
            return {**self._headers, b"content-length": self._length}.items()
        return self._headers.items()

    def header(self, name: str) -> str:
        """The value of a header (repeated ones joined with a comma), or ""."""
        key = name.lower().encode("ascii")
        if self._length and key == b"content-length":
            return self._length.decode("ascii")
        return self._headers.get(key, b"").decode("latin-1")
