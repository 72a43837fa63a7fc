"""What a statement of SQL does, by a parser that knows its dialect (sqlglot).

The second of two readers; `sql.py` is the first. The parser is lenient, so its tree is believed
only where every node and every part of a node is on a list of those understood here, and where the
tree accounts for what the first reader saw: each name after `FROM`, `JOIN`, `INTO` and `UPDATE`,
each call, each number and quoted name. Both must split the text alike. What is not understood has
no meaning.

A name that `WITH` defines is not a table, but dialects differ in where such a name can be seen
(SQLite and `RECURSIVE` see later ones, a target of writing sees none). Only where all agree that it
is the defined one does it count as that; where they do not, there is no meaning.

Loading the parser takes about half a second, so only mandates with a condition on SQL import this.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from functools import lru_cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.tokenizer_core import Token as TheirToken
from sqlglot.tokenizer_core import TokenType

from bailiwick.core.texts.sql import (
    HARMLESS,
    NamePart,
    SqlMeaning,
    Token,
    calls_in,
    sources_in,
    tokens_of,
)
from bailiwick.core.texts.sql_nodes import PARTS, PLAIN, TYPES
from bailiwick.core.values import show

logging.getLogger("sqlglot").disabled = True  # it would write the text itself to the log


class _NotUnderstood(Exception):
    """Something in the tree is not on the list; says what, in words."""


@lru_cache(maxsize=64)
def read_sql(text: str, dialect: str) -> SqlMeaning | str:
    """What `text` does, or in words why that cannot be told.

    Pure and total. Bounded by `MAX_SQL`, `MAX_TOKENS` and `MAX_DEPTH`.

    Args:
        text: one statement.
        dialect: one of `DIALECTS`.
    """
    split = tokens_of(text, dialect)
    if isinstance(split, str):
        return split
    tree = _parse(text, dialect, split)
    if tree is None:
        return f"is not understood as {dialect}"
    try:
        return _Reading(tree, split, HARMLESS[dialect]).meaning()
    except _NotUnderstood as reason:
        return str(reason)


def _parse(text: str, dialect: str, ours: tuple[Token, ...]) -> exp.Expr | None:
    """The tree, or None where the parser fails or splits the text otherwise than `sql.py`."""
    reader = Dialect.get_or_raise(dialect)
    try:
        theirs = reader.tokenize(text)
        if _pieces(map(_of_theirs, theirs)) != _pieces(map(_of_ours, ours)):
            return None
        trees = reader.parser().parse(theirs, text)
    except Exception:  # noqa: BLE001  # its own errors, RecursionError, and whatever a bug may raise
        return None
    return trees[0] if len(trees) == 1 else None


def _pieces(tokens: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Tokens with everything between strings and quoted names in one piece.

    The two readers put signs and keywords together differently (`ORDER BY`, `::`).
    """
    pieces = [("", "")]
    for kind, text in tokens:
        if kind:
            pieces += [(kind, text), ("", "")]
        else:
            pieces[-1] = ("", pieces[-1][1] + "".join(text.lower().split()))
    # Where it ends, a `;` may stand.
    return [*pieces[:-1], ("", pieces[-1][1].removesuffix(";"))]


def _of_ours(token: Token) -> tuple[str, str]:
    return (token.kind if token.kind in ("string", "name") else "", token.text)


def _of_theirs(token: TheirToken) -> tuple[str, str]:
    kinds = {TokenType.STRING: "string", TokenType.IDENTIFIER: "name"}
    return (kinds.get(token.token_type, ""), token.text)


