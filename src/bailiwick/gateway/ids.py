"""ULIDs: 48 bits of milliseconds and 80 of randomness, in 26 characters that sort by time."""

from __future__ import annotations

import os
from collections.abc import Callable

from bailiwick.ports import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_RANDOM_BITS = 80


class Ulids:
    """Makes ULIDs that never go back, also when the clock does."""

    def __init__(self, clock: Clock, random: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random = random
        self._last = 0

    def __call__(self) -> str:
        """The next one, greater than all before it from this maker."""
        value = (self._clock.wall_ms() << _RANDOM_BITS) | int.from_bytes(self._random(10), "big")
        if value <= self._last:  # the same millisecond, or the clock jumped back
            value = self._last + 1 + int.from_bytes(self._random(4), "big")
        self._last = value
        pairs = _PAIRS
        return "".join([pairs[(value >> shift) & 1023] for shift in range(120, -1, -10)])
