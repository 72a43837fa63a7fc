"""Heads that one connection has sent before, found again by their bytes.

INVARIANT: a request that is found here is the one the parser would have read. A head is remembered
only after the parser has accepted it, and only in its plain form: `_PLAIN` leaves one reading of
where each line and the head end. All but the digits of its one `Content-Length` is compared byte by
byte; the digits are digits, and few.
"""

from __future__ import annotations

import re
from typing import Any

from bailiwick.protocols.http_head import HEAD, Head

MAX_KNOWN = 8
MAX_KNOWN_BYTES = 4 * 1024
MAX_KNOWN_FIELDS = 40
"""As clients send, with what a proxy adds: a field costs more memory than its bytes."""
MAX_STRANGERS = 32
"""New heads in a row after which a connection is taken to repeat none: each has its own trace id,
say. Learning costs as much as half a head's parsing."""

_LENGTH_DIGITS = 15
_PLAIN = re.compile(
    rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)+\r\n"
)
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]+)\r\n")  # as clients do spell it


class Known:
    """One head, around the digits of its length.

    Args:
        before, after: all its bytes but the digits.
        scope: what ASGI says of the first such request.
        length_at: where among its fields `content-length` is.
    """

    __slots__ = (
        "after",
        "after_bytes",
        "before",
        "fields",
        "length_at",
        "length_from",
        "length_until",
        "scope",
    )

    def __init__(self, before: bytes, after: bytes, scope: dict[str, Any], length_at: int) -> None:
        self.before = before
        self.length_from = len(before)
        self.length_until = len(before) + _LENGTH_DIGITS + 1
        self.after = after
        self.after_bytes = len(after)
        self.scope = {**scope, HEAD: Head(length_at)}
        self.fields: list[tuple[bytes, bytes]] = scope["headers"].copy()
        self.length_at = length_at


class KnownHeads:
    """The last few distinct heads of one connection, the newest first."""

    __slots__ = ("_heads", "_strangers")

    def __init__(self) -> None:
        self._heads: list[Known] = []
        self._strangers = 0

    def find(self, data: bytes) -> tuple[dict[str, Any], bytes, int] | None:
        """The request that `data` begins, if its head is known.

        Returns:
            Its scope, what is here behind its head, and how many bytes its body lacks of that:
            fewer than none if something follows the body.
        """
        heads = self._heads
        for known in heads:
            if not data.startswith(known.before):
                continue
            start = known.length_from
            stop = data.find(b"\r", start, known.length_until)
            digits = data[start:stop]
            # Where no line ends so near, `stop` is -1, and nothing of `after` begins there.
            if digits.isdigit() and data.startswith(known.after, stop):
                if known is not heads[0]:
                    heads.remove(known)
                    heads.insert(0, known)
                self._strangers = 0
                scope = known.scope.copy()
                scope["headers"] = fields = known.fields.copy()
                fields[known.length_at] = (b"content-length", digits)
                scope["state"] = {}
                body = data[stop + known.after_bytes :]
                return scope, body, int(digits) - len(body)
        return None

    def learn(self, data: bytes, scope: dict[str, Any]) -> None:
        """Remember the head that `data` begins with, which the parser has read as `scope`.

        The caller has seen to it that the request is of HTTP/1.1 and no HEAD, has one
        `Content-Length` and no `Transfer-Encoding`, `Expect` or `Upgrade`, and does not end the
        connection.
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
        if len(fields) > MAX_KNOWN_FIELDS:
            return
        length_at = next(at for at, (name, _) in enumerate(fields) if name == b"content-length")
        before, after = data[: length.start(1)], data[length.end(1) : plain.end()]
        if any(known.before == before and known.after == after for known in self._heads):
            return  # a pipelined request is read by the parser, though its head is known
        self._heads.insert(0, Known(before, after, scope, length_at))
        del self._heads[MAX_KNOWN:]
