"""Ways to take more than a limit gives, each by name: splitting, spelling, clocks, versions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Json
from bailiwick.core.context import NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.errors import LimitReached
from bailiwick.core.judge import judge
from bailiwick.core.limits.books import Books, Place
from bailiwick.core.mandate import Mandate
from bailiwick.core.verdict import Allow, Deny, Hold
from bailiwick.declared import compile_agent, compile_mandate, compile_person, load_text

HOUSE = """\
servers: {bank: {command: [bank]}}
people: {ada: {name: Ada, roles: [treasurer]}}
agents: {clerk: {owner: ada}}
mandates:
  pay:
    from: ada
    to: clerk
    allow: [{tools: bank/*, other_arguments: allow}]
    limits:
"""
DAILY = """\
      - {id: daily, tool: bank/transfer, sum: amount, currency: CHF, at_most: 10000,
         each: day, zone: Europe/Zurich}
"""


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


NOON = moment("2026-11-22T12:00:00+01:00")


def compiled(limits: str, version: int = 1) -> Mandate:
    declared = load_text(HOUSE + limits)
    people = {name: compile_person(each) for name, each in declared.of("person").items()}
    agents = {name: compile_agent(each) for name, each in declared.of("agent").items()}
    return compile_mandate(declared.objects["mandate", "pay"], version, people, agents)


class Bank:
    """An agent that may do everything at a bank, but for limits; what is allowed is reserved."""

    def __init__(self, limits: str = DAILY, now: int = NOON) -> None:
        self.mandate = compiled(limits)
        self.books = Books()
        self.now = now
        self.calls = 0

    def ask(self, name: str = "transfer", /, **arguments: Json) -> str:
        """The code of the refusal, or `allowed`."""
        self.calls += 1
        call = Call.of(f"call{self.calls}", Target(CallKind.TOOL, "bank", name), arguments)
        chain = [self.mandate]
        verdict = judge(call, chain, NO_POLICIES, self.books, NO_LABELS, NO_STEP, self.now)
        match verdict:
            case Deny():
                return verdict.code
            case Allow():
                self.books.reserve(call.id, self.now, verdict.charges)
                return "allowed"
            case Hold():
                raise AssertionError("nothing here asks for a stamp")

    def each(self, name: str, values: Sequence[Json]) -> list[str]:
        """What comes of paying with one argument after the other."""
        return [self.ask(**{"amount": 9000, name: value}) for value in values]


# --- splitting -----------------------------------------------------------------------------------


def test_four_payments_of_nine_thousand_under_ten_thousand_a_day() -> None:
    bank = Bank()
    assert [bank.ask(amount=9000) for _ in range(4)] == ["allowed", *["limit_exceeded"] * 3]


def test_very_many_very_small_payments() -> None:
    bank = Bank(DAILY.replace("10000", "'0.000003'"))
    asked = [bank.ask(amount=0.000001) for _ in range(5)]
    assert asked == ["allowed"] * 3 + ["limit_exceeded"] * 2


def test_a_list_of_payments_in_one_call() -> None:
    batch = DAILY.replace("sum: amount", "sum: 'items[].amount'")
    bank = Bank(batch)
    assert (
        bank.ask(items=[{"amount": 4000}, {"amount": 4000}, {"amount": 4000}]) == "limit_exceeded"
    )
    assert bank.ask(items=[{"amount": 4000}, {"amount": 4000}]) == "allowed"
    assert bank.ask(items=[{"amount": 1000}, {"amount": 1000.01}]) == "limit_exceeded"
    assert bank.ask(items=[{"amount": 1000}, {"sum": 5000}]) == "amount_unclear"
    assert bank.ask(items={"amount": 5000}) == "amount_unclear"
    assert bank.ask(items=[[{"amount": 5000}]]) == "amount_unclear"


def test_two_calls_that_are_judged_before_either_is_reserved() -> None:
    bank = Bank()
    target = Target(CallKind.TOOL, "bank", "transfer")
    verdicts = [
        judge(
            Call.of(f"{number}", target, {"amount": 9000}),
            [bank.mandate],
            NO_POLICIES,
            bank.books,
            NO_LABELS,
            NO_STEP,
            bank.now,
        )
        for number in range(2)
    ]
    first, second = verdicts
    assert isinstance(first, Allow)
    assert isinstance(second, Allow)
    bank.books.reserve("0", bank.now, first.charges)
    with pytest.raises(LimitReached, match="CHF 1,000 left"):
        bank.books.reserve("1", bank.now, second.charges)


# --- amounts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (-5000, "amount_negative"),
        ("-5000", "amount_negative"),
        (-0.01, "amount_negative"),
        ("1e3", "amount_unclear"),
        ("0x10", "amount_unclear"),
        ("9 000", "amount_unclear"),
        ("9'000.00", "amount_unclear"),
        ("９０００", "amount_unclear"),
        ("EUR 9000", "amount_unclear"),
        ("nine thousand", "amount_unclear"),
        (True, "amount_unclear"),
        (None, "amount_unclear"),
        ([9000], "amount_unclear"),
        ({"value": 9000}, "amount_unclear"),
        (1e-7, "amount_too_fine"),
        ("0.0000001", "amount_too_fine"),
        (1e300, "amount_too_large"),
        ("9" * 60, "amount_too_large"),
        ("9" * 65, "amount_unclear"),
    ],
)
def test_an_amount_that_servers_may_read_in_their_own_way(amount: Json, code: str) -> None:
    bank = Bank()
    assert bank.ask(amount=amount) == code
    assert bank.ask(amount=10_000) == "allowed", "and no room was gained or lost"


def test_an_amount_that_is_left_out_or_called_otherwise() -> None:
    bank = Bank()
    assert bank.ask() == "amount_unclear"
    assert bank.ask(Amount=9000) == "amount_unclear"
    assert bank.ask(amount=1, Amount=9000) == "argument_ambiguous"
    assert bank.ask(**{"amount": 1, "amount\u200b": 9000}) == "argument_ambiguous"


def test_nothing_at_all_takes_nothing_but_still_counts_as_a_call() -> None:
    bank = Bank(DAILY + "      - {id: pace, tool: bank/transfer, calls: 2, within: 10m}\n")
    assert [bank.ask(amount=0) for _ in range(3)] == ["allowed", "allowed", "limit_exceeded"]


def test_a_refund_gives_no_room_back() -> None:
    bank = Bank(DAILY.replace("bank/transfer", "bank/*"))
    assert bank.ask(amount=9000) == "allowed"
    assert bank.ask("refund", amount=-9000) == "amount_negative"
    assert bank.ask("refund", amount=1000) == "allowed"
    assert bank.ask(amount=1) == "limit_exceeded"


# --- currencies ----------------------------------------------------------------------------------

BY_CURRENCY = """\
      - {id: daily, tool: bank/transfer, sum: amount, currency: {argument: currency},
         at_most: {CHF: 10000, EUR: 10000}, each: day, zone: Europe/Zurich}
"""


def test_another_spelling_of_a_currency_has_no_allowance_of_its_own() -> None:
    bank = Bank(BY_CURRENCY)
    currencies: list[Json] = [
        "CHF",
        "CHF",
        "chf",
        "CHF ",
        "Fr.",
        "ＣＨＦ",
        "USD",
        None,
        756,
        ["CHF"],
    ]
    codes = bank.each("currency", currencies)
    assert codes == ["allowed", "limit_exceeded", *["currency_not_allowed"] * 8]
    assert bank.ask(amount=1) == "currency_not_allowed"


def test_currencies_never_mix() -> None:
    bank = Bank(BY_CURRENCY)
    codes = bank.each("currency", ["CHF", "EUR", "CHF", "EUR"])
    assert codes == ["allowed", "allowed", "limit_exceeded", "limit_exceeded"]


def test_one_batch_in_two_currencies() -> None:
    bank = Bank(
        """\
      - {id: daily, tool: bank/transfer, sum: 'items[].amount',
         currency: {argument: 'items[].currency'}, at_most: {CHF: 10, EUR: 10}, each: lifetime}
"""
    )

    def batch(*items: tuple[Json, Json]) -> str:
        return bank.ask(items=[{"amount": amount, "currency": unit} for amount, unit in items])

    assert batch((8, "CHF"), (3, "CHF")) == "limit_exceeded"
    assert batch((8, "CHF"), (3, "EUR"), (1, "USD")) == "currency_not_allowed"
    assert batch((8, "CHF"), (8, "EUR")) == "allowed"
    assert batch((3, "CHF"), (1, "EUR")) == "limit_exceeded"


# --- keys ----------------------------------------------------------------------------------------

PER_PAYEE = DAILY.replace("each:", "per: payee, each:")


@pytest.mark.parametrize(
    "spelling",
    [
        "CH93 0076 2011 6238 5295 7",
        "ch9300762011623852957",
        " CH9300762011623852957\t",
        "CH93-0076-2011-6238-5295-7",
        "CH93\u00a00076\u00a02011\u00a06238\u00a05295\u00a07",
        "CH93\u200b00762011623852957",
        "ＣＨ９３００７６２０１１６２３８５２９５７",
        "CH93.0076.2011.6238.5295.7",
    ],
)
def test_another_spelling_of_a_payee_has_no_allowance_of_its_own(spelling: str) -> None:
    bank = Bank(PER_PAYEE)
    assert bank.ask(amount=9000, payee="CH9300762011623852957") == "allowed"
    assert bank.ask(amount=9000, payee=spelling) == "limit_exceeded"
    assert bank.ask(amount=9000, payee="DE89370400440532013000") == "allowed"


def test_a_number_and_its_text_are_one_payee() -> None:
    bank = Bank(PER_PAYEE)
    codes = bank.each("payee", [12345, "12345", "0012345", 12345.0, "12345.0"])
    assert codes == ["allowed", *["limit_exceeded"] * 4]


def test_no_payee_and_several_are_no_payee() -> None:
    bank = Bank(PER_PAYEE)
    codes = bank.each("payee", [None, "", " ", "\u200b", [], ["a"], {"iban": "a"}, "x" * 2000])
    assert codes == ["key_unclear"] * 8
    assert bank.ask(amount=1) == "key_unclear"


def test_letters_of_another_script_are_another_payee() -> None:
    """Not stopped here: a word is what its letters are. Allow payees by rule, or count them."""
    bank = Bank(PER_PAYEE)
    assert bank.each("payee", ["anna", "аnna"]) == ["allowed", "allowed"]
    both = PER_PAYEE + (
        "      - {id: faces, tool: bank/transfer, distinct: payee, at_most: 1, each: lifetime}\n"
    )
    assert Bank(both).each("payee", ["anna", "аnna"]) == ["allowed", "limit_exceeded"]


def test_new_payees_under_look_alike_names_count_as_new() -> None:
    faces = (
        "      - {id: faces, tool: bank/transfer, distinct: payee, at_most: 2, each: lifetime}\n"
    )
    bank = Bank(faces)
    assert bank.each("payee", ["bob", "Bob", "bob", "BOB", ["bob", "Bob"], ["bob", "eve"]]) == [
        "allowed",
        "allowed",
        "allowed",
        "limit_exceeded",
        "allowed",
        "limit_exceeded",
    ]


# --- clocks --------------------------------------------------------------------------------------


def test_a_burst_around_midnight_is_held_by_a_sliding_window() -> None:
    calendar = Bank(now=moment("2026-11-22T23:59:59+01:00"))
    assert calendar.ask(amount=10_000) == "allowed"
    calendar.now += 1_000
    assert calendar.ask(amount=10_000) == "allowed", "another day, and so documented"
    sliding = Bank(
        DAILY
        + "      - {id: burst, tool: bank/transfer, sum: amount, currency: CHF, at_most: 12000,"
        + " within: 24h}\n",
        now=moment("2026-11-22T23:59:59+01:00"),
    )
    assert sliding.ask(amount=10_000) == "allowed"
    sliding.now += 1_000
    assert sliding.ask(amount=10_000) == "limit_exceeded"
    assert sliding.ask(amount=2_000) == "allowed"
    sliding.now = moment("2026-11-23T23:59:58+01:00")
    assert sliding.ask(amount=8_000) == "limit_exceeded"
    sliding.now += 1_000
    assert sliding.ask(amount=8_000) == "allowed"


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2026-10-25T00:00:00+02:00", "2026-10-25T23:59:59+01:00"),
        ("2026-03-29T00:00:00+01:00", "2026-03-29T23:59:59+02:00"),
    ],
)
def test_the_day_on_which_clocks_change_gives_no_second_allowance(first: str, last: str) -> None:
    bank = Bank(now=moment(first))
    assert bank.ask(amount=9000) == "allowed"
    for hour in range(1, 23):
        bank.now = moment(first) + hour * 3_600_000
        assert bank.ask(amount=9000) == "limit_exceeded"
    bank.now = moment(last)
    assert bank.ask(amount=9000) == "limit_exceeded"
    bank.now += 1_000
    assert bank.ask(amount=9000) == "allowed"


def test_a_clock_that_goes_back_reopens_nothing() -> None:
    bank = Bank(
        DAILY + "      - {id: burst, tool: bank/transfer, calls: 2, within: 1h}\n", now=NOON
    )
    assert bank.ask(amount=9000) == "allowed"
    bank.now -= 2 * 86_400_000
    assert bank.ask(amount=9000) == "allowed", "that day has had nothing yet"
    assert bank.ask(amount=500) == "limit_exceeded", "two calls within an hour of each other"
    bank.now = NOON + 1
    assert bank.ask(amount=500) == "limit_exceeded", "what came while the clock was wrong counts"
    assert bank.ask(amount=9000) == "limit_exceeded", "and so does the day it came back to"


def test_a_clock_that_swings_does_not_empty_a_sliding_window() -> None:
    bank = Bank("      - {id: pace, tool: bank/transfer, calls: 3, within: 1h}\n")
    allowed = 0
    for swing in (0, -7_200_000, 60_000, -86_400_000, 1_000, -1, 3_599_999):
        bank.now = NOON + swing
        allowed += bank.ask() == "allowed"
    assert allowed == 3


# --- versions and outcomes -----------------------------------------------------------------------


def test_a_new_version_of_the_mandate_does_not_begin_anew() -> None:
    bank = Bank()
    assert bank.ask(amount=9000) == "allowed"
    bank.mandate = compiled(DAILY.replace("10000", "12000"), version=2)
    assert bank.ask(amount=4000) == "limit_exceeded"
    assert bank.ask(amount=3000) == "allowed"
    bank.mandate = compiled(DAILY.replace("10000", "5000"), version=3)
    assert bank.ask(amount=1) == "limit_exceeded"


def test_calls_that_go_astray_give_no_room_back() -> None:
    bank = Bank(DAILY + "      - {id: once, tool: bank/transfer, at_once: 1}\n")
    assert bank.ask(amount=6000) == "allowed"
    bank.books.settle("call1", NOON, Place.UNKNOWN)
    assert bank.ask(amount=1) == "limit_exceeded", "it may be under way still"
    bank.books.settle("call1", NOON, Place.POSTED)
    assert bank.ask(amount=6000) == "limit_exceeded"
    assert bank.ask(amount=4000) == "allowed"


def test_a_tool_that_is_only_nearly_the_limited_one_counts() -> None:
    bank = Bank("      - {id: pace, tool: bank/transfer, calls: 1, each: lifetime}\n")
    assert bank.ask("Transfer") == "allowed"
    assert bank.ask("transfer\u200b") == "limit_exceeded"
    assert bank.ask("transfer") == "limit_exceeded"


def test_a_condition_does_not_let_a_doubtful_call_go_uncounted() -> None:
    large = "      - {id: pace, tool: bank/transfer, when: {amount: {at_least: 1000}}, calls: 1,"
    bank = Bank(large + " each: lifetime}\n")
    assert bank.ask(amount=999) == "allowed"
    assert bank.ask(amount="1e6") == "allowed"
    assert bank.ask(amount=1000) == "limit_exceeded", "the doubtful one was counted"
    assert bank.ask() == "limit_exceeded"
    assert bank.ask(amount=999) == "allowed"
