"""Request headers of the modern era, derived from the body they mirror.

Source: MCP 2026-07-28, basic/transports/streamable-http, "Standard Request Headers" and "Custom
Headers from Tool Parameters".
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bailiwick.core.canonical import JsonObject
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


def standard_headers(method: str, params: JsonObject) -> list[tuple[str, str]]:
    """`Mcp-Method` and, where the method has one, `Mcp-Name`."""
    headers = [("Mcp-Method", encode_value(method))]
    source = _NAME_FIELDS.get(method)
    if source is not None:
        name = params.get(source)
        if isinstance(name, str):
            headers.append(("Mcp-Name", encode_value(name)))
    return headers


class ToolHeaders:
    """The annotated parameters of the tools that have been seen in a list."""

    def __init__(self) -> None:
        self._declared: dict[str, tuple[ParamHeader, ...]] = {}

    def __bool__(self) -> bool:
        """Whether any tool is known to have annotated parameters."""
        return bool(self._declared)

    def learn(self, result: bytes) -> None:
        """Take a raw `tools/list` result that is valid JSON."""
        if b"x-mcp-header" not in result and not self._declared:
            return
        tools = msgspec.json.decode(result).get("tools")
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                self._learn_tool(tool["name"], param_headers_of(tool.get("inputSchema")))

    def values_for(self, params: JsonObject) -> dict[str, str] | None:
        """The `Mcp-Param-*` headers of a `tools/call`; None when its tool has none that we know.

        They repeat the arguments that are sent, whatever a client may have sent along.
        """
        declared = self._declared.get(str(params.get("name")))
        if declared is None:
            return None
        arguments = params.get("arguments")
        return param_values(declared, arguments if isinstance(arguments, Mapping) else {})

    def _learn_tool(self, name: str, declared: tuple[ParamHeader, ...]) -> None:
        if not declared:
            self._declared.pop(name, None)
            return
        if len(self._declared) >= _MAX_TOOLS:
            self._declared.clear()
        self._declared[name] = declared
