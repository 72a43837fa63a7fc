"""Spans of ours as OTLP: the protobuf that collectors take, and its JSON.

Source: opentelemetry-proto 1, `trace.proto` and "JSON Protobuf Encoding" of the OTLP
specification: ids are hex there, 64-bit numbers decimal strings, names in lowerCamelCase.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
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
    of_resource.resource.attributes.extend(_pairs(resource))
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name = SCOPE
    of_scope.scope.version = version
    of_scope.spans.extend(_span(span) for span in spans)
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


def _span(span: Span) -> WireSpan:
    return WireSpan(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id),
        name=span.name,
        kind=int(span.kind),  # type: ignore[arg-type]  # OTLP's own number
        start_time_unix_nano=span.begin_ms * _NS_PER_MS,
        end_time_unix_nano=span.end_ms * _NS_PER_MS,
        attributes=_pairs(span.attributes),
        events=[
            WireSpan.Event(
                name=event.name,
                time_unix_nano=event.at_ms * _NS_PER_MS,
                attributes=_pairs(event.attributes),
            )
            for event in span.events
        ],
        status=Status(code=Status.STATUS_CODE_ERROR, message=span.error) if span.error else None,
    )


def _pairs(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Value) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    found = AnyValue()
    found.array_value.SetInParent()  # an empty list is a list too
    found.array_value.values.extend(AnyValue(string_value=each) for each in value)
    return found


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
