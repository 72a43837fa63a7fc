"""Every kind of condition, held against what is said of it: what one implies of another."""

from __future__ import annotations

import copy
import dataclasses
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.core.argument_path import look_alikes, unnamed
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.circumstances import (
    Circumstance,
    ForEndUser,
    FromZone,
    RunLabelled,
    RunPurpose,
    StartedByPerson,
)
from bailiwick.core.conditions import (
    Between,
    Bounds,
    Condition,
    Count,
    EndsWith,
    Equals,
    FitsRegex,
    Length,
    Matches,
    Money,
    MoneyBeside,
    OneOf,
    StartsWith,
    Vouched,
)
from bailiwick.core.conditions.commands import Command, CommandForm
from bailiwick.core.conditions.email import Email
from bailiwick.core.conditions.sql import Sql, TablePattern
from bailiwick.core.conditions.urls import Url
from bailiwick.core.flow.labels import NO_FACTS
from bailiwick.core.hours import Calendar, InHours, Span
from bailiwick.core.mandate import AllowRule
from bailiwick.core.narrowing.circumstances import implied
from bailiwick.core.narrowing.implication import permits_all
from bailiwick.core.texts.glob import Glob
from bailiwick.core.texts.hosts import read_host_pattern
from bailiwick.core.texts.regex import Regex
from bailiwick.core.texts.scales import DATE, TIME
from bailiwick.core.texts.sql_tree import read_sql
from bailiwick.core.values import HOLDS
from tests.unit.core import condition_kinds
from tests.unit.core.mandates import NOW, allow, at

X, CODE = at("x"), at("z")


def url(*hosts: str, **more: object) -> Url:
    return Url(X, ("https",), tuple(map(read_host_pattern, hosts)), **more)  # type: ignore[arg-type]  # its fields


def email(*addresses: str, at_domains: tuple[str, ...] = ()) -> Email:
    return Email(X, addresses, tuple(map(read_host_pattern, at_domains)))


def sql(
    *tables: str,
    kinds: tuple[str, ...] = ("select",),
    calls: tuple[str, ...] = (),
    dialect: str = "sqlite",
) -> Sql:
    return Sql(X, dialect, kinds, tuple(map(TablePattern, tables)), calls, read_sql)


def git(*words: str, sub: tuple[str, ...] = (), under: tuple[str, ...] = ()) -> Command:
    return Command(X, (CommandForm("git", sub, (), tuple(map(Glob, words)), under),))


def paid(optional: bool = False, **bounds: Bounds) -> MoneyBeside:
    return MoneyBeside(X, CODE, bounds, optional=optional)


CHF = Money(X, "CHF", Bounds(None, 100))
OFFICE = "https://a.example/"

IMPLIED: list[tuple[Condition, Condition]] = [
    (StartsWith(X, ("abc",)), StartsWith(X, ("x", "ab"))),
    (StartsWith(X, ("a*",)), Matches(X, (Glob(r"a\**"),))),
    (EndsWith(X, (".pdf",)), Matches(X, (Glob("*.pdf"),))),
    (Matches(X, (Glob("a*.pdf"),)), EndsWith(X, ("pdf",))),
    (Length(X, 1, 5), Length(X, None, 5)),
    (Length(X, 2, 5), Length(X, 1, 9)),
    (Count(X, 1, 2), Count(X, None, 3)),
    (Count(X, 0, 2), Count(X, 0, 3)),
    (Between(X, DATE, "2026-02-01", "2026-03-01"), Between(X, DATE, "2026-01-01", "")),
    (
        Between(X, TIME, "2026-01-01T01:00:00+01:00", ""),
        Between(X, TIME, "2026-01-01T00:00:00Z", ""),
    ),
    (CHF, Money(X, "CHF", Bounds(None, 200))),
    (CHF, Money(X, "CHF", Bounds(0, 100))),
    (CHF, Money(X, "CHF", Bounds(-5, 100))),
    (paid(CHF=Bounds(1, 5)), paid(CHF=Bounds(None, 5), EUR=Bounds(None, 5))),
    (paid(CHF=Bounds(1, 5)), paid(optional=True, CHF=Bounds(None, 5))),
    (Equals(X, "CHF 5.00"), CHF),
    (OneOf(X, (5, 7)), CHF),
    (url("a.example"), url("a.example", "b.example")),
    (url("x.a.example"), url("*.a.example")),
    (url("*.x.a.example"), url("*.a.example")),
    (url("a.example", url_paths=(Glob("/v1/*"),)), url("a.example", url_paths=(Glob("/*"),))),
    (url("a.example", ports=(443,), public=True), url("a.example")),
    (Equals(X, OFFICE), url("a.example")),
    (email("a@b.example"), email("a@b.example", "c@b.example")),
    (email("a@b.example"), email(at_domains=("b.example",))),
    (email(at_domains=("x.b.example",)), email(at_domains=("*.b.example",))),
    (email("a@b.example"), email()),
    (sql("a"), sql("a", "b")),
    (sql("s.*"), sql("*.*")),
    (sql("a"), sql()),
    (sql("pg_shadow"), sql("pg_shadow")),
    (sql("a", kinds=("select",)), sql("a", kinds=("select", "insert"), calls=("f",))),
    (git("a", sub=("log",)), git("a", "b", sub=("log", "diff"))),
    (git(under=("/w/a",)), git(under=("/w",))),
    (FitsRegex(X, Regex("a+")), FitsRegex(X, Regex("a+"))),
    (Vouched(X), Vouched(X)),
    (CHF, Vouched(X)),
]

