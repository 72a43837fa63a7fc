"""The words of a command line, where every shell reads the same.

A shell is a programming language. Only one kind of text has a meaning here: a single simple command
whose words stand in it as they are. Nothing else has:

1. longer than `MAX_COMMAND`, more than `MAX_WORDS` words, empty;
2. any character outside quotes but ASCII letters, digits and `_@%+=:,./-`: so no operators,
   pipes, redirections, here-documents, substitutions, expansions (`$`, `~`, `{}`), globs, comments,
   history, backslashes, line breaks, tabs, or spaces that are not ASCII; a word that starts with
   `=` (zsh) or `%` (jobs);
3. quotes that do not enclose a whole word, or all that follows an `=`: `r'm'`, `"a"b`, `$'\\x72m'`;
4. inside double quotes, what still means something there (`$`, backquote, backslash, `!`); inside
   any quotes, what does not print;
5. a first word in quotes, or with an `=` (a variable set for the command).

What it cannot see: which program a name stands for (aliases, functions, `PATH`), and what the
program does with its words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bailiwick.core.canonical import Json

MAX_COMMAND = 8_192
"""Longest command line looked at, in characters."""

MAX_WORDS = 256

_BARE = r"(?![=%])[A-Za-z0-9_@%+=:,./-]+"
_QUOTED = r"""(?:'[^']*'|"[^"$`\\!]*")"""
_START = re.compile(rf"(?:{_BARE})?{_QUOTED}?")
_WORD = re.compile(rf"({_BARE})?({_QUOTED})?(?: +|$)")


def read_command(value: Json) -> tuple[str, ...] | str:
    """The words of a command, at least one, or in words why it is not plain (the numbers above).

    Args:
        value: a command line; or a list of words, which no shell will split: then any text that
            prints may be a word.
    """
    if isinstance(value, str):
        return _read_line(value)
    if isinstance(value, list | tuple):
        return _read_list(value)
    return "is neither text nor a list of words"


def _read_line(text: str) -> tuple[str, ...] | str:
    if len(text) > MAX_COMMAND:  # 1
        return f"is longer than {MAX_COMMAND} characters"
    if not text.isprintable():  # 2, 4
        return "holds a line break or another character that does not print"
    words: list[str] = []
    at = 0
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None or (found[1] is None and found[2] is None):  # 2, 3, 4
            plain = _START.match(text, at)
            return f"holds more than plain words, at character {(plain.end() if plain else at) + 1}"
        bare, quoted = found[1] or "", found[2]
        if quoted is not None and bare and not bare.endswith("="):  # 3
            return f"holds quotes inside a word, from character {at + 1} on"
        if not words and (quoted is not None or "=" in bare):  # 5
            return "starts with quotes or with a variable"
        if len(words) == MAX_WORDS:  # 1
            return f"has more than {MAX_WORDS} words"
        words.append(bare + (quoted[1:-1] if quoted else ""))
        at = found.end()
    return tuple(words) or "is empty"


def _read_list(items: Sequence[Json]) -> tuple[str, ...] | str:
    if not items:
        return "is empty"
    if len(items) > MAX_WORDS:
        return f"has more than {MAX_WORDS} words"
    words = tuple(item for item in items if isinstance(item, str))
    if len(words) != len(items):
        return "holds something else than text"
    if sum(map(len, words)) > MAX_COMMAND:
        return f"is longer than {MAX_COMMAND} characters"
    if not all(word.isprintable() for word in words):
        return "holds a line break or another character that does not print"
    return words if words[0] else "starts with an empty word"
