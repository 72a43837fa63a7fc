"""How each kind of condition is written in a mandate: one entry for each, and nothing elsewhere.

An entry says the key, what may stand after it, how that becomes a condition, and which JSON types a
value must have for the condition ever to hold (see `tool_checks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import bailiwick.declared.values as values
from bailiwick.core.argument_path import EACH, ArgumentPath, parse_argument_path
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import (
    Anything,
    Condition,
    EndsWith,
    FitsRegex,
    Items,
    Matches,
    OneOf,
    Present,
    StartsWith,
    Under,
    Vouched,
    Which,
)
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.regex import Regex
from bailiwick.core.values import kind_of
from bailiwick.declared.addresses import EMAIL, URL, email_condition, url_condition
from bailiwick.declared.alternatives import AnyValueOrArgument, ByForm, Named, argument_in
from bailiwick.declared.commands import COMMAND, command_condition
from bailiwick.declared.readings import read_folder
from bailiwick.declared.shapes import (
    AnyValue,
    Field,
    Flag,
    ListOf,
    MapOf,
    Record,
    Shape,
    Text,
)
from bailiwick.declared.sql import SQL, sql_condition

TEXT = frozenset({"string"})
NUMBER = frozenset({"integer", "number", "string"})
"""Decimal text is a number too."""
ANYTHING = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})

Make = Callable[[ArgumentPath, Json, bool], "Condition | tuple[Condition, ...]"]
"""From path, what stands after the key (its shape is checked) and `optional`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of condition.

    Attributes:
        key: as written in a mandate.
        shape: what may stand after it.
        doc: what it means, in one sentence, for the schema and editors.
        make: the condition.
        types: JSON Schema types of the values for which it can hold; where it depends on what
            stands after the key, a function of that.
    """

    key: str
    shape: Shape
    doc: str
    make: Make
    types: frozenset[str] | Callable[[Json], frozenset[str]] = ANYTHING


def many(value: Json) -> tuple[str, ...]:
    """The texts in a list of texts, or in one text that stands without the list."""
    if isinstance(value, list | tuple):
        return tuple(str(each) for each in value)
    assert isinstance(value, str)
    return (value,)


_regex = lru_cache(maxsize=1024)(Regex)
"""Compiled once however many mandates have it: a child has those of its parent."""


def _one_of(path: ArgumentPath, value: Json, optional: bool) -> Condition:
    assert isinstance(value, list | tuple)
    return OneOf(path, tuple(value), optional)


def _globs(value: Json) -> tuple[Glob, ...]:
    return tuple(Glob(text) for text in many(value))


def _of_items(which: Which) -> Make:
    """Makes a condition on the items of a list together."""

    def make(path: ArgumentPath, value: Json, optional: bool) -> Condition:
        if EACH not in path:
            raise ValueError("is about the items of a list: write `items[]` or `items[].amount`")
        assert isinstance(value, Mapping)
        return Items(path, which, tuple(_made(PLAIN_KINDS, path, value, False)), optional)

    return make


def _any(path: ArgumentPath, value: Json, optional: bool) -> Condition | tuple[Condition, ...]:
    return Anything(path) if value is True else _of_items(Which.ANY)(path, value, optional)


def _by_content(value: Json) -> frozenset[str]:
    """Types for which a value can be equal to `value`."""
    if argument_in(value) is not None:
        return ANYTHING
    return frozenset({"integer", "number"} if _is_number(value) else {_JSON_TYPES[kind_of(value)]})


def _of_one_of(value: Json) -> frozenset[str]:
    assert isinstance(value, list | tuple)
    return frozenset[str]().union(*(_by_content(each) for each in value))


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_JSON_TYPES = {
    "null": "null",
    "a boolean": "boolean",
    "text": "string",
    "a list": "array",
    "an object": "object",
}


_GLOB = Text(reads=Glob)
_PIECE = Text(r"[^\u0000]+", "is empty")
_FOLDER = Text(reads=read_folder, max_length=4_096)

PLAIN_KINDS: tuple[Kind, ...] = (
    Kind(
        "present",
        Flag(),
        "The argument is given, or with `false` is not given.",
        lambda path, value, optional: Present(path, value is True, optional),
    ),
    Kind("one_of", ListOf(AnyValue()), "The value is one of these.", _one_of, _of_one_of),
    Kind(
        "equals",
        AnyValueOrArgument(),
        "The value is this one, or that of `{argument: NAME}`.",
        values.equals,
        _by_content,
    ),
    Kind(
        "at_least",
        values.NUMBER_BOUND,
        "The value is a number not below this one, or that of `{argument: NAME}`.",
        values.at_least,
        NUMBER,
    ),
    Kind(
        "at_most",
        values.NUMBER_BOUND,
        "The value is a number not above this one, or that of `{argument: NAME}`.",
        values.at_most,
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
        "The value is a path in this folder; links are followed where the gateway sees the files.",
        lambda path, value, optional: Under(path, many(value), optional),
        TEXT,
    ),
    Kind("url", URL, "The value is a URL that leads where this says.", url_condition, TEXT),
    Kind("email", EMAIL, "The value is one plain email address, of these.", email_condition, TEXT),
    Kind(
        "command",
        COMMAND,
        "The value is one plain command, a line or a list of words, of one of these forms.",
        command_condition,
        frozenset({"string", "array"}),
    ),
    Kind(
        "sql",
        SQL,
        "The value is one statement of SQL that does no more than this.",
        sql_condition,
        TEXT,
    ),
    Kind(
        "money",
        values.MONEY,
        "The value is an amount of money, in a currency.",
        values.money,
        NUMBER,
    ),
    Kind(
        "date",
        values.DATE_RANGE,
        "The value is a date `YYYY-MM-DD` in this range.",
        values.date_condition,
        TEXT,
    ),
    Kind(
        "time",
        values.TIME_RANGE,
        "The value is a date and time with its offset, in this range.",
        values.time_condition,
        TEXT,
    ),
    Kind(
        "duration",
        values.DURATION_RANGE,
        "The value is an ISO 8601 duration in this range.",
        values.duration_condition,
        TEXT,
    ),
    Kind(
        "prefix",
        ListOf(_PIECE, or_one=True),
        "The value is text that starts like this.",
        lambda path, value, optional: StartsWith(path, many(value), optional),
        TEXT,
    ),
    Kind(
        "suffix",
        ListOf(_PIECE, or_one=True),
        "The value is text that ends like this.",
        lambda path, value, optional: EndsWith(path, many(value), optional),
        TEXT,
    ),
    Kind(
        "length",
        values.LENGTH_RANGE,
        "The value is text of so many characters.",
        values.length,
        TEXT,
    ),
    Kind(
        "regex",
        values.REGEX,
        "The value is text that fits this regular expression (RE2) as a whole.",
        lambda path, value, optional: FitsRegex(path, _regex(str(value)), optional),
        TEXT,
    ),
    Kind(
        "count",
        values.COUNT_RANGE,
        "The value is a list of so many items.",
        values.count,
        frozenset({"array"}),
    ),
)
"""Kinds that look at one value, in the order in which they are looked at."""

ON_ITEMS = Record(
    "a condition on items",
    # Described once in the schema: what holds for one value is written alike for each item.
    {
        kind.key: Field(Named(f"condition/properties/{kind.key}", kind.shape), kind.doc)
        for kind in PLAIN_KINDS
    },
    some_of=tuple(kind.key for kind in PLAIN_KINDS),
)
_ON_ITEMS = Named("on_items", ON_ITEMS)

KINDS: tuple[Kind, ...] = (
    Kind(
        "any",
        ByForm(Flag(only_true=True), _ON_ITEMS),
        "`true`: names the argument and all beneath it; any value will do. Or what at least one "
        "item must meet.",
        _any,
    ),
    *PLAIN_KINDS,
    Kind(
        "vouched",
        Flag(only_true=True),
        "The value comes from the person or a trusted source; otherwise the call waits.",
        lambda path, _value, optional: Vouched(path, optional),
    ),
    Kind("all", _ON_ITEMS, "What every item must meet.", _of_items(Which.ALL)),
    Kind("none", _ON_ITEMS, "What no item may meet.", _of_items(Which.NONE)),
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
    MapOf(Text(reads=parse_argument_path, max_length=256), Named("condition", CONDITION), least=1),
    "Conditions by argument: `amount`, `payee.iban`, `items[].amount`. All must hold.",
)

DEFINITIONS: dict[str, Shape] = {"condition": CONDITION, "on_items": ON_ITEMS}
"""What the schema refers to by name."""


def conditions_on(path: ArgumentPath, asked: JsonObject) -> Iterator[Condition]:
    """The conditions that `asked` (checked against `CONDITION`) puts on one argument.

    Raises:
        ValueError: what its shape cannot say is wrong with it, in words for people.
    """
    return _made(KINDS, path, asked, asked.get("optional") is True)


def _made(
    kinds: Iterable[Kind], path: ArgumentPath, asked: JsonObject, optional: bool
) -> Iterator[Condition]:
    for kind in kinds:
        if kind.key in asked:
            try:
                made = kind.make(path, asked[kind.key], optional)
            except ValueError as error:
                raise ValueError(f"`{kind.key}`: {error}") from error
            yield from made if isinstance(made, tuple) else (made,)
