"""How conditions on statements of SQL are written in a mandate."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.core.argument_path import EACH, ArgumentPath
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions.sql import Sql, TablePattern
from bailiwick.core.texts.sql import DIALECTS, STATEMENTS, SqlReader
from bailiwick.declared.shapes import Choice, Field, ListOf, Record, Text

_TABLE = Text(
    r"[A-Za-z0-9_$*.][A-Za-z0-9_$*. -]*",
    "is not a table: letters, digits and `_$-`, with `*` for any run of them",
    TablePattern,
    max_length=256,
)
_FUNCTION = Text(
    r"[a-z_][a-z0-9_]*", "is not the name of a function in small letters", max_length=63
)

SQL = Record(
    "a condition on SQL",
    {
        "dialect": Field(
            Choice(DIALECTS), "What the database behind the tool speaks.", required=True
        ),
        "statements": Field(
            ListOf(Choice(STATEMENTS), most=len(STATEMENTS), or_one=True),
            "Every kind in the statement is one of these: a DELETE that returns rows is a SELECT "
            "too.",
        ),
        "tables": Field(
            ListOf(_TABLE, or_one=True),
            "Every table it reads or writes is one of these: `orders`, `sales.orders`, `sales.*`.",
        ),
        "functions": Field(
            ListOf(_FUNCTION, or_one=True),
            "Functions it may call besides those known to be harmless.",
        ),
    },
    some_of=("statements", "tables"),
)


def sql_condition(path: ArgumentPath, asked: Json, optional: bool) -> Sql:
    """The condition that `asked` (checked against `SQL`) puts on an argument.

    Raises:
        ValueError: the argument is many: reading one statement may take a twentieth of a second.
    """
    if EACH in path:
        raise ValueError("is about one statement, and not about every item of a list")
    assert isinstance(asked, Mapping)
    return Sql(
        path,
        dialect=str(asked["dialect"]),
        statements=_texts(asked, "statements"),
        tables=tuple(map(TablePattern, _texts(asked, "tables"))),
        functions=_texts(asked, "functions"),
        read=_reader(),
        optional=optional,
    )


def _reader() -> SqlReader:
    """The reader, loaded when the first mandate needs it: its parser takes half a second."""
    from bailiwick.core.texts.sql_tree import read_sql

    return read_sql


def _texts(asked: JsonObject, key: str) -> tuple[str, ...]:
    """The texts of a list, or of one that stands without the list."""
    value = asked.get(key, ())
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
