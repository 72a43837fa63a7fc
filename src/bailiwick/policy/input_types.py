"""A tool's input schema, read as Cedar types.

JSON Schema says more than Cedar can type, and servers write less of it than they mean. What has no
one type is left out, with the reason; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.policy.types import Attribute, RecordOf, SetOf, Simple, Type

MAX_DEPTH = 6
MAX_ATTRIBUTES = 500
"""Bounds of one tool's type; what is beyond is left out of it."""

ESCAPES = frozenset({"__entity", "__extn", "__expr"})
"""Names that Cedar's JSON reads as notation. No attribute has one."""

_NULL: JsonObject = {"type": "null"}


@dataclass(slots=True)
class Reading:
    """A tool's input schema being read. `left_out`: what has no type, and why."""

    root: JsonObject
    left_out: list[tuple[str, str]] = field(default_factory=list)
    attributes: int = 0


def type_of_input(schema: Json) -> tuple[RecordOf, list[tuple[str, str]]]:
    """The type of a tool's arguments, and what of it has none (path and reason).

    Total: a schema that makes no sense gives an empty record.
    """
    reading = Reading(schema if isinstance(schema, Mapping) else {})
    found = _record(reading.root, "", reading, 0)
    return found, reading.left_out


_NO_TYPE = "its schema gives it no one type"


def _type(schema: Json, path: str, reading: Reading, depth: int) -> tuple[Type | None, bool]:
    """The type of a schema, and whether null is also taken; None, noted, if it has none."""
    found, nullable = _type_or_why(schema, path, reading, depth)
    if isinstance(found, str):
        _leave_out(reading, path, found)
        return None, nullable
    return found, nullable


def _type_or_why(schema: Json, path: str, reading: Reading, depth: int) -> tuple[Type | str, bool]:
    nullable = False
    for _ in range(MAX_DEPTH):  # wrappers around the one schema that says something
        if not isinstance(schema, Mapping):
            return _NO_TYPE, nullable
        inner, null = _unwrapped(schema, reading)
        nullable = nullable or null
        if inner is schema:
            break
        schema = inner
    if not isinstance(schema, Mapping):
        return _NO_TYPE, nullable
    kind, null = _kind(schema)
    return _of_kind(kind, schema, path, reading, depth), nullable or null


def _of_kind(kind: str, schema: JsonObject, path: str, reading: Reading, depth: int) -> Type | str:
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind not in ("object", "array"):
        return _NO_TYPE
    if depth >= MAX_DEPTH:
        return f"more than {MAX_DEPTH} levels"
    if kind == "object":
        if not isinstance(schema.get("properties"), Mapping):
            return "an object without properties"
        return _record(schema, path, reading, depth)
    item, null = _type_or_why(schema.get("items"), f"{path}[]", reading, depth + 1)
    if isinstance(item, str) or null:
        return "a list whose items are not of one type"
    return SetOf(item)


_SIMPLE = {
    "string": Simple.TEXT,
    "integer": Simple.WHOLE,
    "number": Simple.DECIMAL,
    "boolean": Simple.FLAG,
}


def _record(schema: JsonObject, path: str, reading: Reading, depth: int) -> RecordOf:
    properties, required = schema.get("properties"), schema.get("required")
    needed = _texts(required)
    found: dict[str, Attribute] = {}
    for name, inside in properties.items() if isinstance(properties, Mapping) else ():
        at = f"{path}.{name}" if path else name
        reading.attributes += 1
        if name in ESCAPES:
            _leave_out(reading, at, "its name is Cedar's own notation")
        elif reading.attributes > MAX_ATTRIBUTES:
            _leave_out(reading, at, f"more than {MAX_ATTRIBUTES} arguments")
        else:
            type_, nullable = _type(inside, at, reading, depth + 1)
            if type_ is not None:
                found[name] = Attribute(type_, name in needed and not nullable)
    return RecordOf(found)


def _unwrapped(schema: JsonObject, reading: Reading) -> tuple[Json, bool]:
    """One wrapper taken off (`$ref`, `anyOf` with null, `allOf` of one); itself if there is none.

    None in place of a schema when it stands for several.
    """
    ref = schema.get("$ref")
    if isinstance(ref, str):
        return _resolve(ref, reading.root), False
    for word in ("anyOf", "oneOf", "allOf"):
        options = schema.get(word)
        if isinstance(options, list):
            real = [one for one in options if one != _NULL]
            null = word != "allOf" and len(real) < len(options)
            return (real[0] if len(real) == 1 else None), null
    return schema, False


def _resolve(ref: str, root: JsonObject) -> Json:
    if ref == "#":
        return root
    if not ref.startswith("#/"):
        return None
    here: Json = root
    for step in ref[2:].split("/")[: MAX_DEPTH + 2]:
        name = step.replace("~1", "/").replace("~0", "~")
        here = here.get(name) if isinstance(here, Mapping) else None
    return here


def _kind(schema: JsonObject) -> tuple[str, bool]:
    """The one JSON type a schema allows ("" for none or several), and whether null is one more."""
    stated = schema.get("type")
    kinds = {stated} if isinstance(stated, str) else _texts(stated)
    if not kinds:
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        listed = values if isinstance(values, list) else []
        kinds = {_JSON_TYPES.get(type(value), "") for value in listed}
    if not kinds and "properties" in schema:
        kinds = {"object"}
    null = "null" in kinds
    kinds -= {"null"}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    return (kinds.pop() if len(kinds) == 1 else ""), null


_JSON_TYPES = {str: "string", int: "integer", bool: "boolean", type(None): "null"}


def _texts(value: Json) -> set[str]:
    """The texts in a list; empty if it is none of texts."""
    if not isinstance(value, list):
        return set()
    return {item for item in value if isinstance(item, str)}


def _leave_out(reading: Reading, path: str, why: str) -> None:
    if len(reading.left_out) < MAX_ATTRIBUTES:
        reading.left_out.append((path, why))
