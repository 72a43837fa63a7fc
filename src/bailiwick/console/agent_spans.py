"""The agent's own spans beside the steps of a story: clipped, and as its claim.

A span belongs to the call that came with it as its parent (`traceparent`); the others belong to the
run. All of them, whole, are at `GET /api/v1/runs/ID/spans`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports import Control
from bailiwick.ports.story import Step

MAX_SHOWN = 200
"""Spans of one page of a story."""

MAX_ATTRIBUTES = 32
MAX_TEXT_CHARS = 200
_NS_PER_MS = 1_000_000
_TRACE, _PARENT = slice(3, 35), slice(36, 52)


class AgentSpans:
    """Finds the spans for the steps of a page."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def __call__(self, run: str, steps: Sequence[Step]) -> Mapping[str, Sequence[JsonObject]]:
        """By the id of the call, "" for those of the run; the first `MAX_SHOWN`."""
        told = await self._control.spans(run)
        if told is None or not told.batches:
            return {}
        above = {
            (step.traceparent[_TRACE], step.traceparent[_PARENT]): step.id
            for step in steps
            if step.traceparent
        }
        found: defaultdict[str, list[JsonObject]] = defaultdict(list)
        shown = 0
        for batch in told.batches:
            for span in batch.spans:
                if shown >= MAX_SHOWN:
                    return found
                shown += 1
                call = above.get((_text(span, "trace_id"), _text(span, "span_id")), "")
                found[call].append(_clipped(span))
        return found


def _clipped(span: JsonObject) -> JsonObject:
    attributes = span.get("attributes")
    told = attributes if isinstance(attributes, Mapping) else {}
    return {
        "claimed_by": "agent",
        "name": _text(span, "name"),
        "trace_id": _text(span, "trace_id"),
        "span_id": _text(span, "span_id"),
        "parent_id": _text(span, "parent_id"),
        "at_ms": _ms(span, "begin_ns"),
        "ended_ms": _ms(span, "end_ns"),
        "error": span.get("status") == 2,
        "attributes": {key: _short(told[key]) for key in list(told)[:MAX_ATTRIBUTES]},
    }


def _short(value: Json) -> Json:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[:MAX_TEXT_CHARS]}…"


def _text(span: JsonObject, key: str) -> str:
    value = span.get(key)
    return value if isinstance(value, str) else ""


def _ms(span: JsonObject, key: str) -> int:
    value = _text(span, key)
    return int(value) // _NS_PER_MS if value.isdigit() else 0
