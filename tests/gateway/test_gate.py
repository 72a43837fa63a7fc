"""The gate on a real store: what is recorded when, what runs, and what never does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailiwick.core.errors import StoreError, TheirError, UpstreamBroken, UpstreamDown
from bailiwick.core.mandate import MandateState
from bailiwick.gateway.gate import Answered, Refused, StillWaiting, Tick
from bailiwick.gateway.held import Waiting
from bailiwick.ports import CallQuery, CallState, HoldRow, HoldState, UpstreamReply
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import (
    ADA,
    BEN,
    CAT,
    DAN,
    PAY,
    READ,
    REPLY,
    Dispatched,
    House,
    mandate,
    snapshot,
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(window_seconds=60, tick_seconds=5), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


async def waiting_hold(house: House) -> HoldRow:
    """The one waiting hold, once somebody has been told to wait."""
    async with asyncio.timeout(10):
        await house.ticked.wait()
    house.ticked.clear()
    (hold,) = await house.records.holds(HoldState.WAITING)
    return hold


# --- promise 1: nothing runs unrecorded ---------------------------------------------------------


async def test_the_intent_is_durable_before_the_effect_can_happen(house: House) -> None:
    seen: list[CallState] = []

    async def look() -> None:
        (call,) = await house.records.calls(CallQuery())
        assert await house.records.entry_count() > call.intent_index
        seen.append(call.state)

    answer = await house.ask(READ, {"account": "1"}, Dispatched(first=look))
    assert isinstance(answer, Answered)
    assert answer.reply is REPLY
    assert seen == [CallState.RUNNING]
    (call,) = await house.records.calls(CallQuery())
    assert (call.state, call.outcome_index) == (CallState.DONE, call.intent_index + 1)


async def test_a_call_that_cannot_be_recorded_is_not_dispatched(house: House) -> None:
    await house.ask(READ, {}, Dispatched())
    house.journal.error, house.journal.fail_after = StoreError("store_unavailable", "full"), 0
    dispatch = Dispatched()
    answer = await house.ask(READ, {}, dispatch)
    assert isinstance(answer, Refused)
    assert answer.code == "ledger_unavailable"
    assert dispatch.count == 0


async def test_a_result_that_cannot_be_recorded_is_withheld(house: House) -> None:
    await house.ask(READ, {}, Dispatched())
    house.journal.error, house.journal.fail_after = StoreError("store_unavailable", "full"), 1
    answer = await house.ask(READ, {}, Dispatched())
    assert isinstance(answer, Refused)
    assert answer.code == "outcome_not_recorded"
    assert "paid" not in answer.text


async def test_a_denied_call_is_recorded_and_never_dispatched(house: House) -> None:
    dispatch = Dispatched()
    delete = type(READ)(READ.kind, "bank", "delete")
    answer = await house.ask(delete, {}, dispatch)
    assert isinstance(answer, Refused)
    assert dispatch.count == 0
    (call,) = await house.records.calls(CallQuery())
    assert (call.state, call.code) == (CallState.DENIED, answer.code)


@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        (UpstreamDown("x", "refused"), "upstream_down", CallState.FAILED),
        (UpstreamBroken("x", "cut off"), "outcome_unknown", CallState.UNKNOWN),
        (ZeroDivisionError(), "outcome_unknown", CallState.UNKNOWN),
    ],
)
async def test_what_is_not_known_is_recorded_as_unknown(
    house: House, error: Exception, code: str, state: CallState
) -> None:
    async def fail() -> None:
        raise error

    answer = await house.ask(READ, {}, Dispatched(first=fail))
    assert isinstance(answer, Refused)
    assert answer.code == code
    (call,) = await house.records.calls(CallQuery())
    assert call.state is state


async def test_a_cancelled_call_is_recorded_as_cancelled(house: House) -> None:
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(house.ask(READ, {}, Dispatched(first=hang)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (call,) = await house.records.calls(CallQuery())
    assert call.state is CallState.CANCELLED


async def test_a_client_that_leaves_while_its_intent_is_written_leaves_nothing_running(
    house: House,
) -> None:
    await house.ask(READ, {}, Dispatched())
    commit = house.journal.commit
    writing = asyncio.Event()

    async def tell(*given: object) -> range:
        writing.set()
        return await commit(*given)  # type: ignore[arg-type]

    house.journal.commit = tell  # type: ignore[assignment]
    dispatch = Dispatched()
    task = asyncio.ensure_future(house.ask(READ, {"n": 2}, dispatch))
    await writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    newest = (await house.records.calls(CallQuery()))[0]
    assert newest.state is CallState.CANCELLED
    assert dispatch.count == 0


async def test_an_upstreams_own_failure_is_passed_on_and_recorded(house: House) -> None:
    reply = UpstreamReply(result=b'{"isError" : true,"content":[]}')
    answer = await house.ask(READ, {}, Dispatched(reply=reply))
    assert answer == Answered(answer.call, reply)
    (call,) = await house.records.calls(CallQuery())
    assert call.state is CallState.FAILED


async def test_leaves_show_no_argument_and_no_person(house: House) -> None:
    await house.ask(READ, {"iban": "CH93-secret"}, Dispatched())
    entries = await house.records.entries(0, await house.records.entry_count())
    everything = b"".join(entry.leaf + entry.sealed for entry in entries)
    # As a word: a digest in hexadecimal may spell it by chance.
    assert re.search(rb"(?<![0-9a-f])ada(?![0-9a-f])", everything) is None
    for hidden in (b"CH93-secret", b'"paid"'):
        assert hidden not in everything


async def test_a_name_too_long_for_a_leaf_is_recorded_all_the_same(house: House) -> None:
    endless = type(READ)(READ.kind, "bank", "x" * 70_000)
    answer = await house.ask(endless, {}, Dispatched())
    assert isinstance(answer, Refused)
    (call,) = await house.records.calls(CallQuery())
    assert call.state is CallState.DENIED
    (entry,) = await house.records.entries(call.intent_index, call.intent_index + 1)
    opened = house.recorder.open(entry.leaf, entry.sealed)
    assert isinstance(opened, dict)
    assert "x" * 70_000 in str(opened["call"])


async def test_what_the_gateway_did_by_itself_can_be_opened_too(house: House) -> None:
    await house.ask(READ, {}, Dispatched())
    entries = await house.records.entries(0, await house.records.entry_count())
    (run,) = [entry for entry in entries if b'"type":"run"' in entry.leaf]
    opened = house.recorder.open(run.leaf, run.sealed)
    assert isinstance(opened, dict)
    content = opened["content"]
    assert isinstance(content, dict)
    assert content["key"] == "session-1"


# --- promise 5: a stamp is a person's, for one thing, once --------------------------------------


async def test_an_approved_call_runs_once_and_its_stamp_is_used_up(house: House) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch))
    hold = await waiting_hold(house)
    assert dispatch.count == 0
    await house.holds.stamp(BEN, hold.id, True, "")
    answer = await asking
    assert isinstance(answer, Answered)
    assert answer.call == hold.call
    assert dispatch.count == 1
    used = await house.records.hold(hold.id)
    assert used is not None
    assert used.state is HoldState.USED
    again = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch))
    second = await waiting_hold(house)
    assert second.id != hold.id
    assert dispatch.count == 1
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_identical_requests_waiting_for_one_hold_run_once_together(house: House) -> None:
    dispatch = Dispatched()
    asking = [asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch))]
    hold = await waiting_hold(house)
    asking.append(asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch)))
    assert (await waiting_hold(house)).id == hold.id
    await house.holds.stamp(BEN, hold.id, True, "")
    answers = await asyncio.gather(*asking)
    assert dispatch.count == 1
    assert {answer.call for answer in answers} == {hold.call}


async def test_a_refusal_is_told_again_for_a_while_and_then_asked_anew(house: House) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    hold = await waiting_hold(house)
    await house.holds.stamp(BEN, hold.id, False, "wrong supplier")
    answer = await asking
    assert isinstance(answer, Refused)
    assert answer.code == "stamp_refused"
    assert "wrong supplier" in answer.text
    assert await house.ask(PAY, {}, dispatch) == answer
    house.clock.advance(Waiting().told_seconds + 1)
    anew = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    assert (await waiting_hold(house)).id != hold.id
    assert dispatch.count == 0
    anew.cancel()
    await asyncio.gather(anew, return_exceptions=True)


async def test_the_window_ends_and_a_retry_picks_the_approved_hold_up(house: House) -> None:
    async def let_time_pass(tick: Tick) -> None:
        house.clock.advance(61 + tick.elapsed_seconds)

    dispatch = Dispatched()
    house.waiting = Waiting(window_seconds=60, tick_seconds=0.001)
    await house.close()
    await house.open(mandate())
    answer = await house.ask(PAY, {"n": 1}, dispatch, let_time_pass)
    assert isinstance(answer, StillWaiting)
    assert answer.hold in answer.text
    await house.holds.stamp(BEN, answer.hold, True, "")
    assert dispatch.count == 0
    ran = await house.ask(PAY, {"n": 1}, dispatch)
    assert isinstance(ran, Answered)
    assert ran.call == answer.call
    assert dispatch.count == 1


async def test_a_hold_and_its_stamp_survive_a_restart(house: House) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {"n": 1}, dispatch))
    hold = await waiting_hold(house)
    # The process dies here: nothing is withdrawn, the store is simply opened again.
    abandoned = house.store
    await house.open(mandate())
    await house.holds.stamp(BEN, hold.id, True, "")
    ran = await house.ask(PAY, {"n": 1}, dispatch)
    assert isinstance(ran, Answered)
    assert (ran.call, dispatch.count) == (hold.call, 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert dispatch.count == 1
    await abandoned.close()


async def test_an_expired_hold_is_refused_also_after_its_approval(house: House) -> None:
    asking = asyncio.ensure_future(house.ask(PAY, {}, Dispatched()))
    hold = await waiting_hold(house)
    house.clock.advance(25 * 3600)
    with pytest.raises(TheirError, match="expired"):
        await house.holds.stamp(BEN, hold.id, True, "")
    answer = await asking
    assert isinstance(answer, Refused)
    assert answer.code == "hold_expired"


@pytest.mark.parametrize(
    ("person", "code"), [(ADA, "stamp_not_allowed"), (DAN, "stamp_not_allowed")]
)
async def test_the_excluded_and_those_without_the_role_cannot_stamp(
    house: House, person: object, code: str
) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    hold = await waiting_hold(house)
    with pytest.raises(TheirError) as caught:
        await house.holds.stamp(person, hold.id, True, "")  # type: ignore[arg-type]
    assert caught.value.code == code
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert dispatch.count == 0


async def test_two_people_means_two_different_people(house: House) -> None:
    house.authority.install(snapshot(mandate(people=2)))
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    hold = await waiting_hold(house)
    assert (await house.holds.stamp(BEN, hold.id, True, "")).state is HoldState.WAITING
    with pytest.raises(TheirError) as caught:
        await house.holds.stamp(BEN, hold.id, True, "")
    assert caught.value.code == "already_stamped"
    assert dispatch.count == 0
    assert (await house.holds.stamp(CAT, hold.id, True, "")).state is not HoldState.WAITING
    assert isinstance(await asking, Answered)


async def test_two_people_stamping_at_the_same_moment_are_both_counted(house: House) -> None:
    house.authority.install(snapshot(mandate(people=2)))
    asking = asyncio.ensure_future(house.ask(PAY, {}, Dispatched()))
    hold = await waiting_hold(house)
    await asyncio.gather(
        house.holds.stamp(BEN, hold.id, True, ""), house.holds.stamp(CAT, hold.id, True, "")
    )
    assert isinstance(await asking, Answered)


async def test_a_stamp_for_an_earlier_version_of_the_mandate_runs_nothing(house: House) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    hold = await waiting_hold(house)
    house.authority.install(snapshot(mandate(version=2)))
    await house.holds.stamp(BEN, hold.id, True, "")
    answer = await asking
    assert isinstance(answer, Refused)
    assert answer.code == "stamp_no_longer_enough"
    assert dispatch.count == 0


async def test_a_stamp_of_one_who_lost_the_role_runs_nothing(house: House) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    hold = await waiting_hold(house)
    house.authority.install(snapshot(mandate(), ben_is_treasurer=False))
    await house.holds.stamp(BEN, hold.id, True, "")
    answer = await asking
    assert isinstance(answer, Refused)
    assert dispatch.count == 0


async def test_a_client_that_goes_away_withdraws_its_hold(house: House) -> None:
    asking = asyncio.ensure_future(house.ask(PAY, {}, Dispatched()))
    hold = await waiting_hold(house)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    withdrawn = await house.records.hold(hold.id)
    assert withdrawn is not None
    assert withdrawn.state is HoldState.WITHDRAWN
    with pytest.raises(TheirError) as caught:
        await house.holds.stamp(BEN, hold.id, True, "")
    assert caught.value.code == "hold_not_waiting"
    call = await house.records.call(hold.call)
    assert call is not None
    assert call.state is CallState.CANCELLED


# --- promise 7: revoked is revoked --------------------------------------------------------------


async def test_nothing_is_dispatched_once_a_mandate_is_revoked(house: House) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {}, dispatch))
    hold = await waiting_hold(house)
    house.authority.set_state("payments", MandateState.REVOKED)
    await house.holds.stamp(BEN, hold.id, True, "")
    approved = await asking
    fresh = await house.ask(READ, {}, dispatch)
    assert isinstance(approved, Refused)
    assert isinstance(fresh, Refused)
    assert dispatch.count == 0


async def test_a_call_judged_before_a_revocation_is_stopped_at_dispatch(house: House) -> None:
    await house.ask(READ, {}, Dispatched())
    commit = house.journal.commit

    async def revoked_while_recording(*given: object) -> range:
        done = await commit(*given)  # type: ignore[arg-type]
        house.authority.set_state("payments", MandateState.REVOKED)
        return done

    house.journal.commit = revoked_while_recording  # type: ignore[assignment]
    dispatch = Dispatched()
    answer = await house.ask(READ, {}, dispatch)
    assert isinstance(answer, Refused)
    assert answer.code == "mandate_revoked"
    assert dispatch.count == 0


async def test_calls_in_flight_are_listed_as_such(house: House) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        started.set()
        await go_on.wait()

    asking = asyncio.ensure_future(house.ask(READ, {}, Dispatched(first=hang)))
    await started.wait()
    (call,) = house.gate.in_flight("payments")
    go_on.set()
    assert (await asking).call == call
    assert house.gate.in_flight("payments") == []
