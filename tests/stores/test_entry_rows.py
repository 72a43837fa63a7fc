"""Entries that share a row are read back one by one, wherever a reader begins and ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.errors import StoreError
from bailiwick.ports import Entry
from bailiwick.stores.entry_rows import (
    INSERT_ENTRIES,
    MAX_SHARED_BYTES,
    entry_rows,
    leaves_of,
    next_index,
    read_entries,
    read_leaves,
)
from bailiwick.stores.schema import MIGRATIONS


def table() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    for script in MIGRATIONS:
        db.executescript(script)
    return db


def append(db: sqlite3.Connection, entries: Sequence[Entry]) -> int:
    """How many rows it took."""
    rows = entry_rows(next_index(db), entries, leaves_of(entries))
    db.executemany(INSERT_ENTRIES, rows)
    return len(rows)


ENTRY = st.builds(Entry, st.binary(min_size=1, max_size=20), st.binary(max_size=20))


@given(st.lists(st.lists(ENTRY, min_size=1, max_size=5), max_size=5), st.data())
def test_every_range_reads_what_was_appended(
    transactions: list[list[Entry]], data: st.DataObject
) -> None:
    every = [entry for entries in transactions for entry in entries]
    with closing(table()) as db:
        for entries in transactions:
            append(db, entries)
        assert next_index(db) == len(every)
        start = data.draw(st.integers(0, len(every) + 1))
        stop = data.draw(st.integers(0, len(every) + 1))
        wanted = [(n, e.leaf, e.sealed) for n, e in enumerate(every) if start <= n < stop]
        assert list(read_entries(db, start, stop)) == wanted
        assert read_leaves(db, start, stop) == [leaf for _, leaf, _ in wanted]


def test_a_transaction_takes_one_row_unless_it_is_large() -> None:
    half = bytes(MAX_SHARED_BYTES // 2)
    with closing(table()) as db:
        assert append(db, [Entry(b"{}")]) == 1
        assert append(db, [Entry(b"{}", b"x")] * 100) == 1
        assert append(db, [Entry(b"{}", half)] * 2) == 2, "with the leaves it is over the bound"
        assert append(db, [Entry(b"{}", half * 4)]) == 1
        assert next_index(db) == 104
        stored = [sealed for _, _, sealed in read_entries(db, 100, 104)]
        assert stored == [b"x", half, half, half * 4]


@pytest.mark.parametrize(
    "leaf", [b"", b"{}", msgspec.msgpack.encode([b"a"]), msgspec.msgpack.encode(["a", "b"])]
)
def test_a_row_that_does_not_hold_what_it_says_is_refused(leaf: bytes) -> None:
    with closing(table()) as db:
        append(db, [Entry(b"a"), Entry(b"b")])
        db.execute("UPDATE entries SET leaf = ?", (leaf,))
        for read in (read_leaves, lambda *args: list(read_entries(*args))):
            with pytest.raises(StoreError) as caught:
                read(db, 0, 2)
            assert caught.value.code == "database_damaged"
