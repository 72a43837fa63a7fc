"""The benchmark's own arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.arithmetic import change_percent, interleaved, is_flat, median, percentile
from bench.measure import Point, summarize

values = st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=200)


def _point(target: str, rate: float, p50: float, good: int = 100, cpu: float = 0.0) -> Point:
    return Point(target, 64, rate, p50, p50 * 2, good, 0, "", cpu)


def test_a_percentile_is_the_nearest_rank() -> None:
    ordered = [float(n) for n in range(1, 101)]
    assert percentile(ordered, 50) == 50
    assert percentile(ordered, 99) == 99
    assert percentile(ordered, 100) == 100
    assert percentile(ordered, 0.1) == 1
    assert percentile([7.0], 99) == 7


@given(values, st.floats(min_value=0.01, max_value=100))
def test_a_percentile_is_a_measured_value_with_enough_below_it(
    measured: list[float], percent: float
) -> None:
    ordered = sorted(measured)
    found = percentile(ordered, percent)
    assert found in ordered
    below = sum(1 for value in ordered if value <= found)
    assert below >= len(ordered) * percent / 100 - 1e-9


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_what_is_no_percentage_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="not a percentage"):
        percentile([1.0], percent)


def test_nothing_has_no_percentile_and_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_the_median_is_the_middle_or_the_mean_of_two() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5


@given(values)
def test_one_wild_round_of_three_does_not_move_the_median_out_of_the_others(
    measured: list[float],
) -> None:
    calm = measured[0]
    assert median([calm, calm + 1, math.inf]) == calm + 1


def test_each_target_is_measured_right_after_the_baseline_and_the_order_turns() -> None:
    order = list(interleaved("direct", ["a", "b", "c"], 2))
    assert order == [
        (0, "direct", "a"),
        (0, "direct", "b"),
        (0, "direct", "c"),
        (1, "direct", "c"),
        (1, "direct", "b"),
        (1, "direct", "a"),
    ]


def test_a_summary_adds_within_each_round_and_only_then_takes_the_median() -> None:
    # The machine was half as fast in round two: medians of columns would mix the rounds.
    pairs = [
        (_point("direct", 1000, 1.0), _point("x", 500, 2.0)),
        (_point("direct", 500, 2.0), _point("x", 250, 3.0)),
        (_point("direct", 1000, 1.0), _point("x", 500, 2.0)),
    ]
    row = summarize(pairs)
    assert row.added_p50_ms == 1.0
    assert row.of_direct == 0.5
    assert row.requests_per_second == 500
    assert row.good == 300


def test_cpu_is_counted_over_all_good_calls_of_all_rounds() -> None:
    direct = _point("direct", 1000, 1.0)
    row = summarize(
        [
            (direct, _point("x", 1, 1.0, good=1_000, cpu=1.0)),
            (direct, _point("x", 1, 1.0, good=3_000, cpu=1.0)),
        ]
    )
    assert row.cpu_seconds_per_1000 == pytest.approx(0.5)


def test_a_target_without_one_good_call_has_no_cpu_figure() -> None:
    row = summarize([(_point("direct", 1, 1.0), _point("x", 0, math.nan, good=0))])
    assert math.isnan(row.cpu_seconds_per_1000)


def test_change_is_relative_to_what_was() -> None:
    assert change_percent(100, 150) == 50
    assert change_percent(100, 50) == -50
    assert change_percent(0, 50) is None


def test_memory_that_fills_early_and_stays_is_flat() -> None:
    assert is_flat([(0, 40.0), (25, 70.0), (50, 80.0), (75, 80.5), (100, 81.0)], 0.05, 2)


def test_memory_that_grows_with_the_calls_is_not_flat() -> None:
    assert not is_flat([(n * 10, 40.0 + n * 4) for n in range(11)], 0.05, 2)


def test_a_trend_is_not_made_of_three_samples() -> None:
    with pytest.raises(ValueError, match="four samples"):
        is_flat([(0, 1.0), (1, 1.0), (2, 1.0)], 0.05, 2)
