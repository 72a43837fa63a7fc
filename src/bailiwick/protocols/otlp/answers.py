"""OTLP's answers: what a collector says to us, and what we say to an agent.

Source: the OTLP specification, "OTLP/HTTP Response": an `ExportTraceServiceResponse` with a partial
success where some were rejected, and a `google.rpc.Status` where the whole request failed.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bailiwick.protocols.strict_json import encode

PROTOBUF = b"application/x-protobuf"
JSON = b"application/json"


def rejected_spans(body: bytes) -> int:
    """How many spans a collector says it did not take; 0 if it says nothing that can be read."""
    try:
        answer = ExportTraceServiceResponse.FromString(body)
    except DecodeError:
        return 0
    return max(0, int(answer.partial_success.rejected_spans))


def accepted(rejected: int, why: str, media_type: bytes) -> bytes:
    """The answer to a request of which `rejected` spans were not kept, and why."""
    if media_type == JSON:
        if not rejected and not why:
            return b"{}"
        told = {"rejectedSpans": str(rejected), "errorMessage": why}
        return encode({"partialSuccess": told})
    answer = ExportTraceServiceResponse()
    if rejected or why:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = why
    whole: bytes = answer.SerializeToString()
    return whole


def refused(grpc_code: int, message: str, media_type: bytes) -> bytes:
    """A `google.rpc.Status`: its code is gRPC's, its message for the developer."""
    if media_type == JSON:
        return encode({"code": grpc_code, "message": message})
    text = message.encode()
    # Status { int32 code = 1; string message = 2; }: two fields, and a package the less.
    return b"\x08" + _varint(grpc_code) + b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
