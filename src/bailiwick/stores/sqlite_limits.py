"""What is taken of limits, in SQLite: an append-only journal of postings, and balances beside it.

`core/limits/books.py` decides and keeps in memory what is in use; here it is loaded, written and
dropped.
A posting, all transfers of one call in one commit, is written in the same transaction as the intent
or the outcome it belongs to (`posting_rows.py`), and each balance once a transaction.

Which values a limit counts apart (`key`) or counts (`member`) is what a call said: both are
sealed. Sealing gives equal values the same bytes within one account, so they can be looked up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence, Set
from itertools import groupby
from operator import attrgetter, itemgetter

import msgspec

from bailiwick.core.errors import Conflict, OurError
from bailiwick.core.limits.accounts import Held
from bailiwick.core.limits.books import NOTHING, Books
from bailiwick.core.limits.forms import Varying
from bailiwick.core.limits.limit import Charge, Charges
from bailiwick.core.limits.postings import Posting, Reservation
from bailiwick.core.limits.transfers import Balance, Place, Transfer
from bailiwick.ports import CallOpened, Change, Reserved, Settled, Settlement
from bailiwick.stores.posting_rows import (
    BY_CALL,
    MAX_TOGETHER,
    OF_CALL,
    SINCE,
    LegCells,
    PostingRows,
)
from bailiwick.stores.text_seal import TextSeal

MAX_INDEX = 2**63 - 1

_PLACES = {
    Settlement.POSTED: Place.POSTED,
    Settlement.VOIDED: Place.FREE,
    Settlement.UNKNOWN: Place.UNKNOWN,
}

BALANCES = """
SELECT a.account, a.key,
    sum(iif(a.member = '', b.pending, b.pending > 0 AND b.posted = 0)),
    sum(iif(a.member = '', b.posted, b.posted > 0)),
    sum(iif(a.member = '', b.unknown, b.unknown > 0 AND b.pending + b.posted = 0))
