"""Canonical JSON (RFC 8785, JCS) and digests over it.

msgspec with sorted keys gives the JCS bytes for every value with ASCII keys once its floats are
spelt by `rfc8785` (JCS sorts keys by UTF-16 code units, msgspec by code points; number forms differ
for some floats only), ten times faster than `rfc8785`, which takes the rest.
tests/unit/core/test_canonical.py holds the two equal, character by character.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NewType

import msgspec
import rfc8785

from bailiwick.core.errors import TheirError

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""A parsed JSON value. Nothing mutates one after it has been parsed."""

JsonObject = Mapping[str, Json]

Digest = NewType("Digest", str)
"""Lower-case hex SHA-256 of canonical bytes, 64 characters."""

MAX_SAFE_INTEGER = 2**53 - 1

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(value: Json) -> bytes:
    """Encode `value` as RFC 8785 canonical JSON.

    Raises:
        TheirError: `no_canonical_form` for an integer beyond 2**53 - 1, a float that is not
            finite, or a lone surrogate.
    """
    try:
        try:
            plain = type(value) is dict and _is_spelt(value.values())
            text = _encode(value if plain else _spelt(value))
            # All names at once: where the whole text is ASCII, they are.
            if text.isascii() or _ascii_names(value):
                return text
        except _Unusual:
            pass
        return rfc8785.dumps(value)
    except UnicodeEncodeError as error:
        raise TheirError("no_canonical_form", "text holds a lone surrogate") from error
    except rfc8785.CanonicalizationError as error:
        raise TheirError("no_canonical_form", f"no canonical form: {error}") from error


def digest_of(value: Json) -> Digest:
    """SHA-256 over `canonical(value)`, as lower-case hex."""
    return Digest(hashlib.sha256(canonical(value)).hexdigest())


def as_judged(value: Json) -> Json:
    """What was parsed from canonical text, as it was before it was written.

    RFC 8785 writes the float 1e16 as `10000000000000000`, which reads back as an integer. No
    integer beyond 2**53 - 1 has a canonical form, so whatever reads as one was a float.
    """
    kind = type(value)
    if kind is int:
        safe = -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER  # type: ignore[operator]  # an int
        return value if safe else float(value)  # type: ignore[arg-type]  # an int
    if isinstance(value, dict):
        return {name: as_judged(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_judged(item) for item in value]
    return value


class _Unusual(Exception):
    """What only the reference implementation is trusted with, or refuses."""


def _is_spelt(values: Iterable[object]) -> bool:
    """Whether all of these values are written as they are, as most are: no number in them has
    another canonical text, and none has none."""
    for value in values:
        kind = type(value)
        if kind is str:
            continue
        if kind is int:
            if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:  # type: ignore[operator]  # int
                return False
        elif kind is dict:
            if not _is_spelt(value.values()):  # type: ignore[attr-defined]  # a dict
                return False
        elif kind is list or kind is tuple:
            if not _is_spelt(value):  # type: ignore[arg-type]  # a list
                return False
        elif kind is float:
            if _spelt_number(value) is not value:  # type: ignore[arg-type]  # a float
                return False
        elif kind is not bool and value is not None:
            return False
    return True


def _spelt(value: object) -> object:
    """`value` with the canonical text of each float in its place; itself if it holds none.

    Raises:
        _Unusual: it holds an integer beyond 2**53 - 1, or no JSON.
    """
    kind = type(value)
    if kind is dict:
        return _spelt_object(value)  # type: ignore[arg-type]  # a dict
    if kind is list or kind is tuple:
        return _spelt_list(value)  # type: ignore[arg-type]  # a list
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:  # type: ignore[operator]  # an int
            return value
        raise _Unusual
    if kind is float:
        return _spelt_number(value)  # type: ignore[arg-type]  # a float
    raise _Unusual


def _spelt_number(value: float) -> object:
    # Without an exponent and with a fraction, msgspec writes what the reference implementation
    # writes: the digits of the shortest text that reads back the same.
    if 1e-4 <= abs(value) < 1e15 and not value.is_integer():
        return value
    return msgspec.Raw(rfc8785.dumps(value))


def _spelt_object(value: dict[str, object]) -> dict[str, object]:
    changed: dict[str, object] | None = None
    for key, item in value.items():
        if type(item) is not str:
            spelt = _spelt(item)
            if spelt is not item:
                # What was parsed is never changed, and most of it is as it stays.
                changed = changed or value.copy()
                changed[key] = spelt
    return changed or value


def _spelt_list(value: Sequence[object]) -> Sequence[object]:
    changed: list[object] | None = None
    for at, item in enumerate(value):
        if type(item) is not str:
            spelt = _spelt(item)
            if spelt is not item:
                changed = changed or list(value)
                changed[at] = spelt
    return changed or value


def _ascii_names(value: object) -> bool:
    """Whether all names in a JSON value are ASCII."""
    if type(value) is dict:
        return "".join(value).isascii() and all(map(_ascii_names, value.values()))
    if type(value) is list or type(value) is tuple:
        return all(map(_ascii_names, value))
    return True
