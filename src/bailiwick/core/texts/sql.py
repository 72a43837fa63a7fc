r"""What a text of SQL is made of, where every reader of its dialect splits it alike.

The first of two readers. It knows no grammar; it takes only tokens that cannot be read in two ways,
and so decides what never reaches the parser (`sql_tree.py`, the second reader). Not taken:

1. longer than `MAX_SQL`, more than `MAX_TOKENS` tokens, nested deeper than `MAX_DEPTH`;
2. comments of any kind (`--`, `/* */`, `/*! */`, `#`): each dialect has its own, and some run what
   stands in them;
3. backslashes, dollar quotes, strings with a prefix (`E''`, `U&''`, `x''`, `_utf8''`), two strings
   in a row: what ends a string differs between dialects and settings;
4. double quotes in MySQL (a string or a name, by a setting), backquotes elsewhere, brackets;
   names in quotes that need quotes for more than a capital, a space, a `$` or a hyphen;
5. letters beyond ASCII, or control characters, outside strings; a number that runs into a name;
6. names longer than 63 characters, which PostgreSQL cuts off;
7. variables (`@x`, `@@x`), and `;` anywhere but at the end;
8. a text that starts with anything but `SELECT`, `WITH`, `VALUES`, `INSERT`, `UPDATE` or `DELETE`;
9. `INTO` anywhere but after `INSERT`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

MAX_SQL = 10_000
"""Longest text looked at, in characters."""

MAX_TOKENS = 1_500
MAX_DEPTH = 16

DIALECTS = ("postgres", "mysql", "sqlite")
"""The dialects that can be read; what runs the text must be the one that is named."""

STATEMENTS = ("select", "insert", "update", "delete")
"""The kinds of statements that can be told."""

TokenKind = Literal["word", "name", "string", "number", "parameter", "sign"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: `name` is one in quotes, `word` is a name or keyword without.
        text: without its quotes; a word as written.
    """

    kind: TokenKind
    text: str

    @property
    def lower(self) -> str:
        """The text of a word in lower case; "" for other tokens."""
        return self.text.lower() if self.kind == "word" else ""

    def is_sign(self, text: str) -> bool:
        """Whether it is this sign."""
        return self.kind == "sign" and self.text == text


