"""Our parts of a TOML file that is somebody else's: tables of ours, and single top-level values.

A table stands between two marker comments. A value takes the place of the one that stood there; no
other byte changes.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping


class NotOurs(ValueError):
    """What is to be written stands there already, not written by us; the message says what."""


def add_block(
    text: str, table: tuple[str, str], values: Mapping[str, object], mark: str = ""
) -> str:
    """Append `[table.name]`, or replace the block written before.

    Args:
        text: the whole file; valid TOML.
        table: parent table and name, both bare keys.
        values: strings, integers and booleans.
        mark: what the markers name it, where a file has more than one block of that name.

    Raises:
        NotOurs: the table stands in the file outside our markers.
        tomllib.TOMLDecodeError: `text` is not TOML.
    """
    mark = mark or table[1]
    where = _place(text, mark)
    rest = remove_block(text, mark)
    parent = tomllib.loads(rest).get(table[0], {})
    if not isinstance(parent, dict) or table[1] in parent:
        raise NotOurs(f"`[{table[0]}.{table[1]}]` is already there")
    # A TOML basic string is a JSON string, and so are integers and booleans.
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    block = "\n".join([_begin(mark), f"[{table[0]}.{table[1]}]", *lines, _end(mark), ""])
    if where is not None:
        changed = text[: where[0]] + block + text[where[1] :]
    else:
        gap = "" if not rest else "\n" if rest.endswith("\n") else "\n\n"
        changed = rest + gap + block
    tomllib.loads(changed)  # a file that we broke must never be written
    return changed


def remove_block(text: str, mark: str) -> str:
    """The text without our block; as it is when there is none.

    Raises:
        NotOurs: the opening marker is there and the closing one is not.
    """
    where = _place(text, mark)
    if where is None:
        return text
    before, after = text[: where[0]], text[where[1] :]
    if before.endswith("\n\n") or before == "\n":
        before = before[:-1]
    return before + after


def get_value(text: str, name: str) -> object | None:
    """The top-level value of this name. Raises tomllib.TOMLDecodeError."""
    return tomllib.loads(text).get(name)


def set_value(text: str, name: str, value: object) -> str:
    """Write a top-level string, integer or boolean; in its place if there is one, else on top.

    Raises:
        NotOurs: it is written in a way that we cannot change safely.
        tomllib.TOMLDecodeError: `text` is not TOML.
    """
    written = json.dumps(value)
    if get_value(text, name) is None:
        changed = f"{name} = {written}\n{text}"
    else:
        found = _value(name).search(text)
        start, end = found.span("value") if found is not None else (0, 0)
        changed = text[:start] + written + text[end:]
    return _checked(text, changed, name, value)


def remove_value(text: str, name: str) -> str:
    """Take a top-level value out, with its line; the text as it is when there is none.

    Raises:
        NotOurs, tomllib.TOMLDecodeError: as `set_value`.
    """
    found = _value(name).search(text)
    if get_value(text, name) is None or found is None:
        return text
    return _checked(text, text[: found.start()] + text[found.end() :], name, None)


def _value(name: str) -> re.Pattern[str]:
    """The line of a value that stands on one line. Top-level ones stand before any other."""
    value = r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[\w.+-]+)"""
    return re.compile(rf"^{re.escape(name)}[ \t]*=[ \t]*{value}[^\n]*(?:\n|\Z)", re.MULTILINE)


def _checked(before: str, after: str, name: str, value: object) -> str:
    """The text after a change, if the change is what was meant and nothing else."""
    wanted = tomllib.loads(before)
    wanted.pop(name, None)
    if value is not None:
        wanted[name] = value
    try:
        same = tomllib.loads(after) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise NotOurs(f"`{name}` is written in a way that only you can change")
    return after


def _place(text: str, mark: str) -> tuple[int, int] | None:
    """Where our block begins and ends, its line end included."""
    start = _line(_begin(mark)).search(text)
    if start is None:
        return None
    end = _line(_end(mark)).search(text, start.end())
    if end is None:
        raise NotOurs(f"the block `{_begin(mark)}` has no end")
    return start.start(), end.end()


def _line(words: str) -> re.Pattern[str]:
    return re.compile(rf"^{re.escape(words)}[ \t\r]*(?:\n|\Z)", re.MULTILINE)


def _begin(mark: str) -> str:
    return f"# >>> bailiwick: {mark}"


def _end(mark: str) -> str:
    return f"# <<< bailiwick: {mark}"
