"""What is written down of calls, attacked: texts that could break out of what is laid out before,
batches that fail as one, two processes on one file, and rows that somebody has altered.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.app import run_record
from bailiwick.app.paths import Paths
from bailiwick.app.run_record import RunRecord
from bailiwick.console.opened import true_arguments
from bailiwick.core.call import Call, CallKind, ModelUse, Target
from bailiwick.core.canonical import Digest, JsonObject, canonical
from bailiwick.core.errors import Conflict, StoreError
from bailiwick.core.flow.labels import NO_LABELS, Facts
from bailiwick.core.limits.limit import Charge
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.thinking.said_and_did import SaidAndDid, Thought
from bailiwick.core.verdict import Allow
from bailiwick.gateway.call_context import CallContext
from bailiwick.gateway.gate import Answered, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.recorder import Recorder, read_payload
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import (
    CallMoved,
    CallOpened,
    CallQuery,
    CallState,
    Change,
    Entry,
    HoldMoved,
    HoldState,
    UpstreamReply,
)
from bailiwick.stores.call_rows import MAX_RUNNING_TOGETHER
from bailiwick.stores.entry_rows import (
    INSERT_ENTRIES,
    entry_rows,
    leaves_of,
    read_entries,
    read_leaves,
)
from bailiwick.stores.schema import MIGRATIONS
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import READ, Dispatched, House, mandate

SEAL = TextSeal(b"k" * 32)

# --- texts that could break out ------------------------------------------------------------------

ODD = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        '"',
        "\\",
        '\\"',
        "\0",
        '\\u0000","owner":"eve',
        '","because":"x","v":2,"x":"',
        '"}{"salt":"',
        ',"traceparent":\0',
        "\u2028\U0001f4b8",
        "%b{0}",
    ]
)
VALUES: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=6,
)


class OpenVault:
    """Seals nothing, so that what is sealed can be looked at."""

    def knows(self, subject: str) -> bool:
        return bool(subject)

    async def ensure(self, subject: str, now_ms: int) -> None:
        raise AssertionError((subject, now_ms))

    def seal(self, subject: str, leaf: bytes, payload: bytes) -> bytes:
        del subject, leaf
        return payload

    def open(self, leaf: bytes, sealed: bytes) -> bytes:
        del leaf
        return sealed

    def pseudonym(self, subject: str) -> str:
        return f"p_{subject}"


def salts(size: int) -> bytes:
    return b"\xab" * size


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object in which no name stands twice."""
    found = dict(pairs)
    assert len(found) == len(pairs), pairs
    return found


@given(
    words=st.tuples(*[ODD] * 9),
    arguments=st.dictionaries(ODD, VALUES, max_size=4),
    beside=st.dictionaries(ODD, VALUES, max_size=2),
    kind=st.sampled_from(CallKind),
)
def test_no_text_breaks_out_of_an_intent(
    words: tuple[str, ...], arguments: JsonObject, beside: JsonObject, kind: CallKind
) -> None:
    agent, owner, principal, edge, trace, token, name, because, end_user = words
    by = Mandate("files", 3, Digest("0" * 64), principal, agent, "", MandateState.ACTIVE, ())
    use = ModelUse({"tokens": 7}, name) if kind is CallKind.MODEL else None
    call = Call.of("01J", Target(kind, "bank", name), arguments, beside, use)
    labels = replace(NO_LABELS, facts=Facts(end_user=end_user, end_user_by="agent"))
    context = CallContext(call, "02R", agent, owner, (by,), edge, trace, token, labels)
    context = msgspec.structs.replace(
        context, thought=Thought(SaidAndDid.ALTERED, "7", because, (name,))
    )
    write = Recorder(OpenVault(), salts)
    charges = (Charge("r", name, 1, 5, key=because),)
    for _ in range(2):  # the second time from memory
        entry = write.intent(context, Allow((because,), because), "allowed", 4, "", charges)
        fields = parse_leaf(entry.leaf).fields
        assert (fields["agent"], fields["token"], fields["edge"]) == (agent, token, edge)
        assert (fields["owner"], fields["principal"]) == (f"p_{owner}", f"p_{principal}")
        assert (fields["run"], fields.get("traceparent", "")) == ("02R", trace)
        assert json.loads(entry.sealed, object_pairs_hook=once)
        told = cast("dict[str, Any]", read_payload(entry.sealed))
        assert canonical(told["call"]) == call.canonical
        assert (told["because"], told["owner"], told["principal"]) == (because, owner, principal)
        (reserved,) = told["reserved"]
        assert (reserved["account"], reserved.get("key", "")) == (name, because)
        expected = {"salt", "call", "because", "principal", "owner", "reserved", "thought"}
        assert set(told) - {"use", "end_user", "end_user_by"} == expected
        assert told.get("end_user", "") == end_user


