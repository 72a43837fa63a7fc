"""YAML text as a tree in which everything knows its place.

Only the scanner and parser are ruamel's (YAML 1.2); the tree is built here from their events, so
that no tag constructs anything, depth and size are bounded while reading, and every value is one
that JSON knows. Refused, beyond what YAML itself refuses: tags, duplicate keys, keys that are not
text, merge keys, numbers that are written ambiguously (leading zeros) or have no exact form.
"""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from bailiwick.core.canonical import MAX_SAFE_INTEGER, Json
from bailiwick.core.values import show
from bailiwick.declared.problems import DeclarationError, Place, Problem

MAX_DEPTH = 32
MAX_NODES = 100_000
"""Bounds of one file, aliases counted as what they stand for."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value.

    Attributes:
        quoted: written in quotes or as a block, so it is text for certain.
        body: of a literal block, where its first character stands in the file; its lines are the
            file's lines from there on.
    """

    place: Place
    value: bool | int | float | str | None
    quoted: bool = False
    body: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Place
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, in the order written."""

    place: Place
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)

    def get(self, key: str) -> Node | None:
        """The node at `key`, if any."""
        return next((node for name, node in self.entries if name.value == key), None)


Node = Scalar | Items | Table


def parse_yaml(text: str, file: str) -> list[Node]:
    """The documents in `text`, one tree each; none for an empty text.

    Args:
        text: at most a file's size (bounded by the caller).
        file: name for messages.

    Raises:
        DeclarationError: with place, for anything that is not the YAML we take.
    """
    builder = _Builder(file, text)
    reader = YAML(typ="safe", pure=True)
    try:
        for event in reader.parse(io.StringIO(text)):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = _explain(text, line, column, str(error.problem or error.context or "not YAML"))
        raise DeclarationError([Problem(Place(file, line, column), what)]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        place = _place_of_bad_character(text, file)
        raise DeclarationError([Problem(place, "holds a character that YAML forbids")]) from error
    if builder.problems:
        raise DeclarationError(builder.problems)
    return builder.documents


def to_json(node: Node) -> Json:
    """The value of a tree."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Items):
        return [to_json(item) for item in node.items]
    return {str(key.value): to_json(value) for key, value in node.entries}


