"""Spans as values, and their ids: the same record always gives the same span."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import IntEnum

import msgspec

Value = str | bool | int | float | tuple[str, ...]
"""What an attribute of ours can hold."""

Attributes = Mapping[str, Value]

_NOTHING: Attributes = {}
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


class SpanKind(IntEnum):
    """OTLP's numbers."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


class SpanEvent(msgspec.Struct, frozen=True):
    """Something that happened at one moment of a span."""

    name: str
    at_ms: int
    attributes: Attributes = _NOTHING


class Span(msgspec.Struct, frozen=True):
    """One span.

    Attributes:
        trace_id, span_id, parent_id: 32, 16 and 16 hex digits; `parent_id` "" for a root.
        begin_ms, end_ms: Unix milliseconds; end_ms >= begin_ms.
        error: the class of error it ended with (`error.type`), "" if it ended well.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: SpanKind
    begin_ms: int
    end_ms: int
    attributes: Attributes
    events: tuple[SpanEvent, ...] = ()
    error: str = ""


def parent_of(traceparent: str) -> tuple[str, str] | None:
    """Trace and span id of a W3C `traceparent`; None if it is none, or names nothing.

    Source: W3C Trace Context, section 3.2: ids of zeros only are invalid, and so is version ff.
    """
    match = _PARENT.fullmatch(traceparent)
    if match is None or match[1] == _NO_TRACE or match[2] == _NO_SPAN or traceparent[:2] == "ff":
        return None
    return match[1], match[2]


def trace_id_of(run: str) -> str:
    """The trace of a run whose agent names none."""
    return hashlib.sha256(f"trace:{run}".encode()).hexdigest()[:32]


def span_id_of(kind: str, ident: str) -> str:
    """The span of one recorded thing: `run`, `call` or `hold`."""
    return hashlib.sha256(f"{kind}:{ident}".encode()).hexdigest()[:16]
