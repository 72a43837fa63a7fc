"""The results of model calls as tables for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.measure import Row
from bench.models.measure import ModelMeasured
from bench.models.wire import KINDS

_HEADING = (
    f"  {'':<22}{'calls/s':>10}{'of direct':>11}{'p50 ms':>9}{'added':>9}{'p99 ms':>9}"
    f"{'first ms':>10}{'added':>9}{'CPU s/1,000':>13}"
)
_PACE_HEADING = (
    f"  {'':<22}{'streams':>10}{'p50 ms':>9}{'p99 ms':>9}{'most ms':>9}{'held back':>11}{'lost':>7}"
)


def table(measured: Sequence[ModelMeasured]) -> str:
    """By kind and number of connections; then how streams keep their pace; then each target."""
    lines: list[str] = []
    for kind in KINDS:
        found = {row.connections for result in measured for row in result.of_kind.get(kind, [])}
        for connections in sorted(found):
            lines += ["", f"{kind}, c = {connections}", _HEADING]
            rows = [result.of(kind, connections) for result in measured]
            lines += [_line(row) for row in rows if row is not None]
    if any(result.paced for result in measured):
        lines += ["", "a piece every 10 ms: from its sending to the client", _PACE_HEADING]
        lines += [
            f"  {result.target:<22}{each.connections:>10}{each.p50_ms:>9.2f}{each.p99_ms:>9.2f}"
            f"{each.most_ms:>9.2f}{each.held:>11}{each.wanted - each.pieces:>7}"
            for result in measured
            for each in result.paced
        ]
    lines += [
        "",
        f"{'':<24}{'first call':>12}{'RSS, started':>14}{'RSS, after':>12}"
        f"{'64 long streams':>17}{'calls':>10}",
    ]
    lines += [_about(result) for result in measured]
    return "\n".join(lines).lstrip("\n")


def _line(row: Row) -> str:
    return (
        f"  {row.target:<22}{row.requests_per_second:>10,.0f}{row.of_direct:>11.0%}"
        f"{row.p50_ms:>9.2f}{row.added_p50_ms:>+9.2f}{row.p99_ms:>9.2f}"
        f"{_or_dash(row.first_p50_ms, '.2f'):>10}{_or_dash(row.added_first_p50_ms, '+.2f'):>9}"
        f"{row.cpu_seconds_per_1000:>13.3f}" + (f"  {row.errors} errors" if row.errors else "")
    )


def _about(result: ModelMeasured) -> str:
    if result.skipped:
        return f"{result.target:<24}  not measured: {result.skipped.strip().splitlines()[0][:160]}"
    return (
        f"{result.target:<24}{_or_dash(result.first_call_seconds, '.2f', ' s'):>12}"
        f"{_or_dash(result.resident_mib_started, '.0f', ' MiB'):>14}"
        f"{_or_dash(result.resident_mib_after, '.0f', ' MiB'):>12}"
        f"{_or_dash(result.long_peak_mib, '.0f', ' MiB'):>17}{result.calls:>10,}"
    )


def _or_dash(value: float | None, style: str, unit: str = "") -> str:
    return "–" if value is None or math.isnan(value) else f"{value:{style}}{unit}"
