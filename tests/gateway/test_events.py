"""Whether anybody is to be told of what happens: known without asking each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.events import Events
from bailiwick.gateway.watching import Watcher


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