NOT_IMPLIED: list[tuple[Condition, Condition]] = [
    (StartsWith(X, ("a",)), StartsWith(X, ("ab",))),
    (StartsWith(X, ("a",)), EndsWith(X, ("a",))),
    (Length(X, None, 5), Length(X, 1, 5)),
    (Length(X, 1, 6), Length(X, 1, 5)),
    (Count(X, 0, 2), Count(X, None, 2)),
    (Count(X, 1, 2, optional=True), Count(X, 1, 2)),
    (Between(X, DATE, "2026-01-01", ""), Between(X, DATE, "2026-02-01", "")),
    (Between(X, DATE, "2026-01-01", ""), Between(X, TIME, "2026-01-01T00:00:00Z", "")),
    (CHF, Money(X, "EUR", Bounds(None, 100))),
    (CHF, Money(X, "CHF", Bounds(None, 100), minor_units=True)),
    (CHF, Money(X, "CHF", Bounds(None, 99))),
    (Money(X, "CHF", Bounds(-5, 5)), Money(X, "CHF", Bounds(None, 5))),
    (Money(X, "CHF", Bounds(1, None)), CHF),
    (paid(CHF=Bounds(None, 5), EUR=Bounds(None, 5)), paid(CHF=Bounds(None, 5))),
    (paid(CHF=Bounds(None, 6)), paid(CHF=Bounds(None, 5))),
    (paid(optional=True, CHF=Bounds(1, 5)), paid(CHF=Bounds(1, 5))),
    (CHF, paid(CHF=Bounds(None, 100))),
    (url("*.a.example"), url("a.example")),
    (url("a.example"), url("*.a.example")),
    (url("a.example"), url("a.example", public=True)),
    (url("a.example"), url("a.example", ports=(443,))),
    (url(), url("a.example")),
    (Url(X, ("http", "https")), url()),
    (url("a.example", url_paths=(Glob("*"),)), url("a.example", url_paths=(Glob("/v1/*"),))),
    (Equals(X, "http://a.example/"), url("a.example")),
    (Equals(X, "https://a.example@evil.example/"), url("a.example")),
    (email(), email("a@b.example")),
    (email("A@b.example"), email("a@b.example")),
    (email(at_domains=("*.b.example",)), email(at_domains=("b.example",))),
    (git("a"), git("a", sub=("log",))),
    (git("a", sub=("log",)), git("a")),
    (git("*"), git("a*")),
    (git(under=("/w",)), git(under=("/w/a",))),
    (FitsRegex(X, Regex("a")), FitsRegex(X, Regex("a+"))),
    (sql("*"), sql("a")),
    (sql("pg_shadow"), sql("*")),
    (sql("pg_shadow"), sql("pg_*")),
    (sql("a.b"), sql("*")),
    (sql(), sql("a")),
    (sql("a", kinds=("select", "delete")), sql("a")),
    (sql("a", calls=("f",)), sql("a")),
    (sql("a", dialect="mysql"), sql("a")),
    (Vouched(X), CHF),
    (Vouched(X, optional=True), Vouched(X)),
]


