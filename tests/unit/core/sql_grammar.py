"""Statements of SQL by the thousand: odd, nested, sometimes broken, about a few tables.

Seeded, so that one number is one statement.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

TABLES = ("t", "s", "secret")
_NAMES = (
    *("t", "s", "secret", "x", "y", "z", '"secret"', "SECRET", "main.secret", "main.t", "v"),
    *('"t"', "T", "x", "y"),
)
_DEFINED = ("x", "y", "z", "secret", "t", "X", "s", '"x"')
_OPERATORS = (
    *("+", "-", "=", "<>", "and", "or", "||", "like", "is", "<=", "is not", "between 1 and"),
    *("glob", "->>"),
)
_FUNCTIONS = (
    *("count", "max", "lower", "coalesce", "sum", "total", "group_concat", "random", "f"),
    *("json_extract", "char", "typeof", "iif"),
)
_STRAY = (
    *("secret", ",", "(", ")", "from", "join", "select", "as", "'secret'", '"secret"', "with"),
    *("in", "union", "lateral", "only", "table", "on", "using", "x", ".", ";", "*", "values"),
)


class Grammar:
    """Writes one statement after the other, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)

    def statement(self) -> str:
        """A statement, two in five of them broken."""
        depth = self.chance.randint(1, 3)
        text = self._by(self.query, self.query, self.writing)(depth)
        return self._broken(text) if self._now(0.4) else text

    def query(self, depth: int) -> str:
        """Something that reads."""
        if depth <= 0:
            return self._of("select 1", "select a from t", "select * from secret", "values (1)")
        text = self._with(depth) if self._now(0.25) else ""
        text += self._select(depth)
        if self._now(0.2):
            other = self._by(self._select, self.query, lambda deep: f"({self.query(deep)})")
            text += self._of(" union ", " union all ", " except ") + other(depth - 1)
        if self._now(0.15):
            text += f" order by {self._value(depth - 1)}" + self._of("", " desc", " nulls first")
        if self._now(0.15):
            text += f" limit {self._value(depth - 1)}" + self._of("", " offset 1")
        return text

    def writing(self, depth: int) -> str:
        """Something that writes."""
        table = self._of("t", "s", "secret", "main.t", "x", "v", '"t"')
        text = self._with(depth - 1) if self._now(0.3) and depth > 1 else ""
        text += self._by(self._insert, self._update, self._delete)(depth, table)
        return text + self._of("", "", f" returning {self._value(depth - 1)}", " returning *")

    def _insert(self, depth: int, table: str) -> str:
        columns = self._of("", " (a)", " as q", " (a, b)", " as secret")
        value = self._value(depth - 1)
        rows = self._of(self.query(depth - 1), f"values ({value})", "default values")
        conflict = self._of(
            "",
            "",
            f" on conflict do update set a = {value}",
            " on conflict do nothing",
            f" on conflict (a) where {value} do update set a = 1 where {value}",
        )
        start = self._of("insert into", "insert into", "replace into", "insert or ignore into")
        return f"{start} {table}{columns} {rows}{conflict}"

    def _update(self, depth: int, table: str) -> str:
        value = self._of(self._value(depth - 1), f"({self.query(depth - 1)})")
        set_ = self._of("a", "(a, b)")
        source = self._of("", f" from {self._sources(depth - 1)}")
        start = f"update {table}{self._of('', ' as q')} set {set_} = {value}"
        return start + source + self._where(depth)

    def _delete(self, depth: int, table: str) -> str:
        return f"delete from {table}{self._of('', ' as q')}{self._where(depth)}"

    def _with(self, depth: int) -> str:
        def one() -> str:
            inner = self.writing(depth - 1) if self._now(0.15) else self.query(depth - 1)
            kind = self._of("", "", "materialized ", "not materialized ")
            return f"{self._of(*_DEFINED)}{self._of('', '', '(a)', '(a, b)')} as {kind}({inner})"

        parts = [one() for _ in range(self.chance.randint(1, 3))]
        return f"with {self._of('', '', 'recursive ')}{', '.join(parts)} "

    def _select(self, depth: int) -> str:
        text = f"select {self._of('', '', 'distinct ', 'all ')}{self._columns(depth - 1)}"
        text += f" from {self._sources(depth - 1)}" if self._now(0.85) else ""
        text += self._where(depth) if self._now(0.4) else ""
        if self._now(0.15):
            text += f" group by {self._value(depth - 1)}" + self._of("", " having a")
        return text + (
            f" window w as (order by {self._value(depth - 1)})" if self._now(0.08) else ""
        )

    def _columns(self, depth: int) -> str:
        if self._now(0.3):
            return self._of("*", "t.*", "q.*")
        names = ("", "", " as c", " c", " 'c'", " as secret")
        number = self.chance.randint(1, 3)
        return ", ".join(self._value(depth) + self._of(*names) for _ in range(number))

    def _where(self, depth: int) -> str:
        return f" where {self._value(depth - 1)}" if self._now(0.5) else ""

    def _sources(self, depth: int) -> str:
        text = self._source(depth)
        while self._now(0.3):
            join = self._of(", ", " join ", " left join ", " natural join ", " cross join ")
            text += join + self._source(depth)
            text += self._of("", "", " on 1", " using (a)", f" on {self._value(depth - 1)}")
        return text

    def _source(self, depth: int) -> str:
        if depth > 0 and self._now(0.2):
            return f"({self.query(depth - 1)}){self._of('', ' q', ' as q', ' as secret')}"
        if depth > 0 and self._now(0.15):
            return f"({self._sources(depth - 1)}){self._of('', ' q')}"
        named = ("", "", "", " as q", " q", " as secret", " secret", " not indexed", " as 'q'")
        return self._of(*_NAMES) + self._of(*named)

    def _value(self, depth: int) -> str:
        if depth <= 0 or self._now(0.3):
            names = ("a", "b", "q.a", "t.a", "secret.a", "x.a", '"secret"', "rowid")
            return self._of(*names, "1", "'secret'", "null", "?", "2.5", "-1", "current_timestamp")
        one, two = self._value(depth - 1), self._value(depth - 1)
        inner = self.query(depth - 1)
        call = f"{self._of(*_FUNCTIONS)}({one}{self._of('', ', ' + two)})"
        over = ("", "", " over ()", f" over (partition by {two})", f" filter (where {two})")
        return self._of(
            *(f"({inner})", f"exists ({inner})", f"{one} in ({inner})", f"{one} not in ({inner})"),
            *(f"{one} in {self._of(*_NAMES)}", f"{one} {self._of(*_OPERATORS)} {two}"),
            call + self._of(*over),
            f"case {self._of('', two)} when {one} then {two} {self._of('', 'else 1')} end",
            f"cast({one} as {self._of('int', 'text', 'varchar(9)', 'foo')})",
            *(f"not {one}", f"({one})", f"({one}, {two}) = ({inner})", f"{one} not null"),
        )

    def _broken(self, text: str) -> str:
        words = text.split(" ")
        for _ in range(self.chance.randint(1, 2)):
            at = self.chance.randrange(len(words))
            if self._now(0.3) and len(words) > 1:
                del words[at]
            elif self._now(0.4):
                words.insert(at, self.chance.choice(words))
            else:
                words[at] = self._of(*_STRAY)
        return " ".join(words)

    def _of(self, *texts: str) -> str:
        return self.chance.choice(texts)

    def _by(self, *ways: Callable[..., str]) -> Callable[..., str]:
        return self.chance.choice(ways)

    def _now(self, probability: float) -> bool:
        return self.chance.random() < probability
