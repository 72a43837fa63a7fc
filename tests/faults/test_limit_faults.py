"""Every durable write of a call with limits, lost or persisted but reported failed.

Whatever is reported, what counts is what is on the disk, and no more is ever let through than fits.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.app.recovery import settle_unknown
from bailiwick.core.limits.limit import Measure
from bailiwick.gateway.gate import Answered, Refused
from bailiwick.testing.clock import StoppedClock
from tests.faults.test_store_faults import INTENT, OUTCOME, FaultyDisk, faulty_house
from tests.gateway.house import READ, Dispatched, mandate, snapshot
from tests.gateway.test_limits import balances, limit

COUNTED = {
    # What failed, and whether it reached the disk: what then counts, as pending, posted, unknown.
    (INTENT, False): (0, 0, 0),
    (INTENT, True): (1, 0, 0),
    (OUTCOME, False): (1, 0, 0),
    (OUTCOME, True): (0, 1, 0),
}


@pytest.mark.parametrize("persisted", [False, True], ids=["lost", "persisted but reported failed"])
@pytest.mark.parametrize("at", [INTENT, OUTCOME], ids=["intent", "outcome"])
async def test_what_counts_after_a_failed_write_is_what_is_on_the_disk(
    tmp_path: Path, at: int, persisted: bool
) -> None:
    disk = FaultyDisk()
    disk.at, disk.persisted = at, persisted
    house = await faulty_house(tmp_path, disk)
    current = replace(mandate(), limits=(limit(Measure.COUNT, 2),))
    house.authority.install(snapshot(current))
    dispatch = Dispatched()
    assert isinstance(await house.ask(READ, {"n": 1}, dispatch), Refused)
    assert dispatch.count == (1 if at == OUTCOME else 0)
    counted = COUNTED[at, persisted]
    assert await balances(house) == counted
    # The disk is well again: exactly what is left fits, without a restart.
    fit = 2 - sum(counted)
    answers = [await house.ask(READ, {"n": n}, dispatch) for n in range(2, 5)]
    assert [isinstance(each, Answered) for each in answers] == [n < fit for n in range(3)]
    # After a restart, what nobody knows the end of counts on as unknown, and the books are whole.
    await house.close()
    await house.open(current)
    await settle_unknown(house.records, house.journal, house.recorder, StoppedClock())
    pending, posted, unknown = await balances(house)
    assert (pending, unknown) == (0, counted[0])
    assert posted == counted[1] + fit
    assert (await house.records.audit_limits()).differences == ()
    assert isinstance(await house.ask(READ, {"n": 9}, dispatch), Refused)
    await house.close()


async def test_a_disk_that_stays_full_lets_nothing_through_a_limit(tmp_path: Path) -> None:
    broken = False

    def commit(db: sqlite3.Connection) -> None:
        if broken:
            raise sqlite3.OperationalError("database or disk is full")
        db.commit()

    house = await faulty_house(tmp_path, commit)
    house.authority.install(snapshot(replace(mandate(), limits=(limit(Measure.COUNT, 3),))))
    dispatch = Dispatched()
    assert isinstance(await house.ask(READ, {"n": 1}, dispatch), Answered)
    broken = True
    for n in range(5):
        refused = await house.ask(READ, {"n": 10 + n}, dispatch)
        assert isinstance(refused, Refused)
        assert refused.code == "ledger_unavailable"
    broken = False
    assert await balances(house) == (0, 1, 0)
    answers = [await house.ask(READ, {"n": 20 + n}, dispatch) for n in range(4)]
    assert [isinstance(each, Answered) for each in answers] == [True, True, False, False]
    assert dispatch.count == 3
    await house.close()
