"""The measuring: each target right after `direct`, round by round, so that both saw one machine."""

from __future__ import annotations

import http.client
import itertools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.arithmetic import interleaved, median
from bench.load import Load, drive
from bench.processes import NotRunning
from bench.targets import Site, Started, Target, Unavailable
from bench.wire import FIRST_NUMBER

DIRECT = "direct"
CONNECTIONS = (1, 8, 64, 256)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure.

    Attributes:
        requests: for each measurement; a quarter of it at one connection.
        seconds: ends a measurement that would take longer.
    """

    connections: tuple[int, ...] = CONNECTIONS
    rounds: int = 3
    requests: int = 20_000
    seconds: float = 2.0
    warm_up_requests: int = 2_000

    def requests_for(self, connections: int) -> int:
        return self.requests if connections > 1 else max(1, self.requests // 4)


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement of one target in one round."""

    target: str
    connections: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    good: int
    errors: int
    first_error: str
    cpu_seconds: float
    first_p50_ms: float = math.nan


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the medians over the rounds.

    Attributes:
        added_p50_ms: median over the rounds of (p50 of the target - p50 of direct just before).
        of_direct: the share of direct's throughput, likewise.
        cpu_seconds_per_1000: of the target's processes.
        first_p50_ms, added_first_p50_ms: to the first piece of a streamed answer.
    """

    target: str
    connections: int
    requests_per_second: float
    of_direct: float
    p50_ms: float
    added_p50_ms: float
    p99_ms: float
    cpu_seconds_per_1000: float
    good: int
    errors: int
    first_p50_ms: float = math.nan
    added_first_p50_ms: float = math.nan


@dataclass(slots=True)
class Measured:
    """One target's results. `skipped` says why there are none."""

    target: str
    about: str
    governs: bool = False
    skipped: str = ""
    rows: list[Row] = field(default_factory=list)
    first_call_seconds: float | None = None
    resident_mib_started: float | None = None
    resident_mib_after: float | None = None
    calls: int = 0
    errors: int = 0
    first_error: str = ""

    def row(self, connections: int) -> Row | None:
        return next((row for row in self.rows if row.connections == connections), None)

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def upstream_calls(port: int) -> int:
    """How many tool calls have reached the fast upstream."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/count")
        return int(json.loads(connection.getresponse().read())["calls"])
    finally:
        connection.close()


_numbers = itertools.count(FIRST_NUMBER)
"""Where the next measurement starts to number its calls: none repeats another's."""


def take(name: str, started: Started, connections: int, requests: int, seconds: float) -> Point:
    """Measure once."""
    endpoint = started.endpoint
    templates = endpoint.templates(connections)
    first = next(itertools.islice(_numbers, requests - 1, None)) - requests + 1
    load = Load(
        endpoint.port,
        templates,
        connections,
        requests,
        seconds,
        first_number=first,
        pieces=endpoint.pieces,
    )
    before = started.watched.cpu_seconds()
    sample = drive(load)
    spent = started.watched.cpu_seconds() - before
    p50, p99 = sample.milliseconds(50, 99)
    return Point(
        target=name,
        connections=connections,
        requests_per_second=sample.requests_per_second(),
        p50_ms=p50,
        p99_ms=p99,
        good=sample.good,
        errors=sample.errors,
        first_error=sample.first_error,
        cpu_seconds=spent,
        first_p50_ms=sample.first_milliseconds(50)[0],
    )


def summarize(pairs: Sequence[tuple[Point, Point]]) -> Row:
    """One row from (direct, target) of each round. At least one pair."""
    points = [target for _, target in pairs]
    good = sum(point.good for point in points)
    return Row(
        target=points[0].target,
        connections=points[0].connections,
        requests_per_second=median([point.requests_per_second for point in points]),
        of_direct=median([b.requests_per_second / (a.requests_per_second or 1) for a, b in pairs]),
        p50_ms=median([point.p50_ms for point in points]),
        added_p50_ms=median([b.p50_ms - a.p50_ms for a, b in pairs]),
        p99_ms=median([point.p99_ms for point in points]),
        cpu_seconds_per_1000=sum(p.cpu_seconds for p in points) / good * 1000 if good else math.nan,
        good=good,
        errors=sum(point.errors for point in points),
        first_p50_ms=median([point.first_p50_ms for point in points]),
        added_first_p50_ms=median([b.first_p50_ms - a.first_p50_ms for a, b in pairs]),
    )


