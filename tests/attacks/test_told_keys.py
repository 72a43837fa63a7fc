"""The gateway's own key, told back by a model server in pieces of a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.http.stream import BodyStream
from bailiwick.gateway.llm.call import ModelCall
from bailiwick.gateway.llm.servers import ModelServer, ModelSpec
from bailiwick.ports import UpstreamReply
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.llm.requests import read_request

KEY = "sk-sk-upstream-secret-key"
SECOND = "another-secret-of-the-gateway"
FIELDS = {"Authorization": f"Bearer {KEY}", "X-Api-Key": SECOND}
SPEC = ModelSpec("engine", "http://127.0.0.1:1", frozenset({"chat"}), ("*",), FIELDS)
DONE = b"data: [DONE]\n\n"
BODY: JsonObject = {"model": "m", "messages": [], "stream": True}


def piece(content: str) -> bytes:
    delta = {"index": 0, "delta": {"content": content}}
    return b"data: " + json.dumps({"choices": [delta]}).encode() + b"\n\n"


THOUGHT = piece("hello")


class _Source:
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def drain(self) -> None: ...
    def abort(self) -> None: ...
    def set_idle_seconds(self, seconds: float) -> None: ...


class _Server(ModelServer):
    """Sends its stream in these pieces, without a network."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__(SPEC)
        self._pieces = pieces

    async def send(self, *_: object) -> Response:
        stream = BodyStream(_Source())
        for piece in self._pieces:
            stream.push(piece)
        stream.end(None)
        response = Response(200, {b"content-type": b"text/event-stream"})
        response.stream = stream
        return response


class _Client:
    def __init__(self) -> None:
        self.got = b""

    async def __call__(self, message: Mapping[str, Any]) -> None:
        self.got += message.get("body", b"")


async def _asked(*pieces: bytes) -> tuple[ModelCall, UpstreamReply, bytes]:
    client = _Client()
    asking = read_request(Dialect.CHAT, BODY)
    made = ModelCall(client, _Server(*pieces), asking, "/v1/chat/completions", b"{}", (), ())
    heard = await asyncio.wait_for(made.dispatch(), 10)
    if made.broken is None:
        await made.deliver("c")
    return made, heard, client.got


@example(KEY, [])
@example(KEY, [55, 3, 1])
@given(st.sampled_from([KEY, SECOND]), st.lists(st.integers(1, 70), max_size=12))
def test_a_key_that_is_told_in_pieces_stays_here(key: str, sizes: list[int]) -> None:
    rest = THOUGHT + piece(f"it is sk-sk-{key} as you know") + DONE
    pieces = []
    for size in [*sizes, len(rest)]:
        pieces.append(rest[:size])
        rest = rest[size:]
    made, heard, got = asyncio.run(_asked(*filter(None, pieces)))
    assert made.broken is not None
    assert "told the key" in made.broken.message
    for seen in (got, heard.error or b"", heard.said):
        assert key[6:12].encode() not in seen


@given(st.lists(st.integers(1, 70), max_size=12))
def test_what_only_begins_like_the_key_goes_on_whole(sizes: list[int]) -> None:
    whole = THOUGHT + piece(f"s sk sk-sk-sk {KEY[:-1]}? {SECOND[:-1]}") + DONE
    for stream in (whole, whole.removesuffix(DONE) + b": " + KEY[:-1].encode()):
        rest, pieces = stream, []
        for size in [*sizes, len(stream)]:
            pieces.append(rest[:size])
            rest = rest[size:]
        made, heard, got = asyncio.run(_asked(*filter(None, pieces)))
        assert made.broken is None
        assert got == stream
        assert json.loads(heard.result or b"")["events"] == stream.decode()


@pytest.mark.parametrize("last", [b"", b"s", b"xs", b"sk-", b"sk-sk-", b"sk-sk-sk-up", b"sk-x"])
def test_a_server_knows_where_its_key_may_begin(last: bytes) -> None:
    server = ModelServer(SPEC)
    key = KEY.encode()
    longest = max((n for n in range(len(key)) if n and last.endswith(key[:n])), default=0)
    assert server.begins_its_key(last) == longest
    assert server.begins_its_key(b"x" * 99 + last) == longest


def test_a_key_behind_the_end_in_pieces_stays_here() -> None:
    key = KEY.encode()
    made, heard, got = asyncio.run(_asked(THOUGHT, DONE, b": " + key[:9], key[9:] + b"\n\n"))
    assert made.broken is not None
    assert key[:9] not in got + (heard.error or b"") + heard.said
