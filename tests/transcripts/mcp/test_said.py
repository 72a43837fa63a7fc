"""What the agent's side says of its run, in both eras, and where a caller's address comes from."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.errors import TheirError
from bailiwick.core.network import read_network
from bailiwick.core.run_words import MAX_INSTRUCTION_CHARS
from bailiwick.gateway.gate import NOTHING_SAID, Asked, Said
from bailiwick.gateway.mcp.said import read_said
from bailiwick.protocols.mcp.headers import read_headers
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.wire import Client, legacy, modern, tool

PROXIES = (read_network("192.0.2.1"),)


@pytest.fixture
def house() -> House:
    return make_house(FakeUpstream("bank", tools=[tool("pay")]))


async def pay(house: House, meta: object = None, **headers: str) -> Asked:
    message = modern("tools/call", name="bank/pay", arguments={}, meta=meta)
    reply = await house.wire().post(message, headers=headers)
    assert reply.status == 200
    return house.gate.seen[-1]


HEADERS = {
    "Bailiwick-Run": "01KB0000000000000000000000",
    "Bailiwick-Instruction": "Zahle%20die%20Rechnung%20%E2%82%AC%0AAn%20M%C3%BCller",
    "Bailiwick-Purpose": "pay suppliers",
    "Bailiwick-Run-Labels": "month-end, audit",
    "Bailiwick-End-User": "ada%40example.com",
}
META = {
    "bailiwick/run": "01KB0000000000000000000000",
    "bailiwick/instruction": "Zahle die Rechnung €\nAn Müller",
    "bailiwick/purpose": "pay suppliers",
    "bailiwick/run-labels": ["month-end", "audit"],
    "bailiwick/end-user": "ada@example.com",
}
SAID = Said(
    "Zahle die Rechnung €\nAn Müller",
    "pay suppliers",
    ("audit", "month-end"),
    "ada@example.com",
    "01KB0000000000000000000000",
)


async def test_it_is_said_in_headers_or_in_meta_or_in_both_alike(house: House) -> None:
    assert (await pay(house)).said is NOTHING_SAID
    assert (await pay(house, **HEADERS)).said == SAID
    assert (await pay(house, META)).said == SAID
    assert (await pay(house, META, **HEADERS)).said == SAID
    some = {"bailiwick/purpose": "pay suppliers"}
    assert (await pay(house, some, **{"Bailiwick-Run-Labels": "audit"})).said == Said(
        purpose="pay suppliers", labels=("audit",)
    )


async def test_no_server_ever_sees_it(house: House) -> None:
    """The person's instruction is between the agent's side and the gateway."""
    bank = house.servers["bank"]
    assert isinstance(bank, FakeUpstream)
    await pay(house, {**META, "other": 1}, **HEADERS)
    client = await Client.connect(house.wire())
    call = legacy("tools/call", name="bank/pay", arguments={}, _meta={**META, "other": 1})
    await client.post(call, headers=HEADERS)
    sent = bank.of("tools/call")
    assert len(sent) == 2
    for request in sent:
        assert "bailiwick/" not in str(request.params)
        assert "Rechnung" not in str(request)
        meta = request.params["_meta"]
        assert isinstance(meta, dict)
        assert meta["other"] == 1


BAD: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"Bailiwick-Instruction": "50%"}),
    ({}, {"Bailiwick-Instruction": "%zz"}),
    ({}, {"Bailiwick-Instruction": "%ff"}),
    ({}, {"Bailiwick-Instruction": "%00"}),
    ({}, {"Bailiwick-Instruction": "a%1b[2Jb"}),
    ({}, {"Bailiwick-Instruction": "caf\u00e9"}),  # bytes that are no ASCII
    ({}, {"Bailiwick-End-User": "a%0Ab"}),
    ({}, {"Bailiwick-End-User": "a%E2%80%AEb"}),  # text that runs backwards
    ({}, {"Bailiwick-End-User": "x" * 255}),
    ({}, {"Bailiwick-Purpose": "x" * 501}),
    ({}, {"Bailiwick-Run-Labels": "Month End"}),
    ({}, {"Bailiwick-Run-Labels": "a,,b"}),
    ({}, {"Bailiwick-Run-Labels": ",".join(f"l{each}" for each in range(17))}),
    ({}, {"Bailiwick-Run": "x" * 65}),
    ({"bailiwick/instruction": "x" * (MAX_INSTRUCTION_CHARS + 1)}, {}),
    ({"bailiwick/instruction": ["x"]}, {}),
    ({"bailiwick/instruction": None}, {}),
    ({"bailiwick/run-labels": "a,b"}, {}),
    ({"bailiwick/run-labels": [1]}, {}),
    ({"bailiwick/run-labels": {"a": 1}}, {}),
    ({"bailiwick/end-user": 7}, {}),
    ({"bailiwick/instruction": "Pay."}, {"Bailiwick-Instruction": "Pay%20all."}),
    ({"bailiwick/end-user": "ada"}, {"Bailiwick-End-User": "eve"}),
]


@pytest.mark.parametrize(("meta", "headers"), BAD)
async def test_what_is_malformed_or_said_in_two_ways_is_an_error_in_both_eras(
    house: House, meta: dict[str, Any], headers: dict[str, str]
) -> None:
    message = modern("tools/call", name="bank/pay", arguments={}, meta=meta)
    reply = await house.wire().post(message, headers=headers)
    assert reply.error["code"] == -32602
    client = await Client.connect(house.wire())
    call = legacy("tools/call", name="bank/pay", arguments={}, _meta=meta)
    reply = await client.post(call, headers=headers)
    assert reply.error["code"] == -32602
    assert house.gate.seen == []


async def test_a_header_that_stands_twice_is_refused(house: House) -> None:
    for name in HEADERS:
        raw = [(name.lower().encode(), b"a"), (name.lower().encode(), b"b")]
        with pytest.raises(TheirError, match="stands twice"):
            read_headers(raw)


# --- sessions ------------------------------------------------------------------------------------


async def hello(house: House, meta: object = None, **headers: str) -> Client:
    wire = house.wire()
    params: dict[str, Any] = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    if meta is not None:
        params["_meta"] = meta
    reply = await wire.post(legacy("initialize", **params), headers=headers)
    assert reply.status == 200
    session = {
        "mcp-session-id": reply.headers["mcp-session-id"],
        "mcp-protocol-version": reply.result["protocolVersion"],
    }
    return Client(wire, "/mcp", session, reply.result)


async def legacy_pay(house: House, client: Client, **headers: str) -> Asked:
    call = legacy("tools/call", name="bank/pay", arguments={})
    reply = await client.post(call, headers=headers)
    assert reply.status == 200
    return house.gate.seen[-1]


async def test_a_session_may_say_it_when_it_begins(house: House) -> None:
    for client in (await hello(house, **HEADERS), await hello(house, META)):
        assert (await legacy_pay(house, client)).said == SAID
        assert (await legacy_pay(house, client, **HEADERS)).said == SAID


async def test_a_session_that_says_something_else_later_is_refused_and_that_is_recorded(
    house: House,
) -> None:
    client = await hello(house, **{"Bailiwick-Instruction": "Pay."})
    asked = await legacy_pay(house, client, **{"Bailiwick-Instruction": "Pay%20all."})
    assert asked.blocked is not None
    assert asked.blocked.code == "run_fixed"
    assert asked.said.instruction == "Pay."


async def test_a_session_may_add_what_it_had_not_said(house: House) -> None:
    """Whether that comes in time is the gate's to say: it knows which call was the first."""
    client = await hello(house, **{"Bailiwick-Instruction": "Pay."})
    asked = await legacy_pay(house, client, **{"Bailiwick-End-User": "eve"})
    assert asked.blocked is None
    assert asked.said == Said("Pay.", end_user="eve")


