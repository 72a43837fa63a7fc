"""Ledger entries as rows of the SQLite store: those that one transaction writes share a row.

`entries.idx` is the index of a row's first entry, `count` how many it holds. Where that is 1,
`leaf` and `sealed` are the entry's own; else each is a MessagePack array of so many byte strings.
A row costs the same whatever it holds, and many small ones fill pages badly. A row is small enough
to be read for one of its entries; what is too large to share has a row of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from bailiwick.ports import Entry
from bailiwick.stores.schema import damaged

MAX_SHARED_BYTES = 256 * 1024

INSERT_ENTRIES = "INSERT INTO entries (idx, leaf, sealed, count) VALUES (?, ?, ?, ?)"

# From the row that holds the first entry, which may begin before it.
_SINCE = "WHERE idx >= (SELECT max(idx) FROM entries WHERE idx <= ?1) AND idx < ?2 ORDER BY idx"
_ENTRIES = f"SELECT idx, leaf, sealed, count FROM entries {_SINCE}"  # noqa: S608  # our own text
_LEAVES = f"SELECT idx, leaf, count FROM entries {_SINCE}"  # noqa: S608  # our own text

EntryRow = tuple[int, bytes, bytes, int]

_leaf_of = attrgetter("leaf")
_sealed_of = attrgetter("sealed")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes]).decode


def leaves_of(entries: Sequence[Entry]) -> list[bytes]:
    """The leaves of entries, in order."""
    return list(map(_leaf_of, entries))


def entry_rows(first: int, entries: Sequence[Entry], leaves: list[bytes]) -> list[EntryRow]:
    """The rows of `entries`, at least one, whose first has the index `first`.

    Args:
        leaves: their `leaves_of`.
    """
    count = len(leaves)
    if count == 1:
        return [(first, leaves[0], entries[0].sealed, 1)]
    sealed = list(map(_sealed_of, entries))
    if sum(map(len, leaves)) + sum(map(len, sealed)) <= MAX_SHARED_BYTES:
        return [(first, _pack(leaves), _pack(sealed), count)]
    return [(first + at, leaf, sealed[at], 1) for at, leaf in enumerate(leaves)]


def next_index(db: sqlite3.Connection) -> int:
    """The index the next entry gets: entries are only ever appended, without gaps."""
    row = db.execute("SELECT idx + count FROM entries ORDER BY idx DESC LIMIT 1").fetchone()
    return 0 if row is None else int(row[0])


def read_entries(
    db: sqlite3.Connection, start: int, stop: int
) -> Iterator[tuple[int, bytes, bytes]]:
    """Index, leaf and sealed payload of the entries with start <= index < stop, in order.

    Raises:
        StoreError: `database_damaged`: a row does not hold what it says, or does not begin where
            the one before it ends.
    """
    for first, (leaves, sealed) in _taken_apart(db.execute(_ENTRIES, (start, stop))):
        within = slice(max(0, start - first), max(0, stop - first))
        whole = zip(leaves[within], sealed[within], strict=True)
        for index, (one_leaf, one_sealed) in enumerate(whole, max(start, first)):
            yield index, one_leaf, one_sealed


def read_leaves(db: sqlite3.Connection, start: int, stop: int) -> list[bytes]:
    """The leaves alone of the entries with start <= index < stop, in order.

    Raises:
        StoreError: as `read_entries`.
    """
    found: list[bytes] = []
    for first, (leaves,) in _taken_apart(db.execute(_LEAVES, (start, stop))):
        found += leaves[max(0, start - first) : max(0, stop - first)]
    return found


def _taken_apart(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[int, list[list[bytes]]]]:
    """Where each row begins, and its cells, one byte string for each entry.

    What is read here is signed by the publisher: nothing may stand twice, or be left out.
    """
    after = -1
    for first, *cells, count in rows:
        if type(count) is not int or count < 1 or after not in (-1, first):
            raise damaged(f"the ledger entry {first} does not follow the one before it")
        after = first + count
        yield first, [_unpacked(cell, count) for cell in cells]


def _unpacked(cell: object, count: int) -> list[bytes]:
    if type(cell) is not bytes:
        raise damaged("a ledger entry is no byte string")
    if count == 1:
        return [cell]
    try:
        found = _unpack(cell)
    except msgspec.DecodeError as error:
        raise damaged(f"ledger entries cannot be read: {error}") from error
    if len(found) != count:
        raise damaged(f"a row of {count} ledger entries holds {len(found)}")
    return found
