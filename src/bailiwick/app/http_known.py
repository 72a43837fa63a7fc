"""Heads that one connection has sent before, found again by their bytes.

INVARIANT: a request that is found here is the one the parser would have read. A head is remembered
only after the parser has accepted it, and only in its plain form: `_PLAIN` leaves one reading of
where each line and the head end. All but the digits of its one `Content-Length` is compared byte by
byte; the digits are digits, and few.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from bailiwick.protocols.http_head import HEAD, Head

MAX_KNOWN = 8
MAX_KNOWN_BYTES = 4 * 1024
MAX_STRANGERS = 32
"""New heads in a row after which a connection is taken to repeat none: each has its own trace id,
say. Learning costs as much as half a head's parsing."""

_LENGTH_DIGITS = 15
_PLAIN = re.compile(
    rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)+\r\n"
)
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]+)\r\n")  # as clients do spell it


class Known(NamedTuple):
    """One head, around the digits of its length.

    Attributes:
        scope: what ASGI says of such a request, but for `headers` and `state`.
        fields: those of the first such request.
        length_at: where among them `content-length` is.
    """

    before: bytes
    after: bytes
    scope: dict[str, Any]
    fields: list[tuple[bytes, bytes]]
    length_at: int

    def request(self, digits: bytes) -> dict[str, Any]:
        """The scope of a request with this head and a body of so many bytes."""
        fields = self.fields.copy()
        fields[self.length_at] = (b"content-length", digits)
        scope = self.scope.copy()
        scope["headers"] = fields
        scope["state"] = {}
        return scope


class KnownHeads:
    """The last few distinct heads of one connection, the newest first."""

    __slots__ = ("_heads", "_strangers")

    def __init__(self) -> None:
        self._heads: list[Known] = []
        self._strangers = 0

    def find(self, data: bytes) -> tuple[Known, bytes, int] | None:
        """The head that `data` begins with, the digits of its length, and where its body begins."""
        heads = self._heads
        for known in heads:
            before, after = known[:2]
            if data.startswith(before):
                start = len(before)
                stop = data.find(b"\r", start, start + _LENGTH_DIGITS + 1)
                digits = data[start:stop]
                # Where no line ends so near, `stop` is -1, and nothing of `after` begins there.
                if digits.isdigit() and data.startswith(after, stop):
                    if known is not heads[0]:
                        heads.remove(known)
                        heads.insert(0, known)
                    self._strangers = 0
                    return known, digits, stop + len(after)
        return None

    def learn(self, data: bytes, scope: dict[str, Any]) -> None:
        """Remember the head that `data` begins with, which the parser has read as `scope`.

        The caller has seen to it that the request is of HTTP/1.1, has one `Content-Length` and no
        `Transfer-Encoding`, `Expect` or `Upgrade`, and does not end the connection.
        """
        if self._strangers >= MAX_STRANGERS:
            self._heads.clear()
            return
        self._strangers += 1
        plain = _PLAIN.match(data, 0, MAX_KNOWN_BYTES)
        if plain is None:
            return
        length = _LENGTH.search(data, 0, plain.end())
        if length is None:
            return
        fields: list[tuple[bytes, bytes]] = scope["headers"]
        length_at = next(at for at, (name, _) in enumerate(fields) if name == b"content-length")
        before, after = data[: length.start(1)], data[length.end(1) : plain.end()]
        if any(known.before == before and known.after == after for known in self._heads):
            return  # a pipelined request is read by the parser, though its head is known
        known = Known(
            before,
            after,
            {**scope, HEAD: Head(length_at)},
            fields.copy(),
            length_at,
        )
        self._heads.insert(0, known)
        del self._heads[MAX_KNOWN:]
