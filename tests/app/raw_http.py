"""A server of our protocol on uvloop, an application that does what the path says, a raw client."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import uvloop

from bailiwick.app.http_exchange import Scope
from bailiwick.app.http_places import Places
from bailiwick.app.http_protocol import HttpProtocol
from bailiwick.app.http_round import Round

WAIT_SECONDS = 10.0
HOST = b"Host: x\r\n"


class State:
    """What uvicorn's server shares with its connections."""

    def __init__(self) -> None:
        self.total_requests = 0
        self.connections: set[Any] = set()
        self.tasks: set[asyncio.Task[None]] = set()


class Application:
    """Does what the path says."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.released = threading.Event()
        self.disconnected = threading.Event()
        self.begun = threading.Event()
        self.sent_bytes = 0

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await getattr(self, "at_" + scope["path"].strip("/").partition("/")[0])(
            scope, receive, send
        )

    async def at_echo(self, scope: Scope, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.set()
                return
            body += message["body"]
            more = message["more_body"]
        told = json.dumps({"method": scope["method"], "body": body.decode("latin-1")}).encode()
        await answer(send, told)

    async def at_early(self, scope: Scope, receive: Any, send: Any) -> None:
        await answer(send, b"no need")

    async def at_last(self, scope: Scope, receive: Any, send: Any) -> None:
        await answer(send, b"bye", (b"connection", b"close"))

    async def at_stream(self, scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def at_nothing(self, scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def at_raise(self, scope: Scope, receive: Any, send: Any) -> None:
        raise ValueError("a secret")

    async def at_raiselate(self, scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("a secret")

    async def at_silent(self, scope: Scope, receive: Any, send: Any) -> None:
        return

    async def at_inject(self, scope: Scope, receive: Any, send: Any) -> None:
        name, value = json.loads(bytes.fromhex(scope["query_string"].decode()))
        await answer(send, b"ok", (name.encode("latin-1"), value.encode("latin-1")))

    async def at_shorter(self, scope: Scope, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"short"})

    async def at_held(self, scope: Scope, receive: Any, send: Any) -> None:
        self.begun.set()
        await asyncio.to_thread(self.released.wait, WAIT_SECONDS)
        await answer(send, b"released")

    async def at_gone(self, scope: Scope, receive: Any, send: Any) -> None:
        self.begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnected.set()

    async def at_unread(self, scope: Scope, receive: Any, send: Any) -> None:
        self.begun.set()
        await asyncio.to_thread(self.released.wait, WAIT_SECONDS)
        await self.at_echo(scope, receive, send)

    async def at_flood(self, scope: Scope, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        piece = b"z" * 65536
        while True:
            self.sent_bytes += len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
            if self.disconnected.is_set():
                return


async def answer(send: Any, body: bytes, *extra: tuple[bytes, bytes]) -> None:
    headers = [(b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class House:
    """A server on uvloop in a thread of its own."""

    def __init__(self, places: Places | None = None) -> None:
        self.places = places or Places()
        self.app = Application()
        self.state = State()
        self.round = Round()
        self.port = 0
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        started = threading.Event()
        self._thread = threading.Thread(target=uvloop.run, args=(self._serve(started),))
        self._thread.start()
        assert started.wait(WAIT_SECONDS)

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await self._loop.create_server(
            lambda: HttpProtocol(self.app, self.state, self.round, self.places),
            "127.0.0.1",
            0,
            backlog=2_048,
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._end.wait()
        server.close()
        for connection in tuple(self.state.connections):
            connection._transport.abort()
        for task in tuple(self.state.tasks):
            task.cancel()
        await asyncio.gather(*self.state.tasks, return_exceptions=True)

    def close(self) -> None:
        self.app.released.set()
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def within(self, do: Callable[[], Any]) -> Any:
        """Run something on the server's loop and wait for it."""
        done: Future[Any] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(do()))
        return done.result(WAIT_SECONDS)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds on the server's loop."""

        async def watch() -> None:
            async with asyncio.timeout(WAIT_SECONDS):
                while not holds():  # noqa: ASYNC110  # what it waits for sets no event
                    await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(watch(), self._loop).result(WAIT_SECONDS + 1)

    def later(self, seconds: float) -> None:
        """Let the round look as if `seconds` had passed."""

        def look() -> None:
            for connection in tuple(self.state.connections):
                connection.look(self._loop.time() + seconds)

        self.within(look)

    def connect(self) -> Client:
        return Client(socket.create_connection(("127.0.0.1", self.port), WAIT_SECONDS))


class Client:
    """A raw socket and what it has read."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def rest(self) -> bytes:
        """All until the server closes."""
        read, self._buffer = self._buffer, b""
        while piece := self._receive():
            read += piece
        return read

    def head(self) -> tuple[int, dict[bytes, bytes]]:
        """Status and fields of the next response; none may stand twice."""
        while b"\r\n\r\n" not in self._buffer:
            piece = self._receive()
            assert piece, f"closed after {self._buffer!r}"
            self._buffer += piece
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        pairs = [(name, value) for name, _, value in (f.partition(b": ") for f in fields)]
        assert len({name for name, _ in pairs}) == len(pairs)
        return int(line.split(b" ")[1]), dict(pairs)

    def response(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """The next response, which declares its length."""
        status, fields = self.head()
        return status, fields, self.exactly(int(fields[b"content-length"]))

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            piece = self._receive()
            assert piece, "closed within a body"
            self._buffer += piece
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return body

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""


def get(path: bytes, *fields: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, b"".join(f + b"\r\n" for f in fields))


def post(path: bytes, body: bytes, *fields: bytes) -> bytes:
    lines = b"".join(f + b"\r\n" for f in fields)
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n%b\r\n%b" % (
        path, HOST, len(body), lines, body,
    )  # fmt: skip


def body_of(response: tuple[int, dict[bytes, bytes], bytes]) -> str:
    assert response[0] == 200, response
    return str(json.loads(response[2])["body"])
