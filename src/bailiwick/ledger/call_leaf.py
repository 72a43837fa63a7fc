"""The two leaves of a call, laid out beforehand: each call writes both.

They are leaves like any other (`leaf.py`): the same bytes, the same bounds. Their names are known,
so nothing is sorted or looked at name by name: fields stand in canonical order, and their types say
what `encode_leaf` would have to find out. tests/unit/ledger/test_call_leaf.py holds the two equal.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import (
    LEAF_VERSION,
    MAX_INTEGER,
    MAX_LEAF_BYTES,
    LeafType,
    LeafValue,
    canonical_value,
)

_encode: Final = msgspec.json.Encoder().encode


class IntentLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """`call.intent`. docs/ledger.md explains the fields; one that is UNSET is not written.

    INVARIANT: the fields stand in the order of their names, which is that of RFC 8785.

    Attributes:
        at: Unix milliseconds.
        chain, retold: as `written` gives them.
    """

    agent: str
    arguments: str
    asked_as: str | UnsetType = UNSET
    at: int
    chain: msgspec.Raw | UnsetType = UNSET
    code: str
    decision: str
    edge: str
    hold: str | UnsetType = UNSET
    id: str
    instead_of: str | UnsetType = UNSET
    kind: str
    mandate: str
    mandate_digest: str
    name: str | UnsetType = UNSET
    owner: str
    policies: str | UnsetType = UNSET
    principal: str
    retold: msgspec.Raw | UnsetType = UNSET
    rules: tuple[str, ...]
    run: str
    thought: str | UnsetType = UNSET
    token: str
    traceparent: str | UnsetType = UNSET
    type: str = LeafType.CALL_INTENT._value_
    upstream: str
    v: int = LEAF_VERSION


class OutcomeLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """`call.outcome`, as `IntentLeaf`. `facts` is as `written` gives it."""

    at: int
    code: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    facts: msgspec.Raw | UnsetType = UNSET
    id: str
    reasoning: str | UnsetType = UNSET
    result: str | UnsetType = UNSET
    run: str
    said: str | UnsetType = UNSET
    state: str
    type: str = LeafType.CALL_OUTCOME._value_
    v: int = LEAF_VERSION


def written(value: LeafValue) -> msgspec.Raw:
    """A value of more than one part, as it stands in a leaf. Raises as `canonical_value`."""
    return msgspec.Raw(canonical_value(value))


def encode_call_leaf(leaf: IntentLeaf | OutcomeLeaf) -> bytes:
    """Encode one leaf of a call as canonical JSON: 0.4 µs, a quarter of what `encode_leaf` takes.

    Raises:
        LedgerError: `leaf_not_canonical`, `leaf_too_long`.
    """
    try:
        text = _encode(leaf)
    except UnicodeEncodeError as error:
        raise LedgerError("leaf_not_canonical", "text holds a lone surrogate") from error
    if not -MAX_INTEGER <= leaf.at <= MAX_INTEGER:
        raise LedgerError("leaf_not_canonical", "an integer is beyond 2**53 - 1")
    if len(text) > MAX_LEAF_BYTES:
        raise LedgerError("leaf_too_long", f"a leaf has {len(text)} bytes of 65,535 at most")
    return text
