"""The books of limits: nothing lost, nothing above a ceiling, everything derivable."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from bailiwick.core.errors import Conflict, LimitReached, OurError
from bailiwick.core.limits.books import MAX_OLD, Balance, Books, Place, Transfer
from bailiwick.core.limits.limit import Charge
from bailiwick.core.limits.sliding import SlidingWindow

DAY = "pay:daily:sum:day:UTC:2026-11-22:CHF:00000000"
ROLLING = "pay:rolling:count:sliding-60::::00000000"
PAYEES = "pay:payees:distinct:day:UTC:2026-11-22:values:00000000"
AT_ONCE = "pay:at-once:concurrent:lifetime:::calls:00000000"


def daily(amount: int, ceiling: int = 100, key: str = "") -> Charge:
    return Charge("pay@1/limit/daily", DAY, amount, ceiling, key, unit="CHF")


def rolling(now: int, ceiling: int = 2) -> Charge:
    return Charge("pay@1/limit/rolling", ROLLING, 1, ceiling, since_ms=max(1, now - 60_000))


def payee(member: str, ceiling: int = 2) -> Charge:
    return Charge("pay@1/limit/payees", PAYEES, 1, ceiling, member=member, unit="values")


def at_once(ceiling: int = 1) -> Charge:
    return Charge("pay@1/limit/at-once", AT_ONCE, 1, ceiling, pending_only=True)


class Kept:
    """A store of transfers, and the loader over it."""

    def __init__(self) -> None:
        self.transfers: list[Transfer] = []
        self.asked = 0

    def account(self, account: str, key: str) -> Sequence[Balance]:
        self.asked += 1
        books = Books()
        books.replay(each for each in self.transfers if (each.account, each.key) == (account, key))
        return [balance for _, _, balance in books.balances()]

    def since(self, account: str, key: str, since_ms: int) -> Sequence[Transfer]:
        return [
            each
            for each in self.transfers
            if (each.account, each.key) == (account, key) and each.reserved_ms > since_ms
        ]

    def call(self, call: str) -> Sequence[Transfer]:
        return [each for each in self.transfers if each.call == call]


def test_what_is_reserved_counts_until_it_is_voided() -> None:
    books = Books()
    (transfer,) = books.reserve("a", 1, [daily(60)])
    assert (transfer.source, transfer.target, transfer.amount) == (Place.FREE, Place.PENDING, 60)
    assert books.used(daily(0)) == 60
    with pytest.raises(LimitReached, match="60 of CHF 100 used"):
        books.reserve("b", 2, [daily(41)])
    books.settle("a", 3, Place.FREE)
    assert books.used(daily(0)) == 0
    books.reserve("b", 4, [daily(100)])


def test_a_reservation_is_all_or_nothing() -> None:
    books = Books()
    books.reserve("a", 1, [at_once()])
    with pytest.raises(LimitReached) as refused:
        books.reserve("b", 2, [daily(10), at_once()])
    assert refused.value.code == "limit_exceeded"
    assert books.used(daily(0)) == 0
    assert not books.settle("b", 3, Place.POSTED)


@given(st.permutations([daily(60), rolling(100_000, 3), payee('"y"', 3), at_once(2)]))
def test_what_comes_before_the_charge_that_does_not_fit_is_given_back(
    charges: list[Charge],
) -> None:
    books = Books()
    books.reserve("a", 99_000, [daily(30), rolling(99_000, 3), payee('"x"', 3), at_once(2)])
    asked = [*charges, daily(30), rolling(99_000), payee('"x"'), payee('"z"'), rolling(1)]
    before = [books.used(each) for each in asked]
    full = [replace(each, ceiling=1) if each is charges[-1] else each for each in charges]
    for _ in range(2):
        with pytest.raises(LimitReached):
            books.reserve("b", 100_000, full)
    assert [books.used(each) for each in asked] == before
    assert all(balance.pending in (0, 1, 30) for _, _, balance in books.balances())
    assert len(books.reserve("b", 100_000, charges)) == 4
    assert not books.settle("c", 100_001, Place.POSTED)


def test_the_same_reservation_again_does_nothing_and_another_is_a_conflict() -> None:
    books = Books()
    books.reserve("a", 1, [daily(60)])
    assert not books.reserve("a", 2, [daily(60)])
    with pytest.raises(Conflict, match="something else"):
        books.reserve("a", 3, [daily(61)])
    books.settle("a", 4, Place.POSTED)
    assert not books.reserve("a", 5, [daily(60)])
    assert books.used(daily(0)) == 60


def test_one_call_cannot_charge_one_account_twice() -> None:
    with pytest.raises(Conflict, match="twice"):
        Books().reserve("a", 1, [daily(1), daily(2)])


def test_less_than_was_reserved_gives_the_rest_back() -> None:
    books = Books()
    books.reserve("a", 1, [daily(60)])
    moves = books.settle("a", 2, Place.POSTED, [(DAY, "", 45)])
    assert [(each.source, each.target, each.amount) for each in moves] == [
        (Place.PENDING, Place.POSTED, 45),
        (Place.PENDING, Place.FREE, 15),
    ]
    assert books.used(daily(0)) == 45
    assert not books.settle("a", 3, Place.POSTED), "it was posted, and its rest is free"
    assert books.used(daily(0)) == 45


def test_more_than_was_reserved_is_posted_all_the_same_even_above_the_ceiling() -> None:
    books = Books()
    books.reserve("a", 1, [daily(60)])
    moves = books.settle("a", 2, Place.POSTED, [(DAY, "", 130)])
    assert [(each.source, each.target, each.amount) for each in moves] == [
        (Place.PENDING, Place.POSTED, 60),
        (Place.FREE, Place.POSTED, 70),
    ]
    assert not books.settle("a", 3, Place.POSTED)
    assert books.used(daily(0)) == 130


def test_what_is_unknown_counts_until_somebody_says_what_came_of_it() -> None:
    books = Books()
    books.reserve("a", 1, [daily(60), at_once()])
    books.settle("a", 2, Place.UNKNOWN)
    assert books.used(daily(0)) == 60
    assert books.used(at_once()) == 1, "it is not known to have ended"
    books.settle("a", 3, Place.POSTED)
    assert books.used(daily(0)) == 60
    assert books.used(at_once()) == 0


def test_a_late_outcome_of_a_voided_call_is_recorded_and_not_dropped() -> None:
    books = Books()
    books.reserve("a", 1, [daily(60)])
    books.settle("a", 2, Place.FREE)
    books.reserve("b", 3, [daily(100)])
    (late,) = books.settle("a", 4, Place.POSTED)
    assert (late.source, late.target, late.amount) == (Place.FREE, Place.POSTED, 60)
    assert books.used(daily(0)) == 160


def test_a_late_outcome_of_a_voided_call_that_took_nothing_is_final_too() -> None:
    books = Books()
    books.reserve("a", 1, [daily(60)])
    books.settle("a", 2, Place.FREE)
    (late,) = books.settle("a", 3, Place.POSTED, [(DAY, "", 0)])
    assert (late.source, late.target, late.amount) == (Place.FREE, Place.POSTED, 0)
    assert not books.settle("a", 4, Place.POSTED)
    assert books.used(daily(0)) == 0


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (Place.POSTED, Place.FREE),
        (Place.POSTED, Place.UNKNOWN),
        (Place.FREE, Place.UNKNOWN),
    ],
)
def test_what_has_ended_does_not_end_otherwise(first: Place, then: Place) -> None:
    books = Books()
    books.reserve("a", 1, [daily(60)])
    books.settle("a", 2, first)
    before = list(books.balances())
    with pytest.raises(Conflict, match="already"):
        books.settle("a", 3, then)
    assert list(books.balances()) == before
    assert not books.settle("a", 4, first)


def test_a_part_can_be_settled_by_itself() -> None:
    books = Books()
    books.reserve("a", 1, [daily(60), at_once()])
    books.settle("a", 2, Place.UNKNOWN)
    books.settle("a", 3, Place.FREE, only=[(AT_ONCE, "")])
    assert books.used(at_once()) == 0
    assert books.used(daily(0)) == 60
    books.settle("a", 4, Place.POSTED, only=[(DAY, "")])
    assert books.used(daily(0)) == 60


def test_a_value_counts_once_however_often_it_comes() -> None:
    books = Books()
    books.reserve("a", 1, [payee('"x"')])
    books.reserve("b", 2, [payee('"x"')])
    books.reserve("c", 3, [payee('"y"')])
    with pytest.raises(LimitReached):
        books.reserve("d", 4, [payee('"z"')])
    books.settle("a", 5, Place.FREE)
    with pytest.raises(LimitReached):
        books.reserve("d", 6, [payee('"z"')])
    books.settle("b", 7, Place.FREE)
    books.reserve("d", 8, [payee('"z"')])


def test_several_new_values_in_one_call_count_together() -> None:
    books = Books()
    books.reserve("a", 1, [payee('"x"')])
    with pytest.raises(LimitReached, match="this would take 2 values"):
        books.reserve("b", 2, [payee('"y"'), payee('"z"')])
    books.reserve("c", 3, [payee('"x"'), payee('"y"')])


@given(
    st.sampled_from([Place.POSTED, Place.POSTED, Place.FREE, Place.UNKNOWN]),
    st.integers(0, 90),
    st.none() | st.integers(0, 200),
    st.none() | st.integers(0, 5),
    st.none() | st.integers(0, 3),
)
def test_what_is_settled_at_once_is_settled_as_line_by_line(
    to: Place, amount: int, spent: int | None, paced: int | None, values: int | None
) -> None:
    charges = [daily(amount), rolling(100_000), at_once(), payee('"bo"')]
    said = zip((DAY, ROLLING, PAYEES), (spent, paced, values), strict=True)
    actual = [(account, "", steps) for account, steps in said if steps is not None]
    at_once_books, by_line = Books(), Books()
    by_line.replay(at_once_books.reserve("a", 100_000, charges))
    moved = at_once_books.settle("a", 100_001, to, actual)
    assert list(moved) == list(by_line.settle("a", 100_001, to, actual))
    assert sorted(at_once_books.balances()) == sorted(by_line.balances())
    for charge in (*charges, payee('"cy"'), rolling(100_002)):
        assert at_once_books.used(charge) == by_line.used(charge), charge
    # And both go on alike from there.
    again = at_once_books.settle("a", 100_003, to, actual)
    assert list(again) == list(by_line.settle("a", 100_003, to, actual)) == []


def test_an_actual_amount_is_no_number_of_values() -> None:
    books = Books()
    books.reserve("a", 1, [payee('"x"')])
    (moved,) = books.settle("a", 2, Place.POSTED, [(PAYEES, "", 5)])
    assert moved.amount == 1


def test_keys_are_counted_apart() -> None:
    books = Books()
    books.reserve("a", 1, [daily(100, key='["x"]')])
    books.reserve("b", 2, [daily(100, key='["y"]')])
    with pytest.raises(LimitReached):
        books.reserve("c", 3, [daily(1, key='["x"]')])


def test_a_sliding_window_frees_what_has_left_it() -> None:
    books = Books()
    books.reserve("a", 1_000, [rolling(1_000)])
    books.reserve("b", 31_000, [rolling(31_000)])
    with pytest.raises(LimitReached):
        books.reserve("c", 60_000, [rolling(60_000)])
    books.reserve("c", 61_000, [rolling(61_000)])


def test_what_is_reserved_in_one_millisecond_is_one_entry_and_can_be_voided_apart() -> None:
    books, window = Books(), SlidingWindow()
    for number in range(3):
        books.reserve(f"{number}", 1_000, [rolling(1_000, 3)])
        assert window.reserve(rolling(1_000), 1_000) == 1_000
    assert window.used(rolling(1_000)) == 3
    assert window.used(rolling(70_000)) == 0
    assert window.old == 1
    books.settle("1", 1_001, Place.FREE)
    assert books.used(rolling(1_001)) == 2
    assert books.used(rolling(70_000)) == 0
    books.settle("2", 70_000, Place.FREE)  # what is old is voided as well
    assert books.used(rolling(1_002)) == 1
    books.settle("1", 70_001, Place.POSTED)  # it happened after all
    assert books.used(rolling(1_002)) == 2


def test_a_clock_that_goes_back_frees_nothing_early() -> None:
    books = Books()
    books.reserve("a", 1_000_000, [rolling(1_000_000)])
    (moved,) = books.reserve("b", 900_000, [rolling(900_000)])
    assert moved.reserved_ms == 1_000_000, "not before what is there"
    with pytest.raises(LimitReached):
        books.reserve("c", 1_000_001, [rolling(1_000_001)])


def test_what_a_window_forgot_comes_back_when_the_clock_goes_back() -> None:
    kept = Kept()
    books = Books(kept)
    many = MAX_OLD + 10
    for number in range(many):
        now = 1_000 + number
        kept.transfers += books.reserve(f"{number}", now, [rolling(now, ceiling=many)])
    late = rolling(200_000, ceiling=many)
    assert books.used(late) == 0
    kept.transfers += books.reserve("late", 200_000, [late])
    books.trim()
    not_written = books.reserve("later", 200_001, [late])
    assert not_written
    assert books.used(rolling(60_999, ceiling=many)) == many + 2
    assert books.used(rolling(60_999, ceiling=many)) == many + 2, "and nothing comes back twice"


def test_a_clock_that_goes_back_between_judging_and_reserving_frees_nothing() -> None:
    kept = Kept()
    books = Books(kept)
    kept.transfers += books.reserve("a", 1_500_000, [rolling(1_500_000)])
    books.forget()
    (moved,) = books.reserve("b", 1_000_000, [rolling(2_000_000)])  # judged at 2,000,000
    kept.transfers.append(moved)
    assert moved.reserved_ms == 1_940_001, "within the window that it was held against"
    for _ in range(2):  # from there on the clock swings
        assert books.used(rolling(1_560_001)) == 1
        assert books.used(rolling(1_510_000)) == 2
    books.settle("b", 1_000_001, Place.FREE)
    assert books.used(rolling(1_510_000)) == 1, "and nothing is there twice"


def test_a_refused_reservation_leaves_no_trace_of_its_moment() -> None:
    books = Books()
    with pytest.raises(LimitReached):  # while the clock is far ahead
        books.reserve("a", 10**12, [rolling(10**12), payee('"x"'), daily(101)])
    (moved,) = books.reserve("b", 2_000, [rolling(2_000)])
    assert moved.reserved_ms == 2_000
    assert books.used(payee('"y"')) == 0


def test_a_store_that_fails_while_something_is_reserved_changes_nothing() -> None:
    class Failing(Kept):
        def account(self, account: str, key: str) -> Sequence[Balance]:
            if account == AT_ONCE:
                raise OSError("disk I/O error")
            return super().account(account, key)

    books = Books(Failing())
    with pytest.raises(OSError, match="disk"):
        books.reserve("a", 1_000, [daily(60), rolling(1_000), payee('"x"'), at_once()])
    for charge in (daily(0), rolling(1_000), payee('"y"')):
        assert books.used(charge) == 0


def test_a_store_that_fails_while_a_window_goes_back_changes_nothing() -> None:
    class Failing(Kept):
        broken = False

        def since(self, account: str, key: str, since_ms: int) -> Sequence[Transfer]:
            if self.broken:
                raise OSError("disk I/O error")
            return super().since(account, key, since_ms)

    kept = Failing()
    books = Books(kept)
    kept.transfers += books.reserve("a", 200_000, [daily(60), rolling(200_000)])
    kept.broken = True
    with pytest.raises(OSError, match="disk"):
        books.reserve("b", 100_000, [daily(30), rolling(100_000)])
    kept.broken = False
    assert (books.used(daily(0)), books.used(rolling(100_000))) == (60, 1)


def test_what_is_loaded_late_still_knows_the_latest_reservation_before() -> None:
    kept = Kept()
    books = Books(kept)
    kept.transfers += books.reserve("a", 500_000, [rolling(500_000)])
    books.forget()
    assert books.used(rolling(900_000)) == 0
    (moved,) = books.reserve("b", 450_000, [rolling(450_000)])
    assert moved.reserved_ms == 500_000


def test_books_bring_back_what_they_do_not_remember() -> None:
    kept = Kept()
    books = Books(kept)
    kept.transfers += books.reserve("a", 1, [daily(60), payee('"x"')])
    books.forget()
    assert books.used(daily(0)) == 60
    assert books.used(payee('"y"')) == 1
    assert books.used(payee('"x"')) == 0
    assert not books.reserve("a", 2, [daily(60), payee('"x"')])
    kept.transfers += books.settle("a", 3, Place.POSTED, [(DAY, "", 10)])
    assert books.used(daily(0)) == 10
    asked = kept.asked
    books.used(daily(0))
    assert kept.asked == asked, "an account is loaded once"


def test_a_simulation_need_not_remember_what_is_settled() -> None:
    books = Books(keep_settled=False)
    for number in range(3):
        books.reserve(f"{number}", number, [daily(20)])
        books.settle(f"{number}", number, Place.POSTED)
    assert books.used(daily(0)) == 60
    assert not books.settle("0", 9, Place.FREE), "nothing is known of it any more"
    open_call = books.reserve("open", 9, [daily(20)])
    assert books.settle("open", 10, Place.UNKNOWN)
    assert len(open_call) == 1
    assert books.settle("open", 11, Place.FREE), "what is not settled is remembered"
    assert books.used(daily(0)) == 60


def test_a_transfer_of_what_is_not_there_is_refused() -> None:
    forged = Transfer("a", DAY, "", "", 1, 1, Place.POSTED, Place.FREE, 1)
    with pytest.raises(OurError) as damaged:
        Books().replay([forged])
    assert damaged.value.code == "books_damaged"


# --- against a naive model ------------------------------------------------------------------------

ACCOUNTS = [f"pay:limit{n}:sum:lifetime::::0000000{n}" for n in range(3)]
CEILINGS = [10, 25, 7]
WINDOW_MS = 50


class BooksMachine(RuleBasedStateMachine):
    """Random work on books that forget at random, beside a model that adds everything up."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = Kept()
        self.books = Books(self.kept, keep_old=1)
        self.now = 1_000
        self.calls = 0
        # (call, account, key, member) → [reserved at, what counts, state]
        self.model: dict[tuple[str, str, str, str], list[object]] = {}
        self.charges: dict[str, tuple[Charge, ...]] = {}

    @initialize()
    def start(self) -> None:
        self.latest: dict[tuple[str, str], int] = {}

    def _held(self, charge: Charge) -> int:
        """What counts against `charge`, the slow way."""
        total, members = 0, set()
        for (_, account, key, member), (reserved, amount, state) in self.model.items():
            assert isinstance(amount, int)
            assert isinstance(reserved, int)
            if (account, key) != (charge.account, charge.key) or not amount:
                continue
            if charge.since_ms and reserved <= charge.since_ms:
                continue
            if charge.pending_only and state == Place.POSTED:
                continue
            total += amount
            members.add(member)
        return len(members - {charge.member}) if charge.member else total

    @rule(
        amounts=st.lists(st.integers(0, 12), min_size=3, max_size=3),
        which=st.sets(st.integers(0, 5), min_size=1),
        key=st.sampled_from(["", '["x"]']),
        member=st.sampled_from(['"x"', '"y"', '"z"']),
        again=st.booleans(),
    )
    def reserve(
        self, amounts: list[int], which: set[int], key: str, member: str, again: bool
    ) -> None:
        charges = [
            Charge(f"pay@1/limit/limit{n}", ACCOUNTS[n], amounts[n], CEILINGS[n], key)
            for n in sorted(which & {0, 1, 2})
        ]
        if 3 in which:
            charges.append(payee(member))
        if 4 in which:
            charges.append(at_once(3))
        if 5 in which:
            since = max(1, self.now - WINDOW_MS)
            charges.append(Charge("pay@1/limit/rolling", ROLLING, 1, 3, since_ms=since))
        self.calls += 1
        call = f"call{self.calls}"
        fits = all(self._held(each) + each.amount <= each.ceiling for each in charges)
        try:
            made = self.books.reserve(call, self.now, charges)
        except LimitReached:
            assert not fits
            assert not self.books.settle(call, self.now, Place.POSTED)
            return
        assert fits
        assert len(made) == len(charges)
        self.kept.transfers += made
        self.charges[call] = tuple(charges)
        for each, transfer in zip(charges, made, strict=True):
            self.model[call, each.account, each.key, each.member] = [
                transfer.reserved_ms,
                each.amount,
                Place.PENDING,
            ]
        if again:
            assert not self.books.reserve(call, self.now, charges)

    @precondition(lambda self: self.charges)
    @rule(
        data=st.data(),
        to=st.sampled_from([Place.POSTED, Place.FREE, Place.UNKNOWN]),
        actual=st.one_of(st.none(), st.integers(0, 20)),
    )
    def settle(self, data: st.DataObject, to: Place, actual: int | None) -> None:
        call = data.draw(st.sampled_from(sorted(self.charges)))
        charges = self.charges[call]
        lines = [self.model[call, each.account, each.key, each.member] for each in charges]
        state = lines[0][2]
        first = charges[0]
        really = [] if actual is None else [(first.account, first.key, actual)]
        try:
            made = self.books.settle(call, self.now, to, really)
        except Conflict:
            assert (state, to) in {
                (Place.POSTED, Place.FREE),
                (Place.POSTED, Place.UNKNOWN),
                (Place.FREE, Place.UNKNOWN),
            }
            return
        self.kept.transfers += made
        if state is to:
            assert not made
            return
        for each, line in zip(charges, lines, strict=True):
            line[2] = to
            if to is Place.FREE:
                line[1] = 0
            elif to is Place.POSTED:
                line[1] = each.amount
                if actual is not None and each is first and not each.member:
                    line[1] = actual

    @rule(step=st.integers(-200, 200))
    def clock(self, step: int) -> None:
        self.now = max(1, self.now + step)

    @rule()
    def forget(self) -> None:
        self.books.forget()

    @rule()
    def trim(self) -> None:
        self.books.trim()

    @invariant()
    def used_is_what_the_model_adds_up(self) -> None:
        since = max(1, self.now - WINDOW_MS)
        probes = [
            *(Charge("r", account, 0, 1, key) for account in ACCOUNTS for key in ("", '["x"]')),
            payee('"x"'),
            payee('"other"'),
            at_once(),
            Charge("r", ROLLING, 0, 3, since_ms=since),
        ]
        for probe in probes:
            assert self.books.used(probe) == self._held(probe)

    @invariant()
    def a_rebuild_gives_the_same_books(self) -> None:
        rebuilt = Books()
        rebuilt.replay(self.kept.transfers)
        totals: dict[tuple[str, str, str], dict[Place, int]] = {}
        for each in self.kept.transfers:
            places = totals.setdefault(
                (each.account, each.key, each.member), dict.fromkeys(Place, 0)
            )
            places[each.source] -= each.amount
            places[each.target] += each.amount
        assert all(sum(places.values()) == 0 for places in totals.values())
        for account, key, balance in rebuilt.balances():
            places = totals[account, key, balance.member]
            assert balance == Balance(
                balance.member,
                places[Place.PENDING],
                places[Place.POSTED],
                places[Place.UNKNOWN],
            )
        live = {(name, key, each.member): each for name, key, each in self.books.balances()}
        for name, key, balance in rebuilt.balances():
            assert live.get((name, key, balance.member), balance) == balance


TestBooksMachine = BooksMachine.TestCase
TestBooksMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
