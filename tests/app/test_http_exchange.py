"""When the head of a streamed response is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bailiwick.app.http_exchange import App, AsgiMessage, Exchange
from bailiwick.app.http_response import Fields, encode_constant
from bailiwick.app.http_worker import Worker

HEAD = b"HTTP/1.1 200 OK\r\n"
FRAMED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}
SCOPE = {"type": "http", "method": "GET", "http_version": "1.1"}


class _Peer:
    """The connection: what is written, in order, and when it ended."""

    write_paused = False

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def head(self, status: int, constant: Fields = ()) -> bytes:
        return HEAD + encode_constant(constant)

    def write(self, data: bytes) -> None:
        self.written.append(data)

    async def drain(self) -> None: ...
    def body_taken(self) -> None: ...
    def answered(self, exchange: Exchange) -> None: ...

    def left(self, exchange: Exchange) -> None:
        self.written.append(b"left")


Send = Callable[[AsgiMessage], Awaitable[None]]


async def _served(app: Callable[[Send], Awaitable[None]], gone: bool = False) -> list[bytes]:
    async def asgi(scope: Any, receive: Any, send: Send) -> None:
        await app(send)

    peer = _Peer()
    exchange = Exchange(peer, SCOPE)
    exchange.gone = gone
    await _run(asgi, exchange)
    await _turn()
    return peer.written


async def _run(app: App, exchange: Exchange) -> None:
    """Until the application has returned, or failed."""
    tasks: set[asyncio.Task[None]] = set()
    worker = Worker(app, tasks, exchange)
    worker.dismiss()
    await asyncio.wait(tasks)


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
    assert written == [FRAMED + b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n"]


async def test_a_head_waits_no_longer_than_a_turn_of_the_loop() -> None:
    async def app(send: Send) -> None:
        await send(START)
        await _turn()
        await send(_piece(b"one", more=False))

    assert await _served(app) == [FRAMED, b"3\r\none\r\n0\r\n\r\n"]


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

    assert await _served(app, gone) == ([b"left"] if gone else [FRAMED, b"left"])


# --- a whole response at once --------------------------------------------------------------------

STORE = (b"cache-control", b"no-store")
MORE = {
    "nothing": (),
    "a field": ((b"retry-after", b"1"),),
    "the end": ((b"connection", b"close"),),
    "a field of the connection": ((b"Date", b"never"),),
}


@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304, 429])
@pytest.mark.parametrize("body", [b"", b"{}"])
@pytest.mark.parametrize("expects", [False, True])
async def test_a_whole_response_is_what_its_two_messages_are(
    more: str, method: str, status: int, body: bytes, expects: bool
) -> None:
    async def in_two(scope: Any, receive: Any, send: Any) -> None:
        fields = [STORE, *MORE[more], (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    async def at_once(scope: Any, receive: Any, send: Any) -> None:
        send.whole(status, (STORE,), MORE[more], body)

    answers = []
    for app in (in_two, at_once):
        peer = _Peer()
        scope = {**SCOPE, "method": method}
        exchange = Exchange(peer, scope, expects_continue=expects)
        exchange.says_no_body = method == "HEAD"
        await _run(app, exchange)
        head, _, rest = b"".join(peer.written).partition(b"\r\n\r\n")
        answers.append((sorted(head.split(b"\r\n")), rest, exchange.complete, exchange.closes))
    assert answers[0] == answers[1]
    assert answers[0][3] is (expects or more == "the end")


async def test_a_large_whole_response_is_not_copied() -> None:
    large = b"x" * 70_000

    async def app(send: Any) -> None:
        send.whole(200, (STORE,), (), large)

    written = await _served(app)
    assert written[1] is large
    assert b"content-length: 70000\r\n" in written[0]


async def test_nobody_gets_a_whole_response_who_is_gone_or_has_one() -> None:
    async def app(send: Any) -> None:
        send.whole(200, (STORE,), (), b"one")
        send.whole(200, (STORE,), (), b"two")

    assert await _served(app, gone=True) == [b"left"]
    (said,) = await _served(app)
    assert said.endswith(b"\r\n\r\none")


@pytest.mark.parametrize(
    ("constant", "own"),
    [
        ((STORE,), ((b"x", b"a\r\nset-cookie: b"),)),
        ((STORE,), ((b"transfer-encoding", b"chunked"),)),
        ((STORE,), ((b"content-length", b"3"),)),
        (((b"content-length", b"3"),), ()),
        (((b"x\n", b"a"),), ()),
    ],
)
async def test_a_whole_response_says_nothing_that_two_messages_may_not(
    constant: Any, own: Any
) -> None:
    async def app(send: Any) -> None:
        send.whole(200, constant, own, b"one")

    assert await _served(app) == [b"left"]


# --- pieces at once ------------------------------------------------------------------------------

LENGTH = (b"content-length", b"6")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("fields", [[], [LENGTH]])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_piece_is_what_its_message_is(
    method: str, fields: list[tuple[bytes, bytes]], version: str, waits: bool
) -> None:
    pieces = [b"one", b"", b"two", b"three"][: 3 if fields else 4]

    async def serve(in_messages: bool) -> list[bytes]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({**START, "headers": fields})
            if waits:
                await _turn()
            for piece in pieces:
                if in_messages:
                    await send(_piece(piece))
                else:
                    assert send.piece(piece)
            await send(_piece(b"", more=False))

        peer = _Peer()
        scope = {**SCOPE, "method": method, "http_version": version}
        exchange = Exchange(peer, scope)
        exchange.says_no_body = method == "HEAD"
        await _run(app, exchange)
        return peer.written

    assert await serve(in_messages=False) == await serve(in_messages=True)


async def test_a_piece_is_not_taken_before_the_head_nor_while_the_peer_reads_slowly() -> None:
    peer = _Peer()
    exchange = Exchange(peer, SCOPE)
    assert not exchange.piece(b"one")
    await exchange(START)
    peer.write_paused = True
    assert not exchange.piece(b"one")
    peer.write_paused = False
    assert exchange.piece(b"one")
    assert peer.written == [FRAMED + b"3\r\none\r\n"]
    peer.write_paused = True
    exchange.leave()  # what is written to nobody is dropped at once
    assert exchange.piece(b"two")
    assert len(peer.written) == 1


async def test_a_piece_beyond_the_declared_length_is_not_written() -> None:
    peer = _Peer()
    exchange = Exchange(peer, SCOPE)
    await exchange({**START, "headers": [LENGTH]})
    with pytest.raises(RuntimeError):
        exchange.piece(b"too long")
    assert peer.written == []