@given(value=VALUES, ident=ODD, run=ODD)
def test_no_text_breaks_out_of_an_outcome(value: object, ident: str, run: str) -> None:
    result = json.dumps(value, ensure_ascii=False).encode()
    by = Mandate("files", 3, Digest("0" * 64), "ada", "clerk", "", MandateState.ACTIVE, ())
    call = Call.of(ident, READ, {})
    context = CallContext(call, run, "clerk", "bo", (by,), "mcp", "", "3", NO_LABELS)
    write = Recorder(OpenVault(), salts)
    entry = write.outcome(context, CallState.DONE, "", 4, UpstreamReply(result=result))
    leaf = parse_leaf(entry.leaf)
    assert (leaf.id, leaf.fields["run"], leaf.fields["state"]) == (ident, run, "done")
    told = json.loads(entry.sealed, object_pairs_hook=lambda pairs: pairs)
    assert [name for name, _ in told] == ["salt", "result"]
    assert json.dumps(told[1][1]) == json.dumps(json.loads(result, object_pairs_hook=lambda p: p))


@pytest.mark.parametrize("number", [1e16, -1e20, 3.286235787939611e16, 2.0**53])
async def test_no_number_keeps_a_call_from_being_looked_at_or_its_run_from_being_exported(
    tmp_path: Path, number: float
) -> None:
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate())
    answer = await house.ask(READ, {"n": [number], "m": 1}, Dispatched())
    path = await Paths(house.records, house.recorder).one(answer.call)
    assert path is not None
    assert true_arguments(path) == {"n": [number], "m": 1}
    record = await RunRecord(house.records, house.recorder).page(path.call.run, "", 10)
    (line,) = record.lines[1:]
    shown = json.loads(line)["entries"][0]["shown"]["arguments"]["text"].encode()
    assert hashlib.sha256(shown).hexdigest() == path.call.digest
    await house.close()


async def test_a_page_of_a_record_is_bounded_by_what_it_says_and_not_by_how_well_that_was_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_record, "MAX_PAGE_BYTES", 150_000)
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate())
    for _ in range(4):
        answer = await house.ask(READ, {"n": "x" * 50_000}, Dispatched())
    path = await Paths(house.records, house.recorder).one(answer.call)
    assert path is not None
    assert path.opened_bytes > 50_000
    record = await RunRecord(house.records, house.recorder).page(path.call.run, "", 10)
    assert len(record.lines) == 1 + 2, "the run, and the call that passes the bound"
    assert record.following
    await house.close()


# --- batches that fail ---------------------------------------------------------------------------


class Disk:
    """Commits until it is told to fail once, before it has written or after."""

    def __init__(self, error: Exception, *, persisted: bool = False) -> None:
        self.error, self.persisted, self.failing = error, persisted, False

    def __call__(self, db: sqlite3.Connection) -> None:
        if not self.failing:
            db.commit()
            return
        self.failing = False
        if self.persisted:
            db.commit()
        raise self.error


async def asked(house: House, dispatch: Dispatched, count: int) -> Sequence[object]:
    return await asyncio.gather(
        *(house.ask(READ, {"n": number}, dispatch) for number in range(count))
    )


