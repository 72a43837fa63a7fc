"""Globs: one wildcard, whole text, linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.texts.glob import Glob
from bailiwick.core.values import fold


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("transfer", "transfer", True),
        ("transfer", "transfers", False),
        ("list_*", "list_", True),
        ("list_*", "xlist_a", False),
        ("*", "", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("ab*ba", "aba", False),
        ("*b*c*", "abxc", True),
        ("*c*b*", "abxc", False),
        ("file:///work/*", "file:///work/a/b", True),
        (r"a\*", "a*", True),
        (r"a\*", "ab", False),
        (r"a\\b", "a\\b", True),
        ("a?c", "abc", False),
        ("[ab]", "a", False),
    ],
)
def test_a_glob_fits_the_whole_text_with_stars_for_any_run(
    glob: str, text: str, fits: bool
) -> None:
    assert Glob(glob).matches(text) is fits


@given(st.text("ab*", max_size=8), st.text("ab", max_size=16))
def test_a_glob_agrees_with_the_regular_expression_of_the_same_meaning(
    glob: str, text: str
) -> None:
    same = re.compile(".*".join(re.escape(part) for part in glob.split("*")), re.DOTALL)
    assert Glob(glob).matches(text) is bool(same.fullmatch(text))


@pytest.mark.parametrize("bad", ["a\\", r"a\b"])
def test_a_backslash_may_only_escape_a_star_or_itself(bad: str) -> None:
    with pytest.raises(ValueError, match="backslash"):
        Glob(bad)


def test_many_stars_take_time_linear_in_the_text() -> None:
    # A backtracking matcher takes longer than the universe has for the first of these.
    glob = Glob("*a" * 200 + "*b")
    started = time.perf_counter()
    assert not glob.matches("a" * 1_000_000)
    assert not Glob("*" + "a" * 500 + "b*").matches("a" * 1_000_000)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("text", ["ru12", "ＲＵ12", "R\u200bU12", "RU12 "])
def test_a_near_match_sees_through_case_width_and_invisible_characters(text: str) -> None:
    glob = Glob("RU*")
    assert glob.nearly_matches(fold(text))
