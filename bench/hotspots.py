"""Where the interpreter spends a governed call: `cProfile` of the gateway, by file.

A profiler slows small Python functions down more than it slows C, so these are shares to look
at, not times to report; a change is believed when the table of `python -m bench` shows it.
"""

from __future__ import annotations

import marshal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Bench, take
from bench.processes import NotRunning
from bench.stages import PROFILE_VARIABLE
from bench.targets import Unavailable, gateway

_CALLS = 10_000
_SECONDS = 60.0
_ROWS = 30

Function = tuple[str, int, str]
"""File, line, name, as `pstats` has them; built-in functions have the file `~`."""

Entry = tuple[int, int, float, float, Mapping[Function, tuple[int, int, float, float]]]
"""Primitive calls, calls, own seconds, seconds with callees, and the same by caller."""


@dataclass(frozen=True, slots=True)
class Hotspot:
    """One file's part. `calls` are calls of its functions, and theirs of built-in ones."""

    file: str
    share: float
    calls: float


def hotspots(bench: Bench, say: Callable[[str], None]) -> list[Hotspot]:
    """Profile the gateway at sixty-four connections, fsync off. Empty when it does not run."""
    site = bench.site("hotspots")
    stats = site.folder / "profile"
    environment = {PROFILE_VARIABLE: str(stats)}
    command = [sys.executable, "-m", "bench.stages", str(site.folder / "unused.json")]
    try:
        started = gateway("--no-fsync", command=command, env=environment)(site)
    except (Unavailable, NotRunning) as why:
        say(f"hotspots: skipped: {why}")
        return []
    stats.unlink(missing_ok=True)  # the first start has written one too
    try:
        point = take("hotspots", started, 64, _CALLS, _SECONDS)
    finally:
        started.watched.stop()
    return by_file(read_stats(stats), point.good)


def read_stats(path: Path) -> dict[Function, Entry]:
    """What `cProfile.Profile.dump_stats` has written."""
    found: dict[Function, Entry] = marshal.loads(path.read_bytes())
    return found


def by_file(stats: Mapping[Function, Entry], governed: int) -> list[Hotspot]:
    """Own time by file, most first; that of built-in functions goes to their callers."""
    seconds: defaultdict[str, float] = defaultdict(float)
    calls: Counter[str] = Counter()
    for (file, _, _), (_, count, own, _, callers) in stats.items():
        if file != "~":
            seconds[short(file)] += own
            calls[short(file)] += count
            continue
        for (caller, _, _), (_, times, spent, _) in callers.items():
            seconds[short(caller)] += spent
            calls[short(caller)] += times
    whole = sum(seconds.values()) or 1.0
    most = sorted(seconds.items(), key=lambda item: item[1], reverse=True)[:_ROWS]
    return [Hotspot(file, own / whole, calls[file] / max(1, governed)) for file, own in most]


def short(file: str) -> str:
    """A file's name without what differs between machines."""
    for mark in ("/site-packages/", "/src/", "/lib/"):
        if mark in file:
            return file.rpartition(mark)[2]
    return file


def hotspot_table(found: list[Hotspot]) -> str:
    """One line for each file."""
    lines = [f"  {'share':>7}{'function calls for one governed call':>40}"]
    lines += [f"  {spot.share:>7.1%}{spot.calls:>10.1f}  {spot.file}" for spot in found]
    return "\n".join(lines)
