"""How a stream goes on to the agent: at once, and in one write what came together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from bailiwick.core.call import ModelUse
from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.gate import GoneMidway
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.stream import BodyStream
from bailiwick.gateway.llm.call import ModelCall
from bailiwick.gateway.llm.servers import ModelServer, ModelSpec
from bailiwick.ports import UpstreamReply
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.requests import read_request
from bailiwick.testing.mcp.waiting import turns

BODY: JsonObject = {
    "model": "m",
    "messages": [{"role": "user", "content": "hello"}],
    "stream": True,
}


class _Source:
    """The connection behind a stream that nobody reads from a socket."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def drain(self) -> None: ...
    def abort(self) -> None: ...
    def set_idle_seconds(self, seconds: float) -> None: ...


class _Server:
    """A model server that answers with one stream."""

    spec = ModelSpec("engine", "http://127.0.0.1:1", frozenset({"chat"}), ("*",))

    def __init__(self) -> None:
        self.stream = BodyStream(_Source())

    def tells_its_key(self, said: bytes) -> bool:
        return False

    def begins_its_key(self, said: bytes) -> int:
        return 0

    async def send(self, *_: object) -> Response:
        response = Response(200, {b"content-type": b"text/event-stream"})
        response.stream = self.stream
        return response


class _Client:
    """What the agent gets, write by write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.news = asyncio.Event()

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            self.writes.append(message["body"])
            self.news.set()


def _call(client: _Client, server: _Server, use: ModelUse | None = None) -> ModelCall:
    asking = read_request(Dialect.CHAT, BODY)
    model = cast(ModelServer, server)
    return ModelCall(client.send, model, asking, "/v1/chat/completions", b"{}", (), (), use=use)


def _piece(word: str) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % word.encode()


END = b"data: [DONE]\n\n"


async def test_what_came_together_goes_on_in_one_write() -> None:
    client, server = _Client(), _Server()
    for word in ("one", "two", "three"):
        server.stream.push(_piece(word))
    server.stream.push(END)
    server.stream.end(None)
    call = _call(client, server)
    await call.dispatch()
    assert client.writes == [_piece("one") + _piece("two") + _piece("three")]
    await call.deliver("c")
    assert client.writes[1:] == [END]


async def test_a_piece_goes_on_before_the_next_has_come() -> None:
    client, server = _Client(), _Server()
    going = asyncio.create_task(_call(client, server).dispatch())
    for word in ("one", "two"):
        client.news.clear()
        server.stream.push(_piece(word))
        async with asyncio.timeout(5):
            await asyncio.wait_for(client.news.wait(), 10)
        assert client.writes[-1] == _piece(word)
    server.stream.push(END)
    server.stream.end(None)
    await going
    assert len(client.writes) == 2


async def test_no_write_grows_without_bound() -> None:
    client, server = _Client(), _Server()
    for _ in range(600):
        server.stream.push(_piece("x"))
    server.stream.push(END)
    server.stream.end(None)
    await _call(client, server).dispatch()
    assert b"".join(client.writes) == _piece("x") * 600
    assert max(map(len, client.writes)) == 256 * len(_piece("x"))


async def test_pieces_before_the_one_that_is_too_much_go_on_though_they_came_with_it() -> None:
    client, server = _Client(), _Server()
    counted = b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\n'
    for piece in (_piece("one"), _piece("two"), counted):
        server.stream.push(piece)
    server.stream.end(None)
    call = _call(client, server, ModelUse({"output_tokens": 2}, "m"))
    await call.dispatch()
    assert call.broken is not None
    assert client.writes == [_piece("one") + _piece("two")]


class _OurServer:
    """Our own server's `send`: it writes a piece while nobody waits, or says that it can't."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.at_once: list[bytes] = []
        self.full = False

    async def __call__(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            self.writes.append(message["body"])
            self.full = False

    def piece(self, data: bytes) -> bool:
        if self.full:
            return False
        self.writes.append(data)
        self.at_once.append(data)
        return True


async def _begun(
    ours: _OurServer, server: _Server, use: ModelUse | None = None
) -> tuple[ModelCall, asyncio.Task[UpstreamReply]]:
    """A call whose reader waits for the first piece."""
    asking = read_request(Dialect.CHAT, BODY)
    model = cast(ModelServer, server)
    call = ModelCall(ours, model, asking, "/v1/chat/completions", b"{}", (), (), use=use)
    going = asyncio.create_task(call.dispatch())
    await turns()
    return call, going


async def test_a_piece_goes_on_where_it_arrives_and_nobody_is_woken() -> None:
    ours, server = _OurServer(), _Server()
    call, going = await _begun(ours, server)
    for word in ("one", "two"):
        server.stream.push(_piece(word))
        assert ours.writes[-1] == _piece(word), "before anything else had its turn"
    server.stream.push(END)
    server.stream.end(None)
    heard = await going
    await call.deliver("c")
    assert ours.writes == [_piece("one"), _piece("two"), END]
    assert b"onetwo" in heard.said


async def test_order_stays_while_the_client_cannot_take_more() -> None:
    ours, server = _OurServer(), _Server()
    _, going = await _begun(ours, server)
    server.stream.push(_piece("one"))
    ours.full = True
    for word in ("two", "three"):
        server.stream.push(_piece(word))
    assert ours.at_once == [_piece("one")]
    await turns()
    server.stream.push(_piece("four"))
    server.stream.push(END)
    server.stream.end(None)
    await going
    assert b"".join(ours.writes) == b"".join(map(_piece, ("one", "two", "three", "four")))


async def test_what_a_model_asks_to_do_waits_for_the_record_where_it_arrives_too() -> None:
    ours, server = _OurServer(), _Server()
    call, going = await _begun(ours, server)
    asked = (
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t1","function":'
        b'{"name":"pay","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}\n\n'
    )
    server.stream.push(_piece("thinking"))
    server.stream.push(asked)
    assert ours.writes == [_piece("thinking")]
    server.stream.push(END)
    server.stream.end(None)
    await going
    assert ours.writes == [_piece("thinking")]
    await call.deliver("c")
    assert ours.writes[1:] == [asked + END]


async def test_what_is_too_much_does_not_go_on_where_it_arrives() -> None:
    ours, server = _OurServer(), _Server()
    call, going = await _begun(ours, server, ModelUse({"output_tokens": 2}, "m"))
    server.stream.push(_piece("one"))
    server.stream.push(b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\n')
    server.stream.push(_piece("more"))
    await going
    assert ours.writes == [_piece("one")]
    assert call.broken is not None
    assert call.broken.code == "output_above_bound"


async def test_a_server_that_tells_its_key_in_a_piece_is_broken_off_before_it_goes_on() -> None:
    ours, server = _OurServer(), _Server()
    server.tells_its_key = lambda said: b"sk-key" in said  # type: ignore[method-assign]
    call, going = await _begun(ours, server)
    server.stream.push(_piece("one"))
    server.stream.push(_piece("sk-key"))
    server.stream.push(_piece("two"))
    await going
    assert ours.writes == [_piece("one")]
    assert call.broken is not None
    assert call.broken.code == "upstream_garbage"


async def test_nothing_goes_on_to_a_client_that_left() -> None:
    ours, server = _OurServer(), _Server()
    _, going = await _begun(ours, server)
    server.stream.push(_piece("one"))
    going.cancel()
    server.stream.push(_piece("two"))
    with pytest.raises(GoneMidway):
        await going
    server.stream.push(_piece("three"))
    assert ours.writes == [_piece("one")]
