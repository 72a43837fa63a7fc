"""The contract of `ports.Journal` and `ports.Records`, held over every store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from bailiwick.core.errors import Conflict, StoreError
from bailiwick.ports import (
    CallMoved,
    CallOpened,
    CallQuery,
    CallState,
    Entry,
    HoldMoved,
    HoldOpened,
    HoldState,
    ObjectPut,
    ObjectState,
    Pinned,
    PinState,
    RunEnded,
    RunOpened,
    SpansKept,
    Stamped,
    SubjectKey,
    TokenRevoked,
)
from bailiwick.stores.sqlite import SqliteJournal
from bailiwick.stores.sqlite_reads import SqliteRecords
from bailiwick.stores.text_seal import TextSeal

SEAL = TextSeal(b"v" * 32)


class Store:
    def __init__(self, folder: Path, fsync: bool) -> None:
        self.path = folder / "bailiwick.db"
        self.fsync = fsync
        self.open()

    def open(self) -> None:
        self.journal = SqliteJournal(self.path, seal=SEAL, fsync=self.fsync)
        self.records = SqliteRecords(self.path, seal=SEAL)

    async def close(self) -> None:
        await self.journal.close()
        await self.records.close()


@pytest.fixture(params=["fsync", "no fsync"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    store = Store(tmp_path, request.param == "fsync")
    yield store
    await store.close()


def entry(number: int) -> Entry:
    return Entry(b'{"n":%d}' % number, b"sealed %d" % number)


def opened(call: str, state: CallState = CallState.RUNNING, run: str = "r1") -> CallOpened:
    return CallOpened(
        id=call,
        at_ms=1,
        run=run,
        agent="clerk",
        mandate="m@1",
        principal="ada",
        kind="tool",
        upstream="bank",
        name="pay",
        digest="d" * 64,
        state=state,
        code="allowed",
        because="it may",
    )


def held(hold: str = "h1", call: str = "c1") -> HoldOpened:
    return HoldOpened(
        id=hold,
        call=call,
        digest="d" * 64,
        mandate="m@1",
        agent="clerk",
        run="r1",
        kind="tool",
        upstream="bank",
        name="pay",
        because="above 1000",
        rules=("m@1/stamp/1",),
        role="treasurer",
        excluded=("ada",),
        count=1,
        rendering="text",
        nonce="n",
        at_ms=1,
        expires_ms=100,
    )


async def test_entries_get_contiguous_indexes_in_order(store: Store) -> None:
    assert await store.journal.commit([entry(0), entry(1)]) == range(2)
    assert await store.journal.commit([entry(2)]) == range(2, 3)
    found = await store.records.entries(0, 10)
    assert [(e.index, e.leaf, e.sealed) for e in found] == [
        (n, b'{"n":%d}' % n, b"sealed %d" % n) for n in range(3)
    ]
    assert await store.records.entry_count() == 3


async def test_concurrent_commits_each_keep_their_entries_together(store: Store) -> None:
    async def commit(number: int) -> range:
        return await store.journal.commit([entry(number), entry(number)])

    ranges = await asyncio.gather(*(commit(n) for n in range(200)))
    assert sorted(index for r in ranges for index in r) == list(range(400))
    for number, at in enumerate(ranges):
        stored = await store.records.entries(at.start, at.stop)
        assert {e.leaf for e in stored} == {b'{"n":%d}' % number}


async def test_everything_acknowledged_is_there_after_reopening(store: Store) -> None:
    await store.journal.commit([entry(0)], [RunOpened("r1", "k", 1, "clerk", "m"), opened("c1")])
    await store.journal.commit([entry(1)], [CallMoved("c1", 5, CallState.DONE, entry=0)])
    await store.close()
    store.open()
    call = await store.records.call("c1")
    assert call is not None
    assert (call.state, call.intent_index, call.outcome_index) == (CallState.DONE, 0, 1)
    assert (call.ended_ms, call.code, call.because) == (5, "allowed", "it may")
    assert await store.journal.commit([entry(2)]) == range(2, 3)


async def test_of_each_agent_the_newest_call_is_found_over_all_its_runs(store: Store) -> None:
    assert await store.records.last_calls() == []
    other = msgspec.structs.replace(opened("c5", run="r3"), agent="auditor")
    calls = [opened("c1"), opened("c4"), opened("c2", run="r2"), opened("c3", run="r2"), other]
    await store.journal.commit([entry(n) for n in range(5)], calls)
    await store.journal.commit([entry(5)], [CallMoved("c4", 5, CallState.DONE, entry=0)])
    found = {row.agent: row for row in await store.records.last_calls()}
    assert {name: row.id for name, row in found.items()} == {"clerk": "c4", "auditor": "c5"}
    assert found["clerk"] == await store.records.call("c4")


async def test_a_running_call_has_its_approval_and_no_outcome(store: Store) -> None:
    await store.journal.commit([entry(0)], [opened("c1", CallState.HELD)])
    await store.journal.commit([entry(1)], [CallMoved("c1", 4, CallState.RUNNING, "ok", entry=0)])
    call = await store.records.call("c1")
    assert call is not None
    assert (call.approved_index, call.outcome_index, call.ended_ms) == (1, None, None)
    assert [c.id for c in await store.records.open_calls()] == ["c1"]
    await store.journal.commit([entry(2)], [CallMoved("c1", 5, CallState.DONE, entry=0)])
    call = await store.records.call("c1")
    assert call is not None
    assert (call.approved_index, call.outcome_index) == (1, 2)
    assert await store.records.open_calls() == []


async def test_a_conflict_voids_its_own_commit_and_no_other(store: Store) -> None:
    await store.journal.commit([entry(0)], [opened("c1", CallState.HELD), held()])
    use = HoldMoved("h1", HoldState.APPROVED, HoldState.USED, 9)
    approve = HoldMoved("h1", HoldState.WAITING, HoldState.APPROVED, 8)
    results = await asyncio.gather(
        store.journal.commit([entry(1)], [use]),
        store.journal.commit([entry(2)], [approve]),
        store.journal.commit([entry(3)], [opened("c2")]),
        return_exceptions=True,
    )
    assert isinstance(results[0], Conflict)
    assert list(results[1:]) == [range(1, 2), range(2, 3)]
    assert [e.leaf for e in await store.records.entries(1, 9)] == [b'{"n":2}', b'{"n":3}']


async def test_a_hold_is_used_once_however_many_try_together(store: Store) -> None:
    await store.journal.commit([], [held()])
    await store.journal.commit([], [HoldMoved("h1", HoldState.WAITING, HoldState.APPROVED, 8)])
    use = HoldMoved("h1", HoldState.APPROVED, HoldState.USED, 9)
    results = await asyncio.gather(
        *(store.journal.commit([entry(n)], [use]) for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, range) for result in results) == 1
    assert await store.records.entry_count() == 1


async def test_one_person_stamps_one_hold_once(store: Store) -> None:
    await store.journal.commit([], [held()])
    stamp = Stamped("h1", "ben", "approve", "fine", "token", 3, "{}")
    await store.journal.commit([entry(0)], [stamp])
    with pytest.raises(Conflict):
        await store.journal.commit([entry(1)], [stamp])
    hold = await store.records.hold("h1")
    assert hold is not None
    assert [(s.person, s.entry_index) for s in hold.stamps] == [("ben", 0)]
    assert (hold.rules, hold.excluded, hold.role) == (("m@1/stamp/1",), ("ada",), "treasurer")


async def test_a_used_or_withdrawn_hold_is_never_found_again(store: Store) -> None:
    key = ("d" * 64, "m@1", "clerk")
    await store.journal.commit([], [held()])
    found = await store.records.hold_for(*key)
    assert found is not None
    assert await store.records.hold_for("e" * 64, "m@1", "clerk") is None
    assert await store.records.hold_for("d" * 64, "m@2", "clerk") is None
    assert await store.records.hold_for("d" * 64, "m@1", "other") is None
    await store.journal.commit([], [HoldMoved("h1", HoldState.WAITING, HoldState.WITHDRAWN, 8)])
    assert await store.records.hold_for(*key) is None


async def test_calls_are_listed_in_either_order_and_filtered(store: Store) -> None:
    for number in range(5):
        run = f"r{number % 2}"
        await store.journal.commit([entry(number)], [opened(f"c{number}", run=run)])
    await store.journal.commit([], [CallMoved("c3", 5, CallState.FAILED)])

    async def ids(query: CallQuery) -> list[str]:
        return [call.id for call in await store.records.calls(query)]

    assert await ids(CallQuery(limit=2)) == ["c4", "c3"]
    assert await ids(CallQuery(before="c3")) == ["c2", "c1", "c0"]
    assert await ids(CallQuery(after="c2")) == ["c4", "c3"]
    assert await ids(CallQuery(after="c0", first="oldest", limit=2)) == ["c1", "c2"]
    assert await ids(CallQuery(run="r1", first="oldest")) == ["c1", "c3"]
    assert await ids(CallQuery(run="r1")) == ["c3", "c1"]
    assert await ids(CallQuery(run="r1", state="failed")) == ["c3"]
    assert await ids(CallQuery(mandate="m")) == ["c4", "c3", "c2", "c1", "c0"]
    assert await ids(CallQuery(mandate="m@1", agent="nobody")) == []


async def test_runs_count_their_calls_by_state(store: Store) -> None:
    await store.journal.commit([], [RunOpened("r1", "key", 1, "clerk", "m")])
    await store.journal.commit([], [RunOpened("r2", "key", 2, "clerk", "m")])
    await store.journal.commit([entry(0), entry(1)], [opened("c1"), opened("c2")])
    await store.journal.commit([], [CallMoved("c2", 5, CallState.DONE)])
    run = await store.records.run_by_key("clerk", "m", "key")
    assert run is not None
    assert (run.id, run.calls, run.states) == ("r1", 2, {"running": 1, "done": 1})
    assert [r.id for r in await store.records.runs()] == ["r1"]


async def test_a_run_says_who_began_it_and_ends_once(store: Store) -> None:
    begun = RunOpened("r1", "run:r1", 1, "clerk", "m", "person", "ada", "person", "t1", entry=1)
    indexes = await store.journal.commit([entry(0), entry(1)], [begun])
    run = await store.records.run("r1")
    assert run is not None
    assert (run.started_by, run.person, run.supplier) == ("person", "ada", "person")
    assert run.token == "t1"
    assert (run.entry_index, run.ended_ms) == (indexes[1], None)
    assert await store.records.run("r2") is None
    await store.journal.commit([], [RunEnded("r1", 7)])
    for gone in ("r1", "r2"):
        with pytest.raises(Conflict):
            await store.journal.commit([entry(2)], [RunEnded(gone, 8)])
    ended = await store.records.run("r1")
    assert ended is not None
    assert ended.ended_ms == 7
    assert await store.records.entry_count() == 2


async def test_a_run_from_before_there_was_more_to_say_is_the_agents(store: Store) -> None:
    await store.journal.commit([], [RunOpened("r1", "key", 1, "clerk", "m")])
    run = await store.records.run("r1")
    assert run is not None
    assert (run.started_by, run.person, run.supplier, run.entry_index) == ("agent", "", "", None)


async def test_objects_show_their_newest_version(store: Store) -> None:
    for version in (1, 2):
        put = ObjectPut("mandate", "m", version, f"{version}" * 64, "{}", "active", version, "ada")
        await store.journal.commit([], [put])
    await store.journal.commit([], [ObjectState("mandate", "m", "revoked", 9, "ada")])
    (newest,) = await store.records.objects("mandate")
    assert (newest.version, newest.state, newest.digest) == (2, "revoked", "2" * 64)
    first, _ = await store.records.versions("mandate", "m")
    assert (first.version, first.state) == (1, "active")
    with pytest.raises(Conflict):
        await store.journal.commit([], [ObjectState("mandate", "x", "revoked", 9, "ada")])


async def test_pins_keys_and_revoked_tokens_are_kept(store: Store) -> None:
    pin = Pinned("bank", "tool", "pay", "a" * 64, "{}", PinState.ACCEPTED, 1)
    key = SubjectKey(1, "ada", b"wrapped", 1)
    await store.journal.commit([], [pin, key, TokenRevoked("t1", 100, "ada")])
    assert await store.records.pins() == [pin]
    assert await store.records.subject_keys() == [key]
    assert await store.records.revoked_tokens(99) == ["t1"]
    assert await store.records.revoked_tokens(100) == []


async def test_a_cancelled_waiter_does_not_undo_its_commit(store: Store) -> None:
    task = asyncio.ensure_future(store.journal.commit([entry(0)]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await store.journal.commit([entry(1)]) == range(1, 2)


async def test_what_cannot_be_written_fails_by_itself_and_holds_nobody_up(store: Store) -> None:
    odd = msgspec.structs.replace(opened("c1"), name="\ud800")
    async with asyncio.timeout(30):
        with pytest.raises(StoreError):
            await store.journal.commit([entry(1)], [odd])
        assert await store.journal.commit([entry(2)], [opened("c2")]) == range(1)
    assert await store.records.call("c1") is None


async def test_a_closed_store_refuses(store: Store) -> None:
    await store.journal.close()
    with pytest.raises(StoreError) as caught:
        await store.journal.commit([entry(0)])
    assert caught.value.code == "store_closed"
    store.open()


# --- what is opened -------------------------------------------------------------------------------


async def test_a_damaged_database_refuses_to_open_and_says_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path, True)
    for number in range(200):
        await store.journal.commit([Entry(b"x" * 2000)], [opened(f"c{number}")])
    await store.close()
    raw = bytearray(store.path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 8192] = b"\xff" * 8192
    store.path.write_bytes(raw)
    with pytest.raises(StoreError, match="restore the newest backup") as caught:
        SqliteJournal(store.path, seal=SEAL)
    assert caught.value.code == "database_damaged"


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0broken"])
def test_a_file_that_is_no_database_refuses_to_open(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bailiwick.db"
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        SqliteJournal(path, seal=SEAL)
    assert caught.value.code == "database_damaged"
    assert path.read_bytes() == content


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bailiwick.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(StoreError) as caught:
        SqliteJournal(path, seal=SEAL)
    assert caught.value.code == "not_our_database"


async def test_a_newer_schema_refuses_to_open(tmp_path: Path) -> None:
    store = Store(tmp_path, True)
    await store.close()
    db = sqlite3.connect(store.path)
    db.execute("PRAGMA user_version=999")
    db.close()
    with pytest.raises(StoreError) as caught:
        SqliteJournal(store.path, seal=SEAL)
    assert caught.value.code == "database_newer"


async def test_spans_of_a_run_are_read_in_order_and_added_up(store: Store) -> None:
    entry = Entry(b'{"v":1}', b"sealed")
    for ident, run, count in (("01B", "r1", 3), ("01A", "r1", 2), ("01C", "r2", 5)):
        kept = SpansKept(ident, run, 7, "t1", count, 10 * count)
        await store.journal.commit([entry], [kept])
    rows = await store.records.spans("r1")
    assert [(row.id, row.spans, row.size_bytes, row.entry_index) for row in rows] == [
        ("01A", 2, 20, 1),
        ("01B", 3, 30, 0),
    ]
    assert [row.id for row in await store.records.spans("r1", after="01A")] == ["01B"]
    assert await store.records.spans_kept("r1") == (5, 50)
    assert await store.records.spans_kept("none") == (0, 0)


async def test_a_batch_of_spans_is_kept_once(store: Store) -> None:
    kept = SpansKept("01A", "r1", 7, "t1", 1, 10)
    entry = Entry(b'{"v":1}', b"sealed")
    await store.journal.commit([entry], [kept])
    with pytest.raises(Conflict):
        await store.journal.commit([entry], [kept])
    assert await store.records.entry_count() == 1
