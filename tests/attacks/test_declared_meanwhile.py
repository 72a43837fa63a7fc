"""What is declared anew while a call is on its way: it is judged by what stands when it is judged,
however long it took to look up what its run has read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bailiwick.core.call import Call
from bailiwick.core.flow.labels import Accepts, Flow, Labels
from bailiwick.core.flow.run_memory import RunMemory
from bailiwick.core.mandate import Mandate
from bailiwick.core.verdict import Deny
from bailiwick.gateway.authority import Snapshot
from bailiwick.gateway.gate import Answer, Answered, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.recalled import Recalled
from bailiwick.gateway.run_facts import RunFacts
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import CallQuery, CallState, Change, Entry, HoldMoved, HoldState
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


@pytest.mark.parametrize("version", [mandate(2), narrower()], ids=["allowed", "denied"])
async def test_a_call_that_is_judged_anew_is_one_call_on_record(
    house: House, monkeypatch: pytest.MonkeyPatch, version: Mandate
) -> None:
    begin = house.runs._record

    async def slowly(told: RunFacts, key: str, principal: str, now_ms: int) -> None:
        await begin(told, key, principal, now_ms)
        house.authority.install(snapshot(version))

    monkeypatch.setattr(house.runs, "_record", slowly)
    answer = await house.ask(READ, {}, Dispatched())
    (row,) = await house.records.calls(CallQuery())
    assert (row.id, row.mandate) == (answer.call, "payments@2")
    last = await house.records.entry_count()
    leaves = [parse_leaf(each) for each in await house.records.leaves(0, last)]
    assert [each.type for each in leaves if each.id == answer.call] == (
        ["call.intent", "call.outcome"] if isinstance(answer, Answered) else ["call.intent"]
    )


# --- while it is recorded ------------------------------------------------------------------------


@dataclass(frozen=True)
class Forbids:
    """Policies that refuse everything."""

    version: str = "another"
    about_reading: bool = False

    def decide(self, call: Call, chain: Sequence[Mandate], labels: Labels, now: int) -> Deny:
        return Deny("denied_by_policy", ("no",), "nothing is done today")


def held() -> Mandate:
    """The next version: all that is allowed waits for a stamp."""
    given = mandate(2)
    (stamp,) = given.stamp
    return replace(given, stamp=(replace(stamp, targets=given.allow[0].targets),))


def installs(house: House, snapshot: Snapshot, *, using_up: bool = False) -> None:
    """Let this come into force while the next commit is written, or that which uses a stamp up."""
    commit = house.journal.commit

    async def slowly(entries: Sequence[Entry], changes: Sequence[Change] = ()) -> range:
        done = await commit(entries, changes)
        if not using_up or any(
            isinstance(each, HoldMoved) and each.state is HoldState.USED for each in changes
        ):
            house.journal.commit = commit  # type: ignore[method-assign]
            house.authority.install(snapshot)
        return done

    house.journal.commit = slowly  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "snapshot",
    [
        snapshot(narrower()),
        snapshot(held()),
        replace(snapshot(mandate()), policies=Forbids()),
    ],
    ids=["narrower", "held", "policy"],
)
async def test_what_comes_while_a_call_is_recorded_is_heeded_before_it_is_sent(
    house: House, snapshot: Snapshot
) -> None:
    dispatch = Dispatched()
    assert isinstance(await house.ask(READ, {}, dispatch), Answered)
    installs(house, snapshot)
    answer = await house.ask(READ, {}, dispatch)
    assert code(answer) == "mandate_changed"
    assert dispatch.count == 1
    row = await house.records.call(answer.call)
    assert row is not None
    assert (row.state, row.code) == (CallState.DENIED, "mandate_changed")


async def test_a_version_that_lets_a_call_through_as_well_does_not_stop_it(house: House) -> None:
    await house.ask(READ, {}, Dispatched())
    installs(house, snapshot(mandate(2)))
    dispatch = Dispatched()
    assert isinstance(await house.ask(READ, {}, dispatch), Answered)
    assert dispatch.count == 1


@pytest.mark.parametrize(
    ("snapshot", "count"),
    [
        (snapshot(mandate(2)), 0),
        (replace(snapshot(mandate()), policies=Forbids()), 0),
        (snapshot(mandate()), 1),
    ],
    ids=["version", "policy", "the same"],
)
async def test_a_stamp_that_is_being_used_up_serves_the_version_it_was_given_for(
    house: House, snapshot: Snapshot, count: int
) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    (hold,) = await house.records.holds(HoldState.WAITING)
    installs(house, snapshot, using_up=True)
    await house.holds.stamp(BEN, hold.id, True, "")
    answer = await asking
    assert dispatch.count == count
    assert isinstance(answer, Answered) if count else code(answer) == "mandate_changed"
