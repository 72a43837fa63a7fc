"""The floor of Python: `asyncio.Protocol` and httptools on both sides, uvloop below.

Reads HTTP, passes it on and back, with a pool of connections to the upstream. No framework, no
tasks, no limits, no checks: what no gateway that has them can reach.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import deque
from typing import cast

import httptools
import uvloop

_DROPPED = frozenset({b"authorization", b"host", b"connection", b"content-length", b"date"})
_DROPPED |= {b"transfer-encoding"}


class UpstreamConnection(asyncio.Protocol):
    """One keep-alive connection to the upstream; carries one exchange at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._headers: list[tuple[bytes, bytes]] = []
        self._front: FrontConnection | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def exchange(self, front: FrontConnection, request: bytes) -> None:
        self._front = front
        self._headers = []
        self._body = []
        assert self.transport is not None
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        front, self._front = self._front, None
        status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        self._pool.give_back(self)
        if front is not None:
            front.reply(status, self._headers, b"".join(self._body))

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        if self._front is not None:
            self._front.reply(502, [], b"upstream lost")


class Pool:
    """Idle connections to the upstream, the most recently used first."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[UpstreamConnection] = deque()

    def send(self, front: FrontConnection, request: bytes) -> None:
        if self._idle:
            self._idle.pop().exchange(front, request)
        else:
            task = asyncio.get_running_loop().create_task(self._open(front, request))
            front.opening = task

    async def _open(self, front: FrontConnection, request: bytes) -> None:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: UpstreamConnection(self), "127.0.0.1", self._port
        )
        connection.exchange(front, request)

    def give_back(self, connection: UpstreamConnection) -> None:
        self._idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)


class FrontConnection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser = httptools.HttpRequestParser(self)
        self._headers: list[bytes] = []
        self._body: list[bytes] = []
        self._path = b""
        self._transport: asyncio.Transport | None = None
        self.opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path = url
        self._headers = []
        self._body = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() not in _DROPPED:
            self._headers.append(name + b": " + value + b"\r\n")

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        head = b"%b %b HTTP/1.1\r\nHost: upstream\r\n" % (self._parser.get_method(), self._path)
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        self._pool.send(self, head + b"".join(self._headers) + length + body)

    def reply(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        lines = [b"HTTP/1.1 %d OK\r\n" % status]
        lines += [
            b"%b: %b\r\n" % (name, value) for name, value in headers if name.lower() not in _DROPPED
        ]
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(
                b"".join(lines) + b"Content-Length: %d\r\n\r\n" % len(body) + body
            )


async def serve(port: int, upstream_port: int) -> None:
    """Serve on 127.0.0.1 until cancelled."""
    pool = Pool(upstream_port)
    server = await asyncio.get_running_loop().create_server(
        lambda: FrontConnection(pool), "127.0.0.1", port, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream-port", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.upstream_port))
