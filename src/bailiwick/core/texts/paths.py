r"""Where a path points, by its text alone.

What a name leads to is decided by the server's file system, where a symbolic link can lead out of
any folder; where the gateway sees the same files, it looks (`led.py`). Here `..` is never resolved:
through a link, `/work/link/..` is not `/work`. A path that readers may disagree about has no steps
at all:

1. too long, or not plain text (control, invisible, unassigned or private characters);
2. not in Unicode NFC, or with characters that compatibility mapping turns into `/`, `\`, `.`, `%`,
   `:` or `~`, or that look like a slash;
3. a backslash, or a percent-encoded byte;
4. starting with `//` (a network path), with `~`, or relative with a colon in its first step
   (`C:`, `file:`);
5. a `..` step, or a step that starts or ends with a space or ends with a dot (some systems drop
   those), or that names a device on Windows, whatever its ending (`NUL`, `com1.txt`).

That a path is *not* below a folder takes more: on some systems the folder goes by other names too,
in other case (`SECRET`), with the name of a stream (`secret::$INDEX_ALLOCATION`) or shortened
(`SECRET~1`). See `PathText.may_be_under`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from bailiwick.core.values import MAX_MARKS, fold

MAX_PATH = 4096
"""Longest path looked at, in characters (PATH_MAX on Linux)."""

_TELLING = "/\\.%:~"
_SLASH_LOOKALIKES = frozenset("⁄∕⧸⧹╱╲⟋⟍﹨＼／")
# The superscripts are digits to Windows.
_DEVICE = r"(?i:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³])"
_DEVICE_STEP = re.compile(rf"{_DEVICE} *(?:[.:].*)?")
_ORDINARY = re.compile(rf"(?:/(?!{_DEVICE}(?:[./]|$))[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)+")
_SHORTENED = re.compile(r"~[0-9]")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class PathText:
    """A path that has one meaning: its steps without `.` and empty ones."""

    absolute: bool
    steps: tuple[str, ...]

    def is_under(self, root: PathText) -> bool:
        """Whether it is `root` or lies below it."""
        if self.absolute != root.absolute:
            return False
        return self.steps[: len(root.steps)] == root.steps

    def may_be_under(self, root: PathText) -> bool:
        """Whether some file system may take it for `root` or something below."""
        if self.absolute != root.absolute:
            return True
        if len(self.steps) < len(root.steps):
            return False
        return all(map(_may_be, self.steps, root.steps))


def read_path(text: str) -> PathText | str:
    """The path that `text` states, or in words why it is not plain (the numbers above)."""
    if len(text) > MAX_PATH:  # 1
        return f"is longer than {MAX_PATH} characters"
    if _ORDINARY.fullmatch(text):  # none of the below: the usual case, on the path of every call
        return PathText(True, tuple(text[1:].split("/")))
    if not text:
        return "is empty"
    trick = trick_in(text)  # 1, 2
    if trick:
        return trick
    if "\\" in text:  # 3
        return "holds a backslash"
    if _ENCODED.search(text):  # 3
        return "holds a percent-encoded character"
    if text.startswith("//"):  # 4
        return "starts with `//`"
    if text.startswith("~"):  # 4
        return "starts with `~`"
    absolute = text.startswith("/")
    steps = [step for step in text.split("/") if step not in ("", ".")]
    if not absolute and steps and ":" in steps[0]:  # 4
        return "starts with a drive or scheme"
    for step in steps:  # 5
        if step == "..":
            return "holds a `..` step"
        if step[-1] == "." or step.strip() != step:
            return "holds a step with a space or dot at its edge"
        if _DEVICE_STEP.fullmatch(step):
            return "holds a step that is a device on Windows"
    return PathText(absolute, tuple(steps))


def read_real(place: str) -> PathText | None:
    """Where a file system says that something is: absolute and without links, so that any text is
    taken as it stands. None for anything else, as the "" of what cannot be told."""
    if not place.startswith("/"):
        return None
    return PathText(True, tuple(step for step in place.split("/") if step))


def _may_be(step: str, wanted: str) -> bool:
    if step == wanted or _SHORTENED.search(step):
        return True
    return fold(step.partition(":")[0]) == fold(wanted.partition(":")[0])


def trick_in(text: str, syntax: str = _TELLING) -> str:
    """What makes `text` read differently to different readers, or "" (1 and 2 above).

    Args:
        text: of a bounded length.
        syntax: the characters that nothing may be mapped to by readers who normalize.
    """
    if text.isascii():
        return "" if text.isprintable() else "holds a control character"
    categories = "".join(map(unicodedata.category, text))
    if _UNPLAIN.search(categories):
        return "holds a control or invisible character"
    if _MANY_MARKS.search(categories):  # putting a run in order takes the square of its length
        return f"holds more than {MAX_MARKS} marks in a row"
    if unicodedata.normalize("NFC", text) != text:
        return "is not in Unicode NFC"
    if not _SLASH_LOOKALIKES.isdisjoint(text):
        return "holds a character that looks like a slash"
    mapped = unicodedata.normalize("NFKC", text)
    if any(mapped.count(letter) != text.count(letter) for letter in syntax):
        return "holds a character that some readers turn into `/`, `.` or alike"
    return ""


# In a text of categories, each a capital and a small letter.
_UNPLAIN = re.compile(r"C[cfson]|Z[lp]")
_MANY_MARKS = re.compile(rf"(?:M[nce]|Lm){{{MAX_MARKS + 1}}}")


# A step beginning with two dots (`..;x` too: some servers cut at the semicolon), an encoded dot,
# slash, backslash, NUL or percent sign, or a raw backslash.
_TRICKY_URI = re.compile(r"(?:^|[/\\?#&=:])\.\.|/\.(?:/|$)|%(?:2e|2f|5c|00|25)|\\", re.IGNORECASE)


def is_tricky_uri(uri: str) -> bool:
    """Whether `uri` may name something else than its text says to a glob."""
    return len(uri) > MAX_PATH or bool(_TRICKY_URI.search(uri) or trick_in(uri))
