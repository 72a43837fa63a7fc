"""Model servers and aliases that are taken away while a request is on its way to them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bailiwick.core.errors import UpstreamDown
from bailiwick.gateway.gate import Answer, Asked, Dispatch, OnTick, Refused
from bailiwick.gateway.llm.aliases import Alias, Candidate
from bailiwick.gateway.llm.edge import LlmEdge
from bailiwick.gateway.llm.servers import ModelServers, ModelSpec
from bailiwick.testing.clock import StoppedClock
from bailiwick.testing.mcp.fakes import FakeAuthenticator, FakeGate

FIRST, SECOND = Candidate("one", "m"), Candidate("two", "m")
ALIAS = Alias("assistant", ((FIRST,), (SECOND,)))


@pytest.fixture
def closed() -> Iterator[str]:
    """Where every connection is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class _Door:
    def __init__(self, *specs: ModelSpec) -> None:
        self.gate, self.models = FakeGate(), ModelServers()
        self.models.apply(specs, [ALIAS])
        self.edge = LlmEdge(
            gate=self.gate,
            authenticator=FakeAuthenticator(),
            models=self.models,
            hosts=("127.0.0.1",),
            clock=StoppedClock(),
        )

    async def ask(self, model: str) -> tuple[int, str]:
        """The status of the answer, and its code."""
        text = json.dumps({"model": model, "messages": []}).encode()
        got: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": text, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            got.append(message)

        headers = [
            (b"host", b"127.0.0.1"),
            (b"authorization", b"Bearer clerk"),
            (b"content-type", b"application/json"),
        ]
        scope = {
            "method": "POST",
            "path": "/v1/chat/completions",
            "query_string": b"",
            "headers": headers,
        }
        await self.edge(scope, receive, send)
        told = json.loads(b"".join(each.get("body", b"") for each in got))
        return got[0]["status"], told["error"]["code"]


def _spec(name: str, url: str, dialect: str = "chat") -> ModelSpec:
    return ModelSpec(name, url, frozenset({dialect}), ("m",))


async def test_a_substitute_that_was_taken_away_meanwhile_is_not_asked(closed: str) -> None:
    door = _Door(_spec("one", closed), _spec("two", closed))

    async def first(asked: Asked, dispatch: Dispatch, on_tick: OnTick) -> Answer:
        with pytest.raises(UpstreamDown):
            await dispatch()
        door.models.apply([], [])
        return Refused("call-1", "upstream_down", "nothing was done")

    door.gate.on["one/m"] = first
    assert await door.ask("assistant") == (503, "upstream_down")
    assert [str(asked.target) for asked in door.gate.seen] == ["one/m"]
    assert await door.ask("assistant") == (404, "model_unknown")


async def test_an_alias_none_of_whose_servers_is_there_means_nothing() -> None:
    door = _Door()
    assert await door.ask("assistant") == (404, "model_unknown")
    assert door.gate.seen == []


async def test_what_no_server_of_an_alias_speaks_is_refused_as_a_call_of_one_that_is_there(
    closed: str,
) -> None:
    door = _Door(_spec("two", closed, "messages"))
    assert await door.ask("assistant") == (400, "dialect_not_spoken")
    assert [str(asked.target) for asked in door.gate.seen] == ["two/m"]


async def test_a_name_is_looked_up_among_the_servers_that_there_are_now(closed: str) -> None:
    door = _Door(_spec("one", closed))
    door.gate.denied |= {"one/m", "two/m"}
    for server in ("one", "two", "one"):
        door.models.apply([_spec(server, closed)])
        assert await door.ask("m") == (403, "not_in_mandate")
        assert str(door.gate.seen[-1].target) == f"{server}/m"
    door.models.apply([_spec("one", closed), _spec("two", closed)])
    assert await door.ask("m") == (400, "model_ambiguous")
    door.models.apply([])
    assert await door.ask("m") == (404, "model_unknown")