FROM accounts a JOIN balances b ON b.account = a.id
WHERE a.account >= ?1 AND a.account < ?1 || char(1114111) AND b.pending + b.posted + b.unknown > 0
GROUP BY a.account, a.key ORDER BY max(a.id) DESC LIMIT ?2
"""
_INSERT_ACCOUNT = "INSERT INTO accounts (account, key, member) VALUES (?, ?, ?)"
_FIND_ACCOUNT = "SELECT id FROM accounts WHERE account = ? AND key = ? AND member = ?"
_PUT_BALANCE = (
    "UPDATE balances SET pending = ?1 - ?2 - ?3, posted = ?2, unknown = ?3 WHERE account = ?4"
)
_NOW_UNKNOWN = "INSERT OR IGNORE INTO unsettled VALUES (?, ?)"
# A line of a call stands where its last transfer took it.
_NO_MORE_UNKNOWN = f"""
DELETE FROM unsettled WHERE call = ?1 AND NOT EXISTS (
    SELECT 1 FROM (SELECT t.target, max(t.idx) FROM transfers t WHERE {OF_CALL} GROUP BY t.account)
    WHERE target = 'unknown'
)
"""  # noqa: S608  # our own text

# A member of an enum may be looked up by a Python call each time.
_FREE, _PENDING, _UNKNOWN = Place.FREE, Place.PENDING, Place.UNKNOWN

_NOT_WRITTEN = msgspec.Raw()

_way_of = itemgetter(2, 3)  # of a leg: source and target
_balance_of = attrgetter("total", "posted", "unknown", "row")  # as `_PUT_BALANCE` takes it
_encode = msgspec.json.Encoder().encode

_RESERVED, _AMOUNT, _SINCE = 1, 2, 4
"""Where they stand in a leg (`LegCells`)."""

Cell = str | bytes


class _Beside:
    """What a batch of commits writes beside its postings.

    Attributes:
        touched: what accounts hold that something was moved on.
        unknown: calls of which something has become unknown, and when.
        found: calls of which something was unknown before.
    """

    __slots__ = ("found", "touched", "unknown")

    def __init__(self) -> None:
        self.touched: set[Held] = set()
        self.unknown: list[tuple[str, int]] = []
        self.found: set[str] = set()


class SqliteLimits:
    """The books over one database: a `Loader` for them, and the writer of what they decide.

    Everything is called on the event loop's thread. What it loads it reads by a connection of its
    own: the writer's may be busy committing. That is safe, since accounts the open transaction has
    touched are in memory and are never dropped before it has ended.

    Attributes:
        unwritten: what was decided since `write`.
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
        self._next: int | None = None  # row of postings
        self.unwritten: list[Posting] = []
        self._uncommitted: list[Posting] = []
        self._committed = 0  # rows before this one, if any is known

    # --- deciding --------------------------------------------------------------------------------

    def apply(self, changes: Sequence[Change]) -> Conflict | None:
        """Take what one commit reserves or settles into the books; `write` makes rows of it.

        Returns:
            What keeps the commit from being made, LimitReached maybe; nothing has changed then.

        Raises:
            OurError: `reservation_in_halves`: some has changed, and nothing in memory is right.
        """
        opened, done = "", False
        try:
            for change in changes:
                if type(change) is CallOpened:
                    opened = change.id
                    continue
                if type(change) is Reserved:
                    call, at_ms, charges = change.call, change.at_ms, change.charges
                    # Whether it is opened by this very commit.
                    made = self.books.reserve(call, at_ms, charges, is_new=call == opened)
                elif type(change) is Settled:
                    how = _PLACES[change.how]
                    made = self.books.settle(
                        change.call, change.at_ms, how, change.actual, change.only
                    )
                else:
                    continue
                if made is not NOTHING:
                    self.unwritten.append(made)
                    done = True
        except Conflict as conflict:
            if done:  # what went before stands in memory: the whole batch is given up
                text = f"half of a reservation was settled: {conflict.message}"
                raise OurError("reservation_in_halves", text) from conflict
            return conflict
        return None

    def write(self, db: sqlite3.Connection, entry: int, found: Set[str]) -> None:
        """Write what was decided since the last time, in `db`'s open transaction.

        Args:
            entry: the index of the transaction's first entry.
            found: calls whose intent or outcome is one of its entries.
        """
        if not self.unwritten:
            return
        made, self.unwritten = self.unwritten, []
        if self._next is None:
            (highest,) = db.execute("SELECT max(idx) FROM postings").fetchone()
            self._next = 0 if highest is None else int(highest) + 1
        self._uncommitted, self._committed = made, self._next
        rows, beside = PostingRows(self._next, entry, found), _Beside()
        moves, latest, touched = rows.moves, rows.latest, beside.touched
        for posting in made:
            whole, reservation = posting.whole, posting.reservation
            if whole is None or reservation is None:
                self._apart(db, posting, rows, beside)
                continue
            legs = reservation.row or self._reserving(db, reservation)
            source = _PENDING if whole is not _PENDING else _FREE
            if len(moves) >= MAX_TOGETHER:
                rows.end_row()
            moves.append((posting.call, posting.at_ms, source, whole, legs))
            for at in reservation.sliding:
                row, reserved_ms = reservation.held[at].row, reservation.reserved_ms[at]
                if reserved_ms > latest.get(row, -1):
                    latest[row] = reserved_ms
            touched.update(reservation.held)
            if whole is _UNKNOWN:
                beside.unknown.append((posting.call, posting.at_ms))
                reservation.row = _NOT_WRITTEN  # what comes of it later is told leg by leg
        self._next = rows.write(db)
        # What is held can be written as it stands: it was loaded from this file, which nobody else
        # has changed since (`forget`), and moved by nothing but the postings that are written here.
        db.executemany(_PUT_BALANCE, map(_balance_of, touched))
        if beside.unknown:
            db.executemany(_NOW_UNKNOWN, beside.unknown)
        if beside.found:
            db.executemany(_NO_MORE_UNKNOWN, [(call,) for call in sorted(beside.found)])

    def _reserving(self, db: sqlite3.Connection, reservation: Reservation) -> msgspec.Raw:
        """The legs of a reservation as a move holds them; they stay with it until it ends."""
        charges = reservation.charges
        known = charges.form.known if type(charges) is Charges else None
        # Whoever shares the form may have reserved by it since, where accounts have other numbers.
        if type(charges) is not Charges or known is None or known.held is not reservation.held:
            row = _encode(self._legs(db, reservation))
        else:
            # What calls of one form reserve is written once, and each puts its numbers in.
            if known.row is None:
                known.row = _laid_out(self._legs(db, reservation), charges.form.varying)
            text, which = known.row
            row = text % which((*charges.numbers, *reservation.reserved_ms))
        reservation.row = msgspec.Raw(row)
        return reservation.row

    def _legs(self, db: sqlite3.Connection, reservation: Reservation) -> list[LegCells]:
        row = self._row
        return [
            (held.row or row(db, charge, held), at,
             charge.amount, charge.ceiling, charge.since_ms, charge.pending_only)
            for charge, held, at in zip(  # noqa: B905 - of one reservation; strict, it is not C
                reservation.charges, reservation.held, reservation.reserved_ms
            )
        ]  # fmt: skip

    def _apart(
        self, db: sqlite3.Connection, posting: Posting, rows: PostingRows, beside: _Beside
    ) -> None:
        """The moves of a posting that tells more, each of as many legs as have a way together."""
        call, at_ms = posting.call, posting.at_ms
        for (source, target), together in groupby(posting.moves(), _way_of):
            if len(rows.moves) >= MAX_TOGETHER:
                rows.end_row()
            legs: list[LegCells] = []
            for charge, at, _, _, amount in together:
                held = self.books.held(charge)
                beside.touched.add(held)
                number = self._row(db, charge, held)
                legs.append(
                    (number, at, amount, charge.ceiling, charge.since_ms, charge.pending_only)
                )
                if charge.since_ms and at > rows.latest.get(number, -1):
                    rows.latest[number] = at
            rows.moves.append((call, at_ms, source, target, legs))
            if target is _UNKNOWN:
                beside.unknown.append((call, at_ms))
            elif source is _UNKNOWN:
                beside.found.add(call)

    def trim(self) -> None:
        """The transaction has ended well: let go of what has become too much to remember."""
        self._uncommitted = []
        self.books.trim()

    def forget(self) -> None:
        """Believe nothing in memory: a commit failed, or somebody else has written."""
        self.books.forget()
        self.unwritten, self._uncommitted = [], []
        self._next = None

    def close(self) -> None:
        """Close the connection for reading; it is opened again when something is loaded."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _row(self, db: sqlite3.Connection, charge: Charge, held: Held) -> int:
        """Where the balance of a charge's member stands; a row is made when it is new."""
        if not held.row:
            account = charge.account
            cells = (
                account,
                key_cell(self._seal, account, charge.key),
                _member_cell(self._seal, account, charge.member),
            )
            found = db.execute(_FIND_ACCOUNT, cells).fetchone()
            if found is None:
                made = db.execute(_INSERT_ACCOUNT, cells).lastrowid
                assert made is not None
                db.execute("INSERT INTO balances VALUES (?, 0, 0, 0)", (made,))
                found = (made,)
            held.row = int(found[0])
        return held.row

    # --- loading: `core.limits.books.Loader` --------------------------------------------------

    def account(self, account: str, key: str) -> Sequence[Balance]:
        """See `core.limits.books.Loader.account`."""
        sql = (
            "SELECT a.member, b.pending, b.posted, b.unknown, a.id FROM accounts a "
            "JOIN balances b ON b.account = a.id WHERE a.account = ? AND a.key = ? "
            "AND b.pending + b.posted + b.unknown > 0"
        )
        rows = self._read(sql, (account, key_cell(self._seal, account, key)))
        return [
            Balance(open_member(self._seal, account, member), *map(int, numbers))
            for member, *numbers in rows
        ]

    def since(self, account: str, key: str, since_ms: int) -> Sequence[Transfer]:
        """See `core.limits.books.Loader.since`."""
        # What is being committed just now stands in memory; the file may show it already or not.
        waiting = [*self._uncommitted, *self.unwritten]
        stop = self._committed if self._uncommitted else MAX_INDEX
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
        """See `core.limits.books.Loader.call`."""
        rows = self._read(BY_CALL, (call,))
        unwritten = [each for made in self.unwritten if made.call == call for each in made]
        return [*(transfer_of(self._seal, row) for row in rows), *unwritten]

    def _read(self, sql: str, values: tuple[Cell | int, ...]) -> list[tuple[Cell | int, ...]]:
        if self._reader is None:
            self._reader = self._connect()
        return self._reader.execute(sql, values).fetchall()


def _laid_out(
    legs: Sequence[LegCells], varying: Sequence[Varying]
) -> tuple[bytes, itemgetter[tuple[int, ...]]]:
    """Legs in a row, with `%d` for each number in which others of their form differ, and where
    those stand: after what varies come the moments of reservation. See `Known.row`."""
    rows: list[list[object]] = [list(leg) for leg in legs]
    order = [
        (each.at, _SINCE if each.slides_ms else _AMOUNT, number)
        for number, each in enumerate(varying)
    ]
    order += [(at, _RESERVED, len(varying) + at) for at in range(len(rows))]
    for at, cell, _ in order:
        rows[at][cell] = msgspec.Raw(b"%d")
    return _encode(rows), itemgetter(*(number for _, _, number in sorted(order)))


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
