"""Reads OTLP trace requests: protobuf as the SDKs send it, and JSON.

1. Protobuf is split into its spans by a walk of our own, which counts: two bytes make an empty
   span, and the library would make two million of them before anybody could say stop.
2. Each span by itself is read by the library, which bounds nesting.
3. JSON is counted before it is read, and its nesting bounded by the reader.
4. What is not of the format at all fails the whole request; a span without valid ids only itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from bailiwick.core.errors import TheirError
from bailiwick.protocols.otlp.claims import (
    MAX_EVENTS,
    MAX_LINKS,
    MAX_NAME_CHARS,
    MAX_RESOURCES,
    MAX_SPANS,
    ClaimedEvent,
    ClaimedLink,
    ClaimedSpan,
    Claims,
    Look,
    Taking,
    valid_ids,
)

MAX_FIELDS = 65_536
"""Of one protobuf request: fields of its outer levels and of its spans."""

MAX_JSON_MARKS = 400_000
"""Commas and opening brackets of one JSON request: no fewer than its values."""

_MARKS = (b",", b"{", b"[")
_HEX = re.compile(r"[0-9a-fA-F]*")
_LEN = 2
_FIXED = {1: 8, 5: 4}
_MAX_VARINT_BYTES = 10
_INT64 = 2**63
_UINT64 = 2**64
_MAX_KIND = 5
_MAX_STATUS = 2
_MAX_DROPPED = 2**31

_Pairs = Collection[tuple[str, Any]]
_Part = tuple[int, int]


class _Raw(msgspec.Struct):
    """One span of either encoding before it is taken. Ids in hex, times whatever was sent."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    begin_ns: int
    end_ns: int
    attributes: _Pairs
    events: Sequence[tuple[str, int, _Pairs]]
    links: Sequence[tuple[str, str]]
    status: int
    message: str
    dropped: int


def read_protobuf(body: bytes) -> Claims:
    """The spans of an `ExportTraceServiceRequest`. O(length).

    Raises:
        TheirError: `otlp_malformed`; `otlp_too_much` for more than `MAX_FIELDS`, `MAX_RESOURCES`
            or `MAX_SPANS`.
    """
    walk = _Walk(body)
    claims = Claims()
    try:
        for of_resource in walk.parts((0, len(body)), 1):
            resource = Resource.FromString(walk.joined(of_resource, 1))
            position = _add_resource(claims, _WirePairs(resource.attributes), _look_at_wire)
            for of_scope in walk.parts(of_resource, 2):
                scope = InstrumentationScope.FromString(walk.joined(of_scope, 1))
                for start, stop in walk.parts(of_scope, 2):
                    walk.count((start, stop))
                    raw = _of_wire(WireSpan.FromString(body[start:stop]))
                    _add(claims, raw, position, scope.name, _look_at_wire)
    except DecodeError as error:
        raise _malformed("a message in it cannot be read") from error
    return claims


def read_json(body: bytes) -> Claims:
    """The spans of the same request as JSON.

    Raises:
        TheirError: as `read_protobuf`, with `MAX_JSON_MARKS` in the place of `MAX_FIELDS`.
    """
    if sum(body.count(mark) for mark in _MARKS) > MAX_JSON_MARKS:
        raise _too_much(f"{MAX_JSON_MARKS} values")
    try:
        request = _json_request.decode(body)
    except msgspec.ValidationError as error:
        raise _malformed(str(error)[:200]) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed("it is not JSON") from error
    except RecursionError as error:
        raise _malformed("its values are nested too deeply") from error
    claims = Claims()
    for of_resource in request.resource_spans:
        pairs = _json_pairs(of_resource.resource.attributes)
        position = _add_resource(claims, pairs, _look_at_json)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                _add(claims, _of_json(span), position, of_scope.scope.name, _look_at_json)
    return claims


def _add_resource(claims: Claims, pairs: _Pairs, look: Look) -> int:
    if len(claims.resources) >= MAX_RESOURCES:
        raise _too_much(f"{MAX_RESOURCES} resources")
    claims.resources.append(Taking(look).pairs(pairs))
    return len(claims.resources) - 1


