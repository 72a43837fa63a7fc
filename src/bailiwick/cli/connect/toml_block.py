"""One block of TOML between two marker comments, in a file that is somebody else's."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping


class NotOurs(ValueError):
    """The table is already there and was not written by us; the message says which."""


def add_block(text: str, table: tuple[str, str], values: Mapping[str, object]) -> str:
    """Append `[table.name]`, or replace the block written before.

    Args:
        text: the whole file; valid TOML.
        table: parent table and name, both bare keys.
        values: strings, integers and booleans.

    Raises:
        NotOurs: the table stands in the file outside our markers.
        tomllib.TOMLDecodeError: `text` is not TOML.
    """
    rest = remove_block(text, table[1])
    parent = tomllib.loads(rest).get(table[0], {})
    if not isinstance(parent, dict) or table[1] in parent:
        raise NotOurs(f"`[{table[0]}.{table[1]}]` is already there")
    # A TOML basic string is a JSON string, and so are integers and booleans.
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    block = "\n".join([_begin(table[1]), f"[{table[0]}.{table[1]}]", *lines, _end(table[1]), ""])
    gap = "" if not rest else "\n" if rest.endswith("\n") else "\n\n"
    changed = rest + gap + block
    tomllib.loads(changed)  # a file that we broke must never be written
    return changed


def remove_block(text: str, name: str) -> str:
    """The text without our block; as it is when there is none.

    Raises:
        NotOurs: the opening marker is there and the closing one is not.
    """
    start = text.find(_begin(name))
    if start < 0:
        return text
    end = text.find(_end(name), start)
    if end < 0:
        raise NotOurs(f"the block `{_begin(name)}` has no end")
    end += len(_end(name))
    before, after = text[:start], text[end:].removeprefix("\n")
    if before.endswith("\n\n") or before == "\n":
        before = before[:-1]
    return before + after


def _begin(name: str) -> str:
    return f"# >>> bailiwick: {name}"


def _end(name: str) -> str:
    return f"# <<< bailiwick: {name}"
