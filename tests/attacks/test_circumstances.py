"""Getting round hours, zones, end users and runs: each known way, by name, at the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from bailiwick.core.circumstances import Circumstance, ForEndUser, FromZone, RunLabelled
from bailiwick.core.hours import WORKING_WEEK, InHours, Span
from bailiwick.core.network import Networks, read_network
from bailiwick.core.run_words import run_words
from bailiwick.core.texts.glob import Glob
from bailiwick.gateway.gate import Answer, Answered, Asked, Refused, Said, StillWaiting
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.run_facts import RunFacts, begun
from bailiwick.ports import Caller, CallQuery, HoldState, RunEnded
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import BEN, CLERK, PAY, READ, Dispatched, House, mandate, snapshot

OFFICE = Networks({"office": (read_network("10.0.0.0/8"),)}, (read_network("192.0.2.1"),))
HOURS = InHours((Span("Europe/Zurich", WORKING_WEEK, 8 * 60, 18 * 60),))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(window_seconds=0.0), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


def only(house: House, *circumstances: Circumstance) -> None:
    """Allow what was allowed, in these circumstances only."""
    given = mandate()
    rule = replace(given.allow[0], circumstances=circumstances)
    declared = replace(snapshot(replace(given, allow=(rule,))), networks=OFFICE)
    house.authority.install(declared)


def clock_at(house: House, text: str) -> None:
    house.clock.wall = int(datetime.fromisoformat(text).timestamp() * 1000)


async def pay(
    house: House,
    dispatch: Dispatched,
    said: Said | None = None,
    address: str = "",
    caller: Caller = CLERK,
) -> Answer:
    asked = Asked(caller, PAY, {"amount": "5"}, "k", "mcp", said=said or Said(), address=address)
    return await house.gate.govern(asked, dispatch, house.on_tick)


async def approve(house: House) -> None:
    (hold,) = await house.records.holds(HoldState.WAITING)
    await house.holds.stamp(BEN, hold.id, True, "")


async def started(house: House, **words: str) -> Caller:
    told: RunFacts = begun(house.runs.new_id(), "clerk", "payments", run_words(**words), "ada")
    await house.runs.start(told, "ada", house.clock.wall_ms())
    return replace(CLERK, run=told.run)


def code(answer: Answer) -> str:
    assert isinstance(answer, Refused)
    return answer.code


async def test_an_approval_won_in_office_hours_is_not_used_after_them(house: House) -> None:
    only(house, HOURS)
    clock_at(house, "2026-11-19T17:59:59+01:00")
    dispatch = Dispatched()
    assert isinstance(await pay(house, dispatch), StillWaiting)
    await approve(house)
    clock_at(house, "2026-11-19T18:00:00+01:00")
    assert code(await pay(house, dispatch)) == "not_in_these_circumstances"
    assert dispatch.count == 0
    clock_at(house, "2026-11-20T08:00:00+01:00")
    await pay(house, dispatch)
    assert dispatch.count == 1


async def test_a_call_that_waits_into_the_night_is_judged_again_when_it_is_approved(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate())
    only(house, HOURS)
    clock_at(house, "2026-11-20T17:59:59+01:00")
    dispatch = Dispatched()
    asking = asyncio.ensure_future(pay(house, dispatch))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    clock_at(house, "2026-11-20T18:00:00+01:00")
    await approve(house)
    assert code(await asking) == "not_in_these_circumstances"
    assert dispatch.count == 0
    await house.close()


async def test_an_approval_won_in_the_office_is_not_used_from_elsewhere(house: House) -> None:
    only(house, FromZone(frozenset({"office"})))
    dispatch = Dispatched()
    assert isinstance(await pay(house, dispatch, address="10.0.0.7"), StillWaiting)
    await approve(house)
    for elsewhere in ("203.0.113.9", "", "::ffff:203.0.113.9", "2001:db8::1", "10.0.0.7.example"):
        answer = await pay(house, dispatch, address=elsewhere)
        assert code(answer) == "not_in_these_circumstances"
    assert dispatch.count == 0


async def test_an_approval_won_for_one_end_user_is_not_used_for_another(house: House) -> None:
    only(house, ForEndUser((Glob("eve@example.com"),), agent_may_say=True))
    dispatch = Dispatched()
    eve, mallory = Said(end_user="eve@example.com"), Said(end_user="mallory@example.com")
    assert isinstance(await pay(house, dispatch, eve), StillWaiting)
    await approve(house)
    for other in (mallory, Said(), Said(end_user="EVE@example.com")):
        assert code(await pay(house, dispatch, other)) == "not_in_these_circumstances"
    assert dispatch.count == 0


async def test_a_run_that_ends_while_its_call_waits_runs_nothing(house: House) -> None:
    caller = await started(house, instruction="Pay 5.")
    dispatch = Dispatched()
    assert isinstance(await pay(house, dispatch, caller=caller), StillWaiting)
    await approve(house)
    house.runs.end(caller.run)
    assert code(await pay(house, dispatch, caller=caller)) == "run_ended"
    assert dispatch.count == 0


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_approval_won_in_a_run_that_has_ended_is_not_used_in_another(
    house: House, restarted: bool
) -> None:
    dispatch = Dispatched()
    asked = Asked(CLERK, PAY, {"amount": "5"}, "session:1", "mcp")
    await house.gate.govern(asked, dispatch, house.on_tick)
    (old,) = await house.records.holds(HoldState.WAITING)
    await house.holds.stamp(BEN, old.id, True, "")
    house.runs.end(old.run)
    await house.journal.commit([], [RunEnded(old.run, house.clock.wall_ms())])
    if restarted:
        await house.close()
        await house.open(mandate())
    other = Asked(CLERK, PAY, {"amount": "5"}, "session:2", "mcp")
    assert isinstance(await house.gate.govern(other, dispatch, house.on_tick), StillWaiting)
    assert dispatch.count == 0
    (new,) = await house.records.holds(HoldState.WAITING)
    assert new.run != old.run
    gone = await house.records.hold(old.id)
    assert gone is not None
    assert gone.state is HoldState.WITHDRAWN


async def test_labels_of_one_run_open_nothing_in_another(house: House) -> None:
    only(house, RunLabelled(frozenset({"month-end"})))
    told = begun(house.runs.new_id(), "clerk", "payments", run_words(labels=["month-end"]), "ada")
    await house.runs.start(told, "ada", house.clock.wall_ms())
    labelled, plain = replace(CLERK, run=told.run), await started(house)
    dispatch = Dispatched()
    for caller in (plain, CLERK):
        answer = await pay(house, dispatch, caller=caller)
        assert code(answer) == "not_in_these_circumstances"
    assert isinstance(await pay(house, dispatch, caller=labelled), StillWaiting)
    # Naming it in another run, or joining it with a token that is bound elsewhere, does not help.
    named, joined = Said(labels=("month-end",)), Said(joins=told.run)
    for said in (named, joined):
        assert code(await pay(house, dispatch, said, caller=plain)) == "run_fixed"


async def test_a_refused_claim_teaches_the_run_nothing(house: House) -> None:
    caller = await started(house, instruction="Read only.")
    dispatch = Dispatched()
    for _ in range(3):
        refused = await pay(house, dispatch, Said("Pay mallory 5."), caller=caller)
        assert code(refused) == "run_fixed"
    told = house.runs.facts(caller.run)
    assert told is not None
    assert told.instruction == "Read only."
    asked = Asked(caller, READ, {}, "k", "mcp")
    assert not isinstance(await house.gate.govern(asked, Dispatched(), house.on_tick), Refused)


async def test_an_office_that_is_moved_while_a_call_waits_is_not_the_office_any_more(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate())
    only(house, FromZone(frozenset({"office"})))
    dispatch = Dispatched()
    asking = asyncio.ensure_future(pay(house, dispatch, address="10.0.0.7"))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    moved = Networks({"office": (read_network("172.16.0.0/12"),)})
    house.authority.install(replace(house.authority.snapshot, networks=moved))
    await approve(house)
    assert code(await asking) == "not_in_these_circumstances"
    assert dispatch.count == 0
    await house.close()


async def test_the_zones_that_are_recorded_with_an_approved_call_are_those_it_was_judged_in(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate())
    only(house, FromZone(frozenset({"office"})))
    asking = asyncio.ensure_future(pay(house, Dispatched(), address="10.0.0.7"))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    more = Networks({**OFFICE.zones, "desk": (read_network("10.0.0.7"),)})
    house.authority.install(replace(house.authority.snapshot, networks=more))
    await approve(house)
    assert isinstance(await asking, Answered)
    (row,) = await house.records.calls(CallQuery())
    assert row.approved_index is not None
    (entry,) = await house.records.entries(row.approved_index, row.approved_index + 1)
    payload = house.recorder.open(entry.leaf, entry.sealed)
    assert isinstance(payload, dict)
    assert payload["zones"] == ["desk", "office"]
    await house.close()
