"""Reservations in a store: with the intent or not at all, settled with the outcome, never lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from bailiwick.core.errors import Conflict, LimitReached, StoreError
from bailiwick.ports import (
    CallMoved,
    CallQuery,
    CallState,
    HoldMoved,
    HoldState,
    ObjectPut,
    ObjectState,
    Reserved,
    Settled,
    Settlement,
)
from bailiwick.stores.schema import APPLICATION_ID, MIGRATIONS, prepare
from bailiwick.stores.sqlite import SqliteJournal
from tests.stores.limits_room import (
    DAY,
    PAYEES,
    ROLLING,
    SEAL,
    Store,
    at_once,
    daily,
    entry,
    opened,
    payee,
    rolling,
)

POSTED, VOIDED, UNKNOWN = Settlement.POSTED, Settlement.VOIDED, Settlement.UNKNOWN


@pytest.fixture(params=["fsync", "no fsync"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    store = Store(tmp_path, request.param == "fsync")
    yield store
    await store.close()


async def test_a_reservation_counts_as_soon_as_its_intent_is_durable(store: Store) -> None:
    await store.reserve("c1", daily(60))
    assert store.used(daily(1)) == 60
    (call,) = await store.records.calls(CallQuery())
    assert (call.id, call.state) == ("c1", CallState.RUNNING)


async def test_what_does_not_fit_writes_nothing_at_all(store: Store) -> None:
    await store.reserve("c1", daily(60))
    with pytest.raises(LimitReached) as refused:
        await store.reserve("c2", daily(41))
    assert refused.value.code == "limit_exceeded"
    assert [call.id for call in await store.records.calls(CallQuery())] == ["c1"]
    assert await store.records.entry_count() == 1
    assert store.used(daily(1)) == 60
    assert await store.reserve("c3", daily(40)) == range(1, 2)


async def test_one_limit_that_is_full_leaves_all_the_others_alone(store: Store) -> None:
    await store.reserve("c1", at_once())
    with pytest.raises(LimitReached):
        await store.reserve("c2", daily(5), payee('"bo"'), at_once())
    assert store.used(daily(1)) == 0
    assert store.used(payee('"cy"')) == 0


async def test_of_many_at_once_exactly_as_many_fit_as_there_is_room(store: Store) -> None:
    done = await asyncio.gather(
        *(store.reserve(f"c{n:02}", daily(10)) for n in range(64)), return_exceptions=True
    )
    refused = [each for each in done if isinstance(each, LimitReached)]
    assert (len(done) - len(refused), len(refused)) == (10, 54)
    assert store.used(daily(1)) == 100
    assert await store.records.entry_count() == 10


async def test_a_refusal_in_a_batch_leaves_no_gap_in_the_ledger(store: Store) -> None:
    first, second, third = await asyncio.gather(
        store.reserve("c1", at_once()),
        store.reserve("c2", at_once()),
        store.reserve("c3", daily(1)),
        return_exceptions=True,
    )
    assert isinstance(second, LimitReached)
    assert (first, third) == (range(1), range(1, 2))


async def test_how_it_ends_is_what_counts_on(store: Store) -> None:
    for call, how in (("c1", POSTED), ("c2", VOIDED), ("c3", UNKNOWN)):
        await store.reserve(call, daily(10), at_once(ceiling=9))
        await store.end(call, how)
    assert store.used(daily(1)) == 20
    assert store.used(at_once()) == 1  # the unknown one may be going on


async def test_all_of_it_is_there_again_after_opening_anew(store: Store) -> None:
    await store.reserve("c1", daily(10, key='["bo"]'), payee('"bo"'), rolling(70_000), at_ms=70_000)
    await store.reserve("c2", daily(7, key='["cy"]'), payee('"cy"'), rolling(70_001), at_ms=70_001)
    await store.end("c1", POSTED)
    await store.close()
    store.open()
    assert store.used(daily(1, key='["bo"]')) == 10
    assert store.used(daily(1, key='["cy"]')) == 7
    assert store.used(daily(1)) == 0
    assert (store.used(payee('"bo"')), store.used(payee('"di"'))) == (1, 2)
    assert store.used(rolling(130_000)) == 1
    with pytest.raises(LimitReached):
        await store.reserve("c3", payee('"di"'))
    await store.end("c2", VOIDED)
    assert await store.reserve("c4", payee('"di"')) == range(4, 5)


async def test_less_than_was_reserved_frees_the_rest_and_more_is_posted(store: Store) -> None:
    await store.reserve("c1", daily(60))
    await store.end("c1", POSTED, ((DAY, "", 15),))
    assert store.used(daily(1)) == 15
    await store.reserve("c2", daily(80))
    await store.end("c2", POSTED, ((DAY, "", 200),))
    assert store.used(daily(1)) == 215
    assert store.rows("SELECT pending, posted, unknown FROM balances") == [(0, 215, 0)]


async def test_a_second_reservation_of_a_call_does_nothing_or_is_refused(store: Store) -> None:
    await store.reserve("c1", daily(60))
    again = Reserved("c1", 3, (daily(60),))
    assert await store.journal.commit([entry("again")], [again]) == range(1, 2)
    assert store.used(daily(1)) == 60
    with pytest.raises(Conflict) as refused:
        await store.journal.commit([entry("other")], [Reserved("c1", 3, (daily(61),))])
    assert refused.value.code == "reserved_otherwise"
    assert await store.records.entry_count() == 2


async def test_the_end_may_come_twice_but_not_differently(store: Store) -> None:
    await store.reserve("c1", daily(60))
    await store.end("c1", POSTED)
    await store.journal.commit([entry("again")], [Settled("c1", 9, POSTED)])
    assert store.used(daily(1)) == 60
    with pytest.raises(Conflict) as refused:
        await store.journal.commit([entry("other")], [Settled("c1", 9, VOIDED)])
    assert refused.value.code == "settled_otherwise"
    assert store.rows("SELECT count(*) FROM transfers") == [(2,)]


async def test_two_ends_in_one_batch_count_once(store: Store) -> None:
    await store.reserve("c1", daily(60))
    await store.end("c1", UNKNOWN)
    await asyncio.gather(
        store.journal.commit([entry("a")], [Settled("c1", 9, POSTED)]),
        store.journal.commit([entry("b")], [Settled("c1", 9, POSTED)]),
    )
    assert store.used(daily(1)) == 60
    assert store.rows("SELECT pending, posted, unknown FROM balances") == [(0, 60, 0)]


async def test_a_call_may_be_settled_in_parts(store: Store) -> None:
    await store.reserve("c1", daily(60), payee('"bo"'))
    parts = (
        Settled("c1", 2, VOIDED, only=((PAYEES, ""),)),
        Settled("c1", 2, POSTED, only=((DAY, ""),)),
    )
    await store.journal.commit([entry("c1")], parts)
    assert (store.used(daily(1)), store.used(payee('"cy"'))) == (60, 0)


async def test_whoever_settles_too_late_in_parts_keeps_nobody_else_from_the_record(
    store: Store,
) -> None:
    await store.reserve("c1", daily(60), at_once(9))
    await store.end("c1", UNKNOWN)
    await store.end("c1", POSTED)  # a person was faster than the rules of the two limits
    which = [((charge.account, charge.key),) for charge in (daily(0), at_once())]
    parts = [
        Settled("c1", 3, how, only=only) for how, only in zip((POSTED, VOIDED), which, strict=True)
    ]
    late, other = await asyncio.gather(
        store.journal.commit([entry("late")], parts),
        store.reserve("c2", daily(40)),
        return_exceptions=True,
    )
    assert isinstance(late, Conflict)
    assert isinstance(other, range)
    assert store.used(daily(0)) == 100


async def test_what_is_unknown_is_listed_until_all_of_it_is_settled(store: Store) -> None:
    await store.reserve("c1", daily(60), payee('"bo"'))
    await store.end("c1", UNKNOWN, at_ms=5)
    assert store.rows("SELECT * FROM unsettled") == [("c1", 5)]
    await store.journal.commit([], [Settled("c1", 6, VOIDED, only=((PAYEES, ""),))])
    assert store.rows("SELECT * FROM unsettled") == [("c1", 5)]
    await store.journal.commit([], [Settled("c1", 7, POSTED, only=((DAY, ""),))])
    assert store.rows("SELECT * FROM unsettled") == []
    assert (store.used(daily(1)), store.used(payee('"cy"'))) == (60, 0)
    await store.journal.commit([], [Settled("c1", 8, POSTED)])  # it turns out to have happened
    assert (store.used(daily(1)), store.used(payee('"cy"'))) == (60, 1)


@pytest.mark.parametrize("because", ["", "the gateway stopped"])
async def test_an_outcome_that_is_replaced_is_recorded_however_the_first_was_found(
    store: Store, because: str
) -> None:
    """One that says why is found by a row of its own, and keeps it."""
    await store.reserve("c1", daily(60))
    lost = CallMoved("c1", 5, CallState.UNKNOWN, "lost", because, entry=0)
    await store.journal.commit([entry("c1")], [lost, Settled("c1", 5, UNKNOWN)])
    await store.end("c1", VOIDED, at_ms=6)
    await store.end("c1", POSTED, at_ms=7)
    made = await store.records.transfers("c1")
    assert [each.target for each in made] == ["pending", "unknown", "free", "posted"]
    assert await store.records.unsettled() == []
    assert (await store.records.audit_limits()).differences == ()


async def test_a_hold_that_moved_reserves_nothing_and_a_full_limit_moves_no_hold(
    store: Store,
) -> None:
    gone = HoldMoved("h1", HoldState.APPROVED, HoldState.USED, 1)
    with pytest.raises(Conflict):
        await store.journal.commit([entry("c1")], [gone, Reserved("c1", 1, (daily(60),))])
    assert store.used(daily(1)) == 0
    put = ObjectPut("mandate", "pay", 1, "d", "{}", "active", 1, "ada")
    await store.journal.commit([entry("o")], [put])
    stopping = ObjectState("mandate", "pay", "suspended", 2, "")
    with pytest.raises(LimitReached):
        await store.journal.commit([entry("c2")], [stopping, Reserved("c2", 1, (daily(101),))])
    (mandate,) = await store.records.objects("mandate")
    assert mandate.state == "active"


async def test_postings_cannot_be_changed_or_removed(store: Store) -> None:
    await store.reserve("c1", daily(60))
    db = sqlite3.connect(store.path)
    for statement in ("UPDATE postings SET moves = '[]'", "DELETE FROM postings"):
        with pytest.raises(sqlite3.IntegrityError, match="only ever appended"):
            db.execute(statement)
    db.close()


async def test_no_value_of_a_call_is_at_rest_in_clear(store: Store) -> None:
    iban = "CH9300762011623852957"
    await store.reserve("c1", daily(60, key=f'["{iban}"]'), payee(f'"{iban}"'))
    await store.reserve("c2", daily(1, key=f'["{iban}"]'), payee(f'"{iban}"'))
    assert store.used(daily(1, key=f'["{iban}"]')) == 61
    await store.close()
    for file in store.path.parent.iterdir():
        assert iban.encode() not in file.read_bytes()
    store.open()
    assert store.used(payee('"another"')) == 1
    assert len(store.rows("SELECT * FROM accounts")) == 2


async def test_a_key_moved_to_another_account_is_damage(store: Store) -> None:
    await store.reserve("c1", payee('"bo"'))
    await store.close()
    db = sqlite3.connect(store.path)
    db.execute("UPDATE accounts SET account = ?", (DAY,))
    db.commit()
    db.close()
    store.open()
    with pytest.raises(StoreError) as found:
        store.used(daily(1))
    assert found.value.code == "text_damaged"


class Failing:
    """Fails the next commit when told: before it happened, or after."""

    def __init__(self) -> None:
        self.fails = ""

    def __call__(self, db: sqlite3.Connection) -> None:
        fails, self.fails = self.fails, ""
        if fails == "persisted":
            db.commit()
        if fails:
            raise sqlite3.OperationalError("disk I/O error")
        db.commit()


@pytest.mark.parametrize(("fails", "left"), [("lost", 60), ("persisted", 90)])
async def test_after_a_failed_commit_what_counts_is_what_is_on_the_disk(
    tmp_path: Path, fails: str, left: int
) -> None:
    disk = Failing()
    store = Store(tmp_path)
    await store.close()
    store.journal = SqliteJournal(store.path, seal=SEAL, commit=disk)
    await store.reserve("c1", daily(60))
    disk.fails = fails
    with pytest.raises(StoreError):
        await store.reserve("c2", daily(30))
    assert store.used(daily(1)) == left
    with pytest.raises(LimitReached):
        await store.reserve("c3", daily(101 - left))
    await store.reserve("c4", daily(100 - left))
    await store.end("c1", VOIDED)
    assert store.used(daily(1)) == 40
    await store.journal.close()


async def test_what_was_looked_up_while_no_file_was_open_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Failing()
    store, other = Store(tmp_path), Store(tmp_path)
    await store.close()
    store.journal = SqliteJournal(store.path, seal=SEAL, commit=disk)
    await store.reserve("c1", daily(10))

    def refuse(db: sqlite3.Connection, size_bytes: int) -> None:
        raise StoreError("store_unavailable", "not now")

    with monkeypatch.context() as patched:
        patched.setattr("bailiwick.stores.sqlite.prepare", refuse)
        disk.fails = "lost"
        with pytest.raises(StoreError):
            await store.reserve("c2", daily(10))
    assert store.used(daily(1)) == 10  # as judging asks
    await other.reserve("c3", daily(80))
    with pytest.raises(LimitReached):
        await store.reserve("c4", daily(20))
    await store.end("c1", POSTED)
    assert store.used(daily(1)) == 90
    assert (await other.records.audit_limits()).differences == ()
    await store.journal.close()
    await other.close()


async def test_a_full_disk_reserves_nothing_and_frees_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    await store.reserve("c1", daily(60))
    db = store.journal._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    big = "x" * 100_000
    with pytest.raises(StoreError):
        await store.journal.commit([entry(big)], [opened("c2"), Reserved("c2", 1, (daily(5),))])
    assert store.used(daily(1)) == 60
    await store.reserve("c3", daily(40))
    await store.close()


@pytest.mark.parametrize("how", [POSTED, VOIDED, UNKNOWN])
@pytest.mark.parametrize("spent", [60, 20, 75])
async def test_what_is_written_does_not_depend_on_what_is_remembered(
    tmp_path: Path, how: Settlement, spent: int
) -> None:
    tables = (
        "SELECT * FROM transfers ORDER BY idx",
        "SELECT * FROM balances ORDER BY account",
        "SELECT * FROM sliding ORDER BY account, reserved_ms",
        "SELECT * FROM unsettled",
    )
    found = []
    for forgets in (False, True):
        folder = tmp_path / str(forgets)
        folder.mkdir()
        store = Store(folder)
        for call in ("c1", "c2"):
            charges = (daily(60, 200), rolling(100_000), payee('"bo"'), at_once(2))
            await store.reserve(call, *charges, at_ms=100_000)
        if forgets:  # as after a start
            await store.close()
            store.open()
        await store.end("c1", how, actual=((DAY, "", spent),), at_ms=100_001)
        found.append([store.rows(sql) for sql in tables])
        assert (await store.records.audit_limits()).differences == ()
        await store.close()
    assert found[0] == found[1]
    assert len(found[0][0]) >= 12, "two reservations and an ending of four charges"


def moves_of(store: Store) -> list[int]:
    """How many moves each row of postings holds."""
    return [
        count
        for (count,) in store.rows("SELECT json_array_length(moves) FROM postings ORDER BY idx")
        if isinstance(count, int)
    ]


@pytest.mark.parametrize("restarts", [False, True])
async def test_postings_of_one_transaction_share_rows_and_are_found_by_their_calls(
    tmp_path: Path, restarts: bool
) -> None:
    store = Store(tmp_path)
    calls = [f"c{n:03}" for n in range(100)]
    charges = (daily(1), rolling(100_000, 200), payee('"bo"'), at_once(200))
    await asyncio.gather(*(store.reserve(call, *charges, at_ms=100_000) for call in calls))
    assert moves_of(store) == [64, 36]
    if restarts:
        await store.close()
        store.open()
    hows = [(POSTED, VOIDED, UNKNOWN)[n % 3] for n in range(100)]
    await asyncio.gather(*map(store.end, calls, hows))
    assert moves_of(store) == [64, 36, 64, 36]
    assert store.rows("SELECT * FROM postings_by_call") == [], "their entries lead to them"
    for call, how in zip(calls, hows, strict=True):
        made = await store.records.transfers(call)
        assert [each.source for each in made] == ["free"] * 4 + ["pending"] * 4
        ended = {POSTED: "posted", VOIDED: "free", UNKNOWN: "unknown"}[how]
        assert [each.target for each in made] == ["pending"] * 4 + [ended] * 4
        assert {each.call for each in made} == {call}
    assert (await store.records.audit_limits()).differences == ()
    window = await store.records.window(ROLLING, "", 99_999)
    assert [each.call for each in window[:100]] == calls
    assert len(window) == 200
    await store.close()


async def test_postings_that_no_entry_of_their_call_leads_to_are_found_all_the_same(
    store: Store,
) -> None:
    held = msgspec.structs.replace(opened("c1"), state=CallState.HELD, digest="d", hold="h1")
    await store.journal.commit([entry("c1")], [held])
    await store.reserve("other", daily(1))
    approved = CallMoved("c1", 2, CallState.RUNNING, "approved", entry=0)
    await store.journal.commit([entry("run")], [approved, Reserved("c1", 2, (daily(60),))])
    await store.end("c1", UNKNOWN)
    await store.end("other", POSTED)
    settled = Settled("c1", 9, VOIDED, only=((DAY, ""),))
    await store.journal.commit([entry("settled")], [settled])
    made = await store.records.transfers("c1")
    assert [each.target for each in made] == ["pending", "unknown", "free"]
    assert await store.records.unsettled() == []
    assert (await store.records.audit_limits()).differences == ()


async def test_postings_are_found_where_another_outcome_has_replaced_theirs(store: Store) -> None:
    await store.reserve("c1", daily(60))
    await store.end("c1", POSTED)
    await store.reserve("c2", daily(1))
    moved = CallMoved("c1", 3, CallState.UNKNOWN, "gateway_stopped", entry=0)
    await store.journal.commit([entry("again")], [moved])
    made = await store.records.transfers("c1")
    assert [each.target for each in made] == ["pending", "posted"]
    again = Settled("c1", 4, POSTED)
    await store.journal.commit([entry("more")], [again])
    assert store.used(daily(1)) == 61, "it was posted, and is not posted twice"
    found = await store.records.audit_limits()
    assert "posting_astray" not in {each.code for each in found.differences}


async def test_another_process_is_seen_before_anything_is_decided(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    await first.reserve("c1", daily(60))
    assert (first.used(daily(1)), second.used(daily(1))) == (60, 60)
    await second.reserve("c2", daily(30))
    assert first.used(daily(1)) == 60  # as it knew; what it decides, it looks up
    with pytest.raises(LimitReached):
        await first.reserve("c3", daily(11))
    assert await first.reserve("c4", daily(10)) == range(2, 3)
    await first.end("c2", VOIDED)  # a call of the other's
    assert await second.reserve("c5", daily(30)) == range(4, 5)
    await first.close()
    await second.close()


async def test_a_database_without_limits_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "bailiwick.db"
    db = sqlite3.connect(path)
    db.executescript(f"BEGIN; {MIGRATIONS[0]} COMMIT;")
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute("PRAGMA user_version=1")
    db.close()
    store = Store(tmp_path)
    await store.reserve("c1", daily(60))
    assert store.used(daily(1)) == 60
    await store.close()
    db = sqlite3.connect(path)
    prepare(db, 0)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    db.close()


async def test_more_accounts_than_are_remembered_stay_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailiwick.core.limits.books.MAX_ACCOUNTS", 3)
    store = Store(tmp_path)
    for n in range(30):
        await store.reserve(f"c{n:02}", daily(30, key=f'["{n % 10}"]'))
    assert [store.used(daily(1, key=f'["{n}"]')) for n in range(10)] == [90] * 10
    with pytest.raises(LimitReached):
        await store.reserve("c99", daily(11, key='["0"]'))
    await store.close()
