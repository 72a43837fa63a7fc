"""One task for the requests of a connection, and when it is given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bailiwick.app.http_exchange import App, Exchange
from bailiwick.app.http_places import Places
from bailiwick.app.http_protocol import HttpProtocol
from bailiwick.app.http_response import Fields, encode_constant
from bailiwick.app.http_round import MAX_HEADS, Round
from bailiwick.app.http_worker import Worker
from bailiwick.gateway.mcp.watch import Rounds, Watch
from bailiwick.gateway.mcp.wire import serving_task
from tests.app.raw_http import State, post

SCOPE = {"type": "http", "method": "POST", "http_version": "1.1"}


class _Peer:
    write_paused = False

    def __init__(self) -> None:
        self.answers = 0
        self.left_alone = 0

    def head(self, status: int, constant: Fields = ()) -> bytes:
        return encode_constant(constant)

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def body_taken(self) -> None: ...

    def answered(self, exchange: Exchange) -> None:
        self.answers += 1

    def left(self, exchange: Exchange) -> None:
        self.left_alone += 1


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  # what it waits for sets no event
            await asyncio.sleep(0)


def _at_work() -> int:
    return sum(1 for task in asyncio.all_tasks() if "Worker" in repr(task))


async def test_one_task_answers_one_request_after_another() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(asyncio.current_task())
        send.whole(200, (), (), b"")

    peer, tasks = _Peer(), set[asyncio.Task[None]]()
    worker = Worker(app, tasks, Exchange(peer, SCOPE))
    assert len(tasks) == 1
    assert not worker.take(Exchange(peer, SCOPE))  # the first has not even begun
    for _ in range(3):
        await _until(lambda: not tasks)
        assert worker.take(Exchange(peer, SCOPE))
        assert len(tasks) == 1
    await _until(lambda: not tasks)
    assert len(seen) == peer.answers == 4
    assert len(set(seen)) == 1
    worker.dismiss()
    await _until(lambda: not _at_work())
    assert not worker.take(Exchange(peer, SCOPE))


async def test_an_application_is_told_its_task_as_it_would_find_it_out() -> None:
    told: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append(serving_task(send) is send.task is asyncio.current_task())
        told.append(serving_task(receive) is asyncio.current_task())
        send.whole(200, (), (), b"")

    peer, tasks = _Peer(), set[asyncio.Task[None]]()
    worker = Worker(app, tasks, Exchange(peer, SCOPE, b""))
    await _until(lambda: peer.answers == 1)
    await _until(lambda: worker.take(Exchange(peer, SCOPE, b"")))
    await _until(lambda: peer.answers == 2)
    worker.dismiss()
    await _until(lambda: not _at_work())
    assert told == [True] * 4


@pytest.mark.parametrize("swallowed", [False, True])
@pytest.mark.parametrize("at", ["while it waits", "as it returns"])
async def test_a_task_that_was_asked_to_stop_serves_no_other_request(
    swallowed: bool, at: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if at == "as it returns":
            return
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if not swallowed:
                raise

    peer, tasks = _Peer(), set[asyncio.Task[None]]()
    worker = Worker(app, tasks, Exchange(peer, SCOPE))
    (task,) = tasks
    await asyncio.wait([task])
    assert peer.left_alone == 1
    assert not tasks
    assert not worker.take(Exchange(peer, SCOPE))


async def test_a_cancellation_that_was_taken_back_ends_no_task() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            task.uncancel()

    peer, tasks = _Peer(), set[asyncio.Task[None]]()
    worker = Worker(app, tasks, Exchange(peer, SCOPE))
    await _until(lambda: not tasks)
    assert worker.take(Exchange(peer, SCOPE))
    worker.dismiss()
    await _until(lambda: not _at_work())
    assert peer.left_alone == 2


async def test_a_request_behind_one_whose_application_goes_on_does_not_wait_for_it() -> None:
    go_on = asyncio.Event()
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(asyncio.current_task())
        send.whole(200, (), (), b"%d" % len(seen))
        if len(seen) == 1:
            await go_on.wait()

    async with _served(app) as (reader, writer):
        writer.write(post(b"/", b"1") + post(b"/", b"2"))
        assert (await _body(reader), await _body(reader)) == (b"1", b"2")
        writer.write(post(b"/", b"3"))
        assert await _body(reader) == b"3"
        assert seen[0] is not seen[1]
        assert seen[1] is seen[2]
        go_on.set()
        await _until(lambda: seen[0] is not None and seen[0].done())


async def test_a_lost_connection_ends_its_task() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        send.whole(200, (), (), b"1")

    async with _served(app) as (reader, writer):
        for _ in range(3):
            writer.write(post(b"/", b"1"))
            assert await _body(reader) == b"1"
        assert _at_work() == 1
        writer.close()
        await _until(lambda: not _at_work())


@contextlib.asynccontextmanager
async def _served(app: App) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server of `app`."""
    state, round_, places = State(), Round(), Places()
    server = await asyncio.get_running_loop().create_server(
        lambda: HttpProtocol(app, state, round_, places), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    yield reader, writer
    writer.close()
    server.close()
    await _until(lambda: not _at_work())


async def _body(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))


