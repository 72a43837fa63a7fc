"""Conditions on statements of SQL (see `core/texts/sql.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions.base import Condition, listed, not_text
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.sql import NamePart, SqlMeaning, SqlReader
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, every, fold, show, some

MAX_TABLE_PARTS = 3
"""Most pieces of a table's name: database, schema, table."""


@dataclass(frozen=True, slots=True)
class TablePattern:
    """A table as written in a mandate: `orders`, `sales.orders`, `sales.*`.

    Attributes:
        text: as written.
        parts: one glob for each piece between the dots; only names of as many pieces can fit.
    """

    text: str
    parts: tuple[Glob, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Split it once. Raises ValueError for an empty piece or too many."""
        pieces = self.text.split(".")
        if len(pieces) > MAX_TABLE_PARTS or "" in pieces:
            raise ValueError("is not `TABLE`, `SCHEMA.TABLE` or `DATABASE.SCHEMA.TABLE`")
        object.__setattr__(self, "parts", tuple(Glob(piece) for piece in pieces))

    @property
    def literal(self) -> bool:
        """Whether it means one table."""
        return all(glob.literal for glob in self.parts)

    def of(self, name: tuple[NamePart, ...], dialect: str) -> Truth:
        """Whether `name` fits. Without its schema, a name may be of any."""
        if len(name) != len(self.parts):
            pairs = zip(reversed(name), reversed(self.parts), strict=False)
            fails = any(_piece(part, glob, dialect) is FAILS for part, glob in pairs)
            return FAILS if fails else CANNOT_TELL
        truth = every(map(_piece, name, self.parts, [dialect] * len(name)))
        wild = not self.literal
        # What the database keeps for itself is never meant by a star.
        return CANNOT_TELL if truth is HOLDS and wild and _is_system(name) else truth

    @property
    def is_system(self) -> bool:
        """Whether it writes out a table that the database keeps for itself."""
        return _is_system(tuple(NamePart(glob.text, False) for glob in self.parts))


@dataclass(frozen=True, slots=True)
class Sql(Condition):
    """The value is one statement that does no more than this.

    Attributes:
        dialect: of the database behind the tool.
        statements: every kind in it is one of these.
        tables: every table in it fits one of these; none are asked for if empty.
        functions: that it may call besides the harmless ones, in lower case.
        read: the reader, given from outside because its parser takes long to load.
    """

    path: ArgumentPath
    dialect: str
    statements: tuple[str, ...]
    tables: tuple[TablePattern, ...]
    functions: tuple[str, ...]
    read: SqlReader = field(repr=False, compare=False)
    optional: bool = False

    def of(self, value: Json) -> Truth:
        """Whether it holds for this value."""
        if not isinstance(value, str):
            return CANNOT_TELL
        meaning = self.read(value, self.dialect)
        return CANNOT_TELL if isinstance(meaning, str) else every(self._asked(meaning))

    def _asked(self, meaning: SqlMeaning) -> Iterator[Truth]:
        if self.statements:
            known = meaning.statements & frozenset(self.statements)
            yield HOLDS if known == meaning.statements else CANNOT_TELL if known else FAILS
        if self.tables:
            found = {self._table(name) for name in meaning.tables}
            yield found.pop() if len(found) == 1 else CANNOT_TELL if found else HOLDS
        yield HOLDS if meaning.functions.issubset(self.functions) else CANNOT_TELL

    def _table(self, name: tuple[NamePart, ...]) -> Truth:
        return some(pattern.of(name, self.dialect) for pattern in self.tables)

    def stands(self, value: Json) -> str:
        """How this value stands."""
        if not isinstance(value, str):
            return not_text(value)
        meaning = self.read(value, self.dialect)
        if isinstance(meaning, str):
            return f"is {show(value)} which {meaning}"
        return f"is {show(value)} which {self._does(meaning)}"

    def _does(self, meaning: SqlMeaning) -> str:
        """What of a statement is not allowed, or else all it does."""
        unknown = sorted(meaning.functions - frozenset(self.functions))
        if unknown:
            return f"calls {listed(map(show, unknown))}"
        kinds = sorted(meaning.statements - frozenset(self.statements or meaning.statements))
        if kinds:
            return f"holds {listed(kind.upper() for kind in kinds)}"
        names = sorted(
            ".".join(part.text for part in name)
            for name in meaning.tables
            if not self.tables or self._table(name) is not HOLDS
        )
        if names:
            return f"uses {listed(map(show, names))}"
        return f"holds {listed(kind.upper() for kind in sorted(meaning.statements))}"

    @property
    def phrase(self) -> str:
        """What must be so, to follow the argument's name."""
        kinds = " or ".join(kind.upper() for kind in self.statements) or "a statement"
        text = f"{kinds} of SQL ({self.dialect})"
        if self.tables:
            text += f" on {listed(show(pattern.text) for pattern in self.tables)}"
        if self.functions:
            text += f" that may call {listed(map(show, self.functions))}"
        return text


def _piece(part: NamePart, glob: Glob, dialect: str) -> Truth:
    """Whether a piece of a name fits, by how the dialect reads capitals.

    SQLite ignores them. PostgreSQL turns those outside quotes into small letters. MySQL heeds or
    ignores them by the system it runs on.
    """
    if dialect == "sqlite":
        return HOLDS if glob.nearly_matches(fold(part.text)) else FAILS
    stated = part.text.lower() if dialect == "postgres" and not part.quoted else part.text
    if glob.matches(stated):
        return HOLDS
    return CANNOT_TELL if glob.nearly_matches(fold(stated)) else FAILS


def _is_system(name: tuple[NamePart, ...]) -> bool:
    return any(
        part.text.lower().startswith(_SYSTEM_PREFIXES) or part.text.lower() in _SYSTEM_NAMES
        for part in name
    )


_SYSTEM_PREFIXES = ("pg_", "sqlite_", "pragma_", "mysql_", "innodb_")
_SYSTEM_NAMES = frozenset(
    {"information_schema", "performance_schema", "mysql", "sys", "dbstat", "fsdir", "temp"}
)
