"""Which run calls belong to, where an agent thinks and acts through one gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from bailiwick.core.call import CallKind, Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.run_words import run_words
from bailiwick.gateway.gate import Asked, Refused, Said
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.run_facts import begun
from bailiwick.ports import Caller
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import CLERK, Dispatched, House
from tests.gateway.thinking import PAY, READ, Agent, done, thoughtful, tool_call

BEN: JsonObject = {"to": "ben"}
NAME = "bailiwick__bank__pay"
TOKEN = "token:token-1"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path, Waiting(window_seconds=0.0), StoppedClock())
    await made.open(thoughtful())
    yield made
    await made.close()


def claude(house: House, session: str) -> Agent:
    """Names its session with model calls only, and the model's id with tool calls."""
    return Agent(house, key=TOKEN, session=session)


async def run_of(agent: Agent) -> str:
    return (await agent.newest()).run


# --- by names ------------------------------------------------------------------------------------


async def test_a_session_named_on_both_sides_is_one_run(house: House) -> None:
    agent = Agent(house)
    await agent.think(tool_call(NAME, BEN))
    thinking = await run_of(agent)
    await agent.act(PAY, BEN)
    assert await run_of(agent) == thinking
    assert await agent.match() == "matched"


async def test_who_names_nothing_has_one_run_for_a_token(house: House) -> None:
    agent = Agent(house, key=TOKEN)
    await agent.think(tool_call(NAME, BEN))
    thinking = await run_of(agent)
    await agent.act(PAY, BEN)
    assert await run_of(agent) == thinking


async def test_a_tool_call_finds_its_run_by_the_models_id_of_it(house: House) -> None:
    one, other = claude(house, "one"), claude(house, "other")
    await one.think(tool_call(NAME, BEN, "toolu_1"))
    first = await run_of(one)
    await other.think(tool_call(NAME, BEN, "toolu_2"))
    second = await run_of(other)
    assert first != second
    await other.act(PAY, {"to": "eve"}, "toolu_2")
    assert (await run_of(other), await other.match()) == (second, "altered")
    await one.act(PAY, BEN, "toolu_1")
    assert (await run_of(one), await one.match()) == (first, "matched")


async def test_a_tool_call_finds_its_run_by_what_it_is(house: House) -> None:
    agent = Agent(house, key=TOKEN, session="ses_1")
    await agent.think(tool_call(NAME, BEN))
    thinking = await run_of(agent)
    await agent.act(PAY, BEN, key="session:abc")
    assert await run_of(agent) == thinking
    await agent.act(READ, {"never": "asked"}, key="session:abc")
    assert (await run_of(agent), await agent.match()) == (thinking, "unasked")


async def test_what_two_runs_have_asked_for_joins_neither(house: House) -> None:
    for session in ("one", "other"):
        await claude(house, session).think(tool_call(NAME, BEN))
    agent = claude(house, "")
    await agent.act(PAY, BEN, key="session:abc")
    assert await agent.match() == ""


async def test_what_was_asked_for_long_ago_joins_nothing(house: House) -> None:
    await claude(house, "one").think(tool_call(NAME, BEN))
    house.clock.wall += 601_000
    agent = claude(house, "")
    await agent.act(PAY, BEN, key="session:abc")
    assert await agent.match() == ""


async def test_a_trace_joins_what_nothing_else_does(house: House) -> None:
    agent = claude(house, "one")
    await agent.think(tool_call(NAME, BEN), traceparent=TRACE)
    thinking = await run_of(agent)
    await agent.act(READ, {}, key="session:abc", traceparent=TRACE[:36] + "1" * 16 + "-01")
    assert (await run_of(agent), await agent.match()) == (thinking, "unasked")


# --- attacks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "caller",
    [
        replace(CLERK, mandate="others"),
        replace(CLERK, agent="mallory", token="token-9"),
    ],
)
async def test_nobody_joins_a_run_of_another_agent_or_mandate(house: House, caller: Caller) -> None:
    ours = thoughtful()
    snapshot = house.authority.snapshot
    others = replace(ours, name=caller.mandate, agent=caller.agent)
    house.authority.install(
        replace(snapshot, mandates={**snapshot.mandates, caller.mandate: others})
    )
    agent = Agent(house, key=TOKEN, session="one")
    await agent.think(tool_call(NAME, BEN, "toolu_1"), traceparent=TRACE)
    thinking = await run_of(agent)
    thief = Agent(house, key="session:abc", caller=caller)
    await thief.act(PAY, BEN, "toolu_1", traceparent=TRACE)
    assert await run_of(thief) != thinking
    assert await thief.match() == ""


