"""Leaves are canonical JSON, within limits, and read back strictly."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import cast

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import (
    LEAF_VERSION,
    MAX_INTEGER,
    MAX_LEAF_BYTES,
    RESERVED_FIELDS,
    LeafType,
    LeafValue,
    canonical_value,
    encode_leaf,
    parse_leaf,
)

ULID = "01JDABCDEFGHJKMNPQRSTVWXYZ"

keys = st.text(st.characters(max_codepoint=127), max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=12
)
fields = st.dictionaries(keys.filter(lambda key: key not in RESERVED_FIELDS), values, max_size=8)


@given(values)
@example('\x00\x08\t\n\x0b\x0c\r\x1f"\\/\x7f\x80\u2028\u2029\ufeff\U0001f600')
def test_a_value_is_written_exactly_as_rfc_8785_says(value: LeafValue) -> None:
    assert canonical_value(value) == rfc8785.dumps(cast("str", value))


@given(fields, st.sampled_from(LeafType), st.integers(0, MAX_INTEGER))
def test_a_leaf_is_canonical_and_reads_back_as_written(
    given_fields: dict[str, LeafValue], kind: LeafType, at_ms: int
) -> None:
    leaf = encode_leaf(kind, ULID, at_ms, given_fields)

    whole = {**given_fields, "v": LEAF_VERSION, "type": kind.value, "id": ULID, "at": at_ms}
    assert leaf == rfc8785.dumps(cast("dict[str, str]", whole))
    read = parse_leaf(leaf)
    assert (read.type, read.id, read.at_ms, read.fields) == (kind, ULID, at_ms, given_fields)


def test_a_tuple_is_written_as_a_list_and_an_enum_as_its_text() -> None:
    class Colour(StrEnum):
        RED = "red"

    assert canonical_value({"a": (1, Colour.RED), "b": True}) == b'{"a":[1,"red"],"b":true}'


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        2**53,
        -(2**53),
        b"bytes",
        {1, 2},
        {"\u00e9": 1},
        {"\ud800": 1},
        {1: "number"},
        {1: 1, "a": 1},
        {None: 1},
        "\ud800",
        ["ok", {"deep": 1.5}],
        object(),
    ],
)
def test_what_has_no_obvious_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(LedgerError) as caught:
        encode_leaf(LeafType.RUN, ULID, 0, {"field": cast("LeafValue", value)})
    assert caught.value.code == "leaf_not_canonical"


def test_endless_nesting_is_refused() -> None:
    value: LeafValue = "deep"
    for _ in range(100_000):
        value = [value]
    with pytest.raises(LedgerError) as caught:
        encode_leaf(LeafType.RUN, ULID, 0, {"field": value})
    assert caught.value.code == "leaf_not_canonical"


@pytest.mark.parametrize("name", sorted(RESERVED_FIELDS))
def test_fields_cannot_replace_what_every_leaf_says(name: str) -> None:
    with pytest.raises(LedgerError, match=f"`{name}` is not a free field"):
        encode_leaf(LeafType.STAMP, ULID, 0, {name: "other"})


def test_a_leaf_may_have_65535_bytes_and_not_one_more() -> None:
    frame = len(encode_leaf(LeafType.RUN, ULID, 0, {"field": ""}))
    longest = "x" * (MAX_LEAF_BYTES - frame)
    assert len(encode_leaf(LeafType.RUN, ULID, 0, {"field": longest})) == 65_535
    with pytest.raises(LedgerError) as caught:
        encode_leaf(LeafType.RUN, ULID, 0, {"field": longest + "x"})
    assert caught.value.code == "leaf_too_long"


@pytest.mark.parametrize(
    ("untrusted_leaf", "code"),
    [
        (b"", "leaf_malformed"),
        (b"[]", "leaf_malformed"),
        (b"\xff", "leaf_malformed"),
        (b"[" * 100_000, "leaf_malformed"),
        (b'{"at":0,"id":"a","type":"run"}', "leaf_version"),
        (b'{"at":0,"id":"a","type":"run","v":2}', "leaf_version"),
        (b'{"at":0,"id":"a","type":"run","v":true}', "leaf_version"),
        (b'{"at":0,"id":"a","type":"run","v":1} ', "leaf_malformed"),
        (b'{"id":"a","at":0,"type":"run","v":1}', "leaf_malformed"),
        (b'{"at":0,"at":0,"id":"a","type":"run","v":1}', "leaf_malformed"),
        (b'{"at":0,"id":"\\u0061","type":"run","v":1}', "leaf_malformed"),
        (b'{"at":1.5,"id":"a","type":"run","v":1}', "leaf_not_canonical"),
        (b'{"at":NaN,"id":"a","type":"run","v":1}', "leaf_not_canonical"),
        (b'{"at":"0","id":"a","type":"run","v":1}', "leaf_malformed"),
        (b'{"at":0,"id":1,"type":"run","v":1}', "leaf_malformed"),
        (b'{"at":0,"id":"a","v":1}', "leaf_malformed"),
    ],
)
def test_only_the_one_spelling_of_a_leaf_is_read(untrusted_leaf: bytes, code: str) -> None:
    with pytest.raises(LedgerError) as caught:
        parse_leaf(untrusted_leaf)
    assert caught.value.code == code


@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_reading_any_bytes_gives_a_leaf_or_a_ledger_error(untrusted_leaf: bytes) -> None:
    try:
        leaf = parse_leaf(untrusted_leaf)
    except LedgerError:
        return
    assert json.loads(untrusted_leaf)["id"] == leaf.id
