"""A clock that jumps: nothing runs that should not, and nothing is lost or out of order."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailiwick.gateway.gate import Answered, Refused
from bailiwick.gateway.held import Waiting
from bailiwick.ports import CallQuery, HoldState
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import BEN, PAY, READ, Dispatched, House, mandate, snapshot

HOUR_MS = 3_600_000


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(window_seconds=60, tick_seconds=0.01), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


async def held(house: House, dispatch: Dispatched) -> tuple[asyncio.Task[object], str]:
    asking: asyncio.Task[object] = asyncio.ensure_future(house.ask(PAY, {"n": 1}, dispatch))
    async with asyncio.timeout(10):
        await house.ticked.wait()
    (hold,) = await house.records.holds(HoldState.WAITING)
    return asking, hold.id


async def test_calls_stay_in_order_when_the_clock_jumps_back(house: House) -> None:
    order = []
    for jump in (0, HOUR_MS, -48 * HOUR_MS, 0, HOUR_MS):
        house.clock.wall += jump
        answer = await house.ask(READ, {}, Dispatched())
        assert isinstance(answer, Answered)
        order.append(answer.call)
    listed = [call.id for call in await house.records.calls(CallQuery())]
    assert listed == order[::-1]


async def test_a_hold_outlives_a_clock_that_jumps_back_and_runs_once(house: House) -> None:
    dispatch = Dispatched()
    asking, hold = await held(house, dispatch)
    house.clock.wall -= 48 * HOUR_MS
    await house.holds.stamp(BEN, hold, True, "")
    assert isinstance(await asking, Answered)
    assert dispatch.count == 1


async def test_a_hold_is_over_when_the_clock_jumps_past_its_end(house: House) -> None:
    dispatch = Dispatched()
    asking, hold = await held(house, dispatch)
    house.clock.wall += 48 * HOUR_MS
    answer = await asking
    assert isinstance(answer, Refused)
    assert answer.code == "hold_expired"
    house.clock.wall -= 48 * HOUR_MS
    row = await house.records.hold(hold)
    assert row is not None
    assert row.state is HoldState.EXPIRED, "what is over stays over"
    assert dispatch.count == 0


async def test_the_window_of_a_request_is_no_matter_of_the_wall_clock(house: House) -> None:
    asking, _ = await held(house, Dispatched())
    house.clock.wall += HOUR_MS
    done, _ = await asyncio.wait({asking}, timeout=0.2)
    assert not done, "it waits by the monotonic clock"
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_mandate_is_good_only_within_its_time_whatever_the_clock_did(
    house: House,
) -> None:
    now = house.clock.wall
    limited = dataclasses.replace(mandate(), not_before=now, not_after=now + HOUR_MS)
    house.authority.install(snapshot(limited))
    dispatch = Dispatched()
    for jump, runs in ((0, True), (-1, False), (HOUR_MS - 1, True), (HOUR_MS, False)):
        house.clock.wall = now + jump
        answer = await house.ask(READ, {}, dispatch)
        assert isinstance(answer, Answered) is runs, jump
    assert dispatch.count == 2
