"""A tool call through the edge, in both eras: what goes in, what comes out, byte for byte."""

from __future__ import annotations

import asyncio
import json

import pytest

from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import make_house
from bailiwick.testing.mcp.wire import Client, legacy, modern, tool

RAW = b'{"content":[{"type":"text","text":"paid"}],  "x-vendor":{"b":1,"a":[1.50]},"isError":false}'


def bank(**more: object) -> FakeUpstream:
    server = FakeUpstream("bank", tools=[tool("pay"), tool("balance")], **more)  # type: ignore[arg-type]

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=RAW)

    server.handlers["tools/call"] = call
    return server


async def test_a_modern_call_is_judged_dispatched_and_answered_in_one_json_body() -> None:
    server = bank()
    house = make_house(server)
    message = modern("tools/call", name="bank/pay", arguments={"amount": 12, "to": "x"})

    reply = await house.wire().post(message)

    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.body == b'{"jsonrpc":"2.0","id":1,"result":' + RAW + b"}"
    (asked,) = house.gate.seen
    assert str(asked.target) == "bank/pay"
    assert asked.arguments == {"amount": 12, "to": "x"}
    assert asked.edge == "mcp/2026-07-28"
    assert asked.caller.agent == "ada"
    (request,) = server.of("tools/call")
    assert request.params["name"] == "pay"


async def test_a_legacy_call_is_served_within_its_session() -> None:
    server = bank(version="2025-11-25")
    house = make_house(server)
    client = await Client.connect(house.wire())

    reply = await client.post(legacy("tools/call", id="a", name="bank/pay", arguments={}))

    assert reply.body == b'{"jsonrpc":"2.0","id":"a","result":' + RAW + b"}"
    assert house.gate.seen[0].edge == "mcp/2025-11-25"
    assert house.gate.seen[0].run_key.startswith("session:")
    assert client.headers["mcp-session-id"] not in house.gate.seen[0].run_key


@pytest.mark.requirement("both/unknown-fields")
async def test_unknown_fields_and_meta_reach_the_server_in_order_and_come_back_unchanged() -> None:
    server = bank()
    house = make_house(server)
    message = modern(
        "tools/call", name="pay", arguments={"z": {"q": None}, "a": 1}, meta={"vendor/x": [1, {}]}
    )
    message["params"]["later"] = {"kept": True}

    reply = await house.wire().post(message, path="/mcp/bank")

    (request,) = server.of("tools/call")
    assert json.dumps(request.params) == json.dumps(message["params"])
    assert reply.body.endswith(RAW + b"}")


@pytest.mark.requirement("both/is-error-kept")
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_an_error_result_stays_a_result_and_an_error_an_error(era: str) -> None:
    server = bank()
    house = make_house(server)
    replies = [
        UpstreamReply(result=b'{"content":[],"isError":true,"resultType":"complete"}'),
        UpstreamReply(error=b'{"code":-32011,"message":"no","data":{"k":[1]}}'),
    ]

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return replies.pop(0)

    server.handlers["tools/call"] = call
    if era == "modern":
        message, post = modern("tools/call", name="bank/pay"), house.wire().post
    else:
        client = await Client.connect(house.wire())
        message, post = legacy("tools/call", name="bank/pay"), client.post

    first, second = await post(message), await post(message)

    assert first.body.endswith(b'"result":{"content":[],"isError":true,"resultType":"complete"}}')
    assert second.body.endswith(b'"error":{"code":-32011,"message":"no","data":{"k":[1]}}}')
    assert second.status == 200


@pytest.mark.requirement("both/structured-content")
@pytest.mark.requirement("both/content-kinds")
@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
async def test_every_kind_of_content_passes_byte_for_byte(version: str) -> None:
    raw = (
        b'{"resultType":"complete","structuredContent":{"n":1.0,"\\u00e9":"\\/"},"content":['
        b'{"type":"image","data":"aGk=","mimeType":"image/png"},'
        b'{"type":"audio","data":"aGk=","mimeType":"audio/wav"},'
        b'{"type":"resource","resource":{"uri":"a:b","text":"\xc3\xa9"}}]}'
    )
    server = bank()
    house = make_house(server)

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        return UpstreamReply(result=raw)

    server.handlers["tools/call"] = call
    if version == "2026-07-28":
        reply = await house.wire().post(modern("tools/call", name="bank/pay"))
    else:
        client = await Client.connect(house.wire(), version=version)
        reply = await client.post(legacy("tools/call", name="bank/pay"))

    assert reply.body == b'{"jsonrpc":"2.0","id":1,"result":' + raw + b"}"


