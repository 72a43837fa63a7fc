"""Collecting what a model says, in bounded memory, whatever it sends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from bailiwick.core.canonical import Json
from bailiwick.protocols.llm.dialect import AskedTool, Reasoning, Visibility

MAX_KEPT_CHARS: Final = 8 * 1024 * 1024
"""Most characters of one answer that are kept; the rest is counted as `cut`."""

MAX_PARTS: Final = 4_096
"""Most choices, items, blocks and tool calls of one answer that are kept, together."""

MAX_WORD_CHARS: Final = 1_024
"""Longest name or id that is kept."""

_PIECES = 512


class Room:
    """What may still be kept of one answer.

    Attributes:
        left: characters.
        cut: something did not fit.
        full: a part was not taken, for want of room or of a place: what it would have been is not
            known.
        pieces: in which text has come.
    """

    __slots__ = ("_parts", "cut", "full", "left", "pieces")

    def __init__(self, left: int = MAX_KEPT_CHARS, parts: int = MAX_PARTS) -> None:
        self.left = left
        self._parts = parts
        self.cut = False
        self.full = False
        self.pieces = 0

    def takes_part(self) -> bool:
        """Whether there is room for one more part, which is then taken."""
        if self._parts <= 0:
            self.lose_part()
            return False
        self._parts -= 1
        return True

    def lose_part(self) -> None:
        """A part has come that cannot be told from another one."""
        self.cut = self.full = True


class Text:
    """One text that arrives in pieces."""

    closable = False
    """Nothing ends with it (see `frame.Sink`)."""

    __slots__ = ("_blocks", "_pieces", "_room")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._blocks: list[str] = []
        self._pieces: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._pieces or self._blocks)

    def __str__(self) -> str:
        return "".join(self._blocks) + "".join(self._pieces)

    def add(self, piece: object) -> None:
        """Append `piece` as far as there is room. What is no text adds nothing."""
        if type(piece) is not str or not piece:
            return
        room = self._room
        if len(piece) > room.left:
            room.cut = True
            piece = piece[: room.left]
        room.left -= len(piece)
        room.pieces += 1
        self._pieces.append(piece)
        if len(self._pieces) >= _PIECES:
            self._pack()

    def add_all(self, pieces: list[str]) -> None:
        """Append what came in these pieces. None of them is empty, and there is room for all."""
        room = self._room
        text = "".join(pieces)
        room.left -= len(text)
        room.pieces += len(pieces)
        self._pieces.append(text)
        if len(self._pieces) >= _PIECES:
            self._pack()

    def become(self, whole: object) -> None:
        """Take the server's own total for what its pieces made."""
        if type(whole) is str:
            self._room.left += len(str(self))
            self._blocks.clear()
            self._pieces.clear()
            self.add(whole)

    def _pack(self) -> None:
        """A list of single letters would take many times the room of the letters."""
        self._blocks.append("".join(self._pieces))
        self._pieces.clear()


class Thoughts:
    """Reasoning that arrives in pieces: each visibility one text, in the order they began."""

    __slots__ = ("_room", "_texts")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._texts: dict[Visibility, Text] = {}

    def add(self, visibility: Visibility, piece: object) -> None:
        """Append `piece` to the reasoning of this visibility."""
        if type(piece) is str and piece:
            self.text(visibility).add(piece)

    def add_all(self, visibility: Visibility, pieces: list[str]) -> None:
        """As `Text.add_all`; there is at least one."""
        self.text(visibility).add_all(pieces)

    def said(self) -> Iterator[Reasoning]:
        """What was reasoned so far."""
        for visibility, text in self._texts.items():
            yield Reasoning(visibility, str(text))

    def text(self, visibility: Visibility) -> Text:
        """The text of this visibility, which begins with this at the latest."""
        text = self._texts.get(visibility)
        if text is None:
            text = self._texts[visibility] = Text(self._room)
        return text


class Brackets:
    """Whether JSON text that arrives in pieces is closed by now. O(length) for all of them.

    Agents act on a tool call as soon as its arguments parse, before anything says that they ended.
    What is neither an object nor a list may be whole with any piece.
    """

    __slots__ = ("_depth", "_escaped", "_quoted", "closed")

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self.closed = False

    @property
    def is_open(self) -> bool:
        """Whether something has been opened, which only a closing bracket can end."""
        return self._depth > 0

    def add(self, piece: object) -> bool:
        """Take the next piece; whether the text may be whole by now."""
        if type(piece) is not str or self.closed:
            return self.closed
        if not self._depth:
            begin = piece.lstrip()
            self.closed = bool(begin) and begin[0] not in "{["
        at = 1 if self._escaped and piece else 0
        self._escaped = self._escaped and not piece
        for found in _MARK.finditer(piece, at):
            mark = found[0]
            if mark[0] == "\\":
                self._escaped = len(mark) == 1
            elif mark == '"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth += 1 if mark in "{[" else -1
                if self._depth <= 0:
                    self.closed = True
                    break
        return self.closed


_MARK = re.compile(r'\\.|\\\Z|["{}\[\]]', re.DOTALL)


class ToolCall:
    """One tool call that arrives in pieces."""

    closable = True
    """It may be whole with the bracket that closes its arguments (see `frame.Sink`)."""

    __slots__ = ("arguments", "brackets", "id", "name")

    def __init__(self, room: Room) -> None:
        self.id = ""
        self.name = ""
        self.arguments = Text(room)
        self.brackets = Brackets()

    def add_all(self, pieces: list[str]) -> bool:
        """Append pieces of its arguments, as `Text.add_all`; whether they are closed by now."""
        self.arguments.add_all(pieces)
        return self.brackets.add("".join(pieces))

    def said(self) -> AskedTool:
        """What was asked for so far."""
        return AskedTool(self.id, self.name, str(self.arguments))


def longer(text: str, piece: Json) -> str:
    """A name or id with its next piece, which for some servers is all of it again."""
    if not isinstance(piece, str) or piece == text:
        return text
    return (text + piece[:MAX_WORD_CHARS])[:MAX_WORD_CHARS]


def as_text(value: Json) -> str:
    """Arguments as JSON text; text as it is."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def mapping(value: Json) -> Mapping[str, Json]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def number_of(value: Json) -> int | None:
    """The number of a part of an answer, however it is written; None when it is none."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


def word(value: Json) -> str:
    """`value` if it is text, else ""."""
    return value[:MAX_WORD_CHARS] if isinstance(value, str) else ""


def tokens(counts: Mapping[str, Json], name: str) -> int | None:
    """A count of tokens, or None when it is none."""
    value = counts.get(name)
    return value if type(value) is int and value >= 0 else None


def error_text(error: Json) -> str:
    """What an error object says, in one line: its type or code, and its message."""
    if not isinstance(error, dict):
        return word(error) or "an error without a message"
    kind = next((word(error.get(name)) for name in ("code", "type") if word(error.get(name))), "")
    message = word(error.get("message"))
    return ": ".join(part for part in (kind, message) if part) or "an error without a message"
