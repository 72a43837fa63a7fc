"""What holds of every kind of condition, whatever the call."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import bailiwick.core.conditions as package
from bailiwick.core.argument_path import look_alikes, reach
from bailiwick.core.canonical import MAX_SAFE_INTEGER, Json
from bailiwick.core.conditions import (
    Anything,
    AtLeast,
    AtMost,
    Beside,
    Condition,
    Equals,
    Matches,
    OneOf,
    Present,
    failure,
    permits,
    reason,
    sentence,
    standing,
    triggers,
)
from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import FAILS, HOLDS, Number, Truth
from tests.unit.core.condition_kinds import arguments, conditions, kinds, plain_kinds, values
from tests.unit.core.mandates import at

Arguments = dict[str, Json]


def test_the_strategies_know_every_kind_of_values() -> None:
    classes = {
        each
        for name in package.__all__
        if isinstance(each := getattr(package, name), type) and issubclass(each, Condition)
    }
    elsewhere = {each for each in classes if each.__module__.split(".")[-1] in ELSEWHERE}
    assert classes - elsewhere - {Condition, Beside} == set(kinds)


ELSEWHERE = {"urls", "email", "sql", "shell"}
"""Kinds that have properties of their own, with their parsers."""


@given(st.one_of(*plain_kinds.values()), values)
def test_every_kind_answers_in_three_values(condition: Condition, value: Json) -> None:
    assert isinstance(condition.of(value), Truth)


@given(conditions, arguments)
def test_what_every_kind_says_quickly_is_what_it_says(
    condition: Condition, call: Arguments
) -> None:
    said = condition.quick()(call)
    if said is HOLDS:
        assert permits(condition, call)
        assert triggers(condition, call)
    if said is FAILS:
        assert not triggers(condition, call)


@given(st.one_of(*plain_kinds.values()), arguments)
def test_every_kind_on_one_value_is_asked_of_all_its_path_leads_to(
    condition: Condition, call: Arguments
) -> None:
    assume(look_alikes(call) is None)  # such calls are refused before any condition is asked
    found = reach(condition.path, call)
    assert permits(condition, call) is all(map(condition.permitted, found))
    assert triggers(condition, call) is any(map(condition.triggered, found))


@pytest.mark.parametrize(
    ("condition", "holds", "fails"),
    [
        (AtMost(at("x"), 5), 5, 6),
        (AtMost(at("x"), 5), "5.0", "5.1"),
        (AtLeast(at("x"), 5), 5, 4),
        (AtLeast(at("x.y"), 5), {"y": 5}, {"y": 4}),
        (OneOf(at("x"), ("a", "b")), "b", "c"),
        (Equals(at("x"), "a"), "a", "b"),
        (Equals(at("x"), 1), 1, 2),
        (Matches(at("x"), (Glob("a*b"),)), "aXb", "aXc"),
        (Matches(at("x"), (Glob("aa*a"), Glob("b*"))), "aaa", "aa"),
    ],
)
def test_common_kinds_say_quickly_what_is_plain(
    condition: Condition, holds: Json, fails: Json
) -> None:
    ask = condition.quick()
    assert ask({"x": holds}) is HOLDS
    assert ask({"x": holds, "z": 1}) is HOLDS
    assert ask({"x": fails}) is FAILS


@pytest.mark.parametrize(
    "call", [{}, {"x": None}, {"X": 5}, {"x": True}, {"x": "5e0"}, {"x": [5]}], ids=str
)
def test_what_is_not_plain_is_left_to_the_condition(call: Arguments) -> None:
    for condition in (AtMost(at("x"), 5, optional=True), AtLeast(at("x"), 5), Equals(at("x"), 7)):
        assert condition.quick()(call) not in (HOLDS, FAILS)


@pytest.mark.parametrize("wanted", [True, False])
def test_whether_an_argument_is_there_is_plain_unless_another_looks_like_it(wanted: bool) -> None:
    ask = Present(at("x"), wanted).quick()
    assert ask({"x": 1, "y": 2}) is (HOLDS if wanted else FAILS)
    assert ask({"y": 2, "z": 3}) is (FAILS if wanted else HOLDS)
    assert ask({"y": 2, "X": 3}) is None
    assert ask({"x": None}) is None
    assert Present(at("x"), wanted, optional=True).quick()({"y": 2}) is None


@given(
    st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | st.integers(-3, 3) | st.decimals(-3, 3),
    st.floats() | st.integers(-5, 5).map(float),
    st.integers(-2, 2),
)
def test_a_float_is_quickly_compared_as_the_decimal_it_is_written_as(
    bound: Number, number: float, beside: int
) -> None:
    near = float(bound)
    for _ in range(abs(beside)):
        near = math.nextafter(near, math.copysign(math.inf, beside))
    for kind in (AtMost, AtLeast):
        condition = kind(at("x"), bound)
        for value in (number, near):
            quick = condition.quick()({"x": value})
            assert quick is condition.of(value)


def test_a_glob_does_not_quickly_fit_a_text_too_short_for_both_its_ends() -> None:
    condition = Matches(at("x"), (Glob("aba*ba"),))
    assert condition.quick()({"x": "aba"}) is FAILS
    assert condition.quick()({"x": "ababa"}) is HOLDS


@given(conditions, arguments)
def test_every_kind_and_its_words_are_total(condition: Condition, call: Arguments) -> None:
    assert isinstance(permits(condition, call), bool)
    assert isinstance(triggers(condition, call), bool)
    said = [
        sentence(condition),
        failure(condition, call),
        reason(condition, call),
        standing(condition, call, allows=True),
        standing(condition, call, allows=False),
    ]
    for text in said:
        assert "`" in text
        assert text.isprintable()
        assert len(text) < 1_000


@given(conditions, arguments)
def test_what_an_allow_rule_relies_on_never_slips_past_a_deny_rule_of_the_same_condition(
    condition: Condition, call: Arguments
) -> None:
    if permits(condition, call) and not condition.optional:
        assert triggers(condition, call)


@given(conditions, arguments)
def test_optional_only_ever_excuses_what_is_missing_or_null(
    condition: Condition, call: Arguments
) -> None:
    if isinstance(condition, Anything):
        return
    strict = replace_optional(condition, False)
    lax = replace_optional(condition, True)
    if permits(strict, call):
        assert permits(lax, call)
    if triggers(lax, call) and not isinstance(condition, Present):
        assert triggers(strict, call)


@given(conditions, arguments)
def test_a_top_level_value_is_judged_alike_on_the_short_and_the_long_way(
    condition: Condition, call: Arguments
) -> None:
    cases = condition.cases(call)
    if len(condition.path) > 1 or isinstance(condition, Anything):
        return
    if "X" in call and "x" in call:  # such a call is refused as a whole (`argument_ambiguous`)
        return
    assert permits(condition, call) == all(asked.permitted(found) for found, asked in cases)
    assert triggers(condition, call) == any(asked.triggered(found) for found, asked in cases)


def replace_optional(condition: Condition, optional: bool) -> Condition:
    changed = dataclasses.replace(cast("Any", condition), optional=optional)
    assert isinstance(changed, Condition)
    return changed