class _Reading:
    """One pass over a tree, collecting what the statement does."""

    def __init__(self, tree: exp.Expr, split: tuple[Token, ...], harmless: frozenset[str]) -> None:
        self.harmless = harmless
        self.tree = tree
        self.tokens = split
        self.statements: set[str] = set()
        self.tables: set[tuple[NamePart, ...]] = set()
        self.functions: set[str] = set()
        self.texts: set[str] = set()
        self.calls = Counter(calls_in(split))
        self.lists: Counter[str] = Counter()  # names before a list of columns: those are no calls
        self.defined: dict[str, set[NamePart]] = {}
        for cte in tree.find_all(exp.CTE):
            name = cte.args["alias"].this
            self.defined.setdefault(cte.alias.lower(), set()).add(_part(name))

    def meaning(self) -> SqlMeaning:
        """Visit every node; raises `_NotUnderstood`."""
        queue: list[tuple[exp.Expr, frozenset[str]]] = [(self.tree, frozenset())]
        # Not recursive: a chain of a thousand additions is as deep as it is long.
        while queue:
            node, seen = queue.pop()
            self._check_parts(node)
            queue.extend(self._visit(node, seen))
        self._account_for_tokens()
        return SqlMeaning(
            frozenset(self.statements), frozenset(self.tables), frozenset(self.functions)
        )

    def _check_parts(self, node: exp.Expr) -> None:
        kind = type(node)
        parts = PARTS.get(kind)
        if parts is None and kind not in PLAIN and not self._is_spelled_call(node):
            raise _NotUnderstood(f"holds {_name_of(kind)}, which is not understood")
        for part, value in node.args.items():
            if value is None or value is False or value == [] or value == "":
                continue
            if parts is not None and part not in parts:
                raise _NotUnderstood(f"holds {_name_of(kind)} with {part.strip('_').upper()}")
            if isinstance(value, str):
                self.texts.add(value.lower())

    def _is_spelled_call(self, node: exp.Expr) -> bool:
        """Whether it is a function by its own name, which is then looked at as any other's."""
        if isinstance(node, exp.Anonymous):
            return True
        kinds = [kind for kind in type(node).__mro__ if kind in _FUNCTION_KINDS]
        return any(name.lower() in self.calls for kind in kinds for name in kind.sql_names())

    def _visit(
        self, node: exp.Expr, seen: frozenset[str]
    ) -> Iterator[tuple[exp.Expr, frozenset[str]]]:
        """Take note of a node, and say where to go on, with the `WITH` names seen there."""
        definitions = node.args.get("with_")
        if definitions is not None:
            seen = yield from self._definitions(definitions, seen)
        target: exp.Expr | None = None
        if isinstance(node, exp.Insert | exp.Update | exp.Delete):
            target = node.this
            self._note_writing(node)
        elif isinstance(node, exp.Select | exp.Values | exp.SetOperation):
            written = isinstance(node, exp.Values) and isinstance(node.parent, exp.Insert)
            self.statements.update(() if written else ("select",))
        elif isinstance(node, exp.Table):
            self._note_table(node, seen)
        elif isinstance(node, exp.From | exp.Join | exp.Lateral):
            self._check_source(node)
        elif isinstance(node, exp.Anonymous):
            self._note_call(str(node.this).lower())
        elif isinstance(node, exp.DataType) and node.this not in TYPES:
            raise _NotUnderstood("holds a type that is not a plain one")
        if isinstance(node, exp.Schema) or (isinstance(node, exp.TableAlias) and node.columns):
            self.lists[node.this.name.lower() if node.this else ""] += 1
        for child in node.iter_expressions():
            if child is not definitions:
                # What is written is always a table, whatever `WITH` says.
                yield child, frozenset() if child is target else seen

    def _definitions(
        self, definitions: exp.Expr, seen: frozenset[str]
    ) -> Generator[tuple[exp.Expr, frozenset[str]], None, frozenset[str]]:
        """Visit the queries of a `WITH`; returns the names seen after it."""
        self._check_parts(definitions)
        recursive = bool(definitions.args.get("recursive"))
        for definition in definitions.expressions:
            self._check_parts(definition)
            own = frozenset({definition.alias.lower()})
            yield definition.this, seen | own if recursive else seen - own
            yield definition.args["alias"], seen
            seen = seen | own
        return seen

    def _check_source(self, node: exp.From | exp.Join | exp.Lateral) -> None:
        # MariaDB takes `lateral x` for a table of that name.
        kinds = _SOURCES if not isinstance(node, exp.Lateral) else exp.Subquery
        if not isinstance(node.this, kinds):
            raise _NotUnderstood(f"takes from {_name_of(type(node.this))}, which is not understood")

    def _note_writing(self, node: exp.Expr) -> None:
        kind = type(node).__name__.lower()
        self.statements.add(kind)
        conflict = node.args.get("conflict")
        if conflict is not None and conflict.expressions:
            self.statements.add("update")
        beside = (node.args.get("returning"), node.args.get("from_"), node.args.get("using"))
        if any(beside) or node.this.args.get("joins"):
            self.statements.add("select")

    def _note_table(self, node: exp.Table, seen: frozenset[str]) -> None:
        if not isinstance(node.this, exp.Identifier):
            return  # a function in its place, noted as a call
        stated = [node.args.get("catalog"), node.args.get("db"), node.this]
        parts = tuple(_part(part) for part in stated if part is not None)
        name = parts[-1].text.lower()
        if len(parts) > 1 or name not in self.defined:
            self.tables.add(parts)
        elif name not in seen:
            raise _NotUnderstood(f"uses {show(parts[-1].text)} where WITH may or may not define it")
        elif not _all_one(self.defined[name] | {parts[-1]}):
            raise _NotUnderstood(f"writes {show(parts[-1].text)} otherwise than WITH may do")

    def _note_call(self, name: str) -> None:
        if name not in self.harmless:
            self.functions.add(name)

    def _account_for_tokens(self) -> None:
        """Hold the tree to what the first reader saw: nothing dropped, nothing turned over."""
        tables = {part.text for parts in self.tables for part in parts}
        for name in sources_in(self.tokens):
            if name not in tables and name.lower() not in self.defined.keys() | self.calls:
                raise _NotUnderstood(f"takes from {show(name)}, which is not understood")
        for name in self.calls - self.lists:
            self._note_call(name)
        before = Token("sign", "")
        for token in self.tokens:
            text = token.text.lower()
            stated = token.kind in ("name", "number") and before.lower != "interval"
            if stated and text not in self.texts:
                raise _NotUnderstood(f"holds {show(token.text)}, which is not understood")
            before = token


def _part(name: exp.Expr) -> NamePart:
    return NamePart(name.name, bool(name.args.get("quoted")))


def _all_one(names: set[NamePart]) -> bool:
    """Whether they are one name in every dialect: same letters, and if only some are in quotes
    (which keeps capitals in PostgreSQL), small ones."""
    texts = {name.text for name in names}
    return len(texts) == 1 and (len(names) == 1 or all(text == text.lower() for text in texts))


def _name_of(kind: type) -> str:
    return show(kind.__name__.upper())


_SOURCES = (exp.Table, exp.Subquery, exp.Values, exp.Lateral)
_FUNCTION_KINDS = frozenset(exp.FUNCTION_BY_NAME.values())