def _add(claims: Claims, raw: _Raw, resource: int, scope: str, look: Look) -> None:
    if len(claims.spans) + sum(claims.rejected.values()) >= MAX_SPANS:
        raise _too_much(f"{MAX_SPANS} spans")
    why = valid_ids(raw.trace_id, raw.span_id, raw.parent_id)
    if why:
        claims.reject(why)
        return
    taking = Taking(look)
    events = tuple(
        ClaimedEvent(taking.text(name, MAX_NAME_CHARS), str(at % _UINT64), taking.pairs(pairs))
        for name, at, pairs in raw.events[:MAX_EVENTS]
    )
    links = tuple(
        ClaimedLink(trace, span)
        for trace, span in raw.links[:MAX_LINKS]
        if not valid_ids(trace, span, "")
    )
    beyond = len(raw.events) - len(events) + len(raw.links) - len(links)
    beyond += min(max(raw.dropped, 0), _MAX_DROPPED)
    claims.spans.append(
        ClaimedSpan(
            trace_id=raw.trace_id,
            span_id=raw.span_id,
            parent_id=raw.parent_id,
            name=taking.text(raw.name, MAX_NAME_CHARS),
            kind=raw.kind if 0 <= raw.kind <= _MAX_KIND else 0,
            begin_ns=str(raw.begin_ns % _UINT64),
            end_ns=str(raw.end_ns % _UINT64),
            attributes=taking.pairs(raw.attributes),
            events=events,
            links=links,
            status=raw.status if 0 <= raw.status <= _MAX_STATUS else 0,
            message=taking.text(raw.message),
            resource=resource,
            scope=taking.text(scope, MAX_NAME_CHARS),
            left_out=taking.left_out + beyond,
        )
    )


def _malformed(what: str) -> TheirError:
    return TheirError("otlp_malformed", f"this is no OTLP trace request: {what}")


def _too_much(what: str) -> TheirError:
    return TheirError("otlp_too_much", f"a request has at most {what}: send smaller batches")


# --- protobuf ------------------------------------------------------------------------------------


class _Walk:
    """Finds the length-delimited fields of messages, and counts what it passes.

    Source: protobuf encoding: a tag is `number << 3 | wire type`. Groups (3, 4) are not of proto3.
    """

    __slots__ = ("_body", "_left")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._left = MAX_FIELDS

    def parts(self, part: _Part, wanted: int) -> Iterator[_Part]:
        """Where the fields `wanted` of the message at `part` stand."""
        for number, found in self._fields(part):
            if number == wanted and found is not None:
                yield found

    def joined(self, part: _Part, wanted: int) -> bytes:
        """All fields `wanted`, one after the other: how protobuf merges a message sent twice."""
        return b"".join(self._body[start:stop] for start, stop in self.parts(part, wanted))

    def count(self, part: _Part) -> None:
        """Count the fields of a message that is read by the library."""
        for _ in self._fields(part):
            pass

    def _fields(self, part: _Part) -> Iterator[tuple[int, _Part | None]]:
        at, stop = part
        while at < stop:
            self._left -= 1
            if self._left < 0:
                raise _too_much(f"{MAX_FIELDS} fields")
            tag, at = self._varint(at, stop)
            kind, found = tag & 7, None
            if kind == _LEN:
                length, at = self._varint(at, stop)
                found = (at, at + length)
                at += length
            elif kind == 0:
                _, at = self._varint(at, stop)
            elif kind in _FIXED:
                at += _FIXED[kind]
            else:
                raise _malformed("a field in it has no wire type of proto3")
            if at > stop or tag < 8:
                raise _malformed("a field in it ends after its message, or has no number")
            yield tag >> 3, found

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        body, value, shift = self._body, 0, 0
        for place in range(at, min(stop, at + _MAX_VARINT_BYTES)):
            byte = body[place]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, place + 1
            shift += 7
        raise _malformed("a number in it has no end")


def _of_wire(span: WireSpan) -> _Raw:
    return _Raw(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=span.kind,
        begin_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_WirePairs(span.attributes),
        events=[
            (event.name, event.time_unix_nano, _WirePairs(event.attributes))
            for event in span.events
        ],
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        status=span.status.code,
        message=span.status.message,
        dropped=span.dropped_attributes_count
        + span.dropped_events_count
        + span.dropped_links_count,
    )


