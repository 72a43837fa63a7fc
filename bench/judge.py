"""How long `judge` takes for one call: `python -m bench.judge`.

Each case is one judgement, prepared as a gateway prepares it, repeated in one thread. The figure
that counts is the median: this is a shared machine's processor, and its worst is not ours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.judge_flow import FLOW_CASES
from bench.judge_limits import LIMIT_CASES
from bench.judge_policies import POLICY_CASES

Judgement = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Measured:
    """Microseconds of one case."""

    name: str
    median_us: float
    p99_us: float
    goal_us: float | None


CASES: Mapping[str, tuple[Callable[[], Judgement], float | None]] = {
    **LIMIT_CASES,
    **FLOW_CASES,
    **POLICY_CASES,
}
"""By name: what prepares the judgement, and the most its median may take, in microseconds."""


def measure(name: str, repeats: int) -> Measured:
    """Time one case.

    Raises:
        KeyError: there is no such case.
    """
    prepare, goal_us = CASES[name]
    judgement = prepare()
    for _ in range(max(1, repeats // 10)):
        judgement()
    clock = time.perf_counter_ns
    taken: list[int] = []
    for _ in range(repeats):
        begun = clock()
        judgement()
        taken.append(clock() - begun)
    taken.sort()
    p99 = taken[min(len(taken) - 1, len(taken) * 99 // 100)]
    return Measured(name, statistics.median(taken) / 1000, p99 / 1000, goal_us)


def table(measured: Sequence[Measured]) -> str:
    """One line for each case."""
    lines = [f"{'median µs':>10}{'p99 µs':>10}{'goal':>8}  case"]
    for one in measured:
        goal = "" if one.goal_us is None else f"{one.goal_us:.0f}"
        mark = "" if one.goal_us is None or one.median_us <= one.goal_us else "  MISSED"
        lines.append(f"{one.median_us:>10.1f}{one.p99_us:>10.1f}{goal:>8}  {one.name}{mark}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print. Speed changes nothing about the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(CASES), help="only these cases")
    parser.add_argument("--repeats", type=int, default=5_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    measured = [measure(name, options.repeats) for name in options.only or CASES]
    if options.json:
        found = {one.name: {"median_us": one.median_us, "p99_us": one.p99_us} for one in measured}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        sys.stdout.write(table(measured) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
