"""The one call that everything is measured with, as bytes, in both eras of MCP.

A `tools/call` with a body of about 400 bytes (300 of them ours, the rest the envelope that the
2026-07-28 revision demands) that is answered with about 500. Each call carries its own number, as
JSON-RPC id and inside the arguments: no two calls of a run have the same digest, so no cache of
decisions or answers can flatter a target, and a reply given to the wrong caller is seen.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MODERN = "2026-07-28"
LEGACY = "2025-11-25"

TOOL = "lookup"
SERVER = "bank"
FIRST_NUMBER = 10_000_000
"""Numbers have eight digits for good, so that the length of a request never changes."""

MARKER = b"statement 4711 complete"
"""Stands in the upstream's answer only: a reply without it did not come from the upstream."""

Headers = tuple[tuple[str, str], ...]

_REFERENCE = "INV-NUMBER"
ARGUMENTS: dict[str, str | int] = {
    "account": "DE89370400440532013000",
    "reference": _REFERENCE,
    "amount_minor": 125_000,
    "currency": "EUR",
    "note": "third quarter",
}
TOOL_DEFINITION = {
    "name": TOOL,
    "description": "Look up one statement of an account.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "account": {"type": "string"},
            "reference": {"type": "string"},
            "amount_minor": {"type": "integer"},
            "currency": {"type": "string"},
            "note": {"type": "string"},
        },
        "required": ["account", "reference"],
    },
}
CLIENT = {"name": "bailiwick-bench", "version": "1"}


@dataclass(frozen=True, slots=True)
class CallTemplate:
    """One `tools/call` request but for its number: the bytes around the two places of it."""

    before: bytes
    between: bytes
    after: bytes

    def request(self, number: int) -> bytes:
        """The whole HTTP request of call `number` (eight digits)."""
        digits = b"%d" % number
        return self.before + digits + self.between + digits + self.after

    @property
    def body_bytes(self) -> int:
        """Length of the request body."""
        return len(self.request(FIRST_NUMBER).partition(b"\r\n\r\n")[2])


class Callee(Protocol):
    """Where and how a target wants to be called, whatever it speaks."""

    @property
    def port(self) -> int:
        """Of 127.0.0.1."""
        ...

    @property
    def pieces(self) -> int:
        """Least pieces of a streamed answer; 0 for answers that are not streamed."""
        ...

    def templates(self, connections: int) -> Sequence[CallTemplate]:
        """What the connections send, in turn."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how a target wants to be called.

    Attributes:
        headers: what the target needs besides those of MCP, such as a bearer token.
        era: the revision of MCP that is spoken, `MODERN` or `LEGACY`.
        tool: the name under which the target offers the upstream's tool.
        sessions: whether the legacy era opens a session for each connection.
    """

    port: int
    path: str = "/mcp"
    headers: Headers = ()
    era: str = MODERN
    tool: str = TOOL
    sessions: bool = True
    pieces: int = 0

    def template(self, session: str = "") -> CallTemplate:
        """The call for this endpoint."""
        body = json.dumps(_call_body(self.era, self.tool), separators=(",", ":"))
        number = str(FIRST_NUMBER)
        body = body.replace('"id":0,', f'"id":{number},').replace("NUMBER", number)
        headers = [*_headers(self.era, "tools/call", self.tool), *self.headers]
        if session:
            headers.append(("Mcp-Session-Id", session))
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}", "", body]
        before, between, after = "\r\n".join(lines).encode().split(number.encode())
        return CallTemplate(before, between, after)

    def templates(self, connections: int) -> tuple[CallTemplate, ...]:
        """One template for each connection; opens a legacy session where one is needed."""
        if self.era == MODERN or not self.sessions:
            return (self.template(),)
        return tuple(self.template(self.open_session()) for _ in range(connections))

    def open_session(self) -> str:
        """Initialize a session of the legacy era and return its id, or "" if none is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = dict([*_headers(self.era, "initialize", ""), *self.headers])
        try:
            connection.request("POST", self.path, json.dumps(_initialize_body()), headers)
            reply = connection.getresponse()
            text = reply.read()
            if reply.status != 200:
                raise ConnectionError(f"initialize was answered {reply.status}: {text[:200]!r}")
            session = reply.getheader("Mcp-Session-Id") or ""
            if session:
                headers["Mcp-Session-Id"] = session
            note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            connection.request("POST", self.path, json.dumps(note), headers)
            connection.getresponse().read()
            return session
        finally:
            connection.close()


def read_chunked(data: bytes, start: int) -> tuple[bytes, int] | None:
    """The chunked body at `start`, joined, and where it ends; None while it is not complete."""
    parts: list[bytes] = []
    while True:
        line = data.find(b"\r\n", start)
        if line < 0:
            return None
        size = int(data[start:line].partition(b";")[0], 16)
        stop = line + 2 + size + 2
        if len(data) < stop:
            return None
        if size == 0:
            return b"".join(parts), stop
        parts.append(data[line + 2 : stop - 2])
        start = stop


def _headers(era: str, method: str, name: str) -> Headers:
    common = (
        ("Accept", "application/json, text/event-stream"),
        ("Content-Type", "application/json"),
    )
    if era == LEGACY:
        return common if method == "initialize" else (*common, ("MCP-Protocol-Version", LEGACY))
    modern = (("MCP-Protocol-Version", MODERN), ("Mcp-Method", method))
    return (*common, *modern, ("Mcp-Name", name)) if name else (*common, *modern)


def _call_body(era: str, tool: str) -> dict[str, object]:
    params: dict[str, object] = {"name": tool, "arguments": ARGUMENTS}
    if era == MODERN:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": CLIENT,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return {"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": params}


def _initialize_body() -> dict[str, object]:
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
    return {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
