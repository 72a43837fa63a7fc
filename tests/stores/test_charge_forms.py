"""What calls of one form reserve is written as what others reserve, and adds up."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import LimitReached
from bailiwick.core.limits.charging import charged
from bailiwick.core.limits.forms import forms_of
from bailiwick.core.limits.limit import Charges, Limit, Measure, Window
from bailiwick.core.verdict import Deny
from bailiwick.ports import Change, Reserved, Settlement
from bailiwick.stores.schema import prepare
from bailiwick.stores.sqlite import connect
from bailiwick.stores.sqlite_limits import SqliteLimits
from bailiwick.stores.sqlite_reads import SqliteRecords
from tests.stores.limits_room import SEAL, Store, entry, opened
from tests.unit.core.mandates import call
from tests.unit.core.test_limits import NOW, RUN, limit

HOUR = Window("sliding", seconds=3_600)
ENDS = [Settlement.POSTED, Settlement.POSTED, Settlement.VOIDED, Settlement.UNKNOWN]


def limits() -> tuple[Limit, ...]:
    return (
        limit(per=("to",)),
        limit(window=HOUR, name="rolling"),
        limit(Measure.DISTINCT, of="to", name="faces", ceilings={"values": 2}),
        limit(Measure.COUNT, name="pace", window=HOUR, ceilings={"calls": 25}),
        limit(Measure.CONCURRENT, name="once", window=Window("lifetime")),
    )


def one_limit() -> tuple[Limit, ...]:
    """Of which nothing differs but the moment."""
    return (limit(Measure.COUNT, window=Window("lifetime"), ceilings={"calls": 30}),)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("made", [limits, one_limit])
async def test_by_a_form_the_same_is_written_as_without(
    tmp_path: Path, made: Callable[[], tuple[Limit, ...]], seed: int
) -> None:
    for name in ("quick", "slow"):
        (tmp_path / name).mkdir()
    # By forms two write to one file, and share the forms.
    writers = [Store(tmp_path / "quick"), Store(tmp_path / "quick")]
    slow, quick = Store(tmp_path / "slow"), writers[0]
    forms = forms_of(made())
    assert forms is not None
    drawn, now, by_form, open_calls = random.Random(seed), NOW, 0, list[str]()
    for number in range(60):
        now += drawn.choice([0, 0, 1, 7, 60_000, -90_000])
        arguments: JsonObject = {"amount": drawn.choice([1, 2.5, "7"]), "to": drawn.choice("aab")}
        asked = call("bank/transfer", arguments)
        taken = forms.taken(asked, RUN, now)
        plainly = charged(asked, made(), RUN, now)
        assert not isinstance(taken, Deny)
        assert not isinstance(plainly, Deny)
        by_form += isinstance(taken, Charges)
        quick = drawn.choice([quick, quick, quick, *writers])
        ident = f"c{number}"
        outcomes: list[str] = []
        for store, charges in ((quick, taken), (slow, plainly)):
            changes = opened(ident, now), Reserved(ident, now, charges)
            try:
                await store.journal.commit([entry(ident)], changes)
                outcomes.append("")
            except LimitReached as reached:
                outcomes.append(reached.message)
        assert outcomes[0] == outcomes[1]
        if not outcomes[0]:
            open_calls.append(ident)
        if len(open_calls) > drawn.choice([1, 2, 5]):
            ended, how = open_calls.pop(drawn.randrange(len(open_calls))), drawn.choice(ENDS)
            for store in (quick, slow):
                await store.end(ended, how, at_ms=now)
        if drawn.random() < 0.05:  # nothing in memory is believed
            await quick.close()
            quick.open()
    assert by_form > 20
    for table in ("postings", "balances", "accounts", "sliding", "unsettled", "transfers"):
        found = quick.rows(f"SELECT * FROM {table}")
        assert found == slow.rows(f"SELECT * FROM {table}")
    for store in (*writers, slow):
        await store.close()
    records = SqliteRecords(quick.path, seal=SEAL)
    assert (await records.audit_limits()).differences == ()
    await records.close()


def test_a_row_is_not_written_by_what_another_store_knows_of_its_form(tmp_path: Path) -> None:
    """The same mandates may be judged elsewhere at the same time, in a simulation say."""
    forms = forms_of(limits())
    assert forms is not None
    asked = call("bank/transfer", {"amount": 1, "to": "a"})
    taken = [forms.taken(asked, RUN, NOW) for _ in range(3)][-1]
    assert isinstance(taken, Charges)

    def changes(ident: str) -> tuple[Change, ...]:
        return opened(ident, NOW), Reserved(ident, NOW, taken)

    with contextlib.ExitStack() as stack:
        stores: list[tuple[sqlite3.Connection, SqliteLimits]] = []
        for first in (1, 70):  # in the other, accounts have other numbers
            path = tmp_path / f"{first}.db"
            db = stack.enter_context(contextlib.closing(connect(path)))
            prepare(db, 0)
            db.execute("INSERT INTO accounts VALUES (?, 'none of these', '', '')", (first,))
            kept = SqliteLimits(SEAL, partial(connect, path, read_only=True))
            stack.callback(kept.close)
            stores.append((db, kept))
        (mine, my_limits), (others, their_limits) = stores
        assert my_limits.apply(changes("mine")) is None
        assert their_limits.apply(changes("theirs")) is None
        their_limits.write(others, 0, {"theirs"})
        my_limits.write(mine, 0, {"mine"})
        for db, _ in stores:
            sql = "SELECT a.account FROM transfers t JOIN accounts a ON a.id = t.account"
            found = db.execute(f"{sql} ORDER BY t.idx").fetchall()
            assert found == [(each.account,) for each in taken]
