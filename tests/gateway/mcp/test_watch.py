"""One round over all requests: quick ones cost nothing, slow ones get a follower."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from bailiwick.gateway.mcp.watch import Rounds, Watch
from bailiwick.gateway.mcp.wire import Outcome
from bailiwick.testing.mcp.waiting import eventually


class Sink:
    """Counts signs of life."""

    streaming = False

    def __init__(self) -> None:
        self.alive = 0
        self.twice = asyncio.Event()

    async def emit(self, message: bytes, *, keep: bool = False) -> None:
        raise AssertionError

    async def keep_alive(self) -> None:
        self.alive += 1
        if self.alive == 2:
            self.twice.set()

    async def finish(self, outcome: Outcome) -> None:
        raise AssertionError


async def never() -> dict[str, object]:
    await asyncio.Event().wait()
    raise AssertionError


async def gone() -> dict[str, object]:
    return {"type": "http.disconnect"}


async def test_a_request_that_ends_before_the_round_is_never_followed() -> None:
    rounds = Rounds(0.001)
    lost: list[int] = []
    for _ in range(100):
        watch = Watch(rounds, gone, 10)
        watch.follow(Sink(), 10, lambda: lost.append(1))
        watch.stop()
    noticed = asyncio.Event()
    slow = Watch(rounds, gone, 10)
    slow.follow(Sink(), 10, noticed.set)
    async with asyncio.timeout(5):
        await noticed.wait()
    assert lost == []


async def test_a_slow_request_is_shown_signs_of_life_until_it_stops() -> None:
    sink, slow = Sink(), asyncio.Event()

    async def now_slow() -> None:
        slow.set()

    watch = Watch(Rounds(0.001), never, 10)
    watch.follow(sink, 0.001, lambda: None, now_slow)
    async with asyncio.timeout(5):
        await slow.wait()
        await sink.twice.wait()
    follower = watch._follower
    watch.stop()
    await eventually(lambda: follower is not None and follower.cancelled())
    assert not watch.gone


async def test_a_disconnect_is_noticed_once() -> None:
    lost = asyncio.Event()
    watch = Watch(Rounds(0.001), gone, 10)
    watch.follow(Sink(), 10, lost.set)
    async with asyncio.timeout(5):
        await lost.wait()
    assert watch.gone
    watch.stop()


async def test_a_disconnect_cancels_the_task_where_nobody_else_is_to_be_told() -> None:
    watches: list[Watch] = []

    async def served() -> None:
        watches.append(Watch(Rounds(0.001), gone, 10))
        watches[0].follow(Sink(), 10)
        await asyncio.Event().wait()

    task = asyncio.create_task(served())
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
    assert watches[0].gone


async def test_a_disconnect_after_the_end_cancels_nothing() -> None:
    disconnect = asyncio.Event()

    async def leaving() -> dict[str, object]:
        await disconnect.wait()
        return {"type": "http.disconnect"}

    watch = Watch(Rounds(60.0), leaving, 10)
    watch.follow(Sink(), 10)
    assert watch.is_due() is False
    await asyncio.sleep(0)
    disconnect.set()
    watch.stop()  # in the same turn in which the disconnect is about to be noticed
    await asyncio.sleep(0)
    assert not watch.task.cancelling()


async def test_a_body_that_does_not_come_is_given_up_at_its_deadline() -> None:
    rounds = Rounds(0.001)
    seen: list[Watch] = []

    async def reading() -> None:
        seen.append(Watch(rounds, never, 0.005))
        await asyncio.Event().wait()

    task = asyncio.get_running_loop().create_task(reading())
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
    assert seen[0].late
    seen[0].stop()


async def test_the_round_sleeps_while_nothing_is_in_flight() -> None:
    rounds = Rounds(0.001)
    watch = Watch(rounds, never, 10)
    watch.stop()
    await eventually(lambda: rounds._timer is None)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """No garbage is collected: what is freed is freed because nothing refers to it."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("followed", [False, True])
async def test_a_request_is_gone_with_its_end_and_waits_for_no_collector(followed: bool) -> None:
    rounds = Rounds(60.0)

    async def served() -> weakref.ref[Sink]:
        sink = Sink()
        watch = Watch(rounds, never, 60.0)
        watch.follow(sink, 60.0, lambda: (watch, sink))
        if followed:
            assert watch.is_due() is False
            await asyncio.sleep(0)
        watch.stop()
        return weakref.ref(sink)

    left = await asyncio.create_task(served())
    for _ in range(4):  # the follower ends
        await asyncio.sleep(0)
    assert left() is None
