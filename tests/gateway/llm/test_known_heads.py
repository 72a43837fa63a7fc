"""What is remembered with a head says nothing of who may pass now, nor of another request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bailiwick.core.canonical import Json
from bailiwick.gateway.llm.edge import LlmEdge
from bailiwick.gateway.llm.servers import ModelServers, ModelSpec
from bailiwick.gateway.llm.visit import carried_of
from bailiwick.gateway.mcp.wire import Scope
from bailiwick.protocols.http_head import HEAD, Head
from bailiwick.protocols.http_place import PLACE, Place
from bailiwick.testing.clock import StoppedClock
from bailiwick.testing.mcp.fakes import FakeAuthenticator, FakeGate

HEADERS = [
    (b"host", b"127.0.0.1"),
    (b"authorization", b"Bearer clerk"),
    (b"content-type", b"application/json; charset=utf-8"),
    (b"anthropic-beta", b"context-1m-2025-08-07"),
    (b"agent-session-id", b"one"),
    (b"bailiwick-purpose", b"to pay"),
    (b"content-length", b"2"),
]
LENGTH_AT = len(HEADERS) - 1


def scope_of(
    head: Head | None, length: bytes = b"2", path: str = "/v1/chat/completions", query: bytes = b""
) -> Scope:
    fields = [*HEADERS[:LENGTH_AT], (b"content-length", length)]
    scope = {"method": "POST", "path": path, "query_string": query, "headers": fields}
    return scope if head is None else {**scope, HEAD: head}


class _Door:
    """One edge before a model server that nobody can reach, and a gate that allows it."""

    def __init__(self, hosts: tuple[str, ...] = ("127.0.0.1",)) -> None:
        self.gate, self.authenticator = FakeGate(), FakeAuthenticator()
        self.gate.denied.add("engine/m")
        models = ModelServers()
        models.apply([ModelSpec("engine", "http://127.0.0.1:1", frozenset({"chat"}), ("m",))])
        self.edge = LlmEdge(
            gate=self.gate,
            authenticator=self.authenticator,
            models=models,
            hosts=hosts,
            clock=StoppedClock(),
        )

    async def ask(
        self, head: Head | None, body: Json, length: int = -1, place: Place | None = None
    ) -> int:
        """The status of the answer."""
        text = json.dumps(body).encode()
        got: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": text, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            got.append(message)

        digits = b"%d" % (len(text) if length < 0 else length)
        scope = scope_of(head, digits)
        if place is not None:
            scope[PLACE] = place
        await self.edge(scope, receive, send)
        status: int = got[0]["status"]
        return status


BODY: Json = {"model": "m", "messages": []}


async def test_a_known_head_says_what_it_says_when_it_is_read_anew() -> None:
    door, head = _Door(), Head(LENGTH_AT)
    for known in (None, head, head, Head(LENGTH_AT), None):
        assert await door.ask(known, BODY) == 403
    first, *others = door.gate.seen
    assert first.said.purpose == "to pay"
    assert first.beside == {"anthropic-beta": "context-1m-2025-08-07"}
    assert all(other == first for other in others)
    assert list(head.derived) == [door.edge]


async def test_what_an_edge_has_read_is_for_no_other_edge() -> None:
    door, stricter, head = _Door(), _Door(hosts=("gateway.example",)), Head(LENGTH_AT)
    assert await door.ask(head, BODY) == 403
    assert stricter.gate.seen == []
    assert await stricter.ask(head, BODY) == 403
    assert stricter.gate.seen == [], "it was turned away for its host"


async def test_a_head_that_is_refused_is_not_kept() -> None:
    door, head = _Door(hosts=("gateway.example",)), Head(LENGTH_AT)
    assert await door.ask(head, BODY) == 403
    assert head.derived == {}


def test_what_goes_along_is_of_the_path_and_its_query() -> None:
    carried = carried_of(scope_of(None, path="/v1/messages/count_tokens", query=b"beta=true"))
    assert carried.path == "/v1/messages/count_tokens?beta=true"
    assert carried.counting
    assert carried.beside == {
        "anthropic-beta": "context-1m-2025-08-07",
        "path": "/v1/messages/count_tokens",
    }
    assert carried.betas == "context-1m-2025-08-07"
    assert (carried.session, carried.said.purpose) == ("one", "to pay")


async def test_each_request_with_a_known_head_is_let_in_by_itself() -> None:
    door, head = _Door(), Head(LENGTH_AT)
    assert await door.ask(head, BODY) == 403
    assert await door.ask(head, BODY) == 403
    assert [asked.run_key for asked in door.gate.seen] == ["agent-session-id:one@jti-clerk"] * 2
    door.authenticator.revoked.add("clerk")
    assert await door.ask(head, BODY) == 401
    assert len(door.gate.seen) == 2


async def test_the_length_of_a_body_is_that_of_its_own_request() -> None:
    door, head = _Door(), Head(LENGTH_AT)
    assert await door.ask(head, BODY) == 403
    assert await door.ask(head, BODY, length=10**9) == 413
    assert await door.ask(head, BODY) == 403


async def test_a_known_head_takes_the_place_for_its_agent_again_when_another_was_there() -> None:
    class Seat:
        agent = ""

        def __init__(self) -> None:
            self.seated: list[str] = []

        def seat_agent(self, name: str) -> bool:
            self.agent = name
            self.seated.append(name)
            return len(self.seated) < 3

        def seat_person(self, name: str) -> None:
            raise AssertionError("nobody showed who they are")

    door, head, seat = _Door(), Head(LENGTH_AT), Seat()
    assert [await door.ask(head, BODY, place=seat) for _ in range(2)] == [403, 403]
    assert seat.seated == ["clerk"]
    seat.agent = "other"
    assert await door.ask(head, BODY, place=seat) == 403
    seat.agent = ""
    assert await door.ask(head, BODY, place=seat) == 503
    assert seat.seated == ["clerk"] * 3
