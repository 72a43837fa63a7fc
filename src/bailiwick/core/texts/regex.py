r"""Regular expressions that take time linear in the text, whatever the pattern: RE2's.

The standard library's `re` backtracks, so `(a+)+$` and thirty letters would stop the gateway. RE2
never does; patterns it cannot run that way (back-references, look-around) are refused when the
mandate is read. A pattern stands for the **whole** text: `$` is no way around a line break, `.`
fits no line break, `\d` is ASCII only.

Source: https://github.com/google/re2/wiki/Syntax. Why RE2: docs/dependencies.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import re2

from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, Truth, fold

MAX_PATTERN = 1_000
"""Longest pattern, in characters."""

MAX_PROGRAM = 2_000
"""Most steps of a compiled pattern: `((a{0,30}){0,30})` has 1,800."""

MAX_TEXT_BYTES = 16_384
"""Longest text a pattern is tried on, in bytes of UTF-8: some milliseconds at the worst."""

MAX_MEMORY_BYTES = 1_048_576
"""What one compiled pattern may take, its caches included."""


@dataclass(frozen=True, slots=True)
class Regex:
    """A compiled pattern.

    Attributes:
        text: as written.
    """

    text: str
    _exact: re2._Regexp = field(init=False, repr=False, compare=False)
    _lax: re2._Regexp = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile once. Raises ValueError with the reason in words for people."""
        if len(self.text) > MAX_PATTERN:
            raise ValueError(f"is longer than {MAX_PATTERN} characters")
        object.__setattr__(self, "_exact", _compile(self.text, case_sensitive=True))
        object.__setattr__(self, "_lax", _compile(self.text, case_sensitive=False))

    def of(self, text: str) -> Truth:
        """Whether the whole of `text` fits; CANNOT_TELL when a lax reader might think so."""
        exact = _fits(self._exact, text)
        if exact is not FAILS:
            return exact
        return FAILS if _fits(self._lax, fold(text)) is FAILS else CANNOT_TELL


def _fits(pattern: re2._Regexp, text: str) -> Truth:
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair is no text
        return CANNOT_TELL
    if len(data) > MAX_TEXT_BYTES:
        return CANNOT_TELL
    return FAILS if pattern.fullmatch(data) is None else HOLDS


def _compile(text: str, *, case_sensitive: bool) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = MAX_MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    options.case_sensitive = case_sensitive
    try:
        pattern = re2.compile(text, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise ValueError(f"is not a regular expression (RE2): {_told(error)}") from error
    if pattern.programsize > MAX_PROGRAM:
        raise ValueError("is too large once its repetitions are written out")
    return pattern


def _told(error: Exception) -> str:
    told = error.args[0] if error.args else ""
    text = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
    # RE2's words for what it has on purpose not got do not say so.
    if "perl operator" in text or text.startswith("invalid escape"):
        text += "; there is no look-around and there are no back-references"
    return text
