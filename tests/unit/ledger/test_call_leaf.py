"""A call's leaves, laid out beforehand, are the bytes that `encode_leaf` writes."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from bailiwick.ledger.call_leaf import IntentLeaf, OutcomeLeaf, encode_call_leaf, written
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import (
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
OUTCOME = OutcomeLeaf(at=0, id="1", run="2", state="done")


def given_values(kind: type[IntentLeaf | OutcomeLeaf]) -> st.SearchStrategy[dict[str, LeafValue]]:
    """Values for all fields that a leaf must have, and for some of those that it may have."""
    must: dict[str, st.SearchStrategy[LeafValue]] = {}
    may: dict[str, st.SearchStrategy[LeafValue]] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in {"v", "type"}:
            continue
        value: st.SearchStrategy[LeafValue] = parts if field.name in OF_PARTS else texts
        if field.name == "at":
            value = st.integers(0, MAX_INTEGER)
        elif field.name == "rules":
            value = st.lists(texts).map(tuple)
        (must if field.required else may)[field.name] = value
    return st.fixed_dictionaries(must, optional=may)


@pytest.mark.parametrize("kind", [IntentLeaf, OutcomeLeaf])
def test_fields_stand_in_the_order_of_their_names(kind: type[IntentLeaf | OutcomeLeaf]) -> None:
    assert list(kind.__struct_fields__) == sorted(kind.__struct_fields__)


@given(given_values(IntentLeaf))
def test_an_intent_is_written_as_any_leaf_of_its_fields(values: dict[str, LeafValue]) -> None:
    assert_same(LeafType.CALL_INTENT, IntentLeaf, values)


@given(given_values(OutcomeLeaf))
def test_an_outcome_is_written_as_any_leaf_of_its_fields(values: dict[str, LeafValue]) -> None:
    assert_same(LeafType.CALL_OUTCOME, OutcomeLeaf, values)


def assert_same(
    type_: LeafType, kind: type[IntentLeaf | OutcomeLeaf], values: dict[str, LeafValue]
) -> None:
    wrapped = {name: written(v) if name in OF_PARTS else v for name, v in values.items()}
    leaf = encode_call_leaf(kind(**wrapped))  # type: ignore[arg-type]  # by name, as drawn

    others = {name: value for name, value in values.items() if name not in {"id", "at"}}
    ident, at_ms = cast("str", values["id"]), cast("int", values["at"])
    assert leaf == encode_leaf(type_, ident, at_ms, others)
    assert parse_leaf(leaf).type == type_


@pytest.mark.parametrize("at", [MAX_INTEGER + 1, -MAX_INTEGER - 1])
def test_a_time_without_one_canonical_form_is_refused(at: int) -> None:
    with pytest.raises(LedgerError) as caught:
        encode_call_leaf(msgspec.structs.replace(OUTCOME, at=at))
    assert caught.value.code == "leaf_not_canonical"


def test_half_a_character_is_refused() -> None:
    with pytest.raises(LedgerError) as caught:
        encode_call_leaf(msgspec.structs.replace(OUTCOME, code="\ud800"))
    assert caught.value.code == "leaf_not_canonical"


@pytest.mark.parametrize("value", [1.5, {"\u00e9": 1}, {"deep": [2**53]}, "\ud800"])
def test_a_value_of_parts_is_looked_at_as_in_any_leaf(value: object) -> None:
    with pytest.raises(LedgerError) as caught:
        written(cast("LeafValue", value))
    assert caught.value.code == "leaf_not_canonical"


def test_a_call_s_leaf_may_have_65535_bytes_and_not_one_more() -> None:
    frame = len(encode_call_leaf(msgspec.structs.replace(OUTCOME, code="")))
    longest = "x" * (MAX_LEAF_BYTES - frame)
    assert len(encode_call_leaf(msgspec.structs.replace(OUTCOME, code=longest))) == 65_535
    with pytest.raises(LedgerError) as caught:
        encode_call_leaf(msgspec.structs.replace(OUTCOME, code=longest + "x"))
    assert caught.value.code == "leaf_too_long"


def test_what_is_not_set_is_not_written() -> None:
    assert OUTCOME.code is UNSET
    assert encode_call_leaf(OUTCOME) == (
        b'{"at":0,"id":"1","run":"2","state":"done","type":"call.outcome","v":1}'
    )
