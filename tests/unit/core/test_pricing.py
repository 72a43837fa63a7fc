"""What models cost, exactly."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.core.limits.limit import SUM_SCALE
from bailiwick.core.limits.pricing import NO_SIZE, Price, Size, Terms, cost, most

GPT = Price("USD", 2_500_000, 1_250_000, 2_500_000, 10_000_000, 10_000_000)
"""2.50 USD, 1.25 from the cache, 10 of output."""

_TOKENS = st.integers(0, 10**12)
_PRICES = st.integers(0, 10**10)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    return Price("USD", *(draw(_PRICES) for _ in range(5)))


def test_each_sort_of_token_has_its_price() -> None:
    # 40 fresh, 60 from the cache, 10 of output
    assert cost(GPT, 100, 10, cached=60) == 40 * 2.5 + 60 * 1.25 + 10 * 10
    assert cost(GPT, 0, 0) == 0


def test_a_part_of_a_step_is_a_whole_one_and_parts_are_added_up_first() -> None:
    price = Price("USD", 1, 1, 1, 1, 1)
    assert cost(price, 1, 0) == 1
    assert cost(price, 500_000, 500_000) == 1
    assert cost(price, 500_000, 500_001) == 2


def test_a_model_without_a_price_of_output_has_a_cost_as_long_as_it_says_nothing() -> None:
    embeds = Price("USD", 20_000, 20_000, 20_000, None, None)
    assert (cost(embeds, 100, 0), most(embeds, 100, 0)) == (2, 2)
    assert (cost(embeds, 100, 1), most(embeds, 100, 1)) == (None, None)


def test_counts_that_do_not_fit_each_other_cost_as_much_as_the_dearest() -> None:
    price = Price("USD", 2_000_000, 1_000_000, 4_000_000, 10_000_000, 20_000_000)
    assert cost(price, 100, 0, cached=101) == 400
    assert cost(price, 100, 0, cached=60, cache_written=41) == 400
    assert cost(price, 0, 10, reasoning=11) == 200
    assert cost(price, 0, 10, reasoning=10) == 200
    assert cost(price, 0, 10, reasoning=9) == 190


@given(prices(), _TOKENS, _TOKENS, _TOKENS, _TOKENS, _TOKENS)
def test_nothing_costs_more_than_what_is_reserved_for_it(
    price: Price, into: int, out: int, cached: int, written: int, thought: int
) -> None:
    bound, spent = most(price, into, out), cost(price, into, out, cached, written, thought)
    assert bound is not None
    assert spent is not None
    assert 0 <= spent <= bound


@given(prices(), _TOKENS, _TOKENS)
def test_it_is_the_exact_sum_rounded_up_once(price: Price, into: int, out: int) -> None:
    million = Decimal(10) ** 6
    assert price.output is not None
    exact = (
        (Decimal(into) * price.input + Decimal(out) * price.output) / SUM_SCALE / million
    ) * SUM_SCALE
    assert cost(price, into, out) == int(exact.to_integral_value(ROUND_CEILING))


def test_the_first_pattern_that_fits_counts_and_case_does_too() -> None:
    dear, cheap = GPT, Price("USD", 1, 1, 1, 1, 1)
    terms = Terms((("gpt-4o", cheap), ("gpt-4*", dear)), (("gpt-*", Size(100)),))
    assert terms.of("gpt-4o") == (cheap, Size(100))
    assert terms.of("gpt-4o-2026") == (dear, Size(100))
    assert terms.of("gpt-5") == (None, Size(100))
    assert terms.of("GPT-4o") == (None, NO_SIZE)
    assert terms.of("gpt-4o") == (cheap, Size(100)), "as before"
