"""Random bytes from the system, fetched a page at a time: a call needs some six times."""

from __future__ import annotations

import os
from io import BytesIO

_PAGE_BYTES = 4096


class Randomness:
    """`os.urandom` with a buffer. Not shared between threads or processes."""

    def __init__(self) -> None:
        self._read = BytesIO().read

    def __call__(self, length: int) -> bytes:
        """`length` fresh random bytes; none is ever given twice."""
        found = self._read(length)
        if len(found) == length:
            return found
        if length > _PAGE_BYTES:
            return os.urandom(length)
        self._read = BytesIO(os.urandom(_PAGE_BYTES)).read  # what was left is given to nobody
        return self._read(length)
