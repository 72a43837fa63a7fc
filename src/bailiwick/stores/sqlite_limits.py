"""What is taken of limits, in SQLite: an append-only journal of postings, and balances beside it.

`core/books.py` decides and keeps in memory what is in use; here it is loaded, written and dropped.
A posting, all transfers of one call in one commit, is one row of the same transaction as the intent
or the outcome it belongs to; the view `transfers` takes them apart. A batch of commits writes them
together, and each balance once.

Which values a limit counts apart (`key`) or counts (`member`) is what a call said: both are
sealed. Sealing gives equal values the same bytes within one account, so they can be looked up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from bailiwick.core.accounts import Balance, Place, Posting, Transfer
from bailiwick.core.books import Books
from bailiwick.core.limits import Charge
from bailiwick.ports import Reserved, Settled, Settlement
from bailiwick.stores.text_seal import TextSeal

MAX_INDEX = 2**63 - 1

MAX_KNOWN_IDS = 50_000
"""Accounts whose row is remembered: beyond it all are looked up again."""

_PLACES = {
    Settlement.POSTED: Place.POSTED,
    Settlement.VOIDED: Place.FREE,
    Settlement.UNKNOWN: Place.UNKNOWN,
}
_COLUMN = {Place.PENDING: 0, Place.POSTED: 1, Place.UNKNOWN: 2}

TRANSFERS = (
    "SELECT t.idx, t.call, a.account, a.key, a.member, t.at_ms, t.reserved_ms, t.source, t.target, "
    "t.amount, t.ceiling, t.since_ms, t.pending_only FROM transfers t "
    "JOIN accounts a ON a.id = t.account "
)
SINCE = (
    f"{TRANSFERS} JOIN sliding s ON s.account = a.id AND s.call = t.call "
    "WHERE a.account = ? AND a.key = ? AND s.reserved_ms > ? AND t.posting < ? ORDER BY t.idx"
)
BALANCES = """
SELECT a.account, a.key,
    sum(iif(a.member = '', b.pending, b.pending > 0 AND b.posted = 0)),
    sum(iif(a.member = '', b.posted, b.posted > 0)),
    sum(iif(a.member = '', b.unknown, b.unknown > 0 AND b.pending + b.posted = 0))