@dataclass(frozen=True, slots=True)
class NamePart:
    """A piece of a table's name: as written, and whether in quotes."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class SqlMeaning:
    """What one statement does, as far as its text tells.

    Attributes:
        statements: every kind in it, of `STATEMENTS`: `select` too where another kind reads.
        tables: what it reads or writes, but for what it defines itself (`WITH`).
        functions: those it calls that are not known to be harmless, in lower case.
    """

    statements: frozenset[str]
    tables: frozenset[tuple[NamePart, ...]]
    functions: frozenset[str]


SqlReader = Callable[[str, str], "SqlMeaning | str"]
"""From text and dialect to its meaning, or in words why it has none. Pure and total."""


def tokens_of(text: str, dialect: str) -> tuple[Token, ...] | str:
    """The tokens of `text`, or in words why it is not plain (the numbers above)."""
    if len(text) > MAX_SQL:  # 1
        return f"is longer than {MAX_SQL} characters"
    tokens: list[Token] = []
    at, end = 0, len(text.rstrip(" \t\r\n"))
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:  # 2, 3, 5, 7
            return f"holds {_what(text, at)}, at character {at + 1}"
        at = found.end()
        kind = found.lastgroup
        if kind == "space":
            continue
        token = _token(kind, found[0])
        why = _unfit(token, tokens[-1] if tokens else None, found[0], dialect)
        if why:
            return why
        if len(tokens) == MAX_TOKENS:  # 1
            return f"has more than {MAX_TOKENS} parts"
        tokens.append(token)
    if tokens and tokens[-1].is_sign(";"):
        tokens.pop()
    return _whole(tokens) or tuple(tokens)


def _whole(tokens: list[Token]) -> str:
    """Why these tokens are no statement that can be told, or ""."""
    if not tokens:
        return "is empty"
    start = next((token for token in tokens if not token.is_sign("(")), tokens[0])
    if start.lower not in ("select", "with", "values", "insert", "update", "delete"):  # 8
        return "does not start with SELECT, WITH, VALUES, INSERT, UPDATE or DELETE"
    depth = 0
    for before, token in zip([Token("sign", ""), *tokens], tokens, strict=False):
        if token.is_sign(";"):  # 7
            return "holds more than one statement"
        if token.lower == "into" and before.lower != "insert":  # 9
            return "holds INTO elsewhere than after INSERT"
        if token.lower in ("outfile", "dumpfile"):
            return "writes a file"
        depth += token.is_sign("(") - token.is_sign(")")
        if depth > MAX_DEPTH:  # 1
            return f"is nested more than {MAX_DEPTH} deep"
    return ""


_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)(?!['\"`$\\]|[^\x00-\x7f])"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9_.$'\"`]|[^\x00-\x7f])"
    r"|(?P<string>'(?:[^'\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|'')*')(?![A-Za-z0-9_$'\"`]|[^\x00-\x7f])"
    r"|(?P<name>\"[^\"\\]*\"|`[^`\\]*`)(?![A-Za-z0-9_$'\"`]|[^\x00-\x7f])"
    r"|(?P<parameter>\?|\$[1-9][0-9]{0,4}(?![A-Za-z0-9_$])|(?<!:):[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>->>|->|::|<>|!=|<=|>=|\|\||-(?!-)|/(?!\*)|[<>=+*%(),.;])"
)
_KINDS: dict[str, TokenKind] = {
    "word": "word",
    "number": "number",
    "parameter": "parameter",
    "sign": "sign",
}
_NAME_IN_QUOTES = re.compile(r"[A-Za-z_][A-Za-z0-9_$ -]*")
_MAX_NAME = 63


def _token(kind: str | None, text: str) -> Token:
    if kind == "string":
        return Token("string", text[1:-1].replace("''", "'"))
    if kind == "name":
        return Token("name", text[1:-1])
    return Token(_KINDS[kind or ""], text)


def _unfit(token: Token, before: Token | None, text: str, dialect: str) -> str:
    """Why a token cannot stand where it does, or ""."""
    if token.kind in ("word", "name") and len(token.text) > _MAX_NAME:  # 6
        return f"holds a name longer than {_MAX_NAME} characters"
    if token.kind == "name":  # 4
        if (text[0] == "`") != (dialect == "mysql"):
            return "holds quotes that are not those of names in its dialect"
        if not _NAME_IN_QUOTES.fullmatch(token.text):
            return "holds a name in quotes that is not plain"
    if token.kind == "string" and before is not None:
        if before.kind == "string":  # 3
            return "holds two strings in a row"
        # SQLite takes a string for a name where only a name can stand.
        if before.lower in ("from", "join", "into", "update", "as", "table") or before.is_sign("."):
            return "holds a string where a name would stand"
    if before is not None and before.is_sign("."):
        plain = token.kind in ("word", "name") or token.is_sign("*")
        return "" if plain else "holds a dot without a name after it"
    if token.is_sign(".") and (before is None or before.kind not in ("word", "name")):
        return "holds a dot without a name before it"
    return ""


def _what(text: str, at: int) -> str:
    """What stands at `at` and cannot be taken, for people."""
    here = text[at : at + 2]
    for start, words in (("--", "a comment"), ("/*", "a comment"), ("#", "a comment")):
        if here.startswith(start):
            return words
    if here[:1] == "'":
        return "a string that not every reader ends in the same place"
    if here[:1] == "$":
        return "a dollar quote"
    if here[:1] == "@":
        return "a variable"
    if here[:1] == "\\":
        return "a backslash"
    if here[:1].isalnum():
        return "a number or name that runs into something else"
    return "a character that is not plain"


def calls_in(tokens: tuple[Token, ...]) -> Iterator[str]:
    """Every word or quoted name with a `(` after it that is no keyword, in lower case."""
    for token, after in pairwise(tokens):
        if after.is_sign("(") and token.kind in ("word", "name"):
            name = token.text.lower()
            if token.kind == "name" or name not in BEFORE_PARENTHESIS:
                yield name


def sources_in(tokens: tuple[Token, ...]) -> Iterator[str]:
    """Every name after `FROM`, `JOIN`, `INTO` or `UPDATE`, as written: the first part of it.

    Not those in `EXTRACT(YEAR FROM x)` and its like, in `IS DISTINCT FROM x` and `DO UPDATE SET`.
    """
    openers: list[str] = []
    before = Token("sign", "")
    for token, after in pairwise(tokens):
        if token.is_sign("("):
            openers.append(before.lower)
        elif token.is_sign(")") and openers:
            openers.pop()
        elif token.lower in ("from", "join", "into", "update"):
            inside = token.lower == "from" and openers and openers[-1] in _WITH_FROM
            apart = inside or before.lower in ("distinct", "do", "key", "for")
            if not apart and after.kind in ("word", "name") and after.lower not in _BEFORE_SOURCE:
                yield after.text
        before = token


_WITH_FROM = frozenset({"extract", "substring", "trim", "overlay", "position"})
_BEFORE_SOURCE = frozenset({"lateral", "select"})

BEFORE_PARENTHESIS = frozenset(
    word
    for words in (
        "select from where having on using and or not in exists any all some between like ilike is",
        "case when then else values set as by limit offset join lateral union except intersect",
        "distinct over filter group within conflict returning default materialized with key",
        # types that take a size
        "char character varying varchar decimal numeric float bit time timestamp timestamptz",
        "datetime",
    )
    for word in words.split()
)
"""Words that may stand before `(` and call nothing."""

_EVERYWHERE = (
    "abs acos asin atan atan2 avg cast ceil ceiling char coalesce cos count cume_dist current_date",
    "current_time current_timestamp date degrees dense_rank exp first_value floor json_object lag",
    "last_value lead length ln log log10 lower ltrim max min mod nth_value ntile nullif",
    "percent_rank pi pow power radians rank replace round row_number rtrim sign sin sqrt substr",
    "substring sum tan time trim upper values",
)
_ONLY_IN = {
    "sqlite": (
        "datetime group_concat hex ifnull iif instr json_array json_array_length json_extract",
        "json_group_array json_group_object json_valid julianday quote strftime total trunc typeof",
        "unixepoch",
    ),
    "postgres": (
        "age array_agg ascii bit_and bit_or bool_and bool_or btrim char_length character_length",
        "concat concat_ws corr covar_pop covar_samp cube date_part date_trunc div every extract",
        "greatest grouping initcap json_agg json_array_length json_build_array json_build_object",
        "json_object_agg jsonb_agg jsonb_build_object jsonb_object_agg least left localtime",
        "localtimestamp make_date md5 mode now octet_length overlay percentile_cont",
        "percentile_disc position reverse right rollup row split_part stddev stddev_pop",
        "stddev_samp string_agg strpos to_char to_date to_number to_timestamp trunc var_pop",
        "var_samp variance",
    ),
    "mysql": (
        "ascii bit_and bit_or char_length character_length concat concat_ws convert curdate",
        "curtime date_add date_format date_sub datediff day dayofmonth dayofweek dayofyear div",
        "extract from_unixtime greatest group_concat grouping hex hour if ifnull instr json_array",
        "json_arrayagg json_extract json_objectagg json_unquote json_valid last_day least left",
        "localtime localtimestamp md5 minute month now octet_length position quarter quote reverse",
        "right row second stddev stddev_pop stddev_samp str_to_date timestampadd timestampdiff",
        "unix_timestamp utc_date utc_time utc_timestamp var_pop var_samp variance week weekday",
        "year",
    ),
}

HARMLESS: dict[str, frozenset[str]] = {
    dialect: frozenset(" ".join((*_EVERYWHERE, *own)).split()) for dialect, own in _ONLY_IN.items()
}
"""Functions that come with each database and only compute. What does not come with it may be
somebody's own, and do anything."""
