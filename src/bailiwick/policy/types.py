"""Cedar's types, as far as arguments and circumstances need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from bailiwick.core.canonical import JsonObject
from bailiwick.policy.statements import Wanted


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


def paths_of(type_: Type, path: str = "") -> Iterator[str]:
    """Every attribute in a type, by its path: for near names."""
    if isinstance(type_, SetOf):
        yield from paths_of(type_.item, f"{path}[]")
    elif isinstance(type_, RecordOf):
        for name, one in type_.attributes.items():
            at = f"{path}.{name}" if path else name
            yield at
            yield from paths_of(one.type, at)
