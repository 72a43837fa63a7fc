"""Exported lines, read: what stands where in the record of a run (docs/reference/run-record.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.thinking.said_and_did import Thought, read_thought
from bailiwick.protocols.llm.dialect import Said
from bailiwick.protocols.llm.kept import read_kept

_NOTHING: JsonObject = {}


@dataclass(frozen=True, slots=True)
class Exported:
    """A run as exported: its own line, and one for each call."""

    run: JsonObject
    calls: Sequence[JsonObject]


def read_lines(lines: Iterable[bytes]) -> Exported:
    """The lines of one run."""
    run: JsonObject = _NOTHING
    calls: list[JsonObject] = []
    for line in lines:
        value = json.loads(line)
        if value.get("record") == "run":
            run = value
        elif value.get("record") == "call":
            calls.append(value)
    return Exported(run, calls)


def instruction_of(run: JsonObject) -> str:
    """What the run was told to do; "" when nothing, or when it was erased."""
    for entry in objects(run.get("entries")):
        text = shown(entry, "instruction")
        if text:
            return text
    return ""


def leaf_of(call: JsonObject, kind: str) -> JsonObject:
    """The public entry of this type; of several the first."""
    return mapping(_entry(call, kind).get("leaf"))


def asked(call: JsonObject) -> JsonObject:
    """The call as it was asked: `arguments` and what went beside; {} when it was erased."""
    return mapping(mapping(_entry(call, "call.intent").get("more")).get("call"))


def arguments_of(call: JsonObject) -> JsonObject:
    """What it was asked with."""
    return mapping(asked(call).get("arguments"))


def because_of(call: JsonObject) -> str:
    """Why it was decided so."""
    return word(mapping(_entry(call, "call.intent").get("more")), "because")


def use_of(call: JsonObject) -> JsonObject:
    """Of a model call, how it came about."""
    return mapping(mapping(_entry(call, "call.intent").get("more")).get("use"))


def thought_of(call: JsonObject) -> Thought | None:
    """How it stands to what the model asked for."""
    return read_thought(mapping(_entry(call, "call.intent").get("more")).get("thought"))


def said_of(call: JsonObject) -> Said | None:
    """What the model said; None when nothing is known of it."""
    text = shown(_entry(call, "call.outcome"), "said")
    return read_kept(text.encode()) if text else None


def answer_of(call: JsonObject) -> tuple[Json, bool]:
    """What came back as JSON, or its beginning as text; and whether it is an error."""
    outcome = _entry(call, "call.outcome")
    for name in ("result", "error"):
        text = shown(outcome, name)
        if text:
            return json.loads(text), name == "error"
    more = mapping(outcome.get("more"))
    return more.get("head"), more.get("kind") == "error"


def ledger_of(call: JsonObject) -> JsonObject:
    """Where the call stands in the ledger, with its commitments: for whoever checks."""
    return {
        "call": word(call, "id"),
        "entries": [
            {"index": entry.get("index"), "leaf": entry.get("leaf")}
            for entry in objects(call.get("entries"))
        ],
    }


def shown(entry: JsonObject, name: str) -> str:
    """The text of a commitment; "" when it is not shown."""
    return word(mapping(mapping(entry.get("shown")).get(name)), "text")


def objects(value: Json) -> list[JsonObject]:
    """The objects in a list; [] if it is none."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def mapping(value: Json) -> JsonObject:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else _NOTHING


def word(value: JsonObject, key: str) -> str:
    """The text under `key`; "" when there is none."""
    found = value.get(key)
    return found if isinstance(found, str) else ""


def number(value: JsonObject, key: str) -> int:
    """The whole number under `key`; 0 when there is none."""
    found = value.get(key)
    return found if type(found) is int else 0


def _entry(call: JsonObject, kind: str) -> JsonObject:
    for entry in objects(call.get("entries")):
        if mapping(entry.get("leaf")).get("type") == kind:
            return entry
    return _NOTHING