@pytest.mark.parametrize("persisted", [False, True], ids=["lost", "persisted but reported failed"])
async def test_every_call_of_a_batch_that_fails_is_refused_and_the_record_has_no_holes(
    tmp_path: Path, persisted: bool
) -> None:
    disk = Disk(sqlite3.OperationalError("database or disk is full"), persisted=persisted)
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate(), commit=disk)
    dispatch = Dispatched()
    await house.ask(READ, {}, dispatch)
    disk.failing = True
    lost = await asked(house, dispatch, 8)
    assert not disk.failing, "all of them in one transaction"
    assert {type(answer) for answer in lost} == {Refused}
    assert {answer.code for answer in lost if isinstance(answer, Refused)} == {"ledger_unavailable"}
    assert dispatch.count == 1
    well = await asked(house, dispatch, 8)
    assert {type(answer) for answer in well} == {Answered}
    left = {call.id for call in await house.records.open_calls()}
    assert left == (
        {answer.call for answer in lost if isinstance(answer, Refused)} if persisted else set()
    )
    calls = {call.id: call for call in await house.records.calls(CallQuery())}
    assert len(calls) == 9 + 8 * persisted
    for call in calls.values():
        (entry,) = await house.records.entries(call.intent_index, call.intent_index + 1)
        assert parse_leaf(entry.leaf).id == call.id
    stored = await house.records.entries(0, await house.records.entry_count())
    assert [entry.index for entry in stored] == list(range(len(stored)))
    await house.close()


async def test_whatever_keeps_a_batch_from_its_disk_nobody_waits_for_ever(tmp_path: Path) -> None:
    disk = Disk(MemoryError("no more"))
    journal = SqliteJournal(tmp_path / "b.db", seal=SEAL, commit=disk)
    disk.failing = True
    async with asyncio.timeout(30):
        with pytest.raises(StoreError):
            await journal.commit([Entry(b"{}")])
        assert await journal.commit([Entry(b"{}")]) == range(1)
        await journal.close()


def opened(ident: str, run: str = "r", name: str = "pay", **more: object) -> CallOpened:
    fields = {"agent": "clerk", "mandate": "m@1", "principal": "jo", "kind": "tool"}
    rest = {"upstream": "bank", "name": name, "digest": "", "state": CallState.RUNNING}
    whole: dict[str, object] = {**fields, **rest, "code": "allowed", "because": name, **more}
    return msgspec.convert({"id": ident, "at_ms": 5, "run": run, **whole}, CallOpened)


async def test_a_commit_that_conflicts_leaves_nothing_among_those_of_its_batch(
    tmp_path: Path,
) -> None:
    journal = SqliteJournal(tmp_path / "b.db", seal=SEAL)
    records = SqliteRecords(tmp_path / "b.db", seal=SEAL)
    over = HoldMoved("h", HoldState.APPROVED, HoldState.USED, 6)
    commits: list[tuple[list[Entry], list[Change]]] = [
        ([Entry(b"0")], [opened("c0")]),
        ([Entry(b"lost"), Entry(b"lost")], [over, opened("c1", name="lost"), moved("c0")]),
        ([Entry(b"1"), Entry(b"2")], [opened("c2", "r2", "read")]),
    ]
    found = await asyncio.gather(
        *(journal.commit(*each) for each in commits), return_exceptions=True
    )
    assert (found[0], found[2]) == (range(1), range(1, 3))
    assert isinstance(found[1], Conflict)
    calls = {call.id: call for call in await records.calls(CallQuery())}
    assert {ident: (call.state, call.name) for ident, call in calls.items()} == {
        "c0": (CallState.RUNNING, "pay"),
        "c2": (CallState.RUNNING, "read"),
    }
    assert list(await records.leaves(0, 9)) == [b"0", b"1", b"2"]
    assert [call.id for call in await records.open_calls()] == ["c0", "c2"]
    await journal.close()
    await records.close()


def moved(ident: str, state: CallState = CallState.DONE) -> CallMoved:
    return CallMoved(ident, 9, state, entry=0)


