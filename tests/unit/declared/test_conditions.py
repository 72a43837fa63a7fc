"""Each kind of condition as it is written in a mandate: what it becomes, and what is refused."""

from __future__ import annotations

from decimal import Decimal

import jsonschema
import pytest

from bailiwick.core.argument_path import parse_argument_path
from bailiwick.core.conditions import (
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
    Money,
    MoneyBeside,
    OneOf,
    StartsWith,
    Which,
    sentence,
)
from bailiwick.core.texts.regex import Regex
from bailiwick.core.texts.scales import DATE, DURATION, NUMBER, TIME
from bailiwick.declared import from_document, load_text, schema
from bailiwick.declared.conditions import BY_KEY, CONDITION, KINDS, ON_ITEMS, PLAIN_KINDS
from bailiwick.declared.tree import parse_yaml, to_json
from tests.unit.declared.house import HOUSE, compiled, problems, warnings

at = parse_argument_path
X, ITEMS = at("x"), at("x[]")
TENTH, CHF = Decimal("0.1"), "CHF"


def with_condition(text: str, name: str = "memo") -> str:
    return HOUSE.replace("memo: {any: true}", f"{name}: {text}")


def written(text: str, name: str) -> tuple[Condition, ...]:
    declared = load_text(with_condition(text, f'"{name}"'))
    again = {key: from_document(each.document) for key, each in declared.objects.items()}
    rules = compiled(declared)
    assert compiled(type(declared)(again)) == rules
    (small,) = (rule for rule in rules.allow if rule.id.endswith("small"))
    return tuple(each for each in small.conditions if each.path == at(name))


WRITTEN: list[tuple[str, tuple[Condition, ...], str]] = [
    ("{equals: null}", (Equals(X, None),), "`x` is equal to `null`"),
    (
        "{equals: {argument: y.z}}",
        (Compared(X, How.EQUAL, at("y.z")),),
        "`x` is equal to `y.z`",
    ),
    (
        "{equals: {argument: 5}}",
        (Equals(X, {"argument": 5}),),
        '`x` is equal to `{"argument": 5}`',
    ),
    (
        "{one_of: [{argument: y}]}",
        (OneOf(X, ({"argument": "y"},)),),
        '`x` is one of `{"argument": "y"}`',
    ),
    (
        "{at_most: {argument: y}, optional: true}",
        (Compared(X, How.AT_MOST, at("y"), NUMBER, optional=True),),
        "`x` is at most `y`, if given",
    ),
    (
        "{at_least: {argument: y}, at_most: 7}",
        (Compared(X, How.AT_LEAST, at("y"), NUMBER), AtMost(X, 7)),
        "`x` is at least `y`",
    ),
    (
        "{money: {at_most: '5000.00', currency: CHF}}",
        (Money(X, CHF, Bounds(None, 5000)),),
        "`x` is at most CHF 5000.00",
    ),
    (
        "{money: {at_least: 0.1, at_most: 5000.05, currency: CHF, minor_units: true}}",
        (Money(X, CHF, Bounds(TENTH, Decimal("5000.05")), minor_units=True),),
        "`x` is from CHF 0.10 to CHF 5000.05",
    ),
    (
        "{money: {at_most: {CHF: 5000, JPY: 800000}, currency: {argument: y}}}",
        (MoneyBeside(X, at("y"), {"CHF": Bounds(None, 5000), "JPY": Bounds(None, 800_000)}),),
        "`x` is at most CHF 5000.00, at most JPY 800000, in the currency that `y` names",
    ),
    (
        "{date: {at_least: 2026-01-01, at_most: 2026-12-31}}",
        (Between(X, DATE, "2026-01-01", "2026-12-31"),),
        "`x` is from `2026-01-01` to `2026-12-31`",
    ),
    (
        "{date: {at_least: {argument: y}, at_most: 2026-12-31}}",
        (Between(X, DATE, "", "2026-12-31"), Compared(X, How.AT_LEAST, at("y"), DATE)),
        "`x` is at most `2026-12-31`",
    ),
    (
        "{time: {at_most: '2026-12-31T18:00:00+01:00'}}",
        (Between(X, TIME, "", "2026-12-31T18:00:00+01:00"),),
        "`x` is at most `2026-12-31T18:00:00+01:00`",
    ),
    (
        "{duration: {at_least: PT1H, at_most: P1W}}",
        (Between(X, DURATION, "PT1H", "P1W"),),
        "`x` is from `PT1H` to `P1W`",
    ),
    (
        "{prefix: INV-, suffix: [a, b], length: {at_most: 5}}",
        (StartsWith(X, ("INV-",)), EndsWith(X, ("a", "b")), Length(X, None, 5)),
        "`x` is text that starts with `INV-`",
    ),
    (
        "{regex: '[a-z]+'}",
        (FitsRegex(X, Regex("[a-z]+")),),
        "`x` is text of the form `[a-z]+`",
    ),
    (
        "{count: {at_least: 1, at_most: 3}}",
        (Count(X, 1, 3),),
        "`x` is a list of from 1 to 3 items",
    ),
]


