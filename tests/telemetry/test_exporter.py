"""The exporter by itself: bounds, retries, and what it says of losses."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from bailiwick.core.errors import UpstreamBroken, UpstreamDown
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.telemetry.exporter import MAX_QUEUED_BYTES, Exporter, ExportLimits
from bailiwick.protocols.otlp.steps import CallStep

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
Reply = Response | Exception


def step(ident: str = "1", **changed: Any) -> CallStep:
    facts: dict[str, Any] = {
        "id": ident,
        "run": "r",
        "agent": "clerk",
        "mandate": "m@1",
        "kind": "tool",
        "upstream": "bank",
        "name": "pay",
        "decision": "allow",
        "code": "allowed",
        "state": "done",
        "begin_ms": 1,
        "end_ms": 2,
        "traceparent": TRACEPARENT,
    }
    return CallStep(**(facts | changed))


def reply(status: int, *headers: tuple[bytes, bytes], rejected: int = 0) -> Response:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    found = Response(status, dict(headers))
    found.body = answer.SerializeToString()
    return found


class Far:
    """A collector as the exporter sees it: answers as told, then 200."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.bodies: list[bytes] = []
        self.slept: list[float] = []
        self.now = 100.0

    async def __call__(self, fields: list[tuple[str, str]], body: bytes) -> Response:
        encoded = ("Content-Encoding", "gzip") in fields
        self.bodies.append(gzip.decompress(body) if encoded else body)
        found = self.replies.pop(0) if self.replies else reply(200)
        if isinstance(found, Exception):
            raise found
        return found

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def names(self) -> list[list[str]]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            [
                span.name
                for of_resource in request.resource_spans
                for of_scope in of_resource.scope_spans
                for span in of_scope.spans
            ]
            for request in requests
        ]


def exporter(far: Far, **more: Any) -> Exporter:
    return Exporter(
        send=far,
        resource={"service.name": "b"},
        version="1",
        monotonic=lambda: far.now,
        sleep=far.sleep,
        **more,
    )


async def test_many_steps_are_one_request() -> None:
    far = Far()
    out = exporter(far)
    for number in range(100):
        out.offer(step(str(number)))
    await out.close()
    assert [len(names) for names in far.names] == [100]
    assert out.counts.sent == 100


async def test_what_does_not_fit_is_dropped_counted_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    far = Far()
    out = exporter(far, limits=ExportLimits(queued=3))
    for number in range(5):
        out.offer(step(str(number)))
    await out.close()
    assert (out.counts.sent, out.counts.dropped) == (3, 2)
    assert "2 spans were not delivered" in caplog.text
    assert "the record has all of them" in caplog.text


async def test_content_counts_by_its_size() -> None:
    far = Far()
    out = exporter(far)
    big = step(content={"gen_ai.tool.call.result": "x" * (MAX_QUEUED_BYTES // 4)})
    for _ in range(5):
        out.offer(big)
    assert out.counts.dropped == 2
    await out.close()
    out.offer(big)  # what went out makes room again
    assert out.counts.dropped == 2


@pytest.mark.parametrize(
    "first",
    [
        reply(429),
        reply(503),
        UpstreamDown("upstream_unreachable", "x"),
        UpstreamBroken("upstream_closed", "x"),
    ],
)
async def test_what_may_pass_is_tried_again(first: Reply) -> None:
    far = Far(first)
    out = exporter(far)
    out.offer(step())
    await out.close()
    assert len(far.bodies) == 2
    assert far.bodies[0] == far.bodies[1]
    assert (out.counts.sent, out.counts.lost) == (1, 0)


async def test_a_collector_that_says_when_is_believed_within_bounds() -> None:
    far = Far(reply(429, (b"retry-after", b"7")), reply(429, (b"retry-after", b"86400")))
    out = exporter(far)
    out.offer(step())
    await out.close()
    assert far.slept == [7.0, 30.0]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
async def test_what_is_final_is_not_tried_again(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    far = Far(reply(status))
    out = exporter(far)
    out.offer(step())
    await out.close()
    assert len(far.bodies) == 1
    assert out.counts.failed == 1
    assert f"HTTP {status}" in caplog.text


async def test_it_is_given_up_after_a_few_tries() -> None:
    far = Far(*[reply(503)] * 9)
    out = exporter(far)
    out.offer(step())
    await out.close()
    assert len(far.bodies) == 5
    assert out.counts.failed == 1


async def test_spans_a_collector_rejects_are_counted() -> None:
    far = Far(reply(200, rejected=1))
    out = exporter(far)
    out.offer(step("1"))
    out.offer(step("2"))
    await out.close()
    assert (out.counts.sent, out.counts.rejected) == (1, 1)


async def test_bodies_can_be_compressed() -> None:
    far = Far()
    out = exporter(far, compress=True)
    out.offer(step())
    await out.close()
    assert far.names == [["execute_tool pay"]]


async def test_a_span_that_cannot_be_encoded_takes_no_others_along() -> None:
    far = Far()
    out = exporter(far)
    for number in range(16):
        out.offer(step(str(number), name="\ud800" if number == 0 else "pay"))
    for number in range(16):
        out.offer(step(f"b{number}"))
    await out.close()
    assert out.counts.failed == 16  # those of its slice
    assert out.counts.sent == 16


async def test_a_run_is_told_once_when_nothing_happens_in_it_any_more() -> None:
    far = Far()
    out = exporter(far, limits=ExportLimits(idle_seconds=60))
    rounds = 0

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        far.now += 45
        if rounds == 1:
            out.offer(step("1", traceparent="", begin_ms=5, end_ms=9))
        if rounds == 4:
            out.offer(step("2", traceparent=""))
        if rounds == 9:
            raise asyncio.CancelledError

    out.sleep = sleep
    with pytest.raises(asyncio.CancelledError):
        await out.run()
    await out.close()
    assert far.names == [["execute_tool pay"], ["invoke_agent clerk"], ["execute_tool pay"]]


async def test_closing_does_not_wait_for_a_collector_that_hangs() -> None:
    async def hang(_fields: list[tuple[str, str]], _body: bytes) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    far = Far()
    out = exporter(far, limits=ExportLimits(closing_seconds=0.01))
    out.send = hang
    out.offer(step())
    await out.close()
    assert out.counts.lost == 1
