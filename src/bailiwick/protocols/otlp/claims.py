"""Spans as an agent tells them: read within bounds, kept as its own claim.

What does not fit the bounds is left out and counted; what has no valid ids is rejected with the
reason. Unknown fields are skipped, as the format asks. Numbers that JSON cannot hold exactly, and
64-bit times, are kept as decimal text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bailiwick.core.canonical import MAX_SAFE_INTEGER, Json

MAX_SPANS = 4_096
MAX_ATTRIBUTES = 128
MAX_EVENTS = 128
MAX_LINKS = 32
MAX_NAME_CHARS = 256
MAX_TEXT_CHARS = 64 * 1024
MAX_VALUES = 4_096
MAX_DEPTH = 8
MAX_RESOURCES = 256
"""Of one request, one span, one text; values and nesting are those of one span's attributes."""

_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


class ClaimedEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened in a span."""

    name: str
    at_ns: str
    attributes: dict[str, Json] = {}


class ClaimedLink(msgspec.Struct, frozen=True):
    """Another span it has to do with."""

    trace_id: str
    span_id: str


class ClaimedSpan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One span as it is kept.

    Attributes:
        trace_id, span_id, parent_id: hex, lower case; `parent_id` "" for a root.
        begin_ns, end_ns: Unix nanoseconds as the agent's clock had them, decimal.
        kind: OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
        status: OTLP's number: 0 unset, 1 ok, 2 error; `message` is what it says of it.
        resource: which of the batch's resources it comes from.
        scope: which library made it.
        left_out: attributes, events, links and ends of texts that did not fit the bounds.
    """

    trace_id: str
    span_id: str
    name: str
    begin_ns: str
    end_ns: str
    parent_id: str = ""
    kind: int = 0
    attributes: dict[str, Json] = {}
    events: tuple[ClaimedEvent, ...] = ()
    links: tuple[ClaimedLink, ...] = ()
    status: int = 0
    message: str = ""
    resource: int = 0
    scope: str = ""
    left_out: int = 0


@dataclass(slots=True)
class Claims:
    """All of one request.

    Attributes:
        rejected: how many spans were not taken, by reason.
    """

    resources: list[dict[str, Json]] = field(default_factory=list)
    spans: list[ClaimedSpan] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)

    def reject(self, why: str, count: int = 1) -> None:
        """Count spans that are not taken."""
        self.rejected[why] = self.rejected.get(why, 0) + count


Look = Callable[[Any], tuple[str, Any]]
"""What an attribute value of one encoding is: `plain` with a value of JSON (or a number that JSON
has not), `list` with further values, or `pairs` with names and values."""


class Taking:
    """Takes the attributes of one span within its bounds."""

    __slots__ = ("_look", "_values", "left_out")

    def __init__(self, look: Look) -> None:
        self._look = look
        self._values = 0
        self.left_out = 0

    def text(self, text: str, most: int = MAX_TEXT_CHARS) -> str:
        """A text, cut if it is too long."""
        if len(text) <= most:
            return text
        self.left_out += 1
        return text[:most]

    def pairs(self, pairs: Collection[tuple[str, Any]], depth: int = 0) -> dict[str, Json]:
        """Attributes by name; of one that stands twice the last counts.

        What there is no room for is not looked at: it may be millions.
        """
        found: dict[str, Json] = {}
        for place, (key, value) in enumerate(pairs):
            if not self._room(depth):
                self.left_out += len(pairs) - place
                break
            name = self.text(key, MAX_NAME_CHARS)
            if len(found) >= MAX_ATTRIBUTES and name not in found:
                self.left_out += 1
            else:
                found[name] = self._value(value, depth)
        return found

    def _room(self, depth: int) -> bool:
        self._values += 1
        return self._values <= MAX_VALUES and depth <= MAX_DEPTH

    def _value(self, value: Any, depth: int) -> Json:
        kind, held = self._look(value)
        if kind == "pairs":
            return self.pairs(held, depth + 1)
        if kind == "list":
            found: list[Json] = []
            for place, each in enumerate(held):
                if not self._room(depth + 1):
                    self.left_out += len(held) - place
                    break
                found.append(self._value(each, depth + 1))
            return found
        return self._plain(held)

    def _plain(self, held: str | bool | int | float | None) -> Json:
        if isinstance(held, str):
            return self.text(held)
        if held is None or isinstance(held, bool):
            return held
        if isinstance(held, int):
            return held if abs(held) <= MAX_SAFE_INTEGER else str(held)
        if math.isfinite(held):
            return held
        return "NaN" if math.isnan(held) else "Infinity" if held > 0 else "-Infinity"


def valid_ids(trace_id: str, span_id: str, parent_id: str) -> str:
    """Why these are no ids of a span; "" if they are. W3C Trace Context: zeros only are none."""
    if len(trace_id) != 32 or trace_id == _NO_TRACE:
        return "`trace_id` is not 16 bytes, or only zeros"
    if len(span_id) != 16 or span_id == _NO_SPAN:
        return "`span_id` is not 8 bytes, or only zeros"
    if parent_id and len(parent_id) != 16:
        return "`parent_span_id` is not 8 bytes"
    return ""
