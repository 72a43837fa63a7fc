"""Secrets: referred to in declarations, read when needed, never shown.

`${env:NAME}` stands for a variable of the environment the gateway was started in, `${file:PATH}`
for what a file holds (one trailing newline does not count). What is stored, hashed, recorded and
shown is the reference; the value lives in a `Secret` and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Never

from bailiwick.core.errors import ConfigError

MAX_SECRET_BYTES = 65_536
"""Largest file a reference may name: a long key chain fits, a wrong path shows."""

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A value that shows itself only to `reveal`: not in repr, str, format, pickle or JSON."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Never:
        raise TypeError("a Secret is not written anywhere")


@dataclass(frozen=True, slots=True)
class Reference:
    """One `${env:NAME}` or `${file:PATH}`."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"${{{self.source}:{self.name}}}"


def has_reference(text: str) -> bool:
    """Whether `text` seems to hold a reference, rightly written or not."""
    return "${" in text


def references(text: str) -> tuple[Reference, ...]:
    """The references in `text`.

    Raises:
        ValueError: something between `${` and `}` that is no reference, in words for people.
    """
    found = []
    rest = _REFERENCE.sub("", text)
    if "${" in rest:
        raise ValueError("a `${` has no `}`")
    for match in _REFERENCE.finditer(text):
        source, colon, name = match.group(1).partition(":")
        if not colon or source not in ("env", "file"):
            raise ValueError("a reference is `${env:NAME}` or `${file:PATH}`")
        if source == "env" and not _ENV_NAME.fullmatch(name):
            raise ValueError("`${env:…}` takes the name of a variable: letters, digits and `_`")
        if source == "file" and not (name.startswith("/") and name.isprintable()):
            raise ValueError("`${file:…}` takes an absolute path")
        found.append(Reference(source, name))
    return tuple(found)


def resolve(text: str, environment: Mapping[str, str], *, one_line: bool = False) -> Secret:
    """`text` with every reference replaced by its value.

    Reads the files it refers to. Blocking.

    Args:
        text: as declared.
        environment: variables by name.
        one_line: refuse a value with a line break (a header must not grow a second one).

    Raises:
        ConfigError: `secret_unset`, `secret_unreadable` or `secret_malformed`; names the
            reference, never the value.
    """
    try:
        references(text)
    except ValueError as error:
        raise ConfigError("secret_malformed", str(error)) from error

    def value(match: re.Match[str]) -> str:
        source, _, name = match.group(1).partition(":")
        reference = Reference(source, name)
        found = _read_file(reference) if source == "file" else environment.get(name)
        if not found:
            state = "is not set" if found is None else "is empty"
            remedy = "" if source == "file" else ": start the gateway with it in its environment"
            raise ConfigError("secret_unset", f"`{reference}` {state}{remedy}")
        if "\0" in found or (one_line and not found.isprintable()):
            message = f"`{reference}` holds a line break or control character"
            raise ConfigError("secret_malformed", message)
        return found

    return Secret(_REFERENCE.sub(value, text))


def _read_file(reference: Reference) -> str:
    path = Path(reference.name)
    try:
        # Asked before opening: opening a pipe would wait for a writer.
        if path.exists() and not path.is_file():
            raise ConfigError("secret_unreadable", f"`{reference}` is not a plain file")
        with path.open("rb") as file:
            data = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError("secret_unreadable", f"`{reference}` cannot be read: {why}") from error
    if len(data) > MAX_SECRET_BYTES:
        message = f"`{reference}` is larger than {MAX_SECRET_BYTES} bytes"
        raise ConfigError("secret_unreadable", message)
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # Not chained: the decoder's error carries the bytes.
        raise ConfigError("secret_unreadable", f"`{reference}` is not UTF-8 text") from None
