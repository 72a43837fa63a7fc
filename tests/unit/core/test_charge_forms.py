"""What calls take by their form is what they take without, and the books count it alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bailiwick.core.canonical import JsonObject
from bailiwick.core.conditions import AtLeast
from bailiwick.core.context import NO_COUNTERS, NO_LABELS, NO_POLICIES, NO_STEP
from bailiwick.core.errors import LimitReached
from bailiwick.core.judge import judge
from bailiwick.core.limits.accounts import Held
from bailiwick.core.limits.books import Books, Place
from bailiwick.core.limits.charging import NOT_A_MEMBER, charged, compare
from bailiwick.core.limits.forms import MAX_FORMS, Forms, compared, forms_of, known_to
from bailiwick.core.limits.limit import (
    MAX_AMOUNT,
    SUM_SCALE,
    Charge,
    Charges,
    Limit,
    Measure,
    Window,
)
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.verdict import Allow, Deny, Verdict
from tests.unit.core.mandates import at, call
from tests.unit.core.test_books import Kept
from tests.unit.core.test_limits import DAY, NOW, RUN, limit, under

BOTH = {"CHF": 40 * SUM_SCALE, "EUR": 40 * SUM_SCALE}
ONCE = Window("lifetime")
MINUTE = 60_000


def in_cents(one: Limit) -> Limit:
    return dataclasses.replace(one, minor_units=True)


def limits() -> tuple[Limit, ...]:
    """One of each kind that has a form, made anew: nothing is remembered with them."""
    return (
        limit(name="day", currency="currency", ceilings=BOTH),
        limit(name="payee", of="paid.sum", window=ONCE, per=("paid.to",), ceilings=BOTH | {"": 1}),
        limit(Measure.DISTINCT, name="faces", of="to", window=DAY, ceilings={"values": 2}),
        limit(Measure.DISTINCT, name="new", of="to", window=Window("sliding", "", 60)),
        limit(Measure.COUNT, name="pace", window=Window("sliding", "", 120)),
        limit(Measure.COUNT, name="run", window=Window("run"), ceilings={"calls": 6}),
        limit(Measure.CONCURRENT, name="once", window=ONCE, ceilings={"calls": 2}),
        limit(Measure.COUNT, name="much", window=ONCE, conditions=(AtLeast(("amount",), 10),)),
        in_cents(limit(name="cents", window=Window("hour", "Asia/Kathmandu"))),
    )


FORMABLE = [each.name for each in limits()]

VALUES = st.sampled_from(["bo", "Bo", "b o", "di", "é", "", "1", "01", 1, 1.0, True, None, ["bo"]])
AMOUNTS = st.sampled_from([0, 1, 1.0, True, "1", "1.5", 7.5, 11, 10**13, -1, "CHF 5", None, [1]])
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "amount": AMOUNTS,
        "to": VALUES,
        "currency": st.sampled_from(["CHF", "EUR", "chf", "USD", None, 1]),
        "paid": st.none()
        | st.fixed_dictionaries({}, optional={"to": VALUES, "sum": AMOUNTS, "To": VALUES}),
    },
)


def plain(like: tuple[str, str, str, int, int]) -> JsonObject:
    to, currency, paid_to, amount, paid = like
    return {
        "amount": amount,
        "to": to,
        "currency": currency,
        "paid": {"to": paid_to, "sum": paid},
    }


AMONG = st.sampled_from([0, 1, 5, 15])
PLAIN = st.tuples(
    st.sampled_from(["bo", "bo", "bo", "di", "cy"]),
    st.sampled_from(["CHF", "CHF", "EUR"]),
    st.sampled_from(["bo", "bo", "Bo"]),
    AMONG,
    AMONG,
).map(plain)
"""Arguments that are alike so often that most calls have a form."""

RUNS = st.sampled_from([RUN, RUN, RUN, "01JZRUN0000000000000000001"])
MOMENTS = (
    st.integers(NOW - 5, NOW + 5)
    | st.integers(NOW - 3 * MINUTE, NOW + 3 * MINUTE)
    | st.integers(NOW - 10**9, NOW + 10**9)
    | st.integers(0, 200_000)
)


def of(names: Sequence[str]) -> tuple[Limit, ...]:
    return tuple(each for each in limits() if each.name in names)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(FORMABLE), min_size=1, max_size=5, unique=True),
    st.lists(st.tuples(PLAIN | ARGUMENTS, RUNS, MOMENTS), min_size=3, max_size=25),
)
def test_what_a_call_takes_by_its_form_is_what_it_takes_without(
    names: list[str], asked: list[tuple[JsonObject, str, int]]
) -> None:
    forms = forms_of(of(names))
    assert forms is not None
    for arguments, run, now in asked:
        one = call("bank/transfer", arguments)
        found, plainly = forms.taken(one, run, now), charged(one, of(names), run, now)
        if isinstance(found, Charges):
            assert not isinstance(plainly, Deny), plainly
            assert repr(tuple(found)) == repr(plainly)  # of 1, 1.0 and true no two are one
        else:
            assert repr(found) == repr(plainly)


STEPS = st.tuples(
    PLAIN,
    RUNS,
    st.integers(0, 5) | st.integers(0, 5) | st.integers(-90_000, 90_000),
    st.sampled_from(["", "", "", "", "", "", "", "forget", "trim"]),
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from([Place.POSTED, Place.FREE, Place.UNKNOWN])),
        max_size=2,
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(FORMABLE), min_size=1, max_size=5, unique=True),
    st.lists(STEPS, min_size=5, max_size=40),
    st.booleans(),
)
def test_the_books_count_what_has_a_form_as_what_has_none(
    names: list[str],
    steps: list[tuple[JsonObject, str, int, str, list[tuple[int, Place]]]],
    loading: bool,
) -> None:
    forms = forms_of(of(names))
    assert forms is not None
    kept = Kept()
    quick = Books(kept, keep_old=1) if loading else Books()
    slow, now, ended = Books(), NOW, dict[str, Place]()
    for number, (arguments, run, step, act, settled) in enumerate(steps):
        now += step
        one = call("bank/transfer", arguments)
        taken, plainly = forms.taken(one, run, now), charged(one, of(names), run, now)
        if isinstance(taken, Deny) or isinstance(plainly, Deny):
            assert taken == plainly
            continue
        before = compared(taken, quick)
        assert before == compare(plainly, slow)
        known = known_to(taken, quick)
        if known is not None:
            for where in known.members:
                in_all = known.held[where].used_in_all(taken[where])
                assert in_all == slow.used(replace(plainly[where], member=NOT_A_MEMBER))
        made = outcome(quick, str(number), now, taken)
        assert made == outcome(slow, str(number), now, plainly)
        kept.transfers += made if isinstance(made, list) else []
        for which, place in settled:
            if str(which) not in ended and which <= number:
                ended[str(which)] = place
                moved = list(quick.settle(str(which), now, place))
                assert moved == list(slow.settle(str(which), now, place))
                kept.transfers += moved
        if loading and act == "forget":
            quick.forget()
            assert known_to(taken, quick) is None
        elif act == "trim":
            quick.trim()


def outcome(books: Books, ident: str, now: int, taken: Sequence[Charge]) -> object:
    try:
        return list(books.reserve(ident, now, taken))
    except LimitReached as reached:
        return reached.code, reached.message


def formed(forms: Forms, arguments: JsonObject, now: int = NOW) -> Charges:
    for _ in range(3):
        found = forms.taken(call("bank/transfer", arguments), RUN, now)
    assert isinstance(found, Charges)
    return found


def daily() -> Forms:
    forms = forms_of((limit(), limit(Measure.COUNT, name="pace", window=Window("sliding", "", 60))))
    assert forms is not None
    return forms


def test_a_form_is_known_to_the_counters_alone_that_have_reserved_by_it() -> None:
    forms, mine, others = daily(), Books(), Books()
    taken = formed(forms, {"amount": 5})
    assert known_to(taken, mine) is None
    mine.reserve("a", NOW, taken)
    assert known_to(taken, mine) is not None
    assert known_to(taken, others) is None
    assert compared(taken, others) == compared(taken, NO_COUNTERS) == (0, 0)
    assert compared(taken, mine) == (5 * SUM_SCALE, 1)
    others.reserve("a", NOW, taken)
    assert known_to(taken, mine) is None
    assert compared(taken, mine) == (5 * SUM_SCALE, 1), "looked up, as without a form"


def test_what_counters_have_forgotten_is_looked_up_again() -> None:
    kept = Kept()
    books = Books(kept)
    taken = formed(daily(), {"amount": 5})
    kept.transfers += books.reserve("a", NOW, taken)
    known = known_to(taken, books)
    assert known is not None
    books.forget()
    # Another process has spent meanwhile; what was held in memory says nothing of it.
    others = Books(kept)
    kept.transfers += others.reserve("b", NOW, [taken[0]])
    assert known_to(taken, books) is None
    assert compared(taken, books) == (10 * SUM_SCALE, 1)
    books.reserve("c", NOW, taken)
    again = known_to(taken, books)
    assert again is not None
    assert not {id(each) for each in known.held} & {id(each) for each in again.held}


def test_a_charge_that_does_not_fit_gives_back_what_came_before_it() -> None:
    forms = forms_of(
        (
            *of(["day", "faces", "pace"]),
            limit(Measure.CONCURRENT, name="once", window=ONCE, ceilings={"calls": 1}),
        )
    )
    assert forms is not None
    books = Books()
    first = formed(forms, {"amount": 5, "currency": "CHF", "to": "bo"})
    books.reserve("a", NOW, first)
    before = list(books.balances())
    second = formed(forms, {"amount": 6, "currency": "CHF", "to": "di"}, NOW + 9)
    for taken in (first, second, second):
        with pytest.raises(LimitReached, match="at once under way"):
            books.reserve("b", NOW + 9, taken)
    assert [each for each in books.balances() if each[2].pending] == before
    books.settle("a", NOW + 10, Place.POSTED)
    made = books.reserve("c", NOW + 8, second)
    assert {each.reserved_ms for each in made} == {NOW + 8}, "the window heard of no refusal"


def test_nothing_that_counts_otherwise_has_a_form() -> None:
    plain = limit()
    assert forms_of(()) is None
    for other in (
        limit(of="items[].amount"),
        limit(per=("to[]",)),
        limit(window=Window("call")),
        limit(Measure.TOKENS, ceilings={"tokens": 5}),
    ):
        assert forms_of((plain, other)) is None


def test_only_so_many_forms_are_remembered_and_none_of_long_texts() -> None:
    forms = forms_of((limit(per=("to",), ceilings={"CHF": MAX_AMOUNT}),))
    assert forms is not None
    for number in range(3 * MAX_FORMS):
        formed(forms, {"amount": number, "to": f"payee {number}"})
        assert len(forms._known) <= MAX_FORMS
    long: JsonObject = {"amount": 1, "to": "x" * 300}
    for _ in range(3):
        assert type(forms.taken(call("bank/transfer", long), RUN, NOW)) is tuple


def test_a_value_that_comes_once_leaves_no_form() -> None:
    forms = forms_of((limit(per=("to",)),))
    assert forms is not None
    forms.taken(call("bank/transfer", {"amount": 1, "to": "once"}), RUN, NOW)
    assert list(forms._known.values()) == [None]


def test_what_a_member_holds_counts_its_own_value_where_it_is_asked_for() -> None:
    forms = forms_of(of(["faces"]))
    assert forms is not None
    books = Books()
    taken = formed(forms, {"to": "bo"})
    books.reserve("a", NOW, taken)
    known = known_to(taken, books)
    assert known is not None
    assert isinstance(known.held[0], Held)
    assert (known.held[0].used(taken[0]), known.held[0].used_in_all(taken[0])) == (0, 1)
    assert at("to") == of(["faces"])[0].of


def judged(chain: Sequence[Mandate], books: Books, amount: int, now: int) -> Verdict:
    asked = call("bank/transfer", {"amount": amount})
    return judge(asked, chain, NO_POLICIES, books, NO_LABELS, NO_STEP, now)


def spend(chain: Sequence[Mandate], books: Books, amount: int, times: int, start: int = 0) -> None:
    """Let calls through and reserve what they take, until they have a form and it is known."""
    for number in range(start, start + times):
        verdict = judged(chain, books, amount, NOW + number)
        assert isinstance(verdict, Allow), verdict
        books.reserve(f"c{number}", NOW + number, verdict.charges)
    assert known_to(verdict.charges, books) is not None


def test_a_newer_mandate_is_held_to_its_own_ceiling_and_to_what_was_spent_before() -> None:
    books = Books()
    older = (under(limit()),)
    spend(older, books, 1_000, 4)
    newer = (under(limit(version=2, ceilings={"CHF": 4_500 * SUM_SCALE})),)
    spend(newer, books, 100, 5, start=4)
    over = judged(newer, books, 1, NOW + 9)
    assert isinstance(over, Deny)
    assert over.rules == ("pay@2/limit/daily",)
    assert "CHF 4,500 of CHF 4,500 used" in over.because
    allowed = judged(older, books, 5_500, NOW + 9)
    assert isinstance(allowed, Allow), "and so is the older one, while it stands"
    assert allowed.used == (4_500 * SUM_SCALE,)


def test_children_draw_on_what_their_parent_has_left_whoever_came_last() -> None:
    books = Books()
    parent = under(limit())
    mine, others = (parent, under()), (parent, under())
    spend(mine, books, 1_000, 4)
    spend(others, books, 500, 4, start=4)
    spend(mine, books, 1_000, 2, start=8)
    spend(others, books, 500, 4, start=10)
    for chain in (mine, others):
        over = judged(chain, books, 1, NOW + 20)
        assert isinstance(over, Deny)
        assert "CHF 10,000 of CHF 10,000 used" in over.because


def test_a_mandate_that_is_revoked_lets_nothing_through_by_a_form() -> None:
    books = Books()
    active = under(limit())
    spend((active,), books, 1_000, 4)
    revoked = dataclasses.replace(active, state=MandateState.REVOKED)
    refused = judged((revoked,), books, 1, NOW + 5)
    assert isinstance(refused, Deny)
    assert refused.code == "mandate_revoked"
