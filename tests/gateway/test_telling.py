"""What telemetry is told of calls: one step for each that ended, however it did, and no harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bailiwick.core.call import CallKind, Target
from bailiwick.core.errors import TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.gate import Answered, Asked, Tick
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.telemetry.content import MAX_CONTENT_BYTES, OMITTED
from bailiwick.gateway.telemetry.teller import MAX_OPEN, Teller, Unfailing
from bailiwick.ports import HoldRow, HoldState, UpstreamReply
from bailiwick.protocols.otlp.genai import call_spans
from bailiwick.protocols.otlp.steps import CallStep
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import BEN, CAT, CLERK, PAY, READ, REPLY, Dispatched, House, mandate

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Told:
    """A house that tells."""

    house: House
    steps: list[CallStep] = field(default_factory=list)

    def watch(self, *, content: bool = False) -> None:
        teller = Teller(self.steps.append, lambda name: f"p_{name}", self.house.runs.session)
        teller.content = content
        self.house.events.watcher = teller

    async def ask(self, target: Target, dispatch: Dispatched, key: str = "token:t") -> object:
        asked = Asked(CLERK, target, {"to": "eve"}, key, "mcp/2026-07-28", TRACEPARENT)
        return await self.house.gate.govern(asked, dispatch, self.house.on_tick)


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    house = House(tmp_path, Waiting(window_seconds=60, tick_seconds=5), StoppedClock())
    await house.open(mandate())
    found = Told(house)
    found.watch()
    yield found
    await house.close()


async def held(house: House) -> HoldRow:
    async with asyncio.timeout(10):
        await house.ticked.wait()
    house.ticked.clear()
    (hold,) = await house.records.holds(HoldState.WAITING)
    return hold


async def test_a_call_that_ran_is_told_once_with_its_time(told: Told) -> None:
    async def take_time() -> None:
        told.house.clock.advance(2)

    await told.ask(READ, Dispatched(first=take_time), "agent-session-id:s-1@token-1")
    (step,) = told.steps
    assert (step.decision, step.code, step.state, step.ended_as) == ("allow", "allowed", "done", "")
    assert step.rules == ("payments@1/allow/1",)
    assert step.end_ms is not None
    assert step.end_ms - step.begin_ms == 2_000
    assert (step.principal, step.owner) == ("p_ada", "p_ada")
    assert (step.conversation, step.traceparent) == ("s-1", TRACEPARENT)
    assert step.content == {}


async def test_a_denied_call_is_told_as_denied(told: Told) -> None:
    await told.ask(Target(CallKind.TOOL, "bank", "close"), Dispatched())
    (step,) = told.steps
    assert (step.decision, step.state, step.begin_ms) == ("deny", "denied", step.end_ms)
    assert step.code == step.ended_as != ""


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (UpstreamDown("upstream_unreachable", "x"), "failed", "upstream_down"),
        (UpstreamBroken("upstream_closed", "x"), "unknown", "outcome_unknown"),
    ],
)
async def test_a_call_that_failed_is_told_with_its_error(
    told: Told, error: Exception, state: str, code: str
) -> None:
    async def fail() -> None:
        raise error

    await told.ask(READ, Dispatched(first=fail))
    (step,) = told.steps
    assert (step.state, step.ended_as) == (state, code)
    assert call_spans(step)[0].error == code


async def test_a_call_that_waited_is_told_with_its_stamps(told: Told) -> None:
    house = told.house
    await house.close()
    await house.open(mandate(people=2))
    told.watch()
    asking = asyncio.ensure_future(told.ask(PAY, Dispatched()))
    hold = await held(house)
    house.clock.advance(20)
    await house.holds.stamp(BEN, hold.id, True, "")
    house.clock.advance(20)
    await house.holds.stamp(CAT, hold.id, True, "")
    assert isinstance(await asking, Answered)
    (step,) = told.steps
    assert (step.decision, step.code, step.state) == ("hold", "approved", "done")
    assert step.hold is not None
    assert [(stamp.person, stamp.decision) for stamp in step.hold.stamps] == [
        ("p_ben", "approve"),
        ("p_cat", "approve"),
    ]
    _, wait = call_spans(step)
    assert wait.attributes["bailiwick.hold.wait_ms"] == 40_000
    assert [event.at_ms - wait.begin_ms for event in wait.events] == [20_000, 40_000]


async def test_a_refused_call_is_told_below_the_agents_span(told: Told) -> None:
    asking = asyncio.ensure_future(told.ask(PAY, Dispatched()))
    hold = await held(told.house)
    told.house.clock.advance(5)
    await told.house.holds.stamp(BEN, hold.id, False, "no")
    await asking
    (step,) = told.steps
    assert (step.state, step.ended_as, step.traceparent) == (
        "refused",
        "stamp_refused",
        TRACEPARENT,
    )
    above, wait = call_spans(step)
    assert above.error == "stamp_refused"
    assert wait.events[0].attributes["bailiwick.stamp.decision"] == "refuse"
    assert wait.end_ms - wait.begin_ms == 5_000


async def test_an_expired_call_is_told(told: Told) -> None:
    asking = asyncio.ensure_future(told.ask(PAY, Dispatched()))
    hold = await held(told.house)
    told.house.clock.advance(25 * 3600)
    with pytest.raises(TheirError, match="expired"):
        await told.house.holds.stamp(BEN, hold.id, True, "")
    await asking
    (step,) = told.steps
    assert (step.state, step.ended_as) == ("refused", "hold_expired")
    assert step.hold is not None
    assert step.hold.state == "expired"


async def test_a_call_whose_agent_goes_away_is_told(told: Told) -> None:
    asking = asyncio.ensure_future(told.ask(PAY, Dispatched()))
    await held(told.house)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    (step,) = told.steps
    assert (step.state, step.ended_as) == ("cancelled", "cancelled")


async def test_a_call_that_is_still_waiting_is_told_when_it_ends(told: Told) -> None:
    async def let_time_pass(tick: Tick) -> None:
        told.house.clock.advance(61 + tick.elapsed_seconds)

    await told.house.ask(PAY, {}, Dispatched(), let_time_pass)
    assert told.steps == []
    (hold,) = await told.house.records.holds(HoldState.WAITING)
    await told.house.holds.stamp(BEN, hold.id, True, "")
    await told.house.ask(PAY, {}, Dispatched())
    (step,) = told.steps
    assert (step.id, step.state) == (hold.call, "done")


async def test_content_is_told_where_it_is_wanted_and_within_bounds(told: Told) -> None:
    told.watch(content=True)
    await told.ask(READ, Dispatched())
    (step,) = told.steps
    assert step.content == {
        "gen_ai.tool.call.arguments": '{"to":"eve"}',
        "gen_ai.tool.call.result": (REPLY.result or b"").decode(),
    }
    long = UpstreamReply(result=b'"' + b"x" * MAX_CONTENT_BYTES + b'"')
    await told.house.ask(READ, {"to": "y" * MAX_CONTENT_BYTES}, Dispatched(long))
    assert list(told.steps[1].content) == [OMITTED]
    assert "gen_ai.tool.call.result" in told.steps[1].content[OMITTED]


async def test_of_too_many_calls_that_go_on_the_first_are_forgotten(told: Told) -> None:
    teller = told.house.events.watcher
    assert isinstance(teller, Teller)
    for number in range(MAX_OPEN + 5):
        teller._open[f"other-{number}"] = None  # type: ignore[assignment]  # only counted
    await told.ask(READ, Dispatched())
    assert len(teller._open) <= MAX_OPEN + 5
    assert told.steps[0].state == "done"


async def test_an_error_in_telling_is_said_once_and_harms_no_call(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_step: CallStep) -> None:
        raise RuntimeError("full")

    teller = Teller(fail, lambda name: name, told.house.runs.session)
    told.house.events.watcher = Unfailing(teller)
    asking = asyncio.ensure_future(told.ask(PAY, Dispatched()))
    hold = await held(told.house)
    await told.house.holds.stamp(BEN, hold.id, False, "")
    await asking
    assert isinstance(await told.ask(READ, Dispatched()), Answered)
    await told.ask(Target(CallKind.TOOL, "bank", "close"), Dispatched())
    assert [record.message for record in caplog.records] == ["telemetry: a call could not be told"]