FROM accounts a JOIN balances b ON b.account = a.id
WHERE a.account >= ?1 AND a.account < ?1 || char(1114111) AND b.pending + b.posted + b.unknown > 0
GROUP BY a.account, a.key ORDER BY max(a.id) DESC LIMIT ?2
"""
_INSERT_POSTING = "INSERT INTO postings VALUES (?, ?, ?, ?)"
_INSERT_SLIDING = "INSERT OR IGNORE INTO sliding VALUES (?, ?, ?)"
_INSERT_ACCOUNT = "INSERT INTO accounts (account, key, member) VALUES (?, ?, ?)"
_FIND_ACCOUNT = "SELECT id FROM accounts WHERE account = ? AND key = ? AND member = ?"
_MOVE_BALANCE = (
    "UPDATE balances SET pending = pending + ?, posted = posted + ?, unknown = unknown + ? "
    "WHERE account = ?"
)
_NOW_UNKNOWN = "INSERT OR IGNORE INTO unsettled VALUES (?, ?)"
# A line of a call stands where its last transfer took it.
_NO_MORE_UNKNOWN = (
    "DELETE FROM unsettled WHERE call = ?1 AND NOT EXISTS (SELECT 1 FROM transfers t "
    "WHERE t.call = ?1 AND t.target = 'unknown' AND t.idx = (SELECT max(u.idx) FROM transfers u "
    "WHERE u.call = ?1 AND u.account = t.account))"
)

_encode = msgspec.json.Encoder().encode

Cell = str | bytes


class SqliteLimits:
    """The books over one database: a `Loader` for them, and the writer of what they decide.

    Everything is called on the event loop's thread. What it loads it reads by a connection of its
    own: the writer's may be busy committing. That is safe, since accounts the open transaction has
    touched are in memory and are never dropped before it has ended.
    """

    def __init__(self, seal: TextSeal, connect: Callable[[], sqlite3.Connection]) -> None:
        """Books that load what they need.

        Args:
            connect: opens a connection for reading; called when something is first loaded.
        """
        self.books = Books(self)
        self._seal = seal
        self._connect = connect
        self._reader: sqlite3.Connection | None = None
        self._ids: dict[tuple[str, str, str], int] = {}
        self._next: int | None = None
        self._unwritten: list[Posting] = []
        self._uncommitted: list[Posting] = []
        self._new_call = ""

    # --- deciding --------------------------------------------------------------------------------

    def apply(self, change: Reserved | Settled, opened_call: str = "") -> None:
        """Take `change` into the books; `write` makes rows of it.

        Args:
            opened_call: a call that the same commit opens, so that nothing is known of it.

        Raises:
            Conflict: with LimitReached among them; nothing has changed then.
        """
        self._new_call = opened_call
        if isinstance(change, Reserved):
            made = self.books.reserve(change.call, change.at_ms, change.charges)
        else:
            made = self.books.settle(
                change.call, change.at_ms, _PLACES[change.how], change.actual, change.only
            )
        if made:
            self._unwritten.append(made)

    def write(self, db: sqlite3.Connection) -> None:
        """Write what was decided since the last time, in `db`'s open transaction."""
        if not self._unwritten:
            return
        made, self._unwritten = self._unwritten, []
        if self._next is None:
            (highest,) = db.execute("SELECT max(idx) FROM postings").fetchone()
            self._next = 0 if highest is None else int(highest) + 1
        self._uncommitted = made
        rows: list[tuple[int, str, int, str]] = []
        sliding: list[tuple[int, int, str]] = []
        moves: dict[int, list[int]] = {}
        unknown: list[tuple[str, int]] = []
        settled: set[str] = set()
        # Eight legs for a call with four limits: no step here that is not needed.
        known, free, pending, lost = self._ids, Place.FREE, Place.PENDING, Place.UNKNOWN
        for index, posting in enumerate(made, self._next):
            call = posting.call
            legs: list[tuple[object, ...]] = []
            for charge, reserved_ms, source, target, amount in posting.legs:
                account = known.get((charge.account, charge.key, charge.member))
                if account is None:
                    account = self._id(db, charge)
                since, only = charge.since_ms, charge.pending_only
                legs.append(
                    (account, reserved_ms, source, target, amount, charge.ceiling, since, only)
                )
                if since and source is free and target is pending:
                    sliding.append((account, reserved_ms, call))
                move = moves.get(account)
                if move is None:
                    move = moves[account] = [0, 0, 0]
                if source is not free:
                    move[_COLUMN[source]] -= amount
                if target is not free:
                    move[_COLUMN[target]] += amount
                if target is lost:
                    unknown.append((call, posting.at_ms))
                elif source is lost:
                    settled.add(call)
            rows.append((index, call, posting.at_ms, _encode(legs).decode()))
        db.executemany(_INSERT_POSTING, rows)
        if sliding:
            db.executemany(_INSERT_SLIDING, sliding)
        db.executemany(_MOVE_BALANCE, [(*move, account) for account, move in moves.items()])
        if unknown:
            db.executemany(_NOW_UNKNOWN, unknown)
        if settled:
            db.executemany(_NO_MORE_UNKNOWN, [(call,) for call in sorted(settled)])
        self._next += len(made)

    def trim(self) -> None:
        """The transaction has ended well: let go of what has become too much to remember."""
        self._uncommitted = []
        self.books.trim()

    def forget(self) -> None:
        """Believe nothing in memory: a commit failed, or somebody else has written."""
        self.books.forget()
        self._ids.clear()
        self._unwritten, self._uncommitted = [], []
        self._next = None

    def close(self) -> None:
        """Close the connection for reading; it is opened again when something is loaded."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _id(self, db: sqlite3.Connection, charge: Charge) -> int:
        """The row of an account; it is made when it is new."""
        name = (charge.account, charge.key, charge.member)
        account, key, member = name
        cells = (
            account,
            key_cell(self._seal, account, key),
            _member_cell(self._seal, account, member),
        )
        found = db.execute(_FIND_ACCOUNT, cells).fetchone()
        if found is None:
            made = db.execute(_INSERT_ACCOUNT, cells).lastrowid
            assert made is not None
            db.execute("INSERT INTO balances VALUES (?, 0, 0, 0)", (made,))
            found = (made,)
        if len(self._ids) >= MAX_KNOWN_IDS:
            self._ids.clear()
        self._ids[name] = int(found[0])
        return int(found[0])

    # --- loading: `core.books.Loader` ------------------------------------------------------------

    def account(self, account: str, key: str) -> Sequence[Balance]:
        """See `core.books.Loader.account`."""
        sql = (
            "SELECT a.member, b.pending, b.posted, b.unknown FROM accounts a "
            "JOIN balances b ON b.account = a.id WHERE a.account = ? AND a.key = ? "
            "AND b.pending + b.posted + b.unknown > 0"
        )
        rows = self._read(sql, (account, key_cell(self._seal, account, key)))
        return [
            Balance(open_member(self._seal, account, member), int(pending), int(posted), int(lost))
            for member, pending, posted, lost in rows
        ]

    def since(self, account: str, key: str, since_ms: int) -> Sequence[Transfer]:
        """See `core.books.Loader.since`."""
        # What is being committed just now stands in memory; the file may show it already or not.
        waiting = [*self._uncommitted, *self._unwritten]
        stop = MAX_INDEX if self._next is None else self._next - len(self._uncommitted)
        rows = self._read(SINCE, (account, key_cell(self._seal, account, key), since_ms, stop))
        return [
            *(transfer_of(self._seal, row) for row in rows),
            *(
                each
                for posting in waiting
                for each in posting
                if (each.account, each.key) == (account, key) and each.reserved_ms > since_ms
            ),
        ]

    def call(self, call: str) -> Sequence[Transfer]:
        """See `core.books.Loader.call`."""
        if call == self._new_call:
            return ()
        rows = self._read(f"{TRANSFERS} WHERE t.call = ? ORDER BY t.idx", (call,))
        unwritten = [each for made in self._unwritten if made.call == call for each in made]
        return [*(transfer_of(self._seal, row) for row in rows), *unwritten]

    def _read(self, sql: str, values: tuple[Cell | int, ...]) -> list[tuple[Cell | int, ...]]:
        if self._reader is None:
            self._reader = self._connect()
        return self._reader.execute(sql, values).fetchall()


def key_cell(seal: TextSeal, account: str, key: str) -> Cell:
    """`accounts.key` as it is stored."""
    return seal.seal(key, "accounts", "key", account) if key else ""


def _member_cell(seal: TextSeal, account: str, member: str) -> Cell:
    return seal.seal(member, "accounts", "member", account) if member else ""


def open_key(seal: TextSeal, account: str, cell: object) -> str:
    """`accounts.key` in clear. Raises StoreError `text_damaged`."""
    return "" if cell == "" else seal.open(cell, "accounts", "key", account)


def open_member(seal: TextSeal, account: str, cell: object) -> str:
    """`accounts.member` in clear. Raises StoreError `text_damaged`."""
    return "" if cell == "" else seal.open(cell, "accounts", "member", account)


def transfer_of(seal: TextSeal, row: Sequence[object]) -> Transfer:
    """A row of `TRANSFERS` as the books' value."""
    _, call, account, key, member, at, reserved, source, target, amount, ceiling, since, only = row
    name = str(account)
    return Transfer(
        str(call),
        name,
        open_key(seal, name, key),
        open_member(seal, name, member),
        _int(at),
        _int(reserved),
        Place(str(source)),
        Place(str(target)),
        _int(amount),
        _int(ceiling),
        _int(since),
        bool(only),
    )


def _int(cell: object) -> int:
    assert isinstance(cell, int)
    return cell
