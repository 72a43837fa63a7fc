"""The table of sessions: found by owner only, bounded, and ended whole."""

from __future__ import annotations

import asyncio

import pytest

from bailiwick.core.errors import TheirError
from bailiwick.gateway.mcp import sessions
from bailiwick.gateway.mcp.sessions import (
    IDLE_SECONDS,
    MAX_FINISHED_STREAMS,
    Session,
    Sessions,
)
from bailiwick.gateway.mcp.streams import Attachment, Replay
from bailiwick.ports import ClientFacts
from bailiwick.testing.mcp.fakes import FakeClock

FACTS = ClientFacts("ada|work", "2025-11-25")


def table(ended: list[Session] | None = None) -> tuple[Sessions, FakeClock]:
    clock = FakeClock()
    kept = ended if ended is not None else []
    return Sessions(clock.monotonic, Replay(1 << 30), kept.append), clock


def test_a_session_is_found_by_its_owner_at_its_endpoint_only() -> None:
    held, _ = table()
    session = held.open("ada", "fs", "2025-11-25", FACTS)
    assert held.find(session.id, "ada", "fs") is session
    assert held.find(session.id, "clerk", "fs") is None
    assert held.find(session.id, "ada", "") is None
    assert held.find("x", "ada", "fs") is None


def test_what_upstreams_see_of_a_session_is_its_own_and_what_records_see_is_not_the_id() -> None:
    held, _ = table()
    one, two = (held.open("ada", "", "2025-11-25", FACTS) for _ in range(2))
    assert one.facts.session != two.facts.session
    assert one.run_key != two.run_key
    assert one.id not in one.run_key


def test_use_keeps_a_session_and_idleness_ends_it() -> None:
    ended: list[Session] = []
    held, clock = table(ended)
    used, idle = (held.open("ada", "", "2025-11-25", FACTS) for _ in range(2))
    clock.forward(IDLE_SECONDS - 1)
    assert held.find(used.id, "ada", "") is used
    clock.forward(2)
    assert held.find(used.id, "ada", "") is used
    held.open("clerk", "", "2025-11-25", FACTS)
    assert ended == [idle]


async def test_a_session_that_is_read_or_works_is_not_idle() -> None:
    held, clock = table()
    read, busy = (held.open("ada", "", "2025-11-25", FACTS) for _ in range(2))

    async def ignore(message: object) -> None:
        del message

    await read.own_stream().attach(Attachment(ignore))
    task = asyncio.get_running_loop().create_task(asyncio.Event().wait())
    busy.tasks[1] = task
    clock.forward(IDLE_SECONDS * 2)
    assert held.find(read.id, "ada", "") is read
    assert held.find(busy.id, "ada", "") is busy
    held.end(busy)
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


def test_the_table_is_bounded_for_all_and_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    monkeypatch.setattr(sessions, "MAX_SESSIONS_PER_CALLER", 2)
    held, _ = table()
    first = held.open("ada", "", "2025-11-25", FACTS)
    held.open("ada", "", "2025-11-25", FACTS)
    held.open("ada", "", "2025-11-25", FACTS)
    assert held.find(first.id, "ada", "") is None
    held.open("clerk", "", "2025-11-25", FACTS)
    with pytest.raises(TheirError) as refused:
        held.open("third", "", "2025-11-25", FACTS)
    assert refused.value.code == "too_many_sessions"
    assert len(held) == 3


async def test_finished_streams_are_kept_for_a_replay_and_then_dropped() -> None:
    held, _ = table()
    session = held.open("ada", "", "2025-11-25", FACTS)
    open_one = session.new_stream()
    for _ in range(MAX_FINISHED_STREAMS * 3):
        await session.new_stream().finish(b"x")
    assert len(session.streams) <= MAX_FINISHED_STREAMS + 2
    assert open_one.number in session.streams


def test_ending_twice_is_ending_once() -> None:
    ended: list[Session] = []
    held, _ = table(ended)
    session = held.open("ada", "", "2025-11-25", FACTS)
    held.end(session)
    held.end(session)
    held.end_all()
    assert ended == [session]
    assert len(held) == 0
