"""Databases of earlier versions: migrated step by step, with what they hold."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bailiwick.core.errors import StoreError
from bailiwick.core.limits.limit import Charge
from bailiwick.ports import (
    CallMoved,
    CallQuery,
    CallRow,
    CallState,
    Entry,
    Settled,
    Settlement,
)
from bailiwick.stores.schema import APPLICATION_ID, MIGRATIONS, prepare
from bailiwick.stores.sqlite import SqliteJournal, connect
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal

SEAL = TextSeal(b"k" * 32)

_WITHOUT_INDEX = (
    "SELECT call, account, source, target, amount, at_ms, reserved_ms, ceiling, since_ms, "
    "pending_only FROM transfers"
)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_an_older_database_keeps_its_runs(tmp_path: Path, version: int) -> None:
    path = tmp_path / "bailiwick.db"
    old = sqlite3.connect(path)
    for script in MIGRATIONS[:version]:
        old.executescript(script)
    old.execute(
        "INSERT INTO runs (id, key, at_ms, agent, mandate) VALUES ('r1', 'k', 1, 'clerk', 'm')"
    )
    old.execute(f"PRAGMA application_id={APPLICATION_ID}")
    old.execute(f"PRAGMA user_version={version}")
    old.commit()
    old.close()
    journal = SqliteJournal(path, seal=SEAL)
    records = SqliteRecords(path, seal=SEAL)
    run = await records.run("r1")
    assert run is not None
    assert (run.key, run.started_by, run.supplier, run.ended_ms) == ("k", "agent", "", None)
    await records.close()
    await journal.close()


async def test_what_was_taken_of_limits_before_postings_still_counts(tmp_path: Path) -> None:
    path = tmp_path / "bailiwick.db"
    old = sqlite3.connect(path)
    for script in MIGRATIONS[:4]:
        old.executescript(script)
    rolling = "pay:rolling:count:sliding-60::::00000000"
    old.execute("INSERT INTO accounts VALUES (1, ?, '', '')", (rolling,))
    old.execute("INSERT INTO balances VALUES (1, 0, 2, 0)")
    for index, (call, at) in enumerate((("a", 70_000), ("b", 80_000))):
        moves = ((at, "free", "pending"), (at + 1, "pending", "posted"))
        for step, (moment, source, target) in enumerate(moves):
            old.execute(
                "INSERT INTO transfers VALUES (?, ?, 1, ?, ?, ?, ?, 1, 5, ?, 0)",
                (2 * index + step, call, moment, at, source, target, at - 60_000),
            )
        old.execute(
            "INSERT INTO calls VALUES (?, 1, 'r', 'g', 'm@1', 'p', 'tool', 's', 'n', '', 'done', "
            "'', '', '', 2, 0, 1, NULL)",
            (call,),
        )
    old.execute(f"PRAGMA application_id={APPLICATION_ID}")
    old.execute("PRAGMA user_version=4")
    old.commit()
    old.close()
    journal = SqliteJournal(path, seal=SEAL)
    records = SqliteRecords(path, seal=SEAL)
    assert (await records.audit_limits()).differences == ()
    charge = Charge("pay@1/limit/rolling", rolling, 1, 5, since_ms=75_000)
    assert journal.counters.used(charge) == 1, "only what was reserved within the window"
    made = await records.transfers("b")
    assert [(each.source, each.target, each.at_ms) for each in made] == [
        ("free", "pending", 80_000),
        ("pending", "posted", 80_001),
    ]
    await records.close()
    await journal.close()


async def test_what_was_taken_of_limits_before_postings_shared_rows_still_counts(
    tmp_path: Path,
) -> None:
    """Posted for less, for more, voided, unknown, and running; all of them settled afterwards."""
    path = tmp_path / "bailiwick.db"
    old = sqlite3.connect(path)
    for script in MIGRATIONS[:9]:
        old.executescript(script)
    day, rolling = (
        "pay:daily:sum:day:UTC:2026-11-22:CHF:00000000",
        "pay:roll:sum:sliding-60:::CHF:0",
    )
    old.execute("INSERT INTO accounts VALUES (1, ?, '', ''), (2, ?, '', '')", (day, rolling))
    old.execute("INSERT INTO call_runs VALUES (1, 'r')")
    old.execute("INSERT INTO call_heads VALUES (1, 'g', 'm@1', 'p', 'tool', 's', 'n', '', '')")
    old.execute("INSERT INTO entries (idx, leaf, sealed) VALUES (0, '{}', '')")
    ended = {
        "less": ("done", [("pending", "posted", 2), ("pending", "free", 3)]),
        "more": ("done", [("pending", "posted", 5), ("free", "posted", 4)]),
        "void": ("failed", [("pending", "free", 5)]),
        "lost": ("unknown", [("pending", "unknown", 5)]),
        "runs": ("running", []),
    }
    index = 0
    for n, (call, (state, moves)) in enumerate(ended.items()):
        at = 70_000 + n
        for moment, told in ((at, [("free", "pending", 5)]), (at + 100, moves)):
            legs = [
                [account, at, source, target, amount, 99, at - 60_000 if account == 2 else 0, False]
                for account in (1, 2)
                for source, target, amount in told
            ]
            if legs:
                row = (index, call, moment, json.dumps(legs))
                old.execute("INSERT INTO postings VALUES (?, ?, ?, ?)", row)
                index += 1
        old.execute("INSERT INTO sliding VALUES (2, ?, ?)", (at, call))
        old.execute(
            "INSERT INTO opened_calls (id, intent_index, at_ms, run, head) VALUES (?, 0, 1, 1, 1)",
            (call,),
        )
        if moves:
            move = (call, state)
            old.execute("INSERT INTO moved_calls VALUES (?, ?, 2, '', '', 0, NULL)", move)
    old.execute("UPDATE running_calls SET ids = '[\"runs\"]'")
    old.execute("INSERT INTO unsettled VALUES ('lost', 5)")
    old.executemany("INSERT INTO balances VALUES (?, 5, 11, 5)", [(1,), (2,)])
    old.execute(f"PRAGMA application_id={APPLICATION_ID}")
    old.execute("PRAGMA user_version=9")
    old.commit()
    before = old.execute(f"{_WITHOUT_INDEX} ORDER BY 1, 2, 3, 4, 5, 6").fetchall()
    old.close()
    journal = SqliteJournal(path, seal=SEAL)
    records = SqliteRecords(path, seal=SEAL)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute(f"{_WITHOUT_INDEX} ORDER BY 1, 2, 3, 4, 5, 6").fetchall() == before
    assert len(before) == 22
    assert (await records.audit_limits()).differences == ()
    assert journal.counters.used(Charge("", rolling, 1, 99, since_ms=70_001)) == 10
    for call, (_, moves) in ended.items():
        made = await records.transfers(call)
        assert len(made) == 2 + 2 * len(moves)
        assert {each.call for each in made} == {call}
    moved = CallMoved("runs", 9, CallState.DONE, entry=0)
    settled = Settled("runs", 9, Settlement.POSTED)
    await journal.commit([Entry(b"{}")], [moved, settled])
    await journal.commit([Entry(b"{}")], [Settled("lost", 9, Settlement.VOIDED)])
    assert journal.counters.used(Charge("", day, 1, 99)) == 16
    assert await records.unsettled() == []
    assert (await records.audit_limits()).differences == ()
    await records.close()
    await journal.close()


async def test_entries_with_a_row_each_are_read_together_with_those_that_share_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bailiwick.db"
    old = sqlite3.connect(path)
    for script in MIGRATIONS[:6]:
        old.executescript(script)
    for index in range(3):
        old.execute("INSERT INTO entries VALUES (?, ?, ?)", (index, b'{"n":%d}' % index, b"s"))
    old.execute(f"PRAGMA application_id={APPLICATION_ID}")
    old.execute("PRAGMA user_version=6")
    old.commit()
    old.close()
    journal = SqliteJournal(path, seal=SEAL)
    assert await journal.commit([Entry(b'{"n":3}'), Entry(b'{"n":4}', b"t")]) == range(3, 5)
    records = SqliteRecords(path, seal=SEAL)
    assert await records.entry_count() == 5
    assert await records.leaves(1, 5) == [b'{"n":%d}' % index for index in range(1, 5)]
    stored = await records.entries(2, 5)
    assert [(each.index, each.sealed) for each in stored] == [(2, b"s"), (3, b""), (4, b"t")]
    await records.close()
    await journal.close()


CALLS = (
    # Ended well, with a plain name; running; a resource held; denied; approved and unknown.
    ("c1", "r1", "tool", "pay", "", "done", "", "plain", "", 7, 0, 1, None),
    ("c2", "r1", "tool", "pay", "", "running", "", "plain", "", None, 2, None, None),
    (
        "c3",
        "r2",
        "resource",
        "sealed",
        "sealed",
        "held",
        "held",
        "sealed",
        "h3",
        None,
        3,
        None,
        None,
    ),
    ("c4", "r2", "tool", "pay", "", "denied", "not_allowed", "sealed", "", None, 4, None, None),
    ("c5", "r1", "tool", "pay", "sealed", "unknown", "crash", "sealed", "h5", 8, 5, 9, 6),
)


async def test_calls_of_before_read_as_they_did_and_go_on(tmp_path: Path) -> None:
    path = tmp_path / "bailiwick.db"
    old = sqlite3.connect(path)
    for script in MIGRATIONS[:7]:
        old.executescript(script)
    for ident, run, kind, name, digest, state, code, because, *more in CALLS:
        cells = [
            SEAL.seal(f"a {column}", "calls", column, ident) if cell == "sealed" else cell
            for column, cell in (("name", name), ("digest", digest), ("because", because))
        ]
        row = (ident, 5, run, "clerk", "m@1", "jo", kind, "bank", *cells[:2], state, code)
        old.execute(f"INSERT INTO calls VALUES ({', '.join('?' * 18)})", (*row, cells[2], *more))
    old.execute(f"PRAGMA application_id={APPLICATION_ID}")
    old.execute("PRAGMA user_version=7")
    old.commit()
    old.close()
    journal = SqliteJournal(path, seal=SEAL)
    records = SqliteRecords(path, seal=SEAL)
    for ident, run, kind, name, digest, state, code, because, *more in CALLS:
        texts = [
            f"a {column}" if cell == "sealed" else cell
            for column, cell in (("name", name), ("digest", digest), ("because", because))
        ]
        row = (ident, 5, run, "clerk", "m@1", "jo", kind, "bank", *texts[:2], state, code)
        names = [each.name for each in fields(CallRow)]
        expected = dict(zip(names, (*row, texts[2], *more), strict=True))
        assert await records.call(ident) == msgspec.convert(expected, CallRow)
    assert [call.id for call in await records.calls(CallQuery(run="r1"))] == ["c5", "c2", "c1"]
    assert [call.id for call in await records.open_calls()] == ["c2", "c3"]
    await journal.commit([Entry(b"{}")], [CallMoved("c2", 9, CallState.DONE, entry=0)])
    await journal.commit([Entry(b"{}")], [CallMoved("c3", 9, CallState.RUNNING, "approved")])
    assert [call.id for call in await records.open_calls()] == ["c3"]
    ended = await records.call("c2")
    assert ended is not None
    assert (ended.state, ended.ended_ms, ended.outcome_index) == (CallState.DONE, 9, 0)
    await records.close()
    await journal.close()


class Interrupted(sqlite3.Connection):
    """Calls something before its statement number `at`."""

    at = -1

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self.at -= 1
        if self.at == 0:
            self.before()
        return super().execute(sql, *values)

    def before(self) -> None:
        raise sqlite3.OperationalError("disk I/O error")


def of_version_9(path: Path) -> None:
    with contextlib.closing(connect(path)) as old:
        for script in MIGRATIONS[:9]:
            old.executescript(script)
        for number in range(200):
            legs = json.dumps([[1, 1, "free", "pending", 1, 999, 0, False]])
            old.execute("INSERT INTO postings VALUES (?, ?, 1, ?)", (number, f"c{number}", legs))
        old.execute(f"PRAGMA application_id={APPLICATION_ID}")
        old.execute("PRAGMA user_version=9")


def contents(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def migrated(db: sqlite3.Connection) -> None:
    with contextlib.closing(db):
        prepare(db, 1)
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert db.execute("SELECT count(*), sum(amount) FROM transfers").fetchone() == (200, 200)


def test_a_migration_that_is_interrupted_anywhere_leaves_the_database_as_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bailiwick.db"
    of_version_9(path)
    before = contents(path)
    statements = 0
    while True:
        statements += 1
        db = sqlite3.connect(path, isolation_level=None, factory=Interrupted)
        db.at = statements
        with contextlib.closing(db):
            try:
                prepare(db, 1)
            except StoreError:
                assert contents(path) == before
                continue
            break
    assert statements > 15
    migrated(connect(path))


def test_a_disk_that_is_full_is_no_damaged_database(tmp_path: Path) -> None:
    """Restored from a backup, it would not know what was spent since."""
    path = tmp_path / "bailiwick.db"
    of_version_9(path)
    before = contents(path)
    with contextlib.closing(connect(path)) as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(StoreError, match="full") as full:
            prepare(db, 1)
    assert full.value.code == "store_unavailable"
    assert contents(path) == before
    migrated(connect(path))


def test_a_database_that_another_holds_is_no_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "bailiwick.db"
    of_version_9(path)
    with contextlib.closing(connect(path)) as other, contextlib.closing(connect(path)) as db:
        other.execute("BEGIN IMMEDIATE")
        db.execute("PRAGMA busy_timeout=0")
        with pytest.raises(StoreError, match="locked") as locked:
            prepare(db, 1)
    assert locked.value.code == "store_unavailable"
    migrated(connect(path))


@pytest.mark.parametrize("version", [0, 9])
def test_what_another_process_migrates_meanwhile_is_not_migrated_twice(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "bailiwick.db"
    if version:
        of_version_9(path)
    seen: list[str] = []

    class Late(Interrupted):
        def before(self) -> None:
            with contextlib.closing(connect(path)) as other:
                prepare(other, 1)
            seen.extend(contents(path))

    db = sqlite3.connect(path, isolation_level=None, factory=Late)
    with contextlib.closing(db):
        db.at = 5 if version else 4  # once it has read which version there is
        prepare(db, 1 if version else 0)
    assert contents(path) == seen
    assert sum("CREATE VIEW transfers" in each for each in seen) == 1
