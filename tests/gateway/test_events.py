"""Whether anybody is to be told of what happens: known without asking each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest

from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.call_context import CallContext
from bailiwick.gateway.events import Events
from bailiwick.gateway.gate import Asked
from bailiwick.gateway.held import Waiting
from bailiwick.gateway.watching import Watcher
from bailiwick.testing.clock import StoppedClock
from tests.gateway.house import CLERK, READ, Dispatched, House, mandate

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_it_is_quiet_while_nobody_watches_or_reads() -> None:
    events = Events()
    found = [events.quiet]
    watcher = cast(Watcher, object())
    events.watcher = watcher
    found.append(events.quiet)
    assert events.watcher is watcher
    subscribed = cast(AsyncGenerator[JsonObject, None], events.subscribe())
    async with aclosing(subscribed) as reading:
        first = asyncio.ensure_future(anext(reading))
        await asyncio.sleep(0)
        events.watcher = None
        found.append(events.quiet)
        events.publish({"event": "call"})
        assert await first == {"event": "call"}
    found.append(events.quiet)
    assert found == [True, False, False, True]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Waiting(), StoppedClock())
    await house.open(mandate())
    yield house
    await house.close()


async def test_one_reader_alone_hears_of_a_call_that_begins_and_ends(house: House) -> None:
    subscribed = cast(AsyncGenerator[JsonObject, None], house.events.subscribe())
    async with aclosing(subscribed) as reading:
        first = asyncio.ensure_future(anext(reading))
        await asyncio.sleep(0)
        answer = await house.ask(READ, {}, Dispatched())
        await asyncio.sleep(0)
        assert first.done()
        heard = [first.result(), await anext(reading)]
    assert [(each["id"], each["state"]) for each in heard] == [
        (answer.call, "running"),
        (answer.call, "done"),
    ]


async def test_a_call_with_a_trace_is_heard_of_where_nobody_else_listens(house: House) -> None:
    heard: list[CallContext] = []
    house.events.traced = heard.append
    assert house.events.quiet
    for trace in ("", TRACEPARENT):
        asked = Asked(CLERK, READ, {}, "token:t", "mcp/2026-07-28", trace)
        await house.gate.govern(asked, Dispatched(), house.on_tick)
    assert [each.traceparent for each in heard] == [TRACEPARENT] * 2  # it began, it ended
