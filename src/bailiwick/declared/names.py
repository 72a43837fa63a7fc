"""Shapes of text that several kinds of object share."""

from __future__ import annotations

from bailiwick.declared.shapes import Text

NAME = Text(
    r"[a-z0-9]+(?:[._-][a-z0-9]+)*",
    "is not a name: lower-case letters and digits, with single `-`, `_` or `.` between them",
    max_length=64,
)
LINE = Text(r"[^\u0000-\u001f\u007f]*", "holds a line break or control character")
