"""What comes before the answer in the stateless era: progress, logs, ticks, signs of life."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bailiwick.gateway.gate import (
    Answer,
    Answered,
    Asked,
    Dispatch,
    OnTick,
    Refused,
    StillWaiting,
    Tick,
)
from bailiwick.gateway.mcp.core import Limits
from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.waiting import turns
from bailiwick.testing.mcp.wire import Client, legacy, modern, tool

OK = UpstreamReply(result=b'{"resultType":"complete","content":[]}')
QUICK = Limits(watch_seconds=0.0, keep_alive_seconds=0.01)


def fs(**more: Any) -> FakeUpstream:
    return FakeUpstream("fs", tools=[tool("read")], **more)


def call(**options: Any) -> Any:
    return modern("tools/call", id=5, name="fs/read", arguments={}, **options)


WITH_TOKEN = call(meta={"progressToken": "t"})


@pytest.mark.requirement("both/progress")
async def test_progress_comes_in_order_before_the_result_under_the_clients_token() -> None:
    server = fs()

    async def answer(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        for done in (0, 0.5, 1):
            await peer.notify("notifications/progress", {"progressToken": "t", "progress": done})
        await peer.notify("notifications/progress", {"progressToken": "stolen", "progress": 7})
        return OK

    server.handlers["tools/call"] = answer
    house = make_house(server)

    told = await house.wire().post(WITH_TOKEN)
    untold = await house.wire().post(call())

    assert [m["params"]["progress"] for m in told.messages[:-1]] == [0, 0.5, 1]
    assert told.messages[-1] == {
        "jsonrpc": "2.0",
        "id": 5,
        "result": {"resultType": "complete", "content": []},
    }
    assert untold.headers["content-type"] == "application/json"


@pytest.mark.requirement("2026-07-28/no-message-without-level")
@pytest.mark.parametrize(
    ("level", "heard"), [(None, []), ("debug", ["debug", "error"]), ("error", ["error"])]
)
async def test_log_messages_come_only_when_asked_for_and_from_that_level_on(
    level: str | None, heard: list[str]
) -> None:
    server = fs()

    async def answer(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        for one in ("debug", "error"):
            await peer.notify("notifications/message", {"level": one, "data": one})
        return OK

    server.handlers["tools/call"] = answer
    meta = {} if level is None else {"io.modelcontextprotocol/logLevel": level}

    reply = await make_house(server).wire().post(call(meta=meta))

    assert [m["params"]["data"] for m in reply.messages[:-1]] == heard


async def test_changes_do_not_ride_on_another_requests_stream() -> None:
    server = fs()

    async def answer(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        await peer.notify("notifications/tools/list_changed", {})
        await peer.notify("notifications/resources/updated", {"uri": "a:b"})
        return OK

    server.handlers["tools/call"] = answer
    reply = await make_house(server).wire().post(call())
    assert reply.headers["content-type"] == "application/json"
    assert len(reply.messages) == 1


@pytest.mark.requirement("2026-07-28/stream-hygiene")
async def test_a_silent_call_is_kept_alive_by_comments_on_an_unbuffered_stream() -> None:
    server = fs()
    go = asyncio.Event()

    async def answer(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        await go.wait()
        return OK

    server.handlers["tools/call"] = answer
    running = make_house(server, limits=QUICK).wire().stream(call())
    await running.until(lambda: running.body.count(b": keep-alive\n\n") >= 2)
    go.set()
    reply = await running.reply()

    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.messages[-1]["id"] == 5


@pytest.mark.requirement("2026-07-28/disconnect-is-cancel")
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_client_that_leaves_has_cancelled_all_the_way_to_the_server(
    streaming: bool,
) -> None:
    server = fs()
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def answer(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        if streaming:
            await peer.notify("notifications/progress", {"progressToken": "t", "progress": 1})
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return OK

    server.handlers["tools/call"] = answer
    house = make_house(server, limits=Limits(watch_seconds=0.0))
    running = house.wire().stream(WITH_TOKEN)
    await started.wait()
    await running.leave()
    reply = await running.reply()

    assert cancelled.is_set()
    assert [str(asked.target) for asked in house.gate.cancelled] == ["fs/read"]
    assert all("result" not in message for message in reply.messages)


async def test_a_client_that_leaves_a_held_call_withdraws_it() -> None:
    house = make_house(fs(), limits=Limits(watch_seconds=0.0))
    held, withdrawn = asyncio.Event(), asyncio.Event()

    async def hold(asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        held.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            withdrawn.set()
            raise
        return Answered("c", OK)

    house.gate.on["fs/read"] = hold
    running = house.wire().stream(call())
    await held.wait()
    await running.leave()
    await running.reply()
    assert withdrawn.is_set()


class Held:
    """A hold that ticks on demand and ends as told."""

    def __init__(self, house: House) -> None:
        self.decided: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self.on_tick: OnTick | None = None
        self.ready = asyncio.Event()
        house.gate.on["fs/read"] = self._hold

    async def _hold(self, asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        self.on_tick = on_tick
        self.ready.set()
        answer = await self.decided
        return Answered("call-1", await dispatch()) if answer is None else answer

    async def tick(self, seconds: float) -> None:
        async with asyncio.timeout(5):
            await self.ready.wait()
        assert self.on_tick is not None
        async with asyncio.timeout(5):
            await self.on_tick(Tick("hold-1", seconds, f"waiting for a stamp, {seconds} s"))


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_held_call_opens_its_stream_at_once_and_progress_only_grows(era: str) -> None:
    server = fs(version="2025-11-25" if era == "legacy" else "2026-07-28")

    async def answer(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        for done in (0, 5, 10):
            await peer.notify("notifications/progress", {"progressToken": "t", "progress": done})
        return OK

    server.handlers["tools/call"] = answer
    house = make_house(server, limits=Limits(watch_seconds=60))
    held = Held(house)
    if era == "modern":
        running = house.wire().stream(WITH_TOKEN)
    else:
        client = await Client.connect(house.wire(), version="2025-06-18")
        running = client.stream(
            legacy("tools/call", id=5, name="fs/read", _meta={"progressToken": "t"})
        )

    await held.tick(0)
    first = await running.message()
    await held.tick(15)
    second = await running.message()
    held.decided.set_result(None)
    reply = await running.reply()

    assert first["method"] == second["method"] == "notifications/progress"
    assert "stamp" in first["params"]["message"]
    values = [m["params"]["progress"] for m in reply.messages if "method" in m]
    assert values == sorted(set(values))
    assert values[-1] == 10
    assert reply.messages[-1]["result"]["content"] == []


async def test_a_client_without_a_token_is_shown_comments_while_its_call_is_held() -> None:
    house = make_house(fs(), limits=Limits(watch_seconds=60))
    held = Held(house)
    running = house.wire().stream(call())
    await held.tick(0)
    await running.until(lambda: b": keep-alive" in running.body)
    held.decided.set_result(None)
    reply = await running.reply()
    assert len(reply.messages) == 1


@pytest.mark.parametrize(
    "answer",
    [
        StillWaiting("call-1", "hold-1", "waiting for approval hold-1, retry the same call"),
        Refused("call-1", "stamp_refused", "refused by a person: too much"),
    ],
)
async def test_how_a_hold_ends_without_approval_is_told_to_the_model(answer: Answer) -> None:
    house = make_house(fs())
    held = Held(house)
    held.decided.set_result(answer)
    reply = await house.wire().post(call())
    assert not isinstance(answer, Answered)
    assert reply.status == 200
    assert reply.result["isError"] is True
    assert reply.result["content"][0]["text"] == answer.text


async def test_a_slow_reader_slows_the_server_and_never_the_gate() -> None:
    server = fs()
    sent: list[int] = []

    async def answer(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        for done in range(1000):
            await peer.notify("notifications/progress", {"progressToken": "t", "progress": done})
            sent.append(done)
        return OK

    server.handlers["tools/call"] = answer
    house = make_house(server, limits=Limits(watch_seconds=60))
    running = house.wire().stream(WITH_TOKEN)
    running.blocked.clear()
    await turns()
    assert len(sent) <= 1

    held = Held(house)
    waiting = house.wire().stream(WITH_TOKEN)
    waiting.blocked.clear()
    for seconds in range(5):
        await held.tick(seconds)
    held.decided.set_result(Refused("c", "stamp_refused", "no"))

    running.blocked.set()
    waiting.blocked.set()
    assert (await waiting.reply()).result["isError"] is True
    reply = await running.reply()
    assert [m["params"]["progress"] for m in reply.messages[:-1]] == list(range(1000))


async def test_a_client_that_takes_only_json_is_answered_at_the_end() -> None:
    server = fs()

    async def answer(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        await peer.notify("notifications/progress", {"progressToken": "t", "progress": 1})
        return OK

    server.handlers["tools/call"] = answer
    for house in (make_house(server), make_house(server, limits=QUICK)):
        reply = await house.wire().post(WITH_TOKEN, headers={"accept": "application/json"})
        assert reply.headers["content-type"] == "application/json"
        assert reply.result["content"] == []


async def test_a_pretty_printed_result_survives_a_stream() -> None:
    server = fs()
    pretty = b'{\r\n  "resultType": "complete",\n  "content": []\r}'

    async def answer(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        await peer.notify("notifications/progress", {"progressToken": "t", "progress": 1})
        return UpstreamReply(result=pretty)

    server.handlers["tools/call"] = answer
    reply = await make_house(server).wire().post(WITH_TOKEN)
    assert reply.messages[-1]["result"] == {"resultType": "complete", "content": []}