# --- a body that is here -------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"one"])
async def test_a_whole_body_is_what_would_be_received(body: bytes) -> None:
    taken, received = Exchange(_Peer(), SCOPE, body), Exchange(_Peer(), SCOPE, body)
    message = await received.receive()
    assert message == {"type": "http.request", "body": body, "more_body": False}
    assert taken.whole_body() == body
    # It is handed over once, whichever way.
    assert received.whole_body() is None
    for exchange in (taken, received):
        assert exchange.whole_body() is None
        waiting = asyncio.ensure_future(exchange.receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        exchange.leave()
        assert await waiting == {"type": "http.disconnect"}


async def test_a_body_that_came_behind_its_head_is_received() -> None:
    exchange = Exchange(_Peer(), SCOPE)
    exchange.take_body(b"one")
    exchange.body_complete()
    assert exchange.whole_body() is None
    assert (await exchange.receive())["body"] == b"one"


async def test_nobody_has_a_body_of_a_client_that_left_nor_receives_one_after_the_answer() -> None:
    gone, answered = Exchange(_Peer(), SCOPE, b"one"), Exchange(_Peer(), SCOPE, b"one")
    gone.leave()
    assert gone.whole_body() is None
    answered.whole(200, (), (), b"")
    for exchange in (gone, answered):
        assert await exchange.receive() == {"type": "http.disconnect"}


async def test_a_whole_answer_is_not_taken_while_the_peer_reads_slowly() -> None:
    peer = _Peer()
    exchange = Exchange(peer, SCOPE)
    peer.write_paused = True
    assert not exchange.whole(200, (), (), b"one")
    assert not exchange.started
    peer.write_paused = False
    assert exchange.whole(200, (), (), b"one")
    assert (peer.answers, exchange.complete) == (1, True)


async def test_heads_of_responses_are_kept_encoded_and_bounded() -> None:
    round_ = Round()
    server = (b"server", b"1")
    assert round_.head(200, (server,)) == round_.head(200) + b"server: 1\r\n"
    assert round_.head(404, (server,)) != round_.head(200, (server,))
    for number in range(3 * MAX_HEADS):
        assert round_.head(200, ((b"x", b"%d" % number),)).endswith(b"\r\nx: %d\r\n" % number)
        assert len(round_._heads) <= MAX_HEADS
    with pytest.raises(ValueError, match="constant"):
        round_.head(200, ((b"content-length", b"1"),))


async def test_all_who_receive_are_told_and_one_that_gave_up_is_nobodys_loss() -> None:
    exchange = Exchange(_Peer(), SCOPE)
    waiting = [asyncio.ensure_future(exchange.receive()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    exchange.take_body(b"one")
    exchange.body_complete()
    message = await waiting[0]
    assert message == {"type": "http.request", "body": b"one", "more_body": False}
    assert not waiting[2].done()  # the body is handed over once
    exchange.whole(200, (), (), b"")
    assert await waiting[2] == {"type": "http.disconnect"}
    assert waiting[1].cancelled()


async def test_those_who_gave_up_receiving_are_not_kept() -> None:
    exchange = Exchange(_Peer(), SCOPE)
    for _ in range(100):
        receiving = asyncio.ensure_future(exchange.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait([receiving])
    assert exchange._waiters is not None
    assert len(exchange._waiters) == 1


async def test_who_leaves_one_request_stops_no_other_of_the_connection() -> None:
    """The task is the same; whoever watched over the first request must have let go of it."""
    rounds, watches, go_on = Rounds(0.001), list[Watch](), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        watch = Watch(rounds, receive, 10.0)
        watches.append(watch)
        watch.follow(send, 10.0)
        try:
            if len(watches) == 1:
                await _until(lambda: watch._follower is not None)
                await asyncio.sleep(0)  # it waits for the end of the first request by now
            else:
                await go_on.wait()
            send.whole(200, (), (), b"")
        finally:
            watch.stop()

    peer, tasks = _Peer(), set[asyncio.Task[None]]()
    first, second = Exchange(peer, SCOPE), Exchange(peer, SCOPE)
    worker = Worker(app, tasks, first)
    await _until(lambda: not tasks)
    assert worker.take(second)
    await _until(lambda: len(watches) == 2)
    assert watches[0].task is watches[1].task
    first.leave()
    for _ in range(5):
        await asyncio.sleep(0)
    go_on.set()
    await _until(lambda: not tasks)
    assert second.complete
    assert (peer.answers, peer.left_alone) == (2, 0)
    worker.dismiss()
    await _until(lambda: not _at_work())
