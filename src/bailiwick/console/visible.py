"""Text that cannot hide anything: what would be invisible or reorder its neighbours is shown.

A person who stamps a call must see what it does. Zero-width characters, bidirectional controls,
look-alike letters and tag characters are ways to show one thing and do another, so each is
replaced by a marked name when text is shown. The text itself is never changed.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup, escape

_HIDING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that draw nothing."""
_SCRIPTS_TOLD_APART = ("LATIN", "CYRILLIC", "GREEK")
_MAX_MARKS_IN_A_ROW = 4
_QUOTED = re.compile(r"`([^`<>\n]*)`")
_WRITTEN_OUT = re.compile(r"⟦U\+([0-9A-F]{4,6})⟧")
"""How `core.rendering` writes a character that would not show."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text, or one character to be marked. `note` says what it is; "" for plain text."""

    text: str
    note: str = ""


def pieces(text: str) -> Iterator[Piece]:
    """Split `text` into plain runs and characters to mark; joined, they give `text` again."""
    mixed = _look_alikes(text)
    plain: list[str] = []
    marks = 0
    for position, character in enumerate(text):
        marks = marks + 1 if unicodedata.combining(character) else 0
        note = _note(character)
        if not note and marks > _MAX_MARKS_IN_A_ROW:
            note = _named(character)
        if not note and position in mixed:
            note = f"{_named(character)}, between letters of another script"
        if not note:
            plain.append(character)
            continue
        if plain:
            yield Piece("".join(plain))
            plain.clear()
        yield Piece(character, note)
    if plain:
        yield Piece("".join(plain))


def visible(text: str) -> Markup:
    """`text` as HTML with everything that hides marked."""
    return Markup("").join(_html(piece) for piece in pieces(text))


def prose(sentence: str) -> Markup:
    """A sentence of ours as HTML: what it quotes in backticks as code, its first letter large."""
    if sentence[:1].isalpha():
        sentence = sentence[0].upper() + sentence[1:]
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(visible(sentence))))  # noqa: S704 - escaped


def visible_rendering(rendering: str) -> Markup:
    """The text of a stamp as HTML: the same characters, those written out also marked."""
    return Markup(_WRITTEN_OUT.sub(_marked, str(visible(rendering))))  # noqa: S704 - see _marked


def hidden_in_rendering(rendering: str) -> int:
    """How many characters of a stamp's text are written out or had to be marked."""
    return hidden_count(rendering) + len(_WRITTEN_OUT.findall(rendering))


def _marked(match: re.Match[str]) -> str:
    # Both parts are hexadecimal digits or a Unicode name: nothing that HTML would read.
    number = int(match[1], 16)
    name = _named(chr(number)) if number <= sys.maxunicode else "NO CHARACTER"
    return f'<mark class="hidden" title="{name}">{match[0]}</mark>'


def hidden_count(text: str) -> int:
    """How many characters of `text` had to be marked."""
    return sum(1 for piece in pieces(text) if piece.note)


def _html(piece: Piece) -> Markup:
    if not piece.note:
        return escape(piece.text)
    code = f"U+{ord(piece.text):04X}"
    # A look-alike is a letter one can see; it stays readable beside its code.
    seen = piece.text.isprintable() and piece.text.isalpha() and piece.text not in _BLANK_LETTERS
    shown = f"{piece.text} {code}" if seen else code
    return Markup('<mark class="hidden" title="{}">{}</mark>').format(piece.note, shown)


def _note(character: str) -> str:
    if " " <= character <= "~" or character == "\n":
        return ""
    category = unicodedata.category(character)
    hides = (
        category in _HIDING
        or (category == "Zs" and character != " ")
        or character in _BLANK_LETTERS
        or "\ufe00" <= character <= "\ufe0f"
        or "\u180b" <= character <= "\u180f"
        or "\U000e0000" <= character <= "\U000e0fff"
    )
    return _named(character) if hides else ""


def _named(character: str) -> str:
    fallback = "TAB" if character == "\t" else "CONTROL OR UNASSIGNED CHARACTER"
    return unicodedata.name(character, fallback)


def _look_alikes(text: str) -> frozenset[int]:
    """Positions of Cyrillic and Greek letters inside words that also hold Latin ones (and the
    reverse, when Latin letters are the fewer)."""
    if text.isascii():
        return frozenset()
    found: set[int] = set()
    start = 0
    for position in range(len(text) + 1):
        if position < len(text) and (text[position].isalpha() or text[position].isdigit()):
            continue
        found.update(_odd_ones(text, start, position))
        start = position + 1
    return frozenset(found)


def _odd_ones(text: str, start: int, stop: int) -> list[int]:
    by_script: dict[str, list[int]] = {}
    for position in range(start, stop):
        script = unicodedata.name(text[position], "").partition(" ")[0]
        if script in _SCRIPTS_TOLD_APART:
            by_script.setdefault(script, []).append(position)
    if len(by_script) < 2:
        return []
    usual = max(by_script.values(), key=len)
    return [position for each in by_script.values() if each is not usual for position in each]
