"""A model's answer as the gate records it: raw, read, and its facts."""

from __future__ import annotations

from bailiwick.gateway.llm.capture import StreamCapture
from bailiwick.gateway.llm.facts import facts_of
from bailiwick.gateway.llm.used import counts_of
from bailiwick.ports import UpstreamReply
from bailiwick.protocols.llm.answers import read_answer
from bailiwick.protocols.llm.dialect import Dialect, Said
from bailiwick.protocols.llm.kept import keep


def whole_reply(dialect: Dialect, status: int, body: bytes) -> UpstreamReply:
    """Of an answer that was not streamed: `body` is JSON, and no error."""
    result = b'{"status":%d,"body":%b}' % (status, body)
    return _reply(dialect, read_answer(dialect, body), status, result=result)


def streamed_reply(
    dialect: Dialect, status: int, capture: StreamCapture, broke_off: str = ""
) -> UpstreamReply:
    """Of a stream, as far as it came; with why it ended before its end, it is an error."""
    record, said = capture.record(broke_off), capture.said()
    if broke_off:
        return _reply(dialect, said, status, error=record)
    return _reply(dialect, said, status, result=record)


def _reply(
    dialect: Dialect,
    said: Said,
    status: int,
    result: bytes | None = None,
    error: bytes | None = None,
) -> UpstreamReply:
    kept = keep(said)
    return UpstreamReply(
        result=result,
        error=error,
        facts=facts_of(dialect, said, status),
        used=counts_of(said) if error is None else {},
        said=kept.said,
        reasoning=kept.reasoning,
    )
