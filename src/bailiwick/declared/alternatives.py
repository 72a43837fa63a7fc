"""Shapes that leave a choice: a plain value or a table, a value or another argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.core.argument_path import ArgumentPath, parse_argument_path
from bailiwick.core.canonical import Json
from bailiwick.declared.shapes import AnyValue, Field, Record, Report, Schema, Shape, Text
from bailiwick.declared.tree import Node, Scalar, Table

ARGUMENT = Record(
    "another argument",
    {
        "argument": Field(
            Text(reads=parse_argument_path, max_length=256),
            "The argument of the same call to compare with: `invoice.total`.",
            required=True,
        )
    },
)


@dataclass(frozen=True, slots=True)
class ByForm:
    """`plain` for everything but a table, `table` for a table."""

    plain: Shape
    table: Shape

    @property
    def noun(self) -> str:
        """What is expected."""
        return f"{self.plain.noun}, or {self.table.noun}"

    def check(self, node: Node, report: Report) -> None:
        """Check against the one its form asks for."""
        shape = self.table if isinstance(node, Table) else self.plain
        shape.check(node, report)

    def schema(self) -> Schema:
        """Either."""
        return {"anyOf": [self.plain.schema(), self.table.schema()]}


@dataclass(frozen=True, slots=True)
class AnyValueOrArgument:
    """Any JSON value; `{argument: NAME}` alone stands for another argument."""

    noun = "a value"

    def check(self, node: Node, report: Report) -> None:
        """Check that it is a value without secrets, or names an argument."""
        names = isinstance(node, Table) and [str(key.value) for key, _ in node.entries]
        inner = node.get("argument") if isinstance(node, Table) else None
        text = isinstance(inner, Scalar) and isinstance(inner.value, str)
        shape: Shape = ARGUMENT if names == ["argument"] and text else AnyValue()
        shape.check(node, report)

    def schema(self) -> Schema:
        """Anything."""
        return {}


@dataclass(frozen=True, slots=True)
class Named:
    """A shape that stands once in the schema's `$defs`, under `name`."""

    name: str
    shape: Shape

    @property
    def noun(self) -> str:
        """What is expected."""
        return self.shape.noun

    def check(self, node: Node, report: Report) -> None:
        """Check against the shape itself."""
        self.shape.check(node, report)

    def schema(self) -> Schema:
        """A reference."""
        return {"$ref": f"#/$defs/{self.name}"}


def argument_in(value: Json) -> ArgumentPath | None:
    """The argument that `{argument: NAME}` stands for; None for any other value."""
    if isinstance(value, Mapping) and len(value) == 1:
        name = value.get("argument")
        if isinstance(name, str):
            return parse_argument_path(name)
    return None
