"""Limits as they are written: what they compile to, and what is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailiwick.core.argument_path import EACH
from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.limits.charging import charges
from bailiwick.core.limits.limit import Limit, Measure, Window
from bailiwick.core.limits.wording import about, describe
from bailiwick.declared import from_document, load_text
from bailiwick.declared.limits import limit_shape

from .house import HOUSE, compiled, problems, warnings

DAILY = """{id: daily, tool: bank/transfer, sum: amount, currency: CHF, at_most: 20000,
          each: day, zone: Europe/Zurich}"""


def house(*limits: str) -> str:
    return HOUSE + "    limits:\n" + "".join(f"      - {limit}\n" for limit in limits)


def limit(text: str) -> Limit:
    (found,) = compiled(load_text(house(text), "f.yaml")).limits
    return found


def fault(text: str) -> str:
    (problem,) = problems(house(text))
    return problem.partition(": ")[2]


def test_a_sum_in_a_fixed_currency() -> None:
    found = limit(DAILY)
    assert found.id == "pay@1/limit/daily"
    assert (found.measure, found.of, found.currency) == (Measure.SUM, ("amount",), ())
    assert found.ceilings == {"CHF": 20_000_000_000}
    assert found.window == Window("day", "Europe/Zurich")
    assert describe(found) == ("up to CHF 20,000 a day (Europe/Zurich)")


def test_a_ceiling_for_each_currency() -> None:
    found = limit(
        "{id: daily, tool: bank/transfer, sum: amount, currency: {argument: payee.country},"
        ' at_most: {EUR: "19999.5", CHF: 20000}, each: week, zone: UTC, per: payee.country}'
    )
    assert found.currency == ("payee", "country")
    assert found.ceilings == {"CHF": 20_000_000_000, "EUR": 19_999_500_000}
    assert found.per == (("payee", "country"),)
    assert describe(found) == (
        "up to CHF 20,000 or EUR 19,999.50 a week (UTC), per `payee.country`"
    )


@pytest.mark.parametrize(
    ("text", "measure", "window", "words"),
    [
        (
            "{id: a, tool: bank/transfer, calls: 20, within: 10m}",
            Measure.COUNT,
            Window("sliding", seconds=600),
            "up to 20 calls in any 10 minutes",
        ),
        (
            "{id: a, tool: bank/transfer, calls: 1, each: hour}",
            Measure.COUNT,
            Window("hour", "UTC"),
            "up to 1 call an hour (UTC)",
        ),
        (
            "{id: a, tool: bank/transfer, at_once: 3}",
            Measure.CONCURRENT,
            Window("lifetime"),
            "up to 3 calls at once",
        ),
        (
            "{id: a, tool: bank/transfer, distinct: payee.country, at_most: 2, each: run}",
            Measure.DISTINCT,
            Window("run"),
            "up to 2 different `payee.country` a run",
        ),
        (
            "{id: a, tool: bank/transfer, sum: amount, at_most: 5000, each: call}",
            Measure.SUM,
            Window("call"),
            "up to 5,000 of `amount` a call",
        ),
        (
            "{id: a, tools: [bank/*, web/*], calls: 1000, each: lifetime}",
            Measure.COUNT,
            Window("lifetime"),
            "up to 1,000 calls in all",
        ),
    ],
)
def test_what_is_counted_and_over_what_time(
    text: str, measure: Measure, window: Window, words: str
) -> None:
    found = limit(text)
    assert (found.measure, found.window) == (measure, window)
    assert describe(found) == words
    assert about(found).startswith("`bank/")


def test_what_becomes_of_the_failed_and_the_unknown() -> None:
    found = limit(
        "{id: a, tool: bank/transfer, sum: amount, at_most: 1, each: lifetime, failed: released,"
        " unknown: {after: 24h, counts_as: released}, actual: charged}"
    )
    assert found.failed_frees
    assert (found.unknown_after_seconds, found.unknown_as) == (86_400, "voided")
    assert found.actual == ("charged",)
    plain = limit(DAILY)
    assert (plain.failed_frees, plain.unknown_after_seconds) == (False, None)
    assert plain.unknown_as == "posted"


def test_conditions_and_lists() -> None:
    found = limit(
        "{id: a, tool: bank/transfer, when: {amount: {at_least: 10}}, sum: 'items[].amount',"
        " at_most: 5, per: 'items[].payee', each: lifetime}"
    )
    assert found.rows == ("items", EACH)
    assert describe(found).endswith("where `amount` is at least 10")


def test_a_limit_from_a_store_is_the_limit_from_the_file() -> None:
    declared = load_text(house(DAILY), "f.yaml")
    stored = from_document(declared.objects["mandate", "pay"].document)
    again = load_text(house(DAILY), "f.yaml")
    again.objects["mandate", "pay"] = stored  # type: ignore[index]
    assert compiled(again).limits == compiled(declared).limits


def test_a_new_version_with_another_ceiling_counts_in_the_same_accounts() -> None:
    old, new = limit(DAILY), limit(DAILY.replace("20000", "10000"))
    assert (old.account_stem, old.account_tail) == (new.account_stem, new.account_tail)
    other = limit(DAILY.replace("sum: amount", "sum: fee"))
    assert other.account_tail != old.account_tail


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{tool: bank/transfer, calls: 2, each: run}", "a limit needs `id`"),
        ("{id: a, calls: 2, each: run}", "a limit needs `tool`, "),
        ("{id: a, tool: bank/transfer, each: run}", "a limit needs `calls` or"),
        ("{id: a, tool: bank/transfer, calls: 2}", "needs `each` or `within`"),
        (
            "{id: a, tool: bank/transfer, calls: 2, each: run, within: 10m}",
            "cannot have both `each` and `within`",
        ),
        ("{id: a, tool: bank/transfer, calls: 2, at_once: 2, each: run}", "cannot have both"),
        ("{id: a, tool: bank/transfer, calls: 2, each: day}", "needs `zone`: a day begins"),
        (
            "{id: a, tool: bank/transfer, calls: 2, each: day, zone: Europe/Zurik}",
            "is not a time zone, did you mean `Europe/Zurich`?",
        ),
        ("{id: a, tool: bank/transfer, calls: 2, each: run, zone: UTC}", "no use for a time zone"),
        ("{id: a, tool: bank/transfer, calls: 2, within: 10m, zone: UTC}", "goes with `each`"),
        ("{id: a, tool: bank/transfer, calls: 2, each: daily}", "did you mean `day`?"),
        ("{id: a, tool: bank/transfer, calls: 2, each: call}", "each call is one call"),
        ("{id: a, tool: bank/transfer, calls: 0, each: run}", "is not a whole number from 1"),
        ("{id: a, tool: bank/transfer, at_once: 2, each: run}", "counts what is under way now"),
        ("{id: a, tool: bank/transfer, calls: 2, at_most: 2, each: run}", "say `calls: N`"),
        ("{id: a, tool: bank/transfer, sum: amount, each: run}", "`sum` needs `at_most`"),
        ("{id: a, tool: bank/transfer, sum: amount, at_most: 0, each: run}", "use a deny rule"),
        ("{id: a, tool: bank/transfer, sum: amount, at_most: -1, each: run}", "less than nothing"),
        (
            "{id: a, tool: bank/transfer, sum: amount, at_most: '0.0000001', each: run}",
            "more than six decimals",
        ),
        (
            "{id: a, tool: bank/transfer, sum: amount, at_most: 9000000000001, each: run}",
            "more than can be counted",
        ),
        (
            "{id: a, tool: bank/transfer, sum: amount, at_most: {CHF: 1}, each: run}",
            "where does the currency come from?",
        ),
        (
            "{id: a, tool: bank/transfer, sum: amount, currency: {argument: c}, at_most: 1,"
            " each: run}",
            "needs a ceiling for each currency",
        ),
        (
            "{id: a, tool: bank/transfer, distinct: memo, at_most: 1.5, each: run}",
            "expected a whole number",
        ),
        ("{id: a, tool: bank/transfer, calls: 2, currency: CHF, each: run}", "goes with `sum`"),
        (
            "{id: a, tool: bank/transfer, sum: amount, at_most: 1, each: call, actual: charged}",
            "`actual` needs a longer time",
        ),
        (
            "{id: a, tool: bank/transfer, sum: 'a[].b', at_most: 1, per: 'c[].d', each: run}",
            "from one and the same list",
        ),
        (
            "{id: a, tool: bank/transfer, sum: 'a[].b', at_most: 1, per: 'a[].d', each: run,"
            " actual: charged}",
            "one result cannot say what was spent for each `a[].d`",
        ),
        ("{id: a, tool: bonk/transfer, calls: 2, each: run}", "there is no server `bonk`"),
        ("{id: 7up, tool: bank/transfer, calls: 2, each: run, unknown: {after: 2h}}", "counts_as"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, says: str) -> None:
    (problem,) = problems(house(text))
    assert says in problem
    assert problem.startswith("f.yaml:")


def test_two_limits_of_one_name_would_be_one_account() -> None:
    (problem,) = problems(house(DAILY, DAILY))
    assert "the rule `daily` is there already" in problem


def test_a_limit_that_counts_nothing_gets_a_warning() -> None:
    (warning,) = [
        each
        for each in warnings(house("{id: a, tool: web/search, calls: 2, each: run}"))
        if "counts nothing" in each
    ]
    assert warning.startswith("f.yaml:")


def test_a_limit_that_no_call_can_reach_gets_a_warning() -> None:
    never = "{id: a, tool: bank/transfer, sum: amount, at_most: 5000, each: call}"
    assert any("can never be reached" in each for each in warnings(house(never)))
    binds = never.replace("5000", "4999")
    assert not any("can never be reached" in each for each in warnings(house(binds)))


def test_a_limit_on_an_argument_that_no_rule_lets_through_gets_a_warning() -> None:
    odd = "{id: a, tool: bank/transfer, distinct: payee2.iban, at_most: 2, each: run}"
    assert any(
        "refuses every call" in each and "payee2.iban" in each for each in warnings(house(odd))
    )
    assert not any("limit" in each or "refuses" in each for each in warnings(house(DAILY)))


def test_an_argument_that_a_condition_names_beside_its_own_is_let_through() -> None:
    allowed = HOUSE.replace(
        "{at_most: 5000}", "{money: {at_most: {CHF: 5000}, currency: {argument: unit}}}"
    )
    assert allowed != HOUSE
    limits = (
        "    limits:\n      - {id: a, tool: bank/transfer, sum: amount,"
        " currency: {argument: unit}, at_most: {CHF: 9000}, each: run}\n"
    )
    assert not any("refuses" in each for each in warnings(allowed + limits))


def test_a_ceiling_in_a_code_of_other_letters_gets_a_warning() -> None:
    odd = (
        "{id: a, tool: bank/transfer, sum: amount, currency: {argument: payee}, each: run,"
        " at_most: {chf: 5, EUR: 5, points: 5}}"
    )
    told = [each for each in warnings(house(odd)) if "currency" in each]
    assert [each.partition(": ")[2] for each in told] == [
        "`chf` is not the code of a currency, did you mean `CHF`?"
    ]


def test_amounts_may_count_centimes() -> None:
    text = DAILY.replace("currency: CHF", "currency: CHF, minor_units: true")
    found = limit(text)
    assert found.minor_units
    assert found.ceilings == {"CHF": 20_000_000_000}, "the ceiling counts francs"
    assert found.account_tail != limit(DAILY).account_tail
    assert "goes with `currency`" in fault(text.replace("currency: CHF, ", ""))
    assert "not in ISO 4217, did you mean `CHF`?" in fault(text.replace("CHF", "CHFR"))
    by_argument = (
        "{id: a, tool: bank/transfer, sum: amount, currency: {argument: memo}, minor_units: true,"
        " at_most: {CHF: 1, ZZZ: 1}, each: run}"
    )
    assert "how many decimals has `ZZZ`?" in fault(by_argument)


def test_every_key_of_a_limit_is_on_the_reference_page() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "mandates.md"
    section = page.read_text().partition("### Limits\n")[2].partition("\n### ")[0]
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", section))))
    assert set(limit_shape({}).fields) - words == set()


def test_the_limits_of_the_reference_page_are_sound() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "mandates.md"
    example = page.read_text().partition("### Limits\n")[2].partition("```yaml\n")[2]
    declared = load_text(HOUSE + example.partition("```")[0])
    assert len(compiled(declared).limits) == 5


def test_a_currency_that_is_let_through_and_has_no_ceiling_gets_a_warning() -> None:
    text = (
        "{id: a, tool: bank/transfer, sum: amount, currency: {argument: payee.country},"
        " at_most: {CH: 1}, each: run}"
    )
    (warning,) = [each for each in warnings(house(text)) if "no ceiling" in each]
    assert "refuses `NO`, which an allow rule lets through" in warning
    both = text.replace("{CH: 1}", "{CH: 1, NO: 1}")
    assert not any("no ceiling" in each for each in warnings(house(both)))


def test_an_amount_of_money_bounds_a_limit_per_call_too() -> None:
    money = HOUSE.replace("{at_most: 5000}", "{money: {at_most: 5000, currency: CHF}}")
    rule = "{id: a, tool: bank/transfer, sum: amount, currency: CHF, at_most: 5000, each: call}"
    text = f"{money}    limits:\n      - {rule}\n"
    assert any("can never be reached" in each for each in warnings(text))
    assert not any(
        "never be reached" in each for each in warnings(text.replace("CHF, at", "EUR, at"))
    )


def test_tools_without_the_argument_get_a_warning_unless_they_are_meant_not_to_count() -> None:
    strict = HOUSE.replace(
        "        other_arguments: allow\n", "        when: {page: {any: true}}\n"
    )
    rule = "{id: a, tool: bank/*, sum: amount, at_most: 5, each: lifetime}"
    text = f"{strict}    limits:\n      - {rule}\n"
    (warning,) = [each for each in warnings(text) if "cannot have" in each]
    assert "refuses calls of `bank/list_*`, `bank/balance`, which cannot have `amount`" in warning
    meant = text.replace("sum:", "when: {amount: {present: true}}, sum:")
    assert not any("cannot have" in each for each in warnings(meant))
    asked = Call.of("1", Target(CallKind.TOOL, "bank", "balance"), {})
    assert charges(asked, [compiled(load_text(meant, "f.yaml"))], "", 0) == ()
