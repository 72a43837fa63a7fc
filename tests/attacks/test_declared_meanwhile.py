"""What is declared anew while a call is on its way: it is judged by what stands when it is judged,
however long it took to look up what its run has read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.core.flow.labels import Accepts, Flow
from bailiwick.core.flow.run_memory import RunMemory
from bailiwick.core.mandate import Mandate
from bailiwick.gateway.gate import Answer, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.recalled import Recalled
from bailiwick.gateway.run_facts import RunFacts
from bailiwick.ports import HoldState
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import BEN, PAY, READ, Dispatched, House, mandate, snapshot

MINDFUL = Flow(accepts=(Accepts("payments@1/accepts/1", ()),))
"""Flow rules about nothing: what a run has read is looked up all the same."""


def narrower() -> Mandate:
    """The next version: only paying is left."""
    given = mandate(2)
    (rule,) = given.allow
    return replace(given, allow=(replace(rule, targets=rule.targets[:1]),), flow=MINDFUL)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(replace(mandate(), flow=MINDFUL))
    yield house
    await house.close()


def code(answer: Answer) -> str:
    assert isinstance(answer, Refused)
    return answer.code


async def test_a_version_that_comes_while_a_run_begins_is_the_one_that_judges(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = house.runs._record

    async def slowly(told: RunFacts, key: str, principal: str, now_ms: int) -> None:
        await begin(told, key, principal, now_ms)
        house.authority.install(snapshot(narrower()))

    monkeypatch.setattr(house.runs, "_record", slowly)
    dispatch = Dispatched()
    assert code(await house.ask(READ, {}, dispatch)) == "not_in_mandate"
    assert dispatch.count == 0


def declares(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next version come while a memory is built again."""
    build = Recalled.into

    async def slowly(self: Recalled, memory: RunMemory, run: str) -> RunMemory:
        built = await build(self, memory, run)
        house.authority.install(snapshot(narrower()))
        return built

    monkeypatch.setattr(Recalled, "into", slowly)


async def test_a_version_that_comes_while_a_memory_is_built_is_the_one_that_judges(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    declares(house, monkeypatch)
    dispatch = Dispatched()
    assert code(await house.ask(READ, {}, dispatch)) == "not_in_mandate"
    assert dispatch.count == 0


async def test_a_stamp_is_not_used_under_a_version_that_came_while_a_memory_was_built(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    house.gate._memories._kept.clear()
    declares(house, monkeypatch)
    (hold,) = await house.records.holds(HoldState.WAITING)
    await house.holds.stamp(BEN, hold.id, True, "")
    assert code(await asking) == "stamp_no_longer_enough"
    assert dispatch.count == 0
