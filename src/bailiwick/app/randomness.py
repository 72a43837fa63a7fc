"""Random bytes from the system, fetched a page at a time: a call needs some six times."""

from __future__ import annotations

import os

_PAGE_BYTES = 4096


class Randomness:
    """`os.urandom` with a buffer. Not shared between threads or processes."""

    def __init__(self) -> None:
        self._page = b""
        self._at = 0

    def __call__(self, length: int) -> bytes:
        """`length` fresh random bytes; none is ever given twice."""
        end = self._at + length
        if end > len(self._page):
            if length > _PAGE_BYTES:
                return os.urandom(length)
            self._page, self._at, end = os.urandom(_PAGE_BYTES), 0, length
        found = self._page[self._at : end]
        self._at = end
        return found
