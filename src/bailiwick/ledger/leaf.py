"""Leaves: what one ledger entry says, as canonical JSON (RFC 8785) in version 1.

A leaf is an object with `v`, `type`, `id` and `at`, and the fields of its type. It holds names,
verdicts and salted commitments (`commitment.py`), never payloads. docs/ledger.md has the table of
fields and how they cover draft-ietf-wimse-aims section 11.

Leaves are restricted to what has one obvious canonical form: no floating-point numbers, ASCII
keys, integers up to 2**53 - 1. For those, msgspec with sorted keys writes JCS: sorting by code
point is sorting by UTF-16 code unit, and its escaping is JCS's. tests/unit/ledger/test_leaf.py
holds the result equal to `rfc8785`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from bailiwick.ledger.errors import LedgerError

LeafValue = None | bool | int | str | Sequence["LeafValue"] | Mapping[str, "LeafValue"]
"""What a leaf may hold. Lists and tuples are written alike; only `dict` is a mapping."""

LEAF_VERSION: Final = 1

MAX_LEAF_BYTES: Final = 65_535
"""An entry bundle gives each entry's length as a uint16 (C2SP tlog-tiles)."""

MAX_INTEGER: Final = 2**53 - 1
_MIN_INTEGER: Final = -MAX_INTEGER
_MAX_NAMES: Final = 1024

RESERVED_FIELDS: Final = frozenset({"v", "type", "id", "at"})

_encode: Final = msgspec.json.Encoder(order="sorted").encode


class LeafType(StrEnum):
    """What a leaf records. The value is what is written."""

    CALL_INTENT = "call.intent"
    CALL_OUTCOME = "call.outcome"
    HOLD = "hold"
    STAMP = "stamp"
    OBJECT = "object"
    REVOKE = "revoke"
    PIN = "pin"
    RUN = "run"
    AGENT_SPANS = "agent.spans"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    SUSPEND = "suspend"
    RESUME = "resume"
    SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One parsed leaf. `fields` excludes `v`, `type`, `id` and `at`.

    `type` is text: a later version may write types that this one does not know.
    """

    type: str
    id: str
    at_ms: int
    fields: Mapping[str, LeafValue]


def encode_leaf(type: LeafType, id: str, at_ms: int, fields: Mapping[str, LeafValue]) -> bytes:  # noqa: A002 - leaf words
    """Encode one leaf as canonical JSON.

    About 2 µs for 20 fields; the two leaves of every call are laid out beforehand (`call_leaf.py`).

    Args:
        type: what it records.
        id: the ULID of the thing it is about (a call's intent and outcome share it).
        at_ms: Unix milliseconds.
        fields: ASCII keys, none of `RESERVED_FIELDS`; values as `LeafValue`.

    Raises:
        LedgerError: `leaf_not_canonical` for a value, key or text that has no place in a leaf,
            `leaf_too_long` beyond 65,535 bytes.
    """
    whole = {**fields, "v": LEAF_VERSION, "type": type._value_, "id": id, "at": at_ms}
    if len(whole) != len(fields) + len(RESERVED_FIELDS):
        taken = sorted(name for name in fields if name in RESERVED_FIELDS)
        raise LedgerError("leaf_not_canonical", f"`{taken[0]}` is not a free field of a leaf")
    return _checked(whole)


def parse_leaf(leaf: bytes) -> Leaf:
    """Parse one leaf strictly: its bytes must be exactly what `encode_leaf` would write.

    Raises:
        LedgerError: `leaf_malformed`; `leaf_version` for a version this code does not know.
    """
    try:
        value = json.loads(leaf)
    except (ValueError, RecursionError) as error:
        raise LedgerError("leaf_malformed", "the entry is not JSON") from error
    if not isinstance(value, dict):
        raise LedgerError("leaf_malformed", "the entry is not a JSON object")
    if value.get("v") != LEAF_VERSION or type(value["v"]) is not int:
        raise LedgerError("leaf_version", f"leaf version {value.get('v')!r} is not known")
    if _checked(value) != leaf:
        raise LedgerError("leaf_malformed", "the entry is not canonical JSON")
    kind, ident, at_ms = value.get("type"), value.get("id"), value.get("at")
    if not (isinstance(kind, str) and isinstance(ident, str) and type(at_ms) is int):
        raise LedgerError("leaf_malformed", "the entry lacks `type`, `id` or `at`")
    rest = {name: item for name, item in value.items() if name not in RESERVED_FIELDS}
    return Leaf(kind, ident, at_ms, rest)


def canonical_value(value: LeafValue) -> bytes:
    """Canonical JSON of one value, for committing to it.

    Raises:
        LedgerError: `leaf_not_canonical`.
    """
    try:
        _check(value)
        return _encode(value)
    except UnicodeEncodeError as error:
        raise LedgerError("leaf_not_canonical", "text holds a lone surrogate") from error
    except RecursionError as error:
        raise LedgerError("leaf_not_canonical", "values are nested too deeply") from error


def _checked(whole: dict[str, LeafValue]) -> bytes:
    leaf = canonical_value(whole)
    if len(leaf) > MAX_LEAF_BYTES:
        raise LedgerError("leaf_too_long", f"a leaf has {len(leaf)} bytes of 65,535 at most")
    return leaf


_ascii_names: set[str] = set()
"""Keys known to be ASCII. A memo, bounded: the same few come again and again."""


def _check(value: LeafValue) -> None:
    """Refuse what has another canonical form than msgspec writes, or none.

    Without recursion: compiled (docs/adr/0013), nothing would bound it.
    """
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if not _ascii_names.issuperset(value):
                for name in value:
                    _check_name(name)
            for item in value.values():
                kind = type(item)
                if kind is not str and (kind is not int or not _MIN_INTEGER <= item <= MAX_INTEGER):
                    pending.append(item)
        elif isinstance(value, list | tuple):
            pending += [item for item in value if type(item) is not str]
        elif isinstance(value, int):  # True and False are integers here, and fine
            if not _MIN_INTEGER <= value <= MAX_INTEGER:
                raise LedgerError("leaf_not_canonical", "an integer is beyond 2**53 - 1")
        elif value is not None and not isinstance(value, str):
            text = f"a leaf cannot hold a `{type(value).__name__}`"
            raise LedgerError("leaf_not_canonical", text)


def _check_name(name: object) -> None:
    if not (type(name) is str and name.isascii()):
        raise LedgerError("leaf_not_canonical", "a leaf's keys are ASCII text")
    if len(_ascii_names) < _MAX_NAMES:
        _ascii_names.add(name)
