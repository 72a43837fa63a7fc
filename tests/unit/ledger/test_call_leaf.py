"""A call's leaves, laid out beforehand, are the bytes that `encode_leaf` writes."""

from __future__ import annotations

from typing import NotRequired, cast, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.call_leaf import IntentLeaf, OutcomeLeaf, encode_call_leaf, written
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import (
    LEAF_VERSION,
    MAX_INTEGER,
    MAX_LEAF_BYTES,
    LeafType,
    LeafValue,
    encode_leaf,
    parse_leaf,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
parts = st.recursive(
    st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner)
    ),
    max_leaves=6,
)
OF_PARTS = {"chain", "retold", "facts"}
OUTCOME: OutcomeLeaf = {
    "at": 0,
    "id": "1",
    "run": "2",
    "state": "done",
    "type": "call.outcome",
    "v": 1,
}


def given_values(kind: type[IntentLeaf | OutcomeLeaf]) -> st.SearchStrategy[dict[str, LeafValue]]:
    """Values for all fields that a leaf must have, and for some of those that it may have."""
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, st.SearchStrategy[LeafValue]] = {
        name: parts if name in OF_PARTS else texts for name in hints if name not in {"v", "type"}
    }
    values["at"] = st.integers(0, MAX_INTEGER)
    if "rules" in values:
        values["rules"] = st.lists(texts).map(tuple)
    may = {name: values.pop(name) for name in hints if get_origin(hints[name]) is NotRequired}
    assert may, "some fields may be missing"
    return st.fixed_dictionaries(values, optional=may)


@given(given_values(IntentLeaf))
def test_an_intent_is_written_as_any_leaf_of_its_fields(values: dict[str, LeafValue]) -> None:
    assert_same(LeafType.CALL_INTENT, values)


@given(given_values(OutcomeLeaf))
def test_an_outcome_is_written_as_any_leaf_of_its_fields(values: dict[str, LeafValue]) -> None:
    assert_same(LeafType.CALL_OUTCOME, values)


def assert_same(kind: LeafType, values: dict[str, LeafValue]) -> None:
    leaf = {name: written(value) if name in OF_PARTS else value for name, value in values.items()}
    leaf |= {"type": kind.value, "v": LEAF_VERSION}
    text = encode_call_leaf(cast("IntentLeaf", leaf))

    others = {name: value for name, value in values.items() if name not in {"id", "at"}}
    ident, at_ms = cast("str", values["id"]), cast("int", values["at"])
    assert text == encode_leaf(kind, ident, at_ms, others)
    assert parse_leaf(text).type == kind


@pytest.mark.parametrize("at", [MAX_INTEGER + 1, -MAX_INTEGER - 1])
def test_a_time_without_one_canonical_form_is_refused(at: int) -> None:
    with pytest.raises(LedgerError) as caught:
        encode_call_leaf({**OUTCOME, "at": at})
    assert caught.value.code == "leaf_not_canonical"


def test_half_a_character_is_refused() -> None:
    with pytest.raises(LedgerError) as caught:
        encode_call_leaf({**OUTCOME, "code": "\ud800"})
    assert caught.value.code == "leaf_not_canonical"


@pytest.mark.parametrize("value", [1.5, {"\u00e9": 1}, {"deep": [2**53]}, "\ud800"])
def test_a_value_of_parts_is_looked_at_as_in_any_leaf(value: object) -> None:
    with pytest.raises(LedgerError) as caught:
        written(cast("LeafValue", value))
    assert caught.value.code == "leaf_not_canonical"


def test_a_call_s_leaf_may_have_65535_bytes_and_not_one_more() -> None:
    frame = len(encode_call_leaf({**OUTCOME, "code": ""}))
    longest = "x" * (MAX_LEAF_BYTES - frame)
    assert len(encode_call_leaf({**OUTCOME, "code": longest})) == 65_535
    with pytest.raises(LedgerError) as caught:
        encode_call_leaf({**OUTCOME, "code": longest + "x"})
    assert caught.value.code == "leaf_too_long"
