"""Servers of the stateful era over HTTP: sessions, questions, streams that break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as again

from bailiwick.core.errors import OurError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.upstreams.http import HttpUpstream
from bailiwick.gateway.upstreams.spec import ServerSpec
from bailiwick.ports import UpstreamReply, UpstreamRequest, Wants
from tests.gateway.upstreams.peer import LEGACY, MODERN, Peer
from tests.gateway.upstreams.site import Got, Site, Wire, site, soon

CALL = UpstreamRequest("tools/call", {"name": "pay", "arguments": {"to": "x"}}, LEGACY)
WITH_TOKEN = again(CALL, params={**CALL.params, "_meta": {"progressToken": "mine"}})
Play = Callable[[Got, Wire], Awaitable[None]]


class Server:
    """A stateful server: handshake and housekeeping here, the rest as the test plays it."""

    def __init__(self, play: Play, **more: Any) -> None:
        self.play = play
        self.sessions: set[str] = set()
        self.started = 0
        self.posted: list[Any] = []
        self.changed = asyncio.Condition()
        self.version = more.pop("version", "2025-06-18")
        self.get: Play | None = more.pop("get", None)
        self.session_ids = more.pop("session_ids", True)

    async def __call__(self, got: Got, wire: Wire) -> None:
        session = got.headers.get("mcp-session-id", "")
        if got.method == "DELETE":
            self.sessions.discard(session)
            await wire.reply(204, b"")
        elif got.method == "GET":
            if self.get is None:
                await wire.reply(405, b"")
            else:
                await self.get(got, wire)
        elif got.json.get("method") == "initialize":
            await self._start(got, wire)
        elif self.session_ids and session not in self.sessions:
            await wire.json(
                {"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "?"}}, 404
            )
        elif "id" not in got.json or "method" not in got.json:
            async with self.changed:
                self.posted.append(got.json)
                self.changed.notify_all()
            await wire.reply(202, b"")
        else:
            await self.play(got, wire)

    async def _start(self, got: Got, wire: Wire) -> None:
        self.started += 1
        session = f"session-{self.started}"
        self.sessions.add(session)
        value = {
            "protocolVersion": self.version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "bank", "version": "1"},
        }
        more = f"Mcp-Session-Id: {session}\r\n" if self.session_ids else ""
        await wire.json(result(got, value), more=more)


def result(got: Got, value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": got.json["id"], "result": value}


async def ok(got: Got, wire: Wire) -> None:
    await wire.json(result(got, {"session": got.headers.get("mcp-session-id")}))


def upstream_of(here: Site, **more: Any) -> HttpUpstream:
    return HttpUpstream(ServerSpec("bank", url=here.url, **{"protocol": "2025-06-18", **more}))


async def ask(
    server: Server, request: UpstreamRequest = CALL, peer: Peer | None = None, **more: Any
) -> tuple[UpstreamReply, Site]:
    async with site(server) as here:
        upstream = upstream_of(here, **more)
        try:
            return await soon(upstream.request(request, peer or Peer())), here
        finally:
            await upstream.close()


async def failure(server: Server, request: UpstreamRequest = CALL, **more: Any) -> OurError:
    with pytest.raises(OurError) as caught:
        await ask(server, request, **more)
    return caught.value


# --- sessions ------------------------------------------------------------------------------------


async def test_a_session_is_opened_used_and_ended() -> None:
    reply, here = await ask(Server(ok))
    assert reply.result == b'{"session": "session-1"}'
    start, initialized, called, deleted = here.got
    assert start.json["params"]["capabilities"] == LEGACY.capabilities
    assert start.json["params"]["protocolVersion"] == "2025-06-18"
    assert "mcp-session-id" not in start.headers
    assert initialized.json == {
        "jsonrpc": "2.0",
        "method": "notifications/initialized",
        "params": {},
    }
    for got in (initialized, called, deleted):
        assert got.headers["mcp-session-id"] == "session-1"
        assert got.headers["mcp-protocol-version"] == "2025-06-18"
    assert called.json["params"] == CALL.params
    assert deleted.method == "DELETE"


async def test_many_requests_at_once_share_one_handshake() -> None:
    server = Server(ok)
    async with site(server) as here:
        upstream = upstream_of(here)
        replies = await soon(asyncio.gather(*(upstream.request(CALL, Peer()) for _ in range(20))))
        await upstream.close()
    assert {reply.result for reply in replies} == {b'{"session": "session-1"}'}
    assert server.started == 1


async def test_a_waiter_that_gives_up_does_not_end_the_handshake_of_others() -> None:
    gate = asyncio.Event()

    class Slow(Server):
        async def _start(self, got: Got, wire: Wire) -> None:
            await gate.wait()
            await super()._start(got, wire)

    server = Slow(ok)
    async with site(server) as here:
        upstream = upstream_of(here)
        tasks = [asyncio.ensure_future(upstream.request(CALL, Peer())) for _ in range(2)]
        await here.wait_for(lambda s: len(s.got) == 1)
        tasks[0].cancel()
        gate.set()
        assert (await soon(tasks[1])).result is not None
        await upstream.close()
    assert server.started == 1


async def test_no_two_clients_ever_share_a_session() -> None:
    server = Server(ok)
    async with site(server) as here:
        upstream = upstream_of(here)
        other = again(CALL, client=replace(LEGACY, session="bob|m2|s9"))
        replies = [await soon(upstream.request(each, Peer())) for each in (CALL, other, CALL)]
        await upstream.close()
    assert replies[0] == replies[2] != replies[1]


async def test_a_forgotten_session_is_opened_anew_and_the_request_sent_again() -> None:
    server = Server(ok)
    async with site(server) as here:
        upstream = upstream_of(here)
        await soon(upstream.request(CALL, Peer()))
        server.sessions.clear()
        reply = await soon(upstream.request(CALL, Peer()))
        await upstream.close()
    assert reply.result == b'{"session": "session-2"}'


async def test_a_server_that_forgets_every_session_is_given_up() -> None:
    class Forgetful(Server):
        async def __call__(self, got: Got, wire: Wire) -> None:
            if got.method == "POST" and got.json.get("method") == "tools/call":
                self.sessions.clear()
            await super().__call__(got, wire)

    server = Forgetful(ok)
    error = await failure(server)
    assert isinstance(error, UpstreamDown)
    assert server.started == 2


async def test_a_404_without_a_session_is_no_lost_session() -> None:
    async def missing(got: Got, wire: Wire) -> None:
        await wire.reply(404, b"", "text/plain")

    server = Server(missing, session_ids=False)
    error = await failure(server)
    assert error.code == "upstream_refused"
    assert server.started == 1


async def test_a_server_without_session_ids_is_served() -> None:
    reply, here = await ask(Server(ok, session_ids=False))
    assert reply.result == b'{"session": null}'
    assert [got.method for got in here.got] == ["POST"] * 3


async def test_sessions_are_bounded_and_the_longest_unused_one_ends() -> None:
    server = Server(ok)
    async with site(server) as here:
        upstream = upstream_of(here, max_sessions=2)
        for name in ("a", "b", "a", "c"):
            client = replace(LEGACY, session=name)
            await soon(upstream.request(again(CALL, client=client), Peer()))
        await here.wait_for(lambda s: any(got.method == "DELETE" for got in s.got))
        assert server.sessions == {"session-1", "session-3"}
        await upstream.close()
    assert server.sessions == set()


async def test_when_every_session_is_in_use_a_new_client_is_refused_unsent() -> None:
    async def hang(got: Got, wire: Wire) -> None:
        await wire.closed()

    async with site(Server(hang)) as here:
        upstream = upstream_of(here, max_sessions=1)
        task = asyncio.ensure_future(upstream.request(CALL, Peer()))
        await here.wait_for(lambda s: len(s.got) == 3)
        other = again(CALL, client=replace(LEGACY, session="bob"))
        with pytest.raises(UpstreamDown) as caught:
            await soon(upstream.request(other, Peer()))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await upstream.close()
    assert caught.value.code == "upstream_busy"


async def test_an_unused_session_ends() -> None:
    server = Server(ok)
    async with site(server) as here:
        upstream = upstream_of(here, session_idle_seconds=0.05)
        await soon(upstream.request(CALL, Peer()))
        await here.wait_for(lambda s: any(got.method == "DELETE" for got in s.got))
        assert (await soon(upstream.request(CALL, Peer()))).result == b'{"session": "session-2"}'
        await upstream.close()


async def test_a_session_ends_with_the_clients_own() -> None:
    server = Server(ok)
    async with site(server) as here:
        upstream = upstream_of(here)
        await soon(upstream.request(CALL, Peer()))
        await soon(upstream.end_session(LEGACY.session))
        assert server.sessions == set()
        await upstream.close()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"protocolVersion": "1999-01-01", "capabilities": {}}, "upstream_version"),
        ({"capabilities": {}}, "upstream_version"),
    ],
)
async def test_a_revision_that_nobody_knows_is_refused(answer: Any, code: str) -> None:
    async def start(got: Got, wire: Wire) -> None:
        await wire.json(result(got, answer))

    async with site(start) as here:
        upstream = upstream_of(here)
        with pytest.raises(UpstreamDown) as caught:
            await soon(upstream.request(CALL, Peer()))
        await upstream.close()
    assert caught.value.code == code


@pytest.mark.parametrize("status", [200, 400, 401, 500, 204])
async def test_a_failed_handshake_means_that_the_call_was_not_sent(status: int) -> None:
    async def start(got: Got, wire: Wire) -> None:
        await wire.reply(status, b"no" if status != 204 else b"", "text/plain")

    async with site(start) as here:
        upstream = upstream_of(here)
        with pytest.raises(UpstreamDown):
            await soon(upstream.request(CALL, Peer()))
        await upstream.close()
    assert [got.json["method"] for got in here.got] == ["initialize"]


async def test_a_session_id_that_no_header_can_carry_is_refused() -> None:
    async def start(got: Got, wire: Wire) -> None:
        value = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
        await wire.json(result(got, value), more="Mcp-Session-Id: a b\r\n")

    async with site(start) as here:
        upstream = upstream_of(here)
        with pytest.raises(UpstreamDown) as caught:
            await soon(upstream.request(CALL, Peer()))
        await upstream.close()
    assert caught.value.code == "upstream_garbage"


async def test_fields_of_the_modern_era_stay_behind() -> None:
    key = "io.modelcontextprotocol/"
    meta = {
        key + "protocolVersion": "2026-07-28",
        key + "clientCapabilities": {},
        "traceparent": "t",
    }
    params: dict[str, Any] = {"name": "pay", "_meta": meta}
    request = UpstreamRequest("tools/call", params, MODERN)
    _, here = await ask(Server(ok), request)
    assert here.got[2].json["params"] == {"name": "pay", "_meta": {"traceparent": "t"}}


# --- streams -------------------------------------------------------------------------------------


def progress(got: Got, value: int) -> dict[str, Any]:
    token = got.json["params"]["_meta"]["progressToken"]
    params = {"progressToken": token, "progress": value}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


async def test_progress_comes_with_the_clients_own_token() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.chunk(b"id: 0\ndata:\n\n")
        await wire.event(progress(got, 1))
        await wire.event(result(got, {}))
        await wire.end()

    peer = Peer()
    await ask(Server(play), WITH_TOKEN, peer)
    assert peer.told == [("notifications/progress", {"progressToken": "mine", "progress": 1})]


async def test_a_batch_of_the_oldest_revision_is_taken_apart() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event([progress(got, 1), result(got, {})])
        await wire.end()

    peer = Peer()
    reply, _ = await ask(Server(play, version="2025-03-26"), WITH_TOKEN, peer)
    assert reply.result == b"{}"
    assert len(peer.told) == 1


async def test_a_stream_that_breaks_is_resumed_after_its_last_event() -> None:
    async def play(got: Got, wire: Wire) -> None:
        calls.append(got)
        await wire.stream()
        await wire.chunk(b"retry: 1\n\n")
        await wire.event(progress(got, 1), "e1")
        wire.close()

    async def resume(got: Got, wire: Wire) -> None:
        await wire.stream()
        if len(resumed) == 0:
            await wire.event(progress(calls[0], 2), "e2")
            wire.close()
        else:
            await wire.event(result(calls[0], {"late": True}), "e3")
            await wire.end()
        resumed.append(got.headers["last-event-id"])

    calls: list[Got] = []
    resumed: list[str] = []
    peer = Peer()
    reply, _ = await ask(Server(play, get=resume), WITH_TOKEN, peer)
    assert reply.result == b'{"late": true}'
    assert resumed == ["e1", "e2"]
    assert [params["progress"] for _, params in peer.told] == [1, 2]


async def test_a_stream_without_event_ids_is_not_resumed() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(progress(got, 1))
        wire.close()

    error = await failure(Server(play), WITH_TOKEN)
    assert isinstance(error, UpstreamBroken)
    assert error.code == "upstream_closed"


@pytest.mark.parametrize("status", [404, 405])
async def test_a_stream_that_cannot_be_resumed_is_broken(status: int) -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.chunk(b"retry: 1\nid: e1\ndata:\n\n")
        wire.close()

    async def resume(got: Got, wire: Wire) -> None:
        await wire.reply(status, b"")

    error = await failure(Server(play, get=resume))
    assert isinstance(error, UpstreamBroken)


async def test_cancelling_says_so_to_the_server_in_words() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(progress(got, 1))
        await wire.closed()

    server = Server(play)
    async with site(server) as here:
        upstream = upstream_of(here)
        peer = Peer()
        task = asyncio.ensure_future(upstream.request(WITH_TOKEN, peer))
        await peer.wait_for(lambda p: len(p.told) == 1)
        task.cancel()
        await here.wait_for(lambda s: any(b"cancelled" in got.body for got in s.got))
        with pytest.raises(asyncio.CancelledError):
            await task
        await upstream.close()
    (cancelled,) = [each for each in server.posted if "cancelled" in each["method"]]
    assert cancelled["params"]["requestId"] == here.got[2].json["id"]


async def test_silence_ends_the_call_and_cancels_it_at_the_server() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.closed()

    async with site(Server(play)) as here:
        upstream = upstream_of(here, timeout_seconds=0.3)
        with pytest.raises(UpstreamBroken) as caught:
            await soon(upstream.request(CALL, Peer()))
        await here.wait_for(lambda s: any(b"timed out" in got.body for got in s.got))
        await upstream.close()
    assert caught.value.code == "upstream_timeout"


# --- questions -----------------------------------------------------------------------------------


def question(ask_id: Any, method: str = "elicitation/create") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": ask_id, "method": method, "params": {"message": "Sure?"}}


async def until_posted(server: Server, count: int) -> None:
    def enough() -> bool:
        return len([each for each in server.posted if "method" not in each]) >= count

    async with server.changed:
        await soon(server.changed.wait_for(enough))


@pytest.mark.parametrize("ask_id", [7, "q-7"])
async def test_a_question_goes_to_the_caller_and_its_answer_back(ask_id: Any) -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(question(ask_id))
        await until_posted(server, 1)
        await wire.event(result(got, {}))
        await wire.end()

    async def accept(method: str, params: Any) -> UpstreamReply:
        return UpstreamReply(result=b'{"action":"accept", "x":1.0}')

    server = Server(play)
    peer = Peer(accept)
    await ask(server, CALL, peer)
    assert peer.asked == [("elicitation/create", {"message": "Sure?"})]
    answer = {"jsonrpc": "2.0", "id": ask_id, "result": {"action": "accept", "x": 1.0}}
    assert answer in server.posted


async def test_a_ping_is_answered_and_nobody_is_asked() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(question(1, "ping"))
        await until_posted(server, 1)
        await wire.event(result(got, {}))
        await wire.end()

    server = Server(play)
    peer = Peer()
    await ask(server, CALL, peer)
    assert {"jsonrpc": "2.0", "id": 1, "result": {}} in server.posted
    assert peer.asked == []


async def test_a_question_that_goes_wrong_on_our_side_is_still_answered() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(question(1))
        await until_posted(server, 1)
        await wire.event(result(got, {}))
        await wire.end()

    async def broken(method: str, params: Any) -> UpstreamReply:
        raise RuntimeError("secret detail")

    server = Server(play)
    await ask(server, CALL, Peer(broken))
    (answer,) = [each for each in server.posted if "error" in each]
    assert "secret" not in json.dumps(answer)


async def test_while_a_person_thinks_the_servers_silence_means_nothing() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(question(1))
        await until_posted(server, 1)
        await wire.event(result(got, {}))
        await wire.end()

    async def think(method: str, params: Any) -> UpstreamReply:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 1.0)
        return UpstreamReply(result=b"{}")

    server = Server(play)
    reply, _ = await ask(server, CALL, Peer(think), timeout_seconds=0.3)
    assert reply.result == b"{}"


async def test_a_server_that_takes_its_question_back_ends_the_asking() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(question(5))
        await soon(asked.wait())
        params = {"requestId": 5}
        await wire.event({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
        await soon(ended.wait())
        await wire.event(result(got, {}))
        await wire.end()

    async def think(method: str, params: Any) -> UpstreamReply:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    asked, ended = asyncio.Event(), asyncio.Event()
    server = Server(play)
    reply, _ = await ask(server, CALL, Peer(think))
    assert reply.result == b"{}"
    assert [each for each in server.posted if "method" not in each] == []


async def test_a_flood_of_questions_is_bounded() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        for number in range(100):
            await wire.event(question(number))
        await until_posted(server, 1)
        await wire.event(result(got, {}))
        await wire.end()

    async def think(method: str, params: Any) -> UpstreamReply:
        await asyncio.Event().wait()
        raise AssertionError

    server = Server(play)
    peer = Peer(think)
    await ask(server, CALL, peer)
    assert len(peer.asked) == 32
    refused = [each["error"]["message"] for each in server.posted if "error" in each]
    assert set(refused) == {"more than 32 questions at a time"}


# --- listening -----------------------------------------------------------------------------------

CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


async def test_listeners_of_one_session_share_its_stream_and_the_last_one_closes_it() -> None:
    async def get(got: Got, wire: Wire) -> None:
        opened.append(got.headers["mcp-session-id"])
        await wire.stream()
        await ready.wait()
        await wire.event(CHANGED)
        await wire.closed()
        closed.set()

    opened: list[str] = []
    ready, closed = asyncio.Event(), asyncio.Event()
    async with site(Server(ok, get=get)) as here:
        upstream = upstream_of(here)
        listeners = [upstream.listen(LEGACY, Wants(tools=True)) for _ in range(2)]
        waiting = [asyncio.ensure_future(anext(heard)) for heard in listeners]
        await here.wait_for(lambda s: any(got.method == "GET" for got in s.got))
        ready.set()
        assert await soon(asyncio.gather(*waiting)) == [(CHANGED["method"], {})] * 2
        for heard in listeners:
            await heard.aclose()
        await soon(closed.wait())
        await upstream.close()
    assert opened == ["session-1"]


async def test_what_a_listener_does_not_want_it_does_not_hear() -> None:
    async def get(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(CHANGED)
        await wire.event({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed"})
        await wire.closed()

    async with site(Server(ok, get=get)) as here:
        upstream = upstream_of(here)
        heard = upstream.listen(LEGACY, Wants(prompts=True))
        assert await soon(anext(heard)) == ("notifications/prompts/list_changed", {})
        await heard.aclose()
        await upstream.close()


async def test_without_a_get_stream_changes_told_during_requests_are_heard() -> None:
    async def play(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(CHANGED)
        await wire.event(result(got, {}))
        await wire.end()

    async with site(Server(play)) as here:
        upstream = upstream_of(here)
        heard = upstream.listen(LEGACY, Wants(tools=True))
        waiting = asyncio.ensure_future(anext(heard))
        await here.wait_for(lambda s: any(got.method == "GET" for got in s.got))
        peer = Peer()
        await soon(upstream.request(CALL, peer))
        assert await soon(waiting) == (CHANGED["method"], {})
        assert peer.told == []
        await heard.aclose()
        await upstream.close()


async def test_a_question_outside_of_requests_is_refused_when_no_request_is_open() -> None:
    async def get(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.event(question(9, "roots/list"))
        await wire.closed()

    server = Server(ok, get=get)
    async with site(server) as here:
        upstream = upstream_of(here)
        heard = upstream.listen(LEGACY, Wants(tools=True))
        waiting = asyncio.ensure_future(anext(heard))
        await until_posted(server, 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await heard.aclose()
        await upstream.close()
    (answer,) = [each for each in server.posted if "error" in each]
    assert (answer["id"], answer["error"]["code"]) == (9, -32601)


async def test_resources_are_subscribed_to_once_and_let_go_with_the_last_listener() -> None:
    async def get(got: Got, wire: Wire) -> None:
        await wire.stream()
        await wire.closed()

    def count(method: str) -> Callable[[Site], bool]:
        quoted = f'"{method}"'.encode()
        return lambda s: [quoted in got.body for got in s.got].count(True) == 1

    async with site(Server(ok, get=get)) as here:
        upstream = upstream_of(here)
        listeners = [upstream.listen(LEGACY, Wants(uris=("file:///a",))) for _ in range(2)]
        waiting = [asyncio.ensure_future(anext(heard)) for heard in listeners]
        await here.wait_for(count("resources/subscribe"))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for heard in listeners:
            await heard.aclose()
        await here.wait_for(count("resources/unsubscribe"))
        await upstream.close()


# --- finding out the era -------------------------------------------------------------------------


async def probe(answer: Callable[[Got, Wire], Awaitable[None]]) -> list[str]:
    """The methods a server of unknown era is sent for one call."""
    async with site(answer) as here:
        upstream = upstream_of(here, protocol="auto")
        for _ in range(2):
            await soon(upstream.request(CALL, Peer()))
        await upstream.close()
    return [got.json["method"] for got in here.got if got.method == "POST"]


LEGACY_STEPS = ["server/discover", "initialize", "notifications/initialized", *["tools/call"] * 2]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"No session"}}'),
        (404, b"Not found"),
        (405, b""),
        (500, b"oops"),
        (200, b"<html>"),
        (200, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}'),
        (
            400,
            b'{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"x",'
            b'"data":{"supported":["2025-06-18"]}}}',
        ),
        (200, b'{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2025-06-18"]}}'),
    ],
)
async def test_whatever_is_no_modern_answer_means_a_stateful_server(
    status: int, body: bytes
) -> None:
    server = Server(ok)

    async def answer(got: Got, wire: Wire) -> None:
        if got.method == "POST" and got.json["method"] == "server/discover":
            await wire.reply(status, body)
        else:
            await server(got, wire)

    assert await probe(answer) == LEGACY_STEPS


async def test_a_probe_that_is_refused_for_our_credentials_tells_nothing_of_the_era() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        await wire.reply(401, b"")

    async with site(answer) as here:
        upstream = upstream_of(here, protocol="auto")
        with pytest.raises(UpstreamDown) as caught:
            await soon(upstream.request(CALL, Peer()))
        await upstream.close()
    assert caught.value.code == "upstream_unauthorized"
    assert len(here.got) == 1


async def test_a_server_of_an_era_to_come_is_not_spoken_to() -> None:
    async def answer(got: Got, wire: Wire) -> None:
        error = {"code": -32022, "message": "x", "data": {"supported": ["2031-01-01"]}}
        await wire.json({"jsonrpc": "2.0", "id": got.json["id"], "error": error}, 400)

    async with site(answer) as here:
        upstream = upstream_of(here, protocol="auto")
        with pytest.raises(UpstreamDown) as caught:
            await soon(upstream.request(CALL, Peer()))
        await upstream.close()
    assert caught.value.code == "upstream_version"
    assert "2031-01-01" in caught.value.message
    assert len(here.got) == 1
