"""Each way to end a connection gives its place back: one lost in a thousand would end in none left.

On real sockets, many connections of each way, and then nothing is left of any of them: no place,
no owner, no address, no task, nothing that the round looks at.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bailiwick.app.http_exchange import Scope
from bailiwick.app.http_places import Places
from bailiwick.protocols.http_place import seat_person, seats_agent
from tests.app.raw_http import HOST, WAIT_SECONDS, Application, Client, House, get, post

MANY = 24
MOST = 64
AT_ONCE = 16
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2
HALF_HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Slow: "
HALF_BODY = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
LARGE = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n" + bytes(400_000)
CHUNKS = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
EXPECTING = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05"
)


class Owned(Application):
    """Its connections are an agent's, a person's, both in turn, or nobody's."""

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        number = len(self.scopes)
        if number % 4 == 1 and not seats_agent(scope, f"agent{number % 3}"):
            scope["path"] = "/last"
        if number % 4 == 2:
            seat_person(scope, f"person{number % 3}")
        if number % 8 == 3:
            seats_agent(scope, "clerk")
            seat_person(scope, "ada")
            seats_agent(scope, "clerk")
        await super().__call__(scope, receive, send)

    async def at_flood(self, scope: Scope, receive: Any, send: Any) -> None:
        """Until nobody reads it."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not send.gone:
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            await asyncio.sleep(0)


@pytest.fixture
def house() -> Iterator[House]:
    house = House(Places(MOST))
    house.app = Owned()
    yield house
    house.close()


def close(client: Client) -> None:
    client.socket.close()


def reset(client: Client) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


def half_close(client: Client) -> None:
    with contextlib.suppress(OSError):  # it may be gone already
        client.socket.shutdown(socket.SHUT_WR)
    client.rest()
    client.socket.close()


def read_out(client: Client) -> None:
    """Until the server ends it."""
    client.rest()
    client.socket.close()


def read_some(then: Callable[[Client], None]) -> Callable[[Client], None]:
    def do(client: Client) -> None:
        with contextlib.suppress(OSError):
            client.socket.recv(100)
        then(client)

    return do


WAYS: dict[str, tuple[bytes, Callable[[Client], None]]] = {
    "nothing, closed": (b"", close),
    "nothing, reset": (b"", reset),
    "nothing, half-closed": (b"", half_close),
    "empty lines, reset": (b"\r\n\r\n", reset),
    "half a head, closed": (HALF_HEAD, close),
    "half a head, reset": (HALF_HEAD, reset),
    "half a head, half-closed": (HALF_HEAD, half_close),
    "half a body, reset": (HALF_BODY, reset),
    "half a body, half-closed": (HALF_BODY, half_close),
    "a known head, half a body": (post(b"/echo", b"half") + HALF_BODY, reset),
    "a chunk, reset": (CHUNKS, reset),
    "a body nobody reads, reset": (LARGE, reset),
    "a body nobody reads, half-closed": (LARGE, close),
    "TLS": (HELLO, read_out),
    "TLS, reset": (HELLO, reset),
    "an upgrade": (UPGRADE, read_out),
    "an upgrade, reset": (UPGRADE, reset),
    "whole, closed": (post(b"/echo", b"{}"), read_some(close)),
    "whole, reset before it is answered": (post(b"/echo", b"{}"), reset),
    "whole, half-closed": (post(b"/echo", b"{}"), half_close),
    "the last of its connection": (post(b"/echo", b"{}", b"Connection: close"), read_out),
    "of HTTP/1.0": (b"GET /stream HTTP/1.0\r\nHost: x\r\n\r\n", read_out),
    "HEAD": (b"HEAD /echo HTTP/1.1\r\n" + HOST + b"\r\n", read_some(close)),
    "HEAD, half-closed": (b"HEAD /stream HTTP/1.1\r\n" + HOST + b"\r\n", half_close),
    "100-continue, no body": (EXPECTING % b"echo", read_some(reset)),
    "100-continue, answered early": (EXPECTING % b"early", read_out),
    "pipelined, reset": (post(b"/echo", b"{}") * 9, read_some(reset)),
    "pipelined, half-closed": (post(b"/echo", b"{}") * 9, half_close),
    "too many pipelined": (get(b"/stream") * 200, read_out),
    "pipelined behind one without end": (get(b"/flood") + get(b"/echo"), read_some(reset)),
    "pipelined behind garbage": (b"\0" + post(b"/echo", b"{}") * 3, read_out),
    "a stream, reset": (get(b"/flood"), read_some(reset)),
    "a stream, closed unread": (get(b"/flood"), close),
    "a stream that says nothing, reset": (get(b"/gone"), reset),
    "a stream that says nothing, closed": (get(b"/gone"), close),
    "an answer that fails": (get(b"/raise"), read_out),
    "an answer that fails late": (get(b"/raiselate"), read_out),
    "no answer": (get(b"/silent"), read_out),
    "an answer shorter than it said": (get(b"/shorter"), read_out),
    "refused": (b"GET / HTTP/1.1\r\n\r\n", read_out),
    "a head too long": (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, read_out),
}


def connected(house: House) -> Client:
    return Client(socket.create_connection(("127.0.0.1", house.port), WAIT_SECONDS))


def nothing_is_left(house: House) -> bool:
    places = house.places
    return not (
        places.taken
        or places._agents
        or places._strangers
        or places._crowds
        or places._owned
        or places._addresses
        or places._turned_away
        or house.state.connections
        or house.state.tasks
        or house.round._connections
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_place_comes_back_however_its_connection_ends(house: House, way: str) -> None:
    said, end = WAYS[way]
    for first in range(0, MANY, AT_ONCE):
        clients = [connected(house) for _ in range(min(AT_ONCE, MANY - first))]
        for client in clients:
            with contextlib.suppress(OSError):  # the server may have ended it by now
                client.send(said)
        for client in clients:
            end(client)
        house.app.released.set()
    house.until(lambda: nothing_is_left(house))
