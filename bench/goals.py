"""What is aimed at, beside what was measured. Shown, never tested: machines differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.measure import Measured
from bench.soak import Soak
from bench.targets import (
    BAILIWICK,
    BAILIWICK_NO_FSYNC,
    COMPILED,
    COMPILED_NO_FSYNC,
    LIMITED,
    LIMITED_COMPILED,
    LIMITED_COMPILED_NO_FSYNC,
    LIMITED_NO_FSYNC,
)

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Goal:
    """One aim and where it stands. `met` is None when this run did not measure it."""

    aim: str
    measured: str
    met: bool | None


def goals(measured: Mapping[str, Measured], soak: Soak | None) -> list[Goal]:
    """The aims of the first issue, in its order, and those for limits.

    They are held to the compiled wheel; what the sources reach as they are stands beside.
    """
    return [
        beside(
            _throughput(measured.get(COMPILED), 5_000, "fsync on"),
            _throughput(measured.get(BAILIWICK), 5_000, "fsync on"),
        ),
        beside(
            _throughput(measured.get(COMPILED_NO_FSYNC), 10_000, "fsync off"),
            _throughput(measured.get(BAILIWICK_NO_FSYNC), 10_000, "fsync off"),
        ),
        beside(
            _added(measured.get(COMPILED_NO_FSYNC), 0.5),
            _added(measured.get(BAILIWICK_NO_FSYNC), 0.5),
        ),
        beside(_start(measured.get(COMPILED), 1.5), _start(measured.get(BAILIWICK), 1.5)),
        _memory(soak, 120.0),
        beside(
            _limited(measured.get(LIMITED_COMPILED), measured.get(COMPILED), 5_000, "fsync on"),
            _limited(measured.get(LIMITED), measured.get(BAILIWICK), 5_000, "fsync on"),
        ),
        beside(
            _limited(
                measured.get(LIMITED_COMPILED_NO_FSYNC),
                measured.get(COMPILED_NO_FSYNC),
                10_000,
                "fsync off",
            ),
            _limited(
                measured.get(LIMITED_NO_FSYNC),
                measured.get(BAILIWICK_NO_FSYNC),
                10_000,
                "fsync off",
            ),
        ),
    ]


def beside(compiled: Goal, sources: Goal) -> Goal:
    """What the compiled wheel reaches, with what the sources do."""
    if sources.met is None:
        return compiled
    return Goal(compiled.aim, f"{compiled.measured} ({sources.measured} as sources)", compiled.met)


def _throughput(result: Measured | None, least: int, how: str) -> Goal:
    aim = f"c=64: at least {least:,} governed calls/s, {how}"
    row = result.row(64) if result else None
    if row is None:
        return Goal(aim, "not measured", None)
    return Goal(aim, f"{row.requests_per_second:,.0f}/s", row.requests_per_second >= least)


def _added(result: Measured | None, most_ms: float) -> Goal:
    aim = f"c=1: at most {most_ms} ms added at the median, fsync off"
    row = result.row(1) if result else None
    if row is None or math.isnan(row.added_p50_ms):
        return Goal(aim, "not measured", None)
    return Goal(aim, f"{row.added_p50_ms:.2f} ms", row.added_p50_ms <= most_ms)


def _limited(limited: Measured | None, plain: Measured | None, least: int, how: str) -> Goal:
    """Throughput with four limits a call, and what share that is of the same run without."""
    aim = f"c=64: the same with four limits and three mandates a call, {how}"
    row, other = (result.row(64) if result else None for result in (limited, plain))
    if row is None:
        return Goal(aim, "not measured", None)
    found = f"{row.requests_per_second:,.0f}/s"
    if other is not None and other.requests_per_second:
        found += f", {row.requests_per_second / other.requests_per_second:.0%} of without"
    return Goal(aim, found, row.requests_per_second >= least)


def _start(result: Measured | None, most_seconds: float) -> Goal:
    aim = f"start to first governed call: at most {most_seconds} s"
    seconds = result.first_call_seconds if result else None
    if seconds is None:
        return Goal(aim, "not measured", None)
    return Goal(aim, f"{seconds:.2f} s", seconds <= most_seconds)


def _memory(soak: Soak | None, most_mib: float) -> Goal:
    aim = f"resident memory under {most_mib:.0f} MB after a million calls, flat"
    if soak is None:
        return Goal(aim, "not measured", None)
    trend = "flat" if soak.flat else "growing"
    found = f"{soak.last_mib:.0f} MB after {soak.calls:,} calls, {trend}"
    enough = soak.calls >= MILLION
    return Goal(aim, found, soak.flat and soak.last_mib < most_mib if enough else None)
