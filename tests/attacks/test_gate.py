"""What an agent tries on the gate: floods, repetitions, and things it should not learn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bailiwick.core.call import CallKind, Target
from bailiwick.core.mandate import MandateState
from bailiwick.core.verdict import Deny
from bailiwick.gateway import held, undelivered
from bailiwick.gateway.gate import Answer, Answered, Asked, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.ledger.leaf import parse_leaf
from bailiwick.ports import CallQuery, CallState, HoldRow, HoldState, UpstreamReply
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import BEN, CLERK, PAY, READ, Dispatched, House, mandate

CHANGED = Deny("definition_changed", ("gateway/pins",), "the definition has changed")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(window_seconds=60, tick_seconds=5), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


async def waiting_hold(house: House) -> HoldRow:
    async with asyncio.timeout(10):
        await house.ticked.wait()
    house.ticked.clear()
    (hold,) = await house.records.holds(HoldState.WAITING)
    return hold


async def end(*tasks: asyncio.Future[Answer]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def ask_blocked(house: House, target: Target, dispatch: Dispatched) -> Answer:
    asked = Asked(CLERK, target, {}, "session-1", "mcp/2026-07-28", blocked=CHANGED)
    return await house.gate.govern(asked, dispatch, house.on_tick)


def asked(amount: str) -> Asked:
    return Asked(CLERK, PAY, {"amount": amount}, "session-1", "mcp/2025-11-25")


# --- definitions that changed -------------------------------------------------------------------


async def test_a_call_to_a_changed_definition_is_refused_with_its_reason_and_recorded(
    house: House,
) -> None:
    dispatch = Dispatched()
    answer = await ask_blocked(house, READ, dispatch)
    assert isinstance(answer, Refused)
    assert answer.code == "definition_changed"
    assert dispatch.count == 0
    (call,) = await house.records.calls(CallQuery())
    assert (call.state, call.code) == (CallState.DENIED, "definition_changed")


async def test_nobody_is_asked_to_stamp_a_call_to_a_changed_definition(house: House) -> None:
    answer = await ask_blocked(house, PAY, Dispatched())
    assert isinstance(answer, Refused)
    assert answer.code == "definition_changed"
    assert await house.records.holds() == []


async def test_what_a_server_has_is_not_told_to_an_agent_that_may_not_use_it(house: House) -> None:
    hidden = Target(CallKind.TOOL, "bank", "close_account")
    answer = await ask_blocked(house, hidden, Dispatched())
    assert isinstance(answer, Refused)
    assert answer.code == "not_in_mandate"


@pytest.mark.parametrize("kind", [CallKind.TOOL, CallKind.PROMPT, CallKind.RESOURCE])
async def test_an_agent_cannot_publish_what_it_has_read_as_the_name_of_a_call(
    house: House, kind: CallKind
) -> None:
    await house.ask(Target(kind, "bank", "CH93-0076-2011"), {}, Dispatched())
    leaves = await house.records.entries(0, await house.records.entry_count())
    assert any(b'"decision":"deny"' in entry.leaf for entry in leaves)
    assert not any(b"CH93" in entry.leaf for entry in leaves)


# --- holds --------------------------------------------------------------------------------------


async def test_identical_calls_in_the_same_moment_open_one_hold_and_run_once(house: House) -> None:
    dispatch = Dispatched()
    asking = [asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch)) for _ in range(20)]
    async with asyncio.timeout(10):
        while len(house.ticks) < len(asking):
            await house.ticked.wait()
            house.ticked.clear()
    (hold,) = await house.records.holds(HoldState.WAITING)
    await house.holds.stamp(BEN, hold.id, True, "")
    answers = await asyncio.gather(*asking)
    assert {answer.call for answer in answers} == {hold.call}
    assert dispatch.count == 1
    assert len(await house.records.holds()) == 1


async def test_an_agent_cannot_bury_people_in_calls_to_stamp(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "MAX_WAITING_PER_AGENT", 3)
    asking = [
        asyncio.ensure_future(house.ask(PAY, {"amount": str(number)}, Dispatched()))
        for number in range(12)
    ]
    done, _ = await asyncio.wait(asking, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 9:
        more, _ = await asyncio.wait(
            set(asking) - done, timeout=10, return_when=asyncio.FIRST_COMPLETED
        )
        assert more
        done |= more
    answers = [task.result() for task in done]
    assert all(isinstance(answer, Refused) for answer in answers)
    assert {answer.code for answer in answers if isinstance(answer, Refused)} == {
        "too_many_waiting"
    }
    assert len(await house.records.holds(HoldState.WAITING)) == 3
    refused = [call for call in await house.records.calls(CallQuery()) if call.code != "held"]
    assert {call.state for call in refused} == {CallState.DENIED}
    await end(*(task for task in asking if not task.done()))


@pytest.mark.parametrize(
    "arguments",
    [{"memo": "x" * (held.MAX_SHOWN_BYTES + 1)}, {"memo": [[[[[0] * 100_000]]]]}],
    ids=["long", "long once indented"],
)
async def test_nobody_is_asked_to_stamp_what_nobody_can_read(
    house: House, arguments: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "MAX_RENDERING_CHARS", 500_000)
    dispatch = Dispatched()
    answer = await house.ask(PAY, arguments, dispatch)  # type: ignore[arg-type]
    assert isinstance(answer, Refused)
    assert answer.code == "too_long_to_show"
    assert dispatch.count == 0
    assert await house.records.holds() == []


@pytest.mark.parametrize("amount", ["5 ", "5\u200b", "05", "5.0"])
async def test_a_stamp_serves_no_call_that_differs_in_one_character(
    house: House, amount: str
) -> None:
    dispatch = Dispatched()
    first = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch))
    hold = await waiting_hold(house)
    other = asyncio.ensure_future(house.ask(PAY, {"amount": amount}, dispatch))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    await house.holds.stamp(BEN, hold.id, True, "")
    assert (await first).call == hold.call
    assert dispatch.count == 1
    assert not other.done()
    await end(other)
    assert dispatch.count == 1


async def test_the_order_of_arguments_makes_no_other_call(house: House) -> None:
    dispatch = Dispatched()
    first = asyncio.ensure_future(house.ask(PAY, {"amount": "5", "to": "x"}, dispatch))
    hold = await waiting_hold(house)
    again = asyncio.ensure_future(house.ask(PAY, {"to": "x", "amount": "5"}, dispatch))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    await house.holds.stamp(BEN, hold.id, True, "")
    assert {answer.call for answer in await asyncio.gather(first, again)} == {hold.call}
    assert dispatch.count == 1


# --- authority that ends while a call waits ----------------------------------------------------


async def test_a_call_whose_token_was_revoked_while_it_waited_is_not_run(house: House) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch))
    hold = await waiting_hold(house)
    house.authority.revoke_tokens({CLERK.token})
    await house.holds.stamp(BEN, hold.id, True, "")
    answer = await asking
    assert isinstance(answer, Refused)
    assert answer.code == "token_revoked"
    assert dispatch.count == 0
    call = await house.records.call(hold.call)
    assert call is not None
    assert (call.state, call.code) == (CallState.DENIED, "token_revoked")


@pytest.mark.parametrize("state", [s for s in MandateState if s is not MandateState.ACTIVE])
async def test_no_state_but_active_lets_a_stamped_call_through(
    house: House, state: MandateState
) -> None:
    dispatch = Dispatched()
    asking = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, dispatch))
    hold = await waiting_hold(house)
    house.authority.set_state("payments", state)
    await house.holds.stamp(BEN, hold.id, True, "")
    assert isinstance(await asking, Refused)
    assert dispatch.count == 0


# --- answers that could not be delivered --------------------------------------------------------


async def test_only_the_answer_to_a_stamped_call_is_kept(house: House) -> None:
    answer = await house.ask(READ, {"amount": "5"}, Dispatched())
    house.gate.keep_answer(asked("5"), answer)
    asking = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, Dispatched()))
    assert (await waiting_hold(house)).state is HoldState.WAITING
    await end(asking)


async def test_a_kept_answer_is_not_taken_for_the_same_payment_of_next_month(house: House) -> None:
    house.gate.keep_answer(
        asked("5"), Answered("A" * 26, UpstreamReply(result=b'{"content":[]}'), stamped=True)
    )
    house.clock.advance(30 * 24 * 3600)
    asking = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, Dispatched()))
    assert (await waiting_hold(house)).state is HoldState.WAITING
    await end(asking)


async def test_a_kept_answer_is_given_once_and_to_the_same_call_only(house: House) -> None:
    kept = Answered("A" * 26, UpstreamReply(result=b'{"content":[]}'), stamped=True)
    house.gate.keep_answer(asked("5"), kept)
    other = asyncio.ensure_future(house.ask(PAY, {"amount": "6"}, Dispatched()))
    assert (await waiting_hold(house)).state is HoldState.WAITING
    assert await house.ask(PAY, {"amount": "5"}, Dispatched()) == kept
    again = asyncio.ensure_future(house.ask(PAY, {"amount": "5"}, Dispatched()))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    assert not again.done()
    await end(other, again)


def test_kept_answers_take_bounded_memory() -> None:
    kept = undelivered.Undelivered()
    big = UpstreamReply(result=b"x" * (undelivered.MAX_BYTES // 4))
    for number in range(6):
        kept.keep((str(number), "m@1", "clerk", ""), Answered("A" * 26, big, stamped=True), 10.0)
    found = [kept.pop((str(number), "m@1", "clerk", ""), 0.0) for number in range(6)]
    assert [answer is not None for answer in found] == [False, False, True, True, True, True]


# --- two that ask for the same ------------------------------------------------------------------


async def test_a_run_that_was_ended_runs_nothing_by_joining_another_runs_hold(house: House) -> None:
    dispatch = Dispatched()

    def pay(run: str, token: str = "token-1") -> asyncio.Task[Answer]:
        caller = replace(CLERK, token=token)
        asked = Asked(caller, PAY, {}, run, "mcp/2026-07-28")
        return asyncio.create_task(house.gate.govern(asked, dispatch, house.on_tick))

    first = pay("session-1")
    hold = await waiting_hold(house)
    second = pay("session-2")
    await asyncio.wait_for(house.ticked.wait(), 10)
    await end(first)
    (run,) = [run.id for run in await house.records.runs(5) if run.key == "session-2"]
    house.runs.end(run)
    await house.holds.stamp(BEN, hold.id, True, "")
    answer = await second
    assert isinstance(answer, Refused)
    assert (answer.code, dispatch.count) == ("run_ended", 0)


async def test_a_call_runs_by_the_token_of_one_that_still_asks(house: House) -> None:
    dispatch = Dispatched()
    tokens = ("gone", "revoked", "good")
    tasks: dict[str, asyncio.Task[Answer]] = {}
    for token in tokens:
        caller = replace(CLERK, token=token)
        asked = Asked(caller, PAY, {}, "session-1", "mcp/2026-07-28")
        work = house.gate.govern(asked, dispatch, house.on_tick)
        tasks[token] = asyncio.create_task(work)
        hold = await waiting_hold(house)
    await end(tasks["gone"])
    house.authority.revoke_tokens({"revoked"})
    await house.holds.stamp(BEN, hold.id, True, "")
    assert isinstance(await tasks["good"], Answered)
    assert dispatch.count == 1
    leaves = [parse_leaf(leaf) for leaf in await house.records.leaves(0, 100)]
    used = [leaf.fields["token"] for leaf in leaves if leaf.fields.get("code") == "approved"]
    assert used == ["good"]
    await end(tasks["revoked"])
