"""Request headers of the modern era, derived from the body they mirror.

Source: MCP 2026-07-28, basic/transports/streamable-http, "Standard Request Headers" and "Custom
Headers from Tool Parameters".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from bailiwick.core.canonical import JsonObject
from bailiwick.gateway.http.wire import EncodedFields, encode_fields
from bailiwick.protocols.mcp.headers import (
    ParamHeader,
    encode_value,
    param_headers_of,
    param_values,
)

_NAME_FIELDS = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}

_MAX_TOOLS = 10_000
_MAX_CACHED_CHARS = 256


def standard_headers(method: str, params: JsonObject) -> list[tuple[str, str]]:
    """`Mcp-Method` and, where the method has one, `Mcp-Name`."""
    return _standard(method, _name_in(method, params))


def encoded_headers(
    method: str, params: JsonObject, more: Iterable[tuple[str, str]] = ()
) -> EncodedFields:
    """The standard headers and `more`, as header lines.

    Raises:
        UpstreamDown: `header_unsafe`, for `more`.
    """
    source = _NAME_FIELDS.get(method)
    name = None if source is None else params.get(source)
    if type(name) is not str:
        name = None
    if name is None or len(name) <= _MAX_CACHED_CHARS:
        standard = _encoded(method, name)
    else:
        standard = encode_fields(_standard(method, name))
    return EncodedFields(standard + encode_fields(more)) if more else standard


def _name_in(method: str, params: JsonObject) -> str | None:
    source = _NAME_FIELDS.get(method)
    if source is None:
        return None
    name = params.get(source)
    return name if isinstance(name, str) else None


def _standard(method: str, name: str | None) -> list[tuple[str, str]]:
    headers = [("Mcp-Method", encode_value(method))]
    if name is not None:
        headers.append(("Mcp-Name", encode_value(name)))
    return headers


@lru_cache(maxsize=4096)
def _encoded(method: str, name: str | None) -> EncodedFields:
    return encode_fields(_standard(method, name))


class ToolHeaders:
    """The annotated parameters of the tools that have been seen in a list.

    Attributes:
        declared: by tool; empty with most servers.
    """

    def __init__(self) -> None:
        self.declared: dict[str, tuple[ParamHeader, ...]] = {}

    def learn(self, result: bytes | None) -> None:
        """Take a raw `tools/list` result that is valid JSON; None for an error instead."""
        if result is None or (b"x-mcp-header" not in result and not self.declared):
            return
        tools = msgspec.json.decode(result).get("tools")
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                self._learn_tool(tool["name"], param_headers_of(tool.get("inputSchema")))

    def values_for(self, params: JsonObject) -> dict[str, str] | None:
        """The `Mcp-Param-*` headers of a `tools/call`; None when its tool has none that we know.

        They repeat the arguments that are sent, whatever a client may have sent along.
        """
        declared = self.declared.get(str(params.get("name")))
        if declared is None:
            return None
        arguments = params.get("arguments")
        return param_values(declared, arguments if isinstance(arguments, Mapping) else {})

    def _learn_tool(self, name: str, declared: tuple[ParamHeader, ...]) -> None:
        if not declared:
            self.declared.pop(name, None)
            return
        if len(self.declared) >= _MAX_TOOLS:
            self.declared.clear()
        self.declared[name] = declared
