"""What of an answer may stand in a public leaf: which model served it, and counts of tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from bailiwick.core.canonical import MAX_SAFE_INTEGER, Json
from bailiwick.core.errors import TheirError
from bailiwick.ledger.leaf import LeafValue
from bailiwick.protocols.llm.dialect import Dialect
from bailiwick.protocols.sse import SseDecoder

_SERVED = re.compile(r"[!-~]{1,128}")
_MAX_EVENT_BYTES = 4 * 1024 * 1024
_COUNTS = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "cached_tokens": (
        "cache_read_input_tokens",
        "input_tokens_details.cached_tokens",
        "prompt_tokens_details.cached_tokens",
    ),
    "reasoning_tokens": (
        "output_tokens_details.reasoning_tokens",
        "completion_tokens_details.reasoning_tokens",
    ),
}
"""The name in the leaf → where the dialects say it."""

_NOTHING: Mapping[str, Json] = {}


def facts_of(dialect: Dialect, answer: Json, status: int) -> dict[str, LeafValue]:
    """The facts of a whole answer. Never raises: what cannot be read is left out."""
    facts: dict[str, LeafValue] = {"dialect": dialect.value, "http_status": status}
    _take(facts, _table(answer))
    return facts


def facts_of_stream(dialect: Dialect, events: bytes) -> dict[str, LeafValue]:
    """The facts of a stream, of what of it was kept; a later event corrects an earlier one."""
    facts: dict[str, LeafValue] = {"dialect": dialect.value, "http_status": 200}
    try:
        found = SseDecoder(_MAX_EVENT_BYTES).feed(events)
    except TheirError:
        return facts
    for event in found:
        if "served" in facts and b'"usage"' not in event.data:
            continue
        try:
            value = _table(msgspec.json.decode(event.data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        # Responses and Messages wrap the answer as it is so far.
        for each in (value, _table(value.get("response")), _table(value.get("message"))):
            _take(facts, each)
    return facts


def _take(facts: dict[str, LeafValue], answer: Mapping[str, Json]) -> None:
    model = answer.get("model")
    if isinstance(model, str) and _SERVED.fullmatch(model):
        facts["served"] = model
    usage = _table(answer.get("usage"))
    for name, places in _COUNTS.items():
        for place in places:
            count: Json = usage
            for step in place.split("."):
                count = _table(count).get(step)
            if type(count) is int and 0 <= count <= MAX_SAFE_INTEGER:
                facts[name] = count


def _table(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else _NOTHING
