"""Calls read back as they were said, whichever way their rows were written."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.errors import StoreError
from bailiwick.ports import CallMoved, CallOpened, CallRow, CallState
from bailiwick.stores import call_rows
from bailiwick.stores.call_rows import MAX_RUNNING_TOGETHER, CallRows
from bailiwick.stores.schema import MIGRATIONS
from bailiwick.stores.sealed_rows import opened
from bailiwick.stores.text_seal import TextSeal

SEAL = TextSeal(b"k" * 32)


def table() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    for script in MIGRATIONS:
        db.executescript(script)
    return db


def read(db: sqlite3.Connection) -> dict[str, CallRow]:
    rows = db.execute("SELECT * FROM calls ORDER BY id").fetchall()
    found = [msgspec.convert(opened(SEAL, "calls", row), CallRow) for row in rows]
    return {call.id: call for call in found}


def running(db: sqlite3.Connection) -> set[str]:
    (ids,) = db.execute("SELECT ids FROM running_calls").fetchone()
    long = [row["id"] for row in db.execute("SELECT id FROM long_calls")]
    assert not set(json.loads(ids)).intersection(long)
    return {*json.loads(ids), *long}


WORDS = st.sampled_from(["", "a", "b"])
STATES = st.sampled_from(CallState)


def call(ident: str, draw: st.DrawFn) -> CallOpened:
    few = st.sampled_from(["a", "b"])
    return CallOpened(
        ident,
        5,
        run=draw(few),
        agent=draw(few),
        mandate="m@1",
        principal="jo",
        kind=draw(st.sampled_from(["tool", "resource"])),
        upstream="bank",
        name=draw(few),
        digest=draw(WORDS),
        state=draw(STATES),
        code=draw(WORDS),
        because=draw(WORDS),
        hold=draw(WORDS),
    )


@st.composite
def transactions(draw: st.DrawFn) -> list[list[CallOpened | CallMoved]]:
    """Each opens calls, and moves some that were opened before it, each once."""
    made: list[list[CallOpened | CallMoved]] = []
    idents: list[str] = []
    for number in range(draw(st.integers(1, 4))):
        new = [f"c{number}{n}" for n in range(draw(st.integers(0, 3)))]
        once = st.lists(st.sampled_from(idents), unique=True) if idents else st.just([])
        moves = [
            CallMoved(ident, 9, draw(STATES), draw(WORDS), draw(WORDS), draw(st.integers(-1, 1)))
            for ident in draw(once)
        ]
        made.append([*(call(ident, draw) for ident in new), *moves])
        idents += new
    return made


def told(calls: dict[str, CallRow], change: CallOpened | CallMoved, start: int) -> CallRow:
    """What is to be read of a call after `change`, as ports/changes.py has it."""
    if isinstance(change, CallOpened):
        fields = msgspec.structs.asdict(change)
        entry = fields.pop("entry")
        return CallRow(**fields, ended_ms=None, intent_index=start + entry, outcome_index=None)
    before = calls[change.id]
    index = None if change.entry < 0 else start + change.entry
    runs = change.state is CallState.RUNNING
    return replace(
        before,
        state=change.state,
        code=change.code or before.code,
        because=change.because or before.because,
        ended_ms=None if runs else change.at_ms,
        outcome_index=None if runs else before.outcome_index if index is None else index,
        approved_index=index if runs else before.approved_index,
    )


@given(transactions(), st.booleans(), st.sampled_from([0, 2, 256]))
def test_calls_read_back_as_they_were_said(
    made: list[list[CallOpened | CallMoved]], forgetful: bool, together: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(call_rows, "MAX_RUNNING_TOGETHER", together)
        check(made, forgetful)


def check(made: list[list[CallOpened | CallMoved]], forgetful: bool) -> None:
    expected: dict[str, CallRow] = {}
    with closing(table()) as db:
        rows = CallRows(SEAL)
        rows.load(db)
        for number, changes in enumerate(made):
            for at, change in enumerate(changes):
                start = 100 * number + 2 * at
                rows.take(db, (change,), start)
                expected[change.id] = told(expected, change, start)
            rows.write(db)
            if forgetful:  # as after another process has written
                rows.load(db)
            assert read(db) == expected
            assert running(db) == {
                each.id for each in expected.values() if each.state is CallState.RUNNING
            }


def run_at_once(ident: str, name: str = "pay", run: str = "r") -> CallOpened:
    fields = ("clerk", "m@1", "jo", "tool", "bank", name, "")
    return CallOpened(ident, 5, run, *fields, CallState.RUNNING, "", "`pay` is allowed")


def test_what_calls_say_alike_is_written_once() -> None:
    with closing(table()) as db:
        for numbers in (range(5), range(5, 10)):  # a process, and the next one
            rows = CallRows(SEAL)
            rows.load(db)
            for number in numbers:
                rows.take(db, (run_at_once(f"c{number}", run=f"r{number % 2}"),), number)
            rows.write(db)
        assert db.execute("SELECT count(*) FROM call_runs").fetchone()[0] == 2
        assert db.execute("SELECT count(*) FROM call_heads").fetchone()[0] == 1
        assert [call.run for call in read(db).values()] == ["r0", "r1"] * 5


def test_what_was_not_written_is_forgotten() -> None:
    with closing(table()) as db:
        rows = CallRows(SEAL)
        rows.load(db)
        db.execute("BEGIN")
        rows.take(db, (run_at_once("lost"),), 0)
        db.execute("ROLLBACK")  # and with it the numbers of its run and head
        rows.load(db)
        rows.take(db, (run_at_once("kept"),), 0)
        rows.write(db)
        assert list(read(db)) == ["kept"]
        assert running(db) == {"kept"}


def test_what_runs_while_many_others_do_is_not_written_again_each_time() -> None:
    with closing(table()) as db:
        rows = CallRows(SEAL)
        rows.load(db)
        idents = [f"c{number:04}" for number in range(MAX_RUNNING_TOGETHER + 1)]
        for number, ident in enumerate(idents):
            rows.take(db, (run_at_once(ident),), number)
        rows.write(db)
        (ids,) = db.execute("SELECT ids FROM running_calls").fetchone()
        assert ids == "[]"
        assert running(db) == set(idents)
        ends = [CallMoved(ident, 9, CallState.DONE, entry=0) for ident in idents[1:]]
        rows.take(db, ends, 0)
        rows.write(db)
        assert running(db) == {idents[0]}


def test_more_sorts_of_call_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_rows, "MAX_KNOWN_HEADS", 2)
    with closing(table()) as db:
        rows = CallRows(SEAL)
        rows.load(db)
        for number in range(9):
            rows.take(db, (run_at_once(f"c{number}", f"tool{number % 3}"),), number)
        rows.write(db)
        names = [call.name for call in read(db).values()]
        assert names == ["tool0", "tool1", "tool2"] * 3
        assert db.execute("SELECT count(*) FROM call_heads").fetchone()[0] == 3


@pytest.mark.parametrize(
    "statement", ["UPDATE running_calls SET ids = 'x'", "DELETE FROM running_calls"]
)
def test_a_store_that_does_not_say_what_runs_is_refused(statement: str) -> None:
    with closing(table()) as db:
        db.execute(statement)
        with pytest.raises(StoreError) as caught:
            CallRows(SEAL).load(db)
        assert caught.value.code == "database_damaged"


QUERIES = {
    "SELECT * FROM calls WHERE id < 'x' ORDER BY id DESC LIMIT 50": "PRIMARY KEY (id<?)",
    "SELECT * FROM calls WHERE run = 'r' AND id > 'x' ORDER BY id LIMIT 50": "(run=? AND id>?)",
    "SELECT * FROM calls WHERE agent = 'a' ORDER BY id DESC LIMIT 50": "SCAN c",
    "SELECT * FROM calls WHERE id = 'x'": "PRIMARY KEY (id=?)",
}


@pytest.mark.parametrize("sql", QUERIES)
def test_a_page_of_calls_is_read_in_order_and_not_sorted(sql: str) -> None:
    with closing(table()) as db:
        plan = [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert any(QUERIES[sql] in line for line in plan), plan
    assert not any("TEMP B-TREE" in line or "AUTOMATIC" in line for line in plan), plan
