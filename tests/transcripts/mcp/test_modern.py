"""What the stateless revision alone asks for: discovery, headers, codes, listening, tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bailiwick.gateway.mcp.core import Limits
from bailiwick.gateway.mcp.subscriptions import MAX_LISTENS_PER_CALLER
from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import make_house
from bailiwick.testing.mcp.waiting import eventually
from bailiwick.testing.mcp.wire import Client, legacy, modern, routing_headers, tool

TASKS: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def fs(**more: Any) -> FakeUpstream:
    return FakeUpstream("fs", tools=[tool("read")], **more)


@pytest.mark.requirement("2026-07-28/discover")
async def test_discover_names_the_revisions_and_what_the_caller_may_have() -> None:
    server = fs(prompts=[{"name": "p"}], capabilities={"logging": {}, **TASKS})
    old = FakeUpstream(
        "old",
        resources=[{"uri": "a:b", "name": "r"}],
        version="2025-11-25",
        capabilities={"tasks": {"list": {}}, **TASKS},
    )
    house = make_house(server, old, FakeUpstream("gone", down=True))
    house.gate.denied.add("fs/p")

    reply = await house.wire().post(modern("server/discover"))

    result = reply.result
    assert result["supportedVersions"][0] == "2026-07-28"
    assert "2025-11-25" in result["supportedVersions"]
    assert set(result["capabilities"]) == {"tools", "resources", "logging", "extensions"}
    assert result["cacheScope"] == "private"
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "bailiwick"
    assert "gone" in result["instructions"]


@pytest.mark.requirement("2026-07-28/discover")
async def test_discover_at_one_server_shows_that_one_and_its_words() -> None:
    house = make_house(
        fs(instructions="Read with care."), FakeUpstream("b", prompts=[{"name": "p"}])
    )
    reply = await house.wire().post(modern("server/discover"), path="/mcp/fs")
    assert set(reply.result["capabilities"]) == {"tools"}
    assert reply.result["instructions"] == "Read with care."


@pytest.mark.requirement("2026-07-28/error-codes")
@pytest.mark.parametrize(
    ("message", "headers", "status", "code"),
    [
        (modern("unknown/method"), {}, 404, -32601),
        (modern("initialize"), {}, 404, -32601),
        (modern("tools/list"), {"mcp-method": "prompts/list"}, 400, -32020),
        (modern("tools/list"), {"mcp-method": ""}, 400, -32020),
        (modern("tools/call", name="fs/read"), {"mcp-name": ""}, 400, -32020),
        (modern("tools/call", name="fs/read"), {"mcp-name": "x"}, 400, -32020),
        (modern("tools/list"), {"mcp-protocol-version": ""}, 400, -32020),
        (
            modern("tools/list", meta={"io.modelcontextprotocol/protocolVersion": "2099-01-01"}),
            {},
            400,
            -32022,
        ),
        (legacy("tools/list"), {"mcp-protocol-version": "2099-01-01"}, 400, -32602),
        (
            {"jsonrpc": "2.0", "id": 1, "result": {}},
            {"mcp-protocol-version": "2026-07-28"},
            400,
            -32600,
        ),
    ],
)
async def test_each_refusal_has_its_status_code_and_the_requests_id(
    message: Any, headers: dict[str, str], status: int, code: int
) -> None:
    server = fs()
    house = make_house(server)
    if isinstance(message, dict) and "method" in message:
        message = {**message, "id": "the-id"}
    reply = await house.wire().post(message, headers=headers)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.messages[0]["id"] == ("the-id" if "method" in message else None)
    assert server.requests == []
    assert house.gate.seen == []


@pytest.mark.requirement("2026-07-28/error-codes")
@pytest.mark.parametrize(
    ("code", "status"), [(-32021, 400), (-32601, 404), (-32602, 400), (-32603, 200), (-1, 200)]
)
async def test_a_servers_error_keeps_its_bytes_and_gets_the_status_of_its_code(
    code: int, status: int
) -> None:
    server = fs()
    raw = b'{"code":%d,"message":"m","data":{"requiredCapabilities":{"sampling":{}}}}' % code

    async def fail(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(error=raw)

    server.handlers["tools/call"] = fail
    reply = await make_house(server).wire().post(modern("tools/call", name="fs/read"))
    assert reply.status == status
    assert reply.body == b'{"jsonrpc":"2.0","id":1,"error":' + raw + b"}"


@pytest.mark.requirement("2026-07-28/headers-equal-body")
async def test_an_encoded_name_is_decoded_before_it_is_compared() -> None:
    house = make_house(FakeUpstream("fs", resources=[{"uri": "file:///世", "name": "w"}]))
    message = modern("resources/read", uri="file:///世")
    encoded = {**routing_headers(message), "mcp-name": "=?base64?ZmlsZTovLy/kuJY=?="}
    other = {**encoded, "mcp-name": "=?base64?ZmlsZTovLy94?="}
    bare = {name: value for name, value in encoded.items() if name != "mcp-name"}

    good = await house.wire().post(message, path="/mcp/fs", headers=encoded)
    bad = await house.wire().post(message, path="/mcp/fs", headers=other)
    missing = await house.wire().post(message, path="/mcp/fs", headers={**bare, "mcp-name": ""})

    assert (good.status, bad.status, missing.status) == (200, 400, 400)
    assert len(house.gate.seen) == 1


ANNOTATED = tool(
    "query",
    inputSchema={
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "sql": {"type": "string"},
        },
    },
)


@pytest.mark.requirement("2026-07-28/param-headers")
@pytest.mark.parametrize(
    ("arguments", "headers", "status"),
    [
        ({"region": "eu"}, {"mcp-param-region": "eu"}, 200),
        ({"region": "é"}, {"mcp-param-region": "=?base64?w6k=?="}, 200),
        ({"sql": "x"}, {}, 200),
        ({"region": "eu"}, {}, 400),
        ({"region": "eu"}, {"mcp-param-region": "us"}, 400),
        ({"region": "eu"}, {"mcp-param-region": "=?base64?###?="}, 400),
        ({"sql": "x"}, {"mcp-param-region": "eu"}, 400),
    ],
)
async def test_parameter_headers_are_checked_against_the_body(
    arguments: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    server = FakeUpstream("db", tools=[ANNOTATED])
    house = make_house(server)
    message = modern("tools/call", name="db/query", arguments=arguments)
    extra = {**headers, "mcp-param-other": "kept"}

    reply = await house.wire().post(message, headers=extra)

    assert reply.status == status
    if status == 400:
        assert reply.error["code"] == -32020
        assert house.gate.seen == []
        return
    sent = {k.lower(): v for k, v in server.of("tools/call")[0].param_headers.items()}
    assert sent.pop("mcp-param-other") == "kept"
    assert sent == headers


@pytest.mark.requirement("2026-07-28/param-headers")
async def test_parameter_headers_are_made_for_a_client_that_knows_none() -> None:
    server = FakeUpstream("db", tools=[ANNOTATED])
    client = await Client.connect(make_house(server).wire())
    await client.post(
        legacy("tools/call", name="db/query", arguments={"region": "eu"}),
        headers={"mcp-param-region": "us", "mcp-param-x": "y"},
    )
    assert dict(server.of("tools/call")[0].param_headers) == {"Mcp-Param-Region": "eu"}


@pytest.mark.requirement("2026-07-28/client-capabilities")
async def test_clients_that_declare_different_things_are_told_apart_upstream() -> None:
    server = fs()
    house = make_house(server)
    declared: list[Any] = [{}, {"roots": {}}, {"roots": {}}]
    for capabilities in declared:
        await house.wire().post(modern("tools/call", name="fs/read", capabilities=capabilities))
    first, second, third = [request.client.session for request in server.of("tools/call")]
    assert first != second == third


async def test_a_notification_is_accepted_and_dropped() -> None:
    server = fs()
    house = make_house(server)
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    good = await house.wire().post(note, headers={"mcp-protocol-version": "2026-07-28"})
    bad = await house.wire().post(note, headers={"mcp-protocol-version": "2099-01-01"})
    assert (good.status, good.body) == (202, b"")
    assert bad.error["code"] == -32022


# --- subscriptions/listen ---


def listen(**wanted: Any) -> Any:
    return modern("subscriptions/listen", id="sub-1", notifications=wanted)


@pytest.mark.requirement("2026-07-28/listen")
@pytest.mark.requirement("both/list-changed")
async def test_listening_is_acknowledged_first_then_tagged_filtered_and_closed() -> None:
    server = fs(resources=[{"uri": "a:1", "name": "r"}])
    plain = FakeUpstream("plain", tools=[tool("t")], capabilities={"tools": {}})
    house = make_house(server, plain)
    house.gate.denied.add("fs/a:secret")
    stream = house.wire().stream(
        listen(
            toolsListChanged=True,
            promptsListChanged=True,
            resourceSubscriptions=["fs+a:1", "fs+a:secret", "a:1", 5],
        )
    )

    first = await stream.message()
    await server.listened()
    server.tell("notifications/prompts/list_changed")
    server.tell("notifications/resources/list_changed")
    server.tell("notifications/resources/updated", uri="a:secret")
    server.tell("notifications/resources/updated", uri="a:2")
    server.tell("notifications/message", level="error", data="x")
    server.tell("notifications/resources/updated", uri="a:1", _meta={"x": 1})
    server.tell("notifications/tools/list_changed")
    second, third = await stream.message(), await stream.message()
    closing = asyncio.get_running_loop().create_task(house.edge.aclose())
    reply = await stream.reply()
    await closing

    assert first["method"] == "notifications/subscriptions/acknowledged"
    assert first["params"]["notifications"] == {
        "toolsListChanged": True,
        "resourceSubscriptions": ["fs+a:1"],
    }
    assert second["params"] == {"uri": "fs+a:1", "_meta": {"x": 1, SUBSCRIPTION: "sub-1"}}
    assert third["method"] == "notifications/tools/list_changed"
    assert all(m["params"]["_meta"][SUBSCRIPTION] == "sub-1" for m in (first, second, third))
    last = reply.messages[-1]
    assert (last["id"], last["result"]["_meta"][SUBSCRIPTION]) == ("sub-1", "sub-1")
    assert len(reply.messages) == 4
    assert plain.listeners == server.listeners == []


@pytest.mark.requirement("2026-07-28/listen")
async def test_a_slow_listener_costs_one_entry_per_kind_however_much_changes() -> None:
    server = fs()
    house = make_house(server)
    stream = house.wire().stream(listen(toolsListChanged=True))
    await stream.message()
    await server.listened()
    stream.blocked.clear()
    for _ in range(1000):
        server.tell("notifications/tools/list_changed")
    await eventually(server.listeners[0][1].empty)
    stream.blocked.set()
    await stream.message()
    await stream.leave()
    reply = await stream.reply()
    assert len(reply.messages) <= 3
    assert server.listeners == []


@pytest.mark.requirement("2026-07-28/listen")
async def test_listening_ends_gracefully_with_the_token_and_is_kept_alive_till_then() -> None:
    house = make_house(fs(), limits=Limits(keep_alive_seconds=0.01))
    stream = house.wire("Bearer ada").stream(listen(toolsListChanged=True))
    await stream.until(lambda: b": keep-alive" in stream.body)
    house.authenticator.revoked.add("ada")
    reply = await stream.reply()
    assert reply.messages[-1]["result"]["resultType"] == "complete"
    assert reply.headers["x-accel-buffering"] == "no"


async def test_listening_needs_events_and_a_filter_and_is_bounded() -> None:
    house = make_house(fs())
    no_events = await house.wire().post(listen(), headers={"accept": "application/json"})
    no_filter = await house.wire().post(modern("subscriptions/listen"))
    streams = [house.wire().stream(listen()) for _ in range(MAX_LISTENS_PER_CALLER)]
    for stream in streams:
        await stream.message()
    one_more = await house.wire().post(listen())
    other = house.wire("Bearer clerk").stream(listen())

    assert no_events.error["code"] == -32600
    assert no_filter.error["code"] == -32602
    assert one_more.error["code"] == -32603
    assert (await other.message())["params"]["notifications"] == {}
    await house.edge.aclose()
    for stream in [*streams, other]:
        assert (await stream.reply()).result["resultType"] == "complete"


async def test_nothing_is_asked_of_servers_that_nobody_wants_to_hear() -> None:
    server = fs()
    stream = make_house(server).wire().stream(listen(promptsListChanged=True))
    acknowledged = await stream.message()
    await stream.leave()
    await stream.reply()
    assert acknowledged["params"]["notifications"] == {}
    assert server.listeners == []


# --- tasks ---


@pytest.mark.requirement("2026-07-28/tasks")
async def test_a_task_is_named_by_its_header_and_serves_its_creator_only() -> None:
    server = fs(capabilities=dict(TASKS))

    async def start(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=b'{"resultType":"task","taskId":"t1","status":"working"}')

    server.handlers["tools/call"] = start
    house = make_house(server)

    def task(method: str, **more: Any) -> Any:
        return modern(method, taskId="t1", capabilities=TASKS, **more)

    created = await house.wire().post(modern("tools/call", name="fs/read", capabilities=TASKS))
    stolen = await house.wire("Bearer clerk").post(
        modern("tools/call", name="fs/read", capabilities=TASKS)
    )
    assert created.result["taskId"] == "t1"
    assert stolen.error["code"] == -32603

    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        mine = await house.wire().post(task(method, inputResponses={"k": {}}))
        theirs = await house.wire("Bearer clerk").post(task(method))
        unnamed = await house.wire().post(task(method), headers={"mcp-name": "t2"})
        undeclared = await house.wire().post(modern(method, taskId="t1"))
        assert mine.status == 200
        assert (theirs.status, theirs.error["code"]) == (400, -32602)
        assert unnamed.error["code"] == -32020
        assert (undeclared.status, undeclared.error["code"]) == (400, -32021)
    assert [request.params["taskId"] for request in server.of("tasks/get")] == ["t1"]


@pytest.mark.requirement("2026-07-28/tasks")
async def test_two_servers_with_one_task_id_are_both_disbelieved() -> None:
    one, two = fs(), FakeUpstream("two", tools=[tool("read")])

    async def start(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=b'{"resultType":"task","taskId":"t1"}')

    one.handlers["tools/call"] = two.handlers["tools/call"] = start
    house = make_house(one, two)
    for name in ("fs/read", "two/read"):
        await house.wire().post(modern("tools/call", name=name, capabilities=TASKS))
    message = modern("tasks/update", taskId="t1", capabilities=TASKS, inputResponses={"k": {}})

    merged = await house.wire().post(message)
    single = await house.wire().post(message, path="/mcp/two")

    assert merged.error["code"] == -32602
    assert single.status == 200
    assert one.of("tasks/update") == []
