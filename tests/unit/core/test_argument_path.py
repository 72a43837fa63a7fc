"""Naming arguments, and seeing which ones nobody named."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.core.argument_path import (
    BLOCKED,
    EACH,
    MISSING,
    Each,
    _walk,
    format_argument_path,
    name_tree,
    parse_argument_path,
    reach,
    unnamed,
)
from bailiwick.core.canonical import Json, JsonObject


def test_dots_go_into_objects_and_brackets_into_every_item() -> None:
    assert parse_argument_path("amount") == ("amount",)
    assert parse_argument_path("payee.iban") == ("payee", "iban")
    assert parse_argument_path("items[].tags[]") == ("items", EACH, "tags", EACH)
    assert parse_argument_path(r"a\.b\[\]") == ("a.b[]",)


@pytest.mark.parametrize(
    "bad", ["", ".", "a.", ".a", "a..b", "[]", "a[", "a[0]", "a[]b", "a]b[", "a" + ".a" * 16]
)
def test_a_malformed_path_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_argument_path(bad)


keys = st.text(min_size=1, max_size=5)


@given(keys, st.lists(keys | st.just(EACH), max_size=6))
def test_a_path_reads_back_as_itself(first: str, rest: list[str]) -> None:
    path = (first, *rest)
    assert parse_argument_path(format_argument_path(path)) == path


def test_reaching_tells_missing_from_blocked() -> None:
    path = ("a", "b")
    assert reach(path, {"a": {"b": 1}}) == [1]
    assert reach(path, {"a": {}}) == [MISSING]
    assert reach(path, {"a": None}) == [MISSING]
    assert reach(path, {}) == [MISSING]
    assert reach(path, {"a": 1}) == [BLOCKED]
    assert reach(path, {"A": {"b": 1}}) == [BLOCKED]
    assert reach(("a", EACH), {"a": []}) == [MISSING]
    assert reach(("a", EACH), {"a": [1, 2]}) == [1, 2]


@pytest.mark.parametrize(
    ("paths", "arguments", "extra"),
    [
        (["amount"], {"amount": 1}, ""),
        (["amount"], {"amount": {"anything": 1}}, ""),
        (["amount"], {"amount": 1, "memo": 2}, "memo"),
        (["payee.iban"], {"payee": {"iban": 1}}, ""),
        (["payee.iban"], {"payee": {"iban": 1, "bic": 2}}, "payee.bic"),
        (["payee", "payee.iban"], {"payee": {"iban": 1, "bic": 2}}, "payee.bic"),
        (["payee.iban"], {"payee": "free text"}, "payee"),
        (["items[].amount"], {"items": [{"amount": 1}, {"amount": 1, "to": 2}]}, "items[].to"),
        (["items[].amount"], {"items": {"to": 1}}, "items.to"),
        (["items[].amount"], {"items": [5]}, "items[]"),
        (["items[]"], {"items": [{"a": 1}]}, ""),
        ([], {"a.b": 1}, r"a\.b"),
        ([], {}, ""),
    ],
)
def test_the_first_argument_that_nobody_named_is_found_at_any_depth(
    paths: list[str], arguments: dict[str, Json], extra: str
) -> None:
    tree = name_tree(parse_argument_path(path) for path in paths)
    assert unnamed(tree, arguments) == extra


def test_a_path_that_covers_the_whole_covers_it_beside_deeper_ones() -> None:
    payee, iban = parse_argument_path("payee"), parse_argument_path("payee.iban")
    tree = name_tree([payee, iban], whole=[payee])
    assert unnamed(tree, {"payee": {"iban": 1, "bic": 2}}) == ""


_KEYS = st.sampled_from(["a", "A", "b", "ab", "aB", "a ", "ß", "ss", "\u200ba", "ａ", "é"])
_VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.text(max_size=2),
    lambda inner: st.dictionaries(_KEYS, inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
)


@given(
    arguments=st.dictionaries(_KEYS, _VALUES, max_size=4),
    path=st.lists(_KEYS | st.just(EACH), max_size=3),
    first=_KEYS,
)
@example({"ß": 1, "ss": 2}, [], "ß")
@example({"a": {"a ": 1, "a": 2}}, ["a"], "a")
def test_the_short_way_to_an_argument_leads_where_the_long_one_does(
    arguments: JsonObject, path: list[str | Each], first: str
) -> None:
    whole = (first, *path)
    assert reach(whole, arguments) == _walk(whole, arguments)
