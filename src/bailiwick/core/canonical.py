"""Canonical JSON (RFC 8785, JCS) and digests over it.

msgspec with sorted keys gives the JCS bytes for every value without floats and with ASCII keys
(JCS sorts keys by UTF-16 code units, msgspec by code points; number forms differ for floats only),
ten times faster than `rfc8785`, which takes the rest. tests/unit/core/test_canonical.py holds the
two equal, character by character.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
        if _is_plain(value):
            return _encode(value)
        return rfc8785.dumps(value)
    except UnicodeEncodeError as error:
        raise TheirError("no_canonical_form", "text holds a lone surrogate") from error
    except rfc8785.CanonicalizationError as error:
        raise TheirError("no_canonical_form", f"no canonical form: {error}") from error


def digest_of(value: Json) -> Digest:
    """SHA-256 over `canonical(value)`, as lower-case hex."""
    return Digest(hashlib.sha256(canonical(value)).hexdigest())


def _is_plain(value: Json) -> bool:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER  # type: ignore[operator]  # an int by `kind`
    if kind is dict:
        for key, item in value.items():  # type: ignore[union-attr]  # noqa: SIM110 - half the time
            if not (key.isascii() and _is_plain(item)):
                return False
        return True
    if kind is list or kind is tuple:
        return all(_is_plain(item) for item in value)  # type: ignore[union-attr]  # a list
    return False
