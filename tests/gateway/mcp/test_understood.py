"""What a request was found to mean, taken up for the next that is like it, and for no other."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bailiwick.gateway.mcp import calls, edge, modern_door
from bailiwick.gateway.mcp.core import MAX_SHAPES_PER_CALLER, Limits
from bailiwick.gateway.mcp.modern_door import _MAX_KEPT_BYTES as MAX_KEPT_BYTES
from bailiwick.gateway.mcp.modern_door import ModernDoor
from bailiwick.gateway.mcp.visit import Understood, Visit
from bailiwick.ports import Caller, RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.protocols.mcp.jsonrpc import Request
from bailiwick.protocols.mcp.modern import Rejection
from bailiwick.protocols.mcp.names import joined_for_model
from bailiwick.testing.mcp.fakes import FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.wire import modern, tool
from tests.gateway.mcp.test_known_heads import CALL, Line, serving


@pytest.fixture
def house() -> House:
    return make_house(
        FakeUpstream("fs", tools=[tool("read"), tool("write")]), limits=Limits(body_bytes=100_000)
    )


def changed(**members: Any) -> dict[str, Any]:
    return {**CALL, "params": {**CALL["params"], **members}}


SAME: list[Any] = [1, True, 1.0, "1", {}, []]


class Compact(Line):
    """One that sends compact JSON, which has a frame."""

    separators = (",", ":")


LINES = [Line, Compact]
LOG_LEVEL = "io.modelcontextprotocol/logLevel"
INFO = "io.modelcontextprotocol/clientInfo"
BODIES: list[Any] = [
    CALL,
    modern("tools/call", name="fs/read", arguments={"a": 1}),
    *(
        modern("tools/call", name="fs/read", arguments={}, capabilities={"sampling": {"x": one}})
        for one in SAME
    ),
    *(
        modern("tools/call", name="fs/read", arguments={}, meta=meta)
        for meta in (
            {LOG_LEVEL: "error"},
            {LOG_LEVEL: "loud"},
            {"progressToken": 1},
            {"progressToken": True},
            {"progressToken": "1"},
            {"agent-session-id": "s1"},
            {"bailiwick/purpose": "tests"},
            {"bailiwick/purpose": 5},
            {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"},
            {INFO: {"name": "goose"}},
            {INFO: {"name": 1}},
            {INFO: "goose"},
            {"io.modelcontextprotocol/protocolVersion": "2026-07-29"},
        )
    ),
    changed(name="fs/write"),
    changed(name=None),
    changed(name=["fs/read"]),
    changed(_meta={}),
    changed(_meta=None),
    changed(_meta=[]),
    changed(arguments=[]),
    changed(**{"": "fs/read"}),
    {**CALL, "method": "tools/list"},
    {**CALL, "method": "resources/read"},
    {**CALL, "method": "tools/Call"},
    {**CALL, "params": {}},
    {**CALL, "id": "text"},
]


def told(house: House, since: int = 0) -> list[Any]:
    """What reached the gate and the server, told apart more finely than `==` does."""
    asked = [
        repr((one.caller, one.target, one.arguments, one.run_key, one.edge, one.traceparent))
        + repr((one.beside, one.said, one.hints))
        for one in house.gate.seen
    ]
    upstream: Any = house.servers["fs"]
    sent = [
        repr(replace(request, alike=None))  # what it says is in the others
        for request, _ in upstream.requests
        if request.method == "tools/call"
    ]
    return [asked[since:], sent[since:]]


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("first", [CALL, BODIES[2], BODIES[8]])
async def test_whatever_came_before_a_request_means_what_it_means_by_itself(
    house: House, first: Any, kind: type[Line]
) -> None:
    alone = make_house(FakeUpstream("fs", tools=[tool("read"), tool("write")]))
    async with serving(house) as port, kind(port) as line, serving(alone) as other:
        for body in BODIES:
            # The head is known from the second on, its meaning from the third, its frame with it.
            for _ in range(4):
                assert (await line.post(first))[0] == 200
            async with Line(other) as fresh:
                expected = await fresh.post(body)
            for _ in range(2):
                before = len(house.gate.seen)
                assert await line.post(body) == expected
                latest = told(house, before)
                if house.gate.seen[before:]:
                    assert latest == [one[-1:] for one in told(alone)]


async def test_a_request_like_the_last_does_not_climb_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(house) as port, Line(port) as line:
        for _ in range(2):
            assert (await line.post())[0] == 200
        monkeypatch.setattr(ModernDoor, "_climb", None)
        assert (await line.post({**CALL, "id": 7}))[1]["id"] == 7


@pytest.mark.parametrize("kind", LINES)
async def test_each_caller_is_understood_by_itself(house: House, kind: type[Line]) -> None:
    async with serving(house) as port, kind(port) as line:
        for _ in range(5):
            assert (await line.post())[0] == 200
            assert (await line.post(Authorization="Bearer bob"))[0] == 200
    upstream: Any = house.servers["fs"]
    calls = [request for request, _ in upstream.requests if request.method == "tools/call"]
    assert len(calls) == 10
    assert len({request.client.session for request in calls}) == 2
    assert [request.client.session.partition("|")[0] for request in calls] == ["ada", "bob"] * 5


@pytest.mark.parametrize("kind", LINES)
async def test_a_client_that_was_forgotten_is_remembered_anew_and_pushes_out_another(
    house: House, kind: type[Line]
) -> None:
    async with serving(house) as port, kind(port) as line, Line(port) as other:
        first = modern("tools/call", name="fs/read", arguments={}, capabilities={"first": {}})
        for _ in range(4):
            assert (await line.post(first))[0] == 200
        for number in range(MAX_SHAPES_PER_CALLER):
            body = modern(
                "tools/call", name="fs/read", arguments={}, capabilities={f"c{number}": {}}
            )
            assert (await other.post(body))[0] == 200
        core = house.edge._core
        upstream: Any = house.servers["fs"]
        session = upstream.requests[-1 - MAX_SHAPES_PER_CALLER][0].client.session
        assert session not in {facts.session for facts in core._facts.values()}
        assert (await line.post(first))[0] == 200
        assert session in {facts.session for facts in core._facts.values()}
        assert len(core._facts) == MAX_SHAPES_PER_CALLER


@pytest.mark.parametrize(("length", "kept"), [(10, True), (MAX_KEPT_BYTES, False)])
async def test_a_long_token_of_progress_is_not_kept(
    house: House, monkeypatch: pytest.MonkeyPatch, length: int, kept: bool
) -> None:
    body = modern("tools/call", name="fs/read", arguments={}, meta={"progressToken": "p" * length})
    climbs: list[object] = []
    real = ModernDoor._climb

    def climb(door: ModernDoor, visit: Visit, request: Request) -> Understood | Rejection:
        climbs.append(request.id)
        return real(door, visit, request)

    monkeypatch.setattr(ModernDoor, "_climb", climb)
    async with serving(house) as port, Line(port) as line:
        for number in range(4):
            assert (await line.post({**body, "id": number}))[0] == 200
    # The head is known from the second request on, and with it what the request means.
    assert climbs == ([0, 1] if kept else [0, 1, 2, 3])


async def test_a_request_that_fits_the_frame_of_the_last_is_not_parsed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(house) as port, Compact(port) as line:
        for number in range(1, 4):
            assert (await line.post({**CALL, "id": number}))[0] == 200
        monkeypatch.setattr(edge, "parse_message", None)
        again = changed(arguments={"b": [1, {"c": None}]})
        status, answer = await line.post({**again, "id": 8})
        assert (status, answer["id"]) == (200, 8)
        assert house.gate.seen[-1].arguments == {"b": [1, {"c": None}]}


async def test_a_token_revoked_opens_nothing_to_what_fits_a_frame(house: House) -> None:
    async with serving(house) as port, Compact(port) as line:
        assert [(await line.post())[0] for _ in range(4)] == [200] * 4
        house.authenticator.revoked.add("ada")
        assert (await line.post())[0] == 401
    assert len(house.gate.seen) == 4


async def test_a_definition_that_changed_is_refused_to_what_fits_a_frame(house: House) -> None:
    upstream: Any = house.servers["fs"]
    async with serving(house) as port, Compact(port) as line:
        assert [(await line.post())[0] for _ in range(4)] == [200] * 4
        upstream.tools = [tool("read", description="now it deletes")]
        await house.wire().post(modern("tools/list"))
        _, answer = await line.post()
        assert answer["result"]["_meta"]["bailiwick/code"] == "definition_changed"
        upstream.tools = [tool("read")]
        await house.wire().post(modern("tools/list"))
        _, answer = await line.post()
        assert answer["result"]["resultType"] == "complete"
    assert len(upstream.of("tools/call")) == 5


async def test_a_definition_that_is_accepted_opens_what_was_refused_by_its_frame(
    house: House,
) -> None:
    upstream: Any = house.servers["fs"]
    await house.wire().post(modern("tools/list"))
    upstream.tools = [tool("read", description="now it deletes")]
    await house.wire().post(modern("tools/list"))
    async with serving(house) as port, Compact(port) as line:
        for _ in range(5):
            _, answer = await line.post()
            assert answer["result"]["_meta"]["bailiwick/code"] == "definition_changed"
        (held,) = house.pins.book.held()
        await house.pins.book.accept(("fs", "tool", "read"), held.digest, "ada")
        _, answer = await line.post()
    assert answer["result"]["resultType"] == "complete"
    assert len(upstream.of("tools/call")) == 1


async def test_what_fits_a_frame_goes_where_the_last_went_without_another_look(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(house) as port, Compact(port) as line:
        assert [(await line.post())[0] for _ in range(4)] == [200] * 4
        monkeypatch.setattr(calls, "locate", None)
        again = changed(arguments={"b": "other"})
        assert (await line.post({**again, "id": 9}))[1]["id"] == 9
    assert [one.arguments for one in house.gate.seen[-2:]] == [
        CALL["params"]["arguments"],
        {"b": "other"},
    ]
    first, second = house.gate.seen[-2:]
    assert replace(second, arguments={}) == replace(first, arguments={})


async def test_what_fits_a_frame_goes_to_the_server_that_is_there_now(house: House) -> None:
    first: Any = house.servers["fs"]
    async with serving(house) as port, Compact(port) as line:
        assert [(await line.post())[0] for _ in range(5)] == [200] * 5
        second = FakeUpstream("fs", tools=[tool("read"), tool("write")])
        house.servers["fs"] = second
        assert [(await line.post())[0] for _ in range(2)] == [200] * 2
        third = FakeUpstream("fs", tools=[tool("write")])
        house.servers["fs"] = third
        _, answer = await line.post()
        assert "error" in answer
    assert (len(first.of("tools/call")), len(second.of("tools/call"))) == (5, 2)
    assert third.of("tools/call") == []


async def test_a_tool_of_the_very_name_goes_before_one_that_was_only_spelt_like_it() -> None:
    upstream = FakeUpstream("fs", tools=[tool("read.all")])
    house = make_house(upstream)
    spelled = joined_for_model("fs", "read.all")
    very = spelled.removeprefix("fs__")
    body = modern("tools/call", name=spelled, arguments={})
    async with serving(house) as port, Compact(port) as line:
        await house.wire().post(modern("tools/list"))
        assert [(await line.post(body, said=body))[0] for _ in range(5)] == [200] * 5
        upstream.tools = [tool("read.all"), tool(very)]
        await house.wire().post(modern("tools/list"))
        assert (await line.post(body, said=body))[0] == 200
    names = [one.target.name for one in house.gate.seen]
    assert names == ["read.all"] * 5 + [very]


async def test_a_renewed_token_is_judged_by_who_it_stands_for_now(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Caller("ada", "ada-work", "owner", "jti-first", 10**15)
    monkeypatch.setattr(house.authenticator, "renew", lambda _: now)
    async with serving(house) as port, Compact(port) as line:
        assert [(await line.post())[0] for _ in range(4)] == [200] * 4
        now = Caller("ada", "ada-less", "owner", "jti-second", 10**15)
        assert [(await line.post())[0] for _ in range(2)] == [200] * 2
    first, second = house.gate.seen[-3], house.gate.seen[-1]
    assert (first.caller.token, first.run_key) == ("jti-first", "token:jti-first")
    assert (second.caller.mandate, second.run_key) == ("ada-less", "token:jti-second")
    upstream: Any = house.servers["fs"]
    sessions = [one.client.session for one, _ in upstream.requests if one.method == "tools/call"]
    assert sessions[-3].startswith("ada|ada-work|")
    assert sessions[-1].startswith("ada|ada-less|")


async def test_a_client_that_never_says_the_same_twice_gets_few_frames(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    framed: list[bytes] = []
    monkeypatch.setattr(modern_door, "frame_of", framed.append)
    async with serving(house) as port, Compact(port) as line:
        for _ in range(modern_door._MAX_STRANGERS + 10):
            assert (await line.post())[0] == 200
    assert len(framed) == modern_door._MAX_STRANGERS


@pytest.mark.parametrize("path", ["/mcp", "/mcp/fs"])
async def test_what_stands_beside_is_each_requests_own_where_it_is_called_arguments(
    path: str,
) -> None:
    house = make_house(FakeUpstream("fs", resources=[{"uri": "file:///a", "name": "a"}]))
    uri = "file:///a" if path == "/mcp/fs" else "fs+file:///a"
    bodies = [modern("resources/read", uri=uri, arguments={"n": number}) for number in range(6)]
    async with serving(house) as port, Compact(port) as line:
        for body in bodies:
            assert (await line.post(body, path, said=bodies[0]))[0] == 200
    expected = [{"arguments": {"n": number}} for number in range(6)]
    assert [one.beside for one in house.gate.seen] == expected
    upstream: Any = house.servers["fs"]
    sent = upstream.of("resources/read")
    assert [{"arguments": one.params["arguments"]} for one in sent] == expected
    # No upstream is told that they are alike: it would go by a name, and these have a URI.
    assert [one.alike for one in sent] == [None] * 6


async def test_a_header_that_repeats_an_argument_is_compared_with_each_requests_own() -> None:
    repeated = {"type": "string", "x-mcp-header": "To"}
    pay = {"name": "pay", "inputSchema": {"type": "object", "properties": {"to": repeated}}}
    house = make_house(FakeUpstream("bank", tools=[pay]))
    body = modern("tools/call", name="bank/pay", arguments={"to": "ada"})
    other = modern("tools/call", name="bank/pay", arguments={"to": "eve"})
    said: Any = {"Mcp-Param-To": "ada"}
    async with serving(house) as port, Compact(port) as line:
        for _ in range(5):
            assert (await line.post(body, said=body, **said))[0] == 200
        status, answer = await line.post(other, said=body, **said)
    assert (status, answer["error"]["code"]) == (400, -32020)
    assert len(house.gate.seen) == 5


async def test_a_state_is_good_for_the_arguments_it_was_given_for_whatever_it_is_framed_by() -> (
    None
):
    server = FakeUpstream("fs", tools=[tool("read")])

    async def asks(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        if "requestState" in request.params:
            return UpstreamReply(result=b'{"resultType":"complete","content":[]}')
        question = b'{"method":"elicitation/create","params":{"message":"?"}}'
        asked = b'"resultType":"input_required","requestState":"own","inputRequests":{"a":%b}'
        return UpstreamReply(result=b"{" + asked % question + b"}")

    server.handlers["tools/call"] = asks
    house = make_house(server)
    asking: Any = {"name": "fs/read", "capabilities": {"elicitation": {}}}
    async with serving(house) as port, Compact(port) as line:
        _, first = await line.post(modern("tools/call", arguments={"a": 1}, **asking))
        state = first["result"]["requestState"]
        assert state != "own"
        asking["requestState"] = state
        for _ in range(5):
            _, answer = await line.post(modern("tools/call", arguments={"a": 1}, **asking))
            assert answer["result"]["resultType"] == "complete"
            assert server.of("tools/call")[-1].params["requestState"] == "own"
        status, answer = await line.post(modern("tools/call", arguments={"a": 2}, **asking))
    assert (status, answer["error"]["code"]) == (400, -32602)
    assert len(server.of("tools/call")) == 6


async def test_where_a_caller_is_is_what_counts_now_for_what_fits_a_frame(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(house) as port, Compact(port) as line:
        assert [(await line.post())[0] for _ in range(5)] == [200] * 5
        monkeypatch.setattr(house.edge, "_proxies", tuple)  # from now on zones are declared
        assert (await line.post())[0] == 200
    assert [one.address for one in house.gate.seen] == [""] * 5 + ["127.0.0.1"]
