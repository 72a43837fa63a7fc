"""Numbered streams: order, replay, one reader, and memory that does not grow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bailiwick.gateway.mcp import streams
from bailiwick.gateway.mcp.streams import (
    MAX_BYTES,
    MAX_EVENTS,
    MAX_REPLY_BYTES,
    Attachment,
    Replay,
    Stream,
    parse_event_id,
)
from bailiwick.protocols.sse import SseDecoder
from bailiwick.testing.mcp.waiting import turns


class Reader:
    """One connection; `taking.clear()` makes it take nothing."""

    def __init__(self) -> None:
        self.body = b""
        self.ended = False
        self.taking = asyncio.Event()
        self.taking.set()
        self.attachment = Attachment(self.send)

    async def send(self, message: Any) -> None:
        await self.taking.wait()
        self.body += message.get("body", b"")
        if message["type"] == "http.response.body":
            self.ended = not message["more_body"]

    @property
    def data(self) -> list[bytes]:
        return [event.data for event in SseDecoder(1 << 26).feed(self.body)]


async def test_what_is_emitted_while_nobody_reads_is_replayed_in_order() -> None:
    stream, reader = Stream(3, Replay(1 << 30), primed=False), Reader()
    for n in range(5):
        await stream.emit(b"%d" % n)
    await stream.attach(reader.attachment, after=2)
    await stream.emit(b"5")
    await stream.finish(b"6")

    assert reader.data == [b"2", b"3", b"4", b"5", b"6"]
    assert reader.ended
    assert stream.delivered


async def test_events_of_one_stream_are_numbered_from_one_without_gaps() -> None:
    stream, reader = Stream(3, Replay(1 << 30), primed=True), Reader()
    await stream.attach(reader.attachment)
    for _ in range(3):
        await stream.emit(b"x")
    assert [line for line in reader.body.split(b"\n") if line.startswith(b"id")] == [
        b"id: 3-0",
        b"id: 3-1",
        b"id: 3-2",
        b"id: 3-3",
    ]


async def test_notifications_are_forgotten_before_memory_grows_and_the_reply_is_kept() -> None:
    stream, reader = Stream(1, Replay(1 << 30), primed=False), Reader()
    await stream.emit(b"question", keep=True)
    for n in range(MAX_EVENTS * 10):
        await stream.emit(b"%d" % n)
    for _ in range(20):
        await stream.emit(b"x" * (MAX_BYTES // 4))
    await stream.finish(b"reply")
    await stream.attach(reader.attachment, after=0)

    assert len(reader.body) < 2 * MAX_BYTES
    assert len(reader.data) <= MAX_EVENTS + 2
    assert reader.data[0] == b"question"
    assert reader.data[-1] == b"reply"


async def test_a_delivered_large_reply_is_let_go_and_a_huge_one_never_kept() -> None:
    for size, attached, kept in (
        (MAX_BYTES + 1, True, False),
        (MAX_BYTES + 1, False, True),
        (MAX_REPLY_BYTES + 1, False, False),
    ):
        stream, late = Stream(1, Replay(1 << 30), primed=False), Reader()
        if attached:
            await stream.attach(Reader().attachment)
        await stream.finish(b"r" * size)
        await stream.attach(late.attachment, after=0)
        assert bool(late.data) is kept


async def test_a_new_reader_takes_over_and_the_old_one_is_ended() -> None:
    stream, old, new = Stream(0, Replay(1 << 30), primed=False), Reader(), Reader()
    await stream.attach(old.attachment)
    await stream.attach(new.attachment)
    await stream.emit(b"x")
    assert (old.data, old.ended, old.attachment.replaced.is_set()) == ([], True, True)
    assert new.data == [b"x"]


async def test_a_reader_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STALL_SECONDS", 0.01)
    stream, stalled, back = Stream(1, Replay(1 << 30), primed=False), Reader(), Reader()
    await stream.attach(stalled.attachment)
    stalled.taking.clear()
    await stream.emit(b"x")
    assert stalled.attachment.replaced.is_set()
    await stream.finish(b"reply")
    await stream.attach(back.attachment, after=0)
    assert back.data == [b"x", b"reply"]
    assert not stream.delivered


async def test_emitting_waits_for_the_reader() -> None:
    stream, reader = Stream(1, Replay(1 << 30), primed=False), Reader()
    await stream.attach(reader.attachment)
    reader.taking.clear()
    emitting = asyncio.get_running_loop().create_task(stream.emit(b"x"))
    await turns()
    assert not emitting.done()
    reader.taking.set()
    await emitting
    assert reader.data == [b"x"]


async def test_nothing_follows_the_reply() -> None:
    stream, reader = Stream(1, Replay(1 << 30), primed=False), Reader()
    await stream.attach(reader.attachment)
    await stream.finish(b"reply")
    await stream.emit(b"late")
    await stream.keep_alive()
    await stream.finish(b"again")
    assert reader.data == [b"reply"]


@pytest.mark.parametrize(
    ("header", "place"),
    [
        (b"3-17", (3, 17)),
        (b"", None),
        (b"3", None),
        (b"3-", None),
        (b"-3-1", None),
        (b"3-1-1", None),
        (b"9" * 13 + b"-1", None),
        ("٣-١".encode(), None),
    ],
)
def test_only_ids_we_gave_are_read(header: bytes, place: tuple[int, int] | None) -> None:
    assert parse_event_id(header) == place
