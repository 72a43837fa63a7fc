"""What an agent sends past the mandate: beside the arguments, in headers, in names, in ids."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bailiwick.core.canonical import JsonObject
from bailiwick.protocols.strict_json import MAX_VALUES
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import make_house
from bailiwick.testing.mcp.wire import Client, modern, tool

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def bank() -> FakeUpstream:
    return FakeUpstream("bank", tools=[tool("pay")])


async def test_answers_nobody_asked_for_are_part_of_what_is_judged_and_recorded() -> None:
    house = make_house(bank())
    answers: JsonObject = {"amount": {"action": "accept", "content": {"amount": 1_000_000}}}
    message = modern("tools/call", name="bank/pay", arguments={"to": "x"}, inputResponses=answers)
    await house.wire().post(message)
    assert house.gate.seen[0].beside == {"inputResponses": answers}


@pytest.mark.parametrize("extra", ["task", "Arguments2", "dryRun"])
async def test_fields_of_a_request_that_nobody_knows_are_part_of_it_too(extra: str) -> None:
    house = make_house(bank())
    client = await Client.connect(house.wire())
    await client.post(
        {
            "jsonrpc": "2.0",
            "id": 3,
            "method": "tools/call",
            "params": {"name": "bank/pay", "arguments": {}, extra: {"ttl": 1}},
        }
    )
    assert house.gate.seen[0].beside == {extra: {"ttl": 1}}


@pytest.mark.parametrize(
    ("method", "names", "extra"),
    [
        ("tools/call", {"name": "bank/pay", "arguments": {"to": "x"}}, "uri"),
        ("prompts/get", {"name": "bank/letter"}, "uri"),
        ("resources/read", {"uri": "bank+file:///a"}, "name"),
        ("resources/read", {"uri": "bank+file:///a"}, "arguments"),
    ],
)
async def test_what_is_judged_of_another_method_is_beside_what_is_judged_of_this(
    method: str, names: Any, extra: str
) -> None:
    server = FakeUpstream(
        "bank",
        tools=[tool("pay")],
        prompts=[{"name": "letter"}],
        resources=[{"uri": "file:///a", "name": "a"}],
    )
    house = make_house(server)
    message = modern(method)
    message["params"].update({**names, extra: {"secret": 1}})
    await house.wire().post(message, headers={"mcp-name": names.get("uri", names.get("name"))})
    assert server.of(method)[0].params[extra] == {"secret": 1}
    assert house.gate.seen[0].beside == {extra: {"secret": 1}}


async def test_meta_and_arguments_are_not_counted_twice() -> None:
    house = make_house(bank())
    await house.wire().post(modern("tools/call", name="bank/pay", arguments={"to": "x"}))
    assert house.gate.seen[0].beside == {}


@pytest.mark.parametrize(
    ("sent", "recorded"),
    [
        (TRACE, TRACE),
        ("x" * 500, ""),
        (TRACE + "\x9b31m", ""),
        (TRACE.upper(), ""),
        (f"{TRACE}, {TRACE}", ""),
        ("ada paid CH93-0076", ""),
    ],
)
async def test_no_text_of_an_agents_choice_reaches_the_ledger_as_a_trace(
    sent: str, recorded: str
) -> None:
    house = make_house(bank())
    message = modern("tools/call", name="bank/pay", arguments={})
    await house.wire().post(message, headers={"traceparent": sent})
    assert house.gate.seen[0].traceparent == recorded


@pytest.mark.parametrize(
    "spelled",
    [
        "bank//pay", "bank/pay/", "BANK/pay", "/bank/pay", "bank/", "bank", "bank__", "__pay",
        "bank/pay\u200b", "bank/Pay", "bank /pay", "b\u0430nk/pay", "bank/../bank/pay",
        "bank%2Fpay",
    ],
)  # fmt: skip
async def test_a_name_spelled_otherwise_is_never_taken_for_the_tool(spelled: str) -> None:
    server = bank()
    house = make_house(server)
    client = await Client.connect(house.wire())
    reply = await client.post(
        {
            "jsonrpc": "2.0",
            "id": 3,
            "method": "tools/call",
            "params": {"name": spelled, "arguments": {}},
        }
    )
    assert "error" in reply.messages[-1]
    assert server.of("tools/call") == []
    assert all(asked.blocked is not None for asked in house.gate.seen)


@pytest.mark.parametrize("arguments", ["null", "[]", '"x"', "0", "true"])
async def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    server = bank()
    house = make_house(server)
    client = await Client.connect(house.wire())
    params = {"name": "bank/pay", "arguments": json.loads(arguments)}
    reply = await client.post({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params})
    assert reply.error["code"] == -32602
    assert server.of("tools/call") == []


async def test_more_values_than_can_be_judged_at_once_are_refused() -> None:
    house = make_house(bank())
    many: Any = {str(number): 0 for number in range(MAX_VALUES + 1)}
    reply = await house.wire().post(modern("tools/call", name="bank/pay", arguments=many))
    assert reply.status == 400
    assert house.gate.seen == []


async def test_a_long_text_full_of_commas_is_one_value() -> None:
    house = make_house(bank())
    text = ',[{"a":1}' * MAX_VALUES
    reply = await house.wire().post(
        modern("tools/call", name="bank/pay", arguments={"content": text})
    )
    assert reply.status == 200
    assert house.gate.seen[0].arguments == {"content": text}
