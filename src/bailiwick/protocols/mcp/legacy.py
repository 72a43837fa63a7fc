"""Inbound rules of the stateful revisions 2025-03-26, 2025-06-18 and 2025-11-25.

The handshake negotiates a revision; afterwards each POST belongs to a session:

1. an unknown `MCP-Protocol-Version` is 400; a missing one is tolerated (older clients)
2. only `initialize` comes without `Mcp-Session-Id`; anything else without it is 400
3. an id that is unknown, ended, or another identity's is 404
4. a method outside `METHODS` is -32601 with status 200

Source: 2025-11-25 `basic/lifecycle`, `basic/transports` "Session Management".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.mcp.jsonrpc import Code, Request
from bailiwick.protocols.mcp.modern import Rejection
from bailiwick.protocols.mcp.revisions import LEGACY

METHODS = frozenset(
    {
        "ping",
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "tasks/get",
        "tasks/result",
        "tasks/list",
        "tasks/cancel",
    }
)

MAX_SESSION_ID_CHARS = 128


@dataclass(frozen=True, slots=True)
class Hello:
    """What `initialize` agreed on."""

    version: str
    capabilities: JsonObject
    info: JsonObject


def greet(request: Request) -> Hello | Rejection:
    """Negotiate: the client's revision if we serve it as legacy, else our newest legacy one.

    A client that cannot speak the answered revision disconnects (`basic/lifecycle`).
    """
    asked = request.params.get("protocolVersion")
    capabilities = request.params.get("capabilities", {})
    info = request.params.get("clientInfo", {})
    if not isinstance(asked, str):
        return Rejection(Code.INVALID_PARAMS, "`protocolVersion` must be text")
    if not isinstance(capabilities, Mapping) or not isinstance(info, Mapping):
        return Rejection(Code.INVALID_PARAMS, "`capabilities` and `clientInfo` must be objects")
    return Hello(asked if asked in LEGACY else LEGACY[0], capabilities, info)


def session_id(header: bytes | None) -> str:
    """The session id of a request, or "": visible ASCII of bounded length."""
    if header is None or not 0 < len(header) <= MAX_SESSION_ID_CHARS:
        return ""
    return header.decode("ascii") if all(0x21 <= byte <= 0x7E for byte in header) else ""


def progress_token(params: JsonObject) -> str | int | None:
    """The progress token of a request; None when there is none that is valid."""
    meta = params.get("_meta")
    token: Json = meta.get("progressToken") if type(meta) is dict else None
    if type(token) is str or type(token) is int:
        return token
    return None


def primes_streams(version: str) -> bool:
    """Whether event streams begin with an empty event that carries an id.

    Since 2025-11-25 (`basic/transports`, sending messages 6); older clients parse its data.
    """
    return version >= "2025-11-25"