async def test_a_session_does_not_begin_with_what_is_malformed(house: House) -> None:
    message = legacy(
        "initialize",
        protocolVersion="2025-11-25",
        capabilities={},
        clientInfo={"name": "test", "version": "1"},
    )
    reply = await house.wire().post(message, headers={"Bailiwick-Instruction": "%ff"})
    assert reply.status == 400
    assert "percent-encoded" in reply.error["message"]


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=200))
def test_any_text_has_a_spelling_in_a_header(text: str) -> None:
    headers = read_headers([(b"bailiwick-instruction", quote(text).encode())])
    assert read_said(headers, {}).instruction == text.strip()


@given(st.binary(max_size=200))
def test_reading_a_header_never_fails_in_another_way(value: bytes) -> None:
    headers = read_headers([(b"bailiwick-instruction", value), (b"bailiwick-run-labels", value)])
    code, length = "", 0
    try:
        length = len(read_said(headers, {}).instruction)
    except TheirError as error:
        code = error.code
    assert code in ("", "bad_run_words")
    assert length <= len(value)


# --- addresses -----------------------------------------------------------------------------------


async def address_of(house: House, peer: str | None, *forwarded: str) -> str:
    message = modern("tools/call", name="bank/pay", arguments={})
    wire = house.wire()

    async def edge(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope["client"] = None if peer is None else (peer, 4711)
        scope["headers"] += [(b"x-forwarded-for", value.encode()) for value in forwarded]
        await house.edge(scope, receive, send)

    wire._edge = edge
    assert (await wire.post(message)).status == 200
    return house.gate.seen[-1].address


async def test_nobody_looks_at_addresses_while_no_zone_is_declared(house: House) -> None:
    assert await address_of(house, "10.0.0.7", "10.0.0.8") == ""


async def test_the_socket_says_where_a_caller_is(house: House) -> None:
    house.edge._proxies = lambda: ()
    assert await address_of(house, "10.0.0.7") == "10.0.0.7"
    assert await address_of(house, "::ffff:10.0.0.7") == "10.0.0.7"
    assert await address_of(house, None) == ""


async def test_attack_a_caller_names_another_address_in_x_forwarded_for(house: House) -> None:
    house.edge._proxies = lambda: PROXIES
    assert await address_of(house, "203.0.113.9", "10.0.0.7") == "203.0.113.9"
    assert await address_of(house, "192.0.2.1", "10.0.0.7, 203.0.113.9") == "203.0.113.9"
    assert await address_of(house, "192.0.2.1", "10.0.0.7", "203.0.113.9") == "203.0.113.9"
    assert await address_of(house, "192.0.2.1") == ""


async def test_other_headers_say_nothing_of_where_a_caller_is(house: House) -> None:
    house.edge._proxies = lambda: PROXIES
    message = modern("tools/call", name="bank/pay", arguments={})
    for name in ("x-real-ip", "forwarded", "client-ip", "x-client-ip", "cf-connecting-ip"):
        await house.wire().post(message, headers={name: "10.0.0.7"})
        assert house.gate.seen[-1].address == ""  # this wire has no socket
