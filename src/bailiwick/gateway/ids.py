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
            self._head = _letters(now, 10)
            # The top bit stays free, so that counting on within the millisecond cannot overflow.
            self._tail = int.from_bytes(self._random(10), "big") >> 1
        else:  # the same millisecond, or the clock jumped back
            self._tail += 1 + int.from_bytes(self._random(4), "big")
        return self._head + _letters(self._tail, 16)


def _letters(value: int, length: int) -> str:
    pairs = _PAIRS
    return "".join([pairs[(value >> shift) & 1023] for shift in range(5 * length - 10, -1, -10)])
