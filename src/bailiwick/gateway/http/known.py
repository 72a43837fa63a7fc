"""Heads that one server has answered with before, found again by their bytes.

A server's answers begin with the same head again and again, but for `Content-Length` and, once a
second, `Date`. The parser reads such a head once.

INVARIANT: an answer that is found here is the one the parser would have read. A head is remembered
only after the parser has accepted it, only from an answer of which nothing is unusual (one length,
no transfer coding, nothing before or after it, the connection stays open), and only in its plain
form: `_PLAIN` leaves one reading of where each line and the head end. All but the digits of its
length is compared byte by byte, and the digits must be those of the bytes that are here.
"""

from __future__ import annotations

import re

from bailiwick.gateway.http.response import Response

MAX_KNOWN = 64
"""Heads kept for one server; then all are forgotten, and the next ones learned."""

MAX_KNOWN_BYTES = 2 * 1024
"""Longer heads are not kept."""

_LENGTH = b"ength: "
"""The end of the field's name as servers write it, whatever they do with its first letters."""

_PLAIN = re.compile(
    rb"HTTP/1\.1 [0-9]{3} [\t -~]*(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*)+"
).fullmatch


class KnownHeads:
    """What one server's answers have begun with, on whichever connection.

    Args:
        max_body_bytes: longer answers are not for this.
    """

    __slots__ = ("_heads", "_max_body_bytes")

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._heads: dict[tuple[bytes, bytes], Response] = {}

    def find(self, data: bytes) -> Response | None:
        """The answer that `data` is, whole and nothing more, if its head is known."""
        head, end, body = data.partition(b"\r\n\r\n")
        before, _, rest = head.partition(_LENGTH)
        digits, _, after = rest.partition(b"\r\n")
        known = self._heads.get((before, after))
        # Half a head with the length 0 would pass for an answer without a body.
        if known is None or not end or len(body) > self._max_body_bytes:
            return None
        # Compared with our own digits: not even "+2", " 2" or "02" is taken for a length here.
        if digits != b"%d" % len(body):
            return None
        return known.again(digits, body)

    def learn(self, data: bytes, response: Response) -> None:
        """Remember the head of `data`, which the parser has read as `response` and nothing more.

        The caller has seen to it that the body was framed by its length and the connection stays
        open.
        """
        head, _, body = data.partition(b"\r\n\r\n")
        before, _, rest = head.partition(_LENGTH)
        digits, _, after = rest.partition(b"\r\n")
        if (
            len(head) <= MAX_KNOWN_BYTES
            and _PLAIN(head)
            and head.startswith(b"HTTP/1.1 %d " % response.status)
            and before.lower().endswith(b"\r\ncontent-l")
            and digits == b"%d" % len(body)
            and digits.decode() == response.header("content-length")
            and body == response.body
        ):
            if len(self._heads) >= MAX_KNOWN:
                self._heads.clear()
            self._heads[before, after] = response.kept()
