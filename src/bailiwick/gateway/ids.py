"""ULIDs: 48 bits of milliseconds and 80 of randomness, in 26 characters that sort by time."""

from __future__ import annotations

import os
from collections.abc import Callable

from bailiwick.ports import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class Ulids:
    """Makes ULIDs that never go back, also when the clock does."""

    def __init__(self, clock: Clock, random: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random = random
        self._ms = -1
        self._head = ""
        self._tail = 0

    def __call__(self) -> str:
        """The next one, greater than all before it from this maker."""
        now = self._clock.wall_ms()
        if now > self._ms:
            self._ms = now
            self._head = "".join([_PAIRS[(now >> shift) & 1023] for shift in range(40, -1, -10)])
            # The top bit stays free, so that counting on within the millisecond cannot overflow.
            self._tail = int.from_bytes(self._random(10), "big") >> 1
        else:  # the same millisecond, or the clock jumped back
            self._tail += 1 + int.from_bytes(self._random(4), "big")
        return self._head + _sixteen_letters(self._tail)


def first_id_at(ms: int) -> str:
    """An id that is smaller than every one made at `ms` (Unix milliseconds) or later."""
    head = "".join([_PAIRS[(max(ms, 0) >> shift) & 1023] for shift in range(40, -1, -10)])
    return head + "0" * 16


def _sixteen_letters(value: int) -> str:
    # Written out, it takes a third of the time; each call has an id.
    p = _PAIRS
    return (
        f"{p[value >> 70]}{p[value >> 60 & 1023]}{p[value >> 50 & 1023]}{p[value >> 40 & 1023]}"
        f"{p[value >> 30 & 1023]}{p[value >> 20 & 1023]}{p[value >> 10 & 1023]}{p[value & 1023]}"
    )
