"""A model's answer as the gate records it: raw, read, and its facts."""

from __future__ import annotations

import msgspec

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
    capture.end()
    record, said = capture.record(broke_off), capture.said()
    if broke_off:
        return _reply(dialect, said, status, error=record)
    return _reply(dialect, said, status, result=record)


class _Recorded(msgspec.Struct):
    status: int
    body: msgspec.Raw = msgspec.Raw(b"")
    events: str = ""
    broke_off: str = ""
    bytes: int = 0


def told_again(reply: UpstreamReply) -> tuple[int, bytes, bool] | None:
    """The answer in a reply, to be told to another request that waited for the same call.

    Returns:
        HTTP status, body, and whether that is a stream of events; None where not all of it was
        kept, or it broke off.
    """
    try:
        found = msgspec.json.decode(reply.result or reply.error or b"", type=_Recorded)
    except msgspec.DecodeError:
        return None
    if bytes(found.body):
        return found.status, bytes(found.body), False
    whole = found.events and not found.broke_off and not found.bytes
    return (found.status, found.events.encode(), True) if whole else None


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
