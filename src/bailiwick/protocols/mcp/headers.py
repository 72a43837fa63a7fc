"""HTTP request headers as the edge needs them, read once and strictly.

The `=?base64?…?=` sentinel and `Mcp-Param-*` rules are those of 2026-07-28
`basic/transports/streamable-http` "Value Encoding" and "Custom Headers from Tool Parameters".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.errors import TheirError
from bailiwick.protocols.mcp.received import Headers as Headers

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024

_READ = {
    b"host": "host",
    b"origin": "origin",
    b"authorization": "authorization",
    b"content-type": "content_type",
    b"content-length": "content_length",
    b"accept": "accept",
    b"mcp-protocol-version": "version",
    b"mcp-method": "method",
    b"mcp-name": "name",
    b"mcp-session-id": "session",
    b"last-event-id": "last_event",
    b"traceparent": "traceparent",
    b"agent-session-id": "agent_session",
    b"bailiwick-run": "run",
    b"bailiwick-instruction": "instruction",
    b"bailiwick-purpose": "purpose",
    b"bailiwick-run-labels": "run_labels",
    b"bailiwick-end-user": "end_user",
}
_ROUTING = frozenset({"version", "method", "name"})
_PARAM = b"mcp-param-"
_SENTINEL = re.compile(r"=\?base64\?(.*)\?=")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_TRACE_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.0+)?")


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Read raw ASGI headers (names in lower case).

    Raises:
        TheirError: `headers_too_large`; `header_twice` when one that decides something stands
            twice, since a first-copy and a last-copy reader would disagree.
    """
    found: dict[str, bytes] = {}
    params: list[tuple[str, str]] = []
    twice = ""
    size = count = 0
    for name, value in raw:
        count += 1
        size += len(name) + len(value)
        if name in _READ:
            slot = _READ[name]
            if slot in found:
                if slot in _ROUTING:
                    twice = name.decode("latin-1")
                elif slot != "accept":
                    raise TheirError("header_twice", f"the header `{name.decode()}` stands twice")
            # RFC 9110 section 5.5: white space around a value is no part of it.
            found[slot] = value.strip(b" \t")
        elif name.startswith(_PARAM):
            params.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    if count > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise TheirError(
            "headers_too_large", f"more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes"
        )
    headers = Headers(found, params, twice)
    if headers.method is not None:
        headers.asked = headers.method.decode("latin-1")
    if headers.name is not None:
        headers.named = decode_value(headers.name)
    traceparent = headers.traceparent
    if traceparent is not None and _TRACE_PARENT.fullmatch(traceparent):
        headers.trace = traceparent.decode("ascii")
    return headers


def trace_parent(headers: Headers, meta: Json = None) -> str:
    """The W3C trace context, or "": it is written into the public ledger, so nothing else may be.

    Source: W3C Trace Context, section 3.2 "Traceparent Header"; of a request of MCP, what its
    `_meta` says wins over what carried it (SEP-414).
    """
    told = meta.get("traceparent") if isinstance(meta, dict) else None
    if isinstance(told, str) and _TRACE_PARENT.fullmatch(told.encode("ascii", "replace")):
        return told
    return headers.trace


def decode_value(value: bytes | str) -> str | None:
    """A header value without its base64 sentinel; None when the sentinel is malformed.

    Only canonical base64 of valid UTF-8 decodes, so that one value has one spelling.
    """
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    match = _SENTINEL.fullmatch(text)
    if match is None:
        return text if _PRINTABLE.fullmatch(text) else None
    try:
        plain = base64.b64decode(match[1], validate=True)
        if base64.b64encode(plain).decode() != match[1]:
            return None
        return plain.decode()
    except (binascii.Error, ValueError):
        return None


def encode_value(value: str) -> str:
    """Inverse of `decode_value`: the sentinel only where a plain value would not survive."""
    if _PRINTABLE.fullmatch(value) and value == value.strip() and not _SENTINEL.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


@dataclass(frozen=True, slots=True)
class ParamHeader:
    """One `x-mcp-header` annotation of a tool's input schema."""

    path: tuple[str, ...]
    token: str
    kind: str

    @property
    def header(self) -> str:
        """The header's name in lower case."""
        return f"mcp-param-{self.token.lower()}"


