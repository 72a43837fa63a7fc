"""Leaves that were just made durable, kept until they are published.

The publisher would otherwise read back from the database what this process has just written to
it. What is not here any more (after a start, a failure, or a burst) comes from the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.stores.tlog import EntrySource

MAX_BYTES = 8 * 1024 * 1024


class RecentLeaves:
    """A `EntrySource` that remembers. Memory is bounded by `max_bytes`."""

    def __init__(self, records: EntrySource, max_bytes: int = MAX_BYTES) -> None:
        self._records = records
        self._max_bytes = max_bytes
        self._first = 0
        self._leaves: list[bytes] = []
        self._size_bytes = 0

    def append(self, start: int, leaves: Sequence[bytes]) -> bool:
        """Take leaves that are durable at `start` and after.

        Returns whether half of the room is taken: they should be published soon, or what does not
        fit is read back from the store.
        """
        if start != self._first + len(self._leaves) or self._size_bytes > self._max_bytes:
            self._first = start
            self._leaves = []
            self._size_bytes = 0
        self._leaves += leaves
        self._size_bytes += sum(map(len, leaves))
        return 2 * self._size_bytes > self._max_bytes

    async def leaves(self, start: int, stop: int) -> Sequence[bytes]:
        """See `Records.leaves`. What is read from here is forgotten: it is read once."""
        offset = start - self._first
        if not 0 <= offset <= stop - self._first <= len(self._leaves):
            return await self._records.leaves(start, stop)
        found = self._leaves[offset : stop - self._first]
        self._leaves = self._leaves[stop - self._first :]
        self._first = stop
        self._size_bytes = sum(map(len, self._leaves))
        return found

    async def entry_count(self) -> int:
        """See `Records.entry_count`."""
        if self._leaves:
            return self._first + len(self._leaves)
        return await self._records.entry_count()
