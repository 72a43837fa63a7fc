"""Declared mandates in sentences. What is not understood here is shown as it is, never left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.console.circumstances import said_only
from bailiwick.console.shapes import parsed
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.ports import ObjectRow

_TARGETS = ("tool", "tools", "resource", "resources", "prompt", "prompts", "client")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule in words.

    Attributes:
        targets: what it is about, as `server/name`, other kinds than tools named.
        conditions: argument and what must hold of it.
        notes: everything else it says.
    """

    id: str
    targets: Sequence[str]
    conditions: Sequence[tuple[str, str]]
    notes: Sequence[str]
    because: str


@dataclass(frozen=True, slots=True)
class MandateView:
    """One mandate version in words; `document` is the whole of it."""

    principal: str
    agent: str
    purpose: str
    valid: str
    only: Sequence[str]
    stamp: Sequence[Rule]
    deny: Sequence[Rule]
    allow: Sequence[Rule]
    document: Json


def view_mandate(row: ObjectRow) -> MandateView:
    """Read a declared mandate; a damaged one reads as empty, with its document as it is."""
    document = parsed(row.document)
    spec = _object(_object(document).get("spec"))
    valid = _object(spec.get("valid"))
    return MandateView(
        principal=_text(spec.get("from")),
        agent=_text(spec.get("to")),
        purpose=_text(spec.get("purpose")),
        valid=", ".join(
            f"{word} {_plain(valid[word])}" for word in ("from", "until") if word in valid
        ),
        only=said_only(spec.get("only")),
        stamp=_rules(spec.get("stamp"), _stamp_note),
        deny=_rules(spec.get("deny"), _other_note),
        allow=_rules(spec.get("allow"), _other_note),
        document=document,
    )


def _rules(rules: Json, note: Callable[[str, Json], str]) -> list[Rule]:
    return [_rule(_object(rule), note) for rule in _list(rules)]


def _rule(rule: JsonObject, note: Callable[[str, Json], str]) -> Rule:
    said = ("id", "when", "because", *_TARGETS)
    return Rule(
        id=_text(rule.get("id")),
        targets=[
            _plain(item) if word.startswith("tool") else f"{word.removesuffix('s')} {_plain(item)}"
            for word in _TARGETS
            for item in _list(rule.get(word))
        ],
        conditions=[
            (name, "; ".join(_condition(how, value) for how, value in _object(condition).items()))
            for name, condition in _object(rule.get("when")).items()
        ],
        notes=[
            text for key, value in rule.items() if key not in said and (text := note(key, value))
        ],
        because=_text(rule.get("because")),
    )


def _condition(how: str, value: Json) -> str:
    match how, value:
        case "one_of", _:
            return f"one of {_or(value)}"
        case "equals", _:
            return f"exactly {_plain(value)}"
        case "at_most" | "at_least", _:
            return f"{how.replace('_', ' ')} {_plain(value)}"
        case "matches", _:
            return f"like {_or(value)}"
        case "under", _:
            return f"in the folder {_or(value)}"
        case "present", bool():
            return "must be given" if value else "must not be given"
        case "any", True:
            return "anything"
        case "optional", True:
            return "or not given"
        case "optional", False:
            return "must be given"
        case _:
            return f"{how}: {json.dumps(value, ensure_ascii=False)}"


def _stamp_note(key: str, value: Json) -> str:
    match key:
        case "role":
            return f"needs the role {_plain(value)}"
        case "not":
            return f"not by {_or(value)}"
        case "people":
            return f"needs {_plain(value)} different people"
        case "expires":
            return f"refused after {_plain(value)}"
        case _:
            return _other_note(key, value)


def _other_note(key: str, value: Json) -> str:
    match key, value:
        case "other_arguments", "allow":
            return "with any other arguments"
        case "other_arguments", "refuse":
            return ""
        case "only", _:
            return "only " + ", and ".join(said_only(value))
        case _:
            return f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _or(value: Json) -> str:
    words = [_plain(item) for item in _list(value)]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: Json) -> str:
    return "" if value is None else _plain(value)


def _list(value: Json) -> Sequence[Json]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, Mapping) else {}
