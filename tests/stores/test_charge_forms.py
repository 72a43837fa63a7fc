"""What calls of one form reserve is written as what others reserve, and adds up."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import LimitReached
from bailiwick.core.limits.charging import charged
from bailiwick.core.limits.forms import forms_of
from bailiwick.core.limits.limit import Charges, Limit, Measure, Window
from bailiwick.core.verdict import Deny
from bailiwick.ports import Reserved, Settlement
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
    stores = []
    for name in ("quick", "slow"):
        (tmp_path / name).mkdir()
        stores.append(Store(tmp_path / name))
    quick, slow = stores
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
            for store in stores:
                await store.end(ended, how, at_ms=now)
        if drawn.random() < 0.05:  # somebody else has written: nothing in memory is believed
            await quick.close()
            quick.open()
    assert by_form > 20
    for table in ("postings", "balances", "accounts", "sliding", "unsettled", "transfers"):
        found = quick.rows(f"SELECT * FROM {table}")
        assert found == slow.rows(f"SELECT * FROM {table}")
    for store in stores:
        await store.close()
    records = SqliteRecords(quick.path, seal=SEAL)
    assert (await records.audit_limits()).differences == ()
    await records.close()
