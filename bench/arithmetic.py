"""The arithmetic of the benchmark: pure, and tested without a socket."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of ascending values: one that was really measured.

    Args:
        ordered: at least one value, ascending.
        percent: 0 < percent <= 100.
    """
    if not ordered:
        raise ValueError("no values")
    if not 0 < percent <= 100:
        raise ValueError(f"not a percentage: `{percent}`")
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def median(values: Sequence[float]) -> float:
    """The middle of the values; the mean of the two in the middle for an even number."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


def interleaved(baseline: T, targets: Sequence[T], rounds: int) -> Iterator[tuple[int, T, T]]:
    """The order of measuring: (round, baseline, target), each target right after the baseline.

    Every other round runs backwards, so that no target always follows the same neighbour.
    """
    for number in range(rounds):
        for target in targets if number % 2 == 0 else reversed(targets):
            yield number, baseline, target


def change_percent(old: float, new: float) -> float | None:
    """How much `new` is above `old`, in percent; None when `old` is 0."""
    return None if old == 0 else (new - old) / old * 100


def is_flat(samples: Sequence[tuple[int, float]], tolerance: float, slack: float) -> bool:
    """Whether the second half of a series grew by no more than `tolerance` (a share) + `slack`.

    Args:
        samples: (calls done, mebibytes), ascending in calls. The first half is warming up: caches
            and pools fill, and say nothing about what a longer run would need.
    """
    if len(samples) < 4:
        raise ValueError("a trend needs at least four samples")
    half = samples[-1][0] / 2
    late = [value for calls, value in samples if calls >= half]
    return late[-1] <= late[0] * (1 + tolerance) + slack
