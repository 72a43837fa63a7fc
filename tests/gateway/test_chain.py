"""Chains: worked out once, judged whole, and bound by every stamp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.core.delegation import MAX_DEPTH, Delegation
from bailiwick.core.mandate import Mandate, MandateState, authority
from bailiwick.core.texts.glob import Glob
from bailiwick.gateway.authority import AgentFacts, Authority, Snapshot
from bailiwick.gateway.chains import below, chain_of
from bailiwick.gateway.gate import Answered, Asked, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.ports import Caller
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import BEN, PAY, Dispatched, House, mandate, snapshot

ANYBODY = Delegation((Glob("*"),), depth=MAX_DEPTH, children=5)
OWNERS = {"clerk": "ada", "helper": "ben", "third": "cat"}


def line(depth: int) -> dict[str, Mandate]:
    """`payments`, its child, the child's child, and so on."""
    found = {"payments": replace(mandate(), delegation=ANYBODY)}
    name = "payments"
    for number in range(depth):
        child = replace(
            found[name],
            name=f"{name}:{number}",
            parent=name,
            agent="helper",
            delegation=replace(ANYBODY, depth=max(1, MAX_DEPTH - 1 - number)),
        )
        name = child.name
        found[name] = child
    return found


def names(chain: tuple[Mandate, ...]) -> list[str]:
    return [each.name for each in chain]


def owner(agent: str) -> str:
    return OWNERS.get(agent, "")


def test_a_chain_runs_from_the_root_to_the_leaf() -> None:
    whole = line(2)
    assert names(chain_of("payments", whole, owner)) == ["payments"]
    assert names(chain_of("payments:0:1", whole, owner)) == [
        "payments",
        "payments:0",
        "payments:0:1",
    ]
    assert chain_of("nobody", whole, owner) == ()


def test_the_longest_line_is_a_chain_and_a_longer_one_is_none() -> None:
    whole = line(MAX_DEPTH)
    longest = max(whole, key=len)
    assert len(chain_of(longest, whole, owner)) == MAX_DEPTH + 1
    further = replace(whole[longest], name=f"{longest}:x", parent=longest)
    assert chain_of(further.name, {**whole, further.name: further}, owner) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"delegation": None},
        {"delegation": replace(ANYBODY, depth=1)},
        {"delegation": replace(ANYBODY, to=(Glob("other-*"),))},
        {"principal": "eve"},
    ],
    ids=["no leave", "less deep", "other agents", "another person"],
)
def test_what_is_passed_on_without_leave_is_stopped(change: dict[str, object]) -> None:
    whole = line(2)
    whole["payments"] = replace(whole["payments"], **change)  # type: ignore[arg-type]  # its fields
    chain = chain_of("payments:0:1", whole, owner)
    assert chain[0].state is MandateState.ACTIVE
    assert chain[-1].state is MandateState.SUSPENDED
    assert chain_of("payments", whole, owner)[0].state is MandateState.ACTIVE


def test_a_revoked_mandate_stays_revoked_when_leave_is_gone_as_well() -> None:
    whole = line(1)
    whole["payments"] = replace(whole["payments"], delegation=None)
    whole["payments:0"] = replace(whole["payments:0"], state=MandateState.REVOKED)
    assert chain_of("payments:0", whole, owner)[-1].state is MandateState.REVOKED


def test_owners_of_agents_below_are_excluded_where_the_owner_above_is() -> None:
    whole = line(2)
    whole["payments:0:1"] = replace(whole["payments:0:1"], agent="third")
    top, middle, end = chain_of("payments:0:1", whole, owner)
    # `payments` excludes ada, who answers for its clerk; the copies below exclude her by name only.
    assert top.stamp[0].excluded == {"ada", "ben", "cat"}
    assert middle.stamp[0].excluded == end.stamp[0].excluded == {"ada"}
    assert chain_of("payments", whole, owner)[0].stamp[0].excluded == {"ada"}


def test_below_is_all_that_a_line_leads_to_and_ends_on_circles() -> None:
    whole = line(3)
    assert {each.name for each in below("payments", whole)} == set(whole) - {"payments"}
    assert [each.name for each in below("payments:0:1", whole)] == ["payments:0:1:2"]
    circle = {**whole, "payments": replace(whole["payments"], parent="payments:0:1:2")}
    assert "payments:0" in {each.name for each in below("payments", circle)}


def test_a_chain_is_looked_up_and_not_worked_out_for_each_call() -> None:
    held = Authority()
    held.install(replace(snapshot(mandate()), mandates=line(3)))
    assert held.chain("payments:0:1:2") is held.chain("payments:0:1:2")


def test_adding_one_mandate_leaves_every_other_chain_as_it_is() -> None:
    held = Authority()
    whole = line(2)
    end = whole.pop("payments:0:1")
    held.install(replace(snapshot(mandate()), mandates=whole))
    before = held.chain("payments:0")
    held.add(end)
    assert held.chain("payments:0") is before
    assert names(held.chain(end.name)) == ["payments", "payments:0", "payments:0:1"]


# --- stamps --------------------------------------------------------------------------------------

HELPER = Caller("helper", "payments:0", "ada", "token-2", 2**62)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path, Waiting(window_seconds=5, tick_seconds=0.05), StoppedClock())
    await made.open(mandate())
    made.authority.install(passing_on())
    yield made
    await made.close()


def passing_on(version: int = 1) -> Snapshot:
    whole = line(1)
    whole["payments"] = replace(mandate(version), delegation=ANYBODY)
    agents = {name: AgentFacts(name, by) for name, by in OWNERS.items()}
    return replace(snapshot(mandate()), mandates=whole, agents=agents)


async def ask(house: House, dispatch: Dispatched) -> Answered | Refused:
    asked = Asked(HELPER, PAY, {"amount": 1}, "session-1", "mcp/2026-07-28")
    answer = await house.gate.govern(asked, dispatch, house.on_tick)
    assert isinstance(answer, Answered | Refused)
    return answer


async def test_a_stamp_is_given_for_the_versions_of_the_whole_line(house: House) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(ask(house, dispatch))
    await house.ticked.wait()
    (hold,) = await house.records.holds()
    assert hold.mandate == "payments:0@1 under payments@1"
    assert "under mandate payments:0@1 under payments@1" in hold.rendering
    house.authority.install(passing_on(version=2))
    await house.holds.stamp(replace(BEN, name="cat"), hold.id, True, "")
    answer = await asking
    assert isinstance(answer, Refused)
    assert answer.code == "stamp_no_longer_enough"
    assert dispatch.count == 0


async def test_the_same_line_runs_with_its_stamp_and_not_by_the_helpers_owner(
    house: House,
) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(ask(house, dispatch))
    await house.ticked.wait()
    (hold,) = await house.records.holds()
    assert set(hold.excluded) == {"ada", "ben"}
    await house.holds.stamp(replace(BEN, name="cat"), hold.id, True, "")
    answer = await asking
    assert isinstance(answer, Answered)
    assert dispatch.count == 1


def test_an_authority_reads_from_the_leaf_up() -> None:
    whole = line(2)
    chain = chain_of("payments:0:1", whole, owner)
    assert authority(chain) == "payments:0:1@1 under payments:0@1 under payments@1"
    assert authority(chain[:1]) == "payments@1"
