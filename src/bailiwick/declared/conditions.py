"""How each kind of condition is written in a mandate: one entry for each, and nothing elsewhere.

An entry says the key, what may stand after it, how that becomes a condition, and which JSON types a
value must have for the condition ever to hold (see `tool_checks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from bailiwick.core.argument_path import ArgumentPath, parse_argument_path
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import (
    Anything,
    AtLeast,
    AtMost,
    Condition,
    Equals,
    Matches,
    OneOf,
    Present,
    Under,
)
from bailiwick.core.glob import Glob
from bailiwick.core.values import Number, number_of
from bailiwick.declared.readings import read_folder
from bailiwick.declared.shapes import (
    AnyValue,
    Field,
    Flag,
    ListOf,
    MapOf,
    Quantity,
    Record,
    Shape,
    Text,
)

TEXT = frozenset({"string"})
NUMBER = frozenset({"integer", "number", "string"})
"""Decimal text is a number too."""
ANYTHING = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})

Make = Callable[[ArgumentPath, Json, bool], Condition]
"""From path, what stands after the key (its shape is checked) and `optional`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of condition.

    Attributes:
        key: as written in a mandate.
        shape: what may stand after it.
        doc: what it means, in one sentence, for the schema and editors.
        make: the condition.
        types: JSON Schema types of the values for which it can hold.
        alone: no other condition may stand beside it.
    """

    key: str
    shape: Shape
    doc: str
    make: Make
    types: frozenset[str] = ANYTHING
    alone: bool = False


def many(value: Json) -> tuple[str, ...]:
    """The texts in a list of texts, or in one text that stands without the list."""
    if isinstance(value, list | tuple):
        return tuple(str(each) for each in value)
    assert isinstance(value, str)
    return (value,)


def _one_of(path: ArgumentPath, value: Json, optional: bool) -> Condition:
    assert isinstance(value, list | tuple)
    return OneOf(path, tuple(value), optional)


def _globs(value: Json) -> tuple[Glob, ...]:
    return tuple(Glob(text) for text in many(value))


def bound(value: Json) -> Number:
    """The exact number of a `Quantity`."""
    number = number_of(value)
    assert number is not None
    # An integer compares several times faster, and most bounds are whole.
    whole = isinstance(number, Decimal) and number == number.to_integral_value()
    return int(number) if whole else number


_GLOB = Text(reads=Glob)
_FOLDER = Text(reads=read_folder, max_length=4_096)

KINDS: tuple[Kind, ...] = (
    Kind(
        "any",
        Flag(only_true=True),
        "Names the argument and all beneath it; any value will do.",
        lambda path, _value, _optional: Anything(path),
        alone=True,
    ),
    Kind(
        "present",
        Flag(),
        "The argument is given, or with `false` is not given.",
        lambda path, value, optional: Present(path, value is True, optional),
    ),
    Kind("one_of", ListOf(AnyValue()), "The value is one of these.", _one_of),
    Kind("equals", AnyValue(), "The value is this one.", Equals),
    Kind(
        "at_least",
        Quantity(),
        "The value is a number not below this one.",
        lambda path, value, optional: AtLeast(path, bound(value), optional),
        NUMBER,
    ),
    Kind(
        "at_most",
        Quantity(),
        "The value is a number not above this one.",
        lambda path, value, optional: AtMost(path, bound(value), optional),
        NUMBER,
    ),
    Kind(
        "matches",
        ListOf(_GLOB, or_one=True),
        "The value is text like this; `*` is any run of characters.",
        lambda path, value, optional: Matches(path, _globs(value), optional),
        TEXT,
    ),
    Kind(
        "under",
        ListOf(_FOLDER, or_one=True),
        "The value is a path in this folder, by its text.",
        lambda path, value, optional: Under(path, many(value), optional),
        TEXT,
    ),
)
"""Every kind, in the order in which the conditions on one argument are looked at."""

BY_KEY = {kind.key: kind for kind in KINDS}

CONDITION = Record(
    "a condition",
    {
        **{kind.key: Field(kind.shape, kind.doc) for kind in KINDS},
        "optional": Field(Flag(), "It is fine if the argument is not given."),
    },
    some_of=tuple(BY_KEY),
)

WHEN = Field(
    MapOf(Text(reads=parse_argument_path, max_length=256), CONDITION, least=1),
    "Conditions by argument: `amount`, `payee.iban`, `items[].amount`. All must hold.",
)


def conditions_on(path: ArgumentPath, asked: JsonObject) -> Iterator[Condition]:
    """The conditions that `asked` (checked against `CONDITION`) puts on one argument."""
    optional = asked.get("optional") is True
    for kind in KINDS:
        if kind.key in asked:
            yield kind.make(path, asked[kind.key], optional)
