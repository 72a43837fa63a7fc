"""Leaves that are filled into forms are the bytes that `encode_call_leaf` writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.call_form import IntentForm, result_leaf
from bailiwick.ledger.call_leaf import IntentLeaf, encode_call_leaf, written
from bailiwick.ledger.commitment import commit
from bailiwick.ledger.errors import LedgerError
from bailiwick.ledger.leaf import MAX_INTEGER, MAX_LEAF_BYTES, LeafValue
from tests.unit.ledger.test_call_leaf import OF_PARTS, OUTCOME, given_values

texts = st.text(st.characters(exclude_categories=["Cs"]))
# What is to be escaped, what only looks as if it were filled in, and what ids are made of.
odd = texts | st.sampled_from(['"', "\\", "\0", '","at":\0', "%s", "{0}", "ünïcode", "01JD", ""])
times = st.integers(0, MAX_INTEGER)
COMMITMENT = commit(b"s" * 16, b"value")

PLAIN: IntentLeaf = {
    "agent": "clerk",
    "arguments": "",
    "at": 0,
    "code": "allowed",
    "decision": "allow",
    "edge": "mcp",
    "id": "",
    "kind": "tool",
    "mandate": "files@3",
    "mandate_digest": "0",
    "owner": "p_bo",
    "principal": "p_ada",
    "rules": (),
    "run": "",
    "token": "3",
    "type": "call.intent",
    "upstream": "bank",
    "v": 1,
}


@given(given_values(IntentLeaf), times, odd, odd, odd)
def test_a_filled_form_is_the_leaf_as_it_is_encoded(
    values: dict[str, LeafValue], at: int, ident: str, run: str, traceparent: str
) -> None:
    parts = {name: written(value) for name, value in values.items() if name in OF_PARTS}
    first = cast("IntentLeaf", {**values, **parts, "type": "call.intent", "v": 1})
    form = IntentForm(first)

    one: IntentLeaf = {**first, "arguments": COMMITMENT, "at": at, "id": ident, "run": run}
    one.pop("traceparent", None)
    if traceparent:
        one["traceparent"] = traceparent
    filled = form.filled(COMMITMENT, at, ident, run, traceparent)
    assert filled == encode_call_leaf(one)
    assert form.size < len(filled)


@given(times, odd, odd, st.sampled_from(["done", "failed"]))
def test_a_result_s_leaf_is_that_of_an_outcome(at: int, ident: str, run: str, state: str) -> None:
    leaf = encode_call_leaf(
        {**OUTCOME, "at": at, "id": ident, "result": COMMITMENT, "run": run, "state": state}
    )
    assert result_leaf(COMMITMENT, at, ident, run, state) == leaf


FILLS: list[Callable[[int, str, str], bytes]] = [
    lambda at, ident, run: IntentForm(PLAIN).filled(COMMITMENT, at, ident, run, ""),
    lambda at, ident, run: result_leaf(COMMITMENT, at, ident, run, "done"),
]


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(
    ("at", "ident", "run", "code"),
    [
        (MAX_INTEGER + 1, "1", "2", "leaf_not_canonical"),
        (-MAX_INTEGER - 1, "1", "2", "leaf_not_canonical"),
        (4, "\ud800", "2", "leaf_not_canonical"),
        (4, "1", "\udfff", "leaf_not_canonical"),
        (4, "1", "x" * MAX_LEAF_BYTES, "leaf_too_long"),
        (4, "1", '"' * (MAX_LEAF_BYTES // 2), "leaf_too_long"),
    ],
)
def test_what_has_no_place_in_a_leaf_is_refused(
    fill: Callable[[int, str, str], bytes], at: int, ident: str, run: str, code: str
) -> None:
    with pytest.raises(LedgerError) as caught:
        fill(at, ident, run)
    assert caught.value.code == code


@pytest.mark.parametrize("traceparent", ["\ud800", "x" * MAX_LEAF_BYTES])
def test_a_trace_that_has_no_place_in_a_leaf_is_refused(traceparent: str) -> None:
    with pytest.raises(LedgerError):
        IntentForm(PLAIN).filled(COMMITMENT, 4, "1", "2", traceparent)


def test_half_a_character_is_in_no_form() -> None:
    with pytest.raises(LedgerError) as caught:
        IntentForm({**PLAIN, "edge": "\ud800"})
    assert caught.value.code == "leaf_not_canonical"
