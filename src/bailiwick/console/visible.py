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
from functools import lru_cache

from markupsafe import Markup, escape

_HIDING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that draw nothing."""
_SCRIPTS_TOLD_APART = ("LATIN", "CYRILLIC", "GREEK")
_MAX_MARKS_IN_A_ROW = 4
_ALL_PLAIN = re.compile(r"[ -~\n]*")
_QUOTED = re.compile(r"`([^`<>\n]*)`")
_WRITTEN_OUT = re.compile(r"⟦U\+([0-9A-F]{4,6})⟧")
"""How `core.rendering` writes a character that would not show."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Plain text (`note` is ""), or a run of one character to be marked, and what that is."""

    text: str
    note: str = ""


def pieces(text: str) -> Iterator[Piece]:
    """Split `text` into plain runs and characters to mark; joined, they give `text` again.

    Plain ASCII costs next to nothing; other text one or two microseconds a character.
    """
    if _ALL_PLAIN.fullmatch(text):
        yield Piece(text)
        return
    start, noted = 0, ""
    for position, note in enumerate(_notes(text)):
        if note == noted and (not note or text[position] == text[start]):
            continue
        if position > start:
            yield Piece(text[start:position], noted)
        start, noted = position, note
    yield Piece(text[start:], noted)


def visible(text: str) -> Markup:
    """`text` as HTML with everything that hides marked."""
    return Markup("".join([_html(piece) for piece in pieces(text)]))  # noqa: S704 - see _html


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
    return sum(len(piece.text) for piece in pieces(text) if piece.note)


def _notes(text: str) -> Iterator[str]:
    mixed = _look_alikes(text)
    stacked = 0
    for position, character in enumerate(text):
        stacked = stacked + 1 if _is_stacked(character) else 0
        if position in mixed:
            yield f"{_named(character)}, between letters of another script"
        elif stacked > _MAX_MARKS_IN_A_ROW:
            yield _named(character)
        else:
            yield _note(character)


def _html(piece: Piece) -> str:
    if not piece.note:
        return str(escape(piece.text))
    character, times = piece.text[0], len(piece.text)
    code = f"U+{ord(character):04X}"
    # A look-alike is a letter one can see; it stays readable beside its code. No character that
    # HTML reads is ever marked, and notes are Unicode names.
    seen = character.isprintable() and character.isalpha() and character not in _BLANK_LETTERS
    shown = f"{character} {code}" if seen else code
    many = f" ×{times}" if times > 1 else ""
    return f'<mark class="hidden" title="{piece.note}">{shown}{many}</mark>'


@lru_cache(4096)
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


@lru_cache(4096)
def _is_stacked(character: str) -> bool:
    return unicodedata.combining(character) > 0


@lru_cache(4096)
def _script(character: str) -> str:
    """The script of a letter, if it is one that is told apart; "-" for what is in no word."""
    if not (character.isalpha() or character.isdigit() or _is_stacked(character)):
        return "-"
    script = unicodedata.name(character, "").partition(" ")[0]
    return script if script in _SCRIPTS_TOLD_APART else ""


@lru_cache(4096)
def _named(character: str) -> str:
    fallback = "TAB" if character == "\t" else "CONTROL OR UNASSIGNED CHARACTER"
    return unicodedata.name(character, fallback)


def _look_alikes(text: str) -> frozenset[int]:
    """Positions of letters whose word holds more letters of another script."""
    found: set[int] = set()
    word: dict[str, list[int]] = {}
    for position, character in enumerate(text):
        script = _script(character)
        if script == "-":
            if len(word) > 1:
                found.update(_odd_ones(word))
            word = {}
        elif script:
            word.setdefault(script, []).append(position)
    if len(word) > 1:
        found.update(_odd_ones(word))
    return frozenset(found)


def _odd_ones(by_script: dict[str, list[int]]) -> list[int]:
    usual = max(by_script.values(), key=len)
    return [position for each in by_script.values() if each is not usual for position in each]