class _Builder:
    """Builds trees from events with an explicit stack: no recursion for the input to exhaust."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._lines = text.split("\n")
        self.documents: list[Node] = []
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0

    def take(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, DocumentStartEvent):
            self._anchors.clear()
        elif isinstance(event, ScalarEvent):
            self._add(self._scalar(event), event.anchor)
        elif isinstance(event, SequenceStartEvent | MappingStartEvent):
            self._refuse_tag(event)
            if len(self._stack) >= MAX_DEPTH:
                self._stop(event, f"nested more than {MAX_DEPTH} deep")
            mapping = isinstance(event, MappingStartEvent)
            node: Items | Table = (Table if mapping else Items)(self._place(event))
            self._stack.append(_Open(node, event.anchor, self._nodes))
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            done = self._stack.pop()
            self._add(done.node, done.anchor, done.before)
        elif isinstance(event, AliasEvent):
            self._alias(event)
        elif isinstance(event, DocumentEndEvent):
            self._nodes = 0

    def _alias(self, event: AliasEvent) -> None:
        known = self._anchors.get(event.anchor)
        if known is None:
            # An anchor is known once its node is complete, so none can hold itself.
            self._stop(event, f"`*{event.anchor}` stands for nothing above it")
        node, size = known
        self._nodes += size
        if self._nodes > MAX_NODES:
            self._stop(event, f"more than {MAX_NODES} values, counting what aliases stand for")
        self._add(node, None)

    def _add(self, node: Node, anchor: str | None, before: int | None = None) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise DeclarationError([Problem(node.place, f"more than {MAX_NODES} values")])
        if anchor is not None:
            size = 1 if before is None else self._nodes - before
            self._anchors[anchor] = (node, size)
        if not self._stack:
            self.documents.append(node)
            return
        self._stack[-1].add(node, self.problems)

    def _scalar(self, event: ScalarEvent) -> Scalar:
        self._refuse_tag(event)
        place = self._place(event)
        if not event.implicit[0]:
            body = self._body(event) if event.style == "|" else None
            return Scalar(place, event.value, quoted=True, body=body)
        try:
            return Scalar(place, _plain_value(event.value))
        except ValueError as error:
            self.problems.append(Problem(place, str(error)))
            return Scalar(place, event.value)

    def _body(self, event: ScalarEvent) -> Place | None:
        """Where a literal block's text starts: under its indicator, as far in as its lines are."""
        line = event.start_mark.line + 1
        for written, read in zip(self._lines[line:], event.value.split("\n"), strict=False):
            if read.strip():
                column = written.find(read)
                return Place(self.file, line + 1, column + 1) if column >= 0 else None
        return None

    def _refuse_tag(self, event: Event) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            message = f"tags such as {show(str(tag))} are not used here"
            self.problems.append(Problem(self._place(event), message))

    def _place(self, event: Event) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _stop(self, event: Event, message: str) -> NoReturn:
        raise DeclarationError([*self.problems, Problem(self._place(event), message)])


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    node: Items | Table
    anchor: str | None
    before: int
    key: Scalar | None = None
    seen: dict[str, Place] = field(default_factory=dict)

    def add(self, node: Node, problems: list[Problem]) -> None:
        """Add the next item, key or value."""
        if isinstance(self.node, Items):
            self.node.items.append(node)
        elif self.key is None:
            self.key = self._as_key(node, problems)
        else:
            self.node.entries.append((self.key, node))
            self.key = None

    def _as_key(self, node: Node, problems: list[Problem]) -> Scalar:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            problems.append(Problem(node.place, "a key must be text; put it in quotes"))
            return Scalar(node.place, "")
        if node.value == "<<" and not node.quoted:
            problems.append(Problem(node.place, "merge keys (`<<`) are not used here"))
        # By value, not by place: an alias brings the place of its anchor with it.
        first = self.seen.get(node.value)
        self.seen.setdefault(node.value, node.place)
        if first is not None:
            where = f"line {first.line}, column {first.column}"
            problems.append(Problem(node.place, f"{show(node.value)} is there already ({where})"))
        return node


_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAX_DIGITS = 64


def _plain_value(text: str) -> bool | int | float | str | None:
    """The value of an unquoted scalar (YAML 1.2, section 10.3.2, the core schema).

    Raises:
        ValueError: a number that is ambiguous or has no exact form, in words for people.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _OTHER_BASE.fullmatch(text):
        return _safe(int(text, 0))
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{show(text)} is not a number anything can be compared with")
    if not _FLOAT.fullmatch(text):
        return text
    if _LEADING_ZERO.match(text):
        raise ValueError(
            f"{show(text)} starts with a zero: put it in quotes, or leave the zero out"
        )
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number of this length must be in quotes")
    if _INTEGER.fullmatch(text):
        return _safe(int(text))
    value = float(text)
    if not math.isfinite(value) or Decimal(repr(value)) != Decimal(text):
        raise ValueError(f"{show(text)} cannot be kept exactly: put it in quotes")
    return value


def _safe(value: int) -> int:
    if abs(value) > MAX_SAFE_INTEGER:
        raise ValueError("a number of this size must be in quotes")
    return value


def _explain(text: str, line: int, column: int, problem: str) -> str:
    """ruamel's words, and ours for what people run into."""
    lines = text.splitlines()
    here = lines[line - 1] if line <= len(lines) else ""
    if "\t" in here[: max(column, 1)] and not here[: column - 1].strip():
        return "a tab indents here: use spaces"
    if problem.startswith("expected <block end>, but found '<block"):
        return "does not stand in line with what is above it: look at the indentation"
    return f"not YAML: {problem}".replace("\x00", "end of file").replace("\n", " ")


_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _place_of_bad_character(text: str, file: str) -> Place:
    """Where the first character stands that YAML does not take (section 5.1)."""
    found = _FORBIDDEN.search(text)
    at = found.start() if found else 0
    before = text[:at]
    return Place(file, before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1)
