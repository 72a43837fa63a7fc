"""ULIDs: 48 bits of milliseconds and 80 of randomness, in 26 characters that sort by time."""

from __future__ import annotations

import os
from collections.abc import Callable

from bailiwick.ports import Clock

_ALPHABET = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LETTERS = _ALPHABET * 8
"""For each byte a letter: eight bytes have the same one, so five of its bits count."""

_PAIRS = [f"{a:c}{b:c}" for a in _ALPHABET for b in _ALPHABET]

_RANDOM_LETTERS = 14


class Ulids:
    """Makes ULIDs that never go back, also when the clock does.

    Of the 80 bits, ten count the ids of one millisecond and 70 are random, anew for each id: what
    counts keeps them in order, and letters that are drawn one by one cost a tenth of numbers that
    are spelt out. Past 1,024 in a millisecond, the next is begun before its time.
    """

    def __init__(self, clock: Clock, random: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random = random
        self._ms = 0  # never before 1970, whatever the clock says
        self._count = -1
        self._ms_letters = _letters(0, 5)

    def __call__(self) -> str:
        """The next one, greater than all before it from this maker."""
        ms = self._clock.wall_ms()
        if ms > self._ms:
            self._begin(ms)
        else:  # the same millisecond, or the clock jumped back
            self._count += 1
            if self._count == len(_PAIRS):
                self._begin(self._ms + 1)
        drawn = self._random(_RANDOM_LETTERS).translate(_LETTERS).decode()
        return f"{self._ms_letters}{_PAIRS[self._count]}{drawn}"

    def _begin(self, ms: int) -> None:
        before, self._ms, self._count = self._ms, ms, 0
        if ms >> 10 == before >> 10:  # as most often: the others change every second
            self._ms_letters = self._ms_letters[:-2] + _PAIRS[ms & 1023]
        else:
            self._ms_letters = _letters(ms, 5)


def first_id_at(ms: int) -> str:
    """An id that is smaller than every one made at `ms` (Unix milliseconds) or later."""
    return _letters(max(ms, 0), 5) + "0" * 16


def _letters(value: int, pairs: int) -> str:
    return "".join([_PAIRS[value >> 10 * at & 1023] for at in reversed(range(pairs))])
