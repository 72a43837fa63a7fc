"""What a tool takes, in Cedar's types, and its arguments expressed in them.

INVARIANT: a value is expressed exactly or not at all (`Inexpressible`), and only by the type its
definition gives it. So nothing in an argument is ever read as Cedar's own notation for entities
and extensions (`{"__entity": …}`), nothing is rounded, and nothing nests deeper than its type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.values import MAX_FOLDED, fold, kind_of, number_of, show
from bailiwick.policy.statements import Wanted

MAX_DEPTH = 6
MAX_ATTRIBUTES = 500
"""Bounds of one tool's type; what is beyond is left out of it."""

MAX_VALUES = 2_000
MAX_CHARS = 65_536
"""Bounds of what one call gives policies to look at."""

LEAST_LONG, MOST_LONG = -(2**63), 2**63 - 1

ESCAPES = frozenset({"__entity", "__extn", "__expr"})
"""Names that Cedar's JSON reads as notation. No attribute has one."""

_DECIMAL_PLACES = 4
_NULL: JsonObject = {"type": "null"}


class Inexpressible(ValueError):
    """A value that has no exact form in its type; the message says which, for people."""


class Simple(Enum):
    """The types without parts. The value is Cedar's name."""

    TEXT = "String"
    WHOLE = "Long"
    DECIMAL = "decimal"
    MOMENT = "datetime"
    FLAG = "Bool"
    PERSON = "Person"


@dataclass(frozen=True, slots=True)
class SetOf:
    """A set; order and repetition are lost."""

    item: Type


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a record."""

    type: Type
    required: bool


@dataclass(frozen=True, slots=True)
class RecordOf:
    """A record with these attributes and no others."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)


Type = Simple | SetOf | RecordOf

_CEDAR: dict[Simple, JsonObject] = {
    **{simple: {"type": simple.value} for simple in (Simple.TEXT, Simple.WHOLE)},
    Simple.FLAG: {"type": "Boolean"},
    Simple.DECIMAL: {"type": "Extension", "name": "decimal"},
    Simple.MOMENT: {"type": "Extension", "name": "datetime"},
    Simple.PERSON: {"type": "Entity", "name": "Person"},
}


def in_cedar(type_: Type) -> JsonObject:
    """The type in Cedar's JSON schema."""
    if isinstance(type_, Simple):
        return _CEDAR[type_]
    if isinstance(type_, SetOf):
        return {"type": "Set", "element": in_cedar(type_.item)}
    attributes = {
        name: {**in_cedar(one.type), "required": one.required}
        for name, one in type_.attributes.items()
    }
    return {"type": "Record", "attributes": attributes}


def only(type_: Type, wanted: Wanted) -> Type:
    """The type with no more in it than is looked at."""
    if not isinstance(type_, RecordOf) or wanted.whole:
        return type_
    return RecordOf(
        {
            name: Attribute(only(one.type, inside), one.required)
            for name, one in type_.attributes.items()
            if (inside := wanted.at(name)) is not None
        }
    )


# --- reading a tool's input schema ---------------------------------------------------------------


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


# --- expressing arguments ------------------------------------------------------------------------