@pytest.mark.parametrize(("own", "asked"), IMPLIED)
def test_what_follows_by_kind_is_seen(own: Condition, asked: Condition) -> None:
    assert permits_all(allow("a/b", own), asked)


@pytest.mark.parametrize(("own", "asked"), NOT_IMPLIED)
def test_what_does_not_follow_is_not_said_to(own: Condition, asked: Condition) -> None:
    assert not permits_all(allow("a/b", own), asked)


texts = st.sampled_from(
    [
        *("https://a.example/", "https://x.a.example/v1/y", "http://a.example", "https://1.2.3.4"),
        *("https://a.example:444/v1/../x", "a@b.example", "A@b.example", "a+c@x.b.example"),
        *("select 1", "select f(a) from t", "delete from T", "select 1 from sqlite_master, s.t"),
        *("git log a", "git diff /w/a", "git log", "git", "git log ../x", "https://A.example/V1"),
    ]
)
hosts = st.sampled_from(["a.example", "*.a.example", "x.a.example", "1.2.3.4"])
some_hosts = st.lists(hosts.map(read_host_pattern), max_size=2).map(tuple)
optional = st.booleans()
addressed: list[st.SearchStrategy[Condition]] = [
    st.builds(
        Url,
        condition_kinds.paths,
        st.sampled_from([(), ("https",), ("http", "https")]),
        some_hosts,
        st.sampled_from([(), (443,), (443, 80)]),
        st.sampled_from([(), (Glob("/v1/*"),), (Glob("*"),)]),
        st.booleans(),
        optional,
    ),
    st.builds(
        Email,
        condition_kinds.paths,
        st.sampled_from([(), ("a@b.example",)]),
        st.lists(
            st.sampled_from(["b.example", "*.b.example"]).map(read_host_pattern), max_size=2
        ).map(tuple),
        optional,
    ),
    st.builds(
        lambda path, tables, kinds, calls: Sql(path, "sqlite", kinds, tables, calls, read_sql),
        condition_kinds.paths,
        st.lists(st.sampled_from(["t", "T*", "*", "s.*", "sqlite_master"]), max_size=2).map(
            lambda names: tuple(map(TablePattern, names))
        ),
        st.sampled_from([(), ("select",), ("select", "delete")]),
        st.sampled_from([(), ("f",)]),
    ),
    st.builds(
        lambda path, sub, words, under, lax: Command(
            path, (CommandForm("git", sub, (), words, under),), lax
        ),
        condition_kinds.paths,
        st.sampled_from([(), ("log",), ("log", "diff")]),
        st.sampled_from([(), (Glob("a"),), (Glob("a*"),)]),
        st.sampled_from([(), ("/w",), ("/w/a",)]),
        optional,
    ),
]
same_kind = st.one_of(
    *(st.tuples(kind, kind) for kind in (*condition_kinds.kinds.values(), *addressed))
)
any_kind = st.one_of(*condition_kinds.kinds.values(), *addressed)
values: st.SearchStrategy[Json] = st.one_of(condition_kinds.values, texts)
arguments: st.SearchStrategy[JsonObject] = st.dictionaries(
    st.sampled_from(condition_kinds.NAMES),
    st.one_of(values, st.lists(values, max_size=2), st.dictionaries(st.just("y"), values)),
    max_size=3,
)


def lets_through(rule: AllowRule, given: JsonObject) -> bool:
    if look_alikes(given) is not None:
        return False
    named = rule.other_arguments or not unnamed(rule.names, given)
    return named and all(condition.permits(given) for condition in rule.conditions)


@settings(max_examples=400, deadline=None)
@given(same_kind, st.booleans(), st.lists(any_kind, max_size=1), st.lists(arguments, max_size=12))
def test_no_arguments_show_that_an_implied_condition_is_not(
    pair: tuple[Condition, Condition],
    together: bool,
    more: list[Condition],
    asked: list[JsonObject],
) -> None:
    own, above = pair
    if together and type(own).paths is Condition.paths:
        above = dataclasses.replace(above, path=own.path)  # type: ignore[type-var]  # each is one
    rule = allow("a/b", own, *more)
    if permits_all(rule, above):
        for given_ in asked:
            assert above.permits(given_) or not lets_through(rule, given_)


