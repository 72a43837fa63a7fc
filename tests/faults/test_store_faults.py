"""Every durable write of the store, lost or persisted but reported failed.

Modelled on the table of Sunlight's log: whatever is reported, nothing acknowledged is lost,
nothing that was denied has run, and the store goes on without help once the disk does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bailiwick.gateway.gate import Answered, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.ports import CallQuery, CallState
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import READ, Dispatched, House, mandate


class FaultyDisk:
    """Fails the commit number `at`, once: before it happened, or after."""

    def __init__(self) -> None:
        self.at = -1
        self.persisted = False
        self.commits = 0

    def __call__(self, db: sqlite3.Connection) -> None:
        self.commits += 1
        if self.commits - 1 != self.at:
            db.commit()
            return
        if self.persisted:
            db.commit()
        raise sqlite3.OperationalError("disk I/O error")


async def faulty_house(folder: Path, disk: Callable[[sqlite3.Connection], None]) -> House:
    house = House(folder, Waiting(), StoppedClock())
    await house.open(mandate(), commit=disk)
    return house


WRITES = ["person's key", "run", "intent", "outcome"]
"""The commits of a first call, in order."""
INTENT, OUTCOME = 2, 3


@pytest.mark.parametrize("persisted", [False, True], ids=["lost", "persisted but reported failed"])
@pytest.mark.parametrize("at", range(len(WRITES)), ids=WRITES)
async def test_each_write_that_fails_denies_and_the_next_call_works(
    tmp_path: Path, at: int, persisted: bool
) -> None:
    disk = FaultyDisk()
    disk.at, disk.persisted = at, persisted
    house = await faulty_house(tmp_path, disk)
    dispatch = Dispatched()
    answer = await house.ask(READ, {"n": 1}, dispatch)
    assert isinstance(answer, Refused)
    assert answer.code == ("outcome_not_recorded" if at == OUTCOME else "ledger_unavailable")
    assert dispatch.count == (1 if at == OUTCOME else 0)
    # The disk is well again: no restart, no help.
    again = await house.ask(READ, {"n": 2}, dispatch)
    assert isinstance(again, Answered)
    await house.close()
    # Nothing acknowledged is lost, nothing stands twice, and the ledger has no holes.
    await house.open(mandate())
    calls = {call.id: call for call in await house.records.calls(CallQuery())}
    assert calls[again.call].state is CallState.DONE
    count = await house.records.entry_count()
    stored = await house.records.entries(0, count)
    assert [entry.index for entry in stored] == list(range(count))
    if at == INTENT:  # its intent may be there, as running: never as done
        assert calls.get(answer.call) is None or calls[answer.call].state is CallState.RUNNING
        assert (answer.call in calls) is persisted
    if at == OUTCOME:
        state = CallState.DONE if persisted else CallState.RUNNING
        assert calls[answer.call].state is state
    await house.close()


async def test_a_disk_that_stays_broken_denies_everything_and_loses_nothing(
    tmp_path: Path,
) -> None:
    broken = False

    def commit(db: sqlite3.Connection) -> None:
        if broken:
            raise sqlite3.OperationalError("database or disk is full")
        db.commit()

    house = await faulty_house(tmp_path, commit)
    dispatch = Dispatched()
    done = [await house.ask(READ, {"n": n}, dispatch) for n in range(5)]
    broken = True
    for n in range(5):
        answer = await house.ask(READ, {"n": n}, dispatch)
        assert isinstance(answer, Refused)
        assert answer.code == "ledger_unavailable"
    assert dispatch.count == 5
    broken = False
    assert isinstance(await house.ask(READ, {"n": 9}, dispatch), Answered)
    states = {c.id: c.state for c in await house.records.calls(CallQuery())}
    assert all(states[answer.call] is CallState.DONE for answer in done)
    assert len(states) == 6
    await house.close()