def param_headers_of(input_schema: Json) -> tuple[ParamHeader, ...]:
    """The annotations of a schema; none if any of them is invalid.

    A conforming client drops a tool with an invalid annotation and sends no headers for it. An
    annotation is valid on a `string`, `integer` or `boolean` property that is reached from the
    root by `properties` alone, with an RFC 9110 token that is unique whatever its case.
    """
    found: list[ParamHeader] = []
    for path, schema in _positions(input_schema):
        token = schema.get("x-mcp-header")
        if token is None:
            continue
        kind = schema.get("type")
        if (
            not path
            or not isinstance(token, str)
            or not _TOKEN.fullmatch(token)
            or kind not in ("string", "integer", "boolean")
        ):
            return ()
        found.append(ParamHeader(path, token, str(kind)))
    if len({item.header for item in found}) != len(found):
        return ()
    return tuple(found)


_ONE = ("items", "contains", "unevaluatedItems", "additionalProperties", "propertyNames",
        "unevaluatedProperties", "not", "if", "then", "else", "contentSchema")  # fmt: skip
_LIST = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAP = ("patternProperties", "dependentSchemas", "$defs", "definitions")


def _positions(root: Json) -> Iterator[tuple[tuple[str, ...] | None, JsonObject]]:
    """Each schema position with its chain of property names; None once off that chain."""
    stack: list[tuple[tuple[str, ...] | None, Json]] = [((), root)]
    while stack:
        path, node = stack.pop()
        if not isinstance(node, Mapping):
            continue
        yield path, node
        properties = node.get("properties")
        if isinstance(properties, Mapping):
            for name, schema in properties.items():
                stack.append((None if path is None else (*path, name), schema))
        stack.extend((None, node[keyword]) for keyword in _ONE if keyword in node)
        for keyword in _LIST:
            several = node.get(keyword)
            if isinstance(several, list):
                stack.extend((None, schema) for schema in several)
        for keyword in _MAP:
            named = node.get(keyword)
            if isinstance(named, Mapping):
                stack.extend((None, schema) for schema in named.values())


def param_mismatch(
    declared: tuple[ParamHeader, ...], arguments: JsonObject, received: list[tuple[str, str]]
) -> str:
    """Why the received `Mcp-Param-*` headers disagree with the arguments; "" if they agree.

    Present together and equal, or absent together (`null` counts as absent).
    """
    given: dict[str, str] = {}
    for name, text in received:
        if name in given and any(name == item.header for item in declared):
            return f"`{name}` stands twice"
        given[name] = text
    for item in declared:
        value = _at(arguments, item.path)
        header = given.get(item.header)
        wanted = _rendered(value)
        if wanted is None:
            if header is not None:
                return f"`{item.header}` has no argument it could repeat"
            continue
        if header is None:
            return f"`{item.header}` is missing"
        plain = decode_value(header)
        if plain is None or not _equal(item.kind, value, wanted, plain):
            return f"`{item.header}` does not equal the argument"
    return ""


def param_values(declared: tuple[ParamHeader, ...], arguments: JsonObject) -> dict[str, str]:
    """The `Mcp-Param-*` headers that repeat these arguments, encoded."""
    headers: dict[str, str] = {}
    for item in declared:
        wanted = _rendered(_at(arguments, item.path))
        if wanted is not None:
            headers[f"Mcp-Param-{item.token}"] = encode_value(wanted)
    return headers


def _at(arguments: JsonObject, path: tuple[str, ...]) -> Json:
    node: Json = arguments
    for name in path:
        if not isinstance(node, Mapping):
            return None
        node = node.get(name)
    return node


def _rendered(value: Json) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return None


def _equal(kind: str, value: Json, wanted: str, plain: str) -> bool:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if kind == "integer" and whole and not isinstance(value, bool) and _DECIMAL.fullmatch(plain):
        # "servers SHOULD compare the header value and the body value numerically" (42.0 is 42).
        return int(plain.partition(".")[0]) == int(value)  # type: ignore[arg-type]  # an int here
    return plain == wanted
