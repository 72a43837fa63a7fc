"""When the head of a streamed response is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bailiwick.app.http_exchange import AsgiMessage, Exchange

HEAD = b"HTTP/1.1 200 OK\r\n"
FRAMED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}
SCOPE = {"type": "http", "method": "GET", "http_version": "1.1"}


class _Peer:
    """The connection: what is written, in order, and when it ended."""

    write_paused = False

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def head(self, status: int) -> bytes:
        return HEAD

    def write(self, data: bytes) -> None:
        self.written.append(data)

    async def drain(self) -> None: ...
    def body_taken(self) -> None: ...
    def answered(self, exchange: Exchange) -> None: ...

    def ended(self, exchange: Exchange) -> None:
        self.written.append(b"ended")


Send = Callable[[AsgiMessage], Awaitable[None]]


async def _served(app: Callable[[Send], Awaitable[None]], gone: bool = False) -> list[bytes]:
    async def asgi(scope: Any, receive: Any, send: Send) -> None:
        await app(send)

    peer = _Peer()
    exchange = Exchange(peer, SCOPE, closes=False, expects_continue=False)
    exchange.gone = gone
    await exchange.run(asgi)
    await _turn()
    return peer.written


async def _turn() -> None:
    """One turn of the loop and the next."""
    for _ in range(2):
        await asyncio.sleep(0)


def _piece(body: bytes, more: bool = True) -> AsgiMessage:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_a_piece_that_follows_at_once_goes_with_the_head() -> None:
    async def app(send: Send) -> None:
        await send(START)
        await send(_piece(b"one"))
        await send(_piece(b"two", more=False))

    written = await _served(app)
    assert written == [FRAMED + b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n", b"ended"]


async def test_a_head_waits_no_longer_than_a_turn_of_the_loop() -> None:
    async def app(send: Send) -> None:
        await send(START)
        await _turn()
        await send(_piece(b"one", more=False))

    assert await _served(app) == [FRAMED, b"3\r\none\r\n0\r\n\r\n", b"ended"]


async def test_a_large_first_piece_is_not_copied_to_the_head() -> None:
    large = b"x" * 70_000

    async def app(send: Send) -> None:
        await send(START)
        await send(_piece(large, more=False))

    written = await _served(app)
    assert written[0] == FRAMED
    assert large in written[1]


@pytest.mark.parametrize("gone", [False, True])
async def test_what_was_begun_is_told_before_a_failure_ends_it_unless_nobody_reads(
    gone: bool,
) -> None:
    async def app(send: Send) -> None:
        await send(START)
        raise ConnectionResetError

    assert await _served(app, gone) == ([b"ended"] if gone else [FRAMED, b"ended"])
