"""What telemetry of a call costs, in processor time: `python -m bench.telemetry`.

What a call itself pays when spans go out (taking its facts down), what the background pays for it
(spans, OTLP, the queue), what a call pays when nothing goes out, and what one span of an agent
costs to read.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

from bailiwick.core.call import Call, CallKind, Target
from bailiwick.core.canonical import Digest, JsonObject
from bailiwick.core.flow.labels import NO_LABELS
from bailiwick.core.mandate import Mandate, MandateState
from bailiwick.core.verdict import Allow
from bailiwick.gateway.events import Events
from bailiwick.gateway.http.response import Response
from bailiwick.gateway.recorder import CallContext
from bailiwick.gateway.telemetry.exporter import Exporter
from bailiwick.gateway.telemetry.teller import Teller
from bailiwick.ports import CallState, UpstreamReply
from bailiwick.protocols.otlp.encode import to_protobuf
from bailiwick.protocols.otlp.genai import call_spans
from bailiwick.protocols.otlp.read import read_protobuf
from bailiwick.protocols.otlp.steps import CallStep

ROUNDS = 7
CALLS = 2_000

_MANDATE = Mandate(
    name="work",
    version=1,
    digest=Digest("0" * 64),
    principal="ada",
    agent="clerk",
    purpose="",
    state=MandateState.ACTIVE,
    allow=(),
)
_TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_TOOL = UpstreamReply(result=b'{"content":[{"type":"text","text":"paid"}]}')
_MODEL = UpstreamReply(
    result=b'{"status":200,"body":{}}',
    facts={
        "dialect": "chat",
        "http_status": 200,
        "served": "tiny-0001",
        "input_tokens": 700,
        "output_tokens": 200,
    },
    said=b'{"finish":"stop","text":"' + b"x" * 1_000 + b'"}',
)
_BODY: JsonObject = {"model": "tiny", "temperature": 0.2, "max_tokens": 500, "messages": []}


def _context(kind: CallKind) -> CallContext:
    model = kind is CallKind.MODEL
    target = Target(kind, "local" if model else "bank", "tiny" if model else "pay")
    call = Call.of("01KB0000000000000000000001", target, _BODY if model else {"amount": "12.00"})
    edge = "llm/chat" if model else "mcp/2026-07-28"
    return CallContext(
        call, "01KB0000000000000000000000", "clerk", "ada", (_MANDATE,), edge, _TRACEPARENT, "t",
        NO_LABELS,
    )  # fmt: skip


def _microseconds(work: Callable[[], object], calls: int) -> float:
    """Median processor time of one call over several rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        work()
        found.append((time.process_time_ns() - began) / 1000 / calls)
    return statistics.median(found)


def _on_the_call(kind: CallKind) -> tuple[float, list[CallStep]]:
    steps: list[CallStep] = []
    teller = Teller(steps.append, lambda person: f"p_{person}", lambda _run: "")
    context, reply = _context(kind), _MODEL if kind is CallKind.MODEL else _TOOL
    allow = Allow(("work@1/allow/1",), "allowed")

    def work() -> None:
        steps.clear()
        for _ in range(CALLS):
            teller.begun(context, allow, "allowed", 1)
            teller.ended(context, CallState.DONE, "", 2, reply)

    return _microseconds(work, CALLS), steps


def _behind(steps: list[CallStep]) -> float:
    async def send(_fields: list[tuple[str, str]], _body: bytes) -> Response:
        return Response(200, {})

    def work() -> None:
        exporter = Exporter(send, {"service.name": "bailiwick"}, "0", time.monotonic)
        for step in steps:
            exporter.offer(step)
        asyncio.run(exporter.close())
        assert exporter.counts.sent == len(steps)

    return _microseconds(work, len(steps))


def _off() -> float:
    """What is asked twice of every call: whether anybody watches."""
    events = Events()
    times = range(10 * CALLS)

    def work() -> None:
        for _ in times:
            if events.watcher is not None or events.watcher is not None:
                raise AssertionError

    def empty() -> None:
        for _ in times:
            pass

    return max(0.0, _microseconds(work, len(times)) - _microseconds(empty, len(times)))


def _coming_in(steps: list[CallStep]) -> float:
    spans = [span for step in steps[:512] for span in call_spans(step)]
    body = to_protobuf(spans, {"service.name": "agent"}, "0")
    return _microseconds(lambda: read_protobuf(body), len(spans))


def main() -> None:
    """Measure and print."""
    print(f"{'processor time of one call':<44}{'µs':>8}")
    print(f"{'nothing goes out':<44}{_off():>8.2f}")
    for kind in (CallKind.TOOL, CallKind.MODEL):
        cost, steps = _on_the_call(kind)
        print(f"{f'{kind.value}: taken down, on the call':<44}{cost:>8.2f}")
        print(f"{f'{kind.value}: span and OTLP, behind it':<44}{_behind(steps):>8.2f}")
    print(f"{'one span of an agent, read':<44}{_coming_in(steps):>8.2f}")


if __name__ == "__main__":
    main()