class Bench:
    """One run of the benchmark over one upstream."""

    def __init__(self, upstream: Started, folder: Path, say: Callable[[str], None]) -> None:
        self._upstream = upstream
        self._folder = folder
        self._say = say
        self.direct = Measured(DIRECT, "the load generator straight at the upstream")
        self._direct_pairs: dict[int, list[tuple[Point, Point]]] = {}

    def site(self, name: str) -> Site:
        """A fresh scratch folder for a target."""
        folder = self._folder / "".join(c if c.isalnum() else "-" for c in name)
        for number in range(1_000):
            fresh = folder.with_name(f"{folder.name}-{number}")
            if not fresh.exists():
                fresh.mkdir(parents=True)
                return Site(fresh, self._upstream.endpoint.port)
        raise RuntimeError(f"too many sites for `{name}`")

    def measure(self, targets: Iterable[Target], plan: Plan) -> list[Measured]:
        """Start the targets together, measure them interleaved, stop them."""
        measured, running = [], []
        try:
            for target in targets:
                result = Measured(target.name, target.about, target.governs)
                measured.append(result)
                started = self._start(target, result)
                if started is not None:
                    running.append((result, started))
            for connections in plan.connections:
                self._measure_at(connections, running, plan)
            for result, started in running:
                result.resident_mib_after = started.watched.resident_mib()
        finally:
            for _, started in running:
                started.watched.stop()
        return measured

    def _start(self, target: Target, result: Measured) -> Started | None:
        try:
            started = target.start(self.site(target.name))
        except (Unavailable, NotRunning) as why:
            result.skipped = str(why)
            self._say(f"{target.name}: skipped: {why}")
            return None
        result.first_call_seconds = started.first_call_seconds
        result.resident_mib_started = started.watched.resident_mib()
        self._say(f"{target.name}: first call after {started.first_call_seconds:.2f} s")
        return started

    def _measure_at(
        self, connections: int, running: Sequence[tuple[Measured, Started]], plan: Plan
    ) -> None:
        direct = (self.direct, self._upstream)
        requests = plan.requests_for(connections)
        for _, started in running:
            take("warm-up", started, connections, plan.warm_up_requests, plan.seconds)
        pairs: dict[str, list[tuple[Point, Point]]] = {}
        for _, base, (result, started) in interleaved(direct, running, plan.rounds):
            before = take(DIRECT, base[1], connections, requests, plan.seconds)
            reached = upstream_calls(self._upstream.endpoint.port)
            point = take(result.target, started, connections, requests, plan.seconds)
            reached = upstream_calls(self._upstream.endpoint.port) - reached
            account(self.direct, before, before.good)
            account(result, point, reached)
            pairs.setdefault(result.target, []).append((before, point))
            self._direct_pairs.setdefault(connections, []).append((before, before))
        for result, _ in running:
            result.rows.append(summarize(pairs[result.target]))
            self._say(one_line(result.rows[-1]))

    def finish(self) -> Measured:
        """Direct's own rows, from all its measurements."""
        self.direct.rows = [summarize(pairs) for _, pairs in sorted(self._direct_pairs.items())]
        self.direct.resident_mib_after = self._upstream.watched.resident_mib()
        return self.direct


def account(result: Measured, point: Point, reached: int) -> None:
    """Add a measurement to a target's totals. Answers that never reached anybody are errors."""
    errors, first = point.errors, point.first_error
    if reached < point.good:
        errors += point.good - reached
        first = first or f"{point.good} answers, but {reached} calls reached the upstream"
    result.calls += point.good
    result.errors += errors
    result.first_error = result.first_error or first


def one_line(row: Row) -> str:
    """A row as it is printed while the run goes on."""
    return (
        f"  c={row.connections:<4} {row.target:<22} {row.requests_per_second:>9,.0f}/s "
        f"p50 {row.p50_ms:.2f} (+{row.added_p50_ms:.2f}) p99 {row.p99_ms:.2f} ms"
        + (f"  {row.errors} ERRORS" if row.errors else "")
    )
