"""Words for people: states, times, and JSON as rows that read like a form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bailiwick.core.canonical import Json, JsonObject

MAX_ROWS = 400
_MAX_DEPTH = 12


_WANTS = {
    "tool": "wants to use",
    "resource": "wants to read",
    "prompt": "wants the prompt",
    "client": "is asked for",
    "model": "wants to ask",
    "command": "wants to run",
}
_ENTRIES = {
    "call.intent": "what was asked and how it was judged",
    "call.outcome": "how it ended",
    "hold": "that it waited for a person",
    "stamp": "a person's stamp",
}
_INTENTS = {
    "allow": "what was asked, and that it was allowed",
    "hold": "what was asked, and that it was held",
    "deny": "what was asked, and that it was denied",
}


@dataclass(frozen=True, slots=True)
class Word:
    """A state in words. `tone` picks its colour: good, bad, wait, busy, quiet or odd."""

    text: str
    tone: str


_CALL_STATES = {
    "denied": Word("Denied", "bad"),
    "held": Word("Waiting for a stamp", "wait"),
    "refused": Word("Refused", "bad"),
    "running": Word("Running", "busy"),
    "done": Word("Done", "good"),
    "failed": Word("Failed", "bad"),
    "cancelled": Word("Cancelled", "quiet"),
    "unknown": Word("Outcome unknown", "odd"),
}
_HOLD_STATES = {
    "waiting": Word("Waiting", "wait"),
    "approved": Word("Approved", "good"),
    "refused": Word("Refused", "bad"),
    "expired": Word("Expired", "quiet"),
    "used": Word("Approved, has run", "good"),
    "withdrawn": Word("Withdrawn", "quiet"),
}
_OTHER_STATES = {
    "active": Word("Active", "good"),
    "draft": Word("Draft", "quiet"),
    "suspended": Word("Suspended", "wait"),
    "revoked": Word("Revoked", "bad"),
    "expired": Word("Expired", "quiet"),
    "up": Word("Up", "good"),
    "ready": Word("Ready", "good"),
    "running": Word("Running", "good"),
    "idle": Word("Idle", "quiet"),
    "starting": Word("Starting", "busy"),
    "restarting": Word("Restarting", "wait"),
    "down": Word("Down", "bad"),
    "failed": Word("Failed", "bad"),
    "stopped": Word("Stopped", "quiet"),
    "resting": Word("At rest", "wait"),
    "trying": Word("Being tried", "busy"),
    "missing": Word("Missing", "bad"),
    "accepted": Word("Accepted", "good"),
    "held": Word("Changed, waits for review", "wait"),
}


def call_word(state: str) -> Word:
    """A call's state in words."""
    return _CALL_STATES.get(state, Word(state, "quiet"))


def hold_word(state: str) -> Word:
    """A hold's state in words."""
    return _HOLD_STATES.get(state, Word(state, "quiet"))


def state_word(state: str) -> Word:
    """The state of an object, a server or a pin in words."""
    return _OTHER_STATES.get(state, Word(state, "quiet"))


def wants(kind: str) -> str:
    """What an agent wants of a target of this kind: `wants to use`, `wants to read`, …"""
    return _WANTS.get(kind, "wants")


def entry_words(leaf: JsonObject) -> str:
    """What a ledger entry of a call says."""
    kind, decision = str(leaf.get("type")), str(leaf.get("decision"))
    if kind == "call.intent":
        if leaf.get("code") == "approved":
            return "that it was let run as approved"
        return _INTENTS.get(decision, _ENTRIES[kind])
    return _ENTRIES.get(kind, kind)


def ago(at_ms: int, now_ms: int) -> str:
    """How long ago, roughly: `just now`, `40 s ago`, `3 min ago`, `2 h ago`, `5 days ago`."""
    seconds = (now_ms - at_ms) // 1000
    if seconds < 5:
        return "just now"
    return f"{_span(seconds)} ago"


def left(until_ms: int, now_ms: int) -> str:
    """How long is left, roughly: `3 min left`, `none left`."""
    seconds = (until_ms - now_ms) // 1000
    return f"{_span(seconds)} left" if seconds > 0 else "none left"


def exact(at_ms: int) -> str:
    """The moment itself, in UTC to the second: `2026-11-22 10:04:05 UTC`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def machine_time(at_ms: int) -> str:
    """The moment for `<time datetime>`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def took(from_ms: int, to_ms: int) -> str:
    """A duration: `38 ms`, `4.2 s`, `3 min`."""
    span_ms = max(0, to_ms - from_ms)
    if span_ms < 1000:
        return f"{span_ms} ms"
    if span_ms < 60_000:
        return f"{span_ms / 1000:.1f} s"
    return _span(span_ms // 1000)


def _span(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 120 * 60:
        return f"{seconds // 60} min"
    if seconds < 36 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86_400} days"


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a JSON document, for a table.

    Attributes:
        path: keys from the outside in; list positions as `1.`, `2.`, …
        text: the value, whole.
        kind: `text`, `blanks at its ends` (text that has some), `number`, `yes or no`, `3 items`
            (one on each line), or `nothing` for null and what is empty.
    """

    path: tuple[str, ...]
    text: str
    kind: str


def fields(value: Json) -> tuple[Sequence[Field], int]:
    """`value` as rows, in its own order, and how many rows were left out beyond `MAX_ROWS`."""
    rows: list[Field] = []
    more = 0
    for row in _fields(value, ()):
        if len(rows) < MAX_ROWS:
            rows.append(row)
        else:
            more += 1
    return rows, more


def _fields(value: Json, path: tuple[str, ...]) -> Iterator[Field]:
    if isinstance(value, Mapping) and value and len(path) < _MAX_DEPTH:
        for key, item in value.items():
            yield from _fields(item, (*path, key))
    elif (lines := _as_lines(value)) is not None:
        count = lines.count("\n") + 1
        yield Field(path, lines, f"{count} items" if count > 1 else "1 item")
    elif isinstance(value, list | tuple) and value and len(path) < _MAX_DEPTH:
        for number, item in enumerate(value, 1):
            yield from _fields(item, (*path, f"{number}."))
    else:
        yield _leaf(value, path)


def _as_lines(value: Json) -> str | None:
    """A list of plain one-line texts as lines, or None: such a list reads best as one value."""
    if not isinstance(value, list | tuple) or not value:
        return None
    texts = [item for item in value if isinstance(item, str) and item and item.isprintable()]
    return "\n".join(texts) if len(texts) == len(value) else None


def _leaf(value: Json, path: tuple[str, ...]) -> Field:
    match value:
        case bool():
            return Field(path, "yes" if value else "no", "yes or no")
        case None:
            return Field(path, "nothing", "nothing")
        case int() | float():
            return Field(path, json.dumps(value), "number")
        case "":
            return Field(path, "empty text", "nothing")
        case str() if value != value.strip():
            return Field(path, value, "blanks at its ends")
        case str():
            return Field(path, value, "text")
        case _ if not value:
            empty = "empty" if isinstance(value, Mapping) else "empty list"
            return Field(path, empty, "nothing")
        case _:
            return Field(path, pretty(value), "text")


def pretty(value: Json) -> str:
    """Indented JSON, in the value's own order."""
    return json.dumps(value, indent=2, ensure_ascii=False)
