"""The edge behind the real HTTP server: what disconnects and full buffers look like there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvicorn

from bailiwick.gateway.mcp.core import Limits
from bailiwick.ports import RequestPeer, UpstreamReply, UpstreamRequest
from bailiwick.testing.mcp.fakes import ADA, HOST, FakeUpstream
from bailiwick.testing.mcp.house import House, make_house
from bailiwick.testing.mcp.waiting import eventually, turns
from bailiwick.testing.mcp.wire import legacy, modern, routing_headers, tool

OK = UpstreamReply(result=b'{"resultType":"complete","content":[]}')
CALL: Any = {"id": 5, "name": "fs/read", "arguments": {}}
TOKEN: Any = {"progressToken": "t"}


class Server(uvicorn.Server):
    """Leaves the signals of the test run alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(house: House) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            house.edge, lifespan="off", log_config=None, access_log=False, http="httptools"
        )
        server = Server(config)
        task = asyncio.get_running_loop().create_task(server.serve(sockets=[listening]))
        await eventually(lambda: server.started)
        try:
            yield listening.getsockname()[1]
        finally:
            await house.edge.aclose()
            server.should_exit = True
            await task


class Line:
    """One raw connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Line:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def send(self, message: Any = None, method: str = "POST", **headers: str) -> None:
        body = b"" if message is None else json.dumps(message).encode()
        lines = {
            "Host": HOST,
            "Authorization": ADA,
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **routing_headers(message),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(f"{method} /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(5):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        status, *lines = raw.decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines if line)
        return int(status.split()[1]), {name.lower(): value for name, value in pairs}

    async def json(self) -> Any:
        _, headers = await self.head()
        return json.loads(await self.reader.readexactly(int(headers["content-length"])))

    async def until(self, mark: bytes) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readuntil(mark)


class Slow:
    """A tool that tells when it starts and when it is cancelled, and waits to be let go."""

    def __init__(self, **more: Any) -> None:
        self.server = FakeUpstream("fs", tools=[tool("read")], **more)
        self.server.handlers["tools/call"] = self._call
        self.started, self.go, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def _call(self, request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return OK


async def test_one_connection_serves_call_after_call() -> None:
    slow = Slow()
    slow.go.set()
    async with serving(make_house(slow.server)) as port, Line(port) as line:
        for number in range(3):
            await line.send(modern("tools/call", **{**CALL, "id": number}))
            assert (await line.json())["id"] == number


@pytest.mark.requirement("2026-07-28/disconnect-is-cancel")
async def test_a_closed_connection_cancels_a_stateless_call() -> None:
    slow = Slow()
    house = make_house(slow.server, limits=Limits(watch_seconds=0.001))
    async with serving(house) as port:
        async with Line(port) as line:
            await line.send(modern("tools/call", **CALL))
            await slow.started.wait()
        async with asyncio.timeout(5):
            await slow.cancelled.wait()
    assert house.edge._core.in_flight == {}


@pytest.mark.requirement("legacy/disconnect-is-not-cancel")
async def test_a_closed_connection_leaves_a_stateful_call_running() -> None:
    slow = Slow(version="2025-11-25")
    house = make_house(slow.server, limits=Limits(watch_seconds=0.001))
    hello = legacy("initialize", protocolVersion="2025-11-25", capabilities={})
    async with serving(house) as port:
        async with Line(port) as line:
            await line.send(hello)
            _, headers = await line.head()
            session = headers["mcp-session-id"]
        async with Line(port) as line:
            await line.send(legacy("tools/call", **CALL), mcp_session_id=session)
            await line.head()
            prime = (await line.until(b"retry")).split(b"id: ")[1].split(b"\n")[0].decode()
        await eventually(lambda: not any(s.attached for s in _streams(house)))
        slow.go.set()
        async with Line(port) as line:
            await line.send(method="GET", mcp_session_id=session, last_event_id=prime)
            status, _ = await line.head()
            rest = await line.until(b"]}}")
    assert status == 200
    assert b'"id":5' in rest
    assert not slow.cancelled.is_set()


def _streams(house: House) -> list[Any]:
    (session,) = house.edge._legacy._sessions
    return list(session.streams.values())


async def test_a_client_that_does_not_read_stops_its_server_before_memory_fills() -> None:
    server = FakeUpstream("fs", tools=[tool("read")])
    sent = 0
    over = asyncio.Event()

    async def flood(request: UpstreamRequest, peer: RequestPeer) -> UpstreamReply:
        nonlocal sent
        message = {**TOKEN, "message": "x" * 50_000}
        try:
            while True:
                await peer.notify("notifications/progress", {**message, "progress": sent})
                sent += 1
        finally:
            over.set()

    server.handlers["tools/call"] = flood
    async with serving(make_house(server)) as port:
        async with Line(port) as line:
            await line.send(modern("tools/call", meta=TOKEN, **CALL))
            await line.until(b"progress")
            before = -1
            while before != sent:
                before = sent
                await turns(500)
            assert sent * 50_000 < 64 * 1024 * 1024
        async with asyncio.timeout(5):
            await over.wait()
