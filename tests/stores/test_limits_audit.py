"""The audit of limits agrees with a store that is whole, and finds whatever was altered."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailiwick.core.errors import LimitReached, StoreError
from bailiwick.ports import Settlement
from bailiwick.stores.limits_audit import audit_file
from bailiwick.stores.schema import MIGRATIONS
from tests.stores.limits_room import DAY, Store, at_once, daily, payee, rolling

POSTED, VOIDED, UNKNOWN = Settlement.POSTED, Settlement.VOIDED, Settlement.UNKNOWN


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """One call running, and one ended in each way."""
    store = Store(tmp_path)
    for n, how in enumerate((None, POSTED, VOIDED, UNKNOWN)):
        now = 70_000 + n
        await store.reserve(
            f"c{n}",
            daily(10, key='["bo"]'),
            payee(f'"{n}"', 9),
            rolling(now, 9),
            at_once(9),
            at_ms=now,
        )
        if how is not None:
            await store.end(f"c{n}", how, at_ms=now + 10)
    yield store
    await store.close()


async def test_books_that_are_whole_agree(store: Store) -> None:
    found = await store.records.audit_limits()
    assert found.differences == ()
    # Four calls took 4 charges each, and three of them ended; payees have an account each.
    assert (found.transfers, found.accounts, found.calls, found.unsettled) == (28, 7, 4, 1)


async def test_more_than_was_reserved_is_no_difference(store: Store) -> None:
    await store.end("c0", POSTED, ((DAY, '["bo"]', 500),))
    assert (await store.records.audit_limits()).differences == ()


ALTERED = {
    "UPDATE balances SET posted = posted + 1 WHERE account = 1": "balance_differs",
    "UPDATE balances SET pending = 0 WHERE account = 1": "balance_differs",
    "DELETE FROM balances WHERE account = 1": "balance_differs",
    "DELETE FROM accounts WHERE id = 1": "account_missing",
    "INSERT INTO moved_calls VALUES ('c0', 'done', 1, '', '', NULL, NULL)": "call_differs",
    "DELETE FROM moved_calls WHERE id = 'c1'": "call_differs",
    "UPDATE moved_calls SET state = 'done' WHERE id = 'c3'": "call_differs",
    "DELETE FROM opened_calls WHERE id = 'c1'": "call_differs",
    "DELETE FROM unsettled": "call_differs",
    "INSERT INTO unsettled VALUES ('c1', 1)": "call_differs",
    "INSERT INTO unsettled VALUES ('c9', 1)": "call_differs",
    "DELETE FROM postings WHERE idx = 0": "balance_differs",
    "UPDATE postings SET moves = json_set(moves, '$[0][4][0][2]', 5) WHERE idx = 0": (
        "balance_differs"
    ),
    "UPDATE postings SET moves = json_set(moves, '$[0][4][0][3]', 15)": "above_ceiling",
    "UPDATE postings SET moves = json_remove(moves, '$[0][4][0]') WHERE idx = 0": "balance_differs",
    "UPDATE postings SET moves = json_set(moves, '$[0][0]', 'c9') WHERE idx = 0": "posting_astray",
    "UPDATE postings SET entry = entry + 1 WHERE idx = 0": "posting_astray",
    "UPDATE postings SET entry = NULL WHERE idx = 0": "posting_astray",
    "UPDATE moved_calls SET outcome_index = 0 WHERE id = 'c1'": "posting_astray",
    **{
        f"UPDATE postings SET moves = {moves} WHERE idx = 0": "posting_unreadable"
        for moves in (
            "'x'",
            "'{}'",
            "'[]'",
            "CAST('[]' AS BLOB)",
            "'[7]'",
            "'[[1]]'",
            "json_set(moves, '$[0][0]', 7)",
            "json_set(moves, '$[0][0]', '')",
            "json_set(moves, '$[0][1]', 'now')",
            "json_set(moves, '$[0][2]', 'posted')",
            "json_set(moves, '$[0][3]', 'free')",
            "json_set(moves, '$[0][3]', 'gone')",
            "json_set(moves, '$[0][4]', 7)",
            "json_set(moves, '$[0][4]', json('[]'))",
            "json_set(moves, '$[0][4][0]', 7)",
            "json_set(moves, '$[0][4][0][1]', 'then')",
            "json_set(moves, '$[0][4][0][2]', -5)",
            "json_set(moves, '$[0][4][0][2]', '9')",
            "json_remove(moves, '$[0][4][0][5]')",
        )
    },
    "DELETE FROM sliding WHERE posting = 0": "window_differs",
    "UPDATE sliding SET reserved_ms = reserved_ms + 1 WHERE posting = 0": "window_differs",
    "INSERT INTO sliding VALUES (1, 5, 0)": "window_differs",
}


@pytest.mark.parametrize("statement", ALTERED)
async def test_whatever_was_altered_is_found(store: Store, statement: str) -> None:
    db = sqlite3.connect(store.path)
    db.execute("DROP TRIGGER postings_never_change")
    db.execute("DROP TRIGGER postings_never_go")
    db.execute("DROP TRIGGER outcome_replaced")
    db.execute(statement)
    db.commit()
    db.close()
    found = await store.records.audit_limits()
    assert ALTERED[statement] in {each.code for each in found.differences}
    assert all(each.where and each.text for each in found.differences)


async def altered(store: Store, *statements: str) -> set[str]:
    """The codes of what is found once the file was altered so."""
    db = sqlite3.connect(store.path)
    db.execute("DROP TRIGGER postings_never_change")
    for statement in statements:
        assert db.execute(statement).rowcount, statement
    db.commit()
    db.close()
    return {each.code for each in (await store.records.audit_limits()).differences}


@pytest.mark.parametrize(
    ("judged", "at_ms", "moved"),
    [
        (80_000, 80_000, 79_999),  # before it was made
        (69_000, 69_000, 69_500),  # before what was reserved there already
        (2_000_000, 75_000, 80_000),  # before the window that it was held against
    ],
)
async def test_a_moment_that_was_moved_back_in_all_places_is_found(
    store: Store, judged: int, at_ms: int, moved: int
) -> None:
    """It would leave its window too soon."""
    await store.reserve("c4", rolling(judged, 9), at_ms=at_ms)
    assert (await store.records.audit_limits()).differences == ()
    last = "(SELECT max(idx) FROM postings)"
    when = f"json_set(moves, '$[0][4][0][1]', {moved})"
    move = f"UPDATE postings SET moves = {when} WHERE idx = {last}"
    same = f"UPDATE sliding SET reserved_ms = {moved} WHERE posting = {last}"
    assert await altered(store, move, same) == {"window_differs"}


@pytest.mark.parametrize("kept", [0, 1, 100])
async def test_a_breach_after_a_clock_went_back_is_found_however_much_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr("bailiwick.stores.limits_audit.MAX_OLD", kept)
    store = Store(tmp_path)
    now = 10_000_000
    ahead = (0, 1, 2, 90_000, 180_000, 270_000, 360_000)
    for n, step in enumerate((*ahead, 30_000, 30_001)):
        await store.reserve(f"c{n}", rolling(now + step, 9), at_ms=now + step)
    await store.end("c1", VOIDED)
    assert (await store.records.audit_limits()).differences == ()
    lower = "UPDATE postings SET moves = json_set(moves, '$[0][4][0][3]', 8) WHERE idx = 8"
    assert await altered(store, lower) == {"above_ceiling"}
    await store.close()


async def test_what_is_used_is_read_back_by_the_beginning_of_its_name(store: Store) -> None:
    (row,) = await store.records.balances("pay:daily:")
    assert (row.account, row.key) == (DAY, '["bo"]')
    assert (row.pending, row.posted, row.unknown) == (10, 10, 10)
    (payees,) = await store.records.balances("pay:payees:")
    assert (payees.pending, payees.posted, payees.unknown) == (1, 1, 1)
    assert await store.records.balances("pay:dail_:") == []
    assert len(await store.records.balances("", limit=2)) == 2


async def test_the_transfers_of_a_call_and_what_is_unsettled_are_read_back(store: Store) -> None:
    made = await store.records.transfers("c3")
    assert [each.target for each in made] == ["pending"] * 4 + ["unknown"] * 4
    (unsettled,) = await store.records.unsettled()
    assert (unsettled.call, unsettled.at_ms) == ("c3", 70_013)
    assert await store.records.unsettled(after="c3") == []


@pytest.mark.parametrize("since", [0, 70_001, 80_000])
async def test_a_window_is_read_back_from_a_moment_on(store: Store, since: int) -> None:
    account = rolling(70_000).account
    found = await store.records.window(account, "", since)
    assert {each.call for each in found} == {f"c{n}" for n in range(4) if 70_000 + n > since}


async def test_the_file_alone_is_enough_for_the_audit(store: Store, tmp_path: Path) -> None:
    with_gateway = audit_file(store.path)
    assert with_gateway == await store.records.audit_limits()
    await store.close()
    assert audit_file(store.path) == with_gateway  # none runs on it
    store.open()


def test_a_file_that_is_not_ours_is_not_audited(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with pytest.raises(StoreError) as missing:
        audit_file(path)
    assert missing.value.code == "store_unavailable"
    assert not path.exists()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE transfers (x)")
    db.close()
    with pytest.raises(StoreError) as other:
        audit_file(path)
    assert other.value.code == "not_our_database"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError):
        audit_file(path)


async def test_a_clock_that_jumps_makes_no_difference(tmp_path: Path) -> None:
    store = Store(tmp_path)
    now = 10_000_000
    for n, jump in enumerate((0, 90_000, -200_000, 5_000, 300_000, -300_000, 61_000)):
        now += jump
        try:
            await store.reserve(f"c{n}", rolling(now, 2), payee(f'"{n}"', 9), at_ms=now)
        except LimitReached:
            continue
    found = await store.records.audit_limits()
    assert found.differences == ()
    assert found.calls >= 3
    await store.close()


@pytest.mark.parametrize("version", [9, len(MIGRATIONS) + 1])
async def test_a_file_of_another_version_is_not_audited_and_says_so(
    store: Store, version: int
) -> None:
    """Not that a column is missing, which sounds like damage."""
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        db.execute(f"PRAGMA user_version={version}")
    with pytest.raises(StoreError, match=f"has schema {version}, not {len(MIGRATIONS)}") as other:
        audit_file(store.path)
    assert other.value.code == "store_unavailable"
