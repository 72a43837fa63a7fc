"""Requests of the stateful revisions: handshake, sessions, streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bailiwick.core.call import Target
from bailiwick.core.canonical import JsonObject
from bailiwick.core.errors import TheirError, UpstreamBroken, UpstreamDown
from bailiwick.gateway.mcp.calls import call_tool, forward, get_prompt, locate, read_resource
from bailiwick.gateway.mcp.catalog import RESOURCES
from bailiwick.gateway.mcp.core import Core, check_client
from bailiwick.gateway.mcp.exchange import Exchange, guarded, is_modern_server
from bailiwick.gateway.mcp.follow_ups import (
    complete,
    facts_or_none,
    list_tasks,
    set_level,
    unreachable,
    use_task,
)
from bailiwick.gateway.mcp.greetings import greeting
from bailiwick.gateway.mcp.hearing import Hearing
from bailiwick.gateway.mcp.legacy import LegacyExchange, SessionSink
from bailiwick.gateway.mcp.lists import answer_list
from bailiwick.gateway.mcp.run_keys import session_key
from bailiwick.gateway.mcp.said import read_said, says_more, since_initialize, without_ours
from bailiwick.gateway.mcp.sessions import MAX_IN_FLIGHT, MAX_URIS, Session, Sessions
from bailiwick.gateway.mcp.streams import Attachment, Replay, parse_event_id
from bailiwick.gateway.mcp.visit import Visit
from bailiwick.gateway.mcp.wire import Outcome, reply
from bailiwick.ports import ClientFacts
from bailiwick.protocols.mcp.jsonrpc import (
    Code,
    Message,
    Notification,
    Request,
    Response,
    error_body,
    error_message,
)
from bailiwick.protocols.mcp.legacy import Hello, greet, progress_token, session_id
from bailiwick.protocols.mcp.names import is_ambiguous, needs_model_names
from bailiwick.protocols.strict_json import encode

Handler = Callable[[LegacyExchange], Awaitable[Outcome]]


class LegacyDoor:
    """Serves POST, GET and DELETE of the stateful era."""

    def __init__(self, core: Core) -> None:
        self._core = core
        replay = Replay(core.limits.replay_bytes)
        self._sessions = Sessions(core.clock.monotonic, replay, self._ended)
        self._hearing = Hearing(core)
        self._handlers: dict[str, Handler] = {
            "ping": _ping,
            "tools/list": answer_list,
            "tools/call": call_tool,
            "resources/list": answer_list,
            "resources/templates/list": answer_list,
            "resources/read": read_resource,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._unsubscribe,
            "prompts/list": answer_list,
            "prompts/get": get_prompt,
            "completion/complete": complete,
            "logging/setLevel": _set_level,
            "tasks/get": use_task,
            "tasks/result": use_task,
            "tasks/list": list_tasks,
            "tasks/cancel": use_task,
        }

    def start_closing(self) -> None:
        """End the streams that belong to no request: nothing else would end them."""
        for session in self._sessions:
            self._core.spawn(session.own_stream().finish(b""))

    def close(self) -> None:
        """End every session."""
        self._sessions.end_all()

    # --- POST ------------------------------------------------------------------------------------

    async def post(self, visit: Visit, message: Message) -> None:
        """Serve one message."""
        if type(message) is Request and message.method == "initialize":
            await self._initialize(visit, message)
            return
        session = await self._session(visit)
        if session is None:
            return
        if type(message) is Request:
            await self._request(visit, session, message)
            return
        if type(message) is Response:
            answer = session.asks.pop(message.id, None)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif type(message) is Notification:
            self._note(session, message)
        await reply(visit.send, 202)

    async def _initialize(self, visit: Visit, request: Request) -> None:
        hello = greet(request)
        if not isinstance(hello, Hello):
            await _answer(visit, 400, request.id_json, hello.code, hello.message)
            return
        core = self._core
        facts = ClientFacts(visit.caller.key, hello.version, hello.capabilities, hello.info)
        try:
            check_client(encode(hello.capabilities), encode(hello.info))
            said = read_said(visit.knock.headers, request.params)
            session = self._sessions.open(
                visit.caller.key, visit.knock.where.server, hello.version, facts
            )
            session.said = said
        except TheirError as error:
            status = 503 if error.code == "too_many_sessions" else 400
            await _answer(visit, status, request.id_json, Code.INVALID_REQUEST, error.message)
            return
        sink = self._sink(visit, session)
        exchange = LegacyExchange(core, visit.caller, visit.knock.where, session, sink)
        exchange.take(request, visit.knock.headers, sink)
        outcome = await greeting(exchange, hello.version)
        extra = (b"mcp-session-id", session.id.encode())
        await reply(visit.send, outcome.status, outcome.message, extra)

    async def _request(self, visit: Visit, session: Session, request: Request) -> None:
        handler = self._handlers.get(request.method)
        if handler is None:
            missing = f"no method `{request.method[:80]}`"
            await _answer(visit, 200, request.id_json, Code.METHOD_NOT_FOUND, missing)
            return
        if request.id in session.tasks or len(session.tasks) >= MAX_IN_FLIGHT:
            busy = "the id is in use, or too many requests are in flight"
            await _answer(visit, 200, request.id_json, Code.INVALID_REQUEST, busy)
            return
        try:
            now = read_said(visit.knock.headers, request.params)
        except TheirError as error:
            await _answer(visit, 200, request.id_json, Code.INVALID_PARAMS, error.message)
            return
        sink = self._sink(visit, session)
        exchange = LegacyExchange(self._core, visit.caller, visit.knock.where, session, sink)
        exchange.said, exchange.objection = since_initialize(session.said, now)
        exchange.address = visit.address
        named = session_key(visit.caller, visit.knock.headers, request.params)
        exchange.run_key = named or exchange.run_key
        exchange.progress_token = progress_token(request.params)
        name = session.facts.info.get("name")
        exchange.names_of_model = (
            needs_model_names(name if isinstance(name, str) else "")
            if visit.knock.where.model_names is None
            else visit.knock.where.model_names
        )
        exchange.says_more = says_more(request.params)
        exchange.take(without_ours(request), visit.knock.headers, sink)
        await self._work(visit, exchange, sink, handler)

    async def _work(
        self, visit: Visit, exchange: LegacyExchange, sink: SessionSink, handler: Handler
    ) -> None:
        """Answer; a disconnect changes only where the answer goes (`basic/transports`)."""
        watch = visit.watch
        if watch is None:
            raise AssertionError("a POST is watched")
        session, identity = exchange.session, exchange.request.id
        session.tasks[identity] = watch.task
        keep_alive_seconds = self._core.limits.keep_alive_seconds
        watch.follow(sink, keep_alive_seconds, sink.connection_lost, sink.prime)
        try:
            outcome = await guarded(handler, exchange)
        except asyncio.CancelledError:
            if identity not in session.cancelled:
                raise
            # "not send a response for the cancelled request": end the stream without one.
            watch.task.uncancel()
            session.cancelled.discard(identity)
            outcome = Outcome(202, b"")
        finally:
            session.tasks.pop(identity, None)
        await sink.finish(outcome)
        exchange.keep_if_lost()

    def _sink(self, visit: Visit, session: Session) -> SessionSink:
        knock = visit.knock
        return SessionSink(session, visit.send, can_stream=knock.events, json_too=knock.json)

    def _note(self, session: Session, note: Notification) -> None:
        if note.method == "notifications/cancelled":
            identity = note.params.get("requestId")
            task = session.tasks.get(identity) if isinstance(identity, str | int) else None
            # A late one, or one for a request that never was, is ignored.
            if task is not None and isinstance(identity, str | int):
                session.cancelled.add(identity)
                task.cancel()
        elif note.method == "notifications/roots/list_changed" and not session.telling:
            # One at a time: a client can send more than any server takes, and each says the same.
            session.telling = True
            self._core.spawn(self._tell_servers(session, note.method, note.params))

    async def _tell_servers(self, session: Session, method: str, params: JsonObject) -> None:
        try:
            await self._tell_each(session, method, params)
        finally:
            session.telling = False

    async def _tell_each(self, session: Session, method: str, params: JsonObject) -> None:
        names = [session.where] if session.where else list(self._core.catalog.names())
        for name in names:
            shelf = self._core.catalog.shelf(name)
            server = None if shelf is None else shelf.known_facts(session.version)
            if shelf is None or server is None or is_modern_server(server.version):
                continue
            try:
                await shelf.upstream.notify(session.facts, method, params)
            except (UpstreamDown, UpstreamBroken):
                continue

    # --- GET and DELETE --------------------------------------------------------------------------

    async def get(self, visit: Visit) -> None:
        """Open the session's own stream, or fetch the rest of one that was cut off."""
        if not visit.knock.events:
            await reply(visit.send, 406)
            return
        if self._core.closing:
            await reply(visit.send, 503, b"", (b"retry-after", b"1"))
            return
        session = await self._session(visit)
        if session is None:
            return
        after: int | None = None
        stream = session.own_stream()
        if visit.knock.headers.last_event is not None:
            place = parse_event_id(visit.knock.headers.last_event)
            found = session.streams.get(place[0]) if place is not None else None
            if place is None or found is None:
                await reply(visit.send, 400, b'{"error":"event_unknown"}')
                return
            stream, after = found, place[1]
        if stream is session.streams.get(0):
            self._hearing.start(session, visit.caller)
        reader = Attachment(visit.send)
        await stream.attach(reader, after)
        try:
            await self._read_on(visit, session, reader)
        finally:
            stream.detach(reader)

    async def _read_on(self, visit: Visit, session: Session, reader: Attachment) -> None:
        """Until the client leaves, the stream ends, or the token does."""
        replaced = asyncio.ensure_future(reader.replaced.wait())
        left = asyncio.ensure_future(_disconnect(visit))
        ends = {replaced, left}
        try:
            while not reader.replaced.is_set():
                done, _ = await asyncio.wait(
                    ends,
                    timeout=self._core.limits.keep_alive_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if done:
                    return
                session.used_at = self._core.clock.monotonic()
                if not visit.still_valid():
                    await reader.send({"type": "http.response.body", "body": b""})
                    return
                for stream in session.streams.values():
                    if stream.reads(reader):
                        await stream.keep_alive()
        finally:
            replaced.cancel()
            left.cancel()

    async def delete(self, visit: Visit) -> None:
        """End the session."""
        session = await self._session(visit)
        if session is not None:
            self._sessions.end(session)
            await reply(visit.send, 204)

    async def _session(self, visit: Visit) -> Session | None:
        """The request's session; None when it has been refused."""
        identity = session_id(visit.knock.headers.session)
        if not identity:
            await _answer(visit, 400, b"null", Code.INVALID_REQUEST, "`Mcp-Session-Id` is missing")
            return None
        session = self._sessions.find(identity, visit.caller.key, visit.knock.where.server)
        if session is None:
            await _answer(visit, 404, b"null", Code.INVALID_REQUEST, "there is no such session")
        return session

    def _ended(self, session: Session) -> None:
        self._core.let_go(session.facts.session)
        for stream in tuple(session.streams.values()):
            stream.forget_all()
            self._core.spawn(stream.finish(b""))

    # --- subscriptions ---------------------------------------------------------------------------

    async def _subscribe(self, exchange: LegacyExchange) -> Outcome:
        return await self._change_subscription(exchange, wanted=True)

    async def _unsubscribe(self, exchange: LegacyExchange) -> Outcome:
        return await self._change_subscription(exchange, wanted=False)

    async def _change_subscription(self, exchange: LegacyExchange, *, wanted: bool) -> Outcome:
        uri = exchange.request.params.get("uri")
        place = locate(exchange, RESOURCES, uri) if isinstance(uri, str) else None
        session = exchange.session
        if isinstance(uri, str) and is_ambiguous(uri):
            return exchange.fail(Code.INVALID_PARAMS, "`uri` has dot segments: send it resolved")
        if place is None or not self._core.gate.visible(
            exchange.caller, Target(RESOURCES.kind, place[0].name, place[1])
        ):
            return exchange.fail(Code.RESOURCE_NOT_FOUND, "Resource not found")
        shelf, own = place
        server = await facts_or_none(exchange, shelf)
        if server is None:
            return unreachable(exchange, shelf)
        if wanted and len(session.uris) >= MAX_URIS:
            return exchange.fail(Code.INVALID_PARAMS, f"more than {MAX_URIS} subscriptions")
        if not is_modern_server(server.version):
            exchange.aim(shelf, server, {**exchange.request.params, "uri": own})
            outcome = await forward(exchange)
            if outcome.failed:
                return outcome
        else:
            outcome = exchange.ok(b"{}")
        (session.uris.add if wanted else session.uris.discard)((shelf.name, own))
        self._hearing.start(session, exchange.caller)
        return outcome


async def _ping(exchange: Exchange) -> Outcome:
    return exchange.ok(b"{}")


async def _set_level(exchange: LegacyExchange) -> Outcome:
    level = exchange.request.params.get("level")
    outcome = await set_level(exchange, level if isinstance(level, str) else "")
    if not outcome.failed:
        exchange.session.log_level = str(level)
    return outcome


async def _disconnect(visit: Visit) -> None:
    while True:
        message = await visit.receive()
        if message["type"] == "http.disconnect":
            return


async def _answer(visit: Visit, status: int, id_json: bytes, code: Code, message: str) -> None:
    await reply(visit.send, status, error_message(id_json, error_body(code, message)))
