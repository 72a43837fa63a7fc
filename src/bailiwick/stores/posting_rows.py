"""Postings as rows of the SQLite store: those that one transaction writes share a row.

A posting is all transfers of one call in one commit: a *move*, or several where they differ in more
than their account. `postings.moves` is a JSON array of them:

    [call, at_ms, source, target, [[account, reserved_ms, amount, ceiling, since_ms, pending_only]]]

The view `transfers` takes them apart. They are found again:

* by call: `postings.entry` is the index of the transaction's first entry, so the intent and the
  outcome of a call lead to what was written with them. `postings_by_call` has what they do not.
* by account and time: `sliding` has the latest `reserved_ms` that a row holds of a sliding account.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Set
from operator import itemgetter

import msgspec

from bailiwick.core.limits.transfers import Place

MAX_TOGETHER = 64
"""Moves in one row; the view has six bits for them."""

TRANSFERS = (
    "SELECT t.idx, t.call, a.account, a.key, a.member, t.at_ms, t.reserved_ms, t.source, t.target, "
    "t.amount, t.ceiling, t.since_ms, t.pending_only FROM transfers t "
    "JOIN accounts a ON a.id = t.account "
)
OF_CALL = """
t.call = ?1 AND t.posting IN (
    SELECT posting FROM postings_by_call WHERE call = ?1 UNION
    SELECT p.idx FROM postings p WHERE p.entry IN (
        SELECT (SELECT max(entry) FROM postings WHERE entry <= c.at) FROM (
            SELECT intent_index AS at FROM opened_calls WHERE id = ?1 UNION ALL
            SELECT outcome_index FROM moved_calls WHERE id = ?1
        ) c
    )
)
"""
BY_CALL = f"{TRANSFERS} WHERE {OF_CALL} ORDER BY t.idx"
SINCE = f"""
{TRANSFERS} WHERE +a.account = ?1 AND +a.key = ?2 AND t.reserved_ms > ?3 AND t.posting IN (
    SELECT s.posting FROM accounts b JOIN sliding s ON s.account = b.id
    WHERE b.account = ?1 AND b.key = ?2 AND s.reserved_ms > ?3 AND s.posting < ?4
) ORDER BY t.idx
"""  # noqa: S608  # our own text
"""Of an account and key, what was reserved after a moment, in rows before one. The + keeps SQLite
from taking each row apart once for each member of the account."""

_INSERT_POSTINGS = "INSERT INTO postings VALUES (?, ?, ?)"
_INSERT_BY_CALL = "INSERT INTO postings_by_call VALUES (?, ?)"
_INSERT_SLIDING = "INSERT INTO sliding VALUES (?, ?, ?)"

_call_of = itemgetter(0)  # of a move
_encode = msgspec.json.Encoder().encode

LegCells = tuple[int, int, int, int, int, bool]
"""A leg as it stands in a move."""

Move = tuple[str, int, Place, Place, msgspec.Raw | list[LegCells]]


class PostingRows:
    """The rows of one transaction, until they are written.

    Attributes:
        moves: those of the row that is begun; whoever adds one more than MAX_TOGETHER ends it
            first.
        latest: of each sliding account in them, by its row, the latest `reserved_ms`.
    """

    __slots__ = ("_by_call", "_entry", "_found", "_next", "_rows", "_sliding", "latest", "moves")

    def __init__(self, first: int, entry: int, found: Set[str]) -> None:
        """No rows yet.

        Args:
            first: the index of the first.
            entry: that of the transaction's first entry.
            found: calls whose intent or outcome is an entry of the transaction.
        """
        self.moves: list[Move] = []
        self.latest: dict[int, int] = {}
        self._next = first
        self._entry = entry
        self._found = found
        self._rows: list[tuple[int, int, str]] = []
        self._sliding: list[tuple[int, int, int]] = []
        self._by_call: list[tuple[str, int]] = []

    def end_row(self) -> None:
        """Begin another row."""
        index, moves = self._next, self.moves
        self._rows.append((index, self._entry, _encode(moves).decode()))
        self._sliding += [(account, at, index) for account, at in self.latest.items()]
        if astray := set(map(_call_of, moves)) - self._found:
            self._by_call += [(call, index) for call in sorted(astray)]
        self._next += 1
        moves.clear()
        self.latest.clear()

    def write(self, db: sqlite3.Connection) -> int:
        """Write them, in `db`'s open transaction; the index of the next row."""
        self.end_row()
        db.executemany(_INSERT_POSTINGS, self._rows)
        if self._sliding:
            db.executemany(_INSERT_SLIDING, self._sliding)
        if self._by_call:
            db.executemany(_INSERT_BY_CALL, self._by_call)
        return self._next
