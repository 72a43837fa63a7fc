"""Answers whose client went away before it could be told: for when it asks again.

Only to calls that ran under a stamp: repeating one of those would ask for a second stamp for what
has already been done. An answer is kept for a while only, since the same call much later is
meant anew; and all of them together take bounded memory.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from bailiwick.gateway.gate import Answered

MAX_ANSWERS = 1024
MAX_BYTES = 64 * 1024 * 1024

Key = tuple[str, str, str, str]
"""Call digest, mandate reference, agent, and the run where runs must be told apart."""


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Answered
    until: float
    size_bytes: int


class Undelivered:
    """Answers by the call that asks for them, each handed out once. The oldest give way."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._size_bytes = 0

    def keep(self, key: Key, answer: Answered, until: float) -> None:
        """Keep `answer` until `until`, in seconds of the monotonic clock."""
        self._take(key)
        reply = answer.reply
        size = len(reply.result or b"") + len(reply.error or b"")
        self._kept[key] = _Kept(answer, until, size)
        self._size_bytes += size
        while len(self._kept) > MAX_ANSWERS or self._size_bytes > MAX_BYTES:
            self._take(next(iter(self._kept)))

    def pop(self, key: Key, now: float) -> Answered | None:
        """Hand the answer over, if it is still kept at `now`."""
        kept = self._take(key)
        return kept.answer if kept is not None and now < kept.until else None

    def _take(self, key: Key) -> _Kept | None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size_bytes -= kept.size_bytes
        return kept
