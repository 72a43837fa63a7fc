"""What is remembered of names that cannot be taken for one another changes no answer: each is held
against the plain way, which folds every name anew."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core import argument_path
from bailiwick.core.argument_path import (
    BLOCKED,
    EACH,
    MISSING,
    ArgumentPath,
    Found,
    Gap,
    look_alikes,
    reach,
)
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.values import fold

KEYS = ("x", "y", "X", "x ", "\uff58", "\u017f", "s", "S", "a.b", "a_b", "A_B", "", "\u200b", "1")

keys = st.sampled_from(KEYS) | st.text(max_size=3)
values = st.recursive(
    st.none() | st.integers(0, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=5)
wide = st.builds(
    lambda start, more: {**{f"{start}{n}": n for n in range(40)}, **more},
    st.sampled_from(["k", "K", "\u017f", "a b"]),
    objects,
)
paths = st.builds(
    lambda first, rest: (first, *rest),
    keys,
    st.lists(keys | st.just(EACH), max_size=3),
)


def plainly_at(key: str, within: Found) -> Found:
    if within is None:
        return MISSING
    if isinstance(within, Gap):
        return within
    if not isinstance(within, dict):
        return BLOCKED
    if any(other != key and fold(other) == fold(key) for other in within):
        return BLOCKED
    return within.get(key, MISSING)  # type: ignore[no-any-return]  # a dict of Json


def plainly_reached(path: ArgumentPath, within: Found) -> list[Found]:
    found: list[Found] = [within]
    for step in path:
        if isinstance(step, str):
            found = [plainly_at(step, each) for each in found]
        else:
            found = [item for each in found for item in plain_items(each)]
    return found


def plain_items(value: Found) -> list[Found]:
    if isinstance(value, list):
        return [*value] or [MISSING]
    if value is None:
        return [MISSING]
    return [value if isinstance(value, Gap) else BLOCKED]


def plain_twins(within: JsonObject) -> bool:
    return any(fold(one) == fold(two) for one, two in itertools.combinations(within, 2))


@given(objects | wide, paths)
def test_a_path_leads_to_the_same_the_first_time_and_again(
    arguments: JsonObject, path: ArgumentPath
) -> None:
    wanted = plainly_reached(path, arguments)
    assert reach(path, arguments) == wanted
    look_alikes(arguments)
    assert reach(path, arguments) == wanted


@given(objects | wide)
def test_look_alikes_are_the_same_the_first_time_and_again(arguments: JsonObject) -> None:
    wanted = plain_twins(arguments)
    assert (look_alikes(arguments) is not None) is wanted
    assert (look_alikes(arguments) is not None) is wanted


def test_the_same_names_in_another_order_or_with_one_more_are_looked_at_anew() -> None:
    for _ in range(2):
        assert look_alikes({"amount": 1, "to": 2}) is None
        assert look_alikes({"to": 1, "amount": 2}) is None
        assert look_alikes({"amount": 1, "to": 2, "Amount": 3}) == ("amount", "Amount")
        assert look_alikes({"amount": 1, "Amount": 3}) == ("amount", "Amount")


@pytest.mark.parametrize(
    "names", [[f"n{number}" for number in range(33)], ["a" * 300, "b" * 300]], ids=["many", "long"]
)
def test_names_without_end_are_not_remembered(names: list[str]) -> None:
    arguments: dict[str, Json] = dict.fromkeys(names)
    assert look_alikes(arguments) is None
    assert tuple(arguments) not in argument_path._told_apart


def test_whoever_makes_up_names_does_not_fill_the_memory() -> None:
    for number in range(5_000):
        assert look_alikes({f"made_up_{number}": 1, "to": 2}) is None
    assert len(argument_path._told_apart) <= 1024
    assert look_alikes({"last_of_all": 1, "to": 2}) is None
    assert ("last_of_all", "to") in argument_path._told_apart
