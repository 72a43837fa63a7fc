"""How a result that an agent tells a model stands to what the tool returned. Pure.

Agents do not pass results on as they came. What they do without changing what is said:

| what | counts as |
|---|---|
| the texts of the result, one after the other, with other blanks around them | the same |
| its structured content, its content or its text as JSON, spelled anew | the same |
| `Wall time: 0.1 seconds` and `Output:` before it (Codex) | the same |
| a piece of it, or several in their order with a mark between them | shortened |
| `[Old tool result content cleared]` in its place (Claude Code, opencode) | shortened |

A mark is made of a few words such as `…12 lines truncated…` and can say nothing else. Everything
else is altered: also a whole result with words of somebody's beside it, which a model would take
for the tool's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec

from bailiwick.core.canonical import Json, canonical
from bailiwick.core.errors import TheirError
from bailiwick.core.thinking.said_and_did import SaidAndDid

MAX_BYTES = 256 * 1024
"""Longest result that is compared, and that is compared with."""

_SIGN_COSTS = 16_384
"""What looking for a mark around one of its words takes, in characters that are searched."""

_FRAME = re.compile(r"\s*(?:Wall time: [0-9.]{1,16} seconds\s+)?Output:(?:\s|\Z)")
_FRAMES = (_FRAME, re.compile(r"\s*Wall time: [0-9.]{1,16} seconds\s+"))
_WORD = (
    r"(?:total|output|result|response|content|text|tool|of|the|was|is|were|has|been|and|old|more|"
    r"remaining|showing|first|last|lines?|chars?|characters?|tokens?|bytes?|words?|[0-9][0-9,]{0,15})"
)
_MARK = re.compile(
    rf"[\[(<…\s.*-]{{0,40}}+(?:{_WORD}[\s:]{{1,3}}){{0,8}}+"
    r"\b(?:truncated|omitted|elided|cleared|shortened|skipped|removed)\b"
    rf"(?:[\s,:]{{1,3}}{_WORD}){{0,8}}+[\])>…\s.*-]{{0,40}}+",
    re.IGNORECASE,
)
_SIGN = re.compile("truncated|omitted|elided|cleared|shortened|skipped|removed", re.IGNORECASE)
"""One of them stands in every mark; other words are looked at only beside one."""

_REACH = 200
"""More characters than a mark can have before its sign."""

_MAX_SIGNS = 64

_COUNT = re.compile(r"\s*Total output lines: [0-9]{1,16}\s+")
_ELLIPSIS = re.compile(r"(?:…|\.\.\.)\s*\Z")
_MAX_MARKS = 8


@dataclass(frozen=True, slots=True)
class Came:
    """What a tool returned, in the ways in which it can be told.

    Attributes:
        texts: each a whole way to write it as text.
        values: canonical JSON, each a whole way to write it as JSON.
        complete: False when there is more to it than text: pictures, sound.
    """

    texts: tuple[str, ...]
    values: frozenset[bytes]
    complete: bool = True


def came_as(body: bytes) -> Came | None:
    """What a result or an error of a server says, as JSON text; None when it is not to be read."""
    if len(body) > MAX_BYTES:
        return None
    try:
        value: Json = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, Mapping):
        return None
    content, structured = value.get("content"), value.get("structuredContent")
    if not isinstance(content, list):
        message = value.get("message")
        return came_as_text(message) if isinstance(message, str) else None
    parts = [part for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
    texts = [text for part in parts if isinstance(text := part.get("text"), str)]
    joined = tuple(dict.fromkeys(sign.join(texts) for sign in ("\n", "", "\n\n", " ")))
    values = {_canonical(content), *(_as_value(text) for text in joined)}
    if structured is not None:
        values.add(_canonical(structured))
    return Came(joined, frozenset(values - {b""}), len(texts) == len(content))


def came_as_text(text: str) -> Came:
    """What a plain text says, such as a refusal of the gateway's."""
    return Came((text,), frozenset())


def cost(told: str) -> int:
    """Roughly how much of a text has to be searched to compare this one, besides the text itself.

    An agent may send thousands that are made to take long, so whoever compares counts.
    """
    if len(told) > MAX_BYTES:
        return 0
    return len(told) + _SIGN_COSTS * min(_MAX_SIGNS, len(_SIGN.findall(told)))


def compare(told: str, came: Came, *, complete: bool = True) -> SaidAndDid:
    """How `told` stands to what came.

    O(length), apart from what Python's search for one text in another takes (see `cost`).

    Args:
        complete: False when the agent told more than text.
    """
    if len(told) > MAX_BYTES:
        return SaidAndDid.UNKNOWN
    told = told.strip()
    match = _compare(told, came)
    if match is SaidAndDid.ALTERED:
        for frame in _FRAMES:
            found = frame.match(told)
            if found is not None:
                match = _compare(told[found.end() :].strip(), came)
            if match is not SaidAndDid.ALTERED:
                break
    if match is SaidAndDid.MATCHED and not (complete and came.complete):
        return SaidAndDid.UNKNOWN  # pictures are not compared
    return match


def _compare(told: str, came: Came) -> SaidAndDid:
    if any(told == text.strip() for text in came.texts):
        return SaidAndDid.MATCHED
    value = _as_value(told)
    if value and value in came.values:
        return SaidAndDid.MATCHED
    return SaidAndDid.SHORTENED if _is_made_of(told, came.texts) else SaidAndDid.ALTERED


def _is_made_of(told: str, texts: Sequence[str]) -> bool:
    counted = _COUNT.match(told)
    rest = told[counted.end() :] if counted else told
    pieces = _apart(_ELLIPSIS.sub("", rest))
    return any(_in_order(pieces, text) for text in texts)


def _apart(text: str) -> list[str]:
    """What stands between the marks in a text, of which the first `_MAX_MARKS` count."""
    pieces: list[str] = []
    begin = 0
    for sign in islice(_SIGN.finditer(text), _MAX_SIGNS):
        if sign.start() < begin:
            continue
        start = _MARK.search(text, max(begin, sign.start() - _REACH), sign.end())
        mark = None if start is None else _MARK.match(text, start.start())
        if mark is None:  # no mark, or the beginning of a longer word
            continue
        pieces.append(text[begin : mark.start()])
        begin = mark.end()
        if len(pieces) == _MAX_MARKS:
            break
    return [*pieces, text[begin:]]


def _in_order(pieces: Sequence[str], text: str) -> bool:
    at = 0
    for piece in pieces:
        sought = piece.strip()
        found = text.find(sought, at)
        if found < 0:
            return False
        at = found + len(sought)
    return True


def _as_value(text: str) -> bytes:
    """The canonical form of JSON text that is an object or a list; b"" of anything else."""
    if not text.startswith(("{", "[")) or len(text) > MAX_BYTES:
        return b""
    try:
        value: Json = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return b""
    return _canonical(value)


def _canonical(value: Json) -> bytes:
    try:
        return canonical(value)
    except TheirError:
        return b""
