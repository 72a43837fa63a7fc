"""A governed call taken apart: at one connection and at sixty-four, with and without fsync."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.measure import Bench, take
from bench.processes import NotRunning
from bench.stages import STAGES, per_call_us
from bench.targets import Unavailable, gateway

_CALLS = 10_000
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One process, one load.

    Attributes:
        stages_us: microseconds for one governed call, by stage.
        client_us: median as the caller sees it.
        cpu_us: of the whole process, for one call.
    """

    fsync: bool
    connections: int
    stages_us: dict[str, float]
    client_us: float
    cpu_us: float

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def breakdowns(bench: Bench, say: Callable[[str], None]) -> list[Breakdown]:
    """All four. Empty, with the reason said, when the gateway does not run."""
    found = []
    for fsync in (True, False):
        for connections in (1, 64):
            try:
                found.append(take_apart(bench, fsync, connections))
            except (Unavailable, NotRunning) as why:
                say(f"stages: skipped: {why}")
                return found
    return found


def take_apart(bench: Bench, fsync: bool, connections: int, calls: int = _CALLS) -> Breakdown:
    """One of them. Raises Unavailable, NotRunning."""
    site = bench.site("stages")
    out = site.folder / "stages.json"
    command = [sys.executable, "-m", "bench.stages", str(out)]
    started = gateway(*(() if fsync else ("--no-fsync",)), command=command)(site)
    out.unlink(missing_ok=True)  # the first start has written one too
    try:
        point = take("stages", started, connections, calls, _SECONDS)
    finally:
        started.watched.stop()
    if not out.exists():
        raise NotRunning(f"it left no figures: {started.watched.last_words()}")
    return Breakdown(
        fsync=fsync,
        connections=connections,
        stages_us=per_call_us(json.loads(out.read_text())),
        client_us=point.p50_ms * 1000,
        cpu_us=point.cpu_seconds / point.good * 1e6 if point.good else 0.0,
    )


def stage_table(found: list[Breakdown]) -> str:
    """One row for each stage, one column for each load; microseconds for one call."""
    heads = [f"c={b.connections}, fsync {'on' if b.fsync else 'off'}" for b in found]
    lines = [f"  {'microseconds for one call':<42}" + "".join(f"{head:>18}" for head in heads)]
    for stage in STAGES:
        figures = "".join(f"{b.stages_us.get(stage.name, 0.0):>18,.0f}" for b in found)
        lines.append(f"  {stage.name + (' (time passed)' if stage.waits else ''):<42}{figures}")
    lines.append(
        f"  {'seen by the caller, median':<42}" + "".join(f"{b.client_us:>18,.0f}" for b in found)
    )
    lines.append(f"  {'CPU, whole process':<42}" + "".join(f"{b.cpu_us:>18,.0f}" for b in found))
    return "\n".join(lines)