@pytest.mark.parametrize(("text", "conditions", "read"), WRITTEN, ids=[each[0] for each in WRITTEN])
def test_a_condition_means_what_is_written_and_reads_back(
    text: str, conditions: tuple[Condition, ...], read: str
) -> None:
    found = written(text, "x")
    assert found == conditions
    assert sentence(found[0]) == read


validator = jsonschema.Draft202012Validator(schema())

MISSHAPEN = [
    "{money: {at_most: 5}}",
    "{money: {at_most: 5, currency: chf}}",
    "{money: {at_most: {CHF: five}, currency: {argument: c}}}",
    "{date: {}}",
    "{date: {at_most: 26-12-31}}",
    "{time: {at_most: 2026-12-31}}",
    "{duration: {at_most: P1M}}",
    "{at_most: {arg: x}}",
    "{length: {at_most: -1}}",
    "{count: 3}",
    "{all: {any: true}}",
    "{none: {}}",
    "{any: false}",
]


@pytest.mark.parametrize("text", [each[0] for each in WRITTEN])
def test_the_schema_takes_what_is_written_well(text: str) -> None:
    (node,) = parse_yaml(with_condition(text), "f.yaml")
    assert validator.is_valid(to_json(node))


@pytest.mark.parametrize("text", MISSHAPEN)
def test_the_schema_refuses_what_the_checks_of_shape_refuse(text: str) -> None:
    (node,) = parse_yaml(with_condition(text), "f.yaml")
    assert not validator.is_valid(to_json(node))
    assert problems(with_condition(text)) != []


@pytest.mark.parametrize(
    ("text", "which", "read"),
    [
        ("{all: {prefix: a}}", Which.ALL, "every `x[]` is text that starts with `a`"),
        ("{any: {prefix: a}}", Which.ANY, "at least one `x[]` is text that starts with `a`"),
        ("{none: {prefix: a}}", Which.NONE, "no `x[]` is text that starts with `a`"),
    ],
)
def test_a_condition_on_the_items_of_a_list_reads_back(text: str, which: Which, read: str) -> None:
    (found,) = written(text, "x[]")
    assert found == Items(ITEMS, which, (StartsWith(ITEMS, ("a",)),))
    assert sentence(found) == read


