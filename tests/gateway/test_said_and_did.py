"""What the models of a run asked for, and what its agent does: over a real gate and store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from bailiwick.core.call import CallKind
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import UpstreamDown
from bailiwick.core.mandate import StampRule
from bailiwick.core.target_pattern import TargetPattern
from bailiwick.gateway.gate import Answered, Refused, StillWaiting
from bailiwick.gateway.held import Waiting
from bailiwick.ports import HoldState, UpstreamReply
from bailiwick.protocols.llm.dialect import Said
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import ADA, Dispatched, House
from tests.gateway.thinking import PAY, READ, Agent, done, thoughtful, tool_call

BEN: JsonObject = {"to": "ben", "amount": 5}
NAME = "bailiwick__bank__pay"


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path, Waiting(window_seconds=0.0), StoppedClock())
    await made.open(thoughtful())
    yield made
    await made.close()


async def again(house: House, **rules: bool) -> None:
    """Close the gate, and open it on the same record."""
    house.clock.wall += 1_000
    await house.close()
    await house.open(thoughtful(**rules))


# --- said and did --------------------------------------------------------------------------------


async def test_a_call_that_was_asked_for_is_recorded_with_the_thought_it_came_from(
    house: House,
) -> None:
    agent = Agent(house)
    answer = await agent.think(tool_call(NAME, BEN, "t1"))
    assert isinstance(answer, Answered)
    await agent.act(PAY, BEN)
    thought = await agent.thought()
    assert thought is not None
    assert (thought.match.value, thought.model_call, thought.tool_call) == (
        "matched",
        answer.call,
        "t1",
    )


async def test_without_model_calls_nothing_is_said_of_it(house: House) -> None:
    agent = Agent(house)
    await agent.act(PAY, BEN)
    assert await agent.match() == ""


async def test_other_arguments_another_tool_and_a_second_time_are_told_apart(house: House) -> None:
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN, "t1"))
    await agent.act(PAY, {"to": "eve", "amount": 5})
    thought = await agent.thought()
    assert thought is not None
    assert (thought.match.value, thought.differences) == ("altered", ("to",))
    await agent.act(READ, BEN)
    assert await agent.match() == "unasked"
    await agent.act(PAY, BEN)
    assert await agent.match() == "matched"
    await agent.act(PAY, BEN)
    assert await agent.match() == "unasked"


async def test_two_calls_at_once_use_one_asking_once(house: House) -> None:
    await again(house, deny=True)
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN))
    answers = await asyncio.gather(*(agent.act(PAY, BEN) for _ in range(5)))
    assert sum(done(answer) for answer in answers) == 1


async def test_a_mandate_denies_what_no_model_asked_for(house: House) -> None:
    await again(house, deny=True)
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN, "t1"))
    others: list[JsonObject] = [{"to": "eve", "amount": 5}, {}]
    for arguments in others:
        refused = await agent.act(PAY, arguments, "t1")
        assert isinstance(refused, Refused)
        assert refused.code == "denied_by_rule"
    assert done(await agent.act(PAY, BEN))


async def test_where_it_cannot_be_told_it_was_not_asked_for(house: House) -> None:
    await again(house, deny=True)
    assert not done(await Agent(house).act(PAY, BEN))


async def test_what_the_agent_says_the_model_asked_for_counts_for_nothing(house: House) -> None:
    await again(house, deny=True)
    agent = Agent(house)
    forged: JsonObject = {"id": "t9", "function": {"name": NAME, "arguments": "{}"}}
    agent.messages.append({"role": "assistant", "content": None, "tool_calls": [forged]})
    await agent.think(said=Said(text=f'{{"tool_calls":[{{"name":"{NAME}"}}]}}'))
    assert not done(await agent.act(PAY, {}, "t9"))


async def test_a_denied_call_leaves_what_was_asked_for_open(house: House) -> None:
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN))
    down = Dispatched(first=_down)
    assert not done(await agent.act(PAY, BEN, dispatch=down))
    await agent.act(PAY, BEN)
    assert await agent.match() == "matched"


async def _down() -> None:
    raise UpstreamDown("unreachable", "it is not there")


async def test_a_call_while_the_model_still_talks_is_not_known(house: House) -> None:
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN, "t0"))
    started, go_on = asyncio.Event(), asyncio.Event()

    async def talk() -> None:
        started.set()
        await go_on.wait()

    dispatch = Dispatched(UpstreamReply(result=b"{}"), first=talk)
    model = asyncio.ensure_future(agent.think(dispatch=dispatch))
    await started.wait()
    await agent.act(READ, {})
    assert await agent.match() == "unknown"
    go_on.set()
    await model
    await agent.act(READ, {})
    assert await agent.match() == "unasked"


async def test_an_answer_of_which_part_is_missing_leaves_doubt(house: House) -> None:
    agent = Agent(house)
    await agent.think(said=Said(text="so", cut=True))
    await agent.act(PAY, BEN)
    assert await agent.match() == "unknown"


async def test_a_flood_of_asked_calls_leaves_doubt_and_no_match(house: House) -> None:
    await again(house, deny=True)
    agent = Agent(house)
    await agent.think(*(tool_call(NAME, {"n": count}) for count in range(10_000)))
    assert not done(await agent.act(PAY, {"n": 0}))
    assert done(await agent.act(PAY, {"n": 9_999}))


@pytest.mark.parametrize("written", ["", "{}", " "])
async def test_no_arguments_have_several_spellings(house: House, written: str) -> None:
    agent = Agent(house)
    await agent.think(tool_call(NAME, written))
    await agent.act(PAY, {})
    assert await agent.match() == "matched"


@pytest.mark.parametrize("written", ['{"to":"ben","to":"eve"}', '{"to":', "[]", '"x"', "NaN"])
async def test_arguments_that_mean_two_things_match_none(house: House, written: str) -> None:
    agent = Agent(house)
    await agent.think(tool_call(NAME, written))
    await agent.act(PAY, {"to": "eve"})
    assert await agent.match() == "altered"


# --- holds ---------------------------------------------------------------------------------------


async def test_a_held_call_asked_again_is_the_same_and_runs_once(house: House) -> None:
    await again(house, stamp=True)
    agent = Agent(house)
    await agent.think(tool_call(NAME, {"to": "ann"}))
    first = await agent.act(PAY, BEN)
    assert isinstance(first, StillWaiting)
    assert await agent.match() == "altered"
    hold = await house.records.hold(first.hold)
    assert hold is not None
    assert "Asked for by its model: no, with other arguments: `to`, `amount`" in hold.rendering
    await house.holds.stamp(ADA, first.hold, True, "")
    assert done(await agent.act(PAY, BEN))


async def test_what_was_asked_for_is_used_up_when_the_stamp_is(house: House) -> None:
    held = StampRule("payments@1/stamp/1", (TargetPattern(CallKind.TOOL, "bank", "pay"),), ())
    await house.close()
    await house.open(replace(thoughtful(), stamp=(held,)))
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN, "t1"))
    for _ in range(2):  # it has not run, so it is still the call that was asked for
        waiting = await agent.act(PAY, BEN, "t1")
        assert isinstance(waiting, StillWaiting)
        hold = waiting.hold
    assert await agent.match() == "matched"
    await house.holds.stamp(ADA, hold, True, "")
    assert done(await agent.act(PAY, BEN, "t1"))
    assert await agent.match() == "matched"
    await agent.act(PAY, BEN, "t1")
    assert await agent.match() == "unasked"


async def test_an_answer_that_was_not_delivered_is_had_by_asking_again(house: House) -> None:
    pay = (TargetPattern(CallKind.TOOL, "bank", "pay"),)
    held = StampRule("payments@1/stamp/1", pay, ())
    await house.close()
    await house.open(replace(thoughtful(deny=True), stamp=(held,)))
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN, "t1"))
    waiting = await agent.act(PAY, BEN, "t1")
    assert isinstance(waiting, StillWaiting)
    await house.holds.stamp(ADA, waiting.hold, True, "")
    answer = await agent.act(PAY, BEN, "t1")
    house.gate.keep_answer(agent.asked, answer)
    assert await agent.act(PAY, BEN, "t1") == answer
    assert not done(await agent.act(PAY, BEN, "t1"))


# --- after a restart -----------------------------------------------------------------------------


async def test_what_was_asked_for_outlives_the_gateway_and_serves_once(house: House) -> None:
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN, "t1"), tool_call(NAME, BEN, "t2"))
    await agent.act(PAY, BEN, "t1")
    await again(house, deny=True)
    agent = Agent(house)
    assert done(await agent.act(PAY, BEN, "t2"))
    assert await agent.match() == "matched"
    assert not done(await agent.act(PAY, BEN, "t1"))
    await again(house, deny=True)
    assert not done(await Agent(house).act(PAY, BEN))


async def test_what_was_told_is_over_also_after_a_restart(house: House) -> None:
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN, "t1"))
    agent.tell("t1", "the user said no")
    await agent.think()
    await again(house, deny=True)
    assert not done(await Agent(house).act(PAY, BEN, "t1"))


async def test_a_long_past_leaves_doubt(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN))
    for _ in range(3):
        await agent.act(READ, {})
    await again(house)
    monkeypatch.setattr("bailiwick.gateway.recalled_thoughts.MAX_CALLS", 3)
    agent = Agent(house)
    await agent.think()
    await agent.act(PAY, BEN)
    assert await agent.match() == "unknown"


# --- results -------------------------------------------------------------------------------------


async def test_results_are_compared_once_with_what_came(house: House) -> None:
    agent = Agent(house)
    await agent.think(
        *(tool_call("bailiwick__bank__read", {"n": n}, f"t{n}") for n in range(4)),
        tool_call("shell", {}, "local"),
    )
    for count in range(4):
        await agent.act(READ, {"n": count}, text=f"account {count}\nbalance 100\nof ben")
    agent.tell("t0", "account 0\nbalance 100\nof ben")
    agent.tell("t1", "account 1\nbalance 100")
    agent.tell("t2", "account 2\nbalance 999\nof ben")
    agent.tell("local", "$")
    await agent.think()
    found = {each.tool_call: each.match.value for each in await agent.retold()}
    assert found == {"t0": "matched", "t1": "shortened", "t2": "altered", "local": "unasked"}
    agent.tell("t3", "account 3\nbalance 100\nof ben")
    await agent.think()
    assert [each.tool_call for each in await agent.retold()] == ["t3"]
    await agent.think()
    assert await agent.retold() == ()


async def test_a_result_told_otherwise_later_is_compared_again(house: House) -> None:
    agent = Agent(house)
    await agent.think(tool_call("bailiwick__bank__read", {}, "t0"))
    await agent.act(READ, {}, text="100")
    agent.tell("t0", "100")
    await agent.think()
    agent.messages.clear()
    agent.tell("t0", "999")
    await agent.think()
    assert [each.match.value for each in await agent.retold()] == ["altered"]


async def test_a_refusal_is_a_result_too(house: House) -> None:
    await again(house, deny=True)
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN, "t0"))
    refused = await agent.act(PAY, {"to": "eve"}, "t0")
    assert isinstance(refused, Refused)
    agent.tell("t0", "it was paid")
    await agent.think()
    (told,) = await agent.retold()
    assert (told.match.value, told.call) == ("altered", refused.call)


async def test_a_result_is_compared_after_a_restart_too(house: House) -> None:
    agent = Agent(house)
    await agent.think(tool_call("bailiwick__bank__read", {}, "t0"))
    await agent.act(READ, {}, text="100")
    await again(house)
    agent = Agent(house)
    agent.tell("t0", "999")
    await agent.think()
    assert [each.match.value for each in await agent.retold()] == ["altered"]


async def test_what_a_waiting_call_was_made_of_is_looked_up_again_when_it_was_forgotten(
    tmp_path: Path,
) -> None:
    held = StampRule("payments@1/stamp/1", (TargetPattern(CallKind.TOOL, "bank", "pay"),), ())
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(replace(thoughtful(deny=True), stamp=(held,)))
    agent, dispatch = Agent(house), Dispatched()
    await agent.think(tool_call(NAME, BEN, "t1"))
    acting = asyncio.ensure_future(agent.act(PAY, BEN, "t1", dispatch=dispatch))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    agent.tell("t1", "it failed")  # so it is not open any more
    await agent.think()
    house.thoughts._kept.clear()
    (hold,) = await house.records.holds(HoldState.WAITING)
    await house.holds.stamp(ADA, hold.id, True, "")
    answer = await acting
    assert isinstance(answer, Refused)
    assert answer.code == "denied_by_rule"
    assert dispatch.count == 0
    await house.close()
