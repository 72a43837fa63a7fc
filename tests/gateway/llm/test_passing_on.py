"""How a stream goes on to the agent: at once, and in one write what came together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from bailiwick.core.call import ModelUse
from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.http.response import BodyStream, Response
from bailiwick.gateway.llm.call import ModelCall
from bailiwick.gateway.llm.servers import ModelServer, ModelSpec
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.requests import read_request

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
