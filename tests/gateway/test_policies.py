"""The gate under organisation policies: what is recorded, and what a stamp holds for."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bailiwick.core.call import Call
from bailiwick.core.flow.labels import Labels
from bailiwick.core.mandate import Mandate
from bailiwick.core.verdict import Deny
from bailiwick.gateway.gate import Answered, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.memories import Memories
from bailiwick.gateway.recalled import Recalled
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import HoldRow, HoldState
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import BEN, PAY, READ, Dispatched, House, mandate


@dataclass(frozen=True)
class Stub:
    """Policies of some version that refuse a target."""

    version: str
    refused: str = ""
    about_reading: bool = False

    def decide(self, call: Call, chain: Sequence[Mandate], labels: Labels, now: int) -> Deny | None:
        if call.target.name == self.refused:
            return Deny("denied_by_policy", ("policy/office@1/1",), "the office says no")
        return None


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path, Waiting(tick_seconds=0.01), StoppedClock())
    await opened.open(mandate())
    yield opened
    await opened.close()


def put(house: House, policies: Stub) -> None:
    house.authority.install(dataclasses.replace(house.authority.snapshot, policies=policies))


async def waiting(house: House) -> HoldRow:
    while True:
        await asyncio.wait_for(house.ticked.wait(), 5)
        house.ticked.clear()
        holds = await house.records.holds(HoldState.WAITING)
        if holds:  # one may be withdrawn, and the next not yet there
            (hold,) = holds
            return hold


async def intents(house: House) -> list[dict[str, object]]:
    leaves = [parse_leaf(leaf) for leaf in await house.records.leaves(0, 1_000)]
    return [dict(leaf.fields) for leaf in leaves if leaf.type == "call.intent"]


async def test_an_intent_names_the_policies_it_was_judged_under(house: House) -> None:
    await house.ask(READ, {}, Dispatched())
    put(house, Stub("v1", refused="read"))
    answer = await house.ask(READ, {}, Dispatched())
    assert isinstance(answer, Refused)
    assert (answer.code, answer.text) == ("denied_by_policy", "the office says no")
    first, second = await intents(house)
    assert "policies" not in first
    assert second["policies"] == "v1"
    assert second["rules"] == ["policy/office@1/1"]


async def test_a_stamp_binds_the_version_of_the_policies(house: House) -> None:
    put(house, Stub("v1"))
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    hold = await waiting(house)
    assert hold.policies == "v1"
    stamped = await house.holds.stamp(BEN, hold.id, True, "")
    assert json.loads(stamped.stamps[0].statement)["policies"] == "v1"
    assert isinstance(await asking, Answered)
    held, approved = await intents(house)
    assert held["policies"] == approved["policies"] == "v1"


async def test_a_new_forbid_denies_a_call_that_was_stamped(house: House) -> None:
    put(house, Stub("v1"))
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    hold = await waiting(house)
    put(house, Stub("v2", refused="pay"))
    await house.holds.stamp(BEN, hold.id, True, "")
    answer = await asking
    assert isinstance(answer, Refused)
    assert answer.code == "denied_by_policy"
    assert dispatch.count == 0


@pytest.mark.parametrize(("before", "after"), [("v1", "v2"), ("", "v1"), ("v1", "")])
async def test_a_stamp_serves_under_no_other_policies(
    house: House, before: str, after: str
) -> None:
    put(house, Stub(before))
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    hold = await waiting(house)
    put(house, Stub(after))
    await house.holds.stamp(BEN, hold.id, True, "")
    answer = await asking
    assert isinstance(answer, Refused)
    assert answer.code == "stamp_no_longer_enough"
    assert dispatch.count == 0


async def test_the_same_call_after_a_change_asks_anew(house: House) -> None:
    put(house, Stub("v1"))
    first = asyncio.ensure_future(house.ask(PAY, {}, Dispatched()))
    old = await waiting(house)
    put(house, Stub("v2"))
    dispatch = Dispatched()
    second = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    while (new := await waiting(house)).id == old.id:
        pass
    assert new.policies == "v2"
    await house.holds.stamp(BEN, new.id, True, "")
    assert isinstance(await second, Answered)
    assert dispatch.count == 1
    ended = await first
    assert isinstance(ended, Refused)
    withdrawn = await house.records.hold(old.id)
    assert withdrawn is not None
    assert withdrawn.state is HoldState.WITHDRAWN


async def test_runs_are_remembered_only_if_a_policy_looks_at_what_they_read(house: House) -> None:
    memories = Memories(Recalled(house.records, house.recorder), house.authority)
    put(house, Stub("v1"))
    assert not memories.matter(house.authority.chain("payments"))
    put(house, Stub("v2", about_reading=True))
    assert memories.matter(house.authority.chain("payments"))