class Expression:
    """Expresses the values of one call, bounded over all of them."""

    __slots__ = ("_chars", "_values")

    def __init__(self) -> None:
        self._values = 0
        self._chars = 0

    def of(self, value: Json, type_: Type, path: str) -> Json:
        """`value` as a value of `type_`, in Cedar's JSON.

        Raises:
            Inexpressible: it has no exact form there, or there is too much in this call.
        """
        self._values += 1
        if self._values > MAX_VALUES:
            raise Inexpressible(f"it holds more than {MAX_VALUES} values that they look at")
        if isinstance(type_, Simple):
            return self._simple(value, type_, path)
        if isinstance(type_, SetOf):
            if not isinstance(value, list):
                raise _mismatch(path, value, "a list")
            return [self.of(item, type_.item, f"{path}[]") for item in value]
        return self._record(value, type_, path)

    def texts(self, values: list[str]) -> list[Json]:
        """Texts that are no value of an argument."""
        return [self.of(value, Simple.TEXT, "") for value in values]

    def _record(self, value: Json, type_: RecordOf, path: str) -> Json:
        if not isinstance(value, Mapping):
            raise _mismatch(path, value, "an object")
        found: dict[str, Json] = {}
        missing: list[str] = []
        for name, one in type_.attributes.items():
            inside = value.get(name)
            at = f"{path}.{name}" if path else name
            if inside is not None:
                found[name] = self.of(inside, one.type, at)
                continue
            if one.required:
                raise Inexpressible(f"{show(at)} is missing")
            missing.append(name)
        if missing and len(value) > len(found):
            _no_look_alike(value, type_, missing)
        return found

    def _simple(self, value: Json, type_: Simple, path: str) -> Json:
        kind = type(value)
        if type_ is Simple.TEXT and kind is str:
            self._chars += len(value)  # type: ignore[arg-type]  # text by its type
            if self._chars > MAX_CHARS:
                raise Inexpressible(f"it holds more than {MAX_CHARS} characters that they look at")
            return value
        if type_ is Simple.FLAG and kind is bool:
            return value
        if type_ is Simple.WHOLE and kind in (int, float):
            return _whole(value, path)
        if type_ is Simple.DECIMAL and kind in (int, float):
            return _decimal(value, path)
        raise _mismatch(path, value, _NOUNS[type_])


_NOUNS = {
    Simple.TEXT: "text",
    Simple.FLAG: "a boolean",
    Simple.WHOLE: "a whole number",
    Simple.DECIMAL: "a number",
}


def _whole(value: Json, path: str) -> int:
    number = number_of(value)
    if number is None or number != int(number) or not LEAST_LONG <= number <= MOST_LONG:
        raise Inexpressible(f"{show(path)} is {show(value)}, which is no whole number of 64 bits")
    return int(number)


def _decimal(value: Json, path: str) -> Json:
    number = number_of(value)
    if number is not None:
        exact = Decimal(number)
        places = -exact.as_tuple().exponent  # type: ignore[operator]  # finite, so a number
        steps = int(exact.scaleb(_DECIMAL_PLACES)) if abs(exact) < 10**15 else MOST_LONG + 1
        if places <= _DECIMAL_PLACES and LEAST_LONG <= steps <= MOST_LONG:
            sign, digits = "-" if steps < 0 else "", f"{abs(steps):05}"
            text = f"{sign}{digits[:-_DECIMAL_PLACES]}.{digits[-_DECIMAL_PLACES:]}"
            return {"__extn": {"fn": "decimal", "arg": text}}
    raise Inexpressible(
        f"{show(path)} is {show(value)}: policies compare numbers of at most "
        f"{_DECIMAL_PLACES} decimal places exactly, and no others"
    )


def _no_look_alike(value: JsonObject, type_: RecordOf, missing: list[str]) -> None:
    """`Amount` may be what a server takes for the `amount` that is not there."""
    folded = {fold(name): name for name in missing}
    for other in value:
        if other in type_.attributes:
            continue
        near = None if len(other) > MAX_FOLDED else folded.get(fold(other))
        if near is not None and near != other:
            raise Inexpressible(f"{show(other)} may be taken for {show(near)}")


def _mismatch(path: str, value: Json, noun: str) -> Inexpressible:
    return Inexpressible(f"{show(path)} is {kind_of(value)}, and its tool takes {noun} there")


def paths_of(type_: Type, path: str = "") -> Iterator[str]:
    """Every attribute in a type, by its path: for near names."""
    if isinstance(type_, SetOf):
        yield from paths_of(type_.item, f"{path}[]")
    elif isinstance(type_, RecordOf):
        for name, one in type_.attributes.items():
            at = f"{path}.{name}" if path else name
            yield at
            yield from paths_of(one.type, at)
