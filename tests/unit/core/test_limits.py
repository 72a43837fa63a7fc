"""What calls take of limits, and the words in which they are refused."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.argument_path import ArgumentPath
from bailiwick.core.canonical import Json, JsonObject
from bailiwick.core.conditions import AtLeast, Condition
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.errors import LimitReached, StoreError
from bailiwick.core.judge import judge
from bailiwick.core.limits.books import Books
from bailiwick.core.limits.charging import MAX_MADE, charges, exceeded
from bailiwick.core.limits.countable import exact_text, key_text, steps_of, steps_of_money
from bailiwick.core.limits.limit import MAX_AMOUNT, SUM_SCALE, Charge, Limit, Measure, Window
from bailiwick.core.limits.tally import MAX_CHARGES, MAX_ROWS
from bailiwick.core.limits.wording import amount_words, standing
from bailiwick.core.mandate import Mandate
from bailiwick.core.verdict import Allow, Deny, Hold, Verdict
from tests.unit.core.mandates import allow, at, call, mandate, pattern, stamp

NOW = 1_795_363_200_000
"""2026-11-22 16:00 UTC."""
RUN = "01JZRUN0000000000000000000"
DAY = Window("day", "Europe/Zurich")
CHF = {"CHF": 10_000 * SUM_SCALE}
PAYEE = {"iban": "CH93", "name": "x"}


def limit(
    measure: Measure = Measure.SUM,
    *,
    window: Window = DAY,
    ceilings: dict[str, int] | None = None,
    of: str = "amount",
    currency: str = "",
    per: tuple[str, ...] = (),
    conditions: tuple[Condition, ...] = (),
    target: str = "bank/transfer",
    name: str = "daily",
    version: int = 1,
) -> Limit:
    counted: ArgumentPath = at(of) if measure in (Measure.SUM, Measure.DISTINCT) else ()
    if ceilings is None:
        ceilings = CHF if measure is Measure.SUM else {"calls": 3}
    return Limit(
        id=f"pay@{version}/limit/{name}",
        name=name,
        targets=(pattern(target),),
        conditions=conditions,
        measure=measure,
        window=window,
        ceilings=ceilings,
        of=counted,
        currency=at(currency) if currency else (),
        per=tuple(at(each) for each in per),
    )


def under(*limits: Limit) -> Mandate:
    plain = mandate(allow("bank/*", other=True))
    return Mandate(
        **{
            name: getattr(plain, name)
            for name in ("name", "version", "digest", "principal", "agent", "purpose", "state")
        },
        allow=plain.allow,
        limits=limits,
    )


def taken(arguments: JsonObject, *limits: Limit, now: int = NOW) -> tuple[Charge, ...]:
    found = charges(call("bank/transfer", arguments), [under(*limits)], RUN, now)
    assert not isinstance(found, Deny), found
    return found


def refused(arguments: JsonObject, *limits: Limit) -> Deny:
    found = charges(call("bank/transfer", arguments), [under(*limits)], RUN, NOW)
    assert isinstance(found, Deny)
    return found


def test_a_sum_is_charged_in_millionths_to_the_account_of_its_day_and_currency() -> None:
    (charge,) = taken({"amount": 12.5, "currency": "CHF"}, limit(currency="currency"))
    assert charge.amount == 12_500_000
    assert charge.account.startswith("pay:daily:sum:day:Europe/Zurich:2026-11-22:CHF:")
    assert (charge.rule, charge.unit, charge.scale) == ("pay@1/limit/daily", "CHF", SUM_SCALE)
    assert (charge.key, charge.member, charge.since_ms) == ("", "", 0)


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        (0, 0),
        (-0.0, 0),
        (1, SUM_SCALE),
        (0.1, 100_000),
        (1e-6, 1),
        (123456.654321, 123_456_654_321),
        ("12.50", 12_500_000),
        ("9000000000000", MAX_AMOUNT),
        (9_000_000_000_000, MAX_AMOUNT),
        (9e12, MAX_AMOUNT),
        (1e-7, "amount_too_fine"),
        (0.1234567, "amount_too_fine"),
        (0.1 + 0.2, "amount_too_fine"),
        ("0.0000001", "amount_too_fine"),
        (9_000_000_000_001, "amount_too_large"),
        ("9000000000000.000000000000000000000000000001", "amount_too_large"),
        ("8999999999999.000000000000000000000000000001", "amount_too_fine"),
        (10**400, "amount_too_large"),
        (1e300, "amount_too_large"),
        (-1, "amount_negative"),
        (-0.01, "amount_negative"),
        (-(10**30), "amount_too_large"),
        (None, "amount_unclear"),
        (True, "amount_unclear"),
        ("", "amount_unclear"),
        ("1e3", "amount_unclear"),
        ("1,000", "amount_unclear"),
        (" 5", "amount_unclear"),
        ("٥", "amount_unclear"),
        ([5], "amount_unclear"),
        ({"value": 5}, "amount_unclear"),
        (float("inf"), "amount_unclear"),
    ],
)
def test_amounts_are_exact_or_refused(value: Json, steps: int | str) -> None:
    assert steps_of(value) == steps


@given(st.one_of(st.integers(), st.floats(), st.decimals(allow_nan=False).map(str)))
def test_an_amount_is_never_taken_for_less_than_it_is(value: int | float | str) -> None:
    steps = steps_of(value)
    if isinstance(steps, int):
        assert Decimal(steps) / SUM_SCALE == Decimal(str(value))


def test_several_amounts_of_one_call_add_up() -> None:
    items: Json = [{"amount": 4000}, {"amount": "5000.25"}]
    (charge,) = taken({"items": items}, limit(of="items[].amount"))
    assert charge.amount == 9_000_250_000


def test_a_batch_is_told_apart_by_payee_and_currency() -> None:
    items: Json = [
        {"to": "a", "amount": 1, "in": "CHF"},
        {"to": "b", "amount": 2, "in": "CHF"},
        {"to": "A", "amount": 4, "in": "CHF"},
        {"to": "a", "amount": 8, "in": "EUR"},
    ]
    both = {"CHF": 100, "EUR": 100}
    found = taken(
        {"items": items},
        limit(of="items[].amount", currency="items[].in", per=("items[].to",), ceilings=both),
    )
    assert [(each.unit, each.key, each.amount) for each in found] == [
        ("CHF", '["a"]', 5 * SUM_SCALE),
        ("CHF", '["b"]', 2 * SUM_SCALE),
        ("EUR", '["a"]', 8 * SUM_SCALE),
    ]


def test_one_amount_for_several_recipients_counts_in_full_for_each() -> None:
    found = taken({"amount": 7, "to": ["a", "b", "a"]}, limit(per=("to[]",)))
    assert [(each.key, each.amount) for each in found] == [
        ('["a"]', 7 * SUM_SCALE),
        ('["b"]', 7 * SUM_SCALE),
    ]
    calls = taken({"to": ["a", "b", "a"]}, limit(Measure.COUNT, per=("to[]",)))
    assert [(each.key, each.amount) for each in calls] == [('["a"]', 1), ('["b"]', 1)]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"amount": None},
        {"Amount": 5},
        {"amount": "5 EUR"},
        {"amount": {"value": 5}},
        {"amount": [5]},
        {"amount": True},
    ],
)
def test_an_amount_that_cannot_be_told_is_refused(arguments: JsonObject) -> None:
    found = refused(arguments, limit())
    assert (found.code, found.rules) == ("amount_unclear", ("pay@1/limit/daily",))
    assert "limit `daily`" in found.because


@pytest.mark.parametrize("items", [[], None, "x", [{"amount": 5}, {}], [{"amount": 5}, None], [5]])
def test_a_list_of_which_one_item_cannot_be_told_is_refused(items: Json) -> None:
    assert refused({"items": items}, limit(of="items[].amount")).code == "amount_unclear"


def test_two_names_in_an_item_that_may_be_taken_for_one_are_refused() -> None:
    items: Json = [{"amount": 5, "Amount": 5000}]
    assert refused({"items": items}, limit(of="items[].amount")).code == "amount_unclear"
    inner: Json = {"amount": 5, "amount ": 5000}
    assert refused({"pay": inner}, limit(of="pay.amount")).code == "amount_unclear"


@pytest.mark.parametrize("currency", ["chf", "CHF ", "USD", "ＣＨＦ", "", None, 5, ["CHF"], "Fr."])
def test_a_currency_without_a_ceiling_is_refused(currency: Json) -> None:
    found = refused({"amount": 5, "currency": currency}, limit(currency="currency"))
    assert found.code == "currency_not_allowed"
    assert found.allowed == "What is allowed: `CHF`"


def test_a_missing_currency_is_refused() -> None:
    assert refused({"amount": 5}, limit(currency="currency")).code == "currency_not_allowed"


def test_what_adds_up_to_too_much_to_count_is_refused() -> None:
    items: Json = [{"amount": 9_000_000_000_000}, {"amount": 1}]
    assert refused({"items": items}, limit(of="items[].amount")).code == "amount_too_large"


# --- keys and values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alike",
    [
        [
            "CH93 0076 2011",
            "ch9300762011",
            " CH93-0076-2011 ",
            "ＣＨ93 0076 2011",
            "CH93\u200b00762011",
        ],
        [7, 7.0, "7", "7.0", "007", " 7 "],
        [1.5, "1.50", "1.5"],
        [True, "TRUE"],
        ["a.b@x.example", "A.B@X.EXAMPLE"],
        [0, "0", "00", -0.0],
        ["Straße", "STRASSE"],
    ],
)
def test_spellings_of_one_key_share_one_allowance(alike: list[Json]) -> None:
    assert len({key_text(each) for each in alike}) == 1


@pytest.mark.parametrize("apart", [["a", "b"], [1, 2], ["CH93", "DE93"], ["а", "a"], ["+", "-"]])
def test_other_keys_are_counted_apart(apart: list[Json]) -> None:
    assert len({key_text(each) for each in apart}) == len(apart)


@pytest.mark.parametrize("value", [None, "", "  ", "\u200b", [], {}, ["a"], {"a": 1}, "x" * 1025])
def test_what_is_no_single_value_is_no_key(value: Json) -> None:
    assert key_text(value) is None
    found = refused({"amount": 5, "to": value}, limit(per=("to",)))
    assert found.code == "key_unclear"


def test_a_missing_key_is_refused_and_several_are_counted_together() -> None:
    assert refused({"amount": 5, "to": "a"}, limit(per=("to", "bank"))).code == "key_unclear"
    (charge,) = taken({"amount": 5, "to": "A", "bank": 1}, limit(per=("to", "bank")))
    assert charge.key == '["a","1"]'


def test_distinct_values_are_told_apart_exactly() -> None:
    values = limit(Measure.DISTINCT, of="to", ceilings={"values": 5})
    found = taken({"to": ["a", "A", "a", ["b"], 1, "1"]}, values)
    assert {each.member for each in found} == {'"a"', '"A"', '"b"', "1", '"1"'}
    assert all((each.amount, each.ceiling) == (1, 5) for each in found)
    assert len({each.account for each in found}) == 1


@pytest.mark.parametrize("value", [None, "", [], [None], ["a", ""], "x" * 1023])
def test_what_is_no_value_is_refused(value: Json) -> None:
    found = refused({"to": value}, limit(Measure.DISTINCT, of="to", ceilings={"values": 5}))
    assert found.code == "key_unclear"
    assert exact_text(2**60) == "", "it has no canonical form"
    assert exact_text("a" * 100) == '"' + "a" * 100 + '"'


def test_more_values_than_can_be_counted_one_by_one_are_refused() -> None:
    many: Json = [f"a{number}" for number in range(MAX_CHARGES + 1)]
    values = limit(Measure.DISTINCT, of="to", ceilings={"values": 1000})
    assert refused({"to": many}, values).code == "too_much_to_count"
    calls = limit(Measure.COUNT, per=("to[]",))
    assert refused({"to": many}, calls).code == "too_much_to_count"
    rows = limit(Measure.DISTINCT, of="to[]", per=("to[]",), ceilings={"values": 1000})
    assert refused({"to": many}, rows).code == "too_much_to_count"


def test_a_list_that_would_take_long_to_count_is_refused_unread() -> None:
    many: list[Json] = [{"amount": 1, "to": "a"}] * (MAX_ROWS + 1)
    batch = limit(of="items[].amount", per=("items[].to",))
    assert refused({"items": many}, batch).code == "too_much_to_count"
    assert taken({"items": many[1:]}, batch)[0].amount == MAX_ROWS * SUM_SCALE
    values = limit(Measure.DISTINCT, of="to", ceilings={"values": 5})
    assert refused({"to": ["a"] * (MAX_ROWS + 1)}, values).code == "too_much_to_count"


# --- which limits count --------------------------------------------------------------------------


def test_a_limit_counts_what_it_means_or_may_mean() -> None:
    one = limit(Measure.COUNT)
    assert charges(call("bank/balance", {}), [under(one)], RUN, NOW) == ()
    assert len(taken({}, one)) == 1
    (nearly,) = charges(call("bank/Transfer", {}), [under(one)], RUN, NOW)  # type: ignore[misc]
    assert isinstance(nearly, Charge)


def test_a_call_counts_unless_a_condition_plainly_fails() -> None:
    large = limit(Measure.COUNT, conditions=(AtLeast(("amount",), 1000),))
    assert taken({"amount": 999}, large) == ()
    assert len(taken({"amount": 1000}, large)) == 1
    assert len(taken({"amount": "1e6"}, large)) == 1, "doubt counts"
    assert len(taken({}, large)) == 1, "the server may have a default"


_WINDOWS = st.sampled_from(
    [
        DAY,
        Window("hour", "Asia/Kathmandu"),
        *map(Window, ["run", "lifetime", "call"]),
        Window("sliding", seconds=60),
        Window("sliding", seconds=86_400),
    ]
)
_CALLS = st.tuples(
    st.fixed_dictionaries(
        {},
        optional={
            "amount": st.sampled_from(
                [0, -0.0, 1, 1.0, "1", "1.0", True, 7.5, "CHF 5", "5 USD", "x", "", None, [1]]
            ),
            "to": st.sampled_from(
                ["bo", "Bo", "\u00e9", "e\u0301", 1, 1.0, "1", True, "true", None, "", ["bo", "di"]]
            ),
        },
    ),
    st.sampled_from([RUN, "01JZRUN0000000000000000001"]),
    st.integers(NOW - 100_000_000, NOW + 100_000_000) | st.integers(NOW - 5, NOW + 5),
)


@given(
    _WINDOWS,
    st.sampled_from([Measure.SUM, Measure.COUNT, Measure.DISTINCT, Measure.CONCURRENT]),
    st.sampled_from([(), (), ("to",)]),
    st.sampled_from(["CHF", "", "USD"]),
    st.lists(_CALLS, min_size=2, max_size=12),
)
def test_a_charge_like_an_earlier_one_is_what_it_would_be_without_it(
    window: Window,
    measure: Measure,
    per: tuple[str, ...],
    currency: str,
    asked: list[tuple[JsonObject, str, int]],
) -> None:
    def made() -> Limit:
        of = "to" if measure is Measure.DISTINCT else "amount"
        ceilings = {currency: MAX_AMOUNT} if measure is Measure.SUM else {"calls": 3}
        return limit(measure, window=window, of=of, per=per, ceilings=ceilings)

    chain = [under(made())]
    for arguments, run, now in asked:
        again = charges(call("bank/transfer", arguments), chain, run, now)
        plainly = charges(call("bank/transfer", arguments), [under(made())], run, now)
        assert repr(again) == repr(plainly)  # of 1, 1.0 and true no two are one


NEARLY_ALIKE: list[Json] = [
    0, -0.0, 1, 1.0, "1", "1.0", "01", " 1", "\uff11", True, "true", False, None, "", [], [1],
    ["1"], "CHF 1", "1 CHF", "bo", "Bo", "bo ", "\u00e9", "e\u0301", "b\u200bo", {"1": 1}, "-",
]  # fmt: skip


@pytest.mark.parametrize("measure", [Measure.SUM, Measure.DISTINCT, Measure.COUNT])
@pytest.mark.parametrize(
    "window", [DAY, *map(Window, ["run", "lifetime"]), Window("sliding", "", 60)]
)
def test_no_value_is_remembered_as_another(measure: Measure, window: Window) -> None:
    """Each after each other one, in one window."""

    def told(chain: list[Mandate], arguments: JsonObject) -> str:
        return repr(charges(call("bank/transfer", arguments), chain, RUN, NOW))

    def made() -> list[Mandate]:
        return [under(limit(measure, window=window, of="to", ceilings={"CHF": MAX_AMOUNT}))]

    asked: list[JsonObject] = [{}, *({"to": value} for value in NEARLY_ALIKE)]
    plainly = [told(made(), each) for each in asked]
    for first in asked:
        chain = made()
        told(chain, first)
        assert [told(chain, each) for each in asked] == plainly


def test_only_so_many_charges_are_remembered() -> None:
    per = limit(per=("to",))
    for number in range(3 * MAX_MADE):
        (charge,) = taken({"amount": number, "to": f"payee {number}"}, per)
        assert (charge.amount, charge.key) == (number * SUM_SCALE, f'["payee{number}"]')
        assert len(per.made) <= MAX_MADE


def test_every_limit_of_every_mandate_of_the_chain_counts() -> None:
    root, leaf = under(limit(Measure.COUNT, name="a")), under(limit(Measure.COUNT, name="b"))
    found = charges(call("bank/transfer", {}), [root, leaf], RUN, NOW)
    assert not isinstance(found, Deny)
    assert [each.rule for each in found] == ["pay@1/limit/a", "pay@1/limit/b"]


def test_a_new_version_goes_on_counting_where_the_last_one_was() -> None:
    (old,) = taken({"amount": 5}, limit())
    (new,) = taken(
        {"amount": 5},
        limit(
            version=2,
            ceilings={"CHF": 1},
            target="bank/*",
            conditions=(AtLeast(("amount",), 1),),
        ),
    )
    assert new.account == old.account
    assert (new.rule, new.ceiling) == ("pay@2/limit/daily", 1)


@pytest.mark.parametrize(
    "other",
    [
        limit(of="fee"),
        limit(currency="currency"),
        limit(per=("to",)),
        limit(window=Window("week", "Europe/Zurich")),
        limit(window=Window("day", "UTC")),
        limit(name="other"),
        limit(ceilings={"EUR": 5}),
    ],
)
def test_what_cannot_be_added_up_has_another_account(other: Limit) -> None:
    arguments: JsonObject = {"amount": 5, "fee": 5, "currency": "CHF", "to": "a"}
    (one,) = taken(arguments, limit())
    (two,) = taken(arguments, other)
    assert one.account != two.account


@pytest.mark.parametrize(
    ("window", "start"),
    [
        (Window("run"), f"run::{RUN}"),
        (Window("hour", "UTC"), "hour:UTC:2026-11-22T16+0000"),
        (DAY, "day:Europe/Zurich:2026-11-22"),
        (Window("week", "UTC"), "week:UTC:2026-11-16"),
        (Window("month", "UTC"), "month:UTC:2026-11"),
        (Window("lifetime"), "lifetime::"),
        (Window("sliding", seconds=600), "sliding-600::"),
    ],
)
def test_the_account_names_the_window(window: Window, start: str) -> None:
    (charge,) = taken({"amount": 5}, limit(window=window))
    assert charge.account.startswith(f"pay:daily:sum:{start}:CHF:")
    assert charge.since_ms == (NOW - 600_000 if window.kind == "sliding" else 0)


def test_calls_at_once_forget_what_has_ended() -> None:
    (charge,) = taken({}, limit(Measure.CONCURRENT, window=Window("lifetime")))
    assert charge.pending_only
    (other,) = taken({}, limit(Measure.COUNT))
    assert not other.pending_only


def test_a_full_limit_refuses_before_a_person_is_asked_and_a_held_call_says_what_it_takes() -> None:
    one = under(limit())
    asking = Mandate(
        **{field.name: getattr(one, field.name) for field in fields(one) if field.init}
        | {"stamp": (stamp("bank/transfer", AtLeast(("amount",), 1000)),)}
    )
    books = Books()

    def ask(amount: int) -> Verdict:
        asked = call("bank/transfer", {"amount": amount})
        return judge(asked, [asking], NO_POLICIES, books, NO_LABELS, NO_STEP, NOW)

    held = ask(9_000)
    assert isinstance(held, Hold)
    assert [charge.amount for charge in held.charges] == [9_000 * SUM_SCALE]
    books.reserve("1", NOW, held.charges)
    over = ask(1_001)
    assert isinstance(over, Deny)
    assert over.code == "limit_exceeded"
    assert isinstance(ask(1_000), Hold)
    assert isinstance(ask(999), Allow)


def test_counters_that_fail_are_a_denial() -> None:
    class Broken:
        def used(self, charge: Charge) -> int:
            raise StoreError("store_unavailable", "the disk is gone")

    asked = call("bank/transfer", {"amount": 1})
    found = judge(asked, [under(limit())], NO_POLICIES, Broken(), NO_LABELS, NO_STEP, NOW)
    assert isinstance(found, Deny)
    assert found.code == "judge_failed"


# --- words ---------------------------------------------------------------------------------------


def test_a_limit_per_call_is_held_at_once_and_keeps_nothing() -> None:
    each = limit(window=Window("call"))
    assert taken({"amount": 10_000}, each) == ()
    found = refused({"amount": 10_001}, each)
    assert found == Deny(
        "limit_exceeded",
        ("pay@1/limit/daily",),
        "limit `daily`: CHF 10,001 in one call",
        "What is allowed: at most CHF 10,000 in one call",
    )
    values = limit(Measure.DISTINCT, of="to", window=Window("call"), ceilings={"values": 2})
    assert taken({"to": ["a", "b", "a"]}, values) == ()
    assert refused({"to": ["a", "b", "c"]}, values).code == "limit_exceeded"


def test_what_does_not_fit_is_told_what_is_left_and_until_when() -> None:
    books = Books()
    books.reserve("1", NOW, taken({"amount": 8_000}, limit()))
    found = exceeded(taken({"amount": 5000.5}, limit()), books)
    assert found == Deny(
        "limit_exceeded",
        ("pay@1/limit/daily",),
        "limit `daily`: CHF 8,000 of CHF 10,000 used on 2026-11-22 (Europe/Zurich); this would "
        "take CHF 5,000.50; CHF 2,000 left, until 2026-11-23 00:00",
        "What is allowed: at most CHF 2,000 more until 2026-11-23 00:00",
    )
    assert exceeded(taken({"amount": 2_000}, limit()), books) is None


def test_a_full_limit_offers_nothing_more() -> None:
    books = Books()
    books.reserve("1", NOW, taken({"amount": 10_000}, limit()))
    found = exceeded(taken({"amount": 1}, limit(ceilings={"CHF": 5 * SUM_SCALE})), books)
    assert found is not None
    assert "CHF 0 left" in found.because, "also where the ceiling was lowered below what is used"
    assert found.allowed == "What is allowed: nothing more until 2026-11-23 00:00"


def test_a_full_limit_on_values_says_that_those_it_has_go_on() -> None:
    books = Books()
    values = limit(Measure.DISTINCT, of="to", window=Window("lifetime"), ceilings={"values": 2})
    books.reserve("1", NOW, taken({"to": ["a"]}, values))
    found = exceeded(taken({"to": ["b", "c"]}, values), books)
    assert found is not None
    told = "What is allowed: a value that was used already, and at most 1 value more"
    assert found.allowed == told
    books.reserve("2", NOW, taken({"to": ["b"]}, values))
    found = exceeded(taken({"to": ["c"]}, values), books)
    assert found is not None
    assert found.allowed == "What is allowed: a value that was used already, and nothing more"
    assert exceeded(taken({"to": ["a"]}, values), books) is None


def test_a_full_sliding_limit_does_not_sound_as_if_it_were_full_for_good() -> None:
    books = Books()
    pace = limit(Measure.COUNT, window=Window("sliding", seconds=600), ceilings={"calls": 1})
    books.reserve("1", NOW, taken({"amount": 1}, pace))
    found = exceeded(taken({"amount": 1}, pace), books)
    assert found is not None
    assert "1 of 1 call used in the last 10 minutes" in found.because
    assert found.allowed == "What is allowed: nothing more until some of that is longer ago"


def test_what_others_have_used_under_another_key_is_not_told() -> None:
    books = Books()
    per = limit(per=("to",))
    books.reserve("1", NOW, taken({"amount": 9_999, "to": "secret-payee"}, per))
    books.reserve("2", NOW, taken({"amount": 1_000, "to": "mine"}, per))
    found = exceeded(taken({"amount": 9_500, "to": "mine"}, per), books)
    assert found is not None
    assert "CHF 1,000 of CHF 10,000 used" in found.because
    assert "for this `to`" in found.because
    assert "secret-payee" not in found.because + found.allowed
    assert "9,999" not in found.because + found.allowed


def test_calls_at_once_say_how_many_are_under_way() -> None:
    books = Books()
    once = limit(Measure.CONCURRENT, window=Window("lifetime"), ceilings={"calls": 1})
    books.reserve("1", NOW, taken({}, once))
    found = exceeded(taken({}, once), books)
    assert found is not None
    assert found.because == "limit `daily`: 1 of at most 1 call at once under way"
    told = "to try again when one of them has ended, or been settled by a person"
    assert found.allowed == f"What is allowed: {told}"


def test_two_charges_of_one_account_are_added_up() -> None:
    charge = Charge("pay@1/limit/a", "x", 6, 10)
    assert exceeded([charge], NO_COUNTERS) is None
    found = exceeded([charge, charge], NO_COUNTERS)
    assert found is not None
    assert "this would take 12" in found.because
    apart = Charge("pay@1/limit/a", "x", 6, 10, key='["b"]')
    assert exceeded([charge, apart], NO_COUNTERS) is None


def test_several_new_values_of_one_call_are_added_up() -> None:
    books = Books()
    values = limit(Measure.DISTINCT, of="to", ceilings={"values": 3})
    books.reserve("1", NOW, taken({"to": ["a", "b"]}, values))
    assert exceeded(taken({"to": ["a", "b", "c"]}, values), books) is None
    found = exceeded(taken({"to": ["a", "c", "d"]}, values), books)
    assert found is not None
    assert "2 of 3 values used" in found.because
    assert "this would take 2 values" in found.because


@pytest.mark.parametrize(
    ("steps", "scale", "unit", "words"),
    [
        (18_000_500_000, SUM_SCALE, "CHF", "CHF 18,000.50"),
        (1, SUM_SCALE, "", "0.000001"),
        (0, SUM_SCALE, "CHF", "CHF 0"),
        (1, 1, "calls", "1 call"),
        (2_000, 1, "calls", "2,000 calls"),
        (3, 1, "values", "3 values"),
    ],
)
def test_amounts_in_words(steps: int, scale: int, unit: str, words: str) -> None:
    assert amount_words(steps, scale, unit) == words


def test_lists_that_do_not_belong_together_are_refused_when_made() -> None:
    with pytest.raises(ValueError, match="one and the same list"):
        limit(of="a[].amount", per=("b[].to",))


# --- money as it is written ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        ("CHF 12.50", 12_500_000),
        ("12.50 CHF", 12_500_000),
        ("EUR 12.50", "amount_unclear"),
        ("12.50 CHF CHF", "amount_unclear"),
        ("CHF -12.50", "amount_negative"),
        ("CHF 12.505", "amount_unclear"),
    ],
)
def test_an_amount_with_the_code_of_its_currency(value: str, steps: int | str) -> None:
    assert steps_of(value, "CHF") == steps
    assert steps_of(value) == "amount_unclear"
    assert steps_of(value, "POINTS") == "amount_unclear"


@pytest.mark.parametrize(
    ("value", "currency", "steps"),
    [
        (1250, "CHF", 12_500_000),
        ("1250", "CHF", 12_500_000),
        (1250.0, "CHF", 12_500_000),
        (1250, "JPY", 1_250_000_000),
        (1250, "KWD", 1_250_000),
        (12.5, "CHF", "amount_unclear"),
        ("12.50", "CHF", "amount_unclear"),
        (-1, "CHF", "amount_negative"),
    ],
)
def test_an_amount_in_centimes(value: Json, currency: str, steps: int | str) -> None:
    assert steps_of_money(value, currency) == steps


def test_what_a_result_says_counts_centimes_too() -> None:
    plain = limit()
    minor = Limit(
        plain.id,
        plain.name,
        plain.targets,
        (),
        Measure.SUM,
        DAY,
        {"CHF": SUM_SCALE},
        plain.of,
        actual=("charged",),
        minor_units=True,
    )
    (charge,) = taken({"amount": 99}, minor)
    assert (charge.amount, charge.ceiling) == (990_000, 1_000_000)
    assert charge.actual_scale == 10_000
    assert taken({"amount": 1}, plain)[0].actual_scale == 0


def test_how_a_limit_stands_is_told_without_a_refusal() -> None:
    (charge,) = taken({"amount": 1}, limit())
    assert standing(charge, 8_000 * SUM_SCALE) == (
        "CHF 8,000 of CHF 10,000 used on 2026-11-22 (Europe/Zurich)"
    )
    (calls,) = taken({}, limit(Measure.COUNT, window=Window("sliding", seconds=600)))
    assert standing(calls, 2) == "2 of 3 calls used in the last 10 minutes"


# --- whatever the arguments ----------------------------------------------------------------------

_NAMES = st.sampled_from(["amount", "Amount", "to", "items", "currency", "x", "\u200bto"])
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["CHF", "12.50", "CHF 3", "-1", "1e5"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_NAMES, _JSON, max_size=6))
def test_whatever_is_asked_is_counted_or_refused_and_takes_no_less_than_nothing(
    arguments: JsonObject,
) -> None:
    limits = (
        limit(currency="currency", name="a"),
        limit(of="items[].amount", per=("items[].to",), name="b"),
        limit(per=("to",), name="c"),
        limit(Measure.DISTINCT, of="to", ceilings={"values": 3}, name="d"),
        limit(Measure.DISTINCT, of="items[].to", ceilings={"values": 3}, name="e"),
        limit(window=Window("call"), name="f"),
        limit(Measure.COUNT, per=("to",), name="g"),
    )
    for each in limits:
        found = charges(call("bank/transfer", arguments), [under(each)], RUN, NOW)
        if isinstance(found, Deny):
            assert found.rules == (each.id,)
            assert found.code != "judge_failed"
            continue
        assert all(0 <= charge.amount <= MAX_AMOUNT for charge in found)
        lines = {(charge.account, charge.key, charge.member) for charge in found}
        assert len(lines) == len(found), "the books take one line of each"
        books = Books()
        if exceeded(found, books) is None:
            assert len(books.reserve("1", NOW, found)) == len(found)
        else:
            with pytest.raises(LimitReached):
                books.reserve("1", NOW, found)
