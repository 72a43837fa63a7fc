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
        self._epoch = -1
        self._epoch_letters = ""

    def __call__(self) -> str:
        """The next one, greater than all before it from this maker."""
        ms = self._clock.wall_ms()
        if ms > self._ms:
            self._ms, self._count = ms, 0
        else:  # the same millisecond, or the clock jumped back
            self._count += 1
            if self._count == len(_PAIRS):
                self._ms, self._count = self._ms + 1, 0
            ms = self._ms
        epoch = ms >> 10
        if epoch != self._epoch:  # every second
            self._epoch, self._epoch_letters = epoch, _letters(epoch, 4)
        drawn = self._random(_RANDOM_LETTERS).translate(_LETTERS).decode()
        return f"{self._epoch_letters}{_PAIRS[ms & 1023]}{_PAIRS[self._count]}{drawn}"


def first_id_at(ms: int) -> str:
    """An id that is smaller than every one made at `ms` (Unix milliseconds) or later."""
    return _letters(max(ms, 0), 5) + "0" * 16


def _letters(value: int, pairs: int) -> str:
    return "".join([_PAIRS[value >> 10 * at & 1023] for at in reversed(range(pairs))])
