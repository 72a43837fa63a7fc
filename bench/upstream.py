"""A very fast MCP server: the fixed point that every target of the benchmark talks to.

Speaks 2026-07-28 and 2025-11-25 over streamable HTTP with plain JSON answers. It trusts its
clients (it is only ever bound to loopback) and reads a request's head once: clients of the
benchmark send the same head again and again. `GET /count` says how many tool calls reached it,
which is how the benchmark knows that a target did not answer by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
from dataclasses import dataclass
from typing import cast

import msgspec
import uvloop

from bench.wire import LEGACY, MARKER, MODERN, TOOL_DEFINITION, read_chunked

_SERVER_INFO = {"name": "fast", "version": "1"}
_TEXT = MARKER.decode() + ": " + ", ".join(f"line {n:02d} EUR 1250.00" for n in range(12))
_HEADS_KEPT = 512


class _Request(msgspec.Struct):
    method: str = ""
    id: msgspec.Raw = msgspec.Raw(b"")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What matters of a request head. `length` is -1 for a chunked body."""

    verb: bytes
    path: bytes
    length: int
    legacy: bool
    close: bool


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _results() -> dict[tuple[str, bool], bytes]:
    """The result of each method, for the modern (False) and the legacy (True) era."""
    content = {"content": [{"type": "text", "text": _TEXT}], "isError": False}
    tools = {"tools": [TOOL_DEFINITION]}
    modern = {
        "resultType": "complete",
        "_meta": {"io.modelcontextprotocol/serverInfo": _SERVER_INFO},
    }
    fresh = {"ttlMs": 60_000, "cacheScope": "public"}
    can: dict[str, object] = {"tools": {}}
    discovered = {"supportedVersions": [MODERN], "capabilities": can}
    initialized = {
        "protocolVersion": LEGACY,
        "capabilities": can,
        "serverInfo": _SERVER_INFO,
    }
    return {
        ("tools/call", False): _compact(content | modern),
        ("tools/call", True): _compact(content),
        ("tools/list", False): _compact(tools | modern | fresh),
        ("tools/list", True): _compact(tools),
        ("server/discover", False): _compact(discovered | modern | fresh),
        ("initialize", True): _compact(initialized),
        ("initialize", False): _compact(initialized),
        ("ping", True): b"{}",
        ("ping", False): b"{}",
    }


_RESULTS = _results()
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_UNKNOWN = b'"error":{"code":-32601,"message":"method not found"}}'


class FastServer(asyncio.Protocol):
    """One connection."""

    calls = 0
    """`tools/call` requests seen by the whole process."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Request).decode
        self._heads: dict[bytes, RequestHead] = {}
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            raw = self._buffer[:end]
            head = self._heads.get(raw) or self._read_head(raw)
            body, rest = _cut_body(self._buffer, end + 4, head.length)
            if body is None:
                return
            self._buffer = rest
            assert self._transport is not None
            self._transport.write(self.answer(self._transport, head, body))
            if head.close:
                self._transport.close()
                return

    def _read_head(self, raw: bytes) -> RequestHead:
        first, *lines = raw.split(b"\r\n")
        verb, path, _ = first.split(b" ", 2)
        fields = {}
        for line in lines:
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        chunked = fields.get(b"transfer-encoding", b"").lower() == b"chunked"
        head = RequestHead(
            verb=verb,
            path=path,
            length=-1 if chunked else int(fields.get(b"content-length", b"0")),
            legacy=fields.get(b"mcp-protocol-version", b"") != MODERN.encode(),
            close=fields.get(b"connection", b"").lower() == b"close",
        )
        if len(self._heads) < _HEADS_KEPT:
            self._heads[raw] = head
        return head

    def answer(self, transport: asyncio.Transport, head: RequestHead, body: bytes) -> bytes:
        """What is written to the client now; more may follow on `transport`."""
        if head.verb == b"GET" and head.path == b"/count":
            return with_body(OK, b'{"calls":%d}' % FastServer.calls)
        if head.verb == b"DELETE":
            return with_body(OK, b"{}")
        if head.verb != b"POST":
            return b"HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n"
        request = self._decode(body)
        if not request.id:
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
        result = _RESULTS.get((request.method, head.legacy))
        if result is None:
            return with_body(OK, b'{"jsonrpc":"2.0","id":%b,' % request.id + _UNKNOWN)
        start = OK
        if request.method == "tools/call":
            FastServer.calls += 1
        elif request.method == "initialize":
            start += b"Mcp-Session-Id: " + secrets.token_hex(16).encode() + b"\r\n"
        return with_body(start, b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request.id, result))


def with_body(start: bytes, body: bytes) -> bytes:
    """A response of a head without its end, and a body."""
    return b"%bContent-Length: %d\r\n\r\n%b" % (start, len(body), body)


def _cut_body(data: bytes, start: int, length: int) -> tuple[bytes | None, bytes]:
    """Split a request's body off; None when it is not there in full yet."""
    if length >= 0:
        stop = start + length
        return (data[start:stop], data[stop:]) if len(data) >= stop else (None, data)
    chunked = read_chunked(data, start)
    return (None, data) if chunked is None else (chunked[0], data[chunked[1] :])


async def serve(port: int, protocol: type[FastServer] = FastServer) -> None:
    """Serve on 127.0.0.1 until cancelled; prints `listening PORT` once it is ready."""
    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", port, backlog=1024
    )
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(serve(parser.parse_args().port))
