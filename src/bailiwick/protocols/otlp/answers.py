"""OTLP's answers to an agent that sent spans. Few fields, so written by hand: a gateway to which no
agent sends any does not wait for the library of the format to be loaded.

Source: the OTLP specification, "OTLP/HTTP Response": an `ExportTraceServiceResponse` with a partial
success where some were rejected, and a `google.rpc.Status` where the whole request failed.
"""

from __future__ import annotations

from bailiwick.protocols.strict_json import encode

PROTOBUF = b"application/x-protobuf"
JSON = b"application/json"
"""Media types of the two encodings."""


def accepted(rejected: int, why: str, media_type: bytes) -> bytes:
    """The answer to a request of which `rejected` spans were not kept, and why."""
    if media_type == JSON:
        if not rejected and not why:
            return b"{}"
        told = {"rejectedSpans": str(rejected), "errorMessage": why}
        return encode({"partialSuccess": told})
    # ExportTraceServiceResponse { PartialSuccess partial_success = 1; }, and that is
    # { int64 rejected_spans = 1; string error_message = 2; }: as a Status below.
    return _field(1, _numbered(rejected, why)) if rejected or why else b""


def refused(grpc_code: int, message: str, media_type: bytes) -> bytes:
    """A `google.rpc.Status`: its code is gRPC's, its message for the developer."""
    if media_type == JSON:
        return encode({"code": grpc_code, "message": message})
    return _numbered(grpc_code, message)  # Status { int32 code = 1; string message = 2; }


def _numbered(number: int, text: str) -> bytes:
    return b"\x08" + _varint(number) + _field(2, text.encode())


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
