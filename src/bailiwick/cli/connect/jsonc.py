"""Change one member of a JSON file with comments, and not one other byte.

Agents' settings are written by people: comments, order and spacing are theirs. So nothing is
re-encoded; the place of one member is found in the text, and only that place is written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_DEPTH = 100


class NotJson(ValueError):
    """The text is not JSON with comments; the message says where (1-based line)."""


@dataclass(slots=True)
class Member:
    """One `"name": value` in the text; offsets are in characters, ends exclusive."""

    name: str
    start: int
    value: Node
    comma: int | None = None


@dataclass(slots=True)
class Node:
    """One value in the text. `members` is None unless it is an object."""

    start: int
    end: int
    members: list[Member] | None = None
    plain: object = None


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    decode: json.JSONDecoder = field(default_factory=json.JSONDecoder)

    def fail(self, what: str) -> NotJson:
        line = self.text.count("\n", 0, self.at) + 1
        return NotJson(f"line {line}: {what}")

    def blank(self) -> None:
        """Skip white space and comments."""
        while self.at < len(self.text):
            if self.text[self.at] in " \t\r\n\ufeff":
                self.at += 1
            elif self.text.startswith("//", self.at):
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text.startswith("/*", self.at):
                end = self.text.find("*/", self.at + 2)
                if end < 0:
                    raise self.fail("a comment is not closed")
                self.at = end + 2
            else:
                return

    def here(self) -> str:
        return self.text[self.at : self.at + 1]

    def value(self, depth: int = 0) -> Node:
        if depth > MAX_DEPTH:
            raise self.fail("nested too deeply")
        self.blank()
        if self.here() == "{":
            return self._object(depth)
        if self.here() == "[":
            return self._array(depth)
        start = self.at
        try:
            plain, self.at = self.decode.raw_decode(self.text, self.at)
        except ValueError as error:
            raise self.fail("a value is missing or malformed") from error
        return Node(start, self.at, plain=plain)

    def _object(self, depth: int) -> Node:
        node = Node(self.at, self.at, members=[])
        plain: dict[str, object] = {}
        members = node.members or []
        self.at += 1
        self.blank()
        while self.here() != "}":
            start = self.at
            if self.here() != '"':
                raise self.fail('a name in `"` is missing')
            name = self.value().plain
            self.blank()
            if self.here() != ":":
                raise self.fail("`:` is missing")
            self.at += 1
            member = Member(str(name), start, self.value(depth + 1))
            if member.name in plain:
                raise self.fail(f"`{member.name}` stands twice")
            plain[member.name] = member.value.plain
            members.append(member)
            self._separator("}", member)
        self.at += 1
        node.end, node.members, node.plain = self.at, members, plain
        return node

    def _array(self, depth: int) -> Node:
        node = Node(self.at, self.at)
        plain: list[object] = []
        self.at += 1
        self.blank()
        while self.here() != "]":
            plain.append(self.value(depth + 1).plain)
            self._separator("]", None)
        self.at += 1
        node.end, node.plain = self.at, plain
        return node

    def _separator(self, closing: str, member: Member | None) -> None:
        self.blank()
        if self.here() == ",":
            if member is not None:
                member.comma = self.at
            self.at += 1
            self.blank()
        elif self.here() != closing:
            raise self.fail(f"`,` or `{closing}` is missing")


def parse(text: str) -> Node:
    """Read JSON with comments and trailing commas.

    Raises:
        NotJson: it is not, or a name stands twice in one object.
    """
    reader = _Reader(text)
    node = reader.value()
    reader.blank()
    if reader.at != len(text):
        raise reader.fail("something follows the value")
    return node


def get_member(text: str, path: Sequence[str]) -> object | None:
    """The value at `path`, or None when there is none."""
    node: object = parse(text).plain
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def set_member(text: str, path: Sequence[str], value: object) -> str:
    """Write `value` at `path`, making the objects on the way; everything else stays as it is.

    Raises:
        NotJson: the text is not JSON with comments, or something on the way is not an object.
    """
    node = parse(text)
    for depth, name in enumerate(path):
        if node.members is None:
            raise NotJson(f"`{'.'.join(path[:depth]) or 'the whole'}` is not an object")
        found = next((member for member in node.members if member.name == name), None)
        if found is None:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return _insert(text, node, name, value, depth + 1)
        node = found.value
    return text[: node.start] + _dump(value, len(path), _indent(text)) + text[node.end :]


def remove_member(text: str, path: Sequence[str]) -> str:
    """Take the member at `path` out, with its comma; the text as it is when there is none.

    Raises:
        NotJson: the text is not JSON with comments.
    """
    node = parse(text)
    for name in path[:-1]:
        found = next((m for m in node.members or () if m.name == name), None)
        if found is None:
            return text
        node = found.value
    members = node.members or []
    names = [member.name for member in members]
    if path[-1] not in names:
        return text
    at = names.index(path[-1])
    member = members[at]
    start = member.start
    end = member.value.end if member.comma is None else member.comma + 1
    line_end = text.find("\n", end)
    if _line_start(text, start) != start and line_end >= 0 and not text[end:line_end].strip():
        start, end = _line_start(text, start), line_end + 1  # the whole line was ours
    kept = text[:start]
    if member.comma is None and at:
        comma = members[at - 1].comma
        assert comma is not None, "a comma stands before every member but the first"
        kept = text[:comma] + text[comma + 1 : start]
    return kept + text[end:]


def _insert(text: str, node: Node, name: str, value: object, depth: int) -> str:
    unit = _indent(text)
    pad = "\n" + unit * depth
    item = f"{json.dumps(name)}: {_dump(value, depth, unit)}"
    members = node.members or []
    if not members:
        inside = text[node.start + 1 : node.end - 1]
        return (
            text[: node.start + 1]
            + inside.rstrip()
            + f"{pad}{item}\n{unit * (depth - 1)}"
            + text[node.end - 1 :]
        )
    # After the last member and whatever comments follow it, before the closing brace.
    last = members[-1]
    end = len(text[: node.end - 1].rstrip())
    if last.comma is not None:
        return text[:end] + pad + item + "," + text[end:]
    return text[: last.value.end] + "," + text[last.value.end : end] + pad + item + text[end:]


def _dump(value: object, depth: int, unit: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", "\n" + unit * depth)


def _indent(text: str) -> str:
    """The file's own indentation: that of its first indented line, else two spaces."""
    for line in text.split("\n"):
        blank = line[: len(line) - len(line.lstrip(" \t"))]
        if blank and line.strip():
            return blank
    return "  "


def _line_start(text: str, at: int) -> int:
    """The start of the line of `at` when only white space stands before it, else `at`."""
    start = text.rfind("\n", 0, at) + 1
    return at if text[start:at].strip() else start
