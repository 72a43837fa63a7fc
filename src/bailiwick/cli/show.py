"""Printing for people and for scripts.

What comes from agents and servers is untrusted: a terminal obeys escape sequences, and invisible
characters can hide an argument from the person who is about to approve it. Everything printed
for people therefore goes through `visible`. JSON needs no such care: it is escaped to ASCII.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence

from bailiwick.core.canonical import Json, JsonObject

_STYLES = {
    "done": "green",
    "approved": "green",
    "accepted": "green",
    "up": "green",
    "active": "green",
    "ok": "green",
    "held": "yellow",
    "waiting": "yellow",
    "warn": "yellow",
    "unknown": "yellow",
    "running": "cyan",
    "denied": "red",
    "refused": "red",
    "failed": "red",
    "fail": "red",
    "revoked": "red",
}


def visible(text: str, keep_lines: bool = False) -> str:
    """Show what hides, reorders or looks like another letter as `<U+202E>`, like the console does.

    Newlines stay only where `keep_lines` asks for it.
    """
    if text.isascii() and (text.replace("\n", "") if keep_lines else text).isprintable():
        return text
    from bailiwick.console.visible import pieces

    shown = []
    for piece in pieces(text):
        if not piece.note:
            shown.append(piece.text if keep_lines else piece.text.replace("\n", "<U+000A>"))
            continue
        # One piece is a run of one character: as often as it stands there it is shown.
        letter, times = piece.text[0], len(piece.text)
        code = f"<U+{ord(letter):04X}>"
        # A look-alike is a letter one can see; it stays readable beside its code.
        readable = letter.isalpha() and letter.isprintable()
        shown.append((letter + code if readable else code) * times)
    return "".join(shown)


def out(text: str = "") -> None:
    """Print one line (or several of ours) to stdout."""
    sys.stdout.write(text + "\n")


def as_it_happens() -> None:
    """Print each line when it is written, also into a pipe, for a story that a person follows."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)


def out_json(value: Json | Sequence[object] | dict[str, object]) -> None:
    """Print one JSON document, ASCII only, keys in the order given."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def note(text: str) -> None:
    """Print a remark to stderr, so that stdout stays what was asked for."""
    sys.stderr.write(text + "\n")


def styled(text: str, style: str) -> str:
    """`text` in an ANSI style, when stdout is a terminal that wants one."""
    codes = {"green": "32", "yellow": "33", "red": "31", "cyan": "36", "bold": "1", "dim": "2"}
    return f"\x1b[{codes[style]}m{text}\x1b[0m" if _colours() else text


def state(word: str) -> str:
    """A state in its colour."""
    style = _STYLES.get(word)
    return styled(word, style) if style else visible(word)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], states: int = -1) -> None:
    """Print aligned columns; the column `states` is coloured, the last one clipped to a terminal.

    Nothing is clipped where stdout is not a terminal, so that `grep` and `awk` see it all.
    """
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [
        max(len(heading), *(len(row[at]) for row in shown), 0) if shown else len(heading)
        for at, heading in enumerate(headings)
    ]
    out(styled(_aligned([heading.upper() for heading in headings], widths), "bold"))
    room = _terminal_width() - sum(widths[:-1]) - 2 * (len(widths) - 1)
    for row in shown:
        if room > 8 and len(row[-1]) > room:
            row[-1] = row[-1][: room - 1] + "…"
        line = _aligned(row, widths)
        if states >= 0 and row[states] in _STYLES:
            start = sum(widths[:states]) + 2 * states
            word = row[states]
            line = line[:start] + state(word) + line[start + len(word) :]
        out(line)


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Print `name  value` lines, aligned; several lines of a value are indented under it."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        lines = visible(value, keep_lines=True).split("\n")
        out(f"  {styled(name.ljust(width), 'dim')}  {lines[0]}")
        for line in lines[1:]:
            out("  " + " " * width + "  " + line)


def heading(text: str) -> None:
    """Print a heading with air above it."""
    out()
    out(styled(visible(text), "bold"))


def when(at_ms: object) -> str:
    """A time of day with its date, in local time; "" for None."""
    if not isinstance(at_ms, int):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))


def pretty(value: Json) -> str:
    """JSON for people: indented, Unicode as it is; still to be made `visible`."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def word(row: JsonObject, key: str) -> str:
    """The text under `key`, "" when there is none."""
    value = row.get(key)
    return "" if value is None else str(value)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()


def _colours() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def width() -> int:
    """Columns of the terminal; 0 where stdout is none, and nothing needs to be broken."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 1 << 20