MISTAKES: list[tuple[str, str]] = [
    ("{money: {at_most: 5}}", "26:25: an amount of money needs `currency`"),
    ("{money: {currency: CHF}}", "26:25: an amount of money needs `at_least` or `at_most`"),
    (
        "{money: {at_most: 5, currency: GBB}}",
        "26:48: `GBB` is not the code of a currency, did you mean `GBP`?",
    ),
    (
        "{money: {at_most: 5, currency: chf}}",
        "26:48: `chf` is not a currency's code such as `CHF`",
    ),
    (
        "{money: {at_most: 1e400, currency: CHF}}",
        "26:35: `1e400` cannot be kept exactly: put it in quotes",
    ),
    (
        "{money: {at_most: '5.001', currency: CHF}}",
        "26:17: `memo`: `money`: `5.001` has more than the 2 decimals of CHF",
    ),
    (
        "{money: {at_most: '5.0', currency: JPY}}",
        "26:17: `memo`: `money`: `5.0` has more than the 0 decimals of JPY",
    ),
    (
        "{money: {at_most: {CHF: 5}, currency: CHF}}",
        "26:17: `memo`: `money`: with one `currency`, write one amount and not a table of them",
    ),
    (
        "{money: {at_most: 5, currency: {argument: c}}}",
        "26:17: `memo`: `money`: with an argument for `currency`, write amounts as "
        '`{CHF: "5000.00"}`',
    ),
    (
        "{money: {at_least: {CHF: 1}, at_most: {EUR: 5}, currency: {argument: c}}}",
        "26:17: `memo`: `money`: `at_least` and `at_most` must name the same currencies",
    ),
    (
        "{money: {at_least: 6, at_most: 5, currency: CHF}}",
        "26:17: `memo`: `money`: can never be both: 6 > 5",
    ),
    (
        "{date: {at_most: 26-12-31}}",
        "26:34: `26-12-31` is not a date such as `2026-11-22`",
    ),
    ("{date: {at_most: 2026-02-30}}", "26:34: `2026-02-30`: there is no such date"),
    (
        "{date: {at_least: 2026-12-31, at_most: 2026-01-01}}",
        "26:17: `memo`: `date`: can never be both: 2026-12-31 is above 2026-01-01",
    ),
    (
        "{time: {at_most: 2026-12-31}}",
        "26:34: `2026-12-31` is not a time with its offset, such as `2026-11-22T18:00:00+01:00`",
    ),
    (
        "{duration: {at_most: P1M}}",
        "26:38: `P1M` is not a duration such as `PT1H30M` or `P30D`",
    ),
    ("{duration: {at_most: 1h}}", "26:38: `1h` is not a duration such as `PT1H30M` or `P30D`"),
    ("{regex: '('}", "26:25: `(` is not a regular expression (RE2): missing ): ("),
    (
        r"{regex: '(a)\1'}",
        "26:25: `(a)\\1` is not a regular expression (RE2): invalid escape sequence: \\1; there "
        "is no look-around and there are no back-references",
    ),
    ("{prefix: ''}", "26:26: `` is empty"),
    ("{length: {at_most: -1}}", "26:36: -1 is not a whole number from 0 to 1000000"),
    (
        "{count: {at_least: 3, at_most: 2}}",
        "26:17: `memo`: `count`: can never be both: 3 is above 2",
    ),
    (
        "{all: {prefix: a}}",
        "26:17: `memo`: `all`: is about the items of a list: write `items[]` or `items[].amount`",
    ),
    ("{all: {any: true}}", "26:24: unknown key `any`"),
    ("{all: {optional: true}}", "26:24: unknown key `optional`"),
    ("{all: {}}", "26:23: a condition on items needs `present`, `one_of`, "),
    ("{any: {}}", "26:23: a condition on items needs `present`, `one_of`, "),
    ("{any: false}", "26:23: expected `true`, found a boolean"),
    (
        "{at_most: {argument: memo}}",
        "26:17: `memo`: `at_most`: an argument cannot be compared with itself",
    ),
    (
        "{at_most: {argument: 'x[].y'}}",
        "26:17: `memo`: `at_most`: `x[].y` goes into another list than `memo`",
    ),
    ("{at_most: {argument: ''}}", "26:38: ``: a name is empty"),
    ("{at_most: {arg: x}}", "26:28: unknown key `arg`; known are `argument`"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[each[0] for each in MISTAKES])
def test_a_mistake_is_reported_where_it_stands(text: str, message: str) -> None:
    found = problems(with_condition(text))
    assert any(each.startswith(f"f.yaml:{message}") for each in found), found


def test_a_misspelt_condition_is_one_mistake() -> None:
    assert [each.partition(": ")[2] for each in problems(with_condition("{prefx: a}"))] == [
        "unknown key `prefx`, did you mean `prefix`?"
    ]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("{prefix: /work/}", "26:26: `/work/` also fits what leads out by `..`: use `under`"),
        ("{matches: '/work/*'}", "26:27: `/work/*` also fits what leads out by `..`: use `under`"),
        (
            "{matches: [a, 'https://a.example*']}",
            "26:31: `https://a.example*` does not tie a URL to its host: use `url`",
        ),
        (
            "{prefix: 'https://a.example'}",
            "26:26: `https://a.example` does not tie a URL to its host: use `url`",
        ),
    ],
)
def test_text_that_is_no_fence_for_paths_and_urls_is_a_warning(text: str, warning: str) -> None:
    assert warnings(with_condition(text)) == [f"f.yaml:{warning}"]


@pytest.mark.parametrize("text", ["{prefix: INV-/}", "{matches: /work/a}", "{matches: 'CH*'}"])
def test_other_text_is_no_fence_to_warn_of(text: str) -> None:
    assert warnings(with_condition(text)) == []


def test_every_kind_has_its_own_key_in_the_shape() -> None:
    assert len(BY_KEY) == len(KINDS)
    assert set(BY_KEY) | {"optional"} <= set(CONDITION.fields)
    assert set(ON_ITEMS.fields) == {kind.key for kind in PLAIN_KINDS}
