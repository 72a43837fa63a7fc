"""What an agent had got when it hung up, or read no further, is in the reply that is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.gate import GoneMidway
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.stream import BodyStream
from bailiwick.gateway.llm.call import ModelCall
from bailiwick.gateway.llm.servers import ModelServer, ModelSpec
from bailiwick.gateway.mcp.wire import ClientGone
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.kept import read_kept
from bailiwick.protocols.llm.requests import read_request

BODY: JsonObject = {"model": "m", "messages": [], "stream": True}
THOUGHT = b'data: {"choices":[{"index":0,"delta":{"reasoning":"I had better not."}}]}\n\n'


class _Source:
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def drain(self) -> None: ...
    def abort(self) -> None: ...
    def set_idle_seconds(self, seconds: float) -> None: ...


class _Server:
    spec = ModelSpec("engine", "http://127.0.0.1:1", frozenset({"chat"}), ("*",))

    def __init__(self) -> None:
        self.stream = BodyStream(_Source())
        self.stream.push(THOUGHT)

    def tells_its_key(self, said: bytes) -> bool:
        return False

    def begins_its_key(self, said: bytes) -> int:
        return 0

    async def send(self, *_: object) -> Response:
        response = Response(200, {b"content-type": b"text/event-stream"})
        response.stream = self.stream
        return response


class _Client:
    """Takes the beginning of a response, and then what a test says happens."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.got = asyncio.Event()

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            self.got.set()
            if self.error is not None:
                raise self.error


def _call(client: _Client) -> ModelCall:
    asking = read_request(Dialect.CHAT, BODY)
    server = cast(ModelServer, _Server())
    return ModelCall(client.send, server, asking, "/v1/chat/completions", b"{}", (), ())


def _thoughts(said: bytes) -> list[str]:
    found = read_kept(said)
    assert found is not None
    return [piece.text for piece in found.reasoning]


async def test_hanging_up_in_the_middle_leaves_what_was_got() -> None:
    client = _Client()
    going = asyncio.create_task(_call(client).dispatch())
    await asyncio.wait_for(client.got.wait(), 10)
    going.cancel()
    with pytest.raises(GoneMidway) as gone:
        await going
    assert _thoughts(gone.value.reply.said) == ["I had better not."]
    assert gone.value.reply.error is not None
    assert b"the client went away" in gone.value.reply.error
    # Whoever waits for the call sees nothing but a cancellation.
    assert going.cancelled()


@pytest.mark.parametrize("error", [TimeoutError(), ClientGone()])
async def test_reading_no_further_leaves_what_was_sent(error: Exception) -> None:
    call = _call(_Client(error))
    reply = await call.dispatch()
    assert _thoughts(reply.said) == ["I had better not."]
    assert call.broken is not None
    assert call.broken.code == "client_stalled"


class _Full:
    """The `send` of our own server, of a client that takes the head and reads nothing after it."""

    def piece(self, data: bytes) -> bool:
        return False

    async def __call__(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()


async def test_a_client_that_is_waited_for_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bailiwick.gateway.llm.call.STALL_SECONDS", 0.01)
    asking = read_request(Dialect.CHAT, BODY)
    server = cast(ModelServer, _Server())
    call = ModelCall(_Full(), server, asking, "/v1/chat/completions", b"{}", (), ())
    reply = await asyncio.wait_for(call.dispatch(), 10)
    assert _thoughts(reply.said) == ["I had better not."]
    assert call.broken is not None
    assert call.broken.code == "client_stalled"
