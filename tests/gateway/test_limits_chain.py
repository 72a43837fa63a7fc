"""Limits along a line of mandates: all count, and children together stay within the parent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.core.delegation import Delegation
from bailiwick.core.limits.limit import SUM_SCALE, Limit, Measure
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.texts.glob import Glob
from bailiwick.gateway.authority import AgentFacts
from bailiwick.gateway.gate import Answer, Answered, Asked, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.ports import Caller, ObjectPut
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import READ, Dispatched, House, mandate, snapshot
from tests.gateway.test_limits import limit, spent

PARENT, FIRST, SECOND, GRANDCHILD = "payments", "payments:0", "payments:1", "payments:0:0"


def of(name: str, most: Limit) -> Limit:
    """`most` as a limit of the mandate `name`."""
    return replace(most, id=f"{name}@1/limit/{most.name}")


def mandates(parent: Limit, child: Limit) -> dict[str, Mandate]:
    top = replace(
        mandate(), limits=(of(PARENT, parent),), delegation=Delegation((Glob("*"),), 3, 9)
    )
    found = {PARENT: top}
    for name, above in ((FIRST, PARENT), (SECOND, PARENT), (GRANDCHILD, FIRST)):
        found[name] = replace(
            top,
            name=name,
            parent=above,
            agent="helper",
            limits=(of(name, child),),
            delegation=Delegation((Glob("*"),), 2, 9),
        )
    return found


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(window_seconds=5, tick_seconds=5), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


async def under(house: House, parent: Limit, child: Limit) -> None:
    whole = mandates(parent, child)
    puts = [ObjectPut("mandate", name, 1, "d", "{}", "active", 1, "ada") for name in whole]
    await house.journal.commit([], puts)
    agents = {"clerk": AgentFacts("clerk", "ada"), "helper": AgentFacts("helper", "dan")}
    house.authority.install(replace(snapshot(mandate()), mandates=whole, agents=agents))


async def ask(house: House, name: str, number: int, dispatch: Dispatched | None = None) -> Answer:
    caller = Caller("helper", name, "ada", f"token-{name}", 2**62)
    asked = Asked(caller, READ, {"amount": 1, "n": number}, f"at {name}", "mcp/2026-07-28")
    return await house.gate.govern(asked, dispatch or Dispatched(), house.on_tick)


def used(house: House) -> dict[str, int]:
    """Steps taken, by mandate."""
    sql = (
        "SELECT a.account, b.pending + b.posted + b.unknown FROM balances b "
        "JOIN accounts a ON a.id = b.account"
    )
    rows = house.store._db.execute(sql)
    return {name.partition(":limit:")[0]: count for name, count in rows if count}


async def test_children_together_never_take_more_than_the_parent(house: House) -> None:
    await under(house, limit(Measure.COUNT, 10), limit(Measure.COUNT, 6))
    names = [FIRST, SECOND, GRANDCHILD] * 14
    answers = await asyncio.gather(*(ask(house, name, n) for n, name in enumerate(names)))
    through = [
        name for name, each in zip(names, answers, strict=True) if isinstance(each, Answered)
    ]
    assert len(through) == 10
    counted = used(house)
    assert counted[PARENT] == 10
    # What a grandchild does counts for each mandate above it.
    assert counted[FIRST] == through.count(FIRST) + through.count(GRANDCHILD) <= 6
    assert counted[SECOND] == through.count(SECOND) <= 6
    assert (await house.records.audit_limits()).differences == ()


async def test_a_full_child_takes_nothing_of_its_parent(house: House) -> None:
    await under(house, limit(Measure.COUNT, 10), limit(Measure.COUNT, 1))
    assert isinstance(await ask(house, FIRST, 1), Answered)
    refused = await ask(house, FIRST, 2)
    assert isinstance(refused, Refused)
    assert refused.code == "limit_exceeded"
    assert used(house) == {PARENT: 1, FIRST: 1}
    assert isinstance(await ask(house, SECOND, 3), Answered)


async def test_more_than_was_reserved_of_the_parent_stops_the_whole_line(house: House) -> None:
    await under(house, limit(Measure.SUM, 100, actual=("spent",)), limit(Measure.COUNT, 9, "count"))
    assert isinstance(await ask(house, GRANDCHILD, 1, spent("50")), Answered)
    states = {name: each.state for name, each in house.authority.snapshot.mandates.items()}
    assert states.pop(PARENT) is MandateState.SUSPENDED
    for name in states:
        refused = await ask(house, name, 2)
        assert isinstance(refused, Refused)
        assert refused.code == "mandate_not_active"
    assert used(house)[PARENT] == 50 * SUM_SCALE


async def test_more_than_was_reserved_of_a_child_stops_only_what_is_below_it(
    house: House,
) -> None:
    await under(house, limit(Measure.COUNT, 9), limit(Measure.SUM, 100, actual=("spent",)))
    # The grandchild's own limit and its parent's are both overdrawn by what it did.
    assert isinstance(await ask(house, GRANDCHILD, 1, spent("50")), Answered)
    assert isinstance(await ask(house, SECOND, 2), Answered)
    for name in (FIRST, GRANDCHILD):
        refused = await ask(house, name, 3)
        assert isinstance(refused, Refused)
        assert refused.code == "mandate_not_active"
    rows = {row.name: row.state for row in await house.records.objects("mandate")}
    assert rows == {
        PARENT: "active",
        FIRST: "suspended",
        SECOND: "active",
        GRANDCHILD: "suspended",
    }


async def test_a_leaf_names_the_chain_as_it_stands_when_its_call_is_judged(house: House) -> None:
    whole = mandates(limit(Measure.COUNT, 10), limit(Measure.COUNT, 6))
    await under(house, limit(Measure.COUNT, 10), limit(Measure.COUNT, 6))
    agents = {"clerk": AgentFacts("clerk", "ada"), "helper": AgentFacts("helper", "dan")}
    newer = {**whole, PARENT: replace(whole[PARENT], version=2)}
    asked = [(whole, GRANDCHILD, 1), (whole, FIRST, 1), (newer, GRANDCHILD, 2), (newer, FIRST, 2)]
    for number, (there, name, version) in enumerate(asked):
        house.authority.install(replace(snapshot(mandate()), mandates=there, agents=agents))
        answer = await ask(house, name, number)
        assert isinstance(answer, Answered)
        call = await house.records.call(answer.call)
        assert call is not None
        (intent,) = await house.records.entries(call.intent_index, call.intent_index + 1)
        line = [f"{PARENT}@{version}", f"{FIRST}@1"] + [f"{name}@1"] * (name == GRANDCHILD)
        said = json.loads(intent.leaf)["chain"]
        digest = whole[PARENT].digest
        assert said == [{"digest": digest, "mandate": each} for each in line]
