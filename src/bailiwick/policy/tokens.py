"""Cedar text as tokens: enough to bound it, to cut it into statements and to say where things are.

The engine parses by recursion and ends the whole process when brackets nest a thousand deep, and
its messages name no place. So nothing reaches it that is not bounded here first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_TEXT_CHARS = 32_768
"""Longest Cedar text of one policy object."""

MAX_TOKENS = 4_000
"""Most tokens of one statement."""

MAX_DEPTH = 24
"""Most brackets, `if`s and signs in one another: a level takes the engine some 12 KiB of stack, and
threads have as little as 512 on some systems."""

MAX_LINKS = 200
"""Most operators of one statement: `a || b || …` and `a.b.c…` nest as deep as they are long."""

MAX_STATEMENTS = 200

MAX_PATTERN_CHARS = 200
"""Longest pattern of `like`: matching takes the product of its length and the text's at worst, and
an agent chooses the text."""

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<text>"(?:[^"\\\n]|\\.)*")
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>[0-9]+)
      | (?P<sign>::|&&|\|\||==|!=|<=|>=|[-+*!<>?@.,;:=(){}\[\]%/|&])""",
    re.VERBOSE,
)
_LINKS = frozenset({"||", "&&", "+", "-", "*", "."})
_OPEN = {"(": ")", "[": "]", "{": "}"}


class PolicyTextError(ValueError):
    """Cedar text that cannot be used. `offset` is where, in characters from its start."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


@dataclass(frozen=True, slots=True)
class Token:
    """One token and where it starts."""

    offset: int
    text: str

    @property
    def end(self) -> int:
        """Where it ends, exclusive."""
        return self.offset + len(self.text)


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement, from its first token to its semicolon; `offset` in the whole text."""

    offset: int
    text: str
    tokens: Sequence[Token]


def cut(text: str) -> list[Piece]:
    """Cut `text` into statements, all bounds held.

    Raises:
        PolicyTextError: too long, too deep, unbalanced, or a character Cedar does not know.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise PolicyTextError(0, f"longer than {MAX_TEXT_CHARS} characters")
    pieces: list[Piece] = []
    current: list[Token] = []
    closing: list[str] = []
    after_like = False
    for token in _tokens(text):
        current.append(token)
        if len(current) > MAX_TOKENS:
            raise PolicyTextError(token.offset, f"a statement of more than {MAX_TOKENS} tokens")
        if token.text in _OPEN:
            closing.append(_OPEN[token.text])
        elif token.text in _OPEN.values() and (not closing or closing.pop() != token.text):
            raise PolicyTextError(token.offset, f"`{token.text}` closes nothing")
        _bound_depth(current, closing)
        if after_like and len(token.text) > MAX_PATTERN_CHARS:
            why = f"a pattern of `like` has at most {MAX_PATTERN_CHARS} characters"
            raise PolicyTextError(token.offset, why)
        after_like = token.text == "like"
        if token.text == ";" and not closing:
            pieces.append(_piece(text, current))
            current = []
        if len(pieces) > MAX_STATEMENTS:
            raise PolicyTextError(token.offset, f"more than {MAX_STATEMENTS} statements")
    if current:
        raise PolicyTextError(current[-1].offset, "the last statement does not end: `;` is missing")
    return pieces


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            what = "a text that does not end" if text[at] == '"' else "a character Cedar lacks"
            raise PolicyTextError(at, what)
        if match.lastgroup != "space":
            found.append(Token(at, match.group()))
        at = match.end()
    return found


def _bound_depth(current: Sequence[Token], closing: Sequence[str]) -> None:
    """Brackets, and all `if`s, signs and operators of a statement: each may nest the next."""
    last = current[-1]
    if len(closing) > MAX_DEPTH:
        raise PolicyTextError(last.offset, f"nested more than {MAX_DEPTH} deep")
    if last.text in ("if", "!", "-") and sum(t.text == last.text for t in current) > MAX_DEPTH:
        raise PolicyTextError(last.offset, f"more than {MAX_DEPTH} times `{last.text}`")
    if last.text in _LINKS and sum(token.text in _LINKS for token in current) > MAX_LINKS:
        raise PolicyTextError(last.offset, f"more than {MAX_LINKS} operators in one statement")


def _piece(text: str, tokens: Sequence[Token]) -> Piece:
    start = tokens[0].offset
    return Piece(start, text[start : tokens[-1].end], tuple(tokens))