# --- two processes on one file -------------------------------------------------------------------


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[list[SqliteJournal], SqliteRecords]]:
    """Two journals, as two processes have, and a reader."""
    path = tmp_path / "b.db"
    journals = [SqliteJournal(path, seal=SEAL) for _ in range(2)]
    records = SqliteRecords(path, seal=SEAL)
    yield journals, records
    for journal in journals:
        await journal.close()
    await records.close()


async def test_what_one_process_remembers_of_calls_is_forgotten_when_another_has_written(
    pair: tuple[list[SqliteJournal], SqliteRecords],
) -> None:
    journals, records = pair
    said: dict[str, CallOpened] = {}
    for number in range(40):
        # Each says what the other has said before, or says it first; every other call ends there.
        change = opened(f"c{number:02}", f"r{number % 3}", f"tool{number % 7}")
        said[change.id] = change
        await journals[number % 2].commit([Entry(b"{}")], [change])
        if number % 4 == 3:
            await journals[number // 4 % 2].commit([Entry(b"{}")], [moved(f"c{number - 1:02}")])
    calls = {call.id: call for call in await records.calls(CallQuery(limit=99))}
    assert {ident: (each.run, each.name, each.because) for ident, each in calls.items()} == {
        ident: (each.run, each.name, each.because) for ident, each in said.items()
    }
    running = {ident for ident, call in calls.items() if call.state is CallState.RUNNING}
    assert len(running) == 30
    assert {call.id for call in await records.open_calls()} == running


async def test_calls_that_began_in_one_process_and_were_many_end_in_another(
    pair: tuple[list[SqliteJournal], SqliteRecords],
) -> None:
    (one, other), records = pair
    idents = [f"c{number:04}" for number in range(MAX_RUNNING_TOGETHER + 2)]
    await one.commit([], [opened(ident) for ident in idents])
    await other.commit([Entry(b"{}")], [moved(ident) for ident in idents[:-1]])
    await one.commit([], [opened("new")])
    assert [call.id for call in await records.open_calls()] == [idents[-1], "new"]
    await one.commit([Entry(b"{}")], [moved(idents[-1]), moved("new")])
    assert await records.open_calls() == []


# --- rows that somebody has altered --------------------------------------------------------------


def table(*transactions: Sequence[Entry]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    for script in MIGRATIONS:
        db.executescript(script)
    first = 0
    for entries in transactions:
        db.executemany(INSERT_ENTRIES, entry_rows(first, entries, leaves_of(entries)))
        first += len(entries)
    return db


Read = Callable[[sqlite3.Connection, int, int], object]
READERS: list[Read] = [read_leaves, lambda db, start, stop: list(read_entries(db, start, stop))]

ALTERED = {
    "text for bytes": "UPDATE entries SET leaf = 'c', sealed = 'c' WHERE idx = 2",
    "a number for bytes": "UPDATE entries SET leaf = 7 WHERE idx = 2",
    "text for many": "UPDATE entries SET leaf = 'ab' WHERE idx = 0",
    "one fewer": "UPDATE entries SET count = 1 WHERE idx = 0",
    "one more": "UPDATE entries SET count = 3 WHERE idx = 0",
    "none": "UPDATE entries SET count = 0 WHERE idx = 2",
    "less than none": "UPDATE entries SET count = -1 WHERE idx = 2",
    "no count": "UPDATE entries SET count = 'x' WHERE idx = 2",
    "a row within another": "INSERT INTO entries VALUES (1, x'7b7d', x'', 1)",
}


@pytest.mark.parametrize("read", READERS, ids=["leaves", "entries"])
@pytest.mark.parametrize("statement", ALTERED.values(), ids=ALTERED.keys())
def test_entries_that_do_not_stand_one_after_the_other_are_not_read_as_if(
    statement: str, read: Read
) -> None:
    with closing(table([Entry(b"a", b"1"), Entry(b"b", b"2")], [Entry(b"c", b"3")])) as db:
        db.execute(statement)
        with pytest.raises(StoreError) as caught:
            read(db, 0, 3)
        assert caught.value.code == "database_damaged"