@pytest.mark.requirement("both/concurrent-ids")
async def test_agents_that_use_the_same_id_at_the_same_time_get_their_own_answers() -> None:
    server = bank()
    house = make_house(server)
    both = asyncio.Barrier(4)

    async def call(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        async with asyncio.timeout(5):
            await both.wait()
        arguments = json.dumps(request.params["arguments"]).encode()
        return UpstreamReply(result=b'{"structuredContent":%b}' % arguments)

    server.handlers["tools/call"] = call
    ada, clerk = house.wire("Bearer ada"), house.wire("Bearer clerk")
    ada_session = await Client.connect(ada)
    clerk_session = await Client.connect(clerk)

    replies = await asyncio.gather(
        ada.post(modern("tools/call", id=7, name="bank/pay", arguments={"me": "ada"})),
        clerk.post(modern("tools/call", id=7, name="bank/pay", arguments={"me": "clerk"})),
        ada_session.post(legacy("tools/call", id=7, name="bank/pay", arguments={"me": "ada2"})),
        clerk_session.post(legacy("tools/call", id=7, name="bank/pay", arguments={"me": "clerk2"})),
    )

    assert [reply.messages[-1]["id"] for reply in replies] == [7, 7, 7, 7]
    answers = [reply.result["structuredContent"]["me"] for reply in replies]
    assert answers == ["ada", "clerk", "ada2", "clerk2"]
    sessions = {request.client.session for request in server.of("tools/call")}
    assert len(sessions) == 4


@pytest.mark.requirement("both/denied-hidden-and-refused")
async def test_a_denied_tool_is_refused_as_a_result_a_model_can_read() -> None:
    server = bank()
    house = make_house(server)
    house.gate.denied.add("bank/pay")

    reply = await house.wire().post(modern("tools/call", name="bank/pay", arguments={}))

    assert reply.status == 200
    assert reply.result["isError"] is True
    assert "not in the mandate" in reply.result["content"][0]["text"]
    assert reply.result["_meta"]["bailiwick/code"] == "not_in_mandate"
    assert reply.result["resultType"] == "complete"
    assert server.of("tools/call") == []


@pytest.mark.parametrize("spelled", ["bank/pay", "bank__pay"])
async def test_both_spellings_of_a_name_reach_the_same_tool(spelled: str) -> None:
    server = bank()
    house = make_house(server)

    reply = await house.wire().post(modern("tools/call", name=spelled, arguments={}))

    assert reply.status == 200
    assert str(house.gate.seen[0].target) == "bank/pay"


async def test_a_name_that_fits_two_servers_is_refused_rather_than_guessed() -> None:
    house = make_house(bank(), FakeUpstream("bank_", tools=[tool("pay")]))

    reply = await house.wire().post(modern("tools/call", name="bank___pay", arguments={}))

    assert reply.status == 400
    assert reply.error["code"] == -32602
    assert house.gate.seen == []


async def test_a_tool_the_server_does_not_list_is_unknown_and_never_dispatched() -> None:
    server = bank()
    house = make_house(server)

    reply = await house.wire().post(modern("tools/call", name="bank/hidden", arguments={}))

    assert reply.error["code"] == -32602
    assert server.of("tools/call") == []
    assert house.gate.seen[0].blocked is not None


async def test_an_unreachable_server_is_a_recorded_refusal() -> None:
    server = bank(down=True)
    house = make_house(server)

    reply = await house.wire().post(modern("tools/call", name="bank/pay", arguments={}))

    assert reply.result["isError"] is True
    assert reply.result["_meta"]["bailiwick/code"] == "upstream_down"
