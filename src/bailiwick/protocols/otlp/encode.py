"""Spans of ours as OTLP: the protobuf that collectors take, and its JSON.

Source: opentelemetry-proto 1, `trace.proto` and "JSON Protobuf Encoding" of the OTLP
specification: ids are hex there, 64-bit numbers decimal strings, names in lowerCamelCase.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.protocols.otlp.spans import Attributes, Span, Value

SCOPE = "bailiwick"
_NS_PER_MS = 1_000_000


def to_protobuf(spans: Iterable[Span], resource: Attributes, version: str) -> bytes:
    """One `ExportTraceServiceRequest` with these spans."""
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    _write_pairs(resource, of_resource.resource.attributes)
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name = SCOPE
    of_scope.scope.version = version
    for span in spans:
        _write_span(span, of_scope.spans.add())
    whole: bytes = request.SerializeToString()
    return whole


def to_json(spans: Iterable[Span], resource: Attributes, version: str) -> JsonObject:
    """The same as a JSON value, for a file or a collector that takes JSON."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _json_pairs(resource)},
                "scopeSpans": [
                    {
                        "scope": {"name": SCOPE, "version": version},
                        "spans": [_json_span(span) for span in spans],
                    }
                ],
            }
        ]
    }


def rejected_spans(answer: bytes) -> int:
    """How many spans a collector says it did not take; 0 if it says nothing that can be read."""
    try:
        told = ExportTraceServiceResponse.FromString(answer)
    except DecodeError:
        return 0
    return max(0, int(told.partial_success.rejected_spans))


def _write_span(span: Span, wire: WireSpan) -> None:
    # Filled in place: made by constructors, each attribute would cost twice as much.
    wire.trace_id = bytes.fromhex(span.trace_id)
    wire.span_id = bytes.fromhex(span.span_id)
    wire.parent_span_id = bytes.fromhex(span.parent_id)
    wire.name = span.name
    wire.kind = int(span.kind)  # type: ignore[assignment]  # OTLP's own number
    wire.start_time_unix_nano = span.begin_ms * _NS_PER_MS
    wire.end_time_unix_nano = span.end_ms * _NS_PER_MS
    _write_pairs(span.attributes, wire.attributes)
    for event in span.events:
        one = wire.events.add()
        one.name = event.name
        one.time_unix_nano = event.at_ms * _NS_PER_MS
        _write_pairs(event.attributes, one.attributes)
    if span.error:
        wire.status.code = Status.STATUS_CODE_ERROR
        wire.status.message = span.error


def _write_pairs(attributes: Attributes, pairs: Any) -> None:
    for key, value in attributes.items():
        pair = pairs.add()
        pair.key = key
        _write_value(value, pair.value)


def _write_value(value: Value, wire: AnyValue) -> None:
    if isinstance(value, str):
        wire.string_value = value
    elif isinstance(value, bool):
        wire.bool_value = value
    elif isinstance(value, int):
        wire.int_value = value
    elif isinstance(value, float):
        wire.double_value = value
    else:
        values = wire.array_value.values
        wire.array_value.SetInParent()  # an empty list is a list too
        for each in value:
            values.add().string_value = each


def _json_span(span: Span) -> JsonObject:
    whole: dict[str, Json] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.begin_ms * _NS_PER_MS),
        "endTimeUnixNano": str(span.end_ms * _NS_PER_MS),
        "attributes": _json_pairs(span.attributes),
    }
    if span.parent_id:
        whole["parentSpanId"] = span.parent_id
    if span.events:
        whole["events"] = [
            {
                "name": event.name,
                "timeUnixNano": str(event.at_ms * _NS_PER_MS),
                "attributes": _json_pairs(event.attributes),
            }
            for event in span.events
        ]
    if span.error:
        whole["status"] = {"code": int(Status.STATUS_CODE_ERROR), "message": span.error}
    return whole


def _json_pairs(attributes: Attributes) -> Sequence[JsonObject]:
    return [{"key": key, "value": _json_value(value)} for key, value in attributes.items()]


def _json_value(value: Value) -> JsonObject:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"arrayValue": {"values": [{"stringValue": each} for each in value]} if value else {}}
