"""Anything from either side: always one answer with a meaning, never a defect of ours."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import make_house
from bailiwick.testing.mcp.wire import Client, legacy, modern, tool

ALL: dict[str, Any] = {"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}}
WORDS = st.sampled_from(
    [
        "resultType", "inputRequests", "requestState", "taskId", "task", "cacheScope", "content",
        "method", "params", "_meta", "name", "arguments", "uri", "cursor", "ref", "type", "level",
        "notifications", "resourceSubscriptions", "nextCursor", "tools", "prompts", "resources",
        "jsonrpc", "id", "result", "error", "code", "progressToken", "requestId", "inputResponses",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    [
        "input_required", "complete", "task", "public", "2.0", "tools/call", "tools/list",
        "fs/read", "elicitation/create", "roots/list", "ref/prompt", "fs+a:b",
        "notifications/cancelled",
        "server/discover", "resources/read", "subscriptions/listen", "info", "", None, True, 0, 1.5,
        -32002, "é",
    ]
)  # fmt: skip
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)
OBJECT = st.dictionaries(WORDS, JSON, max_size=6)
QUICKLY = settings(max_examples=60, deadline=None)


def server_saying(result: Any, version: str) -> FakeUpstream:
    server = FakeUpstream(
        "fs",
        tools=[tool("read")],
        prompts=[{"name": "p"}],
        resources=[{"uri": "a:b", "name": "r"}],
        version=version,
        capabilities={"completions": {}, "logging": {}, "tasks": {}},
    )

    async def say(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=json.dumps(result).encode())

    for method in ("tools/call", "prompts/get", "resources/read", "completion/complete"):
        server.handlers[method] = say
    return server


USES: list[tuple[str, dict[str, Any]]] = [
    ("tools/call", {"name": "fs/read", "arguments": {}}),
    ("prompts/get", {"name": "fs/p"}),
    ("resources/read", {"uri": "fs+a:b"}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "fs/p"}}),
]


@QUICKLY
@given(OBJECT, st.sampled_from(USES), st.sampled_from(["2025-11-25", "2026-07-28"]))
def test_whatever_a_server_answers_the_client_gets_one_reply_to_its_request(
    result: Any, use: tuple[str, dict[str, Any]], version: str
) -> None:
    async def run() -> None:
        house = make_house(server_saying(result, version))
        client = await Client.connect(house.wire(), capabilities={})
        method, params = use
        replies = [
            await house.wire().post(modern(method, id="x", capabilities=ALL, **params)),
            await client.post(legacy(method, id="x", **params)),
        ]
        for reply in replies:
            (message,) = reply.messages
            assert reply.status in (200, 400)
            assert message["id"] == "x"
            assert ("result" in message) != ("error" in message)
            assert message.get("error", {}).get("message") != "internal error"
        await house.edge.aclose()

    asyncio.run(run())


@QUICKLY
@given(OBJECT, st.sampled_from(["tools/list", "prompts/list", "resources/list"]))
def test_whatever_a_server_lists_the_client_gets_a_list_or_an_error(
    page: dict[str, Any], method: str
) -> None:
    async def run() -> None:
        server = server_saying({}, "2026-07-28")

        async def say(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
            return UpstreamReply(result=json.dumps(page).encode())

        server.handlers[method] = say
        house = make_house(server)
        for path in ("/mcp", "/mcp/fs"):
            reply = await house.wire().post(modern(method), path=path)
            (message,) = reply.messages
            member = method.removesuffix("/list")
            assert "error" in message or isinstance(message["result"][member], list)
            assert message.get("error", {}).get("message") != "internal error"
        await house.edge.aclose()

    asyncio.run(run())


@QUICKLY
@given(
    OBJECT | st.binary(max_size=60),
    st.dictionaries(
        st.sampled_from(["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id",
                         "accept", "content-type", "last-event-id", "origin"]),
        st.sampled_from(["2026-07-28", "2025-11-25", "tools/call", "fs/read", "*/*", "x", "1-1",
                         "application/json", "=?base64?Zg==?="]),
        max_size=4,
    ),
    st.sampled_from(["POST", "GET", "DELETE", "HEAD"]),
)  # fmt: skip
def test_whatever_an_agent_sends_is_refused_or_answered_and_no_defect(
    message: Any, headers: dict[str, str], method: str
) -> None:
    async def run() -> None:
        house = make_house(server_saying({}, "2025-11-25"))
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        opened = house.wire().stream(None, method=method, body=body, headers=headers)
        await opened.opened()
        assert opened.status in (200, 202, 400, 403, 404, 405, 406, 415)
        assert b"internal error" not in opened.body
        await house.edge.aclose()
        await opened.leave()
        await opened.reply()

    asyncio.run(run())


@QUICKLY
@given(
    st.sampled_from(
        ["tools/call", "tools/list", "prompts/get", "resources/read", "completion/complete",
         "tasks/get", "tasks/update", "server/discover", "logging/setLevel", "resources/subscribe",
         "resources/unsubscribe", "tasks/list", "tasks/result", "ping", "initialize"]
    ),
    OBJECT,
)  # fmt: skip
def test_whatever_the_params_every_method_answers_its_request(method: str, params: Any) -> None:
    async def run() -> None:
        house = make_house(server_saying({}, "2025-11-25"))
        client = await Client.connect(house.wire())
        given_meta = params.pop("_meta", None)
        meta = given_meta if isinstance(given_meta, dict) else {}
        params.pop("method", None)
        params.pop("id", None)
        stateless = modern(method, id=7, capabilities=ALL, meta=meta)
        stateless["params"] = {**params, **stateless["params"]}
        stateful = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        replies = [await house.wire().post(stateless), await client.post(stateful)]
        for reply in replies:
            (message,) = reply.messages
            assert message["id"] == 7
            assert message.get("error", {}).get("message") != "internal error"
        await house.edge.aclose()

    asyncio.run(run())
