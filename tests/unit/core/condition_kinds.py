"""Strategies for every kind of condition, and for the values they are asked of."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json
from bailiwick.core.conditions import (
    Anything,
    AtLeast,
    AtMost,
    Between,
    Bounds,
    Compared,
    Condition,
    Count,
    EndsWith,
    Equals,
    FitsRegex,
    How,
    Items,
    Length,
    Matches,
    Money,
    MoneyBeside,
    OneOf,
    Present,
    StartsWith,
    Under,
    Vouched,
    Which,
)
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.regex import Regex
from bailiwick.core.texts.scales import DATE, DURATION, NUMBER, TIME
from tests.unit.core.mandates import at

NAMES = ("x", "y", "X", "z")

dates = st.sampled_from(["2026-11-22", "2026-01-01", "2026-02-30", "26-11-22", "2026-W47-7"])
times = st.sampled_from(
    ["2026-11-22T12:00:00Z", "2026-11-22T13:00:00+01:00", "2026-11-22T24:00:00Z", "2026-11-22"]
)
durations = st.sampled_from(["PT1H", "PT60M", "P1D", "P1M", "P", "PT", "1h"])
amounts = st.sampled_from(["5.00", "5", "CHF 5.00", "5.00 EUR", "-3", "5.000", "chf 5", "1e309"])
words = st.sampled_from(["a", "A", "b", "/work/a", "/work/../etc", "12", "1e3", "", "CHF", "a\n"])
texts = st.one_of(dates, times, durations, amounts, words)


def _json(leaves: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2)
        ),
        max_leaves=6,
    )


values = _json(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.text(max_size=6)
)
"""Any value, those a call cannot hold (infinite, beyond 2**53, half a character) among them."""
arguments = st.dictionaries(st.sampled_from(NAMES), values, max_size=3)

sound_values = _json(st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | texts)
sound_arguments = st.dictionaries(st.sampled_from(NAMES), sound_values, max_size=3)
"""Arguments that a call can hold."""

paths = st.sampled_from([at("x"), at("y"), at("x.y"), at("x[]"), at("x[].y")])
others = st.sampled_from([at("z"), at("z.x"), at("x[].z"), at("y")])


def _beside(pair: tuple[ArgumentPath, ArgumentPath]) -> bool:
    path, other = pair
    return path != other and (other != at("x[].z") or path in (at("x[].y"), at("x[]")))


pairs = st.tuples(paths, others).filter(_beside)
optional = st.booleans()
codes = st.sampled_from(["CHF", "JPY"])
ranges = st.sampled_from([(None, 2), (1, None), (0, 2), (1, 1)])
bounds = st.sampled_from(
    [Bounds(None, 5), Bounds(Decimal("0.05"), None), Bounds(-5, 5), Bounds(1, 1)]
)


def _length(path: ArgumentPath, each: tuple[int | None, int | None], lax: bool) -> Condition:
    return Length(path, *each, optional=lax)


def _count(path: ArgumentPath, each: tuple[int | None, int | None], lax: bool) -> Condition:
    return Count(path, *each, optional=lax)


plain_kinds: dict[type[Condition], st.SearchStrategy[Condition]] = {
    AtMost: st.builds(AtMost, paths, st.integers(-5, 5), optional),
    AtLeast: st.builds(AtLeast, paths, st.integers(-5, 5), optional),
    Equals: st.builds(Equals, paths, values, optional),
    OneOf: st.builds(OneOf, paths, st.lists(values, min_size=1, max_size=3).map(tuple), optional),
    Matches: st.builds(Matches, paths, st.just((Glob("a*"),)), optional),
    StartsWith: st.builds(StartsWith, paths, st.sampled_from([("a",), ("/work", "*")]), optional),
    EndsWith: st.builds(EndsWith, paths, st.sampled_from([("a",), ("0", "\\")]), optional),
    Length: st.builds(_length, paths, ranges, optional),
    FitsRegex: st.builds(
        FitsRegex, paths, st.sampled_from(["a+", "(a+)+$", ".*", "[0-9]+"]).map(Regex), optional
    ),
    Under: st.builds(Under, paths, st.just(("/work",)), optional),
    Between: st.one_of(
        st.builds(Between, paths, st.just(DATE), st.just("2026-01-01"), st.just(""), optional),
        st.builds(
            Between, paths, st.just(TIME), st.just(""), st.just("2026-11-22T12:00:00Z"), optional
        ),
        st.builds(Between, paths, st.just(DURATION), st.just("PT1H"), st.just("P1D"), optional),
    ),
    Money: st.builds(
        Money, paths, st.sampled_from(["CHF", "JPY"]), bounds, st.booleans(), optional
    ),
    Count: st.builds(_count, paths, ranges, optional),
    Present: st.builds(Present, paths, st.booleans(), optional),
    Vouched: st.builds(Vouched, paths, optional),
}
beside_kinds: dict[type[Condition], st.SearchStrategy[Condition]] = {
    Compared: st.builds(
        lambda pair, how, scale, opt: Compared(pair[0], how, pair[1], scale, opt),
        pairs,
        st.sampled_from(How),
        st.sampled_from([NUMBER, DATE, TIME, DURATION]),
        optional,
    )
    | st.builds(
        lambda pair, opt: Compared(pair[0], How.EQUAL, pair[1], None, opt), pairs, optional
    ),
    MoneyBeside: st.builds(
        lambda pair, each, minor, opt: MoneyBeside(
            pair[0], pair[1], {"CHF": each, "EUR": each}, minor, opt
        ),
        pairs,
        bounds,
        st.booleans(),
        optional,
    ),
}


def _items(path: ArgumentPath) -> st.SearchStrategy[Condition]:
    inner: st.SearchStrategy[Condition] = st.sampled_from(
        [
            AtMost(path, 2),
            Equals(path, "a"),
            Present(path),
            Compared(path, How.EQUAL, at("z")),
            FitsRegex(path, Regex("a+")),
        ]
    )
    some = st.lists(inner, min_size=1, max_size=2).map(tuple)
    return st.builds(Items, st.just(path), st.sampled_from(Which), some, optional)


kinds: dict[type[Condition], st.SearchStrategy[Condition]] = {
    **plain_kinds,
    **beside_kinds,
    Items: st.sampled_from([at("x[]"), at("x[].y")]).flatmap(_items),
    Anything: st.builds(Anything, paths),
}
"""Every kind."""

conditions = st.one_of(*kinds.values())