async def test_an_id_joins_no_run_that_did_not_ask_for_this_tool(house: House) -> None:
    await claude(house, "one").think(tool_call("shell", {}, "toolu_1"))
    agent = claude(house, "")
    await agent.act(PAY, BEN, "toolu_1", key="session:abc")
    assert await agent.match() == ""


async def test_where_reading_matters_no_name_leads_out_of_a_run(house: House) -> None:
    """What a session on the agent's side read, the run of its models has read."""
    await house.close()
    await house.open(thoughtful(flow=True))
    agent = Agent(house, key=TOKEN, session="one")
    await agent.think(tool_call(NAME, BEN, "toolu_1"))
    thinking = await run_of(agent)
    for key in ("session:abc", "session:def", TOKEN):
        await agent.act(READ, {"key": key}, key=key)
        assert await run_of(agent) == thinking
    agent.session = "another"
    await agent.think(tool_call(NAME, BEN, "toolu_2"))
    assert await run_of(agent) == thinking


async def test_without_models_sessions_are_runs_also_where_reading_matters(house: House) -> None:
    await house.close()
    only_tools = replace(
        thoughtful(flow=True),
        allow=tuple(
            replace(
                rule,
                targets=tuple(each for each in rule.targets if each.kind is not CallKind.MODEL),
            )
            for rule in thoughtful().allow
        ),
    )
    await house.open(only_tools)
    agent = Agent(house, key=TOKEN)
    await agent.act(READ, {}, key="session:abc")
    first = await run_of(agent)
    await agent.act(READ, {}, key="session:def")
    assert await run_of(agent) != first


async def test_a_run_that_was_ended_is_joined_no_more_and_let_go_no_more(house: House) -> None:
    agent = Agent(house, key=TOKEN, session="one")
    await agent.think(tool_call(NAME, BEN, "toolu_1"))
    house.runs.end(await run_of(agent))
    refused = await agent.act(PAY, BEN, "toolu_1", key="session:abc")
    assert isinstance(refused, Refused)
    assert refused.code == "run_ended"


async def test_the_end_of_a_run_ends_the_sessions_that_joined_it_and_no_other_use_of_the_token(
    house: House,
) -> None:
    agent = claude(house, "one")
    await agent.think(tool_call(NAME, BEN, "toolu_1"))
    thinking = await run_of(agent)
    await agent.act(PAY, BEN, "toolu_1")
    await agent.act(READ, {}, key="session:abc")
    assert await run_of(agent) != thinking  # nothing says whose it is
    await agent.think(tool_call(NAME, BEN, "toolu_2"))
    await agent.act(PAY, BEN, key="session:def")
    house.runs.end(thinking)
    assert not done(await agent.act(READ, {}, key="session:def"))
    assert done(await agent.act(READ, {}))


async def test_a_run_that_a_person_began_is_joined_by_its_token_or_its_name_only(
    house: House,
) -> None:
    started = begun(house.runs.new_id(), "clerk", "payments", run_words(), "ada")
    await house.runs.start(started, "ada", house.clock.wall_ms(), token="token-r")
    agent = Agent(house, caller=replace(CLERK, run=started.run))
    await agent.think(tool_call(NAME, BEN, "toolu_1"))
    assert await run_of(agent) == started.run
    other = claude(house, "")
    await other.act(PAY, BEN, "toolu_1")
    assert (await run_of(other), await other.match()) != (started.run, "matched")
    await agent.act(PAY, BEN, "toolu_1")
    assert (await run_of(agent), await agent.match()) == (started.run, "matched")


async def test_a_call_joins_no_run_whose_words_it_contradicts(house: House) -> None:
    agent = Agent(house, key=TOKEN, session="one")
    await agent.think(tool_call(NAME, BEN))
    asked = Asked(CLERK, PAY, BEN, "session:abc", "mcp/2026-07-28", said=Said("Pay ben."))
    assert done(await house.gate.govern(asked, Dispatched(), house.on_tick))
    assert await agent.match() == ""


async def test_a_resource_is_never_taken_for_what_was_asked_for(house: House) -> None:
    agent = Agent(house)
    await agent.think(tool_call("bank__pay", {}))
    await agent.act(Target(CallKind.RESOURCE, "bank", "pay"), {})
    assert await agent.match() == ""
