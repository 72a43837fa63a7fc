"""The commits of one transaction: taken in one after the other, and told what became of them.

Apart from the writer (`sqlite.py`), since this can be compiled: each call comes by here twice.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence

from bailiwick.core.errors import Conflict
from bailiwick.ports import CallMoved, CallOpened, Change, Entry, Reserved, Settled
from bailiwick.stores.call_rows import CallRows
from bailiwick.stores.entry_rows import leaves_of
from bailiwick.stores.sqlite_limits import SqliteLimits

Pending = tuple[Sequence[Entry], Sequence[Change], asyncio.Future[range]]
"""One commit that waits for its transaction."""

ApplySpecial = Callable[[Sequence[Change], int], Conflict | None]
"""Applies what one commit changes, whose first entry has that index; what it conflicts with."""

_OF_CALLS = frozenset({CallOpened, CallMoved})
_OF_LIMITS = _OF_CALLS | {Reserved, Settled}


class CommitBatch:
    """What one transaction holds.

    Attributes:
        first, stop: the index of its first entry, and the one after its last.
        entries: all of them, in order.
        leaves: theirs.
    """

    __slots__ = ("_conflicts", "_ranges", "entries", "first", "leaves", "stop")

    def __init__(self, first: int) -> None:
        """Nothing yet; the first entry will have the index `first`."""
        self.first = first
        self.stop = first
        self.entries: list[Entry] = []
        self.leaves: list[bytes] = []
        # Where the entries of each commit stand; those of which nothing is written.
        self._ranges: list[tuple[asyncio.Future[range], range]] = []
        self._conflicts: list[tuple[asyncio.Future[range], Conflict]] = []

    def take(
        self,
        db: sqlite3.Connection,
        batch: Sequence[Pending],
        calls: CallRows,
        limits: SqliteLimits,
        special: ApplySpecial,
    ) -> None:
        """Take commits in, in the transaction that is open on `db`.

        Args:
            calls, limits: take what is said of them; `write` is left to the caller.
            special: for a commit that changes something beside them.
        """
        start = self.stop
        for entries, changes, done in batch:
            if not _OF_CALLS.issuperset(map(type, changes)):
                if _OF_LIMITS.issuperset(map(type, changes)):
                    conflict = limits.apply(changes)
                else:
                    conflict = special(changes, start)
                if conflict is not None:
                    self._conflicts.append((done, conflict))
                    continue
            calls.take(db, changes, start)
            self.entries += entries
            stop = start + len(entries)
            self._ranges.append((done, range(start, stop)))
            start = stop
        self.stop = start
        self.leaves = leaves_of(self.entries)

    def tell(self) -> None:
        """Tell each commit what became of it: the transaction is durable."""
        for done, where in self._ranges:
            try:  # noqa: SIM105  # a context costs, and asking first
                done.set_result(where)
            except asyncio.InvalidStateError:  # its waiter was cancelled; what it wrote stands
                pass
        for done, conflict in self._conflicts:
            if not done.done():
                done.set_exception(conflict)