class _WirePairs(Collection[tuple[str, AnyValue]]):
    """Attributes that are looked at one by one: two bytes make one, and there may be millions."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Sequence[KeyValue]) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[tuple[str, AnyValue]]:
        for each in self._pairs:
            yield each.key, each.value

    def __contains__(self, pair: object) -> bool:
        return any(pair == each for each in self)


def _look_at_wire(value: AnyValue) -> tuple[str, Any]:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return "list", value.array_value.values
    if kind == "kvlist_value":
        return "pairs", _WirePairs(value.kvlist_value.values)
    if kind == "bytes_value":
        return "plain", base64.b64encode(value.bytes_value).decode()
    return "plain", None if kind is None else getattr(value, kind)


# --- JSON ----------------------------------------------------------------------------------------


class _JsonAny(msgspec.Struct, rename="camel"):
    """Exactly one is there; 64-bit numbers come as text or as numbers, doubles also as `NaN`."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: str | int | None = None
    double_value: float | str | None = None
    bytes_value: str | None = None
    array_value: _JsonArray | None = None
    kvlist_value: _JsonPairs | None = None


class _JsonPair(msgspec.Struct):
    key: str = ""
    value: _JsonAny | None = None


class _JsonArray(msgspec.Struct):
    values: list[_JsonAny] = []


class _JsonPairs(msgspec.Struct):
    values: list[_JsonPair] = []


class _JsonEvent(msgspec.Struct, rename="camel"):
    name: str = ""
    time_unix_nano: str | int = 0
    attributes: list[_JsonPair] = []


class _JsonLink(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""


class _JsonStatus(msgspec.Struct):
    code: int = 0
    message: str = ""


class _JsonSpan(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: int = 0
    start_time_unix_nano: str | int = 0
    end_time_unix_nano: str | int = 0
    attributes: list[_JsonPair] = []
    events: list[_JsonEvent] = []
    links: list[_JsonLink] = []
    status: _JsonStatus = msgspec.field(default_factory=_JsonStatus)
    dropped_attributes_count: int = 0
    dropped_events_count: int = 0
    dropped_links_count: int = 0


class _JsonScope(msgspec.Struct):
    name: str = ""


class _JsonScopeSpans(msgspec.Struct):
    scope: _JsonScope = msgspec.field(default_factory=_JsonScope)
    spans: list[_JsonSpan] = []


class _JsonResource(msgspec.Struct):
    attributes: list[_JsonPair] = []


class _JsonResourceSpans(msgspec.Struct, rename="camel"):
    resource: _JsonResource = msgspec.field(default_factory=_JsonResource)
    scope_spans: list[_JsonScopeSpans] = []


class _JsonRequest(msgspec.Struct, rename="camel"):
    resource_spans: list[_JsonResourceSpans] = []


_json_request = msgspec.json.Decoder(_JsonRequest)


def _of_json(span: _JsonSpan) -> _Raw:
    return _Raw(
        trace_id=_hex(span.trace_id),
        span_id=_hex(span.span_id),
        parent_id=_hex(span.parent_span_id) if span.parent_span_id else "",
        name=span.name,
        kind=span.kind,
        begin_ns=_integer(span.start_time_unix_nano),
        end_ns=_integer(span.end_time_unix_nano),
        attributes=_json_pairs(span.attributes),
        events=[
            (event.name, _integer(event.time_unix_nano), _json_pairs(event.attributes))
            for event in span.events
        ],
        links=[(_hex(link.trace_id), _hex(link.span_id)) for link in span.links],
        status=span.status.code,
        message=span.status.message,
        dropped=span.dropped_attributes_count
        + span.dropped_events_count
        + span.dropped_links_count,
    )


def _hex(text: str) -> str:
    """An id in lower case; one that is not hexadecimal has no length that would do."""
    return text.lower() if _HEX.fullmatch(text) else "?"


def _integer(value: str | int) -> int:
    """A 64-bit number. Raises TheirError when it is none."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(_UINT64)):
            raise _malformed("a 64-bit number in it is none")
        value = int(value)
    if not -_INT64 <= value < _UINT64:
        raise _malformed("a number in it is beyond 64 bits")
    return value


def _json_pairs(pairs: Sequence[_JsonPair]) -> _Pairs:
    return [(each.key, each.value) for each in pairs]


def _look_at_json(value: _JsonAny | None) -> tuple[str, Any]:
    if value is None:
        return "plain", None
    if value.array_value is not None:
        return "list", value.array_value.values
    if value.kvlist_value is not None:
        return "pairs", _json_pairs(value.kvlist_value.values)
    if value.int_value is not None:
        return "plain", _integer(value.int_value)
    if value.bytes_value is not None:
        return "plain", _base64(value.bytes_value)
    for each in (value.string_value, value.bool_value, value.double_value):
        if each is not None:
            return "plain", each
    return "plain", None


def _base64(text: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError) as error:
        raise _malformed("bytes in it are not base64") from error
