"""Conditions: what holds, what fails, what cannot be told, and on which side doubt falls."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.canonical import Json
from bailiwick.core.conditions import (
    Anything,
    AtLeast,
    AtMost,
    Condition,
    Equals,
    Matches,
    OneOf,
    Present,
    failure,
    permits,
    reason,
    sentence,
    triggers,
)
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import CANNOT_TELL, FAILS, HOLDS, number_of, show
from tests.unit.core.mandates import at

AMOUNT = at("amount")
BOUND = AtMost(AMOUNT, 1000)


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [1000, 0, -5, 999.99, 1000.0, "1000", "12.50", "-0", -0.0, "0.0", "999.9999999999999"]
)
def test_an_exact_number_up_to_the_bound_holds(value: Json) -> None:
    assert BOUND.of(value) is HOLDS


@pytest.mark.parametrize("value", [1001, 1000.01, "1000.0000000000000001", 2**53, "9" * 60, 1e300])
def test_a_number_above_the_bound_fails(value: Json) -> None:
    assert BOUND.of(value) is FAILS


NOT_NUMBERS: dict[str, Json] = {
    "exponent": "1e3",
    "exponent in capitals": "1E9",
    "true is not one": True,
    "false is not zero": False,
    "null": None,
    "underscore": "1_000",
    "plus sign": "+5",
    "leading space": " 5",
    "trailing newline": "5\n",
    "full-width digits": "１２",
    "arabic digits": "٣",
    "leading zero": "007",
    "hexadecimal": "0x10",
    "thousands comma": "1,000",
    "decimal comma": "12,50",
    "no digit before the point": ".5",
    "no digit after the point": "5.",
    "infinity": "Infinity",
    "not a number": "NaN",
    "minus in another script": "−5",
    "empty": "",
    "currency": "CHF 5",
    "a list": [5],
    "an object": {"value": 5},
    "longer than any amount": "1" * 65,
    "infinite float": float("inf"),
    "nan float": float("nan"),
}


@pytest.mark.parametrize("value", NOT_NUMBERS.values(), ids=NOT_NUMBERS.keys())
def test_what_is_not_plainly_a_number_cannot_be_told(value: Json) -> None:
    assert number_of(value) is None
    assert BOUND.of(value) is CANNOT_TELL
    assert AtLeast(AMOUNT, 0).of(value) is CANNOT_TELL


def test_floats_compare_by_the_decimal_they_were_written_as() -> None:
    assert AtMost(AMOUNT, Decimal("0.3")).of(0.3) is HOLDS
    assert AtMost(AMOUNT, Decimal("0.3")).of(0.1 + 0.2) is FAILS
    assert AtLeast(AMOUNT, Decimal("0.1")).of(0.1) is HOLDS


@given(st.integers(-(2**53), 2**53), st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_at_most_and_below_never_both_hold_and_never_both_fail(value: int, bound: Decimal) -> None:
    low, high = AtMost(AMOUNT, bound).of(value), AtLeast(AMOUNT, bound).of(value)
    assert (low is HOLDS) == (value <= bound)
    assert (high is HOLDS) == (value >= bound)


# --- equality ------------------------------------------------------------------------------------


def test_equality_is_of_type_and_content_and_exact_for_numbers() -> None:
    assert Equals(AMOUNT, 1).of(1.0) is HOLDS
    assert Equals(AMOUNT, 1).of(2) is FAILS
    assert Equals(AMOUNT, 1).of(True) is CANNOT_TELL
    assert Equals(AMOUNT, True).of(1) is CANNOT_TELL
    assert Equals(AMOUNT, 1).of("1") is CANNOT_TELL
    assert Equals(AMOUNT, {"a": [1, "x"]}).of({"a": [1.0, "x"]}) is HOLDS
    assert Equals(AMOUNT, {"a": [1, "x"]}).of({"a": [1, "y"]}) is FAILS
    assert Equals(AMOUNT, {"a": [1, "x"]}).of({"a": ["1", "x"]}) is CANNOT_TELL
    assert Equals(AMOUNT, {"a": 1}).of({"A": 1}) is CANNOT_TELL
    assert Equals(AMOUNT, [1]).of([1, 2]) is FAILS
    assert Equals(AMOUNT, None).of(None) is HOLDS


@pytest.mark.parametrize("near", ["de", "DE ", "\tDE", "ＤＥ", "D\u200bE", "D\0E", "De"])
def test_text_that_a_lax_reader_takes_for_the_same_cannot_be_told(near: str) -> None:
    assert OneOf(AMOUNT, ("CH", "DE")).of(near) is CANNOT_TELL
    assert Equals(AMOUNT, "DE").of(near) is CANNOT_TELL
    assert Matches(AMOUNT, (Glob("DE"),)).of(near) is CANNOT_TELL


def test_one_of_holds_for_each_and_fails_for_others() -> None:
    condition = OneOf(AMOUNT, ("CH", "DE"))
    assert condition.of("CH") is HOLDS
    assert condition.of("FR") is FAILS
    assert OneOf(AMOUNT, (1, 2)).of(2.0) is HOLDS
    assert OneOf(AMOUNT, (1, 2)).of(3) is FAILS


def test_a_text_too_long_to_look_at_for_near_equality_cannot_be_told() -> None:
    long = "é" * 300_000
    assert OneOf(AMOUNT, ("CH",)).of(long) is CANNOT_TELL
    assert Equals(AMOUNT, "CH").of(long) is CANNOT_TELL
    assert Matches(AMOUNT, (Glob("CH*"),)).of(long) is CANNOT_TELL
    assert Matches(AMOUNT, (Glob("é*"),)).of(long) is HOLDS


def test_matches_takes_text_only() -> None:
    condition = Matches(AMOUNT, (Glob("CH*"), Glob("LI*")))
    assert condition.of("LI21") is HOLDS
    assert condition.of("DE12") is FAILS
    assert condition.of(["CH12"]) is CANNOT_TELL


# --- which side doubt falls on -------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [{}, {"amount": None}, {"amount": "1e6"}, {"amount": [1]}, {"amount": True}, {"Amount": 1}],
)
def test_doubt_neither_permits_nor_escapes(arguments: dict[str, Json]) -> None:
    condition = AtLeast(AMOUNT, 1000)
    assert not permits(condition, arguments)
    assert triggers(condition, arguments)


def test_a_condition_that_plainly_fails_does_not_trigger() -> None:
    assert not triggers(AtLeast(AMOUNT, 1000), {"amount": 1})
    assert permits(AtLeast(AMOUNT, 1000), {"amount": 1000})


@pytest.mark.parametrize("arguments", [{}, {"amount": None}])
def test_optional_says_that_missing_or_null_is_fine(arguments: dict[str, Json]) -> None:
    assert permits(AtMost(AMOUNT, 5, optional=True), arguments)
    assert not triggers(AtLeast(AMOUNT, 5, optional=True), arguments)


def test_optional_does_not_excuse_a_value_that_is_there() -> None:
    assert not permits(AtMost(AMOUNT, 5, optional=True), {"amount": 6})
    assert triggers(AtLeast(AMOUNT, 5, optional=True), {"amount": "6e0"})


def test_a_look_alike_name_is_not_a_missing_argument() -> None:
    for name in ("Amount", "AMOUNT", "amount ", "ａmount"):
        assert not permits(AtMost(AMOUNT, 5, optional=True), {name: 1})
        assert triggers(AtLeast(AMOUNT, 5, optional=True), {name: 9})


def test_present_and_absent_ask_for_the_argument_itself() -> None:
    present, absent = Present(AMOUNT), Present(AMOUNT, wanted=False)
    assert permits(present, {"amount": 1})
    assert not permits(present, {})
    assert permits(absent, {})
    assert not permits(absent, {"amount": 1})
    assert not triggers(present, {})
    assert triggers(absent, {})
    assert not triggers(absent, {"amount": 1})
    # Null is neither: servers differ on it.
    assert not permits(present, {"amount": None})
    assert not permits(absent, {"amount": None})
    assert triggers(present, {"amount": None})
    assert triggers(absent, {"amount": None})


def test_anything_always_holds() -> None:
    cases: list[dict[str, Json]] = [{}, {"amount": 1}, {"amount": {"deep": []}}]
    for arguments in cases:
        assert permits(Anything(AMOUNT), arguments)
        assert triggers(Anything(AMOUNT), arguments)


# --- nested paths and lists ----------------------------------------------------------------------


def test_an_allow_condition_needs_every_item_and_a_deny_condition_needs_one() -> None:
    path = at("items[].amount")
    mixed: dict[str, Json] = {"items": [{"amount": 1}, {"amount": 5000}]}
    assert not permits(AtMost(path, 1000), mixed)
    assert permits(AtMost(path, 5000), mixed)
    assert triggers(AtLeast(path, 1000), mixed)
    assert not triggers(AtLeast(path, 6000), mixed)


@pytest.mark.parametrize(
    "arguments",
    [
        {"items": []},
        {"items": [{"amount": 1}, {}]},
        {"items": [{"amount": 1}, {"amount": "x"}]},
        {"items": {"amount": 1}},
        {"items": [[{"amount": 1}]]},
        {"items": "amount"},
        {},
    ],
)
def test_a_list_of_another_form_neither_permits_nor_escapes(arguments: dict[str, Json]) -> None:
    path = at("items[].amount")
    assert not permits(AtMost(path, 1000), arguments)
    assert triggers(AtLeast(path, 1000), arguments)


def test_a_nested_path_goes_through_objects_only() -> None:
    condition = Equals(at("payee.country"), "CH")
    assert permits(condition, {"payee": {"country": "CH"}})
    assert not permits(condition, {"payee": ["country", "CH"]})
    assert not permits(condition, {"payee.country": "CH"})
    assert triggers(condition, {"payee": "CH"})


def test_an_escaped_dot_names_a_key_that_holds_one() -> None:
    assert permits(Equals(at(r"a\.b"), 1), {"a.b": 1})
    assert not permits(Equals(at(r"a\.b"), 1), {"a": {"b": 1}})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["amount", "items", "payee"]), inner, max_size=3)
    ),
    max_leaves=8,
)
any_condition: st.SearchStrategy[Condition] = st.sampled_from(
    [at("amount"), at("items[].amount"), at("payee.amount"), at("items[]")]
).flatmap(
    lambda path: st.sampled_from(
        [
            AtMost(path, 5),
            AtLeast(path, 5, optional=True),
            Equals(path, {"a": [1, None]}),
            OneOf(path, ("x", 1, None)),
            Matches(path, (Glob("a*"),)),
            Present(path),
            Present(path, wanted=False),
            Anything(path),
        ]
    )
)


@given(any_condition, st.dictionaries(st.sampled_from(["amount", "items", "payee"]), json_values))
def test_conditions_and_their_sentences_are_total(
    condition: Condition, arguments: dict[str, Json]
) -> None:
    assert isinstance(permits(condition, arguments), bool)
    for text in (sentence(condition), failure(condition, arguments), reason(condition, arguments)):
        assert text.startswith(("`", "every `"))
        assert len(text) < 600


@given(any_condition, st.dictionaries(st.sampled_from(["amount", "items", "payee"]), json_values))
def test_what_an_allow_rule_relies_on_never_escapes_a_deny_rule_of_the_same_condition(
    condition: Condition, arguments: dict[str, Json]
) -> None:
    if permits(condition, arguments) and not condition.optional:
        assert triggers(condition, arguments)


# --- sentences -----------------------------------------------------------------------------------


def test_a_condition_says_itself_and_how_a_value_failed() -> None:
    bound = AtMost(AMOUNT, 5000)
    assert sentence(bound) == "`amount` is at most 5000"
    assert failure(bound, {"amount": 9000}) == "`amount` is 9000, allowed is at most 5000"
    assert failure(bound, {}) == "`amount` is not given, allowed is at most 5000"
    assert (
        failure(bound, {"amount": "1e3"})
        == "`amount` is text `1e3` and not a plain number, allowed is at most 5000"
    )
    assert sentence(OneOf(at("a[].b"), ("x", 1), optional=True)) == (
        "every `a[].b` is one of `x`, 1, if given"
    )
    large = AtLeast(AMOUNT, 1000)
    assert reason(large, {"amount": 2000}) == "`amount` is 2000 and so at least 1000"
    assert reason(large, {}) == (
        "`amount` is not given, so it cannot be told whether it is at least 1000"
    )


def test_long_lists_of_alternatives_are_cut() -> None:
    text = sentence(OneOf(AMOUNT, tuple(range(100))))
    assert text == "`amount` is one of 0, 1, 2, 3, 4, 5 and 94 more"


def test_shown_values_hold_nothing_invisible_and_are_short() -> None:
    assert show("a\u202eb\u200b\n`c") == r"`a\u202eb\u200b\u000a'c`"
    assert len(show("x" * 10_000_000)) == 82
    assert len(show([["x"] * 100] * 100_000)) == 82
    assert show({"a": "b"}) == '`{"a": "b"}`'
