"""Inbound ladder of 2026-07-28: what a request must hold before anything is decided on it.

The first rung that fails answers, with its JSON-RPC code and HTTP status:

1. no routing header stands twice                                    400 -32020
2. `params._meta` carries version and client capabilities            400 -32602
3. `MCP-Protocol-Version` equals the version in `_meta`              400 -32020
4. `Mcp-Method` equals `method`                                      400 -32020
5. `Mcp-Name`, decoded, equals the name the method is about          400 -32020
6. the version is one we serve                                       400 -32022
7. the method exists                                                 404 -32601
8. the rest of the envelope has the right shape                      400 -32602

Source: 2026-07-28 `basic/index` "`_meta`", `basic/transports/streamable-http` "Request Metadata".
"""

from __future__ import annotations

from dataclasses import dataclass

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.mcp.headers import Headers
from bailiwick.protocols.mcp.jsonrpc import Code, Request
from bailiwick.protocols.mcp.revisions import (
    LEGACY,
    LOG_LEVELS,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_LOG_LEVEL,
    META_VERSION,
    MODERN,
)

METHODS = frozenset(
    {
        "server/discover",
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "subscriptions/listen",
        "tasks/get",
        "tasks/update",
        "tasks/cancel",
    }
)

NAMED_BY = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Method → the field of `params` that `Mcp-Name` repeats."""

STATUS = {
    Code.PARSE_ERROR: 400,
    Code.INVALID_REQUEST: 400,
    Code.INVALID_PARAMS: 400,
    Code.HEADER_MISMATCH: 400,
    Code.MISSING_CLIENT_CAPABILITY: 400,
    Code.UNSUPPORTED_VERSION: 400,
    Code.METHOD_NOT_FOUND: 404,
}
"""HTTP status by error code, ours and an upstream's alike; 200 for any other."""

_VERSION = MODERN.encode()
_NOTHING: dict[str, Json] = {}


@dataclass(frozen=True, slots=True)
class Rejection:
    """The first rung that failed."""

    code: Code
    message: str
    data: Json = None


@dataclass(slots=True)
class Envelope:
    """What a request says of its sender, every rung passed."""

    capabilities: JsonObject
    info: JsonObject
    log_level: str | None
    progress_token: str | int | None


def climb(headers: Headers, request: Request) -> Envelope | Rejection:
    """Run the ladder of the module's list."""
    if headers.twice:
        return Rejection(Code.HEADER_MISMATCH, f"the header `{headers.twice}` stands twice")
    method, params = request.method, request.params
    meta = params.get("_meta")
    if type(meta) is not dict:
        return Rejection(Code.INVALID_PARAMS, "`params._meta` is missing")
    if META_VERSION not in meta or META_CLIENT_CAPABILITIES not in meta:
        return Rejection(
            Code.INVALID_PARAMS,
            f"`params._meta` needs `{META_VERSION}` and `{META_CLIENT_CAPABILITIES}`",
        )
    version = meta[META_VERSION]
    if headers.version != _VERSION or version != MODERN or headers.asked != method:
        rejection = _header_rejection(headers, method, version)
        if rejection is not None:
            return rejection
    named_by = NAMED_BY.get(method)
    if named_by is not None:
        named = params.get(named_by)
        if type(named) is not str or headers.named != named:
            return _name_mismatch(named, named_by)
    if version != MODERN:
        return unsupported(version if isinstance(version, str) else "")
    if named_by is None and method not in METHODS:
        return Rejection(Code.METHOD_NOT_FOUND, f"no method `{method[:80]}`")
    return _envelope(meta)


def unsupported(requested: str) -> Rejection:
    """The answer to a version we do not serve this way; it names what we do serve."""
    return Rejection(
        Code.UNSUPPORTED_VERSION,
        "Unsupported protocol version",
        {"supported": [MODERN, *LEGACY], "requested": requested},
    )


def _header_rejection(headers: Headers, method: str, version: Json) -> Rejection | None:
    if not isinstance(version, str):
        return Rejection(Code.INVALID_PARAMS, f"`{META_VERSION}` must be text")
    if headers.version is None or headers.version.decode("latin-1") != version:
        return Rejection(
            Code.HEADER_MISMATCH, "`MCP-Protocol-Version` does not equal the version in `_meta`"
        )
    if headers.asked != method:
        return Rejection(Code.HEADER_MISMATCH, "`Mcp-Method` does not equal the body's method")
    return None


def _name_mismatch(named: Json, named_by: str) -> Rejection:
    if type(named) is not str:
        return Rejection(Code.INVALID_PARAMS, f"`params.{named_by}` must be text")
    return Rejection(Code.HEADER_MISMATCH, f"`Mcp-Name` does not equal the body's `{named_by}`")


def _envelope(meta: dict[str, Json]) -> Envelope | Rejection:
    capabilities = meta[META_CLIENT_CAPABILITIES]
    info = meta.get(META_CLIENT_INFO, _NOTHING)
    if type(capabilities) is not dict or type(info) is not dict:
        return Rejection(Code.INVALID_PARAMS, "client capabilities and info must be objects")
    level = meta.get(META_LOG_LEVEL)
    if level is not None and level not in LOG_LEVELS:
        return Rejection(Code.INVALID_PARAMS, f"`{META_LOG_LEVEL}` is not a log level")
    token = meta.get("progressToken")
    if token is not None and type(token) is not str and type(token) is not int:
        return Rejection(Code.INVALID_PARAMS, "`progressToken` must be text or an integer")
    return Envelope(capabilities, info, level, token)
