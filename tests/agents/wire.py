"""What goes over the wire between an agent and the gateway: passed on and kept.

Every byte passes unchanged except the port in `Host`, as in any reverse proxy: the gateway answers
only to its own.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools

PIECE_BYTES = 65536
_HOST = re.compile(rb"(?i)^([A-Z]+ /\S* HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*?host: )[^\r\n]+")
"""The head of a request up to its host; a head comes in one piece here."""


@dataclass
class Message:
    """One HTTP request or response.

    Attributes:
        line: `POST /mcp` of a request, the status of a response.
        headers: names in lower case.
        at: when it began, and when each piece of its body came; seconds, monotonic.
    """

    line: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    at: list[float] = field(default_factory=list)
    complete: bool = False

    @property
    def rpc(self) -> dict[str, Any]:
        """The JSON-RPC message in the body; {} when there is none."""
        found: dict[str, Any] = json.loads(self.body) if self.body.startswith(b"{") else {}
        return found

    @property
    def method(self) -> str:
        """The JSON-RPC method; "" when there is none."""
        return str(self.rpc.get("method", ""))


@dataclass
class Exchange:
    """One request and its response."""

    request: Message
    response: Message


class _Messages:
    """What httptools calls while it reads one direction of a connection."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def on_message_begin(self) -> None:
        self.messages.append(Message(at=[time.monotonic()]))

    def on_header(self, name: bytes, value: bytes) -> None:
        self.messages[-1].headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body
        self.messages[-1].at.append(time.monotonic())

    def on_message_complete(self) -> None:
        self.messages[-1].complete = True


class _Requests(_Messages):
    """The agent's side."""

    def __init__(self) -> None:
        super().__init__()
        self.parser = httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.messages[-1].line += url.decode()

    def on_headers_complete(self) -> None:
        self.messages[-1].line = f"{self.parser.get_method().decode()} {self.messages[-1].line}"


class _Responses(_Messages):
    """The gateway's side."""

    def __init__(self) -> None:
        super().__init__()
        self.parser = httptools.HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        self.messages[-1].line = str(self.parser.get_status_code())


class Tap:
    """Stands before the gateway on a port of its own.

    Attributes:
        url: the root URL to give to an agent in the gateway's place.
    """

    def __init__(self, url: str, upstream: tuple[str, int]) -> None:
        self.url = url
        self._upstream = upstream
        self._host = b"\\g<1>%s:%d" % (upstream[0].encode(), upstream[1])
        self._connections: list[tuple[_Requests, _Responses]] = []
        self._noting = threading.Lock()

    def exchanges(self, method: str = "") -> list[Exchange]:
        """What went over it so far, oldest first; only this JSON-RPC method's, if one is given."""
        with self._noting:
            found = [
                Exchange(request, response)
                for asked, answered in self._connections
                for request, response in zip(
                    asked.messages,
                    answered.messages + [Message()] * len(asked.messages),
                    strict=False,
                )
            ]
        found.sort(key=lambda one: one.request.at[0])
        return [one for one in found if not method or one.request.method == method]

    def summary(self) -> str:
        """One line for each exchange with `/mcp`, for people."""
        return "\n".join(
            f"{one.request.line} {one.request.method} -> {one.response.line}"
            f" {one.response.body[:500]!r}"
            for one in self.exchanges()
            if one.request.line.endswith("/mcp")
        )

    def carry(self, agent: socket.socket) -> None:
        """Carry one connection until either side closes it."""
        asked, answered = _Requests(), _Responses()
        with self._noting:
            self._connections.append((asked, answered))
        with socket.create_connection(self._upstream) as gateway:
            back = threading.Thread(target=self._pump, args=(gateway, agent, answered))
            back.start()
            self._pump(agent, gateway, asked)
            back.join()

    def _pump(
        self, source: socket.socket, sink: socket.socket, side: _Requests | _Responses
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                with self._noting:
                    side.parser.feed_data(piece)
                sink.sendall(_HOST.sub(self._host, piece))
        # An end passes on to both sides, so that a client that leaves is seen to leave.
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def tapped(gateway_url: str) -> Iterator[Tap]:
    """A tap before the gateway, for as long as the block lasts."""
    address = urlsplit(gateway_url)
    assert address.hostname is not None
    assert address.port is not None

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            tap.carry(self.request)

    upstream = (address.hostname, address.port)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        tap = Tap(f"http://127.0.0.1:{server.server_address[1]}", upstream)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield tap
        finally:
            server.shutdown()
            serving.join()