@settings(max_examples=200, deadline=None)
@given(any_kind)
def test_every_condition_implies_another_that_says_the_same(condition: Condition) -> None:
    again = copy.deepcopy(condition) if not isinstance(condition, FitsRegex) else condition
    assert permits_all(allow("a/b", condition), again)


# --- circumstances -------------------------------------------------------------------------------

WORK = Span("Europe/Zurich", frozenset(range(5)), 480, 1080)
NIGHT = Span("Europe/Zurich", frozenset({4}), 1320, 360)
HOLIDAYS = Calendar("ch", frozenset({date(2026, 12, 25)}))


def hours(*spans: Span, outside: bool = False) -> InHours:
    return InHours(spans, outside)


CIRCUMSTANCES: list[tuple[Circumstance, Circumstance, bool]] = [
    (StartedByPerson(), StartedByPerson(), True),
    (RunLabelled(frozenset({"a"})), RunLabelled(frozenset({"a", "b"})), True),
    (RunLabelled(frozenset({"a", "b"})), RunLabelled(frozenset({"a"})), False),
    (RunLabelled(frozenset({"a"}), True), RunLabelled(frozenset({"a"})), False),
    (RunLabelled(frozenset({"a"})), RunLabelled(frozenset({"a"}), True), True),
    (RunPurpose((Glob("pay a*"),)), RunPurpose((Glob("pay *"),)), True),
    (RunPurpose((Glob("pay *"),)), RunPurpose((Glob("pay a*"),)), False),
    (RunPurpose((Glob("a"),), True), RunPurpose((Glob("a"),)), False),
    (ForEndUser((Glob("ann"),)), ForEndUser((Glob("a*"),)), True),
    (ForEndUser((Glob("a*"),)), RunPurpose((Glob("a*"),)), False),
    (FromZone(frozenset({"a"})), FromZone(frozenset({"a", "b"})), True),
    (FromZone(frozenset({"a", "b"})), FromZone(frozenset({"a"})), False),
    (hours(WORK), hours(WORK), True),
    (hours(dataclasses.replace(WORK, start=540)), hours(NIGHT, WORK), True),
    (hours(dataclasses.replace(WORK, days=frozenset({1}))), hours(WORK), True),
    (hours(WORK, NIGHT), hours(WORK), False),
    (hours(dataclasses.replace(WORK, zone="UTC")), hours(WORK), False),
    (hours(dataclasses.replace(WORK, end=1081)), hours(WORK), False),
    (hours(dataclasses.replace(NIGHT, start=1330)), hours(NIGHT), False),
    (hours(dataclasses.replace(WORK, calendars=(HOLIDAYS,))), hours(WORK), True),
    (hours(WORK), hours(dataclasses.replace(WORK, calendars=(HOLIDAYS,))), False),
    (hours(WORK, outside=True), hours(WORK), False),
    (hours(WORK, outside=True), hours(WORK, outside=True), True),
]


@pytest.mark.parametrize(("own", "asked", "follows"), CIRCUMSTANCES)
def test_circumstances_imply_what_they_imply(
    own: Circumstance, asked: Circumstance, follows: bool
) -> None:
    assert implied([own], asked) is follows


spans = st.builds(
    Span,
    st.sampled_from(["UTC", "Europe/Zurich"]),
    st.sets(st.integers(0, 6), min_size=1).map(frozenset),
    st.sampled_from([0, 480, 540, 1320]),
    st.sampled_from([0, 360, 1080, 1440]),
)
in_hours = st.builds(InHours, st.lists(spans, min_size=1, max_size=2).map(tuple), st.booleans())


@settings(max_examples=200, deadline=None)
@given(in_hours, in_hours, st.lists(st.integers(0, 14 * 24 * 60), min_size=5, max_size=30))
def test_no_moment_shows_that_implied_hours_are_not(
    own: InHours, asked: InHours, minutes: list[int]
) -> None:
    if implied([own], asked):
        for minute in minutes:
            now = NOW + minute * 60_000
            assert own.of(NO_FACTS, now) is not HOLDS or asked.of(NO_FACTS, now) is HOLDS
