"""Request headers of the modern era, derived from the body they mirror.

Source: MCP 2026-07-28, basic/transports/streamable-http, "Standard Request Headers", "Custom
Headers from Tool Parameters" and "Value Encoding".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.core.canonical import MAX_SAFE_INTEGER, Json, JsonObject

_PLAIN = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?").fullmatch
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_MAX_DEPTH = 32

_NAME_FIELDS = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}


@dataclass(frozen=True, slots=True)
class ParamHeader:
    """One annotated parameter: the header's name and the property path to its value."""

    header: str
    path: tuple[str, ...]


def encode_value(text: str) -> str:
    """A header-safe form of `text`: itself, or the Base64 sentinel."""
    if _PLAIN(text) and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode('ascii')}?="


def standard_headers(method: str, params: JsonObject) -> list[tuple[str, str]]:
    """`Mcp-Method` and, where the method has one, `Mcp-Name`."""
    headers = [("Mcp-Method", encode_value(method))]
    source = _NAME_FIELDS.get(method)
    if source is not None:
        name = params.get(source)
        if isinstance(name, str):
            headers.append(("Mcp-Name", encode_value(name)))
    return headers


def param_headers_of(schema: Json) -> tuple[ParamHeader, ...]:
    """The `x-mcp-header` annotations of an input schema that are valid where they stand.

    Only properties reached from the root through `properties` alone count. If any annotation so
    reached is unfit, none is used: the definition as a whole is invalid.
    """
    found: list[ParamHeader] = []
    if not _collect(schema, (), found):
        return ()
    names = [header.header.lower() for header in found]
    return tuple(found) if len(set(names)) == len(names) else ()


def _collect(schema: Json, path: tuple[str, ...], found: list[ParamHeader]) -> bool:
    if not isinstance(schema, Mapping) or len(path) > _MAX_DEPTH:
        return True
    name = schema.get("x-mcp-header")
    if name is not None:
        fit = isinstance(name, str) and _TOKEN(name) and path
        if not fit or schema.get("type") not in ("string", "integer", "boolean"):
            return False
        found.append(ParamHeader(f"Mcp-Param-{name}", path))
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return True
    return all(_collect(inner, (*path, key), found) for key, inner in properties.items())


def derive_param_headers(
    annotated: tuple[ParamHeader, ...], arguments: Json
) -> list[tuple[str, str]]:
    """The `Mcp-Param-*` headers for these arguments; absent and null values give none."""
    headers: list[tuple[str, str]] = []
    for param in annotated:
        value: Json = arguments
        for key in param.path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            headers.append((param.header, "true" if value else "false"))
        elif isinstance(value, int) and abs(value) <= MAX_SAFE_INTEGER:
            headers.append((param.header, str(value)))
        elif isinstance(value, str):
            headers.append((param.header, encode_value(value)))
    return headers
