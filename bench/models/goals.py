"""What is aimed at for model calls, beside what was measured. Shown, never tested."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.goals import Goal, beside
from bench.models.measure import ModelMeasured
from bench.models.targets import LITELLM, PORTKEY
from bench.models.wire import STREAMED, WHOLE
from bench.targets import BAILIWICK, BAILIWICK_NO_FSYNC, COMPILED, COMPILED_NO_FSYNC


def goals(measured: Mapping[str, ModelMeasured]) -> list[Goal]:
    """The aims of the issue of the model edge, in its order.

    They are held to the compiled wheel; what the sources reach as they are stands beside.
    """
    compiled = _of(measured, measured.get(COMPILED), measured.get(COMPILED_NO_FSYNC))
    sources = _of(measured, measured.get(BAILIWICK), measured.get(BAILIWICK_NO_FSYNC))
    return [beside(*pair) for pair in zip(compiled, sources, strict=True)]


def _of(
    measured: Mapping[str, ModelMeasured],
    ours: ModelMeasured | None,
    quick: ModelMeasured | None,
) -> list[Goal]:
    """Where one build of ours stands, `quick` with fsync off."""
    return [
        _times(ours, measured.get(LITELLM), 25.0, WHOLE),
        _times(ours, measured.get(LITELLM), 25.0, STREAMED),
        _times(ours, measured.get(PORTKEY), 2.0, WHOLE),
        _times(ours, measured.get(PORTKEY), 2.0, STREAMED),
        _added(quick, 1.5),
        _first(quick, 1.0),
        _held_back(ours),
    ]


def _times(
    ours: ModelMeasured | None, theirs: ModelMeasured | None, least: float, kind: str
) -> Goal:
    aim = (
        f"c=64, {kind}: at least {least:g} times {theirs.target if theirs else 'a peer'}'s calls/s"
    )
    row, other = (each.of(kind, 64) if each else None for each in (ours, theirs))
    if row is None or other is None or not other.requests_per_second:
        return Goal(aim, "not measured", None)
    found = row.requests_per_second / other.requests_per_second
    words = f"{row.requests_per_second:,.0f}/s to {other.requests_per_second:,.0f}/s: {found:.1f}"
    return Goal(aim, words, found >= least)


def _added(result: ModelMeasured | None, most_ms: float) -> Goal:
    aim = f"c=1, whole: at most {most_ms:g} ms added at the median, fsync off"
    row = result.of(WHOLE, 1) if result else None
    if row is None or math.isnan(row.added_p50_ms):
        return Goal(aim, "not measured", None)
    return Goal(aim, f"{row.added_p50_ms:.2f} ms", row.added_p50_ms <= most_ms)


def _first(result: ModelMeasured | None, most_ms: float) -> Goal:
    aim = f"c=1, streamed: less than {most_ms:g} ms added to the first piece, fsync off"
    row = result.of(STREAMED, 1) if result else None
    if row is None or math.isnan(row.added_first_p50_ms):
        return Goal(aim, "not measured", None)
    return Goal(aim, f"{row.added_first_p50_ms:.2f} ms", row.added_first_p50_ms < most_ms)


def _held_back(result: ModelMeasured | None) -> Goal:
    aim = "no piece of a stream held back until the next"
    if result is None or not result.paced:
        return Goal(aim, "not measured", None)
    held = sum(each.held for each in result.paced)
    lost = sum(each.wanted - each.pieces for each in result.paced)
    most = max(each.most_ms for each in result.paced)
    words = f"{held} held back, {lost} lost, the slowest after {most:.1f} ms"
    return Goal(aim, words, held == lost == 0)
