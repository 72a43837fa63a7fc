"""What a declaration may look like: one definition that both checks and describes.

A shape checks a tree, reporting every problem with its place, and gives its own JSON Schema. The
definition of our objects is written with these in `schema.py`; tests hold the two readings equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bailiwick.core.canonical import Json
from bailiwick.core.values import kind_of, number_of, show
from bailiwick.declared.problems import Place, Problem, did_you_mean
from bailiwick.declared.secrets import has_reference, references
from bailiwick.declared.tree import Items, Node, Scalar, Table, to_json

Schema = dict[str, Json]

MAX_EITHER = 8
"""How many keys a message names of which one must be there."""

Report = Callable[[Place, str], None]


class Shape(Protocol):
    """Something a node can be checked against."""

    @property
    def noun(self) -> str:
        """What is expected, for "expected …"."""
        ...

    def check(self, node: Node, report: Report) -> None:
        """Report everything about `node` that does not fit."""
        ...

    def schema(self) -> Schema:
        """The same as JSON Schema (draft 2020-12)."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """Text in one piece.

    Attributes:
        pattern: regular expression (the common subset of Python's and ECMA's) for the whole text.
        says: what is wrong when the pattern does not fit, after the text: "is not a duration".
        reads: parser that raises ValueError, for what a pattern cannot say.
        secret: may hold references to secrets.
        quoted: whether messages may quote it; never when `secret`.
    """

    pattern: str = ""
    says: str = ""
    reads: Callable[[str], object] | None = None
    max_length: int = 1_000
    secret: bool = False
    quoted: bool = True

    noun = "text"

    def check(self, node: Node, report: Report) -> None:
        """Check type, length, pattern, parser and where secrets may stand."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self._report_other(node, report)
            return
        text = node.value
        shown = show(text) if self.quoted and not self.secret else "the value"
        if len(text) > self.max_length:
            report(node.place, f"longer than {self.max_length} characters")
        elif "\0" in text or any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
            report(node.place, f"{shown} holds a character that is not text")
        elif has_reference(text):
            self._check_reference(node.place, text, report)
        elif self.pattern and not fits(self.pattern, text):
            report(node.place, f"{shown} {self.says}")
        elif self.reads:
            try:
                self.reads(text)
            except ValueError as error:
                told = str(error)
                report(node.place, f"{shown}{'' if told.startswith('is ') else ':'} {told}")

    def _report_other(self, node: Node, report: Report) -> None:
        value = node.value if isinstance(node, Scalar) else None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and self.says and not fits(self.pattern, str(value)):  # quotes would not help
            report(node.place, f"{show(str(value))} {self.says}")
            return
        quotes = "; put it in quotes" if value is not None else ""
        report(node.place, mismatch(self.noun, node) + quotes)

    def _check_reference(self, place: Place, text: str, report: Report) -> None:
        if not self.secret:
            report(
                place,
                "a secret does not belong here; only `env` and `headers` of a server take one",
            )
            return
        try:
            references(text)
        except ValueError as error:
            report(place, str(error))

    def schema(self) -> Schema:
        """A string."""
        schema: Schema = {"type": "string", "maxLength": self.max_length}
        if self.pattern:
            schema["pattern"] = f"^(?:{self.pattern})$"
        return schema


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    options: tuple[str, ...]

    @property
    def noun(self) -> str:
        """What is expected."""
        return "one of " + ", ".join(f"`{option}`" for option in self.options)

    def check(self, node: Node, report: Report) -> None:
        """Check that it is one of them."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            report(node.place, mismatch(self.noun, node))
        elif node.value not in self.options:
            near = did_you_mean(node.value, self.options)
            report(node.place, f"{show(node.value)} is not known{near}")

    def schema(self) -> Schema:
        """An enum."""
        return {"enum": list(self.options)}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds, both included."""

    least: int
    most: int

    @property
    def noun(self) -> str:
        """What is expected."""
        return f"a whole number from {self.least} to {self.most}"

    def check(self, node: Node, report: Report) -> None:
        """Check type and bounds."""
        value = node.value if isinstance(node, Scalar) else None
        if type(value) is not int:
            report(node.place, mismatch(self.noun, node))
        elif not self.least <= value <= self.most:
            report(node.place, f"{value} is not {self.noun}")

    def schema(self) -> Schema:
        """An integer."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, or one in plain decimal text (`"12.50"`)."""

    noun = 'a number, or one in quotes such as `"12.50"`'

    def check(self, node: Node, report: Report) -> None:
        """Check that it states an exact number."""
        value = node.value if isinstance(node, Scalar) else None
        if value is None or number_of(value) is None:
            report(node.place, mismatch(self.noun, node))

    def schema(self) -> Schema:
        """A number or a string."""
        pattern = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$"
        return {"type": ["number", "string"], "pattern": pattern, "maxLength": 64}


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`; with `only_true`, just `true`."""

    only_true: bool = False

    @property
    def noun(self) -> str:
        """What is expected."""
        return "`true`" if self.only_true else "`true` or `false`"

    def check(self, node: Node, report: Report) -> None:
        """Check that it is one."""
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, bool) or (self.only_true and not value):
            report(node.place, mismatch(self.noun, node))

    def schema(self) -> Schema:
        """A boolean."""
        return {"const": True} if self.only_true else {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class AnyValue:
    """Any JSON value without secrets."""

    noun = "a value"

    def check(self, node: Node, report: Report) -> None:
        """Check that no secret stands in it."""
        if isinstance(node, Scalar):
            if isinstance(node.value, str) and has_reference(node.value):
                report(node.place, "a secret does not belong here")
            return
        for child in node.items if isinstance(node, Items) else (item for _, item in node.entries):
            self.check(child, report)

    def schema(self) -> Schema:
        """Anything."""
        return {}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of `least` to `most` items. `or_one`: a single item may stand without the list."""

    item: Shape
    least: int = 1
    most: int = 1_000
    or_one: bool = False

    @property
    def noun(self) -> str:
        """What is expected."""
        return f"{self.item.noun}, or a list" if self.or_one else "a list"

    def check(self, node: Node, report: Report) -> None:
        """Check the length and each item."""
        if not isinstance(node, Items):
            one = (Scalar, Table) if isinstance(self.item, Record) else Scalar
            if self.or_one and isinstance(node, one):
                self.item.check(node, report)
            else:
                report(node.place, mismatch(self.noun, node))
            return
        if len(node.items) < self.least:
            report(node.place, "the list is empty")
        if len(node.items) > self.most:
            report(node.place, f"more than {self.most} items")
        for item in node.items[: self.most]:
            self.item.check(item, report)

    def schema(self) -> Schema:
        """An array, or one item."""
        array: Schema = {
            "type": "array",
            "items": self.item.schema(),
            "minItems": self.least,
            "maxItems": self.most,
        }
        return {"anyOf": [self.item.schema(), array]} if self.or_one else array


@dataclass(frozen=True, slots=True)
class MapOf:
    """A table from keys that fit `key` to values that fit `value`."""

    key: Text
    value: Shape
    least: int = 0

    noun = "a table"

    def check(self, node: Node, report: Report) -> None:
        """Check each key and value."""
        if not isinstance(node, Table):
            report(node.place, mismatch(self.noun, node))
            return
        if len(node.entries) < self.least:
            report(node.place, "the table is empty")
        for key, value in node.entries:
            self.key.check(key, report)
            self.value.check(value, report)

    def schema(self) -> Schema:
        """An object with `propertyNames`."""
        schema: Schema = {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
        }
        return {**schema, "minProperties": self.least} if self.least else schema


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a record."""

    shape: Shape
    doc: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A table with known keys.

    Attributes:
        title: what it is, for messages: "a server".
        some_of: at least one of these keys must be there.
        one_of: exactly one of these keys must be there.
        needs: a key on the left may stand only beside the one on the right.
    """

    title: str
    fields: Mapping[str, Field]
    some_of: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    needs: Mapping[str, str] | None = None

    @property
    def noun(self) -> str:
        """What is expected."""
        return f"{self.title} (a table)"

    def check(self, node: Node, report: Report) -> None:
        """Check keys, each value, and which keys go together."""
        if not isinstance(node, Table):
            report(node.place, mismatch(self.noun, node))
            return
        present = {str(key.value) for key, _ in node.entries}
        for key, value in node.entries:
            name = str(key.value)
            known = self.fields.get(name)
            if known is None:
                report(key.place, f"unknown key {show(name)}{did_you_mean(name, self.fields)}")
                continue
            known.shape.check(value, report)
            beside = (self.needs or {}).get(name)
            if beside is not None and beside not in present:
                report(key.place, f"`{name}` goes with `{beside}` only")
        for name, known in self.fields.items():
            if known.required and name not in present:
                report(node.place, f"{self.title} needs `{name}`")
        if present <= self.fields.keys():  # else a misspelt key may be the one that is missed
            self._check_groups(node.place, present, report)

    def _check_groups(self, place: Place, present: set[str], report: Report) -> None:
        if self.some_of and present.isdisjoint(self.some_of):
            report(place, f"{self.title} needs {_either(self.some_of)}")
        if self.one_of:
            there = [name for name in self.one_of if name in present]
            if not there:
                report(place, f"{self.title} needs {_either(self.one_of)}")
            elif len(there) > 1:
                both = " and ".join(f"`{name}`" for name in there)
                report(place, f"{self.title} cannot have both {both}")

    def schema(self) -> Schema:
        """An object without further properties."""
        schema: Schema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {"description": known.doc, **known.shape.schema()}
                for name, known in self.fields.items()
            },
        }
        required = [name for name, known in self.fields.items() if known.required]
        if required:
            schema["required"] = required
        if self.some_of:
            schema["anyOf"] = [{"required": [name]} for name in self.some_of]
        if self.one_of:
            schema["oneOf"] = [{"required": [name]} for name in self.one_of]
        if self.needs:
            schema["dependentRequired"] = {name: [beside] for name, beside in self.needs.items()}
        return schema


def mismatch(noun: str, node: Node) -> str:
    """ "expected a list, found text", without the value: it may be a secret in a wrong place."""
    if isinstance(node, Scalar):
        found = "nothing" if node.value is None else kind_of(node.value)
    else:
        found = "a list" if isinstance(node, Items) else "a table"
    return f"expected {noun}, found {found}"


def collect(shape: Shape, node: Node) -> tuple[Json, list[Problem]]:
    """The value of `node`, and every problem `shape` has with it."""
    problems: list[Problem] = []
    shape.check(node, lambda place, message: problems.append(Problem(place, message)))
    return to_json(node), problems


def _either(names: Iterable[str]) -> str:
    all_names = [f"`{name}`" for name in names]
    if len(all_names) > MAX_EITHER:
        return f"{', '.join(all_names[:MAX_EITHER])} or another of its keys"
    return " or ".join(all_names)


def fits(pattern: str, text: str) -> bool:
    """Whether `pattern` fits the whole of `text`."""
    return re.fullmatch(pattern, text) is not None
