"""What the edge keeps of a head that its connection repeats, and what it asks again each time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailiwick.app.http_places import Places
from bailiwick.app.http_protocol import HttpProtocol
from bailiwick.app.http_round import Round
from bailiwick.gateway.mcp.core import Limits
from bailiwick.ports import Caller
from bailiwick.testing.mcp.fakes import ADA, HOST, FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.wire import legacy, modern, routing_headers, tool
from tests.app.raw_http import State

CALL: Any = modern("tools/call", name="fs/read", arguments={})


class Line:
    """One raw connection to the edge, behind our own HTTP.

    Attributes:
        separators: of the JSON that is sent.
    """

    separators = (", ", ": ")

    def __init__(self, port: int) -> None:
        self._port = port
        self.begun = b""

    async def __aenter__(self) -> Line:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def post(
        self,
        message: Any = CALL,
        path: str = "/mcp",
        length: int = -1,
        said: Any = CALL,
        **fields: str,
    ) -> tuple[int, Any]:
        """Status and body of the answer.

        Args:
            length: what is declared, -1 for what is sent.
            said: the message that the head is about.
        """
        body = json.dumps(message, separators=self.separators).encode()
        lines = {
            "Host": HOST,
            "Authorization": ADA,
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            **routing_headers(said),
            **fields,
            "Content-Length": str(len(body) if length < 0 else length),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        async with asyncio.timeout(5):
            self.begun = begun = await self.reader.readuntil(b"\r\n\r\n")
            size = int(begun.partition(b"content-length: ")[2].partition(b"\r")[0])
            answer = await self.reader.readexactly(size)
        return int(begun.split()[1]), json.loads(answer or b"null")


@contextlib.asynccontextmanager
async def serving(house: House, places: Places | None = None) -> AsyncIterator[int]:
    state, round_, places = State(), Round(), places or Places()
    server = await asyncio.get_running_loop().create_server(
        lambda: HttpProtocol(house.edge, state, round_, places), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await house.edge.aclose()
        server.close()
        for connection in tuple(state.connections):
            connection._transport.abort()


@pytest.fixture
def house() -> House:
    return make_house(FakeUpstream("fs", tools=[tool("read")]), limits=Limits(body_bytes=4096))


async def test_a_repeated_head_gets_the_answer_of_the_first(house: House) -> None:
    async with serving(house) as port, Line(port) as line:
        answers = [await line.post({**CALL, "id": number}) for number in range(3)]
    assert [status for status, _ in answers] == [200] * 3
    assert [answer.pop("id") for _, answer in answers] == [0, 1, 2]
    assert answers[0] == answers[1] == answers[2]
    assert [asked.caller.agent for asked in house.gate.seen] == ["ada"] * 3


async def test_a_token_revoked_between_two_requests_of_a_connection_opens_nothing(
    house: House,
) -> None:
    async with serving(house) as port, Line(port) as line:
        assert [(await line.post())[0] for _ in range(2)] == [200, 200]
        house.authenticator.revoked.add("ada")
        assert [(await line.post())[0] for _ in range(2)] == [401, 401]
    assert len(house.gate.seen) == 2


async def test_a_token_refused_at_first_is_read_anew_each_time(house: House) -> None:
    house.authenticator.revoked.add("ada")
    async with serving(house) as port, Line(port) as line:
        assert [(await line.post())[0] for _ in range(3)] == [401] * 3
        house.authenticator.revoked.clear()
        assert [(await line.post())[0] for _ in range(2)] == [200, 200]


async def test_each_caller_is_known_by_the_bytes_of_its_own_head(house: House) -> None:
    async with serving(house) as port, Line(port) as line, Line(port) as other:
        for _ in range(3):
            assert (await line.post())[0] == 200
            assert (await line.post(Authorization="Bearer bob"))[0] == 200
            assert (await other.post(Authorization="Bearer eve"))[0] == 200
    assert [asked.caller.agent for asked in house.gate.seen] == ["ada", "bob", "eve"] * 3


async def test_a_connection_is_whose_request_is_on_it_also_by_a_head_that_is_known(
    house: House,
) -> None:
    places = Places()
    async with serving(house, places) as port, Line(port) as line:
        for _ in range(3):
            for name in ("ada", "bob"):
                assert (await line.post(Authorization=f"Bearer {name}"))[0] == 200
                assert list(places._owned) == [f"agent {name}"]
        (place,) = places._owned["agent bob"]
        place.seat_person("eve")
        assert (await line.post())[0] == 200
        assert list(places._owned) == ["agent ada"]


async def test_a_server_that_is_gone_is_not_found_and_found_when_it_is_back(house: House) -> None:
    there = house.servers["fs"]
    call = modern("tools/call", name="read", arguments={})
    async with serving(house) as port, Line(port) as line:
        for known, status in ((True, 200), (True, 200), (False, 404), (True, 200)):
            house.servers.clear()
            house.servers.update({"fs": there} if known else {})
            assert (await line.post(call, "/mcp/fs", said=call))[0] == status


async def test_a_body_must_say_what_its_known_head_says(house: House) -> None:
    async with serving(house) as port, Line(port) as line:
        assert [(await line.post())[0] for _ in range(2)] == [200, 200]
        for other in (
            modern("tools/list"),
            modern("tools/call", name="fs/write", arguments={}),
            {**CALL, "params": {**CALL["params"], "_meta": {}}},
        ):
            status, answer = await line.post(other)
            assert status == 400
            assert "error" in answer
        assert (await line.post())[0] == 200
    assert len(house.gate.seen) == 3


async def test_the_length_of_each_body_is_its_own(house: House) -> None:
    async with serving(house) as port, Line(port) as line:
        assert [(await line.post())[0] for _ in range(2)] == [200, 200]
        status, answer = await line.post(length=4097)
        assert (status, answer["error"]) == (413, "body_too_large")
        assert await line.reader.read() == b""


async def test_limits_at_once_hold_for_repeated_heads(house: House) -> None:
    async with serving(house) as port, Line(port) as line:
        assert [(await line.post())[0] for _ in range(3)] == [200] * 3
        house.edge._core.in_flight["ada|ada-work"] = Limits().in_flight_per_caller
        assert (await line.post())[0] == 429


async def test_a_repeated_head_names_the_run_that_its_first_request_named(house: House) -> None:
    named = modern("tools/call", name="fs/read", arguments={}, meta={"agent-session-id": "s2"})
    said: list[tuple[Any, dict[str, Any]]] = [
        (CALL, {}),
        (CALL, {"agent-session-id": "s1"}),
        (named, {}),
        (named, {"agent-session-id": "s1"}),
        (CALL, {"Authorization": "Bearer bob"}),
    ]
    async with serving(house) as port, Line(port) as line:
        for message, fields in said:
            assert [(await line.post(message, **fields))[0] for _ in range(3)] == [200] * 3
    keys = [asked.run_key for asked in house.gate.seen]
    token, header, meta, both, bob = keys[::3]
    assert keys == [key for key in (token, header, meta, both, bob) for _ in range(3)]
    assert len({token, header, meta, bob}) == 4
    assert both == header


async def test_whoever_a_renewed_token_stands_for_is_asked_for_its_own_run(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Caller("ada", "ada-work", "owner", "jti-first", 10**15)
    monkeypatch.setattr(house.authenticator, "renew", lambda _: now)
    async with serving(house) as port, Line(port) as line:
        assert [(await line.post())[0] for _ in range(2)] == [200, 200]
        now = Caller("ada", "ada-work", "owner", "jti-second", 10**15)
        assert (await line.post())[0] == 200
    first, again, second = [(asked.caller.token, asked.run_key) for asked in house.gate.seen]
    assert first == again == ("jti-first", "token:jti-first")
    assert second == ("jti-second", "token:jti-second")


HELLO: Any = legacy(
    "initialize",
    protocolVersion="2025-11-25",
    capabilities={},
    clientInfo={"name": "test", "version": "1"},
)


async def test_a_head_that_names_no_era_is_of_the_era_of_each_body(house: House) -> None:
    bodies = [HELLO, CALL, HELLO, modern("tools/list"), HELLO]
    async with serving(house) as port:
        fresh = []
        for body in bodies:
            async with Line(port) as line:
                fresh.append(await line.post(body, said=None))
        async with Line(port) as line:
            assert [await line.post(body, said=None) for body in bodies] == fresh
            assert b"mcp-session-id: " in line.begun
    assert [status for status, _ in fresh] == [200, 400, 200, 400, 200]
    assert house.gate.seen == []


async def test_a_session_is_looked_for_with_each_request_that_names_it(house: House) -> None:
    ping = legacy("ping")
    async with serving(house) as port, Line(port) as line, Line(port) as other:
        assert (await line.post(HELLO, said=None))[0] == 200
        session = line.begun.partition(b"mcp-session-id: ")[2].partition(b"\r")[0].decode()
        own: Any = {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
        for _ in range(3):
            assert (await line.post(ping, said=None, **own))[0] == 200
            assert (await other.post(ping, said=None, **own, Authorization="Bearer bob"))[0] == 404
            assert (await line.post(ping, "/mcp/fs", said=None, **own))[0] == 404
        house.edge._legacy.close()
        for _ in range(2):
            assert (await line.post(ping, said=None, **own))[0] == 404
