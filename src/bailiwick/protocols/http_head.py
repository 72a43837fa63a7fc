"""The head of an HTTP request, where a connection has seen the same before.

A client on a kept connection sends the same head again and again, but for `Content-Length`. The
server reads it strictly once, and puts the same `Head` into the scope of each request that begins
with the very same bytes.
"""

from __future__ import annotations

from typing import Any

HEAD = "bailiwick.head"
"""Key of a `Head` in an ASGI scope. Absent where the server has not seen the head before."""


class Head:
    """All requests of one connection whose heads are alike but for the digits of the length.

    What follows from the head alone may be kept here and taken up by the next such request:

        head = scope.get(HEAD)
        known = None if head is None else head.derived.get(self)
        if known is None:
            known = ...                      # read scope["path"], scope["headers"] and so on
            if head is not None:
                head.derived[self] = known   # only what no refusal came of

    INVARIANT: nothing that may change while the bytes stay the same is kept. Whether a token is
    still good, a server still there or a mandate still in force is asked for each request; the
    length of the body is in `scope["headers"][head.length_at]`, of this very request.

    Attributes:
        derived: what each reader has kept, by the reader. As many entries as there are readers.
        length_at: where `content-length` stands among `scope["headers"]`.
    """

    __slots__ = ("derived", "length_at")

    def __init__(self, length_at: int) -> None:
        self.length_at = length_at
        self.derived: dict[object, Any] = {}
