"""Hostile servers and agents: what each tries, and what it gets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bailiwick.gateway.gate import Answer, Answered, Asked, Dispatch, OnTick, StillWaiting
from bailiwick.gateway.mcp.core import MAX_SHAPES_PER_CALLER, Limits
from bailiwick.gateway.mcp.legacy import MAX_ASKS
from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import make_house
from bailiwick.testing.mcp.waiting import eventually, turns
from bailiwick.testing.mcp.wire import Client, legacy, modern, tool

OK = UpstreamReply(result=b'{"content":[]}')
ELICIT: Any = {"mode": "form", "message": "Who?", "requestedSchema": {"type": "object"}}
ALL: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}


def fs(**more: Any) -> FakeUpstream:
    return FakeUpstream("fs", tools=[tool("read")], **more)


# --- agents ---


@pytest.mark.parametrize(
    "uri",
    [
        "file:///public/../secret",
        "file:///public/%2e%2e/secret",
        "file:///public/%2E./secret",
        "file:///public/..",
        "file:///./secret",
        "file:///public\\..\\secret",
        "file:///public%5c..%5csecret",
        "file:///public%2f..%2fsecret",
    ],
)
async def test_a_uri_that_climbs_out_of_what_a_rule_names_is_refused(uri: str) -> None:
    server = FakeUpstream("fs", resources=[{"uri": "file:///public/a", "name": "a"}])
    house = make_house(server)
    client = await Client.connect(house.wire())

    read = await house.wire().post(modern("resources/read", uri=f"fs+{uri}"))
    subscribed = await client.post(legacy("resources/subscribe", uri=f"fs+{uri}"))
    listen = modern("subscriptions/listen", notifications={"resourceSubscriptions": [f"fs+{uri}"]})
    stream = house.wire().stream(listen)

    assert read.error["code"] == subscribed.error["code"] == -32602
    assert (await stream.message())["params"]["notifications"] == {}
    assert house.gate.seen == []
    await house.edge.aclose()
    await stream.reply()


@pytest.mark.parametrize("uri", ["file:///a..b/c", "test://x?y=../z", "memo:...", "a:b#../c"])
async def test_dots_that_climb_nowhere_are_left_alone(uri: str) -> None:
    server = FakeUpstream("fs", resources=[{"uri": "a:b", "name": "a"}])
    house = make_house(server)
    await house.wire().post(modern("resources/read", uri=f"fs+{uri}"))
    assert house.gate.seen[0].target.name == uri


async def test_one_agent_cannot_have_everything_in_flight() -> None:
    server = fs()
    go = asyncio.Event()

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        await go.wait()
        return OK

    server.handlers["tools/call"] = call
    house = make_house(server, limits=Limits(in_flight_per_caller=3))
    message = modern("tools/call", name="fs/read")
    running = [house.wire("Bearer ada").stream(message) for _ in range(3)]
    await eventually(lambda: len(server.of("tools/call")) == 3)

    one_more = await house.wire("Bearer ada").post(message)
    other = house.wire("Bearer clerk").stream(message)
    await eventually(lambda: len(server.of("tools/call")) == 4)
    go.set()
    replies = [await opened.reply() for opened in [*running, other]]
    after = await house.wire("Bearer ada").post(message)

    assert one_more.status == 429
    assert [reply.status for reply in [*replies, after]] == [200] * 5
    assert house.edge._core.in_flight == {}


async def test_one_agent_cannot_hold_more_sessions_upstream_than_its_share() -> None:
    server = fs()
    house = make_house(server)
    for number in range(MAX_SHAPES_PER_CALLER + 4):
        capabilities: Any = {"experimental": {str(number): {}}}
        await house.wire().post(modern("tools/call", name="fs/read", capabilities=capabilities))
    await eventually(lambda: len(server.ended) == 4)
    first = server.of("tools/call")[0].client.session
    assert server.ended[0] == first
    assert len(house.edge._core._facts) == MAX_SHAPES_PER_CALLER


async def test_what_a_client_says_of_itself_is_bounded() -> None:
    house = make_house(fs())
    capabilities = {"experimental": {"x": "y" * 20_000}}
    stateless = await house.wire().post(
        modern("tools/call", name="fs/read", capabilities=capabilities)
    )
    stateful = await house.wire().post(
        legacy("initialize", protocolVersion="2025-11-25", capabilities=capabilities)
    )
    assert (stateless.status, stateless.error["code"]) == (400, -32602)
    assert stateful.status == 400
    assert house.gate.seen == []


async def test_a_large_body_is_read_as_strictly_as_a_small_one() -> None:
    server = fs()
    house = make_house(server)
    padding = "x" * 200_000
    message = modern("tools/call", name="fs/read", arguments={"text": padding})
    good = await house.wire().post(message)
    twice = json.dumps(message).replace('"text"', '"text":1,"text"').encode()
    bad = await house.wire().post(message, body=twice)

    assert good.status == 200
    assert server.of("tools/call")[0].params["arguments"] == {"text": padding}
    assert (bad.status, bad.error["code"]) == (400, -32700)


async def test_replies_nobody_fetched_do_not_fill_the_memory() -> None:
    server = fs(version="2025-11-25")
    go = asyncio.Event()

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        await go.wait()
        return UpstreamReply(result=b'{"text":"' + b"x" * 100_000 + b'"}')

    server.handlers["tools/call"] = call
    limits = Limits(watch_seconds=0.0, replay_bytes=250_000)
    house = make_house(server, limits=limits)
    client = await Client.connect(house.wire())
    cut = [client.stream(legacy("tools/call", id=n, name="fs/read")) for n in range(8)]
    for opened in cut:
        await opened.opened()
        await opened.leave()
    await turns()
    go.set()
    for opened in cut:
        await opened.reply()

    (session,) = house.edge._legacy._sessions._sessions.values()
    assert sum(stream._size_bytes for stream in session.streams.values()) <= 250_000
    assert any(stream._size_bytes for stream in session.streams.values())
    await client.post(None, method="DELETE")
    assert session.replay._free == 250_000


async def test_a_retry_that_must_wait_for_a_person_keeps_its_place() -> None:
    server = fs(version="2025-11-25")

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        reply = await peer.ask("elicitation/create", ELICIT)
        return UpstreamReply(result=b'{"structuredContent":%b}' % (reply.result or b"{}"))

    server.handlers["tools/call"] = call
    house = make_house(server)

    def message(**more: Any) -> Any:
        return modern("tools/call", name="fs/read", capabilities=ALL, **more)

    first = await house.wire().post(message())
    (key,) = first.result["inputRequests"]
    state = first.result["requestState"]
    retry = message(inputResponses={key: {"action": "accept"}}, requestState=state)

    async def wait(asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        return StillWaiting("c", "h", "waiting for approval h")

    house.gate.on["fs/read"] = wait
    waiting = await house.wire().post(retry)
    del house.gate.on["fs/read"]
    done = await house.wire().post(retry)

    assert waiting.result["isError"] is True
    assert done.result["structuredContent"] == {"action": "accept"}
    assert len(server.of("tools/call")) == 1


async def test_a_retry_that_is_refused_lets_the_server_go() -> None:
    server = fs(version="2025-11-25")
    over = asyncio.Event()

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        try:
            await peer.ask("elicitation/create", ELICIT)
        finally:
            over.set()
        return OK

    server.handlers["tools/call"] = call
    house = make_house(server)
    first = await house.wire().post(modern("tools/call", name="fs/read", capabilities=ALL))
    house.gate.denied.add("fs/read")
    state = first.result["requestState"]
    await house.wire().post(
        modern("tools/call", name="fs/read", capabilities=ALL, requestState=state)
    )
    async with asyncio.timeout(5):
        await over.wait()


# --- servers ---


@pytest.mark.parametrize(
    "method",
    [
        "notifications/cancelled",
        "notifications/initialized",
        "notifications/subscriptions/acknowledged",
        "notifications/tasks/status",
    ],
)
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_server_cannot_speak_for_the_gateway_or_of_others_tasks(
    method: str, era: str
) -> None:
    server = fs(version="2025-11-25")
    params: Any = {"requestId": "ask-1", "taskId": "theirs"}

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        await peer.notify(method, params)
        return OK

    server.handlers["tools/call"] = call
    house = make_house(server)
    if era == "modern":
        reply = await house.wire().post(modern("tools/call", name="fs/read"))
    else:
        client = await Client.connect(house.wire())
        stream = client.stream(method="GET")
        await server.listened()
        server.tell(method, **params)
        server.tell("notifications/progress", progressToken="t", progress=1)
        server.tell("notifications/tools/list_changed")
        assert (await stream.message())["method"] == "notifications/tools/list_changed"
        reply = await client.post(legacy("tools/call", name="fs/read"))
    assert len(reply.messages) == 1


async def test_pages_without_end_are_cut_into_answers_with_cursors() -> None:
    server = fs()
    pages = 0

    async def endless(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        nonlocal pages
        pages += 1
        return UpstreamReply(result=b'{"tools":[],"nextCursor":"%d"}' % pages)

    server.handlers["tools/list"] = endless
    reply = await make_house(server).wire().post(modern("tools/list"))
    assert reply.result["tools"] == []
    assert "nextCursor" in reply.result
    assert pages <= 60


async def test_a_cursor_too_long_to_carry_is_a_garbled_list() -> None:
    server = fs()

    async def long(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=b'{"tools":[],"nextCursor":"%b"}' % (b"x" * 5000))

    server.handlers["tools/list"] = long
    reply = await make_house(server).wire().post(modern("tools/list"))
    assert reply.result["_meta"]["bailiwick/missing"][0]["server"] == "fs"


async def test_a_server_can_put_only_so_many_questions_at_once() -> None:
    server = fs(version="2025-11-25")

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        asks = [peer.ask("elicitation/create", ELICIT) for _ in range(MAX_ASKS + 8)]
        replies = await asyncio.gather(*asks)
        return UpstreamReply(result=b'{"refused":%d}' % sum(r.error is not None for r in replies))

    server.handlers["tools/call"] = call
    house = make_house(server)

    async def immediately(asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        return Answered("c", await dispatch())

    house.gate.on["fs/elicitation"] = immediately
    client = await Client.connect(house.wire(), capabilities=ALL)
    running = client.stream(legacy("tools/call", id=1, name="fs/read"))
    for _ in range(MAX_ASKS):
        question = await running.message()
        answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}}
        await client.post(answer)
    assert (await running.reply()).messages[-1]["result"] == {"refused": 8}
