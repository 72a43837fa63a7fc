"""Sends spans to a collector, by OTLP over HTTP, off the path of calls.

1. A call leaves a step in a bounded queue. If that is full the step is dropped and counted.
2. Batches are encoded a few spans at a time, so that no call waits long for its turn.
3. What a collector refuses for now is tried again, a few times; then it is dropped and counted.

Source: the OTLP specification, "OTLP/HTTP": 429, 502, 503 and 504 may be tried again, `Retry-After`
says when, and all else is final.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bailiwick.core.errors import UpstreamBroken, UpstreamDown
from bailiwick.gateway.http.response import Response
from bailiwick.protocols.otlp.encode import rejected_spans, to_protobuf
from bailiwick.protocols.otlp.genai import call_spans, run_span
from bailiwick.protocols.otlp.spans import Attributes, Span, parent_of
from bailiwick.protocols.otlp.steps import CallStep, RunStep

_log = logging.getLogger(__name__)

MAX_QUEUED = 8_192
MAX_QUEUED_BYTES = 32 * 1024 * 1024
MAX_RUNS = 4_096
_BATCH = 512
_SLICE = 16
_STEP_BYTES = 2_048
"""What a step counts for besides its content."""

_TRIED_AGAIN = frozenset({429, 502, 503, 504})
_ATTEMPTS = 5
_FIRST_BACKOFF_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 30.0
_TOLD_SECONDS = 60.0

Sleep = Callable[[float], Awaitable[None]]


Sending = Callable[[list[tuple[str, str]], bytes], Awaitable[Response]]
"""Sends an encoded batch with these header fields. Raises UpstreamDown and UpstreamBroken."""


@dataclass(slots=True)
class Counts:
    """What became of spans, since the start."""

    sent: int = 0
    dropped: int = 0
    failed: int = 0
    rejected: int = 0

    @property
    def lost(self) -> int:
        """How many never arrived."""
        return self.dropped + self.failed + self.rejected


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """How often and how much.

    Attributes:
        delay_seconds: between two rounds.
        idle_seconds: a run in which nothing happened for so long is told.
        closing_seconds: for what is still queued when the gateway ends.
    """

    delay_seconds: float = 1.0
    idle_seconds: float = 300.0
    closing_seconds: float = 3.0
    queued: int = MAX_QUEUED


@dataclass(slots=True)
class _Run:
    step: RunStep
    seen: float
    told: bool = False


@dataclass(slots=True)
class Exporter:
    """A bounded queue of steps, and the task that empties it.

    Args:
        send: to the collector.
        resource: what describes this gateway.
        version: of Bailiwick.
        monotonic: seconds.
        compress: bodies are sent gzipped.
    """

    send: Sending
    resource: Attributes
    version: str
    monotonic: Callable[[], float]
    compress: bool = False
    limits: ExportLimits = ExportLimits()
    sleep: Sleep = asyncio.sleep
    counts: Counts = field(default_factory=Counts)
    _queue: deque[CallStep] = field(default_factory=deque)
    _bytes: int = 0
    _runs: dict[str, _Run] = field(default_factory=dict)
    _told: tuple[float, int] = (0.0, 0)

    def offer(self, step: CallStep) -> None:
        """Take a step, or drop it if there is no room. Never waits, never raises."""
        size = _size(step)
        if len(self._queue) >= self.limits.queued or self._bytes + size > MAX_QUEUED_BYTES:
            self.counts.dropped += 1
            return
        self._bytes += size
        self._queue.append(step)

    async def run(self) -> None:
        """Send what comes, for as long as the gateway runs."""
        while True:
            await self.sleep(self.limits.delay_seconds)
            await self._round()
            self._tell_losses()

    async def close(self) -> None:
        """Send what is left, for a moment; then give it up."""
        try:
            async with asyncio.timeout(self.limits.closing_seconds):
                await self._round()
                await self._send_runs(float("inf"))
        except TimeoutError:
            self.counts.dropped += len(self._queue)
            self._queue.clear()
        self._told = (float("-inf"), self._told[1])
        self._tell_losses()

    # --- one round -------------------------------------------------------------------------------

    async def _round(self) -> None:
        while self._queue:
            await self._send_batch(await self._encode_batch())
        await self._send_runs(self.monotonic() - self.limits.idle_seconds)

    async def _send_runs(self, seen_before: float) -> None:
        """Tell the runs in which nothing happened since; each once, whatever happens later."""
        due = [each for each in self._runs.values() if not each.told and each.seen < seen_before]
        for each in due:
            each.told = True
        if due:
            await self._send_batch((self._encoded([run_span(each.step) for each in due]), len(due)))

    async def _encode_batch(self) -> tuple[bytes, int]:
        """A batch of what is queued, and of how many spans.

        One after the other, serialised requests are one request: repeated fields add up.
        """
        encoded: list[bytes] = []
        count = 0
        while self._queue and count < _BATCH:
            spans: list[Span] = []
            while self._queue and len(spans) < _SLICE:
                step = self._queue.popleft()
                self._bytes -= _size(step)
                self._note_run(step)
                spans += call_spans(step)
            body = self._encoded(spans)
            if body:
                encoded.append(body)
                count += len(spans)
            await asyncio.sleep(0)  # calls have their turn
        return b"".join(encoded), count

    def _encoded(self, spans: list[Span]) -> bytes:
        try:
            return to_protobuf(spans, self.resource, self.version)
        except (UnicodeEncodeError, ValueError, TypeError) as error:
            # Text that is no UTF-8, numbers out of range: nothing of ours should be, and if it is,
            # the others go on.
            self.counts.failed += len(spans)
            _log.warning("telemetry: spans that cannot be encoded: %s", type(error).__name__)
            return b""

    def _note_run(self, step: CallStep) -> None:
        """Keep the span of a run that has no trace of its agent's: its calls are below it."""
        if parent_of(step.traceparent) is not None or step.end_ms is None:
            return
        known = self._runs.get(step.run)
        begin = step.begin_ms if known is None else min(known.step.begin_ms, step.begin_ms)
        end = step.end_ms if known is None else max(known.step.end_ms, step.end_ms)
        told = RunStep(step.run, step.agent, step.mandate, begin, end, step.conversation)
        self._runs[step.run] = _Run(told, self.monotonic(), known is not None and known.told)
        if len(self._runs) > MAX_RUNS:
            first = next(iter(self._runs))
            self.counts.dropped += not self._runs.pop(first).told

    # --- sending ---------------------------------------------------------------------------------

    async def _send_batch(self, batch: tuple[bytes, int]) -> None:
        body, count = batch
        if not body:
            return
        fields: list[tuple[str, str]] = []
        if self.compress:
            body = await asyncio.to_thread(gzip.compress, body, 6)
            fields.append(("Content-Encoding", "gzip"))
        self.counts.failed += count  # until it has arrived: this may be cancelled
        answer = await self._persist(fields, body)
        if answer is not None:
            rejected = min(rejected_spans(answer.body), count)
            self.counts.failed -= count
            self.counts.rejected += rejected
            self.counts.sent += count - rejected

    async def _persist(self, fields: list[tuple[str, str]], body: bytes) -> Response | None:
        """Try until it is taken, finally refused, or tried often enough; the answer if taken."""
        pause = _FIRST_BACKOFF_SECONDS
        for attempt in range(_ATTEMPTS):
            answer = await self._try(fields, body)
            if answer is not None and 200 <= answer.status < 300:
                return answer
            if answer is not None and answer.status not in _TRIED_AGAIN:
                _log.warning("telemetry: the collector refused spans: HTTP %s", answer.status)
                return None
            if attempt + 1 < _ATTEMPTS:
                await self.sleep(_retry_after(answer) or pause * random.uniform(0.5, 1.0))  # noqa: S311
                pause = min(pause * 2, _LONGEST_BACKOFF_SECONDS)
        return None

    async def _try(self, fields: list[tuple[str, str]], body: bytes) -> Response | None:
        try:
            answer = await self.send(fields, body)
        except (UpstreamDown, UpstreamBroken):
            return None
        if answer.stream is not None:
            answer.stream.close()
        return answer

    def _tell_losses(self) -> None:
        """Say how many were lost, at most once a minute."""
        at, told = self._told
        now, lost = self.monotonic(), self.counts.lost
        if lost > told and now - at >= _TOLD_SECONDS:
            self._told = now, lost
            _log.warning(
                "telemetry: %s spans were not delivered (%s since the start: no room %s, not taken "
                "%s, rejected %s); the record has all of them",
                lost - told,
                lost,
                self.counts.dropped,
                self.counts.failed,
                self.counts.rejected,
            )


def _size(step: CallStep) -> int:
    if not step.content:
        return _STEP_BYTES
    return _STEP_BYTES + sum(len(text) for text in step.content.values())


def _retry_after(answer: Response | None) -> float:
    """What the collector asks for, in seconds and within bounds; 0 if it asks for nothing."""
    if answer is None:
        return 0.0
    told = answer.header("retry-after").strip()
    if not (told.isascii() and told.isdigit()) or len(told) > 6:
        return 0.0
    return min(float(told), _LONGEST_BACKOFF_SECONDS)
