"""The measuring of model calls: each target right after `direct`, round by round."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.arithmetic import interleaved
from bench.measure import (
    DIRECT,
    Bench,
    Measured,
    Point,
    Row,
    account,
    one_line,
    summarize,
    take,
    upstream_calls,
)
from bench.models.pace import Pace, pace
from bench.models.wire import KINDS, LARGE, LONG, LONG_PIECES, ModelEndpoint
from bench.processes import NotRunning
from bench.targets import Started, Target, Unavailable

CONNECTIONS = (1, 8, 64)
LARGE_CONNECTIONS = (8,)
LONG_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """How much to measure.

    Attributes:
        requests, seconds: for each measurement: whichever is reached first.
        direct_seconds: the same for `direct`, which is there to divide by.
        paced_streams: on each connection. 0 for none of the paced and the long streams.
    """

    kinds: tuple[str, ...] = KINDS
    connections: tuple[int, ...] = CONNECTIONS
    rounds: int = 3
    requests: int = 20_000
    seconds: float = 2.0
    direct_seconds: float = 0.7
    warm_up_seconds: float = 0.5
    paced_streams: int = 2

    def connections_for(self, kind: str) -> tuple[int, ...]:
        if kind != LARGE:
            return self.connections
        return tuple(each for each in self.connections if each in LARGE_CONNECTIONS)


@dataclass(slots=True)
class ModelMeasured(Measured):
    """One target's results.

    Attributes:
        rows: of all kinds are in `of_kind`; those of the base class stay empty.
        paced: with one stream at a time and with eight.
        long_peak_mib: most resident memory while 64 streams of 256 KiB passed.
    """

    of_kind: dict[str, list[Row]] = field(default_factory=dict)
    paced: list[Pace] = field(default_factory=list)
    long_peak_mib: float | None = None

    def of(self, kind: str, connections: int) -> Row | None:
        rows = self.of_kind.get(kind, [])
        return next((row for row in rows if row.connections == connections), None)


Running = tuple[ModelMeasured, Started]


class ModelBench:
    """One run over one fast model server."""

    def __init__(self, bench: Bench, upstream: Started, say: Callable[[str], None]) -> None:
        self._bench = bench
        self._upstream = upstream
        self._say = say
        self.direct = ModelMeasured(DIRECT, "the load generator straight at the model server")

    def measure(self, targets: Sequence[Target], plan: ModelPlan) -> list[ModelMeasured]:
        """Start the targets together, measure them interleaved, stop them."""
        measured: list[ModelMeasured] = []
        running: list[Running] = []
        try:
            for target in targets:
                result = ModelMeasured(target.name, target.about, target.governs)
                measured.append(result)
                started = self._start(target, result)
                if started is not None:
                    running.append((result, started))
            for kind in plan.kinds:
                for connections in plan.connections_for(kind):
                    self._at(kind, connections, running, plan)
            if plan.paced_streams:
                self._paced(running, plan.paced_streams)
            for result, started in running:
                result.resident_mib_after = started.watched.resident_mib()
            if plan.paced_streams:
                self._long(running)
        finally:
            for _, started in running:
                started.watched.stop()
        return [self.direct, *measured]

    def _start(self, target: Target, result: ModelMeasured) -> Started | None:
        try:
            started = target.start(self._bench.site(target.name))
        except (Unavailable, NotRunning) as why:
            result.skipped = str(why)
            self._say(f"{target.name}: skipped: {why}")
            return None
        result.first_call_seconds = started.first_call_seconds
        result.resident_mib_started = started.watched.resident_mib()
        self._say(f"{target.name}: first call after {started.first_call_seconds:.2f} s")
        return started

    def _at(self, kind: str, connections: int, running: Sequence[Running], plan: ModelPlan) -> None:
        self._say(f"{kind}, c={connections}")
        base = (self.direct, of_kind(self._upstream, kind))
        these = [(result, of_kind(started, kind)) for result, started in running]
        pairs: dict[str, list[tuple[Point, Point]]] = {}
        port = self._upstream.endpoint.port
        for _, started in these:
            take("warm-up", started, connections, plan.requests, plan.warm_up_seconds)
        for _, (direct, straight), (result, started) in interleaved(base, these, plan.rounds):
            before = take(DIRECT, straight, connections, plan.requests, plan.direct_seconds)
            reached = upstream_calls(port)
            point = take(result.target, started, connections, plan.requests, plan.seconds)
            account(direct, before, before.good)
            account(result, point, upstream_calls(port) - reached)
            pairs.setdefault(result.target, []).append((before, point))
            pairs.setdefault(DIRECT, []).append((before, before))
        for result, _ in [base, *these]:
            if result.target in pairs:
                row = summarize(pairs[result.target])
                result.of_kind.setdefault(kind, []).append(row)
                self._say(one_line(row))

    def _paced(self, running: Sequence[Running], streams: int) -> None:
        for connections in (1, 8):
            for result, started in [(self.direct, self._upstream), *running]:
                found = pace(_endpoint(started), connections, streams)
                result.paced.append(found)
                self._say(f"  c={connections:<4} {result.target:<22} pieces {found.p50_ms:.2f} ms")

    def _long(self, running: Sequence[Running]) -> None:
        """64 long streams at once: what they need of memory."""
        for result, started in running:
            endpoint = _endpoint(started).asking(LONG, LONG_PIECES)
            started.watched.forget_peak()
            streams = 2 * LONG_CONNECTIONS
            asked = dataclasses.replace(started, endpoint=endpoint)
            account(result, take(result.target, asked, LONG_CONNECTIONS, streams, 20.0), streams)
            result.long_peak_mib = started.watched.peak_mib()


def _endpoint(started: Started) -> ModelEndpoint:
    assert isinstance(started.endpoint, ModelEndpoint)
    return started.endpoint


def of_kind(started: Started, kind: str) -> Started:
    """The same, called in this way."""
    return dataclasses.replace(started, endpoint=_endpoint(started).of_kind(kind))
